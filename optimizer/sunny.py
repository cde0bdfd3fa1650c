"""PV production from the position of the sun and what was measured: clear sky times what usually comes through, times how today goes.

The clear sky (``controller.io.feeds.clear_sky``) knows season, place and tilt; what comes through of it, by time of day, is learnt from the newest
measured days (``usual``), so that shade, losses and the usual weather of the place are in it. And a morning that has been darker or brighter than
that is taken to go on so, ever less: clouds of now say little about the sun some hours later.

The time of day is that of UTC here: the sun knows no summer time. Pure: the time is handed in.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, tzinfo

from optimizer.alike import QUARTERS
from optimizer.forecast import QUARTER_S
from optimizer.problem import Slot
from optimizer.told import NOTHING_TOLD, Told
from optimizer.usual import Usual

NEWEST = 20
"""So many days make what usually comes through."""
HALF_LIFE_DAYS = 3.0
MIN_DAYS = 3
UNLEARNT = 0.65
"""Part of the clear sky that comes through where nothing has been measured yet: a middling year in the middle of Europe or the USA."""
UNLEARNT_SPREAD = 0.4
"""So much less of it on a dark day."""
AROUND = 2
"""What comes through in a quarter hour is taken with so many before and after it: single ones are noise."""
LEAST = 0.02
"""Quarter hours with less clear sun than this part of the day's highest say nothing."""
MOST = 3.0
"""Plants may be larger than their entry in the site file says, up to this factor."""
LEVEL_QUARTERS, FEWEST_QUARTERS = 8, 2
LEVEL_HALF_LIFE_S = 12 * 3600.0
STEADY = 0.3
"""Little against little says little: this part of the clear sky's noon is added to both sides of today's level."""
LEAST_LEVEL, MOST_LEVEL = 0.1, 2.5
PRESENT_S = 3600.0

Row = tuple[tuple[float, float], ...]
"""(measured, clear) [W] of the quarter hours of a day of UTC's clock; (nan, 0) where nothing is known."""


@dataclass(slots=True)
class ClearSky:
    """A clear sky with what came through of it on past days, learnt once a day. told: PV without a cloud [W], past days too."""

    told: Told = NOTHING_TOLD
    _seen: tuple[date, int] | None = None
    _shares: list[list[float | None]] = field(default_factory=list)

    def shares(self, measured: Usual, today: date) -> list[list[float | None]]:
        """Part of the clear sky that came through on each of the newest days before today, the youngest first, by quarter hour of UTC."""
        seen = (today, len(measured.days))
        if seen != self._seen:
            self._shares = [_shares(_row(self.told, quarters, day, measured.zone)) for day, quarters in _newest(measured, today)]
            self._seen = seen
        return self._shares


class Sunny:
    """One forecast: made of a clear sky and the measured days, as seen from one moment."""

    def __init__(self, sky: ClearSky, measured: Usual, now_wall_s: float) -> None:
        self._clear = sky.told
        self._now_s = now_wall_s
        today, _ = measured.place(now_wall_s)
        self._shares = sky.shares(measured, today)
        self._share = [_blended([shares[index] for shares in self._shares]) for index in range(QUARTERS)]
        self._level = self._level_now(measured)

    @property
    def knows(self) -> bool:
        """Whether enough days were measured."""
        return any(share is not None for share in self._share)

    def expected_w(self, slots: Sequence[Slot], otherwise_w: Sequence[float]) -> tuple[float, ...]:
        """Mean of each slot [W]; ``otherwise_w`` where no clear sky was told."""
        return tuple(self._over(slot, other, self._expected) for slot, other in zip(slots, otherwise_w, strict=True))

    def below_w(self, slots: Sequence[Slot], quantile: float) -> tuple[float, ...]:
        """How much less than expected it is on a day as dark as this quantile (0..0.5) [W], at least 0, growing from the present on."""

        def less(begin_s: float, end_s: float, clear_w: float) -> float:
            index = _index(begin_s)
            shares = sorted(share for day in self._shares if (share := day[index]) is not None)
            usual = self._share[index]
            if usual is None or len(shares) < MIN_DAYS:
                return clear_w * UNLEARNT_SPREAD
            low = _quantile(shares, quantile)
            expected_w = self._expected(begin_s, end_s, clear_w)
            return min(expected_w, max(0.0, clear_w * (usual - low)))

        return tuple(self._over(slot, 0.0, less) * min(1.0, _ahead(slot, slots[0]) / PRESENT_S) for slot in slots)

    # -- one quarter hour -----------------------------------------------------------------------------------

    def _over(self, slot: Slot, other: float, value: Callable[[float, float, float], float]) -> float:
        """Mean over a slot of what is made of its quarter hours."""
        total, left_s = 0.0, slot.duration_s
        for begin_s, end_s in _pieces(slot):
            clear_w = self._clear.mean(begin_s, end_s)
            if clear_w is not None:
                total, left_s = total + value(begin_s, end_s, clear_w) * (end_s - begin_s), left_s - (end_s - begin_s)
        return (total + other * max(0.0, left_s)) / slot.duration_s

    def _expected(self, begin_s: float, _end_s: float, clear_w: float) -> float:
        share = self._share[_index(begin_s)]
        raised = (self._level - 1.0) * math.pow(0.5, max(0.0, begin_s - self._now_s) / LEVEL_HALF_LIFE_S)
        return clear_w * min(MOST, UNLEARNT if share is None else share) * (1.0 + raised)

    def _level_now(self, measured: Usual) -> float:
        """The last quarter hours against what usually comes through then; 1 in the dark and while there are too few."""
        end_s = math.floor(self._now_s / QUARTER_S) * QUARTER_S
        pairs: list[tuple[float, float]] = []
        for back in range(1, LEVEL_QUARTERS + 1):
            begin_s = end_s - back * QUARTER_S
            was, clear_w, share = measured.measured_at(begin_s), self._clear.mean(begin_s, begin_s + QUARTER_S), self._share[_index(begin_s)]
            if was is not None and clear_w is not None:
                pairs.append((was, clear_w * (UNLEARNT if share is None else share)))
        steady_w = STEADY * max((value for _, _, value in self._clear.within(end_s - 86_400.0, end_s)), default=0.0)
        below_w = sum(usual for _, usual in pairs) + steady_w
        if len(pairs) < FEWEST_QUARTERS or below_w <= 0.0:
            return 1.0
        return min(MOST_LEVEL, max(LEAST_LEVEL, (sum(was for was, _ in pairs) + steady_w) / below_w))


# -- measured days ------------------------------------------------------------------------------------------


def _newest(measured: Usual, today: date) -> Iterator[tuple[date, Sequence[float | None]]]:
    """The newest measured days before today, the youngest first."""
    names = sorted((name for name in measured.days if name < today.isoformat()), reverse=True)[:NEWEST]
    return ((date.fromisoformat(name), measured.days[name]) for name in names)


def _row(clear: Told, quarters: Sequence[float | None], day: date, zone: tzinfo) -> Row:
    """A local day by UTC's quarter hours. In the night of 25 hours one hour is known once: it is dark then."""
    row = [(math.nan, 0.0)] * QUARTERS
    for index, watts in enumerate(quarters):
        if watts is None:
            continue
        begin_s = datetime.combine(day, time(index // 4, 15 * (index % 4)), tzinfo=zone).timestamp()
        clear_w = clear.mean(begin_s, begin_s + QUARTER_S)
        if clear_w is not None:
            row[_index(begin_s)] = (watts, clear_w)
    return tuple(row)


def _shares(row: Row) -> list[float | None]:
    """Part of the clear sky that came through, by quarter hour; None in the dark and where nothing was measured."""
    least_w = LEAST * max(clear_w for _, clear_w in row)
    found: list[float | None] = []
    for index, (_, clear_w) in enumerate(row):
        around = [row[(index + step) % QUARTERS] for step in range(-AROUND, AROUND + 1)]
        known = [(was, could) for was, could in around if math.isfinite(was) and could > 0.0]
        could_w = sum(could for _, could in known)
        found.append(sum(was for was, _ in known) / could_w if clear_w > least_w and could_w > 0.0 else None)
    return found


def _blended(shares: Sequence[float | None]) -> float | None:
    """What usually came through, the youngest day first; None if they are too few.

    Halfway between mean and median: where most days are clear and few are dark the median errs less, but it promises too much.
    """
    known = [(share, math.pow(0.5, age / HALF_LIFE_DAYS)) for age, share in enumerate(shares) if share is not None]
    if len(known) < MIN_DAYS:
        return None
    whole = sum(weight for _, weight in known)
    return 0.5 * (sum(share * weight for share, weight in known) / whole + _median(known, whole))


def _median(known: Sequence[tuple[float, float]], whole: float) -> float:
    passed = 0.0
    for share, weight in sorted(known):
        passed += weight
        if passed >= 0.5 * whole:
            return share
    return max(known)[0]


# -- numbers ------------------------------------------------------------------------------------------------


def _index(wall_s: float) -> int:
    """Quarter hour 0..95 of UTC's day."""
    return int(wall_s // QUARTER_S) % QUARTERS


def _pieces(slot: Slot) -> Iterator[tuple[float, float]]:
    at_s, end_s = slot.start_wall_s, slot.start_wall_s + slot.duration_s
    while at_s < end_s:
        next_s = min(end_s, (math.floor(at_s / QUARTER_S) + 1) * QUARTER_S)
        yield at_s, next_s
        at_s = next_s


def _ahead(slot: Slot, first: Slot) -> float:
    return slot.start_wall_s + slot.duration_s / 2.0 - first.start_wall_s


def _quantile(ordered: Sequence[float], quantile: float) -> float:
    """Of a few values, so that as large a part of the days to come lies below: the lowest of nine is passed by one in ten."""
    place = min(len(ordered) - 1.0, max(0.0, quantile * (len(ordered) + 1) - 1.0))
    low = math.floor(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (place - low) * (ordered[high] - ordered[low])
