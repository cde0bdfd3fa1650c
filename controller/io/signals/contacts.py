"""Driver: relay contacts, from Modbus input modules and from files of this machine. Reads and tells; what they mean is ``site.contacts``."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from pathlib import Path
from typing import Final

from controller.config_base import FilePin, ModbusPin
from controller.config_signals import ContactsSignal, SignalConfig
from controller.facts import ContactsRead, SourceChanged
from controller.io.field.bus import ILLEGAL_ADDRESS, Bus, RefusedError
from controller.io.signals.driver import Driver, Surroundings
from controller.orders import AnswerEvent, AnswerSignal, TellSource
from meters.reading import ReadingError

WIDEST: Final = 64
"""Contacts of one module that lie no further apart are read with one request."""
FUNCTIONS: Final[dict[str, int]] = {"input": 2, "coil": 1}


def build(entry: SignalConfig, around: Surroundings) -> Driver:
    """The driver of an entry of type contacts."""
    assert isinstance(entry, ContactsSignal)
    return Contacts(entry, around)


class Contacts:
    """All contacts of one source."""

    def __init__(self, entry: ContactsSignal, around: Surroundings) -> None:
        self.source_id, self._around, self._poll_s = entry.id, around, entry.poll_s
        self._pins = [contact.pin for contact in entry.contacts]
        self._groups = _groups(self._pins)
        self._single: set[int] = set()
        self._healthy: bool | None = None
        self._trouble = ""

    async def run(self) -> None:
        """Look at them again and again. A module that takes long makes the looks rarer, not more."""
        loop = asyncio.get_running_loop()
        while True:
            due_s = loop.time() + self._poll_s
            closed = await self.look()
            self._report(closed)
            self._around.submit(ContactsRead(self._around.clock.stamp(), self.source_id, closed))
            await asyncio.sleep(max(0.01, due_s - loop.time()))

    async def close(self) -> None:
        """The lines belong to all."""

    def answered(self, order: AnswerSignal | AnswerEvent | TellSource) -> None:
        """Contacts only speak."""

    async def look(self) -> tuple[bool | None, ...]:
        """All positions now, None for those that cannot be read."""
        found: list[bool | None] = [None] * len(self._pins)
        files = (self._file(number, found) for number, pin in enumerate(self._pins) if isinstance(pin, FilePin))
        modules = (self._module(number, pins, found) for number, pins in enumerate(self._groups))
        await asyncio.gather(*files, *modules)
        return tuple(found)

    async def _file(self, number: int, found: list[bool | None]) -> None:
        pin = self._pins[number]
        assert isinstance(pin, FilePin)
        try:
            found[number] = await asyncio.to_thread(read_file, pin.path)
        except (OSError, ValueError) as error:
            self._trouble = f"{pin.path}: {getattr(error, 'strerror', None) or error}"

    async def _module(self, group: int, numbers: list[int], found: list[bool | None]) -> None:
        """One request for all, or one each where the module does not have the addresses between."""
        pins = {number: pin for number in numbers if isinstance(pin := self._pins[number], ModbusPin)}
        addresses = [pin.address for pin in pins.values()]
        first = next(iter(pins.values()))
        bus, lowest, count = self._around.buses.of(first), min(addresses), max(addresses) - min(addresses) + 1
        if group not in self._single:
            try:
                bits = await _read(bus, first, lowest, count)
                for number, pin in pins.items():
                    found[number] = bits[pin.address - lowest]
                return
            except ReadingError as error:
                self._trouble = f"{first.host or first.device}: {error}"
                if count == len(set(addresses)) or not (isinstance(error, RefusedError) and error.code == ILLEGAL_ADDRESS):
                    return
                self._single.add(group)
        for number, pin in pins.items():
            try:
                found[number] = (await _read(bus, pin, pin.address, 1))[0]
            except ReadingError as error:
                self._trouble = f"{pin.host or pin.device}: {error}"

    def _report(self, closed: tuple[bool | None, ...]) -> None:
        healthy = None not in closed
        if healthy != self._healthy:
            self._healthy = healthy
            detail = "all contacts are read" if healthy else f"not all contacts can be read ({self._trouble})"
            self._around.submit(SourceChanged(self._around.clock.stamp(), self.source_id, healthy, detail))


def read_file(path: Path) -> bool:
    """0 or 1 in a file. Raises OSError, ValueError."""
    text = path.read_text(encoding="ascii")[:8].strip()
    if text not in ("0", "1"):
        raise ValueError(f"holds {text!r}, not 0 or 1")
    return text == "1"


async def _read(bus: Bus, pin: ModbusPin, address: int, count: int) -> list[bool]:
    return await bus.read_bits(pin, 1 if FUNCTIONS[pin.table] == 1 else 2, address, count)


def _groups(pins: list[ModbusPin | FilePin]) -> list[list[int]]:
    """Numbers of the pins that are read with one request."""
    modules: dict[str, list[int]] = defaultdict(list)
    for number, pin in enumerate(pins):
        if isinstance(pin, ModbusPin):
            modules[f"{pin.table} {pin.model_dump_json(exclude={'address', 'table'})}"].append(number)
    groups: list[list[int]] = []
    for numbers in modules.values():
        group: list[int] = []
        for number in sorted(numbers, key=lambda number: _address(pins[number])):
            if group and _address(pins[number]) - _address(pins[group[0]]) >= WIDEST:
                groups.append(group)
                group = []
            group.append(number)
        groups.append(group)
    return groups


def _address(pin: ModbusPin | FilePin) -> int:
    return pin.address if isinstance(pin, ModbusPin) else 0
