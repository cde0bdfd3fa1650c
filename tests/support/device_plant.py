"""A site with PV, a battery and a grid meter in virtual time, around ``Devices`` alone: one-second steps, delays, ramps, refusals, another master.

What the devices do lags what they are told by ``delay_s`` and a ramp; the grid meter is read every second. ``plan``, ``exports``, ``room_w`` and
``over`` stand for what the rest of the controller says.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Any

from controller.config import Config
from controller.facts import DeviceAnswered, DeviceRead, Restored, Stamp, Steering
from controller.orders import Order, Persist, SteerDevice, Tell
from controller.site.devices.scene import Bound, PlanSlot, Scene
from controller.site.devices.steering import BATTERY, Devices

LINE = {"type": "sunspec", "host": "127.0.0.1"}


def config(inverters: tuple[dict[str, Any], ...] = (), battery: dict[str, Any] | None = None, relays: tuple[dict[str, Any], ...] = ()) -> Config:
    """A site without stations. battery: of command, None = none is commanded."""
    command = {"control": LINE, **(battery or {})}
    stored = {"capacity_wh": 20_000, "max_charge_w": 10_000, "max_discharge_w": 10_000, "reserve_percent": 20, "command": command}
    return Config.model_validate(
        {
            "site": {"id": "plant"},
            "grid": {"fuse_a": 63, "worst_other_load_a": 30, "meter": "grid"},
            "meters": [{"id": "grid", "role": "grid", "source": {"type": "modbus", "host": "127.0.0.1", "map": "any"}}],
            **({"battery": stored} if battery is not None else {}),
            "inverters": [{"control": LINE, **inverter} for inverter in inverters],
            "relays": list(relays),
        }
    )


@dataclass
class Device:
    """One device: what it was told and what it does. other_w: somebody else's command, written again all the time."""

    told: deque[tuple[float, SteerDevice]] = field(default_factory=deque)
    power_w: float = 0.0
    until_s: float = 0.0
    setpoint_w: float | None = None
    other_w: float | None = None
    closed: bool = False
    refuses: bool = False
    silent: bool = False
    deaf: bool = False

    def command(self, now: float) -> float | None:
        """The command in force."""
        if self.other_w is not None:
            return self.other_w
        return None if self.setpoint_w is None or now >= self.until_s else self.setpoint_w


class Plant:
    """See the module. sun_w(t), load_w(t): what is there; both >= 0."""

    def __init__(self, site: Config, *, delay_s: float = 2.0, ramp_s: float = 2.0) -> None:
        self.config, self.delay_s, self.ramp_s = site, delay_s, ramp_s
        self.devices = Devices(site)
        self.now = 1000.0
        self.sun_w, self.load_w, self.soc_percent = 0.0, 2_000.0, 50.0
        self.plan: PlanSlot | None = None
        self.exports: tuple[Bound, ...] = ()
        self.part: Bound | None = None
        self.room_w = 50_000.0
        self.fuse_w = 1e9
        self.limited: tuple[str, ...] = ()
        self.failsafe = False
        self.meter_lost = False
        names = [BATTERY] if site.battery is not None else []
        self.fleet = {name: Device() for name in [*names, *(one.id for one in site.inverters), *(one.id for one in site.relays)]}
        self.told: list[Tell] = []
        self.sent: list[SteerDevice] = []
        self.disk: dict[tuple[str, str], Any] = {}
        self.grid: list[float] = []
        self.battery: list[float] = []

    # -- the world ---------------------------------------------------------------------------------------

    @property
    def made_w(self) -> float:
        """What the inverters make."""
        return sum(self.fleet[one.id].power_w for one in self.config.inverters)

    @property
    def grid_w(self) -> float:
        """Import at the grid connection."""
        battery_w = self.fleet[BATTERY].power_w if BATTERY in self.fleet else 0.0
        return self.load_w + battery_w - self.made_w

    def _physics(self) -> None:
        rated_w = sum(one.max_power_w for one in self.config.inverters)
        for device in self.fleet.values():
            while device.told and device.told[0][0] <= self.now:
                at, order = device.told.popleft()
                device.setpoint_w, device.until_s, device.closed = order.power_w, at - self.delay_s + order.life_s, bool(order.closed)
        for one in self.config.inverters:
            device = self.fleet[one.id]
            free_w, most_w = min(one.max_power_w, self.sun_w * one.max_power_w / rated_w), device.command(self.now)
            self._move(device, free_w if most_w is None or device.deaf else min(free_w, most_w), one.max_power_w)
        if BATTERY in self.fleet and self.config.battery is not None:
            device, store = self.fleet[BATTERY], self.config.battery
            goal_w = device.command(self.now) or 0.0
            goal_w = 0.0 if (goal_w > 0 and self.soc_percent >= 100) or (goal_w < 0 and self.soc_percent <= 0) else goal_w
            self._move(device, max(-store.max_discharge_w, min(store.max_charge_w, goal_w)), store.max_charge_w)
            self.soc_percent += 100.0 * device.power_w / 3600.0 / store.capacity_wh

    def _move(self, device: Device, goal_w: float, rated_w: float) -> None:
        step_w = rated_w / self.ramp_s if self.ramp_s > 0 else rated_w
        device.power_w += max(-step_w, min(step_w, goal_w - device.power_w))

    # -- the controller ----------------------------------------------------------------------------------

    def scene(self) -> Scene:
        """What the controller sees."""
        grid_w = None if self.meter_lost else self.grid_w
        return Scene(
            Stamp(self.now, self.now),
            grid_w,
            False,
            self.made_w if self.config.inverters else None,
            self.fleet[BATTERY].power_w if BATTERY in self.fleet else None,
            self.soc_percent,
            self.plan,
            self.room_w,
            self.fuse_w - (grid_w or 0.0),
            0.0,
            self.devices.kept_w(self.fleet[BATTERY].power_w, self.now) if BATTERY in self.fleet else 0.0,
            self.exports,
            part=self.part,
            limited=self.limited,
            over=("grid",) if grid_w is not None and grid_w > self.fuse_w else (),
            failsafe=self.failsafe,
            export_spare_w=self.devices.export_spare_w,
        )

    def start(self) -> None:
        """A start with what is on disk."""
        self.devices = Devices(self.config)
        self.devices.restored(Restored(Stamp(self.now, self.now), dict(self.disk), {}))

    def run(self, seconds: float) -> Plant:
        """Let time pass."""
        for _ in range(round(seconds)):
            self.now += 1.0
            self._physics()
            self._read()
            self._carry(self.devices.look(self.scene()))
            self.grid.append(self.grid_w)
            self.battery.append(self.fleet[BATTERY].power_w if BATTERY in self.fleet else 0.0)
        return self

    def _read(self) -> None:
        at = Stamp(self.now, self.now)
        relays = {one.id for one in self.config.relays}
        for name, device in self.fleet.items():
            if device.silent:
                continue
            if name in relays:
                self._carry(self.devices.read(DeviceRead(at, name, closed=device.closed)))
                continue
            command_w = device.command(self.now)
            steering = Steering.FREE if command_w is None else Steering.OTHER if device.other_w is not None else Steering.OURS
            self._carry(self.devices.read(DeviceRead(at, name, device.power_w, command_w, steering, soc_percent=self.soc_percent)))

    def _carry(self, orders: list[Order]) -> None:
        at = Stamp(self.now, self.now)
        for order in orders:
            if isinstance(order, Tell):
                self.told.append(order)
            elif isinstance(order, Persist):
                self.disk |= order.remember
                self.disk = {key: value for key, value in self.disk.items() if value is not None}
            elif isinstance(order, SteerDevice):
                self.sent.append(order)
                device = self.fleet[order.device]
                ok = not (device.silent or device.refuses)
                if ok:
                    device.told.append((self.now + self.delay_s, order))
                answer = DeviceAnswered(at, order.device, order.number, ok, "" if ok else "no answer", ok)
                self._carry(self.devices.answered(answer))

    def texts(self) -> str:
        """What people were told."""
        return "\n".join(tell.text for tell in self.told)
