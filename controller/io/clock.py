"""The only home of time and of randomness.

Two clocks: a monotonic one for durations, which never jumps and always runs at real speed,
and a wall clock (UTC) for protocols and people. The demo compresses the wall clock only:
the control loop, deadlines and setpoint lives stay real. A wall clock before 2024 is a box
that has lost its time (fault F78): its stamps say so.
"""

from __future__ import annotations

import secrets
import time

from controller.facts import Stamp

TRUSTED_FROM_WALL_S = 1_704_067_200.0
"""2024-01-01T00:00:00Z. No box that runs this program has seen an earlier day."""


class Clock:
    """The real clocks, the wall one perhaps faster.

    speed: wall seconds per real second, > 0. start_wall_s: wall time [s] at construction;
    None = the real time. With speed 1 and no start the system clock is read each time, so
    corrections by NTP come through.
    """

    def __init__(self, speed: float = 1.0, start_wall_s: float | None = None) -> None:
        if not speed > 0:
            raise ValueError(f"the speed of a clock must be above 0, not {speed}")
        self._speed = speed
        self._follows_system = speed == 1.0 and start_wall_s is None
        self._start_mono_s = time.monotonic()
        self._start_wall_s = _system_wall_s() if start_wall_s is None else start_wall_s

    def stamp(self) -> Stamp:
        """Both clocks, read now."""
        mono_s = time.monotonic()
        if self._follows_system:
            wall_s = _system_wall_s()
        else:
            wall_s = self._start_wall_s + (mono_s - self._start_mono_s) * self._speed
        return Stamp(mono_s, wall_s, self._speed, wall_s >= TRUSTED_FROM_WALL_S)


class VirtualClock:
    """A clock that moves only when told: for tests and backtests."""

    def __init__(self, start_wall_s: float = TRUSTED_FROM_WALL_S, speed: float = 1.0, start_mono_s: float = 1000.0) -> None:
        self._mono_s = start_mono_s
        self._wall_s = start_wall_s
        self._speed = speed

    def stamp(self) -> Stamp:
        """Both clocks as they stand."""
        return Stamp(self._mono_s, self._wall_s, self._speed, self._wall_s >= TRUSTED_FROM_WALL_S)

    def advance(self, seconds: float) -> Stamp:
        """Let ``seconds`` of monotonic time pass; the new stamp."""
        if seconds < 0:
            raise ValueError("monotonic time does not run backwards")
        self._mono_s += seconds
        self._wall_s += seconds * self._speed
        return self.stamp()

    def set_wall(self, wall_s: float) -> None:
        """Let the wall clock jump (fault F77); the monotonic clock does not notice."""
        self._wall_s = wall_s


def fresh_seed() -> str:
    """128 bits of randomness as hex: the engine derives all its ids and jitters from it."""
    return secrets.token_hex(16)


def _system_wall_s() -> float:
    return time.time()  # noqa: TID251 - the seam all time comes through
