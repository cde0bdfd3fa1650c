"""Local answers while the CSMS is away: valid by the OCA schemas, never more than the CSMS said."""

from typing import Any

import pytest

from controller.facts import Stamp
from controller.link.policy import STATION
from controller.ocpp.registry import dialects
from controller.ocpp.v16.answers import answer
from tests.support.schemas import check_response, example_request

AT = Stamp(10.0, 1_790_000_000.0)
V16 = "ocpp1.6"
DIALECT = dialects()[V16]
ACTIONS = sorted(STATION[V16])


def unknown(token: dict[str, Any]) -> None:
    return None


def accepted(token: dict[str, Any]) -> dict[str, Any]:
    assert token == {"idToken": "AABB", "type": ""}
    group = {"idToken": "FLEET", "type": ""}
    return {"status": "Accepted", "cacheExpiryDateTime": "2027-01-01T00:00:00+02:00", "chargingPriority": 3, "groupIdToken": group}


def started(payload: dict[str, Any], known: Any = unknown) -> dict[str, Any]:
    found = answer(AT, "StartTransaction", payload, known)
    assert found is not None
    return found


@pytest.mark.parametrize("action", ACTIONS)
def test_every_call_of_a_station_has_a_valid_answer_while_the_csms_is_away(action: str) -> None:
    for known in (unknown, lambda token: {"status": "Accepted"}):
        for full in (False, True):
            found = DIALECT.answer(AT, action, example_request(action, V16, full=full), known)
            assert found is not None
            check_response(action, found, V16)


@pytest.mark.parametrize("action", ACTIONS)
def test_a_request_without_its_fields_never_breaks_the_answer(action: str) -> None:
    for payload in ({}, {"idTag": 3}, {"idTag": None}, {"idTag": ["x"]}, {"idTag": {"idToken": "x"}}):
        found = DIALECT.answer(AT, action, payload, unknown)
        assert found is not None
        check_response(action, found, V16)


def test_an_unknown_action_has_no_answer() -> None:
    assert DIALECT.answer(AT, "TransactionEvent", {}, unknown) is None


def test_a_boot_is_accepted_with_real_time_or_pending_without() -> None:  # F78
    found = answer(AT, "BootNotification", {}, unknown)
    assert found == {"status": "Accepted", "currentTime": "2026-09-21T14:13:20.000Z", "interval": 60}
    pending = answer(Stamp(10.0, 5.0, wall_trusted=False), "BootNotification", {}, unknown)
    assert pending is not None
    assert pending["status"] == "Pending"


def test_authorisation_says_only_what_the_csms_said_in_words_of_this_version() -> None:
    assert answer(AT, "Authorize", {"idTag": "AABB"}, unknown) == {"idTagInfo": {"status": "Invalid"}}
    expected = {"status": "Accepted", "expiryDate": "2026-12-31T22:00:00.000Z", "parentIdTag": "FLEET"}
    assert answer(AT, "Authorize", {"idTag": "AABB"}, accepted) == {"idTagInfo": expected}


@pytest.mark.parametrize(
    ("neutral", "status"),
    [
        ("Accepted", "Accepted"),
        ("Blocked", "Blocked"),
        ("ConcurrentTx", "ConcurrentTx"),
        ("Expired", "Expired"),
        ("Invalid", "Invalid"),
        ("NoCredit", "Blocked"),
        *((word, "Invalid") for word in ("Unknown", "NotAllowedTypeEVSE", "NotAtThisLocation", "NotAtThisTime", "Odd")),
    ],
)
def test_words_of_other_versions_become_the_nearest(neutral: str, status: str) -> None:  # OCPP-NOTES 12.4
    found = answer(AT, "Authorize", {"idTag": "AABB"}, lambda token: {"status": neutral})
    assert found == {"idTagInfo": {"status": status}}
    check_response("Authorize", found, V16)


@pytest.mark.parametrize("id_tag", ["", "A" * 21, 5, None, ["AABB"]])
def test_what_is_no_id_tag_is_invalid_without_a_lookup(id_tag: Any) -> None:  # B29
    def asked(token: dict[str, Any]) -> dict[str, Any]:
        raise AssertionError("looked up")

    assert answer(AT, "Authorize", {"idTag": id_tag}, asked) == {"idTagInfo": {"status": "Invalid"}}


@pytest.mark.parametrize("id_tag", ["'; DROP TABLE token; --"[:20], "A\r\nB: C", "é" * 20])
def test_odd_id_tags_are_looked_up_as_they_are(id_tag: str) -> None:  # B29
    asked: list[Any] = []
    answer(AT, "Authorize", {"idTag": id_tag}, asked.append)
    assert asked == [{"idToken": id_tag, "type": ""}]


def test_a_start_gets_its_id_from_the_link() -> None:
    found = started({"idTag": "AABB"}, accepted)
    assert found["transactionId"] == 0
    assert found["idTagInfo"]["status"] == "Accepted"
    named = DIALECT.assign_transaction(found, "2140000001")
    assert (named["transactionId"], named["idTagInfo"]) == (2140000001, found["idTagInfo"])
    assert found["transactionId"] == 0
    check_response("StartTransaction", named, V16)


def test_a_stop_needs_no_permission() -> None:  # 16.11: a stop without idTag is valid
    assert answer(AT, "StopTransaction", {}, unknown) == {}
    assert answer(AT, "StopTransaction", {"idTag": "ZZ"}, unknown) == {}
    found = answer(AT, "StopTransaction", {"idTag": "AABB"}, lambda token: {"status": "Blocked"})
    assert found == {"idTagInfo": {"status": "Blocked"}}


def test_an_expiry_nobody_can_read_is_left_out() -> None:
    found = answer(AT, "Authorize", {"idTag": "AABB"}, lambda token: {"status": "Accepted", "cacheExpiryDateTime": "soon", "groupIdToken": 5})
    assert found == {"idTagInfo": {"status": "Accepted"}}
