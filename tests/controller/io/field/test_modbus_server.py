"""The site's values over Modbus, as strangers read them: pymodbus and pysunspec2's own network client, and raw sockets for what no client sends."""

from __future__ import annotations

import asyncio
import math
import random
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from pymodbus.client import AsyncModbusTcpClient
from sunspec2.modbus.client import SunSpecModbusClientDeviceTCP

from controller.checking.cautions import warnings_about
from controller.checking.rules import Site, cross_problems
from controller.config import Config
from controller.io.field import modbus_server
from controller.io.field.modbus_map import registers
from controller.io.field.modbus_server import ModbusServerShell
from controller.io.shell import StartError
from controller.io.tasks import end, spawn
from controller.snapshot import GridView, SignalView, Snapshot
from meters.sunspec import Reader, discover
from meters.sunspec_values import Role, choose, quantities
from tests.support.picture import NOW_WALL_S, evse, picture, site_config
from tests.support.sunspec_images import played

HOST = "127.0.0.1"
GRID = picture().site.grid


def config(**server: Any) -> Config:
    body = site_config().model_dump()
    meters = [{"id": name, "role": role, "source": {"type": "mqtt", "topic": name}} for name, role in (("sun", "pv"), ("cell", "battery"))]
    return Config.model_validate(body | {"modbus_server": {"port": 0, **server}, "meters": meters, "mqtt": {"host": HOST}})


@asynccontextmanager
async def serving(view: Snapshot | None = None, **server: Any) -> AsyncIterator[ModbusServerShell]:
    shell = ModbusServerShell(config(**server), lambda: view or picture())
    await shell.start()
    try:
        yield shell
    finally:
        await shell.stop()


@asynccontextmanager
async def client(shell: ModbusServerShell) -> AsyncIterator[AsyncModbusTcpClient]:
    peer = AsyncModbusTcpClient(HOST, port=shell.port, timeout=5, retries=0, reconnect_delay=0)
    assert await peer.connect()
    try:
        yield peer
    finally:
        peer.close()


def floats(words: list[int]) -> list[float]:
    return [struct.unpack(">f", struct.pack(">HH", *pair))[0] for pair in zip(words[::2], words[1::2], strict=True)]


async def test_the_documented_map() -> None:
    """Every address as deploy/meters.md tells it."""
    signals = (
        SignalView("dso", "eebus", "grid", False, "limited", 20_000.0, None, 5000.0, None, 1.0, True, None),
        SignalView("fleet", "mqtt", "hall", False, "limited", 1000.0, None, None, None, 1.0, True, None),
    )
    grid = replace(GRID, battery_w=1500.0, battery_soc_percent=55.5)
    async with serving(picture(signals=signals, grid=grid)) as shell, client(shell) as peer:
        head = (await peer.read_holding_registers(0, count=8, device_id=1)).registers
        values = floats((await peer.read_input_registers(8, count=52, device_id=1)).registers)
        hall = (await peer.read_holding_registers(1040, count=40, device_id=1)).registers
        alpha = (await peer.read_holding_registers(3000, count=40, device_id=1)).registers
    assert head == [0x594D, 1, *divmod(int(NOW_WALL_S), 0x10000), 0, 2, 3, 0xFFFF]
    assert values[:8] == [19_250.0, 30.5, 28.25, 25.0, 13_800.0, 20.0, 20.0, 20.0]
    assert values[8:13] == [9450.0, -4000.0, 1500.0, 55.5, pytest.approx(0.4)]
    assert values[13:17] == [63.0, 230.0, 20_000.0, 5000.0]
    assert all(math.isnan(value) for value in values[17:])
    assert floats(hall[:14]) == [10.0, 10.0, 10.0, 39.0, 39.0, 39.0, 40.0]
    assert struct.pack(">20H", *hall[20:]).rstrip(b"\0") == b"hall"
    assert floats(alpha[:14]) == [6900.0, 10.0, 10.0, 10.0, 14.0, 32.0, 4200.0]
    assert math.isnan(floats(alpha[14:16])[0])
    assert floats(alpha[16:18]) == [9800.0]
    assert alpha[18:20] == [4, 1]
    assert struct.pack(">20H", *alpha[20:]).rstrip(b"\0") == b"alpha/1"


async def test_what_is_not_known_is_not_zero() -> None:
    lost = GridView(63.0, 230.0, 3, (30.5, 28.25, 25.0), 19_250.0, 11.0, (0.0,) * 3, 0.0, 9450.0, None, None, None)
    away = picture(grid=lost, evses=(evse("alpha", 1, online=False),))
    async with serving(away) as shell, client(shell) as peer:
        values = floats((await peer.read_holding_registers(8, count=34, device_id=1)).registers)
        alpha = floats((await peer.read_holding_registers(3000, count=8, device_id=1)).registers)
        meter = (await peer.read_holding_registers(40070, count=22, device_id=1)).registers
    assert [math.isnan(value) for value in values[:4]] == [True] * 4  # the last word of a silent meter is older than meter_lost_s
    assert values[4] == 0.0
    assert all(math.isnan(value) for value in values[8:12])
    assert all(math.isnan(value) for value in alpha)
    assert meter[3:6] == [0x8000] * 3
    assert meter[18] == 0x8000


@pytest.mark.parametrize("unit", [1, 2])
@pytest.mark.parametrize(("role", "power_w"), [("grid", 19_250.0), ("pv", -4000.0), ("battery", 1500.0)])
def test_our_own_discovery_finds_it(unit: int, role: Role, power_w: float) -> None:
    view = picture(grid=replace(GRID, battery_w=1500.0, battery_soc_percent=55.0))
    words = registers(config(), view)[unit]
    models = played(discover(), words)
    assert [model.model_id for model in models] == ([1, 203, 1, 103, 1, 802] if unit == 1 else [1, 213, 1, 113, 1, 802])
    source = choose(models, role)
    got = quantities(played(Reader(models, source.wanted).poll(), words), source)
    assert got["p"] == pytest.approx(power_w, abs=10)
    if role == "grid":
        assert got["i_l2"] == pytest.approx(28.25, abs=0.06)


async def test_a_strangers_client_discovers_it() -> None:
    """pysunspec2's blocking client, in a thread."""

    def scan(port: int, unit: int) -> dict[str, Any]:
        device = SunSpecModbusClientDeviceTCP(slave_id=unit, ipaddr=HOST, ipport=port, timeout=5)
        try:
            device.scan()
            meter = device.models["ac_meter_abcn" if unit == 1 else "ac_meter_abcn_float"][0]
            return {"maker": device.common[0].Mn.value, "W": meter.W.cvalue, "AphA": meter.AphA.cvalue, "Hz": meter.Hz.cvalue}
        finally:
            device.close()

    async with serving() as shell:
        whole = await asyncio.to_thread(scan, shell.port, 1)
        exact = await asyncio.to_thread(scan, shell.port, 2)
    assert (whole["maker"], whole["W"], whole["AphA"], whole["Hz"]) == ("Yardmaster", pytest.approx(19_250, abs=10), pytest.approx(30.5), None)
    assert (exact["W"], exact["AphA"]) == (19_250.0, 30.5)


@pytest.mark.parametrize("fuse_a", [10, 63, 250, 6300])
def test_ten_fuses_fit_into_the_integer_meter(fuse_a: float) -> None:
    grid = replace(GRID, power_w=fuse_a * 230.0 * 9.9, current_a=(fuse_a * 9.9, -fuse_a * 9.9, 0.0))
    body = config().model_copy(update={"grid": config().grid.model_copy(update={"fuse_a": fuse_a})})
    words = registers(body, picture(grid=grid))[1]
    models = played(discover(), words)
    source = choose(models, "grid")
    got = quantities(played(Reader(models, source.wanted).poll(), words), source)
    assert got["p"] == pytest.approx(fuse_a * 2277.0, rel=0.01)
    assert got["i_l2"] == pytest.approx(-fuse_a * 9.9, rel=0.01)


async def test_nothing_can_be_written() -> None:
    async with serving() as shell, client(shell) as peer:
        answers = [
            await peer.write_register(8, 1, device_id=1),
            await peer.write_registers(8, [1, 2], device_id=1),
            await peer.write_coil(8, True, device_id=1),
            await peer.read_coils(8, count=1, device_id=1),
        ]
        after = floats((await peer.read_holding_registers(8, count=2, device_id=1)).registers)
    assert [answer.exception_code for answer in answers] == [1, 1, 1, 1]
    assert after == [19_250.0]


async def test_addresses_and_units_that_do_not_exist() -> None:
    async with serving() as shell, client(shell) as peer:
        codes = [
            (await peer.read_holding_registers(60_000, count=1, device_id=1)).exception_code,
            (await peer.read_holding_registers(0, count=125, device_id=1)).exception_code,
            (await peer.read_holding_registers(0, count=1, device_id=7)).exception_code,
        ]
        same = [(await peer.read_holding_registers(0, count=1, device_id=unit)).registers for unit in (0, 1, 2, 255)]
    assert codes == [2, 2, 11]
    assert same == [[0x594D]] * 4


async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, frame: bytes) -> bytes:
    writer.write(frame)
    async with asyncio.timeout(5):
        return await reader.read(300)


@pytest.mark.parametrize(
    "frame",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        struct.pack(">HHHB", 1, 5, 6, 1) + b"\3\0\0\0\1",  # not the Modbus protocol
        struct.pack(">HHHB", 1, 0, 1, 1),  # no function
        struct.pack(">HHHB", 1, 0, 0xFFFF, 1),  # longer than any frame
    ],
)
async def test_what_is_no_modbus_is_hung_up_on(frame: bytes) -> None:
    async with serving() as shell:
        reader, writer = await asyncio.open_connection(HOST, shell.port)
        assert await ask(reader, writer, frame) == b""
        writer.close()


@pytest.mark.parametrize(
    ("body", "code"),
    [(b"\3\0\0\0\0", 3), (b"\3\0\0\0\176", 3), (b"\3\0\0", 3), (b"\3\0\0\0\1\0", 3), (b"\53\16\1\0", 1), (b"\3\377\377\0\2", 2), (b"\220", 1)],
)
async def test_odd_requests_are_refused_and_the_next_one_is_answered(body: bytes, code: int) -> None:
    async with serving() as shell:
        reader, writer = await asyncio.open_connection(HOST, shell.port)
        frame = struct.pack(">HHHB", 9, 0, len(body) + 1, 1) + body
        assert await ask(reader, writer, frame) == struct.pack(">HHHBBB", 9, 0, 3, 1, body[0] | 0x80, code)
        good = struct.pack(">HHHBBHH", 10, 0, 6, 1, 3, 0, 1)
        assert await ask(reader, writer, good) == struct.pack(">HHHBBBH", 10, 0, 5, 1, 3, 2, 0x594D)
        writer.close()


async def test_noise_on_the_line_harms_nobody_else() -> None:
    """Five hundred connections full of random bytes; the client beside them is answered all the time."""
    dice = random.Random(7)
    async with serving() as shell, client(shell) as peer:
        for number in range(500):
            _, writer = await asyncio.open_connection(HOST, shell.port)
            head = struct.pack(">HHHB", number, 0, dice.randrange(0, 300), dice.randrange(0, 4)) if number % 2 else b""
            writer.write(head + dice.randbytes(dice.randrange(1, 300)))
            writer.close()
            if number % 50 == 0:
                assert (await peer.read_holding_registers(0, count=1, device_id=1)).registers == [0x594D]
        assert (await peer.read_holding_registers(0, count=1, device_id=1)).registers == [0x594D]


async def test_two_requests_in_one_packet_and_one_in_pieces() -> None:
    async with serving() as shell:
        reader, writer = await asyncio.open_connection(HOST, shell.port)
        frames = [struct.pack(">HHHBBHH", number, 0, 6, 1, 4, 0, 1) for number in (1, 2)]
        writer.write(b"".join(frames))
        async with asyncio.timeout(5):
            both = await reader.readexactly(22)
        assert (both[:2], both[11:13]) == (b"\0\1", b"\0\2")
        for byte in frames[0]:
            writer.write(bytes([byte]))
            await writer.drain()
        async with asyncio.timeout(5):
            assert len(await reader.readexactly(11)) == 11
        writer.close()


async def test_clients_are_bounded_and_a_silent_one_makes_room(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(max_clients=1) as shell:
        first, writer = await asyncio.open_connection(HOST, shell.port)
        frame = struct.pack(">HHHBBHH", 1, 0, 6, 1, 3, 0, 1)
        assert await ask(first, writer, frame)
        second, other = await asyncio.open_connection(HOST, shell.port)
        assert await second.read(1) == b""
        assert await ask(first, writer, frame)
        monkeypatch.setattr(modbus_server, "REPLACE_AFTER_S", 0.0)
        third, last = await asyncio.open_connection(HOST, shell.port)
        assert await ask(third, last, frame)
        assert await first.read(1) == b""
        for peer in (writer, other, last):
            peer.close()


async def test_a_flood_of_requests_leaves_time_for_everybody_else() -> None:
    """Thousands of requests in one go: between two answers the loop belongs to others, meters among them, and to other clients."""
    turns = 0

    async def somebody_else() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    frame = struct.pack(">HHHBBHH", 1, 0, 6, 1, 3, 0, 60)
    async with serving() as shell:
        flood, writer = await asyncio.open_connection(HOST, shell.port)
        polite, other = await asyncio.open_connection(HOST, shell.port)
        task = spawn(somebody_else(), "somebody else")
        writer.write(frame * 5000)
        async with asyncio.timeout(10):
            await flood.readexactly(20 * 129)
            assert turns >= 20
            assert await ask(polite, other, frame)
        await end([task])
        for peer in (writer, other):
            peer.close()


async def test_a_defect_in_the_picture_is_an_answer_too() -> None:
    def broken() -> Snapshot:
        raise RuntimeError("defect")

    shell = ModbusServerShell(config(), broken)
    await shell.start()
    async with client(shell) as peer:
        assert (await peer.read_holding_registers(0, count=1, device_id=1)).exception_code == 4
    await shell.stop()


async def test_a_taken_port_says_what_to_do() -> None:
    async with serving() as shell:
        other = ModbusServerShell(config(port=shell.port), picture)
        with pytest.raises(StartError, match=r"modbus_server\.port"):
            await other.start()
        await other.stop()


def problems(**changes: Any) -> list[str]:
    """What ``yardmaster check`` says of the modbus_server section."""
    body = site_config().model_dump() | changes
    site = Site(Config.model_validate(body))
    return [problem.message for problem in (*cross_problems(site), *warnings_about(site)) if problem.where[0] == "modbus_server"]


def test_check_knows_doors_that_are_taken_and_doors_that_are_open() -> None:
    assert problems(modbus_server={"port": 5502}) == []
    assert "is also listen.port" in problems(modbus_server={"port": site_config().listen.port})[0]
    assert "no passwords" in problems(modbus_server={"host": "0.0.0.0"})[0]
