"""Passwords in 2.x messages, and messages that would take a station away from us (A01, B09, F27).

Which variables are meant stands in the tables below; names compare without case, as the device
model wants it. Nothing here decides what happens: the link refuses, changes both legs, or hides.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from controller.ocpp.dialect import Payload, SecretChange
from controller.ocpp.hiding import HIDDEN, SECRET_NAME, without_user

PASSWORD: Final = ("securityctrlr", "basicauthpassword")
"""The password of the station's connection (A01)."""

_MOVING_VARIABLES: Final = {
    # Under another name the CSMS's upstream leg and our list of stations no longer fit.
    ("securityctrlr", "identity"),
    ("ocppcommctrlr", "networkconfigurationpriority"),
    ("securityctrlr", "securityprofile"),
}
_LOWERING_VARIABLES: Final = {
    # If true they lower what the station demands of whoever it dials.
    ("securityctrlr", "allowsecurityprofiledowngrade"),
    ("securityctrlr", "allowcsmstlswildcards"),
}
_MOVING_COMPONENTS: Final = {"networkconfiguration"}
"""One per connection slot: its URL, identity, security profile and password."""

_SECRET_FIELDS: Final = {"basicAuthPassword", "apnPassword", "simPin", "password", "key"}
"""Fields of a connection profile, with those of its VPN and APN."""

# -- what a CSMS sets -------------------------------------------------------------------------------


def items_of(payload: Payload, key: str) -> list[Payload]:
    """The objects in a list of a payload; what is no object is left out."""
    values = payload.get(key)
    return [item for item in values if isinstance(item, dict)] if isinstance(values, list) else []


def variable_name(item: Payload) -> tuple[str, str]:
    """(component, variable) that an entry names, lower case; "" where it names none."""
    parts = (item.get("component"), item.get("variable"))
    component, variable = (str(part.get("name", "")).strip().lower() if isinstance(part, dict) else "" for part in parts)
    return component, variable


def secret_change(action: str, payload: Payload) -> SecretChange | None:
    """The last BasicAuthPassword in a SetVariables; it goes over the wire as UTF-8, not as hex (A00.FR.205).

    None also when the same CALL sets something else that must not reach the station: then it is refused as a whole.
    """
    items = items_of(payload, "setVariableData")
    found = [item for item in items if _sets_password(item)] if action == "SetVariables" else []
    if not found or any(_takes_away(item) for item in items):
        return None
    text = found[-1]["attributeValue"]
    return SecretChange(text.encode("utf-8", "surrogatepass"), text)


def _sets_password(item: Payload) -> bool:
    actual = item.get("attributeType", "Actual") == "Actual"
    return actual and variable_name(item) == PASSWORD and isinstance(item.get("attributeValue"), str)


def secret_accepted(action: str, request: Payload, result: Payload) -> bool:
    """Whether the station took the password, now or with its next boot (A01.FR.02)."""
    if action != "SetVariables":
        return False
    statuses = [item.get("attributeStatus") for item in items_of(result, "setVariableResult") if variable_name(item) == PASSWORD]
    return bool(statuses) and statuses[-1] in ("Accepted", "RebootRequired")


def moves_station(action: str, payload: Payload) -> bool:
    """Whether a CALL changes where the station dials, as whom, or how sure it wants to be (B09, A05)."""
    if action == "SetNetworkProfile":
        return True
    if action != "SetVariables":
        return False
    return any(_moves(item) for item in items_of(payload, "setVariableData"))


def _moves(item: Payload) -> bool:
    name = variable_name(item)
    if name in _LOWERING_VARIABLES:
        return str(item.get("attributeValue", "")).strip().lower() != "false"
    return name in _MOVING_VARIABLES or name[0] in _MOVING_COMPONENTS


def _takes_away(item: Payload) -> bool:
    # SmartChargingCtrlr.Enabled = false would switch every limit off, the floor included.
    return _moves(item) or variable_name(item) == ("smartchargingctrlr", "enabled")


def risky_variables(payload: Payload) -> bool:
    """Whether SetVariables touches the link between station and Yardmaster, or its say over charging (F27)."""
    return any(_takes_away(item) or variable_name(item) == PASSWORD for item in items_of(payload, "setVariableData"))


# -- what people may see ---------------------------------------------------------------------------


def redacted(action: str, payload: Payload) -> Payload:
    """The payload without passwords and keys; the same object where it has none (A01.FR.09/12)."""
    hide = _HIDERS.get(action)
    return hide(payload) if hide is not None else payload


def _each(key: str, hide: Callable[[Payload], Payload]) -> Callable[[Payload], Payload]:
    def change(payload: Payload) -> Payload:
        values = payload.get(key)
        if not isinstance(values, list):
            return payload
        return {**payload, key: [hide(value) if isinstance(value, dict) else value for value in values]}

    return change


def _field(name: str) -> Callable[[Payload], Payload]:
    """Hides a field of an entry that is about a secret variable."""

    def change(item: Payload) -> Payload:
        return {**item, name: HIDDEN} if name in item and SECRET_NAME.search(variable_name(item)[1]) else item

    return change


def _report(item: Payload) -> Payload:
    if not SECRET_NAME.search(variable_name(item)[1]):
        return item
    return _each("variableAttribute", lambda attribute: {**attribute, "value": HIDDEN} if "value" in attribute else attribute)(item)


def _profile(payload: Payload) -> Payload:
    return {key: _without_secrets(value) for key, value in payload.items()}


def _without_secrets(value: Any) -> Any:
    if isinstance(value, list):
        return [_without_secrets(item) for item in value]
    if isinstance(value, dict):
        return {key: HIDDEN if key in _SECRET_FIELDS else _without_secrets(item) for key, item in value.items()}
    return without_user(value)


def _variables(payload: Payload) -> Payload:
    return _each("setVariableData", _field("attributeValue"))(payload)


_HIDERS: Final[dict[str, Callable[[Payload], Payload]]] = {
    "SetVariables": _variables,
    "GetVariables": _each("getVariableResult", _field("attributeValue")),
    "NotifyReport": _each("reportData", _report),
    "NotifyEvent": _each("eventData", _field("actualValue")),
    "SetNetworkProfile": _profile,
    "GetLog": without_user,
    "UpdateFirmware": without_user,
    "PublishFirmware": without_user,
    "PublishFirmwareStatusNotification": without_user,
}
