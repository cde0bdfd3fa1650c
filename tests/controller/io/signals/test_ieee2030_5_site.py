"""A whole site obeys a utility: a real App, mutual TLS, and a utility that is a process of its own in the first story."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from controller.app import App
from controller.io.clock import Clock
from controller.snapshot import SignalView
from tests.support.csip_world import PROGRAM, World, config, eventually

ONE, TWO = "01" * 16, "02" * 16


@asynccontextmanager
async def running(folder: Path, entry: dict[str, Any]) -> AsyncIterator[App]:
    doors = {"listen": {"host": "127.0.0.1", "port": 0}, "api": {"port": 0}, "control": {"tick_s": 0.1}, "inverters": []}
    app = App(config(folder, entry, **doors), Clock())
    await app.start()
    try:
        yield app
    finally:
        await app.stop()


def view(app: App) -> SignalView:
    return app.snapshot().site.signals[0]


async def until(true: Callable[[], bool], within_s: float = 15.0) -> None:
    """Wait until it is so."""
    async with asyncio.timeout(within_s):
        for _ in itertools.count():
            if true():
                return
            await asyncio.sleep(0.02)


async def test_default_scheduled_limit_supersede_and_cancellation(tmp_path: Path) -> None:
    async with World(tmp_path, process=True) as world:
        for number, primacy in ((1, 2), (2, 1)):
            await world.do(
                "program", number=number, mrid=f"{number}A" * 16, primacy=primacy, name=f"P{number}", default={"opModImpLimW": 10_000 + number}
            )
        async with running(tmp_path, world.entry(failsafe_w=3000)) as app:
            assert view(app).limit_w == 3000.0  # nothing heard yet
            await until(lambda: view(app).limit_w == 10_002.0)  # the default of the program that comes first
            now_s = await world.control(ONE, 2, 60, {"opModImpLimW": 5000}, randomize_start_s=2)
            await until(lambda: view(app).limit_w == 5000.0)
            await eventually(lambda: _codes(world, ONE, [1, 2]))
            started = next(one for one in await world.told("DERControlResponse") if one["status"] == 2)
            # A second of doubt between two clocks that count whole ones; behind it what a busy machine takes until it is told.
            assert now_s + 2 - 1 <= started["createdDateTime"] <= now_s + 2 + 2 + 10
            await world.control(TWO, 1, 60, {"opModImpLimW": 7000}, program=2)
            await until(lambda: view(app).limit_w == 7000.0)  # the lower primacy wins, though it limits less
            await eventually(lambda: _codes(world, ONE, [1, 2, 14]))
            await world.do("end", mrid=TWO, status=2)
            await until(lambda: view(app).limit_w != 7000.0)
            await eventually(lambda: _codes(world, TWO, [1, 2, 6]))


async def _codes(world: World, mrid: str, codes: list[int]) -> bool:
    return await world.responses(mrid) == codes


async def test_a_server_that_is_gone_leaves_the_failsafe_and_ends_it_by_coming_back(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        program = {"number": 1, "mrid": PROGRAM, "primacy": 1, "name": "DNSP", "default": {"opModImpLimW": 9000}}
        await world.do("program", **program)
        async with running(tmp_path, world.entry(failsafe_w=3000, heartbeat_s=2)) as app:
            await until(lambda: view(app).limit_w == 9000.0)
            await world.kill()
            await until(lambda: view(app).limit_w == 3000.0)
            assert view(app).state == "failsafe"
            await world.start()
            await world.do("program", **program)
            await until(lambda: view(app).limit_w == 9000.0)
