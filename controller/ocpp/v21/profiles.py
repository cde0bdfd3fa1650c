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
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from controller.facts import LimitStep, Stamp
from controller.ocpp import profile_fields as fields
from controller.ocpp.dialect import CompositeRequest, Payload, ProfileCriteria
from controller.ocpp.schedule import Kind, LimitAtSoC, Mode, Period, PerPhase, Profile, ProfileError, Purpose, Schedule
from controller.ocpp.times import clock_time, timestamp
from controller.ocpp.v2 import profiles

PROFILE_EXTRAS: Final = ("priceScheduleSignature", *profiles.PROFILE_EXTRAS)
SCHEDULE_EXTRAS: Final = (
    *("powerTolerance", "signatureId", "digestValue", "absolutePriceSchedule", "priceLevelSchedule"),
    *profiles.SCHEDULE_EXTRAS,
)
PURPOSES: Final = profiles.PURPOSES | {"PriorityCharging": Purpose.PRIORITY, "LocalGeneration": Purpose.LOCAL_GENERATION}
KINDS: Final = fields.KINDS | {"Dynamic": Kind.DYNAMIC}
MODES: Final = {"ChargingOnly": Mode.CHARGING_ONLY} | {mode.value: mode for mode in Mode if mode}

_ONLY_CHARGING: Final = (Mode.CHARGING_ONLY,)
_MODES_OF: Final = {
    Purpose.STATION_MAX: _ONLY_CHARGING,
    Purpose.PRIORITY: _ONLY_CHARGING,
    Purpose.LOCAL_GENERATION: (Mode.CHARGING_ONLY, Mode.EXTERNAL_LIMITS),
}
"""Operation modes by purpose (K01.FR.111-113); a purpose that is not here has all."""

LIMIT: Final = "limit"
DISCHARGE: Final = "dischargeLimit"
SETPOINT: Final = "setpoint"
REACTIVE: Final = "setpointReactive"
_NEEDS: Final = {Mode.CHARGING_ONLY: LIMIT, Mode.CENTRAL_SETPOINT: SETPOINT, Mode.CENTRAL_FREQUENCY: SETPOINT}
_ALLOWS: Final[Mapping[Mode, tuple[str, ...]]] = {
    Mode.CHARGING_ONLY: (LIMIT,),
    Mode.CENTRAL_SETPOINT: (LIMIT, DISCHARGE, SETPOINT, REACTIVE),
    Mode.CENTRAL_FREQUENCY: (LIMIT, DISCHARGE, SETPOINT),
    Mode.EXTERNAL_SETPOINT: (LIMIT, DISCHARGE),
    Mode.EXTERNAL_LIMITS: (),
    Mode.LOCAL_LOAD_BALANCING: (LIMIT, DISCHARGE),
    Mode.IDLE: (),
}
"""Which values a mode needs and allows (section Q, limits and setpoints per operation mode)."""

_CURVES: Final = ("v2xBaseline", "v2xFreqWattCurve", "v2xSignalWattCurve")
_CAR_COMFORT: Final = ("preconditioningRequest", "evseSleep")


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
        ends_offline=_flag(raw, "invalidAfterOfflineDuration", "InvalidProfile"),
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
    local = _flag(raw, "useLocalTime", "InvalidSchedule") and schedule.start_wall_s is not None
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


def _flag(raw: Payload, key: str, reason_code: str) -> bool:
    value = raw.get(key)
    if value is not None and not isinstance(value, bool):
        raise ProfileError(reason_code, f"{key} is neither true nor false")
    return value is True


# -- one period ----------------------------------------------------------------------------------------------


def _read_period(raw: Any, purpose: Purpose, unit: str) -> Period:
    if not isinstance(raw, dict):
        raise ProfileError("InvalidSchedule", "a chargingSchedulePeriod is not an object")
    mode = _mode(raw, purpose)
    _check_values(raw, mode)
    _check_phases(raw, purpose)
    plain = fields.period(raw, mode)
    period = replace(
        plain,
        limit_l2=_optional_limit(raw, "limit_L2"),
        limit_l3=_optional_limit(raw, "limit_L3"),
        discharge=_per_phase(raw, DISCHARGE),
        setpoint=_per_phase(raw, SETPOINT),
    )
    _check_signs(period)
    _check_setpoint(period, unit)
    return period


def _mode(raw: Payload, purpose: Purpose) -> Mode:
    word = raw.get("operationMode")
    if word is None:
        return Mode.CHARGING_ONLY
    if not isinstance(word, str) or word not in MODES:
        raise ProfileError("InvalidOperationMode", f"operationMode is none of {', '.join(MODES)} (K01.FR.115)")
    if MODES[word] not in _MODES_OF.get(purpose, tuple(Mode)):
        raise ProfileError("InvalidOperationMode", f"this purpose does not allow operationMode {word} (K01.FR.114)")
    return MODES[word]


def _check_values(raw: Payload, mode: Mode) -> None:
    """What the mode needs is there, and nothing it does not have."""
    word = mode.value or "ChargingOnly"
    needed = _NEEDS.get(mode)
    if needed is not None and raw.get(needed) is None:
        if any(raw.get(f"{needed}_{phase}") is not None for phase in ("L2", "L3")):
            raise ProfileError("PhaseConflict", f"{needed}_L2 and {needed}_L3 need {needed} (K01.FR.146, V2X.07)")
        raise ProfileError("InvalidSchedule", f"operationMode {word} needs {needed}")
    for name in (LIMIT, DISCHARGE, SETPOINT, REACTIVE):
        if name not in _ALLOWS[mode] and any(raw.get(key) is not None for key in _keys(name)):
            raise ProfileError("InvalidSchedule", f"operationMode {word} has no {name}")
    if any(raw.get(key) is not None for key in _CURVES):
        raise ProfileError("InvalidSchedule", f"operationMode {word} has no curves and no v2xBaseline")
    if any(raw.get(key) not in (None, 0) or isinstance(raw.get(key), bool) for key in _keys(REACTIVE)):
        raise ProfileError("InvalidSchedule", "a reactive setpoint is not supported")
    if any(_flag(raw, key, "InvalidSchedule") for key in _CAR_COMFORT):
        raise ProfileError("InvalidSchedule", "preconditioningRequest and evseSleep are not supported (K01.FR.126)")


def _check_phases(raw: Payload, purpose: Purpose) -> None:
    """Values of single phases: only in a TxProfile, and only with the value of the first (K01.FR.143-146, V2X.07-10)."""
    for name in (LIMIT, DISCHARGE, SETPOINT, REACTIVE):
        first, *others = _keys(name)
        if not any(raw.get(key) is not None for key in others):
            continue
        if purpose is not Purpose.TX:
            raise ProfileError("PhaseConflict", f"only a TxProfile has {name}_L2 and {name}_L3 (K01.FR.143, V2X.09)")
        if raw.get(first) is None:
            raise ProfileError("PhaseConflict", f"{name}_L2 and {name}_L3 need {name} (K01.FR.146, V2X.07)")


def _check_signs(period: Period) -> None:
    if period.discharge is not None and any(part > 0 for part in (period.discharge.split or (period.discharge.total,))):
        raise ProfileError("InvalidSchedule", "dischargeLimit is above 0; energy out of the car counts negative")
    parts = () if period.setpoint is None else period.setpoint.split
    if parts and min(parts) < 0 < max(parts):
        raise ProfileError("InvalidSchedule", "setpoints of opposite sign on two phases are not supported")


def _check_setpoint(period: Period, unit: str) -> None:
    """A setpoint lies within the limits beside it (V2X.05, V2X.06), phase by phase."""
    if period.setpoint is None:
        return
    count = period.phase_count
    wanted = _spread(period.setpoint, count)
    highest = [math.inf] * 3
    if period.limit is not None:
        limit = PerPhase(period.limit, period.limit_l2, period.limit_l3)
        highest = [period.limit] * 3 if unit == "A" and not limit.split else _spread(limit, count)
    lowest = [-math.inf] * 3 if period.discharge is None else _spread(period.discharge, count)
    if any(not low - 1e-6 <= value <= high + 1e-6 for low, value, high in zip(lowest, wanted, highest, strict=True)):
        raise ProfileError("InvalidSchedule", "setpoint is not within dischargeLimit and limit (V2X.05)")


def _spread(value: PerPhase, count: int) -> list[float]:
    """Phase by phase; a sum spreads evenly, a phase that is not named has nothing to say (repeats the first)."""
    if not value.split:
        return [value.total / count] * 3
    return [value.total, value.total if value.l2 is None else value.l2, value.total if value.l3 is None else value.l3]


def _per_phase(raw: Payload, name: str) -> PerPhase | None:
    if raw.get(name) is None:
        return None
    total, l2, l3 = (None if raw.get(key) is None else _amount(raw, key) for key in _keys(name))
    return PerPhase(total or 0.0, l2, l3)


def _amount(raw: Payload, key: str) -> float:
    found = fields.amount(raw[key], "InvalidSchedule", key)
    if abs(found) > fields.MAX_LIMIT:
        raise ProfileError("InvalidSchedule", f"{key} is beyond {fields.MAX_LIMIT:.0f}")
    return found


def _optional_limit(raw: Payload, key: str) -> float | None:
    return None if raw.get(key) is None else fields.limit(raw[key], key)


def _keys(name: str) -> tuple[str, str, str]:
    return name, f"{name}_L2", f"{name}_L3"


# -- Clear, Get, Report -----------------------------------------------------------------------------------------


def read_criteria(action: str, payload: Payload) -> ProfileCriteria:
    """Criteria of a ClearChargingProfile or GetChargingProfiles. Never raises."""
    read = profiles.read_clear if action == "ClearChargingProfile" else profiles.read_get
    return read(payload, PURPOSES)


def report_profiles(request: Payload, found: Sequence[tuple[int, Profile]]) -> list[Payload]:
    """ReportChargingProfiles with all the fields of 2.1 (K09)."""
    return profiles.report_profiles(request, found, write_profile)


def write_profile(profile: Profile) -> Payload:
    """ChargingProfileType of a profile: what was sent, with what updates have changed since."""
    return profiles.write_profile(profile, RULES, PROFILE_EXTRAS) | profiles.without_none(
        {
            "dynUpdateInterval": _whole(profile.update_interval_s),
            "dynUpdateTime": profiles.time_text(profile.updated_wall_s if profile.kind is Kind.DYNAMIC else None),
            "maxOfflineDuration": _whole(profile.max_offline_s),
            "invalidAfterOfflineDuration": profile.ends_offline or None,
        }
    )


def _write_schedule(schedule: Schedule, raw: Payload) -> Payload:
    written = profiles.write_schedule(schedule, raw, SCHEDULE_EXTRAS)
    for period, written_period in zip(schedule.periods, written["chargingSchedulePeriod"], strict=True):
        written_period |= _period_extras(period)
    local = schedule.start_local_s
    at_soc = schedule.limit_at_soc
    return written | profiles.without_none(
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
            values |= dict(zip(_keys(name), (value.total, value.l2, value.l3), strict=True))
    return profiles.without_none(values)


def _whole(seconds: float | None) -> int | None:
    return None if seconds is None else int(seconds)


RULES: Final = profiles.Rules(PURPOSES, KINDS, _read_period, _write_schedule)


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
