"""The ways to command a device: SunSpec, a register map with controls, MQTT, a relay. Each steers once and tells what the device does.

``steer`` returns whether the command was read back; everything that goes wrong is a ``ReadingError`` in plain words. ``look`` returns what the
device says now, None where it has said nothing (new). Whose a command is: ours if what is read back is what we wrote last, free if
nothing is in force, else somebody else's.
"""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, Protocol

from controller.config_base import FilePin, ModbusPin
from controller.config_devices import ModbusControl, MqttControl, SunSpecControl
from controller.facts import Steering
from controller.io.field.bus import Buses, RefusedError
from controller.io.field.sunspec_device import SunSpecDevice
from controller.io.shell import Topics
from controller.orders import SteerDevice
from meters.controls import Controls, ControlsError, InForce, close, command, in_force, release, spans
from meters.decode import decode
from meters.reading import ReadingError
from meters.sunspec_control import (
    Command,
    ControlError,
    commanded,
    confirmed,
    control_reads,
    limit_production,
    read_battery,
    read_inverter,
    release_battery,
    release_inverter,
    set_battery,
)
from meters.sunspec_models import Picture
from meters.template import Block, Template

Kind = Literal["battery", "inverter"]
SETTLE_S = 0.3
"""A device gets so long before a command is read back [s]."""
READ_BACKS = 4
"""So often a command is read back before it counts as not taken."""
TOLD_S = 4.0
"""So long an MQTT device may take to tell its state back [s]."""
MQTT_STATE_S = 90.0
"""A state told over MQTT counts for so long [s]."""
SAME_W = 1.0


@dataclass(frozen=True, slots=True)
class State:
    """What a device says, see ``facts.DeviceRead``."""

    power_w: float | None = None
    command_w: float | None = None
    steering: Steering = Steering.UNKNOWN
    closed: bool | None = None
    max_charge_w: float | None = None
    max_discharge_w: float | None = None
    soc_percent: float | None = None
    detail: str = ""


class Driver(Protocol):
    """One way to command one device. ends_itself: the last command ends by itself after its life, or the device's own watchdog."""

    name: str
    ends_itself: bool

    def begin(self, topics: Topics | None) -> None:
        """The shells start now. topics: the site's broker, None without one."""

    async def steer(self, order: SteerDevice) -> bool:
        """Carry out a command; whether it was read back. Raises ReadingError."""

    async def look(self) -> State | None:
        """What the device says now. Raises ReadingError."""


class SunSpecDriver:
    """An inverter (123, 704) or a battery (124, 704)."""

    def __init__(self, name: str, kind: Kind, control: SunSpecControl, buses: Buses, rated_w: float, grid_charging: bool) -> None:
        self.name = name
        self._kind, self._rated_w, self._grid_charging = kind, rated_w, grid_charging
        self._device = SunSpecDevice(buses.of(control), control, control.base, partial(commanded, nth=control.nth))
        self._last: Command | None = None
        self._piecemeal = False
        self._grid_before: bool | None = None
        self._grid_known = False
        self.ends_itself = False

    def begin(self, topics: Topics | None) -> None:
        """Nothing to do."""

    async def steer(self, order: SteerDevice) -> bool:
        """Write, read back."""
        picture = await self._device.read(control_reads)
        self._last = None
        try:
            made = await self._carried(picture, order)
        except ControlError as error:
            raise ReadingError("cannot be commanded", str(error)) from None
        self._last, self.ends_itself = made if order.power_w is not None else None, made.ends_itself
        for _ in range(READ_BACKS):
            if confirmed(await self._device.read(control_reads), made):
                return True
            await asyncio.sleep(SETTLE_S)
        raise ReadingError("not taken", "it accepted the command but does not show it")

    async def _carried(self, picture: Picture, order: SteerDevice) -> Command:
        """The command, in one piece if the device takes that, else point by point."""
        made = self._command(picture, order)
        try:
            await self._device.carry_out(made)
        except RefusedError:
            if self._piecemeal:
                raise
            self._piecemeal = True
            made = self._command(picture, order)
            await self._device.carry_out(made)
        return made

    def _command(self, picture: Picture, order: SteerDevice) -> Command:
        piecemeal = self._piecemeal
        if self._kind == "inverter":
            if order.power_w is None:
                return release_inverter(picture, piecemeal=piecemeal)
            return limit_production(picture, order.power_w, order.life_s, piecemeal=piecemeal)
        if not self._grid_known:
            self._grid_before, self._grid_known = read_battery(picture).grid_charging, True
        if order.power_w is None:
            return release_battery(picture, grid_charging=self._grid_before, piecemeal=piecemeal)
        return set_battery(picture, order.power_w, order.life_s, grid_charging=self._grid_charging, piecemeal=piecemeal)

    async def look(self) -> State | None:
        """What it says."""
        picture = await self._device.read(control_reads)
        ours = self._last is not None and confirmed(picture, self._last)
        return self._inverter(picture, ours) if self._kind == "inverter" else self._battery(picture, ours)

    def _inverter(self, picture: Picture, ours: bool) -> State:
        said = read_inverter(picture)
        made_w = None if said.power_w is None else max(0.0, -said.power_w)
        if ours and self._last is not None:
            return State(made_w, self._last.power_w, Steering.OURS)
        if not said.steering:
            idle = said.enabled  # it shows a limit and makes more (trap S2): nobody holds it down
            return State(made_w, None, Steering.FREE, detail="it shows a limit it does not keep" if idle else "")
        return State(made_w, said.limit_w, Steering.OTHER)

    def _battery(self, picture: Picture, ours: bool) -> State:
        said = read_battery(picture)
        detail = "set to local control" if said.local else ""
        steering = Steering.OURS if ours else Steering.OTHER if said.steering else Steering.FREE
        command_w = self._last.power_w if ours and self._last is not None else said.command_w
        return State(
            said.power_w,
            command_w,
            steering,
            max_charge_w=said.charge_max_w,
            max_discharge_w=said.discharge_max_w,
            soc_percent=said.soc_percent,
            detail=detail,
        )


class MapDriver:
    """A device with a register map that has controls."""

    def __init__(self, name: str, line: ModbusControl, template: Template, controls: Controls, rated_w: float, buses: Buses) -> None:
        self.name = name
        self._line, self._template, self._controls, self._rated_w = line, template, controls, rated_w
        self.ends_itself = controls.life is not None or controls.ends_itself_s is not None
        self._bus = buses.of(line, gap_s=template.min_gap_ms / 1000.0, connect_delay_s=template.connect_delay_ms / 1000.0)
        self._last_w: float | None = None

    def begin(self, topics: Topics | None) -> None:
        """Nothing to do."""

    async def steer(self, order: SteerDevice) -> bool:
        """Write in the map's order, read back."""
        order_of_words, controls = self._template.word_order, self._controls
        try:
            if order.power_w is None:
                writes = release(controls, order_of_words)
            else:
                writes = command(controls, order_of_words, order.power_w, self._rated_w, order.life_s)
        except ControlsError as error:
            raise ReadingError("cannot be commanded", str(error)) from None
        self._last_w = None
        async with self._bus.turn(self._line, urgent=True):
            for write in writes:
                await self._bus.write_registers(self._line, write.address, write.words, single=write.function == 6)
        if order.power_w is None or controls.blind:
            self._last_w = order.power_w
            return not controls.blind and bool(writes)
        for _ in range(READ_BACKS):
            if self._taken(await self._in_force(), order.power_w):
                self._last_w = order.power_w
                return True
            await asyncio.sleep(SETTLE_S)
        raise ReadingError("not taken", "it accepted the command but does not show it")

    def _taken(self, shown: InForce, power_w: float) -> bool:
        return shown.command_w is not None and shown.on is not False and close(self._controls, shown.command_w, power_w, self._rated_w)

    async def look(self) -> State | None:
        """What the registers say: control registers, and power and state of charge where the map has them."""
        values = await self._values()
        power_w = values.get("p")
        if power_w is not None:
            power_w = power_w if self._template.sign == "import" else -power_w
            power_w = power_w if self._controls.kind == "battery" else max(0.0, -power_w)
        soc = values.get("soc")
        if self._controls.blind:
            return State(power_w, self._last_w, Steering.UNKNOWN, soc_percent=soc)
        shown = await self._in_force()
        return State(power_w, *self._whose(shown), soc_percent=soc)

    def _whose(self, shown: InForce) -> tuple[float | None, Steering]:
        if self._last_w is not None and self._taken(shown, self._last_w):
            return self._last_w, Steering.OURS
        if shown.on is False:
            return None, Steering.FREE
        if shown.on is None:
            return shown.command_w, Steering.UNKNOWN  # no switch: a number alone does not tell whether it counts
        return shown.command_w, Steering.OTHER

    async def _in_force(self) -> InForce:
        image: dict[int, int] = {}
        for address, count in spans(self._controls):
            image |= dict(enumerate(await self._bus.read_registers(self._line, self._controls.reads, address, count), address))
        return in_force(self._controls, self._template.word_order, image, self._rated_w)

    async def _values(self) -> Mapping[str, float | None]:
        wanted = {name for name in ("p", "soc") if name in self._template.registers}
        image: dict[int, int] = {}
        for span in (self._template.registers[name].span for name in sorted(wanted)):
            image |= await self._words(span)
        for name in wanted:
            scale = self._template.registers[name].scale_register
            image |= await self._words(Block(scale, 1)) if scale is not None else {}
        return decode(self._template, image)

    async def _words(self, span: Block) -> dict[int, int]:
        return dict(enumerate(await self._bus.read_registers(self._line, self._template.function, span.address, span.length), span.address))


class MqttDriver:
    """A device behind a home automation: JSON both ways."""

    def __init__(self, name: str, kind: Kind, control: MqttControl, rated_w: float) -> None:
        self.name = name
        self._kind, self._control, self._rated_w = kind, control, rated_w
        self._topics: Topics | None = None
        self._state: tuple[float, float | None] | None = None
        self._news = asyncio.Event()
        self._last_w: float | None = None
        self._commanded = False
        self.ends_itself = True  # whoever executes valid_for_s has to

    def begin(self, topics: Topics | None) -> None:
        """Listen for what it tells."""
        self._topics = topics
        if topics is not None and self._control.state_topic is not None:
            topics.listen(self._control.state_topic, self._told)

    def _told(self, topic: str, payload: bytes, retained: bool) -> None:
        """A state came; one from before our start says nothing about now."""
        said = _power_of(payload)
        if said is not _NOTHING and not retained:
            self._state = (asyncio.get_running_loop().time(), said)
            self._news.set()

    async def steer(self, order: SteerDevice) -> bool:
        """Publish, then wait for the state."""
        if self._topics is None:
            raise ReadingError("no broker", "there is no MQTT broker in the site file")
        payload = {"power_w": None if order.power_w is None else round(order.power_w), "valid_for_s": round(order.life_s)}
        self._news.clear()
        self._topics.say(self._control.command_topic, json.dumps(payload if order.power_w is not None else {"power_w": None}))
        self._last_w, self._commanded = (None if order.power_w is None else float(round(order.power_w))), True
        if self._control.state_topic is None:
            return False
        try:
            async with asyncio.timeout(TOLD_S):
                while not self._is_so():
                    await self._news.wait()
                    self._news.clear()
        except TimeoutError:
            raise ReadingError("not confirmed", f"nothing on {self._control.state_topic} says that it was taken") from None
        return True

    def _is_so(self) -> bool:
        if self._state is None:
            return False
        told_w = self._state[1]
        if told_w is None or self._last_w is None:
            return told_w is None and self._last_w is None
        return math.isclose(told_w, self._last_w, abs_tol=max(SAME_W, 0.005 * self._rated_w))

    async def look(self) -> State | None:
        """What it told last."""
        now_s = asyncio.get_running_loop().time()
        if self._state is None or now_s - self._state[0] > MQTT_STATE_S:
            return None
        told_w = self._state[1]
        if told_w is None:
            return State(command_w=None, steering=Steering.FREE)
        ours = self._commanded and self._is_so()
        return State(command_w=told_w, steering=Steering.OURS if ours else Steering.OTHER)


class RelayDriver:
    """A coil of a Modbus I/O module, or a file of this machine."""

    def __init__(self, name: str, pin: ModbusPin | FilePin, buses: Buses) -> None:
        self.name = name
        self.ends_itself = False
        self._pin = pin
        self._bus = buses.of(pin) if isinstance(pin, ModbusPin) else None

    def begin(self, topics: Topics | None) -> None:
        """Nothing to do."""

    async def steer(self, order: SteerDevice) -> bool:
        """Switch, look. Free is open."""
        closed = bool(order.closed)
        if isinstance(self._pin, ModbusPin):
            assert self._bus is not None
            await self._bus.write_coil(self._pin, self._pin.address, closed)
        else:
            await self._write(self._pin, closed)
        if await self._closed() is not closed:
            raise ReadingError("not taken", "it was switched but does not show it")
        return True

    async def look(self) -> State | None:
        """How it stands."""
        return State(closed=await self._closed())

    async def _closed(self) -> bool:
        if isinstance(self._pin, ModbusPin):
            assert self._bus is not None
            return (await self._bus.read_bits(self._pin, 1, self._pin.address, 1))[0]
        pin = self._pin
        try:
            text = (await asyncio.to_thread(pin.path.read_text, encoding="ascii")).strip()
        except (OSError, UnicodeDecodeError) as error:
            raise ReadingError("cannot be read", f"{pin.path}: {error}") from None
        if text not in ("0", "1"):
            raise ReadingError("cannot be read", f"{pin.path} holds neither 0 nor 1")
        return text == "1"

    @staticmethod
    async def _write(pin: FilePin, closed: bool) -> None:
        try:
            await asyncio.to_thread(pin.path.write_text, "1" if closed else "0", encoding="ascii")
        except OSError as error:
            raise ReadingError("cannot be written", f"{pin.path}: {error.strerror or error}") from None


_NOTHING: Any = object()


def _power_of(payload: bytes) -> Any:
    """power_w of a state: a number, None = free, _NOTHING = no such thing."""
    try:
        said = json.loads(payload)
    except (ValueError, RecursionError):
        return _NOTHING
    if not isinstance(said, dict) or "power_w" not in said:
        return _NOTHING
    value = said["power_w"]
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return _NOTHING
    return float(value)
