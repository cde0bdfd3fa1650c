"""Times, durations, units: values from RFC 3339, ISO 8601 and the OpenADR 3 unit enumeration."""

from __future__ import annotations

import math
from datetime import UTC
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signals.openadr_plain import Base, Refused, drawn, duration_s, duration_text, length_of, limit_w, number, time_s, time_text

BASE = Base(nominal_w=69_000.0, nominal_production_w=20_000.0, amps_w=690.0)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("PT0S", 0.0),
        ("PT1H", 3600.0),
        ("PT15M", 900.0),
        ("P1D", 86_400.0),
        ("P1W", 604_800.0),
        ("P1DT12H30M5.5S", 86_400 + 12 * 3600 + 30 * 60 + 5.5),
        ("P9999Y", math.inf),
        ("P100Y", math.inf),
    ],
)
def test_durations(text: str, seconds: float) -> None:
    assert duration_s(text, "it") == seconds


@pytest.mark.parametrize(
    ("start", "text", "end"),
    [
        ("2026-02-01T00:00:00Z", "P1M", "2026-03-01T00:00:00Z"),
        ("2026-01-31T00:00:00Z", "P1M", "2026-02-28T00:00:00Z"),
        ("2024-02-29T00:00:00Z", "P1Y", "2025-02-28T00:00:00Z"),
        ("2026-11-15T06:00:00Z", "P2M1DT1H", "2027-01-16T07:00:00Z"),
    ],
)
def test_months_are_those_of_the_calendar(start: str, text: str, end: str) -> None:
    begin_s, end_s = time_s(start, "it"), time_s(end, "it")
    assert begin_s is not None
    assert length_of(text, "it").after_s(begin_s, UTC) == end_s


def test_a_month_of_the_site_begins_and_ends_at_its_own_midnight_also_over_the_change_of_clocks() -> None:
    """October in Berlin: 31 days and an hour."""
    begin_s, end_s = time_s("2026-09-30T22:00:00Z", "it"), time_s("2026-10-31T23:00:00Z", "it")
    assert begin_s is not None
    assert length_of("P1M", "it").after_s(begin_s, ZoneInfo("Europe/Berlin")) == end_s


@pytest.mark.parametrize("text", ["", "P", "PT", "1H", "-PT1H", "PT1H ", "P1.5D", "PTNaNS", None, 3600, "P" + "9" * 50 + "Y"])
def test_what_is_no_duration(text: object) -> None:
    with pytest.raises(Refused):
        duration_s(text, "it")


@pytest.mark.parametrize(
    ("text", "wall_s"),
    [
        ("1970-01-01T00:00:10Z", 10.0),
        ("2023-02-10T00:00:00.000Z", 1_675_987_200.0),
        ("2023-02-10T01:00:00+01:00", 1_675_987_200.0),
        ("2023-02-09T19:30:00-04:30", 1_675_987_200.0),
        ("2023-02-10T00:00:00", 1_675_987_200.0),
        ("2023-02-10", 1_675_987_200.0),
        ("2016-12-31T23:59:60Z", 1_483_228_800.0),  # the leap second
        ("0001-01-01", None),
        ("0001-01-01T00:00:00", None),
        ("0000-00-00", None),  # 3.0.1 called it so
    ],
)
def test_times(text: str, wall_s: float | None) -> None:
    assert time_s(text, "it") == wall_s


@pytest.mark.parametrize("text", ["", "17:15:16", "2023-13-01T00:00:00Z", "2023-02-30", "now", 1675987200, None, "2023-02-10T25:00:00Z"])
def test_what_is_no_time(text: object) -> None:
    with pytest.raises(Refused):
        time_s(text, "it")


@pytest.mark.parametrize("value", [True, "5", None, math.nan, math.inf, 10**400, [1]])
def test_what_is_no_number(value: object) -> None:
    with pytest.raises(Refused):
        number(value, "it")


@pytest.mark.parametrize(
    ("value", "unit", "hours", "watts"),
    [
        (11.0, "KW", 1.0, 11_000.0),
        (11.0, None, 1.0, 11_000.0),  # the user guide's usual unit
        (4200.0, "W", 1.0, 4200.0),
        (0.0, "KW", 1.0, 0.0),  # 0 is a limit, not "none"
        (5.0, "KWH", 0.5, 10_000.0),  # 5 kWh in half an hour
        (10.0, "AMPS", 1.0, 6900.0),
        (0.5, "PERCENT", 1.0, 34_500.0),
        (1.0, "PERCENT", 1.0, 69_000.0),
        (50.0, "PERCENT", 1.0, 34_500.0),  # more than 1 can only mean hundredths
        (50.0, "PERCENTAGE", 1.0, 34_500.0),
    ],
)
def test_limits(value: float, unit: str | None, hours: float, watts: float) -> None:
    assert limit_w(value, unit, BASE, hours) == pytest.approx(watts)


@pytest.mark.parametrize(("value", "unit", "hours"), [(-5.0, "KW", 1.0), (5.0, "CELSIUS", 1.0), (5.0, "KWH", math.inf), (1e9, "MW", 1.0)])
def test_limits_that_say_no_power(value: float, unit: str, hours: float) -> None:
    with pytest.raises(Refused):
        limit_w(value, unit, BASE, hours)


def test_percent_of_feed_in_needs_a_number_to_be_a_part_of() -> None:
    assert limit_w(0.5, "PERCENT", BASE, 1, production=True) == 10_000.0
    with pytest.raises(Refused):
        limit_w(0.5, "PERCENT", Base(69_000.0), 1, production=True)


@given(st.integers(0, 4_000_000_000))
def test_a_time_we_write_is_the_time_we_read(wall_s: int) -> None:
    assert time_s(time_text(wall_s), "it") == wall_s


@given(st.integers(0, 10_000_000))
def test_a_duration_we_write_is_the_duration_we_read(seconds: int) -> None:
    assert duration_s(duration_text(seconds), "it") == seconds


@given(st.text(), st.text())
def test_a_drawn_number_is_the_same_each_time(one: str, two: str) -> None:
    assert 0 <= drawn(one, two) < 1
    assert drawn(one, two) == drawn(one, two)
