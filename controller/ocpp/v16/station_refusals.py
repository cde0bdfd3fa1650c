"""What a 1.6 station cannot be asked, and the answer that says so in the hub's own words (OCPP-NOTES 12.1).

Where the answer's schema has a word for "no" it is used; where it has none (CostUpdated: {} would mean that it was done), the
answer is CALLERROR NotSupported.
"""

from __future__ import annotations

from typing import Any, Final

from controller.ocpp.hub import Failed, Message, Payload, Reply, Said
from controller.ocpp.v16.station_state import no
from controller.ocpp.v16.words import without_none

REFUSED: Final[dict[str, str]] = {
    "AFRRSignal": "1.6 knows no frequency regulation",
    "AdjustPeriodicEventStream": "1.6 has no event streams",
    "ChangeTransactionTariff": "1.6 knows no tariffs",
    "ClearDERControl": "1.6 has no control of inverters",
    "ClearDisplayMessage": "1.6 has no messages on the display",
    "ClearTariffs": "1.6 knows no tariffs",
    "ClearVariableMonitoring": "1.6 has no monitors",
    "CostUpdated": "1.6 cannot show costs",
    "CustomerInformation": "1.6 cannot tell what it stores of a customer",
    "GetDERControl": "1.6 has no control of inverters",
    "GetDisplayMessages": "1.6 has no messages on the display",
    "GetMonitoringReport": "1.6 has no monitors",
    "GetPeriodicEventStream": "1.6 has no event streams: there is none to name",
    "GetTariffs": "1.6 knows no tariffs",
    "NotifyAllowedEnergyTransfer": "1.6 knows no ISO 15118 energy services",
    "NotifyWebPaymentStarted": "1.6 cannot show a payment",
    "PublishFirmware": "only a local controller publishes firmware",
    "RequestBatterySwap": "1.6 knows no battery swap",
    "SetDERControl": "1.6 has no control of inverters",
    "SetDefaultTariff": "1.6 knows no tariffs",
    "SetDisplayMessage": "1.6 has no messages on the display",
    "SetMonitoringBase": "1.6 has no monitors",
    "SetMonitoringLevel": "1.6 has no monitors",
    "SetNetworkProfile": "1.6 keeps its network in keys of its vendor",
    "SetVariableMonitoring": "1.6 has no monitors",
    "UnpublishFirmware": "only a local controller publishes firmware",
    "UpdateDynamicSchedule": "1.6 has no profiles that change in place",
    "UsePriorityCharging": "1.6 has no priority charging",
}
"""Action -> why."""

PARTLY: Final[dict[str, str]] = {
    "ChangeAvailability": "Rejected for a connector other than 1 of an EVSE: a 1.6 connector is an EVSE",
    "CertificateSigned": "V2G certificates go as plug and charge (DataTransfer), Rejected by a station without it",
    "GetChargingProfiles": "tells what the CSMS has set through here; 1.6 cannot be asked",
    "GetInstalledCertificateIds": "V2G and MO roots only as plug and charge (DataTransfer)",
    "GetLog": "DataCollectorLog Rejected; SecurityLog Rejected by a station without the whitepaper",
    "GetTransactionStatus": "from what has come through here; 1.6 cannot be asked",
    "InstallCertificate": "V2G, MO and OEM roots go as plug and charge (DataTransfer), Rejected by a station without it",
    "MeterValues": "of the station: Temperature, RPM and what is no number are left out; without a transactionId they go with what runs there",
    "RequestStartTransaction": "groupIdToken has no place in 1.6 and is left out",
    "ReserveNow": "connectorType without evseId Rejected where there are several EVSEs",
    "Reset": "of one EVSE of several, and ImmediateAndResume, Rejected",
    "SendLocalList": "who may charge at some EVSEs only is not listed: the CSMS is asked each time",
    "SetChargingProfile": "Rejected: setpoints, discharge, Dynamic, PriorityCharging, LocalGeneration, useLocalTime, maxOfflineDuration",
    "SetVariables": "attributes other than Actual, and variables that are no key, refused item by item",
    "StatusNotification": "of the station: Preparing and Finishing are both Occupied",
    "TriggerMessage": "SignV2G20Certificate, PublishFirmwareStatusNotification and CustomTrigger NotImplemented",
    "UpdateFirmware": "signed, Rejected by a station without the whitepaper; unsigned, installDateTime delays the download",
}
"""Action -> what of it 1.6 cannot say, and what happens then. Decided where it is read."""

_WORDS: Final = {
    **dict.fromkeys(("ClearDERControl", "GetDERControl", "SetDERControl", "GetMonitoringReport", "SetMonitoringBase"), "NotSupported"),
    **dict.fromkeys(("ClearDisplayMessage", "GetDisplayMessages"), "Unknown"),
    "UsePriorityCharging": "NoProfile",
}
"""status where it is not Rejected."""
_WORDLESS: Final = ("CostUpdated", "NotifyWebPaymentStarted")


def refuse(message: Message) -> Reply | None:
    """The refusal of a hub message; None for one that is not refused as a whole."""
    why, payload = REFUSED.get(message.action), message.payload
    if why is None:
        return None
    if message.action in _WORDLESS:
        return Failed("NotSupported", why)
    if message.action == "GetPeriodicEventStream":
        return Said({})
    if message.action == "UnpublishFirmware":
        return Said({"status": "NoFirmware"})
    found = _LISTS.get(message.action)
    return Said(found(payload) if found is not None else no("UnsupportedRequest", why, _WORDS.get(message.action, "Rejected")))


def _items(values: Any) -> list[Any]:
    return values if isinstance(values, list) else []


def _monitors(payload: Payload) -> Payload:
    """Refused one by one."""
    names = ("id", "type", "severity", "component", "variable")
    items = [item for item in _items(payload.get("setMonitoringData")) if isinstance(item, dict)]
    refused = {"status": "UnsupportedMonitorType"}
    return {"setMonitoringResult": [without_none({name: item.get(name) for name in names}) | refused for item in items]}


def _cleared_monitors(payload: Payload) -> Payload:
    return {"clearMonitoringResult": [{"id": number, "status": "NotFound"} for number in _items(payload.get("id"))]}


def _tariffs(payload: Payload) -> Payload:
    named = _items(payload.get("tariffIds"))
    return {"clearTariffsResult": [{"tariffId": name, "status": "NoTariff"} for name in named] or [{"status": "NoTariff"}]}


_LISTS: Final = {"SetVariableMonitoring": _monitors, "ClearVariableMonitoring": _cleared_monitors, "ClearTariffs": _tariffs}
