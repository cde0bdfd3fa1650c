"""Trims: a limit on the sum of the controllable loads is held by what is measured, not by what was asked.

Chargers and cars take a little more than their setpoints say, and a battery's inverter is not exact. What is measured above a limit that has
had time to be followed is taken off what is given out, a little at a time, and comes back slowly while the sum stays below.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from controller.site.grid.measured import Measured

SPARE_PART, SPARE_W = 0.002, 10.0
"""So much above is the meters' own error."""
FOLLOW_S: Final = 30.0
"""A new limit has so long to be followed: until then an excess is a station's reaction [s]."""
AFTER_S: Final = 10.0
"""An excess that lasts so long is no transient [s]; after each step so long again."""
STEP: Final = 0.95
"""No step takes more than this leaves."""
LEAST: Final = 0.7
"""A greater excess is no inaccuracy: who does not follow is pursued by other means (``escalation``)."""
BACK_PER_S: Final = 0.0005
"""Part of the limit that comes back per second while the sum is clearly below it."""


@dataclass(slots=True)
class Trim:
    """Of one circuit. part: of the limit that may be given out."""

    limit_w: float
    since_mono_s: float
    part: float = 1.0
    above_mono_s: float | None = None
    stepped_mono_s: float = -math.inf


class Trims:
    """The part of each circuit's limit that may be given out (0.7..1)."""

    def __init__(self) -> None:
        self._trims: dict[str, Trim] = {}
        self._looked_mono_s: float | None = None

    def look(self, limits_w: Mapping[str, float], measured: Mapping[str, Measured], now: float) -> None:
        """Let time pass. Both by circuit."""
        passed_s = now - self._looked_mono_s if self._looked_mono_s is not None else 0.0
        self._looked_mono_s = now
        self._trims = {circuit: trim for circuit, trim in self._trims.items() if circuit in limits_w}
        for circuit, limit_w in limits_w.items():
            trim = self._trims.get(circuit)
            if trim is None or limit_w != trim.limit_w:
                self._trims[circuit] = Trim(limit_w, now, trim.part if trim is not None else 1.0)
            else:
                _look(trim, measured[circuit], passed_s, now)

    def of(self, circuit: str, limit_w: float) -> float:
        """What may be given out of a limit [W]."""
        trim = self._trims.get(circuit)
        return limit_w if trim is None else limit_w * trim.part


def _look(trim: Trim, found: Measured, passed_s: float, now: float) -> None:
    """What was read before the last step could be followed says nothing about it; what is measured in part gives nothing back."""
    if found.power_w <= trim.limit_w + max(SPARE_W, SPARE_PART * trim.limit_w):
        trim.above_mono_s = None
        if found.power_w + found.more_w < 0.98 * trim.limit_w:
            trim.part = min(1.0, trim.part + BACK_PER_S * passed_s)
        return
    trim.above_mono_s = now if trim.above_mono_s is None else trim.above_mono_s
    followed = found.read_mono_s >= max(trim.since_mono_s, trim.stepped_mono_s) + AFTER_S
    if followed and now - trim.since_mono_s >= FOLLOW_S and now - trim.above_mono_s >= AFTER_S and trim.limit_w > 0:
        trim.part = max(LEAST, trim.part * max(STEP, trim.limit_w / found.power_w))
        trim.above_mono_s = trim.stepped_mono_s = now
