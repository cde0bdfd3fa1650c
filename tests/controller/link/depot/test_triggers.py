"""TriggerMessage to a depot (F06, trap 30)."""

from __future__ import annotations

import pytest

from controller.ocpp.times import timestamp
from tests.support.depot_book import START_WALL_S, DepotBook, Payload
from tests.support.desk import UUID_A, asked, desk, mixed, says

ACCEPTED = {"status": "Accepted"}


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ("Heartbeat", {}),
        ("FirmwareStatusNotification", {"status": "Idle"}),
        ("LogStatusNotification", {"status": "Idle"}),
        ("PublishFirmwareStatusNotification", {"status": "Idle"}),
    ],
)
def test_the_depot_speaks_for_itself_after_it_has_answered(wanted: str, said: Payload) -> None:
    book = desk()
    book.after_s = 1
    assert book.csms("TriggerMessage", {"requestedMessage": wanted}) == ACCEPTED
    assert book.heard(wanted) == [said]
    assert not any(book.down.values())


def test_a_boot_that_was_accepted_is_not_repeated() -> None:
    answer = desk().csms("TriggerMessage", {"requestedMessage": "BootNotification"})
    assert answer["status"] == "Rejected"  # F06.FR.17


def test_while_pending_a_boot_can_be_triggered() -> None:
    book = DepotBook(mixed(), CP16="ocpp1.6", CP20="ocpp2.0.1", CP21="ocpp2.1")
    book.csms_says["BootNotification"] = {"currentTime": timestamp(START_WALL_S), "interval": 5000, "status": "Pending"}
    book.open()
    assert book.csms("TriggerMessage", {"requestedMessage": "BootNotification"}) == ACCEPTED
    book.wait(2)
    assert [told["reason"] for told in book.heard("BootNotification")] == ["PowerUp", "Triggered"]
    assert book.csms("TriggerMessage", {"requestedMessage": "Heartbeat"}) == ACCEPTED
    assert book.heard("Heartbeat") == [{}]  # B02.FR.02: what the CSMS asks for may go up while it is Pending


def test_a_status_wants_a_connector() -> None:
    book = desk()
    for evse in (None, {"id": 2}):
        message = {"requestedMessage": "StatusNotification", **({"evse": evse} if evse else {})}
        assert book.csms("TriggerMessage", message)["status"] == "Rejected"  # F06.FR.12
    assert book.csms("TriggerMessage", {"requestedMessage": "StatusNotification", "evse": {"id": 3, "connectorId": 1}}) == ACCEPTED
    (told,) = book.heard("StatusNotification")
    assert (told["evseId"], told["connectorId"], told["connectorStatus"]) == (3, 1, "Available")
    assert book.csms("TriggerMessage", {"requestedMessage": "StatusNotification", "evse": {"id": 9, "connectorId": 1}})["status"] == "Rejected"


def test_a_16_csms_asks_for_all_states_without_a_connector() -> None:
    book = desk("ocpp1.6")
    book.hang_up("CP21")
    book.wait(15)
    book.up.clear()
    assert book.csms("TriggerMessage", {"requestedMessage": "StatusNotification"}) == ACCEPTED
    book.wait(3)
    assert {(told["connectorId"], told["status"]) for told in book.heard("StatusNotification") if told["connectorId"]} == {
        (1, "Available"),
        (2, "Available"),
        (3, "Available"),
        (4, "Unavailable"),
    }


def test_meter_values_of_one_evse_and_of_all() -> None:
    book = desk()
    book.csms("TriggerMessage", {"requestedMessage": "MeterValues", "evse": {"id": 3}})
    assert asked(book, "CP20", "TriggerMessage") == [{"requestedMessage": "MeterValues", "evse": {"id": 2}}]
    assert book.csms("TriggerMessage", {"requestedMessage": "MeterValues"}) == ACCEPTED
    assert asked(book, "CP16", "TriggerMessage") == [{"requestedMessage": "MeterValues", "connectorId": 1}]
    assert [payload["evse"]["id"] for payload in asked(book, "CP20", "TriggerMessage")] == [2, 1, 2]
    assert [payload["evse"]["id"] for payload in asked(book, "CP21", "TriggerMessage")] == [1]


def test_those_that_cannot_are_named() -> None:
    book = desk()
    says(book, "TriggerMessage", CP16={"status": "NotImplemented"}, CP20={"status": "Rejected"})
    answer = book.csms("TriggerMessage", {"requestedMessage": "MeterValues"})
    assert (answer["status"], answer["statusInfo"]["reasonCode"]) == ("Accepted", "PartlyDone")
    says(book, "TriggerMessage", CP20={"status": "NotImplemented"}, CP21={"status": "NotImplemented"})
    assert book.csms("TriggerMessage", {"requestedMessage": "MeterValues"})["status"] == "NotImplemented"


def test_transaction_events_of_those_that_run() -> None:
    book = desk()
    assert book.csms("TriggerMessage", {"requestedMessage": "TransactionEvent"})["status"] == "Rejected"
    book.event("CP20", "Started", UUID_A, 0, evse_id=2)
    assert book.csms("TriggerMessage", {"requestedMessage": "TransactionEvent"}) == ACCEPTED
    assert asked(book, "CP20", "TriggerMessage") == [{"requestedMessage": "TransactionEvent", "evse": {"id": 2}}]
    assert not asked(book, "CP21", "TriggerMessage")
    assert book.csms("TriggerMessage", {"requestedMessage": "TransactionEvent", "evse": {"id": 4}})["status"] == "Rejected"


def test_certificates_are_a_chargers_or_nobodys() -> None:
    book = desk()
    for wanted in ("SignChargingStationCertificate", "SignV2GCertificate", "SignCombinedCertificate"):
        assert book.csms("TriggerMessage", {"requestedMessage": wanted})["status"] == "NotImplemented"
    assert book.csms("TriggerMessage", {"requestedMessage": "SignV2GCertificate", "evse": {"id": 4}}) == ACCEPTED
    assert asked(book, "CP21", "TriggerMessage") == [{"requestedMessage": "SignV2GCertificate", "evse": {"id": 1}}]
    assert book.csms("TriggerMessage", {"requestedMessage": "SignChargingStationCertificate", "evse": {"id": 4}})["status"] == "NotImplemented"


def test_a_status_that_was_triggered_is_the_one_the_csms_knows() -> None:
    book = desk(absent_s=30)
    book.hang_up("CP21")
    book.wait(3)
    assert book.csms("TriggerMessage", {"requestedMessage": "StatusNotification", "evse": {"id": 4, "connectorId": 1}}) == ACCEPTED
    book.connect("CP21")  # a 2.x charger that reconnects so soon says nothing
    book.wait(30)
    assert book.heard("StatusNotification")[-1]["connectorStatus"] == "Available"
    book.hang_up("CP21")
    book.wait(32)
    assert book.csms("TriggerMessage", {"requestedMessage": "StatusNotification", "evse": {"id": 4, "connectorId": 1}}) == ACCEPTED
    assert [told["connectorStatus"] for told in book.heard("StatusNotification")[-2:]] == ["Unavailable", "Unavailable"]
