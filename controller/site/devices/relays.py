"""Relays: contacts that tell others how the site is, or shed a load. Active as ``RelayConfig.closes`` says, with least times on and off."""

from __future__ import annotations

import math
from typing import Final

from controller.config_devices import RelayConfig
from controller.site.devices.line import Wish
from controller.site.devices.scene import Scene

OFF_PART: Final = 0.0
"""A surplus relay opens when less than this part of surplus_w is fed in: its own load has taken the rest."""
WORDS: Final = {
    "limited": "a limit from outside holds",
    "failsafe": "the site runs on fallbacks",
    "overload": "over its limit",
    "surplus": "surplus is fed in",
}


class Relay:
    """One relay. Mutable."""

    def __init__(self, config: RelayConfig) -> None:
        self.config = config
        self._active = False
        self._since_mono_s = -math.inf

    def wish(self, scene: Scene) -> tuple[Wish, str, bool]:
        """(contact, why, whether it is urgent)."""
        now, wanted = scene.at.mono_s, self._wanted(scene)
        urgent = wanted and self.config.closes == "overload"
        if wanted != self._active and (urgent or now - self._since_mono_s >= self._least_s()):
            self._active, self._since_mono_s = wanted, now
        what = WORDS.get(self.config.closes, "")
        where = f"{self.config.circuit}: " if self.config.closes in ("limited", "overload") else ""
        return Wish(closed=self._active != self.config.inverted), f"{where}{what}" if self._active else "", urgent

    def _least_s(self) -> float:
        """An active one stays so for min_on_s, an inactive one for min_off_s."""
        return self.config.min_on_s if self._active else self.config.min_off_s

    def _wanted(self, scene: Scene) -> bool:
        match self.config.closes:
            case "limited":
                return self.config.circuit in scene.limited
            case "failsafe":
                return scene.failsafe
            case "overload":
                return self.config.circuit in scene.over
            case "surplus":
                return self._surplus(scene)
        return False

    def _surplus(self, scene: Scene) -> bool:
        if scene.grid_w is None:
            return False
        return -scene.grid_w > (OFF_PART if self._active else 1.0) * self.config.surplus_w
