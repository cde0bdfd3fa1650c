"""Forwards history points to InfluxDB, through a bounded spool on disk.

Every point becomes a line of line protocol in the spool (SQLite, WAL) and leaves it only when
the server has said yes. Points carry their own time, so sending one twice changes nothing.
influxdb-client only builds the lines: its own batching keeps points in memory and drops a batch
after 180 s (measured 2026-11, influxdb-client-python#689).

What the server says: 2xx stored; 400/413/422 a line is bad: the batch is halved until it is alone,
then quarantined; 401/403/404 settings are wrong: alarm, tried again once in five minutes; 429/503
it asks for time (Retry-After); anything else or silence: it is down, tried again with backoff.
A full spool loses its oldest points and counts them (fault F84).
"""

from __future__ import annotations

import asyncio
import math
import sqlite3
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, TypeVar

import aiohttp
from influxdb_client.client.write.point import Point
from influxdb_client.domain.write_precision import WritePrecision

from controller.config import InfluxHistory
from controller.io.sqlite_file import open_store
from controller.io.tasks import end, keep
from controller.orders import RecordPoint

T = TypeVar("T")

BATCH_LINES = 1000
MAX_WAITING = 50_000
ROW_BYTES = 16  # what SQLite keeps per row beside the text, rounded up
MAX_QUARANTINE = 1000
REQUEST_TIMEOUT_S = 10.0
BACKOFF_MIN_S, BACKOFF_MAX_S = 1.0, 60.0
RETRY_SETTINGS_S = 300.0
RETRY_AFTER_MAX_S = 600.0
BAD_LINE, WRONG_SETTINGS, BUSY = (400, 413, 422), (401, 403, 404), (429, 503)

_SCHEMA = """
CREATE TABLE IF NOT EXISTS spool(number INTEGER PRIMARY KEY AUTOINCREMENT, line TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS quarantine(number INTEGER PRIMARY KEY AUTOINCREMENT, line TEXT NOT NULL, reason TEXT NOT NULL);
"""


class Row(NamedTuple):
    """One line waiting in the spool."""

    number: int
    line: str


@dataclass(frozen=True, slots=True)
class Counts:
    """What became of the points. waiting and waiting_bytes: now in the spool."""

    sent: int
    dropped: int
    quarantined: int
    waiting: int
    waiting_bytes: int


class Spool:
    """The queue on disk. Every method runs on one thread; raises sqlite3.Error or OSError."""

    def __init__(self, path: Path, max_bytes: int) -> None:
        self._path = path
        self._max_bytes = max_bytes
        self._db: sqlite3.Connection | None = None
        self.bytes = 0
        self.rows = 0
        self.dropped = 0
        self.quarantined = 0

    def open(self) -> None:
        """Open or create the file; a damaged one is set aside: its points are lost, control is not."""
        if self._db is not None:
            return
        self._path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._db = open_store(self._path, _SCHEMA)
        except sqlite3.OperationalError:
            raise
        except sqlite3.DatabaseError:
            self._path.replace(self._path.with_name(f"{self._path.name}.damaged"))
            self._db = open_store(self._path, _SCHEMA)
        self.rows, text_bytes = self._db.execute("SELECT COUNT(*), COALESCE(SUM(LENGTH(CAST(line AS BLOB))), 0) FROM spool").fetchone()
        self.bytes = text_bytes + ROW_BYTES * self.rows

    def add(self, lines: list[str]) -> None:
        """Append lines, then drop the oldest until the bound holds."""
        db = self._opened()
        with db:
            db.executemany("INSERT INTO spool(line) VALUES(?)", [(line,) for line in lines])
        self.rows += len(lines)
        self.bytes += sum(_cost(line) for line in lines)
        while self.bytes > self._max_bytes and self.rows:
            oldest = self.oldest(BATCH_LINES)
            over = self._prefix(oldest, self.bytes - self._max_bytes)
            self.remove(over)
            self.dropped += len(over)

    def oldest(self, count: int) -> list[Row]:
        """The next lines to send."""
        rows = self._opened().execute("SELECT number, line FROM spool ORDER BY number LIMIT ?", (count,))
        return [Row(number, line) for number, line in rows]

    def remove(self, rows: list[Row]) -> None:
        """Forget lines: the server has them."""
        db = self._opened()
        with db:
            db.executemany("DELETE FROM spool WHERE number = ?", [(row.number,) for row in rows])
        self.rows -= len(rows)
        self.bytes -= sum(_cost(row.line) for row in rows)

    def quarantine(self, row: Row, reason: str) -> None:
        """Put a line aside that the server will never take; the newest thousand are kept for a person to look at."""
        db = self._opened()
        with db:
            db.execute("INSERT INTO quarantine(line, reason) VALUES(?, ?)", (row.line, reason[:500]))
            db.execute("DELETE FROM quarantine WHERE number <= (SELECT MAX(number) FROM quarantine) - ?", (MAX_QUARANTINE,))
        self.remove([row])
        self.quarantined += 1

    def close(self) -> None:
        """Close the file."""
        if self._db is not None:
            self._db.close()
            self._db = None

    def _opened(self) -> sqlite3.Connection:
        self.open()
        if self._db is None:
            raise sqlite3.OperationalError("the spool is not open")
        return self._db

    @staticmethod
    def _prefix(rows: list[Row], excess_bytes: int) -> list[Row]:
        taken: list[Row] = []
        for row in rows:
            if excess_bytes <= 0:
                break
            taken.append(row)
            excess_bytes -= _cost(row.line)
        return taken


class RefusedError(Exception):
    """The server did not take a batch."""

    def __init__(self, status: int, text: str, wait_s: float) -> None:
        super().__init__(text)
        self.status = status
        self.text = text
        self.wait_s = wait_s


class InfluxForwarder:
    """Spool and sender for one server."""

    def __init__(self, history: InfluxHistory, spool_path: Path, tell: Callable[[str], None], period_s: float) -> None:
        """tell: called with a sentence when there is trouble, with "" when all is well. period_s: between two sends [s]."""
        self._history = history
        self._tell = tell
        self._period_s = period_s
        self._spool = Spool(spool_path, history.spool_bytes)
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="spool")
        self._waiting: deque[RecordPoint] = deque(maxlen=MAX_WAITING)
        self._session: aiohttp.ClientSession | None = None
        self._sent = 0
        self._failures = 0
        self._not_before_s = 0.0
        self._tasks: list[asyncio.Task[None]] = []

    def put(self, point: RecordPoint) -> None:
        """Take a point; it is on disk within one period."""
        self._waiting.append(point)

    @property
    def counts(self) -> Counts:
        """What became of the points since the start."""
        spool = self._spool
        return Counts(self._sent, spool.dropped, spool.quarantined, spool.rows, spool.bytes)

    async def start(self) -> None:
        """Begin sending. A server that is away or a missing token is reported and no reason to fail."""
        timeout = aiohttp.ClientTimeout(total=REQUEST_TIMEOUT_S)
        self._session = aiohttp.ClientSession(timeout=timeout)
        self._tasks = [keep(self._work, "history sender")]

    async def stop(self) -> None:
        """Put what is in memory into the spool and close; the next start sends it."""
        await end(self._tasks)
        await self._to_disk()
        if self._session is not None:
            await self._session.close()
        await self._run(self._spool.close)
        self._thread.shutdown(wait=False)

    async def _work(self) -> None:
        while True:
            if await self._to_disk() and _now_s() >= self._not_before_s:
                await self._send_all()
            await asyncio.sleep(self._period_s)

    async def _to_disk(self) -> bool:
        batch = [self._waiting.popleft() for _ in range(len(self._waiting))]
        lines = [line for line in map(to_line, batch) if line]
        try:
            await self._run(lambda: self._spool.add(lines))
        except (sqlite3.Error, OSError) as error:
            self._waiting.extendleft(reversed(batch))
            self._tell(f"the history spool cannot be written: {error}; newest points wait in memory")
            return False
        return True

    async def _send_all(self) -> None:
        """Send until the spool is empty or the server wants a rest."""
        try:
            while rows := await self._run(lambda: self._spool.oldest(BATCH_LINES)):
                await self._deliver(rows)
        except RefusedError as refusal:
            self._failures += 1
            self._not_before_s = _now_s() + (refusal.wait_s or self._backoff_s())
            self._tell(refusal.text)
        except (sqlite3.Error, OSError) as error:
            self._tell(f"the history spool cannot be read: {error}")
        else:
            self._failures = 0
            self._tell("")

    async def _deliver(self, rows: list[Row]) -> None:
        """Get rows to the server, halving around bad lines. Raises RefusedError if the server, not a line, is the trouble."""
        try:
            await self._post("\n".join(row.line for row in rows))
        except RefusedError as refusal:
            if refusal.status not in BAD_LINE:
                raise
            if len(rows) == 1:
                reason = refusal.text
                await self._run(lambda: self._spool.quarantine(rows[0], reason))
                return
            middle = len(rows) // 2
            await self._deliver(rows[:middle])
            await self._deliver(rows[middle:])
            return
        await self._run(lambda: self._spool.remove(rows))
        self._sent += len(rows)

    async def _post(self, body: str) -> None:
        if self._session is None:
            raise RefusedError(0, "the history sender is stopped", RETRY_SETTINGS_S)
        url = self._history.url.rstrip("/") + "/api/v2/write"
        where = {"org": self._history.org, "bucket": self._history.bucket, "precision": "ms"}
        try:
            async with self._session.post(url, params=where, data=body.encode(), headers=self._headers(), allow_redirects=False) as answer:
                if 200 <= answer.status < 300:
                    return
                raise self._refusal(answer.status, await answer.text(errors="replace"), answer.headers.get("Retry-After", ""))
        except (aiohttp.ClientError, TimeoutError) as error:
            text = f"the history server at {self._history.url} cannot be reached ({type(error).__name__}); points wait on disk"
            raise RefusedError(0, text, 0.0) from error

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

    def _refusal(self, status: int, text: str, retry_after: str) -> RefusedError:
        where = f"the history server at {self._history.url}"
        if status in WRONG_SETTINGS:
            return RefusedError(status, f"{where} refuses us ({status}); check token, org and bucket; points wait on disk", RETRY_SETTINGS_S)
        if status in BUSY:
            return RefusedError(status, f"{where} asks for time ({status}); points wait on disk", _seconds(retry_after))
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


def _cost(line: str) -> int:
    return len(line.encode()) + ROW_BYTES


def _seconds(retry_after: str) -> float:
    """Retry-After in seconds; the date form and nonsense give 0, our own backoff."""
    return min(RETRY_AFTER_MAX_S, float(retry_after)) if retry_after.isascii() and retry_after.isdigit() else 0.0


def _now_s() -> float:
    return asyncio.get_running_loop().time()
