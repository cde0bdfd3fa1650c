"""What each charger says about itself: its whole device model, asked in the background and kept.

After a charger is linked it is asked for its FullInventory (B07), one charger after the other; what does not know that
is asked for the ConfigurationInventory. The reports are put together by requestId and seqNo and kept in the charger's own
words. On disk they lie packed and only when something else than a value has changed: values are read anew after a restart.
Never more than so many variables of one charger (``share_of``): one bad station must not fill the memory.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from controller.link.depot.addresses import Name, down, is_cut, name_of
from controller.link.depot.inventory_entries import Entries, Index, Reading, index_of, packed, shape_of, share_of, unpacked
from controller.link.depot.office import Card, Office
from controller.ocpp.hub import Ask, Conversation, Emit, Failed, Keep, Message, Rest, Said, answered
from controller.orders import Severity, Tell

Payload = dict[str, Any]

PREFIX: Final = "model:inventory:"
SETTLE_S: Final = 5.0
"""After its link is open a charger has other things to say first."""
SILENCE_S: Final = 30.0
"""A report that does not go on for so long has ended."""
WHOLE_S: Final = 600.0
"""One that has not ended by then will not: the other chargers want their turn."""
UNPACKED_AT_ONCE: Final = 8_000
"""Packed letters that one second unpacks after a start; at least one inventory."""
AGAIN_S: Final = (60.0, 300.0, 3600.0)
"""Waits after failures; the last one is repeated."""
NOT_THIS: Final = "NotSupported"
KEPT_S: Final = 3600.0
"""A charger that comes back, or whose CSMS does, is not asked again within this time unless it has booted another software."""
FRESH_S: Final = 600.0
"""Older inventories are asked anew before they are reported."""


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
        self._collecting: dict[str, Reading] = {}
        self._turns: dict[str, _Turn] = {}
        self._indexes: dict[str, Index] = {}
        self._busy = False
        self.version = 0  # rises with every change of what is known

    # -- reading -------------------------------------------------------------------------------------------

    def of(self, station_id: str) -> Entries:
        """What a charger has reported, in its own words; {} = nothing yet."""
        if station_id not in self._entries:
            self._enter(station_id, unpacked(self._office.memory.get(PREFIX + station_id)))
        return self._entries[station_id]

    def index(self, station_id: str) -> Index:
        """Where to look something up."""
        self.of(station_id)
        return self._indexes[station_id]

    def _enter(self, station_id: str, entries: Entries) -> None:
        self._entries[station_id] = entries
        self._indexes[station_id] = index_of(self._office.numbering, station_id, entries)
        self.version += 1

    def at_hand(self, station_id: str) -> bool:
        """Whether a charger's inventory can be looked at without work: after a start they are unpacked little by little."""
        return station_id in self._entries

    @property
    def ready(self) -> bool:
        """Whether all are at hand."""
        return all(station_id in self._entries for station_id in self._office.cards)

    def has(self, station_id: str, component: Payload, variable: Payload) -> bool:
        """Whether a charger has reported a variable (its own words)."""
        return name_of(component, variable) in self.of(station_id)

    def value(self, station_id: str, component: str, variable: str, instance: str = "") -> str | None:
        """The Actual value of a variable of the whole charger as last heard."""
        return self.of(station_id).actual(Name(component.casefold(), "", 0, 0, variable.casefold(), instance.casefold()))

    def most(self, station_id: str, variable: str, instance: str, component: str = "DeviceDataCtrlr") -> int | None:
        """A positive limit the charger has stated, e.g. ItemsPerMessage[GetVariables]."""
        stated = self.value(station_id, component, variable, instance) or self.value(station_id, component, variable)
        return int(stated) if stated is not None and stated.isdecimal() and 0 < int(stated) < 10**9 else None

    def locate(self, component: Payload) -> tuple[str, Payload] | None:
        """(station id, component in its words) of a component in the depot's words; None = it is of no charger."""
        if not component.get("evse") and is_cut(str(component.get("instance") or "")):
            key = (str(component.get("name", "")).casefold(), str(component["instance"]).casefold())
            for station_id in self._office.cards:
                found = self.index(station_id).cut.get(key)
                if found is not None:
                    return station_id, found
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
        if attributes != entry["variableAttribute"]:
            self._entries[station_id].put(name, {**entry, "variableAttribute": attributes})
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
        """At most one charger is asked at a time. After a start a few inventories are unpacked each second: all at once would hold up the loop."""
        self._unpack_some()
        now_s = self._office.now().mono_s
        due = [card.station_id for card in self._office.linked() if self._turn(card).due_mono_s <= now_s]
        if self._busy or not due:
            return []
        self._busy = True
        return [self._background(due[0])]

    def _unpack_some(self) -> None:
        letters = 0
        for station_id in self._office.cards:
            if station_id not in self._entries:
                letters += len(str(self._office.memory.get(PREFIX + station_id) or ""))
                self.of(station_id)
                if letters >= UNPACKED_AT_ONCE:
                    return

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
            job.page(payload)
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
        now_s = self._office.now().mono_s
        job = Reading(self._office.number(), now_s, now_s, share_of(len(self._office.cards)))
        self._collecting[station_id] = job
        yield Keep()  # a number that was used never comes again: pages of an old report would count as this one's
        reply = yield Ask("GetBaseReport", {"requestId": job.request_id, "reportBase": base}, to=station_id)
        if isinstance(reply, Failed) or reply is None:
            return reply or Failed("GenericError", "no answer")
        if reply.payload.get("status") != "Accepted":
            return Failed(NOT_THIS, f"{base}: {reply.payload.get('status')}")
        job.heard_mono_s = self._office.now().mono_s
        while not job.complete:
            now_s = self._office.now().mono_s
            if now_s - job.heard_mono_s > SILENCE_S or now_s - job.begun_mono_s > WHOLE_S or not self._office.cards[station_id].linked:
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

    def _take(self, station_id: str, job: Reading) -> None:
        shape = job.shape()
        if shape != shape_of(self._office.memory.get(PREFIX + station_id)):
            self._office.memory.put(PREFIX + station_id, packed(job.entries, shape))
        self._enter(station_id, job.entries)
