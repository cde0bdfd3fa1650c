"""Which solver answers, how good the answer is said to be, and why there may be none."""

import math

import pytest

from optimizer.check import check
from optimizer.problem import Node, PlanStatus, Slot
from optimizer.solve import SolveError, SolveReason, solve
from tests.support.plans import START_S, car, grid, kw, problem, v2g_car

SITE = problem([0.3, 0.1, 0.2], car(need_wh=6000.0), v2g_car(), sell=0.05, demand_per_kw=0.3)


@pytest.mark.parametrize(("asked", "used"), [("auto", "highs"), ("highs", "highs"), ("cbc", "cbc")])
def test_each_solver_proves_the_same_plan(asked: str, used: str) -> None:
    plan = solve(SITE, 30.0, asked)
    assert (plan.status, plan.solver) == (PlanStatus.PROVED, used)
    assert check(SITE, plan) == ()
    assert plan.cost == pytest.approx(solve(SITE, 30.0).cost, rel=1e-6)
    assert plan.solve_s > 0.0


def test_without_highs_cbc_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("optimizer.highs.highspy", None)
    assert solve(SITE, 30.0).solver == "cbc"
    with pytest.raises(SolveError) as caught:
        solve(SITE, 30.0, "highs")
    assert caught.value.reason is SolveReason.NO_SOLVER


def test_when_highs_fails_cbc_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken:
        def __getattr__(self, name: str) -> object:
            raise RuntimeError("the library is broken")

    monkeypatch.setattr("pulp.apis.highs_api.highspy", Broken())
    assert solve(SITE, 30.0).solver == "cbc"
    with pytest.raises(SolveError) as caught:
        solve(SITE, 30.0, "highs")
    assert caught.value.reason is SolveReason.SOLVER_FAILED


def test_an_unknown_solver_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(ValueError, match="use one of auto, highs, cbc"):
        solve(SITE, 30.0, "gurobi")


def test_no_time_is_a_clear_reason() -> None:
    with pytest.raises(SolveError) as caught:
        solve(SITE, 0.0)
    assert caught.value.reason is SolveReason.DEADLINE


@pytest.mark.parametrize(
    ("spoilt", "named"),
    [
        (problem([math.nan], car()), "buy_per_kwh"),
        (problem([0.1], car(), pv_w=[0.0, 1.0]), "pv_w"),
        (problem([0.1], car(node_id="cellar")), "cellar"),
        (problem([0.1], car(), car()), "ev is listed twice"),
        (problem([0.1], nodes=[grid(), Node("a", "b", (1.0,) * 3), Node("b", "a", (1.0,) * 3)]), "does not lead to the root"),
        (problem([], slots=()), "no slots"),
        (problem([0.1, 0.1], slots=(Slot(START_S, 900.0), Slot(START_S + 1800.0, 900.0))), "not contiguous"),
        (problem([0.1], voltage_v=0.0), "voltage"),
    ],
)
def test_f59_a_contradicting_problem_is_named(spoilt: object, named: str) -> None:
    with pytest.raises(SolveError) as caught:
        solve(spoilt, 30.0)  # type: ignore[arg-type]
    assert caught.value.reason is SolveReason.BAD_PROBLEM
    assert named in caught.value.detail


def test_a_site_without_cars_has_a_plan() -> None:
    plan = solve(problem([0.3, 0.3], pv_w=[1000.0, 0.0], sell=0.1), 30.0)
    assert kw(plan.grid_power_w) == [-1, 0]
    assert plan.cost == pytest.approx(-0.1)
