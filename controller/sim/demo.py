"""``yardmaster demo``: a real controller, simulated neighbours, a compressed day.

The controller is the one of ``yardmaster run``: same parts, same engine, real sockets on the
loopback interface. Its neighbours (stations with cars, CSMS, meters, broker, fleet manager) live in
a child process that ends when this one does. The wall clock runs ``--speed`` times as fast, so that an
evening fits into minutes; the control loop, its deadlines and the cars' reactions stay in real time.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import shutil
import socket
import sys
import tempfile
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from controller.app import App
from controller.check import ConfigError, load_config
from controller.config import Config, MeterConfig
from controller.config_devices import BatteryControlConfig, InverterConfig
from controller.facts import StoryTold
from controller.io.clock import Clock
from controller.io.shell import StartError
from controller.io.system import on_stop_signal
from controller.io.tasks import end, spawn
from controller.paths import config_dir
from controller.sim.device_servers import sunspec_devices
from controller.sim.neighbours import Settings
from controller.sim.scenario import DEMO, DEMO_MIDNIGHT_WALL_S, ENERGY
from controller.snapshot import EventView, Snapshot

PAGE_PORT = 8080
SPEED = 60.0
MOST_DEVICES = 4
STATUS_EVERY_S = 10.0
READY_S = 20.0
CHILD_GRACE_S = 1.0
LINE_LIMIT = 1 << 20
HIDDEN_SUBJECTS = frozenset({"story"})
EPILOG = """\
examples:
  yardmaster demo                                an afternoon and a night: fuse, plan, limits, an outage of the CSMS
  yardmaster demo --energy --speed 120           a bright day: inverters, battery, prices below zero, a section 14a limit; 7 minutes
  yardmaster demo --one-station 2.1              the CSMS sees one large station
"""
Moved = TypeVar("Moved", InverterConfig, BatteryControlConfig)


class DemoError(Exception):
    """The demo cannot start. The text is one sentence for the person at the console."""


@dataclass(frozen=True, slots=True)
class Ports:
    """Loopback ports of one demo."""

    page: int
    stations: int
    csms: int
    meters: int
    mqtt: int
    devices: tuple[int, ...] = ()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's own arguments."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = EPILOG
    parser.add_argument("--port", type=int, default=PAGE_PORT, help="port of the page (default: %(default)s)")
    parser.add_argument("--speed", type=_speed, default=SPEED, help="how many times faster the day goes by (default: %(default)g)")
    parser.add_argument("--minutes", type=float, default=None, help="end after so many minutes; default: Ctrl-C ends it")
    words = "show the CSMS one large station of this OCPP version instead of each charger for itself"
    parser.add_argument("--one-station", choices=("2.1", "2.0.1", "1.6"), default=None, help=words)
    parser.add_argument("--energy", action="store_true", help="another day: inverters and battery are commanded, too")
    parser.add_argument("--data", type=Path, default=None, help="folder to keep journal and history in; default: a fresh temporary one")


def _speed(text: str) -> float:
    value = float(text)
    if not 1.0 <= value <= 600.0:
        raise argparse.ArgumentTypeError("the speed must be between 1 and 600")
    return value


def main(arguments: argparse.Namespace) -> int:
    """Run the demo until Ctrl-C; the exit code."""
    logging.basicConfig(level=logging.CRITICAL)
    with suppress(KeyboardInterrupt):
        try:
            asyncio.run(_demo(arguments))
        except (DemoError, StartError, ConfigError) as error:
            print(f"yardmaster: {error}", file=sys.stderr)
            return 1
    return 0


async def _demo(arguments: argparse.Namespace) -> None:
    ports = choose_ports(arguments.port)
    kept: Path | None = arguments.data
    folder = kept or Path(tempfile.mkdtemp(prefix="yardmaster-demo-"))
    try:
        await Demo(ports, folder, arguments.speed, arguments.minutes, arguments.one_station, energy=getattr(arguments, "energy", False)).run()
    finally:
        if kept is None:
            shutil.rmtree(folder, ignore_errors=True)
    print("\nThe demo has ended. Nothing was left running.", flush=True)


def choose_ports(page: int) -> Ports:
    """The page's port, checked, and free ones for everybody else. Raises DemoError."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", page))
        except OSError:
            raise DemoError(f"port {page} is in use by another program; choose another one with --port, e.g. --port {page % 60000 + 1}") from None
        except OverflowError:
            raise DemoError(f"{page} is not a port; choose one from 1024 to 65535 with --port") from None
    probes = [socket.socket() for _ in range(4 + MOST_DEVICES)]
    try:
        for one in probes:
            one.bind(("127.0.0.1", 0))
        stations, csms, meters, mqtt, *devices = (int(one.getsockname()[1]) for one in probes)
    finally:
        for one in probes:
            one.close()
    return Ports(page, stations, csms, meters, mqtt, tuple(devices))


def patched(config: Config, ports: Ports, folder: Path, one_station: str | None = None) -> Config:
    """The demo site on these ports, with its data in ``folder``. one_station: OCPP version of the depot face, None = pair face."""
    face = {"face": "depot", "versions": (f"ocpp{one_station}",)} if one_station else {}
    upstreams = tuple(item.model_copy(update={"url": f"ws://127.0.0.1:{ports.csms}/csms", **face}) for item in config.upstreams)
    changes: dict[str, Any] = {
        "listen": config.listen.model_copy(update={"host": "127.0.0.1", "port": ports.stations}),
        "upstreams": upstreams,
        "meters": tuple(_on_port(meter, ports.meters) for meter in config.meters),
        "mqtt": config.mqtt.model_copy(update={"host": "127.0.0.1", "port": ports.mqtt}) if config.mqtt else None,
        "api": config.api.model_copy(update={"host": "127.0.0.1", "port": ports.page}),
        "data_dir": folder,
    }
    return with_devices(config.model_copy(update=changes), ports)


def device_ports(config: Config, ports: Ports) -> dict[str, int]:
    """Ports of what is commanded over SunSpec, by name."""
    return dict(zip(sunspec_devices(config), ports.devices, strict=False))


def with_devices(config: Config, ports: Ports) -> Config:
    """Inverters and battery on their ports."""
    given = device_ports(config, ports)
    changes: dict[str, Any] = {"inverters": tuple(_moved(one, given.get(one.id)) for one in config.inverters)}
    if config.battery is not None and config.battery.command is not None and "battery" in given:
        changes["battery"] = config.battery.model_copy(update={"command": _moved(config.battery.command, given["battery"])})
    return config.model_copy(update=changes)


def _moved(commanded: Moved, port: int | None) -> Moved:
    if port is None:
        return commanded
    return commanded.model_copy(update={"control": commanded.control.model_copy(update={"host": "127.0.0.1", "port": port})})


def _on_port(meter: MeterConfig, port: int) -> MeterConfig:
    if meter.source.type != "modbus":
        return meter
    return meter.model_copy(update={"source": meter.source.model_copy(update={"host": "127.0.0.1", "port": port})})


class Demo:
    """One run: the controller, the child with the neighbours, and the console."""

    def __init__(
        self, ports: Ports, folder: Path, speed: float, minutes: float | None, one_station: str | None = None, *, energy: bool = False
    ) -> None:
        path, scenario = config_dir() / ("site.energy.yaml" if energy else "site.demo.yaml"), ENERGY if energy else DEMO
        start_wall_s = DEMO_MIDNIGHT_WALL_S + 3600.0 * scenario.start_h
        self.clock = Clock(speed, start_wall_s)
        now = self.clock.stamp()
        at = (now.mono_s, now.wall_s, speed)
        site = load_config(path)
        there = (ports.stations, ports.csms, ports.meters, ports.mqtt, ports.page)
        self.settings = Settings(str(path), scenario.id, *at, *there, device_ports(site, ports))
        self.config = patched(site, ports, folder, one_station)
        self.app = App(self.config, self.clock)
        self.console = Console(self.app.snapshot)
        self._ports = ports
        self._minutes = minutes
        self._one_station = one_station
        self._energy = energy
        self._child: Process | None = None
        self._stop = asyncio.Event()

    async def run(self) -> None:
        """Start everything, play until stopped, leave nothing behind. Raises DemoError, StartError."""
        tasks: list[asyncio.Task[None]] = []
        restore = on_stop_signal(self._stop.set)
        try:
            self.console.welcome(self._ports.page, self.settings.speed, self._one_station, self._energy)
            self._child = await self._start_child()
            tasks = [spawn(self._listen(self._child), "neighbours"), spawn(self._status(), "console")]
            await self.app.start()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), None if self._minutes is None else 60.0 * self._minutes)
        finally:
            await end(tasks)
            await asyncio.gather(self.app.stop(), self._end_child())
            restore()

    async def _start_child(self) -> Process:
        """The neighbours' process; a session of its own keeps the terminal's Ctrl-C away from it."""
        command = (sys.executable, "-m", "controller.sim.neighbours")
        child = await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE, limit=LINE_LIMIT, start_new_session=True)
        assert child.stdin is not None
        child.stdin.write(self.settings.text().encode())
        await child.stdin.drain()
        try:
            first = await asyncio.wait_for(anext(said_by(child), {"error": "they ended at once"}), READY_S)
        except TimeoutError:
            first = {"error": f"they were not ready within {READY_S:g} s"}
        if "ready" not in first:
            child.kill()
            await child.wait()
            raise DemoError(f"the simulated neighbours could not start: {first.get('error', 'no reason given')}; please try again")
        return child

    async def _listen(self, child: Process) -> None:
        async for said in said_by(child):
            if "story" in said:
                self.console.story(said["story"], said["wall_s"])
                self.app.submit(StoryTold(self.clock.stamp(), said["story"]))
            elif "line" in said:
                self.console.line(said["line"], said["wall_s"])
            elif "books" in said:
                self.console.books = said["books"]
        self.console.line("the simulated neighbours have ended; the controller goes on alone", self.clock.stamp().wall_s)

    async def _status(self) -> None:
        """New events at once, a status line now and then."""
        elapsed_s = 0.0
        while True:
            await asyncio.sleep(1.0)
            elapsed_s += 1.0
            self.console.events()
            if elapsed_s % STATUS_EVERY_S == 0:
                self.console.status()

    async def _end_child(self) -> None:
        """The child ends when its pipe closes; if it does not, it is killed."""
        child = self._child
        if child is None or child.returncode is not None:
            return
        assert child.stdin is not None
        child.stdin.close()
        try:
            await asyncio.wait_for(child.wait(), CHILD_GRACE_S)
        except TimeoutError:
            with suppress(ProcessLookupError):
                child.kill()
            await child.wait()


async def said_by(child: Process) -> AsyncIterator[dict[str, Any]]:
    """What the child says, line by line; lines that are not JSON are left out."""
    assert child.stdout is not None
    while line := await child.stdout.readline():
        with suppress(ValueError):
            said = json.loads(line)
            if isinstance(said, dict):
                yield said


class Console:
    """What the person at the terminal reads. One line per thing."""

    def __init__(self, snapshot: Callable[[], Snapshot], write: Callable[[str], None] | None = None) -> None:
        self._snapshot = snapshot
        self._write = write or (lambda text: print(text, flush=True))
        self._seen_event = 0
        self.books: dict[str, int] = {}

    def welcome(self, port: int, speed: float, one_station: str | None = None, energy: bool = False) -> None:
        """The first lines: where to look and how to end it."""
        hour = "half past nine in the morning" if energy else "half past three in the afternoon"
        self._write(f"Yardmaster demo: a depot with 10 stations, 12 bays and a 125 A connection, from {hour}.")
        self._write("  Stations five speak OCPP 2.0.1, three 1.6 and two 2.1")
        if one_station:
            self._write(f"  CSMS     sees one station with 12 EVSEs that speaks OCPP {one_station}, whatever the chargers speak")
        if energy:
            self._write("  Energy   70 kW of PV and a battery are commanded, too; the grid operator speaks over MQTT")
            self._write(f"  Record   http://127.0.0.1:{port}/api/v1/compliance.csv: what it asked for, when it was obeyed, what was measured")
            self._write("           (its times are those of the day; where it counts seconds, they are real ones)")
        self._write(f"  Page     http://127.0.0.1:{port}/")
        self._write(f"  Time     one real minute is {speed:g} minutes of the day; the control loop itself runs in real time")
        self._write("  End      Ctrl-C")
        self._write("")

    def story(self, text: str, wall_s: float) -> None:
        """A step of the story."""
        self._write(f"\n{_clock(wall_s)}  >> {text}")

    def line(self, text: str, wall_s: float) -> None:
        """Something that happened among the neighbours."""
        self._write(f"{_clock(wall_s)}     {text}")

    def events(self) -> None:
        """Entries of the controller's event log that are new; the same text about several stations is one line."""
        fresh = [event for event in self._snapshot().events if event.number > self._seen_event]
        self._seen_event = max((event.number for event in fresh), default=self._seen_event)
        together: dict[tuple[str, str], list[EventView]] = {}
        for event in sorted(fresh, key=lambda event: event.number):
            if event.subject not in HIDDEN_SUBJECTS:
                together.setdefault((event.severity, event.text), []).append(event)
        for (severity, text), events in together.items():
            mark = {"warning": " !", "alarm": "!!"}.get(severity, "  ")
            who = "" if text.startswith(events[0].subject) else f"{', '.join(event.subject for event in events)}: "
            self._write(f"{_clock(events[-1].wall_s)}  {mark} {who}{text}")

    def status(self) -> None:
        """One line: currents against the fuse, cars, queue."""
        self._write(status_line(self._snapshot(), self.books))


def status_line(snapshot: Snapshot, books: dict[str, int]) -> str:
    """Grid current per phase, fuse, cars charging and waiting, messages queued for the CSMS."""
    grid = snapshot.site.grid
    amps = " ".join("  ?" if value is None else f"{value:3.0f}" for value in grid.current_a)
    charging = sum(evse.state == "charging" for evse in snapshot.site.evses)
    waiting = sum(evse.state in ("waiting", "paused") for evse in snapshot.site.evses)
    queued = sum(link.queued for link in snapshot.links)
    heard = f", CSMS has {books['events']} events" if books else ""
    cars = f"cars {grid.ev_power_w / 1000:5.1f} kW, {charging} charging, {waiting} waiting"
    return f"{_clock(snapshot.now_wall_s)}   . grid {amps} A of {grid.fuse_a:g} | {cars} | queue {queued}{heard} | {snapshot.site.mode}"


def _clock(wall_s: float) -> str:
    return datetime.fromtimestamp(wall_s, UTC).strftime("%H:%M")
