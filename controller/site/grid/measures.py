"""Watts and amps of a limit: a limit in W is a total of the phases, one in A holds on each of them.

A total becomes a sum of currents with the highest voltage of the nominal one and those the grid meter tells: at 250 V the currents of 230 V
would carry 9 % too much. Who needs one figure per phase has its even part.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Final

from controller.facts import LimitUnit

STEADY_V: Final = 3.0
"""A voltage that falls by less changes nothing: setpoints must not follow its noise [V]."""
TINY_V: Final = 0.01
HIGHEST: Final = 1.2
"""A voltage above this part of the nominal one is a wrong reading, or another net's."""


class Measures:
    """The conversion of this site."""

    def __init__(self, voltage_v: float, phases: int) -> None:
        self._nominal_v, self.voltage_v, self.phases = voltage_v, voltage_v, phases

    def seen(self, voltages_v: Iterable[float | None], power_w: float | None = None, currents_a: Iterable[float] = ()) -> None:
        """What the grid meter tells. Without voltages they follow from power and currents."""
        told = [volts for volts in voltages_v if volts is not None and math.isfinite(volts)]
        if not told and power_w is not None and (amps := sum(currents_a)) > 1.0:
            told = [power_w / amps]
        highest_v = float(math.ceil(max([self._nominal_v, *(volts for volts in told if volts <= HIGHEST * self._nominal_v)]) - TINY_V))
        if highest_v > self.voltage_v or highest_v < self.voltage_v - STEADY_V:
            self.voltage_v = max(self._nominal_v, highest_v)

    def amps(self, value: float, unit: LimitUnit = LimitUnit.W) -> float:
        """Limit per phase [A], of a total its even part."""
        return value if unit is LimitUnit.A else value / (self.voltage_v * self.phases)

    def total_a(self, value: float, unit: LimitUnit = LimitUnit.W) -> float | None:
        """A total over all phases [A]; None where each phase is limited by itself, as every limit of one phase is."""
        return value / self.voltage_v if unit is LimitUnit.W and self.phases > 1 else None

    def watts(self, value: float, unit: LimitUnit) -> float:
        """Limit as a total [W]."""
        return value if unit is LimitUnit.W else value * self._nominal_v * self.phases
