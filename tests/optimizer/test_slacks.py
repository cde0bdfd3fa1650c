"""Broken soft rules of plans by rules: told in the right amount, at the weights the program would use."""

from __future__ import annotations

import pytest

from optimizer.problem import Node, SlackKind
from optimizer.rules import allocate, uncontrolled
from optimizer.weights import weights
from tests.support.plans import battery, car, grid, load, problem


def test_a_plan_that_keeps_everything_tells_nothing() -> None:
    assert allocate(problem([0.3, 0.3], car())).slacks == ()


def test_an_uncontrolled_site_tells_its_overloads_and_its_import() -> None:
    site = problem([0.3], car("a"), car("b"), nodes=[grid(30.0), Node("hall", "grid", (25.0,) * 3)], import_limit_w=(5000.0,))
    found = {(slack.kind, slack.where): slack for slack in uncontrolled(site).slacks}
    assert set(found) == {(SlackKind.OVERLOAD, "grid/L1"), (SlackKind.IMPORT, "site")}
    over = found[SlackKind.OVERLOAD, "grid/L1"]
    assert (over.slot, over.amount, over.unit) == (0, pytest.approx(10.0), "A")
    assert over.cost == pytest.approx(2.0 * weights(site).overload)
    assert over.price == pytest.approx(0.2 * weights(site).overload)
    assert found[SlackKind.IMPORT, "site"].amount == pytest.approx(3.0)


def test_the_worst_slot_is_named_and_all_slots_cost() -> None:
    site = problem([0.3, 0.3, 0.3], nodes=[grid(20.0, other_load_a=load(21.0, 25.0, 0.0))])
    (slack,) = allocate(site).slacks
    assert (slack.slot, slack.amount) == (1, pytest.approx(5.0))
    assert slack.cost == pytest.approx(6 * 0.2 * weights(site).overload)


def test_a_battery_that_rests_below_its_reserve_is_told() -> None:
    (slack,) = allocate(problem([0.3], battery=battery(soc_wh=1000.0, reserve_wh=4000.0))).slacks
    assert (slack.kind, slack.amount, slack.unit) == (SlackKind.BATTERY_RESERVE, pytest.approx(3.0), "kWh")


def test_a_missed_setpoint_is_told_only_where_somebody_asked() -> None:
    (slack,) = allocate(problem([0.3, 0.3], car(need_wh=4000.0), grid_setpoint_w=(None, 1500.0))).slacks
    assert (slack.kind, slack.slot, slack.amount) == (SlackKind.SETPOINT, 1, pytest.approx(1.5))
