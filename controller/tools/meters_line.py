"""Which meter a person means: one of the site file, or an address and a register map. Shared by the actions of ``yardmaster meters``."""

from __future__ import annotations

import argparse
import asyncio
import difflib
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from controller.config import PHASE_INDEX, Config, HttpSource, ModbusSource
from controller.config_base import ModbusLine
from controller.config_meters import MeterConfig, SunSpecSource
from controller.facts import MeterFailed
from controller.io.clock import Clock
from controller.io.field.bus import Bus, Buses
from controller.io.field.http_meters import HttpMeter
from controller.io.field.meter_desk import MeterDesk
from controller.io.field.meter_rules import expectation
from controller.io.field.modbus import ModbusMeter
from controller.io.field.sunspec import SunSpecMeter
from controller.io.field.sunspec_device import SunSpecDevice
from controller.paths import config_dir
from controller.tools.client import ToolError, UsageError, read_config
from meters.quality import Expectation
from meters.reading import Reading, ReadingError
from meters.sunspec import BASES
from meters.template import PHASES, Template, TemplateError, find_template, load_template

ASSUMED_FUSE_A = 630.0
"""For a meter that is not of a site: only what no fuse of a depot lets pass is out of range."""


@dataclass(frozen=True, slots=True)
class Subject:
    """A meter to read. where: its address for people. template: its register map, None for others. line: None where it is not Modbus."""

    name: str
    what: str
    where: str
    poll_s: float
    poll: Callable[[], Awaitable[Reading]]
    close: Callable[[], Awaitable[None]]
    template: Template | None = None
    line: ModbusLine | None = None
    bus: Bus | None = None


def seconds(text: str) -> float:
    """A time on the command line, more than nothing [s]."""
    value = float(text)
    if not 0 < value < 1e6:
        raise argparse.ArgumentTypeError(f"{text} is no time above 0 s")
    return value


def add_line_arguments(parser: argparse.ArgumentParser, many: bool = False) -> None:
    """Where a Modbus device is. many: ranges are allowed."""
    group = parser.add_argument_group("the line")
    note = "; ranges: 192.168.1.20-40, 192.168.1.0/24, several with commas" if many else ""
    group.add_argument("--host", help=f"address of the device or its gateway{note}")
    ports = "502; several with commas" if many else "its map's, else 502, for tls 802"
    group.add_argument("--port", help=f"TCP port (default: {ports})")
    group.add_argument("--device", metavar="FILE", help="serial port, e.g. /dev/ttyUSB0")
    group.add_argument("--baud", default="9600", help="speed of the serial port (default: %(default)s" + ("; several with commas)" if many else ")"))
    group.add_argument("--parity", default="N", help="N, E or O (default: %(default)s" + ("; several with commas)" if many else ")"))
    group.add_argument("--stop-bits", type=int, choices=(1, 2), default=1, help="stop bits of the serial port (default: %(default)s)")
    units = "s, e.g. 1-10,71 (default: 1, and what maps name; on a serial port 1-16)" if many else " (default: its map's, else 1)"
    group.add_argument("--unit", help=f"Modbus unit id{units}")
    framing = "default: rtu with --device, else tcp" + ("; where that gets no answer also rtu_over_tcp" if many else "")
    group.add_argument("--framing", choices=("tcp", "rtu_over_tcp", "rtu", "tls"), help=framing)
    timeout = "how long the device may take to answer (default: %(default)s)"
    group.add_argument("--timeout", type=seconds, default=1.0, metavar="SECONDS", help=timeout)
    group.add_argument("--ca-file", type=Path, help="CA certificate of the device, for tls")
    group.add_argument("--cert-file", type=Path, help="our certificate, where the device asks for one")
    group.add_argument("--key-file", type=Path, help="its private key")
    group.add_argument("--server-name", help="name in the device's certificate (default: the host)")


def add_subject_arguments(parser: argparse.ArgumentParser) -> None:
    """Which meter: of a site file, or by its line."""
    parser.add_argument("meter", nargs="?", help="a meter of the site file")
    parser.add_argument("--config", type=Path, metavar="SITE.YAML", help="the site file")
    parser.add_argument("--map", help="register map: a name in config/meters, or a file, e.g. ./my_meter.yaml")
    parser.add_argument("--sunspec", action="store_true", help="the device speaks SunSpec and needs no map")
    parser.add_argument(
        "--role", choices=("grid", "circuit", "pv", "battery", "load"), default="load", help="of a SunSpec device, which models are meant"
    )
    sunspec = "of a SunSpec device, "
    parser.add_argument("--base", type=int, choices=(0, 40000, 50000), help=f"{sunspec}where its models begin (default: all three are tried)")
    parser.add_argument("--nth", type=int, default=1, metavar="N", help=f"{sunspec}which of several meters (default: %(default)s)")
    parser.add_argument("--sign", choices=("import", "export"), help=f"{sunspec}what positive means (SolarEdge meters: export)")
    parser.add_argument("--phases", metavar="L1,...", help="which phases are wired, in the meter's own order, e.g. L1 for a meter of one phase")
    add_line_arguments(parser)


def line_of(arguments: argparse.Namespace, template: Template | None = None, **more: Any) -> ModbusLine:
    """The line that was named; without a unit id or a port the one its map names. Raises ToolError."""
    if (arguments.host is None) == (arguments.device is None):
        raise UsageError("name the device: --host ADDRESS or --device SERIALPORT (or a meter of a site file with --config)")
    framing = arguments.framing or ("rtu" if arguments.device else "tcp")
    port = arguments.port or (802 if framing == "tls" else template.port if template is not None and template.port is not None else 502)
    settings = {
        "framing": framing,
        "host": arguments.host,
        "port": port,
        "timeout_s": arguments.timeout,
        "device": arguments.device,
        "baud": arguments.baud,
        "parity": arguments.parity,
        "stop_bits": arguments.stop_bits,
        "unit": arguments.unit or (template.unit if template is not None and template.unit is not None else 1),
        "ca_file": arguments.ca_file,
        "cert_file": arguments.cert_file,
        "key_file": arguments.key_file,
        "server_name": arguments.server_name,
        **more,
    }
    try:
        return ModbusLine.model_validate(settings)
    except ValidationError as error:
        raise UsageError(f"this line cannot be: {'; '.join(_sentence(item) for item in error.errors())}") from None


def map_of(name: str) -> Template:
    """A map by name or file. Raises ToolError."""
    path = Path(name)
    try:
        return load_template(path) if path.suffix in (".yaml", ".yml") else find_template(config_dir() / "meters", name)
    except TemplateError as error:
        raise ToolError(str(error)) from None


def subject_of(arguments: argparse.Namespace, buses: Buses) -> Subject:
    """The meter that was named. Raises ToolError."""
    if arguments.config is not None or arguments.meter is not None:
        return _of_site(arguments, buses)
    line_of(arguments)  # without an address nothing else matters
    if arguments.sunspec == (arguments.map is not None):
        raise UsageError("say how its registers are read: --map NAME or --sunspec; yardmaster meters scan finds out which")
    wiring = _wiring(arguments.phases)
    if arguments.sunspec:
        meter = _sunspec_meter(arguments)
        return _sunspec(meter, meter.source, Expectation(ASSUMED_FUSE_A, wiring=wiring), buses)  # type: ignore[arg-type]
    template = map_of(arguments.map)
    source = ModbusSource(type="modbus", map="map", **line_of(arguments, template).model_dump())
    measured = (at for at, phase in enumerate(PHASES) if f"i_{phase}" in template.registers)
    asked = tuple(wiring[at] for at in measured if at < len(wiring))
    return _mapped("device", source, template, Expectation(ASSUMED_FUSE_A, current_phases=asked, wiring=wiring), buses)


def _sunspec_meter(arguments: argparse.Namespace) -> MeterConfig:
    """Raises ToolError."""
    line = line_of(arguments).model_dump()
    try:
        source = SunSpecSource(type="sunspec", base=arguments.base, nth=arguments.nth, sign=arguments.sign, **line)
    except ValidationError as error:
        raise UsageError("; ".join(_sentence(item) for item in error.errors())) from None
    return MeterConfig(id="device", role=arguments.role, source=source)


def _wiring(text: str | None) -> tuple[int, ...]:
    """The site phases (0..2) behind a meter's own. Raises ToolError."""
    if text is None:
        return (0, 1, 2)
    names = [part.strip().upper() for part in text.split(",")]
    if not 1 <= len(names) <= 3 or len(set(names)) < len(names) or not set(names) <= set(PHASE_INDEX):
        raise UsageError(f"--phases {text!r} is not understood; write L1, or L1,L2,L3 in the order they are wired")
    return tuple(PHASE_INDEX[name] for name in names)


def where_of(line: ModbusLine) -> str:
    """An address for people."""
    place = f"{line.device} at {line.baud} {line.parity}" if line.framing == "rtu" else f"{line.host} port {line.port}"
    return f"{place} unit {line.unit}"


def several(text: str, low: int, high: int, what: str) -> list[int]:
    """Numbers as 1,5-8. Raises ToolError."""
    found: list[int] = []
    for part in text.split(","):
        first, _, last = part.strip().partition("-")
        if not first.isdigit() or (last and not last.isdigit()) or not low <= int(first) <= int(last or first) <= high:
            raise UsageError(f"{what} {part.strip()!r} is not understood; write numbers from {low} to {high} like 1,5-8")
        found += range(int(first), int(last or first) + 1)
    return list(dict.fromkeys(found))


def _of_site(arguments: argparse.Namespace, buses: Buses) -> Subject:
    if arguments.config is None or arguments.meter is None:
        raise UsageError("name the meter and its site file: yardmaster meters read grid --config site.yaml")
    config = read_config(arguments.config)
    meter = _named(arguments.meter, config.meters)
    expected = expectation(config, meter)
    match meter.source:
        case ModbusSource() as source:
            template = map_of(source.map)
            return _mapped(meter.id, source, template, expectation(config, meter, template), buses)
        case SunSpecSource() as source:
            return _sunspec(meter, source, expected, buses)
        case HttpSource() as source:
            return _http(config, meter, source)
    raise ToolError(f"{meter.id} is a meter of type {meter.source.type}: nothing can be asked; the running controller's page shows what it tells")


def _named(name: str, meters: Iterable[MeterConfig]) -> MeterConfig:
    known = {meter.id: meter for meter in meters}
    if name not in known:
        near = difflib.get_close_matches(name, known, 3) or sorted(known)
        raise ToolError(f"the site file has no meter {name!r}; it has {', '.join(near) or 'none'}")
    return known[name]


def _mapped(name: str, source: ModbusSource, template: Template, expected: Expectation, buses: Buses) -> Subject:
    bus = buses.of(source, gap_s=template.min_gap_ms / 1000, connect_delay_s=template.connect_delay_ms / 1000)
    meter = ModbusMeter(name, source, template, expected, bus)
    poll_s = max(source.poll_s, template.min_poll_s)
    return Subject(name, template.name, where_of(source), poll_s, meter.poll, bus.close, template, source, bus)


def _sunspec(meter: MeterConfig, source: SunSpecSource, expected: Expectation, buses: Buses) -> Subject:
    bus = buses.of(source)
    device = SunSpecDevice(bus, source, source.base)
    reader = SunSpecMeter(meter, source, expected, device)

    async def poll() -> Reading:
        for _ in BASES[1:]:  # a device that is silent where it has no list is asked elsewhere the next time
            try:
                return await reader.poll()
            except ReadingError as error:
                if device.models or error.reason != "no answer":
                    raise
        return await reader.poll()

    return Subject(meter.id, "SunSpec device", where_of(source), source.poll_s, poll, bus.close, None, source, bus)


def _http(config: Config, meter: MeterConfig, source: HttpSource) -> Subject:
    device = HttpMeter(source, MeterDesk(config, meter, source, Clock()))

    async def poll() -> Reading:
        fact, rest_s = await device.poll()
        if fact is None or isinstance(fact, MeterFailed):
            await asyncio.sleep(rest_s)
            raise ReadingError("no answer", fact.reason if fact is not None else "it answers about something else")
        return fact.reading

    return Subject(meter.id, f"{source.format} over HTTP", source.url.partition("?")[0], source.poll_s, poll, device.close)


def _sentence(item: Any) -> str:
    where = ".".join(str(step) for step in item["loc"])
    message = str(item["msg"]).removeprefix("Value error, ")
    return f"{where}: {message}" if where else message
