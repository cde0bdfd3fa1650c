"""TLS towards stations on real sockets: versions, ciphers, both certificates, renewal, their end, clear refusals."""

from __future__ import annotations

import asyncio
import base64
import socket
import ssl
import threading
import warnings
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from controller.config import CertificateConfig, Config
from controller.facts import CertificateEnding, SourceChanged, StationArrived, StationConnected, StationFrame, StationRefused
from controller.io.clock import TRUSTED_FROM_WALL_S, Clock, VirtualClock
from controller.io.links.stations import StationsShell
from controller.io.links.tls import DAY_S, READ_BUFFER_BYTES, Certificates, ends_at, server_context
from controller.io.shell import StartError
from controller.orders import AnswerStation, SendStation
from tests.support import certificates as pem
from tests.support.facts import FactLog

EVSES = [{"id": 1, "max_current_a": 32}]
PASSWORD = "0123456789abcdef!"
ENDS_WALL_S = 2_110_599_599.0
"""When OTHER_CERT ends."""


def files(folder: Path, name: str, cert: str, key: str) -> CertificateConfig:
    cert_file, key_file = folder / f"{name}.pem", folder / f"{name}.key"
    cert_file.write_text(cert)
    key_file.write_text(key)
    key_file.chmod(0o600)
    return CertificateConfig(cert_file=cert_file, key_file=key_file)


@pytest.fixture
def both(tmp_path: Path) -> list[CertificateConfig]:
    return [files(tmp_path, "ecdsa", pem.ECDSA_CERT, pem.ECDSA_KEY), files(tmp_path, "rsa", pem.RSA_CERT, pem.RSA_KEY)]


@pytest.fixture
def ending(tmp_path: Path) -> CertificateConfig:
    return files(tmp_path, "ending", pem.OTHER_CERT, pem.OTHER_KEY)


# -- the context -----------------------------------------------------------------------------------------


def client(*, most: ssl.TLSVersion | None = None, ciphers: str = "", trust: str = pem.ECDSA_CERT + pem.RSA_CERT) -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.load_verify_locations(cadata=trust)
    if most is not None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            context.minimum_version, context.maximum_version = ssl.TLSVersion.MINIMUM_SUPPORTED, most
    if ciphers:
        context.set_ciphers(ciphers)
    return context


def talk(server: ssl.SSLContext, context: ssl.SSLContext) -> ssl.SSLObject:
    """A handshake in memory; the client's end of it. Raises ssl.SSLError."""
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    theirs = context.wrap_bio(down, up, server_hostname="127.0.0.1")
    ours = server.wrap_bio(up, down, server_side=True)
    pending = [theirs, ours]
    for _ in range(10):
        for side in list(pending):
            try:
                side.do_handshake()
                pending.remove(side)
            except ssl.SSLWantReadError:
                continue
        if not pending:
            return theirs
    raise AssertionError("no end of the handshake")


@pytest.mark.parametrize(
    ("cipher", "certificate"),
    [
        ("ECDHE-ECDSA-AES128-GCM-SHA256", pem.ECDSA_CERT),
        ("ECDHE-ECDSA-AES256-GCM-SHA384", pem.ECDSA_CERT),
        ("ECDHE-RSA-AES128-GCM-SHA256", pem.RSA_CERT),
        ("AES128-GCM-SHA256", pem.RSA_CERT),
        ("AES256-GCM-SHA384", pem.RSA_CERT),
    ],
)
def test_a00_fr_318_every_cipher_of_the_specification_finds_its_certificate(both: list[CertificateConfig], cipher: str, certificate: str) -> None:
    done = talk(server_context(both), client(most=ssl.TLSVersion.TLSv1_2, ciphers=cipher))
    assert done.cipher() is not None
    assert done.cipher()[0] == cipher  # type: ignore[index]
    assert done.getpeercert(binary_form=True) == ssl.PEM_cert_to_DER_cert(certificate)
    assert done.compression() is None


def test_tls_1_3_is_taken_where_the_station_has_it(both: list[CertificateConfig]) -> None:
    assert talk(server_context(both), client()).version() == "TLSv1.3"


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
def test_a00_fr_313_older_versions_are_refused(both: list[CertificateConfig], version: ssl.TLSVersion) -> None:
    with pytest.raises(ssl.SSLError):
        talk(server_context(both), client(most=version, ciphers="ALL:@SECLEVEL=0"))


def test_a_weak_cipher_is_refused(both: list[CertificateConfig]) -> None:
    with pytest.raises(ssl.SSLError):
        talk(server_context(both), client(most=ssl.TLSVersion.TLSv1_2, ciphers="AES128-SHA:AES256-SHA256"))


# -- files that are wrong (F83) -----------------------------------------------------------------------------


def refused(*given: CertificateConfig) -> str:
    with pytest.raises(StartError) as error:
        Certificates(given, Clock(), FactLog().submit).start()
    return str(error.value)


def test_f83_files_that_are_missing(tmp_path: Path, both: list[CertificateConfig]) -> None:
    assert "cannot read /nowhere/cert.pem: No such file" in refused(CertificateConfig(cert_file=Path("/nowhere/cert.pem"), key_file=both[0].key_file))
    assert "cannot read /nowhere/key.pem" in refused(both[1], CertificateConfig(cert_file=both[0].cert_file, key_file=Path("/nowhere/key.pem")))


def test_f83_a_key_that_others_may_read(both: list[CertificateConfig]) -> None:
    both[0].key_file.chmod(0o644)
    assert refused(*both) == f"the key file {both[0].key_file} may be read or changed by others; make it private with: chmod 600 {both[0].key_file}"
    both[0].key_file.chmod(0o640)  # a group for certificates is usual
    Certificates(both, Clock(), FactLog().submit).start()


@pytest.mark.parametrize(
    ("cert", "key", "words"),
    [
        (pem.ECDSA_CERT, pem.OTHER_KEY, "does not belong to the certificate"),
        (pem.ECDSA_CERT, pem.RSA_KEY, "does not belong to the certificate"),
        (pem.ECDSA_CERT, pem.LOCKED_KEY, "pass phrase"),
        (pem.WEAK_CERT, pem.WEAK_KEY, "too weak"),
        (pem.ECDSA_KEY, pem.ECDSA_CERT, "must be PEM files"),
        ("no certificate", pem.ECDSA_KEY, "must be PEM files"),
        (pem.ECDSA_CERT, "", "must be PEM files"),
        ("\0\xff" * 100, "\0", "must be PEM files"),
    ],
)
def test_f83_files_that_are_not_what_they_should_be(tmp_path: Path, cert: str, key: str, words: str) -> None:
    assert words in refused(files(tmp_path, "wrong", cert, key))


# -- renewal and the end (F30) --------------------------------------------------------------------------------


def test_changed_files_are_taken_up_for_the_next_connection(tmp_path: Path, both: list[CertificateConfig]) -> None:
    log = FactLog()
    certificates = Certificates(both[:1], Clock(), log.submit)
    certificates.start()
    before = certificates.context()
    certificates.look()
    assert certificates.context() is before
    files(tmp_path, "ecdsa", pem.OTHER_CERT, pem.OTHER_KEY)
    certificates.look()
    assert talk(certificates.context(), client(trust=pem.OTHER_CERT)).getpeercert(binary_form=True) == ssl.PEM_cert_to_DER_cert(pem.OTHER_CERT)
    assert not log.facts


def test_files_changed_for_the_worse_leave_the_old_ones_in_force_and_are_told_once(tmp_path: Path, both: list[CertificateConfig]) -> None:
    log = FactLog()
    certificates = Certificates(both[:1], Clock(), log.submit)
    certificates.start()
    both[0].cert_file.write_text(pem.OTHER_CERT)  # half of a renewal: the key is still the old one
    certificates.look()
    certificates.look()
    (told,) = log.of(SourceChanged)
    assert not told.healthy
    assert "does not belong" in told.detail
    assert "stays in force" in told.detail
    talk(certificates.context(), client())
    both[0].key_file.write_text(pem.OTHER_KEY)
    certificates.look()
    assert log.of(SourceChanged)[1].healthy
    both[0].key_file.unlink()
    certificates.look()
    assert "No such file" in log.of(SourceChanged)[2].detail


@pytest.mark.parametrize(("text", "wall_s"), [(pem.OTHER_CERT, ENDS_WALL_S), (pem.ECDSA_CERT, 4_922_899_200.0), (pem.RSA_CERT, 4_922_899_200.0)])
def test_the_end_of_a_certificate_is_read_from_its_file(tmp_path: Path, text: str, wall_s: float) -> None:
    path = tmp_path / "chain.pem"
    path.write_text(text + pem.RSA_CERT)
    assert ends_at(path) == wall_s


def test_f30_the_end_of_our_certificate_is_told_30_14_7_and_1_days_before_and_when_it_has_come(ending: CertificateConfig) -> None:
    log, clock = FactLog(), VirtualClock(ENDS_WALL_S - 40.5 * DAY_S)
    certificates = Certificates([ending], clock, log.submit)
    certificates.start()
    days = []
    for day in range(45):
        known = len(log.of(CertificateEnding))
        certificates.look()
        if len(log.of(CertificateEnding)) > known:
            days.append(40 - day)
        clock.advance(DAY_S)
    assert days == [29, 13, 6, 0, -1], "the first look after each of the marks"
    assert {(told.name, told.ends_wall_s) for told in log.of(CertificateEnding)} == {(str(ending.cert_file), ENDS_WALL_S)}


def test_f30_at_the_start_only_the_nearest_mark_is_told_and_nothing_without_a_trusted_clock(ending: CertificateConfig) -> None:
    log = FactLog()
    Certificates([ending], VirtualClock(ENDS_WALL_S - 5 * DAY_S), log.submit).start()
    assert len(log.of(CertificateEnding)) == 1
    Certificates([ending], VirtualClock(TRUSTED_FROM_WALL_S - 10 * 365 * DAY_S), log.submit).start()
    assert len(log.of(CertificateEnding)) == 1


def test_f30_a_renewed_certificate_is_watched_anew(tmp_path: Path, ending: CertificateConfig) -> None:
    log, clock = FactLog(), VirtualClock(ENDS_WALL_S - 5 * DAY_S)
    certificates = Certificates([ending], clock, log.submit)
    certificates.start()
    files(tmp_path, "ending", pem.ECDSA_CERT, pem.ECDSA_KEY)
    clock.advance(4.5 * DAY_S)
    certificates.look()
    assert len(log.of(CertificateEnding)) == 1


# -- the listener ------------------------------------------------------------------------------------------------


def basic(user: str, password: str = PASSWORD) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


class Server(FactLog):
    shell: StationsShell
    http: aiohttp.ClientSession

    def submit(self, fact: Any) -> None:
        super().submit(fact)
        if isinstance(fact, StationArrived):
            self.shell.carry(AnswerStation(fact.station_id, fact.ticket, fact.offered[0]))

    async def connect(self, name: str = "CP1", *, tls: ssl.SSLContext | None = None, **more: Any) -> aiohttp.ClientWebSocketResponse:
        url = f"wss://127.0.0.1:{self.shell.tls_port}/ocpp/{name}" if tls else f"ws://127.0.0.1:{self.shell.port}/ocpp/{name}"
        return await self.http.ws_connect(url, protocols=("ocpp2.0.1",), ssl=tls or True, **more)


@asynccontextmanager
async def serving(certificates: list[CertificateConfig], **listen: Any) -> AsyncIterator[Server]:
    tls = {"port": 0, "certificates": [each.model_dump() for each in certificates]}
    config = Config.model_validate(
        {
            "site": {"id": "test"},
            "grid": {"fuse_a": 63, "worst_other_load_a": 20},
            "listen": {"host": "127.0.0.1", "port": 0, "tls": tls, **listen},
            "stations": [{"id": "CP1", "evses": EVSES}, {"id": "SAFE", "password": PASSWORD, "evses": EVSES}],
        }
    )
    server = Server()
    server.shell = StationsShell(config, Clock(), server.submit)
    async with aiohttp.ClientSession() as server.http:
        await server.shell.start()
        try:
            yield server
        finally:
            await server.shell.stop()


async def test_profile_2_a_station_talks_over_tls_with_its_password_beside_the_plain_listener(both: list[CertificateConfig]) -> None:
    async with serving(both) as server:
        safe = await server.connect("SAFE", tls=client(), headers=basic("SAFE"), compress=15)
        plain = await server.connect("CP1")
        await server.next(StationConnected, 2)
        text = "x" * 100_000
        await safe.send_str(text)
        await plain.send_str("plain")
        await server.next(StationFrame, 2)
        assert {frame.text for frame in server.of(StationFrame)} == {text, "plain"}
        server.shell.carry(SendStation("SAFE", 1, text))
        assert await safe.receive_str() == text
        await safe.close()
        await plain.close()


async def test_wrong_passwords_and_unknown_stations_are_refused_over_tls_too(both: list[CertificateConfig]) -> None:
    async with serving(both) as server:
        for name, password, status in (("SAFE", "wrong", 401), ("NOBODY", PASSWORD, 404)):
            with pytest.raises(aiohttp.WSServerHandshakeError) as answer:
                await server.connect(name, tls=client(), headers=basic(name, password))
            assert answer.value.status == status


async def test_without_the_plain_listener_there_is_only_tls(both: list[CertificateConfig]) -> None:
    async with serving(both, plain=False) as server:
        assert server.shell.port == 0
        assert server.shell.tls_port > 0
        await (await server.connect(tls=client())).close()


async def test_a_station_that_cannot_agree_on_tls_is_told_of_once_and_harms_nobody(both: list[CertificateConfig]) -> None:
    async with serving(both) as server:
        old = client(most=ssl.TLSVersion.TLSv1_1, ciphers="ALL:@SECLEVEL=0")
        with pytest.raises(aiohttp.ClientError):
            await server.connect(tls=old)
        refused = await server.next(StationRefused)
        assert (refused.station_id, refused.remote_address) == ("tls", "127.0.0.1")
        assert "no agreement on tls" in refused.reason.lower()
        assert server.shell._door.callers == 0
        await (await server.connect(tls=client())).close()


async def test_plain_text_to_the_tls_port_and_tls_to_the_plain_port_end_at_once(
    both: list[CertificateConfig], caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(both) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.shell.tls_port)
        writer.write(b"GET /ocpp/CP1 HTTP/1.1\r\nHost: x\r\n\r\n")
        with_end = await asyncio.wait_for(_all(reader), 5)
        assert b"HTTP/1.1 101" not in with_end
        writer.close()
        with pytest.raises(aiohttp.ClientError):
            await server.http.ws_connect(f"wss://127.0.0.1:{server.shell.port}/ocpp/CP1", ssl=client())
        await server.until(lambda: server.shell._door.callers == 0 or server.of(StationRefused))
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


async def _all(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.read()
    except ConnectionError:
        return b""


async def test_f64_a_slowloris_before_and_in_tls_is_closed_at_the_deadline(both: list[CertificateConfig]) -> None:
    async with serving(both, handshake_s=2.0) as server:
        silent = await asyncio.open_connection("127.0.0.1", server.shell.tls_port)
        dripping = await asyncio.open_connection("127.0.0.1", server.shell.tls_port)
        dripping[1].write(b"\x16\x03\x01\x02")
        over = await asyncio.open_connection("127.0.0.1", server.shell.tls_port, ssl=client(), server_hostname="127.0.0.1")
        over[1].write(b"GET /ocpp/CP1 HTTP/1.1\r\nHo")
        for reader, writer in (silent, dripping, over):
            assert await asyncio.wait_for(_all(reader), 5) == b""
            writer.close()
        assert server.shell._door.callers == 0
        await (await server.connect(tls=client())).close()


async def test_f64_sixteen_silent_tls_sockets_do_not_keep_the_rest_waiting_for_ever(both: list[CertificateConfig]) -> None:
    async with serving(both, handshake_s=1.5) as server:
        silent = [await asyncio.open_connection("127.0.0.1", server.shell.tls_port) for _ in range(20)]
        station = await server.connect()  # waits behind them, has its own deadline, and gets its turn
        await station.close()
        for _, writer in silent:
            writer.close()


async def test_a_certificate_is_renewed_without_a_restart_and_connections_live_on(tmp_path: Path, both: list[CertificateConfig]) -> None:
    async with serving(both[:1]) as server:
        first = await server.connect(tls=client())
        await server.next(StationConnected)
        files(tmp_path, "ecdsa", pem.OTHER_CERT, pem.OTHER_KEY)
        assert server.shell._certificates is not None
        server.shell._certificates.look()
        second = await server.connect("SAFE", tls=client(trust=pem.OTHER_CERT), headers=basic("SAFE"))
        seen = second.get_extra_info("ssl_object").getpeercert(binary_form=True)
        assert seen == ssl.PEM_cert_to_DER_cert(pem.OTHER_CERT)
        await first.send_str("still here")
        await server.next(StationFrame)
        await first.close()
        await second.close()


async def test_tls_connections_keep_small_buffers(both: list[CertificateConfig]) -> None:
    async with serving(both) as server:
        await (await server.connect(tls=client())).close()
        assert asyncio.sslproto.SSLProtocol.max_size == READ_BUFFER_BYTES


@contextmanager
def openssl_thread(port: int) -> Iterator[list[str]]:
    """A blocking client of the standard library in a thread: another TLS stack's use of the same library."""
    found: list[str] = []

    def run() -> None:
        with socket.create_connection(("127.0.0.1", port)) as raw, client(ciphers="AES128-GCM-SHA256", most=ssl.TLSVersion.TLSv1_2).wrap_socket(
            raw, server_hostname="127.0.0.1"
        ) as wrapped:
            wrapped.sendall(b"GET /ocpp/NOBODY HTTP/1.1\r\nHost: x\r\n\r\n")
            found.append(wrapped.recv(100).decode())

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield found
    finally:
        thread.join(60)


async def test_an_old_station_with_plain_rsa_is_served(both: list[CertificateConfig]) -> None:
    async with serving(both) as server:
        with openssl_thread(server.shell.tls_port) as found:
            await server.next(StationRefused)
        assert found[0].startswith("HTTP/1.1 404")
