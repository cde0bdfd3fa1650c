"""Plug and charge of a 1.6 station (OCPP-NOTES 9): 2.0.1 messages inside DataTransfer."""

from __future__ import annotations

import json
from typing import Any

import pytest

from controller.ocpp.hub import NO_ANSWER, Failed, Said
from controller.ocpp.v16.station_pnc import VENDOR
from controller.ocpp.v16.station_side import StationSide16
from tests.support.talking import Talking

CONTRACT = {"iso15118SchemaVersion": "urn:iso:15118:2:2013:MsgDef", "action": "Install", "exiRequest": "ZXhp"}
HASH = {"hashAlgorithm": "SHA256", "issuerNameHash": "a", "issuerKeyHash": "b", "serialNumber": "1"}


def talking(wire: Any = None, **hub: Any) -> Talking:
    """A connected station. wire: its answer to a DataTransfer."""
    made = Talking(StationSide16, wire={"DataTransfer": wire} if wire is not None else {}, hub=hub)
    made.opened()
    return made


def transfer(action: str, data: Any) -> dict[str, Any]:
    """A DataTransfer of the station."""
    return {"vendorId": VENDOR, "messageId": action, "data": data if isinstance(data, str) else json.dumps(data)}


def test_a_contract_is_asked_for() -> None:
    peer = talking(Get15118EVCertificate={"status": "Accepted", "exiResponse": "b2s=", "remainingContracts": 2})
    reply = peer.said("DataTransfer", transfer("Get15118EVCertificate", CONTRACT))
    assert peer.sent() == [("Get15118EVCertificate", CONTRACT)]
    assert isinstance(reply, Said)
    assert reply.payload["status"] == "Accepted"
    assert json.loads(reply.payload["data"]) == {"status": "Accepted", "exiResponse": "b2s="}  # 2.0.1 has no remainingContracts


def test_what_cannot_be_read_or_is_not_known() -> None:
    peer = talking(Authorize=Failed("InternalError"))
    assert peer.said("DataTransfer", transfer("Authorize", "no json")) == Said({"status": "Rejected"})
    assert peer.said("DataTransfer", transfer("Reset", {})) == Said({"status": "UnknownMessageId"})
    assert peer.sent() == []
    driver = {"idToken": {"idToken": "DE-ABC", "type": "eMAID"}}
    assert peer.said("DataTransfer", transfer("Authorize", driver)) == Said({"status": "Rejected"})
    peer.hub["Authorize"] = NO_ANSWER
    assert peer.said("DataTransfer", transfer("Authorize", driver)) == NO_ANSWER


def test_roots_for_cars_go_down_and_come_back() -> None:
    chain = [{"certificateType": "V2GRootCertificate", "certificateHashData": HASH}]
    answers = {"InstallCertificate": {"status": "Accepted"}, "GetInstalledCertificateIds": {"status": "Accepted", "certificateHashDataChain": chain}}
    peer = talking(lambda request: {"status": "Accepted", "data": json.dumps(answers[request["messageId"]])})
    root = {"certificateType": "V2GRootCertificate", "certificate": "PEM"}
    assert peer.asked("InstallCertificate", root) == Said({"status": "Accepted"})
    ((_, sent),) = peer.sent()
    assert json.loads(sent["data"]) == root
    reply = peer.asked("GetInstalledCertificateIds", {"certificateType": ["V2GRootCertificate"]})
    assert reply == Said({"status": "Accepted", "certificateHashDataChain": chain})
    # No kind named is every kind, also of a station that has plug and charge and no security extension.
    peer.wire["GetInstalledCertificateIds"] = Failed("NotImplemented")
    assert peer.asked("GetInstalledCertificateIds", {}) == Said({"status": "Accepted", "certificateHashDataChain": chain})


@pytest.mark.parametrize("plain", [{"status": "NotFound"}, Failed("NotImplemented")])
def test_a_root_for_cars_is_deleted_where_it_is(plain: Any) -> None:
    peer = talking(lambda request: {"status": "Accepted", "data": json.dumps({"status": "Accepted"})})
    peer.wire["DeleteCertificate"] = plain
    assert peer.asked("DeleteCertificate", {"certificateHashData": HASH}) == Said({"status": "Accepted"})
    assert [action for action, _ in peer.sent()] == ["DeleteCertificate", "DataTransfer"]
    peer.wire["DataTransfer"] = {"status": "UnknownVendorId"}
    reply = peer.asked("DeleteCertificate", {"certificateHashData": HASH})
    assert isinstance(reply, Said)
    assert reply.payload["status"] == ("NotFound" if isinstance(plain, dict) else "Failed")


@pytest.mark.parametrize(
    "answer", [{"status": "UnknownVendorId"}, {"status": "Rejected"}, {"status": "Accepted", "data": "x"}, Failed("NotSupported")]
)
def test_a_station_without_it(answer: Any) -> None:
    reply = talking(answer).asked("CertificateSigned", {"certificateChain": "PEM", "certificateType": "V2GCertificate"})
    assert isinstance(reply, Said)
    assert reply.payload["status"] == "Rejected"
