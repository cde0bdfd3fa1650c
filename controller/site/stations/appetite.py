"""Appetite: how much a car really takes when it may take more.

An offer that is clearly not used for a while is offered to others, and what the car took over a longer time
is its learned maximum: it keeps that and some headroom. It gets the full offer back as soon as it uses the
headroom, and now and then anyway: a car that only tapered for a moment must not be held down by it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

UNUSED_A: Final = 2.0
"""Drawing this much less than offered counts as not using the offer [A]."""
HEADROOM_A: Final = 3.0
"""What a car keeps above its learned maximum [A]; more than ``UNUSED_A``, or it would be forgotten at once."""
LEARN_AFTER_S: Final = 120.0
"""So long a car must leave its offer unused before its maximum is learned [s]."""
OFFER_AGAIN_S: Final = 600.0
"""A learned maximum is doubted after this long [s]."""
DOUBT_S: Final = 60.0
"""The full offer then stands this long [s]."""
DRAWING_A: Final = 1.0
"""A car that draws less tells nothing about its maximum [A]."""


@dataclass(frozen=True, slots=True)
class Appetite:
    """unused_since_mono_s: since when the offer is clearly not used, None = it is used. peak_a: most drawn since window_mono_s.

    most_a: learned maximum, None = none; learned_mono_s: since when.
    """

    unused_since_mono_s: float | None = None
    window_mono_s: float = 0.0
    peak_a: float = 0.0
    most_a: float | None = None
    learned_mono_s: float = 0.0

    def unused_for_s(self, now: float) -> float:
        """How long the offer has not been used [s]."""
        return now - self.unused_since_mono_s if self.unused_since_mono_s is not None else 0.0

    def cap_a(self, now: float) -> float | None:
        """The most it needs by what was learned [A]; None = nothing learned, or in doubt."""
        if self.most_a is None or now - self.learned_mono_s >= OFFER_AGAIN_S:
            return None
        return self.most_a + HEADROOM_A


HUNGRY: Final = Appetite()


def fed(appetite: Appetite, drawn_a: float, offer_a: float, now: float) -> Appetite:
    """What is known after a measurement while the car was offered offer_a. Per phase [A]."""
    most_a = appetite.most_a
    if most_a is not None and drawn_a > most_a + HEADROOM_A - UNUSED_A:
        return HUNGRY
    if offer_a <= 0 or drawn_a >= offer_a - UNUSED_A:
        if appetite.unused_since_mono_s is None:
            return appetite
        return HUNGRY if most_a is None else Appetite(None, 0.0, 0.0, most_a, appetite.learned_mono_s)
    if appetite.unused_since_mono_s is None:
        return Appetite(now, now, drawn_a, most_a, appetite.learned_mono_s)
    return _watched(appetite, drawn_a, now)


def _watched(appetite: Appetite, drawn_a: float, now: float) -> Appetite:
    """The offer stays unused: the window goes on, and ends with a lesson."""
    peak_a = max(appetite.peak_a, drawn_a)
    since, most_a, learned = appetite.unused_since_mono_s, appetite.most_a, appetite.learned_mono_s
    if now - appetite.window_mono_s < LEARN_AFTER_S or peak_a < DRAWING_A:
        return appetite if peak_a == appetite.peak_a else Appetite(since, appetite.window_mono_s, peak_a, most_a, learned)
    doubted = most_a is not None and now - learned >= OFFER_AGAIN_S
    if doubted and now - learned < OFFER_AGAIN_S + DOUBT_S:
        return Appetite(since, appetite.window_mono_s, peak_a, most_a, learned) if peak_a != appetite.peak_a else appetite
    return Appetite(since, now, drawn_a, peak_a, now if most_a is None or doubted else learned)
