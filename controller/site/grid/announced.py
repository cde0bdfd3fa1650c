"""Announced limits as parts of the planning problem: what a schedule says of the next day, so that cars are charged before an event.

A limit of a circuit becomes limits of its node in the slots it touches; one of the controllable loads a node of their sum
(``posing_faces``); one of feed-in a limit of the connection's export; one of generation bounds PV first and leaves the rest to the battery,
as the laws of the devices do; a setpoint the grid power that is asked for. In the slots of an event the import down to its limit is kept
free, so that what the battery and late cars do leaves room for it, too.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from controller.config import ROOT_CIRCUIT
from optimizer.problem import Ev, Node, Problem, Slot

MISSING: Final = 2.0
OUTRANKS: Final = 3.0
"""As in ``posing_faces``: what a setpoint counts against a missing kWh."""


@dataclass(frozen=True, slots=True)
class Ahead:
    """What one source will hold over a stretch of the future [wall s]; None = nothing said.

    limit_a: of a circuit, per phase; total: it is the even part of a limit of all phases together. export_w: most feed-in at the grid
    connection. generation_w: most that inverters and battery may give
    together, cars nothing; 0 = generation is disconnected. part: of their rated output (0..1) that each of them may give.
    """

    source: str
    circuit: str
    start_wall_s: float
    end_wall_s: float
    limit_a: float | None = None
    export_w: float | None = None
    setpoint_w: float | None = None
    generation_w: float | None = None
    part: float | None = None
    total: bool = False

    def touches(self, slot: Slot) -> bool:
        """Whether it holds in any part of a slot."""
        return self.start_wall_s < slot.start_wall_s + slot.duration_s and slot.start_wall_s < self.end_wall_s


def with_announced(problem: Problem, ahead: Sequence[Ahead], phase_count: int = 3) -> Problem:
    """The problem with everything announced in it; a limit touches whole slots, the lowest counts."""
    if not ahead:
        return problem
    phases = [one for one in ahead if one.limit_a is not None and not one.total]
    limits = {circuit: _least(problem, phases, circuit) for circuit in {one.circuit for one in phases}}
    nodes = tuple(_lowered(node, limits.get(node.node_id)) for node in problem.nodes)
    problem = replace(problem, nodes=nodes, export_limit_w=_exports(problem, ahead))
    totals = [one for one in ahead if one.limit_a is not None and one.total]
    for circuit in dict.fromkeys(one.circuit for one in totals):
        per_a = problem.voltage_v * phase_count
        problem = with_total(problem, circuit, [per_a * amps for amps in _least(problem, totals, circuit)])
    problem = _kept_free(problem, _least(problem, [*phases, *totals], ROOT_CIRCUIT))
    return _asked(problem, ahead)


def with_total(problem: Problem, circuit: str, limits_w: Sequence[float]) -> Problem:
    """The problem with a limit of all phases of a circuit together per slot [W], inf = none. At the grid connection it nets PV and battery,
    and what is kept free there for a worse day stays free below it."""
    if min(limits_w, default=math.inf) == math.inf:
        return problem
    nodes = tuple(_with_total(node, limits_w, problem.voltage_v) if node.node_id == circuit else node for node in problem.nodes)
    if circuit != ROOT_CIRCUIT:
        return replace(problem, nodes=nodes)
    free_w = _free_w(problem.nodes, problem.voltage_v)
    own_w = problem.import_limit_w or (free_w,) * len(limits_w)
    return replace(problem, nodes=nodes, import_limit_w=tuple(min(pair) for pair in zip(own_w, limits_w, strict=True)))


def _with_total(node: Node, limits_w: Sequence[float], voltage_v: float) -> Node:
    own_w = node.slot_total_w or (_free_w((node,), voltage_v),) * len(limits_w)
    phases = sum(amps > 0.0 for amps in node.limit_a) or 3
    kept_w = [max(0.0, amps) * voltage_v * phases for amps in node.margin_a] or [0.0] * len(limits_w)
    lower_w = tuple(min(own, most - kept) for own, most, kept in zip(own_w, limits_w, kept_w, strict=True))
    return replace(node, slot_total_w=lower_w)


def _free_w(nodes: Sequence[Node], voltage_v: float) -> float:
    """More than could flow: stands for no limit in some slots [W]."""
    return 10.0 * voltage_v * sum(max(node.limit_a) for node in nodes) * 3


def _least(problem: Problem, ahead: Sequence[Ahead], circuit: str) -> tuple[float, ...]:
    mine = [one for one in ahead if one.circuit == circuit and one.limit_a is not None]
    return tuple(min((one.limit_a for one in mine if one.limit_a is not None and one.touches(slot)), default=math.inf) for slot in problem.slots)


def _lowered(node: Node, limits_a: Sequence[float] | None) -> Node:
    if limits_a is None or min(limits_a, default=math.inf) == math.inf:
        return node
    free = 10.0 * max(1.0, *node.limit_a)
    own = node.slot_limit_a or (free,) * len(limits_a)
    return replace(node, slot_limit_a=tuple(min(pair) for pair in zip(own, limits_a, strict=True)))


def _kept_free(problem: Problem, limits_a: Sequence[float] | None) -> Problem:
    """Import between the limit of an event and the fuse is left free: soft, as the event itself may be."""
    root = next(node for node in problem.nodes if node.parent is None)
    if limits_a is None or min(limits_a, default=math.inf) == math.inf:
        return problem
    count = sum(amps > 0 for amps in root.limit_a)
    fuse_w = min(root.limit_a) * problem.voltage_v * count
    most_w = problem.import_limit_w or (fuse_w,) * len(limits_a)
    before = problem.reserve_w or (0.0,) * len(limits_a)
    wanted = tuple(
        max(kept, 0.0 if amps == math.inf else min(top, fuse_w) - amps * problem.voltage_v * count)
        for kept, amps, top in zip(before, limits_a, most_w, strict=True)
    )
    return replace(problem, reserve_w=tuple(max(0.0, watts) for watts in wanted))


def _exports(problem: Problem, ahead: Sequence[Ahead]) -> tuple[float, ...]:
    bounds = [min((one.export_w for one in ahead if one.export_w is not None and one.touches(slot)), default=math.inf) for slot in problem.slots]
    if min(bounds, default=math.inf) == math.inf:
        return problem.export_limit_w
    free_w = _free_w(problem.nodes, problem.voltage_v)
    own = problem.export_limit_w or (free_w,) * len(bounds)
    return tuple(min(pair) for pair in zip(own, bounds, strict=True))


def with_generation(problem: Problem, ahead: Sequence[Ahead], inverters_w: float) -> Problem:
    """The problem, its PV known, with no more generation than what is announced. inverters_w: rated output of those we hold down, 0 = none.

    Sun that nobody can hold down stays in the plan: it will come; then the battery and cars give nothing beside it.
    """
    bounds_w, parts = ([_least_of(ahead, slot, name) for slot in problem.slots] for name in ("generation_w", "part"))
    if min((*bounds_w, *parts), default=math.inf) == math.inf:
        return problem
    pv_w = problem.pv_w
    if not problem.pv_fixed:
        rated_w = inverters_w or math.inf
        pv_w = tuple(min(watts, most, part * rated_w) for watts, most, part in zip(pv_w, bounds_w, parts, strict=True))
    problem = replace(problem, pv_w=pv_w, evs=tuple(_giving_nothing(ev, bounds_w) for ev in problem.evs))
    return _battery_beside(problem, bounds_w, parts)


def _least_of(ahead: Sequence[Ahead], slot: Slot, name: str) -> float:
    said = (getattr(one, name) for one in ahead if one.touches(slot))
    return min((value for value in said if value is not None), default=math.inf)


def _giving_nothing(ev: Ev, bounds_w: Sequence[float]) -> Ev:
    """Cars are generation, too, and the last that may."""
    if ev.max_discharge_w <= 0 or min(bounds_w) == math.inf:
        return ev
    own_w = ev.max_slot_discharge_w or (ev.max_discharge_w,) * len(bounds_w)
    return replace(ev, max_slot_discharge_w=tuple(0.0 if most < math.inf else watts for watts, most in zip(own_w, bounds_w, strict=True)))


def _battery_beside(problem: Problem, bounds_w: Sequence[float], parts: Sequence[float]) -> Problem:
    """What the sun leaves of a bound is the battery's."""
    battery = problem.battery
    if battery is None:
        return problem
    most_w = battery.max_discharge_w
    left_w = tuple(
        max(0.0, min(most_w, bound - made, min(1.0, part) * most_w)) for bound, part, made in zip(bounds_w, parts, problem.pv_w, strict=True)
    )
    return replace(problem, battery=replace(battery, max_slot_discharge_w=left_w))


def _asked(problem: Problem, ahead: Sequence[Ahead]) -> Problem:
    """The grid power a source asks for; where a CSMS asks for another one already, that stays."""
    own = problem.grid_setpoint_w or (None,) * len(problem.slots)
    asked = [mine if mine is not None else _setpoint(ahead, slot) for mine, slot in zip(own, problem.slots, strict=True)]
    if all(watts is None for watts in asked):
        return problem
    missing = problem.shortfall_per_kwh or MISSING * max(1.0, *problem.buy_per_kwh)
    priced = problem.setpoint_per_kwh if problem.grid_setpoint_w else OUTRANKS * missing
    return replace(problem, grid_setpoint_w=tuple(asked), shortfall_per_kwh=missing, setpoint_per_kwh=priced)


def _setpoint(ahead: Iterable[Ahead], slot: Slot) -> float | None:
    middle_s = slot.start_wall_s + slot.duration_s / 2
    return next((one.setpoint_w for one in ahead if one.setpoint_w is not None and one.start_wall_s <= middle_s < one.end_wall_s), None)
