"""Who listens to which MQTT topics: filters with + and #, and messages handed to all they match.

Rules of MQTT 3.1.1 section 4.7: ``+`` stands for one level, ``#`` for the rest and its own parent,
neither matches a first level that begins with ``$``. One listener that fails harms only itself.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

log = logging.getLogger(__name__)

Take = Callable[[str, bytes, bool], None]
MAX_FILTER_BYTES = 65_535


class TopicBoard:
    """The filters and their listeners, in the order they came."""

    def __init__(self) -> None:
        self._listeners: dict[str, list[Take]] = {}
        self._complained: set[tuple[str, str]] = set()

    @property
    def filters(self) -> tuple[str, ...]:
        """What has to be subscribed to, each once."""
        return tuple(self._listeners)

    def add(self, topic: str, take: Take) -> None:
        """Note a listener. Raises ValueError for what is no topic filter."""
        check_filter(topic)
        self._listeners.setdefault(topic, []).append(take)

    def hand_over(self, topic: str, payload: bytes, retained: bool) -> bool:
        """Give a message to everybody it matches; False = nobody. A listener that raises is logged, once per kind of failure."""
        wanted = False
        for pattern, takers in list(self._listeners.items()):
            if not matches(pattern, topic):
                continue
            wanted = True
            for take in list(takers):
                self._give(take, topic, payload, retained, pattern)
        return wanted

    def _give(self, take: Take, topic: str, payload: bytes, retained: bool, pattern: str) -> None:
        try:
            take(topic, payload, retained)
        except Exception as error:  # its defect must not cost the others their message
            key = (pattern, repr(error)[:200])
            if key not in self._complained and len(self._complained) < 1000:
                self._complained.add(key)
                log.error("internal error, please report it: a listener of %s failed", pattern, exc_info=error)


def check_filter(topic: str) -> None:
    """Raises ValueError with the reason when a text is no topic filter."""
    if not topic or "\0" in topic or len(topic.encode("utf-8")) > MAX_FILTER_BYTES:
        raise ValueError("a topic has 1 to 65535 bytes and no NUL")
    levels = topic.split("/")
    if any("#" in level for level in levels[:-1]) or ("#" in levels[-1] and levels[-1] != "#"):
        raise ValueError(f"{topic}: # may only be the whole last level")
    if any("+" in level and level != "+" for level in levels):
        raise ValueError(f"{topic}: + must be a whole level")


def matches(pattern: str, topic: str) -> bool:
    """True if a filter takes a topic."""
    wanted, given = pattern.split("/"), topic.split("/")
    if given[0].startswith("$") and wanted[0] in ("+", "#"):
        return False
    for index, level in enumerate(wanted):
        if level == "#":
            return True
        if index >= len(given) or level not in ("+", given[index]):
            return False
    return len(wanted) == len(given)
