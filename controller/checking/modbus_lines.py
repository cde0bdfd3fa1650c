"""What can be wrong, or worth a second look, about Modbus lines: meters, devices and contacts that share wires."""

from __future__ import annotations

import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from controller.checking.problems import Problem, Where
from controller.config import Config, ModbusSource
from controller.config_base import ModbusLine
from meters.template import Template

BROADCAST, LAST_RTU_UNIT = 0, 247
BITS_PER_BYTE = 11
FRAME_BYTES = 13  # request and what surrounds the answer's registers
TURN_S = 0.03  # a device takes about so long before it answers
BUSY = 0.8
SERIAL = ("baud", "parity", "stop_bits")
IDENTITY = ("ca_file", "cert_file", "key_file", "server_name")


@dataclass(frozen=True, slots=True)
class Place:
    """A line and where it is written."""

    where: Where
    line: ModbusLine

    @property
    def wire(self) -> tuple[str, ...]:
        """What physically is one: the port, or host and port."""
        line = self.line
        return ("serial", line.device or "") if line.framing == "rtu" else ("net", (line.host or "").lower(), str(line.port))


def lines_of(config: Config) -> tuple[Place, ...]:
    """Every Modbus line of a site, in the order of the file's blocks."""
    return tuple(_walk((), config))


def line_problems(config: Config) -> Iterator[Problem]:
    """What cannot work."""
    first: dict[tuple[str, ...], Place] = {}
    for place in lines_of(config):
        line = place.line
        if line.framing == "rtu" and line.unit == BROADCAST:
            yield Problem((*place.where, "unit"), "unit 0 speaks to everybody on a serial line and nobody answers; give the device's own unit id")
        before = first.setdefault((*place.wire, line.framing), place)
        for key in SERIAL if line.framing == "rtu" else IDENTITY if line.framing == "tls" else ():
            if getattr(before.line, key) != getattr(line, key):
                there = ".".join(map(str, before.where))
                message = (
                    f"{there} uses the same {'port' if line.framing == 'rtu' else 'address'} with {key} {getattr(before.line, key)}; one wire has one"
                )
                yield Problem((*place.where, key), message)


def line_cautions(config: Config, templates: Mapping[str, Template]) -> Iterator[Problem]:
    """What somebody should look at twice."""
    framings: dict[tuple[str, ...], Place] = {}
    for place in lines_of(config):
        before = framings.setdefault(place.wire, place)
        if before.line.framing != place.line.framing:
            there = ".".join(map(str, before.where))
            message = f"{there} reaches the same address with framing {before.line.framing}; one of the two will not be understood"
            yield Problem((*place.where, "framing"), message)
        yield from _one(place)
        if isinstance(place.line, ModbusSource) and (template := templates.get(place.line.map)) is not None:
            yield from _mapped(place, place.line, template)
    yield from _full_wires(config, templates)


def _one(place: Place) -> Iterator[Problem]:
    line = place.line
    if line.framing == "rtu" and line.host is not None:
        yield Problem((*place.where, "host"), "is not used with framing rtu; with a gateway in the network use tcp or rtu_over_tcp")
    if line.framing != "rtu" and line.device is not None:
        yield Problem((*place.where, "device"), f"is not used with framing {line.framing}; for a serial port of this machine use rtu")
    if line.framing in ("rtu", "rtu_over_tcp") and line.unit > LAST_RTU_UNIT:
        yield Problem((*place.where, "unit"), f"unit ids of serial devices end at {LAST_RTU_UNIT}; nothing may answer to {line.unit}")
    if line.framing == "tls":
        yield from _certificates(place)


def _certificates(place: Place) -> Iterator[Problem]:
    """Files that cannot be used: the site starts nevertheless, this line stays down (F83)."""
    line = place.line
    for key, needed in (("ca_file", line.ca_file), ("cert_file", line.cert_file)):
        try:
            if key == "ca_file":
                ssl.create_default_context(cafile=str(needed))
            elif needed is not None:
                ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(str(needed), str(line.key_file))
        except (OSError, ssl.SSLError) as error:
            yield Problem((*place.where, key), f"cannot be used ({error.strerror or error}); until it can, nothing on this line is read")


def _mapped(place: Place, source: ModbusSource, template: Template) -> Iterator[Problem]:
    if template.transport == "tcp" and source.framing == "rtu":
        yield Problem((*place.where, "framing"), f"{template.name} speaks Modbus TCP; it has no serial port")
    gaps_s = len(template.plan()) * template.min_gap_ms / 1000
    if gaps_s > source.poll_s:
        message = f"{template.name} needs {gaps_s:.2f} s of silence within one reading; it cannot be read every {source.poll_s:g} s"
        yield Problem((*place.where, "poll_s"), message)


def _full_wires(config: Config, templates: Mapping[str, Template]) -> Iterator[Problem]:
    """Serial lines that have not enough time for what is asked of them."""
    wires: dict[tuple[str, ...], list[tuple[Place, float]]] = {}
    for place in lines_of(config):
        if isinstance(place.line, ModbusSource) and place.line.framing == "rtu" and (template := templates.get(place.line.map)) is not None:
            wires.setdefault(place.wire, []).append((place, reading_s(place.line, template) / place.line.poll_s))
    for meters in wires.values():
        share = sum(part for _, part in meters)
        if share > BUSY:
            place = meters[-1][0]
            message = f"the {len(meters)} meters on {place.line.device} need {100 * share:.0f} % of its time at {place.line.baud} bit/s; "
            yield Problem((*place.where, "poll_s"), message + "poll less often, raise the baud rate, or use a second port")


def reading_s(line: ModbusLine, template: Template) -> float:
    """How long one reading takes on a serial line, as a rule [s]."""
    gap_s = template.min_gap_ms / 1000
    return sum((FRAME_BYTES + 2 * block.length) * BITS_PER_BYTE / line.baud + max(TURN_S, gap_s) for block in template.plan())


def _walk(where: Where, value: Any) -> Iterator[Place]:
    if isinstance(value, ModbusLine):
        yield Place(where, value)
    elif isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from _walk((*where, name), getattr(value, name))
    elif isinstance(value, tuple | list):
        for number, item in enumerate(value):
            yield from _walk((*where, number), item)
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _walk((*where, key), item)
