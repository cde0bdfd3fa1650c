"""HTTP from strangers: a raw TLS server that answers whatever the test says."""

from __future__ import annotations

import asyncio
import gzip
import zlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from yarl import URL

from controller.config_signals import Ieee20305Signal
from controller.io.signals.ieee2030_5_http import AstrayError, Http, ServerError
from controller.sim.ieee2030_5 import tls
from controller.sim.ieee2030_5_pki import Authority
from signals import csip_resources as resources
from signals.csip_xml import NAMESPACE, XmlError

TIME = f'<Time xmlns="{NAMESPACE}"><currentTime>5</currentTime></Time>'.encode()


@asynccontextmanager
async def served(folder: Path, answer: Callable[[str], bytes]) -> AsyncIterator[Http]:
    """A server that answers the first line of a request with bytes, and our client towards it."""
    authority = Authority(folder / "pki")
    server, device = authority.server(), authority.device("yard")

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := (await reader.readuntil(b"\r\n\r\n")).decode():
                writer.write(answer(head.partition(" HTTP")[0]))
                await writer.drain()
                if b"ength" not in answer("") or b"Connection: close" in answer(""):
                    return
        except (OSError, asyncio.IncompleteReadError):
            return
        finally:
            writer.close()

    listener = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls(server.cert, server.key, authority.ca))
    port = listener.sockets[0].getsockname()[1]
    files = {"cert_file": device.cert, "key_file": device.key, "ca_file": authority.ca}
    http = Http(Ieee20305Signal(id="utility", type="ieee2030_5", url=f"https://127.0.0.1:{port}/dcap", **files))
    try:
        yield http
    finally:
        await http.close()
        listener.close()


def ok(body: bytes, *headers: str, kind: str = "application/sep+xml") -> bytes:
    head = "".join(f"{line}\r\n" for line in (f"Content-Type: {kind}", f"Content-Length: {len(body)}", *headers))
    return f"HTTP/1.1 200 OK\r\n{head}\r\n".encode() + body


def moved(place: str) -> bytes:
    return f"HTTP/1.1 302 Found\r\nLocation: {place}\r\nContent-Length: 0\r\n\r\n".encode()


def status(number: int, *headers: str) -> bytes:
    return f"HTTP/1.1 {number} So\r\n{''.join(f'{line}{chr(13)}{chr(10)}' for line in headers)}Content-Length: 0\r\n\r\n".encode()


def chunked(body: bytes) -> bytes:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/sep+xml\r\nTransfer-Encoding: chunked\r\nX-Length: none\r\n\r\n"
    parts = [body[place : place + 7] for place in range(0, len(body), 7)]
    return head + b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in [*parts, b""])


GOOD = {
    "plain": ok(TIME),
    "in chunks": chunked(TIME),
    "packed unasked": ok(gzip.compress(TIME), "Content-Encoding: gzip"),
    "deflated unasked": ok(zlib.compress(TIME), "Content-Encoding: deflate"),
    "with parameters": ok(TIME, kind="application/sep+xml;level=+S1; charset=utf-8"),
    "as xml": ok(TIME, kind="text/xml"),
    "without a type": f"HTTP/1.1 200 OK\r\nContent-Length: {len(TIME)}\r\n\r\n".encode() + TIME,
    "with a prefix of its own": ok(f'<s:Time xmlns:s="{NAMESPACE}"><s:currentTime>5</s:currentTime></s:Time>'.encode()),
    "with elements we do not know": ok(TIME.replace(b"<currentTime", b"<!-- x --><novelty a='1'><b/></novelty><currentTime")),
    "in sixteen bits": ok(b'<?xml version="1.0" encoding="UTF-16"?>'.decode().encode("utf-16") + TIME.decode().encode("utf-16-le")),
    "with a byte order mark": ok(b"\xef\xbb\xbf" + TIME),
}
BAD = {
    "not http": b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
    "nothing": b"",
    "cut off": ok(TIME)[:-9].replace(b"Content-Length", b"X-Size"),
    "shorter than it says": b"HTTP/1.1 200 OK\r\nContent-Type: application/sep+xml\r\nContent-Length: 500\r\nConnection: close\r\n\r\n" + TIME,
    "exi": ok(TIME, kind="application/sep-exi"),
    "a page": ok(b"<html/>", kind="text/html"),
    "not modified": status(304),
    "a part": b"HTTP/1.1 206 Partial Content\r\nContent-Type: application/sep+xml\r\nContent-Length: 4\r\n\r\n<a/>",
    "of the edition of 2013": ok(TIME.replace(NAMESPACE.encode(), b"http://zigbee.org/sep")),
    "two mebibytes": ok(b"<!--" + b"x" * 2_000_000 + b"-->" + TIME),
    "packed in a way of its own": ok(TIME, "Content-Encoding: br"),
    "not packed as it says": ok(TIME, "Content-Encoding: gzip"),
    "packed and cut": ok(gzip.compress(TIME)[:-12], "Content-Encoding: gzip"),
    "a gigabyte in little space": ok(gzip.compress(b" " * 2**24 + TIME), "Content-Encoding: gzip"),
    "no content": status(204),
    "not there": status(404),
    "forbidden": status(403),
    "broken": status(500),
    "elsewhere": moved("https://elsewhere.example/dcap"),
    "without encryption": moved("http://127.0.0.1/dcap"),
    "another port": moved("https://127.0.0.1:1/dcap"),
    "in circles": moved("/dcap"),
    "to nonsense": moved("https://[::1/dcap"),
}


async def got(http: Http) -> resources.ServerTime:
    return resources.server_time((await http.get(http.root)).body)


@pytest.mark.parametrize("answer", GOOD.values(), ids=GOOD.keys())
async def test_good_answers(tmp_path: Path, answer: bytes) -> None:
    async with served(tmp_path, lambda _: answer) as http:
        assert (await got(http)).now_s == 5


@pytest.mark.parametrize("answer", BAD.values(), ids=BAD.keys())
async def test_bad_answers_are_told_in_words(tmp_path: Path, answer: bytes) -> None:
    async with served(tmp_path, lambda _: answer) as http:
        with pytest.raises((ServerError, XmlError)) as error:
            await got(http)
        assert len(str(error.value)) > 10


@pytest.mark.parametrize(
    ("header", "wait_s"), [("Retry-After: 17", 17), ("Retry-After: 99999999", 3600), ("Retry-After: soon", None), ("X: y", None)]
)
async def test_a_busy_server_says_when(tmp_path: Path, header: str, wait_s: float | None) -> None:
    async with served(tmp_path, lambda _: status(503, header)) as http:
        with pytest.raises(ServerError) as error:
            await http.get(http.root)
        assert (error.value.status, error.value.retry_s) == (503, wait_s)


async def test_links_are_relative_to_their_document_and_stay_on_the_server(tmp_path: Path) -> None:
    async with served(tmp_path, lambda _: b"") as http:
        base = http.root.with_path("/edev/1/fsa")
        assert http.at(base, "/tm").path == "/tm"
        assert http.at(base, "derp?x=1").path_qs == "/edev/1/derp?x=1"
        assert http.at(base, str(http.root)).path == "/dcap"
        for href in ("https://elsewhere.example/tm", "//elsewhere.example/tm", "http://127.0.0.1/tm", "file:///etc/passwd", "https://[/"):
            with pytest.raises(AstrayError):
                http.at(base, href)


@pytest.mark.parametrize(
    ("root", "href"),
    [
        ("https://utility.example/dcap", "https://utility.example:443/tm"),
        ("https://utility.example/dcap", "HTTPS://Utility.EXAMPLE/tm"),
        ("https://utility.example:443/dcap", "https://utility.example/tm"),
        ("https://Utility.example/dcap", "//utility.example/tm"),
        ("https://utility.example./dcap", "https://utility.example/tm"),
    ],
)
async def test_the_server_may_write_its_own_name_in_other_ways(tmp_path: Path, root: str, href: str) -> None:
    """RFC 3986 6.2: names have no case, the usual port may be written out. What is asked then is the server of the site file."""
    async with served(tmp_path, lambda _: b"") as http:
        http.root = URL(root, encoded=True)
        found = http.at(http.root, href)
        assert str(found) == f"{http.root.origin()}/tm"


async def test_a_path_that_looks_like_a_host_stays_a_path(tmp_path: Path) -> None:
    async with served(tmp_path, lambda _: b"") as http:
        found = http.at(http.root, f"https://127.0.0.1:{http.root.port}//elsewhere.example/tm")
        assert (found.host, found.raw_path) == ("127.0.0.1", "//elsewhere.example/tm")


@pytest.mark.parametrize(
    ("place", "path"),
    [
        ("/edev/7", "/edev/7"),
        ("7", "/7"),
        ("https://inside.example:8443/edev/7?x=%2F", "/edev/7?x=%2F"),
        ("http://inside.example//x/7", "//x/7"),
        ("https://[::1/x", None),
    ],
)
async def test_where_something_was_made_is_on_the_server_we_know(tmp_path: Path, place: str, path: str | None) -> None:
    """Location may be absolute (RFC 9110 10.2.2), and a server behind a front names itself as it is called inside."""
    answer = f"HTTP/1.1 201 Created\r\nLocation: {place}\r\nContent-Length: 0\r\n\r\n".encode()
    async with served(tmp_path, lambda _: answer) as http:
        done = await http.send("POST", http.root, b"<x/>")
        assert (None if done.location is None else done.location.raw_path_qs) == path
        assert done.location is None or done.location.origin() == http.root.origin()


def programs(first: int, count: int, everything: int) -> bytes:
    one = "<DERProgram><mRID>{:02X}</mRID><primacy>1</primacy></DERProgram>"
    inner = "".join(one.format(number) for number in range(first, first + count))
    return ok(f'<DERProgramList xmlns="{NAMESPACE}" all="{everything}" results="{count}">{inner}</DERProgramList>'.encode())


def query(line: str, name: str) -> int:
    return int(URL(line.partition(" ")[2]).query.get(name, "0")) if line else 0


async def listed(http: Http) -> list[str]:
    return [program.mrid for program in (await http.pages(http.root, resources.programs)).items]


async def test_a_list_is_read_page_by_page(tmp_path: Path) -> None:
    async with served(tmp_path, lambda line: programs(query(line, "s"), min(2, 5 - query(line, "s")), 5)) as http:
        assert await listed(http) == ["00", "01", "02", "03", "04"]


async def test_a_server_that_gives_everything_at_once(tmp_path: Path) -> None:
    async with served(tmp_path, lambda _: programs(0, 120, 120)) as http:
        assert len(await listed(http)) == 120


async def test_a_list_of_three_hundred(tmp_path: Path) -> None:
    """More than fits into a byte; the server gives ten at a time, whatever we ask for."""
    async with served(tmp_path, lambda line: programs(query(line, "s"), min(10, 300 - query(line, "s")), 300)) as http:
        assert len(set(await listed(http))) == 300


async def test_what_the_server_put_into_an_address_stays_letter_for_letter(tmp_path: Path) -> None:
    lines: list[str] = []

    def answer(line: str) -> bytes:
        lines.append(line)
        return programs(0, 1, 1)

    async with served(tmp_path, answer) as http:
        await http.pages(http.at(http.root, "/derp?site=a%2Fb%20c&l=1&token=x=="), resources.programs)
    assert [line for line in lines if line] == ["GET /derp?site=a%2Fb%20c&token=x==&s=0&l=50"]


async def test_a_connection_that_was_dropped_meanwhile_is_made_anew(tmp_path: Path) -> None:
    """The server closes after each answer without a word about it."""
    async with served(tmp_path, lambda _: ok(TIME).replace(b"Content-Length", b"Content-length") if _ else b"") as http:
        for _ in range(3):
            assert (await got(http)).now_s == 5


@pytest.mark.parametrize(
    "answer",
    [
        lambda line: programs(0, 2, 5),  # does not know s
        lambda line: programs(query(line, "s"), 2 if query(line, "s") == 0 else 0, 5),  # ends before its end
        lambda line: programs(query(line, "s"), 2, 5 + query(line, "s")),  # grows with every look
        lambda line: programs(query(line, "s"), 1, 999),  # a thousand requests for one list
    ],
)
async def test_a_list_that_cannot_be_read_whole_is_refused(tmp_path: Path, answer: Any) -> None:
    async with served(tmp_path, answer) as http:
        with pytest.raises((ServerError, XmlError)):
            await listed(http)
