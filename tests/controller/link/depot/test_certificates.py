"""Certificates at a depot (A02-A04, M01-M06)."""

from __future__ import annotations

from typing import Any

from tests.support.depot_book import Payload
from tests.support.desk import asked, desk, says

ACCEPTED = {"status": "Accepted"}
ROOT = {"certificateType": "V2GRootCertificate", "certificate": "PEM"}


def hashed(serial: str) -> Payload:
    return {"hashAlgorithm": "SHA256", "issuerNameHash": "aa", "issuerKeyHash": "bb", "serialNumber": serial}


def chain(serial: str, kind: str = "V2GRootCertificate") -> Payload:
    return {"certificateHashData": hashed(serial), "certificateType": kind}


def test_a_root_goes_to_all_and_who_does_not_take_it_is_named() -> None:
    book = desk()
    says(book, "InstallCertificate", CP20=ACCEPTED, CP21=ACCEPTED)
    answer = book.csms("InstallCertificate", ROOT)
    assert (answer["status"], answer["statusInfo"]["reasonCode"]) == ("Accepted", "PartlyDone")
    assert "CP16" in answer["statusInfo"]["additionalInfo"]
    assert asked(book, "CP20", "InstallCertificate") == asked(book, "CP21", "InstallCertificate") == [ROOT]
    says(book, "InstallCertificate", CP20={"status": "Failed"}, CP21={"status": "Rejected"})
    assert book.csms("InstallCertificate", ROOT)["status"] == "Failed"


def test_whom_the_depot_trusts_is_its_operators_business() -> None:
    book = desk()
    answer = book.csms("InstallCertificate", {**ROOT, "certificateType": "CSMSRootCertificate"})
    assert answer["status"] == "Rejected"
    assert not any(asked(book, name, "InstallCertificate") for name in book.down)


def test_deleted_everywhere() -> None:
    book = desk()
    says(book, "DeleteCertificate", CP20={"status": "NotFound"}, CP21=ACCEPTED)
    assert book.csms("DeleteCertificate", {"certificateHashData": hashed("1")})["status"] == "Accepted"
    says(book, "DeleteCertificate", CP21={"status": "NotFound"})
    assert book.csms("DeleteCertificate", {"certificateHashData": hashed("1")})["status"] == "NotFound"
    says(book, "DeleteCertificate", CP21={"status": "Failed"})
    assert book.csms("DeleteCertificate", {"certificateHashData": hashed("1")})["status"] == "Failed"


def test_listed_as_one_store() -> None:
    book = desk()
    says(
        book,
        "GetInstalledCertificateIds",
        CP20={"status": "Accepted", "certificateHashDataChain": [chain("1"), chain("2")]},
        CP21={"status": "Accepted", "certificateHashDataChain": [chain("1"), chain("1", "MORootCertificate")]},
    )
    answer = book.csms("GetInstalledCertificateIds", {})
    assert answer["certificateHashDataChain"] == [chain("1"), chain("2"), chain("1", "MORootCertificate")]
    says(book, "GetInstalledCertificateIds", CP20={"status": "NotFound"}, CP21={"status": "NotFound"})
    assert book.csms("GetInstalledCertificateIds", {})["status"] == "NotFound"


def test_a_chargers_own_certificate_is_not_the_csmss_business() -> None:
    book = desk()
    assert book.say("CP21", "SignCertificate", {"csr": "CSR", "certificateType": "ChargingStationCertificate"})["status"] == "Rejected"
    assert book.say("CP20", "SignCertificate", {"csr": "CSR"})["status"] == "Rejected"
    assert not book.heard("SignCertificate")
    assert book.csms("CertificateSigned", {"certificateChain": "PEM"})["status"] == "Rejected"


def sign(book: Any, station: str, **more: Any) -> Any:
    return book.say(station, "SignCertificate", {"csr": "CSR", "certificateType": "V2GCertificate", **more})


def test_a_v2g_certificate_comes_back_to_who_asked() -> None:
    book = desk()
    book.csms_says["SignCertificate"] = ACCEPTED
    says(book, "CertificateSigned", CP20=ACCEPTED, CP21=ACCEPTED)
    sign(book, "CP20")
    sign(book, "CP21", requestId=5)
    first, second = (payload["requestId"] for payload in book.heard("SignCertificate"))
    signed = {"certificateChain": "PEM", "certificateType": "V2GCertificate"}
    assert book.csms("CertificateSigned", {**signed, "requestId": second}) == ACCEPTED
    assert asked(book, "CP21", "CertificateSigned") == [{**signed, "requestId": 5}]
    assert book.csms("CertificateSigned", {**signed, "requestId": first}) == ACCEPTED
    assert asked(book, "CP20", "CertificateSigned") == [signed]
    assert book.csms("CertificateSigned", {**signed, "requestId": first})["status"] == "Rejected"


def test_a_csms_without_request_ids_reaches_the_one_whose_key_it_is() -> None:
    book = desk("ocpp2.0.1")
    book.csms_says["SignCertificate"] = ACCEPTED
    says(book, "CertificateSigned", CP20={"status": "Rejected"}, CP21=ACCEPTED)
    sign(book, "CP20")
    sign(book, "CP21")
    signed = {"certificateChain": "PEM", "certificateType": "V2GCertificate"}
    assert book.csms("CertificateSigned", signed) == ACCEPTED
    assert len(asked(book, "CP21", "CertificateSigned")) == 1


def test_contract_messages_pass_untouched() -> None:
    book = desk()
    book.csms_says["Get15118EVCertificate"] = {"status": "Accepted", "exiResponse": "EXI"}
    request = {"iso15118SchemaVersion": "urn:iso:15118:2:2013:MsgDef", "action": "Install", "exiRequest": "REQ"}
    assert book.say("CP20", "Get15118EVCertificate", request)["exiResponse"] == "EXI"
    assert book.heard("Get15118EVCertificate") == [request]
