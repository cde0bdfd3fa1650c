"""How long one decision takes: handle(TimePassed) and MeterRead -> lowered setpoints, in one process.

No sockets, no solver: only the site half. Prints the median and the worst of many rounds for 12,
40, 200 and 1000 EVSEs on 10 circuits, uncontended and contended, as milliseconds.

    python tests/bench/bench_arbiter.py [--rounds 60]
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from controller.facts import ChargingState
from controller.orders import Inject
from tests.support.site_story import Story, depot


def fuse_of(count: int, contended: bool) -> float:
    """Fuse of the depot [A], at most what a site.yaml allows."""
    return min(6300.0, count * (12.0 if contended else 60.0))


def story(count: int, contended: bool) -> Story:
    """A depot with a car at every EVSE, setpoints settled."""
    circuits = min(10, count)
    fuse_a = fuse_of(count, contended)
    told = Story(depot(count, fuse_a=fuse_a, circuits=circuits, circuit_fuse_a=fuse_a, worst_other_load_a=5.0))
    told.start()
    for index, key in enumerate(told.site.evses):
        told.plug(key, state=ChargingState.CHARGING, current_a=6.0 + index % 3)
    for _ in range(8):
        told.step(building_a=10.0)
    return told


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


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=60)
    rounds = parser.parse_args().rounds
    print(f"{'EVSEs':>6} {'case':>12} {'tick median':>12} {'tick worst':>11} {'cut median':>11} {'cut worst':>10}   [ms]")
    for count in (12, 40, 200, 1000):
        for contended in (False, True):
            told = story(count, contended)
            ticks, cuts = measure(told, rounds, fuse_of(count, contended))
            cut = (f"{statistics.median(cuts):>11.2f} {max(cuts):>10.2f}") if cuts else f"{'-':>11} {'-':>10}"
            print(f"{count:>6} {'contended' if contended else 'free':>12} {statistics.median(ticks):>12.2f} {max(ticks):>11.2f} {cut}")


if __name__ == "__main__":
    main()
