"""What is usual at a time of day: young days first, workdays apart from weekends, today's level, room for a worse day, rubbish left out."""

from datetime import UTC, datetime

import pytest

from optimizer.forecast import ForecastError
from optimizer.problem import Slot
from optimizer.usual import KEPT_DAYS, MIN_DAYS, Usual

MONDAY_S = datetime(2026, 6, 1, tzinfo=UTC).timestamp()
DAY_S, HOUR_S = 86_400.0, 3600.0


def load_w(day: int, hour: int) -> float:
    """A building that draws more at noon, and half on weekends; a little more on each day of the week."""
    return (1_000.0 + 5_000.0 * (10 <= hour < 14) + 100.0 * (day % 7)) * (0.5 if day % 7 >= 5 else 1.0)


def taught(days: int, zone: str = "UTC") -> Usual:
    usual = Usual(zone)
    for minute in range(0, days * 1440 + 2, 5):
        usual.add(load_w(minute // 1440, minute % 1440 // 60), MONDAY_S + 60.0 * minute)
    return usual


def slot(day: int, hour: float, hours: float = 1.0) -> Slot:
    return Slot(MONDAY_S + day * DAY_S + hour * HOUR_S, hours * HOUR_S)


def test_the_first_days_say_nothing_then_hours_say_their_mean() -> None:
    slots = (slot(7, 11), slot(7, 3), slot(12, 11))
    assert taught(2).expected_w(slots, (1.0, 2.0, 3.0)) == (1.0, 2.0, 3.0)
    assert not taught(2).knows
    noon, night, weekend = taught(5).expected_w(slots, (1.0, 2.0, 3.0))
    assert (noon, night) == pytest.approx((6_245.0, 1_245.0), abs=10.0)
    assert weekend == 3.0, "no weekend has been seen"
    assert taught(5).knows
    assert not taught(5).knows_all
    assert taught(5).expected_w((), ()) == taught(5).above_w((), 0.9) == ()


def test_after_two_weekends_every_hour_is_known() -> None:
    usual = taught(14)
    assert usual.knows_all
    assert usual.expected_w((slot(19, 11),), (0.0,))[0] == pytest.approx(0.5 * 6_550.0, abs=10.0)


def test_a_young_day_weighs_more_than_an_old_one() -> None:
    usual = taught(12)
    before = usual.expected_w((slot(14, 11),), (0.0,))[0]
    usual.recall("2026-06-12", [12_000.0] * 96)
    young = usual.expected_w((slot(14, 11),), (0.0,))[0] - before
    other = taught(12)
    other.recall("2026-06-01", [12_000.0] * 96)
    old = other.expected_w((slot(14, 11),), (0.0,))[0] - before
    assert young > 3.0 * old > 0.0


def test_a_slot_is_the_mean_of_its_quarter_hours() -> None:
    assert taught(5).expected_w((slot(7, 9.5),), (0.0,))[0] == pytest.approx(1_245.0 + 2_500.0, abs=10.0)


def seen_today(usual: Usual, day: int, until_hour: int, times: float) -> None:
    for minute in range(0, until_hour * 60 + 2, 5):
        usual.add(times * load_w(day, minute // 60), MONDAY_S + day * DAY_S + 60.0 * minute)


def test_a_day_that_has_begun_higher_goes_on_so_and_less_and_less() -> None:
    usual = taught(14)
    (ahead,) = usual.expected_w((slot(14, 13),), (0.0,))
    seen_today(usual, 14, 12, 1.2)
    soon, late, tomorrow = usual.expected_w((slot(14, 12), slot(14, 20), slot(15, 12)), (0.0,) * 3)
    assert 1.12 * ahead < soon < 1.2 * ahead
    assert 1.03 < late / usual.expected_w((slot(15, 20),), (0.0,))[0] < soon / ahead
    assert tomorrow == pytest.approx(ahead, rel=0.03)


def test_what_began_at_nothing_is_no_day_without_sun() -> None:
    usual = taught(14)
    seen_today(usual, 14, 1, 0.0)
    (noon,) = usual.expected_w((slot(14, 11),), (0.0,))
    assert noon > 0.25 * 6_200.0


def test_the_days_of_past_weeks_once_more_at_todays_height() -> None:
    usual = taught(14)
    hours = tuple(slot(14, hour) for hour in range(24))
    usual.recall("2026-06-08", [load_w(0, quarter // 4) + (900.0 if quarter == 48 else 0.0) for quarter in range(96)])
    again = usual.again_w(hours, 1, (2_000.0,) * 24)
    assert sum(again) == pytest.approx(48_000.0), "as high as expected in the mean"
    assert max(again) == again[12] > again[11], "with the form of that day"
    assert usual.again_w(hours, 4, (2_000.0,) * 24) == (2_000.0,) * 24, "not seen"


def test_the_sun_knows_no_weekend() -> None:
    sun = Usual("UTC", by_kind=False)
    for day in range(3):
        sun.recall(f"2026-06-0{day + 1}", [1_000.0] * 96)
    assert sun.knows_all
    assert sun.expected_w((slot(5, 11),), (0.0,)) == (1_000.0,)


def test_room_for_a_worse_day_grows_from_now_on() -> None:
    usual = taught(12)
    near, far = usual.above_w((slot(14, 11, 1 / 12), slot(14, 13)), 0.9)
    assert 0.0 < near < 0.1 * far
    assert far == pytest.approx(200.0, abs=60.0)
    assert usual.above_w((slot(14, 11, 1 / 12), slot(14, 13)), 0.1)[1] == pytest.approx(200.0, abs=60.0), "below the mean, as a positive number"


def test_old_days_go() -> None:
    usual = taught(40)
    gone = usual.forget()
    assert gone[0] == "2026-06-01"
    assert len(gone) == 40 - KEPT_DAYS
    assert not usual.memory("2026-06-01")
    assert len(usual.memory("2026-07-09")) == 96


def test_gaps_and_silence_teach_nothing() -> None:
    usual = Usual("UTC")
    for minute in range(0, 3 * 1440, 14):
        usual.add(None if minute % 3 else 5_000.0, MONDAY_S + 60.0 * minute)
    assert not usual.memory("2026-06-02")
    assert usual.add(float("nan"), MONDAY_S) is None


def test_memory_and_recall() -> None:
    usual, again = taught(5), Usual("UTC")
    for day in range(MIN_DAYS + 2):
        again.recall(f"2026-06-0{day + 1}", usual.memory(f"2026-06-0{day + 1}"))
    assert again.expected_w((slot(7, 11),), (0.0,)) == usual.expected_w((slot(7, 11),), (0.0,))


@pytest.mark.parametrize("rubbish", [None, "much", {"a": 1}, ["x", None, True, float("inf")], 7])
def test_rubbish_is_nothing_learnt(rubbish: object) -> None:
    usual = Usual("UTC")
    usual.recall("2026-06-01", rubbish)
    usual.recall("workday 11", [1.0] * 96)
    assert not usual.memory("2026-06-01")
    usual.recall("2026-06-01", ["x", True, float("inf"), *[5.0] * 93])
    assert usual.memory("2026-06-01")[:4] == [None, None, None, 5.0]


def test_hours_are_those_of_the_local_clock() -> None:
    usual = taught(5, "Asia/Kathmandu")
    assert usual.expected_w((slot(7, 11),), (0.0,))[0] == pytest.approx(usual.expected_w((slot(7, 11.2),), (0.0,))[0])
    with pytest.raises(ForecastError):
        Usual("Mars/Olympus")
