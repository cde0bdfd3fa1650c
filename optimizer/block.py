"""One block in HiGHS, solved again and again at new prices of its head flows or within a budget of them.

The solver keeps its basis, so after the first time a solve costs a tenth of it. Never raises for a block that
cannot be solved: the answer says so, and the caller goes on with what it has.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy

from optimizer.arrays import Arrays, Floats, Whole
from optimizer.highs import KEEPS_ROWS, as_highs_lp

try:
    import highspy
except ImportError:  # without it there are no blocks: ``blocks.available``
    highspy = None  # type: ignore[assignment]


@dataclass(frozen=True, slots=True)
class Task:
    """What a block shall do. prices: per head [objective per A], taken off its cost. columns with lower, upper: bounds for this one
    solve. limit_s: time it may take."""

    prices: Floats
    columns: Whole
    lower: Floats
    upper: Floats
    limit_s: float = math.inf


@dataclass(frozen=True, slots=True)
class Answer:
    """values: of all columns of the block, None = no usable point. objective: with the prices taken off. proved: it is the best.
    duals: of all rows, only of a proved point."""

    proved: bool
    objective: float
    values: Floats | None
    duals: Floats | None = None
    seconds: float = 0.0


NO_PLACES: Whole = numpy.zeros(0, dtype=numpy.int32)
NO_BOUNDS: Floats = numpy.zeros(0)
NOTHING = Answer(False, -math.inf, None)
"""Of a block that has not answered."""


class Block:
    """One block's solver. heads: places of its head columns."""

    def __init__(self, program: Arrays, heads: Whole) -> None:
        self._program, self._heads = program, heads
        self._highs = fresh_highs(program)

    def solve(self, task: Task) -> Answer:
        """Solve once with the task's prices and bounds; the block's own bounds come back afterwards."""
        highs, held = self._highs, self._program
        own_cost = held.cost[self._heads]
        _change(highs.changeColsCost, self._heads, own_cost - task.prices)
        _change(highs.changeColsBounds, task.columns, task.lower, task.upper)
        begin_s = highs.getRunTime()
        highs.setOptionValue("time_limit", min(1e20, begin_s + max(0.0, task.limit_s)))
        highs.run()
        answer = self._answer(highs.getRunTime() - begin_s)
        _change(highs.changeColsBounds, task.columns, held.lower[task.columns], held.upper[task.columns])
        return answer

    def _answer(self, seconds: float) -> Answer:
        highs = self._highs
        status, kinds = highs.getModelStatus(), highspy.HighsModelStatus
        proved = status in (kinds.kOptimal, kinds.kModelEmpty)
        if not proved and (status != kinds.kTimeLimit or highs.getInfo().primal_solution_status != KEEPS_ROWS):
            return Answer(False, -math.inf, None, None, seconds)
        solution = highs.getSolution()
        duals = numpy.array(solution.row_dual) if proved else None
        return Answer(proved, float(highs.getInfo().objective_function_value), numpy.array(solution.col_value), duals, seconds)


def fresh_highs(program: Arrays) -> Any:
    """A silent solver of one thread with this program."""
    highs: Any = highspy.Highs()  # type: ignore[no-untyped-call]
    highs.setOptionValue("output_flag", False)
    highs.setOptionValue("threads", 1)
    highs.passModel(as_highs_lp(program))
    return highs


def _change(how: Any, places: Whole, *values: Floats) -> None:
    if len(places):
        how(len(places), places, *values)
