"""What the next day is expected to bring, slot by slot: base load, PV, and the part of a demand charge one day weighs.

Simple on purpose: a profile of 24 hourly values, blended from what is measured now (``usual`` learns better ones). Profiles
are by local time of day, looked up for each slot by its absolute time, so the days with 23 and 25 hours come out right (never
"slot number = hour of day"). Prices are in ``prices``, the grid of slots in ``grid``.

Pure: the time is handed in. Unknown time zones raise ForecastError.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from optimizer.problem import Slot, Triple

QUARTER_S = 900.0
SHORTEST_SLOT_S = 1.0
"""A first slot shorter than this is left out: nobody can act on it, and its coefficients would be dust."""


class ForecastError(ValueError):
    """A forecast cannot be made; the text says from what."""


def make_slots(now_wall_s: float, horizon_s: float = 86_400.0, step_s: float = 900.0) -> tuple[Slot, ...]:
    """Slots from now until the horizon is covered; all but the first begin on whole steps of the wall clock.

    The first is what is left of the running step. step_s: length [s], must divide an hour. All zones in use differ
    from UTC by whole quarter hours, so quarter hours of UTC are quarter hours of the local clock.
    """
    if step_s <= 0 or 3600.0 % step_s != 0 or horizon_s <= 0:
        raise ForecastError(f"slots of {step_s} s over {horizon_s} s: the step must divide an hour, the horizon be above 0")
    boundary = (math.floor(now_wall_s / step_s) + 1) * step_s
    starts = [now_wall_s] if boundary - now_wall_s >= SHORTEST_SLOT_S else []
    while boundary < now_wall_s + horizon_s - SHORTEST_SLOT_S or not starts:
        starts.append(boundary)
        boundary += step_s
    ends = [*starts[1:], boundary]
    return tuple(Slot(start, end - start) for start, end in zip(starts, ends, strict=True))


# -- local time -------------------------------------------------------------------------------------


@lru_cache(maxsize=16)
def zone_of(timezone: str) -> ZoneInfo:
    try:
        return ZoneInfo(timezone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ForecastError(f"unknown time zone {timezone!r}; use an IANA name such as Europe/Berlin") from error


def local_minute(wall_s: float, timezone: str) -> int:
    """Minute of the local day 0..1439 at a moment."""
    local = datetime.fromtimestamp(wall_s, UTC).astimezone(zone_of(timezone))
    return local.hour * 60 + local.minute


def _mean_over(slot: Slot, value_at: Callable[[float], float]) -> float:
    """Mean over a slot of a value that only changes on whole quarter hours, as hours of the local clock do in all zones in use."""
    total, at_s, end_s = 0.0, slot.start_wall_s, slot.start_wall_s + slot.duration_s
    while at_s < end_s:
        next_s = min(end_s, (math.floor(at_s / QUARTER_S) + 1) * QUARTER_S)
        total += value_at(at_s) * (next_s - at_s)
        at_s = next_s
    return total / slot.duration_s


# -- what a peak costs ------------------------------------------------------------------------------


def prorated_demand(demand_per_kw: float, window_days: float, horizon_s: float) -> float:
    """The part of a billing period's demand charge that one horizon should weigh [currency/kW].

    The peak of the period is paid once; planning each day with the full price would treat every day as the one that makes it.
    """
    return demand_per_kw * min(1.0, horizon_s / 86_400.0 / window_days)


# -- load and production --------------------------------------------------------------------------------


def profile_w(slots: Sequence[Slot], hourly_w: Sequence[float], timezone: str) -> tuple[float, ...]:
    """Mean of an hourly day profile in each slot [W]. hourly_w: 24 values by local hour."""
    if len(hourly_w) != 24:
        raise ForecastError(f"a day profile needs 24 hourly values, got {len(hourly_w)}")
    return tuple(_mean_over(slot, lambda at_s: hourly_w[local_minute(at_s, timezone) // 60]) for slot in slots)


def blended_w(slots: Sequence[Slot], expected_w: Sequence[float], present_w: float | None, blend_s: float = 3600.0) -> tuple[float, ...]:
    """The expectation, off by as much as the measurement of now is off, less and less so until blend_s from now [W].

    present_w None = nobody measures it: the expectation alone. Never changes sign against the expectation because of that.
    """
    if present_w is None or not slots:
        return tuple(expected_w)
    off_w = present_w - expected_w[0]
    weights = [_present_weight(slot, slots[0].start_wall_s, blend_s) for slot in slots]
    later = (max(watts + weight * off_w, min(0.0, watts)) for watts, weight in zip(expected_w, weights, strict=True))
    return tuple(later)


def _present_weight(slot: Slot, now_s: float, blend_s: float) -> float:
    middle_s = slot.start_wall_s + slot.duration_s / 2.0 - now_s
    return max(0.0, 1.0 - middle_s / blend_s) if blend_s > 0 else 0.0


def base_load_w(slots: Sequence[Slot], hourly_w: Sequence[float], timezone: str, present_w: float | None) -> tuple[float, ...]:
    """Expected load of the building [W]. Without a profile the present load goes on, without both it is 0."""
    if not hourly_w:
        return (present_w or 0.0,) * len(slots)
    return blended_w(slots, profile_w(slots, hourly_w, timezone), present_w)


def base_load_a(slots: Sequence[Slot], hourly_w: Sequence[float], timezone: str, present_a: Triple | None, voltage_v: float) -> tuple[Triple, ...]:
    """Expected load of the building per phase [A]: each phase starts from its own measurement, the profile is spread evenly."""
    thirds = [watts / 3.0 for watts in hourly_w]
    measured = [None if present_a is None else amps * voltage_v for amps in present_a or (0.0, 0.0, 0.0)]
    first, second, third = (base_load_w(slots, thirds, timezone, watts) for watts in measured)
    return tuple((a / voltage_v, b / voltage_v, c / voltage_v) for a, b, c in zip(first, second, third, strict=True))


def pv_production_w(slots: Sequence[Slot], hourly_w: Sequence[float], timezone: str, present_w: float | None) -> tuple[float, ...]:
    """Expected PV [W], never negative. Without a profile the present production fades to 0 within the hour: the safer side."""
    expected = profile_w(slots, hourly_w, timezone) if hourly_w else (0.0,) * len(slots)
    return tuple(max(0.0, watts) for watts in blended_w(slots, expected, present_w))
