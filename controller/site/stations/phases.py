"""Phases: which conductors a car really loads, learned from what its station measures.

A charger told "32 A on three phases" with a one-phase car loads one phase, not three (trap 13); to count
three blocks the fuse for others, to count one too early trips it. So until a pattern has held for a while every
wired phase counts, a phase more is believed at once, and a phase that once was used is only believed
to be free after a longer time. What a station did not measure is no proof of a phase without current. Phases
are site phases 0, 1, 2 everywhere here; a station's own L1..L3 were rotated before.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

DRAWING_A: Final = 1.0
"""A phase that carries more is in use; below it a meter may just show noise [A]."""
IDLE_PHASE_A: Final = 0.5
"""A phase that carries less while another is in use is not connected in the car [A]."""
LEARN_AFTER_S: Final = 5.0
"""How long a phase pattern must hold before it is believed [s]."""
LEARN_FEWER_AFTER_S: Final = 60.0
"""How long a car that has used more phases in this session must do with fewer before that is believed [s]."""
POWER_PART: Final = 1.25
"""Power up to this many times what the measured phases explain speaks for no other phase in use."""

Phases = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class PhaseUse:
    """What was seen of a session's phases. pattern: in use now, () = none or unclear; since_mono_s: since when.

    learned: the believed pattern, () = none yet. most: every phase used at any time, as far as seen.
    """

    pattern: Phases = ()
    since_mono_s: float = -math.inf
    learned: Phases = ()
    most: Phases = ()


UNSEEN: Final = PhaseUse()


def observed(use: PhaseUse, wired: Phases, current_a: tuple[float | None, ...], complete: bool, now_mono_s: float) -> PhaseUse:
    """What is known after a measurement by site phase [A]. complete False: a phase without a value may carry current."""
    first_a, second_a, third_a = (abs(current_a[phase] or 0.0) if phase in wired else 0.0 for phase in (0, 1, 2))
    amps = (first_a, second_a, third_a)
    used = tuple([phase for phase in wired if amps[phase] > DRAWING_A])
    if not used:
        return use if not use.pattern else PhaseUse((), use.since_mono_s, use.learned, use.most)
    clear = complete and (used == wired or all(phase in used or amps[phase] < IDLE_PHASE_A for phase in wired))
    most = use.most if used == use.most or set(used) <= set(use.most) else tuple([phase for phase in wired if phase in used or phase in use.most])
    learned = use.learned if used == use.learned or set(used) <= set(use.learned) else ()
    if used != use.pattern or not clear:
        return PhaseUse(used if clear else (), now_mono_s, learned, most)
    after_s = LEARN_FEWER_AFTER_S if len(used) < len(most) else LEARN_AFTER_S
    if learned != used and now_mono_s - use.since_mono_s >= after_s:
        learned = used
    unchanged = learned == use.learned and most is use.most
    return use if unchanged else PhaseUse(use.pattern, use.since_mono_s, learned, most)


def complete(told_a: tuple[float | None, ...], wired_count: int, power_w: float | None, voltage_v: float) -> bool:
    """Whether a measurement speaks for every wired phase: each has a value, or the power leaves none for the others."""
    values = [amps for amps in told_a[:wired_count] if amps is not None]
    if len(values) == wired_count:
        return True
    return power_w is not None and bool(values) and abs(power_w) <= POWER_PART * voltage_v * sum(map(abs, values))


def loaded(wired: Phases, use: PhaseUse, told_count: int | None, switched: int | None, switching: bool) -> Phases:
    """The phases that count for an EVSE: never fewer than what was seen in use.

    told_count: numberOfPhasesUsed, from the EVSE's first phase on. switched: the one phase a switching charger was put on.
    switching: on its way between one and three, all count.
    """
    if switching:
        return wired
    if switched is not None:
        return (switched,) if not use.most or use.most == (switched,) else wired
    if use.learned:
        return use.learned
    if told_count:
        told = wired[:told_count]
        return told if set(use.most) <= set(told) else wired
    return wired
