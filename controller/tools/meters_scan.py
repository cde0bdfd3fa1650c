"""``yardmaster meters scan``: what answers at these addresses, and which register map fits it."""

from __future__ import annotations

import argparse
import asyncio
import ipaddress
import itertools
import json
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

from controller.config_base import ModbusLine
from controller.io.field.bus import Buses
from controller.paths import config_dir
from controller.tools.client import UsageError
from controller.tools.meters_fit import SURE, Asker, Match
from controller.tools.meters_line import add_line_arguments, line_of, several, where_of
from meters.template import Template, load_all

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
USUAL_UNITS = (1, 2, 3, 71, 100, 126, 200, 240, 247, 255, 0)
AT_ONCE = 32
MAX_ADDRESSES = 4096
PLAIN = re.compile(r"[A-Za-z/][\w./-]*|\d+(\.\d+){3}")
"""What YAML takes for text without quotes."""


@dataclass(slots=True)
class Device:
    """One unit that answered. meters: what to write in the site file."""

    unit: int
    matches: list[Match] = field(default_factory=list)
    meters: list[dict[str, Any]] = field(default_factory=list)


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
    silent: list[str] = []

    async def one(line: ModbusLine) -> None:
        nonlocal found
        async with gate:
            devices = await scan_line(line, units, maps, arguments.gap, progress)
            if devices == [] and arguments.framing is None and line.framing == "tcp":  # a serial gateway in raw mode?
                line = line.model_copy(update={"framing": "rtu_over_tcp"})
                devices = await scan_line(line, units, maps, arguments.gap, progress)
        if devices == []:
            silent.append(where_of(line).rpartition(" unit ")[0])
        found += len(devices or ())
        progress.clear()
        _tell(line, devices or [], arguments.json)

    if arguments.device:  # one port: its speeds one after the other
        for line in lines:
            await one(line)
    else:
        await asyncio.gather(*(one(line) for line in lines))
    progress.clear()
    if not found:
        print(_nothing(silent), file=sys.stderr)
    return 0 if found else 1


def _nothing(silent: list[str]) -> str:
    """Why nothing may have been found, and what to do."""
    text = "nothing answers: check address, port, unit ids, and whether another client has the device's only connection"
    if silent:
        text += (
            f"\n{', '.join(silent[:3])}: takes the connection and stays silent; try all unit ids with --unit 0-255, a slow device with --timeout 2,"
        )
        text += "\n  or, if you know what it is, yardmaster meters read with its map"
    return text


async def scan_line(line: ModbusLine, units: Iterable[int], maps: dict[str, Template], gap_s: float, progress: Progress) -> list[Device] | None:
    """The units that answer on a line; None = there is no connection at all."""
    bus, devices = Buses().of(line), []
    try:
        for unit in units:
            here = line.model_copy(update={"unit": unit})
            bus.know(here, gap_s)
            progress.step(where_of(here))
            asker = Asker(bus, here)
            if await asker.alive():
                device = Device(unit, await asker.matches(maps))
                if device.matches or not asker.unsure:
                    device.meters = meters_of(here, device.matches)
                    devices.append(device)
            elif asker.unreachable:
                return devices or None
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
        raise UsageError(f"{len(hosts) * len(ports)} addresses are too many at once; scan at most {MAX_ADDRESSES}")
    for host, port in itertools.product(hosts, ports):
        yield _line(arguments, host=host, port=port)


def _line(arguments: argparse.Namespace, **more: object) -> ModbusLine:
    plain = argparse.Namespace(**{**vars(arguments), "unit": 1, "port": None, **more})
    return line_of(plain)


def _hosts(text: str) -> Iterator[str]:
    """Addresses of 192.168.1.20-40,192.168.2.0/28,meter.local. Raises ToolError."""
    if not text:
        raise UsageError("name what to scan: --host ADDRESS or --device SERIALPORT")
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
            raise UsageError(f"{part!r} is no range of addresses ({error}); write e.g. 192.168.1.20-40 or 192.168.1.0/24") from None
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
        if device.meters:
            print("      meters:")
        for meter in device.meters:
            print(f"        - {_flow(meter)}")
        for note in device.matches[0].caution if device.matches else ():
            print(f"      note: {note}")
    sys.stdout.flush()


def _alike(devices: list[Device]) -> Iterator[tuple[str, Device]]:
    """Units that show the same, as devices without a bus answer every unit id."""
    groups: dict[str, list[Device]] = {}
    for device in devices:
        groups.setdefault(repr([(m.source, m.name) for m in device.matches]), []).append(device)
    for group in groups.values():
        units = ", ".join(str(device.unit) for device in group)
        yield units + (" (alike: it may answer to every unit id)" if len(group) > 2 and group[0].matches else ""), group[0]


def meters_of(line: ModbusLine, matches: list[Match]) -> list[dict[str, Any]]:
    """Entries of ``meters`` in a site file: one per role, of the best match and what belongs to the same device."""
    found: dict[str, dict[str, Any]] = {}
    for match in matches:
        if match.source == matches[0].source or (_family(match) == _family(matches[0]) and match.evidence >= min(SURE, matches[0].evidence)):
            for role in match.roles:
                wiring = {"phases": list(match.phases)} if match.phases else {}
                found.setdefault(role, {"id": role, "role": role, **wiring, "source": source_of(line, match, role)})
    return list(found.values())


def source_of(line: ModbusLine, match: Match, role: str) -> dict[str, Any]:
    """How it is read."""
    kind = {"type": "sunspec"} if match.source == "sunspec" else {"type": "modbus", "map": match.source}
    sign = {"sign": match.sign} if match.sign and role == "grid" else {}
    if line.framing == "rtu":
        place: dict[str, Any] = {"framing": "rtu", "device": line.device, "baud": line.baud, "parity": line.parity}
        place |= {"stop_bits": line.stop_bits} if line.stop_bits != 1 else {}
    else:
        place = {"host": line.host, "port": line.port} | ({"framing": line.framing} if line.framing != "tcp" else {})
        files = {"ca_file": line.ca_file, "cert_file": line.cert_file, "key_file": line.key_file, "server_name": line.server_name}
        place |= {name: str(value) for name, value in files.items() if value is not None}
    return {**kind, **place, "unit": line.unit, **sign}


def _family(match: Match) -> str:
    return match.source.partition("_")[0]


def _flow(value: Any) -> str:
    """YAML on one line."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name}: {_flow(item)}" for name, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_flow, value)) + "]"
    return json.dumps(value) if isinstance(value, str) and not PLAIN.fullmatch(value) else str(value)
