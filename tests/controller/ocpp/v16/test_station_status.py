"""What a 1.6 station says of itself, as a 2.1 CSMS hears it (OCPP-NOTES 12.2, 12.3, 12.10)."""

from __future__ import annotations

from typing import Any

import pytest

from controller.ocpp.hub import NO_ANSWER, Failed, Said
from controller.ocpp.v16.station_side import StationSide16
from tests.support.talking import NOON, Talking

BOOT = {
    "chargePointVendor": "Vendor",
    "chargePointModel": "Model",
    "chargePointSerialNumber": "SN-1",
    "chargeBoxSerialNumber": "BOX-1",
    "firmwareVersion": "1.2.3",
    "iccid": "8949",
    "imsi": "262",
    "meterType": "MT",
    "meterSerialNumber": "MS-1",
}
ACCEPTED = {"status": "Accepted", "currentTime": NOON, "interval": 300}
HUB = {
    "BootNotification": ACCEPTED,
    "Heartbeat": {"currentTime": NOON},
    "Authorize": {"idTokenInfo": {"status": "Accepted"}},
    **{key: {} for key in ("StatusNotification", "NotifyEvent", "TransactionEvent", "FirmwareStatusNotification")},
    **{key: {} for key in ("LogStatusNotification", "SecurityEventNotification", "ReservationStatusUpdate")},
    "SignCertificate": {"status": "Accepted"},
}


def talking(**hub: Any) -> Talking:
    """A connected station and a friendly CSMS. hub: other answers."""
    made = Talking(StationSide16, hub={**HUB, **hub})
    made.opened()
    return made


def status(word: str, code: str = "NoError", connector: int = 1, **more: Any) -> dict[str, Any]:
    """A StatusNotification."""
    return {"connectorId": connector, "status": word, "errorCode": code, "timestamp": NOON, **more}


# -- boot ---------------------------------------------------------------------------------------------


def test_a_boot() -> None:
    peer = talking()
    assert peer.said("BootNotification", BOOT) == Said(ACCEPTED)
    station = {
        "vendorName": "Vendor",
        "model": "Model",
        "serialNumber": "SN-1",
        "firmwareVersion": "1.2.3",
        "modem": {"iccid": "8949", "imsi": "262"},
    }
    assert peer.sent() == [("BootNotification", {"reason": "PowerUp", "chargingStation": station})]


def test_a_boot_of_few_words() -> None:
    peer = talking()
    peer.said("BootNotification", {"chargePointVendor": "V", "chargePointModel": "M", "chargeBoxSerialNumber": "BOX-1"})
    ((_, payload),) = peer.sent()
    assert payload["chargingStation"] == {"vendorName": "V", "model": "M", "serialNumber": "BOX-1"}


@pytest.mark.parametrize("word", ["Pending", "Rejected"])
def test_a_csms_that_does_not_accept_hears_the_same_reason_again(word: str) -> None:
    peer = talking(BootNotification={**ACCEPTED, "status": word, "statusInfo": {"reasonCode": "Wait"}})
    peer.wire["Reset"] = {"status": "Accepted"}
    peer.asked("Reset", {"type": "Immediate"})
    reply = peer.said("BootNotification", BOOT)
    assert reply == Said({**ACCEPTED, "status": word})
    peer.hub["BootNotification"] = ACCEPTED
    peer.said("BootNotification", BOOT)
    peer.said("BootNotification", BOOT)
    reasons = [payload["reason"] for action, payload in peer.sent("hub")]
    assert reasons == ["RemoteReset", "RemoteReset", "PowerUp"]


def test_a_boot_after_an_update_and_after_a_trigger() -> None:
    peer = talking()
    peer.said("FirmwareStatusNotification", {"status": "Installed"})
    peer = peer.again()
    peer.said("BootNotification", BOOT)
    peer.wire["TriggerMessage"] = {"status": "Accepted"}
    peer.asked("TriggerMessage", {"requestedMessage": "BootNotification"})
    peer.said("BootNotification", BOOT)
    reasons = [payload["reason"] for action, payload in peer.sent("hub") if action == "BootNotification"]
    assert reasons == ["FirmwareUpdate", "Triggered"]


def test_silence_stays_silence_and_errors_have_the_old_spelling() -> None:
    assert talking(Heartbeat=NO_ANSWER).said("Heartbeat", {}) == NO_ANSWER
    assert talking(Heartbeat=Failed("FormatViolation", "x")).said("Heartbeat", {}) == Failed("FormationViolation", "x")


def test_a_heartbeat_and_a_driver() -> None:
    peer = talking()
    assert peer.said("Heartbeat", {}) == Said({"currentTime": NOON})
    assert peer.said("Authorize", {"idTag": "04A1B2C3"}) == Said({"idTagInfo": {"status": "Accepted"}})
    assert peer.sent()[-1] == ("Authorize", {"idToken": {"idToken": "04A1B2C3", "type": "ISO14443"}})


# -- states -----------------------------------------------------------------------------------------------


def test_a_status_is_told_when_it_is_news_or_told_again() -> None:
    peer = talking()
    for word in ("Available", "Preparing", "Charging", "SuspendedEV", "SuspendedEV", "Available"):
        peer.said("StatusNotification", status(word))
    told = peer.sent("hub")
    assert {action for action, _ in told} == {"StatusNotification"}
    assert [payload["connectorStatus"] for _, payload in told] == ["Available", "Occupied", "Occupied", "Available"]
    assert told[0][1] == {"timestamp": NOON, "connectorStatus": "Available", "evseId": 1, "connectorId": 1}


def test_after_the_wire_opens_all_is_news() -> None:
    peer = talking()
    peer.said("StatusNotification", status("Charging"))
    peer.closed()
    peer.opened()
    peer.said("StatusNotification", status("SuspendedEV"))
    assert len(peer.sent("hub")) == 2


def test_a_status_nobody_heard_is_told_again() -> None:
    peer = talking()
    peer.said("StatusNotification", status("Preparing"))
    peer.hub["StatusNotification"] = NO_ANSWER
    assert peer.said("StatusNotification", status("Available")) == NO_ANSWER
    peer.hub["StatusNotification"] = {}
    assert peer.said("StatusNotification", status("Available")) == Said({})
    assert [payload["connectorStatus"] for _, payload in peer.sent("hub")] == ["Occupied", "Available", "Available"]


def test_connector_0_is_the_station() -> None:
    peer = talking()
    peer.said("StatusNotification", status("Unavailable", connector=0))
    ((action, payload),) = peer.sent("hub")
    assert action == "NotifyEvent"
    assert payload["eventData"] == [
        {
            "eventId": 0,
            "timestamp": NOON,
            "trigger": "Delta",
            "actualValue": "Unavailable",
            "component": {"name": "ChargingStation"},
            "variable": {"name": "AvailabilityState"},
            "eventNotificationType": "HardWiredNotification",
        }
    ]


# -- faults ---------------------------------------------------------------------------------------------------


def test_a_fault_begins_and_ends_once() -> None:
    peer = talking()
    peer.said("StatusNotification", status("Faulted", "GroundFailure", vendorErrorCode="E-17", info="leak"))
    peer.said("StatusNotification", status("Faulted", "GroundFailure", vendorErrorCode="E-17", info="leak"))
    peer = peer.again()
    peer.said("StatusNotification", status("Available"))
    peer.said("StatusNotification", status("Available"))
    found = [payload["eventData"][0] for action, payload in peer.sent("hub") if action == "NotifyEvent"]
    assert len(found) == 1
    assert found[0]["cleared"] is True
    assert (found[0]["actualValue"], found[0]["component"]["name"]) == ("false", "RCD")


def test_the_event_of_a_fault() -> None:
    peer = talking()
    peer.said("StatusNotification", status("Faulted", "GroundFailure", vendorErrorCode="E-17", info="leak"))
    ((_, first), (action, payload)) = peer.sent("hub")
    assert first["connectorStatus"] == "Faulted"
    assert action == "NotifyEvent"
    assert payload["eventData"] == [
        {
            "eventId": 0,
            "timestamp": NOON,
            "trigger": "Alerting",
            "actualValue": "true",
            "techCode": "E-17",
            "techInfo": "GroundFailure; leak",
            "component": {"name": "RCD", "evse": {"id": 1, "connectorId": 1}},
            "variable": {"name": "Problem"},
            "eventNotificationType": "HardWiredNotification",
        }
    ]


def test_another_fault_ends_the_one_before() -> None:
    peer = talking()
    peer.said("StatusNotification", status("Faulted", "GroundFailure"))
    peer.said("StatusNotification", status("Faulted", "HighTemperature"))
    found = [payload["eventData"][0] for action, payload in peer.sent("hub") if action == "NotifyEvent"]
    assert [(event["component"]["name"], event["actualValue"], event["eventId"]) for event in found] == [
        ("RCD", "true", 0),
        ("RCD", "false", 1),
        ("TemperatureSensor", "true", 2),
    ]


# -- reports --------------------------------------------------------------------------------------------------------


def test_firmware_and_logs_name_the_command_that_began_them() -> None:
    peer = talking()
    peer.wire |= {"UpdateFirmware": {}, "GetLog": Failed("NotImplemented"), "GetDiagnostics": {"fileName": "a.zip"}}
    firmware = {"location": "http://files/fw", "retrieveDateTime": NOON}
    assert peer.asked("UpdateFirmware", {"requestId": 7, "firmware": firmware}) == Said({"status": "Accepted"})
    log = {"remoteLocation": "ftp://files/", "oldestTimestamp": NOON}
    reply = peer.asked("GetLog", {"requestId": 8, "logType": "DiagnosticsLog", "log": log})
    assert reply == Said({"status": "Accepted", "filename": "a.zip"})
    assert peer.sent("wire")[-1] == ("GetDiagnostics", {"location": "ftp://files/", "startTime": NOON})
    peer = peer.again()
    peer.said("FirmwareStatusNotification", {"status": "Downloading"})
    peer.said("FirmwareStatusNotification", {"status": "Idle"})
    peer.said("SignedFirmwareStatusNotification", {"status": "InstallScheduled", "requestId": 9})
    peer.said("DiagnosticsStatusNotification", {"status": "UploadFailed"})
    peer.said("LogStatusNotification", {"status": "Uploaded", "requestId": 10})
    assert [payload for _, payload in peer.sent("hub")] == [
        {"status": "Downloading", "requestId": 7},
        {"status": "Idle"},
        {"status": "InstallScheduled", "requestId": 9},
        {"status": "UploadFailure", "requestId": 8},
        {"status": "Uploaded", "requestId": 10},
    ]


def test_security_certificates_and_vendors() -> None:
    peer = talking(DataTransfer={"status": "Accepted", "data": {"a": [1]}})
    peer.said("SecurityEventNotification", {"type": "InvalidCentralSystemCertificate", "timestamp": NOON, "techInfo": "x"})
    peer.said("SignCertificate", {"csr": "CSR"})
    reply = peer.said("DataTransfer", {"vendorId": "com.example", "messageId": "m", "data": "text"})
    assert reply == Said({"status": "Accepted", "data": '{"a": [1]}'})
    assert [payload for _, payload in peer.sent("hub")] == [
        {"type": "InvalidCsmsCertificate", "timestamp": NOON, "techInfo": "x"},
        {"csr": "CSR", "certificateType": "ChargingStationCertificate"},
        {"vendorId": "com.example", "messageId": "m", "data": "text"},
    ]
