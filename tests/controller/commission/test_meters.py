"""Meters before anything is stepped, and what is heard of a station."""

from __future__ import annotations

from typing import Any

import pytest

from controller.commission.findings import Verdict
from controller.commission.meters import judge_answers, judge_clock, judge_meters, judge_station

Entry = dict[str, Any]


def readings(
    count: int = 10, every_s: float = 1.0, watts: tuple[float | None, ...] = (1000.0, 900.0, 800.0), total_w: float | None = 2700.0
) -> list[Entry]:
    return [
        {"kind": "meter", "name": "main", "mono_s": number * every_s, "quality": "good", "phase_power_w": list(watts), "power_w": total_w}
        for number in range(count)
    ]


def verdict(entries: list[Entry], role: str = "grid") -> Verdict:
    (finding,) = judge_meters(entries, {"main": role}, late_s=3.0)
    return finding.verdict


def test_a_good_meter() -> None:
    assert verdict(readings()) is Verdict.PASS
    assert verdict(readings(watts=(None, None, None), total_w=None)) is Verdict.PASS


@pytest.mark.parametrize(
    "entries",
    [
        [],
        readings(2),
        [{**entry, "quality": "bad", "reason": "timeout"} for entry in readings()],
        readings(every_s=5.0),
        readings(watts=(1000.0, 900.0, 0.0)),
        readings(watts=(1000.0, -900.0, 800.0)),
        readings(total_w=270.0),
    ],
    ids=["silent", "two", "bad", "slow", "a phase is missing", "a phase is turned", "scale"],
)
def test_a_bad_meter(entries: list[Entry]) -> None:
    assert verdict(entries) is Verdict.FAIL


def test_export_is_looked_at_twice_at_the_grid_and_is_normal_for_pv() -> None:
    entries = readings(watts=(-1000.0, -900.0, -800.0), total_w=-2700.0)
    assert verdict(entries) is Verdict.UNSURE
    assert verdict(entries, "pv") is Verdict.PASS


@pytest.mark.parametrize(
    ("offsets_s", "expected"),
    [([], Verdict.SKIPPED), ([1.0, 0.5], Verdict.PASS), ([-20.0], Verdict.PASS), ([90.0, 91.0, 0.0], Verdict.FAIL)],
)
def test_the_clock(offsets_s: list[float], expected: Verdict) -> None:
    assert judge_clock(offsets_s).verdict is expected


@pytest.mark.parametrize(("times_s", "expected"), [([], Verdict.SKIPPED), ([0.1, 4.0], Verdict.PASS), ([0.1, 9.0], Verdict.UNSURE)])
def test_answers(times_s: list[float], expected: Verdict) -> None:
    assert judge_answers(times_s).verdict is expected


def test_stations() -> None:
    assert judge_station("CP1", False, "", {}).verdict is Verdict.FAIL
    there = judge_station("CP1", True, "ocpp2.1", {"from": "10.0.0.7", "model": ""})
    assert there.text == "connected, ocpp2.1, from 10.0.0.7"
