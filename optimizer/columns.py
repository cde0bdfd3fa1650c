"""A linear program as PuLP objects that are cheap to make and to change, with the same numbers in arrays beside them.

PuLP's own constructors check names, copy expressions and hash in Python: 2-4 us for a column, 5-10 us for a row. ``Column``, ``Row``
and ``Terms`` are the same PuLP 3.3.2 objects without these steps (CBC, ``writeLP`` and ``value`` work on them as ever); their
names are made from their number when somebody asks. Names have leading zeros because PuLP sorts columns by name.

``Program`` keeps bounds, costs and right-hand sides also as arrays, so that a cycle finds in microseconds what changed and touches
only that. Decides nothing about charging. Infinite bounds are ``inf`` in the arrays and None in PuLP.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pulp
from pulp import constants

Floats: TypeAlias = npt.NDArray[np.float64]
Ints: TypeAlias = npt.NDArray[np.int64]

EQUAL, AT_MOST, AT_LEAST = constants.LpConstraintEQ, constants.LpConstraintLE, constants.LpConstraintGE


class Column(pulp.LpVariable):  # type: ignore[misc]
    """A continuous PuLP variable; ``index`` is its place in the program."""

    __slots__ = ("dj", "index", "lowBound", "upBound", "varValue")
    __hash__ = object.__hash__
    hash = property(id)
    cat = constants.LpContinuous
    modified = True

    def __init__(self, index: int) -> None:
        self.index = index
        self.lowBound: float | None = 0.0
        self.upBound: float | None = 0.0
        self.varValue = None
        self.dj = None

    @property
    def name(self) -> str:
        """``x`` and the number."""
        return f"x{self.index:07d}"

    @property
    def _lowbound_original(self) -> float | None:
        return self.lowBound

    @property
    def _upbound_original(self) -> float | None:
        return self.upBound


class Terms(pulp.LpAffineExpression):  # type: ignore[misc]
    """A PuLP expression made straight from ``{Column: coefficient}``."""

    __slots__ = ("constant",)
    name = None

    def __init__(self, *pairs: Any) -> None:
        dict.__init__(self, *pairs)
        self.constant = 0.0


class Row(pulp.LpConstraint):  # type: ignore[misc]
    """A PuLP constraint; ``index`` is its place in the program. Its right-hand side is ``-constant``, as PuLP has it."""

    __slots__ = ("constant", "expr", "index", "pi", "sense", "slack")
    modified = True

    def __init__(self, index: int, terms: Terms, sense: int) -> None:
        self.index, self.expr, self.sense = index, terms, sense
        self.constant = 0.0
        self.pi = self.slack = None

    @property
    def name(self) -> str:
        """``r`` and the number."""
        return f"r{self.index:07d}"


@dataclass(slots=True)
class Sheet:
    """All numbers of a program, to be filled anew: bounds and cost per column, right-hand side per row."""

    low: Floats
    high: Floats
    cost: Floats
    right: Floats


@dataclass(frozen=True, slots=True)
class Changes:
    """What changed in a program: numbers of columns and rows whose bounds, costs or right-hand sides are new.

    columns, costs, rows: ascending; columns and rows that were added are among them.
    first_column, first_row: size of the program before; everything from there on was added.
    entries: (row, column, coefficient) of added columns in rows that were there before. Coefficients between old rows and old
    columns never change.
    """

    columns: Ints
    costs: Ints
    rows: Ints
    first_column: int
    first_row: int
    entries: tuple[tuple[int, int, float], ...] = ()


@dataclass(slots=True)
class Program:
    """The PuLP problem and its numbers. columns[i].index == i, rows[i].index == i, both in the order of ``lp``."""

    lp: pulp.LpProblem = field(default_factory=lambda: pulp.LpProblem("yardmaster"))
    columns: list[Column] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    lower: Floats = field(default_factory=lambda: np.zeros(0))
    upper: Floats = field(default_factory=lambda: np.zeros(0))
    cost: Floats = field(default_factory=lambda: np.zeros(0))
    right: Floats = field(default_factory=lambda: np.zeros(0))
    wanted: list[float] = field(default_factory=list)
    entries: list[tuple[int, int, float]] = field(default_factory=list)
    known_rows: int = 0

    def __post_init__(self) -> None:
        self.lp.objective = Terms()

    def add(self, costs: Sequence[float]) -> int:
        """One column per cost, side by side; returns the number of the first."""
        start = len(self.columns)
        new = [Column(index) for index in range(start, start + len(costs))]
        self.columns += new
        self.wanted += costs
        self.lp._variables += new
        self.lp._variable_ids.update(zip(map(id, new), new, strict=True))
        return start

    def row(self, terms: Terms, sense: int) -> int:
        """A row with right-hand side 0; returns its number."""
        index = len(self.rows)
        row = Row(index, terms, sense)
        self.rows.append(row)
        self.lp._constraints[f"r{index:07d}"] = row
        return index

    def enter(self, row: int, column: int, coefficient: float) -> None:
        """Put a column into a row."""
        self.rows[row].expr[self.columns[column]] = coefficient
        if row < self.known_rows:
            self.entries.append((row, column, coefficient))

    def sheet(self) -> Sheet:
        """The present numbers to write on; added columns stand at 0..0 with their costs, added rows at 0."""
        columns, rows = len(self.columns) - len(self.lower), len(self.rows) - len(self.right)
        blank, more = np.zeros(columns), np.array(self.wanted, dtype=float)
        cost = np.concatenate((self.cost, more)) if columns else self.cost.copy()
        low, high = np.concatenate((self.lower, blank)), np.concatenate((self.upper, blank))
        return Sheet(low, high, cost, np.concatenate((self.right, np.zeros(rows))))

    def take(self, sheet: Sheet) -> Changes:
        """Put a sheet into force: write into the PuLP objects what differs, and say what that was."""
        first_column, first_row = len(self.lower), len(self.right)
        bounds = _differing(first_column, (self.lower, sheet.low), (self.upper, sheet.high))
        costs, rows = _differing(first_column, (self.cost, sheet.cost)), _differing(first_row, (self.right, sheet.right))
        self._write_bounds(bounds, sheet)
        self._write_costs(costs, sheet, first_column)
        for index, value in zip(rows.tolist(), sheet.right[rows].tolist(), strict=True):
            self.rows[index].constant = -value
        self.lower, self.upper, self.cost, self.right = sheet.low, sheet.high, sheet.cost, sheet.right
        changes = Changes(bounds, costs, rows, first_column, first_row, tuple(self.entries))
        self.wanted.clear()
        self.entries.clear()
        self.known_rows = len(self.rows)
        return changes

    def _write_bounds(self, indices: Ints, sheet: Sheet) -> None:
        columns = self.columns
        for index, low, high in zip(indices.tolist(), sheet.low[indices].tolist(), sheet.high[indices].tolist(), strict=True):
            column = columns[index]
            column.lowBound = low if low != -math.inf else None
            column.upBound = high if high != math.inf else None

    def _write_costs(self, indices: Ints, sheet: Sheet, first_column: int) -> None:
        objective, columns = self.lp.objective, self.columns
        for index, value in zip(indices.tolist(), sheet.cost[indices].tolist(), strict=True):
            if value or index < first_column:
                objective[columns[index]] = value


def _differing(known: int, *pairs: tuple[Floats, Floats]) -> Ints:
    """Places where old and new differ; every added place."""
    different = np.zeros(known, dtype=bool)
    for old, new in pairs:
        different |= old != new[:known]
    added = np.arange(known, len(pairs[0][1]))
    return np.concatenate((np.flatnonzero(different), added)) if len(added) else np.flatnonzero(different)
