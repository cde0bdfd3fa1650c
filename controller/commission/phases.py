"""The per-phase step test: which phases of a meter move when a charger is stepped, which way and how much.

The charger is stepped between two levels several times. Of each step only the difference between two
settled stretches counts (medians), so that the building's slow changes drop out; of all steps the median
and its spread count, so that a motor that starts once changes nothing. What remains wide is called
"not certain". The measure is what the station itself tells, for a car may take less than it is offered;
a station that tells nothing is measured by its setpoint.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise, permutations
from statistics import median

from controller.commission.record import PHASE_NAMES, Curve, Hold, Record, Triple

MIN_STEP_A = 3.0
"""Smaller steps tell nothing over the noise of a building [A]."""
MIN_STEPS = 4
"""With fewer steps nothing is certain."""
SETTLED_PART = 0.5
"""Of each hold the last part counts as settled."""
SIGMA = 3.0
"""A statement must hold for so many standard errors."""
FLOOR_GAIN = 0.02
"""Smallest standard error believed, whatever the samples say."""


@dataclass(frozen=True, slots=True)
class Step:
    """From one hold to the next: by how much the charger itself changed [A]."""

    before: Hold
    after: Hold
    reference_a: float
    own_a: Triple
    """By the station's own phases; None where it told nothing."""


class Effect(StrEnum):
    """What a phase of a meter does when the charger is stepped."""

    MOVES = "moves"
    STILL = "still"
    TURNED = "turned"
    SCALED = "scaled"
    UNCLEAR = "unclear"


@dataclass(frozen=True, slots=True)
class PhaseEffect:
    """Of one phase: gain = change at the meter per change of the charger, error = its standard error."""

    effect: Effect
    gain: float
    error: float
    steps: int


def steps_of(record: Record) -> tuple[Step, ...]:
    """The usable steps of a record."""
    found = (_step(record, before, after) for before, after in pairwise(record.holds))
    return tuple(step for step in found if step is not None)


def _step(record: Record, before: Hold, after: Hold) -> Step | None:
    asked_a = after.limit_a - before.limit_a
    own = tuple(settled_delta(record.station, phase, before, after) for phase in range(3))
    told = [amps for amps in own if amps is not None]
    reference_a = max(told, key=abs) if told else asked_a
    if abs(asked_a) < MIN_STEP_A or abs(reference_a) < MIN_STEP_A:
        return None
    return Step(before, after, reference_a, (own[0], own[1], own[2]))


def settled(curve: Curve, phase: int, hold: Hold) -> float | None:
    """The level of a phase at the end of a hold [A]: the median of its settled part."""
    values = curve.phase(phase, hold.until_s - SETTLED_PART * hold.long_s, hold.until_s)
    return median(values) if values else None


def settled_delta(curve: Curve, phase: int, before: Hold, after: Hold) -> float | None:
    """By how much a phase changed from one hold to the next [A]."""
    sooner, later = settled(curve, phase, before), settled(curve, phase, after)
    return later - sooner if sooner is not None and later is not None else None


def effect_of(curve: Curve, phase: int, steps: Sequence[Step], share: float | None = 1.0) -> PhaseEffect:
    """What one phase of a meter does. share: see ``shares_of``."""
    if share is None:
        return PhaseEffect(Effect.UNCLEAR, math.nan, math.inf, 0)
    gains = [delta / step.reference_a / share for step in steps if (delta := settled_delta(curve, phase, step.before, step.after)) is not None]
    if len(gains) < MIN_STEPS:
        return PhaseEffect(Effect.UNCLEAR, median(gains) if gains else math.nan, math.inf, len(gains))
    middle = median(gains)
    spread = 1.4826 * median([abs(gain - middle) for gain in gains])
    # Half the steps may be alike by chance: the outer ones widen what the middle ones claim.
    spread = max(spread, 0.5 * _range(gains) / math.sqrt(len(gains)))
    error = max(FLOOR_GAIN, 1.25 * spread / math.sqrt(len(gains)))
    return PhaseEffect(_judge(middle, error), middle, error, len(gains))


def _range(gains: Sequence[float]) -> float:
    """Width of the gains without the two outermost ones, when there are enough."""
    ordered = sorted(gains)
    inner = ordered[1:-1] if len(ordered) > 5 else ordered
    return inner[-1] - inner[0]


def _judge(gain: float, error: float) -> Effect:
    low, high = gain - SIGMA * error, gain + SIGMA * error
    if low > -0.3 and high < 0.3:
        return Effect.STILL
    if low > 0.7 and high < 1.3:
        return Effect.MOVES
    if low > -1.3 and high < -0.7:
        return Effect.TURNED
    outside = low > 1.15 or high < -1.15 or 0.3 < low < high < 0.85 or -0.85 < low < high < -0.3
    return Effect.SCALED if outside and SIGMA * error < 0.3 * abs(gain) else Effect.UNCLEAR


def faint(effects: Iterable[PhaseEffect]) -> list[int]:
    """Phases that seem still but do move a little with every step: a scale ten times too small looks like this."""
    return [phase for phase, one in enumerate(effects) if one.effect is Effect.STILL and abs(one.gain) > 0.05 and abs(one.gain) > SIGMA * one.error]


# -- the charger's own phases ------------------------------------------------------------------------


def own_phases(steps: Sequence[Step]) -> tuple[int, ...] | None:
    """The station's own phases that carry current, by what it tells; None = it does not tell by phase."""
    used: list[int] = []
    for phase in range(3):
        parts = [amps / step.reference_a for step in steps if (amps := step.own_a[phase]) is not None]
        if parts and median(parts) > 0.3:
            used.append(phase)
    told = any(amps is not None for step in steps for amps in step.own_a)
    return tuple(used) if told else None


def shares_of(curve: Curve, steps: Sequence[Step]) -> tuple[float | None, float | None, float | None]:
    """By how much each site phase should move per A of the charger's largest phase; None = cannot be said.

    1 for a balanced car. An unbalanced box has another share on each phase, known once its phases are told apart.
    """
    own = own_phases(steps)
    if own is None:
        return 1.0, 1.0, 1.0
    parts = {phase: median([abs(amps / step.reference_a) for step in steps if (amps := step.own_a[phase]) is not None]) for phase in own}
    if max(parts.values(), default=1.0) - min(parts.values(), default=1.0) < 0.15:
        return 1.0, 1.0, 1.0
    found = mapping(curve, steps)
    if not found:
        return None, None, None
    site = {phase: parts[mine] for mine, phase in found.items()}
    return site.get(0, 1.0), site.get(1, 1.0), site.get(2, 1.0)


def mapping(curve: Curve, steps: Sequence[Step]) -> dict[int, int]:
    """Own phase -> site phase, as far as they can be told apart: by one phase alone, or by different currents on each."""
    own = own_phases(steps)
    if not own:
        return {}
    costs = sorted((_misfit(curve, steps, own, order), order) for order in permutations(range(3), len(own)))
    best, second = costs[0], costs[1]
    clear = second[0] - best[0] > 1.0 and second[0] > 2.5 * best[0]
    return dict(zip(own, best[1], strict=True)) if clear else {}


def _misfit(curve: Curve, steps: Sequence[Step], own: Sequence[int], order: Sequence[int]) -> float:
    """How badly an order fits, in A per step. Phases it leaves out should not move. The direction is judged elsewhere."""
    mine = dict(zip(order, own, strict=True))
    total_a = 0.0
    for phase in range(3):
        gaps: list[float] = []
        for step in steps:
            delta = settled_delta(curve, phase, step.before, step.after)
            amps = step.own_a[mine[phase]] if phase in mine else 0.0
            if delta is not None and amps is not None:
                gaps.append(abs(abs(delta) - abs(amps)))
        total_a += median(gaps) if gaps else 0.0
    return total_a


def names(phases: Iterable[int]) -> str:
    """``L1 and L3``."""
    words = [PHASE_NAMES[phase] for phase in phases]
    return " and ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else "".join(words) or "no phase"
