"""Steps: what a meter shows while we know that a car moves. The proof of sign, scale and phases (F43, F44, F45).

A car whose setpoint changed, or that says it changed by itself, opens a *window*: from just before it could move until it
must have followed. The meter's change over the window is compared with what the station tells it moved. One step proves little,
so five in a row must agree on what is wrong (``Votes``), and a step speaks only if

 - it is clear: at least 4 A, and four times what the meter usually wobbles in such a time;
 - it is alone: the meter was quiet before and after it, and no trend had just begun. A building or a cloud that moves the
   cars through our own control moves the meter before the window begins; one that is still moving spoils it. Without this rule
   a working control would look like a turned sensor, for it moves cars against everything else;
 - it is complete: every station that was told to move in the window has said since what it draws.

False alarms by coincidence are bounded by simulation in tests/controller/site/meters/test_steps.py. A stationary battery that
follows the cars hides steps but cannot turn them round, so only the sign is judged where there is one.
"""

from __future__ import annotations

import math
import statistics
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from controller.facts import EvseKey, PhaseAmps

PHASES = (0, 1, 2)
STEP_A = 4.0
"""A smaller step says nothing [A]."""
CLEAR_TIMES = 4.0
"""A step must be this many times what the meter usually wobbles."""
QUIET_S = 5.0
"""The meter must be quiet for this long before and after [s]..."""
QUIET_PART = 1.0 / 3.0
"""... which means it moves by less than this part of the step."""
LONGEST_S = 30.0
"""A longer window cannot be told from the building [s]."""
WAIT_S = 75.0
"""How long stations may take to tell where their cars went [s]."""
TREND_S = 2.0
"""What moved for this long before a window [s] may go on moving all through it: a ramp that our control has just begun to answer."""
GAP_S = 15.0
"""A silence of the meter, or of us, after which nothing before it is compared with anything after [s]."""
METER_LAG_S = 1.5
"""A meter may show a change this much later than it happened [s]."""
HISTORY = 320
"""Kept values of a meter, two a second: window, quiet time and the wait for slow stations."""
RUN = 5
"""Steps in a row that must show the same fault."""
CLEARED_RUN = 3
"""Right steps in a row that end it."""


class Sight(StrEnum):
    """What one phase of the meter showed of a step."""

    FOLLOWS = "follows"
    AGAINST = "against"
    NOTHING = "nothing"
    ELSEWHERE = "elsewhere"
    TENFOLD = "tenfold"
    TENTH = "tenth"


@dataclass(frozen=True, slots=True)
class Step:
    """One judged window. Changes per site phase [A].

    told_a: what the stations say; commanded_a: what they were told to change. gate_a: least change that is clear.
    """

    keys: tuple[EvseKey, ...]
    told_a: PhaseAmps
    metered_a: PhaseAmps
    commanded_a: float
    gate_a: PhaseAmps


@dataclass(frozen=True, slots=True)
class Told:
    """A station's own word: current per site phase [A] and when."""

    mono_s: float
    current_a: PhaseAmps


@dataclass(slots=True)
class Window:
    """Cars that move together. before: what each drew; said: when it told so; ready: when its word counts as after."""

    begin_mono_s: float
    finish_mono_s: float
    before: dict[EvseKey, PhaseAmps] = field(default_factory=dict)
    said: dict[EvseKey, float] = field(default_factory=dict)
    ready: dict[EvseKey, float] = field(default_factory=dict)
    commanded: dict[EvseKey, float] = field(default_factory=dict)


Teller = Callable[[EvseKey], Told]


class StepWatch:
    """Windows of one meter. ``now`` is monotonic seconds."""

    def __init__(self) -> None:
        self._history: deque[tuple[float, PhaseAmps]] = deque(maxlen=HISTORY)
        self._windows: list[Window] = []

    def open(
        self, key: EvseKey, before_a: PhaseAmps, begin_mono_s: float, ready_mono_s: float, commanded_a: float = 0.0, said_mono_s: float = math.inf
    ) -> None:
        """A car begins to move. said: when its station told what it drew before; ready: from then on its word is about afterwards."""
        finish_mono_s = ready_mono_s + METER_LAG_S
        window = self._windows[-1] if self._windows else None
        if window is None or begin_mono_s > window.finish_mono_s + QUIET_S:
            window = Window(begin_mono_s, finish_mono_s)
            self._windows.append(window)
        # What it did before cannot be told any more from what it does now.
        self._windows = [one for one in self._windows if one is window or key not in one.ready]
        window.begin_mono_s = min(window.begin_mono_s, begin_mono_s)
        window.finish_mono_s = max(window.finish_mono_s, finish_mono_s)
        window.before.setdefault(key, before_a)
        window.said.setdefault(key, said_mono_s)
        window.ready[key] = max(ready_mono_s, window.ready.get(key, ready_mono_s))
        window.commanded[key] = window.commanded.get(key, 0.0) + commanded_a

    def moving(self, key: EvseKey, now: float) -> bool:
        """Whether a window of this EVSE is open."""
        return any(key in one.ready and now <= one.ready[key] for one in self._windows)

    def read(self, currents_a: PhaseAmps, now: float) -> None:
        """A reading, as the meter shows it. After a silence everything begins anew."""
        if self._history and now - self._history[-1][0] > GAP_S:
            self._history.clear()
            self._windows.clear()
        if self._history and int(2 * self._history[-1][0]) == int(2 * now):
            self._history.pop()
        self._history.append((now, currents_a))

    def judge(self, teller: Teller, now: float) -> Step | None:
        """The next finished window that says something, if any."""
        while self._windows and now > self._windows[0].finish_mono_s + QUIET_S + METER_LAG_S:
            window = self._windows[0]
            useless = window.finish_mono_s - window.begin_mono_s > LONGEST_S or now > window.finish_mono_s + WAIT_S
            after = {key: teller(key) for key in window.ready}
            if not useless and any(after[key].mono_s < ready for key, ready in window.ready.items()):
                return None
            del self._windows[0]
            step = None if useless else self._step(window, after)
            if step is not None:
                return step
        return None

    def _step(self, window: Window, after: Mapping[EvseKey, Told]) -> Step | None:
        begin, finish = self._before(window.begin_mono_s), self._after(window.finish_mono_s)
        earlier, later = self._before(window.begin_mono_s - QUIET_S), self._after(window.finish_mono_s + QUIET_S)
        just_before = self._before(window.begin_mono_s - TREND_S)
        if begin is None or finish is None or earlier is None or later is None or just_before is None:
            return None
        told_from = min([window.begin_mono_s, *window.said.values()])
        told_until = max([window.finish_mono_s, *(one.mono_s for one in after.values() if math.isfinite(one.mono_s))])
        # A car that moved by itself: its window begins just before the last word about the time before.
        ramp_until = max([window.begin_mono_s, *(one for one in window.said.values() if one <= window.begin_mono_s + METER_LAG_S)])
        before, behind = self._between(told_from, ramp_until, begin), self._between(window.finish_mono_s, told_until, finish)
        trends = (window.finish_mono_s - window.begin_mono_s) / TREND_S
        told, metered, gate = [0.0] * 3, [0.0] * 3, [0.0] * 3
        for phase in PHASES:
            told[phase] = sum(after[key].current_a[phase] - before[phase] for key, before in window.before.items())
            metered[phase] = finish[phase] - begin[phase]
            wobble = self._wobble(phase, QUIET_S)
            trend = max(0.0, abs(begin[phase] - just_before[phase]) - 2.0 * self._wobble(phase, TREND_S))
            restless = max(abs(begin[phase] - earlier[phase]), abs(later[phase] - finish[phase]), trend * trends, before[phase], behind[phase])
            gate[phase] = max(STEP_A, CLEAR_TIMES * wobble, restless / QUIET_PART)
        return Step(tuple(window.ready), _triple(told), _triple(metered), sum(window.commanded.values()), _triple(gate))

    def _between(self, from_mono_s: float, until_mono_s: float, here: PhaseAmps) -> PhaseAmps:
        """How far the meter strayed between a station's word and the window, per phase [A].

        A word may be a minute older than the window, or a minute later: unless the meter stood still from one to the other it is
        about another moment, of a car in the midst of its ramp or one on its next way.
        """
        shown = [amps for when, amps in self._history if from_mono_s <= when <= until_mono_s]
        far = [max((abs(amps[phase] - here[phase]) for amps in shown), default=0.0) for phase in PHASES]
        return _triple(far)

    def _before(self, mono_s: float) -> PhaseAmps | None:
        return next((amps for when, amps in reversed(self._history) if when <= mono_s), None)

    def _after(self, mono_s: float) -> PhaseAmps | None:
        return next((amps for when, amps in self._history if when >= mono_s), None)

    def _wobble(self, phase: int, within_s: float) -> float:
        """How much the meter usually moves within such a time [A]; the median, so that steps themselves do not count."""
        kept = list(self._history)
        spacing_s = (kept[-1][0] - kept[0][0]) / max(1, len(kept) - 1)
        apart = max(1, round(within_s / spacing_s)) if spacing_s > 0 else 1
        moves = [abs(late[1][phase] - early[1][phase]) for early, late in zip(kept, kept[apart:], strict=False)]
        return statistics.median(moves) if moves else 0.0


def _triple(amps: list[float]) -> PhaseAmps:
    return amps[0], amps[1], amps[2]


# -- what a step shows --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Seen:
    """What a phase showed. where: the phase on which the step of this one appeared (``ELSEWHERE``)."""

    sight: Sight
    where: int = -1


def seen(step: Step) -> tuple[Seen | None, Seen | None, Seen | None]:
    """What each phase of the meter showed; None = the step was not clear there, or it fits nothing known."""
    clear = [_clear(step.told_a[phase], step.metered_a[phase], step.gate_a[phase]) for phase in PHASES]
    part = [step.metered_a[phase] / step.told_a[phase] if clear[phase] else 0.0 for phase in PHASES]
    follows = any(clear[phase] and 0.5 <= part[phase] <= 2.0 for phase in PHASES)
    tenth = all(0.05 <= part[phase] <= 0.2 for phase in PHASES if clear[phase])
    found = [_seen(step, phase, part[phase], follows, tenth) if clear[phase] else None for phase in PHASES]
    return found[0], found[1], found[2]


def _clear(told_a: float, metered_a: float, gate_a: float) -> bool:
    """Told clearly, or shown so: a meter that shows ten times too much wobbles ten times too much as well."""
    return abs(told_a) >= gate_a or (abs(told_a) >= STEP_A and metered_a / told_a >= 5.0 and abs(metered_a) >= gate_a)


def _seen(step: Step, phase: int, part: float, follows: bool, tenth: bool) -> Seen | None:
    if 0.5 <= part <= 2.0:
        return Seen(Sight.FOLLOWS)
    if part <= -0.5:
        return Seen(Sight.AGAINST)
    if 5.0 <= part <= 20.0:
        return Seen(Sight.TENFOLD)
    if abs(part) >= 0.3:
        return None
    where = _elsewhere(step, phase)
    if where is not None:
        return Seen(Sight.ELSEWHERE, where)
    if tenth:
        return Seen(Sight.TENTH)
    # A phase that stays still beside one that follows: everything that could hide a step hides it on all phases.
    return Seen(Sight.NOTHING) if follows else None


def _elsewhere(step: Step, phase: int) -> int | None:
    """The phase on which a step appeared although no car moved there."""
    told = step.told_a[phase]
    strange = [other for other in PHASES if other != phase and abs(step.told_a[other]) < 0.25 * abs(told)]
    return next((other for other in strange if 0.6 <= step.metered_a[other] / told <= 1.4), None)


# -- many steps ----------------------------------------------------------------------------------------


@dataclass(slots=True)
class Run:
    """The same fault seen again and again on one phase."""

    seen: Seen | None = None
    count: int = 0
    keys: set[EvseKey] = field(default_factory=set)
    good: int = 0
    verdict: Seen | None = None


NEEDS_TWO = (Sight.NOTHING, Sight.ELSEWHERE, Sight.TENFOLD, Sight.TENTH)
"""What one station alone may have caused by its own wrong values: two of them must have shown it."""


class Votes:
    """What the steps have proved about one meter, phase by phase. sign_only: a battery may hide steps."""

    def __init__(self, sign_only: bool = False) -> None:
        self._runs = (Run(), Run(), Run())
        self._sign_only = sign_only

    def add(self, step: Step) -> None:
        """One more step."""
        for run, vision in zip(self._runs, seen(step), strict=True):
            if vision is not None and not (self._sign_only and vision.sight not in (Sight.FOLLOWS, Sight.AGAINST)):
                self._count(run, vision, step.keys)

    def _count(self, run: Run, vision: Seen, keys: tuple[EvseKey, ...]) -> None:
        if vision.sight is Sight.FOLLOWS:
            run.seen, run.count, run.good = None, 0, run.good + 1
            run.keys.clear()
            if run.good >= CLEARED_RUN:
                run.verdict = None
            return
        run.good = 0
        if vision != run.seen:
            run.seen, run.count = vision, 0
            run.keys.clear()
        run.count += 1
        run.keys.update(keys)
        if run.count >= RUN and (vision.sight not in NEEDS_TWO or len(run.keys) >= 2):
            run.verdict = vision

    @property
    def verdicts(self) -> tuple[Seen | None, Seen | None, Seen | None]:
        """What is proved wrong, phase by phase; None = nothing."""
        first, second, third = self._runs
        return first.verdict, second.verdict, third.verdict

    @property
    def distrust(self) -> str:
        """Why the meter is not to be believed at all; "" = no reason (F43, F45)."""
        names = {Sight.AGAINST: "counts backwards", Sight.TENFOLD: "shows ten times too much", Sight.TENTH: "shows a tenth of what flows"}
        for sight, words in names.items():
            phases = [f"L{phase + 1}" for phase, one in zip(PHASES, self.verdicts, strict=True) if one is not None and one.sight is sight]
            if phases:
                return f"{', '.join(phases)} {words}: {RUN} steps of the cars prove it"
        return ""

    @property
    def mixed(self) -> str:
        """Why its phases cannot be told apart; "" = no reason (F44)."""
        words: list[str] = []
        for phase, one in zip(PHASES, self.verdicts, strict=True):
            if one is not None and one.sight is Sight.NOTHING:
                words.append(f"L{phase + 1} shows nothing of the cars on it")
            elif one is not None and one.sight is Sight.ELSEWHERE:
                words.append(f"cars on L{phase + 1} appear on L{one.where + 1}")
        return ", ".join(words)
