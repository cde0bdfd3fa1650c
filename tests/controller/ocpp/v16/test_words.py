"""Tables of words between 1.6 and 2.x: expected values are those of OCPP-NOTES 12, written down by hand."""

from __future__ import annotations

import pytest

from controller.ocpp.v16 import words
from tests.support.schemas import schema


def words_of(name: str, definition: str, version: str) -> set[str]:
    """Enumeration of a definition in a schema file."""
    return set(schema(name, version)["definitions"][definition]["enum"])


def words_16(name: str, *path: str) -> set[str]:
    """Enumeration of a property in a 1.6 schema."""
    node = schema(name, "v16")
    for part in path:
        node = node["properties"][part]
    if "$ref" in node:
        return words_of(name, node["$ref"].rsplit("/", 1)[-1], "v16")
    return set(node["enum"])


# -- every word of one version becomes a word of the other ------------------------------------------------


def test_every_status_has_a_connector_status() -> None:
    for status in words_16("StatusNotification", "status"):
        assert words.CONNECTOR_STATUS_UP[status] in words_of("StatusNotificationRequest", "ConnectorStatusEnumType", "v21")


@pytest.mark.parametrize(
    ("status", "connector", "state"),
    [
        # 12.3
        ("Available", "Available", None),
        ("Preparing", "Occupied", "EVConnected"),
        ("Charging", "Occupied", "Charging"),
        ("SuspendedEV", "Occupied", "SuspendedEV"),
        ("SuspendedEVSE", "Occupied", "SuspendedEVSE"),
        ("Finishing", "Occupied", "EVConnected"),
        ("Reserved", "Reserved", None),
        ("Unavailable", "Unavailable", None),
        ("Faulted", "Faulted", None),
    ],
)
def test_status_up(status: str, connector: str, state: str | None) -> None:
    assert words.CONNECTOR_STATUS_UP[status] == connector
    assert words.CHARGING_STATE_UP.get(status) == state


@pytest.mark.parametrize("status", ["Available", "Charging", "SuspendedEV", "SuspendedEVSE", "Reserved", "Unavailable", "Faulted"])
def test_a_status_comes_back_from_the_hub(status: str) -> None:
    assert words.status_down(words.CONNECTOR_STATUS_UP[status], words.CHARGING_STATE_UP.get(status, "")) == status


def test_the_two_ends_of_a_session_are_told_apart() -> None:
    assert words.status_down("Occupied") == "Preparing"
    assert words.status_down("Occupied", "EVConnected") == "Preparing"
    assert words.status_down("Occupied", ended=True) == "Finishing"
    assert words.status_down("Occupied", "EVConnected", charged=True) == "SuspendedEVSE"


@pytest.mark.parametrize(
    ("code", "component"),
    [
        ("ConnectorLockFailure", "ConnectorPlugRetentionLock"),
        ("EVCommunicationError", "CPPWMController"),
        ("GroundFailure", "RCD"),
        ("HighTemperature", "TemperatureSensor"),
        ("InternalError", "Controller"),
        ("ResetFailure", "Controller"),
        ("LocalListConflict", "Controller"),
        ("OverCurrentFailure", "OverCurrentProtection"),
        ("OverVoltage", "ElectricalFeed"),
        ("UnderVoltage", "ElectricalFeed"),
        ("PowerMeterFailure", "FiscalMetering"),
        ("PowerSwitchFailure", "PowerContactor"),
        ("ReaderFailure", "TokenReader"),
        ("WeakSignal", "DataLink"),
        ("OtherError", "ChargingStation"),
    ],
)
def test_a_fault_has_its_component_and_comes_back(code: str, component: str) -> None:
    assert words.error_component(code) == component
    tech = words.error_tech({"errorCode": code, "info": "hot plug", "vendorErrorCode": "E-17", "vendorId": "com.example"})
    event = {"component": {"name": component}, "variable": {"name": "Problem"}, "actualValue": "true", **tech}
    assert words.error_parts(event) == {"errorCode": code, "info": "hot plug; com.example", "vendorErrorCode": "E-17"}


def test_every_error_code_is_known_and_the_end_of_one_is_no_error() -> None:
    assert words_16("StatusNotification", "errorCode") == {*words.ERROR_COMPONENTS, words.NO_ERROR}
    assert words.error_parts({"cleared": True, "actualValue": "true", "component": {"name": "RCD"}}) == {"errorCode": "NoError"}
    assert words.error_parts({"actualValue": "false", "component": {"name": "RCD"}}) == {"errorCode": "NoError"}


def test_a_fault_of_a_2x_station_is_known_by_its_component() -> None:
    told = {"actualValue": "true", "component": {"name": "RCD"}, "techInfo": "leak at L2", "techCode": "F3"}
    assert words.error_parts(told) == {"errorCode": "GroundFailure", "info": "leak at L2", "vendorErrorCode": "F3"}


# -- the end of a transaction ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reason", "stopped", "trigger"),
    [
        # 12.6
        (None, "Local", "StopAuthorized"),
        ("Local", "Local", "StopAuthorized"),
        ("Remote", "Remote", "RemoteStop"),
        ("EVDisconnected", "EVDisconnected", "EVCommunicationLost"),
        ("DeAuthorized", "DeAuthorized", "Deauthorized"),
        ("EmergencyStop", "EmergencyStop", "AbnormalCondition"),
        ("PowerLoss", "PowerLoss", "AbnormalCondition"),
        ("Reboot", "Reboot", "AbnormalCondition"),
        ("HardReset", "ImmediateReset", "ResetCommand"),
        ("SoftReset", "ImmediateReset", "ResetCommand"),
        ("UnlockCommand", "Other", "UnlockCommand"),
        ("Other", "Other", "AbnormalCondition"),
        ("SomethingNew", "Other", "AbnormalCondition"),
    ],
)
def test_stop_reasons_up(reason: str | None, stopped: str, trigger: str) -> None:
    assert words.stop_up(reason) == (stopped, trigger)


@pytest.mark.parametrize("reason", sorted(words_16("StopTransaction", "reason") - {"SoftReset"}))
def test_a_stop_reason_comes_back(reason: str) -> None:
    assert words.stop_down(*words.stop_up(reason)) == reason


def test_every_stopped_reason_has_a_word() -> None:
    """12.6: only 2.x has these."""
    expected = {"MasterPass": "Local", "LocalOutOfCredit": "Local", "StoppedByEV": "Other", "EnergyLimitReached": "Other", "Timeout": "Other"}
    assert {word: words.stop_down(word) for word in expected} == expected
    for word in words_of("TransactionEventRequest", "ReasonEnumType", "v21"):
        assert words.stop_down(word) in words_16("StopTransaction", "reason")


# -- states of work ---------------------------------------------------------------------------------------------------


def test_every_state_of_work_has_a_word() -> None:
    for word in words_of("FirmwareStatusNotificationRequest", "FirmwareStatusEnumType", "v21"):
        assert words.FIRMWARE_DOWN[word] in words_16("FirmwareStatusNotification", "status")
        assert word in words_16("SignedFirmwareStatusNotification", "status")
    for word in words_of("LogStatusNotificationRequest", "UploadLogStatusEnumType", "v21"):
        assert words.DIAGNOSTICS_DOWN[word] in words_16("DiagnosticsStatusNotification", "status")
        assert words.LOG_DOWN[word] in words_16("LogStatusNotification", "status")
    for word in words_16("DiagnosticsStatusNotification", "status"):
        assert words.DIAGNOSTICS_DOWN[words.DIAGNOSTICS_UP[word]] == word
    for word in words_16("FirmwareStatusNotification", "status"):
        assert words.FIRMWARE_DOWN[word] == word


def test_certificates_and_triggers_come_back() -> None:
    assert words.CERTIFICATE_UP == {
        "CentralSystemRootCertificate": "CSMSRootCertificate",
        "ManufacturerRootCertificate": "ManufacturerRootCertificate",
    }
    for word in words_16("TriggerMessage", "requestedMessage"):
        assert words.TRIGGER_DOWN[words.TRIGGER_UP[word]] == word
    assert words.EXTENDED_TRIGGER_DOWN[words.TRIGGER_UP["SignChargePointCertificate"]] == "SignChargePointCertificate"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("FailedToAuthenticateAtCentralSystem", "FailedToAuthenticateAtCsms"),
        ("FailedToAuthenticationAtCentralSystem", "FailedToAuthenticateAtCsms"),
        ("CentralSystemFailedToAuthenticate", "CsmsFailedToAuthenticate"),
        ("InvalidCentralSystemCertificate", "InvalidCsmsCertificate"),
        ("FirmwareUpdated", "FirmwareUpdated"),
    ],
)
def test_security_events(old: str, new: str) -> None:
    assert words.security_event_up(old) == new
    assert words.security_event_up(words.security_event_down(new)) == new


def test_error_codes_have_the_spelling_of_their_version() -> None:
    assert words.error_up("FormationViolation") == "FormatViolation"
    assert words.error_up("OccurenceConstraintViolation") == "OccurrenceConstraintViolation"
    assert words.error_down("FormatViolation") == "FormationViolation"
    assert words.error_down("OccurrenceConstraintViolation") == "OccurenceConstraintViolation"
    assert words.error_down("InternalError") == "InternalError"


def test_numbers_and_times_are_read_leniently() -> None:
    assert [words.whole(value) for value in (3, 3.0, "3", "3.0", True, "x", None, 2.5, float("inf"), "9" * 400)][:5] == [3, 3, 3, 3, None]
    assert [words.whole(value) for value in ("x", None, 2.5, float("inf"))] == [None] * 4
    assert words.moment("2026-11-21T17:00:00+01:00", 0.0) == "2026-11-21T16:00:00.000Z"
    assert words.moment("yesterday", 0.0) == "1970-01-01T00:00:00.000Z"
