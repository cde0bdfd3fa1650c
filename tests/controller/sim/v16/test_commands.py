"""What a simulated 1.6 station answers, by the published schemas and the rules of 1.6."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.controller.sim.kit import DAY, Bench, car, make_bench


def bench_16(evses: int = 1, plugged: bool = True) -> Bench:
    bench = make_bench(evses, version="1.6")
    bench.connect()
    bench.run(3)
    if plugged:
        bench.station.plug_in(bench.at, 1, car())
        bench.run(20)
    return bench


def profile(limit: float, number: int = 1, stack: int = 0, purpose: str = "TxDefaultProfile", **more: Any) -> dict[str, Any]:
    schedule: dict[str, Any] = {"chargingRateUnit": "A", "chargingSchedulePeriod": [{"startPeriod": 0, "limit": limit}]}
    schedule |= {key: more.pop(key) for key in ("duration", "startSchedule") if key in more}
    kind = more.pop("kind", "Relative")
    body = {"chargingProfileId": number, "stackLevel": stack, "chargingProfilePurpose": purpose, "chargingProfileKind": kind}
    return {**body, "chargingSchedule": schedule, **more}


def put(bench: Bench, body: dict[str, Any], connector_id: int = 1) -> str:
    return str(bench.ask("SetChargingProfile", {"connectorId": connector_id, "csChargingProfiles": body})["status"])


def offered_a(bench: Bench, evse_id: int = 1) -> float:
    return bench.station.offer_a(bench.at, bench.station.evses[evse_id])


def test_the_setpoint_wins_while_it_lives_then_the_floor_holds() -> None:
    bench = bench_16()
    assert put(bench, profile(6)) == "Accepted"
    assert put(bench, profile(13, 2, 1, "TxProfile", transactionId=1001, duration=60)) == "Accepted"
    assert offered_a(bench) == 13
    bench.run(70)
    assert offered_a(bench) == 6


def test_a_tx_profile_needs_a_transaction_and_may_leave_its_number_out() -> None:
    assert put(bench_16(plugged=False), profile(13, 2, 1, "TxProfile")) == "Rejected"
    bench = bench_16()
    assert put(bench, profile(13, 2, 1, "TxProfile", transactionId=99)) == "Rejected"
    assert put(bench, profile(13, 2, 1, "TxProfile")) == "Accepted"
    assert offered_a(bench) == 13
    bench.ask("RemoteStopTransaction", {"transactionId": 1001})
    assert len(bench.station.profiles) == 0, "it dies with its transaction"


def test_the_same_place_and_level_is_replaced_silently() -> None:
    bench = bench_16()
    assert put(bench, profile(10, 1)) == "Accepted"
    assert put(bench, profile(8, 2)) == "Accepted"
    assert (len(bench.station.profiles), offered_a(bench)) == (1, 8)


def test_the_connector_s_own_default_hides_that_of_the_station() -> None:
    bench = bench_16(evses=2)
    assert put(bench, profile(20, 1, stack=5), 0) == "Accepted"
    assert put(bench, profile(8, 2, stack=0), 1) == "Accepted"
    assert (offered_a(bench, 1), offered_a(bench, 2)) == (8, 20)


@pytest.mark.parametrize(
    ("connector_id", "body"),
    [
        (9, profile(6)),
        (0, profile(6, purpose="TxProfile")),
        (1, profile(6, purpose="ChargePointMaxProfile", kind="Absolute")),
        (1, profile(6, kind="Recurring")),
    ],
)
def test_what_a_station_refuses(connector_id: int, body: dict[str, Any]) -> None:
    bench = bench_16()
    assert put(bench, body, connector_id) == "Rejected"
    assert len(bench.station.profiles) == 0


def test_a_station_maximum_without_a_start_bounds_all_connectors() -> None:
    bench = bench_16(evses=2)
    assert put(bench, profile(20, purpose="ChargePointMaxProfile", kind="Absolute"), 0) == "Accepted"
    bench.station.plug_in(bench.at, 2, car(name="other"))
    bench.run(30)
    assert bench.station.site_current_a()[0] == pytest.approx(20)


def test_an_absolute_schedule_counts_from_its_start_or_from_the_session() -> None:
    bench = bench_16()
    assert put(bench, profile(9, kind="Absolute", duration=3600)) == "Accepted"
    assert offered_a(bench) == 9
    assert put(bench, profile(7, kind="Absolute", startSchedule="2026-06-17T00:10:00Z")) == "Accepted"
    assert offered_a(bench) == 32, "it has not begun"
    bench.run(600)
    assert DAY + bench.now_s >= DAY + 600
    assert offered_a(bench) == 7


def test_the_composite_schedule_shows_the_fall_back() -> None:
    bench = bench_16()
    put(bench, profile(6))
    put(bench, profile(13, 2, 1, "TxProfile", transactionId=1001, duration=60))
    answer = bench.ask("GetCompositeSchedule", {"connectorId": 1, "duration": 300})
    limits = [period["limit"] for period in answer["chargingSchedule"]["chargingSchedulePeriod"]]
    assert (answer["connectorId"], limits) == (1, [13, 6])
    watts = bench.ask("GetCompositeSchedule", {"connectorId": 1, "duration": 10, "chargingRateUnit": "W"})["chargingSchedule"]
    assert watts["chargingSchedulePeriod"][0]["limit"] == pytest.approx(13 * 690)
    assert bench.ask("GetCompositeSchedule", {"connectorId": 7, "duration": 30}) == {"status": "Rejected"}


@pytest.mark.parametrize(
    ("wanted", "left"),
    [({"id": 1}, 1), ({"chargingProfilePurpose": "TxProfile"}, 1), ({"connectorId": 1, "stackLevel": 0}, 1), ({}, 0), ({"id": 77}, 2)],
)
def test_clear_takes_an_id_or_any_and_combination(wanted: dict[str, Any], left: int) -> None:
    bench = bench_16()
    put(bench, profile(6))
    put(bench, profile(13, 2, 1, "TxProfile"))
    assert bench.ask("ClearChargingProfile", wanted) == {"status": "Accepted" if left < 2 else "Unknown"}
    assert len(bench.station.profiles) == left


def test_remote_start_with_a_profile() -> None:
    bench = bench_16(plugged=False)
    request = {"connectorId": 1, "idTag": "REMOTE", "chargingProfile": profile(9, 8, 1, "TxProfile")}
    assert bench.ask("RemoteStartTransaction", request) == {"status": "Accepted"}
    bench.station.plug_in(bench.at, 1, car())
    bench.run(30)
    assert bench.station.site_current_a() == pytest.approx((9, 9, 9))
    assert [frame[3]["idTag"] for frame in bench.sent if frame[0] == 2 and frame[2] == "StartTransaction"] == ["REMOTE"]
    assert "Authorize" not in bench.actions()
    assert bench.ask("RemoteStartTransaction", request) == {"status": "Rejected"}, "the connector is taken"


def test_availability_waits_for_the_running_session() -> None:
    bench = bench_16()
    assert bench.ask("ChangeAvailability", {"connectorId": 1, "type": "Inoperative"}) == {"status": "Scheduled"}
    bench.station.unplug(bench.at, 1)
    bench.run(3)
    assert bench.books.statuses["A1", 1] == "Unavailable"
    assert bench.ask("ChangeAvailability", {"connectorId": 0, "type": "Operative"}) == {"status": "Accepted"}
    bench.run(3)
    assert bench.books.statuses == {("A1", 0): "Available", ("A1", 1): "Available"}


WANTED = ["BootNotification", "Heartbeat", "StatusNotification", "MeterValues", "DiagnosticsStatusNotification", "FirmwareStatusNotification"]


@pytest.mark.parametrize("wanted", WANTED)
def test_trigger_message_brings_the_message(wanted: str) -> None:
    bench = bench_16()
    before = len(bench.sent)
    assert bench.ask("TriggerMessage", {"requestedMessage": wanted}) == {"status": "Accepted"}
    bench.run(2)
    assert wanted in [frame[2] for frame in bench.sent[before:] if frame[0] == 2]


def test_configuration_can_be_read_and_changed_without_regard_to_case() -> None:
    bench = bench_16()
    answer = bench.ask("GetConfiguration", {"key": ["metervaluesampleinterval", "NumberOfConnectors", "Nothing"]})
    assert [(item["key"], item["value"], item["readonly"]) for item in answer["configurationKey"]] == [
        ("MeterValueSampleInterval", "10", False),
        ("NumberOfConnectors", "1", True),
    ]
    assert answer["unknownKey"] == ["Nothing"]
    statuses = [
        bench.ask("ChangeConfiguration", {"key": key, "value": value})["status"]
        for key, value in (("MeterValueSampleInterval", "2"), ("HeartbeatInterval", "soon"), ("NumberOfConnectors", "5"), ("Nothing", "1"))
    ]
    assert statuses == ["Accepted", "Rejected", "Rejected", "NotSupported"]
    before = bench.actions().count("MeterValues")
    bench.run(20)
    assert bench.actions().count("MeterValues") - before >= 8


def test_unlocking_lets_go_of_the_cable() -> None:
    bench = bench_16()
    assert bench.ask("UnlockConnector", {"connectorId": 1}) == {"status": "Unlocked"}
    bench.run(2)
    (stop,) = [frame[3] for frame in bench.sent if frame[0] == 2 and frame[2] == "StopTransaction"]
    assert stop["reason"] == "UnlockCommand"


def test_faults_and_what_it_cannot_read() -> None:
    bench = bench_16()
    bench.station.faults.refused_purpose = "TxProfile"
    assert [put(bench, profile(7, 2, 1, "TxProfile")), put(bench, profile(7))] == ["Rejected", "Accepted"]
    assert bench.ask("GetDiagnostics", {"location": "ftp://example.org"}) == "NotImplemented"
    answers = bench.station.handle_frame(bench.at, '[2,"x","SetChargingProfile",{"connectorId":1}]')
    assert json.loads(answers[0])[2] == "FormationViolation"
