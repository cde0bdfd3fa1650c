"""A limit of all controllable loads in a plan: cars and the commanded battery beneath it are one row."""

from __future__ import annotations

import dataclasses

import pytest

from controller.facts import EvseKey, LimitStep
from controller.site.grid.der import FaceSteps
from controller.site.layout import layout_of
from controller.site.plans.cars import Wishes
from controller.site.plans.posing_faces import limited_sums
from optimizer.check import check
from optimizer.problem import Node, Plan, Problem
from optimizer.rules import allocate
from optimizer.solve import solve
from tests.support.plans import HOUR_S, START_S, battery, car, grid, problem
from tests.support.site_story import QUICK, depot

HERE = frozenset({"CP1", "CP2"})
PER_A = 3 * 230.0
"""An even part of one ampere on the three phases of the layout [W]."""
SIX_KW = 6000.0 / PER_A
NAME = "limit (dso)"


def posed(*limits: LimitStep, commanded: bool = True, booked_a: float = 0.0) -> Problem:
    """Four hours, the first two cheap; a building of 5 kW on L1. One car needs 6 kWh in the first two, another 4 kWh until the end; an empty
    battery. 3 x 230 V in the layout, 200 V in the problem."""
    short, long = START_S + 2 * HOUR_S, START_S + 4 * HOUR_S
    cars = (car("CP1/1", need_wh=6000.0, departure_wall_s=short), car("CP2/1", need_wh=4000.0, departure_wall_s=long))
    root = grid(other_load_a=((25.0, 0.0, 0.0),) * 4)
    given = problem([0.1, 0.1, 1.0, 1.0], *cars, nodes=(root,), battery=battery())
    face = FaceSteps(NAME, HERE, limits, with_battery=True)
    booked = {EvseKey("CP1", 1): booked_a} if booked_a else {}
    return limited_sums(given, (face,), layout_of(depot(2), QUICK), Wishes(given.slots), booked, commanded)


def middle(of: Problem) -> Node:
    return next(node for node in of.nodes if node.node_id == NAME)


def together_w(plan: Plan, slot: int) -> float:
    return sum(series[slot] for series in plan.ev_power_w.values()) + max(0.0, plan.battery_power_w[slot])


def test_a_battery_may_have_all_that_cars_leave_and_no_more() -> None:
    given = posed(LimitStep(START_S, SIX_KW, total=True))
    plan = solve(given, 10.0)
    assert check(given, plan) == ()
    assert [together_w(plan, slot) for slot in (0, 1)] == pytest.approx([6000.0, 6000.0])  # cheap: all of it is used
    assert plan.battery_power_w[0] + plan.battery_power_w[1] >= 2000.0 - 1e-3  # two hours of 6 kW less 6 and 4 kWh of the cars
    assert not plan.shortfall_wh


def test_the_building_beside_does_not_count() -> None:
    node = middle(posed(LimitStep(START_S, SIX_KW, total=True)))
    assert node.slot_total_w == pytest.approx((6000.0,) * 4)
    assert node.battery_counts


def test_a_battery_that_is_not_ours_to_charge_does_not_count() -> None:
    given = posed(LimitStep(START_S, SIX_KW, total=True), commanded=False)
    plan = solve(given, 10.0)
    assert not middle(given).battery_counts
    assert together_w(plan, 0) > 6500.0


def test_the_limit_of_a_total_is_none_of_each_phase() -> None:
    """Both cars hang on L1: 6 kW are 30 A there at 200 V, a third of it would be 10 A."""
    given = posed(LimitStep(START_S, SIX_KW, total=True))
    plan = allocate(given)
    assert check(given, plan) == ()
    assert sum(series[0] for series in plan.ev_power_w.values()) == pytest.approx(6000.0)


def test_a_limit_per_phase_stays_one() -> None:
    given = posed(LimitStep(START_S, 10.0))
    plan = solve(given, 10.0)
    assert middle(given).slot_total_w == ()
    assert sum(series[0] for series in plan.ev_power_w.values()) <= 2000.0 + 1e-3  # 10 A on L1 at 200 V


def test_chargers_nobody_commands_come_off_with_all_their_phases() -> None:
    node = middle(posed(LimitStep(START_S, SIX_KW, total=True), booked_a=4.0))
    assert node.slot_total_w == pytest.approx((6000.0 - 4.0 * PER_A,) * 4)


def test_a_limit_that_ends_holds_in_its_slots_only() -> None:
    node = middle(posed(LimitStep(START_S, SIX_KW, total=True), LimitStep(START_S + 2 * HOUR_S, None, total=True)))
    assert node.slot_total_w[:2] == pytest.approx((6000.0, 6000.0))
    assert min(node.slot_total_w[2:]) > 100_000.0


def test_a_battery_alone_may_use_the_whole_limit() -> None:
    given = posed(LimitStep(START_S, 3000.0 / PER_A, total=True))
    alone = dataclasses.replace(given, evs=())
    plan = solve(alone, 10.0)
    assert check(alone, plan) == ()
    assert max(plan.battery_power_w) == pytest.approx(3000.0)
