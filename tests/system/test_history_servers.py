"""History against real servers, InfluxDB's own parser and VictoriaMetrics, with kills in the middle: nothing lost, nothing doubled (F84)."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from controller.io.history.influx import Counts
from controller.io.history.shell import HistoryShell
from controller.orders import RecordPoint
from tests.support.history_child import BASE_S, WallClock, config, point
from tests.support.history_servers import Influxd, Server, VictoriaMetrics

pytestmark = pytest.mark.system

ROOT = Path(__file__).parents[2]
BOUND = 64 * 1024 * 1024


class Recorder:
    """A program of ours that records. account: its newest word."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.account: dict[str, int] = {}
        self._news = asyncio.Event()
        self._reading = asyncio.get_running_loop().create_task(self._read())

    async def _read(self) -> None:
        assert self._process.stdout is not None
        while line := await self._process.stdout.readline():
            self.account = json.loads(line)
            self._news.set()

    def emit(self, count: int) -> None:
        """Let it record so many more points."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"emit {count}\n".encode())

    async def until(self, condition: Callable[[dict[str, int]], bool]) -> None:
        """Wait for its account."""
        async with asyncio.timeout(30):
            while not (self.account and condition(self.account)):
                self._news.clear()
                await self._news.wait()

    async def kill(self) -> int:
        """kill -9; how many of its points were on disk or further."""
        with suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()
        await self._reading
        return self.account.get("kept", 0)


@asynccontextmanager
async def recorder(folder: Path, url: str, first: int, spool_bytes: int = BOUND) -> AsyncIterator[Recorder]:
    words = [sys.executable, "-m", "tests.support.history_child", str(folder), url, str(first), str(spool_bytes)]
    pipe = asyncio.subprocess.PIPE
    one = Recorder(await asyncio.create_subprocess_exec(*words, cwd=ROOT, stdin=pipe, stdout=pipe))
    try:
        yield one
    finally:
        await one.kill()


@asynccontextmanager
async def influxd(folder: Path) -> AsyncIterator[Influxd]:
    server = Influxd(folder)
    try:
        await server.start()
        yield server
    finally:
        await server.stop()


def account(shell: HistoryShell) -> Counts:
    """What became of the points of a shell in this process."""
    assert shell.spool is not None
    return shell.spool


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while True:
            if condition():
                return
            await asyncio.sleep(0.02)


def numbers(points: list[tuple[int, float]]) -> list[int]:
    """The numbers of stored points, each checked against its time."""
    for at_ms, value in points:
        assert at_ms == round((BASE_S + value * 0.01) * 1000)
    return [round(value) for _, value in points]


async def lives(folder: Path, url: str, kill_server: Callable[[Recorder], Any], start_server: Callable[[], Any]) -> list[int]:
    """Two lives of ours around an outage of the server. Returns the numbers that must be stored."""
    async with recorder(folder, url, 0) as first:
        first.emit(600)
        await first.until(lambda account: account["sent"] >= 200)
        await kill_server(first)
        first.emit(1500)
        await first.until(lambda account: account["kept"] >= 1200)
        safe = await first.kill()
    async with recorder(folder, url, 10_000) as second:
        second.emit(700)
        await second.until(lambda account: account["kept"] == 700)
        await start_server()
        await second.until(lambda account: account["waiting"] == 0)
        assert (second.account["dropped"], second.account["quarantined"]) == (0, 0)
    return [*range(safe), *range(10_000, 10_700)]


async def check(server: Server, expected: list[int]) -> None:
    stored = numbers(await server.points())
    assert len(stored) == len(set(stored)), "nothing doubled"
    assert set(expected) <= set(stored), f"{len(set(expected) - set(stored))} points lost"
    assert max(number for number in stored if number < 10_000) < 2100


async def test_f84_influxd_killed_and_we_killed_nothing_is_lost_and_nothing_doubled(tmp_path: Path) -> None:
    async with influxd(tmp_path / "influx") as server:

        async def kill(_: Recorder) -> None:
            server.kill()

        expected = await lives(tmp_path / "box", server.url, kill, server.launch)
        await check(server, expected)


async def test_f84_victoria_metrics_killed_and_we_killed_nothing_is_lost_and_nothing_doubled(tmp_path: Path) -> None:
    """VictoriaMetrics keeps seconds of what it has acknowledged in memory only, so it is asked to put it on disk before it is killed."""
    server = VictoriaMetrics(tmp_path / "vm")
    await server.launch()

    async def kill(told: Recorder) -> None:
        await told.until(lambda account: account["kept"] == 600 and account["waiting"] == 0)
        await server.secure()
        server.kill()

    try:
        await check(server, await lives(tmp_path / "box", server.url, kill, server.launch))
    finally:
        server.kill()


async def test_f84_beyond_the_bound_the_oldest_go_and_are_counted(tmp_path: Path) -> None:
    """65 536 bytes hold about 1000 lines of some 60 bytes each: of 3000 the newest are kept, and every other one is counted."""
    server = VictoriaMetrics(tmp_path / "vm")
    async with recorder(tmp_path / "box", server.url, 0, spool_bytes=65_536) as one:
        one.emit(3000)
        await one.until(lambda account: account["kept"] == 3000)
        dropped = one.account["dropped"]
        assert 1500 < dropped < 2500
        try:
            await server.launch()
            await one.until(lambda account: account["waiting"] == 0)
            assert numbers(await server.points()) == list(range(dropped, 3000))
        finally:
            server.kill()


async def test_influxd_quarantines_what_it_will_never_take_and_keeps_the_rest(tmp_path: Path) -> None:
    """An integer written once makes every later float of that field a conflict; the good lines of such a batch are stored all the same."""
    async with influxd(tmp_path / "influx") as server:
        assert await server.put(f"session energy_wh=5i {round(BASE_S)}000000000") == 204
        shell = HistoryShell(config(tmp_path / "box", server.url, BOUND), WallClock(), lambda _fact: None, flush_s=0.02)
        await shell.start()
        try:
            for number in range(50):
                shell.carry(point(number))
            shell.carry(RecordPoint("session", {"name": "a b,=ü"}, {"energy_wh": 5.0}, BASE_S))
            shell.carry(RecordPoint("ev se", {"na me": 'q"u,o=t\\e', "emp": ""}, {"power_w": 1.0}, BASE_S))
            await until(lambda: (account(shell).sent, account(shell).quarantined) == (51, 1))
        finally:
            await shell.stop()
        assert numbers(await server.points()) == list(range(50))
        found = await server.ask('SELECT power_w, "na me" FROM "ev se"')
        assert found["results"][0]["series"][0]["values"][0][1:] == [1.0, 'q"u,o=t\\e']
        again = HistoryShell(config(tmp_path / "box", server.url, BOUND), WallClock(), lambda _fact: None, flush_s=0.02)
        await again.start()
        for number in range(60):
            again.carry(point(number))
        await until(lambda: account(again).sent >= 60)
        await again.stop()
        assert numbers(await server.points()) == list(range(60)), "the same points again change nothing"


async def test_an_unknown_bucket_is_told_and_nothing_is_thrown_away(tmp_path: Path) -> None:
    async with influxd(tmp_path / "influx") as server:
        await server.ask("DROP DATABASE depot", "POST")
        facts: list[Any] = []
        shell = HistoryShell(config(tmp_path / "box", server.url, BOUND), WallClock(), facts.append, flush_s=0.02)
        await shell.start()
        try:
            shell.carry(point(1))
            await until(lambda: any("check token, org and bucket" in getattr(fact, "detail", "") for fact in facts))
            assert account(shell).waiting == 1
        finally:
            await shell.stop()
