"""From a plan to currents that real chargers accept: 0 or at least the minimum (6 A), in the charger's steps.

A plan is a mean power, a charger knows steps and a forbidden gap. Three things keep what that costs small:

* Rounding down only *withholds*: the energy is owed to the car and paid back first, the most urgent first.
* A mean inside the gap becomes the minimum for a part of the time. What was given too early counts against the car, so it
  alternates, and it changes over only when ``TURN_S`` worth of the minimum is owed one way or the other: contactors do not chatter.
* Room that rounding freed goes to the next urgent, and a car takes its minimum from those with time to spare.

Nothing is ever granted beyond a wire, a phase, the import limit or the unbalance rule (``Room`` grants only what fits). Beyond
the plan's own import a car charges only where that raises no peak and where the plan would buy the same energy later no cheaper.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from optimizer.problem import Ev, Plan, Problem
from optimizer.room import Room, slots_of_window
from optimizer.steps import Steps, accepted_w

__all__ = ["Rounded", "Steps", "to_amps"]

TURN_S = 150.0
"""Energy of the minimum current over this time decides about on and off: half a slot of 5 minutes, so that half the
minimum means one slot on, one slot off. The longest debt of a car whose turn has not come is bounded by ``DEBT_S``."""
DEBT_S = 900.0
"""A debt never grows beyond this time at the most the car may take [s]: older ones stand in the next plan anyway."""
SMALL_A = 1e-3
"""A planned current below this is the solver's zero [A]."""
LEISURE_S = 900.0
"""Who has less time to spare than this gives away next to nothing [s]..."""
LITTLE = 0.3
"""... that is at most this part of what the other would have to wait for."""


@dataclass(frozen=True, slots=True)
class Rounded:
    """Accepted currents per car and phase [A], negative = give back, and what is owed after the slot [Wh] (negative: given early).

    Both hold every car of ``steps`` that the problem knows; cars that owe and are owed nothing are left out of owed_wh.
    """

    setpoint_a: dict[str, float]
    owed_wh: dict[str, float]


def to_amps(
    problem: Problem,
    plan: Plan,
    steps: Mapping[str, Steps],
    owed_wh: Mapping[str, float],
    charging: Collection[str],
    slot: int = 0,
    held_s: float | None = None,
) -> Rounded:
    """The currents of one slot.

    steps: the cars that can be commanded; others (announced, expected) get and draw nothing. owed_wh: from the last answer.
    charging: ids of cars that charge or give back now. slot: the running one. held_s: how long the currents will stand [s],
    None = the whole slot.
    """
    rounding = _Rounding(problem, plan, slot, held_s)
    rounding.take_in(steps, owed_wh, charging)
    return rounding.result()


@dataclass(slots=True)
class _Car:
    """One car on its way to its current. sign: +1 charging, -1 giving back; the other amps are magnitudes per phase.

    want_a: the plan's mean. cap_a: most it may take; near full that is its charger's minimum. due_wh: withheld so far (negative:
    given early). level_a: granted so far. laxity_s: time to spare.
    """

    ev: Ev
    steps: Steps
    sign: int
    want_a: float
    cap_a: float
    due_wh: float
    laxity_s: float
    on: bool
    watts_per_a: float
    level_a: float = 0.0


class _Rounding:
    """The work on one slot."""

    def __init__(self, problem: Problem, plan: Plan, slot: int, held_s: float | None) -> None:
        self.problem, self.plan, self.slot = problem, plan, slot
        self.step = plan.slots[slot]
        self.hours = (self.step.duration_s if held_s is None else held_s) / 3600.0
        self.room = Room(problem, plan, slot)
        self.window = [other for other in self._rest_of_window() if other > slot]
        self.later: dict[str, float] = {}
        self.now_price = self._price(slot, self.room.plan_w)
        self.cars: list[_Car] = []

    def take_in(self, steps: Mapping[str, Steps], owed_wh: Mapping[str, float], charging: Collection[str]) -> None:
        """The cars that can be commanded, the most urgent first."""
        here = [ev for ev in self.problem.evs if ev.ev_id in steps and not ev.expected]
        self.cars = [self._car(ev, steps[ev.ev_id], owed_wh.get(ev.ev_id, 0.0), ev.ev_id in charging) for ev in here]
        self.cars.sort(key=lambda car: (-car.ev.priority, car.laxity_s, car.ev.ev_id))

    def _rest_of_window(self) -> list[int]:
        window_s = self.problem.demand_window_s
        return slots_of_window(self.plan, math.floor(self.step.start_wall_s / window_s), window_s)

    def _car(self, ev: Ev, steps: Steps, owed_wh: float, on: bool) -> _Car:
        watts_per_a = self.room.volts * len(ev.phases)
        there = _presence(ev, self.step.start_wall_s, self.step.duration_s)
        mean_a = self.plan.ev_power_w[ev.ev_id][self.slot] / watts_per_a
        sign = -1 if mean_a < -SMALL_A else 1
        want_a = abs(mean_a) / there if there > 0.0 and abs(mean_a) > SMALL_A else 0.0
        cap_a = self._cap_a(ev, steps, sign, watts_per_a) if there > 0.0 else 0.0
        rest_s = 3600.0 * max(0.0, ev.energy_need_wh) / ev.max_power_w if ev.max_power_w > 0.0 else 0.0
        laxity_s = ev.departure_wall_s - self.step.start_wall_s - rest_s
        due_wh = sign * owed_wh if want_a > 0.0 else 0.0
        return _Car(ev, steps, sign, want_a, cap_a, due_wh, laxity_s, on, watts_per_a)

    def _cap_a(self, ev: Ev, steps: Steps, sign: int, watts_per_a: float) -> float:
        """Largest accepted current in this slot: upstream's, the charger's and the car's bound."""
        if sign < 0:
            bound_w = min([ev.max_discharge_w, *ev.max_slot_discharge_w[self.slot : self.slot + 1]])
            spare_wh = max(0.0, ev.soc_wh - ev.reserve_wh) * ev.efficiency
            return steps.floor(min(bound_w, spare_wh / max(self.hours, 1e-9)) / watts_per_a)
        bound_w = min([ev.max_power_w, *ev.max_slot_power_w[self.slot : self.slot + 1]])
        hard_a = steps.floor(bound_w / watts_per_a)
        if hard_a <= 0.0 or ev.energy_need_wh <= 0.0:
            return 0.0
        return min(hard_a, max(steps.min_a, steps.floor(accepted_w(ev) / watts_per_a)))

    # -- the result ------------------------------------------------------------------------------------

    def result(self) -> Rounded:
        """Grant in order: what the plan says rounded down, the gap, what is owed, what is left."""
        charges = [car for car in self.cars if car.sign > 0 and car.cap_a > 0.0]
        gives = [car for car in self.cars if car.sign < 0 and car.cap_a > 0.0]
        self._down(charges)
        if gives:
            for group in (gives, charges, gives, charges):  # each makes room for the other
                self._down(group)
            self._gap_of_giving(gives)
        self._gap_of_charging(charges)
        self._pay_back(charges)
        self._share_rest(charges)
        setpoints = {car.ev.ev_id: car.sign * car.level_a if car.level_a else 0.0 for car in self.cars}
        return Rounded(setpoints, {car.ev.ev_id: owed for car in self.cars if (owed := self._owed_wh(car))})

    def _down(self, cars: Iterable[_Car]) -> None:
        """The plan's current, rounded down, as far as there is room. Above the plan's import only what raises no peak."""
        most_w = max(self.room.plan_w, self.room.paid_w)
        for car in cars:
            wanted_a = car.steps.floor(min(car.want_a + SMALL_A, car.cap_a))
            if wanted_a > car.level_a:
                self._raise(car, wanted_a, most_w)

    def _raise(self, car: _Car, wanted_a: float, most_w: float) -> bool:
        """Up to ``wanted_a``, or to the largest accepted current that fits; True if all of it."""
        ev = car.ev
        free_a = self.room.more_a(ev.node_id, ev.phases, most_w) if car.sign > 0 else self.room.less_a(ev.node_id, ev.phases)
        if free_a < 1e-9:
            return False
        level_a = wanted_a if car.level_a + free_a >= wanted_a - 1e-9 else car.steps.floor(car.level_a + free_a - 1e-6)
        if level_a > car.level_a:
            self._set(car, level_a)
        return car.level_a >= wanted_a

    def _set(self, car: _Car, level_a: float) -> None:
        self.room.book(car.ev.node_id, car.ev.phases, car.sign * (level_a - car.level_a))
        car.level_a = level_a

    # -- the gap between 0 and the minimum -----------------------------------------------------------------

    def _in_gap(self, cars: Iterable[_Car]) -> list[_Car]:
        """Cars planned below their minimum, those that run first."""
        found = [car for car in cars if car.level_a == 0.0 and 0.0 < car.want_a < car.steps.min_a]
        return sorted(found, key=lambda car: not car.on)

    def _its_turn(self, car: _Car) -> bool:
        """Whether a car in the gap shall run now: see ``TURN_S``."""
        turn_wh = car.steps.min_a * car.watts_per_a * TURN_S / 3600.0
        planned_wh = car.want_a * car.watts_per_a * self.hours
        if car.on:
            return car.due_wh + planned_wh - car.steps.min_a * car.watts_per_a * self.hours >= -turn_wh - 1e-6
        return car.due_wh + planned_wh >= turn_wh - 1e-6

    def _gap_of_charging(self, cars: list[_Car]) -> None:
        for car in self._in_gap(cars):
            last = self._finishes(car)
            if not last and not self._its_turn(car):
                continue
            most_w = math.inf if last else self._most_w(car, self._own_later_wh(car))
            if not self._raise_to_minimum(car, most_w):
                self._take_from_others(car, most_w, cars)

    def _raise_to_minimum(self, car: _Car, most_w: float) -> bool:
        free_a = self.room.more_a(car.ev.node_id, car.ev.phases, most_w)
        return free_a >= car.steps.min_a - 1e-9 and self._raise(car, car.steps.min_a, most_w)

    def _take_from_others(self, car: _Car, most_w: float, cars: list[_Car]) -> None:
        """Lower others, those with time to spare first, until this one has its minimum; put everything back if that is not enough."""
        before = [(other, other.level_a) for other in cars]
        donors = [other for other in reversed(cars) if other is not car and other.level_a > other.steps.min_a]
        for other in sorted(donors, key=lambda one: one.laxity_s < LEISURE_S):
            missing_a = self._missing_a(car, other, most_w)
            worth = other.laxity_s >= LEISURE_S or missing_a * other.watts_per_a <= LITTLE * car.want_a * car.watts_per_a
            if missing_a > 0.0 and worth:
                self._lower(other, missing_a)
                if self._raise_to_minimum(car, most_w):
                    return
        for other, level_a in before:
            if other.level_a != level_a:
                self._set(other, level_a)

    def _missing_a(self, car: _Car, other: _Car, most_w: float) -> float:
        """What the other would have to give on the rows (or the import) they share [A]; 0 if that does not help."""
        room = self.room
        shared = set(room.rows(other.ev.node_id, other.ev.phases))
        tight = [row for row in room.tight_rows(car.ev.node_id, car.ev.phases, car.steps.min_a) if row in shared]
        missing_a = max([0.0, *(car.steps.min_a - (room.inward_a[row] - room.flow_a[row]) for row in tight)])
        grid_w = car.steps.min_a * car.watts_per_a - (min(room.import_w, most_w) - room.grid_w)
        total_w = room.missing_total_w(car.ev.node_id, other.ev.node_id, car.steps.min_a * car.watts_per_a)
        return max(missing_a, max(grid_w, total_w) / other.watts_per_a)

    def _lower(self, car: _Car, amps: float) -> None:
        """Down by at least ``amps`` if its minimum and what others give back allow it."""
        wanted_a = max(car.steps.min_a, car.level_a - amps)
        level_a = car.steps.floor(wanted_a)
        if car.level_a - level_a <= self.room.less_a(car.ev.node_id, car.ev.phases):
            self._set(car, level_a)

    def _gap_of_giving(self, cars: list[_Car]) -> None:
        """The same gap for giving back; where others draw too much, rather a step more than planned."""
        for car in cars:
            relief = self.room.overdrawn(car.ev.node_id, car.ev.phases)
            if relief and car.level_a < car.want_a:
                self._raise(car, min(car.cap_a, car.steps.ceiling(car.want_a)), math.inf)
        for car in self._in_gap(cars):
            if self._its_turn(car) and self.room.less_a(car.ev.node_id, car.ev.phases) >= car.steps.min_a - 1e-9:
                self._raise(car, car.steps.min_a, math.inf)

    # -- what is owed, what is left ---------------------------------------------------------------------------

    def _pay_back(self, cars: list[_Car]) -> None:
        """Who had to wait gets it back, the most urgent first; a car that will be done in this slot gets the whole step."""
        for car in cars:
            if car.level_a <= 0.0 or car.level_a >= car.cap_a or car.want_a < car.steps.min_a:
                continue
            if self._finishes(car):
                self._raise(car, min(car.cap_a, car.steps.ceiling(car.want_a)), math.inf)
                continue
            owed_a = max(0.0, car.due_wh) / (car.watts_per_a * max(self.hours, 1e-9))
            wanted_a = car.steps.floor(min(car.want_a + owed_a, car.cap_a))
            if wanted_a > car.level_a:
                self._raise(car, wanted_a, self._most_w(car))

    def _share_rest(self, cars: list[_Car]) -> None:
        """What rounding freed of the plan's import goes to the next urgent that run and would buy no cheaper later."""
        for car in cars:
            if self.room.grid_w >= self.room.plan_w - 1.0:
                return
            if 0.0 < car.level_a < car.cap_a and self._later_price(car) >= self.now_price - 1e-9:
                self._raise(car, car.cap_a, self.room.plan_w)

    def _most_w(self, car: _Car, own_later_wh: float = 0.0) -> float:
        """Grid power up to which this car may be raised above its plan [W]."""
        if self._later_price(car) < self.now_price - 1e-9:
            return self.room.plan_w
        return max(self.room.plan_w, self.room.paid_w + own_later_wh / self.step.hours)

    def _own_later_wh(self, car: _Car) -> float:
        """What the car itself is planned to take in the rest of the running demand window: it may have it now [Wh]."""
        row = self.plan.ev_power_w[car.ev.ev_id]
        later_wh = sum(max(0.0, row[slot]) * self.plan.slots[slot].hours for slot in self.window)
        return min(later_wh, max(0.0, car.steps.min_a - car.want_a) * car.watts_per_a * self.step.hours)

    def _finishes(self, car: _Car) -> bool:
        """Whether the plan gives the car its last energy in this slot: it will stop by itself, so its mean stays the plan's."""
        return car.ev.energy_need_wh <= self.plan.ev_power_w[car.ev.ev_id][self.slot] * self.hours * 1.001

    def _later_price(self, car: _Car) -> float:
        """The dearest price at which the plan buys for this car later [per kWh]; inf if it stays short, -inf if it buys nothing."""
        known = self.later.get(car.ev.ev_id)
        if known is None:
            known = self.later[car.ev.ev_id] = self._found_later_price(car)
        return known

    def _found_later_price(self, car: _Car) -> float:
        if car.ev.ev_id in self.plan.shortfall_wh:
            return math.inf
        row, grid_w = self.plan.ev_power_w[car.ev.ev_id], self.plan.grid_power_w
        return max((self._price(slot, grid_w[slot]) for slot in range(self.slot + 1, len(row)) if row[slot] > 1.0), default=-math.inf)

    def _price(self, slot: int, grid_w: float) -> float:
        buy, sell = self.problem.buy_per_kwh[slot], self.problem.sell_per_kwh[slot]
        return buy if grid_w > 0.0 else min(buy, sell)

    def _owed_wh(self, car: _Car) -> float:
        """What the car is owed after this slot [Wh], with the sign of the plan; bounded, and forgotten when the plan wants nothing."""
        if car.want_a <= 0.0 or car.cap_a <= 0.0 or (car.sign > 0 and self._finishes(car) and car.level_a > 0.0):
            return 0.0
        due_wh = car.due_wh + (min(car.want_a, car.cap_a) - car.level_a) * car.watts_per_a * self.hours
        turn_wh = car.steps.min_a * car.watts_per_a * TURN_S / 3600.0
        least_wh = -2.0 * turn_wh if car.want_a < car.steps.min_a else 0.0
        most_wh = car.cap_a * car.watts_per_a * DEBT_S / 3600.0
        if car.sign > 0:
            most_wh = min(most_wh, max(0.0, car.ev.energy_need_wh))
        due_wh = min(max(due_wh, least_wh), most_wh)
        return car.sign * due_wh if abs(due_wh) > 0.01 else 0.0


def _presence(ev: Ev, start_s: float, length_s: float) -> float:
    """Part 0..1 of the slot during which the car is there."""
    return max(0.0, min(ev.departure_wall_s, start_s + length_s) - max(ev.arrival_wall_s, start_s)) / length_s
