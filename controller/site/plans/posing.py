"""The picture of this moment as a planning problem: tree, cars, building, sun, battery, prices and limits over the next day.

The grid of time has edges where something changes (``posing_edges``). A car is planned to be ready a little before it leaves; a silent one
has what was assumed or learnt (``cars``). Building and sun come from what is measured now, then from what is usual at that hour
(``posing_load``). Decides nothing: what a plan means is in ``planning``.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from controller.config import ROOT_CIRCUIT, Config
from controller.facts import Stamp
from controller.site.grid.announced import with_announced, with_generation, with_total
from controller.site.grid.limits import Limit
from controller.site.layout import PHASES, Layout
from controller.site.plans.cars import Wishes, car_of
from controller.site.plans.plan_inputs import PlanInputs
from controller.site.plans.posing_edges import HORIZON_S, edges
from controller.site.plans.posing_faces import bounded_giving, limited_sums, with_setpoint
from controller.site.plans.posing_load import other_load_a, worse_day_a
from controller.site.plans.sunshine import sun_again_w, sun_w
from controller.site.plans.tariffs import Books, books_of
from optimizer.forecast import QUARTER_S, profile_w, prorated_demand
from optimizer.grid import make_grid
from optimizer.problem import Battery, Ev, Node, Problem, Slot
from optimizer.waiting import Waiting, at_one_price

DAY_S = 86_400.0
WEEK_S = 7 * DAY_S
PEAK_SPARE = 0.005
"""Plans stay below the peak that is paid for by this part of it: stations and buildings do not follow to the watt, and a peak that is
overshot by a little becomes the one that counts. On a week of a garage it crept up by 2.7 of 211 kW in hundreds of small steps."""


def build_problem(config: Config, layout: Layout, inputs: PlanInputs, at: Stamp, waiting: Waiting | None = None) -> Problem:
    """The planning problem of this moment. Wall times; powers as total over the phases [W]. waiting: None = putting off costs nothing."""
    books = _books(config, inputs)
    slots = make_grid(at.wall_s, HORIZON_S, edges(inputs, books, at), config.site.timezone)
    wishes = Wishes(slots)
    evs = [car for key, evse in inputs.evses.items() if (car := car_of(config, layout, inputs, key, evse, wishes, at)) is not None]
    hurry = config.control.energy_first
    coming = () if hurry else _expected(layout, inputs, slots, books.buy.per_slot(slots), config.tariff.demand_per_kw, at)
    problem = _posed(config, layout, inputs, slots, (*evs, *coming), at)
    problem = _sunny(config, inputs, problem, sun_w(config, inputs.foreseen, inputs.sun, inputs.sun_w, slots))
    problem = replace(problem, demand_per_kw=_demand_per_kw(config, inputs))
    problem = with_setpoint(problem, inputs.faces, _booked_w(layout, inputs), layout.phase_count) if inputs.faces else problem
    problem = at_one_price(problem) if hurry else problem
    return waiting.priced(problem, _leaving_s(layout, inputs, at), hurry) if waiting is not None else problem


def _leaving_s(layout: Layout, inputs: PlanInputs, at: Stamp) -> dict[str, tuple[float, ...]]:
    """When each car that is here may leave, as habits have it [wall s]."""
    return {str(key): inputs.learnt.leaving_s(evse, layout.voltage_v, at) for key, evse in inputs.evses.items() if evse.session is not None}


@dataclass(frozen=True, slots=True)
class Rest:
    """What is left of a billing period, whole quarter hours, at most a week [wall s]. part: of all that is left of it (0..1)."""

    begin_wall_s: float
    end_wall_s: float
    part: float

    @property
    def empty(self) -> bool:
        """Whether nothing is left."""
        return self.end_wall_s <= self.begin_wall_s


def rest_of(period_end_wall_s: float, at: Stamp) -> Rest:
    """The rest of a billing period, from the next quarter hour on."""
    begin_s, end_s = math.ceil(at.wall_s / QUARTER_S) * QUARTER_S, math.floor(period_end_wall_s / QUARTER_S) * QUARTER_S
    until_s = min(end_s, begin_s + WEEK_S)
    return Rest(begin_s, until_s, (until_s - begin_s) / (end_s - begin_s) if end_s > begin_s else 1.0)


def build_rest(config: Config, layout: Layout, inputs: PlanInputs, rest: Rest, weeks: int, at: Stamp) -> Problem:
    """The rest of the billing period with the cars that are here, building and sun as so many weeks (> 0) ago.

    The demand charge is this stretch's part of what is left of the period.
    """
    count = round((rest.end_wall_s - rest.begin_wall_s) / QUARTER_S)
    slots = tuple(Slot(rest.begin_wall_s + number * QUARTER_S, QUARTER_S) for number in range(count))
    wishes = Wishes(slots)
    evs = tuple(car for key, evse in inputs.evses.items() if (car := car_of(config, layout, inputs, key, evse, wishes, at)) is not None)
    problem = _posed(config, layout, inputs, slots, evs, at, weeks)
    problem = _sunny(config, inputs, problem, sun_again_w(config, inputs.foreseen, inputs.sun, slots, weeks))
    return replace(problem, demand_per_kw=config.tariff.demand_per_kw * rest.part, window_import_wh=0.0)


def _posed(config: Config, layout: Layout, inputs: PlanInputs, slots: tuple[Slot, ...], evs: tuple[Ev, ...], at: Stamp, weeks: int = 0) -> Problem:
    """A problem over these slots, without sun and demand charge yet. weeks: the building as so many weeks ago, 0 = as expected."""
    tariff, grid, books, count = config.tariff, config.grid, _books(config, inputs), len(slots)
    co2_kg = _co2(config, inputs, slots)
    problem = Problem(
        created_wall_s=at.wall_s,
        slots=slots,
        voltage_v=layout.voltage_v,
        nodes=tuple(_nodes(config, layout, inputs, slots, Wishes(slots), at, weeks)),
        evs=evs,
        buy_per_kwh=books.buy.per_slot(slots),
        sell_per_kwh=books.sell.per_slot(slots),
        pv_w=(),
        import_limit_w=(grid.max_import_w,) * count if grid.max_import_w is not None else (),
        export_limit_w=(grid.max_export_w,) * count if grid.max_export_w is not None else (),
        peak_so_far_w=inputs.peak_w if weeks else (1.0 - PEAK_SPARE) * max(inputs.peak_w, inputs.worthwhile_w or 0.0),
        battery=_battery(config, inputs),
        pv_fixed=inputs.sun_fixed,
        shortfall_per_kwh=tariff.missing_per_kwh,
        currency=tariff.currency,
        demand_window_s=tariff.demand_minutes * 60.0,
        window_import_wh=inputs.window_import_wh,
        co2_kg_per_kwh=co2_kg,
        co2_per_kg=tariff.co2_per_kg if co2_kg else 0.0,
    )
    for name in dict.fromkeys(limit.circuit for limit in inputs.limits if limit.total_a is not None):
        totals = [limit for limit in inputs.limits if limit.circuit == name and limit.total_a is not None]
        per_a = layout.voltage_v * layout.phase_count
        problem = with_total(problem, name, [per_a * amps for amps in _slot_limits(totals, slots, at, math.inf)])
    problem = with_announced(problem, inputs.ahead, layout.phase_count)
    if not inputs.faces and not inputs.give_bounds:
        return problem
    commanded = config.battery is not None and config.battery.command is not None
    problem = limited_sums(problem, inputs.faces, layout, Wishes(slots), inputs.booked_a, commanded)
    return bounded_giving(problem, inputs.faces, inputs.give_bounds, layout.phase_count)


def _sunny(config: Config, inputs: PlanInputs, problem: Problem, pv_w: tuple[float, ...]) -> Problem:
    """The problem with so much sun, as far as generation is not bounded."""
    return with_generation(replace(problem, pv_w=pv_w), inputs.ahead, sum(one.max_power_w for one in config.inverters))


def _booked_w(layout: Layout, inputs: PlanInputs) -> float:
    """Power of the EVSEs that cannot be commanded [W]."""
    return sum(amps * len(inputs.evses[key].phases) for key, amps in inputs.booked_a.items()) * layout.voltage_v


def _books(config: Config, inputs: PlanInputs) -> Books:
    return inputs.books or books_of(config.tariff, config.site.timezone)


def _demand_per_kw(config: Config, inputs: PlanInputs) -> float:
    """What a kW above the peak costs in a plan [currency/kW].

    All of it where it is known which peak is worth paying for. Else a day's part of it: planning each day with the full price would
    treat every day as the one that makes the peak.
    """
    tariff = config.tariff
    if inputs.worthwhile_w is not None:
        return tariff.demand_per_kw
    left_s = tariff.demand_window_days * DAY_S if inputs.period_left_s is None else inputs.period_left_s
    return prorated_demand(tariff.demand_per_kw, max(1.0, left_s / DAY_S), HORIZON_S)


def _battery(config: Config, inputs: PlanInputs) -> Battery | None:
    """The stationary battery, if its state of charge is known. One that should do what we want and does not is no part of a plan."""
    store, soc_percent, can = config.battery, inputs.soc_percent, inputs.battery_can
    if store is None or soc_percent is None or (can is None and store.command is not None):
        return None
    whole_wh = store.capacity_wh
    return Battery(
        capacity_wh=whole_wh,
        soc_wh=whole_wh * min(100.0, max(0.0, soc_percent)) / 100.0,
        min_soc_wh=whole_wh * store.min_soc_percent / 100.0,
        max_charge_w=store.max_charge_w if can is None else can.charge_w,
        max_discharge_w=store.max_discharge_w if can is None else can.discharge_w,
        efficiency_one_way=math.sqrt(store.efficiency_percent / 100.0),
        wear_per_kwh=store.wear_per_kwh,
        reserve_wh=whole_wh * store.reserve_percent / 100.0,
        sun_only=store.command is not None and not store.command.grid_charging,
        feeds_grid=store.command is None or store.command.grid_discharging,
    )


def _co2(config: Config, inputs: PlanInputs, slots: Sequence[Slot]) -> tuple[float, ...]:
    """CO2 of bought energy per slot [kg/kWh]; () where nobody tells it. A gap without a figure of the site file counts as the mean of the rest."""
    configured, told = config.tariff.co2_kg_per_kwh, inputs.foreseen.co2_kg
    if config.tariff.co2_per_kg <= 0 or not slots:
        return ()
    if configured:
        plain = profile_w(slots, configured, config.site.timezone) if len(configured) == 24 else (configured[0],) * len(slots)
        return told.per_slot(slots, plain) if told else plain
    mean = told.mean(slots[0].start_wall_s, slots[-1].start_wall_s + slots[-1].duration_s)
    return told.per_slot(slots, (mean,) * len(slots)) if mean is not None else ()


def _expected(layout: Layout, inputs: PlanInputs, slots: Sequence[Slot], buy: Sequence[float], demand_per_kw: float, at: Stamp) -> Iterable[Ev]:
    """Cars that usually still come, at EVSEs and circuits this site has."""
    stays = [stay for evse in inputs.evses.values() if (stay := inputs.learnt.stay_of(evse, layout.voltage_v)) is not None]
    parents = {name: circuit.parent for name, circuit in layout.circuits.items()}
    for car in inputs.learnt.coming(slots, stays, at.wall_s, buy, parents, demand_per_kw):
        if car.expected and car.node_id in layout.circuits and car.phases and set(car.phases) <= set(PHASES[: layout.phase_count]):
            yield car


# -- the tree ---------------------------------------------------------------------------------------------


def _nodes(config: Config, layout: Layout, inputs: PlanInputs, slots: tuple[Slot, ...], wishes: Wishes, at: Stamp, weeks: int) -> Iterable[Node]:
    margin_a = config.grid.margin_a
    for name, circuit in layout.circuits.items():
        most_a = max(0.0, circuit.fuse_a - margin_a)
        lower = _slot_limits([limit for limit in inputs.limits if limit.circuit == name and limit.total_a is None], slots, at)
        other = other_load_a(config, layout, inputs, name, slots, weeks)
        root = name == ROOT_CIRCUIT
        room = worse_day_a(config, layout, inputs, slots) if root and not weeks else ()
        yield Node(name, circuit.parent, (most_a, most_a, most_a), lower, other, room, layout.max_unbalance_a if root else None)
    for station_id, steps in inputs.station_wishes.items():
        keys = layout.by_station.get(station_id, ())
        if steps and keys:
            fuse_a = layout.circuits[ROOT_CIRCUIT].fuse_a
            limits = wishes.limits_a(steps, fuse_a)
            yield Node(station_node(station_id), layout.places[keys[0]].circuit, (fuse_a, fuse_a, fuse_a), limits)


def station_node(station_id: str) -> str:
    """Name of the node of a station whose sum the CSMS bounds."""
    return f"station {station_id}"


def _slot_limits(limits: Sequence[Limit], slots: Sequence[Slot], at: Stamp, free: float = 0.0) -> tuple[float, ...]:
    """The lowest limit of each slot [A]; slots after its end are free of it (free: stands for that). Empty when there is none."""
    if not limits:
        return ()
    ends = [(limit.limit_a, math.inf if limit.ends_mono_s is None else at.wall_in(limit.ends_mono_s - at.mono_s)) for limit in limits]
    free = free or 10.0 * max(1.0, *(amps for amps, _ in ends))
    return tuple(min((amps for amps, end_s in ends if end_s > slot.start_wall_s), default=free) for slot in slots)
