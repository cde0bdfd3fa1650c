"""The valid "no" of each action a CSMS may send to a 2.x station: in its own words, echoing what its answer must echo.

An answer that has no word for "no" is not given at all: "{}" to CostUpdated would say that the driver
has seen the cost, version 0 to GetLocalListVersion that the list is empty. The caller then answers
with CALLERROR NotSupported, as it does where a request cannot be read.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from controller.ocpp.dialect import Payload

Refusal = Callable[[Payload], "Payload | None"]

WHY: Final = {"reasonCode": "NotEnabled", "additionalInfo": "not possible through the local controller now"}
"""statusInfo of every refusal. The code is one of the appendix of 2.0.1 and of 2.1."""


def refuse(table: dict[str, Refusal], action: str, payload: Payload) -> Payload | None:
    """The refusal of an action in a version's table; None if it has none or the request has no shape to answer to."""
    make = table.get(action)
    return make(payload) if make is not None else None


def status(word: str) -> Refusal:
    """An answer of one status with its reason."""
    return lambda payload: {"status": word, "statusInfo": WHY}


def per_item(request_key: str, result_key: str, make: Callable[[Any], Payload | None]) -> Refusal:
    """One result per item of the request, in its order; None as soon as one item cannot be answered."""

    def answer(payload: Payload) -> Payload | None:
        items = payload.get(request_key)
        results = [make(item) for item in items] if isinstance(items, list) else []
        return {result_key: results} if results and None not in results else None

    return answer


def _echo(item: Any, *keys: str) -> Payload | None:
    """The fields of an item that its result repeats; None if it names no component and variable."""
    parts = (item.get("component"), item.get("variable")) if isinstance(item, dict) else (None, None)
    if not all(isinstance(part, dict) and isinstance(part.get("name"), str) for part in parts):
        return None
    return {key: item[key] for key in ("component", "variable", *keys) if key in item}


def _variable(item: Any) -> Payload | None:
    echo = _echo(item, "attributeType")
    return None if echo is None else {"attributeStatus": "Rejected", **echo, "attributeStatusInfo": WHY}


def _monitor(item: Any) -> Payload | None:
    echo = _echo(item, "type", "severity", "id")
    if echo is None or not isinstance(echo.get("type"), str) or not isinstance(echo.get("severity"), int):
        return None
    return {"status": "Rejected", **echo, "statusInfo": WHY}


def _cleared_monitor(monitor_id: Any) -> Payload | None:
    whole = isinstance(monitor_id, int) and not isinstance(monitor_id, bool)
    return {"status": "Rejected", "id": monitor_id, "statusInfo": WHY} if whole else None


_REJECTED: Final = (
    *("CancelReservation", "CertificateSigned", "ChangeAvailability", "ClearCache", "CustomerInformation", "DataTransfer"),
    *("GetBaseReport", "GetCompositeSchedule", "GetLog", "GetMonitoringReport", "GetReport", "InstallCertificate"),
    *("PublishFirmware", "RequestStartTransaction", "RequestStopTransaction", "ReserveNow", "Reset", "SetChargingProfile"),
    *("SetDisplayMessage", "SetMonitoringBase", "SetMonitoringLevel", "SetNetworkProfile", "TriggerMessage", "UpdateFirmware"),
)

REFUSALS: Final[dict[str, Refusal]] = {
    **{action: status("Rejected") for action in _REJECTED},
    # The nearest to "no" these answers have; the reason in statusInfo tells it from the word's own meaning.
    "ClearChargingProfile": status("Unknown"),
    "ClearDisplayMessage": status("Unknown"),
    "DeleteCertificate": status("Failed"),
    "GetChargingProfiles": status("NoProfiles"),
    "GetDisplayMessages": status("Unknown"),
    "GetInstalledCertificateIds": status("NotFound"),
    "SendLocalList": status("Failed"),
    "UnlockConnector": status("UnlockFailed"),
    # True as it stands: this controller publishes no firmware (L04), and the answer has no statusInfo.
    "UnpublishFirmware": lambda payload: {"status": "NoFirmware"},
    "GetVariables": per_item("getVariableData", "getVariableResult", _variable),
    "SetVariables": per_item("setVariableData", "setVariableResult", _variable),
    "SetVariableMonitoring": per_item("setMonitoringData", "setMonitoringResult", _monitor),
    "ClearVariableMonitoring": per_item("id", "clearMonitoringResult", _cleared_monitor),
}
"""2.0.1. Without a refusal: CostUpdated, GetLocalListVersion, GetTransactionStatus."""
