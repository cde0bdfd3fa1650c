"""GetVariables and SetVariables over own and chargers' components (B05, B06)."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.link.depot.addresses import name_of
from controller.link.depot.model import DeviceModel
from controller.ocpp.hub import Failed
from controller.orders import AnnounceSite, Tell
from tests.support.examples import examples
from tests.support.model_charger import ModelCharger, entry, usual
from tests.support.model_desk import Desk, depot_site

Payload = dict[str, Any]


def depot(stations: tuple[str, ...] = ("CP1", "CP2"), evses: int = 1) -> tuple[Desk, list[ModelCharger]]:
    desk = Desk([DeviceModel], depot_site(stations, evses))
    chargers = [ModelCharger(desk, station, usual(evses)) for station in stations]
    desk.seconds(10 + 8 * len(stations))
    for charger in desk.chargers.values():
        charger.heard.clear()
    return desk, chargers


def item(component: str, variable: str, instance: str = "", evse: int = 0, connector: int = 0, of: str = "", **more: Any) -> Payload:
    owner: Payload = {"name": component, **({"instance": instance} if instance else {})}
    if evse:
        owner["evse"] = {"id": evse, **({"connectorId": connector} if connector else {})}
    return {"component": owner, "variable": {"name": variable, **({"instance": of} if of else {})}, **more}


def get(desk: Desk, *items: Payload, seconds: int = 0) -> list[tuple[str, str | None]]:
    found = desk.answer("GetVariables", {"getVariableData": list(items)}, seconds)["getVariableResult"]
    assert [(one["component"], one["variable"]) for one in found] == [(one["component"], one["variable"]) for one in items]
    return [(one["attributeStatus"], one.get("attributeValue")) for one in found]


def put(desk: Desk, *items: Payload, seconds: int = 0) -> list[str]:
    found = desk.answer("SetVariables", {"setVariableData": list(items)}, seconds)["setVariableResult"]
    assert [(one["component"], one["variable"]) for one in found] == [(one["component"], one["variable"]) for one in items]
    return [one["attributeStatus"] for one in found]


# -- reading --------------------------------------------------------------------------------------------


def test_own_and_chargers_in_one_request_in_its_order() -> None:
    desk, _ = depot()
    found = get(
        desk,
        item("TemperatureSensor", "Temperature", "CP2/door"),
        item("ChargingStation", "Model"),
        item("TemperatureSensor", "Temperature", "CP1/door"),
        item("EVSE", "AvailabilityState", evse=2),
        item("Connector", "ConnectorType", evse=2, connector=1),
        item("TemperatureSensor", "Temperature", "CP2/door"),
        item("DistributionPanel", "Fuse", "hall", of="2"),
    )
    assert found == [
        ("Accepted", "21.5"),
        ("Accepted", "Local controller"),
        ("Accepted", "21.5"),
        ("Accepted", "Available"),
        ("Accepted", "cType2"),
        ("Accepted", "21.5"),
        ("Accepted", "100"),
    ]
    # one message to each, in its own words
    assert [len(charger.asked("GetVariables")) for charger in desk.chargers.values()] == [1, 1]
    asked = desk.chargers["CP2"].asked("GetVariables")[0]["getVariableData"]
    assert [one["component"] for one in asked] == [
        {"name": "TemperatureSensor", "instance": "door"},
        {"name": "Connector", "evse": {"id": 1, "connectorId": 1}},
        {"name": "TemperatureSensor", "instance": "door"},
    ]


def test_what_is_not_there_is_said_item_by_item() -> None:
    desk, _ = depot()
    found = get(
        desk,
        item("Nothing", "Model"),
        item("ChargingStation", "Nothing"),
        item("ChargingStation", "Nothing", "CP1"),
        item("EVSE", "AvailabilityState", evse=99),
        item("ChargingStation", "Model", attributeType="Target"),
        item("SecurityCtrlr", "BasicAuthPassword"),
        item("ChargingStation", "Model"),
    )
    assert [status for status, _ in found] == [
        "UnknownComponent",
        "UnknownVariable",
        "UnknownVariable",
        "UnknownComponent",
        "NotSupportedAttributeType",
        "Rejected",
        "Accepted",
    ]


def test_a_charger_that_is_away_or_silent_spoils_only_its_own_items() -> None:
    desk, _ = depot(("CP1", "CP2", "CP3"))
    desk.changed("CP1", linked=False, online=False)
    desk.chargers["CP2"].says["GetVariables"] = Failed("InternalError", "out of order")
    reply = desk.answer("GetVariables", {"getVariableData": [item("ChargingStation", "VendorName", station) for station in ("CP1", "CP2", "CP3")]})
    found = reply["getVariableResult"]
    assert [one["attributeStatus"] for one in found] == ["Rejected", "Rejected", "Accepted"]
    assert "not connected" in found[0]["attributeStatusInfo"]["additionalInfo"]
    assert "out of order" in found[1]["attributeStatusInfo"]["additionalInfo"]


def test_the_evse_of_a_charger_that_is_away_is_unavailable() -> None:
    desk, _ = depot()
    desk.changed("CP2", linked=False, online=False)
    assert get(desk, item("EVSE", "AvailabilityState", evse=2), item("Connector", "AvailabilityState", evse=2, connector=1)) == [
        ("Accepted", "Unavailable"),
        ("Accepted", "Unavailable"),
    ]


def test_what_a_charger_takes_in_one_message_is_respected() -> None:
    desk = Desk([DeviceModel])
    limit = entry("DeviceDataCtrlr", {"name": "ItemsPerMessage", "instance": "GetVariables"}, "3", "ReadOnly")
    ModelCharger(desk, "CP1", usual(1, [limit]))
    desk.seconds(30)
    desk.chargers["CP1"].heard.clear()
    assert len(get(desk, *[item("ChargingStation", "VendorName", "CP1")] * 8)) == 8
    assert [len(ask["getVariableData"]) for ask in desk.chargers["CP1"].asked("GetVariables")] == [3, 3, 2]


def test_a_charger_that_finds_it_too_much_is_asked_with_less() -> None:
    desk = Desk([DeviceModel])
    ModelCharger(desk, "CP1", usual(), most=5)
    desk.seconds(30)
    assert get(desk, *[item("ChargingStation", "VendorName", "CP1")] * 18) == [("Accepted", "Maker")] * 18


def test_a_charger_that_answers_in_another_order_is_sorted_out() -> None:
    desk, chargers = depot()
    straight = chargers[0].get
    desk.chargers["CP1"].says["GetVariables"] = lambda ask: {"getVariableResult": straight(ask)["getVariableResult"][::-1]}  # type: ignore[index]
    found = get(desk, item("ChargingStation", "VendorName", "CP1"), item("TemperatureSensor", "Temperature", "CP1/door"))
    assert found == [("Accepted", "Maker"), ("Accepted", "21.5")]


def test_more_than_we_take_is_refused_as_a_whole() -> None:
    """B06.FR.16: more items than ItemsPerMessage[GetVariables]."""
    desk, _ = depot()
    assert get(desk, item("DeviceDataCtrlr", "ItemsPerMessage", of="GetVariables")) == [("Accepted", "100")]
    reply = desk.csms("GetVariables", {"getVariableData": [item("ChargingStation", "Model")] * 101})
    assert isinstance(reply, Failed)
    assert reply.code == "OccurrenceConstraintViolation"
    long = [item("ChargingStation", "Model", attributeValue="x" * 2000)] * 40
    reply = desk.csms("SetVariables", {"setVariableData": long})
    assert isinstance(reply, Failed)
    assert reply.code == "FormatViolation"


def test_what_the_site_measures_is_read() -> None:
    desk, _ = depot()
    desk.office.site = site_values()
    assert get(
        desk, item("ElectricalFeed", "Power", "grid"), item("ElectricalFeed", "ACCurrent", "grid", of="L2"), item("LocalController", "SiteLimit")
    ) == [
        ("Accepted", "12345.6"),
        ("Accepted", "11.5"),
        ("Accepted", "180"),
    ]
    assert get(desk, item("ChargingStation", "Power"), item("LocalController", "Problem")) == [("Accepted", "9000"), ("Accepted", "false")]


def site_values(**more: Any) -> AnnounceSite:
    known: Payload = {
        "power_w": 12_345.6,
        "phase_current_a": (10.0, 11.5, 12.0),
        "voltage_v": 231.0,
        "import_wh": 1e6,
        "export_wh": 5.0,
        "limit_a": 180.0,
        "limit_source": "csms",
        "chargers_w": 9000.0,
    }
    return AnnounceSite(**{**known, **more})


def test_an_instance_that_is_too_long_is_cut_and_found_again() -> None:
    station = "S" * 48
    desk = Desk([DeviceModel], depot_site((station, "CP2")))
    sensor = {"name": "TemperatureSensor", "instance": "a rather long name of a sensor"}
    ModelCharger(desk, station, [entry(sensor, "Temperature", "40", "ReadOnly")])
    desk.seconds(30)
    desk.answer("GetReport", {"requestId": 1, "componentVariable": [{"component": {"name": "TemperatureSensor"}}]})
    desk.seconds(10)
    shown = desk.heard("NotifyReport")[0]["reportData"][0]["component"]
    assert len(shown["instance"]) == 50
    assert get(desk, {"component": shown, "variable": {"name": "Temperature"}}) == [("Accepted", "40")]
    assert desk.chargers[station].asked("GetVariables")[0]["getVariableData"][0]["component"] == sensor


OWN = [("ChargingStation", "Model", ""), ("LocalController", "Identity", ""), ("Nothing", "X", "")]


@settings(max_examples=examples(40), deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["own", "CP1", "CP2", "CP3", "away"]), st.integers(0, 5)), min_size=1, max_size=60), st.integers(1, 7))
def test_results_stand_in_the_order_of_the_request_whatever_is_asked(picks: list[tuple[str, int]], most: int) -> None:
    desk = Desk([DeviceModel], depot_site(("CP1", "CP2", "CP3", "away")))
    for station in ("CP1", "CP2", "CP3"):
        ModelCharger(desk, station, [entry(f"C{number}", "V", f"{station}-{number}") for number in range(5)], most=most)
    desk.changed("away", linked=False, online=False)
    wanted, expected = [], []
    for who, number in picks:
        if who == "own":
            component, variable, _ = OWN[number % 3]
            wanted.append(item(component, variable))
            expected.append([("Accepted", "Local controller"), ("Accepted", "DEPOT"), ("UnknownComponent", None)][number % 3])
        else:
            wanted.append(item(f"C{number}", "V", who))
            known = ("Accepted", f"{who}-{number}") if number < 5 else ("UnknownVariable", None)
            expected.append(("Rejected", None) if who == "away" else known)
    assert get(desk, *wanted) == expected


# -- writing ----------------------------------------------------------------------------------------------


def test_writes_go_to_their_charger_and_one_that_fails_leaves_the_others() -> None:
    desk, chargers = depot()
    found = put(
        desk,
        item("SampledDataCtrlr", "TxUpdatedInterval", "CP2", attributeValue="10"),
        item("ChargingStation", "VendorName", "CP1", attributeValue="Me"),
        item("Nothing", "X", "CP1", attributeValue="1"),
        item("DistributionPanel", "Fuse", "grid", of="1", attributeValue="999"),
        item("OCPPCommCtrlr", "HeartbeatInterval", attributeValue="120"),
        item("OCPPCommCtrlr", "HeartbeatInterval", attributeValue="often"),
        item("OCPPCommCtrlr", "HeartbeatInterval", attributeValue="1"),
        item("OCPPCommCtrlr", "HeartbeatInterval", attributeValue="60", attributeType="MaxSet"),
        item("SecurityCtrlr", "BasicAuthPassword", attributeValue="secretsecretsecret"),
    )
    assert found == [
        "Accepted",
        "Rejected",
        "UnknownComponent",
        "Rejected",
        "Accepted",
        "Rejected",
        "Rejected",
        "NotSupportedAttributeType",
        "Rejected",
    ]
    assert value_of(chargers[1], "SampledDataCtrlr", "TxUpdatedInterval") == "10"
    assert get(desk.again(), item("OCPPCommCtrlr", "HeartbeatInterval")) == [("Accepted", "120")]


def value_of(charger: ModelCharger, component: str, variable: str) -> str:
    return str(charger.items[name_of({"name": component}, {"name": variable})]["variableAttribute"][0]["value"])


def test_a_reboot_that_a_charger_wants_is_told() -> None:
    desk, _ = depot()
    desk.chargers["CP1"].says["SetVariables"] = lambda ask: {
        "setVariableResult": [
            {"component": one["component"], "variable": one["variable"], "attributeStatus": "RebootRequired"} for one in ask["setVariableData"]
        ]
    }
    assert put(
        desk, item("Vendor", "Thing", "CP1", attributeValue="1"), item("SampledDataCtrlr", "TxUpdatedInterval", "CP2", attributeValue="9")
    ) == [
        "RebootRequired",
        "Accepted",
    ]


def test_a_setting_of_all_chargers_goes_to_all_and_to_those_that_come_later() -> None:
    desk, chargers = depot(("CP1", "CP2", "CP3"))
    desk.changed("CP3", linked=False, online=False)
    assert put(desk, item("SampledDataCtrlr", "TxUpdatedInterval", attributeValue="12")) == ["Accepted"]
    assert [value_of(charger, "SampledDataCtrlr", "TxUpdatedInterval") for charger in chargers] == ["12", "12", "30"]
    desk = desk.again()
    desk.changed("CP3", linked=False, online=False)
    desk.seconds(5)
    desk.changed("CP3", linked=True, online=True)
    desk.seconds(5)
    assert value_of(chargers[2], "SampledDataCtrlr", "TxUpdatedInterval") == "12"
    before = len(desk.chargers["CP3"].asked("SetVariables"))
    desk.seconds(300)
    assert len(desk.chargers["CP3"].asked("SetVariables")) == before == 1  # given once, also after a restart
    assert get(desk, item("SampledDataCtrlr", "TxUpdatedInterval")) == [("Accepted", "12")]


@pytest.mark.parametrize(
    ("first", "second", "expected", "kept"),
    [
        ("Accepted", "Rejected", "Accepted", "12"),  # how many took it stands in attributeStatusInfo
        ("Rejected", "Rejected", "Rejected", "30"),
        ("RebootRequired", "Accepted", "RebootRequired", "12"),
        ("UnknownVariable", "Rejected", "Rejected", "30"),
        ("UnknownVariable", "UnknownComponent", "Accepted", "12"),
    ],
)
def test_what_all_chargers_together_say(first: str, second: str, expected: str, kept: str) -> None:
    desk, _ = depot()
    for station, status in (("CP1", first), ("CP2", second)):
        desk.chargers[station].says["SetVariables"] = lambda ask, status=status: {
            "setVariableResult": [
                {"component": one["component"], "variable": one["variable"], "attributeStatus": status} for one in ask["setVariableData"]
            ]
        }
    assert put(desk, item("SampledDataCtrlr", "TxUpdatedInterval", attributeValue="12")) == [expected]
    assert get(desk, item("SampledDataCtrlr", "TxUpdatedInterval")) == [("Accepted", kept)]


def test_a_charger_that_refuses_a_setting_later_is_named_once() -> None:
    desk, _ = depot()
    desk.changed("CP2", linked=False, online=False)
    put(desk, item("TxCtrlr", "EVConnectionTimeOut", attributeValue="90"))
    desk.chargers["CP2"].says["SetVariables"] = lambda ask: {
        "setVariableResult": [
            {"component": one["component"], "variable": one["variable"], "attributeStatus": "Rejected"} for one in ask["setVariableData"]
        ]
    }
    desk.changed("CP2", linked=True, online=True)
    desk.seconds(200)
    told = [tell.text for tell in desk.ordered(Tell) if tell.subject == "CP2"]
    assert told == ["refuses settings meant for all chargers: txctrlr.evconnectiontimeout - it keeps its own"]


def test_a_charger_that_did_not_answer_gets_the_setting_later() -> None:
    desk, chargers = depot()
    desk.chargers["CP1"].says["SetVariables"] = Failed("GenericError", "no answer in time")
    assert put(desk, item("SampledDataCtrlr", "TxUpdatedInterval", attributeValue="12")) == ["Accepted"]
    desk.chargers["CP1"].says["SetVariables"] = chargers[0].set
    desk.seconds(55)
    assert value_of(chargers[0], "SampledDataCtrlr", "TxUpdatedInterval") == "30"
    desk.seconds(10)
    assert value_of(chargers[0], "SampledDataCtrlr", "TxUpdatedInterval") == "12"


@pytest.mark.parametrize("value", ["1_000", "１２", " 5", "5 ", "1e2", "0x10", "", "nan", "--5", "5.0"])
def test_a_number_is_a_number_as_ocpp_writes_it(value: str) -> None:
    desk, _ = depot()
    item = {"component": {"name": "OCPPCommCtrlr"}, "variable": {"name": "HeartbeatInterval"}, "attributeValue": value}
    (result,) = desk.answer("SetVariables", {"setVariableData": [item]})["setVariableResult"]
    assert (result["attributeStatus"], result["attributeStatusInfo"]["reasonCode"]) == ("Rejected", "InvalidValue")
