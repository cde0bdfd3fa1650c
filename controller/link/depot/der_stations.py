"""DER controls at the chargers of a depot: who can execute what, what each has been given, and what they report back.

SetDERControl names no EVSE: a control is for the whole depot, and so goes to every 2.1 charger whose DCDERCtrlr or ACDERCtrlr lists its
type in ModesSupported. Each charger gets it unchanged, with its own priority and time, under an id that is used at that charger only,
so that it executes it also while Yardmaster is away. What a charger shall have, and what it shall no longer have, is kept on disk
until it has said so: one that comes later gets it then.

memory, per control: {station: {"id", "sent", "on"}}; per station: its modes, and ids to be cleared.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

from controller.link.depot.der_bodies import BODY_OF
from controller.link.depot.der_store import Control, DerStore
from controller.link.depot.office import Card, Office
from controller.ocpp.hub import Ask, Conversation, Emit, Failed, Keep, Reply, Said
from controller.orders import Severity, Tell

Payload = dict[str, Any]

MODES: Final = "der:modes:"
AT: Final = "der:at:"
GONE: Final = "der:gone:"
VERSION: Final = "ocpp2.1"
AGAIN_S: Final = 30.0
"""A charger that gave no answer is asked again after this [s]."""
MOST_AT_ONCE: Final = 4
"""Variables asked for in one CALL: any station takes so many."""
COMPONENTS: Final = ("DCDERCtrlr", "ACDERCtrlr")
NOT_TAKEN: Final = frozenset(
    {
        *("NotSupported", "NotImplemented", "FormatViolation", "PropertyConstraintViolation", "TypeConstraintViolation"),
        *("OccurrenceConstraintViolation", "SecurityError", "ProtocolError"),
    }
)
"""Error codes that another try does not change."""


class DerStations:
    """What the chargers have. office: the desk; store: the depot's controls."""

    def __init__(self, office: Office, store: DerStore) -> None:
        self._office, self._store = office, store
        self._memory = office.memory
        self._asked: set[str] = set()
        self._visited: set[str] = set()
        self._again_mono_s: dict[str, float] = {}

    # -- who can what --------------------------------------------------------------------------------------

    def modes(self, station_id: str) -> frozenset[str]:
        """Types of control a charger said it executes, when it was asked last."""
        return frozenset(self._memory.get(MODES + station_id) or ())

    def capable(self, control_type: str) -> list[str]:
        """Configured chargers that execute a type."""
        return [card.station_id for card in self._office.cards.values() if card.configured and control_type in self.modes(card.station_id)]

    def types(self) -> frozenset[str]:
        """Every type that some charger executes."""
        return frozenset(word for card in self._office.cards.values() if card.configured for word in self.modes(card.station_id))

    # -- what each shall have --------------------------------------------------------------------------------

    def plan(self, control: Control) -> None:
        """A new control, or another one under a known id: every capable charger shall have it."""
        had = self._entries(control.control_id)
        able = self.capable(control.control_type)
        for station_id in had.keys() - set(able):
            self._clear_at(station_id, had[station_id]["id"], control.default)
        entries = {one: {"id": had[one]["id"] if one in had else self._office.fresh(), "sent": False, "on": None} for one in able}
        self._memory.put(AT + control.control_id, entries or None)

    def drop(self, controls: Iterable[Control]) -> None:
        """Controls that were cleared: no charger shall have them any more."""
        for control in controls:
            for station_id, entry in self._entries(control.control_id).items():
                self._clear_at(station_id, entry["id"], control.default)
            self.forget(control.control_id)

    def forget(self, control_id: str) -> None:
        """A control that has ended everywhere by itself."""
        self._memory.put(AT + control_id, None)

    def _clear_at(self, station_id: str, own_id: str, default: bool) -> None:
        gone = [one for one in self._memory.get(GONE + station_id) or () if one[0] != own_id]
        self._memory.put(GONE + station_id, [*gone, [own_id, default]])

    def _entries(self, control_id: str) -> dict[str, dict[str, Any]]:
        return dict(self._memory.get(AT + control_id) or {})

    def _mark(self, control_id: str, station_id: str, **news: Any) -> None:
        entries = self._entries(control_id)
        if station_id in entries:
            self._memory.put(AT + control_id, {**entries, station_id: {**entries[station_id], **news}})

    def has(self, control: Control, station_id: str) -> bool:
        """Whether a charger shall execute a control (it may not have it yet)."""
        return self._entries(control.control_id).get(station_id, {}).get("sent") not in (None, "refused")

    # -- what they report ----------------------------------------------------------------------------------------

    def heard(self, station_id: str, own_id: Any, started: bool) -> str | None:
        """A charger has started or ended a control; the depot's id of it, None if it is none of ours."""
        for key, entries in self._memory.starting(AT):
            if isinstance(own_id, str) and entries.get(station_id, {}).get("id") == own_id:
                control_id = key.removeprefix(AT)
                self._mark(control_id, station_id, on=started)
                return control_id
        return None

    def still_on(self, control_id: str) -> bool:
        """Whether a charger that is there has started a control and not ended it."""
        cards = self._office.cards
        return any(entry["on"] is True and one in cards and cards[one].linked for one, entry in self._entries(control_id).items())

    # -- visits ------------------------------------------------------------------------------------------------------

    def changed(self, card: Card) -> None:
        """A charger that comes back may have changed."""
        if not card.linked:
            self._asked.discard(card.station_id)
            self._again_mono_s.pop(card.station_id, None)

    def visits(self) -> Iterator[Conversation]:
        """What is to be said to chargers now: one conversation for each that has something to hear."""
        now = self._office.now().mono_s
        for card in self._office.linked():
            station_id = card.station_id
            if card.version != VERSION or station_id in self._visited or now < self._again_mono_s.get(station_id, now):
                continue
            if station_id not in self._asked or self._memory.get(GONE + station_id) or self._missing(station_id):
                self._visited.add(station_id)
                yield self._visit(card)

    def _visit(self, card: Card) -> Conversation:
        station_id = card.station_id
        try:
            well = True
            if station_id not in self._asked:
                well = yield from self._learn(card)
            well = well and (yield from self._clear(station_id))
            well = well and (yield from self._give(station_id))
            if not well:
                self._again_mono_s[station_id] = self._office.now().mono_s + AGAIN_S
        finally:
            self._visited.discard(station_id)
        return Said({})

    def _learn(self, card: Card) -> Any:
        """Ask what it can do; False = no answer."""
        evses = [{"id": evse.id} for evse in card.config.evses] if card.config is not None else []
        places: list[Payload] = [{}, *({"evse": evse} for evse in evses)]
        items = [{"component": {"name": name, **place}, "variable": {"name": "ModesSupported"}} for place in places for name in COMPONENTS]
        found: set[str] = set()
        for first in range(0, len(items), MOST_AT_ONCE):
            reply = yield Ask("GetVariables", {"getVariableData": items[first : first + MOST_AT_ONCE]}, to=card.station_id)
            if isinstance(reply, Failed) and reply.code not in NOT_TAKEN:
                return False
            found |= _modes_in(reply)
        self._asked.add(card.station_id)
        self._memory.put(MODES + card.station_id, sorted(found) or None)
        return True

    def _clear(self, station_id: str) -> Any:
        """What it shall no longer have; False = no answer."""
        for own_id, default in list(self._memory.get(GONE + station_id) or ()):
            reply = yield Ask("ClearDERControl", {"isDefault": default, "controlId": own_id}, to=station_id)
            if _silent(reply):
                return False
            left = [one for one in self._memory.get(GONE + station_id) or () if one[0] != own_id]
            self._memory.put(GONE + station_id, left or None)
            yield Keep()
        return True

    def _missing(self, station_id: str) -> list[Control]:
        """What it shall have and does not, in the order in which the CSMS sent it."""
        modes = self.modes(station_id)
        now = self._office.now()
        return [
            control
            for control in (self._store.all() if modes else ())
            if control.control_type in modes
            and not control.superseded
            and (control.end_wall_s > now.wall_s or not now.wall_trusted)
            and not self._entries(control.control_id).get(station_id, {}).get("sent")
        ]

    def _give(self, station_id: str) -> Any:
        """What it shall have; False = no answer."""
        for control in self._missing(station_id):
            entries = self._entries(control.control_id)
            if station_id not in entries:
                entries[station_id] = {"id": self._office.fresh(), "sent": False, "on": None}
                self._memory.put(AT + control.control_id, entries)
            yield Keep()  # the id is on disk before the charger knows it
            reply = yield Ask("SetDERControl", _request(control, entries[station_id]["id"]), to=station_id)
            if _silent(reply):
                return False
            status = reply.payload.get("status") if isinstance(reply, Said) else getattr(reply, "code", "")
            self._mark(control.control_id, station_id, sent=True if status == "Accepted" else "refused")
            yield Keep()
            if status != "Accepted":
                yield Emit(Tell(Severity.WARNING, station_id, _refusal(control, status)))
        return True


def _request(control: Control, own_id: str) -> Payload:
    names = {"isDefault": control.default, "controlId": own_id, "controlType": control.control_type}
    return {**names, BODY_OF[control.control_type]: control.body}


def _refusal(control: Control, status: Any) -> str:
    return (
        f"the charger did not take the DER control {control.control_id} ({control.control_type}): {status} - the CSMS was told it is accepted, "
        "as the depot keeps it; look at the charger's DER settings"
    )


def _silent(reply: Reply | None) -> bool:
    return reply is None or (isinstance(reply, Failed) and reply.code not in NOT_TAKEN)


def _modes_in(reply: Reply | None) -> set[str]:
    """Types listed in the accepted answers of a GetVariables."""
    results = reply.payload.get("getVariableResult") if isinstance(reply, Said) else None
    found: set[str] = set()
    for item in results if isinstance(results, list) else []:
        if isinstance(item, dict) and item.get("attributeStatus") == "Accepted" and isinstance(item.get("attributeValue"), str):
            found |= {word.strip() for word in item["attributeValue"].split(",")[:64]}
    return found & BODY_OF.keys()
