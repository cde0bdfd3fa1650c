"""An independent station in its own process: PyPI ``ocpp`` over ``websockets``, nothing of ours.

argv: log file, URL (with identity). Commands as JSON lines on stdin: {"action", "payload"}
(snake_case payload of ocpp.v201.call) are CALLs; {"stop": true} ends. Every frame goes to the log
as {"dir", "text"}. It accepts every charging profile and reports the last one as composite.
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


def log(direction: str, text: str) -> None:
    LOG.write(json.dumps({"dir": direction, "text": text}) + "\n")


class Tap:
    """The connection as ``ocpp`` wants it, with a log."""

    def __init__(self, socket) -> None:
        self.socket = socket

    async def recv(self) -> str:
        text = await self.socket.recv()
        log("in", text)
        return text

    async def send(self, text: str) -> None:
        log("out", text)
        await self.socket.send(text)


class Station(ChargePoint):
    """Accepts what it is told."""

    limit = 32.0

    @on("SetChargingProfile")
    def set_profile(self, charging_profile, **_):
        self.limit = charging_profile["charging_schedule"][0]["charging_schedule_period"][0]["limit"]
        return call_result.SetChargingProfile(status="Accepted")

    @on("ClearChargingProfile")
    def clear_profile(self, **_):
        return call_result.ClearChargingProfile(status="Accepted")

    @on("GetCompositeSchedule")
    def composite(self, evse_id, duration, **_):
        schedule = {
            "evse_id": evse_id,
            "duration": duration,
            "schedule_start": datetime.now(UTC).isoformat(),
            "charging_rate_unit": "A",
            "charging_schedule_period": [{"start_period": 0, "limit": self.limit}],
        }
        return call_result.GetCompositeSchedule(status="Accepted", schedule=schedule)

    @on("GetVariables")
    def get_variables(self, get_variable_data, **_):
        result = [{**item, "attribute_status": "Accepted", "attribute_value": "42"} for item in get_variable_data]
        return call_result.GetVariables(get_variable_result=result)

    @on("SetVariables")
    def set_variables(self, set_variable_data, **_):
        result = [{"component": i["component"], "variable": i["variable"], "attribute_status": "Accepted"} for i in set_variable_data]
        return call_result.SetVariables(set_variable_result=result)

    @on("RequestStartTransaction")
    def start_transaction(self, **_):
        return call_result.RequestStartTransaction(status="Accepted")

    @on("ChangeAvailability")
    def availability(self, **_):
        return call_result.ChangeAvailability(status="Accepted")

    @on("DataTransfer")
    def data(self, data=None, **_):
        return call_result.DataTransfer(status="Accepted", data=data)


async def main() -> None:
    loop = asyncio.get_running_loop()
    async with websockets.connect(sys.argv[2], subprotocols=["ocpp2.0.1"]) as socket:
        print(json.dumps({"subprotocol": socket.subprotocol}), flush=True)
        station = Station("me", Tap(socket), response_timeout=40)
        reader = asyncio.ensure_future(station.start())
        while True:
            line = await loop.run_in_executor(None, sys.stdin.readline)
            command = json.loads(line) if line.strip() else {"stop": True}
            if command.get("stop"):
                reader.cancel()
                return
            answer = await station.call(getattr(call, command["action"])(**command["payload"]), suppress=False)
            print(json.dumps(dataclasses.asdict(answer) if answer is not None else {}), flush=True)


asyncio.run(main())
