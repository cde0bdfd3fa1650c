"""What Yardmaster answers to a 2.0.1 station for an absent CSMS, and to a CSMS for a station.

Only the version's own words are used, so that every answer validates against the schema. While
the CSMS is away nothing is promised in its name that it has not said before: authorisation comes
from its own earlier answers, certificates are not issued, transactions are only taken to disk.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from controller.facts import Stamp
from controller.ocpp.dialect import TokenLookup
from controller.ocpp.times import timestamp

Payload = dict[str, Any]

BOOT_INTERVAL_S = 60
PENDING_INTERVAL_S = 10

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
        return {"idTokenInfo": _token_info(payload.get("idToken"), known)}
    if action == "TransactionEvent":
        # idTokenInfo is due exactly when the request carried an idToken (E01, E05).
        return {"idTokenInfo": _token_info(payload["idToken"], known)} if isinstance(payload.get("idToken"), dict) else {}
    fixed = _FIXED.get(action)
    return dict(fixed) if fixed is not None else None


def _boot(at: Stamp) -> Payload:
    # Without a trusted clock nobody is told a time (F78): the station waits and asks again.
    status, interval_s = ("Accepted", BOOT_INTERVAL_S) if at.wall_trusted else ("Pending", PENDING_INTERVAL_S)
    return {"currentTime": timestamp(at.wall_s), "interval": interval_s, "status": status}


def _token_info(token: Any, known: TokenLookup) -> Payload:
    if isinstance(token, dict) and token.get("type") == "NoAuthorization":
        return {"status": "Accepted"}
    info = known(token) if isinstance(token, dict) else None
    return info if info is not None else {"status": "Unknown"}


_NO = {"reasonCode": "NotEnabled", "additionalInfo": "managed by the local controller"}

_REFUSALS: dict[str, Callable[[Payload], Payload | None]] = {
    "SetNetworkProfile": lambda payload: {"status": "Rejected", "statusInfo": _NO},
    "SetVariables": lambda payload: _variables_refused(payload.get("setVariableData")),
}


def refuse(action: str, payload: Payload) -> Payload | None:
    """The action's own valid "no", None if it has none or the request has no shape to answer to."""
    make = _REFUSALS.get(action)
    return make(payload) if make is not None else None


def _variables_refused(data: Any) -> Payload | None:
    if not isinstance(data, list) or not data or not all(isinstance(item, dict) for item in data):
        return None
    return {"setVariableResult": [_variable_refused(item) for item in data]}


def _variable_refused(item: Payload) -> Payload:
    result: Payload = {"attributeStatus": "Rejected", "component": item.get("component", {}), "variable": item.get("variable", {})}
    if "attributeType" in item:
        result["attributeType"] = item["attributeType"]
    result["attributeStatusInfo"] = _NO
    return result


RISKY_VARIABLES = {
    ("securityctrlr", "basicauthpassword"),
    ("securityctrlr", "identity"),
    ("ocppcommctrlr", "networkconfigurationpriority"),
    # False would switch every limit off, the floor included.
    ("smartchargingctrlr", "enabled"),
}


def risky_variables(payload: Payload) -> bool:
    """Whether SetVariables touches the link between station and Yardmaster, or its say over charging (F27).

    The password of that link is Yardmaster's and stands in site.yaml; changing it in the station
    alone would lock the station out at its next reconnect. Names are case-insensitive.
    """
    data = payload.get("setVariableData")
    return any(_name(item, "component", "variable") in RISKY_VARIABLES for item in data) if isinstance(data, list) else False


def _name(item: Any, *keys: str) -> tuple[str, ...]:
    parts = [item.get(key) if isinstance(item, dict) else None for key in keys]
    return tuple(str(part.get("name", "")).strip().lower() if isinstance(part, dict) else "" for part in parts)


def queue_status(payload: Payload, running: set[str], queued: set[str], any_queued: bool) -> Payload:
    """GetTransactionStatus from our own queue: ongoingIndicator only when an id was asked (E14.FR.02-06)."""
    transaction_id = payload.get("transactionId")
    if isinstance(transaction_id, str):
        return {"ongoingIndicator": transaction_id in running, "messagesInQueue": transaction_id in queued}
    return {"messagesInQueue": any_queued}
