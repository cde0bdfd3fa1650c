"""Plug and charge of a 1.6 station: messages of 2.0.1 inside DataTransfer, vendor org.openchargealliance.iso15118pnc (OCPP-NOTES 9).

data is the 2.0.1 message as JSON text. Contracts, their status and the driver's certificate go to the hub as what they are; V2G roots
and certificates come down the same way. A station that does not know the vendor is asked once until it boots.
"""

from __future__ import annotations

import json
from typing import Any, Final

from controller.ocpp.hub import NO_ANSWER, WIRE, Conversation, Failed, Payload, Said
from controller.ocpp.v16.station_state import Answer, StationState, ask

VENDOR: Final = "org.openchargealliance.iso15118pnc"
INNER: Final = "ocpp2.0.1"
HUB_WORDS: Final = "ocpp2.1"
OF_STATION: Final = ("Authorize", "Get15118EVCertificate", "GetCertificateStatus", "SignCertificate")
"""What a station may say in this way."""


class Pnc:
    """One station's."""

    def __init__(self, state: StationState) -> None:
        self._state, self._fit = state, state.around.fit

    def said(self, payload: Payload) -> Conversation:
        """A DataTransfer of the station under this vendor."""
        action, inner = str(payload.get("messageId", "")), parsed(payload.get("data"))
        if action not in OF_STATION:
            return Said({"status": "UnknownMessageId"})
        if inner is None:
            return Said({"status": "Rejected"})
        reply = yield from ask(action, self._fit(HUB_WORDS, action, False, inner))
        if isinstance(reply, Failed):
            return reply if reply == NO_ANSWER else Said({"status": "Rejected"})
        return Said({"status": "Accepted", "data": _text(self._fit(INNER, action, True, reply.payload))})

    def ask(self, action: str, payload: Payload, otherwise: Payload) -> Answer:
        """Ask the station; ``otherwise`` is the answer where it cannot be asked."""
        if not self._state.knows(VENDOR):
            return Said(otherwise)
        data = _text(self._fit(INNER, action, False, payload))
        reply = yield from ask("DataTransfer", {"vendorId": VENDOR, "messageId": action, "data": data}, WIRE)
        if isinstance(reply, Failed):
            return Said(otherwise) if reply != NO_ANSWER else reply
        if reply.payload.get("status") == "UnknownVendorId":
            self._state.unknown(VENDOR)
        found = parsed(reply.payload.get("data")) if reply.payload.get("status") == "Accepted" else None
        return Said(otherwise if found is None else self._fit(HUB_WORDS, action, True, found))


def parsed(data: Any) -> Payload | None:
    """The object in a DataTransfer, which some send as it is (16.12); None if there is none."""
    if isinstance(data, str):
        try:
            data = json.loads(data)
        except (ValueError, RecursionError):
            return None
    return data if isinstance(data, dict) else None


def _text(payload: Payload) -> str:
    return json.dumps(payload, separators=(",", ":"), ensure_ascii=False)
