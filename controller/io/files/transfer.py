"""One download and one upload over HTTP or FTP, with everything that makes them end: bounds, deadlines, tries.

Passwords in a URL are used and never told: reasons name the host only. A download is written beside its place and
moved there when it is complete and on disk. An upload is tried as PUT first, what plain servers and signed cloud addresses want, and
as a POST form where PUT is not allowed.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp

from controller.io.files import ftp as file_ftp
from controller.io.files.box import check_room

CHUNK_BYTES = 1024 * 1024
TRANSFER_S = 4 * 3600.0
TIMEOUT = aiohttp.ClientTimeout(total=TRANSFER_S, sock_connect=30.0, sock_read=60.0)
NOT_THIS_WAY = (400, 404, 405, 411, 501)
"""Answers to a PUT after which a POST is tried."""


FINAL = (400, 401, 403, 404, 410, 413, 530, 550, 553)
"""Answers of HTTP and FTP servers that another try would not change."""
BROKEN = (aiohttp.ClientError, file_ftp.Error, OSError, ValueError)


class TransferError(Exception):
    """A transfer failed. final: another try would fail as well. answer: the server's status code, 0 = it gave none."""

    def __init__(self, reason: str, final: bool = False, answer: int = 0) -> None:
        super().__init__(reason)
        self.final = final
        self.answer = answer


@dataclass(frozen=True, slots=True)
class Fetched:
    """A complete file. sha256, md5: hex."""

    path: Path
    sha256: str
    md5: str
    size_bytes: int


def check_url(url: str) -> None:
    """Raises TransferError for what is no HTTP or FTP address."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise TransferError("this is no web address", final=True) from None
    if parts.scheme not in ("http", "https", "ftp") or not host:
        raise TransferError(f"only http, https and ftp are spoken, not {parts.scheme or 'this'}", final=True)


async def tried(attempts: int, retry_s: float, work: Callable[[], Awaitable[None]]) -> str:
    """Run ``work`` until it goes well; returns "", or the last reason."""
    reason = ""
    for attempt in range(max(1, attempts)):
        if attempt:
            await asyncio.sleep(retry_s)
        try:
            await work()
        except TransferError as error:
            reason = str(error)
            if error.final:
                break
        else:
            return ""
    return reason


async def fetch(session: aiohttp.ClientSession, url: str, path: Path, max_bytes: int) -> Fetched:
    """Download to a file. Raises TransferError; then nothing is left."""
    check_url(url)
    part = path.with_name(f"{path.name}.part")
    try:
        async with asyncio.timeout(TRANSFER_S), _source(session, url, path.parent, max_bytes) as chunks:
            fetched = await _write(chunks, part, path, max_bytes)
        await asyncio.to_thread(_settle, part, path)
        return fetched
    except BROKEN as error:
        raise _failure(error) from None
    finally:
        await asyncio.to_thread(part.unlink, missing_ok=True)


@asynccontextmanager
async def _source(session: aiohttp.ClientSession, url: str, folder: Path, max_bytes: int) -> AsyncIterator[AsyncIterator[bytes]]:
    if urlsplit(url).scheme == "ftp":
        async with file_ftp.source(url) as chunks:
            yield chunks
        return
    async with session.get(url, timeout=TIMEOUT, max_redirects=5, headers={"Accept-Encoding": "identity"}) as response:
        if response.status != 200:
            raise _refused(response.status)
        if (size := response.content_length or 0) > max_bytes:
            raise TransferError(f"it is larger than {max_bytes} bytes", final=True)
        check_room(folder, size)
        yield response.content.iter_chunked(CHUNK_BYTES).__aiter__()


async def _write(chunks: AsyncIterator[bytes], part: Path, path: Path, max_bytes: int) -> Fetched:
    # MD5 is what PublishFirmware names; it finds damage, not forgery.
    sha256, md5, size = hashlib.sha256(), hashlib.md5(usedforsecurity=False), 0
    file = await asyncio.to_thread(part.open, "wb")
    try:
        async for chunk in chunks:
            size += len(chunk)
            if size > max_bytes:
                raise TransferError(f"it is larger than {max_bytes} bytes", final=True)
            check_room(path.parent, len(chunk))
            await asyncio.to_thread(_take, chunk, file.write, sha256.update, md5.update)
    finally:
        await asyncio.to_thread(file.close)
    return Fetched(path, sha256.hexdigest(), md5.hexdigest(), size)


def _take(chunk: bytes, *sinks: Callable[[bytes], object]) -> None:
    for sink in sinks:
        sink(chunk)


def _settle(part: Path, path: Path) -> None:
    """On disk first, then under its name."""
    with part.open("rb") as file:
        os.fsync(file.fileno())
    part.replace(path)


async def upload(session: aiohttp.ClientSession, url: str, path: Path, name: str) -> None:
    """Send a file. Raises TransferError."""
    check_url(url)
    try:
        async with asyncio.timeout(TRANSFER_S):
            if urlsplit(url).scheme == "ftp":
                await file_ftp.store(url, path, name)
                return
            status = await _over_http(session, url, path, name)
    except BROKEN as error:
        raise _failure(error) from None
    if not 200 <= status < 300:
        raise _refused(status)


async def _over_http(session: aiohttp.ClientSession, url: str, path: Path, name: str) -> int:
    target = f"{url}{name}" if urlsplit(url).path.endswith("/") and not urlsplit(url).query else url
    status = await _put(session, target, path)
    return await _post(session, url, path, name) if status in NOT_THIS_WAY else status


async def _put(session: aiohttp.ClientSession, url: str, path: Path) -> int:
    with path.open("rb") as file:
        headers = {"Content-Type": "application/zip", "Content-Length": str(os.fstat(file.fileno()).st_size)}
        async with session.put(url, data=file, timeout=TIMEOUT, headers=headers) as response:
            return response.status


async def _post(session: aiohttp.ClientSession, url: str, path: Path, name: str) -> int:
    with path.open("rb") as file:
        form = aiohttp.FormData()
        form.add_field("file", file, filename=name, content_type="application/zip")
        async with session.post(url, data=form, timeout=TIMEOUT) as response:
            return response.status


def _refused(answer: int) -> TransferError:
    return TransferError(f"the server answered {answer}", answer in FINAL, answer)


def _failure(error: Exception) -> TransferError:
    answer = file_ftp.answer_of(error)
    return _refused(answer) if answer else TransferError(_words(error))


def _words(error: BaseException) -> str:
    """What went wrong, without the address: it may hold a password."""
    if isinstance(error, TimeoutError):
        return "the server did not answer in time"
    if isinstance(error, aiohttp.ClientConnectorError):
        return f"no connection to {error.host}"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return f"the transfer broke off ({type(error).__name__})"
