"""Charging profiles without a version, and what they add up to over time.

Decides which limit a set of profiles means: within one purpose the highest valid stack level wins
outright, also with a higher limit; a TxProfile in force stands in for the TxDefaultProfile; across
the remaining purposes the lowest limit counts (SC.01, K08.FR.04). A schedule that has run out its
duration falls back to the next stack level (K02.FR.08). Validity is [valid_from, valid_to)
(K01.FR.36/37). A watt limit becomes amps with the *nominal* voltage and the phases of its period
(K01.FR.49-51). Several schedules in one profile (ISO 15118) count with their lowest limit, as we do
not know which one the car chose.

Limits are per phase [A]; None = this profile or set says nothing. All times are UTC wall seconds.
Recurrence is in UTC days and weeks. Pure arithmetic: never reads a clock.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from typing import Any, Final

from controller.facts import LimitStep

DAY_S: Final = 86_400
WEEK_S: Final = 7 * DAY_S
MAX_WINDOW_S: Final = WEEK_S
"""A composite looks no further than this, whatever was asked: more periods than anybody can use."""


class ProfileError(Exception):
    """A profile that cannot be accepted. reason_code: <= 20 characters, as in the 2.x appendix; info: for people."""

    def __init__(self, reason_code: str, info: str) -> None:
        super().__init__(f"{reason_code}: {info}")
        self.reason_code = reason_code
        self.info = info


class Purpose(StrEnum):
    """What a profile is for."""

    STATION_MAX = "station_max"
    TX_DEFAULT = "tx_default"
    TX = "tx"
    EXTERNAL = "external"


class Kind(StrEnum):
    """What a schedule's time zero is: a date, a date repeated, or the start of the session."""

    ABSOLUTE = "absolute"
    RECURRING = "recurring"
    RELATIVE = "relative"


class Recurrency(StrEnum):
    """How often a recurring schedule starts again."""

    DAILY = "daily"
    WEEKLY = "weekly"

    @property
    def period_s(self) -> int:
        return DAY_S if self is Recurrency.DAILY else WEEK_S


@dataclass(frozen=True, slots=True)
class Period:
    """From start_s after the schedule's zero: limit >= 0 in the schedule's unit, over phase_count phases."""

    start_s: float
    limit: float
    phase_count: int = 3
    phase_to_use: int | None = None


@dataclass(frozen=True, slots=True)
class Schedule:
    """Periods ascending from start_s 0. unit "A" (per phase) or "W" (sum). duration_s None = endless; min_rate in unit."""

    schedule_id: int
    unit: str
    periods: tuple[Period, ...]
    duration_s: float | None = None
    start_wall_s: float | None = None
    min_rate: float | None = None


@dataclass(frozen=True, slots=True)
class Profile:
    """One charging profile. raw: the JSON object it came in, for reports; it takes no part in comparisons."""

    profile_id: int
    stack_level: int
    purpose: Purpose
    kind: Kind
    schedules: tuple[Schedule, ...]
    transaction_id: str | None = None
    valid_from_wall_s: float | None = None
    valid_to_wall_s: float | None = None
    recurrency: Recurrency | None = None
    raw: dict[str, Any] = field(default_factory=dict, compare=False, repr=False)


# -- one profile at one moment -------------------------------------------------------------------


def limit_a_at(profile: Profile, wall_s: float, session_start_wall_s: float, voltage_v: float) -> float | None:
    """Limit per phase [A] that ``profile`` alone sets at ``wall_s``; None when it does not apply then.

    session_start_wall_s: zero of Relative schedules. voltage_v: nominal, phase to neutral, > 0.
    """
    if not _valid(profile, wall_s):
        return None
    limits = (_schedule_limit_a(profile, schedule, wall_s, session_start_wall_s, voltage_v) for schedule in profile.schedules)
    return min((limit for limit in limits if limit is not None), default=None)


def without_calendar(profile: Profile, voltage_v: float) -> Profile:
    """What ``profile`` means while nobody knows the date: its lowest limit, always. The same object if it needs no date (F78)."""
    dated = profile.valid_from_wall_s is not None or profile.valid_to_wall_s is not None
    if profile.kind is Kind.RELATIVE and not dated:
        return profile
    schedule, lowest = min(
        ((schedule, period) for schedule in profile.schedules for period in schedule.periods),
        key=lambda found: _amps(found[1], found[0].unit, voltage_v),
    )
    always = replace(schedule, periods=(replace(lowest, start_s=0.0),), duration_s=None, start_wall_s=None)
    return replace(profile, kind=Kind.RELATIVE, schedules=(always,), recurrency=None, valid_from_wall_s=None, valid_to_wall_s=None)


def on_phases(profile: Profile, count: int) -> Profile:
    """``profile`` for an EVSE with ``count`` phases: watts flow over those it has, whatever the profile assumes (trap 12)."""
    if all(period.phase_count <= count for schedule in profile.schedules for period in schedule.periods):
        return profile
    fewer = [
        replace(schedule, periods=tuple(replace(period, phase_count=min(period.phase_count, count)) for period in schedule.periods))
        for schedule in profile.schedules
    ]
    return replace(profile, schedules=tuple(fewer))


def _valid(profile: Profile, wall_s: float) -> bool:
    if profile.valid_from_wall_s is not None and wall_s < profile.valid_from_wall_s:
        return False
    return profile.valid_to_wall_s is None or wall_s < profile.valid_to_wall_s


def _schedule_limit_a(profile: Profile, schedule: Schedule, wall_s: float, session_start_wall_s: float, voltage_v: float) -> float | None:
    zero_s = _zero(profile, schedule, wall_s, session_start_wall_s)
    if schedule.duration_s is not None and zero_s + schedule.duration_s <= wall_s:
        return None
    index = bisect_right(schedule.periods, wall_s, key=lambda period: zero_s + period.start_s) - 1
    return _amps(schedule.periods[index], schedule.unit, voltage_v) if index >= 0 else None


def _zero(profile: Profile, schedule: Schedule, wall_s: float, session_start_wall_s: float) -> float:
    """Wall time of the schedule's zero, for a recurring one that of the round ``wall_s`` falls into.

    Ends of periods are always computed as zero + offset, never as a difference of wall times, so that
    a moment computed as a boundary lies on the right side of it.
    """
    if profile.kind is Kind.RELATIVE or schedule.start_wall_s is None:
        return session_start_wall_s
    start_s = schedule.start_wall_s
    if profile.recurrency is None or wall_s < start_s:
        return start_s
    period_s = profile.recurrency.period_s
    rounds = math.floor((wall_s - start_s) / period_s)
    if start_s + (rounds + 1) * period_s <= wall_s:
        rounds += 1
    return start_s + rounds * period_s


def _amps(period: Period, unit: str, voltage_v: float) -> float:
    return period.limit if unit == "A" else period.limit / (voltage_v * period.phase_count)


# -- many profiles over time -----------------------------------------------------------------------

Steps = list[tuple[float, float | None]]
"""(from wall time, limit per phase [A] or None), ascending; the last one holds on."""


def composite(
    profiles: Iterable[Profile], start_wall_s: float, end_wall_s: float, session_start_wall_s: float | None, voltage_v: float
) -> tuple[LimitStep, ...]:
    """What ``profiles`` together allow from start_wall_s (first step) up to end_wall_s, at most MAX_WINDOW_S.

    session_start_wall_s None: no session; Relative schedules are taken to start with the window, as
    a session that began now would see them. Neighbouring equal steps are merged. The cost grows with
    the number of periods, not with its square.
    """
    end_s = min(end_wall_s, start_wall_s + MAX_WINDOW_S)
    session_s = start_wall_s if session_start_wall_s is None else session_start_wall_s
    by_purpose: dict[Purpose, list[Profile]] = {}
    for profile in sorted(profiles, key=_rank):
        by_purpose.setdefault(profile.purpose, []).append(profile)

    def layer(purpose: Purpose) -> Steps:
        steps = [_steps_of(profile, start_wall_s, end_s, session_s, voltage_v) for profile in by_purpose.get(purpose, [])]
        return _fold(steps, _first) or [(start_wall_s, None)]

    transaction = _merged(layer(Purpose.TX), layer(Purpose.TX_DEFAULT), _first)
    result = _fold([layer(Purpose.STATION_MAX), layer(Purpose.EXTERNAL), transaction], _lower)
    return tuple(LimitStep(start_s, limit_a) for start_s, limit_a in result)


def leading_at(profiles: Iterable[Profile], wall_s: float, session_start_wall_s: float | None, voltage_v: float) -> Profile | None:
    """The profile whose limit is the composite's at ``wall_s``; None if nothing limits."""
    session_s = wall_s if session_start_wall_s is None else session_start_wall_s
    leaders: dict[Purpose, tuple[float, Profile]] = {}
    for profile in sorted(profiles, key=_rank):
        limit_a = limit_a_at(profile, wall_s, session_s, voltage_v)
        if limit_a is not None:
            leaders.setdefault(profile.purpose, (limit_a, profile))
    if Purpose.TX in leaders:
        leaders.pop(Purpose.TX_DEFAULT, None)
    return min(leaders.values(), key=lambda leader: leader[0], default=(0.0, None))[1]


def _rank(profile: Profile) -> tuple[int, int]:
    """Highest stack level first; the id only makes the order certain."""
    return -profile.stack_level, profile.profile_id


def _steps_of(profile: Profile, start_s: float, end_s: float, session_s: float, voltage_v: float) -> Steps:
    moments = {start_s, *(moment for moment in _moments(profile, start_s, end_s, session_s) if start_s < moment < end_s)}
    return _tidy((moment, limit_a_at(profile, moment, session_s, voltage_v)) for moment in sorted(moments))


def _moments(profile: Profile, start_s: float, end_s: float, session_s: float) -> Iterator[float]:
    """All moments at which the limit of ``profile`` may change in the window, and a few more."""
    yield from (moment for moment in (profile.valid_from_wall_s, profile.valid_to_wall_s) if moment is not None)
    for schedule in profile.schedules:
        for zero_s in _zeros(profile, schedule, start_s, end_s, session_s):
            yield from (zero_s + period.start_s for period in schedule.periods)
            if schedule.duration_s is not None:
                yield zero_s + schedule.duration_s


def _zeros(profile: Profile, schedule: Schedule, start_s: float, end_s: float, session_s: float) -> Iterator[float]:
    zero_s = _zero(profile, schedule, start_s, session_s)
    yield zero_s
    first_s = schedule.start_wall_s
    if profile.kind is not Kind.RECURRING or profile.recurrency is None or first_s is None:
        return
    period_s = profile.recurrency.period_s
    rounds = round((zero_s - first_s) / period_s) + 1
    while first_s + rounds * period_s < end_s:
        yield first_s + rounds * period_s
        rounds += 1


Choice = Callable[[float | None, float | None], float | None]


def _first(above: float | None, below: float | None) -> float | None:
    return below if above is None else above


def _lower(one: float | None, other: float | None) -> float | None:
    return other if one is None else one if other is None else min(one, other)


def _fold(layers: Sequence[Steps], choice: Choice) -> Steps:
    """All layers merged in their order, by halves: the choices are associative."""
    if len(layers) < 2:
        return list(layers[0]) if layers else []
    middle = len(layers) // 2
    return _merged(_fold(layers[:middle], choice), _fold(layers[middle:], choice), choice)


def _merged(one: Steps, other: Steps, choice: Choice) -> Steps:
    """Step-wise choice of two step functions that begin at the same moment."""
    return _tidy(_walk(one, other, choice))


def _walk(one: Steps, other: Steps, choice: Choice) -> Iterator[tuple[float, float | None]]:
    i = j = 0
    moment = one[0][0]
    while True:
        yield moment, choice(one[i][1], other[j][1])
        next_i = one[i + 1][0] if i + 1 < len(one) else math.inf
        next_j = other[j + 1][0] if j + 1 < len(other) else math.inf
        moment = min(next_i, next_j)
        if moment == math.inf:
            return
        i += next_i == moment
        j += next_j == moment


def _tidy(steps: Iterable[tuple[float, float | None]]) -> Steps:
    result: Steps = []
    for moment, limit_a in steps:
        if not result or result[-1][1] != limit_a:
            result.append((moment, limit_a))
    return result


# -- on disk -----------------------------------------------------------------------------------------


def profile_to_json(profile: Profile) -> dict[str, Any]:
    """The profile as JSON-able data for our own journal."""
    return asdict(profile)


def profile_from_json(data: Any) -> Profile:
    """Inverse of ``profile_to_json``. Raises ProfileError (InvalidProfile) for anything it did not write."""
    try:
        return _profile(data)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise ProfileError("InvalidProfile", f"stored profile cannot be read ({type(error).__name__})") from None


def _profile(data: dict[str, Any]) -> Profile:
    recurrency, transaction_id, raw = data["recurrency"], data["transaction_id"], data["raw"]
    return Profile(
        profile_id=int(data["profile_id"]),
        stack_level=int(data["stack_level"]),
        purpose=Purpose(data["purpose"]),
        kind=Kind(data["kind"]),
        schedules=tuple(_schedule(schedule) for schedule in data["schedules"]),
        transaction_id=None if transaction_id is None else str(transaction_id),
        valid_from_wall_s=_optional(data["valid_from_wall_s"]),
        valid_to_wall_s=_optional(data["valid_to_wall_s"]),
        recurrency=None if recurrency is None else Recurrency(recurrency),
        raw=dict(raw),
    )


def _schedule(data: dict[str, Any]) -> Schedule:
    if data["unit"] not in ("A", "W") or not data["periods"]:
        raise ValueError
    return Schedule(
        schedule_id=int(data["schedule_id"]),
        unit=data["unit"],
        periods=tuple(_period(period) for period in data["periods"]),
        duration_s=_optional(data["duration_s"]),
        start_wall_s=_optional(data["start_wall_s"]),
        min_rate=_optional(data["min_rate"]),
    )


def _period(data: dict[str, Any]) -> Period:
    phases, phase_to_use = int(data["phase_count"]), data["phase_to_use"]
    limit = _finite(data["limit"])
    if not 1 <= phases <= 3 or limit < 0:
        raise ValueError
    return Period(_finite(data["start_s"]), limit, phases, None if phase_to_use is None else int(phase_to_use))


def _finite(value: Any) -> float:
    number = float(value)
    if not math.isfinite(number):
        raise ValueError
    return number


def _optional(value: Any) -> float | None:
    return None if value is None else _finite(value)
