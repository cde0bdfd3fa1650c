"""A limit that was acknowledged is on the disk: kill -9 behind the answer, and a power cut at the very moment of it (F67, F68).

What is stated over the broker and through the EEBUS bridge goes the same way inside (``tests/controller/site/grid/test_keeping.py``); here
it is the HTTP API, as its answer has a moment.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from random import Random
from typing import Any

import aiohttp
import pytest

from controller.io.journal.store import JournalStore
from tests.support.recorded_disk import PowerCut, notes
from tests.support.yard import Yard, site, until

pytestmark = pytest.mark.system

SIGNAL, FLEET = "/api/v1/signals/dso", "/api/v1/limits"
STATEMENTS = 24


def config(folder: Path) -> dict[str, Any]:
    """A source without failsafe and heartbeat: what it said last goes on after a restart."""
    return site(folder, signals=[{"id": "dso", "type": "api", "heartbeat_s": 0}])


async def post(session: aiohttp.ClientSession, yard: Yard, path: str, body: dict[str, Any]) -> int:
    async with session.post(yard.api_url + path, json=body) as response:
        await response.read()
        return response.status


async def held(yard: Yard) -> tuple[float | None, float | None]:
    """(limit of the source [W], limit of the fleet manager [A])."""
    site_now = (await yard.state())["site"]
    (signal,) = site_now["signals"]
    return signal["limit_w"], next((one["value"] for one in site_now["limits"] if one["source"] == "api"), None)


async def test_f67_kill_9_behind_the_answer_and_both_limits_hold_after_the_restart(tmp_path: Path) -> None:
    async with Yard(tmp_path, config(tmp_path)) as yard, aiohttp.ClientSession() as session:
        for number in range(1, 3):
            watts, amps = 1000.0 * number, 10.0 + number
            assert await post(session, yard, FLEET, {"value": amps, "unit": "A", "valid_for_s": 3600}) == 202
            assert await post(session, yard, SIGNAL, {"consumption_w": 20_000.0 + watts}) == 200
            await yard.kill()
            await yard.start()
            await until(lambda watts=watts, amps=amps: _holds(yard, 20_000.0 + watts, amps))
        # Perhaps killed before the answer, perhaps before the question was heard.
        status, _ = await asyncio.gather(post(session, yard, SIGNAL, {"consumption_w": 9000}), yard.kill(), return_exceptions=True)
        await yard.start()
        expected = {9000.0} if status == 200 else {9000.0, 22_000.0}
        await until(lambda: _holds_one_of(yard, expected))


async def _holds(yard: Yard, watts: float, amps: float) -> bool:
    return await held(yard) == (watts, amps)


async def _holds_one_of(yard: Yard, expected: set[float]) -> bool:
    return (await held(yard))[0] in expected


def missing(folder: Path, told: list[tuple[int, str, float]], deaf: bool = False) -> list[float]:
    """Values that are not on the disk as a cut at the moment of their answer may leave it."""
    disk, random, gone = PowerCut(deaf), Random(7), []
    record = iter(notes(folder / "disk.log"))
    one = next(record, None)
    for number, (place, key, value) in enumerate(told):
        while one is not None and one.end <= place:
            disk.play(one)
            one = next(record, None)
        image = folder / f"cut-{number}{deaf}"
        image.mkdir()
        disk.build(image, random)
        memories = JournalStore(image, "cut", reserve_bytes=0).read().memories
        kept = memories.get(("signal", "dso"), {}).get("consumption", {}) if key == SIGNAL else memories.get(("limit", "api:grid"), {})
        if kept.get("value") != value:
            gone.append(value)
    return gone


async def test_f68_a_power_cut_at_the_moment_of_the_answer_loses_no_limit(tmp_path: Path) -> None:
    log, told = tmp_path / "disk.log", list[tuple[int, str, float]]()
    yard = Yard(tmp_path, config(tmp_path))
    yard.program = ("-m", "tests.support.recorded_disk", str(log))
    async with yard, aiohttp.ClientSession() as session:
        for number in range(STATEMENTS):
            watts, amps = 5000.0 + number, 8.0 + number
            assert await post(session, yard, SIGNAL, {"consumption_w": watts}) == 200
            told.append((log.stat().st_size, SIGNAL, watts))
            assert await post(session, yard, FLEET, {"value": amps, "unit": "A", "valid_for_s": 3600}) == 202
            told.append((log.stat().st_size, FLEET, amps))
        await yard.kill()
    assert missing(tmp_path, told) == []
    assert missing(tmp_path, told, deaf=True), "with syncs ignored something must be missing"
