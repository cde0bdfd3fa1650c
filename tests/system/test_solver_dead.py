"""The solver dies whenever it starts: setpoints come by rules, the page says so, the guard cuts all the same (F60, P3, P5)."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from controller.io.tasks import end, spawn
from controller.paths import config_dir
from controller.sim.meter import SimMeters
from controller.sim.site import MeterValues
from tests.support.depot import FALLBACK_A, Depot, stations_config
from tests.support.yard import Yard, site, until

pytestmark = pytest.mark.system

FUSE_A = 63.0


def children_with(pid: int, word: bytes) -> list[int]:
    """Children of a process whose command line contains a word."""
    found = []
    for entry in Path("/proc").iterdir():
        with suppress(OSError, ValueError):
            parent = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
            if parent == pid and word in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
    return found


@asynccontextmanager
async def dying_solver(yard: Yard) -> AsyncIterator[list[int]]:
    """Kill every solver child as soon as it is seen; gives those killed."""
    killed: list[int] = []

    async def hunt() -> None:
        assert yard.process is not None
        while True:
            for child in children_with(yard.process.pid, b"optimizer"):
                with suppress(ProcessLookupError):
                    os.kill(child, signal.SIGKILL)
                    killed.append(child)
            await asyncio.sleep(0.02)

    task = spawn(hunt(), "hunt")
    try:
        yield killed
    finally:
        await end([task])


async def solver(yard: Yard) -> dict[str, Any]:
    sources = (await yard.state())["site"]["sources"]
    return next(source for source in sources if source["name"] == "solver")


async def is_solver(yard: Yard, health: str) -> bool:
    return (await solver(yard))["health"] == health


async def test_charging_goes_on_by_rules_and_the_guard_cuts(tmp_path: Path) -> None:
    building, turn = [10.0], [0]
    async with _metered(tmp_path, building, turn) as (yard, depot), dying_solver(yard) as killed:
        await until(lambda: all(station.accepted for station in depot.stations))
        depot.plug_in(0)
        depot.plug_in(1)
        await until(lambda: all(depot.offer_a(number) > FALLBACK_A for number in range(2)))
        await until(lambda: depot.current_a > 40)
        await until(lambda: is_solver(yard, "lost"), 30)
        told = await solver(yard)
        assert told["detail"]
        state = (await yard.state())["site"]
        assert state["mode"] == "normal"
        assert all(evse["reason"] and evse["reason"] != "plan" for evse in state["evses"])
        await until(lambda: len(set(killed)) >= 3, 30)

        building[0] = 45.0
        began_s = depot.mono_s
        await until(lambda: sum(station.setpoint_a or 0.0 for station in depot.stations) <= FUSE_A - 45.0)
        cut_s = depot.mono_s - began_s
        print(f"solver killed {len(set(killed))} times; over the fuse -> lower setpoints after {cut_s:.2f} s; page: {told['detail']}")
        await until(lambda: depot.current_a + 45.0 <= FUSE_A)


async def test_the_solver_comes_back_when_left_alone(tmp_path: Path) -> None:
    building, turn = [10.0], [0]
    async with _metered(tmp_path, building, turn) as (yard, depot):
        async with dying_solver(yard) as killed:
            await until(lambda: depot.stations[0].accepted)
            depot.plug_in(0)
            await until(lambda: is_solver(yard, "lost"), 30)
        assert killed
        await until(lambda: is_solver(yard, "good"), 40)
        assert (await yard.state())["site"]["plan"] is not None


@asynccontextmanager
async def _metered(folder: Path, building: list[float], turn: list[int]) -> AsyncIterator[tuple[Yard, Depot]]:
    """Two stations behind a meter; ``building[0]`` is what else draws."""

    def values() -> MeterValues:
        turn[0] = (turn[0] + 1) % 5
        amps = building[0] + cars[0].current_a + 0.01 * turn[0] if cars else building[0]
        return MeterValues((amps, amps, amps))

    cars: list[Depot] = []
    meters = SimMeters(config_dir() / "meters", {1: values})
    await meters.start()
    source = {"type": "modbus", "host": "127.0.0.1", "port": meters.port, "map": "yardmaster_sim", "poll_s": 0.5}
    control = {"plan_every_s": 1, "solver_deadline_s": 3, "setpoint_life_s": 20, "setpoint_renew_s": 8, "offline_hold_s": 20, "ramp_up_a_per_s": 20}
    grid = {"fuse_a": FUSE_A, "worst_other_load_a": 40, "meter": "main"}
    meter = {"id": "main", "role": "grid", "source": source}
    data = site(folder, grid=grid, stations=stations_config(2), meters=[meter], control=control)
    async with Yard(folder, data) as yard, Depot(yard.ocpp_url, 2, sample_s=1.0) as depot:
        cars.append(depot)
        yield yard, depot
    await meters.stop()
