"""What the plans say about themselves, added up over days: which limits held cars back and what that cost, how good forecasts and plans were.

A proved plan carries shadow prices: what a looser limit would save in each slot. The plan in force is believed for as long as it is in
force, so the price of a slot is added for the part of the slot that was really spent under that plan. Days are those of the site's
clock; the last ``KEPT_DAYS`` are kept in the journal and outlast a restart. Decides nothing.
What a second under a plan adds is in ``worth``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Final

from controller.config import Config
from controller.facts import Stamp
from controller.orders import Order, Persist
from controller.site.plans.worth import Sum, rates, sum_from
from controller.site.plans.zones import zone_of
from controller.site.session_memory import number_or_none
from optimizer.problem import Plan, PlanStatus, Problem

SPACE: Final = "explained"
KEPT_DAYS: Final = 35
SAVE_WALL_S: Final = 600.0
"""What was added up goes to disk so often; a power cut loses no more [wall s]."""
LONGEST_TICK_S: Final = 120.0
"""Two ticks further apart than this (a suspended machine) count as nothing [wall s]."""


COUNTS: Final = ("plans", "proved", "hot", "failed", "solve_s", "slowest_s", "expected_wh", "came_wh", "came", "seen_h")


@dataclass(slots=True)
class Day:
    """One day of the site's clock. plans: made; hot: of them from the last one's start; seen_h: hours a forecast was asked for."""

    limits: dict[str, Sum] = field(default_factory=dict)
    counts: dict[str, float] = field(default_factory=lambda: dict.fromkeys(COUNTS, 0.0))

    def memory(self) -> dict[str, Any]:
        """For the journal."""
        counts = {name: round(value, 3) for name, value in self.counts.items() if value}
        return {"limits": {where: one.numbers() for where, one in self.limits.items()}, "counts": counts}


def day_from(memory: Any) -> Day | None:
    """Back from the journal; what makes no sense in it is left out (F75)."""
    if not isinstance(memory, dict):
        return None
    day = Day()
    limits, counts = memory.get("limits"), memory.get("counts")
    for where, numbers in (limits.items() if isinstance(limits, dict) else ()):
        one = sum_from(numbers)
        if one is not None:
            day.limits[str(where)] = one
    for name in COUNTS:
        value = number_or_none(counts.get(name)) if isinstance(counts, dict) else None
        day.counts[name] = max(0.0, value or 0.0)
    return day


class Explained:
    """Adds up. Every method takes the time it happens at; wall times only name the day."""

    def __init__(self, config: Config) -> None:
        self._zone = zone_of(config.site.timezone)
        self.days: dict[date, Day] = {}
        self._at: Stamp | None = None
        self._slot: tuple[float, int] | None = None
        self._rates: dict[str, Sum] = {}
        self._hour: int | None = None
        self._saved_wall_s = -math.inf
        self._unsaved: set[date] = set()

    # -- memory ------------------------------------------------------------------------------------

    def recall(self, name: str, memory: Any) -> None:
        """Take back a day from the journal."""
        day = day_from(memory)
        try:
            when = date.fromisoformat(name)
        except ValueError:
            return
        if day is not None:
            self.days[when] = day

    def _save(self, at: Stamp, today: date) -> list[Order]:
        """Write what changed, now and then and when a day is over; forget what is too old."""
        over = any(day != today for day in self._unsaved)
        if not self._unsaved or (not over and at.wall_s - self._saved_wall_s < SAVE_WALL_S):
            return []
        self._saved_wall_s = at.wall_s
        remember: dict[tuple[str, str], Any] = {(SPACE, day.isoformat()): self.days[day].memory() for day in sorted(self._unsaved)}
        for day in [day for day in self.days if (today - day).days >= KEPT_DAYS]:
            del self.days[day]
            remember[(SPACE, day.isoformat())] = None
        self._unsaved.clear()
        return [Persist(0, remember=remember)]

    # -- what happens ------------------------------------------------------------------------------

    def passed(self, plan: Plan | None, problem: Problem | None, at: Stamp) -> list[Order]:
        """Time passed under this plan (None = under none that is in force). The orders keep what was added up."""
        if not at.wall_trusted:
            self._at = None
            return []
        today = self.today(at)
        if plan is not None and problem is not None:
            self._add(self._passed_s(at), plan, problem, at, today)
            self._look_ahead(problem, at, today)
        self._at = at
        return self._save(at, today)

    def _passed_s(self, at: Stamp) -> float:
        """Seconds of the wall clock since the last tick; the demo's clock runs faster than ours."""
        if self._at is None:
            return 0.0
        passed_s = (at.mono_s - self._at.mono_s) * at.wall_speed
        return passed_s if 0.0 < passed_s <= LONGEST_TICK_S * max(1.0, at.wall_speed) else 0.0

    def _add(self, passed_s: float, plan: Plan, problem: Problem, at: Stamp, today: date) -> None:
        slot = plan.slot_at(at.wall_s)
        if slot is None or not passed_s:
            return
        if self._slot != (plan.created_wall_s, slot):
            self._slot, self._rates = (plan.created_wall_s, slot), rates(plan, problem, slot)
        for where, rate in self._rates.items():
            self._day(today).limits.setdefault(where, Sum()).add(rate.times(passed_s))

    def _look_ahead(self, problem: Problem, at: Stamp, today: date) -> None:
        """Once an hour: what the plan keeps room for in the hour that begins."""
        hour = int(at.wall_s // 3600.0)
        if hour == self._hour:
            return
        fresh, self._hour = self._hour is not None and hour == self._hour + 1, hour
        if fresh:
            counts = self._day(today).counts
            counts["seen_h"] += 1.0
            counts["expected_wh"] += sum(ev.energy_need_wh for ev in problem.evs if ev.expected and hour == int(ev.arrival_wall_s // 3600.0))

    def planned(self, plan: Plan, at: Stamp) -> None:
        """A plan came into force."""
        counts = self._day(self.today(at)).counts
        counts["plans"] += 1.0
        counts["proved"] += plan.status is PlanStatus.PROVED
        counts["hot"] += plan.way in ("hot", "admitted")
        counts["solve_s"] += plan.solve_s
        counts["slowest_s"] = max(counts["slowest_s"], plan.solve_s)

    def failed(self, at: Stamp) -> None:
        """A plan did not come, or was refused."""
        self._day(self.today(at)).counts["failed"] += 1.0

    def charged(self, started_wall_s: float, energy_wh: float, at: Stamp) -> None:
        """A session is over: it belongs to the day it began."""
        if not at.wall_trusted or started_wall_s > at.wall_s or not 0 <= (self.today(at) - self._date(started_wall_s)).days < KEPT_DAYS:
            return
        counts = self._day(self._date(started_wall_s)).counts
        counts["came"] += 1.0
        counts["came_wh"] += max(0.0, energy_wh)

    # -- reading -------------------------------------------------------------------------------------

    def today(self, at: Stamp) -> date:
        """The day it is at the site."""
        return self._date(at.wall_s)

    def _date(self, wall_s: float) -> date:
        return datetime.fromtimestamp(wall_s, self._zone).date()

    def over(self, today: date, days: int) -> dict[str, Sum]:
        """Every limit that held cars back in the last ``days``, today included."""
        found: dict[str, Sum] = {}
        for day, sums in self.days.items():
            if 0 <= (today - day).days < days:
                for where, one in sums.limits.items():
                    found.setdefault(where, Sum()).add(one)
        return found

    def _day(self, today: date) -> Day:
        self._unsaved.add(today)
        return self.days.setdefault(today, Day())
