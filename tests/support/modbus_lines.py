"""Serial lines made of pseudo terminals, and devices on them (or behind TCP) that answer as a test wants."""

from __future__ import annotations

import asyncio
import contextlib
import os
import pty
import struct
import tty
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Literal

HOST = "127.0.0.1"


def crc(data: bytes) -> int:
    """The checksum of RTU frames."""
    value = 0xFFFF
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ (0xA001 if value & 1 else 0)
    return value


def rtu_frame(data: bytes) -> bytes:
    """Unit, function and content with their checksum."""
    return data + struct.pack("<H", crc(data))


def tcp_frame(tid: int, data: bytes) -> bytes:
    """Unit, function and content behind an MBAP header."""
    return struct.pack(">HHH", tid, 0, len(data)) + data


@dataclass(frozen=True)
class Asked:
    """A request that came. number: from 1. words: of a write."""

    number: int
    at_s: float
    unit: int
    function: int
    address: int
    count: int
    tid: int = 0
    words: tuple[int, ...] = ()


Say = tuple[float, bytes]
"""After so many seconds, these bytes (a whole frame)."""


@dataclass
class RawDevice:
    """A device without any Modbus library: every register holds its own address, every bit the parity of its address.

    behave: what is said to a request, None = the right answer at once. delays do not hold up later requests. say: at once, on the line
    the last request came by.
    """

    rtu: bool
    behave: Callable[[RawDevice, Asked], list[Say] | None] = field(default=lambda device, asked: None)
    asked: list[Asked] = field(default_factory=list)
    connections: int = 0
    closing: bool = False
    news: asyncio.Event = field(default_factory=asyncio.Event)
    say: Callable[[bytes], None] = field(default=lambda data: None)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def frame(self, asked: Asked, pdu: bytes, unit: int | None = None, tid: int | None = None) -> bytes:
        """The bytes on the wire of an answer with this function and content."""
        data = bytes([asked.unit if unit is None else unit]) + pdu
        return rtu_frame(data) if self.rtu else tcp_frame(asked.tid if tid is None else tid, data)

    def words(self, asked: Asked, words: list[int]) -> bytes:
        """An answer with these registers."""
        return self.frame(asked, struct.pack(f">BB{len(words)}H", asked.function, 2 * len(words), *words))

    def right(self, asked: Asked) -> bytes:
        """The answer a good device gives."""
        if asked.function in (3, 4):
            return self.words(asked, [(asked.address + i) & 0xFFFF for i in range(asked.count)])
        if asked.function in (1, 2):
            bits = [(asked.address + i) % 2 for i in range(asked.count)]
            packed = bytes(sum(bit << at for at, bit in enumerate(bits[first : first + 8])) for first in range(0, len(bits), 8))
            return self.frame(asked, bytes([asked.function, len(packed)]) + packed)
        value = asked.words[0] if asked.function in (5, 6) else asked.count
        return self.frame(asked, struct.pack(">BHH", asked.function, asked.address, value))

    def exception(self, asked: Asked, code: int) -> bytes:
        """A Modbus exception."""
        return self.frame(asked, bytes([asked.function | 0x80, code]))

    def take(self, asked: Asked, write: Callable[[bytes], None]) -> None:
        """React to a request."""
        self.asked.append(asked)
        self.say = write
        self.news.set()
        says = self.behave(self, asked)
        for delay_s, data in [(0.0, self.right(asked))] if says is None else says:
            if delay_s == 0:
                write(data)
            else:
                task = asyncio.get_running_loop().create_task(self._later(delay_s, data, write))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    async def _later(self, delay_s: float, data: bytes, write: Callable[[bytes], None]) -> None:
        await asyncio.sleep(delay_s)
        with contextlib.suppress(OSError):
            write(data)

    def parse(self, tid: int, body: bytes) -> Asked:
        """A request without header and checksum."""
        unit, function, address, value = struct.unpack(">BBHH", body[:6])
        words: tuple[int, ...] = ()
        count = value
        if function == 16:
            words = struct.unpack(f">{value}H", body[7 : 7 + 2 * value])
        elif function in (5, 6):
            words, count = (value,), 1
        now = asyncio.get_running_loop().time()
        return Asked(len(self.asked) + 1, now, unit, function, address, count, tid, words)


@asynccontextmanager
async def raw_over_tcp(port: int, rtu: bool, behave: Callable[[RawDevice, Asked], list[Say] | None] | None = None) -> AsyncIterator[RawDevice]:
    """A raw device behind a TCP port; rtu: with RTU frames, as serial gateways speak them. An empty frame closes the connection."""
    device = RawDevice(rtu)
    if behave is not None:
        device.behave = behave
    writers: set[asyncio.StreamWriter] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        device.connections += 1
        writers.add(writer)
        try:
            while True:
                tid, body = await _request(reader, rtu)
                device.take(device.parse(tid, body), lambda data: writer.write(data) if data else writer.close())
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            writer.close()

    server = await asyncio.start_server(serve, HOST, port)
    try:
        yield device
    finally:
        server.close()
        for writer in writers:
            writer.close()


async def _request(reader: asyncio.StreamReader, rtu: bool) -> tuple[int, bytes]:
    if not rtu:
        tid, _, length = struct.unpack(">HHH", await reader.readexactly(6))
        return tid, await reader.readexactly(length)
    head = await reader.readexactly(7)
    rest = head[6] + 2 if head[1] in (15, 16) else 1
    return 0, (head + await reader.readexactly(rest))[:-2]


@contextmanager
def raw_serial(behave: Callable[[RawDevice, Asked], list[Say] | None] | None = None) -> Iterator[tuple[str, RawDevice]]:
    """A raw RTU device at the far end of a serial port: the port's path and the device. Needs a running loop."""
    master, slave = pty.openpty()
    tty.setraw(master)
    tty.setraw(slave)
    device = RawDevice(rtu=True)
    if behave is not None:
        device.behave = behave
    loop = asyncio.get_running_loop()
    buffer = bytearray()

    def readable() -> None:
        with contextlib.suppress(OSError):
            buffer.extend(os.read(master, 4096))
        while len(buffer) >= 8:
            length = 9 + buffer[6] if buffer[1] in (15, 16) else 8
            if len(buffer) < length:
                return
            body = bytes(buffer[: length - 2])
            del buffer[:length]
            device.take(device.parse(0, body), lambda data: os.write(master, data) and None)

    loop.add_reader(master, readable)
    try:
        yield os.ttyname(slave), device
    finally:
        loop.remove_reader(master)
        os.close(master)
        os.close(slave)


@contextmanager
def serial_pair() -> Iterator[tuple[str, str]]:
    """Two serial ports that are wired to each other. Needs a running loop."""
    (one, first), (two, second) = pty.openpty(), pty.openpty()
    for end in (one, first, two, second):
        tty.setraw(end)
    loop = asyncio.get_running_loop()

    def carry(source: int, target: int) -> None:
        with contextlib.suppress(OSError):
            os.write(target, os.read(source, 4096))

    loop.add_reader(one, carry, one, two)
    loop.add_reader(two, carry, two, one)
    try:
        yield os.ttyname(first), os.ttyname(second)
    finally:
        for end in (one, two):
            loop.remove_reader(end)
        for end in (one, first, two, second):
            os.close(end)


Framing = Literal["tcp", "rtu_over_tcp", "rtu"]
