"""A token bucket: an even rate with room for bursts. Pure; times are monotonic seconds."""

from __future__ import annotations


class TokenBucket:
    """rate_per_s: tokens that come back per second. burst: most tokens at once, also the first."""

    def __init__(self, rate_per_s: float, burst: float) -> None:
        self._rate_per_s = rate_per_s
        self._burst = burst
        self._tokens = burst
        self._filled_mono_s: float | None = None

    def take(self, mono_s: float) -> float:
        """Take one token; returns how long to wait before going on [s], 0.0 if one was there."""
        self._fill(mono_s)
        self._tokens -= 1.0
        return max(0.0, -self._tokens / self._rate_per_s)

    def try_take(self, mono_s: float) -> bool:
        """Take one token if one is there."""
        self._fill(mono_s)
        if self._tokens < 1.0:
            return False
        self._tokens -= 1.0
        return True

    def _fill(self, mono_s: float) -> None:
        if self._filled_mono_s is not None:
            self._tokens = min(self._burst, self._tokens + (mono_s - self._filled_mono_s) * self._rate_per_s)
        self._filled_mono_s = mono_s
