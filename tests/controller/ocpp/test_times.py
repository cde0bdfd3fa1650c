"""Timestamps as stations really send them (16.8, B18)."""

import pytest

from controller.ocpp.times import clock_time, timestamp, wall_time


@pytest.mark.parametrize(
    ("text", "wall_s"),
    [
        ("1970-01-01T00:00:10Z", 10.0),
        ("1970-01-01T00:00:10.500Z", 10.5),
        ("1970-01-01T00:00:10.123456789Z", 10.123456789),
        ("1970-01-01T01:00:10+01:00", 10.0),
        ("1970-01-01T00:00:10", 10.0),
        ("1970-01-01 00:00:10z", 10.0),
    ],
)
def test_reads(text: str, wall_s: float) -> None:
    assert wall_time(text) == pytest.approx(wall_s)


@pytest.mark.parametrize("text", ["", "2026-02-30T00:00:00Z", "0000-01-01T00:00:00Z", "yesterday", None, 12, "2026-01-01T00:00:00+99:00"])
def test_refuses(text: object) -> None:
    assert wall_time(text) is None


def test_writes_what_it_reads() -> None:
    assert timestamp(10.5) == "1970-01-01T00:00:10.500Z"
    assert wall_time(timestamp(1_790_000_000.25)) == 1_790_000_000.25


def test_a_time_written_again_and_again_loses_nothing() -> None:
    for text in ("2026-11-21T16:00:00.123Z", "2026-11-21T16:00:00.999Z", "2026-11-21T16:00:00.001Z"):
        assert timestamp(wall_time(text) or 0.0) == text
    assert timestamp(0.9996) == "1970-01-01T00:00:01.000Z"


def test_the_clock_on_the_wall_disregards_the_zone() -> None:  # 2.1 useLocalTime, K01.FR.90
    noon = wall_time("2026-03-10T12:00:00Z")
    for text in ("2026-03-10T12:00:00Z", "2026-03-10T12:00:00+05:30", "2026-03-10T12:00:00", " 2026-03-10 12:00:00 -0800"):
        assert clock_time(text) == noon
    for odd in ("noon", None, 5, "2026-02-30T12:00:00Z"):
        assert clock_time(odd) is None
