"""The arbiter: who gets how many amps now. The only maker of setpoints.

A frozen picture goes in (rows of capacity, claims of EVSEs), grants come out; same picture, same
grants. It decides in three steps: who may charge at all (everybody's minimum, by priority, then in
turns), how the rest is shared (max-min fair, level by level), and how fast setpoints may rise.

It must never: load a row beyond its capacity, grant something between 0 and the minimum, let a
rise count on a cut that the other station has not yet followed, or leave a car waiting for ever.
Serves P4, F12, F57; the laws are in tests/properties/test_arbiter_laws.py.

Rows are the constraints: one per circuit and phase, one per station and phase where the CSMS
limits a station's sum. Priority = order of narrowing: the rows hold copper, grid and site limits;
``cap_a`` holds upstream wishes and the plan, which can only lower.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum

from controller.facts import EvseKey

EPS = 1e-6
WAITING = "waiting for a turn: "


class Rank(IntEnum):
    """Order of service within one priority."""

    AGED = 0
    SERVED = 1
    WAITING = 2
    YIELDING = 3
    RESTING = 4


@dataclass(frozen=True, slots=True)
class Row:
    """One constraint: capacity for the claims on it [A] and the words that name it."""

    capacity_a: float
    reason: str


@dataclass(frozen=True, slots=True)
class Claim:
    """What one EVSE may get. All currents per phase [A].

    rows: indices of the rows it loads. min_a: least current that charges. cap_a: most it may have
    by its own limits, cap_reason names the lowest. want_a <= cap_a: what it is expected to use; the
    rest is given only if nobody else needs it. present_a: setpoint in force. ceiling_a >= present_a:
    the most the station may still be obeying. rise_s: seconds since the setpoint last changed, for
    the ramp; inf = no ramp (a new session). may_rise False: no rise above the minimum.
    """

    key: EvseKey
    rows: tuple[int, ...]
    min_a: float
    cap_a: float
    cap_reason: str
    want_a: float
    present_a: float
    ceiling_a: float
    priority: int = 0
    rank: Rank = Rank.WAITING
    since_mono_s: float = 0.0
    step_a: float = 1.0
    rise_s: float = math.inf
    may_rise: bool = True


@dataclass(frozen=True, slots=True)
class Grant:
    """A setpoint: limit_a per phase [A], why it is not higher. waiting: no room for its minimum.

    source: who holds it back, in the words of NotifyChargingLimit: "EMS" (the site), "SO" (the grid operator), "CSO" (its
    CSMS), "" (nobody: charger or car). ends_wall_s: when what holds it back ends, None = not known. phase_count, phase_to_use:
    None = as it is wired. setpoint_w: signed power for a V2G setpoint, None = plain charging. idle: neither charge nor discharge.
    """

    key: EvseKey
    limit_a: float
    reason: str
    waiting: bool = False
    source: str = ""
    ends_wall_s: float | None = None
    phase_count: int | None = None
    phase_to_use: int | None = None
    setpoint_w: float | None = None
    idle: bool = False


@dataclass(frozen=True, slots=True)
class Pace:
    """How setpoints rise. ramp_up_a_per_s [A/s], dead_band_a [A]."""

    ramp_up_a_per_s: float
    dead_band_a: float


@dataclass(slots=True)
class _Share:
    """The tables of one decision, by index of claim and row."""

    rows: Sequence[Row]
    claims: Sequence[Claim]
    amps: list[float]
    slack: list[float]
    why: list[str]
    waiting: set[int] = field(default_factory=set)


def decide(rows: Sequence[Row], claims: Sequence[Claim], pace: Pace) -> tuple[Grant, ...]:
    """One grant per claim, in the order of the claims."""
    share = _Share(rows, claims, [0.0] * len(claims), [max(0.0, row.capacity_a) for row in rows], [""] * len(claims))
    order = sorted(range(len(claims)), key=lambda index: _service(claims[index]))
    admitted = _admit(share, order)
    _fill_by_priority(share, admitted, [claim.want_a for claim in claims])
    _fill_by_priority(share, admitted, [claim.cap_a for claim in claims])
    _whole_steps(share, admitted)
    _name_reasons(share, admitted)
    _pace_rises(share, order, pace)
    return tuple(Grant(claim.key, share.amps[i], share.why[i], i in share.waiting) for i, claim in enumerate(claims))


def _service(claim: Claim) -> tuple[int, int, float, EvseKey]:
    """Order of service: priority, rank, then who has waited (or been served) longest."""
    since = -claim.since_mono_s if claim.rank is Rank.YIELDING else claim.since_mono_s
    return -claim.priority, int(claim.rank), since, claim.key


# -- step 1: everybody's minimum --------------------------------------------------------------------


def _admit(share: _Share, order: Sequence[int]) -> list[int]:
    """Give the minimum to as many as fit, in order of service; the others wait for a turn."""
    admitted: list[int] = []
    for index in order:
        claim = share.claims[index]
        if claim.cap_a < claim.min_a - EPS or claim.cap_a <= EPS:
            share.why[index] = claim.cap_reason
            continue
        if all(share.slack[row] >= claim.min_a - EPS for row in claim.rows):
            _take(share, index, claim.min_a)
            admitted.append(index)
            continue
        share.waiting.add(index)
        tight = min(claim.rows, key=lambda row: share.slack[row])
        share.why[index] = f"{WAITING}{share.rows[tight].reason}"
    return admitted


def _take(share: _Share, index: int, more_a: float) -> None:
    share.amps[index] += more_a
    for row in share.claims[index].rows:
        share.slack[row] -= more_a


# -- step 2: the rest, level by level ----------------------------------------------------------------


def _fill_by_priority(share: _Share, admitted: Sequence[int], caps: Sequence[float]) -> None:
    hungry = [index for index in admitted if caps[index] > share.amps[index] + EPS]
    for priority in sorted({share.claims[index].priority for index in hungry}, reverse=True):
        _fill(share, [index for index in hungry if share.claims[index].priority == priority], caps)


def _fill(share: _Share, members: list[int], caps: Sequence[float]) -> None:
    """Max-min fair: all rise to one common level until their cap or a full row stops them."""
    if _all_fit(share, members, caps):
        for index in members:
            _take(share, index, caps[index] - share.amps[index])
        return
    _Level(share, members, caps).run()


def _all_fit(share: _Share, members: Sequence[int], caps: Sequence[float]) -> bool:
    need = [0.0] * len(share.rows)
    for index in members:
        more_a = caps[index] - share.amps[index]
        for row in share.claims[index].rows:
            need[row] += more_a
    return all(wanted <= slack + EPS for wanted, slack in zip(need, share.slack, strict=True))


class _Level:
    """The water level of one priority. Each pass moves it to the next start, cap or full row."""

    def __init__(self, share: _Share, members: list[int], caps: Sequence[float]) -> None:
        self.share, self.caps = share, caps
        self.starts = sorted(members, key=lambda index: -share.amps[index])
        self.stops = sorted(members, key=lambda index: -caps[index])
        self.level = share.amps[self.starts[-1]]
        self.rising: set[int] = set()
        self.done: set[int] = set()
        self.count: dict[int, int] = {}
        self.on_row: dict[int, list[int]] = {}

    def run(self) -> None:
        while True:
            self._start()
            self._stop()
            if not self.starts and not self.rising:
                return
            self._rise(self._next())

    def _start(self) -> None:
        amps = self.share.amps
        while self.starts and amps[self.starts[-1]] <= self.level + EPS:
            index = self.starts.pop()
            self.rising.add(index)
            for row in self.share.claims[index].rows:
                self.count[row] = self.count.get(row, 0) + 1
                self.on_row.setdefault(row, []).append(index)

    def _stop(self) -> None:
        while self.stops and (self.stops[-1] in self.done or (self.stops[-1] in self.rising and self.caps[self.stops[-1]] <= self.level + EPS)):
            self._freeze(self.stops.pop())
        for row in [row for row, count in self.count.items() if count and self.share.slack[row] <= EPS]:
            for index in self.on_row[row]:
                self._freeze(index)

    def _freeze(self, index: int) -> None:
        if index not in self.rising:
            return
        self.rising.discard(index)
        self.done.add(index)
        self.share.amps[index] = min(self.level, self.caps[index])
        for row in self.share.claims[index].rows:
            self.count[row] -= 1

    def _next(self) -> float:
        """The next level at which something happens."""
        slack = self.share.slack
        level = min((self.level + slack[row] / count for row, count in self.count.items() if count), default=math.inf)
        if self.starts:
            level = min(level, self.share.amps[self.starts[-1]])
        for index in reversed(self.stops):
            if index in self.rising:
                return min(level, self.caps[index])
        return level

    def _rise(self, level: float) -> None:
        by_a = max(0.0, level - self.level)
        for row, count in self.count.items():
            if count:
                self.share.slack[row] -= count * by_a
        self.level = level


def _whole_steps(share: _Share, admitted: Sequence[int]) -> None:
    """Down to the charger's step, then hand the crumbs out in order of service."""
    for index in admitted:
        claim = share.claims[index]
        whole_a = max(claim.min_a, floor_to(share.amps[index], claim.step_a))
        _take(share, index, whole_a - share.amps[index])
    for index in admitted:
        claim = share.claims[index]
        more_a = min(claim.step_a, floor_to(claim.cap_a, claim.step_a) - share.amps[index])
        if more_a > EPS and all(share.slack[row] >= more_a - EPS for row in claim.rows):
            _take(share, index, more_a)


def floor_to(amps: float, step_a: float) -> float:
    """Down to a multiple of the step [A]."""
    return math.floor(amps / step_a + EPS) * step_a


def _name_reasons(share: _Share, admitted: Sequence[int]) -> None:
    for index in admitted:
        claim = share.claims[index]
        if share.amps[index] >= floor_to(claim.cap_a, claim.step_a) - EPS:
            share.why[index] = claim.cap_reason
            continue
        tight = min(claim.rows, key=lambda row: share.slack[row])
        share.why[index] = share.rows[tight].reason


# -- step 3: down at once, up with care -----------------------------------------------------------------


def _pace_rises(share: _Share, order: Sequence[int], pace: Pace) -> None:
    """A rise may use only what no other station may still be drawing."""
    room = [row.capacity_a for row in share.rows]
    for index, claim in enumerate(share.claims):
        held_a = max(claim.ceiling_a, min(share.amps[index], claim.present_a))
        for row in claim.rows:
            room[row] -= held_a
    for index in order:
        claim = share.claims[index]
        if share.amps[index] <= claim.present_a + EPS:
            continue
        paced_a, why = _paced(share, index, room, pace)
        held_a = max(claim.ceiling_a, claim.present_a)
        for row in claim.rows:
            room[row] -= max(0.0, paced_a - held_a)
        if paced_a < share.amps[index] - EPS:
            share.amps[index], share.why[index] = paced_a, why


def _paced(share: _Share, index: int, room: Sequence[float], pace: Pace) -> tuple[float, str]:
    """How far this claim may rise now [A] and what holds it."""
    claim, target_a = share.claims[index], share.amps[index]
    if target_a - claim.present_a < pace.dead_band_a - EPS and claim.present_a >= claim.min_a - EPS:
        return claim.present_a, share.why[index]
    limit_a, why = target_a, share.why[index]
    least_a = max(claim.present_a, claim.min_a)
    if not claim.may_rise:
        limit_a, why = min(limit_a, least_a), "no rise while a meter is late or has just been over its limit"
    ramp_a = max(claim.present_a + pace.ramp_up_a_per_s * claim.rise_s, least_a if claim.present_a < claim.min_a else 0.0)
    if ramp_a < limit_a - EPS:
        limit_a, why = ramp_a, "rising"
    free_a = max(claim.ceiling_a, claim.present_a) + max(0.0, min((room[row] for row in claim.rows), default=0.0))
    if free_a < limit_a - EPS:
        limit_a, why = free_a, "waiting until other stations have followed their cut"
    if limit_a < claim.min_a - EPS:
        return claim.present_a, why
    return max(floor_to(limit_a, claim.step_a), claim.min_a, claim.present_a), why
