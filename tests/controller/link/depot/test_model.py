"""The part that joins the device model: what it answers, and that all its parts work over the real face."""

from __future__ import annotations

from controller.link.depot.model import REFUSED, DeviceModel
from tests.support.depot_book import DepotBook, site
from tests.support.desk import asked
from tests.support.desk import desk as mixed_desk
from tests.support.model_charger import ModelCharger, usual
from tests.support.model_desk import Desk

ASKED = {
    "GetVariables",
    "SetVariables",
    "GetBaseReport",
    "GetReport",
    "SetVariableMonitoring",
    "ClearVariableMonitoring",
    "GetMonitoringReport",
    "SetMonitoringBase",
    "SetMonitoringLevel",
}


def test_it_answers_the_device_model_and_monitoring() -> None:
    part = DeviceModel(Desk([DeviceModel]).office)
    assert set(part.of_csms()) == ASKED
    assert set(part.of_station()) == {"NotifyReport", "NotifyEvent", "NotifyMonitoringReport"}
    assert set(REFUSED) <= ASKED


def test_a_charger_is_asked_once_after_it_is_linked_and_again_after_a_new_boot() -> None:
    desk = Desk([DeviceModel])
    charger = ModelCharger(desk, "CP1", usual())
    desk.seconds(60)
    assert len(desk.chargers["CP1"].asked("GetBaseReport")) == 1
    desk.changed("CP1", linked=False)
    desk.changed("CP1", linked=True)
    desk.seconds(60)
    assert len(desk.chargers["CP1"].asked("GetBaseReport")) == 1
    charger.items.popitem()
    desk.changed("CP1", boot={"vendorName": "Maker", "model": "M", "firmwareVersion": "2"})
    desk.seconds(60)
    assert len(desk.chargers["CP1"].asked("GetBaseReport")) == 2


def test_what_knows_no_full_inventory_is_asked_for_its_configuration() -> None:
    desk = Desk([DeviceModel])
    charger = ModelCharger(desk, "CP1", usual())
    whole = charger.report
    desk.chargers["CP1"].says["GetBaseReport"] = lambda ask: (
        whole(ask) if ask["reportBase"] == "ConfigurationInventory" else {"status": "NotSupported"}
    )
    desk.seconds(60)
    assert [ask["reportBase"] for ask in desk.chargers["CP1"].asked("GetBaseReport")] == ["FullInventory", "ConfigurationInventory"]
    reply = desk.answer("GetReport", {"requestId": 1, "componentVariable": [{"component": {"name": "TemperatureSensor"}}]})
    assert reply == {"status": "Accepted"}


def test_one_charger_after_the_other_and_one_that_cannot_is_left_alone_for_a_while() -> None:
    desk = Desk([DeviceModel])
    desk.seconds(30)  # NotSupported at once
    assert [len(charger.asked("GetBaseReport")) for charger in desk.chargers.values()] == [2, 2]
    desk.seconds(40)
    assert [len(charger.asked("GetBaseReport")) for charger in desk.chargers.values()] == [4, 4]
    desk.seconds(200)
    assert [len(charger.asked("GetBaseReport")) for charger in desk.chargers.values()] == [4, 4]


def test_over_the_real_face_the_csms_reads_and_writes_own_and_chargers_variables() -> None:
    book = DepotBook(site(("CP1", "CP2")))
    book.open()
    book.boot()
    book.station_says.setdefault("CP2", {})["GetVariables"] = lambda ask: {
        "getVariableResult": [{**one, "attributeStatus": "Accepted", "attributeValue": "7"} for one in ask["getVariableData"]]
    }
    items = [
        {"component": {"name": "ChargingStation"}, "variable": {"name": "VendorName"}},
        {"component": {"name": "Vendor", "instance": "CP2"}, "variable": {"name": "Thing"}},
    ]
    answer = book.csms("GetVariables", {"getVariableData": items})
    assert [one["attributeValue"] for one in answer["getVariableResult"]] == ["Yardmaster", "7"]


def test_what_other_parts_know_is_shown_as_the_depots_own() -> None:
    desk = Desk([DeviceModel])
    modes = {"now": ""}
    desk.office.shows["DCDERCtrlr", "ModesSupported"] = lambda: modes["now"]
    question = {"getVariableData": [{"component": {"name": "DCDERCtrlr"}, "variable": {"name": "ModesSupported"}}]}
    assert desk.answer("GetVariables", question)["getVariableResult"][0]["attributeStatus"] == "UnknownComponent"
    modes["now"] = "FreqDroop,VoltVar"
    desk.seconds(1)
    assert desk.answer("GetVariables", question)["getVariableResult"][0]["attributeValue"] == "FreqDroop,VoltVar"


def test_a_16_charger_is_read_and_written_through_its_configuration_keys() -> None:
    book = mixed_desk()
    keys = [{"key": "MeterValueSampleInterval", "readonly": False, "value": "30"}, {"key": "VendorThing", "readonly": True, "value": "x"}]
    book.station_says["CP16"]["GetConfiguration"] = {"configurationKey": keys, "unknownKey": []}
    book.station_says["CP16"]["ChangeConfiguration"] = {"status": "Accepted"}
    book.wait(30)
    assert book.csms("GetBaseReport", {"requestId": 5, "reportBase": "FullInventory"}) == {"status": "Accepted"}
    book.wait(60)
    items = [item for page in book.heard("NotifyReport") for item in page["reportData"]]
    told = {
        (item["component"]["name"], item["variable"]["name"]): item["variableAttribute"][0].get("value")
        for item in items
        if item["component"].get("instance") == "CP16"
    }
    assert told["SampledDataCtrlr", "TxUpdatedInterval"] == "30"
    assert "x" in told.values()  # a key of the vendor's is shown as well
    assert book.heard("NotifyReport")[-1]["tbc"] is False
    item = {"component": {"name": "SampledDataCtrlr", "instance": "CP16"}, "variable": {"name": "TxUpdatedInterval"}, "attributeValue": "15"}
    assert book.csms("SetVariables", {"setVariableData": [item]})["setVariableResult"][0]["attributeStatus"] == "Accepted"
    assert asked(book, "CP16", "ChangeConfiguration") == [{"key": "MeterValueSampleInterval", "value": "15"}]


def test_a_16_csms_reads_and_writes_the_depots_settings() -> None:
    book = mixed_desk("ocpp1.6")
    book.station_says["CP16"]["ChangeConfiguration"] = {"status": "Accepted"}
    answer = book.csms("GetConfiguration", {"key": ["NumberOfConnectors", "MeterValueSampleInterval"]})
    known = {one["key"]: one["value"] for one in answer["configurationKey"]}
    assert known == {"NumberOfConnectors": "4", "MeterValueSampleInterval": "60"}
    assert book.csms("ChangeConfiguration", {"key": "MeterValueSampleInterval", "value": "17"}) == {"status": "Accepted"}
    assert asked(book, "CP16", "ChangeConfiguration") == [{"key": "MeterValueSampleInterval", "value": "17"}]
