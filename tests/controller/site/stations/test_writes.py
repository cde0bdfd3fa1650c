"""The write budget of a station."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from controller.site.stations.charger import GENERIC
from controller.site.stations.writes import DAY_S, WriteBook

RARE = replace(GENERIC, writes_per_day=400)
WALL_S = 20_000 * DAY_S


def test_without_a_budget_everything_may_be_written_and_is_counted() -> None:
    book = WriteBook()
    for now in range(50):
        assert book.may("CP1", GENERIC, float(now))
        book.wrote("CP1", GENERIC, float(now))
        book.clock(float(now), WALL_S + now)  # looked at after the first write: that counts for the day, too
    assert book.writes_today("CP1", WALL_S + 50) == 50
    assert book.writes_today("CP1", WALL_S + DAY_S) == 0
    assert book.writes_today("CP9", WALL_S) == 0


def test_an_empty_bucket_stays_shut_until_half_of_it_is_back() -> None:
    book, now = WriteBook(), 0.0
    while book.may("CP1", RARE, now):
        book.wrote("CP1", RARE, now)
        now += 1.0
    assert 100 <= now <= 102, "a quarter of a day's writes in a burst"
    assert not book.may("CP1", RARE, now + 10_000.0)
    assert book.may("CP1", RARE, now + 11_000.0), "50 tokens at 400 a day take 10 800 s"


def test_cuts_may_overdraw_and_the_others_wait_the_longer() -> None:
    book = WriteBook()
    for _ in range(150):
        book.wrote("CP1", RARE, 0.0)
    assert not book.may("CP1", RARE, 15_000.0)
    assert book.may("CP1", RARE, 22_000.0)


def test_one_station_does_not_use_up_anothers() -> None:
    book = WriteBook()
    for _ in range(200):
        book.wrote("CP1", RARE, 0.0)
    assert book.may("CP2", RARE, 0.0)


def test_renewals_are_stretched_inside_the_life_of_a_setpoint() -> None:
    assert WriteBook.renew_s(GENERIC, 50.0, 120.0) == 50.0
    assert WriteBook.renew_s(RARE, 50.0, 120.0) == 90.0
    assert WriteBook.renew_s(RARE, 10.0, 20.0) == 15.0


@given(st.lists(st.floats(0.0, 900.0), min_size=1, max_size=400), st.integers(10, 2000))
def test_law_rises_and_renewals_never_exceed_the_budget_of_any_day(gaps: list[float], per_day: int) -> None:
    book, model, now = WriteBook(), replace(GENERIC, writes_per_day=per_day), 0.0
    times: list[float] = []
    for gap in gaps:
        now += gap
        if book.may("CP1", model, now):
            book.wrote("CP1", model, now)
            times.append(now)
    burst = max(10.0, per_day / 4)
    for first in range(len(times)):
        for last in (len(times) - 1, (first + len(times)) // 2):
            if last >= first:
                allowed = burst + per_day * (times[last] - times[first]) / DAY_S + 1
                assert last - first + 1 <= allowed
