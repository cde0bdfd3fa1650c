"""The edges of a plan's grid of time: where prices, limits and the CSMS's schedules change (``optimizer.grid``).

Every edge costs the solver a slot, so that there are no more of them than a plan needs.
"""

from __future__ import annotations

import math
from collections import Counter
from itertools import pairwise

from controller.facts import LimitStep, Stamp
from controller.site.plans.plan_inputs import PlanInputs
from controller.site.plans.tariffs import Books
from optimizer.grid import quarter_of
from optimizer.prices import PriceBook

HORIZON_S = 86_400.0
EDGE_S = 60.0
"""Edges of limits and schedules are laid on whole minutes, those of limits on the next one: a limit may look longer, never shorter."""
MOST_EDGES = 16
"""So many edges of limits and schedules cut the grid, the most frequent first; inside a slot the lowest of a schedule holds."""
NEAR_S = 8 * 3600.0
MOST_STEPS = 24
"""Every change of a price cuts the grid up to so far ahead [s]; of the later ones so many."""


def edges(inputs: PlanInputs, books: Books, at: Stamp) -> list[float]:
    """Moments of the horizon at which prices, limits or schedules change [wall s]."""
    end_wall_s = at.wall_s + HORIZON_S
    found: Counter[float] = Counter()
    for limit in inputs.limits:
        if limit.ends_mono_s is not None:
            found[math.ceil(at.wall_in(limit.ends_mono_s - at.mono_s) / EDGE_S) * EDGE_S] += 1
    for one in inputs.ahead:
        found[math.floor(max(at.wall_s, one.start_wall_s) / EDGE_S) * EDGE_S] += 1
        found[math.ceil(min(one.end_wall_s, end_wall_s) / EDGE_S) * EDGE_S] += 1
    for begin_s, end_s in {(begin_s, end_s) for face in inputs.faces for begin_s, end_s, _ in face.discharge}:
        found.update(float(math.floor(edge / EDGE_S) * EDGE_S) for edge in (begin_s, end_s) if math.isfinite(edge))
    schedules: Counter[tuple[LimitStep, ...]] = Counter(evse.wish for evse in inputs.evses.values() if len(evse.wish) > 1)
    schedules.update(tuple(steps) for steps in inputs.station_wishes.values())
    schedules.update(face.steps for face in inputs.faces)
    for steps, times in schedules.items():
        for step in steps:
            if not math.isfinite(step.start_wall_s):
                continue
            found[math.floor(step.start_wall_s / EDGE_S) * EDGE_S] += times
    inside = sorted(((-times, edge) for edge, times in found.items() if at.wall_s - HORIZON_S < edge < end_wall_s))
    return [*price_edges(books.buy, at.wall_s), *price_edges(books.sell, at.wall_s), *(edge for _, edge in inside[:MOST_EDGES])]


def price_edges(book: PriceBook, now_wall_s: float) -> list[float]:
    """Moments of the horizon at which the price changes [wall s]: all that are near, of the later ones the largest steps.

    Quarter-hourly prices would make 96 slots of 42 and a large site's plan five times as slow, for hours that are planned again many
    times before they come; between two edges the mean price counts. Counted from the running quarter hour, so that edges stay in it.
    """
    begin_s = quarter_of(now_wall_s)
    segments = book.segments(begin_s, now_wall_s + HORIZON_S)
    near = [at_s for at_s, _ in segments[1:] if at_s < begin_s + NEAR_S]
    steps = [(-abs(price - before), at_s) for (_, before), (at_s, price) in pairwise(segments) if at_s >= begin_s + NEAR_S]
    return [*near, *(at_s for _, at_s in sorted(steps)[:MOST_STEPS])]
