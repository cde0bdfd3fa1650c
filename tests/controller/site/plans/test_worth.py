"""What a second under a limit is worth, reckoned by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest

from controller.site.plans.worth import Sum, dearest_shift, rates, sum_from
from optimizer.problem import Node, Plan, PlanStatus, Problem, ShadowPrice
from tests.support.plans import START_S, VOLTS, car, grid, hours, problem

PRICES = (0.10, 0.40)


def planned(made: Problem, *shadow: ShadowPrice, power_w: float = 1000.0, **changes: object) -> Plan:
    """A proved plan that gives every car the same in every slot."""
    count = len(made.slots)
    powers = {ev.ev_id: (power_w,) * count for ev in made.evs}
    made_plan = Plan(START_S, made.slots, powers, (0.0,) * count, PlanStatus.PROVED, 0.0, 0.0, shadow=shadow)
    return replace(made_plan, **changes)  # type: ignore[arg-type]


def hall_price(per_slot: float, phase: int = 0) -> ShadowPrice:
    return ShadowPrice("hall", phase, per_slot, (per_slot, 0.0))


def depot(count: int = 3, **changes: object) -> Problem:
    """Cars of 1..4 kW on L1 of a hall below the grid."""
    nodes = (grid(), Node("hall", "grid", (32.0, 32.0, 32.0)))
    cars = [car(f"ev{number}", node_id="hall", **changes) for number in range(count)]
    return problem(PRICES, *cars, nodes=nodes)


def test_a_bound_ampere_is_worth_its_price_spread_over_the_slot() -> None:
    # Three cars could draw 3 kW more each: 45 A at 200 V. An ampere-hour saves 0.06, so a second 0.06/3600.
    made = depot()
    rate = rates(planned(made, hall_price(0.06)), made, 0)["hall"]
    each = 0.06 / 3600.0
    assert rate.per_unit == pytest.approx(each)
    assert rate.cost == pytest.approx(each * 45.0 / 2.0)
    assert rate.saved == pytest.approx(each * 10.0 * (1.0 - 10.0 / 90.0))
    assert (rate.bound_s, rate.short_s, rate.phase_s) == (1.0, 0.0, [1.0, 0.0, 0.0])


def test_with_less_than_ten_amps_wanted_more_copper_saves_all_there_is() -> None:
    made = depot(1)
    rate = rates(planned(made, hall_price(0.06), power_w=3200.0), made, 0)["hall"]  # 0.8 kW more: 4 A
    assert rate.saved == pytest.approx(rate.cost) == pytest.approx(0.06 / 3600.0 * 2.0)


def test_phases_add_money_but_not_time() -> None:
    made = depot(phases=(0, 1, 2))
    rate = rates(planned(made, hall_price(0.06), hall_price(0.03, 2)), made, 0)["hall"]
    assert rate.per_unit == pytest.approx(0.09 / 3600.0)
    assert rate.bound_s == 1.0
    assert rate.phase_s == [1.0, 0.0, 1.0]


def test_a_penalty_is_told_as_energy_and_not_as_money() -> None:
    # 10 per kWh of missing energy is far above 0.4 - 0: 2 per A and hour at 200 V.
    made = depot()
    rate = rates(planned(made, hall_price(2.0), shortfall_wh={"ev0": 90_000.0}), made, 0)["hall"]
    assert (rate.per_unit, rate.cost, rate.saved, rate.short_s) == (0.0, 0.0, 0.0, 1.0)
    assert rate.short_wh == pytest.approx(10.0 * VOLTS / 3600.0)


def test_more_copper_never_brings_more_energy_than_is_missing() -> None:
    # One kWh is missing; 10 A on two phases for an hour would bring four.
    made = depot(phases=(0, 1, 2))
    plan = planned(made, hall_price(2.0), hall_price(2.0, 1), shortfall_wh={"ev0": 700.0, "ev1": 300.0})
    rate = rates(plan, made, 0)["hall"]
    assert rate.times(3600.0).short_wh == pytest.approx(1000.0)


@pytest.mark.parametrize("missing", [{}, {"ev0": 20.0}, {"elsewhere": 5_000.0}, {"expected:hall/1": 5_000.0}])
def test_where_nobody_who_is_here_misses_anything_nothing_is_said_to_be_short(missing: dict[str, float]) -> None:
    nodes = (grid(), Node("hall", "grid", (32.0,) * 3), Node("yard", "grid", (32.0,) * 3))
    coming = replace(car("expected:hall/1", node_id="hall"), expected=True)
    made = problem(PRICES, car("ev0", node_id="hall"), car("elsewhere", node_id="yard"), coming, nodes=nodes)
    rate = rates(planned(made, hall_price(2.0), shortfall_wh=missing), made, 0)["hall"]
    assert (rate.bound_s, rate.short_s, rate.short_wh, rate.cost) == (1.0, 0.0, 0.0, 0.0)


def test_a_demand_charge_makes_high_prices_honest_money() -> None:
    made = replace(depot(), demand_per_kw=5.0)
    assert dearest_shift(made) == pytest.approx(0.40 + 5.0 / 0.25)
    assert rates(planned(made, hall_price(2.0)), made, 0)["hall"].per_unit == pytest.approx(2.0 / 3600.0)


def test_the_import_limit_counts_in_kw_and_everybody_is_below_it() -> None:
    made = problem(PRICES, car("a"), car("b"))
    price = ShadowPrice("import", None, 0.3, (0.3, 0.0))
    rate = rates(planned(made, price), made, 0)["import"]
    assert rate.per_unit == pytest.approx(0.3 / 3600.0)
    assert rate.cost == pytest.approx(0.3 / 3600.0 * 6.0 / 2.0)
    assert rate.phase_s == [0.0, 0.0, 0.0]


def test_cars_that_are_gone_or_full_or_elsewhere_want_nothing() -> None:
    nodes = (grid(), Node("hall", "grid", (32.0,) * 3), Node("yard", "grid", (32.0,) * 3))
    gone = car("gone", node_id="hall", departure_wall_s=START_S)
    full = car("full", need_wh=0.0, node_id="hall")
    made = problem(PRICES, gone, full, car("elsewhere", node_id="yard"), nodes=nodes)
    rate = rates(planned(made, hall_price(0.06)), made, 0)["hall"]
    assert (rate.cost, rate.saved) == (0.0, 0.0)
    assert rate.per_unit > 0.0


def test_an_upper_node_sees_the_cars_below() -> None:
    made = depot(1)
    price = ShadowPrice("grid", 0, 0.06, (0.06, 0.0))
    assert rates(planned(made, price), made, 0)["grid"].cost == pytest.approx(0.06 / 3600.0 * 15.0 / 2.0)


@pytest.mark.parametrize("status", [PlanStatus.FEASIBLE, PlanStatus.RULES])
def test_only_a_proved_plan_has_prices(status: PlanStatus) -> None:
    made = depot()
    assert rates(planned(made, hall_price(0.06), status=status), made, 0) == {}


def test_preferences_and_other_slots_do_not_count() -> None:
    made = depot()
    assert rates(planned(made, hall_price(1e-4)), made, 0) == {}
    assert rates(planned(made, hall_price(0.06)), made, 1) == {}


@pytest.mark.parametrize("rubbish", [None, [], [1.0] * 8, [1.0] * 8 + ["x"], [1.0] * 8 + [-1.0], [float("nan")] * 9, {"a": 1}, [True] * 9])
def test_rubbish_is_no_sum(rubbish: object) -> None:
    assert sum_from(rubbish) is None


def test_a_sum_comes_back_from_its_numbers() -> None:
    one = Sum(1.0, 2.0, 3.0, 4.0, 5.0, 6.0, [7.0, 8.0, 9.0])
    assert sum_from(one.numbers()) == one
    assert hours(2)[0].duration_s == 3600.0


def test_the_demand_charge_has_a_price_and_costs_nothing_by_itself() -> None:
    made = replace(depot(), demand_per_kw=5.0)
    rate = rates(planned(made, ShadowPrice("peak", None, 0.3, (0.3, 0.0))), made, 0)["peak"]
    assert (rate.bound_s, rate.cost, rate.saved) == (1.0, 0.0, 0.0)
    assert rate.per_unit == pytest.approx(0.3 / 3600.0)
