"""The inverters and the battery of a demo site as SunSpec devices on real ports, tied to the site's physics.

Each is a ``SimHybrid`` of its own: commands, watchdogs and ramps are the device's business, sun and state of charge the site's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from controller.config import Config
from controller.config_devices import SunSpecControl
from controller.sim.site import SitePhysics
from controller.sim.sunspec import Dress, Plant, SimHybrid, SimSunSpec

BATTERY = "battery"
DRESSES: tuple[Dress, ...] = ("int", "der", "float")
"""The devices speak different models, as on most sites."""


def sunspec_devices(config: Config) -> dict[str, SunSpecControl]:
    """What a site commands over SunSpec, by name."""
    found = {one.id: one.control for one in config.inverters if isinstance(one.control, SunSpecControl)}
    command = config.battery.command if config.battery is not None else None
    if command is not None and isinstance(command.control, SunSpecControl):
        found[BATTERY] = command.control
    return found


class DeviceServers:
    """All of them. ports: by name."""

    def __init__(self, config: Config, physics: SitePhysics, ports: Mapping[str, int], now_s: Callable[[], float] | None = None) -> None:
        self._config, self._physics, self._ports = config, physics, ports
        self.devices = {name: SimHybrid(dress, now_s, self._plant(name)) for name, dress in zip(sunspec_devices(config), _dresses(), strict=False)}
        self.servers = {name: SimSunSpec(device) for name, device in self.devices.items()}
        if any(one.id in self.devices for one in config.inverters):
            physics.sun = self._sun
        if BATTERY in self.devices:
            physics.battery.follow = self._battery

    def _plant(self, name: str) -> Plant:
        store = self._config.battery
        if name == BATTERY and store is not None:
            most_w = max(store.max_charge_w, store.max_discharge_w)
            return Plant(rating_w=most_w, most_w=most_w, capacity_wh=store.capacity_wh, pv_w=0.0, other_w=0.0)
        rated_w = next(one.max_power_w for one in self._config.inverters if one.id == name)
        return Plant(rating_w=rated_w, pv_w=0.0, other_w=0.0)

    async def start(self) -> None:
        """Open every port."""
        for name, server in self.servers.items():
            await server.start(self._ports.get(name, 0))

    async def stop(self) -> None:
        """Close every port."""
        for server in self.servers.values():
            await server.stop()

    def _sun(self, pv_w: float) -> float:
        """What is made of what the sun gives; an inverter that is no SunSpec device makes all it can."""
        rated_w = sum(one.max_power_w for one in self._config.inverters)
        made_w = 0.0
        for one in self._config.inverters:
            share_w = min(one.max_power_w, pv_w * one.max_power_w / rated_w)
            device = self.devices.get(one.id)
            if device is not None:
                device.plant.pv_w = share_w
                device.advance()
                share_w = device.plant.produced_w
            made_w += share_w
        return made_w

    def _battery(self, own_w: float) -> float:
        device, soc_percent = self.devices[BATTERY], self._physics.battery.soc_percent
        device.plant.own_w = own_w
        device.plant.soc_percent = 50.0 if soc_percent is None else soc_percent
        device.advance()
        return device.plant.battery_w


def _dresses() -> list[Dress]:
    return [DRESSES[number % len(DRESSES)] for number in range(50)]
