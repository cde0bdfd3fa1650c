"""The sending half of a socket against a real peer that does not read: deadline, bound, one report."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
from aiohttp import web

from controller.io.links.outgoing import MAX_WAITING_BYTES, Outgoing
from controller.io.tasks import end, spawn


@asynccontextmanager
async def deaf_peer() -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    """A socket whose far side has stopped reading."""

    async def serve(request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        assert request.transport is not None
        request.transport.pause_reading()  # type: ignore[attr-defined]
        await asyncio.Event().wait()
        return socket

    app = web.Application()
    app.router.add_get("/", serve)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    async with aiohttp.ClientSession() as http, http.ws_connect(f"http://127.0.0.1:{runner.addresses[0][1]}/") as socket:
        yield socket
        if (raw := socket.get_extra_info("socket")) is not None:
            raw.shutdown(2)
    await runner.cleanup()


async def test_f65_a_send_that_takes_too_long_is_reported_once() -> None:
    async with deaf_peer() as socket:
        reasons: list[str] = []
        outgoing = Outgoing(socket, reasons.append, deadline_s=0.2)
        sender = spawn(outgoing.run(), "sender")
        while not sender.done():
            if outgoing.waiting_bytes < MAX_WAITING_BYTES // 2:
                outgoing.send("x" * 60_000)
            await asyncio.sleep(0.001)
        assert reasons == ["the peer did not read for 0.2 s"]
        outgoing.send("more")
        outgoing.ping()
        outgoing.close(1000, "late")
        assert outgoing.waiting_bytes == 0
        assert len(reasons) == 1


async def test_f65_the_queue_is_bounded() -> None:
    async with deaf_peer() as socket:
        reasons: list[str] = []
        outgoing = Outgoing(socket, reasons.append)
        most = 0
        for _ in range(100):
            outgoing.send("x" * 50_000)
            most = max(most, outgoing.waiting_bytes)
        assert len(reasons) == 1
        assert "does not read" in reasons[0]
        assert most <= MAX_WAITING_BYTES + 50_000


async def test_a_text_that_cannot_be_sent_ends_the_socket_and_not_the_program() -> None:
    async with deaf_peer() as socket:
        reasons: list[str] = []
        outgoing = Outgoing(socket, reasons.append)
        outgoing.send("\ud800")
        await outgoing.run()
        assert len(reasons) == 1


async def test_sending_into_a_closed_socket_is_reported() -> None:
    async with deaf_peer() as socket:
        reasons: list[str] = []
        outgoing = Outgoing(socket, reasons.append)
        sender = spawn(outgoing.run(), "sender")
        socket.get_extra_info("socket").shutdown(2)
        while not reasons:
            outgoing.send("x" * 1000)
            await asyncio.sleep(0.001)
        assert "sending failed" in reasons[0]
        await end([sender])
