"""Memory and punctuality of a running controller under storms: ``yardmaster run`` as its owner starts it, over real sockets.

Simulated stations of all three OCPP versions, half below a pair face, half below a depot face; cars come and go every minute or two. Every
``--storm`` seconds all links of stations break at once, every second time the CSMS goes away with them for a while. A page is open and
metrics are scraped. Each 5 s: resident memory of the controller and of its solver child, what its event loop waited for a core, how long
``/api/v1/health`` took. Told at the end are the growth by thirds of the run, and every line of the log about an event loop that came late.

    python tests/bench/bench_memory.py [--stations 100] [--minutes 10] [--storm 40] [--csv FILE]

Fails if the last third grew by more than ``MOST_MIB_PER_MIN``, or a line of the log has a traceback.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import csv
import random
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import aiohttp

from controller.io.clock import Clock
from controller.io.tasks import spawn
from controller.sim.car import CarSpec
from controller.sim.csms import SimCsms
from controller.sim.evse import EvseSpec
from controller.sim.station import SimStation, StationSpec
from controller.sim.station_client import StationClient
from tests.bench.ledger import record
from tests.support.yard import Yard, site

VERSIONS = ("1.6", "2.0.1", "2.1")
MOST_MIB_PER_MIN = 1.5
"""What only a garbage collection finds adds up to 24 MiB before one comes: with 100 stations and a storm every 40 s, 0.8 MiB a minute."""
SAMPLE_S = 5.0
TICK_S = 0.5
OUTAGE_S = 15.0


@dataclass
class Watched:
    """What was seen of the process. rows: (seconds, MiB, MiB of the children, seconds waited for a core, seconds of health)."""

    rows: list[tuple[float, float, float, float, float]] = field(default_factory=list)
    storms: int = 0

    def growth(self) -> list[float]:
        """Growth in each third of the run after the first minute [MiB/min]."""
        rows = [row for row in self.rows if row[0] >= 60.0]
        size = len(rows) // 3
        return [slope([(row[0], row[1]) for row in rows[part * size : (part + 1) * size]]) for part in range(3)] if size > 1 else []


def slope(points: list[tuple[float, float]]) -> float:
    """Of a line through points (s, MiB), per minute: storms make single readings jump."""
    found = statistics.linear_regression([at / 60.0 for at, _ in points], [value for _, value in points])
    return found.slope


def config(folder: Path, count: int, csms: list[SimCsms]) -> dict[str, Any]:
    """Half of the stations below each CSMS."""
    stations = [
        {"id": f"ST{number:04d}", "upstream": ("pair", "depot")[number % 2], "evses": [{"id": 1, "max_current_a": 32, "fallback_a": 6}]}
        for number in range(count)
    ]
    usual = {"outage": "autonomous", "reconnect_min_s": 1, "reconnect_max_s": 5}
    upstreams = [
        {"id": "pair", "url": csms[0].url, **usual},
        {"id": "depot", "url": csms[1].url, "face": "depot", "versions": ["ocpp2.0.1"], **usual},
    ]
    grid = {"fuse_a": min(6300.0, 12.0 * count), "worst_other_load_a": 10}
    return site(folder, grid=grid, stations=stations, upstreams=upstreams)


def drivers(count: int, url: str, clock: Clock) -> list[StationClient]:
    """The stations' side."""
    specs = [StationSpec(f"ST{number:04d}", (EvseSpec(1),), serial=f"S{number}", version=VERSIONS[number % 3]) for number in range(count)]
    return [StationClient(SimStation(spec, 1), url, clock.stamp) for spec in specs]


class Crowd:
    """Stations, cars and storms."""

    def __init__(self, clients: list[StationClient], clock: Clock, csms: list[SimCsms], watched: Watched) -> None:
        self._clients, self._clock, self._csms, self._watched = clients, clock, csms, watched
        self._random = random.Random(1)
        self._leaves: dict[str, float] = {}

    async def tick_on(self) -> None:
        """Time passes for everybody."""
        while True:
            at = self._clock.stamp()
            for client in self._clients:
                self._visit(client.station, at.mono_s)
                client.station.advance(at)
                with contextlib.suppress(ConnectionError, RuntimeError):
                    await client.tick()
            await asyncio.sleep(TICK_S)

    def _visit(self, station: SimStation, mono_s: float) -> None:
        at, name = self._clock.stamp(), station.spec.id
        if mono_s < self._leaves.get(name, 0.0):
            return
        if station.evses[1].car is not None:
            station.unplug(at, 1)
            self._leaves[name] = mono_s + self._random.uniform(5.0, 30.0)
        elif station.accepted and self._random.random() < 0.2:
            stay_s = self._random.uniform(30.0, 90.0)
            station.plug_in(at, 1, CarSpec(f"car {name}", at.wall_s, at.wall_s + stay_s, 20_000.0, 60_000.0, 0.3))
            self._leaves[name] = mono_s + stay_s

    async def storms(self, every_s: float) -> None:
        """All links at once, and the CSMS every second time."""
        while True:
            await asyncio.sleep(every_s)
            self._watched.storms += 1
            for client in self._clients:
                client.enabled = False
            away = self._csms if self._watched.storms % 2 == 0 else []
            for csms in away:
                await csms.stop()
            await asyncio.sleep(1.0)
            for client in self._clients:
                client.enabled = True
            if away:
                await asyncio.sleep(OUTAGE_S)
            for csms in away:
                await csms.start()


def memory_mib(pid: int) -> float:
    """Resident memory without files, 0 for a process that has gone."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("RssAnon"):
                return int(line.split()[1]) / 1024.0
    return 0.0


def children(pid: int) -> list[int]:
    """Direct children of all its threads."""
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(OSError):
            found += [int(one) for one in (task / "children").read_text().split()]
    return found


def waited_s(pid: int) -> float:
    """Seconds its first thread, the event loop, was ready and had no core."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[1]) / 1e9


async def watch(yard: Yard, watched: Watched) -> None:
    """A reading each ``SAMPLE_S``."""
    assert yard.process is not None
    pid, began_s = yard.process.pid, time.monotonic()
    async with aiohttp.ClientSession() as session:
        while True:
            await asyncio.sleep(SAMPLE_S)
            asked_s = time.monotonic()
            async with session.get(f"{yard.api_url}/api/v1/health") as response:
                await response.read()
            took_s = time.monotonic() - asked_s
            async with session.get(f"{yard.api_url}/metrics") as response:
                await response.read()
            own, others = memory_mib(pid), sum(memory_mib(child) for child in children(pid))
            watched.rows.append((time.monotonic() - began_s, own, others, waited_s(pid), took_s))


async def page(yard: Yard) -> None:
    """A page that is open."""
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None)) as session, session.get(f"{yard.api_url}/api/v1/stream") as stream:
        async for _ in stream.content.iter_any():
            pass


async def run(folder: Path, count: int, minutes: float, storm_s: float) -> tuple[Watched, str]:
    """The whole run; what was seen, and the controller's log."""
    clock, watched = Clock(), Watched()
    csms = [SimCsms(clock.stamp), SimCsms(clock.stamp)]
    for one in csms:
        await one.start()
    yard = Yard(folder, config(folder, count, csms))
    async with yard:
        clients = drivers(count, yard.ocpp_url, clock)
        crowd = Crowd(clients, clock, csms, watched)
        work = [client.run() for client in clients] + [crowd.tick_on(), crowd.storms(storm_s), watch(yard, watched), page(yard)]
        tasks = [spawn(one, "bench") for one in work]
        done, _ = await asyncio.wait(tasks, timeout=60.0 * minutes, return_when=asyncio.FIRST_EXCEPTION)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for task in done:
            task.result()
    for one in csms:
        await one.stop()
    return watched, yard.log.read_text(errors="replace")


def main() -> int:
    """Measure, tell, judge."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--stations", type=int, default=100)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--storm", type=float, default=40.0, help="seconds between two storms")
    parser.add_argument("--csv", type=Path, help="where every reading goes")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="yardmaster-bench-") as name:
        watched, log = asyncio.run(run(Path(name), arguments.stations, arguments.minutes, arguments.storm))
    if arguments.csv:
        with arguments.csv.open("w", newline="") as file:
            csv.writer(file).writerows([("s", "controller_mib", "children_mib", "waited_s", "health_s"), *watched.rows])
    return told(watched, log, arguments.stations)


def told(watched: Watched, log: str, count: int) -> int:
    """Figures to the ledger; the exit code."""
    what, thirds = f"{count} stations, {watched.storms} storms", watched.growth()
    record("memory", f"{what}, memory at the end", watched.rows[-1][1], "MiB")
    for number, grown in enumerate(thirds, 1):
        record("memory", f"{what}, growth in third {number}", grown, "MiB/min", f"<= {MOST_MIB_PER_MIN:g} in the last" if number == 3 else "")
    record("memory", f"{what}, slowest answer of the page", 1000.0 * max(row[4] for row in watched.rows), "ms")
    record("memory", f"{what}, the loop waited for a core", watched.rows[-1][3], "s")
    late = [line for line in log.splitlines() if "event loop" in line]
    print("\n".join(late) or "the event loop was never late")
    broken = "Traceback" in log or "internal error" in log
    if broken:
        print(log[-4000:])
    return 1 if broken or not thirds or thirds[-1] > MOST_MIB_PER_MIN else 0


if __name__ == "__main__":
    sys.exit(main())
