"""What is usual at an hour: means of quarter hours, workdays apart from weekends, room for a worse day, rubbish left out."""

from datetime import UTC, datetime

import pytest

from optimizer.forecast import ForecastError
from optimizer.problem import Slot
from optimizer.usual import KEPT, MIN_MEANS, Usual

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
    assert (noon, night) == pytest.approx((6_200.0, 1_200.0), abs=1.0)
    assert weekend == 3.0, "no weekend has been seen"
    assert taught(5).knows
    assert not taught(5).knows_all


def test_after_two_weeks_every_hour_is_known() -> None:
    usual = taught(14)
    assert usual.knows_all
    assert usual.expected_w((slot(19, 11),), (0.0,))[0] == pytest.approx(0.5 * 6_550.0, abs=1.0)


def test_room_for_a_worse_day_grows_from_now_on() -> None:
    usual = taught(12)
    near, far = usual.above_w((slot(14, 11, 1 / 12), slot(14, 13)), 0.9)
    assert 0.0 < near < 0.1 * far
    assert far == pytest.approx(200.0, abs=60.0)
    assert usual.above_w((slot(14, 11, 1 / 12), slot(14, 13)), 0.1)[1] == pytest.approx(200.0, abs=60.0), "below the mean, as a positive number"


def test_old_days_go() -> None:
    usual = taught(40)
    assert all(len(usual.memory(f"workday {hour:02d}")) == KEPT for hour in range(24))


def test_gaps_and_silence_teach_nothing() -> None:
    usual = Usual("UTC")
    for minute in range(0, 3 * 1440, 14):
        usual.add(None if minute % 3 else 5_000.0, MONDAY_S + 60.0 * minute)
    assert not usual.memory("workday 11")
    assert usual.add(float("nan"), MONDAY_S) is None


def test_memory_and_recall() -> None:
    usual, again = taught(5), Usual("UTC")
    again.recall("workday 11", usual.memory("workday 11"))
    assert again.expected_w((slot(7, 11),), (0.0,)) == usual.expected_w((slot(7, 11),), (0.0,))
    assert len(again.memory("workday 11")) >= MIN_MEANS


@pytest.mark.parametrize("rubbish", [None, "much", {"a": 1}, ["x", None, True, float("inf")], 7])
def test_rubbish_is_nothing_learnt(rubbish: object) -> None:
    usual = Usual("UTC")
    usual.recall("workday 11", rubbish)
    assert not usual.memory("workday 11")


def test_hours_are_those_of_the_local_clock() -> None:
    usual = taught(5, "Asia/Kathmandu")
    assert usual.expected_w((slot(7, 11),), (0.0,))[0] == pytest.approx(usual.expected_w((slot(7, 11.2),), (0.0,))[0])
    with pytest.raises(ForecastError):
        Usual("Mars/Olympus")
