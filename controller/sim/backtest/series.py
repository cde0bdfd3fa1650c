"""Time series of a backtest: a price, a load, a production over wall time, constant from step to step.

Built from files whose times are local, UTC or of a year without a number (``series_files``, ``tariffs``).
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from itertools import accumulate, pairwise
from zoneinfo import ZoneInfo

HOUR_S, DAY_S = 3600.0, 86_400.0


class SeriesError(ValueError):
    """A series cannot be had; the text says from what, why, and what to do."""


@dataclass(frozen=True, slots=True)
class Series:
    """Values from starts_s[i] until starts_s[i + 1], the last until end_s. Outside it the first and the last value go on.

    starts_s ascending [Unix s]. Raises SeriesError when empty or out of order.
    """

    starts_s: tuple[float, ...]
    values: tuple[float, ...]
    end_s: float = math.inf
    _sums: tuple[float, ...] = field(default=(), repr=False, compare=False)

    def __post_init__(self) -> None:
        if not self.values or len(self.starts_s) != len(self.values):
            raise SeriesError("a series needs at least one value, and a start for each")
        if any(later <= sooner for sooner, later in pairwise(self.starts_s)):
            raise SeriesError("the times of a series do not ascend")
        steps = ((later - sooner) * value for (sooner, later), value in zip(pairwise(self.starts_s), self.values, strict=False))
        object.__setattr__(self, "_sums", (0.0, *accumulate(steps)))

    def at(self, wall_s: float) -> float:
        """The value at a moment."""
        return self.values[max(0, bisect_right(self.starts_s, wall_s) - 1)]

    def mean(self, start_s: float, end_s: float) -> float:
        """Mean over a stretch of time."""
        return self.at(start_s) if end_s <= start_s else (self._sum_to(end_s) - self._sum_to(start_s)) / (end_s - start_s)

    def next_edge(self, wall_s: float) -> float:
        """The next moment after this one at which the value may change; inf = never."""
        index = bisect_right(self.starts_s, wall_s)
        return self.starts_s[index] if index < len(self.starts_s) else math.inf

    def edges(self, start_s: float, end_s: float) -> list[float]:
        """Moments inside at which the value changes."""
        first, last = bisect_right(self.starts_s, start_s), bisect_right(self.starts_s, end_s)
        return [at_s for index, at_s in enumerate(self.starts_s[first:last], first) if at_s < end_s and self.values[index] != self.values[index - 1]]

    def highest(self, start_s: float, end_s: float) -> float:
        """The highest value inside."""
        return max([self.at(start_s), *(self.at(at_s) for at_s in self.edges(start_s, end_s))])

    def scaled(self, factor: float) -> Series:
        """Every value times a factor."""
        return Series(self.starts_s, tuple(factor * value for value in self.values), self.end_s)

    def plus(self, more: float) -> Series:
        """Every value with so much more."""
        return Series(self.starts_s, tuple(value + more for value in self.values), self.end_s)

    def cut(self, start_s: float, end_s: float) -> Series:
        """Only what is needed of it between two moments."""
        first = max(0, bisect_right(self.starts_s, start_s) - 1)
        last = max(first + 1, bisect_right(self.starts_s, end_s))
        return Series(self.starts_s[first:last], self.values[first:last], self.end_s)

    def _sum_to(self, wall_s: float) -> float:
        index = max(0, bisect_right(self.starts_s, wall_s) - 1)
        return self._sums[index] + (wall_s - self.starts_s[index]) * self.values[index]


def fixed(value: float) -> Series:
    """The same for ever."""
    return Series((0.0,), (value,))


# -- the local clock ------------------------------------------------------------------------------------------


def local(wall_s: float, zone: ZoneInfo) -> datetime:
    """Local date and time at a moment."""
    return datetime.fromtimestamp(wall_s, UTC).astimezone(zone)


def wall_of(moment: datetime, zone: ZoneInfo) -> float:
    """Unix seconds of a time; one without a zone is local. An hour that comes twice is meant the first time."""
    return (moment if moment.tzinfo is not None else moment.replace(tzinfo=zone)).timestamp()


def midnight(day: date, zone: ZoneInfo) -> float:
    """When a local day begins [Unix s]."""
    return wall_of(datetime.combine(day, time.min), zone)


def days(start_s: float, end_s: float, zone: ZoneInfo) -> Iterator[date]:
    """Local days that a stretch of time touches."""
    day = local(start_s, zone).date()
    while midnight(day, zone) < end_s:
        yield day
        day += timedelta(days=1)


def by_local_hour(start_s: float, end_s: float, zone: ZoneInfo, hours: Callable[[date], Iterable[tuple[float, float]]]) -> Series:
    """A series from what each local day says: (hour of the local clock, value from then on). Days of 23 and 25 hours come out right."""
    found: dict[float, float] = {}
    for day in days(start_s, end_s, zone):
        for hour, value in hours(day):
            begins = datetime.combine(day, time.min) + timedelta(hours=hour)
            found[wall_of(begins, zone)] = value
    return compact(sorted(found.items()))


def compact(points: Sequence[tuple[float, float]]) -> Series:
    """A series from (moment, value), without steps that change nothing. Raises SeriesError when there are none."""
    kept: list[tuple[float, float]] = []
    for at_s, value in points:
        if not kept or kept[-1][1] != value:
            kept.append((at_s, value))
    return Series(tuple(at_s for at_s, _ in kept), tuple(value for _, value in kept))
