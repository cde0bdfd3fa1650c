"""Limits of transactions that the CSMS sets, kept by Yardmaster where a charger cannot (C20, E16)."""

from __future__ import annotations

from typing import Any

import pytest

from controller.ocpp.times import timestamp
from tests.support.depot_book import DepotBook, Payload
from tests.support.desk import UUID_A, asked, desk, says

ACCEPTED = {"status": "Accepted"}


def values(energy_wh: float | None = None, soc: float | None = None, kilo: bool = False) -> Payload:
    samples: list[Payload] = []
    if energy_wh is not None:
        unit = {"unitOfMeasure": {"unit": "kWh"}} if kilo else {}
        samples.append({"value": energy_wh / 1000.0 if kilo else energy_wh, "measurand": "Energy.Active.Import.Register", **unit})
    if soc is not None:
        samples.append({"value": soc, "measurand": "SoC", "location": "EV"})
    return {"meterValue": [{"timestamp": "2026-09-21T14:00:00Z", "sampledValue": samples}]}


def limited(limit: Payload, station: str = "CP20", **begin: Any) -> DepotBook:
    book = desk()
    says(book, "RequestStopTransaction", CP20=ACCEPTED, CP21=ACCEPTED)
    book.csms_says["TransactionEvent"] = {"transactionLimit": limit}
    book.event(station, "Started", UUID_A, 0, **begin)
    book.csms_says["TransactionEvent"] = {}
    return book


def ended(book: DepotBook, seq: int, station: str = "CP20") -> Payload:
    book.event(station, "Ended", UUID_A, seq, trigger="RemoteStop", info={"stoppedReason": "Remote"})
    return book.heard("TransactionEvent")[-1]


def test_energy() -> None:
    book = limited({"maxEnergy": 5000}, **values(10_000))
    book.event("CP20", "Updated", UUID_A, 1, **values(14_900))
    book.wait(6)
    assert not asked(book, "CP20", "RequestStopTransaction")
    book.event("CP20", "Updated", UUID_A, 2, **values(15_000, kilo=True))
    book.wait(6)
    assert asked(book, "CP20", "RequestStopTransaction") == [{"transactionId": UUID_A}]
    last = ended(book, 3)
    assert (last["triggerReason"], last["transactionInfo"]["stoppedReason"]) == ("EnergyLimitReached", "EnergyLimitReached")


def test_time() -> None:
    book = limited({"maxTime": 600})
    book.wait(590)
    assert not asked(book, "CP20", "RequestStopTransaction")
    book.wait(20)
    assert len(asked(book, "CP20", "RequestStopTransaction")) == 1
    assert ended(book, 1)["triggerReason"] == "TimeLimitReached"


def test_time_by_our_own_clock_where_the_chargers_is_wrong() -> None:
    book = limited({"maxTime": 600}, timestamp="1970-01-01T00:00:00Z")
    book.wait(590)
    assert not asked(book, "CP20", "RequestStopTransaction")
    book = limited({"maxTime": 600}, timestamp=timestamp(desk().at.wall_s - 590), offline=True)
    book.wait(20)
    assert len(asked(book, "CP20", "RequestStopTransaction")) == 1


def test_state_of_charge() -> None:
    book = limited({"maxSoC": 80})
    book.event("CP20", "Updated", UUID_A, 1, **values(soc=80))
    book.wait(6)
    assert len(asked(book, "CP20", "RequestStopTransaction")) == 1
    last = ended(book, 2)
    assert (last["triggerReason"], last["transactionInfo"]["stoppedReason"]) == ("SoCLimitReached", "SOCLimitReached")


@pytest.mark.parametrize("way", ["CostUpdated", "TransactionEvent"])
def test_money(way: str) -> None:
    book = limited({"maxCost": 10})
    if way == "CostUpdated":
        assert book.csms("CostUpdated", {"transactionId": UUID_A, "totalCost": 10.0}) == {}
    else:
        book.csms_says["TransactionEvent"] = {"totalCost": 10.0}
        book.event("CP20", "Updated", UUID_A, 1)
        book.csms_says["TransactionEvent"] = {}
    book.wait(6)
    assert len(asked(book, "CP20", "RequestStopTransaction")) == 1
    last = ended(book, 2)
    assert (last["triggerReason"], last["transactionInfo"]["stoppedReason"]) == ("CostLimitReached", "LocalOutOfCredit")


def test_the_csms_sees_the_limit_once_it_is_set() -> None:
    book = limited({"maxEnergy": 5000})
    book.event("CP20", "Updated", UUID_A, 1)
    book.event("CP20", "Updated", UUID_A, 2)
    limits = [event["transactionInfo"].get("transactionLimit") for event in book.heard("TransactionEvent")]
    assert limits == [None, {"maxEnergy": 5000}, None]


def test_a_charger_that_keeps_it_itself_is_left_alone() -> None:
    book = limited({"maxEnergy": 5000}, station="CP21", **values(0))
    book.event("CP21", "Updated", UUID_A, 1, trigger="LimitSet", info={"transactionLimit": {"maxEnergy": 5000}})
    book.event("CP21", "Updated", UUID_A, 2, **values(6000))
    book.wait(6)
    assert not asked(book, "CP21", "RequestStopTransaction")
    assert ended(book, 3, "CP21")["triggerReason"] == "RemoteStop"


def test_another_limit_replaces_it() -> None:
    book = limited({"maxEnergy": 5000}, **values(0))
    book.csms_says["TransactionEvent"] = {"transactionLimit": {"maxEnergy": 9000}}
    book.event("CP20", "Updated", UUID_A, 1, **values(4900))
    book.csms_says["TransactionEvent"] = {}
    book.event("CP20", "Updated", UUID_A, 2, **values(8000))
    book.wait(6)
    assert not asked(book, "CP20", "RequestStopTransaction")


def test_a_charger_that_does_not_stop_is_asked_again_each_minute() -> None:
    book = limited({"maxTime": 10})
    says(book, "RequestStopTransaction", CP20={"status": "Rejected"})
    book.wait(140)
    assert 2 <= len(asked(book, "CP20", "RequestStopTransaction")) <= 3
    assert any("does not stop" in text for text in book.told)


def test_a_limit_outlives_a_restart_of_yardmaster() -> None:
    book = limited({"maxEnergy": 5000}, **values(1000))
    book = book.restarted()
    says(book, "RequestStopTransaction", CP20=ACCEPTED)
    book.open()
    book.boot()
    book.event("CP20", "Updated", UUID_A, 1, **values(6000))
    book.wait(10)
    assert asked(book, "CP20", "RequestStopTransaction") == [{"transactionId": UUID_A}]
    assert ended(book, 2)["triggerReason"] == "EnergyLimitReached"


def test_a_16_charger_is_stopped_too_and_its_end_has_the_reason() -> None:
    book = desk()
    says(book, "RemoteStopTransaction", CP16=ACCEPTED)
    book.csms_says["TransactionEvent"] = {"transactionLimit": {"maxEnergy": 2000}, "idTokenInfo": {"status": "Accepted"}}
    begun = timestamp(book.at.wall_s)
    number = book.say("CP16", "StartTransaction", {"connectorId": 1, "idTag": "AABBCCDD", "meterStart": 500, "timestamp": begun})["transactionId"]
    book.csms_says["TransactionEvent"] = {}
    sample = {"timestamp": timestamp(book.at.wall_s), "sampledValue": [{"value": "2500"}]}
    book.say("CP16", "MeterValues", {"connectorId": 1, "transactionId": number, "meterValue": [sample]})
    book.wait(6)
    assert asked(book, "CP16", "RemoteStopTransaction") == [{"transactionId": number}]
    stop = {"transactionId": number, "meterStop": 2510, "timestamp": timestamp(book.at.wall_s), "reason": "Remote"}
    book.say("CP16", "StopTransaction", stop)
    last = book.heard("TransactionEvent")[-1]
    assert (last["eventType"], last["triggerReason"]) == ("Ended", "EnergyLimitReached")
