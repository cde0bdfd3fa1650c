"""How long cars stay and what they take, against what their drivers said: plain quantiles of past sessions.

Drivers are wrong in both directions. They leave before they said (the departure planned for lies a learnt margin earlier), and they ask for
more than their car takes (what was really charged is known only when it stops). A car that is still there, or still charging, beyond
what was said is one of those that were wrong: only sessions like it are asked, and they say how much longer it usually takes.

Pure. Sessions are those ``expect.Habits.learn`` has found sound.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import TypeVar

from optimizer.past import PastSession, Stay

FEWEST = 12
"""Statistics need so many sessions; below that the next coarser group is asked."""
MORE_ALIKE = 0.5
"""The sessions of a connector are far more alike than those of an hour when their middle half is this much narrower."""
NEAR_S = 1800.0
"""Who has stayed longer than all its like is taken to leave within this time [s]."""
NEAR_WH = 2_000.0
"""Who has taken more than all its like is taken to want this much more [Wh]."""
SILENT_WH, SILENT_STAY_S = 20_000.0, 8 * 3600.0
"""Assumed without any past [Wh, s]."""
EVERYBODY = ""
MOST_CHANCES = 100
"""So many moments tell well enough when a car may leave."""
AT_ONCE = 1000
"""Sessions that are looked at in one step."""
One = TypeVar("One")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Like:
    """Sessions alike, each list ascending. late_s: real minus stated departure [s]. ratio: real by stated energy. part: real by stated
    stay. stay_s and energy_wh: of all sessions, stated or not."""

    late_s: tuple[float, ...] = ()
    ratio: tuple[float, ...] = ()
    stay_s: tuple[float, ...] = ()
    energy_wh: tuple[float, ...] = ()
    part: tuple[float, ...] = ()


Likes = Mapping[str, Like]


def learning_likes(past: Sequence[PastSession], zone: tzinfo) -> Generator[int, None, Likes]:
    """Groups of sessions by user, by EVSE, by hour of arrival, and everybody. In steps, see ``expect.Habits.learning``."""
    groups: dict[str, list[PastSession]] = {}
    for some in chunks(past):
        for one in some:
            for name in _names(one.user, one.evse, one.arrival_wall_s, zone):
                groups.setdefault(name, []).append(one)
        yield len(some)
    likes: dict[str, Like] = {}
    for name, members in groups.items():
        if len(members) >= FEWEST or name == EVERYBODY:
            likes[name] = _like(members)
            yield len(members)
    return likes


def learn_likes(past: Sequence[PastSession], zone: tzinfo) -> Likes:
    """``learning_likes`` at once."""
    return at_once(learning_likes(past, zone))


def at_once(steps: Generator[int, None, Result]) -> Result:
    """The result of all steps."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            result: Result = end.value
            return result


def chunks(many: Sequence[One]) -> Iterator[Sequence[One]]:
    """``AT_ONCE`` of them at a time."""
    for begin in range(0, len(many), AT_ONCE):
        yield many[begin : begin + AT_ONCE]


def _names(user: str, evse: str, arrival_wall_s: float, zone: tzinfo) -> list[str]:
    """Groups a session belongs to, the closest first."""
    hour = datetime.fromtimestamp(arrival_wall_s, UTC).astimezone(zone).hour
    return ([f"user {user}"] if user else []) + [f"hour {hour:02d}", f"evse {evse}", EVERYBODY]


def _like(members: Sequence[PastSession]) -> Like:
    late = [one.departure_wall_s - one.stated_departure_wall_s for one in members if one.stated_departure_wall_s is not None]
    ratio = [one.energy_wh / one.stated_wh for one in members if one.stated_wh]
    stays = [one.departure_wall_s - one.arrival_wall_s for one in members]
    energies, parts = [one.energy_wh for one in members], [part for one in members if (part := _part(one)) is not None]
    return Like(tuple(sorted(late)), tuple(sorted(ratio)), tuple(sorted(stays)), tuple(sorted(energies)), tuple(sorted(parts)))


def _part(one: PastSession) -> float | None:
    """Real by stated stay."""
    stated_s = one.stated_departure_wall_s
    if stated_s is None or stated_s <= one.arrival_wall_s:
        return None
    return (one.departure_wall_s - one.arrival_wall_s) / (stated_s - one.arrival_wall_s)


def likes_of(likes: Likes, stay: Stay, what: Callable[[Like], Sequence[float]], zone: tzinfo) -> Sequence[float]:
    """The sample of the closest group that is large enough; () = nobody is.

    A connector that serves one vehicle, or one round, says more than the hour of arrival: it is asked where its sessions are far more alike.
    """
    names = _names(stay.user, stay.evse, stay.arrival_wall_s, zone)
    large = {name: sample for name in names if name in likes and len(sample := what(likes[name])) >= FEWEST}
    if not large:
        return ()
    closest = next(iter(large))
    own = f"evse {stay.evse}"
    if own in large and closest.startswith("hour ") and spread(large[own]) < MORE_ALIKE * spread(large[closest]):
        closest = own
    return large[closest]


def spread(ascending: Sequence[float]) -> float:
    """The width of the middle half."""
    return ascending[3 * len(ascending) // 4] - ascending[len(ascending) // 4]


def departure_s(likes: Likes, stay: Stay, now_wall_s: float, zone: tzinfo, quantile: float) -> float:
    """When the car shall be ready [wall s], never before now: only ``quantile`` of those alike that are still there leave sooner."""
    stated_s, begin_s = stay.stated_departure_wall_s, stay.arrival_wall_s
    if stated_s is not None and stated_s > begin_s:
        late = likes_of(likes, stay, lambda like: like.late_s, zone)
        if late:
            return max(now_wall_s, stated_s + beyond(late, now_wall_s - stated_s, quantile, NEAR_S))
        return max(stated_s, now_wall_s + NEAR_S)
    stays = likes_of(likes, stay, lambda like: like.stay_s, zone)
    if stays:
        return begin_s + beyond(stays, now_wall_s - begin_s, quantile, NEAR_S)
    return max(begin_s + SILENT_STAY_S, now_wall_s + NEAR_S)


def leaving_s(likes: Likes, stay: Stay, now_wall_s: float, zone: tzinfo) -> tuple[float, ...]:
    """When the car may leave [wall s], ascending, each as likely as the others: as those alike that stayed at least as long. () = unknown."""
    stated_s, begin_s = stay.stated_departure_wall_s, stay.arrival_wall_s
    told = stated_s is not None and stated_s > begin_s
    whole_s = stated_s - begin_s if told and stated_s is not None else 1.0
    sample = likes_of(likes, stay, (lambda like: like.part) if told else (lambda like: like.stay_s), zone)
    if not sample:
        return ()
    left = sample[bisect_right(sample, (now_wall_s - begin_s) / whole_s) :]
    some = left[len(left) // MOST_CHANCES // 2 :: len(left) // MOST_CHANCES + 1] or left
    return tuple(begin_s + whole_s * one for one in some) or (now_wall_s + NEAR_S,)


def total_wh(likes: Likes, stay: Stay, zone: tzinfo, quantile: float) -> float:
    """What the car will have taken in the end [Wh]: more only with a chance of 1 - ``quantile``, given what it already took."""
    charged_wh, stated_wh = stay.charged_wh, stay.stated_wh
    if stated_wh is not None and stated_wh > 0:
        ratio = likes_of(likes, stay, lambda like: like.ratio, zone)
        if ratio:
            return stated_wh * beyond(ratio, charged_wh / stated_wh, quantile, NEAR_WH / stated_wh)
        return max(stated_wh, charged_wh + NEAR_WH)
    energy = likes_of(likes, stay, lambda like: like.energy_wh, zone)
    if energy:
        return beyond(energy, charged_wh, quantile, NEAR_WH)
    return max(SILENT_WH, charged_wh + NEAR_WH)


def beyond(ascending: Sequence[float], least: float, quantile: float, near: float) -> float:
    """Quantile of the values above ``least``; ``least`` + near when there are none."""
    first = bisect_right(ascending, least)
    count = len(ascending) - first
    if count == 0:
        return least + near
    return ascending[first + min(count - 1, int(quantile * count))]
