"""A small HTTP server for the stations: firmware to fetch, boxes to put logs into (L03, N01).

It listens only while there is something to serve. Every job has its own secret in the path, so that nobody finds what was not
offered to him; a name from outside never becomes a path. A box has room for so many bytes, all files of it together; what
is larger is refused with 413 and leaves nothing behind. Stations put files in all the ways they know: PUT or POST, to
the given address or to a name below it, plain or as a form.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import ssl
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import BodyPartReader, web
from aiohttp.abc import AbstractStreamWriter

CHUNK_BYTES = 256 * 1024
IDLE_S = 120.0
TOO_LARGE = "too large"
MOST_FILES = 200
"""In one box."""
NAME_LETTERS = 100


@dataclass(slots=True)
class Offer:
    """A file that stations may fetch. busy: how many do so now."""

    path: Path
    name: str
    busy: int = 0


@dataclass(slots=True)
class Box:
    """A folder that takes files in. left_bytes: room that is not used yet. names: what is in it."""

    folder: Path
    left_bytes: int
    names: set[str] = field(default_factory=set)


Received = Callable[[str, bool, str, str], None]
"""(job, went well, name in the box, reason)."""
Busy = Callable[[str, int], None]
"""(job, how many fetch it now)."""


class _Counted(web.FileResponse):
    """A file on its way to a station, counted as long as it is."""

    def __init__(self, offer: Offer, told: Callable[[], None]) -> None:
        super().__init__(offer.path, headers={"Content-Type": "application/octet-stream"})
        self._offer = offer
        self._told = told

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        """Sends all of it."""
        self._offer.busy += 1
        self._told()
        try:
            return await super().prepare(request)
        finally:
            self._offer.busy -= 1
            self._told()


def safe_name(name: str) -> str:
    """A file name nobody can leave a folder with: the last part of what was given, letters, digits, dot, dash and underscore only."""
    last = re.split(r"[\\/]", name)[-1]
    kept = re.sub(r"[^A-Za-z0-9._-]", "_", last).lstrip(".")[-NAME_LETTERS:]
    return kept.lstrip(".") or "file"


class FileServer:
    """Serves offers and boxes under secrets. received, busy: called on the loop."""

    def __init__(self, received: Received, busy: Busy) -> None:
        self._received = received
        self._busy = busy
        self._offers: dict[str, tuple[str, Offer]] = {}
        self._boxes: dict[str, tuple[str, Box]] = {}
        self._runner: web.AppRunner | None = None
        self.ports: dict[str, int] = {}

    # -- life ----------------------------------------------------------------------------------------------

    async def listen(self, host: str, port: int, secure: tuple[int, ssl.SSLContext] | None) -> None:
        """Begin to listen, if it does not yet. Raises OSError."""
        if self._runner is not None:
            return
        app = web.Application(client_max_size=CHUNK_BYTES)
        app.router.add_get("/files/{secret}/{name}", self._fetch)
        for method in ("PUT", "POST"):
            app.router.add_route(method, "/box/{secret}/{sender}", self._take)
            app.router.add_route(method, "/box/{secret}/{sender}/{name:.*}", self._take)
        runner = web.AppRunner(app, access_log=None, keepalive_timeout=IDLE_S, shutdown_timeout=1.0)
        await runner.setup()
        try:
            ports = {"http": await _bound(runner, host, port, None)}
            if secure is not None:
                ports["https"] = await _bound(runner, host, secure[0], secure[1])
        except OSError:
            await runner.cleanup()
            raise
        self._runner, self.ports = runner, ports

    async def rest(self) -> None:
        """Close the port if nothing is served."""
        if not self._offers and not self._boxes:
            await self.close()

    async def close(self) -> None:
        """Close the port; offers and boxes stay known."""
        runner, self._runner, self.ports = self._runner, None, {}
        if runner is not None:
            await runner.cleanup()

    # -- what there is --------------------------------------------------------------------------------------

    def offer(self, job: str, secret: str, path: Path, name: str) -> None:
        """Let a file be fetched at /files/<secret>/<name>."""
        self._offers[secret] = (job, Offer(path, safe_name(name)))

    def open_box(self, job: str, secret: str, folder: Path, max_bytes: int) -> None:
        """Take files in at /box/<secret>/<sender>."""
        self._boxes[secret] = (job, Box(folder, max_bytes))

    def drop(self, job: str) -> None:
        """Serve a job no longer."""
        self._offers = {secret: item for secret, item in self._offers.items() if item[0] != job}
        self._boxes = {secret: item for secret, item in self._boxes.items() if item[0] != job}

    # -- fetching --------------------------------------------------------------------------------------------

    async def _fetch(self, request: web.Request) -> web.StreamResponse:
        job, offer = self._offers.get(request.match_info["secret"], ("", None))
        if offer is None or request.match_info["name"] != offer.name or not offer.path.is_file():
            raise web.HTTPNotFound()
        return _Counted(offer, lambda: self._busy(job, offer.busy))

    # -- taking in ---------------------------------------------------------------------------------------------

    async def _take(self, request: web.Request) -> web.Response:
        job, box = self._boxes.get(request.match_info["secret"], ("", None))
        if box is None:
            raise web.HTTPNotFound()
        if len(box.names) >= MOST_FILES:
            raise web.HTTPInsufficientStorage(text="this box is full")
        parts, given = await _content(request)
        name = _free(box, safe_name(request.match_info["sender"]), safe_name(given or request.match_info.get("name") or "log"))
        reason = "the sender went away"
        try:
            reason = await _write(box, box.folder / name, parts)
        finally:
            if reason:
                box.names.discard(name)
                self._received(job, False, name, reason)
        if reason:
            raise (
                web.HTTPInsufficientStorage(text=reason) if reason != TOO_LARGE else web.HTTPRequestEntityTooLarge(box.left_bytes, box.left_bytes + 1)
            )
        self._received(job, True, name, "")
        return web.Response(status=201)


async def _bound(runner: web.AppRunner, host: str, port: int, context: ssl.SSLContext | None) -> int:
    """Listen; returns the port that was bound."""
    site = web.TCPSite(runner, host, port, ssl_context=context, reuse_address=True)
    await site.start()
    server = site._server
    sockets = getattr(server, "sockets", ())
    return int(sockets[0].getsockname()[1]) if sockets else port


async def _content(request: web.Request) -> tuple[AsyncIterator[bytes], str]:
    """(chunks, file name if the form tells one)."""
    if request.content_type.startswith("multipart/"):
        reader = await request.multipart()
        while (part := await reader.next()) is not None:
            if isinstance(part, BodyPartReader) and (part.filename or part.name in ("file", "log", "data", "diagnostics")):
                return _chunks_of(part), part.filename or ""
        raise web.HTTPBadRequest(text="the form holds no file")
    return request.content.iter_chunked(CHUNK_BYTES), ""


async def _chunks_of(part: BodyPartReader) -> AsyncIterator[bytes]:
    while chunk := await part.read_chunk(CHUNK_BYTES):
        yield chunk


async def _write(box: Box, path: Path, parts: AsyncIterator[bytes]) -> str:
    """Put chunks into a file of a box; returns why that was not possible. Whatever ends it early, half a file does not stay."""
    used, whole = 0, False
    try:
        with path.open("wb") as file:
            async for chunk in parts:
                if len(chunk) > box.left_bytes:
                    return TOO_LARGE
                used += len(chunk)
                box.left_bytes -= len(chunk)
                await asyncio.to_thread(file.write, chunk)  # a slow disk must not hold up the loop that keeps the fuse
        whole = True
        return ""
    except OSError as error:
        return error.strerror or "the file could not be written"
    finally:
        if not whole:
            box.left_bytes += used
            with contextlib.suppress(OSError):
                os.unlink(path)  # at once: whoever cancelled this waits for nothing


def _free(box: Box, sender: str, given: str) -> str:
    """A name that is not in the box yet, reserved in it: <sender>-<name>, the next ones <sender>-2-<name> ..."""
    name, count = f"{sender}-{given}", 1
    while name in box.names:
        count += 1
        name = f"{sender}-{count}-{given}"
    box.names.add(name)
    return name
