"""Plug and charge towards a 1.6 CSMS: messages of 2.0.1 inside DataTransfer, vendor org.openchargealliance.iso15118pnc (OCPP-NOTES 9).

data is the 2.0.1 message as JSON text. A CSMS that does not know the vendor says so, and the station gets its version's own "no". It is
asked once per connection; after that the answer is known.
"""

from __future__ import annotations

import json
from typing import Any, Final

from controller.ocpp.hub import Ask, Conversation, Failed, Message, Payload, Said
from controller.ocpp.v16.csms_desk import Desk, Talk, answer_of, status_of, table, text

VENDOR: Final = "org.openchargealliance.iso15118pnc"
INNER: Final = "ocpp2.0.1"
OF_CSMS: Final = ("CertificateSigned", "DeleteCertificate", "GetInstalledCertificateIds", "InstallCertificate", "TriggerMessage")
"""What such a CSMS may ask of the station in this way."""


class Pnc:
    """deaf: the CSMS has said that it does not know the vendor; forgotten when the line opens anew."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self.deaf = False

    def ask(self, action: str, payload: Payload, otherwise: Payload) -> Talk:
        """Ask the CSMS; ``otherwise`` is the answer where it cannot be asked."""
        if self.deaf:
            return Said(otherwise)
        inner = self._desk.around.fit(INNER, action, False, payload)
        data = json.dumps(inner, separators=(",", ":"), ensure_ascii=False)
        reply = answer_of((yield self._desk.call("DataTransfer", {"vendorId": VENDOR, "messageId": action, "data": data})))
        self.deaf = status_of(reply) == "UnknownVendorId"
        found = _parsed(reply.payload.get("data")) if isinstance(reply, Said) and status_of(reply) == "Accepted" else None
        return Said(otherwise if found is None else found)

    def of_csms(self, message: Message) -> Conversation:
        """A DataTransfer of the CSMS under this vendor."""
        action, inner = text(message.payload.get("messageId")), _parsed(message.payload.get("data"))
        if action not in OF_CSMS:
            return Said({"status": "UnknownMessageId"})
        if inner is None:
            return Said({"status": "Rejected"})
        reply = answer_of((yield Ask(action, inner)))
        if isinstance(reply, Failed):
            return Said({"status": "Rejected"})
        answer = self._desk.around.fit(INNER, action, True, reply.payload)
        return Said({"status": "Accepted", "data": json.dumps(answer, separators=(",", ":"), ensure_ascii=False)})


def _parsed(data: Any) -> Payload | None:
    """The object in a DataTransfer; None if there is none. Some send it as an object (16.12)."""
    if isinstance(data, str):
        try:
            data = json.loads(data)
        except (ValueError, RecursionError):
            return None
    return table(data) if isinstance(data, dict) else None
