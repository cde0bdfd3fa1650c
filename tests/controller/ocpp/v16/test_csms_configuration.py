"""GetConfiguration and ChangeConfiguration of a 1.6 CSMS. Expected values by hand from OCPP-NOTES 12.9."""

from __future__ import annotations

from typing import Any

import pytest

from controller.ocpp.hub import EvseShape, Failed, Said
from controller.ocpp.v16 import keys
from controller.ocpp.v16.csms_side import CsmsSide16
from tests.support.talking import NOON, Talking


def name_of(item: dict[str, Any]) -> str:
    """Component[@evse].Variable[instance][:attribute]"""
    component, variable = item["component"], item["variable"]
    place = component["name"] + (f"@{component['evse']['id']}" if "evse" in component else "")
    instance = f"[{variable['instance']}]" if "instance" in variable else ""
    attribute = item.get("attributeType", "Actual")
    return f"{place}.{variable['name']}{instance}" + ("" if attribute == "Actual" else f":{attribute}")


class Station:
    """A device model: name -> value; reads and writes are kept."""

    def __init__(self, most: int = 100, **values: str) -> None:
        self.values, self.most = dict(values), most
        self.reads: list[list[str]] = []

    def get(self, request: dict[str, Any]) -> dict[str, Any] | Failed:
        items = request["getVariableData"]
        self.reads.append([name_of(item) for item in items])
        if len(items) > self.most:
            return Failed("OccurrenceConstraintViolation", "too many")
        return {"getVariableResult": [self._one(item) for item in reversed(items)]}  # in an order of its own

    def _one(self, item: dict[str, Any]) -> dict[str, Any]:
        value = self.values.get(name_of(item))
        if value == "secret":
            return {**item, "attributeStatus": "Rejected"}
        return {**item, "attributeStatus": "UnknownVariable"} if value is None else {**item, "attributeStatus": "Accepted", "attributeValue": value}

    def set(self, request: dict[str, Any]) -> dict[str, Any]:
        results = []
        for item in request["setVariableData"]:
            known = name_of(item) in self.values
            value = item.pop("attributeValue")
            if known:
                self.values[name_of(item)] = value
            results.append({**item, "attributeStatus": "Accepted" if known else "UnknownComponent"})
        return {"setVariableResult": results}


def talking(station: Station, evses: tuple[EvseShape, ...] = (EvseShape(1), EvseShape(2, phases=1))) -> Talking:
    hub: dict[str, Any] = {"GetVariables": station.get, "SetVariables": station.set, "GetReport": {"status": "NotSupported"}}
    return Talking(CsmsSide16, evses=evses, hub=hub)


MODEL = {
    "OCPPCommCtrlr.HeartbeatInterval": "300",
    "SmartChargingCtrlr.RateUnit": "A,W",
    "OCPPCommCtrlr.MessageAttempts[TransactionEvent]": "3",
    "LocalAuthListCtrlr.Entries:MaxSet": "200",
    "SecurityCtrlr.BasicAuthPassword": "secret",
    "EVSE@1.PhaseRotation": "RST",
    "SmartChargingCtrlr.Available": "true",
    "ReservationCtrlr.Available": "false",
}


def test_keys_asked_for_by_name_in_any_case() -> None:
    talk = talking(Station(**MODEL))
    asked = ["heartbeatinterval", "ChargingScheduleAllowedChargingRateUnit", "AuthorizationKey", "VendorThing", "LocalAuthListMaxLength"]
    assert talk.said("GetConfiguration", {"key": asked}) == Said(
        {
            "configurationKey": [
                {"key": "HeartbeatInterval", "readonly": False, "value": "300"},
                {"key": "ChargingScheduleAllowedChargingRateUnit", "readonly": True, "value": "Current,Power"},
                {"key": "AuthorizationKey", "readonly": False},
                {"key": "LocalAuthListMaxLength", "readonly": True, "value": "200"},
            ],
            "unknownKey": ["VendorThing"],
        }
    )


def test_all_keys_at_once_in_batches() -> None:
    station = Station(**MODEL)
    reply = talking(station).said("GetConfiguration", {})
    assert isinstance(reply, Said)
    found = {entry["key"]: entry.get("value") for entry in reply.payload["configurationKey"]}
    assert found == {
        "NumberOfConnectors": "2",
        "SupportedFeatureProfiles": "Core,FirmwareManagement,RemoteTrigger,SmartCharging",
        "ConnectorPhaseRotation": "1.RST,2.NotApplicable",
        "TransactionMessageAttempts": "3",
        "HeartbeatInterval": "300",
        "ChargingScheduleAllowedChargingRateUnit": "Current,Power",
        "LocalAuthListMaxLength": "200",
        "AuthorizationKey": None,
    }
    assert "unknownKey" not in reply.payload
    assert max(len(batch) for batch in station.reads) <= 16


def test_a_station_that_takes_few_variables_is_asked_again_for_fewer() -> None:
    reply = talking(Station(most=3, **MODEL)).said("GetConfiguration", {"key": [row.key for row in keys.ROWS]})
    assert isinstance(reply, Said)
    assert {"key": "HeartbeatInterval", "readonly": False, "value": "300"} in reply.payload["configurationKey"]


def test_lengths_come_from_a_report_where_they_are_no_attribute() -> None:
    """A real 2.x station keeps Entries.maxLimit as a characteristic only."""
    talk = talking(Station())

    def report(request: dict[str, Any]) -> dict[str, Any]:
        assert request["componentVariable"] == [{"component": {"name": "LocalAuthListCtrlr"}, "variable": {"name": "Entries"}}]
        item = {"component": {"name": "LocalAuthListCtrlr"}, "variable": {"name": "Entries"}, "variableAttribute": [{"value": "3"}]}
        item["variableCharacteristics"] = {"dataType": "integer", "supportsMonitoring": False, "maxLimit": 150}
        told = {"requestId": request["requestId"], "generatedAt": NOON, "seqNo": 0, "reportData": [item]}
        assert talk.asked("NotifyReport", told) == Said({})
        return {"status": "Accepted"}

    talk.hub["GetReport"] = report
    expected = Said({"configurationKey": [{"key": "LocalAuthListMaxLength", "readonly": True, "value": "150"}]})
    assert talk.said("GetConfiguration", {"key": ["LocalAuthListMaxLength"]}) == expected
    talk.hub["GetReport"] = Failed("InternalError")  # it is known now
    assert talk.said("GetConfiguration", {"key": ["LocalAuthListMaxLength"]}) == expected


def test_a_report_that_never_comes_is_not_waited_for_for_ever() -> None:
    talk = talking(Station())
    talk.hub["GetReport"] = {"status": "Accepted"}
    reply = talk.said("GetConfiguration", {"key": ["LocalAuthListMaxLength"]})
    assert reply == Said({"configurationKey": [], "unknownKey": ["LocalAuthListMaxLength"]})
    assert talk.mono_s < 5010


def test_a_station_that_is_away_is_an_error() -> None:
    assert isinstance(Talking(CsmsSide16).said("GetConfiguration", {}), Failed)


@pytest.mark.parametrize(
    ("key", "value", "status", "name", "kept"),
    [
        ("HeartbeatInterval", "60", "Accepted", "OCPPCommCtrlr.HeartbeatInterval", "60"),
        ("AuthorizationKey", b"new-password-1234".hex(), "Accepted", "SecurityCtrlr.BasicAuthPassword", "new-password-1234"),
        ("ConnectorPhaseRotation", "0.RST,1.STR", "Accepted", "EVSE@1.PhaseRotation", "STR"),
        ("AuthorizationKey", "ff00" * 8, "Rejected", "SecurityCtrlr.BasicAuthPassword", "secret"),  # no text
        ("NumberOfConnectors", "3", "Rejected", "", None),
        ("ChargingScheduleAllowedChargingRateUnit", "Power", "Rejected", "SmartChargingCtrlr.RateUnit", "A,W"),
        ("ConnectorPhaseRotation", "7.RST", "Rejected", "", None),
        ("ConnectorPhaseRotation", "nonsense", "Rejected", "", None),
        ("BlinkRepeat", "3", "NotSupported", "OCPP16.BlinkRepeat", None),
    ],
)
def test_keys_that_are_changed(key: str, value: str, status: str, name: str, kept: str | None) -> None:
    station = Station(**MODEL)
    assert talking(station).said("ChangeConfiguration", {"key": key, "value": value}) == Said({"status": status})
    assert station.values.get(name) == kept


@pytest.mark.parametrize(
    ("words", "status"),
    [
        (["Accepted"], "Accepted"),
        (["RebootRequired"], "RebootRequired"),
        (["UnknownVariable"], "NotSupported"),
        (["Rejected"], "Rejected"),
        (["Accepted", "RebootRequired"], "RebootRequired"),
        (["Accepted", "Rejected"], "Rejected"),
    ],
)
def test_one_status_for_all_results(words: list[str], status: str) -> None:
    def answer(request: dict[str, Any]) -> dict[str, Any]:
        place = {"component": {"name": "EVSE"}, "variable": {"name": "PhaseRotation"}}
        return {"setVariableResult": [{**place, "attributeStatus": word} for word in words]}

    talk = talking(Station())
    talk.hub["SetVariables"] = answer
    value = ",".join(f"{number}.RST" for number in range(1, len(words) + 1))
    assert talk.said("ChangeConfiguration", {"key": "ConnectorPhaseRotation", "value": value}) == Said({"status": status})
