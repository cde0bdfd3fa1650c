"""A battery that is commanded, and PV that nobody can hold down: what the plan may and may not do with them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from optimizer.check import check
from optimizer.problem import Battery, Ev, Node, Problem, Slot
from optimizer.solve import solve

HOUR = 3600.0


def problem(battery: Battery, pv_w: tuple[float, ...], load_a: float, buy: tuple[float, ...], sell: tuple[float, ...]) -> Problem:
    slots = tuple(Slot(index * HOUR, HOUR) for index in range(len(buy)))
    node = Node("grid", None, (100.0, 100.0, 100.0), other_load_a=((load_a, load_a, load_a),) * len(buy))
    return Problem(0.0, slots, 230.0, (node,), (), buy, sell, pv_w, battery=battery)


STORE = Battery(10_000.0, 5_000.0, 0.0, 5_000.0, 5_000.0, 1.0)


def test_one_that_takes_the_sun_only_buys_nothing_cheap() -> None:
    posed = problem(STORE, (0.0, 2_000.0, 0.0), 0.0, (0.01, 0.3, 0.5), (0.0, 0.0, 0.4))
    assert solve(posed, 10.0).battery_power_w[0] > 1_000.0
    sun_only = solve(replace(posed, battery=replace(STORE, sun_only=True)), 10.0)
    assert sun_only.battery_power_w[0] == pytest.approx(0.0, abs=1.0)
    assert max(sun_only.battery_power_w) <= 2_000.0 + 1.0


def test_one_that_may_not_feed_in_gives_no_more_than_is_drawn() -> None:
    posed = problem(STORE, (0.0, 0.0), 2.0, (0.1, 0.6), (0.0, 0.5))  # 1380 W are drawn; feeding in would pay well in the second hour
    assert min(solve(posed, 10.0).battery_power_w) < -4_000.0
    own = solve(replace(posed, battery=replace(STORE, feeds_grid=False)), 10.0)
    assert min(own.battery_power_w) >= -1_380.0 - 1.0


def test_sun_that_cannot_be_held_down_is_not_thrown_away() -> None:
    full = replace(STORE, soc_wh=10_000.0, max_discharge_w=0.0)
    posed = problem(full, (8_000.0, 8_000.0), 1.0, (0.3, 0.3), (-0.1, -0.1))
    assert min(solve(posed, 10.0).pv_curtailed_w) > 7_000.0
    fixed = solve(replace(posed, pv_fixed=True), 10.0)
    assert max(fixed.pv_curtailed_w, default=0.0) == pytest.approx(0.0, abs=1.0)


def car(**more: float) -> Ev:
    """A car that is there for both hours and needs next to nothing."""
    return Ev("car", "grid", (0, 1, 2), 0.0, 2 * HOUR, 100.0, 4_140.0, 22_080.0, **more)  # type: ignore[arg-type]


def test_a_car_that_could_take_it_and_waits_is_no_excuse_to_feed_in() -> None:
    """1380 W are drawn and a 22 kW car stands there with its need met: the battery serves the building, whatever feeding in pays."""
    posed = replace(problem(replace(STORE, feeds_grid=False), (0.0, 0.0), 2.0, (0.1, 0.6), (0.0, 0.5)), evs=(car(),))
    plan = solve(posed, 10.0)
    assert min(plan.grid_power_w) >= -1.0
    assert check(posed, plan) == ()


def names(posed: Problem, store: Battery, pv_fixed: bool = False) -> set[str]:
    """What the verifier says to a plan that was made without these rules."""
    return {one.name for one in check(replace(posed, battery=store, pv_fixed=pv_fixed), solve(posed, 10.0))}


def test_the_verifier_names_plans_that_do_what_the_owner_forbids() -> None:
    posed = problem(STORE, (0.0, 2_000.0, 0.0), 2.0, (0.01, 0.3, 0.9), (0.0, 0.0, 0.8))
    assert names(posed, STORE) == set()
    assert names(posed, replace(STORE, sun_only=True)) == {"battery_sun_only"}
    assert names(posed, replace(STORE, feeds_grid=False)) == {"battery_feeds_grid"}
    full = replace(STORE, soc_wh=10_000.0, max_discharge_w=0.0)
    sunny = problem(full, (8_000.0, 8_000.0), 1.0, (0.3, 0.3), (-0.1, -0.1))
    assert names(sunny, full) == set()
    assert names(sunny, full, pv_fixed=True) == {"curtailment"}
