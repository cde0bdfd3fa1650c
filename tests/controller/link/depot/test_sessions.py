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
    book.disk = False
    book.event("CP1", "Started", "1", 0)
    book.event("CP2", "Started", UUID, 0)
    assert not book.heard("TransactionEvent")
    book.written()
    assert len(book.heard("TransactionEvent")) == 2
    assert {f"tx:{depot_id}" for depot_id in ids(book)} <= {key for _, key in book.memories}


def test_an_end_is_on_disk_before_the_charger_may_forget_it() -> None:
    """Else the session would run for ever at its EVSE after a power cut: nobody says its end a second time."""
    book = opened()
    book.event("CP1", "Started", UUID, 0)
    book.wait(2)
    book.disk = False
    assert book.event("CP1", "Ended", UUID, 1) is None
    assert len(book.heard("TransactionEvent")) == 2
    assert book.restarted().face.office.transactions.running() != ()
    book.written()
    assert book.restarted().face.office.transactions.running() == ()


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


# -- chargers and CSMS of any version ----------------------------------------------------------------------------


def mixed(version: str) -> DepotBook:
    """A charger of each version: A 1.6, B 2.0.1, C 2.1. Each charges, the CSMS goes away, A and B end their sessions meanwhile."""
    book = opened(site(("A", "B", "C")), version=version, A="ocpp1.6", B="ocpp2.0.1", C="ocpp2.1")
    now = timestamp(book.at.wall_s)
    token = {"idToken": "AABBCCDD", "type": "ISO14443"}
    started = book.say("A", "StartTransaction", {"connectorId": 1, "idTag": "AABBCCDD", "meterStart": 100, "timestamp": now})
    assert started["transactionId"] > 0
    for name, transaction_id in (("B", UUID), ("C", OTHER)):
        begin = [{"timestamp": now, "sampledValue": [{"value": 10.0, "context": "Transaction.Begin"}]}]
        book.event(name, "Started", transaction_id, 0, trigger="Authorized", idToken=token, meterValue=begin)
    book.lose()
    stop = {"transactionId": started["transactionId"], "meterStop": 900, "timestamp": now, "reason": "EVDisconnected"}
    assert book.say("A", "StopTransaction", stop) == {}
    end = [{"timestamp": now, "sampledValue": [{"value": 500.0, "context": "Transaction.End"}]}]
    book.event("B", "Ended", UUID, 1, evse_id=0, trigger="EVDeparted", meterValue=end, info={"stoppedReason": "EVDisconnected"})
    book.wait(30)
    book.open()
    book.wait(60)
    assert not book.rows
    return book


@pytest.mark.parametrize("version", ["ocpp2.0.1", "ocpp2.1"])
def test_a_2x_csms_sees_three_evses_whatever_they_speak(version: str) -> None:
    book = mixed(version)
    found: dict[str, list[dict[str, Any]]] = {}
    for told in book.heard("TransactionEvent"):
        found.setdefault(told["transactionInfo"]["transactionId"], []).append(told)
    of_a, of_b, of_c = found.values()
    assert [events[0]["evse"]["id"] for events in (of_a, of_b, of_c)] == [1, 2, 3]
    assert [events[0]["eventType"] for events in (of_a, of_b, of_c)] == ["Started"] * 3
    assert [told["seqNo"] for told in of_a] == list(range(len(of_a)))
    for events, meter_wh, trigger in ((of_a, 900.0, "EVCommunicationLost"), (of_b, 500.0, "EVDeparted")):
        last = events[-1]
        assert (last["eventType"], last["offline"], last["triggerReason"]) == ("Ended", True, trigger)
        assert last["transactionInfo"]["stoppedReason"] == "EVDisconnected"
        assert meter_wh in [sample["value"] for value in last["meterValue"] for sample in value["sampledValue"]]
    assert {UUID, OTHER} <= set(found)


def test_a_16_csms_sees_three_connectors_whatever_they_speak() -> None:
    book = mixed("ocpp1.6")
    starts = [(told["connectorId"], told["idTag"], told["meterStart"]) for told in book.heard("StartTransaction")]
    assert starts == [(1, "AABBCCDD", 100), (2, "AABBCCDD", 10), (3, "AABBCCDD", 10)]
    stops = {told["transactionId"]: told for told in book.heard("StopTransaction")}
    # The CSMS has numbered them 1001, 1002, 1003 in the order it heard of them.
    assert {number: (told["meterStop"], told["reason"]) for number, told in stops.items()} == {
        1001: (900, "EVDisconnected"),
        1002: (500, "EVDisconnected"),
    }


def test_all_queues_are_asked_at_the_same_time() -> None:
    book = DepotBook(CP1="ocpp2.1", CP2="ocpp2.1")
    book.open()
    book.boot()
    book.wait(2)
    book.station_says["CP1"]["GetTransactionStatus"] = {"messagesInQueue": True}
    for told in book.down.values():
        told.clear()
    assert book.csms("GetTransactionStatus", {}) == {"messagesInQueue": True}  # E14.FR.06-08: no ongoingIndicator without an id
    assert [action for action, _ in book.down["CP1"] + book.down["CP2"] if action == "GetTransactionStatus"] == ["GetTransactionStatus"] * 2
