"""1.6: the contract of a dialect beside profiles and commands."""

from typing import Any

import pytest

from controller.ocpp.registry import dialect_for, dialects
from controller.ocpp.schedule import ProfileError
from tests.support.schemas import check_response

V16 = "ocpp1.6"
DIALECT = dialects()[V16]


def test_the_registry_finds_the_version_by_its_folder() -> None:
    assert dialect_for(V16) is DIALECT
    assert (DIALECT.subprotocol, DIALECT.version) == (V16, "1.6")


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        ({"status": "Accepted"}, (True, "Accepted")),
        ({"status": "Scheduled"}, (True, "Scheduled")),
        ({"status": "Rejected"}, (False, "Rejected")),
        ({"status": "NotSupported"}, (False, "NotSupported")),
        ({}, (False, "None")),
    ],
)
def test_answers_to_our_calls(payload: dict[str, Any], expected: tuple[bool, str]) -> None:
    assert DIALECT.accepted(payload) == expected


def test_status_keys() -> None:
    assert [DIALECT.status_key({"connectorId": value}) for value in (2, 0, -1, "2", True, None)] == [(2, 1), *[(0, 0)] * 5]


@pytest.mark.parametrize(
    ("status", "said"), [("Accepted", "Accepted"), ("Pending", "Pending"), ("Rejected", "Rejected"), ("Odd", "Rejected"), (None, "Rejected")]
)
def test_boot_answers(status: Any, said: str) -> None:
    assert DIALECT.boot_status({"status": status}) == said


def test_what_1_6_has_no_word_for() -> None:
    assert DIALECT.queue_status({}, {"1"}, {"1"}, True) == {}
    assert DIALECT.report_profiles({}, []) == []
    assert DIALECT.own_profile_call("SetChargingProfile", {}) is None
    assert DIALECT.remote_start_id({"connectorId": 2}) == 0


def test_remote_starts() -> None:
    assert DIALECT.starts_remotely("RemoteStartTransaction")
    assert not DIALECT.starts_remotely("RequestStartTransaction")
    assert DIALECT.started_transaction({"status": "Accepted"}) == ""
    assert DIALECT.started_transaction({"status": "Rejected"}) is None


def test_error_codes_that_mean_the_action_is_unknown() -> None:
    assert [DIALECT.unknown_action(code) for code in ("NotImplemented", "NotSupported", "GenericError")] == [True, True, False]


def test_a_refused_profile_is_rejected_without_a_reason() -> None:
    answer = DIALECT.rejected_profile(ProfileError("DuplicateProfile", "twice"))
    for action in ("SetChargingProfile", "RemoteStartTransaction", "GetCompositeSchedule"):
        check_response(action, answer, V16)
