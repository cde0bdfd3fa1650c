"""How late the event loop runs, and whose fault it is (F70).

A late turn has three causes that look alike from inside: a task of ours that computed for too long, other programs that had the processor,
or a standstill (a thread of ours that held the interpreter, memory that came back from a disk, a paused machine). Linux counts for each
thread how long it worked and how long it was ready while others had its core; with that the message blames the right one. Pure but for ``spent``.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

LAG_ALARM_S: Final = 0.25
CALM_S: Final = 10.0
"""The alarm ends after this long without a late turn."""
OF_THIS_THREAD: Final = Path("/proc/thread-self/schedstat")


@dataclass(frozen=True, slots=True)
class Spent:
    """What a thread has done since it began [s]. worked_s: on a core. waited_s: ready, while others had it."""

    worked_s: float
    waited_s: float

    def since(self, before: Spent) -> Spent:
        """What came after ``before``."""
        return Spent(self.worked_s - before.worked_s, self.waited_s - before.waited_s)


def spent(file: Path = OF_THIS_THREAD) -> Spent | None:
    """Of the calling thread; None where the system does not say."""
    try:
        worked_ns, waited_ns, *_ = map(int, file.read_text().split())
    except (OSError, ValueError):
        return None
    return Spent(worked_ns / 1e9, waited_ns / 1e9)


class LagMeter:
    """Turns measured lags into news: late once, calm again after CALM_S. Pure."""

    def __init__(self) -> None:
        self._late_mono_s: float | None = None

    def saw(self, lag_s: float, mono_s: float, meanwhile: Spent | None = None) -> tuple[bool, str] | None:
        """One measurement; (healthy, detail) when the state changes, else None. meanwhile: what our thread did during it, None = unknown."""
        if lag_s > LAG_ALARM_S:
            news = self._late_mono_s is None
            self._late_mono_s = mono_s
            return (False, f"{why(lag_s, meanwhile)}; control ran late by as much") if news else None
        if self._late_mono_s is not None and mono_s - self._late_mono_s >= CALM_S:
            self._late_mono_s = None
            return True, f"on time for {CALM_S:g} s"
        return None


def why(lag_s: float, meanwhile: Spent | None) -> str:
    """Who is to blame for a late turn, as a sentence."""
    late = f"{lag_s * 1000:.0f} ms"
    if meanwhile is None:
        return f"something held everything up for {late}"
    if meanwhile.waited_s >= lag_s / 2:
        return f"this machine had no processor for us during {min(meanwhile.waited_s, lag_s) * 1000:.0f} of {late}: other programs keep it too busy"
    if meanwhile.worked_s >= lag_s / 2:
        return f"one task held everything up for {late}"
    return f"everything stood still for {late} without work of ours: a slow disk, too little memory, or a machine that was paused"
