"""Which measured days are alike: workdays, Saturdays, Sundays; and holidays, which are workdays in the calendar and Sundays by what they do.

A past day belongs to the kind it looks like, so that a holiday neither pulls the workdays down nor is lost; today is taken for another kind once
its last hours look far more like that one. Nobody has to keep a calendar of holidays. Pure.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Final

Quarters = list[float | None]

QUARTERS: Final = 96
MIN_DAYS: Final = 3
"""Days of a kind before one of its quarter hours says anything."""
NEWEST: Final = 10
"""So many days of a kind make the mean."""
HALF_LIFE_DAYS: Final = 3.0
"""A day weighs half as much as the one so many days of its kind after it."""
WORKDAY, SATURDAY, SUNDAY = range(3)
FITS_BETTER: Final = 0.5
"""A day looks like another kind when it is this much nearer to it."""
TELLING: Final = 0.15
"""Quarter hours in which two kinds differ by less than this part of the larger one's mean say nothing about which one it is."""
WHOLE, RECENT, FEWEST = 48, 16, 8
"""A past day is judged by as many quarter hours at least; today by its last ones, once there are a few telling ones."""


class Alike:
    """Reads the measured days; what it has worked out is kept until ``changed``. days: by ISO name. by_kind: False = all days are alike."""

    def __init__(self, days: Mapping[str, Quarters], by_kind: bool) -> None:
        self._days, self._by_kind = days, by_kind
        self._profiles: dict[tuple[date, int], Quarters] = {}
        self._missed: dict[tuple[date, int], list[list[float]]] = {}
        self._looks: dict[str, int] | None = None

    def changed(self) -> None:
        """Days came or went."""
        self._profiles.clear()
        self._missed.clear()
        self._looks = None

    @property
    def kinds(self) -> tuple[int, ...]:
        """The kinds there are."""
        return (WORKDAY, SATURDAY, SUNDAY) if self._by_kind else (WORKDAY,)

    def kind(self, day: date) -> int:
        """By the calendar."""
        return max(WORKDAY, day.weekday() - 4) if self._by_kind else WORKDAY

    def kind_today(self, today: date, index: int) -> int:
        """What today looks like by now. index: of the running quarter hour."""
        own, quarters = self.kind(today), self._days.get(today.isoformat())
        if quarters is None or not self._by_kind:
            return own
        recent: Quarters = [value if index - RECENT <= number < index else None for number, value in enumerate(quarters)]
        return _nearest(own, recent, {kind: self.profile(today, kind) for kind in self.kinds}, FEWEST)

    # -- past days -----------------------------------------------------------------------------------------

    def profile(self, today: date, kind: int) -> Quarters:
        """Weighted means of the quarter hours of a kind's days, as seen from today."""
        key = (today, kind)
        if key not in self._profiles:
            days = self._like(today, kind)
            self._profiles[key] = [_weighted([quarters[index] for _, quarters in days]) for index in range(QUARTERS)]
        return self._profiles[key]

    def misses(self, today: date, kind: int) -> list[list[float]]:
        """Of the newest days of a kind, by quarter hour: by how much each was above what the days before it made expect [W]."""
        key = (today, kind)
        if key not in self._missed:
            found: list[list[float]] = [[] for _ in range(QUARTERS)]
            for day, quarters in self._like(today, kind):
                for index, (value, mean) in enumerate(zip(quarters, self.profile(day, kind), strict=True)):
                    if value is not None and mean is not None:
                        found[index].append(value - mean)
            self._missed[key] = found
        return self._missed[key]

    def _like(self, today: date, kind: int) -> list[tuple[date, Quarters]]:
        """The newest days of a kind before today, the youngest first; a kind of the weekend that is too young is both."""
        looks, before = self._looked(), [name for name in sorted(self._days, reverse=True) if name < today.isoformat()]
        alike = [name for name in before if looks[name] == kind]
        if len(alike) < MIN_DAYS and kind != WORKDAY:
            alike = [name for name in before if looks[name] != WORKDAY]
        return [(date.fromisoformat(name), self._days[name]) for name in alike[:NEWEST]]

    def _looked(self) -> dict[str, int]:
        """What each day looks like, against the usual day of each kind of the calendar."""
        if self._looks is None:
            named = {name: self.kind(date.fromisoformat(name)) for name in self._days}
            usual = {kind: _medians([self._days[name] for name, one in named.items() if one == kind]) for kind in self.kinds}
            self._looks = {name: _nearest(own, self._days[name], usual, WHOLE) for name, own in named.items()}
        return self._looks


def _nearest(own: int, quarters: Sequence[float | None], profiles: Mapping[int, Quarters], fewest: int) -> int:
    """The kind a day is much nearer to than to its own; its own where nothing says so."""
    best, best_off = own, math.inf
    for kind, other in profiles.items():
        pairs = [pair for pair in zip(quarters, profiles[own], other, strict=True) if None not in pair] if kind != own else []
        off = _off(pairs, fewest)
        if off is not None and off < min(FITS_BETTER, best_off):
            best, best_off = kind, off
    return best


def _off(rows: Sequence[Sequence[float | None]], fewest: int) -> float | None:
    """How far a day is from another kind, in parts of how far it is from its own; None where too little is telling."""
    known = [(float(value), float(own), float(other)) for value, own, other in rows if value is not None and own is not None and other is not None]
    if not known:
        return None
    least_w = TELLING * max(statistics.fmean(abs(own) for _, own, _ in known), statistics.fmean(abs(other) for _, _, other in known))
    telling = [row for row in known if abs(row[1] - row[2]) > least_w]
    from_own = sum(abs(value - own) for value, own, _ in telling)
    if len(telling) < fewest // 2 or len(known) < fewest or from_own <= 0.0:
        return None
    return sum(abs(value - other) for value, _, other in telling) / from_own


def _medians(days: Sequence[Quarters]) -> Quarters:
    """The usual day of a kind, untouched by single odd ones."""
    found: Quarters = []
    for index in range(QUARTERS):
        values = [value for quarters in days if (value := quarters[index]) is not None]
        found.append(statistics.median(values) if len(values) >= MIN_DAYS else None)
    return found


def _weighted(values: Sequence[float | None]) -> float | None:
    """Mean of the values, the youngest first; None if they are too few."""
    known = [(value, math.pow(0.5, age / HALF_LIFE_DAYS)) for age, value in enumerate(values) if value is not None]
    if len(known) < MIN_DAYS:
        return None
    return sum(value * weight for value, weight in known) / sum(weight for _, weight in known)
