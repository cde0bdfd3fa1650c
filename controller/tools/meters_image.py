"""``yardmaster meters record`` and ``replay``: a device's registers in a file, and a device made of such a file.

The file is JSON: ``{"format": "yardmaster-registers", "version": 1, "device": ..., "unit": 1, "map": ..., "samples": [{"after_s": 0.0,
"holding": {"40000": [21365, 28243]}, "input": {}}], "unreadable": [[function, address, count]]}``; each key is the address of the first word
of a stretch. A sample holds all registers at one moment; replay goes through the samples as time did, again and again.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import struct
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from controller.config_base import ModbusLine
from controller.io.bus import ILLEGAL_ADDRESS, ILLEGAL_VALUE, Bus, Buses, RefusedError
from controller.io.tasks import end, spawn
from controller.tools.client import ToolError
from controller.tools.meters_line import add_line_arguments, line_of, map_of, several, where_of
from meters.reading import ReadingError
from meters.template import Block, Template

RECORD_EPILOG = """\
What is recorded: with --map everything the map reads; with --sunspec every model of the device; with --registers what you
say, holding registers or with "input:" before it input registers.

Examples:
  yardmaster meters record --host 192.168.1.20 --map abb_b23 --out abb.json
  yardmaster meters record --host 192.168.1.30 --sunspec --seconds 60 --every 2 --out inverter.json
  yardmaster meters record --device /dev/ttyUSB0 --unit 4 --registers 0-80,input:0-80 --out unknown.json
"""
REPLAY_EPILOG = """\
Serves the recorded device on this machine, read-only, with the unit id it had (and 0 and 255). Registers that were not
recorded are refused as a device refuses them.

Example:
  yardmaster meters replay abb.json --port 5020
  yardmaster meters read --host 127.0.0.1 --port 5020 --map abb_b23
"""
FORMAT = "yardmaster-registers"
CHUNK = 60
SUNSPEC_BASES = (40000, 50000, 0)
SUNS = [0x5375, 0x6E53]
MAX_FILE_BYTES = 64 * 1024 * 1024

Stretch = tuple[Literal[3, 4], Block]
Registers = dict[int, int]


@dataclass(slots=True)
class Sample:
    """All registers at one moment, by function."""

    after_s: float
    tables: dict[int, Registers] = field(default_factory=lambda: {3: {}, 4: {}})


@dataclass(slots=True)
class Recording:
    """A recorded device."""

    unit: int
    samples: list[Sample]
    device: str = ""
    map_name: str = ""
    unreadable: set[tuple[int, int, int]] = field(default_factory=set)

    def to_json(self) -> dict[str, Any]:
        """What goes into the file."""
        samples = [{"after_s": round(s.after_s, 3), "holding": _stretches(s.tables[3]), "input": _stretches(s.tables[4])} for s in self.samples]
        head = {"format": FORMAT, "version": 1, "device": self.device, "unit": self.unit, "map": self.map_name}
        return {**head, "unreadable": sorted(map(list, self.unreadable)), "samples": samples}


# -- record ------------------------------------------------------------------------------------------------


def add_record_arguments(parser: argparse.ArgumentParser) -> None:
    """The action's own arguments."""
    parser.epilog = RECORD_EPILOG
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--map", help="record what this register map reads: a name or a file")
    what.add_argument("--sunspec", action="store_true", help="record every SunSpec model")
    what.add_argument("--registers", metavar="RANGES", help="record these, e.g. 0-80,input:0-40")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="the file to write; it must not exist")
    parser.add_argument("--seconds", type=float, default=0.0, help="go on for so long (default: one sample)")
    parser.add_argument("--every", type=float, default=1.0, metavar="SECONDS", help="time between two samples (default: %(default)s)")
    parser.add_argument("--gap", type=float, default=0.05, metavar="SECONDS", help="silence between two requests (default: %(default)s)")
    add_line_arguments(parser)


async def record(arguments: argparse.Namespace) -> int:
    """Record; 0 if anything could be read."""
    line = line_of(arguments)
    template = map_of(arguments.map) if arguments.map else None
    gap_s = max(arguments.gap, template.min_gap_ms / 1000 if template else 0.0)
    bus = Buses().of(line, gap_s=gap_s, connect_delay_s=template.connect_delay_ms / 1000 if template else 0.0)
    if arguments.out.exists():
        raise ToolError(f"{arguments.out} exists already; name another file")
    loop = asyncio.get_running_loop()
    began_s = loop.time()
    recording = Recording(line.unit, [], where_of(line), arguments.map or ("sunspec" if arguments.sunspec else ""))
    try:
        stretches = list(await _wanted(arguments, template, bus, line))
        while not recording.samples or loop.time() - began_s < arguments.seconds:
            sample = Sample(loop.time() - began_s)
            for function, block in stretches:
                await _fill(sample.tables[function], recording.unreadable, bus, line, function, block)
            recording.samples.append(sample)
            print(f"sample {len(recording.samples)}: {sum(map(len, sample.tables.values()))} registers", file=sys.stderr)
            await asyncio.sleep(max(0.0, min(arguments.every, began_s + arguments.seconds - loop.time())))
    except (ReadingError, asyncio.CancelledError) as error:
        if not recording.samples:
            raise ToolError(f"nothing was recorded: {error}") from None
        print(f"ended early: {error or 'stopped'}; what was recorded until then is kept", file=sys.stderr)
    finally:
        await bus.close()
    count = sum(map(len, recording.samples[0].tables.values()))
    arguments.out.write_text(json.dumps(recording.to_json(), indent=None, separators=(",", ":")) + "\n", encoding="utf-8")
    refused = f", {len(recording.unreadable)} stretches refused" if recording.unreadable else ""
    print(f"{arguments.out}: {len(recording.samples)} samples of {count} registers{refused}")
    return 0 if count else 1


async def _wanted(arguments: argparse.Namespace, template: Template | None, bus: Bus, line: ModbusLine) -> Iterable[Stretch]:
    if template is not None:
        constants = [(mark.function or template.function, mark.span) for mark in template.marks]
        probe = [(template.function, template.probe.span)] if template.probe else []
        return [*((template.function, block) for block in template.plan()), *probe, *dict.fromkeys(constants)]
    if arguments.sunspec:
        return [(3, block) for block in await _sunspec_blocks(bus, line)]
    return [stretch for part in arguments.registers.split(",") for stretch in _ranges(part.strip())]


def _ranges(text: str) -> list[Stretch]:
    """A part of --registers. Raises ToolError."""
    table, _, numbers = text.rpartition(":")
    if table not in ("", "holding", "input"):
        raise ToolError(f"{text!r} is not understood; write e.g. 0-80, holding:40000-40099 or input:0-40")
    addresses = several(numbers, 0, 65535, "register range")
    function: Literal[3, 4] = 4 if table == "input" else 3
    return [(function, Block(addresses[0] + at, min(CHUNK, len(addresses) - at))) for at in range(0, len(addresses), CHUNK)]


async def _sunspec_blocks(bus: Bus, line: ModbusLine) -> list[Block]:
    """Every model by its length, until the end of the list. Raises ReadingError, ToolError."""
    for base in SUNSPEC_BASES:
        try:
            if await bus.read_registers(line, 3, base, 2) != SUNS:
                continue
        except RefusedError:
            continue
        blocks, address = [Block(base, 2)], base + 2
        while address < 65_530:
            try:
                model, length = await bus.read_registers(line, 3, address, 2)
            except RefusedError:
                break
            if model in (0, 0xFFFF):
                blocks.append(Block(address, 2))
                break
            whole = 2 + length
            blocks += [Block(address + at, min(CHUNK, whole - at)) for at in range(0, whole, CHUNK)]
            address += whole
        return blocks
    raise ToolError("no SunSpec device: the letters SunS are at none of 40000, 50000, 0; use --map or --registers")


async def _fill(table: Registers, unreadable: set[tuple[int, int, int]], bus: Bus, line: ModbusLine, function: Literal[3, 4], block: Block) -> None:
    """Read a block into the table; what the device refuses is halved down to single registers and noted. Raises ReadingError."""
    if (function, block.address, block.length) in unreadable:
        return
    try:
        words = await bus.read_registers(line, function, block.address, block.length)
    except RefusedError as error:
        if error.code not in (ILLEGAL_ADDRESS, ILLEGAL_VALUE) or block.length == 1:
            unreadable.add((function, block.address, block.length))
            return
        half = block.length // 2
        await _fill(table, unreadable, bus, line, function, Block(block.address, half))
        await _fill(table, unreadable, bus, line, function, Block(block.address + half, block.length - half))
        return
    table.update(enumerate(words, block.address))


def _stretches(table: Mapping[int, int]) -> dict[str, list[int]]:
    """Registers as stretches without holes."""
    found: dict[str, list[int]] = {}
    start, last = "", -2
    for address in sorted(table):
        if address != last + 1:
            start = str(address)
            found[start] = []
        found[start].append(table[address])
        last = address
    return found


# -- replay ------------------------------------------------------------------------------------------------


def add_replay_arguments(parser: argparse.ArgumentParser) -> None:
    """The action's own arguments."""
    parser.epilog = REPLAY_EPILOG
    parser.add_argument("file", type=Path, help="a file of yardmaster meters record")
    parser.add_argument("--port", type=int, default=5020, help="TCP port on 127.0.0.1 (default: %(default)s; 0 picks a free one)")


async def replay(arguments: argparse.Namespace) -> int:
    """Serve until Ctrl-C."""
    recording = load(arguments.file)
    async with serving(recording, arguments.port) as port:
        known = f", map {recording.map_name}" if recording.map_name else ""
        print(f"{recording.device or 'the device'} answers at 127.0.0.1 port {port} unit {recording.unit}{known}; stop with Ctrl-C", flush=True)
        await asyncio.Event().wait()
    return 0


def load(path: Path) -> Recording:
    """A recording from its file. Raises ToolError."""
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise ToolError(f"{path} is larger than {MAX_FILE_BYTES >> 20} MiB; that is no register recording")
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ToolError(f"{path} cannot be read: {error}") from None
    try:
        return _parsed(data)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ToolError(f"{path} is no recording of yardmaster meters record ({type(error).__name__}: {error})") from None


def _parsed(data: Any) -> Recording:
    if data["format"] != FORMAT or data["version"] != 1:
        raise ValueError(f"format {data['format']!r}, version {data['version']!r}")
    samples = [Sample(float(s["after_s"]), {3: _table(s["holding"]), 4: _table(s["input"])}) for s in data["samples"]]
    if not samples:
        raise ValueError("it has no samples")
    if not 0 <= int(data["unit"]) <= 255:
        raise ValueError(f"unit {data['unit']}")
    return Recording(int(data["unit"]), samples, str(data.get("device", "")), str(data.get("map", "")))


def _table(stretches: Mapping[str, Sequence[int]]) -> Registers:
    table = {int(start) + at: int(word) for start, words in stretches.items() for at, word in enumerate(words)}
    if any(not 0 <= address <= 0xFFFF or not 0 <= word <= 0xFFFF for address, word in table.items()):
        raise ValueError("an address or a register is not within 0..65535")
    return table


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
        return next(sample for sample in reversed(samples) if sample.after_s <= at_s or sample is samples[0])
