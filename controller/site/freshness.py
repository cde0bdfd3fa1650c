"""Freshness: whether a meter may be believed, how old its word is, and what that means for the site.

A meter is good, late (its last word counts with a growing margin) or lost (whatever hangs below
it falls back). It comes back only after three good readings in a row. Unknown is never taken for
"no load": a BAD reading is silence (F42), a value that does not move while cars do is silence
(F41), a meter that shows less than the stations themselves report is not believed (F45), a
suspect one counts with its worst phase on all phases (F44). Serves F40-F50 and P5.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

from controller.config import ControlConfig
from controller.facts import PhaseAmps
from meters.reading import Quality, Reading

BACK_AFTER = 3
"""Good readings in a row after which a lost meter is believed again."""
SILENT_AFTER = 3
"""Bad readings in a row that are reported as silence."""
STUCK_AFTER_S = 30.0
"""A value unchanged to the last digit for this long is suspicious [s]..."""
STUCK_CARS_A = 2.0
"""... if meanwhile the cars' current moved by more than this [A]."""
MARGIN_PER_S = 0.05
"""Growth of the margin of a late meter: part of the fuse per second."""
LOW_A, LOW_PART, LOW_COUNT = 2.0, 0.10, 8
"""A meter this much below the stations' own sum, that often, is not believed: [A], part, readings."""


LOW_AGAIN_S = 300.0
"""With no car left that could speak against it, a meter that was too low gets a new chance after this [s]: where the
fallback is 0 A no car would ever charge again and prove it right."""


class Health(StrEnum):
    """How far a source is trusted."""

    GOOD = "good"
    LATE = "late"
    LOST = "lost"


class Mode(StrEnum):
    """The four modes of the site."""

    NORMAL = "normal"
    DEGRADED = "degraded"
    FAILSAFE = "failsafe"
    STOP = "stop"


@dataclass(frozen=True, slots=True)
class Cars:
    """What the stations say they draw, per site phase [A].

    all_a: everything last reported. fresh_a: only what was reported within the last seconds.
    """

    all_a: PhaseAmps = (0.0, 0.0, 0.0)
    fresh_a: PhaseAmps = (0.0, 0.0, 0.0)


def phase_currents(reading: Reading, voltage_v: float, phase_count: int) -> PhaseAmps | None:
    """Current per site phase [A], None if a phase cannot be known.

    From currents, else from phase powers. A total alone is enough only for one phase: on three it
    could hide an overload of one of them.
    """
    amps: list[float] = []
    for phase in range(phase_count):
        current_a, power_w = reading.current_a[phase], reading.phase_power_w[phase]
        if current_a is None and power_w is not None:
            current_a = power_w / (reading.voltage_v[phase] or voltage_v)
        if current_a is None and phase_count == 1 and reading.power_w is not None:
            current_a = reading.power_w / (reading.voltage_v[0] or voltage_v)
        if current_a is None or not math.isfinite(current_a):
            return None
        amps.append(current_a)
    if reading.quality is Quality.SUSPECT:
        amps = [max(amps)] * phase_count
    amps += [0.0] * (3 - phase_count)
    return amps[0], amps[1], amps[2]


class MeterWatch:
    """One meter at a fuse: its last believed currents and its health.

    ``read`` and ``failed`` take what came, ``look`` lets time pass. ``trouble`` says in words what
    is wrong, "" when nothing is.
    """

    def __init__(self, meter_id: str, control: ControlConfig) -> None:
        self.meter_id = meter_id
        self.health = Health.LOST
        self.currents_a: PhaseAmps | None = None
        self.last: Reading | None = None
        self.trouble = "no reading yet"
        self._late_s, self._lost_s = control.meter_late_s, control.meter_lost_s
        self._believed_mono_s = -math.inf
        self._good_run = 0
        self._bad_run = 0
        self._same: PhaseAmps | None = None
        self._same_since_mono_s = 0.0
        self._cars_then: PhaseAmps = (0.0, 0.0, 0.0)
        self._low_count = 0
        self._low_mono_s = -math.inf

    def age_s(self, now_mono_s: float) -> float:
        """Seconds since the last believed reading; infinite before the first."""
        return now_mono_s - self._believed_mono_s

    def margin_part(self, now_mono_s: float) -> float:
        """Part of the fuse to keep free because the last word is old (0..1)."""
        return max(0.0, min(1.0, MARGIN_PER_S * (self.age_s(now_mono_s) - self._late_s)))

    def read(self, reading: Reading, currents_a: PhaseAmps | None, cars: Cars, now_mono_s: float) -> bool:
        """Take a reading with its currents per phase; True if it is believed."""
        trouble = self._trouble(reading, currents_a, cars, now_mono_s)
        if currents_a is None or trouble:
            self._good_run = 0
            self._bad_run += 1
            self.trouble = f"{trouble}, {self._bad_run} in a row" if self._bad_run >= SILENT_AFTER else trouble
            return False
        self._bad_run = 0
        self._good_run += 1
        self._believed_mono_s = now_mono_s
        self.currents_a, self.last = currents_a, reading
        if self.health is not Health.LOST or self._good_run >= BACK_AFTER:
            self.health, self.trouble = Health.GOOD, ""
        return True

    def failed(self, reason: str) -> None:
        """A poll failed."""
        self._good_run = 0
        self._bad_run += 1
        self.trouble = reason

    def look(self, now_mono_s: float) -> Health:
        """Let time pass: the health now."""
        age_s = self.age_s(now_mono_s)
        if age_s >= self._lost_s:
            self.health = Health.LOST
            self._good_run = 0
        elif self.health is not Health.LOST:
            self.health = Health.LATE if age_s >= self._late_s else Health.GOOD
        return self.health

    def _trouble(self, reading: Reading, currents_a: PhaseAmps | None, cars: Cars, now_mono_s: float) -> str:
        if reading.quality is Quality.BAD:
            return reading.reason or "unusable values"
        if currents_a is None:
            return "no current for every phase"
        if self._stuck(currents_a, cars, now_mono_s):
            return "value stuck while cars changed"
        if self._too_low(currents_a, cars, now_mono_s):
            return "shows less than the stations report"
        return ""

    def _stuck(self, currents_a: PhaseAmps, cars: Cars, now_mono_s: float) -> bool:
        if currents_a != self._same:
            self._same, self._same_since_mono_s, self._cars_then = currents_a, now_mono_s, cars.all_a
            return False
        moved_a = max(abs(now - then) for now, then in zip(cars.all_a, self._cars_then, strict=True))
        return now_mono_s - self._same_since_mono_s >= STUCK_AFTER_S and moved_a > STUCK_CARS_A

    def _too_low(self, currents_a: PhaseAmps, cars: Cars, now_mono_s: float) -> bool:
        if not any(cars.fresh_a):
            if now_mono_s - self._low_mono_s >= LOW_AGAIN_S:
                self._low_count = 0
            return self._low_count >= LOW_COUNT
        self._low_mono_s = now_mono_s
        short = any(amps < car_a - LOW_A - LOW_PART * car_a for amps, car_a in zip(currents_a, cars.fresh_a, strict=True))
        self._low_count = min(self._low_count + 1, LOW_COUNT) if short else 0
        return self._low_count >= LOW_COUNT
