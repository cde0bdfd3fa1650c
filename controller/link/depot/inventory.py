"""What each charger says about itself: its whole device model, asked in the background and kept.

After a charger is linked it is asked for its FullInventory (B07), one charger after the other; what does not know that
is asked for the ConfigurationInventory. The reports are put together by requestId and seqNo and kept in the charger's own
words. On disk they lie packed and only when something else than a value has changed: values are read anew after a restart.
Never more than ``MOST_VARIABLES`` of one charger: one bad station must not fill the memory.
"""

from __future__ import annotations

import base64
import json
import zlib
from dataclasses import dataclass, field
from typing import Any, Final

from controller.link.depot.addresses import Name, down, is_cut, name_of, up
from controller.link.depot.office import Card, Office
from controller.ocpp.hub import Ask, Conversation, Emit, Failed, Keep, Message, Rest, Said, answered
from controller.orders import Severity, Tell

Payload = dict[str, Any]
Entries = dict[Name, Payload]
"""Name in the charger's own words -> an element of reportData."""

PREFIX: Final = "model:inventory:"
MOST_VARIABLES: Final = 4000
SETTLE_S: Final = 5.0
"""After its link is open a charger has other things to say first."""
SILENCE_S: Final = 30.0
"""A report that does not go on for so long has ended."""
AGAIN_S: Final = (60.0, 300.0, 3600.0)
"""Waits after failures; the last one is repeated."""
NOT_THIS: Final = "NotSupported"
KEPT_S: Final = 3600.0
"""A charger that comes back, or whose CSMS does, is not asked again within this time unless it has booted another software."""
FRESH_S: Final = 600.0
"""Older inventories are asked anew before they are reported."""


@dataclass(slots=True)
class _Collecting:
    request_id: int
    heard_mono_s: float
    pages: dict[int, list[Payload]] = field(default_factory=dict)
    last: int | None = None

    @property
    def complete(self) -> bool:
        return self.last is not None and all(page in self.pages for page in range(self.last + 1))


@dataclass(slots=True)
class _Turn:
    """When a charger is asked next. boot: the block it was asked under; another one means another software."""

    due_mono_s: float
    failures: int = 0
    asked_mono_s: float | None = None
    boot: Payload | None = None


class Inventories:
    """Of all chargers. Memory: "model:inventory:<station id>" -> the packed reports."""

    def __init__(self, office: Office) -> None:
        self._office = office
        self._entries: dict[str, Entries] = {}
        self._collecting: dict[str, _Collecting] = {}
        self._turns: dict[str, _Turn] = {}
        self._cut: dict[tuple[str, str], tuple[str, Payload]] = {}
        self._index_of: dict[str, dict[tuple[str, str, str], list[tuple[Name, Payload]]]] = {}
        self._busy = False
        self.version = 0  # rises with every change of what is known

    # -- reading -------------------------------------------------------------------------------------------

    def of(self, station_id: str) -> Entries:
        """What a charger has reported, in its own words; {} = nothing yet."""
        if station_id not in self._entries:
            self._entries[station_id] = _unpacked(self._office.memory.get(PREFIX + station_id))
            self._index(station_id)
        return self._entries[station_id]

    def index(self, station_id: str) -> dict[tuple[str, str, str], list[tuple[Name, Payload]]]:
        """(component, variable, its instance), in small letters -> the entries of a charger on whatever tier."""
        entries = self.of(station_id)
        if station_id not in self._index_of:
            found: dict[tuple[str, str, str], list[tuple[Name, Payload]]] = {}
            for name in entries:
                found.setdefault((name.component, name.variable, name.variable_instance), []).append((name, entries[name]))
            self._index_of[station_id] = found
        return self._index_of[station_id]

    def has(self, station_id: str, component: Payload, variable: Payload) -> bool:
        """Whether a charger has reported a variable (its own words)."""
        return name_of(component, variable) in self.of(station_id)

    def value(self, station_id: str, component: str, variable: str, instance: str = "") -> str | None:
        """The Actual value of a variable of the whole charger as last heard."""
        entry = self.of(station_id).get(Name(component.casefold(), "", 0, 0, variable.casefold(), instance.casefold()))
        return actual(entry) if entry is not None else None

    def most(self, station_id: str, variable: str, instance: str, component: str = "DeviceDataCtrlr") -> int | None:
        """A positive limit the charger has stated, e.g. ItemsPerMessage[GetVariables]."""
        stated = self.value(station_id, component, variable, instance) or self.value(station_id, component, variable)
        return int(stated) if stated is not None and stated.isdecimal() and 0 < int(stated) < 10**9 else None

    def locate(self, component: Payload) -> tuple[str, Payload] | None:
        """(station id, component in its words) of a component in the depot's words; None = it is of no charger."""
        if not component.get("evse") and is_cut(str(component.get("instance") or "")):
            for station_id in self._office.cards:
                self.of(station_id)
            found = self._cut.get((str(component.get("name", "")).casefold(), str(component["instance"]).casefold()))
            if found is not None:
                return found
        return down(self._office.numbering, self._office.cards, component)

    def note(self, station_id: str, component: Payload, variable: Payload, attribute: str, value: str) -> None:
        """A value the charger has told or taken since."""
        name = name_of(component, variable)
        entry = self.of(station_id).get(name)
        if entry is None:
            return
        attributes = [
            {**one, "value": value} if one.get("type", "Actual") == attribute and one.get("mutability") != "WriteOnly" else one
            for one in entry["variableAttribute"]
        ]
        self._entries[station_id][name] = {**entry, "variableAttribute": attributes}
        self._index_of.pop(station_id, None)
        self.version += 1

    # -- asking --------------------------------------------------------------------------------------------

    def changed(self, card: Card) -> None:
        """A card has changed: a charger that is new here or has booted is asked (again)."""
        turn, now_s = self._turns.get(card.station_id), self._office.now().mono_s
        if not card.linked:
            return
        old = turn is not None and turn.asked_mono_s is not None and now_s - turn.asked_mono_s > KEPT_S
        if turn is None or old or (turn.boot is not None and turn.boot != card.boot):
            self._turns[card.station_id] = _Turn(now_s + SETTLE_S)

    def tick(self) -> list[Conversation]:
        """At most one charger is asked at a time. After a start, one inventory a second is unpacked: all at once would hold up the loop."""
        if (packed := next((station_id for station_id in self._office.cards if station_id not in self._entries), None)) is not None:
            self.of(packed)
        now_s = self._office.now().mono_s
        due = [card.station_id for card in self._office.linked() if self._turn(card).due_mono_s <= now_s]
        if self._busy or not due:
            return []
        self._busy = True
        return [self._background(due[0])]

    def refresh(self, station_id: str) -> Conversation:
        """Ask a charger anew if what is known is old; Said({}) when it is fresh, Failed when the old one must do."""
        card = self._office.cards.get(station_id)
        if card is None or not card.linked:
            return Failed("GenericError", f"{station_id} is not connected")
        asked_s = self._turn(card).asked_mono_s
        now_s = self._office.now().mono_s
        if asked_s is not None and now_s - asked_s < FRESH_S:
            return Said({})
        if self._turn(card).failures and self._turn(card).due_mono_s > now_s:
            return Failed("GenericError", f"{station_id} did not tell its device model a moment ago")
        while station_id in self._collecting:  # it is being asked already
            yield Rest(1.0)
            if station_id not in self._collecting:
                return Said({})
        return (yield from self._collect(station_id))

    def reported(self, station_id: str, message: Message) -> Conversation:
        """A charger's NotifyReport; one that we have not asked for is answered and not kept."""
        payload = message.payload
        job = self._collecting.get(station_id)
        if job is not None and payload.get("requestId") == job.request_id:
            job.heard_mono_s = self._office.now().mono_s
            if sum(map(len, job.pages.values())) < MOST_VARIABLES:
                job.pages[int(payload.get("seqNo", 0))] = [item for item in payload.get("reportData") or [] if isinstance(item, dict)]
            else:
                job.pages[int(payload.get("seqNo", 0))] = []
            if not payload.get("tbc", False):
                job.last = int(payload.get("seqNo", 0))
        return answered(Said({}))

    def _turn(self, card: Card) -> _Turn:
        return self._turns.setdefault(card.station_id, _Turn(self._office.now().mono_s + SETTLE_S))

    def _background(self, station_id: str) -> Conversation:
        try:
            if station_id in self._collecting:
                return Said({})
            return (yield from self._collect(station_id))
        finally:
            self._busy = False

    def _collect(self, station_id: str) -> Conversation:
        turn = self._turn(self._office.cards[station_id])
        why = ""
        try:
            for base in ("FullInventory", "ConfigurationInventory"):
                reply = yield from self._one(station_id, base)
                if isinstance(reply, Said):
                    self._done(station_id, turn, True)
                    yield Keep()
                    return reply
                why = reply.description
                if reply.code != NOT_THIS:
                    break
            self._done(station_id, turn, False)
            if turn.failures == 1:
                yield Emit(Tell(Severity.INFO, station_id, f"its device model could not be read ({why}) - what was known is shown"))
            return Failed("GenericError", "its device model could not be read")
        finally:
            self._collecting.pop(station_id, None)

    def _one(self, station_id: str, base: str) -> Conversation:
        job = _Collecting(self._office.number(), self._office.now().mono_s)
        self._collecting[station_id] = job
        reply = yield Ask("GetBaseReport", {"requestId": job.request_id, "reportBase": base}, to=station_id)
        if isinstance(reply, Failed) or reply is None:
            return reply or Failed("GenericError", "no answer")
        if reply.payload.get("status") != "Accepted":
            return Failed(NOT_THIS, f"{base}: {reply.payload.get('status')}")
        job.heard_mono_s = self._office.now().mono_s
        while not job.complete:
            if self._office.now().mono_s - job.heard_mono_s > SILENCE_S or not self._office.cards[station_id].linked:
                return Failed("GenericError", "its report did not end")
            yield Rest(1.0)
        self._take(station_id, job)
        return Said({})

    def _done(self, station_id: str, turn: _Turn, well: bool) -> None:
        now_s = self._office.now().mono_s
        turn.failures = 0 if well else turn.failures + 1
        turn.due_mono_s = float("inf") if well else now_s + AGAIN_S[min(turn.failures, len(AGAIN_S)) - 1]
        if well:
            turn.asked_mono_s, turn.boot = now_s, dict(self._office.cards[station_id].boot)

    def _take(self, station_id: str, job: _Collecting) -> None:
        items = [item for _, page in sorted(job.pages.items()) for item in page][:MOST_VARIABLES]
        entries: Entries = {}
        for item in filter(_readable, items):
            name = name_of(item["component"], item["variable"])
            entries[name] = _merged(entries.get(name), item)
        if _shape(entries) != _shape(self.of(station_id)):
            self._office.memory.put(PREFIX + station_id, _packed(entries))
        self._entries[station_id] = entries
        self._index(station_id)

    def _index(self, station_id: str) -> None:
        self._index_of.pop(station_id, None)
        self.version += 1
        self._cut = {key: found for key, found in self._cut.items() if found[0] != station_id}
        for entry in self._entries[station_id].values():
            shown = up(self._office.numbering, station_id, entry["component"])
            instance = str((shown or {}).get("instance") or "")
            if shown is not None and not shown.get("evse") and is_cut(instance):
                self._cut[shown["name"].casefold(), instance.casefold()] = (station_id, entry["component"])


def actual(entry: Payload) -> str | None:
    """The Actual value of an element of reportData; None = it has none."""
    found = [one.get("value") for one in entry["variableAttribute"] if one.get("type", "Actual") == "Actual"]
    return found[0] if found and isinstance(found[0], str) else None


def _readable(item: Payload) -> bool:
    parts = (item.get("component"), item.get("variable"))
    attributes = item.get("variableAttribute")
    named = all(isinstance(part, dict) and isinstance(part.get("name"), str) for part in parts)
    return named and isinstance(attributes, list) and bool(attributes) and all(isinstance(one, dict) for one in attributes)


def _merged(old: Payload | None, new: Payload) -> Payload:
    """Some stations report the attributes of one variable in several elements."""
    if old is None:
        return new
    kinds = {one.get("type", "Actual") for one in new["variableAttribute"]}
    kept = [one for one in old["variableAttribute"] if one.get("type", "Actual") not in kinds]
    return {**old, **new, "variableAttribute": [*kept, *new["variableAttribute"]][:4]}


def _shape(entries: Entries) -> str:
    """Everything but the values."""
    bare = [{**entry, "variableAttribute": [{**one, "value": ""} for one in entry["variableAttribute"]]} for entry in entries.values()]
    return json.dumps(bare, sort_keys=True)


def _packed(entries: Entries) -> str:
    text = json.dumps(list(entries.values()), separators=(",", ":"))
    return base64.b85encode(zlib.compress(text.encode(), 6)).decode()


def _unpacked(stored: Any) -> Entries:
    """What ``_packed`` gave; what cannot be read is as good as nothing, it will be asked again."""
    try:
        items = json.loads(zlib.decompress(base64.b85decode(stored))) if isinstance(stored, str) else []
    except (ValueError, zlib.error):
        items = []
    return {name_of(item["component"], item["variable"]): item for item in items if isinstance(item, dict) and _readable(item)}
