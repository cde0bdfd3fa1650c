"""A simulated 1.6J station on the wire: every frame fits the published schema, the transaction has the CSMS's number, nothing is lost."""

from __future__ import annotations

import json
from typing import Any

import pytest

from controller.sim.books import CsmsBooks, TransactionBook
from tests.controller.sim.kit import Bench, car, make_bench


def started(evses: int = 1, **changes: object) -> Bench:
    bench = make_bench(evses, version="1.6")
    bench.connect()
    bench.run(3)
    bench.station.plug_in(bench.at, 1, car(**changes))
    bench.run(20)
    return bench


def calls(bench: Bench, action: str) -> list[dict[str, Any]]:
    return [frame[3] for frame in bench.sent if frame[0] == 2 and frame[2] == action]


def statuses(bench: Bench) -> list[str]:
    return [call["status"] for call in calls(bench, "StatusNotification") if call["connectorId"] == 1]


def book(bench: Bench) -> TransactionBook:
    (found,) = bench.books.transactions.values()
    return found


def test_a_whole_visit_is_valid_and_complete() -> None:
    bench = started()
    bench.run(100)
    bench.station.unplug(bench.at, 1)
    bench.run(5)
    assert bench.actions()[:4] == ["BootNotification", "StatusNotification", "StatusNotification", "StatusNotification"]
    assert statuses(bench) == ["Available", "Preparing", "Charging", "Available"]
    assert book(bench).complete
    assert book(bench).in_order
    (start,), (stop,) = calls(bench, "StartTransaction"), calls(bench, "StopTransaction")
    assert start["meterStart"] == 0
    assert stop["meterStop"] == round(bench.station.evses[1].register_wh) > 0
    assert (stop["reason"], stop["transactionId"]) == ("EVDisconnected", 1001)
    assert {values["transactionId"] for values in calls(bench, "MeterValues")} == {1001}
    assert bench.books.strays == []
    assert bench.books.unheard("A1", bench.station.confirmed) == []
    assert bench.watch.errors == []


def test_measurements_are_texts_and_no_car_says_what_it_needs() -> None:
    bench = started()
    bench.run(10)
    samples = calls(bench, "MeterValues")[-1]["meterValue"][0]["sampledValue"]
    values = {(item["measurand"], item.get("phase")): item["value"] for item in samples}
    assert values["Current.Import", "L1"] == "16.00"
    assert values["Power.Active.Import", None] == f"{16 * 690:.2f}"
    assert "SoC" not in {measurand for measurand, _ in values}
    assert "NotifyEVChargingNeeds" not in bench.actions()


def test_a_car_that_is_full_and_one_that_is_paused_are_told_apart() -> None:
    bench = started(need_wh=50.0)
    bench.run(60)
    assert statuses(bench)[-1] == "SuspendedEV"
    bench = started()
    period = [{"startPeriod": 0, "limit": 0}]
    schedule = {"chargingRateUnit": "A", "chargingSchedulePeriod": period}
    profile = {"chargingProfileId": 1, "stackLevel": 1, "chargingProfilePurpose": "TxProfile", "chargingProfileKind": "Relative"}
    request = {"connectorId": 1, "csChargingProfiles": {**profile, "chargingSchedule": schedule}}
    assert bench.ask("SetChargingProfile", request) == {"status": "Accepted"}
    bench.run(30)
    assert statuses(bench)[-1] == "SuspendedEVSE"
    assert bench.station.site_current_a() == (0, 0, 0)
    assert bench.ask("ClearChargingProfile", {"id": 1}) == {"status": "Accepted"}
    bench.run(30)
    assert statuses(bench)[-1] == "Charging"


def test_after_a_stop_the_car_that_stays_is_finishing() -> None:
    bench = started()
    assert bench.ask("RemoteStopTransaction", {"transactionId": 7}) == {"status": "Rejected"}
    assert bench.ask("RemoteStopTransaction", {"transactionId": 1001}) == {"status": "Accepted"}
    bench.run(3)
    assert statuses(bench)[-1] == "Finishing"
    assert calls(bench, "StopTransaction")[0]["reason"] == "Remote"
    bench.station.unplug(bench.at, 1)
    bench.station.plug_in(bench.at, 1, car())
    bench.station.tick(bench.at)
    assert bench.station.voice.status(bench.station.evses[1]) == "Preparing"


def test_what_happens_without_a_link_is_told_later_under_the_number_it_then_gets() -> None:
    bench = make_bench(version="1.6")
    bench.connect()
    bench.run(2)
    bench.station.closed(bench.at)
    bench.station.plug_in(bench.at, 1, car())
    bench.run(120)
    bench.station.unplug(bench.at, 1)
    bench.run(5)
    bench.connect()
    bench.run(30)
    assert book(bench).complete
    assert book(bench).in_order
    assert book(bench).told_late >= 6
    told = [*calls(bench, "MeterValues"), *calls(bench, "StopTransaction")]
    assert {call["transactionId"] for call in told} == {1001}
    assert len(told) >= 12
    assert bench.books.unheard("A1", bench.station.confirmed) == []


def test_a_start_whose_answer_was_lost_is_told_again_and_is_the_same_transaction() -> None:
    bench = make_bench(version="1.6")
    bench.connect()
    bench.run(3)
    bench.station.closed(bench.at)
    bench.station.plug_in(bench.at, 1, car())
    (text,) = bench.station.opened(bench.at)
    bench.books.handle("A1", bench.at, text)  # it arrives, the answer does not
    bench.station.closed(bench.at)
    bench.connect()
    bench.run(30)
    assert json.loads(text)[2] == "StartTransaction"
    assert book(bench).duplicates == 1
    assert bench.books.strays == []


def test_a_refused_driver_does_not_charge() -> None:
    bench = make_bench(version="1.6")
    bench.books = CsmsBooks(refused_tokens=("SIM-van",))
    bench.books.speaks("A1", "ocpp1.6")
    bench.connect()
    bench.station.plug_in(bench.at, 1, car())
    bench.run(30)
    assert bench.station.evses[1].register_wh == 0
    assert "StartTransaction" not in bench.actions()
    assert statuses(bench)[-1] == "Preparing"


def test_a_driver_refused_with_the_start_ends_the_transaction() -> None:
    bench = started()
    bench.station.unplug(bench.at, 1)
    bench.books = CsmsBooks(refused_tokens=("REMOTE",))
    bench.books.speaks("A1", "ocpp1.6")
    assert bench.ask("RemoteStartTransaction", {"idTag": "REMOTE", "connectorId": 1}) == {"status": "Accepted"}
    bench.station.plug_in(bench.at, 1, car())
    bench.run(10)
    assert calls(bench, "StopTransaction")[-1]["reason"] == "DeAuthorized"
    assert not bench.station.evses[1].may_deliver


@pytest.mark.parametrize(("kind", "reason"), [("Hard", "HardReset"), ("Soft", "SoftReset")])
def test_a_reset_ends_the_session_and_asks_for_a_new_link(kind: str, reason: str) -> None:
    bench = started()
    assert bench.ask("Reset", {"type": kind}) == {"status": "Accepted"}
    assert bench.station.wants_close
    bench.station.closed(bench.at)
    bench.connect()
    bench.run(5)
    assert bench.books.boots["A1"] == 2
    assert calls(bench, "StopTransaction")[0]["reason"] == reason


def test_nothing_but_boot_before_the_boot_is_accepted() -> None:
    bench = make_bench(version="1.6")
    bench.station.plug_in(bench.at, 1, car())
    (boot,) = bench.station.opened(bench.at)
    answer = {"status": "Pending", "interval": 30, "currentTime": "2026-06-17T00:00:00Z"}
    assert bench.station.handle_frame(bench.at, json.dumps([3, json.loads(boot)[1], answer])) == []
    assert bench.station.tick(bench.at) == []
    assert bench.ask("RemoteStartTransaction", {"idTag": "X"}) == "SecurityError"
    assert "configurationKey" in bench.ask("GetConfiguration", {})
