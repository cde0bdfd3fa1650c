"""What it costs a car to wait: a price per slot that nobody pays, so that a plan puts off only what can be put off safely.

A linear program believes its forecast: it puts charging off to the cheapest hours, to the minute. Two things then go wrong. The car
leaves before it said, and gets nothing of what was planned for later. Or more cars come than expected, everybody has waited for the same
hours, and the wires there are full. So putting off has a price for each car and slot (``Ev.wait_per_kwh``):

- leaving: the share of past stays like this one that were over by then, of those that lasted until now, times the price of a missing kWh;
- scarcity: for each wire the energy that must have gone through it by some moment, expected cars included, is set against what it can
  carry until then. Where that part comes near to one, whatever a wire does not carry now it may never carry: waiting becomes dearer for
  everybody behind it, and most for who has least time to spare. With scarcity 1 that is least laxity first, inside the program.

Both are bounded by a few times the dearest energy price: a small risk is weighed against money, a great one wins. Energy first stays
above both. Without scarcity and risk nothing is priced. Prices of one quarter hour of the clock stay the same, by absolute time:
what changes them would cost the living program more work.

Pure. Units as in ``problem.py``.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final

from optimizer.expect import WEIGHT, WEIGHT_NO_DEMAND
from optimizer.problem import Ev, Node, Problem, Slot

QUARTER_S, HOUR_S = 900.0, 3600.0
CALM, SCARCE = 0.7, 1.0
"""Parts of what a wire can carry: below the first waiting is free, from the second on nobody waits."""
SCARCITY_PRICE = 1.0
LEAVING_PRICE = 10.0
"""Most that a kWh put off is charged for, in parts of the dearest energy price."""
BUSY = 2.0
"""Expected cars count as on a busy day, this many times the usual."""
LAXITY_SCALE_S = 48 * HOUR_S
"""A car with this much time to spare does not press at all."""
HURRY_PER_KWH = 0.1
"""The one price of energy [currency/kWh] where money does not count; which one makes no difference."""
LEAST = 1e-3
"""Prices below this part of the dearest energy price are none."""

Wire = tuple[str, int]
"""node_id, phase."""
ALL: Final = -1
"""In place of a phase: all of them together, where they have a limit in watts."""


@dataclass(frozen=True, slots=True)
class _Reason:
    """Why a car shall not wait, as known at one moment. scarce, pressing: 0..1. leaves_s: ascending, each as likely as the others."""

    scarce: float
    pressing: float
    leaves_s: Sequence[float]


@dataclass(slots=True)
class Waiting:
    """Prices of waiting from one problem to the next; remembers what it said in the running quarter hour. scarcity: of each wire, 0..1."""

    scarcity: dict[Wire, float] = field(default_factory=dict)
    _quarter: int = -1
    _reasons: dict[str, _Reason] = field(default_factory=dict)

    def priced(self, problem: Problem, leaves_s: Mapping[str, Sequence[float]] | None = None, hurry: bool = False) -> Problem:
        """The problem with prices of waiting for cars that are there. leaves_s: ev_id -> when it may leave [wall s], ascending,
        each as likely as the others; cars without an entry keep to their departure. hurry: every wire counts as scarce."""
        quarter = math.floor(problem.slots[0].start_wall_s / QUARTER_S)
        if quarter != self._quarter:
            self._quarter, self._reasons, self.scarcity = quarter, {}, scarcities(problem, hurry)
        wires = partial(wires_of, parents={node.node_id: node.parent for node in problem.nodes}, totals=limited_nodes(problem))
        if any(wire not in self.scarcity for ev in problem.evs if _wants(ev) for wire in wires(ev)):
            self.scarcity = scarcities(problem, hurry) | self.scarcity  # the first car behind a wire came within the quarter hour
        evs = tuple(ev if ev.expected else self._priced(ev, problem, wires, leaves_s or {}) for ev in problem.evs)
        return replace(problem, evs=evs)

    def _priced(self, ev: Ev, problem: Problem, wires: Callable[[Ev], list[Wire]], leaves_s: Mapping[str, Sequence[float]]) -> Ev:
        if ev.ev_id not in self._reasons:
            scarce = max((self.scarcity.get(wire, 0.0) for wire in wires(ev)), default=0.0)
            self._reasons[ev.ev_id] = _Reason(scarce, pressing(ev, problem.slots[0].start_wall_s), leaves_s.get(ev.ev_id, ()))
        prices = _prices(self._reasons[ev.ev_id], problem, (self._quarter + 1) * QUARTER_S)
        return replace(ev, wait_per_kwh=prices) if prices else ev


def _prices(reason: _Reason, problem: Problem, quarter_end_s: float) -> tuple[float, ...]:
    """One price per slot, ascending; () = waiting is free."""
    if reason.scarce < LEAST and not reason.leaves_s:
        return ()
    dearest = max(map(abs, problem.buy_per_kwh))
    if problem.shortfall_per_kwh is not None:  # waiting shall never be dearer than missing
        dearest = min(dearest, problem.shortfall_per_kwh / (2.0 * (LEAVING_PRICE + SCARCITY_PRICE)))
    parts = [_price(reason, slot, quarter_end_s) for slot in problem.slots]
    return tuple(round(dearest * part, 5) for part in parts) if parts[-1] >= LEAST else ()


def _price(reason: _Reason, slot: Slot, quarter_end_s: float) -> float:
    """In parts of the dearest energy price. Times that stay the same while the first slot shrinks.

    Who presses pays less now, not more later: else a car that lacks energy anyway would best be served never.
    """
    end_s = slot.start_wall_s + slot.duration_s
    soon = end_s <= quarter_end_s + 1e-3
    by_s = end_s if soon else slot.start_wall_s + slot.duration_s / 2.0
    gone = bisect_right(reason.leaves_s, by_s) / len(reason.leaves_s) if reason.leaves_s else 0.0
    return LEAVING_PRICE * gone + SCARCITY_PRICE * reason.scarce * (1.0 - reason.pressing if soon else 1.0)


def at_one_price(problem: Problem) -> Problem:
    """The problem without reasons to wait: one price for buying and selling (or it would wait for the sun), no demand charge."""
    count = len(problem.slots)
    return replace(problem, buy_per_kwh=(HURRY_PER_KWH,) * count, sell_per_kwh=(HURRY_PER_KWH,) * count, demand_per_kw=0.0)


def pressing(ev: Ev, now_wall_s: float) -> float:
    """1 for a car that must charge from now until it leaves, evenly less the more time it has to spare."""
    spare_s = ev.departure_wall_s - now_wall_s - (HOUR_S * ev.energy_need_wh / ev.max_power_w if ev.max_power_w > 0.0 else 0.0)
    return max(0.0, 1.0 - max(0.0, spare_s) / LAXITY_SCALE_S)


# -- scarcity -----------------------------------------------------------------------------------------


def scarcities(problem: Problem, hurry: bool = False) -> dict[Wire, float]:
    """How scarce each wire with cars behind it is, 0..1. hurry: all are."""
    return {wire: 1.0 if hurry else min(1.0, max(0.0, (part - CALM) / (SCARCE - CALM))) for wire, part in needed_parts(problem).items()}


def needed_parts(problem: Problem) -> dict[Wire, float]:
    """Part of what each wire can carry until some moment that must have gone through it by then, at the worst moment; inf: it carries nothing."""
    parents, totals = {node.node_id: node.parent for node in problem.nodes}, limited_nodes(problem)
    due_wh: dict[Wire, list[float]] = {}
    busy = BUSY / (WEIGHT if problem.demand_per_kw > 0.0 else WEIGHT_NO_DEMAND)
    for ev in problem.evs:
        if _wants(ev):
            whole = [(busy if ev.expected else 1.0) * amount for amount in _due_wh(ev, problem.slots)]
            each = [amount / len(ev.phases) for amount in whole]
            for wire in wires_of(ev, parents, totals):
                amounts, so_far = whole if wire[1] == ALL else each, due_wh.get(wire)
                due_wh[wire] = amounts if so_far is None else [one + more for one, more in zip(so_far, amounts, strict=True)]
    room_wh = {wire: _room_wh(node, wire[1], problem) for node in problem.nodes for wire in due_wh if wire[0] == node.node_id}
    return {wire: max(map(_part, amounts, room_wh[wire])) for wire, amounts in due_wh.items()}


def _wants(ev: Ev) -> bool:
    return ev.energy_need_wh > 0.0 and ev.max_power_w > 0.0


def limited_nodes(problem: Problem) -> frozenset[str]:
    """Nodes with a limit of all phases together."""
    return frozenset(node.node_id for node in problem.nodes if _totals_w(node, problem))


def _totals_w(node: Node, problem: Problem) -> Sequence[float]:
    """Limit of all phases of a node per slot [W]; () = there is none."""
    return node.slot_total_w or (problem.import_limit_w if node.parent is None else ())


def wires_of(ev: Ev, parents: Mapping[str, str | None], totals: Collection[str] = ()) -> list[Wire]:
    """The phases of all nodes between the car and the grid, and those nodes as a whole that limit all phases together (totals)."""
    found: list[Wire] = []
    at: str | None = ev.node_id
    while at is not None and len(found) <= 4 * len(parents):
        found += [(at, phase) for phase in ev.phases]
        if at in totals:
            found.append((at, ALL))
        at = parents.get(at)
    return found


def _due_wh(ev: Ev, slots: Sequence[Slot]) -> list[float]:
    """What must be in the car by the end of each slot, for the rest to fit in at full power before it leaves."""
    ends_s = (slot.start_wall_s + slot.duration_s for slot in slots)
    return [max(0.0, ev.energy_need_wh - ev.max_power_w * max(0.0, ev.departure_wall_s - end_s) / HOUR_S) for end_s in ends_s]


def _room_wh(node: Node, phase: int, problem: Problem) -> list[float]:
    """What one phase of a node, or all together, can carry for cars from now to the end of each slot, beside its own other load."""
    total, found = 0.0, []
    limits_w = _totals_w(node, problem) if phase == ALL else ()
    for at, slot in enumerate(problem.slots):
        if limits_w:
            other_w = sum(node.other_load_a[at]) * problem.voltage_v if node.other_load_a else 0.0
            total += max(0.0, limits_w[at] - other_w) * slot.hours
            found.append(total)
            continue
        most_a = min(node.limit_a[phase], node.slot_limit_a[at]) if node.slot_limit_a else node.limit_a[phase]
        other_a = (node.other_load_a[at][phase] if node.other_load_a else 0.0) + (node.margin_a[at] if node.margin_a else 0.0)
        total += max(0.0, most_a - other_a) * problem.voltage_v * slot.hours
        found.append(total)
    return found


def _part(amount_wh: float, room_wh: float) -> float:
    if amount_wh <= 0.0:
        return 0.0
    return amount_wh / room_wh if room_wh > 0.0 else math.inf
