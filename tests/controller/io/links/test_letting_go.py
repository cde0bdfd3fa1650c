"""F71: a connection that has ended leaves memory at once. What only a garbage collection finds would add up: storms of reconnecting stations
left 100 KiB each, most of it compressors, until 100 000 objects had come together.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator

import aiohttp
import pytest
from aiohttp import web

from controller.config import Config
from controller.facts import StationArrived, StationClosed, StationConnected, UpstreamClosed, UpstreamFrame, UpstreamOpened
from controller.io.clock import Clock
from controller.io.links.door import Handler
from controller.io.links.outgoing import Outgoing
from controller.io.links.pinging import StationSocket, UpstreamSocket
from controller.io.links.station_session import StationSession
from controller.io.links.stations import StationsShell
from controller.io.links.upstream import UpstreamShell
from controller.orders import AnswerStation, CloseStation, CloseUpstream, DialUpstream, SendStation, SendUpstream
from tests.support.facts import FactLog
from tests.support.yard import until

VERSION = "ocpp2.0.1"
HELD = (StationSocket, UpstreamSocket, StationSession, Outgoing, Handler)


def config(url: str = "ws://127.0.0.1:9/") -> Config:
    return Config.model_validate(
        {
            "site": {"id": "t"},
            "grid": {"fuse_a": 63, "worst_other_load_a": 10},
            "listen": {"host": "127.0.0.1", "port": 0},
            "stations": [{"id": "CP1", "evses": [{"id": 1, "max_current_a": 32, "fallback_a": 6}]}],
            "upstreams": [{"id": "cloud", "url": url}],
        }
    )


@pytest.fixture
def uncollected() -> Iterator[None]:
    """Nobody searches meanwhile."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def held() -> list[str]:
    """Names of what is still in memory of any connection."""
    return [type(one).__name__ for one in gc.get_objects() if isinstance(one, HELD)]


class Site(FactLog):
    """Answers arriving stations as the engine would."""

    shell: StationsShell

    def submit(self, fact: object) -> None:
        super().submit(fact)  # type: ignore[arg-type]
        if isinstance(fact, StationArrived):
            self.shell.carry(AnswerStation(fact.station_id, fact.ticket, fact.offered[0]))


@pytest.mark.parametrize("by_us", [False, True])
@pytest.mark.parametrize("compress", [0, 15])
async def test_a_station_that_left_is_gone_from_memory(uncollected: None, by_us: bool, compress: int) -> None:
    site = Site()
    site.shell = StationsShell(config(), Clock(), site.submit)
    await site.shell.start()
    try:
        async with aiohttp.ClientSession() as http:
            socket = await http.ws_connect(f"http://127.0.0.1:{site.shell.port}/ocpp/CP1", protocols=(VERSION,), compress=compress)
            await site.next(StationConnected)
            site.shell.carry(SendStation("CP1", 1, '[2,"1","Reset",{}]'))
            assert await socket.receive_str() == '[2,"1","Reset",{}]'
            assert len(set(held())) == 4, "all but the upstream's socket"
            if by_us:
                site.shell.carry(CloseStation("CP1", 1, 1000, "test"))
                assert (await socket.receive()).type is aiohttp.WSMsgType.CLOSE
            await socket.close()
            await site.next(StationClosed)
        await until(lambda: not held(), 5.0)
    finally:
        await site.shell.stop()


@pytest.mark.parametrize("by_us", [False, True])
async def test_a_csms_that_left_is_gone_from_memory(uncollected: None, by_us: bool) -> None:
    far: list[web.WebSocketResponse] = []

    async def serve(request: web.Request) -> web.StreamResponse:
        far.append(web.WebSocketResponse(protocols=(VERSION,)))
        await far[0].prepare(request)
        await far[0].send_str(await far[0].receive_str())
        await far[0].receive()
        return far[0]

    app = web.Application()
    app.router.add_get("/{tail:.*}", serve)
    runner = web.AppRunner(app, shutdown_timeout=0.2)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    facts = FactLog()
    shell = UpstreamShell(config(f"ws://127.0.0.1:{runner.addresses[0][1]}/"), Clock(), facts.submit)
    await shell.start()
    try:
        shell.carry(DialUpstream("CP1", 1, "cloud", (VERSION,), ""))
        await facts.next(UpstreamOpened)
        shell.carry(SendUpstream("CP1", 1, "echo me"))
        await facts.next(UpstreamFrame)
        assert sorted(set(held())) == ["Outgoing", "UpstreamSocket"]
        if by_us:
            shell.carry(CloseUpstream("CP1", 1, "test"))
        else:
            await far[0].close()
        await facts.next(UpstreamClosed)
        await until(lambda: not held(), 5.0)
    finally:
        await shell.stop()
        await runner.cleanup()
