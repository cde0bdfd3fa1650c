"""The door of the station server: connections that have not finished their handshake.

aiohttp has no deadline for a peer that connects and says nothing, or drips header bytes
(measured: both still open after 100 s). Here each TCP connection gets a deadline for its
complete handshake, and at most 16 per address are served at a time, so that a slowloris
cannot keep stations out (F64). A site whose stations share one address (behind a router) comes
back all at once after a power cut (F12): up to 64 more per address, and never less than the
site has stations, wait unread for their turn. Beyond that, and beyond 256 in all (or twice the
stations), connections are dropped at once.

The door is for strangers: a connection leaves it when its handshake is over, when it closes, and
when it has proved who it is.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

SERVED_PER_ADDRESS = 16
WAITING_PER_ADDRESS = 64
IN_ALL = 256


@dataclass(slots=True)
class _Caller:
    """One connection at the door. begin: what serves it, called when its turn comes."""

    address: str
    begin: Callable[[], None]
    deadline: asyncio.TimerHandle
    served: bool = False


@dataclass(slots=True)
class _Address:
    """The callers of one address. waiting: first come, first served."""

    served: int = 0
    waiting: list[asyncio.Transport] = field(default_factory=list)


class Door:
    """Watches fresh connections. handshake_s: deadline from connect to the finished handshake [s]. stations: how many the site has."""

    def __init__(self, handshake_s: float, stations: int = 0) -> None:
        self._handshake_s = handshake_s
        self._waiting_per_address = max(WAITING_PER_ADDRESS, stations)
        self._in_all = max(IN_ALL, 2 * stations)
        self._callers: dict[asyncio.Transport, _Caller] = {}
        self._addresses: dict[str, _Address] = {}

    @property
    def callers(self) -> int:
        """Connections that have not finished their handshake."""
        return len(self._callers)

    def protocol(self, server: Callable[[], asyncio.Protocol]) -> asyncio.Protocol:
        """A protocol for one new connection, which hands over to ``server()`` when its turn comes."""
        return _Threshold(self, server)

    def enter(self, transport: asyncio.Transport, begin: Callable[[], None]) -> bool:
        """Serve a new connection now or later; False if there is no room for it."""
        address = address_of(transport)
        if not self._has_room(address):
            self._forget_closed()
            if not self._has_room(address):
                return False
        deadline = asyncio.get_running_loop().call_later(self._handshake_s, self._expire, transport)
        self._callers[transport] = _Caller(address, begin, deadline)
        self._addresses.setdefault(address, _Address()).waiting.append(transport)
        self._serve(address)
        # Not at once: before Python 3.11.4 (Debian 12 has 3.11.2) pausing inside connection_made has no effect.
        asyncio.get_running_loop().call_soon(self._hold, transport)
        return True

    def _hold(self, transport: asyncio.Transport) -> None:
        """Leave what a waiting caller sends unread."""
        caller = self._callers.get(transport)
        if caller is not None and not caller.served and not transport.is_closing():
            transport.pause_reading()

    def passed(self, transport: asyncio.BaseTransport | None) -> None:
        """The handshake is over, well or badly: no deadline any more, and the next one's turn."""
        caller = self._callers.pop(transport, None) if isinstance(transport, asyncio.Transport) else None
        if caller is None or not isinstance(transport, asyncio.Transport):
            return
        caller.deadline.cancel()
        address = self._addresses[caller.address]
        if caller.served:
            address.served -= 1
        else:
            address.waiting.remove(transport)
        self._serve(caller.address)

    def close(self) -> None:
        """Drop everybody who has not finished."""
        for transport in list(self._callers):
            self._expire(transport)

    def _serve(self, name: str) -> None:
        """Let the next callers of an address in, as far as there is room."""
        address = self._addresses[name]
        while address.waiting and address.served < SERVED_PER_ADDRESS:
            transport = address.waiting.pop(0)
            address.served += 1
            caller = self._callers[transport]
            caller.served = True
            caller.begin()
            transport.resume_reading()
        if not address.served and not address.waiting:
            del self._addresses[name]

    def _has_room(self, name: str) -> bool:
        address = self._addresses.get(name)
        waiting = len(address.waiting) if address is not None else 0
        return len(self._callers) < self._in_all and waiting < self._waiting_per_address

    def _forget_closed(self) -> None:
        # Those that closed before their turn came: nobody reads their end, so ask the transports.
        for transport in [transport for transport in self._callers if transport.is_closing()]:
            self.passed(transport)

    def _expire(self, transport: asyncio.Transport) -> None:
        if not transport.is_closing():
            transport.abort()
        self.passed(transport)


class _Threshold(asyncio.Protocol):
    """Stands in for the server's protocol until the door has seen the peer's address."""

    def __init__(self, door: Door, server: Callable[[], asyncio.Protocol]) -> None:
        self._door = door
        self._server = server

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        if not self._door.enter(transport, lambda: self._hand_over(transport)):
            transport.abort()

    def _hand_over(self, transport: asyncio.Transport) -> None:
        protocol = self._server()
        transport.set_protocol(protocol)
        protocol.connection_made(transport)


class DoorServer(web.Server):
    """aiohttp's server; tells the door when a connection closes, so that a port scan or a health check holds no place."""

    def __init__(self, door: Door, handler: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]], keepalive_s: float) -> None:
        super().__init__(handler, access_log=None, keepalive_timeout=keepalive_s, logger=quiet_log)
        self._door = door

    def connection_lost(self, handler: web.RequestHandler, exc: BaseException | None = None) -> None:
        """Called by aiohttp while the handler still has its transport."""
        self._door.passed(handler.transport)
        super().connection_lost(handler, exc)


def _is_ours(record: logging.LogRecord) -> bool:
    """A peer that speaks no HTTP, or leaves in the middle, is not our defect: no traceback for every port scan (F64)."""
    error = record.exc_info[1] if record.exc_info else None
    return not isinstance(error, HttpProcessingError | web.RequestPayloadError | ConnectionError)


quiet_log = logging.getLogger("aiohttp.server.quiet")
"""For aiohttp servers that strangers can reach."""
quiet_log.addFilter(_is_ours)


def address_of(transport: asyncio.BaseTransport | None) -> str:
    """The peer's address without its port; "" when unknown."""
    peer = transport.get_extra_info("peername") if transport is not None else None
    return str(peer[0]) if peer else ""
