"""Meters that fail on the wire, F40-F50 by number: through the Modbus shell over TCP and over serial ports."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from controller.config import Config
from controller.io.field import bus as bus_module
from controller.io.field.bus import Buses
from controller.io.field.modbus import ModbusShell
from controller.paths import config_dir
from meters.reading import Quality
from meters.template import load_template
from tests.support.facts import LoopClock, MeterLog
from tests.support.modbus_lines import HOST, Asked, RawDevice, Say, raw_over_tcp, raw_serial, rtu_frame
from tests.support.register_images import Truth, image_of

MAPS = config_dir() / "meters"
WIRES = ("tcp", "rtu_over_tcp", "rtu")
Behave = Callable[[RawDevice, Asked], list[Say] | None]


class Meter:
    """A meter made from a map, on the wire. image: its registers, to be changed at will."""

    def __init__(self, name: str, truth: Truth | None = None) -> None:
        self.template = load_template(MAPS / f"{name}.yaml")
        self.name = name
        self.image = image_of(self.template, truth)
        self.extra: Behave | None = None
        self.asked = 0

    def behave(self, device: RawDevice, asked: Asked) -> list[Say] | None:
        self.asked += 1
        said = self.extra(device, asked) if self.extra is not None else None
        return [(0.0, self.right(device, asked))] if said is None else said

    def right(self, device: RawDevice, asked: Asked) -> bytes:
        words = [self.image.get(asked.address + at) for at in range(asked.count)]
        if None in words or asked.function != self.template.function:
            return device.exception(asked, 2)
        return device.words(asked, [word for word in words if word is not None])


@asynccontextmanager
async def read_over(wire: str, port: int, meter: Meter, **source: Any) -> AsyncIterator[tuple[MeterLog, RawDevice]]:
    """The Modbus shell reading a meter every 0.1 s. The timeout is long where silence is not what is tested: a busy machine is no silent meter."""

    @asynccontextmanager
    async def shell(**place: Any) -> AsyncIterator[MeterLog]:
        told = MeterLog()
        settings = {"type": "modbus", "framing": wire, "map": meter.name, "poll_s": 0.1, "timeout_s": 5.0, "baud": 115_200, **place, **source}
        config = Config.model_validate(
            {
                "site": {"id": "test"},
                "grid": {"fuse_a": 63, "worst_other_load_a": 10, "meter": "main"},
                "meters": [{"id": "main", "role": "grid", "source": settings}],
            }
        )
        shell = ModbusShell(config, LoopClock(), told.submit, MAPS, Buses())
        await shell.start()
        try:
            yield told
        finally:
            await shell.stop()

    if wire == "rtu":
        with raw_serial(meter.behave) as (path, device):
            async with shell(device=path) as told:
                yield told, device
    else:
        async with raw_over_tcp(port, wire == "rtu_over_tcp", meter.behave) as device, shell(host=HOST, port=port) as told:
            yield told, device


# -- F40 --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wire", WIRES)
async def test_f40_a_meter_that_falls_silent_is_told_each_beat_and_nothing_old_is_repeated(wire: str, free_port: int) -> None:
    meter = Meter("janitza_umg96")
    async with read_over(wire, free_port, meter, timeout_s=0.1) as (told, _):
        await told.until(lambda: len(told.readings) >= 2)
        meter.extra = lambda device, asked: []
        so_far = len(told.failures)
        await told.until(lambda: len(told.failures) >= so_far + 2)
        before = len(told.readings)
        await told.until(lambda: len(told.failures) >= so_far + 4)
        assert len(told.readings) == before
        meter.extra = None
        await told.until(lambda: len(told.readings) > before)
    assert told.readings[-1].quality is Quality.GOOD


async def test_f40_a_serial_adapter_that_is_pulled_and_put_back_is_opened_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bus_module, "BACKOFF_MIN_S", 0.05)
    monkeypatch.setattr(bus_module, "BACKOFF_MAX_S", 0.1)
    meter, told, port = Meter("janitza_umg96"), MeterLog(), tmp_path / "ttyUSB0"
    source = {"type": "modbus", "framing": "rtu", "map": meter.name, "poll_s": 0.1, "timeout_s": 0.1, "baud": 115_200, "device": str(port)}
    config = Config.model_validate(
        {
            "site": {"id": "test"},
            "grid": {"fuse_a": 63, "worst_other_load_a": 10, "meter": "main"},
            "meters": [{"id": "main", "role": "grid", "source": source}],
        }
    )
    shell = ModbusShell(config, LoopClock(), told.submit, MAPS, Buses())
    with raw_serial(meter.behave) as (path, _):
        port.symlink_to(path)
        await shell.start()
        await told.until(lambda: len(told.readings) >= 2)
        port.unlink()
    await told.until(lambda: any("is not there" in text for text in told.failures))
    count = len(told.readings)
    with raw_serial(meter.behave) as (path, _):
        port.symlink_to(path)
        await told.until(lambda: len(told.readings) > count)
        await shell.stop()
    assert told.readings[-1].quality is Quality.GOOD


# -- F41 --------------------------------------------------------------------------------------------------------


async def test_f41_each_reading_is_asked_for_and_none_is_made_up(free_port: int) -> None:
    """A stuck meter is judged by the site over time; the shell must not be what makes one."""
    meter = Meter("janitza_umg96")
    async with read_over("tcp", free_port, meter) as (told, device):
        await told.until(lambda: len(told.readings) >= 4)
    assert abs(len(device.asked) - len(told.readings)) <= 1, "one block, one reading"


async def test_f41_an_inverter_that_has_lost_its_meter_says_so_and_its_old_numbers_are_silence(free_port: int) -> None:
    """Huawei: meter_status (37100) is 0 then, the registers keep their last values."""
    meter = Meter("huawei_sun2000_meter")
    async with read_over("tcp", free_port, meter, poll_s=0.2) as (told, _):
        await told.until(lambda: len(told.readings) >= 1)
        assert told.readings[0].quality is Quality.GOOD
        meter.image[37100] = 0
        await told.until(lambda: len(told.failures) >= 1)
        count = len(told.readings)
        assert told.failures == ["no value: the inverter has lost its meter"] * len(told.failures)
        meter.image[37100] = 1
        await told.until(lambda: len(told.readings) > count)


async def test_f47_a_device_without_the_register_of_its_state_is_read_without_it(free_port: int) -> None:
    meter = Meter("huawei_sun2000_meter")
    del meter.image[37100]
    async with read_over("tcp", free_port, meter) as (told, _):
        await told.until(lambda: len(told.readings) >= 1)
    assert told.readings[0].quality is Quality.GOOD


# -- F42 --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wire", "name", "words"),
    [
        ("tcp", "janitza_umg96", (0x7FC0, 0x0000)),
        ("rtu", "abb_b23", (0xFFFF, 0xFFFF)),
        ("rtu_over_tcp", "carlo_gavazzi_em340", (0xFFFF, 0x7FFF)),
        ("tcp", "huawei_sun2000_meter", (0x7FFF, 0xFFFF)),
    ],
)
async def test_f42_codes_for_not_available_are_a_bad_reading_and_no_number(wire: str, name: str, words: tuple[int, int], free_port: int) -> None:
    meter = Meter(name)
    meter.template = meter.template.model_copy(update={"connect_delay_ms": 0})
    meter.image |= dict(enumerate(words, meter.template.registers["i_l2"].address))
    async with read_over(wire, free_port, meter) as (told, _):
        await told.until(lambda: len(told.readings) >= 1)
    reading = told.readings[0]
    assert (reading.quality, reading.reason) == (Quality.BAD, "current of L2 is not available")
    assert reading.current_a[1] is None


# -- F43, F44, F45 ----------------------------------------------------------------------------------------------

EXPORTING = Truth(current_a=(-12.4, 7.1, -20.3), phase_power_w=(-2840.0, 1620.0, -4650.0))


@pytest.mark.parametrize(
    "name", ["janitza_umg96", "kostal_ksem", "carlo_gavazzi_em340", "huawei_sun2000_meter", "solaredge_meter", "victron_gx_grid"]
)
async def test_f43_a_phase_that_exports_is_negative_whatever_the_device_writes(name: str, free_port: int) -> None:
    """Magnitudes, pairs of import and export, signs the other way round, signed currents: all come in as one convention."""
    async with read_over("tcp", free_port, Meter(name, EXPORTING)) as (told, _):
        await told.until(lambda: len(told.readings) >= 1)
    reading = told.readings[0]
    assert reading.quality is Quality.GOOD, reading.reason
    assert reading.current_a == pytest.approx(EXPORTING.current_a, abs=0.06)
    assert reading.power_w == pytest.approx(EXPORTING.power_w, abs=1.5)


async def test_f43_currents_without_the_sign_their_map_promises_are_suspect(free_port: int) -> None:
    meter = Meter("victron_gx_grid", EXPORTING)
    for phase in ("l1", "l3"):
        address = meter.template.registers[f"i_{phase}"].address
        meter.image[address] = -struct.unpack(">h", meter.image[address].to_bytes(2, "big"))[0]
    async with read_over("tcp", free_port, meter) as (told, _):
        await told.until(lambda: len(told.readings) >= 1)
    assert (told.readings[0].quality, told.readings[0].reason.count("opposite directions")) == (Quality.SUSPECT, 2)


async def test_f44_a_phase_that_is_not_wired_is_bad_for_a_meter_that_guards_it(free_port: int) -> None:
    lost = Truth(voltage_v=(231.0, 0.0, 230.4), current_a=(12.4, 0.0, 20.3), phase_power_w=(2840.0, 0.0, 4650.0))
    async with read_over("tcp", free_port, Meter("janitza_umg96", lost)) as (told, _):
        await told.until(lambda: len(told.readings) >= 1)
    assert (told.readings[0].quality, told.readings[0].reason) == (Quality.BAD, "voltage of L2 is 0 V")


@pytest.mark.parametrize(("factor", "quality"), [(10.0, Quality.SUSPECT), (100.0, Quality.BAD)])
async def test_f45_power_of_another_scale_than_the_current_is_not_good(factor: float, quality: Quality, free_port: int) -> None:
    scaled = Truth(phase_power_w=(factor * 2840.0, factor * 1620.0, factor * 4650.0))
    async with read_over("tcp", free_port, Meter("kostal_ksem", scaled)) as (told, _):
        await told.until(lambda: len(told.readings) >= 1)
    assert told.readings[0].quality is quality
    assert "shows" in told.readings[0].reason or "ten fuses" in told.readings[0].reason


# -- F46 --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wire", WIRES)
async def test_f46_answers_that_come_late_again_and_again_never_shift_a_reading(wire: str, free_port: int) -> None:
    """Two blocks; every third answer comes after the timeout, often while the other block is asked."""
    meter = Meter("siemens_pac2200")

    def late(device: RawDevice, asked: Asked) -> list[Say] | None:
        return [(0.12, meter.right(device, asked))] if asked.number % 3 == 0 else None

    meter.extra = late
    async with read_over(wire, free_port, meter, timeout_s=0.08) as (told, _):
        await told.until(lambda: len(told.readings) >= 3 and len(told.failures) >= 2)
    assert all(reading.quality is Quality.GOOD and reading.current_a == pytest.approx((12.4, 7.1, 20.3)) for reading in told.readings)


# -- F47 --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize(
    ("code", "text"), [(4, "device failure"), (6, "device busy"), (10, "gateway has no path"), (11, "gateway: device does not answer")]
)
async def test_f47_a_refusal_is_told_in_words_and_the_next_answer_counts_again(wire: str, code: int, text: str, free_port: int) -> None:
    """Refused until a poll has ended with it: after a 4 the reader first tries shorter reads, and gives up where none can be cut any more."""
    meter = Meter("janitza_umg96")
    meter.extra = lambda device, asked: [(0.0, device.exception(asked, code))]
    async with read_over(wire, free_port, meter) as (told, _):
        await told.until(lambda: len(told.failures) >= 1)
        assert not told.readings
        meter.extra = None
        await told.until(lambda: len(told.readings) >= 1)
    assert all(text in said for said in told.failures)
    assert told.readings[0].quality is Quality.GOOD


@pytest.mark.parametrize("wire", WIRES)
async def test_f47_a_device_that_calls_long_reads_its_failure_is_read_in_shorter_ones_and_nothing_is_missing(wire: str, free_port: int) -> None:
    meter = Meter("janitza_umg96")
    whole = max(block.length for block in meter.template.plan())
    meter.extra = lambda device, asked: [(0.0, device.exception(asked, 4))] if asked.count == whole else None
    async with read_over(wire, free_port, meter) as (told, _):
        await told.until(lambda: len(told.readings) >= 2)
    assert not told.failures
    assert all(reading.quality is Quality.GOOD and None not in (*reading.current_a, *reading.phase_power_w) for reading in told.readings)


# -- F48 --------------------------------------------------------------------------------------------------------


async def test_f48_a_meter_that_reboots_is_away_then_busy_then_back_and_looked_at_anew(free_port: int) -> None:
    """It hangs up, refuses for a moment, and comes back with its counters at 0: readings go on, and its constant is checked again."""
    meter = Meter("socomec_countis")
    probes: list[int] = []

    def reboots(device: RawDevice, asked: Asked) -> list[Say] | None:
        if asked.address == 0xC350:
            probes.append(asked.number)
        if asked.number == 8:
            meter.image |= dict.fromkeys(range(0xC702, 0xC70A), 0)
            return [(0.0, b"")]
        return [(0.0, device.exception(asked, 4))] if 8 < asked.number <= 10 else None

    meter.extra = reboots
    async with read_over("tcp", free_port, meter) as (told, device):
        await told.until(lambda: bool(told.failures) and told.readings[-1].energy_import_wh == 0)
    assert told.readings[0].energy_import_wh == pytest.approx(4_200_000)
    assert told.readings[-1].quality is Quality.GOOD
    assert device.connections == 2
    assert len(probes) >= 2, "the constant is read on every new connection"


async def test_f48_another_device_at_the_same_address_after_a_swap_is_refused(free_port: int) -> None:
    meter = Meter("socomec_countis")
    async with read_over("tcp", free_port, meter) as (told, _):
        await told.until(lambda: len(told.readings) >= 1)
        meter.image[0xC350] = 0x0041
        meter.extra = lambda device, asked: [(0.0, b"")] if not told.failures else None
        await told.until(lambda: any("wrong device" in text for text in told.failures))


# -- F49 --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wire", ["rtu", "rtu_over_tcp"])
async def test_f49_answers_to_a_second_master_on_the_bus_are_not_ours(wire: str, free_port: int) -> None:
    """Between our question and our answer the bus carries another master's traffic: other units, other functions, other lengths, halves."""
    meter = Meter("janitza_umg96")
    foreign = [
        rtu_frame(struct.pack(">BBBHH", 2, 3, 4, 9, 9)),
        rtu_frame(struct.pack(">BBBHH", 1, 4, 4, 9, 9)),
        rtu_frame(struct.pack(">BBHH", 2, 3, 19_000, 2)),
        rtu_frame(struct.pack(">BBBHH", 2, 3, 4, 9, 9))[:5],
    ]
    meter.extra = lambda device, asked: [(0.0, foreign[asked.number % len(foreign)] + meter.right(device, asked))]
    async with read_over(wire, free_port, meter) as (told, _):
        await told.until(lambda: len(told.readings) >= 6)
    assert all(reading.quality is Quality.GOOD for reading in told.readings)
    assert not told.failures


@pytest.mark.parametrize("wire", ["rtu", "rtu_over_tcp"])
async def test_f49_the_same_unit_s_answer_to_the_other_master_is_refused_by_its_length(wire: str, free_port: int) -> None:
    meter = Meter("janitza_umg96")

    def theirs(device: RawDevice, asked: Asked) -> list[Say] | None:
        return [(0.0, device.words(asked, [9, 9]) + meter.right(device, asked))] if asked.number % 3 == 1 else None

    meter.extra = theirs
    async with read_over(wire, free_port, meter, timeout_s=0.3) as (told, _):
        await told.until(lambda: len(told.readings) >= 3)
    assert any("sent 2 registers instead of" in text for text in told.failures)
    assert all(reading.current_a == pytest.approx((12.4, 7.1, 20.3)) for reading in told.readings)


async def test_f49_a_device_that_takes_one_client_only_and_has_it_already_is_told(free_port: int) -> None:
    """It accepts and hangs up at once; nothing spins, and when the other client goes it is read."""
    taken = asyncio.Event()
    taken.set()
    meter = Meter("kostal_ksem")
    meter.extra = lambda device, asked: [(0.0, b"")] if taken.is_set() else None
    async with read_over("tcp", free_port, meter) as (told, device):
        await told.until(lambda: len(told.failures) >= 3)
        assert device.connections <= len(told.failures) + 1
        taken.clear()
        await told.until(lambda: len(told.readings) >= 1)
    assert "closed the connection" in told.failures[0]


# -- F50 --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wire", WIRES)
async def test_f50_a_slow_meter_skips_beats_and_loses_nothing(wire: str, free_port: int) -> None:
    meter = Meter("janitza_umg96")
    meter.extra = lambda device, asked: [(0.13, meter.right(device, asked))]
    async with read_over(wire, free_port, meter) as (told, device):
        await told.until(lambda: len(told.readings) >= 4)
    assert not told.failures
    assert abs(len(device.asked) - len(told.readings)) <= 1, "no question is put on top of another"


# -- B41 --------------------------------------------------------------------------------------------------------


def _fewer(device: RawDevice, asked: Asked) -> bytes:
    return device.words(asked, [9] * (asked.count - 1))


def _more(device: RawDevice, asked: Asked) -> bytes:
    return device.words(asked, [9] * (asked.count + 2))


def _another_unit(device: RawDevice, asked: Asked) -> bytes:
    return device.frame(asked, struct.pack(f">BB{asked.count}H", asked.function, 2 * asked.count, *[9] * asked.count), unit=asked.unit + 1)


def _another_function(device: RawDevice, asked: Asked) -> bytes:
    return device.frame(asked, struct.pack(f">BB{asked.count}H", 7 - asked.function, 2 * asked.count, *[9] * asked.count))


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("wrong", [_fewer, _more, _another_unit, _another_function])
async def test_b41_an_answer_of_another_shape_is_never_read_and_the_next_one_counts(
    wire: str, wrong: Callable[[RawDevice, Asked], bytes], free_port: int
) -> None:
    """Of every third answer the shape is wrong and each of its registers 9: no reading holds any of them."""
    meter = Meter("janitza_umg96")
    meter.extra = lambda device, asked: [(0.0, wrong(device, asked))] if asked.number % 3 == 1 else None
    async with read_over(wire, free_port, meter, timeout_s=0.2) as (told, _):
        await told.until(lambda: len(told.readings) >= 3 and len(told.failures) >= 1)
    assert all(reading.quality is Quality.GOOD for reading in told.readings)
    assert all(reading.current_a == pytest.approx((12.4, 7.1, 20.3)) for reading in told.readings)
