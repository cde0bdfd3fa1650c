"""The station server on real sockets: admission, one connection per identity, bounds, order."""

from __future__ import annotations

import asyncio
import base64
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiohttp import WSMsgType, hdrs

from controller.config import Config, StationConfig
from controller.facts import Fact, StationArrived, StationClosed, StationConnected, StationFrame, StationLeft, StationRefused
from controller.io.clock import Clock
from controller.io.links.door import UNACKNOWLEDGED_S
from controller.io.links.stations import StationsShell
from controller.io.shell import StartError
from controller.link.secrets import QUICK_COST, salted_hash
from controller.ocpp.registry import dialects
from controller.orders import AnswerStation, CloseStation, SendStation, SetStationSecret
from tests.support.facts import FactLog

EVSES = [{"id": 1, "max_current_a": 32}]
PASSWORD = "0123456789abcdef!"
VERSION = ("ocpp2.0.1",)
UPGRADE = (
    b"GET /ocpp/CP1 HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Protocol: ocpp2.0.1\r\n\r\n"
)
"""The handshake of a station that is written byte by byte."""


def site(**listen: Any) -> Config:
    return Config.model_validate(
        {
            "site": {"id": "test"},
            "grid": {"fuse_a": 63, "worst_other_load_a": 20},
            "listen": {"host": "127.0.0.1", "port": 0, **listen},
            "stations": [{"id": name, "evses": EVSES} for name in ("CP1", "CP2", "Säule 1")] + [{"id": "SAFE", "password": PASSWORD, "evses": EVSES}],
        }
    )


class Server(FactLog):
    """A running shell, its facts, and a client session towards it. choose: what the CSMS makes of an offer."""

    def __init__(self, http: aiohttp.ClientSession) -> None:
        super().__init__()
        self.http = http
        self.shell: StationsShell
        self.choose: Callable[[tuple[str, ...]], str | None] | None = lambda offered: offered[0]
        self._kept: list[aiohttp.ClientWebSocketResponse] = []

    def submit(self, fact: Fact) -> None:
        super().submit(fact)
        if isinstance(fact, StationArrived) and self.choose is not None:
            self.shell.carry(AnswerStation(fact.station_id, fact.ticket, self.choose(fact.offered)))

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.shell.port}{path}"

    async def connect(self, path: str = "/ocpp/CP1", protocols: tuple[str, ...] = VERSION, **more: Any) -> aiohttp.ClientWebSocketResponse:
        socket = await self.http.ws_connect(self.url(path), protocols=protocols, **more)
        self._kept.append(socket)  # aiohttp closes a socket nobody refers to
        return socket

    async def status(self, path: str = "/ocpp/CP1", **more: Any) -> int:
        """The HTTP status of a refused WebSocket handshake."""
        with pytest.raises(aiohttp.WSServerHandshakeError) as refusal:
            await self.connect(path, **more)
        return refusal.value.status

    async def raw(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.shell.port)


@asynccontextmanager
async def serving(config: Config | None = None, kind: type[Server] = Server, **more: Any) -> AsyncIterator[Server]:
    async with aiohttp.ClientSession() as http:
        server = kind(http)
        server.shell = StationsShell(config or site(), Clock(), server.submit, **more)
        await server.shell.start()
        try:
            yield server
        finally:
            await server.shell.stop()


# -- the ordinary life of a connection ------------------------------------------------------------


async def test_a_station_connects_talks_and_leaves() -> None:
    async with serving() as server:
        station = await server.connect("/ocpp/S%C3%A4ule%201?x=1")
        hello = await server.next(StationConnected)
        assert (hello.station_id, hello.generation, hello.version) == ("Säule 1", 1, "ocpp2.0.1")
        assert (hello.remote_address, hello.url_tail) == ("127.0.0.1", "/S%C3%A4ule%201?x=1")
        assert station.protocol == "ocpp2.0.1"
        text = '[2, "1",  "Heartbeat", {} ]'
        await station.send_str(text)
        assert (await server.next(StationFrame)).text == text
        server.shell.carry(SendStation("Säule 1", 1, '[3,"1",{}]'))
        assert await station.receive_str() == '[3,"1",{}]'
        await station.close(code=1000, message=b"bye")
        gone = await server.next(StationClosed)
        assert (gone.station_id, gone.generation) == ("Säule 1", 1)
        assert "1000" in gone.reason
        assert "bye" in gone.reason
        assert len(server.of(StationClosed)) == 1


async def test_frames_keep_their_order_in_both_directions() -> None:
    async with serving() as server:
        station = await server.connect()
        await server.next(StationConnected)
        for number in range(300):
            server.shell.carry(SendStation("CP1", 1, f"down {number}"))
        assert [await station.receive_str() for _ in range(300)] == [f"down {n}" for n in range(300)]
        for number in range(90):
            await station.send_str(f"up {number}")
        await server.next(StationFrame, 90)
        assert [frame.text for frame in server.of(StationFrame)] == [f"up {n}" for n in range(90)]


async def test_permessage_deflate_is_agreed_when_offered_and_not_needed() -> None:
    async with serving() as server:
        packed = await server.connect("/ocpp/CP1", compress=15)
        plain = await server.connect("/ocpp/CP2")
        assert packed.compress == 15
        assert plain.compress == 0
        await packed.send_str("x" * 10_000)
        assert (await server.next(StationFrame)).text == "x" * 10_000


@pytest.mark.parametrize(
    ("offer", "granted"),
    [
        ("permessage-deflate", True),
        ("permessage-deflate; client_max_window_bits", True),
        ("permessage-deflate; server_no_context_takeover; client_no_context_takeover", True),
        ("x-webkit-deflate-frame, permessage-deflate", True),
        ("x-webkit-deflate-frame", False),
        ("permessage-deflate; nonsense=1", False),
        ("", False),
    ],
)
async def test_permessage_deflate_is_granted_in_the_spellings_of_real_stations(offer: str, granted: bool) -> None:
    async with serving() as server:
        reader, writer = await server.raw()
        writer.write(UPGRADE.replace(b"\r\n\r\n", f"\r\nSec-WebSocket-Extensions: {offer}\r\n\r\n".encode()))
        answer = await reader.readuntil(b"\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 101")
        assert (b"permessage-deflate" in answer) == granted
        writer.close()


async def test_an_order_for_another_generation_does_nothing() -> None:
    async with serving() as server:
        station = await server.connect()
        await server.next(StationConnected)
        server.shell.carry(SendStation("CP1", 7, "stale"))
        server.shell.carry(SendStation("NOBODY", 1, "stale"))
        server.shell.carry(CloseStation("CP1", 7, 1000, "stale"))
        server.shell.carry(SendStation("CP1", 1, "fresh"))
        assert await station.receive_str() == "fresh"


async def test_a_close_order_sends_what_waits_first() -> None:
    async with serving() as server:
        station = await server.connect()
        await server.next(StationConnected)
        server.shell.carry(SendStation("CP1", 1, "last words"))
        server.shell.carry(CloseStation("CP1", 1, 1008, "ü" * 100))
        assert await station.receive_str() == "last words"
        message = await station.receive()
        assert (message.type, message.data) == (WSMsgType.CLOSE, 1008)
        assert message.extra == "ü" * 61
        await server.next(StationClosed)


async def test_generations_rise_per_station() -> None:
    async with serving() as server:
        for generation in (1, 2, 3):
            station = await server.connect()
            assert (await server.next(StationConnected, generation)).generation == generation
            await station.close()
            await server.next(StationClosed, generation)
        await server.connect("/ocpp/CP2")
        assert (await server.next(StationConnected, 4)).generation == 1


async def test_stopping_tells_every_station_to_come_back() -> None:
    async with serving() as server:
        stations = [await server.connect(path) for path in ("/ocpp/CP1", "/ocpp/CP2")]
        await server.next(StationConnected, 2)
        messages = asyncio.gather(*(station.receive() for station in stations))
        await server.shell.stop()
        assert [message.data for message in await messages] == [1001, 1001]
        assert len(server.of(StationClosed)) == 2


async def test_a_busy_port_is_one_sentence() -> None:
    async with serving() as server:
        second = StationsShell(site(port=server.shell.port), Clock(), server.submit)
        with pytest.raises(StartError, match=rf"^port {server.shell.port} is in use by another program; stop it or change listen\.port$"):
            await second.start()
        await second.stop()


# -- who is let in --------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/ocpp/UNKNOWN", "/ocpp/cp1", "/ocpp/", "/", "/ocpp/CP1/more", "/ocpp/%2e%2e", "/ocpp/CP1%00", "/api"])
async def test_b30_unknown_identities_get_404(path: str) -> None:
    async with serving() as server:
        assert await server.status(path) == 404
        assert (await server.next(StationRefused)).remote_address == "127.0.0.1"
        assert not server.of(StationConnected)


@pytest.mark.parametrize("path", ["/ocpp//CP1", "/ocpp/CP1/"])
async def test_small_mistakes_in_a_url_are_tolerated(path: str) -> None:
    async with serving() as server:
        await server.connect(path)
        assert (await server.next(StationConnected)).station_id == "CP1"


async def test_b31_passwords() -> None:
    def header(password: str) -> dict[str, str]:
        return {"Authorization": "Basic " + base64.b64encode(f"SAFE:{password}".encode()).decode()}

    async with serving() as server:
        assert await server.status("/ocpp/SAFE") == 401
        assert await server.status("/ocpp/SAFE", headers=header("wrong")) == 401
        await server.connect("/ocpp/SAFE", headers=header(PASSWORD))
        await server.next(StationConnected)
        assert PASSWORD not in repr(server.facts)
        assert "wrong" not in repr([fact.reason for fact in server.of(StationRefused)[1:]])


async def test_f66_five_failures_then_429_for_that_identity_only() -> None:
    async with serving() as server:
        assert [await server.status("/ocpp/SAFE") for _ in range(7)] == [401] * 5 + [429] * 2
        assert len(server.of(StationRefused)) == 2, "the first and the fifth are reported, the rest is not"
        await server.connect("/ocpp/CP1")
        await server.next(StationConnected)


async def test_f66_a_thousand_strangers_do_not_fill_the_event_log() -> None:
    async with serving() as server:
        for number in range(60):
            assert await server.status(f"/ocpp/MADE-UP-{number}") == 404
        assert len(server.of(StationRefused)) == 10


@pytest.mark.parametrize("protocols", [(), ("ocpp1.5",), ("ocpp1.2", "ocpp1.5")])
async def test_b32_no_common_version_finishes_the_handshake_then_closes(protocols: tuple[str, ...]) -> None:
    async with serving() as server:
        station = await server.connect(protocols=protocols)
        assert station.protocol is None
        message = await station.receive()
        assert (message.type, message.data) == (WSMsgType.CLOSE, 1002)
        assert "ocpp2.0.1" in (await server.next(StationRefused)).reason
        assert not server.of(StationConnected)


async def test_the_stations_preference_decides() -> None:
    async with serving(spoken=("ocpp2.0.1", "ocpp2.1")) as server:
        station = await server.connect(protocols=("ocpp1.6", "ocpp2.1", "ocpp2.0.1"))
        assert station.protocol == "ocpp2.1"
        assert (await server.next(StationConnected)).version == "ocpp2.1"


@pytest.mark.parametrize(
    ("offers", "version"),
    [
        (["ocpp1.5", "ocpp2.0.1"], "ocpp2.0.1"),
        (["ocpp1.5 ,\tocpp2.0.1  , ocpp2.1"], "ocpp2.0.1"),
        ([" ocpp2.1,,ocpp2.0.1 "], "ocpp2.1"),
        (["", ",", "ocpp2.0.1"], "ocpp2.0.1"),
    ],
)
async def test_a_version_is_found_in_several_header_lines_and_behind_odd_spaces(
    offers: list[str], version: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving() as server:
        reader, writer = await server.raw()
        lines = [
            "GET /ocpp/CP1 HTTP/1.1",
            "Host: x",
            "Upgrade: websocket",
            "Connection: Upgrade",
            "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Key: " + base64.b64encode(b"0" * 16).decode(),
            *(f"Sec-WebSocket-Protocol:{offer}" for offer in offers),
        ]
        writer.write(("\r\n".join(lines) + "\r\n\r\n").encode())
        answer = (await reader.readuntil(b"\r\n\r\n")).decode()
        assert answer.startswith("HTTP/1.1 101")
        echoed = [line for line in answer.lower().splitlines() if line.startswith("sec-websocket-protocol")]
        assert echoed == [f"sec-websocket-protocol: {version}"]
        writer.close()
    assert not caplog.records


async def test_plain_http_is_told_what_this_is() -> None:
    async with serving() as server:
        async with server.http.get(server.url("/ocpp/CP1"), headers={"Sec-WebSocket-Protocol": "ocpp2.0.1"}) as answer:
            assert answer.status == 426
        async with server.http.get(server.url("/ocpp/CP1")) as answer:
            assert answer.status == 426
        async with server.http.post(server.url("/ocpp/CP1")) as answer:
            assert answer.status == 405


# -- salted hashes and changed passwords --------------------------------------------------------------


def credentials(password: str | bytes, user: str = "HASHED") -> dict[str, str]:
    raw = password if isinstance(password, bytes) else password.encode()
    return {"Authorization": "Basic " + base64.b64encode(user.encode() + b":" + raw).decode()}


def hashed(password: str = PASSWORD, stations: int = 1) -> Config:
    """Stations whose password is configured as a salted hash."""
    names = ["HASHED"] if stations == 1 else [f"H{number}" for number in range(stations)]
    stored = salted_hash(password, bytes(16), QUICK_COST)
    found = tuple(StationConfig.model_validate({"id": name, "password_hash": stored, "evses": EVSES}) for name in names)
    return site().model_copy(update={"stations": (*site().stations, *found)})


async def test_b31_a_salted_hash_lets_the_right_password_in_and_no_other() -> None:
    async with serving(hashed()) as server:
        assert await server.status("/ocpp/HASHED") == 401
        assert await server.status("/ocpp/HASHED", headers=credentials("wrong")) == 401
        assert await server.status("/ocpp/HASHED", headers=credentials(PASSWORD, user="SAFE")) == 401
        await server.connect("/ocpp/HASHED", headers=credentials(PASSWORD))
        connected = await server.next(StationConnected)
        assert connected.secret == "", "the configured password is no news"
        assert PASSWORD not in repr(server.facts)
        assert "scrypt" not in repr(server.facts)


async def test_b31_a_hex_key_hashed_in_the_configuration_is_met_by_its_bytes() -> None:
    key = "00ff7a1e" * 5
    async with serving(hashed(key)) as server:
        await (await server.connect("/ocpp/HASHED", headers=credentials(bytes.fromhex(key)))).close()
        await server.next(StationClosed)
        await server.connect("/ocpp/HASHED", headers=credentials(key.upper()))
        await server.next(StationConnected, 2)


async def test_f12_a_storm_of_reconnections_costs_one_slow_check_each_and_not_more() -> None:
    names = [f"H{number}" for number in range(30)]
    async with serving(hashed(stations=30)) as server:
        for round_ in (1, 2, 3):
            stations = [await server.connect(f"/ocpp/{name}", headers=credentials(PASSWORD, name)) for name in names]
            for station in stations:
                await station.close()
            await server.next(StationClosed, 30 * round_)
        assert server.shell.reception.passwords.checked == 30


async def test_f66_guesses_buy_no_processor_time() -> None:
    """A thousand handshakes with wrong passwords from one address, at all identities: a handful of slow checks."""
    stations = 10
    async with serving(hashed(stations=stations)) as server:
        unlimited = aiohttp.TCPConnector(limit=50)
        async with aiohttp.ClientSession(connector=unlimited) as http:

            async def guess(number: int) -> int:
                name = f"H{number % stations}"
                upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "A" * 22 + "=="}
                async with http.get(server.url(f"/ocpp/{name}"), headers={**upgrade, **credentials(f"guess {number}", name)}) as answer:
                    assert (answer.status == 429) == (hdrs.RETRY_AFTER in answer.headers)
                    return answer.status

            answers = await asyncio.gather(*(guess(number) for number in range(1000)))
        assert set(answers) == {401, 429}
        # Of each identity five; those under way together when the limit of the address is reached may exceed it a little.
        assert server.shell.reception.passwords.checked <= min(5 * stations, 20 + 16)
        assert answers.count(401) <= 5 * stations
        await server.connect("/ocpp/CP1")
        await server.next(StationConnected)


async def test_f27_hashes_of_a_changed_password_replace_the_configured_one() -> None:
    old, new = (salted_hash(text, bytes(16), QUICK_COST) for text in (PASSWORD, "the new password"))
    async with serving() as server:
        server.shell.carry(SetStationSecret("SAFE", (old, new)))
        for number, (text, stored) in enumerate(((PASSWORD, old), ("the new password", new)), 1):
            await (await server.connect("/ocpp/SAFE", headers=credentials(text, "SAFE"))).close()
            assert (await server.next(StationConnected, number)).secret == stored
            await server.next(StationClosed, number)
        server.shell.carry(SetStationSecret("SAFE", (new,)))
        assert await server.status("/ocpp/SAFE", headers=credentials(PASSWORD, "SAFE")) == 401
        await (await server.connect("/ocpp/SAFE", headers=credentials("the new password", "SAFE"))).close()
        await server.next(StationClosed, 3)
        server.shell.carry(SetStationSecret("SAFE", ()))
        await server.connect("/ocpp/SAFE", headers=credentials(PASSWORD, "SAFE"))
        assert (await server.next(StationConnected, 4)).secret == ""


async def test_a01_fr_03_a_password_that_is_replaced_while_it_is_checked_lets_nobody_in() -> None:
    old, new = (salted_hash(text, bytes(16), QUICK_COST) for text in (PASSWORD, "the new password"))
    async with serving() as server:
        server.shell.carry(SetStationSecret("SAFE", (old, new)))
        which = server.shell.reception.passwords.which

        async def meanwhile(identity: str, password: bytes, hashes: Sequence[str]) -> str | None:
            found = await which(identity, password, hashes)
            server.shell.carry(SetStationSecret("SAFE", (new,)))
            return found

        server.shell.reception.passwords.which = meanwhile  # type: ignore[method-assign]
        assert await server.status("/ocpp/SAFE", headers=credentials(PASSWORD, "SAFE")) == 401
        assert not server.of(StationConnected)


# -- the version is agreed with the CSMS ------------------------------------------------------------


async def test_an_arrival_tells_what_the_station_offers_and_we_speak_in_its_order() -> None:
    async with serving(spoken=("ocpp2.1", "ocpp2.0.1", "ocpp1.6")) as server:
        await server.connect("/ocpp/CP1?key=1", protocols=("ocpp1.6", "ocpp0.9", "ocpp2.1", "ocpp1.6"))
        arrived = await server.next(StationArrived)
        assert (arrived.station_id, arrived.offered, arrived.url_tail) == ("CP1", ("ocpp1.6", "ocpp2.1"), "/CP1?key=1")
        assert (await server.next(StationConnected)).version == "ocpp1.6"
        assert not server.of(StationLeft)


async def test_every_dialect_is_spoken_unless_told_otherwise() -> None:
    async with serving() as server:
        await server.connect(protocols=tuple(sorted(dialects())))
        assert (await server.next(StationArrived)).offered == tuple(sorted(dialects()))


async def test_the_handshake_waits_for_the_csms_and_takes_its_version() -> None:
    async with serving(answer_s=30.0, config=site(handshake_s=60)) as server:
        server.choose = None
        connecting = asyncio.ensure_future(server.connect(protocols=("ocpp2.1", "ocpp2.0.1")))
        arrived = await server.next(StationArrived)
        assert not connecting.done()
        server.shell.carry(AnswerStation("CP2", arrived.ticket, "ocpp2.1"))  # not its ticket
        server.shell.carry(AnswerStation("CP1", arrived.ticket + 1, "ocpp2.1"))
        server.shell.carry(AnswerStation("CP1", arrived.ticket, "ocpp2.0.1"))
        server.shell.carry(AnswerStation("CP1", arrived.ticket, "ocpp2.1"))  # too late: the first word counts
        assert (await connecting).protocol == "ocpp2.0.1"
        assert (await server.next(StationConnected)).version == "ocpp2.0.1"


async def test_without_an_answer_in_time_the_stations_first_choice_holds() -> None:
    async with serving(answer_s=0.05) as server:
        server.choose = None
        station = await server.connect(protocols=("ocpp2.1", "ocpp2.0.1"))
        assert station.protocol == "ocpp2.1"
        arrived = await server.next(StationArrived)
        server.shell.carry(AnswerStation("CP1", arrived.ticket, "ocpp2.0.1"))  # too late, and harmless
        assert (await server.next(StationConnected)).version == "ocpp2.1"


async def test_a_version_the_station_does_not_offer_is_never_answered() -> None:
    async with serving() as server:
        server.choose = lambda offered: "ocpp1.6"
        assert (await server.connect(protocols=("ocpp2.1", "ocpp2.0.1"))).protocol == "ocpp2.1"


async def test_b32_no_version_in_common_with_the_csms_finishes_the_handshake_then_closes() -> None:
    async with serving() as server:
        server.choose = lambda offered: None
        station = await server.connect(protocols=("ocpp2.0.1",))
        assert station.protocol is None
        message = await station.receive()
        assert (message.type, message.data) == (WSMsgType.CLOSE, 1002)
        assert "ocpp2.0.1" in (await server.next(StationRefused)).reason
        assert (await server.next(StationLeft)).ticket == (await server.next(StationArrived)).ticket
        assert not server.of(StationConnected)
        server.choose = lambda offered: offered[0]
        await server.connect()
        await server.next(StationConnected)


async def test_a_station_that_leaves_while_its_version_is_agreed_is_told_at_once() -> None:
    async with serving(answer_s=30.0, config=site(handshake_s=60)) as server:
        server.choose = None
        _, writer = await server.raw()
        writer.write(UPGRADE)
        arrived = await server.next(StationArrived)
        writer.transport.abort()
        left = await server.next(StationLeft)
        assert (left.station_id, left.ticket) == ("CP1", arrived.ticket)
        server.choose = lambda offered: offered[0]
        await server.connect()
        await server.next(StationConnected)
        assert len(server.of(StationLeft)) == 1


async def test_f10_the_old_connection_is_gone_before_the_new_one_arrives() -> None:
    async with serving(probe_s=0.2) as server:
        await server.connect(autoping=False)  # answers no ping
        await server.next(StationConnected)
        await server.connect()
        await server.next(StationConnected, 2)
        kinds = [type(fact) for fact in server.facts if isinstance(fact, StationArrived | StationClosed | StationConnected)]
        assert kinds == [StationArrived, StationConnected, StationClosed, StationArrived, StationConnected]


async def test_stopping_ends_handshakes_that_wait_for_a_version() -> None:
    async with serving(answer_s=30.0, config=site(handshake_s=60)) as server:
        server.choose = None
        connecting = asyncio.ensure_future(server.connect())
        await server.next(StationArrived)
        await server.shell.stop()
        with pytest.raises(aiohttp.ClientError):
            await connecting
        assert len(server.of(StationLeft)) == 1


@pytest.mark.parametrize(
    ("dial_first_s", "handshake_s", "expected_s"),
    [([], 10, 1.0), ([3], 10, 4.0), ([0], 10, 1.0), ([3, 30], 60, 30.0), ([30], 10, 5.0)],
)
def test_the_wait_for_a_version_follows_the_csms_that_may_take_longest(dial_first_s: list[float], handshake_s: float, expected_s: float) -> None:
    upstreams = [{"id": f"u{number}", "url": "ws://x/", "dial_first_s": wait_s} for number, wait_s in enumerate(dial_first_s)]
    data = {**site(handshake_s=handshake_s).model_dump(mode="json"), "upstreams": upstreams}
    shell = StationsShell(Config.model_validate(data), Clock(), FactLog().submit)
    assert shell._answer_s == expected_s


# -- two connections, one identity ----------------------------------------------------------------


async def test_f09_a_second_connection_is_refused_while_the_first_lives() -> None:
    async with serving() as server:
        first = await server.connect()
        await server.next(StationConnected)
        listening = asyncio.ensure_future(first.receive())  # answers pings
        assert await server.status() == 409
        refused = await server.next(StationRefused)
        assert refused.station_id == "CP1"
        assert "live connection from 127.0.0.1" in refused.reason
        server.shell.carry(SendStation("CP1", 1, "still yours"))
        assert (await listening).data == "still yours"
        assert len(server.of(StationConnected)) == 1
        assert not server.of(StationClosed)


async def test_f10_a_half_open_connection_is_replaced_and_its_late_end_is_harmless() -> None:
    async with serving(probe_s=0.3) as server:
        dead = await server.connect(autoping=False)  # answers no ping
        await server.next(StationConnected)
        fresh = await server.connect()
        closed = await server.next(StationClosed)
        assert closed.generation == 1
        assert "replaced" in closed.reason
        assert (await server.next(StationConnected, 2)).generation == 2
        assert server.facts.index(closed) < server.facts.index(server.of(StationConnected)[1])
        await dead.close()
        await fresh.send_str("alive")
        assert (await server.next(StationFrame)).generation == 2
        server.shell.carry(SendStation("CP1", 2, "hello"))
        assert await fresh.receive_str() == "hello"
        assert len(server.of(StationClosed)) == 1


async def test_f11_while_one_newcomer_is_judged_the_next_is_refused_at_once() -> None:
    async with serving(probe_s=1.0) as server:
        await server.connect(autoping=False)
        await server.next(StationConnected)
        outcomes = await asyncio.gather(*(server.connect() for _ in range(3)), return_exceptions=True)
        refused = [outcome.status for outcome in outcomes if isinstance(outcome, aiohttp.WSServerHandshakeError)]
        assert refused == [409, 409]
        await server.next(StationConnected, 2)
        assert len(server.of(StationConnected)) == 2


async def test_a_wrong_password_cannot_disturb_a_live_station() -> None:
    async with serving() as server:
        good = {"Authorization": "Basic " + base64.b64encode(f"SAFE:{PASSWORD}".encode()).decode()}
        station = await server.connect("/ocpp/SAFE", headers=good, autoping=False)
        await server.next(StationConnected)
        assert await server.status("/ocpp/SAFE") == 401
        server.shell.carry(SendStation("SAFE", 1, "undisturbed"))
        assert (await station.receive()).data == "undisturbed", "not even a ping: the stranger never got that far"


# -- bad peers ------------------------------------------------------------------------------------


async def test_f62_a_10_mb_frame_is_closed_with_1009_and_others_live_on() -> None:
    async with serving() as server:
        bad, good = await server.connect("/ocpp/CP1"), await server.connect("/ocpp/CP2")
        sending = asyncio.ensure_future(bad.send_str("x" * 10_000_000))
        message = await bad.receive()
        assert (message.type, message.data) == (WSMsgType.CLOSE, 1009)
        await asyncio.gather(sending, return_exceptions=True)
        assert "1009" in (await server.next(StationClosed)).reason
        await good.send_str("fine")
        assert (await server.next(StationFrame)).station_id == "CP2"


async def test_f62_a_deflate_bomb_is_closed_with_1009() -> None:
    async with serving(site(max_frame_bytes=65_536)) as server:
        station = await server.connect(compress=15)
        await station.send_str("x" * 5_000_000)
        message = await station.receive()
        assert (message.type, message.data) == (WSMsgType.CLOSE, 1009)


async def test_b15_the_largest_frame_passes_and_one_byte_more_does_not() -> None:
    async with serving() as server:
        station = await server.connect()
        await station.send_str("x" * (262_144 - 1))
        assert len((await server.next(StationFrame)).text) == 262_143
        await station.send_str("x" * (262_144 + 1))
        assert (await station.receive()).data == 1009


def frame(opcode: int, payload: bytes, last: bool = True) -> bytes:
    """A small frame as a station sends it, with a mask of nothing."""
    return bytes([opcode | 0x80 * last, 0x80 | len(payload)]) + b"\0\0\0\0" + payload


async def upgraded(server: Server) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await server.raw()
    writer.write(UPGRADE)
    await reader.readuntil(b"\r\n\r\n")
    return reader, writer


async def test_b16_a_message_in_256_fragments_passes_with_pings_between_them() -> None:
    async with serving() as server:
        _, writer = await upgraded(server)
        parts = [frame(0x1, b"a", last=False), *[frame(0x0, b"b", last=False)] * 254, frame(0x0, b"c")]
        parts.insert(100, frame(0x9, b"still there?"))
        writer.write(b"".join(parts))
        assert (await server.next(StationFrame)).text == "a" + "b" * 254 + "c"
        writer.close()


@pytest.mark.parametrize("payload", [b"", b"x"])
async def test_b16_more_fragments_and_endless_ones_are_closed(payload: bytes) -> None:
    async with serving() as server:
        reader, writer = await upgraded(server)
        writer.write(frame(0x1, b"a", last=False) + frame(0x0, payload, last=False) * 10_000)
        closed = await server.next(StationClosed)
        assert "more than 256 fragments" in closed.reason
        assert await asyncio.wait_for(reader.readexactly(4), 5) == b"\x88\x14" + (1008).to_bytes(2, "big")
        writer.close()
        assert not server.of(StationFrame)
        await server.connect()
        await server.next(StationConnected, 2)


async def test_b16_a_flood_of_pings_is_slowed_down_and_costs_the_others_nothing() -> None:
    async with serving() as server:
        reader, writer = await upgraded(server)
        calm = await server.connect("/ocpp/CP2")
        writer.write(frame(0x9, b"") * 1000 + frame(0x1, b"behind them"))
        for number in range(5):
            await calm.send_str(str(number))
        await server.next(StationFrame, 5)
        assert {fact.station_id for fact in server.of(StationFrame)} == {"CP2"}
        pongs = await asyncio.wait_for(reader.readexactly(2 * 20), 5)
        assert pongs == b"\x8a\x00" * 20
        writer.close()


async def test_b01_binary_and_broken_utf8_are_closed() -> None:
    async with serving() as server:
        binary, broken = await server.connect("/ocpp/CP1"), await server.connect("/ocpp/CP2")
        await binary.send_bytes(b"[2,1]")
        assert (await binary.receive()).data == 1003
        await broken.send_frame(b"\xff\xfe", WSMsgType.TEXT)
        assert (await broken.receive()).data == 1007
        await server.next(StationClosed, 2)
        assert not server.of(StationFrame)


async def test_f64_silent_and_dripping_sockets_are_closed_at_the_deadline() -> None:
    async with serving(site(handshake_s=1.5)) as server:
        quiet, dripping = await server.raw(), await server.raw()
        dripping[1].write(b"GET /ocpp/CP1 HTTP/1.1\r\nHo")
        station = await server.connect()
        for reader, writer in (quiet, dripping):
            with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
                await asyncio.wait_for(reader.readexactly(1), 5)
            writer.close()
        await station.send_str("the deadline is for handshakes only")
        await server.next(StationFrame)
        assert server.shell._door.callers == 0


async def test_f64_one_address_cannot_hold_more_than_80_open_handshakes() -> None:
    async with serving(site(handshake_s=2.5)) as server:
        silent = [await server.raw() for _ in range(120)]
        with pytest.raises((aiohttp.ClientError, OSError)):
            await server.connect()
        assert server.shell._door.callers == 80
        for reader, _ in silent:
            with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
                await asyncio.wait_for(reader.readexactly(1), 5)
        await server.connect()
        await server.next(StationConnected)
        for _, writer in silent:
            writer.close()


async def test_f64_handshakes_that_wait_behind_16_silent_sockets_get_their_turn() -> None:
    async with serving() as server:
        silent = [await server.raw() for _ in range(16)]
        waiting = asyncio.ensure_future(server.connect())
        for _ in range(20_000):
            if server.shell._door.callers == 17:
                break
            await asyncio.sleep(0.001)
        assert not waiting.done()
        assert server.shell._door.callers == 17
        silent[0][1].write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")  # an answer of 404 makes room for the next
        await waiting
        await server.next(StationConnected)
        for _, writer in silent:
            writer.close()


async def test_f12_forty_stations_behind_one_address_all_get_in_at_once() -> None:
    names = [f"S{number}" for number in range(40)]
    config = site().model_copy(update={"stations": tuple(StationConfig.model_validate({"id": name, "evses": EVSES}) for name in names)})
    async with serving(config) as server:
        await asyncio.gather(*(server.connect(f"/ocpp/{name}") for name in names))
        await server.next(StationConnected, 40)
        assert {fact.station_id for fact in server.of(StationConnected)} == set(names)
        assert server.shell._door.callers == 0


def large_site(stations: int, **listen: Any) -> Config:
    names = [f"S{number}" for number in range(stations)]
    return site(**listen).model_copy(update={"stations": tuple(StationConfig.model_validate({"id": name, "evses": EVSES}) for name in names)})


async def test_f12_two_hundred_stations_behind_one_address_all_get_in_at_once() -> None:
    unlimited = aiohttp.TCPConnector(limit=0)
    async with serving(large_site(200)) as server, aiohttp.ClientSession(connector=unlimited) as http:
        dials = (http.ws_connect(server.url(f"/ocpp/S{number}"), protocols=VERSION) for number in range(200))
        outcomes = await asyncio.gather(*dials, return_exceptions=True)
        assert [outcome for outcome in outcomes if isinstance(outcome, BaseException)] == []
        await server.next(StationConnected, 200)


async def test_f10_forty_half_open_connections_behind_one_address_are_replaced_at_once_not_one_after_the_other() -> None:
    """The router between us and the yard was restarted: each station's old connection takes the whole probe to prove dead."""
    async with serving(large_site(40, handshake_s=5.0), probe_s=2.0) as server:  # sixteen at a time would take three probes, 6 s
        for number in range(40):
            await server.connect(f"/ocpp/S{number}", autoping=False)
        await asyncio.gather(*(server.connect(f"/ocpp/S{number}") for number in range(40)))
        await server.next(StationConnected, 80)


async def test_f64_connections_that_close_again_hold_no_place_at_the_door() -> None:
    """A health check of a load balancer, a port scan, TLS to the plain port: each comes and goes, and holds nobody up."""
    async with serving() as server:
        for number in range(40):
            reader, writer = await server.raw()
            if number % 2:
                writer.write(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
                await reader.read()
            writer.close()
        async with asyncio.timeout(5):  # the deadline of a handshake is 10 s
            await server.connect()


@pytest.mark.parametrize(
    "nonsense",
    [
        b"GET /ocpp/CP1 HTTP/1.1\r\nno colon here\r\n\r\n",
        b"GET /ocpp/CP1 HTTP/1.1\r\nHost: x\r\nA: " + b"x" * 20_000 + b"\r\n\r\n",
        b"GET http://[x/ HTTP/1.1\r\nHost: x\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ],
)
async def test_a_peer_that_speaks_no_http_is_answered_and_fills_no_log(nonsense: bytes, caplog: pytest.LogCaptureFixture) -> None:
    async with serving() as server:
        reader, writer = await server.raw()
        writer.write(nonsense)
        assert b"400 Bad Request" in await asyncio.wait_for(reader.read(), 5)
        writer.close()
    assert not caplog.records


async def test_a_newcomer_that_leaves_while_it_is_judged_disturbs_nobody(caplog: pytest.LogCaptureFixture) -> None:
    async with serving(probe_s=0.3) as server:
        await server.connect(autoping=False)
        _, writer = await server.raw()
        writer.write(UPGRADE)
        await writer.drain()
        for _ in range(20_000):
            if server.shell._deciding:
                break
            await asyncio.sleep(0.001)
        writer.transport.abort()
        await server.next(StationClosed)
        await server.connect()
        assert (await server.next(StationConnected, 2)).generation == 2
    assert not caplog.records


@pytest.mark.parametrize(("code", "answer"), [(1000, 1000), (1012, 1012), (3000, 3000), (999, 1002), (1006, 1002), (5000, 1002), (65535, 1002)])
async def test_b17_a_close_code_is_echoed_and_a_forbidden_one_is_a_protocol_error(code: int, answer: int) -> None:
    async with serving() as server:
        reader, writer = await server.raw()
        writer.write(UPGRADE)
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"\x88\x82\0\0\0\0" + code.to_bytes(2, "big"))
        assert await asyncio.wait_for(reader.read(), 5) == b"\x88\x02" + answer.to_bytes(2, "big")
        closed = await server.next(StationClosed)
        assert ("broke the WebSocket protocol" in closed.reason) == (answer == 1002)
        assert str(code) in closed.reason
        writer.close()
        await server.connect()
        await server.next(StationConnected, 2)


async def test_a_station_that_says_goodbye_is_let_in_again_at_once() -> None:
    async with serving(probe_s=30.0, config=site(handshake_s=60)) as server, asyncio.timeout(10):
        for number in range(1, 21):
            station = await server.connect()
            assert (await server.next(StationConnected, number)).generation == number
            await station.close()


async def test_an_end_we_asked_for_is_told_as_ours() -> None:
    async with serving() as server:
        station = await server.connect()
        await server.next(StationConnected)
        server.shell.carry(CloseStation("CP1", 1, 1000, "please come back"))
        assert (await station.receive()).data == 1000
        assert (await server.next(StationClosed)).reason == "closed by us"


async def test_f65_a_station_that_never_reads_costs_bounded_memory_and_is_dropped() -> None:
    async with serving() as server:
        lazy, good = await server.connect("/ocpp/CP1"), await server.connect("/ocpp/CP2")
        await server.next(StationConnected, 2)
        lazy._conn.transport.pause_reading()  # type: ignore[union-attr]
        sent = 0
        while not server.of(StationClosed) and sent < 500:
            server.shell.carry(SendStation("CP1", 1, "x" * 100_000))
            sent += 1
            await asyncio.sleep(0)
        closed = await server.next(StationClosed)
        assert closed.station_id == "CP1"
        assert "does not read" in closed.reason
        server.shell.carry(SendStation("CP2", 1, "unaffected"))
        assert await good.receive_str() == "unaffected"


async def test_f39_what_a_station_does_not_acknowledge_does_not_wait_for_a_quarter_of_an_hour() -> None:
    async with serving() as server:
        await server.connect()
        await server.next(StationConnected)
        (session,) = server.shell._sessions.values()
        connection = session.socket.get_extra_info("socket")
        assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 1000 * UNACKNOWLEDGED_S


async def test_f13_a_flood_is_slowed_down_and_nothing_is_lost() -> None:
    async with serving() as server:
        flood, calm = await server.connect("/ocpp/CP1"), await server.connect("/ocpp/CP2")
        now, began_s = asyncio.get_running_loop().time, asyncio.get_running_loop().time()
        for number in range(110):
            await flood.send_str(str(number))
        await calm.send_str("me too")
        await server.until(lambda: any(frame.station_id == "CP2" for frame in server.of(StationFrame)))
        before = len(server.of(StationFrame))
        assert before <= 103 + 20 * (now() - began_s), "the flood waits in its socket while others are served: a hundred at once, then 20 a second"
        await server.next(StationFrame, 111)
        assert [frame.text for frame in server.of(StationFrame) if frame.station_id == "CP1"] == [str(n) for n in range(110)]


async def test_a_silent_station_is_given_up_after_its_ping_stays_unanswered() -> None:  # F02
    async with serving(site(ping_s=1)) as server:
        await server.connect(autoping=False)
        assert "ping" in (await server.next(StationClosed)).reason


async def test_pings_are_answered() -> None:
    async with serving() as server:
        station = await server.connect(autoping=False)
        await station.ping(b"are you there")
        message = await station.receive()
        assert (message.type, message.data) == (WSMsgType.PONG, b"are you there")


class Explosive(Server):
    """A receiver with a defect that one station's frames meet."""

    def submit(self, fact: Fact) -> None:
        super().submit(fact)
        if isinstance(fact, StationFrame) and fact.text == "boom":
            raise ZeroDivisionError


async def test_p7_a_defect_met_by_one_connection_ends_only_that_one() -> None:
    async with serving(kind=Explosive) as server:
        unlucky, other = await server.connect("/ocpp/CP1"), await server.connect("/ocpp/CP2")
        await unlucky.send_str("boom")
        message = await unlucky.receive()
        assert (message.type, message.data) == (WSMsgType.CLOSE, 1011)
        assert (await server.next(StationClosed)).station_id == "CP1"
        await other.send_str("fine")
        await server.next(StationFrame, 2)
