"""Security profile 3 on both legs of a real ``yardmaster run``: a charger with its certificate below, a CSMS above that wants one and signs it.

The CSMS and the charger are made with ``websockets`` and a CA of their own, nothing of ours. The depot enrols at profile 2, has its first
certificate signed, and from then on the CSMS lets nobody in without one.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from pathlib import Path
from typing import Any

import pytest
import websockets

from tests.support.own_ca import OwnCa
from tests.support.yard import Yard, free_port, site, until

pytestmark = pytest.mark.system
NOW = "2026-11-21T16:00:00Z"


class Csms:
    """Speaks 2.0.1. seen: the CN each connection was made with, "" = none. heard: actions with payloads."""

    def __init__(self, ca: OwnCa) -> None:
        self.ca = ca
        self.seen: list[str] = []
        self.heard: list[tuple[str, Any]] = []
        self.answers: dict[str, Any] = {}
        self.context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(ca.ca))
        self.context.verify_mode = ssl.CERT_OPTIONAL
        pair = ca.pair("csms", host="127.0.0.1")
        self.context.load_cert_chain(pair.cert, pair.key)

    async def serve(self, socket: Any) -> None:
        shown = socket.transport.get_extra_info("peercert") or {}
        self.seen.append(next((value for part in shown.get("subject", ()) for key, value in part if key == "commonName"), ""))
        async for text in socket:
            frame = json.loads(text)
            if frame[0] != 2:
                self.answers[frame[1]] = frame[2]
                continue
            self.heard.append((frame[2], frame[3]))
            await socket.send(json.dumps([3, frame[1], self.answer(frame[2])]))
            if frame[2] == "SignCertificate":
                self.context.verify_mode = ssl.CERT_REQUIRED
                chain = self.ca.sign(frame[3]["csr"])
                signed = {"certificateChain": chain, "certificateType": "ChargingStationCertificate"}
                await socket.send(json.dumps([2, "signed", "CertificateSigned", signed]))

    def answer(self, action: str) -> dict[str, Any]:
        if action == "BootNotification":
            return {"currentTime": NOW, "interval": 300, "status": "Accepted"}
        return {"currentTime": NOW} if action == "Heartbeat" else {"status": "Accepted"} if action == "SignCertificate" else {}


async def test_profile_3_on_both_legs(tmp_path: Path) -> None:
    ca = OwnCa(tmp_path / "ca")
    far = Csms(ca)
    server = ca.pair("yard", host="127.0.0.1")
    tls_port = free_port()
    async with websockets.serve(far.serve, "127.0.0.1", 0, ssl=far.context, subprotocols=["ocpp2.0.1"]) as listening:  # type: ignore[list-item]
        port = listening.sockets[0].getsockname()[1]
        entry = {"cert_file": str(tmp_path / "own.pem"), "key_file": str(tmp_path / "own.key"), "renewal": "csms"}
        csms: dict[str, Any] = {"id": "cloud", "url": f"wss://127.0.0.1:{port}/ocpp", "face": "depot", "identity": "DEPOT"}
        csms |= {"ca_file": str(ca.ca), "certificate": entry}
        data = site(tmp_path, upstreams=[{**csms, "reconnect_min_s": 0.2, "password": "0123456789abcdef"}])
        pair = {"cert_file": str(server.cert), "key_file": str(server.key)}
        data["listen"]["tls"] = {"port": tls_port, "certificates": [pair], "clients": {"ca_file": str(ca.ca)}}
        data["stations"][0] |= {"security_profile": 3, "certificate_name": "SN-1"}
        async with Yard(tmp_path, data) as yard:
            await until(lambda: far.seen[-1:] == ["DEPOT"])
            assert far.seen[0] == "", "profile 2 at first"
            assert far.answers["signed"]["status"] == "Accepted"
            box = ca.pair("SN-1")
            context = ssl.create_default_context(cafile=str(ca.ca))
            url = f"wss://127.0.0.1:{tls_port}/ocpp/CP1"
            with pytest.raises(websockets.InvalidStatus) as refused:
                await websockets.connect(url, ssl=context, subprotocols=["ocpp1.6"])  # type: ignore[list-item]
            assert refused.value.response.status_code == 403
            context.load_cert_chain(box.cert, box.key)
            async with websockets.connect(url, ssl=context, subprotocols=["ocpp1.6"]) as station:  # type: ignore[list-item]
                state = {"connectorId": 1, "errorCode": "NoError", "status": "Available"}
                boot = {"chargePointVendor": "V", "chargePointModel": "M"}
                for number, (action, payload) in enumerate((("BootNotification", boot), ("StatusNotification", state))):
                    await station.send(json.dumps([2, str(number), action, payload]))
                async with asyncio.timeout(10):
                    await until(lambda: any(action == "StatusNotification" for action, _ in far.heard))
            await yard.stop()
            assert "over TLSv1.3 with" in yard.log.read_text()
            assert "and its certificate" in yard.log.read_text()
        async with Yard(tmp_path, data):
            known = len(far.seen)
            await until(lambda: len(far.seen) > known)
            assert far.seen[known] == "DEPOT", "after a restart, too"
