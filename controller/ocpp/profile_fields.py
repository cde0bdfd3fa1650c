"""Fields of charging profiles that all versions have in common: read strictly enough, written exactly.

Lenient with what is seen on the wire: fractional startPeriod and duration are cut to whole
seconds, integers may come as 3.0, timestamps may have any fraction and no zone (taken as UTC). A
negative limit, also the -1 that some use for "unlimited", is refused: the old profile stays in
force, which is the safer side, and the sender learns it. "No limit" is written as 999999, the way
the specification's own examples do. Reason codes are those of the 2.x appendix; a version without
reason codes drops them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any, Final, TypeVar

from controller.facts import LimitStep
from controller.ocpp.dialect import CompositeRequest, Payload
from controller.ocpp.samples import number
from controller.ocpp.schedule import MAX_WINDOW_S, Kind, Mode, Period, ProfileError, Recurrency
from controller.ocpp.times import wall_time

T = TypeVar("T")

MAX_PERIODS: Final = 1024
MAX_STACK_LEVEL: Final = 65_535
MAX_LIMIT: Final = 1e9
MAX_DURATION_S: Final = 10 * 366 * 86_400
MAX_ID: Final = 2**31 - 1
LATEST_WALL_S: Final = 253_402_300_799  # the last second of the year 9999
UNLIMITED: Final = 999_999.0

KINDS: Final = {"Absolute": Kind.ABSOLUTE, "Recurring": Kind.RECURRING, "Relative": Kind.RELATIVE}
RECURRENCIES: Final = {"Daily": Recurrency.DAILY, "Weekly": Recurrency.WEEKLY}


# -- single fields -------------------------------------------------------------------------------------


def amount(value: Any, reason_code: str, name: str) -> float:
    """A finite JSON number as float. Raises ProfileError."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ProfileError(reason_code, f"{name} is missing or not a number")
    if not -1e15 < value < 1e15:
        raise ProfileError(reason_code, f"{name} is out of range")
    return float(value)


def whole(value: Any, reason_code: str, name: str, lowest: int, highest: int) -> int:
    """A JSON integer, also if written as 3.0. Raises ProfileError."""
    found = amount(value, reason_code, name)
    if not found.is_integer() or not lowest <= found <= highest:
        raise ProfileError(reason_code, f"{name} is not a whole number from {lowest} to {highest}")
    return int(found)


def word(value: Any, words: Mapping[str, T], name: str) -> T:
    """The meaning of one of the words allowed. Raises ProfileError."""
    if not isinstance(value, str) or value not in words:
        raise ProfileError("InvalidProfile", f"{name} is none of {', '.join(words)}")
    return words[value]


def moment(raw: Payload, key: str) -> float | None:
    """Unix time [s] of a field, 1970 to 9999 in UTC, so that it can be written again; None if absent. Raises ProfileError."""
    if raw.get(key) is None:
        return None
    wall_s = wall_time(raw[key])
    if wall_s is None or not 0 <= wall_s < LATEST_WALL_S:
        raise ProfileError("InvalidValue", f"{key} is not a date-time such as 2026-01-31T12:00:00Z")
    return wall_s


def validity(raw: Payload) -> tuple[float | None, float | None]:
    """validFrom and validTo [s]. Raises ProfileError."""
    valid_from, valid_to = moment(raw, "validFrom"), moment(raw, "validTo")
    if valid_from is not None and valid_to is not None and valid_to <= valid_from:
        raise ProfileError("InvalidProfile", "validTo is not after validFrom")
    return valid_from, valid_to


def duration(value: Any) -> float | None:
    """Whole seconds, at least 1; longer than ten years is cut to ten years. None = endless. Raises ProfileError."""
    if value is None:
        return None
    seconds = amount(value, "InvalidSchedule", "duration")
    if seconds < 1:
        raise ProfileError("InvalidSchedule", "duration is not above 0")
    return float(min(math.floor(seconds), MAX_DURATION_S))


def rate_unit(value: Any) -> str:
    """ "A" or "W". Raises ProfileError."""
    if value not in ("A", "W"):
        raise ProfileError("UnsupportedRateUnit", "chargingRateUnit is neither A nor W")
    return str(value)


def limit(value: Any, name: str) -> float:
    """A limit of 0 or more. Raises ProfileError."""
    found = amount(value, "InvalidSchedule", name)
    if found < 0:
        raise ProfileError("InvalidSchedule", f"{name} is negative; for no limit leave the profile out or send 999999")
    if found > MAX_LIMIT:
        raise ProfileError("InvalidSchedule", f"{name} is beyond {MAX_LIMIT:.0f}")
    return found


def periods(values: Any, read: Callable[[Any], Period] | None = None) -> tuple[Period, ...]:
    """First startPeriod 0, then rising (K01.FR.31/35). read: reads one of them, as a rule ``period``. Raises ProfileError."""
    if not isinstance(values, list) or not 1 <= len(values) <= MAX_PERIODS:
        raise ProfileError("InvalidSchedule", f"chargingSchedulePeriod is not a list of 1 to {MAX_PERIODS} periods")
    one = period if read is None else read
    found = tuple(one(value) for value in values)
    if found[0].start_s != 0:
        raise ProfileError("InvalidSchedule", "the first startPeriod is not 0 (K01.FR.31)")
    if any(later.start_s <= earlier.start_s for earlier, later in pairwise(found)):
        raise ProfileError("InvalidSchedule", "startPeriod does not rise (K01.FR.35)")
    return found


def period(raw: Any, mode: Mode = Mode.CHARGING_ONLY) -> Period:
    """Start, limit and phases of one period. Only ChargingOnly needs a limit. Raises ProfileError."""
    if not isinstance(raw, dict):
        raise ProfileError("InvalidSchedule", "a chargingSchedulePeriod is not an object")
    start_s = amount(raw.get("startPeriod"), "InvalidSchedule", "startPeriod")
    if not 0 <= start_s <= MAX_DURATION_S:
        raise ProfileError("InvalidSchedule", "startPeriod is negative or beyond ten years")
    phases = 3 if raw.get("numberPhases") is None else whole(raw["numberPhases"], "InvalidSchedule", "numberPhases", 1, 3)
    limited = mode is Mode.CHARGING_ONLY or raw.get("limit") is not None
    return Period(float(math.floor(start_s)), limit(raw.get("limit"), "limit") if limited else None, phases, _phase_to_use(raw, phases), mode=mode)


def _phase_to_use(raw: Payload, phases: int) -> int | None:
    if raw.get("phaseToUse") is None:
        return None
    if phases != 1:
        raise ProfileError("InvalidSchedule", "phaseToUse needs numberPhases 1 (K01.FR.19)")
    return whole(raw["phaseToUse"], "InvalidSchedule", "phaseToUse", 1, 3)


# -- schedules of ours -----------------------------------------------------------------------------------


def rounded_down(value: float) -> float:
    """To 0.1, never up: what every version can carry."""
    return math.floor(value * 10 + 1e-6) / 10


def own_period(limit_a: float, phase_count: int) -> Payload:
    """The only period of a schedule of ours: limit per phase [A], with its phases, as absent ones count as three (K01.FR.49)."""
    return {"startPeriod": 0, "limit": rounded_down(limit_a), "numberPhases": phase_count}


# -- composite schedules ---------------------------------------------------------------------------------


def composite_request(payload: Payload, place: str) -> CompositeRequest:
    """A GetCompositeSchedule; place: the field that names the EVSE. Raises ProfileError for an impossible one."""
    seconds, evse_id = number(payload.get("duration")), payload.get(place)
    if seconds is None or seconds < 0 or not isinstance(evse_id, int) or isinstance(evse_id, bool):
        raise ProfileError("InvalidValue", f"duration and {place} are needed")
    return CompositeRequest(evse_id, int(seconds), payload.get("chargingRateUnit"))


def check_composite(request: CompositeRequest) -> None:
    """Raises ProfileError for what no composite can answer."""
    if request.unit is not None:
        rate_unit(request.unit)
    if request.duration_s <= 0:
        raise ProfileError("InvalidValue", "duration is not above 0")


def composite_periods(
    request: CompositeRequest, start_wall_s: float, steps: Sequence[LimitStep], voltage_v: float, phase_count: int
) -> tuple[int, list[Payload]]:
    """(duration [s], periods) of a composite from ``steps``, ascending, limits per phase [A], beginning at a whole second.

    Limits are cut down to 0.1, in W as the sum of the phases at nominal voltage: ``phase_count``, or fewer where the step says so
    (K01.FR.140). Cut at one week or 1024 periods: the duration tells how far it goes. Only what all versions have is written;
    ``steps_by_second`` serves a version that has more.
    """
    duration_s, found = steps_by_second(request, start_wall_s, steps)
    return duration_s, [composite_period(second, step, request.unit, voltage_v, phase_count) for second, step in found]


def steps_by_second(request: CompositeRequest, start_wall_s: float, steps: Sequence[LimitStep]) -> tuple[int, list[tuple[int, LimitStep]]]:
    """(duration [s], (second, step) ascending from second 0), cut as ``composite_periods`` says."""
    duration_s = min(request.duration_s, MAX_WINDOW_S)
    found = _by_second(start_wall_s, duration_s, steps)
    seconds = sorted(found)
    if len(seconds) > MAX_PERIODS:
        duration_s = seconds[MAX_PERIODS]
    return duration_s, [(second, found[second]) for second in seconds[:MAX_PERIODS]]


def _by_second(start_wall_s: float, duration_s: int, steps: Sequence[LimitStep]) -> dict[int, LimitStep]:
    """The step from each whole second on; of several in one second the one with the lowest limit. Always has 0."""
    found = {0: LimitStep(start_wall_s, None)}
    for step in steps:
        second = math.floor(step.start_wall_s - start_wall_s)
        if second <= 0:
            found[0] = step
        elif second < duration_s and (second not in found or bound_a(step) < bound_a(found[second])):
            found[second] = step
    return found


def bound_a(step: LimitStep) -> float:
    """The limit of a step [A], inf if it has none."""
    return math.inf if step.limit_a is None else step.limit_a


def phases_of(step: LimitStep, phase_count: int) -> int:
    """Phases a step counts for at an EVSE with ``phase_count``."""
    return phase_count if step.phase_count is None else min(step.phase_count, phase_count)


def composite_period(second: int, step: LimitStep, unit: str | None, voltage_v: float, phase_count: int) -> Payload:
    """One period with what all versions have."""
    phases = phases_of(step, phase_count)
    return {
        "startPeriod": second,
        "limit": composite_limit(bound_a(step) * (voltage_v * phases if unit == "W" else 1.0)),
        "numberPhases": phases,
    }


def composite_limit(found: float) -> float:
    """A limit as it is written: cut down to 0.1, 999999 for none."""
    return min(rounded_down(found), UNLIMITED) if found < UNLIMITED else UNLIMITED
