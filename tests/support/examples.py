"""How many examples a law tries: a part of them in the everyday run, all of them with YARDMASTER_THOROUGH=1 (``make test-thorough``).

Which examples are tried changes from run to run, so that many short runs see what one long run sees.
"""

from __future__ import annotations

import os
from typing import Final

from hypothesis import HealthCheck, settings

THOROUGH: Final = os.environ.get("YARDMASTER_THOROUGH", "") not in ("", "0")
PART: Final = 0.4
LEAST: Final = 8
"""A law that tries fewer than this in all keeps them all."""
USUAL: Final = 100
"""Of a law that does not say how many."""


def examples(full: int) -> int:
    """So many of ``full`` examples are tried in this run."""
    return full if THOROUGH else max(min(full, LEAST), round(full * PART))


def load_profile() -> None:
    """Laws that do not say how many follow the same rule. No deadline: how busy the machine is, is no property of the code."""
    settings.register_profile("yardmaster", max_examples=examples(USUAL), deadline=None, suppress_health_check=[HealthCheck.too_slow])
    settings.load_profile("yardmaster")
