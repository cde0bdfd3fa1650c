"""Carries out FetchFile, ServeFile, OpenBox, SendBox and StopServing: files between the CSMS, this machine and the stations.

Everything lies below ``<data_dir>/files``, one folder per job, named by a digest of the job: no name from outside becomes a
path. One job does one thing at a time; a new order for it ends the old one. The secret of a job's address lies in its folder, so
that the address is the same after a restart. Boxes do not outlive the program: their logs can be collected again. All jobs
together take at most ``files.max_bytes``.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import os
import secrets
import shutil
import socket
import zipfile
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import aiohttp

from controller.config import Config
from controller.facts import FileFetched, FilesCollected, FileServed
from controller.io.files.box import Box, check_room
from controller.io.files.ftp_box import SENDER, FtpBoxes
from controller.io.files.server import FileServer, safe_name
from controller.io.files.transfer import Fetched, TransferError, fetch, tried, upload
from controller.io.links.tls import CertificateError, server_context
from controller.io.shell import Clock, Submit
from controller.io.tasks import end, spawn
from controller.ocpp.times import timestamp
from controller.orders import FetchFile, OpenBox, Order, SendBox, ServeFile, StopServing
from controller.snapshot import Snapshot

log = logging.getLogger(__name__)

FOLDER = "files"
FILE = "file"
SECRET = "secret"
BOX = "box"
ZIP = "collected.zip"
NOWHERE = "192.0.2.1"
"""A documentation address: asked for the way to it, the system names our own address. Nothing is sent."""


class FilesShell:
    """See the module. snapshot: for the event log that goes with collected logs."""

    orders: tuple[type, ...] = (FetchFile, ServeFile, StopServing, OpenBox, SendBox)

    def __init__(self, config: Config, clock: Clock, submit: Submit, snapshot: Callable[[], Snapshot]) -> None:
        self._config = config
        self._clock = clock
        self._submit = submit
        self._snapshot = snapshot
        self._root = config.data_dir / FOLDER
        self._server = FileServer(self._received, self._busy, len(config.stations))
        self._ftp = FtpBoxes(self._received, len(config.stations))
        self._jobs: dict[str, asyncio.Task[Any]] = {}
        self._session: aiohttp.ClientSession | None = None
        self._stopped = True
        self._listening = asyncio.Lock()

    # -- shell ----------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Remove what an earlier run left half done. No port is opened yet."""
        self._stopped = False
        await asyncio.to_thread(self._sweep)

    async def stop(self) -> None:
        """End all transfers; what is fetched stays."""
        self._stopped = True
        await end(self._jobs.values())
        self._jobs.clear()
        await self._server.close()
        await self._ftp.close()
        if self._session is not None:
            await self._session.close()
            self._session = None

    @property
    def port(self) -> int:
        """Where it listens now, 0 = it does not."""
        return self._server.ports.get("http", 0)

    def carry(self, order: Order) -> None:
        """Begin one of ``orders``; the outcome comes as a fact."""
        if self._stopped:
            return
        match order:
            case FetchFile():
                self._begin(order.job, self._fetch(order))
            case ServeFile():
                self._begin(order.job, self._serve(order))
            case OpenBox():
                self._begin(order.job, self._open_box(order))
            case SendBox():
                self._begin(order.job, self._send_box(order))
            case StopServing():
                self._begin(order.job, self._forget(order.job))

    def _begin(self, job: str, work: Coroutine[Any, Any, None]) -> None:
        before = self._jobs.get(job)

        async def after() -> None:
            if before is not None:
                await end([before])
            await work

        task = spawn(after(), f"file job {job}")
        self._jobs[job] = task
        task.add_done_callback(lambda done: self._jobs.pop(job, None) if self._jobs.get(job) is done else None)
        task.add_done_callback(lambda done: work.close())

    # -- fetch -----------------------------------------------------------------------------------------------

    async def _fetch(self, order: FetchFile) -> None:
        found: list[Fetched] = []

        async def once() -> None:
            try:
                folder = await asyncio.to_thread(self._folder, order.job)
                room = self._config.files.max_bytes - await asyncio.to_thread(_size, self._root)
            except OSError as error:
                raise TransferError(error.strerror or "the disk cannot be used") from None
            found.append(await fetch(self._client(), order.url, folder / FILE, max(0, min(order.max_bytes, room))))

        reason = await tried(order.attempts, order.retry_s, once)
        at = self._clock.stamp()
        if reason:
            self._submit(FileFetched(at, order.job, False, reason, url=order.url))
            return
        file = found[-1]
        self._submit(FileFetched(at, order.job, True, "", str(file.path), file.sha256, file.md5, file.size_bytes, order.url))

    # -- serve ------------------------------------------------------------------------------------------------

    async def _serve(self, order: ServeFile) -> None:
        path = Path(order.path)
        if not await asyncio.to_thread(self._is_ours, path):
            self._submit(FileServed(self._clock.stamp(), order.job, (), "the file is not there any more", missing=True))
            return
        await self._offer(order.job, lambda secret: self._server.offer(order.job, secret, path, order.name), "files", f"/{safe_name(order.name)}")

    async def _open_box(self, order: OpenBox) -> None:
        try:
            folder = await asyncio.to_thread(self._folder, order.job, BOX)
            room = self._config.files.max_bytes - await asyncio.to_thread(_size, self._root)
        except OSError as error:
            self._submit(FileServed(self._clock.stamp(), order.job, (), error.strerror or "the disk cannot be used"))
            return
        # Half of the room: what is in the box is packed into one more file.
        box = Box(folder, max(0, min(order.max_bytes, room // 2)), frozenset(map(safe_name, order.senders)))

        def enter(secret: str) -> None:
            self._server.open_box(order.job, secret, box)
            if self._config.files.ftp_port is not None and box.senders:
                self._ftp.open_box(order.job, secret, box)

        await self._offer(order.job, enter, "box", "", ftp=bool(box.senders))

    async def _offer(self, job: str, enter: Callable[[str], None], kind: str, tail: str, *, ftp: bool = False) -> None:
        try:
            secret = await asyncio.to_thread(self._secret, job)
            enter(secret)
            async with self._listening:
                self._server.listen(self._host(), self._config.files.port, self._secure())
        except (OSError, CertificateError) as error:
            self._server.drop(job)
            self._ftp.drop(job)
            reason = f"stations cannot be served on port {self._config.files.port}: {getattr(error, 'strerror', None) or error}"
            self._submit(FileServed(self._clock.stamp(), job, (), reason))
            return
        address = self._address()
        urls = tuple(f"{scheme}://{address}:{port}/{kind}/{secret}{tail}" for scheme, port in sorted(self._server.ports.items()))
        self._submit(FileServed(self._clock.stamp(), job, (*urls, *(await self._ftp_urls(address, secret) if ftp else ()))))

    async def _ftp_urls(self, address: str, secret: str) -> tuple[str, ...]:
        """Where chargers that know nothing else put their logs; none if it is not wanted or cannot be."""
        wanted = self._config.files.ftp_port
        if wanted is None:
            return ()
        try:
            async with self._listening:
                port = await self._ftp.listen(self._host(), wanted)
        except OSError as error:
            log.warning("no FTP for chargers on port %d: %s; choose another files.ftp_port", wanted, error.strerror or error)
            return ()
        return (f"ftp://{SENDER}:{secret}@{address}:{port}/",)

    def _secure(self) -> Any:
        tls = self._config.listen.tls
        port = self._config.files.tls_port
        return None if tls is None or port is None else (port, server_context(tls.certificates))

    def _host(self) -> str:
        return self._config.files.host or self._config.listen.host

    def _address(self) -> str:
        """How a station reaches us."""
        host = self._config.files.address or self._host()
        if host in ("", "0.0.0.0", "::"):
            host = own_address()
        return f"[{host}]" if ":" in host and not host.startswith("[") else host

    # -- boxes --------------------------------------------------------------------------------------------------

    async def _send_box(self, order: SendBox) -> None:
        name = safe_name(order.name)
        extra = (*order.extra, ("yardmaster-events.txt", event_lines(self._snapshot())))
        names = self._server.close_box(order.job)
        try:
            packed = await asyncio.to_thread(lambda: _pack(self._folder(order.job, BOX), names, extra))
        except OSError as error:
            self._submit(FilesCollected(self._clock.stamp(), order.job, "sent", False, name, error.strerror or "the logs could not be packed"))
            return
        answers: list[int] = []

        async def once() -> None:
            try:
                await upload(self._client(), order.url, packed, name)
            except TransferError as error:
                answers.append(error.answer)
                raise

        reason = await tried(order.attempts, order.retry_s, once)
        answer = answers[-1] if reason and answers else 0
        self._submit(FilesCollected(self._clock.stamp(), order.job, "sent", not reason, name, reason, answer))

    def _received(self, job: str, ok: bool, name: str, reason: str) -> None:
        self._submit(FilesCollected(self._clock.stamp(), job, "received", ok, name, reason))

    def _busy(self, job: str, count: int) -> None:
        self._submit(FilesCollected(self._clock.stamp(), job, "busy", True, str(count)))

    async def _forget(self, job: str) -> None:
        self._server.drop(job)
        self._ftp.drop(job)
        await asyncio.to_thread(shutil.rmtree, self._path(job), True)
        async with self._listening:
            await self._server.rest()
            await self._ftp.rest()

    def _is_ours(self, path: Path) -> bool:
        """Only what lies in our own folder is ever served."""
        return path.is_file() and path.resolve().is_relative_to(self._root.resolve())

    # -- disk ---------------------------------------------------------------------------------------------------------

    def _path(self, job: str) -> Path:
        return self._root / hashlib.sha256(job.encode()).hexdigest()[:32]

    def _folder(self, job: str, *below: str) -> Path:
        folder = self._path(job).joinpath(*below)
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        return folder

    def _secret(self, job: str) -> str:
        """The job's secret, made once. Raises OSError."""
        path = self._folder(job) / SECRET
        if path.is_file() and len(known := path.read_text(encoding="ascii", errors="replace").strip()) >= 20 and known.isascii():
            return known
        made = secrets.token_urlsafe(18)
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(file, "w", encoding="ascii") as out:
            out.write(made)
        return made

    def _sweep(self) -> None:
        with contextlib.suppress(OSError):
            for folder in self._root.iterdir():
                for left in folder.glob("*.part"):
                    left.unlink(missing_ok=True)
                if (folder / BOX).exists():
                    shutil.rmtree(folder, ignore_errors=True)

    def _client(self) -> aiohttp.ClientSession:
        if self._session is None:
            # What comes is taken byte for byte, as its checksum was made; servers are strangers to each other.
            self._session = aiohttp.ClientSession(auto_decompress=False, cookie_jar=aiohttp.DummyCookieJar())
        return self._session


def own_address() -> str:
    """The address this machine uses towards others; the loopback address if it has none."""
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect((NOWHERE, 9))
        return str(probe.getsockname()[0])
    return "127.0.0.1"


def event_lines(snapshot: Snapshot) -> str:
    """The event log as text, oldest first; it holds no secrets."""
    lines = [f"Yardmaster {snapshot.version}, site {snapshot.site_id}"]
    lines += [f"{timestamp(event.wall_s)} {event.severity:<7} {event.subject}: {event.text}" for event in snapshot.events]
    return "\n".join(lines) + "\n"


def _pack(folder: Path, names: frozenset[str], extra: tuple[tuple[str, str], ...]) -> Path:
    """What is whole in a box and the texts beside it, as a zip next to the box. Raises OSError."""
    packed = folder.parent / ZIP
    check_room(folder, _size(folder))
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(names):
            archive.write(folder / name, name)
        for name, text in extra:
            archive.writestr(safe_name(name), text)
    return packed


def _size(root: Path) -> int:
    return sum(path.stat().st_size for path in root.rglob("*") if path.is_file()) if root.exists() else 0
