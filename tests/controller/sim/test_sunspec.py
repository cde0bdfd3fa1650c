"""The simulated hybrid: commanded over TCP by the device class that commands real ones, with its clock in the test's hand."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest
from pymodbus.client import AsyncModbusTcpClient
from pymodbus.constants import ExcCodes
from sunspec2.modbus.client import SunSpecModbusClientDeviceTCP

from controller.config_base import ModbusLine
from controller.io.field.bus import Buses, RefusedError
from controller.io.field.sunspec_device import SunSpecDevice
from controller.sim.sunspec import Dress, SimHybrid, SimSunSpec
from meters.quality import Expectation
from meters.reading import Quality, Reading, ReadingError
from meters.sunspec_control import (
    BatteryState,
    Command,
    InverterState,
    confirmed,
    control_reads,
    limit_production,
    read_battery,
    read_inverter,
    release_battery,
    release_inverter,
    set_battery,
)
from meters.sunspec_models import Found, Picture
from meters.sunspec_values import Role, choose, reading

DRESSES: tuple[Dress, ...] = ("int", "float", "der")
dressed = pytest.mark.parametrize("dress", DRESSES)


@dataclass
class World:
    """The simulated device, our side of the line, and time."""

    sim: SimHybrid
    server: SimSunSpec
    device: SunSpecDevice
    line: ModbusLine
    now_s: float = 0.0

    def clock(self) -> float:
        return self.now_s

    async def after(self, seconds: float) -> Picture:
        """Let time pass, in small steps so that battery and ramp follow each other, then read all that controls need."""
        for _ in range(20):
            self.now_s += seconds / 20
            self.sim.advance()
        return await self.device.read(control_reads)

    async def inverter(self, seconds: float = 0.0) -> InverterState:
        return read_inverter(await self.after(seconds))

    async def battery(self, seconds: float = 0.0) -> BatteryState:
        return read_battery(await self.after(seconds))

    async def do(self, command: Command) -> bool:
        await self.device.carry_out(command)
        return confirmed(await self.device.read(control_reads), command)

    async def meter(self, role: Role) -> Reading:
        source = []

        def wanted(models: tuple[Found, ...]) -> tuple[tuple[Found, int], ...]:
            source.append(choose(models, role))
            return source[0].wanted

        picture = await self.device.read(wanted)
        return reading(role, picture, source[0], None, Expectation(63.0))


@asynccontextmanager
async def world(dress: Dress, one_client: bool = False, unreadable: frozenset[int] = frozenset()) -> AsyncIterator[World]:
    times = [0.0]
    sim = SimHybrid(dress, lambda: times[0] if made is None else made.now_s)
    made: World | None = None
    server, buses = SimSunSpec(sim, one_client=one_client, unreadable=unreadable), Buses()
    await server.start()
    line = ModbusLine(host="127.0.0.1", port=server.port, timeout_s=5)
    made = World(sim, server, SunSpecDevice(buses.of(line), line), line)
    try:
        yield made
    finally:
        await buses.close()
        await server.stop()


@dressed
async def test_the_meters_tell_one_story(dress: Dress) -> None:
    """Grid = other load - PV + battery, in three meters of one device."""
    async with world(dress) as it:
        it.sim.plant.own_w = 1500.0
        await it.after(10.0)
        grid, pv, battery = [await it.meter(role) for role in ("grid", "pv", "battery")]
    assert [item.quality for item in (grid, pv, battery)] == [Quality.GOOD] * 3
    assert pv.power_w == pytest.approx(-6000, abs=2)
    assert battery.power_w == pytest.approx(1500, abs=2)
    assert grid.power_w == pytest.approx(1000 - 6000 + 1500, abs=2)
    assert battery.soc_percent == pytest.approx(50.0, abs=0.2)


@dressed
async def test_a_limit_is_obeyed_and_ends_by_itself(dress: Dress) -> None:
    async with world(dress) as it:
        before = await it.after(10.0)
        command = limit_production(before, 2500.0, 60.0)
        assert command.ends_itself
        assert await it.do(command)
        obeyed = await it.inverter(10.0)
        assert (obeyed.steering, obeyed.limit_w) == (True, pytest.approx(2500, abs=10))
        assert obeyed.power_w == pytest.approx(-2500, abs=10)
        assert await it.do(limit_production(await it.after(40.0), 2500.0, 60.0))  # renewed: its life begins again
        assert (await it.inverter(40.0)).enabled
        free = await it.inverter(30.0)
        assert not free.enabled
        assert (await it.inverter(10.0)).power_w == pytest.approx(-6000, abs=10)


@dressed
async def test_release_of_the_inverter(dress: Dress) -> None:
    async with world(dress) as it:
        await it.do(limit_production(await it.after(5.0), 0.0, 60.0))
        assert (await it.inverter(5.0)).power_w == pytest.approx(0.0, abs=1)
        assert await it.do(release_inverter(await it.after(0.0)))
        assert (await it.inverter(5.0)).power_w == pytest.approx(-6000, abs=10)


@dressed
@pytest.mark.parametrize("watts", [2000.0, 0.0, -2000.0])
async def test_a_setpoint_is_obeyed_and_ends_by_itself(dress: Dress, watts: float) -> None:
    async with world(dress) as it:
        it.sim.plant.own_w = 700.0
        assert await it.do(set_battery(await it.after(10.0), watts, 60.0))
        state = await it.battery(10.0)
        assert (state.steering, state.command_w) == (True, pytest.approx(watts, abs=10))
        assert state.power_w == pytest.approx(watts, abs=10)
        ended = await it.battery(61.0)
        assert not ended.steering
        assert (await it.battery(10.0)).power_w == pytest.approx(700, abs=10)


@dressed
async def test_release_of_the_battery(dress: Dress) -> None:
    async with world(dress) as it:
        await it.do(set_battery(await it.after(5.0), 3000.0, 60.0))
        assert await it.do(release_battery(await it.after(5.0), grid_charging=False))
        assert not (await it.battery(0.0)).steering


async def test_a_full_battery_takes_nothing() -> None:
    async with world("int") as it:
        it.sim.plant.soc_percent = 100.0
        await it.do(set_battery(await it.after(1.0), 3000.0, 60.0))
        state = await it.battery(5.0)
        assert (state.steering, state.power_w) == (True, 0.0)


@dressed
async def test_nonsense_is_refused_whole(dress: Dress) -> None:
    """Read-only points, percentages beyond 100, unknown switches, halves of a number, points the device lacks."""
    async with world(dress) as it:
        await it.after(0.0)
        model = it.sim.models[704 if dress == "der" else 123].address
        refused = (
            [(model, 1, 2), (model + 15, 1001, 3), (model + 14, 2, 3), (model + 25, 1, 2), (model + 2, 1, 2)]
            if dress == "der"
            else [(model, 1, 2), (model + 5, 10_001, 3), (model + 9, 2, 3), (model + 23, 0, 2), (model + 15, 1, 2)]
        )
        peer = AsyncModbusTcpClient("127.0.0.1", port=it.server.port, retries=0)
        await peer.connect()
        before = dict(it.sim.image.words)
        for address, word, code in refused:
            answer = await peer.write_registers(address, [word], device_id=1)
            assert (address - model, answer.isError() and answer.exception_code) == (address - model, code)
        beyond = await peer.write_registers(model + 5, [0] * 12, device_id=1)  # writable and read-only points in one write
        peer.close()
    assert beyond.isError()
    changed = {at for at, word in it.sim.image.words.items() if before[at] != word}
    assert not changed & set(range(model, model + 20))


async def test_a_command_that_is_refused_half_way_is_on_the_safe_side() -> None:
    """The storage switch is refused: the rates stand, and nothing follows them."""
    async with world("int") as it:
        command = set_battery(await it.after(5.0), 3000.0, 60.0)
        usual = it.sim.write

        def write(address: int, words: list[int]) -> object:
            return ExcCodes.DEVICE_FAILURE if words == [3] else usual(address, words)

        it.sim.write = write  # type: ignore[method-assign, assignment]
        with pytest.raises(RefusedError):
            await it.device.carry_out(command)
        state = await it.battery(5.0)
        assert (state.steering, state.power_w) == (False, 0.0)


async def test_another_master_is_seen_in_the_registers() -> None:
    async with world("int") as it:
        command = limit_production(await it.after(5.0), 2500.0, 60.0)
        assert await it.do(command)
        it.sim.stubborn = {(123, "WMaxLimPct"): 70.0}
        picture = await it.after(5.0)
        assert not confirmed(picture, command)
        assert read_inverter(picture).limit_w == 7000.0


async def test_a_deaf_inverter_confirms_and_does_not_steer() -> None:
    async with world("int") as it:
        it.sim.deaf = True
        assert await it.do(limit_production(await it.after(5.0), 1000.0, 60.0))
        state = await it.inverter(5.0)
        assert (state.enabled, state.steering) == (True, False)


@dressed
async def test_night(dress: Dress) -> None:
    async with world(dress) as it:
        it.sim.night, it.sim.plant.pv_w = True, 0.0
        await it.after(10.0)
        pv, battery = await it.meter("pv"), await it.meter("battery")
    assert (pv.quality, pv.power_w) == (Quality.GOOD, None)
    assert (battery.quality, battery.power_w) == (Quality.GOOD, 0.0)


async def test_a_switch_of_its_dress_is_noticed() -> None:
    async with world("int") as it:
        before = await it.meter("grid")
        it.sim.wear("float")
        with pytest.raises(ReadingError, match="models moved"):
            await it.meter("grid")
        assert before.quality is Quality.GOOD
        assert (await it.meter("grid")).quality is Quality.GOOD


async def test_only_one_client_is_served() -> None:
    async with world("int", one_client=True) as it:
        await it.after(0.0)
        reader, writer = await asyncio.open_connection("127.0.0.1", it.server.port)
        async with asyncio.timeout(5):
            assert await reader.read(1) == b""
        writer.close()
        assert (await it.after(0.0)).words


@dressed
async def test_a_strangers_client_reads_and_commands_it(dress: Dress) -> None:
    """pysunspec2's own blocking client: what it finds are the same models, and its curtailment is obeyed."""

    def play(port: int) -> dict[str, object]:
        device = SunSpecModbusClientDeviceTCP(slave_id=1, ipaddr="127.0.0.1", ipport=port, timeout=5)
        try:
            device.scan()
            controls = device.models[704 if dress == "der" else 123][0]
            controls.WMaxLimPct.cvalue = 40.0
            (controls.WMaxLimPctEna if dress == "der" else controls.WMaxLim_Ena).value = 1
            controls.write()
            return {"models": [model.model_id for model in device.model_list], "maker": device.common[0].Mn.value}
        finally:
            device.close()

    async with world(dress) as it:
        found = await asyncio.to_thread(play, it.server.port)
        state = await it.inverter(10.0)
    assert found["maker"] == "Yardmaster"
    assert found["models"] == [model.model_id for model in it.sim.image.models]
    assert (state.limit_w, state.power_w) == (pytest.approx(4000), pytest.approx(-4000, abs=1))
