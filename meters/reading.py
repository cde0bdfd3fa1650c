"""What a meter said, in one shape for every meter model.

Units: A, W, V, Hz, Wh. Sign: import from the grid (or consumption, or charging) is positive;
a PV meter therefore reads negative while it produces. Absent quantities are None, never 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

PhaseTriple = tuple[float | None, float | None, float | None]


class Quality(StrEnum):
    """How far a reading may be trusted.

    good: use it. suspect: plausible but odd (sums do not fit); the safer side applies.
    bad: must not be used; counts as silence.
    """

    GOOD = "good"
    SUSPECT = "suspect"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class Reading:
    """One reading of one meter.

    current_a, phase_power_w, voltage_v: by site phase L1..L3. power_w: total.
    energy_*_wh: registers. soc_percent: batteries only. reason: why not good.
    """

    meter_id: str
    quality: Quality
    current_a: PhaseTriple = (None, None, None)
    phase_power_w: PhaseTriple = (None, None, None)
    voltage_v: PhaseTriple = (None, None, None)
    power_w: float | None = None
    frequency_hz: float | None = None
    energy_import_wh: float | None = None
    energy_export_wh: float | None = None
    soc_percent: float | None = None
    reason: str = ""


class ReadingError(Exception):
    """A meter could not be read or its answer could not be used. ``reason`` is from a short list."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail
