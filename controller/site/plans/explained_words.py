"""What was added up of the plans, as a picture and in sentences for people. Pure words: nothing is decided or remembered here."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from typing import Final

from controller.config import ROOT_CIRCUIT
from controller.facts import Stamp
from controller.site.layout import PHASE_NAMES
from controller.site.plans.explained import Day, Explained
from controller.site.plans.worth import MORE, SITE_WIDE, Sum
from controller.snapshot import ExplainView, ForecastEffect, HeldBack, LimitEffect, SolverEffect
from optimizer.problem import EXPECTED, Plan, Slack, SlackKind

WEEK_DAYS, MONTH_DAYS, SHOWN_DAYS = 7, 30, 14
FORECAST_DAYS: Final = 7
MOST_SENTENCES: Final = 3
"""So many limits get a sentence of their own in the summary; the table has all."""
MOST_LIMITS: Final = 20
"""The picture goes to every open page: no more limits and broken rules than a person reads."""
LEAST_BOUND_S: Final = 60.0
AGAIN_WALL_S: Final = 60.0
LEAST_HOURS: Final = 20.0
"""A day's forecast is told only when it was asked for in so many of its hours."""
NAMES: Final = {"import": "The import limit", "export": "The feed-in limit", "peak": "The demand charge"}


def view(explained: Explained, plan: Plan | None, today: date, now_wall_s: float, currency: str) -> ExplainView:
    """Everything that is known, in words and numbers."""
    days = [today - timedelta(days=back) for back in reversed(range(SHOWN_DAYS))]
    limits = tuple(_limits(explained, today, days, currency))
    first = min(explained.days, default=today)
    broken = tuple(broken_rules(plan)) if plan is not None else ()
    forecast = tuple(_forecasts(explained, today))
    solver = _solver(explained.days.get(today), plan)
    sentences = (*_limit_sentences(limits, first, today), *_few(broken), *_forecast_sentence(forecast), _solver_sentence(solver))
    names = tuple(day.isoformat() for day in days)
    return ExplainView(now_wall_s, currency, first.isoformat(), names, sentences, limits[:MOST_LIMITS], broken[:MOST_LIMITS], forecast, solver)


def _few(broken: Sequence[str]) -> Iterable[str]:
    yield from broken[:MOST_SENTENCES]
    if len(broken) > MOST_SENTENCES:
        more = len(broken) - MOST_SENTENCES
        yield f"{more} more soft rule{'s' if more > 1 else ''} cannot be kept as planned."


class Telling:
    """Makes the picture anew when the minute or the plan changed: it is asked for once a second."""

    def __init__(self, currency: str) -> None:
        self._currency = currency
        self._of: tuple[int, float] | None = None
        self._view: ExplainView | None = None

    def look(self, explained: Explained, plan: Plan | None, at: Stamp) -> ExplainView:
        """The picture, at most a minute old."""
        of = (int(at.wall_s // AGAIN_WALL_S), plan.created_wall_s if plan is not None else 0.0)
        if self._view is None or of != self._of:
            self._of, self._view = of, view(explained, plan, explained.today(at), at.wall_s, self._currency)
        return self._view


# -- limits ---------------------------------------------------------------------------------------------


def _limits(explained: Explained, today: date, days: Sequence[date], currency: str) -> Iterable[LimitEffect]:
    spans = [explained.over(today, span) for span in (1, WEEK_DAYS, MONTH_DAYS)]
    since = span_words(min(explained.days, default=today), today)
    held = [(where, one) for where, one in spans[2].items() if one.bound_s >= LEAST_BOUND_S]
    for where, month in sorted(held, key=lambda item: (item[0] == "peak", -item[1].cost, -item[1].short_wh, item[0])):
        day, week = spans[0].get(where, Sum()), spans[1].get(where, Sum())
        bound = tuple(_bound_s(explained.days.get(one), where) for one in days)
        phases = tuple(name for name, seconds in zip(PHASE_NAMES, month.phase_s, strict=True) if seconds >= LEAST_BOUND_S)
        unit = "kW" if where in SITE_WIDE else "A"
        sentence = limit_sentence(where, week, currency, since)
        yield LimitEffect(where, name_of(where), unit, MORE, phases, _held(day), _held(week), _held(month), bound, sentence)


def _bound_s(day: Day | None, where: str) -> float:
    return day.limits[where].bound_s if day is not None and where in day.limits else 0.0


def _held(one: Sum) -> HeldBack:
    return HeldBack(one.bound_s, one.cost, one.per_unit, one.saved, one.short_s, one.short_wh)


def name_of(where: str) -> str:
    """What a limit is called at the begin of a sentence."""
    if where in NAMES:
        return NAMES[where]
    if where == ROOT_CIRCUIT:
        return "The grid connection"
    if where.startswith(("limit (", "CSMS limit")):
        return f"The {where}"
    return f"The CSMS's limit of {where}" if where.startswith("station ") else f"Circuit {where}"


def span_words(first: date, today: date) -> str:
    """How far back a week's sentence looks."""
    known = (today - first).days + 1
    if known >= WEEK_DAYS:
        return "in the last 7 days"
    return "today" if known <= 1 else f"in the last {known} days"


def limit_sentence(where: str, week: Sum, currency: str, since: str) -> str:
    """One limit's week. Without money in it, it only tells the time."""
    name, more = name_of(where), f"{MORE:g} {'kW' if where in SITE_WIDE else 'A'}"
    if week.bound_s < LEAST_BOUND_S:
        return f"{name} held no car back {since}."
    told = f"{name} held cars back for {hours(week.bound_s)} {since}"
    if where == "peak":
        return f"{told}: charging moved to spare the highest quarter hour."
    cheap = "." if week.short_s >= LEAST_BOUND_S else "; that cost next to nothing."
    words = f"{told}; that cost about {money(week.cost, currency)}." if week.cost >= 0.005 else f"{told}{cheap}"
    if week.saved >= 0.005:
        words += f" {more} more there would have saved about {money(week.saved, currency)}."
    if week.short_s >= LEAST_BOUND_S:
        energy = f"; {more} more would have brought about {week.short_wh / 1000.0:.1f} kWh" if week.short_wh >= 50.0 else ""
        part = "All that time" if week.short_s >= 0.99 * week.bound_s else f"For {hours(week.short_s)} of that"
        words += f" {part} not all cars could be served in time{energy}."
    return words


def _limit_sentences(limits: Sequence[LimitEffect], first: date, today: date) -> Iterable[str]:
    held = [one for one in limits if one.week.bound_s >= LEAST_BOUND_S]
    yield from (one.sentence for one in held[:MOST_SENTENCES])
    if len(held) > MOST_SENTENCES:
        more = len(held) - MOST_SENTENCES
        yield f"{more} more limit{'s' if more > 1 else ''} held cars back, see the table."
    if not held:
        yield f"No limit held a car back {span_words(first, today)}."


# -- soft rules -----------------------------------------------------------------------------------------

BROKEN: Final = {
    SlackKind.OVERLOAD: "{where} would be {amount} above its limit even without any charging",
    SlackKind.IMPORT: "the import limit would be exceeded by {amount}",
    SlackKind.EXPORT: "the feed-in limit would be exceeded by {amount}",
    SlackKind.UNBALANCE: "the phases of {where} would differ by {amount} more than allowed",
    SlackKind.MINIMUM: "{where} would miss {amount} of its minimum",
    SlackKind.SHORTFALL: "{where} would leave with {amount} less than it needs",
    SlackKind.BATTERY_RESERVE: "the battery's reserve would be short by {amount}",
    SlackKind.EVENT_RESERVE: "the room kept for an announced grid event would be short by {amount}",
    SlackKind.SETPOINT: "the grid power that was asked for would be missed by {amount}",
}
LEAST_AMOUNT: Final = {"A": 0.5, "kWh": 0.05, "kW": 0.1}


def broken_rules(plan: Plan) -> Iterable[str]:
    """The soft rules a plan could not keep, the gravest first, without crumbs and without cars that may not come."""
    told = [one for one in plan.slacks if one.amount >= LEAST_AMOUNT.get(one.unit, 0.0) and not one.where.startswith(EXPECTED)]
    order = {kind: place for place, kind in enumerate(SlackKind)}
    for one in sorted(told, key=lambda one: (order[one.kind], -one.cost, one.where)):
        yield f"As planned, {_broken(one)}."


def _broken(one: Slack) -> str:
    return BROKEN[one.kind].format(where=one.where, amount=f"{one.amount:.1f} {one.unit}")


# -- forecast and solver -----------------------------------------------------------------------------------


def _forecasts(explained: Explained, today: date) -> Iterable[ForecastEffect]:
    """The last whole days, oldest first."""
    for back in range(FORECAST_DAYS, 0, -1):
        day = explained.days.get(today - timedelta(days=back))
        if day is not None and day.counts["seen_h"] >= LEAST_HOURS and day.counts["expected_wh"] > 0:
            name = (today - timedelta(days=back)).isoformat()
            yield ForecastEffect(name, day.counts["expected_wh"], day.counts["came_wh"], round(day.counts["came"]))


def _forecast_sentence(forecast: Sequence[ForecastEffect]) -> Iterable[str]:
    if not forecast:
        return
    expected, came = sum(one.expected_wh for one in forecast) / 1000.0, sum(one.came_wh for one in forecast) / 1000.0
    cars, days = sum(one.came for one in forecast), len(forecast)
    span = "On the last whole day" if days == 1 else f"On the last {days} whole days"
    yield f"{span} {cars} cars came and took {came:.0f} kWh; plans had kept room for {expected:.0f} kWh before they came."


def _solver(day: Day | None, plan: Plan | None) -> SolverEffect:
    counts = day.counts if day is not None else Day().counts
    mean_s = counts["solve_s"] / counts["plans"] if counts["plans"] else 0.0
    whole = [round(counts[name]) for name in ("plans", "proved", "hot", "failed")]
    status, way = (plan.status.value, plan.way) if plan is not None else ("", "")
    return SolverEffect(whole[0], whole[1], whole[2], whole[3], mean_s, counts["slowest_s"], status, way)


def _solver_sentence(solver: SolverEffect) -> str:
    each, were = ("plans", "were") if solver.failed != 1 else ("plan", "was")
    trouble = f" {solver.failed} {each} did not come in time or {were} refused." if solver.failed else ""
    if not solver.plans:
        return "No plan was made today yet." + trouble
    proved = "all proved best" if solver.proved == solver.plans else f"{solver.proved} of them proved best"
    spent = f"in {1000.0 * solver.mean_s:.0f} ms on average, {1000.0 * solver.slowest_s:.0f} ms at most"
    return f"{solver.plans} {'plans were' if solver.plans != 1 else 'plan was'} made today, {proved}, {spent}.{trouble}"


def hours(seconds: float) -> str:
    """ "25 min" or "12.5 h"."""
    return f"{seconds / 60.0:.0f} min" if seconds < 3570.0 else f"{seconds / 3600.0:.1f} h"


def money(value: float, currency: str) -> str:
    """Whole units from 10 on."""
    return f"{value:,.0f} {currency}" if value >= 9.995 else f"{value:.2f} {currency}"
