"""What a CSMS wants of all its chargers together, and the grid's bounds on giving back, as parts of the planning problem.

- A limit of the sum becomes a node of its own between the grid connection and everything that hangs below the face: it carries the cars alone,
  as the other loads below it are taken off there and put on the grid connection. Where chargers of other CSMSs share a circuit with them the
  tree cannot say it; then only the arbiter keeps it.
- A bound on giving back is divided among the cars by what they could give: whatever the plan does with it, the sum holds.
- A setpoint becomes one of the grid connection: the cars' sum and everything else that is expected there. Beside a battery, which could
  answer it instead of the cars, and beside chargers of others it is left to ``fleet``.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from controller.config import ROOT_CIRCUIT
from controller.facts import EvseKey, LimitStep
from controller.site.grid.der import FaceSteps, Stretches, step_at
from controller.site.layout import Layout
from controller.site.plans.cars import Wishes
from optimizer.problem import Ev, Node, Problem, Slot, Triple

NODE: Final = "CSMS limit"
MISSING: Final = 2.0
"""Where no price of a missing kWh is given: so many times the dearest kWh."""
OUTRANKS: Final = 3.0
"""A setpoint counts so many times what a missing kWh counts."""
FREE: Final = 10.0
"""So many times the fuse stands for no limit in some slots."""
NOTHING: Final[Triple] = (0.0, 0.0, 0.0)


def station_of(ev: Ev) -> str:
    """The charger of a car that is here."""
    return ev.ev_id.rpartition("/")[0]


# -- giving back ------------------------------------------------------------------------------------------


def bounded_giving(problem: Problem, faces: Sequence[FaceSteps], bounds: Mapping[EvseKey, Stretches], phase_count: int) -> Problem:
    """The problem with cars that give back no more than they may, each and together."""
    evs = [_held(ev, problem.slots, bounds.get(_key(ev), ())) for ev in problem.evs]
    for face in faces:
        most_w = [_discharge_w(face, slot, problem.voltage_v, phase_count) for slot in problem.slots]
        if min(most_w, default=math.inf) == math.inf:
            continue
        mine = [ev.max_discharge_w > 0 and not ev.expected and station_of(ev) in face.stations for ev in evs]
        whole_w = sum(ev.max_discharge_w for ev, belongs in zip(evs, mine, strict=True) if belongs)
        parts = [min(1.0, watts / whole_w) if whole_w > 0 else 1.0 for watts in most_w]
        evs = [_scaled(ev, parts) if belongs else ev for ev, belongs in zip(evs, mine, strict=True)]
    return replace(problem, evs=tuple(evs))


def _key(ev: Ev) -> EvseKey:
    """Where a car is; nowhere for one that is expected."""
    station_id, _, evse_id = ev.ev_id.rpartition("/")
    return EvseKey(station_id, int(evse_id)) if evse_id.isdecimal() and not ev.expected else EvseKey("", -1)


def _held(ev: Ev, slots: Sequence[Slot], bounds: Stretches) -> Ev:
    if not bounds or ev.max_discharge_w <= 0:
        return ev
    return _scaled(ev, [min(1.0, _least_w(bounds, slot) / ev.max_discharge_w) for slot in slots])


def _least_w(bounds: Stretches, slot: Slot) -> float:
    """The lowest bound that touches a slot; inf = none does."""
    end_s = slot.start_wall_s + slot.duration_s
    return min((watts for begin_s, until_s, watts in bounds if begin_s < end_s and slot.start_wall_s < until_s), default=math.inf)


def _scaled(ev: Ev, parts: Sequence[float]) -> Ev:
    """Each slot's bound is at most that part of all the car could give."""
    own_w = ev.max_slot_discharge_w or (ev.max_discharge_w,) * len(parts)
    return replace(ev, max_slot_discharge_w=tuple(min(watts, part * ev.max_discharge_w) for watts, part in zip(own_w, parts, strict=True)))


def _discharge_w(face: FaceSteps, slot: Slot, voltage_v: float, phase_count: int) -> float:
    """The most the cars of a face may give back together within a slot [W]; inf = nobody bounds it."""
    bounds = [_least_w(face.discharge, slot)]
    for step in _within(face.steps, slot):
        if step.discharge_a is not None:
            bounds.append(max(0.0, -step.discharge_a) * voltage_v * (step.phase_count or phase_count))
    return min(bounds)


def _within(steps: Sequence[LimitStep], slot: Slot) -> list[LimitStep]:
    end_s = slot.start_wall_s + slot.duration_s
    first, _ = step_at(steps, slot.start_wall_s)
    return [*([first] if first is not None else []), *(step for step in steps if slot.start_wall_s < step.start_wall_s < end_s)]


# -- limit of the sum -----------------------------------------------------------------------------------------


def limited_sums(
    problem: Problem, faces: Sequence[FaceSteps], layout: Layout, wishes: Wishes, booked_a: Mapping[EvseKey, float], commanded: bool = False
) -> Problem:
    """The problem with a node for each face whose sum is limited, where the tree can say it. booked_a: chargers nobody commands now.

    commanded: the battery is ours to charge, so that it belongs to the controllable loads of the whole site.
    """
    for face in faces:
        if any(step.limit_a is not None for step in face.steps):
            kept = {key: amps for key, amps in booked_a.items() if key.station_id in face.stations}
            limits_a = tuple(max(0.0, amps - sum(kept.values())) for amps in wishes.limits_a(_of_kind(face.steps, False), _fuse_a(layout)))
            counts = commanded and face.with_battery and face.circuit == ROOT_CIRCUIT
            problem = _limited(problem, face, layout, limits_a, _totals_w(face, layout, wishes, kept), counts)
    return problem


def _fuse_a(layout: Layout) -> float:
    return layout.circuits[ROOT_CIRCUIT].fuse_a


def _of_kind(steps: Sequence[LimitStep], total: bool) -> tuple[LimitStep, ...]:
    """The same times with the limits per phase alone, or with the totals alone."""
    return tuple(step if step.total is total else replace(step, limit_a=None) for step in steps)


def _totals_w(face: FaceSteps, layout: Layout, wishes: Wishes, kept_a: Mapping[EvseKey, float]) -> tuple[float, ...]:
    """The limit of all phases together per slot [W], less what nobody commands; () = there is none."""
    totals = _of_kind(face.steps, True)
    if all(step.limit_a is None for step in totals):
        return ()
    kept_w = sum(amps * len(layout.places[key].phases) for key, amps in kept_a.items()) * layout.voltage_v
    per_a = layout.voltage_v * layout.phase_count
    return tuple(max(0.0, per_a * amps - kept_w) for amps in wishes.limits_a(totals, FREE * _fuse_a(layout)))


def _limited(
    problem: Problem, face: FaceSteps, layout: Layout, limits_a: tuple[float, ...], totals_w: tuple[float, ...], battery_counts: bool
) -> Problem:
    moved = _moved(problem, face, layout)
    root = next((node for node in problem.nodes if node.node_id == face.circuit), problem.nodes[0])
    if moved is None or any(node.node_id == _name(face) for node in problem.nodes):
        return problem
    below = _below(problem.nodes, moved)
    loads = [
        _sum(node.other_load_a[slot] for node in problem.nodes if node.node_id in below and node.other_load_a) for slot in range(len(problem.slots))
    ]
    own = root.other_load_a or (NOTHING,) * len(problem.slots)
    raised = replace(root, other_load_a=tuple(_sum(pair) for pair in zip(own, loads, strict=True)))
    fuse = replace(root, node_id=_name(face), parent=root.node_id, slot_limit_a=limits_a, margin_a=(), max_unbalance_a=None)
    fuse = replace(fuse, slot_total_w=totals_w, battery_counts=battery_counts)
    middle = replace(fuse, other_load_a=tuple((-a, -b, -c) for a, b, c in loads))
    nodes = [raised, middle, *(replace(node, parent=middle.node_id) if node.node_id in moved else node for node in problem.nodes if node is not root)]
    evs = [replace(ev, node_id=middle.node_id) if ev.node_id == root.node_id and _belongs(ev, face) else ev for ev in problem.evs]
    return replace(problem, nodes=tuple(nodes), evs=tuple(evs))


def _name(face: FaceSteps) -> str:
    if face.with_battery:
        return face.face
    return NODE if not face.face else f"{NODE} {face.face}"


def _belongs(ev: Ev, face: FaceSteps) -> bool:
    """Cars that may still come count where they are expected: anywhere below the connection is anybody's."""
    return not ev.expected and station_of(ev) in face.stations


def _moved(problem: Problem, face: FaceSteps, layout: Layout) -> set[str] | None:
    """The nodes right below the grid connection (or the face's circuit) that hold cars of this face only; None if one holds those of others, too."""
    found: set[str] = set()
    for node in problem.nodes:
        if node.parent != face.circuit:
            continue
        stations = _stations_below(problem, node.node_id, layout)
        mine = stations & face.stations
        if mine and mine != stations:
            return None
        if mine:
            found.add(node.node_id)
    return found


def _stations_below(problem: Problem, name: str, layout: Layout) -> set[str]:
    """Stations of a circuit, of a station's own node, or of a node that was put in between for another face."""
    if name in layout.below:
        return {key.station_id for key in layout.below[name]}
    within = _below(problem.nodes, {name})
    stations = {station_of(ev) for ev in problem.evs if ev.node_id in within and not ev.expected}
    circuits = {key.station_id for node in within for key in layout.below.get(node, ())}
    return stations | circuits or {name.removeprefix("station ")}


def _below(nodes: Sequence[Node], tops: set[str]) -> set[str]:
    found = set(tops)
    while more := {node.node_id for node in nodes if node.parent in found} - found:
        found |= more
    return found


def _sum(loads: Iterable[Triple]) -> Triple:
    found = [0.0, 0.0, 0.0]
    for load in loads:
        for phase in (0, 1, 2):
            found[phase] += load[phase]
    return found[0], found[1], found[2]


# -- setpoint -------------------------------------------------------------------------------------------------------


def with_setpoint(problem: Problem, faces: Sequence[FaceSteps], booked_w: float, phase_count: int) -> Problem:
    """The problem with the grid power that follows from a setpoint for all cars. booked_w: of cars nobody commands, in the other loads."""
    asked = [face for face in faces if any(step.setpoint_a is not None for step in face.steps)]
    here = [ev for ev in problem.evs if not ev.expected]
    if len(asked) != 1 or problem.battery is not None or any(station_of(ev) not in asked[0].stations for ev in here):
        return problem
    wanted: list[float | None] = []
    for number, slot in enumerate(problem.slots):
        step, _ = step_at(asked[0].steps, slot.start_wall_s)
        if step is None or step.setpoint_a is None:
            wanted.append(None)
            continue
        cars_w = step.setpoint_a * problem.voltage_v * (step.phase_count or phase_count)
        others_w = sum(sum(node.other_load_a[number]) for node in problem.nodes if node.other_load_a) * problem.voltage_v
        wanted.append(cars_w - booked_w + others_w - problem.pv_w[number])
    # Who asks for a power means it: a kWh beside it costs more than one that is missing in a car.
    missing = problem.shortfall_per_kwh or MISSING * max(1.0, *problem.buy_per_kwh)
    return replace(problem, grid_setpoint_w=tuple(wanted), shortfall_per_kwh=missing, setpoint_per_kwh=OUTRANKS * missing)
