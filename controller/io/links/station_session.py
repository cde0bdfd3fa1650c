"""One open socket of one station: reads it, answers its pings, tells its end.

Above ``listen.messages_per_s`` messages or 10 pings a second the socket is simply not read for a while, and TCP tells the
station to wait (F13, B16). A message that is too large or in too many fragments ends the connection
(F62), and so does a station that does not read what it is sent (F65, see ``outgoing``).
"""

from __future__ import annotations

import asyncio
import logging

from aiohttp import WSCloseCode, WSMessage, WSMsgType, web

from controller.facts import StationClosed, StationFrame
from controller.io.links.bucket import TokenBucket
from controller.io.links.door import Handler, address_of
from controller.io.links.fragments import MOST
from controller.io.links.outgoing import Outgoing, close_reply, close_words
from controller.io.links.pump import pumping
from controller.io.shell import Clock, Submit
from controller.io.tasks import end, spawn

log = logging.getLogger(__name__)

CLOSE_S = 2.0  # how long we wait for the peer's half of the closing handshake
BURST_S = 5.0  # a station may send at once what its rate allows for this long; F13
PINGS_PER_S, PING_BURST = 10.0, 20.0  # B16


class StationSession:
    """One open socket of one station. Emits StationFrame and, exactly once, StationClosed."""

    def __init__(
        self, station_id: str, generation: int, socket: web.WebSocketResponse, handler: Handler, clock: Clock, submit: Submit, messages_per_s: float
    ) -> None:
        self.station_id = station_id
        self.generation = generation
        self.address = address_of(handler.transport)
        self.outgoing = Outgoing(socket, self.abort)
        self.done = asyncio.Event()
        self.socket = socket
        self._transport = handler.transport
        self._clock = clock
        self._submit = submit
        self._messages = TokenBucket(messages_per_s, BURST_S * messages_per_s)
        self._pings = TokenBucket(PINGS_PER_S, PING_BURST)
        self._heard = asyncio.Event()
        self._idle = False  # the reading task waits and has nothing in hand
        self._ended = False
        handler.flooded = self._flooded

    async def run(self) -> None:
        """Read until the socket ends. A defect in handling one connection ends that connection only (P7)."""
        writer = spawn(self.outgoing.run(), f"send to station {self.station_id}")
        try:
            self.finish(await self._read())
        except Exception:
            self._defect()
        finally:
            self.finish("connection dropped")
            if self.outgoing.closing:
                await asyncio.wait([writer], timeout=CLOSE_S + 0.5)
            await end([writer])
            self.done.set()

    async def alive(self, within_s: float) -> bool:
        """Whether the peer gives a sign of life within ``within_s`` seconds: a pong or any message."""
        if self._ended:
            return False
        self._heard.clear()
        self.outgoing.ping()
        try:
            async with asyncio.timeout(within_s):
                await self._heard.wait()
        except TimeoutError:
            return False
        return not self._ended

    def abort(self, reason: str) -> None:
        """End the connection now, without a closing handshake."""
        self.finish(reason)
        if self._transport is not None:
            self._transport.abort()

    def finish(self, reason: str) -> None:
        """Report the end, once. Nothing of this generation is reported afterwards."""
        if self._ended:
            return
        self._ended = True
        self._heard.set()
        self._submit(StationClosed(self._clock.stamp(), self.station_id, self.generation, reason))

    def _defect(self) -> None:
        log.exception("station %s: reading failed, the connection is closed", self.station_id)
        self.outgoing.close(1011, "internal error")
        self.finish("internal error")

    async def _read(self) -> str:
        """Hand in frames until the socket ends; returns why it ended."""
        with pumping(self.socket, self._at_once):
            return await self._receive()

    async def _receive(self) -> str:
        while True:
            self._idle = True
            message = await self.socket.receive()
            self._idle = False
            if self._ended:
                return "replaced"
            self._heard.set()
            if message.type is WSMsgType.CLOSE:
                return await self._part(message)
            reason = self._take(message)
            if reason is not None:
                return reason
            # Above the rate the socket is simply not read for a while: TCP tells the station to wait.
            bucket = self._pings if message.type is WSMsgType.PING else self._messages
            pause_s = bucket.take(self._clock.stamp().mono_s)
            if pause_s > 0:
                await asyncio.sleep(pause_s)

    def _at_once(self, text: str) -> bool:
        """Take a text in the stack of the socket's own read; not while the reading task has something in hand, nor above the rate."""
        stamp = self._clock.stamp()
        if not self._idle or self._ended or not self._messages.try_take(stamp.mono_s):
            return False
        self._heard.set()
        try:
            self._submit(StationFrame(stamp, self.station_id, self.generation, text))
        except Exception:
            self._defect()
        return True

    def _flooded(self) -> None:
        self.outgoing.close(1008, "too many fragments")
        self.finish(f"sent a message in more than {MOST} fragments; closed with 1008")

    async def _part(self, message: WSMessage) -> str:
        """Answer the station's half of the closing handshake; what still waits to be sent is not wanted any more."""
        reply = close_reply(message.data)
        await self.socket.close(code=reply, drain=False)
        if reply == WSCloseCode.PROTOCOL_ERROR != message.data:
            return f"broke the WebSocket protocol with close code {message.data}; closed with {reply}"
        return f"closed by the station ({close_words(message)})"

    def _take(self, message: WSMessage) -> str | None:
        match message.type:
            case WSMsgType.TEXT:
                self._submit(StationFrame(self._clock.stamp(), self.station_id, self.generation, message.data))
            case WSMsgType.PING:
                self.outgoing.pong(message.data)
            case WSMsgType.PONG:
                pass
            case WSMsgType.BINARY:
                self.outgoing.close(1003, "OCPP-J messages are text")
                return "sent a binary message; closed with 1003"
            case WSMsgType.ERROR:
                return self._failed(message.data)
            case _:
                return "closed by us" if self.outgoing.closing else "connection lost"
        return None

    def _failed(self, error: BaseException) -> str:
        if isinstance(error, TimeoutError):
            self.abort("no answer to a ping")
        code = getattr(error, "code", None)
        return f"broke the WebSocket protocol; closed with {code}: {error}" if code else f"connection failed: {error}"
