"""Waking: a car that sleeps after a pause is helped up, once or twice and with care (trap 19).

Some cars do not start again by themselves when a pause of 0 A ends, although their station offers current. Only a
car that drew before the pause is woken: one that is full, or has not begun yet, has its own reasons.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from controller.facts import EvseKey
from controller.orders import Order, Wake
from controller.site.state import EvseState
from controller.site.stations.channel import Channel
from controller.site.stations.phases import DRAWING_A

WAIT_S: Final = 45.0
"""A car that has an offer again is given this long to start by itself [s]."""
AGAIN_S: Final = 120.0
"""Between two attempts [s]."""
ATTEMPTS: Final = 2
"""More than this would only wear the contactor."""
NONE: Final = "none"


@dataclass(slots=True)
class Pause:
    """One EVSE's pause. offered_mono_s: since when it may charge again, inf = still paused."""

    offered_mono_s: float = math.inf
    attempts: int = 0
    asked_mono_s: float = -math.inf


class Waker:
    """All pauses. ``look`` once a second per EVSE with a session."""

    def __init__(self) -> None:
        self._drew: set[EvseKey] = set()
        self._pauses: dict[EvseKey, Pause] = {}

    def look(self, channel: Channel, evse: EvseState, now: float, quiet: bool = False) -> list[Order]:
        """The attempt that is due, if any. quiet: none now, somebody measures how the car wakes."""
        key, live = channel.place.key, channel.live(now)
        fresh = evse.measured_mono_s > (self._pauses[key].offered_mono_s if key in self._pauses else -math.inf)
        if fresh and (evse.drawn_a or 0.0) > DRAWING_A:
            self._drew.add(key)
            self._pauses.pop(key, None)
            return []
        if live is None or not channel.online or not channel.answered or key not in self._drew:
            return []
        if live.told_a < channel.place.min_a:
            self._pauses.setdefault(key, Pause()).offered_mono_s = math.inf
            return []
        pause = self._pauses.get(key)
        return self._offered(channel, pause, live.at_mono_s, now) if pause is not None and not quiet else []

    @staticmethod
    def _offered(channel: Channel, pause: Pause, accepted_mono_s: float, now: float) -> list[Order]:
        if pause.offered_mono_s == math.inf:
            pause.offered_mono_s = accepted_mono_s
        model, key = channel.place.model, channel.place.key
        rested = now - pause.offered_mono_s >= WAIT_S + model.apply_s and now - pause.asked_mono_s >= AGAIN_S
        if model.resume == NONE or pause.attempts >= ATTEMPTS or not rested:
            return []
        pause.attempts, pause.asked_mono_s = pause.attempts + 1, now
        return [Wake(key, model.resume)]

    def forget(self, key: EvseKey) -> None:
        """The session is over."""
        self._drew.discard(key)
        self._pauses.pop(key, None)
