"""What a quantity usually is at this hour of this kind of day, learnt from what was measured: expectation and spread.

One measured power (the building's load, the PV production) is averaged over quarter hours; each mean goes into the bin of its local hour,
workdays apart from weekends, the newest KEPT of each bin staying (two weeks of workdays). So the profile follows the seasons, costs a
few kilobytes, and its quantiles are those of days that really were. Nothing is told before MIN_MEANS are there: until then the
configured profile holds. Pure: the time is handed in; rubbish from a journal counts as nothing learnt.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from optimizer.forecast import QUARTER_S, zone_of
from optimizer.problem import Slot

KEPT = 40
MIN_MEANS = 12
"""Quarter hours, three days of an hour, before a bin says anything."""
LONGEST_GAP_S = 600.0
"""A quarter hour with a longer gap between two measurements in it is not learnt from [wall s]."""
PRESENT_S = 3600.0
"""Until so far ahead the measurement of now says more than other days; the spread grows to its full size until then [s]."""


class Usual:
    """Learns one power [W]. timezone: IANA name; unknown raises ForecastError."""

    def __init__(self, timezone: str) -> None:
        self._zone = zone_of(timezone)
        self._bins: dict[str, list[float]] = {}
        self._quarter: int | None = None
        self._whole = False
        self._energy_ws = 0.0
        self._last: tuple[float, float] = (0.0, 0.0)

    def add(self, watts: float | None, wall_s: float) -> str | None:
        """A measurement; None = nobody knows. Returns the name of a bin that has learnt something."""
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
        name = self._bin(wall_s)
        means = self._bins.setdefault(name, [])
        means.append(float(round(mean_w)))
        del means[:-KEPT]
        return name

    def _bin(self, wall_s: float) -> str:
        local = datetime.fromtimestamp(wall_s, UTC).astimezone(self._zone)
        return f"{'weekend' if local.weekday() >= 5 else 'workday'} {local.hour:02d}"

    # -- the journal ------------------------------------------------------------------------------------

    def memory(self, name: str) -> list[float]:
        """What the journal keeps of one bin."""
        return list(self._bins.get(name, ()))

    def recall(self, name: str, memory: Any) -> None:
        """Take back a bin; what is no list of numbers is left out."""
        if isinstance(memory, list) and len(name) <= 10:
            means = [float(one) for one in memory if isinstance(one, int | float) and not isinstance(one, bool) and math.isfinite(one)]
            self._bins[name] = means[-KEPT:]

    # -- what is to be expected ---------------------------------------------------------------------------

    @property
    def knows(self) -> bool:
        """Whether any hour has been learnt."""
        return any(len(means) >= MIN_MEANS for means in self._bins.values())

    @property
    def knows_all(self) -> bool:
        """Whether every hour of workdays and weekends has been learnt."""
        return sum(len(means) >= MIN_MEANS for means in self._bins.values()) >= 2 * 24

    def expected_w(self, slots: Sequence[Slot], otherwise_w: Sequence[float]) -> tuple[float, ...]:
        """Mean of each slot's hour [W]; otherwise_w (per slot) where nothing has been learnt. A slot counts by its middle."""
        means = self._per_bin(slots, _mean)
        return tuple(other if mean is None else mean for mean, other in zip(means, otherwise_w, strict=True))

    def above_w(self, slots: Sequence[Slot], quantile: float) -> tuple[float, ...]:
        """How much more than expected it is on a day at this quantile (0..1) [W], at least 0, growing from the present on.

        A quantile below 0.5 tells how much *less*, as a positive number. 0 where nothing has been learnt.
        """
        sign = 1.0 if quantile >= 0.5 else -1.0
        spreads = self._per_bin(slots, lambda means: max(0.0, sign * (_quantile(means, quantile) - _mean(means))))
        begin_s = slots[0].start_wall_s if slots else 0.0
        return tuple((spread or 0.0) * _growth(slot, begin_s) for slot, spread in zip(slots, spreads, strict=True))

    def _per_bin(self, slots: Sequence[Slot], value: Any) -> list[float | None]:
        known: dict[str, float | None] = {}
        found = []
        for slot in slots:
            name = self._bin(slot.start_wall_s + slot.duration_s / 2.0)
            if name not in known:
                means = self._bins.get(name, [])
                known[name] = value(means) if len(means) >= MIN_MEANS else None
            found.append(known[name])
        return found


def _growth(slot: Slot, begin_s: float) -> float:
    return min(1.0, (slot.start_wall_s + slot.duration_s / 2.0 - begin_s) / PRESENT_S)


def _mean(means: Sequence[float]) -> float:
    return sum(means) / len(means)


def _quantile(means: Sequence[float], quantile: float) -> float:
    ordered = sorted(means)
    place = quantile * (len(ordered) - 1)
    low = math.floor(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (place - low) * (ordered[high] - ordered[low])


def recalled(timezone: str, memories: Mapping[str, Any]) -> Usual:
    """What was learnt, from the memories of its bins."""
    usual = Usual(timezone)
    for name, memory in memories.items():
        usual.recall(name, memory)
    return usual
