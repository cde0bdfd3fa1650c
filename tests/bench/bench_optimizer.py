"""The optimiser's speed, memory and calm: the rows of issue 5's table that need no recorded sessions. Figures go to history.csv.

hot       numbers change (needs, states of charge, base load and PV off by 1-2 %, the clock 20 s on) -> verified setpoints in amps:
          rewrite, push, dual simplex from the kept basis, read, check, round
arrives   one car more or one car less on the living model, the same way to amps
quarter   the next quarter hour: rebuilt, from the old basis
rebuild   nothing known, scarce site; ratio: the same program as finished arrays straight into HiGHS, in the same run
memory    of a real child after plans of all kinds
same      objective against an independent formulation
calm      setpoints that move by more than 1 A per cycle while the input only trembles

CPU milliseconds of this process (median; 95th percentile or worst beside it), one thread. Sites: ``tests/support/fleet.py`` on the variable grid.

    python tests/bench/bench_optimizer.py [--cars 100 500 1000] [--rounds 8] [--only hot memory]       (all: about 5 minutes)
"""

from __future__ import annotations

import argparse
import gc
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import highspy

from optimizer.amps import Steps, to_amps
from optimizer.highs import handed_over
from optimizer.live import Live
from optimizer.model import build
from optimizer.problem import Ev, Plan, Problem
from tests.bench import ledger
from tests.bench.ledger import record
from tests.support.child import Child
from tests.support.fleet import KINDS, NOW_WALL_S, fleet, noisy
from tests.support.plain_lp import formulate, highs_of

BENCH = "optimizer"
DEADLINE_S = 120.0
CYCLE_S = 20.0
HOT_MS = {100: 15.0, 500: 300.0, 1000: 1000.0}
ARRIVE_MS = {100: 15.0, 500: 60.0, 1000: 200.0}
REBUILD_S = {100: 0.2, 500: 1.5, 1000: 3.5}
MEMORY_MB = {100: 90.0, 1000: 220.0}


def main() -> None:
    """Measure what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--cars", type=int, nargs="+", default=[100, 500, 1000])
    parser.add_argument("--rounds", type=int, default=8, help="cycles per figure (default 8)")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--only", nargs="+", choices=list(PARTS), default=list(PARTS))
    parser.add_argument("--dry", action="store_true", help="print only, nothing into history.csv")
    options = parser.parse_args()
    if options.dry:
        ledger.HISTORY = Path("/dev/null")
    for name in options.only:
        for cars in options.cars:
            PARTS[name](cars, options.rounds, options.kinds)


# -- one cycle -----------------------------------------------------------------------------------------


def setpoints(live: Live, problem: Problem) -> tuple[Plan, dict[str, float]]:
    """What the controller does with a problem, all in this process."""
    plan = live.solve(problem, DEADLINE_S)
    here = [ev for ev in problem.evs if ev.arrival_wall_s <= problem.created_wall_s]
    charging = {ev.ev_id for ev in here if ev.present_power_w > 0}
    return plan, dict(to_amps(problem, plan, {ev.ev_id: steps_of(problem, ev) for ev in here}, {}, charging).setpoint_a)


def steps_of(problem: Problem, ev: Ev) -> Steps:
    """Whole amps from 6 A on."""
    return Steps(6.0, ev.max_power_w / problem.voltage_v / len(ev.phases), 1.0)


def obeyed(problem: Problem, amps: dict[str, float]) -> Problem:
    """The problem with every car drawing what it was told."""
    volts = problem.voltage_v
    evs = tuple(replace(ev, present_power_w=amps.get(ev.ev_id, 0.0) * volts * len(ev.phases)) for ev in problem.evs)
    return replace(problem, evs=evs)


def cycles(kind: str, cars: int, rounds: int) -> Iterator[Problem]:
    """The same site every 20 s, each time with other noise, within one quarter hour."""
    for number in range(1, rounds + 1):
        yield noisy(fleet(kind, cars, now_wall_s=NOW_WALL_S + CYCLE_S * (1 + number % 30)), number)


def cpu_ms(work: Callable[..., Any], *given: Any) -> tuple[float, Any]:
    """CPU time of this process for some work [ms], and its result. Garbage is collected before, as the child does between plans."""
    gc.collect()
    gc.disable()
    begin = time.process_time()
    result = work(*given)
    taken = (time.process_time() - begin) * 1000.0
    gc.enable()
    return taken, result


def told(figure: str, taken: Sequence[float], target_ms: float | None, ratio: float | None = None) -> None:
    """Record median and 95th percentile (the worst of few)."""
    median, high = statistics.median(taken), sorted(taken)[max(0, round(0.95 * len(taken)) - 1)]
    record(BENCH, figure, median, "ms CPU", f"<= {target_ms:g}" if target_ms else "", ratio)
    record(BENCH, f"{figure} p95", high, "ms CPU")


# -- the rows ------------------------------------------------------------------------------------------


def hot(cars: int, rounds: int, kinds: Sequence[str]) -> None:
    """Numbers change."""
    for kind in kinds:
        live, taken = Live(), list[float]()
        _, amps = setpoints(live, fleet(kind, cars))
        for problem in cycles(kind, cars, rounds):
            milliseconds, (plan, amps) = cpu_ms(setpoints, live, obeyed(problem, amps))
            assert plan.way == "hot", live.why
            taken.append(milliseconds)
        told(f"hot {kind} N={cars}", taken, HOT_MS.get(cars))


def arrives(cars: int, rounds: int, kinds: Sequence[str]) -> None:
    """A car arrives, a car leaves."""
    for kind in kinds:
        whole = fleet(kind, cars)
        live, came, left = Live(), list[float](), list[float]()
        for number in range(rounds):
            place = (number * 7919) % len(whole.evs)
            without = replace(whole, evs=whole.evs[:place] + whole.evs[place + 1 :])
            guest = replace(whole.evs[place], ev_id=f"guest{number}")
            with_guest = replace(without, evs=(*without.evs, guest))
            live.solve(without, DEADLINE_S)
            for taken, problem in ((came, with_guest), (left, without)):
                milliseconds, (plan, _) = cpu_ms(setpoints, live, problem)
                assert plan.way == "admitted", live.why
                taken.append(milliseconds)
        told(f"a car arrives {kind} N={cars}", came, ARRIVE_MS.get(cars))
        told(f"a car leaves {kind} N={cars}", left, ARRIVE_MS.get(cars))


def quarter(cars: int, rounds: int, kinds: Sequence[str]) -> None:
    """The next quarter hour, from the old basis, beside from nothing."""
    for kind in kinds:
        live, warm, cold = Live(), list[float](), list[float]()
        live.solve(fleet(kind, cars), DEADLINE_S)
        for number in range(1, min(rounds, 4) + 1):
            problem = fleet(kind, cars, now_wall_s=NOW_WALL_S + 900.0 * number)
            milliseconds, (plan, _) = cpu_ms(setpoints, live, problem)
            assert plan.way == "rebuilt"
            warm.append(milliseconds)
            cold.append(cpu_ms(setpoints, Live(), problem)[0])
        told(f"next quarter hour {kind} N={cars}", warm, None, statistics.median(warm) / statistics.median(cold))


def rebuild(cars: int, rounds: int, _kinds: Sequence[str]) -> None:
    """Everything from nothing on a scarce site, beside HiGHS alone on finished arrays."""
    ours, floor = list[float](), list[float]()
    for number in range(min(rounds, 5)):
        problem = fleet("tight", cars, seed=number + 1)
        arrays, _ = handed_over(build(problem).lp)
        floor.append(cpu_ms(alone, arrays)[0])
        ours.append(cpu_ms(Live().solve, problem, DEADLINE_S)[0])
    ratio = statistics.median(one / other for one, other in zip(ours, floor, strict=True))
    told(f"rebuild tight N={cars}", ours, REBUILD_S[cars] * 1000.0 if cars in REBUILD_S else None, ratio)
    record(BENCH, f"rebuild tight N={cars}: ratio to HiGHS alone", ratio, "", "<= 1.25")


def alone(arrays: Any) -> float:
    """HiGHS without any modelling layer. Returns the objective."""
    solver = highspy.Highs()
    solver.setOptionValue("output_flag", False)
    solver.setOptionValue("threads", 1)
    solver.passModel(arrays)
    solver.run()
    return float(solver.getObjectiveValue())


def memory(cars: int, rounds: int, _kinds: Sequence[str]) -> None:
    """A real child: rebuilt, hot, another car in a bay, the next quarter hour."""
    whole = fleet("tight", cars)
    with Child() as child:
        later = [noisy(whole, number) for number in range(min(rounds, 3))]
        guest = replace(whole, evs=(*whole.evs[1:], replace(whole.evs[0], ev_id="guest")))
        ways = []
        for problem in (whole, *later, guest, fleet("tight", cars, now_wall_s=NOW_WALL_S + 900.0)):
            ways.append(child.plan(problem).way)
        now_mb, most_mb = child.memory_mb()
    print(f"  ways: {', '.join(ways)}")
    record(BENCH, f"memory of the child N={cars}", now_mb, "MB", f"<= {MEMORY_MB[cars]:g}" if cars in MEMORY_MB else "")
    record(BENCH, f"memory of the child at most N={cars}", most_mb, "MB")


def same(cars: int, _rounds: int, kinds: Sequence[str]) -> None:
    """Objective against the program written a second time, on arrays."""
    for kind in kinds:
        problem = fleet(kind, cars)
        ours, plain = Live().solve(problem, DEADLINE_S).objective, formulate(problem)
        solver = highs_of(plain)
        solver.run()
        theirs = solver.getObjectiveValue() * plain.scale + plain.constant
        assert ours is not None
        record(BENCH, f"objective against an independent formulation {kind} N={cars}", abs(ours / theirs - 1.0), "", "<= 1e-6")


def calm(cars: int, rounds: int, kinds: Sequence[str]) -> None:
    """Share of the plugged-in cars whose setpoint moves by more than 1 A from one cycle to the next."""
    for kind in kinds:
        live, moved, seen = Live(), 0, 0
        _, amps = setpoints(live, fleet(kind, cars))
        for problem in cycles(kind, cars, rounds):
            before, (_, amps) = amps, setpoints(live, obeyed(problem, amps))
            moved += sum(abs(amps[ev_id] - before[ev_id]) > 1.0 for ev_id in amps)
            seen += len(amps)
        record(BENCH, f"setpoints moved > 1 A per cycle {kind} N={cars}", 100.0 * moved / seen, "%", "<= 5")


PARTS: dict[str, Callable[[int, int, Sequence[str]], None]] = {
    "hot": hot,
    "arrives": arrives,
    "quarter": quarter,
    "rebuild": rebuild,
    "memory": memory,
    "same": same,
    "calm": calm,
}


if __name__ == "__main__":
    main()
