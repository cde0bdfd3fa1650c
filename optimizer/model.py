"""The linear program of one plan, in PuLP: one function per constraint group and per objective term.

Decides: how a ``Problem`` becomes columns and rows. It never solves (``solve.py``), never verifies
(``check.py``), and it is feasible by construction: a car may stay short of energy at a price, and a
wire that other loads alone overload gets a priced slack. Everything else can always be met by
charging nothing, resting the battery and throwing away the PV.

The formulation is the lean one: no state of charge for cars that only charge (one energy row each), columns only
inside the stay, one flow column per node, phase and slot with the limit as its bound, and expressions
from dicts. The usual style (every car in every row above it, ``lpSum``) was measured at 5x the build
time for 100 cars and 96 slots.

Inside, power is kW, energy kWh, current A per phase, so that coefficients stay near 1. The objective is
divided by the largest price: tie-breaks must stand clear of the solver's tolerance (1e-7), or they drown.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TypeAlias

import pulp

from optimizer.problem import Battery, Ev, Node, Problem
from optimizer.terms import (
    PHASES,
    Powers,
    Tree,
    Unavoidable,
    believed_sell,
    charge_caps_w,
    export_limit_w,
    import_limit_w,
    may_discharge,
    need_wh,
    node_limits_a,
    own_load_a,
    plant_tree,
    price_scale,
    pv_w,
    shortfall_price,
    stay_fraction,
    unavoidable_overloads,
    usable_battery,
)

Column: TypeAlias = pulp.LpVariable
Terms: TypeAlias = dict[Column, float]

EARLY = 1e-3
"""Worth of charging now rather than at the end of the horizon, in parts of the largest price."""
URGENT = 1e-3
"""Worth of being served in the running slot, for the most urgent car; the others less, each its own: with equal weights 19-25 % of
the setpoints moved > 1 A per cycle, with unique ones 3-7 %. Only the running slot is ever put into practice, so only it is made unique:
a weight of car x time asks the same of every slot and solved 100 cars in 0.58 s instead of 0.25 s."""
CHANGE = 5e-4
"""Price of changing a car's power of now, in parts of the largest price: moving power between two cars costs it twice, as much as
URGENT can ever gain, so cars do not swap places."""
CYCLING = 2e-3
"""Least price of a discharged kWh, in parts of the largest price: free cycling is not a plan."""
CURTAILING = 1e-4
"""Price of throwing away PV, in parts of the largest price: last resort when selling is worth nothing."""
SELL_GAP = 1e-4
"""How far selling stays below buying, in parts of the largest price: equal prices would leave an idle loop undecided."""
OVERLOAD_FACTOR = 10.0
"""How much dearer an overload is than everything that charging through it could bring."""


@dataclass(slots=True)
class Model:
    """The program under construction. ev_id or slot index -> column; a missing column is a firm 0.

    node_flow: (node, slot, phase) -> terms and constant [A] of the true current, slack included.
    """

    problem: Problem
    tree: Tree
    unavoidable: Unavoidable
    battery: Battery | None
    lp: pulp.LpProblem = field(default_factory=lambda: pulp.LpProblem("yardmaster"))
    costs: Terms = field(default_factory=dict)
    charge: dict[str, dict[int, Column]] = field(default_factory=dict)
    discharge: dict[str, dict[int, Column]] = field(default_factory=dict)
    stored: dict[str, dict[int, Column]] = field(default_factory=dict)
    shortfall: dict[str, Column] = field(default_factory=dict)
    node_flow: dict[tuple[str, int, int], tuple[Terms, float]] = field(default_factory=dict)
    overload: list[tuple[Column, int, float]] = field(default_factory=list)
    curtailed: dict[int, Column] = field(default_factory=dict)
    battery_charge: dict[int, Column] = field(default_factory=dict)
    battery_discharge: dict[int, Column] = field(default_factory=dict)
    bought: list[Column] = field(default_factory=list)
    sold: list[Column] = field(default_factory=list)
    import_slack: dict[int, Column] = field(default_factory=dict)
    change: list[Column] = field(default_factory=list)
    peak: Column | None = None
    column_count: int = 0
    row_count: int = 0

    def column(self, low: float, high: float | None) -> Column:
        """A new continuous column with bounds."""
        self.column_count += 1
        return self.lp.add_variable(f"x{self.column_count}", low, high)

    def row(self, terms: Terms, sense: int, right: float) -> None:
        """A new row: sum of terms (<=, =, >= by PuLP's sense -1, 0, 1) right."""
        self.row_count += 1
        self.lp.addConstraint(pulp.LpConstraint(pulp.LpAffineExpression(terms), sense, rhs=right), f"r{self.row_count}")


def build(problem: Problem) -> Model:
    """The whole program. The problem must have no ``terms.defects``."""
    tree = plant_tree(problem)
    model = Model(problem, tree, unavoidable_overloads(problem, tree), usable_battery(problem))
    add_charging(model)
    add_discharging(model)
    add_energy_needs(model)
    add_v2g_storage(model)
    add_pv_curtailment(model)
    add_battery(model)
    add_feeder_tree(model)
    add_grid_exchange(model)
    add_peak(model)
    price_energy(model)
    price_demand(model)
    price_shortfall(model)
    price_overload(model)
    price_wear(model)
    prefer_early_charging(model)
    prefer_few_changes(model)
    prefer_using_pv(model)
    scale = 1.0 / price_scale(problem)
    model.lp.setObjective(pulp.LpAffineExpression({column: cost * scale for column, cost in model.costs.items()}))
    return model


# -- cars -----------------------------------------------------------------------------------------


def add_charging(model: Model) -> None:
    """A car may charge during its stay, up to its own and upstream's bound, and never through an overloaded wire."""
    for ev in model.problem.evs:
        path, columns = model.tree.path(ev.node_id), model.charge.setdefault(ev.ev_id, {})
        for slot, cap_w in enumerate(charge_caps_w(model.problem, ev)):
            if cap_w > 0.0:
                blocked = model.unavoidable.blocks_charging(path, ev.phases, slot)
                columns[slot] = model.column(0.0, 0.0 if blocked else cap_w / 1000.0)


def add_discharging(model: Model) -> None:
    """A V2G car may give power where it may also take some, and only in slots where wasting energy cannot pay."""
    allowed = sound_slots(model)
    for ev in model.problem.evs:
        model.discharge[ev.ev_id] = {}
        if may_discharge(ev):
            slots = [slot for slot in model.charge[ev.ev_id] if slot in allowed]
            highs = {slot: ev.max_discharge_w / 1000.0 * stay_fraction(ev, model.problem.slots[slot]) for slot in slots}
            model.discharge[ev.ev_id] = {slot: model.column(0.0, high) for slot, high in highs.items()}


def sound_slots(model: Model) -> set[int]:
    """Slots where losing energy can neither earn money nor relieve a wire: buying costs, nobody feeds in too much.

    Elsewhere a linear program would charge and discharge one battery at the same time, which no battery can.
    """
    problem, root_a, feeding = model.problem, model.tree.fixed_a[model.tree.root.node_id], model.unavoidable.feeding_slots()
    prices = enumerate(zip(problem.buy_per_kwh, problem.sell_per_kwh, strict=True))
    return {slot for slot, (buy, sell) in prices if buy > 0.0 and slot not in feeding and (sell >= 0.0 or sum(root_a[slot]) >= 0.0)}


def add_energy_needs(model: Model) -> None:
    """A car that only charges: delivered energy + shortfall = need."""
    hours = [slot.hours for slot in model.problem.slots]
    for ev in model.problem.evs:
        columns, need_kwh = model.charge[ev.ev_id], need_wh(ev) / 1000.0
        if columns and not may_discharge(ev):
            short = model.shortfall[ev.ev_id] = model.column(0.0, need_kwh)
            model.row({**{column: hours[slot] for slot, column in columns.items()}, short: 1.0}, pulp.LpConstraintEQ, need_kwh)


def add_v2g_storage(model: Model) -> None:
    """A V2G car: the stored energy follows charge and discharge, stays above the reserve and reaches the need."""
    for ev in model.problem.evs:
        if model.charge[ev.ev_id] and may_discharge(ev):
            _add_storage_chain(model, ev)


def _add_storage_chain(model: Model, ev: Ev) -> None:
    floor_kwh, full_kwh, need_kwh = max(0.0, ev.reserve_wh) / 1000.0, ev.capacity_wh / 1000.0, need_wh(ev) / 1000.0
    before: Terms = {}
    right = ev.soc_wh / 1000.0
    stored = model.stored[ev.ev_id] = {}
    for slot, charge in model.charge[ev.ev_id].items():
        hours, level = model.problem.slots[slot].hours, model.column(floor_kwh, full_kwh)
        terms: Terms = {level: 1.0, charge: -ev.efficiency * hours, **before}
        discharge = model.discharge[ev.ev_id].get(slot)
        if discharge is not None:
            terms[discharge] = hours / ev.efficiency
        model.row(terms, pulp.LpConstraintEQ, right)
        stored[slot], before, right = level, {level: -1.0}, 0.0
    short = model.shortfall[ev.ev_id] = model.column(0.0, need_kwh)
    model.row({level: 1.0, short: ev.efficiency}, pulp.LpConstraintGE, ev.soc_wh / 1000.0 + ev.efficiency * need_kwh)


# -- the site -------------------------------------------------------------------------------------


def add_pv_curtailment(model: Model) -> None:
    """PV may be thrown away, up to all of it."""
    model.curtailed = {slot: model.column(0.0, watts / 1000.0) for slot, watts in enumerate(pv_w(model.problem)) if watts > 0.0}


def add_battery(model: Model) -> None:
    """The stationary battery: energy follows power with losses, and the horizon ends no emptier than it began."""
    battery = model.battery
    if battery is None:
        return
    low_kwh, start_kwh = min(battery.min_soc_wh, battery.soc_wh) / 1000.0, battery.soc_wh / 1000.0
    before: Terms = {}
    allowed, right, last = sound_slots(model), start_kwh, len(model.problem.slots) - 1
    for slot, step in enumerate(model.problem.slots):
        level = model.column(start_kwh if slot == last else low_kwh, battery.capacity_wh / 1000.0)
        blocked = model.unavoidable.blocks_charging((model.tree.root.node_id,), model.tree.site_phases, slot)
        charge = model.battery_charge[slot] = model.column(0.0, 0.0 if blocked else battery.max_charge_w / 1000.0)
        terms: Terms = {level: 1.0, charge: -battery.efficiency_one_way * step.hours, **before}
        if slot in allowed:
            discharge = model.battery_discharge[slot] = model.column(0.0, battery.max_discharge_w / 1000.0)
            terms[discharge] = step.hours / battery.efficiency_one_way
        model.row(terms, pulp.LpConstraintEQ, right)
        before, right = {level: -1.0}, 0.0


def add_feeder_tree(model: Model) -> None:
    """Kirchhoff at every node, phase and slot; the limit is the bound of the flow column."""
    hanging: dict[str, list[Ev]] = {}
    for ev in model.problem.evs:
        hanging.setdefault(ev.node_id, []).append(ev)
    for node in model.tree.bottom_up:
        own_a = own_load_a(node, len(model.problem.slots))
        for slot in range(len(model.problem.slots)):
            _add_node(model, node, slot, hanging.get(node.node_id, ()), own_a[slot])


def _add_node(model: Model, node: Node, slot: int, evs: Iterable[Ev], own_a: list[float]) -> None:
    terms, constants = _inflows(model, node, slot, evs, own_a)
    limits_a = node_limits_a(node, slot)
    for phase in PHASES:
        key = (node.node_id, slot, phase)
        if not terms[phase]:
            model.node_flow[key] = ({}, constants[phase])
            continue
        flow = model.column(-limits_a[phase], limits_a[phase])
        true_flow: Terms = {flow: 1.0}
        sign = model.unavoidable.nodes.get(key)
        if sign is not None:
            slack = model.column(0.0, None)
            model.overload.append((slack, slot, model.problem.voltage_v / 1000.0))
            true_flow[slack] = float(sign)
        row = terms[phase]
        for column, coefficient in true_flow.items():
            row[column] = -coefficient
        model.row(row, pulp.LpConstraintEQ, -constants[phase])
        model.node_flow[key] = (true_flow, 0.0)


def _inflows(model: Model, node: Node, slot: int, evs: Iterable[Ev], own_a: list[float]) -> tuple[list[Terms], list[float]]:
    """Per phase: the columns that feed this node, and the constant rest [A]."""
    terms: list[Terms] = [{}, {}, {}]
    constants = list(own_a)
    for child in model.tree.children[node.node_id]:
        for phase in PHASES:
            child_terms, child_constant = model.node_flow[child, slot, phase]
            terms[phase].update(child_terms)
            constants[phase] += child_constant
    for ev in evs:
        _hang(model, terms, ev.phases, model.charge[ev.ev_id].get(slot), 1000.0)
        _hang(model, terms, ev.phases, model.discharge[ev.ev_id].get(slot), -1000.0)
    if node.parent is None:
        _hang_site_plant(model, terms, constants, slot)
    return terms, constants


def _hang_site_plant(model: Model, terms: list[Terms], constants: list[float], slot: int) -> None:
    """PV, what is curtailed of it, and the battery feed the root, evenly over its phases."""
    phases = model.tree.site_phases
    _hang(model, terms, phases, model.curtailed.get(slot), 1000.0)
    _hang(model, terms, phases, model.battery_charge.get(slot), 1000.0)
    _hang(model, terms, phases, model.battery_discharge.get(slot), -1000.0)
    pv_a = max(0.0, model.problem.pv_w[slot]) / (model.problem.voltage_v * len(phases))
    for phase in phases:
        constants[phase] -= pv_a


def _hang(model: Model, terms: list[Terms], phases: tuple[int, ...], column: Column | None, watts: float) -> None:
    if column is not None:
        amps = watts / (model.problem.voltage_v * len(phases))
        for phase in phases:
            terms[phase][column] = amps


def add_grid_exchange(model: Model) -> None:
    """What flows at the root is bought or sold, within the import and export limit."""
    root_id, kw_per_a = model.tree.root.node_id, model.problem.voltage_v / 1000.0
    for slot in range(len(model.problem.slots)):
        terms: Terms = {}
        constant_kw = 0.0
        for phase in PHASES:
            flow_terms, constant_a = model.node_flow[root_id, slot, phase]
            terms.update({column: coefficient * kw_per_a for column, coefficient in flow_terms.items()})
            constant_kw += constant_a * kw_per_a
        terms.update(_exchange_columns(model, slot))
        model.row(terms, pulp.LpConstraintEQ, -constant_kw)


def _exchange_columns(model: Model, slot: int) -> Terms:
    limit_in_kw, limit_out_kw = import_limit_w(model.problem, slot) / 1000.0, export_limit_w(model.problem, slot) / 1000.0
    bought, sold = model.column(0.0, _bound(limit_in_kw)), model.column(0.0, _bound(limit_out_kw))
    model.bought.append(bought)
    model.sold.append(sold)
    terms: Terms = {bought: -1.0, sold: 1.0}
    sign = model.unavoidable.site.get(slot)
    if sign is not None:
        slack = model.column(0.0, None)
        model.overload.append((slack, slot, 1.0))
        terms[slack] = -float(sign)
        if sign > 0:
            model.import_slack[slot] = slack
    return terms


def _bound(high: float) -> float | None:
    return None if high == float("inf") else high


def add_peak(model: Model) -> None:
    """The peak is at least the one already paid for, and at least every slot's mean import."""
    if model.problem.demand_per_kw <= 0.0:
        return
    model.peak = model.column(max(0.0, model.problem.peak_so_far_w) / 1000.0, None)
    for slot, bought in enumerate(model.bought):
        terms: Terms = {model.peak: 1.0, bought: -1.0}
        if slot in model.import_slack:
            terms[model.import_slack[slot]] = -1.0
        model.row(terms, pulp.LpConstraintGE, 0.0)


# -- what it costs ----------------------------------------------------------------------------------


def _add_cost(model: Model, column: Column, cost: float) -> None:
    model.costs[column] = model.costs.get(column, 0.0) + cost


def price_energy(model: Model) -> None:
    """Money for energy; selling always stays a little below buying."""
    gap = SELL_GAP * price_scale(model.problem)
    for slot, (step, buy, sell) in enumerate(zip(model.problem.slots, model.problem.buy_per_kwh, believed_sell(model.problem), strict=True)):
        _add_cost(model, model.bought[slot], buy * step.hours)
        _add_cost(model, model.sold[slot], -min(sell, buy - gap) * step.hours)
        if slot in model.import_slack:
            _add_cost(model, model.import_slack[slot], buy * step.hours)


def price_demand(model: Model) -> None:
    """Money for the highest slot-mean import."""
    if model.peak is not None:
        _add_cost(model, model.peak, model.problem.demand_per_kw)


def price_shortfall(model: Model) -> None:
    """Each missing kWh has its price, by priority."""
    for ev in model.problem.evs:
        if ev.ev_id in model.shortfall:
            _add_cost(model, model.shortfall[ev.ev_id], shortfall_price(model.problem, ev))


def price_overload(model: Model) -> None:
    """An overload costs more than any charging through it could be worth: per kW and slot."""
    worth = max([0.0, *(shortfall_price(model.problem, ev) for ev in model.problem.evs)])
    per_kwh = worth + 2.0 * price_scale(model.problem)
    for slack, slot, kw in model.overload:
        hours = model.problem.slots[slot].hours
        _add_cost(model, slack, OVERLOAD_FACTOR * kw * (per_kwh * hours + model.problem.demand_per_kw))


def price_wear(model: Model) -> None:
    """Each discharged kWh wears a battery, and never for nothing."""
    least = CYCLING * price_scale(model.problem)
    for ev in model.problem.evs:
        _price_discharge(model, model.discharge[ev.ev_id], max(least, ev.wear_per_kwh))
    if model.battery is not None:
        _price_discharge(model, model.battery_discharge, max(least, model.battery.wear_per_kwh))


def _price_discharge(model: Model, columns: dict[int, Column], per_kwh: float) -> None:
    for slot, column in columns.items():
        _add_cost(model, column, per_kwh * model.problem.slots[slot].hours)


# -- tie-breaks ---------------------------------------------------------------------------------------


def prefer_early_charging(model: Model) -> None:
    """Among equally dear plans the earlier one, and in the running slot the most urgent car."""
    for columns in (*model.charge.values(), model.battery_charge):
        _price_lateness(model, columns)
    ranked = sorted(model.problem.evs, key=lambda ev: (-_laxity_s(model, ev), ev.ev_id))
    for rank, ev in enumerate(ranked):
        # Above CHANGE: else starting now would cost more than starting with the next slot, and a car with time to spare
        # would be put off at every plan, a quarter of an hour each time.
        weight = (CHANGE + URGENT * (rank + 1) / len(ranked)) * price_scale(model.problem)
        for slot, column in model.charge[ev.ev_id].items():
            if slot > 0:
                _add_cost(model, column, weight * model.problem.slots[slot].hours)


def _price_lateness(model: Model, columns: dict[int, Column]) -> None:
    slots = model.problem.slots
    start_s, span_s = slots[0].start_wall_s, slots[-1].start_wall_s + slots[-1].duration_s - slots[0].start_wall_s
    weight = EARLY * price_scale(model.problem)
    for slot, column in columns.items():
        _add_cost(model, column, weight * slots[slot].hours * (slots[slot].start_wall_s - start_s) / span_s)


def _laxity_s(model: Model, ev: Ev) -> float:
    """Time to spare before departure when charging at full power [s]; most for a car that cannot charge."""
    if ev.max_power_w <= 0.0:
        return float("inf")
    return ev.departure_wall_s - model.problem.slots[0].start_wall_s - 3600.0 * need_wh(ev) / ev.max_power_w


def prefer_few_changes(model: Model) -> None:
    """Leave a car's power of now as it is when nothing speaks for a change."""
    price = CHANGE * price_scale(model.problem) * model.problem.slots[0].hours
    for ev in model.problem.evs:
        charge, discharge = model.charge[ev.ev_id].get(0), model.discharge[ev.ev_id].get(0)
        if charge is None:
            continue
        up, down = model.column(0.0, None), model.column(0.0, None)
        terms: Terms = {charge: 1.0, up: -1.0, down: 1.0}
        if discharge is not None:
            terms[discharge] = -1.0
        model.row(terms, pulp.LpConstraintEQ, ev.present_power_w / 1000.0)
        _add_cost(model, up, price)
        _add_cost(model, down, price)


def prefer_using_pv(model: Model) -> None:
    """Throw PV away only when it is good for nothing else."""
    for slot, column in model.curtailed.items():
        _add_cost(model, column, CURTAILING * price_scale(model.problem) * model.problem.slots[slot].hours)


# -- reading the answer ---------------------------------------------------------------------------------


def powers(model: Model) -> Powers:
    """The decided powers [W] after a solve, cut to their bounds (solvers overshoot them by 1e-9)."""
    count = len(model.problem.slots)
    evs = {ev.ev_id: _netted(model.charge[ev.ev_id], model.discharge[ev.ev_id], count) for ev in model.problem.evs}
    battery = _netted(model.battery_charge, model.battery_discharge, count)
    return Powers(evs, battery, _netted(model.curtailed, {}, count))


def _netted(plus: dict[int, Column], minus: dict[int, Column], count: int) -> list[float]:
    watts = [0.0] * count
    for slot, column in plus.items():
        watts[slot] += _value_w(column)
    for slot, column in minus.items():
        watts[slot] -= _value_w(column)
    return watts


def _value_w(column: Column) -> float:
    value = column.varValue or 0.0
    high = column.upBound
    return 1000.0 * max(0.0, value if high is None else min(value, high))
