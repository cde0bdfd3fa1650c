"""``yardmaster meters scan``: what answers at these addresses, and which register map fits it."""

from __future__ import annotations

import argparse
import asyncio
import ipaddress
import itertools
import json
import sys
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Literal

from controller.config_base import ModbusLine
from controller.io.bus import Bus, Buses, RefusedError
from controller.paths import config_dir
from controller.tools.client import ToolError
from controller.tools.lines import printable
from controller.tools.meters_line import ASSUMED_FUSE_A, add_line_arguments, line_of, several, where_of
from meters.decode import RegisterImage, decode, probe_matches
from meters.quality import Convention, Expectation, judge
from meters.reading import Quality, Reading, ReadingError
from meters.template import PHASES, Block, Mark, Probe, Template, load_all

EPILOG = """\
Only reads, one request at a time per address, with a pause between two. A device that accepts one client only must not be
in use by somebody else meanwhile.

"known by its constant": the device shows what only this model shows. "plausible": the numbers make sense when read with
this map; several maps may. Compare with the display before you use one.

Examples:
  yardmaster meters scan --host 192.168.1.20
  yardmaster meters scan --host 192.168.1.10-60 --port 502,1502 --unit 1-3,71
  yardmaster meters scan --device /dev/ttyUSB0 --baud 9600,19200 --parity N,E --unit 1-20
"""
USUAL_UNITS = (1, 2, 3, 71, 100, 200, 240, 247)
AT_ONCE = 32
MAX_ADDRESSES = 4096
SUNS = (0x5375, 0x6E53)
SUNSPEC_BASES = (40000, 50000, 0)
FUNCTIONS: tuple[Literal[3], Literal[4]] = (3, 4)
NOBODY = frozenset({4, 10, 11})
ENOUGH = 2
"""Pieces of evidence (voltages, frequency, a sum that fits) from which on a map is called plausible."""


@dataclass(slots=True)
class Match:
    """A way to read a device. evidence: how much speaks for it, 100 and more = a constant."""

    source: str
    name: str
    evidence: int
    why: str


@dataclass(slots=True)
class Device:
    """One unit that answered."""

    unit: int
    matches: list[Match] = field(default_factory=list)
    note: str = ""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The action's own arguments."""
    parser.epilog = EPILOG
    add_line_arguments(parser, many=True)
    parser.set_defaults(timeout=0.5)
    parser.add_argument("--gap", type=float, default=0.02, metavar="SECONDS", help="pause between two requests to a device (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="print JSON, one object per address and line")


async def run(arguments: argparse.Namespace) -> int:
    """Scan; 0 if anything answered."""
    lines = list(_lines(arguments))
    maps = load_all(config_dir() / "meters")
    units = several(arguments.unit, 0, 255, "unit") if arguments.unit else list(range(1, 17)) if arguments.device else list(USUAL_UNITS)
    progress, found, gate = Progress(len(lines) * len(units)), 0, asyncio.Semaphore(AT_ONCE)

    async def one(line: ModbusLine) -> None:
        nonlocal found
        async with gate:
            devices = await scan_line(line, units, maps, arguments.gap, progress)
        found += len(devices)
        progress.clear()
        _tell(line, devices, arguments.json)

    if arguments.device:  # one port: its speeds one after the other
        for line in lines:
            await one(line)
    else:
        await asyncio.gather(*(one(line) for line in lines))
    progress.clear()
    if not found:
        print("nothing answers: check address, port, unit ids, and whether another client has the device's only connection", file=sys.stderr)
    return 0 if found else 1


async def scan_line(line: ModbusLine, units: Iterable[int], maps: dict[str, Template], gap_s: float, progress: Progress) -> list[Device]:
    """The units that answer on a line."""
    bus, devices = Buses().of(line), []
    try:
        for unit in units:
            here = line.model_copy(update={"unit": unit})
            bus.know(here, gap_s)
            progress.step(where_of(here))
            asker = Asker(bus, here)
            if await asker.alive():
                devices.append(Device(unit, await asker.matches(maps)))
            elif asker.unreachable:
                break
    finally:
        await bus.close()
    return devices


class Progress:
    """A line on the terminal that says where we are; nothing if nobody watches."""

    def __init__(self, total: int) -> None:
        self._total, self._done = total, 0
        self._shows = sys.stderr.isatty()

    def step(self, where: str) -> None:
        """The next unit."""
        self._done += 1
        if self._shows:
            print(f"\r\x1b[K{self._done} of at most {self._total}: {where}", end="", file=sys.stderr, flush=True)

    def clear(self) -> None:
        """Make room for a result."""
        if self._shows:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)


class Asker:
    """Asks one unit, each thing once. unreachable: there is no connection at all."""

    def __init__(self, bus: Bus, line: ModbusLine) -> None:
        self.unreachable = False
        self._bus, self._line = bus, line
        self._known: dict[tuple[int, int, int], list[int] | None] = {}
        self._silences = 0

    async def alive(self) -> bool:
        """Whether anything comes back, be it a refusal. Gateways say 10 or 11 for nobody, some servers 4 to every read."""
        for function in FUNCTIONS:
            try:
                await self._bus.read_registers(self._line, function, 0, 1)
            except RefusedError as error:
                if error.code not in NOBODY:
                    return True
            except ReadingError as error:
                self.unreachable = error.reason == "not connected"
                if self.unreachable:
                    return False
            else:
                return True
        return False

    async def matches(self, maps: dict[str, Template]) -> list[Match]:
        """Every way to read it, the best first."""
        found = await self._sunspec()
        for name, template in maps.items():
            if self._silences > 2:
                break
            match = await self._fits(name, template)
            if match is not None:
                found.append(match)
        return sorted(found, key=lambda match: -match.evidence)

    # -- SunSpec ---------------------------------------------------------------------------------

    async def _sunspec(self) -> list[Match]:
        for base in SUNSPEC_BASES:
            if tuple(await self.words(3, Block(base, 2)) or ()) == SUNS:
                models, name = await self._models(base + 2)
                listed = ", ".join(map(str, models))
                return [Match("sunspec", name or "a device", 200, f"SunSpec at {base} with models {listed}")]
        return []

    async def _models(self, address: int) -> tuple[list[int], str]:
        models: list[int] = []
        name = ""
        while address < 65_500 and len(models) < 100:
            head = await self.words(3, Block(address, 2))
            if head is None or head[0] in (0, 0xFFFF):
                break
            if head[0] == 1 and (words := await self.words(3, Block(address + 2, 32))):
                name = " ".join(_text(part) for part in (words[:16], words[16:])).strip()
            models.append(head[0])
            address += 2 + head[1]
        return models, name

    # -- register maps ---------------------------------------------------------------------------

    async def _fits(self, name: str, template: Template) -> Match | None:
        says = await self._marked(template)
        if template.probe is not None and not await self._has(template.probe, template.function):
            return None
        image: dict[int, int] = {}
        for block in sorted(template.plan(), key=lambda block: not _telling(block, template)):
            words = await self.words(template.function, block)
            if words is None and template.essential(block):
                return None
            image.update(enumerate(words or (), block.address))
        reading = _reading(template, image)
        evidence = _evidence(reading) + (100 if says or template.probe is not None else 0)
        if reading.quality is Quality.BAD or evidence < ENOUGH:
            return None
        why = f"known by its constant{f' ({says})' if says else ''}" if evidence >= 100 else "plausible"
        return Match(name, template.name, evidence, f"{why}: {_values(reading)}")

    async def _marked(self, template: Template) -> str:
        for mark in template.marks:
            if await self._has(mark, mark.function or template.function):
                return mark.says
        return ""

    async def _has(self, constant: Probe | Mark, function: Literal[3, 4]) -> bool:
        words = await self.words(function, constant.span)
        return words is not None and probe_matches(constant, dict(enumerate(words, constant.address)))

    async def words(self, function: Literal[3, 4], block: Block) -> list[int] | None:
        """The words of a block; None if the device refuses or stays silent."""
        key = (function, block.address, block.length)
        if key not in self._known:
            try:
                self._known[key] = await self._bus.read_registers(self._line, function, block.address, block.length)
                self._silences = 0
            except RefusedError:
                self._known[key] = None
            except ReadingError:
                self._known[key] = None
                self._silences += 1
        return self._known[key]


def _telling(block: Block, template: Template) -> bool:
    """True for the block with a voltage, or a current: if that is refused the rest need not be asked."""
    return any(block.covers(register.span) for name, register in template.registers.items() if name in ("u_l1", "i_l1"))


def _reading(template: Template, image: RegisterImage) -> Reading:
    needed = tuple(at for at, phase in enumerate(PHASES) if f"i_{phase}" in template.registers)
    convention = Convention(template.sign, template.current or "signed")
    return judge("scan", decode(template, image), convention, Expectation(ASSUMED_FUSE_A, current_phases=needed))


def _evidence(reading: Reading) -> int:
    """Numbers that only a right map shows: mains voltage, mains frequency, a total that is the sum of phases that flow."""
    volts = sum(value is not None and (200 < value < 260 or 100 < value < 140) for value in reading.voltage_v)
    hertz = reading.frequency_hz is not None and (49 < reading.frequency_hz < 51 or 59 < reading.frequency_hz < 61)
    phases = [power for power in reading.phase_power_w if power]
    adds_up = len(phases) == 3 and reading.power_w is not None and abs(reading.power_w - sum(phases)) < 0.01 * abs(sum(phases)) + 1
    return volts + 2 * hertz + adds_up


def _values(reading: Reading) -> str:
    volts = "/".join("-" if value is None else f"{value:.0f}" for value in reading.voltage_v)
    amps = "/".join("-" if value is None else f"{value:.1f}" for value in reading.current_a)
    power = "-" if reading.power_w is None else f"{reading.power_w:.0f}"
    return f"{volts} V, {amps} A, {power} W"


def _text(words: Iterable[int]) -> str:
    raw = b"".join(word.to_bytes(2, "big") for word in words).split(b"\0")[0]
    return printable(raw.decode("ascii", "replace").strip())


# -- addresses ---------------------------------------------------------------------------------------


def _lines(arguments: argparse.Namespace) -> Iterator[ModbusLine]:
    """Every address of the ranges. Raises ToolError."""
    if arguments.device:
        bauds, parities = arguments.baud.split(","), arguments.parity.split(",")
        for baud, parity in itertools.product(bauds, parities):
            yield _line(arguments, baud=baud, parity=parity)
        return
    hosts = list(_hosts(arguments.host or ""))
    ports = several(arguments.port, 1, 65535, "port") if arguments.port else [802 if arguments.framing == "tls" else 502]
    if len(hosts) * len(ports) > MAX_ADDRESSES:
        raise ToolError(f"{len(hosts) * len(ports)} addresses are too many at once; scan at most {MAX_ADDRESSES}")
    for host, port in itertools.product(hosts, ports):
        yield _line(arguments, host=host, port=port)


def _line(arguments: argparse.Namespace, **more: object) -> ModbusLine:
    plain = argparse.Namespace(**{**vars(arguments), "unit": 1, "port": None, **more})
    return line_of(plain)


def _hosts(text: str) -> Iterator[str]:
    """Addresses of 192.168.1.20-40,192.168.2.0/28,meter.local. Raises ToolError."""
    if not text:
        raise ToolError("name what to scan: --host ADDRESS or --device SERIALPORT")
    for part in (item.strip() for item in text.split(",")):
        try:
            if "/" in part:
                yield from map(str, itertools.islice(ipaddress.ip_network(part, strict=False).hosts(), MAX_ADDRESSES + 1))
                continue
            first, dash, last = part.rpartition("-")
            if dash and first.count(".") == 3 and last.isdigit():
                start = ipaddress.IPv4Address(first)
                yield from (str(start + at) for at in range(int(last) - int(str(start).rpartition(".")[2]) + 1))
                continue
        except ValueError as error:
            raise ToolError(f"{part!r} is no range of addresses ({error}); write e.g. 192.168.1.20-40 or 192.168.1.0/24") from None
        yield part


# -- telling -----------------------------------------------------------------------------------------


def _tell(line: ModbusLine, devices: list[Device], as_json: bool) -> None:
    if not devices:
        return
    place = where_of(line).rpartition(" unit ")[0]
    if as_json:
        print(json.dumps({"line": place, "units": [asdict(device) for device in devices]}, ensure_ascii=False), flush=True)
        return
    print(place)
    for units, device in _alike(devices):
        print(f"  unit {units}:", end="")
        if not device.matches:
            print(" answers, but no register map fits; its manual and config/meters/generic.yaml make one")
        for number, match in enumerate(device.matches[:5]):
            print(f"{' ' * (0 if number == 0 else 9 + len(units))} {match.name}: {match.why}")
        if device.matches:
            print(f"      source: {_source(line, device)}")
    sys.stdout.flush()


def _alike(devices: list[Device]) -> Iterator[tuple[str, Device]]:
    """Units that show the same, as devices without a bus answer every unit id."""
    groups: dict[str, list[Device]] = {}
    for device in devices:
        groups.setdefault(repr([(m.source, m.name) for m in device.matches]), []).append(device)
    for group in groups.values():
        units = ", ".join(str(device.unit) for device in group)
        yield units + (" (alike: it may answer to every unit id)" if len(group) > 2 and group[0].matches else ""), group[0]


def _source(line: ModbusLine, device: Device) -> str:
    """What to write in the site file."""
    best = device.matches[0]
    kind = ["type: sunspec"] if best.source == "sunspec" else ["type: modbus", f"map: {best.source}"]
    if line.framing == "rtu":
        place = [f"framing: rtu, device: {line.device}, baud: {line.baud}, parity: {line.parity}"]
    else:
        place = [f"host: {line.host}, port: {line.port}", *([f"framing: {line.framing}"] if line.framing != "tcp" else [])]
    return "{" + ", ".join([*kind, *place, f"unit: {device.unit}"]) + "}"
