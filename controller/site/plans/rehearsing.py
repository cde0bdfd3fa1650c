"""Which peak is worth paying for: a few times a day the rest of the billing period is planned with the cars of past weeks.

``optimizer.peaks`` says why and how; here is when. The problems go to the same solver as plans, one after the other, each only while no
plan is on its way, and what comes back is read for its peak alone: it never moves a car. No past, no demand charge, a solver that fails:
then nobody knows, and plans weigh a peak by a day's part of its price.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from controller.config import Config
from controller.facts import Stamp
from controller.orders import Order, SolvePlan
from controller.site.layout import Layout
from controller.site.plans.peak import PeakMeter
from controller.site.plans.plan_inputs import PlanInputs
from controller.site.plans.posing import Rest, build_rest, rest_of
from optimizer.past import PastSession
from optimizer.peaks import casts, worthwhile_peak_w
from optimizer.problem import Ev, Plan

EVERY_S: Final = 3 * 3600.0
"""So often, for the day may turn out warmer than it began [s]."""
ANSWER_S: Final = 60.0
"""An answer that has not come after this never will [s]."""
FAILED_S: Final = 86_400.0
"""A solver that is too slow for this is not bothered again so soon [s]."""
MOST_CARS: Final = 1500
"""A week of more cars is not rehearsed: it would keep the solver from its plans."""


class Rehearsals:
    """worthwhile_w: the peak worth paying for in this billing period [W], None = nobody knows."""

    def __init__(self, config: Config, layout: Layout) -> None:
        self._config, self._layout = config, layout
        self.worthwhile_w: float | None = None
        self._period_s: float | None = None
        self._next_mono_s = -math.inf
        self._casts: dict[int, tuple[Ev, ...]] = {}
        self._peaks_w: list[float] = []
        self._sent: tuple[float, float] | None = None

    def due(self, peak: PeakMeter, at: Stamp) -> bool:
        """Whether there is a problem to be solved. peak: of the billing period; with a new one all begins anew."""
        if self._config.tariff.demand_per_kw <= 0.0 or not at.wall_trusted:
            return False
        if peak.since_wall_s != self._period_s:
            self._period_s, self.worthwhile_w, self._next_mono_s, self._casts = peak.since_wall_s, None, at.mono_s, {}
        if self._sent is not None and at.mono_s - self._sent[1] <= ANSWER_S:
            return False
        return bool(self._casts) or at.mono_s >= self._next_mono_s

    def look(self, inputs: PlanInputs, past: Sequence[PastSession], peak: PeakMeter, at: Stamp) -> list[Order]:
        """The next problem, if any. Call it when one is due, and while no plan is on its way."""
        rest = rest_of(peak.ends_wall_s(at.wall_s), at)
        if not self._casts:
            self._begin(rest, past, at)
        if not self._casts or rest.empty:
            self._casts = {}
            return []
        weeks, cast = self._casts.popitem()
        problem = build_rest(self._config, self._layout, inputs, rest, weeks, at)
        self._sent = (problem.created_wall_s, at.mono_s)
        return [SolvePlan(replace(problem, evs=(*problem.evs, *cast)))]

    def _begin(self, rest: Rest, past: Sequence[PastSession], at: Stamp) -> None:
        self._next_mono_s, self._peaks_w = at.mono_s + EVERY_S / at.wall_speed, []
        found = casts(past, rest.begin_wall_s, rest.end_wall_s, self._config.site.timezone)
        self._casts = {weeks: cast for weeks, cast in found.items() if len(cast) <= MOST_CARS}

    def solved(self, plan: Plan) -> bool:
        """Whether this is the answer to a rehearsal; then it has taught its peak."""
        if self._sent is None or plan.created_wall_s != self._sent[0]:
            return False
        self._sent = None
        if math.isfinite(plan.peak_w):
            self._peaks_w.append(plan.peak_w)
        if not self._casts and self._peaks_w:
            self.worthwhile_w = worthwhile_peak_w(self._peaks_w, 0.0)
        return True

    def failed(self, created_wall_s: float | None, at: Stamp) -> bool:
        """Whether a rehearsal has failed: the next one is a day away, and what was known before holds on."""
        if self._sent is None or created_wall_s != self._sent[0]:
            return False
        self._sent, self._casts, self._next_mono_s = None, {}, at.mono_s + FAILED_S / at.wall_speed
        return True
