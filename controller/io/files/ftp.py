"""Files from and to an FTP server, for back ends that give ftp addresses, as many of OCPP 1.6 do (aioftp).

Plain FTP, passive mode: the password and the file can be read on the way, as with every charger that does the same. The server's
word for where its data port is counts for the port only. An upload goes into a path that is a folder there, under our name, else to the path
itself: the location of GetDiagnostics is a folder (1.6), that of GetLog may be either.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import unquote, urlsplit

import aioftp

CHUNK_BYTES = 1024 * 1024
CONNECT_S = 30.0
IDLE_S = 60.0
PORT = 21
Error = aioftp.AIOFTPException


@asynccontextmanager
async def _client(url: str) -> AsyncIterator[aioftp.Client]:
    """A client that is logged in; its connection is gone at the end, whatever happened."""
    parts = urlsplit(url)
    client = aioftp.Client(socket_timeout=IDLE_S, connection_timeout=CONNECT_S)
    try:
        await client.connect(parts.hostname or "", parts.port or PORT)
        await client.login(unquote(parts.username or "anonymous"), unquote(parts.password or "anonymous@"))
        yield client
    finally:
        client.close()


@asynccontextmanager
async def source(url: str) -> AsyncIterator[AsyncIterator[bytes]]:
    """The chunks of a file. Raises ``Error``, OSError, ValueError."""
    async with _client(url) as client, client.download_stream(_path(url)) as stream:
        yield stream.iter_by_block(CHUNK_BYTES)


async def store(url: str, file: Path, name: str) -> None:
    """Upload a file. Raises ``Error``, OSError, ValueError."""
    async with _client(url) as client, client.upload_stream(await _target(client, _path(url), name)) as stream:
        with file.open("rb") as content:
            while chunk := await asyncio.to_thread(content.read, CHUNK_BYTES):
                await stream.write(chunk)


async def _target(client: aioftp.Client, path: str, name: str) -> str:
    """Where a file goes: into the folder, if the path is one. Relative to the folder we are logged into, as addresses mean it."""
    if path in ("", "/"):
        return f"{path}{name}"
    try:
        await client.change_directory(path)
    except aioftp.StatusCodeError:
        return f"{path}{name}" if path.endswith("/") else path
    return name


def answer_of(error: Exception) -> int:
    """The server's last reply code, 0 = it gave none."""
    codes = error.received_codes if isinstance(error, aioftp.StatusCodeError) else ()
    last = str(codes[-1]) if codes else ""
    return int(last) if last.isdecimal() else 0


def _path(url: str) -> str:
    """"/dir/file" of an address is below the folder we are logged into; "/%2Fdir/file" is not."""
    return unquote(urlsplit(url).path.removeprefix("/"))
