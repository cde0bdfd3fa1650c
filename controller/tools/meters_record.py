"""``yardmaster meters record``: saves a device's registers in a file, once or for a while."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import IO, Literal

from controller.config_base import ModbusLine
from controller.io.field.bus import ILLEGAL_FUNCTION, Bus, Buses, RefusedError
from controller.io.field.modbus import CUT_AFTER
from controller.io.field.sunspec_device import asking, converse
from controller.tools.client import ToolError, UsageError
from controller.tools.meters_image import Registers, Writer
from controller.tools.meters_line import add_line_arguments, line_of, map_of, seconds, several, where_of
from meters.reading import ReadingError
from meters.sunspec import MARK, discover
from meters.sunspec_models import HEAD
from meters.template import Block, Template

EPILOG = """\
What is recorded: with --map everything the map reads; with --sunspec every model of the device; with --registers what you
say, holding registers or with "input:" before it input registers.

Examples:
  yardmaster meters record --host 192.168.1.20 --map abb_b23 --out abb.json
  yardmaster meters record --host 192.168.1.30 --sunspec --seconds 60 --every 2 --out inverter.json
  yardmaster meters record --device /dev/ttyUSB0 --unit 4 --registers 0-80,input:0-80 --out unknown.json
"""
CHUNK = 60

Stretch = tuple[Literal[3, 4], Block]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The action's own arguments."""
    parser.epilog = EPILOG
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--map", help="record what this register map reads: a name or a file")
    what.add_argument("--sunspec", action="store_true", help="record every SunSpec model")
    what.add_argument("--registers", metavar="RANGES", help="record these, e.g. 0-80,input:0-40")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="the file to write; it must not exist")
    parser.add_argument("--seconds", type=float, default=0.0, help="go on for so long (default: one sample)")
    parser.add_argument("--every", type=seconds, default=1.0, metavar="SECONDS", help="time between two samples (default: %(default)s)")
    parser.add_argument("--gap", type=float, default=0.05, metavar="SECONDS", help="silence between two requests (default: %(default)s)")
    add_line_arguments(parser)


async def run(arguments: argparse.Namespace) -> int:
    """Record; 0 if anything could be read. The file is made first: nothing is asked for what cannot be kept."""
    template = map_of(arguments.map) if arguments.map else None
    line = line_of(arguments, template)
    gap_s = max(arguments.gap, template.min_gap_ms / 1000 if template else 0.0)
    bus = Buses().of(line, gap_s=gap_s, connect_delay_s=template.connect_delay_ms / 1000 if template else 0.0)
    with _new_file(arguments.out) as file:
        writer = Writer(file, line.unit, where_of(line), arguments.map or ("sunspec" if arguments.sunspec else ""))
        try:
            count = await _record(arguments, template, writer, bus, line)
        except BaseException:
            if not writer.count:
                arguments.out.unlink()
            raise
        finally:
            await bus.close()
        writer.end()
    refused = f", {len(writer.unreadable)} stretches refused" if writer.unreadable else ""
    print(f"{arguments.out}: {writer.count} samples of {count} registers{refused}")
    return 0 if count else 1


def _new_file(path: Path) -> IO[str]:
    """Raises ToolError."""
    try:
        return path.open("x", encoding="utf-8")
    except FileExistsError:
        raise ToolError(f"{path} exists already; name another file") from None
    except OSError as error:
        raise ToolError(f"{path} cannot be written ({error.strerror}); name a file in a folder that is yours") from None


async def _record(arguments: argparse.Namespace, template: Template | None, writer: Writer, bus: Bus, line: ModbusLine) -> int:
    """Record until the time is over or somebody stops us; the registers of a sample. Raises ToolError if there is none then.

    A device that does not answer for a while leaves a gap.
    """
    loop, count = asyncio.get_running_loop(), 0
    began_s = loop.time()
    reader = _Reader(bus, line, writer.unreadable, template.split if template is not None else halves)
    try:
        stretches = list(await _wanted(arguments, template, bus, line))
        while not writer.count or loop.time() - began_s < arguments.seconds:
            after_s = loop.time() - began_s
            try:
                tables = await reader.sample(stretches)
            except ReadingError as error:
                if not writer.count:
                    raise
                print(f"no sample after {after_s:.0f} s: {error}", file=sys.stderr)
            else:
                writer.add(after_s, tables)
                count = max(count, sum(map(len, tables.values())))
                print(f"sample {writer.count}: {sum(map(len, tables.values()))} registers", file=sys.stderr)
            await asyncio.sleep(max(0.0, min(arguments.every, began_s + arguments.seconds - loop.time())))
    except (ReadingError, asyncio.CancelledError) as error:
        if not writer.count:
            raise ToolError(f"nothing was recorded: {error or 'stopped'}") from None
        print("stopped; what was recorded until then is kept", file=sys.stderr)
    return count


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
        raise UsageError(f"{text!r} is not understood; write e.g. 0-80, holding:40000-40099 or input:0-40")
    addresses = several(numbers, 0, 65535, "register range")
    function: Literal[3, 4] = 4 if table == "input" else 3
    return [(function, Block(addresses[0] + at, min(CHUNK, len(addresses) - at))) for at in range(0, len(addresses), CHUNK)]


async def _sunspec_blocks(bus: Bus, line: ModbusLine) -> list[Block]:
    """Every model by its length, until the end of the list. Raises ReadingError."""
    models = await converse(asking(bus, line), discover())
    whole = [Block(model.address, model.end - model.address) for model in models]
    cut = [Block(one.address + at, min(CHUNK, one.length - at)) for one in whole for at in range(0, one.length, CHUNK)]
    return [Block(models[0].address - len(MARK), len(MARK)), *cut, Block(models[-1].end, HEAD)]


def halves(block: Block) -> tuple[Block, ...]:
    """A stretch in two; the first of even length where it is long, as most values have two registers."""
    if block.length == 1:
        return (block,)
    half = block.length // 2 // 2 * 2 or 1
    return Block(block.address, half), Block(block.address + half, block.length - half)


class _Reader:
    """Reads stretches into tables. What the device refuses is cut, by the map's values where there is a map, and noted when it is one value."""

    def __init__(self, bus: Bus, line: ModbusLine, unreadable: set[tuple[int, int, int]], cut: Callable[[Block], tuple[Block, ...]]) -> None:
        self._bus, self._line, self._unreadable, self._cut = bus, line, unreadable, cut
        self._cuts: dict[tuple[int, Block], tuple[Block, ...]] = {}

    async def sample(self, stretches: Iterable[Stretch]) -> dict[int, Registers]:
        """All of it, now. Raises ReadingError."""
        tables: dict[int, Registers] = {3: {}, 4: {}}
        for function, block in stretches:
            await self.fill(tables[function], function, block)
        return tables

    async def fill(self, table: Registers, function: Literal[3, 4], block: Block) -> None:
        """Read a block into the table. Raises ReadingError."""
        for part in self._cuts.get((function, block), ()):
            await self.fill(table, function, part)
        if (function, block) in self._cuts or (function, block.address, block.length) in self._unreadable:
            return
        try:
            words = await self._bus.read_registers(self._line, function, block.address, block.length)
        except RefusedError as error:
            if error.code not in (*CUT_AFTER, ILLEGAL_FUNCTION):
                raise  # busy, or a gateway without its device: not now
            parts = self._cut(block) if error.code in CUT_AFTER else (block,)
            if parts == (block,):
                self._unreadable.add((function, block.address, block.length))
                return
            self._cuts[function, block] = parts
            await self.fill(table, function, block)
            return
        table.update(enumerate(words, block.address))
