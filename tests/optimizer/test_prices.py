"""Prices by the local clock: the nights of 23 and 25 hours, seasons and weekdays, announced series, changes as edges of the grid."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optimizer.forecast import ForecastError, make_slots
from optimizer.prices import PriceBook, Season, prices_per_slot, windows_of
from optimizer.problem import Slot
from optimizer.told import Told

BERLIN = "Europe/Berlin"
TWO_PRICES = [("06:00", 0.30), ("22:00", 0.10)]
WORKDAYS = frozenset(range(5))
SUMMER = Season(windows_of([("00:00", 0.05), ("08:00", 0.09), ("12:00", 0.27), ("18:00", 0.09), ("23:00", 0.05)]), (6, 1), (9, 30), WORKDAYS)
WINTER = Season(windows_of([("00:00", 0.06), ("08:00", 0.08)]), (10, 1), (5, 31), WORKDAYS)
WEEKEND = Season(windows_of([("00:00", 0.04)]))
SEASONS = PriceBook((SUMMER, WINTER, WEEKEND), "America/Los_Angeles")


def utc(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


class TestPrices:
    def test_each_price_holds_until_the_next_start_around_midnight(self) -> None:
        slots = make_slots(utc("2026-05-01T00:00:00"), step_s=3600.0)
        prices = prices_per_slot(slots, TWO_PRICES, "UTC")
        assert prices == (0.10,) * 6 + (0.30,) * 16 + (0.10,) * 2

    def test_a_change_within_a_slot_is_weighed(self) -> None:
        slots = make_slots(utc("2026-05-01T05:45:00"), 1800.0)
        assert prices_per_slot(slots, [("00:00", 0.1), ("05:50", 0.4)], "UTC") == pytest.approx((0.3, 0.4))

    @pytest.mark.parametrize(
        ("day", "cheap_before_six"),
        [("2026-03-28T23:00:00", 5), ("2026-10-24T22:00:00", 7), ("2026-05-01T22:00:00", 6)],
    )
    def test_the_nights_of_the_clock_change_have_one_hour_less_or_more(self, day: str, cheap_before_six: int) -> None:
        """From local midnight to 06:00: 5 h in March, 7 h in October."""
        prices = prices_per_slot(make_slots(utc(day), step_s=3600.0), TWO_PRICES, BERLIN)
        assert prices.index(0.30) == cheap_before_six

    def test_the_hour_that_exists_twice_has_its_price_twice(self) -> None:
        slots = make_slots(utc("2026-10-25T00:00:00"), 3 * 3600.0, 3600.0)
        assert prices_per_slot(slots, [("00:00", 0.1), ("02:00", 0.9), ("03:00", 0.1)], BERLIN) == (0.9, 0.9, 0.1)

    def test_the_hour_that_does_not_exist_costs_nothing(self) -> None:
        slots = make_slots(utc("2026-03-29T00:00:00"), 3 * 3600.0, 3600.0)
        assert prices_per_slot(slots, [("00:00", 0.1), ("02:00", 0.9), ("03:00", 0.2)], BERLIN) == (0.1, 0.2, 0.2)

    def test_zones_off_by_a_quarter_hour_keep_their_own_clock(self) -> None:
        slots = make_slots(utc("2026-05-01T00:00:00"), 1800.0)
        assert prices_per_slot(slots, TWO_PRICES, "Asia/Kathmandu") == (0.10, 0.30)

    def test_one_price_is_the_price(self) -> None:
        assert prices_per_slot(make_slots(1.7e9, 900.0), [("13:00", 0.25)], "UTC") == (0.25, 0.25)

    @pytest.mark.parametrize(
        ("windows", "zone"), [([], "UTC"), ([("25:00", 1.0), ("01:00", 1.0)], "UTC"), (TWO_PRICES, "Mars/Olympus"), (TWO_PRICES, "../etc/passwd")]
    )
    def test_what_cannot_be_read_is_refused(self, windows: list[tuple[str, float]], zone: str) -> None:
        with pytest.raises(ForecastError):
            prices_per_slot(make_slots(1.7e9, 900.0), windows, zone)


class TestSeasons:
    @pytest.mark.parametrize(
        ("moment", "price"),
        [
            ("2026-07-01T20:30:00", 0.27),  # a Wednesday, half past one in the afternoon there
            ("2026-07-04T20:30:00", 0.04),  # a Saturday
            ("2026-10-01T06:59:00", 0.05),  # still the last evening of September there
            ("2026-10-01T07:00:00", 0.06),  # midnight there: winter
            ("2026-01-05T17:00:00", 0.08),  # round New Year
        ],
    )
    def test_the_first_season_that_covers_the_local_day_holds(self, moment: str, price: float) -> None:
        assert SEASONS.at(utc(moment)) == price

    def test_changes_are_where_the_price_changes_and_nowhere_else(self) -> None:
        start = utc("2026-07-03T07:00:00")  # midnight from Thursday to Friday there
        changes = SEASONS.changes(start, start + 2 * 86_400.0)
        assert [(at_s - start) / 3600.0 for at_s in changes] == [8.0, 12.0, 18.0, 23.0, 24.0]

    def test_a_day_that_no_season_covers_has_the_last_ones_prices(self) -> None:
        assert PriceBook((SUMMER,), "UTC").at(utc("2026-12-25T13:00:00")) == 0.27


class TestSeries:
    def test_announced_prices_win_while_they_hold(self) -> None:
        begin = utc("2026-05-01T10:00:00")
        book = PriceBook((Season(windows_of(TWO_PRICES)),), "UTC", Told(((begin, begin + 3600.0, -0.02), (begin + 3600.0, begin + 7200.0, 0.5))))
        assert [book.at(begin + hours * 3600.0) for hours in (-0.5, 0.0, 0.99, 1.5, 2.0)] == [0.30, -0.02, -0.02, 0.5, 0.30]
        assert book.changes(begin - 1800.0, begin + 4 * 3600.0) == [begin, begin + 3600.0, begin + 7200.0]
        assert book.per_slot([Slot(begin - 1800.0, 3600.0)]) == pytest.approx((0.14,))


class TestLaws:
    @given(st.floats(1.6e9, 2e9), st.sampled_from(["UTC", BERLIN, "Australia/Lord_Howe", "America/St_Johns", "Asia/Kathmandu"]))
    def test_segments_tell_the_price_of_every_minute(self, start: float, zone: str) -> None:
        book = PriceBook((SUMMER, WINTER, WEEKEND), zone)
        segments = book.segments(start, start + 86_400.0)
        for minute in range(0, 1440, 7):
            at_s = start + 60.0 * minute
            told = [price for begin, price in segments if begin <= at_s][-1]
            assert told == book.at(at_s)
