"""Three days without a CSMS (F19, P1, P2): ``python -m tests.support.long_outage --stations 100 --hours 72``.

Virtual time, the real engine and the real journal file with its syncs. Stations of three versions
charge session after session and tell a meter value each minute; some cars stay for a day and more,
so that values are thinned. The controller is killed in the middle of the outage with messages in its
hands, and again while the queue drains. Then the account: everything arrived, in order, unchanged,
under one id per session - except periodic values left out by the rule, which must be as many as we
were told. Memory is that of this process, stations and account included.
"""

from __future__ import annotations

import argparse
import gc
import json
import sys
import tempfile
from array import array
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any
from zlib import crc32

from controller.app import build_engine
from controller.config import Config
from controller.facts import (
    Fact,
    Persisted,
    Restored,
    RowsLoaded,
    Stamp,
    StationConnected,
    StationFrame,
    TimePassed,
    UpstreamClosed,
    UpstreamFrame,
    UpstreamOpened,
)
from controller.io.clock import Clock
from controller.io.journal.rows import texts
from controller.io.journal.store import FILE_NAME, Batch, JournalStore
from controller.orders import DialUpstream, ForgetRows, LoadRows, Persist, SendStation, SendUpstream, Tell, UpdateRow
from tests.support.ledger import OUTSIDE, V16, VERSIONS, Message, Pen, boot, content_of, number_of, transaction_of

START_WALL_S = 1_790_000_000.0
SAMPLE_S = 60
QUIET_TICK_S = 20
SHORT_STAY, LONG_STAY = (60, 480), (1200, 2600)  # values of a session: one to eight hours, or up to two days
TIMES = {"currentTime": "2026-11-21T16:00:00Z"}


def rss_mib() -> float:
    """Memory of this process now."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    line = next(line for line in status.splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]) / 1024


@dataclass(slots=True)
class Book:
    """Account of one station, a few bytes per message. By number: what it said, in which session, whether it may be left out."""

    said: array[int] = field(default_factory=lambda: array("L", [0]))
    session: array[int] = field(default_factory=lambda: array("L", [0]))
    periodic: bytearray = field(default_factory=lambda: bytearray(1))
    arrived: bytearray = field(default_factory=lambda: bytearray(1))

    def say(self, message: Message) -> None:
        """A new message."""
        assert message.number == len(self.said)
        self.said.append(crc32(message.content.encode()))
        self.session.append(message.session)
        event = message.payload.get("eventType", "Updated")
        self.periodic.append(event == "Updated" and message.action in ("MeterValues", "TransactionEvent"))
        self.arrived.append(0)


class Station:
    """One station: one message a minute, kept until it is acknowledged."""

    def __init__(self, number: int) -> None:
        self.station_id = f"CP{number + 1}"
        self.version = VERSIONS[number % len(VERSIONS)]
        self.book = Book()
        self.flash: deque[Message] = deque()
        self.acknowledged = 0
        self.setpoints = 0
        self._pen = Pen(self.station_id, self.version, number, START_WALL_S, LONG_STAY if number % 5 == 0 else SHORT_STAY)
        self._transaction_id = 0
        self._tries = 0

    def write(self) -> None:
        """A minute has passed."""
        message = self._pen.next(SAMPLE_S)
        self.book.say(message)
        self.flash.append(message)

    def frame(self) -> str:
        """The message to send now, under a fresh id."""
        message = self.flash[0]
        self._tries += 1
        payload = message.payload
        if self.version == V16 and message.session and message.action != "StartTransaction":
            payload = {**payload, "transactionId": self._transaction_id}
        return json.dumps([2, f"m{self._tries}", message.action, payload])

    def hears(self, frame: list[Any]) -> bool:
        """Whether this acknowledges its message."""
        if frame[0] != 3 or frame[1] != f"m{self._tries}":
            return False
        message = self.flash.popleft()
        if message.action == "StartTransaction":
            self._transaction_id = frame[2]["transactionId"]
        self.acknowledged += 1
        return True


class Csms:
    """Answers and checks each message as it comes."""

    def __init__(self, books: dict[str, Book]) -> None:
        self.wrong: list[str] = []
        self.arrivals = self.repeats = self.last = 0
        self._books = books
        self._newest: dict[str, tuple[int, int]] = {}
        self._id_of: dict[tuple[str, int], str] = {}

    def answer(self, station_id: str, frame: list[Any]) -> str:
        """CALLRESULT."""
        _, message_id, action, payload = frame
        number, result = number_of(action, payload), {}
        if number is not None:
            result = self._note(station_id, number, action, payload)
        elif action == "BootNotification":
            result = {**TIMES, "status": "Accepted", "interval": 300}
        return json.dumps([3, message_id, result])

    def _note(self, station_id: str, number: int, action: str, payload: dict[str, Any]) -> dict[str, Any]:
        book = self._books[station_id]
        name = f"{station_id} {action} {number}"
        self.arrivals += 1
        self.repeats += book.arrived[number]
        if crc32(content_of(payload).encode()) != book.said[number]:
            self.wrong.append(f"{name} arrived as {payload}")
        session, transaction_id, result = book.session[number], transaction_of(action, payload), {}
        if action == "StartTransaction":
            # It knows a repeated start again; one that does not is in the kill rounds.
            self.last += not book.arrived[number]
            transaction_id = self._id_of.setdefault((station_id, number), str(self.last))
            result = {"transactionId": int(transaction_id), "idTagInfo": {"status": "Accepted"}}
        if session != OUTSIDE:
            self._in_order(name, station_id, session, number, transaction_id, bool(book.arrived[number]))
        book.arrived[number] = 1
        return result

    def _in_order(self, name: str, station_id: str, session: int, number: int, transaction_id: str, again: bool) -> None:
        expected = self._id_of.setdefault((station_id, session), transaction_id)
        if transaction_id != expected and not again:
            self.wrong.append(f"{name} arrived under {transaction_id}, its session is {expected}")
        newest = self._newest.get(transaction_id)
        if newest is not None and number <= newest[1] and not again:
            self.wrong.append(f"{name} arrived after {newest[1]}")
        self._newest[transaction_id] = (session, max(number, newest[1] if newest is not None else 0))


class World:
    """Stations, CSMS, journal and one process of the controller after the other."""

    def __init__(self, folder: Path, stations: int) -> None:
        self.folder = folder
        self.stations = {station.station_id: station for station in map(Station, range(stations))}
        self.csms = Csms({name: station.book for name, station in self.stations.items()})
        self.config = config(folder, stations)
        self.mono_s = 0.0
        self.csms_there = False
        self.lives = 0
        self.left_out = 0
        self.random = Random(1)
        self.hang_ups, self.hang_up_chance = 0, 0.0
        self.alarms: list[str] = []
        self._store: JournalStore | None = None
        self._unwritten: list[Persist | ForgetRows | UpdateRow] = []
        self.start_process()

    @property
    def at(self) -> Stamp:
        """Now."""
        return Stamp(self.mono_s, START_WALL_S + self.mono_s)

    def start_process(self) -> None:
        """Another controller, on what is on disk. What the last one had not written is gone."""
        self.lives += 1
        self._unwritten.clear()
        self._store = None  # the file is left as it is: no goodbye
        self._store = JournalStore(self.folder, f"life-{self.lives}")
        assert self._store.notes == []
        content = self._store.read()
        self.engine = build_engine(self.config, f"life {self.lives}")
        self.feed(Restored(self.at, content.memories, content.outbox))
        for name, station in self.stations.items():
            self.feed(StationConnected(self.at, name, self.lives, station.version, "127.0.0.1", f"/{name}"))
            self.feed(StationFrame(self.at, name, self.lives, json.dumps([2, "boot", "BootNotification", boot(station.version)])))
        self.write_disk()

    def feed(self, fact: Fact) -> None:
        """One fact and what follows from it; the disk waits for ``write_disk``."""
        facts = deque((fact,))
        while facts:
            for order in self.engine.handle(facts.popleft()):
                match order:
                    case SendStation():
                        facts.extend(self._to_station(order))
                    case SendUpstream():
                        facts.append(self._to_csms(order))
                    case DialUpstream():
                        facts.append(self._dialled(order))
                    case Persist() | ForgetRows() | UpdateRow():
                        self._unwritten.append(order)
                    case LoadRows():
                        self.write_disk()
                        facts.append(RowsLoaded(self.at, order.station_id, texts(self.folder, order.numbers), order.numbers))
                    case Tell():
                        self._told(order)

    def _to_station(self, order: SendStation) -> list[Fact]:
        station, frame = self.stations[order.station_id], json.loads(order.text)
        if frame[0] == 2:
            station.setpoints += frame[2] == "SetChargingProfile"
            known = frame[2] in ("SetChargingProfile", "ClearChargingProfile")
            answer = [3, frame[1], {"status": "Accepted"}] if known else [4, frame[1], "NotImplemented", "", {}]
            return [StationFrame(self.at, order.station_id, self.lives, json.dumps(answer))]
        if station.hears(frame) and station.flash:
            return [StationFrame(self.at, order.station_id, self.lives, station.frame())]
        return []

    def _to_csms(self, order: SendUpstream) -> Fact:
        """It answers, or closes instead: before it has read the message, or after."""
        hangs_up = self.hang_ups > 0 and self.random.random() < self.hang_up_chance
        if hangs_up:
            self.hang_ups -= 1
        if not hangs_up or self.random.random() < 0.5:
            text = self.csms.answer(order.station_id, json.loads(order.text))
        if hangs_up:
            return UpstreamClosed(self.at, order.station_id, order.generation, "closed")
        return UpstreamFrame(self.at, order.station_id, order.generation, text)

    def _dialled(self, order: DialUpstream) -> Fact:
        if self.csms_there:
            return UpstreamOpened(self.at, order.station_id, order.generation, self.stations[order.station_id].version)
        return UpstreamClosed(self.at, order.station_id, order.generation, "connection refused")

    def close_legs(self) -> None:
        """The CSMS is gone from one moment to the next."""
        for name, session in self.engine.links.sessions.items():
            if session.up.link is not None and session.up.link.is_open:
                self.feed(UpstreamClosed(self.at, name, session.up.link.generation, "CSMS stopped"))
        self.write_disk()

    def _told(self, tell: Tell) -> None:
        words = tell.text.split(" periodic meter values were left out")
        if len(words) > 1:
            self.left_out += int(words[0].split()[-1])
        if "internal error" in tell.text or "kept aside" in tell.text:
            self.alarms.append(f"{tell.subject}: {tell.text}")

    def write_disk(self) -> None:
        """One transaction with everything that waits, as the journal's thread does it; then its answers."""
        while self._unwritten:
            assert self._store is not None
            orders, self._unwritten = self._unwritten, []
            stored = self._store.write(map(_batch, orders))
            self._store.tidy()
            for order, rows in zip(orders, stored, strict=True):
                if isinstance(order, Persist) and order.token:
                    self.feed(Persisted(self.at, order.token, rows))

    def speak(self) -> None:
        """Each station says what is new."""
        for name, station in self.stations.items():
            station.write()
            if len(station.flash) == 1:
                self.feed(StationFrame(self.at, name, self.lives, station.frame()))

    def repeat(self) -> None:
        """After a restart each station says again what was not acknowledged."""
        for name, station in self.stations.items():
            if station.flash:
                self.feed(StationFrame(self.at, name, self.lives, station.frame()))
        self.write_disk()

    def minute(self, tick_s: float) -> None:
        """A minute of the world."""
        self.speak()
        self.write_disk()
        for _ in range(int(SAMPLE_S / tick_s)):
            self.mono_s += tick_s
            self.feed(TimePassed(self.at))
            self.write_disk()

    def killed_with_full_hands(self) -> None:
        """kill -9 while every station waits for an answer."""
        self.speak()
        self.start_process()
        self.repeat()

    @property
    def queued(self) -> int:
        """Messages that wait for the CSMS."""
        return sum(session.up.queued for session in self.engine.links.sessions.values())


def _batch(order: Persist | ForgetRows | UpdateRow) -> Batch:
    match order:
        case Persist():
            remember = tuple((space, key, None if value is None else json.dumps(value)) for (space, key), value in order.remember.items())
            return Batch(rows=order.rows, remember=remember)
        case ForgetRows():
            return Batch(forget=order.numbers)
        case UpdateRow():
            return Batch(updates=((order.number, order.attempts, order.parked),))


def config(folder: Path, stations: int) -> Config:
    """A site with these stations and a CSMS that accepts every driver."""
    entries = [{"id": f"CP{number + 1}", "evses": [{"id": 1, "max_current_a": 32, "fallback_a": 6}]} for number in range(stations)]
    upstream = {"id": "csms", "url": "ws://127.0.0.1:1/", "offline_unknown": "accept"}
    grid = {"fuse_a": min(6000, 40 * stations), "worst_other_load_a": 1}
    control = {"setpoint_life_s": 3600, "setpoint_renew_s": 1800, "plan_every_s": 3600}  # this is about messages, not about watts
    site = {"site": {"id": "t"}, "grid": grid, "stations": entries, "upstreams": [upstream], "control": control, "data_dir": str(folder)}
    return Config.model_validate(site)


@dataclass(slots=True)
class Outcome:
    """What was seen. rss_mib: by hours of outage, then after the drain; queue and journal at the end of the outage."""

    stations: int
    hours: float
    said: int
    acknowledged: int
    arrivals: int
    repeats: int
    missing: int
    missing_other: list[str]
    left_out: int
    wrong: list[str]
    alarms: list[str]
    queued: int
    journal_mib: float
    drained_after_s: float
    rss_mib: dict[str, float]
    took_s: float = 0.0

    @property
    def faultless(self) -> bool:
        """Whether everything arrived as promised."""
        whole = self.acknowledged == self.said and self.missing == self.left_out
        return whole and not (self.missing_other or self.wrong or self.alarms)

    def __str__(self) -> str:
        rss = ", ".join(f"{when} {mib:.0f}" for when, mib in self.rss_mib.items())
        lines = [
            f"{self.stations} stations, {self.hours:g} h without a CSMS: {self.said} messages said, {self.acknowledged} acknowledged",
            f"{self.queued} waited at the end in a journal of {self.journal_mib:.0f} MiB, drained within {self.drained_after_s:.0f} s of the return",
            f"{self.arrivals} arrived ({self.repeats} repeats), {self.missing} periodic values thinned, {self.left_out} told as left out",
            f"{len(self.missing_other)} others missing, {len(self.wrong)} reordered, changed or under a wrong id",
            f"memory of the whole test [MiB]: {rss}; took {self.took_s:.0f} s",
        ]
        return "\n".join([*lines, *self.missing_other[:10], *self.wrong[:10], *self.alarms[:10]])


def long_outage(folder: Path, stations: int, hours: float, say: bool = False) -> Outcome:
    """The whole story."""
    clock = Clock()
    began_s = clock.stamp().mono_s
    world = World(folder, stations)
    memory = {"start": rss_mib()}
    minutes = int(hours * 60)
    for minute in range(minutes):
        if minute == minutes // 2:
            world.killed_with_full_hands()
            gc.collect()
        world.minute(QUIET_TICK_S)
        if (minute + 1) % max(1, minutes // 6) == 0:
            memory[f"{(minute + 1) / 60:g} h"] = rss_mib()
            if say:
                print(f"{(minute + 1) / 60:5.1f} h: {world.queued} queued, {rss_mib():.0f} MiB, {clock.stamp().mono_s - began_s:.0f} s", flush=True)
    queued, journal_mib = world.queued, sum(file.stat().st_size for file in folder.glob(f"{FILE_NAME}*")) / 2**20
    drained_s = drain(world, queued)
    memory["drained"] = rss_mib()
    outcome = account(world, hours, queued, journal_mib, drained_s, memory)
    outcome.took_s = clock.stamp().mono_s - began_s
    return outcome


def drain(world: World, queued: int, kill: bool = True) -> float:
    """The CSMS is back, live traffic goes on, the controller is killed once more half-way. Returns how long it took [s]."""
    world.csms_there = True
    back_s, killed = world.mono_s, not kill
    for _ in range(24 * 60):
        world.minute(1.0)
        if not killed and world.queued < queued / 2:
            killed = True
            world.killed_with_full_hands()
        if world.queued == 0:
            return world.mono_s - back_s
    raise AssertionError(f"{world.queued} messages still wait after a day")


def account(
    world: World, hours: float, queued: int = 0, journal_mib: float = 0.0, drained_s: float = 0.0, memory: dict[str, float] | None = None
) -> Outcome:
    """What stations and CSMS say at the end."""
    stations = world.stations.values()
    missing, others = 0, []
    for station in stations:
        book = station.book
        for number in range(1, len(book.said)):
            if not book.arrived[number] and book.periodic[number]:
                missing += 1
            elif not book.arrived[number]:
                others.append(f"{station.station_id}: message {number}")
    said = sum(len(station.book.said) - 1 for station in stations)
    acknowledged = sum(station.acknowledged for station in stations)
    csms = world.csms
    return Outcome(
        len(world.stations),
        hours,
        said,
        acknowledged,
        csms.arrivals,
        csms.repeats,
        missing,
        others,
        world.left_out,
        csms.wrong,
        world.alarms,
        queued,
        journal_mib,
        drained_s,
        memory or {},
    )


def main() -> int:
    """Exit code 1 if anything is missing, out of order or under a wrong id."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--stations", type=int, default=100)
    parser.add_argument("--hours", type=float, default=72.0)
    parser.add_argument("--json", action="store_true", help="say the outcome as JSON")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="long-outage-") as folder:
        outcome = long_outage(Path(folder), options.stations, options.hours, say=not options.json)
    print(json.dumps({name: getattr(outcome, name) for name in Outcome.__slots__}) if options.json else outcome)
    return 0 if outcome.faultless else 1


if __name__ == "__main__":
    sys.exit(main())
