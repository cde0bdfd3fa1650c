"""Prints at the end what the independent peers have exchanged through Yardmaster."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

COUNTED: pytest.StashKey[Counter[tuple[str, str, str]]] = pytest.StashKey()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[COUNTED] = Counter()


@pytest.fixture(scope="session")
def counted(pytestconfig: pytest.Config) -> Counter[tuple[str, str, str]]:
    """(version, direction, what) -> how many were seen to be right."""
    return pytestconfig.stash[COUNTED]


ARROWS = {"up": "station -> CSMS", "down": "CSMS -> station"}


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """One line per version and direction, and their sum."""
    counts = config.stash[COUNTED]
    if not counts:
        return
    terminalreporter.section("independent peers: actions x versions x directions")
    for version, direction in sorted({(version, direction) for version, direction, _ in counts}, key=lambda pair: (pair[0], pair[1] != "up")):
        parts = {what: count for (v, d, what), count in sorted(counts.items()) if (v, d) == (version, direction) and count}
        actions = parts.pop("actions", 0)
        shown = ", ".join(f"{count} {what}" for what, count in parts.items())
        terminalreporter.write_line(f"{version:9} {ARROWS[direction]}: {actions:2} actions, {sum(parts.values()):3} exchanges ({shown})")
    actions = sum(count for (_, _, what), count in counts.items() if what == "actions")
    exchanges = sum(count for (_, _, what), count in counts.items() if what != "actions")
    terminalreporter.write_line(f"all: {actions} actions x directions, {exchanges} exchanges")
