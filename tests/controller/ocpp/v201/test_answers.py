"""Local answers while the CSMS is away: valid by the OCA schemas, never more than the CSMS said."""

import pytest

from controller.facts import Stamp
from controller.link.policy import STATION, Upstream, Verb
from controller.ocpp.v201 import answers
from tests.support.schemas import check_response

FROM_STATION = STATION["ocpp2.0.1"]
AT = Stamp(10.0, 1_790_000_000.0)
TOKEN = {"idToken": "AABB", "type": "ISO14443"}


def unknown(token: dict[str, object]) -> None:
    return None


@pytest.mark.parametrize("action", sorted(FROM_STATION))
def test_every_answer_validates(action: str) -> None:
    answer = answers.answer(AT, action, {"idToken": TOKEN}, unknown)
    assert answer is not None
    check_response(action, answer)


def test_every_action_the_table_answers_or_holds_has_an_answer() -> None:
    for action, row in FROM_STATION.items():
        if row.verb(Upstream.AWAY) in (Verb.ANSWER, Verb.HOLD):
            assert answers.answer(AT, action, {}, unknown) is not None


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


def test_token_info_comes_exactly_when_a_token_was_sent() -> None:
    assert answers.answer(AT, "TransactionEvent", {}, unknown) == {}
    assert answers.answer(AT, "TransactionEvent", {"idToken": TOKEN}, unknown) == {"idTokenInfo": {"status": "Unknown"}}


def test_needs_of_a_car_are_never_rejected() -> None:  # trap 22
    assert answers.answer(AT, "NotifyEVChargingNeeds", {}, unknown) == {"status": "Accepted"}


def test_refusals_validate() -> None:
    network = answers.refuse("SetNetworkProfile", {})
    assert network is not None
    check_response("SetNetworkProfile", network)
    items = [{"attributeValue": "x", "attributeType": "Actual", "component": {"name": "SecurityCtrlr"}, "variable": {"name": "BasicAuthPassword"}}]
    variables = answers.refuse("SetVariables", {"setVariableData": items})
    assert variables is not None
    check_response("SetVariables", variables)
    assert answers.risky_variables({"setVariableData": items})
    assert not answers.risky_variables({"setVariableData": [{"component": {"name": "A"}, "variable": {"name": "BasicAuthPassword"}}, "odd"]})


def test_queue_status_names_the_transaction_only_when_asked() -> None:  # E14
    asked = answers.queue_status({"transactionId": "t"}, {"t"}, {"t"}, True)
    check_response("GetTransactionStatus", asked)
    assert asked == {"ongoingIndicator": True, "messagesInQueue": True}
    assert answers.queue_status({"transactionId": "u"}, {"t"}, {"t"}, True) == {"ongoingIndicator": False, "messagesInQueue": False}
    assert answers.queue_status({}, {"t"}, {"t"}, True) == {"messagesInQueue": True}
