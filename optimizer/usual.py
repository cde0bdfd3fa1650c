"""What a quantity usually is at this time of this kind of day, learnt from what was measured: expectation and spread.

One measured power (the building's load, the PV production) is averaged over quarter hours; the newest KEPT_DAYS local days stay. What
is to be expected is their mean, days of a kind apart (``alike``), young days weighing more; and a day that has begun higher or lower than
expected is taken to go on so, ever less. Two things were measured on eight months of an office building and its roof (their figures):
workdays of a week ago are a worse guide than yesterday, and what the last two hours were says more about the afternoon than all days
before (the highest quarter hour, forecast at 9:00, was 27 kW off in the mean without it, and 13 kW with it).

Nothing is told of a quarter hour before MIN_DAYS have shown it: until then the configured profile holds. Pure: the time is handed in;
rubbish from a journal counts as nothing learnt.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Any

from optimizer.alike import MIN_DAYS, QUARTERS, Alike, Quarters
from optimizer.forecast import QUARTER_S, zone_of
from optimizer.problem import Slot

KEPT_DAYS = 35
LONGEST_GAP_S = 600.0
"""A quarter hour with a longer gap between two measurements in it is not learnt from [wall s]."""
PRESENT_S = 3600.0
"""The spread grows from nothing to its full size until so far ahead [s]."""
LEVEL_QUARTERS, FEWEST_QUARTERS = 8, 2
"""Today's level is that of its last quarter hours, once there are a few."""
LEAST_LEVEL, MOST_LEVEL = 0.3, 2.0


class Usual:
    """Learns one power [W]. timezone: IANA name; unknown raises ForecastError. level_half_life_s: how fast today's level is forgotten.

    by_kind: workdays and weekends are different (a building), or not (the sun).
    """

    def __init__(self, timezone: str, level_half_life_s: float = 12 * 3600.0, by_kind: bool = True) -> None:
        self._zone = zone_of(timezone)
        self._half_life_s = level_half_life_s
        self._days: dict[str, Quarters] = {}
        self._quarter: int | None = None
        self._whole = False
        self._energy_ws = 0.0
        self._last: tuple[float, float] = (0.0, 0.0)
        self._alike = Alike(self._days, by_kind)

    # -- learning ------------------------------------------------------------------------------------------

    def add(self, watts: float | None, wall_s: float) -> str | None:
        """A measurement; None = nobody knows. Returns the name of a day (ISO) that has learnt something."""
        quarter = math.floor(wall_s / QUARTER_S)
        if watts is None or not math.isfinite(watts):
            self._whole = False
            return None
        last_watts, last_wall_s = self._last
        gap_s, self._last = wall_s - last_wall_s, (watts, wall_s)
        steady = 0.0 <= gap_s <= LONGEST_GAP_S
        if quarter == self._quarter:
            self._whole &= steady
            self._energy_ws += last_watts * gap_s
            return None
        return self._next_quarter(quarter, steady, last_watts, last_wall_s, wall_s)

    def _next_quarter(self, quarter: int, steady: bool, last_watts: float, last_wall_s: float, wall_s: float) -> str | None:
        begin_s = quarter * QUARTER_S
        follows = self._quarter is not None and quarter == self._quarter + 1 and steady
        mean_w = (self._energy_ws + last_watts * (begin_s - last_wall_s)) / QUARTER_S
        learnt, before_s = follows and self._whole, begin_s - QUARTER_S
        self._quarter, self._whole, self._energy_ws = quarter, follows, last_watts * (wall_s - begin_s) if follows else 0.0
        return self._learn(before_s, mean_w) if learnt else None

    def _learn(self, wall_s: float, mean_w: float) -> str:
        day, index = self.place(wall_s)
        name = day.isoformat()
        if name not in self._days:
            self._alike.changed()
        self._days.setdefault(name, [None] * QUARTERS)[index] = float(round(mean_w))
        return name

    def forget(self) -> list[str]:
        """Let go of days beyond the newest KEPT_DAYS; their names."""
        gone = sorted(self._days)[:-KEPT_DAYS]
        for name in gone:
            del self._days[name]
        return gone

    @property
    def days(self) -> Mapping[str, Sequence[float | None]]:
        """What was measured, by local day (ISO): the mean of each quarter hour of its clock [W]."""
        return self._days

    @property
    def zone(self) -> tzinfo:
        """The zone of the days' clock."""
        return self._zone

    def place(self, wall_s: float) -> tuple[date, int]:
        """Local day and quarter hour 0..95 of its clock."""
        local = datetime.fromtimestamp(wall_s, UTC).astimezone(self._zone)
        return local.date(), (local.hour * 60 + local.minute) // 15

    def measured_at(self, wall_s: float) -> float | None:
        """Mean of the quarter hour that contains a moment [W]; None if it was not measured."""
        day, index = self.place(wall_s)
        quarters = self._days.get(day.isoformat())
        return quarters[index] if quarters is not None else None

    # -- the journal ------------------------------------------------------------------------------------

    def memory(self, name: str) -> list[float | None]:
        """What the journal keeps of one day."""
        return list(self._days.get(name, ()))

    def recall(self, name: str, memory: Any) -> None:
        """Take back a day; what is no such list is left out."""
        try:
            day = date.fromisoformat(name)
        except ValueError:
            return
        if isinstance(memory, list) and len(memory) == QUARTERS:
            self._days[day.isoformat()] = [_watts_or_none(one) for one in memory]
            self._alike.changed()

    # -- what is to be expected ---------------------------------------------------------------------------

    @property
    def knows(self) -> bool:
        """Whether any quarter hour has been learnt."""
        return any(mean is not None for kind in self._alike.kinds for mean in self._alike.profile(date.max, kind))

    @property
    def knows_all(self) -> bool:
        """Whether every quarter hour of workdays and weekends has been learnt."""
        return all(mean is not None for kind in self._alike.kinds for mean in self._alike.profile(date.max, kind))

    def expected_w(self, slots: Sequence[Slot], otherwise_w: Sequence[float]) -> tuple[float, ...]:
        """Mean of each slot [W]; otherwise_w (per slot) where nothing has been learnt. The first slot begins now."""
        if not slots:
            return ()
        now_s = slots[0].start_wall_s
        today, now = self.place(now_s)
        kind_today = self._alike.kind_today(today, now)
        raised = self._level(now_s) - 1.0

        def expected(wall_s: float) -> float | None:
            day, index = self.place(wall_s)
            mean = self._alike.profile(today, kind_today if day == today else self._alike.kind(day))[index]
            if mean is None or day != today or not raised:
                return mean
            return mean * (1.0 + raised * math.pow(0.5, max(0.0, wall_s - now_s) / self._half_life_s))

        return tuple(_or(_over(slot, expected), other) for slot, other in zip(slots, otherwise_w, strict=True))

    def again_w(self, slots: Sequence[Slot], weeks: int, otherwise_w: Sequence[float]) -> tuple[float, ...]:
        """The days of so many weeks ago once more [W], all of them raised or lowered to what is to be expected now.

        otherwise_w (per slot): what is to be expected; it stands where those days were not seen.
        """
        back = timedelta(weeks=weeks)

        def then(wall_s: float) -> float | None:
            day, index = self.place(wall_s)
            quarters = self._days.get((day - back).isoformat())
            return quarters[index] if quarters is not None else None

        found = [_over(slot, then) for slot in slots]
        both = [(was, is_w, slot.duration_s) for was, is_w, slot in zip(found, otherwise_w, slots, strict=True) if was is not None]
        whole = sum(was * seconds for was, _, seconds in both)
        part = sum(is_w * seconds for _, is_w, seconds in both) / whole if whole > 0.0 else 1.0
        return tuple(_or(None if was is None else was * part, other) for was, other in zip(found, otherwise_w, strict=True))

    def above_w(self, slots: Sequence[Slot], quantile: float) -> tuple[float, ...]:
        """How much more than expected it is on a day at this quantile (0..1) [W], at least 0, growing from the present on.

        A quantile below 0.5 tells how much *less*, as a positive number. 0 where nothing has been learnt.
        """
        if not slots:
            return ()
        begin_s = slots[0].start_wall_s
        today, now = self.place(begin_s)
        kind_today = self._alike.kind_today(today, now)
        known: dict[tuple[int, int], float | None] = {}

        def spread(wall_s: float) -> float | None:
            day, index = self.place(wall_s)
            key = (kind_today if day == today else self._alike.kind(day), index)
            if key not in known:
                known[key] = self._spread(today, *key, quantile)
            return known[key]

        return tuple(_or(_over(slot, spread), 0.0) * _growth(slot, begin_s) for slot in slots)

    def _spread(self, today: date, kind: int, index: int, quantile: float) -> float | None:
        """How far days were off what was to be expected of them: the days' own spread does not know that a week is warmer than the last."""
        misses = self._alike.misses(today, kind)[index]
        if len(misses) < MIN_DAYS:
            return None
        sign = 1.0 if quantile >= 0.5 else -1.0
        return max(0.0, sign * _quantile(misses, quantile))

    def _level(self, now_s: float) -> float:
        """Today's last quarter hours against what they are usually; 1 while there are too few."""
        today, index = self.place(now_s)
        quarters, usual = self._days.get(today.isoformat()), self._alike.profile(today, self._alike.kind_today(today, index))
        known = [mean for mean in usual if mean is not None]
        if quarters is None or not known:
            return 1.0
        last = slice(max(0, index - LEVEL_QUARTERS), index)
        pairs = [(was, mean) for was, mean in zip(quarters[last], usual[last], strict=True) if was is not None and mean is not None]
        steady_w = 0.5 * sum(abs(mean) for mean in known) / len(known)  # little against little says little
        below_w = sum(mean for _, mean in pairs) + steady_w
        if len(pairs) < FEWEST_QUARTERS or below_w <= 0.0:
            return 1.0
        return min(MOST_LEVEL, max(LEAST_LEVEL, (sum(was for was, _ in pairs) + steady_w) / below_w))


# -- numbers --------------------------------------------------------------------------------------------------


def _watts_or_none(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) else None


def _or(value: float | None, otherwise: float) -> float:
    return otherwise if value is None else value


def _over(slot: Slot, value_at: Callable[[float], float | None]) -> float | None:
    """Mean over a slot of a value per quarter hour; None if nothing of it is known."""
    total = seconds = 0.0
    at_s, end_s = slot.start_wall_s, slot.start_wall_s + slot.duration_s
    while at_s < end_s:
        next_s = min(end_s, (math.floor(at_s / QUARTER_S) + 1) * QUARTER_S)
        value = value_at(at_s)
        if value is not None:
            total, seconds = total + value * (next_s - at_s), seconds + next_s - at_s
        at_s = next_s
    return total / seconds if seconds > 0.0 else None


def _growth(slot: Slot, begin_s: float) -> float:
    return min(1.0, (slot.start_wall_s + slot.duration_s / 2.0 - begin_s) / PRESENT_S)


def _quantile(values: Sequence[float], quantile: float) -> float:
    """Of a few values, so that as large a part of the days to come lies below: the highest of nine is passed by one in ten."""
    ordered = sorted(values)
    place = min(len(ordered) - 1.0, max(0.0, quantile * (len(ordered) + 1) - 1.0))
    low = math.floor(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (place - low) * (ordered[high] - ordered[low])
