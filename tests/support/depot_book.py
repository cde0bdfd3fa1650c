"""A transcript of a whole depot as one station: real ``Links``, any number of stations, one CSMS, in virtual time.

The test plays stations, CSMS and disk. Every frame that Yardmaster makes is checked against the schemas of its version. The CSMS answers by
itself with ``csms_says[action]`` (a payload, or a function of the request) unless ``mute``; ``after_s`` is its round trip, in ticks of a
second. ``up`` is what it has heard: (action, payload). Stations answer with ``station_says[station][action]``, else NotSupported.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from controller.config import Config
from controller.facts import (
    Fact,
    OutboxRow,
    Persisted,
    Restored,
    RowsLoaded,
    Stamp,
    StationClosed,
    StationConnected,
    StationFrame,
    TimePassed,
    UpstreamClosed,
    UpstreamFrame,
    UpstreamOpened,
)
from controller.link.depot.face import DepotFace
from controller.link.links import Links
from controller.ocpp.times import timestamp, wall_time
from controller.orders import CloseUpstream, DialUpstream, ForgetRows, LoadRows, Order, Persist, SendStation, SendUpstream, Tell, UpdateRow
from tests.support.shapes import SHAPES

START_WALL_S = 1_790_000_000.0
DEPOT = "DEPOT"
Payload = dict[str, Any]
Says = Payload | Callable[[Payload], Payload]
STATION_ANSWERS: dict[str, Says] = {
    "TriggerMessage": {"status": "Accepted"},
    "GetTransactionStatus": {"messagesInQueue": False},
    "SetChargingProfile": {"status": "Accepted"},
    "ClearChargingProfile": {"status": "Accepted"},
}


def site(stations: Sequence[str] = ("CP1", "CP2"), evses: int = 1, versions: Sequence[str] | None = None, **depot: Any) -> Config:
    """A site whose chargers are one station for their CSMS. depot: fields of ``upstreams.depot``."""
    return Config.model_validate(
        {
            "site": {"id": "test"},
            "grid": {"fuse_a": 250, "worst_other_load_a": 10},
            "upstreams": [
                {
                    "id": "csms",
                    "url": "ws://127.0.0.1:1/ocpp",
                    "face": "depot",
                    "identity": DEPOT,
                    "versions": versions,
                    "depot": {"status_wait_s": 0, "site_values_s": 0, **depot},
                }
            ],
            "stations": [{"id": name, "upstream": "csms", "evses": [_evse(n + 1) for n in range(evses)]} for name in stations],
        }
    )


def _evse(evse_id: int) -> Payload:
    return {"id": evse_id, "max_current_a": 32, "fallback_a": 6}


@dataclass
class Wire:
    """One station's socket."""

    version: str
    generation: int = 0
    open: bool = False


class DepotBook:
    """See the module. version: what the CSMS chooses; station_versions: of stations that do not speak it."""

    def __init__(self, config: Config | None = None, version: str = "ocpp2.1", seed: str = "test", **station_versions: str) -> None:
        self.config = config or site()
        self.version = version
        self.links = Links(self.config, seed, wall_time, shapes=SHAPES)
        self.mono_s = 1000.0
        self.rows: dict[int, OutboxRow] = {}
        self.newest = 0
        self.memories: dict[tuple[str, str], Any] = {}
        self.stations = {station.id: Wire(station_versions.get(station.id, version)) for station in self.config.stations}
        self.station_says: dict[str, dict[str, Says]] = {name: {} for name in self.stations}
        self.csms_says: dict[str, Says] = {
            "BootNotification": lambda request: {"currentTime": timestamp(self.at.wall_s), "interval": 300, "status": "Accepted"},
            "Heartbeat": lambda request: {"currentTime": timestamp(self.at.wall_s)},
            "Authorize": {"idTokenInfo": {"status": "Accepted"}} if version != "ocpp1.6" else {"idTagInfo": {"status": "Accepted"}},
            "StartTransaction": lambda request: {"transactionId": 1000 + len(self.heard("StartTransaction")), "idTagInfo": {"status": "Accepted"}},
        }
        self.disk = True
        self.unwritten: list[Persist] = []
        self.mute = False
        self.after_s = 0
        self.up: list[tuple[str, Payload]] = []
        self.down: dict[str, list[tuple[str, Payload]]] = {name: [] for name in self.stations}
        self.answers: dict[str, Any] = {}
        self.told: list[str] = []
        self.outcomes: list[Order | Fact] = []
        self.generation: int | None = None
        self.is_open = False
        self.unanswered: list[tuple[float, str, str, Payload]] = []
        self._asked: dict[str, str] = {}
        self._count = 0
        self._todo: list[Fact] = []

    @property
    def at(self) -> Stamp:
        """Now."""
        return Stamp(self.mono_s, START_WALL_S + self.mono_s)

    @property
    def face(self) -> DepotFace:
        """The depot face."""
        assert self.links.junction is not None
        (face,) = self.links.junction._depots.values()
        assert isinstance(face, DepotFace)
        return face

    def heard(self, action: str) -> list[Payload]:
        """What the CSMS has heard of this kind."""
        return [payload for known, payload in self.up if known == action]

    # -- the world ----------------------------------------------------------------------------------------------

    def feed(self, fact: Fact) -> None:
        """A fact, and everything the neighbours answer at once."""
        self._todo.append(fact)
        if len(self._todo) > 1:
            return
        while self._todo:
            self._settle(self.links.handle(self._todo[0]))
            self._todo.pop(0)

    def _settle(self, outcomes: Sequence[Order | Fact]) -> None:
        for outcome in outcomes:
            self.outcomes.append(outcome)
            match outcome:
                case Persist() if self.disk:
                    self._todo.append(self._write(outcome))
                case Persist():
                    self.unwritten.append(outcome)
                case ForgetRows():
                    for number in outcome.numbers:
                        self.rows.pop(number, None)
                case UpdateRow() if outcome.number in self.rows:
                    self.rows[outcome.number] = replace(self.rows[outcome.number], attempts=outcome.attempts, parked=outcome.parked)
                case LoadRows():
                    found = tuple(self.rows[number] for number in outcome.numbers if number in self.rows)
                    self._todo.append(RowsLoaded(self.at, outcome.station_id, found, outcome.numbers))
                case DialUpstream():
                    assert outcome.station_id == DEPOT
                    self.generation = outcome.generation
                case CloseUpstream() if outcome.station_id == DEPOT:
                    self.is_open = False
                case SendUpstream():
                    assert outcome.station_id == DEPOT
                    assert outcome.generation == self.generation
                    self._csms_frame(json.loads(outcome.text))
                case SendStation():
                    self._station_frame(outcome.station_id, json.loads(outcome.text))
                case Tell():
                    self.told.append(outcome.text)
                    assert "internal error" not in outcome.text, outcome.text

    def _write(self, order: Persist) -> Persisted:
        rows = []
        for row in order.rows:
            self.newest += 1
            rows.append(replace(row, number=self.newest))
            self.rows[self.newest] = rows[-1]
        for key, value in order.remember.items():
            if value is None:
                self.memories.pop(key, None)  # as the journal does
            else:
                self.memories[key] = json.loads(json.dumps(value))
        return Persisted(self.at, order.token, tuple(rows))

    def written(self) -> None:
        """The disk, which was slow (``disk`` False), has done everything by now."""
        self.disk = True
        orders, self.unwritten = self.unwritten, []
        for order in orders:
            self.feed(self._write(order))

    def restarted(self, config: Config | None = None) -> DepotBook:
        """Power was cut: another process with what is on disk."""
        other = DepotBook(config or self.config, self.version, f"{self.mono_s} again")
        other.mono_s, other.rows, other.memories, other.newest = self.mono_s + 5.0, dict(self.rows), dict(self.memories), self.newest
        for name, wire in self.stations.items():
            if name in other.stations:
                other.stations[name].version, other.stations[name].generation = wire.version, wire.generation
        other.start()
        return other

    def start(self) -> None:
        """What the journal holds."""
        outbox: dict[str, tuple[OutboxRow, ...]] = {}
        for row in self.rows.values():
            outbox[row.station_id] = (*outbox.get(row.station_id, ()), row)
        self.feed(Restored(self.at, dict(self.memories), outbox))

    def wait(self, seconds: int) -> None:
        """Time passes, second by second."""
        for _ in range(seconds):
            self.mono_s += 1.0
            due = [item for item in self.unanswered if item[0] <= self.mono_s]
            self.unanswered = [item for item in self.unanswered if item[0] > self.mono_s]
            for _, message_id, action, payload in due:
                self._csms_answers(message_id, action, payload)
            self.feed(TimePassed(self.at))

    # -- the CSMS ----------------------------------------------------------------------------------------------------

    def open(self) -> None:
        """The dial of the depot succeeds; waits for it if need be."""
        if self.generation is None:
            self.start()
        for _ in range(120):
            if self.generation is not None and not self.is_open and self.face._link.state.value == "dialling":
                break
            self.wait(1)
        self.is_open = True
        assert self.generation is not None
        self.feed(UpstreamOpened(self.at, DEPOT, self.generation, self.version))

    def lose(self, reason: str = "CSMS stopped") -> None:
        """The socket to the CSMS is gone."""
        self.is_open, self.unanswered = False, []
        assert self.generation is not None
        self.feed(UpstreamClosed(self.at, DEPOT, self.generation, reason))

    def _csms_frame(self, frame: list[Any]) -> None:
        if frame[0] in (3, 4):
            action = self._asked.pop(frame[1])
            if frame[0] == 3:
                assert SHAPES.check(self.version, action, True, frame[2]) == "", (action, frame[2])
            self.answers[frame[1]] = frame[2] if frame[0] == 3 else tuple(frame[2:4])
            return
        _, message_id, action, payload = frame
        assert SHAPES.check(self.version, action, False, payload) == "", (SHAPES.check(self.version, action, False, payload), action, payload)
        assert not self.unanswered, "a second CALL in flight"
        self.up.append((action, payload))
        if frame[0] == 6:
            return
        if self.mute:
            return
        if self.after_s:
            self.unanswered.append((self.mono_s + self.after_s, message_id, action, payload))
        else:
            self._csms_answers(message_id, action, payload)

    def _csms_answers(self, message_id: str, action: str, payload: Payload) -> None:
        says = self.csms_says.get(action, {})
        answer = says(payload) if callable(says) else says
        frame: list[Any] = [4, message_id, answer["error"], "", {}] if "error" in answer else [3, message_id, answer]
        assert self.generation is not None
        self._todo.append(UpstreamFrame(self.at, DEPOT, self.generation, json.dumps(frame)))
        if len(self._todo) == 1:
            self.feed(self._todo.pop())

    def csms(self, action: str, payload: Payload) -> Any:
        """The CSMS asks; the depot's answer if it has come: a payload, or (code, description)."""
        self._count += 1
        message_id = f"csms-{self._count}"
        self._asked[message_id] = action
        assert self.generation is not None
        self.feed(UpstreamFrame(self.at, DEPOT, self.generation, json.dumps([2, message_id, action, payload])))
        return self.answers.get(message_id)

    # -- stations -----------------------------------------------------------------------------------------------------

    def connect(self, *names: str) -> None:
        """Stations connect (default: all)."""
        for name in names or tuple(self.stations):
            wire = self.stations[name]
            wire.generation, wire.open = wire.generation + 1, True
            self.feed(StationConnected(self.at, name, wire.generation, wire.version, "127.0.0.1", f"/ocpp/{name}"))

    def hang_up(self, *names: str) -> None:
        """Stations go."""
        for name in names or tuple(self.stations):
            self.stations[name].open = False
            self.feed(StationClosed(self.at, name, self.stations[name].generation, "gone"))

    def say(self, name: str, action: str, payload: Payload) -> Any:
        """A station's CALL; the answer if it has come: a payload, or (code, description)."""
        self._count += 1
        message_id = f"{name}-{self._count}"
        self._asked[message_id] = action
        wire = self.stations[name]
        assert SHAPES.check(wire.version, action, False, payload) == "", (action, payload)
        self.feed(StationFrame(self.at, name, wire.generation, json.dumps([2, message_id, action, payload])))
        return self.answers.get(message_id)

    def _station_frame(self, name: str, frame: list[Any]) -> None:
        version = self.stations[name].version
        if frame[0] in (3, 4):
            action = self._asked.get(frame[1], "")
            if frame[0] == 3:
                assert SHAPES.check(version, action, True, frame[2]) == "", (action, frame[2])
            self.answers[frame[1]] = frame[2] if frame[0] == 3 else tuple(frame[2:4])
            return
        _, message_id, action, payload = frame
        assert SHAPES.check(version, action, False, payload) == "", (action, payload)
        self.down[name].append((action, payload))
        says = self.station_says[name].get(action, STATION_ANSWERS.get(action))
        answer = says(payload) if callable(says) else says
        reply = [3, message_id, answer] if answer is not None else [4, message_id, "NotSupported", "", {}]
        self._todo.append(StationFrame(self.at, name, self.stations[name].generation, json.dumps(reply)))

    # -- stories -------------------------------------------------------------------------------------------------------

    def boot(self, *names: str) -> None:
        """Stations connect and boot (2.x words or 1.6 words by their version), every connector Available."""
        for name in names or tuple(self.stations):
            self.connect(name)
            if self.stations[name].version == "ocpp1.6":
                self.say(name, "BootNotification", {"chargePointVendor": "ACME", "chargePointModel": "One"})
            else:
                self.say(name, "BootNotification", {"reason": "PowerUp", "chargingStation": {"vendorName": "ACME", "model": "Two"}})
            for evse in next(station for station in self.config.stations if station.id == name).evses:
                self.status(name, "Available", evse.id)

    def status(self, name: str, state: str, evse_id: int = 1) -> Any:
        """A connector's state."""
        if self.stations[name].version == "ocpp1.6":
            return self.say(name, "StatusNotification", {"connectorId": evse_id, "errorCode": "NoError", "status": state})
        when = timestamp(self.at.wall_s)
        return self.say(name, "StatusNotification", {"timestamp": when, "connectorStatus": state, "evseId": evse_id, "connectorId": 1})

    def event(self, name: str, kind: str, transaction_id: str, seq: int, evse_id: int = 1, trigger: str = "Trigger", **more: Any) -> Any:
        """A TransactionEvent of a 2.x station."""
        payload = {
            "eventType": kind,
            "timestamp": more.pop("timestamp", timestamp(self.at.wall_s)),
            "triggerReason": trigger,
            "seqNo": seq,
            "transactionInfo": {"transactionId": transaction_id, **more.pop("info", {})},
            **({"evse": {"id": evse_id, "connectorId": 1}} if evse_id else {}),
            **more,
        }
        return self.say(name, "TransactionEvent", payload)
