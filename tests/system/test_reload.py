"""The site file changes while cars charge: SIGHUP checks it, and only a good one begins a new life of the same process (F81, F82)."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml

from tests.support.depot import FALLBACK_A, Depot, stations_config
from tests.support.yard import Yard, site, until

pytestmark = pytest.mark.system

COUNT = 2


class Scene:
    """Two cars that charge, and the file."""

    def __init__(self, yard: Yard, depot: Depot, data: dict[str, Any]) -> None:
        self.yard, self.depot, self.data = yard, depot, data

    def setpoints_a(self) -> float:
        return sum(station.setpoint_a or 0.0 for station in self.depot.stations)

    def says(self, text: str) -> bool:
        return text in self.yard.log.read_text()

    def reload(self, text: str) -> None:
        """The file changes and the process is told."""
        assert self.yard.process is not None
        self.yard.file.write_text(text)
        self.yard.process.send_signal(signal.SIGHUP)

    async def fuse_a(self) -> float:
        return float((await self.yard.state())["site"]["grid"]["fuse_a"])


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    control = {"setpoint_life_s": 20, "setpoint_renew_s": 8, "offline_hold_s": 20, "ramp_up_a_per_s": 20}
    data = site(tmp_path, grid={"fuse_a": 63, "worst_other_load_a": 0}, stations=stations_config(COUNT), control=control)
    async with Yard(tmp_path, data) as yard, Depot(yard.ocpp_url, COUNT, sample_s=1.0) as depot:
        await until(lambda: all(station.accepted for station in depot.stations))
        for number in range(COUNT):
            depot.plug_in(number)
        now = Scene(yard, depot, data)
        await until(lambda: now.setpoints_a() > 60)
        yield now


async def test_f82_a_changed_file_takes_hold_and_no_session_ends(scene: Scene) -> None:
    assert scene.yard.process is not None
    process, sessions = scene.yard.process.pid, [station.acknowledged[0]["transactionInfo"]["transactionId"] for station in scene.depot.stations]
    scene.reload(yaml.safe_dump({**scene.data, "grid": {"fuse_a": 40, "worst_other_load_a": 0}}))
    await until(lambda: scene.says("everything starts again with it"))
    await until(lambda: 0 < scene.setpoints_a() <= 40)
    assert await scene.fuse_a() == 40
    assert scene.yard.process.pid == process
    assert scene.yard.process.returncode is None
    told = [len(station.acknowledged) for station in scene.depot.stations]
    await until(lambda: all(len(station.acknowledged) > had for station, had in zip(scene.depot.stations, told, strict=True)))
    ended = [event for station in scene.depot.stations for event in station.acknowledged if event["eventType"] == "Ended"]
    assert ended == []
    assert [station.acknowledged[-1]["transactionInfo"]["transactionId"] for station in scene.depot.stations] == sessions
    assert await scene.yard.stop() == 0, "and it ends like any other"
    assert not scene.says("Traceback")


@pytest.mark.parametrize("text", ["grid: {fuse_a: 0}", "site: [", "", "colour: green"])
async def test_f82_a_file_that_is_refused_changes_nothing_and_says_so(scene: Scene, text: str) -> None:
    connected = [station.connected for station in scene.depot.stations]
    scene.reload(text)
    await until(lambda: scene.says("the site file is refused, the configuration that runs stays"))
    assert await scene.fuse_a() == 63
    assert [station.connected for station in scene.depot.stations] == connected
    assert not scene.says("disconnected")
    scene.reload(yaml.safe_dump({**scene.data, "grid": {"fuse_a": 50, "worst_other_load_a": 0}}))
    await until(lambda: 0 < scene.setpoints_a() <= 50)  # it is not deaf afterwards


async def test_f82_a_file_whose_port_is_taken_leads_back_to_the_one_before(scene: Scene) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        api = {"host": "127.0.0.1", "port": taken.getsockname()[1]}
        scene.reload(yaml.safe_dump({**scene.data, "api": api}))
        await until(lambda: scene.says("the one before it runs again"))
        await until(lambda: all(station.connected for station in scene.depot.stations))
    await until(lambda: scene.setpoints_a() > COUNT * FALLBACK_A)
    assert await scene.fuse_a() == 63


async def test_f82_who_is_told_to_stop_while_it_starts_again_stops(scene: Scene) -> None:
    assert scene.yard.process is not None
    scene.reload(yaml.safe_dump(scene.data))
    await until(lambda: scene.says("everything starts again with it"))
    scene.yard.process.send_signal(signal.SIGTERM)
    assert await asyncio.wait_for(scene.yard.process.wait(), 60) in (0, -signal.SIGTERM), "between two lives the system's own way holds"


async def test_f82_of_many_changes_in_a_row_the_last_one_holds(scene: Scene) -> None:
    """Each signal falls anywhere: into a reading, the end of one life, the gap between two, the start of the next."""
    assert scene.yard.process is not None
    for number, fuse_a in enumerate((60, 58, 56, 54, 52, 50, 48, 46, 44, 42)):
        scene.reload(yaml.safe_dump({**scene.data, "grid": {"fuse_a": fuse_a, "worst_other_load_a": 0}}))
        if number % 3 == 0:
            await until(lambda number=number: scene.yard.log.read_text().count("everything starts again with it") > number // 3)
        else:
            await asyncio.sleep(0)
    await until(lambda: _answers(scene, 42.0))
    assert scene.yard.process.returncode is None
    await until(lambda: 0 < scene.setpoints_a() <= 42)
    assert not scene.says("Traceback")


async def _answers(scene: Scene, fuse_a: float) -> bool:
    with contextlib.suppress(aiohttp.ClientError):  # between two lives nobody answers
        return await scene.fuse_a() == fuse_a
    return False


async def test_f82_who_is_told_to_stop_while_the_file_is_read_stops(scene: Scene) -> None:
    assert scene.yard.process is not None
    scene.reload(yaml.safe_dump({**scene.data, "grid": {"fuse_a": 60, "worst_other_load_a": 0}}))
    scene.yard.process.send_signal(signal.SIGTERM)
    assert await asyncio.wait_for(scene.yard.process.wait(), 60) in (0, -signal.SIGTERM)
