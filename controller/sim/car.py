"""A simulated car: what it draws when it is offered a current.

Two clocks on purpose. Reaction and ramp run on control seconds (``mono_s``): the controller must
cope with them in real time even where the demo compresses the day. Energy and the state of charge
run on wall seconds. A car obeys IEC 61851: an offer below 6 A means pause, an offer of 6 A or more
is an upper bound which the car may undercut, as it does when its battery gets full. One that can give back
(ISO 15118-20) takes a negative offer for what it shall give; any other car pauses.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

MIN_OFFER_A = 6.0
VOLTAGE_V = 230.0
END_OF_CHARGE_WH = 5.0


@dataclass(frozen=True, slots=True)
class CarSpec:
    """One visit of one car.

    need_wh: energy at the charger until the driver is content, limited by what fits in.
    soc: state of charge at arrival, 0..1. taper_soc: from here on the power falls linearly to a
    tenth at full. announces: tells energy and departure by NotifyEVChargingNeeds (ISO 15118).
    reaction_s: from a changed offer to the first change of current. ramp_a_per_s: per phase.
    efficiency: charger to cells, and back. max_discharge_w: the most it gives back, 0 = it cannot. least_soc: it gives nothing below.
    """

    name: str
    arrival_wall_s: float
    departure_wall_s: float
    need_wh: float
    capacity_wh: float
    soc: float
    phases: int = 3
    max_current_a: float = 16.0
    taper_soc: float = 0.85
    efficiency: float = 0.92
    reaction_s: float = 5.0
    ramp_a_per_s: float = 4.0
    announces: bool = True
    max_discharge_w: float = 0.0
    least_soc: float = 0.2


class Car:
    """One plugged-in car. ``current_a`` is per used phase, negative = given back. ``wired``: phases of the EVSE it uses, 0..2."""

    def __init__(self, spec: CarSpec, evse_phases: int = 3) -> None:
        self.spec = spec
        self.phases = min(spec.phases, evse_phases)
        self.wired: tuple[int, ...] = tuple(range(self.phases))
        self.current_a = 0.0
        self.charged_wh = 0.0
        self.given_wh = 0.0
        self._control_s = 0.0
        self._offer_a = 0.0
        self._newest_a = 0.0
        self._coming: deque[tuple[float, float]] = deque()

    @property
    def target_wh(self) -> float:
        """Energy at the charger after which the car stops by itself."""
        room_wh = (1.0 - self.spec.soc) * self.spec.capacity_wh / self.spec.efficiency
        return min(self.spec.need_wh, room_wh)

    @property
    def missing_wh(self) -> float:
        """Energy at the charger still wanted: what was given back with its losses on both ways."""
        return max(0.0, self.target_wh - self.charged_wh + self.given_wh / self.spec.efficiency**2)

    @property
    def full(self) -> bool:
        """True when the car has what it wanted and stops by itself."""
        return self.missing_wh <= END_OF_CHARGE_WH

    @property
    def soc(self) -> float:
        """State of charge now, 0..1."""
        stored_wh = self.charged_wh * self.spec.efficiency - self.given_wh / self.spec.efficiency
        return min(1.0, self.spec.soc + stored_wh / self.spec.capacity_wh)

    def step(self, offer_a: float, control_s: float, wall_s: float) -> float:
        """Advance by ``control_s`` control seconds that are ``wall_s`` wall seconds; energy charged [Wh].

        offer_a: the pilot's current per phase [A]; below 6 A the car pauses, below 0 it gives back.
        """
        self._notice(offer_a, control_s)
        self._ramp(control_s)
        if self.current_a < 0.0:
            self.given_wh -= self.power_w * wall_s / 3600.0
            return 0.0
        charged_wh = min(self.power_w * wall_s / 3600.0, self.missing_wh)
        self.charged_wh += charged_wh
        return charged_wh

    @property
    def power_w(self) -> float:
        """Power now, sum of the phases [W]."""
        return self.current_a * VOLTAGE_V * self.phases

    @property
    def gives_a(self) -> float:
        """The most it would give back now per phase [A]."""
        return self.spec.max_discharge_w / VOLTAGE_V / self.phases if self.soc > self.spec.least_soc else 0.0

    @property
    def wanted_a(self) -> float:
        """Current per phase the car would draw if the offer did not bind [A]."""
        if self.full:
            return 0.0
        taper = (1.0 - self.soc) / (1.0 - self.spec.taper_soc) if self.spec.taper_soc < 1.0 else 1.0
        return self.spec.max_current_a * min(1.0, max(0.1, taper))

    def _notice(self, offer_a: float, control_s: float) -> None:
        self._control_s += control_s
        if offer_a != self._newest_a:
            self._newest_a = offer_a
            self._coming.append((self._control_s - control_s + self.spec.reaction_s, offer_a))
        while self._coming and self._coming[0][0] <= self._control_s:
            self._offer_a = self._coming.popleft()[1]

    @property
    def settled(self) -> bool:
        """True while its current stays as it is by itself: no offer is on its way, and it draws what it goes to."""
        return not self._coming and self.current_a == self._aim_a()

    def _aim_a(self) -> float:
        if self._offer_a < 0.0:
            return -min(-self._offer_a, self.gives_a)
        return min(self._offer_a, self.wanted_a) if self._offer_a >= MIN_OFFER_A else 0.0

    def _ramp(self, control_s: float) -> None:
        goal_a, step_a = self._aim_a(), self.spec.ramp_a_per_s * control_s
        if goal_a == 0.0 and self.current_a <= MIN_OFFER_A:
            self.current_a = 0.0  # the contactor opens; there is no ramp below the minimum
        elif abs(goal_a - self.current_a) <= step_a:
            self.current_a = goal_a
        else:
            self.current_a += math.copysign(step_a, goal_a - self.current_a)
