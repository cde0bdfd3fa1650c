"""Configuration keys of OCPP 1.6 and the variables of the 2.x device model that mean the same (OCPP-NOTES 12.9), both ways.

A key without a counterpart is a variable of the component ``OCPP16`` under its own name, so that nothing a station has is lost and
the way back is exact. Keys and names compare without case (16 9). A length that 2.x keeps as a characteristic (Entries.maxLimit)
is read as the attribute MaxSet. Values are text on both sides; what differs is how lists, units and passwords are spelt.

Three keys describe the whole station and have no single variable: ``COMPUTED``. Towards 2.x they are also told under
``OCPP16`` as they are; towards 1.6 whoever answers computes them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

Payload = dict[str, Any]

VENDOR: Final = "OCPP16"
"""The component of all keys that 2.x has no variable for."""
MAX_KEY_CHARS: Final = 50
MAX_VALUE_CHARS: Final = 500
ACTUAL: Final = "Actual"
MAX_SET: Final = "MaxSet"
COMPUTED: Final = ("NumberOfConnectors", "SupportedFeatureProfiles", "ConnectorPhaseRotation")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a variable is. instance: of the variable; evse_id 0: of the station. attribute: Actual, or MaxSet for a length."""

    component: str
    variable: str
    instance: str = ""
    evse_id: int = 0
    attribute: str = ACTUAL

    def payload(self) -> Payload:
        """{component, variable} in hub words; attributeType only where it is not Actual."""
        component: Payload = {"name": self.component}
        if self.evse_id:
            component["evse"] = {"id": self.evse_id}
        variable: Payload = {"name": self.variable, **({"instance": self.instance} if self.instance else {})}
        return {"component": component, "variable": variable, **({} if self.attribute == ACTUAL else {"attributeType": self.attribute})}


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table. kind: dataType in 2.x words; access: R, RW or W; values: of a list or option; style: how the value is spelt."""

    key: str
    place: Place
    kind: str = "integer"
    access: str = "RW"
    unit: str = ""
    values: str = ""
    style: str = ""


def _row(key: str, name: str, kind: str = "integer", access: str = "RW", unit: str = "", values: str = "", style: str = "") -> Row:
    """name: Component.Variable[instance], with .maxLimit for a length."""
    attribute = MAX_SET if name.endswith(".maxLimit") else ACTUAL
    component, variable = name.removesuffix(".maxLimit").split(".", 1)
    bare, _, instance = variable.rstrip("]").partition("[")
    return Row(key, Place(component, bare, instance, attribute=attribute), kind, access, unit, values, style or kind)


_TRUTH: Final = "boolean"
_MEMBERS: Final = "MemberList"
ROWS: Final[tuple[Row, ...]] = (
    # -- core profile
    _row("AllowOfflineTxForUnknownId", "AuthCtrlr.OfflineTxForUnknownIdEnabled", _TRUTH),
    _row("AuthorizationCacheEnabled", "AuthCacheCtrlr.Enabled", _TRUTH),
    _row("AuthorizeRemoteTxRequests", "AuthCtrlr.AuthorizeRemoteStart", _TRUTH),
    _row("ClockAlignedDataInterval", "AlignedDataCtrlr.Interval", unit="s"),
    _row("ConnectionTimeOut", "TxCtrlr.EVConnectionTimeOut", unit="s"),
    _row("GetConfigurationMaxKeys", "DeviceDataCtrlr.ItemsPerMessage[GetVariables]", access="R"),
    _row("HeartbeatInterval", "OCPPCommCtrlr.HeartbeatInterval", unit="s"),
    _row("LocalAuthorizeOffline", "AuthCtrlr.LocalAuthorizeOffline", _TRUTH),
    _row("LocalPreAuthorize", "AuthCtrlr.LocalPreAuthorize", _TRUTH),
    _row("MaxEnergyOnInvalidId", "TxCtrlr.MaxEnergyOnInvalidId", unit="Wh"),
    _row("MeterValuesAlignedData", "AlignedDataCtrlr.Measurands", _MEMBERS),
    _row("MeterValuesSampledData", "SampledDataCtrlr.TxUpdatedMeasurands", _MEMBERS),
    _row("MeterValueSampleInterval", "SampledDataCtrlr.TxUpdatedInterval", unit="s"),
    _row("ResetRetries", "OCPPCommCtrlr.ResetRetries"),
    _row("StopTransactionOnEVSideDisconnect", "TxCtrlr.StopTxOnEVSideDisconnect", _TRUTH),
    _row("StopTransactionOnInvalidId", "TxCtrlr.StopTxOnInvalidId", _TRUTH),
    _row("StopTxnAlignedData", "AlignedDataCtrlr.TxEndedMeasurands", _MEMBERS),
    _row("StopTxnSampledData", "SampledDataCtrlr.TxEndedMeasurands", _MEMBERS),
    _row("TransactionMessageAttempts", "OCPPCommCtrlr.MessageAttempts[TransactionEvent]"),
    _row("TransactionMessageRetryInterval", "OCPPCommCtrlr.MessageAttemptInterval[TransactionEvent]", unit="s"),
    _row("UnlockConnectorOnEVSideDisconnect", "OCPPCommCtrlr.UnlockOnEVSideDisconnect", _TRUTH),
    _row("WebSocketPingInterval", "OCPPCommCtrlr.WebSocketPingInterval", unit="s"),
    _row("MessageTimeout", "OCPPCommCtrlr.MessageTimeout[Default]", unit="s"),
    _row("SupportedFileTransferProtocols", "OCPPCommCtrlr.FileTransferProtocols", _MEMBERS, "R"),
    # -- local authorization list
    _row("LocalAuthListEnabled", "LocalAuthListCtrlr.Enabled", _TRUTH),
    _row("LocalAuthListMaxLength", "LocalAuthListCtrlr.Entries.maxLimit", access="R"),
    _row("SendLocalListMaxLength", "LocalAuthListCtrlr.ItemsPerMessage", access="R"),
    # -- reservation
    _row("ReserveConnectorZeroSupported", "ReservationCtrlr.NonEvseSpecific", _TRUTH, "R"),
    # -- smart charging
    _row("ChargeProfileMaxStackLevel", "SmartChargingCtrlr.ProfileStackLevel", access="R"),
    _row("ChargingScheduleAllowedChargingRateUnit", "SmartChargingCtrlr.RateUnit", _MEMBERS, "R", values="A,W", style="rate"),
    _row("ChargingScheduleMaxPeriods", "SmartChargingCtrlr.PeriodsPerSchedule", access="R"),
    _row("ConnectorSwitch3to1PhaseSupported", "SmartChargingCtrlr.Phases3to1", _TRUTH, "R"),
    _row("MaxChargingProfilesInstalled", "SmartChargingCtrlr.Entries[ChargingProfiles].maxLimit", access="R"),
    # -- security whitepaper
    _row("AdditionalRootCertificateCheck", "SecurityCtrlr.AdditionalRootCertificateCheck", _TRUTH, "R"),
    _row("AuthorizationKey", "SecurityCtrlr.BasicAuthPassword", "string", "W", style="password"),
    _row("CertificateSignedMaxChainSize", "SecurityCtrlr.MaxCertificateChainSize", access="R"),
    _row("CertificateStoreMaxLength", "SecurityCtrlr.CertificateEntries.maxLimit", access="R"),
    _row("CertSigningRepeatTimes", "SecurityCtrlr.CertSigningRepeatTimes"),
    _row("CertSigningWaitMinimum", "SecurityCtrlr.CertSigningWaitMinimum", unit="s"),
    _row("CpoName", "SecurityCtrlr.OrganizationName", "string"),
    _row("SecurityProfile", "SecurityCtrlr.SecurityProfile"),
    # -- plug and charge paper
    _row("CentralContractValidationAllowed", "ISO15118Ctrlr.CentralContractValidationAllowed", _TRUTH),
    _row("ContractValidationOffline", "ISO15118Ctrlr.ContractValidationOffline", _TRUTH),
    _row("ISO15118PnCEnabled", "ISO15118Ctrlr.PnCEnabled", _TRUTH),
)
_BY_KEY: Final[Mapping[str, Row]] = {row.key.lower(): row for row in ROWS}
_BY_PLACE: Final[Mapping[tuple[str, ...], Row]] = {
    (row.place.component.lower(), row.place.variable.lower(), row.place.instance.lower(), row.place.attribute): row for row in ROWS
}
_KEPT: Final = (
    *(*COMPUTED, "BlinkRepeat", "LightIntensity", "MinimumStatusDuration", "SupportedFeatureProfilesMaxLength"),
    *("MeterValuesAlignedDataMaxLength", "MeterValuesSampledDataMaxLength", "StopTxnAlignedDataMaxLength"),
    *("StopTxnSampledDataMaxLength", "ConnectorPhaseRotationMaxLength"),
)
_NAMES: Final[Mapping[str, str]] = {name.lower(): name for name in _KEPT}
"""Keys of the standard that stay keys, in its spelling."""


# -- names --------------------------------------------------------------------------------------------


def row_of(key: str) -> Row | None:
    """The table's line of a key; None for one that is only ours to carry."""
    return _BY_KEY.get(key.lower())


def spelt(key: str) -> str:
    """A key in the standard's spelling; a vendor's as it is."""
    row = row_of(key)
    return row.key if row is not None else _NAMES.get(key.lower(), key)


def variable_of(key: str) -> Place:
    """Where a key is in the device model; under ``OCPP16`` if 2.x has no place for it."""
    row = row_of(key)
    return row.place if row is not None else Place(VENDOR, key)


def key_of(component: str, variable: str, instance: str = "", evse_id: int = 0, attribute: str = ACTUAL) -> str | None:
    """The key of a variable; None if 1.6 has none. evse_id: a key speaks of the whole station, so any EVSE's variable has none."""
    if evse_id:
        return None
    if component.lower() == VENDOR.lower():
        return variable if not instance and attribute == ACTUAL and 0 < len(variable) <= MAX_KEY_CHARS else None
    row = _BY_PLACE.get((component.lower(), variable.lower(), instance.lower(), attribute))
    return row.key if row is not None else None


def knows_component(component: str) -> bool:
    """Whether any key is a variable of this component: tells UnknownComponent from UnknownVariable."""
    return component.lower() in {row.place.component.lower() for row in ROWS} | {VENDOR.lower()}


def place_of(item: Payload) -> Place:
    """The place in a getVariableData, setVariableData, result or report item in hub words; what cannot be read is empty."""
    component, variable = _table(item.get("component")), _table(item.get("variable"))
    evse_id = _table(component.get("evse")).get("id")
    return Place(
        _text(component.get("name")),
        _text(variable.get("name")),
        _text(variable.get("instance")),
        evse_id if isinstance(evse_id, int) else 0,
        _text(item.get("attributeType")) or ACTUAL,
    )


def same(place: Place) -> Place:
    """The place in lower case: names compare so."""
    return Place(place.component.lower(), place.variable.lower(), place.instance.lower(), place.evse_id, place.attribute)


def _table(value: Any) -> Payload:
    return value if isinstance(value, dict) else {}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


# -- values ---------------------------------------------------------------------------------------------


def value_up(key: str, text: str) -> str | None:
    """A key's value as the variable's. None: 2.x cannot hold it (an AuthorizationKey whose bytes are no text)."""
    row = row_of(key)
    return _UP.get(row.style, _same)(text) if row is not None else text


def value_down(key: str, text: str) -> str:
    """A variable's value as the key's, at most 500 characters; a list loses whole elements."""
    row = row_of(key)
    found = _DOWN.get(row.style, _same)(text) if row is not None else text
    if found is None or len(found) <= MAX_VALUE_CHARS:
        return found or ""
    return found[:MAX_VALUE_CHARS].rpartition(",")[0] if "," in found[:MAX_VALUE_CHARS] else found[:MAX_VALUE_CHARS]


def _same(text: str) -> str | None:
    return text


def _trimmed(text: str) -> str | None:
    return text.strip()


def _truth(text: str) -> str | None:
    """true and false in lower case; anything else as it is, for the other side to refuse."""
    word = text.strip().lower()
    return word if word in ("true", "false") else text


def _members(text: str) -> str | None:
    return ",".join(word for word in (part.strip() for part in text.split(",")) if word)


_UNITS: Final = {"current": "A", "a": "A", "power": "W", "w": "W"}
_UNIT_WORDS: Final = {"a": "Current", "current": "Current", "w": "Power", "power": "Power"}


def _worded(words: Mapping[str, str]) -> Callable[[str], str | None]:
    def spell(text: str) -> str | None:
        found = [words.get(part.strip().lower(), part.strip()) for part in text.split(",")]
        return ",".join(dict.fromkeys(word for word in found if word))

    return spell


_HEX: Final = re.compile(r"(?:[0-9a-fA-F]{2})+")


def _password_text(text: str) -> str | None:
    """The bytes a hex key stands for, as the text 2.x sends (OCPP-NOTES 2.1); what is no hex is text already (16.3)."""
    if not _HEX.fullmatch(text):
        return text
    try:
        found = bytes.fromhex(text).decode("utf-8")
    except UnicodeDecodeError:
        return None
    return found if found.isprintable() else None


def _password_hex(text: str) -> str | None:
    return text.encode("utf-8", "surrogatepass").hex()


_UP: Final[Mapping[str, Callable[[str], str | None]]] = {
    "integer": _trimmed,
    _TRUTH: _truth,
    _MEMBERS: _members,
    "rate": _worded(_UNITS),
    "password": _password_text,
}
_DOWN: Final[Mapping[str, Callable[[str], str | None]]] = {
    "integer": _trimmed,
    _TRUTH: _truth,
    _MEMBERS: _members,
    "rate": _worded(_UNIT_WORDS),
    "password": _password_hex,
}


# -- what a NotifyReport says of a variable -----------------------------------------------------------------


def report_item(key: str, text: str | None, read_only: bool) -> Payload:
    """The reportData entry of a key as a station told it: its place, value, mutability and characteristics.

    read_only: as the station said. text None: it told no value. A length becomes the characteristic maxLimit.
    """
    place = variable_of(key)
    attribute: Payload = {"mutability": mutability(key, read_only)}
    value = value_up(key, text) if text is not None and attribute["mutability"] != "WriteOnly" else None
    if value is not None:
        attribute["value"] = value
    found: Payload = {**place.payload(), "variableCharacteristics": characteristics(key)}
    found.pop("attributeType", None)
    if place.attribute == MAX_SET:
        attribute["type"] = MAX_SET
        if value is not None and value.isdecimal() and len(value) < 12:
            found["variableCharacteristics"]["maxLimit"] = int(value)
    return {**found, "variableAttribute": [attribute]}


def characteristics(key: str) -> Payload:
    """variableCharacteristics of a key in hub words."""
    row = row_of(key)
    found: Payload = {"dataType": row.kind if row is not None else "string", "supportsMonitoring": False}
    if row is not None and row.unit:
        found["unit"] = row.unit
    if row is not None and row.values:
        found["valuesList"] = row.values
    return found


def mutability(key: str, read_only: bool) -> str:
    """ReadOnly, WriteOnly or ReadWrite: as the station said, a password never readable."""
    row = row_of(key)
    return "WriteOnly" if row is not None and row.access == "W" else "ReadOnly" if read_only else "ReadWrite"


def read_only(key: str) -> bool:
    """Whether the table says that nobody may set it; a vendor's key may be set as far as we know."""
    row = row_of(key)
    return row.access == "R" if row is not None else spelt(key) in COMPUTED


# -- status words -----------------------------------------------------------------------------------------------


def set_status_up(status: Any) -> str:
    """attributeStatus of SetVariables for a ChangeConfiguration status."""
    return {"Accepted": "Accepted", "RebootRequired": "RebootRequired", "NotSupported": "UnknownVariable"}.get(status, "Rejected")


def set_status_down(status: Any) -> str:
    """ChangeConfiguration status for an attributeStatus of SetVariables."""
    if status in ("Accepted", "RebootRequired"):
        return str(status)
    return "NotSupported" if status in ("UnknownComponent", "UnknownVariable", "NotSupportedAttributeType") else "Rejected"


# -- keys that speak of the whole station ---------------------------------------------------------------------------

_ROTATION: Final = re.compile(r"(\d{1,4})\s*[.=:]\s*(NotApplicable|Unknown|RST|RTS|SRT|STR|TRS|TSR)\b", re.IGNORECASE)
_WORDS: Final = {word.lower(): word for word in ("NotApplicable", "Unknown", "RST", "RTS", "SRT", "STR", "TRS", "TSR")}
CONTROLLERS: Final = {"LocalAuthListManagement": "LocalAuthListCtrlr", "Reservation": "ReservationCtrlr", "SmartCharging": "SmartChargingCtrlr"}
"""Feature profile -> the controller whose Available says the same."""
ALWAYS: Final = ("Core", "FirmwareManagement", "RemoteTrigger")
"""Feature profiles every 2.x station has."""


def rotations(text: str) -> dict[int, str]:
    """ConnectorPhaseRotation: connector -> rotation, e.g. {1: "RST"}; 0 = from the grid to the main meter. Unreadable parts are left out."""
    return {int(number): _WORDS[word.lower()] for number, word in _ROTATION.findall(text)}


def rotation_text(found: Mapping[int, str]) -> str:
    """ConnectorPhaseRotation of connector -> rotation."""
    return ",".join(f"{number}.{word}" for number, word in sorted(found.items()))


def controllers_of(profiles: str) -> dict[str, bool]:
    """SupportedFeatureProfiles -> controller -> Available."""
    listed = {part.strip().lower() for part in profiles.split(",")}
    return {controller: profile.lower() in listed for profile, controller in CONTROLLERS.items()}


def profiles_of(available: Mapping[str, bool]) -> str:
    """SupportedFeatureProfiles of a 2.x station: controller -> Available."""
    return ",".join([*ALWAYS, *(profile for profile, controller in CONTROLLERS.items() if available.get(controller))])
