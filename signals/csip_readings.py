"""Readings between two posts to a mirror usage point: means of what flows, the last of what counts up."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Final

MEANS: Final = frozenset({"power", "voltage"})
MOST_VALUES: Final = 100_000


@dataclass(frozen=True, slots=True)
class Average:
    """One value over a time. start_s: server time. A register's duration is 0."""

    value: float
    start_s: float
    duration_s: float


@dataclass(slots=True)
class Collected:
    """What came since the last post, by name of the reading."""

    _sums: dict[str, tuple[float, int, float, float]] = field(default_factory=dict)

    def add(self, name: str, value: float | None, at_s: float) -> None:
        """A value at a server time. None and what is not finite is no value."""
        if value is None or not math.isfinite(value):
            return
        total, count, first_s, _ = self._sums.get(name, (0.0, 0, at_s, at_s))
        if name not in MEANS or count >= MOST_VALUES:
            total, count = 0.0, 0
        self._sums[name] = (total + value, count + 1, first_s, at_s)

    def take(self) -> dict[str, Average]:
        """All of it; the next post begins anew."""
        found = {name: _average(name, *entry) for name, entry in self._sums.items()}
        self._sums = {}
        return found


def _average(name: str, total: float, count: int, first_s: float, last_s: float) -> Average:
    if name not in MEANS:
        return Average(total, last_s, 0.0)
    return Average(total / count, first_s, max(0.0, last_s - first_s))
