"""The beat meters are asked on. What a poll does to the line is tested with the shells that use it."""

from __future__ import annotations

import pytest

from controller.io.field.meter_beat import next_beat


@pytest.mark.parametrize(
    ("last", "now", "expected"),
    [(10.0, 10.2, 11.0), (10.0, 11.0, 11.0), (10.0, 11.01, 12.0), (10.0, 14.5, 15.0), (10.0, 15.0, 15.0)],
)
def test_beats_do_not_drift_and_missed_ones_are_skipped(last: float, now: float, expected: float) -> None:
    assert next_beat(last, 1.0, now) == pytest.approx(expected)
