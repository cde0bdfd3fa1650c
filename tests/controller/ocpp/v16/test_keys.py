"""The table of configuration keys, both ways. Expected names by hand from OCPP-NOTES 12.9."""

from __future__ import annotations

import pytest

from controller.ocpp.v16 import keys
from tests.support.shapes import SHAPES

NAMES = [
    ("AllowOfflineTxForUnknownId", "AuthCtrlr", "OfflineTxForUnknownIdEnabled", ""),
    ("AuthorizationCacheEnabled", "AuthCacheCtrlr", "Enabled", ""),
    ("AuthorizeRemoteTxRequests", "AuthCtrlr", "AuthorizeRemoteStart", ""),
    ("ConnectionTimeOut", "TxCtrlr", "EVConnectionTimeOut", ""),
    ("HeartbeatInterval", "OCPPCommCtrlr", "HeartbeatInterval", ""),
    ("MeterValuesSampledData", "SampledDataCtrlr", "TxUpdatedMeasurands", ""),
    ("MeterValueSampleInterval", "SampledDataCtrlr", "TxUpdatedInterval", ""),
    ("StopTxnAlignedData", "AlignedDataCtrlr", "TxEndedMeasurands", ""),
    ("TransactionMessageAttempts", "OCPPCommCtrlr", "MessageAttempts", "TransactionEvent"),
    ("TransactionMessageRetryInterval", "OCPPCommCtrlr", "MessageAttemptInterval", "TransactionEvent"),
    ("MessageTimeout", "OCPPCommCtrlr", "MessageTimeout", "Default"),
    ("ChargingScheduleAllowedChargingRateUnit", "SmartChargingCtrlr", "RateUnit", ""),
    ("CpoName", "SecurityCtrlr", "OrganizationName", ""),
    ("AuthorizationKey", "SecurityCtrlr", "BasicAuthPassword", ""),
    ("ISO15118PnCEnabled", "ISO15118Ctrlr", "PnCEnabled", ""),
]


@pytest.mark.parametrize(("key", "component", "variable", "instance"), NAMES)
def test_names(key: str, component: str, variable: str, instance: str) -> None:
    assert keys.variable_of(key) == keys.Place(component, variable, instance)
    assert keys.key_of(component, variable, instance) == key


@pytest.mark.parametrize("row", keys.ROWS, ids=lambda row: row.key)
def test_every_line_leads_back_whatever_its_case(row: keys.Row) -> None:
    place = keys.variable_of(row.key.upper())
    assert keys.key_of(place.component.lower(), place.variable.upper(), place.instance.lower(), 0, place.attribute) == row.key
    assert keys.key_of(place.component, place.variable, place.instance, 1, place.attribute) is None  # of an EVSE: not the same


def test_no_two_keys_share_a_place() -> None:
    assert len({row.place for row in keys.ROWS}) == len(keys.ROWS)
    assert len({row.key.lower() for row in keys.ROWS}) == len(keys.ROWS)


@pytest.mark.parametrize("key", ["BlinkRepeat", "VendorX.Max-Current", "a" * 50])
def test_what_2_x_has_no_place_for_is_kept_under_one_component(key: str) -> None:
    place = keys.variable_of(key)
    assert place == keys.Place("OCPP16", key)
    assert keys.key_of(place.component, place.variable) == key
    assert keys.value_up(key, " as it is ") == " as it is "
    assert keys.value_down(key, "true ") == "true "


def test_a_length_is_the_attribute_max_set() -> None:
    """2.x keeps the most entries of a list as a characteristic."""
    place = keys.variable_of("LocalAuthListMaxLength")
    assert place == keys.Place("LocalAuthListCtrlr", "Entries", attribute="MaxSet")
    assert keys.key_of("LocalAuthListCtrlr", "Entries") is None
    assert keys.variable_of("MaxChargingProfilesInstalled") == keys.Place("SmartChargingCtrlr", "Entries", "ChargingProfiles", attribute="MaxSet")


@pytest.mark.parametrize(
    ("key", "down", "up"),
    [
        ("LocalPreAuthorize", "True", "true"),
        ("LocalPreAuthorize", "maybe", "maybe"),
        ("HeartbeatInterval", " 300 ", "300"),
        ("MeterValuesSampledData", "Voltage, SoC ,,Power.Active.Import", "Voltage,SoC,Power.Active.Import"),
        ("ChargingScheduleAllowedChargingRateUnit", "Current, Power", "A,W"),
        ("ChargingScheduleAllowedChargingRateUnit", "current", "A"),
        ("AuthorizationKey", b"0123456789abcdef".hex(), "0123456789abcdef"),
        ("AuthorizationKey", "not-hex-but-a-text", "not-hex-but-a-text"),
    ],
)
def test_values_up(key: str, down: str, up: str) -> None:
    assert keys.value_up(key, down) == up


@pytest.mark.parametrize(
    ("key", "up", "down"),
    [
        ("ChargingScheduleAllowedChargingRateUnit", "W,A", "Power,Current"),
        ("LocalPreAuthorize", "TRUE", "true"),
        ("AuthorizationKey", "0123456789abcdef", b"0123456789abcdef".hex()),
    ],
)
def test_values_down(key: str, up: str, down: str) -> None:
    assert keys.value_down(key, up) == down


def test_a_password_that_is_no_text_cannot_be_said() -> None:
    """2.x has text only; the CSMS would expect these bytes."""
    assert keys.value_up("AuthorizationKey", "ff00" * 10) is None


def test_a_long_list_loses_whole_elements() -> None:
    """16: a value has at most 500 characters."""
    found = keys.value_down("MeterValuesSampledData", ",".join(["Energy.Active.Import.Register"] * 30))
    assert len(found) <= 500
    assert set(found.split(",")) == {"Energy.Active.Import.Register"}
    assert len(keys.value_down("BlinkRepeat", "x" * 900)) == 500


@pytest.mark.parametrize(
    ("status", "up"),
    [*((word, word) for word in ("Accepted", "Rejected", "RebootRequired")), ("NotSupported", "UnknownVariable"), ("odd", "Rejected")],
)
def test_status_words_up(status: str, up: str) -> None:
    assert keys.set_status_up(status) == up


@pytest.mark.parametrize(
    ("status", "down"),
    [
        *((word, word) for word in ("Accepted", "Rejected", "RebootRequired")),
        *((word, "NotSupported") for word in ("UnknownComponent", "UnknownVariable", "NotSupportedAttributeType")),
        (None, "Rejected"),
    ],
)
def test_status_words_down(status: str | None, down: str) -> None:
    assert keys.set_status_down(status) == down


def test_report_items_are_valid_and_say_what_may_be_written() -> None:
    items = [
        keys.report_item("HeartbeatInterval", "300", read_only=False),
        keys.report_item("LocalAuthListMaxLength", "100", read_only=True),
        keys.report_item("AuthorizationKey", "41424344", read_only=False),
        keys.report_item("VendorKey", None, read_only=True),
        *(keys.report_item(row.key, "1", read_only=False) for row in keys.ROWS),
    ]
    report = {"requestId": 1, "generatedAt": "2026-11-21T12:00:00Z", "seqNo": 0, "reportData": items}
    assert SHAPES.check("ocpp2.1", "NotifyReport", False, report) == ""
    assert items[0]["variableAttribute"] == [{"mutability": "ReadWrite", "value": "300"}]
    assert items[0]["variableCharacteristics"] == {"dataType": "integer", "supportsMonitoring": False, "unit": "s"}
    assert items[1]["variableCharacteristics"]["maxLimit"] == 100
    assert items[2]["variableAttribute"] == [{"mutability": "WriteOnly"}]  # a password is never told
    assert items[3]["variableAttribute"] == [{"mutability": "ReadOnly"}]


def test_the_place_of_an_item() -> None:
    component = {"name": "EVSE", "evse": {"id": 3}}
    assert keys.place_of({"component": component, "variable": {"name": "PhaseRotation"}}) == keys.Place("EVSE", "PhaseRotation", evse_id=3)
    assert keys.place_of({"component": "?", "variable": None}) == keys.Place("", "")
    payload = keys.variable_of("TransactionMessageAttempts").payload()
    assert payload == {"component": {"name": "OCPPCommCtrlr"}, "variable": {"name": "MessageAttempts", "instance": "TransactionEvent"}}


def test_rotations_and_feature_profiles() -> None:
    assert keys.rotations("0.RST, 1.rts,2=STR,3.XYZ,4.Unknown") == {0: "RST", 1: "RTS", 2: "STR", 4: "Unknown"}
    assert keys.rotation_text({2: "STR", 1: "RST"}) == "1.RST,2.STR"
    available = keys.controllers_of("Core, SmartCharging")
    assert available == {"LocalAuthListCtrlr": False, "ReservationCtrlr": False, "SmartChargingCtrlr": True}
    assert keys.profiles_of(available) == "Core,FirmwareManagement,RemoteTrigger,SmartCharging"
