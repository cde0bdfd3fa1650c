"""What a charger and a car accept: steps of current, the gap below the minimum, the car's own curve.

Knows nothing of plans and sites. Currents per phase [A].
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from optimizer.problem import Ev


@dataclass(frozen=True, slots=True)
class Steps:
    """What a charger accepts, per phase [A]: 0, ``min_a``, or a multiple of ``step_a`` between ``min_a`` and ``max_a``.

    step_a 0 = any value. The same holds for giving back.
    """

    min_a: float
    max_a: float
    step_a: float = 1.0

    def floor(self, amps: float) -> float:
        """The largest accepted current up to ``amps``."""
        amps = min(amps, self.max_a)
        if not (amps >= self.min_a - 1e-6 and amps > 0.0):  # nobody's number counts as nothing
            return 0.0
        if self.step_a <= 0.0:
            return max(self.min_a, amps)
        return max(self.min_a, round(math.floor(amps / self.step_a + 1e-6) * self.step_a, 6))

    def ceiling(self, amps: float) -> float:
        """The smallest accepted current from ``amps`` on, at most the largest one."""
        if amps <= self.min_a or self.step_a <= 0.0:
            return min(max(amps, self.min_a), self.max_a)
        return min(round(math.ceil(amps / self.step_a - 1e-3) * self.step_a, 6), self.floor(self.max_a))


def accepted_w(ev: Ev) -> float:
    """Most power the car takes at its present state of charge [W], from its own curve; inf if it told none that can be believed."""
    points = ev.acceptance
    if not points or not ev.capacity_wh > 0.0 or not math.isfinite(ev.soc_wh + sum(at_wh + power_w for at_wh, power_w in points)):
        return math.inf
    before = points[0]
    if ev.soc_wh <= before[0]:
        return before[1]
    for after in points[1:]:
        if ev.soc_wh <= after[0]:
            part = (ev.soc_wh - before[0]) / max(after[0] - before[0], 1e-9)
            return before[1] + part * (after[1] - before[1])
        before = after
    return before[1]
