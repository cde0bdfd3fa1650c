"""The grid of time of a plan: fine slots near, coarse ones later, on the local clock.

Within one quarter hour of the clock every boundary stays where it is: the grid is laid from the quarter hour's begin and then cut at
now, so only the first slot shrinks or vanishes. A solver that is kept alive lives from that. A finer clock far ahead buys little
(OPTIMIZER figures: 42 slots instead of 96 cost 0.07-0.6 % and are 2-5 times as fast).

Boundaries are moments (Unix seconds), whole steps of the local clock: on days with 23 and 25 hours, and in zones that are 30 or 45
minutes off, an hour slot is an hour of the wall clock. Pure: the time is handed in.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, tzinfo

from optimizer.forecast import SHORTEST_SLOT_S, ForecastError, zone_of
from optimizer.problem import Slot

QUARTER_S = 900.0
STEPS: tuple[tuple[float, float], ...] = ((QUARTER_S, 300.0), (4 * 3600.0, QUARTER_S), (10 * 3600.0, 1800.0), (math.inf, 3600.0))
"""(until this long after the quarter hour's begin [s], step of the local clock [s])."""
LONGEST_HORIZON_S = 14 * 86_400.0
LAST_WALL_S = 2e11
"""A clock beyond this (the year 8307) is no clock [wall s]."""


def make_grid(now_wall_s: float, horizon_s: float = 86_400.0, edges: Iterable[float] = (), timezone: str = "UTC") -> tuple[Slot, ...]:
    """Contiguous slots from now on, until the horizon [s] is covered from anywhere in the running quarter hour.

    edges: further boundaries [wall s], such as changes of prices and limits; those outside the grid, not finite, or within a second
    of another boundary are left out. A rest of less than a second before the first boundary is left out too.
    Raises ForecastError: unknown zone, a time that is no number, a horizon that is not above 0 or longer than two weeks.
    """
    if not 0 <= now_wall_s < LAST_WALL_S or not 0 < horizon_s <= LONGEST_HORIZON_S:
        raise ForecastError(f"a grid from {now_wall_s} over {horizon_s} s: the horizon must be above 0 and at most {LONGEST_HORIZON_S} s")
    bounds = _with_edges(list(_boundaries(now_wall_s, horizon_s, zone_of(timezone))), edges)
    passed = sum(bound - now_wall_s < SHORTEST_SLOT_S for bound in bounds)
    later = bounds[passed:]
    starts = [max(now_wall_s, bounds[passed - 1]), *later[:-1]]
    return tuple(Slot(start, end - start) for start, end in zip(starts, later, strict=True))


def quarter_of(wall_s: float) -> float:
    """Begin of the quarter hour of UTC that contains this moment [wall s]: it is one of the local clock in all zones in use."""
    return math.floor(wall_s / QUARTER_S) * QUARTER_S


def _boundaries(now_wall_s: float, horizon_s: float, zone: tzinfo) -> Iterator[float]:
    begin_s = quarter_of(now_wall_s)
    end_s = begin_s + QUARTER_S + horizon_s
    at_s = begin_s
    yield at_s
    while at_s < end_s:
        at_s = _next_step(at_s, _step_after(at_s - begin_s), zone)
        yield at_s


def _step_after(passed_s: float) -> float:
    return next(step_s for until_s, step_s in STEPS if passed_s < until_s)


def _next_step(at_s: float, step_s: float, zone: tzinfo) -> float:
    """The next whole step of the clock that hangs on the wall at this moment."""
    offset_s = _offset_s(at_s, zone)
    return (math.floor((at_s + offset_s) / step_s) + 1) * step_s - offset_s


def _offset_s(wall_s: float, zone: tzinfo) -> float:
    offset = datetime.fromtimestamp(wall_s, UTC).astimezone(zone).utcoffset()
    return offset.total_seconds() if offset is not None else 0.0


def _with_edges(bounds: list[float], edges: Iterable[float]) -> list[float]:
    """The boundaries with those edges between them that keep every slot at a second or more; never depends on now."""
    wanted = sorted({edge for edge in edges if bounds[0] < edge < bounds[-1]})
    merged: list[float] = []
    ahead = iter(wanted)
    edge = next(ahead, math.inf)
    for bound in bounds:
        while edge < bound:
            if edge - merged[-1] >= SHORTEST_SLOT_S and bound - edge >= SHORTEST_SLOT_S:
                merged.append(edge)
            edge = next(ahead, math.inf)
        merged.append(bound)
    return merged
