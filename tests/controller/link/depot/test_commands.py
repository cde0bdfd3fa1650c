"""Single commands of the CSMS to one EVSE of a depot, and what the depot as a whole has not."""

from __future__ import annotations

import pytest

from controller.link.depot.parts import MAKERS
from tests.support.desk import TOKEN, UUID_A, asked, desk, says
from tests.support.schemas import actions

OF_STATIONS = {
    "Authorize",
    "BatterySwap",
    "BootNotification",
    "ClearedChargingLimit",
    "ClosePeriodicEventStream",
    "FirmwareStatusNotification",
    "Get15118EVCertificate",
    "GetCertificateChainStatus",
    "GetCertificateStatus",
    "Heartbeat",
    "LogStatusNotification",
    "MeterValues",
    "NotifyChargingLimit",
    "NotifyCustomerInformation",
    "NotifyDERAlarm",
    "NotifyDERStartStop",
    "NotifyDisplayMessages",
    "NotifyEVChargingNeeds",
    "NotifyEVChargingSchedule",
    "NotifyEvent",
    "NotifyMonitoringReport",
    "NotifyPeriodicEventStream",
    "NotifyPriorityCharging",
    "NotifyReport",
    "NotifySettlement",
    "OpenPeriodicEventStream",
    "PublishFirmwareStatusNotification",
    "PullDynamicScheduleUpdate",
    "ReportChargingProfiles",
    "ReportDERControl",
    "ReservationStatusUpdate",
    "SecurityEventNotification",
    "SignCertificate",
    "StatusNotification",
    "TransactionEvent",
    "VatNumberValidation",
}
"""What a station sends in 2.1 (part 2, message chapter); DataTransfer goes both ways, all others come from the CSMS."""


def test_unlocking() -> None:
    book = desk()
    says(book, "UnlockConnector", CP16={"status": "Unlocked"}, CP20={"status": "Unlocked"})
    assert book.csms("UnlockConnector", {"evseId": 3, "connectorId": 1}) == {"status": "Unlocked"}
    assert asked(book, "CP20", "UnlockConnector") == [{"evseId": 2, "connectorId": 1}]
    assert book.csms("UnlockConnector", {"evseId": 1, "connectorId": 1}) == {"status": "Unlocked"}
    assert asked(book, "CP16", "UnlockConnector") == [{"connectorId": 1}]
    assert book.csms("UnlockConnector", {"evseId": 8, "connectorId": 1})["status"] == "UnknownConnector"
    book.hang_up("CP20")
    assert book.csms("UnlockConnector", {"evseId": 3, "connectorId": 1})["status"] == "UnlockFailed"


def test_data_for_nobody_in_particular() -> None:
    book = desk()
    assert book.csms("DataTransfer", {"vendorId": "acme"})["status"] == "UnknownVendorId"
    book.csms_says["DataTransfer"] = {"status": "Accepted", "data": "yes"}
    assert book.say("CP20", "DataTransfer", {"vendorId": "acme", "data": [1, {"a": ""}]})["data"] == "yes"
    assert book.heard("DataTransfer") == [{"vendorId": "acme", "data": [1, {"a": ""}]}]


def test_streams_there_are_none() -> None:
    book = desk()
    assert book.csms("GetPeriodicEventStream", {}) == {}
    assert book.csms("AdjustPeriodicEventStream", {"id": 1, "params": {}})["status"] == "Rejected"


def test_web_payments_and_vat_numbers_know_their_evse() -> None:
    book = desk()
    says(book, "NotifyWebPaymentStarted", CP21={})
    assert book.csms("NotifyWebPaymentStarted", {"evseId": 4, "timeout": 60}) == {}
    assert asked(book, "CP21", "NotifyWebPaymentStarted") == [{"evseId": 1, "timeout": 60}]
    assert book.csms("NotifyWebPaymentStarted", {"evseId": 9, "timeout": 60})[0] == "PropertyConstraintViolation"
    book.csms_says["VatNumberValidation"] = lambda request: {"vatNumber": "DE1", "evseId": request["evseId"], "status": "Accepted"}
    assert book.say("CP21", "VatNumberValidation", {"vatNumber": "DE1", "evseId": 1})["evseId"] == 1
    assert book.heard("VatNumberValidation") == [{"vatNumber": "DE1", "evseId": 4}]


def test_a_settlement_names_the_depots_transaction() -> None:
    book = desk()
    book.event("CP20", "Started", "1", 0)
    book.event("CP21", "Started", "1", 0)
    second = book.heard("TransactionEvent")[1]["transactionInfo"]["transactionId"]
    settled = {"transactionId": "1", "pspRef": "R", "status": "Settled", "settlementAmount": 5.0, "settlementTime": "2026-09-21T14:00:00Z"}
    book.say("CP21", "NotifySettlement", settled)
    assert book.heard("NotifySettlement")[0]["transactionId"] == second


def test_the_status_of_a_transaction() -> None:
    book = desk()
    book.event("CP21", "Started", UUID_A, 0)
    assert book.csms("GetTransactionStatus", {"transactionId": UUID_A})["ongoingIndicator"] is True
    assert book.csms("GetTransactionStatus", {"transactionId": "?"}) == {"ongoingIndicator": False, "messagesInQueue": False}


def test_every_action_of_the_csms_has_somebody_who_answers_it() -> None:
    office = desk().face.office
    answered = {action for make in MAKERS for action in make(office).of_csms()}
    missing = actions("ocpp2.1") - OF_STATIONS - answered
    assert not missing


def test_every_action_of_a_station_has_somebody_who_answers_it() -> None:
    office = desk().face.office
    answered = {action for make in MAKERS for action in make(office).of_station()}
    assert not OF_STATIONS - answered


@pytest.mark.parametrize("silent", ["CP16", "CP21"])
def test_a_charger_that_is_silent_does_not_hold_up_a_command_for_all(silent: str) -> None:
    """The CSMS waits 30 s for an answer; one charger that hangs must not cost the others theirs."""
    book = desk()
    says(book, "ClearCache", CP16={"status": "Accepted"}, CP20={"status": "Accepted"}, CP21={"status": "Accepted"})
    real = book._station_frame

    def mute(name: str, frame: list[object]) -> None:
        if name != silent or frame[0] != 2:
            real(name, frame)

    book._station_frame = mute  # type: ignore[method-assign]
    book.csms("ClearCache", {})
    message_id = f"csms-{book._count}"
    book.wait(25)
    answer = book.answers[message_id]
    assert answer["status"] == "Accepted"
    assert silent in answer["statusInfo"]["additionalInfo"]


@pytest.mark.parametrize(
    ("action", "payload", "no"),
    [
        ("UnlockConnector", {"evseId": 4, "connectorId": 1}, "UnlockFailed"),
        ("Reset", {"type": "Immediate", "evseId": 4}, "Rejected"),
        ("RequestStartTransaction", {"remoteStartId": 1, "idToken": TOKEN, "evseId": 4}, "Rejected"),
        ("TriggerMessage", {"requestedMessage": "MeterValues", "evse": {"id": 4}}, "Rejected"),
    ],
)
def test_a_command_for_one_charger_that_is_silent_is_answered_in_time(action: str, payload: dict[str, object], no: str) -> None:
    book = desk()
    real = book._station_frame

    def mute(name: str, frame: list[object]) -> None:
        if name != "CP21" or frame[0] != 2:
            real(name, frame)

    book._station_frame = mute  # type: ignore[method-assign]
    book.csms(action, payload)
    message_id = f"csms-{book._count}"
    book.wait(22)
    answer = book.answers[message_id]
    assert (answer["status"], answer["statusInfo"]["reasonCode"]) == (no, "Timeout")


def test_tokens_are_never_told() -> None:
    book = desk()
    book.csms("RequestStartTransaction", {"remoteStartId": 1, "idToken": TOKEN, "evseId": 4})
    entry = {"idToken": TOKEN, "idTokenInfo": {"status": "Accepted"}}
    book.csms("SendLocalList", {"versionNumber": 1, "updateType": "Full", "localAuthorizationList": [entry]})
    book.wait(5)
    assert not any(TOKEN["idToken"] in text for text in book.told)
