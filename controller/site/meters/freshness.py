"""Freshness: whether a meter may be believed, how old its word is, and what that means for the site.

A meter is good, late (its last word counts with a growing margin) or lost (whatever hangs below
it falls back). It comes back only after three good readings in a row. Unknown is never taken for
"no load": a BAD reading is silence (F42), a value that does not move while cars do is silence
(F41), a meter that shows less than the stations themselves report is not believed (F45), a
suspect one counts with its worst phase on all phases (F44). What the steps of the cars have proved
(``steps``) comes in as ``distrust`` or ``mixed``: not believed at all (F43, F45), or believed with
its worst phase (F44). A meter that is slow every time keeps one steady margin for its usual gap
instead of one that comes and goes (F50). Serves F40-F50 and P5.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

from controller.config import ControlConfig
from controller.facts import PhaseAmps
from controller.site.meters.plausible import (
    PART_STUCK_AFTER_S,
    PART_STUCK_CARS_A,
    STUCK_AFTER_S,
    STUCK_CARS_A,
    Counter,
    Frozen,
    Polls,
    Restarted,
    Rhythm,
    Said,
    Short,
    digits,
)
from meters.reading import Quality, Reading

BACK_AFTER = 3
"""Good readings in a row after which a lost meter is believed again."""
SILENT_AFTER = 3
"""Bad readings in a row that are reported as silence."""
MARGIN_PER_S = 0.05
"""Growth of the margin of a late meter: part of the fuse per second."""


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

    said: the last word of each. fresh_a: the sum of what was reported within the last seconds.
    """

    said: tuple[Said, ...] = ()
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
        amps = [_most_a(reading, amps, voltage_v)] * phase_count
    amps += [0.0] * (3 - phase_count)
    return amps[0], amps[1], amps[2]


def _most_a(reading: Reading, amps: list[float], voltage_v: float) -> float:
    """The most a phase may carry by anything an odd reading says [A]: currents, powers, and currents whose direction the power contradicts."""
    said = list(amps)
    for phase, current_a in enumerate(amps):
        own_w = reading.phase_power_w[phase]
        power_w = own_w if own_w is not None else (reading.power_w or 0.0) / len(amps)
        said.append(power_w / (reading.voltage_v[phase] or voltage_v))
        if power_w > 0:
            said.append(abs(current_a))
    return max(said)


def worst_phase(currents_a: PhaseAmps, phase_count: int) -> PhaseAmps:
    """The largest current on every phase: what counts where phases are missing or swapped (F44)."""
    worst_a = max(currents_a[:phase_count])
    return worst_a, worst_a if phase_count > 1 else 0.0, worst_a if phase_count > 1 else 0.0


class MeterWatch:
    """One meter at a fuse: its last believed currents and its health.

    ``read`` and ``failed`` take what came, ``look`` lets time pass. ``trouble`` says in words what
    is wrong, "" when nothing is.
    """

    def __init__(self, meter_id: str, control: ControlConfig, phase_count: int = 3) -> None:
        self.meter_id = meter_id
        self._phase_count = phase_count
        self.health = Health.LOST
        self.currents_a: PhaseAmps | None = None
        self.last: Reading | None = None
        self.trouble = "no reading yet"
        self._late_s, self._lost_s = control.meter_late_s, control.meter_lost_s
        self._believed_mono_s = -math.inf
        self._good_run = 0
        self._bad_run = 0
        self.distrust = ""
        """Why steps of the cars have proved it wrong; "" = they have not."""
        self.mixed = ""
        """Why its phases are not believed one by one, so that the worst counts for all; "" = they are believed."""
        self.polls = Polls()
        self.restarted: Restarted | None = None
        self._counter, self._rhythm, self._short = Counter(), Rhythm(), Short()
        self._frozen = Frozen(STUCK_AFTER_S, STUCK_CARS_A)
        self._half_frozen = Frozen(PART_STUCK_AFTER_S, PART_STUCK_CARS_A)

    def age_s(self, now_mono_s: float) -> float:
        """Seconds since the last believed reading; infinite before the first."""
        return now_mono_s - self._believed_mono_s

    def margin_part(self, now_mono_s: float) -> float:
        """Part of the fuse to keep free because the last word is old, or usually gets old (0..1)."""
        age_s = max(self.age_s(now_mono_s), min(self._rhythm.usual_s, self._lost_s))
        return max(0.0, min(1.0, MARGIN_PER_S * (age_s - self._late_s)))

    @property
    def unsorted(self) -> str:
        """Why the highest phase counts for all of them; "" = each counts for itself."""
        return self.mixed or ("a phase shows less than the stations on it report" if self._short.uneven else "")

    @property
    def probing(self) -> bool:
        """Whether cars may show, as on a circuit without a meter, that a meter taken for stuck is alive."""
        return self._frozen.probing or self._half_frozen.probing

    @property
    def slow(self) -> bool:
        """Whether it is late every time (F50)."""
        return self._rhythm.usual_s >= self._late_s

    def read(self, reading: Reading, currents_a: PhaseAmps | None, cars: Cars, now_mono_s: float, age_s: float = 0.0) -> bool:
        """Take a reading with its currents per phase; True if it is believed. age_s: how old its oldest value is [s]."""
        trouble = self._trouble(reading, currents_a, cars, now_mono_s)
        self.polls.add(reading.quality is Quality.BAD, reading.reason if reading.quality is Quality.BAD else "")
        if currents_a is None or trouble:
            self._good_run = 0
            self._bad_run += 1
            self.trouble = f"{trouble}, {self._bad_run} in a row" if self._bad_run >= SILENT_AFTER else trouble
            return False
        self._bad_run = 0
        self._good_run += 1
        if now_mono_s - age_s > self._believed_mono_s:  # else one part of a virtual meter is as old as it was
            self._rhythm.add(now_mono_s - age_s - self._believed_mono_s)
            self._believed_mono_s = now_mono_s - age_s
        self.currents_a, self.last = currents_a if not self.unsorted else worst_phase(currents_a, self._phase_count), reading
        if self.health is not Health.LOST or self._good_run >= BACK_AFTER:
            self.health, self.trouble = Health.GOOD, ""
        return True

    def failed(self, reason: str) -> None:
        """A poll failed."""
        self.polls.add(True, reason)
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
        self.restarted = self._counter.look(reading) or self.restarted
        frozen = self._frozen.look(digits(reading, currents_a), cars.said, now_mono_s)
        half_frozen = self._half_frozen.look(currents_a, cars.said, now_mono_s)
        if frozen or half_frozen:
            return "value stuck while cars changed"
        if self._short.look(currents_a, cars.fresh_a, now_mono_s):
            return "shows less than the stations report"
        return self.distrust
