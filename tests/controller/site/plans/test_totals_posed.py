"""Limits in watts in the planning problem: one row of all phases, from what holds now to what is announced."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from controller.facts import LimitUnit
from controller.site.grid.announced import Ahead, with_announced, with_total
from optimizer.check import check
from optimizer.problem import Node, Problem
from optimizer.solve import solve
from tests.support.plans import HOUR_S, START_S, VOLTS, car, grid, problem
from tests.support.site_story import Story, depot


def bare(**changes: object) -> Problem:
    hall = Node("hall", "grid", (50.0, 50.0, 50.0))
    return problem([0.1, 0.1, 0.1], car("ev", need_wh=9000.0, node_id="hall"), nodes=[grid(**changes), hall])  # type: ignore[arg-type]


def node(of: Problem, name: str) -> Node:
    return next(one for one in of.nodes if one.node_id == name)


def test_a_limit_of_a_circuit_is_a_total_of_its_node_and_of_no_phase() -> None:
    """2 kW are 10 A at 200 V on one phase; a third would be 3.3 A."""
    found = with_total(bare(), "hall", [2000.0, math.inf, 3000.0])
    assert node(found, "hall").slot_total_w[::2] == (2000.0, 3000.0)
    assert node(found, "hall").slot_total_w[1] > 50.0 * VOLTS * 3
    assert node(found, "hall").slot_limit_a == ()
    plan = solve(found, 10.0)
    assert check(found, plan) == ()
    assert plan.ev_power_w["ev"] == pytest.approx((2000.0, 4000.0, 3000.0))


def test_at_the_grid_connection_it_is_the_import_limit_with_room_for_a_worse_day_below_it() -> None:
    found = with_total(bare(margin_a=(2.0, 0.0, 2.0)), "grid", [9000.0, 9000.0, math.inf])
    assert found.import_limit_w[:2] == (9000.0, 9000.0)
    assert node(found, "grid").slot_total_w[:2] == (9000.0 - 3 * 2.0 * VOLTS, 9000.0)
    assert min(found.import_limit_w[2], node(found, "grid").slot_total_w[2]) > 100_000.0


def test_the_lowest_of_several_holds() -> None:
    found = with_total(with_total(bare(), "grid", [9000.0] * 3), "grid", [12_000.0, 6000.0, math.inf])
    assert found.import_limit_w == (9000.0, 6000.0, 9000.0)
    assert node(found, "grid").slot_total_w == (9000.0, 6000.0, 9000.0)


def test_nothing_said_changes_nothing() -> None:
    assert with_total(bare(), "grid", [math.inf] * 3) == bare()


def test_what_is_announced_in_watts_touches_whole_slots_and_keeps_import_free() -> None:
    """5 A as an even part of 200 V and three phases are 3 kW, in the second hour only."""
    begin_s = START_S + HOUR_S
    said = Ahead("dso", "grid", begin_s, begin_s + 600.0, 5.0, total=True)
    found = with_announced(bare(), (said,), 3)
    assert found.import_limit_w[1] == pytest.approx(3000.0)
    assert min(found.import_limit_w[0], found.import_limit_w[2]) > 100_000.0
    assert node(found, "grid").slot_limit_a == ()
    assert found.reserve_w[0] == found.reserve_w[2] == 0.0
    per_phase = with_announced(bare(), (replace(said, total=False),), 3)
    assert node(per_phase, "grid").slot_limit_a[1] == 5.0
    assert per_phase.import_limit_w == ()


def test_a_fleet_limit_in_watts_is_posed_as_a_total_and_one_in_amps_by_phase() -> None:
    story = Story(depot(2, fuse_a=63.0))
    story.start()
    story.plug("CP1")
    story.limit(20_000.0, LimitUnit.W, valid_for_s=7200.0)
    story.limit(40.0, LimitUnit.A, valid_for_s=7200.0, source="api")
    story.run(70)
    posed: Problem = story.problems()[-1]
    root = next(one for one in posed.nodes if one.parent is None)
    assert posed.import_limit_w[0] == pytest.approx(20_000.0)
    assert root.slot_total_w[0] <= 20_000.0 + 1e-6
    assert root.slot_limit_a[0] == 40.0
    assert max(posed.import_limit_w) > 100_000.0  # it ends


def test_a_contract_is_a_total_all_day() -> None:
    story = Story(depot(1, fuse_a=63.0, grid={"max_import_w": 30_000}))
    story.start()
    story.plug("CP1")
    story.run(70)
    posed: Problem = story.problems()[-1]
    root = next(one for one in posed.nodes if one.parent is None)
    assert posed.import_limit_w == pytest.approx((30_000.0,) * len(posed.slots))
    assert root.slot_limit_a == ()
