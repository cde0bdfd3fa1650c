"""What real chargers cost: setpoints of 0 or 6..32 whole amps against the plan's own powers, in one solve and over days.

One solve: the first slot is fixed to the rounded powers, the rest is planned anew; the loss is the rise of money and penalties of the
independent formulation. Closed loop: the days are played with a plan every five minutes (``controller.sim.backtest.quick``),
unrounded, rounded down and nothing else, and by ``to_amps``; later arrivals are announced, so only rounding differs. Missing energy
counts at the dearest price of the tariff. Also the CPU time of ``to_amps`` and of ``check``.

    python tests/bench/bench_rounding.py [--data FOLDER] [--days 3] [--capacity 0.5] [--only solve|loop|speed]

FOLDER holds sessions/jpl_*.csv.gz and sessions/caltech_*.csv.gz (or the environment variable YARDMASTER_DATA names it); invented sessions without.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import highspy

from controller.sim.backtest.quick import Car, World
from optimizer.amps import Rounded, Steps, to_amps
from optimizer.check import check
from optimizer.live import Live
from optimizer.problem import Problem
from optimizer.solve import solve
from tests.bench.ledger import record
from tests.support.fleet import fleet, noisy
from tests.support.plain_lp import formulate, highs_of
from tests.support.rounding_world import Planned, WholeAmps, floored, invented, played, recorded, unrounded, world

WEEKS = (("jpl", "2019-11-04", False), ("jpl", "2020-02-10", False), ("caltech", "2019-06-03", True), ("caltech", "2019-07-15", True))
BENCH = "rounding"


# -- one solve ------------------------------------------------------------------------------------------


def loss_of_one_solve(problem: Problem) -> tuple[float, float]:
    """(part of money and penalties that rounding the first slot costs, part of cars planned inside the gap)."""
    plan = solve(problem, 60.0, "highs")
    known = {ev.ev_id: Steps(6.0, 32.0) for ev in problem.evs}
    rounded = to_amps(problem, plan, known, {}, [ev.ev_id for ev in problem.evs if ev.present_power_w > 0.0])
    gap = sum(0.0 < abs(plan.ev_power_w[ev.ev_id][0]) < 6.0 * problem.voltage_v * len(ev.phases) - 1.0 for ev in problem.evs)
    best, held = optimum(problem, {}), optimum(problem, taken_w(problem, rounded))
    return (held - best) / abs(best), gap / max(1, len(problem.evs))


def taken_w(problem: Problem, rounded: Rounded) -> dict[str, float]:
    """What the cars make of the setpoints in the first slot [W]: all of it, or the rest of their need."""
    found = {}
    for ev in problem.evs:
        watts = rounded.setpoint_a[ev.ev_id] * problem.voltage_v * len(ev.phases)
        found[ev.ev_id] = min(watts, ev.energy_need_wh / problem.slots[0].hours) if ev.max_discharge_w <= 0.0 else watts
    return found


def optimum(problem: Problem, held_w: Mapping[str, float]) -> float:
    """Money and penalties without preferences, by HiGHS on arrays [currency]."""
    plain = formulate(problem, preferences=False, held_w=held_w)
    solver = highs_of(plain)
    solver.run()
    if solver.getModelStatus() != highspy.HighsModelStatus.kOptimal:
        raise RuntimeError("the program with the first slot fixed has no optimum: a setpoint broke a limit")
    return float(solver.getInfo().objective_function_value) * plain.scale


def one_solve(sizes: tuple[int, ...] = (50, 100, 250)) -> None:
    """Sites of all kinds, seen at some moments."""
    for kind in ("work", "depot", "tight"):
        for size in sizes:
            losses = [loss_of_one_solve(noisy(fleet(kind, size, seed), seed)) for seed in (1, 2, 3)]
            worst = max(loss for loss, _ in losses)
            record(BENCH, f"one solve, {kind} {size}, worst of 3", 100.0 * worst, "%", "<= 0.02")
            print(f"    inside the gap: {100 * max(gap for _, gap in losses):.1f} % of the cars", flush=True)


# -- closed loop -----------------------------------------------------------------------------------------


def garages(folder: Path | None, days: int, capacity: float) -> Iterator[tuple[str, World]]:
    """Weeks that were recorded, else invented ones."""
    if folder is None:
        start_s = datetime(2019, 11, 4, 8, tzinfo=UTC).timestamp()
        for seed in (1, 2):
            yield f"invented {seed}", world(invented(start_s, days, 40, seed), start_s, days, capacity, seed == 2)
        return
    for site, day, summer in WEEKS:
        start_s = datetime.fromisoformat(f"{day}T08:00:00+00:00").timestamp()
        yield f"{site} {day}", world(sessions_of(folder, site, start_s), start_s, days, capacity, summer)


def sessions_of(folder: Path, site: str, start_s: float) -> tuple[Car, ...]:
    """The file of the site that knows this day."""
    for path in sorted(folder.glob(f"sessions/{site}_*.csv.gz")):
        cars = recorded(path)
        if min(car.arrival_wall_s for car in cars) <= start_s <= max(car.arrival_wall_s for car in cars):
            return cars
    raise SystemExit(f"no sessions of {site} on this day below {folder}; give the folder with --data")


def closed_loop(folder: Path | None, days: int, capacity: float) -> None:
    """The same days three times."""
    for name, play in garages(folder, days, capacity):
        costs = {}
        dearest = float(play.buy_per_kwh.max())
        for way, rounding in (("unrounded", unrounded), ("floor only", floored), ("to_amps", WholeAmps())):
            live = Live("highs", verify=False)
            cost, percent, peak_w, over_s = played(play, Planned(way, lambda problem, live=live: live.solve(problem, 30.0), rounding))
            missing_kwh = (100.0 - percent) / 100.0 * sum(car.wanted_wh for car in play.cars) / 1000.0
            costs[way] = cost + dearest * missing_kwh
            print(f"    {name}, {way}: {cost:.2f} USD, {percent:.3f} % energy, peak {peak_w / 1000:.1f} kW, over limits {over_s:.0f} s", flush=True)
        for way in ("floor only", "to_amps"):
            label = f"closed loop {100 * capacity:.0f} %, {name}, {days} days, {way}"
            record(BENCH, label, 100.0 * (costs[way] / costs["unrounded"] - 1.0), "%", "<= 1" if way == "to_amps" else "")


# -- speed ------------------------------------------------------------------------------------------------


def speed() -> None:
    """CPU time of rounding and of verifying."""
    for size, amps_ms, check_ms in ((100, 5.0, 2.0), (1000, 20.0, 40.0)):
        problem = fleet("tight", size)
        plan = solve(problem, 120.0, "highs")
        known = {ev.ev_id: Steps(6.0, 32.0) for ev in problem.evs}
        record(BENCH, f"to_amps, N = {size}", milliseconds(partial(to_amps, problem, plan, known, {}, ())), "ms CPU", f"<= {amps_ms:g}")
        record(BENCH, f"check, N = {size}", milliseconds(partial(check, problem, plan)), "ms CPU", f"<= {check_ms:g}")


def milliseconds(work: Callable[[], object]) -> float:
    """Median of nine."""
    taken = []
    for _ in range(9):
        begin = time.process_time()
        work()
        taken.append(1000.0 * (time.process_time() - begin))
    return statistics.median(taken)


def main() -> None:
    """Measure and remember."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--data", type=Path, default=os.environ.get("YARDMASTER_DATA"))
    parser.add_argument("--days", type=int, default=3)
    parser.add_argument("--capacity", type=float, default=0.5)
    parser.add_argument("--only", choices=("solve", "loop", "speed"))
    options = parser.parse_args()
    if options.only in (None, "speed"):
        speed()
    if options.only in (None, "solve"):
        one_solve()
    if options.only in (None, "loop"):
        closed_loop(Path(options.data) if options.data else None, options.days, options.capacity)


if __name__ == "__main__":
    main()
