"""The upstream client against a real WebSocket server: dials, refusals, order, stale generations, bounds."""

from __future__ import annotations

import asyncio
import base64
import random
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from controller.config import Config
from controller.facts import UpstreamClosed, UpstreamFrame, UpstreamOpened
from controller.io.clock import Clock
from controller.io.links.upstream import UNACKNOWLEDGED_S, UpstreamShell, upstream_url
from controller.orders import CloseUpstream, DialUpstream, SendUpstream
from tests.support.facts import FactLog
from tests.support.yard import until

PASSWORD = "secret-of-the-csms"
SELF_MADE = """\
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQghgkrXFEtXTxh+2hh
rHjbmoZaQHrw1oDNJQbzKL0a7AihRANCAAQZAAF9Y4KuRfk4wZCr4B9Z5UOIZcyU
P3RyseP6gpOU7YdzoCXD1W7X7kXvajOEFJgNUH2lM0JTru+ub/IwM0Ln
-----END PRIVATE KEY-----
-----BEGIN CERTIFICATE-----
MIIBkDCCATagAwIBAgIUEWkyZjYn18lgmJZlLhe2hHTmfdUwCgYIKoZIzj0EAwIw
FDESMBAGA1UEAwwJMTI3LjAuMC4xMCAXDTI2MTEyMTAzMjYyOVoYDzIxMjYxMDI4
MDMyNjI5WjAUMRIwEAYDVQQDDAkxMjcuMC4wLjEwWTATBgcqhkjOPQIBBggqhkjO
PQMBBwNCAAQZAAF9Y4KuRfk4wZCr4B9Z5UOIZcyUP3RyseP6gpOU7YdzoCXD1W7X
7kXvajOEFJgNUH2lM0JTru+ub/IwM0Lno2QwYjAdBgNVHQ4EFgQU1xzpBHRHG2Rn
7dayoeYZzTdNa8cwHwYDVR0jBBgwFoAU1xzpBHRHG2Rn7dayoeYZzTdNa8cwDwYD
VR0TAQH/BAUwAwEB/zAPBgNVHREECDAGhwR/AAABMAoGCCqGSM49BAMCA0gAMEUC
IHz7sj0a0Qq3ykeKFZtejwrhV2wD/OEF8Bc3UapMAB4pAiEAwLyL1rl+vycM/K+N
aTs98EM9Hcm5MgrX/rn7Kns71Es=
-----END CERTIFICATE-----
"""
"""A certificate for 127.0.0.1 that nobody has signed, valid for a hundred years, and its key. Serves this test and nothing else."""
Handler = Callable[[web.Request, web.WebSocketResponse], Awaitable[None]]


async def echo(request: web.Request, ws: web.WebSocketResponse) -> None:
    async for message in ws:
        await ws.send_str(f"echo {message.data}")


class Csms(FactLog):
    """A server, the shell that dials it, and the shell's facts."""

    def __init__(self) -> None:
        super().__init__()
        self.requests: list[web.Request] = []
        self.sockets: list[web.WebSocketResponse] = []
        self.shell: UpstreamShell
        self.url = ""

    def dial(self, station_id: str = "CP1", generation: int = 1, version: str = "ocpp2.0.1", url_tail: str = "") -> None:
        self.shell.carry(DialUpstream(station_id, generation, "cloud", (version,), url_tail))

    def send(self, text: str, generation: int = 1, station_id: str = "CP1", mirror_id: str = "") -> None:
        self.shell.carry(SendUpstream(station_id, generation, text, mirror_id))


@asynccontextmanager
async def csms(
    handler: Handler = echo,
    *,
    speaks: tuple[str, ...] = ("ocpp2.0.1",),
    status: int = 0,
    headers: dict[str, str] | None = None,
    upstream: dict[str, Any] | None = None,
    tls: ssl.SSLContext | None = None,
    **more: Any,
) -> AsyncIterator[Csms]:
    far = Csms()

    async def serve(request: web.Request) -> web.StreamResponse:
        far.requests.append(request)
        if status:
            return web.Response(status=status, headers=headers)
        ws = web.WebSocketResponse(protocols=speaks, timeout=1.0, autoping=handler is not deaf)
        await ws.prepare(request)
        far.sockets.append(ws)
        await handler(request, ws)
        return ws

    app = web.Application()
    app.router.add_get("/{tail:.*}", serve)
    runner = web.AppRunner(app, shutdown_timeout=0.2)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
    await site.start()
    far.url = f"{'ws' if tls is None else 'wss'}://127.0.0.1:{runner.addresses[0][1]}/ocpp"
    far.shell = UpstreamShell(config({"id": "cloud", "url": far.url, **(upstream or {})}), Clock(), far.submit, **more)
    await far.shell.start()
    try:
        yield far
    finally:
        await far.shell.stop()
        await runner.cleanup()


@asynccontextmanager
async def dialling(url: str, **upstream: Any) -> AsyncIterator[Csms]:
    """A shell that has dialled a server which is no CSMS of ours."""
    far = Csms()
    far.shell = UpstreamShell(config({"id": "cloud", "url": url, **upstream}), Clock(), far.submit)
    await far.shell.start()
    try:
        far.dial()
        yield far
    finally:
        await far.shell.stop()


def config(upstream: dict[str, Any]) -> Config:
    return Config.model_validate({"site": {"id": "test"}, "grid": {"fuse_a": 63, "worst_other_load_a": 20}, "upstreams": [upstream]})


async def deaf(request: web.Request, ws: web.WebSocketResponse) -> None:
    """Takes the connection and never reads."""
    assert request.transport is not None
    request.transport.pause_reading()  # type: ignore[attr-defined]
    await asyncio.Event().wait()


async def test_a_dial_opens_frames_go_both_ways_and_a_close_ends_it() -> None:
    async with csms() as far:
        far.dial("CP 1/ü", url_tail="/CP%201?token=a%2Fb")
        opened = await far.next(UpstreamOpened)
        assert (opened.station_id, opened.generation, opened.version) == ("CP 1/ü", 1, "ocpp2.0.1")
        request = far.requests[0]
        assert request.raw_path == "/ocpp/CP%201%2F%C3%BC?token=a%2Fb"
        assert request.headers["Sec-WebSocket-Protocol"] == "ocpp2.0.1"
        assert "permessage-deflate" in request.headers["Sec-WebSocket-Extensions"]
        assert "Authorization" not in request.headers
        text = '[2, "7",  "Heartbeat", {} ]'
        far.send(text, station_id="CP 1/ü")
        assert (await far.next(UpstreamFrame)).text == f"echo {text}"
        far.shell.carry(CloseUpstream("CP 1/ü", 1, "station left"))
        assert (await far.next(UpstreamClosed)).generation == 1
        await far.until(lambda: far.sockets[0].close_code == 1000)
        assert len(far.of(UpstreamClosed)) == 1


async def test_frames_keep_their_order() -> None:
    async with csms() as far:
        far.dial()
        await far.next(UpstreamOpened)
        for number in range(500):
            far.send(str(number))
        await far.next(UpstreamFrame, 500)
        assert [frame.text for frame in far.of(UpstreamFrame)] == [f"echo {n}" for n in range(500)]


async def test_each_station_has_a_socket_of_its_own_beyond_the_client_default_of_100() -> None:
    async with csms() as far:
        for number in range(120):
            far.dial(f"CP{number}")
        await far.next(UpstreamOpened, 120)
        assert len({request.raw_path for request in far.requests}) == 120


async def test_the_password_goes_out_as_basic_auth_and_nowhere_else() -> None:
    async with csms(upstream={"password": PASSWORD}) as far:
        far.dial()
        await far.next(UpstreamOpened)
        assert far.requests[0].headers["Authorization"] == "Basic " + base64.b64encode(f"CP1:{PASSWORD}".encode()).decode()
        assert PASSWORD not in repr(far.facts)


async def test_f83_an_unreadable_password_file_means_no_connection() -> None:
    async with csms(upstream={"password_file": "/nowhere"}) as far:
        far.dial()
        assert "password file cannot be read" in (await far.next(UpstreamClosed)).reason
        assert not far.requests


@pytest.mark.parametrize(("status", "words"), [(401, "another password"), (404, "does not know this identity"), (503, "HTTP 503")])
async def test_a_refusal_is_told_in_words(status: int, words: str) -> None:
    async with csms(status=status) as far:
        far.dial()
        closed = await far.next(UpstreamClosed)
        assert words in closed.reason
        assert closed.refused == (status < 500)
        assert not closed.no_common_version
        assert not far.of(UpstreamOpened)


@pytest.mark.parametrize(("status", "doubt"), [(400, True), (426, True), (401, False), (404, False), (503, False)])
async def test_a_csms_that_answers_a_bad_request_may_speak_another_version_but_nobody_knows(status: int, doubt: bool) -> None:
    async with csms(status=status) as far:
        far.dial()
        closed = await far.next(UpstreamClosed)
        assert (closed.no_common_version, closed.version_in_doubt) == (False, doubt)


@pytest.mark.parametrize("speaks", [(), ("ocpp1.6",)])
async def test_a_csms_that_does_not_agree_to_the_version_is_left(speaks: tuple[str, ...]) -> None:
    async with csms(speaks=speaks) as far:
        far.dial()
        closed = await far.next(UpstreamClosed)
        assert "did not agree to ocpp2.0.1" in closed.reason
        assert closed.no_common_version
        assert not far.of(UpstreamOpened)
        await until(lambda: far.sockets[0].close_code == 1002)


@pytest.mark.parametrize(
    ("speaks", "chosen"), [(("ocpp2.0.1", "ocpp1.6"), "ocpp2.0.1"), (("ocpp1.6",), "ocpp1.6"), (("ocpp1.6", "ocpp2.1"), "ocpp1.6")]
)
async def test_the_whole_offer_goes_out_in_order_and_the_choice_comes_back(speaks: tuple[str, ...], chosen: str) -> None:
    offered = ("ocpp2.0.1", "ocpp1.6", "ocpp2.1")
    async with csms(speaks=speaks) as far:
        far.shell.carry(DialUpstream("CP1", 1, "cloud", offered))
        assert (await far.next(UpstreamOpened)).version == chosen
        assert far.requests[0].headers["Sec-WebSocket-Protocol"].replace(" ", "") == ",".join(offered)


async def test_a_mirror_s_leg_is_another_one() -> None:
    async with csms() as far:
        far.dial()
        far.shell.carry(DialUpstream("CP1", 7, "cloud", ("ocpp2.0.1",), mirror_id="m1"))
        opened = [await far.next(UpstreamOpened), await far.next(UpstreamOpened, 2)]
        assert {(fact.mirror_id, fact.generation) for fact in opened} == {("", 1), ("m1", 7)}
        far.send("to the primary")
        far.send("to the mirror", 7, mirror_id="m1")
        far.send("to nobody", 1, mirror_id="m1")
        frames = [await far.next(UpstreamFrame), await far.next(UpstreamFrame, 2)]
        assert {(fact.mirror_id, fact.text) for fact in frames} == {("", "echo to the primary"), ("m1", "echo to the mirror")}
        far.shell.carry(CloseUpstream("CP1", 7, "done", "m1"))
        closed = await far.next(UpstreamClosed)
        assert (closed.mirror_id, closed.generation) == ("m1", 7)
        far.send("again")
        await far.next(UpstreamFrame, 3)
        assert len(far.of(UpstreamClosed)) == 1


@pytest.mark.parametrize(("password", "sent"), [("given by the CSMS", b"given by the CSMS"), ("\udcff\udc80key", b"\xff\x80key"), ("", b"")])
async def test_a_station_s_own_password_wins_over_the_configured_one(password: str, sent: bytes) -> None:  # trap 6
    async with csms(upstream={"password": PASSWORD}) as far:
        order = DialUpstream("CP1", 1, "cloud", ("ocpp2.0.1",), password=password)
        far.shell.carry(order)
        await far.next(UpstreamOpened)
        assert base64.b64decode(far.requests[0].headers["Authorization"].removeprefix("Basic ")) == b"CP1:" + sent
        assert password not in repr(order) or not password


async def test_nobody_there(free_port: int) -> None:
    log = FactLog()
    shell = UpstreamShell(config({"id": "cloud", "url": f"ws://127.0.0.1:{free_port}/"}), Clock(), log.submit)
    await shell.start()
    shell.carry(DialUpstream("CP1", 1, "cloud", ("ocpp2.0.1",)))
    assert "cannot connect" in (await log.next(UpstreamClosed)).reason
    shell.carry(DialUpstream("CP1", 2, "elsewhere", ("ocpp2.0.1",)))
    assert "not in the configuration" in (await log.next(UpstreamClosed, 2)).reason
    await shell.stop()


async def test_f30_a_redirect_is_not_followed() -> None:
    async with csms() as elsewhere:
        new_address = f"{elsewhere.url.replace('ws:', 'http:')}/CP1"

        async def redirect(request: web.Request, ws: web.WebSocketResponse) -> None:
            raise AssertionError("never gets here")

        async with csms(redirect, status=302, headers={"Location": new_address}, upstream={"password": PASSWORD}) as far:
            far.dial()
            closed = await far.next(UpstreamClosed)
            assert "redirects (HTTP 302)" in closed.reason
            assert len(far.facts) == 1
        assert elsewhere.requests == []


@pytest.mark.parametrize(
    ("answer", "words"), [(b"HTTP/1.1 101 Switching Protocols\r\n\r\n", "no valid WebSocket handshake"), (b"", "cannot connect")]
)
async def test_a_server_that_is_no_csms_is_told_apart(answer: bytes, words: str) -> None:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    async with server, dialling(f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/ocpp") as far:
        assert words in (await far.next(UpstreamClosed)).reason


@asynccontextmanager
async def tls_server(folder: Path) -> AsyncIterator[tuple[int, list[bytes]]]:
    """Its port and whatever plain text it came to read behind the TLS handshake."""
    heard: list[bytes] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.read(1000))
        writer.close()

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    (folder / "both.pem").write_text(SELF_MADE, encoding="ascii")
    context.load_cert_chain(folder / "both.pem")
    server = await asyncio.start_server(handle, "127.0.0.1", 0, ssl=context)
    async with server:
        yield server.sockets[0].getsockname()[1], heard


async def test_f30_an_unknown_certificate_means_no_connection_and_not_a_word_is_sent(tmp_path: Path) -> None:
    async with tls_server(tmp_path) as (port, heard), dialling(f"wss://127.0.0.1:{port}/ocpp", password=PASSWORD) as far:
        closed = await far.next(UpstreamClosed)
        assert "certificate is not accepted (self-signed certificate)" in closed.reason
        assert heard == []
        assert len(far.facts) == 1


def self_made(folder: Path) -> tuple[ssl.SSLContext, Path]:
    """A server's side of TLS, and the certificate to trust it by."""
    (folder / "both.pem").write_text(SELF_MADE, encoding="ascii")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "both.pem")
    trusted = folder / "ca.pem"
    trusted.write_text(SELF_MADE[SELF_MADE.index("-----BEGIN CERTIFICATE") :], encoding="ascii")
    return context, trusted


async def test_a_ca_of_one_s_own_is_trusted_and_nothing_else(tmp_path: Path) -> None:
    context, trusted = self_made(tmp_path)
    async with csms(tls=context, upstream={"ca_file": str(trusted)}) as far:
        far.dial()
        assert (await far.next(UpstreamOpened)).version == "ocpp2.0.1"
    async with csms(tls=context) as far:
        far.dial()
        assert "certificate is not accepted" in (await far.next(UpstreamClosed)).reason
        assert far.requests == []


async def test_a_depot_dials_under_its_own_identity_with_the_configured_password_ca_and_query(tmp_path: Path) -> None:
    context, trusted = self_made(tmp_path)
    async with csms(tls=context, speaks=("ocpp2.1",)) as far:
        await far.shell.stop()
        upstream = {"id": "cloud", "url": f"{far.url}?tenant=7", "face": "depot", "identity": "DEPOT 17"}
        far.shell = UpstreamShell(config({**upstream, "password": PASSWORD, "ca_file": str(trusted)}), Clock(), far.submit)
        await far.shell.start()
        far.shell.carry(DialUpstream("DEPOT 17", 1, "cloud", ("ocpp2.1", "ocpp2.0.1", "ocpp1.6")))
        opened = await far.next(UpstreamOpened)
        assert (opened.station_id, opened.version) == ("DEPOT 17", "ocpp2.1")
        request = far.requests[0]
        assert request.raw_path == "/ocpp/DEPOT%2017?tenant=7"
        assert request.headers["Authorization"] == "Basic " + base64.b64encode(f"DEPOT 17:{PASSWORD}".encode()).decode()


@pytest.mark.parametrize("content", [None, "not a certificate", ""])
async def test_f30_a_ca_file_that_cannot_be_used_means_no_connection_and_says_so(tmp_path: Path, content: str | None) -> None:
    context, _ = self_made(tmp_path)
    wrong = tmp_path / "wrong.pem"
    if content is not None:
        wrong.write_text(content, encoding="ascii")
    async with csms(tls=context, upstream={"ca_file": str(wrong), "password": PASSWORD}) as far:
        far.dial()
        reason = (await far.next(UpstreamClosed)).reason
        assert "wrong.pem" in reason
        assert "upstreams.ca_file" in reason
        assert far.requests == []
        wrong.write_text((tmp_path / "ca.pem").read_text(encoding="ascii"), encoding="ascii")
        far.dial(generation=2)
        await far.next(UpstreamOpened)  # once it is put right no restart is needed


async def test_f30_tls_is_not_given_up_for_a_server_that_speaks_plain_text() -> None:
    async with csms() as plain, dialling(plain.url.replace("ws:", "wss:"), password=PASSWORD) as far:
        assert "TLS failed" in (await far.next(UpstreamClosed)).reason
        assert plain.requests == []


async def test_a_server_that_never_answers_the_handshake() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        log = FactLog()
        shell = UpstreamShell(config({"id": "cloud", "url": f"ws://127.0.0.1:{silent.getsockname()[1]}/"}), Clock(), log.submit, open_s=0.2)
        await shell.start()
        shell.carry(DialUpstream("CP1", 1, "cloud", ("ocpp2.0.1",)))
        assert (await log.next(UpstreamClosed)).reason == "no answer within 0.2 s"
        await shell.stop()


async def test_a_close_by_the_csms_is_reported_with_its_words() -> None:
    async def leave(request: web.Request, ws: web.WebSocketResponse) -> None:
        await ws.close(code=1012, message=b"restart\n")

    async with csms(leave) as far:
        far.dial()
        assert (await far.next(UpstreamClosed)).reason == "closed by the CSMS (1012, restart\\n)"


async def test_a_lost_connection_is_reported_once() -> None:
    async with csms() as far:
        far.dial()
        await far.next(UpstreamOpened)
        transport = far.requests[0].transport
        assert transport is not None
        transport.abort()
        await far.next(UpstreamClosed)
        far.send("into the void")
        await asyncio.sleep(0)
        assert len(far.of(UpstreamClosed)) == 1


async def test_f39_what_nobody_acknowledges_does_not_wait_for_a_quarter_of_an_hour() -> None:
    """The system ends such a connection; that it does is seen over a real broken path in ``system/test_broken_lan.py``."""
    async with csms() as far:
        far.dial()
        await far.next(UpstreamOpened)
        (leg,) = far.shell._legs.values()
        assert leg.outgoing is not None
        connection = leg.outgoing._socket.get_extra_info("socket")
        assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 1000 * UNACKNOWLEDGED_S


async def test_orders_and_ends_of_an_old_generation_do_not_touch_the_new() -> None:
    async with csms() as far:
        far.dial(generation=1)
        await far.next(UpstreamOpened)
        far.dial(generation=2)
        await far.next(UpstreamOpened, 2)
        assert [closed.generation for closed in far.of(UpstreamClosed)] == [1]
        far.send("old", generation=1)
        far.shell.carry(CloseUpstream("CP1", 1, "late"))
        far.send("new", generation=2)
        frame = await far.next(UpstreamFrame)
        assert (frame.generation, frame.text) == (2, "echo new")
        assert len(far.of(UpstreamClosed)) == 1


async def test_a_dial_can_be_called_off() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        log = FactLog()
        shell = UpstreamShell(config({"id": "cloud", "url": f"ws://127.0.0.1:{silent.getsockname()[1]}/"}), Clock(), log.submit)
        await shell.start()
        shell.carry(DialUpstream("CP1", 1, "cloud", ("ocpp2.0.1",)))
        await asyncio.sleep(0)
        shell.carry(CloseUpstream("CP1", 1, "station left"))
        assert (await log.next(UpstreamClosed)).reason == "closed by us"
        await shell.stop()


async def test_a_csms_that_never_reads_costs_bounded_memory_and_is_left() -> None:
    async with csms(deaf) as far:
        far.dial()
        await far.next(UpstreamOpened)
        noise = random.Random(1)
        for _ in range(500):
            # Words that do not compress, so that the kernel's buffers fill.
            far.send(base64.b64encode(noise.randbytes(75_000)).decode())
            await asyncio.sleep(0)
            if far.of(UpstreamClosed):
                break
        assert "does not read" in (await far.next(UpstreamClosed)).reason


async def test_a_csms_that_answers_no_ping_is_given_up() -> None:
    async with csms(deaf, ping_s=0.2) as far:
        far.dial()
        await far.next(UpstreamOpened)
        assert "PONG" in (await far.next(UpstreamClosed)).reason


async def test_binary_frames_are_ignored() -> None:
    async def odd(request: web.Request, ws: web.WebSocketResponse) -> None:
        await ws.send_bytes(b"\x00\x01")
        await ws.send_str("text")
        await ws.receive()

    async with csms(odd) as far:
        far.dial()
        assert (await far.next(UpstreamFrame)).text == "text"


async def test_stopping_says_goodbye() -> None:
    async with csms() as far:
        far.dial()
        await far.next(UpstreamOpened)
        await far.shell.stop()
        assert far.sockets[0].close_code == 1001
        assert len(far.of(UpstreamClosed)) == 1


@pytest.mark.parametrize(
    ("base", "tail", "expected"),
    [
        ("wss://csms.example/ocpp", "", "wss://csms.example/ocpp/CP%201"),
        ("wss://csms.example/ocpp/", "/CP%201", "wss://csms.example/ocpp/CP%201"),
        ("ws://csms.example:8080", "/CP%201?a=%2F", "ws://csms.example:8080/CP%201?a=%2F"),
        ("ws://csms.example/x?key=1", "/CP%201?a=2", "ws://csms.example/x/CP%201?key=1&a=2"),
    ],
)
def test_urls(base: str, tail: str, expected: str) -> None:
    assert str(upstream_url(base, "CP 1", tail)) == expected
