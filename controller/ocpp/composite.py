"""What charging profiles add up to over time.

Within one purpose the highest valid stack level wins outright, also with a higher limit, also where it sets none. The profiles
of a transaction are PriorityCharging while that is active, else TxProfile, else TxDefaultProfile, each where it is valid. The
lowest of these, the station's maximum and an external constraint counts; what is generated on the site comes on top (SC.01,
K08.FR.04, K27). A schedule that has run out its duration falls back to the next stack level (K02.FR.08), a Dynamic one so long
after its last update (K28.FR.13/14). Validity is [valid_from, valid_to) (K01.FR.36/37).

A watt limit becomes amps with the *nominal* voltage and the phases of its period (K01.FR.49-51); limits of single phases count
with the lowest one (K01.FR.147). The lowest number of phases counts for all (K01.FR.140). Setpoints are held within the merged
limits (V2X.03/04, K08.FR.08); a station's maximum bounds no discharge (K01.FR.111, trap 23). Several schedules in one profile
(ISO 15118) count with their lowest limit, as we do not know which one the car chose. An unknown state of charge counts as above
every limitAtSoC.

Limits are per phase [A]. All times are UTC wall seconds. Pure arithmetic: never reads a clock. Costs grow with the number of
periods in the window, not with its square.
"""

from __future__ import annotations

import hashlib
import math
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import tzinfo
from typing import Final

from controller.facts import LimitStep
from controller.ocpp.profile_data import WEEK_S, Kind, LimitAtSoC, Mode, Period, PerPhase, Profile, Purpose, Schedule
from controller.ocpp.rounds import zeros

MAX_WINDOW_S: Final = WEEK_S
"""A composite looks no further than this, whatever was asked: more periods than anybody can use."""


@dataclass(frozen=True, slots=True)
class Known:
    """What is known beside the profiles. See ``composite`` for the fields."""

    session_s: float
    voltage_v: float
    soc_percent: float | None = None
    offline_since_wall_s: float | None = None
    timezone: tzinfo | None = None
    delay_seed: str = ""


@dataclass(frozen=True, slots=True)
class Said:
    """What one profile, or a layer of them, says at one moment, per phase [A]; see ``facts.LimitStep`` for the fields."""

    limit_a: float | None
    discharge_a: float | None = None
    setpoint_a: float | None = None
    phase_count: int | None = None
    phase_to_use: int | None = None
    mode: Mode = Mode.CHARGING_ONLY


@dataclass(frozen=True, slots=True)
class Layer:
    """One purpose at one moment: its leading profile and what that says by itself.

    counts: False where another purpose stands in for it (a TxDefaultProfile behind a TxProfile). binding: its limit is the
    result's (before local generation). min_rate_a: less is inefficient, it says (K01.FR.21).
    """

    purpose: Purpose
    profile: Profile
    said: Said
    counts: bool
    binding: bool
    min_rate_a: float | None


Steps = list[tuple[float, Said | None]]
"""(from wall time, what is said or None for nothing), ascending; the last one holds on."""
Choice = Callable[[Said | None, Said | None], Said | None]


# -- the public questions ---------------------------------------------------------------------------------


def composite(
    profiles: Iterable[Profile],
    start_wall_s: float,
    end_wall_s: float,
    session_start_wall_s: float | None,
    voltage_v: float,
    *,
    priority_active: bool = False,
    soc_percent: float | None = None,
    offline_since_wall_s: float | None = None,
    timezone: tzinfo | None = None,
    delay_seed: str = "",
) -> tuple[LimitStep, ...]:
    """What ``profiles`` together allow from start_wall_s (first step) up to end_wall_s, at most MAX_WINDOW_S.

    session_start_wall_s None: no session; Relative schedules are taken to start with the window, as a session that began now
    would see them. voltage_v: nominal, phase to neutral, > 0. priority_active: UsePriorityCharging is on (K21/K22). soc_percent:
    of the battery, None = unknown. offline_since_wall_s: when the CSMS was lost, None = it is there. timezone: of the site, for
    useLocalTime; None = UTC. delay_seed: names the transaction, for randomizedDelay: the same one always draws the same; "" = no
    delays, as for an idle EVSE (K08). Neighbouring equal steps are merged.
    """
    end_s = min(end_wall_s, start_wall_s + MAX_WINDOW_S)
    session_s = start_wall_s if session_start_wall_s is None else session_start_wall_s
    known = Known(session_s, voltage_v, soc_percent, offline_since_wall_s, timezone, delay_seed)
    by_purpose: dict[Purpose, list[Profile]] = {}
    for profile in sorted(profiles, key=_rank):
        by_purpose.setdefault(profile.purpose, []).append(profile)

    def layer(purpose: Purpose) -> Steps:
        steps = [steps_of(profile, start_wall_s, end_s, known) for profile in by_purpose.get(purpose, [])]
        return _fold(steps, _first) or [(start_wall_s, None)]

    transaction = _merged(layer(Purpose.TX), layer(Purpose.TX_DEFAULT), _first)
    if priority_active:
        transaction = _merged(layer(Purpose.PRIORITY), transaction, _first)
    bounds = _merged(layer(Purpose.STATION_MAX), layer(Purpose.EXTERNAL), lower)
    result = _merged(_merged(bounds, transaction, lower), layer(Purpose.LOCAL_GENERATION), _added)
    return tuple(_step(moment, said) for moment, said in result)


def limit_a_at(profile: Profile, wall_s: float, session_start_wall_s: float, voltage_v: float) -> float | None:
    """Limit per phase [A] that ``profile`` alone sets at ``wall_s``; None when it sets none or does not apply then.

    session_start_wall_s: zero of Relative schedules. voltage_v: nominal, phase to neutral, > 0.
    """
    said = _said_at(profile, wall_s, Known(session_start_wall_s, voltage_v))
    return None if said is None else said.limit_a


def explain_at(
    profiles: Iterable[Profile],
    wall_s: float,
    session_start_wall_s: float | None,
    voltage_v: float,
    *,
    priority_active: bool = False,
    soc_percent: float | None = None,
    offline_since_wall_s: float | None = None,
    timezone: tzinfo | None = None,
    delay_seed: str = "",
) -> tuple[Layer, ...]:
    """The chain of limits at one moment: the leading profile of each purpose that has one, in the order of ``Purpose``."""
    session_s = wall_s if session_start_wall_s is None else session_start_wall_s
    known = Known(session_s, voltage_v, soc_percent, offline_since_wall_s, timezone, delay_seed)
    leaders: dict[Purpose, tuple[Profile, Said]] = {}
    for profile in sorted(profiles, key=_rank):
        said = None if profile.purpose in leaders else _said_at(profile, wall_s, known)
        if said is not None:
            leaders[profile.purpose] = (profile, said)
    return _layers(leaders, priority_active, voltage_v)


def leading_at(
    profiles: Iterable[Profile],
    wall_s: float,
    session_start_wall_s: float | None,
    voltage_v: float,
    *,
    priority_active: bool = False,
    soc_percent: float | None = None,
    offline_since_wall_s: float | None = None,
    timezone: tzinfo | None = None,
    delay_seed: str = "",
) -> Profile | None:
    """The profile whose limit is the composite's at ``wall_s``; where none limits, one that sets a mode; None if there is none."""
    layers = explain_at(
        profiles,
        wall_s,
        session_start_wall_s,
        voltage_v,
        priority_active=priority_active,
        soc_percent=soc_percent,
        offline_since_wall_s=offline_since_wall_s,
        timezone=timezone,
        delay_seed=delay_seed,
    )
    found = [layer for layer in layers if layer.binding] or [layer for layer in layers if layer.counts and layer.said.mode]
    return found[0].profile if found else None


def _layers(leaders: dict[Purpose, tuple[Profile, Said]], priority_active: bool, voltage_v: float) -> tuple[Layer, ...]:
    idle = set() if priority_active else {Purpose.PRIORITY}
    behind = [purpose for purpose in (Purpose.PRIORITY, Purpose.TX, Purpose.TX_DEFAULT) if purpose in leaders and purpose not in idle][1:]
    counting = {purpose: said for purpose, (_, said) in leaders.items() if purpose not in idle and purpose not in behind}
    capping = [(said.limit_a, purpose) for purpose, said in counting.items() if purpose is not Purpose.LOCAL_GENERATION and said.limit_a is not None]
    lowest = min(capping, key=lambda cap: cap[0], default=(None, None))[1]
    return tuple(
        Layer(purpose, profile, said, purpose in counting, purpose is lowest, _min_rate_a(profile, voltage_v))
        for purpose in Purpose
        if purpose in leaders
        for profile, said in [leaders[purpose]]
    )


def _min_rate_a(profile: Profile, voltage_v: float) -> float | None:
    rates = [
        schedule.min_rate if schedule.unit == "A" else schedule.min_rate / (voltage_v * schedule.periods[0].phase_count)
        for schedule in profile.schedules
        if schedule.min_rate is not None
    ]
    return max(rates, default=None)


def _rank(profile: Profile) -> tuple[int, int]:
    """Highest stack level first; the id only makes the order certain."""
    return -profile.stack_level, profile.profile_id


def _step(moment: float, said: Said | None) -> LimitStep:
    if said is None:
        return LimitStep(moment, None)
    return LimitStep(moment, said.limit_a, said.discharge_a, said.setpoint_a, said.phase_count, said.phase_to_use, said.mode.value)


# -- profiles in other circumstances ------------------------------------------------------------------------


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
    said = _said(period, replace(schedule, limit_at_soc=None), Known(0.0, voltage_v))
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


# -- one profile over time --------------------------------------------------------------------------------------


def steps_of(profile: Profile, start_s: float, end_s: float, known: Known) -> Steps:
    """What one profile says from start_s on, up to end_s."""
    steps = _fold([_schedule_steps(profile, schedule, start_s, end_s, known) for schedule in profile.schedules], lower)
    begin_s, stop_s = _validity(profile, known)
    if begin_s <= start_s and stop_s >= end_s:
        return steps
    return [step for step in _cut(steps, start_s, begin_s, stop_s) if step[0] == start_s or step[0] < end_s]


def _said_at(profile: Profile, wall_s: float, known: Known) -> Said | None:
    begin_s, stop_s = _validity(profile, known)
    if not begin_s <= wall_s < stop_s:
        return None
    said = [_schedule_steps(profile, schedule, wall_s, wall_s, known)[0][1] for schedule in profile.schedules]
    result = said[0]
    for other in said[1:]:
        result = lower(result, other)
    return result


def _validity(profile: Profile, known: Known) -> tuple[float, float]:
    """[begin, stop) in which a profile counts: its own validity, and so long after the CSMS was lost (K01.FR.101/102)."""
    begin_s = -math.inf if profile.valid_from_wall_s is None else profile.valid_from_wall_s
    stop_s = math.inf if profile.valid_to_wall_s is None else profile.valid_to_wall_s
    if profile.max_offline_s is not None and known.offline_since_wall_s is not None:
        stop_s = min(stop_s, known.offline_since_wall_s + profile.max_offline_s)
    return begin_s, stop_s


def _cut(steps: Steps, start_s: float, begin_s: float, stop_s: float) -> Steps:
    """The steps within [begin_s, stop_s), nothing before and after."""
    first_s = max(begin_s, start_s)
    if first_s >= stop_s:
        return [(start_s, None)]
    nexts = [moment for moment, _ in steps[1:]] + [math.inf]
    inside = [(max(moment, first_s), said) for (moment, said), next_s in zip(steps, nexts, strict=True) if moment < stop_s and next_s > first_s]
    before: Steps = [(start_s, None)] if first_s > start_s else []
    return _tidy([*before, *inside, (stop_s, None)])


def _schedule_steps(profile: Profile, schedule: Schedule, start_s: float, end_s: float, known: Known) -> Steps:
    """Steps of one schedule; the first one is at start_s. end_s = start_s: that one alone."""
    starts, periods = _delayed(schedule, f"{known.delay_seed}/{profile.profile_id}" if known.delay_seed else "")
    said = [_said(period, schedule, known) for period in periods]
    duration_s = _duration(profile, schedule)
    rounds = list(zeros(profile, schedule, start_s, max(end_s, math.nextafter(start_s, math.inf)), known.session_s, known.timezone))
    steps: Steps = []
    for zero_s, next_s in zip(rounds, [*rounds[1:], math.inf], strict=True):
        steps += _round(zero_s, min(zero_s + duration_s, next_s), next_s, starts, said, start_s, end_s)
    if not steps or steps[0][0] > start_s:
        steps.insert(0, (start_s, None))
    return _tidy(steps)


def _round(
    zero_s: float, stop_s: float, next_s: float, starts: Sequence[float], said: Sequence[Said], start_s: float, end_s: float
) -> Iterator[tuple[float, Said | None]]:
    """The steps of one round within the window: periods up to stop_s, then nothing up to next_s."""
    begun = max(0, bisect_right(starts, start_s, key=lambda offset_s: zero_s + offset_s) - 1)
    for index in range(begun, len(starts)):
        moment = zero_s + starts[index]
        if moment >= stop_s or (moment >= end_s and moment > start_s):
            break
        if stop_s > start_s:
            yield max(moment, start_s), said[index]
    if stop_s < next_s and stop_s < end_s:
        yield max(stop_s, start_s), None


def _duration(profile: Profile, schedule: Schedule) -> float:
    """How long the schedule lasts. One of a whole day leaves no gap before the next day, also if that comes after 25 hours."""
    if schedule.duration_s is None or (profile.recurrency is not None and schedule.duration_s >= profile.recurrency.period_s):
        return math.inf
    return schedule.duration_s


def _delayed(schedule: Schedule, seed: str) -> tuple[list[float], list[Period]]:
    """Starts and periods after randomizedDelay: one that would begin after its successor or after the end is left out (K01.FR.93/97)."""
    if not schedule.randomized_delay_s or not seed:
        return [period.start_s for period in schedule.periods], list(schedule.periods)
    latest_s = math.inf if schedule.duration_s is None else schedule.duration_s
    kept: list[tuple[float, Period]] = []
    for index in range(len(schedule.periods) - 1, -1, -1):
        period = schedule.periods[index]
        begin_s = period.start_s + (_drawn(seed, index, schedule.randomized_delay_s) if index else 0.0)
        if index == 0 or begin_s < latest_s:
            kept.append((begin_s, period))
            latest_s = begin_s
    kept.reverse()
    return [begin_s for begin_s, _ in kept], [period for _, period in kept]


def _drawn(seed: str, index: int, largest_s: float) -> float:
    """A whole number of seconds from 0 to largest_s, evenly spread over seeds and always the same for one seed."""
    drawn = int.from_bytes(hashlib.blake2b(f"{seed}/{index}".encode(), digest_size=8).digest())
    return float(drawn % (int(largest_s) + 1))


# -- amps ---------------------------------------------------------------------------------------------------


def _said(period: Period, schedule: Schedule, known: Known) -> Said:
    """What a period says, per phase [A]."""
    if period.mode is Mode.IDLE:
        return Said(0.0, 0.0, None, _fewer(period), period.phase_to_use, period.mode)
    limit_a = _limit_a(period, schedule, known)
    discharge_a = None if period.discharge is None else _per_phase_a(period.discharge, period, schedule, known, max)
    setpoint_a = None if period.setpoint is None else _per_phase_a(period.setpoint, period, schedule, known, _mean)
    return Said(limit_a, discharge_a, _within(setpoint_a, limit_a, discharge_a), _fewer(period), period.phase_to_use, period.mode)


def _fewer(period: Period) -> int | None:
    """Three phases mean: those there are."""
    return period.phase_count if period.phase_count < 3 else None


def _limit_a(period: Period, schedule: Schedule, known: Known) -> float | None:
    limits: list[float] = []
    if period.limit is not None:
        parts = [value for value in (period.limit_l2, period.limit_l3) if value is not None]
        if schedule.unit == "A":
            limits.append(min([period.limit, *parts]))
        else:
            limits.append(min([period.limit, *parts]) / known.voltage_v if parts else period.limit / (known.voltage_v * period.phase_count))
    if schedule.limit_at_soc is not None and _reached(schedule.limit_at_soc, known.soc_percent):
        limits.append(schedule.limit_at_soc.limit / (1.0 if schedule.unit == "A" else known.voltage_v * period.phase_count))
    return min(limits, default=None)


def _reached(at: LimitAtSoC, soc_percent: float | None) -> bool:
    return soc_percent is None or soc_percent >= at.soc_percent


def _per_phase_a(value: PerPhase, period: Period, schedule: Schedule, known: Known, choose: Callable[[Iterable[float]], float]) -> float:
    """A discharge limit or a setpoint per phase [A]: both are sums, in watts and in amps, unless they name their phases."""
    volts = 1.0 if schedule.unit == "A" else known.voltage_v
    return choose(part / volts for part in value.split) if value.split else value.total / (volts * period.phase_count)


def _mean(values: Iterable[float]) -> float:
    found = list(values)
    return sum(found) / len(found)


def _within(setpoint_a: float | None, limit_a: float | None, discharge_a: float | None) -> float | None:
    """A setpoint within its limits (V2X.03/04)."""
    if setpoint_a is None:
        return None
    bounded = setpoint_a if limit_a is None else min(setpoint_a, limit_a)
    return bounded if discharge_a is None else max(bounded, discharge_a)


# -- layers ---------------------------------------------------------------------------------------------------


def _first(above: Said | None, below: Said | None) -> Said | None:
    return below if above is None else above


def lower(one: Said | None, other: Said | None) -> Said | None:
    """Both at once: the lower limit, the lesser discharge, the fewer phases; mode and setpoint of ``other`` where it has one."""
    if one is None or other is None:
        return other if one is None else one
    limit_a, discharge_a = _least(one.limit_a, other.limit_a), _highest(one.discharge_a, other.discharge_a)
    setpoint_a = one.setpoint_a if other.setpoint_a is None else other.setpoint_a
    return Said(
        limit_a,
        discharge_a,
        _within(setpoint_a, limit_a, discharge_a),
        _fewest(one.phase_count, other.phase_count),
        one.phase_to_use if other.phase_to_use is None else other.phase_to_use,
        other.mode or one.mode,
    )


def _added(result: Said | None, generated: Said | None) -> Said | None:
    """Local generation on top of a limit; where nothing limits it changes nothing (K27)."""
    if result is None or result.limit_a is None or generated is None or generated.limit_a is None or result.mode is Mode.IDLE:
        return result
    return replace(result, limit_a=result.limit_a + generated.limit_a)


def _least(one: float | None, other: float | None) -> float | None:
    return other if one is None else one if other is None else min(one, other)


def _fewest(one: int | None, other: int | None) -> int | None:
    return other if one is None else one if other is None else min(one, other)


def _highest(one: float | None, other: float | None) -> float | None:
    return other if one is None else one if other is None else max(one, other)


def _fold(layers: Sequence[Steps], choice: Choice) -> Steps:
    """All layers merged in their order, by halves: the choices are associative."""
    if len(layers) < 2:
        return list(layers[0]) if layers else []
    middle = len(layers) // 2
    return _merged(_fold(layers[:middle], choice), _fold(layers[middle:], choice), choice)


def _merged(one: Steps, other: Steps, choice: Choice) -> Steps:
    """Step-wise choice of two step functions that begin at the same moment."""
    return _tidy(_walk(one, other, choice))


def _walk(one: Steps, other: Steps, choice: Choice) -> Iterator[tuple[float, Said | None]]:
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


def _tidy(steps: Iterable[tuple[float, Said | None]]) -> Steps:
    result: Steps = []
    for moment, said in steps:
        if not result or result[-1][1] != said:
            result.append((moment, said))
    return result
