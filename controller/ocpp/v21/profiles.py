"""Charging profiles of 2.1: what is new in them is looked at first, the rest is read as in 2.0.1.

Yardmaster evaluates limits over time. Whatever else a 2.1 profile can ask for is Rejected with the
reason the specification names, so that the CSMS knows it is not done; an ignored field could mean
more power than was meant. Prices and signatures limit nothing: they are kept and reported.
"""

from __future__ import annotations

from typing import Any, Final

from controller.ocpp.dialect import Payload
from controller.ocpp.schedule import Profile, ProfileError
from controller.ocpp.v2 import profiles

PROFILE_EXTRAS: Final = ("priceScheduleSignature", *profiles.PROFILE_EXTRAS)
SCHEDULE_EXTRAS: Final = (
    *("powerTolerance", "signatureId", "digestValue", "absolutePriceSchedule", "priceLevelSchedule"),
    *profiles.SCHEDULE_EXTRAS,
)

_PER_PHASE: Final = ("limit_L2", "limit_L3")
_V2X: Final = (
    *("dischargeLimit", "dischargeLimit_L2", "dischargeLimit_L3", "setpoint", "setpoint_L2", "setpoint_L3"),
    *("setpointReactive", "setpointReactive_L2", "setpointReactive_L3", "v2xBaseline", "v2xFreqWattCurve", "v2xSignalWattCurve"),
)
_CAR_COMFORT: Final = ("preconditioningRequest", "evseSleep")


def read_set_profile(payload: Payload, *, in_start: bool = False) -> tuple[int, Profile]:
    """(evse_id, profile). Raises ProfileError, also for all of 2.1 that is not evaluated here."""
    raw = payload.get("chargingProfile")
    if isinstance(raw, dict):
        _check_profile(raw)
        for schedule in _objects(raw.get("chargingSchedule")):
            _check_schedule(schedule)
            for period in _objects(schedule.get("chargingSchedulePeriod")):
                _check_period(period)
    return profiles.read_set_profile(payload, in_start=in_start)


def _objects(values: Any) -> list[Payload]:
    return [value for value in values if isinstance(value, dict)] if isinstance(values, list) else []


def _check_profile(raw: Payload) -> None:
    if raw.get("chargingProfilePurpose") in ("PriorityCharging", "LocalGeneration"):
        raise ProfileError("UnsupportedPurpose", "this purpose is not supported (K01.FR.120)")
    if raw.get("chargingProfileKind") == "Dynamic":
        raise ProfileError("UnsupportedKind", "Dynamic profiles are not supported (K01.FR.121)")
    if _given(raw, "dynUpdateInterval") or _given(raw, "dynUpdateTime"):
        raise ProfileError("InvalidProfile", "only a Dynamic profile has dynUpdateInterval or dynUpdateTime (K01.FR.122)")
    # Whether the station is offline for the CSMS and whether it is offline for us are two things.
    if _given(raw, "maxOfflineDuration") or raw.get("invalidAfterOfflineDuration") not in (None, False):
        raise ProfileError("InvalidProfile", "maxOfflineDuration and invalidAfterOfflineDuration are not supported")


def _check_schedule(raw: Payload) -> None:
    if raw.get("useLocalTime") not in (None, False):
        raise ProfileError("InvalidSchedule", "useLocalTime is not supported (K01.FR.123)")
    if raw.get("randomizedDelay") not in (None, 0):
        raise ProfileError("InvalidSchedule", "randomizedDelay is not supported (K01.FR.124)")
    if _given(raw, "limitAtSoC"):
        raise ProfileError("InvalidSchedule", "limitAtSoC is not supported (K01.FR.125)")


def _check_period(raw: Payload) -> None:
    if raw.get("operationMode") not in (None, "ChargingOnly"):
        raise ProfileError("InvalidOperationMode", "only operationMode ChargingOnly is supported")
    if any(_given(raw, key) for key in _PER_PHASE):
        raise ProfileError("PhaseConflict", "limits of single phases are not supported (K01.FR.142)")
    if any(_given(raw, key) for key in _V2X):
        raise ProfileError("InvalidSchedule", "ChargingOnly has a limit, and neither setpoint nor dischargeLimit nor curves")
    if any(raw.get(key) not in (None, False) for key in _CAR_COMFORT):
        raise ProfileError("InvalidSchedule", "preconditioningRequest and evseSleep are not supported (K01.FR.126)")


def _given(raw: Payload, key: str) -> bool:
    return raw.get(key) is not None
