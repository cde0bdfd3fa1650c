"""Plans for very big sites: solved by feeder, several at once, with prices that make them fit together.

One LP over 3000 cars takes longer than thirty LPs over 100 cars, several times over. So the site is cut at its feeders (``cuts.py``).
First prices of the currents at the cuts come from a coarse picture of the site (``coarse.py``); the blocks answer with what they
would do, in several processes (``crew.py``), and the master (``master.py``) mixes the answers and mends the prices. At the end
every block plans for the currents of its part of the mixture, which add up inside the limits of the site. That last step also
turns mixtures, which give every car a little, into plans of a simplex, which give most cars all or nothing: they survive
rounding to 0 or 6 A.

Every round gives a proved bound. The search (``search.py``) ends when the gap is small, or in time for the last step.
"""

from __future__ import annotations

import importlib.util
import time
from dataclasses import replace

import pulp

from optimizer.arrays import read
from optimizer.booking import settle
from optimizer.check import check
from optimizer.crew import Crew
from optimizer.cuts import cut_nodes, homes, take_apart
from optimizer.failure import SolveError, SolveReason
from optimizer.model import Model, build, powers
from optimizer.problem import Plan, PlanStatus, Problem
from optimizer.rules import allocate
from optimizer.search import Found, Search
from optimizer.solve import solve
from optimizer.terms import defects
from optimizer.wires import plant_tree

BOOKING_PART = 0.4
"""Time kept for booking and checking the plan, in parts of what reading and building the problem took on this machine, now."""
START_PART = 0.25
"""Part of the deadline that the coarse picture's solver may use."""


def available() -> bool:
    """True if highspy is installed: CBC keeps no basis, so blocks would not pay with it."""
    return importlib.util.find_spec("highspy") is not None


def solve_in_blocks(problem: Problem, deadline_s: float, workers: int = 2) -> Plan:
    """A plan that is nearly the best. Its status is FEASIBLE, with the proved gap in ``Plan.gap``.

    deadline_s: for everything [s]; what is found until then is given; with nothing found it is the plan by rules. workers: processes
    that solve, this one included. A site that cannot be cut is solved in one piece. Raises SolveError for a bad problem.
    """
    found = defects(problem)
    if found:
        raise SolveError(SolveReason.BAD_PROBLEM, "; ".join(found))
    started_s = time.perf_counter()
    with Crew(workers) as crew:
        plan = planned(problem, crew, started_s + deadline_s) or _in_one_piece(problem, started_s + deadline_s)
    return replace(plan, solve_s=time.perf_counter() - started_s)


def planned(problem: Problem, crew: Crew, end_s: float) -> Plan | None:
    """As ``solve_in_blocks``, with a crew that stays; None when the site cannot be cut. The problem must have no ``terms.defects``.

    end_s: on ``time.perf_counter``. The plan is checked; one that would not pass gives way to the plan by rules.
    """
    cuts = cut_nodes(problem, plant_tree(problem))
    if len(cuts) < 2:
        return None
    begun_s = time.perf_counter()
    waiting = crew.begin(problem, cuts, START_PART * max(0.0, end_s - time.perf_counter()))
    model = build(problem)
    joint, known = read(model.lp), homes(model, cuts)
    apart, start = take_apart(joint, known), waiting()
    if apart is None:
        return None
    booking_s = BOOKING_PART * (time.perf_counter() - begun_s)
    found = Search(model, joint, known, apart, crew, end_s - booking_s).run(start)
    plan = start.ruled if found is None else _booked(problem, model, found)
    return start.ruled if check(problem, plan) else plan


def _booked(problem: Problem, model: Model, found: Found) -> Plan:
    for column, value in zip(model.lp._variables, found.values.tolist(), strict=True):
        column.varValue = value
    objective = model.scale * float(pulp.value(model.lp.objective))
    return replace(settle(problem, model.tree, powers(model), PlanStatus.FEASIBLE, "highs", 0.0, objective), gap=found.gap)


def _in_one_piece(problem: Problem, end_s: float) -> Plan:
    try:
        return solve(problem, max(0.0, end_s - time.perf_counter()))
    except SolveError as error:
        if error.reason is not SolveReason.DEADLINE:
            raise
        return allocate(problem)
