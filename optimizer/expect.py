"""What past charging sessions say about today: cars still to come, how long those here stay, what they will take.

``Habits.learn`` reads the past once; ``coming`` gives the arrivals of the rest of the horizon as a few expected cars for the planning
problem; ``outlook`` corrects what the driver of a present car said, or stands in for what was not said (``stays.py``).

Why expected cars at all: a plan that knows only the cars that are here puts energy off into slots that later cars need; it delivers less
than least laxity first and pays a higher peak. Arrivals are means by hour and length of stay: months of sessions become some thirty
cars, weighed by the tariff (``WEIGHT``, ``WEIGHT_NO_DEMAND``). What a forecast gets wrong is mended by every car that comes.

Pure: the time is handed in, local times by the zone's name. Raises ForecastError for an unknown zone. Sessions that make no sense (no
numbers, leaving before they come) are left out.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta, tzinfo

from optimizer.forecast import zone_of
from optimizer.past import Outlook, PastSession, Stay
from optimizer.problem import EXPECTED, Ev, Slot
from optimizer.stays import Likes, at_once, chunks, departure_s, learning_likes, leaving_s, total_wh

DAY_S, HOUR_S = 86_400.0, 3600.0
WEIGHT = 0.7
"""Part of the usual arrivals that is planned for where peaks are paid: who expects too much buys the peak for cars that never come."""
WEIGHT_NO_DEMAND = 2.0
"""The same where only energy is paid: everybody waits for the cheap hours and fills the wires there to the brim, and what comes beyond
the expectation finds no room. Planning for as much as a busy day brings costs little and delivers 1-3 points more."""
HALF_LIFE_S = 28 * DAY_S
"""A day counts half as much as one that is this much younger."""
OLDEST_S = 120 * DAY_S
"""Older sessions say nothing about today."""
STAY_CLASSES_S = (3.0 * HOUR_S, 6.5 * HOUR_S)
"""Arrivals of one hour are told apart by how long they stay: short, half a day, longer."""
MOST_CARS = 40
"""Expected cars in one problem: they cost solve time."""
LEAST_SHARE = 0.003
"""A group with less than this part of a day's energy is noise."""
DEPARTURE_QUANTILE = 0.4
"""The chance that a car leaves sooner is priced besides (``waiting.py``)."""
ENERGY_QUANTILE = 0.9
MINIMUM_QUANTILE = 0.5


@dataclass(frozen=True, slots=True)
class Usual:
    """Mean arrivals per day of one group in one local hour. at_s (into the hour) and stay_s are means weighed by energy.

    power_w: of all its cars together.
    """

    node_id: str
    hour: int
    stay_class: int
    phases: tuple[int, ...]
    cars: float
    energy_wh: float
    power_w: float
    at_s: float
    stay_s: float


@dataclass(frozen=True, slots=True)
class Habits:
    """What was learnt. usual: arrivals of a workday (False) and of a day of the weekend (True). likes: how long, how much, how wrong."""

    timezone: str
    usual: Mapping[bool, tuple[Usual, ...]] = field(default_factory=dict)
    likes: Likes = field(default_factory=dict)

    @classmethod
    def learn(cls, past: Sequence[PastSession], now_wall_s: float, timezone: str) -> Habits:
        """Learn from finished sessions. The running local day is not over: it says nothing about arrivals."""
        return at_once(cls.learning(past, now_wall_s, timezone))

    @classmethod
    def learning(cls, past: Sequence[PastSession], now_wall_s: float, timezone: str) -> Generator[int, None, Habits]:
        """``learn`` in steps, for who has no time to do it at once: each yields about how many sessions it has looked at."""
        zone = zone_of(timezone)
        sound: list[PastSession] = []
        for some in chunks(past):
            sound += [one for one in some if _sound(one) and now_wall_s - OLDEST_S <= one.arrival_wall_s <= now_wall_s]
            yield len(some)
        usual = yield from _learn_arrivals(sound, now_wall_s, zone)
        likes = yield from learning_likes(sound, zone)
        return cls(timezone, usual, likes)

    def coming(
        self,
        slots: Sequence[Slot],
        present: Sequence[Stay],
        now_wall_s: float,
        buy_per_kwh: Sequence[float] = (),
        parents: Mapping[str, str | None] | None = None,
        demand_per_kw: float | None = None,
    ) -> tuple[Ev, ...]:
        """Expected cars that come after now and leave within the slots: at most ``MOST_CARS``, the largest.

        parents: node_id -> the node above it (None = root). With them, cars of several nodes share expected cars on the lowest node above
        them all; without, every node has its own. demand_per_kw: 0 = peaks cost nothing, None = not known.
        """
        if not slots:
            return ()
        zone, end_s = zone_of(self.timezone), slots[-1].start_wall_s + slots[-1].duration_s
        weight = WEIGHT_NO_DEMAND if demand_per_kw == 0.0 else WEIGHT
        coming = (car for day in _days(now_wall_s, end_s, zone) for car in self._on(day, now_wall_s, zone, weight))
        found = [car for car in coming if car.departure_wall_s <= end_s]
        if parents:
            found = _together(found, parents)
        largest = sorted(found, key=lambda ev: (-ev.energy_need_wh, ev.ev_id))[:MOST_CARS]
        return tuple(sorted(largest, key=lambda ev: (ev.arrival_wall_s, ev.ev_id)))

    def _on(self, day: date, now_wall_s: float, zone: tzinfo, weight: float) -> Iterator[Ev]:
        """What comes on a day after now; of the running hour the part that is left."""
        for group in self.usual.get(_weekend(day), ()):
            begin_s = datetime.combine(day, time(group.hour), zone).timestamp()
            left_s = min(HOUR_S, begin_s + HOUR_S - now_wall_s)
            if left_s > 0.0:
                comes_s = max(begin_s + group.at_s, begin_s + HOUR_S - left_s / 2.0)
                yield _expected(group, day, comes_s, weight * left_s / HOUR_S)

    def leaving(self, stay: Stay, now_wall_s: float) -> tuple[float, ...]:
        """When a car that is here may leave [wall s], ascending, each as likely as the others; () = nobody knows."""
        return leaving_s(self.likes, stay, now_wall_s, zone_of(self.timezone))

    def outlook(self, stay: Stay, now_wall_s: float) -> Outlook:
        """What to plan for a car that is here; the times and energies of ``stays.py``, the minimum within what can still be had."""
        zone = zone_of(self.timezone)
        leaves_s = departure_s(self.likes, stay, now_wall_s, zone, DEPARTURE_QUANTILE)
        need_wh = max(0.0, total_wh(self.likes, stay, zone, ENERGY_QUANTILE) - stay.charged_wh)
        least_wh = max(0.0, total_wh(self.likes, stay, zone, MINIMUM_QUANTILE) - stay.charged_wh)
        room_wh = stay.max_power_w * max(0.0, leaves_s - now_wall_s) / HOUR_S
        return Outlook(need_wh, min(need_wh, least_wh, room_wh), leaves_s)


def _expected(group: Usual, day: date, comes_s: float, part: float) -> Ev:
    return Ev(
        ev_id=f"{EXPECTED}{group.node_id}/{day.isoformat()}/{group.hour:02d}/{group.stay_class}",
        node_id=group.node_id,
        phases=group.phases,
        arrival_wall_s=comes_s,
        departure_wall_s=comes_s + group.stay_s,
        energy_need_wh=part * group.energy_wh,
        min_power_w=0.0,
        max_power_w=part * group.power_w,
        expected=True,
    )


# -- learning arrivals --------------------------------------------------------------------------------


def _sound(one: PastSession) -> bool:
    numbers = (one.arrival_wall_s, one.departure_wall_s, one.energy_wh, one.max_power_w)
    return all(map(math.isfinite, numbers)) and one.departure_wall_s > one.arrival_wall_s and one.energy_wh > 0 and one.max_power_w > 0


@dataclass(slots=True)
class _Sum:
    """Weighted sums of one group."""

    phases: set[int] = field(default_factory=set)
    cars: float = 0.0
    wh: float = 0.0
    power_w: float = 0.0
    at: float = 0.0
    stay: float = 0.0

    def add(self, one: PastSession, at_s: float, weight: float) -> None:
        self.phases.update(one.phases)
        self.cars += weight
        self.wh += weight * one.energy_wh
        self.power_w += weight * one.max_power_w
        self.at += weight * one.energy_wh * at_s
        self.stay += weight * one.energy_wh * min(one.departure_wall_s - one.arrival_wall_s, DAY_S)


def _learn_arrivals(past: Sequence[PastSession], now_wall_s: float, zone: tzinfo) -> Generator[int, None, dict[bool, tuple[Usual, ...]]]:
    """Means over all past days of a kind since the first session, those without any car included."""
    placed: list[tuple[datetime, PastSession]] = []
    today = datetime.fromtimestamp(now_wall_s, UTC).astimezone(zone).date()
    for some in chunks(past):
        local_of = ((datetime.fromtimestamp(one.arrival_wall_s, UTC).astimezone(zone), one) for one in some)
        placed += [(local, one) for local, one in local_of if local.date() < today]
        yield len(some)
    if not placed:
        return {}
    first = min(local.date() for local, _ in placed)
    weights = {first + timedelta(days=days): 0.5 ** (((today - first).days - days) * DAY_S / HALF_LIFE_S) for days in range((today - first).days)}
    totals = {kind: sum(weight for day, weight in weights.items() if _weekend(day) is kind) for kind in (False, True)}
    sums: dict[bool, dict[tuple[str, int, int], _Sum]] = {False: {}, True: {}}
    for part in chunks(placed):
        for local, one in part:
            kind = _weekend(local.date())
            stay_class = sum(one.departure_wall_s - one.arrival_wall_s > limit_s for limit_s in STAY_CLASSES_S)
            group = sums[kind].setdefault((one.node_id, local.hour, stay_class), _Sum())
            group.add(one, local.minute * 60.0 + local.second, weights[local.date()] / totals[kind])
        yield len(part)
    return {kind: _usual(groups) for kind, groups in sums.items() if groups}


def _usual(groups: Mapping[tuple[str, int, int], _Sum]) -> tuple[Usual, ...]:
    least_wh = LEAST_SHARE * sum(group.wh for group in groups.values())
    return tuple(
        Usual(node_id, hour, stay, tuple(sorted(group.phases)), group.cars, group.wh, group.power_w, group.at / group.wh, group.stay / group.wh)
        for (node_id, hour, stay), group in sorted(groups.items())
        if group.wh >= least_wh
    )


# -- days and nodes -----------------------------------------------------------------------------------


def _weekend(day: date) -> bool:
    return day.weekday() >= 5


def _days(begin_s: float, end_s: float, zone: tzinfo) -> Iterator[date]:
    """Local days between two moments."""
    day = datetime.fromtimestamp(begin_s, UTC).astimezone(zone).date()
    last = datetime.fromtimestamp(end_s, UTC).astimezone(zone).date()
    while day <= last:
        yield day
        day += timedelta(days=1)


def _together(cars: Sequence[Ev], parents: Mapping[str, str | None]) -> list[Ev]:
    """Cars of the same hour and length of stay as one car each, on the lowest node above all of them."""
    paths = [_path(node_id, parents) for node_id in sorted({car.node_id for car in cars})]
    if len(paths) < 2:
        return list(cars)
    shared = next((node_id for node_id in paths[0] if all(node_id in path for path in paths)), None)
    if shared is None:
        return list(cars)
    groups: dict[str, list[Ev]] = {}
    for car in cars:
        groups.setdefault(car.ev_id.split("/", 1)[1], []).append(car)
    return [_joined(f"{EXPECTED}{shared}/{name}", shared, members) for name, members in sorted(groups.items())]


def _path(node_id: str, parents: Mapping[str, str | None]) -> list[str]:
    path, at = [node_id], parents.get(node_id)
    while at is not None and at not in path:
        path.append(at)
        at = parents.get(at)
    return path


def _joined(ev_id: str, node_id: str, cars: Sequence[Ev]) -> Ev:
    """One car with the energy and power of all; comes and leaves at their means weighed by energy."""
    energy_wh = sum(car.energy_need_wh for car in cars)
    comes_s, leaves_s = (sum(at * car.energy_need_wh for at, car in pairs) / energy_wh for pairs in _times(cars))
    phases = tuple(sorted({phase for car in cars for phase in car.phases}))
    power_w = sum(car.max_power_w for car in cars)
    return replace(
        cars[0],
        ev_id=ev_id,
        node_id=node_id,
        phases=phases,
        arrival_wall_s=comes_s,
        departure_wall_s=leaves_s,
        energy_need_wh=energy_wh,
        max_power_w=power_w,
    )


def _times(cars: Sequence[Ev]) -> Iterator[list[tuple[float, Ev]]]:
    yield [(car.arrival_wall_s, car) for car in cars]
    yield [(car.departure_wall_s, car) for car in cars]
