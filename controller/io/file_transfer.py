"""One download and one upload over HTTP, with everything that makes them end: bounds, deadlines, tries.

Passwords in a URL are used and never told: reasons name the host only. A download is written beside its place and
moved there when it is complete and on disk. An upload is tried as PUT first, what plain servers and signed cloud addresses want, and
as a POST form where PUT is not allowed.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp

CHUNK_BYTES = 1024 * 1024
TIMEOUT = aiohttp.ClientTimeout(total=4 * 3600.0, sock_connect=30.0, sock_read=60.0)
SPARE_BYTES = 64 * 1024 * 1024
"""Left free on the disk in any case: the journal needs room."""
NOT_THIS_WAY = (400, 404, 405, 411, 501)
"""Answers to a PUT after which a POST is tried."""


class TransferError(Exception):
    """A transfer failed. final: another try would fail as well."""

    def __init__(self, reason: str, final: bool = False) -> None:
        super().__init__(reason)
        self.final = final


@dataclass(frozen=True, slots=True)
class Fetched:
    """A complete file. sha256, md5: hex."""

    path: Path
    sha256: str
    md5: str
    size_bytes: int


def check_url(url: str) -> None:
    """Raises TransferError for what is no HTTP address."""
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        raise TransferError("this is no web address", final=True) from None
    if parts.scheme not in ("http", "https") or not host:
        raise TransferError(f"only http and https are spoken, not {parts.scheme or 'this'}", final=True)


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
        async with session.get(url, timeout=TIMEOUT, max_redirects=5, headers={"Accept-Encoding": "identity"}) as response:
            if response.status != 200:
                raise TransferError(f"the server answered {response.status}", final=response.status in (400, 401, 403, 404, 410))
            _check_room(path.parent, response.content_length or 0, max_bytes)
            fetched = await _write(response, part, path, max_bytes)
        await asyncio.to_thread(_settle, part, path)
        return fetched
    except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
        raise TransferError(_words(error)) from None
    finally:
        await asyncio.to_thread(part.unlink, missing_ok=True)


async def _write(response: aiohttp.ClientResponse, part: Path, path: Path, max_bytes: int) -> Fetched:
    # MD5 is what PublishFirmware names; it finds damage, not forgery.
    sha256, md5, size = hashlib.sha256(), hashlib.md5(usedforsecurity=False), 0
    file = await asyncio.to_thread(part.open, "wb")
    try:
        async for chunk in response.content.iter_chunked(CHUNK_BYTES):
            size += len(chunk)
            if size > max_bytes:
                raise TransferError(f"it is larger than {max_bytes} bytes", final=True)
            await asyncio.to_thread(_take, chunk, file.write, sha256.update, md5.update)
    finally:
        await asyncio.to_thread(file.close)
    return Fetched(path, sha256.hexdigest(), md5.hexdigest(), size)


def _take(chunk: bytes, *sinks: Callable[[bytes], object]) -> None:
    for sink in sinks:
        sink(chunk)


def _check_room(folder: Path, size: int, max_bytes: int) -> None:
    if size > max_bytes:
        raise TransferError(f"it is larger than {max_bytes} bytes", final=True)
    if size + SPARE_BYTES > shutil.disk_usage(folder).free:
        raise TransferError("there is not enough room on the disk", final=True)


def _settle(part: Path, path: Path) -> None:
    """On disk first, then under its name."""
    with part.open("rb") as file:
        os.fsync(file.fileno())
    part.replace(path)


async def upload(session: aiohttp.ClientSession, url: str, path: Path, name: str) -> None:
    """Send a file. Raises TransferError."""
    check_url(url)
    target = f"{url}{name}" if urlsplit(url).path.endswith("/") and not urlsplit(url).query else url
    try:
        status = await _put(session, target, path)
        if status in NOT_THIS_WAY:
            status = await _post(session, url, path, name)
    except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
        raise TransferError(_words(error)) from None
    if not 200 <= status < 300:
        raise TransferError(f"the server answered {status}", final=status in (401, 403, 413))


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


def _words(error: BaseException) -> str:
    """What went wrong, without the address: it may hold a password."""
    if isinstance(error, TimeoutError):
        return "the server did not answer in time"
    if isinstance(error, aiohttp.ClientConnectorError):
        return f"no connection to {error.host}"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return f"the transfer broke off ({type(error).__name__})"
