"""What the blocks share, as a program over their proposals: prices of the head flows, and a proved bound.

Each solve of a block gives a proposal: the currents at its head in every slot and phase, and what they cost inside. The restricted
master mixes the proposals of each block (a mixture of plans that a block can run is one it can run) and decides battery, PV,
peak and grid exchange with all limits above the cuts; its duals are the next prices (Dantzig and Wolfe). Between rounds the
duals are held in a box around the prices with the best bound so far: without it, few proposals ask for
prices of a hundred times the right ones, and 1000 cars on a scarce site needed 9 rounds instead of 3.

Lagrange's bound: at any prices, the blocks' optima plus the optimum of the master that buys and sells head flow at these prices are
not above the joint optimum.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy

from optimizer.arrays import Arrays, Entries, Floats, Whole
from optimizer.block import fresh_highs
from optimizer.cuts import Apart

try:
    import highspy
except ImportError:  # without it there are no blocks: ``blocks.available``
    highspy = None  # type: ignore[assignment]


@dataclass(frozen=True, slots=True)
class Mixture:
    """A choice among proposals. weights: per block, one per proposal. duals: of the rows where heads stand."""

    objective: float
    weights: tuple[Floats, ...]
    duals: Floats


class Master:
    """The restricted master and the bound. Prices are per row where heads stand ("links"), in the order of ``links``."""

    def __init__(self, apart: Apart) -> None:
        self._apart = apart
        program = apart.master.program
        self._ties = _ties(apart)
        self.links = numpy.unique(self._ties.row)
        self._tie_link = numpy.searchsorted(self.links, self._ties.row)
        self._inner = numpy.setdiff1d(numpy.arange(len(program.cost), dtype=numpy.int32), apart.master.heads)
        self._priced = fresh_highs(program)
        self._mix = self._open_mix(program)
        self._proposals = [list[int]() for _ in apart.blocks]
        self._columns = len(self._inner) + 2 * len(self.links)

    def _open_mix(self, program: Arrays) -> Any:
        """Rows of the master and one row "weights sum to 1" per block; inner columns and two artificial ones per link."""
        mix = fresh_highs(_without(program, self._inner))
        ones, rows = numpy.ones(1), len(program.row_lower)
        for _ in self._apart.blocks:
            mix.addRow(1.0, 1.0, 0, numpy.zeros(0, dtype=numpy.int32), numpy.zeros(0))
        for row in self.links:
            place = numpy.array([row], dtype=numpy.int32)
            mix.addCol(0.0, 0.0, 0.0, 1, place, ones)
            mix.addCol(0.0, 0.0, 0.0, 1, place, -ones)
        self._first_convex = rows
        return mix

    # -- prices ---------------------------------------------------------------------------------------

    def head_prices(self, duals: Floats) -> list[Floats]:
        """Per block: what a unit of each head flow is worth at these duals."""
        prices = numpy.zeros(len(self._apart.master.columns))
        numpy.add.at(prices, self._ties.column, self._ties.value * duals[self._tie_link])
        return [prices[side] for side in self._apart.sides]

    def link_duals(self, prices: dict[int, float]) -> Floats:
        """Duals of the links from prices of head flows (place among the master's columns -> price); NaN where none is known."""
        total, count = numpy.zeros(len(self.links)), numpy.zeros(len(self.links))
        for column, value, link in zip(self._ties.column.tolist(), self._ties.value.tolist(), self._tie_link.tolist(), strict=True):
            if column in prices:
                total[link] += prices[column] / value
                count[link] += 1.0
        return numpy.where(count > 0.0, total / numpy.maximum(count, 1.0), math.nan)

    # -- proposals --------------------------------------------------------------------------------------

    def propose(self, block: int, values: Floats) -> None:
        """Take a point of a block in."""
        part = self._apart.blocks[block]
        flows = numpy.zeros(len(self._apart.master.columns))
        flows[self._apart.sides[block]] = values[part.heads]
        entries = numpy.zeros(self._first_convex)
        numpy.add.at(entries, self._ties.row, self._ties.value * flows[self._ties.column])
        rows = numpy.flatnonzero(numpy.abs(entries) > 1e-12)
        places, coefficients = numpy.append(rows, self._first_convex + block).astype(numpy.int32), numpy.append(entries[rows], 1.0)
        self._mix.addCol(float(part.program.cost @ values), 0.0, highspy.kHighsInf, len(places), places, coefficients)
        self._proposals[block].append(self._columns)
        self._columns += 1

    def mixed(self, centre: Floats | None = None, box: Floats | None = None) -> Mixture | None:
        """The best mixture; with a box, of a relaxation whose duals stay within ``centre`` +- ``box``. None = there is none."""
        mix, artificial = self._mix, len(self._inner) + numpy.arange(2 * len(self.links), dtype=numpy.int32)
        costs, most = numpy.zeros(len(artificial)), numpy.zeros(len(artificial))
        if centre is not None and box is not None:
            costs[0::2], costs[1::2] = centre + box, box - centre
            most[:] = highspy.kHighsInf
        mix.changeColsCost(len(artificial), artificial, costs)
        mix.changeColsBounds(len(artificial), artificial, numpy.zeros(len(artificial)), most)
        mix.run()
        if mix.getModelStatus() != highspy.HighsModelStatus.kOptimal:
            return None
        solution = mix.getSolution()
        values, duals = numpy.array(solution.col_value), numpy.array(solution.row_dual)
        weights = tuple(numpy.maximum(0.0, values[places]) for places in self._proposals)
        return Mixture(float(mix.getInfo().objective_function_value), weights, duals[self.links])

    # -- bound and end ------------------------------------------------------------------------------------

    def bound(self, duals: Floats) -> float:
        """The master's part of Lagrange's bound; -inf when it has none."""
        costs = numpy.zeros(len(self._apart.master.columns))
        numpy.add.at(costs, self._ties.column, self._ties.value * duals[self._tie_link])
        heads = self._apart.master.heads
        self._priced.changeColsCost(len(heads), heads, costs[heads])
        self._priced.run()
        proved = self._priced.getModelStatus() == highspy.HighsModelStatus.kOptimal
        return float(self._priced.getInfo().objective_function_value) if proved else -math.inf

    def settled(self, blocks: Sequence[Floats]) -> tuple[float, Floats] | None:
        """Objective of the whole and the master's columns when the blocks do this; None when that breaks a limit above the cuts."""
        apart, program = self._apart, self._apart.master.program
        lower, upper = program.lower.copy(), program.upper.copy()
        for side, part, values in zip(apart.sides, apart.blocks, blocks, strict=True):
            lower[side] = upper[side] = values[part.heads]
        last = fresh_highs(replace(program, lower=lower, upper=upper))
        last.run()
        if last.getModelStatus() != highspy.HighsModelStatus.kOptimal:
            return None
        inside = sum(float(part.program.cost @ values) for part, values in zip(apart.blocks, blocks, strict=True))
        return inside + float(last.getInfo().objective_function_value), numpy.array(last.getSolution().col_value)


@dataclass(frozen=True, slots=True)
class _Ties:
    """Entries of the head columns in the master's rows."""

    row: Whole
    column: Whole
    value: Floats


def _ties(apart: Apart) -> _Ties:
    program = apart.master.program
    is_head = numpy.zeros(len(program.cost), dtype=bool)
    is_head[apart.master.heads] = True
    row = numpy.repeat(numpy.arange(len(program.row_lower), dtype=numpy.int32), program.lengths)
    chosen = is_head[program.entries.indices]
    return _Ties(row[chosen], program.entries.indices[chosen], program.entries.values[chosen])


def _without(program: Arrays, columns: Whole) -> Arrays:
    """The program with these columns only."""
    place = numpy.full(len(program.cost), -1, dtype=numpy.int32)
    place[columns] = numpy.arange(len(columns), dtype=numpy.int32)
    ours = place[program.entries.indices] >= 0
    row = numpy.repeat(numpy.arange(len(program.row_lower)), program.lengths)[ours]
    lengths = numpy.bincount(row, minlength=len(program.row_lower)).astype(numpy.int32)
    starts = numpy.concatenate(([0], numpy.cumsum(lengths))).astype(numpy.int32)
    entries = Entries(starts, place[program.entries.indices[ours]], program.entries.values[ours])
    return replace(
        program, lower=program.lower[columns], upper=program.upper[columns], cost=program.cost[columns], entries=entries, lengths=lengths
    )
