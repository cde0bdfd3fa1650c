"""``yardmaster meters read``: one meter as a table, once or again and again."""

from __future__ import annotations

import argparse
import asyncio
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from controller.io.clock import Clock
from controller.io.field.bus import Buses
from controller.tools.meters_line import Subject, add_subject_arguments, seconds, subject_of
from meters.reading import Quality, Reading, ReadingError

EPILOG = """\
Signs: import from the grid, consumption and charging are positive, whatever the device itself does.
Quality: good; suspect = plausible but odd, the controller takes the safer side; bad = counts as silence.

Examples:
  yardmaster meters read grid --config site.yaml
  yardmaster meters read --host 192.168.1.20 --map kostal_ksem --every 2
  yardmaster meters read --device /dev/ttyUSB0 --unit 3 --map eastron_sdm630 --json
  yardmaster meters read --host 192.168.1.30 --port 1502 --sunspec --role pv
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The action's own arguments."""
    parser.epilog = EPILOG
    add_subject_arguments(parser)
    parser.add_argument("--every", type=seconds, metavar="SECONDS", help="read again and again until Ctrl-C")
    parser.add_argument("--times", type=int, metavar="N", help="with --every: stop after so many")
    parser.add_argument("--json", action="store_true", help="print JSON, one object per reading and line")


async def run(arguments: argparse.Namespace) -> int:
    """Read and print; 0 if the last reading can be used."""
    subject = subject_of(arguments, Buses())
    if not arguments.json:
        print(f"{subject.name}: {subject.what}, {subject.where}")
    times = arguments.times or (0 if arguments.every else 1)
    loop, number, usable = asyncio.get_running_loop(), 0, False
    beat_s = loop.time()
    try:
        while True:
            usable = await _once(subject, arguments.json)
            number += 1
            if number == times:
                return 0 if usable else 1
            beat_s = max(beat_s + (arguments.every or 1.0), loop.time())
            await asyncio.sleep(beat_s - loop.time())
    finally:
        await subject.close()


async def _once(subject: Subject, as_json: bool) -> bool:
    loop = asyncio.get_running_loop()
    began_s = loop.time()
    try:
        reading = await subject.poll()
    except ReadingError as error:
        text = f"\nnot read: {error}" + "".join(f"\n  try: {hint}" for hint in [hint_of(subject, error)] if hint)
        print(json.dumps({"meter": subject.name, "error": str(error)}) if as_json else text, flush=True)
        return False
    took_ms = 1000 * (loop.time() - began_s)
    text = json.dumps(plain(reading, took_ms), ensure_ascii=False) if as_json else "\n" + "\n".join(table(reading, took_ms))
    print(text, flush=True)
    if reading.quality is Quality.BAD and subject.template is not None and not as_json:
        print(f"  try: {scan_of(subject)} finds out which map fits; --phases L1 for a meter of one phase")
    return reading.quality is not Quality.BAD


def hint_of(subject: Subject, error: ReadingError) -> str:
    """What a person can do about a meter that cannot be read; "" = the error says it."""
    if subject.line is None:
        return ""
    alone = "; some devices take one client only: stop the others"
    hints = {
        "not connected": f"see that it is switched on, the address right and Modbus TCP enabled in its settings{alone}",
        "no answer": f"another unit id or framing: {scan_of(subject)} tries them{alone}; a slow one: --timeout 3",
        "wrong answer": f"another framing, or no second client on the same gateway{alone}",
        "refused": f"another map or unit id: {scan_of(subject)} finds out which fits",
        "wrong device": f"{scan_of(subject)} finds out which map fits",
        "no SunSpec": f"{scan_of(subject)} --unit 1-247 looks at all unit ids",
        "model missing": "another --role, e.g. pv for an inverter, grid for a meter",
    }
    return hints.get(error.reason, "")


def scan_of(subject: Subject) -> str:
    """The command that looks what is there."""
    line = subject.line
    if line is None:
        return "yardmaster meters scan"
    place = f"--device {line.device} --baud {line.baud} --parity {line.parity}" if line.framing == "rtu" else f"--host {line.host} --port {line.port}"
    return f"yardmaster meters scan {place}"


def plain(reading: Reading, took_ms: float) -> dict[str, Any]:
    """A reading as JSON takes it."""
    return {"at": round(Clock().stamp().wall_s, 3), "took_ms": round(took_ms, 1), **asdict(reading), "quality": reading.quality.value}


def table(reading: Reading, took_ms: float) -> Iterator[str]:
    """A reading for people: units, quality, reasons. Absent quantities are dashes."""
    reason = f": {reading.reason}" if reading.reason else ""
    yield f"{reading.quality.value}{reason}   ({took_ms:.0f} ms)"
    yield f"{'':<10}{'L1':>10}{'L2':>10}{'L3':>10}{'total':>11}"
    yield _row("current", reading.current_a, None, "A", 2)
    yield _row("power", reading.phase_power_w, reading.power_w, "W", 0)
    yield _row("voltage", reading.voltage_v, None, "V", 1)
    rest = (
        ("frequency", reading.frequency_hz, "Hz", 2, 1.0),
        ("imported", reading.energy_import_wh, "kWh", 2, 0.001),
        ("exported", reading.energy_export_wh, "kWh", 2, 0.001),
        ("charge", reading.soc_percent, "%", 1, 1.0),
    )
    for name, value, unit, digits, factor in rest:
        if value is not None:
            yield f"{name:<10}{value * factor:>10.{digits}f} {unit}"


def _row(name: str, values: Sequence[float | None], total: float | None, unit: str, digits: int) -> str:
    cells = "".join(f"{'-' if value is None else f'{value:.{digits}f}':>10}" for value in values)
    last = "" if name != "power" else "-" if total is None else f"{total:.{digits}f}"
    return f"{name:<10}{cells}{last:>11} {unit}"
