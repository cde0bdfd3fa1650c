"""HiGHS behind PuLP, handed the whole program in one piece.

PuLP 3.3.2's own ``pulp.HiGHS`` adds columns and rows one by one, sorts all columns by name on each
call, and calls a run stopped at its time limit "Optimal" even when its point breaks rows. Decides only
how to hand over and how to read the answer: ``LpSolutionOptimal`` is proved, ``LpSolutionIntegerFeasible`` is a
point that keeps every row but was not proved best, anything else is no plan.
"""

from __future__ import annotations

from typing import Any

import pulp
from pulp import constants

try:
    import highspy
except ImportError:  # the solver is optional: CBC then does the work
    highspy = None  # type: ignore[assignment]

KEEPS_ROWS = 2
"""HighsInfo.primal_solution_status of a point that satisfies every row and bound."""


class OnePassHighs(pulp.HiGHS):  # type: ignore[misc]
    """Minimising linear programs only (no integers). One thread: the site's control loop needs the other core."""

    def __init__(self, time_limit_s: float) -> None:
        super().__init__(mip=False, msg=False, threads=1, timeLimit=time_limit_s)

    def available(self) -> bool:
        """True if highspy is installed."""
        return highspy is not None

    def actualSolve(self, lp: pulp.LpProblem, callback: Any = None) -> int:  # noqa: N802 - PuLP's name
        """Solve ``lp`` and write values and status into it. Raises pulp.PulpSolverError when highspy is missing."""
        if highspy is None:
            raise pulp.PulpSolverError("highspy is not installed")
        whole, columns = handed_over(lp)
        self.createAndConfigureSolver(lp)
        lp.solverModel.passModel(whole)
        lp.solverModel.run()
        for column, value in zip(columns, lp.solverModel.getSolution().col_value, strict=False):
            column.varValue = value
        status, solution = _verdict(lp.solverModel)
        lp.assignStatus(status, solution)
        return status


def handed_over(lp: pulp.LpProblem) -> tuple[Any, list[pulp.LpVariable]]:
    """The program as HiGHS wants it (a HighsLp: column bounds and costs, then the rows one after another), and its columns in order."""
    infinite = highspy.kHighsInf
    lp._add_variables(lp.objective.keys())  # columns that no row mentions: PuLP registers them only when it sorts all by name
    columns = lp._variables
    for index, column in enumerate(columns):
        column.index = index
    rows = list(lp._constraints.values())
    whole = highspy.HighsLp()
    whole.num_col_, whole.num_row_ = len(columns), len(rows)
    whole.col_cost_ = [lp.objective.get(column, 0.0) for column in columns]
    whole.col_lower_ = [-infinite if column.lowBound is None else column.lowBound for column in columns]
    whole.col_upper_ = [infinite if column.upBound is None else column.upBound for column in columns]
    whole.row_lower_ = [-infinite if row.sense == constants.LpConstraintLE else -row.constant for row in rows]
    whole.row_upper_ = [infinite if row.sense == constants.LpConstraintGE else -row.constant for row in rows]
    starts, indices, values = [0], list[int](), list[float]()
    for row in rows:
        indices += [column.index for column in row.expr]
        values += row.expr.values()
        starts.append(len(indices))
    whole.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
    whole.a_matrix_.num_col_, whole.a_matrix_.num_row_ = len(columns), len(rows)
    whole.a_matrix_.start_, whole.a_matrix_.index_, whole.a_matrix_.value_ = starts, indices, values
    return whole, columns


def _verdict(solver: Any) -> tuple[int, int]:
    status, kinds = solver.getModelStatus(), highspy.HighsModelStatus
    if status == kinds.kOptimal:
        return constants.LpStatusOptimal, constants.LpSolutionOptimal
    if status in (kinds.kInfeasible, kinds.kUnboundedOrInfeasible):
        return constants.LpStatusInfeasible, constants.LpSolutionInfeasible
    if status == kinds.kUnbounded:
        return constants.LpStatusUnbounded, constants.LpSolutionUnbounded
    if status in (kinds.kTimeLimit, kinds.kIterationLimit) and solver.getInfo().primal_solution_status == KEEPS_ROWS:
        return constants.LpStatusOptimal, constants.LpSolutionIntegerFeasible
    return constants.LpStatusNotSolved, constants.LpSolutionNoSolutionFound
