"""Late, dead and wrong solvers are told apart, plans that are only feasible are told once, the page sees expected cars apart."""

from __future__ import annotations

import pytest

from controller.facts import PlanFailed, PlanSolved, SeriesKind, SeriesTold
from controller.site.plans.planned import PROVED_AGAIN, UNPROVED, Fitness, Trouble, trouble_of
from optimizer.problem import PlanStatus
from optimizer.rules import allocate
from tests.support.site_story import Story, depot


@pytest.mark.parametrize(
    ("reason", "trouble"),
    [
        ("late: no plan within 10 s, the solver was killed and is started again", Trouble.LATE),
        ("deadline: 8 s were not enough", Trouble.LATE),
        ("no answer from the solver", Trouble.LATE),
        ("crashed: the solver ended in the middle of its work", Trouble.DEAD),
        ("garbage: the solver's answer makes no sense", Trouble.DEAD),
        ("out_of_memory: more than 2048 MB", Trouble.DEAD),
        ("the plan was wrong: node at grid/L1 by 3", Trouble.WRONG),
        ("wrong_answer: node at grid/L1 by 3", Trouble.WRONG),
        ("bad_problem: no slots", Trouble.OTHER),
    ],
)
def test_what_is_wrong_with_the_solver(reason: str, trouble: Trouble) -> None:
    assert trouble_of(reason) is trouble


def story() -> Story:
    told = Story(depot(1))
    told.start()
    told.plug("CP1")
    told.run(8)
    return told


def test_people_are_told_which_and_the_page_too_until_plans_come_again() -> None:
    told = story()
    told.do(PlanFailed(told.at(), "late: no plan within 10 s"))
    assert told.told("the solver is too late")
    view = told.site.view(told.at()).plan
    assert view is not None
    assert (view.status, view.trouble) == ("rules", "late")
    told.run(65)
    told.do(PlanSolved(told.at(), allocate(told.problems()[-1])))
    view = told.site.view(told.at()).plan
    assert view is not None
    assert view.trouble == ""


def test_plans_that_are_only_feasible_are_told_once_and_so_is_their_end() -> None:
    fitness = Fitness()
    told = [len(fitness.told(PlanStatus.FEASIBLE)) for _ in range(UNPROVED + 3)]
    assert told == [0] * (UNPROVED - 1) + [1, 0, 0, 0]
    assert [len(fitness.told(PlanStatus.PROVED)) for _ in range(PROVED_AGAIN + 1)] == [0] * (PROVED_AGAIN - 1) + [1, 0]


def test_one_slow_solve_is_no_news() -> None:
    fitness = Fitness()
    statuses = [PlanStatus.FEASIBLE, PlanStatus.PROVED] * 5
    assert not [order for status in statuses for order in fitness.told(status)]


@pytest.mark.parametrize(("tariff", "announced"), [({}, set()), ({"market": {"feed": {"type": "http", "url": "http://a/"}}}, {False, True})])
def test_the_page_is_told_which_prices_a_market_has_announced(tariff: dict[str, object], announced: set[bool]) -> None:
    story = Story(depot(1, tariff=tariff))
    story.start()
    story.plug("CP1")
    begin = story.at().wall_s - 900.0
    if tariff:
        story.do(SeriesTold(story.at(), SeriesKind.BUY, "feed market", ((begin, begin + 4 * 3600.0, 0.11),)))
    story.run(4)
    problem = story.problems()[-1]
    story.do(PlanSolved(story.at(), allocate(problem)))
    view = story.site.planner.view()
    assert view is not None
    assert set(view.announced) == announced
    assert view.sell_per_kwh == problem.sell_per_kwh
    if tariff:
        assert [price == 0.11 for price in view.buy_per_kwh[:4]] == [True] * 4
        assert all(told == (start < begin + 4 * 3600.0) for told, start in zip(view.announced, view.start_wall_s, strict=True))
