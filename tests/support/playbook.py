"""A transcript of one station, Yardmaster's link half and one CSMS, in virtual time.

Real ``Links``, no sockets: the test plays station, CSMS, mirrors and disk. ``station(...)`` and ``csms(...)``
feed a frame and return what came out; ``sent_up`` / ``sent_down`` hold the frames of the last step.
``version`` is what both legs speak: "ocpp1.6", "ocpp2.0.1" (default) or "ocpp2.1". Mirrors are named
by ``config(mirrors=...)``; ``open(mirror="m1")``, ``csms(..., mirror="m1")`` and ``mirrored("m1")`` play one.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from controller.config import Config
from controller.facts import (
    Fact,
    OutboxRow,
    Persisted,
    PersistFailed,
    Restored,
    RowsLoaded,
    Stamp,
    StationArrived,
    StationClosed,
    StationConnected,
    StationFrame,
    TimePassed,
    UpstreamClosed,
    UpstreamFrame,
    UpstreamOpened,
)
from controller.io.schemas import shapes
from controller.link.links import Links
from controller.link.outbox import PAGE
from controller.ocpp.times import wall_time
from controller.orders import (
    AnswerStation,
    CloseStation,
    CloseUpstream,
    DialUpstream,
    ForgetRows,
    LoadRows,
    Order,
    Persist,
    SendStation,
    SendUpstream,
    Tell,
    UpdateRow,
)

START_WALL_S = 1_790_000_000.0


def config(upstream: bool = True, outage: str = "autonomous", evses: int = 1, mirrors: Sequence[str] = (), **more: Any) -> Config:
    """A site with one station CP1. mirrors: ids of mirror CSMSs; more: fields of the primary upstream, or of a mirror as ``id={...}``."""
    data: dict[str, Any] = {
        "site": {"id": "test"},
        "grid": {"fuse_a": 63, "worst_other_load_a": 10},
        "stations": [{"id": "CP1", "evses": [{"id": n + 1, "max_current_a": 32, "fallback_a": 6} for n in range(evses)]}],
    }
    of_mirrors = {name: more.pop(name, {}) for name in mirrors}
    ups = [{"id": "csms", "url": "ws://127.0.0.1:1/ocpp", "outage": outage, **more}] if upstream else []
    ups += [{"id": name, "role": "mirror", "url": "ws://127.0.0.1:2/ocpp", **fields} for name, fields in of_mirrors.items()]
    return Config.model_validate({**data, "upstreams": ups} if ups else data)


class Playbook:
    """See the module. disk: True answers every Persist at once, False fails it, None leaves it to the test. overlay: of CP1.

    translates: legs of different versions are brought together (``link.bridge``); ``version`` is then the station's.
    """

    def __init__(
        self,
        site: Config | None = None,
        disk: bool | None = True,
        seed: str = "test",
        version: str = "ocpp2.0.1",
        overlay: bool = False,
        translates: bool = False,
    ) -> None:
        self.config = site or config()
        self.version = version
        self.overlay = overlay
        self.translates = translates
        self.links = Links(self.config, seed, wall_time, frozenset({"CP1"}) if overlay else frozenset(), shapes() if translates else None)
        self.mono_s = 1000.0
        self.disk = disk
        self.rows: dict[int, OutboxRow] = {}
        self.newest = 0
        self.memories: dict[tuple[str, str], Any] = {}
        self.outcomes: list[Order | Fact] = []
        self.generation = 0
        self.legs: dict[str, int] = {}
        self.ticket = 0
        self.unwritten: list[Persist] = []

    @property
    def at(self) -> Stamp:
        """Now."""
        return Stamp(self.mono_s, START_WALL_S + self.mono_s)

    @property
    def upstream_generation(self) -> int:
        """Generation of the primary leg dialled last."""
        return self.legs.get("", 0)

    # -- what happens ---------------------------------------------------------------------------

    def feed(self, fact: Fact) -> list[Order | Fact]:
        """One fact; the disk answers by itself."""
        self.outcomes = self._settle(self.links.handle(fact))
        return self.outcomes

    def carry(self, order: Order) -> list[Order | Fact]:
        """One internal order of the site."""
        self.outcomes = self._settle(self.links.carry(order, self.at))
        return self.outcomes

    def _settle(self, outcomes: Sequence[Order | Fact]) -> list[Order | Fact]:
        result: list[Order | Fact] = []
        for outcome in outcomes:
            result.append(outcome)
            if isinstance(outcome, DialUpstream):
                self.legs[outcome.mirror_id] = outcome.generation
            if isinstance(outcome, ForgetRows):
                for number in outcome.numbers:
                    self.rows.pop(number, None)
            if isinstance(outcome, UpdateRow) and outcome.number in self.rows:
                self.rows[outcome.number] = replace(self.rows[outcome.number], attempts=outcome.attempts, parked=outcome.parked)
            if isinstance(outcome, LoadRows):
                found = tuple(self.rows[number] for number in outcome.numbers if number in self.rows)
                result += self._settle(self.links.handle(RowsLoaded(self.at, outcome.station_id, found, outcome.numbers)))
            if isinstance(outcome, Persist):
                result += self._persist(outcome)
        return result

    def _persist(self, order: Persist) -> list[Order | Fact]:
        if self.disk is None and order.token:
            self.unwritten.append(order)
            return []
        if self.disk is False:
            return self._settle(self.links.handle(PersistFailed(self.at, order.token, "disk full")))
        return self._settle(self.links.handle(self.write(order)))

    def write(self, order: Persist) -> Persisted:
        """Do what the journal does."""
        rows = []
        for row in order.rows:
            self.newest = max([self.newest, *self.rows]) + 1
            rows.append(replace(row, number=self.newest))
            self.rows[self.newest] = rows[-1]
        for key, value in order.remember.items():
            if value is None:
                self.memories.pop(key, None)
            else:
                self.memories[key] = json.loads(json.dumps(value))
        return Persisted(self.at, order.token, tuple(rows))

    def restarted(self) -> Playbook:
        """Power was cut: another process with what is on disk."""
        other = type(self)(self.config, seed="after restart", version=self.version, overlay=self.overlay, translates=self.translates)
        other.mono_s, other.rows, other.memories, other.newest = self.mono_s + 5.0, dict(self.rows), dict(self.memories), self.newest
        paged = tuple(row if place < PAGE else replace(row, text="") for place, row in enumerate(other.rows.values()))
        other.feed(Restored(other.at, other.memories, {"CP1": paged}))
        return other

    def arrive(self, *offered: str) -> list[Order | Fact]:
        """The station waits in its handshake, offering these versions (default: the one of this transcript)."""
        self.ticket += 1
        return self.feed(StationArrived(self.at, "CP1", self.ticket, offered or (self.version,), "127.0.0.1", "/ocpp/CP1"))

    def admit(self) -> list[Order | Fact]:
        """The shell has finished the handshake with ``version``."""
        self.generation += 1
        return self.feed(StationConnected(self.at, "CP1", self.generation, self.version, "127.0.0.1", "/ocpp/CP1"))

    def connect(self, csms: bool | None = True) -> list[Order | Fact]:
        """The station connects; csms True: its upstream opens, False: the dial fails, None: undecided."""
        self.admit()
        if csms is None:
            return self.outcomes
        return self.open() if csms else self.close("connection refused")

    def open(self, version: str = "", mirror: str = "") -> list[Order | Fact]:
        """The upstream socket is open; version: what the CSMS chose."""
        return self.feed(UpstreamOpened(self.at, "CP1", self.legs.get(mirror, 0), version or self.version, mirror))

    def close(
        self, reason: str = "CSMS stopped", no_common_version: bool = False, mirror: str = "", version_in_doubt: bool = False
    ) -> list[Order | Fact]:
        """The upstream socket closed, or the dial failed."""
        return self.feed(UpstreamClosed(self.at, "CP1", self.legs.get(mirror, 0), reason, no_common_version, mirror, version_in_doubt))

    def hang_up(self) -> list[Order | Fact]:
        """The station's socket closed."""
        return self.feed(StationClosed(self.at, "CP1", self.generation, "gone"))

    def station(self, *frame: Any) -> list[Order | Fact]:
        """A frame of the station."""
        text = frame[0] if len(frame) == 1 and isinstance(frame[0], str) else json.dumps(list(frame))
        return self.feed(StationFrame(self.at, "CP1", self.generation, text))

    def csms(self, *frame: Any, mirror: str = "") -> list[Order | Fact]:
        """A frame of the CSMS, or of a mirror."""
        text = frame[0] if len(frame) == 1 and isinstance(frame[0], str) else json.dumps(list(frame))
        return self.feed(UpstreamFrame(self.at, "CP1", self.legs.get(mirror, 0), text, mirror))

    def wait(self, seconds: float) -> list[Order | Fact]:
        """Time passes, second by second."""
        collected: list[Order | Fact] = []
        for _ in range(int(seconds)):
            self.mono_s += 1.0
            collected += self.feed(TimePassed(self.at))
        self.outcomes = collected
        return collected

    def wait_until_up(self, seconds: int) -> None:
        """Time passes until something goes up (it may have gone up in the last step already)."""
        for _ in range(seconds):
            if self.sent_up:
                return
            self.wait(1)

    # -- what came out -------------------------------------------------------------------------------

    @property
    def sent_down(self) -> list[str]:
        """Frames to the station in the last step."""
        return [o.text for o in self.outcomes if isinstance(o, SendStation)]

    @property
    def sent_up(self) -> list[str]:
        """Frames to the primary CSMS in the last step."""
        return self.mirrored("")

    def mirrored(self, mirror: str) -> list[str]:
        """Frames to a mirror in the last step."""
        return [o.text for o in self.outcomes if isinstance(o, SendUpstream) and o.mirror_id == mirror]

    def answers(self) -> list[AnswerStation]:
        """Handshakes finished in the last step."""
        return [o for o in self.outcomes if isinstance(o, AnswerStation)]

    def dials(self, mirror: str = "") -> list[DialUpstream]:
        """Dials of the primary CSMS, or of a mirror, in the last step."""
        return [o for o in self.outcomes if isinstance(o, DialUpstream) and o.mirror_id == mirror]

    def down(self) -> list[Any]:
        """The only frame to the station in the last step, parsed."""
        (text,) = self.sent_down
        frame: list[Any] = json.loads(text)
        return frame

    def up(self) -> list[Any]:
        """The only frame to the CSMS in the last step, parsed."""
        (text,) = self.sent_up
        frame: list[Any] = json.loads(text)
        return frame

    def told(self) -> list[str]:
        """Event texts of the last step."""
        return [o.text for o in self.outcomes if isinstance(o, Tell)]

    def closes(self) -> list[CloseStation | CloseUpstream]:
        """Sockets closed in the last step."""
        return [o for o in self.outcomes if isinstance(o, CloseStation | CloseUpstream)]

    def facts(self, kind: type) -> list[Any]:
        """Facts of a kind in the last step."""
        return [o for o in self.outcomes if isinstance(o, kind)]


BOOT = {"reason": "PowerUp", "chargingStation": {"vendorName": "Acme", "model": "One"}}
BOOT_16 = {"chargePointVendor": "Acme", "chargePointModel": "One"}
TOKEN = {"idToken": "AABBCC", "type": "ISO14443"}


def event(kind: str, seq: int, transaction_id: str = "tx-1", **more: Any) -> dict[str, Any]:
    """A TransactionEvent payload."""
    payload: dict[str, Any] = {
        "eventType": kind,
        "timestamp": "2026-11-21T16:00:00Z",
        "triggerReason": "CablePluggedIn" if kind == "Started" else "MeterValuePeriodic" if kind == "Updated" else "EVDeparted",
        "seqNo": seq,
        "transactionInfo": {"transactionId": transaction_id, "chargingState": "Charging"},
    }
    if kind == "Started":
        payload["evse"] = {"id": 1, "connectorId": 1}
    return {**payload, **more}


def start_16(connector_id: int = 1, id_tag: str = "AABBCC", meter_wh: int = 0, time: str = "2026-11-21T16:00:00Z") -> dict[str, Any]:
    """A 1.6 StartTransaction payload."""
    return {"connectorId": connector_id, "idTag": id_tag, "meterStart": meter_wh, "timestamp": time}


def stop_16(transaction_id: int, meter_wh: int = 1000, time: str = "2026-11-21T17:00:00Z") -> dict[str, Any]:
    """A 1.6 StopTransaction payload."""
    return {"transactionId": transaction_id, "meterStop": meter_wh, "timestamp": time}


def values_16(transaction_id: int | None, energy_wh: str = "500", connector_id: int = 1) -> dict[str, Any]:
    """A 1.6 MeterValues payload; transaction_id None: it names none."""
    sampled = [{"value": energy_wh, "context": "Sample.Periodic", "measurand": "Energy.Active.Import.Register", "unit": "Wh"}]
    payload: dict[str, Any] = {"connectorId": connector_id, "meterValue": [{"timestamp": "2026-11-21T16:30:00Z", "sampledValue": sampled}]}
    return payload if transaction_id is None else {**payload, "transactionId": transaction_id}
