"""Payments (C20-C25, 2.1): NotifyWebPaymentStarted goes to the charger of the EVSE; a VAT number's EVSE is renumbered both ways.

NotifySettlement passes by itself (``through``).
"""

from __future__ import annotations

from collections.abc import Mapping

from controller.link.depot.asking import UNKNOWN_EVSE, ask_one, numbered, place_of
from controller.link.depot.office import FromCsms, FromStation, Office, Quiet
from controller.ocpp.hub import Ask, Conversation, Failed, Message, Said


class Payments(Quiet):
    """NotifyWebPaymentStarted, VatNumberValidation."""

    def __init__(self, office: Office) -> None:
        self._office = office

    def of_csms(self) -> Mapping[str, FromCsms]:
        """NotifyWebPaymentStarted."""
        return {"NotifyWebPaymentStarted": self._started}

    def of_station(self) -> Mapping[str, FromStation]:
        """VatNumberValidation."""
        return {"VatNumberValidation": self._vat}

    def _started(self, message: Message) -> Conversation:
        place = place_of(self._office, message.payload["evseId"])
        if place is None:
            return Failed("PropertyConstraintViolation", f"{UNKNOWN_EVSE}: there is no EVSE {message.payload['evseId']}")
        return (yield from ask_one(place[0], message.action, {**message.payload, "evseId": place[1]})).reply

    def _vat(self, station_id: str, message: Message) -> Conversation:
        own = message.payload.get("evseId")
        number = numbered(self._office, station_id, own)
        if own and number is None:
            return Failed("PropertyConstraintViolation", f"{UNKNOWN_EVSE}: EVSE {own} of {station_id} is not in the site file")
        reply = yield Ask(message.action, {**message.payload, **({"evseId": number} if own else {})})
        if isinstance(reply, Said) and "evseId" in reply.payload:
            return Said({**reply.payload, "evseId": own or 0})
        return reply if reply is not None else Said({})
