"""One connection per line, shared by everything this process has on it: meters, commands, contacts.

    buses = Buses()                                   # one per process; made in ``app.build_neighbours``
    bus = buses.of(line)                              # the same physical line gives the same Bus
    words = await bus.read_registers(line, 3, 40000, 2)
    await bus.write_registers(line, 40242, [4150])    # overtakes polls that wait
    async with bus.turn(line):                        # several requests that belong together
        first = await bus.read_registers(line, 3, 0, 60)
        if bus.generation != known: ...               # a new connection: check again what is there

``line`` says which unit is meant and how long it may take to answer; each request takes its own turn unless the caller holds one. Everything
that goes wrong is a ``ReadingError``: "not connected", "no answer", "wrong answer", or ``RefusedError`` for a Modbus exception (``code``). Only
whole, matching answers are returned.

pymodbus makes the frames. Around it we keep our own connect loop, timeouts and answer checks, because (all measured, ECOSYSTEM 2.2, faults
F40-F50): with RTU framing a late answer is taken for the next question; the length of an answer is not compared with the question; a first
connect that fails is never retried; a silent device would cost several timeouts.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from types import TracebackType
from typing import Literal, Self

from pymodbus.exceptions import ModbusException
from pymodbus.pdu import ExceptionResponse, ModbusPDU

from controller.config_base import ModbusLine
from controller.io.field.bus_client import Client, ConnectError, SeekingRtuFramer, frame_gap_s, make_client, open_client, wire_s
from controller.io.field.bus_queue import FairQueue, Waiter
from meters.reading import ReadingError

BACKOFF_MIN_S, BACKOFF_MAX_S = 1.0, 10.0
DROP_AFTER_TIMEOUTS = 3
"""Timeouts in a row, of whatever units, after which a connection that drops none by itself is made anew: a half-open socket never answers again."""
REST_AFTER = 3
"""Failures in a row after which a device on a shared line is asked less often."""
REST_SHARE = 9.0
"""A failing device rests this many times as long as asking it costs: all failing ones together take a tenth of the line."""
REST_MAX_S = 30.0

EXCEPTIONS = {
    1: "function not supported",
    2: "illegal address",
    3: "illegal value or too many registers",
    4: "device failure",
    5: "acknowledged, not ready",
    6: "device busy",
    8: "memory parity error",
    10: "gateway has no path",
    11: "gateway: device does not answer",
}
ILLEGAL_FUNCTION, ILLEGAL_ADDRESS, ILLEGAL_VALUE = 1, 2, 3
GATEWAY_EXCEPTIONS = frozenset({10, 11})

_Ask = Callable[[Client], Awaitable[ModbusPDU]]


class RefusedError(ReadingError):
    """The device answered with a Modbus exception. The line itself is fine. code: the exception's number."""

    def __init__(self, code: int, what: str) -> None:
        super().__init__("refused", f"{EXCEPTIONS.get(code, f'exception {code}')} for {what}")
        self.code = code


@dataclass(slots=True)
class Unit:
    """One device on the line, as far as taking turns goes. Times on the clock of the loop [s].

    quiet_until_s: an answer of it may still be under way and would be taken for the next one.
    """

    gap_s: float = 0.0
    asked_s: float = -1e9
    quiet_until_s: float = -1e9
    failures: int = 0
    rest_until_s: float = -1e9


class Turn:
    """Holds the bus from ``async with`` to its end. Raises ReadingError on entering: no connection, or a failing device that has to rest.

    Requests inside it (also in tasks begun inside, e.g. by ``asyncio.wait_for``) wait for nobody. Turns in turns are one turn.
    """

    def __init__(self, bus: Bus, line: ModbusLine, urgent: bool) -> None:
        self.bus = bus
        self.is_open = False
        self._line, self._urgent = line, urgent
        self._place: Waiter | None = None

    async def __aenter__(self) -> Self:
        if self.bus.held:
            return self
        self._place = await self.bus.begin(self._line, self._urgent)
        self.is_open = True
        _turns.set((*(turn for turn in _turns.get() if turn.is_open), self))
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._place is not None:
            self.is_open = False
            self.bus.finish(self._place)


_turns: ContextVar[tuple[Turn, ...]] = ContextVar("modbus turns", default=())


class Bus:
    """One connection, made when it is needed and again when it is lost, used by one at a time.

    name: address or serial port, for people. generation: counts connections; when it has changed, forget what was learnt about the other end.
    """

    def __init__(self, line: ModbusLine) -> None:
        self.name = line.device or "" if line.framing == "rtu" else f"{line.host}:{line.port}"
        self.generation = 0
        self._line = line
        self._has_ids = line.framing in ("tcp", "tls")
        self._timeout_s = line.timeout_s
        self._connect_delay_s = 0.0
        self._client: Client | None = None
        self._units: dict[int, Unit] = {}
        self._queue = FairQueue(self._ready_at)
        self._busy = asyncio.Lock()
        self._backoff_s = 0.0
        self._not_before_s = self._quiet_until_s = -1e9
        self._why_not = ""
        self._timeouts = 0
        self._frame_gap_s = frame_gap_s(line)
        self._last_s = -1e9

    # -- who is on it ---------------------------------------------------------------------------

    def know(self, line: ModbusLine, gap_s: float = 0.0, connect_delay_s: float = 0.0) -> None:
        """A device on this line and what it needs. gap_s: silence before it is asked again. connect_delay_s: silence after connecting."""
        unit = self._units.setdefault(line.unit, Unit())
        unit.gap_s = max(unit.gap_s, gap_s)
        self._connect_delay_s = max(self._connect_delay_s, connect_delay_s)
        self._timeout_s = max(self._timeout_s, line.timeout_s)

    @property
    def connected(self) -> bool:
        """True while there is a connection."""
        return self._client is not None and self._client.connected

    @property
    def shared(self) -> bool:
        """True if more than one device is on it."""
        return len(self._units) > 1

    @property
    def held(self) -> bool:
        """True if the caller holds the turn."""
        return any(turn.bus is self and turn.is_open for turn in _turns.get())

    def turn(self, line: ModbusLine, *, urgent: bool = False) -> Turn:
        """The bus for several requests to one device. urgent: before all polls that wait (commands)."""
        return Turn(self, line, urgent)

    # -- requests -------------------------------------------------------------------------------

    async def read_registers(self, line: ModbusLine, function: Literal[3, 4], address: int, count: int) -> list[int]:
        """``count`` (1..125) words from ``address``: holding (3) or input registers (4). Raises ReadingError."""

        def ask(client: Client) -> Awaitable[ModbusPDU]:
            read = client.read_holding_registers if function == 3 else client.read_input_registers
            return read(address, count=count, device_id=line.unit)

        answer = await self._request(line, function, f"{count} registers at {address}", ask, wire_s(line, count))
        if len(answer.registers) != count:
            raise self._wrong(line, f"sent {len(answer.registers)} registers instead of {count}")
        return list(answer.registers)

    async def read_bits(self, line: ModbusLine, function: Literal[1, 2], address: int, count: int) -> list[bool]:
        """``count`` (1..2000) bits from ``address``: coils (1) or discrete inputs (2). Raises ReadingError."""

        def ask(client: Client) -> Awaitable[ModbusPDU]:
            read = client.read_coils if function == 1 else client.read_discrete_inputs
            return read(address, count=count, device_id=line.unit)

        answer = await self._request(line, function, f"{count} contacts at {address}", ask, wire_s(line, 1 + count // 16))
        if len(answer.bits) != (count + 7) // 8 * 8:  # whole bytes are sent
            raise self._wrong(line, f"sent {len(answer.bits)} bits for {count} contacts")
        return list(answer.bits[:count])

    async def write_registers(self, line: ModbusLine, address: int, words: Sequence[int], *, single: bool = False) -> None:
        """Write 1..123 holding registers at once (function 16); single: exactly one, with function 6. Urgent. Raises ReadingError."""
        if single and len(words) != 1:
            raise ValueError("function 6 writes exactly one register")
        values = list(words)

        def ask(client: Client) -> Awaitable[ModbusPDU]:
            if single:
                return client.write_register(address, values[0], device_id=line.unit)
            return client.write_registers(address, values, device_id=line.unit)

        what = f"writing {len(values)} registers at {address}"
        answer = await self._request(line, 6 if single else 16, what, ask, wire_s(line, len(values)), urgent=True)
        echoed = list(answer.registers) == values if single else answer.count == len(values)
        self._check_echo(line, answer, address, echoed)

    async def write_coil(self, line: ModbusLine, address: int, on: bool) -> None:
        """Switch one coil (function 5). Urgent. Raises ReadingError."""

        def ask(client: Client) -> Awaitable[ModbusPDU]:
            return client.write_coil(address, on, device_id=line.unit)

        answer = await self._request(line, 5, f"switching coil {address}", ask, wire_s(line, 1), urgent=True)
        self._check_echo(line, answer, address, list(answer.bits[:1]) == [on])

    async def write_coils(self, line: ModbusLine, address: int, bits: Sequence[bool]) -> None:
        """Switch several coils at once (function 15). Urgent. Raises ReadingError."""
        values = list(bits)

        def ask(client: Client) -> Awaitable[ModbusPDU]:
            return client.write_coils(address, values, device_id=line.unit)

        what = f"switching {len(values)} coils at {address}"
        answer = await self._request(line, 15, what, ask, wire_s(line, 1 + len(values) // 16), urgent=True)
        self._check_echo(line, answer, address, answer.count == len(values))

    # -- the connection -------------------------------------------------------------------------

    def drop(self, silent_s: float = 0.0) -> None:
        """Close the connection and keep the line silent for a while; the next request makes a new one."""
        client, self._client = self._client, None
        if client is not None:
            client.close()
        self._timeouts = 0
        self._quiet_until_s = max(self._quiet_until_s, _now_s() + silent_s)

    def doubt(self, line: ModbusLine) -> None:
        """What this device said cannot be its own answer (a known constant is missing): start afresh, and let it rest if it goes on."""
        self._failed(line, line.timeout_s)
        self.drop(line.timeout_s)

    async def close(self) -> None:
        """Let go of the connection."""
        self.drop()

    async def begin(self, line: ModbusLine, urgent: bool) -> Waiter:
        """For ``Turn``: wait for the bus and for a connection. Raises ReadingError."""
        self.know(line)
        self._refuse_early(line, urgent)
        place = await self._queue.take(line.unit, urgent)
        try:
            self._refuse_early(line, urgent)
            await self._connect()
        except BaseException:
            self._queue.give_back(place)
            raise
        return place

    def finish(self, place: Waiter) -> None:
        """For ``Turn``: the next one."""
        self._queue.give_back(place)

    def _refuse_early(self, line: ModbusLine, urgent: bool) -> None:
        now_s = _now_s()
        if not self.connected and now_s < self._not_before_s:
            raise ReadingError("not connected", f"{self.name} {self._why_not}; it is tried again shortly")
        unit = self._units[line.unit]
        if not urgent and self.shared and now_s < unit.rest_until_s:
            raise ReadingError("no answer", f"{self.name} unit {line.unit} keeps failing; it is asked less often, for its neighbours' sake")

    async def _connect(self) -> None:
        if self.connected:
            return
        await _until(self._quiet_until_s)
        try:
            client = make_client(self._line, self._timeout_s, self._went)
            await open_client(client, self._timeout_s)
        except ConnectError as error:
            self._backoff_s = min(BACKOFF_MAX_S, max(BACKOFF_MIN_S, 2 * self._backoff_s))
            self._not_before_s = _now_s() + self._backoff_s
            self._why_not = str(error)
            raise ReadingError("not connected", f"{self.name} {error}; next try in {self._backoff_s:g} s") from None
        self._client = client
        self.generation += 1
        self._backoff_s, self._timeouts = 0.0, 0
        if self._connect_delay_s:
            await asyncio.sleep(self._connect_delay_s)

    def _went(self) -> None:
        """The other end closed: whoever waits for an answer need not wait for the timeout."""
        if self._client is not None and not (pending := self._client.ctx.response_future).done():
            pending.set_exception(ConnectionResetError("closed by the other end"))
            pending.exception()  # nobody may be waiting; then it is no unseen failure either

    # -- one request ----------------------------------------------------------------------------

    async def _request(self, line: ModbusLine, function: int, what: str, ask: _Ask, on_wire_s: float, urgent: bool = False) -> ModbusPDU:
        async with self.turn(line, urgent=urgent), self._busy:
            await self._keep_gaps(line.unit)
            await self._connect()
            began_s = _now_s()
            try:
                answer = await self._asked(line, function, ask, line.timeout_s + on_wire_s)
            except asyncio.CancelledError:
                self._lost(line, _now_s() - began_s, counts=False)  # M12: on RTU its answer may still come
                raise
            except (TimeoutError, ModbusException, OSError) as error:
                was_lost = not self.connected
                self._lost(line, _now_s() - began_s)
                detail = "closed the connection" if was_lost else f"did not answer within {line.timeout_s:g} s"
                raise ReadingError("no answer", f"{self.name} unit {line.unit} {detail}") from error
            finally:
                self._last_s = self._units[line.unit].asked_s = _now_s()
            return self._checked(line, answer, function, what)

    async def _asked(self, line: ModbusLine, function: int, ask: _Ask, timeout_s: float) -> ModbusPDU:
        client = self._client
        if client is None:
            raise ConnectionResetError("no connection")
        if isinstance(client.ctx.framer, SeekingRtuFramer):
            client.ctx.framer.function = function
        client.ctx.comm_params.timeout_connect = timeout_s + 1.0  # pymodbus' own timeout; ours comes first
        task = asyncio.current_task()
        cancelled = task.cancelling() if task is not None else 0
        async with asyncio.timeout(timeout_s):
            answer = await ask(client)
        if task is not None and task.cancelling() > cancelled:
            # Python 3.11's wait_for, which pymodbus uses, forgets a cancellation that comes with the answer.
            raise asyncio.CancelledError
        return answer

    def _checked(self, line: ModbusLine, answer: ModbusPDU, function: int, what: str) -> ModbusPDU:
        if answer.transaction_id == 0:  # a gateway that does not give our ids back (ours are never 0): its late answers look like any other
            self._has_ids = False
        if isinstance(answer, ExceptionResponse) and answer.function_code & 0x7F == function:
            if answer.exception_code in GATEWAY_EXCEPTIONS:
                self._failed(line, line.timeout_s)  # somebody waited for the device, and so did its neighbours
            else:
                self._fine(line)
            raise RefusedError(answer.exception_code, what)
        if answer.function_code != function:
            raise self._wrong(line, f"answered function {answer.function_code} to function {function}")
        self._fine(line)
        return answer

    def _check_echo(self, line: ModbusLine, answer: ModbusPDU, address: int, echoed: bool) -> None:
        if answer.address != address or not echoed:
            raise self._wrong(line, f"confirmed another write than the one at {address}")

    def _wrong(self, line: ModbusLine, detail: str) -> ReadingError:
        self._failed(line, line.timeout_s)
        self.drop(0.0 if self._has_ids else self._timeout_s)
        return ReadingError("wrong answer", f"{self.name} unit {line.unit} {detail}; connection dropped")

    def _fine(self, line: ModbusLine) -> None:
        unit = self._units[line.unit]
        unit.failures, unit.rest_until_s = 0, -1e9
        self._timeouts = 0

    def _failed(self, line: ModbusLine, cost_s: float) -> None:
        """One more failure of a device: from the third in a row on it rests, the longer the more its neighbours lose by asking it."""
        unit = self._units[line.unit]
        unit.failures += 1
        if unit.failures >= REST_AFTER:
            failing = sum(1 for other in self._units.values() if other.failures >= REST_AFTER)
            growing_s = 2.0 ** (unit.failures - REST_AFTER)
            unit.rest_until_s = _now_s() + min(REST_MAX_S, growing_s, max(1.0, REST_SHARE * cost_s * failing))

    def _lost(self, line: ModbusLine, cost_s: float, counts: bool = True) -> None:
        """No answer came. One without an id may still come and would be taken for the next one (M1, F46): silence, or a new connection."""
        silence_s = 0.0 if self._has_ids else max(self._timeout_s, line.timeout_s)
        self._units[line.unit].quiet_until_s = _now_s() + 2 * silence_s  # what its neighbours ask cannot be mixed up with its late answer
        if counts:
            self._timeouts += 1
            self._failed(line, cost_s + silence_s)
        by_network_without_ids = not self._has_ids and self._line.framing != "rtu"
        if not self.connected or by_network_without_ids or self._timeouts >= DROP_AFTER_TIMEOUTS:
            self.drop(silence_s)
        else:
            self._quiet_until_s = max(self._quiet_until_s, _now_s() + silence_s)

    async def _keep_gaps(self, unit: int) -> None:
        await _until(max(self._quiet_until_s, self._last_s + self._frame_gap_s, self._ready_at(unit)))
        if not self._has_ids:
            await _read_what_waits()

    def _ready_at(self, unit: Hashable) -> float:
        known = self._units[unit]  # type: ignore[index]
        return max(known.asked_s + known.gap_s, known.quiet_until_s)


class Buses:
    """The lines of this process. Two users of one physical line get the same Bus, so no device sees two clients of ours."""

    def __init__(self) -> None:
        self._buses: dict[Hashable, Bus] = {}

    def of(self, line: ModbusLine, *, gap_s: float = 0.0, connect_delay_s: float = 0.0) -> Bus:
        """The bus of a line, which now knows this unit. gap_s, connect_delay_s: silence the device needs between requests, after connecting."""
        bus = self._buses.setdefault(line_key(line), Bus(line))
        bus.know(line, gap_s, connect_delay_s)
        return bus

    async def close(self) -> None:
        """Let go of all connections."""
        for bus in self._buses.values():
            await bus.close()


def line_key(line: ModbusLine) -> tuple[str, ...]:
    """What makes two lines the same wire: the serial port, or host, port and framing."""
    return ("rtu", line.device or "") if line.framing == "rtu" else (line.framing, line.host or "", str(line.port))


async def _until(at_s: float) -> None:
    wait_s = at_s - _now_s()
    if wait_s > 0:
        await asyncio.sleep(wait_s)


async def _read_what_waits() -> None:
    """Let the loop take in what came late, so that it is thrown away before the next question and not taken for its answer.

    After a pause of the whole process (a frozen virtual machine, SIGSTOP) the silence is over before anything was read in it. The first turn
    of the loop finds what waits, the second comes after its readers.
    """
    for _ in range(2):
        await asyncio.sleep(0)


def _now_s() -> float:
    return asyncio.get_running_loop().time()
