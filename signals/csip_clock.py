"""The server's clock against ours. Events of IEEE 2030.5 run by the server's time (11.1); our own clock is never touched.

Each reading of Time bounds the difference from both sides: the answer was made between our question and its arrival, and it
counts whole seconds. Readings are cut with each other, so after a few of them the difference is known to a fraction of a second.
What has been told to the site stays as it is while it may be true: schedules do not tremble.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

DRIFT: Final = 2e-4
"""Two crystals together drift at most so much [s/s]."""


@dataclass(frozen=True, slots=True)
class ServerClock:
    """Server time minus our wall time: between low_s and high_s, taken as offset_s. at_s: our wall time of the last reading. None = unknown."""

    offset_s: float | None = None
    low_s: float = 0.0
    high_s: float = 0.0
    at_s: float = 0.0

    def read(self, server_s: int, asked_s: float, answered_s: float) -> ServerClock:
        """After a reading. asked_s, answered_s: our wall clock around the request; if it jumped meanwhile, the later one counts."""
        asked_s = min(asked_s, answered_s)
        low_s, high_s = server_s - answered_s, server_s + 1.0 - asked_s
        if self.offset_s is not None:
            slack_s = DRIFT * abs(answered_s - self.at_s)
            both = max(low_s, self.low_s - slack_s), min(high_s, self.high_s + slack_s)
            if both[0] <= both[1]:
                low_s, high_s = both
        held = self.offset_s is not None and low_s <= self.offset_s <= high_s
        offset_s = self.offset_s if held else (low_s + high_s) / 2
        return ServerClock(offset_s, low_s, high_s, answered_s)

    def jumped(self, by_s: float) -> ServerClock:
        """After our wall clock was set forward by so much."""
        if self.offset_s is None:
            return self
        return ServerClock(self.offset_s - by_s, self.low_s - by_s, self.high_s - by_s, self.at_s + by_s)

    def server_s(self, wall_s: float) -> float:
        """The server's time at one of our wall clock."""
        return wall_s + (self.offset_s or 0.0)

    def wall_s(self, server_s: float) -> float:
        """Our wall time at one of the server's."""
        return server_s - (self.offset_s or 0.0)
