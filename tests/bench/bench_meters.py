"""What reading 50 Modbus meters once a second costs on one core.

30 meters with a connection of their own, 10 behind one TCP gateway, 10 behind one serial gateway (RTU frames), of five register maps with
one to three reads per reading. The meters live in another process; measured is the CPU time of this one: polling, answer checks, decoding,
judging. The reference, in the same run, asks the same reads over plain asyncio streams and throws the answers away. Also told: how late
readings came and whether any was missed. Figures go to tests/bench/history.csv.

    python tests/bench/bench_meters.py [--meters 50] [--seconds 20] [--dry]
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import itertools
import json
import os
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from controller.config import Config
from controller.facts import Fact, MeterRead, Stamp
from controller.io.field.bus import Buses
from controller.io.field.modbus import ModbusShell
from controller.paths import config_dir
from meters.reading import Quality
from meters.template import find_template
from tests.bench.ledger import record
from tests.support.modbus_lines import RawDevice, raw_over_tcp
from tests.support.register_images import image_of

HOST = "127.0.0.1"
MAPS = ("janitza_umg96", "kostal_ksem", "abb_b23", "schneider_iem3000_pm5000", "carlo_gavazzi_em340")
TARGET_SHARE = 0.05
WARM_UP_S = 2.0


def plan(meters: int) -> list[dict[str, Any]]:
    """The sources of the site without their ports. wire: which port they share."""
    found = []
    for number in range(meters):
        wire = number if number < meters - 20 else "tcp gateway" if number < meters - 10 else "serial gateway"
        framing = "rtu_over_tcp" if wire == "serial gateway" else "tcp"
        found.append({"wire": str(wire), "unit": number % 200 + 1, "map": MAPS[number % len(MAPS)], "framing": framing})
    return found


# -- the meters, in a process of their own -------------------------------------------------------------------


async def serve(sources: list[dict[str, Any]]) -> None:
    """Listen for all of them, print the ports by wire, serve until the standard input ends."""
    images = {name: image_of(find_template(config_dir() / "meters", name)) for name in MAPS}
    maps = {source["unit"]: images[source["map"]] for source in sources}

    def behave(device: RawDevice, asked: Any) -> Any:
        device.asked.clear()
        image = maps[asked.unit]
        return [(0.0, device.words(asked, [image.get(asked.address + at, 0) for at in range(asked.count)]))]

    ports: dict[str, int] = {}
    async with contextlib.AsyncExitStack() as stack:
        for source in sources:
            if source["wire"] not in ports:
                ports[source["wire"]] = _free_port()
                await stack.enter_async_context(raw_over_tcp(ports[source["wire"]], source["framing"] != "tcp", behave))
        print(json.dumps(ports), flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


def _free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def meters_elsewhere(count: int) -> Iterator[list[dict[str, Any]]]:
    """The sources with their ports, served by a child."""
    command = [sys.executable, __file__, "--serve", "--meters", str(count)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).resolve().parents[2]) as child:
        assert child.stdout is not None
        assert child.stdin is not None
        ports = json.loads(child.stdout.readline())
        yield [{**source, "port": ports[source["wire"]]} for source in plan(count)]
        child.stdin.close()
        child.wait(timeout=10)


# -- what is measured ----------------------------------------------------------------------------------------


class LoopClock:
    """The event loop's own time."""

    def stamp(self) -> Stamp:
        now = asyncio.get_running_loop().time()
        return Stamp(now, now)


async def ours(sources: list[dict[str, Any]], seconds: float) -> tuple[float, list[Fact]]:
    """CPU share of one core of the Modbus shell, and its facts."""
    meters = [
        {"id": f"m{number}", "role": "load", "source": {"type": "modbus", "host": HOST, "poll_s": 1.0, **_without_wire(source)}}
        for number, source in enumerate(sources)
    ]
    config = Config.model_validate({"site": {"id": "bench"}, "grid": {"fuse_a": 630, "worst_other_load_a": 10}, "meters": meters})
    facts: list[Fact] = []
    shell = ModbusShell(config, LoopClock(), facts.append, config_dir() / "meters", Buses())
    await shell.start()
    share = await _share(seconds, facts.clear)
    told = list(facts)
    await shell.stop()
    return share, told


async def reference(sources: list[dict[str, Any]], seconds: float) -> float:
    """CPU share of the same reads over plain streams: no checks, no decoding, no judgement."""
    wires: dict[str, list[dict[str, Any]]] = {}
    for source in sources:
        wires.setdefault(source["wire"], []).append(source)
    tasks = [asyncio.get_running_loop().create_task(_plain(wire)) for wire in wires.values()]
    share = await _share(seconds, lambda: None)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return share


async def _plain(sources: list[dict[str, Any]]) -> None:
    from tests.support.modbus_lines import rtu_frame

    is_rtu = sources[0]["framing"] != "tcp"
    reader, writer = await asyncio.open_connection(HOST, sources[0]["port"])
    templates = {source["unit"]: find_template(config_dir() / "meters", source["map"]) for source in sources}
    for tid in itertools.count(1):
        began_s = asyncio.get_running_loop().time()
        for source in sources:
            template = templates[source["unit"]]
            for block in template.plan():
                body = struct.pack(">BBHH", source["unit"], template.function, block.address, block.length)
                writer.write(rtu_frame(body) if is_rtu else struct.pack(">HHH", tid & 0xFFFF, 0, 6) + body)
                await reader.readexactly((5 if is_rtu else 9) + 2 * block.length)
        await asyncio.sleep(began_s + 1.0 - asyncio.get_running_loop().time())


async def _share(seconds: float, begin: Any) -> float:
    await asyncio.sleep(WARM_UP_S)
    begin()
    gc.collect()
    cpu, wall = time.process_time(), time.perf_counter()
    await asyncio.sleep(seconds)
    return (time.process_time() - cpu) / (time.perf_counter() - wall)


def _without_wire(source: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in source.items() if key != "wire"}


# -- telling -------------------------------------------------------------------------------------------------


def gaps_s(facts: list[Fact]) -> list[float]:
    """Times between two readings of one meter, ascending."""
    seen: dict[str, float] = {}
    found = []
    for fact in facts:
        if isinstance(fact, MeterRead):
            before = seen.get(fact.reading.meter_id)
            if before is not None:
                found.append(fact.at.mono_s - before)
            seen[fact.reading.meter_id] = fact.at.mono_s
    return sorted(found)


def main() -> int:
    """Measure; 0 if the target was met."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--meters", type=int, default=50, help="how many, 21 and more (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=20.0, help="how long each of the two is measured (default: %(default)s)")
    parser.add_argument("--dry", action="store_true", help="write no history")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        asyncio.run(serve(plan(arguments.meters)))
        return 0
    tell = _printed if arguments.dry else record
    with meters_elsewhere(arguments.meters) as sources:
        if hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
        share, facts = asyncio.run(ours(sources, arguments.seconds))
        plain = asyncio.run(reference(sources, arguments.seconds))
    readings = [fact.reading for fact in facts if isinstance(fact, MeterRead)]
    good = sum(reading.quality is Quality.GOOD for reading in readings)
    gaps = gaps_s(facts)
    scale = arguments.meters / 50
    tell("meters", f"{arguments.meters} meters at 1 Hz, CPU of one core", 100 * share, "%", f"< {100 * TARGET_SHARE * scale:g}", share / plain)
    tell("meters", f"{arguments.meters} meters at 1 Hz, CPU per reading", 1e6 * share / arguments.meters, "us")
    tell("meters", f"{arguments.meters} meters at 1 Hz, polls that brought a good reading", 100 * good / max(1, len(facts)), "%", "100")
    tell("meters", f"{arguments.meters} meters at 1 Hz, longest time between two readings", gaps[-1] if gaps else float("nan"), "s", "< 1.5")
    return 0 if share < TARGET_SHARE * scale and len(readings) == len(facts) else 1


def _printed(_bench: str, figure: str, value: float, unit: str, target: str = "", ratio: float | None = None) -> None:
    beside = f", {ratio:.3g} x the reference" if ratio is not None else ""
    print(f"{figure}: {value:.4g} {unit}{beside}" + (f"   (to reach: {target})" if target else ""), flush=True)


if __name__ == "__main__":
    sys.exit(main())
