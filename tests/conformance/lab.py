"""A small laboratory: a raw CSMS and three raw stations, one of each version, around a running depot face.

Bare ``websockets`` and JSON, no protocol code of ours and no OCPP library, so that frames which no library would write can be sent too. Every
frame of Yardmaster is judged by the schemas of its version (``Line.wrong``). EVSE 1 is S16, EVSEs 2 and 3 are S201, EVSE 4 is S21; EVSE 5
is a charger that never comes.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any

import jsonschema
import websockets

from controller.io.clock import Clock
from controller.ocpp.times import timestamp
from tests.support import schemas
from tests.support.yard import Yard, free_port, site, until

Payload = dict[str, Any]
Says = Payload | Callable[[Payload], Payload]
ANSWER_S = 40.0
EVSES = {"S16": 1, "S201": 2, "S21": 1, "GONE": 1}
SPOKEN = {"S16": "ocpp1.6", "S201": "ocpp2.0.1", "S21": "ocpp2.1"}
STATIONS = [
    {"id": name, "evses": [{"id": number, "max_current_a": 32, "fallback_a": 6} for number in range(1, most + 1)]} for name, most in EVSES.items()
]
TIME = "2026-11-21T16:00:00Z"
TAKEN = (
    *("StopTransaction", "StatusNotification", "MeterValues", "NotifyReport", "NotifyEvent", "NotifyChargingLimit"),
    *("SecurityEventNotification", "LogStatusNotification", "FirmwareStatusNotification"),
)
"""The CSMS answers them with an empty payload."""


def now() -> str:
    """As a charger writes it."""
    return timestamp(Clock().stamp().wall_s)


class Line:
    """One end of a connection. says: action -> the payload of its answer. heard: CALLs that came, (action, payload)."""

    def __init__(self, socket: Any, version: str, says: dict[str, Says]) -> None:
        self.heard: list[tuple[str, Payload]] = []
        self.answers: list[list[Any]] = []
        self.wrong: list[str] = []
        self._socket, self._version, self._says = socket, version, says
        self._waiting: dict[str, asyncio.Future[list[Any]]] = {}
        self._asked: dict[str, str] = {}
        self._numbers = count(1)

    async def read(self) -> None:
        """Until the connection ends."""
        try:
            async for text in self._socket:
                await self._frame(json.loads(text))
        except websockets.ConnectionClosed:
            pass

    async def _frame(self, frame: list[Any]) -> None:
        if frame[0] == 2:
            self._judge(schemas.check_request, frame[2], frame[3])
            self.heard.append((frame[2], frame[3]))
            await self.send(json.dumps(self._answer(*frame[1:])))
            return
        self.answers.append(frame)
        action = self._asked.pop(frame[1], "")
        if action and frame[0] == 3:
            self._judge(schemas.check_response, action, frame[2])
        if frame[1] in self._waiting:
            self._waiting.pop(frame[1]).set_result(frame)

    def _answer(self, message_id: str, action: str, payload: Payload) -> list[Any]:
        says = self._says.get(action)
        if says is None:
            return [4, message_id, "NotImplemented", "", {}]
        return [3, message_id, says(payload) if callable(says) else says]

    def _judge(self, check: Callable[..., None], action: str, payload: Payload) -> None:
        try:
            check(action, payload, self._version)
        except (jsonschema.ValidationError, FileNotFoundError) as error:
            self.wrong.append(f"{action} {payload}: {error}"[:500])

    async def send(self, text: str) -> None:
        """Any text."""
        with suppress(websockets.ConnectionClosed):
            await self._socket.send(text)

    async def call(self, action: str, payload: Any) -> list[Any]:
        """The whole frame that answers; TimeoutError if none comes."""
        message_id = f"lab-{next(self._numbers)}"
        answer = self._waiting[message_id] = asyncio.get_running_loop().create_future()
        self._asked[message_id] = action
        await self.send(json.dumps([2, message_id, action, payload]))
        return await asyncio.wait_for(answer, ANSWER_S)

    def calls(self, *actions: str) -> list[Payload]:
        """Payloads of what came."""
        return [payload for action, payload in self.heard if action in actions]

    async def close(self) -> None:
        """Hang up."""
        await self._socket.close()


class Csms:
    """Speaks one version and accepts everything. lines: its connections, the last one is the present one."""

    def __init__(self, version: str) -> None:
        self.version, self.port = version, free_port()
        self.lines: list[Line] = []
        taken: Payload = {"status": "Accepted"}
        self.says: dict[str, Says] = {
            "BootNotification": lambda request: {**taken, "currentTime": now(), "interval": 300},
            "Heartbeat": lambda request: {"currentTime": now()},
            "Authorize": {"idTagInfo": taken} if version == "ocpp1.6" else {"idTokenInfo": taken},
            "TransactionEvent": lambda request: {"idTokenInfo": taken} if "idToken" in request else {},
            "StartTransaction": lambda request: {"transactionId": 100 + len(self.line.calls("StartTransaction")), "idTagInfo": taken},
            **{action: {} for action in TAKEN},
        }

    @property
    def line(self) -> Line:
        """The present connection."""
        return self.lines[-1]

    async def serve(self, socket: Any) -> None:
        """One connection of the depot."""
        line = Line(socket, self.version, self.says)
        self.lines.append(line)
        await line.read()

    def states(self, number: int) -> list[str]:
        """What was told of an EVSE."""
        told = self.line.calls("StatusNotification")
        return [one.get("connectorStatus", one.get("status")) for one in told if one.get("evseId", one.get("connectorId")) == number]


class Station:
    """One charger, which accepts everything."""

    def __init__(self, name: str, url: str) -> None:
        self.name, self.version, self.url = name, SPOKEN[name], url
        self.says: dict[str, Says] = {
            **{action: {"status": "Accepted"} for action in schemas.actions(self.version) if _plain(action, self.version)},
            "UnlockConnector": {"status": "Unlocked"},
            "GetTransactionStatus": {"messagesInQueue": False},
            "GetConfiguration": lambda request: {"unknownKey": request.get("key") or ["none"]},
            "GetVariables": lambda request: {"getVariableResult": _echoed(request["getVariableData"])},
            "SetVariables": lambda request: {"setVariableResult": _echoed(request["setVariableData"])},
        }
        self.line: Line | None = None

    async def come(self) -> None:
        """Connect, boot, tell the states."""
        socket = await websockets.connect(f"{self.url}/{self.name}", subprotocols=[self.version])  # type: ignore[list-item]
        self.line = Line(socket, self.version, self.says)
        asyncio.get_running_loop().create_task(self.line.read())
        about = {"chargePointVendor": "V", "chargePointModel": self.name}
        await self.say("BootNotification", about if self.version == "ocpp1.6" else BOOT)
        for number in range(1, EVSES[self.name] + 1):
            await self.status("Available", number)

    async def say(self, action: str, payload: Payload) -> list[Any]:
        """A CALL of the charger."""
        assert self.line is not None
        return await self.line.call(action, payload)

    async def status(self, word: str, number: int = 1) -> None:
        """The state of an EVSE with one connector."""
        if self.version == "ocpp1.6":
            await self.say("StatusNotification", {"connectorId": number, "errorCode": "NoError", "status": word})
        else:
            await self.say("StatusNotification", {"timestamp": now(), "connectorStatus": word, "evseId": number, "connectorId": 1})

    async def event(self, kind: str, transaction_id: str, sequence: int, trigger: str = "Authorized") -> None:
        """A TransactionEvent of EVSE 1."""
        head: Payload = {"eventType": kind, "timestamp": now(), "triggerReason": trigger, "seqNo": sequence}
        token = {"idToken": {"idToken": "AABB", "type": "Central"}} if kind == "Started" else {}
        value = {"timestamp": now(), "sampledValue": [{"value": 1000 + 10 * sequence}]}
        body = {"transactionInfo": {"transactionId": transaction_id}, "evse": {"id": 1, "connectorId": 1}, "meterValue": [value]}
        await self.say("TransactionEvent", {**head, **body, **token})

    def calls(self, *actions: str) -> list[Payload]:
        """What it was asked on the present connection."""
        return self.line.calls(*actions) if self.line is not None else []


BOOT: Payload = {"reason": "PowerUp", "chargingStation": {"vendorName": "V", "model": "M"}}


def _plain(action: str, version: str) -> bool:
    """Whether {"status": "Accepted"} is a whole answer."""
    try:
        schemas.check_response(action, {"status": "Accepted"}, version)
    except (jsonschema.ValidationError, FileNotFoundError):
        return False
    return True


def _echoed(items: list[Payload]) -> list[Payload]:
    return [{"component": item["component"], "variable": item["variable"], "attributeStatus": "UnknownVariable"} for item in items]


class Lab:
    """Everything that runs."""

    def __init__(self, csms: Csms, yard: Yard) -> None:
        self.csms, self.yard = csms, yard
        self.s16, self.s201, self.s21 = (Station(name, yard.ocpp_url) for name in SPOKEN)
        self.stations = (self.s16, self.s201, self.s21)

    async def booted(self) -> None:
        """The depot is there, and its chargers too."""
        await until(lambda: self.csms.lines and self.csms.line.calls("BootNotification"))
        for station in self.stations:
            await station.come()
        await until(lambda: all(self.csms.states(number)[-1:] == ["Available"] for number in (1, 2, 3, 4)))

    def all_well(self) -> None:
        """No frame broke a schema, and nothing of Yardmaster broke."""
        lines = [*self.csms.lines, *(station.line for station in self.stations if station.line is not None)]
        assert [wrong for line in lines for wrong in line.wrong] == []
        assert "internal error" not in self.yard.log.read_text()


@asynccontextmanager
async def lab(folder: Path, version: str, says: dict[str, Says] | None = None, **depot: Any) -> AsyncIterator[Lab]:
    """A running depot whose CSMS speaks one version. says: what the CSMS answers from the first; depot: fields of ``upstreams[].depot``."""
    csms = Csms(version)
    csms.says |= says or {}
    up = {"id": "csms", "url": f"ws://127.0.0.1:{csms.port}/ocpp", "reconnect_min_s": 0.2, "reconnect_max_s": 1, "face": "depot", "identity": "DEPOT"}
    up["depot"] = {"status_wait_s": 0.5, "site_values_s": 0, **depot}
    async with (
        websockets.serve(csms.serve, "127.0.0.1", csms.port, subprotocols=[version]),  # type: ignore[list-item]
        Yard(folder, site(folder, stations=STATIONS, upstreams=[up])) as yard,
    ):
        here = Lab(csms, yard)
        try:
            yield here
        finally:
            for station in here.stations:
                if station.line is not None:
                    await station.line.close()
