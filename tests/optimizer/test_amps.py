"""From plans to amps, one idea at a time; the laws on random sites stand in ``tests/properties/test_amps_laws.py``.

VOLTS is 200: 1 kW on one phase is 5 A. Plans are written by hand, so that it is clear what is rounded.
"""

import math
from dataclasses import replace
from typing import Any

import pytest

from optimizer.amps import Rounded, Steps, to_amps
from optimizer.problem import Ev, Plan, Problem
from optimizer.rules import allocate
from tests.support.plans import HOUR_S, START_S, VOLTS, car, grid, load, problem, v2g_car

WHOLE = Steps(6.0, 32.0)


def planned(site: Problem, grid_a: float, *amps: tuple[float, ...]) -> Plan:
    """A plan of these currents per car (first slot, later ones) and this import in the first slot."""
    count = len(site.slots)
    series = {
        ev.ev_id: tuple(value * VOLTS * len(ev.phases) for value in (row + (0.0,) * count)[:count]) for ev, row in zip(site.evs, amps, strict=True)
    }
    grid_w = (grid_a * VOLTS, *allocate(site).grid_power_w[1:])
    return replace(allocate(site), ev_power_w=series, grid_power_w=grid_w, peak_w=grid_a * VOLTS, shortfall_wh={})


def amps_of(site: Problem, plan: Plan, owed: dict[str, float] | None = None, charging: tuple[str, ...] = (), **more: Any) -> Rounded:
    return to_amps(site, plan, {ev.ev_id: WHOLE for ev in site.evs}, owed or {}, charging, **more)


def big(name: str, **changes: Any) -> Ev:
    return car(name, need_wh=40_000.0, max_power_w=32 * VOLTS, **changes)


@pytest.mark.parametrize(
    ("steps", "amps", "down", "up"),
    [
        (Steps(6.0, 32.0), 5.99, 0.0, 6.0),
        (Steps(6.0, 32.0), 10.7, 10.0, 11.0),
        (Steps(6.0, 32.0, 0.1), 10.75, 10.7, 10.8),
        (Steps(6.0, 32.0, 0.0), 10.75, 10.75, 10.75),
        (Steps(7.0, 15.0, 2.0), 7.5, 7.0, 8.0),
        (Steps(6.0, 15.0, 2.0), 40.0, 14.0, 14.0),
    ],
)
def test_steps(steps: Steps, amps: float, down: float, up: float) -> None:
    assert steps.floor(amps) == down
    assert steps.ceiling(amps) == up


def test_a_number_that_is_none_is_no_current() -> None:
    assert Steps(6.0, 32.0).floor(math.nan) == 0.0


def test_rounding_down_withholds_and_what_is_withheld_is_paid_back_first() -> None:
    """10.6 A in a wire of 21: 10 now, 0.6 Ah owed; then 11, for 10.6 + 0.6 are due."""
    site = problem([0.3], big("a", departure_wall_s=START_S + 9 * HOUR_S), nodes=[grid(21.0)])
    plan = planned(site, 10.6, (10.6,))
    first = amps_of(site, plan)
    assert first.setpoint_a == {"a": 10.0}
    assert first.owed_wh == {"a": pytest.approx(0.6 * VOLTS)}
    site = replace(site, evs=(replace(site.evs[0], energy_need_wh=60_000.0),))
    plan = replace(plan, shortfall_wh={"a": 1.0})
    assert amps_of(site, plan, first.owed_wh).setpoint_a == {"a": 11.0}


def test_a_car_in_the_gap_takes_its_minimum_from_one_with_time_to_spare() -> None:
    """32 + 4 A fill the wire of 36: 30 and 6 is what chargers can do."""
    site = problem([0.3] * 4, big("a"), big("b"), nodes=[grid(36.0)])
    assert amps_of(site, planned(site, 36.0, (32.0, 32.0), (4.0, 4.0))).setpoint_a == {"a": 30.0, "b": 6.0}


def test_who_has_no_time_to_spare_gives_nothing_away() -> None:
    pressed = big("a", departure_wall_s=START_S + 4 * HOUR_S)
    site = problem([0.3] * 4, pressed, big("b"), nodes=[grid(36.0)])
    assert amps_of(site, planned(site, 36.0, (32.0, 32.0), (3.0, 4.0))).setpoint_a == {"a": 32.0, "b": 0.0}


def test_beyond_the_plan_only_where_the_same_energy_is_no_cheaper_later() -> None:
    cars = big("a"), big("b")
    for later, expected in ((0.4, 6.0), (0.2, 0.0)):
        site = problem([0.3, later], *cars)
        assert amps_of(site, planned(site, 3.0, (3.0, 10.0), (0.0, 0.0))).setpoint_a == {"a": expected, "b": 0.0}


def test_a_paid_peak_is_not_raised() -> None:
    site = problem([0.3, 0.4], big("a"), demand_per_kw=5.0, demand_window_s=3600.0)
    plan = planned(site, 3.0, (3.0, 3.0))
    assert amps_of(site, plan).setpoint_a == {"a": 0.0}
    assert amps_of(replace(site, peak_so_far_w=6.0 * VOLTS), plan).setpoint_a == {"a": 6.0}


def test_a_car_that_is_done_in_this_slot_gets_the_whole_step() -> None:
    site = problem([0.3, 0.2], car("a", need_wh=2.5 * VOLTS), demand_per_kw=5.0, demand_window_s=3600.0)
    assert amps_of(site, planned(site, 2.5, (2.5,))) == Rounded({"a": 6.0}, {})


def test_giving_back_knows_the_same_gap_and_steps() -> None:
    site = problem([0.3, 0.3], v2g_car("a", max_discharge_w=16 * VOLTS), nodes=[grid(63.0, other_load_a=load(30.0, 30.0))])
    assert amps_of(site, planned(site, 19.3, (-10.7,))).setpoint_a == {"a": -10.0}
    waiting = amps_of(site, planned(site, 29.0, (-0.2,)), held_s=300.0)
    assert waiting.setpoint_a == {"a": 0.0}
    assert waiting.owed_wh == {"a": pytest.approx(-0.2 * VOLTS / 12.0)}
    assert amps_of(site, planned(site, 27.0, (-3.0,)), charging=("a",), held_s=300.0).setpoint_a == {"a": -6.0}


def test_where_others_overload_a_wire_giving_back_is_rounded_up() -> None:
    site = problem([0.3], v2g_car("a", max_discharge_w=16 * VOLTS), nodes=[grid(20.0, other_load_a=load(30.5))])
    assert amps_of(site, planned(site, 20.0, (-10.5,))).setpoint_a == {"a": -11.0}


def test_a_car_near_full_is_offered_the_minimum_and_upstream_is_obeyed() -> None:
    tapering = big("a", capacity_wh=50_000.0, soc_wh=49_000.0, acceptance=((40_000.0, 6000.0), (50_000.0, 0.0)))
    capped = big("b", max_slot_power_w=(5.0 * VOLTS,))
    site = problem([0.3], tapering, capped)
    assert amps_of(site, planned(site, 8.0, (3.0,), (5.0,)), charging=("a", "b"), held_s=300.0).setpoint_a == {"a": 6.0, "b": 0.0}


def test_cars_that_are_expected_or_cannot_be_commanded_get_nothing() -> None:
    site = problem([0.3], big("a"), big("expected:1", expected=True), big("announced"))
    plan = planned(site, 30.0, (10.0,), (10.0,), (10.0,))
    assert set(to_amps(site, plan, {"a": WHOLE, "expected:1": WHOLE}, {}, ()).setpoint_a) == {"a"}
