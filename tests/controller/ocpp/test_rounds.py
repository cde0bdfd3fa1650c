"""When a schedule begins and begins again, also by the clock on the wall."""

from dataclasses import replace
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from controller.ocpp.profile_data import Kind, Period, Profile, Purpose, Recurrency, Schedule
from controller.ocpp.rounds import from_local, zeros

BERLIN = ZoneInfo("Europe/Berlin")
HOUR = 3600


def utc(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def daily(start_local: str | None = None, start_utc: str | None = None) -> Profile:
    schedule = Schedule(
        1,
        "A",
        (Period(0, 6),),
        start_wall_s=None if start_utc is None else utc(start_utc),
        start_local_s=None if start_local is None else utc(start_local),
    )
    return Profile(1, 0, Purpose.TX_DEFAULT, Kind.RECURRING, (schedule,), recurrency=Recurrency.DAILY)


def begins(profile: Profile, start: str, end: str) -> list[str]:
    found = zeros(profile, profile.schedules[0], utc(start), utc(end), 0.0, BERLIN)
    return [datetime.fromtimestamp(zero, UTC).strftime("%dT%H:%M") for zero in found]


def test_rounds_in_utc_begin_with_the_running_one() -> None:
    profile = daily(start_utc="2026-01-01T06:00:00")
    assert begins(profile, "2026-03-28T05:59:59", "2026-03-30T06:00:00") == ["27T06:00", "28T06:00", "29T06:00"]
    assert begins(profile, "2026-03-28T06:00:00", "2026-03-28T06:00:01") == ["28T06:00"]
    assert begins(profile, "2025-12-01T00:00:00", "2025-12-02T00:00:00") == ["01T06:00"]


@pytest.mark.parametrize(
    ("start", "expected"),
    [
        ("2026-03-28T23:30:00", ["28T23:00", "29T22:00"]),  # midnight CET, then midnight CEST
        ("2026-03-29T22:00:00", ["29T22:00", "30T22:00"]),
        ("2026-10-25T22:30:00", ["24T22:00", "25T23:00", "26T23:00"]),  # 25 hours: 22:30 is before the second midnight
        ("2026-10-25T23:00:00", ["25T23:00", "26T23:00"]),
    ],
)
def test_rounds_by_the_clock_on_the_wall(start: str, expected: list[str]) -> None:  # F79, K01.FR.90
    profile = daily(start_local="2026-01-01T00:00:00")
    end = datetime.fromtimestamp(utc(start) + 25 * HOUR, UTC).replace(tzinfo=None).isoformat()
    assert begins(profile, start, end)[: len(expected)] == expected


def test_a_summer_s_schedule_in_winter_waits_for_its_hour() -> None:  # midnight CET is 23:00 UTC, an hour later than a whole number of days
    profile = daily(start_local="2026-07-01T00:00:00")
    assert begins(profile, "2026-12-01T22:30:00", "2026-12-02T00:00:00") == ["30T23:00", "01T23:00"]


def test_schedules_without_a_date_begin_once() -> None:
    relative = replace(daily(), kind=Kind.RELATIVE, recurrency=None)
    assert list(zeros(relative, relative.schedules[0], 100.0, 900.0, 42.0, None)) == [42.0]
    dynamic = replace(relative, kind=Kind.DYNAMIC)
    assert list(zeros(dynamic, dynamic.schedules[0], 100.0, 900.0, 42.0, None)) == [100.0]
    assert list(zeros(replace(dynamic, updated_wall_s=7.0), dynamic.schedules[0], 100.0, 900.0, 42.0, None)) == [7.0]


def test_local_moments() -> None:
    assert from_local(utc("2026-07-01T12:00:00"), BERLIN) == utc("2026-07-01T10:00:00")
    assert from_local(utc("2026-07-01T12:00:00") + 0.25, BERLIN) == utc("2026-07-01T10:00:00") + 0.25
    assert from_local(utc("2026-03-29T02:30:00"), BERLIN) == utc("2026-03-29T01:30:00")  # the hour that is not there
    assert from_local(utc("2026-10-25T02:30:00"), BERLIN) == utc("2026-10-25T00:30:00")  # the first of two
    assert from_local(5.0, None) == 5.0
