"""Narrowing: what a commissioning test makes of the claims, and how long others bear it.

A claim stays as it is or asks for less; only who waits may still begin with its minimum.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Final

from controller.site.sharing.claims import EPS, Claim

MAX_HELD_S: Final = 900.0
"""Other cars are held where they are at most so long [s], however many tests follow one another; then"""
EASE_S: Final = 120.0
"""for so long they share as if nobody tested; the test may go on meanwhile [s]."""
TEST_PRIORITY: Final = 1000
"""Above everything a site file can say (-9..9)."""
TEST_STEP_A: Final = 0.1
"""Levels of a test are this fine where they ask for it, whatever the model says [A]."""
ANY_STEP_A: Final = 1e-6
"""What counts for a told level is no round figure where cars draw more than told [A]."""
MINE = "commissioning test"
OTHERS = "held while another charger is tested"


@dataclass(slots=True)
class Patience:
    """Of the cars that are held for a test; no test and no tester begins it anew. Monotonic seconds."""

    since_mono_s: float = -math.inf
    held_mono_s: float = -math.inf
    eases_until_mono_s: float = -math.inf

    def holds(self, now: float) -> bool:
        """Whether others may be held now."""
        if now < self.eases_until_mono_s:
            return False
        if now - self.held_mono_s >= EASE_S:
            self.since_mono_s = now
        if now - self.since_mono_s < MAX_HELD_S:
            return True
        self.eases_until_mono_s, self.held_mono_s = now + EASE_S, -math.inf
        return False

    def left_s(self, now: float) -> float:
        """How long they may be held from now on [s]."""
        if now < self.eases_until_mono_s:
            return 0.0
        return MAX_HELD_S if now - self.held_mono_s >= EASE_S else max(0.0, MAX_HELD_S - (now - self.since_mono_s))


def step_of(limit_a: float, model_step_a: float) -> float:
    """The step a level is told in: the model's, finer only where the level itself is no multiple of it [A]."""
    whole = abs(limit_a / model_step_a - round(limit_a / model_step_a)) < EPS
    return model_step_a if whole else min(model_step_a, TEST_STEP_A)


def tested(claim: Claim, limit_a: float, factor: float, holds: bool) -> Claim:
    """The EVSE under test. factor: what a told ampere counts."""
    counted_a = max(0.0, limit_a) * factor
    cap_a = min(claim.cap_a, counted_a)
    reason = MINE if counted_a <= claim.cap_a else claim.cap_reason
    step_a = ANY_STEP_A if factor > 1.0 else step_of(limit_a, claim.step_a)
    claim = replace(claim, cap_a=cap_a, cap_reason=reason, want_a=min(cap_a, claim.want_a if not holds else cap_a), step_a=step_a)
    # The ramp spares fuses from many cars that rise at once; here one rises alone, into room that is free already.
    return replace(claim, priority=TEST_PRIORITY, rise_s=math.inf) if holds else claim


def held(claim: Claim) -> Claim:
    """Any other EVSE: it may begin with its minimum, and rises no further."""
    cap_a = min(claim.cap_a, max(claim.present_a, claim.min_a))
    if cap_a >= min(claim.cap_a, claim.want_a) - EPS:
        return replace(claim, cap_a=cap_a, want_a=min(claim.want_a, cap_a))
    return replace(claim, cap_a=cap_a, cap_reason=OTHERS, want_a=min(claim.want_a, cap_a))
