"""A transcript of one station, Yardmaster's link half and one CSMS, in virtual time.

Real ``Links``, no sockets: the test plays station, CSMS and disk. ``station(...)`` and ``csms(...)``
feed a frame and return what came out; ``sent_up`` / ``sent_down`` hold the frames of the last step.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from controller.config import Config
from controller.facts import (
    Fact,
    OutboxRow,
    Persisted,
    PersistFailed,
    Restored,
    Stamp,
    StationClosed,
    StationConnected,
    StationFrame,
    TimePassed,
    UpstreamClosed,
    UpstreamFrame,
    UpstreamOpened,
)
from controller.link.links import Links
from controller.ocpp.times import wall_time
from controller.orders import CloseStation, CloseUpstream, DialUpstream, ForgetRows, Order, Persist, SendStation, SendUpstream, Tell

START_WALL_S = 1_790_000_000.0


def config(upstream: bool = True, outage: str = "autonomous", evses: int = 1) -> Config:
    """A site with one station CP1."""
    data: dict[str, Any] = {
        "site": {"id": "test"},
        "grid": {"fuse_a": 63, "worst_other_load_a": 10},
        "stations": [{"id": "CP1", "evses": [{"id": n + 1, "max_current_a": 32, "fallback_a": 6} for n in range(evses)]}],
    }
    if upstream:
        data["upstreams"] = [{"id": "csms", "url": "ws://127.0.0.1:1/ocpp", "outage": outage}]
    return Config.model_validate(data)


class Playbook:
    """See the module. disk: True answers every Persist at once, False fails it, None leaves it to the test."""

    def __init__(self, site: Config | None = None, disk: bool | None = True, seed: str = "test") -> None:
        self.config = site or config()
        self.links = Links(self.config, seed, wall_time)
        self.mono_s = 1000.0
        self.disk = disk
        self.rows: dict[int, OutboxRow] = {}
        self.memories: dict[tuple[str, str], Any] = {}
        self.outcomes: list[Order | Fact] = []
        self.generation = 0
        self.upstream_generation = 0
        self.unwritten: list[Persist] = []

    @property
    def at(self) -> Stamp:
        """Now."""
        return Stamp(self.mono_s, START_WALL_S + self.mono_s)

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
                self.upstream_generation = outcome.generation
            if isinstance(outcome, ForgetRows):
                for number in outcome.numbers:
                    self.rows.pop(number, None)
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
            number = max(self.rows, default=0) + 1
            rows.append(OutboxRow(number, row.station_id, row.transaction_id, row.action, row.text, row.stored_wall_s))
            self.rows[number] = rows[-1]
        for key, value in order.remember.items():
            self.memories[key] = json.loads(json.dumps(value))
        return Persisted(self.at, order.token, tuple(rows))

    def restarted(self) -> Playbook:
        """Power was cut: another process with what is on disk."""
        other = Playbook(self.config, seed="after restart")
        other.mono_s, other.rows, other.memories = self.mono_s + 5.0, dict(self.rows), dict(self.memories)
        other.feed(Restored(other.at, other.memories, {"CP1": tuple(other.rows.values())}))
        return other

    def connect(self, csms: bool | None = True) -> list[Order | Fact]:
        """The station connects; csms True: its upstream opens, False: the dial fails, None: undecided."""
        self.generation += 1
        self.feed(StationConnected(self.at, "CP1", self.generation, "ocpp2.0.1", "127.0.0.1", "/ocpp/CP1"))
        if csms is None:
            return self.outcomes
        return self.open() if csms else self.close("connection refused")

    def open(self) -> list[Order | Fact]:
        """The upstream socket is open."""
        return self.feed(UpstreamOpened(self.at, "CP1", self.upstream_generation, "ocpp2.0.1"))

    def close(self, reason: str = "CSMS stopped") -> list[Order | Fact]:
        """The upstream socket closed."""
        return self.feed(UpstreamClosed(self.at, "CP1", self.upstream_generation, reason))

    def hang_up(self) -> list[Order | Fact]:
        """The station's socket closed."""
        return self.feed(StationClosed(self.at, "CP1", self.generation, "gone"))

    def station(self, *frame: Any) -> list[Order | Fact]:
        """A frame of the station."""
        text = frame[0] if len(frame) == 1 and isinstance(frame[0], str) else json.dumps(list(frame))
        return self.feed(StationFrame(self.at, "CP1", self.generation, text))

    def csms(self, *frame: Any) -> list[Order | Fact]:
        """A frame of the CSMS."""
        text = frame[0] if len(frame) == 1 and isinstance(frame[0], str) else json.dumps(list(frame))
        return self.feed(UpstreamFrame(self.at, "CP1", self.upstream_generation, text))

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
        """Frames to the CSMS in the last step."""
        return [o.text for o in self.outcomes if isinstance(o, SendUpstream)]

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
