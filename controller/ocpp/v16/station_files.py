"""Firmware, logs and certificates of a 1.6 station on the hub's command (OCPP-NOTES 9, 10).

A signed update goes as SignedUpdateFirmware or not at all: what was to be verified is never sent unverified. Diagnostics go in the
whitepaper's words where the station knows them, else as GetDiagnostics.
"""

from __future__ import annotations

from typing import Any, Final

from controller.ocpp.hub import WIRE, Conversation, Failed, Message, Payload, Said
from controller.ocpp.times import wall_time
from controller.ocpp.v16.station_notices import FIRMWARE_REQUEST, LOG_REQUEST
from controller.ocpp.v16.station_pnc import Pnc
from controller.ocpp.v16.station_state import StationState, ask, hub_error, is_unknown, may_not_know, no
from controller.ocpp.v16.words import CERTIFICATE_DOWN, CERTIFICATE_UP, moment, without_none

MAX_LOCATION_CHARS: Final = 512
"""Of the whitepaper's messages; UpdateFirmware and GetDiagnostics of 1.6 itself have no limit."""
TOO_LONG: Final = Said(no("ValueTooLong", f"this station takes no more than {MAX_LOCATION_CHARS} characters for a location"))
FOR_CARS: Final = ("V2GRootCertificate", "MORootCertificate", "V2GCertificateChain")
"""What a station keeps for ISO 15118: 1.6 itself has no words for these."""
MAX_CERTIFICATE_CHARS: Final = 5500
_HASHES: Final = ("hashAlgorithm", "issuerNameHash", "issuerKeyHash", "serialNumber")
_BAD: Final = ("Rejected", "InvalidCertificate", "RevokedCertificate")


class Files:
    """One station's."""

    def __init__(self, state: StationState, pnc: Pnc) -> None:
        self._state, self._pnc = state, pnc

    # -- firmware ---------------------------------------------------------------------------------------------

    def update(self, message: Message) -> Conversation:
        """UpdateFirmware."""
        firmware = message.payload.get("firmware") or {}
        signed = firmware.get("signature") is not None and firmware.get("signingCertificate") is not None
        if signed and len(str(firmware.get("location", ""))) > MAX_LOCATION_CHARS:
            return TOO_LONG
        before = self._state.memory.get(FIRMWARE_REQUEST)
        self._state.memory.put(FIRMWARE_REQUEST, message.payload.get("requestId"))
        yield from self._state.keep()
        answer = yield from self._signed(message.payload, firmware) if signed else self._unsigned(message.payload, firmware)
        if isinstance(answer, Failed) or answer.payload["status"] in _BAD:
            self._state.memory.put(FIRMWARE_REQUEST, before)
        return answer

    def _signed(self, payload: Payload, firmware: Payload) -> Conversation:
        now_wall_s = self._state.around.now().wall_s
        times = {name: moment(firmware[name], now_wall_s) for name in ("retrieveDateTime", "installDateTime") if firmware.get(name) is not None}
        texts = {name: firmware.get(name) for name in ("location", "signingCertificate", "signature")}
        more = {name: payload.get(name) for name in ("requestId", "retries", "retryInterval")}
        reply = yield from ask("SignedUpdateFirmware", without_none(more) | {"firmware": texts | times}, WIRE)
        if is_unknown(reply):
            return Said(no("UnsupportedRequest", "this station cannot verify a signature, and an unverified update was not asked for"))
        return hub_error(reply) if isinstance(reply, Failed) else Said({"status": reply.payload.get("status")})

    def _unsigned(self, payload: Payload, firmware: Payload) -> Conversation:
        """1.6 installs at once what it has fetched: where it shall install later, it fetches later."""
        now_wall_s = self._state.around.now().wall_s
        moments = [found for name in ("retrieveDateTime", "installDateTime") if (found := wall_time(firmware.get(name))) is not None]
        request = {
            "location": firmware.get("location"),
            "retrieveDate": moment(None, max(moments, default=now_wall_s)),
            "retries": payload.get("retries"),
            "retryInterval": payload.get("retryInterval"),
        }
        reply = yield from ask("UpdateFirmware", without_none(request), WIRE)
        if is_unknown(reply):
            return Said(no("UnsupportedRequest", "this station cannot be updated"))
        return hub_error(reply) if isinstance(reply, Failed) else Said({"status": "Accepted"})

    # -- logs ---------------------------------------------------------------------------------------------------

    def log(self, message: Message) -> Conversation:
        """GetLog."""
        payload, kind = message.payload, message.payload.get("logType")
        if kind not in ("DiagnosticsLog", "SecurityLog"):
            return Said(no("UnsupportedParam", f"1.6 has no {kind}"))
        log = self._log(payload.get("log") or {})
        if kind == "SecurityLog" and _is_long(log):
            return TOO_LONG
        before = self._state.memory.get(LOG_REQUEST)
        self._state.memory.put(LOG_REQUEST, payload.get("requestId"))
        yield from self._state.keep()
        answer = yield from self._get_log(payload, str(kind), log)
        if isinstance(answer, Failed) or answer.payload.get("status") == "Rejected":
            self._state.memory.put(LOG_REQUEST, before)
        return answer

    def _log(self, log: Payload) -> Payload:
        now_wall_s = self._state.around.now().wall_s
        times = {name: moment(log[name], now_wall_s) for name in ("oldestTimestamp", "latestTimestamp") if log.get(name) is not None}
        return {"remoteLocation": log.get("remoteLocation"), **times}

    def _get_log(self, payload: Payload, kind: str, log: Payload) -> Conversation:
        retry = without_none({name: payload.get(name) for name in ("retries", "retryInterval")})
        if self._state.knows("GetLog") and not _is_long(log):
            request = {"log": log, "logType": kind, "requestId": payload.get("requestId"), **retry}
            reply = yield from ask("GetLog", request, WIRE)
            if isinstance(reply, Said):
                return Said(_named(reply.payload.get("status"), reply.payload.get("filename")))
            if not may_not_know(reply) or (kind != "DiagnosticsLog" and not is_unknown(reply)):
                return hub_error(reply)
            if is_unknown(reply):
                self._state.unknown("GetLog")
        if kind != "DiagnosticsLog":
            return Said(no("UnsupportedRequest", "this station has no security log"))
        times = without_none({"startTime": log.get("oldestTimestamp"), "stopTime": log.get("latestTimestamp")})
        reply = yield from ask("GetDiagnostics", {"location": log["remoteLocation"], **retry, **times}, WIRE)
        if is_unknown(reply):
            return Said(no("UnsupportedRequest", "this station has no diagnostics"))
        return hub_error(reply) if isinstance(reply, Failed) else Said(_named("Accepted", reply.payload.get("fileName")))

    # -- certificates ----------------------------------------------------------------------------------------------

    def install(self, message: Message) -> Conversation:
        """InstallCertificate."""
        kind = CERTIFICATE_DOWN.get(str(message.payload.get("certificateType")))
        certificate = str(message.payload.get("certificate", ""))
        if kind is None:
            refusal = no("UnsupportedParam", f"this station keeps no {message.payload.get('certificateType')}")
            return (yield from self._pnc.ask("InstallCertificate", message.payload, refusal))
        if len(certificate) > MAX_CERTIFICATE_CHARS:
            return Said(no("ValueTooLong", f"1.6 has no more than {MAX_CERTIFICATE_CHARS} characters for a certificate"))
        return (yield from _certificate("InstallCertificate", {"certificateType": kind, "certificate": certificate}, "Rejected"))

    def delete(self, message: Message) -> Conversation:
        """DeleteCertificate. What the station does not find among its own may be one for cars."""
        told = message.payload.get("certificateHashData") or {}
        request = {"certificateHashData": {name: told.get(name) for name in _HASHES}}
        reply = yield from _certificate("DeleteCertificate", request, "Failed")
        if isinstance(reply, Failed) or not (reply.payload.get("status") == "NotFound" or "statusInfo" in reply.payload):
            return reply
        other = yield from self._pnc.ask("DeleteCertificate", request, reply.payload)
        return reply if isinstance(other, Failed) else other

    def signed(self, message: Message) -> Conversation:
        """CertificateSigned."""
        if message.payload.get("certificateType", "ChargingStationCertificate") != "ChargingStationCertificate":
            refusal = no("UnsupportedParam", "this station has no V2G certificate")
            return (yield from self._pnc.ask("CertificateSigned", message.payload, refusal))
        return (yield from _certificate("CertificateSigned", {"certificateChain": message.payload.get("certificateChain")}, "Rejected"))

    def installed(self, message: Message) -> Conversation:
        """GetInstalledCertificateIds: 1.6 is asked for one kind at a time. No kind named: all (M03)."""
        wanted = message.payload.get("certificateType") or [*CERTIFICATE_DOWN, *FOR_CARS]
        found: list[Payload] = []
        nothing: Payload = {"status": "NotFound"}
        for kind in [CERTIFICATE_DOWN[one] for one in dict.fromkeys(wanted) if one in CERTIFICATE_DOWN]:
            reply = yield from ask("GetInstalledCertificateIds", {"certificateType": kind}, WIRE)
            if is_unknown(reply):
                nothing = no("UnsupportedRequest", "this station keeps no certificates", "NotFound")
                break
            if isinstance(reply, Failed):
                return hub_error(reply)
            hashes: Any = reply.payload.get("certificateHashData")
            found += [{"certificateType": CERTIFICATE_UP[kind], "certificateHashData": one} for one in hashes or []]
        for_cars = [one for one in wanted if one not in CERTIFICATE_DOWN]
        if for_cars:
            reply = yield from self._pnc.ask("GetInstalledCertificateIds", {"certificateType": for_cars}, {"status": "NotFound"})
            found += reply.payload.get("certificateHashDataChain", []) if isinstance(reply, Said) else []
        return Said({"status": "Accepted", "certificateHashDataChain": found} if found else nothing)


def _certificate(action: str, payload: Payload, unable: str) -> Conversation:
    reply = yield from ask(action, payload, WIRE)
    if is_unknown(reply):
        return Said(no("UnsupportedRequest", "this station does not have the security extension", unable))
    return hub_error(reply) if isinstance(reply, Failed) else Said({"status": reply.payload.get("status")})


def _is_long(log: Payload) -> bool:
    return len(str(log.get("remoteLocation", ""))) > MAX_LOCATION_CHARS


def _named(status: Any, name: Any) -> Payload:
    """No file name: there is nothing to upload."""
    return {"status": status, **({"filename": name} if name else {})}
