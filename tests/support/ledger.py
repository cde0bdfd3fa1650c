"""Who said what and who heard it: the account that tells whether a message was lost, reordered or mixed up (P1, P2).

A ``Pen`` writes what one station says about its sessions, in OCPP 1.6, 2.0.1 or 2.1. Every message of
a station bears a number of its own in its meter reading, so that it is known again wherever it
arrives, under whatever id. ``Account`` compares what stations had acknowledged with what a CSMS has.
Plain JSON, no code of ours: the account must not share a mistake with what it checks.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from random import Random
from typing import Any

Payload = dict[str, Any]
V16, V201, V21 = "ocpp1.6", "ocpp2.0.1", "ocpp2.1"
VERSIONS = (V16, V201, V21)
OUTSIDE = 0
"""Session of a message that belongs to none."""


@dataclass(frozen=True, slots=True)
class Message:
    """One message a station must get rid of. session: number of the message that began its session; content: without ids."""

    number: int
    session: int
    action: str
    payload: Payload

    @property
    def content(self) -> str:
        """What must arrive unchanged."""
        return content_of(self.payload)


def content_of(payload: Payload) -> str:
    """A payload without what may change on the way: the 1.6 transaction id and the mark that it was told late."""
    return json.dumps({key: value for key, value in payload.items() if key not in ("transactionId", "offline")}, sort_keys=True)


def number_of(action: str, payload: Payload) -> int | None:
    """The number a message bears; None for a kind that bears none."""
    if action == "StartTransaction":
        return int(payload["meterStart"])
    if action == "StopTransaction":
        return int(payload["meterStop"])
    if action in ("MeterValues", "TransactionEvent"):
        values = payload.get("meterValue")
        return int(float(values[0]["sampledValue"][0]["value"])) if values else None
    if action == "SecurityEventNotification":
        return int(payload["techInfo"].rsplit(" ", 1)[-1])  # a depot says whose it is in front
    return None


def transaction_of(action: str, payload: Payload) -> str:
    """The transaction a message names, "" = none."""
    if action == "TransactionEvent":
        return str(payload["transactionInfo"]["transactionId"])
    return str(payload.get("transactionId", ""))


class Pen:
    """What a station has to say, message after message: sessions one after the other, readings and events between them."""

    def __init__(self, station_id: str, version: str, seed: int, wall_s: float, values: tuple[int, int] = (2, 8)) -> None:
        self.station_id = station_id
        self.version = version
        self._random = Random(seed)
        self._wall_s = wall_s
        self._values = values
        self._number = 0
        self._session = OUTSIDE
        self._left = 0
        self._seq = 0
        self.card = version == V16
        """Whether a start names the driver: without one there is no session for a 1.6 CSMS."""

    def next(self, step_s: float = 1.0) -> Message:
        """The next message, ``step_s`` after the last one."""
        self._number += 1
        self._wall_s += step_s
        if self._session == OUTSIDE and self._random.random() < 0.15:
            return self._outside()
        if self._session == OUTSIDE:
            self._session, self._left, self._seq = self._number, self._random.randint(*self._values), 0
            return self._message("start")
        if self._left:
            self._left -= 1
            return self._message("value")
        message = self._message("stop")
        self._session = OUTSIDE
        return message

    @property
    def in_session(self) -> bool:
        """Whether a session runs."""
        return self._session != OUTSIDE

    @property
    def time(self) -> str:
        """Now, as it stands in messages."""
        return datetime.fromtimestamp(self._wall_s, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")

    def _outside(self) -> Message:
        if self.version != V16 and self._random.random() < 0.5:
            payload = {"evseId": 1, "meterValue": [self._meter(str_value=False)]}
            return Message(self._number, OUTSIDE, "MeterValues", payload)
        event = {"type": "MemoryExhaustion", "timestamp": self.time, "techInfo": str(self._number)}
        return Message(self._number, OUTSIDE, "SecurityEventNotification", event)

    def _message(self, kind: str) -> Message:
        payload = self._v16(kind) if self.version == V16 else self._v2(kind)
        action = {"start": "StartTransaction", "value": "MeterValues", "stop": "StopTransaction"}[kind] if self.version == V16 else "TransactionEvent"
        return Message(self._number, self._session, action, payload)

    def _v16(self, kind: str) -> Payload:
        if kind == "start":
            return {"connectorId": 1, "idTag": "AABBCC", "meterStart": self._number, "timestamp": self.time}
        if kind == "stop":
            return {"meterStop": self._number, "timestamp": self.time, "idTag": "AABBCC"}
        return {"connectorId": 1, "meterValue": [self._meter(str_value=True)]}

    def _v2(self, kind: str) -> Payload:
        names = {"start": ("Started", "CablePluggedIn"), "value": ("Updated", "MeterValuePeriodic"), "stop": ("Ended", "EVDeparted")}
        event, trigger = names[kind]
        payload: Payload = {
            "eventType": event,
            "timestamp": self.time,
            "triggerReason": trigger,
            "seqNo": self._seq,
            "transactionInfo": {"transactionId": f"{self.station_id}-{self._session}", "chargingState": "Charging"},
            "meterValue": [self._meter(str_value=False)],
        }
        self._seq += 1
        driver = {"idToken": {"idToken": "AABBCCDD", "type": "ISO14443"}} if self.card else {}
        return {**payload, "evse": {"id": 1, "connectorId": 1}, **driver} if kind == "start" else payload

    def _meter(self, str_value: bool) -> Payload:
        value: Any = str(self._number) if str_value else self._number
        sample = {"value": value, "context": "Sample.Periodic", "measurand": "Energy.Active.Import.Register"}
        return {"timestamp": self.time, "sampledValue": [sample]}


def boot(version: str) -> Payload:
    """A BootNotification."""
    if version == V16:
        return {"chargePointVendor": "Ledger", "chargePointModel": "One"}
    return {"reason": "PowerUp", "chargingStation": {"vendorName": "Ledger", "model": "One"}}


@dataclass(slots=True)
class Told:
    """What one station said, and what of it was acknowledged. Both by number."""

    version: str
    said: dict[int, Message] = field(default_factory=dict)
    acknowledged: dict[int, Message] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Arrived:
    """A message as a CSMS noted it before answering."""

    station_id: str
    number: int
    transaction_id: str
    content: str


@dataclass(slots=True)
class Verdict:
    """What is wrong, in words, and what was counted."""

    lost: list[str] = field(default_factory=list)
    reordered: list[str] = field(default_factory=list)
    mixed_up: list[str] = field(default_factory=list)
    acknowledged: Counter[str] = field(default_factory=Counter)
    sessions: int = 0
    arrivals: int = 0
    repeats: int = 0

    @property
    def faultless(self) -> bool:
        """Whether both promises hold."""
        return not (self.lost or self.reordered or self.mixed_up)

    def __str__(self) -> str:
        by_version = ", ".join(f"{version} {count}" for version, count in sorted(self.acknowledged.items()))
        counted = f"{self.acknowledged.total()} acknowledged messages ({by_version}) of {self.sessions} sessions"
        came = f"{self.arrivals} arrived, {self.repeats} of them repeats"
        wrong = [*self.lost, *self.reordered, *self.mixed_up][:20]
        ends = f"{len(self.lost)} lost, {len(self.reordered)} reordered, {len(self.mixed_up)} mixed up"
        return "\n".join([f"{counted}; {came}; {ends}", *wrong])


def kind_of(content: str) -> str:
    """What a message is about, in any version: "start", "value", "stop" or "event"."""
    payload = json.loads(content)
    if "eventType" in payload:
        return {"Started": "start", "Updated": "value", "Ended": "stop"}[payload["eventType"]]
    return "start" if "meterStart" in payload else "stop" if "meterStop" in payload else "value" if "meterValue" in payload else "event"


def place_of(content: str) -> int:
    """The EVSE or connector that a message names, 0 = none."""
    payload = json.loads(content)
    return int(payload.get("evse", {}).get("id", 0) or payload.get("evseId", 0) or payload.get("connectorId", 0))


def name_of(content: str) -> str:
    """The charger a depot names in a security event, "" = none."""
    said: str = json.loads(content).get("techInfo", "")
    return said.split(": ", 1)[0] if ": " in said else ""


def as_said(told: dict[str, Told], arrived: Iterable[Arrived], depot: str = "") -> list[Arrived]:
    """What arrived in the words of another version, with the words in which it was said where number and kind agree.

    depot: the identity under which all of it came, "" = each station under its own; then it is told by its EVSE whose it is. A reading that
    says again what a start or a stop has said is left out.
    """
    arrived, names, places = list(arrived), list(told), {}
    for note in arrived:
        if note.transaction_id and place_of(note.content):
            places.setdefault(note.transaction_id, place_of(note.content))
    found = []
    for note in arrived:
        place = place_of(note.content) or places.get(note.transaction_id, 0)
        name = note.station_id if note.station_id != depot else names[place - 1] if 0 < place <= len(names) else name_of(note.content)
        message = told[name].said.get(note.number) if name else None
        kind = kind_of(note.content)
        if message is None:
            found.append(Arrived(name or names[0], note.number, note.transaction_id, note.content))
        elif kind == kind_of(message.content):
            found.append(Arrived(name, note.number, note.transaction_id, message.content))
        elif kind != "value":
            found.append(Arrived(name, note.number, note.transaction_id, note.content))
    return found


def without_idle_values(told: dict[str, Told]) -> dict[str, Told]:
    """The account without readings outside sessions: a depot sums these up."""

    def inside(messages: dict[int, Message]) -> dict[int, Message]:
        return {number: message for number, message in messages.items() if message.session != OUTSIDE or message.action != "MeterValues"}

    return {name: Told("", inside(book.said), inside(book.acknowledged)) for name, book in told.items()}


def judge(told: dict[str, Told], arrived: Iterable[Arrived], one_id: Iterable[str] = ()) -> Verdict:
    """Compare. one_id: stations whose CSMS knows a repeated start again, so that a 1.6 session has exactly one id there."""
    verdict = Verdict()
    of_station: dict[str, list[Arrived]] = {station_id: [] for station_id in told}
    for note in arrived:
        of_station[note.station_id].append(note)
        verdict.arrivals += 1
    single = set(one_id)
    for station_id, book in told.items():
        _judge_station(station_id, book, of_station[station_id], station_id in single, verdict)
    return verdict


def _judge_station(station_id: str, book: Told, arrived: list[Arrived], one_id: bool, verdict: Verdict) -> None:
    verdict.acknowledged[book.version] += len(book.acknowledged)
    verdict.repeats += len(arrived) - len({note.number for note in arrived})
    for note in arrived:
        if note.number not in book.said or book.said[note.number].content != note.content:
            verdict.mixed_up.append(f"{station_id}: the CSMS has {note.content}, which the station never said")
    known = [note for note in arrived if note.number in book.said]
    there = {note.number for note in known}
    sessions: dict[int, list[int]] = {}
    for number, message in book.acknowledged.items():
        if message.session == OUTSIDE:
            if number not in there:
                verdict.lost.append(f"{station_id}: message {number} ({message.action})")
        else:
            sessions.setdefault(message.session, []).append(number)
    for note in known:
        if book.said[note.number].session == OUTSIDE and note.transaction_id:
            verdict.mixed_up.append(f"{station_id}: message {note.number} arrived in transaction {note.transaction_id}")
    by_session: dict[int, list[Arrived]] = {}
    for note in known:
        by_session.setdefault(book.said[note.number].session, []).append(note)
    verdict.sessions += len(sessions)
    for session, numbers in sessions.items():
        _judge_session(
            f"{station_id} session {session}", session, numbers, by_session.get(session, []), one_id or book.version in (V201, V21), verdict
        )


def _judge_session(name: str, session: int, numbers: list[int], arrived: list[Arrived], one_id: bool, verdict: Verdict) -> None:
    """Under one id of the CSMS everything must be there, in the order it was said. Ids with a start only may be left-overs of repeats."""
    orders: dict[str, list[int]] = {}
    for note in arrived:
        seen = orders.setdefault(note.transaction_id, [])
        if note.number not in seen:
            seen.append(note.number)
    strays = [transaction_id for transaction_id, seen in orders.items() if session not in seen]
    if strays and session in numbers:
        verdict.mixed_up.append(f"{name}: messages under {strays}, which the CSMS never gave this session; they are {orders}")
    if one_id and len(orders) > 1:
        verdict.mixed_up.append(f"{name}: one session under several ids: {orders}")
    best = max(orders.values(), key=lambda seen: len(set(numbers) & set(seen)), default=[])
    missing = sorted(set(numbers) - set(best))
    verdict.lost += [f"{name}: message {number}; arrived: {orders}" for number in missing]
    verdict.reordered += [f"{name}: arrived as {seen} under {transaction_id}" for transaction_id, seen in orders.items() if seen != sorted(seen)]
