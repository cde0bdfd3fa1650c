"""One problem, one plan, nothing kept: for files, tests and whoever has no next problem.

In one piece, whatever its size. Same model, same solvers and the same reasons for having no plan as ``live.py``, which solves
one problem after another. The plan is not yet verified: ``check.py`` does that, elsewhere. ``solve`` never returns a plan it does not have.
"""

from __future__ import annotations

from dataclasses import replace

from optimizer.failure import SolveError, SolveReason
from optimizer.live import SOLVERS, Live
from optimizer.problem import Plan, Problem

__all__ = ["SOLVERS", "SolveError", "SolveReason", "solve"]


def solve(problem: Problem, deadline_s: float, solver: str = "auto") -> Plan:
    """The cheapest plan.

    deadline_s: for building and solving together [s]. solver: "highs", "cbc", or "auto" (HiGHS, and CBC
    when HiGHS is missing or fails). Raises SolveError; ValueError for an unknown solver.
    """
    return replace(Live(solver, verify=False, workers=0).solve(problem, deadline_s), way="")
