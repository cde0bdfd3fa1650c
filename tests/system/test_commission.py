"""`yardmaster commission --yes` against a real controller, a Modbus meter and a box of known quirks, all on real sockets.

The box: its L1 hangs on L2 of the site (the site file says L1), it draws 5 % more than it may, its car takes about
a second to react, it refuses ChargingStationMaxProfile, and its car has one phase.
"""

from __future__ import annotations

import asyncio
import json
import math
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from controller.check import load_config
from controller.facts import Stamp
from controller.io.chargers import load_chargers
from controller.paths import config_dir
from controller.sim.car import CarSpec
from controller.sim.evse import Evse, EvseSpec
from controller.sim.meter import SimMeters
from controller.sim.site import MeterValues
from controller.sim.station import SimStation, StationSpec
from controller.sim.station_client import StationClient
from controller.tools.client import Controller
from tests.support.depot import Depot, WatchedStation
from tests.support.yard import ROOT, Yard, site, until

pytestmark = pytest.mark.system

FLOOR_A = 6.0
OVERDRAW = 1.05
REACTION_S = 0.5
QUICK = ("--poll", "0.1", "--hold", "0.6", "--patience", "6", "--wake", "5", "--watch", "1.5", "--wait-car", "20", "--cycles", "3")


class Box(WatchedStation):
    """Draws more than it may."""

    def offer_a(self, at: Stamp, evse: Evse) -> float:
        allowed_a = super().offer_a(at, evse)
        return allowed_a * OVERDRAW if allowed_a >= FLOOR_A else allowed_a


class Garage(Depot):
    """One such box, and the meter of the house."""

    def __init__(self, url: str, version: str) -> None:
        super().__init__(url, 0)
        box = _quirky() if version == "2.0.1" else SimStation(StationSpec("CP1", (EvseSpec(1),), sample_s=0.3, version=version))
        self.boxes = [box]
        self.clients = [StationClient(box, url, self.clock.stamp)]
        self.turn = 0

    def plug_in(self, number: int = 0, need_wh: float = 30_000.0) -> Any:
        at = self.clock.stamp()
        spec = CarSpec("small", at.wall_s, at.wall_s + 8 * 3600, need_wh, 60_000.0, 0.2, 1, 32.0, reaction_s=REACTION_S, ramp_a_per_s=40.0)
        return self.boxes[number].plug_in(at, 1, spec)

    def meter(self) -> MeterValues:
        """The house's own load wanders a little."""
        self.turn += 1
        building = [8.0 + 0.3 * math.sin(0.7 * self.turn + phase) for phase in range(3)]
        cars = self.boxes[0].site_current_a()
        return MeterValues((building[0] + cars[0], building[1] + cars[1], building[2] + cars[2]))


def _quirky() -> SimStation:
    box = Box(StationSpec("CP1", (EvseSpec(1, site_phases=(1, 2, 0)),), sample_s=0.3))
    box.faults.refused_purpose = "ChargingStationMaxProfile"
    return box


def garage_site(folder: Path, meter_port: int) -> dict[str, Any]:
    source = {"type": "modbus", "host": "127.0.0.1", "port": meter_port, "map": "yardmaster_sim", "poll_s": 0.25, "timeout_s": 0.5}
    control = {"tick_s": 0.2, "setpoint_life_s": 20, "setpoint_renew_s": 8, "offline_hold_s": 20, "meter_late_s": 2}
    return site(
        folder,
        site={"id": "garage", "name": "Cold garage"},
        grid={"fuse_a": 63, "worst_other_load_a": 40, "meter": "main"},
        stations=[{"id": "CP1", "evses": [{"id": 1, "max_current_a": 32, "fallback_a": FLOOR_A}]}],
        meters=[{"id": "main", "role": "grid", "source": source}],
        control=control,
    )


class Scene:
    """A running yard, its garage, and the command."""

    def __init__(self, folder: Path, yard: Yard, garage: Garage) -> None:
        self.folder, self.yard, self.garage = folder, yard, garage
        self.out = folder / "out"

    async def commission(self, *words: str) -> tuple[int, str]:
        """Run the command; exit code and what it said."""
        command = [sys.executable, "-m", "controller", "commission", "--yes", "--config", str(self.yard.file), "--out", str(self.out), *QUICK, *words]
        process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT)
        assert process.stdout is not None
        said: list[str] = []
        async with asyncio.timeout(120):
            async for line in process.stdout:
                said.append(line.decode())
                if "Switch the station off" in said[-1]:
                    self.garage.boxes[0].reboot(self.garage.clock.stamp())
        print("".join(said))
        return await process.wait(), "".join(said)

    def findings(self) -> dict[str, tuple[str, str]]:
        """Title -> verdict and text, of the EVSE."""
        data = json.loads((self.out / "commissioning.json").read_text())
        return {f["title"]: (f["verdict"], f["text"]) for test in data["tests"] if test["point"] for f in test["findings"]}


@asynccontextmanager
async def scene(folder: Path, version: str = "2.0.1") -> AsyncIterator[Scene]:
    """A garage in a folder of its own, a car charging in it."""
    garages: list[Garage] = []
    meters = SimMeters(config_dir() / "meters", {1: lambda: garages[0].meter() if garages else MeterValues((8.0, 8.0, 8.0))})
    await meters.start()
    async with Yard(folder, garage_site(folder, meters.port)) as yard, Garage(yard.ocpp_url, version) as garage:
        garages.append(garage)
        await until(lambda: garage.boxes[0].accepted)
        garage.plug_in()
        await until(lambda: garage.boxes[0].site_current_a()[1 if version == "2.0.1" else 0] > 5)
        yield Scene(folder, yard, garage)
    await meters.stop()


async def test_it_finds_exactly_the_quirks_of_the_box(tmp_path: Path) -> None:
    """Two garages side by side, because real seconds pass: the fast tests in one, the long ones in the other."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    async with scene(tmp_path / "one") as one, scene(tmp_path / "two") as two:
        await asyncio.gather(check_quirks(one), check_without_us(two))


async def test_the_other_versions_are_commanded_and_read_as_well(tmp_path: Path) -> None:
    """A 1.6 box and a 2.1 box without quirks, side by side: every kind of profile is obeyed, and what was measured is written."""
    for name in ("old", "new"):
        (tmp_path / name).mkdir()
    async with scene(tmp_path / "old", "1.6") as old, scene(tmp_path / "new", "2.1") as new:
        await asyncio.gather(check_ways(old, 7), check_ways(new, 8))


async def check_ways(scene: Scene, findings: int) -> None:
    """All ways of this version, and many writes in a row."""
    code, said = await scene.commission("--only", "ways")
    assert code == 0, said
    found = {title: verdict for title, (verdict, _) in scene.findings().items() if title.startswith(("Profile", "Many"))}
    assert len(found) == findings
    assert set(found.values()) == {"pass"}
    model = load_chargers(scene.out / "chargers")["cp1"]
    assert (model.stack_level, model.purposes) == (0, ("TxProfile", "TxDefaultProfile", "ChargingStationMaxProfile"))
    page = (scene.out / "report.html").read_text()
    assert "Giving back (V2G)" in page


async def check_without_us(scene: Scene) -> None:
    """Our plug pulled, then a power cut: it falls to its floor in time, comes back, and keeps its default."""
    code, said = await scene.commission("--only", "plug", "--only", "reboot")
    assert code == 0, said
    found = scene.findings()
    assert found["Pull our plug"][0] == "pass"
    assert "fell to its fallback of 6 A" in found["Pull our plug"][1]
    assert found["After our return"][0] == "pass"
    assert found["Default after a power cut"][0] == "pass"
    (model,) = [model for name, model in load_chargers(scene.out / "chargers").items() if name != "generic"]
    assert model.keeps_default
    assert model.name == "yardmaster-simdepot-22"  # it booted while we listened, and said who it is


async def check_quirks(scene: Scene) -> None:
    """Wiring, speed, accuracy, smallest current, pause, steps and profiles."""
    code, said = await scene.commission("--only", "steps", "--only", "minimum", "--only", "fineness", "--only", "ways")
    assert code == 0
    found = scene.findings()
    assert found["Meter main"][0] == "fail"
    assert found["Meter main"][1] == "the charger's L1 loads L2 of the site; the site file says L1"
    assert "5.0 % more" in found["Current against limit"][1]
    assert found["Reading the limit back"][0] == found["Many writes in a row"][0] == "pass"
    assert found["Smallest current"][1] == "charges from 6 A"
    assert found["Pause with 0 A"][0] == found["Wake after a pause"][0] == "pass"
    assert found["Smallest step"][1] == "follows steps of 0.1 A"
    assert found["Profile: TxProfile in A"] == ("pass", "accepted and obeyed")
    assert found["Profile: ChargingStationMaxProfile in A"][1].startswith("rejected")
    models = load_chargers(scene.out / "chargers")
    model = models["cp1"]
    assert (model.overdraw_part, model.step_a, model.min_current_a) == (0.05, 0.1, 6.0)
    assert 1.0 <= model.apply_s <= 6.0, "two seconds, and what a busy machine adds; its patience is six"
    assert "ChargingStationMaxProfile" not in model.purposes
    assert model.reads_back
    assert "phases: [L2, L3, L1]" in (scene.out / "site-changes.txt").read_text()
    changed = yaml.safe_load(scene.yard.file.read_text())
    changed["stations"][0]["evses"][0]["phases"] = ["L2", "L3", "L1"]
    scene.yard.file.with_name("changed.yaml").write_text(yaml.safe_dump(changed))
    assert load_config(scene.yard.file.with_name("changed.yaml")).stations[0].evses[0].phases == ("L2", "L3", "L1")
    page = (scene.out / "report.html").read_text()
    assert "Cold garage" in page
    assert "http" not in page.replace("http://www.w3.org/2000/svg", "")
    assert said.count("Traceback") == 0
    await check_interrupt(scene)


async def check_interrupt(scene: Scene) -> None:
    """Ctrl-C in the middle frees the charger at once; what was tested before is still there."""
    before = scene.findings()
    command = [sys.executable, "-m", "controller", "commission", "--yes", "--config", str(scene.yard.file), "--out", str(scene.out), *QUICK]
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, "--only", "steps", cwd=ROOT, stdout=pipe, stderr=pipe)
    controller = Controller(scene.yard.api_url)

    async def trial() -> Any:
        return (await asyncio.to_thread(controller.get, "commissioning"))["trial"]

    async def held() -> bool:
        now = await trial()
        return now is not None and now["limit_a"] is not None

    await until(held)
    process.send_signal(signal.SIGINT)
    _, said = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 1
    assert b"the charger is free again" in said
    assert b"Traceback" not in said
    assert await trial() is None
    assert scene.findings() == before
