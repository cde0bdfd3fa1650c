"""Charging profiles of 2.1: read as in 2.0.1, with all that is new judged by its own rules, reported and put into composites.

New and evaluated: purposes PriorityCharging and LocalGeneration, Dynamic profiles, useLocalTime, randomizedDelay, limitAtSoC,
maxOfflineDuration, limits of single phases, operation modes with setpoints and discharge limits. Prices and signatures limit
nothing: they are kept and reported.

Rejected, because nobody here could do it and an accepted profile is a promise:
- operation mode LocalFrequency with its curves and v2xBaseline, and so AFRRSignal (InvalidOperationMode): Yardmaster measures no
  mains frequency and writes no curves; frequency support is done by CentralFrequency;
- a reactive setpoint other than 0, and setpoints of opposite sign on two phases (InvalidSchedule): setpoints go to stations as one
  sum of active power;
- preconditioningRequest and evseSleep (InvalidSchedule, K01.FR.126): they are not passed on to the station;
- ChargingStationExternalConstraints (InvalidProfile, K01.FR.22): not for a CSMS to set.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from controller.facts import LimitStep, Stamp
from controller.ocpp import profile_fields as fields
from controller.ocpp.dialect import CompositeRequest, Payload, ProfileCriteria
from controller.ocpp.schedule import Kind, LimitAtSoC, Mode, Period, Profile, ProfileError, Purpose, Schedule
from controller.ocpp.times import clock_time, timestamp
from controller.ocpp.v2 import profile_report, profiles
from controller.ocpp.v21.periods import DISCHARGE, SETPOINT, flag, keys, read_period

PROFILE_EXTRAS: Final = ("priceScheduleSignature", *profile_report.PROFILE_EXTRAS)
SCHEDULE_EXTRAS: Final = (
    *("powerTolerance", "signatureId", "digestValue", "absolutePriceSchedule", "priceLevelSchedule"),
    *profile_report.SCHEDULE_EXTRAS,
)
PURPOSES: Final = profiles.PURPOSES | {"PriorityCharging": Purpose.PRIORITY, "LocalGeneration": Purpose.LOCAL_GENERATION}
KINDS: Final = fields.KINDS | {"Dynamic": Kind.DYNAMIC}


# -- SetChargingProfile ------------------------------------------------------------------------------------


def read_set_profile(payload: Payload, *, in_start: bool = False) -> tuple[int, Profile]:
    """(evse_id, profile). Raises ProfileError; the reasons of what nobody can do stand in the module's text.

    A Dynamic profile is not stamped yet: updated_wall_s is None until whoever stores it says when it came (K28.FR.05).
    """
    evse_id, profile = profiles.read_set_profile(payload, in_start=in_start, rules=RULES)
    return evse_id, _with_extras(profile)


def _with_extras(profile: Profile) -> Profile:
    raw = profile.raw
    interval_s = _seconds(raw, "dynUpdateInterval", "InvalidProfile")
    if profile.kind is not Kind.DYNAMIC and (interval_s is not None or raw.get("dynUpdateTime") is not None):
        raise ProfileError("InvalidProfile", "only a Dynamic profile has dynUpdateInterval or dynUpdateTime (K01.FR.122)")
    fields.moment(raw, "dynUpdateTime")
    schedules = tuple(_schedule(schedule, part, profile) for schedule, part in zip(profile.schedules, raw["chargingSchedule"], strict=True))
    _check_kind(profile)
    return replace(
        profile,
        schedules=schedules,
        update_interval_s=interval_s or None,
        max_offline_s=_seconds(raw, "maxOfflineDuration", "InvalidProfile"),
        ends_offline=flag(raw, "invalidAfterOfflineDuration", "InvalidProfile"),
    )


def _check_kind(profile: Profile) -> None:
    if profile.kind is Kind.DYNAMIC and (len(profile.schedules) > 1 or len(profile.schedules[0].periods) > 1):
        raise ProfileError("InvalidSchedule", "a Dynamic profile has one schedule with one period (K28.FR.01)")
    if profile.purpose is Purpose.PRIORITY and any(schedule.duration_s is not None for schedule in profile.schedules):
        raise ProfileError("InvalidSchedule", "a PriorityCharging profile has no duration (K01.FR.70)")


def _schedule(schedule: Schedule, raw: Payload, profile: Profile) -> Schedule:
    delay_s = _seconds(raw, "randomizedDelay", "InvalidSchedule") or 0.0
    if delay_s and profile.purpose not in (Purpose.TX, Purpose.TX_DEFAULT):
        raise ProfileError("InvalidSchedule", "only a TxProfile or a TxDefaultProfile has a randomizedDelay (K01.FR.95)")
    local = flag(raw, "useLocalTime", "InvalidSchedule") and schedule.start_wall_s is not None
    return replace(
        schedule,
        start_wall_s=None if local else schedule.start_wall_s,
        start_local_s=clock_time(raw.get("startSchedule")) if local else None,
        randomized_delay_s=delay_s,
        limit_at_soc=_limit_at_soc(raw.get("limitAtSoC")),
    )


def _limit_at_soc(raw: Any) -> LimitAtSoC | None:
    if raw is None:
        return None
    if not isinstance(raw, dict):
        raise ProfileError("InvalidSchedule", "limitAtSoC is not an object")
    soc = fields.whole(raw.get("soc"), "InvalidSchedule", "limitAtSoC.soc", 0, 100)
    return LimitAtSoC(float(soc), fields.limit(raw.get("limit"), "limitAtSoC.limit"))


def _seconds(raw: Payload, key: str, reason_code: str) -> float | None:
    return None if raw.get(key) is None else float(min(fields.whole(raw[key], reason_code, key, 0, fields.MAX_ID), fields.MAX_DURATION_S))


# -- Clear, Get, Report -----------------------------------------------------------------------------------------


def read_criteria(action: str, payload: Payload) -> ProfileCriteria:
    """Criteria of a ClearChargingProfile or GetChargingProfiles. Never raises."""
    read = profiles.read_clear if action == "ClearChargingProfile" else profiles.read_get
    return read(payload, PURPOSES)


def report_profiles(request: Payload, found: Sequence[tuple[int, Profile]]) -> list[Payload]:
    """ReportChargingProfiles with all the fields of 2.1 (K09)."""
    return profile_report.report_profiles(request, found, write_profile)


def write_profile(profile: Profile) -> Payload:
    """ChargingProfileType of a profile: what was sent, with what updates have changed since."""
    return profile_report.write_profile(profile, RULES, PROFILE_EXTRAS) | profile_report.without_none(
        {
            "dynUpdateInterval": _whole(profile.update_interval_s),
            "dynUpdateTime": profile_report.time_text(profile.updated_wall_s if profile.kind is Kind.DYNAMIC else None),
            "maxOfflineDuration": _whole(profile.max_offline_s),
            "invalidAfterOfflineDuration": profile.ends_offline or None,
        }
    )


def _write_schedule(schedule: Schedule, raw: Payload) -> Payload:
    written = profile_report.write_schedule(schedule, raw, SCHEDULE_EXTRAS)
    for period, written_period in zip(schedule.periods, written["chargingSchedulePeriod"], strict=True):
        written_period |= _period_extras(period)
    local = schedule.start_local_s
    at_soc = schedule.limit_at_soc
    return written | profile_report.without_none(
        {
            "startSchedule": written.get("startSchedule") if local is None else timestamp(local),
            "useLocalTime": None if local is None else True,
            "randomizedDelay": _whole(schedule.randomized_delay_s or None),
            "limitAtSoC": None if at_soc is None else {"soc": int(at_soc.soc_percent), "limit": at_soc.limit},
        }
    )


def _period_extras(period: Period) -> Payload:
    values = {"limit_L2": period.limit_l2, "limit_L3": period.limit_l3, "operationMode": period.mode.value or None}
    for name, value in ((DISCHARGE, period.discharge), (SETPOINT, period.setpoint)):
        if value is not None:
            values |= dict(zip(keys(name), (value.total, value.l2, value.l3), strict=True))
    return profile_report.without_none(values)


def _whole(seconds: float | None) -> int | None:
    return None if seconds is None else int(seconds)


RULES: Final = profile_report.Rules(PURPOSES, KINDS, read_period, _write_schedule)


# -- GetCompositeSchedule -----------------------------------------------------------------------------------------


def write_composite(request: CompositeRequest, at: Stamp, steps: Sequence[LimitStep], voltage_v: float, phase_count: int = 3) -> Payload:
    """Answer to a GetCompositeSchedule (K08), with modes, setpoints and discharge limits where the steps have them."""
    return profiles.write_composite(request, at, steps, voltage_v, phase_count, _composite_period)


def _composite_period(second: int, step: LimitStep, unit: str | None, voltage_v: float, phase_count: int) -> Payload:
    """Setpoints and discharge limits are sums over the phases, also in A; they are cut towards 0."""
    period = profiles.composite_period(second, step, unit, voltage_v, phase_count)
    if not step.mode:
        return period
    idle = step.mode == Mode.IDLE
    if step.limit_a is None or idle:
        del period["limit"]
    factor = period["numberPhases"] * (voltage_v if unit == "W" else 1.0)
    values = () if idle else ((DISCHARGE, step.discharge_a), (SETPOINT, step.setpoint_a))
    return period | {"operationMode": step.mode} | {name: _towards_0(value * factor) for name, value in values if value is not None}


def _towards_0(value: float) -> float:
    return math.copysign(fields.rounded_down(abs(value)), value)
