"""Prices by the local clock: windows of the day, by season and weekday, or announced for a time. Piecewise constant.

A price is looked up by the absolute time of a slot, so the days with 23 and 25 hours come out right: what counts is the clock on the
site's wall at that moment. Pure. Raises ForecastError for unknown zones, odd times of day, and a book without a price.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo

from optimizer.forecast import ForecastError, zone_of
from optimizer.problem import Slot
from optimizer.told import NOTHING_TOLD, Told

Windows = tuple[tuple[int, float], ...]
"""(minute of the local day, price [currency/kWh]), each holding until the next one begins, around midnight."""
Segment = tuple[float, float]
"""(begin [wall s], price), holding until the next segment."""
ALL_DAYS = frozenset(range(7))


@dataclass(frozen=True, slots=True)
class Season:
    """Prices of a part of the year on some weekdays. first, last: (month, day), both inside, may go round New Year. weekdays: 0 = Monday."""

    windows: Windows
    first: tuple[int, int] = (1, 1)
    last: tuple[int, int] = (12, 31)
    weekdays: frozenset[int] = ALL_DAYS

    def covers(self, day: date) -> bool:
        """Whether these prices hold on a local day."""
        if day.weekday() not in self.weekdays:
            return False
        today = (day.month, day.day)
        return self.first <= today <= self.last if self.first <= self.last else today >= self.first or today <= self.last


@dataclass(frozen=True, slots=True)
class PriceBook:
    """What a kWh costs when. seasons: the first that covers the day holds; on days that none covers, the last one does.

    announced: prices that were told for a time; they win over the seasons, which hold in its gaps.
    """

    seasons: tuple[Season, ...]
    timezone: str = "UTC"
    announced: Told = NOTHING_TOLD

    def at(self, wall_s: float) -> float:
        """Price at a moment [currency/kWh]."""
        announced = self.announced.at(wall_s)
        return announced if announced is not None else self._usual(wall_s, zone_of(self.timezone))

    def segments(self, start_wall_s: float, end_wall_s: float) -> list[Segment]:
        """The price from start to end; neighbours differ."""
        zone = zone_of(self.timezone)
        moments = {start_wall_s}
        for begin_s, stop_s, _ in self.announced.within(start_wall_s, end_wall_s):
            moments |= {moment for moment in (begin_s, stop_s) if start_wall_s < moment < end_wall_s}
        moments |= {at_s for at_s in self._changes_of_clock(start_wall_s, end_wall_s, zone) if start_wall_s < at_s < end_wall_s}
        found: list[Segment] = []
        for at_s in sorted(moments):
            price = self.at(at_s)
            if not found or found[-1][1] != price:
                found.append((at_s, price))
        return found

    def changes(self, start_wall_s: float, end_wall_s: float) -> list[float]:
        """Moments inside at which the price changes [wall s]."""
        return [at_s for at_s, _ in self.segments(start_wall_s, end_wall_s)[1:]]

    def per_slot(self, slots: Sequence[Slot]) -> tuple[float, ...]:
        """Mean price of each slot [currency/kWh]."""
        if not slots:
            return ()
        end_wall_s = slots[-1].start_wall_s + slots[-1].duration_s
        segments = self.segments(slots[0].start_wall_s, end_wall_s)
        starts = [at_s for at_s, _ in segments]
        return tuple(_mean(segments, starts, slot) for slot in slots)

    def _season(self, day: date) -> Season:
        if not self.seasons:
            raise ForecastError("a tariff needs at least one price")
        return next((season for season in self.seasons if season.covers(day)), self.seasons[-1])

    def _usual(self, wall_s: float, zone: tzinfo) -> float:
        local = datetime.fromtimestamp(wall_s, zone)
        windows = self._season(local.date()).windows
        minute = local.hour * 60 + local.minute
        return windows[bisect_right(windows, (minute, float("inf"))) - 1][1]

    def _changes_of_clock(self, start_wall_s: float, end_wall_s: float, zone: tzinfo) -> Iterator[float]:
        """All moments at which a window may begin: by both readings of a clock that is set, at midnight, and when it is set."""
        day = datetime.fromtimestamp(start_wall_s, zone).date() - timedelta(days=1)
        last = datetime.fromtimestamp(end_wall_s, zone).date()
        while day <= last:
            for minute in {0, *(begin for begin, _ in self._season(day).windows)}:
                yield from _moments(day, minute, zone)
            yield from _clock_set(day, zone)
            day += timedelta(days=1)


def _mean(segments: Sequence[Segment], starts: Sequence[float], slot: Slot) -> float:
    end_s = slot.start_wall_s + slot.duration_s
    index = max(0, bisect_right(starts, slot.start_wall_s) - 1)
    if index + 1 == len(starts) or starts[index + 1] >= end_s:
        return segments[index][1]
    total, at_s = 0.0, slot.start_wall_s
    while at_s < end_s:
        next_s = min(end_s, starts[index + 1]) if index + 1 < len(starts) else end_s
        total += segments[index][1] * (next_s - at_s)
        at_s, index = next_s, index + 1
    return total / slot.duration_s


def _moments(day: date, minute: int, zone: tzinfo) -> Iterator[float]:
    clock = time(minute // 60, minute % 60)
    for fold in (0, 1):
        yield datetime.combine(day, clock.replace(fold=fold), tzinfo=zone).timestamp()


def _clock_set(day: date, zone: tzinfo) -> Iterator[float]:
    """The moment at which the clock is set on this day, if it is [wall s]."""
    early = datetime.combine(day, time(), tzinfo=zone).timestamp()
    late = datetime.combine(day + timedelta(days=1), time(), tzinfo=zone).timestamp()
    before = _offset(early, zone)
    if _offset(late, zone) == before:
        return
    while late - early > 1.0:
        middle = (early + late) / 2.0
        early, late = (middle, late) if _offset(middle, zone) == before else (early, middle)
    yield float(round(late))


def _offset(wall_s: float, zone: tzinfo) -> timedelta | None:
    return datetime.fromtimestamp(wall_s, UTC).astimezone(zone).utcoffset()


def windows_of(starts: Iterable[tuple[str, float]]) -> Windows:
    """(local "HH:MM", price) in any order, at least one, as windows around midnight: the last one of the evening begins the day."""
    ordered = sorted((minute_of(start), price) for start, price in starts)
    if not ordered:
        raise ForecastError("a tariff needs at least one price")
    return tuple(ordered) if ordered[0][0] == 0 else ((0, ordered[-1][1]), *ordered)


def minute_of(start: str) -> int:
    """Minute of the local day of "HH:MM"."""
    hours, _, minutes = start.partition(":")
    if not (hours.isdigit() and minutes.isdigit() and int(hours) < 24 and int(minutes) < 60):
        raise ForecastError(f"a price starts at {start!r}; write local time as HH:MM")
    return int(hours) * 60 + int(minutes)


def prices_per_slot(slots: Sequence[Slot], windows: Sequence[tuple[str, float]], timezone: str) -> tuple[float, ...]:
    """Mean price of each slot [currency/kWh] by one set of windows for every day. windows: (local "HH:MM", price)."""
    return PriceBook((Season(windows_of(windows)),), timezone).per_slot(slots)
