"""Who decides in the quick backtest: the rules of thumb, and the planner (forecast, optimiser, amps) as it runs in the box."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from controller.sim.backtest.bound import pose
from controller.sim.backtest.outcome import CURVE_STEP_S
from controller.sim.backtest.quick import ENOUGH_WH, STEP_S, Car, Guest, Moment, World, path_of
from optimizer.amps import Steps, to_amps
from optimizer.expect import Habits
from optimizer.grid import make_grid
from optimizer.live import Live
from optimizer.past import PastSession, Stay
from optimizer.peaks import rehearsals, worthwhile_peak_w
from optimizer.problem import Ev, Plan, Problem, Slot
from optimizer.waiting import Waiting, at_one_price

HORIZON_S = 86_400.0
DEADLINE_S = 60.0
READY_S = 600.0
"""A car is planned to be ready this long before it leaves, where it has the time: within the last minutes nothing can be mended."""
HOUR_S = 3600.0

Order = Callable[[Guest, float], tuple[float, ...]]

ORDERS: Mapping[str, Order] = {
    "first come": lambda guest, now_s: (guest.car.arrival_wall_s,),
    "earliest deadline": lambda guest, now_s: (guest.car.departure_wall_s,),
    "least laxity": lambda guest, now_s: (guest.car.departure_wall_s - now_s - guest.left_wh / guest.car.max_power_w * HOUR_S,),
    "round robin": lambda guest, now_s: (guest.got_wh,),
}
"""Rules that serve one car after the other; round robin: whoever got least so far is next."""


@dataclass(frozen=True, slots=True)
class Uncontrolled:
    """Everybody at full power; breaks limits."""

    name: str = "uncontrolled"

    def powers(self, moment: Moment) -> Mapping[str, float]:
        """One step."""
        return {name: guest.car.max_power_w for name, guest in moment.present.items()}


@dataclass(frozen=True, slots=True)
class Rule:
    """One of ``ORDERS``, as much as fits for each in turn, real stays and wishes known."""

    name: str

    def powers(self, moment: Moment) -> Mapping[str, float]:
        """One step."""
        world, order = moment.world, ORDERS[self.name]
        free_a = {(node.node_id, phase): node.limit_a[phase] for node in world.nodes for phase in (0, 1, 2)}
        for phase in (0, 1, 2):
            free_a[world.nodes[0].node_id, phase] -= beside_a(moment)
        given = {}
        for guest in sorted(moment.present.values(), key=lambda one: (order(one, moment.now_wall_s), one.car.id)):
            wires = [(node_id, phase) for node_id in path_of(world, guest.car.node_id) for phase in guest.car.phases]
            volts = world.voltage_v * len(guest.car.phases)
            wish_a = min(guest.car.max_power_w, guest.left_wh * HOUR_S / STEP_S) / volts
            amps = max(0.0, min([wish_a, *(free_a[wire] for wire in wires)]))
            for wire in wires:
                free_a[wire] -= amps
            given[guest.car.id] = amps * volts
        return given


@dataclass(slots=True)
class Planner:
    """Forecast, optimiser and (rounded) amps as in the box.

    past: sessions before the world, for the forecast; those of the world join as they end. arrivals: whether cars to come are
    expected. stated: plan with what drivers say, corrected by habits, instead of the true wish and departure. rounded: to 0 or >= 6 whole
    amps. replan_s: at least this often, and whenever a car comes or goes. weather: how far building and sun are known when the peak is
    rehearsed, "period" or "day" (then every later day is taken as today).
    hurry: energy as early as possible, whatever it costs. waiting: whether putting off has a price. solve: instead of a solver of its own.
    """

    past: Sequence[PastSession] = ()
    name: str = "yardmaster"
    arrivals: bool = True
    rehearse: bool = True
    stated: bool = False
    rounded: bool = False
    replan_s: float = 900.0
    weather: str = "period"
    shortfall_per_kwh: float | None = None
    hurry: bool = False
    waiting: bool = True
    solve: Callable[[Problem], Plan] | None = None
    habits_of: Callable[[Sequence[PastSession], float, str], Habits] = Habits.learn
    solved: int = 0
    _live: Live = field(default_factory=lambda: Live("highs", verify=False))
    _finished: list[PastSession] = field(default_factory=list)
    _seen: dict[str, Guest] = field(default_factory=dict)
    _day: str = ""
    _habits: Habits | None = None
    _paid_w: float = 0.0
    _key: object = None
    _plan: Plan | None = None
    _problem: Problem | None = None
    _owed: dict[str, float] = field(default_factory=dict)
    _waiting: Waiting = field(default_factory=Waiting)

    def powers(self, moment: Moment) -> Mapping[str, float]:
        """One step."""
        self._notice(moment)
        full = frozenset(name for name, guest in moment.present.items() if guest.left_wh <= ENOUGH_WH)
        key = (frozenset(moment.present), moment.now_wall_s // self.replan_s, full)
        if key != self._key:
            self._key = key
            self._replan(moment)
        return self._now(moment)

    # -- memory ------------------------------------------------------------------------------------

    def _notice(self, moment: Moment) -> None:
        """Cars that have gone become past; a new day is learnt for."""
        for name in [name for name in self._seen if name not in moment.present]:
            self._finished.append(past_of(self._seen.pop(name)))
        self._seen.update(moment.present)
        day = datetime.fromtimestamp(moment.now_wall_s, UTC).astimezone(ZoneInfo(moment.world.timezone)).date().isoformat()
        if day != self._day:
            self._day = day
            past = [*self.past, *self._finished]
            self._habits = self.habits_of(past, moment.now_wall_s, moment.world.timezone)
            self._paid_w = self._rehearsed_w(moment, past) if self.rehearse and not self.hurry else 0.0

    def _rehearsed_w(self, moment: Moment, past: Sequence[PastSession]) -> float:
        rest = rest_of(moment, self.weather)
        peaks = [self._solved(problem).peak_w for problem in rehearsals(past, rest, moment.world.timezone)]
        return worthwhile_peak_w(peaks, moment.peak_w)

    def _solved(self, problem: Problem) -> Plan:
        self.solved += 1
        return self.solve(problem) if self.solve is not None else self._live.solve(problem, DEADLINE_S)

    # -- the plan ----------------------------------------------------------------------------------

    def _replan(self, moment: Moment) -> None:
        evs = [ev for guest in moment.present.values() if (ev := self._ev(guest, moment.now_wall_s)) is not None]
        self._problem = self._plan = None
        if not evs:
            return
        world, now_s = moment.world, moment.now_wall_s
        edges = price_changes(world, now_s)
        slots = make_grid(now_s, HORIZON_S, edges, world.timezone)
        end_s = slots[-1].start_wall_s + slots[-1].duration_s
        coming = self._coming(moment, slots) if self.arrivals else ()
        evs = [within(ev, end_s) for ev in (*evs, *coming)]
        last_s = max(ev.departure_wall_s for ev in evs)
        slots = tuple(slot for slot in slots if slot.start_wall_s < last_s)
        peak_w = max(moment.peak_w, self._paid_w)
        problem = pose(world, slots, evs, peak_w, moment.window_import_wh, self.shortfall_per_kwh)
        problem = at_one_price(problem) if self.hurry else problem
        self._problem = self._waiting.priced(problem, self._leaving(moment), self.hurry) if self.waiting else problem
        self._plan = self._solved(self._problem)

    def _leaving(self, moment: Moment) -> dict[str, tuple[float, ...]]:
        """When cars may leave, where only their drivers' word is known."""
        if not self.stated or self._habits is None:
            return {}
        return {name: self._habits.leaving(stay_of(guest), moment.now_wall_s) for name, guest in moment.present.items()}

    def _coming(self, moment: Moment, slots: Sequence[Slot]) -> tuple[Ev, ...]:
        if self._habits is None:
            return ()
        stays = [stay_of(guest) for guest in moment.present.values()]
        parents = {node.node_id: node.parent for node in moment.world.nodes}
        buy = moment.world.over(moment.world.buy_per_kwh, slots).tolist()
        return self._habits.coming(slots, stays, moment.now_wall_s, buy, parents, moment.world.demand_per_kw)

    def _ev(self, guest: Guest, now_s: float) -> Ev | None:
        """What is planned for a car; None for one that is full and can give nothing."""
        car = guest.car
        if guest.left_wh <= ENOUGH_WH and car.max_discharge_w <= 0.0:
            return None
        need_wh, minimum_wh, ready_s = guest.left_wh, 0.0, ready_by(guest, now_s)
        if self.stated and self._habits is not None:
            outlook = self._habits.outlook(stay_of(guest), now_s)
            need_wh, minimum_wh = outlook.need_wh, outlook.minimum_wh
            ready_s = max(outlook.departure_wall_s, now_s + STEP_S)
        return Ev(
            ev_id=car.id,
            node_id=car.node_id,
            phases=car.phases,
            arrival_wall_s=car.arrival_wall_s,
            departure_wall_s=ready_s,
            energy_need_wh=need_wh,
            min_power_w=car.min_power_w,
            max_power_w=car.max_power_w,
            efficiency=car.efficiency,
            max_discharge_w=car.max_discharge_w,
            capacity_wh=car.capacity_wh,
            soc_wh=min(guest.soc_wh, car.capacity_wh) if car.capacity_wh else 0.0,
            reserve_wh=car.reserve_wh,
            wear_per_kwh=car.wear_per_kwh,
            present_power_w=guest.power_w,
            minimum_wh=minimum_wh,
        )

    # -- this step ---------------------------------------------------------------------------------

    def _now(self, moment: Moment) -> Mapping[str, float]:
        if self._plan is None or self._problem is None:
            return {}
        starts = [slot.start_wall_s for slot in self._plan.slots]
        slot = max(0, bisect_right(starts, moment.now_wall_s + 1e-6) - 1)
        if not self.rounded:
            return {name: self._plan.ev_power_w[name][slot] for name in moment.present if name in self._plan.ev_power_w}
        return self._rounded(moment, slot)

    def _rounded(self, moment: Moment, slot: int) -> Mapping[str, float]:
        problem, plan, volts = self._problem, self._plan, moment.world.voltage_v
        if problem is None or plan is None:
            return {}
        cars = {name: guest.car for name, guest in moment.present.items() if name in plan.ev_power_w}
        steps = {name: Steps(6.0, math.floor(car.max_power_w / volts / len(car.phases) + 1e-6)) for name, car in cars.items()}
        charging = [name for name in cars if moment.present[name].power_w != 0.0]
        rounded = to_amps(problem, plan, steps, self._owed, charging, slot, STEP_S)
        self._owed = dict(rounded.owed_wh)
        return {name: amps * volts * len(cars[name].phases) for name, amps in rounded.setpoint_a.items() if name in cars}


# -- helpers -------------------------------------------------------------------------------------------


def ready_by(guest: Guest, now_s: float) -> float:
    """When a car whose departure is known shall be ready: a little earlier, where it has the time."""
    must_s = now_s + guest.left_wh / guest.car.max_power_w * HOUR_S
    return min(guest.car.departure_wall_s, max(guest.car.departure_wall_s - READY_S, must_s + READY_S))


def within(ev: Ev, end_s: float) -> Ev:
    """A car that stays beyond the horizon needs by its end only what cannot follow later."""
    later_wh = ev.max_power_w * max(0.0, ev.departure_wall_s - end_s) / HOUR_S
    return replace(ev, energy_need_wh=max(0.0, ev.energy_need_wh - later_wh), minimum_wh=max(0.0, ev.minimum_wh - later_wh)) if later_wh else ev


def stay_of(guest: Guest) -> Stay:
    """A present car as the forecast sees it."""
    car = guest.car
    return Stay(car.evse, car.arrival_wall_s, guest.got_wh, car.max_power_w, car.stated_wh, car.stated_departure_wall_s, car.user)


def past_of(guest: Guest) -> PastSession:
    """A car that has gone, as the box remembers it: what it got, not what it had wanted."""
    car = guest.car
    return PastSession(
        evse=car.evse,
        node_id=car.node_id,
        phases=car.phases,
        arrival_wall_s=car.arrival_wall_s,
        departure_wall_s=car.departure_wall_s,
        energy_wh=guest.got_wh,
        max_power_w=car.max_power_w,
        stated_wh=car.stated_wh,
        stated_departure_wall_s=car.stated_departure_wall_s,
        user=car.user,
    )


def price_changes(world: World, now_s: float) -> list[float]:
    """Moments of the next day at which the price changes [wall s]."""
    first = max(0, math.floor((now_s - world.start_wall_s) / CURVE_STEP_S))
    prices = world.buy_per_kwh[first : first + round(HORIZON_S / CURVE_STEP_S) + 4]
    return [world.start_wall_s + (first + at + 1) * CURVE_STEP_S for at in range(len(prices) - 1) if prices[at] != prices[at + 1]]


def beside_a(moment: Moment) -> float:
    """What flows through the grid connection beside the cars, per phase [A]."""
    world = moment.world
    quarter = math.floor((moment.now_wall_s - world.start_wall_s) / CURVE_STEP_S)
    return float(world.base_w[quarter] - world.pv_w[quarter]) / (3.0 * world.voltage_v)


def rest_of(moment: Moment, weather: str) -> Problem:
    """The rest of the billing period from now, in quarter hours, without cars."""
    world, now_s = moment.world, moment.now_wall_s
    first = round((now_s - world.start_wall_s) / CURVE_STEP_S)
    known = world if weather == "period" else _as_today(world, first)
    slots = tuple(Slot(world.start_wall_s + at * CURVE_STEP_S, CURVE_STEP_S) for at in range(first, world.quarters))
    return pose(known, slots, (), moment.peak_w)


def _as_today(world: World, first: int) -> World:
    """Building and sun of every later day as in the next 24 hours."""
    day = round(86_400.0 / CURVE_STEP_S)
    base, sun = world.base_w.copy(), world.pv_w.copy()
    for at in range(first + day, world.quarters):
        base[at], sun[at] = base[at - day], sun[at - day]
    return replace(world, base_w=base, pv_w=sun)


__all__ = ["Car", "Planner", "Rule", "Uncontrolled"]
