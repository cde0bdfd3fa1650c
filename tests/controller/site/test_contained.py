"""A defect in planning costs its own step only: setpoints go on, somebody is told, and the cars get power without it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from controller.facts import EvseKey, PlanSolved, SessionChanged
from controller.orders import Tell
from controller.site.contained import Contained
from controller.site.plans import planning, rounding
from optimizer.live import Live
from optimizer.problem import PlanStatus, Problem
from optimizer.rules import allocate
from tests.support.site_story import Story, depot

CP1 = EvseKey("CP1", 1)


class BrokenError(Exception):
    """A defect."""


def broken(*_: object, **__: object) -> None:
    raise BrokenError("on purpose")


def story() -> Story:
    told = Story(depot(2))
    told.start()
    told.plug("CP1")
    told.plug("CP2")
    told.run(8)
    return told


def solved(told: Story) -> Problem:
    problem = told.problems()[-1]
    told.do(PlanSolved(told.at(), Live().solve(problem, 30.0)))
    assert told.site.planner.plan is not None
    return problem


def alarms(told: Story) -> list[str]:
    return [order.text for _, order in told.orders if isinstance(order, Tell) and "internal error" in order.text]


@pytest.mark.parametrize(
    ("module", "name", "word"),
    [(planning, "build_problem", "posing"), (rounding, "to_amps", "rounding"), (planning, "allocate", "rules"), (planning, "check", "checking")],
)
def test_a_defect_costs_neither_the_tick_nor_the_cars(monkeypatch: pytest.MonkeyPatch, module: object, name: str, word: str) -> None:
    told = story()
    problem = solved(told)
    monkeypatch.setattr(module, name, broken)
    if word in ("rules", "checking"):
        told.do(PlanSolved(told.at(), replace(allocate(problem), solver="again")))
    told.run(400)
    told.plug("CP1") if CP1 not in told.drawn_a else None
    before = len(told.injected(CP1))
    told.limit(20.0)
    told.run(5)
    assert len(told.injected(CP1)) > before, "setpoints go on"
    assert max(told.metered_a(10.0)) <= 20.0 + 1e-3
    assert sum(told.drawn_a.values()) >= 6.0, "and cars charge"
    if word != "rules":
        assert [text for text in alarms(told) if word in text]
    assert len(alarms(told)) <= 3, "a defect that lasts is told once"


def test_a_defect_in_what_was_learnt_leaves_a_plan_without_it(monkeypatch: pytest.MonkeyPatch) -> None:
    told = story()
    monkeypatch.setattr("controller.site.plans.posing._expected", broken)
    before = len(told.problems())
    told.run(70)
    assert len(told.problems()) == before, "this defect is in the plain picture, too"
    assert "an error of its own" in " ".join(told.told("no new plan"))
    monkeypatch.setattr("controller.site.plans.posing._expected", lambda *_: ())
    monkeypatch.setattr(type(told.site.history), "learn", broken)
    told.run(70)
    assert len(told.problems()) > before
    assert any("learning habits" in text for text in alarms(told))


def test_a_defect_in_what_is_shown_costs_no_setpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    told = story()
    solved(told)
    monkeypatch.setattr(type(told.site.explained), "passed", broken)
    monkeypatch.setattr(type(told.site.reporter), "tick", broken)
    told.limit(15.0)
    told.run(5)
    assert told.injected(CP1)
    assert max(told.metered_a(10.0)) <= 15.0 + 1e-3
    assert len(alarms(told)) == 2


def test_plans_that_are_no_plans_are_refused_and_rules_or_the_last_plan_go_on() -> None:
    told = story()
    problem = solved(told)
    good = told.site.planner.plan
    assert good is not None
    for ruin in (
        {"ev_power_w": {"CP1/1": (1.0,)}},
        {"ev_power_w": {name: tuple(float("nan") for _ in series) for name, series in good.ev_power_w.items()}},
        {"ev_power_w": dict.fromkeys(good.ev_power_w)},
        {"grid_power_w": ()},
        {"slots": ()},
        {"status": PlanStatus.RULES, "ev_power_w": {}},
    ):
        told.do(PlanSolved(told.at(), replace(good, **ruin)))  # type: ignore[arg-type]
        assert told.site.planner.plan is good, ruin
    assert told.told("no new plan")
    assert problem.created_wall_s == good.created_wall_s


def test_a_defect_is_told_once_and_counted_each_time() -> None:
    contained = Contained()
    for _ in range(3):
        assert contained.run("a step", broken, lambda: None) is None
    assert len(contained.tell()) == 1
    assert contained.tell() == []
    assert contained.run("a step", lambda: 7, lambda: 0) == 7
    assert contained.run("another step", broken, lambda: None) is None
    assert len(contained.tell()) == 1
    assert contained.defects == 4


# -- whose plan it is ---------------------------------------------------------------------------------------


def swap(told: Story, key: EvseKey, name: str) -> None:
    """Another car at the same EVSE, within the same second."""
    session = told.site.evses[key].session
    assert session is not None
    told.do(SessionChanged(told.at(), key, session.transaction_id, None, ended=True))
    told.do(SessionChanged(told.at(), key, name, None, started=True))


@pytest.mark.parametrize("jump_s", [0.0, -3.0, -0.5])
def test_the_next_car_at_an_evse_does_not_get_the_plan_of_the_last_one(jump_s: float) -> None:
    """The clock may have jumped back between the question and the new car (F77)."""
    told = story()
    problem = told.problems()[-1]
    if not jump_s:
        told.now = problem.created_wall_s - (told.at().wall_s - told.now)  # the very moment it was posed
    told.wall_jump_s += jump_s
    swap(told, CP1, "tx-of-the-next")
    plan = Live().solve(problem, 30.0)
    told.do(PlanSolved(told.at(), plan))
    targets = told.site.planner.targets(told.site.evses, told.at())
    assert CP1 not in targets
    assert EvseKey("CP2", 1) in targets


def test_the_next_car_owes_nothing_and_is_owed_nothing() -> None:
    told = story()
    solved(told)
    told.run(20)
    planner = told.site.planner
    planner._rounding._stood = replace(planner._rounding._stood, before_wh={"CP1/1": 400.0, "CP2/1": 300.0}, after=planner._rounding._stood.after)
    swap(told, CP1, "tx-of-the-next")
    told.run(8)
    solved(told)
    assert planner._rounding.owed_wh.get("CP1/1", 0.0) == 0.0
