"""Overdraw: cars that steadily draw a few percent more than they are told, learned per EVSE.

A meter that is 3 % off or a car that rounds up is no disobedience: the setpoint is lowered so that what flows is what
was granted, and the station is left in peace. Bounded: more than a quarter is not learned but pursued (F03).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from controller.facts import EvseKey
from controller.site.stations.channel import Channel

MOST: Final = 0.25
"""More than this part above what it was told is disobedience."""
LEAST_PART: Final = 0.02
LEAST_A: Final = 0.3
"""Less than this above is the noise of a meter [part, A]."""
SAMPLES: Final = 3
"""So many measurements in a row must show it."""
SPAN_S: Final = 10.0
"""And so much time must lie between the first and the last of them [s]."""
SETTLED_S: Final = 10.0
"""After a change a car is given this long, and its station's apply time, before its current counts [s]."""


@dataclass(slots=True)
class Seen:
    """What was seen in a row. least: the smallest part above told in it."""

    count: int
    since_mono_s: float
    least: float
    at_mono_s: float


class Overdraw:
    """Learns into ``Channel.overdraw_part``; forgotten with the session by the actuator."""

    def __init__(self) -> None:
        self._seen: dict[EvseKey, Seen] = {}

    def look(self, channel: Channel, drawn_a: float | None, measured_mono_s: float, now: float) -> bool:
        """Take a measurement in; True when more was learned. drawn_a: the largest phase current [A]."""
        key, told_a = channel.place.key, self._told_a(channel, measured_mono_s, now)
        above = drawn_a / told_a - 1.0 if drawn_a is not None and told_a else 0.0
        if drawn_a is None or not told_a or not LEAST_PART < above <= MOST or drawn_a - told_a < LEAST_A:
            self._seen.pop(key, None)
            return False
        seen = self._seen.setdefault(key, Seen(0, measured_mono_s, above, 0.0))
        if measured_mono_s <= seen.at_mono_s:
            return False  # the same measurement again
        seen.count, seen.least, seen.at_mono_s = seen.count + 1, min(seen.least, above), measured_mono_s
        if seen.count < SAMPLES or measured_mono_s - seen.since_mono_s < SPAN_S or seen.least <= channel.overdraw_part:
            return False
        channel.overdraw_part = min(MOST, seen.least)
        del self._seen[key]
        return True

    @staticmethod
    def _told_a(channel: Channel, measured_mono_s: float, now: float) -> float | None:
        """What the station was told and has had time to apply [A]; None when nothing can be said."""
        live = channel.live(now)
        if live is None or not channel.answered or live.told_a < channel.place.min_a:
            return None
        settled = measured_mono_s >= max(channel.changed_mono_s, channel.lowered_mono_s) + channel.place.model.apply_s + SETTLED_S
        return live.told_a if settled else None

    def forget(self, key: EvseKey) -> None:
        """The session is over."""
        self._seen.pop(key, None)
