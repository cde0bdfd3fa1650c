"""Planning: asks for a plan, judges what comes back, and says what it means for this second.

The picture becomes a ``Problem`` (24 h in quarter hours), a child process solves it, and the answer
is believed only after ``optimizer.check`` has verified it against the very problem it was made for.
No plan, a late plan, a wrong plan: the last good one is kept for a while, clamped by the arbiter
like every plan; after that ``optimizer.rules`` allocates. A plan is a ceiling, never a permission.
Serves F59, F60, F61. V2G: what may give back, and how much, is decided in ``v2g``; a plan that gives back
is a wish for the arbiter.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from controller.config import ROOT_CIRCUIT, Config
from controller.facts import ChargingState, EvseKey, FeaturesLearned, LimitStep, PhaseAmps, Stamp
from controller.orders import Order, Severity, SolvePlan, Tell
from controller.site.actuate import Channel
from controller.site.budget import CircuitLoad, Target
from controller.site.limits import Limit
from controller.site.state import EFFICIENCY_ONE_WAY, PHASES, EvseState, Layout, number_or_none
from controller.site.v2g import NO_STORE, store_of
from controller.snapshot import PlanView
from optimizer.check import check
from optimizer.forecast import base_load_a, make_slots, prices_per_slot, prorated_demand, pv_production_w
from optimizer.problem import Battery, Ev, Node, Plan, PlanStatus, Problem, Slot
from optimizer.rules import ProblemError, allocate

HORIZON_S, SLOT_S = 86_400.0, 900.0
EVENT_GAP_S = 5.0
"""Events ask for a new plan at most this often [s]."""
GRACE_S = 5.0
"""The solver's shell has this long after the solver's deadline to say that it failed [s]."""
NEXT_SLOT_S = 20.0
"""A new slot waits this long for its own plan [s]. What the last plan says about it is one of many equal answers, and was
put into practice for the few seconds until the next one: half of all on and off on the demo day."""
KEPT_PROBLEMS = 4
RULES_NAME = "shared by rules, no plan"
TOLERANCE_A = 0.05
"""Error of a planned current that is the solver's rounding [A]."""
REST_PART = 0.1
"""Part of the assumed session energy that is still planned when a silent car has passed it."""
MET_WH = 50.0
"""A need smaller than this is met: no meter counts finer [Wh]."""
SOON_S = 3600.0
"""A car that stayed beyond its departure is planned to leave after this [s]."""
READY_BEFORE_S, READY_PART = 1800.0, 0.15
"""A car is planned to be ready this long before it leaves, at most this part of its stay. Without it the last
quarter hours, in which cars taper and setpoints are rounded down, left 0.8 of 34 kWh missing on the demo day."""
START_PART, STAY_PART = 0.5, 0.4
"""A planned mean below the minimum current is rounded up from this part of it; lower while charging."""


@dataclass(frozen=True, slots=True)
class PlanInputs:
    """What a problem is made of. booked_a: EVSEs that cannot be commanded, with their current.

    pv_w: production now, >= 0, None if nobody measures it; battery_w: charging positive. plain: EVSEs that give nothing back now,
    whatever they announced: the station refused it in this session, or the site is not well.
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


class Planner:
    """Keeps the plan in force and the problems on their way."""

    def __init__(self, config: Config, layout: Layout) -> None:
        self._config, self._layout = config, layout
        self.plan: Plan | None = None
        self.problem: Problem | None = None
        self.failing = ""
        self.refused = 0
        self._solved_mono_s = -math.inf
        self._problems: dict[float, Problem] = {}
        self._asked = True
        self._sent_mono_s = -math.inf
        self._sent_quarter = 0
        self._waiting = False
        self._silent_since_mono_s = -math.inf

    def ask(self) -> None:
        """Something changed that a plan depends on."""
        self._asked = True

    def due(self, at: Stamp) -> bool:
        """Whether a new problem shall be made now."""
        passed_s = at.mono_s - self._sent_mono_s
        asked = self._asked or _quarter(at.wall_s) != self._sent_quarter
        return passed_s >= self._config.control.plan_every_s or (asked and passed_s >= EVENT_GAP_S)

    def order(self, inputs: PlanInputs, at: Stamp) -> list[Order]:
        """Hand the present problem to the solver. Without cars there is nothing to plan but the picture of the day."""
        problem = build_problem(self._config, self._layout, inputs, at)
        self._asked, self._sent_mono_s, self._sent_quarter = False, at.mono_s, _quarter(at.wall_s)
        if not self._waiting:
            self._waiting, self._silent_since_mono_s = True, at.mono_s
        self._problems.pop(problem.created_wall_s, None)
        self._problems[problem.created_wall_s] = problem
        while len(self._problems) > KEPT_PROBLEMS:
            del self._problems[next(iter(self._problems))]
        return [SolvePlan(problem)]

    def overdue(self, at: Stamp) -> bool:
        """Whether the solver has kept silent beyond its deadline (F60)."""
        return self._waiting and at.mono_s - self._silent_since_mono_s > self._config.control.solver_deadline_s + GRACE_S

    # -- what comes back -------------------------------------------------------------------------------

    def solved(self, plan: Plan, at: Stamp) -> list[Order]:
        """Judge a plan; only a verified one comes into force (F61)."""
        problem = self._problems.get(plan.created_wall_s)
        self._waiting = False
        if problem is None:
            return []
        violations = check(problem, plan, TOLERANCE_A)
        if violations:
            self.refused += 1
            worst = violations[0]
            return self.failed(f"the plan was wrong: {worst.name} at {worst.where} by {worst.amount:.3g}", at)
        self._take(plan, problem, at)
        self._forget_older(plan.created_wall_s)
        if not self.failing:
            return []
        self.failing = ""
        return [Tell(Severity.INFO, "plan", "plans are solved again")]

    def _forget_older(self, created_wall_s: float) -> None:
        """Plans for problems posed before this one come too late. By their order: the wall clock may jump back (F77)."""
        for older in list(self._problems):
            if older == created_wall_s:
                return
            del self._problems[older]

    def failed(self, reason: str, at: Stamp) -> list[Order]:
        """No usable plan came: keep the last good one for a while, then allocate by rules (F59, F60)."""
        self._waiting = False
        kept = self.usable(at) and self.plan is not None and self.plan.status is not PlanStatus.RULES
        if not kept:
            self._by_rules(at)
        first, self.failing = not self.failing, reason
        if not first:
            return []
        instead = "the last good plan is kept" if kept else "power is shared by rules"
        text = f"no new plan ({reason}) - {instead}, the fuse does not depend on it; report it if it lasts"
        return [Tell(Severity.WARNING, "plan", text)]

    def refresh(self, at: Stamp) -> None:
        """While the solver fails, rules take over as soon as the last good plan is too old."""
        if self.failing and not self.usable(at):
            self._by_rules(at)

    def _by_rules(self, at: Stamp) -> None:
        self.plan = None
        problem = next(reversed(self._problems.values()), None)
        if problem is None:
            return
        try:
            plan = allocate(problem)
        except ProblemError:
            return
        if not check(problem, plan, TOLERANCE_A):
            self._take(plan, problem, at)

    def _take(self, plan: Plan, problem: Problem, at: Stamp) -> None:
        self.plan, self.problem, self._solved_mono_s = plan, problem, at.mono_s

    def usable(self, at: Stamp) -> bool:
        """Whether the plan is young enough and covers this moment."""
        if self.plan is None or at.mono_s - self._solved_mono_s > self._config.control.plan_max_age_s:
            return False
        return self.plan.slot_at(at.wall_s) is not None

    # -- what it means now ---------------------------------------------------------------------------------

    def targets(self, evses: Mapping[EvseKey, EvseState], channels: Mapping[EvseKey, Channel], at: Stamp) -> dict[EvseKey, Target]:
        """The plan's ceilings now. Cars the plan does not know have none."""
        if not self.usable(at) or self.plan is None:
            return {}
        slot = self._slot_in_force(self.plan, at)
        if slot is None:
            return {}
        ends_wall_s = self.plan.slots[slot].start_wall_s + self.plan.slots[slot].duration_s
        found: dict[EvseKey, Target] = {}
        for key, evse in evses.items():
            watts = self.plan.ev_power_w.get(str(key))
            if evse.session is None or watts is None or evse.session.started_wall_s > self.plan.created_wall_s:
                continue
            least_a = max(evse.place.min_a, channels[key].session_min_a)
            found[key] = self._target(evse, watts[slot], channels[key].present_a(at.mono_s) > 0, ends_wall_s, least_a)
        return found

    def _slot_in_force(self, plan: Plan, at: Stamp) -> int | None:
        """The slot whose powers hold now: the one before for a moment while the plan for the new one is on its way."""
        slot = plan.slot_at(at.wall_s)
        if not slot or self.failing:
            return slot
        begun_s = at.mono_s - at.mono_at(plan.slots[slot].start_wall_s)
        return slot - 1 if begun_s < NEXT_SLOT_S else slot

    def _target(self, evse: EvseState, power_w: float, charging: bool, ends_wall_s: float, min_a: float) -> Target:
        amps = power_w / (self._layout.voltage_v * len(evse.phases))
        step_a = evse.place.model.step_a
        if power_w < 0:
            return Target(0.0, "plan: gives back", -power_w, ends_wall_s)
        if amps < min_a:
            if amps > 0 and amps >= min_a * (STAY_PART if charging else START_PART):
                return Target(min_a, self._name, 0.0, ends_wall_s, power_w)
            need_wh = evse.session.need_wh if evse.session is not None else None
            met = need_wh is not None and need_wh < MET_WH
            return Target(0.0, "plan: need reached" if met else "plan: charges later", 0.0, ends_wall_s, None if met else power_w)
        return Target(math.ceil(amps / step_a - 1e-3) * step_a, self._name, 0.0, ends_wall_s, power_w)

    @property
    def _name(self) -> str:
        """What a person is told who set it: without a solver nobody planned."""
        return RULES_NAME if self.plan is not None and self.plan.status is PlanStatus.RULES else "plan"

    def view(self) -> PlanView | None:
        """The plan for the page."""
        plan, problem = self.plan, self.problem
        if plan is None or problem is None:
            return None
        count = len(plan.slots)
        nothing = (0.0,) * count
        watts = {name: tuple(series) for name, series in plan.ev_power_w.items()}
        return PlanView(
            created_wall_s=plan.created_wall_s,
            status=plan.status.value,
            solver=plan.solver,
            solve_s=plan.solve_s,
            cost=plan.cost,
            peak_w=plan.peak_w,
            start_wall_s=tuple(slot.start_wall_s for slot in plan.slots),
            duration_s=tuple(slot.duration_s for slot in plan.slots),
            grid_power_w=plan.grid_power_w,
            ev_power_w=tuple(sum(series[slot] for series in watts.values()) for slot in range(count)),
            evse_power_w=watts,
            base_load_w=_base_w(problem),
            pv_w=problem.pv_w,
            battery_power_w=plan.battery_power_w or nothing,
            buy_per_kwh=problem.buy_per_kwh,
            shortfall_wh=dict(plan.shortfall_wh),
        )


def _quarter(wall_s: float) -> int:
    return int(wall_s // SLOT_S)


def _base_w(problem: Problem) -> tuple[float, ...]:
    total = [0.0] * len(problem.slots)
    for node in problem.nodes:
        for slot, amps in enumerate(node.other_load_a):
            total[slot] += sum(amps) * problem.voltage_v
    return tuple(total)


# -- the picture as a problem ----------------------------------------------------------------------------


def build_problem(config: Config, layout: Layout, inputs: PlanInputs, at: Stamp) -> Problem:
    """The planning problem of this moment. Wall times; powers as total over the phases [W]."""
    slots = make_slots(at.wall_s, HORIZON_S, SLOT_S)
    tariff, zone, grid = config.tariff, config.site.timezone, config.grid
    return Problem(
        created_wall_s=at.wall_s,
        slots=slots,
        voltage_v=layout.voltage_v,
        nodes=tuple(_nodes(config, layout, inputs, slots, at)),
        evs=tuple(_evs(config, layout, inputs, slots, at)),
        buy_per_kwh=prices_per_slot(slots, [(window.start, window.price_per_kwh) for window in tariff.buy], zone),
        sell_per_kwh=(tariff.sell_per_kwh,) * len(slots),
        pv_w=pv_production_w(slots, config.forecast.pv_w, zone, inputs.pv_w),
        import_limit_w=(grid.max_import_w,) * len(slots) if grid.max_import_w is not None else (),
        export_limit_w=(grid.max_export_w,) * len(slots) if grid.max_export_w is not None else (),
        demand_per_kw=prorated_demand(tariff.demand_per_kw, tariff.demand_window_days, HORIZON_S),
        peak_so_far_w=inputs.peak_w,
        battery=_battery(config, inputs.soc_percent),
        currency=tariff.currency,
    )


def _battery(config: Config, soc_percent: float | None) -> Battery | None:
    """The stationary battery, if its state of charge is known."""
    store = config.battery
    if store is None or soc_percent is None:
        return None
    whole_wh = store.capacity_wh
    return Battery(
        capacity_wh=whole_wh,
        soc_wh=whole_wh * min(100.0, max(0.0, soc_percent)) / 100.0,
        min_soc_wh=whole_wh * store.min_soc_percent / 100.0,
        max_charge_w=store.max_charge_w,
        max_discharge_w=store.max_discharge_w,
        efficiency_one_way=math.sqrt(store.efficiency_percent / 100.0),
        wear_per_kwh=store.wear_per_kwh,
    )


def _nodes(config: Config, layout: Layout, inputs: PlanInputs, slots: tuple[Slot, ...], at: Stamp) -> Iterable[Node]:
    margin_a = config.grid.margin_a
    for name, circuit in layout.circuits.items():
        most_a = max(0.0, circuit.fuse_a - margin_a)
        lower = _slot_limits([limit for limit in inputs.limits if limit.circuit == name], slots, at)
        other = _other_load(config, layout, inputs, name, slots)
        yield Node(name, circuit.parent, (most_a, most_a, most_a), lower, other)
    for station_id, steps in inputs.station_wishes.items():
        keys = layout.by_station.get(station_id, ())
        if steps and keys:
            fuse_a = layout.circuits[ROOT_CIRCUIT].fuse_a
            limits = tuple(_step_limit(steps, slot, fuse_a) for slot in slots)
            yield Node(_station_node(station_id), layout.places[keys[0]].circuit, (fuse_a, fuse_a, fuse_a), limits)


def _station_node(station_id: str) -> str:
    return f"station {station_id}"


def _slot_limits(limits: Sequence[Limit], slots: Sequence[Slot], at: Stamp) -> tuple[float, ...]:
    """The lowest limit of each slot [A]; slots after its end are free of it. Empty when there is none."""
    if not limits:
        return ()
    ends = [(limit.limit_a, math.inf if limit.ends_mono_s is None else at.wall_in(limit.ends_mono_s - at.mono_s)) for limit in limits]
    free = 10.0 * max(1.0, *(amps for amps, _ in ends))
    return tuple(min((amps for amps, end_s in ends if end_s > slot.start_wall_s), default=free) for slot in slots)


def _step_limit(steps: Sequence[LimitStep], slot: Slot, free_a: float) -> float:
    """The lowest limit of a schedule within a slot [A]."""
    end_s = slot.start_wall_s + slot.duration_s
    lowest, running = free_a, free_a
    for step in steps:
        if step.start_wall_s >= end_s:
            break
        running = free_a if step.limit_a is None else step.limit_a
        if step.start_wall_s > slot.start_wall_s:
            lowest = min(lowest, running)
        else:
            lowest = running
    return min(lowest, free_a)


def _other_load(config: Config, layout: Layout, inputs: PlanInputs, name: str, slots: tuple[Slot, ...]) -> tuple[PhaseAmps, ...]:
    """Load of this node alone per slot and phase [A], with the EVSEs that cannot be commanded."""
    children = [child for child in layout.circuits.values() if child.parent == name]
    own = [inputs.loads[name].other_a[phase] - sum(inputs.loads[child.id].other_a[phase] for child in children) for phase in PHASES]
    series: tuple[PhaseAmps, ...]
    metered = layout.circuits[name].meter is not None and not inputs.loads[name].lost
    if name == ROOT_CIRCUIT and metered:
        # The meter sees building, PV and battery together; the plan forecasts each on its own.
        apart_w = (inputs.pv_w or 0.0) - (inputs.battery_w or 0.0)
        building = [max(0.0, amps + apart_w / (layout.phase_count * layout.voltage_v)) for amps in own]
        present = (building[0], building[1], building[2])
        series = base_load_a(slots, config.forecast.base_load_w, config.site.timezone, present, layout.voltage_v)
    else:
        series = ((max(0.0, own[0]), max(0.0, own[1]), max(0.0, own[2])),) * len(slots)
    booked = [0.0, 0.0, 0.0]
    for key, amps in inputs.booked_a.items():
        if layout.places[key].circuit == name:
            for phase in inputs.evses[key].phases:
                booked[phase] += amps
    if not any(booked):
        return series
    return tuple((a + booked[0], b + booked[1], c + booked[2]) for a, b, c in series)


def _evs(config: Config, layout: Layout, inputs: PlanInputs, slots: tuple[Slot, ...], at: Stamp) -> Iterable[Ev]:
    for key, evse in inputs.evses.items():
        if evse.session is None or key in inputs.booked_a:
            continue
        place, per_a = evse.place, layout.voltage_v * len(evse.phases)
        car = evse.session.announced
        car_w = car.max_power_w if car is not None and car.max_power_w else math.inf  # all that an AC car of ISO 15118-20 tells
        most_a = min(place.config.max_current_a, evse.session.car_max_a or math.inf, max(place.min_a, car_w / per_a))
        wished = tuple(per_a * _step_limit(evse.wish, slot, most_a) for slot in slots) if evse.wish else ()
        need_wh, departure_wall_s = needs(config, evse, at)
        store = NO_STORE
        if key not in inputs.plain:
            store = store_of(evse, inputs.features.get(key.station_id), at.wall_s, layout.voltage_v) or NO_STORE
        yield Ev(
            ev_id=str(key),
            node_id=_station_node(key.station_id) if inputs.station_wishes.get(key.station_id) else place.circuit,
            phases=evse.phases,
            arrival_wall_s=min(evse.session.started_wall_s, at.wall_s),
            departure_wall_s=ready_by(departure_wall_s, at.wall_s),
            energy_need_wh=min(need_wh, most_a * per_a * HORIZON_S / 3600.0),  # an absurd need would drown all others in the solver
            min_power_w=place.min_a * per_a,
            max_power_w=most_a * per_a,
            priority=place.config.priority,
            max_slot_power_w=wished,
            efficiency=EFFICIENCY_ONE_WAY if store is not NO_STORE else 1.0,
            max_discharge_w=store.max_discharge_w,
            capacity_wh=store.capacity_wh,
            soc_wh=store.soc_wh,
            reserve_wh=store.reserve_wh,
            wear_per_kwh=store.wear_per_kwh,
            present_power_w=max(0.0 if store is NO_STORE else -math.inf, evse.power_w or 0.0),
        )


def ready_by(departure_wall_s: float, now_wall_s: float) -> float:
    """When the plan shall be done with a car that leaves at departure_wall_s [wall s]."""
    return departure_wall_s - min(READY_BEFORE_S, READY_PART * max(0.0, departure_wall_s - now_wall_s))


def needs(config: Config, evse: EvseState, at: Stamp) -> tuple[float, float]:
    """What a session still needs [Wh] and when it leaves (wall): stated, announced or assumed."""
    session = evse.session
    assert session is not None
    assumed = config.forecast
    need_wh = session.need_wh
    if need_wh is None:
        full = session.charging_state is ChargingState.SUSPENDED_EV and session.charged_wh > 0
        rest_wh = 0.0 if full else REST_PART * assumed.session_energy_wh
        need_wh = max(assumed.session_energy_wh - session.charged_wh, rest_wh)
    leaves = session.departure_wall_s
    if leaves is None:
        leaves = session.started_wall_s + assumed.session_stay_s
    return need_wh, leaves if leaves > at.wall_s else at.wall_s + SOON_S


# -- the peak already paid for ---------------------------------------------------------------------------


class PeakMeter:
    """Highest quarter-hour mean import of the billing period [W], for the demand charge."""

    def __init__(self, window_s: float) -> None:
        self._window_s = window_s
        self.peak_w = 0.0
        self.since_wall_s: float | None = None
        self._quarter: int | None = None
        self._energy_ws = 0.0
        self._last_wall_s = 0.0

    def recall(self, memory: Mapping[str, Any], wall_s: float) -> None:
        """Take back what the journal kept; rubbish counts as no peak (F75)."""
        peak_w, since_wall_s = number_or_none(memory.get("peak_w")), number_or_none(memory.get("since_wall_s"))
        if peak_w is not None and peak_w >= 0.0:
            self.peak_w, self.since_wall_s = peak_w, since_wall_s if since_wall_s is not None else wall_s

    def add(self, power_w: float | None, wall_s: float) -> bool:
        """Let time pass with this import; True when a higher peak was set."""
        if self.since_wall_s is None or wall_s - self.since_wall_s > self._window_s:
            self.since_wall_s, self.peak_w = wall_s, 0.0
        quarter = int(wall_s // SLOT_S)
        if quarter != self._quarter:
            mean_w = self._energy_ws / SLOT_S
            known = self._quarter is not None and quarter == self._quarter + 1
            self._quarter, self._energy_ws, self._last_wall_s = quarter, 0.0, wall_s
            if known and mean_w > self.peak_w:
                self.peak_w = mean_w
                return True
            return False
        passed_s, self._last_wall_s = max(0.0, wall_s - self._last_wall_s), wall_s
        self._energy_ws += max(0.0, power_w or 0.0) * passed_s
        return False
