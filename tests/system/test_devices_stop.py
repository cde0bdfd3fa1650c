"""The program ends while it holds an inverter, a battery and a relay: each is given free, or named with how its command ends.

A process of its own against servers that speak Modbus byte by byte; what counts is what stands in their registers.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from controller.paths import config_dir
from controller.sim.meter import SimMeters
from tests.support.raw_plant import COIL, HOST, LIFE, MODE, SWITCH, RawPlant, RawUnit
from tests.support.yard import Yard, site, until

pytestmark = pytest.mark.system

MAX_EXPORT_W = 2_000.0
LIFE_S = 30


class Scene:
    """Much sun behind a bound of feeding in: everything is commanded."""

    def __init__(self, yard: Yard, plant: RawPlant) -> None:
        self.yard, self.plant = yard, plant

    def commanded(self) -> bool:
        """The battery takes, the inverter is held down, the relay is closed."""
        plant = self.plant
        return plant.limit_w is not None and plant.limit_w < plant.sun_w and (plant.setpoint_w or 0.0) > 0.0 and plant.closed

    def held(self) -> set[str]:
        """Who is held, and not named in the log as such: a machine that is busy may need longer than it is given."""
        plant, said = self.plant, self.yard.log.read_text()
        held = {"roof": plant.limit_w is not None, "battery": plant.setpoint_w is not None, "boiler": plant.closed}
        return {name for name, is_held in held.items() if is_held and f"{name} was not given free" not in said}

    def told(self, device: str) -> str:
        """What the log says of a device that could not be given free."""
        found = re.findall(rf"\b({device} (?:was not|could not be) given free .*)", self.yard.log.read_text())
        assert len(found) == 1, self.yard.log.read_text()[-3000:]
        return str(found[0])


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    plant = RawPlant()
    meters = SimMeters(config_dir() / "meters", {1: plant.grid, 2: plant.store})
    await meters.start()
    for unit in plant.units:
        await unit.start()

    def source(unit: int) -> dict[str, object]:
        return {"type": "modbus", "host": HOST, "port": meters.port, "unit": unit, "map": "yardmaster_sim", "poll_s": 0.5}

    store = {"capacity_wh": 20_000, "max_charge_w": 5_000, "max_discharge_w": 5_000, "meter": "store"}
    data = site(
        tmp_path,
        grid={"fuse_a": 63, "worst_other_load_a": 30, "meter": "main", "max_export_w": MAX_EXPORT_W},
        meters=[{"id": "main", "role": "grid", "source": source(1)}, {"id": "store", "role": "battery", "source": source(2)}],
        battery={**store, "command": {"control": {"type": "sunspec", "host": HOST, "port": plant.battery.port}, "life_s": LIFE_S}},
        inverters=[
            {"id": "roof", "max_power_w": 10_000, "control": {"type": "sunspec", "host": HOST, "port": plant.inverter.port}, "life_s": LIFE_S}
        ],
        relays=[
            {"id": "boiler", "closes": "surplus", "surplus_w": 500, "min_on_s": 0, "min_off_s": 0, "pin": pin(plant.relay)},
        ],
    )
    async with Yard(tmp_path, data) as yard:
        now = Scene(yard, plant)
        await until(now.commanded)
        yield now
    for unit in plant.units:
        await unit.stop()
    await meters.stop()


def pin(unit: RawUnit) -> dict[str, object]:
    return {"type": "modbus", "host": HOST, "port": unit.port, "address": COIL, "table": "coil"}


async def test_whoever_was_commanded_is_free_when_the_program_has_ended(scene: Scene) -> None:
    plant = scene.plant
    assert (plant.inverter.words[LIFE], plant.inverter.words[SWITCH], plant.battery.words[MODE]) == (LIFE_S, 1, 3)
    assert await scene.yard.stop() == 0
    assert scene.held() == set(), [unit.writes[-3:] for unit in plant.units]


async def test_who_says_nothing_any_more_is_named_and_the_others_are_free_all_the_same(scene: Scene) -> None:
    """The battery has a timer of its own, the relay has none. Both hear, or not; neither answers."""
    scene.plant.battery.mute = scene.plant.relay.mute = True
    assert await scene.yard.stop() == 0
    assert "roof" not in scene.held()
    assert scene.told("battery").endswith("it falls free by its own watchdog")
    assert scene.told("boiler").endswith("it falls free only at the next start, or by hand: it has no watchdog")


async def test_what_was_left_behind_is_given_free_by_the_next_start(scene: Scene) -> None:
    """The relay's module is away when the program ends; the sun has gone when both are there again."""
    plant = scene.plant
    await plant.relay.stop()
    assert await scene.yard.stop() == 0
    assert "only at the next start" in scene.told("boiler")
    assert plant.closed
    plant.sun_w = 0.0
    await plant.relay.start()
    await scene.yard.start()
    await until(lambda: not plant.closed)


async def test_after_a_kill_the_next_start_gives_free_what_nobody_wants_any_more(scene: Scene) -> None:
    plant = scene.plant
    await scene.yard.kill()
    assert scene.commanded(), "nobody was there to take it back"
    plant.sun_w = 0.0
    await scene.yard.start()
    await until(lambda: plant.limit_w is None and not plant.closed)
    assert await scene.yard.stop() == 0
    assert scene.held() == set()


async def test_a_stop_while_the_devices_are_being_commanded_frees_them_too(scene: Scene) -> None:
    """SIGTERM falls right after a write of a command that changes: nothing of it is written after the release."""
    plant = scene.plant
    told = len(plant.battery.writes)
    plant.sun_w = 4_000.0  # everything changes
    await until(lambda: len(plant.battery.writes) > told)
    assert await scene.yard.stop() == 0
    assert scene.held() == set(), [unit.writes[-3:] for unit in plant.units]
