"""Trims: a limit on the sum of the controllable loads is held by what is measured, not by what was asked.

Chargers and cars take a little more than their setpoints say, and a battery's inverter is not exact. What is measured above the limit for some
seconds is taken off what is given out, in proportion, and comes back slowly while the sum stays below.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

SPARE_PART, SPARE_W = 0.002, 10.0
"""So much above is the meters' own error."""
AFTER_S: Final = 3.0
"""An excess that lasts so long is no transient [s]; after each step so long again."""
BACK_PER_S: Final = 0.0005
"""Part of the limit that comes back per second while the sum is below it."""
LEAST: Final = 0.5


class Trims:
    """The part of each circuit's limit that may be given out (0.5..1)."""

    def __init__(self) -> None:
        self._parts: dict[str, float] = {}
        self._above: dict[str, float] = {}
        self._looked_mono_s: float | None = None

    def look(self, limits_w: Mapping[str, float], measured_w: Mapping[str, float], now: float) -> None:
        """Let time pass. Both by circuit."""
        passed_s = now - self._looked_mono_s if self._looked_mono_s is not None else 0.0
        self._looked_mono_s = now
        for circuit in [name for name in self._parts if name not in limits_w]:
            del self._parts[circuit]
        for circuit, limit_w in limits_w.items():
            self._one(circuit, limit_w, measured_w.get(circuit, 0.0), passed_s, now)

    def _one(self, circuit: str, limit_w: float, found_w: float, passed_s: float, now: float) -> None:
        part = self._parts.get(circuit, 1.0)
        if found_w <= limit_w + max(SPARE_W, SPARE_PART * limit_w) or limit_w <= 0:
            self._above.pop(circuit, None)
            if found_w < limit_w * 0.99:
                self._parts[circuit] = min(1.0, part + BACK_PER_S * passed_s)
            return
        since = self._above.setdefault(circuit, now)
        if now - since >= AFTER_S:
            self._parts[circuit] = max(LEAST, part * limit_w / found_w)
            self._above[circuit] = now

    def of(self, circuit: str, limit_w: float) -> float:
        """What may be given out of a limit [W]."""
        return limit_w * self._parts.get(circuit, 1.0)
