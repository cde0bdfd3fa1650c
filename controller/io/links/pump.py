"""A way past the task: text messages handed over in the call stack in which their bytes arrived.

aiohttp delivers WebSocket messages through a queue to a task that awaits them. With a thousand
stations that hop alone costs more than reading, judging and relaying a message (HOTPATH 2.1: 56
against 25 us). ``Pump`` is aiohttp's own queue with one addition: when a consumer is set, nothing waits and
the consumer takes the text, it is never queued. Everything else (pings, closing handshakes, errors, whatever
the consumer does not want at the moment) goes its usual way to ``receive()``, so aiohttp keeps
fragments, compression, masks, control frames and its own flow control.

aiohttp has no option for the queue's class, so ``install`` names ours in the two modules that make
one. Where aiohttp looks different one day, ``pumping`` finds no pump and ``receive()`` delivers everything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import aiohttp.client
import aiohttp.web_ws
from aiohttp import ClientWebSocketResponse, WSMsgType, web
from aiohttp._websocket.reader import WebSocketDataQueue

Consumer = Callable[[str], bool]
"""Takes a text message and returns True; False leaves it to ``receive()``. Must not raise, block or await."""


class Pump(WebSocketDataQueue):  # type: ignore[misc,unused-ignore]
    """aiohttp's queue with a consumer that goes before it."""

    consumer: Consumer | None = None

    def feed_data(self, data: Any, size: int) -> None:
        """Called by aiohttp's reader with each message."""
        consumer = self.consumer
        if consumer is not None and not self._buffer and data[0] is WSMsgType.TEXT and consumer(data[1]):
            return
        super().feed_data(data, size)


def install() -> None:
    """Let sockets made from now on have a pump. It changes nothing for a socket nobody sets a consumer for."""
    for module in (aiohttp.client, aiohttp.web_ws):
        if getattr(module, "WebSocketDataQueue", None) is WebSocketDataQueue:
            module.WebSocketDataQueue = Pump  # type: ignore[attr-defined,misc,unused-ignore]


@contextmanager
def pumping(socket: web.WebSocketResponse | ClientWebSocketResponse, consumer: Consumer) -> Iterator[bool]:
    """Let ``consumer`` take the texts of an open socket meanwhile; False if this socket has no pump, then ``receive()`` gives all."""
    reader = getattr(socket, "_reader", None)
    pump = reader if isinstance(reader, Pump) else None
    if pump is not None:
        pump.consumer = consumer
    try:
        yield pump is not None
    finally:
        if pump is not None:
            pump.consumer = None  # else socket and consumer would hold each other until the next garbage collection
