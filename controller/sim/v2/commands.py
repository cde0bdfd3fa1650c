"""What a simulated 2.x station answers to the CALLs of the other side.

A table from action to a function (station, at, payload) -> payload. Reports that a command asks for
are queued in the station and follow the answer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from controller.facts import Stamp
from controller.sim import deeds, wire
from controller.sim.car import VOLTAGE_V
from controller.sim.evse import Evse, RemoteStart
from controller.sim.v2.variables import fixed_variables, variable_results, variable_set_results
from controller.sim.voice import Ending, Handler, Moment, Settings
from controller.sim.wire import Payload

if TYPE_CHECKING:
    from controller.sim.station import SimStation


def _rejected(reason: str, more: str = "") -> Payload:
    info = {"reasonCode": reason, "additionalInfo": more} if more else {"reasonCode": reason}
    return {"status": "Rejected", "statusInfo": info}


# -- smart charging ------------------------------------------------------------------------------


def _set_profile(station: SimStation, at: Stamp, payload: Payload) -> Payload:
    refusal = station.faults.refusal(payload["chargingProfile"], payload["chargingProfile"]["chargingSchedule"][0], at.mono_s)
    if refusal is not None:
        return _rejected(*refusal)
    evse = station.evses.get(payload["evseId"])
    session = evse.transaction.session if evse and evse.transaction else None
    reason = station.profiles.put(payload["evseId"], payload["chargingProfile"], session, at.wall_s)
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
    factor = 1.0 if unit == "A" else VOLTAGE_V * phases
    steps = deeds.schedule(station, at, chosen, duration_s)
    schedule = {
        "evseId": evse_id,
        "duration": duration_s,
        "scheduleStart": wire.iso(at.wall_s),
        "chargingRateUnit": unit,
        "chargingSchedulePeriod": [{"startPeriod": start, "limit": round(limit_a * factor, 3), "numberPhases": phases} for start, limit_a in steps],
    }
    return {"status": "Accepted", "schedule": schedule}


# -- start, stop, availability ---------------------------------------------------------------------


def _change_availability(station: SimStation, at: Stamp, payload: Payload) -> Payload:
    scheduled = deeds.set_available(station, at, _named(station, payload), payload["operationalStatus"] == "Operative")
    return {"status": "Scheduled" if scheduled else "Accepted"}


def _named(station: SimStation, payload: Payload) -> list[Evse]:
    return [station.evses[payload["evse"]["id"]]] if "evse" in payload else list(station.evses.values())


def _request_start(station: SimStation, at: Stamp, payload: Payload) -> Payload:
    chosen = [station.evses[payload["evseId"]]] if "evseId" in payload else list(station.evses.values())
    evse = deeds.start(station, at, chosen, RemoteStart(payload["idToken"], payload["remoteStartId"], payload.get("chargingProfile")))
    if evse is None:
        return _rejected("NoFreeEvse")
    started = {"transactionId": evse.transaction.session.transaction_id} if evse.transaction else {}
    return {"status": "Accepted", **started}


def _request_stop(station: SimStation, at: Stamp, payload: Payload) -> Payload:
    return {"status": "Accepted"} if deeds.stop(station, at, payload["transactionId"]) else _rejected("TxNotFound")


def _transaction_status(station: SimStation, at: Stamp, payload: Payload) -> Payload:
    wanted, waiting = payload.get("transactionId"), station.queued_transactions()
    if wanted is None:
        return {"messagesInQueue": bool(waiting)}
    running = [evse.transaction.session.transaction_id for evse in station.evses.values() if evse.transaction]
    return {"ongoingIndicator": wanted in running, "messagesInQueue": wanted in waiting}


def _reset(station: SimStation, at: Stamp, payload: Payload) -> Payload:
    if payload["type"] == "OnIdle" and any(evse.transaction for evse in station.evses.values()):
        return _rejected("TxInProgress")
    station.reboot(at, Ending.RESET)
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


def _trigger_event(station: SimStation, at: Stamp, evse: Evse) -> None:
    if evse.transaction is not None:
        station.voice.happened(station, at, evse, Moment.ASKED_FOR)


TRIGGERS: Mapping[str, Callable[[SimStation, Stamp, Evse], None]] = {
    "BootNotification": lambda station, at, _: station.boot_now(at),
    "Heartbeat": lambda station, _at, evse: station.say("Heartbeat", {}) if evse is next(iter(station.evses.values())) else None,
    "StatusNotification": deeds.tell_status_again,
    "MeterValues": lambda station, at, evse: station.voice.meter_values(station, at, evse),
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


def _fixed(station: SimStation) -> Settings:
    return fixed_variables(station.faults.only_unit, station.profiles.dynamic, station.spec.v2x, station.profiles.modes)


COMMANDS: Mapping[str, Handler] = {
    "SetChargingProfile": _set_profile,
    "ClearChargingProfile": _clear_profile,
    "GetChargingProfiles": _get_profiles,
    "GetCompositeSchedule": _composite,
    "ChangeAvailability": _change_availability,
    "RequestStartTransaction": _request_start,
    "RequestStopTransaction": _request_stop,
    "GetTransactionStatus": _transaction_status,
    "TriggerMessage": _trigger,
    "GetVariables": lambda station, _, payload: {"getVariableResult": variable_results(payload, station.settings, _fixed(station))},
    "SetVariables": lambda station, _, payload: {"setVariableResult": variable_set_results(payload, station.settings, _fixed(station))},
    "GetBaseReport": _base_report,
    "ClearCache": lambda _station, _at, _payload: {"status": "Accepted"},
    "UnlockConnector": lambda _station, _at, _payload: {"status": "Unlocked"},
    "DataTransfer": lambda _station, _at, _payload: {"status": "UnknownVendorId"},
    "Reset": _reset,
}
