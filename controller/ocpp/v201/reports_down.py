"""What a 2.1 station tells in the hub's words, as a 2.0.1 CSMS can be told it; or the answer, given here (OCPP-NOTES 12.12).

Each function returns the request to send on, or the answer. What 2.0.1 merely has no place for is taken out later by ``fit``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from controller.ocpp.hub import Payload, Reply, Said
from controller.ocpp.v2.passing import inner, items, longer, no
from controller.ocpp.v201 import schedules, words
from controller.ocpp.v201.display import plain_message
from controller.ocpp.v201.readings import plain_readings

Plain = Callable[[Payload], "Payload | Reply"]

NOTHING_LEFT: Final = Said({})
"""The answer where 2.0.1 has no word for anything in a message."""


def transaction_event(payload: Payload) -> tuple[Payload, bool]:
    """(TransactionEvent, whether a signed value had to go)."""
    readings, unsigned = plain_readings(payload)
    made = {key: value for key, value in payload.items() if key != "meterValue"}
    made.update({"meterValue": readings} if readings else {})
    reason, transaction = made.get("triggerReason"), inner(payload, "transactionInfo")
    made["triggerReason"] = words.TRIGGER_REASONS.get(str(reason), reason)
    if "stoppedReason" in transaction:
        stopped = transaction["stoppedReason"]
        made["transactionInfo"] = {**transaction, "stoppedReason": words.STOPPED_REASONS.get(str(stopped), stopped)}
    return made, unsigned


def meter_values(payload: Payload) -> tuple[Payload | Reply, bool]:
    """(MeterValues, whether a signed value had to go)."""
    readings, unsigned = plain_readings(payload)
    return ({**payload, "meterValue": readings} if readings else NOTHING_LEFT), unsigned


# -- certificates --------------------------------------------------------------------------------------------


def _authorize(payload: Payload) -> Payload | Reply:
    """A contract that the CSMS is to check cannot be shortened, and without it the CSMS would say yes to an unchecked one (C07)."""
    addresses = [item.get("responderURL") for item in items(payload, "iso15118CertificateHashData")]
    too_long = longer(payload.get("certificate"), words.MAX_CERTIFICATE_CHARS) or any(longer(url, words.MAX_URL_CHARS) for url in addresses)
    return Said({"idTokenInfo": {"status": "Invalid"}, "certificateStatus": "CertChainError"}) if too_long else payload


def _contract(payload: Payload) -> Payload | Reply:
    if not longer(payload.get("exiRequest"), words.MAX_EXI_REQUEST_CHARS):
        return payload
    why = f"a 2.0.1 CSMS takes at most {words.MAX_EXI_REQUEST_CHARS} characters"
    return Said({"status": "Failed", "exiResponse": "", "statusInfo": {"reasonCode": "TooLargeElement", "additionalInfo": why}})


def _ocsp(payload: Payload) -> Payload | Reply:
    if longer(inner(payload, "ocspRequestData").get("responderURL"), words.MAX_URL_CHARS):
        return no("Failed", "TooLargeElement", f"a 2.0.1 CSMS takes addresses of at most {words.MAX_URL_CHARS} characters")
    return payload


def _sign(payload: Payload) -> Payload | Reply:
    if payload.get("certificateType") == "V2G20Certificate":
        return no("Rejected", "UnsupportedParam", "a 2.0.1 CSMS signs no V2G20Certificate")
    return payload


# -- charging limits -----------------------------------------------------------------------------------------


def _charging_limit(payload: Payload) -> Payload | Reply:
    """More power from local generation is no limit; a 2.0.1 CSMS would read it as one (K27)."""
    limit = inner(payload, "chargingLimit")
    if limit.get("isLocalGeneration") is True:
        return NOTHING_LEFT
    made = {**payload, "chargingLimit": {**limit, "chargingLimitSource": words.limit_source(limit.get("chargingLimitSource"))}}
    told = [schedules.told(schedule) for schedule in items(made, "chargingSchedule")]
    made.pop("chargingSchedule", None)
    return {**made, "chargingSchedule": told} if told and None not in told else made


def _cleared_limit(payload: Payload) -> Payload | Reply:
    return {**payload, "chargingLimitSource": words.limit_source(payload.get("chargingLimitSource"))}


def _profiles(payload: Payload) -> Payload | Reply:
    told = [schedules.told_profile(profile) for profile in items(payload, "chargingProfile")]
    known = [profile for profile in told if profile is not None]
    source = words.limit_source(payload.get("chargingLimitSource"))
    return {**payload, "chargingLimitSource": source, "chargingProfile": known} if known else NOTHING_LEFT


def _schedule(payload: Payload) -> Payload | Reply:
    """The answer says that the CSMS has not heard of it; Rejected would make the station renegotiate (K15-K17)."""
    told = schedules.told(inner(payload, "chargingSchedule"))
    if told is None:
        return no("Accepted", "UnsupportedParam", "the CSMS speaks 2.0.1, which has no words for this schedule")
    return {**payload, "chargingSchedule": told}


# -- device model and messages -------------------------------------------------------------------------------------


def _monitors(payload: Payload) -> Payload | Reply:
    if "monitor" not in payload:
        return payload
    monitors = []
    for monitor in items(payload, "monitor"):
        known = [item for item in items(monitor, "variableMonitoring") if item.get("type") not in words.MONITORS_OF_21]
        monitors += [{**monitor, "variableMonitoring": known}] if known else []
    rest = {key: value for key, value in payload.items() if key != "monitor"}
    return {**rest, "monitor": monitors} if monitors else rest


def _displays(payload: Payload) -> Payload | Reply:
    """Messages of states that 2.0.1 does not have are told without their state; what cannot be shown whole is left out."""
    if "messageInfo" not in payload:
        return payload
    messages = [(info, plain_message(info.get("message"))) for info in items(payload, "messageInfo")]
    known = [{**info, "message": message} for info, message in messages if message is not None]
    rest = {key: value for key, value in payload.items() if key != "messageInfo"}
    return {**rest, "messageInfo": known} if known else rest


def _reservation(payload: Payload) -> Payload | Reply:
    update = payload.get("reservationUpdateStatus")
    return {**payload, "reservationUpdateStatus": words.RESERVATION_UPDATES.get(str(update), update)}


def _published(payload: Payload) -> Payload | Reply:
    """Addresses that are too long are left out, not cut."""
    if not isinstance(payload.get("location"), list):
        return payload
    known = [url for url in payload["location"] if not longer(url, words.MAX_URL_CHARS)]
    rest = {key: value for key, value in payload.items() if key != "location"}
    return {**rest, "location": known} if known else rest


PLAIN: Final[dict[str, Plain]] = {
    "Authorize": _authorize,
    "Get15118EVCertificate": _contract,
    "GetCertificateStatus": _ocsp,
    "SignCertificate": _sign,
    "NotifyChargingLimit": _charging_limit,
    "ClearedChargingLimit": _cleared_limit,
    "ReportChargingProfiles": _profiles,
    "NotifyEVChargingSchedule": _schedule,
    "NotifyMonitoringReport": _monitors,
    "NotifyDisplayMessages": _displays,
    "ReservationStatusUpdate": _reservation,
    "PublishFirmwareStatusNotification": _published,
}
"""Actions whose requests need more than ``fit``; those of transactions, meters, needs and events are told by ``csms_side``."""


# -- events ------------------------------------------------------------------------------------------------------

STATES: Final = ("Available", "Occupied", "Reserved", "Unavailable", "Faulted")


def events_as_states(payload: Payload) -> tuple[list[Payload], Payload | None]:
    """(StatusNotifications, what is left of a NotifyEvent): 2.1 stations report connectors by AvailabilityState, 2.0.1 CSMSs expect the
    older message (G01)."""
    events = items(payload, "eventData")
    states = [state for event in events if (state := _state(event)) is not None]
    left = [event for event in events if _state(event) is None]
    return states, ({**payload, "eventData": left} if left else None)


def _state(event: Payload) -> Payload | None:
    component, variable = inner(event, "component"), inner(event, "variable")
    place = inner(component, "evse")
    evse_id, connector_id = place.get("id"), place.get("connectorId")
    if component.get("name") != "Connector" or variable.get("name") != "AvailabilityState" or event.get("actualValue") not in STATES:
        return None
    if not isinstance(evse_id, int) or not isinstance(connector_id, int):
        return None
    return {"timestamp": event.get("timestamp"), "connectorStatus": event["actualValue"], "evseId": evse_id, "connectorId": connector_id}


def alarm_event(payload: Payload, event_id: int) -> Payload:
    """NotifyDERAlarm as a NotifyEvent: the grid fault is a Problem of the charging station, by type of control (N07)."""
    ended = payload.get("alarmEnded") is True
    event = {
        "eventId": event_id,
        "timestamp": payload.get("timestamp"),
        "trigger": "Alerting",
        "actualValue": "false" if ended else "true",
        "techCode": str(payload.get("gridEventFault", "DERAlarm"))[:50],
        "techInfo": str(payload.get("extraInfo", ""))[:500],
        "cleared": ended,
        "eventNotificationType": "HardWiredNotification",
        "component": {"name": "ChargingStation"},
        "variable": {"name": "Problem", "instance": str(payload.get("controlType", ""))[:50]},
    }
    return {"generatedAt": payload.get("timestamp"), "tbc": False, "seqNo": 0, "eventData": [event]}
