"""Rehearsals of the rest of the billing period with the cars of past weeks."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from optimizer.past import PastSession
from optimizer.peaks import rehearsals, worthwhile_peak_w
from optimizer.problem import Node, Problem, Slot
from optimizer.solve import solve

TIMEZONE = "Europe/Berlin"
BEGIN = datetime(2026, 6, 8, tzinfo=ZoneInfo(TIMEZONE))
BEGIN_S = BEGIN.timestamp()


def rest(days: int = 2, demand: float = 10.0) -> Problem:
    """So many days in half hours, one price, a wide site."""
    slots = tuple(Slot(BEGIN_S + at * 1800.0, 1800.0) for at in range(48 * days))
    flat = (0.1,) * len(slots)
    site = Node("site", None, (300.0,) * 3)
    return Problem(BEGIN_S, slots, 230.0, (site,), (), flat, (0.0,) * len(slots), (0.0,) * len(slots), demand_per_kw=demand)


def car(days_ago: int, hour: float, stay_h: float, kwh: float) -> PastSession:
    comes_s = (BEGIN.replace(tzinfo=None) + timedelta(days=-days_ago, hours=hour)).replace(tzinfo=ZoneInfo(TIMEZONE)).timestamp()
    return PastSession("x/1", "site", (0,), comes_s, comes_s + stay_h * 3600.0, kwh * 1000.0, 11_000.0)


def test_each_past_week_is_played_once_more_at_the_same_clock_times() -> None:
    past = [car(7, 8.0, 8.0, 16.0), car(14, 9.0, 4.0, 20.0), car(13, 9.0, 4.0, 8.0), car(21, 10.0, 1.0, 0.0)]
    first, second = rehearsals(past, rest(), TIMEZONE)
    assert [(ev.arrival_wall_s - BEGIN_S) / 3600 for ev in first.evs] == [8.0]
    assert [(ev.arrival_wall_s - BEGIN_S) / 3600 for ev in second.evs] == [9.0, 33.0]
    assert first.slots == second.slots == rest().slots


def test_the_best_peak_of_a_week_is_found() -> None:
    (problem,) = rehearsals([car(7, 8.0, 8.0, 16.0), car(6, 8.0, 2.0, 10.0)], rest(), TIMEZONE)
    assert solve(problem, 20.0).peak_w == pytest.approx(5_000.0, rel=1e-3)


def test_the_clock_counts_across_the_change_to_summer_time() -> None:
    begin = datetime(2026, 3, 30, tzinfo=ZoneInfo(TIMEZONE)).timestamp()
    problem = replace(rest(1), slots=tuple(Slot(begin + at * 1800.0, 1800.0) for at in range(48)))
    comes_s = datetime(2026, 3, 23, 8, tzinfo=ZoneInfo(TIMEZONE)).timestamp()
    one = replace(car(7, 8.0, 4.0, 8.0), arrival_wall_s=comes_s, departure_wall_s=comes_s + 4 * 3600.0)
    (again,) = rehearsals([one], problem, TIMEZONE)
    assert again.evs[0].arrival_wall_s == begin + 8 * 3600.0


def test_a_stay_beyond_the_end_needs_what_fits() -> None:
    (problem,) = rehearsals([car(6, 23.0, 8.0, 30.0)], rest(), TIMEZONE)
    assert problem.evs[0].energy_need_wh == pytest.approx(11_000.0)


def test_holidays_and_sites_without_demand_charge_teach_nothing() -> None:
    past = [car(7, 8.0, 8.0, 16.0), car(14, 8.0, 8.0, 1.0)]
    assert len(list(rehearsals(past, rest(), TIMEZONE))) == 1
    assert list(rehearsals(past, rest(demand=0.0), TIMEZONE)) == []
    assert list(rehearsals([], rest(), TIMEZONE)) == []


def test_a_long_rest_is_played_with_weeks_that_are_wholly_past() -> None:
    past = [car(7, 8.0, 8.0, 16.0), car(14, 8.0, 8.0, 16.0)]
    assert [len(problem.evs) for problem in rehearsals(past, rest(days=10), TIMEZONE)] == [2, 1]


def test_the_middle_counts_and_never_less_than_what_is_paid() -> None:
    assert worthwhile_peak_w([1.0, 9.0, 2.0], 0.0) == 2.0
    assert worthwhile_peak_w([1.0, 9.0], 0.0) == 5.0
    assert worthwhile_peak_w([1.0], 3.0) == 3.0
    assert worthwhile_peak_w([], 3.0) == 3.0


def test_cars_that_are_there_now_are_in_every_rehearsal() -> None:
    (again,) = rehearsals([car(7, 8.0, 8.0, 16.0)], rest(), TIMEZONE)
    (both,) = rehearsals([car(7, 8.0, 8.0, 16.0)], replace(rest(), evs=(replace(again.evs[0], ev_id="CP1/1"),)), TIMEZONE)
    assert len(both.evs) == 2
