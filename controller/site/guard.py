"""The guard: a measured current above a limit is cut now, without solver and without plan.

``excesses`` and ``cut`` turn one meter reading into lower setpoints within the same call (P3); that a station
follows them is watched by ``escalation``. Must never raise anything, and must not cut twice for the same excess:
the other load estimate keeps a cut that is still on its way out of the sum.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from controller.facts import PhaseAmps
from controller.site.sharing.arbiter import EPS, Claim, Grant, Pace, Row, decide

HOLD_S = 10.0
"""After an excess nothing on that circuit rises for this long [s]: hysteresis."""


@dataclass(frozen=True, slots=True)
class Excess:
    """A phase of a circuit above its limit [A]. derived: nobody measured it, it is what the stations' own values add up to."""

    circuit: str
    phase: int
    measured_a: float
    limit_a: float
    derived: bool = False


def excesses(circuit: str, measured_a: PhaseAmps, limit_a: float, derived: bool = False) -> tuple[Excess, ...]:
    """The phases above the limit. limit_a: fuse or a lower limit in force, without margin [A]."""
    return tuple(Excess(circuit, phase, amps, limit_a, derived) for phase, amps in enumerate(measured_a) if amps > limit_a + EPS)


def cut(rows: Sequence[Row], claims: Sequence[Claim], over: Collection[int], pace: Pace) -> tuple[Grant, ...]:
    """Only the lowered grants of the claims that load the rows ``over``; nothing rises."""
    hit = [_narrowed(claim, over) for claim in claims if any(row in over for row in claim.rows)]
    grants = decide(rows, hit, pace)
    return tuple(grant for grant, claim in zip(grants, hit, strict=True) if grant.limit_a < claim.present_a - EPS)


def _narrowed(claim: Claim, over: Collection[int]) -> Claim:
    cap_a = min(claim.cap_a, claim.present_a)
    rows = tuple(row for row in claim.rows if row in over)
    return replace(claim, rows=rows, cap_a=cap_a, want_a=min(claim.want_a, cap_a))
