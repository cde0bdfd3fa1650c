"""Plausible: what one meter shows over time, judged by itself and by the stations below it.

Small watches with one question each. ``Frozen``: has the meter stopped looking (F41)? ``Short``: does it show less than the
stations themselves report (F43, F45)? ``Counter``: did it begin to count anew (F48)? ``Polls``: do more and more questions
fail (F49)? ``Rhythm``: how seldom does it usually speak (F50)? What a step of a car tells about a meter is in ``steps``.
Nothing here repairs a value; a watch only says that it cannot be believed.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass

from controller.facts import PhaseAmps
from meters.reading import Reading

STUCK_AFTER_S = 30.0
"""A reading unchanged to the last digit for this long is suspicious [s]..."""
STUCK_CARS_A = 2.0
"""... if meanwhile the cars' current moved by more than this [A]."""
PART_STUCK_AFTER_S, PART_STUCK_CARS_A = 120.0, 6.0
"""The same where only the currents stand still while other values move: quantised meters and batteries that keep the grid
at nought look like that for a while [s], [A]."""
SETTLED_S = 5.0
"""A station's word may be about what was this long before [s]; the meter has as long to show what a station told."""
HEARD_S = 75.0
"""How long the other stations may take to say that their cars took over what one left [s]."""
IDLE_A = 1.0
"""A car below draws nothing [A]."""
AGAIN_S, AGAIN_MOST_S, CHANCE_S = 300.0, 3600.0, 180.0
"""A stuck meter with no car left to prove it right gets a chance after the first, each time after twice as long up to the second; it
lasts the third [s]."""
GAP_S, AFTER_GAP_S = 15.0, 20.0
"""After a silence this long (we stood still, or the meter did) nothing before it is compared with anything after, and what the stations
tell in the first seconds may have waited in the line [s]."""
LOW_A, LOW_PART, LOW_COUNT = 2.0, 0.10, 8
"""A meter this much below the stations' own sum, that often, is not believed: [A], part, readings."""
LOW_FOR_S, LOW_BACK_S = 7.0, 6.0
"""... for at least the first, so that more than one word of the stations speaks against it; compared with the most it showed over the second [s]."""
LOW_AGAIN_S = 300.0
"""With no car left that could speak against it, a meter that was too low gets a new chance after this [s]: where the
fallback is 0 A no car would ever charge again and prove it right."""
RESTART_WH = 1.0
"""A counter that falls by more than this has begun anew [Wh]; less is rounding."""
POLLS, POLLS_LEAST = 100, 40
"""Polls the error rate is taken over, and how many must have been seen."""
ERRORS_HIGH, ERRORS_LOW = 0.15, 0.05
"""Part of failed polls that is told, and below which it is told that it is over."""
GAPS = 5
"""Gaps between readings by which a meter's rhythm is known."""


Said = tuple[Hashable, float, tuple[float | None, float | None, float | None]]
"""A station's last word: which EVSE, when (monotonic) [s], current per site phase, None = not told [A]."""


class Frozen:
    """Whether values stay the same to the last digit while cars move (F41).

    A station tells late and seldom, so a word counts only against what the meter showed all the time since the station's word before:
    both must fall into the same still time. A car that stopped just before the meter came to rest, and told so a minute later, proves
    nothing. Nor does one car whose current another has taken over, so everybody who draws has a say before the verdict. The verdict
    stands until a digit moves: cars that fall back to where they were do not make the meter right.
    """

    def __init__(self, after_s: float, cars_a: float) -> None:
        self._after_s, self._cars_a = after_s, cars_a
        self._same: Hashable = None
        self._since_mono_s = self._seen_mono_s = -math.inf
        self._first: dict[Hashable, PhaseAmps] = {}
        self._moved_mono_s: float | None = None
        self._chance = Chance()
        self.stuck = False

    def look(self, values: Hashable, said: Iterable[Said], now_mono_s: float) -> bool:
        """True if these values can no longer be what flows. said: the last words of the stations below the meter."""
        first, gap = self._seen_mono_s == -math.inf, now_mono_s - self._seen_mono_s > GAP_S
        self._seen_mono_s = now_mono_s
        if gap or values != self._same:
            self._same, self.stuck, self._chance = values, False, Chance()
            self._begin(now_mono_s + (AFTER_GAP_S if gap and not first else 0.0))
            return False
        said = list(said)
        for key, mono_s, amps in said:
            if mono_s >= self._since_mono_s + SETTLED_S and None not in amps:
                self._first.setdefault(key, _known(amps))
        moved = self._moved(said, now_mono_s) and now_mono_s - self._since_mono_s >= self._after_s
        self.stuck = self.stuck or moved
        if self.stuck and self._chance.look(moved, not any(max(_known(amps)) > IDLE_A for _, _, amps in said), now_mono_s):
            self._begin(now_mono_s)
        return self.stuck

    @property
    def probing(self) -> bool:
        """Whether its circuit is given a chance to prove it right."""
        return self.stuck and self._chance.open

    def _begin(self, since_mono_s: float) -> None:
        self._since_mono_s, self._moved_mono_s = since_mono_s, None
        self._first.clear()

    def _moved(self, said: Sequence[Said], now_mono_s: float) -> bool:
        net = [0.0, 0.0, 0.0]
        for key, _, amps in said:
            first = self._first.get(key)
            if first is not None:
                for phase, (late, early) in enumerate(zip(_known(amps), first, strict=True)):
                    net[phase] += late - early
        if max(map(abs, net)) <= self._cars_a:
            self._moved_mono_s = None
            return False
        if self._moved_mono_s is None:
            self._moved_mono_s = now_mono_s
        waited_s = now_mono_s - self._moved_mono_s
        heard = all(mono_s >= self._moved_mono_s for _, mono_s, amps in said if max(_known(amps)) > IDLE_A)
        return waited_s >= SETTLED_S and (heard or waited_s >= HEARD_S)


class Chance:
    """A way back where no car draws, so that none can prove the meter right: now and then the cars may try.

    Meanwhile the circuit counts as one without a meter, so a meter that really is stuck harms nobody; a living one shows the first car.
    """

    def __init__(self) -> None:
        self._wait_s = AGAIN_S
        self._from_mono_s: float | None = None
        self.open = False

    def look(self, moved: bool, idle: bool, now_mono_s: float) -> bool:
        """True when it begins. moved: cars moved again since it began; idle: no car draws."""
        if self._from_mono_s is None:
            self._from_mono_s = now_mono_s
        since_s = now_mono_s - self._from_mono_s
        if self.open:
            if since_s >= CHANCE_S or moved:
                self.open, self._from_mono_s, self._wait_s = False, now_mono_s, min(2.0 * self._wait_s, AGAIN_MOST_S)
            return False
        self.open = idle and since_s >= self._wait_s
        if self.open:
            self._from_mono_s = now_mono_s
        return self.open


def _known(amps: tuple[float | None, float | None, float | None]) -> PhaseAmps:
    return amps[0] or 0.0, amps[1] or 0.0, amps[2] or 0.0


def digits(reading: Reading, currents_a: PhaseAmps) -> Hashable:
    """Everything that moves in a living meter, even where its currents are rounded and the building is steady."""
    energy = reading.energy_import_wh, reading.energy_export_wh
    return currents_a, reading.phase_power_w, reading.power_w, reading.voltage_v, reading.frequency_hz, energy


class Short:
    """Whether the meter shows less than the stations below it report: scale or sign (F43, F45).

    A phase that is short while all phases together are not is no wrong scale: a sensor or a station sits on another phase than the
    site file says (F44). Then the phases are not told apart; the sum is as good as before.
    """

    def __init__(self) -> None:
        self._count = 0
        self._uneven_count = 0
        self._seen_mono_s = self._run_mono_s = -math.inf
        self._read_mono_s = self._deaf_until_mono_s = -math.inf
        self._shown: deque[tuple[float, PhaseAmps]] = deque()

    def look(self, currents_a: PhaseAmps, fresh_cars_a: PhaseAmps, now_mono_s: float) -> bool:
        """True if it has been too low too often. fresh_cars_a: only what was reported within the last seconds [A]."""
        if now_mono_s - self._read_mono_s > GAP_S:
            self._shown.clear()
            self._deaf_until_mono_s = now_mono_s + AFTER_GAP_S if self._read_mono_s > -math.inf else -math.inf
            self._count = self._uneven_count = 0
        self._read_mono_s = now_mono_s
        currents_a = self._most(currents_a, now_mono_s)
        if not any(fresh_cars_a) or now_mono_s < self._deaf_until_mono_s:
            if now_mono_s - self._seen_mono_s >= LOW_AGAIN_S:
                self._count = self._uneven_count = 0
            return self._short(now_mono_s)
        self._seen_mono_s = now_mono_s
        phase = any(_less(amps, car_a) for amps, car_a in zip(currents_a, fresh_cars_a, strict=True))
        short = phase and _less(sum(currents_a), sum(fresh_cars_a))
        if short and not self._count:
            self._run_mono_s = now_mono_s
        self._count = min(self._count + 1, LOW_COUNT) if short else 0
        self._uneven_count = min(self._uneven_count + 1, LOW_COUNT) if phase and not short else max(0, self._uneven_count - 1)
        self.uneven = self._uneven_count >= LOW_COUNT or (self.uneven and self._uneven_count > 0)
        return self._short(now_mono_s)

    def _short(self, now_mono_s: float) -> bool:
        return self._count >= LOW_COUNT and now_mono_s - self._run_mono_s >= LOW_FOR_S

    def _most(self, currents_a: PhaseAmps, now_mono_s: float) -> PhaseAmps:
        """The most it has shown while the words it is compared with were true: a car may stop right after its station spoke."""
        self._shown.append((now_mono_s, currents_a))
        while self._shown[0][0] < now_mono_s - LOW_BACK_S:
            self._shown.popleft()
        first, second, third = zip(*(amps for _, amps in self._shown), strict=True)
        return max(first), max(second), max(third)

    uneven = False
    """Whether a phase, but not the sum, is too low."""


def _less(amps: float, cars_a: float) -> bool:
    return amps < cars_a - LOW_A - LOW_PART * abs(cars_a)  # what cars give back is told no more exactly


@dataclass(frozen=True, slots=True)
class Restarted:
    """A counter that fell: the energy series has a break between these two values [Wh]."""

    register: str
    before_wh: float
    after_wh: float


class Counter:
    """Notices a meter that rebooted and counts from 0 again (F48). Its power is as good as before."""

    def __init__(self) -> None:
        self._import_wh: float | None = None
        self._export_wh: float | None = None

    def look(self, reading: Reading) -> Restarted | None:
        """The break, if this reading shows one; the import register goes first."""
        imported, exported = reading.energy_import_wh, reading.energy_export_wh
        found = _fell("import", self._import_wh, imported) or _fell("export", self._export_wh, exported)
        self._import_wh = imported if imported is not None else self._import_wh
        self._export_wh = exported if exported is not None else self._export_wh
        return found


def _fell(register: str, before_wh: float | None, after_wh: float | None) -> Restarted | None:
    if before_wh is None or after_wh is None or after_wh >= before_wh - RESTART_WH:
        return None
    return Restarted(register, before_wh, after_wh)


class Polls:
    """The share of polls that fail, for a line that is getting worse: two masters, a loose end, noise (F49)."""

    def __init__(self) -> None:
        self._failed: deque[bool] = deque(maxlen=POLLS)
        self._failures = 0
        self.bad = False
        self.reason = ""

    def add(self, failed: bool, reason: str = "") -> None:
        """One more poll, and why it failed."""
        self.reason = reason or self.reason
        if len(self._failed) == POLLS:
            self._failures -= self._failed[0]
        self._failed.append(failed)
        self._failures += failed
        if len(self._failed) < POLLS_LEAST:
            return
        if self.part >= ERRORS_HIGH:
            self.bad = True
        elif self.part <= ERRORS_LOW:
            self.bad = False

    @property
    def part(self) -> float:
        """Part of the last polls that failed (0..1)."""
        return self._failures / len(self._failed) if self._failed else 0.0


class Rhythm:
    """The gap that usually lies between two readings: a meter that is slow every time is not late each time (F50)."""

    def __init__(self) -> None:
        self._gaps: deque[float] = deque(maxlen=GAPS)

    def add(self, gap_s: float) -> None:
        """The gap before a reading that was believed [s]."""
        if math.isfinite(gap_s):
            self._gaps.append(gap_s)

    @property
    def usual_s(self) -> float:
        """The second longest of the last gaps [s]: one long silence alone is no rhythm; 0 before anything is known."""
        return sorted(self._gaps)[-2] if len(self._gaps) == GAPS else 0.0
