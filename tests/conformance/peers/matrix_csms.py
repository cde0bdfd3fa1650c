"""An independent CSMS for the matrix, in its own process: PyPI ``ocpp``'s frames and schemas over ``websockets``, nothing of ours.

argv: log file, port, first 1.6 transaction id, spoken subprotocol. It knows drivers whose token begins with GOOD. It also has a
web server for firmware (GET anything) and logs (PUT or POST anything), whose bytes go to the log file's folder. Below /slow a transfer waits
until a file "go" is in that folder; below /form only POST is taken; below /busy the first two uploads are refused; below /no all are.
Commands: {"station", "action", "payload"}, payloads as on the wire.
"""

import asyncio
import sys
import threading
import time
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from pathlib import Path

import websockets
from judged import Line, Log, commands, say, unknown

LOG = Log(sys.argv[1])
PORT = int(sys.argv[2])
NUMBERS = count(int(sys.argv[3]))
SPOKEN = sys.argv[4:]
FIRMWARE = b"firmware of the matrix " * 1000
lines = {}


def now():
    return datetime.now(UTC).isoformat().replace("+00:00", "Z")


def verdict(token):
    return {"status": "Accepted" if token.upper().startswith("GOOD") else "Invalid"}


def answer_16(action, payload):
    """1.6, security extension included."""
    if action in ("BootNotification",):
        return {"status": "Accepted", "currentTime": now(), "interval": 300}
    if action == "Heartbeat":
        return {"currentTime": now()}
    if action == "Authorize":
        return {"idTagInfo": verdict(payload["idTag"])}
    if action == "StartTransaction":
        return {"transactionId": next(NUMBERS), "idTagInfo": verdict(payload["idTag"])}
    if action == "DataTransfer":
        return {"status": "UnknownVendorId"}
    if action == "SignCertificate":
        return {"status": "Accepted"}
    if action in EMPTY_16:
        return {}
    raise unknown(action)


def answer_2(action, payload):
    """2.0.1 and 2.1."""
    if action == "BootNotification":
        return {"status": "Accepted", "currentTime": now(), "interval": 300}
    if action == "Heartbeat":
        return {"currentTime": now()}
    if action == "Authorize":
        return {"idTokenInfo": verdict(payload["idToken"]["idToken"])}
    if action == "TransactionEvent":
        return {"idTokenInfo": verdict(payload["idToken"]["idToken"])} if "idToken" in payload else {}
    if action == "DataTransfer":
        return {"status": "UnknownVendorId"}
    if action in ("SignCertificate", "NotifyEVChargingNeeds", "NotifyEVChargingSchedule"):
        return {"status": "Accepted"}
    if action in EMPTY_2:
        return {}
    raise unknown(action)


EMPTY_16 = (
    "StatusNotification",
    "MeterValues",
    "StopTransaction",
    "FirmwareStatusNotification",
    "DiagnosticsStatusNotification",
    "SecurityEventNotification",
    "LogStatusNotification",
    "SignedFirmwareStatusNotification",
)
EMPTY_2 = (
    "StatusNotification",
    "MeterValues",
    "FirmwareStatusNotification",
    "LogStatusNotification",
    "SecurityEventNotification",
    "NotifyReport",
    "NotifyEvent",
    "NotifyMonitoringReport",
    "NotifyChargingLimit",
    "ClearedChargingLimit",
    "ReportChargingProfiles",
    "ReservationStatusUpdate",
    "PublishFirmwareStatusNotification",
    "NotifyDisplayMessages",
    "NotifyCustomerInformation",
    "ReportDERControl",
    "NotifyDERStartStop",
    "NotifyDERAlarm",
    "NotifyPriorityCharging",
)


class Web(BaseHTTPRequestHandler):
    """Firmware out, logs in."""

    refused = 0

    def _wait(self):
        """In the middle of a transfer."""
        while self.path.startswith("/slow") and not (Path(sys.argv[1]).parent / "go").exists():
            time.sleep(0.05)

    def _verdict(self):
        if self.path.startswith("/form") and self.command == "PUT":
            return 405
        if self.path.startswith("/busy") and Web.refused < 2:
            Web.refused += 1
            return 503
        return 403 if self.path.startswith("/no") else 201

    def do_GET(self):
        LOG.write(name="web", download=self.path)
        self.send_response(200)
        self.send_header("Content-Length", str(len(FIRMWARE)))
        self.end_headers()
        self.wfile.write(FIRMWARE[:1000])
        self._wait()
        self.wfile.write(FIRMWARE[1000:])

    def _take(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            body = b""
            while size := int(self.rfile.readline().strip() or b"0", 16):
                body += self.rfile.read(size)
                self.rfile.readline()
        if (verdict := self._verdict()) != 201:
            self.send_response(verdict)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        LOG.write(name="web", begun=self.path)
        self._wait()
        (Path(sys.argv[1]).parent / "uploads").mkdir(exist_ok=True)
        (Path(sys.argv[1]).parent / "uploads" / (self.path.strip("/").replace("/", "_") or "file")).write_bytes(body)
        LOG.write(name="web", upload=self.path, size=len(body))
        self.send_response(201)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_PUT = do_POST = _take  # noqa: N815

    def log_message(self, *_):
        """Quiet."""


async def serve(socket):
    name = socket.request.path.rsplit("/", 1)[-1]
    line = lines[name] = Line(name, socket, LOG, answer_16 if socket.subprotocol == "ocpp1.6" else answer_2)
    try:
        await line.read()
    except websockets.ConnectionClosed:
        pass
    finally:
        if lines.get(name) is line:
            del lines[name]


async def handle(command):
    line = lines.get(command["station"])
    return {"error": ["not connected"]} if line is None else await line.call(command["action"], command["payload"])


async def main():
    web = ThreadingHTTPServer(("127.0.0.1", 0), Web)
    threading.Thread(target=web.serve_forever, daemon=True).start()
    async with websockets.serve(serve, "127.0.0.1", PORT, subprotocols=SPOKEN):
        say({"web": f"http://127.0.0.1:{web.server_address[1]}"})
        await commands(handle)


asyncio.run(main())
