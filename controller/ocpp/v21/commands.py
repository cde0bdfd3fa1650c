"""Our own CALLs that only 2.1 has: Dynamic profiles, an end when offline, setpoints for cars that give back, Idle.

A Dynamic profile is written once and then updated; its duration counts from the last update, so it is
the dead man (K28.FR.13-15). A V2X setpoint is a TxProfile in W in mode CentralSetpoint, without limit
and dischargeLimit, and the site keeps it inside both (Q03, Q04, OCPP-NOTES 6.2).
"""

from __future__ import annotations

from controller.ocpp import command_fields as fields
from controller.ocpp.dialect import Payload, Setpoint
from controller.ocpp.v2 import commands
from controller.orders import Strategy

CENTRAL = "CentralSetpoint"
IDLE = "Idle"


def set_profile(setpoint: Setpoint) -> commands.Call:
    """A setpoint: Dynamic where its strategy says so, with its operation mode and its end when offline."""
    schedule = fields.schedule(setpoint, _period(setpoint))
    if setpoint.setpoint_w is not None:
        schedule["chargingRateUnit"] = "W"
    if setpoint.strategy.dynamic:
        schedule.pop("startSchedule", None)
    kind = "Dynamic" if setpoint.strategy.dynamic else fields.kind(setpoint.strategy)
    return commands.profile_call(setpoint, kind, schedule, **_offline(setpoint))


def _period(setpoint: Setpoint) -> Payload:
    if setpoint.idle:
        return {"startPeriod": 0, "operationMode": IDLE, **fields.phases(setpoint)}
    if setpoint.setpoint_w is not None:
        return {"startPeriod": 0, "operationMode": CENTRAL, "setpoint": fields.toward_zero(setpoint.setpoint_w), **fields.phases(setpoint)}
    return fields.limit_period(setpoint)


def _offline(setpoint: Setpoint) -> Payload:
    """Ends when the station has been without us for so long, and does not come back by itself (K01.FR.101-103)."""
    longest_s = setpoint.strategy.max_offline_s
    return {} if longest_s is None else {"maxOfflineDuration": max(0, round(longest_s)), "invalidAfterOfflineDuration": True}


def clear_foreign(evse_id: int, floor: bool, strategy: Strategy) -> list[commands.Call]:
    """As in 2.0.1; with a floor also PriorityCharging, which stands above a TxProfile, and LocalGeneration, which adds to any limit (SC.01).

    A floor for the whole station bounds PriorityCharging itself.
    """
    whole = strategy.purpose == fields.STATION_MAX
    purposes = ("LocalGeneration",) if whole else ("PriorityCharging", "LocalGeneration")
    above = [(place, purpose) for place in dict.fromkeys((evse_id, 0)) for purpose in purposes] if floor else []
    return commands.clear_foreign(evse_id, floor, strategy) + [commands.clear_matching(place, purpose) for place, purpose in above]


def update_profile(setpoint: Setpoint) -> commands.Call | None:
    """UpdateDynamicSchedule for a Dynamic profile the station has (K28.FR.06); None where there is nothing to update."""
    if not setpoint.strategy.dynamic or setpoint.idle:
        return None
    if setpoint.setpoint_w is not None:
        update: Payload = {"setpoint": fields.toward_zero(setpoint.setpoint_w)}
    else:
        update = {"limit": fields.limit(setpoint.limit_a, setpoint.phase_count, setpoint.strategy.unit, setpoint.voltage_v)}
    return "UpdateDynamicSchedule", {"chargingProfileId": setpoint.profile_id, "scheduleUpdate": update}
