"""When feeds are asked: the hour of publication in both halves of the year, haste, back-off, spread."""

import math
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.io.feeds.timing import HASTE_S, Record, wait_s


def utc(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


@pytest.mark.parametrize(("day", "offset"), [("2026-11-20", 1), ("2026-07-20", 2), ("2026-03-29", 2), ("2026-10-25", 1)])
def test_nobody_sleeps_through_the_hour_of_publication(day: str, offset: int) -> None:
    """12:57 on the market's clock, which is 11:57Z in winter and 10:57Z in summer."""
    early = utc(f"{day}T{10 - offset:02d}:00:00")
    known = Record(known_until_wall_s=utc(f"{day}T00:00:00") + 86_400 - offset * 3600)
    assert wait_s(early, 86_400.0, known, True, 0.0) == pytest.approx(2 * 3600 + 57 * 60)
    assert wait_s(early, 86_400.0, known, True, 1.0) == pytest.approx(2 * 3600 + 57 * 60 + 240)


def test_after_it_the_market_is_asked_often_until_tomorrow_is_there() -> None:
    at = utc("2026-11-20T12:30:00")
    today, tomorrow = utc("2026-11-20T23:00:00"), utc("2026-11-21T23:00:00")
    assert 0.7 * HASTE_S < wait_s(at, 3600.0, Record(known_until_wall_s=today), True, 0.5) < 1.3 * HASTE_S
    assert wait_s(at, 3600.0, Record(known_until_wall_s=tomorrow), True, 0.5) == 3600.0
    assert wait_s(at, 3600.0, Record(), False, 0.5) == 3600.0
    assert wait_s(utc("2026-11-20T22:30:00"), 3600.0, Record(known_until_wall_s=today), True, 0.5) == 3600.0


@given(st.floats(1.7e9, 1.9e9), st.floats(5, 86_400), st.integers(0, 40), st.floats(0, 1e9), st.booleans(), st.floats(0, 1))
def test_a_wait_is_never_nothing_and_never_for_ever(now: float, every: float, failures: int, retry: float, day_ahead: bool, luck: float) -> None:
    waits = wait_s(now, every, Record(failures, None, retry), day_ahead, luck)
    assert math.isfinite(waits)
    assert 0.0 <= waits <= max(1.1 * every, 1.2 * 6 * 3600)
    if failures:
        assert waits >= min(20.0, retry or 20.0)
