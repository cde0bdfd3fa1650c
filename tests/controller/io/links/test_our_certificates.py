"""Security profile 3 towards a CSMS over real TLS sockets: what we show, renewal signed by the CSMS, what stays while the new one is not proven."""

from __future__ import annotations

import os
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from controller.config import Config
from controller.facts import (
    CertificateEnding,
    OwnCertificateInstalled,
    OwnCertificateSeen,
    SigningRequestMade,
    SourceChanged,
    UpstreamClosed,
    UpstreamOpened,
)
from controller.io.clock import Clock
from controller.io.links import wallet
from controller.io.links.upstream import UpstreamShell
from controller.orders import DialUpstream, InstallOwnCertificate, MakeSigningRequest
from tests.support.facts import FactLog
from tests.support.own_ca import DAY, OwnCa


@pytest.fixture
def ca(tmp_path: Path) -> OwnCa:
    return OwnCa(tmp_path / "ca")


class Far(FactLog):
    """A CSMS that wants certificates, and the shell that dials it. seen: CN of each handshake; status: answered instead of a handshake."""

    shell: UpstreamShell

    def __init__(self, ca: OwnCa) -> None:
        super().__init__()
        self.ca = ca
        self.seen: list[str] = []
        self.serials: list[int] = []
        self.status = 0
        self.passwords: list[str | None] = []
        self.generation = 0
        self.context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(ca.ca))
        self.context.verify_mode = ssl.CERT_REQUIRED

    async def serve(self, request: web.Request) -> web.StreamResponse:
        shown: Any = request.get_extra_info("ssl_object").getpeercert() or {}
        self.seen.append(next((value for part in shown.get("subject", ()) for key, value in part if key == "commonName"), ""))
        self.serials.append(int(shown.get("serialNumber", "0"), 16))
        self.passwords.append(request.headers.get("Authorization"))
        if self.status:
            return web.Response(status=self.status)
        socket = web.WebSocketResponse(protocols=("ocpp2.0.1",), timeout=1.0)
        await socket.prepare(request)
        async for _ in socket:
            pass
        return socket

    async def dial(self, identity: str = "DEPOT") -> UpstreamOpened | UpstreamClosed:
        """One dial; what came of it."""
        self.generation += 1
        known = len(self.of(UpstreamOpened)) + len(self.of(UpstreamClosed))
        self.shell.carry(DialUpstream(identity, self.generation, "cloud", ("ocpp2.0.1",)))

        def last() -> UpstreamOpened | UpstreamClosed | None:
            mine = [fact for fact in (*self.of(UpstreamOpened), *self.of(UpstreamClosed)) if fact.generation == self.generation]
            return mine[0] if mine else None

        await self.until(lambda: last() is not None)
        found = last()
        assert found is not None
        assert len(self.of(UpstreamOpened)) + len(self.of(UpstreamClosed)) > known
        return found

    async def opens(self, identity: str = "DEPOT") -> None:
        found = await self.dial(identity)
        assert isinstance(found, UpstreamOpened), found

    async def request(self, job: int = 1, name: str = "DEPOT", organization: str = "") -> str:
        self.shell.carry(MakeSigningRequest("cloud", "DEPOT", job, name, organization))
        made = await self.next(SigningRequestMade, len(self.of(SigningRequestMade)) + 1)
        assert made.number == job
        assert made.reason == ""
        return made.csr

    async def install(self, chain: str, job: int = 9, name: str = "DEPOT") -> OwnCertificateInstalled:
        self.shell.carry(InstallOwnCertificate("cloud", "DEPOT", job, chain, name))
        return await self.next(OwnCertificateInstalled, len(self.of(OwnCertificateInstalled)) + 1)


@asynccontextmanager
async def csms(ca: OwnCa, data_dir: Path, certificate: dict[str, Any], demand: bool = True, **upstream: Any) -> AsyncIterator[Far]:
    far = Far(ca)
    far.context.load_cert_chain(*(lambda pair: (pair.cert, pair.key))(ca.pair("csms", host="127.0.0.1")))
    if not demand:
        far.context.verify_mode = ssl.CERT_OPTIONAL
    app = web.Application()
    app.router.add_get("/{tail:.*}", far.serve)
    runner = web.AppRunner(app, shutdown_timeout=0.2)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=far.context).start()
    url = f"wss://127.0.0.1:{runner.addresses[0][1]}/ocpp"
    far.shell = UpstreamShell(config(data_dir, {"url": url, "ca_file": ca.ca, "certificate": certificate, **upstream}), Clock(), far.submit)
    await far.shell.start()
    try:
        yield far
    finally:
        await far.shell.stop()
        await runner.cleanup()


def config(data_dir: Path, upstream: dict[str, Any]) -> Config:
    return Config.model_validate(
        {
            "site": {"id": "test"},
            "grid": {"fuse_a": 63, "worst_other_load_a": 20},
            "data_dir": data_dir,
            "upstreams": [{"id": "cloud", "face": "depot", "identity": "DEPOT", **upstream}],
            "stations": [{"id": "CP1", "evses": [{"id": 1, "max_current_a": 32}]}],
        }
    )


def entry(folder: Path, name: str = "DEPOT", **more: Any) -> dict[str, Any]:
    return {"cert_file": folder / f"{name}.pem", "key_file": folder / f"{name}.key", **more}


# -- the operator's own --------------------------------------------------------------------------------------


async def test_the_configured_certificate_is_shown_and_a_changed_file_counts_at_the_next_dial(ca: OwnCa, tmp_path: Path) -> None:
    first = ca.pair("DEPOT")
    async with csms(ca, tmp_path / "data", entry(ca.folder)) as far:
        await far.opens()
        second = ca.pair("DEPOT")
        await far.opens()
        assert far.serials == [first.serial, second.serial]
        assert not far.of(OwnCertificateSeen), "nobody but the operator cares for it"


async def test_each_identity_may_have_its_own(ca: OwnCa, tmp_path: Path) -> None:
    for name in ("DEPOT", "CP 1"):
        ca.pair(name)
    async with csms(ca, tmp_path / "data", entry(ca.folder, "{identity}"), password="0123456789abcdef") as far:
        await far.opens("DEPOT")
        await far.opens("CP 1")
        missing = await far.dial("CP2")
        assert isinstance(missing, UpstreamClosed)
        assert "CP2.pem" in missing.reason
        assert "nothing was sent" in missing.reason
        assert far.seen == ["DEPOT", "CP 1"]
        assert all(far.passwords), "a password that is configured is sent, too"


@pytest.mark.parametrize("most", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_a_certificate_the_csms_does_not_take_is_told_as_a_refusal(ca: OwnCa, tmp_path: Path, most: ssl.TLSVersion) -> None:
    ca.pair("DEPOT", starts=-3 * DAY, ends=-DAY)
    async with csms(ca, tmp_path / "data", entry(ca.folder)) as far:
        far.context.maximum_version = most
        closed = await far.dial()
        assert isinstance(closed, UpstreamClosed)
        assert closed.refused
        assert "it may not accept the certificate we show" in closed.reason


async def test_a_certificate_near_its_end_is_told(ca: OwnCa, tmp_path: Path) -> None:
    ca.pair("DEPOT", ends=5 * DAY)
    async with csms(ca, tmp_path / "data", entry(ca.folder)) as far:
        await far.opens()
        await far.shell._certificates._endings.look()
        (told,) = far.of(CertificateEnding)
        assert (told.user, told.then) == ("cloud (DEPOT)", "the CSMS that it is shown to lets us in no more")


# -- signed by the CSMS ------------------------------------------------------------------------------------------


async def test_a05_from_profile_2_to_3_the_first_certificate_is_signed_by_the_csms(ca: OwnCa, tmp_path: Path) -> None:
    data = tmp_path / "data"
    async with csms(ca, data, entry(tmp_path, renewal="csms"), demand=False, password="0123456789abcdef") as far:
        await far.opens()
        assert far.of(OwnCertificateSeen)[-1].ends_wall_s == 0.0
        csr = await far.request(organization="Depot AG")
        installed = await far.install(ca.sign(csr))
        assert installed.ok, installed.reason
        await far.opens()
        told = await far.next(OwnCertificateSeen, 3)
        assert [one.fresh for one in far.of(OwnCertificateSeen)] == [False, True, False], "proven while the connection lives: its end is watched"
        assert told.ends_wall_s > 0
        assert told.lasts_s == 366 * 86_400
        assert far.seen == ["", "DEPOT"]
        await far.opens()
        assert not far.of(OwnCertificateSeen)[-1].fresh, "it is proven"
    for path in (data / "certificates").rglob("*"):
        assert path.stat().st_mode & 0o077 == 0, f"{path} may be read by others"


async def test_a05_what_has_been_shown_once_is_not_left_out_because_a_file_is_gone(ca: OwnCa, tmp_path: Path) -> None:
    data = tmp_path / "data"
    async with csms(ca, data, entry(tmp_path, renewal="csms"), demand=False) as far:
        assert (await far.install(ca.sign(await far.request()))).ok
        await far.opens()
        for path in (data / "certificates").rglob("*.pem"):
            path.unlink()
        closed = await far.dial()
        assert isinstance(closed, UpstreamClosed)
        assert "without one we do not dial" in closed.reason
        assert far.seen == ["DEPOT"]


async def test_a02_a_new_certificate_that_is_refused_gives_way_to_the_one_before_and_goes_after_three_refusals(ca: OwnCa, tmp_path: Path) -> None:
    old = ca.pair("DEPOT", ends=10 * DAY)
    async with csms(ca, tmp_path / "data", entry(ca.folder, renewal="csms")) as far:
        stranger = OwnCa(tmp_path / "other", "Other CA")
        assert (await far.install(stranger.sign(await far.request()))).ok
        kinds = [type(await far.dial()).__name__ for _ in range(6)]
        assert kinds == ["UpstreamClosed", "UpstreamOpened", "UpstreamClosed", "UpstreamOpened", "UpstreamClosed", "UpstreamOpened"]
        assert [type(await far.dial()).__name__ for _ in range(2)] == ["UpstreamOpened"] * 2, "given up"
        assert set(far.serials) == {old.serial}
        assert "the one before is used" in far.of(SourceChanged)[-1].detail


async def test_a_refusal_by_http_counts_and_a_csms_that_is_away_says_nothing_about_a_certificate(ca: OwnCa, tmp_path: Path) -> None:
    old = ca.pair("DEPOT", ends=10 * DAY)
    async with csms(ca, tmp_path / "data", entry(ca.folder, renewal="csms")) as far:
        assert (await far.install(ca.sign(await far.request()))).ok
        far.status = 503
        for _ in range(4):
            assert isinstance(await far.dial(), UpstreamClosed)
        fresh = far.serials[-1]
        assert set(far.serials) == {fresh}
        far.status = 403
        assert isinstance(await far.dial(), UpstreamClosed)
        far.status = 0
        await far.opens()
        assert far.serials[-2:] == [fresh, old.serial], "the one before, once"
        await far.opens()
        assert far.serials[-1] == fresh


async def test_proven_once_it_is_the_only_one_and_the_csms_has_to_say_why(ca: OwnCa, tmp_path: Path) -> None:
    ca.pair("DEPOT", ends=10 * DAY)
    async with csms(ca, tmp_path / "data", entry(ca.folder, renewal="csms")) as far:
        assert (await far.install(ca.sign(await far.request()))).ok
        await far.opens()
        fresh, far.status = far.serials[-1], 403
        for _ in range(4):
            assert isinstance(await far.dial(), UpstreamClosed)
        assert set(far.serials) == {fresh}


async def test_renewal_survives_a_restart_between_request_and_answer(ca: OwnCa, tmp_path: Path) -> None:
    ca.pair("DEPOT", ends=10 * DAY)
    async with csms(ca, tmp_path / "data", entry(ca.folder, renewal="csms")) as far:
        first = await far.request(1)
        await far.request(2)
    async with csms(ca, tmp_path / "data", entry(ca.folder, renewal="csms")) as far:
        assert (await far.install(ca.sign(first))).ok, "an older request may be the one that is answered"
        await far.opens()
        assert far.of(OwnCertificateSeen)[0].fresh
    async with csms(ca, tmp_path / "data", entry(ca.folder, renewal="csms")) as far:
        await far.opens()
        assert not far.of(OwnCertificateSeen)[-1].fresh
        assert far.of(OwnCertificateSeen)[-1].ends_wall_s > Clock().stamp().wall_s + 300 * 86_400


async def test_files_an_operator_puts_there_later_win(ca: OwnCa, tmp_path: Path) -> None:
    async with csms(ca, tmp_path / "data", entry(ca.folder, renewal="csms"), demand=False) as far:
        assert (await far.install(ca.sign(await far.request()))).ok
        await far.opens()
        pair = ca.pair("DEPOT")
        later = Clock().stamp().wall_s + 60
        os.utime(pair.cert, (later, later))
        await far.opens()
        assert far.serials[-1] == pair.serial


async def test_a_certificate_that_is_not_valid_yet_waits(ca: OwnCa, tmp_path: Path) -> None:
    old = ca.pair("DEPOT", ends=10 * DAY)
    async with csms(ca, tmp_path / "data", entry(ca.folder, renewal="csms")) as far:
        installed = await far.install(ca.sign(await far.request(), starts=DAY))
        assert installed.ok
        assert installed.starts_wall_s > Clock().stamp().wall_s
        await far.opens()
        assert far.serials == [old.serial]


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({"common_name": "SOMEBODY"}, "names SOMEBODY, and we asked for DEPOT"),
        ({"starts": -3 * DAY, "ends": -DAY}, "has ended already"),
    ],
)
async def test_a02_fr_07_what_does_not_fit_is_rejected_and_changes_nothing(ca: OwnCa, tmp_path: Path, how: dict[str, Any], words: str) -> None:
    old = ca.pair("DEPOT", ends=10 * DAY)
    async with csms(ca, tmp_path / "data", entry(ca.folder, renewal="csms")) as far:
        installed = await far.install(ca.sign(await far.request(), **how))
        assert (installed.ok, words in installed.reason) == (False, True), installed.reason
        await far.opens()
        assert far.serials == [old.serial]


async def test_chains_that_cannot_be_read_or_are_for_another_key(ca: OwnCa, tmp_path: Path) -> None:
    stranger = OwnCa(tmp_path / "other", "Other CA")
    async with csms(ca, tmp_path / "data", entry(ca.folder, renewal="csms"), demand=False) as far:
        unasked = await far.install(ca.pair("DEPOT", file="x").cert.read_text())
        assert "nobody here has asked" in unasked.reason
        csr = await far.request()
        other = await far.install(ca.pair("DEPOT", file="x").cert.read_text())
        assert "another key" in other.reason
        assert "PEM is wanted" in (await far.install("not a certificate")).reason
        torn = ca.sign(csr, chain=False) + stranger.ca.read_text()
        assert "does not hold together" in (await far.install(torn)).reason
        assert (await far.install(ca.sign(csr))).ok


async def test_stopping_in_the_middle_of_a_request_harms_nothing(ca: OwnCa, tmp_path: Path) -> None:
    async with csms(ca, tmp_path / "data", entry(ca.folder, renewal="csms"), demand=False) as far:
        far.shell.carry(MakeSigningRequest("cloud", "DEPOT", 1, "DEPOT"))
    async with csms(ca, tmp_path / "data", entry(ca.folder, renewal="csms"), demand=False) as far:
        assert (await far.install(ca.sign(await far.request(2)))).ok
        await far.opens()
        assert far.seen == ["DEPOT"]


async def test_a_new_certificate_that_the_disk_has_damaged_does_not_keep_the_one_before_from_being_shown(ca: OwnCa, tmp_path: Path) -> None:
    old = ca.pair("DEPOT", ends=10 * DAY)
    async with csms(ca, tmp_path / "data", entry(ca.folder, renewal="csms")) as far:
        assert (await far.install(ca.sign(await far.request()))).ok
        (new,) = (tmp_path / "data").rglob("new.pem")
        new.write_text(new.read_text().partition("-----BEGIN PRIVATE KEY")[0] + old.key.read_text())
        await far.opens()
        assert far.serials == [old.serial]
        assert not new.exists()


async def test_a_full_disk_keeps_no_proven_certificate_from_its_place(ca: OwnCa, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with csms(ca, tmp_path / "data", entry(tmp_path, renewal="csms"), demand=False) as far:
        assert (await far.install(ca.sign(await far.request()))).ok

        def full(*given: Any) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(wallet, "_write", full)
        await far.opens()
        await far.next(OwnCertificateSeen, 2)
        (kept,) = (tmp_path / "data").rglob("*.pem")
        assert kept.name == "kept.pem"
        monkeypatch.undo()
        await far.opens()
        await far.until(lambda: bool(list((tmp_path / "data").rglob("proven"))))


async def test_files_an_operator_puts_there_win_over_what_is_not_proven_yet(ca: OwnCa, tmp_path: Path) -> None:
    async with csms(ca, tmp_path / "data", entry(ca.folder, renewal="csms"), demand=False) as far:
        assert (await far.install(ca.sign(await far.request()))).ok
        pair = ca.pair("DEPOT")
        later = Clock().stamp().wall_s + 60
        os.utime(pair.cert, (later, later))
        await far.opens()
        assert far.serials == [pair.serial]
