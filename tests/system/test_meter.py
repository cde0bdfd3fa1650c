"""The grid meter falls silent in every way we know, shows nonsense, or shows too much: real Modbus server, real station.

F40 (silent), F42 (NaN), F47 (exceptions), P3 (over the fuse), P5.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from controller.paths import config_dir
from controller.sim.meter import SimMeters
from controller.sim.site import MeterValues
from tests.support.depot import FALLBACK_A, Depot, stations_config
from tests.support.yard import Yard, site, until

pytestmark = pytest.mark.system

FUSE_A = 63.0
LOST_S = 2.5


class House:
    """What hangs behind the meter: the cars and a building."""

    def __init__(self) -> None:
        self.building_a = 10.0
        self.cars_a: Callable[[], float] = lambda: 0.0
        self._turn = 0

    def values(self) -> MeterValues:
        self._turn = (self._turn + 1) % 5  # a real meter's last digits move
        amps = self.building_a + self.cars_a() + 0.01 * self._turn
        return MeterValues((amps, amps, amps))


class Scene:
    """One station charging behind a metered connection."""

    def __init__(self, yard: Yard, depot: Depot, meters: SimMeters, house: House) -> None:
        self.yard, self.depot, self.meters, self.house = yard, depot, meters, house
        self.port = meters.port

    async def mode(self) -> str:
        return str((await self.yard.state())["site"]["mode"])

    async def is_mode(self, mode: str) -> bool:
        return await self.mode() == mode

    async def source(self) -> dict[str, Any]:
        sources = (await self.yard.state())["site"]["sources"]
        return next(source for source in sources if source["name"] == "main")

    async def settled(self) -> bool:
        """The car draws all it may, its station and the meter have told so."""
        if self.setpoint_a() < 32 or self.depot.current_a < 32:
            return False
        now = (await self.yard.state())["site"]
        return bool(now["evses"][0]["current_a"][0] == 32 and now["grid"]["current_a"][0] > 41)

    def setpoint_a(self) -> float:
        return self.depot.stations[0].setpoint_a or 0.0


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    house = House()
    meters = SimMeters(config_dir() / "meters", {1: house.values})
    await meters.start()
    source = {"type": "modbus", "host": "127.0.0.1", "port": meters.port, "map": "yardmaster_sim", "poll_s": 0.5, "timeout_s": 0.5}
    control = {"meter_late_s": 1.2, "meter_lost_s": LOST_S, "setpoint_life_s": 20, "setpoint_renew_s": 8, "offline_hold_s": 20, "ramp_up_a_per_s": 20}
    data = site(
        tmp_path,
        grid={"fuse_a": FUSE_A, "worst_other_load_a": 40, "meter": "main"},
        stations=stations_config(),
        meters=[{"id": "main", "role": "grid", "source": source}],
        control=control,
    )
    async with Yard(tmp_path, data) as yard, Depot(yard.ocpp_url, sample_s=1.0) as depot:
        house.cars_a = lambda: depot.current_a
        await until(lambda: depot.stations[0].accepted)
        depot.plug_in()
        now = Scene(yard, depot, meters, house)
        await until(now.settled)
        assert await now.mode() == "normal"
        yield now
    await meters.stop()


async def silence(scene: Scene, begin: Callable[[], Awaitable[None]], stop: Callable[[], Awaitable[None]]) -> None:
    """Failsafe and the fallback on the wire; then back to normal after good readings. How fast, is tested where time is virtual."""
    began_s = scene.depot.mono_s
    await begin()
    await until(lambda: scene.is_mode("failsafe"), LOST_S + 10)
    failsafe_s = scene.depot.mono_s - began_s
    await until(lambda: scene.setpoint_a() == FALLBACK_A)
    held_s = scene.depot.mono_s - began_s
    await until(lambda: scene.depot.current_a == pytest.approx(FALLBACK_A))
    source = await scene.source()
    assert source["health"] == "lost"
    assert source["detail"]
    returned_s = scene.depot.mono_s
    await stop()
    await until(lambda: scene.is_mode("normal"))
    normal_s = scene.depot.mono_s - returned_s
    await until(lambda: scene.setpoint_a() >= 30)
    print(f"failsafe {failsafe_s:.1f} s, fallback on the wire {held_s:.1f} s; back to normal {normal_s:.1f} s")


async def test_its_port_closes(scene: Scene) -> None:
    await silence(scene, scene.meters.stop, lambda: scene.meters.start(scene.port))


async def test_exceptions_and_nan_are_silence_too(scene: Scene) -> None:
    async def silent(on: bool) -> None:
        scene.meters.silent = on

    async def building(amps: float) -> None:
        scene.house.building_a = amps

    await silence(scene, lambda: silent(True), lambda: silent(False))
    await silence(scene, lambda: building(math.nan), lambda: building(10.0))


async def test_over_the_fuse_cuts_at_once(scene: Scene) -> None:
    scene.house.building_a = 50.0
    began_s = scene.depot.mono_s
    await until(lambda: scene.setpoint_a() <= FUSE_A - 50.0)
    cut_s = scene.depot.mono_s - began_s
    print(f"over the fuse -> lower setpoint at the station after {cut_s:.2f} s with a poll every 0.5 s")
    assert scene.setpoint_a() >= FALLBACK_A  # what is left of the fuse is used
    await until(lambda: scene.depot.current_a + 50.0 <= FUSE_A)
    assert await scene.mode() == "normal"
    evse = (await scene.yard.state())["site"]["evses"][0]
    assert "fuse" in evse["reason"]
