"""Other load: what a metered circuit carries besides our cars, per phase.

The meter tells the sum each second; a station tells its own current every few seconds or once a
minute. Subtracting the two naively makes a car that just followed its new setpoint look like
building load, and the site swings. So we keep an *interval*: the cars together draw at least the
low and at most the high bound, hence the other load lies between meter - high and meter - low. The
last estimate stays as long as the interval contains it, else it moves to the nearest end. Once
the stations have spoken the interval is narrow and the estimate exact.

Law: estimate + high bound of the cars >= meter, so a circuit whose setpoints fit its estimate
never measures above its limit once the cars have followed.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

from controller.facts import PhaseAmps
from controller.site.guard import total_of

PHASES = (0, 1, 2)
CONFIRM_S: Final = 1.5
"""What one reading alone has shown is in doubt for this long, or until the next [s]."""
BEARS_TIMES: Final = 1.45
"""A breaker bears this many times its current for longer than it takes to ask again (IEC 60898: an hour)."""


class Draw(NamedTuple):
    """Bounds of what one car draws per site phase [A]."""

    low_a: PhaseAmps
    high_a: PhaseAmps


NOTHING = Draw((0.0, 0.0, 0.0), (0.0, 0.0, 0.0))


def blame_other(metered_a: PhaseAmps, last_a: PhaseAmps, before_a: PhaseAmps, limit_a: float, total_a: float = math.inf) -> PhaseAmps:
    """The last estimate, raised by this reading's jump on each phase that is now above its limit [A]; above a total on all of them.

    Above a limit the careful guess is that the building rose: a cut that blames cars for taking up
    unused offers would be too small.
    """
    limit_a = -math.inf if total_a < math.inf and total_of(metered_a) > total_a else limit_a
    raised = [before + max(0.0, now - last) if now > limit_a else before for now, last, before in zip(metered_a, last_a, before_a, strict=True)]
    return raised[0], raised[1], raised[2]


def total(draws: Iterable[Draw]) -> Draw:
    """Bounds of what all of them draw together."""
    low, high = [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]
    for draw in draws:
        for phase in PHASES:
            low[phase] += draw.low_a[phase]
            high[phase] += draw.high_a[phase]
    return Draw((low[0], low[1], low[2]), (high[0], high[1], high[2]))


def estimate(metered_a: PhaseAmps, draws: Iterable[Draw], before_a: PhaseAmps | None) -> PhaseAmps:
    """Other load per phase [A]; negative where something feeds in. before_a: the last estimate, if any."""
    return estimate_of(metered_a, total(draws), before_a)


def estimate_of(metered_a: PhaseAmps, cars: Draw, before_a: PhaseAmps | None) -> PhaseAmps:
    """The same for bounds of all cars together."""
    least = [metered_a[phase] - cars.high_a[phase] for phase in PHASES]
    most = [metered_a[phase] - cars.low_a[phase] for phase in PHASES]
    if before_a is None:
        return most[0], most[1], most[2]
    held = [min(max(before_a[phase], least[phase]), most[phase]) for phase in PHASES]
    return held[0], held[1], held[2]


class OtherLoad:
    """The estimate of one circuit from reading to reading, and how much of it only the last reading has shown.

    A motor that starts draws five times its current for half a second. A reading that falls into it shows an excess that is
    over before any car could have followed. Setpoints are cut for it all the same; but nobody is paused for it, which wears
    contactors: so beside the estimate runs a second one from the lower of the last two readings. What both show lasts.
    """

    def __init__(self) -> None:
        self.now_a: PhaseAmps | None = None
        self._metered_a: PhaseAmps = (0.0, 0.0, 0.0)
        self._lasting_metered_a: PhaseAmps = (0.0, 0.0, 0.0)
        self._lasting_a: PhaseAmps | None = None
        self._read_mono_s = 0.0
        self._cars: deque[tuple[float, Draw]] = deque()

    def read(
        self, metered_a: PhaseAmps, draws: Iterable[Draw], limit_a: float, now: float, age_s: float = 0.0, total_a: float = math.inf
    ) -> PhaseAmps:
        """A believed reading and how old its oldest value is [s]; the estimate after it. total_a: of all phases together, inf = no such limit."""
        cars, first = self._meant(total(draws), now - age_s, now), self.now_a is None
        last_a = metered_a if first else self._metered_a
        lasting_metered_a = metered_a if _above(metered_a, BEARS_TIMES * limit_a, BEARS_TIMES * total_a) else _lower(metered_a, last_a)
        before_a = blame_other(metered_a, last_a, self.now_a, limit_a, total_a) if self.now_a is not None else None
        self.now_a = estimate_of(metered_a, cars, before_a)
        if self._lasting_a is not None:
            raised_a = blame_other(lasting_metered_a, self._lasting_metered_a, self._lasting_a, limit_a, total_a)
            self._lasting_a = estimate_of(lasting_metered_a, cars, raised_a)
        else:
            self._lasting_a = self.now_a
        if _above(lasting_metered_a, limit_a, total_a):
            self._lasting_a = self.now_a  # two readings above the limit are no start of a motor
        self._metered_a, self._lasting_metered_a, self._read_mono_s = metered_a, lasting_metered_a, now
        return self.now_a

    def _meant(self, cars: Draw, taken_mono_s: float, now: float) -> Draw:
        """Bounds of the cars from the reading's own time until now: the parts of a virtual meter are older than the stations' last words, and a
        car that has just followed its setpoint would look like load of the building."""
        self._cars.append((now, cars))
        while len(self._cars) > 1 and self._cars[1][0] <= taken_mono_s:
            self._cars.popleft()
        if len(self._cars) == 1:
            return cars
        lows, highs = zip(*(one for _, one in self._cars), strict=True)
        return Draw(_by_phase(min, lows), _by_phase(max, highs))

    def passing_a(self, now: float) -> PhaseAmps:
        """The part of the estimate that may have been a start of a motor [A]."""
        if self.now_a is None or self._lasting_a is None or now - self._read_mono_s > CONFIRM_S:
            return 0.0, 0.0, 0.0
        first, second, third = [max(0.0, amps - lasts) for amps, lasts in zip(self.now_a, self._lasting_a, strict=True)]
        return first, second, third


def _above(metered_a: PhaseAmps, limit_a: float, total_a: float) -> bool:
    return max(metered_a) > limit_a or (total_a < math.inf and total_of(metered_a) > total_a)


def _lower(one: PhaseAmps, other: PhaseAmps) -> PhaseAmps:
    return _by_phase(min, (one, other))


def _by_phase(choose: Callable[[Iterable[float]], float], amps: Iterable[PhaseAmps]) -> PhaseAmps:
    first, second, third = zip(*amps, strict=True)
    return choose(first), choose(second), choose(third)
