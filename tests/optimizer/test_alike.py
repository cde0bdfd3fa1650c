"""Days that are alike: Saturdays apart from Sundays, holidays found by what they do, today recognised in its first hours, gaps harmless."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from optimizer.alike import QUARTERS, SATURDAY, SUNDAY, WORKDAY, Alike, Quarters

MONDAY = date(2026, 6, 1)


def office(top: float, begin: int = 28, end: int = 72) -> Quarters:
    """20 kW at night, ``top`` kW from 7:00 to 18:00."""
    return [1000.0 * top if begin <= index < end else 20_000.0 for index in range(QUARTERS)]


USUAL = {WORKDAY: office(100), SATURDAY: office(60, 32, 52), SUNDAY: office(20)}


def weeks(count: int, **odd: Quarters) -> dict[str, Quarters]:
    """So many weeks of an office. odd: other days, by "d" and their distance from the first Monday."""
    days: dict[str, Quarters] = {}
    for number in range(7 * count):
        day = MONDAY + timedelta(days=number)
        days[day.isoformat()] = list(odd.get(f"d{number}", USUAL[max(0, day.weekday() - 4)]))
    return days


def test_saturdays_and_sundays_have_their_own() -> None:
    alike, today = Alike(weeks(4), True), MONDAY + timedelta(days=28)
    assert [alike.profile(today, kind)[40] for kind in alike.kinds] == pytest.approx([100_000.0, 60_000.0, 20_000.0])


def test_a_young_kind_of_the_weekend_is_both() -> None:
    alike = Alike(weeks(2), True)
    assert 20_000.0 < (alike.profile(MONDAY + timedelta(days=14), SATURDAY)[40] or 0.0) < 60_000.0


def test_a_holiday_is_no_workday_and_a_working_saturday_is_one() -> None:
    """Corpus Christi on a Thursday: neither does Friday expect less, nor is the Sunday forgotten."""
    alike, friday = Alike(weeks(4, d24=USUAL[SUNDAY], d26=USUAL[WORKDAY]), True), MONDAY + timedelta(days=25)
    assert alike.profile(friday, WORKDAY)[40] == pytest.approx(100_000.0)
    assert alike.profile(MONDAY + timedelta(days=28), SATURDAY)[40] == pytest.approx(60_000.0)
    assert max(map(abs, alike.misses(friday, WORKDAY)[40])) < 1.0


@pytest.mark.parametrize(("hour", "looks"), [(6, WORKDAY), (9, SUNDAY), (12, SUNDAY)])
def test_today_is_recognised_in_its_first_working_hours(hour: int, looks: int) -> None:
    days, today = weeks(4), MONDAY + timedelta(days=28)
    days[today.isoformat()] = [value if index < 4 * hour else None for index, value in enumerate(USUAL[SUNDAY])]
    assert Alike(days, True).kind_today(today, 4 * hour) == looks


def test_a_day_that_is_only_higher_stays_what_it_is() -> None:
    days, today = weeks(4), MONDAY + timedelta(days=28)
    days[today.isoformat()] = [None if value is None else 1.4 * value for value in USUAL[WORKDAY]]
    assert Alike(days, True).kind_today(today, 60) == WORKDAY


def test_days_with_gaps_and_nothing_at_all_harm_nobody() -> None:
    days = weeks(4, d21=[None] * QUARTERS, d22=[None if index % 2 else value for index, value in enumerate(USUAL[WORKDAY])])
    assert Alike(days, True).profile(MONDAY + timedelta(days=28), WORKDAY)[40] == pytest.approx(100_000.0)
    empty = Alike({}, True)
    assert set(empty.profile(MONDAY, WORKDAY)) == {None}
    assert empty.kind_today(MONDAY, 40) == WORKDAY


def test_where_kinds_do_not_matter_there_is_one() -> None:
    alike = Alike(weeks(2), False)
    assert alike.kinds == (WORKDAY,)
    assert alike.kind(MONDAY + timedelta(days=6)) == WORKDAY
