"""The numbers of the cars in a plan's program: bounds and right-hand sides for the problem of now.

Part of ``numbers.py``, which has the site's. Energies in kWh; arrays are (car) or (car, slot of the model).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from optimizer.cars import NO_CURVE, believed_efficiency, curve_of, need_wh
from optimizer.columns import Floats, Ints, Sheet
from optimizer.numbers import Now, Truths
from optimizer.objective import CHANGE, EARLY, keep_costs, later_costs, waiting_costs
from optimizer.parts import Car
from optimizer.problem import Ev

if TYPE_CHECKING:
    from optimizer.model import Model


class Fleet:
    """The cars that have columns, as arrays (car) and (car, slot). The order is that of the problem."""

    def __init__(self, model: Model, now: Now) -> None:
        pairs = [(ev, car) for ev in model.problem.evs if (car := model.cars[ev.ev_id]).last > car.first]
        self.evs, self.cars = [ev for ev, _ in pairs], [car for _, car in pairs]
        told = [(ev.arrival_wall_s, ev.departure_wall_s, ev.max_power_w, ev.max_discharge_w, ev.present_power_w, need_wh(ev)) for ev in self.evs]
        self.arrival, self.departure, self.power_w, self.give_w, self.present_w, self.need = np.array(told, dtype=float).reshape(-1, 6).T
        windows = np.array([model.window_of(ev) for ev in self.evs], dtype=np.int64).reshape(-1, 2)
        self.need = np.where(windows[:, 1] > windows[:, 0], self.need / 1000.0, 0.0)  # nobody plans for a car that has no slot left
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
    _write_waiting(model, fleet, now, sheet)
    _write_needs(fleet, sheet)
    for ev, car, need_kwh in zip(fleet.evs, fleet.cars, fleet.need, strict=True):
        if car.level >= 0:
            _write_store(ev, car, float(need_kwh), sheet)
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


def _write_waiting(model: Model, fleet: Fleet, now: Now, sheet: Sheet) -> None:
    """Costs of charging in slots that are not over, the price of waiting on top; a car without one gets its plain costs back once."""
    for row, (ev, car) in enumerate(zip(fleet.evs, fleet.cars, strict=True)):
        begin = max(car.first, now.running)
        at = begin - car.first
        if not (ev.wait_per_kwh or car.waits) or begin >= car.last:
            continue
        waits = waiting_costs(ev, begin - now.running, car.last - now.running, model.weights)
        costs = np.array(later_costs(model.frame, car)[at:]) + waits
        if begin == now.running and at < car.keeps:
            costs[0] = EARLY * model.frame.lateness[begin] + CHANGE + waits[0]
        sheet.cost[fleet.charge[row] + at : fleet.charge[row] + car.slots] = costs
        if at < car.keeps:
            sheet.cost[fleet.keep[row] + at : fleet.keep[row] + car.keeps] = np.array(keep_costs(model.frame, car)[at:]) + waits[: car.keeps - at]
        car.waits = bool(ev.wait_per_kwh)


def _write_needs(fleet: Fleet, sheet: Sheet) -> None:
    """What may be missing: a half, another half, and the minimum; and, for cars that only charge, the need itself."""
    least = np.array([max(0.0, ev.minimum_wh) if car.has_minimum else 0.0 for ev, car in zip(fleet.evs, fleet.cars, strict=True)]) / 1000.0
    least = np.minimum(least, fleet.need)
    half = (fleet.need - least) / 2.0
    sheet.high[fleet.short] = sheet.high[fleet.short + 1] = half
    has = np.array([car.has_minimum for car in fleet.cars], dtype=bool)
    sheet.high[fleet.short[has] + 2] = least[has]
    sheet.right[fleet.need_row] = fleet.need


def _write_store(ev: Ev, car: Car, need_kwh: float, sheet: Sheet) -> None:
    """A store begins at the state of charge; a V2G car's stays between reserve and full."""
    soc_kwh, block = ev.soc_wh / 1000.0, slice(car.level, car.level + car.slots)
    sheet.low[block] = max(0.0, ev.reserve_wh) / 1000.0 if car.two_way else 0.0
    sheet.high[block] = ev.capacity_wh / 1000.0 if car.two_way else math.inf
    sheet.right[car.chain_row] = soc_kwh
    sheet.right[car.need_row] = soc_kwh + believed_efficiency(ev) * need_kwh


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
