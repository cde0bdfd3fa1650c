"""The whole way of a grid signal, in virtual time: from the frame of the CSMS to what the cars give back, and what the CSMS is told."""

from __future__ import annotations

import pytest

from controller.ocpp.times import timestamp
from tests.support.der_world import DerWorld, limit, site_setpoint

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
