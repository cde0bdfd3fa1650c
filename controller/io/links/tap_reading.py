"""What passes by, as a person reads it: facts and orders of one step of the engine -> ``Seen`` records.

For every frame: which leg, which way, what kind, the action (for an answer that of the CALL it answers), and what
Yardmaster did with it. The last is derived, not told: a text that goes out as it came in was relayed, all others are
ours. Secrets leave here as "***" (A01.FR.09, A01.FR.12); where it cannot be known whether a payload holds one, because
its CALL was before our time or the frame cannot be read, the payload is hidden.
"""

from __future__ import annotations

import json
import re
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from controller.facts import Fact, Stamp, StationClosed, StationConnected, StationFrame, StationRefused, UpstreamClosed, UpstreamFrame, UpstreamOpened
from controller.link.ids import is_translated
from controller.ocpp import rpc
from controller.ocpp.dialect import Dialect
from controller.ocpp.registry import dialect_for
from controller.orders import CloseStation, CloseUpstream, DialUpstream, Order, Persist, SendStation, SendUpstream

STATION: Final = "station"
CSMS: Final = "csms"
UP: Final = "up"
DOWN: Final = "down"
HIDDEN: Final = "***"

CALLS_KEPT = 512
"""CALLs per station and texts per station that are remembered to tell what belongs to what."""
BROKEN_CHARS = 400
"""Of a frame that cannot be read so much is shown."""

KINDS: Final = {rpc.Call: "CALL", rpc.Result: "RESULT", rpc.Error: "ERROR", rpc.ResultError: "RESULTERROR", rpc.Send: "SEND"}
OWN_WORDS: Final = frozenset({"BootNotification", "Heartbeat"})
"""What a depot says to its CSMS of itself; all else that it says there comes from its chargers, in other words."""

LINK_KINDS: Final = ("OPENED", "CLOSED", "DIALLED", "HANGUP", "REFUSED")
"""Kinds of records about connections: a peer's socket opened or closed, we dial, we hang up, we refused a station."""

_SUSPECT: Final = re.compile(
    r"passw|authorizationkey|attributevalue|\bpin\b|\bapn\b|secret|setvariable|getvariable|changeconfiguration|getconfiguration|networkprofile"
    r"|configurationkey|notifyreport",
    re.IGNORECASE,
)
_VALUE: Final = re.compile(r'(:\s*")((?:[^"\\]|\\.)*)("?)', re.DOTALL)
_ESCAPE: Final = re.compile(r"\\u([0-9a-fA-F]{4})")


@dataclass(frozen=True, slots=True)
class Seen:
    """One frame on one leg, or one change of a connection.

    leg: "station", "csms" or "mirror:<id>". way: "up" = from station towards CSMS, "down" = the other way.
    kind: CALL, RESULT, ERROR, SEND, RESULTERROR, BROKEN, or one of ``LINK_KINDS``. message_id, action: "" if unknown.
    did: what Yardmaster did: relayed (the same text went on), changed (went on with another text), held (on disk, answered
    here), answered (a station's CALL answered here, or our answer), intercepted (a CSMS's CALL kept here), ours (our own
    CALL, or the answer to one), translated (it goes on, or came, in other words: of another version, or of the depot as one station),
    waits (goes on later), dropped (nobody waits for it). waited_s: between coming in and going out.
    text: the frame as it was on the wire; with secrets "***" (then hidden is True); for a
    connection the reason or address. detail: more about a connection, e.g. {"version": "ocpp2.0.1"}.
    """

    at: Stamp
    station_id: str
    leg: str
    way: str
    kind: str
    action: str = ""
    message_id: str = ""
    did: str = ""
    text: str = ""
    hidden: bool = False
    incoming: bool = True
    waited_s: float = 0.0
    detail: dict[str, Any] | None = None

    def as_json(self) -> dict[str, Any]:
        """The record as API and transcripts have it."""
        record: dict[str, Any] = {
            "wall_s": round(self.at.wall_s, 6),
            "mono_s": round(self.at.mono_s, 6),
            "station": self.station_id,
            "leg": self.leg,
            "way": self.way,
            "kind": self.kind,
        }
        if self.kind in LINK_KINDS:
            return {**record, "text": self.text, **(self.detail or {})}
        record |= {"action": self.action, "id": self.message_id, "did": self.did, "text": self.text, "hidden": self.hidden}
        return {**record, "waited_s": round(self.waited_s, 6)} if self.waited_s else record


@dataclass(frozen=True, slots=True)
class _Asked:
    """A CALL whose answer is to come. ours: nobody else asked. secret: it held one, so its answer may repeat it."""

    action: str
    ours: bool
    secret: bool


@dataclass(frozen=True, slots=True)
class _Came:
    """A frame that came in: on which leg, when, and its text."""

    leg: str
    mono_s: float
    digest: int


class _Memory:
    """What is remembered of one station, bounded.

    calls: (leg, came in or went out, message id) -> the CALL. came: (kind, message id) -> the newest such frame.
    """

    def __init__(self) -> None:
        self.calls: OrderedDict[tuple[str, bool, str], _Asked] = OrderedDict()
        self.came: OrderedDict[tuple[str, str], _Came] = OrderedDict()

    def asked(self, leg: str, incoming: bool, message_id: str, asked: _Asked) -> None:
        _keep(self.calls, (leg, incoming, message_id), asked)

    def arrived(self, kind: str, message_id: str, came: _Came) -> None:
        _keep(self.came, (kind, message_id), came)


def _keep(table: OrderedDict[Any, Any], key: Any, value: Any) -> None:
    table.pop(key, None)
    table[key] = value
    if len(table) > CALLS_KEPT:
        table.popitem(last=False)


@dataclass(frozen=True, slots=True)
class Wires:
    """What was so before the reader began. versions: (name, leg) -> the subprotocol of that connection, where it is known; of a CSMS's
    leg that is not named here it is the station's. depots: identities of depot faces. translated: (station id) -> whether its CSMS is told now
    in other words."""

    versions: dict[tuple[str, str], str] = field(default_factory=dict)
    depots: frozenset[str] = frozenset()
    translated: Callable[[str], bool] = lambda station_id: False


class Reader:
    """Reads step after step."""

    def __init__(self, wires: Wires, max_bytes: int = rpc.MAX_BYTES) -> None:
        self._wires = wires
        self._max_bytes = max_bytes
        self._connected = dict(wires.versions)
        self._memories: dict[str, _Memory] = {}

    def read(self, fact: Fact, orders: Sequence[Order]) -> Iterator[Seen]:
        """What a fact and the orders that followed from it put on the wires, in that order."""
        if isinstance(fact, StationFrame):
            yield self._came_in(fact.at, fact.station_id, STATION, fact.text, orders)
        elif isinstance(fact, UpstreamFrame):
            yield self._came_in(fact.at, fact.station_id, _leg(fact.mirror_id), fact.text, orders)
        elif (link := self._link_fact(fact)) is not None:
            yield link
        for order in orders:
            if isinstance(order, SendStation):
                at_once = isinstance(fact, StationFrame) and fact.station_id == order.station_id
                yield self._went_out(fact.at, order.station_id, STATION, order.text, at_once)
            elif isinstance(order, SendUpstream):
                at_once = isinstance(fact, UpstreamFrame) and fact.station_id == order.station_id
                yield self._went_out(fact.at, order.station_id, _leg(order.mirror_id), order.text, at_once)
            elif (link := _link_order(fact.at, order)) is not None:
                yield link

    # -- frames ---------------------------------------------------------------------------------

    def _came_in(self, at: Stamp, station_id: str, leg: str, text: str, orders: Sequence[Order]) -> Seen:
        memory = self._memory(station_id)
        seen, asked = self._decoded(at, station_id, leg, text, incoming=True)
        if seen.kind in ("CALL", "SEND"):
            memory.asked(leg, True, seen.message_id, _Asked(seen.action, False, seen.hidden))
        if seen.message_id:
            memory.arrived(_family(seen.kind), seen.message_id, _Came(leg, at.mono_s, hash(text)))
        did = self._fate(seen, text, asked, orders)
        return replace(seen, did=self._in_other_words(seen, did))

    def _in_other_words(self, seen: Seen, did: str) -> str:
        """What became of a frame on a leg whose other side speaks other words: it never goes on as it is."""
        if not self._other_words(seen.station_id, seen.leg) or did not in ("held", "waits", "ours", "changed", "dropped"):
            return did
        if seen.kind in ("CALL", "SEND"):
            return "translated"
        return "translated" if is_translated(seen.message_id) and not self._own(seen) else did

    def _other_words(self, station_id: str, leg: str) -> bool:
        if station_id in self._wires.depots:
            return True
        return leg in (STATION, CSMS) and self._wires.translated(station_id)

    def _own(self, seen: Seen) -> bool:
        return seen.station_id in self._wires.depots and seen.action in OWN_WORDS

    def _fate(self, seen: Seen, text: str, asked: _Asked | None, orders: Sequence[Order]) -> str:
        """What became of a frame in the very step in which it came."""
        mine = [order for order in orders if getattr(order, "station_id", "") == seen.station_id]
        sent = [(_leg_of(order), order.text) for order in mine if isinstance(order, SendStation | SendUpstream)]
        if any(isinstance(order, Persist) and any(row.station_id == seen.station_id for row in order.rows) for order in orders):
            return "held"
        primary = [leg for leg, other in sent if other == text.removeprefix("\ufeff") and leg != seen.leg]
        if primary:
            return "relayed"
        if seen.kind in ("RESULT", "ERROR"):
            return ("ours" if asked.ours else "dropped" if not sent else "changed") if asked is not None else "dropped"
        heads = [(leg, _head(other)) for leg, other in sent]
        if any(leg == seen.leg and head == ("answer", seen.message_id) for leg, head in heads):
            return "answered" if seen.leg == STATION else "intercepted"
        if any(leg != seen.leg and head == ("call", seen.message_id) for leg, head in heads):
            return "changed"
        return "dropped" if seen.kind != "CALL" else "waits"

    def _went_out(self, at: Stamp, station_id: str, leg: str, text: str, at_once: bool) -> Seen:
        """at_once: in the very step in which something came in on this leg."""
        memory = self._memory(station_id)
        seen, _ = self._decoded(at, station_id, leg, text, incoming=False)
        came = memory.came.get((_family(seen.kind), seen.message_id))
        if came is not None and came.leg == leg:
            came = None
        call = seen.kind in ("CALL", "SEND")
        did = ("ours" if call else "answered") if came is None else "relayed" if came.digest == hash(text) else "changed"
        if call:
            memory.asked(leg, False, seen.message_id, _Asked(seen.action, came is None, seen.hidden))
        if came is None and self._other_words(station_id, leg) and (is_translated(seen.message_id) and not self._own(seen) if call else not at_once):
            did = "translated"
        return replace(seen, did=did, waited_s=at.mono_s - came.mono_s if came is not None else 0.0)

    def _decoded(self, at: Stamp, station_id: str, leg: str, text: str, *, incoming: bool) -> tuple[Seen, _Asked | None]:
        """The record without what was done, and the CALL that an answer belongs to."""
        way = UP if incoming == (leg == STATION) else DOWN
        version = self._version(station_id, leg)
        try:
            frame = rpc.parse(text, version=version or "ocpp2.1", max_bytes=self._max_bytes)
        except rpc.FrameError as error:
            shown = broken_view(text)
            return Seen(at, station_id, leg, way, "BROKEN", "", _known_id(error), text=shown, hidden=True, incoming=incoming), None
        asked: _Asked | None = None
        if isinstance(frame, rpc.Call | rpc.Send):
            action = frame.action
        else:
            # The answer to what came in goes out, and the other way round.
            asked = self._memory(station_id).calls.get((leg, not incoming, frame.message_id))
            action = asked.action if asked is not None else ""
        shown, hidden = _redacted(dialect_for(version), frame, action, asked)
        return Seen(at, station_id, leg, way, KINDS[type(frame)], action, frame.message_id, text=shown, hidden=hidden, incoming=incoming), asked

    # -- connections ----------------------------------------------------------------------------

    def _link_fact(self, fact: Fact) -> Seen | None:
        match fact:
            case StationConnected(at, station_id, _, version, address, tail):
                self._connected[(station_id, STATION)] = version
                self._memories.pop(station_id, None)
                detail = {"version": version, "path": tail.partition("?")[0]}  # a query may hold a password
                return Seen(at, station_id, STATION, UP, "OPENED", text=address, detail=detail)
            case StationClosed(at, station_id, _, reason):
                return Seen(at, station_id, STATION, UP, "CLOSED", text=reason)
            case StationRefused(at, station_id, address, reason):
                return Seen(at, station_id, STATION, UP, "REFUSED", text=f"{address}: {reason}")
            case UpstreamOpened(at, station_id, _, version, mirror_id):
                self._connected[(station_id, _leg(mirror_id))] = version
                return Seen(at, station_id, _leg(mirror_id), DOWN, "OPENED", detail={"version": version})
            case UpstreamClosed(at, station_id, _, reason, _, mirror_id):
                return Seen(at, station_id, _leg(mirror_id), DOWN, "CLOSED", text=reason)
        return None

    # -- small things -----------------------------------------------------------------------------

    def _version(self, station_id: str, leg: str) -> str:
        """What is spoken on a leg. A CSMS's own where it may be another one: a password must be known for one in its words, too."""
        return self._connected.get((station_id, leg)) or self._connected.get((station_id, STATION), "")

    def _memory(self, station_id: str) -> _Memory:
        return self._memories.setdefault(station_id, _Memory())


def _link_order(at: Stamp, order: Order) -> Seen | None:
    match order:
        case DialUpstream():
            detail = {"offered": list(order.offered), "upstream": order.upstream_id}
            return Seen(at, order.station_id, _leg(order.mirror_id), UP, "DIALLED", detail=detail, incoming=False)
        case CloseStation():
            return Seen(at, order.station_id, STATION, DOWN, "HANGUP", text=order.reason, detail={"code": order.code}, incoming=False)
        case CloseUpstream():
            return Seen(at, order.station_id, _leg(order.mirror_id), UP, "HANGUP", text=order.reason, incoming=False)
    return None


def _leg(mirror_id: str) -> str:
    return f"mirror:{mirror_id}" if mirror_id else CSMS


def _leg_of(order: SendStation | SendUpstream) -> str:
    return STATION if isinstance(order, SendStation) else _leg(order.mirror_id)


def _family(kind: str) -> str:
    """CALLs and answers may bear the same id at the same time."""
    return "call" if kind in ("CALL", "SEND") else "answer"


_HEAD: Final = re.compile(r'\s*\[\s*([2-6])\s*,\s*"((?:[^"\\]|\\.){1,36})"')


def _head(text: str) -> tuple[str, str]:
    """(call or answer, message id) of a frame we send; cheap, for these are well-formed."""
    head = _HEAD.match(text)
    if head is None:
        return "", ""
    return "call" if head[1] in "26" else "answer", head[2]


def _known_id(error: rpc.FrameError) -> str:
    return "" if error.message_id == rpc.UNREADABLE_ID else error.message_id


def _redacted(dialect: Dialect | None, frame: rpc.Frame, action: str, asked: _Asked | None) -> tuple[str, bool]:
    """(text fit to be shown, whether something was hidden)."""
    if isinstance(frame, rpc.Error | rpc.ResultError):
        # An error text may repeat what was asked ("abc is no valid key").
        plain = asked is not None and not asked.secret
        return (frame.text, False) if plain else (_frame_text(frame, [frame.code, HIDDEN, {}]), True)
    head = [frame.action] if isinstance(frame, rpc.Call | rpc.Send) else []
    if dialect is None or not action:
        return _frame_text(frame, [*head, {HIDDEN: HIDDEN}]), True
    try:
        payload = dialect.redacted(action, frame.payload)
    except Exception:  # a defect in telling what is secret must not show it
        payload = {HIDDEN: HIDDEN}
    if asked is not None and asked.secret:
        payload = _without_words(payload)
    return (frame.text, False) if payload == frame.payload else (_frame_text(frame, [*head, payload]), True)


def _without_words(value: Any) -> Any:
    """An answer's payload without free text, which may repeat what was asked."""
    if isinstance(value, list):
        return [_without_words(item) for item in value]
    if isinstance(value, dict):
        return {key: HIDDEN if key in ("additionalInfo", "customData", "data") else _without_words(item) for key, item in value.items()}
    return value


_NUMBERS: Final = {rpc.Call: 2, rpc.Result: 3, rpc.Error: 4, rpc.ResultError: 5, rpc.Send: 6}


def _frame_text(frame: rpc.Frame, rest: list[Any]) -> str:
    return json.dumps([_NUMBERS[type(frame)], frame.message_id, *rest], separators=(",", ":"), ensure_ascii=False)


def broken_view(text: str) -> str:
    """What may be shown of a frame that cannot be read: its head, values of texts hidden, escaped and cut.

    One that may hold a password is not shown at all: without its structure nobody can tell where in it.
    """
    plain = _ESCAPE.sub(lambda found: chr(int(found[1], 16)), text)
    if _SUSPECT.search(plain):
        return f"({len(text)} characters that cannot be read and may hold a secret)"
    shown = _VALUE.sub(r"\1…\3", text[:BROKEN_CHARS])
    return shown + (f"… ({len(text)} characters)" if len(text) > BROKEN_CHARS else "")
