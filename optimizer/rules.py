"""Plans made by rules: the answer when there is no solver, and the baselines a plan is compared with.

``allocate`` walks through the slots and serves the cars with the least time to spare first, inside every limit
of the tree: it knows no prices, no battery and no discharge, but it is ready in milliseconds, needs nothing but
this file, and never makes an overload worse. ``earliest_deadline_first`` does the same with the plainer
order. ``uncontrolled`` is what happens without Yardmaster: everybody at full power on arrival, limits
ignored, overloads reported.

Pure: no solver, no clock. All three raise ProblemError for a problem that cannot be planned with.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from optimizer.problem import Ev, Plan, PlanStatus, Problem
from optimizer.terms import Powers, Tree, charge_caps_w, defects, export_limit_w, import_limit_w, need_wh, node_limits_a, plant_tree, pv_w, settle

ENOUGH_WH = 1e-6


class ProblemError(ValueError):
    """The problem contradicts itself; the text names every defect."""


@dataclass(slots=True)
class _Car:
    """One car on its way through the slots. path: the nodes from its own to the root. left_wh: still to charge."""

    ev: Ev
    caps_w: list[float]
    path: tuple[str, ...]
    left_wh: float
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
            _grant(car, slot, step.hours, _wish_w(car, slot, step.hours))
    return _settled(problem, tree, cars, [0.0] * len(problem.slots), "uncontrolled")


def _least_laxity(car: _Car, now_s: float) -> tuple[float, ...]:
    charging_s = 3600.0 * car.left_wh / max(car.ev.max_power_w, 1.0)
    return -car.ev.priority, car.ev.departure_wall_s - now_s - charging_s


def _earliest_deadline(car: _Car, now_s: float) -> tuple[float, ...]:
    return (car.ev.departure_wall_s,)


def _within_limits(problem: Problem, order: Order, name: str) -> Plan:
    tree, cars = _prepare(problem)
    curtailed = []
    for slot, step in enumerate(problem.slots):
        room = _room(problem, tree, slot)
        waiting = [car for car in cars if car.caps_w[slot] > 0.0 and car.left_wh > ENOUGH_WH]
        for car in sorted(waiting, key=lambda car: (order(car, step.start_wall_s), car.ev.ev_id)):
            _serve(car, slot, step.hours, room, problem.voltage_v)
        curtailed.append(_still_thrown_w(problem, tree, slot, room))
    return _settled(problem, tree, cars, curtailed, name)


def _prepare(problem: Problem) -> tuple[Tree, list[_Car]]:
    found = defects(problem)
    if found:
        raise ProblemError("; ".join(found))
    tree = plant_tree(problem)
    zeros = [0.0] * len(problem.slots)
    cars = [_Car(ev, charge_caps_w(problem, ev), tree.path(ev.node_id), need_wh(ev), zeros.copy()) for ev in problem.evs]
    return tree, cars


# -- the room in one slot ---------------------------------------------------------------------------


@dataclass(slots=True)
class _Room:
    """What is still free in a slot: per node and phase [A]; what the site draws [W], its import limit, PV thrown away."""

    free_a: dict[str, list[float]]
    grid_w: float
    limit_w: float
    thrown_w: float


def _room(problem: Problem, tree: Tree, slot: int) -> _Room:
    """The room before any car is served."""
    thrown_w = _surplus_w(problem, tree, slot)
    site_w = thrown_w - pv_w(problem)[slot]
    free_a = {}
    for node in tree.bottom_up:
        fixed = tree.fixed_a[node.node_id][slot]
        free_a[node.node_id] = [limit - amps for limit, amps in zip(node_limits_a(node, slot), fixed, strict=True)]
    for phase in tree.site_phases:
        free_a[tree.root.node_id][phase] -= site_w / (problem.voltage_v * len(tree.site_phases))
    grid_w = sum(tree.fixed_a[tree.root.node_id][slot]) * problem.voltage_v + site_w
    return _Room(free_a, grid_w, import_limit_w(problem, slot), thrown_w)


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
    slack += [(2.0 * limits[phase] - room.free_a[tree.root.node_id][phase]) * share for phase in tree.site_phases]
    return max(0.0, room.thrown_w - max(0.0, min(slack)))


# -- serving one car --------------------------------------------------------------------------------


def _wish_w(car: _Car, slot: int, hours: float) -> float:
    return min(car.caps_w[slot], car.left_wh / hours)


def _serve(car: _Car, slot: int, hours: float, room: _Room, voltage_v: float) -> None:
    """As much as the car wants and every wire above it has left; nothing if that is below its least power."""
    phases = car.ev.phases
    free_a = min(room.free_a[node_id][phase] for node_id in car.path for phase in phases)
    offer_w = min(free_a * voltage_v * len(phases), room.limit_w - room.grid_w)
    if offer_w < min(car.ev.min_power_w, car.caps_w[slot]) or offer_w <= 0.0:
        return
    power_w = min(offer_w, _wish_w(car, slot, hours))
    _grant(car, slot, hours, power_w)
    room.grid_w += power_w
    amps = power_w / (voltage_v * len(phases))
    for node_id in car.path:
        free = room.free_a[node_id]
        for phase in phases:
            free[phase] -= amps


def _grant(car: _Car, slot: int, hours: float, power_w: float) -> None:
    car.power_w[slot] = power_w
    car.left_wh = max(0.0, car.left_wh - power_w * hours)


def _settled(problem: Problem, tree: Tree, cars: Sequence[_Car], curtailed: list[float], name: str) -> Plan:
    powers = Powers({car.ev.ev_id: car.power_w for car in cars}, [0.0] * len(problem.slots), curtailed)
    return settle(problem, tree, powers, PlanStatus.RULES, name)
