"""The device model of a 1.6 station as a 2.1 CSMS reads and sets it (OCPP-NOTES 12.9)."""

from __future__ import annotations

from typing import Any

import pytest

from controller.ocpp.hub import NO_ANSWER, EvseShape, Failed, Said
from controller.ocpp.v16.station_side import StationSide16
from tests.support.talking import Talking

KEYS = {
    "HeartbeatInterval": ("300", False),
    "MeterValueSampleInterval": ("60", False),
    "MeterValuesSampledData": ("Energy.Active.Import.Register, SoC", False),
    "SupportedFeatureProfiles": ("Core,SmartCharging", True),
    "ChargingScheduleAllowedChargingRateUnit": ("Current,Power", True),
    "LocalAuthListMaxLength": ("500", True),
    "AuthorizationKey": ("", False),
    "VendorThing": ("x", False),
}


def configuration(request: dict[str, Any]) -> dict[str, Any]:
    """GetConfiguration of a station with KEYS."""
    known = {key.lower(): key for key in KEYS}
    wanted = request.get("key") or list(KEYS)
    entries = [
        {"key": known[key.lower()], "readonly": KEYS[known[key.lower()]][1], "value": KEYS[known[key.lower()]][0]}
        for key in wanted
        if key.lower() in known
    ]
    return {"configurationKey": entries, "unknownKey": [key for key in wanted if key.lower() not in known]}


def talking(**wire: Any) -> Talking:
    """A connected station with two EVSEs. wire: other answers."""
    answers = {"GetConfiguration": configuration, "ChangeConfiguration": {"status": "Accepted"}, **wire}
    made = Talking(StationSide16, evses=(EvseShape(1, 1, 3, 32.0), EvseShape(2, 1, 1, 16.0)), wire=answers, hub={"NotifyReport": {}})
    made.opened()
    return made


def item(component: str, variable: str, instance: str = "", evse: Any = None, **more: Any) -> dict[str, Any]:
    """An item of a request."""
    found: dict[str, Any] = {"component": {"name": component, **({"evse": evse} if evse else {})}, "variable": {"name": variable}, **more}
    if instance:
        found["variable"]["instance"] = instance
    return found


def read(peer: Talking, *items: dict[str, Any]) -> list[tuple[str, str | None]]:
    """(attributeStatus, attributeValue) of each; the items come back as they were asked."""
    reply = peer.asked("GetVariables", {"getVariableData": list(items)})
    assert isinstance(reply, Said)
    results = reply.payload["getVariableResult"]
    assert [{key: one[key] for key in asked} for one, asked in zip(results, items, strict=True)] == list(items)
    return [(one["attributeStatus"], one.get("attributeValue")) for one in results]


def reported(peer: Talking) -> dict[tuple[Any, ...], dict[str, Any]]:
    """The entries of a report by component, instance of the variable, EVSE and connector; the pages are checked."""
    peer.log.clear()
    peer.seconds(1)
    pages = [payload for action, payload in peer.sent("hub") if action == "NotifyReport"]
    assert [page["seqNo"] for page in pages] == list(range(len(pages)))
    assert [page["tbc"] for page in pages] == [True] * (len(pages) - 1) + [False]
    assert {page["requestId"] for page in pages} == {3}
    found = {}
    for one in (entry for page in pages for entry in page["reportData"]):
        evse = one["component"].get("evse", {})
        key = one["component"]["name"], one["variable"]["name"], one["variable"].get("instance", ""), evse.get("id", 0), evse.get("connectorId", 0)
        assert key not in found
        found[key] = one
    return found


# -- reading ------------------------------------------------------------------------------------------------


def test_variables_that_are_keys() -> None:
    peer = talking()
    assert read(
        peer,
        item("OCPPCommCtrlr", "HeartbeatInterval"),
        item("SampledDataCtrlr", "TxUpdatedMeasurands"),
        item("SmartChargingCtrlr", "RateUnit"),
        item("LocalAuthListCtrlr", "Entries", attributeType="MaxSet"),
        item("OCPP16", "VendorThing"),
    ) == [("Accepted", "300"), ("Accepted", "Energy.Active.Import.Register,SoC"), ("Accepted", "A,W"), ("Accepted", "500"), ("Accepted", "x")]
    ((_, request),) = peer.sent("wire")
    assert request["key"][0] == "HeartbeatInterval"


def test_what_is_not_there_and_what_nobody_may_read() -> None:
    assert read(
        talking(),
        item("TxCtrlr", "EVConnectionTimeOut"),  # the station does not have the key
        item("OCPPCommCtrlr", "Nonsense"),
        item("Nonsense", "Nonsense"),
        item("OCPPCommCtrlr", "HeartbeatInterval", attributeType="Target"),
        item("SecurityCtrlr", "BasicAuthPassword"),
        item("EVSE", "AvailabilityState", evse={"id": 9}),
    ) == [
        ("UnknownVariable", None),
        ("UnknownVariable", None),
        ("UnknownComponent", None),
        ("NotSupportedAttributeType", None),
        ("Rejected", None),
        ("UnknownComponent", None),
    ]


def test_what_is_known_without_a_key() -> None:
    peer = talking()
    peer.hub["StatusNotification"] = {}
    peer.said("StatusNotification", {"connectorId": 1, "status": "Charging", "errorCode": "NoError"})
    assert read(
        peer,
        item("TxCtrlr", "TxStartPoint"),
        item("TxCtrlr", "TxStopPoint"),
        item("EVSE", "AvailabilityState", evse={"id": 1}),
        item("Connector", "AvailabilityState", evse={"id": 1, "connectorId": 1}),
        item("EVSE", "SupplyPhases", evse={"id": 2}),
        item("SmartChargingCtrlr", "Available"),
        item("ReservationCtrlr", "Available"),
    ) == [
        ("Accepted", "PowerPathClosed"),
        ("Accepted", "EVConnected,Authorized"),
        ("Accepted", "Occupied"),
        ("Accepted", "Occupied"),
        ("Accepted", "1"),
        ("Accepted", "true"),
        ("Accepted", "false"),
    ]


def test_many_keys_are_asked_in_parts() -> None:
    peer = talking()
    read(peer, *(item("OCPP16", f"Key{number}") for number in range(45)))
    assert [len(request["key"]) for _, request in peer.sent("wire")] == [20, 20, 6]


def test_a_station_that_does_not_answer_or_has_no_configuration() -> None:
    asked = {"getVariableData": [item("OCPPCommCtrlr", "HeartbeatInterval")]}
    assert talking(GetConfiguration=NO_ANSWER).asked("GetVariables", asked) == NO_ANSWER
    assert read(talking(GetConfiguration=Failed("NotSupported")), *asked["getVariableData"]) == [("UnknownVariable", None)]


# -- setting --------------------------------------------------------------------------------------------------


def write(peer: Talking, *items: dict[str, Any]) -> list[str]:
    """attributeStatus of each."""
    reply = peer.asked("SetVariables", {"setVariableData": list(items)})
    assert isinstance(reply, Said)
    return [one["attributeStatus"] for one in reply.payload["setVariableResult"]]


def test_each_item_has_its_own_result() -> None:
    def change(request: dict[str, Any]) -> Any:
        words = {
            "HeartbeatInterval": "Accepted",
            "WebSocketPingInterval": "RebootRequired",
            "VendorThing": "NotSupported",
            "ResetRetries": "Rejected",
        }
        return {"status": words[request["key"]]} if request["key"] in words else Failed("InternalError", "x")

    peer = talking(ChangeConfiguration=change)
    assert write(
        peer,
        item("OCPPCommCtrlr", "HeartbeatInterval", attributeValue="120"),
        item("OCPPCommCtrlr", "WebSocketPingInterval", attributeValue="30"),
        item("OCPP16", "VendorThing", attributeValue="y"),
        item("OCPPCommCtrlr", "ResetRetries", attributeValue="2"),
        item("TxCtrlr", "EVConnectionTimeOut", attributeValue="60"),
        item("TxCtrlr", "TxStartPoint", attributeValue="Authorized"),
        item("LocalAuthListCtrlr", "Entries", attributeValue="5", attributeType="MaxSet"),
        item("Nonsense", "Nonsense", attributeValue="1"),
        item("OCPP16", "VendorThing", attributeValue="y" * 501),
    ) == [
        *("Accepted", "RebootRequired", "UnknownVariable", "Rejected", "Rejected", "Rejected"),
        *("NotSupportedAttributeType", "UnknownComponent", "Rejected"),
    ]
    assert [request["key"] for _, request in peer.sent("wire")] == [
        *("HeartbeatInterval", "WebSocketPingInterval", "VendorThing", "ResetRetries", "ConnectionTimeOut"),
    ]


def test_what_nobody_may_set_is_not_tried() -> None:
    peer = talking()
    assert write(
        peer, item("SmartChargingCtrlr", "ProfileStackLevel", attributeValue="9"), item("EVSE", "Power", evse={"id": 1}, attributeValue="9")
    ) == [
        "Rejected",
        "Rejected",
    ]
    assert peer.sent("wire") == []


def test_values_are_spelt_as_1_6_spells_them() -> None:
    peer = talking()
    write(peer, item("SecurityCtrlr", "BasicAuthPassword", attributeValue="0123456789abcdef!"))
    assert peer.sent("wire") == [("ChangeConfiguration", {"key": "AuthorizationKey", "value": b"0123456789abcdef!".hex()})]


# -- reports ----------------------------------------------------------------------------------------------------


def test_the_full_inventory() -> None:
    peer = talking()
    peer.hub["BootNotification"] = {"status": "Accepted", "currentTime": "2026-11-21T12:00:00Z", "interval": 60}
    peer.said("BootNotification", {"chargePointVendor": "Vendor", "chargePointModel": "Model", "meterSerialNumber": "MS-1"})
    assert peer.asked("GetBaseReport", {"requestId": 3, "reportBase": "FullInventory"}) == Said({"status": "Accepted"})
    found = reported(peer)
    heartbeat = found["OCPPCommCtrlr", "HeartbeatInterval", "", 0, 0]
    assert heartbeat["variableAttribute"] == [{"value": "300", "mutability": "ReadWrite"}]
    assert heartbeat["variableCharacteristics"] == {"dataType": "integer", "unit": "s", "supportsMonitoring": False}
    assert found["ChargingStation", "VendorName", "", 0, 0]["variableAttribute"] == [{"value": "Vendor", "mutability": "ReadOnly"}]
    assert found["FiscalMetering", "SerialNumber", "", 0, 0]["variableAttribute"][0]["value"] == "MS-1"
    assert found["EVSE", "Power", "", 2, 0]["variableCharacteristics"]["maxLimit"] == 1 * 16.0 * 230.0
    assert found["SecurityCtrlr", "BasicAuthPassword", "", 0, 0]["variableAttribute"] == [{"mutability": "WriteOnly"}]
    assert found["OCPP16", "VendorThing", "", 0, 0]["variableAttribute"][0]["value"] == "x"
    for number in (1, 2):
        assert ("EVSE", "AvailabilityState", "", number, 0) in found
        assert ("Connector", "AvailabilityState", "", number, 1) in found


def test_the_configuration_inventory_is_what_can_be_set() -> None:
    peer = talking()
    peer.asked("GetBaseReport", {"requestId": 3, "reportBase": "ConfigurationInventory"})
    found = reported(peer)
    assert {key[1] for key in found} == {"HeartbeatInterval", "TxUpdatedInterval", "TxUpdatedMeasurands", "BasicAuthPassword", "VendorThing"}


def test_the_summary() -> None:
    peer = talking()
    peer.asked("GetBaseReport", {"requestId": 3, "reportBase": "SummaryInventory"})
    assert {key[1] for key in reported(peer)} == {"AvailabilityState", "Available", "Problem"}


@pytest.mark.parametrize(
    ("wanted", "names"),
    [
        ([item("OCPPCommCtrlr", "HeartbeatInterval")], {("OCPPCommCtrlr", "HeartbeatInterval")}),
        ([{"component": {"name": "TxCtrlr"}}], {("TxCtrlr", "TxStartPoint"), ("TxCtrlr", "TxStopPoint")}),
        ([item("EVSE", "SupplyPhases", evse={"id": 1})], {("EVSE", "SupplyPhases")}),
    ],
)
def test_a_report_of_some(wanted: list[dict[str, Any]], names: set[tuple[str, str]]) -> None:
    peer = talking()
    assert peer.asked("GetReport", {"requestId": 3, "componentVariable": wanted}) == Said({"status": "Accepted"})
    assert {key[:2] for key in reported(peer)} == names


def test_a_report_by_criteria() -> None:
    """B08: Problem wants a component whose Problem is true; the others take a component that lacks the variable too."""
    peer = talking()
    assert peer.asked("GetReport", {"requestId": 3, "componentCriteria": ["Problem"]}) == Said({"status": "EmptyResultSet"})
    peer.hub |= {"StatusNotification": {}, "NotifyEvent": {}}
    peer.said("StatusNotification", {"connectorId": 2, "status": "Faulted", "errorCode": "OtherError"})
    assert peer.asked("GetReport", {"requestId": 3, "componentCriteria": ["Problem"]}) == Said({"status": "Accepted"})
    assert {(key[0], key[3]) for key in reported(peer)} == {("EVSE", 2), ("Connector", 2)}
    peer.asked("GetReport", {"requestId": 3, "componentCriteria": ["Available"]})
    components = {key[0] for key in reported(peer)}
    assert "OCPPCommCtrlr" in components
    assert "ReservationCtrlr" not in components
    assert peer.asked("GetReport", {"requestId": 3, "componentVariable": [item("Nonsense", "x")]}) == Said({"status": "EmptyResultSet"})


def test_a_report_of_a_silent_station_is_no_report() -> None:
    peer = talking(GetConfiguration=NO_ANSWER)
    assert peer.asked("GetBaseReport", {"requestId": 3, "reportBase": "FullInventory"}) == NO_ANSWER


def test_the_phase_rotation_of_each_connector_is_a_variable_of_its_evse() -> None:
    """12.9: ConnectorPhaseRotation -> ElectricalFeed / EVSE.PhaseRotation; a connector the station says nothing of has none."""
    told = {"configurationKey": [{"key": "ConnectorPhaseRotation", "readonly": False, "value": "0.RST,1.RTS"}]}
    peer = talking(GetConfiguration=told)
    asked = [item("EVSE", "PhaseRotation", evse={"id": 1}), item("EVSE", "PhaseRotation", evse={"id": 2}), item("ElectricalFeed", "PhaseRotation")]
    assert read(peer, *asked) == [("Accepted", "RTS"), ("UnknownVariable", None), ("Accepted", "RST")]
    peer.asked("GetBaseReport", {"requestId": 3, "reportBase": "FullInventory"})
    peer.log.clear()
    peer.seconds(1)
    entries = [entry for action, page in peer.sent("hub") if action == "NotifyReport" for entry in page["reportData"]]
    found = [entry["variableAttribute"][0]["value"] for entry in entries if entry["variable"]["name"] == "PhaseRotation"]
    assert sorted(found) == ["RST", "RTS"]
    reply = peer.asked("SetVariables", {"setVariableData": [{**asked[0], "attributeValue": "RST"}]})
    assert isinstance(reply, Said)
    assert reply.payload["setVariableResult"][0]["attributeStatusInfo"] == {"reasonCode": "ReadOnly"}
