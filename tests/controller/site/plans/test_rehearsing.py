"""Rehearsals of the rest of the billing period: when, with what, and what a plan makes of them."""

from __future__ import annotations

import pytest

from controller.facts import PlanFailed, PlanSolved, Stamp
from controller.orders import SolvePlan
from controller.site.plans.posing import PEAK_SPARE, build_problem, rest_of
from controller.site.plans.rehearsing import EVERY_S, FAILED_S
from optimizer.live import Live
from optimizer.past import PastSession
from optimizer.problem import EXPECTED, Plan, Problem
from tests.support.site_story import WALL_S, Story, depot

DAY_S = 86_400.0
TARIFF = {"buy": [{"start": "00:00", "price_per_kwh": 0.2}], "demand_per_kw": 12, "demand_window_days": 30}
SOLVER = Live(verify=False)


def past(told: Story) -> list[PastSession]:
    """For four weeks, every day a car that wants 20 kWh in five hours."""
    comes = [told.at().wall_s + 7200.0 - days * DAY_S for days in range(1, 29)]
    return [PastSession("CP2/1", "grid", (0, 1, 2), at, at + 5 * 3600.0, 20_000.0, 22_000.0) for at in comes]


def story(**parts: object) -> Story:
    told = Story(depot(2, **{"tariff": TARIFF, "forecast": {"base_load_w": [5_000.0] * 24}, **parts}))  # type: ignore[arg-type]
    told.start()
    told.site.history.remember(past(told), told.at().wall_s)
    return told


def solved(told: Story, problem: Problem) -> Plan:
    plan = SOLVER.solve(problem, 20.0)
    told.do(PlanSolved(told.at(), plan))
    return plan


def rehearsed(told: Story, seconds: int) -> list[Problem]:
    """Let time pass while a solver answers; the rehearsals it got."""
    found = []
    if told.site.planner.waiting:
        solved(told, told.problems()[-1])
    for _ in range(seconds):
        already = len(told.orders)
        told.run(1, building_a=7.0)
        for problem in [order.problem for _, order in told.orders[already:] if isinstance(order, SolvePlan)]:
            solved(told, problem)
            if len(problem.slots) > 2 * 96:
                found.append(problem)
    return found


def test_the_rest_of_the_period_is_played_with_the_cars_of_each_past_week() -> None:
    told = story()
    problems = rehearsed(told, 20)
    assert len(problems) == 4
    for problem in problems:
        assert sum(ev.ev_id.startswith(EXPECTED) for ev in problem.evs) == 7
        assert len(problem.slots) == 7 * 96
        assert problem.demand_per_kw == pytest.approx(12.0 * 7 / 30, rel=0.01)
    assert told.site.rehearsals.worthwhile_w == pytest.approx(5_000.0 + 4_000.0, rel=0.02)


def test_a_plan_may_use_what_is_worth_paying_for_and_pays_the_whole_price_beyond() -> None:
    told = story()
    before = build_problem(told.config, told.site.layout, told.site.on_plans.inputs(told.at()), told.at())
    assert before.demand_per_kw == pytest.approx(12.0 / 30.0, rel=0.01), "nobody knows: a day's part"
    rehearsed(told, 20)
    after = build_problem(told.config, told.site.layout, told.site.on_plans.inputs(told.at()), told.at())
    assert after.demand_per_kw == 12.0
    assert after.peak_so_far_w == pytest.approx((1.0 - PEAK_SPARE) * (told.site.rehearsals.worthwhile_w or 0.0))
    assert after.created_wall_s != before.created_wall_s


def test_it_is_done_again_hours_later_and_not_before() -> None:
    told = story()
    assert len(rehearsed(told, 20)) == 4
    assert rehearsed(told, 20) == []
    told.now += EVERY_S
    assert len(rehearsed(told, 30)) == 4


def test_a_solver_that_fails_is_not_bothered_for_a_day_and_no_plan_is_lost() -> None:
    told = story()
    told.run(8, building_a=7.0)
    solved(told, told.problems()[-1])
    already = len(told.orders)
    told.run(2, building_a=7.0)
    (rehearsal,) = [order.problem for _, order in told.orders[already:] if isinstance(order, SolvePlan)]
    told.do(PlanFailed(told.at(), "late: too slow", rehearsal.created_wall_s))
    assert told.site.planner.failing == ""
    assert told.site.rehearsals.worthwhile_w is None
    assert rehearsed(told, 20) == []
    told.now += FAILED_S
    assert len(rehearsed(told, 30)) == 4


def test_an_answer_that_never_comes_is_not_waited_for() -> None:
    told = story()
    told.run(8, building_a=7.0)
    solved(told, told.problems()[-1])
    told.run(2, building_a=7.0)
    assert len(rehearsed(told, 120)) == 3


@pytest.mark.parametrize("case", ["no demand charge", "no past"])
def test_without_demand_charge_or_past_nothing_is_played(case: str) -> None:
    told = story(**({"tariff": {"buy": [{"start": "00:00", "price_per_kwh": 0.2}]}} if case == "no demand charge" else {}))
    if case == "no past":
        told = Story(depot(2, tariff=TARIFF))
        told.start()
    assert rehearsed(told, 20) == []
    assert told.site.rehearsals.worthwhile_w is None


def test_a_new_period_knows_nothing_of_the_old_one() -> None:
    told = story(tariff={**TARIFF, "demand_window_days": 2})
    rehearsed(told, 20)
    assert told.site.rehearsals.worthwhile_w is not None
    told.site.peak.since_wall_s = told.at().wall_s
    told.site.rehearsals.due(told.site.peak, told.at())
    assert told.site.rehearsals.worthwhile_w is None


def test_what_is_left_of_a_period() -> None:
    begin_s = WALL_S // 900 * 900 + 900
    rest = rest_of(begin_s + 14 * DAY_S, Stamp(0.0, begin_s - 10.0))
    assert (rest.begin_wall_s, rest.end_wall_s, rest.part) == (begin_s, begin_s + 7 * DAY_S, 0.5)
    assert rest_of(begin_s + 100.0, Stamp(0.0, begin_s)).empty
