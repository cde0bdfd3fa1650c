"""Giving back: how much of what is wanted fits on the export rows. Decided after charging, which sees nothing of it."""

from __future__ import annotations

from collections.abc import Sequence

from controller.site.claims import EPS, Claim, Row


def give_back(rows: Sequence[Row], claims: Sequence[Claim], amps: Sequence[float]) -> dict[int, float]:
    """Power each claim shall give back [W], > 0, by its index. Charging was decided before and saw nothing of it.

    Everybody on a full export row gives the same part of what was wanted; what would be less than its least is nothing.
    """
    asked = [0.0] * len(rows)
    wanting = [(index, claim.give) for index, claim in enumerate(claims) if claim.give is not None and amps[index] <= EPS]
    for _, give in wanting:
        for row in give.rows:
            asked[row] += give.wanted_a
    part = [min(1.0, max(0.0, row.capacity_a) / asked[index]) if asked[index] > EPS else 1.0 for index, row in enumerate(rows)]
    found: dict[int, float] = {}
    for index, give in wanting:
        given_a = give.wanted_a * min((part[row] for row in give.rows), default=0.0)
        if given_a > EPS and given_a >= give.least_a - EPS:
            found[index] = given_a * give.w_per_a
    return found
