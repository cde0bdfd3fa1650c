"""The arbiter: who gets how many amps now. The only maker of setpoints.

A frozen picture goes in (rows of capacity, claims of EVSEs), grants come out; same picture, same
grants. It decides in three steps: who may charge at all (everybody's minimum, by priority, then in
turns), how the rest is shared (max-min fair, level by level), and how fast setpoints may rise.

It must never: load a row beyond its capacity, grant something between 0 and the minimum, let a
rise count on a cut that the other station has not yet followed, or leave a car waiting for ever.
Serves P4, F12, F57; the laws are in tests/properties/test_arbiter_laws.py.

Rows are the constraints (``rows``): circuits, stations in sum, the difference between two phases, totals in watts, export. A
claim loads a total once per phase, any other row once. Priority = order of narrowing: the rows hold copper, grid and site limits;
``cap_a`` holds upstream wishes and the plan (``chain``), which can only lower. Giving back is decided last and changes nobody's
charging (``giving``).
"""

from __future__ import annotations

from collections.abc import Sequence
from heapq import heapify, heappop, heapreplace
from typing import Final

from controller.facts import EvseKey
from controller.site.sharing.claims import EPS, WAITING, Claim, Give, Grant, Pace, Rank, Row, floor_to
from controller.site.sharing.giving import give_back, held_by
from controller.site.sharing.layers import GUARD, NOTIFIED
from controller.site.sharing.levels import Share, fill_by_priority, take

__all__ = ["EPS", "WAITING", "Claim", "Give", "Grant", "Pace", "Rank", "Row", "decide", "floor_to"]

LIFTED: Final = 50
"""Priority in the queue of a claim that has waited too long: above any that is configured, below PriorityCharging."""
SMALL_RISE_S: Final = 30.0
"""A rise by no more than the dead band waits this long after the last change [s]: the building's noise is not worth a profile."""
CRUMB_A: Final = 0.1
"""What rounding down has left is handed out a step at a time, finer steps so many amperes at a time."""
LEAN_ROUNDS: Final = 4
"""So often a decision is made again when cars that others lean on were cut; then nobody may lean on anybody."""


def decide(rows: Sequence[Row], claims: Sequence[Claim], pace: Pace) -> tuple[Grant, ...]:
    """One grant per claim, in the order of the claims."""
    order = sorted(range(len(claims)), key=lambda index: _service(claims[index]))
    if any(row.leans for row in rows):
        share = _leaning(rows, claims, order, pace)
    else:
        share = _shared(rows, claims, [row.capacity_a for row in rows], order, pace)
    given = give_back(rows, claims, share.amps) if any(claim.give is not None for claim in claims) else {}
    less = held_by(rows, claims, share.amps) if any(row.strict for row in rows) else {}
    return tuple([_grant(share, index, given, less) for index in range(len(claims))])


def _shared(rows: Sequence[Row], claims: Sequence[Claim], capacity: Sequence[float], order: Sequence[int], pace: Pace) -> Share:
    """All steps of one decision with these capacities [A]."""
    slack = [max(0.0, amps) for amps in capacity]
    share = Share(rows, claims, capacity, [0.0] * len(claims), slack, [""] * len(claims), list(claims))
    admitted = _admit(share, order)
    fill_by_priority(share, admitted, [claim.want_a for claim in claims])
    fill_by_priority(share, admitted, [claim.cap_a for claim in claims])
    _whole_steps(share, admitted)
    _name_reasons(share, admitted)
    _pace_rises(share, order, pace)
    return share


def _grant(share: Share, index: int, given: dict[int, float], less: dict[int, str]) -> Grant:
    claim, by, give_w = share.claims[index], share.by[index], given.get(index)
    why = claim.give.reason if give_w is not None and claim.give is not None else share.why[index]
    why = less.get(index, why)
    return Grant(
        claim.key,
        share.amps[index],
        why,
        index in share.waiting,
        NOTIFIED.get(by.source, ""),
        by.ends_wall_s,
        claim.phase_count,
        claim.phase_to_use,
        -give_w if give_w is not None else None,
        claim.idle and share.amps[index] <= EPS and give_w is None,
    )


def _service(claim: Claim) -> tuple[int, int, bool, float, EvseKey]:
    """Order of service: priority, rank, who is in a hurry, then who has waited (or been served) longest.

    Among those that have waited for two turns hurry counts no more: else a car with time would wait for ever.
    """
    rank = claim.rank
    priority = max(claim.priority, LIFTED) if claim.lifted else claim.priority
    since = -claim.since_mono_s if rank is Rank.YIELDING else claim.since_mono_s
    return -priority, 0 if claim.lifted else int(rank), rank is not Rank.AGED and not claim.hurry, since, claim.key


# -- rows that lean on others: the unbalance between phases ---------------------------------------------


_Support = dict[tuple[tuple[EvseKey, float], ...], dict[EvseKey, float]]
"""What may still be leaned on, by the row's leans."""


def _leaning(rows: Sequence[Row], claims: Sequence[Claim], order: Sequence[int], pace: Pace) -> Share:
    """Decide with what the cars on the opposite phases draw; again with less when this very decision cuts them.

    A difference between phases is no sum: lowering one car makes the other phase's room smaller. So support only ever
    falls from round to round, and in the last one nobody is leaned on, which no cut can disturb.
    """
    support = {row.leans: dict(row.leans) for row in rows if row.leans}
    for rounds_left in reversed(range(LEAN_ROUNDS)):
        capacity = [row.capacity_a + sum(support[row.leans].values()) if row.leans else row.capacity_a for row in rows]
        share = _shared(rows, claims, capacity, order, pace)
        granted = {claim.key: amps for claim, amps in zip(claims, share.amps, strict=True)}
        if not _lean_less(share, support, granted, last=rounds_left == 0):
            return share
    bare = [row.capacity_a + sum(support[row.leans].values()) if row.leans else row.capacity_a for row in rows]
    return _shared(rows, claims, bare, order, pace)


def _lean_less(share: Share, support: _Support, granted: dict[EvseKey, float], last: bool) -> bool:
    """Take the support that this decision cut away; True if a row carries more than what is left."""
    carried = [0.0] * len(share.rows)
    for claim, amps in zip(share.claims, share.amps, strict=True):
        for row in claim.rows:
            carried[row] += amps
    short = False
    for load_a, leaning in zip(carried, share.rows, strict=True):
        if not leaning.leans:
            continue
        left = support[leaning.leans]
        for key, amps in left.items():
            left[key] = min(amps, granted.get(key, amps))
        short = short or load_a > max(0.0, leaning.capacity_a + sum(left.values())) + EPS
    if short and last:
        for left in support.values():
            left.update({key: min(0.0, amps) for key, amps in left.items()})
    return short


# -- step 1: everybody's minimum --------------------------------------------------------------------


def _admit(share: Share, order: Sequence[int]) -> list[int]:
    """Give the minimum to as many as fit, in order of service; the others wait for a turn."""
    admitted: list[int] = []
    for index in order:
        claim = share.claims[index]
        if claim.cap_a < claim.min_a - EPS or claim.cap_a <= EPS:
            share.why[index] = claim.cap_reason
            continue
        need_a = claim.min_a - EPS
        if claim.room_a(share.slack) >= need_a or (claim.present_a >= need_a and _bears(share, claim)):
            take(share, index, claim.min_a)
            admitted.append(index)
            continue
        share.waiting.add(index)
        tight = share.by[index] = share.rows[claim.tightest(share.slack)]
        share.why[index] = f"{WAITING}{tight.reason}"
    return admitted


def _bears(share: Share, claim: Claim) -> bool:
    """Whether who charges may keep his minimum over a moment's peak."""
    rows = claim.rows
    return all(share.slack[row] + share.rows[row].passing_a >= rows.count(row) * (claim.min_a - EPS) for row in rows)


def _whole_steps(share: Share, admitted: Sequence[int]) -> None:
    """Down to the charger's step, then hand the crumbs out: within a priority to who has least, then in order of service."""
    for index in admitted:
        claim = share.claims[index]
        whole_a = max(claim.min_a, floor_to(share.amps[index], claim.step_a))
        take(share, index, whole_a - share.amps[index])
    _crumbs(share, admitted)


def _crumbs(share: Share, admitted: Sequence[int]) -> None:
    """Who has least takes his next whole step, again and again; whom it does not fit is out, for room only gets less."""
    queue = [(-share.claims[index].priority, share.amps[index], turn, index) for turn, index in enumerate(admitted)]
    heapify(queue)
    while queue:
        priority, amps, turn, index = queue[0]
        more_a = _crumb(share.claims[index], amps, share.slack)
        if more_a > EPS:
            take(share, index, more_a)
            heapreplace(queue, (priority, share.amps[index], turn, index))
        else:
            heappop(queue)


def _crumb(claim: Claim, amps: float, slack: Sequence[float]) -> float:
    """How much more [A]; up to a multiple of the step even from a minimum between two, else the pace would round it away unused."""
    most_a = min(amps + max(claim.step_a, CRUMB_A), claim.cap_a)
    if most_a <= amps + EPS:
        return 0.0
    return floor_to(min(most_a, amps + claim.room_a(slack) + EPS), claim.step_a) - amps


def _name_reasons(share: Share, admitted: Sequence[int]) -> None:
    for index in admitted:
        claim = share.claims[index]
        if share.amps[index] >= floor_to(claim.cap_a, claim.step_a) - EPS:
            share.why[index] = claim.cap_reason
            continue
        tight = share.by[index] = share.rows[claim.tightest(share.slack)]
        share.why[index] = tight.reason


# -- step 3: down at once, up with care -----------------------------------------------------------------


def _pace_rises(share: Share, order: Sequence[int], pace: Pace) -> None:
    """A rise may use only what no other station may still be drawing."""
    room = list(share.capacity)
    for index, claim in enumerate(share.claims):
        held_a = max(claim.ceiling_a, min(share.amps[index], claim.present_a))
        for row in claim.rows:
            room[row] -= held_a
    for index in order:
        claim = share.claims[index]
        if share.amps[index] <= claim.present_a + EPS:
            continue
        paced_a, why = _paced(share, index, room, pace)
        more_a = max(0.0, paced_a - max(claim.ceiling_a, claim.present_a))
        for row in claim.rows:
            room[row] -= more_a
        if paced_a < share.amps[index] - EPS:
            share.amps[index], share.why[index] = paced_a, why
            if why == _LATE.reason:
                share.by[index] = _LATE


_LATE = Row(0.0, "no rise while a meter is late, has just been over its limit, or a station is not back after a restart", GUARD)


def _paced(share: Share, index: int, room: Sequence[float], pace: Pace) -> tuple[float, str]:
    """How far this claim may rise now [A] and what holds it. A moment's ramp is nobody's limit: the source stays that of the target."""
    claim, target_a = share.claims[index], share.amps[index]
    more_a = target_a - claim.present_a
    small = more_a < pace.dead_band_a - EPS or (more_a <= pace.dead_band_a + EPS and claim.rise_s < SMALL_RISE_S)
    if small and claim.present_a >= claim.min_a - EPS:
        return claim.present_a, share.why[index]
    limit_a, why = target_a, share.why[index]
    least_a = max(claim.present_a, claim.min_a)
    if not claim.may_rise:
        limit_a, why = min(limit_a, least_a), _LATE.reason
    ramp_a = max(claim.present_a + pace.ramp_up_a_per_s * claim.rise_s, least_a if claim.present_a < claim.min_a else 0.0)
    if ramp_a < limit_a - EPS:
        limit_a, why = ramp_a, "rising"
    free_a = max(claim.ceiling_a, claim.present_a) + max(0.0, claim.room_a(room) if claim.rows else 0.0)
    if free_a < limit_a - EPS:
        limit_a, why = free_a, "waiting until other stations have followed their cut"
    if limit_a < claim.min_a - EPS:
        return claim.present_a, why
    return max(floor_to(limit_a, claim.step_a), claim.min_a, claim.present_a), why
