"""One station's connection to the CSMS as a state machine: when to dial, when to wait.

    idle --want--> dialling --opened--> open --closed--> waiting --time--> dialling ...

``first`` tells a first dial after the station connected (its frames wait for the result) from a
re-dial during an outage (its frames are answered here at once). The wait doubles from
reconnect_min_s to reconnect_max_s with +-50 % spread per station (fault F20); it starts over
after a connection that held for a minute, so that a CSMS that accepts and drops at once is not
hammered (F23).
"""

from __future__ import annotations

from enum import StrEnum

from controller.link.ids import jitter

STEADY_S = 60.0


class State(StrEnum):
    """States of the connection."""

    IDLE = "idle"
    DIALLING = "dialling"
    OPEN = "open"
    WAITING = "waiting"


class UpstreamLink:
    """State of one upstream connection. key: the station identity. Times are monotonic seconds."""

    def __init__(self, key: str, reconnect_min_s: float, reconnect_max_s: float) -> None:
        self.key = key
        self.state = State.IDLE
        self.generation = 0
        self.first = True
        self.failures = 0
        self.last_reason = ""
        self._min_s = reconnect_min_s
        self._max_s = reconnect_max_s
        self._due_mono_s = 0.0
        self._opened_mono_s = 0.0

    def want(self) -> None:
        """A station connected: dial at the next chance, and let its frames wait for the result."""
        if self.state in (State.IDLE, State.WAITING):
            self.first = True
            self.state = State.WAITING
            self._due_mono_s = float("-inf")

    def hurry(self) -> None:
        """The next dial need not wait."""
        self._due_mono_s = float("-inf")

    def due(self, now_mono_s: float) -> bool:
        """Whether to dial now."""
        return self.state is State.WAITING and now_mono_s >= self._due_mono_s

    def dial(self) -> int:
        """A dial begins; returns its generation."""
        self.generation += 1
        self.state = State.DIALLING
        return self.generation

    def opened(self, generation: int, now_mono_s: float) -> bool:
        """The dial of this generation succeeded. False if it is stale."""
        if generation != self.generation or self.state is not State.DIALLING:
            return False
        self.state, self.first, self._opened_mono_s = State.OPEN, False, now_mono_s
        return True

    def closed(self, generation: int, now_mono_s: float, reason: str) -> bool:
        """Connection or dial of this generation ended. False if it is stale."""
        if generation != self.generation or self.state not in (State.OPEN, State.DIALLING):
            return False
        if self.state is State.OPEN and now_mono_s - self._opened_mono_s >= STEADY_S:
            self.failures = 0
        self.failures += 1
        self.state, self.first, self.last_reason = State.WAITING, False, reason
        self._due_mono_s = now_mono_s + self.wait_s()
        return True

    def wait_s(self) -> float:
        """Wait before the next dial after ``failures`` failures in a row [s]."""
        base_s = min(self._max_s, self._min_s * 2.0 ** min(self.failures - 1, 16))
        return base_s * (0.5 + jitter(self.key, self.failures))

    def release(self) -> None:
        """Nobody needs this connection any more (the station left)."""
        self.state = State.IDLE

    @property
    def is_open(self) -> bool:
        """Whether frames can go up now."""
        return self.state is State.OPEN

    @property
    def undecided(self) -> bool:
        """Whether a station that has just connected should wait for the first dial."""
        return self.first and self.state in (State.DIALLING, State.WAITING)
