"""What a solved model says: powers, shadow prices, and the names by which its columns and rows are known again.

Reads the values that a solver has written into the PuLP objects (``varValue``, ``dj``, ``pi``), or arrays of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from optimizer.books import Powers
from optimizer.cars import usable_battery
from optimizer.columns import Floats
from optimizer.problem import ShadowPrice
from optimizer.wires import PHASES

if TYPE_CHECKING:
    from optimizer.model import Model
    from optimizer.parts import Car

WORTH_TELLING = 1e-6
"""Savings below this are rounding errors of the solver [currency per A or kW]."""
Key = tuple[object, ...]


# -- powers -------------------------------------------------------------------------------------------


def powers(model: Model, values: npt.ArrayLike | None = None) -> Powers:
    """The decided powers [W] in the slots of now, cut to their bounds (solvers overshoot them by 1e-9). values: of all columns in
    order; None = as they stand in the PuLP columns."""
    found = np.array([column.varValue or 0.0 for column in model.program.columns] if values is None else values, dtype=float)
    kwh = np.clip(found, model.program.lower, model.program.upper)
    store, count = model.site.store, len(model.frame.slots)
    battery = np.zeros(count) if store is None else kwh[store.charge : store.charge + count] - kwh[store.give : store.give + count]
    curtailed = np.zeros(count) if model.site.curtailed < 0 else kwh[model.site.curtailed : model.site.curtailed + count]
    cars, ahead = _car_kwh(model, kwh)[:, model.running :], slice(model.running, None)
    cars, battery, curtailed = _without_waste(model, (cars, battery[ahead], curtailed[ahead].copy()), kwh)
    kw = 1000.0 / np.array([slot.hours for slot in model.problem.slots])
    evs = dict(zip((ev.ev_id for ev in model.problem.evs), (cars * kw).tolist(), strict=True))
    return Powers(evs, (battery * kw).tolist(), (curtailed * kw).tolist())


def _car_kwh(model: Model, kwh: Floats) -> Floats:
    """Net energy of each car of the problem in each slot of the model (car, slot), charging positive."""
    places = [(car.first, car.last, car.charge, car.give, car.keep, car.give_keep, car.keeps) for car in _cars(model)]
    first, last, charge, give, keep, give_keep, keeps = np.array(places, dtype=np.int64).reshape(-1, 7).T
    energy, slots = np.zeros((len(places), len(model.frame.slots))), np.arange(len(model.frame.slots))
    own, steps = (slots >= first[:, None]) & (slots < last[:, None]), slots - first[:, None]
    energy[own] = kwh[(charge[:, None] + steps)[own]]
    giving = own & (give >= 0)[:, None]
    energy[giving] -= kwh[(give[:, None] + steps)[giving]]
    for step in range(int(keeps.max(initial=0))):
        here = np.flatnonzero(keeps > step)
        energy[here, first[here] + step] += kwh[keep[here] + step]
        both = here[give[here] >= 0]
        energy[both, first[both] + step] -= kwh[give_keep[both] + step]
    return energy


def _cars(model: Model) -> list[Car]:
    return [model.cars[ev.ev_id] for ev in model.problem.evs]


# -- energy that no battery can waste ---------------------------------------------------------------------


def _without_waste(model: Model, found: tuple[Floats, Floats, Floats], kwh: Floats) -> tuple[Floats, Floats, Floats]:
    """Charging and discharging at once wastes energy in the program, never in a battery: where the netted powers would overfill one, it
    charges less. Prices keep this rare (``objective.wear_cost``); it is left for feed-in that overloads a wire, and for unbalance."""
    cars, battery, curtailed = found
    told = [(ev.soc_wh, ev.capacity_wh, ev.efficiency, row) for row, ev in enumerate(model.problem.evs) if model.cars[ev.ev_id].give >= 0]
    stores = [(cars[row], soc_wh / 1000.0, capacity_wh / 1000.0, efficiency) for soc_wh, capacity_wh, efficiency, row in told]
    stated = usable_battery(model.problem)
    if stated is not None:
        stores.append((battery, stated.soc_wh / 1000.0, stated.capacity_wh / 1000.0, stated.efficiency_one_way))
    if stores:
        net = np.array([series for series, *_ in stores])
        soc, capacity, efficiency = np.array([numbers for _, *numbers in stores]).T[:, :, None]
        over = (soc + np.cumsum(np.where(net > 0.0, net * efficiency, net / efficiency), axis=1) > capacity + 1e-6).any(axis=1)
        for row in np.flatnonzero(over).tolist():
            _stop_when_full(stores[row], _pressed_pv_kwh(model, curtailed, kwh), curtailed)
    return found


def _stop_when_full(store: tuple[Floats, float, float, float], pressed: Floats, curtailed: Floats) -> None:
    """Cut the charging that does not fit; PV that has nowhere else to go is thrown away instead. Writes into its arrays."""
    net, stored, capacity, efficiency = store
    for slot, energy in enumerate(net.tolist()):
        stored += energy * (efficiency if energy > 0.0 else 1.0 / efficiency)
        if stored > capacity and energy > 0.0:
            cut = min(energy, (stored - capacity) / efficiency)
            stored -= cut * efficiency
            net[slot] -= cut
            curtailed[slot] += min(cut, pressed[slot])


def _pressed_pv_kwh(model: Model, curtailed: Floats, kwh: Floats) -> Floats:
    """Per slot ahead: PV in use where the grid connection takes no more of it, else 0."""
    site, program = model.site, model.program
    pressed = np.zeros(len(model.problem.slots))
    for at, (step, pv_w) in enumerate(zip(model.problem.slots, model.problem.pv_w, strict=True)):
        sold, flows = site.sold + model.running + at, [flow for flow in model.wiring.column[-1][model.running + at] if flow >= 0]
        if kwh[sold] >= program.upper[sold] - 1e-6 or any(kwh[flow] <= program.lower[flow] + 1e-6 for flow in flows):
            pressed[at] = max(0.0, max(0.0, pv_w) / 1000.0 * step.hours - curtailed[at])
    return pressed


# -- shadow prices --------------------------------------------------------------------------------------


def shadow_prices(model: Model, reduced: npt.ArrayLike | None = None, duals: npt.ArrayLike | None = None) -> tuple[ShadowPrice, ...]:
    """What one more ampere of each wire, one more kW of import, export or peak would save, from the duals of a proved plan.

    reduced: reduced costs of the columns, duals: of the rows, in order; None = as they stand in the PuLP objects (``dj``, ``pi``).
    The savings are in the program's objective: missing energy and overloads count at their penalties.
    """
    costs = np.array([column.dj or 0.0 for column in model.program.columns] if reduced is None else reduced, dtype=float) * model.scale
    rows = np.array([row.pi or 0.0 for row in model.program.rows] if duals is None else duals, dtype=float) * model.scale
    return (*_wire_prices(model, costs, rows), *_exchange_prices(model, costs), *_peak_price(model, rows))


def _wire_prices(model: Model, costs: Floats, rows: Floats) -> Iterator[ShadowPrice]:
    """A looser limit widens both bounds of a flow: what either of them costs is saved."""
    at, columns = model.flows()
    kwh_per_a = _hours(model) * model.problem.voltage_v / 1000.0
    savings = np.zeros((len(model.tree.bottom_up), len(kwh_per_a), 3))
    savings.reshape(-1)[at] = np.abs(costs[columns])
    for (node, slot, phase, _), (row, _) in model.wiring.overloads.items():
        savings[node, slot, phase] += abs(rows[row])
    for node, block in model.wiring.totals.items():  # an ampere more on each phase
        savings[node] += np.abs(rows[block : block + len(kwh_per_a)])[:, None]
    savings *= kwh_per_a[None, :, None]
    for node, phase in np.argwhere(savings.max(axis=1) > WORTH_TELLING).tolist():
        yield _price(model, model.tree.bottom_up[node].node_id, PHASES[phase], savings[node, :, phase])


def _exchange_prices(model: Model, costs: Floats) -> Iterator[ShadowPrice]:
    count = len(model.frame.slots)
    for where, block in (("import", model.site.bought), ("export", model.site.sold)):
        savings = np.maximum(0.0, -costs[block : block + count]) * _hours(model)
        if savings.max() > WORTH_TELLING:
            yield _price(model, where, None, savings)


def _peak_price(model: Model, rows: Floats) -> Iterator[ShadowPrice]:
    """What each window pays for the peak; it stands in the window's first slot that is still ahead."""
    savings = np.zeros(len(model.frame.slots))
    for window, row in zip(model.site.windows, model.site.window_rows, strict=True):
        ahead = [slot for slot, _ in window.parts if slot >= model.running]
        if ahead:
            savings[ahead[0]] += abs(rows[row]) * window.hours
    if savings.max() > WORTH_TELLING:
        yield _price(model, "peak", None, savings)


def _hours(model: Model) -> Floats:
    """Length of the model's slots, 0 for those that are over."""
    return np.array([0.0] * model.running + [slot.hours for slot in model.problem.slots])


def _price(model: Model, where: str, phase: int | None, savings: Floats) -> ShadowPrice:
    ahead = savings[model.running :]
    return ShadowPrice(where, phase, float(ahead.sum()), tuple(ahead.tolist()))


# -- names ----------------------------------------------------------------------------------------------


def column_keys(model: Model) -> list[Key]:
    """(role, car or node, phase or -1, end of the slot [wall s] or 0) of each column; columns of cars that left have keys nobody asks for."""
    keys: list[Key] = [("gone", index) for index in range(len(model.program.columns))]
    ends = model.frame.ends_wall_s()
    for role, name, block, slots in _blocks(model):
        for step, slot in enumerate(slots):
            keys[block + step] = (role, name, -1, ends[slot])
    for ev_id, car in model.cars.items():
        for step in range(2 + car.has_minimum if car.short >= 0 else 0):
            keys[car.short + step] = ("short", ev_id, step, 0.0)
    _flow_keys(model, model.wiring.column, ends, keys)
    for (node, slot, phase, sign), (_, slack) in model.wiring.overloads.items():
        keys[slack] = ("overload", model.tree.bottom_up[node].node_id, (phase, sign), ends[slot])
    for (node, slot), (slack, _) in model.wiring.unbalance.items():
        keys[slack] = ("unbalance", model.tree.bottom_up[node].node_id, -1, ends[slot])
    for slot, (_, above, below) in model.site.setpoints.items():
        keys[above], keys[below] = ("setpoint", "above", -1, ends[slot]), ("setpoint", "below", -1, ends[slot])
    if model.site.peak >= 0:
        keys[model.site.peak] = ("peak", "", -1, 0.0)
    return keys


def row_keys(model: Model) -> list[Key]:
    """(role, car or node, phase or -1, end of the slot [wall s] or 0) of each row."""
    keys: list[Key] = [("gone", index) for index in range(len(model.program.rows))]
    ends, site = model.frame.ends_wall_s(), model.site
    for ev_id, car in model.cars.items():
        if car.need_row >= 0:
            keys[car.need_row] = ("need", ev_id, -1, 0.0)
        for number, block in enumerate([car.chain_row, *car.curve_rows] if car.level >= 0 else []):
            for step in range(car.slots):
                keys[block + step] = ("store", ev_id, number, ends[car.first + step])
    _flow_keys(model, model.wiring.row, ends, keys)
    for (node, slot, phase, sign), (row, _) in model.wiring.overloads.items():
        keys[row] = ("overload", model.tree.bottom_up[node].node_id, (phase, sign), ends[slot])
    for (node, slot), (_, rows) in model.wiring.unbalance.items():
        for pair, row in rows.items():
            keys[row] = ("unbalance", model.tree.bottom_up[node].node_id, pair, ends[slot])
    for node, block in model.wiring.totals.items():
        for slot, end in enumerate(ends):
            keys[block + slot] = ("total", model.tree.bottom_up[node].node_id, -1, end)
    for slot, (row, _, _) in site.setpoints.items():
        keys[row] = ("setpoint", "", -1, ends[slot])
    store = [] if site.store is None else [site.store.chain_row, site.store.reserve_row, site.store.deeper_row]
    for number, block in enumerate([site.exchange_row, *store]):
        for slot, end in enumerate(ends if block >= 0 else []):
            keys[block + slot] = ("site", "", number, end)
    for window, row in zip(site.windows, site.window_rows, strict=True):
        keys[row] = ("window", tuple(ends[slot] for slot, _ in window.parts), window.hours, window.running)
    return keys


def _flow_keys(model: Model, table: list[list[list[int]]], ends: list[float], keys: list[Key]) -> None:
    for node, slots in zip(model.tree.bottom_up, table, strict=True):
        for end, phases in zip(ends, slots, strict=True):
            for phase, index in enumerate(phases):
                if index >= 0:
                    keys[index] = ("flow", node.node_id, phase, end)


def _blocks(model: Model) -> Iterator[tuple[str, str, int, range]]:
    """(role, name, first column, slots) of every block of columns."""
    site, everything = model.site, range(len(model.frame.slots))
    blocks = {"bought": site.bought, "sold": site.sold, "over_in": site.over_in, "over_out": site.over_out}
    blocks |= {"reserve": site.reserve, "curtailed": site.curtailed}
    if site.store is not None:
        store = site.store
        blocks |= {"in": store.charge, "out": store.give, "level": store.level, "under": store.under, "deeper": store.deeper}
    for role, block in blocks.items():
        if block >= 0:
            yield role, "site", block, everything
    for ev_id, car in model.cars.items():
        whole, kept = range(car.first, car.last), range(car.first, car.first + car.keeps)
        for role, block, slots in (("charge", car.charge, whole), ("keep", car.keep, kept), ("give", car.give, whole),
                                   ("give_keep", car.give_keep, kept), ("store", car.level, whole)):  # fmt: skip
            if block >= 0:
                yield role, ev_id, block, slots
