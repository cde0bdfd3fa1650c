"""A small FTP server that only takes logs in, for chargers that know nothing else (N01; aioftp).

It listens only while a box is open. A charger logs in under its own name in the box with the box's secret as password, sees one empty
folder whatever path it names, and can put files; nothing can be read, listed, renamed or deleted. What it puts is bounded by the box like
what comes over HTTP; a connection has so many commands and so much time, an address half of the connections. Plain FTP, passive mode (we
never connect to anybody), for the chargers' own network: callers from public addresses are hung up on, and data is taken from the
address that gives the commands only.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import io
import logging
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import aioftp
from aioftp.pathio import AsyncPathIOContext, universal_exception

from controller.io.files.box import CLOSED, FULL, GONE, TRANSFER_S, Box
from controller.io.files.server import Received, safe_name

IDLE_S = 60.0
MOST_AT_ONCE = 16
"""Connections, or twice the stations if that is more."""
MOST_COMMANDS = 500
"""Of one connection. A charger needs ten for a file; answers nobody reads would pile up."""
CHUNK_BYTES = 64 * 1024
WAITING_CHUNKS = 4
ROOT = Path("/box")
"""Exists nowhere: no path from outside touches the disk."""
SENDER = "{sender}"
"""In an address: stands for the charger's name in the box."""

logging.getLogger("aioftp.server").setLevel(logging.CRITICAL)  # it would log each command, and a traceback for each charger that hangs up


class _Sender(aioftp.User):
    """Who is logged in. job: of the box."""

    def __init__(self, name: str, job: str, secret: str, box: Box) -> None:
        super().__init__(name, secret, base_path=ROOT)
        self.name, self.job, self.box = name, job, box


class _Upload(io.BytesIO):
    """A file on its way: chunks wait here until the box has taken them."""

    def __init__(self) -> None:
        super().__init__()
        self.chunks: asyncio.Queue[bytes | None] = asyncio.Queue(WAITING_CHUNKS)
        self.broken = False
        self.taking: asyncio.Task[str] | None = None

    async def parts(self) -> AsyncIterator[bytes]:
        """What comes, until the end. Raises ConnectionError if the charger went away."""
        while (chunk := await self.chunks.get()) is not None:
            yield chunk
        if self.broken:
            raise ConnectionResetError(GONE)


class _Context(AsyncPathIOContext):
    """Knows whether a transfer ended well: without this, half a file would look like a whole one."""

    async def __aexit__(self, exc_type: Any, exc: Any, trace: Any) -> None:
        if exc_type is not None and isinstance(self.file, _Upload):
            self.file.broken = True
        await super().__aexit__(exc_type, exc, trace)


class _BoxIO(aioftp.AbstractPathIO[Path]):
    """The empty folder. Every path is a folder; what is put goes into the box."""

    received: Received

    def open(self, *args: Any, **kwargs: Any) -> AsyncPathIOContext:
        """A transfer."""
        return _Context(self, args, kwargs)  # type: ignore[arg-type]

    @universal_exception
    async def _open(self, path: Path, mode: str = "rb") -> io.BytesIO:
        sender = self._sender()
        if mode != "wb" or not sender.box.knows(sender.name):
            raise PermissionError(CLOSED)
        if sender.box.crowded(sender.name):
            raise PermissionError(FULL)
        name, upload = sender.box.name_for(sender.name, safe_name(path.name)), _Upload()
        upload.taking = asyncio.ensure_future(self._take(sender, name, upload))
        return upload

    async def _take(self, sender: _Sender, name: str, upload: _Upload) -> str:
        reason = GONE
        try:
            reason = await sender.box.take(sender.name, name, upload.parts())
        finally:
            self.received(sender.job, not reason, name, reason)
        return reason

    def _sender(self) -> _Sender:
        user = self.connection.user if self.connection is not None else None
        if not isinstance(user, _Sender):
            raise PermissionError("nobody is logged in")
        return user

    @universal_exception
    async def write(self, file: io.BytesIO, data: bytes) -> int:
        """One chunk; waits until the box has room for it."""
        assert isinstance(file, _Upload)
        assert file.taking is not None
        put = asyncio.ensure_future(file.chunks.put(bytes(data)))
        await asyncio.wait([put, file.taking], return_when=asyncio.FIRST_COMPLETED)
        if not put.done():
            put.cancel()
        if file.taking.done():
            raise OSError(file.taking.result() or CLOSED)
        return len(data)

    @universal_exception
    async def close(self, file: io.BytesIO) -> None:
        """The end; what the box says to it is what the charger hears."""
        assert isinstance(file, _Upload)
        assert file.taking is not None
        ended = asyncio.ensure_future(file.chunks.put(None))
        await asyncio.wait([file.taking])
        ended.cancel()
        if reason := file.taking.result():
            raise OSError(reason)

    @universal_exception
    async def exists(self, path: Path) -> bool:
        """Whatever folder the charger's settings name."""
        return True

    @universal_exception
    async def is_dir(self, path: Path) -> bool:
        """See ``exists``."""
        return True

    @universal_exception
    async def is_file(self, path: Path) -> bool:
        """There is nothing to read."""
        return False

    def list(self, path: Path) -> Any:
        """Nothing."""

        async def nothing() -> AsyncIterator[Path]:
            return
            yield path  # pragma: no cover - makes it a generator

        return nothing()

    @universal_exception
    async def mkdir(self, path: Path, *, parents: bool = False, exist_ok: bool = False) -> None:
        """All folders are there."""

    @universal_exception
    async def rmdir(self, path: Path) -> None:
        """Refused."""
        raise PermissionError

    unlink = stat = seek = read = rename = rmdir  # type: ignore[assignment]


class _Users(aioftp.AbstractUserManager):
    def __init__(self, boxes: dict[str, tuple[str, Box]]) -> None:
        super().__init__()
        self._boxes = boxes

    async def get_user(self, login: str) -> tuple[Any, aioftp.User | None, str]:
        """A password is asked of everybody, so that nobody learns which names there are."""
        found = next((_Sender(login, job, secret, box) for secret, (job, box) in self._boxes.items() if box.knows(login)), None)
        return self.GetUserResponse.PASSWORD_REQUIRED, found or aioftp.User(login, None, base_path=ROOT), "password required"

    async def authenticate(self, user: aioftp.User, password: str) -> bool:
        """The box's secret."""
        return isinstance(user, _Sender) and hmac.compare_digest((user.password or "").encode(), password.encode("utf-8", "replace"))

DATA_PORTS = 16
"""Data comes in on so many ports after the server's own, so that a firewall can let them in. Who finds all of them taken is told to come again."""

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class _Server(aioftp.Server):
    """most: connections of one address."""

    def __init__(self, users: _Users, most: int, **more: Any) -> None:
        super().__init__(users, **more)
        self._most = most
        self._callers: Counter[str] = Counter()
        self._commands: WeakKeyDictionary[aioftp.StreamIO, int] = WeakKeyDictionary()

    async def dispatcher(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One charger."""
        address = _address(writer)
        if not is_near(address) or self._callers[address] >= self._most:
            writer.close()
            return
        self._callers[address] += 1
        try:
            with contextlib.suppress(ConnectionError, TimeoutError, asyncio.CancelledError):  # it is a task of its own, and ends with the server
                async with asyncio.timeout(TRANSFER_S):
                    await super().dispatcher(reader, writer)
        finally:
            self._callers -= Counter((address,))

    async def parse_command(self, stream: aioftp.StreamIO, censor_commands: tuple[str] = ("pass",)) -> tuple[str, str]:
        """The next line. Its error ends the connection; nobody else asks for it."""
        task = asyncio.current_task()
        if task is not None:
            task.add_done_callback(lambda done: None if done.cancelled() else done.exception() and None)
        self._commands[stream] = self._commands.get(stream, 0) + 1
        if self._commands[stream] > MOST_COMMANDS:
            raise ConnectionResetError("too many commands")
        return await super().parse_command(stream, censor_commands)

    async def _start_passive_server(self, connection: Any, handler_callback: Serve) -> asyncio.Server:
        """Where a charger's data comes in: whoever else finds the port first is hung up on."""

        async def of_the_same(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            if _address(writer) == connection.client_host:
                await handler_callback(reader, writer)
            else:
                writer.close()

        return await super()._start_passive_server(connection, of_the_same)


def _address(writer: asyncio.StreamWriter) -> str:
    peer = writer.transport.get_extra_info("peername")
    return str(peer[0]) if peer else ""


class FtpBoxes:
    """The server. received: called on the loop for each file. stations: how many the site has."""

    def __init__(self, received: Received, stations: int = 0) -> None:
        self._boxes: dict[str, tuple[str, Box]] = {}
        self._io = type("_BoxIO", (_BoxIO,), {"received": staticmethod(received)})
        self._most = max(MOST_AT_ONCE, 2 * stations)
        self._server: _Server | None = None
        self.port = 0

    async def listen(self, host: str, port: int) -> int:
        """Begin to listen, if it does not yet; the port. Raises OSError."""
        if self._server is None:
            server = _Server(
                _Users(self._boxes),
                self._most // 2,
                path_io_factory=self._io,
                idle_timeout=IDLE_S,
                socket_timeout=IDLE_S,
                maximum_connections=self._most,
                data_ports=range(port + 1, min(port + 1 + DATA_PORTS, 65536)) if port else None,
                block_size=CHUNK_BYTES,
                wait_future_timeout=10,
            )
            await server.start(host or None, port)
            self._server, self.port = server, int(server.server_port)
        return self.port

    def open_box(self, job: str, secret: str, box: Box) -> None:
        """Take files in for a box that has senders."""
        self._boxes[secret] = (job, box)

    def drop(self, job: str) -> None:
        """Serve a job no longer."""
        for secret in [secret for secret, (known, _) in self._boxes.items() if known == job]:
            del self._boxes[secret]

    async def rest(self) -> None:
        """Close the port if no box is open."""
        if not self._boxes:
            await self.close()

    async def close(self) -> None:
        """Close the port."""
        server, self._server, self.port = self._server, None, 0
        if server is not None:
            with contextlib.suppress(OSError):
                await server.close()


def is_near(address: str) -> bool:
    """Whether an address is of a private network or of this machine."""
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(found, "ipv4_mapped", None)
    return bool((mapped or found).is_private or (mapped or found).is_link_local)


