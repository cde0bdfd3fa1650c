"""Neighbours of a running Yardmaster for system tests: stations with cars, a CSMS process, what both saw.

Everything runs on real loopback sockets. Stations and meters live in the test's event loop; the CSMS may
be a process of its own, so that it can be killed like one.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

from controller.facts import Stamp
from controller.io.clock import Clock
from controller.io.tasks import end, spawn
from controller.sim.books import CsmsBooks
from controller.sim.car import Car, CarSpec
from controller.sim.evse import EvseSpec
from controller.sim.station import SimStation, StationSpec
from controller.sim.station_client import StationClient
from tests.support.yard import ROOT, free_port

TICK_S = 0.1
FALLBACK_A = 6.0

Event = dict[str, Any]


class WatchedStation(SimStation):
    """A simulated station that keeps what went over its wire.

    acknowledged: transaction events whose CALLRESULT arrived, in that order. setpoints: limits of the
    TxProfiles it was given [A], with the monotonic time.
    """

    def __init__(self, spec: StationSpec, seed: int = 0) -> None:
        super().__init__(spec, seed)
        self.acknowledged: list[Event] = []
        self.setpoints: list[tuple[float, float]] = []
        self.heard: list[list[Any]] = []
        self._asked: dict[str, Event] = {}

    def opened(self, at: Stamp) -> list[str]:
        return self._sent(super().opened(at))

    def tick(self, at: Stamp) -> list[str]:
        return self._sent(super().tick(at))

    def handle_frame(self, at: Stamp, text: str) -> list[str]:
        frame = json.loads(text)
        self.heard.append(frame)
        if frame[0] == 3 and frame[1] in self._asked:
            self.acknowledged.append(self._asked.pop(frame[1]))
        if frame[0] == 2 and frame[2] == "SetChargingProfile" and frame[3]["chargingProfile"]["chargingProfilePurpose"] == "TxProfile":
            period = frame[3]["chargingProfile"]["chargingSchedule"][0]["chargingSchedulePeriod"][0]
            self.setpoints.append((at.mono_s, period["limit"]))
        return self._sent(super().handle_frame(at, text))

    def _sent(self, texts: list[str]) -> list[str]:
        for text in texts:
            frame = json.loads(text)
            if frame[0] == 2 and frame[2] == "TransactionEvent":
                self._asked[frame[1]] = frame[3]
        return texts

    @property
    def setpoint_a(self) -> float | None:
        """The last setpoint received [A]."""
        return self.setpoints[-1][1] if self.setpoints else None

    def raised_after(self, mono_s: float) -> float | None:
        """When the first setpoint above the fallback came after a moment; None if none did."""
        return next((at_s for at_s, limit_a in self.setpoints if at_s >= mono_s and limit_a > FALLBACK_A), None)


class Depot:
    """Stations ``CP1``, ``CP2``, ... that keep dialling, and their cars. Use as async context manager."""

    def __init__(self, url: str, count: int = 1, sample_s: float = 2.0) -> None:
        self.clock = Clock()
        specs = [StationSpec(name, (EvseSpec(1),), sample_s=sample_s) for name in station_names(count)]
        self.stations = [WatchedStation(spec, seed=number) for number, spec in enumerate(specs)]
        self.clients = [StationClient(station, url, self.clock.stamp) for station in self.stations]
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Depot:
        self._tasks = [spawn(client.run(), client.station.spec.id) for client in self.clients]
        self._tasks.append(spawn(self._world(), "world"))
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await end(self._tasks)

    async def _world(self) -> None:
        while True:
            for client in self.clients:
                client.station.advance(self.clock.stamp())
                try:
                    await client.tick()
                except (ConnectionError, RuntimeError):
                    continue  # the socket closed under our feet; its own task dials again
            await asyncio.sleep(TICK_S)

    @property
    def mono_s(self) -> float:
        """Now."""
        return self.clock.stamp().mono_s

    def plug_in(self, number: int = 0, need_wh: float = 30_000.0) -> Car:
        """A quick car arrives at station ``number``."""
        at = self.clock.stamp()
        leaves_wall_s = at.wall_s + 8 * 3600
        spec = CarSpec(f"car{number}", at.wall_s, leaves_wall_s, need_wh, 60_000.0, 0.2, 3, 32.0, reaction_s=0.3, ramp_a_per_s=20.0, announces=False)
        return self.stations[number].plug_in(at, 1, spec)

    def unplug(self, number: int = 0) -> None:
        """Its car leaves."""
        self.stations[number].unplug(self.clock.stamp(), 1)

    def offer_a(self, number: int = 0) -> float:
        """What the profiles in the station allow now [A]."""
        station = self.stations[number]
        return station.offer_a(self.clock.stamp(), station.evses[1])

    @property
    def current_a(self) -> float:
        """Sum of all cars on L1 [A]."""
        return sum(station.site_current_a()[0] for station in self.stations)


def station_names(count: int) -> list[str]:
    """CP1, CP2, ..."""
    return [f"CP{number + 1}" for number in range(count)]


def stations_config(count: int = 1) -> list[dict[str, Any]]:
    """The ``stations`` part of site.yaml that fits ``Depot``."""
    return [{"id": name, "evses": [{"id": 1, "max_current_a": 32, "fallback_a": FALLBACK_A}]} for name in station_names(count)]


class CsmsProcess:
    """The simulated CSMS as a process; started again it has the same port and goes on with the same log."""

    def __init__(self, log: Path) -> None:
        self.port = free_port()
        self._log = log
        self._process: asyncio.subprocess.Process | None = None

    def upstream(self) -> dict[str, Any]:
        """The entry of ``upstreams`` in site.yaml."""
        return {"id": "csms", "url": f"ws://127.0.0.1:{self.port}/csms", "reconnect_min_s": 0.5, "reconnect_max_s": 1.0, "call_timeout_s": 5}

    async def start(self) -> None:
        """Start and wait until it listens."""
        command = [sys.executable, "-m", "tests.support.csms_main", str(self._log), str(self.port)]
        self._process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdout=asyncio.subprocess.PIPE)
        assert self._process.stdout is not None
        assert await asyncio.wait_for(self._process.stdout.readline(), 30) == b"ready\n"

    async def kill(self) -> None:
        """kill -9."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()

    def books(self) -> CsmsBooks:
        """The account of everything that came in, over all its lives."""
        return read_books(self._log)

    def calls(self) -> list[tuple[str, list[Any]]]:
        """Every CALL of a station in the order it came: (station, frame)."""
        frames = [(name, json.loads(text)) for name, text in read_log(self._log)]
        return [(name, frame) for name, frame in frames if frame[0] == 2]


def read_log(log: Path) -> list[tuple[str, str]]:
    """(station, text) of every message in a CSMS's log; a line cut off by a kill does not count."""
    if not log.exists():
        return []
    lines = log.read_text().split("\n")[:-1]
    return [(row["station"], row["text"]) for row in map(json.loads, lines)]


def read_books(log: Path) -> CsmsBooks:
    """A CSMS's log as books."""
    books, at = CsmsBooks(), Clock().stamp()
    for name, text in read_log(log):
        books.handle(name, at, text)
    return books


def same_event(event: Event) -> Event:
    """An event without the mark that it was told late: that one is ours to add."""
    return {key: value for key, value in event.items() if key != "offline"}


def assert_delivered(station: WatchedStation, books: CsmsBooks) -> None:
    """P1, P2: every acknowledged event is upstream with the same content; per transaction in order, without gaps."""
    for event in station.acknowledged:
        book = books.transactions.get(event["transactionInfo"]["transactionId"])
        assert book is not None, f"the CSMS has never heard of {event}"
        assert same_event(book.events[event["seqNo"]]) == same_event(event)
    for book in books.transactions.values():
        assert book.in_order, f"{book.transaction_id}: {book.order}"
        assert book.missing == []


def acknowledged_arrived(depot: Depot, books: Callable[[], CsmsBooks]) -> Callable[[], bool]:
    """A condition: the CSMS has as many events as the stations had acknowledged."""

    def arrived() -> bool:
        have = books().transactions
        told = [event for station in depot.stations for event in station.acknowledged]
        known = [have[event["transactionInfo"]["transactionId"]] for event in told if event["transactionInfo"]["transactionId"] in have]
        return len(known) == len(told) and all(event["seqNo"] in book.events for event, book in zip(told, known, strict=True))

    return arrived
