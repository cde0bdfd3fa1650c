"""The guard: a measured current above a limit is cut now, without solver and without plan.

``excesses`` and ``cut`` turn one meter reading into lower setpoints within the same call (P3); that a station
follows them is watched by ``escalation``. Must never raise anything, and must not cut twice for the same excess:
the other load estimate keeps a cut that is still on its way out of the sum.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from controller.facts import PhaseAmps
from controller.site.sharing.arbiter import EPS, Claim, Grant, Pace, Row, decide

HOLD_S = 10.0
"""After an excess nothing on that circuit rises for this long [s]: hysteresis."""


@dataclass(frozen=True, slots=True)
class Excess:
    """A phase of a circuit above its limit [A]; phase None: the sum of its phases. derived: nobody measured it, it is what the stations' own
    values add up to."""

    circuit: str
    phase: int | None
    measured_a: float
    limit_a: float
    derived: bool = False


def total_of(measured_a: PhaseAmps) -> float:
    """What counts against a total [A]: feed-in on one phase makes no room on another."""
    first_a, second_a, third_a = measured_a
    return max(0.0, first_a) + max(0.0, second_a) + max(0.0, third_a)


def excesses(circuit: str, measured_a: PhaseAmps, limit_a: float, derived: bool = False, total_a: float = math.inf) -> tuple[Excess, ...]:
    """The phases above the limit, and their sum above a total. limit_a: fuse or a lower limit in force, without margin [A]."""
    found = tuple(Excess(circuit, phase, amps, limit_a, derived) for phase, amps in enumerate(measured_a) if amps > limit_a + EPS)
    if total_a == math.inf or (sum_a := total_of(measured_a)) <= total_a + EPS:
        return found
    return (*found, Excess(circuit, None, sum_a, total_a, derived))


def cut(rows: Sequence[Row], claims: Sequence[Claim], over: Collection[int], pace: Pace) -> tuple[Grant, ...]:
    """Only the lowered grants of the claims that load the rows ``over``; nothing rises."""
    hit = [_narrowed(claim, over) for claim in claims if any(row in over for row in claim.rows)]
    grants = decide(rows, hit, pace)
    return tuple(grant for grant, claim in zip(grants, hit, strict=True) if grant.limit_a < claim.present_a - EPS)


def _narrowed(claim: Claim, over: Collection[int]) -> Claim:
    cap_a = min(claim.cap_a, claim.present_a)
    rows = tuple(row for row in claim.rows if row in over)
    sums = tuple(row for row in claim.sums if row in over)
    return replace(claim, rows=rows, sums=sums, cap_a=cap_a, want_a=min(claim.want_a, cap_a))
