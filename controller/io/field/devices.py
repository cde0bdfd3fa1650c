"""Shell: carries out commands for inverters, battery and relays, reads back what became of them, and reads their state every second.

One task per device. A command overtakes the reading that would be next, and the newest one replaces one that still waits. Each ends in
exactly one ``DeviceAnswered``, each look in a ``DeviceRead``; a device that cannot be read says nothing, which the site notices. On
shutdown everything that was commanded is given free, except a discharge that a fuse hangs on: that one ends by itself, after the setpoints of
the chargers. After a crash the devices' own watchdogs do it.
"""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from pathlib import Path

from controller.config import Config
from controller.config_devices import ModbusControl, MqttControl, StageControl, SunSpecControl
from controller.facts import DeviceAnswered, DeviceRead
from controller.io.field.bus import Buses
from controller.io.field.device_drivers import Driver, Kind, MapDriver, MqttDriver, RelayDriver, SunSpecDriver
from controller.io.shell import Clock, StartError, Submit, Topics
from controller.io.tasks import end, keep, spawn
from controller.orders import Order, SteerDevice
from meters.reading import ReadingError
from meters.template import TemplateError, find_template

log = logging.getLogger(__name__)

LOOK_S = 1.0
"""Time between two looks at a device [s]."""
TELL_AFTER = 5
"""So many looks at a device in a row fail before the log has the reason, once."""
RELEASE_S = 0.8
"""All devices together are given free within this when the program stops [s]."""
BATTERY = "battery"


class DevicesShell:
    """All devices the site commands."""

    orders: tuple[type[Order], ...] = (SteerDevice,)

    def __init__(self, config: Config, clock: Clock, submit: Submit, maps_dir: Path, buses: Buses, look_s: float = LOOK_S) -> None:
        """look_s: time between two looks at a device [s]. Raises StartError: a register map is missing, wrong, or has no controls."""
        self._clock, self._submit, self._look_s = clock, submit, look_s
        self.topics: Topics | None = None
        self.drivers = build_drivers(config, maps_dir, buses)
        self._waiting: dict[str, SteerDevice] = {}
        self._wake = {name: asyncio.Event() for name in self.drivers}
        self._ours: set[str] = set()
        self._kept: set[str] = set()
        self._refused: set[str] = set()
        self._failed: dict[str, int] = {}
        self._tasks: list[asyncio.Task[None]] = []

    def carry(self, order: SteerDevice) -> None:
        """Take a command; the newest one counts."""
        if order.device not in self.drivers:
            self._submit(DeviceAnswered(self._clock.stamp(), order.device, order.number, False, "no such device in the site file", False))
            return
        self._waiting[order.device] = order
        self._wake[order.device].set()

    async def start(self) -> None:
        """Begin to look; a device that is away is no reason to fail."""
        for driver in self.drivers.values():
            driver.begin(self.topics)
        self._tasks = [keep(partial(self._tend, name), f"device {name}") for name in self.drivers]

    async def stop(self) -> None:
        """Give everything free that we command, then end."""
        await end(self._tasks)
        self._tasks = []
        self._kept -= {name for name, order in self._waiting.items() if not order.keeps}  # what waits knows better what a fuse hangs on
        for name in sorted(self._kept & self._ours):
            log.warning("%s keeps its command until it ends by itself: a fuse or a limit would be broken without it", name)
        releases = [spawn(self._release(name), f"release {name}") for name in sorted(self._ours - self._kept)]
        if releases:
            _, late = await asyncio.wait(releases, timeout=RELEASE_S)
            await end(list(late))
            for name in sorted(self._ours - self._kept - self._refused):
                log.warning("%s was not given free within %.1f s; it falls free %s", name, RELEASE_S, self._ends(name))

    async def _release(self, name: str) -> None:
        try:
            await self.drivers[name].steer(SteerDevice(name, 0))
            self._ours.discard(name)
        except ReadingError as error:
            self._refused.add(name)
            log.warning("%s could not be given free (%s); it falls free %s", name, error, self._ends(name))

    def _ends(self, name: str) -> str:
        """How a command ends that nobody takes back, for people."""
        return "by its own watchdog" if self.drivers[name].ends_itself else "only at the next start, or by hand: it has no watchdog"

    # -- one device --------------------------------------------------------------------------------------

    async def _tend(self, name: str) -> None:
        """Commands as they come, else a look each second."""
        driver, wake = self.drivers[name], self._wake[name]
        loop = asyncio.get_running_loop()
        due_s = loop.time()
        while True:
            order = self._waiting.pop(name, None)
            if order is not None:
                await self._steer(driver, order)
            elif loop.time() >= due_s:
                due_s = loop.time() + self._look_s
                await self._look(driver)
            wake.clear()
            if name not in self._waiting:
                try:
                    async with asyncio.timeout_at(due_s):  # not wait_for: in CPython 3.11 it may lose a cancellation
                        await wake.wait()
                except TimeoutError:
                    continue

    async def _steer(self, driver: Driver, order: SteerDevice) -> None:
        free = order.power_w is None and order.closed is None
        if not free:
            self._ours.add(order.device)  # before it is sent: a command whose answer is lost may be in force
        if not order.keeps:
            self._kept.discard(order.device)
        try:
            confirmed = await driver.steer(order)
        except ReadingError as error:
            self._submit(DeviceAnswered(self._clock.stamp(), order.device, order.number, False, str(error), False))
            return
        if free:
            self._ours.discard(order.device)
        elif order.keeps and driver.ends_itself:
            self._kept.add(order.device)
        self._submit(DeviceAnswered(self._clock.stamp(), order.device, order.number, True, confirmed=confirmed))

    async def _look(self, driver: Driver) -> None:
        try:
            state = await driver.look()
        except ReadingError as error:
            failed = self._failed[driver.name] = self._failed.get(driver.name, 0) + 1
            log.log(logging.WARNING if failed == TELL_AFTER else logging.DEBUG, "%s does not say what it does: %s", driver.name, error)
            return
        self._failed.pop(driver.name, None)
        if state is None:
            return
        fact = DeviceRead(
            self._clock.stamp(),
            driver.name,
            state.power_w,
            state.command_w,
            state.steering,
            state.closed,
            state.max_charge_w,
            state.max_discharge_w,
            state.soc_percent,
            state.detail,
        )
        self._submit(fact)


def build_drivers(config: Config, maps_dir: Path, buses: Buses) -> dict[str, Driver]:
    """A driver for each device of the site file that is commanded by itself; inverters behind relays are the relays'. Raises StartError."""
    found: dict[str, Driver] = {}
    store = config.battery
    if store is not None and store.command is not None:
        rated_w = max(store.max_charge_w, store.max_discharge_w)
        found[BATTERY] = _driver(BATTERY, store.command.control, rated_w, maps_dir, buses, grid_charging=store.command.grid_charging)
    for inverter in config.inverters:
        if not isinstance(inverter.control, StageControl):
            found[inverter.id] = _driver(inverter.id, inverter.control, inverter.max_power_w, maps_dir, buses)
    for relay in config.relays:
        found[relay.id] = RelayDriver(relay.id, relay.pin, buses)
    return found


def _driver(
    name: str,
    control: SunSpecControl | ModbusControl | MqttControl,
    rated_w: float,
    maps_dir: Path,
    buses: Buses,
    grid_charging: bool = True,
) -> Driver:
    kind: Kind = "battery" if name == BATTERY else "inverter"
    if isinstance(control, SunSpecControl):
        return SunSpecDriver(name, kind, control, buses, rated_w, grid_charging)
    if isinstance(control, MqttControl):
        return MqttDriver(name, kind, control, rated_w)
    try:
        template = find_template(maps_dir, control.map)
    except TemplateError as error:
        raise StartError(f"a register map cannot be used: {error}") from None
    if template.controls is None or template.controls.kind != kind:
        raise StartError(f"the register map {control.map} cannot command {name}: it has no controls for a device of the kind {kind}")
    return MapDriver(name, control, template, template.controls, rated_w, buses)
