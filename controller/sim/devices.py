"""Inverters, battery and relays that obey commands, in memory: for virtual days and tests.

Each takes a command after a while, ends it by itself when its life is over, and says what it does. ``others``: setpoints that somebody else
writes again and again; ``refuses``, ``silent``, ``deaf`` (confirms and does not follow), ``dropped`` (carries nothing): devices by id.
``tempers``: how each is, where it is not by the book.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from controller.config import Config
from controller.facts import DeviceAnswered, DeviceRead, Fact, Stamp, Steering
from controller.orders import SteerDevice
from controller.sim.site import SitePhysics

BATTERY = "battery"


@dataclass(frozen=True, slots=True)
class Temper:
    """How a device obeys. reacts_s: after a command. ramp_s: from nothing to full power, 0 = at once. twice_s: it does each command once more so
    long after the first time, 0 = never. scale: of what it makes of a setpoint: -1 = the sign is the other way round. life_s: its own
    watchdog whatever it was told, 0 = it has none, None = as told.
    """

    reacts_s: float = 1.0
    ramp_s: float = 0.0
    twice_s: float = 0.0
    scale: float = 1.0
    life_s: float | None = None


@dataclass(slots=True)
class Told:
    """A command and until when it holds."""

    order: SteerDevice
    from_mono_s: float
    until_mono_s: float


class SimDevices:
    """All commanded devices of a site. physics: what they act on."""

    def __init__(self, config: Config, physics: SitePhysics, reacts_s: float = 1.0) -> None:
        self._config, self._physics, self._book = config, physics, Temper(reacts_s)
        self.tempers: dict[str, Temper] = {}
        self.dropped: set[str] = set()
        self.hides_soc = False
        self._moved: dict[str, tuple[float, float]] = {}
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
        temper = self._temper(order.device)
        life_s = order.life_s if temper.life_s is None else temper.life_s or math.inf
        waiting = self._told.setdefault(order.device, [])
        for more_s in dict.fromkeys((0.0, temper.twice_s)):
            waiting.append(Told(order, at.mono_s + temper.reacts_s + more_s, at.mono_s + more_s + life_s))
        waiting.sort(key=lambda told: told.from_mono_s)
        self._answers.append(DeviceAnswered(at, order.device, order.number, True))

    def _temper(self, device: str) -> Temper:
        return self.tempers.get(device, self._book)

    def forget(self) -> None:
        """All reboot: no command is in force any more."""
        self._told.clear()

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

    def _shown_w(self, device: str) -> float | None:
        """What its register says: the last word written, whether it has followed yet or not."""
        if device in self.others:
            return self.others[device]
        told = self._told.get(device, [])
        return told[-1].order.power_w if told and self._now < told[-1].until_mono_s else None

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
            most_w = None if one.id in self.deaf else self._meant_w(one.id)
            goal_w = 0.0 if one.id in self.dropped else free_w if most_w is None else min(free_w, most_w)
            self.made_w[one.id] = min(free_w, self._ramped(one.id, goal_w, one.max_power_w))
        return sum(self.made_w.values())

    def _meant_w(self, device: str) -> float | None:
        """What it makes of the setpoint in force."""
        told_w = self.setpoint_w(device)
        return None if told_w is None else told_w * self._temper(device).scale

    def _ramped(self, device: str, goal_w: float, rated_w: float) -> float:
        """Where it has got to on its way."""
        before_s, before_w = self._moved.get(device, (self._now, goal_w))
        ramp_s = self._temper(device).ramp_s
        reach_w = rated_w * (self._now - before_s) / ramp_s if ramp_s > 0 else math.inf
        now_w = before_w + max(-reach_w, min(reach_w, goal_w - before_w))
        self._moved[device] = (self._now, now_w)
        return now_w

    def _battery(self, own_w: float) -> float:
        store, told_w = self._config.battery, None if BATTERY in self.deaf else self._meant_w(BATTERY)
        goal_w = 0.0 if BATTERY in self.dropped else own_w if told_w is None else told_w
        if BATTERY in self.dropped:
            self._moved.pop(BATTERY, None)
        return self._ramped(BATTERY, goal_w, store.max_charge_w) if store is not None else goal_w

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
        told_w = self._shown_w(name)
        steering = Steering.FREE if told_w is None else Steering.OTHER if name in self.others else Steering.OURS
        if name == BATTERY:
            battery = self._physics.battery
            return DeviceRead(at, name, battery.power_w, told_w, steering, soc_percent=None if self.hides_soc else battery.soc_percent)
        return DeviceRead(at, name, self.made_w[name], told_w, steering)
