"""Our own CALLs to a 1.6 station: setpoints and floors as charging profiles, and what goes with them.

A TxProfile names its transaction by the integer id the station knows (16 3.13); where that is not known, it
is written as a default of finite life. 1.6 cannot say which phase to use, nor anything of V2X.
"""

from __future__ import annotations

from typing import Final

from controller.ocpp import command_fields as fields
from controller.ocpp.dialect import Payload, Setpoint
from controller.ocpp.v16.transactions import id_number
from controller.orders import Strategy

Call = tuple[str, Payload]
PURPOSES: Final = {"tx": "TxProfile", "tx_default": "TxDefaultProfile", fields.STATION_MAX: "ChargePointMaxProfile"}


def set_profile(setpoint: Setpoint) -> Call:
    """A setpoint: a profile of finite life, in the way of its strategy."""
    return _profile_call(setpoint, fields.kind(setpoint.strategy), fields.schedule(setpoint, fields.limit_period(setpoint)))


def set_floor(floor: Setpoint) -> Call:
    """The persistent fallback: TxDefaultProfile or ChargePointMaxProfile, without end."""
    return _profile_call(floor, fields.floor_kind(floor.strategy), fields.floor_schedule(floor))


def _profile_call(setpoint: Setpoint, kind: str, schedule: Payload) -> Call:
    given = purpose(setpoint)
    schedule["chargingSchedulePeriod"] = [_without_choice(period) for period in schedule["chargingSchedulePeriod"]]
    profile: Payload = {
        "chargingProfileId": setpoint.profile_id,
        "stackLevel": setpoint.stack_level,
        "chargingProfilePurpose": PURPOSES[given],
        "chargingProfileKind": kind,
        "chargingSchedule": schedule,
    }
    if given == "tx":
        profile["transactionId"] = id_number(setpoint.transaction_id or "")
    return "SetChargingProfile", {"connectorId": fields.place(setpoint.strategy, setpoint.evse_id), "csChargingProfiles": profile}


def purpose(setpoint: Setpoint) -> str:
    """The purpose a setpoint really gets: no TxProfile without an id the station can know (B28)."""
    number = id_number(setpoint.transaction_id or "")
    return fields.purpose(setpoint.strategy, number is not None and number > 0)


def _without_choice(period: Payload) -> Payload:
    return {key: value for key, value in period.items() if key != "phaseToUse"}


def clear_own(profile_id: int) -> Call:
    """Take out one of our profiles."""
    return "ClearChargingProfile", {"id": profile_id}


def clear_foreign(evse_id: int, floor: bool, strategy: Strategy) -> list[Call]:
    """Profiles in the place of ours, left by a CSMS from before.

    For a floor all of its purpose, at the connector and at the station; for a setpoint those at its own stack level, or all TxProfiles.
    """
    tx, word = strategy.purpose == "tx", PURPOSES[strategy.purpose]
    places = (evse_id,) if tx else (0,) if strategy.purpose == fields.STATION_MAX else tuple(dict.fromkeys((evse_id, 0)))
    stack = {} if floor or tx else {"stackLevel": strategy.stack_level}
    return [("ClearChargingProfile", {"connectorId": place, "chargingProfilePurpose": word, **stack}) for place in places]


def read_back(evse_id: int, duration_s: int, unit: str) -> Call:
    """Ask what is really in force."""
    return "GetCompositeSchedule", {"connectorId": evse_id, "duration": duration_s, "chargingRateUnit": unit}


def ask_status(evse_id: int) -> Call:
    """Ask for a StatusNotification: some cars wake up from what the station does for it (trap 19)."""
    return "TriggerMessage", {"requestedMessage": "StatusNotification", "connectorId": evse_id}


def set_available(evse_id: int, operative: bool) -> Call:
    """ChangeAvailability of one connector; during a transaction the station answers Scheduled and goes on."""
    return "ChangeAvailability", {"connectorId": evse_id, "type": "Operative" if operative else "Inoperative"}
