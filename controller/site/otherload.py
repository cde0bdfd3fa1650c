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

from collections.abc import Iterable
from typing import NamedTuple

from controller.facts import PhaseAmps

PHASES = (0, 1, 2)


class Draw(NamedTuple):
    """Bounds of what one car draws per site phase [A]."""

    low_a: PhaseAmps
    high_a: PhaseAmps


NOTHING = Draw((0.0, 0.0, 0.0), (0.0, 0.0, 0.0))


def blame_other(metered_a: PhaseAmps, last_a: PhaseAmps, before_a: PhaseAmps, limit_a: float) -> PhaseAmps:
    """The last estimate, raised by this reading's jump on each phase that is now above its limit [A].

    Above a limit the careful guess is that the building rose: a cut that blames cars for taking up
    unused offers would be too small.
    """
    raised = [before + max(0.0, now - last) if now > limit_a else before for now, last, before in zip(metered_a, last_a, before_a, strict=True)]
    return raised[0], raised[1], raised[2]


def estimate(metered_a: PhaseAmps, draws: Iterable[Draw], before_a: PhaseAmps | None) -> PhaseAmps:
    """Other load per phase [A]; negative where something feeds in. before_a: the last estimate, if any."""
    low, high = [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]
    for draw in draws:
        for phase in PHASES:
            low[phase] += draw.low_a[phase]
            high[phase] += draw.high_a[phase]
    least = [metered_a[phase] - high[phase] for phase in PHASES]
    most = [metered_a[phase] - low[phase] for phase in PHASES]
    if before_a is None:
        return most[0], most[1], most[2]
    held = [min(max(before_a[phase], least[phase]), most[phase]) for phase in PHASES]
    return held[0], held[1], held[2]
