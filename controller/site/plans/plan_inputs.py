"""What a planning problem is made of: one frozen picture of the site, its prices and its limits."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from controller.facts import EvseKey, FeaturesLearned, LimitStep
from controller.site.devices.battery import Power
from controller.site.grid.announced import Ahead
from controller.site.grid.der import FaceSteps, Stretches
from controller.site.grid.limits import Limit
from controller.site.plans.habits import NOTHING_LEARNT, Learnt
from controller.site.plans.series import NOTHING_FORESEEN, Foreseen
from controller.site.plans.tariffs import Books
from controller.site.sharing.budget import CircuitLoad
from controller.site.state import EvseState
from optimizer.usual import Usual


@dataclass(frozen=True, slots=True)
class PlanInputs:
    """What a problem is made of. booked_a: EVSEs that cannot be commanded, with their current.

    pv_w: production now, >= 0, None if nobody measures it; battery_w: charging positive. plain: EVSEs that give nothing back now,
    whatever they announced: the station refused it in this session, or the site is not well. window_import_wh: of the running
    demand window so far. learnt: from past sessions. load, sun: what is usual, None = not learnt. books: prices, None = the tariff's.
    worthwhile_w: the peak that is worth paying for in this billing period (``rehearsing``), None = nobody knows. period_left_s: of that
    period, None = not told. faces: what CSMSs want of all their chargers; give_bounds: the most single EVSEs may give back, now and
    later. foreseen: forecasts and CO2 that were told. ahead: limits and setpoints that are announced, and every bound of feed-in and
    generation but the site file's, until its end.
    sun_w: what PV could make now where inverters are held down, else pv_w. sun_fixed: nobody can hold PV down here. battery_can: of a
    battery we command; None = it does not do what we want.
    """

    evses: Mapping[EvseKey, EvseState]
    loads: Mapping[str, CircuitLoad]
    limits: Sequence[Limit]
    station_wishes: Mapping[str, Sequence[LimitStep]]
    booked_a: Mapping[EvseKey, float]
    pv_w: float | None
    battery_w: float | None
    soc_percent: float | None
    peak_w: float
    features: Mapping[str, FeaturesLearned] = field(default_factory=dict)
    plain: Collection[EvseKey] = ()
    window_import_wh: float = 0.0
    learnt: Learnt = NOTHING_LEARNT
    load: Usual | None = None
    sun: Usual | None = None
    books: Books | None = None
    worthwhile_w: float | None = None
    period_left_s: float | None = None
    faces: tuple[FaceSteps, ...] = ()
    give_bounds: Mapping[EvseKey, Stretches] = field(default_factory=dict)
    foreseen: Foreseen = NOTHING_FORESEEN
    ahead: tuple[Ahead, ...] = ()
    sun_w: float | None = None
    sun_fixed: bool = False
    battery_can: Power | None = None
