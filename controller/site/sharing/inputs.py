"""What the budget is made of: plain values from meters, limits, wishes and the plan, at one moment."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from controller.facts import EvseKey, FeaturesLearned, PhaseAmps, Stamp
from controller.site.grid.limits import Limit
from controller.site.sharing.layers import UPSTREAM
from controller.site.sharing.turns import Turn
from controller.site.state import EvseState


@dataclass(frozen=True, slots=True)
class CircuitLoad:
    """What a circuit carries besides cars and how far that is trusted.

    other_a: per phase [A]. margin_a: kept free [A]. lost: meter silent, everything below falls
    back. hold: nothing below may rise. meter: which one, "" if none. reserve_a: kept free for what a
    battery may drop (``reserve``): no load yet, so that nothing may be given back into it [A]. passing_a: the part of other_a
    that only one reading has shown: a motor's start; nobody is paused for it [A].
    """

    other_a: PhaseAmps
    margin_a: float
    lost: bool = False
    hold: bool = False
    meter: str = ""
    reserve_a: float = 0.0
    passing_a: PhaseAmps = (0.0, 0.0, 0.0)


@dataclass(frozen=True, slots=True)
class StationWish:
    """The CSMS's limit for the sum of a station now, per phase [A]. ends_wall_s: when the next step begins, None = not known."""

    limit_a: float
    reason: str
    ends_wall_s: float | None = None


@dataclass(frozen=True, slots=True)
class FaceWish:
    """What a CSMS wants of all chargers of its depot face now; None = nothing said.

    limit_a: of their sum, per phase [A]; total_a: of all phases together [A], then limit_a is its even part and binds no phase.
    discharge_w >= 0: the most they may give back together [W]; discharge_reason: who says so.
    setpoint_w: what they shall take together, negative = give back [W]. ends_wall_s: when the next step of its schedule begins.
    source: a word of ``layers``; an external limit on the controllable loads is such a sum, too.
    """

    face: str
    stations: Collection[str]
    limit_a: float | None
    reason: str
    ends_wall_s: float | None = None
    discharge_w: float | None = None
    discharge_reason: str = ""
    setpoint_w: float | None = None
    source: str = UPSTREAM
    total_a: float | None = None

    @property
    def phase_a(self) -> float | None:
        """What each phase is limited to [A]."""
        return self.limit_a if self.total_a is None else None


def told_limit(wish: FaceWish, voltage_v: float) -> str:
    """A face's limit in the unit it was said in."""
    return f"{wish.limit_a:g} A per phase" if wish.total_a is None else f"{wish.total_a * voltage_v / 1000:.4g} kW"


@dataclass(frozen=True, slots=True)
class Target:
    """What the plan gives an EVSE now, per phase [A]; a ceiling, never more. discharge_w > 0: what it shall give back, in all.

    ends_wall_s: end of the plan's slot. power_w: what the plan meant before rounding to the minimum, over all phases;
    None = not said. A charger that can switch phases makes use of it. source: a word of ``layers``, "" = the plan.
    """

    limit_a: float
    reason: str
    discharge_w: float = 0.0
    ends_wall_s: float | None = None
    power_w: float | None = None
    source: str = ""


@dataclass(frozen=True, slots=True)
class Inputs:
    """Everything the budget is made of, at one moment.

    lifted: who has waited too long for its priority. features: what stations announced. may_give: the site's meters
    speak and its stations obey, so that cars may give back. faces: what CSMSs want of all their chargers. give_bounds: the most single
    EVSEs may give back [W], and who says so; export: the same for the grid connection, None = only what the site file says.
    limits: of circuits, per phase; totals: of circuits, over all phases (``Limit.total_a``). Both hold.
    """

    at: Stamp
    evses: Mapping[EvseKey, EvseState]
    loads: Mapping[str, CircuitLoad]
    limits: Mapping[str, Limit]
    station_wishes: Mapping[str, StationWish]
    targets: Mapping[EvseKey, Target]
    turns: Mapping[EvseKey, Turn]
    paused: Collection[EvseKey]
    disobeying: Collection[EvseKey]
    lifted: EvseKey | None = None
    features: Mapping[str, FeaturesLearned] = field(default_factory=dict)
    may_give: bool = True
    faces: tuple[FaceWish, ...] = ()
    give_bounds: Mapping[EvseKey, tuple[float, str]] = field(default_factory=dict)
    export: tuple[float, str] | None = None
    totals: Mapping[str, Limit] = field(default_factory=dict)
