"""A plugged-in car as the planner sees it: what it needs by when, how fast it may charge and give back in each slot, how it tapers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from controller.config import Config
from controller.facts import ChargingState, EvseKey, LimitStep, Stamp
from controller.site.layout import Layout
from controller.site.state import EFFICIENCY_ONE_WAY, EvseState
from controller.site.stations import v2g
from controller.site.stations.v2g import NO_STORE, Store
from optimizer.past import Outlook
from optimizer.problem import Ev, Slot

if TYPE_CHECKING:
    from controller.site.plans.plan_inputs import PlanInputs

LONGEST_S: Final = 86_400.0
REST_PART: Final = 0.1
"""Part of the assumed session energy that is still planned when a silent car has passed it."""
SOON_S: Final = 3600.0
"""A car that stayed beyond its departure is planned to leave after this [s]."""
NOT_SOONER_S: Final = 900.0
"""Who is here is not planned to leave sooner than this by habit alone [s]."""
READY_BEFORE_S, READY_PART = 1800.0, 0.15
"""A car is planned to be ready this long before it leaves, at most this part of its stay. Without it the last
quarter hours, in which cars taper and setpoints are rounded down, left 0.8 of 34 kWh missing on the demo day."""
MET_WH: Final = 50.0
"""A need smaller than this is met: no meter counts finer [Wh]."""
LAST_PART: Final = 0.1
"""A tapering car still takes this part of its power when it is nearly full."""
DISPROVED: Final = 1.05
"""A car that draws more than this times what its taper says has none, as far as we know."""
ENOUGH_WH: Final = 200.0
"""A car that says it has less room than its need, by more than this, has told one of them wrongly [Wh]."""


class Wishes:
    """Schedules of a CSMS as bounds per slot. The same schedule is read once, however many EVSEs have it."""

    def __init__(self, slots: Sequence[Slot]) -> None:
        self._slots = slots
        self._known: dict[tuple[LimitStep, ...], tuple[float, ...]] = {}

    def limits_a(self, steps: Sequence[LimitStep], most_a: float) -> tuple[float, ...]:
        """The lowest limit within each slot, at most most_a, per phase [A]."""
        key = tuple(steps)
        lowest = self._known.get(key)
        if lowest is None:
            lowest = self._known[key] = tuple(self._lowest(key, slot) for slot in self._slots)
        return tuple(min(amps, most_a) for amps in lowest)

    @staticmethod
    def _lowest(steps: Sequence[LimitStep], slot: Slot) -> float:
        end_s = slot.start_wall_s + slot.duration_s
        lowest, running = math.inf, math.inf
        for step in steps:
            if step.start_wall_s >= end_s:
                break
            running = math.inf if step.limit_a is None else step.limit_a
            lowest = min(lowest, running) if step.start_wall_s > slot.start_wall_s else running
        return lowest

    def discharge_w(self, evse: EvseState, most_w: float, voltage_v: float) -> tuple[float, ...]:
        """The most a car may give back in each slot [W]; () = most_w in all of them."""
        if not evse.wish:
            return ()
        return tuple(min(self._discharge_w(evse, slot, voltage_v), most_w) for slot in self._slots)

    @staticmethod
    def _discharge_w(evse: EvseState, slot: Slot, voltage_v: float) -> float:
        """The lowest bound of the steps that hold within the slot [W]."""
        end_s = slot.start_wall_s + slot.duration_s
        within = [v2g.step_at(evse, slot.start_wall_s), *(step for step in evse.wish if slot.start_wall_s < step.start_wall_s < end_s)]
        return min(v2g.bound_of_csms_w(evse, step, voltage_v) for step in within)


def car_of(config: Config, layout: Layout, inputs: PlanInputs, key: EvseKey, evse: EvseState, wishes: Wishes, at: Stamp) -> Ev | None:
    """The car at an EVSE for the problem; None when there is none, or none that can be commanded."""
    session, place = evse.session, evse.place
    if session is None or key in inputs.booked_a:
        return None
    per_a = layout.voltage_v * len(evse.phases)
    most_a = most_current_a(evse, per_a)
    outlook = outlook_of(config, inputs, evse, layout.voltage_v, at)
    store, giving_w = _store(inputs, key, evse, wishes, layout.voltage_v)
    need_wh = min(outlook.need_wh, most_a * per_a * LONGEST_S / 3600.0)  # an absurd need would drown all others in the solver
    curve, capacity_wh, soc_wh = taper_of(evse, most_a * per_a, need_wh) if store is NO_STORE else ((), store.capacity_wh, store.soc_wh)
    return Ev(
        ev_id=str(key),
        node_id=f"station {key.station_id}" if inputs.station_wishes.get(key.station_id) else place.circuit,
        phases=evse.phases,
        arrival_wall_s=min(session.started_wall_s, at.wall_s),
        departure_wall_s=ready_by(outlook.departure_wall_s, at.wall_s),
        energy_need_wh=need_wh,
        min_power_w=place.min_a * per_a,
        max_power_w=most_a * per_a,
        efficiency=EFFICIENCY_ONE_WAY if capacity_wh > 0 else 1.0,
        priority=place.config.priority,
        max_slot_power_w=tuple(per_a * amps for amps in wishes.limits_a(evse.wish, most_a)) if evse.wish else (),
        max_discharge_w=store.max_discharge_w,
        capacity_wh=capacity_wh,
        soc_wh=soc_wh,
        reserve_wh=store.reserve_wh,
        wear_per_kwh=store.wear_per_kwh,
        present_power_w=max(0.0 if store is NO_STORE else -math.inf, evse.power_w or 0.0),
        minimum_wh=min(need_wh, outlook.minimum_wh),
        acceptance=curve,
        max_slot_discharge_w=giving_w,
    )


def most_current_a(evse: EvseState, watts_per_a: float) -> float:
    """The most a car may draw per phase [A]: its EVSE's, what it told, and all that an AC car of ISO 15118-20 tells, its power."""
    session, place = evse.session, evse.place
    car = session.announced if session is not None else None
    car_w = car.max_power_w if car is not None and car.max_power_w else math.inf
    told_a = session.car_max_a if session is not None else None
    return min(place.config.max_current_a, told_a or math.inf, max(place.min_a, car_w / watts_per_a))


def _store(inputs: PlanInputs, key: EvseKey, evse: EvseState, wishes: Wishes, voltage_v: float) -> tuple[Store, tuple[float, ...]]:
    """The car as a store, and what it may give back in each slot [W]; it gives nothing where the CSMS never lets it."""
    if key in inputs.plain:
        return NO_STORE, ()
    store = v2g.store_of(evse, inputs.features.get(key.station_id), None, voltage_v)
    if store is None:
        return NO_STORE, ()
    giving_w = wishes.discharge_w(evse, store.max_discharge_w, voltage_v)
    return (store, giving_w) if not giving_w or max(giving_w) > 0 else (NO_STORE, ())


# -- needs ------------------------------------------------------------------------------------------------


def ready_by(departure_wall_s: float, now_wall_s: float) -> float:
    """When the plan shall be done with a car that leaves at departure_wall_s [wall s]."""
    return departure_wall_s - min(READY_BEFORE_S, READY_PART * max(0.0, departure_wall_s - now_wall_s))


def outlook_of(config: Config, inputs: PlanInputs, evse: EvseState, voltage_v: float, at: Stamp) -> Outlook:
    """What is planned for a car: stated, announced, learnt or assumed, with the car's own minimum first."""
    need_wh, departure_wall_s = needs(config, evse, at)
    minimum_wh = car_minimum_wh(evse)
    learnt = inputs.learnt.outlook(evse, voltage_v, at)
    if learnt is not None:
        satisfied = seems_full(evse) and (session_silent(evse) or need_wh < MET_WH)  # it stopped by itself: nothing more is kept free
        need_wh = 0.0 if satisfied else learnt.need_wh
        departure_wall_s = max(learnt.departure_wall_s, min(departure_wall_s, at.wall_s + NOT_SOONER_S))  # what was said is no habit
        minimum_wh = max(minimum_wh, learnt.minimum_wh)
    return Outlook(need_wh, minimum_wh, departure_wall_s)


def session_silent(evse: EvseState) -> bool:
    """Whether nobody said what the session needs."""
    return evse.session is not None and evse.session.need_wh is None


def needs(config: Config, evse: EvseState, at: Stamp) -> tuple[float, float]:
    """What a session still needs [Wh] and when it leaves (wall): stated, announced or assumed."""
    session = evse.session
    assert session is not None
    assumed = config.forecast
    need_wh = session.need_wh
    if need_wh is None:
        rest_wh = 0.0 if seems_full(evse) else REST_PART * assumed.session_energy_wh
        need_wh = max(assumed.session_energy_wh - session.charged_wh, rest_wh)
    leaves = session.departure_wall_s
    if leaves is None:
        leaves = session.started_wall_s + assumed.session_stay_s
    return need_wh, leaves if leaves > at.wall_s else at.wall_s + SOON_S


def seems_full(evse: EvseState) -> bool:
    """Whether the car has charged and then stopped by itself."""
    session = evse.session
    return session is not None and session.charging_state is ChargingState.SUSPENDED_EV and session.charged_wh > 0


def car_minimum_wh(evse: EvseState) -> float:
    """Energy that brings a car to its own lowest state, at the charger [Wh]; it said how much when it announced itself (ISO 15118-20)."""
    session = evse.session
    car = session.announced if session is not None else None
    if session is None or car is None or car.min_wh is None:
        return 0.0
    return max(0.0, (car.min_wh + session.net_given_wh) / EFFICIENCY_ONE_WAY)


# -- how it tapers ------------------------------------------------------------------------------------------


def taper_of(evse: EvseState, most_w: float, need_wh: float) -> tuple[tuple[tuple[float, float], ...], float, float]:
    """(acceptance curve, capacity [Wh], stored [Wh]) of a car that tells its state; ((), 0, 0) where it does not, or shows otherwise."""
    capacity_wh, percent, from_percent = v2g.capacity_wh(evse), v2g.soc_percent(evse), evse.place.config.taper_from_percent
    nothing: tuple[tuple[tuple[float, float], ...], float, float] = ((), 0.0, 0.0)
    if not capacity_wh or percent is None or from_percent >= 100.0 or most_w <= 0.0:
        return nothing
    soc_wh = capacity_wh * percent / 100.0
    if need_wh * EFFICIENCY_ONE_WAY > capacity_wh - soc_wh + ENOUGH_WH:
        return nothing
    curve = ((0.0, most_w), (capacity_wh * from_percent / 100.0, most_w), (capacity_wh, LAST_PART * most_w))
    part = min(1.0, max(0.0, (percent - from_percent) / (100.0 - from_percent)))
    if (evse.power_w or 0.0) > DISPROVED * most_w * (1.0 - (1.0 - LAST_PART) * part):
        return nothing
    return curve if from_percent > 0 else curve[1:], capacity_wh, soc_wh
