"""Shell: reads Modbus meters with register maps and hands their readings in.

One task per meter polls on a drift-free beat; meters on the same line share one ``Bus`` and take turns. Every poll ends in exactly one fact:
``MeterRead`` (with its own quality) or ``MeterFailed``. What a silent or odd meter means for the site is not decided here.

The bus cares for the line (connection, timeouts, matching answers). Here it is made sure that the right device answers (the map's probe) and
that blocks a device refuses are read in smaller pieces, or left out if a reading can do without them (F47).
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from controller.config import Config, ModbusSource
from controller.io.field.bus import ILLEGAL_ADDRESS, ILLEGAL_VALUE, Bus, Buses, RefusedError
from controller.io.field.meter_beat import ask_for_ever
from controller.io.field.meter_rules import expectation
from controller.io.shell import Clock, Submit
from controller.io.tasks import end, keep
from controller.orders import Order
from meters.decode import decode, lost, probe_matches
from meters.quality import Convention, Expectation, judge
from meters.reading import Reading, ReadingError
from meters.template import Block, Template, find_template


@dataclass(slots=True)
class ModbusMeter:
    """One meter: its map, its line, and what has been learnt about the reads it accepts."""

    meter_id: str
    source: ModbusSource
    template: Template
    expected: Expectation
    bus: Bus
    plan: tuple[Block, ...] = ()
    generation: int = -1

    async def poll(self) -> Reading:
        """One reading; the whole poll holds the line. Raises ReadingError."""
        async with self.bus.turn(self.source):
            if self.generation != self.bus.generation:
                await self._greet()
            image = await self._read_plan()
        self._check_probe(image, required=False)
        if says := lost(self.template, image):
            raise ReadingError("no value", says)
        quantities = decode(self.template, image)
        convention = Convention(self.template.sign, self.template.current or "signed")
        return judge(self.meter_id, quantities, convention, self.expected)

    async def _greet(self) -> None:
        """First poll on a connection: forget what was learnt, check that it is the right device."""
        self.plan = self.template.plan()
        probe = self.template.probe
        if probe is not None and not any(block.covers(probe.span) for block in self.plan):
            words = await self._read(probe.span)
            self._check_probe(dict(enumerate(words, probe.address)), required=True)
        self.generation = self.bus.generation

    async def _read_plan(self) -> dict[int, int]:
        image: dict[int, int] = {}
        waiting = list(self.plan)
        while waiting:
            block = waiting.pop(0)
            try:
                words = await self._read(block)
            except RefusedError as error:
                waiting = [*self._without(block, error), *waiting]
                continue
            image.update(enumerate(words, block.address))
        return image

    async def _read(self, block: Block) -> list[int]:
        return await self.bus.read_registers(self.source, self.template.function, block.address, block.length)

    def _without(self, block: Block, error: RefusedError) -> tuple[Block, ...]:
        """What to read instead of a refused block: its halves, or nothing if the reading can do without (F47)."""
        for_good = error.code in (ILLEGAL_ADDRESS, ILLEGAL_VALUE)
        parts = self.template.split(block) if for_good else (block,)
        if parts == (block,):
            if self.template.essential(block):
                raise error
            parts = ()
        if for_good:
            self.plan = tuple(new for old in self.plan for new in (parts if old == block else (old,)))
        return parts

    def _check_probe(self, image: dict[int, int], required: bool) -> None:
        probe = self.template.probe
        if probe is None or not (required or probe.address in image):
            return
        if not probe_matches(probe, image):
            self.bus.doubt(self.source)
            raise ReadingError("wrong device", f"the constant of a {self.template.name} is not at address {probe.address}; check map and unit id")


class ModbusShell:
    """Polls every Modbus meter of the site."""

    orders: tuple[type[Order], ...] = ()

    def __init__(self, config: Config, clock: Clock, submit: Submit, maps_dir: Path, buses: Buses | None = None) -> None:
        """buses: shared with everything else of this process that speaks Modbus. Raises TemplateError: a register map is missing or wrong."""
        self._clock = clock
        self._submit = submit
        self._buses = buses or Buses()
        self._meters = build_meters(config, maps_dir, self._buses)
        self._tasks: list[asyncio.Task[None]] = []

    def carry(self, order: Order) -> None:
        """Takes no orders."""

    async def start(self) -> None:
        """Begin polling; a meter that is away is no reason to fail."""
        self._tasks = [keep(partial(self._watch, meter), f"meter {meter.meter_id}") for meter in self._meters]

    async def stop(self) -> None:
        """Stop polling and close the lines of this process; everybody else on them has stopped by then."""
        await end(self._tasks)
        await self._buses.close()

    def _watch(self, meter: ModbusMeter) -> Coroutine[Any, Any, None]:
        source = meter.source
        return ask_for_ever(meter.meter_id, source.poll_s, meter.poll, self._clock, self._submit, partial(meter.bus.drop, source.timeout_s))


def build_meters(config: Config, maps_dir: Path, buses: Buses) -> list[ModbusMeter]:
    """Every meter of the site that is read with a register map; those on one line share its bus. Raises TemplateError."""
    chosen = [(meter, meter.source) for meter in config.meters if isinstance(meter.source, ModbusSource)]
    templates = {source.map: find_template(maps_dir, source.map) for _, source in chosen}
    built = []
    for meter, source in chosen:
        template = templates[source.map]
        bus = buses.of(source, gap_s=template.min_gap_ms / 1000.0, connect_delay_s=template.connect_delay_ms / 1000.0)
        built.append(ModbusMeter(meter.id, source, template, expectation(config, meter, template), bus))
    return built
