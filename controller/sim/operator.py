"""The grid operator of a simulated day: a sign of life twice a minute, and the limits of the story.

It says what a control box over MQTT would say (the JSON of deploy/signals.md); over sockets in the demo, as facts in virtual time.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from controller.config import Config
from controller.facts import Fact, Stamp
from controller.io.signals.words import facts_of, parse
from controller.sim.scenario import Deed, Happening, Scenario

BEAT_S = 30.0
AGAIN_S = 1.0
SOURCE = "dso"
"""Its entry under signals in the site file."""


def payload(step: Happening, wall_speed: float) -> dict[str, Any]:
    """The statement of a step of the story; its hours are those of the wall clock."""
    name = "consumption_w" if step.deed is Deed.IMPORT_LIMIT else "production_w"
    return {name: step.value, "duration_s": step.valid_h * 3600.0 / wall_speed, "detail": step.label}


FIRST: dict[str, Any] = {"consumption_w": None, "production_w": None}
"""What it says when it begins: nothing is limited."""


class VirtualOperator:
    """The same in virtual time. A site without its entry has none."""

    def __init__(self, config: Config, scenario: Scenario, start_wall_s: float) -> None:
        self._there = any(entry.id == SOURCE for entry in config.signals)
        self._steps: Iterator[tuple[float, Happening]] = scenario.happenings(start_wall_s)
        self._next = next(self._steps, None)
        self._beat_mono_s: float | None = None
        self._number = 0

    def facts(self, at: Stamp) -> list[Fact]:
        """What it says at this moment."""
        if not self._there:
            return []
        found: list[Fact] = []
        if self._beat_mono_s is None or at.mono_s - self._beat_mono_s >= BEAT_S:
            found += self._said({} if self._beat_mono_s is not None else FIRST, at)
            self._beat_mono_s = at.mono_s
        while self._next is not None and self._next[0] <= at.wall_s:
            if self._next[1].deed in (Deed.IMPORT_LIMIT, Deed.EXPORT_LIMIT):
                found += self._said(payload(self._next[1], at.wall_speed), at)
            self._next = next(self._steps, None)
        return found

    def _said(self, body: dict[str, Any], at: Stamp) -> list[Fact]:
        return facts_of(parse(json.dumps(body).encode()), SOURCE, at, False, self._count)

    def _count(self) -> int:
        self._number += 1
        return self._number
