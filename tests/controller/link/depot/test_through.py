"""Messages of chargers that need nothing but the depot's words."""

from __future__ import annotations

from typing import Any

from controller.ocpp.times import timestamp
from tests.support.depot_book import DepotBook, site


def opened(config: Any = None, **more: Any) -> DepotBook:
    book = DepotBook(config, **more)
    book.open()
    book.boot()
    book.wait(5)
    book.up.clear()
    return book


def test_authorize_passes_and_its_answer_has_the_charger_s_own_numbers() -> None:
    book = opened(site(("CP1", "CP2"), evses=2))
    book.csms_says["Authorize"] = {"idTokenInfo": {"status": "Accepted", "evseId": [3]}}
    token = {"idToken": {"idToken": "AABBCCDD", "type": "ISO14443"}}
    assert book.say("CP2", "Authorize", token) == {"idTokenInfo": {"status": "Accepted", "evseId": [1]}}
    assert book.heard("Authorize") == [token]


def test_security_events_name_their_charger() -> None:
    book = opened()
    when = timestamp(book.at.wall_s)
    book.say("CP2", "SecurityEventNotification", {"type": "TamperDetectionActivated", "timestamp": when, "techInfo": "lid"})
    book.say("CP1", "SecurityEventNotification", {"type": "TamperDetectionActivated", "timestamp": when})
    assert [told["techInfo"] for told in book.heard("SecurityEventNotification")] == ["CP2: lid", "charger CP1"]


def test_a_limit_of_a_whole_charger_is_that_of_its_evses_and_never_of_the_site() -> None:
    book = opened(site(("CP1", "CP2"), evses=2))
    limit = {"chargingLimit": {"chargingLimitSource": "SO", "isGridCritical": True}}
    assert book.say("CP2", "NotifyChargingLimit", limit) == {}
    assert [told.get("evseId") for told in book.heard("NotifyChargingLimit")] == [3, 4]
    book.say("CP2", "ClearedChargingLimit", {"chargingLimitSource": "SO", "evseId": 2})
    assert [told.get("evseId") for told in book.heard("ClearedChargingLimit")] == [4]


def test_needs_of_a_car_pass_under_the_depot_s_number() -> None:
    book = opened()
    book.csms_says["NotifyEVChargingNeeds"] = {"status": "Accepted"}
    car = {"energyAmount": 1, "evMinCurrent": 6, "evMaxCurrent": 16, "evMaxVoltage": 230}
    needs = {"requestedEnergyTransfer": "AC_three_phase", "acChargingParameters": car}
    assert book.say("CP2", "NotifyEVChargingNeeds", {"evseId": 1, "chargingNeeds": needs}) == {"status": "Accepted"}  # trap 22
    assert [told["evseId"] for told in book.heard("NotifyEVChargingNeeds")] == [2]


def test_streams_of_chargers_end_here() -> None:
    book = opened()
    stream = {"id": 1, "params": {}, "variableMonitoringId": 3}
    assert book.say("CP1", "OpenPeriodicEventStream", {"constantStreamData": stream})["status"] == "Rejected"
    assert not book.heard("OpenPeriodicEventStream")


def test_a_refusal_of_the_csms_reaches_the_charger() -> None:
    book = opened()
    book.csms_says["DataTransfer"] = {"error": "NotSupported"}
    assert book.say("CP1", "DataTransfer", {"vendorId": "acme"})[0] == "NotSupported"
