"""UnlockConnector (F05): the charger of the connector does it."""

from __future__ import annotations

from collections.abc import Mapping

from controller.link.depot.asking import UNKNOWN_EVSE, ask_in_time, place_of, refused, relayed
from controller.link.depot.office import FromCsms, Office, Quiet
from controller.ocpp.hub import Conversation, Message


class Unlocking(Quiet):
    """UnlockConnector."""

    def __init__(self, office: Office) -> None:
        self._office = office

    def of_csms(self) -> Mapping[str, FromCsms]:
        """UnlockConnector."""
        return {"UnlockConnector": self._unlock}

    def _unlock(self, message: Message) -> Conversation:
        place = place_of(self._office, message.payload.get("evseId"))
        if place is None:
            return refused("UnknownConnector", UNKNOWN_EVSE, f"there is no EVSE {message.payload.get('evseId')}")
        heard = yield from ask_in_time(place[0], message.action, {**message.payload, "evseId": place[1]})
        return relayed(heard, "UnlockFailed")
