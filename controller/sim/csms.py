"""A simulated CSMS for stations of every version: ``CsmsBooks`` behind a real WebSocket server that can be stopped and started
again: an outage.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from aiohttp import WSMsgType, web

from controller.facts import Stamp
from controller.sim import wire
from controller.sim.books import CsmsBooks
from controller.sim.wire import Payload

SUBPROTOCOLS = ("ocpp2.1", "ocpp2.0.1", "ocpp1.6")
GONE = "the CSMS closed"
ANSWERS = (wire.CALLRESULT, wire.CALLERROR)


class CsmsCallError(Exception):
    """A call from the CSMS was not answered with a result. reason: the error code or what happened to the link."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class SimCsms:
    """The books behind a WebSocket server on the loopback interface. subprotocols: what it speaks."""

    def __init__(self, stamp: Callable[[], Stamp], books: CsmsBooks | None = None, subprotocols: tuple[str, ...] = SUBPROTOCOLS) -> None:
        self.books = books or CsmsBooks()
        self.port = 0
        self._stamp = stamp
        self._subprotocols = subprotocols
        self._runner: web.AppRunner | None = None
        self._sockets: dict[str, web.WebSocketResponse] = {}
        self._waiting: dict[str, asyncio.Future[wire.Message]] = {}
        self._calls = 0

    @property
    def url(self) -> str:
        """The endpoint stations dial, without their identity."""
        return f"ws://127.0.0.1:{self.port}/csms"

    @property
    def connected(self) -> list[str]:
        """Identities of the stations linked now."""
        return sorted(self._sockets)

    async def start(self, port: int = 0) -> None:
        """Listen; 0 picks a free port, which is kept for later starts."""
        app = web.Application()
        app.router.add_get("/csms/{identity}", self._serve)
        self._runner = web.AppRunner(app, shutdown_timeout=0.5)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", port or self.port)
        await site.start()
        self.port = int(self._runner.addresses[0][1])

    async def stop(self) -> None:
        """An outage: every socket closes, the port is dead until ``start``."""
        for socket in list(self._sockets.values()):
            await socket.close(code=1012, message=b"going down")
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(CsmsCallError(GONE))
        self._waiting.clear()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def call(self, station_id: str, action: str, payload: Payload, timeout_s: float = 30.0) -> Payload:
        """Send a CALL to a station and give its result. Raises CsmsCallError."""
        socket = self._sockets.get(station_id)
        if socket is None:
            raise CsmsCallError(f"{station_id} is not connected")
        self._calls += 1
        message_id = f"sim-csms-{self._calls}"
        future: asyncio.Future[wire.Message] = asyncio.get_running_loop().create_future()
        self._waiting[message_id] = future
        text = wire.call(message_id, action, payload)
        self.books.note_call(station_id, self._stamp(), text)
        await socket.send_str(text)
        try:
            message = await asyncio.wait_for(future, timeout_s)
        except TimeoutError:
            raise CsmsCallError(f"{station_id} did not answer {action} within {timeout_s:g} s") from None
        finally:
            self._waiting.pop(message_id, None)
        if message.kind == wire.CALLERROR:
            raise CsmsCallError(message.action)
        return message.payload

    async def _serve(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(protocols=self._subprotocols, heartbeat=20.0, max_msg_size=1 << 20)
        await socket.prepare(request)
        station_id = request.match_info["identity"]
        if socket.ws_protocol is None:  # no version in common: open, then closed at once (P4 3.2)
            await socket.close(code=1002, message=b"no common subprotocol")
            return socket
        self.books.speaks(station_id, socket.ws_protocol)
        self._sockets[station_id] = socket
        try:
            async for message in socket:
                if message.type is WSMsgType.TEXT:
                    await self._take(station_id, socket, message.data)
        finally:
            if self._sockets.get(station_id) is socket:
                del self._sockets[station_id]
        return socket

    async def _take(self, station_id: str, socket: web.WebSocketResponse, text: str) -> None:
        message = wire.read(text)
        future: asyncio.Future[wire.Message] | None = self._waiting.get(message.message_id) if message and message.kind in ANSWERS else None
        if future is not None and message is not None and not future.done():
            future.set_result(message)
        for answer in self.books.handle(station_id, self._stamp(), text):
            await socket.send_str(answer)
