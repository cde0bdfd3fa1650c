"""A simulated station on the wire: every frame fits the published schema, no event is ever lost."""

from __future__ import annotations

import json

import pytest

from controller.sim.books import CsmsBooks
from controller.sim.car import Car
from controller.sim.evse import Evse, EvseSpec, Transaction
from controller.sim.profiles import Session
from controller.sim.station import SimStation, StationSpec
from tests.controller.sim.kit import Bench, car, make_bench, profile


def charging_bench(evses: int = 1, **changes: object) -> Bench:
    bench = make_bench(evses)
    bench.connect()
    for evse_id in range(1, evses + 1):
        bench.station.plug_in(bench.at, evse_id, car(**changes))
    bench.run(20)
    return bench


def tx_id(bench: Bench, evse_id: int = 1) -> str:
    transaction = bench.station.evses[evse_id].transaction
    assert transaction is not None
    return transaction.session.transaction_id


def tx_profile(bench: Bench, limit: float, **more: object) -> dict[str, object]:
    body = {"profile_id": 5, "purpose": "TxProfile", "transactionId": tx_id(bench), "start": bench.now_s} | more
    return {"evseId": 1, "chargingProfile": profile(limit, **body)}


def test_a_whole_visit_is_valid_numbered_from_0_and_complete() -> None:
    bench = charging_bench()
    bench.run(100)
    bench.station.unplug(bench.at, 1)
    bench.run(5)
    (book,) = bench.books.transactions.values()
    assert book.complete
    assert book.in_order
    assert min(book.events) == 0
    assert bench.actions()[:2] == ["BootNotification", "StatusNotification"]
    assert {"Authorize", "NotifyEVChargingNeeds", "StatusNotification"} <= set(bench.actions())
    assert [event["eventType"] for event in bench.events()][0::len(bench.events()) - 1] == ["Started", "Ended"]
    assert bench.events()[-1]["transactionInfo"]["stoppedReason"] == "EVDisconnected"
    assert bench.books.statuses["A1", 1] == "Available"
    assert bench.watch.errors == []


def test_the_states_of_a_session_are_told_as_they_are() -> None:
    bench = charging_bench(need_wh=50.0)
    bench.run(60)
    states = [event["transactionInfo"]["chargingState"] for event in bench.events()]
    assert [state for before, state in zip(["", *states], states, strict=False) if state != before] == ["EVConnected", "Charging", "SuspendedEV"]


def test_meter_values_carry_register_power_and_phase_currents() -> None:
    bench = charging_bench()
    bench.run(30)
    values = {(item["measurand"], item.get("phase")): item["value"] for item in bench.events()[-1]["meterValue"][0]["sampledValue"]}
    assert values["Power.Active.Import", None] == pytest.approx(16 * 230 * 3)
    assert [values["Current.Import", phase] for phase in ("L1", "L2", "L3")] == [16, 16, 16]
    assert values["Energy.Active.Import.Register", None] > 0
    assert values["SoC", None] >= 20


def test_only_one_call_waits_for_its_answer() -> None:
    bench = make_bench()
    first = bench.station.opened(bench.at)
    bench.station.plug_in(bench.at, 1, car())
    assert len(first) == 1
    assert bench.station.tick(bench.at) == []


def test_nothing_but_boot_before_the_boot_is_accepted() -> None:
    bench = make_bench()
    bench.station.plug_in(bench.at, 1, car())
    (boot,) = bench.station.opened(bench.at)
    message_id = json.loads(boot)[1]
    answer = {"status": "Pending", "interval": 30, "currentTime": "2026-06-17T00:00:00Z"}
    assert bench.station.handle_frame(bench.at, json.dumps([3, message_id, answer])) == []
    bench.now_s += 29
    assert bench.station.tick(bench.at) == []
    assert bench.ask("SetChargingProfile", {"evseId": 1, "chargingProfile": profile(6)}) == "SecurityError"
    bench.now_s += 1
    (again,) = bench.station.tick(bench.at)
    assert json.loads(again)[2] == "BootNotification"


def test_the_link_is_lost_and_every_event_is_told_later_as_offline() -> None:
    bench = charging_bench()
    bench.station.closed(bench.at)
    bench.run(120)
    bench.station.unplug(bench.at, 1)
    bench.run(10)
    before = len(bench.events())
    bench.connect()
    bench.run(30)
    late = bench.events()[before:]
    (book,) = bench.books.transactions.values()
    assert book.complete
    assert book.in_order
    assert len(late) >= 12
    assert all(event["offline"] for event in late)


def test_a_car_that_comes_during_an_outage_charges_and_is_told_later() -> None:
    bench = make_bench()
    bench.connect()
    bench.run(2)
    bench.station.closed(bench.at)
    bench.station.plug_in(bench.at, 1, car())
    bench.run(60)
    assert bench.station.evses[1].power_w > 0
    bench.connect()
    bench.run(10)
    (book,) = bench.books.transactions.values()
    assert book.started
    assert book.missing == []


def test_an_unanswered_event_is_sent_again_under_a_new_id() -> None:
    bench = charging_bench()
    bench.now_s += 20
    (first,) = bench.station.tick(bench.at)
    bench.now_s += 40
    sent = bench.station.tick(bench.at)
    bench.now_s += 10
    sent += bench.station.tick(bench.at)
    again = json.loads(sent[0])
    assert again[1] != json.loads(first)[1]
    assert again[3]["seqNo"] == json.loads(first)[3]["seqNo"]


def test_a_refused_token_ends_the_transaction() -> None:
    bench = make_bench()
    bench.books = CsmsBooks(refused_tokens=("SIM-van",))
    bench.connect()
    bench.station.plug_in(bench.at, 1, car())
    bench.run(30)
    assert bench.events()[-1]["transactionInfo"]["stoppedReason"] == "DeAuthorized"
    assert bench.station.evses[1].register_wh == 0


def test_obeys_a_setpoint_and_falls_back_when_it_is_not_renewed() -> None:
    bench = charging_bench()
    assert bench.ask("SetChargingProfile", {"evseId": 1, "chargingProfile": profile(6)})["status"] == "Accepted"
    assert bench.ask("SetChargingProfile", tx_profile(bench, 13, duration_s=60))["status"] == "Accepted"
    bench.run(30)
    assert bench.station.site_current_a() == pytest.approx((13, 13, 13))
    bench.run(60)
    assert bench.station.site_current_a() == pytest.approx((6, 6, 6))


def test_a_pause_is_a_suspended_evse() -> None:
    bench = charging_bench()
    bench.ask("SetChargingProfile", tx_profile(bench, 0))
    bench.run(30)
    assert bench.station.site_current_a() == (0, 0, 0)
    assert bench.events()[-1]["transactionInfo"]["chargingState"] == "SuspendedEVSE"


def test_the_station_maximum_bounds_the_sum_of_its_evses() -> None:
    bench = charging_bench(evses=2)
    body = profile(20, profile_id=3, purpose="ChargingStationMaxProfile")
    assert bench.ask("SetChargingProfile", {"evseId": 0, "chargingProfile": body})["status"] == "Accepted"
    bench.run(30)
    assert sum(bench.station.site_current_a()) == pytest.approx(3 * 20)


def test_the_composite_schedule_shows_the_fall_back() -> None:
    bench = charging_bench()
    bench.ask("SetChargingProfile", {"evseId": 1, "chargingProfile": profile(6)})
    bench.ask("SetChargingProfile", tx_profile(bench, 13, duration_s=60))
    schedule = bench.ask("GetCompositeSchedule", {"evseId": 1, "duration": 300, "chargingRateUnit": "A"})["schedule"]
    assert [(item["startPeriod"], item["limit"]) for item in schedule["chargingSchedulePeriod"]] == [(0, 13), (60, 6)]
    watts = bench.ask("GetCompositeSchedule", {"evseId": 1, "duration": 30, "chargingRateUnit": "W"})["schedule"]
    assert watts["chargingSchedulePeriod"][0]["limit"] == pytest.approx(13 * 690)
    assert bench.ask("GetCompositeSchedule", {"evseId": 7, "duration": 30})["status"] == "Rejected"


def test_profiles_are_reported_after_the_answer() -> None:
    bench = charging_bench()
    assert bench.ask("GetChargingProfiles", {"requestId": 4, "chargingProfile": {}})["status"] == "NoProfiles"
    bench.ask("SetChargingProfile", {"evseId": 1, "chargingProfile": profile(6)})
    bench.ask("SetChargingProfile", tx_profile(bench, 13))
    assert bench.ask("GetChargingProfiles", {"requestId": 5, "chargingProfile": {}})["status"] == "Accepted"
    bench.run(3)
    reports = [frame[3] for frame in bench.sent if frame[0] == 2 and frame[2] == "ReportChargingProfiles"]
    assert [report["tbc"] for report in reports] == [True, False]


def test_availability_waits_for_the_running_session() -> None:
    bench = charging_bench()
    assert bench.ask("ChangeAvailability", {"evse": {"id": 1}, "operationalStatus": "Inoperative"})["status"] == "Scheduled"
    assert bench.station.evses[1].may_deliver
    bench.station.unplug(bench.at, 1)
    bench.run(3)
    assert bench.books.statuses["A1", 1] == "Unavailable"
    assert bench.ask("ChangeAvailability", {"operationalStatus": "Operative"})["status"] == "Accepted"
    bench.run(3)
    assert bench.books.statuses["A1", 1] == "Available"


def test_remote_start_with_a_profile_and_remote_stop() -> None:
    bench = make_bench()
    bench.connect()
    bench.run(2)
    body = profile(9, profile_id=8, purpose="TxProfile")
    request = {"evseId": 1, "remoteStartId": 77, "idToken": {"idToken": "REMOTE", "type": "Central"}, "chargingProfile": body}
    assert bench.ask("RequestStartTransaction", request) == {"status": "Accepted"}
    bench.station.plug_in(bench.at, 1, car())
    bench.run(30)
    assert bench.station.site_current_a() == pytest.approx((9, 9, 9))
    assert any(event["transactionInfo"].get("remoteStartId") == 77 for event in bench.events())
    assert bench.ask("RequestStopTransaction", {"transactionId": tx_id(bench)})["status"] == "Accepted"
    bench.run(10)
    assert bench.events()[-1]["transactionInfo"]["stoppedReason"] == "Remote"
    assert bench.ask("RequestStopTransaction", {"transactionId": "never"})["status"] == "Rejected"


@pytest.mark.parametrize("wanted", ["Heartbeat", "StatusNotification", "MeterValues", "TransactionEvent"])
def test_trigger_message_brings_the_message(wanted: str) -> None:
    bench = charging_bench()
    before = len(bench.sent)
    assert bench.ask("TriggerMessage", {"requestedMessage": wanted})["status"] == "Accepted"
    bench.run(2)
    assert wanted in [frame[2] for frame in bench.sent[before:] if frame[0] == 2]


def test_variables_can_be_read_written_and_reported() -> None:
    bench = charging_bench()
    known = {"component": {"name": "SampledDataCtrlr"}, "variable": {"name": "TxUpdatedInterval"}}
    odd = {"component": {"name": "Nothing"}, "variable": {"name": "X"}}
    assert bench.ask("SetVariables", {"setVariableData": [{**known, "attributeValue": "3"}, {**odd, "attributeValue": "1"}]})
    results = bench.ask("GetVariables", {"getVariableData": [known, odd]})["getVariableResult"]
    assert [(item["attributeStatus"], item.get("attributeValue")) for item in results] == [("Accepted", "3"), ("UnknownComponent", None)]
    refused = bench.ask("SetVariables", {"setVariableData": [{**known, "attributeValue": "soon"}]})["setVariableResult"]
    assert refused[0]["attributeStatus"] == "Rejected"
    assert bench.ask("GetBaseReport", {"requestId": 1, "reportBase": "FullInventory"})["status"] == "Accepted"
    before = len(bench.events())
    bench.run(30)
    assert len(bench.events()) - before >= 6  # at the old interval of 10 s it would be 3
    assert "NotifyReport" in bench.actions()


def test_a_reset_ends_the_session_and_asks_for_a_new_link() -> None:
    bench = charging_bench()
    bench.ask("SetChargingProfile", {"evseId": 1, "chargingProfile": profile(6)})
    bench.ask("SetChargingProfile", tx_profile(bench, 13))
    assert bench.ask("Reset", {"type": "OnIdle"})["status"] == "Rejected"
    assert bench.ask("Reset", {"type": "Immediate"})["status"] == "Accepted"
    assert bench.station.wants_close
    assert len(bench.station.profiles) == 1
    bench.station.closed(bench.at)
    bench.connect()
    bench.run(5)
    assert bench.books.boots["A1"] == 2
    assert bench.books.gaps() == {}


def test_faults_make_it_a_bad_neighbour() -> None:
    bench = charging_bench()
    bench.station.faults.ignores_profiles = True
    assert bench.ask("SetChargingProfile", tx_profile(bench, 7))["status"] == "Accepted"
    bench.run(30)
    assert bench.station.site_current_a()[0] == pytest.approx(16)
    bench.station.faults.rejects_profiles = True
    assert bench.ask("SetChargingProfile", tx_profile(bench, 7))["status"] == "Rejected"
    bench.station.faults.never_answers = True
    assert bench.ask("TriggerMessage", {"requestedMessage": "Heartbeat"}) is None


def test_what_it_does_not_know_or_cannot_read_is_an_error_not_a_crash() -> None:
    bench = charging_bench()
    assert bench.ask("GetLog", {"logType": "SecurityLog", "requestId": 1, "log": {"remoteLocation": "https://example.org"}}) == "NotImplemented"
    answers = bench.station.handle_frame(bench.at, '[2,"x","SetChargingProfile",{"evseId":1}]')
    assert json.loads(answers[0])[2] == "FormatViolation"
    assert json.loads(bench.station.handle_frame(bench.at, "nonsense")[0])[1] == "-1"


def test_phases_are_rotated_to_the_site() -> None:
    evse = Evse(EvseSpec(1, (1, 2, 0)))
    evse.transaction = Transaction(Session("t", 0.0), {}, authorised=True)
    evse.car = Car(car(phases=1), 3)
    for _ in range(30):
        evse.advance(10.0, 1.0, 1.0)
    assert evse.site_current_a() == pytest.approx((0, 10, 0))


def test_two_stations_never_use_the_same_ids() -> None:
    first, second = make_bench(), make_bench()
    second.station = SimStation(StationSpec("B2", second.station.spec.evses), seed=1)
    for bench in (first, second):
        bench.connect()
        bench.run(100)
    ids = [{frame[1] for frame in bench.sent if frame[0] == 2} for bench in (first, second)]
    assert ids[0].isdisjoint(ids[1])
