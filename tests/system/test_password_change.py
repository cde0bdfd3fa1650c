"""F27, A01: a password set by the CSMS changes both legs of a running program, over kill -9, and is on no log."""

from __future__ import annotations

import base64
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from tests.support.yard import Yard, free_port, site, until

pytestmark = pytest.mark.system

FIRST, SECOND, UPSTREAM = "the first password", "the second password!", "the password upstream"
EVSES = [{"id": 1, "max_current_a": 32, "fallback_a": 6}]


def basic(password: str) -> str:
    return "Basic " + base64.b64encode(f"CP1:{password}".encode()).decode()


class Csms:
    """A CSMS that lets CP1 in with ``good`` passwords and answers whatever it is asked."""

    def __init__(self) -> None:
        self.good = {UPSTREAM}
        self.tried: list[str] = []
        self.socket: web.WebSocketResponse | None = None
        self.answers: list[list[Any]] = []

    async def serve(self, request: web.Request) -> web.StreamResponse:
        sent = request.headers.get("Authorization", "")
        self.tried.append(sent)
        if sent not in {basic(password) for password in self.good}:
            return web.Response(status=401)
        socket = self.socket = web.WebSocketResponse(protocols=("ocpp2.0.1",))
        await socket.prepare(request)
        async for message in socket:
            frame = message.json()
            if frame[0] == 2:
                answer = {"currentTime": "2026-11-21T16:00:00Z", "interval": 300, "status": "Accepted"} if frame[2] == "BootNotification" else {}
                await socket.send_json([3, frame[1], answer])
            else:
                self.answers.append(frame)
        self.socket = None
        return socket

    async def set_password(self, text: str) -> None:
        assert self.socket is not None
        names = {"component": {"name": "SecurityCtrlr"}, "variable": {"name": "BasicAuthPassword"}}
        await self.socket.send_json([2, "pw-1", "SetVariables", {"setVariableData": [{"attributeValue": text, **names}]}])


@asynccontextmanager
async def csms(port: int) -> AsyncIterator[Csms]:
    far = Csms()
    app = web.Application()
    app.router.add_get("/{tail:.*}", far.serve)
    runner = web.AppRunner(app, shutdown_timeout=0.2)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        yield far
    finally:
        await runner.cleanup()


async def station(yard: Yard, http: aiohttp.ClientSession, password: str) -> aiohttp.ClientWebSocketResponse:
    return await http.ws_connect(f"{yard.ocpp_url}/CP1", protocols=["ocpp2.0.1"], headers={"Authorization": basic(password)})


async def refused(yard: Yard, http: aiohttp.ClientSession, password: str) -> int:
    with pytest.raises(aiohttp.WSServerHandshakeError) as answer:
        await station(yard, http, password)
    return answer.value.status


async def accept_password(socket: aiohttp.ClientWebSocketResponse) -> None:
    """The station takes whatever password it is given; all else it does not know."""
    while True:
        frame = await socket.receive_json(timeout=10)
        if frame[0] == 2 and frame[2] == "SetVariables":
            names = {"component": {"name": "SecurityCtrlr"}, "variable": {"name": "BasicAuthPassword"}}
            await socket.send_json([3, frame[1], {"setVariableResult": [{"attributeStatus": "Accepted", **names}]}])
            return
        if frame[0] == 2:
            await socket.send_json([4, frame[1], "NotSupported", "", {}])


async def test_f27_both_legs_change_and_a_kill_in_between_loses_neither(tmp_path: Path) -> None:
    port = free_port()
    upstream = {"id": "cloud", "url": f"ws://127.0.0.1:{port}/ocpp", "password": UPSTREAM, "reconnect_min_s": 0.2, "reconnect_max_s": 0.5}
    data = site(tmp_path, stations=[{"id": "CP1", "password": FIRST, "evses": EVSES}], upstreams=[upstream])
    async with csms(port) as far, aiohttp.ClientSession() as http, Yard(tmp_path, data) as yard:
        box = await station(yard, http, FIRST)
        await until(lambda: far.socket is not None)
        assert far.tried[-1] == basic(UPSTREAM)
        await far.set_password(SECOND)
        await accept_password(box)
        await until(lambda: any(answer[1] == "pw-1" for answer in far.answers))
        far.good = {SECOND}

        await yard.kill()
        await box.close()
        await yard.start()

        again = await station(yard, http, SECOND)
        await until(lambda: far.socket is not None)
        assert far.tried[-1] == basic(SECOND)
        await again.close()
        await until(lambda: far.socket is None)
        assert await refused(yard, http, FIRST) == 401, "the old one ended with the first use of the new (A01.FR.03)"
        last = await station(yard, http, SECOND)
        await last.close()

    said = yard.log.read_text()
    assert not any(password in said or basic(password) in said for password in (FIRST, SECOND, UPSTREAM))
    assert {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "data").glob("journal.sqlite3*")} == {0o600}
    assert SECOND.encode() in b"".join(path.read_bytes() for path in (tmp_path / "data").glob("journal.sqlite3*")), "that leg has to show it"


async def test_f27_a_no_of_the_station_leaves_both_legs_as_they_were(tmp_path: Path) -> None:
    port = free_port()
    upstream = {"id": "cloud", "url": f"ws://127.0.0.1:{port}/ocpp", "password": UPSTREAM, "reconnect_min_s": 0.2}
    data = site(tmp_path, stations=[{"id": "CP1", "password": FIRST, "evses": EVSES}], upstreams=[upstream])
    async with csms(port) as far, aiohttp.ClientSession() as http, Yard(tmp_path, data) as yard:
        box = await station(yard, http, FIRST)
        await until(lambda: far.socket is not None)
        await far.set_password(SECOND)
        while (frame := await box.receive_json(timeout=10))[2] != "SetVariables":
            await box.send_json([4, frame[1], "NotSupported", "", {}])
        await box.send_json([4, frame[1], "InternalError", "", {}])
        await until(lambda: far.answers)
        assert far.answers[0][:2] == [4, "pw-1"]
        await box.close()
        await until(lambda: far.socket is None)
        assert await refused(yard, http, SECOND) == 401
        await (await station(yard, http, FIRST)).close()
        assert set(far.tried) == {basic(UPSTREAM)}
