"""Whatever changes in a PuLP program is found, and what cannot be pushed is named."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy
import pulp
import pytest
from pulp import constants

from optimizer.arrays import Changes, Entries, OtherProgram, changes, read, stated
from optimizer.model import build
from tests.support.fleet import NOW_WALL_S, fleet, noisy


class Toy:
    """min a - 2 b: a + 3 b <= 4, b >= 0.5, a - b = 0.25; a in 0..1, b free."""

    def __init__(self) -> None:
        self.lp = pulp.LpProblem("toy")
        self.a, self.b = self.lp.add_variable("a", 0.0, 1.0), self.lp.add_variable("b")
        self.row("most", {self.a: 1.0, self.b: 3.0}, constants.LpConstraintLE, 4.0)
        self.row("least", {self.b: 1.0}, constants.LpConstraintGE, 0.5)
        self.row("even", {self.a: 1.0, self.b: -1.0}, constants.LpConstraintEQ, 0.25)
        self.lp.setObjective(pulp.LpAffineExpression({self.a: 1.0, self.b: -2.0}))

    def row(self, name: str, terms: dict[pulp.LpVariable, float], sense: int, right: float) -> None:
        self.lp.addConstraint(pulp.LpConstraint(pulp.LpAffineExpression(terms), sense, rhs=right), name)

    def side(self, name: str) -> pulp.LpConstraint:
        return self.lp._constraints[name]


def test_a_program_is_read_whole() -> None:
    arrays = read(Toy().lp)
    assert (arrays.lower.tolist(), arrays.upper.tolist(), arrays.cost.tolist()) == ([0, -math.inf], [1, math.inf], [1, -2])
    assert (arrays.row_lower.tolist(), arrays.row_upper.tolist()) == ([-math.inf, 0.5, 0.25], [4, math.inf, 0.25])
    assert (arrays.entries.starts.tolist(), arrays.entries.indices.tolist()) == ([0, 2, 3, 5], [0, 1, 1, 0, 1])
    assert arrays.entries.values.tolist() == [1, 3, 1, 1, -1]


def pushed(change: Callable[[Toy], None]) -> Changes:
    """What is found after a change; the program read on the way is the one read afresh."""
    toy = Toy()
    before = read(toy.lp)
    change(toy)
    now, found = changes(before, toy.lp)
    fresh = read(toy.lp)
    for name in ("lower", "upper", "cost", "row_lower", "row_upper", "lengths"):
        assert numpy.array_equal(getattr(now, name), getattr(fresh, name)), name
    assert all(numpy.array_equal(getattr(now.entries, name), getattr(fresh.entries, name)) for name in ("starts", "indices", "values"))
    return found


def test_nothing_changed_is_nothing_to_push() -> None:
    found = pushed(lambda toy: None)
    assert [len(part) for part in (found.columns, found.priced, found.rows, found.coefficients)] == [0, 0, 0, 0]
    assert (found.added_columns, found.added_rows) == (None, None)


def test_bounds_costs_sides_and_coefficients_are_found_where_they_changed() -> None:
    def change(toy: Toy) -> None:
        toy.b.upBound = 7.0
        toy.lp.objective[toy.a] = 5.0
        toy.side("least").changeRHS(0.75)
        toy.side("even").expr[toy.b] = -2.0

    found = pushed(change)
    assert (found.columns.tolist(), found.lower.tolist(), found.upper.tolist()) == ([1], [-math.inf], [7])
    assert (found.priced.tolist(), found.cost.tolist()) == ([0], [5])
    assert (found.rows.tolist(), found.row_lower.tolist(), found.row_upper.tolist()) == ([1], [0.75], [math.inf])
    assert found.coefficients == [(2, 1, -2.0)]


def test_new_columns_bring_their_entries_in_old_rows_and_new_rows_theirs() -> None:
    def change(toy: Toy) -> None:
        c, d = toy.lp.add_variable("c", 0.0, 2.0), toy.lp.add_variable("d", 0.0, 3.0)
        toy.side("even").expr[d] = 9.0
        toy.side("most").expr[d] = 8.0
        toy.side("most").expr[c] = 7.0
        toy.side("most").changeRHS(6.0)
        toy.row("extra", {toy.a: 1.0, d: 4.0}, constants.LpConstraintLE, 1.0)
        toy.lp.objective[d] = -3.0

    found = pushed(change)
    assert found.added_columns is not None
    lower, upper, cost, entries = found.added_columns
    assert (lower.tolist(), upper.tolist(), cost.tolist()) == ([0, 0], [3, 2], [-3, 0])  # d stands in a new row, so PuLP knows it first
    assert (entries.starts.tolist(), entries.indices.tolist(), entries.values.tolist()) == ([0, 2, 3], [0, 2, 0], [8, 9, 7])
    assert found.added_rows is not None
    assert found.added_rows[0].tolist() == [-math.inf]
    assert found.added_rows[2].indices.tolist() == [0, 2]
    assert found.rows.tolist() == [0]


def _gone(toy: Toy) -> None:
    del toy.lp._constraints["least"]


def _lost(toy: Toy) -> None:
    del toy.side("even").expr[toy.a]
    toy.lp.add_variable("c")


def _grown(toy: Toy) -> None:
    toy.side("least").expr[toy.a] = 1.0


def _swapped(toy: Toy) -> None:
    c = toy.lp.add_variable("c")
    del toy.side("even").expr[toy.a]
    toy.side("even").expr[c] = 1.0
    toy.row("new", {c: 1.0}, constants.LpConstraintLE, 1.0)


@pytest.mark.parametrize("change", [_gone, _lost, _grown, _swapped])
def test_what_cannot_be_pushed_is_another_program(change: Callable[[Toy], None]) -> None:
    with pytest.raises(OtherProgram):
        pushed(change)


def test_a_number_that_is_none_never_reaches_the_solver() -> None:
    toy = Toy()
    toy.a.upBound = math.nan
    with pytest.raises(pulp.PulpSolverError, match="not a number"):
        read(toy.lp)


@pytest.mark.parametrize("guests", [0, 2])
def test_what_a_model_says_has_changed_is_what_reading_everything_finds(guests: int) -> None:
    site = fleet("tight", 12)
    model = build(replace(site, evs=site.evs[: len(site.evs) - guests]))
    before = read(model.lp)
    problem = noisy(fleet("tight", 12, now_wall_s=NOW_WALL_S + 40.0), 3)
    assert model.let_in_and_out(problem) == (guests > 0)
    said = stated(model.program, model.rewrite(problem))
    _, found = changes(before, model.lp)
    for name in ("columns", "lower", "upper", "priced", "cost", "rows", "row_lower", "row_upper"):
        assert numpy.array_equal(getattr(said, name), getattr(found, name)), name
    assert said.coefficients == found.coefficients == []
    for ours, theirs in ((said.added_columns, found.added_columns), (said.added_rows, found.added_rows)):
        assert (ours is None) == (theirs is None) == (guests == 0)
        for part, other in zip(ours or (), theirs or (), strict=True):
            assert _same(part, other)


def _same(part: object, other: object) -> bool:
    if isinstance(part, Entries) and isinstance(other, Entries):
        own, found = _triples(part), _triples(other)
        return own == found
    return numpy.array_equal(part, other)  # type: ignore[arg-type]


def _triples(entries: Entries) -> set[tuple[int, int, float]]:
    owners = numpy.repeat(numpy.arange(len(entries.starts) - 1), numpy.diff(entries.starts))
    return set(zip(owners.tolist(), entries.indices.tolist(), entries.values.tolist(), strict=True))
