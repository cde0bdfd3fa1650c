"""What a station of 2.x says that 1.6 has no words for: answered here, honestly, in the station's words, so that it does not say it again.

Nothing is promised in the CSMS's name: nobody will send a schedule, issue a certificate or open a stream. What is the only proof of money
or property (NotifySettlement, BatterySwap) is not acknowledged: the station's session keeps it and a person hears of it. A car is never told
Rejected where that would end its session (trap 22).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from controller.ocpp.hub import Payload
from controller.ocpp.v16.csms_desk import tables

WHY: Final[Payload] = {"reasonCode": "UnsupportedRequest", "additionalInfo": "the CSMS speaks OCPP 1.6, which has no such message"}

REFUSED: Final[dict[str, str]] = {
    "BatterySwap": "CALLERROR NotSupported: nobody would keep the record",
    "ClearedChargingLimit": "1.6 has no word for limits that are not the CSMS's; not told",
    "ClosePeriodicEventStream": "1.6 has no streams",
    "Get15118EVCertificate": "Failed, unless the CSMS knows the plug and charge DataTransfer",
    "GetCertificateChainStatus": "Failed for each certificate: 1.6 cannot ask",
    "GetCertificateStatus": "Failed, unless the CSMS knows the plug and charge DataTransfer",
    "NotifyChargingLimit": "1.6 has no word for limits that are not the CSMS's; not told",
    "NotifyCustomerInformation": "1.6 cannot have asked",
    "NotifyDERAlarm": "1.6 has no grid functions; not told",
    "NotifyDERStartStop": "1.6 has no grid functions; not told",
    "NotifyDisplayMessages": "1.6 cannot have asked",
    "NotifyEvent": "only AvailabilityState and Problem have a word in 1.6 (StatusNotification); other events are not told",
    "NotifyEVChargingNeeds": "NoChargingProfile: a 1.6 CSMS plans no schedule for a car",
    "NotifyEVChargingSchedule": "Accepted and not told",
    "NotifyMonitoringReport": "1.6 cannot have asked",
    "NotifyPeriodicEventStream": "1.6 has no streams",
    "NotifyPriorityCharging": "1.6 has no priority charging; not told",
    "NotifyReport": "1.6 cannot have asked; lengths of lists are kept for GetConfiguration",
    "NotifySettlement": "CALLERROR NotSupported: nobody would keep the payment",
    "OpenPeriodicEventStream": "Rejected: 1.6 has no streams",
    "PublishFirmwareStatusNotification": "1.6 cannot have asked",
    "PullDynamicScheduleUpdate": "Rejected: 1.6 has no dynamic profiles",
    "ReportChargingProfiles": "1.6 cannot have asked",
    "ReportDERControl": "1.6 has no grid functions; not told",
    "ReservationStatusUpdate": "1.6 tells the end of a reservation by the connector's status only",
    "SignCertificate": "Rejected for V2G certificates, unless the CSMS knows the plug and charge DataTransfer",
    "VatNumberValidation": "Rejected: 1.6 has no payments",
}
"""Action of the station -> what becomes of it towards a 1.6 CSMS."""

_EMPTY: Final = (
    *("ClearedChargingLimit", "ClosePeriodicEventStream", "NotifyChargingLimit", "NotifyCustomerInformation", "NotifyDERAlarm"),
    *("NotifyDERStartStop", "NotifyDisplayMessages", "NotifyMonitoringReport", "NotifyPeriodicEventStream", "NotifyPriorityCharging"),
    *("PublishFirmwareStatusNotification", "ReportChargingProfiles", "ReportDERControl", "ReservationStatusUpdate"),
)
_FIXED: Final[dict[str, Payload]] = {
    **{action: {} for action in _EMPTY},
    "NotifyEVChargingNeeds": {"status": "NoChargingProfile"},
    "NotifyEVChargingSchedule": {"status": "Accepted"},
    "OpenPeriodicEventStream": {"status": "Rejected", "statusInfo": WHY},
    "PullDynamicScheduleUpdate": {"status": "Rejected", "statusInfo": WHY},
    "Get15118EVCertificate": {"status": "Failed", "exiResponse": "", "statusInfo": WHY},
    "GetCertificateStatus": {"status": "Failed", "statusInfo": WHY},
}


def local_answer(action: str, payload: Payload, now: Callable[[], str]) -> Payload | None:
    """The answer to what 1.6 cannot be told; None for what it can, or what nobody knows. now: a timestamp."""
    if action == "VatNumberValidation":
        place = {"evseId": payload["evseId"]} if isinstance(payload.get("evseId"), int) else {}
        return {"vatNumber": str(payload.get("vatNumber", ""))[:20], "status": "Rejected", "statusInfo": WHY, **place}
    if action == "GetCertificateChainStatus":
        return {"certificateStatus": [_chain(item, now()) for item in tables(payload.get("certificateStatusRequests"))]}
    fixed = _FIXED.get(action)
    return dict(fixed) if fixed is not None else None


def _chain(item: Payload, moment: str) -> Any:
    return {"certificateHashData": item.get("certificateHashData"), "source": item.get("source"), "status": "Failed", "nextUpdate": moment}
