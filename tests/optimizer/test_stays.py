"""Quantiles of past stays: who is asked, and what those that are still there say."""

from __future__ import annotations

from zoneinfo import ZoneInfo

from optimizer.past import PastSession, Stay
from optimizer.stays import FEWEST, NEAR_S, NEAR_WH, SILENT_STAY_S, SILENT_WH, beyond, departure_s, learn_likes, leaving_s, total_wh

ZONE = ZoneInfo("UTC")
DAY_S = 86_400.0


def past(count: int, stay_h: float, kwh: float, user: str = "", late_h: float = 0.0, ratio: float = 1.0, evse: str = "x/1") -> list[PastSession]:
    """So many sessions alike, each stating an end and an energy that were wrong by late_h and ratio."""
    sessions = []
    for number in range(count):
        begin_s = number * DAY_S + 8 * 3600.0
        end_s = begin_s + stay_h * 3600.0
        stated = {"stated_wh": kwh * 1000.0 / ratio, "stated_departure_wall_s": end_s - late_h * 3600.0}
        sessions.append(PastSession(evse, "n", (0,), begin_s, end_s, kwh * 1000.0, 7400.0, user=user, **stated))
    return sessions


def stay(**what: object) -> Stay:
    return Stay(**{"evse": "x/1", "arrival_wall_s": 900 * DAY_S + 8 * 3600.0, "charged_wh": 0.0, "max_power_w": 7400.0, **what})  # type: ignore[arg-type]


BEGIN_S = 900 * DAY_S + 8 * 3600.0


def test_a_quantile_of_those_still_there() -> None:
    values = (1.0, 2.0, 3.0, 4.0)
    assert beyond(values, 0.0, 0.0, 9.0) == 1.0
    assert beyond(values, 2.0, 0.0, 9.0) == 3.0
    assert beyond(values, 0.0, 1.0, 9.0) == 4.0
    assert beyond(values, 4.0, 0.5, 9.0) == 13.0
    assert beyond((), 4.0, 0.5, 9.0) == 13.0


def test_who_always_leaves_early_is_ready_early() -> None:
    likes = learn_likes(past(FEWEST, 8.0, 10.0, late_h=-2.0), ZONE)
    assert departure_s(likes, stay(stated_departure_wall_s=BEGIN_S + 10 * 3600.0), BEGIN_S, ZONE, 0.1) == BEGIN_S + 8 * 3600.0


def test_ones_own_past_counts_before_that_of_all() -> None:
    likes = learn_likes([*past(FEWEST, 8.0, 10.0, user="late"), *past(5 * FEWEST, 2.0, 10.0, user="early")], ZONE)
    assert departure_s(likes, stay(user="late"), BEGIN_S, ZONE, 0.1) == BEGIN_S + 8 * 3600.0
    assert departure_s(likes, stay(user="early"), BEGIN_S, ZONE, 0.1) == BEGIN_S + 2 * 3600.0
    assert departure_s(likes, stay(user="nobody"), BEGIN_S, ZONE, 0.1) == BEGIN_S + 2 * 3600.0


def test_too_few_sessions_say_nothing() -> None:
    likes = learn_likes(past(FEWEST - 1, 2.0, 10.0), ZONE)
    assert departure_s(likes, stay(), BEGIN_S, ZONE, 0.1) == BEGIN_S + SILENT_STAY_S
    assert total_wh(likes, stay(), ZONE, 0.9) == SILENT_WH


def test_who_stays_beyond_everything_known_leaves_soon() -> None:
    likes = learn_likes(past(FEWEST, 2.0, 10.0), ZONE)
    now_s = BEGIN_S + 5 * 3600.0
    assert departure_s(likes, stay(), now_s, ZONE, 0.5) == now_s + NEAR_S
    assert departure_s({}, stay(stated_departure_wall_s=BEGIN_S + 3600.0), now_s, ZONE, 0.5) == now_s + NEAR_S


def test_who_asks_for_too_much_gets_what_such_cars_take() -> None:
    likes = learn_likes(past(FEWEST, 8.0, 10.0, ratio=0.5), ZONE)
    assert total_wh(likes, stay(stated_wh=30_000.0), ZONE, 0.9) == 15_000.0


def test_a_car_that_still_charges_wants_more() -> None:
    likes = learn_likes(past(FEWEST, 8.0, 10.0, ratio=0.5), ZONE)
    assert total_wh(likes, stay(stated_wh=30_000.0, charged_wh=20_000.0), ZONE, 0.9) == 20_000.0 + NEAR_WH
    assert total_wh({}, stay(stated_wh=5_000.0, charged_wh=6_000.0), ZONE, 0.9) == 6_000.0 + NEAR_WH
    assert total_wh(likes, stay(charged_wh=30_000.0), ZONE, 0.9) == 30_000.0 + NEAR_WH


def test_silent_cars_take_what_cars_of_this_hour_take() -> None:
    likes = learn_likes([*past(FEWEST, 8.0, 7.0), *past(FEWEST, 8.0, 9.0)], ZONE)
    assert total_wh(likes, stay(), ZONE, 0.9) == 9_000.0
    assert total_wh(likes, stay(), ZONE, 0.1) == 7_000.0


def test_when_a_car_may_leave_follows_the_stays_of_those_that_were_still_there() -> None:
    likes = learn_likes([*past(FEWEST, 4.0, 10.0, late_h=-4.0), *past(FEWEST, 8.0, 10.0)], ZONE)
    told = stay(stated_departure_wall_s=BEGIN_S + 10 * 3600.0)
    assert leaving_s(likes, told, BEGIN_S, ZONE) == (BEGIN_S + 5 * 3600.0,) * FEWEST + (BEGIN_S + 10 * 3600.0,) * FEWEST
    assert leaving_s(likes, told, BEGIN_S + 6 * 3600.0, ZONE) == (BEGIN_S + 10 * 3600.0,) * FEWEST
    assert leaving_s(likes, told, BEGIN_S + 11 * 3600.0, ZONE) == (BEGIN_S + 11 * 3600.0 + NEAR_S,)
    assert leaving_s(likes, stay(), BEGIN_S, ZONE)[::FEWEST] == (BEGIN_S + 4 * 3600.0, BEGIN_S + 8 * 3600.0)
    assert leaving_s({}, told, BEGIN_S, ZONE) == ()


def test_a_connector_that_serves_one_round_says_more_than_the_hour() -> None:
    """Bay x/1 leaves after 3 hours each day, the others at eight in the morning after anything between 1 and 12."""
    mixed = [one for hours in range(1, 13) for one in past(4, float(hours), 10.0, evse="x/2")]
    likes = learn_likes([*past(FEWEST, 3.0, 10.0), *mixed], ZONE)
    assert departure_s(likes, stay(), BEGIN_S, ZONE, 0.8) == BEGIN_S + 3 * 3600.0
    assert departure_s(likes, stay(evse="x/9"), BEGIN_S, ZONE, 0.8) > BEGIN_S + 6 * 3600.0
