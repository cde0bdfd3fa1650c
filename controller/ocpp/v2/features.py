"""What a 2.x station says about its smart charging, in GetVariables answers and in reports.

Names of components and variables are read without regard to capitals, and both spellings of the
capability variables count: SupportsFeature[DynamicProfiles] and SupportsDynamicProfiles (OCPP-NOTES 5.8).
What cannot be read is not said.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from controller.ocpp.dialect import Feature, Payload

ROTATIONS: Final = ("RST", "RTS", "SRT", "STR", "TRS", "TSR")
SMART: Final = "SmartChargingCtrlr"
V2X: Final = "V2XChargingCtrlr"
_ASKED: Final = (
    ("RateUnit", None),
    ("ProfileStackLevel", None),
    ("ACPhaseSwitchingSupported", None),
    ("SupportsFeature", "DynamicProfiles"),
    ("SupportsFeature", "MaxOfflineDuration"),
    ("SupportsDynamicProfiles", None),
    ("SupportsMaxOfflineDuration", None),
)
_ASKED_OF_EVSE: Final = ((V2X, "Available"), (V2X, "Enabled"), (V2X, "SupportedOperationModes"), ("EVSE", "PhaseRotation"))
_FLAGS: Final = {
    ("smartchargingctrlr", "acphaseswitchingsupported", ""): "phase_switching",
    ("smartchargingctrlr", "supportsfeature", "dynamicprofiles"): "dynamic",
    ("smartchargingctrlr", "supportsdynamicprofiles", ""): "dynamic",
    ("smartchargingctrlr", "supportsfeature", "maxofflineduration"): "max_offline",
    ("smartchargingctrlr", "supportsmaxofflineduration", ""): "max_offline",
    **{(component, "dcinputphasecontrol", ""): "input_phases" for component in ("evse", "smartchargingctrlr")},
    ("v2xchargingctrlr", "available", ""): "v2x",
    ("v2xchargingctrlr", "enabled", ""): "v2x_enabled",
}


def questions(evse_ids: Sequence[int], most: int) -> list[tuple[str, Payload]]:
    """GetVariables for everything of interest, at most so many variables in one CALL."""
    items: list[Payload] = [_item({"name": SMART}, name, instance) for name, instance in _ASKED]
    for evse_id in evse_ids:
        items += [_item({"name": component, "evse": {"id": evse_id}}, name, None) for component, name in _ASKED_OF_EVSE]
    return [("GetVariables", {"getVariableData": items[at : at + most]}) for at in range(0, len(items), most)]


def _item(component: Payload, name: str, instance: str | None) -> Payload:
    return {"component": component, "variable": {"name": name, **({} if instance is None else {"instance": instance})}}


def features(action: str, request: Payload, result: Payload) -> list[Feature]:
    """Features in a GetVariables answer, or in a NotifyReport."""
    if action == "GetVariables":
        return [feature for item in _objects(result.get("getVariableResult")) for feature in _answered(item)]
    if action == "NotifyReport":
        return [feature for item in _objects(request.get("reportData")) for feature in _reported(item)]
    return []


def _answered(item: Payload) -> Iterator[Feature]:
    if item.get("attributeStatus") == "Accepted" and item.get("attributeType", "Actual") == "Actual":
        yield from _variable(item, item.get("attributeValue"))


def _reported(item: Payload) -> Iterator[Feature]:
    for attribute in _objects(item.get("variableAttribute")):
        if attribute.get("type", "Actual") == "Actual":
            yield from _variable(item, attribute.get("value"))
    limits = item.get("variableCharacteristics")
    most = limits.get("maxLimit") if isinstance(limits, dict) else None
    if _name(item)[:3] == ("smartchargingctrlr", "entries", "chargingprofiles") and isinstance(most, int | float) and 0 < most < 1e6:
        yield Feature("max_profiles", int(most))


def _variable(item: Payload, value: Any) -> Iterator[Feature]:
    component, variable, instance, evse_id = _name(item)
    if not isinstance(value, str):
        return
    flag = _FLAGS.get((component, variable, instance))
    if flag is not None:
        yield Feature(flag, value.strip().lower() == "true", evse_id)
    elif (component, variable) == ("smartchargingctrlr", "rateunit"):
        yield Feature("units", tuple(unit for unit in _members(value) if unit in ("A", "W")))
    elif (component, variable) == ("smartchargingctrlr", "profilestacklevel") and value.strip().isdecimal() and len(value) < 9:
        yield Feature("max_stack_level", int(value))
    elif (component, variable) == ("v2xchargingctrlr", "supportedoperationmodes"):
        yield Feature("modes", tuple(_members(value)), evse_id)
    elif (component, variable) == ("evse", "phaserotation") and evse_id and value.strip().upper() in ROTATIONS:
        yield Feature("rotation", value.strip().upper(), evse_id)


def _members(value: str) -> list[str]:
    return [member.strip() for member in value.split(",")[:64] if member.strip()]


def _name(item: Payload) -> tuple[str, str, str, int]:
    """Component, variable and instance in small letters, and the EVSE, 0 = the station."""
    component, variable = item.get("component"), item.get("variable")
    if not isinstance(component, dict) or not isinstance(variable, dict):
        return "", "", "", 0
    evse = component.get("evse")
    evse_id = evse.get("id") if isinstance(evse, dict) else 0
    words = (component.get("name"), variable.get("name"), variable.get("instance") or "")
    name, asked, instance = (word.lower() if isinstance(word, str) else "" for word in words)
    return name, asked, instance, evse_id if isinstance(evse_id, int) else 0


def _objects(values: Any) -> list[Payload]:
    return [value for value in values if isinstance(value, dict)] if isinstance(values, list) else []
