"""The rules a plan is compared with, on the same stations and cars, every ten seconds and inside every limit.

Each puts the cars in an order and hands out whole amps, at least 6 A or nothing, as far as every circuit up to the grid carries them;
``round-robin`` hands out one amp after the other in turn instead. They see the same loads and hear the same needs as Yardmaster, and
know no prices. ``uncontrolled`` hands out nothing: every car takes what it can.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from time import process_time

from controller.config import ROOT_CIRCUIT, Config
from controller.facts import Stamp
from controller.sim import wire
from controller.sim.backtest.case import Case
from controller.sim.backtest.outcome import PolicyOutcome
from controller.sim.backtest.timeline import Progress, outcome, stamp_of, travel
from controller.sim.backtest.yard import Guest, Yard, path_of, told_needs
from controller.sim.car import MIN_OFFER_A, VOLTAGE_V

NEVER_S = 86_400.0 * 3650
TURN_S = 300.0
FOLLOW_S = 10.0
"""A car has lowered its current after this [s]."""
STEP_A = 1.0
SILENT_STAY_S = 8 * 3600.0
SILENT_WH = 20_000.0
RANK_EVERY_S = 300.0
"""Ranks are looked at anew so often [s], as usual for such rules."""
ALIKE_S = 900.0
"""Cars whose laxities are nearer would swap places all the time, and a car that begins loses seconds: that would make the rule worse than
it is (0.2-0.4 points of energy at 30 % capacity, 1.5 points where ranks are looked at every minute)."""


@dataclass(frozen=True, slots=True)
class Wish:
    """A car as a rule sees it. left_wh: still wanted. rows: (circuit, phase) it loads up to the grid."""

    evse: str
    arrival_wall_s: float
    departure_wall_s: float
    left_wh: float
    least_a: float
    most_a: float
    watts_per_a: float
    rows: tuple[tuple[str, int], ...]

    def laxity_s(self, wall_s: float) -> float:
        """Time it could still wait [s]."""
        return self.departure_wall_s - wall_s - self.left_wh * 3600.0 / (self.most_a * self.watts_per_a)


Room = dict[tuple[str, int], float]
Share = Callable[[Sequence[Wish], Room, float], dict[str, float]]


def first_come(wishes: Sequence[Wish], room: Room, wall_s: float) -> dict[str, float]:
    """Who came first is served first."""
    return greedy(sorted(wishes, key=lambda one: (one.arrival_wall_s, one.evse)), room)


def earliest_deadline(wishes: Sequence[Wish], room: Room, wall_s: float) -> dict[str, float]:
    """Who leaves first is served first."""
    return greedy(sorted(wishes, key=lambda one: (one.departure_wall_s, one.evse)), room)


def least_laxity(wishes: Sequence[Wish], room: Room, wall_s: float) -> dict[str, float]:
    """Who can wait least is served first; equally urgent cars, within a quarter hour, keep their order."""
    return greedy(sorted(wishes, key=lambda one: (one.laxity_s(wall_s) // ALIKE_S, one.arrival_wall_s, one.evse)), room)


def round_robin(wishes: Sequence[Wish], room: Room, wall_s: float) -> dict[str, float]:
    """In turn, amp by amp. Where not everybody can begin, the turn begins elsewhere every five minutes."""
    ordered = sorted(wishes, key=lambda one: (one.arrival_wall_s, one.evse))
    first = int(wall_s // TURN_S) % max(1, len(ordered))
    ordered = ordered[first:] + ordered[:first]
    given = greedy([_least(one) for one in ordered], room)
    growing = [one for one in ordered if given[one.evse] > 0]
    while growing:
        still = []
        for one in growing:
            more_a = min(STEP_A, one.most_a - given[one.evse])
            if more_a > 1e-9 and all(room[row] >= more_a for row in one.rows):
                given[one.evse] += more_a
                _take(room, one, more_a)
                still.append(one)
        growing = still
    return given


def _least(one: Wish) -> Wish:
    return Wish(one.evse, one.arrival_wall_s, one.departure_wall_s, one.left_wh, one.least_a, one.least_a, one.watts_per_a, one.rows)


def greedy(ordered: Sequence[Wish], room: Room) -> dict[str, float]:
    """Each as much as there is, in this order, in whole amps; 0 where it is less than the minimum."""
    given: dict[str, float] = {}
    for one in ordered:
        free_a = min((room[row] for row in one.rows), default=0.0)
        amps = one.most_a if free_a >= one.most_a else float(int(max(0.0, free_a) + 1e-6))
        given[one.evse] = amps if amps >= one.least_a else 0.0
        _take(room, one, given[one.evse])
    return given


def _take(room: Room, one: Wish, amps: float) -> None:
    for row in one.rows:
        room[row] -= amps


SHARES: Mapping[str, Share] = {
    "first-come": first_come,
    "edf": earliest_deadline,
    "llf": least_laxity,
    "round-robin": round_robin,
}


def run_rule(case: Case, config: Config, name: str, progress: Progress) -> PolicyOutcome:
    """The whole time under one of ``SHARES``, or with any other name under nobody."""
    began_s = process_time()
    yard = Yard(case, config, NEVER_S)
    rule = Rule(yard, SHARES[name]) if name in SHARES else None
    at = stamp_of(case, case.start_wall_s)
    if rule is not None:
        rule.begin(at)
    yard.advance(at)

    def step(at: Stamp) -> None:
        yard.advance(at)
        _nobody_listens(yard, at)
        if rule is not None:
            rule.look(at)

    travel(case, yard, step, progress)
    return outcome(case, yard, name, began_s)


def _nobody_listens(yard: Yard, at: Stamp) -> None:
    """Cars charge without asking anybody; what stations would say is forgotten."""
    for guest in yard.guests.values():
        yard.stations[guest.visit.key.station_id].forget_events()


class Rule:
    """One of ``SHARES`` as a controller: looks every ten seconds and writes what has changed."""

    def __init__(self, yard: Yard, share: Share) -> None:
        self._yard, self._share = yard, share
        self._margin_a = yard.config.grid.margin_a
        self._rows = {name: tuple(path_of(yard.config, yard.config_circuit(name))) for name in yard.evses}
        self._told: dict[str, tuple[float, float]] = {}
        self._written: dict[str, float] = {}
        self._later: dict[str, float] = {}
        self._later_mono_s = 0.0
        self._seen: object = None

    def begin(self, at: Stamp) -> None:
        """Empty bays are closed, so that nobody starts before the rule has looked."""
        for name in self._yard.evses:
            self._write(at, name, 0.0)

    def look(self, at: Stamp) -> None:
        """Share anew if anything is different from last time."""
        yard = self._yard
        for place in [place for place in self._told if place not in yard.guests]:
            del self._told[place]
            self._write(at, place, 0.0)
        for place, guest in yard.guests.items():
            if place not in self._told:
                self._told[place] = self._needs(guest)
        full = tuple(place for place, guest in yard.guests.items() if guest.car.full)
        self._raise(at)
        seen = (tuple(yard.guests), full, yard.aside_a, int(at.wall_s // RANK_EVERY_S))
        if seen == self._seen:
            return
        self._seen = seen
        given = self._share([self._wish(guest, at) for guest in yard.guests.values() if not guest.car.full], self._room(), at.wall_s)
        self._hand_out(at, {place: given.get(place, 0.0) for place in yard.guests})

    def _hand_out(self, at: Stamp, given: Mapping[str, float]) -> None:
        """Cars take seconds to follow: where some get less, the others get more ten seconds later."""
        less = [place for place, amps in given.items() if amps < self._written.get(place, 0.0)]
        for place in less:
            self._write(at, place, given[place])
        self._later = {place: amps for place, amps in given.items() if place not in less}
        self._later_mono_s = at.mono_s + (FOLLOW_S if less else 0.0)
        self._raise(at)

    def _raise(self, at: Stamp) -> None:
        if at.mono_s < self._later_mono_s:
            return
        for place, amps in self._later.items():
            if place in self._yard.guests:
                self._write(at, place, amps)
        self._later = {}

    def _needs(self, guest: Guest) -> tuple[float, float]:
        told = told_needs(guest.visit, guest.car, self._yard.case.drivers)
        return told if told is not None else (SILENT_WH, guest.visit.arrival_wall_s + SILENT_STAY_S)

    def _wish(self, guest: Guest, at: Stamp) -> Wish:
        visit = guest.visit
        need_wh, departure_s = self._told[visit.evse]
        rows = tuple((circuit, phase) for circuit in self._rows[visit.evse] for phase in visit.phases)
        left_wh = max(0.0, need_wh - guest.car.charged_wh)
        return Wish(
            visit.evse, visit.arrival_wall_s, departure_s, left_wh, MIN_OFFER_A, visit.max_current_a, VOLTAGE_V * len(visit.phases), rows
        )

    def _room(self) -> Room:
        """What is left of every circuit beside everything that is not a car."""
        yard = self._yard
        room: Room = {}
        for circuit, limit_a in yard.account.limits_a.items():
            for phase in (0, 1, 2):
                room[circuit, phase] = limit_a - self._margin_a - (yard.aside_a if circuit == ROOT_CIRCUIT else 0.0)
        return room

    def _write(self, at: Stamp, place: str, amps: float) -> None:
        if self._written.get(place) != amps:
            self._written[place] = amps
            station, _, evse = place.rpartition("/")
            self._yard.stations[station].profiles.put(int(evse), profile(at, int(evse), amps), None)


def profile(at: Stamp, evse_id: int, limit_a: float) -> wire.Payload:
    """A default profile of one limit, as a station takes it."""
    period = {"startPeriod": 0, "limit": limit_a}
    schedule = {"id": 1, "startSchedule": wire.iso(at.wall_s), "chargingRateUnit": "A", "chargingSchedulePeriod": [period]}
    body = {"id": evse_id, "stackLevel": 0, "chargingProfilePurpose": "TxDefaultProfile", "chargingProfileKind": "Absolute"}
    return {**body, "chargingSchedule": [schedule]}
