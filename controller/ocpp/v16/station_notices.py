"""What a 1.6 station reports beside its transactions: firmware, logs, security events, certificates, and what only its vendor knows.

A status of firmware or diagnostics names no request in plain 1.6; the number of the command that began it is remembered on disk.
"""

from __future__ import annotations

import json
from typing import Any, Final

from controller.ocpp.hub import Conversation, Failed, Payload, Said
from controller.ocpp.v16.station_pnc import VENDOR, Pnc
from controller.ocpp.v16.station_state import BOOTED, FIRMWARE_STAGE, INSTALLED, INSTALLING, StationState, ask
from controller.ocpp.v16.words import DIAGNOSTICS_UP, moment, security_event_up, whole, without_none

FIRMWARE_REQUEST: Final = "firmware"
LOG_REQUEST: Final = "log"
"""Memory: requestId of the command that began what runs."""
_FAILED: Final = ("InstallationFailed", "InstallVerificationFailed", "InvalidSignature", "DownloadFailed")


class Notices:
    """One station's."""

    def __init__(self, state: StationState, pnc: Pnc) -> None:
        self._state, self._pnc = state, pnc

    def firmware(self, payload: Payload) -> Conversation:
        """FirmwareStatusNotification and SignedFirmwareStatusNotification."""
        status = payload.get("status")
        self._stage(str(status))
        yield from self._state.keep()
        request_id = None if status == "Idle" else self._request(payload, FIRMWARE_REQUEST)
        reply = yield from ask("FirmwareStatusNotification", without_none({"status": status, "requestId": request_id}))
        return reply if isinstance(reply, Failed) else Said({})

    def _stage(self, status: str) -> None:
        """Why the next boot happens: some boot before they say Installed, some after."""
        memory = self._state.memory
        if status in ("Installing", "InstallRebooting"):
            memory.put(FIRMWARE_STAGE, INSTALLING)
        elif status == "Installed":
            memory.put(FIRMWARE_STAGE, None if memory.get(FIRMWARE_STAGE) == BOOTED else INSTALLED)
        elif status in _FAILED:
            memory.put(FIRMWARE_STAGE, None)

    def diagnostics(self, payload: Payload) -> Conversation:
        """DiagnosticsStatusNotification."""
        return self._log(DIAGNOSTICS_UP.get(str(payload.get("status")), "UploadFailure"), payload)

    def log(self, payload: Payload) -> Conversation:
        """LogStatusNotification."""
        return self._log(str(payload.get("status")), payload)

    def _log(self, status: str, payload: Payload) -> Conversation:
        request_id = None if status == "Idle" else self._request(payload, LOG_REQUEST)
        reply = yield from ask("LogStatusNotification", without_none({"status": status, "requestId": request_id}))
        return reply if isinstance(reply, Failed) else Said({})

    def _request(self, payload: Payload, kind: str) -> Any:
        told = whole(payload.get("requestId"))
        return self._state.memory.get(kind) if told is None else told

    def security(self, payload: Payload) -> Conversation:
        """SecurityEventNotification."""
        when = moment(payload.get("timestamp"), self._state.around.now().wall_s)
        told = {"type": security_event_up(str(payload.get("type", "")))[:50], "timestamp": when, "techInfo": payload.get("techInfo")}
        reply = yield from ask("SecurityEventNotification", without_none(told))
        return reply if isinstance(reply, Failed) else Said({})

    def sign(self, payload: Payload) -> Conversation:
        """SignCertificate."""
        reply = yield from ask("SignCertificate", {"csr": payload.get("csr"), "certificateType": "ChargingStationCertificate"})
        return reply if isinstance(reply, Failed) else Said({"status": reply.payload.get("status")})

    def data(self, payload: Payload) -> Conversation:
        """DataTransfer; what the hub holds as JSON becomes text where 1.6 wants text (16.12)."""
        if payload.get("vendorId") == VENDOR:
            return (yield from self._pnc.said(payload))
        told = without_none({name: payload.get(name) for name in ("vendorId", "messageId", "data")})
        reply = yield from ask("DataTransfer", told)
        return reply if isinstance(reply, Failed) else Said(data_answer(reply.payload))


def data_answer(answer: Payload) -> Payload:
    """A DataTransfer answer of the hub for 1.6."""
    return {"status": answer.get("status"), **({"data": data_text(answer["data"])} if answer.get("data") is not None else {})}


def data_text(data: Any) -> str:
    """data as the text 1.6 has for it."""
    return data if isinstance(data, str) else json.dumps(data)
