"""What a breaker of the depot goes through, phase by phase and second by second.

The thermal state follows the square of the current with one time constant. It is given in parts of the state that
1.13 times the rated current leads to for ever: a breaker of IEC 60898 must not trip there within an hour, so a
breaker that never reaches 1.0 cannot have tripped. Below its rated current it is taken for as warm as at that current.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

THERMAL_S = 120.0
"""Time constant, quick for a miniature breaker [s]."""
NO_TRIP_PART = 1.13
TRIPS_PART = 1.45
RATED = 1.0 / NO_TRIP_PART**2
EPS_A = 1e-6


@dataclass(slots=True)
class PhaseAccount:
    """One phase of one breaker. All times [s], currents [A].

    over_s, over_113_s, over_145_s: in all above 1.0, 1.13 and 1.45 times the fuse. longest_s, longest_113_s: without a
    break. worst_as: most amps times seconds above the fuse in one go. peak_thermal: see the head of this file.
    worst_at_wall_s: when the longest time above 1.13 ended.
    """

    over_s: float = 0.0
    over_113_s: float = 0.0
    over_145_s: float = 0.0
    longest_s: float = 0.0
    longest_113_s: float = 0.0
    worst_as: float = 0.0
    peak_a: float = 0.0
    peak_thermal: float = RATED
    worst_at_wall_s: float = 0.0
    run_s: float = 0.0
    run_113_s: float = 0.0
    run_as: float = 0.0
    thermal: float = RATED

    @property
    def calm(self) -> bool:
        """Nothing to follow while the current stays below the fuse."""
        return self.run_s == 0.0 and self.thermal <= RATED

    def step(self, fuse_a: float, amps: float, seconds: float, wall_s: float) -> None:
        """``seconds`` at ``amps``, ending at ``wall_s``."""
        self.peak_a = max(self.peak_a, amps)
        part = max(1.0, amps / fuse_a)
        goal = (part / NO_TRIP_PART) ** 2
        self.thermal = goal + (self.thermal - goal) * math.exp(-seconds / THERMAL_S)
        self.peak_thermal = max(self.peak_thermal, self.thermal)
        if amps <= fuse_a + EPS_A:
            self.run_s = self.run_113_s = self.run_as = 0.0
            if self.thermal < RATED * 1.0001:
                self.thermal = RATED
            return
        self._above(fuse_a, amps, seconds, wall_s)

    def _above(self, fuse_a: float, amps: float, seconds: float, wall_s: float) -> None:
        self.over_s += seconds
        self.run_s += seconds
        self.run_as += (amps - fuse_a) * seconds
        self.longest_s = max(self.longest_s, self.run_s)
        self.worst_as = max(self.worst_as, self.run_as)
        self.over_145_s += seconds if amps > TRIPS_PART * fuse_a else 0.0
        if amps <= NO_TRIP_PART * fuse_a:
            self.run_113_s = 0.0
            return
        self.over_113_s += seconds
        self.run_113_s += seconds
        if self.run_113_s > self.longest_113_s:
            self.longest_113_s, self.worst_at_wall_s = self.run_113_s, wall_s


@dataclass(slots=True)
class Breaker:
    """The three poles of one breaker."""

    circuit: str
    fuse_a: float
    phases: tuple[PhaseAccount, PhaseAccount, PhaseAccount] = field(default_factory=lambda: (PhaseAccount(), PhaseAccount(), PhaseAccount()))

    def step(self, current_a: list[float], seconds: float, wall_s: float) -> None:
        """A stretch with these currents by phase [A]; a calm pole costs a comparison."""
        fuse_a = self.fuse_a
        for account, amps in zip(self.phases, current_a, strict=True):
            if amps > fuse_a or not account.calm:
                account.step(fuse_a, amps, seconds, wall_s)
            elif amps > account.peak_a:
                account.peak_a = amps
