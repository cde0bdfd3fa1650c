"""Messages that only 2.1 has, answered here in their own words: nobody on a 2.0.1 leg could be asked (OCPP-NOTES 12.12)."""

from __future__ import annotations

from typing import Final

from controller.facts import Stamp
from controller.ocpp.hub import Failed, Payload, Reply, Said
from controller.ocpp.times import timestamp
from controller.ocpp.v2.passing import Made, always, inner, items, no

# -- of a CSMS, to a 2.0.1 station -------------------------------------------------------------------------------

_STATION: Final = "UnsupportedRequest", "the station speaks OCPP 2.0.1, which does not have this"


def _clear_tariffs(payload: Payload) -> Reply:
    """There is none to clear (I09): one result per tariff named, one without a name where all are meant."""
    ids = [tariff_id for tariff_id in payload.get("tariffIds") or [] if isinstance(tariff_id, str)]
    why = {"status": "NoTariff", "statusInfo": {"reasonCode": _STATION[0], "additionalInfo": _STATION[1]}}
    return Said({"clearTariffsResult": [{"tariffId": tariff_id, **why} for tariff_id in ids] or [why]})


NOT_FOR_STATION: Final[dict[str, Made]] = {
    "AFRRSignal": always(no("Rejected", *_STATION)),
    "AdjustPeriodicEventStream": always(no("Rejected", *_STATION)),
    "ChangeTransactionTariff": always(no("Rejected", *_STATION)),
    "ClearDERControl": always(no("NotSupported", *_STATION)),
    "ClearTariffs": _clear_tariffs,
    "GetDERControl": always(no("NotSupported", *_STATION)),
    # No answer of this action could say no: it would say that there are no streams, which is true.
    "GetPeriodicEventStream": always(Said({})),
    "GetTariffs": always(no("NoTariff", *_STATION)),
    "NotifyAllowedEnergyTransfer": always(no("Rejected", *_STATION)),
    # {} would say that the driver sees it.
    "NotifyWebPaymentStarted": always(Failed("NotSupported", _STATION[1])),
    "RequestBatterySwap": always(no("Rejected", *_STATION)),
    "SetDERControl": always(no("NotSupported", *_STATION)),
    "SetDefaultTariff": always(no("Rejected", *_STATION)),
    "UpdateDynamicSchedule": always(no("Rejected", *_STATION)),
    "UsePriorityCharging": always(no("Rejected", *_STATION)),
}

# -- of a station, to a 2.0.1 CSMS ----------------------------------------------------------------------------------

_CSMS: Final = "UnsupportedRequest", "the CSMS speaks OCPP 2.0.1, which does not have this"


def _vat_number(payload: Payload) -> Reply:
    place = {"evseId": payload["evseId"]} if "evseId" in payload else {}
    why = {"reasonCode": _CSMS[0], "additionalInfo": _CSMS[1]}
    return Said({"vatNumber": payload.get("vatNumber"), "status": "Rejected", "statusInfo": why, **place})


def chain_status(at: Stamp, payload: Payload) -> Reply:
    """Failed per certificate: nobody was asked (M07)."""
    same = {"status": "Failed", "nextUpdate": timestamp(at.wall_s)}
    asked = [(inner(item, "certificateHashData"), item.get("source")) for item in items(payload, "certificateStatusRequests")]
    return Said({"certificateStatus": [{"certificateHashData": data, "source": source, **same} for data, source in asked]})


NOT_FOR_CSMS: Final[dict[str, Made]] = {
    "ClosePeriodicEventStream": always(Said({})),
    "NotifyDERStartStop": always(Said({})),
    "NotifyPriorityCharging": always(Said({})),
    "ReportDERControl": always(Said({})),
    # Evidence of money and of what was handed over: {} would say that somebody has it.
    "BatterySwap": always(Failed("NotSupported", _CSMS[1])),
    "NotifySettlement": always(Failed("NotSupported", _CSMS[1])),
    "OpenPeriodicEventStream": always(no("Rejected", *_CSMS)),
    "PullDynamicScheduleUpdate": always(no("Rejected", *_CSMS)),
    "VatNumberValidation": _vat_number,
}
"""GetCertificateChainStatus (it needs the time) and NotifyDERAlarm (it becomes a NotifyEvent) are told by ``csms_side``; NotifyPeriodicEventStream
has no answer."""
