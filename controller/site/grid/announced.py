"""Announced limits as parts of the planning problem: what a schedule says of the next day, so that cars are charged before an event.

A limit of a circuit becomes limits of its node in the slots it touches; one of the controllable loads a node of their sum
(``posing_faces``); one of feed-in a limit of the connection's export; a setpoint the grid power that is asked for. In the slots of an
event the import down to its limit is kept free, so that what the battery and late cars do leaves room for it, too.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from controller.config import ROOT_CIRCUIT
from optimizer.problem import Node, Problem, Slot

MISSING: Final = 2.0
OUTRANKS: Final = 3.0
"""As in ``posing_faces``: what a setpoint counts against a missing kWh."""


@dataclass(frozen=True, slots=True)
class Ahead:
    """What one source will hold over a stretch of the future [wall s]. limit_a: of a circuit, per phase; None = nothing said."""

    source: str
    circuit: str
    start_wall_s: float
    end_wall_s: float
    limit_a: float | None = None
    export_w: float | None = None
    setpoint_w: float | None = None

    def touches(self, slot: Slot) -> bool:
        """Whether it holds in any part of a slot."""
        return self.start_wall_s < slot.start_wall_s + slot.duration_s and slot.start_wall_s < self.end_wall_s


def with_announced(problem: Problem, ahead: Sequence[Ahead]) -> Problem:
    """The problem with everything announced in it; a limit touches whole slots, the lowest counts."""
    if not ahead:
        return problem
    limits = {circuit: _least(problem, ahead, circuit) for circuit in {one.circuit for one in ahead if one.limit_a is not None}}
    nodes = tuple(_lowered(node, limits.get(node.node_id)) for node in problem.nodes)
    problem = replace(problem, nodes=nodes, export_limit_w=_exports(problem, ahead))
    problem = _kept_free(problem, limits.get(ROOT_CIRCUIT))
    return _asked(problem, ahead)


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
    free_w = 10.0 * problem.voltage_v * sum(max(node.limit_a) for node in problem.nodes) * 3
    own = problem.export_limit_w or (free_w,) * len(bounds)
    return tuple(min(pair) for pair in zip(own, bounds, strict=True))


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
