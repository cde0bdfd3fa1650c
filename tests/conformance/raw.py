"""A WebSocket client and a server down to the bytes: for what a library would hide. Shares nothing with ``controller``."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import os
import zlib
from dataclasses import dataclass, field
from urllib.parse import urlsplit

MAGIC = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
DEFLATE = "permessage-deflate"
PATIENCE_S = 20.0


@dataclass
class Frame:
    """One frame as it was on the wire. text: decompressed."""

    opcode: int
    compressed: bool
    text: str
    code: int = 0


@dataclass
class Head:
    """The first line and the headers of a request or an answer, names in lower case; repeated headers are joined."""

    first: str
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def status(self) -> int:
        """HTTP status of an answer."""
        return int(self.first.split()[1])

    @property
    def target(self) -> str:
        """Target of a request."""
        return self.first.split()[1]


async def read_head(reader: asyncio.StreamReader) -> Head:
    """Up to the empty line."""
    raw = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), PATIENCE_S)
    first, *lines = raw.decode("latin-1").strip().split("\r\n")
    head = Head(first)
    for line in lines:
        name, _, value = line.partition(":")
        known = head.headers.get(name.lower())
        head.headers[name.lower()] = f"{known}, {value.strip()}" if known else value.strip()
    return head


class Wire:
    """An open WebSocket. masks: whether we are the client."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, masks: bool) -> None:
        self.reader, self.writer, self.masks = reader, writer, masks
        self.inflater = zlib.decompressobj(-15)

    async def send(self, text: str, compress: bool = False) -> None:
        """One text frame, compressed with an empty context if wished."""
        data = text.encode()
        if compress:
            packer = zlib.compressobj(wbits=-15)
            data = (packer.compress(data) + packer.flush(zlib.Z_SYNC_FLUSH)).removesuffix(b"\x00\x00\xff\xff")
        self.writer.write(self._frame(0xC1 if compress else 0x81, data))
        await self.writer.drain()

    def _frame(self, first: int, data: bytes) -> bytes:
        length = bytes([len(data)]) if len(data) < 126 else b"\x7e" + len(data).to_bytes(2, "big")
        if not self.masks:
            return bytes([first]) + length + data
        mask = os.urandom(4)
        return bytes([first, length[0] | 0x80]) + length[1:] + mask + _masked(data, mask)

    async def receive(self) -> Frame:
        """The next frame that is no ping or pong."""
        while True:
            frame = await asyncio.wait_for(self._one(), PATIENCE_S)
            if frame.opcode not in (9, 10):
                return frame

    async def _one(self) -> Frame:
        first, second = await self.reader.readexactly(2)
        length = second & 0x7F
        if length >= 126:
            length = int.from_bytes(await self.reader.readexactly(2 if length == 126 else 8), "big")
        mask = await self.reader.readexactly(4) if second & 0x80 else b""
        data = _masked(await self.reader.readexactly(length), mask)
        opcode, compressed = first & 0x0F, bool(first & 0x40)
        if opcode == 8:
            return Frame(opcode, compressed, data[2:].decode(), int.from_bytes(data[:2], "big"))
        if compressed:
            data = self.inflater.decompress(data + b"\x00\x00\xff\xff")
        return Frame(opcode, compressed, data.decode())

    async def close(self) -> None:
        """Without a word."""
        self.writer.transport.abort()


def _masked(data: bytes, mask: bytes) -> bytes:
    return bytes(byte ^ mask[index % 4] for index, byte in enumerate(data)) if mask else data


async def dial(url: str, *protocols: str, extensions: str = "", path: str | None = None) -> tuple[Head, Wire]:
    """Handshake of a client; protocols: one header line each. path replaces the path of the URL, to the byte."""
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    lines = [f"GET {path or parts.path} HTTP/1.1", f"Host: {parts.hostname}", "Upgrade: websocket", "Connection: Upgrade"]
    lines += ["Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: " + base64.b64encode(os.urandom(16)).decode()]
    lines += [f"Sec-WebSocket-Protocol: {line}" for line in protocols]
    lines += [f"Sec-WebSocket-Extensions: {extensions}"] if extensions else []
    writer.write(("\r\n".join(lines) + "\r\n\r\n").encode())
    return await read_head(reader), Wire(reader, writer, masks=True)


class Csms:
    """A server that answers handshakes as told: subprotocol, extensions, and not before ``may_answer`` is set."""

    def __init__(self, protocol: str = "", extensions: str = "", status: str = "101 Switching Protocols") -> None:
        self.protocol, self.extensions, self.status = protocol, extensions, status
        self.requests: list[Head] = []
        self.wires: asyncio.Queue[Wire] = asyncio.Queue()
        self.asked = asyncio.Event()
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.port = 0
        self._server: asyncio.Server | None = None
        self._writers: list[asyncio.StreamWriter] = []

    async def __aenter__(self) -> Csms:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.away()

    async def away(self) -> None:
        """Gone: nobody listens any more."""
        assert self._server is not None
        self._server.close()
        for writer in self._writers:
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
        head = await read_head(reader)
        self.requests.append(head)
        self.asked.set()
        await self.may_answer.wait()
        accept = base64.b64encode(hashlib.sha1(head.headers["sec-websocket-key"].encode() + MAGIC).digest()).decode()
        lines = [f"HTTP/1.1 {self.status}", "Upgrade: websocket", "Connection: Upgrade", f"Sec-WebSocket-Accept: {accept}"]
        lines += [f"Sec-WebSocket-Protocol: {self.protocol}"] if self.protocol else []
        lines += [f"Sec-WebSocket-Extensions: {self.extensions}"] if self.extensions else []
        writer.write(("\r\n".join(lines) + "\r\n\r\n").encode())
        await self.wires.put(Wire(reader, writer, masks=False))
