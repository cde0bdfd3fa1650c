"""What a search by blocks begins with: a plan by rules, which fits together, and prices of a coarse picture, which are nearly right.

Neither needs the joint program, so a helper does this while that is being built.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from optimizer.arrays import read
from optimizer.block import NO_BOUNDS, NO_PLACES, Block, Task
from optimizer.coarse import POOL, coarse
from optimizer.cuts import homes, take_apart
from optimizer.master import Master
from optimizer.model import build
from optimizer.problem import Plan, Problem
from optimizer.rules import allocate
from optimizer.wires import Tree, plant_tree

Place = tuple[str, int, int]
"""(node above the cuts, slot, phase)."""


@dataclass(frozen=True, slots=True)
class Start:
    """ruled: the plan by rules. prices: what a unit of flow below a node is worth [currency per kWh of one phase]; empty = not known."""

    ruled: Plan
    prices: dict[Place, float] = field(default_factory=dict)


def begin(problem: Problem, cuts: Sequence[str], limit_s: float) -> Start:
    """Both. limit_s: for the coarse program's solver [s]."""
    return Start(allocate(problem), pool_prices(problem, plant_tree(problem), cuts, limit_s) if len(cuts) > 1 else {})


def pool_prices(problem: Problem, tree: Tree, cuts: Sequence[str], limit_s: float) -> dict[Place, float]:
    """Marginal prices from the optimum of the coarse site; empty when it is not proved in time."""
    pooled = coarse(problem, tree, cuts)
    model = build(pooled)
    joint, names = read(model.lp), tuple(node.node_id for node in pooled.nodes if node.node_id.startswith(POOL))
    known = homes(model, names)
    apart = take_apart(joint, known)
    answer = Block(joint, NO_PLACES).solve(Task(NO_BOUNDS, NO_PLACES, NO_BOUNDS, NO_BOUNDS, limit_s))
    if apart is None or answer.duals is None:
        return {}
    master = Master(apart)
    prices = master.head_prices(answer.duals[apart.master.rows[master.links]])
    found: dict[Place, float] = {}
    for part, own in zip(apart.blocks, prices, strict=True):
        for column, price in zip(part.columns[part.heads].tolist(), own.tolist(), strict=True):
            if math.isfinite(price):
                found[known.keys[column]] = price * model.scale
    return found
