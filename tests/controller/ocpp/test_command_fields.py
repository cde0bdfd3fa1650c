"""What stations report as their composite schedule (16.9): in which unit, how long, since when, with setpoints or without."""

from __future__ import annotations

from typing import Any

import pytest

from controller.facts import LimitStep, Stamp
from controller.ocpp.command_fields import composite, highest_a

AT = Stamp(10.0, 1_790_000_000.0)  # 2026-09-21T14:13:20Z
NOW = "2026-09-21T14:13:20Z"


def read(*periods: Any, start: object = NOW, phases: int = 3, **fields: Any) -> list[tuple[float, float | None]]:
    schedule = {"chargingRateUnit": "A", "duration": 300, "chargingSchedulePeriod": list(periods), **fields}
    return [(step.start_wall_s - AT.wall_s, step.limit_a) for step in composite(schedule, start, AT, 300.0, 230.0, phases)]


def at(start_s: float, **fields: Any) -> dict[str, Any]:
    return {"startPeriod": start_s, **fields}


def test_the_first_step_is_the_one_in_force() -> None:
    assert read(at(0, limit=16.0), at(120, limit=6.0)) == [(0.0, 16.0), (120.0, 6.0)]


def test_one_that_began_long_ago_is_read_from_now_on() -> None:
    # A day's schedule from 13:13:20, an hour before now: the period of the first half hour is over.
    early = "2026-09-21T13:13:20Z"
    assert read(at(0, limit=32.0), at(1800, limit=10.0), at(3700, limit=6.0), start=early, duration=86_400) == [(-1800.0, 10.0), (100.0, 6.0)]


@pytest.mark.parametrize("start", ["2026-09-21T13:13:20Z", "1970-01-01T00:00:00Z", None, 5, "soon"])
def test_one_as_long_as_asked_begins_now_whatever_its_clock_says(start: object) -> None:
    assert read(at(0, limit=32.0), at(200, limit=6.0), start=start) == [(0.0, 32.0), (200.0, 6.0)]


def test_what_comes_after_the_time_asked_for_does_not_matter() -> None:
    assert read(at(0, limit=6.0), at(3000, limit=32.0), duration=86_400) == [(0.0, 6.0)]


def test_watts_without_phases_are_those_of_the_evse() -> None:
    # 3680 W on the one phase of an EVSE are 16 A; as the sum of three they would look like 5.3 A.
    assert read(at(0, limit=3680.0), chargingRateUnit="W", phases=1) == [(0.0, 16.0)]
    assert read(at(0, limit=3680.0, numberPhases=1), chargingRateUnit="W", phases=3) == [(0.0, 16.0)]
    assert read(at(0, limit=11040.0), chargingRateUnit="W", phases=3) == [(0.0, 16.0)]


@pytest.mark.parametrize(
    ("period", "limit_a"),
    [
        ({"operationMode": "CentralSetpoint", "setpoint": -4600.0}, 0.0),
        ({"operationMode": "CentralSetpoint", "setpoint": 4600.0, "numberPhases": 1}, 20.0),
        ({"operationMode": "CentralSetpoint", "setpoint": 4600.0, "limit": 2300.0, "numberPhases": 1}, 10.0),
        ({"operationMode": "Idle"}, 0.0),
        ({"operationMode": "ExternalLimits"}, None),
        ({"limit": "x"}, None),
        ({}, None),
    ],
)
def test_a_setpoint_is_what_flows_in(period: dict[str, Any], limit_a: float | None) -> None:  # 2.1, OCPP-NOTES 6.1
    assert read(at(0, **period), chargingRateUnit="W") == [(0.0, limit_a)]


@pytest.mark.parametrize("schedule", [None, 5, {}, {"chargingSchedulePeriod": None}, {"chargingSchedulePeriod": [5, "x", None]}])
def test_what_is_none_has_no_steps(schedule: object) -> None:
    assert composite(schedule, NOW, AT, 300.0, 230.0, 3) == ()


def test_the_highest_step_counts_and_an_unlimited_one_above_all() -> None:
    assert highest_a((LimitStep(0.0, 6.0), LimitStep(1.0, 16.0))) == 16.0
    assert highest_a((LimitStep(0.0, 6.0), LimitStep(1.0, None))) is None
    assert highest_a(()) is None
