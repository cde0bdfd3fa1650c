"""An independent CSMS in its own process: PyPI ``ocpp`` over ``websockets``, nothing of ours.

Prints its port, then reads commands as JSON lines on stdin: {"station", "action", "payload"}
(snake_case payload of ocpp.v201.call), or {"stop": true}. Every frame in and out goes to the log
file as {"station", "dir", "text"}, exactly as on the wire. Answers of commands go to stdout.
"""

import asyncio
import dataclasses
import json
import sys
from datetime import UTC, datetime

import websockets
from ocpp.routing import on
from ocpp.v201 import ChargePoint, call, call_result

LOG = open(sys.argv[1], "a", buffering=1)  # noqa: SIM115
PORT = int(sys.argv[2]) if len(sys.argv) > 2 else 0
stations: dict[str, "Station"] = {}


def log(station: str, direction: str, text: str) -> None:
    LOG.write(json.dumps({"station": station, "dir": direction, "text": text}) + "\n")


class Tap:
    """The connection as ``ocpp`` wants it, with a log."""

    def __init__(self, station: str, socket) -> None:
        self.station, self.socket = station, socket

    async def recv(self) -> str:
        text = await self.socket.recv()
        log(self.station, "in", text)
        return text

    async def send(self, text: str) -> None:
        log(self.station, "out", text)
        await self.socket.send(text)


class Station(ChargePoint):
    """The CSMS's picture of one station."""

    @on("BootNotification")
    def boot(self, **_):
        return call_result.BootNotification(current_time=datetime.now(UTC).isoformat(), interval=300, status="Accepted")

    @on("Heartbeat")
    def heartbeat(self, **_):
        return call_result.Heartbeat(current_time=datetime.now(UTC).isoformat())

    @on("Authorize")
    def authorize(self, id_token, **_):
        status = "Accepted" if id_token["id_token"].startswith("GOOD") else "Invalid"
        return call_result.Authorize(id_token_info={"status": status})

    @on("StatusNotification")
    def status(self, **_):
        return call_result.StatusNotification()

    @on("TransactionEvent")
    def transaction(self, id_token=None, **_):
        return call_result.TransactionEvent(id_token_info={"status": "Accepted"} if id_token else None)

    @on("MeterValues")
    def meter_values(self, **_):
        return call_result.MeterValues()

    @on("NotifyReport")
    def report(self, **_):
        return call_result.NotifyReport()

    @on("ReportChargingProfiles")
    def profiles(self, **_):
        return call_result.ReportChargingProfiles()

    @on("DataTransfer")
    def data(self, data=None, **_):
        return call_result.DataTransfer(status="Accepted", data=data)


async def serve(socket) -> None:
    name = socket.request.path.rsplit("/", 1)[-1]
    station = stations[name] = Station(name, Tap(name, socket), response_timeout=20)
    try:
        await station.start()
    except websockets.ConnectionClosed:
        pass
    finally:
        if stations.get(name) is station:
            del stations[name]


async def main() -> None:
    async with websockets.serve(serve, "127.0.0.1", PORT, subprotocols=["ocpp2.0.1"]) as server:
        print(json.dumps({"port": server.sockets[0].getsockname()[1]}), flush=True)
        loop = asyncio.get_running_loop()
        while True:
            line = await loop.run_in_executor(None, sys.stdin.readline)
            command = json.loads(line) if line.strip() else {"stop": True}
            if command.get("stop"):
                return
            station = stations.get(command["station"])
            if station is None:
                print(json.dumps({"error": "not connected"}), flush=True)
                continue
            request = getattr(call, command["action"])(**command["payload"])
            answer = await station.call(request, suppress=False) if not command.get("no_wait") else None
            print(json.dumps(dataclasses.asdict(answer) if answer is not None else {}), flush=True)


asyncio.run(main())
