"""What a limit is worth while a plan is in force, from the plan's shadow prices.

A shadow price is exact for the next ampere only. What a limit cost in all, and what 10 A more would save, is estimated: every ampere
more is worth less than the one before, down to nothing where all cars that are there draw all they can (a triangle instead of the
unknown curve). Money and missing energy are told apart: where a plan cannot serve everybody the price of an ampere is the plan's own
penalty, which nobody pays; such time is told as energy, and never as more of it than the plan leaves missing below that limit.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from controller.site.session_memory import number_or_none
from optimizer.problem import Ev, Plan, PlanStatus, Problem, ShadowPrice

LEAST_PER_KWH: Final = 1e-3
"""A limit is said to hold cars back from this price on [currency/kWh]: below it stand the plan's preferences, not money."""
PENALTY_PART: Final = 1.3
"""Prices above the dearest possible shift of a kWh by this factor are penalties (losses on the way explain the rest)."""
LEAST_MISSING_KWH: Final = 0.05
"""A car that misses less is served."""
MORE: Final = 10.0
"""The step of copper that is told about [A, kW]."""
SITE_WIDE: Final = ("import", "export", "peak")


@dataclass(slots=True)
class Sum:
    """One limit over one day. per_unit, cost, saved: money; short_s, short_wh: time and energy where cars could not be served at all.

    per_unit: what the next A (kW) would have saved, exact; saved: what ``MORE`` would have; cost: what the limit cost in all.
    """

    bound_s: float = 0.0
    per_unit: float = 0.0
    cost: float = 0.0
    saved: float = 0.0
    short_s: float = 0.0
    short_wh: float = 0.0
    phase_s: list[float] = field(default_factory=lambda: [0.0, 0.0, 0.0])

    def add(self, other: Sum) -> None:
        """Take another sum in."""
        self.bound_s += other.bound_s
        self.per_unit += other.per_unit
        self.cost += other.cost
        self.saved += other.saved
        self.short_s += other.short_s
        self.short_wh += other.short_wh
        self.phase_s = [mine + its for mine, its in zip(self.phase_s, other.phase_s, strict=True)]

    def times(self, seconds: float) -> Sum:
        """A rate over so many seconds."""
        bound_s, per_unit, cost, saved = self.bound_s * seconds, self.per_unit * seconds, self.cost * seconds, self.saved * seconds
        phase_s = [value * seconds for value in self.phase_s]
        return Sum(bound_s, per_unit, cost, saved, self.short_s * seconds, self.short_wh * seconds, phase_s)

    def numbers(self) -> list[float]:
        """For the journal."""
        return [round(value, 4) for value in (self.bound_s, self.per_unit, self.cost, self.saved, self.short_s, self.short_wh, *self.phase_s)]


def sum_from(numbers: Any) -> Sum | None:
    """Back from the journal, None for anything that is no such thing."""
    if not isinstance(numbers, list) or len(numbers) != 9:
        return None
    values = [number_or_none(value) for value in numbers]
    known = [value for value in values if value is not None and value >= 0.0]
    if len(known) != 9:
        return None
    bound_s, per_unit, cost, saved, short_s, short_wh = known[:6]
    return Sum(bound_s, per_unit, cost, saved, short_s, short_wh, known[6:])


def rates(plan: Plan, problem: Problem, slot: int) -> dict[str, Sum]:
    """What a second of this slot adds, by limit."""
    found: dict[str, Sum] = {}
    if plan.status is not PlanStatus.PROVED or not plan.shadow:
        return found
    room, most = _room(plan, problem, slot), PENALTY_PART * dearest_shift(problem)
    mended = _mended(plan, problem, most)
    for price in plan.shadow:
        wanted = room.get((price.where, price.phase), 0.0)
        rate = _rate(price, plan.slots[slot].duration_s, slot, wanted, problem.voltage_v, most, mended.get(price.where, 0.0))
        if rate is not None:
            known = found.setdefault(price.where, Sum())
            known.add(rate)
            known.bound_s, known.short_s = 1.0, min(1.0, known.short_s)
    return found


def _rate(price: ShadowPrice, duration_s: float, slot: int, wanted: float, voltage_v: float, most_per_kwh: float, mended: float) -> Sum | None:
    """One phase of one limit; None where it does not bind in this slot. wanted: how much more the cars could draw [A, kW]; mended: see below."""
    per_unit = price.slots[slot] if slot < len(price.slots) else 0.0
    per_kwh = _per_kwh(price, per_unit, duration_s, voltage_v)
    if per_kwh < LEAST_PER_KWH:
        return None
    phase_s = [1.0 if price.phase == phase else 0.0 for phase in range(3)]
    step = min(MORE, wanted)
    if per_kwh > most_per_kwh:
        return Sum(1.0, 0.0, 0.0, 0.0, float(mended > 0.0), mended * step * _unit_kw(price, voltage_v) * 1000.0 / 3600.0, phase_s)
    each = per_unit / duration_s
    if price.where == "peak":  # a price that the plan weighs against, nothing that is lost
        return Sum(1.0, each, 0.0, 0.0, 0.0, 0.0, phase_s)
    saved = each * step * (1.0 - step / (2.0 * wanted)) if wanted > 0 else 0.0
    return Sum(1.0, each, each * wanted / 2.0, saved, 0.0, 0.0, phase_s)


def _unit_kw(price: ShadowPrice, voltage_v: float) -> float:
    return 1.0 if price.where in SITE_WIDE else voltage_v / 1000.0


def _per_kwh(price: ShadowPrice, per_unit: float, duration_s: float, voltage_v: float) -> float:
    return per_unit / (_unit_kw(price, voltage_v) * duration_s / 3600.0) if duration_s > 0 else 0.0


def _mended(plan: Plan, problem: Problem, most_per_kwh: float) -> dict[str, float]:
    """By limit: the part of ``MORE`` that is needed, in all slots in which it keeps somebody short, for what is missing below it; 0 = nothing is."""
    missing_kwh, could_kwh = _missing_kwh(plan, problem), dict[str, float]()
    for price in plan.shadow:
        for per_unit, slot in zip(price.slots, plan.slots, strict=False):
            if _per_kwh(price, per_unit, slot.duration_s, problem.voltage_v) > most_per_kwh:
                could_kwh[price.where] = could_kwh.get(price.where, 0.0) + MORE * _unit_kw(price, problem.voltage_v) * slot.hours
    return {where: min(1.0, missing_kwh.get(where, 0.0) / kwh) for where, kwh in could_kwh.items() if kwh > 0.0}


def _missing_kwh(plan: Plan, problem: Problem) -> dict[str, float]:
    """What the cars below each limit will miss; cars that may not come miss nothing."""
    parents: Mapping[str, str | None] = {node.node_id: node.parent for node in problem.nodes}
    found: dict[str, float] = {}
    for ev in problem.evs:
        kwh = plan.shortfall_wh.get(ev.ev_id, 0.0) / 1000.0
        if ev.expected or kwh < LEAST_MISSING_KWH:
            continue
        for where in (ev.node_id, *_path(ev.node_id, parents), *SITE_WIDE):
            found[where] = found.get(where, 0.0) + kwh
    return found


def dearest_shift(problem: Problem) -> float:
    """The most that a kWh could save by moving to another hour, a demand charge included [currency/kWh]."""
    prices = (*problem.buy_per_kwh, *problem.sell_per_kwh, 0.0)
    carbon = (max(problem.co2_kg_per_kwh) - min(problem.co2_kg_per_kwh)) * problem.co2_per_kg if problem.co2_kg_per_kwh else 0.0
    peak = problem.demand_per_kw / (problem.demand_window_s / 3600.0)
    return max(prices) - min(prices) + carbon + peak


def _room(plan: Plan, problem: Problem, slot: int) -> dict[tuple[str, int | None], float]:
    """How much more the cars below each limit could draw in a slot: (node, phase) -> A, (import, export or peak, None) -> kW."""
    parents: Mapping[str, str | None] = {node.node_id: node.parent for node in problem.nodes}
    found: dict[tuple[str, int | None], float] = {}
    whole_kw = 0.0
    for ev in problem.evs:
        series = plan.ev_power_w.get(ev.ev_id, ())
        spare_w = _most_w(ev, problem, slot) - (series[slot] if slot < len(series) else 0.0)
        if spare_w <= 0.0 or not ev.phases:
            continue
        whole_kw += spare_w / 1000.0
        for phase in ev.phases:
            key = (ev.node_id, phase)
            found[key] = found.get(key, 0.0) + spare_w / (problem.voltage_v * len(ev.phases))
    for (node_id, leg), amps in list(found.items()):
        for above in _path(node_id, parents):
            found[above, leg] = found.get((above, leg), 0.0) + amps
    return found | {(where, None): whole_kw for where in SITE_WIDE}


def _path(node_id: str, parents: Mapping[str, str | None]) -> list[str]:
    """The nodes above one, nearest first."""
    path: list[str] = []
    step = parents.get(node_id)
    while step is not None and step not in path:
        path.append(step)
        step = parents.get(step)
    return path


def _most_w(ev: Ev, problem: Problem, slot: int) -> float:
    """The most a car can draw on average in a slot, 0 outside its stay or when it needs nothing [W]."""
    begin_s = problem.slots[slot].start_wall_s
    if ev.arrival_wall_s > begin_s or ev.departure_wall_s <= begin_s or ev.energy_need_wh <= 0:
        return 0.0
    return min(ev.max_power_w, ev.max_slot_power_w[slot] if ev.max_slot_power_w else math.inf)
