"""A basis taken over into another model: as good a plan, in far fewer steps, whatever has changed in between."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from optimizer.carry import Stood
from optimizer.highs import LiveHighs, Verdict
from optimizer.model import build
from optimizer.problem import Problem
from tests.support.fleet import NOW_WALL_S, fleet

SITE = fleet("tight", 30)


def solved(problem: Problem) -> tuple[LiveHighs, Stood]:
    """A solver that has just solved this problem, and where it stands."""
    model, engine = build(problem), LiveHighs(60.0)
    assert engine.cold(model.lp) is Verdict.PROVED
    basis = engine.basis()
    assert basis is not None
    return engine, Stood(model, basis)


def steps(engine: LiveHighs) -> int:
    return int(engine._highs.getInfo().simplex_iteration_count)


def later(problem: Problem, quarters: int = 1) -> Problem:
    return fleet("tight", len(problem.evs), now_wall_s=NOW_WALL_S + 900.0 * quarters)


def test_onto_the_same_problem_nothing_is_left_to_do() -> None:
    engine, stood = solved(SITE)
    model = build(SITE)
    engine.cold(model.lp, stood.at(model))
    assert steps(engine) == 0


def test_onto_the_next_quarter_hour_most_of_the_work_is_saved() -> None:
    _, stood = solved(SITE)
    problem = later(SITE)
    afresh, _ = solved(problem)
    model, engine = build(problem), LiveHighs(60.0)
    assert engine.cold(model.lp, stood.at(model)) is Verdict.PROVED
    assert steps(engine) < steps(afresh) / 2


def _other_cars(problem: Problem) -> Problem:
    return replace(problem, evs=tuple(replace(ev, ev_id=f"other {ev.ev_id}") for ev in problem.evs[::2]) + problem.evs[1::2])


def _no_battery(problem: Problem) -> Problem:
    return replace(problem, battery=None)


def _one_node(problem: Problem) -> Problem:
    return replace(problem, nodes=problem.nodes[:1], evs=tuple(replace(ev, node_id="grid") for ev in problem.evs))


def _one_slot(problem: Problem) -> Problem:
    first = problem.slots[:1]
    node = problem.nodes[0]
    return replace(
        _one_node(problem), slots=first, nodes=(replace(node, other_load_a=node.other_load_a[:1]),),
        buy_per_kwh=problem.buy_per_kwh[:1], sell_per_kwh=problem.sell_per_kwh[:1], pv_w=problem.pv_w[:1],
    )  # fmt: skip


def _empty(problem: Problem) -> Problem:
    return replace(problem, evs=())


@pytest.mark.parametrize("change", [_other_cars, _no_battery, _one_node, _one_slot, _empty, lambda problem: later(problem, 90)])
def test_whatever_has_changed_the_optimum_is_the_same(change: Callable[[Problem], Problem]) -> None:
    _, stood = solved(SITE)
    problem = change(later(SITE))
    afresh, back = solved(problem)
    model, engine = build(problem), LiveHighs(60.0)
    assert engine.cold(model.lp, stood.at(model)) is Verdict.PROVED
    assert engine.objective == pytest.approx(afresh.objective, rel=1e-9)
    model = build(SITE)
    assert engine.cold(model.lp, back.at(model)) is Verdict.PROVED
