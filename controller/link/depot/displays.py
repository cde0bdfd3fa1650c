"""Messages on displays (O01-O06): of a transaction at its charger, of one EVSE at its charger, all others at every charger that has a display.

A message for the site stands there until it is cleared or its end is past, also at a charger that is away now. Ids are the CSMS's, one
space for the depot: the same id again replaces the message wherever it is (O06).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from controller.link.depot.addresses import down
from controller.link.depot.asking import (
    UNKNOWN_EVSE,
    UNKNOWN_TX,
    UNSUPPORTED,
    Heard,
    ask_each,
    ask_in_time,
    configured,
    info,
    named,
    refused,
    relayed,
)
from controller.link.depot.gathering import Gathering
from controller.link.depot.office import Card, FromCsms, FromStation, Office, Quiet
from controller.link.depot.renumber import OutsideError, numbered_up
from controller.link.depot.running import station_of
from controller.link.depot.standing import Standing
from controller.ocpp.hub import Conversation, Failed, Keep, Message, Payload, Said
from controller.ocpp.times import wall_time

SET: Final = "SetDisplayMessage"
CLEAR: Final = "ClearDisplayMessage"
KEY: Final = "disp:"
"""disp:<id> -> the one station that has the message; those of the site are ``standing``."""
MOST: Final = 1000
"""Messages of single stations that are remembered."""


class Displays(Quiet):
    """SetDisplayMessage, GetDisplayMessages with its report, ClearDisplayMessage."""

    def __init__(self, office: Office) -> None:
        self._office = office
        self._standing = Standing(office, "displays")
        self._reports = Gathering(office, "NotifyDisplayMessages", lambda page, number, more: {**page, "tbc": more})
        self._seen: dict[int, set[int]] = {}

    def of_csms(self) -> Mapping[str, FromCsms]:
        """All three."""
        return {SET: self._set, "GetDisplayMessages": self._get, CLEAR: self._clear}

    def of_station(self) -> Mapping[str, FromStation]:
        """The report."""
        return {"NotifyDisplayMessages": self._page}

    def station_changed(self, card: Card) -> list[Conversation]:
        """It may be back."""
        return [*self._standing.station_changed(card), *self._reports.station_changed(card)]

    def tick(self) -> list[Conversation]:
        """Reports go on; messages whose end is past are nobody's any more."""
        now_wall_s = self._office.now().wall_s
        for slot, payload in self._standing.slots().items():
            ends = wall_time(payload["message"].get("endDateTime"))
            if ends is not None and ends <= now_wall_s:
                self._standing.forget(slot)
        self._seen = {down_id: seen for down_id, seen in self._seen.items() if self._reports.knows(down_id)}
        return [*self._standing.tick(), *self._reports.tick()]

    # -- set ----------------------------------------------------------------------------------------------

    def _set(self, message: Message) -> Conversation:
        shown: Payload = message.payload["message"]
        if shown.get("transactionId") is not None:
            card = station_of(self._office, shown["transactionId"])
            if card is None:
                return refused("UnknownTransaction", UNKNOWN_TX, f"no transaction {shown['transactionId']} runs here")
            return (yield from self._at_one(card, shown))
        display = shown.get("display")
        if isinstance(display, dict):
            place = down(self._office.numbering, self._office.cards, display)
            card = self._office.cards.get(place[0]) if place is not None else None
            if place is None or card is None:
                return refused("Rejected", UNKNOWN_EVSE, "there is no such display")
            return (yield from self._at_one(card, {**shown, "display": place[1]}))
        return (yield from self._at_all(shown))

    def _at_one(self, card: Card, shown: Payload) -> Conversation:
        heard = yield from ask_in_time(card, SET, {"message": shown})
        if heard.status == "Accepted":
            before = self._office.memory.get(f"{KEY}{shown['id']}")
            self._remember(shown["id"], card.station_id)
            yield Keep()
            yield from self._elsewhere(shown["id"], before, card.station_id)
        return relayed(heard, "Rejected")

    def _remember(self, message_id: int, station_id: str) -> None:
        known = [key for key, _ in self._office.memory.starting(KEY)]
        for key in known[: max(0, len(known) - MOST)]:
            self._office.memory.put(key, None)
        self._office.memory.put(f"{KEY}{message_id}", station_id)

    def _elsewhere(self, message_id: int, before: Any, station_id: str) -> Conversation:
        """The same id has been shown at other places: it is replaced (O06)."""
        slot = str(message_id)
        if slot in self._standing.slots():
            self._standing.set(slot, CLEAR, {"id": message_id}, gone=True)
            self._standing.spare(slot, station_id)
        elif isinstance(before, str) and before != station_id:
            slot = f"clear:{message_id}:{before}"
            self._standing.set(slot, CLEAR, {"id": message_id}, only=before, once=True)
        else:
            return Said({})
        yield Keep()
        yield from self._standing.everywhere(slot)
        yield Keep()
        return Said({})

    def _at_all(self, shown: Payload) -> Conversation:
        if self._standing.full:
            return refused("Rejected", "OutOfStorage", "too many messages; clear some first")
        slot = str(shown["id"])
        yield from self._standing.declare(slot, SET, {"message": shown})
        self._office.memory.put(f"{KEY}{shown['id']}", None)
        heard = yield from self._standing.everywhere(slot)
        taken = [one for one in heard if one.status == "Accepted"]
        asked = [one for one in heard if not one.away]
        if asked and not taken:
            self._standing.forget(slot)
        yield Keep()
        if asked and not taken:
            return _no(asked)
        missing = [one for one in heard if one.status != "Accepted"]
        return Said({"status": "Accepted", **(info("PartlyDone", named(missing)) if missing else {})})

    # -- clear ----------------------------------------------------------------------------------------------

    def _clear(self, message: Message) -> Conversation:
        message_id = message.payload["id"]
        slot, at = str(message_id), self._office.memory.get(f"{KEY}{message_id}")
        if slot in self._standing.slots():
            yield from self._standing.declare(slot, CLEAR, message.payload, gone=True)
            yield from self._standing.everywhere(slot)
            yield Keep()
            return Said({"status": "Accepted"})
        card = self._office.cards.get(at) if isinstance(at, str) else None
        cards = [card] if card is not None else list(self._office.linked())
        heard = yield from ask_each([(card, CLEAR, message.payload) for card in cards])
        if any(one.status == "Accepted" for one in heard):
            self._office.memory.put(f"{KEY}{message_id}", None)
            yield Keep()
            return Said({"status": "Accepted"})
        return relayed(heard[0], "Unknown") if card is not None else Said({"status": "Unknown"})

    # -- reports --------------------------------------------------------------------------------------------

    def _get(self, message: Message) -> Conversation:
        cards = [card for card in configured(self._office) if card.linked]
        down_id = self._reports.begin(message.payload["requestId"], [card.station_id for card in cards])
        heard = yield from ask_each([(card, message.action, {**message.payload, "requestId": down_id}) for card in cards])
        with_some = [one.station_id for one in heard if one.status == "Accepted"]
        if not with_some:
            self._reports.drop(down_id)
            return Said({"status": "Unknown"})
        self._reports.expect(down_id, with_some)
        self._reports.start(down_id)
        return Said({"status": "Accepted"})

    def _page(self, station_id: str, message: Message) -> Conversation:
        """A message for the whole site is reported by each charger that shows it, and goes up once."""
        infos = message.payload.get("messageInfo") or []
        seen = self._seen.setdefault(message.payload.get("requestId", -1), set())
        mine = [shown for shown in infos if shown.get("id") not in seen]
        seen.update(shown["id"] for shown in mine if str(shown.get("id")) in self._standing.slots())
        try:
            pages = [{"messageInfo": [self._up(station_id, shown) for shown in mine]}] if mine else []
        except OutsideError as outside:
            return Failed("PropertyConstraintViolation", str(outside))
        return (yield from self._reports.page(station_id, message, pages))

    def _up(self, station_id: str, shown: Payload) -> Payload:
        """A message in the depot's words; the display of a message for the whole site is no charger's."""
        if str(shown.get("id")) in self._standing.slots():
            return {key: value for key, value in shown.items() if key != "display"}
        if "display" in shown:
            return {**shown, "display": numbered_up(self._office, station_id, {"component": shown["display"]})["component"]}
        return shown


def _no(asked: list[Heard]) -> Said:
    """The most telling of the refusals: one that says more than no."""
    said = next((one for one in asked if one.status not in ("", "Rejected")), None) or next((one for one in asked if one.status), None)
    return refused(said.status, "Unspecified", named(asked)) if said is not None else refused("Rejected", UNSUPPORTED, named(asked))
