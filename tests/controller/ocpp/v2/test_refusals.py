"""A CSMS that may not do something hears it in the action's own words: valid, complete, never a lie."""

from typing import Any

import pytest

from controller.link.policy import CSMS
from controller.ocpp.registry import dialects
from tests.support.schemas import check_response, example_request

V201, V21 = "ocpp2.0.1", "ocpp2.1"
WORDLESS = {"CostUpdated", "GetLocalListVersion", "GetTransactionStatus"}
WORDLESS_21 = WORDLESS | {"NotifyWebPaymentStarted", "GetPeriodicEventStream"}
"""Their answers have no word for "no": the caller answers CALLERROR NotSupported."""

EVERY = [(version, action) for version in (V201, V21) for action in sorted(CSMS[version])]
NO = {"Rejected", "Failed", "Unknown", "NoProfiles", "NotFound", "UnlockFailed", "NoFirmware"}


def refusal(version: str, action: str, payload: dict[str, Any]) -> dict[str, Any]:
    answer = dialects()[version].refuse(action, payload)
    assert answer is not None
    check_response(action, answer, version)
    return answer


@pytest.mark.parametrize(("version", "action"), EVERY)
@pytest.mark.parametrize("full", [False, True])
def test_every_command_has_its_valid_refusal(version: str, action: str, full: bool) -> None:
    request = example_request(action, version, full=full)
    if action in (WORDLESS_21 if version == V21 else WORDLESS):
        assert dialects()[version].refuse(action, request) is None
        return
    answer = refusal(version, action, request)
    results = next((value for value in answer.values() if isinstance(value, list)), [answer])
    assert {result.get("status", result.get("attributeStatus")) for result in results} <= NO


@pytest.mark.parametrize("version", [V201, V21])
def test_results_come_one_per_item_in_its_order_with_what_must_be_repeated(version: str) -> None:
    evse = {"name": "EVSE", "evse": {"id": 2}, "instance": "left"}
    items = [
        {"component": evse, "variable": {"name": "A", "instance": "x"}, "attributeType": "Target"},
        {"component": {"name": "C"}, "variable": {"name": "B"}},
    ]
    read = refusal(version, "GetVariables", {"getVariableData": items})["getVariableResult"]
    written = refusal(version, "SetVariables", {"setVariableData": [{**item, "attributeValue": "1"} for item in items]})["setVariableResult"]
    for results in (read, written):
        assert [(result["component"], result["variable"], result.get("attributeType")) for result in results] == [
            (evse, {"name": "A", "instance": "x"}, "Target"),
            ({"name": "C"}, {"name": "B"}, None),
        ]
        assert all("attributeValue" not in result for result in results)
    monitor = {**items[0], "type": "Delta", "severity": 4, "value": 2.5, "id": 9, "transaction": True}
    monitor.pop("attributeType")
    (result,) = refusal(version, "SetVariableMonitoring", {"setMonitoringData": [monitor]})["setMonitoringResult"]
    said = {key: result[key] for key in ("id", "type", "severity", "component", "status")}
    assert said == {"id": 9, "type": "Delta", "severity": 4, "component": evse, "status": "Rejected"}
    cleared = refusal(version, "ClearVariableMonitoring", {"id": [4, 7]})["clearMonitoringResult"]
    assert [(item["id"], item["status"]) for item in cleared] == [(4, "Rejected"), (7, "Rejected")]


def test_each_tariff_is_refused_by_name_and_all_of_them_at_once() -> None:  # I10
    named = refusal(V21, "ClearTariffs", {"tariffIds": ["t1", "t2"]})["clearTariffsResult"]
    assert [item["tariffId"] for item in named] == ["t1", "t2"]
    assert refusal(V21, "ClearTariffs", {})["clearTariffsResult"][0]["status"] == "Rejected"


def test_2_1_has_a_word_for_what_2_0_1_calls_unknown() -> None:
    assert refusal(V201, "ClearDisplayMessage", {"id": 1})["status"] == "Unknown"
    assert refusal(V21, "ClearDisplayMessage", {"id": 1})["status"] == "Rejected"


@pytest.mark.parametrize(
    ("action", "payload"),
    [
        ("GetVariables", {}),
        ("GetVariables", {"getVariableData": []}),
        ("SetVariables", {"setVariableData": [{"component": {"name": "A"}}]}),
        ("SetVariables", {"setVariableData": [{"component": "A", "variable": {"name": "B"}}]}),
        ("SetVariables", {"setVariableData": [{"component": {"name": 1}, "variable": {"name": "B"}}]}),
        ("SetVariableMonitoring", {"setMonitoringData": [{"component": {"name": "A"}, "variable": {"name": "B"}, "severity": 1}]}),
        ("SetVariableMonitoring", {"setMonitoringData": ["x"]}),
        ("ClearVariableMonitoring", {"id": [True]}),
        ("ClearVariableMonitoring", {"id": 4}),
        ("ClearTariffs", {"tariffIds": [1]}),
        ("MadeUp", {}),
    ],
)
def test_a_request_that_cannot_be_read_gets_no_made_up_answer(action: str, payload: dict[str, Any]) -> None:
    assert dialects()[V21].refuse(action, payload) is None
