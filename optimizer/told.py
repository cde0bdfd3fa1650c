"""A series somebody told: values over stretches of time, with gaps. Prices, CO2, forecasts from a feed. Pure.

Lookups are by absolute time, so days of 23 and 25 hours are nothing special.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from optimizer.problem import Slot

Stretch = tuple[float, float, float]
"""(begin [wall s], end [wall s], value)."""


@dataclass(frozen=True, slots=True)
class Told:
    """stretches: ascending, not overlapping, gaps allowed."""

    stretches: tuple[Stretch, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.stretches)

    def at(self, wall_s: float) -> float | None:
        """The value at a moment; None in a gap."""
        index = self._before(wall_s)
        if index < 0 or wall_s >= self.stretches[index][1]:
            return None
        return self.stretches[index][2]

    @property
    def until_wall_s(self) -> float | None:
        """End of the last stretch."""
        return self.stretches[-1][1] if self.stretches else None

    def within(self, begin_s: float, end_s: float) -> Iterator[Stretch]:
        """The stretches between two moments, cut to them."""
        for index in range(max(0, self._before(begin_s)), len(self.stretches)):
            start_s, stop_s, value = self.stretches[index]
            if start_s >= end_s:
                return
            if stop_s > begin_s:
                yield max(begin_s, start_s), min(end_s, stop_s), value

    def mean(self, begin_s: float, end_s: float) -> float | None:
        """Mean over the part of a stretch of time that is known; None if nothing of it is."""
        total = seconds = 0.0
        for start_s, stop_s, value in self.within(begin_s, end_s):
            total, seconds = total + value * (stop_s - start_s), seconds + stop_s - start_s
        return total / seconds if seconds > 0.0 else None

    def per_slot(self, slots: Sequence[Slot], otherwise: Sequence[float]) -> tuple[float, ...]:
        """Mean of each slot; for what is not known of it, the slot's value of ``otherwise`` counts."""
        return tuple(self._slot(slot, other) for slot, other in zip(slots, otherwise, strict=True))

    def _slot(self, slot: Slot, other: float) -> float:
        total, left_s = 0.0, slot.duration_s
        for start_s, stop_s, value in self.within(slot.start_wall_s, slot.start_wall_s + slot.duration_s):
            total, left_s = total + value * (stop_s - start_s), left_s - (stop_s - start_s)
        return (total + other * max(0.0, left_s)) / slot.duration_s

    def _before(self, wall_s: float) -> int:
        """Index of the last stretch that has begun, -1 if none has."""
        return bisect_right(self.stretches, (wall_s, math.inf, math.inf)) - 1


NOTHING_TOLD = Told()
