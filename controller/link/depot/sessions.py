"""Charging sessions of all chargers under the depot's one identity.

A TransactionEvent keeps its seqNo, its time and its offline flag; it gets the depot's EVSE number, and another transactionId where
the station's is not unique (``transactions``). It is answered with what the CSMS says, never before: until then it is the
charger's session that keeps it. GetTransactionStatus counts every queue there is (E14, trap 10).
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import Any, Final

from controller.facts import EvseKey
from controller.link.depot import limits, reserved
from controller.link.depot.asking import ask_everyone
from controller.link.depot.office import FromCsms, FromStation, Office, Payload, Quiet
from controller.link.depot.renumber import token_info_down
from controller.ocpp.hub import Ask, Conversation, Emit, Failed, Keep, Message, Reply, Said, Step
from controller.orders import Severity, Tell

TRIM_EACH_S: Final = 3600.0
MOST_EVSES: Final = 99
"""As many as the site file can name."""


class Sessions(Quiet):
    """Owns ``Card.transactions``: own EVSE number -> the depot's transactionId."""

    def __init__(self, office: Office) -> None:
        self._office = office
        self._trimmed_mono_s = office.now().mono_s
        for depot_id, place in office.transactions.running():
            card = office.cards.get(place.station_id)
            if card is not None and place.evse_id:
                card.transactions[place.evse_id] = depot_id

    def of_csms(self) -> Mapping[str, FromCsms]:
        """GetTransactionStatus."""
        return {"GetTransactionStatus": self._status}

    def of_station(self) -> Mapping[str, FromStation]:
        """TransactionEvent."""
        return {"TransactionEvent": self._event}

    # -- the chargers' events ----------------------------------------------------------------------------

    def _event(self, station_id: str, message: Message) -> Conversation:
        payload = message.payload
        info = payload.get("transactionInfo")
        own_id = info.get("transactionId") if isinstance(info, dict) else None
        if not isinstance(info, dict) or not isinstance(own_id, str) or not own_id:
            return Failed("OccurrenceConstraintViolation", "a TransactionEvent without transactionId")
        evse_id = _evse_of(payload)
        number = yield from self._number(station_id, evse_id)
        depot_id = yield from self._identity(station_id, own_id, payload, evse_id)
        self._running(station_id, depot_id, payload)
        upward = {**payload, "transactionInfo": {**info, "transactionId": depot_id}}
        if number:
            upward["evse"] = {**payload["evse"], "id": number}
        reply = yield Ask("TransactionEvent", limits.dressed(self._office, upward))
        assert reply is not None
        if isinstance(reply, Failed):
            return reply
        reserved.used(self._office, payload)
        ended = payload.get("eventType") == "Ended"
        if ended:
            self._office.transactions.ended(depot_id)
        if limits.heard(self._office, upward, reply.payload) or ended:
            yield Keep()  # the charger forgets the message with its answer: nobody would tell us again
        return Said(token_info_down(self._office, station_id, reply.payload))

    def _number(self, station_id: str, evse_id: int) -> Generator[Step, Reply | None, int]:
        """The depot's number of the EVSE, 0 if the event names none. One that the site file does not know gets a number now: it earns money."""
        if not evse_id:
            return 0
        number = self._office.numbering.of(station_id, evse_id)
        if number is None and evse_id <= MOST_EVSES:
            self._office.numbering.settle((EvseKey(station_id, evse_id),))
            number = self._office.numbering.of(station_id, evse_id)
            yield Keep()
            text = f"a session runs at EVSE {evse_id}, which the site file does not have: it is EVSE {number} for the CSMS - add it to site.yaml"
            yield Emit(Tell(Severity.WARNING, station_id, text))
        return number or 0

    def _identity(self, station_id: str, own_id: str, payload: Payload, evse_id: int) -> Generator[Step, Reply | None, str]:
        transactions = self._office.transactions
        started = str(payload.get("timestamp", "")) if payload.get("eventType") == "Started" else ""
        depot_id = transactions.heard(station_id, own_id, started, evse_id)
        yield Keep()  # an id the CSMS has heard of must never be given away again; and no event overtakes another that waits for the disk
        return depot_id

    def _running(self, station_id: str, depot_id: str, payload: Payload) -> None:
        card = self._office.cards.get(station_id)
        place = self._office.transactions.place(depot_id)
        if card is None or place is None or not place.evse_id:
            return
        if payload.get("eventType") == "Ended":
            if card.transactions.get(place.evse_id) == depot_id:
                del card.transactions[place.evse_id]
        elif not payload.get("offline") or place.evse_id not in card.transactions:
            card.transactions[place.evse_id] = depot_id

    # -- the CSMS's question ---------------------------------------------------------------------------------

    def _status(self, message: Message) -> Conversation:
        depot_id = message.payload.get("transactionId")
        if not isinstance(depot_id, str):
            waits = self._office.waiting("", "") > 0 or (yield from self._said_by_any())
            return Said({"messagesInQueue": waits})
        place = self._office.transactions.place(depot_id)
        if place is None:
            return Said({"ongoingIndicator": False, "messagesInQueue": False})
        card = self._office.cards.get(place.station_id)
        ongoing = card is not None and depot_id in card.transactions.values()
        waits = self._office.waiting(place.station_id, place.own_id) > 0
        if waits or card is None or not card.linked:
            return Said({"ongoingIndicator": ongoing, "messagesInQueue": waits})
        reply = yield Ask("GetTransactionStatus", {"transactionId": depot_id}, to=place.station_id)
        if isinstance(reply, Said):
            told = reply.payload
            return Said({"ongoingIndicator": bool(told.get("ongoingIndicator", ongoing)), "messagesInQueue": bool(told.get("messagesInQueue"))})
        return Said({"ongoingIndicator": ongoing, "messagesInQueue": False})

    def _said_by_any(self) -> Generator[Step, Reply | None, bool]:
        """Whether any charger has something in its own queue; all are asked at once, so that one that hangs costs no more than its own answer."""
        heard = yield from ask_everyone(self._office, "GetTransactionStatus", {})
        return any(one.payload.get("messagesInQueue") is True for one in heard)

    def tick(self) -> list[Conversation]:
        """Now and then the oldest are forgotten."""
        now_mono_s = self._office.now().mono_s
        if now_mono_s - self._trimmed_mono_s >= TRIM_EACH_S:
            self._trimmed_mono_s = now_mono_s
            self._office.transactions.trim()
        return []


def _evse_of(payload: Payload) -> int:
    evse: Any = payload.get("evse")
    number = evse.get("id") if isinstance(evse, dict) else None
    return number if isinstance(number, int) and not isinstance(number, bool) and number > 0 else 0
