"""Passwords: found where they change, never shown; a station is not led away (A01, B09, F27)."""

import json
from typing import Any

import pytest

from controller.ocpp.registry import dialects

VERSIONS = ["ocpp2.0.1", "ocpp2.1"]
PASSWORD = "correct horse battery ü"


def item(component: str, variable: str, value: str = PASSWORD, **more: Any) -> dict[str, Any]:
    return {"component": {"name": component}, "variable": {"name": variable}, "attributeValue": value, **more}


def variables(*items: Any) -> dict[str, Any]:
    return {"setVariableData": list(items)}


@pytest.mark.parametrize("version", VERSIONS)
def test_a_new_password_is_found_among_other_variables_and_goes_as_utf8(version: str) -> None:  # A00.FR.205
    payload = variables(item("OCPPCommCtrlr", "HeartbeatInterval", "60"), item("securityctrlr", "BASICAUTHPASSWORD"))
    change = dialects()[version].secret_change("SetVariables", payload)
    assert change is not None
    assert (change.text, change.password) == (PASSWORD, PASSWORD.encode())
    assert PASSWORD not in repr(change)


@pytest.mark.parametrize(
    ("action", "payload"),
    [
        ("SetVariables", variables(item("SecurityCtrlr", "BasicAuthPassword", attributeType="Target"))),
        ("SetVariables", variables(item("SecurityCtrlr", "Identity"))),
        ("SetVariables", variables("odd", {"component": {"name": "SecurityCtrlr"}, "variable": {"name": "BasicAuthPassword"}})),
        ("SetVariables", variables(item("SecurityCtrlr", "BasicAuthPassword"), item("SecurityCtrlr", "Identity", "CS-2"))),
        ("SetVariables", variables(item("SmartChargingCtrlr", "Enabled", "false"), item("SecurityCtrlr", "BasicAuthPassword"))),
        ("SetVariables", {"setVariableData": None}),
        ("GetVariables", variables(item("SecurityCtrlr", "BasicAuthPassword"))),
    ],
)
def test_nothing_else_is_a_password_change(action: str, payload: dict[str, Any]) -> None:
    assert dialects()["ocpp2.1"].secret_change(action, payload) is None


@pytest.mark.parametrize(
    ("status", "taken"), [("Accepted", True), ("RebootRequired", True), ("Rejected", False), ("UnknownVariable", False), (None, False)]
)
def test_whether_the_station_took_it_stands_in_its_own_result(status: str | None, taken: bool) -> None:
    request = variables(item("SecurityCtrlr", "BasicAuthPassword"), item("A", "B", "1"))
    other = {"component": {"name": "A"}, "variable": {"name": "B"}, "attributeStatus": "Accepted"}
    own = {"component": {"name": "SecurityCtrlr"}, "variable": {"name": "BasicAuthPassword"}, "attributeStatus": status}
    dialect = dialects()["ocpp2.0.1"]
    assert dialect.secret_accepted("SetVariables", request, {"setVariableResult": [other, own]}) is taken
    assert not dialect.secret_accepted("SetVariables", request, {"setVariableResult": [other]})
    assert not dialect.secret_accepted("SetVariables", request, {})
    assert not dialect.secret_accepted("Reset", {}, {"status": "Accepted"})


@pytest.mark.parametrize(
    ("moving", "entry"),
    [
        (True, item("SecurityCtrlr", "Identity", "CS-2")),
        (True, item("OCPPCommCtrlr", "NetworkConfigurationPriority", "2,1")),
        (True, item("NetworkConfiguration", "OcppCsmsUrl", "wss://elsewhere")),
        (True, item("SecurityCtrlr", "AllowSecurityProfileDowngrade", "true")),
        (True, item("SecurityCtrlr", "AllowCSMSTLSWildcards", "TRUE ")),
        (False, item("SecurityCtrlr", "AllowSecurityProfileDowngrade", "false")),
        (False, item("SecurityCtrlr", "OrganizationName", "x")),
        (False, item("OCPPCommCtrlr", "HeartbeatInterval", "60")),
    ],
)
def test_what_would_lead_a_station_away_is_recognised(moving: bool, entry: dict[str, Any]) -> None:
    for version in VERSIONS:
        assert dialects()[version].moves_station("SetVariables", variables(item("A", "B", "1"), entry)) is moving
        assert dialects()[version].moves_station("SetNetworkProfile", {})
        assert not dialects()[version].moves_station("Reset", {"type": "Immediate"})


def test_what_switches_our_limits_off_is_risky_too() -> None:
    dialect = dialects()["ocpp2.0.1"]
    assert dialect.risky_variables(variables(item("SmartChargingCtrlr", "Enabled", "false")))
    assert dialect.risky_variables(variables(item("SecurityCtrlr", "Identity", "x")))
    assert not dialect.risky_variables(variables(item("A", "BasicAuthPassword"), "odd"))
    assert not dialect.risky_variables({})


SHOWN = [
    ("SetVariables", variables(item("SecurityCtrlr", "BasicAuthPassword"), item("A", "B", "kept"))),
    ("GetVariables", {"getVariableResult": [item("SecurityCtrlr", "BasicAuthPassword"), item("A", "B", "kept")]}),
    ("GetVariables", {"getVariableResult": [item("WebPaymentsCtrlr", "SharedSecret"), item("A", "B", "kept")]}),
    ("NotifyEvent", {"eventData": [{**item("NetworkConfiguration", "BasicAuthPassword"), "actualValue": PASSWORD, "attributeValue": "kept"}]}),
    (
        "NotifyReport",
        {
            "reportData": [
                {
                    "component": {"name": "SecurityCtrlr"},
                    "variable": {"name": "BasicAuthPassword"},
                    "variableAttribute": [{"type": "Actual", "value": PASSWORD}, {"mutability": "WriteOnly"}],
                },
                {"component": {"name": "A"}, "variable": {"name": "B"}, "variableAttribute": [{"value": "kept"}]},
            ]
        },
    ),
    (
        "SetNetworkProfile",
        {
            "connectionData": {
                "ocppCsmsUrl": "wss://kept",
                "basicAuthPassword": PASSWORD,
                "vpn": {"password": PASSWORD, "key": PASSWORD, "user": "kept"},
                "apn": {"apnPassword": PASSWORD, "simPin": 1234},
            }
        },
    ),
    ("GetLog", {"log": {"remoteLocation": f"ftp://kept-user:{PASSWORD.replace(' ', '')}@logs.kept/x"}}),
    ("UpdateFirmware", {"firmware": {"location": "sftp://u:correct-horse-battery@kept/fw.bin"}}),
    ("UpdateFirmware", {"firmware": {"location": "ftp://u:correct/horse@battery@kept/fw.bin"}}),
    ("UpdateFirmware", {"firmware": {"location": "https://horse-token@kept/fw.bin"}}),
    ("PublishFirmware", {"location": "https://kept/fw?sig=horse&x=1"}),
    ("PublishFirmwareStatusNotification", {"location": ["https://u:correct-horse-battery@kept/fw", "http://kept/a:b@c"]}),
]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(("action", "payload"), SHOWN)
def test_no_password_is_ever_shown(version: str, action: str, payload: dict[str, Any]) -> None:  # A01.FR.09/12
    before = json.dumps(payload)
    shown = json.dumps(dialects()[version].redacted(action, payload))
    assert "horse" not in shown
    assert "1234" not in shown
    assert "***" in shown
    assert "kept" in shown
    assert json.dumps(payload) == before


def test_a_payload_without_secrets_is_not_even_copied() -> None:
    payload = {"evseId": 1}
    assert dialects()["ocpp2.1"].redacted("MeterValues", payload) is payload
    for odd in ({}, {"setVariableData": 3}, {"setVariableData": [1, None]}):
        assert dialects()["ocpp2.1"].redacted("SetVariables", odd) == odd
