"""What the one upstream link of a depot carries, and what a message through it costs.

First the protocol's own bound, in virtual time: 100 stations as one, a CSMS that answers after 200 ms, one CALL in flight. Offered is
first less than the link carries, then more; printed are messages per second and how long each kind waits. Then the CPU time of a
TransactionEvent of a 2.1 station through leg, parts and trunk with all checks against the schemas, as a ratio to the plain relay of the
same frames in the same run, for a CSMS of the same and of the other 2.x version. Figures go to tests/bench/history.csv.

    python tests/bench/bench_depot.py [--messages 3000] [--minutes 10] [--dry]
"""

from __future__ import annotations

import argparse
import gc
import heapq
import json
import statistics
import sys
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from controller.config import Config
from controller.facts import Fact, Persisted, Restored, RowsLoaded, Stamp, StationConnected, StationFrame, TimePassed, UpstreamFrame, UpstreamOpened
from controller.io.schemas import shapes
from controller.link.links import Links
from controller.ocpp.times import timestamp, wall_time
from controller.orders import DialUpstream, ForgetRows, LoadRows, Order, Persist, SendStation, SendUpstream
from tests.bench.ledger import record

START_WALL_S = 1_790_000_000.0
ROUND_TRIP_S = 0.2
STATIONS = 100


def config(face: str, stations: int = STATIONS) -> Config:
    """A site of one depot; face: pair or depot."""
    evse = {"id": 1, "max_current_a": 32, "fallback_a": 6}
    return Config.model_validate(
        {
            "site": {"id": "bench"},
            "grid": {"fuse_a": 40.0 * stations, "worst_other_load_a": 10},
            "stations": [{"id": f"ST{number:03d}", "evses": [evse]} for number in range(stations)],
            "upstreams": [{"id": "csms", "url": "ws://127.0.0.1:1/ocpp", "face": face, "call_timeout_s": 30}],
        }
    )


@dataclass
class Kind:
    """What became of one kind of message. waits_s: from the station's CALL until the CSMS has it."""

    said: int = 0
    heard: int = 0
    waits_s: list[float] = field(default_factory=list)


class Depot:
    """Links, stations, disk and one CSMS in virtual time; ``round_trip_s`` 0: answers at once."""

    def __init__(self, face: str, version: str, csms_version: str, round_trip_s: float = 0.0) -> None:
        self.config = config(face)
        self.names = [station.id for station in self.config.stations]
        self.links = Links(self.config, "bench", wall_time, shapes=shapes())
        self.version, self.csms_version, self.round_trip_s = version, csms_version, round_trip_s
        self.mono_s = 1000.0
        self.agenda: list[tuple[float, int, Fact]] = []
        self.serial = 0
        self.rows: dict[int, Any] = {}
        self.kinds: dict[str, Kind] = {}
        self.born_s: dict[str, float] = {}
        self.seqs = dict.fromkeys(self.names, 0)

    @property
    def at(self) -> Stamp:
        """Now."""
        return Stamp(self.mono_s, START_WALL_S + self.mono_s)

    def feed(self, fact: Fact) -> None:
        """A fact, and what the others do about it."""
        todo: list[Any] = list(self.links.handle(fact))
        while todo:
            answers = [answer for order in todo if isinstance(order, Order) for answer in self.answer(order)]
            todo = [order for answer in answers for order in self.links.handle(answer)]

    def answer(self, order: Order) -> list[Fact]:
        """What shell, CSMS and stations do about an order."""
        match order:
            case DialUpstream():
                return [UpstreamOpened(self.at, order.station_id, order.generation, self.csms_version)]
            case Persist():
                return [self.stored(order)] if order.token else []
            case ForgetRows():
                for number in order.numbers:
                    self.rows.pop(number, None)
            case LoadRows():
                found = tuple(self.rows[number] for number in order.numbers if number in self.rows)
                return [RowsLoaded(self.at, order.station_id, found, order.numbers)]
            case SendUpstream():
                return self.csms(order)
            case SendStation():
                frame = json.loads(order.text)
                if frame[0] == 2:
                    return [StationFrame(self.at, order.station_id, 1, json.dumps([4, frame[1], "NotSupported", "", {}]))]
        return []

    def stored(self, order: Persist) -> Persisted:
        """The disk has it."""
        rows = []
        for row in order.rows:
            self.serial += 1
            rows.append(replace(row, number=self.serial))
            self.rows[self.serial] = rows[-1]
        return Persisted(self.at, order.token, tuple(rows))

    def csms(self, order: SendUpstream) -> list[Fact]:
        """The CSMS has a CALL, and answers after the round trip."""
        frame = json.loads(order.text)
        if frame[0] != 2:
            return []
        self.arrived(frame[2], frame[3])
        body: dict[str, Any] = {}
        if frame[2] in ("BootNotification", "Heartbeat"):
            body = {"currentTime": timestamp(self.at.wall_s)}
        if frame[2] == "BootNotification":
            body |= {"interval": 3600, "status": "Accepted"}
        text = json.dumps([3, frame[1], body])
        if not self.round_trip_s:
            return [UpstreamFrame(self.at, order.station_id, order.generation, text)]
        self.serial += 1
        due_s = self.mono_s + self.round_trip_s
        heapq.heappush(self.agenda, (due_s, self.serial, UpstreamFrame(Stamp(due_s, START_WALL_S + due_s), order.station_id, order.generation, text)))
        return []

    def arrived(self, action: str, payload: dict[str, Any]) -> None:
        """Half a round trip later the CSMS has it."""
        kind = self.kinds.setdefault(action, Kind())
        kind.heard += 1
        born_s = self.born_s.pop(_mark(action, payload), None)
        if born_s is not None:
            kind.waits_s.append(self.mono_s + self.round_trip_s / 2 - born_s)

    def run_until(self, mono_s: float) -> None:
        """Time passes: answers when they are due, a tick each second."""
        while self.mono_s < mono_s:
            tick_s = float(int(self.mono_s) + 1)
            if self.agenda and self.agenda[0][0] <= min(tick_s, mono_s):
                due_s, _, fact = heapq.heappop(self.agenda)
                self.mono_s = max(self.mono_s, due_s)
                self.feed(fact)
            else:
                self.mono_s = min(tick_s, mono_s)
                if self.mono_s == tick_s:
                    self.feed(TimePassed(self.at))

    def begin(self) -> None:
        """Every station connects, boots and is in a session."""
        self.feed(Restored(self.at, {}, {}))
        self.run_until(self.mono_s + 2)
        boot = {"reason": "PowerUp", "chargingStation": {"vendorName": "Bench", "model": "Load"}}
        for name in self.names:
            self.feed(StationConnected(self.at, name, 1, self.version, "127.0.0.1"))
        self.run_until(self.mono_s + 40)
        for name in self.names:
            self.say(name, "BootNotification", boot)
            self.say(name, "StatusNotification", self.status())
            self.say(name, "TransactionEvent", self.event(name, "Started"))
        self.run_until(self.mono_s + 180)
        assert not self.rows, "the queue is not empty before the measurement"
        self.kinds.clear()

    def say(self, name: str, action: str, payload: dict[str, Any]) -> None:
        """A CALL of a station."""
        self.feed(StationFrame(self.at, name, 1, self.frame(action, payload)))

    def frame(self, action: str, payload: dict[str, Any]) -> str:
        """Its text."""
        self.serial += 1
        self.kinds.setdefault(action, Kind()).said += 1
        self.born_s[_mark(action, payload)] = self.mono_s
        return json.dumps([2, f"{self.serial:036d}", action, payload])

    def status(self) -> dict[str, Any]:
        """A connector's state."""
        return {"timestamp": timestamp(self.at.wall_s), "connectorStatus": "Occupied", "evseId": 1, "connectorId": 1}

    def event(self, name: str, kind: str = "Updated") -> dict[str, Any]:
        """A TransactionEvent of about 1100 bytes."""
        seq, self.seqs[name] = self.seqs[name], self.seqs[name] + 1
        samples = [
            {"value": 16.0 + phase, "measurand": measurand, "phase": f"L{phase}", "context": "Sample.Periodic", "unitOfMeasure": {"unit": unit}}
            for measurand, unit in (("Current.Import", "A"), ("Voltage", "V"))
            for phase in (1, 2, 3)
        ]
        return {
            "eventType": kind,
            "timestamp": timestamp(self.at.wall_s),
            "triggerReason": "MeterValuePeriodic",
            "seqNo": seq,
            "transactionInfo": {"transactionId": f"{name}-89ab-4def-8123-456789abcdef01", "chargingState": "Charging"},
            "evse": {"id": 1, "connectorId": 1},
            "meterValue": [{"timestamp": timestamp(self.at.wall_s), "sampledValue": samples}],
        }


def _mark(action: str, payload: dict[str, Any]) -> str:
    """What tells one message from another on both legs."""
    if action == "TransactionEvent":
        return f"{payload['transactionInfo']['transactionId']}/{payload['seqNo']}"
    return f"{action}/{payload.get('timestamp')}" if action == "SecurityEventNotification" else f"{action}/{json.dumps(payload.get('meterValue'))}"


# -- the bound of the protocol ------------------------------------------------------------------------------


def carry(per_second: float, minutes: float) -> tuple[Depot, float]:
    """Offer so many messages per second; returns the depot and what was carried per second."""
    depot = Depot("depot", "ocpp2.1", "ocpp2.1", ROUND_TRIP_S)
    depot.begin()
    start_s, turn = depot.mono_s, 0
    while depot.mono_s < start_s + minutes * 60:
        depot.run_until(start_s + turn / per_second)
        name = depot.names[turn % len(depot.names)]
        if turn % 10 == 8:
            value = {"timestamp": timestamp(depot.at.wall_s), "sampledValue": [{"value": float(turn)}]}
            depot.say(name, "MeterValues", {"evseId": 1, "meterValue": [value]})
        elif turn % 50 == 9:
            depot.say(name, "SecurityEventNotification", {"type": "SettingSystemTime", "timestamp": timestamp(depot.at.wall_s + turn)})
        else:
            depot.say(name, "TransactionEvent", depot.event(name))
        turn += 1
    heard = sum(kind.heard for kind in depot.kinds.values())
    return depot, heard / (depot.mono_s - start_s)


def bound(minutes: float, tell: Any) -> None:
    """Below and beyond what the link carries."""
    for per_second, word in ((4.0, "offered 4/s"), (8.0, "offered 8/s")):
        depot, carried = carry(per_second, minutes)
        tell("depot", f"carried at 200 ms round trip, {word}", carried, "messages/s", ">= 3.9" if per_second < 5 else ">= 4.9")
        for action, kind in sorted(depot.kinds.items()):
            if kind.waits_s:
                tell("depot", f"{action} waits (median), {word}", statistics.median(kind.waits_s), "s", "")
                tell("depot", f"{action} waits (95 of 100), {word}", statistics.quantiles(kind.waits_s, n=20)[-1], "s", "")


# -- CPU -----------------------------------------------------------------------------------------------------


def cpu_us(face: str, csms_version: str, messages: int) -> float:
    """CPU per TransactionEvent and its answer [us], the neighbours' work taken out by timing ``Links.handle`` alone."""
    depot = Depot(face, "ocpp2.1", csms_version)
    depot.begin()
    spent_s = 0.0
    inner = depot.links.handle

    def timed(fact: Fact) -> Any:
        nonlocal spent_s
        start_s = time.process_time()
        outcomes = inner(fact)
        spent_s += time.process_time() - start_s
        return outcomes

    depot.links.handle = timed  # type: ignore[method-assign]
    gc.disable()
    for turn in range(messages):
        name = depot.names[turn % len(depot.names)]
        depot.say(name, "TransactionEvent", depot.event(name))
        if turn % 500 == 499:
            kept_s = spent_s
            gc.collect()
            depot.run_until(depot.mono_s + 1)
            spent_s = kept_s
    gc.enable()
    assert depot.kinds["TransactionEvent"].heard == messages, "not every message has arrived once"
    return spent_s / messages * 1e6


def main() -> int:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=3000)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--dry", action="store_true", help="write no history")
    arguments = parser.parse_args()
    tell = _printed if arguments.dry else record
    plain_us = cpu_us("pair", "ocpp2.1", arguments.messages)
    tell("depot", "plain relay, one message and its answer", plain_us, "us", "")
    for csms_version in ("ocpp2.1", "ocpp2.0.1"):
        us = cpu_us("depot", csms_version, arguments.messages)
        tell("depot", f"through the depot face to {csms_version}", us, "us", "<= 3000", us / plain_us)
    bound(arguments.minutes, tell)
    return 0


def _printed(bench: str, figure: str, value: float, unit: str, target: str = "", ratio: float | None = None) -> None:
    beside = f", {ratio:.3g} x the reference" if ratio is not None else ""
    print(f"{figure}: {value:.4g} {unit}{beside}" + (f"   (to reach: {target})" if target else ""))


if __name__ == "__main__":
    sys.exit(main())
