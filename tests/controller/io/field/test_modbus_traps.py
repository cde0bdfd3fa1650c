"""The Modbus traps M1-M12 (ECOSYSTEM 2.2), each on the wire: raw devices and pymodbus servers over TCP, TLS and serial ports."""

from __future__ import annotations

import asyncio
import logging
import ssl
import struct
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from contextvars import copy_context
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from pymodbus.constants import ExcCodes
from pymodbus.server import ModbusSerialServer, ModbusTcpServer, ModbusTlsServer
from pymodbus.simulator import DataType, SimData, SimDevice

from controller.config_base import ModbusLine
from controller.io.field import bus as bus_module
from controller.io.field.bus import Bus, Buses, RefusedError
from controller.io.field.bus_client import tls_context
from controller.io.tasks import spawn
from meters.reading import ReadingError
from tests.support.certificates import ECDSA_CERT, ECDSA_KEY, OTHER_CERT, OTHER_KEY
from tests.support.modbus_lines import HOST, Asked, Framing, RawDevice, Say, raw_over_tcp, raw_serial, rtu_frame, serial_pair

Behave = Callable[[RawDevice, Asked], list[Say] | None]
RTU: tuple[Framing, ...] = ("rtu", "rtu_over_tcp")
ALL: tuple[Framing, ...] = ("tcp", *RTU)
REGISTERS = SimData(0, values=list(range(600)), datatype=DataType.REGISTERS)


@asynccontextmanager
async def wired(framing: Framing, port: int, behave: Behave | None = None, **more: Any) -> AsyncIterator[tuple[RawDevice, ModbusLine, Bus]]:
    """A raw device and our bus to it."""
    settings = {"framing": framing, "timeout_s": 0.12, "baud": 115_200, **more}
    buses = Buses()
    if framing == "rtu":
        with raw_serial(behave) as (path, device):
            line = ModbusLine(device=path, **settings)
            yield device, line, buses.of(line)
            await buses.close()
    else:
        async with raw_over_tcp(port, framing == "rtu_over_tcp", behave) as device:
            line = ModbusLine(host=HOST, port=port, **settings)
            yield device, line, buses.of(line)
            await buses.close()


async def failed(work: Any) -> ReadingError:
    with pytest.raises(ReadingError) as caught:
        await work
    return caught.value


# -- M1: a late answer must not be given to the next request --------------------------------------------------


@pytest.mark.parametrize("framing", ALL)
async def test_m1_a_late_answer_is_not_taken_for_the_next_question(framing: Framing, free_port: int) -> None:
    """The first answer comes 0.25 s late, after the timeout; the next question has the same unit, function and length."""

    def behave(device: RawDevice, asked: Asked) -> list[Say] | None:
        return [(0.25, device.right(asked))] if asked.number == 1 else None

    async with wired(framing, free_port, behave, timeout_s=0.2) as (device, line, bus):
        began_s = asyncio.get_running_loop().time()
        assert (await failed(bus.read_registers(line, 3, 100, 2))).reason == "no answer"
        assert await bus.read_registers(line, 3, 500, 2) == [500, 501]
        if framing in RTU:
            assert device.asked[1].at_s - began_s >= 0.39, "the timeout, and silence for as long again"


async def test_m1_a_late_answer_that_nobody_has_read_yet_is_not_taken_for_the_next_one(free_port: int) -> None:
    """The whole process stands still until the silence is over (a frozen virtual machine): the late answer waits in the system's buffer."""
    async with wired("rtu", free_port, lambda device, asked: [] if asked.number == 1 else None) as (device, line, bus):
        await failed(bus.read_registers(line, 3, 100, 2))
        device.say(device.right(device.asked[0]))
        time.sleep(0.5)  # noqa: ASYNC251 - the fault itself
        assert await bus.read_registers(line, 3, 500, 2) == [500, 501]


@pytest.mark.parametrize("framing", RTU)
async def test_m1_many_late_answers_with_other_lengths_never_shift(framing: Framing, free_port: int) -> None:
    def behave(device: RawDevice, asked: Asked) -> list[Say] | None:
        return [(0.15, device.right(asked))] if asked.number % 3 == 0 else None

    async with wired(framing, free_port, behave, timeout_s=0.1) as (device, line, bus):
        answers: list[tuple[int, list[int]]] = []
        while len(device.asked) < 12:
            address, count = 10 * len(device.asked), 1 + len(device.asked) % 4
            try:
                answers.append((address, await bus.read_registers(line, 4, address, count)))
            except ReadingError:
                continue
    assert len(answers) >= 6
    assert all(words == [address + i for i in range(len(words))] for address, words in answers)


async def test_m1_silence_on_a_serial_line_keeps_the_port_open(free_port: int) -> None:
    async with wired("rtu", free_port, lambda device, asked: [] if asked.number == 1 else None) as (_, line, bus):
        await failed(bus.read_registers(line, 3, 0, 1))
        await bus.read_registers(line, 3, 0, 1)
        assert bus.generation == 1


# -- M2: length, function and unit of an answer are compared with the question --------------------------------


@pytest.mark.parametrize("framing", ALL)
@pytest.mark.parametrize("words", [[7], [1, 2, 3], []])
async def test_m2_another_length_than_asked_is_refused(framing: Framing, words: list[int], free_port: int) -> None:
    def behave(device: RawDevice, asked: Asked) -> list[Say] | None:
        return [(0.0, device.words(asked, words))] if asked.number == 1 else None

    async with wired(framing, free_port, behave) as (_, line, bus):
        error = await failed(bus.read_registers(line, 3, 500, 2))
        assert error.reason == "wrong answer"
        assert f"sent {len(words)} registers instead of 2; connection dropped" in error.detail
        assert await bus.read_registers(line, 3, 500, 2) == [500, 501]
        assert bus.generation == 2


@pytest.mark.parametrize("framing", ALL)
async def test_m2_another_function_or_unit_than_asked_is_refused(framing: Framing, free_port: int) -> None:
    def behave(device: RawDevice, asked: Asked) -> list[Say] | None:
        pdu = struct.pack(">BBHH", 4 if asked.number == 1 else 3, 4, 7, 7)
        return [(0.0, device.frame(asked, pdu, unit=asked.unit + (asked.number == 2)))] if asked.number <= 2 else None

    async with wired(framing, free_port, behave, timeout_s=0.1) as (_, line, bus):
        for _ in range(2):
            assert (await failed(bus.read_registers(line, 3, 500, 2))).reason in ("wrong answer", "no answer")
        assert await bus.read_registers(line, 3, 500, 2) == [500, 501]


@pytest.mark.parametrize("framing", ALL)
@pytest.mark.parametrize("count", [1, 8, 9, 20])
async def test_m2_bits_are_cut_to_what_was_asked_and_short_answers_refused(framing: Framing, count: int, free_port: int) -> None:
    def behave(device: RawDevice, asked: Asked) -> list[Say] | None:
        return [(0.0, device.frame(asked, bytes([asked.function, 0])))] if asked.number == 2 else None

    async with wired(framing, free_port, behave) as (_, line, bus):
        assert await bus.read_bits(line, 2, 3, count) == [(3 + i) % 2 == 1 for i in range(count)]
        await failed(bus.read_bits(line, 1, 3, count))
        assert await bus.read_bits(line, 1, 4, count) == [i % 2 == 1 for i in range(count)]


@pytest.mark.parametrize("framing", ALL)
async def test_m2_a_write_is_believed_only_with_its_echo(framing: Framing, free_port: int) -> None:
    def behave(device: RawDevice, asked: Asked) -> list[Say] | None:
        wrong = struct.pack(">BHH", asked.function, asked.address + 1, 9)
        return [(0.0, device.frame(asked, wrong))] if asked.number % 2 == 0 else None

    async with wired(framing, free_port, behave) as (device, line, bus):
        for write in (
            lambda: bus.write_registers(line, 40, [1, 2, 3]),
            lambda: bus.write_registers(line, 40, [4], single=True),
            lambda: bus.write_coil(line, 7, True),
            lambda: bus.write_coils(line, 7, [True, False]),
        ):
            await write()
            assert (await failed(write())).reason == "wrong answer"
        assert [asked.function for asked in device.asked] == [16, 16, 6, 6, 5, 5, 15, 15]
        assert device.asked[0].words == (1, 2, 3)
        assert device.asked[4].words == (0xFF00,)


@pytest.mark.parametrize("framing", RTU)
@pytest.mark.parametrize("noise", [b"\x00", b"\xff\x01", b"\x01\x03\x04\x00"])
async def test_m2_noise_before_an_rtu_answer_costs_the_noise_only(framing: Framing, noise: bytes, free_port: int) -> None:
    """b"\\x01\\x03\\x04\\x00" looks like the beginning of the very answer."""
    async with wired(framing, free_port, lambda device, asked: [(0.0, noise + device.right(asked))]) as (_, line, bus):
        assert await bus.read_registers(line, 3, 500, 2) == [500, 501]


@pytest.mark.parametrize("framing", RTU)
async def test_m2_an_adapter_that_hears_itself_is_not_taken_for_the_device(framing: Framing, free_port: int) -> None:
    """At 0x0300 the request even looks like a whole answer of three bytes; a single write looks like its own confirmation."""
    deaf = False

    def behave(device: RawDevice, asked: Asked) -> list[Say] | None:
        value = asked.words[0] if asked.words else asked.count
        echo = rtu_frame(struct.pack(">BBHH", asked.unit, asked.function, asked.address, value))
        return [(0.0, echo if deaf else echo + device.right(asked))]

    async with wired(framing, free_port, behave, timeout_s=0.1) as (_, line, bus):
        assert await bus.read_registers(line, 3, 0x0300, 1) == [0x0300]
        assert await bus.read_registers(line, 4, 500, 2) == [500, 501]
        await bus.write_registers(line, 7, [1], single=True)
        deaf = True
        assert (await failed(bus.write_registers(line, 7, [1], single=True))).reason == "no answer"
        assert (await failed(bus.read_registers(line, 3, 0x0300, 1))).reason == "no answer"


@pytest.mark.parametrize("framing", ["tcp", "rtu"])
@pytest.mark.parametrize(
    "garbage", [b"\xa5" * 3, b"\x00" * 300, b"\x00\x01\x00\x00\x00\x03\x01\x03\x04", b"\x01\x83", b"HTTP/1.1 400 Bad Request\r\n\r\n"]
)
async def test_m2_garbage_is_a_missing_answer_and_nothing_worse(
    framing: Framing, garbage: bytes, free_port: int, caplog: pytest.LogCaptureFixture
) -> None:
    def behave(device: RawDevice, asked: Asked) -> list[Say] | None:
        return [(0.0, garbage)] if asked.number <= 2 else None

    async with wired(framing, free_port, behave, timeout_s=0.1) as (_, line, bus):
        for _ in range(2):
            assert (await failed(bus.read_registers(line, 3, 500, 2))).reason in ("no answer", "wrong answer")
        assert await bus.read_registers(line, 3, 500, 2) == [500, 501]
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


@pytest.mark.parametrize("framing", ALL)
async def test_m2_an_answer_in_pieces_is_whole_when_its_last_piece_came(framing: Framing, free_port: int) -> None:
    def behave(device: RawDevice, asked: Asked) -> list[Say] | None:
        whole = device.right(asked)
        return [(0.001 + 0.01 * at, whole[at : at + 3]) for at in range(0, len(whole), 3)]

    async with wired(framing, free_port, behave, timeout_s=1.0) as (_, line, bus):
        assert await bus.read_registers(line, 3, 500, 10) == list(range(500, 510))


# -- M3: Modbus TCP tells late answers apart ------------------------------------------------------------------


async def test_m3_over_tcp_a_late_answer_is_dropped_by_its_id_without_silence(free_port: int) -> None:
    def behave(device: RawDevice, asked: Asked) -> list[Say] | None:
        if asked.number == 1:
            return [(0.25, device.right(asked))]
        return [(0.1, device.right(asked))] if asked.number == 2 else None

    async with wired("tcp", free_port, behave, timeout_s=0.2) as (device, line, bus):
        await failed(bus.read_registers(line, 3, 100, 2))
        assert bus._quiet_until_s <= asyncio.get_running_loop().time(), "nobody waits for silence"
        assert await bus.read_registers(line, 3, 500, 2) == [500, 501], "the answer to 100 came while 500 was waited for"
        assert (device.connections, bus.generation) == (1, 1)


async def test_m3_a_gateway_that_gives_no_ids_back_is_treated_like_a_serial_line(free_port: int) -> None:
    """Some answer with id 0 to everything; then a late answer could be taken for the next one."""

    def behave(device: RawDevice, asked: Asked) -> list[Say] | None:
        frame = device.frame(asked, struct.pack(">BBHH", 3, 4, asked.address, asked.address + 1), tid=0)
        return [(0.25 if asked.number == 2 else 0.0, frame)]

    async with wired("tcp", free_port, behave, timeout_s=0.2) as (_, line, bus):
        assert await bus.read_registers(line, 3, 10, 2) == [10, 11]
        await failed(bus.read_registers(line, 3, 100, 2))
        assert await bus.read_registers(line, 3, 500, 2) == [500, 501]
        assert bus.generation == 2


@pytest.mark.parametrize("framing", RTU)
async def test_m1_a_device_is_left_alone_for_longer_than_its_neighbours(framing: Framing, free_port: int) -> None:
    """An answer that takes two and a half timeouts: the neighbour is asked after two of them, the device itself after three."""

    def behave(device: RawDevice, asked: Asked) -> list[Say] | None:
        return [(0.25, device.right(asked))] if asked.number == 1 else None

    async with wired(framing, free_port, behave, timeout_s=0.1) as (device, line, bus):
        began_s = asyncio.get_running_loop().time()
        neighbour = line.model_copy(update={"unit": 2})
        await failed(bus.read_registers(line, 3, 100, 2))
        own = spawn(bus.read_registers(line, 3, 500, 2), "the device itself")
        assert await bus.read_registers(neighbour, 3, 300, 2) == [300, 301]
        assert await own == [500, 501]
        assert device.asked[1].unit == 2
        assert device.asked[2].at_s - began_s >= 0.29


# -- M4, M5, M7: our own way back -----------------------------------------------------------------------------


@pytest.mark.parametrize("framing", ["tcp", "rtu_over_tcp"])
async def test_m4_the_first_connect_is_tried_again(framing: Framing, free_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bus_module, "BACKOFF_MIN_S", 0.1)
    line = ModbusLine(host=HOST, port=free_port, framing=framing)
    bus = Buses().of(line)
    assert "does not accept the connection; next try in 0.1 s" in (await failed(bus.read_registers(line, 3, 0, 1))).detail
    async with raw_over_tcp(free_port, framing == "rtu_over_tcp"):
        async with asyncio.timeout(5):
            while not bus.connected:
                await asyncio.sleep(0.02)
                try:
                    assert await bus.read_registers(line, 3, 9, 1) == [9]
                except ReadingError as error:
                    assert error.reason == "not connected"  # noqa: PT017 - any other is a failure
        await bus.close()


async def test_m4_a_serial_port_that_appears_later_is_opened(tmp_path: Path) -> None:
    line = ModbusLine(device=str(tmp_path / "ttyUSB0"), framing="rtu", baud=115_200)
    bus = Buses().of(line)
    assert "is not there" in (await failed(bus.read_registers(line, 3, 0, 1))).detail
    with raw_serial() as (path, _):
        (tmp_path / "ttyUSB0").symlink_to(path)
        bus._not_before_s = -1e9  # the wait between tries is over
        assert await bus.read_registers(line, 3, 5, 2) == [5, 6]
        await bus.close()


async def test_m5_waits_between_tries_double_up_to_ten_seconds_and_no_further(free_port: int) -> None:
    line = ModbusLine(host=HOST, port=free_port)
    bus = Buses().of(line)
    told: list[str] = []
    for _ in range(6):
        bus._not_before_s = -1e9  # the wait is over
        told.append((await failed(bus.read_registers(line, 3, 0, 1))).detail.rpartition("in ")[2])
    assert told == ["1 s", "2 s", "4 s", "8 s", "10 s", "10 s"]
    assert "tried again shortly" in (await failed(bus.read_registers(line, 3, 0, 1))).detail


async def test_m7_while_there_is_no_connection_every_call_fails_at_once_with_the_reason(free_port: int) -> None:
    line = ModbusLine(host=HOST, port=free_port, timeout_s=30.0)
    bus = Buses().of(line)
    async with asyncio.timeout(20):
        for _ in range(50):
            assert (await failed(bus.write_registers(line, 0, [1]))).reason == "not connected"


async def test_m7_a_connection_that_is_closed_while_we_wait_fails_the_call_then_and_not_at_the_timeout(free_port: int) -> None:
    async with wired("tcp", free_port, lambda device, asked: [(0.0, b"")] if asked.number == 1 else None, timeout_s=30.0) as (_, line, bus):
        async with asyncio.timeout(20):
            assert "closed the connection" in (await failed(bus.read_registers(line, 3, 0, 1))).detail
            assert await bus.read_registers(line, 3, 5, 1) == [5]


# -- M6: what silence costs -----------------------------------------------------------------------------------


@pytest.mark.parametrize("framing", ALL)
async def test_m6_a_silent_device_costs_one_timeout_and_three_a_new_connection(framing: Framing, free_port: int) -> None:
    async with wired(framing, free_port, lambda device, asked: [] if asked.number <= 3 else None, timeout_s=0.1) as (device, line, bus):
        for _ in range(3):
            await failed(bus.read_registers(line, 3, 0, 1))
        assert await bus.read_registers(line, 3, 5, 1) == [5]
        assert len(device.asked) == 4, "nothing is asked twice"
        assert bus.generation == (4 if framing == "rtu_over_tcp" else 2)


# -- M8: one bus, many users ----------------------------------------------------------------------------------


@pytest.mark.parametrize("framing", ALL)
async def test_m8_one_request_at_a_time_however_many_ask(framing: Framing, free_port: int) -> None:
    open_ones = worst = 0

    def behave(device: RawDevice, asked: Asked) -> list[Say] | None:
        nonlocal open_ones, worst
        open_ones += 1
        worst = max(worst, open_ones)
        return [(0.01, device.right(asked))]

    async with wired(framing, free_port, behave, timeout_s=2.0) as (device, line, bus):

        async def ask(number: int) -> list[int]:
            nonlocal open_ones
            async with bus.turn(line):
                words = await bus.read_registers(line, 3, number, 2)
                open_ones -= 1
                return words

        found = await asyncio.gather(*(ask(number) for number in range(20)))
        assert (found, worst, device.connections or 1) == ([[n, n + 1] for n in range(20)], 1, 1)


async def test_m8_the_same_wire_is_the_same_bus(tmp_path: Path) -> None:
    buses = Buses()
    meter, relay = ModbusLine(host=HOST, unit=1), ModbusLine(host=HOST, unit=9, timeout_s=3.0)
    assert buses.of(meter) is buses.of(relay)
    assert buses.of(meter) is not buses.of(ModbusLine(host=HOST, framing="rtu_over_tcp"))
    assert buses.of(meter) is not buses.of(ModbusLine(host=HOST, port=503))
    serial = ModbusLine(framing="rtu", device="/dev/ttyS9", unit=1)
    assert buses.of(serial) is buses.of(serial.model_copy(update={"unit": 2}))


async def test_m8_devices_take_turns_however_often_one_asks(free_port: int) -> None:
    """Five users of unit 1 and one of unit 2: unit 2 is served after at most one of the others."""
    async with wired("tcp", free_port, timeout_s=2.0) as (device, line, bus):
        other = line.model_copy(update={"unit": 2})
        greedy = [spawn(bus.read_registers(line, 3, 0, 1), "user of the bus") for _ in range(5)]
        await asyncio.sleep(0)
        await asyncio.gather(bus.read_registers(other, 3, 0, 1), *greedy)
        assert [asked.unit for asked in device.asked].index(2) <= 1


async def test_m8_commands_overtake_polls_that_wait(free_port: int) -> None:
    async with wired("tcp", free_port, lambda device, asked: [(0.03, device.right(asked))], timeout_s=2.0) as (device, line, bus):
        polls = [spawn(bus.read_registers(line.model_copy(update={"unit": unit}), 3, 0, 1), "user of the bus") for unit in range(1, 8)]
        async with asyncio.timeout(5):
            await device.news.wait()
            await bus.write_registers(line, 70, [1])
            await asyncio.gather(*polls)
        assert [asked.function for asked in device.asked[:2]] == [3, 16]


async def test_m8_a_turn_is_one_s_own_and_turns_inside_it_do_not_wait(free_port: int) -> None:
    async with wired("tcp", free_port, timeout_s=2.0) as (device, line, bus):
        loop, outside = asyncio.get_running_loop(), copy_context()
        async with asyncio.timeout(5):
            async with bus.turn(line), bus.turn(line):
                stranger = loop.create_task(bus.write_registers(line, 1, [1]), context=outside)
                for address in (10, 11, 12):
                    await asyncio.wait_for(bus.read_registers(line, 3, address, 1), 3)
            await stranger
        assert [asked.address for asked in device.asked] == [10, 11, 12, 1]


async def test_m8_the_gap_of_one_device_does_not_hold_up_the_others(free_port: int) -> None:
    async with raw_over_tcp(free_port, rtu=False) as device:
        buses = Buses()
        slow, quick = ModbusLine(host=HOST, port=free_port, unit=1), ModbusLine(host=HOST, port=free_port, unit=2)
        bus = buses.of(slow, gap_s=0.15)
        buses.of(quick)
        async with asyncio.timeout(5):
            await bus.read_registers(slow, 3, 0, 1)
            again = spawn(bus.read_registers(slow, 3, 0, 1), "user of the bus")
            await asyncio.sleep(0)
            for _ in range(3):
                await bus.read_registers(quick, 3, 0, 1)
            await again
        await buses.close()
    assert [asked.unit for asked in device.asked] == [1, 2, 2, 2, 1]
    first, last = device.asked[0].at_s, device.asked[-1].at_s
    assert last - first >= 0.149


@pytest.mark.parametrize("framing", ALL)
async def test_m8_a_dead_device_is_asked_less_often_and_neighbours_keep_their_beat(framing: Framing, free_port: int) -> None:
    def behave(device: RawDevice, asked: Asked) -> list[Say] | None:
        return [] if asked.unit == 9 else None

    async with wired(framing, free_port, behave, timeout_s=0.05) as (device, line, bus):
        dead = line.model_copy(update={"unit": 9})
        refused = 0
        for number in range(40):
            try:
                await bus.read_registers(dead, 3, 0, 1)
            except ReadingError as error:
                refused += "asked less often" in error.detail
            assert await bus.read_registers(line, 3, number, 1) == [number]
        assert sum(asked.unit == 9 for asked in device.asked) <= 5
        assert refused >= 35
        with pytest.raises(ReadingError, match="did not answer"):
            await bus.write_registers(dead, 0, [1])


async def test_m8_a_cancelled_wait_leaves_no_hole_in_the_queue(free_port: int) -> None:
    async with wired("tcp", free_port, lambda device, asked: [(0.02, device.right(asked))], timeout_s=2.0) as (device, line, bus):
        tasks = [spawn(bus.read_registers(line, 3, number, 1), "user of the bus") for number in range(10)]
        async with asyncio.timeout(5):
            await device.news.wait()
        for task in tasks[1::2]:
            task.cancel()
        found = await asyncio.gather(*tasks, return_exceptions=True)
        assert found[0::2] == [[n] for n in range(0, 10, 2)]
        assert await bus.read_registers(line, 3, 77, 1) == [77]


# -- M9, M10: exceptions, and what pymodbus' own server says ---------------------------------------------------


async def test_m9_an_unknown_unit_is_a_refusal_with_the_server_s_own_word(free_port: int) -> None:
    server = ModbusTcpServer([SimDevice(1, simdata=[REGISTERS])], address=(HOST, free_port))
    await server.serve_forever(background=True)
    line = ModbusLine(host=HOST, port=free_port, unit=7)
    bus = Buses().of(line)
    try:
        with pytest.raises(RefusedError) as caught:
            await bus.read_registers(line, 3, 0, 2)
        assert caught.value.code in (4, 11)
        assert await bus.read_registers(line.model_copy(update={"unit": 1}), 3, 7, 2) == [7, 8]
    finally:
        await bus.close()
        await server.shutdown()


@pytest.mark.parametrize("framing", ALL)
@pytest.mark.parametrize("code", [1, 2, 3, 4, 5, 6, 8, 10, 11, 77])
async def test_m9_exceptions_are_told_in_words_and_keep_the_connection(framing: Framing, code: int, free_port: int) -> None:
    async with wired(framing, free_port, lambda device, asked: [(0.0, device.exception(asked, code))]) as (_, line, bus):
        with pytest.raises(RefusedError, match=r"for 2 registers at 500") as caught:
            await bus.read_registers(line, 3, 500, 2)
        assert caught.value.code == code
        assert bus.connected


async def test_m10_a_name_from_a_real_server_comes_word_by_word(free_port: int) -> None:
    """pymodbus builds four copies of a STRING with count=2; one is what a device has. We read its words and nothing else."""
    name = SimData(100, values="SOCOMEC ", count=1, datatype=DataType.STRING)
    server = ModbusTcpServer(SimDevice(1, simdata=[name]), address=(HOST, free_port))
    await server.serve_forever(background=True)
    line = ModbusLine(host=HOST, port=free_port)
    bus = Buses().of(line)
    try:
        words = await bus.read_registers(line, 3, 100, 4)
        assert b"".join(word.to_bytes(2, "big") for word in words) == b"SOCOMEC "
        with pytest.raises(RefusedError, match="illegal address"):
            await bus.read_registers(line, 3, 104, 4)
    finally:
        await bus.close()
        await server.shutdown()


# -- M11: TLS -------------------------------------------------------------------------------------------------


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    for name, text in {"dev.crt": ECDSA_CERT, "dev.key": ECDSA_KEY, "us.crt": OTHER_CERT, "us.key": OTHER_KEY}.items():
        (tmp_path / name).write_text(text)
    return tmp_path


@asynccontextmanager
async def tls_server(port: int, keys: Path, mutual: bool = False, action: Any = None) -> AsyncIterator[None]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(keys / "dev.crt", keys / "dev.key")
    if mutual:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(keys / "us.crt")
    server = ModbusTlsServer(SimDevice(1, simdata=[REGISTERS], action=action), address=(HOST, port), sslctx=context)
    await server.serve_forever(background=True)
    try:
        yield
    finally:
        await server.shutdown()


def tls_line(port: int, keys: Path, **more: Any) -> ModbusLine:
    return ModbusLine(**{"host": HOST, "port": port, "framing": "tls", "ca_file": keys / "dev.crt", "timeout_s": 2.0, **more})


@pytest.mark.parametrize("mutual", [False, True])
async def test_m11_tls_is_read_and_written_with_and_without_our_own_certificate(mutual: bool, free_port: int, keys: Path) -> None:
    own = {"cert_file": keys / "us.crt", "key_file": keys / "us.key"} if mutual else {}
    line = tls_line(free_port, keys, **own)
    bus = Buses().of(line)
    async with tls_server(free_port, keys, mutual):
        assert await bus.read_registers(line, 3, 100, 60) == list(range(100, 160))
        await bus.write_registers(line, 100, [1, 2])
        assert await bus.read_registers(line, 3, 100, 2) == [1, 2]
        await bus.close()


async def test_m11_a_device_with_another_certificate_is_not_talked_to(free_port: int, keys: Path) -> None:
    line = tls_line(free_port, keys, ca_file=keys / "us.crt")
    async with tls_server(free_port, keys):
        error = await failed(Buses().of(line).read_registers(line, 3, 0, 1))
    assert error.reason == "not connected"
    assert "a certificate that is not accepted" in error.detail
    assert "check ca_file" in error.detail


async def test_m11_another_name_than_in_the_certificate_is_not_talked_to(free_port: int, keys: Path) -> None:
    wrong, right = tls_line(free_port, keys, server_name="meter.example"), tls_line(free_port, keys, server_name="localhost")
    async with tls_server(free_port, keys):
        assert "not accepted" in (await failed(Buses().of(wrong).read_registers(wrong, 3, 0, 1))).detail
        bus = Buses().of(right)
        assert await bus.read_registers(right, 3, 3, 1) == [3]
        await bus.close()


async def test_m11_without_our_certificate_a_device_that_asks_for_one_refuses(free_port: int, keys: Path) -> None:
    line = tls_line(free_port, keys)
    async with tls_server(free_port, keys, mutual=True):
        assert (await failed(Buses().of(line).read_registers(line, 3, 0, 1))).reason in ("no answer", "not connected")


async def test_m11_a_plain_server_at_a_tls_port_and_a_missing_file_are_told(free_port: int, keys: Path) -> None:
    line = tls_line(free_port, keys)
    async with raw_over_tcp(free_port, rtu=False):
        assert (await failed(Buses().of(line).read_registers(line, 3, 0, 1))).reason == "not connected"
    missing = tls_line(free_port, keys, ca_file=keys / "nobody.pem")
    assert "check ca_file" in (await failed(Buses().of(missing).read_registers(missing, 3, 0, 1))).detail


def test_m11_our_context_asks_for_certificate_and_name(keys: Path) -> None:
    context = tls_context(tls_line(802, keys))
    assert (context.verify_mode, context.check_hostname, context.minimum_version) == (ssl.CERT_REQUIRED, True, ssl.TLSVersion.TLSv1_2)
    assert len(context.get_ca_certs()) == 1, "the device's CA and nobody else's"


async def test_m11_an_answer_over_tls_in_pieces_is_one_answer(free_port: int, keys: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(keys / "dev.crt", keys / "dev.key")
    device = RawDevice(rtu=False)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readexactly(6)
        asked = device.parse(int.from_bytes(head[:2], "big"), await reader.readexactly(head[5]))
        answer = device.right(asked)
        for part in (answer[:5], answer[5:20], answer[20:]):
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(0.02)

    server = await asyncio.start_server(serve, HOST, free_port, ssl=context)
    line = tls_line(free_port, keys)
    bus = Buses().of(line)
    assert await bus.read_registers(line, 3, 500, 20) == list(range(500, 520))
    await bus.close()
    server.close()


# -- M12: cancelling ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("framing", ALL)
async def test_m12_a_cancelled_call_is_followed_by_right_answers(framing: Framing, free_port: int) -> None:
    """On RTU a cancelled call is like a timeout: its answer may still come."""

    def behave(device: RawDevice, asked: Asked) -> list[Say] | None:
        return [(0.12, device.right(asked))] if asked.number == 1 else None

    async with wired(framing, free_port, behave, timeout_s=1.0) as (device, line, bus):
        task = spawn(bus.read_registers(line, 3, 100, 2), "user of the bus")
        async with asyncio.timeout(5):
            await device.news.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await bus.read_registers(line, 3, 500, 2) == [500, 501]


@pytest.mark.parametrize("framing", ALL)
async def test_m12_a_cancellation_that_comes_with_the_answer_is_not_lost(framing: Framing, free_port: int) -> None:
    """Or a poll loop would go on after its shell was stopped."""
    async with wired(framing, free_port, timeout_s=0.3) as (_, line, bus):
        await bus.read_registers(line, 3, 0, 1)
        client = bus._client
        assert client is not None
        task = spawn(bus.read_registers(line, 3, 0, 1), "user of the bus")
        taken = client.ctx.callback_data

        def take_and_cancel(data: bytes, addr: Any = None) -> int:
            used = taken(data, addr)
            task.cancel()
            return used

        client.ctx.callback_data = take_and_cancel  # type: ignore[method-assign]
        with pytest.raises(asyncio.CancelledError):
            await task
        client.ctx.callback_data = taken  # type: ignore[method-assign]
        assert await bus.read_registers(line, 3, 500, 2) == [500, 501]


# -- a real RTU server on a real serial line -------------------------------------------------------------------


async def test_a_pymodbus_rtu_server_at_the_other_end_of_a_serial_line_is_read_and_written() -> None:
    with serial_pair() as (ours, theirs):
        table = [SimData(0, values=list(range(120)), datatype=DataType.REGISTERS)]
        bits = [SimData(0, values=[True, False] * 40, datatype=DataType.BITS)]
        units = [SimDevice(unit, simdata=table) for unit in (1, 2)] + [SimDevice(3, simdata=(bits, bits, table, table))]
        server = ModbusSerialServer(units, port=theirs, baudrate=115_200)
        await server.serve_forever(background=True)
        lines = [ModbusLine(framing="rtu", device=ours, baud=115_200, unit=unit) for unit in (1, 2, 3)]
        buses = Buses()
        bus = buses.of(lines[0])
        try:
            for line in lines:
                assert await bus.read_registers(line, 3, 0, 100) == list(range(100))
                assert await bus.read_registers(line, 4, 7, 1) == [7]
            await bus.write_registers(lines[1], 10, [500, 501])
            await bus.write_registers(lines[1], 12, [502], single=True)
            assert await bus.read_registers(lines[1], 3, 9, 5) == [9, 500, 501, 502, 13]
            assert await bus.read_bits(lines[2], 2, 0, 3) == [True, False, True]
            await bus.write_coil(lines[2], 1, True)
            assert await bus.read_bits(lines[2], 1, 0, 3) == [True, True, True]
            with pytest.raises(RefusedError, match="illegal address"):
                await bus.read_registers(lines[0], 3, 119, 2)
        finally:
            await buses.close()
            await server.shutdown()


async def test_a_slow_rtu_server_is_told_apart_from_its_neighbour_on_the_same_wire() -> None:
    """Unit 1 answers after its timeout each time; unit 2's readings are its own throughout."""

    async def slow(_function: int, _start: int, _address: int, _count: int, _now: list[int], _new: Any) -> ExcCodes | None:
        await asyncio.sleep(0.15)
        return None

    with serial_pair() as (ours, theirs):

        def table(first: int) -> list[SimData]:
            return [SimData(0, values=[first + i for i in range(20)], datatype=DataType.REGISTERS)]

        server = ModbusSerialServer([SimDevice(1, simdata=table(100), action=slow), SimDevice(2, simdata=table(200))], port=theirs, baudrate=115_200)
        await server.serve_forever(background=True)
        slow_line, good_line = (ModbusLine(framing="rtu", device=ours, baud=115_200, unit=unit, timeout_s=0.1) for unit in (1, 2))
        buses = Buses()
        bus = buses.of(slow_line)
        try:
            for _ in range(6):
                with pytest.raises(ReadingError):
                    await bus.read_registers(slow_line, 3, 0, 4)
                assert await bus.read_registers(good_line, 3, 0, 4) == [200, 201, 202, 203]
        finally:
            await buses.close()
            await server.shutdown()


async def test_frames_on_a_serial_line_keep_their_distance() -> None:
    with raw_serial() as (path, device):
        line = ModbusLine(framing="rtu", device=path, baud=1200)
        bus = Buses().of(line)
        for _ in range(3):
            await bus.read_registers(line, 3, 0, 1)
        await bus.close()
    assert all(after.at_s - before.at_s >= 3.5 * 11 / 1200 for before, after in pairwise(device.asked))
