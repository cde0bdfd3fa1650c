"""HiGHS behind PuLP: handed the whole program in one piece, then kept alive.

PuLP 3.3.2's own ``pulp.HiGHS`` adds columns and rows one by one, sorts all columns by name on each call, cannot go on
from an earlier solve, and calls a run stopped at its time limit "Optimal" even when its point breaks rows. This one
reads the PuLP objects into arrays (``arrays.py``), and when the program comes again it pushes only what is different:
bounds, right-hand sides, costs, coefficients, columns and rows added since. The dual simplex then starts from the basis it ended with,
which is 5-20 times faster than from nothing.

Decides only how to hand over and how to read the answer: ``LpSolutionOptimal`` is proved, ``LpSolutionIntegerFeasible``
is a point that keeps every row but was not proved best, anything else is no plan. Values, reduced costs and duals stand
afterwards in arrays; ``lp.solve(engine)`` also puts them where PuLP does (``column.varValue``, ``column.dj``, ``row.pi``).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy
import pulp
from pulp import constants

from optimizer.arrays import INFINITE, Arrays, Changes, Entries, Floats, Whole, changes, read

try:
    import highspy
except ImportError:  # the solver is optional: CBC then does the work
    highspy = None  # type: ignore[assignment]

PERTURBED, UNPERTURBED = 1.0, 0.0
"""Dual simplex perturbs the costs against stalling. From nothing it must (400 cars: 1.9 s with, 13 s without), from the optimum of a
moment ago it spoils what it has: 500 cars on a scarce site 0.29-0.54 s with, 0.11-0.13 s without."""
CHOOSE, DEVEX = -1, 1
FEW = 0.02
"""Part of the rows with new right-hand sides below which Devex is the better choice after rows were added. HiGHS then has lost its steepest
edge weights, and to compute them anew costs 35 ms (500 cars) to 0.5 s (1000 cars): more than a car's few steps need."""
MANY_ROWS = 20_000
"""From so many rows on Devex takes twice as long as steepest edge when everything has changed; below, it is never slower."""
CLEAR = 1e-9
"""Reduced costs beyond this have a sign."""
KEEPS_ROWS = 2
"""HighsInfo.primal_solution_status of a point that satisfies every row and bound."""


class Verdict(StrEnum):
    """How a run ended. LATE: stopped at the time limit without a usable point; what was reached is kept for the next run."""

    PROVED = "proved"
    FEASIBLE = "feasible"
    LATE = "late"
    INFEASIBLE = "infeasible"
    UNBOUNDED = "unbounded"
    OUT_OF_MEMORY = "out_of_memory"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Basis:
    """Where a simplex stood: HiGHS' status of each column and each row (0 at the lower bound, 1 basic, 2 at the upper bound,
    3 free, 4 nonbasic)."""

    columns: list[int]
    rows: list[int]


class LiveHighs(pulp.HiGHS):  # type: ignore[misc]
    """Minimising linear programs only (no integers). One thread: the site's control loop needs the other core.

    Use ``cold`` for a program it has never seen and ``hot`` for the same one after changes; ``lp.solve(engine)`` is cold.
    ``values``, ``reduced`` (costs), ``duals`` (of rows) and ``objective``: of the last run; the first and the last mean something
    after PROVED and FEASIBLE, the others after PROVED.
    ``alive``: whether there is a program that ``hot`` can go on with: not after any exception, nor after a verdict other than PROVED,
    FEASIBLE and LATE. ``settled``: whether it stands at a proved optimum.
    """

    def __init__(self, time_limit_s: float = math.inf, threads: int = 1, **options: Any) -> None:
        # Presolve finds little in our lean programs and loses the edge weights: the first hot run then computes 10^4 of them anew.
        super().__init__(mip=False, msg=False, threads=threads, timeLimit=time_limit_s, **{"presolve": "off", **options})
        self._highs: Any = None
        self._held: Arrays | None = None
        self.values, self.reduced, self.duals, self.objective = numpy.zeros(0), numpy.zeros(0), numpy.zeros(0), math.nan
        self.alive = self.settled = self._rough = False

    def available(self) -> bool:
        """True if highspy is installed."""
        return highspy is not None

    # -- PuLP's way in ------------------------------------------------------------------------------

    def actualSolve(self, lp: pulp.LpProblem, callback: Any = None) -> int:  # noqa: N802 - PuLP's name
        """Solve ``lp`` from nothing and write values and status into it. Raises pulp.PulpSolverError when highspy is missing."""
        verdict = self.cold(lp)
        if verdict in (Verdict.PROVED, Verdict.FEASIBLE):
            self.write_back(lp, verdict is Verdict.PROVED)
        return int(lp.status)

    # -- ours ---------------------------------------------------------------------------------------

    def forget(self) -> None:
        """Give the held program back to the memory."""
        self._highs, self._held, self.alive, self._rough = None, None, False, False

    def cold(self, lp: pulp.LpProblem, basis: Basis | None = None) -> Verdict:
        """Hand over everything and solve, from ``basis`` (statuses of the columns and rows of ``lp`` in order) if there is one."""
        if highspy is None:
            raise pulp.PulpSolverError("highspy is not installed")
        self.forget()
        held = read(lp)
        self.createAndConfigureSolver(lp)
        self._highs = lp.solverModel
        _accepted(self._highs.passModel(as_highs_lp(held)), "the program")
        if basis is not None:
            self._start_from(basis)
        self._held = held
        return self._run(lp)

    def hot(self, lp: pulp.LpProblem, known: Changes | None = None) -> Verdict:
        """Push what has changed in ``lp`` since the last run and go on from its basis.

        known: what has changed; None = found by reading everything again, which no run with known changes may have come before.
        Raises ``arrays.OtherProgram`` when too much has changed.
        """
        alive, held, self.alive, self._held = self.alive, self._held, False, None
        if known is None:
            if held is None:
                raise pulp.PulpSolverError("there is no program to go on with")
            self._held, known = changes(held, lp)
        elif not alive:
            raise pulp.PulpSolverError("there is no program to go on with")
        self._weigh(known)
        self._push(known)
        self._highs.setOptionValue("dual_simplex_cost_perturbation_multiplier", UNPERTURBED if self.settled else PERTURBED)
        return self._run(lp)

    def basis(self) -> Basis | None:
        """Where the last run ended; None when it left nothing usable."""
        if self._highs is None:
            return None
        kept = self._highs.getBasis()
        return Basis([int(status) for status in kept.col_status], [int(status) for status in kept.row_status]) if kept.valid else None

    def write_back(self, lp: pulp.LpProblem, proved: bool) -> None:
        """The last run's point into PuLP's objects, with reduced costs and duals when it was proved."""
        for column, value in zip(lp._variables, self.values.tolist(), strict=True):
            column.varValue = value
        if proved:
            for column, dual in zip(lp._variables, self.reduced.tolist(), strict=True):
                column.dj = dual
            for row, dual in zip(lp._constraints.values(), self.duals.tolist(), strict=True):
                row.pi = dual

    # -- in and out -----------------------------------------------------------------------------------

    def _start_from(self, basis: Basis) -> None:
        start = highspy.HighsBasis()
        kinds = [highspy.HighsBasisStatus(number) for number in range(5)]
        start.col_status, start.row_status = [kinds[status] for status in basis.columns], [kinds[status] for status in basis.rows]
        start.valid = True
        start.alien = True  # it comes from another program: HiGHS shall repair it, not trust it
        self._highs.setBasis(start)  # a refused basis costs time, not the plan: then it starts from nothing

    def _weigh(self, new: Changes) -> None:
        """Choose edge weights; HiGHS looks at the choice only when it has none."""
        grown, held = new.added_rows is not None, self._highs.getNumRow()
        quick = held < MANY_ROWS or len(new.rows) < FEW * held
        if grown:
            self._highs.setOptionValue("simplex_dual_edge_weight_strategy", DEVEX if quick else CHOOSE)
            self._rough = quick
        elif self._rough and not quick:
            self._highs.setOptionValue("simplex_dual_edge_weight_strategy", CHOOSE)
            stood = self._highs.getBasis()
            self._highs.clearSolver()  # the only way to make it forget its Devex weights
            self._highs.setBasis(stood)
            self._rough = False

    def _push(self, new: Changes) -> None:
        highs = self._highs
        self._take_sides(new.columns, new.lower, new.upper, self.reduced[new.columns])
        if len(new.columns):
            _accepted(highs.changeColsBounds(len(new.columns), new.columns, new.lower, new.upper), "new bounds")
        if len(new.priced):
            _accepted(highs.changeColsCost(len(new.priced), new.priced, new.cost), "new costs")
        if len(new.rows):
            _accepted(highs.changeRowsBounds(len(new.rows), new.rows, new.row_lower, new.row_upper), "new right-hand sides")
        for row, column, coefficient in new.coefficients:
            _accepted(highs.changeCoeff(row, column, coefficient), "a new coefficient")
        if new.added_columns is not None and len(new.added_columns[2]):
            lower, upper, cost, at = new.added_columns
            _accepted(highs.addCols(len(cost), cost, lower, upper, len(at.values), at.starts[:-1], at.indices, at.values), "columns")
            places = numpy.arange(len(cost), dtype=numpy.int32) + len(self.reduced)
            self._take_sides(places, lower, upper, cost - _earned(at, self.duals))
            _accepted(highs.changeColsBounds(len(places), places, lower, upper), "bounds of columns")
        if new.added_rows is not None and len(new.added_rows[0]):
            lower, upper, at = new.added_rows
            _accepted(highs.addRows(len(lower), lower, upper, len(at.values), at.starts[:-1], at.indices, at.values), "rows")

    def _take_sides(self, columns: Whole, lower: Floats, upper: Floats, reduced: Floats) -> None:
        """Let a column that rests at a bound rest at the one its reduced cost wants.

        A column that was shut and opens, or is new, rests at its lower bound. Where it wants the upper one, HiGHS goes through dual phase 1,
        which forgets at which bounds all the others rested: 5000 steps instead of 200 for one arriving V2G car among 500. HiGHS has no
        word for it, but while only one bound is finite a resting column is at that one, and it stays there.
        """
        for wanted, low, high in ((reduced < -CLEAR, -INFINITE, upper), (reduced > CLEAR, lower, INFINITE)):
            some = columns[wanted]
            if len(some):
                lows, highs = (numpy.broadcast_to(numpy.asarray(side), columns.shape)[wanted] for side in (low, high))
                _accepted(self._highs.changeColsBounds(len(some), some, lows, highs), "bounds on one side")

    def _run(self, lp: pulp.LpProblem) -> Verdict:
        highs = self._highs
        if self.timeLimit is not None and math.isfinite(self.timeLimit):
            highs.setOptionValue("time_limit", highs.getRunTime() + max(0.0, float(self.timeLimit)))  # its clock never restarts
        highs.run()
        verdict = _verdict(highs)
        self.settled = verdict is Verdict.PROVED
        self.alive = verdict in (Verdict.PROVED, Verdict.FEASIBLE, Verdict.LATE)
        if self.alive:
            solution = highs.getSolution()
            self.values, self.reduced, self.duals = (numpy.array(part) for part in (solution.col_value, solution.col_dual, solution.row_dual))
            self.objective = float(highs.getInfo().objective_function_value) + float(lp.objective.constant)
        else:
            self.forget()
        lp.assignStatus(*_PULP[verdict])
        return verdict


OnePassHighs = LiveHighs


def _earned(entries: Entries, duals: Floats) -> Floats:
    """What each column's entries are worth at these duals of the rows."""
    owners = numpy.repeat(numpy.arange(len(entries.starts) - 1), numpy.diff(entries.starts))
    worth: Floats = numpy.bincount(owners, entries.values * duals[entries.indices], len(entries.starts) - 1).astype(float)
    return worth


def as_highs_lp(arrays: Arrays) -> Any:
    """The program as HiGHS takes it in one piece: column bounds and costs, then the rows one after another."""
    whole = highspy.HighsLp()
    whole.num_col_, whole.num_row_ = len(arrays.cost), len(arrays.row_lower)
    whole.col_cost_, whole.col_lower_, whole.col_upper_ = arrays.cost, arrays.lower, arrays.upper
    whole.row_lower_, whole.row_upper_ = arrays.row_lower, arrays.row_upper
    whole.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
    whole.a_matrix_.num_col_, whole.a_matrix_.num_row_ = whole.num_col_, whole.num_row_
    entries = arrays.entries
    whole.a_matrix_.start_, whole.a_matrix_.index_, whole.a_matrix_.value_ = entries.starts, entries.indices, entries.values
    return whole


def handed_over(lp: pulp.LpProblem) -> tuple[Any, list[pulp.LpVariable]]:
    """The program as HiGHS wants it, and its columns in order: for whoever wants HiGHS alone, without this layer."""
    return as_highs_lp(read(lp)), list(lp._variables)


def _accepted(status: Any, what: str) -> None:
    if status == highspy.HighsStatus.kError:
        raise pulp.PulpSolverError(f"HiGHS refuses {what}")


_PULP = {
    Verdict.PROVED: (constants.LpStatusOptimal, constants.LpSolutionOptimal),
    Verdict.FEASIBLE: (constants.LpStatusOptimal, constants.LpSolutionIntegerFeasible),
    Verdict.LATE: (constants.LpStatusNotSolved, constants.LpSolutionNoSolutionFound),
    Verdict.INFEASIBLE: (constants.LpStatusInfeasible, constants.LpSolutionInfeasible),
    Verdict.UNBOUNDED: (constants.LpStatusUnbounded, constants.LpSolutionUnbounded),
    Verdict.OUT_OF_MEMORY: (constants.LpStatusNotSolved, constants.LpSolutionNoSolutionFound),
    Verdict.FAILED: (constants.LpStatusNotSolved, constants.LpSolutionNoSolutionFound),
}


def _verdict(solver: Any) -> Verdict:
    status, kinds = solver.getModelStatus(), highspy.HighsModelStatus
    if status in (kinds.kOptimal, kinds.kModelEmpty):
        return Verdict.PROVED
    if status in (kinds.kInfeasible, kinds.kUnboundedOrInfeasible):
        return Verdict.INFEASIBLE
    if status == kinds.kUnbounded:
        return Verdict.UNBOUNDED
    if status in (kinds.kTimeLimit, kinds.kIterationLimit):
        return Verdict.FEASIBLE if solver.getInfo().primal_solution_status == KEEPS_ROWS else Verdict.LATE
    return Verdict.OUT_OF_MEMORY if status == kinds.kMemoryLimit else Verdict.FAILED
