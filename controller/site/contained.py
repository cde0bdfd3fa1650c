"""A defect in what only serves money must not cost a decision about the fuse.

Learning, posing, checking and rounding of plans, and what is told about them, run inside the tick that also carries setpoints. A defect
there ends its own step, is told once as an alarm, and the step's fallback holds: the last good plan, then rules, then equal shares.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable
from typing import TypeVar

from controller.orders import Order, Severity, Tell

Result = TypeVar("Result")
LAST_LINES = 3


class Contained:
    """Runs steps. defects: how many ended badly, for tests and the backtest."""

    def __init__(self) -> None:
        self.defects = 0
        self._told: set[tuple[str, str]] = set()
        self._untold: list[Order] = []

    def run(self, name: str, step: Callable[[], Result], instead: Callable[[], Result]) -> Result:
        """What the step gives, or ``instead`` after a defect. name: of the step, for people."""
        try:
            return step()
        except Exception as error:
            self.defects += 1
            self._tell(name, error)
            return instead()

    def _tell(self, name: str, error: Exception) -> None:
        """Each kind once per start: what fails in every tick would fill the log."""
        kind = (name, type(error).__name__)
        if kind in self._told:
            return
        self._told.add(kind)
        text = f"internal error in {name}, power is shared without it; please report it: {defect_text(error)}"[:400]
        self._untold.append(Tell(Severity.ALARM, "plan", text))

    def tell(self) -> list[Order]:
        """What has not been told yet."""
        untold, self._untold = self._untold, []
        return untold


def defect_text(error: Exception) -> str:
    """Where it went wrong, on one line."""
    lines = "".join(traceback.format_exception(error)).strip().splitlines()[-LAST_LINES:]
    return " | ".join(line.strip() for line in lines)
