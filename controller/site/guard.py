"""The guard: a measured current above a limit is cut now, without solver and without plan.

Two duties. ``excesses`` and ``cut`` turn one meter reading into lower setpoints within the same
call (P3). ``Escalation`` watches that a station follows an accepted cut: sent again at 10 s, paused at
20 s, made unavailable at 40 s, an alarm for a person at 60 s (F03, RELIABILITY 7). Must never raise
anything, and must not cut twice for the same excess: the other load estimate keeps a cut that is
still on its way out of the sum.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum

from controller.facts import EvseKey, PhaseAmps
from controller.site.actuate import Channel
from controller.site.arbiter import EPS, Claim, Grant, Pace, Row, decide
from controller.site.budget import REACTION_S

HOLD_S = 10.0
"""After an excess nothing on that circuit rises for this long [s]: hysteresis."""
JUST_CUT_S = 90.0
"""A car found too high within this time of its cut has not followed since the cut [s]."""
TOLERANCE_A, TOLERANCE_PART = 1.0, 0.1
"""A car may draw this much above its setpoint before it counts as not following."""


@dataclass(frozen=True, slots=True)
class Excess:
    """A phase of a circuit measured above its limit [A]."""

    circuit: str
    phase: int
    measured_a: float
    limit_a: float


def excesses(circuit: str, measured_a: PhaseAmps, limit_a: float) -> tuple[Excess, ...]:
    """The phases above the limit. limit_a: fuse or a lower limit in force, without margin [A]."""
    return tuple(Excess(circuit, phase, amps, limit_a) for phase, amps in enumerate(measured_a) if amps > limit_a + EPS)


def cut(rows: Sequence[Row], claims: Sequence[Claim], over: Collection[int], pace: Pace) -> tuple[Grant, ...]:
    """Only the lowered grants of the claims that load the rows ``over``; nothing rises."""
    hit = [_narrowed(claim, over) for claim in claims if any(row in over for row in claim.rows)]
    grants = decide(rows, hit, pace)
    return tuple(grant for grant, claim in zip(grants, hit, strict=True) if grant.limit_a < claim.present_a - EPS)


def _narrowed(claim: Claim, over: Collection[int]) -> Claim:
    cap_a = min(claim.cap_a, claim.present_a)
    rows = tuple(row for row in claim.rows if row in over)
    return replace(claim, rows=rows, cap_a=cap_a, want_a=min(claim.want_a, cap_a))


# -- stations that do not follow -----------------------------------------------------------------------


class Step(IntEnum):
    """How far the escalation has gone."""

    WATCHED = 0
    RESENT = 1
    PAUSED = 2
    BLOCKED = 3
    ALARMED = 4


STEP_AFTER_S = {Step.RESENT: 10.0, Step.PAUSED: 20.0, Step.BLOCKED: 40.0, Step.ALARMED: 60.0}


@dataclass(slots=True)
class Pursuit:
    """One EVSE that draws more than it accepted, since when, and what was done."""

    since_mono_s: float
    step: Step = Step.WATCHED


class Escalation:
    """All pursuits. ``look`` returns the steps that are due now."""

    def __init__(self) -> None:
        self.pursuits: dict[EvseKey, Pursuit] = {}
        self.blocked: set[EvseKey] = set()

    @property
    def disobeying(self) -> frozenset[EvseKey]:
        """EVSEs that had their time to follow and did not: they count with what they draw."""
        return frozenset(key for key, pursuit in self.pursuits.items() if pursuit.step >= Step.RESENT)

    @property
    def paused(self) -> frozenset[EvseKey]:
        """EVSEs told to stop altogether."""
        return frozenset(key for key, pursuit in self.pursuits.items() if pursuit.step >= Step.PAUSED)

    def look(self, channel: Channel, drawn_a: float | None, measured_mono_s: float, over: bool, now: float) -> tuple[Step, ...] | None:
        """Steps now due for one EVSE; None when it has just come back to obeying.

        drawn_a: what it last told [A]. over: a circuit above it is over its limit, which speaks
        against a station that tells nothing since its cut.
        """
        key = channel.place.key
        pursuit = self.pursuits.get(key)
        # What was measured before the car could react says nothing about its obedience: cars at stations
        # that sample once a minute would be paused for nothing. The circuit's own meter still speaks.
        believed_after = channel.lowered_mono_s
        if pursuit is None:
            believed_after += channel.place.model.apply_s + REACTION_S
        if not self._too_much(channel, drawn_a, measured_mono_s, believed_after, over, now):
            if pursuit is None:
                return ()
            del self.pursuits[key]
            return None if pursuit.step >= Step.RESENT else ()
        if pursuit is None:
            # The clock runs from the cut, but a first finding that comes late begins with the first step.
            waited_s = now - channel.lowered_mono_s
            first_s = max(STEP_AFTER_S[Step.RESENT], channel.place.model.apply_s + REACTION_S)
            head_start_s = min(waited_s, first_s) if waited_s <= JUST_CUT_S else 0.0
            pursuit = self.pursuits[key] = Pursuit(now - head_start_s)
        return self._due(pursuit, channel, now)

    def _too_much(self, channel: Channel, drawn_a: float | None, measured_mono_s: float, believed_after: float, over: bool, now: float) -> bool:
        accepted = channel.accepted
        if not channel.online or accepted is None:
            return False
        limit_a = channel.known_a(now)
        if measured_mono_s <= believed_after and channel.answered:
            return over and drawn_a is not None and drawn_a > limit_a + TOLERANCE_A
        return drawn_a is not None and drawn_a > limit_a + max(TOLERANCE_A, TOLERANCE_PART * limit_a)

    def _due(self, pursuit: Pursuit, channel: Channel, now: float) -> tuple[Step, ...]:
        late_s = max(0.0, channel.place.model.apply_s + REACTION_S - STEP_AFTER_S[Step.RESENT])
        due = tuple(step for step, after_s in STEP_AFTER_S.items() if pursuit.step < step and now - pursuit.since_mono_s >= after_s + late_s)
        if due:
            pursuit.step = due[-1]
        return due

    def forget(self, key: EvseKey) -> bool:
        """The session is over. True if the EVSE had been made unavailable and may be freed."""
        self.pursuits.pop(key, None)
        if key in self.blocked:
            self.blocked.discard(key)
            return True
        return False
