"""Forwards history points to InfluxDB, through a bounded spool on disk.

Every point becomes a line of line protocol in the spool (SQLite, WAL) and leaves it only when
the server has said yes. Points carry their own time, so sending one twice changes nothing.
influxdb-client only builds the lines: its own batching keeps points in memory and drops a batch
after 180 s (measured 2026-11, influxdb-client-python#689).

What the server says: 2xx stored; 400/413/422 a line is bad: the batch is halved until it is alone,
then quarantined - unless it takes no other line either, the newest one included: then it is the server that
is wrong (a proxy, another address), and all of them wait; 401/403/404 settings are wrong: alarm, tried again once in five minutes; 415 it takes
nothing compressed; 429/503 it asks for time (Retry-After, seconds or a date); anything else or silence:
it is down, tried again with backoff. A full spool loses its oldest points and counts them (fault F84).
"""

from __future__ import annotations

import asyncio
import gzip
import math
import sqlite3
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import aiohttp
from influxdb_client.client.write.point import Point
from influxdb_client.domain.write_precision import WritePrecision
from yarl import URL

from controller.config import InfluxHistory
from controller.io.history.spool import BATCH_LINES, Row, Spool
from controller.io.http_answers import date_s, retry_after_s
from controller.io.tasks import end, keep
from controller.orders import RecordPoint

T = TypeVar("T")

MAX_WAITING = 50_000
REQUEST_TIMEOUT_S = 10.0
BACKOFF_MIN_S, BACKOFF_MAX_S = 1.0, 60.0
RETRY_SETTINGS_S = 300.0
RETRY_AFTER_MAX_S = 600.0
BAD_LINE, WRONG_SETTINGS, BUSY, NO_GZIP = (400, 413, 422), (401, 403, 404), (429, 503), 415
GZIP_LEVEL = 6
GATHER_S = 0.02

@dataclass(frozen=True, slots=True)
class Counts:
    """What became of the points. waiting and waiting_bytes: now in the spool."""

    sent: int
    dropped: int
    quarantined: int
    waiting: int
    waiting_bytes: int


class RefusedError(Exception):
    """The server did not take a batch."""

    def __init__(self, status: int, text: str, wait_s: float) -> None:
        super().__init__(text)
        self.status = status
        self.text = text
        self.wait_s = wait_s


class InfluxForwarder:
    """Spool and sender for one server."""

    def __init__(
        self,
        history: InfluxHistory,
        spool_path: Path,
        tell: Callable[[str], None],
        period_s: float,
        wall_s: Callable[[], float] | None = None,
    ) -> None:
        """tell: called with a sentence when there is trouble, with "" when all is well. period_s: between two sends [s].

        wall_s: our clock, for a Retry-After that is a date and comes without the server's own.
        """
        self._history = history
        self._report = tell
        self._trouble = {"disk": "", "server": ""}
        self._period_s = period_s
        self._wall_s = wall_s
        self._gzip = history.gzip
        self._gzip_proven = False
        self._takes = False
        self._where = f"the history server at {URL(history.url).with_user(None)}"  # never with a password
        self._spool = Spool(spool_path, history.spool_bytes)
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="spool")
        self._waiting: deque[RecordPoint] = deque(maxlen=MAX_WAITING)
        self._news = asyncio.Event()
        self._session: aiohttp.ClientSession | None = None
        self._sent = 0
        self._failures = 0
        self._not_before_s = 0.0
        self._tasks: list[asyncio.Task[None]] = []

    def put(self, point: RecordPoint) -> None:
        """Take a point; it is on disk a moment later."""
        self._waiting.append(point)
        self._news.set()

    @property
    def counts(self) -> Counts:
        """What became of the points since the start."""
        spool = self._spool
        return Counts(self._sent, spool.dropped, spool.quarantined, spool.rows, spool.bytes)

    async def start(self) -> None:
        """Begin sending. A server that is away or a missing token is reported and no reason to fail."""
        timeout = aiohttp.ClientTimeout(total=REQUEST_TIMEOUT_S)
        self._session = aiohttp.ClientSession(timeout=timeout)
        self._tasks = [keep(self._store, "history spool"), keep(self._work, "history sender")]

    async def stop(self) -> None:
        """Put what is in memory into the spool and close; the next start sends it."""
        await end(self._tasks)
        await self._to_disk()
        if self._session is not None:
            await self._session.close()
        await self._run(self._spool.close)
        self._thread.shutdown(wait=False)

    async def _store(self) -> None:
        """Points go to disk as they come, a moment's worth together: a kill takes only that along, however long sending takes."""
        while True:
            self._news.clear()
            written = await self._to_disk()
            if written:
                await self._news.wait()
            await asyncio.sleep(GATHER_S if written else self._period_s)

    async def _work(self) -> None:
        while True:
            await asyncio.sleep(self._period_s)
            if _now_s() >= self._not_before_s:
                await self._send_all()

    async def _to_disk(self) -> bool:
        batch = [self._waiting.popleft() for _ in range(len(self._waiting))]
        lines = [line for line in map(to_line, batch) if line]
        try:
            await self._run(lambda: self._spool.add(lines))
        except (sqlite3.Error, OSError) as error:
            self._waiting.extendleft(reversed(batch))
            self._tell("disk", f"the history spool cannot be written: {error}; newest points wait in memory")
            return False
        self._tell("disk", "")
        return True

    async def _send_all(self) -> None:
        """Send until the spool is empty or the server wants a rest."""
        try:
            while rows := await self._run(lambda: self._spool.oldest(BATCH_LINES)):
                self._takes = False
                await self._deliver(rows)
        except RefusedError as refusal:
            self._failures += 1
            self._not_before_s = _now_s() + (refusal.wait_s or self._backoff_s())
            self._tell("server", refusal.text)
        except (sqlite3.Error, OSError) as error:
            self._tell("server", f"the history spool cannot be read: {error}")
        else:
            self._failures = 0
            self._tell("server", "")

    def _tell(self, part: str, trouble: str) -> None:
        self._trouble[part] = trouble
        if part == "server" or trouble:
            self._report(self._trouble["disk"] or self._trouble["server"])

    async def _deliver(self, rows: list[Row]) -> None:
        """Get rows to the server, halving around bad lines. Raises RefusedError if the server, not a line, is the trouble."""
        try:
            await self._post_either_way("\n".join(row.line for row in rows))
        except RefusedError as refusal:
            if refusal.status not in BAD_LINE:
                raise
            if len(rows) == 1:
                await self._check_server(refusal)
                reason = refusal.text
                await self._run(lambda: self._spool.quarantine(rows[0], reason))
                return
            middle = len(rows) // 2
            await self._deliver(rows[:middle])
            await self._deliver(rows[middle:])
            return
        await self._run(lambda: self._spool.remove(rows))
        self._sent += len(rows)

    async def _check_server(self, refusal: RefusedError) -> None:
        """Before a line is put aside: does the server take any? Of a batch none yet, so the newest of all is tried. Raises RefusedError if not."""
        newest = None if self._takes else await self._run(self._spool.newest)
        if newest is None:
            return
        try:
            await self._post_either_way(newest.line)
        except RefusedError as again:
            if again.status not in BAD_LINE:
                raise
            text = f"{self._where} refuses every line ({refusal.status}: {refusal.text[:100]}); check url; points wait on disk"
            raise RefusedError(0, text, 0.0) from None

    async def _post_either_way(self, body: str) -> None:
        """Send compressed if that is wanted and works. There are doors that unpack a body and leave its label on:

        what is behind them then finds no gzip and answers 400, as if the lines were bad.
        """
        if not self._gzip:
            await self._post(body, False)
            return
        try:
            await self._post(body, True)
            self._gzip_proven = True
        except RefusedError as refusal:
            if refusal.status != NO_GZIP and (self._gzip_proven or refusal.status not in BAD_LINE):
                raise
            await self._post(body, False)
            self._gzip = False

    async def _post(self, body: str, compressed: bool) -> None:
        if self._session is None:
            raise RefusedError(0, "the history sender is stopped", RETRY_SETTINGS_S)
        url = self._history.url.rstrip("/") + "/api/v2/write"
        where = {"org": self._history.org, "bucket": self._history.bucket, "precision": "ms"}
        headers, data = self._headers(), body.encode()
        if compressed:
            headers["Content-Encoding"] = "gzip"
            data = await self._run(lambda: gzip.compress(body.encode(), GZIP_LEVEL, mtime=0))
        try:
            async with self._session.post(url, params=where, data=data, headers=headers, allow_redirects=False) as answer:
                if 200 <= answer.status < 300:
                    self._takes = True
                    return
                text = await _beginning(answer)
                status, wait_s = answer.status, self._wait_s(answer)
        except (aiohttp.ClientError, OSError, ValueError) as error:
            text = f"{self._where} cannot be reached ({type(error).__name__}); points wait on disk"
            raise RefusedError(0, text, 0.0) from error
        raise self._refusal(status, text, wait_s)

    def _wait_s(self, answer: aiohttp.ClientResponse) -> float:
        """How long it asks us to wait; 0 = our own backoff."""
        return retry_after_s(answer.headers.get("Retry-After"), self._asked_wall_s(answer), RETRY_AFTER_MAX_S) or 0.0

    def _asked_wall_s(self, answer: aiohttp.ClientResponse) -> float | None:
        """When the server says it answered: its dates are by its own clock, which may not be ours."""
        said = date_s(answer.headers.get("Date", ""))
        if said is not None:
            return said
        return self._wall_s() if self._wall_s is not None else None

    def _headers(self) -> dict[str, str]:
        headers = {"Content-Type": "text/plain; charset=utf-8"}
        token = self._token()
        return headers | {"Authorization": f"Token {token}"} if token else headers

    def _token(self) -> str:
        if self._history.token_file is None:
            return "" if self._history.token is None else self._history.token.get_secret_value()
        try:
            return self._history.token_file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            text = f"the token file of the history server cannot be read: {error}; points wait on disk"
            raise RefusedError(0, text, RETRY_SETTINGS_S) from error

    def _refusal(self, status: int, text: str, wait_s: float) -> RefusedError:
        where = self._where
        if 300 <= status < 400:
            return RefusedError(status, f"{where} sends us elsewhere ({status}); the token goes only there; correct url; points wait on disk", 0.0)
        if status in WRONG_SETTINGS:
            return RefusedError(status, f"{where} refuses us ({status}); check token, org and bucket; points wait on disk", RETRY_SETTINGS_S)
        if status in BUSY:
            return RefusedError(status, f"{where} asks for time ({status}); points wait on disk", wait_s)
        if status in BAD_LINE:
            return RefusedError(status, text, 0.0)
        return RefusedError(status, f"{where} has trouble ({status}); points wait on disk", 0.0)

    def _backoff_s(self) -> float:
        return min(BACKOFF_MAX_S, BACKOFF_MIN_S * 2.0 ** min(self._failures - 1, 10))

    async def _run(self, job: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, job)


def to_line(point: RecordPoint) -> str:
    """Line protocol of a point, always floats: an integer written once would make every later float fail. "" if nothing is finite."""
    finite = {name: float(value) for name, value in point.fields.items() if math.isfinite(value)}
    if not finite:
        return ""
    tags = {name: value.encode("utf-8", "replace").decode() for name, value in point.tags.items()}  # a lone surrogate cannot be sent
    parts = {"measurement": point.measurement, "tags": tags, "fields": finite, "time": round(point.wall_s * 1000)}
    line = Point.from_dict(parts, write_precision=WritePrecision.MS)  # type: ignore[arg-type]
    return str(line.to_line_protocol())


async def _beginning(answer: aiohttp.ClientResponse) -> str:
    """The first few hundred characters of an answer; no more is worth reading."""
    return (await answer.content.read(500)).decode("utf-8", errors="replace")


def _now_s() -> float:
    return asyncio.get_running_loop().time()
