"""Timestamps as stations really send them (16.8, B18)."""

import pytest

from controller.ocpp.times import timestamp, wall_time


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
