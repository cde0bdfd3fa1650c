"""Firmware, logs, certificates and security events towards a 1.6 CSMS. Expected values by hand from OCPP-NOTES 9, 10, 12.10."""

from __future__ import annotations

from typing import Any

import pytest

from controller.ocpp.hub import Failed, Said
from controller.ocpp.v16.csms_side import CsmsSide16
from tests.support.talking import NOON, Talking

OK = {"status": "Accepted"}
HASH = {"hashAlgorithm": "SHA256", "issuerNameHash": "aa", "issuerKeyHash": "bb", "serialNumber": "01"}
WIRE: dict[str, Any] = {
    "FirmwareStatusNotification": {},
    "SignedFirmwareStatusNotification": {},
    "DiagnosticsStatusNotification": {},
    "LogStatusNotification": {},
    "SecurityEventNotification": {},
    "SignCertificate": OK,
}


def talking(**hub: Any) -> Talking:
    return Talking(CsmsSide16, hub=hub, wire=dict(WIRE))


# -- firmware ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "told"),
    [
        ("Downloading", "Downloading"),
        ("DownloadScheduled", "Downloading"),
        ("DownloadPaused", "Downloading"),
        ("SignatureVerified", "Downloaded"),
        ("InstallScheduled", "Installing"),
        ("InstallRebooting", "Installing"),
        ("InstallVerificationFailed", "InstallationFailed"),
        ("InvalidSignature", "InstallationFailed"),
        ("Installed", "Installed"),
        ("Idle", "Idle"),
    ],
)
def test_an_update_of_the_old_form(status: str, told: str) -> None:
    talk = talking(UpdateFirmware=OK)
    request = {"location": "https://host/fw.bin", "retrieveDate": NOON, "retries": 2, "retryInterval": 60}
    assert talk.said("UpdateFirmware", request) == Said({})
    firmware = {"location": "https://host/fw.bin", "retrieveDateTime": NOON}
    assert talk.sent() == [("UpdateFirmware", {"requestId": 1001, "firmware": firmware, "retries": 2, "retryInterval": 60})]
    later = talk.again()
    later.asked("FirmwareStatusNotification", {"status": status, "requestId": 1001})
    assert later.sent() == [("FirmwareStatusNotification", {"status": told})]


def test_an_update_of_the_whitepaper() -> None:
    talk = talking(UpdateFirmware={"status": "InvalidCertificate"})
    firmware = {"location": "https://host/fw.bin", "retrieveDateTime": NOON, "signingCertificate": "C", "signature": "S"}
    reply = talk.said("SignedUpdateFirmware", {"requestId": 9, "firmware": firmware})
    assert reply == Said({"status": "InvalidCertificate"})
    assert talk.sent() == [("UpdateFirmware", {"requestId": 9, "firmware": firmware})]
    later = talk.again()
    later.asked("FirmwareStatusNotification", {"status": "InvalidSignature", "requestId": 9})
    assert later.sent() == [("SignedFirmwareStatusNotification", {"status": "InvalidSignature", "requestId": 9})]


def test_a_refused_update_is_an_error_as_the_empty_answer_would_be_a_yes() -> None:
    talk = talking(UpdateFirmware={"status": "Rejected"})
    assert isinstance(talk.said("UpdateFirmware", {"location": "https://h/f", "retrieveDate": NOON}), Failed)


# -- logs ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("filename", "answer"), [("log.zip", {"fileName": "log.zip"}), (None, {})])
def test_diagnostics(filename: str | None, answer: dict[str, Any]) -> None:
    talk = talking(GetLog={"status": "Accepted", **({"filename": filename} if filename else {})})
    assert talk.said("GetDiagnostics", {"location": "ftp://host/", "startTime": NOON}) == Said(answer)
    log = {"remoteLocation": "ftp://host/", "oldestTimestamp": NOON}
    assert talk.sent() == [("GetLog", {"logType": "DiagnosticsLog", "requestId": 1001, "log": log})]
    later = talk.again()
    later.asked("LogStatusNotification", {"status": "UploadFailure", "requestId": 1001})
    assert later.sent() == [("DiagnosticsStatusNotification", {"status": "UploadFailed"})]


def test_a_log_of_the_whitepaper() -> None:
    talk = talking(GetLog={"status": "AcceptedCanceled", "filename": "sec.log"})
    request = {"logType": "SecurityLog", "requestId": 4, "retries": 1, "log": {"remoteLocation": "https://host/"}}
    assert talk.said("GetLog", request) == Said({"status": "AcceptedCanceled", "filename": "sec.log"})
    assert talk.sent() == [("GetLog", request)]
    talk.asked("LogStatusNotification", {"status": "Uploaded", "requestId": 4})
    assert talk.sent() == [("LogStatusNotification", {"status": "Uploaded", "requestId": 4})]


def test_a_refused_upload_is_an_error() -> None:
    assert isinstance(talking(GetLog={"status": "Rejected"}).said("GetDiagnostics", {"location": "ftp://host/"}), Failed)


def test_a_triggered_status_comes_in_the_form_it_was_asked_for() -> None:
    talk = talking(TriggerMessage=OK)
    for action, wanted, hub_action, told in (
        ("TriggerMessage", "DiagnosticsStatusNotification", "LogStatusNotification", "DiagnosticsStatusNotification"),
        ("ExtendedTriggerMessage", "LogStatusNotification", "LogStatusNotification", "LogStatusNotification"),
        ("ExtendedTriggerMessage", "FirmwareStatusNotification", "FirmwareStatusNotification", "SignedFirmwareStatusNotification"),
        ("TriggerMessage", "FirmwareStatusNotification", "FirmwareStatusNotification", "FirmwareStatusNotification"),
    ):
        talk.said(action, {"requestedMessage": wanted})
        talk.asked(hub_action, {"status": "Idle"})
        assert talk.sent("wire") == [(told, {"status": "Idle"})]


# -- certificates ------------------------------------------------------------------------------------------


def test_a_certificate_is_signed_for_the_request_it_belongs_to() -> None:
    talk = talking(CertificateSigned=OK)
    assert talk.asked("SignCertificate", {"csr": "CSR", "requestId": 12}) == Said(OK)
    assert talk.sent() == [("SignCertificate", {"csr": "CSR"})]
    later = talk.again()
    assert later.said("CertificateSigned", {"certificateChain": "CHAIN"}) == Said(OK)
    request = {"certificateChain": "CHAIN", "certificateType": "ChargingStationCertificate", "requestId": 12}
    assert later.sent() == [("CertificateSigned", request)]


def test_a_contract_certificate_is_asked_for_by_data_transfer_or_not_at_all() -> None:
    talk = talking()
    talk.wire["DataTransfer"] = {"status": "UnknownVendorId"}
    assert talk.asked("SignCertificate", {"csr": "CSR", "certificateType": "V2GCertificate"}) == Said({"status": "Rejected"})
    assert [action for action, _ in talk.sent()] == ["DataTransfer"]


def test_roots() -> None:
    talk = talking(InstallCertificate=OK, DeleteCertificate={"status": "NotFound"})
    assert talk.said("InstallCertificate", {"certificateType": "CentralSystemRootCertificate", "certificate": "PEM"}) == Said(OK)
    assert talk.said("DeleteCertificate", {"certificateHashData": HASH}) == Said({"status": "NotFound"})
    assert talk.sent() == [
        ("InstallCertificate", {"certificateType": "CSMSRootCertificate", "certificate": "PEM"}),
        ("DeleteCertificate", {"certificateHashData": HASH}),
    ]


def test_installed_roots() -> None:
    chain = {"certificateType": "ManufacturerRootCertificate", "certificateHashData": HASH}
    other = {"certificateType": "V2GRootCertificate", "certificateHashData": {**HASH, "serialNumber": "02"}}
    talk = talking(GetInstalledCertificateIds={"status": "Accepted", "certificateHashDataChain": [chain, other]})
    reply = talk.said("GetInstalledCertificateIds", {"certificateType": "ManufacturerRootCertificate"})
    assert reply == Said({"status": "Accepted", "certificateHashData": [HASH]})
    assert talk.sent() == [("GetInstalledCertificateIds", {"certificateType": ["ManufacturerRootCertificate"]})]
    talk.hub["GetInstalledCertificateIds"] = {"status": "NotFound"}
    assert talk.said("GetInstalledCertificateIds", {"certificateType": "ManufacturerRootCertificate"}) == Said({"status": "NotFound"})


def test_plug_and_charge_of_the_csms() -> None:
    """A V2G root inside a DataTransfer is the hub's InstallCertificate."""
    talk = talking(InstallCertificate=OK)
    inner = '{"certificateType":"V2GRootCertificate","certificate":"PEM"}'
    request = {"vendorId": "org.openchargealliance.iso15118pnc", "messageId": "InstallCertificate", "data": inner}
    assert talk.said("DataTransfer", request) == Said({"status": "Accepted", "data": '{"status":"Accepted"}'})
    assert talk.sent() == [("InstallCertificate", {"certificateType": "V2GRootCertificate", "certificate": "PEM"})]
    assert talk.said("DataTransfer", {**request, "messageId": "Odd"}) == Said({"status": "UnknownMessageId"})
    assert talk.said("DataTransfer", {**request, "data": "no json"}) == Said({"status": "Rejected"})


@pytest.mark.parametrize(
    ("kind", "told"),
    [("FailedToAuthenticateAtCsms", "FailedToAuthenticateAtCentralSystem"), ("SettingSystemTime", "SettingSystemTime")],
)
def test_security_events(kind: str, told: str) -> None:
    talk = talking()
    assert talk.asked("SecurityEventNotification", {"type": kind, "timestamp": NOON, "techInfo": "x"}) == Said({})
    assert talk.sent() == [("SecurityEventNotification", {"type": told, "timestamp": NOON, "techInfo": "x"})]


@pytest.mark.parametrize(
    ("action", "payload", "answer"),
    [
        ("SecurityEventNotification", {"type": "SettingSystemTime", "timestamp": NOON}, {}),
        ("LogStatusNotification", {"status": "Uploaded", "requestId": 99}, {}),
        ("SignCertificate", {"csr": "CSR"}, {"status": "Rejected"}),
        ("DataTransfer", {"vendorId": "V"}, {"status": "UnknownVendorId"}),
    ],
)
def test_a_csms_without_the_whitepaper_is_not_told_the_same_for_ever(action: str, payload: dict[str, Any], answer: dict[str, Any]) -> None:
    """A station keeps critical events until they are confirmed; this CSMS will never know them."""
    talk = talking()
    talk.wire = dict.fromkeys((*WIRE, "DataTransfer"), Failed("NotImplemented"))
    assert talk.asked(action, payload) == Said(answer)
    talk.wire = dict.fromkeys((*WIRE, "DataTransfer"), Failed("InternalError"))
    assert isinstance(talk.asked(action, payload), Failed)
