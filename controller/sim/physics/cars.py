"""Cars with a temper: what flows when a pilot offers a current."""

from __future__ import annotations

from controller.sim.car import MIN_OFFER_A, VOLTAGE_V, Car, CarSpec
from controller.sim.physics.tempers import CarTemper

CALM_A = 1e-9


class TemperedCar(Car):
    """A car with a temper. ``asleep``: it will not draw before a nudge. ``moved``: its current changed in the last step."""

    def __init__(self, spec: CarSpec, temper: CarTemper, evse_phases: int) -> None:
        super().__init__(spec, evse_phases)
        self.temper = temper
        self.wired = tuple(phase for phase in temper.wired if phase < evse_phases) or (0,)
        self.phases = len(self.wired)
        self.asleep = False
        self.moved = False
        self._paused_s = 0.0
        self._steady = False

    def wake(self) -> None:
        """Its station has nudged it: a short change of the pilot."""
        self.asleep, self._paused_s, self._steady = False, 0.0, False

    def step(self, offer_a: float, control_s: float, wall_s: float) -> float:
        """As a plain car; nothing is computed again while nothing changes."""
        if self._steady and offer_a == self._newest_a and not self._coming:
            self._control_s += control_s
            self.moved = False
            return self._charge(wall_s)
        before_a = self.current_a
        self._notice(offer_a, control_s)
        self._ramp(control_s)
        self.moved = self.current_a != before_a
        return self._charge(wall_s)

    def _charge(self, wall_s: float) -> float:
        if self.current_a == 0.0:
            return 0.0
        charged_wh = min(self.current_a * VOLTAGE_V * self.phases * wall_s / 3600.0, self.missing_wh)
        self.charged_wh += charged_wh
        if self.full or self.soc > self.spec.taper_soc:
            self._steady = False
        return charged_wh

    def _ramp(self, control_s: float) -> None:
        goal_a = self._goal_a(control_s)
        step_a = self.temper.ramp_a_per_s * control_s
        if goal_a == 0.0 and self.current_a <= max(MIN_OFFER_A, self.temper.stops_below_a):
            self.current_a = 0.0
        else:
            self.current_a += max(-step_a, min(step_a, goal_a - self.current_a))
        drawing = self.current_a > 0.0
        self._steady = abs(self.current_a - goal_a) < CALM_A and (drawing or self.full or (self.asleep and self._offer_a >= MIN_OFFER_A))

    def _goal_a(self, control_s: float) -> float:
        temper = self.temper
        if self._offer_a < max(MIN_OFFER_A, temper.stops_below_a):
            self._paused_s = 0.0 if self.current_a > 0.0 else self._paused_s + control_s
            self._resuming_s = temper.resume_s
            self.asleep = self.asleep or self._paused_s >= temper.sleeps_after_s
            return 0.0
        self._paused_s = 0.0
        if self.asleep:
            return 0.0
        if self._resuming_s > 0.0 and self.current_a == 0.0:
            self._resuming_s -= control_s
            return 0.0
        offered_a = self._offer_a * (1.0 + temper.overdraw_part) if temper.follows else self.spec.max_current_a
        return min(offered_a, self.wanted_a)

    _resuming_s: float = 0.0
