"""Sessions of many chargers under one identity: ids unique for ever, every queue counted."""

from __future__ import annotations

from typing import Any

import pytest

from controller.ocpp.times import timestamp
from tests.support.depot_book import DepotBook, site

UUID = "0f8fad5b-d9cb-469f-a165-70867728950e"
OTHER = "7c9e6679-7425-40de-944b-e07fc1f90ae7"


def opened(config: Any = None, **more: Any) -> DepotBook:
    book = DepotBook(config, **more)
    book.open()
    book.boot()
    book.wait(2)
    book.up.clear()
    return book


def ids(book: DepotBook) -> list[str]:
    return [told["transactionInfo"]["transactionId"] for told in book.heard("TransactionEvent")]


# -- events -------------------------------------------------------------------------------------------------


def test_an_event_keeps_everything_but_its_evse_number() -> None:
    book = opened(site(("CP1", "CP2"), evses=2))
    meter = [{"timestamp": timestamp(book.at.wall_s), "sampledValue": [{"value": 12.5, "measurand": "Energy.Active.Import.Register"}]}]
    book.event("CP2", "Started", UUID, 0, evse_id=2, meterValue=meter, idToken={"idToken": "AA11", "type": "ISO14443"}, reservationId=9)
    (told,) = book.heard("TransactionEvent")
    assert told == {
        "eventType": "Started",
        "timestamp": timestamp(book.at.wall_s),
        "triggerReason": "Trigger",
        "seqNo": 0,
        "transactionInfo": {"transactionId": UUID},
        "evse": {"id": 4, "connectorId": 1},
        "meterValue": meter,
        "idToken": {"idToken": "AA11", "type": "ISO14443"},
        "reservationId": 9,
    }


def test_the_csms_s_answer_reaches_the_charger_with_its_own_numbers() -> None:
    book = opened(site(("CP1", "CP2"), evses=2))
    book.csms_says["TransactionEvent"] = {"totalCost": 3.5, "idTokenInfo": {"status": "Accepted", "evseId": [1, 4]}}
    assert book.event("CP2", "Started", UUID, 0) == {"totalCost": 3.5, "idTokenInfo": {"status": "Accepted", "evseId": [2]}}
    book.csms_says["TransactionEvent"] = {"idTokenInfo": {"status": "Accepted", "evseId": [1, 2]}}
    assert book.event("CP2", "Updated", UUID, 1) == {"idTokenInfo": {"status": "NotAtThisLocation"}}
    assert book.event("CP1", "Started", OTHER, 0) == {"idTokenInfo": {"status": "Accepted"}}  # all of that charger


def test_signed_values_pass_letter_for_letter() -> None:
    book = opened()
    blob = {"signedMeterData": "T0NNRnx7Ig==", "signingMethod": "ECDSA-secp256r1-SHA256", "encodingMethod": "OCMF", "publicKey": "oca:base16:asn1:30"}
    meter = [{"timestamp": timestamp(book.at.wall_s), "sampledValue": [{"value": 1.0, "signedMeterValue": blob}]}]
    book.event("CP1", "Started", UUID, 0, meterValue=meter)
    assert book.heard("TransactionEvent")[0]["meterValue"] == meter


# -- ids (trap 26) ---------------------------------------------------------------------------------------------


def test_two_chargers_with_one_id_are_two_transactions_for_the_csms() -> None:
    book = opened()
    book.event("CP1", "Started", UUID, 0)
    book.event("CP2", "Started", UUID, 0)
    book.event("CP1", "Updated", UUID, 1)
    book.event("CP2", "Ended", UUID, 1)
    first, second, third, fourth = ids(book)
    assert first == third == UUID
    assert second == fourth != UUID


def test_a_counter_is_no_name_and_the_same_counter_after_a_reboot_another_one() -> None:
    book = opened()
    book.event("CP1", "Started", "1", 0)
    book.event("CP1", "Ended", "1", 1)
    book.wait(60)
    book.event("CP1", "Started", "1", 0)
    first, same, another = ids(book)
    assert first == same != another
    assert all(len(known) == 36 for known in (first, another))


def test_the_replaced_id_is_undone_in_what_the_csms_asks() -> None:
    book = opened()
    book.event("CP2", "Started", "1", 0)
    (depot_id,) = ids(book)
    book.station_says["CP2"]["GetTransactionStatus"] = {"ongoingIndicator": True, "messagesInQueue": False}
    assert book.csms("GetTransactionStatus", {"transactionId": depot_id}) == {"ongoingIndicator": True, "messagesInQueue": False}
    assert ("GetTransactionStatus", {"transactionId": "1"}) in book.down["CP2"]


def test_ids_hold_over_a_restart_and_a_repeated_start_is_no_other_one() -> None:
    book = opened()
    when = timestamp(book.at.wall_s)
    book.event("CP1", "Started", "1", 0, timestamp=when)
    (depot_id,) = ids(book)
    again = book.restarted()
    again.connect()
    again.open()
    again.wait(2)
    assert again.face.office.cards["CP1"].transactions == {1: depot_id}
    again.event("CP1", "Started", "1", 0, timestamp=when)
    again.event("CP1", "Ended", "1", 1)
    assert ids(again) == [depot_id, depot_id]
    assert again.face.office.cards["CP1"].transactions == {}


def test_an_id_is_on_disk_before_the_csms_hears_it() -> None:
    book = opened()
    book.event("CP1", "Started", "1", 0)
    (depot_id,) = ids(book)
    assert any(key == f"tx:{depot_id}" for _, key in book.memories)


def test_a_session_at_an_evse_that_the_site_file_lacks_is_not_lost() -> None:
    book = opened()
    book.event("CP1", "Started", UUID, 0, evse_id=2)
    assert book.heard("TransactionEvent")[0]["evse"] == {"id": 3, "connectorId": 1}
    assert any("site.yaml" in text for text in book.told)
    assert [known.number for known in book.restarted().face.view().numbers] == [1, 2, 3]


# -- GetTransactionStatus (E14, trap 10) --------------------------------------------------------------------------


def test_what_waits_on_our_disk_counts_as_queued_though_the_charger_has_nothing() -> None:
    book = opened()
    book.event("CP1", "Started", UUID, 0)
    book.csms_says["TransactionEvent"] = {"error": "InternalError"}
    book.lose()
    book.event("CP1", "Updated", UUID, 1)
    book.open()
    book.wait(2)
    assert book.rows  # refused once, it waits for its next attempt
    book.station_says["CP1"]["GetTransactionStatus"] = {"ongoingIndicator": True, "messagesInQueue": False}
    assert book.csms("GetTransactionStatus", {"transactionId": UUID}) == {"ongoingIndicator": True, "messagesInQueue": True}
    assert book.csms("GetTransactionStatus", {}) == {"messagesInQueue": True}


def test_what_a_charger_that_is_away_left_here_counts_too() -> None:
    book = opened()
    book.event("CP1", "Started", UUID, 0)
    book.csms_says["TransactionEvent"] = {"error": "InternalError"}
    book.lose()
    book.event("CP1", "Updated", UUID, 1)
    book.hang_up("CP1")
    book.open()
    book.wait(2)
    assert book.csms("GetTransactionStatus", {"transactionId": UUID}) == {"ongoingIndicator": True, "messagesInQueue": True}


def test_without_an_id_every_charger_s_own_queue_counts() -> None:
    book = opened()
    assert book.csms("GetTransactionStatus", {}) == {"messagesInQueue": False}
    book.station_says["CP2"]["GetTransactionStatus"] = {"messagesInQueue": True}
    assert book.csms("GetTransactionStatus", {}) == {"messagesInQueue": True}


def test_a_transaction_nobody_has_heard_of() -> None:
    assert opened().csms("GetTransactionStatus", {"transactionId": OTHER}) == {"ongoingIndicator": False, "messagesInQueue": False}


@pytest.mark.parametrize("version", ["ocpp2.0.1", "ocpp2.1"])
def test_a_charger_of_the_other_2x_version_is_an_evse_like_any_other(version: str) -> None:
    other = "ocpp2.0.1" if version == "ocpp2.1" else "ocpp2.1"
    book = opened(version=version, CP2=other)
    book.event("CP2", "Started", UUID, 0)
    book.event("CP2", "Ended", UUID, 1)
    assert [(told["seqNo"], told.get("evse", {}).get("id")) for told in book.heard("TransactionEvent")] == [(0, 2), (1, 2)]
