"""One SunSpec device on a bus: runs the conversations of ``meters.sunspec`` and carries out commands.

    device = SunSpecDevice(buses.of(line), line, base=None)
    picture = await device.read(control_reads)           # discovers when it has to
    await device.carry_out(limit_production(picture, 3000.0, 60.0))
    done = confirmed(await device.read(control_reads), command)

Everything that goes wrong on the line is a ``ReadingError``. What was discovered is forgotten when
the models have moved (S8) or when what is needed is missing (then it is searched ever less often); a
lost connection alone is no reason, as each poll checks every model's id and length.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from controller.config_base import ModbusLine
from controller.io.field.bus import Bus, RefusedError
from meters.reading import ReadingError
from meters.sunspec import BASES, Answer, Conversation, MovedError, Reader, Refused, Result, discover, summary
from meters.sunspec_control import Command, Write
from meters.sunspec_models import Found, Picture
from meters.template import Block

log = logging.getLogger(__name__)

SEARCH_PAUSE_S = (2.0, 60.0)
"""First and longest pause between searches that found nothing, or not what is needed: each asks for a lot of registers."""

RELEARN_S = 600.0
"""What a device has refused is asked for again after so long, and after each new connection."""

BUSY_CODES = (5, 6)
"""Modbus: acknowledged but not done yet, and busy."""
BUSY_PAUSES_S = (0.1, 0.2, 0.4)
"""Waits before a write that met a busy device is tried again."""

Wanted = Callable[[tuple[Found, ...]], tuple[tuple[Found, int], ...]]
"""Which models are read, and how many registers of each (0 = all), given all there are."""

Part = Callable[[tuple[Found, ...]], tuple[Found, ...]]
Ask = Callable[[Block], Awaitable[Answer]]


class SunSpecDevice:
    """One unit. models: what was discovered, empty until then. part: which of them, where a list holds several devices."""

    def __init__(self, bus: Bus, line: ModbusLine, base: int | None = None, part: Part = tuple) -> None:
        self.models: tuple[Found, ...] = ()
        self._bus, self._line = bus, line
        self._bases = BASES if base is None else (base,)
        self._part = part
        self._readers: dict[Wanted, Reader] = {}
        self._learnt = (-1, -1e9)
        self._pause_s = 0.0
        self._search_from_s = -1e9
        self._lack = ""

    async def read(self, wanted: Wanted) -> Picture:
        """One picture of the models ``wanted`` chooses; it is called after each discovery only. Raises ReadingError."""
        if not self.models:
            await self._discover()
        reader = self._readers.get(wanted)
        if reader is None:
            reader = self._readers[wanted] = Reader(self.models, self._chosen(wanted))
        try:
            async with self._bus.turn(self._line):
                self._relearn_in_time()
                picture = await converse(asking(self._bus, self._line), reader.poll())
        except MovedError:
            self.forget()
            raise
        self._pause_s = 0.0
        return picture

    async def carry_out(self, command: Command) -> None:
        """Write a command, in its order, before all polls that wait. Raises ReadingError; what was written until then stands."""
        async with self._bus.turn(self._line, urgent=True):
            for write in command.writes:
                try:
                    await self._write(write)
                except RefusedError as error:
                    if not write.optional:
                        raise
                    log.debug("%s does without the write at %d: %s", self._bus.name, write.address, error)

    async def _write(self, write: Write) -> None:
        """One that is busy (5, 6) is asked again for a while; anything else it refuses is final."""
        for pause_s in BUSY_PAUSES_S:
            try:
                await self._bus.write_registers(self._line, write.address, write.words)
            except RefusedError as error:
                if error.code not in BUSY_CODES:
                    raise
                await asyncio.sleep(pause_s)
            else:
                return
        await self._bus.write_registers(self._line, write.address, write.words)

    def choose_again(self, wanted: Wanted) -> None:
        """Ask ``wanted`` once more before its next read."""
        self._readers.pop(wanted, None)

    def forget(self) -> None:
        """Discover anew before the next read."""
        self.models = ()
        self._readers.clear()

    async def _discover(self) -> None:
        """Each request takes its own turn: a long list must not keep the neighbours on the line waiting."""
        now_s = asyncio.get_running_loop().time()
        if now_s < self._search_from_s:
            raise ReadingError("not searched yet", f"{self._lack}; searched again in {self._search_from_s - now_s:.0f} s")
        try:
            self.models = self._part(await converse(asking(self._bus, self._line), discover(self._bases)))
        except ReadingError as error:
            if error.reason == "no answer":  # perhaps only where we asked first: some devices do not even refuse
                self._bases = (*self._bases[1:], self._bases[0])
            elif error.reason in ("no SunSpec", "model missing"):
                self._search_later(error)
            raise
        log.info("%s unit %d speaks SunSpec, models: %s", self._bus.name, self._line.unit, summary(self.models))

    def _relearn_in_time(self) -> None:
        now_s = asyncio.get_running_loop().time()
        generation, at_s = self._learnt
        if generation != self._bus.generation or now_s - at_s > RELEARN_S:
            self._learnt = (self._bus.generation, now_s)
            for reader in self._readers.values():
                reader.relearn()

    def _chosen(self, wanted: Wanted) -> tuple[tuple[Found, int], ...]:
        try:
            return wanted(self.models)
        except ReadingError as error:
            self.forget()
            self._search_later(error)
            raise

    def _search_later(self, error: ReadingError) -> None:
        self._pause_s = min(SEARCH_PAUSE_S[1], max(SEARCH_PAUSE_S[0], 2 * self._pause_s))
        self._search_from_s = asyncio.get_running_loop().time() + self._pause_s
        self._lack = str(error)


def asking(bus: Bus, line: ModbusLine) -> Ask:
    """How a conversation's questions are put to a device. What it returns raises ReadingError."""

    async def ask(block: Block) -> Answer:
        try:
            return await bus.read_registers(line, 3, block.address, block.length)
        except RefusedError as error:
            return Refused(error.code, str(error))

    return ask


async def converse(ask: Ask, conversation: Conversation[Result]) -> Result:
    """Ask what a conversation wants to know until it ends. Raises what either of them raises."""
    try:
        block = next(conversation)
        while True:
            block = conversation.send(await ask(block))
    except StopIteration as end:
        result: Result = end.value
        return result
    finally:
        conversation.close()
