"""A CSMS that speaks OCPP 1.6 with the security whitepaper, shown to the hub: it can serve any station, or a whole depot.

WIRE is the CSMS, HUB the station. The work is cut by idea into the csms_* modules; here is only who answers what. What a station
says and 1.6 cannot hear is in ``csms_answers.REFUSED``, what a 1.6 CSMS may ask is all of 1.6; an action it should not know is NotImplemented.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from controller.ocpp.hub import Ask, Conversation, Failed, Message, Payload, Said, Surroundings, answered
from controller.ocpp.v16 import words
from controller.ocpp.v16.csms_answers import REFUSED, local_answer
from controller.ocpp.v16.csms_commands import Commands
from controller.ocpp.v16.csms_configuration import Configuration
from controller.ocpp.v16.csms_desk import UNKNOWN, Desk, Handler, answer_of, status_of, table, text
from controller.ocpp.v16.csms_files import Files
from controller.ocpp.v16.csms_pnc import VENDOR, Pnc
from controller.ocpp.v16.csms_profiles import Profiles
from controller.ocpp.v16.csms_states import States
from controller.ocpp.v16.csms_transactions import Transactions

__all__ = ["REFUSED", "CsmsSide16"]

TRANSFER_STATUSES: Final = ("Accepted", "Rejected", "UnknownMessageId", "UnknownVendorId")


class CsmsSide16:
    """See ``hub.Side``."""

    def __init__(self, around: Surroundings) -> None:
        self._desk = desk = Desk(around)
        self._states = States(desk)
        self._transactions = Transactions(desk, self._states)
        self._profiles = Profiles(desk, self._transactions)
        self._pnc = Pnc(desk)
        files, configuration = Files(desk, self._pnc), Configuration(desk)
        commands = Commands(desk, self._states, self._transactions, self._profiles, files)
        self._of_csms: Mapping[str, Handler] = {
            **commands.handlers(),
            **self._profiles.handlers(),
            **configuration.handlers(),
            **files.of_csms(),
            "DataTransfer": self._transfer_down,
        }
        self._of_station: Mapping[str, Handler] = {
            **files.of_station(),
            "BootNotification": self._boot,
            "Heartbeat": self._heartbeat,
            "Authorize": self._authorize,
            "StatusNotification": self._states.status_notification,
            "NotifyEvent": self._states.notify_event,
            "MeterValues": self._transactions.meter_values,
            "TransactionEvent": self._event,
            "NotifyReport": configuration.reported,
            "DataTransfer": self._transfer_up,
            "Get15118EVCertificate": self._contract,
            "GetCertificateStatus": self._contract,
        }

    # -- the contract ---------------------------------------------------------------------------------------

    def said(self, message: Message) -> Conversation:
        """A CALL of the CSMS in 1.6 words."""
        handler = self._of_csms.get(message.action)
        return answered(Failed("NotImplemented", f"{message.action} is not known here")) if handler is None else handler(message)

    def asked(self, message: Message) -> Conversation:
        """A CALL or SEND of the station in hub words."""
        handler = self._of_station.get(message.action)
        if handler is not None:
            return handler(message)
        local = local_answer(message.action, message.payload, self._desk.time)
        known = Failed("NotSupported", f"{message.action} cannot be said in OCPP 1.6") if local is None else Said(local)
        return answered(known)

    def opened(self) -> list[Conversation]:
        """The CSMS is there: what it has not heard goes up as the line allows."""
        self._desk.is_open, self._pnc.deaf = True, False
        self._states.opened()
        return []

    def closed(self) -> list[Conversation]:
        """The CSMS is gone."""
        self._desk.is_open = False
        return []

    def tick(self) -> list[Conversation]:
        """Statuses that waited."""
        return self._states.tick()

    # -- what the station says -------------------------------------------------------------------------------

    def _boot(self, message: Message) -> Conversation:
        """Fields are cut to 1.6's lengths; after a yes the station's own status goes up (16 4.2)."""
        station = table(message.payload.get("chargingStation"))
        modem = table(station.get("modem"))
        told: Payload = {
            "chargePointVendor": (text(station.get("vendorName")) or "unknown")[:20],
            "chargePointModel": (text(station.get("model")) or "unknown")[:20],
            "chargePointSerialNumber": text(station.get("serialNumber"))[:25] or None,
            "firmwareVersion": text(station.get("firmwareVersion"))[:50] or None,
            "iccid": text(modem.get("iccid"))[:20] or None,
            "imsi": text(modem.get("imsi"))[:20] or None,
        }
        reply = answer_of((yield self._desk.call("BootNotification", words.without_none(told))))
        if isinstance(reply, Failed):
            return reply
        self._desk.accepted = status_of(reply) == "Accepted"
        if self._desk.accepted:
            yield from self._states.tell(0)
        interval_s = words.whole(reply.payload.get("interval"))
        return Said(
            {
                "currentTime": self._desk.time(reply.payload.get("currentTime")),
                "interval": max(0, interval_s or 0),
                "status": status_of(reply) if status_of(reply) in ("Accepted", "Pending") else "Rejected",
            }
        )

    def _heartbeat(self, message: Message) -> Conversation:
        reply = answer_of((yield self._desk.call("Heartbeat", {})))
        return reply if isinstance(reply, Failed) else Said({"currentTime": self._desk.time(reply.payload.get("currentTime"))})

    def _authorize(self, message: Message) -> Conversation:
        """A contract certificate that the station cannot check itself is a matter of the plug and charge paper; no 1.6 word for it (C07)."""
        payload = message.payload
        if "certificate" in payload or "iso15118CertificateHashData" in payload:
            no = {"idTokenInfo": {"status": "Invalid"}, "certificateStatus": "NoCertificateAvailable"}
            return (yield from self._pnc.ask("Authorize", payload, no))
        tag = yield from self._desk.tag(payload.get("idToken"))
        if isinstance(tag, Failed):
            return tag
        reply = answer_of((yield self._desk.call("Authorize", {"idTag": tag.payload["idTag"]})))
        if isinstance(reply, Failed):
            return reply
        return Said({"idTokenInfo": self._desk.aliases.token_info(reply.payload.get("idTagInfo"))})

    def _event(self, message: Message) -> Conversation:
        """A TransactionEvent; when it was the last one, the TxProfiles at its connector are gone."""
        reply = yield from self._transactions.event(message)
        if message.payload.get("eventType") == "Ended" and isinstance(reply, Said):
            connector_id = self._transactions.connector_of(table(message.payload.get("transactionInfo")).get("transactionId"))
            if not self._transactions.at(connector_id):
                self._profiles.ended(connector_id)
        return reply

    def _contract(self, message: Message) -> Conversation:
        otherwise = local_answer(message.action, message.payload, self._desk.time) or {}
        return (yield from self._pnc.ask(message.action, message.payload, otherwise))

    # -- DataTransfer -------------------------------------------------------------------------------------------

    def _transfer_up(self, message: Message) -> Conversation:
        """data is text in 1.6: anything else goes as its JSON, and comes back as what it was."""
        payload, data = message.payload, message.payload.get("data")
        told: Payload = {name: payload[name] for name in ("vendorId", "messageId") if name in payload}
        as_text = data is None or isinstance(data, str)
        if data is not None:
            told["data"] = data if as_text else json.dumps(data, separators=(",", ":"), ensure_ascii=False)
        reply = answer_of((yield self._desk.call("DataTransfer", told)))
        if isinstance(reply, Failed):
            return Said({"status": "UnknownVendorId"}) if reply.code in UNKNOWN else reply
        back = reply.payload.get("data")
        found = back if as_text else _unpacked(back)
        return Said({"status": _transfer_status(reply.payload), **({} if found is None else {"data": found})})

    def _transfer_down(self, message: Message) -> Conversation:
        payload = message.payload
        if payload.get("vendorId") == VENDOR:
            return (yield from self._pnc.of_csms(message))
        request: Payload = {name: payload[name] for name in ("vendorId", "messageId", "data") if name in payload}
        reply = answer_of((yield Ask("DataTransfer", request)))
        if isinstance(reply, Failed):
            return Said({"status": "UnknownVendorId"}) if reply.code in UNKNOWN else reply
        back = reply.payload.get("data")
        told = back if back is None or isinstance(back, str) else json.dumps(back, separators=(",", ":"), ensure_ascii=False)
        return Said({"status": _transfer_status(reply.payload), **({} if told is None else {"data": told})})


def _transfer_status(payload: Payload) -> str:
    status = payload.get("status")
    return status if isinstance(status, str) and status in TRANSFER_STATUSES else "Rejected"


def _unpacked(data: Any) -> Any:
    """What a JSON text holds; the text itself if it is none."""
    if not isinstance(data, str):
        return data
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return data
