"""A setpoint for all chargers of a face together, shared over their cars: what each shall take or give now.

The CSMS says one power for the site (EVSE 0, CentralSetpoint or CentralFrequency); the plan says who takes how much of it
best. Between two plans the setpoint and the cars change, so what the plan gives each is corrected every second until the sum is right:
first by less of the opposite, then by more of the same, each car by its room. Cars that cannot be commanded count with what they
draw. Amperes are whole and at least the car's minimum, so a sum of charging stays a little below the setpoint, never above; what
is given back is continuous.

What comes out are ceilings like the plan's: fuses, limits and each car's own bounds hold in any case, and what they hold back is
offered to others after a moment.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from controller.facts import EvseKey
from controller.site.sharing import layers
from controller.site.sharing.arbiter import Claim, Grant, Row
from controller.site.sharing.budget import Budget
from controller.site.sharing.chain import allowed_discharge_w, least_discharge_w, own_layers
from controller.site.sharing.claims import EPS, floor_to
from controller.site.sharing.inputs import FaceWish, Inputs, Target
from controller.site.sharing.layers import lowest
from controller.site.state import EvseState
from controller.site.stations.actuate import Actuator
from controller.site.stations.channel import Channel
from controller.site.stations.v2g import still_given_w

EXACT_W: Final = 1.0


@dataclass(frozen=True, slots=True)
class Seat:
    """One car. Powers over all its phases [W], all >= 0; plan_w negative = give back.

    w_per_a: of one ampere on all its phases. min_w, step_w: its smallest charge and its steps. most_w: the most it may charge by
    its own bounds. give_w: the most it may give back now, least_give_w: less is nothing. plan_w: what the plan gives it.
    """

    key: EvseKey
    w_per_a: float
    min_w: float
    step_w: float
    most_w: float
    give_w: float = 0.0
    least_give_w: float = 0.0
    plan_w: float | None = None


def shares(setpoint_w: float, seats: Sequence[Seat]) -> dict[EvseKey, float]:
    """Power of each car [W], negative = gives back; the sum is as near to the setpoint as the cars can come."""
    powers = {seat.key: min(seat.most_w, max(-seat.give_w, seat.plan_w or 0.0)) for seat in seats}
    _correct(powers, seats, setpoint_w - sum(powers.values()))
    _drop_small(powers, seats)
    _whole_steps(powers, seats, setpoint_w)
    missing_w = setpoint_w - sum(powers.values())
    if missing_w < -EXACT_W or any(watts < 0 for watts in powers.values()):
        _correct_giving(powers, seats, missing_w)
    for seat in seats:
        if -seat.least_give_w < powers[seat.key] < seat.min_w - EPS:
            powers[seat.key] = 0.0
    return powers


def _correct(powers: dict[EvseKey, float], seats: Sequence[Seat], more_w: float) -> None:
    """Spread a difference: less of the opposite first, then more of the same, everybody as much as the others as far as there is room."""
    if more_w > 0:
        more_w -= _spread(powers, {seat.key: max(0.0, -powers[seat.key]) for seat in seats}, more_w)
        _spread(powers, {seat.key: seat.most_w - powers[seat.key] for seat in seats}, more_w)
    else:
        more_w += _spread(powers, {seat.key: max(0.0, powers[seat.key]) for seat in seats}, more_w)
        _spread(powers, {seat.key: powers[seat.key] + seat.give_w for seat in seats}, more_w)


def _spread(powers: dict[EvseKey, float], room: Mapping[EvseKey, float], more_w: float) -> float:
    """Move powers by more_w (either sign), each by the same within its room; how much of it was moved, >= 0."""
    left_w = abs(more_w)
    waiting = sorted((room_w, key) for key, room_w in room.items() if room_w > EPS)
    for number, (room_w, key) in enumerate(waiting):
        moved_w = min(room_w, left_w / (len(waiting) - number))
        powers[key] += math.copysign(moved_w, more_w)
        left_w -= moved_w
    return abs(more_w) - left_w


def _drop_small(powers: dict[EvseKey, float], seats: Sequence[Seat]) -> None:
    """Less than its minimum no car charges with: the smallest share goes to the others, as often as it takes."""
    while True:
        small = [seat for seat in seats if EPS < powers[seat.key] < seat.min_w - EPS]
        if not small:
            return
        charging_w = sum(powers[seat.key] for seat in small)
        fits = [seat for seat in sorted(small, key=lambda seat: -powers[seat.key]) if seat.min_w <= min(charging_w, seat.most_w) + EPS]
        loser = min(small, key=lambda seat: (seat in fits[:1], powers[seat.key], seat.key))
        freed_w, powers[loser.key] = powers[loser.key], 0.0
        others = {seat.key: seat.most_w - powers[seat.key] for seat in seats if seat is not loser and powers[seat.key] > EPS}
        _spread(powers, others, freed_w)


def _whole_steps(powers: dict[EvseKey, float], seats: Sequence[Seat], setpoint_w: float) -> None:
    """Down to steps, then the crumbs to whom they still fit."""
    charging = [seat for seat in seats if powers[seat.key] > EPS]
    for seat in charging:
        powers[seat.key] = max(seat.min_w, floor_to(powers[seat.key], seat.step_w))
    for seat in sorted(charging, key=lambda seat: powers[seat.key] - seat.most_w):
        free_w = min(setpoint_w - sum(powers.values()), seat.most_w - powers[seat.key])
        powers[seat.key] += max(0.0, floor_to(free_w, seat.step_w))


def _correct_giving(powers: dict[EvseKey, float], seats: Sequence[Seat], more_w: float) -> None:
    """What whole amperes left over is taken from, or added to, what is given back."""
    room = {seat.key: -powers[seat.key] if more_w > 0 else powers[seat.key] + seat.give_w for seat in seats if powers[seat.key] < EPS}
    _spread(powers, {key: watts for key, watts in room.items() if watts > 0}, more_w)


@dataclass(slots=True)
class Fleet:
    """What lasts from one decision to the next: the most each car could have had by its fuses and limits [W]."""

    _room_w: dict[EvseKey, float] = field(default_factory=dict)
    _given: set[EvseKey] = field(default_factory=set)

    def targets(self, face: FaceWish, seats: Sequence[Seat], beside_w: float) -> dict[EvseKey, Target]:
        """Ceilings for the cars of a face that has a setpoint. beside_w: what cars draw that nobody commands."""
        assert face.setpoint_w is not None
        bounded = [replace(seat, most_w=min(seat.most_w, self._room_w.get(seat.key, math.inf))) for seat in seats]
        powers = shares(face.setpoint_w - beside_w, bounded)
        self._given |= powers.keys()
        return {seat.key: _target(face, powers[seat.key], seat) for seat in seats}

    def seen(
        self, claims: Sequence[Claim], grants: Sequence[Grant], rows: Sequence[Row], evses: Mapping[EvseKey, EvseState], voltage_v: float
    ) -> None:
        """What became of the shares: what a fuse or limit leaves no room for is offered to others the next time."""
        if not self._given:
            self._room_w.clear()
            return
        left = [row.capacity_a for row in rows]
        for claim, grant in zip(claims, grants, strict=True):
            for index in claim.rows:
                left[index] -= grant.limit_a
        mine = [(claim, grant) for claim, grant in zip(claims, grants, strict=True) if claim.key in self._given and claim.rows]
        free = {claim.key: grant.limit_a + max(0.0, claim.room_a(left)) for claim, grant in mine}
        self._room_w = {key: floor_to(amps, 1e-3) * voltage_v * len(evses[key].phases) for key, amps in free.items()}
        self._given.clear()


def _target(face: FaceWish, watts: float, seat: Seat) -> Target:
    """watts >= 0 charges, < 0 gives back."""
    if watts < 0:
        return Target(0.0, face.reason, -watts, face.ends_wall_s, None, layers.UPSTREAM)
    return Target(watts / seat.w_per_a, face.reason, 0.0, face.ends_wall_s, None, layers.UPSTREAM)


def fleet_targets(fleet: Fleet, inputs: Inputs, actuator: Actuator, budget: Budget) -> dict[EvseKey, Target]:
    """The targets of all cars whose CSMS has a setpoint for all of them together."""
    found: dict[EvseKey, Target] = {}
    bare = replace(inputs, targets={})
    for face in inputs.faces:
        if face.setpoint_w is None:
            continue
        seats: list[Seat] = []
        beside_w = 0.0
        for key, evse in inputs.evses.items():
            if key.station_id not in face.stations:
                continue
            channel = actuator.channels[key]
            booked_a = budget.booked_now_a(evse, channel, inputs)  # now: who has just come was booked a moment before
            if booked_a is not None:
                beside_w += _beside_w(evse, channel, booked_a, inputs.at.mono_s, budget.voltage_v)
            elif evse.session is not None and channel.online:
                seats.append(seat_of(key, bare, inputs.targets.get(key), actuator, budget))
        found |= fleet.targets(face, seats, beside_w)
    return found


def _beside_w(evse: EvseState, channel: Channel, booked_a: float, now: float, voltage_v: float) -> float:
    """What flows at an EVSE nobody commands [W]: a car that was giving back goes on with it for a while, whatever is booked for the fuse."""
    given_w = still_given_w(evse, channel, now) if evse.place.config.v2g is not None else 0.0
    return -given_w if given_w > 0 else booked_a * len(evse.phases) * voltage_v


def seat_of(key: EvseKey, bare: Inputs, plan: Target | None, actuator: Actuator, budget: Budget) -> Seat:
    """A car with its bounds. bare: the inputs without any target."""
    evse, channel = bare.evses[key], actuator.channels[key]
    per_a = budget.voltage_v * len(evse.phases)
    cap_a = max(0.0, lowest(own_layers(evse, channel, bare, booked=False)).limit_a)
    most_a = min(cap_a, budget.want_a(evse, channel, bare.at))
    plan_w = None if plan is None else plan.limit_a * per_a - plan.discharge_w
    give_w = allowed_discharge_w(evse, channel, bare, budget.voltage_v)
    return Seat(key, per_a, channel.min_a * per_a, evse.place.model.step_a * per_a, most_a * per_a, give_w, least_discharge_w(evse), plan_w)
