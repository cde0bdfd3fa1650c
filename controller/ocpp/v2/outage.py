"""What the link must know about 2.x messages to get through an outage: what may be left out, how often
to repeat (E12, E13), which driver may not charge, and which local list the station holds (D01)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from controller.ocpp.dialect import ListUpdate, Payload, RetryRules
from controller.ocpp.samples import number
from controller.ocpp.v2.observe import evse_number
from controller.ocpp.v2.secrets import items_of, variable_name

_PERIODIC_TRIGGERS: Final = ("MeterValuePeriodic", "MeterValueClock")
_PERIODIC_CONTEXTS: Final = ("Sample.Periodic", "Sample.Clock")
_SAID_ONCE: Final = ("idToken", "reservationId", "costDetails", "customData")
_SAID_ONCE_INSIDE: Final = ("remoteStartId", "stoppedReason", "transactionLimit", "tariffId", "customData")
"""Fields of a TransactionEvent and its transactionInfo that a station tells in one message only (E01, E16)."""


def thinnable(action: str, payload: Payload) -> bool:
    """A periodic reading between others (E12.FR.04/05): nothing in it but samples taken by the clock."""
    if action == "MeterValues":
        return _only_periodic(payload)
    if action == "NotifyEvent":
        events = items_of(payload, "eventData")
        return bool(events) and all(event.get("trigger") == "Periodic" and not event.get("cleared") for event in events)
    if action != "TransactionEvent" or payload.get("eventType") != "Updated" or payload.get("triggerReason") not in _PERIODIC_TRIGGERS:
        return False
    info = payload.get("transactionInfo")
    told_once = any(key in payload for key in _SAID_ONCE) or (isinstance(info, dict) and any(key in info for key in _SAID_ONCE_INSIDE))
    return not told_once and _only_periodic(payload)


def _only_periodic(payload: Payload) -> bool:
    samples = [sample for value in items_of(payload, "meterValue") for sample in items_of(value, "sampledValue")]
    return all(sample.get("context", "Sample.Periodic") in _PERIODIC_CONTEXTS for sample in samples)


# -- how often a message is repeated ---------------------------------------------------------------


def retry_rules(action: str, request: Payload, result: Payload) -> RetryRules | None:
    """What SetVariables (as accepted), GetVariables, NotifyReport or NotifyEvent say of the two variables."""
    found = dict(_retry_values(action, request, result))
    attempts, interval_s = found.get("messageattempts"), found.get("messageattemptinterval")
    if attempts is None and interval_s is None:
        return None
    return RetryRules(int(attempts) if attempts is not None else None, interval_s)


def _retry_values(action: str, request: Payload, result: Payload) -> Iterator[tuple[str, float]]:
    for item, value in _values(action, request, result):
        component, variable = variable_name(item)
        named = item.get("variable")
        instance = str(named.get("instance", "")).lower() if isinstance(named, dict) else ""
        amount = number(value)
        lowest = 1 if variable == "messageattempts" else 0
        if component == "ocppcommctrlr" and instance == "transactionevent" and amount is not None and amount >= lowest:
            yield variable, amount


def _values(action: str, request: Payload, result: Payload) -> Iterator[tuple[Payload, Any]]:
    """(entry, actual value) of all variables an exchange names."""
    if action == "SetVariables":
        taken = [_identity(item) for item in items_of(result, "setVariableResult") if item.get("attributeStatus") == "Accepted"]
        yield from ((item, item.get("attributeValue")) for item in _actual(request, "setVariableData") if _identity(item) in taken)
    elif action == "GetVariables":
        yield from ((item, item.get("attributeValue")) for item in _actual(result, "getVariableResult"))
    elif action == "NotifyReport":
        for item in items_of(request, "reportData"):
            yield from ((item, attribute.get("value")) for attribute in _actual(item, "variableAttribute", "type"))
    elif action == "NotifyEvent":
        yield from ((item, item.get("actualValue")) for item in items_of(request, "eventData"))


def _actual(payload: Payload, key: str, kind: str = "attributeType") -> list[Payload]:
    return [item for item in items_of(payload, key) if item.get(kind, "Actual") == "Actual"]


def _identity(item: Payload) -> tuple[Any, ...]:
    variable = item.get("variable")
    return *variable_name(item), str(variable.get("instance", "")).lower() if isinstance(variable, dict) else ""


# -- drivers ---------------------------------------------------------------------------------------


def deauthorised(action: str, request: Payload, result: Payload) -> bool:
    """The CSMS's word on the driver of a transaction (E01, E05). Whoever ends it need not be allowed to charge."""
    info = result.get("idTokenInfo")
    ending = request.get("eventType") == "Ended" or request.get("triggerReason") == "StopAuthorized"
    if action != "TransactionEvent" or ending or not isinstance(info, dict) or not isinstance(info.get("status"), str):
        return False
    evse_ids, evse_id = info.get("evseId"), evse_number(request)
    elsewhere = isinstance(evse_ids, list) and bool(evse_ids) and evse_id > 0 and evse_id not in evse_ids
    return info["status"] != "Accepted" or elsewhere


# -- local list ------------------------------------------------------------------------------------


def list_update(action: str, request: Payload, result: Payload) -> ListUpdate | None:
    """SendLocalList as the station took it. An entry without idTokenInfo removes, in a full list it means nothing."""
    version, kind = request.get("versionNumber"), request.get("updateType")
    if action != "SendLocalList" or result.get("status") != "Accepted" or kind not in ("Full", "Differential"):
        return None
    if not isinstance(version, int) or isinstance(version, bool) or version <= 0:
        return None
    return ListUpdate(version, kind == "Full", tuple(_entries(request, kind == "Full")))


def _entries(request: Payload, full: bool) -> Iterator[tuple[Payload, Payload | None]]:
    for entry in items_of(request, "localAuthorizationList"):
        token, info = entry.get("idToken"), entry.get("idTokenInfo")
        if isinstance(token, dict) and (isinstance(info, dict) or (info is None and not full)):
            yield token, info


def list_version(action: str, result: Payload) -> int | None:
    """versionNumber of GetLocalListVersion; 0 = no list (D02)."""
    version = result.get("versionNumber")
    known = action == "GetLocalListVersion" and isinstance(version, int) and not isinstance(version, bool)
    return version if known else None
