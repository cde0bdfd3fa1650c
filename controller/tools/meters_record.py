"""``yardmaster meters record``: saves a device's registers in a file, once or for a while."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import IO, Literal

from controller.config_base import ModbusLine
from controller.io.field.bus import ILLEGAL_ADDRESS, ILLEGAL_VALUE, Bus, Buses, RefusedError
from controller.io.field.sunspec_device import asking, converse
from controller.tools.client import ToolError
from controller.tools.meters_image import Recording, Registers, Sample
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
    recording = Recording(line.unit, [], where_of(line), arguments.map or ("sunspec" if arguments.sunspec else ""))
    with _new_file(arguments.out) as file:
        try:
            await _record(arguments, template, recording, bus, line)
        except BaseException:
            arguments.out.unlink()
            raise
        finally:
            await bus.close()
        json.dump(recording.to_json(), file, separators=(",", ":"))
        file.write("\n")
    count = sum(map(len, recording.samples[0].tables.values()))
    refused = f", {len(recording.unreadable)} stretches refused" if recording.unreadable else ""
    print(f"{arguments.out}: {len(recording.samples)} samples of {count} registers{refused}")
    return 0 if count else 1


def _new_file(path: Path) -> IO[str]:
    """Raises ToolError."""
    try:
        return path.open("x", encoding="utf-8")
    except FileExistsError:
        raise ToolError(f"{path} exists already; name another file") from None
    except OSError as error:
        raise ToolError(f"{path} cannot be written ({error.strerror}); name a file in a folder that is yours") from None


async def _record(arguments: argparse.Namespace, template: Template | None, recording: Recording, bus: Bus, line: ModbusLine) -> None:
    """Fill the recording until its time is over, the line fails or somebody stops us. Raises ToolError if there is nothing in it then."""
    loop = asyncio.get_running_loop()
    began_s = loop.time()
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
            raise ToolError(f"nothing was recorded: {error or 'stopped'}") from None
        print(f"ended early: {error or 'stopped'}; what was recorded until then is kept", file=sys.stderr)


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
    """Every model by its length, until the end of the list. Raises ReadingError."""
    models = await converse(asking(bus, line), discover())
    whole = [Block(model.address, model.end - model.address) for model in models]
    cut = [Block(one.address + at, min(CHUNK, one.length - at)) for one in whole for at in range(0, one.length, CHUNK)]
    return [Block(models[0].address - len(MARK), len(MARK)), *cut, Block(models[-1].end, HEAD)]


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
