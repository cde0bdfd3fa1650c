"""A PuLP program as arrays, and what has changed in it since it was last read.

PuLP's objects are the truth; nothing has to be reported when a bound, a right-hand side, a cost or a coefficient of
theirs is set anew, or when columns and rows are added. Reading everything again and comparing takes a few milliseconds for
a thousand cars and cannot forget anything, as lists of changes kept by hand can. Columns and rows are never taken away
and never change places; a column gets entries in old rows only by being new, and a new column stands in a row. Anything else is
another program. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any, TypeAlias

import numpy
import pulp
from numpy.typing import NDArray
from pulp import constants

from optimizer import columns as kept

Floats: TypeAlias = NDArray[numpy.float64]
Whole: TypeAlias = NDArray[numpy.int32]

INFINITE = float("inf")


class OtherProgram(Exception):  # noqa: N818 - it is not always an error
    """The program has changed in a way that cannot be pushed; the text says which. Hand it over afresh."""


@dataclass(frozen=True, slots=True)
class Entries:
    """Nonzeros line after line: line ``i`` (a row, or a column) owns indices[starts[i]:starts[i + 1]]."""

    starts: Whole
    indices: Whole
    values: Floats


@dataclass(frozen=True, slots=True)
class Arrays:
    """The whole program. entries: row by row. lengths: entries per row."""

    lower: Floats
    upper: Floats
    cost: Floats
    row_lower: Floats
    row_upper: Floats
    entries: Entries
    lengths: Whole


@dataclass(frozen=True, slots=True)
class Changes:
    """What differs from the program read before; indices are those of its columns and rows.

    columns with lower, upper: new bounds. priced with cost. rows with row_lower, row_upper. coefficients: (row, column, value).
    added_columns: (lower, upper, cost, their entries in old rows, column by column). added_rows: (lower, upper, entries).
    """

    columns: Whole
    lower: Floats
    upper: Floats
    priced: Whole
    cost: Floats
    rows: Whole
    row_lower: Floats
    row_upper: Floats
    coefficients: list[tuple[int, int, float]]
    added_columns: tuple[Floats, Floats, Floats, Entries] | None = None
    added_rows: tuple[Floats, Floats, Entries] | None = None


def read(lp: pulp.LpProblem) -> Arrays:
    """The whole program; every column gets its place as ``column.index``. Raises pulp.PulpSolverError when a number is NaN."""
    rows = list(lp._constraints.values())
    lengths = _lengths(rows)
    _number(lp._variables)
    try:
        indices, cost = _indices(rows, int(lengths.sum())), _costs(lp)
    except AttributeError:  # PuLP registers a column with the first new row it stands in, or when it sorts all by name
        lp._add_variables(chain(lp.objective, chain.from_iterable(row.expr for row in rows)))
        _number(lp._variables)
        indices, cost = _indices(rows, int(lengths.sum())), _costs(lp)
    entries = Entries(_starts(lengths), indices, _values(rows, int(lengths.sum())))
    return _sound(Arrays(*_bounds(lp._variables), cost, *_sides(rows), entries, lengths))


def changes(held: Arrays, lp: pulp.LpProblem) -> tuple[Arrays, Changes]:
    """The program as it is now, and what has to be pushed to whoever holds ``held``. Raises OtherProgram, pulp.PulpSolverError."""
    columns, rows = lp._variables, list(lp._constraints.values())
    old_columns, old_rows = len(held.cost), len(held.row_lower)
    if len(columns) < old_columns or len(rows) < old_rows:
        raise OtherProgram("columns or rows are gone")
    lengths = _lengths(rows)
    if len(columns) > old_columns or len(rows) > old_rows or (lengths != held.lengths).any() or len(lp.objective) > old_columns:
        now = read(lp)
        return now, _with_added(held, now)
    entries = Entries(held.entries.starts, held.entries.indices, _values(rows, len(held.entries.values)))
    now = _sound(Arrays(*_bounds(columns), _costs(lp), *_sides(rows), entries, held.lengths))
    return now, _differences(held, now, _coefficients(held.entries, entries.values))


def stated(program: kept.Program, told: kept.Changes) -> Changes:
    """What a program that keeps its own books says has changed: the same as ``changes`` finds, in a tenth of the time."""
    columns, rows = told.first_column, told.first_row
    moved, priced, sides = (_small(places[places < end]) for places, end in ((told.columns, columns), (told.costs, columns), (told.rows, rows)))
    lower, upper = _rows_sides(program, sides)
    plain = Changes(moved, program.lower[moved], program.upper[moved], priced, program.cost[priced], sides, lower, upper, [])
    if columns == len(program.lower) and rows == len(program.right):
        return plain
    new_columns, new_rows = len(program.lower) - columns, program.rows[rows:]
    at = numpy.array([entry[:2] for entry in told.entries], dtype=numpy.int32).reshape(-1, 2)
    values = numpy.array([entry[2] for entry in told.entries], dtype=float)
    entries = _by_column(at[:, 0], at[:, 1] - columns, values, new_columns)
    added_columns = (program.lower[columns:], program.upper[columns:], program.cost[columns:], entries)
    lengths = _lengths(new_rows)
    own = Entries(_starts(lengths), _indices(new_rows, int(lengths.sum())), _values(new_rows, int(lengths.sum())))
    return replace(plain, added_columns=added_columns, added_rows=(*_rows_sides(program, numpy.arange(rows, len(program.rows))), own))


def _small(places: NDArray[Any]) -> Whole:
    return places.astype(numpy.int32)


def _rows_sides(program: kept.Program, places: NDArray[Any]) -> tuple[Floats, Floats]:
    return _with_senses(program.right[places], [program.rows[place].sense for place in places.tolist()])


# -- reading --------------------------------------------------------------------------------------


def _number(columns: Iterable[Any]) -> None:
    for index, column in enumerate(columns):
        column.index = index


def _bounds(columns: Sequence[Any]) -> tuple[Floats, Floats]:
    lower = numpy.array([-INFINITE if column.lowBound is None else column.lowBound for column in columns], dtype=float)
    return lower, numpy.array([INFINITE if column.upBound is None else column.upBound for column in columns], dtype=float)


def _costs(lp: pulp.LpProblem) -> Floats:
    cost = numpy.zeros(len(lp._variables))
    places = [column.index for column in lp.objective]
    cost[places] = list(lp.objective.values())
    return cost


def _sides(rows: Sequence[Any]) -> tuple[Floats, Floats]:
    """Lower and upper side of each row: PuLP keeps "sum of terms + constant (<=, =, >=) 0"."""
    right = -numpy.fromiter((row.constant for row in rows), dtype=float, count=len(rows))
    return _with_senses(right, [row.sense for row in rows])


def _with_senses(right: Floats, senses: Sequence[int]) -> tuple[Floats, Floats]:
    kinds = numpy.array(senses, dtype=numpy.int8)
    return numpy.where(kinds == constants.LpConstraintLE, -INFINITE, right), numpy.where(kinds == constants.LpConstraintGE, INFINITE, right)


def _lengths(rows: Sequence[Any]) -> Whole:
    return numpy.fromiter((len(row.expr) for row in rows), dtype=numpy.int32, count=len(rows))


def _starts(lengths: Whole) -> Whole:
    return numpy.concatenate(([0], numpy.cumsum(lengths))).astype(numpy.int32)


def _indices(rows: Iterable[Any], count: int) -> Whole:
    columns = chain.from_iterable(row.expr for row in rows)
    return numpy.fromiter((column.index for column in columns), dtype=numpy.int32, count=count)


def _values(rows: Sequence[Any], count: int) -> Floats:
    return numpy.fromiter(chain.from_iterable(row.expr.values() for row in rows), dtype=float, count=count)


def _sound(arrays: Arrays) -> Arrays:
    for part in (arrays.lower, arrays.upper, arrays.cost, arrays.row_lower, arrays.row_upper, arrays.entries.values):
        if numpy.isnan(part).any():
            raise pulp.PulpSolverError("the program has a bound, cost, side or coefficient that is not a number")
    return arrays


# -- comparing ------------------------------------------------------------------------------------


def _coefficients(old: Entries, values: Floats) -> list[tuple[int, int, float]]:
    places = numpy.flatnonzero(old.values != values)
    rows = numpy.searchsorted(old.starts, places, side="right") - 1
    return [(int(row), int(old.indices[place]), float(values[place])) for row, place in zip(rows, places, strict=True)]


def _differences(held: Arrays, now: Arrays, coefficients: list[tuple[int, int, float]]) -> Changes:
    columns, rows = len(held.cost), len(held.row_lower)
    lower, upper, cost = now.lower[:columns], now.upper[:columns], now.cost[:columns]
    row_lower, row_upper = now.row_lower[:rows], now.row_upper[:rows]
    moved = _places((lower != held.lower) | (upper != held.upper))
    priced = _places(cost != held.cost)
    sides = _places((row_lower != held.row_lower) | (row_upper != held.row_upper))
    return Changes(moved, lower[moved], upper[moved], priced, cost[priced], sides, row_lower[sides], row_upper[sides], coefficients)


def _places(mask: NDArray[numpy.bool_]) -> Whole:
    return numpy.flatnonzero(mask).astype(numpy.int32)


def _with_added(held: Arrays, now: Arrays) -> Changes:
    """As ``_differences``, with the columns and rows that are new. Entries of new columns stand at the end of their old rows."""
    columns, rows = len(held.cost), len(held.row_lower)
    if (now.lengths[:rows] < held.lengths).any():
        raise OtherProgram("a row has lost entries")
    end, lengths = int(now.entries.starts[rows]), now.lengths[:rows]
    place_in_row = numpy.arange(end) - numpy.repeat(now.entries.starts[:rows], lengths)
    is_new = place_in_row >= numpy.repeat(held.lengths, lengths)
    indices, values = now.entries.indices[:end], now.entries.values[:end]
    if (indices[~is_new] != held.entries.indices).any() or (indices[is_new] < columns).any():
        raise OtherProgram("old columns stand in other rows than before")
    plain = _differences(held, now, _coefficients(held.entries, values[~is_new]))
    entries = _by_column(numpy.repeat(numpy.arange(rows), lengths)[is_new], indices[is_new] - columns, values[is_new], len(now.cost) - columns)
    added_columns = (now.lower[columns:], now.upper[columns:], now.cost[columns:], entries)
    first = now.entries.starts[rows:] - end
    added_rows = (now.row_lower[rows:], now.row_upper[rows:], Entries(first, now.entries.indices[end:], now.entries.values[end:]))
    return replace(plain, added_columns=added_columns, added_rows=added_rows)


def _by_column(rows: NDArray[Any], columns: NDArray[Any], values: Floats, count: int) -> Entries:
    """Entries sorted by column."""
    order = numpy.argsort(columns, kind="stable")
    starts = numpy.searchsorted(columns[order], numpy.arange(count + 1))
    return Entries(starts.astype(numpy.int32), rows[order].astype(numpy.int32), values[order])
