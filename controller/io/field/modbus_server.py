"""Shell: a read-only Modbus TCP server with the site's values, for others whose devices take one client only.

Reads (functions 3 and 4) are answered from the picture of the site, made anew at most twice a second
however many ask. Every other function is refused with exception 1, addresses that hold nothing with
2, bad counts with 3, units that do not exist with 11. Clients are bounded in number, in silence and
in what they may leave half sent; the oldest silent one makes room for a new one, as panels that
crash leave their connections open. All together get an answer each few milliseconds: whoever asks
without end waits, and the fuse does not.
"""

from __future__ import annotations

import asyncio
import logging
import struct
from collections.abc import Callable

from controller.config import Config
from controller.io.field.modbus_map import INTEGER_UNIT, Words, registers
from controller.io.shell import listen_error
from controller.io.tasks import end, spawn
from controller.orders import Order
from controller.snapshot import Snapshot

log = logging.getLogger(__name__)

PERIOD_S = 0.5
IDLE_S = 120.0
"""A client that says nothing for so long is hung up on."""
FRAME_S = 5.0
"""A request that has begun must be complete by then."""
REPLACE_AFTER_S = 10.0
"""When all places are taken, a client that has been silent for so long loses its place to a new one."""

PACE_S = 0.002
"""Between two answers, whoever asked: without it a client that sends requests in one go held up the meters for seconds (measured, 8 clients)."""

READS = (3, 4)
MOST_REGISTERS = 125
ILLEGAL_FUNCTION, ILLEGAL_ADDRESS, ILLEGAL_VALUE, DEVICE_FAILURE, NO_SUCH_UNIT = 1, 2, 3, 4, 11
SAME_AS_FIRST = (0, 255)
"""Unit ids that devices without a bus use for themselves."""


class ModbusServerShell:
    """Listens while the program runs. port: where, once started."""

    orders: tuple[type[Order], ...] = ()

    def __init__(self, config: Config, snapshot: Callable[[], Snapshot]) -> None:
        """``config.modbus_server`` must be set."""
        assert config.modbus_server is not None
        self.port = 0
        self._config = config
        self._settings = config.modbus_server
        self._snapshot = snapshot
        self._server: asyncio.Server | None = None
        self._clients: dict[asyncio.Task[None], float] = {}
        self._units: dict[int, Words] = {}
        self._made_s = self._next_s = -1e9

    def carry(self, order: Order) -> None:
        """Takes no orders."""

    async def start(self) -> None:
        """Listen. Raises StartError if the port cannot be had."""
        host, port = self._settings.host, self._settings.port
        try:
            self._server = await asyncio.start_server(self._welcome, host, port)
        except OSError as error:
            raise listen_error(error, host, port, "modbus_server") from error
        self.port = int(self._server.sockets[0].getsockname()[1])
        log.info("Modbus clients read the site's values at %s port %d, unit 1 or 2", host, self.port)

    async def stop(self) -> None:
        """Hang up on everybody."""
        if self._server is not None:
            self._server.close()
            self._server = None
        await end(list(self._clients))

    # -- clients --------------------------------------------------------------------------------

    def _welcome(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._clients) >= self._settings.max_clients and not self._make_room():
            writer.close()
            return
        task = spawn(self._serve(reader, writer), "modbus client")
        self._clients[task] = _now_s()
        task.add_done_callback(lambda gone: self._clients.pop(gone, None))

    def _make_room(self) -> bool:
        oldest = min(self._clients, key=lambda task: self._clients[task])
        if _now_s() - self._clients[oldest] < REPLACE_AFTER_S:
            return False
        self._clients.pop(oldest)
        oldest.cancel()
        return True

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while (request := await self._request(reader)) is not None:
                task = asyncio.current_task()
                if task in self._clients:
                    self._clients[task] = _now_s()
                await self._turn()
                head, unit, body = request
                answer = self._answer(unit, body)
                writer.write(head + struct.pack(">HB", len(answer) + 1, unit) + answer)
                async with asyncio.timeout(FRAME_S):
                    await writer.drain()
        except (TimeoutError, OSError, asyncio.IncompleteReadError):
            return  # gone, or hung up on: it may come again
        finally:
            writer.close()

    async def _turn(self) -> None:
        """Wait until it is this request's turn; of many clients each has one request in the line."""
        now_s = _now_s()
        at_s = max(now_s, self._next_s)
        self._next_s = at_s + PACE_S
        await asyncio.sleep(at_s - now_s)

    async def _request(self, reader: asyncio.StreamReader) -> tuple[bytes, int, bytes] | None:
        """(transaction and protocol, unit, the rest) of one request; None if this is not Modbus TCP."""
        async with asyncio.timeout(IDLE_S):
            first = await reader.readexactly(1)
        async with asyncio.timeout(FRAME_S):
            head = first + await reader.readexactly(6)
            protocol, length, unit = struct.unpack(">HHB", head[2:])
            if protocol != 0 or not 2 <= length <= 254:
                return None
            return head[:4], unit, await reader.readexactly(length - 1)

    # -- answers --------------------------------------------------------------------------------

    def _answer(self, unit: int, body: bytes) -> bytes:
        function = body[0]
        try:
            words = self._words().get(INTEGER_UNIT if unit in SAME_AS_FIRST else unit)
        except Exception:  # a defect in the picture must not end the connection without a word
            log.exception("the picture for Modbus clients cannot be made; please report it")
            return _refusal(function, DEVICE_FAILURE)
        if words is None:
            return _refusal(function, NO_SUCH_UNIT)
        if function not in READS:
            return _refusal(function, ILLEGAL_FUNCTION)
        if len(body) != 5:
            return _refusal(function, ILLEGAL_VALUE)
        address, count = struct.unpack(">HH", body[1:])
        if not 1 <= count <= MOST_REGISTERS:
            return _refusal(function, ILLEGAL_VALUE)
        asked = [words.get(at) for at in range(address, address + count)]
        found = [word for word in asked if word is not None]
        if len(found) != count:
            return _refusal(function, ILLEGAL_ADDRESS)
        return struct.pack(f">BB{count}H", function, 2 * count, *found)

    def _words(self) -> dict[int, Words]:
        now_s = _now_s()
        if now_s - self._made_s >= PERIOD_S:
            self._units, self._made_s = registers(self._config, self._snapshot()), now_s
        return self._units


def _refusal(function: int, code: int) -> bytes:
    return bytes((function & 0x7F | 0x80, code))


def _now_s() -> float:
    return asyncio.get_running_loop().time()
