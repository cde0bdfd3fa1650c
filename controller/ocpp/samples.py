"""Meter values of any version: sampled values in, one ``EvseMeasured`` out.

A value that cannot be understood is left out, never guessed (B19): the site falls back on its
meters. Signs: charging positive, export measurands become negative. A version's dialect takes its
own wire format apart (texts, multipliers, locations) and hands over number, unit and phase.
"""

from __future__ import annotations

import math
from typing import Any, Final

from controller.facts import EvseKey, EvseMeasured, Stamp

ENERGY: Final = "Energy.Active.Import.Register"
GIVEN: Final = "Energy.Active.Export.Register"
PHASE_INDEX: Final = {"L1": 0, "L2": 1, "L3": 2, "L1-N": 0, "L2-N": 1, "L3-N": 2}
_KILO: Final = ("kWh", "kW", "kVA", "kVAh")

MAX_CURRENT_A: Final = 10_000.0
MAX_POWER_W: Final = 10_000_000.0
MAX_ENERGY_WH: Final = 1e13
MAX_VOLTAGE_V: Final = 2_000.0
"""Beyond these no charger's value is true; such a sample is left out."""


def number(value: Any) -> float | None:
    """A finite number, also from a numeric string as some stations send it; else None."""
    if type(value) is float:  # nearly always
        return value if math.isfinite(value) else None
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        result = float(value)
    except (ValueError, OverflowError):
        return None
    return result if math.isfinite(result) else None


class Samples:
    """Collects the sampled values of one moment at one EVSE. seen: whether any of them could be used."""

    __slots__ = ("_current_a", "_current_all_a", "_energy_wh", "_given_wh", "_phase_power_w", "_power_w", "_soc_percent", "_voltage_v", "seen")

    def __init__(self) -> None:
        self.seen = False
        self._current_a: list[float | None] = [None, None, None]
        self._phase_power_w: list[float | None] = [None, None, None]
        self._current_all_a: float | None = None
        self._power_w: float | None = None
        self._energy_wh: float | None = None
        self._given_wh: float | None = None
        self._soc_percent: float | None = None
        self._voltage_v: float | None = None

    def add(self, measurand: Any, value: float, unit: Any, phase: Any) -> None:
        """One sampled value as the version names it; value finite, unit e.g. "kW" or None, phase e.g. "L1-N" or None."""
        if unit in _KILO:
            value *= 1000.0
        if measurand == ENERGY:
            if phase is None and abs(value) <= MAX_ENERGY_WH:
                self._energy_wh, self.seen = value, True
            return
        if measurand == GIVEN:
            if phase is None and 0.0 <= value <= MAX_ENERGY_WH:
                self._given_wh, self.seen = value, True
            return
        index = PHASE_INDEX.get(phase) if isinstance(phase, str) else None
        sign = -1.0 if isinstance(measurand, str) and ".Export" in measurand else 1.0
        # A silent counterpart in the other direction (0 exported) says nothing about what is imported.
        if measurand in ("Current.Import", "Current.Export") and (value or sign > 0):
            self._current(sign * value, phase, index)
        elif measurand in ("Power.Active.Import", "Power.Active.Export") and (value or sign > 0):
            self._power(sign * value, phase, index)
        elif measurand == "SoC" and 0.0 <= value <= 100.0:
            self._soc_percent, self.seen = value, True
        elif measurand == "Voltage" and (phase is None or index == 0) and 0.0 <= value <= MAX_VOLTAGE_V:
            self._voltage_v, self.seen = value, True

    def _current(self, current_a: float, phase: Any, index: int | None) -> None:
        if abs(current_a) > MAX_CURRENT_A:
            return
        if index is not None:
            self._current_a[index], self.seen = current_a, True
        elif phase is None:
            self._current_all_a, self.seen = current_a, True

    def _power(self, power_w: float, phase: Any, index: int | None) -> None:
        if abs(power_w) > MAX_POWER_W:
            return
        if index is not None:
            self._phase_power_w[index], self.seen = power_w, True
        elif phase is None:
            self._power_w, self.seen = power_w, True

    def fact(self, at: Stamp, evse: EvseKey) -> EvseMeasured:
        """The fact. A current without a phase is taken for every phase: the safe side for the fuse."""
        current = self._current_a
        if self._current_all_a is not None and current == [None, None, None]:
            current = [self._current_all_a] * 3
        power_w = self._power_w
        if power_w is None and self._phase_power_w != [None, None, None]:
            power_w = sum(value or 0.0 for value in self._phase_power_w)
        currents_a = current[0], current[1], current[2]
        return EvseMeasured(at, evse, currents_a, power_w, self._energy_wh, self._soc_percent, self._voltage_v, self._given_wh)
