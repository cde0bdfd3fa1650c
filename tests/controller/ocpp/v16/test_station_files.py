"""Firmware, logs and certificates of a 1.6 station at a 2.1 CSMS's command (OCPP-NOTES 9, 10)."""

from __future__ import annotations

from typing import Any

import pytest

from controller.ocpp.hub import NO_ANSWER, Failed, Said
from controller.ocpp.v16.station_side import StationSide16
from tests.support.talking import NOON, Talking

UNKNOWN = Failed("NotImplemented")
HASH = {"hashAlgorithm": "SHA256", "issuerNameHash": "a", "issuerKeyHash": "b", "serialNumber": "1"}
OTHER = {**HASH, "serialNumber": "2"}
FIRMWARE = {"location": "http://files/fw", "retrieveDateTime": NOON}
SIGNED = {**FIRMWARE, "signingCertificate": "PEM", "signature": "SIG"}
LOG = {"remoteLocation": "ftp://files/", "latestTimestamp": NOON}


def talking(**wire: Any) -> Talking:
    """A connected station. wire: its answers."""
    made = Talking(StationSide16, wire=wire, hub={"FirmwareStatusNotification": {}, "LogStatusNotification": {}})
    made.opened()
    return made


def status(reply: Any) -> Any:
    """The status in an answer."""
    assert isinstance(reply, Said)
    return reply.payload["status"]


# -- firmware -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("word", ["Accepted", "AcceptedCanceled", "InvalidCertificate", "RevokedCertificate", "Rejected"])
def test_a_signed_update(word: str) -> None:
    peer = talking(SignedUpdateFirmware={"status": word})
    request = {"requestId": 3, "retries": 2, "firmware": {**SIGNED, "installDateTime": NOON}}
    assert status(peer.asked("UpdateFirmware", request)) == word
    assert peer.sent() == [("SignedUpdateFirmware", request)]


def test_what_shall_be_verified_is_not_sent_unverified() -> None:
    peer = talking(SignedUpdateFirmware=UNKNOWN, UpdateFirmware={})
    assert status(peer.asked("UpdateFirmware", {"requestId": 3, "firmware": SIGNED})) == "Rejected"
    assert [action for action, _ in peer.sent()] == ["SignedUpdateFirmware"]


def test_an_unsigned_update_that_shall_install_later_is_fetched_later() -> None:
    peer = talking(UpdateFirmware={})
    later = {**FIRMWARE, "installDateTime": "2026-11-22T01:00:00Z"}
    assert status(peer.asked("UpdateFirmware", {"requestId": 3, "retries": 1, "retryInterval": 60, "firmware": later})) == "Accepted"
    expected = {"location": "http://files/fw", "retrieveDate": "2026-11-22T01:00:00.000Z", "retries": 1, "retryInterval": 60}
    assert peer.sent() == [("UpdateFirmware", expected)]


def test_an_update_that_was_refused_leaves_the_one_before() -> None:
    peer = talking(UpdateFirmware={}, SignedUpdateFirmware={"status": "Rejected"})
    peer.asked("UpdateFirmware", {"requestId": 3, "firmware": FIRMWARE})
    peer.asked("UpdateFirmware", {"requestId": 4, "firmware": SIGNED})
    peer.said("FirmwareStatusNotification", {"status": "Downloaded"})
    assert peer.sent("hub") == [("FirmwareStatusNotification", {"status": "Downloaded", "requestId": 3})]


# -- logs --------------------------------------------------------------------------------------------------


def test_a_log_in_words_of_the_whitepaper() -> None:
    peer = talking(GetLog={"status": "AcceptedCanceled", "filename": "log.zip"})
    request = {"requestId": 3, "logType": "SecurityLog", "log": LOG, "retries": 2}
    assert peer.asked("GetLog", request) == Said({"status": "AcceptedCanceled", "filename": "log.zip"})
    assert peer.sent() == [("GetLog", request)]


def test_a_log_in_plain_words() -> None:
    peer = talking(GetLog=UNKNOWN, GetDiagnostics={})
    request = {"requestId": 3, "logType": "DiagnosticsLog", "log": LOG, "retryInterval": 5}
    assert peer.asked("GetLog", request) == Said({"status": "Accepted"})  # no file name: there is nothing to upload
    assert peer.asked("GetLog", request) == Said({"status": "Accepted"})
    assert [action for action, _ in peer.sent()] == ["GetLog", "GetDiagnostics", "GetDiagnostics"]
    assert status(peer.asked("GetLog", {**request, "logType": "SecurityLog"})) == "Rejected"
    assert status(peer.asked("GetLog", {**request, "logType": "DataCollectorLog"})) == "Rejected"


def test_a_log_that_nobody_answers_for_is_not_asked_twice() -> None:
    peer = talking(GetLog=NO_ANSWER, GetDiagnostics={})
    assert peer.asked("GetLog", {"requestId": 3, "logType": "DiagnosticsLog", "log": LOG}) == NO_ANSWER
    assert [action for action, _ in peer.sent()] == ["GetLog"]


# -- certificates --------------------------------------------------------------------------------------------


def test_certificates() -> None:
    peer = talking(InstallCertificate={"status": "Failed"}, DeleteCertificate={"status": "Failed"}, CertificateSigned={"status": "Accepted"})
    assert status(peer.asked("InstallCertificate", {"certificateType": "CSMSRootCertificate", "certificate": "PEM"})) == "Failed"
    assert status(peer.asked("DeleteCertificate", {"certificateHashData": HASH})) == "Failed"
    signed = {"certificateChain": "PEM", "certificateType": "ChargingStationCertificate", "requestId": 1}
    assert status(peer.asked("CertificateSigned", signed)) == "Accepted"
    assert peer.sent() == [
        ("InstallCertificate", {"certificateType": "CentralSystemRootCertificate", "certificate": "PEM"}),
        ("DeleteCertificate", {"certificateHashData": HASH}),
        ("CertificateSigned", {"certificateChain": "PEM"}),
    ]


def test_certificates_1_6_cannot_keep() -> None:
    peer = talking(DataTransfer={"status": "UnknownVendorId"})
    for request in (
        {"certificateType": "V2GRootCertificate", "certificate": "PEM"},
        {"certificateType": "CSMSRootCertificate", "certificate": "x" * 5501},
    ):
        assert status(peer.asked("InstallCertificate", request)) == "Rejected"
    assert status(peer.asked("CertificateSigned", {"certificateChain": "PEM", "certificateType": "V2GCertificate"})) == "Rejected"
    assert peer.asked("GetInstalledCertificateIds", {"certificateType": ["MORootCertificate"]}) == Said({"status": "NotFound"})
    assert [action for action, _ in peer.sent()] == ["DataTransfer"]  # plug and charge; it is not asked again


def test_installed_certificates_are_asked_kind_by_kind() -> None:
    def ids(request: dict[str, Any]) -> dict[str, Any]:
        if request["certificateType"] == "CentralSystemRootCertificate":
            return {"status": "Accepted", "certificateHashData": [HASH, OTHER]}
        return {"status": "NotFound"}

    peer = talking(GetInstalledCertificateIds=ids, DataTransfer={"status": "UnknownVendorId"})
    chain = [{"certificateType": "CSMSRootCertificate", "certificateHashData": one} for one in (HASH, OTHER)]
    assert peer.asked("GetInstalledCertificateIds", {}) == Said({"status": "Accepted", "certificateHashDataChain": chain})
    # No kind named is every kind: those for cars too, where the station knows plug and charge.
    assert [action for action, _ in peer.sent()] == ["GetInstalledCertificateIds", "GetInstalledCertificateIds", "DataTransfer"]
    assert peer.asked("GetInstalledCertificateIds", {"certificateType": ["ManufacturerRootCertificate"]}) == Said({"status": "NotFound"})


@pytest.mark.parametrize(
    ("action", "payload", "word"),
    [
        ("InstallCertificate", {"certificateType": "CSMSRootCertificate", "certificate": "PEM"}, "Rejected"),
        ("DeleteCertificate", {"certificateHashData": HASH}, "Failed"),
        ("CertificateSigned", {"certificateChain": "PEM"}, "Rejected"),
        ("GetInstalledCertificateIds", {}, "NotFound"),
    ],
)
def test_a_station_without_the_whitepaper(action: str, payload: dict[str, Any], word: str) -> None:
    assert status(talking(**{action: UNKNOWN}).asked(action, payload)) == word


# -- long addresses: only the whitepaper's messages have a limit (512), those of 1.6 itself have none --------------

LONG = "https://files.example/" + "a" * 1500


def test_an_unsigned_update_from_a_long_address_goes_down_whole() -> None:
    peer = talking(UpdateFirmware={})
    assert status(peer.asked("UpdateFirmware", {"requestId": 3, "firmware": {**FIRMWARE, "location": LONG}})) == "Accepted"
    assert [payload["location"] for _, payload in peer.sent()] == [LONG]


def test_a_signed_update_from_a_long_address_is_refused_and_not_sent_unverified() -> None:
    peer = talking(SignedUpdateFirmware={"status": "Accepted"}, UpdateFirmware={})
    reply = peer.asked("UpdateFirmware", {"requestId": 3, "firmware": {**SIGNED, "location": LONG}})
    assert status(reply) == "Rejected"
    assert reply.payload["statusInfo"]["reasonCode"] == "ValueTooLong"
    assert peer.sent() == []


def test_diagnostics_to_a_long_address_are_asked_for_in_the_words_that_have_room() -> None:
    peer = talking(GetLog={"status": "Accepted"}, GetDiagnostics={"fileName": "d.zip"})
    request = {"logType": "DiagnosticsLog", "requestId": 4, "log": {**LOG, "remoteLocation": LONG}}
    assert status(peer.asked("GetLog", request)) == "Accepted"
    assert [(action, payload["location"]) for action, payload in peer.sent()] == [("GetDiagnostics", LONG)]
    assert status(peer.asked("GetLog", {**request, "logType": "SecurityLog"})) == "Rejected"
