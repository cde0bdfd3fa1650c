"""What the CSMS says about drivers, in the neutral shape: answers, local lists."""

from typing import Any

import pytest

from controller.ocpp.dialect import ListUpdate
from controller.ocpp.registry import dialects
from controller.ocpp.v16.tokens import id_tag_info, info
from tests.support.schemas import check_request, check_response

V16 = "ocpp1.6"
DIALECT = dialects()[V16]
TOKEN = {"idToken": "AABB", "type": ""}
SAID = {"status": "Accepted", "expiryDate": "2027-01-01T00:00:00Z", "parentIdTag": "FLEET"}
NEUTRAL = {"status": "Accepted", "cacheExpiryDateTime": "2027-01-01T00:00:00Z", "groupIdToken": {"idToken": "FLEET", "type": ""}}
TAKEN = {"status": "Accepted"}


@pytest.mark.parametrize("action", ["Authorize", "StartTransaction", "StopTransaction"])
def test_answers_about_a_driver(action: str) -> None:
    assert DIALECT.token_answer(action, {"idTag": "AABB"}, {"transactionId": 1, "idTagInfo": SAID}) == (TOKEN, NEUTRAL)


@pytest.mark.parametrize(
    ("action", "request_", "result"),
    [
        ("StopTransaction", {}, {"idTagInfo": SAID}),
        ("StopTransaction", {"idTag": "AABB"}, {}),
        ("Authorize", {"idTag": "AABB"}, {"idTagInfo": {}}),
        ("Authorize", {"idTag": "AABB"}, {"idTagInfo": "Accepted"}),
        ("Authorize", {"idTag": 5}, {"idTagInfo": SAID}),
        ("DataTransfer", {"idTag": "AABB"}, {"idTagInfo": SAID}),
    ],
)
def test_other_answers_say_nothing_of_a_driver(action: str, request_: dict[str, Any], result: dict[str, Any]) -> None:
    assert DIALECT.token_answer(action, request_, result) is None


def test_there_and_back_keeps_what_the_csms_said() -> None:
    back = id_tag_info(info(SAID))
    assert back == {**SAID, "expiryDate": "2027-01-01T00:00:00.000Z"}
    check_response("Authorize", {"idTagInfo": back}, V16)


def test_a_driver_is_not_wanted_when_the_answer_to_the_start_says_so() -> None:
    def refused(action: str, status: str) -> bool:
        return DIALECT.deauthorised(action, {"idTag": "AABB"}, {"transactionId": 1, "idTagInfo": {"status": status}})

    assert not refused("StartTransaction", "Accepted")
    assert all(refused("StartTransaction", status) for status in ("Blocked", "Expired", "Invalid", "ConcurrentTx"))
    assert not refused("StopTransaction", "Blocked")  # whoever ends it need not be allowed to charge
    assert not DIALECT.deauthorised("StartTransaction", {}, {"transactionId": 1})


# -- local list ---------------------------------------------------------------------------------------------


def sent(kind: str, *entries: Any, version: Any = 7) -> dict[str, Any]:
    return {"listVersion": version, "updateType": kind, "localAuthorizationList": list(entries)}


ADDED, REMOVED = {"idTag": "AABB", "idTagInfo": SAID}, {"idTag": "OLD"}


def test_a_full_and_a_differential_list() -> None:
    full, update = sent("Full", ADDED), sent("Differential", ADDED, REMOVED)
    check_request("SendLocalList", full, V16)
    check_request("SendLocalList", update, V16)
    assert DIALECT.list_update("SendLocalList", full, TAKEN) == ListUpdate(7, True, ((TOKEN, NEUTRAL),))
    removed = ({"idToken": "OLD", "type": ""}, None)
    assert DIALECT.list_update("SendLocalList", update, TAKEN) == ListUpdate(7, False, ((TOKEN, NEUTRAL), removed))


def test_a_full_list_without_entries_empties_it() -> None:
    assert DIALECT.list_update("SendLocalList", {"listVersion": 8, "updateType": "Full"}, TAKEN) == ListUpdate(8, True, ())


def test_entries_that_cannot_be_read_are_left_out() -> None:
    odd = [REMOVED, {"idTag": "X" * 21, "idTagInfo": SAID}, {"idTag": "Y", "idTagInfo": {}}, 5, {}]
    assert DIALECT.list_update("SendLocalList", sent("Full", *odd, ADDED), TAKEN) == ListUpdate(7, True, ((TOKEN, NEUTRAL),))
    # A broken idTagInfo must not read as "remove".
    assert DIALECT.list_update("SendLocalList", sent("Differential", {"idTag": "Y", "idTagInfo": 5}), TAKEN) == ListUpdate(7, False, ())


@pytest.mark.parametrize("status", ["Failed", "NotSupported", "VersionMismatch", None])
def test_a_list_the_station_did_not_take_is_none(status: Any) -> None:
    assert DIALECT.list_update("SendLocalList", sent("Full", ADDED), {"status": status}) is None


@pytest.mark.parametrize("payload", [sent("Full", version=0), sent("Full", version=-1), sent("Full", version="7"), sent("Whole"), {}])
def test_what_is_no_list_is_none(payload: dict[str, Any]) -> None:
    assert DIALECT.list_update("SendLocalList", payload, TAKEN) is None


@pytest.mark.parametrize(("version", "known"), [(7, 7), (0, 0), (-1, -1), ("7", None), (True, None), (None, None)])
def test_the_version_a_station_reports(version: Any, known: int | None) -> None:
    assert DIALECT.list_version("GetLocalListVersion", {"listVersion": version}) == known
    assert DIALECT.list_version("GetConfiguration", {"listVersion": version}) is None
