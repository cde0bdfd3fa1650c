"""The feeder tree: its order, what every wire may carry, and what it carries before any car is served.

Decides which overloads nobody can avoid (``unavoidable_overloads``) and how much of the PV a site at rest can take. It never
decides who charges. Currents are A per phase, import and drawing positive; arrays are (node, slot, phase) with the nodes in the
order of ``Tree.bottom_up``.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from optimizer.problem import Node, Problem, Triple

PHASES = (0, 1, 2)
NO_LOAD: Triple = (0.0, 0.0, 0.0)

Flows: TypeAlias = dict[str, list[list[float]]]
"""node_id -> per slot -> per phase [A]."""
Floats: TypeAlias = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Tree:
    """The feeder tree in a handy order.

    bottom_up: nodes, children before parents; the root is the last. children: node_id -> its child nodes. above: row of each node's
    parent in bottom_up, -1 for the root. fixed: what each node carries per slot and phase [A] while no car charges and PV and
    battery rest. site_phases: the phases of the grid connection; PV and battery spread evenly over them.
    """

    root: Node
    parents: dict[str, str | None]
    bottom_up: tuple[Node, ...]
    children: dict[str, list[str]]
    above: tuple[int, ...]
    fixed: Floats
    site_phases: tuple[int, ...]

    @cached_property
    def fixed_a(self) -> Flows:
        """``fixed`` by node_id, as lists."""
        return dict(zip((node.node_id for node in self.bottom_up), self.fixed.tolist(), strict=True))

    @cached_property
    def place(self) -> dict[str, int]:
        """Row of each node in bottom_up."""
        return {node.node_id: row for row, node in enumerate(self.bottom_up)}

    def path(self, node_id: str) -> tuple[str, ...]:
        """The node and all nodes above it, the root last."""
        names = [node_id]
        while (above := self.parents[names[-1]]) is not None:
            names.append(above)
        return tuple(names)

    def summed_up(self, own: Floats) -> Floats:
        """What flows at every node when each carries ``own`` (node, ...) and everything below it; writes into ``own``."""
        for row, above in enumerate(self.above):
            if above >= 0:
                own[above] += own[row]
        return own


def plant_tree(problem: Problem) -> Tree:
    """Order the nodes and sum their fixed loads. The problem must have no ``terms.defects``."""
    root = next(node for node in problem.nodes if node.parent is None)
    by_parent: dict[str, list[Node]] = {node.node_id: [] for node in problem.nodes}
    for node in problem.nodes:
        if node.parent is not None:
            by_parent[node.parent].append(node)
    top_down = [root]
    for node in top_down:
        top_down.extend(by_parent[node.node_id])
    bottom_up = tuple(reversed(top_down))
    place = {node.node_id: row for row, node in enumerate(bottom_up)}
    above = tuple(-1 if node.parent is None else place[node.parent] for node in bottom_up)
    children = {node_id: [child.node_id for child in nodes] for node_id, nodes in by_parent.items()}
    parents = {node.node_id: node.parent for node in problem.nodes}
    bare = Tree(root, parents, bottom_up, children, above, np.zeros(0), site_phases(root))
    fixed = bare.summed_up(own_loads(bottom_up, len(problem.slots)))
    return Tree(root, parents, bottom_up, children, above, fixed, bare.site_phases)


def own_loads(nodes: Sequence[Node], slot_count: int) -> Floats:
    """The load on each node itself (node, slot, phase) [A]; missing entries are 0."""
    own = np.zeros((len(nodes), slot_count, 3))
    for row, node in enumerate(nodes):
        if node.other_load_a:
            load = node.other_load_a[:slot_count]
            own[row, : len(load)] = load
    return own


def own_load_a(node: Node, slot_count: int) -> list[list[float]]:
    """The load on the node itself, per slot and phase [A]; missing entries are 0."""
    known = [list(load) for load in node.other_load_a[:slot_count]]
    return known + [list(NO_LOAD) for _ in range(slot_count - len(known))]


def site_phases(root: Node) -> tuple[int, ...]:
    """Phases the grid connection really has: those with a limit above 0, all if none has."""
    return tuple(phase for phase in PHASES if root.limit_a[phase] > 0) or PHASES


# -- limits -----------------------------------------------------------------------------------------


def node_limits_a(node: Node, slot: int) -> Triple:
    """What the node may carry in a slot, per phase [A], in both directions."""
    ceiling = node.slot_limit_a[slot] if slot < len(node.slot_limit_a) else math.inf
    first, second, third = node.limit_a
    return max(0.0, min(first, ceiling)), max(0.0, min(second, ceiling)), max(0.0, min(third, ceiling))


def limits_a(nodes: Sequence[Node], slot_count: int) -> Floats:
    """``node_limits_a`` of all nodes and slots (node, slot, phase)."""
    limits = np.repeat(np.array([node.limit_a for node in nodes], dtype=float)[:, None, :], slot_count, axis=1)
    for row, node in enumerate(nodes):
        if node.slot_limit_a:
            ceiling = np.array(node.slot_limit_a[:slot_count], dtype=float)[:, None]
            limits[row, : len(ceiling)] = np.minimum(limits[row, : len(ceiling)], ceiling)
    return np.asarray(np.maximum(limits, 0.0), dtype=float)


def margins_a(nodes: Sequence[Node], slot_count: int) -> Floats:
    """What stays unplanned in the drawing direction (node, slot) [A]; negative and missing margins are 0."""
    margins = np.zeros((len(nodes), slot_count))
    for row, node in enumerate(nodes):
        if node.margin_a:
            own = node.margin_a[:slot_count]
            margins[row, : len(own)] = own
    return np.asarray(np.maximum(margins, 0.0), dtype=float)


def import_limit_w(problem: Problem, slot: int) -> float:
    """Largest import of the site in a slot [W], infinite when none is set."""
    return max(0.0, problem.import_limit_w[slot]) if problem.import_limit_w else math.inf


def export_limit_w(problem: Problem, slot: int) -> float:
    """Largest export of the site in a slot [W], infinite when none is set."""
    return max(0.0, problem.export_limit_w[slot]) if problem.export_limit_w else math.inf


def exchange_limits_w(problem: Problem) -> tuple[Floats, Floats]:
    """Import and export limit per slot [W], infinite where none is set."""
    none = np.full(len(problem.slots), math.inf)
    most_in = np.maximum(0.0, problem.import_limit_w) if problem.import_limit_w else none
    return most_in, np.maximum(0.0, problem.export_limit_w) if problem.export_limit_w else none


def pv_w(problem: Problem) -> list[float]:
    """PV production per slot [W]; a negative forecast counts as none."""
    return [max(0.0, watts) for watts in problem.pv_w]


# -- a site at rest -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Rest:
    """The site while no car charges and the battery rests.

    limit_a (node, slot, phase); margin_a (node, slot). signs (node, slot, phase): overloads that remain whatever is done with the PV,
    +1 drawing, -1 feeding in. site_signs (slot): the same for the import / export limit. pv_w, used_pv_w (slot): production, and
    the most of it that keeps the grid connection within its limits (0 where nothing does). most_in_w, most_out_w (slot).
    """

    limit_a: Floats
    margin_a: Floats
    signs: npt.NDArray[np.int8]
    site_signs: npt.NDArray[np.int8]
    pv_w: Floats
    used_pv_w: Floats
    most_in_w: Floats
    most_out_w: Floats


def at_rest(problem: Problem, tree: Tree) -> Rest:
    """What the wires carry and may carry before any car is served."""
    count = len(problem.slots)
    limits, pv = limits_a(tree.bottom_up, count), np.maximum(0.0, problem.pv_w)
    most_in, most_out = exchange_limits_w(problem)
    used, stuck = _usable_pv_w(problem, tree, limits[-1], pv, (most_in, most_out))
    signs = np.where(np.abs(tree.fixed) > limits, np.sign(tree.fixed), 0.0).astype(np.int8)
    signs[-1, ~stuck] = 0
    exchange_w = tree.fixed[-1].sum(axis=1) * problem.voltage_v
    over = stuck & ((exchange_w > most_in) | (exchange_w < -most_out))
    site_signs = np.where(over, np.where(exchange_w > 0.0, 1, -1), 0).astype(np.int8)
    return Rest(limits, margins_a(tree.bottom_up, count), signs, site_signs, pv, used, most_in, most_out)


def _usable_pv_w(
    problem: Problem, tree: Tree, limits: Floats, pv: Floats, most: tuple[Floats, Floats]
) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """The most PV that keeps the resting site within its limits, and the slots where no amount, between none and all, does."""
    fixed, phases = tree.fixed[-1], list(tree.site_phases)
    others = [phase for phase in PHASES if phase not in phases]
    share, exchange_w = problem.voltage_v * len(phases), fixed.sum(axis=1) * problem.voltage_v
    least_w = np.maximum(np.maximum(0.0, exchange_w - most[0]), ((fixed - limits)[:, phases] * share).max(axis=1))
    most_w = np.minimum(np.minimum(pv, exchange_w + most[1]), ((fixed + limits)[:, phases] * share).min(axis=1))
    stuck = (least_w > most_w) | (np.abs(fixed) > limits)[:, others].any(axis=1)
    return np.where(stuck, 0.0, most_w), stuck


@dataclass(frozen=True, slots=True)
class Unavoidable:
    """Overloads that remain when no car charges and the battery rests, whatever is done with the PV.

    nodes: (node, slot, phase) -> +1 drawing, -1 feeding in. site: slot -> the same for the import / export limit.
    """

    nodes: Mapping[tuple[str, int, int], int]
    site: Mapping[int, int]

    def feeding_slots(self) -> set[int]:
        """Slots in which too much is fed in somewhere."""
        return {slot for (_, slot, _), sign in self.nodes.items() if sign < 0} | {slot for slot, sign in self.site.items() if sign < 0}

    def blocks_charging(self, path: Iterable[str], phases: Iterable[int], slot: int) -> bool:
        """True when charging through these nodes and phases would add to an overload."""
        if self.site.get(slot, 0) > 0:
            return True
        return bool(self.nodes) and any(self.nodes.get((node_id, slot, phase), 0) > 0 for node_id in path for phase in phases)


def unavoidable_overloads(problem: Problem, tree: Tree) -> Unavoidable:
    """Find them; most sites have none."""
    rest = at_rest(problem, tree)
    places = zip(*(place.tolist() for place in np.nonzero(rest.signs)), strict=True)
    nodes = {(tree.bottom_up[row].node_id, slot, phase): int(rest.signs[row, slot, phase]) for row, slot, phase in places}
    return Unavoidable(nodes, {slot: int(rest.site_signs[slot]) for slot in np.flatnonzero(rest.site_signs).tolist()})
