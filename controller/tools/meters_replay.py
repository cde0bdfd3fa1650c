"""``yardmaster meters replay``: a device made of a recording. It goes through the samples as time did, again and again."""

from __future__ import annotations

import argparse
import asyncio
import struct
from bisect import bisect_right
from pathlib import Path

from controller.io.tasks import end, spawn
from controller.tools.client import ToolError
from controller.tools.meters_image import Recording, Sample, load

EPILOG = """\
Serves the recorded device on this machine, read-only, with the unit id it had (and 0 and 255). Registers that were not
recorded are refused as a device refuses them.

Example:
  yardmaster meters replay abb.json --port 5020
  yardmaster meters read --host 127.0.0.1 --port 5020 --map abb_b23
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The action's own arguments."""
    parser.epilog = EPILOG
    parser.add_argument("file", type=Path, help="a file of yardmaster meters record")
    parser.add_argument("--port", type=int, default=5020, help="TCP port on 127.0.0.1 (default: %(default)s; 0 picks a free one)")


async def run(arguments: argparse.Namespace) -> int:
    """Serve until Ctrl-C."""
    recording = load(arguments.file)
    async with serving(recording, arguments.port) as port:
        known = f", map {recording.map_name}" if recording.map_name else ""
        print(f"{recording.device or 'the device'} answers at 127.0.0.1 port {port} unit {recording.unit}{known}; stop with Ctrl-C", flush=True)
        await asyncio.Event().wait()
    return 0


class serving:  # noqa: N801 - used like a function
    """``async with serving(recording, port) as port``: the recorded device on loopback, as long as the block lasts. Raises ToolError."""

    def __init__(self, recording: Recording, port: int) -> None:
        self._recording, self._port = recording, port
        self._clients: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self._began_s = 0.0

    async def __aenter__(self) -> int:
        try:
            self._server = await asyncio.start_server(self._welcome, "127.0.0.1", self._port)
        except OSError as error:
            raise ToolError(f"cannot listen on 127.0.0.1 port {self._port} ({error.strerror}); choose another --port") from None
        self._began_s = asyncio.get_running_loop().time()
        return int(self._server.sockets[0].getsockname()[1])

    async def __aexit__(self, *_: object) -> None:
        if self._server is not None:
            self._server.close()
        await end(list(self._clients))

    def _welcome(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = spawn(self._serve(reader, writer), "replay client")
        self._clients.add(task)
        task.add_done_callback(self._clients.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                tid, protocol, length = struct.unpack(">HHH", await reader.readexactly(6))
                if protocol or not 2 <= length <= 254:
                    return
                body = await reader.readexactly(length)
                pdu = self._answer(body[0], body[1:])
                writer.write(struct.pack(">HHHB", tid, 0, 1 + len(pdu), body[0]) + pdu)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            writer.close()

    def _answer(self, unit: int, pdu: bytes) -> bytes:
        function = pdu[0]
        if unit not in (self._recording.unit, 0, 255):
            return bytes([function | 0x80, 11])
        if function not in (3, 4) or len(pdu) != 5:
            return bytes([function | 0x80, 1])
        address, count = struct.unpack(">HH", pdu[1:])
        if not 1 <= count <= 125:
            return bytes([function | 0x80, 3])
        table = self._now().tables[function]
        words = [table.get(at) for at in range(address, address + count)]
        if None in words:
            return bytes([function | 0x80, 2])
        return struct.pack(f">BB{count}H", function, 2 * count, *words)

    def _now(self) -> Sample:
        samples = self._recording.samples
        span_s = samples[-1].after_s + (samples[-1].after_s / (len(samples) - 1) if len(samples) > 1 else 1.0)
        at_s = (asyncio.get_running_loop().time() - self._began_s) % span_s if span_s > 0 else 0.0
        return samples[max(0, bisect_right(samples, at_s, key=lambda sample: sample.after_s) - 1)]
