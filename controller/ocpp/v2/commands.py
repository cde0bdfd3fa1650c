"""Our own CALLs to a 2.x station: setpoints and floors as charging profiles, and what goes with them.

A setpoint ends by itself and the station falls back to its floor (K02.FR.08). 2.0.1 and 2.1 write the same
but for what ``controller.ocpp.v21.commands`` adds.
"""

from __future__ import annotations

from typing import Final

from controller.ocpp import command_fields as fields
from controller.ocpp.dialect import Payload, Setpoint
from controller.orders import Strategy

Call = tuple[str, Payload]
PURPOSES: Final = {"tx": "TxProfile", "tx_default": "TxDefaultProfile", fields.STATION_MAX: "ChargingStationMaxProfile"}


def set_profile(setpoint: Setpoint) -> Call:
    """A setpoint: a profile of finite life, in the way of its strategy; without a transaction a default instead of a TxProfile."""
    return profile_call(setpoint, fields.kind(setpoint.strategy), fields.schedule(setpoint, fields.limit_period(setpoint)))


def profile_call(setpoint: Setpoint, kind: str, schedule: Payload, **extras: object) -> Call:
    """SetChargingProfile with one schedule of ours. extras: further fields of the profile."""
    purpose = fields.purpose(setpoint.strategy, bool(setpoint.transaction_id))
    profile: Payload = {
        "id": setpoint.profile_id,
        "stackLevel": setpoint.stack_level,
        "chargingProfilePurpose": PURPOSES[purpose],
        "chargingProfileKind": kind,
        "chargingSchedule": [{"id": setpoint.profile_id, **schedule}],
        **extras,
    }
    if purpose == "tx":
        profile["transactionId"] = setpoint.transaction_id
    return "SetChargingProfile", {"evseId": fields.place(setpoint.strategy, setpoint.evse_id), "chargingProfile": profile}


def set_floor(floor: Setpoint) -> Call:
    """The persistent fallback: TxDefaultProfile (K03, K07) or ChargingStationMaxProfile (K04), without end."""
    return profile_call(floor, fields.floor_kind(floor.strategy), fields.floor_schedule(floor))


def clear_own(profile_id: int) -> Call:
    """Take out one of our profiles (K10)."""
    return "ClearChargingProfile", {"chargingProfileId": profile_id}


def clear_foreign(evse_id: int, floor: bool, strategy: Strategy) -> list[Call]:
    """Profiles in the place of ours, left by a CSMS from before (K01.FR.06, FR.39, FR.53).

    For a floor all of its purpose, at the EVSE and at the station; for a setpoint those at its own stack level, or all TxProfiles.
    """
    purpose = strategy.purpose
    if purpose == "tx":
        return [clear_matching(evse_id, purpose)]
    places = (0,) if purpose == fields.STATION_MAX else tuple(dict.fromkeys((evse_id, 0)))
    return [clear_matching(place, purpose, None if floor else strategy.stack_level) for place in places]


def clear_matching(evse_id: int, purpose: str, stack_level: int | None = None) -> Call:
    """ClearChargingProfile of a purpose at an EVSE, 0 = the station. purpose: of ours, or any in the words of OCPP."""
    criteria: Payload = {"evseId": evse_id, "chargingProfilePurpose": PURPOSES.get(purpose, purpose)}
    if stack_level is not None:
        criteria["stackLevel"] = stack_level
    return "ClearChargingProfile", {"chargingProfileCriteria": criteria}


def read_back(evse_id: int, duration_s: int, unit: str) -> Call:
    """Ask what is really in force (K08)."""
    return "GetCompositeSchedule", {"evseId": evse_id, "duration": duration_s, "chargingRateUnit": unit}


def ask_status(evse_id: int) -> Call:
    """Ask for a StatusNotification: some cars wake up from what the station does for it (F06, trap 19)."""
    return "TriggerMessage", {"requestedMessage": "StatusNotification", "evse": {"id": evse_id, "connectorId": 1}}


def set_available(evse_id: int, operative: bool) -> Call:
    """ChangeAvailability of one EVSE (G03); during a transaction the station answers Scheduled and goes on."""
    return "ChangeAvailability", {"operationalStatus": "Operative" if operative else "Inoperative", "evse": {"id": evse_id}}
