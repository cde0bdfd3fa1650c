"""What it costs that a charger takes 0 or at least 6 A: the LP, the LP rounded, and mixed-integer programs as the reference.

lp        the linear program: what nothing can beat
rounded   first slot set to whole amps from 6 A on (``optimizer/amps.py``), the rest optimised again
first     binaries for the running slot: every car 0 or at least its minimum there
all       binaries for every slot, the "right" program, within its time limit
wall      seconds; "gap" is what the solver says it may still be away from its own best

Only for the benchmark: the controller never waits for a binary. Rounded: its figures go to history.csv, target 0.02 % above the LP.

    python tests/bench/milp_reference.py [--cars 50 100] [--kinds tight] [--limit-s 20] [--dry]
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import highspy
import numpy
import pulp

from optimizer.amps import Steps, to_amps
from optimizer.booking import settle
from optimizer.highs import handed_over
from optimizer.model import Model, build, powers
from optimizer.problem import Ev, PlanStatus, Problem
from tests.bench import ledger
from tests.bench.ledger import record
from tests.support.fleet import KINDS, fleet

BENCH = "milp"


@dataclass(frozen=True, slots=True)
class Outcome:
    """objective in currency (inf: nothing found), gap of the solver in parts, wall seconds."""

    objective: float
    gap: float
    wall_s: float


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--cars", type=int, nargs="+", default=[50, 100])
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=["tight"])
    parser.add_argument("--limit-s", type=float, default=20.0, help="for each mixed-integer program [s]")
    parser.add_argument("--dry", action="store_true", help="print only, nothing into history.csv")
    options = parser.parse_args()
    if options.dry:
        ledger.HISTORY = Path("/dev/null")
    for kind in options.kinds:
        for cars in options.cars:
            compare(kind, cars, options.limit_s)


def compare(kind: str, cars: int, limit_s: float) -> None:
    """One site."""
    problem, name = fleet(kind, cars), f"{kind} {cars}"
    lp, setpoint_a = linear(problem)
    rounded = program(problem, limit_s, set_to=setpoint_a)
    first, every = program(problem, limit_s, binary_slots=1), program(problem, limit_s, binary_slots=len(problem.slots))
    for title, outcome in (("rounded", rounded), ("first", first), ("all", every)):
        above, gap = 100.0 * (outcome.objective / lp.objective - 1.0), 100.0 * outcome.gap
        print(f"{name} {title:<8} {above:9.4f} % above the LP, gap {gap:7.3f} %, {outcome.wall_s:6.2f} s (LP {lp.wall_s:.2f} s)", flush=True)
    record(BENCH, f"{name} rounded above lp", 100.0 * (rounded.objective / lp.objective - 1.0), "%", "<= 0.02")
    record(BENCH, f"{name} rounded above milp of the first slot", 100.0 * (rounded.objective / first.objective - 1.0), "%")
    if math.isfinite(every.objective):
        record(BENCH, f"{name} milp of all slots above lp", 100.0 * (every.objective / lp.objective - 1.0), "%", "", every.wall_s / lp.wall_s)


def linear(problem: Problem) -> tuple[Outcome, Mapping[str, float]]:
    """The LP's optimum, and the running slot in amps that chargers accept."""
    begin_s = time.perf_counter()
    model = build(problem)
    solver = _solver(model, 600.0)
    solver.run()
    wall_s = time.perf_counter() - begin_s
    for column, value in zip(model.lp._variables, solver.getSolution().col_value, strict=True):
        column.varValue = value
    plan = settle(problem, model.tree, powers(model), PlanStatus.PROVED, "highs")
    here = [ev for ev in problem.evs if ev.arrival_wall_s <= problem.created_wall_s]
    rounded = to_amps(problem, plan, {ev.ev_id: _steps(problem, ev) for ev in here}, {}, ())
    return Outcome(_objective(model, solver), 0.0, wall_s), rounded.setpoint_a


def _steps(problem: Problem, ev: Ev) -> Steps:
    return Steps(6.0, ev.max_power_w / problem.voltage_v / len(ev.phases), 1.0)


def program(problem: Problem, limit_s: float, binary_slots: int = 0, set_to: Mapping[str, float] | None = None) -> Outcome:
    """The program with binaries in its first slots, or with the running slot set to these amps."""
    begin_s = time.perf_counter()
    model = build(problem)
    solver = _solver(model, limit_s)
    for ev in problem.evs:
        for slot in range(binary_slots):
            _add_gap(solver, model, ev, slot)
        if set_to is not None and ev.ev_id in set_to:
            _set_to(solver, model, ev, set_to[ev.ev_id])
    solver.run()
    wall_s, found = time.perf_counter() - begin_s, solver.getInfo()
    if found.primal_solution_status != 2:
        return Outcome(math.inf, math.inf, wall_s)
    return Outcome(_objective(model, solver), found.mip_gap if binary_slots else 0.0, wall_s)


def _solver(model: Model, limit_s: float) -> Any:
    solver: Any = highspy.Highs()
    for option, value in (("output_flag", False), ("threads", 1), ("time_limit", limit_s), ("mip_rel_gap", 1e-6)):
        solver.setOptionValue(option, value)
    solver.passModel(handed_over(model.lp)[0])
    return solver


def _objective(model: Model, solver: Any) -> float:
    return float(model.scale * (solver.getInfo().objective_function_value + pulp.value(model.lp.objective.constant)))


def _places(model: Model, ev: Ev, slot: int, blocks: Iterable[tuple[int, int]]) -> list[int]:
    """Columns of a car in a slot: of the blocks of all its slots, and of those with the power of now."""
    car = model.cars[ev.ev_id]
    at = slot - car.first
    found = [block + at for block, _ in blocks if block >= 0 and 0 <= at < car.slots]
    return found + [keep + at for _, keep in blocks if keep >= 0 and 0 <= at < car.keeps]


def _add_gap(solver: Any, model: Model, ev: Ev, slot: int) -> None:
    """Nothing, or at least the car's minimum, in one slot."""
    car, hours = model.cars[ev.ev_id], model.problem.slots[slot].hours
    places = _places(model, ev, slot, [(car.charge, car.keep)])
    most = sum(model.program.upper[place] for place in places)
    least = ev.min_power_w * hours / 1000.0
    if not places or most <= 0.0:
        return
    if most < least - 1e-9:  # part of a slot, or a bound below the minimum: it cannot charge here
        for place in places:
            solver.changeColBounds(place, 0.0, 0.0)
        return
    binary = solver.getNumCol()
    solver.addCol(0.0, 0.0, 1.0, 0, numpy.zeros(0, dtype=numpy.int32), numpy.zeros(0))
    solver.changeColIntegrality(binary, highspy.HighsVarType.kInteger)
    columns = numpy.array([*places, binary], dtype=numpy.int32)
    solver.addRow(-highspy.kHighsInf, 0.0, len(columns), columns, numpy.array([1.0] * len(places) + [-most]))
    solver.addRow(0.0, highspy.kHighsInf, len(columns), columns, numpy.array([1.0] * len(places) + [-least]))


def _set_to(solver: Any, model: Model, ev: Ev, amps: float) -> None:
    """The running slot's power is this setpoint."""
    car = model.cars[ev.ev_id]
    takes, gives = (_places(model, ev, 0, [pair]) for pair in ((car.charge, car.keep), (car.give, car.give_keep)))
    if takes:
        kwh = amps * model.problem.voltage_v * len(ev.phases) * model.problem.slots[0].hours / 1000.0
        columns = numpy.array([*takes, *gives], dtype=numpy.int32)
        solver.addRow(kwh, kwh, len(columns), columns, numpy.array([1.0] * len(takes) + [-1.0] * len(gives)))


if __name__ == "__main__":
    main()
