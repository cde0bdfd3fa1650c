"""Temperaments as data: what cars and charging stations really do, one habit each.

A car's temper is how it follows the pilot; a box's temper is how it follows OCPP. They are apart on purpose: an
owner can exchange a box, but never the car. Currents per phase, phases of a car are those of its EVSE (0 = L1).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

NUDGES = ("status", "availability")


@dataclass(frozen=True, slots=True)
class CarTemper:
    """How a car follows the pilot.

    share: how often such a car comes, relative to the others. wired: phases it uses. reaction_s: from a changed offer to
    the first change of current (IEC 61851-1 allows 5 s). stops_below_a: an offer below is a pause to it. overdraw_part:
    draws this part more than offered. resume_s: from the end of a pause to the first current. sleeps_after_s: a pause this
    long puts it to sleep; only a nudge of its station wakes it. follows: False = knows only "offered" and "not offered".
    """

    name: str
    share: float = 1.0
    wired: tuple[int, ...] = (0, 1, 2)
    max_current_a: float = 16.0
    reaction_s: float = 3.0
    ramp_a_per_s: float = 4.0
    stops_below_a: float = 6.0
    overdraw_part: float = 0.0
    resume_s: float = 0.0
    sleeps_after_s: float = math.inf
    taper_soc: float = 0.85
    follows: bool = True


CARS: tuple[CarTemper, ...] = (
    CarTemper("obedient", share=5.0),
    CarTemper("strong", share=3.0, max_current_a=32.0),
    CarTemper("one phase", share=3.0, wired=(0,), max_current_a=32.0),
    CarTemper("one phase on L2", share=1.5, wired=(1,), max_current_a=32.0),
    CarTemper("two phases", share=1.5, wired=(0, 1)),
    CarTemper("late", share=1.0, reaction_s=9.0),
    CarTemper("ignores limits", share=0.2, follows=False),
    CarTemper("stops below 8 A", share=1.0, stops_below_a=8.0),
    CarTemper("sleeper", share=1.0, sleeps_after_s=300.0),
    CarTemper("draws 5 % more", share=1.5, overdraw_part=0.05),
    CarTemper("ramps slowly", share=1.0, ramp_a_per_s=0.4),
    CarTemper("tapers early", share=1.0, taper_soc=0.5),
    CarTemper("resumes late", share=1.0, resume_s=60.0, reaction_s=5.0),
)


@dataclass(frozen=True, slots=True)
class BoxTemper:
    """How a charging station follows OCPP.

    share: how many such boxes a depot has, relative to the others. model: the charger model its installer would choose.
    apply_s: from Accepted to the new pilot. answers_after_s: how long it thinks about a CALL. sample_s: between two meter
    values. quantum_a: its meter values are cut to this step, 0 = exact. refused_purpose: profiles of this purpose are
    Rejected. only_unit: "W" or "A", the other is Rejected. min_write_s: persistent profiles written more often get
    RateLimitExceeded. stacking: "book", or "lowest": the lowest of all valid profiles counts, or "newest": the last
    one set. forgets_default: it drops its TxDefaultProfiles when it connects again. reboots_every_h, offline_every_h: mean time
    between, 0 = never; offline_s: mean length. wakes_by: nudges that wake a sleeping car here.
    """

    name: str
    share: float = 1.0
    model: str = "generic"
    apply_s: float = 1.5
    answers_after_s: float = 0.0
    sample_s: float = 45.0
    quantum_a: float = 0.0
    refused_purpose: str = ""
    only_unit: str = ""
    min_write_s: float = 0.0
    stacking: str = "book"
    forgets_default: bool = False
    ignores_profiles: bool = False
    reboots_every_h: float = 0.0
    offline_every_h: float = 0.0
    offline_s: float = 300.0
    wakes_by: tuple[str, ...] = NUDGES


BOXES: tuple[BoxTemper, ...] = (
    BoxTemper("by the book", share=8.0),
    BoxTemper("slow to apply", share=2.0, apply_s=4.8),
    BoxTemper("slow to answer", share=2.0, answers_after_s=4.0),
    BoxTemper("rejects TxProfile", share=2.0, refused_purpose="TxProfile"),
    BoxTemper("forgets its default", share=2.0, forgets_default=True, offline_every_h=12.0, offline_s=90.0),
    BoxTemper("reboots", share=2.0, reboots_every_h=30.0),
    BoxTemper("watts only", share=2.0, only_unit="W"),
    BoxTemper("counts its writes", share=2.0, min_write_s=60.0),
    BoxTemper("offline for minutes", share=2.0, offline_every_h=10.0, offline_s=400.0),
    BoxTemper("meters each minute, whole amps", share=3.0, sample_s=60.0, quantum_a=1.0),
    BoxTemper("takes the lowest profile", share=1.0, stacking="lowest"),
    BoxTemper("takes the newest profile", share=1.0, stacking="newest"),
    BoxTemper("wakes by availability only", share=1.0, wakes_by=("availability",)),
    BoxTemper("ignores profiles", share=0.5, ignores_profiles=True),
)


def car_named(name: str) -> CarTemper:
    """The temper of this name. Raises StopIteration for an unknown one."""
    return next(temper for temper in CARS if temper.name == name)


def box_named(name: str) -> BoxTemper:
    """The temper of this name. Raises StopIteration for an unknown one."""
    return next(temper for temper in BOXES if temper.name == name)
