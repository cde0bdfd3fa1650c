"""Every command of a CSMS has a refusal that its schema knows, or none at all."""

from typing import Any

import pytest

from controller.link.policy import CSMS
from controller.ocpp.registry import dialects
from tests.support.schemas import check_response, example_request

V16 = "ocpp1.6"
DIALECT = dialects()[V16]
WITHOUT = {"GetDiagnostics", "UpdateFirmware"}  # their answers have no word for "no"
YES = {"Accepted", "Unlocked", "AcceptedCanceled", "Scheduled", "RebootRequired"}


@pytest.mark.parametrize("action", sorted(CSMS[V16]))
def test_every_command_is_refused_in_valid_words(action: str) -> None:
    for request in (example_request(action, V16), example_request(action, V16, full=True), {}):
        found = DIALECT.refuse(action, request)
        if action in WITHOUT:
            assert found is None
            continue
        assert found is not None
        check_response(action, found, V16)
        assert found.get("status") not in YES


def test_unknown_actions_have_no_refusal() -> None:
    assert DIALECT.refuse("SetVariables", {}) is None
    assert DIALECT.refuse("VendorThing", {}) is None


@pytest.mark.parametrize(
    ("asked", "answer"),
    [
        ({"key": ["HeartbeatInterval", "X"]}, {"unknownKey": ["HeartbeatInterval", "X"]}),
        ({"key": ["K" * 51, 5, "Fine"]}, {"unknownKey": ["Fine"]}),
        ({}, {"configurationKey": []}),
        ({"key": []}, {"configurationKey": []}),
        ({"key": "HeartbeatInterval"}, {"configurationKey": []}),
    ],
)
def test_a_refused_get_configuration_knows_no_key(asked: dict[str, Any], answer: dict[str, Any]) -> None:
    assert DIALECT.refuse("GetConfiguration", asked) == answer
    check_response("GetConfiguration", answer, V16)


def test_local_lists_are_said_to_be_unsupported() -> None:
    assert DIALECT.refuse("GetLocalListVersion", {}) == {"listVersion": -1}


def test_a_refusal_can_be_changed_without_changing_the_next() -> None:
    first = DIALECT.refuse("Reset", {})
    assert first is not None
    first["status"] = "Accepted"
    assert DIALECT.refuse("Reset", {}) == {"status": "Rejected"}
