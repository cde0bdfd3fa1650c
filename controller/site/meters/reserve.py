"""Reserve: room for what a stationary battery carries now and may drop at any moment.

A battery that discharges lowers what the grid meter shows, and cars take the room. Run empty, it stops within a second and the whole
of its discharge comes back onto the main fuse at once (seen: 128 A on a 125 A fuse), faster than any car follows. So while its
end is near or not known, its discharge counts as other load already, ramped in ahead so that nothing has to be cut in a hurry:
by its state of charge, by the time the rest lasts, or in full where the state of charge or the battery's meter is missing.

A cloud before the sun gets no such reserve. The demo's thunder cloud takes 19 kW in 3.6 minutes: 0.13 A per second and phase,
which the ordinary margin of 1 A outlasts by more than the 7 s a cut needs. A reserve for all PV would take from the cars what
the roof gives, every day, for seconds within what copper bears.
"""

from __future__ import annotations

import math

from controller.config import BatteryConfig

NEAR_PERCENT, FAR_PERCENT = 1.0, 4.0
"""Above its lowest state of charge by this much the discharge counts in full, and not yet at all [percentage points]."""
NEAR_S, FAR_S = 30.0, 90.0
"""The same for the time the rest lasts, on the clock the cars live by [s]."""


BACK_A_PER_S = 2.0
"""Room is given back no faster than this, so that the grid meter shows first what the battery dropped [A/s]."""


class Reserve:
    """Room kept at the grid connection for the battery, per phase [A]."""

    def __init__(self, battery: BatteryConfig | None, voltage_v: float, phase_count: int) -> None:
        self.now_a = 0.0
        self._battery = battery
        self._w_per_a = voltage_v * phase_count
        self._last_w: float | None = None
        self._looked_mono_s = -math.inf

    def look(self, power_w: float | None, soc_percent: float | None, waiting: bool, now: float, wall_speed: float = 1.0) -> None:
        """Let time pass. power_w: of the battery, charging positive, None = its meter does not speak. waiting: not yet at all."""
        if power_w is not None:
            self._last_w = max(0.0, -power_w)
        discharge_w = self._discharge_w(waiting)
        share = part(soc_percent if power_w is not None else None, discharge_w, self._battery, wall_speed)
        back_a = BACK_A_PER_S * min(60.0, max(0.0, now - self._looked_mono_s))
        self.now_a, self._looked_mono_s = max(discharge_w * share / self._w_per_a, self.now_a - back_a, 0.0), now

    def _discharge_w(self, waiting: bool) -> float:
        """What it gives, gave when it last spoke, or may give if it never did [W]."""
        if self._last_w is not None:
            return self._last_w
        return self._battery.max_discharge_w if self._battery is not None and not waiting else 0.0


def floor_percent(battery: BatteryConfig | None) -> float:
    """State of charge at which its discharge ends [%]: one that we command stops at its reserve."""
    if battery is None:
        return 0.0
    return battery.min_soc_percent if battery.command is None else max(battery.min_soc_percent, battery.reserve_percent)


def part(soc_percent: float | None, discharge_w: float, battery: BatteryConfig | None, wall_speed: float) -> float:
    """Part of the discharge that counts as other load (0..1). soc_percent None = nobody knows."""
    if soc_percent is None or not math.isfinite(soc_percent):
        return 1.0
    least = floor_percent(battery)
    left_percent = max(0.0, soc_percent - least)
    by_charge = (FAR_PERCENT - left_percent) / (FAR_PERCENT - NEAR_PERCENT)
    by_time = 0.0
    if battery is not None and discharge_w > 0:
        left_s = left_percent / 100.0 * battery.capacity_wh / discharge_w * 3600.0 / max(wall_speed, 1e-9)
        by_time = (FAR_S - left_s) / (FAR_S - NEAR_S)
    return min(1.0, max(0.0, by_charge, by_time))
