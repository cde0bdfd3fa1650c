"""Shell: reads Modbus meters and hands their readings in.

One task per meter polls on a drift-free beat; meters behind the same host and port share one
connection and take turns. Every poll ends in exactly one fact: ``MeterRead`` (with its own
quality) or ``MeterFailed``. What a silent or odd meter means for the site is not decided here.

pymodbus is used for frames only. Around it we keep our own connect loop, timeouts and answer
checks, because (all measured, RELIABILITY 3.4, faults F40-F50):
 - with RTU framing a late answer is taken for the next question, so after any trouble the
   connection is dropped and the line left silent for as long as an answer may take;
 - the length of an answer is not compared with the question;
 - a first connect that fails is never retried.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from pymodbus.client import AsyncModbusTcpClient
from pymodbus.exceptions import ModbusException
from pymodbus.framer import FramerType
from pymodbus.pdu import ExceptionResponse, ModbusPDU

from controller.config import Config, ModbusSource
from controller.facts import MeterFailed, MeterRead
from controller.io.meter_rules import expectation
from controller.io.shell import Clock, Submit
from controller.io.tasks import end, keep
from controller.orders import Order
from meters.decode import decode, probe_matches
from meters.quality import Convention, Expectation, judge
from meters.reading import Reading, ReadingError
from meters.template import Block, Template, find_template

# pymodbus logs every lost answer as an error, once a second for a dead meter; we report state changes once.
logging.getLogger("pymodbus.logging").setLevel(logging.CRITICAL)

BACKOFF_MIN_S, BACKOFF_MAX_S = 1.0, 10.0
DROP_AFTER_TIMEOUTS = 3  # Modbus TCP: late answers are told apart, but a half-open socket never answers again
RETRY_ALONE_MAX_S = 5.0  # a dead meter on a shared line is asked less often, so that it does not slow its neighbours
ILLEGAL_ADDRESS, ILLEGAL_VALUE = 2, 3
_EXCEPTIONS = {
    1: "function not supported",
    2: "illegal address",
    3: "illegal value or too many registers",
    4: "device failure",
    5: "acknowledged, not ready",
    6: "device busy",
    10: "gateway has no path",
    11: "gateway: device does not answer",
}


class RefusedError(ReadingError):
    """The device answered with a Modbus exception. The line itself is fine."""

    def __init__(self, code: int, block: Block) -> None:
        super().__init__("refused", f"{_EXCEPTIONS.get(code, f'exception {code}')} for {block.length} registers at {block.address}")
        self.code = code


class ModbusBus:
    """One connection to a meter or gateway, used by one meter at a time in the order they ask."""

    def __init__(self, source: ModbusSource, timeout_s: float, connect_delay_s: float) -> None:
        self._name = f"{source.host}:{source.port}"
        self._has_ids = source.framing == "tcp"
        self._timeout_s = timeout_s
        self._connect_delay_s = connect_delay_s
        self._client = AsyncModbusTcpClient(
            source.host or "",
            port=source.port,
            framer=FramerType.SOCKET if self._has_ids else FramerType.RTU,
            timeout=timeout_s,
            retries=0,
            reconnect_delay=0,
        )
        self.turn = asyncio.Lock()
        self.generation = 0
        self._backoff_s = 0.0
        self._not_before_s = 0.0
        self._timeouts = 0
        self._last_answer_s = 0.0

    async def connect(self) -> None:
        """Make sure there is a connection. Raises ReadingError while there is none or it is too early to try."""
        if self._client.connected:
            return
        if _now_s() < self._not_before_s:
            raise ReadingError("not connected", f"{self._name} is tried again shortly")
        if not await self._client.connect():
            self._client.close()
            self._backoff_s = min(BACKOFF_MAX_S, max(BACKOFF_MIN_S, 2 * self._backoff_s))
            self._not_before_s = _now_s() + self._backoff_s
            raise ReadingError("not connected", f"{self._name} does not accept the connection; next try in {self._backoff_s:g} s")
        self.generation += 1
        self._backoff_s, self._timeouts = 0.0, 0
        if self._connect_delay_s:
            await asyncio.sleep(self._connect_delay_s)

    async def read(self, source: ModbusSource, template: Template, block: Block) -> list[int]:
        """The words of one block. Raises ReadingError; only whole, matching answers are returned."""
        await self._keep_gap(template.min_gap_ms / 1000.0)
        try:
            async with asyncio.timeout(source.timeout_s):
                answer = await self._ask(source, template.function, block)
        except (TimeoutError, ModbusException, OSError) as error:
            was_lost = not self._client.connected
            self._lost(source)
            detail = "closed the connection" if was_lost else f"did not answer within {source.timeout_s:g} s"
            raise ReadingError("no answer", f"{self._name} unit {source.unit} {detail}") from error
        finally:
            self._last_answer_s = _now_s()
        return self._checked(answer, template.function, block)

    def drop(self, silent_s: float = 0.0) -> None:
        """Close the connection and keep the line silent for a while."""
        self._client.close()
        self._timeouts = 0
        self._not_before_s = max(self._not_before_s, _now_s() + silent_s)

    async def _ask(self, source: ModbusSource, function: int, block: Block) -> ModbusPDU:
        ask = self._client.read_holding_registers if function == 3 else self._client.read_input_registers
        return await ask(block.address, count=block.length, device_id=source.unit)

    def _checked(self, answer: ModbusPDU, function: int, block: Block) -> list[int]:
        self._timeouts = 0
        if isinstance(answer, ExceptionResponse):
            raise RefusedError(answer.exception_code, block)
        words = list(answer.registers)
        if answer.function_code != function or len(words) != block.length:
            self.drop(self._silence_s())
            raise ReadingError("wrong answer", f"{self._name} sent {len(words)} registers instead of {block.length}; connection dropped")
        return words

    def _lost(self, source: ModbusSource) -> None:
        """After a timeout: an answer without an id may still come and would be taken for the next one (F46)."""
        self._timeouts += 1
        if not self._has_ids:
            self.drop(max(self._silence_s(), source.timeout_s))
        elif not self._client.connected or self._timeouts >= DROP_AFTER_TIMEOUTS:
            self.drop()

    def _silence_s(self) -> float:
        return 0.0 if self._has_ids else self._timeout_s

    async def _keep_gap(self, gap_s: float) -> None:
        wait_s = self._last_answer_s + gap_s - _now_s()
        if gap_s and wait_s > 0:
            await asyncio.sleep(wait_s)


@dataclass(slots=True)
class ModbusMeter:
    """One meter: its map, its line, and what has been learnt about the reads it accepts."""

    meter_id: str
    source: ModbusSource
    template: Template
    expected: Expectation
    bus: ModbusBus
    shared: bool = False
    plan: tuple[Block, ...] = ()
    generation: int = -1

    async def poll(self) -> Reading:
        """One reading; the whole poll holds the line. Raises ReadingError."""
        async with self.bus.turn:
            await self.bus.connect()
            if self.generation != self.bus.generation:
                await self._greet()
            image = await self._read_plan()
        self._check_probe(image, required=False)
        quantities = decode(self.template, image)
        convention = Convention(self.template.sign, self.template.current or "signed")
        return judge(self.meter_id, quantities, convention, self.expected)

    async def _greet(self) -> None:
        """First poll on a connection: forget what was learnt, check that it is the right device."""
        self.plan = self.template.plan()
        probe = self.template.probe
        if probe is not None and not any(block.covers(probe.span) for block in self.plan):
            words = await self.bus.read(self.source, self.template, probe.span)
            self._check_probe(dict(enumerate(words, probe.address)), required=True)
        self.generation = self.bus.generation

    async def _read_plan(self) -> dict[int, int]:
        image: dict[int, int] = {}
        waiting = list(self.plan)
        while waiting:
            block = waiting.pop(0)
            try:
                words = await self.bus.read(self.source, self.template, block)
            except RefusedError as error:
                waiting = [*self._without(block, error), *waiting]
                continue
            image.update(enumerate(words, block.address))
        return image

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
            self.bus.drop(self.source.timeout_s)
            raise ReadingError("wrong device", f"the constant of a {self.template.name} is not at address {probe.address}; check map and unit id")


class ModbusShell:
    """Polls every Modbus meter of the site."""

    orders: tuple[type[Order], ...] = ()

    def __init__(self, config: Config, clock: Clock, submit: Submit, maps_dir: Path) -> None:
        """Raises TemplateError if a meter's register map is missing or wrong."""
        self._clock = clock
        self._submit = submit
        self._meters = build_meters(config, maps_dir)
        self._tasks: list[asyncio.Task[None]] = []

    def carry(self, order: Order) -> None:
        """Takes no orders."""

    async def start(self) -> None:
        """Begin polling; a meter that is away is no reason to fail."""
        self._tasks = [keep(partial(self._watch, meter), f"meter {meter.meter_id}") for meter in self._meters]

    async def stop(self) -> None:
        """Stop polling and close the connections."""
        await end(self._tasks)
        for meter in self._meters:
            meter.bus.drop()

    async def _watch(self, meter: ModbusMeter) -> None:
        """Poll on the beat for ever. A beat that was missed (slow meter, F50) is skipped, not made up for."""
        beat_s, failures = _now_s(), 0
        while True:
            failures = 0 if await self._poll(meter) else failures + 1
            pause_s = _rest_s(failures) if meter.shared else 0.0
            beat_s = next_beat(beat_s, meter.source.poll_s, _now_s() + pause_s)
            await asyncio.sleep(beat_s - _now_s())

    async def _poll(self, meter: ModbusMeter) -> bool:
        try:
            reading = await meter.poll()
            self._submit(MeterRead(self._clock.stamp(), reading))
        except ReadingError as error:
            self._submit(MeterFailed(self._clock.stamp(), meter.meter_id, str(error)))
            return False
        except Exception:
            # Not known what state the line is in; the task is begun anew, see ``keep``.
            meter.bus.drop(meter.source.timeout_s)
            self._submit(MeterFailed(self._clock.stamp(), meter.meter_id, "internal error while reading; it is in the program's log"))
            raise
        return True


def build_meters(config: Config, maps_dir: Path) -> list[ModbusMeter]:
    """Every Modbus meter of the site; those behind the same address share a line. Raises TemplateError."""
    chosen = [(meter, meter.source) for meter in config.meters if isinstance(meter.source, ModbusSource)]
    templates = {source.map: find_template(maps_dir, source.map) for _, source in chosen}
    lines: dict[tuple[str | None, int, str], list[ModbusSource]] = {}
    for _, source in chosen:
        lines.setdefault((source.host, source.port, source.framing), []).append(source)
    buses = {key: _bus(sources, templates) for key, sources in lines.items()}
    built = []
    for meter, source in chosen:
        key = (source.host, source.port, source.framing)
        template = templates[source.map]
        expected = expectation(config, meter, template)
        built.append(ModbusMeter(meter.id, source, template, expected, buses[key], shared=len(lines[key]) > 1))
    return built


def next_beat(last_s: float, period_s: float, now_s: float) -> float:
    """The first beat of ``last_s + n * period_s`` (n >= 1) that is not in the past."""
    late = max(0.0, now_s - last_s - period_s)
    missed = -(-late // period_s)
    return last_s + (1 + missed) * period_s


def _rest_s(failures: int) -> float:
    """Extra pause of a meter that keeps failing on a shared line."""
    return 0.0 if failures < 3 else min(RETRY_ALONE_MAX_S, 2.0 ** (failures - 3))


def _bus(sources: list[ModbusSource], templates: dict[str, Template]) -> ModbusBus:
    timeout_s = max(source.timeout_s for source in sources)
    delay_ms = max(templates[source.map].connect_delay_ms for source in sources)
    return ModbusBus(sources[0], timeout_s, delay_ms / 1000.0)


def _now_s() -> float:
    return asyncio.get_running_loop().time()
