"""The history server is down for a while: every point waits on disk and arrives, control does not notice (F84)."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from controller.io.history.store import HistoryStore
from tests.support.depot import FALLBACK_A, Depot, stations_config
from tests.support.yard import Yard, free_port, site, until

pytestmark = pytest.mark.system

TOKEN = "a-token-of-the-test"
# measurement[,tag=value]* field=float[,field=float]* milliseconds
LINE = re.compile(r"^([a-z_]+)((?:,[a-z_]+=(?:\\.|[^ ,=\\])+)*) ([a-z0-9_]+=-?[0-9.e+-]+(?:,[a-z0-9_]+=-?[0-9.e+-]+)*) (\d{13})$")


class Influx:
    """Stands in for InfluxDB: takes only what the v2 write API takes, counts points."""

    def __init__(self) -> None:
        self.port = free_port()
        self.points: list[tuple[str, str, int]] = []
        self.refusals: list[str] = []
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        app = web.Application()
        app.router.add_post("/api/v2/write", self._write)
        self._runner = web.AppRunner(app, shutdown_timeout=0.5)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port).start()

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _write(self, request: web.Request) -> web.Response:
        if request.headers.get("Authorization") != f"Token {TOKEN}":
            return self._refuse(401, "unauthorized")
        if dict(request.query) != {"org": "depot", "bucket": "yard", "precision": "ms"}:
            return self._refuse(404, "no such bucket")
        matches = [LINE.match(line) for line in (await request.text()).splitlines()]
        if not matches or None in matches:
            return self._refuse(400, "bad line protocol")
        self.points += [(match[1], match[2], int(match[4])) for match in matches if match]
        return web.Response(status=204)

    def _refuse(self, status: int, text: str) -> web.Response:
        self.refusals.append(text)
        return web.json_response({"code": "invalid", "message": text}, status=status)

    def of(self, measurement: str) -> list[int]:
        return sorted(wall_ms for name, _, wall_ms in self.points if name == measurement)


async def _health(yard: Yard) -> str:
    sources = (await yard.state())["site"]["sources"]
    return next((str(source["health"]) for source in sources if source["name"] == "history"), "unknown")


async def _is(yard: Yard, health: str) -> bool:
    return await _health(yard) == health


def spooled(folder: Path, measurement: str) -> int:
    """How many points of a measurement wait on disk."""
    with closing(sqlite3.connect(f"file:{folder}/data/spool.sqlite3?mode=ro", uri=True)) as db:
        return int(db.execute("SELECT count(*) FROM spool WHERE line LIKE ?", (f"{measurement},%",)).fetchone()[0])


def config(folder: Path, influx: Influx) -> dict[str, Any]:
    history = {"type": "influxdb", "url": f"http://127.0.0.1:{influx.port}", "org": "depot", "bucket": "yard", "token": TOKEN}
    control = {"setpoint_life_s": 20, "setpoint_renew_s": 8, "offline_hold_s": 20}
    return site(folder, stations=stations_config(), history=history, control=control)


async def test_points_of_an_outage_arrive_afterwards(tmp_path: Path) -> None:
    influx = Influx()
    await influx.start()
    async with Yard(tmp_path, config(tmp_path, influx)) as yard, Depot(yard.ocpp_url, sample_s=1.0) as depot:
        await until(lambda: depot.stations[0].accepted)
        depot.plug_in()
        await until(lambda: influx.of("grid"))
        await influx.stop()
        before = len(influx.points)
        went_s = depot.clock.stamp().wall_s

        # Down: sessions end and begin, control goes on, the controller is even killed; each session end is a point.
        for _ in range(3):
            await until(lambda: depot.offer_a() > FALLBACK_A and depot.current_a > FALLBACK_A)
            depot.unplug()
            await until(lambda: depot.stations[0].waiting == 0)
            depot.plug_in()
        await until(lambda: _is(yard, "lost"), 30)
        await until(lambda: depot.offer_a() > FALLBACK_A)
        assert len(influx.points) == before
        await until(lambda: spooled(tmp_path, "session") == 3)  # a kill takes along what has not reached the disk
        await yard.kill()
        await yard.start()
        await until(lambda: depot.stations[0].connected and depot.stations[0].accepted, 30)

        await influx.start()
        returned_s = depot.clock.stamp().wall_s
        await until(lambda: _is(yard, "good"), 40)
        await until(lambda: len(influx.of("session")) == 3, 40)
        late = [wall_ms for wall_ms in influx.of("grid") if went_s <= wall_ms / 1000 <= returned_s]
        print(f"{len(influx.points) - before} points arrived after the outage, {len(late)} of them grid points from within it")
        assert late
    await influx.stop()
    assert influx.refusals == []
    assert len(set(influx.points)) == len(influx.points)
    # What the page's own file has of that time has come to the server, too: nothing is missing in between, however slow this machine was.
    (grid, *_) = HistoryStore(tmp_path / "data" / "history.sqlite3").query("grid", {}, went_s, returned_s, 10**6)
    recorded = [round(wall_s * 1000) for wall_s, _ in grid.points]
    assert recorded
    assert set(recorded) <= set(influx.of("grid"))
