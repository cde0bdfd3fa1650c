"""What a simulated 1.6 station answers to the CALLs of the other side. connectorId n is EVSE n, 0 the whole station."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from controller.facts import Stamp
from controller.sim import deeds, wire
from controller.sim.car import VOLTAGE_V
from controller.sim.evse import Evse, RemoteStart
from controller.sim.profiles import Session
from controller.sim.v16.profiles import body_of, purpose_of
from controller.sim.voice import Ending, Handler
from controller.sim.wire import Payload

if TYPE_CHECKING:
    from controller.sim.station import SimStation

ACCEPTED: Payload = {"status": "Accepted"}
REJECTED: Payload = {"status": "Rejected"}
RATE_UNIT = "ChargingScheduleAllowedChargingRateUnit"
FIXED_KEYS = {
    "AuthorizeRemoteTxRequests": "false",
    "ChargeProfileMaxStackLevel": "10",
    RATE_UNIT: "Current,Power",
    "ChargingScheduleMaxPeriods": "24",
    "ConnectorPhaseRotation": "Unknown",
    "LocalAuthorizeOffline": "true",
    "MaxChargingProfilesInstalled": "20",
    "SupportedFeatureProfiles": "Core,SmartCharging,RemoteTrigger",
    "TransactionMessageAttempts": "5",
    "TransactionMessageRetryInterval": "5",
}
MAX_SECONDS = 86_400


# -- smart charging ------------------------------------------------------------------------------


def _set_profile(station: SimStation, at: Stamp, payload: Payload) -> Payload:
    raw = payload["csChargingProfiles"]
    if station.faults.refusal(raw, raw["chargingSchedule"], at.mono_s) is not None:
        return REJECTED
    reason = station.profiles.put(payload["connectorId"], body_of(raw), _session(station.evses.get(payload["connectorId"])), at.wall_s)
    return REJECTED if reason else ACCEPTED


def _session(evse: Evse | None) -> Session | None:
    """The transaction as 1.6 means it: from the authorisation on."""
    return evse.transaction.session if evse is not None and evse.transaction is not None and evse.transaction.authorised else None


def _clear_profile(station: SimStation, at: Stamp, payload: Payload) -> Payload:
    criteria = {
        "evseId": payload.get("connectorId"),
        "chargingProfilePurpose": purpose_of(payload.get("chargingProfilePurpose")),
        "stackLevel": payload.get("stackLevel"),
    }
    removed = station.profiles.clear(payload["id"], {}) if "id" in payload else station.profiles.clear(None, criteria)
    return ACCEPTED if removed else {"status": "Unknown"}


def _composite(station: SimStation, at: Stamp, payload: Payload) -> Payload:
    connector_id, duration_s, unit = payload["connectorId"], payload["duration"], payload.get("chargingRateUnit", "A")
    if connector_id != 0 and connector_id not in station.evses:
        return REJECTED
    chosen = _named(station, connector_id)
    phases = max(len(evse.spec.site_phases) for evse in chosen)
    factor = 1.0 if unit == "A" else VOLTAGE_V * phases
    steps = deeds.schedule(station, at, chosen, duration_s)
    schedule = {
        "duration": duration_s,
        "startSchedule": wire.iso(at.wall_s),
        "chargingRateUnit": unit,
        "chargingSchedulePeriod": [{"startPeriod": start, "limit": round(limit_a * factor, 1), "numberPhases": phases} for start, limit_a in steps],
    }
    return {**ACCEPTED, "connectorId": connector_id, "scheduleStart": wire.iso(at.wall_s), "chargingSchedule": schedule}


def _named(station: SimStation, connector_id: int | None) -> list[Evse]:
    return [station.evses[connector_id]] if connector_id else list(station.evses.values())


# -- start, stop, availability ---------------------------------------------------------------------


def _remote_start(station: SimStation, at: Stamp, payload: Payload) -> Payload:
    raw = payload.get("chargingProfile")
    if raw is not None and raw["chargingProfilePurpose"] != "TxProfile":
        return REJECTED
    wanted = RemoteStart({"idToken": payload["idTag"], "type": "Central"}, None, None if raw is None else body_of(raw))
    evse = deeds.start(station, at, _named(station, payload.get("connectorId")), wanted)
    return REJECTED if evse is None else ACCEPTED


def _remote_stop(station: SimStation, at: Stamp, payload: Payload) -> Payload:
    return ACCEPTED if deeds.stop(station, at, str(payload["transactionId"])) else REJECTED


def _change_availability(station: SimStation, at: Stamp, payload: Payload) -> Payload:
    scheduled = deeds.set_available(station, at, _named(station, payload["connectorId"]), payload["type"] == "Operative")
    return {"status": "Scheduled"} if scheduled else ACCEPTED


def _unlock(station: SimStation, at: Stamp, payload: Payload) -> Payload:
    """The cable is let go of: whoever charges there has done so (16 5.18)."""
    station.end(at, station.evses[payload["connectorId"]], Ending.UNLOCKED)
    return {"status": "Unlocked"}


def _reset(station: SimStation, at: Stamp, payload: Payload) -> Payload:
    station.reboot(at, Ending.HARD_RESET if payload["type"] == "Hard" else Ending.RESET)
    return ACCEPTED


# -- reports ---------------------------------------------------------------------------------------


def _trigger(station: SimStation, at: Stamp, payload: Payload) -> Payload:
    wanted = payload["requestedMessage"]
    if wanted == "BootNotification":
        station.boot_now(at)
        return ACCEPTED
    if wanted in IDLE:
        station.say(wanted, {"status": "Idle"})
        return ACCEPTED
    if wanted == "Heartbeat":
        station.say(wanted, {})
        return ACCEPTED
    make = TRIGGERS.get(wanted)
    if make is None:
        return {"status": "NotImplemented"}
    for evse in _named(station, payload.get("connectorId")):
        make(station, at, evse)
    return ACCEPTED


IDLE = ("DiagnosticsStatusNotification", "FirmwareStatusNotification")
TRIGGERS: Mapping[str, Callable[[SimStation, Stamp, Evse], None]] = {
    "StatusNotification": deeds.tell_status_again,
    "MeterValues": lambda station, at, evse: station.voice.meter_values(station, at, evse),
}


def _get_configuration(station: SimStation, _at: Stamp, payload: Payload) -> Payload:
    known = {key.lower(): {"key": key, "readonly": True, "value": value} for key, value in _fixed(station).items()}
    known |= {key.lower(): {"key": key, "readonly": False, "value": value} for (_, key), value in station.settings.items()}
    asked: list[str] = payload.get("key") or list(known)
    unknown = [key for key in asked if key.lower() not in known]
    found = [known[key.lower()] for key in asked if key.lower() in known]
    return {"configurationKey": found, **({"unknownKey": unknown} if unknown else {})}


def _change_configuration(station: SimStation, _at: Stamp, payload: Payload) -> Payload:
    name, value = payload["key"].lower(), payload["value"]
    key = next((key for key in station.settings if key[1].lower() == name), None)
    if key is None:
        return REJECTED if name in {fixed.lower() for fixed in _fixed(station)} else {"status": "NotSupported"}
    if not (value.isascii() and value.isdigit() and 1 <= int(value) <= MAX_SECONDS):
        return REJECTED
    station.settings[key] = value
    return ACCEPTED


def _fixed(station: SimStation) -> dict[str, str]:
    unit = {"A": "Current", "W": "Power"}.get(station.faults.only_unit, FIXED_KEYS[RATE_UNIT])
    return {**FIXED_KEYS, RATE_UNIT: unit, "NumberOfConnectors": str(len(station.evses))}


COMMANDS: Mapping[str, Handler] = {
    "SetChargingProfile": _set_profile,
    "ClearChargingProfile": _clear_profile,
    "GetCompositeSchedule": _composite,
    "RemoteStartTransaction": _remote_start,
    "RemoteStopTransaction": _remote_stop,
    "ChangeAvailability": _change_availability,
    "UnlockConnector": _unlock,
    "Reset": _reset,
    "TriggerMessage": _trigger,
    "GetConfiguration": _get_configuration,
    "ChangeConfiguration": _change_configuration,
    "ClearCache": lambda _station, _at, _payload: ACCEPTED,
    "DataTransfer": lambda _station, _at, _payload: {"status": "UnknownVendorId"},
}
