"""What 2.1 adds to the answers for an absent CSMS and to the refusals towards one."""

from __future__ import annotations

from typing import Any, Final

from controller.facts import Stamp
from controller.ocpp.dialect import Payload
from controller.ocpp.times import timestamp
from controller.ocpp.v2.refusals import REFUSALS, WHY, Refusal, per_item, status

_AWAY: Final = {"reasonCode": "NotEnabled", "additionalInfo": "the CSMS is away"}

_FIXED: Final[dict[str, Payload]] = {
    "BatterySwap": {},
    "NotifySettlement": {},
    "NotifyDERAlarm": {},
    "NotifyDERStartStop": {},
    "NotifyPriorityCharging": {},
    "ReportDERControl": {},
    "ClosePeriodicEventStream": {},
    # Nobody listens: the station need not send (N11).
    "OpenPeriodicEventStream": {"status": "Rejected", "statusInfo": _AWAY},
    # Charging goes on with the profiles there are. Rejected would end ISO 15118-20 sessions (trap 22), and
    # after Accepted the car waits a minute for a schedule that nobody has promised (K18, K19, Q01).
    "NotifyEVChargingNeeds": {"status": "NoChargingProfile"},
}


def answer(at: Stamp, action: str, payload: Payload) -> Payload | None:
    """The answer where 2.1 has its own; None where it is that of 2.0.1, or where there is none."""
    if action == "VatNumberValidation":
        return _vat_number(payload)
    if action == "GetCertificateChainStatus":
        return _chain_status(at, payload)
    if action == "TransactionEvent":
        return _paid(payload.get("idToken"))
    fixed = _FIXED.get(action)
    return dict(fixed) if fixed is not None else None


def _paid(token: Any) -> Payload | None:
    """A card payment that the terminal's own provider has approved is no question to the CSMS any more (C18.FR.03)."""
    direct = isinstance(token, dict) and token.get("type") == "DirectPayment"
    return {"idTokenInfo": {"status": "Accepted"}} if direct else None


def _vat_number(payload: Payload) -> Payload | None:
    number, evse_id = payload.get("vatNumber"), payload.get("evseId")
    if not isinstance(number, str):
        return None
    place = {"evseId": evse_id} if isinstance(evse_id, int) else {}
    return {"vatNumber": number, "status": "Rejected", "statusInfo": _AWAY, **place}


def _chain_status(at: Stamp, payload: Payload) -> Payload | None:
    """Failed per certificate: nobody was asked (M07)."""
    asked = payload.get("certificateStatusRequests")
    if not isinstance(asked, list) or not asked or not all(isinstance(item, dict) for item in asked):
        return None
    if not all(isinstance(item.get("certificateHashData"), dict) and item.get("source") in ("CRL", "OCSP") for item in asked):
        return None
    same = {"status": "Failed", "nextUpdate": timestamp(at.wall_s)}
    return {"certificateStatus": [{"certificateHashData": item["certificateHashData"], "source": item["source"], **same} for item in asked]}


def _tariffs(payload: Payload) -> Payload | None:
    """One result per tariff named; where all are meant, one that names none."""
    ids = payload.get("tariffIds")
    if not ids:
        return {"clearTariffsResult": [{"status": "Rejected", "statusInfo": WHY}]}
    return per_item("tariffIds", "clearTariffsResult", _tariff)(payload)


def _tariff(tariff_id: Any) -> Payload | None:
    return {"tariffId": tariff_id, "status": "Rejected", "statusInfo": WHY} if isinstance(tariff_id, str) else None


_REJECTED: Final = (
    *("AFRRSignal", "AdjustPeriodicEventStream", "ChangeTransactionTariff", "ClearDisplayMessage", "ClearDERControl", "GetDERControl"),
    *("GetTariffs", "NotifyAllowedEnergyTransfer", "RequestBatterySwap", "SetDERControl", "SetDefaultTariff"),
    *("UpdateDynamicSchedule", "UsePriorityCharging"),
)

REFUSALS_21: Final[dict[str, Refusal]] = {
    **REFUSALS,
    **{action: status("Rejected") for action in _REJECTED},
    "ClearTariffs": _tariffs,
}
"""2.1. Without a refusal beside those of 2.0.1: NotifyWebPaymentStarted and GetPeriodicEventStream, whose answers
could only say that the driver was told, or that there are no streams."""
