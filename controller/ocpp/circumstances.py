"""Charging profiles in other circumstances than they were written for."""

from __future__ import annotations

import math
from dataclasses import replace

from controller.ocpp.profile_data import Kind, Mode, Period, Profile, Schedule
from controller.ocpp.said import Known, said_by


def without_calendar(profile: Profile, voltage_v: float) -> Profile:
    """What ``profile`` means while nobody knows the date: its lowest limit, always; no discharge. The same object if it needs no date (F78)."""
    dated = profile.valid_from_wall_s is not None or profile.valid_to_wall_s is not None
    if profile.kind in (Kind.RELATIVE, Kind.DYNAMIC) and not dated:
        return profile
    found = [(schedule, period) for schedule in profile.schedules for period in schedule.periods]
    schedule, period = min(found, key=lambda one: _ceiling_a(one[1], one[0], voltage_v))
    lowest = _always(period, schedule, voltage_v)
    always = replace(schedule, periods=(lowest,), duration_s=None, start_wall_s=None, start_local_s=None)
    return replace(profile, kind=Kind.RELATIVE, schedules=(always,), recurrency=None, valid_from_wall_s=None, valid_to_wall_s=None)


def _always(period: Period, schedule: Schedule, voltage_v: float) -> Period:
    """The period from 0 on; one with another mode than ChargingOnly as the plain limit it is at most."""
    if period.mode is Mode.CHARGING_ONLY:
        return replace(period, start_s=0.0)
    limit_a = _ceiling_a(period, schedule, voltage_v)
    if limit_a == math.inf:
        return replace(period, start_s=0.0, discharge=None, setpoint=None)
    factor = 1.0 if schedule.unit == "A" else voltage_v * period.phase_count
    return Period(0.0, limit_a * factor, period.phase_count, period.phase_to_use)


def _ceiling_a(period: Period, schedule: Schedule, voltage_v: float) -> float:
    """The most that may flow into the car by this period alone: its limit, or a setpoint below it; inf if it has neither."""
    said = said_by(period, replace(schedule, limit_at_soc=None), Known(0.0, voltage_v))
    limit_a = math.inf if said.limit_a is None else said.limit_a
    return limit_a if said.setpoint_a is None else min(limit_a, max(0.0, said.setpoint_a))


def on_phases(profile: Profile, count: int) -> Profile:
    """``profile`` for an EVSE with ``count`` phases: watts flow over those it has, whatever the profile assumes (trap 12)."""
    if all(period.phase_count <= count for schedule in profile.schedules for period in schedule.periods):
        return profile
    fewer = [
        replace(schedule, periods=tuple(replace(period, phase_count=min(period.phase_count, count)) for period in schedule.periods))
        for schedule in profile.schedules
    ]
    return replace(profile, schedules=tuple(fewer))


def invalid_for_good(profile: Profile, now_wall_s: float, offline_since_wall_s: float | None) -> bool:
    """Whether a profile has ended for ever: past its validTo, or offline for too long with invalidAfterOfflineDuration (K01.FR.103)."""
    if profile.valid_to_wall_s is not None and profile.valid_to_wall_s <= now_wall_s:
        return True
    if not profile.ends_offline or profile.max_offline_s is None or offline_since_wall_s is None:
        return False
    return offline_since_wall_s + profile.max_offline_s <= now_wall_s
