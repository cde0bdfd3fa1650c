"""The living model: from one problem after another to verified plans, with as little work as each allows.

Three ways, cheapest first. "hot": the same cars, the same time grid: numbers are rewritten and the solver goes on from where it stood.
"admitted": cars came or left: their columns are appended or shut, then as hot. "rebuilt": anything else (a new quarter hour, new
prices, another tree): the program is built anew, and the old basis is taken over where both know the same car and moment.

Whatever looks doubtful is rebuilt; after any error everything is forgotten and one cold start is tried, then CBC, which
knows no basis. Every plan is verified before it is given away: one that ``check`` refuses counts as an error. What a
late run has reached is kept for the next problem. The deadline is as hard as the solvers' own clocks (CBC looks at its
own only between nodes): whoever needs a hard one runs ``python -m optimizer`` and kills it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

import pulp
from pulp import constants

from optimizer.arrays import stated
from optimizer.booking import settle
from optimizer.carry import Stood
from optimizer.check import check
from optimizer.crew import Crew
from optimizer.failure import SolveError, SolveReason
from optimizer.highs import Basis, LiveHighs, Verdict
from optimizer.model import Model, build, powers, shadow_prices
from optimizer.problem import Plan, PlanStatus, Problem
from optimizer.terms import defects

SOLVERS = ("auto", "highs", "cbc")
HOT, ADMITTED, REBUILT = "hot", "admitted", "rebuilt"
MOST_CARS = 1000
"""Above this many cars that are there or announced, a site is solved by feeder (``blocks.py``)."""
WARM_PART = 0.5
"""Part of the time left that a run from an old basis may use; the rest is for a start from nothing."""
MOST_LATE = 20
"""So many late runs in a row go on from each other; then something is wrong with where they stand."""
FINAL = (SolveReason.DEADLINE, SolveReason.OUT_OF_MEMORY, SolveReason.WRONG_ANSWER)
"""No other solver would do better, or there is no time to try."""


class Live:
    """Solves one problem after another. Not for several threads.

    solver: "highs", "cbc", or "auto" (HiGHS, and CBC when HiGHS is missing or fails). threads: of HiGHS. verify: whether plans are
    checked. workers: processes for a site that is solved by feeder, this one included; 0 = every site in one piece. ``why``: for
    people, why the last problem was not solved hot; "" = it was. ``rebuilds``: models built so far.
    """

    def __init__(self, solver: str = "auto", threads: int = 1, verify: bool = True, workers: int = 2) -> None:
        if solver not in SOLVERS:
            raise ValueError(f"unknown solver {solver!r}: use one of {', '.join(SOLVERS)}")
        self.why = ""
        self.rebuilds = 0
        self._solver, self._verify = solver, verify
        self._highs = LiveHighs(threads=threads)
        self._model: Model | None = None
        self._late = 0
        self._workers = workers
        self._crew: Crew | None = None

    def forget(self) -> None:
        """Give up the living model; the next problem is built anew."""
        self._model = None
        self._highs.forget()

    def solve(self, problem: Problem, deadline_s: float) -> Plan:
        """The cheapest plan. deadline_s: for everything together [s]. Raises SolveError."""
        found = defects(problem)
        if found:
            raise SolveError(SolveReason.BAD_PROBLEM, "; ".join(found))
        started_s = time.perf_counter()
        try:
            plan = self._solve(problem, started_s + deadline_s)
        except MemoryError as error:
            self.forget()
            raise SolveError(SolveReason.OUT_OF_MEMORY, "the memory that the optimizer may use is not enough for this site") from error
        return replace(plan, solve_s=time.perf_counter() - started_s)

    # -- which way -------------------------------------------------------------------------------------

    def _solve(self, problem: Problem, end_s: float) -> Plan:
        if self._solver == "cbc":
            return self._by_cbc(problem, end_s)
        if not self._highs.available():
            if self._solver == "highs":
                raise SolveError(SolveReason.NO_SOLVER, "HiGHS cannot be run; install highspy")
            return self._by_cbc(problem, end_s)
        try:
            return self._in_blocks(problem, end_s) or self._gone_on(problem, end_s) or self._rebuilt(problem, end_s)
        except SolveError as error:
            if self._solver == "highs" or error.reason in FINAL:
                raise
        return self._by_cbc(problem, end_s)

    def _in_blocks(self, problem: Problem, end_s: float) -> Plan | None:
        """A plan for a very big site; None = it is not one, or it cannot be cut. Raises SolveError when it is late."""
        if self._workers < 1 or sum(not ev.expected for ev in problem.evs) <= MOST_CARS:
            return None
        from optimizer.blocks import planned  # it needs this module for sites that cannot be cut

        self.forget()
        if self._crew is None:
            self._crew = Crew(self._workers)
        plan = planned(problem, self._crew, end_s)
        if plan is not None and plan.status is PlanStatus.RULES:  # the caller has rules of its own, and may have a better old plan
            raise SolveError(SolveReason.DEADLINE, "the blocks of the site were not solved in time")
        return None if plan is None else replace(plan, way=REBUILT)

    def _gone_on(self, problem: Problem, end_s: float) -> Plan | None:
        """A plan from the living model; None = it has to be rebuilt, for the reason in ``why``."""
        model = self._model
        if model is None or not self._highs.alive:
            self.why = "there is no living model"
            return None
        self.why = model.compatible(problem)
        if self.why:
            return None
        unfinished = not self._highs.settled
        try:
            way = ADMITTED if model.let_in_and_out(problem) else HOT
            known = stated(model.program, model.rewrite(problem))
            verdict = self._run(lambda: self._highs.hot(model.lp, known), end_s, 1.0 if unfinished else WARM_PART)
            plan = self._answer(model, problem, verdict, "highs", way)
            self._late = 0
            return plan
        except Exception as error:  # whatever it is, a cold start knows nothing of it
            if unfinished and self._highs.alive and self._late < MOST_LATE and getattr(error, "reason", None) is SolveReason.DEADLINE:
                self._late += 1  # it came nearer, a cold start would begin from nothing again
                raise
            self.why = f"going on failed: {type(error).__name__}: {error}"
            self.forget()
            return None

    def _rebuilt(self, problem: Problem, end_s: float) -> Plan:
        """A plan from a new model: first from the old basis where that fits, then from nothing. Raises SolveError."""
        stood = self._stood()
        urgency = {} if self._model is None else self._model.urgency
        self._late = 0
        self.forget()  # before building: two models side by side would need twice the memory
        self.rebuilds += 1
        model = build(problem, urgency)
        if stood is not None:
            try:
                return self._cold(model, problem, stood.at(model), end_s, WARM_PART)
            except SolveError as error:
                self.why = f"{self.why}; from the old basis: {error}"
        try:
            return self._cold(model, problem, None, end_s, 1.0)
        except SolveError as error:
            if error.reason is not SolveReason.WRONG_ANSWER:
                raise
            self.why = f"{self.why}; with batteries that give: {error}"
        return self._one_way(model, problem, end_s)

    def _one_way(self, model: Model, problem: Problem, end_s: float) -> Plan:
        """A plan in which no battery gives anything. Energy that a program wastes by charging and discharging at once, to relieve a wire
        or a phase, cannot always be taken out of a plan afterwards (``answers.py``); such a plan is refused, and this one needs no
        such repair. It is not gone on with: the next problem gets the whole program again. Raises SolveError."""
        model.one_way = True
        model.rewrite(problem)
        plan = self._cold(model, problem, None, end_s, 1.0)
        self.forget()
        return replace(plan, status=PlanStatus.FEASIBLE, shadow=())  # the best of what is left, not the best

    def _cold(self, model: Model, problem: Problem, start: Basis | None, end_s: float, part: float) -> Plan:
        try:
            verdict = self._run(lambda: self._highs.cold(model.lp, start), end_s, part)
            plan = self._answer(model, problem, verdict, "highs", REBUILT)
        except SolveError as error:
            self._model = model if error.reason is SolveReason.DEADLINE else None  # the next problem goes on from what was reached
            raise
        self._model = model
        return plan

    def _by_cbc(self, problem: Problem, end_s: float) -> Plan:
        self.forget()
        model = build(problem)
        return self._answer(model, problem, self._run(lambda: _cbc(model.lp, end_s), end_s, 1.0), "cbc", REBUILT)

    def _stood(self) -> Stood | None:
        basis = self._highs.basis() if self._model is not None else None
        return Stood(self._model, basis) if self._model is not None and basis is not None else None

    # -- one run ---------------------------------------------------------------------------------------

    def _run(self, run: Callable[[], Verdict], end_s: float, part: float) -> Verdict:
        """part: of the time left that it may use. Raises SolveError."""
        left_s = end_s - time.perf_counter()
        if left_s <= 0.0:
            raise SolveError(SolveReason.DEADLINE, "no time left before the solver could start")
        self._highs.timeLimit = left_s * part
        try:
            return run()
        except (pulp.PulpError, OSError, RuntimeError) as error:
            raise SolveError(SolveReason.SOLVER_FAILED, str(error)) from error

    def _answer(self, model: Model, problem: Problem, verdict: Verdict, name: str, way: str) -> Plan:
        """The verified plan in the model's columns. Raises SolveError."""
        if verdict not in STATUS:
            raise _failure(verdict, name)
        proved, highs = verdict is Verdict.PROVED, self._highs
        by_highs = name == "highs"
        decided = powers(model, highs.values if by_highs else None)
        shadow = shadow_prices(model, *((highs.reduced, highs.duals) if by_highs else (None, None))) if proved else ()
        objective = model.scale * (highs.objective if by_highs else float(pulp.value(model.lp.objective)))
        plan = settle(problem, model.tree, decided, STATUS[verdict], name, 0.0, objective, shadow)
        plan = replace(plan, way=way)
        refused = check(problem, plan) if self._verify else ()
        if refused:
            first = refused[0]
            text = f"{name} ({way}): the check found {len(refused)} broken promises, the first: {first.name} at {first.where} by {first.amount:.4g}"
            raise SolveError(SolveReason.WRONG_ANSWER, text)
        return plan


STATUS = {Verdict.PROVED: PlanStatus.PROVED, Verdict.FEASIBLE: PlanStatus.FEASIBLE}


def _cbc(lp: pulp.LpProblem, end_s: float) -> Verdict:
    engine = pulp.PULP_CBC_CMD(mip=False, msg=False, timeLimit=max(0.1, end_s - time.perf_counter()), _skip_v4_deprecation=True)
    if not engine.available():
        raise SolveError(SolveReason.NO_SOLVER, "neither HiGHS nor CBC can be run; install highspy or PuLP's CBC")
    lp.solve(engine)
    verdict = _SAID.get(lp.sol_status, Verdict.FAILED)
    return Verdict.LATE if verdict is Verdict.FAILED and time.perf_counter() >= end_s else verdict


_SAID = {
    constants.LpSolutionOptimal: Verdict.PROVED,
    constants.LpSolutionIntegerFeasible: Verdict.FEASIBLE,
    constants.LpSolutionInfeasible: Verdict.INFEASIBLE,
    constants.LpSolutionUnbounded: Verdict.UNBOUNDED,
}
"""PuLP's ``status`` is "Optimal" for any point found before the limit; only ``sol_status`` proves it (coin-or/pulp #649, #711)."""


def _failure(verdict: Verdict, name: str) -> SolveError:
    reason, text = _FAILURES[verdict]
    return SolveError(reason, text.format(name))


_FAILURES = {
    Verdict.LATE: (SolveReason.DEADLINE, "{} found no plan in time"),
    Verdict.INFEASIBLE: (
        SolveReason.INFEASIBLE,
        "{} says that no plan can keep all rows; that is a defect of the model: please report it with the problem file",
    ),
    Verdict.UNBOUNDED: (SolveReason.UNBOUNDED, "{} says that a plan could earn without end; look for an impossible price"),
    Verdict.OUT_OF_MEMORY: (SolveReason.OUT_OF_MEMORY, "{} needs more memory than the optimizer may use"),
    Verdict.FAILED: (SolveReason.SOLVER_FAILED, "{} gave up without an answer"),
}
