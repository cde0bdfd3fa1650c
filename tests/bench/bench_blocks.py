"""Very big sites: solved by feeder against the joint program, 3000 EVSEs on the variable grid. Figures go to history.csv.

wall      of the whole plan (coarse picture, building, cutting, rounds, last step), 2 processes; ratio: against the joint program
          built and solved by one HiGHS in the same run
cpu       of all processes; "per process" is the wall time that a machine with nothing else to do comes near
above     objective above the joint optimum [%]
gap       what the plan itself says it can be above the optimum at most [%]

Sites: ``tests/support/fleet.py``. The joint program of 3000 cars on the scarce site takes a minute and more; --no-joint leaves it out.

    python tests/bench/bench_blocks.py [--cars 3000] [--kinds depot tight] [--workers 2] [--no-joint] [--dry]
"""

from __future__ import annotations

import argparse
import gc
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from optimizer.blocks import solve_in_blocks
from optimizer.check import check
from optimizer.problem import Plan
from optimizer.solve import solve
from tests.bench import ledger
from tests.bench.ledger import record
from tests.support.fleet import KINDS, fleet

BENCH = "blocks"
DEADLINE_S = 600.0
WALL_S = 10.0
ABOVE_PERCENT = 1.0


def main() -> None:
    """Measure what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--cars", type=int, default=3000)
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=["depot", "tight"])
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--no-joint", action="store_true", help="only the blocks and their own bound")
    parser.add_argument("--dry", action="store_true", help="print only, nothing into history.csv")
    options = parser.parse_args()
    if options.dry:
        ledger.HISTORY = Path("/dev/null")
    for kind in options.kinds:
        measure(kind, options.cars, options.workers, not options.no_joint)


def measure(kind: str, cars: int, workers: int, joint: bool) -> None:
    """One site."""
    problem, name = fleet(kind, cars), f"{kind} {cars}"
    plan, wall_s, cpu_s = timed(lambda: solve_in_blocks(problem, DEADLINE_S, workers))
    broken = check(problem, plan)
    print(f"{name}: {plan.status}, {'sound' if not broken else f'BROKEN: {broken[0]}'}", flush=True)
    whole, whole_s, _ = timed(lambda: solve(problem, DEADLINE_S)) if joint else (None, 0.0, 0.0)
    wall_goal = f"<= {WALL_S:g}" if cars == 3000 else ""
    record(BENCH, f"{name} wall", wall_s, "s", wall_goal, wall_s / whole_s if joint else None)
    record(BENCH, f"{name} cpu", cpu_s, "s")
    record(BENCH, f"{name} cpu per process", cpu_s / workers, "s")
    if plan.gap is not None:
        record(BENCH, f"{name} proved gap", 100.0 * plan.gap, "%")
    if whole is not None and whole.objective is not None and plan.objective is not None:
        record(BENCH, f"{name} joint wall", whole_s, "s")
        record(BENCH, f"{name} above joint", 100.0 * (plan.objective / whole.objective - 1.0), "%", f"<= {ABOVE_PERCENT:g}")


def timed(work: Callable[[], Plan]) -> tuple[Plan, float, float]:
    """What it made, wall and CPU seconds (ended children included)."""
    gc.collect()
    gc.disable()  # as the child does
    begin_s, cpu_s = time.perf_counter(), _cpu_s()
    made = work()
    gc.enable()
    return made, time.perf_counter() - begin_s, _cpu_s() - cpu_s


def _cpu_s() -> float:
    return sum(used.ru_utime + used.ru_stime for used in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)))


if __name__ == "__main__":
    main()
