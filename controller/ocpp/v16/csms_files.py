"""Firmware, logs, certificates and security events between a 1.6 CSMS and the hub, the security whitepaper's messages included (OCPP-NOTES 9, 10).

1.6 has each of these twice: an old form without a request id and the whitepaper's. A status goes up in the form of the
request it belongs to, so a CSMS that knows nothing of the whitepaper never meets it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from controller.ocpp.hub import Ask, Conversation, Failed, Keep, Message, Payload, Reply, Said
from controller.ocpp.v16 import words
from controller.ocpp.v16.csms_desk import UNKNOWN, Desk, Handler, answer_of, heard, status_of, table, tables, text
from controller.ocpp.v16.csms_pnc import Pnc

OLD: Final = "old"
NEW: Final = "new"
STATION_CERTIFICATE: Final = "ChargingStationCertificate"


class Files:
    """memory: "firmware" and "log" = [form, requestId] of the last request; "csr" = requestId of the last SignCertificate."""

    def __init__(self, desk: Desk, pnc: Pnc) -> None:
        self._desk, self._pnc = desk, pnc

    def of_csms(self) -> Mapping[str, Handler]:
        """CALLs of the CSMS."""
        return {
            "UpdateFirmware": self._update,
            "SignedUpdateFirmware": self._signed_update,
            "GetDiagnostics": self._diagnostics,
            "GetLog": self._log,
            "CertificateSigned": self._certificate_signed,
            "InstallCertificate": self._install,
            "DeleteCertificate": self._delete,
            "GetInstalledCertificateIds": self._installed,
        }

    def of_station(self) -> Mapping[str, Handler]:
        """CALLs of the station."""
        return {
            "FirmwareStatusNotification": self._firmware_status,
            "LogStatusNotification": self._log_status,
            "SecurityEventNotification": self._security_event,
            "SignCertificate": self._sign,
        }

    def triggered(self, wanted: str, *, extended: bool) -> None:
        """The CSMS has asked for a status in one of its two forms."""
        kind = {"FirmwareStatusNotification": "firmware", "LogStatusNotification": "log", "DiagnosticsStatusNotification": "log"}.get(wanted)
        if kind is not None:
            self._desk.memory.put(kind, [NEW if extended else OLD, self._last(kind)[1]])

    def _last(self, kind: str) -> list[Any]:
        found: list[Any] = self._desk.memory.get(kind) or [OLD, None]
        return found

    # -- firmware -----------------------------------------------------------------------------------------

    def _update(self, message: Message) -> Conversation:
        """1.6's answer is empty and means yes; a no is an error."""
        payload, number = message.payload, self._desk.around.number()
        request = {
            **_retries(payload),
            "requestId": number,
            "firmware": {"location": payload.get("location"), "retrieveDateTime": self._desk.time(payload.get("retrieveDate"))},
        }
        self._desk.memory.put("firmware", [OLD, number])
        yield Keep()
        reply = answer_of((yield Ask("UpdateFirmware", request)))
        return Said({}) if status_of(reply) in ("Accepted", "AcceptedCanceled") else _refused(reply, "the update")

    def _signed_update(self, message: Message) -> Conversation:
        payload, firmware = message.payload, table(message.payload.get("firmware"))
        self._desk.memory.put("firmware", [NEW, payload.get("requestId")])
        yield Keep()
        times: Payload = {name: self._desk.time(firmware[name]) for name in ("retrieveDateTime", "installDateTime") if name in firmware}
        request: Payload = {**_retries(payload), "requestId": payload.get("requestId"), "firmware": {**firmware, **times}}
        reply = answer_of((yield Ask("UpdateFirmware", request)))
        return reply if isinstance(reply, Failed) else Said({"status": status_of(reply) or "Rejected"})

    def _firmware_status(self, message: Message) -> Conversation:
        form, number = self._last("firmware")
        status, request_id = text(message.payload.get("status")), message.payload.get("requestId")
        if form == NEW:
            signed = {"status": status, "requestId": number if request_id is None and status != "Idle" else request_id}
            reply = answer_of((yield self._desk.call("SignedFirmwareStatusNotification", words.without_none(signed))))
        else:
            told: Payload = {"status": words.FIRMWARE_DOWN.get(status, "Idle")}
            reply = answer_of((yield self._desk.call("FirmwareStatusNotification", told)))
        return heard(reply)

    # -- logs -----------------------------------------------------------------------------------------------

    def _diagnostics(self, message: Message) -> Conversation:
        """An empty answer means that there is nothing; so does a missing filename in 2.x."""
        payload, number = message.payload, self._desk.around.number()
        log: Payload = {"remoteLocation": payload.get("location")}
        for old, new in (("startTime", "oldestTimestamp"), ("stopTime", "latestTimestamp")):
            if old in payload:
                log[new] = self._desk.time(payload[old])
        self._desk.memory.put("log", [OLD, number])
        yield Keep()
        reply = answer_of((yield Ask("GetLog", {**_retries(payload), "logType": "DiagnosticsLog", "requestId": number, "log": log})))
        if status_of(reply) not in ("Accepted", "AcceptedCanceled"):
            return _refused(reply, "the upload")
        name = text(table(reply.payload if isinstance(reply, Said) else {}).get("filename"))
        return Said({"fileName": name[:255]} if name else {})

    def _log(self, message: Message) -> Conversation:
        payload, log = message.payload, table(message.payload.get("log"))
        self._desk.memory.put("log", [NEW, payload.get("requestId")])
        yield Keep()
        times = {name: self._desk.time(log[name]) for name in ("oldestTimestamp", "latestTimestamp") if name in log}
        reply = answer_of((yield Ask("GetLog", {**payload, "log": {**log, **times}})))
        if isinstance(reply, Failed):
            return reply
        name = text(reply.payload.get("filename"))
        return Said({"status": status_of(reply) or "Rejected", **({"filename": name[:255]} if name else {})})

    def _log_status(self, message: Message) -> Conversation:
        form, number = self._last("log")
        status, request_id = text(message.payload.get("status")), message.payload.get("requestId")
        if form == OLD and request_id in (None, number):
            told = {"status": words.DIAGNOSTICS_DOWN.get(status, "UploadFailed")}
            reply = answer_of((yield self._desk.call("DiagnosticsStatusNotification", told)))
        else:
            known = words.without_none({"status": words.LOG_DOWN.get(status, "UploadFailure"), "requestId": request_id})
            reply = answer_of((yield self._desk.call("LogStatusNotification", known)))
        return heard(reply)

    # -- certificates -----------------------------------------------------------------------------------------

    def _sign(self, message: Message) -> Conversation:
        """The station's own certificate; contract signing goes by the plug and charge paper's DataTransfer."""
        payload = message.payload
        if payload.get("certificateType", STATION_CERTIFICATE) != STATION_CERTIFICATE:
            return (yield from self._pnc.ask("SignCertificate", payload, {"status": "Rejected"}))
        self._desk.memory.put("csr", payload.get("requestId"))
        yield Keep()
        reply = answer_of((yield self._desk.call("SignCertificate", {"csr": payload.get("csr")})))
        if isinstance(reply, Failed) and reply.code in UNKNOWN:
            return Said({"status": "Rejected"})
        return reply if isinstance(reply, Failed) else Said({"status": status_of(reply) or "Rejected"})

    def _certificate_signed(self, message: Message) -> Conversation:
        request: Payload = {"certificateChain": message.payload.get("certificateChain"), "certificateType": STATION_CERTIFICATE}
        request |= words.without_none({"requestId": self._desk.memory.get("csr")})
        return _status((yield Ask("CertificateSigned", request)), ("Accepted", "Rejected"), "Rejected")

    def _install(self, message: Message) -> Conversation:
        kind = words.CERTIFICATE_UP.get(text(message.payload.get("certificateType")))
        if kind is None:
            return Said({"status": "Rejected"})
        request = {"certificateType": kind, "certificate": message.payload.get("certificate")}
        return _status((yield Ask("InstallCertificate", request)), ("Accepted", "Failed", "Rejected"), "Failed")

    def _delete(self, message: Message) -> Conversation:
        request = {"certificateHashData": message.payload.get("certificateHashData")}
        return _status((yield Ask("DeleteCertificate", request)), ("Accepted", "Failed", "NotFound"), "Failed")

    def _installed(self, message: Message) -> Conversation:
        kind = words.CERTIFICATE_UP.get(text(message.payload.get("certificateType")))
        if kind is None:
            return Said({"status": "NotFound"})
        reply = answer_of((yield Ask("GetInstalledCertificateIds", {"certificateType": [kind]})))
        if isinstance(reply, Failed):
            return reply
        chains = [chain for chain in tables(reply.payload.get("certificateHashDataChain")) if chain.get("certificateType", kind) == kind]
        hashes = [_bare(chain["certificateHashData"]) for chain in chains if isinstance(chain.get("certificateHashData"), dict)]
        return Said({"status": "Accepted", "certificateHashData": hashes} if hashes else {"status": "NotFound"})

    def _security_event(self, message: Message) -> Conversation:
        payload = message.payload
        told = {"type": words.security_event_down(text(payload.get("type"))), "timestamp": self._desk.time(payload.get("timestamp"))}
        told |= words.without_none({"techInfo": payload.get("techInfo")})
        reply = answer_of((yield self._desk.call("SecurityEventNotification", told)))
        return heard(reply)


def _retries(payload: Payload) -> Payload:
    return {name: payload[name] for name in ("retries", "retryInterval") if isinstance(payload.get(name), int) and payload[name] >= 0}


def _refused(reply: Reply, what: str) -> Failed:
    return reply if isinstance(reply, Failed) else Failed("GenericError", f"the station has refused {what} ({status_of(reply) or 'no status'})")


def _status(reply: Reply | None, known: tuple[str, ...], otherwise: str) -> Reply:
    found = answer_of(reply)
    return found if isinstance(found, Failed) else Said({"status": status_of(found) if status_of(found) in known else otherwise})


def _bare(hash_data: Payload) -> Payload:
    return {name: hash_data[name] for name in ("hashAlgorithm", "issuerNameHash", "issuerKeyHash", "serialNumber") if name in hash_data}
