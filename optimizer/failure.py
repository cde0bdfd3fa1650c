"""Why there is no plan, as the callers of the solver see it."""

from __future__ import annotations

from enum import StrEnum


class SolveReason(StrEnum):
    """Why there is no plan. DEADLINE: the solver was late; WRONG_ANSWER: it answered, but ``check`` refused its plan."""

    BAD_PROBLEM = "bad_problem"
    DEADLINE = "deadline"
    INFEASIBLE = "infeasible"
    UNBOUNDED = "unbounded"
    NO_SOLVER = "no_solver"
    SOLVER_FAILED = "solver_failed"
    OUT_OF_MEMORY = "out_of_memory"
    WRONG_ANSWER = "wrong_answer"


class SolveError(Exception):
    """No plan. ``reason`` is from the short list, ``detail`` says what was wrong in words."""

    def __init__(self, reason: SolveReason, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail
