"""What Yardmaster answers to a 2.x station for an absent CSMS, and about its own queue to the CSMS.

Only the version's own words are used, so that every answer validates against the schema. While
the CSMS is away nothing is promised in its name that it has not said before: authorisation comes
from its own earlier answers, certificates are not issued, transactions are only taken to disk.
"""

from __future__ import annotations

from typing import Any, TypeGuard

from controller.facts import Stamp
from controller.ocpp.dialect import TokenLookup
from controller.ocpp.times import timestamp

Payload = dict[str, Any]

BOOT_INTERVAL_S = 60
PENDING_INTERVAL_S = 10
MAX_TOKEN_CHARS = 255
"""Of 2.1; 2.0.1 has 36."""

_FIXED: dict[str, Payload] = {
    "StatusNotification": {},
    "MeterValues": {},
    "SecurityEventNotification": {},
    "ReservationStatusUpdate": {},
    "FirmwareStatusNotification": {},
    "LogStatusNotification": {},
    "NotifyEvent": {},
    "NotifyChargingLimit": {},
    "ClearedChargingLimit": {},
    "NotifyCustomerInformation": {},
    "NotifyDisplayMessages": {},
    "NotifyMonitoringReport": {},
    "NotifyReport": {},
    "PublishFirmwareStatusNotification": {},
    "ReportChargingProfiles": {},
    # Accepted, never Rejected: a rejection ends some sessions (trap 22).
    "NotifyEVChargingNeeds": {"status": "Accepted"},
    "NotifyEVChargingSchedule": {"status": "Accepted"},
    "DataTransfer": {"status": "Rejected"},
    "Get15118EVCertificate": {"status": "Failed", "exiResponse": ""},
    "GetCertificateStatus": {"status": "Failed"},
    "SignCertificate": {"status": "Rejected"},
}


def answer(at: Stamp, action: str, payload: Payload, known: TokenLookup) -> Payload | None:
    """The local answer, None if there is none for this action."""
    if action == "BootNotification":
        return _boot(at)
    if action == "Heartbeat":
        return {"currentTime": timestamp(at.wall_s)}
    if action == "Authorize":
        return _authorize(payload, known)
    if action == "TransactionEvent":
        # idTokenInfo is due exactly when the request carried an idToken (E01, E05).
        return {"idTokenInfo": _token_info(payload["idToken"], known)} if isinstance(payload.get("idToken"), dict) else {}
    fixed = _FIXED.get(action)
    return dict(fixed) if fixed is not None else None


def _boot(at: Stamp) -> Payload:
    # Without a trusted clock nobody is told a time (F78): the station waits and asks again.
    status, interval_s = ("Accepted", BOOT_INTERVAL_S) if at.wall_trusted else ("Pending", PENDING_INTERVAL_S)
    return {"currentTime": timestamp(at.wall_s), "interval": interval_s, "status": status}


def _authorize(payload: Payload, known: TokenLookup) -> Payload:
    if "certificate" in payload:
        # The station cannot check this contract itself and asks the CSMS to (C07); nobody else here can either.
        return {"idTokenInfo": {"status": "Invalid"}, "certificateStatus": "CertChainError"}
    return {"idTokenInfo": _token_info(payload.get("idToken"), known)}


def _token_info(token: Any, known: TokenLookup) -> Payload:
    if isinstance(token, dict) and token.get("type") == "NoAuthorization":
        return {"status": "Accepted"}
    info = known(token) if is_token(token) else None
    return info if info is not None else {"status": "Unknown"}


def is_token(token: Any) -> TypeGuard[Payload]:
    """Whether this names a driver: a text of 1 to MAX_TOKEN_CHARS. Whatever else is nobody's, also if a CSMS once said yes to it (B29)."""
    name = token.get("idToken") if isinstance(token, dict) else None
    return isinstance(name, str) and 0 < len(name) <= MAX_TOKEN_CHARS


def queue_status(payload: Payload, running: set[str], queued: set[str], any_queued: bool) -> Payload:
    """GetTransactionStatus from our own queue: ongoingIndicator only when an id was asked (E14.FR.02-06)."""
    transaction_id = payload.get("transactionId")
    if isinstance(transaction_id, str):
        return {"ongoingIndicator": transaction_id in running, "messagesInQueue": transaction_id in queued}
    return {"messagesInQueue": any_queued}
