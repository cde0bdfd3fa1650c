"""From a problem to a plan: milliseconds for 10, 100 and 250 cars in 96 slots, against HiGHS alone.

The site is a depot: three levels of feeders, half three-phase and half single-phase cars, 30 % V2G, base load, PV, a battery, a
price for every quarter hour, a demand charge. The floor is the same program handed to highspy as finished
arrays and solved: what no modelling layer can beat. "ratio" is our whole way (checks, PuLP, hand-over,
solve, read-back, booking) against that floor; "rules" the plan without a solver, "check" the verifier. CPU time of
this process, median of the rounds.

    python tests/bench/bench_optimizer.py [--rounds 5] [--cars 10 100 250]
"""

from __future__ import annotations

import argparse
import math
import random
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import highspy

from optimizer.check import check
from optimizer.highs import handed_over
from optimizer.model import build
from optimizer.problem import Battery, Ev, Node, Problem, Slot
from optimizer.rules import allocate
from optimizer.solve import solve

START_S = 1_700_002_800.0
SLOTS = 96


def depot(cars: int, seed: int = 1) -> Problem:
    """A depot of this many cars, all plugged in at the start, leaving within 7 to 24 hours."""
    dice = random.Random(seed)
    panels, feeders = max(1, cars // 10), max(1, cars // 100)
    base = tuple((cars * dice.uniform(1.5, 2.5),) * 3 for _ in range(SLOTS))
    nodes = [Node("grid", None, (cars * 10.0,) * 3, other_load_a=base)]
    nodes += [Node(f"feeder{index}", "grid", (cars / feeders * 9.0,) * 3) for index in range(feeders)]
    nodes += [Node(f"panel{index}", f"feeder{index % feeders}", (80.0,) * 3) for index in range(panels)]
    return Problem(
        created_wall_s=START_S,
        slots=tuple(Slot(START_S + index * 900.0, 900.0) for index in range(SLOTS)),
        voltage_v=230.0,
        nodes=tuple(nodes),
        evs=tuple(_car(dice, index, f"panel{index % panels}") for index in range(cars)),
        buy_per_kwh=tuple(0.2 + 0.15 * dice.random() + (0.1 if 60 < index < 84 else 0.0) for index in range(SLOTS)),
        sell_per_kwh=(0.07,) * SLOTS,
        pv_w=tuple(max(0.0, cars * 1500.0 * math.cos((index - 48) / 15)) if abs(index - 48) < 24 else 0.0 for index in range(SLOTS)),
        demand_per_kw=0.5,
        battery=Battery(cars * 2000.0, cars * 1000.0, cars * 200.0, cars * 500.0, cars * 500.0, 0.96, 0.02),
    )


def _car(dice: random.Random, index: int, node_id: str) -> Ev:
    phases, power_w = ((0, 1, 2), 11_040.0) if index % 2 == 0 else ((index % 3,), 7360.0)
    two_way = dice.random() < 0.3
    return Ev(
        ev_id=f"ev{index}",
        node_id=node_id,
        phases=phases,
        arrival_wall_s=START_S,
        departure_wall_s=START_S + dice.uniform(7, 24) * 3600.0,
        energy_need_wh=dice.uniform(5e3, 40e3),
        min_power_w=1380.0 * len(phases),
        max_power_w=power_w,
        efficiency=0.95,
        max_discharge_w=7000.0 if two_way else 0.0,
        capacity_wh=70e3 if two_way else 0.0,
        soc_wh=25e3 if two_way else 0.0,
        reserve_wh=20e3 if two_way else 0.0,
        wear_per_kwh=0.06 if two_way else 0.0,
    )


def _milliseconds(work: Callable[[], Any], rounds: int) -> float:
    taken = []
    for _ in range(rounds):
        begin = time.process_time()
        work()
        taken.append((time.process_time() - begin) * 1000.0)
    return statistics.median(taken)


def _floor(arrays: Any) -> highspy.Highs:
    solver = highspy.Highs()
    solver.setOptionValue("output_flag", False)
    solver.setOptionValue("threads", 1)
    solver.passModel(arrays)
    solver.run()
    return solver


def measure(cars: int, rounds: int) -> str:
    """One line of the report."""
    problem = depot(cars)
    arrays, _ = handed_over(build(problem).lp)
    plan = solve(problem, 600.0, "highs")
    floor_ms, ours_ms = _milliseconds(lambda: _floor(arrays), rounds), _milliseconds(lambda: solve(problem, 600.0, "highs"), rounds)
    build_ms, rules_ms = _milliseconds(lambda: build(problem), rounds), _milliseconds(lambda: allocate(problem), rounds)
    check_ms, ruled = _milliseconds(lambda: check(problem, plan), rounds), allocate(problem)
    verdict = "sound" if not check(problem, plan) and not check(problem, ruled) else "BROKEN"
    columns = (ours_ms, build_ms, floor_ms, ours_ms / floor_ms, rules_ms, check_ms)
    return f"{cars:>5}" + "".join(f"{value:>10.2f}" for value in columns) + f"{100 * (ruled.cost / plan.cost - 1):>11.1f} %  {verdict}"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--cars", type=int, nargs="+", default=[10, 100, 250])
    options = parser.parse_args()
    print(f"{'cars':>5}{'solve ms':>10}{'build ms':>10}{'floor ms':>10}{'ratio':>10}{'rules ms':>10}{'check ms':>10}{'rules cost':>13}  plans")
    for cars in options.cars:
        print(measure(cars, options.rounds), flush=True)


if __name__ == "__main__":
    main()
