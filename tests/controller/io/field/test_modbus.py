"""The Modbus shell against real servers: pymodbus for what is right, raw sockets for what goes wrong (F40-F50, B41)."""

from __future__ import annotations

import asyncio
import struct
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from controller.config import Config
from controller.facts import Fact, MeterFailed, MeterRead
from controller.io.field.bus import Buses
from controller.io.field.modbus import ModbusShell, build_meters
from meters.decode import encode_value
from meters.reading import Quality, ReadingError
from meters.template import Template, TemplateError, load_template
from tests.support.facts import LoopClock, MeterLog

MAPS = Path(__file__).resolve().parents[4] / "config" / "meters"
HOST = "127.0.0.1"

TINY = """\
name: Test meter
products: [{brand: Test, description: bench}]
transport: tcp
function: 3
sign: import
current: unsigned
registers:
  i_l1: {address: 1, type: u16}
  i_l2: {address: 2, type: u16}
  i_l3: {address: 3, type: u16}
  u_l1: {address: 201, type: u16}
  u_l2: {address: 202, type: u16}
  u_l3: {address: 203, type: u16}
"""


def site(*sources: dict[str, Any], role: str = "grid") -> Config:
    meters = [{"id": f"m{i}", "role": role, "source": {"type": "modbus", "host": HOST, **source}} for i, source in enumerate(sources)]
    return Config.model_validate({"site": {"id": "test"}, "grid": {"fuse_a": 63, "worst_other_load_a": 10}, "meters": meters})


@asynccontextmanager
async def simulator(port: int, image: dict[int, int], unit: int = 1) -> AsyncIterator[None]:
    """A real pymodbus server with exactly these registers."""
    data = [SimData(address, values=[word], datatype=DataType.REGISTERS) for address, word in sorted(image.items())]
    server = ModbusTcpServer(SimDevice(unit, simdata=data), address=(HOST, port))
    await server.serve_forever(background=True)
    try:
        yield
    finally:
        await server.shutdown()


def tiny(folder: Path, text: str = TINY) -> Path:
    (folder / "tiny.yaml").write_text(text, encoding="utf-8")
    return folder


# -- the shipped maps ---------------------------------------------------------------------------

TRUTH = {"u": 230.0, "i": 1.0, "f": 50.0, "e_imp": 12_000.0, "e_exp": 4000.0, "soc": 55.0, "p": 690.0}


def device_value(name: str) -> float:
    """What the device shows: 690 W through its own positive direction."""
    if name.endswith("_exp") and name != "e_exp":
        return 0.0
    if name.startswith("p_l"):
        return 230.0
    return TRUTH[name] if name in TRUTH else TRUTH[name[0]]


def image_of(template: Template) -> dict[int, int]:
    image = {address: 0 for block in template.plan() for address in range(block.address, block.end)}
    for name, register in template.registers.items():
        scaled = device_value(name) * (10.0 if register.scale_register is not None else 1.0)
        image.update(enumerate(encode_value(scaled, register, template), register.address))
        if register.scale_register is not None:
            image[register.scale_register] = 0xFFFF  # 10 to the power of -1
    for lost in template.lost_if:
        image[lost.address] = lost.equals[0] + 1
    if template.probe is not None:
        count = template.probe.span.length
        constant = template.probe.equals[0]
        image.update({template.probe.address + i: constant >> 16 * (count - 1 - i) & 0xFFFF for i in range(count)})
    return image


@pytest.mark.parametrize("name", sorted(path.stem for path in MAPS.glob("*.yaml")))
async def test_every_map_round_trips_through_a_server(name: str, free_port: int) -> None:
    template = load_template(MAPS / f"{name}.yaml").model_copy(update={"connect_delay_ms": 0, "min_gap_ms": 0})
    config = site({"port": free_port, "map": name})
    async with simulator(free_port, image_of(template)):
        meter = build_meters(config, MAPS, Buses())[0]
        meter.template = template
        meter.bus._connect_delay_s = 0.0
        reading = await meter.poll()
        meter.bus.drop()
    assert (reading.quality, reading.reason) == (Quality.GOOD, "")
    direction = 1.0 if template.sign == "import" else -1.0
    if any(quantity in template.registers for quantity in ("p", "p_imp", "p_l3")):
        assert reading.power_w == pytest.approx(690.0 * direction, rel=1e-3)
    for phase, current in enumerate(reading.current_a):
        if f"i_l{phase + 1}" in template.registers:
            assert current == pytest.approx(direction)
    if "soc" in template.registers:
        assert reading.soc_percent == pytest.approx(55.0)
    if "e_imp" in template.registers:
        assert reading.energy_import_wh == pytest.approx(12_000.0)


def test_a_missing_map_is_refused_before_anything_starts() -> None:
    with pytest.raises(TemplateError, match="known maps"):
        ModbusShell(site({"port": 1, "map": "nobody_knows"}), LoopClock(), print, MAPS)


# -- a meter that misbehaves ----------------------------------------------------------------------


class OddMeter:
    """A raw server whose every register holds its own address. ``behave`` says what happens to the n-th request."""

    def __init__(self, rtu: bool = False) -> None:
        self.rtu = rtu
        self.requests: list[tuple[int, int, int]] = []
        self.connections = 0
        self.behave: Callable[[int, int], str] = lambda number, address: "answer"
        self.late = asyncio.Event()
        self.asked = asyncio.Event()
        self._server: asyncio.Server | None = None

    async def listen(self, port: int) -> None:
        self._server = await asyncio.start_server(self._serve, HOST, port)

    async def close(self) -> None:
        assert self._server is not None
        self._server.close()
        self.late.set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                head = await reader.readexactly(0 if self.rtu else 6)
                body = await reader.readexactly(8 if self.rtu else 6)
                unit, function, address, count = struct.unpack(">BBHH", body[:6])
                self.requests.append((unit, address, count))
                self.asked.set()
                await self._react(writer, head[:2], (unit, function, address, count))
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async def _react(self, writer: asyncio.StreamWriter, tid: bytes, request: tuple[int, int, int, int]) -> None:
        unit, function, address, count = request
        what = self.behave(len(self.requests), address)
        if what == "silent":
            return
        if what == "close":
            writer.close()
            return
        if what == "late":
            await self.late.wait()
        given = count - 1 if what == "short" else count
        words = [address + i for i in range(given)]
        pdu = struct.pack(f">BB{given}H", function, 2 * given, *words)
        if what.startswith("exception"):
            pdu = bytes([function | 0x80, int(what.split()[1])])
        writer.write(self._frame(tid, bytes([unit]) + pdu))

    def _frame(self, tid: bytes, data: bytes) -> bytes:
        if self.rtu:
            return data + struct.pack("<H", crc(data))
        return tid + struct.pack(">HH", 0, len(data)) + data


def crc(data: bytes) -> int:
    value = 0xFFFF
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ (0xA001 if value & 1 else 0)
    return value


@asynccontextmanager
async def running(config: Config, maps: Path) -> AsyncIterator[MeterLog]:
    facts = MeterLog()
    shell = ModbusShell(config, LoopClock(), facts.submit, maps)
    await shell.start()
    try:
        yield facts
    finally:
        await shell.stop()


@asynccontextmanager
async def odd_meter(port: int, rtu: bool = False, **behaviour: Any) -> AsyncIterator[OddMeter]:
    meter = OddMeter(rtu)
    meter.behave = behaviour.get("behave", meter.behave)
    await meter.listen(port)
    try:
        yield meter
    finally:
        await meter.close()


def source(port: int, **more: Any) -> dict[str, Any]:
    """timeout_s: long, for meters that answer; a busy machine must not look like a silent one."""
    return {"port": port, "map": "tiny", "poll_s": 0.1, "timeout_s": 5.0, **more}


def never_shifted(facts: MeterLog) -> bool:
    return all(read.reading.current_a == (1.0, 2.0, 3.0) and read.reading.voltage_v == (201.0, 202.0, 203.0) for read in facts.of(MeterRead))


@pytest.mark.parametrize("framing", ["tcp", "rtu_over_tcp"])
async def test_f46_a_late_answer_is_never_taken_for_another(framing: str, free_port: int, tmp_path: Path) -> None:
    async with (
        odd_meter(free_port, rtu=framing == "rtu_over_tcp", behave=lambda number, _: "late" if number == 1 else "answer") as meter,
        running(site(source(free_port, framing=framing, timeout_s=0.2)), tiny(tmp_path)) as facts,
    ):
        await facts.until(lambda: bool(facts.failures))
        meter.late.set()
        await facts.until(lambda: len(facts.of(MeterRead)) >= 5)
    assert "did not answer within 0.2 s" in facts.failures[0]
    assert never_shifted(facts)
    assert meter.connections >= (2 if framing == "rtu_over_tcp" else 1)


async def test_f46_after_a_timeout_the_rtu_line_is_left_silent(free_port: int, tmp_path: Path) -> None:
    async with (
        odd_meter(free_port, rtu=True, behave=lambda number, _: "silent" if number == 1 else "answer") as meter,
        running(site(source(free_port, framing="rtu_over_tcp", poll_s=0.1, timeout_s=0.25)), tiny(tmp_path)) as facts,
    ):
        began_s = asyncio.get_running_loop().time() - 0.001  # the first question went out after this, however busy the machine is
        await facts.until(lambda: len(facts.of(MeterRead)) >= 1)
    assert facts.failures
    assert facts.of(MeterRead)[0].at.mono_s - began_s >= 0.5, "the timeout, and silence for as long again"
    assert meter.connections >= 2


async def test_f40_silence_fails_every_poll_and_the_meter_comes_back_by_itself(free_port: int, tmp_path: Path) -> None:
    async with (
        odd_meter(free_port, behave=lambda number, _: "silent" if number <= 4 else "answer") as meter,
        running(site(source(free_port, timeout_s=0.2)), tiny(tmp_path)) as facts,
    ):
        await facts.until(lambda: len(facts.of(MeterRead)) >= 2)
    told = [type(fact) for fact in facts.facts]
    assert told.index(MeterRead) >= 4, "each silent poll was a failure"
    assert meter.connections >= 2, "three silent polls: the socket may be half open"


async def test_f40_a_meter_that_appears_later_is_found(free_port: int, tmp_path: Path) -> None:
    async with running(site(source(free_port)), tiny(tmp_path)) as facts:
        await facts.until(lambda: bool(facts.failures))
        assert "does not accept the connection; next try in 1 s" in facts.failures[0]
        async with odd_meter(free_port):
            await facts.until(lambda: len(facts.of(MeterRead)) >= 1)
    assert never_shifted(facts)


@pytest.mark.parametrize("framing", ["tcp", "rtu_over_tcp"])
async def test_b41_a_short_answer_is_refused_and_the_connection_dropped(framing: str, free_port: int, tmp_path: Path) -> None:
    async with (
        odd_meter(free_port, rtu=framing == "rtu_over_tcp", behave=lambda number, _: "short" if number == 1 else "answer") as meter,
        running(site(source(free_port, framing=framing, timeout_s=1.0)), tiny(tmp_path)) as facts,
    ):
        await facts.until(lambda: len(facts.of(MeterRead)) >= 2)
    assert "sent 2 registers instead of 3" in facts.failures[0]
    assert never_shifted(facts)
    assert meter.connections == 2


async def test_a_meter_that_closes_the_connection_is_dialled_again(free_port: int, tmp_path: Path) -> None:
    async with (
        odd_meter(free_port, behave=lambda number, _: "close" if number == 1 else "answer") as meter,
        running(site(source(free_port)), tiny(tmp_path)) as facts,
    ):
        await facts.until(lambda: len(facts.of(MeterRead)) >= 1)
    assert "no answer" in facts.failures[0]
    assert meter.connections == 2


async def test_f47_a_refused_secondary_block_does_not_cost_the_currents(free_port: int, tmp_path: Path) -> None:
    async with (
        odd_meter(free_port, behave=lambda _, address: "exception 2" if address >= 200 else "answer") as meter,
        running(site(source(free_port)), tiny(tmp_path)) as facts,
    ):
        await facts.until(lambda: len(facts.of(MeterRead)) >= 3)
    reading = facts.of(MeterRead)[-1].reading
    assert (reading.quality, reading.current_a, reading.voltage_v) == (Quality.GOOD, (1.0, 2.0, 3.0), (None, None, None))
    assert sum(address >= 200 for _, address, _ in meter.requests) == 5, "cut to single registers once (3, 1, 2, 1, 1), then left alone"


async def test_f47_a_refused_current_fails_the_poll_with_the_device_s_word(free_port: int, tmp_path: Path) -> None:
    async with (
        odd_meter(free_port, behave=lambda _, address: "exception 6" if address < 200 else "answer"),
        running(site(source(free_port)), tiny(tmp_path)) as facts,
    ):
        await facts.until(lambda: len(facts.failures) >= 2)
    assert facts.failures[0] == "refused: device busy for 3 registers at 1"
    assert not facts.of(MeterRead)


async def test_a_current_that_is_not_there_costs_little_and_is_not_forgotten_when_it_is_needed(free_port: int, tmp_path: Path) -> None:
    """A meter of one phase refuses the currents of the others (F47). Wired to L1 alone its readings are good; else they are bad, not failed."""

    def has_l1_only(first: int, count: int) -> str:
        return "exception 2" if any(at in (2, 3) for at in range(first, first + count)) else "answer"

    for phases, quality in ((["L1"], Quality.GOOD), (["L1", "L2", "L3"], Quality.BAD)):
        async with odd_meter(free_port) as meter:
            meter.behave = lambda number, address, meter=meter: has_l1_only(address, meter.requests[number - 1][2])  # type: ignore[misc]
            config = site(source(free_port, poll_s=0.1))
            grid = config.grid.model_copy(update={"phases": 1})
            [one] = config.meters
            config = config.model_copy(update={"meters": (one.model_copy(update={"phases": tuple(phases)}),)})
            config = config.model_copy(update={"grid": grid}) if quality is Quality.GOOD else config
            async with running(config, tiny(tmp_path)) as facts:
                await facts.until(lambda facts=facts: len(facts.of(MeterRead)) >= 5)  # type: ignore[misc]
            asked = sum(1 for _, address, count in meter.requests if (address, count) == (3, 1))
        assert {fact.reading.quality for fact in facts.of(MeterRead)} == {quality}
        assert not facts.failures
        readings = len(facts.of(MeterRead))
        assert 1 <= asked <= readings / 4 if quality is Quality.GOOD else asked >= readings - 1


async def test_a_device_without_any_current_of_the_map_is_told_to_be_another(free_port: int, tmp_path: Path) -> None:
    async with (
        odd_meter(free_port, behave=lambda _, address: "exception 2" if address < 200 else "answer"),
        running(site(source(free_port)), tiny(tmp_path)) as facts,
    ):
        await facts.until(lambda: len(facts.failures) >= 2)
    assert facts.failures[1] == "refused: illegal address for 1 registers at 3; the device has none of the currents and powers of this map"


async def test_a_device_that_says_failure_to_long_reads_is_read_in_short_ones(free_port: int, tmp_path: Path) -> None:
    async with odd_meter(free_port) as meter:
        meter.behave = lambda number, _: "exception 4" if meter.requests[number - 1][2] > 1 else "answer"
        async with running(site(source(free_port)), tiny(tmp_path)) as facts:
            await facts.until(lambda: len(facts.of(MeterRead)) >= 2)
    assert never_shifted(facts)


async def test_a_device_that_takes_short_reads_only_is_learnt(free_port: int, tmp_path: Path) -> None:
    asked: list[int] = []

    async with odd_meter(free_port) as meter:
        meter.behave = lambda number, _: "exception 3" if meter.requests[number - 1][2] > 1 else "answer"
        async with running(site(source(free_port)), tiny(tmp_path)) as facts:
            await facts.until(lambda: len(facts.of(MeterRead)) >= 2)
            asked += [count for _, _, count in meter.requests]
    assert never_shifted(facts)
    assert asked[-6:] == [1, 1, 1, 1, 1, 1]


async def test_f50_a_slow_meter_is_polled_as_fast_as_it_can(free_port: int, tmp_path: Path) -> None:
    async with odd_meter(free_port) as meter:
        answer = meter._react

        async def slow(*args: Any) -> None:
            await asyncio.sleep(0.08)
            await answer(*args)

        meter._react = slow  # type: ignore[method-assign]
        async with running(site(source(free_port)), tiny(tmp_path)) as facts:
            await facts.until(lambda: len(facts.of(MeterRead)) >= 3)
    times = [fact.at.mono_s for fact in facts.of(MeterRead)]
    assert all(after - before >= 0.15 for before, after in pairwise(times)), "two blocks of 80 ms: every second beat"
    assert not facts.failures


async def test_f42_nan_is_a_bad_reading_not_a_zero(free_port: int) -> None:
    template = load_template(MAPS / "yardmaster_sim.yaml")
    image = image_of(template)
    image.update(enumerate((0x7FC0, 0), template.registers["i_l2"].address))
    async with simulator(free_port, image), running(site({"port": free_port, "map": "yardmaster_sim"}), MAPS) as facts:
        await facts.until(lambda: len(facts.of(MeterRead)) >= 1)
    reading = facts.of(MeterRead)[0].reading
    assert (reading.quality, reading.reason) == (Quality.BAD, "current of L2 is not available")


@pytest.mark.parametrize(("name", "address"), [("yardmaster_sim", 0), ("socomec_countis", 0xC353)])
async def test_f46_without_its_constant_a_device_is_not_believed(name: str, address: int, free_port: int) -> None:
    template = load_template(MAPS / f"{name}.yaml")
    image = image_of(template) | {address: 0x1234}
    async with simulator(free_port, image):
        meter = build_meters(site({"port": free_port, "map": name}), MAPS, Buses())[0]
        with pytest.raises(ReadingError, match="check map and unit id"):
            await meter.poll()


async def test_meters_behind_one_gateway_take_turns_and_a_dead_one_does_not_stop_the_others(free_port: int, tmp_path: Path) -> None:
    async with odd_meter(free_port) as meter:
        meter.behave = lambda number, _: "silent" if meter.requests[number - 1][0] == 2 else "answer"
        units = [source(free_port, unit=unit, timeout_s=0.2) for unit in (1, 2, 3)]
        async with running(site(*units), tiny(tmp_path)) as facts:
            await facts.until(lambda: all(sum(read.reading.meter_id == name for read in facts.of(MeterRead)) >= 8 for name in ("m0", "m2")))
    failed = [fact for fact in facts.facts if isinstance(fact, MeterFailed) and fact.meter_id == "m1"]
    assert "asked less often" in failed[-1].reason
    asked = Counter(unit for unit, _, _ in meter.requests)
    assert asked[2] <= asked[1] / 2, "a meter that keeps failing on a shared line is asked less often"
    assert never_shifted(facts)


async def test_the_gap_a_device_needs_is_kept(free_port: int, tmp_path: Path) -> None:
    times: list[float] = []

    def noted(_number: int, _address: int) -> str:
        times.append(asyncio.get_running_loop().time())
        return "answer"

    maps = tiny(tmp_path, TINY.replace("function: 3", "function: 3\nmin_gap_ms: 60"))
    async with odd_meter(free_port, behave=noted), running(site(source(free_port)), maps) as facts:
        await facts.until(lambda: len(facts.of(MeterRead)) >= 2)
    assert all(after - before >= 0.055 for before, after in pairwise(times))


async def test_a_defect_while_polling_is_reported_and_the_meter_is_read_again(
    free_port: int, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    facts = MeterLog()

    def submit(fact: Fact) -> None:
        facts.submit(fact)
        if len(facts.facts) == 1:
            raise ZeroDivisionError("a defect the poll did not expect")

    async with odd_meter(free_port):
        shell = ModbusShell(site(source(free_port)), LoopClock(), submit, tiny(tmp_path))
        await shell.start()
        await facts.until(lambda: len(facts.of(MeterRead)) >= 3)
        await shell.stop()
    assert caplog.text.count("'meter m0' failed") == 1
    assert [type(fact).__name__ for fact in facts.facts[:2]] == ["MeterRead", "MeterFailed"], "nobody may take a broken poll for a silent meter"


async def test_stopping_ends_within_a_moment_even_with_a_silent_meter(free_port: int, tmp_path: Path) -> None:
    async with odd_meter(free_port, behave=lambda *_: "silent") as meter:
        shell = ModbusShell(site(source(free_port, timeout_s=30.0)), LoopClock(), print, tiny(tmp_path))
        await shell.start()
        async with asyncio.timeout(5):
            await meter.asked.wait()
        async with asyncio.timeout(20):
            await shell.stop()
