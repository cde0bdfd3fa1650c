"""What a simulated station answers to the CALLs of the other side.

A table from action to a function (station, at, payload) -> payload. Reports that a command asks for
are queued in the station and follow the answer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from controller.facts import Stamp
from controller.sim import wire
from controller.sim.car import VOLTAGE_V
from controller.sim.evse import Evse
from controller.sim.samples import meter_value
from controller.sim.variables import variable_results, variable_set_results
from controller.sim.wire import Payload

if TYPE_CHECKING:
    from controller.sim.station import SimStation

Handler = Callable[["SimStation", Stamp, Payload], Payload]

BEFORE_ACCEPTED = ("TriggerMessage", "GetBaseReport", "GetVariables", "SetVariables")


def answer(station: SimStation, at: Stamp, message: wire.Message) -> list[str]:
    """The answer to one CALL, [] if the station is in the mood not to answer."""
    if station.faults.never_answers:
        return []
    handler = HANDLERS.get(message.action)
    if handler is None:
        return [wire.error(message.message_id, "NotImplemented", message.action)]
    if not station.accepted and message.action not in BEFORE_ACCEPTED:
        return [wire.error(message.message_id, "SecurityError", "not accepted yet")]  # B02.FR.09
    try:
        return [wire.result(message.message_id, handler(station, at, message.payload))]
    except (KeyError, TypeError, ValueError, AttributeError) as wrong:
        return [wire.error(message.message_id, "FormatViolation", f"{type(wrong).__name__}: {wrong}")]


def _rejected(reason: str) -> Payload:
    return {"status": "Rejected", "statusInfo": {"reasonCode": reason}}


# -- smart charging ------------------------------------------------------------------------------


def _set_profile(station: SimStation, at: Stamp, payload: Payload) -> Payload:
    if station.faults.rejects_profiles:
        return _rejected("InternalError")
    evse = station.evses.get(payload["evseId"])
    session = evse.transaction.session if evse and evse.transaction else None
    reason = station.profiles.put(payload["evseId"], payload["chargingProfile"], session)
    return _rejected(reason) if reason else {"status": "Accepted"}


def _clear_profile(station: SimStation, at: Stamp, payload: Payload) -> Payload:
    removed = station.profiles.clear(payload.get("chargingProfileId"), payload.get("chargingProfileCriteria", {}))
    return {"status": "Accepted" if removed else "Unknown"}


def _get_profiles(station: SimStation, at: Stamp, payload: Payload) -> Payload:
    found = station.profiles.select(payload.get("evseId"), payload["chargingProfile"])
    for index, item in enumerate(found):
        report = {
            "requestId": payload["requestId"],
            "chargingLimitSource": "CSO",
            "evseId": item.evse_id,
            "chargingProfile": [item.body],
            "tbc": index + 1 < len(found),
        }
        station.say("ReportChargingProfiles", report)
    return {"status": "Accepted" if found else "NoProfiles"}


def _composite(station: SimStation, at: Stamp, payload: Payload) -> Payload:
    evse_id, duration_s, unit = payload["evseId"], payload["duration"], payload.get("chargingRateUnit", "A")
    if evse_id != 0 and evse_id not in station.evses:
        return _rejected("UnknownEvse")
    chosen = list(station.evses.values()) if evse_id == 0 else [station.evses[evse_id]]
    phases = max(len(evse.spec.site_phases) for evse in chosen)
    schedule = {
        "evseId": evse_id,
        "duration": duration_s,
        "scheduleStart": wire.iso(at.wall_s),
        "chargingRateUnit": unit,
        "chargingSchedulePeriod": _periods(station, at, chosen, duration_s, phases, 1.0 if unit == "A" else VOLTAGE_V * phases),
    }
    return {"status": "Accepted", "schedule": schedule}


def _periods(station: SimStation, at: Stamp, chosen: list[Evse], duration_s: float, phases: int, factor: float) -> list[Payload]:
    started = min((evse.transaction.session.started_wall_s for evse in chosen if evse.transaction), default=at.wall_s)
    periods: list[Payload] = []
    for moment in station.profiles.edges(at.wall_s, at.wall_s + duration_s, started):
        limit = round(factor * _limit_a(station, replace(at, wall_s=moment), chosen), 3)
        if not periods or periods[-1]["limit"] != limit:
            periods.append({"startPeriod": round(moment - at.wall_s), "limit": limit, "numberPhases": phases})
    return periods


def _limit_a(station: SimStation, at: Stamp, chosen: Iterable[Evse]) -> float:
    """Sum of the EVSEs' limits per phase [A] (K08.FR.04)."""
    total_a = 0.0
    for evse in chosen:
        session = evse.transaction.session if evse.transaction else None
        own_a = station.profiles.evse_limit_a(evse.spec.id, at.wall_s, session)
        total_a += evse.spec.max_current_a if own_a is None else min(evse.spec.max_current_a, own_a)
    whole_a = station.profiles.station_limit_a(at.wall_s)
    return total_a if whole_a is None else min(total_a, whole_a)


# -- start, stop, availability ---------------------------------------------------------------------


def _change_availability(station: SimStation, at: Stamp, payload: Payload) -> Payload:
    operative = payload["operationalStatus"] == "Operative"
    scheduled = False
    for evse in _named(station, payload):
        waits = not operative and evse.transaction is not None  # G03.FR.05: not while somebody charges
        evse.inoperative_next = waits
        evse.operative = evse.operative if waits else operative
        scheduled = scheduled or waits
        station.report_status(at, evse)
    return {"status": "Scheduled" if scheduled else "Accepted"}


def _named(station: SimStation, payload: Payload) -> list[Evse]:
    return [station.evses[payload["evse"]["id"]]] if "evse" in payload else list(station.evses.values())


def _request_start(station: SimStation, at: Stamp, payload: Payload) -> Payload:
    chosen = [station.evses[payload["evseId"]]] if "evseId" in payload else list(station.evses.values())
    evse = next((item for item in chosen if item.operative and not (item.transaction and item.transaction.authorised)), None)
    if evse is None:
        return _rejected("NoFreeEvse")
    if evse.transaction is not None:
        station.remote_start(at, evse, evse.transaction, payload)
    else:
        evse.pending_start = payload
        if evse.car is not None:
            station.begin(at, evse, payload["idToken"])
    started = {"transactionId": evse.transaction.session.transaction_id} if evse.transaction else {}
    return {"status": "Accepted", **started}


def _request_stop(station: SimStation, at: Stamp, payload: Payload) -> Payload:
    for evse in station.evses.values():
        if evse.transaction is not None and evse.transaction.session.transaction_id == payload["transactionId"]:
            station.end(at, evse, "RemoteStop", "Remote")
            return {"status": "Accepted"}
    return _rejected("TxNotFound")


def _transaction_status(station: SimStation, at: Stamp, payload: Payload) -> Payload:
    wanted, waiting = payload.get("transactionId"), station.queued_transactions()
    if wanted is None:
        return {"messagesInQueue": bool(waiting)}
    running = [evse.transaction.session.transaction_id for evse in station.evses.values() if evse.transaction]
    return {"ongoingIndicator": wanted in running, "messagesInQueue": wanted in waiting}


def _reset(station: SimStation, at: Stamp, payload: Payload) -> Payload:
    if payload["type"] == "OnIdle" and any(evse.transaction for evse in station.evses.values()):
        return _rejected("TxInProgress")
    station.reboot(at, "RemoteReset")
    return {"status": "Accepted"}


# -- reports ---------------------------------------------------------------------------------------


def _trigger(station: SimStation, at: Stamp, payload: Payload) -> Payload:
    make = TRIGGERS.get(payload["requestedMessage"])
    if make is None:
        return {"status": "NotImplemented"}
    if payload["requestedMessage"] == "BootNotification" and station.accepted:
        return {"status": "Rejected"}
    for evse in _named(station, payload):
        make(station, at, evse)
    return {"status": "Accepted"}


def _trigger_status(station: SimStation, at: Stamp, evse: Evse) -> None:
    evse.reported = ""
    station.report_status(at, evse)


def _trigger_meter_values(station: SimStation, at: Stamp, evse: Evse) -> None:
    station.say("MeterValues", {"evseId": evse.spec.id, "meterValue": [meter_value(at, evse, "Updated", "Trigger")]})


def _trigger_event(station: SimStation, at: Stamp, evse: Evse) -> None:
    if evse.transaction is not None:
        station.event(at, evse, "Updated", "Trigger")


TRIGGERS: Mapping[str, Callable[[SimStation, Stamp, Evse], None]] = {
    "BootNotification": lambda station, at, _: station.boot_now(at),
    "Heartbeat": lambda station, _at, evse: station.say("Heartbeat", {}) if evse is next(iter(station.evses.values())) else None,
    "StatusNotification": _trigger_status,
    "MeterValues": _trigger_meter_values,
    "TransactionEvent": _trigger_event,
}


def _base_report(station: SimStation, at: Stamp, payload: Payload) -> Payload:
    data = [
        {
            "component": {"name": component},
            "variable": {"name": variable},
            "variableAttribute": [{"type": "Actual", "value": value, "mutability": "ReadWrite"}],
            "variableCharacteristics": {"dataType": "integer", "unit": "s", "supportsMonitoring": False},
        }
        for (component, variable), value in station.settings.items()
    ]
    station.say("NotifyReport", {"requestId": payload["requestId"], "generatedAt": wire.iso(at.wall_s), "seqNo": 0, "tbc": False, "reportData": data})
    return {"status": "Accepted"}


HANDLERS: Mapping[str, Handler] = {
    "SetChargingProfile": _set_profile,
    "ClearChargingProfile": _clear_profile,
    "GetChargingProfiles": _get_profiles,
    "GetCompositeSchedule": _composite,
    "ChangeAvailability": _change_availability,
    "RequestStartTransaction": _request_start,
    "RequestStopTransaction": _request_stop,
    "GetTransactionStatus": _transaction_status,
    "TriggerMessage": _trigger,
    "GetVariables": lambda station, _, payload: {"getVariableResult": variable_results(payload, station.settings)},
    "SetVariables": lambda station, _, payload: {"setVariableResult": variable_set_results(payload, station.settings)},
    "GetBaseReport": _base_report,
    "ClearCache": lambda _station, _at, _payload: {"status": "Accepted"},
    "UnlockConnector": lambda _station, _at, _payload: {"status": "Unlocked"},
    "DataTransfer": lambda _station, _at, _payload: {"status": "UnknownVendorId"},
    "Reset": _reset,
}
