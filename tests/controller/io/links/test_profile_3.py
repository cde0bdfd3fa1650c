"""Security profile 3 over real TLS sockets, stations' side: certificates that fit, strange, ended and revoked ones, and attempts to go lower."""

from __future__ import annotations

import base64
import contextlib
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from cryptography.hazmat.primitives import serialization

from controller.config import CertificateConfig, Config
from controller.config_security import StationCertificatesConfig
from controller.facts import CertificateEnding, SourceChanged, StationArrived, StationConnected, StationRefused
from controller.io.clock import Clock, VirtualClock
from controller.io.links.stations import StationsShell
from controller.io.links.tls import Certificates
from controller.io.shell import StartError
from controller.orders import AnswerStation
from tests.support.facts import FactLog
from tests.support.own_ca import DAY, OwnCa, Pair, now

EVSES = [{"id": 1, "max_current_a": 32}]
PASSWORD = "0123456789abcdef!"


@pytest.fixture
def ca(tmp_path: Path) -> OwnCa:
    return OwnCa(tmp_path / "ca")


class Site(FactLog):
    """A station server, and stations that dial it."""

    shell: StationsShell
    http: aiohttp.ClientSession
    ca: OwnCa

    def submit(self, fact: Any) -> None:
        super().submit(fact)
        if isinstance(fact, StationArrived):
            self.shell.carry(AnswerStation(fact.station_id, fact.ticket, fact.offered[0]))

    def context(self, pair: Pair | None, most: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=str(self.ca.ca))
        context.maximum_version = most
        if pair is not None:
            context.load_cert_chain(pair.cert, pair.key)
        return context

    async def connect(self, name: str, pair: Pair | None = None, *, password: str = "", plain: bool = False, **more: Any) -> Any:
        headers = {"Authorization": "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()} if password else {}
        if plain:
            return await self.http.ws_connect(f"ws://127.0.0.1:{self.shell.port}/ocpp/{name}", protocols=("ocpp2.0.1",), headers=headers)
        url = f"wss://127.0.0.1:{self.shell.tls_port}/ocpp/{name}"
        return await self.http.ws_connect(url, protocols=("ocpp2.0.1",), headers=headers, ssl=self.context(pair, **more))

    async def refusal(self, name: str, pair: Pair | None = None, **more: Any) -> tuple[int, str]:
        """(HTTP status, what we told of it; the first refusal of a station within a minute is)."""
        with pytest.raises(aiohttp.WSServerHandshakeError) as answer:
            await self.connect(name, pair, **more)
        told = [fact.reason for fact in self.of(StationRefused) if fact.station_id == name]
        return answer.value.status, told[0]


def config(ca: OwnCa, stations: list[dict[str, Any]], clients: dict[str, Any] | None) -> Config:
    server = ca.pair("yard", host="127.0.0.1")
    tls: dict[str, Any] = {"port": 0, "certificates": [{"cert_file": server.cert, "key_file": server.key}]}
    if clients is not None:
        tls["clients"] = {"ca_file": ca.ca, **clients}
    return Config.model_validate(
        {
            "site": {"id": "test"},
            "grid": {"fuse_a": 63, "worst_other_load_a": 20},
            "listen": {"host": "127.0.0.1", "port": 0, "tls": tls},
            "stations": [{"evses": EVSES, **station} for station in stations],
        }
    )


STATIONS: list[dict[str, Any]] = [
    {"id": "P3", "security_profile": 3},
    {"id": "SN", "security_profile": 3, "certificate_name": "SN-0042"},
    {"id": "P2", "security_profile": 2, "password": PASSWORD},
    {"id": "P1", "security_profile": 1, "password": PASSWORD},
    {"id": "OPEN"},
]


@asynccontextmanager
async def site(ca: OwnCa, stations: list[dict[str, Any]] | None = None, **clients: Any) -> AsyncIterator[Site]:
    there = Site()
    there.ca = ca
    there.shell = StationsShell(config(ca, stations or STATIONS, clients), Clock(), there.submit)
    async with aiohttp.ClientSession() as there.http:
        await there.shell.start()
        try:
            yield there
        finally:
            await there.shell.stop()


@pytest.mark.parametrize("most", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_a00_fr_402_a_station_comes_in_with_its_certificate_and_without_a_password(ca: OwnCa, most: ssl.TLSVersion) -> None:
    async with site(ca) as there:
        for name, common_name in (("P3", "P3"), ("SN", "SN-0042")):
            socket = await there.connect(name, ca.pair(common_name), most=most)
            await socket.close()
        assert {fact.station_id for fact in there.of(StationConnected)} == {"P3", "SN"}


async def test_a00_fr_405_the_certificate_of_another_station_lets_nobody_in_whatever_the_password(ca: OwnCa) -> None:
    async with site(ca) as there:
        other = ca.pair("P3")
        status, reason = await there.refusal("SN", other)
        assert (status, "names P3" in reason, "must name SN-0042" in reason) == (403, True, True)
        assert (await there.refusal("P2", other, password=PASSWORD))[0] == 403
        assert (await there.refusal("OPEN", other))[0] == 403
        assert not there.of(StationConnected)


@pytest.mark.parametrize(("organization", "found"), [("", "organization none"), ("Other", "organization Other")])
async def test_a00_fr_404_the_organization_counts_where_it_is_set(ca: OwnCa, organization: str, found: str) -> None:
    async with site(ca, organization="Depot AG") as there:
        assert found in (await there.refusal("P3", ca.pair("P3", organization=organization)))[1]
        await (await there.connect("P3", ca.pair("P3", organization="Depot AG"))).close()


@pytest.mark.parametrize(
    ("name", "how", "status", "words"),
    [
        ("P3", {"password": PASSWORD}, 403, "over TLS without a certificate"),
        ("P3", {"password": PASSWORD, "plain": True}, 403, "comes without TLS"),
        ("P2", {"password": PASSWORD, "plain": True}, 403, "lowest security profile is 2"),
        ("P2", {}, 401, "no password"),
        ("P1", {"plain": True}, 401, "no password"),
    ],
)
async def test_a05_a_station_is_not_let_in_below_its_profile(ca: OwnCa, name: str, how: dict[str, Any], status: int, words: str) -> None:
    async with site(ca) as there:
        answer, reason = await there.refusal(name, **how)
        assert (answer, words in reason) == (status, True), reason
        await (await there.connect("P2", password=PASSWORD)).close()
        await (await there.connect("P1", plain=True, password=PASSWORD)).close()


async def test_a05_a_station_may_come_higher_than_it_must(ca: OwnCa) -> None:
    async with site(ca) as there:
        for name in ("P1", "P2", "OPEN"):
            await (await there.connect(name, ca.pair(name))).close()


@pytest.mark.parametrize("most", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_certificates_that_do_not_hold_end_the_handshake_and_are_told_in_words(ca: OwnCa, tmp_path: Path, most: ssl.TLSVersion) -> None:
    stranger = OwnCa(tmp_path / "other", "Other CA")
    for pair, words in (
        (ca.pair("P3", file="ended", starts=-3 * DAY, ends=-DAY), "has expired"),
        (ca.pair("P3", file="early", starts=DAY, ends=3 * DAY), "not yet valid"),
        (stranger.pair("P3"), "unable to get local issuer"),
    ):
        async with site(ca) as there:
            with pytest.raises((aiohttp.ClientError, OSError)):
                await there.connect("P3", pair, most=most)
            refused = await there.next(StationRefused)
            assert "the station's certificate is not accepted" in refused.reason
            assert words in refused.reason
            assert not there.of(StationConnected)
            await (await there.connect("P2", password=PASSWORD)).close()


async def test_without_clients_nobody_is_asked_and_profile_3_cannot_be_reached(ca: OwnCa) -> None:
    there = Site()
    there.ca = ca
    there.shell = StationsShell(config(ca, STATIONS, None), Clock(), there.submit)
    async with aiohttp.ClientSession() as there.http:
        await there.shell.start()
        assert "without a certificate" in (await there.refusal("P3", ca.pair("P3")))[1]
        await there.shell.stop()


# -- revocation ---------------------------------------------------------------------------------------------


async def outcome(there: Site, pair: Pair) -> str:
    """"in", or why not."""
    known = len(there.of(StationRefused))
    try:
        await (await there.connect("P3", pair)).close()
    except (aiohttp.ClientError, OSError):
        return (await there.next(StationRefused, known + 1)).reason
    return "in"


async def test_a_revoked_certificate_is_refused_and_a_new_list_counts_for_the_next_connection(ca: OwnCa) -> None:
    good, bad = ca.pair("P3", file="good"), ca.pair("P3", file="bad")
    async with site(ca, crl_file=ca.crl()) as there:
        assert await outcome(there, bad) == "in"
        ca.crl(bad.serial, ends=31 * DAY)
        assert there.shell._certificates is not None
        there.shell._certificates.look()
        assert "revoked" in await outcome(there, bad)
        assert await outcome(there, good) == "in"


async def test_revocation_that_is_not_known_is_the_safer_side(ca: OwnCa, tmp_path: Path) -> None:
    stranger = OwnCa(tmp_path / "other", "Other CA")
    async with site(ca, crl_file=stranger.crl()) as there:
        assert "crl" in (await outcome(there, ca.pair("P3"))).lower()
    async with site(ca, crl_file=ca.crl(ends=timedelta(days=-1))) as there:
        assert "crl has expired" in (await outcome(there, ca.pair("P3"))).lower()


def station_side(ca: OwnCa, chain: Path, key: Path) -> ssl.SSLContext:
    """A charger that speaks TLS 1.2 and takes sessions up again."""
    context = ssl.create_default_context(cafile=str(ca.ca))
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(chain, key)
    return context


def shake_hands(server: ssl.SSLContext, context: ssl.SSLContext, session: ssl.SSLSession | None = None) -> tuple[ssl.SSLObject, ssl.SSLSession]:
    """A handshake in memory and its polite end: the server's side, the charger's session. Raises ssl.SSLError."""
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    theirs = context.wrap_bio(down, up, server_hostname="127.0.0.1", session=session)
    ours = server.wrap_bio(up, down, server_side=True)
    both(theirs, ours, "do_handshake")
    taken = theirs.session
    assert taken is not None
    both(theirs, ours, "unwrap")
    return ours, taken


def both(theirs: ssl.SSLObject, ours: ssl.SSLObject, step: str) -> None:
    pending = [theirs, ours]
    for _ in range(10):
        for side in list(pending):
            with contextlib.suppress(ssl.SSLWantReadError):
                getattr(side, step)()
                pending.remove(side)
    assert not pending


def test_a_session_that_is_taken_up_again_does_not_outlive_the_list_of_what_is_revoked(ca: OwnCa) -> None:
    """TLS 1.2: whoever resumes shows nothing again. What was found out then holds while the list of then does, and no longer."""
    pair, server = ca.pair("P3"), ca.pair("yard", host="127.0.0.1")
    clients = StationCertificatesConfig(ca_file=ca.ca, crl_file=ca.crl(ends=2 * DAY))
    clock = VirtualClock(Clock().stamp().wall_s)
    certificates = Certificates([CertificateConfig(cert_file=server.cert, key_file=server.key)], clock, FactLog().submit, clients)
    certificates.start()
    context = station_side(ca, pair.cert, pair.key)
    _, session = shake_hands(certificates.context(), context)
    certificates.look()
    assert shake_hands(certificates.context(), context, session)[0].session_reused
    clock.advance(2 * DAY.total_seconds() + 1)
    certificates.look()
    assert not shake_hands(certificates.context(), context, session)[0].session_reused
    before = certificates.context()
    certificates.look()
    assert certificates.context() is before, "once is enough"


async def test_a_revoked_ca_between_lets_nobody_in(ca: OwnCa, tmp_path: Path) -> None:
    between = OwnCa(tmp_path / "between", "Between")
    signed = ca._sign(between.subject, between.key.public_key(), now() - DAY, now() + 99 * DAY, None, authority=True)
    pair = between.pair("P3")
    pair.cert.write_bytes(pair.cert.read_bytes() + signed.public_bytes(serialization.Encoding.PEM))
    lists = tmp_path / "lists.pem"
    for revoked, words in (((), "in"), ((signed.serial_number,), "revoked")):
        lists.write_bytes(ca.crl(*revoked).read_bytes() + between.crl().read_bytes())
        async with site(ca, crl_file=lists) as there:
            assert words in await outcome(there, pair)


async def test_the_end_of_a_list_and_of_the_cas_is_told_like_that_of_a_certificate(ca: OwnCa) -> None:
    async with site(ca, crl_file=ca.crl(ends=5 * DAY)) as there:
        told = there.of(CertificateEnding)
        assert [(Path(one.name).name, "cannot connect any more" in one.then) for one in told] == [("crl.pem", True)]


async def test_a_list_that_is_renewed_all_the_time_is_no_news_until_its_last_day(ca: OwnCa) -> None:
    clock, log, server = VirtualClock(Clock().stamp().wall_s), FactLog(), ca.pair("yard", host="127.0.0.1", ends=20 * DAY)
    clients = StationCertificatesConfig(ca_file=ca.ca, crl_file=ca.crl(ends=40 * DAY))
    certificates = Certificates([CertificateConfig(cert_file=server.cert, key_file=server.key)], clock, log.submit, clients)
    certificates.start()
    for days in (5, 6, 4):
        ca.crl(*range(1, days), ends=days * DAY)
        certificates.look()
    assert [Path(one.name).name for one in log.of(CertificateEnding)] == ["yard.pem"], "and the server's own end is told once"
    clock.advance(3.5 * DAY.total_seconds())
    certificates.look()
    assert [Path(one.name).name for one in log.of(CertificateEnding)] == ["yard.pem", "crl.pem"]


async def test_files_that_are_wrong_end_the_start_or_leave_the_old_ones_in_force(ca: OwnCa, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.pem"
    wrong.write_text("nothing")
    for clients, words in (({"crl_file": wrong}, "no revocation list"), ({"ca_file": wrong}, "no certificate that can be read")):
        shell = StationsShell(config(ca, STATIONS, clients), Clock(), FactLog().submit)
        with pytest.raises(StartError, match=words):
            await shell.start()
        await shell.stop()
    async with site(ca, crl_file=ca.crl()) as there:
        ca.crl().write_text("half a list")
        assert there.shell._certificates is not None
        there.shell._certificates.look()
        (told,) = there.of(SourceChanged)
        assert (told.healthy, "stays in force" in told.detail) == (False, True)
        assert await outcome(there, ca.pair("P3")) == "in"
