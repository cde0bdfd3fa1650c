"""When a schedule starts, and starts again: the zero its periods count from.

A recurring schedule starts again every UTC day or week; with useLocalTime every day or week of the site's own clock, so that
the day of the change to summer time has 23 hours and the other one 25. A start that falls into the missing hour happens as many
seconds after the change as it was meant after the hour began; one in the doubled hour happens once, the first time.
Ends of periods are always computed as zero + offset, never as a difference of wall times, so that a moment computed as a
boundary lies on the right side of it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import UTC, datetime, tzinfo

from controller.ocpp.profile_data import Kind, Profile, Schedule


def zeros(profile: Profile, schedule: Schedule, start_s: float, end_s: float, session_s: float, zone: tzinfo | None) -> Iterator[float]:
    """Zeros in order: the last one at or before start_s if there is one, then all before end_s; at least one."""
    first_s = _first(profile, schedule, start_s, session_s)
    if first_s is not None:
        yield first_s
        return
    count = _rounds(profile, schedule, start_s, zone)
    yield _zero(profile, schedule, count, zone)
    while profile.recurrency is not None:
        count += 1
        zero_s = _zero(profile, schedule, count, zone)
        if zero_s >= end_s:
            return
        yield zero_s


def _first(profile: Profile, schedule: Schedule, start_s: float, session_s: float) -> float | None:
    """The only zero of a schedule that has no date."""
    if profile.kind is Kind.DYNAMIC:
        return start_s if profile.updated_wall_s is None else min(profile.updated_wall_s, start_s)  # a clock may step back
    if profile.kind is Kind.RELATIVE or (schedule.start_wall_s is None and schedule.start_local_s is None):
        return session_s
    return None


def _zero(profile: Profile, schedule: Schedule, count: int, zone: tzinfo | None) -> float:
    """Wall time of round ``count``."""
    period_s = 0 if profile.recurrency is None else profile.recurrency.period_s
    if schedule.start_local_s is not None:
        return from_local(schedule.start_local_s + count * period_s, zone)
    return (schedule.start_wall_s or 0.0) + count * period_s


def _rounds(profile: Profile, schedule: Schedule, wall_s: float, zone: tzinfo | None) -> int:
    """The last round that begins at or before wall_s; 0 if none does."""
    if profile.recurrency is None:
        return 0
    first_s = schedule.start_wall_s if schedule.start_local_s is None else from_local(schedule.start_local_s, zone)
    count = max(0, math.floor((wall_s - (first_s or 0.0)) / profile.recurrency.period_s) - 1)
    while _zero(profile, schedule, count + 1, zone) <= wall_s:
        count += 1
    return count


def from_local(local_s: float, zone: tzinfo | None) -> float:
    """Wall time of a moment of the site's clock, given in seconds as if it were UTC. zone None: UTC."""
    if zone is None:
        return local_s
    whole_s = math.floor(local_s)
    return datetime.fromtimestamp(whole_s, UTC).replace(tzinfo=zone).timestamp() + (local_s - whole_s)
