"""The numbers of a plan's program, one function per constraint group: bounds and right-hand sides for the problem of now.

Everything that depends on meters, forecasts, states of charge and the length of slots stands here and only here; ``Model.rewrite`` and
``build`` run the very same functions. Slots of the model that are over have length 0, so all their energies are 0. Energies in kWh (on
wires: kWh of one phase); arrays over the model's slots, wires as (node, slot, phase).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from optimizer.cars import NO_CURVE, believed_efficiency, curve_of, need_wh
from optimizer.columns import Floats, Ints, Sheet
from optimizer.objective import CHANGE, EARLY, demand_cost
from optimizer.parts import Car
from optimizer.problem import Battery, Ev, Problem
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
    for (node, slot, phase, sign), (row, slack) in model.wiring.overloads.items():
        sheet.high[slack] = math.inf
        sheet.right[row] = (now.limit_a[node, slot, phase] - sign * there_a[node, slot, phase]) * kwh_per_a[0, slot, 0]
    _write_unbalance(model, there_a * kwh_per_a, kwh_per_a[0, :, 0], sheet)


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
        wanted = np.concatenate((np.zeros(now.running), np.maximum(0.0, model.problem.reserve_w)))
        fuse_w = np.minimum(most_in, now.limit_a[-1].sum(axis=1) * model.problem.voltage_v)
        most_in = np.where(wanted > 0.0, np.maximum(0.0, fuse_w - wanted), most_in)
        held = np.where(wanted > 0.0, now.most_in_w, 0.0) - np.where(wanted > 0.0, most_in, 0.0)
        sheet.high[site.reserve : site.reserve + count] = _kwh(held, hours)
    sheet.high[site.bought : site.bought + count] = _kwh(most_in, hours)
    sheet.high[site.sold : site.sold + count] = _kwh(now.most_out_w, hours)
    over_in = np.where(now.site_signs > 0, idle_w - now.most_in_w, 0.0)
    over_out = np.where(now.site_signs < 0, -idle_w - now.most_out_w, 0.0)
    sheet.high[site.over_in : site.over_in + count] = np.maximum(0.0, over_in) / 1000.0 * hours
    sheet.high[site.over_out : site.over_out + count] = np.maximum(0.0, over_out) / 1000.0 * hours


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
    """No more than there is."""
    if model.site.curtailed >= 0:
        sheet.high[model.site.curtailed : model.site.curtailed + len(now.hours)] = now.pv_w / 1000.0 * now.hours


def write_battery(model: Model, battery: Battery | None, now: Now, blocked: Truths | None, sheet: Sheet) -> None:
    """Powers, capacity and state of charge; resting where charging would add to an overload."""
    store, count = model.site.store, len(now.hours)
    if store is None or battery is None:
        return
    start_kwh, rests = battery.soc_wh / 1000.0, np.zeros(count, dtype=bool)
    if blocked is not None:
        rests = blocked[-1][:, model.tree.site_phases].any(axis=1)
    sheet.high[store.charge : store.charge + count] = np.where(rests, 0.0, battery.max_charge_w / 1000.0 * now.hours)
    sheet.high[store.give : store.give + count] = np.where(now.sound, battery.max_discharge_w / 1000.0 * now.hours, 0.0)
    sheet.low[store.level : store.level + count] = min(battery.min_soc_wh / 1000.0, start_kwh)
    sheet.low[store.level + count - 1] = start_kwh
    sheet.high[store.level : store.level + count] = battery.capacity_wh / 1000.0
    sheet.right[store.chain_row] = start_kwh
    if store.under >= 0:
        reserve_kwh = battery.reserve_wh / 1000.0
        sheet.high[store.under : store.under + count] = reserve_kwh
        sheet.high[store.deeper : store.deeper + count] = reserve_kwh
        sheet.right[store.reserve_row : store.reserve_row + count] = reserve_kwh
        sheet.right[store.deeper_row] = max(0.0, reserve_kwh - start_kwh)


# -- cars -----------------------------------------------------------------------------------------


class Fleet:
    """The cars that have columns, as arrays (car) and (car, slot). The order is that of the problem."""

    def __init__(self, model: Model, now: Now) -> None:
        pairs = [(ev, car) for ev in model.problem.evs if (car := model.cars[ev.ev_id]).last > car.first]
        self.evs, self.cars = [ev for ev, _ in pairs], [car for _, car in pairs]
        told = [(ev.arrival_wall_s, ev.departure_wall_s, ev.max_power_w, ev.max_discharge_w, ev.present_power_w, need_wh(ev)) for ev in self.evs]
        self.arrival, self.departure, self.power_w, self.give_w, self.present_w, self.need = np.array(told, dtype=float).reshape(-1, 6).T
        self.need = self.need / 1000.0
        places = [(car.first, car.last, car.charge, car.keep, car.keeps, car.short, car.need_row, car.give, car.give_keep) for car in self.cars]
        table = np.array(places, dtype=np.int64).reshape(-1, 9).T
        self.first, self.last, self.charge, self.keep, self.keeps, self.short, self.need_row, self.give, self.give_keep = table
        self.there_h = _there_h(self.arrival, self.departure, now)
        slots = np.arange(len(now.hours))
        self.own = (slots >= self.first[:, None]) & (slots < self.last[:, None])
        self.steps = slots - self.first[:, None]

    def __len__(self) -> int:
        return len(self.cars)


def _there_h(arrival: Floats, departure: Floats, now: Now) -> Floats:
    """Hours of each slot in which each car is there (car, slot)."""
    stay_s = np.minimum(departure[:, None], now.end_s) - np.maximum(arrival[:, None], now.begin_s)
    return np.asarray(np.maximum(0.0, stay_s) / 3600.0, dtype=float)


def write_cars(model: Model, now: Now, blocked: Truths | None, sheet: Sheet) -> None:
    """Bounds and right-hand sides of all cars."""
    fleet = Fleet(model, now)
    if not len(fleet):
        return
    able = _per_slot(fleet.power_w, fleet.evs, now, "max_slot_power_w") * fleet.there_h / 1000.0
    most = able if blocked is None else np.where(_blocked_cars(fleet, blocked), 0.0, able)
    _write_charging(model, fleet, now, _accepted(fleet, now, most), sheet)
    _write_discharging(model, fleet, now, able, sheet)
    _write_needs(fleet, sheet)
    for ev, car in zip(fleet.evs, fleet.cars, strict=True):
        if car.level >= 0:
            _write_store(ev, car, sheet)
            if car.curve_rows:
                _write_acceptance(model, ev, car, now, sheet)


def _per_slot(own_w: Floats, evs: Sequence[Ev], now: Now, name: str) -> Floats:
    """A bound of each car in each slot [W]: its own and, where there is one, the slot's."""
    bounds = np.repeat(np.maximum(0.0, own_w)[:, None], len(now.hours), axis=1)
    given = [(row, values) for row, ev in enumerate(evs) if (values := getattr(ev, name))]
    if given:
        rows = [row for row, _ in given]
        told = np.maximum(0.0, np.array([values for _, values in given], dtype=float))
        bounds[rows, now.running :] = np.minimum(bounds[rows, now.running :], told)
    return bounds


def _blocked_cars(fleet: Fleet, blocked: Truths) -> Truths:
    uses = np.zeros((len(fleet), 1, 3), dtype=bool)
    for row, ev in enumerate(fleet.evs):
        uses[row, 0, ev.phases] = True
    nodes = [car.row for car in fleet.cars]
    return np.asarray((blocked[nodes] & uses).any(axis=2), dtype=bool)


def _accepted(fleet: Fleet, now: Now, most: Floats) -> Floats:
    """What cars with a curve of their own take at most; in the running slot the whole curve, for there its state is known."""
    for row, (ev, car) in enumerate(zip(fleet.evs, fleet.cars, strict=True)):
        if car.curve is NO_CURVE:
            continue
        curve = curve_of(ev)
        if curve.cap_w != math.inf:
            most[row] = np.minimum(most[row], curve.cap_w / 1000.0 * now.hours)
        hours = float(now.hours[now.running])
        for start_w, slope in curve.lines:
            now_kw = max(0.0, start_w + slope * ev.soc_wh) / 1000.0
            here_kwh = hours * now_kw / (1.0 - hours * believed_efficiency(ev) * slope / 2.0)
            most[row, now.running] = min(most[row, now.running], here_kwh)
    return most


def _write_charging(model: Model, fleet: Fleet, now: Now, most: Floats, sheet: Sheet) -> None:
    kept = np.clip(fleet.present_w / 1000.0 * now.hours[now.running], 0.0, most[:, now.running])
    _write_power(model, fleet, now, most, kept, (fleet.charge, fleet.keep), sheet)


def _write_discharging(model: Model, fleet: Fleet, now: Now, able: Floats, sheet: Sheet) -> None:
    """A V2G car may give where it may also take, and only in slots where wasting energy cannot pay."""
    most = _per_slot(fleet.give_w, fleet.evs, now, "max_slot_discharge_w") * fleet.there_h / 1000.0
    most = np.where((able > 0.0) & now.sound & (fleet.give >= 0)[:, None], most, 0.0)
    kept = np.clip(-fleet.present_w / 1000.0 * now.hours[now.running], 0.0, most[:, now.running])
    _write_power(model, fleet, now, most, kept, (fleet.give, fleet.give_keep), sheet)


def _write_power(model: Model, fleet: Fleet, now: Now, most: Floats, kept: Floats, blocks: tuple[Ints, Ints], sheet: Sheet) -> None:
    """Bounds of a direction's columns: in the running slot the power of now has its own column, the rest is for more."""
    block, keep = blocks
    most, running = most.copy(), now.running
    for step in range(int(fleet.keeps.max(initial=0))):
        here = (block >= 0) & (fleet.keeps > step)
        sheet.high[keep[here] + step] = np.where(fleet.first[here] + step == running, kept[here], 0.0)
    split = (block >= 0) & (fleet.first <= running) & (running < fleet.first + fleet.keeps)
    most[split, running] -= kept[split]
    mask = fleet.own & (block >= 0)[:, None]
    sheet.high[(block[:, None] + fleet.steps)[mask]] = most[mask]
    # Power in the running slot costs a change, but not what later power costs on top.
    wear = np.array([car.wear if block is fleet.give else 0.0 for car in fleet.cars])
    sheet.cost[block[split] + running - fleet.first[split]] = wear[split] + EARLY * model.frame.lateness[running] + CHANGE


def _write_needs(fleet: Fleet, sheet: Sheet) -> None:
    """What may be missing: a half, another half, and the minimum; and, for cars that only charge, the need itself."""
    least = np.array([max(0.0, ev.minimum_wh) if car.has_minimum else 0.0 for ev, car in zip(fleet.evs, fleet.cars, strict=True)]) / 1000.0
    least = np.minimum(least, fleet.need)
    half = (fleet.need - least) / 2.0
    sheet.high[fleet.short] = sheet.high[fleet.short + 1] = half
    has = np.array([car.has_minimum for car in fleet.cars], dtype=bool)
    sheet.high[fleet.short[has] + 2] = least[has]
    sheet.right[fleet.need_row] = fleet.need


def _write_store(ev: Ev, car: Car, sheet: Sheet) -> None:
    """A store begins at the state of charge; a V2G car's stays between reserve and full."""
    soc_kwh, block = ev.soc_wh / 1000.0, slice(car.level, car.level + car.slots)
    sheet.low[block] = max(0.0, ev.reserve_wh) / 1000.0 if car.two_way else 0.0
    sheet.high[block] = ev.capacity_wh / 1000.0 if car.two_way else math.inf
    sheet.right[car.chain_row] = soc_kwh
    sheet.right[car.need_row] = soc_kwh + believed_efficiency(ev) * need_wh(ev) / 1000.0


def _write_acceptance(model: Model, ev: Ev, car: Car, now: Now, sheet: Sheet) -> None:
    """Right-hand sides of the car's own curve. In the running slot it is a bound already, and there the row says nothing."""
    lines, soc_kwh = curve_of(ev).lines, ev.soc_wh / 1000.0
    for number, row in enumerate(car.curve_rows):
        start_w, slope = car.curve.lines[number]
        start_kw = max(start_w / 1000.0, -slope * soc_kwh)  # standing still is always possible
        for at in range(car.slots):
            full_h = model.frame.slots[car.first + at].hours
            right = start_kw * full_h + (0.5 * slope * full_h * soc_kwh if at == 0 else 0.0)
            if car.first + at <= now.running or not lines:
                right = 2.0 * (start_kw * full_h + max(0.0, ev.max_power_w) / 1000.0 * full_h - slope * full_h * model.most_kwh(ev))
            sheet.right[row + at] = right


def shut(car: Car, sheet: Sheet) -> None:
    """A car that left: all its columns at 0, its rows without a say."""
    blocks = [(car.charge, car.slots), (car.keep, car.keeps), (car.give, car.slots), (car.give_keep, car.keeps), (car.level, car.slots)]
    for start, count in [*blocks, (car.short, 2 + car.has_minimum)]:
        if start >= 0:
            sheet.low[start : start + count] = sheet.high[start : start + count] = 0.0
    for start, count in [(car.need_row, 1), (car.chain_row, car.slots), *((row, car.slots) for row in car.curve_rows)]:
        if start >= 0:
            sheet.right[start : start + count] = 0.0


def constant(model: Model, now: Now) -> float:
    """What the objective counts beside its columns: what keeping the power of now saves is counted from here on, so that changing it
    costs, and the peak already paid for is paid."""
    hours = float(now.hours[now.running])
    present = sum(abs(ev.present_power_w) for ev in model.problem.evs if model.cars[ev.ev_id].keeps)
    paid = demand_cost(model.problem, model.weights) * max(0.0, model.problem.peak_so_far_w) / 1000.0 if model.site.peak >= 0 else 0.0
    return CHANGE * present / 1000.0 * hours - paid
