"""A whole controller at a SunSpec site: discovered meters in, the same numbers out of its own Modbus server, found there by a stranger."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sunspec2.modbus.client import SunSpecModbusClientDeviceTCP

from controller.app import App, Part, build_neighbours
from controller.config import Config
from controller.io.clock import Clock
from controller.sim.sunspec import Dress, SimHybrid, SimSunSpec

SENSES = ("sunspec", "modbus server", "modbus")


def site(folder: Path, port: int) -> Config:
    source = {"type": "sunspec", "host": "127.0.0.1", "port": port, "poll_s": 0.2}
    return Config.model_validate(
        {
            "site": {"id": "yard"},
            "grid": {"fuse_a": 63, "worst_other_load_a": 10, "meter": "grid"},
            "meters": [{"id": role, "role": role, "source": source} for role in ("grid", "pv", "battery")],
            "battery": {"capacity_wh": 10_000, "max_charge_w": 5000, "max_discharge_w": 5000, "meter": "battery"},
            "listen": {"host": "127.0.0.1", "port": 0},
            "api": {"port": 0},
            "modbus_server": {"port": 0},
            "data_dir": folder,
        }
    )


def senses_only(*arguments: Any) -> tuple[Part, ...]:
    """The neighbours as the program builds them, without those this journey does not need."""
    return tuple(part for part in build_neighbours(*arguments) if part.name in SENSES)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10.0):
        while not condition():  # noqa: ASYNC110 - a snapshot is asked, it does not tell
            await asyncio.sleep(0.02)


def scanned(port: int) -> dict[str, float]:
    """What a stranger finds."""
    device = SunSpecModbusClientDeviceTCP(slave_id=2, ipaddr="127.0.0.1", ipport=port, timeout=5)
    try:
        device.scan()
        meter, inverter, battery = device.models[213][0], device.models[113][0], device.models[802][0]
        return {"grid": meter.W.cvalue, "pv": inverter.W.cvalue, "battery": battery.W.cvalue, "soc": battery.SoC.cvalue, "i": meter.AphA.cvalue}
    finally:
        device.close()


@pytest.mark.parametrize("dress", ["int", "float", "der"])
async def test_values_go_through_the_whole_controller(tmp_path: Path, dress: Dress) -> None:
    sim = SimHybrid(dress)
    sim.plant.own_w = sim.plant.battery_w = 1500.0
    sim.plant.produced_w = sim.plant.pv_w = 4000.0
    server = SimSunSpec(sim)
    await server.start()
    app = App(site(tmp_path, server.port), Clock(), build=senses_only)
    await app.start()
    try:
        await until(lambda: app.snapshot().site.grid.battery_w is not None and app.snapshot().site.grid.pv_w is not None)
        await until(lambda: app.snapshot().site.grid.power_w is not None)
        view = app.snapshot().site.grid
        found = await asyncio.to_thread(scanned, app.port_of("modbus server"))
    finally:
        await app.stop()
        await server.stop()
    # Load 1000 W - PV 4000 W + battery 1500 W.
    assert (view.power_w, view.pv_w, view.battery_w) == (pytest.approx(-1500, abs=2), pytest.approx(-4000, abs=2), pytest.approx(1500, abs=2))
    assert found["grid"] == pytest.approx(-1500, abs=2)
    assert found["pv"] == pytest.approx(4000, abs=2)
    assert found["battery"] == pytest.approx(-1500, abs=10)
    assert found["soc"] == pytest.approx(50, abs=1)
    assert found["i"] == pytest.approx(-1500 / 3 / 230, abs=0.02)
