"""The demand charge's meter: the highest mean import of a demand window in the billing period, and what the running window has imported.

Windows begin on whole multiples of their length (UTC; a quarter hour of UTC is one everywhere). The billing period is a calendar month
of the site's clock, or so many days since its first measurement. A peak is raised only by windows that were seen whole; for the rest
of a window that was not seen from its begin (a restart), the power met there is taken to have flowed before, too: the plan then
rather spares than spends. Outlasts a restart through the journal.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from controller.config import TariffConfig
from controller.site.plans.zones import zone_of
from controller.site.session_memory import number_or_none

DAY_S = 86_400.0


class PeakMeter:
    """Highest mean import of a demand window [W]. window_s: billing period [s] unless monthly; demand_window_s: length of a window [s]."""

    def __init__(self, window_s: float, demand_window_s: float = 900.0, monthly: bool = False, timezone: str = "UTC") -> None:
        self._window_s, self._demand_window_s = window_s, demand_window_s
        self._monthly, self._zone = monthly, zone_of(timezone)
        self.peak_w = 0.0
        self.since_wall_s: float | None = None
        self._window: int | None = None
        self._energy_ws = 0.0
        self._assumed_ws = 0.0
        self._last_wall_s = 0.0

    def recall(self, memory: Mapping[str, Any], wall_s: float) -> None:
        """Take back what the journal kept; rubbish counts as no peak (F75)."""
        peak_w, since_wall_s = number_or_none(memory.get("peak_w")), number_or_none(memory.get("since_wall_s"))
        if peak_w is not None and peak_w >= 0.0:
            self.peak_w, self.since_wall_s = peak_w, since_wall_s if since_wall_s is not None else wall_s

    def memory(self) -> dict[str, Any]:
        """What the journal keeps."""
        return {"peak_w": self.peak_w, "since_wall_s": self.since_wall_s}

    def add(self, power_w: float | None, wall_s: float) -> bool:
        """Let time pass with this import [W], None = nobody measures it; True when a higher peak was set."""
        if self.since_wall_s is None or self._period_over(self.since_wall_s, wall_s):
            self.since_wall_s, self.peak_w = wall_s, 0.0
        import_w = max(0.0, power_w or 0.0)
        window = int(wall_s // self._demand_window_s)
        if window == self._window:
            passed_s, self._last_wall_s = max(0.0, wall_s - self._last_wall_s), wall_s
            self._energy_ws += import_w * passed_s
            return False
        return self._next_window(window, import_w, wall_s)

    def _next_window(self, window: int, import_w: float, wall_s: float) -> bool:
        begin_wall_s = window * self._demand_window_s
        follows = self._window is not None and window == self._window + 1
        if follows:
            self._energy_ws += import_w * max(0.0, begin_wall_s - self._last_wall_s)
        mean_w = self._energy_ws / self._demand_window_s
        whole = follows and self._assumed_ws == 0.0
        into_s = wall_s - begin_wall_s
        self._energy_ws, self._assumed_ws = (import_w * into_s, 0.0) if follows else (0.0, import_w * into_s)
        self._window, self._last_wall_s = window, wall_s
        if whole and mean_w > self.peak_w:
            self.peak_w = mean_w
            return True
        return False

    def window_import_wh(self, wall_s: float) -> float:
        """What the running window has imported so far [Wh], the unseen rest as assumed; 0 in a window nothing was measured in."""
        if self._window != int(wall_s // self._demand_window_s):
            return 0.0
        return (self._energy_ws + self._assumed_ws) / 3600.0

    def ends_wall_s(self, wall_s: float) -> float:
        """When the billing period that contains this moment ends [wall s]."""
        if not self._monthly:
            return (wall_s if self.since_wall_s is None else self.since_wall_s) + self._window_s
        local = datetime.fromtimestamp(wall_s, self._zone)
        year, month = (local.year, local.month + 1) if local.month < 12 else (local.year + 1, 1)
        return datetime(year, month, 1, tzinfo=self._zone).timestamp()

    def _period_over(self, since_wall_s: float, wall_s: float) -> bool:
        if not self._monthly:
            return wall_s - since_wall_s > self._window_s
        return wall_s > since_wall_s and self._month(since_wall_s) != self._month(wall_s)

    def _month(self, wall_s: float) -> tuple[int, int]:
        local = datetime.fromtimestamp(wall_s, self._zone)
        return local.year, local.month


def peak_meter(tariff: TariffConfig, timezone: str) -> PeakMeter:
    """The meter of this tariff's demand charge."""
    return PeakMeter(tariff.demand_window_days * DAY_S, tariff.demand_minutes * 60.0, tariff.demand_period == "month", timezone)
