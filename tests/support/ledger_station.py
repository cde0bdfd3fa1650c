"""Stations on real sockets that keep a ledger: what each said, and what was acknowledged.

As real ones do they keep a message until it is answered, one at a time, and send it again after an
error, a silence or a reconnect - every second time under a fresh message id. They go on charging,
and writing, while nobody is there.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Callable
from random import Random
from typing import Any

import aiohttp

from controller.io.clock import Clock
from controller.io.tasks import end, spawn
from tests.support.ledger import V16, VERSIONS, Message, Pen, Told, boot

ANSWER_S = 8.0
AGAIN_S = 0.2
BOOT_AGAIN_S = 0.3
MOST_WAITING = 40
"""A station that has so much to tell waits with the next: the account shall not wait for hours at the end."""


class LedgerStation:
    """One station. rate: messages per second; on_acknowledged: called in the moment a message has its answer; card: see ``Pen``."""

    def __init__(self, number: int, url: str, rate: float, seed: int, card: bool = False) -> None:
        self.station_id = f"CP{number + 1}"
        self.version = VERSIONS[number % len(VERSIONS)]
        self.told = Told(self.version)
        self.on_acknowledged: Callable[[LedgerStation, Message], None] = lambda station, message: None
        self.writing = True
        self.connected = self.accepted = False
        self.connections = 0
        self.setpoints = 0
        self.worst_answer_s = 0.0
        self.transaction_id: dict[int, int] = {}
        self._url = f"{url}/{self.station_id}"
        self._rate = rate
        self._random = Random(seed)
        self._pen = Pen(self.station_id, self.version, seed, Clock().stamp().wall_s)
        self._pen.card = card or self._pen.card
        self._flash: deque[Message] = deque()
        self._ids = 0
        self._message_id = ""
        self._answers: dict[str, asyncio.Future[list[Any]]] = {}
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def waiting(self) -> int:
        """Messages that nobody has acknowledged yet."""
        return len(self._flash)

    def start(self) -> None:
        """Dial and write for ever."""
        self._tasks = [spawn(self._write(), f"{self.station_id} writes"), spawn(self._dial(), f"{self.station_id} dials")]

    async def stop(self) -> None:
        """Gone."""
        await end(self._tasks)

    # -- what it has to say -----------------------------------------------------------------------

    async def _write(self) -> None:
        while True:
            await asyncio.sleep(self._random.expovariate(self._rate))
            # It ends its session before it falls silent, so that the account is whole.
            if len(self._flash) < MOST_WAITING and (self.writing or self._pen.in_session):
                self._flash.append(self._pen.next())

    # -- its sockets --------------------------------------------------------------------------------

    async def _dial(self) -> None:
        async with aiohttp.ClientSession() as http:
            while True:
                try:
                    async with http.ws_connect(self._url, protocols=[self.version], heartbeat=30.0) as socket:
                        await self._live(socket)
                except (aiohttp.ClientError, OSError, TimeoutError):
                    pass
                self.connected = False
                await asyncio.sleep(self._random.uniform(0.05, 0.4))

    async def _live(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.connected = True
        self.connections += 1
        reading = spawn(self._read(socket), f"{self.station_id} reads")
        try:
            if not self.accepted or self._random.random() < 0.3:
                await self._boot(socket, reading)
            while not reading.done():
                if not self._flash:
                    await asyncio.sleep(0.01)
                elif not await self._tell(socket, self._flash[0], reading):
                    await asyncio.sleep(AGAIN_S)
        finally:
            for answer in self._answers.values():
                answer.cancel()
            self._answers.clear()
            await end([reading])

    async def _read(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        async for message in socket:
            if message.type is not aiohttp.WSMsgType.TEXT:
                return
            frame = json.loads(message.data)
            if frame[0] == 2:
                await socket.send_str(json.dumps(self._obey(frame)))
            elif (answer := self._answers.pop(frame[1], None)) is not None and not answer.done():
                answer.set_result(frame)

    def _obey(self, frame: list[Any]) -> list[Any]:
        _, message_id, action, _ = frame
        if action in ("SetChargingProfile", "ClearChargingProfile"):
            self.setpoints += action == "SetChargingProfile"
            return [3, message_id, {"status": "Accepted"}]
        return [4, message_id, "NotImplemented", "", {}]

    async def _call(self, socket: aiohttp.ClientWebSocketResponse, action: str, payload: Any, reading: asyncio.Task[None]) -> list[Any] | None:
        """The answer; None if none comes, or the socket ends."""
        answer: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()
        self._answers[self._message_id] = answer
        try:
            await socket.send_str(json.dumps([2, self._message_id, action, payload]))
        except (ConnectionError, RuntimeError):
            return None
        asked_s = asyncio.get_running_loop().time()
        await asyncio.wait((answer, reading), timeout=ANSWER_S, return_when=asyncio.FIRST_COMPLETED)
        if not reading.done():
            self.worst_answer_s = max(self.worst_answer_s, asyncio.get_running_loop().time() - asked_s)
        return answer.result() if answer.done() and not answer.cancelled() else None

    def _fresh_id(self) -> None:
        self._ids += 1
        self._message_id = f"{self.station_id}-{self._ids}"

    async def _boot(self, socket: aiohttp.ClientWebSocketResponse, reading: asyncio.Task[None]) -> None:
        while not reading.done():
            self._fresh_id()
            answer = await self._call(socket, "BootNotification", boot(self.version), reading)
            if answer is not None and answer[0] == 3 and answer[2]["status"] == "Accepted":
                self.accepted = True
                self._fresh_id()
                return
            await asyncio.sleep(BOOT_AGAIN_S)

    async def _tell(self, socket: aiohttp.ClientWebSocketResponse, message: Message, reading: asyncio.Task[None]) -> bool:
        """Whether it was acknowledged."""
        if not self._message_id or self._random.random() < 0.5:
            self._fresh_id()
        payload = message.payload
        if self.version == V16 and message.session and message.action != "StartTransaction":
            payload = {**payload, "transactionId": self.transaction_id[message.session]}
        self.told.said[message.number] = message
        answer = await self._call(socket, message.action, payload, reading)
        if answer is None or answer[0] != 3:
            self._fresh_id()
            return False
        if message.action == "StartTransaction":
            self.transaction_id[message.session] = answer[2]["transactionId"]
        self.told.acknowledged[message.number] = message
        self._flash.popleft()
        self._fresh_id()
        self.on_acknowledged(self, message)
        return True
