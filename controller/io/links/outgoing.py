"""What one socket still has to send: in order, bounded, each frame with a deadline.

A peer that stops reading must cost neither memory nor another station's time (F65): aiohttp's
awaited send buffers megabytes before it blocks, and then blocks for minutes (aiohttp#2309).
So nobody awaits a send but the one task here; frames wait in a queue of at most 256 KiB (plus
the frame that crosses the line), and a send that takes longer than 5 s ends the socket.

As long as the peer reads, nothing waits: the text is written in the caller's own stack. A hop
over queue, event and task costs 15 us per message, more than everything else here together
(HOTPATH 0.2); only when the transport is full does the next frame take that way.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from aiohttp import ClientWebSocketResponse, WSCloseCode, WSMessage, web

from controller.link.admission import printable

WebSocket = web.WebSocketResponse | ClientWebSocketResponse

SEND_DEADLINE_S = 5.0
MAX_WAITING_BYTES = 256 * 1024
AT_ONCE_CHARS = 8 * 1024
"""Longer texts take the queue: above 16 KiB aiohttp compresses in a thread."""


@dataclass(frozen=True, slots=True)
class _Ping:
    pass


@dataclass(frozen=True, slots=True)
class _Pong:
    payload: bytes


@dataclass(frozen=True, slots=True)
class _Close:
    code: int
    reason: bytes


_Item = str | _Ping | _Pong | _Close


class Outgoing:
    """The sending half of one WebSocket.

    broken: called at most once, with a reason, when the peer does not take what we send;
    the owner then aborts the connection. ``run`` is the one task that sends. closing: a closing
    handshake was asked for; ``run`` ends after it.
    """

    def __init__(self, socket: WebSocket, broken: Callable[[str], None], deadline_s: float = SEND_DEADLINE_S) -> None:
        self._socket = socket
        self._broken = broken
        self._deadline_s = deadline_s
        self._items: deque[_Item] = deque()
        self._waiting_bytes = 0
        self._wake = asyncio.Event()
        self._ended = False
        self._idle = False  # the task waits for work, and the last write found room
        self.closing = False

    @property
    def waiting_bytes(self) -> int:
        """Text not yet handed to the socket, counted in characters (OCPP is ASCII but for names)."""
        return self._waiting_bytes

    def send(self, text: str) -> None:
        """Send one text message, or queue it behind those already waiting."""
        if self._ended:
            return
        if self._idle and len(text) <= AT_ONCE_CHARS:
            self._write(text)
            return
        if self._waiting_bytes > MAX_WAITING_BYTES:
            self._give_up(f"the peer does not read: {self._waiting_bytes} bytes are waiting")
            return
        self._waiting_bytes += len(text)
        self._put(text)

    def ping(self) -> None:
        """Queue a ping."""
        self._put(_Ping())

    def pong(self, payload: bytes) -> None:
        """Queue the answer to a ping."""
        self._put(_Pong(payload))

    def close(self, code: int, reason: str) -> None:
        """Send what is waiting, then close. reason: cut to 123 bytes, the protocol's room for it."""
        if self._ended:
            return
        self._put(_Close(code, reason.encode("utf-8")[:123].decode("utf-8", "ignore").encode("utf-8")))
        self._ended = self.closing = True

    async def run(self) -> None:
        """Send until closed, broken or cancelled."""
        try:
            while self._items or not self._ended:
                while self._items:
                    item = self._items.popleft()
                    if isinstance(item, str):
                        self._waiting_bytes -= len(item)
                    if isinstance(item, _Close):
                        await self._socket.close(code=item.code, message=item.reason)
                        return
                    await self._send(item)
                self._wake.clear()
                self._idle = True
                await self._wake.wait()
        except TimeoutError:
            self._give_up(f"the peer did not read for {self._deadline_s:g} s")
        except (OSError, RuntimeError, ValueError) as error:
            self._give_up(f"sending failed: {error}")
        finally:
            self._idle = False
            # Owner, queue and socket would hold each other until the next garbage collection, and a compressor of 100 KiB with them.
            self._broken = _nobody

    def _write(self, text: str) -> None:
        """Hand a text to the transport now. Its coroutine ends without waiting as long as there is room."""
        sending = self._socket.send_str(text)
        try:
            sending.send(None)
        except StopIteration:
            return
        except (OSError, RuntimeError, ValueError) as error:
            self._give_up(f"sending failed: {error}")
        else:
            # The frame is with the transport, whose buffer is full now: whoever comes next waits in the queue.
            self._idle = False
            sending.close()

    async def _send(self, item: str | _Ping | _Pong) -> None:
        async with asyncio.timeout(self._deadline_s):
            if isinstance(item, str):
                await self._socket.send_str(item)
            elif isinstance(item, _Pong):
                await self._socket.pong(item.payload)
            else:
                await self._socket.ping()

    def _put(self, item: _Item) -> None:
        if not self._ended:
            self._idle = False
            self._items.append(item)
            self._wake.set()

    def _give_up(self, reason: str) -> None:
        self._items.clear()
        self._waiting_bytes = 0
        self._idle = False
        self._wake.set()
        if not self._ended:
            self._ended = True
            self._broken(reason)


def _nobody(_reason: str) -> None:
    """Who is told after the end."""


def close_reply(code: int) -> int:
    """The code to answer a peer's close code with: the same, 1000 where it gave none, 1002 for one that must not be sent (B17)."""
    if not code:
        return WSCloseCode.OK
    allowed = 1000 <= code <= 1014 and code not in (1004, 1005, 1006)
    return code if allowed or 3000 <= code <= 4999 else WSCloseCode.PROTOCOL_ERROR


def close_words(message: WSMessage) -> str:
    """A close message's code and reason, fit for a log line."""
    said = f", {printable(message.extra)}" if isinstance(message.extra, str) and message.extra else ""
    return f"{message.data}{said}"
