"""Real servers of history for tests: InfluxData's influxd 1.6 behind a translation of the v2 write call, and VictoriaMetrics.

Debian's packages, unpacked by ``deploy/install-test-tools.sh`` below build/test-tools (or installed). On the loopback address,
each with a folder of its own, so that a server can be killed and started again with what it had stored.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import socket
import subprocess
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

HOST = "127.0.0.1"
TOOLS = Path(__file__).parents[2] / "build" / "test-tools" / "usr" / "bin"
UP_S = 30.0


def program(name: str) -> str:
    """Where a server's program is; the test fails with what to do if it is nowhere."""
    found = shutil.which(name) or shutil.which(name, path=str(TOOLS))
    if found is None:
        pytest.fail(f"{name} is not there; run: deploy/install-test-tools.sh")
    return found


def free_ports(count: int) -> list[int]:
    """Ports nobody listens on, all different."""
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind((HOST, 0))
    ports = [int(one.getsockname()[1]) for one in sockets]
    for one in sockets:
        one.close()
    return ports


class Server:
    """A process with an HTTP port. command: made anew at each start."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._process: subprocess.Popen[bytes] | None = None
        self.http = 0

    def command(self) -> list[str]:
        """How it is started."""
        raise NotImplementedError

    async def launch(self) -> None:
        """Start and wait until it answers."""
        self._process = self._spawn()
        async with asyncio.timeout(UP_S):
            while True:
                with socket.socket() as probe:
                    if probe.connect_ex((HOST, self.http)) == 0:
                        return
                assert self._process.poll() is None, f"the server ended with {self._process.returncode}"
                await asyncio.sleep(0.05)

    def _spawn(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(self.command(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def kill(self) -> None:
        """As a power cut: no goodbye."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)
            self._process = None

    async def points(self) -> list[tuple[int, float]]:
        """(milliseconds, power_w) of measurement grid, as stored, oldest first."""
        raise NotImplementedError


class Influxd(Server):
    """influxd 1.6: strict about types and lines. url: of the v2 write call."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.http, self._rpc, self._door = free_ports(3)
        self.url = f"http://{HOST}:{self._door}"
        self._runner: web.AppRunner | None = None
        self._session: aiohttp.ClientSession | None = None

    def command(self) -> list[str]:
        """With everything below the folder."""
        file = self.folder / "influx.toml"
        store = {name: f'dir="{self.folder / name}"' for name in ("meta", "data")}
        file.write_text(
            f'reporting-disabled=true\nbind-address="{HOST}:{self._rpc}"\n[meta]\n{store["meta"]}\n[data]\n{store["data"]}\n'
            f'wal-dir="{self.folder / "wal"}"\n[http]\nbind-address="{HOST}:{self.http}"\n',
            encoding="utf-8",
        )
        return [program("influxd"), "-config", str(file)]

    async def start(self) -> None:
        """The server, its database and the door in front of it."""
        self._session = aiohttp.ClientSession()
        await self.launch()
        await self.ask("CREATE DATABASE depot", "POST")
        app = web.Application(client_max_size=2**24)
        app.router.add_post("/api/v2/write", self._write)
        self._runner = web.AppRunner(app, shutdown_timeout=0.2)
        await self._runner.setup()
        await web.TCPSite(self._runner, HOST, self._door).start()

    async def stop(self) -> None:
        """Everything."""
        if self._runner is not None:
            await self._runner.cleanup()
        if self._session is not None:
            await self._session.close()
        self.kill()

    async def ask(self, question: str, method: str = "GET") -> Any:
        """InfluxQL."""
        assert self._session is not None
        where = {"q": question, "db": "depot", "epoch": "ms"}
        async with self._session.request(method, f"http://{HOST}:{self.http}/query", params=where) as answer:
            return await answer.json()

    async def points(self) -> list[tuple[int, float]]:
        """See Server."""
        found = await self.ask("SELECT power_w FROM grid")
        series = found["results"][0].get("series")
        return [(int(row[0]), float(row[1])) for row in series[0]["values"]] if series else []

    async def put(self, line: str) -> int:
        """A line past our program, nanoseconds; the status."""
        assert self._session is not None
        async with self._session.post(f"http://{HOST}:{self.http}/write", params={"db": "depot"}, data=line.encode()) as answer:
            return answer.status

    async def _write(self, request: web.Request) -> web.Response:
        """Unpacks a body and leaves the label on, as a careless door does."""
        assert self._session is not None
        where = {"db": request.query["bucket"], "precision": request.query["precision"]}
        label = {name: value for name, value in request.headers.items() if name.lower() == "content-encoding"}
        try:
            async with self._session.post(f"http://{HOST}:{self.http}/write", params=where, data=await request.read(), headers=label) as answer:
                text = await answer.text()
                return web.Response(status=204) if answer.status == 204 else web.json_response({"message": text}, status=answer.status)
        except aiohttp.ClientError:
            return web.Response(status=502)


class VictoriaMetrics(Server):
    """Takes nearly everything with 204. Duplicates of one moment are folded, as our documentation asks for."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        (self.http,) = free_ports(1)
        self.url = f"http://{HOST}:{self.http}"

    def command(self) -> list[str]:
        """With everything below the folder."""
        store = f"-storageDataPath={self.folder / 'vm'}"
        return [program("victoria-metrics"), f"-httpListenAddr={HOST}:{self.http}", store, "-retentionPeriod=100y", "-dedup.minScrapeInterval=1ms"]

    async def flush(self) -> None:
        """What it has taken becomes visible."""
        await self._get("/internal/force_flush")

    async def secure(self) -> None:
        """What it has taken is on its disk: it keeps the last seconds in memory otherwise, and a snapshot needs files."""
        await self.flush()
        await self._get("/snapshot/create")

    async def _get(self, path: str) -> None:
        async with aiohttp.ClientSession() as session, session.get(self.url + path) as answer:
            assert answer.status == 200

    async def points(self) -> list[tuple[int, float]]:
        """See Server."""
        await self.flush()
        async with aiohttp.ClientSession() as session, session.get(f"{self.url}/api/v1/export", params={"match[]": "grid_power_w"}) as answer:
            rows = [json.loads(line) for line in (await answer.text()).splitlines()]
        return sorted((int(at), float(value)) for row in rows for at, value in zip(row["timestamps"], row["values"], strict=True))
