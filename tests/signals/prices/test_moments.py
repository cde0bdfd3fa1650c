"""Times: units, offsets, and the two nights in which the clock is set."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signals.prices.moments import Moments, local_days
from signals.prices.slots import PriceError

BERLIN = ZoneInfo("Europe/Berlin")


def utc(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    "told",
    [1_795_132_800, 1_795_132_800.0, "1795132800", 1_795_132_800_000, "2026-11-20T00:00:00Z", "2026-11-20T01:00:00+01:00", "2026-11-20T00:00Z"],
)
def test_the_same_moment_in_every_way(told: object) -> None:
    assert Moments().read(told) == utc("2026-11-20T00:00:00")


@pytest.mark.parametrize("bad", [None, True, "", "tomorrow", "2026-13-01T00:00:00Z", 12, -1, 1e18, "9" * 30, [], "NaN", float("nan"), float("inf")])
def test_what_is_no_time(bad: object) -> None:
    with pytest.raises(PriceError):
        Moments().read(bad)


def test_the_night_of_25_hours_by_the_local_clock() -> None:
    """25 October 2026: 02:00 to 02:45 come twice, 00:00Z to 01:45Z."""
    moments = Moments(BERLIN)
    told = [f"2026-10-25T{clock}:00" for clock in ("01:30", "01:45", "02:00", "02:15", "02:30", "02:45", "02:00", "02:15", "02:30", "02:45", "03:00")]
    assert [moments.read(text) - utc("2026-10-24T23:30:00") for text in told] == [900.0 * index for index in range(11)]


def test_the_night_of_23_hours_by_the_local_clock() -> None:
    moments = Moments(BERLIN)
    assert moments.read("2026-03-29T03:00:00") - moments.read("2026-03-29T01:00:00") == 3600.0
    with pytest.raises(PriceError, match="does not exist"):
        Moments(BERLIN).read("2026-03-29T02:30:00")


@given(st.floats(1.0e9, 4.0e9), st.sampled_from(["UTC", "Europe/Berlin", "America/St_Johns", "Australia/Lord_Howe"]))
def test_a_time_with_its_offset_reads_back(wall_s: float, zone: str) -> None:
    wall_s = float(round(wall_s))
    assert Moments().read(datetime.fromtimestamp(wall_s, ZoneInfo(zone)).isoformat()) == wall_s


@pytest.mark.parametrize(("moment", "hours"), [("2026-10-25T10:00:00", 25), ("2026-03-29T10:00:00", 23), ("2026-05-01T10:00:00", 24)])
def test_days_have_23_24_or_25_hours(moment: str, hours: int) -> None:
    ((begin, end),) = local_days(utc(moment), BERLIN, (0,))
    assert end.timestamp() - begin.timestamp() == hours * 3600


@pytest.mark.parametrize("told", [10**400, -(10**400), "9" * 400])
def test_a_number_beyond_all_numbers_is_refused_like_any_other(told: object) -> None:
    with pytest.raises(PriceError):
        Moments().read(told)
