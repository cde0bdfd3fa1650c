"""The door of the station server: connections that have not finished their handshake.

aiohttp has no deadline for a peer that connects and says nothing, or drips header bytes
(measured: both still open after 100 s). Here each TCP connection gets a deadline for its
complete handshake, TLS included, and at most 16 per address are served at a time, so that a
slowloris cannot keep stations out (F64). A site whose stations share one address (behind a router)
comes back all at once after a power cut (F12): up to 64 more per address, and never less than the
site has stations, wait for their turn, unread and without costing more than their socket. Beyond
that, and beyond 256 in all (or twice the stations), connections are dropped at once.

The door is for strangers: a connection leaves it when its handshake is over, when it closes, and
when it has proved who it is. All listeners of the server share one door.

It also accepts the connections itself. asyncio's server, out of file descriptors, logs a traceback
for each connection of the whole backlog and sets as many timers, every second; here accepting
pauses for a second and what is open lives on (F72).
"""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
import ssl
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from controller.io.links.fragments import FragmentCounter
from controller.io.links.patience import bound_silence
from controller.io.tasks import spawn

log = logging.getLogger(__name__)

SERVED_PER_ADDRESS = 16
WAITING_PER_ADDRESS = 64
IN_ALL = 256
BACKLOG = 512
ACCEPTED_AT_ONCE = 64  # then the rest of the program gets its turn
PAUSE_S = 1.0  # between two tries to accept while the system has no file descriptor left
COMPLAIN_EVERY_S = 60.0
LOOK_EVERY_S = 0.25  # how often a full door looks for callers that have left
UNACKNOWLEDGED_S = 20.0
"""A station whose side acknowledges nothing of what we sent for so long is gone, even if words of it still come (F35, F39)."""
_NO_RESOURCES = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}

Serve = Callable[["Caller"], Awaitable[None]]
"""Brings a connection whose turn has come to its protocol. Raises OSError when that fails."""


@dataclass(eq=False, slots=True)
class Caller:
    """One connection at the door. task, handler: what brings it in and what serves it, once its turn has come.

    adopted: the event loop has the socket now, and closes it.
    """

    connection: socket.socket
    address: str
    serve: Serve
    deadline: asyncio.TimerHandle | None = None
    task: asyncio.Task[None] | None = None
    handler: Handler | None = None
    adopted: bool = False


@dataclass(slots=True)
class _Address:
    """The callers of one address. waiting: first come, first served."""

    served: int = 0
    waiting: deque[Caller] = field(default_factory=deque)


class Door:
    """Watches fresh connections. handshake_s: deadline from connect to the finished handshake [s]. stations: how many the site has."""

    def __init__(self, handshake_s: float, stations: int = 0) -> None:
        self._handshake_s = handshake_s
        self._waiting_per_address = max(WAITING_PER_ADDRESS, stations)
        self._in_all = max(IN_ALL, 2 * stations)
        self._callers: set[Caller] = set()
        self._addresses: dict[str, _Address] = {}
        self._looked_s = float("-inf")

    @property
    def callers(self) -> int:
        """Connections that have not finished their handshake."""
        return len(self._callers)

    def enter(self, connection: socket.socket, address: str, serve: Serve) -> bool:
        """Serve a new connection now or later; False if there is no room for it, it is closed then."""
        if not self._has_room(address):
            self._forget_closed()
            if not self._has_room(address):
                connection.close()
                return False
        caller = Caller(connection, address, serve)
        caller.deadline = asyncio.get_running_loop().call_later(self._handshake_s, self._expire, caller)
        self._callers.add(caller)
        self._addresses.setdefault(address, _Address()).waiting.append(caller)
        self._serve_next(address)
        return True

    def passed(self, caller: Caller) -> None:
        """The handshake is over, well or badly: no deadline any more, and the next one's turn."""
        if caller not in self._callers:
            return
        self._callers.discard(caller)
        if caller.deadline is not None:
            caller.deadline.cancel()
        address = self._addresses[caller.address]
        if caller.task is not None:
            address.served -= 1
        else:
            address.waiting.remove(caller)
        self._serve_next(caller.address)

    def close(self) -> None:
        """Drop everybody who has not finished."""
        for caller in list(self._callers):
            self._expire(caller)

    def _serve_next(self, name: str) -> None:
        """Let the next callers of an address in, as far as there is room."""
        address = self._addresses.get(name)
        while address is not None and address.waiting and address.served < SERVED_PER_ADDRESS:
            caller = address.waiting.popleft()
            address.served += 1
            caller.task = spawn(self._run(caller), f"handshake with {name}")
        if address is not None and not address.served and not address.waiting:
            del self._addresses[name]

    async def _run(self, caller: Caller) -> None:
        try:
            await caller.serve(caller)
        except BaseException:
            self.passed(caller)
            raise

    def _has_room(self, name: str) -> bool:
        address = self._addresses.get(name)
        waiting = len(address.waiting) if address is not None else 0
        return len(self._callers) < self._in_all and waiting < self._waiting_per_address

    def _forget_closed(self) -> None:
        """Those that closed before their turn came: nobody reads their end, so ask the sockets, but not for every one of a flood."""
        now_s = asyncio.get_running_loop().time()
        if now_s - self._looked_s < LOOK_EVERY_S:
            return
        self._looked_s = now_s
        for caller in [caller for caller in self._callers if caller.task is None and _has_left(caller.connection)]:
            caller.connection.close()
            self.passed(caller)

    def _expire(self, caller: Caller) -> None:
        transport = caller.handler.transport if caller.handler is not None else None
        if transport is not None:
            transport.abort()
        elif caller.task is not None:
            caller.task.cancel()  # in the middle of TLS; the transport is closed with it
        if not caller.adopted:
            caller.connection.close()
        self.passed(caller)


def _has_left(connection: socket.socket) -> bool:
    """Whether a peer that has sent nothing is gone."""
    try:
        return connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


class Handler(web.RequestHandler):
    """aiohttp's connection. flooded: called once when a message has too many fragments; nothing is read after that (B16)."""

    __slots__ = ("_deaf", "_fragments", "caller", "flooded")

    def __init__(self, server: web.Server, caller: Caller, loop: asyncio.AbstractEventLoop, keepalive_s: float) -> None:
        super().__init__(server, loop=loop, access_log=None, keepalive_timeout=keepalive_s, logger=quiet_log)  # type: ignore[arg-type]
        self.caller = caller
        self.flooded: Callable[[], None] | None = None
        self._fragments = FragmentCounter()
        self._deaf = False

    def data_received(self, data: bytes) -> None:
        """Called by the event loop with what the peer has sent, and by aiohttp with nothing."""
        if self._deaf:
            return
        if self._fragments.feed(data):
            super().data_received(data)
            return
        self._deaf = True
        if self.flooded is not None:
            self.flooded()
        elif self.transport is not None:
            self.transport.abort()

    def connection_lost(self, exc: BaseException | None) -> None:
        """Called by the event loop. Lets go of all that leads back here: it would stay in memory until the next garbage collection."""
        super().connection_lost(exc)
        self.flooded = self.caller.handler = None
        if hasattr(self, "_data_received_cb"):  # aiohttp's way to a socket's heartbeat
            self._data_received_cb = None


class DoorServer(web.Server):
    """aiohttp's server behind a door; tells it when a connection closes, so that a port scan or a health check holds no place.

    lost: told of each connection that closes, for whoever waits on one. failed: told when TLS with
    an address fails, and why.
    """

    def __init__(
        self,
        door: Door,
        handler: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]],
        handshake_s: float,
        lost: Callable[[Handler], None],
        failed: Callable[[str, Exception], None],
    ) -> None:
        super().__init__(handler, logger=quiet_log)
        self._door = door
        self._handshake_s = handshake_s
        self._lost = lost
        self._failed = failed

    def listen(self, listener: socket.socket, context: Callable[[], ssl.SSLContext] | None = None) -> Listener:
        """Let connections of a listening socket in. context: gives the TLS context of the next one; None = plain."""
        return Listener(self._door, listener, lambda caller: self._begin(caller, context))

    async def _begin(self, caller: Caller, context: Callable[[], ssl.SSLContext] | None) -> None:
        loop = asyncio.get_running_loop()
        handler = Handler(self, caller, loop, self._handshake_s)
        tls: dict[str, Any] = {"ssl": context(), "ssl_handshake_timeout": self._handshake_s} if context is not None else {}
        caller.adopted = True
        try:
            await loop.connect_accepted_socket(lambda: handler, caller.connection, **tls)
        except OSError as error:  # ssl.SSLError is one
            self._door.passed(caller)
            if context is not None:
                self._failed(caller.address, error)
            return
        if handler.transport is not None:  # else it has closed meanwhile
            caller.handler = handler

    def connection_lost(self, handler: web.RequestHandler, exc: BaseException | None = None) -> None:
        """Called by aiohttp while the handler still has its transport."""
        assert isinstance(handler, Handler)
        self._door.passed(handler.caller)
        self._lost(handler)
        super().connection_lost(handler, exc)


class Listener:
    """Accepts the connections of one listening socket and brings them to the door."""

    def __init__(self, door: Door, listener: socket.socket, serve: Serve) -> None:
        self._door = door
        self._listener = listener
        self._serve = serve
        self._loop = asyncio.get_running_loop()
        self._pause: asyncio.TimerHandle | None = None
        self._complained_s = float("-inf")
        self.port: int = listener.getsockname()[1]
        self._watch()

    def close(self) -> None:
        """Accept nobody any more."""
        if self._pause is not None:
            self._pause.cancel()
        if self._listener.fileno() >= 0:
            self._loop.remove_reader(self._listener)
            self._listener.close()

    def _watch(self) -> None:
        self._loop.add_reader(self._listener, self._accept)

    def _accept(self) -> None:
        for _ in range(ACCEPTED_AT_ONCE):
            try:
                connection, peer = self._listener.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                self._rest(error)
                return
            connection.setblocking(False)
            self._door.enter(connection, str(peer[0]), self._serve)

    def _rest(self, error: OSError) -> None:
        """Whoever wants in waits in the system's queue."""
        if error.errno not in _NO_RESOURCES:
            log.error("a connection could not be accepted: %s", error)
            return
        if self._loop.time() - self._complained_s >= COMPLAIN_EVERY_S:
            self._complained_s = self._loop.time()
            log.error("no new connections for now (%s); those that are open live on. Raise LimitNOFILE if this comes back", error.strerror)
        self._loop.remove_reader(self._listener)
        self._pause = self._loop.call_later(PAUSE_S, self._watch)


def _is_ours(record: logging.LogRecord) -> bool:
    """A peer that speaks no HTTP, or leaves in the middle, is not our defect: no traceback for every port scan (F64)."""
    error = record.exc_info[1] if record.exc_info else None
    return not isinstance(error, HttpProcessingError | web.RequestPayloadError | ConnectionError)


quiet_log = logging.getLogger("aiohttp.server.quiet")
"""For aiohttp servers that strangers can reach."""
quiet_log.addFilter(_is_ours)


def listening_sockets(host: str, port: int) -> list[socket.socket]:
    """One socket per address of ``host``, bound and listening. Raises OSError; none is left open then."""
    found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    sockets: list[socket.socket] = []
    try:
        for family, kind, number, _, address in dict.fromkeys(found):
            sockets.append(socket.socket(family, kind, number))
            sockets[-1].setblocking(False)
            sockets[-1].setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                sockets[-1].setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            bound_silence(sockets[-1], UNACKNOWLEDGED_S)
            sockets[-1].bind(address)
            sockets[-1].listen(BACKLOG)
    except BaseException:
        for opened in sockets:
            with suppress(OSError):
                opened.close()
        raise
    return sockets


def address_of(transport: asyncio.BaseTransport | None) -> str:
    """The peer's address without its port; "" when unknown."""
    peer = transport.get_extra_info("peername") if transport is not None else None
    return str(peer[0]) if peer else ""
