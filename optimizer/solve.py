"""From a problem to a plan: builds the program, runs HiGHS, falls back to CBC, tells proof from luck.

``solve`` never returns a plan it does not have and never waits on purpose beyond its deadline, but the
deadline is only as hard as the solvers' own clocks (CBC looks at its clock only between nodes): whoever needs a hard one runs
``python -m optimizer`` and kills it. A plan is not yet verified: ``check.py`` does that, elsewhere.

PuLP's ``status`` is "Optimal" for any point found before the limit; only ``sol_status`` proves it
(coin-or/pulp #649, #711).
"""

from __future__ import annotations

import time
from enum import StrEnum

import pulp
from pulp import constants

from optimizer.highs import OnePassHighs
from optimizer.model import Model, build, powers
from optimizer.problem import Plan, PlanStatus, Problem
from optimizer.terms import defects, settle

SOLVERS = ("auto", "highs", "cbc")


class SolveReason(StrEnum):
    """Why there is no plan."""

    BAD_PROBLEM = "bad_problem"
    DEADLINE = "deadline"
    INFEASIBLE = "infeasible"
    UNBOUNDED = "unbounded"
    NO_SOLVER = "no_solver"
    SOLVER_FAILED = "solver_failed"


class SolveError(Exception):
    """No plan. ``reason`` is from the short list, ``detail`` says what was wrong in words."""

    def __init__(self, reason: SolveReason, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


def solve(problem: Problem, deadline_s: float, solver: str = "auto") -> Plan:
    """The cheapest plan.

    deadline_s: for building and solving together [s]. solver: "highs", "cbc", or "auto" (HiGHS, and CBC
    when HiGHS is missing or fails). Raises SolveError; ValueError for an unknown solver.
    """
    if solver not in SOLVERS:
        raise ValueError(f"unknown solver {solver!r}: use one of {', '.join(SOLVERS)}")
    found = defects(problem)
    if found:
        raise SolveError(SolveReason.BAD_PROBLEM, "; ".join(found))
    started_s = time.perf_counter()
    model = build(problem)
    name, status = _run(model, started_s + deadline_s, solver)
    return settle(problem, model.tree, powers(model), status, name, time.perf_counter() - started_s)


def _run(model: Model, end_s: float, wanted: str) -> tuple[str, PlanStatus]:
    """Try the solvers in order until one has an answer. Returns which one, and how good the answer is."""
    failure = SolveError(SolveReason.NO_SOLVER, "neither HiGHS nor CBC can be run; install highspy or PuLP's CBC")
    for name in ("highs", "cbc") if wanted == "auto" else (wanted,):
        left_s = end_s - time.perf_counter()
        if left_s <= 0.0:
            raise SolveError(SolveReason.DEADLINE, f"no time left before {name} could start")
        engine = _engine(name, left_s)
        if not engine.available():
            continue
        try:
            return name, _attempt(model, engine, name, end_s)
        except SolveError as error:
            if error.reason is SolveReason.DEADLINE:
                raise
            failure = error
    raise failure


def _engine(name: str, left_s: float) -> pulp.LpSolver:
    if name == "highs":
        return OnePassHighs(left_s)
    return pulp.PULP_CBC_CMD(mip=False, msg=False, timeLimit=left_s, _skip_v4_deprecation=True)


def _attempt(model: Model, engine: pulp.LpSolver, name: str, end_s: float) -> PlanStatus:
    try:
        model.lp.solve(engine)
    except (pulp.PulpError, OSError, RuntimeError) as error:
        raise SolveError(SolveReason.SOLVER_FAILED, f"{name}: {error}") from error
    if model.lp.sol_status == constants.LpSolutionOptimal:
        return PlanStatus.PROVED
    if model.lp.sol_status == constants.LpSolutionIntegerFeasible:
        return PlanStatus.FEASIBLE
    raise _failure(model.lp.sol_status, name, end_s)


def _failure(sol_status: int, name: str, end_s: float) -> SolveError:
    if sol_status == constants.LpSolutionInfeasible:
        text = f"{name} says that no plan can keep all rows; that is a defect of the model: please report it with the problem file"
        return SolveError(SolveReason.INFEASIBLE, text)
    if sol_status == constants.LpSolutionUnbounded:
        return SolveError(SolveReason.UNBOUNDED, f"{name} says that a plan could earn without end; look for an impossible price")
    if time.perf_counter() >= end_s:
        return SolveError(SolveReason.DEADLINE, f"{name} found no plan in time")
    return SolveError(SolveReason.SOLVER_FAILED, f"{name} gave up without an answer")
