"""Why an EVSE gets what it gets: the chain adds up, and its sentence names what binds."""

from __future__ import annotations

from dataclasses import replace

import pytest

from controller.facts import DriverKnown, EvseKey, LimitReceived, LimitStep, LimitUnit, PlanSolved, UpstreamWished
from controller.site.telling.why import explain
from controller.snapshot import WhyRow, WhyView
from optimizer.problem import Problem
from optimizer.rules import allocate
from tests.support.site_story import Story, depot

CP1 = EvseKey("CP1", 1)


def told(count: int = 1, **parts: object) -> Story:
    story = Story(depot(count, **parts))  # type: ignore[arg-type]
    story.start()
    for number in range(count):
        story.plug(f"CP{number + 1}")
    story.run(60, 10.0)
    return story


def why(story: Story, key: EvseKey = CP1) -> WhyView:
    return explain(story.site, key, story.at())


def adds_up(row: WhyRow) -> bool:
    return row.carries_a == pytest.approx(row.other_a + row.margin_a + row.booked_a + row.others_a + row.own_a + row.left_a, abs=0.05)


def test_alone_the_charger_itself_is_the_limit_and_every_row_adds_up() -> None:
    found = why(told())
    assert found.limit_a == 32.0
    assert found.layers[0].what == "charger maximum"
    assert found.layers[0].binds
    assert found.sentence == "CP1/1 has 32 A: charger maximum."
    assert [row.carries_a for row in found.rows] == [63.0] * 3
    assert all(adds_up(row) for row in found.rows)
    assert not any(row.binds for row in found.rows)


def test_a_full_fuse_is_named_with_who_fills_it() -> None:
    story = told(4)
    found = why(story)
    assert found.rows[0].binds
    assert found.rows[0].left_a < 1.0
    assert all(adds_up(row) for row in found.rows)
    assert found.limit_a is not None
    assert f"has {found.limit_a:g} A: fuse L" in found.sentence
    assert "carries 63 A and is full (10 A other load" in found.sentence
    assert not found.layers[0].binds


def test_a_site_limit_takes_the_place_of_the_fuse() -> None:
    story = told(2)
    story.do(LimitReceived(story.at(), "mqtt", "grid", 30.0, LimitUnit.A, 600.0))
    story.run(50, 10.0)  # the last small rise comes half a minute after the one before
    row = why(story).rows[0]
    assert (row.what, row.carries_a, row.margin_a) == ("fleet limit (mqtt)", 30.0, 0.0)
    assert adds_up(row)
    assert "fleet limit (mqtt) L1 allows 30 A and is full" in why(story).sentence


def test_the_lowest_layer_is_the_csms() -> None:
    story = told()
    story.do(UpstreamWished(story.at(), CP1, (LimitStep(0.0, 13.0),), "upstream profile 17"))
    story.run(20, 10.0)
    found = why(story)
    lowest = found.layers[0]
    assert (lowest.what, lowest.limit_a, lowest.source, lowest.binds) == ("upstream profile 17", 13.0, "upstream", True)
    assert found.sentence == "CP1/1 has 13 A: upstream profile 17."


def test_who_waits_is_told_for_how_long_and_behind_whom() -> None:
    story = told(3, fuse_a=24.0, evse={"max_current_a": 16, "fallback_a": 0})
    waiting = [key for key in story.site.evses if (grant := story.site.grants.get(key)) is not None and grant.waiting]
    assert waiting
    found = why(story, waiting[0])
    assert f"{waiting[0]} waits for its turn: fuse L" in found.sentence
    assert "It has waited" in found.sentence


def test_priority_is_told_with_its_sources() -> None:
    story = told()
    session = story.site.evses[CP1].session
    assert session is not None
    story.do(DriverKnown(story.at(), CP1, session.transaction_id, 3, group="vans"))
    story.run(2, 10.0)
    assert (why(story).priority, why(story).priority_from) == (3, "EVSE +0, group vans +3")


def test_without_a_car_and_without_a_station() -> None:
    story = Story(depot(1))
    story.start()
    story.run(3, 10.0)
    assert why(story).sentence == "CP1/1: no car charges here; the next one starts with the fallback of 6 A."
    assert why(story).rows == ()
    assert "fallback 6 A, confirmed by the station" in why(story).told


def test_the_plan_is_told_in_stretches_with_what_holds_them() -> None:
    story = told(2)
    problem = story.problems()[-1]
    assert isinstance(problem, Problem)
    plan = allocate(problem)
    watts = {ev.ev_id: ev.max_power_w for ev in problem.evs}
    slots = len(problem.slots)
    shaped = {name: (top, top, *(0.0,) * (slots - 2)) for name, top in watts.items()}
    story.site.planner._take(replace(plan, ev_power_w=shaped), problem, story.at())
    steps = why(story).plan
    assert [round(step.power_w) for step in steps[:2]] == [round(watts["CP1/1"]), 0]
    assert steps[0].reason == "charger or car maximum"
    assert steps[1].reason in ("other hours are cheaper", "no higher peak than the month has to pay for")
    assert steps[0].end_wall_s == steps[1].start_wall_s
    assert [step.start_wall_s for step in steps] == sorted(step.start_wall_s for step in steps)


def test_a_full_circuit_in_the_plan_is_named() -> None:
    story = told(2, circuits=1, circuit_fuse_a=32.0)
    problem = story.problems()[-1]
    assert isinstance(problem, Problem)
    plan = allocate(problem)
    story.do(PlanSolved(story.at(), plan))
    busy = [step for step in why(story).plan if step.power_w > 1000.0]
    assert busy
    assert all(step.reason.startswith(("hall0 L", "charger", "enough")) for step in busy)
