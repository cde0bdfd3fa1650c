"""Where a site is cut into blocks, and the one big program taken apart along these cuts.

A block is everything below a cut node: its panels, its cars, their rows. The master is the rest: the root, the nodes above
the cuts, battery, PV, grid exchange, peak. The two meet only in the flow columns of the cut nodes (``heads``). Nothing is
modelled twice: the joint program is built once by ``model.py`` and its own columns and rows are sorted, so a block
knows every rule and every price of the joint program. A row that joins two blocks in another way than through a
head is found while sorting, and then the site is not cut.

Decides which nodes are cut. Pure.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy

from optimizer.arrays import Arrays, Entries, Floats, Whole
from optimizer.model import Model
from optimizer.problem import Problem
from optimizer.wires import Tree

MOST_CARS = 150
"""A node with more cars below it is not a block but is gone through, if anything hangs below it."""
UNKNOWN = -1


def cut_nodes(problem: Problem, tree: Tree, most_cars: int = MOST_CARS) -> tuple[str, ...]:
    """The highest nodes below the root with at most this many cars below them, and big nodes that cannot be divided; none without cars."""
    counts = cars_below(problem, tree)
    found, waiting = list[str](), list(tree.children[tree.root.node_id])
    while waiting:
        node_id = waiting.pop()
        if counts[node_id] > most_cars and tree.children[node_id]:
            waiting += tree.children[node_id]
        elif counts[node_id]:
            found.append(node_id)
    return tuple(sorted(found))


def cars_below(problem: Problem, tree: Tree) -> Counter[str]:
    """Cars at each node and below it."""
    counts: Counter[str] = Counter()
    for ev in problem.evs:
        counts.update(tree.path(ev.node_id))
    return counts


@dataclass(frozen=True, slots=True)
class Homes:
    """Whose each column is. home: per column the number of its block, of the master (= count), or UNKNOWN. head: per column the
    block whose flow it is, UNKNOWN = no head. keys: head column -> (node above the cut, slot, phase)."""

    count: int
    home: Whole
    head: Whole
    keys: dict[int, tuple[str, int, int]]


def homes(model: Model, cuts: Sequence[str]) -> Homes:
    """What the model says about its columns; ``take_apart`` finds the others."""
    columns, count = len(model.program.columns), len(cuts)
    known = Homes(count, numpy.full(columns, UNKNOWN, dtype=numpy.int32), numpy.full(columns, UNKNOWN, dtype=numpy.int32), {})
    owner, cut = _owners(model.tree, cuts), set(cuts)
    for row, node in enumerate(model.tree.bottom_up):
        flows = numpy.array(model.wiring.column[row], dtype=numpy.int32)
        if node.node_id in cut:
            above = model.tree.parents[node.node_id] or ""
            known.keys.update({int(column): (above, slot, phase) for (slot, phase), column in numpy.ndenumerate(flows) if column >= 0})
        into = known.head if node.node_id in cut else known.home
        into[flows[flows >= 0]] = owner.get(node.node_id, count)
    for car in model.cars.values():
        if car.charge >= 0:
            known.home[car.charge : car.charge + car.slots] = owner.get(car.ev.node_id, count)
    for (row, *_), (_, slack) in model.wiring.overloads.items():
        known.home[slack] = owner.get(model.tree.bottom_up[row].node_id, count)
    for (row, _), (slack, _) in model.wiring.unbalance.items():
        known.home[slack] = owner.get(model.tree.bottom_up[row].node_id, count)
    return known


def _owners(tree: Tree, cuts: Sequence[str]) -> dict[str, int]:
    """Every node at or below a cut -> number of the block."""
    owner = dict[str, int]()
    for number, node_id in enumerate(cuts):
        waiting = [node_id]
        while waiting:
            at = waiting.pop()
            owner[at] = number
            waiting += tree.children[at]
    return owner


@dataclass(frozen=True, slots=True)
class Part:
    """A program cut out of the joint one. columns, rows: their places there. heads: places of the head columns in this part."""

    columns: Whole
    rows: Whole
    heads: Whole
    program: Arrays


@dataclass(frozen=True, slots=True)
class Apart:
    """The site in pieces. The master holds the head columns of all blocks, with their bounds but without their costs.

    sides: per block the places of its heads among the master's columns, in the order of ``Part.heads``.
    """

    master: Part
    blocks: tuple[Part, ...]
    sides: tuple[Whole, ...]


def take_apart(joint: Arrays, known: Homes) -> Apart | None:
    """Sort all columns and rows; None when something other than the heads joins two blocks, or a block with the master."""
    row_of = numpy.repeat(numpy.arange(len(joint.row_lower), dtype=numpy.int32), joint.lengths)
    inner = known.head[joint.entries.indices] == UNKNOWN
    home, row_home = _spread(known.home.copy(), row_of[inner], joint.entries.indices[inner], len(joint.row_lower))
    home[(home == UNKNOWN) & (known.head == UNKNOWN)] = known.count
    _keep_own(known, joint, row_of, row_home)
    row_home[row_home == UNKNOWN] = known.count
    if (home[joint.entries.indices[inner]] != row_home[row_of[inner]]).any() or not _heads_fit(joint, known, row_of, inner, row_home):
        return None
    pick = _Pick(joint, row_of)
    master_columns = numpy.flatnonzero((home == known.count) | (known.head != UNKNOWN)).astype(numpy.int32)
    master = pick.part(master_columns, row_home == known.count, known.head != UNKNOWN)
    master.program.cost[master.heads] = 0.0
    blocks = tuple(pick.part(columns, row_home == number, known.head == number) for number, columns in _block_columns(home, known))
    place = numpy.full(len(joint.cost), UNKNOWN, dtype=numpy.int32)
    place[master.columns] = numpy.arange(len(master.columns), dtype=numpy.int32)
    return Apart(master, blocks, tuple(place[block.columns[block.heads]] for block in blocks))


def _block_columns(home: Whole, known: Homes) -> Iterable[tuple[int, Whole]]:
    for number in range(known.count):
        yield number, numpy.flatnonzero((home == number) | (known.head == number)).astype(numpy.int32)


def _spread(home: Whole, row_of: Whole, column_of: Whole, rows: int) -> tuple[Whole, Whole]:
    """Columns in a row belong together: go on until nobody new is found."""
    row_home = numpy.full(rows, UNKNOWN, dtype=numpy.int32)
    while True:
        before = numpy.count_nonzero(home != UNKNOWN)
        numpy.maximum.at(row_home, row_of, home[column_of])
        numpy.maximum.at(home, column_of, row_home[row_of])
        if numpy.count_nonzero(home != UNKNOWN) == before:
            return home, row_home


def _keep_own(known: Homes, joint: Arrays, row_of: Whole, row_home: Whole) -> None:
    """A row of nothing but one block's heads (a limit in watts of the cut node) is that block's. Writes into row_home."""
    owner = known.head[joint.entries.indices]
    heads = owner != UNKNOWN
    least, most = numpy.full(len(row_home), known.count, dtype=numpy.int32), numpy.full(len(row_home), UNKNOWN, dtype=numpy.int32)
    numpy.minimum.at(least, row_of[heads], owner[heads])
    numpy.maximum.at(most, row_of[heads], owner[heads])
    own = (row_home == UNKNOWN) & (least == most)
    row_home[own] = least[own]


def _heads_fit(joint: Arrays, known: Homes, row_of: Whole, inner: numpy.typing.NDArray[numpy.bool_], row_home: Whole) -> bool:
    """A head stands in rows of its own block and of the master only."""
    owner, where = known.head[joint.entries.indices[~inner]], row_home[row_of[~inner]]
    return bool(((where == owner) | (where == known.count)).all())


class _Pick:
    """Cuts parts out of the joint program."""

    def __init__(self, joint: Arrays, row_of: Whole) -> None:
        self._joint, self._row_of = joint, row_of

    def part(self, columns: Whole, row_mask: numpy.typing.NDArray[numpy.bool_], head_mask: numpy.typing.NDArray[numpy.bool_]) -> Part:
        joint, entries = self._joint, self._joint.entries
        rows = numpy.flatnonzero(row_mask).astype(numpy.int32)
        place = numpy.full(len(joint.cost), UNKNOWN, dtype=numpy.int32)
        place[columns] = numpy.arange(len(columns), dtype=numpy.int32)
        ours = row_mask[self._row_of] & (place[entries.indices] != UNKNOWN)
        lengths = numpy.bincount(self._row_of[ours], minlength=len(joint.row_lower))[rows].astype(numpy.int32)
        starts = numpy.concatenate(([0], numpy.cumsum(lengths))).astype(numpy.int32)
        picked = Entries(starts, place[entries.indices[ours]], entries.values[ours])
        program = Arrays(
            joint.lower[columns], joint.upper[columns], joint.cost[columns], joint.row_lower[rows], joint.row_upper[rows], picked, lengths
        )
        return Part(columns, rows, numpy.flatnonzero(head_mask[columns]).astype(numpy.int32), program)


def whole(apart: Apart, master: Floats, blocks: Sequence[Floats], columns: int) -> Floats:
    """The values of all columns of the joint program from those of its parts; heads count as the blocks'."""
    values = numpy.zeros(columns)
    values[apart.master.columns] = master
    for part, own in zip(apart.blocks, blocks, strict=True):
        values[part.columns] = own
    return values
