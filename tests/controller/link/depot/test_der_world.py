"""The whole way of a grid signal, in virtual time: from the frame of the CSMS to what the cars give back, and what the CSMS is told."""

from __future__ import annotations

import pytest

from controller.ocpp.times import timestamp, wall_time
from tests.support.der_world import MORNING_S, DerWorld, limit, site_setpoint

COUNT = 4
FOLLOWS_S = 6
"""Simulated stations and cars follow a setpoint within this."""


@pytest.fixture
def world() -> DerWorld:
    """24 kW flow out of four cars, by a setpoint of the CSMS for the site."""
    found = DerWorld(COUNT)
    found.park()
    assert found.csms("SetChargingProfile", site_setpoint(-24_000.0)) == {"status": "Accepted"}
    found.run(40)
    assert found.flow[-1] == pytest.approx(-24_000.0, rel=0.01)
    return found


def test_to_nothing_and_back(world: DerWorld) -> None:
    begin = len(world.wire)
    assert world.csms("SetDERControl", limit("17", 0)) == {"status": "Accepted"}
    sent = world.wire[begin:]
    assert {(one.station_id, one.mono_s) for one in sent} == {(name, world.at.mono_s) for name in world.stations}  # all in the same call
    assert [one.watts for one in sent] == [0.0] * COUNT
    world.run(FOLLOWS_S)
    begin = len(world.flow)
    world.run(200)
    assert min(world.flow[begin:]) >= 0.0
    assert [one["controlType"] for one in world.heard("NotifyDERAlarm")] == ["LimitMaxDischarge"]
    assert world.csms("ClearDERControl", {"isDefault": True, "controlId": "17"}) == {"status": "Accepted"}
    world.run(30)
    assert world.flow[-1] == pytest.approx(-24_000.0, rel=0.01)
    assert [one.get("alarmEnded", False) for one in world.heard("NotifyDERAlarm")] == [False, True]


def test_a_part_of_the_rating(world: DerWorld) -> None:
    """25 % of 44 kW."""
    world.csms("SetDERControl", limit("17", 25))
    world.run(FOLLOWS_S)
    begin = len(world.flow)
    world.run(120)
    assert min(world.flow[begin:]) >= -11_000.0 - 1.0
    assert world.flow[-1] == pytest.approx(-11_000.0, rel=0.01)


def test_a_schedule_begins_and_ends_by_the_clock_and_the_csms_hears_it(world: DerWorld) -> None:
    request = limit("noon", 0)
    body = {**request["limitMaxDischarge"], "startTime": timestamp(world.at.wall_s + 20), "duration": 60}
    assert world.csms("SetDERControl", {**request, "isDefault": False, "limitMaxDischarge": body}) == {"status": "Accepted"}
    world.run(18)
    assert world.flow[-1] < -23_000.0
    world.run(4 + FOLLOWS_S)
    assert world.flow[-1] >= 0.0
    world.run(70)
    assert world.flow[-1] == pytest.approx(-24_000.0, rel=0.01)
    assert [(one["controlId"], one["started"]) for one in world.heard("NotifyDERStartStop")] == [("noon", True), ("noon", False)]


def test_a_limit_of_the_site_bounds_charging_cars() -> None:
    world = DerWorld(COUNT)
    world.park(soc=0.3)
    period = {"startPeriod": 0, "limit": 20.0, "numberPhases": 3}
    schedule = {"id": 1, "chargingRateUnit": "A", "chargingSchedulePeriod": [period], "startSchedule": "2026-01-01T00:00:00Z"}
    head = {"id": 9, "stackLevel": 0, "chargingProfilePurpose": "ChargingStationMaxProfile", "chargingProfileKind": "Absolute"}
    assert world.csms("SetChargingProfile", {"evseId": 0, "chargingProfile": {**head, "chargingSchedule": [schedule]}}) == {"status": "Accepted"}
    world.run(FOLLOWS_S + 4)
    begin = len(world.flow)
    world.run(120)
    assert max(world.flow[begin:]) <= 20.0 * 690.0 + 1.0
    answer = world.csms("GetCompositeSchedule", {"evseId": 0, "duration": 600, "chargingRateUnit": "A"})
    assert answer["schedule"]["chargingSchedulePeriod"][0]["limit"] <= 20.0


def scheduled(world: DerWorld, control_id: str, percent: float, after_s: float, lasts_s: float, priority: int = 1) -> None:
    """A LimitMaxDischarge of its time."""
    body = {"priority": priority, "pctMaxDischargePower": percent, "startTime": timestamp(world.at.wall_s + after_s), "duration": lasts_s}
    request = {"isDefault": False, "controlId": control_id, "controlType": "LimitMaxDischarge", "limitMaxDischarge": body}
    assert world.csms("SetDERControl", request) == {"status": "Accepted"}


def told(world: DerWorld) -> list[tuple[str, bool, float]]:
    """(control, started, seconds after 06:00) of each NotifyDERStartStop."""
    return [(one["controlId"], one["started"], (wall_time(one["timestamp"]) or 0.0) - MORNING_S) for one in world.heard("NotifyDERStartStop")]


def test_a_restart_while_a_control_runs_lets_nothing_flow_back_and_is_no_start_and_no_end(world: DerWorld) -> None:
    begins_s = world.now_s
    scheduled(world, "noon", 0, 10, 200)
    world.run(10 + FOLLOWS_S)
    begin = len(world.flow)
    world.restart(15)
    world.run(200 - (world.now_s - begins_s) + 10 - 1)
    assert min(world.flow[begin:]) >= 0.0
    assert [(name, started) for name, started, _ in told(world)] == [("noon", True)]
    world.run(3)
    assert told(world)[1:] == [("noon", False, begins_s + 210)]
    world.run(60)
    assert world.flow[-1] == pytest.approx(-24_000.0, rel=0.01)


def test_a_control_that_begins_while_the_controller_is_away_holds_from_its_first_second_on(world: DerWorld) -> None:
    """Stations give back until their setpoints end; once Yardmaster is back it never lets them begin again."""
    scheduled(world, "noon", 0, 5, 300)
    world.run(2)
    world.restart(20)
    world.run(FOLLOWS_S)
    begin = len(world.flow)
    world.run(100)
    assert min(world.flow[begin:]) >= 0.0
    assert [(name, started) for name, started, _ in told(world)] == [("noon", True)]


def test_one_control_after_the_other_is_told_in_the_seconds_they_change(world: DerWorld) -> None:
    """The one that takes over names the one it takes over from, which has no end of its own (R04.FR.21, FR.22)."""
    now_s = world.now_s
    scheduled(world, "weak", 50, 10, 60, priority=5)
    world.run(15)
    scheduled(world, "strong", 0, 15, 20, priority=1)
    world.run(85)
    assert told(world) == [("weak", True, now_s + 10), ("strong", True, now_s + 30), ("strong", False, now_s + 50)]
    assert [one.get("supersededIds") for one in world.heard("NotifyDERStartStop")] == [None, ["weak"], None]
