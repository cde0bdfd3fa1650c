"""The numbers of a plan's program, one function per constraint group: bounds and right-hand sides for the problem of now.

Everything that depends on meters, forecasts, states of charge and the length of slots stands here and only here; ``Model.rewrite`` and
``build`` run the very same functions. The cars have ``fleet.py``. Slots of the model that are over have length 0, so all their energies
are 0. Energies in kWh (on wires: kWh of one phase); arrays over the model's slots, wires as (node, slot, phase).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from optimizer.columns import Floats, Sheet
from optimizer.objective import CHANGE, demand_cost
from optimizer.problem import Battery, Problem
from optimizer.wires import Tree, at_rest

if TYPE_CHECKING:
    from optimizer.model import Model

Truths = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Now:
    """A problem in the time of the model. running: its first slot. begin_s, end_s, hours (slot). fixed_a, limit_a, signs (node, slot,
    phase): load at rest, copper, unavoidable overloads. top_a: most current in the drawing direction, margin left. pv_a: PV per site
    phase. sound: slots where losing energy cannot pay."""

    running: int
    begin_s: Floats
    end_s: Floats
    hours: Floats
    fixed_a: Floats
    limit_a: Floats
    top_a: Floats
    signs: npt.NDArray[np.int8]
    site_signs: npt.NDArray[np.int8]
    pv_w: Floats
    most_in_w: Floats
    most_out_w: Floats
    sound: Truths


def look(problem: Problem, tree: Tree, running: int) -> Now:
    """A problem as the model needs it; slots before ``running`` are over."""
    rest = at_rest(problem, tree)
    begin = np.array([slot.start_wall_s for slot in problem.slots])
    end = begin + np.array([slot.duration_s for slot in problem.slots])
    idle_a = tree.fixed.copy()
    idle_a[-1][:, tree.site_phases] -= (rest.used_pv_w / (problem.voltage_v * len(tree.site_phases)))[:, None]
    top = np.minimum(rest.limit_a, np.maximum(rest.limit_a - rest.margin_a[:, :, None], idle_a))
    sound = _sound_slots(problem, tree.fixed[-1], (rest.signs < 0).any(axis=(0, 2)) | (rest.site_signs < 0))

    def whole(values: npt.NDArray[np.generic], axis: int = 0) -> npt.NDArray[np.generic]:
        if running == 0:
            return values
        over = np.zeros((*values.shape[:axis], running, *values.shape[axis + 1 :]), dtype=values.dtype)
        return np.concatenate((over, values), axis=axis)

    gone = np.full(running, begin[0])
    begin, end = np.concatenate((gone, begin)), np.concatenate((gone, end))
    wires = [whole(values, 1) for values in (tree.fixed, rest.limit_a, top, rest.signs)]
    site = [whole(values) for values in (rest.site_signs, rest.pv_w, rest.most_in_w, rest.most_out_w, sound)]
    return Now(running, begin, end, (end - begin) / 3600.0, *wires, *site)  # type: ignore[arg-type]


def _sound_slots(problem: Problem, root_a: Floats, feeding: Truths) -> Truths:
    """Slots where losing energy can neither earn money nor relieve a wire: buying costs, nobody feeds in too much.

    Elsewhere a linear program would like to charge and discharge one battery at the same time, which no battery can.
    """
    buy, sell = np.array(problem.buy_per_kwh), np.array(problem.sell_per_kwh)
    return np.asarray((buy > 0.0) & ~feeding & ((sell >= 0.0) | (root_a.sum(axis=1) >= 0.0)), dtype=bool)


# -- wires ----------------------------------------------------------------------------------------


def write_feeder_tree(model: Model, now: Now, sheet: Sheet) -> None:
    """The limit of a wire, less what flows there anyway, bounds what cars, battery and thrown-away PV add. An overload that other loads
    make alone is granted, and priced in a row of its own."""
    kwh_per_a = (model.problem.voltage_v / 1000.0 * now.hours)[None, :, None]
    there_a = now.fixed_a.copy()
    there_a[-1][:, model.tree.site_phases] -= (now.pv_w / (model.problem.voltage_v * len(model.tree.site_phases)))[:, None]
    top = np.where(now.signs > 0, now.fixed_a, now.top_a)
    bottom = np.where(now.signs < 0, now.fixed_a, -now.limit_a)
    at, columns = model.flows()
    sheet.high[columns] = ((top - there_a) * kwh_per_a).reshape(-1)[at]
    sheet.low[columns] = ((bottom - there_a) * kwh_per_a).reshape(-1)[at]
    used = _used_wires(model) if model.wiring.overloads else np.zeros(0)
    for (node, slot, phase, sign), (row, slack) in model.wiring.overloads.items():
        sheet.high[slack] = math.inf
        free = now.limit_a if used[node, slot, phase] else np.maximum(now.limit_a, sign * (top if sign > 0 else bottom))
        sheet.right[row] = (free[node, slot, phase] - sign * there_a[node, slot, phase]) * kwh_per_a[0, slot, 0]
    _write_unbalance(model, there_a * kwh_per_a, kwh_per_a[0, :, 0], sheet)
    for node, block in model.wiring.totals.items():
        told_w = np.concatenate((np.zeros(now.running), model.tree.bottom_up[node].slot_total_w))
        left_w = np.maximum(0.0, np.maximum(0.0, told_w) - there_a[node].sum(axis=1) * model.problem.voltage_v)
        sheet.right[block : block + len(told_w)] = left_w / 1000.0 * now.hours


def _used_wires(model: Model) -> Truths:
    """(node, slot, phase) that something still hangs on. After its last car has left, an overload of a wire is nobody's to relieve; it
    costs nothing then, as in a program that never knew the car."""
    used = np.zeros((len(model.tree.above), len(model.frame.slots), 3), dtype=bool)
    for ev in model.problem.evs:
        first, last = model.window_of(ev)
        used[model.tree.place[ev.node_id], first:last, ev.phases] = True
    for row, above in enumerate(model.tree.above):
        if above >= 0:
            used[above] |= used[row]
    if model.site.curtailed >= 0 or model.site.store is not None:
        used[-1][:, model.tree.site_phases] = True
    return used


def _write_unbalance(model: Model, there_kwh: Floats, kwh_per_a: Floats, sheet: Sheet) -> None:
    for (node, slot), (slack, rows) in model.wiring.unbalance.items():
        sheet.high[slack] = math.inf
        most_kwh = max(0.0, model.tree.bottom_up[node].max_unbalance_a or 0.0) * kwh_per_a[slot]
        there = there_kwh[node, slot]
        for (upper, lower), row in rows.items():
            sheet.right[row] = most_kwh - (there[upper] - there[lower])


def missing_overloads(model: Model, now: Now) -> list[tuple[int, int, int, int]]:
    """Unavoidable overloads (node, slot, phase, sign) that have no priced row yet."""
    found = []
    for node, slot, phase in np.argwhere(now.signs).tolist():
        sign = int(now.signs[node, slot, phase])
        if model.wiring.column[node][slot][phase] >= 0 and (node, slot, phase, sign) not in model.wiring.overloads:
            found.append((node, slot, phase, sign))
    return found


def blocked_charging(model: Model, now: Now) -> Truths | None:
    """(node, slot, phase): charging there would add to an overload; None when nothing is overloaded."""
    over = now.signs > 0
    over |= (now.site_signs > 0)[None, :, None]
    if not over.any():
        return None
    for node in range(len(model.tree.above) - 2, -1, -1):
        over[node] |= over[model.tree.above[node]]
    return over


# -- the site -------------------------------------------------------------------------------------


def write_grid_exchange(model: Model, now: Now, sheet: Sheet) -> None:
    """Bounds of import and export, and what flows at the root anyway."""
    site, hours, count = model.site, now.hours, len(now.hours)
    idle_w = now.fixed_a[-1].sum(axis=1) * model.problem.voltage_v
    sheet.right[site.exchange_row : site.exchange_row + count] = -(idle_w - now.pv_w) / 1000.0 * hours
    most_in = now.most_in_w
    if site.reserve >= 0:
        wanted = np.zeros(count)  # nobody may want one any more
        if model.problem.reserve_w:
            wanted[now.running :] = np.maximum(0.0, model.problem.reserve_w)
        fuse_w = np.minimum(most_in, now.limit_a[-1].sum(axis=1) * model.problem.voltage_v)
        most_in = np.where(wanted > 0.0, np.maximum(0.0, fuse_w - wanted), most_in)
        held = np.where(wanted > 0.0, now.most_in_w, 0.0) - np.where(wanted > 0.0, most_in, 0.0)
        sheet.high[site.reserve : site.reserve + count] = _kwh(held, hours)
    sheet.high[site.bought : site.bought + count] = _kwh(most_in, hours)
    sheet.high[site.sold : site.sold + count] = _kwh(np.minimum(now.most_out_w, _own_export_w(model, now, idle_w)), hours)
    over_in = np.where(now.site_signs > 0, idle_w - now.most_in_w, 0.0)
    over_out = np.where(now.site_signs < 0, -idle_w - now.most_out_w, 0.0)
    sheet.high[site.over_in : site.over_in + count] = np.maximum(0.0, over_in) / 1000.0 * hours
    sheet.high[site.over_out : site.over_out + count] = np.maximum(0.0, over_out) / 1000.0 * hours


def _own_export_w(model: Model, now: Now, idle_w: Floats) -> Floats:
    """What may be sold where the battery must not feed in: PV beyond the building, and what cars that are there can give."""
    battery = model.problem.battery
    if model.site.store is None or battery is None or battery.feeds_grid:
        return np.full(len(now.hours), math.inf)
    own_w: Floats = np.maximum(0.0, now.pv_w - idle_w)
    for ev in model.problem.evs:
        first, last = model.window_of(ev)
        own_w[first:last] += max(0.0, ev.max_discharge_w)
    return own_w


def _kwh(watts: Floats, hours: Floats) -> Floats:
    """Energies of powers that may be infinite; 0 in slots that are over."""
    return np.where(hours > 0.0, watts / 1000.0 * np.where(hours > 0.0, hours, 1.0), 0.0)


def write_setpoints(model: Model, now: Now, sheet: Sheet) -> None:
    """What somebody asks for, in slots that are not over."""
    asked = [None] * now.running + list(model.problem.grid_setpoint_w)
    for slot, (row, above, below) in model.site.setpoints.items():
        watts = asked[slot]
        sheet.high[above] = sheet.high[below] = math.inf
        sheet.right[row] = (watts or 0.0) / 1000.0 * now.hours[slot]


def write_peak(model: Model, now: Now, sheet: Sheet) -> None:
    """The peak already paid for, and what the running window has imported."""
    site = model.site
    if site.peak < 0:
        return
    sheet.low[site.peak], sheet.high[site.peak] = max(0.0, model.problem.peak_so_far_w) / 1000.0, math.inf
    sheet.cost[site.peak] = demand_cost(model.problem, model.weights)
    for window, row in zip(site.windows, site.window_rows, strict=True):
        sheet.right[row] = -max(0.0, model.problem.window_import_wh) / 1000.0 if window.running else 0.0


def write_pv_curtailment(model: Model, now: Now, sheet: Sheet) -> None:
    """No more than there is, and nothing where nobody can hold it down."""
    if model.site.curtailed >= 0:
        most_w = np.zeros_like(now.pv_w) if model.problem.pv_fixed else now.pv_w
        sheet.high[model.site.curtailed : model.site.curtailed + len(now.hours)] = most_w / 1000.0 * now.hours


def write_battery(model: Model, battery: Battery | None, now: Now, blocked: Truths | None, sheet: Sheet) -> None:
    """Powers, capacity and state of charge; resting where charging would add to an overload."""
    store, count = model.site.store, len(now.hours)
    if store is None or battery is None:
        return
    start_kwh, rests = battery.soc_wh / 1000.0, np.zeros(count, dtype=bool)
    if blocked is not None:
        rests = blocked[-1][:, model.tree.site_phases].any(axis=1)
    charge_w = np.minimum(battery.max_charge_w, now.pv_w) if battery.sun_only else np.full(count, battery.max_charge_w)
    sheet.high[store.charge : store.charge + count] = np.where(rests, 0.0, charge_w / 1000.0 * now.hours)
    give_w = np.full(count, battery.max_discharge_w) if battery.feeds_grid else np.minimum(battery.max_discharge_w, _takers_w(model, now))
    if battery.max_slot_discharge_w:
        give_w = np.minimum(give_w, np.concatenate((np.zeros(now.running), battery.max_slot_discharge_w)))
    sheet.high[store.give : store.give + count] = np.where(now.sound, give_w / 1000.0 * now.hours, 0.0)
    sheet.low[store.level : store.level + count] = min(battery.min_soc_wh / 1000.0, start_kwh)
    sheet.low[store.level + count - 1] = start_kwh
    sheet.high[store.level : store.level + count] = battery.capacity_wh / 1000.0
    sheet.right[store.chain_row] = start_kwh
    if store.under >= 0:
        _write_reserve(model, now, battery.reserve_wh / 1000.0, start_kwh, sheet)


def _takers_w(model: Model, now: Now) -> Floats:
    """The most that could be drawn besides the battery in each slot: what the building draws beyond PV, and every car that is there."""
    drawn_w: Floats = np.maximum(0.0, now.fixed_a.sum(axis=(0, 2)) * model.problem.voltage_v - now.pv_w)
    for ev in model.problem.evs:
        first, last = model.window_of(ev)
        drawn_w[first:last] += max(0.0, ev.max_power_w)
    return drawn_w


def _write_reserve(model: Model, now: Now, reserve_kwh: float, start_kwh: float, sheet: Sheet) -> None:
    """What lacks in the reserve counts from the running slot on; nobody can fill it in a slot that is over."""
    store, count, running = model.site.store, len(now.hours), now.running
    if store is None:
        return
    ahead = np.where(np.arange(count) < running, 0.0, reserve_kwh)
    sheet.high[store.under : store.under + count] = sheet.high[store.deeper : store.deeper + count] = ahead
    sheet.right[store.reserve_row : store.reserve_row + count] = ahead
    sheet.right[store.deeper_row : store.deeper_row + count] = 0.0
    sheet.right[store.deeper_row + running] = max(0.0, reserve_kwh - start_kwh)


def constant(model: Model, now: Now) -> float:
    """What the objective counts beside its columns: what keeping the power of now saves is counted from here on, so that changing it
    costs, and the peak already paid for is paid."""
    hours = float(now.hours[now.running])
    present = sum(abs(ev.present_power_w) for ev in model.problem.evs if model.cars[ev.ev_id].keeps)
    paid = demand_cost(model.problem, model.weights) * max(0.0, model.problem.peak_so_far_w) / 1000.0 if model.site.peak >= 0 else 0.0
    return CHANGE * present / 1000.0 * hours - paid
