"""How long one decision takes: freeze, decide, and a whole tick and cut of the site, in one process.

No sockets, no solver: only the site half. For 12, 40, 200 and 1000 EVSEs on 10 circuits, uncontended and contended: medians
of ``decide`` alone, of freeze + decide (the budget: 50 ms at 1000 EVSEs), the same as a multiple of a bare pass over the
claims in plain Python in the same run (so that a slow or busy machine does not look like slow code), then
handle(TimePassed) and MeterRead -> lowered setpoints. The last lines add an unbalance limit and chargers that switch phases.

    python tests/bench/bench_arbiter.py [--rounds 60]
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from controller.facts import ChargingState
from controller.orders import Inject
from controller.site.sharing.arbiter import Claim, Pace, Row, decide
from controller.site.stations.charger import ChargerModel
from tests.support.site_story import QUICK, Story, depot

PACE = Pace(4.0, 1.0)
SWITCHING = {"generic": ChargerModel("generic", apply_s=2.0, phase_switching=True)}


def fuse_of(count: int, contended: bool) -> float:
    """Fuse of the depot [A], at most what a site.yaml allows."""
    return min(6300.0, count * (12.0 if contended else 60.0))


def story(count: int, contended: bool, special: bool = False) -> Story:
    """A depot with a car at every EVSE, setpoints settled."""
    circuits = min(10, count)
    fuse_a = fuse_of(count, contended)
    grid = {"max_unbalance_a": 500.0} if special else {}
    config = depot(count, fuse_a=fuse_a, circuits=circuits, circuit_fuse_a=fuse_a, worst_other_load_a=5.0, grid=grid)
    told = Story(config, SWITCHING if special else QUICK)
    told.start()
    for index, key in enumerate(told.site.evses):
        told.plug(key, state=ChargingState.CHARGING, current_a=6.0 + index % 3)
        if special and index % 3 == 0:
            told.one_phase.add(key)
    for _ in range(8):
        told.step(building_a=10.0)
    return told


def reference(rows: Sequence[Row], claims: Sequence[Claim]) -> float:
    """The least any arbiter in Python must do: look at each claim, load its rows once, hand out one amount."""
    load = [0.0] * len(rows)
    granted: dict[object, float] = {}
    for claim in claims:
        amps = min(claim.cap_a, claim.want_a)
        for row in claim.rows:
            load[row] += amps
        granted[claim.key] = amps
    return sum(load)


def median_ms(deed: Callable[[], object], rounds: int) -> float:
    """Median time of a deed [ms of this process: what others do on the machine is not counted]."""
    times = []
    for _ in range(rounds):
        started = time.process_time()
        deed()
        times.append(1e3 * (time.process_time() - started))
    return statistics.median(times)


def decisions(told: Story, rounds: int) -> tuple[float, float, float]:
    """Medians of decide, freeze + decide and the reference [ms]."""
    site, at = told.site, told.at()
    frozen = site.deciding.freeze(at)
    bare = median_ms(lambda: reference(frozen.rows, frozen.claims), rounds)
    alone = median_ms(lambda: decide(frozen.rows, frozen.claims, PACE), rounds)

    def both() -> None:
        picture = site.deciding.freeze(at)
        decide(picture.rows, picture.claims, PACE)

    return alone, median_ms(both, rounds), bare


def measure(told: Story, rounds: int, fuse_a: float) -> tuple[list[float], list[float]]:
    """Milliseconds of ticks and of readings over the fuse."""
    ticks, cuts = [], []
    for number in range(rounds):
        told.now += 1.0
        started = time.perf_counter()
        told.site.handle(told.tick())
        ticks.append(1e3 * (time.perf_counter() - started))
        told.settle()
        drawn = sum(told.drawn_a.values())
        reading = told.reading((drawn + 10.0 + fuse_a * 0.6 * (number % 2),) * 3)
        started = time.perf_counter()
        orders = told.site.handle(reading)
        if any(isinstance(order, Inject) for order in orders):
            cuts.append(1e3 * (time.perf_counter() - started))
        told.carry(orders)
    return ticks, cuts


def line(count: int, contended: bool, special: bool, rounds: int) -> str:
    """One row of the table."""
    told = story(count, contended, special)
    alone, both, bare = decisions(told, rounds)
    ticks, cuts = measure(told, rounds, fuse_of(count, contended))
    cut = f"{statistics.median(cuts):>8.2f}" if cuts else f"{'-':>8}"
    name = ("contended" if contended else "free") + ("+special" if special else "")
    times = f"{alone:>8.2f} {both:>14.2f} {alone / bare:>9.1f} {both / bare:>9.1f} {statistics.median(ticks):>8.2f} {max(ticks):>8.2f} {cut}"
    return f"{count:>6} {name:>17} {times}"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=60)
    rounds = parser.parse_args().rounds
    heads = f"{'decide':>8} {'freeze+decide':>14} {'x bare':>9} {'x bare':>9} {'tick':>8} {'worst':>8} {'cut':>8}"
    print(f"{'EVSEs':>6} {'case':>17} {heads}   [ms]")
    for count in (12, 40, 200, 1000):
        for contended in (False, True):
            print(line(count, contended, False, rounds))
    for contended in (False, True):
        print(line(1000, contended, True, rounds))


if __name__ == "__main__":
    main()
