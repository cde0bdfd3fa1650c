"""Local answers while the CSMS is away: valid by the OCA schemas, never more than the CSMS said."""

import pytest

from controller.facts import Stamp
from controller.link.policy import STATION
from controller.ocpp.registry import dialects
from controller.ocpp.v2 import answers
from tests.support.schemas import SEND_ONLY, check_response, example_request

AT = Stamp(10.0, 1_790_000_000.0)
TOKEN = {"idToken": "AABB", "type": "ISO14443"}
EVERY = [(version, action) for version in ("ocpp2.0.1", "ocpp2.1") for action in sorted(STATION[version])]


def unknown(token: dict[str, object]) -> None:
    return None


@pytest.mark.parametrize(("version", "action"), EVERY)
def test_every_call_of_a_station_has_a_valid_answer_while_the_csms_is_away(version: str, action: str) -> None:
    dialect = dialects()[version]
    for full in (False, True):
        answer = dialect.answer(AT, action, example_request(action, version, full=full), unknown)
        if action in SEND_ONLY:
            assert answer is None
        else:
            assert answer is not None
            check_response(action, answer, version)


@pytest.mark.parametrize(("version", "action"), EVERY)
def test_a_request_without_its_fields_never_breaks_the_answer(version: str, action: str) -> None:
    for payload in ({}, {"idToken": 3}, {"vatNumber": 1}, {"certificateStatusRequests": [{"source": "CRL"}]}, {"certificateStatusRequests": [5]}):
        answer = dialects()[version].answer(AT, action, payload, unknown)
        if answer is not None:
            check_response(action, answer, version)


def test_a_boot_is_accepted_with_real_time_or_pending_without() -> None:  # F78
    accepted = answers.answer(AT, "BootNotification", {}, unknown)
    assert accepted is not None
    assert accepted["status"] == "Accepted"
    assert accepted["currentTime"].startswith("2026-09-21T")
    pending = answers.answer(Stamp(10.0, 5.0, wall_trusted=False), "BootNotification", {}, unknown)
    assert pending is not None
    assert pending["status"] == "Pending"


def test_authorisation_says_only_what_the_csms_said() -> None:
    assert answers.answer(AT, "Authorize", {"idToken": TOKEN}, unknown) == {"idTokenInfo": {"status": "Unknown"}}
    blocked = {"status": "Blocked"}
    assert answers.answer(AT, "Authorize", {"idToken": TOKEN}, lambda token: blocked) == {"idTokenInfo": blocked}
    free = {"idToken": "", "type": "NoAuthorization"}
    assert answers.answer(AT, "Authorize", {"idToken": free}, unknown) == {"idTokenInfo": {"status": "Accepted"}}


def test_a_contract_that_only_the_csms_can_check_is_not_accepted_unchecked() -> None:  # C07
    known = {"status": "Accepted"}
    central = answers.answer(AT, "Authorize", {"idToken": TOKEN, "certificate": "pem"}, lambda token: known)
    assert central == {"idTokenInfo": {"status": "Invalid"}, "certificateStatus": "CertChainError"}
    checked = {"idToken": TOKEN, "iso15118CertificateHashData": [{}]}
    assert answers.answer(AT, "Authorize", checked, lambda token: known) == {"idTokenInfo": known}


def test_token_info_comes_exactly_when_a_token_was_sent() -> None:
    assert answers.answer(AT, "TransactionEvent", {}, unknown) == {}
    assert answers.answer(AT, "TransactionEvent", {"idToken": TOKEN}, unknown) == {"idTokenInfo": {"status": "Unknown"}}


def test_needs_of_a_car_are_never_rejected() -> None:  # trap 22
    assert dialects()["ocpp2.0.1"].answer(AT, "NotifyEVChargingNeeds", {}, unknown) == {"status": "Accepted"}
    assert dialects()["ocpp2.1"].answer(AT, "NotifyEVChargingNeeds", {}, unknown) == {"status": "NoChargingProfile"}


def test_queue_status_names_the_transaction_only_when_asked() -> None:  # E14
    asked = answers.queue_status({"transactionId": "t"}, {"t"}, {"t"}, True)
    check_response("GetTransactionStatus", asked)
    assert asked == {"ongoingIndicator": True, "messagesInQueue": True}
    assert answers.queue_status({"transactionId": "u"}, {"t"}, {"t"}, True) == {"ongoingIndicator": False, "messagesInQueue": False}
    assert answers.queue_status({}, {"t"}, {"t"}, True) == {"messagesInQueue": True}
