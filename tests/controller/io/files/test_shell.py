"""Files over real HTTP on the loopback: fetched once, served to stations, taken in, packed and sent on."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import io
import shutil
import zipfile
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aioftp
import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from controller.app import App
from controller.config import Config
from controller.facts import Fact, FileFetched, FilesCollected, FileServed
from controller.io.clock import Clock
from controller.io.files.shell import FilesShell
from controller.orders import FetchFile, OpenBox, SendBox, ServeFile, StopServing
from controller.snapshot import EventView

BODY = bytes(range(256)) * 5000


class Events:
    """Of the snapshot, what the shell reads."""

    version = "1.2.3"
    site_id = "test"
    events = (EventView(1, 1_790_000_000.0, "warning", "CP1", "went away"),)


class Box:
    """A shell at work and the facts it has given."""

    def __init__(self, folder: Path, **files: Any) -> None:
        self.config = Config.model_validate(
            {
                "site": {"id": "test"},
                "grid": {"fuse_a": 63, "worst_other_load_a": 1},
                "data_dir": str(folder),
                "files": {"host": "127.0.0.1", "port": 0, **files},
            }
        )
        self.facts: list[Fact] = []
        self.news = asyncio.Event()
        self.shell = FilesShell(self.config, Clock(), self._submit, lambda: Events())  # type: ignore[arg-type,return-value]

    def _submit(self, fact: Fact) -> None:
        self.facts.append(fact)
        self.news.set()

    async def fact(self, of: type, **fields: Any) -> Any:
        """The next fact of a kind with such fields."""
        async with asyncio.timeout(10):
            while True:
                for fact in self.facts:
                    if isinstance(fact, of) and all(getattr(fact, name) == value for name, value in fields.items()):
                        self.facts.remove(fact)
                        return fact
                self.news.clear()
                await self.news.wait()


@pytest.fixture
async def box(tmp_path: Path) -> AsyncIterator[Box]:
    found = Box(tmp_path)
    await found.shell.start()
    yield found
    await found.shell.stop()


@pytest.fixture
async def client() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Serve = Callable[[Handler], Awaitable[str]]


@pytest.fixture
async def far() -> AsyncIterator[Serve]:
    """Makes a server far away; the handler gets every request."""
    servers: list[TestServer] = []

    async def make(handler: Handler) -> str:
        app = web.Application(client_max_size=1 << 26)
        app.router.add_route("*", "/{tail:.*}", handler)
        server = TestServer(app)
        await server.start_server()
        servers.append(server)
        return str(server.make_url("/"))

    yield make
    for server in servers:
        await server.close()


async def giving(request: web.Request) -> web.StreamResponse:
    return web.Response(body=BODY)


def contents(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def contents_of(fact: FileFetched) -> bytes:
    return Path(fact.path).read_bytes()


async def until(so: Callable[[], bool]) -> None:
    """Let the loop run until something is so; the world outside it moves as well."""
    async with asyncio.timeout(5):
        while not so():  # noqa: ASYNC110 - the condition is another process's, or the disk's
            await asyncio.sleep(0)


# -- fetching ---------------------------------------------------------------------------------------------


async def test_a_file_is_fetched_with_its_digests(box: Box, far: Serve) -> None:
    url = await far(giving)
    box.shell.carry(FetchFile("publish:a", f"{url}fw.bin"))
    fact = await box.fact(FileFetched)
    assert (fact.ok, fact.job, fact.size_bytes) == (True, "publish:a", len(BODY))
    assert fact.md5 == hashlib.md5(BODY).hexdigest()
    assert fact.sha256 == hashlib.sha256(BODY).hexdigest()
    assert contents_of(fact) == BODY
    assert box.shell.port == 0  # nothing is served yet: no port is open


async def test_a_packed_file_stays_packed(box: Box, far: Serve) -> None:
    packed = gzip.compress(BODY)

    async def as_gzip(request: web.Request) -> web.StreamResponse:
        return web.Response(body=packed, headers={"Content-Encoding": "gzip"})

    box.shell.carry(FetchFile("publish:a", f"{await far(as_gzip)}fw.bin.gz"))
    fact = await box.fact(FileFetched)
    assert (fact.ok, fact.md5) == (True, hashlib.md5(packed).hexdigest())


async def test_it_is_tried_as_often_as_told(box: Box, far: Serve) -> None:
    seen: list[str] = []

    async def third_time(request: web.Request) -> web.StreamResponse:
        seen.append(request.path)
        return web.Response(status=503) if len(seen) < 3 else web.Response(body=b"ok")

    url = await far(third_time)
    box.shell.carry(FetchFile("j", url, attempts=3, retry_s=0.01))
    assert (await box.fact(FileFetched)).ok
    seen.clear()
    box.shell.carry(FetchFile("k", url, attempts=2, retry_s=0.01))
    fact = await box.fact(FileFetched)
    assert (fact.ok, len(seen)) == (False, 2)
    assert fact.reason == "the server answered 503"


async def test_what_is_too_large_leaves_nothing(box: Box, far: Serve, tmp_path: Path) -> None:
    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for _ in range(40):
            await response.write(b"x" * 100_000)
        return response

    for handler in (giving, endless):  # told beforehand, and not told
        url = await far(handler)
        box.shell.carry(FetchFile("j", url, max_bytes=500_000, attempts=3, retry_s=60.0))
        fact = await box.fact(FileFetched)
        assert not fact.ok
        assert "larger than 500000" in fact.reason
    assert [path.name for path in contents(tmp_path)] == []


@pytest.mark.parametrize("url", ["sftp://127.0.0.1/x", "ftp://", "file:///etc/passwd", "http://", "http://[", "nonsense"])
async def test_only_web_addresses_are_fetched(box: Box, url: str) -> None:
    box.shell.carry(FetchFile("j", url, attempts=5, retry_s=60.0))
    assert not (await box.fact(FileFetched)).ok


async def test_a_broken_transfer_is_no_file_and_no_password_is_told(box: Box, far: Serve, tmp_path: Path) -> None:
    async def broken(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "100000"})
        await response.prepare(request)
        await response.write(b"x" * 1000)
        assert request.transport is not None
        request.transport.abort()
        return response

    url = (await far(broken)).replace("http://", "http://me:secretword@")
    box.shell.carry(FetchFile("j", url, attempts=1))
    fact = await box.fact(FileFetched)
    assert not fact.ok
    assert "secretword" not in fact.reason
    assert contents(tmp_path) == []


async def test_a_new_order_for_a_job_ends_the_old_one(box: Box, far: Serve) -> None:
    asked = asyncio.Event()

    async def slow(request: web.Request) -> web.StreamResponse:
        if request.path == "/slow":
            asked.set()
            await asyncio.Event().wait()
        return web.Response(body=b"new")

    url = await far(slow)
    box.shell.carry(FetchFile("j", f"{url}slow"))
    async with asyncio.timeout(5):
        await asked.wait()
    box.shell.carry(FetchFile("j", f"{url}fast"))
    fact = await box.fact(FileFetched)
    assert fact.url.endswith("fast")
    assert contents_of(fact) == b"new"
    assert [one for one in box.facts if isinstance(one, FileFetched)] == []


# -- serving -----------------------------------------------------------------------------------------------


async def fetched(box: Box, far: Serve, job: str = "publish:a") -> FileFetched:
    box.shell.carry(FetchFile(job, f"{await far(giving)}fw.bin"))
    fact: FileFetched = await box.fact(FileFetched, job=job)
    return fact


async def test_a_fetched_file_is_served_to_who_knows_its_address(box: Box, far: Serve, client: aiohttp.ClientSession) -> None:
    fact = await fetched(box, far)
    box.shell.carry(ServeFile("publish:a", fact.path, "../../fw 1.bin"))
    served = await box.fact(FileServed)
    (url,) = served.urls
    assert url.startswith(f"http://127.0.0.1:{box.shell.port}/files/")
    assert url.endswith("/fw_1.bin")
    async with client.get(url) as response:
        assert (response.status, await response.read()) == (200, BODY)
    assert [(await box.fact(FilesCollected, kind="busy")).name for _ in range(2)] == ["1", "0"]
    async with client.get(url, headers={"Range": "bytes=100-199"}) as response:
        assert (response.status, await response.read()) == (206, BODY[100:200])
    for wrong in (
        url[:-1],
        url.replace("/files/", "/files/x"),
        f"{url.rsplit('/', 2)[0]}/{'a' * 24}/fw_1.bin",
        f"http://127.0.0.1:{box.shell.port}/",
    ):
        async with client.get(wrong) as response:
            assert response.status == 404


async def test_the_address_is_the_same_after_a_restart(tmp_path: Path, far: Serve) -> None:
    first = Box(tmp_path)
    await first.shell.start()
    fact = await fetched(first, far)
    first.shell.carry(ServeFile("publish:a", fact.path, "fw.bin"))
    url = (await first.fact(FileServed)).urls[0]
    port = first.shell.port
    await first.shell.stop()
    second = Box(tmp_path, port=port)
    await second.shell.start()
    second.shell.carry(ServeFile("publish:a", fact.path, "fw.bin"))
    assert (await second.fact(FileServed)).urls == (url,)
    await second.shell.stop()


async def test_only_what_lies_in_our_folder_is_served(box: Box, tmp_path: Path) -> None:
    outside = tmp_path / "site.yaml"
    outside.write_text("secret")
    (tmp_path / "files").mkdir(exist_ok=True)
    link = tmp_path / "files" / "link"
    link.symlink_to(outside)
    for path in (outside, link, tmp_path / "files" / ".." / "site.yaml", tmp_path / "files" / "nothing"):
        box.shell.carry(ServeFile("j", str(path), "x"))
        fact = await box.fact(FileServed)
        assert fact.urls == ()
    assert box.shell.port == 0


async def test_stop_serving_deletes_and_closes_the_port(box: Box, far: Serve, client: aiohttp.ClientSession) -> None:
    fact = await fetched(box, far)
    box.shell.carry(ServeFile("publish:a", fact.path, "fw.bin"))
    url = (await box.fact(FileServed)).urls[0]
    box.shell.carry(StopServing("publish:a"))
    await until(lambda: not box.shell.port)
    assert contents(box.config.data_dir) == []
    with pytest.raises(aiohttp.ClientConnectorError):
        await client.get(url)


async def test_a_port_in_use_is_told(tmp_path: Path, far: Serve) -> None:
    url = await far(giving)
    taken = int(url.rsplit(":", 1)[1].strip("/"))
    box = Box(tmp_path, port=taken)
    await box.shell.start()
    box.shell.carry(OpenBox("logs:1"))
    fact = await box.fact(FileServed)
    assert fact.urls == ()
    assert f"port {taken}" in fact.reason
    await box.shell.stop()


# -- boxes --------------------------------------------------------------------------------------------------------


async def opened(box: Box, **more: Any) -> str:
    box.shell.carry(OpenBox("logs:1", **more))
    fact = await box.fact(FileServed)
    return str(fact.urls[0])


async def test_stations_put_their_logs_in_every_way_they_know_and_one_zip_goes_up(box: Box, far: Serve, client: aiohttp.ClientSession) -> None:
    url = await opened(box)
    form = aiohttp.FormData()
    form.add_field("note", "hello")
    form.add_field("file", b"form", filename="c.log")
    for send in (
        client.put(f"{url}/001-CP1", data=b"put"),
        client.post(f"{url}/001-CP1", data=b"again"),
        client.put(f"{url}/002-CP2/2026/b.log", data=b"named"),
        client.post(f"{url}/003-CP3", data=form),
    ):
        async with send as response:
            assert response.status == 201
    names = [(await box.fact(FilesCollected, kind="received")).name for _ in range(4)]
    assert names == ["001-CP1-log", "001-CP1-2-log", "002-CP2-b.log", "003-CP3-c.log"]
    got: list[tuple[str, str, bytes]] = []

    async def taking(request: web.Request) -> web.StreamResponse:
        got.append((request.method, request.path, await request.read()))
        return web.Response(status=200)

    box.shell.carry(SendBox("logs:1", f"{await far(taking)}up/", "depot.zip", (("manifest.json", "{}"),)))
    fact = await box.fact(FilesCollected, kind="sent")
    assert (fact.ok, fact.name, fact.reason) == (True, "depot.zip", "")
    ((method, path, body),) = got
    assert (method, path) == ("PUT", "/up/depot.zip")
    with zipfile.ZipFile(io.BytesIO(body)) as archive:
        held = {name: archive.read(name) for name in archive.namelist()}
    events = held.pop("yardmaster-events.txt").decode()
    assert "CP1: went away" in events
    assert held == {
        "001-CP1-log": b"put",
        "001-CP1-2-log": b"again",
        "002-CP2-b.log": b"named",
        "003-CP3-c.log": b"form",
        "manifest.json": b"{}",
    }


async def test_a_server_that_takes_no_put_gets_a_form(box: Box, far: Serve) -> None:
    got: list[tuple[str, bytes]] = []

    async def form_only(request: web.Request) -> web.StreamResponse:
        if request.method == "PUT":
            return web.Response(status=405)
        field = (await request.post())["file"]
        assert isinstance(field, web.FileField)
        got.append((field.filename, field.file.read()[:2]))
        return web.Response(status=201)

    await opened(box)
    box.shell.carry(SendBox("logs:1", f"{await far(form_only)}up", "depot.zip"))
    assert (await box.fact(FilesCollected, kind="sent")).ok
    assert got == [("depot.zip", b"PK")]


async def test_an_upload_that_fails_is_tried_again_and_told(box: Box, far: Serve) -> None:
    tries: list[int] = []

    async def down(request: web.Request) -> web.StreamResponse:
        tries.append(1)
        return web.Response(status=502)

    await opened(box)
    box.shell.carry(SendBox("logs:1", await far(down), "depot.zip", attempts=3, retry_s=0.01))
    fact = await box.fact(FilesCollected, kind="sent")
    assert (fact.ok, fact.reason, len(tries)) == (False, "the server answered 502", 3)


async def test_a_box_has_so_much_room_and_no_more(box: Box, client: aiohttp.ClientSession, tmp_path: Path) -> None:
    url = await opened(box, max_bytes=1_000_000)
    async with client.put(f"{url}/001-CP1", data=b"x" * 600_000) as response:
        assert response.status == 201
    async with client.put(f"{url}/002-CP2", data=b"x" * 600_000) as response:
        assert response.status == 413
    async with client.put(f"{url}/002-CP2", data=b"x" * 300_000) as response:
        assert response.status == 201
    facts = [await box.fact(FilesCollected) for _ in range(3)]
    assert [(fact.ok, fact.name) for fact in facts] == [(True, "001-CP1-log"), (False, "002-CP2-log"), (True, "002-CP2-log")]
    assert sorted(path.name for path in contents(tmp_path / "files") if path.parent.name == "box") == ["001-CP1-log", "002-CP2-log"]


async def test_a_sender_that_goes_away_leaves_nothing(box: Box, tmp_path: Path) -> None:
    url = await opened(box)
    path = url.split(str(box.shell.port), 1)[1]
    _, writer = await asyncio.open_connection("127.0.0.1", box.shell.port)
    writer.write(f"PUT {path}/001-CP1 HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n".encode() + b"x" * 300_000)
    await writer.drain()
    await until(lambda: any(path.parent.name == "box" for path in contents(tmp_path / "files")))
    writer.transport.abort()
    fact = await box.fact(FilesCollected, kind="received")
    assert not fact.ok
    assert [path for path in contents(tmp_path / "files") if path.parent.name == "box"] == []


async def test_nobody_takes_the_room_of_the_others(box: Box, client: aiohttp.ClientSession) -> None:
    url = await opened(box, max_bytes=1_000_000, senders=("001-CP1-a1", "002-CP2-b2"))

    async def put(sender: str, size: int, name: str = "") -> int:
        async with client.put(f"{url}/{sender}{name}", data=b"x" * size) as response:
            return response.status

    assert await put("003-CP3-c3", 1) == 404  # it was never asked
    assert await put("001-CP1", 1) == 404  # who guesses a name guesses wrong
    assert await put("001-CP1-a1", 600_000) == 413  # more than half of what there is
    assert await put("001-CP1-a1", 300_000) == 201
    assert await put("001-CP1-a1", 250_000) == 413
    assert await put("002-CP2-b2", 200_000) == 201
    for number in range(19):
        assert await put("001-CP1-a1", 1, f"/{number}") == 201
    assert await put("001-CP1-a1", 1, "/one-more") == 507
    assert await put("002-CP2-b2", 1) == 201


async def test_a_disk_that_is_nearly_full_takes_nothing(
    box: Box, client: aiohttp.ClientSession, far: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = await opened(box)
    monkeypatch.setattr("controller.io.files.box.SPARE_BYTES", shutil.disk_usage(tmp_path).free + 10**9)
    async with client.put(f"{url}/CP1", data=b"x") as response:
        assert response.status == 507
    assert (await box.fact(FilesCollected, kind="received")).reason == "there is not enough room on the disk"
    box.shell.carry(FetchFile("publish:a", await far(giving), attempts=1))
    assert not (await box.fact(FileFetched)).ok
    box.shell.carry(SendBox("logs:1", await far(giving), "depot.zip", attempts=1))
    fact = await box.fact(FilesCollected, kind="sent")
    assert (fact.ok, fact.reason) == (False, "there is not enough room on the disk")


async def test_boxes_and_firmware_share_what_the_site_allows(box: Box, far: Serve, client: aiohttp.ClientSession) -> None:
    small = Box(box.config.data_dir / "small", max_bytes=2 * 1024 * 1024)
    await small.shell.start()
    await fetched(small, far)  # 1.28 MB of 2 MiB
    url = await opened(small)
    async with client.put(f"{url}/CP1", data=b"x" * 500_000) as response:  # of the rest, half is for the zip
        assert response.status == 413
    await small.shell.stop()


async def test_what_is_not_whole_when_the_box_is_packed_is_left_out(box: Box, far: Serve, client: aiohttp.ClientSession) -> None:
    url = await opened(box)
    async with client.put(f"{url}/001-CP1", data=b"whole") as response:
        assert response.status == 201
    _, writer = await asyncio.open_connection("127.0.0.1", box.shell.port)
    path = url.split(str(box.shell.port), 1)[1]
    writer.write(f"PUT {path}/002-CP2 HTTP/1.1\r\nHost: x\r\nContent-Length: 9000000\r\n\r\n".encode() + b"x" * 300_000)
    await writer.drain()
    await until(lambda: any(path.name.startswith("002") for path in contents(box.config.data_dir)))
    got: list[bytes] = []

    async def taking(request: web.Request) -> web.StreamResponse:
        got.append(await request.read())
        return web.Response()

    box.shell.carry(SendBox("logs:1", await far(taking), "depot.zip"))
    assert (await box.fact(FilesCollected, kind="sent")).ok
    assert (await box.fact(FilesCollected, ok=False)).reason == "this box is closed"
    with zipfile.ZipFile(io.BytesIO(got[0])) as archive:
        assert archive.namelist() == ["001-CP1-log", "yardmaster-events.txt"]
    async with client.put(f"{url}/001-CP1", data=b"late") as response:
        assert response.status == 404
    writer.close()


async def test_a_sender_that_drips_and_one_that_says_nothing_are_ended(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("controller.io.files.box.IDLE_S", 0.05)
    monkeypatch.setattr("controller.io.files.server.HANDSHAKE_S", 1.0)
    url = await opened(box)
    path = url.split(str(box.shell.port), 1)[1]
    reader, writer = await asyncio.open_connection("127.0.0.1", box.shell.port)
    writer.write(f"PUT {path}/001-CP1 HTTP/1.1\r\nHost: x\r\nContent-Length: 9000000\r\n\r\nx".encode())
    assert (await box.fact(FilesCollected)).reason == "the sender was too slow"
    assert b" 507 " in await reader.readline()
    writer.close()
    silent, other = await asyncio.open_connection("127.0.0.1", box.shell.port)
    async with asyncio.timeout(5):
        assert await silent.read() == b""
    other.close()


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("multipart/form-data", b"x"),
        ("multipart/form-data; boundary=b", b"no form"),
        ("multipart/form-data; boundary=b", b"--b\r\nContent-Disposition: form-data; name=file; filename=a\r\n\r\nhalf of it"),
        ("multipart/form-data; boundary=b", b"--b\r\nContent-Length: -1\r\n\r\nx\r\n--b--"),
    ],
)
async def test_a_form_that_is_none_harms_nobody(box: Box, client: aiohttp.ClientSession, kind: str, body: bytes) -> None:
    url = await opened(box)
    async with client.post(f"{url}/CP1", data=body, headers={"Content-Type": kind}) as response:
        assert response.status in (201, 400, 507)
    async with client.put(f"{url}/CP1", data=b"good") as response:
        assert response.status == 201


async def test_an_upload_follows_its_server_to_another_place(box: Box, far: Serve) -> None:
    got: list[bytes] = []

    async def moved(request: web.Request) -> web.StreamResponse:
        body = await request.read()
        if request.path == "/old":
            return web.Response(status=307, headers={"Location": "/new"})
        got.append(body)
        return web.Response()

    await opened(box)
    box.shell.carry(SendBox("logs:1", f"{await far(moved)}old", "depot.zip", attempts=1))
    fact = await box.fact(FilesCollected, kind="sent")
    assert (fact.ok, fact.reason) == (True, "")
    assert got[0].startswith(b"PK")


async def test_no_redirect_leads_to_a_file_of_this_machine(box: Box, far: Serve) -> None:
    async def moved(request: web.Request) -> web.StreamResponse:
        return web.Response(status=302, headers={"Location": "file:///etc/passwd"})

    url = await far(moved)
    box.shell.carry(FetchFile("j", url, attempts=1))
    assert not (await box.fact(FileFetched)).ok
    box.shell.carry(SendBox("logs:1", url, "depot.zip", attempts=1))
    assert not (await box.fact(FilesCollected, kind="sent")).ok


# -- ftp ------------------------------------------------------------------------------------------------------


@pytest.fixture
async def ftp(tmp_path: Path) -> AsyncIterator[tuple[str, Path]]:
    """A real FTP server: (address with user and password, its folder)."""
    home = tmp_path / "ftp"
    (home / "in").mkdir(parents=True)
    permissions = [aioftp.Permission("/", writable=True)]
    server = aioftp.Server([aioftp.User("me", "pass word", base_path=home, permissions=permissions)])
    await server.start("127.0.0.1", 0)
    yield f"ftp://me:pass%20word@127.0.0.1:{server.server_port}", home
    await server.close()


async def test_firmware_is_fetched_over_ftp(box: Box, ftp: tuple[str, Path]) -> None:
    url, home = ftp
    (home / "fw 1.bin").write_bytes(BODY)
    box.shell.carry(FetchFile("publish:a", f"{url}/fw%201.bin"))
    fact = await box.fact(FileFetched)
    assert (fact.ok, fact.md5) == (True, hashlib.md5(BODY).hexdigest())
    box.shell.carry(FetchFile("publish:b", f"{url}/fw%201.bin", max_bytes=1000))
    assert "larger than 1000" in (await box.fact(FileFetched)).reason
    box.shell.carry(FetchFile("publish:c", f"{url}/none.bin", attempts=3, retry_s=60.0))
    assert (await box.fact(FileFetched)).reason == "the server answered 550"


@pytest.mark.parametrize(("path", "where"), [("/in", "in/depot.zip"), ("/in/", "in/depot.zip"), ("", "depot.zip"), ("/in/my.zip", "in/my.zip")])
async def test_logs_go_to_an_ftp_server_into_its_folder_or_under_its_name(box: Box, ftp: tuple[str, Path], path: str, where: str) -> None:
    url, home = ftp
    await opened(box)
    box.shell.carry(SendBox("logs:1", f"{url}{path}", "depot.zip", attempts=1))
    fact = await box.fact(FilesCollected, kind="sent")
    assert (fact.ok, fact.reason) == (True, "")
    assert zipfile.ZipFile(home / where).namelist() == ["yardmaster-events.txt"]


async def test_a_wrong_password_ends_it_and_is_not_told(box: Box, ftp: tuple[str, Path]) -> None:
    url, _ = ftp
    box.shell.carry(SendBox("logs:1", url.replace("pass%20word", "secret"), "depot.zip", attempts=3, retry_s=60.0))
    fact = await box.fact(FilesCollected, kind="sent")
    assert (fact.ok, fact.reason, fact.answer) == (False, "the server answered 530", 530)


@pytest.mark.parametrize("path", ["/a%0d%0aDELE%20b", "/%00"])
async def test_no_address_is_a_command(box: Box, ftp: tuple[str, Path], path: str) -> None:
    url, home = ftp
    (home / "b").write_bytes(b"x")
    box.shell.carry(SendBox("logs:1", f"{url}{path}", "depot.zip", attempts=1))
    assert not (await box.fact(FilesCollected, kind="sent")).ok
    assert (home / "b").read_bytes() == b"x"


@pytest.mark.parametrize("name", ["../../../../etc/passwd", "..%2f..%2fx", ".hidden", "a\\..\\b", "x" * 400, "%00", "é☃"])
async def test_no_name_leaves_the_box(box: Box, client: aiohttp.ClientSession, tmp_path: Path, name: str) -> None:
    url = await opened(box)
    form = aiohttp.FormData(quote_fields=False)
    form.add_field("file", b"x", filename=name)
    for sender in (client.post(f"{url}/CP1", data=form), client.put(f"{url}/CP1/{name}", data=b"x")):
        async with sender as response:
            assert response.status in (201, 400, 404)
    inside = contents(tmp_path)
    assert all(path.parent.name == "box" or path.name == "secret" for path in inside)
    assert all(len(path.name) < 210 and path.name.startswith("CP1-") for path in inside if path.parent.name == "box")


async def test_boxes_do_not_outlive_the_program(tmp_path: Path, client: aiohttp.ClientSession) -> None:
    first = Box(tmp_path)
    await first.shell.start()
    url = await opened(first)
    async with client.put(f"{url}/CP1", data=b"x") as response:
        assert response.status == 201
    await first.shell.stop()
    second = Box(tmp_path)
    await second.shell.start()
    assert [path for path in contents(tmp_path / "files") if path.parent.name == "box"] == []
    await second.shell.stop()


@pytest.mark.parametrize(("face", "there"), [("depot", True), ("pair", False)])
def test_the_app_has_it_where_a_csms_sees_one_large_station(tmp_path: Path, face: str, there: bool) -> None:
    config = Config.model_validate(
        {
            "site": {"id": "test"},
            "grid": {"fuse_a": 63, "worst_other_load_a": 1},
            "data_dir": str(tmp_path),
            "upstreams": [{"id": "csms", "url": "ws://127.0.0.1:1/", "face": face}],
        }
    )
    app = App(config, Clock())
    assert ("files" in {part.name for part in app.parts}) is there
    assert (FetchFile in app._carriers) is there


async def test_a_box_is_open_over_ftp_too_where_the_site_file_says_so(tmp_path: Path) -> None:
    box = Box(tmp_path, ftp_port=0)
    await box.shell.start()
    try:
        box.shell.carry(OpenBox("logs:1", senders=("001-CP1-x",)))
        served = await box.fact(FileServed, job="logs:1")
        web_url, ftp_url = served.urls
        assert web_url.startswith("http://127.0.0.1:")
        address = ftp_url.replace("{sender}", "001-CP1-x")
        async with aioftp.Client.context(*_host_and_login(address)) as client, client.upload_stream("log.txt") as stream:
            await stream.write(b"from an old charger")
        received = await box.fact(FilesCollected, kind="received")
        assert (received.ok, received.name) == (True, "001-CP1-x-log.txt")
        box.shell.carry(StopServing("logs:1"))
        await until(lambda: not box.shell._ftp.port)
    finally:
        await box.shell.stop()


def _host_and_login(url: str) -> tuple[str, int, str, str]:
    parts = urlsplit(url)
    assert parts.hostname is not None
    assert parts.port is not None
    return parts.hostname, parts.port, parts.username or "", parts.password or ""
