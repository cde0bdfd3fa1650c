"""The local authorisation list of the depot (D01, D02): kept here as the CSMS sends it, and brought to every charger.

The CSMS's "Accepted" means that the depot has the list on disk; its version is the depot's own. Chargers follow: at once when they are linked,
else when they are back. A charger that has exactly the version before gets the update as it came, any other gets the whole list; in pieces of
what it says it takes in one message. A charger that connects is asked for its version first: it may be another box. One that cannot or will not
take the list is named in the event log and tried again when it reconnects: while the CSMS is away, the depot's own list and the CSMS's earlier
answers decide there.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import Any, Final

from controller.link.depot.asking import BY_POLICY, Asking, ask_one, configured, info, kept, refused, tell
from controller.link.depot.list_book import Book
from controller.link.depot.office import Card, FromCsms, Office, Quiet
from controller.ocpp.hub import Ask, Conversation, Keep, Message, Payload, Reply, Said, Step, answered
from controller.orders import Severity

MOST_ENTRIES: Final = 20_000
PIECE: Final = 100
"""Entries in one message to a charger that does not say how many it takes."""
AGAIN_S: Final = 60.0
ITEMS: Final = {"component": {"name": "LocalAuthListCtrlr"}, "variable": {"name": "ItemsPerMessage"}}


class Lists(Quiet):
    """SendLocalList, GetLocalListVersion."""

    def __init__(self, office: Office) -> None:
        self._office = office
        self._book = Book(office.memory)
        self._busy: set[str] = set()
        self._again_mono_s: dict[str, float] = {}
        self._refused: dict[str, int] = {}
        self._checked: set[str] = set()

    def of_csms(self) -> Mapping[str, FromCsms]:
        """Both."""
        return {"SendLocalList": self._send, "GetLocalListVersion": self._version}

    def lookup(self, token: Payload) -> Payload | None:
        """idTokenInfo of a driver on the depot's list, None for any other."""
        return self._book.lookup(token)

    def _version(self, message: Message) -> Conversation:
        return answered(Said({"versionNumber": self._book.version}))

    # -- the CSMS sends it ------------------------------------------------------------------------------

    def _send(self, message: Message) -> Conversation:
        if self._office.policy.local_list == "refuse":
            return refused("Failed", BY_POLICY, "this site keeps no list of the CSMS (depot.local_list)")
        version, full = message.payload["versionNumber"], message.payload["updateType"] == "Full"
        entries = message.payload.get("localAuthorizationList") or []
        if version < 1:
            return refused("Failed", "ValueTooLow", "the version of a list is above 0")
        if not full and version <= self._book.version:
            return Said({"status": "VersionMismatch"})
        if _doubled(entries):
            return refused("Failed", "InvalidValue", "the same idToken stands in the list twice")
        if full and any("idTokenInfo" not in entry for entry in entries):
            return refused("Failed", "InvalidValue", "a full list has idTokenInfo in each entry")
        if self._book.size_after(entries, full) > MOST_ENTRIES:
            return refused("Failed", "TooManyElements", f"more than {MOST_ENTRIES} entries")
        yield from kept(self._office, self._book.update(version, entries, full))
        self._refused.clear()
        away = [card.station_id for card in configured(self._office) if not card.linked]
        return Said({"status": "Accepted", **(info("NoError", f"chargers that get it when they are back: {', '.join(away)}") if away else {})})

    # -- the chargers follow -------------------------------------------------------------------------------

    def station_changed(self, card: Card) -> list[Conversation]:
        """It may be back, with an older list."""
        if not card.linked:
            self._again_mono_s.pop(card.station_id, None)
            self._refused.pop(card.station_id, None)
            self._checked.discard(card.station_id)
            return []
        return self._follow(card)

    def tick(self) -> list[Conversation]:
        """Those that are behind are brought up to date."""
        if not self._book.version:
            return []
        return [talk for card in self._office.linked() for talk in self._follow(card)]

    def _follow(self, card: Card) -> list[Conversation]:
        name = card.station_id
        if not self._book.version or not card.configured or name in self._busy or self._refused.get(name) == self._book.version:
            return []
        if (self._book.has(name) and name in self._checked) or self._again_mono_s.get(name, 0.0) > self._office.now().mono_s:
            return []
        self._busy.add(name)
        return [self._bring(card)]

    def _bring(self, card: Card) -> Generator[Step, Reply | None, Reply]:
        name = card.station_id
        self._again_mono_s[name] = self._office.now().mono_s + AGAIN_S
        try:
            yield from self._check(card)
            if self._book.has(name):
                self._again_mono_s.pop(name, None)
                return Said({})
            piece = yield from self._piece(card)
            version, update = self._book.version, self._book.update_for(name, piece)
            if update is not None:
                heard = yield from ask_one(card, "SendLocalList", update)
                if heard.status == "Accepted":
                    return (yield from self._taken(name, version, update["versionNumber"]))
            version, number = self._book.version, 0
            for message in list(self._book.whole_for(piece)):
                heard = yield from ask_one(card, "SendLocalList", message)
                if heard.status != "Accepted":
                    return (yield from self._not_taken(name, version, heard.away, heard.words))
                number = message["versionNumber"]
            return (yield from self._taken(name, version, number))
        finally:
            self._busy.discard(name)

    def _check(self, card: Card) -> Asking[None]:
        """Once per connection: whether it still has what we think it has."""
        if card.station_id in self._checked or not self._book.own(card.station_id):
            self._checked.add(card.station_id)
            return
        heard = yield from ask_one(card, "GetLocalListVersion", {})
        if heard.payload.get("versionNumber", self._book.own(card.station_id)) != self._book.own(card.station_id):
            self._book.taken(card.station_id, 0, 0)
        if not heard.away:
            self._checked.add(card.station_id)

    def _taken(self, name: str, version: int, number: int) -> Conversation:
        self._book.taken(name, version, number)
        self._again_mono_s.pop(name, None)
        yield Keep()
        return Said({})

    def _not_taken(self, name: str, version: int, away: bool, words: str) -> Conversation:
        self._book.taken(name, 0, 0)
        if not away:
            self._refused[name] = version
            yield tell(self._office, Severity.WARNING, f"{name} does not take the local list of the CSMS (version {version}): {words}"[:400])
        return Said({})

    def _piece(self, card: Card) -> Asking[int]:
        """How many entries it takes in one message."""
        if self._book.largest() <= 1:
            return PIECE
        reply = yield Ask("GetVariables", {"getVariableData": [ITEMS]}, to=card.station_id)
        results: Any = reply.payload.get("getVariableResult") if isinstance(reply, Said) else None
        first = results[0] if isinstance(results, list) and results and isinstance(results[0], dict) else {}
        text = str(first.get("attributeValue", "")) if first.get("attributeStatus") == "Accepted" else ""
        return min(max(int(text), 1), 1000) if text.isdigit() else PIECE


def _doubled(entries: list[Payload]) -> bool:
    keys = [(str(entry["idToken"].get("idToken", "")).lower(), entry["idToken"].get("type")) for entry in entries]
    return len(set(keys)) != len(keys)
