"""One charging profile over time, and step functions of time merged with each other.

A schedule that has run out its duration says nothing any more (K02.FR.08), a Dynamic one so long after its last update
(K28.FR.13/14). Validity is [valid_from, valid_to) (K01.FR.36/37). Several schedules in one profile (ISO 15118) count with their
lowest limit, as we do not know which one the car chose. Costs grow with the number of periods in the window, not with its square.
"""

from __future__ import annotations

import hashlib
import math
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence

from controller.ocpp.profile_data import Period, Profile, Schedule
from controller.ocpp.rounds import zeros
from controller.ocpp.said import Known, Said, lower, said_by

Steps = list[tuple[float, Said | None]]
"""(from wall time, what is said or None for nothing), ascending; the last one holds on."""
Choice = Callable[[Said | None, Said | None], Said | None]


def steps_of(profile: Profile, start_s: float, end_s: float, known: Known) -> Steps:
    """What one profile says from start_s on, up to end_s."""
    steps = fold([_schedule_steps(profile, schedule, start_s, end_s, known) for schedule in profile.schedules], lower)
    begin_s, stop_s = _validity(profile, known)
    if begin_s <= start_s and stop_s >= end_s:
        return steps
    return [step for step in _cut(steps, start_s, begin_s, stop_s) if step[0] == start_s or step[0] < end_s]


def said_at(profile: Profile, wall_s: float, known: Known) -> Said | None:
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
    return tidy([*before, *inside, (stop_s, None)])


def _schedule_steps(profile: Profile, schedule: Schedule, start_s: float, end_s: float, known: Known) -> Steps:
    """Steps of one schedule; the first one is at start_s. end_s = start_s: that one alone."""
    starts, periods = _delayed(schedule, f"{known.delay_seed}/{profile.profile_id}" if known.delay_seed else "")
    said = [said_by(period, schedule, known) for period in periods]
    duration_s = _duration(profile, schedule)
    rounds = list(zeros(profile, schedule, start_s, max(end_s, math.nextafter(start_s, math.inf)), known.session_s, known.timezone))
    steps: Steps = []
    for zero_s, next_s in zip(rounds, [*rounds[1:], math.inf], strict=True):
        steps += _round(zero_s, min(zero_s + duration_s, next_s), next_s, starts, said, start_s, end_s)
    if not steps or steps[0][0] > start_s:
        steps.insert(0, (start_s, None))
    return tidy(steps)


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


# -- step functions ------------------------------------------------------------------------------------------


def fold(layers: Sequence[Steps], choice: Choice) -> Steps:
    """All layers merged in their order, by halves: the choices are associative."""
    if len(layers) < 2:
        return list(layers[0]) if layers else []
    middle = len(layers) // 2
    return merged(fold(layers[:middle], choice), fold(layers[middle:], choice), choice)


def merged(one: Steps, other: Steps, choice: Choice) -> Steps:
    """Step-wise choice of two step functions that begin at the same moment."""
    return tidy(_walk(one, other, choice))


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


def tidy(steps: Iterable[tuple[float, Said | None]]) -> Steps:
    result: Steps = []
    for moment, said in steps:
        if not result or result[-1][1] != said:
            result.append((moment, said))
    return result
