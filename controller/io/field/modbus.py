"""Shell: reads Modbus meters with register maps and hands their readings in.

One task per meter polls on a drift-free beat; meters on the same line share one ``Bus`` and take turns. Every poll ends in exactly one fact:
``MeterRead`` (with its own quality) or ``MeterFailed``. What a silent or odd meter means for the site is not decided here.

The bus cares for the line (connection, timeouts, matching answers). Here it is made sure that the right device answers (the map's probe) and
that blocks a device refuses are read in smaller pieces, or left out if a reading can do without them (F47).
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from controller.config import Config, ModbusSource
from controller.io.field.bus import ILLEGAL_ADDRESS, ILLEGAL_FUNCTION, ILLEGAL_VALUE, Bus, Buses, RefusedError
from controller.io.field.meter_beat import ask_for_ever
from controller.io.field.meter_rules import expectation
from controller.io.shell import Clock, Submit
from controller.io.tasks import end, keep
from controller.orders import Order
from meters.decode import decode, lost, probe_matches
from meters.quality import Convention, Expectation, judge
from meters.reading import Quality, Reading, ReadingError
from meters.template import Block, Template, find_template

DEVICE_FAILURE = 4
CUT_AFTER = frozenset({ILLEGAL_ADDRESS, ILLEGAL_VALUE, DEVICE_FAILURE})
"""Exceptions after which a read is tried in smaller pieces; some devices say 4 where 2 or 3 is meant."""
FOR_GOOD = frozenset({ILLEGAL_ADDRESS, ILLEGAL_VALUE})
"""Exceptions after which what a reading can do without is not asked for again on this connection."""
REST_POLLS = 10
"""A current or power that a device refuses is left out of so many polls while readings are good without it."""


@dataclass(slots=True)
class ModbusMeter:
    """One meter: its map, its line, and what has been learnt about the reads it accepts. resting: what it refuses -> polls left out."""

    meter_id: str
    source: ModbusSource
    template: Template
    expected: Expectation
    bus: Bus
    plan: tuple[Block, ...] = ()
    generation: int = -1
    resting: dict[Block, int] = field(default_factory=dict)

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
        reading = judge(self.meter_id, quantities, convention, self.expected)
        if reading.quality is Quality.BAD:
            self.resting.clear()
        return reading

    async def _greet(self) -> None:
        """First poll on a connection: forget what was learnt, check that it is the right device."""
        self.plan = self.template.plan()
        self.resting.clear()
        probe = self.template.probe
        if probe is not None and not any(block.covers(probe.span) for block in self.plan):
            words = await self._read(probe.span)
            self._check_probe(dict(enumerate(words, probe.address)), required=True)
        self.generation = self.bus.generation

    async def _read_plan(self) -> dict[int, int]:
        image: dict[int, int] = {}
        refusal: RefusedError | None = None
        waiting = list(self.plan)
        while waiting:
            block = waiting.pop(0)
            if (rest := self.resting.get(block, 0)) > 0:
                self.resting[block] = rest - 1
                continue
            try:
                words = await self._read(block)
            except RefusedError as error:
                refusal = error
                waiting = [*self._without(block, error), *waiting]
                continue
            image.update(enumerate(words, block.address))
        if refusal is not None and not self.template.tells_something(image):
            self.resting.clear()
            raise self._explained(refusal)
        return image

    async def _read(self, block: Block) -> list[int]:
        return await self.bus.read_registers(self.source, self.template.function, block.address, block.length)

    def _without(self, block: Block, error: RefusedError) -> tuple[Block, ...]:
        """What to read instead of a refused block: its halves, or nothing if the reading can do without (F47).

        A current or power that has no address in this device (a meter of one phase, an older firmware) is asked for again now and then:
        a device that only starts up refuses as well. Whether it may be missing is judged with the reading.
        """
        parts = self.template.split(block) if error.code in CUT_AFTER else (block,)
        essential = self.template.essential(block)
        if parts == (block,):
            if essential and error.code != ILLEGAL_ADDRESS:
                raise self._explained(error)
            if essential:
                self.resting[block] = REST_POLLS
            parts = ()
        if parts or (error.code in FOR_GOOD and not essential):
            self.plan = tuple(new for old in self.plan for new in (parts if old == block else (old,)))
        return parts

    def _explained(self, error: RefusedError) -> ReadingError:
        if error.code == ILLEGAL_ADDRESS:
            return ReadingError("refused", f"{error.detail}; the device has none of the currents and powers of this map")
        if error.code != ILLEGAL_FUNCTION:
            return error
        ours = self.template.function
        return ReadingError("refused", f"{error.detail}; the map reads with function {ours}, this device may want {7 - ours}: is it the right map?")

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
