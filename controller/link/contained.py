"""A defect met with one station or one CSMS must not cost the others their turn (P7).

A second that passes goes through every session and every face, and what one of them returns goes round among the others: each step
of that runs by itself. One that raises ends there, an alarm says so, and everything else that follows from the same fact still does.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable

from controller.facts import Fact
from controller.orders import Order, Severity, Tell

Outcome = Order | Fact
LAST_LINES = 3


def contained(subject: str, step: Callable[[], list[Outcome]]) -> list[Outcome]:
    """What the step gives; after a defect one alarm. subject: whose step it is, for people."""
    try:
        return step()
    except Exception:
        return [defect(subject, "its connection")]


def defect(subject: str, where: str) -> Tell:
    """The alarm about the exception that is being handled."""
    lines = traceback.format_exc().strip().splitlines()[-LAST_LINES:]
    text = f"internal error in {where}, please report it: {' | '.join(line.strip() for line in lines)}"[:400]
    return Tell(Severity.ALARM, subject or "site", text)
