"""Giving back: how much of what is wanted fits on the export rows. Decided after charging, which sees nothing of it.

Where a row is full less is given at once and in whole amperes, more only in clear steps: the noise of the building would
cost a profile a second.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from controller.site.sharing.claims import EPS, Claim, Give, Row, floor_to

STEP_A: Final = 1.0
"""On a full row what is given back changes by no less than this [A]."""
GAP_S: Final = 15.0
"""What is given back grows only so long after its last change [s]."""


def give_back(rows: Sequence[Row], claims: Sequence[Claim], amps: Sequence[float]) -> dict[int, float]:
    """Power each claim shall give back [W], > 0, by its index. Charging was decided before and saw nothing of it.

    Everybody on a full export row gives the same part of what was wanted; what would be less than its least is nothing.
    """
    wanting = _wanting(claims, amps)
    part = _parts(rows, wanting)
    given = {index: _given(give, rows, part) for index, give in wanting}
    if any(row.strict for row in rows):
        _wait_for_others(rows, wanting, given)
    return {index: given[index] * give.w_per_a for index, give in wanting if given[index] > EPS and given[index] >= give.least_a - EPS}


def held_by(rows: Sequence[Row], claims: Sequence[Claim], amps: Sequence[float]) -> dict[int, str]:
    """The strict row that keeps a claim from giving what is wanted of it, by its index."""
    wanting = _wanting(claims, amps)
    part = _parts(rows, wanting)
    tight = {index: min(give.rows, key=lambda row: (part[row], not rows[row].strict)) for index, give in wanting if give.rows}
    return {index: rows[row].reason for index, row in tight.items() if rows[row].strict and part[row] < 1.0}


def _wanting(claims: Sequence[Claim], amps: Sequence[float]) -> list[tuple[int, Give]]:
    return [(index, claim.give) for index, claim in enumerate(claims) if claim.give is not None and amps[index] <= EPS]


def _parts(rows: Sequence[Row], wanting: Sequence[tuple[int, Give]]) -> list[float]:
    """The part of what is wanted on each row that fits."""
    asked = [0.0] * len(rows)
    for _, give in wanting:
        for row in give.rows:
            asked[row] += give.wanted_a
    return [min(1.0, max(0.0, row.capacity_a) / asked[index]) if asked[index] > EPS else 1.0 for index, row in enumerate(rows)]


def _wait_for_others(rows: Sequence[Row], wanting: Sequence[tuple[int, Give]], given: dict[int, float]) -> None:
    """On a strict row more may only be given into what is free while everybody still gives what he may be giving."""
    free, more = [row.capacity_a for row in rows], [0.0] * len(rows)
    for index, give in wanting:
        for row in give.rows:
            free[row] -= give.held_a
            more[row] += max(0.0, given[index] - give.held_a)
    for index, give in wanting:
        if given[index] <= give.held_a + EPS:
            continue
        parts = [max(0.0, free[row]) / more[row] for row in give.rows if rows[row].strict and more[row] > EPS]
        given[index] = give.held_a + (given[index] - give.held_a) * min([1.0, *parts])


def _given(give: Give, rows: Sequence[Row], part: Sequence[float]) -> float:
    """What it gives as far as the rows go [A]. A strict row is a figure, not a measurement: it needs no calming."""
    tight = min(give.rows, key=lambda row: part[row], default=None)
    if tight is None:
        return 0.0
    most_a = give.wanted_a * part[tight]
    return most_a if rows[tight].strict and part[tight] < 1.0 else _calm(give, most_a)


def _calm(give: Give, most_a: float) -> float:
    """What is really asked of it when it may give so much [A]; never more. A full row is as unsteady as the building on it."""
    full = most_a < give.wanted_a - EPS
    if give.now_a <= EPS or (not full and most_a < give.now_a):
        return most_a
    if most_a < give.now_a - EPS:
        whole_a = floor_to(most_a, STEP_A)
        return whole_a if whole_a >= give.least_a - EPS else most_a
    grows = most_a >= give.now_a + STEP_A - EPS or not full
    return most_a if grows and (give.prompt or give.changed_s >= GAP_S) else give.now_a
