"""What limits cost, on a site small enough to reckon by hand, with the real solver."""

from __future__ import annotations

import pytest

from controller.sim.backtest.limit_costs import joined_limits, limit_costs
from controller.sim.backtest.outcome import LimitCost
from optimizer.live import Live
from optimizer.problem import Node, Plan, Problem
from tests.support.plans import car, grid, problem


def asked(made: Problem) -> tuple[LimitCost, ...]:
    live = Live("highs")

    def solve(other: Problem) -> Plan:
        return live.solve(other, 20.0)

    return limit_costs(made, solve(made), solve)


def test_a_narrow_hall_costs_the_dear_hours_it_drives_cars_into() -> None:
    # Two cars want 4 kWh each and could take all of it in the first, cheap hour; the hall carries 20 A of 200 V: 4 kW.
    hall = Node("hall", "grid", (20.0, 20.0, 20.0))
    made = problem((0.1, 0.5), car("a", node_id="hall"), car("b", node_id="hall"), nodes=(grid(), hall))
    (one,) = asked(made)
    assert (one.where, one.unit, one.more) == ("hall", "A", 10.0)
    assert one.cost == pytest.approx(4.0 * 0.4, abs=0.01)
    assert one.saved_by_more == pytest.approx(2.0 * 0.4, abs=0.01)  # 10 A carry 2 kWh more in the cheap hour
    assert (one.cost_kwh, one.gained_kwh) == (0.0, 0.0)


def test_a_hall_that_is_short_of_energy_costs_energy() -> None:
    hall = Node("hall", "grid", (5.0, 5.0, 5.0))  # 1 kW for two hours, 4 kWh wanted
    made = problem((0.1, 0.1), car("a", node_id="hall"), nodes=(grid(), hall))
    (one,) = asked(made)
    assert one.cost_kwh == pytest.approx(2.0, abs=0.01)
    assert one.gained_kwh == pytest.approx(2.0, abs=0.01)
    assert one.cost == pytest.approx(-0.2, abs=0.01)  # what is charged on top has to be paid


def test_where_nothing_binds_nobody_is_asked() -> None:
    assert asked(problem((0.1, 0.1), car("a"))) == ()


def test_months_are_summed() -> None:
    first, then = LimitCost("hall", "A", 1.0, 10.0, 0.5, 2.0, 1.0), LimitCost("hall", "A", 3.0, 10.0, 0.25, 0.0, 1.0)
    other, unknown = LimitCost("yard", "A", 1.0, 10.0, 1.0), LimitCost("yard", "A", None, 10.0, None)
    hall, yard = joined_limits([(first,), (then, other), (unknown,)])
    assert hall == LimitCost("hall", "A", 4.0, 10.0, 0.75, 2.0, 2.0)
    assert (yard.cost, yard.saved_by_more) == (None, None)
    assert joined_limits([]) == ()
