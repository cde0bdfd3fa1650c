"""The columns and rows of a plan, one function per constraint group: which exist, and their coefficients, which never change.

Energies per slot in kWh (on wires: kWh of one phase), so the length of a slot stands only in bounds and right-hand sides; those are
``numbers.py``. The lean formulation: no state of charge for cars that only charge (one energy row each), columns only inside the stay,
one flow column per node, phase and slot with the limit as its bound, rows made from dicts. Flow columns come into being when something
hangs on them, so a car that arrives later adds what is missing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from optimizer import objective
from optimizer.cars import NO_CURVE, believed_efficiency, curve_of, may_discharge
from optimizer.columns import AT_LEAST, AT_MOST, EQUAL, Terms
from optimizer.parts import Car, Site, Store
from optimizer.problem import Battery, Ev, Problem
from optimizer.weights import demand_windows
from optimizer.wires import PHASES

if TYPE_CHECKING:
    from optimizer.model import Model


# -- cars -----------------------------------------------------------------------------------------


def car_key(ev: Ev) -> tuple[object, ...]:
    """What may not change while a car lives in the model: coefficients and prices."""
    return (
        ev.node_id, ev.phases, ev.efficiency, ev.priority, ev.shortfall_per_kwh, ev.wear_per_kwh, ev.acceptance, may_discharge(ev)
    )  # fmt: skip


def add_car(model: Model, ev: Ev, urgency: float) -> Car:
    """A car's columns and rows."""
    first, last = model.window_of(ev)
    two_way = may_discharge(ev)
    car = Car(ev, car_key(ev), model.tree.place[ev.node_id], first, last, urgency, two_way, curve_of(ev) if last > first else NO_CURVE)
    if last > first:
        car.keeps = max(0, min(last, model.frame.early) - first)
        _add_charging(model, car)
        if two_way:
            _add_discharging(model, car)
        _add_shortfall(model, car)
        if two_way or car.curve.lines:
            _add_store(model, car)
            _add_acceptance(model, car)
        else:
            _add_energy_need(model, car)
    return car


def _add_charging(model: Model, car: Car) -> None:
    """A car may charge during its stay; in the running quarter hour the power of now has a column of its own."""
    car.charge = model.program.add(objective.later_costs(model.frame, car))
    car.keep = model.program.add(objective.keep_costs(model.frame, car))
    hang(model, car.row, car.ev.phases, car.first, (car.charge, car.slots), 1.0)
    hang(model, car.row, car.ev.phases, car.first, (car.keep, car.keeps), 1.0)


def _add_discharging(model: Model, car: Car) -> None:
    """A V2G car may give power."""
    wear = car.wear = objective.wear_cost(car.ev.wear_per_kwh, car.ev.efficiency, model.weights)
    car.give = model.program.add([wear + cost for cost in objective.later_costs(model.frame, car)])
    car.give_keep = model.program.add([wear + cost for cost in objective.keep_costs(model.frame, car)])
    hang(model, car.row, car.ev.phases, car.first, (car.give, car.slots), -1.0)
    hang(model, car.row, car.ev.phases, car.first, (car.give_keep, car.keeps), -1.0)


def _add_shortfall(model: Model, car: Car) -> None:
    """What it may lack, in parts of rising price: first half, second half, minimum."""
    car.has_minimum = car.ev.minimum_wh > 0.0
    car.short = model.program.add(objective.shortfall_costs(model.problem, car.ev, model.weights, car.has_minimum))


def _short_terms(model: Model, car: Car, weight: float) -> Terms:
    return Terms((column, weight) for column in model.program.columns[car.short : car.short + 2 + car.has_minimum])


def _add_energy_need(model: Model, car: Car) -> None:
    """A car that only charges: delivered energy + shortfall = need. Its store only ever rises, so nobody needs to follow it."""
    terms, columns = _short_terms(model, car, 1.0), model.program.columns
    for column in columns[car.charge : car.charge + car.slots] + columns[car.keep : car.keep + car.keeps]:
        terms[column] = 1.0
    car.need_row = model.program.row(terms, EQUAL)


def _add_store(model: Model, car: Car) -> None:
    """The stored energy follows charge and discharge (never running sums), and reaches the need at the end of the stay."""
    program, efficiency = model.program, believed_efficiency(car.ev)
    columns = program.columns
    car.level = program.add([0.0] * car.slots)
    before = None
    for at in range(car.slots):
        level = columns[car.level + at]
        terms = Terms({level: 1.0, columns[car.charge + at]: -efficiency})
        if at < car.keeps:
            terms[columns[car.keep + at]] = -efficiency
        if car.two_way:
            terms[columns[car.give + at]] = 1.0 / efficiency
            if at < car.keeps:
                terms[columns[car.give_keep + at]] = 1.0 / efficiency
        if before is not None:
            terms[before] = -1.0
        row, before = program.row(terms, EQUAL), level
        car.chain_row = row if at == 0 else car.chain_row
    terms = _short_terms(model, car, efficiency)
    terms[columns[car.level + car.slots - 1]] = 1.0
    car.need_row = program.row(terms, AT_LEAST if car.two_way else EQUAL)


def _add_acceptance(model: Model, car: Car) -> None:
    """Mean power of a slot below each line of the car's own curve, at the mean of the stored energy at the slot's begin and end."""
    program, columns = model.program, model.program.columns
    for _, slope_per_h in car.curve.lines:
        car.curve_rows.append(len(program.rows))
        for at in range(car.slots):
            steep = -0.5 * slope_per_h * model.frame.slots[car.first + at].hours
            terms = Terms({columns[car.charge + at]: 1.0, columns[car.level + at]: steep})
            if at < car.keeps:
                terms[columns[car.keep + at]] = 1.0
            if at > 0:
                terms[columns[car.level + at - 1]] = steep
            program.row(terms, AT_MOST)


# -- wires ----------------------------------------------------------------------------------------


def hang(model: Model, node: int, phases: tuple[int, ...], first: int, block: tuple[int, int], weight: float) -> None:
    """Hang a block of columns (first column, how many) on a node from slot ``first`` on; their energy divides equally among the phases."""
    program, table, share = model.program, model.wiring.row[node], weight / len(phases)
    columns, rows, known = program.columns, program.rows, program.known_rows
    start, count = block
    for slot in range(first, first + count):
        at, column = table[slot], columns[start + slot - first]
        for phase in phases:
            row = at[phase]
            if row < 0:
                row = open_flow(model, node, slot, phase)
            if row < known:
                program.enter(row, column.index, share)
            else:
                rows[row].expr[column] = share


def open_flow(model: Model, node: int, slot: int, phase: int) -> int:
    """Kirchhoff for one node, slot and phase: what hangs on it flows through it, into the node above or the grid. Returns the row."""
    program, wiring = model.program, model.wiring
    flow = program.add([0.0])
    row = program.row(Terms({program.columns[flow]: -1.0}), EQUAL)
    wiring.row[node][slot][phase], wiring.column[node][slot][phase] = row, flow
    above = model.tree.above[node]
    if above < 0:
        program.enter(model.site.exchange_row + slot, flow, 1.0)
    else:
        parent = wiring.row[above][slot][phase]
        program.enter(parent if parent >= 0 else open_flow(model, above, slot, phase), flow, 1.0)
    _balance_flow(model, node, slot, phase)
    if node in wiring.totals:
        program.enter(wiring.totals[node] + slot, flow, 1.0)
    return row


def _balance_flow(model: Model, node: int, slot: int, phase: int) -> None:
    """A new flow joins the unbalance rows that are already there."""
    _, rows = model.wiring.unbalance.get((node, slot), (-1, {}))
    flow = model.wiring.column[node][slot][phase]
    for (upper, lower), row in rows.items():
        if phase in (upper, lower):
            model.program.enter(row, flow, 1.0 if phase == upper else -1.0)


def add_unbalance(model: Model) -> None:
    """No phase of a node carries more than another by more than its rule says; soft, one slack per slot."""
    program = model.program
    for node, told in enumerate(model.tree.bottom_up):
        if told.max_unbalance_a is None:
            continue
        for slot in range(len(model.frame.slots)):
            slack = program.add([model.weights.unbalance / model.weights.scale])
            rows = {}
            for upper in PHASES:
                for lower in PHASES:
                    if upper != lower:
                        rows[upper, lower] = program.row(Terms({program.columns[slack]: -1.0}), AT_MOST)
            model.wiring.unbalance[node, slot] = slack, rows
            for phase in PHASES:
                if model.wiring.row[node][slot][phase] >= 0:
                    _balance_flow(model, node, slot, phase)


def add_totals(model: Model) -> None:
    """All phases of a node together below a limit in watts; of a limit on controllable loads the battery's charging is a part.

    It binds what cars and battery add: PV that has to be thrown away at the connection is the import limit's business.
    """
    program, store = model.program, model.site.store
    for node, told in enumerate(model.tree.bottom_up):
        if not told.slot_total_w:
            continue
        model.wiring.totals[node] = len(program.rows)
        for slot, flows in enumerate(model.wiring.column[node]):
            terms = Terms({program.columns[flow]: 1.0 for flow in flows if flow >= 0})
            if told.battery_counts and store is not None and model.tree.above[node] >= 0:
                terms[program.columns[store.charge + slot]] = 1.0
            if model.tree.above[node] < 0 and model.site.curtailed >= 0:
                terms[program.columns[model.site.curtailed + slot]] = -1.0
            program.row(terms, AT_MOST)


def add_overload(model: Model, node: int, slot: int, phase: int, sign: int) -> None:
    """A wire that other loads alone overload: what stays of it is priced, so that batteries and PV relieve it."""
    program = model.program
    flow = program.columns[model.wiring.column[node][slot][phase]]
    slack = program.add([model.weights.overload / model.weights.scale])
    row = program.row(Terms({flow: float(sign), program.columns[slack]: -1.0}), AT_MOST)
    model.wiring.overloads[node, slot, phase, sign] = row, slack


# -- the site -------------------------------------------------------------------------------------


def add_grid_exchange(model: Model) -> Site:
    """What flows at the root is bought or sold; beyond the limits only where nobody can avoid it, and priced."""
    program, known, frame = model.program, model.weights, model.frame
    count, problem = len(frame.slots), model.problem
    site = Site(
        bought=program.add(objective.bought_costs(frame.buy, known)),
        sold=program.add(objective.sold_costs(frame.buy, frame.sell, known)),
        over_in=program.add(objective.over_import_costs(frame.buy, known)),
        over_out=program.add([known.overload / known.scale] * count),
        reserve=program.add(objective.reserve_costs(frame.buy, problem, known)) if has_event_reserve(problem) else -1,
        exchange_row=len(program.rows),
    )
    for slot in range(count):
        program.row(Terms({column: -weight for column, weight in exchange_terms(model, site, slot).items()}), EQUAL)
    return site


def exchange_terms(model: Model, site: Site, slot: int) -> Terms:
    """What crosses the grid connection in a slot, import positive."""
    columns = model.program.columns
    terms = import_terms(model, site, slot)
    terms[columns[site.sold + slot]] = terms[columns[site.over_out + slot]] = -1.0
    return terms


def import_terms(model: Model, site: Site, slot: int) -> Terms:
    """What is imported in a slot."""
    columns = model.program.columns
    blocks = [site.bought, site.over_in, *([site.reserve] if site.reserve >= 0 else [])]
    return Terms((columns[block + slot], 1.0) for block in blocks)


def has_event_reserve(problem: Problem) -> bool:
    """Whether import is to be left free for an announced event."""
    return any(watts > 0.0 for watts in problem.reserve_w)


def add_setpoints(model: Model) -> None:
    """The grid power somebody asks for, soft both ways."""
    price = model.problem.setpoint_per_kwh / model.weights.scale
    for slot, watts in enumerate(model.problem.grid_setpoint_w):
        if watts is not None:
            above, below = model.program.add([price]), model.program.add([price])
            terms = exchange_terms(model, model.site, slot)
            terms[model.program.columns[above]], terms[model.program.columns[below]] = -1.0, 1.0
            model.site.setpoints[slot] = model.program.row(terms, EQUAL), above, below


def add_peak(model: Model) -> None:
    """The peak is at least the one already paid for, and at least the mean import of every demand window."""
    site, program = model.site, model.program
    if model.problem.demand_per_kw <= 0.0:
        return
    site.peak = program.add([objective.demand_cost(model.problem, model.weights)])
    site.windows = demand_windows(model.problem)
    for window in site.windows:
        terms = Terms({program.columns[site.peak]: -window.hours})
        for slot, part in window.parts:
            for column in import_terms(model, site, slot):
                terms[column] = part
        site.window_rows.append(program.row(terms, AT_MOST))


def add_pv_curtailment(model: Model) -> None:
    """PV may be thrown away, up to all of it."""
    count = len(model.frame.slots)
    if max(model.problem.pv_w) > 0.0:
        model.site.curtailed = model.program.add([objective.CURTAILING] * count)
        hang(model, len(model.tree.above) - 1, model.tree.site_phases, 0, (model.site.curtailed, count), 1.0)


def add_battery(model: Model, battery: Battery | None) -> None:
    """The stationary battery: energy follows power with losses; it ends no emptier than it began."""
    if battery is None:
        return
    program, count, root = model.program, len(model.frame.slots), len(model.tree.above) - 1
    efficiency = battery.efficiency_one_way
    wear = objective.wear_cost(battery.wear_per_kwh, efficiency, model.weights)
    store = model.site.store = Store(
        charge=program.add([objective.EARLY * late for late in model.frame.lateness]),
        give=program.add([wear] * count),
        level=program.add([0.0] * count),
        chain_row=len(program.rows),
    )
    columns = program.columns
    for slot in range(count):
        terms = Terms({columns[store.level + slot]: 1.0, columns[store.charge + slot]: -efficiency, columns[store.give + slot]: 1.0 / efficiency})
        if slot > 0:
            terms[columns[store.level + slot - 1]] = -1.0
        program.row(terms, EQUAL)
    hang(model, root, model.tree.site_phases, 0, (store.charge, count), 1.0)
    hang(model, root, model.tree.site_phases, 0, (store.give, count), -1.0)
    if battery.reserve_wh > 0.0:
        _add_battery_reserve(model, store)


def _add_battery_reserve(model: Model, store: Store) -> None:
    """Going below the reserve is priced once per kWh, being below it a little for every slot, so that it is filled again soon."""
    program, count = model.program, len(model.frame.slots)
    price = model.weights.battery_reserve / model.weights.scale
    store.under, store.deeper = program.add([*[price / count] * (count - 1), price]), program.add([price] * count)
    columns, store.reserve_row = program.columns, len(program.rows)
    for slot in range(count):
        program.row(Terms({columns[store.level + slot]: 1.0, columns[store.under + slot]: 1.0}), AT_LEAST)
    store.deeper_row = len(program.rows)
    for slot in range(count):
        terms = Terms({columns[store.under + slot]: 1.0, columns[store.deeper + slot]: -1.0})
        if slot > 0:
            terms[columns[store.under + slot - 1]] = -1.0
        program.row(terms, AT_MOST)
