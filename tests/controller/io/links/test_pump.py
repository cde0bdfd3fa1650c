"""Texts in the stack of the read, everything else and every refused text through ``receive()``, in order."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import WSMsgType, web

from controller.io.links.pump import Pump, install, pumping

Handler = Callable[[web.WebSocketResponse], Awaitable[None]]


@pytest.fixture(autouse=True)
def _installed() -> None:
    install()


@asynccontextmanager
async def pair(handler: Handler, compress: int = 0) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    """A client whose server side is in the handler's hands."""

    async def serve(request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse(autoping=False, autoclose=False, compress=bool(compress))
        await socket.prepare(request)
        await handler(socket)
        await socket.close()
        return socket

    app = web.Application()
    app.router.add_get("/", serve)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}/"
    async with aiohttp.ClientSession() as http, http.ws_connect(url, compress=compress) as socket:
        yield socket
    await runner.cleanup()


@pytest.mark.parametrize("compress", [0, 15])
async def test_a_text_never_reaches_the_task_and_a_ping_always_does(compress: int) -> None:
    taken: list[str] = []
    received: list[WSMsgType] = []
    ended = asyncio.Event()

    def take(text: str) -> bool:
        taken.append(text)
        return True

    async def handler(socket: web.WebSocketResponse) -> None:
        with pumping(socket, take) as ours:
            assert ours
            received.append((await socket.receive()).type)
        ended.set()

    async with pair(handler, compress) as client:
        await client.send_str("one")
        await client.send_str("two" * 1000)
        await client.ping(b"x")
        await ended.wait()
    assert taken == ["one", "two" * 1000]
    assert received == [WSMsgType.PING]


async def test_a_refused_text_waits_in_line_and_nothing_overtakes_it() -> None:
    order: list[str] = []
    willing = False
    ended = asyncio.Event()

    def take(text: str) -> bool:
        if willing:
            order.append(f"taken {text}")
        return willing

    async def handler(socket: web.WebSocketResponse) -> None:
        nonlocal willing
        with pumping(socket, take):
            first = await socket.receive()  # "1" was refused
            willing = True
            order.append(f"received {first.data}")
            while len(order) < 3:
                message = await socket.receive()
                if message.type is WSMsgType.TEXT:
                    order.append(f"received {message.data}")
                else:
                    break
        ended.set()

    async with pair(handler) as client:
        for text in "123":
            await client.send_str(text)
        await client.ping()
        await ended.wait()
    assert [line[-1] for line in order] == ["1", "2", "3"]
    assert order[0] == "received 1"


async def test_the_consumer_is_let_go_with_the_block() -> None:
    ended = asyncio.Event()
    texts: list[str] = []

    async def handler(socket: web.WebSocketResponse) -> None:
        with pumping(socket, lambda text: True):
            pass
        texts.append((await socket.receive()).data)
        ended.set()

    async with pair(handler) as client:
        await client.send_str("for receive")
        await ended.wait()
    assert texts == ["for receive"]


async def test_the_client_side_has_a_pump_too_and_closing_stays_with_aiohttp() -> None:
    taken: list[str] = []

    async def handler(socket: web.WebSocketResponse) -> None:
        await socket.receive()
        await socket.send_str("hello")

    async with pair(handler) as client:
        assert isinstance(client._reader, Pump)
        with pumping(client, lambda text: taken.append(text) is None):
            await client.send_str("go")
            message = await client.receive()
        assert message.type is WSMsgType.CLOSE
        assert client.close_code == 1000
    assert taken == ["hello"]


def test_a_socket_without_a_pump_is_no_error() -> None:
    with pumping(web.WebSocketResponse(), lambda text: True) as ours:
        assert not ours
