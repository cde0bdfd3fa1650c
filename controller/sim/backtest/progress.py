"""One progress bar over all work: percent, elapsed, remaining. Without a terminal a plain line per tenth."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from typing import TextIO

WIDTH = 30
EVERY_S = 0.3
PLAIN_PERCENT = 10


class Bar:
    """``tell`` is what jobs report to. weights: how much work each job is."""

    def __init__(self, weights: Sequence[float], out: TextIO | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._weights = [max(1e-9, weight) for weight in weights]
        self._parts = [0.0] * len(self._weights)
        self._out = out if out is not None else sys.stderr
        self._terminal = self._out.isatty()
        self._clock, self._began_s = clock, clock()
        self._shown_s, self._shown_percent = -1e9, 0

    def tell(self, place: int, part: float) -> None:
        """A job has so much of itself done."""
        self._parts[place] = max(self._parts[place], min(1.0, part))
        self._show()

    @property
    def share(self) -> float:
        """What is done of everything, 0..1."""
        return sum(part * weight for part, weight in zip(self._parts, self._weights, strict=True)) / sum(self._weights)

    def end(self) -> None:
        """Leave the line of the bar."""
        if self._terminal:
            print(file=self._out, flush=True)

    def _show(self) -> None:
        now_s, share = self._clock(), self.share
        percent = int(100 * share + 1e-9)
        if self._terminal:
            if now_s - self._shown_s >= EVERY_S or share >= 1.0:
                self._shown_s = now_s
                filled = round(WIDTH * share)
                print(f"\r[{'#' * filled}{'.' * (WIDTH - filled)}] {self._words(percent, share, now_s)}", end="   ", file=self._out, flush=True)
        elif percent // PLAIN_PERCENT > self._shown_percent // PLAIN_PERCENT:
            self._shown_percent = percent
            print(self._words(percent, share, now_s), file=self._out, flush=True)

    def _words(self, percent: int, share: float, now_s: float) -> str:
        elapsed_s = now_s - self._began_s
        left = f", {clock_words(elapsed_s * (1.0 - share) / share)} left" if 0.01 < share < 1.0 else ""
        return f"{percent:3d} %  {clock_words(elapsed_s)} elapsed{left}"


def clock_words(seconds: float) -> str:
    """0:07, 12:30, 1:02:03."""
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02d}:{second:02d}" if hours else f"{minute}:{second:02d}"
