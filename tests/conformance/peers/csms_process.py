"""An independent CSMS in its own process: PyPI ``ocpp`` over ``websockets``, nothing of ours. Speaks 1.6, 2.0.1 and 2.1.

argv: log file, port, first transaction id of 1.6, spoken subprotocols; "block:TOKEN" among them blocks a driver, "pending:N" answers the
first N boots with Pending, "idle:S" closes a connection on which nothing came for S seconds. It knows
all drivers whose token begins with GOOD. Prints its port, then reads commands as JSON
lines on stdin: {"station", "action", "payload"} (snake_case payload of ocpp's call), or {"stop": true}. Every frame in
and out goes to the log as {"station", "dir", "text"}, exactly as on the wire. Answers of commands go to stdout.
"""

import asyncio
import dataclasses
import importlib
import json
import sys
from datetime import UTC, datetime
from itertools import count

import websockets
from ocpp.exceptions import OCPPError
from ocpp.routing import on

LOG = open(sys.argv[1], "a", buffering=1)  # noqa: SIM115
PORT = int(sys.argv[2]) if len(sys.argv) > 2 else 0
NUMBERS = count(int(sys.argv[3]) if len(sys.argv) > 3 else 9001)
BLOCKED = {word.removeprefix("block:") for word in sys.argv[4:] if word.startswith("block:")}
SPOKEN = [word for word in sys.argv[4:] if ":" not in word] or ["ocpp2.0.1"]
MOODS = dict(word.split(":") for word in sys.argv[4:] if word.startswith(("pending:", "idle:")))
IDLE_S = float(MOODS["idle"]) if "idle" in MOODS else None
PENDING = [True] * int(MOODS.get("pending", 0))
stations: dict[str, "Link"] = {}


def log(station: str, direction: str, text: str) -> None:
    LOG.write(json.dumps({"station": station, "dir": direction, "text": text}) + "\n")


def now() -> str:
    return datetime.now(UTC).isoformat()


def boot_answer() -> dict:
    if PENDING:
        PENDING.pop()
        return {"current_time": now(), "interval": 1, "status": "Pending"}
    return {"current_time": now(), "interval": 300, "status": "Accepted"}


def verdict(token: str) -> str:
    if token in BLOCKED:
        return "Blocked"
    return "Accepted" if token.startswith("GOOD") else "Invalid"


class Link:
    """The connection as ``ocpp`` wants it, with a log."""

    def __init__(self, station: str, socket) -> None:
        self.station, self.socket = station, socket
        self.box = BOXES[socket.subprotocol](station, self, response_timeout=20)

    async def recv(self) -> str:
        try:
            text = await asyncio.wait_for(self.socket.recv(), IDLE_S)
        except TimeoutError:
            log(self.station, "closed", "idle")
            await self.socket.close(1000, "idle")
            raise
        log(self.station, "in", text)
        return text

    async def send(self, text: str) -> None:
        log(self.station, "out", text)
        await self.socket.send(text)


def box_16(version):
    """The CSMS's picture of a 1.6 station; version: ``ocpp.v16``."""
    result = version.call_result

    class Box(version.ChargePoint):
        @on("BootNotification")
        def boot(self, **_):
            return result.BootNotification(**boot_answer())

        @on("Heartbeat")
        def heartbeat(self, **_):
            return result.Heartbeat(current_time=now())

        @on("Authorize")
        def authorize(self, id_tag):
            return result.Authorize(id_tag_info={"status": verdict(id_tag)})

        @on("StatusNotification")
        def status(self, **_):
            return result.StatusNotification()

        @on("StartTransaction")
        def start_transaction(self, id_tag, **_):
            return result.StartTransaction(transaction_id=next(NUMBERS), id_tag_info={"status": verdict(id_tag)})

        @on("StopTransaction")
        def stop_transaction(self, **_):
            return result.StopTransaction()

        @on("MeterValues")
        def meter_values(self, **_):
            return result.MeterValues()

        @on("DataTransfer")
        def data(self, data=None, **_):
            return result.DataTransfer(status="Accepted", data=data)

    return Box


def box_2(version):
    """The CSMS's picture of a 2.x station; version: ``ocpp.v201`` or ``ocpp.v21``."""
    result = version.call_result

    class Box(version.ChargePoint):
        @on("BootNotification")
        def boot(self, **_):
            return result.BootNotification(**boot_answer())

        @on("Heartbeat")
        def heartbeat(self, **_):
            return result.Heartbeat(current_time=now())

        @on("Authorize")
        def authorize(self, id_token, **_):
            return result.Authorize(id_token_info={"status": verdict(id_token["id_token"])})

        @on("StatusNotification")
        def status(self, **_):
            return result.StatusNotification()

        @on("TransactionEvent")
        def transaction(self, id_token=None, **_):
            return result.TransactionEvent(id_token_info={"status": verdict(id_token["id_token"])} if id_token else None)

        @on("MeterValues")
        def meter_values(self, **_):
            return result.MeterValues()

        @on("NotifyReport")
        def report(self, **_):
            return result.NotifyReport()

        @on("ReportChargingProfiles")
        def profiles(self, **_):
            return result.ReportChargingProfiles()

        @on("DataTransfer")
        def data(self, data=None, **_):
            return result.DataTransfer(status="Accepted", data=data)

    return Box


MAKERS = {"ocpp1.6": ("v16", box_16), "ocpp2.0.1": ("v201", box_2), "ocpp2.1": ("v21", box_2)}
MODULES = {name: importlib.import_module(f"ocpp.{MAKERS[name][0]}") for name in SPOKEN}
BOXES = {name: MAKERS[name][1](module) for name, module in MODULES.items()}
CALLS = {name: module.call for name, module in MODULES.items()}


async def serve(socket) -> None:
    name = socket.request.path.rsplit("/", 1)[-1]
    link = stations[name] = Link(name, socket)
    try:
        await link.box.start()
    except (websockets.ConnectionClosed, TimeoutError):
        pass
    finally:
        if stations.get(name) is link:
            del stations[name]


async def carry(command) -> dict:
    link = stations.get(command["station"])
    if link is None:
        return {"error": "not connected"}
    request = getattr(CALLS[link.socket.subprotocol], command["action"])(**command["payload"])
    try:
        return dataclasses.asdict(await link.box.call(request, suppress=False))
    except (OCPPError, TimeoutError) as error:
        return {"error": repr(error)}


async def main() -> None:
    async with websockets.serve(serve, "127.0.0.1", PORT, subprotocols=SPOKEN) as server:
        print(json.dumps({"port": server.sockets[0].getsockname()[1]}), flush=True)
        loop = asyncio.get_running_loop()
        while True:
            line = await loop.run_in_executor(None, sys.stdin.readline)
            command = json.loads(line) if line.strip() else {"stop": True}
            if command.get("stop"):
                return
            print(json.dumps(await carry(command), default=float), flush=True)


asyncio.run(main())
