"""A small HTTP server for the stations: firmware to fetch, boxes to put logs into (L03, N01).

It listens only while there is something to serve. Every job has its own secret in the path, so that nobody finds what was not
offered to him; a name from outside never becomes a path. What is too large for a box is refused with 413 and leaves nothing behind.
Stations put files in all the ways they know: PUT or POST, to the given address or to a name below it, plain or as a form. One
request per connection; strangers that say nothing, or connect by the hundred, are kept out as at the stations' door.
"""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from aiohttp import BodyPartReader, web
from aiohttp.abc import AbstractStreamWriter

from controller.io.files.box import CHUNK_BYTES, CLOSED, FULL, GONE, TOO_LARGE, TRANSFER_S, Box
from controller.io.links.door import Door, DoorServer, Handler, Listener, listening_sockets

HANDSHAKE_S = 15.0
MOST_AT_ONCE = 64
"""Transfers, or twice the stations if that is more."""
NAME_LETTERS = 100
FILE_FIELDS = ("file", "log", "data", "diagnostics")


@dataclass(slots=True)
class Offer:
    """A file that stations may fetch. busy: how many do so now."""

    path: Path
    name: str
    busy: int = 0


Received = Callable[[str, bool, str, str], None]
"""(job, went well, name in the box, reason)."""
Busy = Callable[[str, int], None]
"""(job, how many fetch it now)."""


class _Counted(web.FileResponse):
    """A file on its way to a station, counted as long as it is."""

    def __init__(self, offer: Offer, told: Callable[[], None]) -> None:
        super().__init__(offer.path, headers={"Content-Type": "application/octet-stream"})
        self.force_close()
        self._offer = offer
        self._told = told

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        """Sends all of it, or as much as the time allows."""
        self._offer.busy += 1
        self._told()
        try:
            async with asyncio.timeout(TRANSFER_S):
                return await super().prepare(request)
        except TimeoutError:
            if request.transport is not None:
                request.transport.abort()  # a length was promised: anything else would look like the whole file
            raise ConnectionResetError(GONE) from None
        finally:
            self._offer.busy -= 1
            self._told()


def safe_name(name: str) -> str:
    """A file name nobody can leave a folder with: the last part of what was given, letters, digits, dot, dash and underscore only."""
    last = re.split(r"[\\/]", name)[-1]
    kept = re.sub(r"[^A-Za-z0-9._-]", "_", last).lstrip(".")[-NAME_LETTERS:]
    return kept.lstrip(".") or "file"


class FileServer:
    """Serves offers and boxes under secrets. received, busy: called on the loop. stations: how many the site has."""

    def __init__(self, received: Received, busy: Busy, stations: int = 0) -> None:
        self._received = received
        self._busy = busy
        self._stations = stations
        self._offers: dict[str, tuple[str, Offer]] = {}
        self._boxes: dict[str, tuple[str, Box]] = {}
        self._door: Door | None = None
        self._server: DoorServer | None = None
        self._listeners: list[Listener] = []
        self._serving = 0
        self.ports: dict[str, int] = {}

    # -- life ----------------------------------------------------------------------------------------------

    def listen(self, host: str, port: int, secure: tuple[int, ssl.SSLContext] | None) -> None:
        """Begin to listen, if it does not yet. Raises OSError."""
        if self._server is not None:
            return
        door = Door(HANDSHAKE_S, self._stations)
        server = DoorServer(door, self._handle, HANDSHAKE_S, lambda handler: None, lambda address, error: None)
        listeners = [server.listen(socket) for socket in listening_sockets(host, port)]
        ports = {"http": listeners[0].port}
        if secure is not None:
            tls_port, context = secure
            try:
                encrypted = [server.listen(socket, lambda: context) for socket in listening_sockets(host, tls_port)]
            except OSError:
                for listener in listeners:
                    listener.close()
                raise
            listeners += encrypted
            ports["https"] = encrypted[0].port
        self._door, self._server, self._listeners, self.ports = door, server, listeners, ports

    async def rest(self) -> None:
        """Close the port if nothing is served."""
        if not self._offers and not self._boxes:
            await self.close()

    async def close(self) -> None:
        """Close the port; offers and boxes stay known."""
        server, door, self._server, self._door, self.ports = self._server, self._door, None, None, {}
        for listener in self._listeners:
            listener.close()
        self._listeners = []
        if door is not None:
            door.close()
        if server is not None:
            await server.shutdown(timeout=1.0)

    # -- what there is --------------------------------------------------------------------------------------

    def offer(self, job: str, secret: str, path: Path, name: str) -> None:
        """Let a file be fetched at /files/<secret>/<name>."""
        self._offers[secret] = (job, Offer(path, safe_name(name)))

    def open_box(self, job: str, secret: str, box: Box) -> None:
        """Take files in at /box/<secret>/<sender>."""
        self._boxes[secret] = (job, box)

    def close_box(self, job: str) -> frozenset[str]:
        """Take no more into a box; the names of what is whole in it."""
        boxes = [box for found, box in self._boxes.values() if found == job]
        for box in boxes:
            box.close()
        return frozenset(name for box in boxes for name in box.whole)

    def drop(self, job: str) -> None:
        """Serve a job no longer."""
        self.close_box(job)
        self._offers = {secret: item for secret, item in self._offers.items() if item[0] != job}
        self._boxes = {secret: item for secret, item in self._boxes.items() if item[0] != job}

    # -- requests --------------------------------------------------------------------------------------------

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        if self._door is not None:
            self._door.passed(cast(Handler, request.protocol).caller)
        if self._serving >= max(MOST_AT_ONCE, 2 * self._stations):
            return _said(503, "too many transfers run; come again in a minute")
        self._serving += 1
        try:
            return await self._judge(request)
        finally:
            self._serving -= 1

    async def _judge(self, request: web.BaseRequest) -> web.StreamResponse:
        _, kind, secret, first, *more = [*request.path.split("/", 4), "", "", ""][:5]
        if kind == "files" and request.method in ("GET", "HEAD") and not more[0]:
            return self._fetch(secret, first)
        if kind == "box" and request.method in ("PUT", "POST") and first:
            return await self._take(request, secret, safe_name(first), more[0])
        return _said(404, "there is nothing here")

    def _fetch(self, secret: str, name: str) -> web.StreamResponse:
        job, offer = self._offers.get(secret, ("", None))
        if offer is None or name != offer.name or not offer.path.is_file():
            return _said(404, "there is nothing here")
        return _Counted(offer, lambda: self._busy(job, offer.busy))

    async def _take(self, request: web.BaseRequest, secret: str, sender: str, below: str) -> web.Response:
        job, box = self._boxes.get(secret, ("", None))
        if box is None or not box.knows(sender):
            return _said(404, "there is nothing here")
        if box.crowded(sender):
            return _said(507, FULL)
        content = await _content(request)
        if content is None:
            return _said(400, "the form holds no file")
        parts, given = content
        name, reason = box.name_for(sender, safe_name(given or below or "log")), GONE
        try:
            reason = await box.take(sender, name, parts)
        finally:
            self._received(job, not reason, name, reason)
        return _said(201 if not reason else 413 if reason == TOO_LARGE else 404 if reason == CLOSED else 507, reason)


def _said(status: int, text: str) -> web.Response:
    response = web.Response(status=status, text=text)
    response.force_close()
    return response


async def _content(request: web.BaseRequest) -> tuple[AsyncIterator[bytes], str] | None:
    """(chunks, file name if the form tells one); None = a form without a file."""
    if not request.content_type.startswith("multipart/"):
        return request.content.iter_chunked(CHUNK_BYTES).__aiter__(), ""
    try:
        async with asyncio.timeout(HANDSHAKE_S):  # what comes before the file in a form is short
            reader = await request.multipart()
            while (part := await reader.next()) is not None:
                if isinstance(part, BodyPartReader) and (part.filename or part.name in FILE_FIELDS):
                    return _chunks_of(part), part.filename or ""
    except (TimeoutError, ValueError):
        return None
    return None


async def _chunks_of(part: BodyPartReader) -> AsyncIterator[bytes]:
    while chunk := await part.read_chunk(CHUNK_BYTES):
        yield chunk
