"""The picture of this moment as a planning problem: tree, cars, building, sun, battery, prices and limits over the next day.

The grid of time has edges where prices, limits and the CSMS's schedules change (``optimizer.grid``). A car is planned to be ready a
little before it leaves; a silent one has what was assumed or learnt. Building and sun come from what is measured now, then from what
is usual at that hour, with room for a worse day. Decides nothing: what a plan means is in ``planning``.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

from controller.config import ROOT_CIRCUIT, Config
from controller.facts import EvseKey, FeaturesLearned, LimitStep, PhaseAmps, Stamp
from controller.site.devices.battery import Power
from controller.site.grid.announced import Ahead, with_announced, with_generation, with_total
from controller.site.grid.der import FaceSteps, Stretches
from controller.site.grid.limits import Limit
from controller.site.plans.cars import Wishes, car_of
from controller.site.plans.habits import NOTHING_LEARNT, Learnt
from controller.site.plans.posing_faces import bounded_giving, limited_sums, with_setpoint
from controller.site.plans.series import NOTHING_FORESEEN, Foreseen
from controller.site.plans.sunshine import darker_w, sun_again_w, sun_w
from controller.site.plans.tariffs import Books, books_of
from controller.site.sharing.budget import CircuitLoad
from controller.site.state import PHASES, EvseState, Layout
from optimizer.forecast import QUARTER_S, blended_w, profile_w, prorated_demand
from optimizer.grid import make_grid, quarter_of
from optimizer.prices import PriceBook
from optimizer.problem import Battery, Ev, Node, Problem, Slot
from optimizer.usual import Usual
from optimizer.waiting import Waiting, at_one_price

HORIZON_S = DAY_S = 86_400.0
WEEK_S = 7 * DAY_S
PEAK_SPARE = 0.005
"""Plans stay below the peak that is paid for by this part of it: stations and buildings do not follow to the watt, and a peak that is
overshot by a little becomes the one that counts. On a week of a garage it crept up by 2.7 of 211 kW in hundreds of small steps."""
EDGE_S = 60.0
"""Edges of limits and schedules are laid on whole minutes, those of limits on the next one: a limit may look longer, never shorter."""
MOST_EDGES = 16
"""So many edges of limits and schedules cut the grid, the most frequent first; inside a slot the lowest of a schedule holds."""

NEAR_S = 8 * 3600.0
MOST_STEPS = 24
"""Every change of a price cuts the grid up to so far ahead [s]; of the later ones so many."""


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


def _posed(
    config: Config, layout: Layout, inputs: PlanInputs, slots: tuple[Slot, ...], evs: tuple[Ev, ...], at: Stamp, weeks: int = 0
) -> Problem:
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


def edges(inputs: PlanInputs, books: Books, at: Stamp) -> list[float]:
    """Moments of the horizon at which prices, limits or schedules change [wall s]."""
    end_wall_s = at.wall_s + HORIZON_S
    found: Counter[float] = Counter()
    for limit in inputs.limits:
        if limit.ends_mono_s is not None:
            found[math.ceil(at.wall_in(limit.ends_mono_s - at.mono_s) / EDGE_S) * EDGE_S] += 1
    for one in inputs.ahead:
        found[math.floor(max(at.wall_s, one.start_wall_s) / EDGE_S) * EDGE_S] += 1
        found[math.ceil(min(one.end_wall_s, end_wall_s) / EDGE_S) * EDGE_S] += 1
    for begin_s, end_s in {(begin_s, end_s) for face in inputs.faces for begin_s, end_s, _ in face.discharge}:
        found.update(float(math.floor(edge / EDGE_S) * EDGE_S) for edge in (begin_s, end_s) if math.isfinite(edge))
    schedules: Counter[tuple[LimitStep, ...]] = Counter(evse.wish for evse in inputs.evses.values() if len(evse.wish) > 1)
    schedules.update(tuple(steps) for steps in inputs.station_wishes.values())
    schedules.update(face.steps for face in inputs.faces)
    for steps, times in schedules.items():
        for step in steps:
            if not math.isfinite(step.start_wall_s):
                continue
            found[math.floor(step.start_wall_s / EDGE_S) * EDGE_S] += times
    inside = sorted(((-times, edge) for edge, times in found.items() if at.wall_s - HORIZON_S < edge < end_wall_s))
    return [*price_edges(books.buy, at.wall_s), *price_edges(books.sell, at.wall_s), *(edge for _, edge in inside[:MOST_EDGES])]


def price_edges(book: PriceBook, now_wall_s: float) -> list[float]:
    """Moments of the horizon at which the price changes [wall s]: all that are near, of the later ones the largest steps.

    Quarter-hourly prices would make 96 slots of 42 and a large site's plan five times as slow, for hours that are planned again many
    times before they come; between two edges the mean price counts. Counted from the running quarter hour, so that edges stay in it.
    """
    begin_s = quarter_of(now_wall_s)
    segments = book.segments(begin_s, now_wall_s + HORIZON_S)
    near = [at_s for at_s, _ in segments[1:] if at_s < begin_s + NEAR_S]
    steps = [(-abs(price - before), at_s) for (_, before), (at_s, price) in pairwise(segments) if at_s >= begin_s + NEAR_S]
    return [*near, *(at_s for _, at_s in sorted(steps)[:MOST_STEPS])]


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
        other = _other_load(config, layout, inputs, name, slots, weeks)
        root = name == ROOT_CIRCUIT
        room = _worse_day_a(config, layout, inputs, slots) if root and not weeks else ()
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


# -- building and sun ---------------------------------------------------------------------------------------


def _other_load(config: Config, layout: Layout, inputs: PlanInputs, name: str, slots: tuple[Slot, ...], weeks: int) -> tuple[PhaseAmps, ...]:
    """Load of this node alone per slot and phase [A], with the EVSEs that cannot be commanded."""
    children = [child for child in layout.circuits.values() if child.parent == name]
    own = [inputs.loads[name].other_a[phase] - sum(inputs.loads[child.id].other_a[phase] for child in children) for phase in PHASES]
    series: tuple[PhaseAmps, ...]
    if name == ROOT_CIRCUIT and _metered(layout, inputs):
        series = _building_a(config, layout, inputs, own, slots, weeks)
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


def _metered(layout: Layout, inputs: PlanInputs) -> bool:
    return layout.circuits[ROOT_CIRCUIT].meter is not None and not inputs.loads[ROOT_CIRCUIT].lost


def _apart_a(layout: Layout, inputs: PlanInputs) -> float:
    """What PV and battery hide of the building, per phase [A]: the meter sees all three together, the plan forecasts each on its own."""
    return ((inputs.pv_w or 0.0) - (inputs.battery_w or 0.0)) / (layout.phase_count * layout.voltage_v)


def building_w(layout: Layout, inputs: PlanInputs) -> float | None:
    """What the building draws now, cars, PV and battery apart [W]; None when the grid meter is not believed."""
    if not _metered(layout, inputs):
        return None
    apart_a = _apart_a(layout, inputs)
    phases = range(layout.phase_count)
    return sum(max(0.0, inputs.loads[ROOT_CIRCUIT].other_a[phase] + apart_a) for phase in phases) * layout.voltage_v


def _building_a(
    config: Config, layout: Layout, inputs: PlanInputs, own_a: Sequence[float], slots: tuple[Slot, ...], weeks: int
) -> tuple[PhaseAmps, ...]:
    """From the currents of now to what is usual, each phase from its own measurement; what is usual is spread evenly."""
    apart_a = _apart_a(layout, inputs)
    present_a = [max(0.0, amps + apart_a) for amps in own_a]
    volts, expected = layout.voltage_v, _building_w(config, inputs, slots)
    if expected is None:
        return ((present_a[0], present_a[1], present_a[2]),) * len(slots)
    if weeks and inputs.load is not None:
        return tuple((watts / 3.0 / volts,) * 3 for watts in inputs.load.again_w(slots, weeks, expected))
    thirds = [watts / 3.0 / volts for watts in expected]
    first, second, third = (blended_w(slots, thirds, amps) for amps in present_a)
    return tuple(zip(first, second, third, strict=True))


def _building_w(config: Config, inputs: PlanInputs, slots: Sequence[Slot]) -> tuple[float, ...] | None:
    """What the building is expected to draw [W]: as a feed tells, else as usual; None where neither feed, days nor the owner have told."""
    told, zone, fed = config.forecast.base_load_w, config.site.timezone, inputs.foreseen.load_w
    configured = profile_w(slots, told, zone) if told else None
    usual = configured
    if inputs.load is not None and inputs.load.knows:
        usual = inputs.load.expected_w(slots, configured or (0.0,) * len(slots)) if configured or inputs.load.knows_all else None
    if not fed or not slots:
        return usual
    mean = fed.mean(slots[0].start_wall_s, slots[-1].start_wall_s + slots[-1].duration_s)
    return fed.per_slot(slots, usual if usual is not None else (mean,) * len(slots)) if mean is not None else usual


def _worse_day_a(config: Config, layout: Layout, inputs: PlanInputs, slots: Sequence[Slot]) -> tuple[float, ...]:
    """Room for a day on which the building draws more and the sun gives less, per phase and slot [A]; () until days have taught it."""
    sure = config.forecast.load_certainty_percent / 100.0
    if sure <= 0.5:
        return ()
    higher = inputs.load.above_w(slots, sure) if inputs.load is not None and inputs.load.knows else ()
    parts = [watts for watts in (higher, darker_w(config, inputs.foreseen, inputs.sun, slots, 1.0 - sure)) if watts]
    if not parts:
        return ()
    per_w = 1.0 / (layout.phase_count * layout.voltage_v)
    return tuple(math.hypot(*watts) * per_w for watts in zip(*parts, strict=True))
