"""Small answers of a simulated station about its variables (B05, B06)."""

from __future__ import annotations

from controller.sim.profiles import MAX_PERIODS, MAX_STACK_LEVEL, MODES
from controller.sim.voice import Settings
from controller.sim.wire import Payload

SMART = "SmartChargingCtrlr"
V2X = "V2XChargingCtrlr"


def fixed_variables(only_unit: str, dynamic: bool, v2x: bool = False, modes: tuple[str, ...] = MODES) -> Settings:
    """What the station can do, read only. only_unit: "A", "W" or "" for both. dynamic: it speaks 2.1. v2x: cars may give back."""
    found: Settings = {
        (SMART, "Enabled"): "true",
        (SMART, "ACPhaseSwitchingSupported"): "false",
        (SMART, "ProfileStackLevel"): str(MAX_STACK_LEVEL),
        (SMART, "PeriodsPerSchedule"): str(MAX_PERIODS),
        (SMART, "RateUnit"): only_unit or "A,W",
    }
    if dynamic:
        found |= {(SMART, "SupportsDynamicProfiles"): "true", (SMART, "SupportsMaxOfflineDuration"): "true"}
        found |= {(V2X, "Available"): str(v2x).lower(), (V2X, "Enabled"): str(v2x).lower()}
        found |= {(V2X, "SupportedOperationModes"): ",".join(modes)}
    return found


def variable_results(payload: Payload, settings: Settings, fixed: Settings) -> list[Payload]:
    """getVariableResult: one entry per asked variable."""
    return [_result(item, {**fixed, **settings}) for item in payload["getVariableData"]]


def variable_set_results(payload: Payload, settings: Settings, fixed: Settings) -> list[Payload]:
    """setVariableResult; an accepted value is in ``settings`` afterwards."""
    return [_echo(item, "Rejected") if _key(item) in fixed else _set(item, settings) for item in payload["setVariableData"]]


def _result(item: Payload, settings: Settings) -> Payload:
    status = _status(item, settings)
    result = _echo(item, status)
    if status == "Accepted":
        result["attributeValue"] = settings[_key(item)]
    return result


def _set(item: Payload, settings: Settings) -> Payload:
    status = _status(item, settings)
    if status == "Accepted":
        value = item["attributeValue"]
        if value.isdigit() and 1 <= int(value) <= 86_400:
            settings[_key(item)] = value
        else:
            status = "Rejected"
    return _echo(item, status)


def _echo(item: Payload, status: str) -> Payload:
    result: Payload = {"attributeStatus": status, "component": item["component"], "variable": item["variable"]}
    if "attributeType" in item:
        result["attributeType"] = item["attributeType"]
    return result


def _key(item: Payload) -> tuple[str, str]:
    return item["component"]["name"], item["variable"]["name"]


def _status(item: Payload, settings: Settings) -> str:
    component, variable = _key(item)
    if item.get("attributeType", "Actual") != "Actual":
        return "NotSupportedAttributeType"
    if (component, variable) in settings:
        return "Accepted"
    return "UnknownVariable" if component in {name for name, _ in settings} else "UnknownComponent"
