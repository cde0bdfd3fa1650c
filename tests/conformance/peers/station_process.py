"""An independent station in its own process: PyPI ``ocpp`` over ``websockets``, nothing of ours. Speaks 1.6, 2.0.1, 2.1.

argv: log file, URL (with identity), offered subprotocols. Commands as JSON lines on stdin: {"action", "payload"}
(snake_case payload of ocpp's call) are CALLs; {"stop": true} ends. Every frame goes to the log as {"dir", "text"}.
It accepts every charging profile and reports the last one as composite.
"""

import asyncio
import dataclasses
import importlib
import json
import sys
from datetime import UTC, datetime

import websockets
from ocpp.exceptions import OCPPError
from ocpp.routing import on

LOG = open(sys.argv[1], "a", buffering=1)  # noqa: SIM115
URL = sys.argv[2]
OFFERED = sys.argv[3:] or ["ocpp2.0.1"]


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


def station_16(version):
    """A 1.6 station; version: ``ocpp.v16``."""
    result = version.call_result

    class Station(version.ChargePoint):
        limit = 32.0

        @on("SetChargingProfile")
        def set_profile(self, cs_charging_profiles, **_):
            self.limit = float(cs_charging_profiles["charging_schedule"]["charging_schedule_period"][0]["limit"])
            return result.SetChargingProfile(status="Accepted")

        @on("ClearChargingProfile")
        def clear_profile(self, **_):
            return result.ClearChargingProfile(status="Accepted")

        @on("GetCompositeSchedule")
        def composite(self, connector_id, **_):
            schedule = {"charging_rate_unit": "A", "charging_schedule_period": [{"start_period": 0, "limit": self.limit}]}
            start = datetime.now(UTC).isoformat()
            return result.GetCompositeSchedule(status="Accepted", connector_id=connector_id, schedule_start=start, charging_schedule=schedule)

        @on("GetConfiguration")
        def configuration(self, **_):
            return result.GetConfiguration(configuration_key=[{"key": "HeartbeatInterval", "readonly": False, "value": "42"}])

        @on("ChangeConfiguration")
        def change_configuration(self, **_):
            return result.ChangeConfiguration(status="Accepted")

        @on("RemoteStartTransaction")
        def start_transaction(self, **_):
            return result.RemoteStartTransaction(status="Accepted")

        @on("RemoteStopTransaction")
        def stop_transaction(self, **_):
            return result.RemoteStopTransaction(status="Accepted")

        @on("ChangeAvailability")
        def availability(self, **_):
            return result.ChangeAvailability(status="Accepted")

        @on("DataTransfer")
        def data(self, data=None, **_):
            return result.DataTransfer(status="Accepted", data=data)

    return Station


def station_2(version):
    """A 2.x station; version: ``ocpp.v201`` or ``ocpp.v21``."""
    result = version.call_result

    class Station(version.ChargePoint):
        limit = 32.0

        @on("SetChargingProfile")
        def set_profile(self, charging_profile, **_):
            self.limit = charging_profile["charging_schedule"][0]["charging_schedule_period"][0]["limit"]
            return result.SetChargingProfile(status="Accepted")

        @on("ClearChargingProfile")
        def clear_profile(self, **_):
            return result.ClearChargingProfile(status="Accepted")

        @on("GetCompositeSchedule")
        def composite(self, evse_id, duration, **_):
            schedule = {
                "evse_id": evse_id,
                "duration": duration,
                "schedule_start": datetime.now(UTC).isoformat(),
                "charging_rate_unit": "A",
                "charging_schedule_period": [{"start_period": 0, "limit": self.limit}],
            }
            return result.GetCompositeSchedule(status="Accepted", schedule=schedule)

        @on("GetVariables")
        def get_variables(self, get_variable_data, **_):
            found = [{**item, "attribute_status": "Accepted", "attribute_value": "42"} for item in get_variable_data]
            return result.GetVariables(get_variable_result=found)

        @on("SetVariables")
        def set_variables(self, set_variable_data, **_):
            done = [{"component": i["component"], "variable": i["variable"], "attribute_status": "Accepted"} for i in set_variable_data]
            return result.SetVariables(set_variable_result=done)

        @on("RequestStartTransaction")
        def start_transaction(self, **_):
            return result.RequestStartTransaction(status="Accepted")

        @on("RequestStopTransaction")
        def stop_transaction(self, **_):
            return result.RequestStopTransaction(status="Accepted")

        @on("GetTransactionStatus")
        def transaction_status(self, **_):
            return result.GetTransactionStatus(messages_in_queue=False)

        @on("ChangeAvailability")
        def availability(self, **_):
            return result.ChangeAvailability(status="Accepted")

        @on("DataTransfer")
        def data(self, data=None, **_):
            return result.DataTransfer(status="Accepted", data=data)

    return Station


MAKERS = {"ocpp1.6": ("v16", station_16), "ocpp2.0.1": ("v201", station_2), "ocpp2.1": ("v21", station_2)}


async def carry(station, calls, command) -> dict:
    try:
        answer = await station.call(getattr(calls, command["action"])(**command["payload"]), suppress=False)
    except (OCPPError, TimeoutError) as error:
        return {"error": repr(error)}
    return dataclasses.asdict(answer) if answer is not None else {}


def ended(reader) -> None:
    """A defect of this peer must not look like silence of the other side."""
    if not reader.cancelled() and not isinstance(reader.exception(), websockets.ConnectionClosed):
        print("the station's reader ended:", repr(reader.exception()), file=sys.stderr, flush=True)


async def main() -> None:
    loop = asyncio.get_running_loop()
    async with websockets.connect(URL, subprotocols=OFFERED) as socket:
        print(json.dumps({"subprotocol": socket.subprotocol}), flush=True)
        module, make = MAKERS[socket.subprotocol]
        version = importlib.import_module(f"ocpp.{module}")
        station = make(version)("me", Tap(socket), response_timeout=40)
        reader = asyncio.ensure_future(station.start())
        reader.add_done_callback(ended)
        while True:
            line = await loop.run_in_executor(None, sys.stdin.readline)
            command = json.loads(line) if line.strip() else {"stop": True}
            if command.get("stop"):
                reader.cancel()
                return
            print(json.dumps(await carry(station, version.call, command), default=float), flush=True)


asyncio.run(main())
