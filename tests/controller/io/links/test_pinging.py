"""A socket of ours pings a peer that is silent, not one that talks, and lives on when the ping is answered (F02)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import WSMsgType, web

from controller.io.links.pinging import StationSocket, UpstreamSocket

HEARTBEAT_S = 0.3
"""A ping must be answered within half of it: long enough for a machine that does other things for a moment."""
Socket = web.WebSocketResponse | aiohttp.ClientWebSocketResponse
Talk = Callable[[Socket], Awaitable[None]]


async def echo(ours: Socket) -> None:
    """Our side: everything comes back."""
    while (message := await ours.receive()).type in (WSMsgType.TEXT, WSMsgType.PONG):
        if message.type is WSMsgType.TEXT:
            await ours.send_str(message.data)


@asynccontextmanager
async def served(socket: Callable[[], web.WebSocketResponse], talk: Talk) -> AsyncIterator[str]:
    """Address of a server whose sockets ``talk`` handles."""

    async def serve(request: web.Request) -> web.StreamResponse:
        ours = socket()
        await ours.prepare(request)
        await talk(ours)
        return ours

    app = web.Application()
    app.router.add_get("/", serve)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}/"
    await runner.cleanup()


async def over(side: str, peer: Talk) -> None:
    """Our socket on one side, ``peer`` on the other."""
    if side == "station":
        async with (
            served(lambda: StationSocket(autoping=False, heartbeat=HEARTBEAT_S), echo) as url,
            aiohttp.ClientSession() as http,
            http.ws_connect(url, autoping=False) as far,
        ):
            await peer(far)
        return
    done = asyncio.get_running_loop().create_future()

    async def far_side(far: Socket) -> None:
        try:
            await peer(far)
            done.set_result(None)
        except BaseException as error:
            done.set_exception(error)
        await far.close()

    async with (
        served(lambda: web.WebSocketResponse(autoping=False), far_side) as url,
        aiohttp.ClientSession(ws_response_class=UpstreamSocket) as http,
        http.ws_connect(url, autoping=False, heartbeat=HEARTBEAT_S) as ours,
    ):
        assert isinstance(ours, UpstreamSocket)
        await echo(ours)
        await done


async def chat(far: Socket, rounds: int) -> None:
    """Talk faster than the heartbeat; a ping may come only after a pause as long as it (a busy machine makes some)."""
    now = asyncio.get_running_loop().time
    before = now() - HEARTBEAT_S  # nobody knows when the other side heard the last word before this
    for _ in range(rounds):
        sent = now()
        await far.send_str("hello")
        message = await far.receive(timeout=5)
        while message.type is WSMsgType.PING:
            assert now() - before >= HEARTBEAT_S, "pinged although it talks"
            await far.pong(message.data)
            message = await far.receive(timeout=5)
        assert message.data == "hello"
        before = sent
        await asyncio.sleep(HEARTBEAT_S / 4)


async def pinged(far: Socket) -> bytes:
    """Be silent until the ping comes."""
    message = await far.receive(timeout=5)
    assert message.type is WSMsgType.PING
    return bytes(message.data)


@pytest.mark.parametrize("side", ["station", "upstream"])
async def test_only_silence_is_pinged(side: str) -> None:
    async def peer(far: Socket) -> None:
        await chat(far, 8)
        await far.pong(await pinged(far))
        await chat(far, 8)
        await pinged(far)

    await over(side, peer)


@pytest.mark.parametrize("side", ["station", "upstream"])
async def test_any_message_answers_a_ping(side: str) -> None:
    async def peer(far: Socket) -> None:
        for _ in range(2):
            await pinged(far)
            await far.send_str("here")
            while (message := await far.receive(timeout=5)).type is WSMsgType.PING:
                pass
            assert message.data == "here"

    await over(side, peer)


@pytest.mark.parametrize("side", ["station", "upstream"])
async def test_a_peer_that_answers_no_ping_is_given_up(side: str) -> None:
    async def peer(far: Socket) -> None:
        await pinged(far)
        assert (await far.receive(timeout=5)).type in (WSMsgType.CLOSE, WSMsgType.CLOSED, WSMsgType.CLOSING, WSMsgType.ERROR)

    await over(side, peer)
