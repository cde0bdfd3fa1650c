"""Which examples a law tries: a part of them in the everyday run, all of them with YARDMASTER_THOROUGH=1 (``make test-thorough``).

The everyday run tries the same ones each time and everywhere, so that it says the same of the same code: a rare find must not stop a
change that has nothing to do with it. The thorough run draws others each time; what it finds becomes an ``@example`` or a test.
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
    settings.register_profile(
        "yardmaster", max_examples=examples(USUAL), derandomize=not THOROUGH, deadline=None, suppress_health_check=[HealthCheck.too_slow]
    )
    settings.load_profile("yardmaster")
