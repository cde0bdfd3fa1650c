"""Limits in force: what each says of a circuit, and the lowest of them.

A limit can only lower: what holds on a circuit is the smallest of all (F57, ``limit_store``).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

from controller.facts import LimitUnit
from controller.site.sharing.layers import by_operator


@dataclass(frozen=True, slots=True)
class Limit:
    """One limit in force. limit_a: per phase [A]; of a limit in watts what each phase has if all draw the same. ends_*: None = for ever.

    reason: as shown on a setpoint. total_a: of a limit in watts, over all phases [A]; None = it holds on each phase by itself.
    operator: the grid operator said it; None = by the sender's name (``layers.by_operator``).
    """

    source: str
    circuit: str
    value: float
    unit: LimitUnit
    limit_a: float
    reason: str
    ends_mono_s: float | None = None
    ends_wall_s: float | None = None
    sequence: int | None = None
    issued_wall_s: float | None = None
    operator: bool | None = None
    total_a: float | None = None

    def alive(self, now_mono_s: float) -> bool:
        """Whether the limit is still in force."""
        return self.ends_mono_s is None or now_mono_s < self.ends_mono_s

    @property
    def by_operator(self) -> bool:
        """Whether the grid operator said it."""
        return by_operator(self.source) if self.operator is None else self.operator


class Bounds(NamedTuple):
    """What holds of each circuit: its lowest limit per phase, and its lowest total."""

    phase: dict[str, Limit]
    total: dict[str, Limit]

    def of(self, circuit: str) -> tuple[float, float]:
        """(limit per phase, over all phases) of a circuit [A], inf = none."""
        phase, total = self.phase.get(circuit), self.total.get(circuit)
        total_a = total.total_a if total is not None else None
        return phase.limit_a if phase is not None else math.inf, math.inf if total_a is None else total_a
