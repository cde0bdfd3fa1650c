"""Sides: PV and battery meters. They inform the plan, the page and the battery's reserve; no fuse hangs on them."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from controller.orders import Order, Severity, Tell
from meters.reading import Quality, Reading

CHARGE_S: Final = 120.0
"""A state of charge is believed so long after it was told: at full power a battery of an hour moves by three percent in that time [s]."""


@dataclass(slots=True)
class Side:
    """The last word of one such meter."""

    meter_id: str
    role: str
    last: Reading | None = None
    at_mono_s: float = -math.inf
    healthy: bool = False
    detail: str = "no reading yet"
    charge_known: bool = True
    began_mono_s: float | None = None
    told: bool = False

    def read(self, reading: Reading, now: float) -> None:
        """Take a reading; an unusable one is silence with a reason."""
        if reading.quality is Quality.BAD:
            self.detail = reading.reason
        else:
            self.last, self.at_mono_s, self.healthy, self.detail = reading, now, True, reading.reason
            self.charge_known = True

    def look(self, now: float, lost_s: float, wall_s: float) -> list[Order]:
        """Let time pass; say once when it is silent, also from the start, and once when it is back."""
        self.began_mono_s = now if self.began_mono_s is None else self.began_mono_s
        self.charge_known = now - self.at_mono_s <= CHARGE_S
        if self.healthy and now - self.at_mono_s < lost_s:
            return self._said(False, Severity.INFO, "tells values again", wall_s)
        if self.healthy:
            self.healthy, self.detail = False, self.detail or "no reading"
        if now - max(self.at_mono_s, self.began_mono_s) < lost_s:
            return []
        kept = "room is kept for what the battery gave last" if self.role == "battery" else "planning goes on without it"
        return self._said(True, Severity.WARNING, f"silent ({self.detail or 'no reading'}) - {kept}; check its cable and power", wall_s)

    def _said(self, silent: bool, severity: Severity, what: str, wall_s: float) -> list[Order]:
        """The sentence, if it is news."""
        if self.told is silent:
            return []
        self.told = silent
        return [Tell(severity, f"meter {self.meter_id}", f"{self.role} meter {self.meter_id} {what}", wall_s)]


def power_w(sides: Iterable[Side], role: str) -> float | None:
    """Sum of the fresh meters of a role [W], import and charging positive; None if none speaks."""
    said = [side.last.power_w for side in sides if side.role == role and side.healthy and side.last is not None]
    known = [watts for watts in said if watts is not None and math.isfinite(watts)]
    return sum(known) if known else None


def soc_percent(sides: Iterable[Side]) -> float | None:
    """State of charge of the stationary battery [%]; None if nobody tells it, or told it too long ago."""
    said = [side.last.soc_percent for side in sides if side.role == "battery" and side.last is not None and side.charge_known]
    return next((percent for percent in said if percent is not None and math.isfinite(percent)), None)
