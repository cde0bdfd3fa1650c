"""What past sessions say: arrivals to come and single stays, on sessions made by rule."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from optimizer import expect
from optimizer.expect import Habits
from optimizer.forecast import ForecastError
from optimizer.grid import make_grid
from optimizer.past import PastSession, Stay
from optimizer.problem import EXPECTED, Ev

TIMEZONE = "Europe/Berlin"
ZONE = ZoneInfo(TIMEZONE)
MONDAY = datetime(2026, 6, 8, tzinfo=ZONE)
PARENTS = {"site": None, "hall": "site", "a": "hall", "b": "hall"}


def at(day: int, hour: float) -> float:
    """Moment so many days after MONDAY [wall s]."""
    return (MONDAY.replace(tzinfo=None) + timedelta(days=day, hours=hour)).replace(tzinfo=ZONE).timestamp()


def session(day: int, hour: float, stay_h: float = 8.0, kwh: float = 10.0, node_id: str = "a", phase: int = 0) -> PastSession:
    begin_s = at(day, hour)
    return PastSession(f"{node_id}/{hour}", node_id, (phase,), begin_s, begin_s + stay_h * 3600, kwh * 1000, 7400.0)


def workdays(weeks: int = 4) -> list[int]:
    """Days before MONDAY that are workdays."""
    return [day for day in range(-7 * weeks, 0) if day % 7 < 5]


def usual_past() -> list[PastSession]:
    """Each workday two cars at 8:30 and one at 13:30 that stays for 2 hours."""
    return [one for day in workdays() for one in (session(day, 8.5), session(day, 8.5, node_id="b", phase=1), session(day, 13.5, 2.0, 4.0))]


def coming(past: list[PastSession], hour: float, day: int = 0, parents: dict[str, str | None] | None = None) -> tuple[Ev, ...]:
    now_s = at(day, hour)
    return Habits.learn(past, now_s, TIMEZONE).coming(make_grid(now_s, timezone=TIMEZONE), (), now_s, (), parents)


def energy_wh(cars: tuple[Ev, ...]) -> float:
    return sum(car.energy_need_wh for car in cars)


def test_the_means_of_past_workdays_come() -> None:
    cars = coming(usual_past(), 6.0)
    assert energy_wh(cars) == pytest.approx(expect.WEIGHT * 24_000.0)
    assert {car.node_id for car in cars} == {"a", "b"}
    assert all(car.expected and car.ev_id.startswith(EXPECTED) and car.min_power_w == 0.0 for car in cars)
    first = min(cars, key=lambda car: (car.arrival_wall_s, car.ev_id))
    assert first.arrival_wall_s == at(0, 8.5)
    assert first.departure_wall_s == at(0, 16.5)


def test_what_is_over_does_not_come_again() -> None:
    assert energy_wh(coming(usual_past(), 12.0)) == pytest.approx(expect.WEIGHT * 4_000.0)
    assert coming(usual_past(), 18.0, day=4) == ()


def test_of_the_running_hour_the_rest_is_expected() -> None:
    (car,) = coming([session(day, 13.5, 2.0, 4.0) for day in workdays()], 13.75)
    assert car.energy_need_wh == pytest.approx(expect.WEIGHT * 1_000.0)
    assert car.arrival_wall_s == at(0, 13.875)
    assert car.max_power_w == pytest.approx(expect.WEIGHT * 7400.0 / 4.0)


def test_weekends_are_another_kind_of_day() -> None:
    assert coming(usual_past(), 3.0, day=5) == ()
    saturday = [session(day, 10.0, 2.0, 6.0) for day in range(-28, 0) if day % 7 == 5]
    assert energy_wh(coming(saturday, 3.0, day=5)) > 0.0
    assert coming(saturday, 3.0, day=1) == ()


def test_days_without_cars_count() -> None:
    every = [session(day, 8.5) for day in workdays()]
    half = [one for number, one in enumerate(every) if number % 2 == 0]
    assert 0.4 < energy_wh(coming(half, 6.0)) / energy_wh(coming(every, 6.0)) < 0.6


def test_younger_days_weigh_more() -> None:
    growing = [session(day, 8.5, kwh=20.0 if day >= -14 else 10.0) for day in workdays()]
    assert energy_wh(coming(growing, 6.0)) > expect.WEIGHT * 15_000.0


def test_a_group_that_would_stay_beyond_the_horizon_is_left_out() -> None:
    now_s = at(0, 6.0)
    habits = Habits.learn(usual_past(), now_s, TIMEZONE)
    assert habits.coming(make_grid(now_s, 4 * 3600.0, timezone=TIMEZONE), (), now_s) == ()
    assert habits.coming((), (), now_s) == ()


def test_nodes_share_expected_cars_below_the_lowest_common_node() -> None:
    cars = coming(usual_past(), 6.0, parents=PARENTS)
    morning = next(car for car in cars if car.node_id == "hall")
    assert energy_wh(cars) == pytest.approx(expect.WEIGHT * 24_000.0)
    assert morning.phases == (0, 1)
    assert len(cars) < len(coming(usual_past(), 6.0))


def test_there_are_never_too_many() -> None:
    past = [session(day, hour, stay, node_id=f"n{node}") for day in workdays(2) for hour in (7, 8, 9) for stay in (1, 5, 9) for node in range(8)]
    cars = coming(past, 1.0)
    assert len(cars) == expect.MOST_CARS
    assert len({car.ev_id for car in cars}) == len(cars)


def test_more_is_expected_where_peaks_cost_nothing() -> None:
    now_s = at(0, 6.0)
    habits, slots = Habits.learn(usual_past(), now_s, TIMEZONE), make_grid(at(0, 6.0), timezone=TIMEZONE)
    plain, priced, free = (energy_wh(habits.coming(slots, (), now_s, demand_per_kw=demand)) for demand in (None, 15.0, 0.0))
    assert plain == priced
    assert free == pytest.approx(plain * expect.WEIGHT_NO_DEMAND / expect.WEIGHT)


def test_names_and_times_stay_the_same_within_an_hour() -> None:
    past = usual_past()
    assert {car.ev_id for car in coming(past, 6.0)} == {car.ev_id for car in coming(past, 6.9)}


def test_summer_time_begins_and_cars_still_come_by_the_clock() -> None:
    begins = datetime(2026, 3, 30, 6, tzinfo=ZONE)  # the clock was put forward the day before
    past = []
    for day in range(1, 20):
        comes = (begins.replace(tzinfo=None) - timedelta(days=day, hours=-2)).replace(tzinfo=ZONE)
        past.append(replace(session(0, 8.0), arrival_wall_s=comes.timestamp(), departure_wall_s=comes.timestamp() + 3600.0))
    now_s = begins.timestamp()
    (car,) = Habits.learn(past, now_s, TIMEZONE).coming(make_grid(now_s, 12 * 3600.0, timezone=TIMEZONE), (), now_s)
    assert datetime.fromtimestamp(car.arrival_wall_s, ZONE).hour == 8


def test_no_past_and_senseless_past_say_nothing() -> None:
    assert coming([], 6.0) == ()
    good = session(-1, 8.0)
    bad = [replace(good, energy_wh=math.nan), replace(good, departure_wall_s=good.arrival_wall_s), replace(good, max_power_w=-1.0)]
    assert coming([*bad, replace(good, arrival_wall_s=at(9, 8.0), departure_wall_s=at(9, 9.0))], 6.0) == ()


def test_an_unknown_zone_is_told() -> None:
    with pytest.raises(ForecastError):
        Habits.learn([], 0.0, "Mars/Olympus")


def test_a_liar_is_planned_for_as_liars_are() -> None:
    past = [replace(one, stated_wh=2.0 * one.energy_wh, stated_departure_wall_s=one.departure_wall_s + 3600.0, user="u") for one in usual_past()]
    now_s = at(0, 9.0)
    stay = Stay("a/1", at(0, 8.5), 2_000.0, 7400.0, stated_wh=20_000.0, stated_departure_wall_s=at(0, 17.5), user="u")
    outlook = Habits.learn(past, now_s, TIMEZONE).outlook(stay, now_s)
    assert outlook.departure_wall_s == pytest.approx(at(0, 16.5))
    assert outlook.need_wh == pytest.approx(8_000.0)
    assert 0.0 <= outlook.minimum_wh <= outlook.need_wh


def test_the_minimum_is_never_more_than_the_time_left_allows() -> None:
    now_s = at(0, 9.0)
    outlook = Habits.learn([], now_s, TIMEZONE).outlook(Stay("a/1", at(0, 1.0), 0.0, 3_000.0, stated_wh=40_000.0), now_s)
    assert outlook.minimum_wh <= 3_000.0 * (outlook.departure_wall_s - now_s) / 3600.0 + 1e-6
