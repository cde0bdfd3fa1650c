"""Forwarding to InfluxDB: spool, bad lines, wrong settings, busy and absent servers (F84).

The server is a strict one of our own (types per field, one bad line does not spoil the good ones of its batch, as
InfluxDB does); tests/system/test_history_servers.py tells the same to real ones.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from controller.config import Config, InfluxHistory
from controller.facts import Fact, SourceChanged, Stamp
from controller.io.history.influx import InfluxForwarder, to_line
from controller.io.history.shell import HistoryShell
from controller.io.history.spool import Row, Spool
from controller.orders import RecordPoint

HOST = "127.0.0.1"
NOW_S = 1_780_000_000.0
LINE = re.compile(r"^(?P<key>(?:[^\s,\\]|\\.)+(?:,(?:[^\s=\\]|\\.)+=(?:[^\s,\\]|\\.)+)*) (?P<fields>\S+) (?P<time>\d+)$")


class StrictServer:
    """Takes line protocol at /api/v2/write. ``says``: overrides the answer; points: key and time -> fields."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.points: dict[tuple[str, int], dict[str, float]] = {}
        self.types: dict[tuple[str, str], type] = {}
        self.headers: list[Any] = []
        self.queries: list[dict[str, str]] = []
        self.sizes: list[int] = []
        self.says: Callable[[], web.Response | None] = lambda: None
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        app = web.Application(client_max_size=2**24)
        app.router.add_post("/api/v2/write", self._write)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        await web.TCPSite(self._runner, HOST, self.port).start()

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _write(self, request: web.Request) -> web.Response:
        self.headers.append(request.headers)
        self.queries.append(dict(request.query))
        body = (await request.read()).decode()
        self.sizes.append(body.count("\n") + 1)
        answer = self.says()
        if answer is not None:
            return answer
        bad = [line for line in body.split("\n") if not self._take(line)]
        return web.json_response({"code": "invalid", "message": f"cannot store {bad[0]}"}, status=400) if bad else web.Response(status=204)

    def _take(self, line: str) -> bool:
        match = LINE.match(line)
        if match is None or "forbidden" in match["key"]:
            return False
        key, fields = match["key"], {}
        for part in match["fields"].split(","):
            name, text = part.split("=")
            kind = int if text.endswith("i") else float
            if self.types.setdefault((key.split(",")[0], name), kind) is not kind:
                return False
            fields[name] = float(text.rstrip("i"))
        self.points[key, int(match["time"])] = fields
        return True


@pytest.fixture
async def server(free_port: int) -> AsyncIterator[StrictServer]:
    server = StrictServer(free_port)
    await server.start()
    yield server
    await server.stop()


class FixedClock:
    """It is always the same moment."""

    def stamp(self) -> Stamp:
        return Stamp(0.0, NOW_S)


def site(folder: Path, port: int, **more: Any) -> Config:
    history = {"type": "influxdb", "url": f"http://{HOST}:{port}/", "org": "depot", "bucket": "depot", "token": "s3cret", **more}
    return Config.model_validate({"site": {"id": "t"}, "grid": {"fuse_a": 63, "worst_other_load_a": 10}, "data_dir": str(folder), "history": history})


def point(number: int, measurement: str = "grid") -> RecordPoint:
    return RecordPoint(measurement, {"meter": "main"}, {"power_w": float(number)}, NOW_S + number)


@asynccontextmanager
async def running(config: Config) -> AsyncIterator[tuple[HistoryShell, list[Fact]]]:
    facts: list[Fact] = []
    shell = HistoryShell(config, FixedClock(), facts.append, flush_s=0.01)
    await shell.start()
    try:
        yield shell, facts
    finally:
        await shell.stop()


async def until(condition: Callable[[], bool], within_s: float = 10.0) -> None:
    async with asyncio.timeout(within_s):
        while True:
            if condition():
                return
            await asyncio.sleep(0.005)


def health(facts: list[Fact]) -> list[bool]:
    return [fact.healthy for fact in facts if isinstance(fact, SourceChanged)]


def details(facts: list[Fact]) -> list[str]:
    return [fact.detail for fact in facts if isinstance(fact, SourceChanged)]


def forwarder_of(shell: HistoryShell) -> InfluxForwarder:
    """The part that talks to the server."""
    forwarder = shell._forwarder
    assert forwarder is not None
    return forwarder


async def test_points_arrive_with_token_bucket_and_precision(server: StrictServer, tmp_path: Path) -> None:
    async with running(site(tmp_path, server.port)) as (shell, facts):
        for number in range(5):
            shell.carry(point(number))
        await until(lambda: len(server.points) == 5)
        await until(lambda: health(facts) == [True])
        assert await shell.query("grid", {}, NOW_S, NOW_S + 10), "the page is served from the file as ever"
    assert server.points["grid,meter=main", round((NOW_S + 3) * 1000)] == {"power_w": 3.0}
    assert server.queries[0] == {"org": "depot", "bucket": "depot", "precision": "ms"}
    assert server.headers[0]["Authorization"] == "Token s3cret"
    assert all("s3cret" not in detail for detail in details(facts))


async def test_f84_a_server_that_is_down_loses_nothing_within_the_bound(server: StrictServer, tmp_path: Path) -> None:
    await server.stop()
    async with running(site(tmp_path, server.port)) as (shell, facts):
        for number in range(2500):
            shell.carry(point(number))
        await until(lambda: health(facts) == [False] and forwarder_of(shell).counts.waiting == 2500)
        assert "cannot be reached" in details(facts)[0]
    async with running(site(tmp_path, server.port)) as (shell, facts):
        assert len(server.points) == 0
        await server.start()
        shell.carry(point(2500))
        await until(lambda: len(server.points) == 2501)
        await until(lambda: forwarder_of(shell).counts.waiting == 0)
        assert forwarder_of(shell).counts.dropped == 0
    assert max(server.sizes) == 1000
    assert health(facts)[-1] is True


async def test_one_bad_line_is_found_and_quarantined_the_others_arrive(server: StrictServer, tmp_path: Path) -> None:
    server.types["grid", "power_w"] = float
    async with running(site(tmp_path, server.port)) as (shell, facts):
        for number in range(50):
            shell.carry(point(number, "forbidden" if number == 17 else "grid"))
        await until(lambda: len(server.points) == 49 and forwarder_of(shell).counts.quarantined == 1)
        await until(lambda: health(facts) == [True])
    assert forwarder_of(shell).counts.waiting == 0


@pytest.mark.parametrize(("status", "words"), [(401, "check token"), (404, "check token, org and bucket")])
async def test_wrong_settings_alarm_and_do_not_hammer(server: StrictServer, tmp_path: Path, status: int, words: str) -> None:
    server.says = lambda: web.Response(status=status)
    async with running(site(tmp_path, server.port)) as (shell, facts):
        for number in range(20):
            shell.carry(point(number))
            await asyncio.sleep(0.01)
        await until(lambda: health(facts) == [False])
    assert words in details(facts)[0]
    assert len(server.sizes) == 1


async def test_a_busy_server_gets_the_time_it_asks_for(server: StrictServer, tmp_path: Path) -> None:
    server.says = lambda: web.Response(status=503, headers={"Retry-After": "1"}) if len(server.sizes) == 1 else None
    async with running(site(tmp_path, server.port)) as (shell, facts):
        shell.carry(point(1))
        await until(lambda: health(facts) == [False])
        assert "asks for time" in details(facts)[0]
        await until(lambda: health(facts) == [False, True])
    assert len(server.sizes) == 2


async def test_lines_go_compressed_and_a_server_that_cannot_unpack_gets_them_plain(server: StrictServer, tmp_path: Path) -> None:
    async with running(site(tmp_path / "a", server.port)) as (shell, _):
        shell.carry(point(1))
        await until(lambda: len(server.points) == 1)
    assert server.headers[0]["Content-Encoding"] == "gzip"
    for status in (415, 400):  # 400: a door in between unpacks the body and leaves the label on
        server.says = lambda status=status: web.Response(status=status) if "Content-Encoding" in server.headers[-1] else None
        before = len(server.points)
        async with running(site(tmp_path / str(status), server.port)) as (shell, facts):
            shell.carry(point(status))
            await until(lambda: len(server.points) == before + 1)  # noqa: B023
            shell.carry(point(status + 1))
            await until(lambda: len(server.points) == before + 2)  # noqa: B023
            await until(lambda: health(facts) == [True])
            assert forwarder_of(shell).counts.quarantined == 0
        assert "Content-Encoding" not in server.headers[-1]


async def test_compression_can_be_turned_off(server: StrictServer, tmp_path: Path) -> None:
    async with running(site(tmp_path, server.port, gzip=False)) as (shell, _):
        shell.carry(point(1))
        await until(lambda: len(server.points) == 1)
    assert "Content-Encoding" not in server.headers[0]


DATE = "Sat, 20 Jun 2026 08:00:00 GMT"


async def test_a_date_is_counted_from_the_servers_own_clock(server: StrictServer, tmp_path: Path) -> None:
    headers = {"Date": "Sat, 20 Jun 2026 07:59:59 GMT", "Retry-After": DATE}
    server.says = lambda: web.Response(status=429, headers=headers) if len(server.sizes) == 1 else None
    async with running(site(tmp_path, server.port)) as (shell, facts):
        now, began_s = asyncio.get_running_loop().time, asyncio.get_running_loop().time()
        shell.carry(point(1))
        await until(lambda: health(facts) == [False])
        assert began_s + 1.0 <= forwarder_of(shell)._not_before_s <= now() + 1.0, "one second from its answer, which came in between"
        await until(lambda: health(facts) == [False, True])


def test_lines_that_fell_out_while_they_were_being_sent_are_not_counted_off_twice(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool.sqlite3", max_bytes=2000)
    spool.add([f"grid power_w={number}.0 {number}" for number in range(40)])
    in_flight = spool.oldest(20)
    spool.add([f"grid power_w={number}.0 {number}" for number in range(40, 80)])
    assert spool.dropped > 20
    assert spool.remove(in_flight) == 0
    assert spool.rows == len(spool.oldest(1000)) > 0
    assert spool.bytes == sum(len(row.line) + 16 for row in spool.oldest(1000))


async def test_points_reach_the_disk_while_a_long_backlog_is_sent(server: StrictServer, tmp_path: Path) -> None:
    held, asked = asyncio.Event(), asyncio.Event()

    async def slow(request: web.Request) -> web.Response:
        asked.set()
        await held.wait()
        return web.Response(status=204)

    server._write = slow  # type: ignore[method-assign]
    await server.stop()
    await server.start()
    async with running(site(tmp_path, server.port)) as (shell, _):
        shell.carry(point(1))
        await until(lambda: forwarder_of(shell).counts.waiting == 1)
        await asyncio.wait_for(asked.wait(), 10)
        shell.carry(point(2))
        await until(lambda: forwarder_of(shell).counts.waiting == 2)
        held.set()
        await until(lambda: forwarder_of(shell).counts.waiting == 0)


async def test_a_redirect_does_not_carry_the_token_elsewhere(server: StrictServer, tmp_path: Path) -> None:
    server.says = lambda: web.Response(status=307, headers={"Location": "http://127.0.0.1:9/"})
    async with running(site(tmp_path, server.port)) as (shell, facts):
        shell.carry(point(1))
        await until(lambda: health(facts) == [False])
    assert "elsewhere (307)" in details(facts)[0]


@pytest.mark.parametrize("status", [400, 413, 422])
async def test_a_server_that_refuses_everything_costs_no_point(server: StrictServer, tmp_path: Path, status: int) -> None:
    """A proxy that wants https answers every plain request with 400; so does the page behind a wrong address."""
    server.says = lambda: web.Response(status=status, text="The plain HTTP request was sent to HTTPS port")
    async with running(site(tmp_path, server.port)) as (shell, facts):
        for number in range(40):
            shell.carry(point(number))
        await until(lambda: health(facts) == [False])
        assert "refuses every line" in details(facts)[0]
        assert "HTTPS port" in details(facts)[0]
        assert (forwarder_of(shell).counts.quarantined, forwarder_of(shell).counts.waiting) == (0, 40)
        server.says = lambda: None
        await until(lambda: len(server.points) == 40)
        await until(lambda: health(facts) == [False, True])


async def test_a_bad_line_that_is_alone_waits_for_the_next_good_one(server: StrictServer, tmp_path: Path) -> None:
    async with running(site(tmp_path, server.port)) as (shell, facts):
        shell.carry(point(1, "forbidden"))
        await until(lambda: health(facts) == [False])
        assert forwarder_of(shell).counts.quarantined == 0
        shell.carry(point(2))
        await until(lambda: forwarder_of(shell).counts.quarantined == 1 and len(server.points) == 1)
        await until(lambda: health(facts) == [False, True])


async def test_a_password_in_the_address_is_used_without_breaking_and_never_told(free_port: int, tmp_path: Path) -> None:
    async with running(site(tmp_path, free_port, url=f"http://me:hush-hush@{HOST}:{free_port}/")) as (shell, facts):
        shell.carry(point(1))
        await until(lambda: health(facts) == [False])
    assert "hush-hush" not in details(facts)[0]
    assert HOST in details(facts)[0]


async def test_f83_an_unreadable_token_file_is_told(server: StrictServer, tmp_path: Path) -> None:
    async with running(site(tmp_path, server.port, token=None, token_file=str(tmp_path / "gone"))) as (shell, facts):
        shell.carry(point(1))
        await until(lambda: health(facts) == [False])
    assert "gone" in details(facts)[0]
    assert not server.sizes


def test_a_full_spool_loses_its_oldest_and_counts_them(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool.sqlite3", max_bytes=10_000)
    for start in range(0, 1000, 100):
        spool.add([f"grid power_w={number}.0 {number}" for number in range(start, start + 100)])
    assert spool.bytes <= 10_000
    assert spool.rows + spool.dropped == 1000
    assert spool.oldest(1)[0].line.startswith(f"grid power_w={spool.dropped}.0")
    spool.close()
    again = Spool(tmp_path / "spool.sqlite3", max_bytes=10_000)
    again.open()
    assert (again.rows, again.bytes) == (spool.rows, spool.bytes)


def test_quarantine_keeps_the_newest_thousand(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool.sqlite3", max_bytes=10_000_000)
    spool.add([f"bad {number}" for number in range(1100)])
    for row in spool.oldest(1100):
        spool.quarantine(row, "no")
    assert (spool.rows, spool.quarantined) == (0, 1100)
    assert spool._opened().execute("SELECT COUNT(*), MAX(line) FROM quarantine").fetchone() == (1000, "bad 999")


def test_a_damaged_spool_is_set_aside(tmp_path: Path) -> None:
    (tmp_path / "spool.sqlite3").write_bytes(b"broken" * 1000)
    spool = Spool(tmp_path / "spool.sqlite3", max_bytes=10_000)
    spool.add(["grid power_w=1.0 1"])
    assert spool.oldest(5) == [Row(1, "grid power_w=1.0 1")]
    assert (tmp_path / "spool.sqlite3.damaged-1").exists()


@pytest.mark.parametrize(
    ("order", "line"),
    [
        (RecordPoint("grid", {}, {"power_w": 7}, 1.5), "grid power_w=7 1500"),
        (RecordPoint("e v", {"name": "Bay, 1=ü", "empty": ""}, {"a": 1.0}, 1.0), "e\\ v,name=Bay\\,\\ 1\\=ü a=1 1000"),
        (RecordPoint("grid", {"tag": "a\nb\ud800"}, {"a": 1.0}, 1.0), "grid,tag=a\\nb? a=1 1000"),
        (RecordPoint("grid", {}, {"a": float("nan"), "b": 2.5}, 1.0), "grid b=2.5 1000"),
        (RecordPoint("grid", {}, {"a": float("inf")}, 1.0), ""),
    ],
)
def test_lines_are_always_floats(order: RecordPoint, line: str) -> None:
    assert to_line(order) == line


async def test_stop_before_any_start_is_harmless(tmp_path: Path, free_port: int) -> None:
    config = site(tmp_path, free_port)
    assert isinstance(config.history, InfluxHistory)
    forwarder = InfluxForwarder(config.history, tmp_path / "s.sqlite3", print, 0.01)
    await forwarder.stop()
