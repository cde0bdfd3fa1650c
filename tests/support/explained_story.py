"""Two weeks of plans as the page and the API tell them, by the accumulation itself."""

from __future__ import annotations

from datetime import date, timedelta

from controller.site.plans.explained import Day, Explained
from controller.site.plans.explained_words import view
from controller.site.plans.worth import Sum
from controller.snapshot import ExplainView
from optimizer.problem import Plan, PlanStatus, Slack, SlackKind
from tests.support.picture import NOW_WALL_S, site_config

TODAY = date(2026, 1, 1)


def plan(**changes: object) -> Plan:
    """An empty plan; ``changes`` are its fields."""
    fields: dict[str, object] = {"created_wall_s": NOW_WALL_S, "slots": (), "ev_power_w": {}, "grid_power_w": (), "status": PlanStatus.PROVED}
    return Plan(**{**fields, "cost": 0.0, "peak_w": 0.0, **changes})  # type: ignore[arg-type]


def filled() -> Explained:
    """Two weeks in which the hall held cars back each working day."""
    explained = Explained(site_config())
    for back in range(14):
        day, when = Day(), TODAY - timedelta(days=back)
        if when.weekday() < 5:
            day.limits["hall"] = Sum(9000.0 + 900.0 * back, 0.3, 8.2, 2.4, 0.0, 0.0, [9000.0, 4000.0, 0.0])
        if back in (1, 4):
            day.limits["grid"] = Sum(1800.0, 0.1, 1.1, 0.4, 900.0, 3200.0, [1800.0, 1800.0, 1800.0])
        if back == 2:
            day.limits["peak"] = Sum(5400.0, 0.5, 0.0, 0.0)
        day.counts |= {"plans": 1300.0, "proved": 1299.0, "hot": 1240.0, "solve_s": 15.6, "slowest_s": 0.34, "failed": float(back == 0)}
        day.counts |= {"seen_h": 24.0, "expected_wh": 160_000.0, "came_wh": 170_000.0 + 1000.0 * back, "came": 14.0}
        explained.days[when] = day
    return explained


def told() -> ExplainView:
    """The picture of these weeks, with a plan that cannot serve everybody."""
    slacks = (
        Slack(SlackKind.SHORTFALL, "beta/2", None, 1.24, "kWh", 8.0, 9.9),
        Slack(SlackKind.SHORTFALL, "expected:grid/3", None, 5.0, "kWh", 8.0, 40.0),
        Slack(SlackKind.OVERLOAD, "hall/L2", 3, 0.1, "A", 50.0, 5.0),
    )
    return view(filled(), plan(slacks=slacks, way="hot"), TODAY, NOW_WALL_S, "EUR")
