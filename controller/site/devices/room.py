"""What the grid connection leaves a battery beside what cars may draw.

Cars go first: a car that could use more, by its own limits, the plan and the circuits below the grid connection, counts with that, whether
it was given it already or not. So a charging battery makes room for cars before they ask, and takes only what none of them can use;
cars and battery never rise into the same room.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from controller.config import ROOT_CIRCUIT
from controller.site.layout import PHASES, Layout
from controller.site.sharing.claims import Claim, Row


def room_a(
    layout: Layout, rows: Sequence[Row], claims: Sequence[Claim], phases: Sequence[int] = PHASES, totals: Sequence[int] = ()
) -> float:
    """Current left per phase [A] on the tightest of these phases of the grid connection; negative = the battery should take less.

    totals: the rows of its limit in watts.
    """
    demand = _demand_a(layout, rows, claims)
    first = 3 * list(layout.circuits).index(ROOT_CIRCUIT)
    left = [rows[first + phase].capacity_a - demand[first + phase] for phase in phases]
    for row in (rows[index] for index in totals):
        count = sum(phase in phases for phase in row.phases)
        if count:
            left.append((row.capacity_a - sum(demand[first + phase] for phase in row.phases)) / count)
    return min(left, default=0.0)


def could_draw_a(claim: Claim) -> float:
    """What a car may draw now or could use, by its own limits and the plan [A]."""
    wanted_a = min(claim.cap_a, claim.want_a)
    return max(claim.ceiling_a, claim.present_a, wanted_a if math.isfinite(wanted_a) else 0.0)


def _demand_a(layout: Layout, rows: Sequence[Row], claims: Sequence[Claim]) -> list[float]:
    """What cars may draw through each row of the circuits; one circuit passes no more than it carries."""
    numbers = {name: number for number, name in enumerate(layout.circuits)}
    demand = [0.0] * (3 * len(numbers))
    for claim in claims:
        own_a = could_draw_a(claim)
        first = 3 * numbers[layout.places[claim.key].circuit]
        for row in claim.rows:
            if first <= row < first + 3:
                demand[row] += own_a
    for name in _children_first(layout.circuits):
        parent = layout.circuits[name].parent
        if parent is None:
            continue
        for phase in PHASES:
            row = 3 * numbers[name] + phase
            demand[3 * numbers[parent] + phase] += min(demand[row], max(0.0, rows[row].capacity_a))
    return demand


def _children_first(circuits: Mapping[str, object]) -> list[str]:
    return list(reversed(list(circuits)))
