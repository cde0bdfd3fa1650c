"""The event log in memory: the last entries, numbered without gaps, for page and API."""

from __future__ import annotations

from collections import deque

from controller.orders import Tell
from controller.snapshot import EventView

KEPT = 300
SUBJECTS_KEPT = 10_000
"""Whose last text is remembered; strangers who knock may invent names."""


class EventLog:
    """The newest KEPT entries. A text that repeats for a subject within the same minute is counted, not repeated."""

    def __init__(self) -> None:
        self._events: deque[EventView] = deque(maxlen=KEPT)
        self._number = 0
        self._last: dict[str, tuple[str, float]] = {}

    def add(self, tell: Tell, mono_s: float) -> bool:
        """Keep an entry. False when the same was said about the same subject less than 60 s ago."""
        last = self._last.get(tell.subject)
        if last is not None and last[0] == tell.text and mono_s - last[1] < 60.0:
            return False
        self._last[tell.subject] = (tell.text, mono_s)
        if len(self._last) > SUBJECTS_KEPT:
            del self._last[next(iter(self._last))]
        self._number += 1
        self._events.append(EventView(self._number, tell.wall_s, tell.severity.value, tell.subject, tell.text))
        return True

    def entries(self) -> tuple[EventView, ...]:
        """Oldest first."""
        return tuple(self._events)
