"""Plans made by rules: the answer when there is no solver, and the baselines a plan is compared with.

``allocate`` walks through the slots and serves first what a car must have at least, then the cars with the least time to
spare, inside every limit of the tree, its margins and the car's own curve: it knows no prices, no battery and no discharge,
but it is ready in milliseconds, needs no solver, and never makes an overload or an unbalance worse. Cars that are
only expected get nothing. ``earliest_deadline_first`` does the same with the plainer order. ``uncontrolled`` is
what happens without Yardmaster: everybody at full power on arrival, limits ignored, overloads reported.

Pure: no solver, no clock. All three raise ProblemError for a problem that cannot be planned with.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from optimizer.problem import Ev, Node, Plan, PlanStatus, Problem
from optimizer.terms import Powers, Tree, charge_caps_w, defects, export_limit_w, import_limit_w, need_wh, node_limits_a, plant_tree, pv_w, settle

ENOUGH_WH = 1e-6


class ProblemError(ValueError):
    """The problem contradicts itself; the text names every defect."""


@dataclass(slots=True)
class _Car:
    """One car on its way through the slots. path: the nodes from its own to the root. left_wh: still to charge.

    must_wh: what is left of its minimum. stored_wh: in its battery, if it told a curve.
    """

    ev: Ev
    caps_w: list[float]
    path: tuple[str, ...]
    left_wh: float
    must_wh: float
    stored_wh: float
    power_w: list[float]


Order = Callable[[_Car, float], tuple[float, ...]]
"""(car, start of the slot) -> sort key; the smallest is served first."""


def allocate(problem: Problem) -> Plan:
    """Least laxity first, by priority, within all limits: the plan when there is no solver."""
    return _within_limits(problem, _least_laxity, "rules")


def earliest_deadline_first(problem: Problem) -> Plan:
    """Who leaves first is served first, within all limits: a baseline."""
    return _within_limits(problem, _earliest_deadline, "earliest deadline first")


def uncontrolled(problem: Problem) -> Plan:
    """Full power from arrival until full, no limit respected: the baseline of doing nothing."""
    tree, cars = _prepare(problem)
    for slot, step in enumerate(problem.slots):
        for car in cars:
            if not car.ev.expected:
                _grant(car, slot, step.hours, _wish_w(car, slot, step.hours))
    return _settled(problem, tree, cars, [0.0] * len(problem.slots), "uncontrolled")


def _least_laxity(car: _Car, now_s: float) -> tuple[float, ...]:
    charging_s = 3600.0 * car.left_wh / max(car.ev.max_power_w, 1.0)
    return -car.ev.priority, car.ev.departure_wall_s - now_s - charging_s


def _earliest_deadline(car: _Car, now_s: float) -> tuple[float, ...]:
    return (car.ev.departure_wall_s,)


def _within_limits(problem: Problem, order: Order, name: str) -> Plan:
    tree, cars = _prepare(problem)
    ruled = [node for node in problem.nodes if node.max_unbalance_a is not None]
    curtailed = []
    for slot, step in enumerate(problem.slots):
        room = _room(problem, tree, slot)
        here = [car for car in cars if car.caps_w[slot] > 0.0 and car.left_wh > ENOUGH_WH and not car.ev.expected]
        for at_least in (True, False):
            waiting = [car for car in here if car.must_wh > ENOUGH_WH] if at_least else here
            waiting.sort(key=lambda car: (order(car, step.start_wall_s), car.ev.ev_id))
            for _ in range(2 if ruled else 1):  # who is served on one phase makes room on the others
                for car in waiting:
                    _serve(car, slot, step.hours, room, problem.voltage_v, at_least)
        curtailed.append(_still_thrown_w(problem, tree, slot, room))
    return _settled(problem, tree, cars, curtailed, name)


def _prepare(problem: Problem) -> tuple[Tree, list[_Car]]:
    found = defects(problem)
    if found:
        raise ProblemError("; ".join(found))
    tree = plant_tree(problem)
    zeros = [0.0] * len(problem.slots)
    return tree, [_car(problem, tree, ev, zeros.copy()) for ev in problem.evs]


def _car(problem: Problem, tree: Tree, ev: Ev, power_w: list[float]) -> _Car:
    need = need_wh(ev)
    must_wh = min(max(0.0, ev.minimum_wh), need)
    return _Car(ev, charge_caps_w(problem, ev), tree.path(ev.node_id), need, must_wh, ev.soc_wh, power_w)


# -- the room in one slot ---------------------------------------------------------------------------


@dataclass(slots=True)
class _Room:
    """What is still free in a slot: per node and phase [A]; what the site draws [W], its import limit, PV thrown away.

    flow_a: current per phase [A] of the root and of nodes with an unbalance rule; most_a: that rule. total_w: what nodes with a limit
    of all phases together have left.
    """

    free_a: dict[str, list[float]]
    grid_w: float
    limit_w: float
    thrown_w: float
    flow_a: dict[str, list[float]]
    most_a: dict[str, float]
    total_w: dict[str, float]


def _room(problem: Problem, tree: Tree, slot: int) -> _Room:
    """The room before any car is served."""
    thrown_w = _surplus_w(problem, tree, slot)
    site_w = thrown_w - pv_w(problem)[slot]
    flow_a = {node.node_id: list(tree.fixed_a[node.node_id][slot]) for node in problem.nodes}
    for phase in tree.site_phases:
        flow_a[tree.root.node_id][phase] += site_w / (problem.voltage_v * len(tree.site_phases))
    free_a = {node.node_id: _free_a(node, slot, flow_a[node.node_id]) for node in problem.nodes}
    grid_w = sum(flow_a[tree.root.node_id]) * problem.voltage_v
    most_a = {node.node_id: node.max_unbalance_a for node in problem.nodes if node.max_unbalance_a is not None}
    total_w = {node.node_id: node.slot_total_w[slot] - sum(flow_a[node.node_id]) * problem.voltage_v for node in problem.nodes if node.slot_total_w}
    kept = {node_id: flow_a[node_id] for node_id in (*most_a, tree.root.node_id)}
    return _Room(free_a, grid_w, _import_w(problem, tree, slot), thrown_w, kept, most_a, total_w)


def _free_a(node: Node, slot: int, flow_a: Sequence[float]) -> list[float]:
    """Room per phase [A]; the margin gives way before it alone would call a wire overloaded."""
    margin_a = max(0.0, node.margin_a[slot]) if slot < len(node.margin_a) else 0.0
    free = [limit - amps for limit, amps in zip(node_limits_a(node, slot), flow_a, strict=True)]
    return [max(min(0.0, amps), amps - margin_a) for amps in free]


def _import_w(problem: Problem, tree: Tree, slot: int) -> float:
    """What cars may let the site import [W]: the limit, less what is kept free for a grid event."""
    limit_w = import_limit_w(problem, slot)
    if not problem.reserve_w:
        return limit_w
    return min(limit_w, problem.voltage_v * sum(node_limits_a(tree.root, slot))) - max(0.0, problem.reserve_w[slot])


def _surplus_w(problem: Problem, tree: Tree, slot: int) -> float:
    """PV that cannot leave while no car charges [W]: beyond the export limit or the wire of one phase."""
    production_w, volts = pv_w(problem)[slot], problem.voltage_v
    fixed, limits = tree.fixed_a[tree.root.node_id][slot], node_limits_a(tree.root, slot)
    share = volts * len(tree.site_phases)
    surplus = [production_w - sum(fixed) * volts - export_limit_w(problem, slot)]
    surplus += [production_w - (limits[phase] + fixed[phase]) * share for phase in tree.site_phases]
    return min(production_w, max(0.0, *surplus))


def _still_thrown_w(problem: Problem, tree: Tree, slot: int, room: _Room) -> float:
    """PV that cannot leave now that the cars take their part [W]; using more PV only lowers every flow."""
    share, limits = problem.voltage_v * len(tree.site_phases), node_limits_a(tree.root, slot)
    slack = [room.grid_w + export_limit_w(problem, slot)]
    slack += [(limits[phase] + room.flow_a[tree.root.node_id][phase]) * share for phase in tree.site_phases]
    return max(0.0, room.thrown_w - max(0.0, min(slack)))


# -- serving one car --------------------------------------------------------------------------------


def _wish_w(car: _Car, slot: int, hours: float) -> float:
    """What the car would take in this slot [W]."""
    return _accepted_w(car, min(car.caps_w[slot], car.power_w[slot] + car.left_wh / hours), slot, hours)


def _accepted_w(car: _Car, power_w: float, slot: int, hours: float) -> float:
    """The most that the car's own curve allows, up to ``power_w``: its mean power at the mean of the energy before and after."""
    ev = car.ev
    if not ev.acceptance or ev.capacity_wh <= 0.0 or not _above_curve(car, power_w, slot, hours):
        return power_w
    low_w, high_w = 0.0, power_w
    for _ in range(24):
        middle_w = (low_w + high_w) / 2.0
        low_w, high_w = (low_w, middle_w) if _above_curve(car, middle_w, slot, hours) else (middle_w, high_w)
    return low_w


def _above_curve(car: _Car, power_w: float, slot: int, hours: float) -> bool:
    begin_wh = car.stored_wh - car.ev.efficiency * car.power_w[slot] * hours  # it may have been granted a part of this slot already
    return power_w > curve_w(car.ev.acceptance, begin_wh + car.ev.efficiency * power_w * hours / 2.0)


def curve_w(points: Sequence[tuple[float, float]], stored_wh: float) -> float:
    """Most charging power at a stored energy [W]: straight lines between the points, flat outside."""
    if stored_wh >= points[-1][0]:  # asked first: so a curve in the wrong order is read as the verifier and the program read it
        return points[-1][1]
    before = points[0]
    for after in points:
        if stored_wh < after[0]:
            part = (stored_wh - before[0]) / (after[0] - before[0]) if after[0] > before[0] else 1.0
            return before[1] + max(0.0, part) * (after[1] - before[1])
        before = after
    return before[1]


def _serve(car: _Car, slot: int, hours: float, room: _Room, voltage_v: float, at_least: bool) -> None:
    """As much as the car wants (or must have) and every wire above it has left; nothing if that is below its least power."""
    phases, has_w = car.ev.phases, car.power_w[slot]
    free_a = min(room.free_a[node_id][phase] for node_id in car.path for phase in phases)
    if len(phases) < 3 and room.most_a:
        free_a = min(free_a, _even_a(car, room))
    offer_w = has_w + min(free_a * voltage_v * len(phases), room.limit_w - room.grid_w)
    if room.total_w:
        offer_w = min(offer_w, has_w + min(room.total_w.get(node_id, math.inf) for node_id in car.path))
    if offer_w < min(car.ev.min_power_w, car.caps_w[slot]) or offer_w <= has_w:
        return
    wish_w = _wish_w(car, slot, hours)
    if at_least:
        wish_w = min(wish_w, max(car.ev.min_power_w, has_w + car.must_wh / hours))
    power_w = min(offer_w, wish_w)
    if power_w <= has_w:
        return
    _grant(car, slot, hours, power_w)
    room.grid_w += power_w - has_w
    amps = (power_w - has_w) / (voltage_v * len(phases))
    for node_id in car.path:
        if node_id in room.total_w:
            room.total_w[node_id] -= power_w - has_w
        free = room.free_a[node_id]
        for phase in phases:
            free[phase] -= amps
        flow = room.flow_a.get(node_id)
        if flow is not None:
            for phase in phases:
                flow[phase] += amps


def _even_a(car: _Car, room: _Room) -> float:
    """How much more the car's phases may draw before the unbalance rule of a node above is broken [A]."""
    free_a = math.inf
    for node_id in car.path:
        if node_id in room.most_a:
            flow_a = room.flow_a[node_id]
            others = min(flow_a[phase] for phase in (0, 1, 2) if phase not in car.ev.phases)
            free_a = min(free_a, room.most_a[node_id] + others - max(flow_a[phase] for phase in car.ev.phases))
    return free_a


def _grant(car: _Car, slot: int, hours: float, power_w: float) -> None:
    more_wh = (power_w - car.power_w[slot]) * hours
    car.power_w[slot] = power_w
    car.left_wh = max(0.0, car.left_wh - more_wh)
    car.must_wh = max(0.0, car.must_wh - more_wh)
    car.stored_wh += car.ev.efficiency * more_wh


def _settled(problem: Problem, tree: Tree, cars: Sequence[_Car], curtailed: list[float], name: str) -> Plan:
    powers = Powers({car.ev.ev_id: car.power_w for car in cars}, [0.0] * len(problem.slots), curtailed)
    return settle(problem, tree, powers, PlanStatus.RULES, name)
