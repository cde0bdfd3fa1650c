"""What 2.x stations say of their smart charging: GetVariables answers and reports, both spellings, and garbage."""

from __future__ import annotations

from typing import Any

import pytest

from controller.ocpp.registry import dialects
from tests.support.schemas import check_request, check_response

WORDS = dialects()["ocpp2.1"]


def variable(component: str, name: str, value: Any, evse_id: int = 0, instance: str | None = None, **fields: Any) -> dict[str, Any]:
    return {
        "attributeStatus": "Accepted",
        "attributeValue": value,
        "component": {"name": component, **({"evse": {"id": evse_id}} if evse_id else {})},
        "variable": {"name": name, **({"instance": instance} if instance else {})},
        **fields,
    }


def said(*items: Any) -> list[tuple[str, Any, int]]:
    return [(one.name, one.value, one.evse_id) for one in WORDS.features("GetVariables", {}, {"getVariableResult": list(items)})]


@pytest.mark.parametrize(
    ("item", "feature"),
    [
        (variable("SmartChargingCtrlr", "RateUnit", "A,W"), ("units", ("A", "W"), 0)),
        (variable("smartchargingctrlr", "rateunit", " W , X "), ("units", ("W",), 0)),
        (variable("SmartChargingCtrlr", "ProfileStackLevel", "8"), ("max_stack_level", 8, 0)),
        (variable("SmartChargingCtrlr", "ACPhaseSwitchingSupported", "true"), ("phase_switching", True, 0)),
        (variable("SmartChargingCtrlr", "SupportsFeature", "true", instance="DynamicProfiles"), ("dynamic", True, 0)),
        (variable("SmartChargingCtrlr", "SupportsDynamicProfiles", "False"), ("dynamic", False, 0)),
        (variable("SmartChargingCtrlr", "SupportsFeature", "TRUE", instance="MaxOfflineDuration"), ("max_offline", True, 0)),
        (variable("SmartChargingCtrlr", "SupportsMaxOfflineDuration", "true"), ("max_offline", True, 0)),
        (variable("V2XChargingCtrlr", "Available", "true", 2), ("v2x", True, 2)),
        (variable("V2XChargingCtrlr", "Enabled", "false", 2), ("v2x_enabled", False, 2)),
        (
            variable("V2XChargingCtrlr", "SupportedOperationModes", "ChargingOnly,CentralSetpoint", 2),
            ("modes", ("ChargingOnly", "CentralSetpoint"), 2),
        ),
        (variable("EVSE", "PhaseRotation", "STR", 1), ("rotation", "STR", 1)),
    ],
)
def test_each_variable_of_interest(item: dict[str, Any], feature: tuple[str, Any, int]) -> None:
    check_response("GetVariables", {"getVariableResult": [item]}, "ocpp2.1")
    assert said(item) == [feature]


@pytest.mark.parametrize(
    "item",
    [
        {**variable("SmartChargingCtrlr", "RateUnit", "A"), "attributeStatus": "UnknownVariable"},
        {**variable("SmartChargingCtrlr", "RateUnit", "A"), "attributeStatus": "Rejected"},
        variable("SmartChargingCtrlr", "RateUnit", "A", attributeType="Target"),
        variable("SmartChargingCtrlr", "RateUnit", None),
        variable("SmartChargingCtrlr", "RateUnit", 5),
        variable("SmartChargingCtrlr", "ProfileStackLevel", "many"),
        variable("SmartChargingCtrlr", "SupportsFeature", "true", instance="LimitAtSoC"),
        variable("SmartChargingCtrlr", "SupportsFeature", "true"),
        variable("EVSE", "PhaseRotation", "Unknown", 1),
        variable("EVSE", "PhaseRotation", "RST"),
        variable("OCPPCommCtrlr", "HeartbeatInterval", "42"),
        {"component": 5, "variable": None, "attributeStatus": "Accepted", "attributeValue": "A"},
        {"component": {"name": 5, "evse": "x"}, "variable": {"name": []}, "attributeStatus": "Accepted", "attributeValue": "A"},
        "RateUnit",
        None,
    ],
)
def test_what_cannot_be_read_is_not_said(item: Any) -> None:
    assert said(item) == []


def test_a_report_also_tells_how_many_profiles_fit() -> None:
    limits = {"dataType": "integer", "supportsMonitoring": False, "maxLimit": 24.0}
    entry = {
        "component": {"name": "SmartChargingCtrlr"},
        "variable": {"name": "Entries", "instance": "ChargingProfiles"},
        "variableAttribute": [{"value": "2"}],
        "variableCharacteristics": limits,
    }
    unit = {
        "component": {"name": "SmartChargingCtrlr"},
        "variable": {"name": "RateUnit"},
        "variableAttribute": [{"type": "Target", "value": "W"}, {"type": "Actual", "value": "A"}],
    }
    payload = {"requestId": 1, "seqNo": 0, "generatedAt": "2026-11-21T16:00:00Z", "reportData": [entry, unit]}
    check_request("NotifyReport", payload, "ocpp2.0.1")
    for version in ("ocpp2.0.1", "ocpp2.1"):
        found = dialects()[version].features("NotifyReport", payload, {})
        assert [(one.name, one.value) for one in found] == [("max_profiles", 24), ("units", ("A",))]


@pytest.mark.parametrize("result", [{}, {"getVariableResult": None}, {"getVariableResult": "x"}, {"getVariableResult": {}}])
def test_garbage_says_nothing(result: dict[str, Any]) -> None:
    assert WORDS.features("GetVariables", {}, result) == []
    assert WORDS.features("NotifyReport", {"reportData": [{"variableAttribute": [None], "variableCharacteristics": 5}]}, {}) == []
    assert WORDS.features("SetVariables", {}, {"getVariableResult": [variable("SmartChargingCtrlr", "RateUnit", "A")]}) == []
