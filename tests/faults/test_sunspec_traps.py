"""SunSpec traps S1-S9 (ECOSYSTEM 3.1), each against a real pymodbus server over TCP and on a serial line, through the shell that polls it.

What the registers hold was encoded by pysunspec2 or seen on real devices, see ``tests/support/sunspec_images.py``.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from pymodbus.constants import ExcCodes

from controller.config import Config
from controller.facts import MeterRead
from controller.io.field import sunspec
from controller.io.field.bus import Buses, RefusedError
from controller.io.field.sunspec import SunSpecShell
from controller.io.field.sunspec_device import SunSpecDevice
from meters.reading import Quality, Reading
from meters.sunspec_control import Command, Write, control_reads, read_inverter
from meters.sunspec_models import Found
from tests.support.facts import LoopClock, MeterLog
from tests.support.sunspec_images import (
    FIMER_103,
    FIMER_VENDOR,
    SMA_120,
    SMA_123,
    SMA_124,
    SMA_160,
    SMA_DAY_101,
    SMA_NIGHT_101,
    SMA_OLD_103,
    Device,
    Wire,
    listed,
    model_words,
    serving,
)

COMMON = model_words(1, {"Mn": "Maker", "Md": "Model"})
SCALES = {"A_SF": -2, "V_SF": -1, "W_SF": 0, "Hz_SF": -2}
METER = model_words(203, SCALES | {"AphA": 1240, "AphB": 310, "AphC": 20, "W": 3618, "WphA": 2850, "WphB": 714, "WphC": 54, "Hz": 4998})


@pytest.fixture(params=["tcp", "rtu"])
def wire(request: pytest.FixtureRequest) -> Wire:
    """Modbus TCP, and RTU on a serial line."""
    kind: Wire = request.param
    return kind


class Seen(MeterLog):
    """What the shell submitted; a test waits for what it expects."""

    async def reading(self, *, after: int = 0, fits: Callable[[Reading], bool] = lambda reading: True) -> Reading:
        """The first reading behind so many facts that fits."""
        await self.until(lambda: any(fits(reading) for reading in self._readings(after)))
        return next(reading for reading in self._readings(after) if fits(reading))

    async def failure(self, word: str) -> str:
        await self.until(lambda: any(word in reason for reason in self.failures))
        return next(reason for reason in self.failures if word in reason)

    def _readings(self, after: int) -> list[Reading]:
        return [fact.reading for fact in self.facts[after:] if isinstance(fact, MeterRead)]


@asynccontextmanager
async def polling(device: Device, *meters: tuple[str, Mapping[str, Any]], poll_s: float = 0.1) -> AsyncIterator[Seen]:
    """The shell at work on one device. meters: role, and what else its source says."""
    sources = [
        {"id": f"m{number}", "role": role, "source": {"type": "sunspec", "poll_s": poll_s, **device.reached, **source}}
        for number, (role, source) in enumerate(meters)
    ]
    config = Config.model_validate({"site": {"id": "test"}, "grid": {"fuse_a": 63, "worst_other_load_a": 10}, "meters": sources})
    seen, buses = Seen(), Buses()
    shell = SunSpecShell(config, LoopClock(), seen.submit, buses)
    await shell.start()
    try:
        yield seen
    finally:
        await shell.stop()
        await buses.close()


@asynccontextmanager
async def site(
    wire: Wire,
    *models: Sequence[int | None],
    role: str = "grid",
    base: int = 40000,
    end: Sequence[int] = (0xFFFF, 0),
    code: ExcCodes | None = None,
    **source: Any,
) -> AsyncIterator[tuple[Device, Seen]]:
    async with (
        serving(listed(*models, base=base, end=end), code or ExcCodes.ILLEGAL_ADDRESS, wire) as device,
        polling(device, (role, source)) as seen,
    ):
        yield device, seen


async def test_s1_wrong_codes_of_absent_phases_are_never_believed(wire: Wire) -> None:
    async with site(wire, COMMON, SMA_OLD_103, role="pv") as (_, seen):
        got = await seen.reading()
    assert got.current_a == (-16.0, None, None)
    assert got.quality is Quality.GOOD


async def test_s1_at_the_grid_such_a_reading_is_bad_and_not_3276_a(wire: Wire) -> None:
    async with site(wire, COMMON, SMA_OLD_103, models=[103]) as (_, seen):
        got = await seen.reading()
    assert got.quality is Quality.BAD
    assert "L2 is not available" in got.reason


async def test_s2_enabled_with_nothing_while_producing_is_not_curtailed(wire: Wire) -> None:
    async with serving(listed(COMMON, SMA_DAY_101, SMA_120, SMA_123), wire=wire) as device:
        buses = Buses()
        state = read_inverter(await SunSpecDevice(buses.of(device.line()), device.line()).read(control_reads))
        await buses.close()
    assert (state.enabled, state.limit_w, state.power_w, state.steering) == (True, 0.0, -1080.0, False)


async def test_s3_at_night_nothing_is_known_and_nothing_is_wrong(wire: Wire) -> None:
    async with site(wire, COMMON, SMA_NIGHT_101, SMA_123, SMA_124, SMA_160, role="pv") as (_, seen):
        got = await seen.reading()
    assert (got.quality, got.power_w, got.frequency_hz) == (Quality.GOOD, None, None)


@pytest.mark.parametrize("length", [65, 66])
async def test_s4_both_lengths_of_model_1(wire: Wire, length: int) -> None:
    async with site(wire, [1, length, *COMMON[2 : length + 2]], METER) as (_, seen):
        assert (await seen.reading()).power_w == 3618.0


async def test_s5_unknown_models_are_skipped_by_their_length(wire: Wire) -> None:
    async with site(wire, COMMON, FIMER_103, *FIMER_VENDOR, [64412, 7, *[9] * 7], METER) as (_, seen):
        assert (await seen.reading()).power_w == 3618.0


@pytest.mark.parametrize("end", [(0, 0), (), (0xFFFF,), (0xFFFF, 0)], ids=["id 0", "nothing", "half a mark", "mark"])
@pytest.mark.parametrize("code", [ExcCodes.ILLEGAL_ADDRESS, ExcCodes.ILLEGAL_VALUE, ExcCodes.DEVICE_FAILURE])
async def test_s6_however_the_list_ends_what_was_found_is_kept(wire: Wire, end: tuple[int, ...], code: ExcCodes) -> None:
    async with site(wire, COMMON, METER, end=end, code=code) as (_, seen):
        assert (await seen.reading()).power_w == 3618.0


@pytest.mark.parametrize("code", [ExcCodes.ILLEGAL_ADDRESS, ExcCodes.ILLEGAL_VALUE, ExcCodes.DEVICE_FAILURE])
async def test_s7_unreadable_registers_cost_their_points_only(wire: Wire, code: ExcCodes) -> None:
    """VA, VAR and PF of the meter cannot be read; nor can one register of L3's power. The next polls do not ask for them."""
    holed: list[int | None] = [*METER]
    for offset in (*range(23, 28), 29, 33, 21):
        holed[offset] = None
    async with site(wire, COMMON, holed, code=code) as (device, seen):
        first = await seen.reading()
        count = len(seen.facts)
        device.asked.clear()
        second = await seen.reading(after=count)
    assert first.phase_power_w == second.phase_power_w == (2850.0, 714.0, None)
    assert (second.power_w, second.quality) == (3618.0, Quality.GOOD)
    start = 40070
    bad = {start + offset for offset in (*range(23, 28), 29, 33, 21)}
    assert device.asked
    assert not any(bad & set(range(address, address + words)) for address, words in device.asked)


async def test_s7_a_busy_device_is_no_unreadable_one(wire: Wire) -> None:
    async with site(wire, COMMON, METER) as (device, seen):
        await seen.reading()
        device.busy = True
        await seen.failure("busy")
        device.busy, count = False, len(seen.facts)
        assert (await seen.reading(after=count)).phase_power_w == (2850.0, 714.0, 54.0)


async def test_s8_a_switch_from_integers_to_floats_while_running(wire: Wire) -> None:
    """The same addresses suddenly hold another model, and everything behind it has moved."""
    before = listed(COMMON, model_words(103, SCALES | {"W": 5000, "St": 4}), METER)
    floats = model_words(213, {"AphA": 3.0, "AphB": 3.0, "AphC": 3.0, "W": 2070.0, "WphA": 690.0, "WphB": 690.0, "WphC": 690.0})
    later = listed(COMMON, model_words(113, {"W": 4000.0, "St": 4}), floats)
    async with serving(before, wire=wire) as device, polling(device, ("grid", {}), ("pv", {})) as seen:
        await seen.reading(fits=lambda reading: reading.power_w == 3618.0)
        await seen.reading(fits=lambda reading: reading.power_w == -5000.0)
        count = len(seen.facts)
        device.words.clear()
        device.words.update(later)
        await seen.reading(after=count, fits=lambda reading: reading.power_w == 2070.0)
        await seen.reading(after=count, fits=lambda reading: reading.power_w == -4000.0)
        told = {fact.reading.power_w for fact in seen.facts if isinstance(fact, MeterRead) and fact.reading.quality is not Quality.BAD}
    assert told == {3618.0, -5000.0, 2070.0, -4000.0}


@pytest.mark.parametrize("base", [40000, 50000, 0])
async def test_s9_the_base_is_looked_for(wire: Wire, base: int) -> None:
    async with site(wire, COMMON, METER, base=base) as (_, seen):
        assert (await seen.reading()).power_w == 3618.0


async def test_s9_a_device_that_does_not_even_refuse_the_first_base(wire: Wire) -> None:
    """Some are silent where nothing is: the next search begins at the next base."""
    async with serving(listed(COMMON, METER, base=50000), wire=wire) as device:
        usual, never = device.serve, asyncio.Event()

        async def serve(function: int, start: int, address: int, count: int, registers: list[int], values: Any) -> ExcCodes | None:
            if address == 40000:
                await never.wait()
            return await usual(function, start, address, count, registers, values)

        device.serve = serve  # type: ignore[method-assign]
        async with polling(device, ("grid", {"timeout_s": 0.2})) as seen:
            assert (await seen.reading()).power_w == 3618.0
        never.set()


async def test_solaredge_export_is_positive(wire: Wire) -> None:
    async with site(wire, COMMON, METER, sign="export") as (_, seen):
        got = await seen.reading()
    assert (got.power_w, got.current_a) == (-3618.0, pytest.approx((-12.4, -3.1, -0.2)))


async def test_no_sunspec_is_said_and_not_asked_for_all_the_time(wire: Wire) -> None:
    async with serving({100: 1}, wire=wire) as device, polling(device, ("grid", {})) as seen:
        assert "no list of models at 40000, 50000, 0" in await seen.failure("no SunSpec")
        await seen.failure("searched again in")


async def test_a_missing_model_is_said(wire: Wire) -> None:
    async with site(wire, COMMON, SMA_DAY_101) as (_, seen):
        assert "no model of 201" in await seen.failure("model missing")


async def test_two_meters_of_one_unit_share_one_connection_and_what_is_known(wire: Wire) -> None:
    words = listed(COMMON, METER, model_words(103, SCALES | {"W": 5000, "St": 4}))
    async with serving(words, wire=wire) as device, polling(device, ("grid", {}), ("pv", {})) as seen:
        await seen.reading(fits=lambda reading: reading.power_w == 3618.0)
        await seen.reading(fits=lambda reading: reading.power_w == -5000.0)
    marks = [asked for asked in device.asked if asked == (40000, 2)]
    assert len(marks) <= 2  # one search, or two that began together


async def test_s7_what_was_refused_for_a_moment_comes_back(wire: Wire) -> None:
    """A grid meter that refuses a phase's current is bad; it is asked again although it had refused."""
    async with serving(listed(COMMON, METER), wire=wire) as device:
        word, device.words[40070 + 3] = device.words[40070 + 3], None
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sunspec, "ASK_AGAIN_S", 0.2)
            async with polling(device, ("grid", {})) as seen:
                await seen.reading(fits=lambda reading: reading.quality is Quality.BAD)
                device.words[40070 + 3] = word
                got = await seen.reading(fits=lambda reading: reading.quality is Quality.GOOD)
    assert got.current_a[0] == pytest.approx(12.4)


async def test_after_a_new_connection_everything_is_asked_for_again(wire: Wire) -> None:
    holed = [*METER[:23], None, *METER[24:]]
    async with serving(listed(COMMON, holed), wire=wire) as device:
        buses = Buses()
        bus = buses.of(device.line())
        peer = SunSpecDevice(bus, device.line())

        def wanted(models: tuple[Found, ...]) -> tuple[tuple[Found, int], ...]:
            return ((models[1], 55),)

        await peer.read(wanted)
        device.asked.clear()
        await peer.read(wanted)
        assert (40070, 55) not in device.asked
        device.words[40070 + 23] = 7
        bus.drop()
        picture = await peer.read(wanted)
        await buses.close()
    assert picture.words[40070 + 23] == 7


async def test_a_command_does_without_what_is_optional(wire: Wire) -> None:
    async with serving(listed(COMMON, METER), wire=wire) as device:
        buses = Buses()
        peer = SunSpecDevice(buses.of(device.line()), device.line())
        writes = (Write(40073, (1,)), Write(60_000, (1,), optional=True), Write(40074, (2,)))
        await peer.carry_out(Command(123, writes, {}, None, False))
        with pytest.raises(RefusedError):
            await peer.carry_out(Command(123, (Write(60_000, (1,)), Write(40073, (3,))), {}, None, False))
        await buses.close()
    assert device.written == [(40073, [1]), (40074, [2])]
