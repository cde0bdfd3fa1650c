"""Sources of limits and their health. What limits do is in ``grid`` (test_limits, test_keeping)."""

from __future__ import annotations

from controller.facts import (
    SourceChanged,
)
from tests.support.site_story import Story, depot


def test_sources_speak_once_per_change() -> None:
    told = Story(depot(1))
    told.do(SourceChanged(told.at(), "history", True, ""))
    for _ in range(3):
        told.do(SourceChanged(told.at(), "history", False, "disk full"))
    told.do(SourceChanged(told.at(), "history", True, ""))
    assert told.told("history") == [
        "history is not well (disk full) - charging goes on, it does not depend on it",
        "history is well again",
    ]
