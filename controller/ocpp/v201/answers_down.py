"""Answers of 2.1 as 2.0.1 can be told them, of either direction. What 2.0.1 has no place for is taken out later by ``fit``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from controller.ocpp.hub import Payload
from controller.ocpp.v2.passing import inner, items, longer
from controller.ocpp.v201 import schedules, words
from controller.ocpp.v201.display import with_plain

Told = Callable[[Payload], Payload]


# -- of a CSMS, to a station ---------------------------------------------------------------------------------


def _token_info(payload: Payload) -> Payload:
    """AuthorizeResponse and TransactionEventResponse: texts for the driver."""
    made = with_plain(payload, "updatedPersonalMessage")
    if isinstance(payload.get("idTokenInfo"), dict):
        made = {**made, "idTokenInfo": with_plain(payload["idTokenInfo"], "personalMessage")}
    return made


def _contract(payload: Payload) -> Payload:
    if not longer(payload.get("exiResponse"), words.MAX_EXI_ANSWER_CHARS):
        return payload
    why = f"the answer of the CSMS is longer than the {words.MAX_EXI_ANSWER_CHARS} characters of 2.0.1"
    return {"status": "Failed", "exiResponse": "", "statusInfo": {"reasonCode": "TooLargeElement", "additionalInfo": why}}


def _ocsp(payload: Payload) -> Payload:
    if not longer(payload.get("ocspResult"), words.MAX_OCSP_CHARS):
        return payload
    why = f"the answer of the CSMS is longer than the {words.MAX_OCSP_CHARS} characters of 2.0.1"
    return {"status": "Failed", "statusInfo": {"reasonCode": "TooLargeElement", "additionalInfo": why}}


def _needs(payload: Payload) -> Payload:
    """NoChargingProfile is known to 2.0.1 as Rejected: the car charges without a schedule (K15)."""
    return {**payload, "status": "Rejected"} if payload.get("status") == "NoChargingProfile" else payload


# -- of a station, to a CSMS -----------------------------------------------------------------------------------


def _composite(payload: Payload) -> Payload:
    schedule = inner(payload, "schedule")
    if not schedule:
        return payload
    said = schedules.told(schedule)
    if said is not None:
        return {**payload, "schedule": said}
    why = "the schedule has no limit that 2.0.1 could say"
    return {"status": "Rejected", "statusInfo": {"reasonCode": "UnsupportedParam", "additionalInfo": why}}


def _certificates(payload: Payload) -> Payload:
    """Without roots of vehicle makers; none left is NotFound."""
    if "certificateHashDataChain" not in payload:
        return payload
    known = [item for item in items(payload, "certificateHashDataChain") if item.get("certificateType") != "OEMRootCertificate"]
    rest = {key: value for key, value in payload.items() if key != "certificateHashDataChain"}
    return {**rest, "certificateHashDataChain": known} if known else {**rest, "status": "NotFound"}


def _renamed(words_of_21: dict[str, str]) -> Told:
    """A status that 2.0.1 does not have becomes the nearest; its reason stays in statusInfo."""
    return lambda payload: {**payload, "status": words_of_21.get(str(payload.get("status")), payload.get("status"))}


def _monitors(payload: Payload) -> Payload:
    """A type that a 2.0.1 CSMS cannot have asked for; a station that answers so has set the nearest there is."""
    results = items(payload, "setMonitoringResult")
    return {**payload, "setMonitoringResult": [{**item, "type": _monitor_type(item.get("type"))} for item in results]}


def _monitor_type(word: Any) -> Any:
    return words.MONITORS_OF_21.get(str(word), word)


TOLD: Final[dict[str, Told]] = {
    "Authorize": _token_info,
    "TransactionEvent": _token_info,
    "Get15118EVCertificate": _contract,
    "GetCertificateStatus": _ocsp,
    "NotifyEVChargingNeeds": _needs,
    "GetCompositeSchedule": _composite,
    "GetInstalledCertificateIds": _certificates,
    "ClearDisplayMessage": _renamed({"Rejected": "Unknown"}),
    "SetVariableMonitoring": _monitors,
    "SetDisplayMessage": _renamed({"LanguageNotSupported": "Rejected"}),
}
"""Actions whose answers need more than ``fit``."""
