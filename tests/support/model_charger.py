"""A charger with a device model, for ``tests.support.model_desk``: reports itself in pages, gives and takes variables, keeps monitors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from controller.link.depot.addresses import Name, name_of
from controller.ocpp.hub import Failed
from tests.support.model_desk import Charger, Desk

Payload = dict[str, Any]
NOW = "2026-11-21T12:00:00.000Z"


def entry(component: Payload | str, variable: Payload | str, value: str | None, mutability: str = "ReadWrite", **more: Any) -> Payload:
    """An element of reportData."""
    owner = {"name": component} if isinstance(component, str) else component
    name = {"name": variable} if isinstance(variable, str) else variable
    attribute = {"type": "Actual", "mutability": mutability, **({} if value is None else {"value": value})}
    return {
        "component": owner,
        "variable": name,
        "variableAttribute": [attribute],
        "variableCharacteristics": {"dataType": "string", "supportsMonitoring": False, **more},
    }


def usual(evses: int = 1, extra: Sequence[Payload] = ()) -> list[Payload]:
    """What a plain charger says of itself."""
    items = [
        entry("ChargingStation", "VendorName", "Maker", "ReadOnly"),
        entry("ChargingStation", "AvailabilityState", "Available", "ReadOnly"),
        entry("SampledDataCtrlr", "TxUpdatedInterval", "30"),
        entry("OCPPCommCtrlr", {"name": "MessageTimeout", "instance": "Default"}, "10", "ReadOnly"),
        entry({"name": "TemperatureSensor", "instance": "door"}, "Temperature", "21.5", "ReadOnly"),
        entry("SmartChargingCtrlr", "ProfileStackLevel", "5", "ReadOnly"),
        *extra,
    ]
    for evse in range(1, evses + 1):
        items.append(entry({"name": "EVSE", "evse": {"id": evse}}, "AvailabilityState", "Available", "ReadOnly"))
        items.append(entry({"name": "EVSE", "evse": {"id": evse}}, "Power", "0", "ReadOnly", maxLimit=22000))
        items.append(entry({"name": "Connector", "evse": {"id": evse, "connectorId": 1}}, "ConnectorType", "cType2", "ReadOnly"))
    return items


class ModelCharger:
    """Plays one charger of a desk. page: elements per NotifyReport; most: variables it takes in one GetVariables."""

    def __init__(self, desk: Desk, station_id: str, items: Sequence[Payload], page: int = 4, most: int = 1000) -> None:
        self.desk, self.station_id, self.page, self.most = desk, station_id, page, most
        self.items: dict[Name, Payload] = {name_of(one["component"], one["variable"]): one for one in items}
        self.monitors: dict[int, Payload] = {}
        self.order = [1]
        self.mute_report = False
        charger: Charger = desk.chargers[station_id]
        charger.player = self
        charger.says |= {
            "GetBaseReport": self.report,
            "GetVariables": self.get,
            "SetVariables": self.set,
            "SetVariableMonitoring": self.watch,
            "ClearVariableMonitoring": self.unwatch,
            "GetMonitoringReport": self.watched,
            "SetMonitoringBase": {"status": "Accepted"},
            "SetMonitoringLevel": {"status": "Accepted"},
        }

    def _say(self, action: str, payload: Payload) -> None:
        self.desk.later.append(lambda: self.desk.station(self.station_id, action, payload) and None)

    def report(self, request: Payload) -> Payload:
        items = list(self.items.values())
        sheets = [items[at : at + self.page] for at in range(0, len(items), self.page)] or [[]]
        for seq, sheet in enumerate([] if self.mute_report else sheets):
            head = {"requestId": request["requestId"], "generatedAt": NOW, "seqNo": seq, "tbc": seq < len(sheets) - 1}
            self._say("NotifyReport", {**head, **({"reportData": sheet} if sheet else {})})
        return {"status": "Accepted"}

    def get(self, request: Payload) -> Payload | Failed:
        if len(request["getVariableData"]) > self.most:
            return Failed("OccurrenceConstraintViolation", "too many")
        return {"getVariableResult": [self._got(one) for one in request["getVariableData"]]}

    def _got(self, one: Payload) -> Payload:
        words = {key: one[key] for key in ("component", "variable", "attributeType") if key in one}
        known = self.items.get(name_of(one["component"], one["variable"]))
        if known is None:
            return {**words, "attributeStatus": "UnknownVariable"}
        return {**words, "attributeStatus": "Accepted", "attributeValue": known["variableAttribute"][0].get("value", "")}

    def set(self, request: Payload) -> Payload:
        return {"setVariableResult": [self._set(one) for one in request["setVariableData"]]}

    def _set(self, one: Payload) -> Payload:
        words = {key: one[key] for key in ("component", "variable", "attributeType") if key in one}
        known = self.items.get(name_of(one["component"], one["variable"]))
        if known is None:
            return {**words, "attributeStatus": "UnknownComponent"}
        if known["variableAttribute"][0]["mutability"] == "ReadOnly":
            return {**words, "attributeStatus": "Rejected", "attributeStatusInfo": {"reasonCode": "ReadOnly"}}
        known["variableAttribute"][0]["value"] = one["attributeValue"]
        return {**words, "attributeStatus": "Accepted"}

    def watch(self, request: Payload) -> Payload:
        results = []
        for one in request["setMonitoringData"]:
            number = one.get("id", len(self.monitors) + 1)
            self.monitors[number] = one
            results.append({**{key: one[key] for key in ("type", "severity", "component", "variable")}, "status": "Accepted", "id": number})
        return {"setMonitoringResult": results}

    def unwatch(self, request: Payload) -> Payload:
        found = [{"id": one, "status": "Accepted" if self.monitors.pop(one, None) else "NotFound"} for one in request["id"]]
        return {"clearMonitoringResult": found}

    def watched(self, request: Payload) -> Payload:
        if not self.monitors:
            return {"status": "EmptyResultSet"}
        monitors = [
            {
                "component": one["component"],
                "variable": one["variable"],
                "variableMonitoring": [
                    {
                        "id": number,
                        "transaction": False,
                        "value": one["value"],
                        "type": one["type"],
                        "severity": one["severity"],
                        "eventNotificationType": "CustomMonitor",
                    }
                ],
            }
            for number, one in self.monitors.items()
        ]
        head = {"requestId": request["requestId"], "generatedAt": NOW, "seqNo": 0, "tbc": False}
        self._say("NotifyMonitoringReport", {**head, "monitor": monitors})
        return {"status": "Accepted"}
