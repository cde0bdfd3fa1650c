"""The closed loop in real time: ``python -m tests.support.real_time --minutes 10``.

A real ``yardmaster run`` process, more than fifty stations with 64 bays over real WebSockets, seven meters over Modbus, a
CSMS, and the physics of ``controller.sim.physics`` on the same clock: cars and boxes of every temper, a building with
motors. The report is that of the virtual runs. The controller can be stopped (SIGSTOP) in the middle (F69).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from aiohttp import ClientWebSocketResponse

from controller.config import Config
from controller.io.clock import Clock
from controller.io.tasks import end, spawn
from controller.paths import config_dir
from controller.sim.csms import SimCsms
from controller.sim.meter import SimMeters
from controller.sim.physics.boxes import TemperedStation
from controller.sim.physics.depot import GRID, Depot, make_depot
from controller.sim.physics.report import Identity, Report, report_of
from controller.sim.physics.scenes import busy, hungry, quiet, worst_rise
from controller.sim.physics.table import table
from controller.sim.physics.world import World
from controller.sim.station_client import StationClient
from tests.support.yard import Yard, free_port, until

TICK_S = 0.2
REBOOT_S = 20.0
RISE_S = 6.0
COME_WITHIN_S = 60.0
STAY_S = 24 * 3600.0
LINE = re.compile(r"^\S+ \S+ (WARNING|ERROR) +(.*)$")
SEVERITIES = {"WARNING": "warning", "ERROR": "alarm"}


class TemperedClient(StationClient):
    """The network side of a box that thinks before it speaks."""

    async def _send(self, socket: ClientWebSocketResponse, texts: list[str]) -> None:
        station = self.station
        if texts and isinstance(station, TemperedStation) and station.temper.answers_after_s:
            await asyncio.sleep(station.temper.answers_after_s)
        await super()._send(socket, texts)


class RealDepot:
    """Everything around the controller, on real sockets, with a hungry car for every bay. Use as async context manager.

    ``look`` is called after each step of the world with the seconds since the cars began to come.
    """

    def __init__(self, folder: Path, depot: Depot, seed: int, come_within_s: float = COME_WITHIN_S) -> None:
        self.clock = Clock()
        self.seed, self.depot, self.folder = seed, depot, folder
        self.began_s = self.clock.stamp().mono_s
        self.csms = SimCsms(self.clock.stamp)
        self.look: Callable[[float, World], None] = lambda _since_s, _world: None
        self.slowest_s = 0.0
        self._come_within_s = come_within_s
        self._tasks: list[asyncio.Task[None]] = []
        self._rebooted: set[str] = set()

    async def __aenter__(self) -> RealDepot:
        data = {**self.depot.data, "listen": {"host": "127.0.0.1", "port": free_port()}, "api": {"host": "127.0.0.1", "port": free_port()}}
        data["data_dir"] = str(self.folder / "data")
        await self.csms.start()
        data["upstreams"] = [{**self.depot.data["upstreams"][0], "url": self.csms.url}]
        meters = [json.loads(json.dumps(meter)) for meter in self.depot.data["meters"]]
        self.world = World(self.depot, Config.model_validate(data), self.seed, self.clock.stamp().wall_s, 1.0, [])
        units = {meter["source"]["unit"]: self._values(meter["id"]) for meter in meters}
        self.meters = SimMeters(config_dir() / "meters", units)
        await self.meters.start()
        for meter in meters:
            meter["source"]["port"] = self.meters.port
        data["meters"] = meters
        self.yard = Yard(self.folder, data)
        self._step()
        await self.yard.start()
        self.clients = [TemperedClient(station, self.yard.ocpp_url, self.clock.stamp) for station in self.world.stations.values()]
        for client in self.clients:
            self._tasks += [spawn(client.run(), client.station.spec.id), spawn(self._ticks(client), f"ticks of {client.station.spec.id}")]
        self._tasks.append(spawn(self._world(), "world"))
        await self._open()
        return self

    async def _open(self) -> None:
        """The cars come when every station has found the controller: before that nobody could hold them."""
        await until(lambda: all(station.accepted for station in self.world.stations.values()), 60)
        at = self.clock.stamp()
        self.began_s = at.mono_s
        self.world.expect(hungry(self.depot, self.seed, at.wall_s, self._come_within_s, STAY_S))

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await end(self._tasks)
        if self.yard.process is not None and self.yard.process.returncode is None:
            self.yard.process.send_signal(signal.SIGCONT)
            await self.yard.stop()
        await self.meters.stop()
        await self.csms.stop()

    def _values(self, meter_id: str) -> Callable[[], Any]:
        return lambda: self.world.tree.values(meter_id)

    @property
    def since_s(self) -> float:
        """Seconds since the cars began to come."""
        return self.clock.stamp().mono_s - self.began_s

    def freeze(self, building_rises: bool = True) -> None:
        """SIGSTOP, and the building goes to its worst."""
        if building_rises:
            self.world.rise(GRID, worst_rise(self.clock.stamp().wall_s, RISE_S))
        assert self.yard.process is not None
        self.yard.process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """SIGCONT."""
        assert self.yard.process is not None
        self.yard.process.send_signal(signal.SIGCONT)

    def report(self, frozen: bool = False) -> Report:
        """What has been seen so far."""
        identity = Identity(self.seed, self.since_s / 86_400.0, frozen)
        self.world.account.close_day(self.world.stations)
        return report_of(self.world, identity, told(self.yard.log), self.since_s)

    # -- the world ---------------------------------------------------------------------------------

    async def _world(self) -> None:
        while True:
            began_s = time.monotonic()
            self._step()
            self.look(self.since_s, self.world)
            self.slowest_s = max(self.slowest_s, time.monotonic() - began_s)
            await asyncio.sleep(TICK_S)

    def _step(self) -> None:
        at = self.clock.stamp()
        self.world.advance(at)
        for station_id, what in self.world.mishaps:
            station = self.world.stations[station_id]
            if what == "reboots":
                self.world.power_cut(at, station_id)
                station.lost_until_mono_s = at.mono_s + REBOOT_S
                self._rebooted.add(station_id)
            elif station.connected:
                station.lose_link(at)
        for station_id in list(self._rebooted):
            if self.world.stations[station_id].accepted:
                self.world.plug_in_again(at, station_id)
                self._rebooted.discard(station_id)

    async def _ticks(self, client: StationClient) -> None:
        """Time passes for one station's link."""
        station = self.world.stations[client.station.spec.id]
        while True:
            client.enabled = self.clock.stamp().mono_s >= station.lost_until_mono_s
            with suppress(ConnectionError, RuntimeError):  # the socket closed under our feet; its own task dials again
                await client.tick()
            await asyncio.sleep(TICK_S)


def told(log: Path) -> list[tuple[str, str]]:
    """Warnings and alarms in the controller's log: (severity, text)."""
    rows = [LINE.match(line) for line in log.read_text(encoding="utf-8", errors="replace").splitlines()] if log.exists() else []
    return [(SEVERITIES[row[1]], row[2].split(": ", 1)[-1]) for row in rows if row is not None]


def real_control(**more: float) -> dict[str, float]:
    """No plan is ever young enough: the arbiter alone fills the fuses, which is harder on them."""
    return {"plan_every_s": 3600, "plan_max_age_s": 0.02, "solver_deadline_s": 0.01, **more}


async def _run(arguments: argparse.Namespace) -> Report:
    plain = make_depot(arguments.seed, arguments.evses, control=real_control())
    freeze_s = arguments.freeze
    depot = quiet(plain) if freeze_s else busy(plain)
    with tempfile.TemporaryDirectory() as folder:
        async with RealDepot(Path(folder), depot, arguments.seed) as real:
            frozen = False
            while real.since_s < 60.0 * arguments.minutes:
                await asyncio.sleep(10.0)
                if freeze_s and not frozen and real.since_s >= freeze_s:
                    frozen = True
                    real.freeze()
                amps = [round(one) for one in real.world.tree.amps[-1]]
                online = sum(station.accepted and station.connected for station in real.world.stations.values())
                print(f"{real.since_s:4.0f} s  grid {amps} A, {online} stations online", file=sys.stderr, flush=True)
            return real.report(bool(freeze_s))


def main() -> int:
    """Returns 0 if every promise was kept."""
    parser = argparse.ArgumentParser(prog="python -m tests.support.real_time", description="The closed loop in real time over sockets.")
    parser.add_argument("--minutes", type=float, default=10.0, help="how long (default: 10)")
    parser.add_argument("--seed", type=int, default=1, help="depot, cars, motors and mishaps (default: 1)")
    parser.add_argument("--evses", type=int, default=64, help="number of EVSEs (default: 64)")
    parser.add_argument("--freeze", type=float, default=0.0, help="SIGSTOP the controller after so many seconds, for good")
    parser.add_argument("--json", help="file for the report")
    arguments = parser.parse_args()
    report = asyncio.run(_run(arguments))
    print(table(report))
    if arguments.json:
        Path(arguments.json).write_text(json.dumps(report.as_json(), indent=2) + "\n", encoding="utf-8")
    return 1 if report.breaches() else 0


if __name__ == "__main__":
    sys.exit(main())
