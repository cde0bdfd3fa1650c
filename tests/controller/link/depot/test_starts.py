"""Remote starts and stops of a depot: with an EVSE, and without one by policy (F01-F03)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.depot_book import DepotBook
from tests.support.desk import TOKEN, UUID_A, asked, desk, says

ACCEPTED = {"status": "Accepted"}


def willing(**more: Any) -> DepotBook:
    book = desk(**more)
    says(book, "RemoteStartTransaction", CP16=ACCEPTED)
    says(book, "RequestStartTransaction", CP20=ACCEPTED, CP21=ACCEPTED)
    return book


def start(book: DepotBook, **more: Any) -> Any:
    return book.csms("RequestStartTransaction", {"remoteStartId": 7, "idToken": TOKEN, **more})


def test_the_start_goes_to_the_charger_of_the_evse_under_its_own_number() -> None:
    book = willing()
    assert start(book, evseId=3) == ACCEPTED
    assert [payload["evseId"] for payload in asked(book, "CP20", "RequestStartTransaction")] == [2]
    assert start(book, evseId=1) == ACCEPTED
    assert asked(book, "CP16", "RemoteStartTransaction") == [{"connectorId": 1, "idTag": "AABBCCDD"}]
    assert asked(book, "CP21", "RequestStartTransaction") == []


def test_an_evse_that_is_not_there_is_named() -> None:
    answer = start(willing(), evseId=9)
    assert (answer["status"], answer["statusInfo"]["reasonCode"]) == ("Rejected", "UnknownEvse")


def test_a_charger_that_is_away_is_named() -> None:
    book = willing()
    book.hang_up("CP20")
    answer = start(book, evseId=2)
    assert answer["status"] == "Rejected"
    assert "CP20" in answer["statusInfo"]["additionalInfo"]


def test_without_evse_the_first_waiting_car_is_started() -> None:
    book = willing()
    book.status("CP20", "Occupied", 2)
    book.status("CP21", "Occupied")
    assert start(book) == ACCEPTED
    assert [payload["evseId"] for payload in asked(book, "CP20", "RequestStartTransaction")] == [2]


def test_without_evse_an_evse_with_a_session_is_left_alone() -> None:
    book = willing()
    book.event("CP20", "Started", UUID_A, 0, evse_id=2)
    book.status("CP20", "Occupied", 2)
    book.status("CP21", "Occupied")
    assert start(book) == ACCEPTED
    assert len(asked(book, "CP21", "RequestStartTransaction")) == 1


def test_without_evse_and_without_car_a_free_one_is_taken() -> None:
    book = willing()
    assert start(book) == ACCEPTED
    assert len(asked(book, "CP16", "RemoteStartTransaction")) == 1


def test_most_power_takes_the_strongest() -> None:
    book = willing(start_without_evse="most_power")
    assert start(book) == ACCEPTED  # EVSE 2 of CP20 has 63 A, all others 32 A
    assert [payload["evseId"] for payload in asked(book, "CP20", "RequestStartTransaction")] == [2]


def test_refuse_says_so() -> None:
    book = willing(start_without_evse="refuse")
    answer = start(book)
    assert answer["status"] == "Rejected"
    assert "start_without_evse" in answer["statusInfo"]["additionalInfo"]
    assert not any(book.down.values())


def test_a_reserved_evse_is_for_its_driver_only() -> None:
    book = willing()
    book.station_says["CP16"]["ReserveNow"] = ACCEPTED
    until = {"id": 5, "expiryDateTime": "2030-01-01T00:00:00Z", "evseId": 1}
    assert book.csms("ReserveNow", {**until, "idToken": TOKEN})["status"] == "Accepted"
    book.status("CP16", "Reserved")
    assert start(book, idToken={"idToken": "0011", "type": "ISO14443"}) == ACCEPTED
    assert len(asked(book, "CP20", "RequestStartTransaction")) == 1
    assert start(book) == ACCEPTED
    assert len(asked(book, "CP16", "RemoteStartTransaction")) == 1


def test_a_stop_finds_the_charger() -> None:
    book = willing()
    says(book, "RequestStopTransaction", CP20=ACCEPTED)
    book.event("CP20", "Started", UUID_A, 0, evse_id=2)
    assert book.csms("RequestStopTransaction", {"transactionId": UUID_A}) == ACCEPTED
    assert asked(book, "CP20", "RequestStopTransaction") == [{"transactionId": UUID_A}]


def test_a_stop_of_a_16_charger_gets_its_number() -> None:
    book = willing()
    says(book, "RemoteStopTransaction", CP16=ACCEPTED)
    started = book.say(
        "CP16", "StartTransaction", {"connectorId": 1, "idTag": "AABBCCDD", "meterStart": 0, "timestamp": "2026-09-21T14:00:00Z"}
    )
    (event,) = book.heard("TransactionEvent")
    assert book.csms("RequestStopTransaction", {"transactionId": event["transactionInfo"]["transactionId"]}) == ACCEPTED
    assert asked(book, "CP16", "RemoteStopTransaction") == [{"transactionId": started["transactionId"]}]


def test_ids_of_two_chargers_that_are_the_same_are_told_apart() -> None:
    book = willing()
    says(book, "RequestStopTransaction", CP20=ACCEPTED, CP21=ACCEPTED)
    book.event("CP20", "Started", "1", 0)
    book.event("CP21", "Started", "1", 0)
    first, second = (event["transactionInfo"]["transactionId"] for event in book.heard("TransactionEvent"))
    assert first != second
    assert book.csms("RequestStopTransaction", {"transactionId": second}) == ACCEPTED
    assert asked(book, "CP21", "RequestStopTransaction") == [{"transactionId": "1"}]
    assert asked(book, "CP20", "RequestStopTransaction") == []


@pytest.mark.parametrize("transaction_id", ["", UUID_A])
def test_an_unknown_transaction_is_not_stopped(transaction_id: str) -> None:
    answer = willing().csms("RequestStopTransaction", {"transactionId": transaction_id})
    assert (answer["status"], answer["statusInfo"]["reasonCode"]) == ("Rejected", "TxNotFound")


def test_a_reservation_counts_also_where_the_charger_does_not_show_it() -> None:
    book = willing()
    book.station_says["CP16"]["ReserveNow"] = ACCEPTED
    book.csms("ReserveNow", {"id": 5, "expiryDateTime": "2030-01-01T00:00:00Z", "evseId": 1, "idToken": TOKEN})
    assert start(book, idToken={"idToken": "0011", "type": "ISO14443"}) == ACCEPTED
    assert not asked(book, "CP16", "RemoteStartTransaction")


def test_without_evse_two_drivers_get_two_places() -> None:
    book = willing()
    assert start(book) == ACCEPTED
    assert start(book, remoteStartId=8) == ACCEPTED
    assert len(asked(book, "CP16", "RemoteStartTransaction")) == 1
    assert len(asked(book, "CP20", "RequestStartTransaction")) == 1
    book.wait(130)  # nobody came: both are free again
    assert start(book, remoteStartId=9) == ACCEPTED
    assert len(asked(book, "CP16", "RemoteStartTransaction")) == 2


def test_a_car_that_has_been_charged_is_the_last_to_be_started() -> None:
    book = willing()
    book.status("CP20", "Occupied", 1)
    book.event("CP20", "Started", UUID_A, 0)
    book.wait(2)
    book.event("CP20", "Ended", UUID_A, 1, trigger="StopAuthorized")
    book.wait(2)
    book.status("CP21", "Occupied")
    assert start(book) == ACCEPTED
    assert len(asked(book, "CP21", "RequestStartTransaction")) == 1
    assert not asked(book, "CP20", "RequestStartTransaction")
    book.status("CP20", "Available", 1)
    book.wait(2)
    book.status("CP20", "Occupied", 1)  # another car
    assert start(book, remoteStartId=9) == ACCEPTED
    assert [payload["evseId"] for payload in asked(book, "CP20", "RequestStartTransaction")] == [1]
