"""All simulated neighbours of the demo in one child process: ``python -m controller.sim.neighbours``.

A process of their own, so that the controller's event loop is as alone as in the field. The parent
sends one JSON line with the settings and then holds the pipe open: when it closes, for whatever
reason, the neighbours end. What they have to say goes to standard output, one JSON object a line:
``ready``, ``story`` (for the page too), ``line`` (console only), ``books`` (the CSMS's account).
"""

from __future__ import annotations

import asyncio
import json
import logging
import signal
import sys
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from typing import Any

from controller.check import load_config
from controller.io.clock import Clock
from controller.io.tasks import spawn
from controller.paths import config_dir
from controller.sim import operator
from controller.sim.broker import FleetManager, SimBroker
from controller.sim.csms import SimCsms
from controller.sim.device_servers import DeviceServers
from controller.sim.meter import SimMeters
from controller.sim.scenario import SCENARIOS, Deed, Happening
from controller.sim.site import SimSite
from controller.sim.station_client import StationClient

TICK_S = 0.2
DOORS_OPEN_S = 8.0
BOOKS_EVERY_S = 5.0
ASIDE_S = 8.0
NEEDS_EVERY_S = 1.0
GRID_UNIT, PV_UNIT, BATTERY_UNIT = 1, 2, 3


@dataclass(frozen=True, slots=True)
class Settings:
    """What the parent decides. mono_s and wall_s: one moment on both clocks; ports are free loopback ports.

    page_port: of the controller's API. device_ports: of inverters and battery that are commanded, by name.
    """

    config: str
    scenario: str
    mono_s: float
    wall_s: float
    speed: float
    stations_port: int
    csms_port: int
    meters_port: int
    mqtt_port: int
    page_port: int
    device_ports: dict[str, int] = field(default_factory=dict)

    def text(self) -> str:
        """As one JSON line."""
        return json.dumps(asdict(self)) + "\n"


class Neighbours:
    """Stations, cars, meters, CSMS, broker and fleet manager, and the story they play."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.clock = _clock_of(settings)
        config = load_config(settings.config)
        self.scenario = SCENARIOS[settings.scenario]
        self._has_operator = any(entry.id == operator.SOURCE for entry in config.signals)
        self.site = SimSite(config, self.scenario, settings.wall_s)
        self.csms = SimCsms(self.clock.stamp)
        physics = self.site.physics
        units = {GRID_UNIT: lambda: physics.grid, PV_UNIT: lambda: physics.pv, BATTERY_UNIT: lambda: physics.battery_meter}
        self.meters = SimMeters(config_dir() / "meters", units)
        self.devices = DeviceServers(config, physics, settings.device_ports)
        self.broker = SimBroker()
        self.fleet = FleetManager(config.site.id, settings.mqtt_port, settings.page_port)
        url = f"ws://127.0.0.1:{settings.stations_port}{config.listen.path}"
        self.clients = [StationClient(station, url, self.clock.stamp) for station in self.site.stations.values()]

    async def start(self) -> None:
        """Open every port, then let the stations dial."""
        physics_start = self.clock.stamp().wall_s
        self.site.physics.step(physics_start, 0.0, (0.0, 0.0, 0.0))
        await self.csms.start(self.settings.csms_port)
        await self.meters.start(self.settings.meters_port)
        await self.devices.start()
        await self.broker.start(self.settings.mqtt_port)
        await self.fleet.start()
        say(ready=True)
        for client in self.clients:
            spawn(client.run(), f"station {client.station.spec.id}")
        spawn(self._world(), "world")
        spawn(self._story(), "story")
        spawn(self._needs(), "needs")
        if self._has_operator:
            spawn(self._operator(), "grid operator")
        spawn(self._account(), "account")

    async def stop(self) -> None:
        """Leave nothing behind but closed sockets; the process ends right after."""
        await self.fleet.stop()
        await self.csms.stop()

    async def _world(self) -> None:
        """Time passes for everybody. Cars come only when the stations have found their controller."""
        waited_s = 0.0
        while waited_s < DOORS_OPEN_S and not all(client.station.accepted for client in self.clients):
            await self._tick_all()
            waited_s += TICK_S
        while True:
            for text in self.site.advance(self.clock.stamp()):
                say(line=text, wall_s=self.clock.stamp().wall_s)
            await self._tick_all()

    async def _tick_all(self) -> None:
        for client in self.clients:
            try:
                await client.tick()
            except (ConnectionError, RuntimeError):
                continue  # the socket closed under our feet; its own task notices and dials again
        await asyncio.sleep(TICK_S)

    async def _story(self) -> None:
        for wall_s, step in self.scenario.happenings(self.settings.wall_s):
            await asyncio.sleep(max(0.0, (wall_s - self.clock.stamp().wall_s) / self.settings.speed))
            say(story=step.sentence, wall_s=wall_s)
            await self._do(step)

    async def _operator(self) -> None:
        """The grid operator is there: nothing is limited, said until the controller has answered; then signs of life."""
        while operator.SOURCE not in self.fleet.answered:
            self.fleet.state(operator.SOURCE, operator.FIRST)
            await asyncio.sleep(operator.AGAIN_S)
        while True:
            await asyncio.sleep(operator.BEAT_S)
            self.fleet.state(operator.SOURCE, {})

    async def _needs(self) -> None:
        """The fleet manager speaks for the cars whose stations cannot."""
        while True:
            await asyncio.sleep(NEEDS_EVERY_S)
            for item in self.site.unspoken():
                spec = item.car.spec
                if await self.fleet.need(item.arrival.station_id, item.arrival.evse_id, item.car.missing_wh, spec.departure_wall_s):
                    self.site.stated(item)

    async def _do(self, step: Happening) -> None:
        match step.deed:
            case Deed.LIMIT:
                self.fleet.limit(step.value, "A", step.valid_h * 3600.0 / self.settings.speed)
            case Deed.IMPORT_LIMIT | Deed.EXPORT_LIMIT:
                self.fleet.state(operator.SOURCE, operator.payload(step, self.settings.speed))
            case Deed.CSMS_DOWN:
                await self.csms.stop()
            case Deed.CSMS_UP:
                await self.csms.start(self.settings.csms_port)
                confirmed = {station.spec.id: tuple(station.confirmed) for station in self.site.stations.values()}
                spawn(self._audit(confirmed), "audit")

    async def _audit(self, confirmed: dict[str, tuple[str, ...]]) -> None:
        """After the outage: has the CSMS all that the stations had had confirmed by its end, without a gap and in order?"""
        await asyncio.sleep(ASIDE_S)
        account = self.csms.books
        books = account.transactions.values()
        late = sum(book.told_late for book in books)
        known = [row for row in confirmed.items() if row[0] in account.boots]  # as one large station the CSMS hears them in other words
        gaps = sum(len(book.missing) for book in books) + sum(len(account.unheard(*row)) for row in known) + len(account.strays)
        disorder = sum(not book.in_order for book in books)
        verdict = "nothing is missing, all in order" if gaps == disorder == 0 else f"{gaps} still missing, {disorder} transactions out of order"
        say(story=f"The CSMS has counted: {late} messages came in after the outage; {verdict}.", wall_s=self.clock.stamp().wall_s)

    async def _account(self) -> None:
        while True:
            await asyncio.sleep(BOOKS_EVERY_S)
            books = self.csms.books.transactions.values()
            events = sum(len(book.events) for book in books)
            gaps = sum(len(book.missing) for book in books) + len(self.csms.books.strays)
            say(books={"transactions": len(books), "events": events, "gaps": gaps})


def say(**fields: Any) -> None:
    """One line to the parent. A parent that is gone is noticed elsewhere."""
    try:
        print(json.dumps(fields), flush=True)
    except BrokenPipeError:
        return


def _clock_of(settings: Settings) -> Clock:
    """The parent's clock: the monotonic clock is the same for all processes of a machine."""
    mono_s = Clock().stamp().mono_s
    return Clock(settings.speed, settings.wall_s + (mono_s - settings.mono_s) * settings.speed)


async def _until_parent_is_gone() -> None:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    await reader.read()


async def _run(settings: Settings) -> None:
    neighbours = Neighbours(settings)
    gone = spawn(_until_parent_is_gone(), "parent watch")
    try:
        await neighbours.start()
        await gone
    finally:
        with suppress(TimeoutError):  # on a busy machine; what is still open ends with this process
            await asyncio.wait_for(neighbours.stop(), 1.0)


def main() -> int:
    """Entry point of the child process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent; we end when it does
    logging.basicConfig(level=logging.CRITICAL)
    with open(0, "rb", buffering=0, closefd=False) as pipe:  # unbuffered: the rest of the pipe is watched by the event loop
        line = pipe.readline()
    try:
        asyncio.run(_run(Settings(**json.loads(line))))
    except (OSError, TimeoutError) as error:
        say(error=str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
