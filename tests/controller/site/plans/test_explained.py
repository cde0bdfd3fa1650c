"""Adding up what plans say: hand-computed days, restarts, rubbish, and the site that does it all."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest

from controller.config import Config
from controller.facts import PlanFailed, PlanSolved, Restored, Stamp
from controller.orders import Order, Persist, SolvePlan
from controller.site.plans.explained import KEPT_DAYS, SPACE, Explained, day_from
from optimizer.problem import Plan, PlanStatus, Problem, ShadowPrice
from optimizer.rules import allocate
from tests.support.picture import site_config
from tests.support.plans import START_S, car, problem
from tests.support.site_story import Story, depot

TODAY = date(2023, 11, 15)  # START_S is midnight in Berlin
DAY_S = 86_400.0


def at(passed_s: float, **changes: object) -> Stamp:
    return replace(Stamp(500.0 + passed_s, START_S + passed_s), **changes)  # type: ignore[arg-type]


def hour_plan(shadow: tuple[float, float] = (0.06, 0.0), created_s: float = START_S) -> tuple[Plan, Problem]:
    """Two hours, one car of 4 kW that gets 1; the grid binds on L1."""
    made = problem((0.1, 0.4), car())
    price = ShadowPrice("grid", 0, sum(shadow), shadow)
    return Plan(created_s, made.slots, {"ev": (1000.0, 1000.0)}, (0.0, 0.0), PlanStatus.PROVED, 0.0, 0.0, shadow=(price,)), made


def run(explained: Explained, plan: Plan | None, made: Problem | None, begin_s: float, end_s: float, step_s: float = 1.0) -> list[Order]:
    orders: list[Order] = []
    passed_s = begin_s
    while passed_s <= end_s:
        orders += explained.passed(plan, made, at(passed_s))
        passed_s += step_s
    return orders


def memories(orders: list[Order]) -> dict[str, object]:
    found: dict[str, object] = {}
    for order in orders:
        if isinstance(order, Persist):
            found |= {name: memory for (space, name), memory in order.remember.items() if space == SPACE}
    return found


def test_a_slot_counts_for_as_long_as_it_was_lived_through() -> None:
    explained = Explained(site_config())
    plan, made = hour_plan()
    run(explained, plan, made, 0.0, 1800.0)
    one = explained.days[TODAY].limits["grid"]
    assert one.bound_s == pytest.approx(1800.0)
    assert one.per_unit == pytest.approx(0.03)  # half of the slot's 0.06
    assert one.cost == pytest.approx(0.03 * 15.0 / 2.0)  # 3 kW more at 200 V are 15 A
    assert one.phase_s == pytest.approx([1800.0, 0.0, 0.0])


def test_replanning_inside_a_slot_changes_nothing_of_its_price() -> None:
    """A shrinking first slot carries a price for its rest alone."""
    explained = Explained(site_config())
    plan, made = hour_plan()
    run(explained, plan, made, 0.0, 900.0)
    rest = (replace(made.slots[0], start_wall_s=START_S + 900.0, duration_s=2700.0), made.slots[1])
    later = replace(plan, created_wall_s=START_S + 900.0, slots=rest, shadow=(ShadowPrice("grid", 0, 0.045, (0.045, 0.0)),))
    run(explained, later, replace(made, slots=rest), 901.0, 3599.0)
    one = explained.days[TODAY].limits["grid"]
    assert one.per_unit == pytest.approx(0.06 * 3599.0 / 3600.0)
    assert one.bound_s == pytest.approx(3599.0)


def test_a_slot_that_does_not_bind_adds_nothing() -> None:
    explained = Explained(site_config())
    plan, made = hour_plan((0.0, 0.06))
    run(explained, plan, made, 0.0, 3599.0)
    assert explained.over(TODAY, 1) == {}
    run(explained, plan, made, 3600.0, 3700.0)
    assert explained.over(TODAY, 1)["grid"].bound_s == pytest.approx(101.0)


def test_no_plan_no_trusted_clock_and_a_suspended_machine_add_nothing() -> None:
    explained = Explained(site_config())
    plan, made = hour_plan()
    explained.passed(plan, made, at(0.0))
    explained.passed(None, None, at(1.0))
    explained.passed(plan, made, at(2.0, wall_trusted=False))
    explained.passed(plan, made, at(3.0))  # the first after the doubt only begins to count
    explained.passed(plan, made, at(1000.0))  # the machine slept
    assert "grid" not in explained.over(TODAY, 1)
    explained.passed(plan, made, at(1001.0))
    assert explained.over(TODAY, 1)["grid"].bound_s == pytest.approx(1.0)


def test_the_demo_clock_counts_what_it_shows() -> None:
    explained = Explained(site_config())
    plan, made = hour_plan()
    explained.passed(plan, made, at(0.0, wall_speed=60.0))
    explained.passed(plan, made, Stamp(501.0, START_S + 60.0, 60.0))
    assert explained.over(TODAY, 1)["grid"].bound_s == pytest.approx(60.0)


def test_days_are_those_of_the_site_and_weeks_are_their_sums() -> None:
    explained = Explained(site_config())
    for days in range(9):
        plan, made = hour_plan()
        moved = tuple(replace(slot, start_wall_s=slot.start_wall_s + days * DAY_S) for slot in made.slots)
        plan = replace(plan, slots=moved, created_wall_s=START_S + days * DAY_S)
        run(explained, plan, replace(made, slots=moved), days * DAY_S, days * DAY_S + 100.0)
    last = date(2023, 11, 23)
    assert sorted(explained.days)[0] == TODAY
    assert explained.over(last, 1)["grid"].bound_s == pytest.approx(100.0)
    assert explained.over(last, 7)["grid"].bound_s == pytest.approx(700.0)
    assert explained.over(last, 30)["grid"].bound_s == pytest.approx(900.0)


def test_a_restart_goes_on_where_the_journal_ends() -> None:
    explained = Explained(site_config())
    plan, made = hour_plan()
    explained.planned(replace(plan, way="hot", solve_s=0.02), at(0.0))
    kept = memories(run(explained, plan, made, 0.0, 1300.0))
    again = Explained(site_config())
    for name, memory in kept.items():
        again.recall(name, memory)
    one = again.days[TODAY].limits["grid"]
    assert 1300.0 - 600.0 <= one.bound_s <= 1300.0
    assert again.days[TODAY].counts["hot"] == 1.0
    run(again, plan, made, 1301.0, 1401.0)
    assert again.days[TODAY].limits["grid"].bound_s == pytest.approx(one.bound_s)  # the very same object goes on counting
    assert one.bound_s > 1300.0 - 600.0 + 99.0


def test_the_journal_is_written_to_rarely_and_forgets_old_days() -> None:
    explained = Explained(site_config())
    plan, made = hour_plan()
    orders = run(explained, plan, made, 0.0, 3590.0)
    assert 5 <= len(orders) <= 7  # every ten minutes
    old = date.fromordinal(TODAY.toordinal() - KEPT_DAYS)
    explained.recall(old.isoformat(), {"limits": {}, "counts": {"plans": 3}})
    kept = memories(run(explained, plan, made, 3600.0, 4800.0))
    assert kept[old.isoformat()] is None
    assert old not in explained.days


@pytest.mark.parametrize("memory", [None, 7, [], {"limits": 3, "counts": []}, {"limits": {"grid": ["x"] * 9}, "counts": {"plans": "many"}}])
def test_rubbish_in_the_journal_is_left_out(memory: object) -> None:
    explained = Explained(site_config())
    explained.recall("2023-11-15", memory)
    explained.recall("yesterday", {"limits": {}, "counts": {}})
    assert explained.over(TODAY, 30) == {}
    day = day_from(memory)
    assert day is None or set(day.counts.values()) == {0.0}


def test_expected_and_come_are_compared_by_the_hour_and_the_day() -> None:
    explained = Explained(site_config())
    soon = car("expected:1", 6000.0, expected=True, arrival_wall_s=START_S + 3700.0)
    later = car("expected:2", 9000.0, expected=True, arrival_wall_s=START_S + 7300.0)
    plan, made = hour_plan()
    made = replace(made, evs=(*made.evs, soon, later))
    run(explained, plan, made, 3500.0, 3700.0, 100.0)
    counts = explained.days[TODAY].counts
    assert (counts["seen_h"], counts["expected_wh"]) == (1.0, 6000.0)
    explained.charged(START_S + 3750.0, 5500.0, at(9000.0))
    explained.charged(START_S - 40 * DAY_S, 5500.0, at(9000.0))  # nobody remembers that day
    assert (counts["came"], counts["came_wh"]) == (1.0, 5500.0)


# -- in the site -------------------------------------------------------------------------------------------


def config() -> Config:
    return depot(2, fuse_a=40.0, api={"port": 0})


def solved(story: Story, amount: float = 0.06) -> None:
    """Answer the last problem with the rules' plan, proved, and a price on L1 of the grid."""
    made = next(order.problem for _, order in reversed(story.orders) if isinstance(order, SolvePlan))
    prices = tuple(amount * slot.duration_s / 3600.0 for slot in made.slots)
    plan = replace(allocate(made), status=PlanStatus.PROVED, shadow=(ShadowPrice("grid", 0, sum(prices), prices),), way="rebuilt", solve_s=0.01)
    story.do(PlanSolved(story.at(), plan))


def busy() -> Story:
    story = Story(config())
    story.start()
    story.plug("CP1")
    story.plug("CP2")
    story.run(20, 10.0)
    return story


def test_the_site_adds_up_tells_and_remembers() -> None:
    story = busy()
    solved(story)
    story.run(120, 10.0)
    view = story.site.view(story.at()).explain
    assert view is not None
    assert view.limits[0].where == "grid"
    assert 60.0 <= view.limits[0].today.bound_s <= 121.0
    assert view.sentences[0].startswith("The grid connection held cars back for 2 min today; that cost about ")
    assert (view.solver.plans, view.solver.proved, view.solver.way) == (1, 1, "rebuilt")
    story.run(700, 10.0)
    kept = {key: memory for _, order in story.orders if isinstance(order, Persist) for key, memory in order.remember.items() if key[0] == SPACE}
    assert kept
    again = Story(config())
    again.now = story.now
    again.do(Restored(again.at(), kept, {}))
    known = again.site.explained.over(again.site.explained.today(again.at()), 1)["grid"]
    assert known.bound_s == pytest.approx(story.site.explained.over(story.site.explained.today(story.at()), 1)["grid"].bound_s, abs=600.0)


def test_failures_of_the_solver_are_counted() -> None:
    story = busy()
    story.do(PlanFailed(story.at(), "the solver is gone"))
    made = next(order.problem for _, order in reversed(story.orders) if isinstance(order, SolvePlan))
    wrong = allocate(made)
    name = next(iter(wrong.ev_power_w))
    too_much = replace(wrong, ev_power_w={**wrong.ev_power_w, name: (1e6,) * len(made.slots)})
    story.do(PlanSolved(story.at(), too_much))
    story.run(61, 10.0)
    view = story.site.view(story.at()).explain
    assert view is not None
    assert view.solver.failed == 2
    assert view.solver.plans == 0
    assert "2 plans did not come in time or were refused." in view.sentences[-1]
