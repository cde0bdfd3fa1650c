"""Inverters, battery and relays that obey commands, in memory: for virtual days and tests.

Each takes a command after ``reacts_s``, ends it by itself when its life is over, and says what it does. ``others``: setpoints that somebody else
writes again and again; ``refuses``, ``silent``, ``deaf`` (confirms and does not follow): devices by id.
"""

from __future__ import annotations

from dataclasses import dataclass

from controller.config import Config
from controller.facts import DeviceAnswered, DeviceRead, Fact, Stamp, Steering
from controller.orders import SteerDevice
from controller.sim.site import SitePhysics

BATTERY = "battery"


@dataclass(slots=True)
class Told:
    """A command and until when it holds."""

    order: SteerDevice
    from_mono_s: float
    until_mono_s: float


class SimDevices:
    """All commanded devices of a site. physics: what they act on."""

    def __init__(self, config: Config, physics: SitePhysics, reacts_s: float = 1.0) -> None:
        self._config, self._physics, self._reacts_s = config, physics, reacts_s
        self._told: dict[str, list[Told]] = {}
        self._answers: list[Fact] = []
        self._now = 0.0
        self.made_w = dict.fromkeys((one.id for one in config.inverters), 0.0)
        self.closed = {one.id: False for one in config.relays}
        self.others: dict[str, float] = {}
        self.refuses: set[str] = set()
        self.silent: set[str] = set()
        self.deaf: set[str] = set()
        if config.inverters:
            physics.sun = self._sun
        if config.battery is not None and config.battery.command is not None:
            physics.battery.follow = self._battery

    # -- commands ------------------------------------------------------------------------------------------

    def take(self, at: Stamp, order: SteerDevice) -> None:
        """A command came."""
        if order.device in self.silent:
            self._answers.append(DeviceAnswered(at, order.device, order.number, False, "no answer", False))
            return
        if order.device in self.refuses:
            self._answers.append(DeviceAnswered(at, order.device, order.number, False, "refused by the device", False))
            return
        waiting = self._told.setdefault(order.device, [])
        waiting.append(Told(order, at.mono_s + self._reacts_s, at.mono_s + order.life_s))
        self._answers.append(DeviceAnswered(at, order.device, order.number, True))

    def in_force(self, device: str) -> SteerDevice | None:
        """The command a device follows now; None = it does as it likes."""
        begun = [told for told in self._told.get(device, []) if told.from_mono_s <= self._now]
        if not begun or self._now >= begun[-1].until_mono_s:
            return None
        order = begun[-1].order
        return None if order.power_w is None and order.closed is None else order

    def setpoint_w(self, device: str) -> float | None:
        """The power in force; somebody else's wins, as the last writer does."""
        if device in self.others:
            return self.others[device]
        order = self.in_force(device)
        return None if order is None else order.power_w

    # -- time ------------------------------------------------------------------------------------------------

    def advance(self, at: Stamp) -> None:
        """Let time pass."""
        self._now = at.mono_s
        for device, told in self._told.items():
            begun = [one for one in told if one.from_mono_s <= self._now]
            self._told[device] = [*begun[-1:], *(one for one in told if one.from_mono_s > self._now)]
        for name in self.closed:
            order = self.in_force(name)
            self.closed[name] = bool(order is not None and order.closed)

    def _sun(self, pv_w: float) -> float:
        """What is made of what the sun gives."""
        rated_w = sum(one.max_power_w for one in self._config.inverters)
        for one in self._config.inverters:
            free_w = min(one.max_power_w, pv_w * one.max_power_w / rated_w)
            most_w = None if one.id in self.deaf else self.setpoint_w(one.id)
            self.made_w[one.id] = free_w if most_w is None else min(free_w, most_w)
        return sum(self.made_w.values())

    def _battery(self, own_w: float) -> float:
        told_w = None if BATTERY in self.deaf else self.setpoint_w(BATTERY)
        return own_w if told_w is None else told_w

    # -- what they say ----------------------------------------------------------------------------------------

    def facts(self, at: Stamp) -> list[Fact]:
        """What they say now, answers first."""
        answers, self._answers = self._answers, []
        return [*answers, *(self._read(name, at) for name in self._names() if name not in self.silent)]

    def _names(self) -> list[str]:
        battery = self._config.battery
        return [*([BATTERY] if battery is not None and battery.command is not None else []), *self.made_w, *self.closed]

    def _read(self, name: str, at: Stamp) -> Fact:
        if name in self.closed:
            return DeviceRead(at, name, closed=self.closed[name], steering=Steering.UNKNOWN)
        told_w = self.setpoint_w(name)
        steering = Steering.FREE if told_w is None else Steering.OURS
        if name == BATTERY:
            battery = self._physics.battery
            return DeviceRead(at, name, battery.power_w, told_w, steering, soc_percent=battery.soc_percent)
        return DeviceRead(at, name, self.made_w[name], told_w, steering)
