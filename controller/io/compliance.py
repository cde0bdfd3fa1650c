"""Shell: the compliance record on disk. A file of its own, appended to and never changed. Statements and what became of them are
written at once, what is measured before a second has passed.

Every commit is an fsync (WAL with synchronous=FULL); lines wait in memory while the disk does not take them. Rows cannot be updated: a
trigger refuses it. They go when they are older than ``compliance.years``. A damaged file is set aside, kept, and told.
"""

from __future__ import annotations

import asyncio
import contextlib
import csv
import io
import logging
import math
import sqlite3
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import astuple, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, TypeVar

from controller.config import Config
from controller.facts import SourceChanged
from controller.io.history.sqlite_file import set_aside
from controller.io.shell import Clock, Submit
from controller.io.tasks import end, keep
from controller.orders import Order, RecordCompliance

log = logging.getLogger(__name__)
T = TypeVar("T")

SOURCE: Final = "compliance"
FILE: Final = "compliance.sqlite3"
FLUSH_S: Final = 0.5
GATHERED: Final = ("measured", "not_measured")  # these may wait so long; a statement and what becomes of it are written at once
PRUNE_EVERY_S: Final = 3600.0
PRUNE_MOST: Final = 20_000  # lines at once; a site writes far fewer in that time
CLOCK_SET_MS: Final = 1_577_836_800_000  # 2020: before that no clock was set
MAX_WAITING: Final = 100_000  # lines in memory while the disk does not take them
YEAR_S: Final = 365.25 * 86_400.0

_SCHEMA = """
CREATE TABLE IF NOT EXISTS lines(id INTEGER PRIMARY KEY AUTOINCREMENT, wall_ms INTEGER NOT NULL, source TEXT NOT NULL, direction TEXT NOT NULL,
  circuit TEXT NOT NULL, event TEXT NOT NULL, limit_w REAL, measured_w REAL, detail TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS lines_by_time ON lines(wall_ms);
CREATE TRIGGER IF NOT EXISTS lines_stay BEFORE UPDATE ON lines BEGIN SELECT RAISE(ABORT, 'the compliance record is never changed'); END;
"""
_PRUNE = """
DELETE FROM lines WHERE id IN (SELECT id FROM lines
  WHERE id < coalesce((SELECT id FROM lines WHERE wall_ms >= :before ORDER BY id LIMIT 1), 9223372036854775807)
  AND id <= coalesce((SELECT max(id) FROM lines WHERE wall_ms >= :set AND wall_ms < :before), 0) ORDER BY id LIMIT :most)
"""
_COLUMNS = "id, wall_ms, source, direction, circuit, event, limit_w, measured_w, detail"
_OF_SOURCE = " AND source = ?"


@dataclass(frozen=True, slots=True)
class Line:
    """One line as it was recorded. number: rises without gaps until lines grow too old. Powers [W], None = not known or none."""

    number: int
    wall_s: float
    source: str
    direction: str
    circuit: str
    event: str
    limit_w: float | None
    measured_w: float | None
    detail: str


class ComplianceStore:
    """The file. Every method runs on one thread; raises sqlite3.Error or OSError."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._db: sqlite3.Connection | None = None

    def open(self) -> str:
        """Open or create it. A damaged one is set aside; the returned sentence says so, "" if all is well."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._db = _opened(self._path)
        except sqlite3.OperationalError:
            raise
        except sqlite3.DatabaseError as error:
            aside = set_aside(self._path)
            self._db = _opened(self._path)
            return f"the compliance record was damaged ({error}); it is kept as {aside.name}, a new one is begun"
        return ""

    def write(self, batch: Iterable[RecordCompliance]) -> None:
        """All or nothing; on the disk when it returns."""
        with self._ready() as db:
            db.executemany(
                "INSERT INTO lines(wall_ms, source, direction, circuit, event, limit_w, measured_w, detail) VALUES(?, ?, ?, ?, ?, ?, ?, ?)",
                [_row(line) for line in batch],
            )

    def prune(self, before_wall_s: float) -> None:
        """Delete what is older than the retention, from the beginning and not much at once: a clock that is wrong for an hour costs no record.

        Lines of a clock that was not set (1970) go only with older ones behind them.
        """
        with self._ready() as db:
            db.execute(_PRUNE, {"before": _ms(before_wall_s), "set": CLOCK_SET_MS, "most": PRUNE_MOST})

    def query(self, source: str | None, since_wall_s: float, until_wall_s: float, after: int = 0, most: int = 1000) -> list[Line]:
        """Lines of a stretch of time, oldest first as recorded, those behind number ``after``."""
        return list(_query(self._ready(), source, since_wall_s, until_wall_s, after, most))

    def changes(self, source: str | None, since_wall_s: float, until_wall_s: float, most: int) -> list[Line]:
        """The newest lines of a stretch without those that only say what was measured, oldest first."""
        where, values = "wall_ms >= ? AND wall_ms <= ? AND event <> 'measured'", [_ms(since_wall_s), _ms(until_wall_s)]
        text = f"SELECT {_COLUMNS} FROM lines WHERE {where}{_OF_SOURCE if source is not None else ''} ORDER BY wall_ms DESC, id DESC LIMIT ?"
        rows = self._ready().execute(text, [*values, *([source] if source is not None else []), most]).fetchall()
        return [_line(row) for row in reversed(rows)]

    def close(self) -> None:
        """Close the file."""
        if self._db is not None:
            self._db.close()
            self._db = None

    def _ready(self) -> sqlite3.Connection:
        if self._db is None:
            self.open()
        assert self._db is not None
        return self._db


def read_only(path: Path, source: str | None, since_wall_s: float, until_wall_s: float) -> Iterator[Line]:
    """Lines of a file that a controller may be writing at the same time. Raises sqlite3.Error, FileNotFoundError."""
    if not path.exists():
        raise FileNotFoundError(path)
    db = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        after = 0
        while lines := list(_query(db, source, since_wall_s, until_wall_s, after, 5000)):
            yield from lines
            after = lines[-1].number
    finally:
        db.close()


def _query(db: sqlite3.Connection, source: str | None, since_wall_s: float, until_wall_s: float, after: int, most: int) -> Iterator[Line]:
    since, until = _ms(since_wall_s), _ms(until_wall_s)
    if after == 0:  # by time to where it begins; behind that by number
        first = db.execute("SELECT min(id) FROM lines WHERE wall_ms BETWEEN ? AND ?", (since, until)).fetchone()[0]
        if first is None:
            return
        after = first - 1
    where, values = "id > ? AND +wall_ms >= ? AND +wall_ms <= ?", [after, since, until]
    text = f"SELECT {_COLUMNS} FROM lines WHERE {where}{_OF_SOURCE if source is not None else ''} ORDER BY id LIMIT ?"
    for row in db.execute(text, [*values, *([source] if source is not None else []), most]):
        yield _line(row)


def _line(row: tuple[Any, ...]) -> Line:
    return Line(row[0], row[1] / 1000.0, *row[2:])


class ComplianceShell:
    """Takes lines, and answers questions about them."""

    orders: tuple[type[Order], ...] = (RecordCompliance,)

    def __init__(self, config: Config, clock: Clock, submit: Submit, flush_s: float = FLUSH_S) -> None:
        """flush_s: how long lines are gathered before they are written [s]."""
        self._clock, self._submit, self._flush_s = clock, submit, flush_s
        self._keep_s = config.compliance.years * YEAR_S
        self._store = ComplianceStore(config.data_dir / FILE)
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="compliance")
        self._waiting: deque[RecordCompliance] = deque(maxlen=MAX_WAITING)
        self._trouble: str | None = None
        self._stopped = False
        self._tasks: list[asyncio.Task[None]] = []
        self._urgent = asyncio.Event()

    def carry(self, order: Order) -> None:
        """Keep a line for the next batch."""
        if isinstance(order, RecordCompliance):
            self._waiting.append(order)
            if order.event not in GATHERED:
                self._urgent.set()

    async def start(self) -> None:
        """Open the file and begin writing. A disk that refuses is told and no reason to fail: control goes on."""
        try:
            damage = await self._run(self._store.open)
        except (sqlite3.Error, OSError) as error:
            damage = f"compliance cannot be recorded: {error}; limits are obeyed all the same"
        self._tell(damage)
        self._tasks = [keep(self._write_on, "compliance writer")]

    async def stop(self) -> None:
        """Write what is left and close."""
        await end(self._tasks)
        self._tasks = []
        if self._stopped:
            return
        self._stopped = True
        await self._flush()
        await self._run(self._store.close)
        self._thread.shutdown(wait=False)

    async def query(self, source: str | None, since_wall_s: float, until_wall_s: float, after: int = 0, most: int = 1000) -> list[Line]:
        """See ``ComplianceStore.query``, with what waits written first. Raises sqlite3.Error, OSError."""
        await self._flush()
        return await self._run(lambda: self._store.query(source, since_wall_s, until_wall_s, after, most))

    async def changes(self, source: str | None, since_wall_s: float, until_wall_s: float, most: int) -> list[Line]:
        """See ``ComplianceStore.changes``, with what waits written first. Raises sqlite3.Error, OSError."""
        await self._flush()
        return await self._run(lambda: self._store.changes(source, since_wall_s, until_wall_s, most))

    async def _write_on(self) -> None:
        loop, due_s = asyncio.get_running_loop(), 0.0
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._flush_s):
                    await self._urgent.wait()
            self._urgent.clear()
            if not await self._flush():
                await asyncio.sleep(self._flush_s)
            if loop.time() >= due_s and (stamp := self._clock.stamp()).wall_trusted:
                due_s = loop.time() + PRUNE_EVERY_S
                await self._prune(stamp.wall_s - self._keep_s)

    async def _flush(self) -> bool:
        """Write what waits. False: the disk does not take it."""
        batch = [self._waiting.popleft() for _ in range(len(self._waiting))]
        if not batch:
            return True
        try:
            await self._run(lambda: self._store.write(batch))
        except (sqlite3.Error, OSError) as error:
            room = MAX_WAITING - len(self._waiting)
            self._waiting.extendleft(reversed(batch[max(0, len(batch) - room) :]))
            self._tell(f"compliance cannot be recorded: {error}; {len(self._waiting)} lines wait in memory, free some disk space")
            return False
        self._tell("")
        return True

    async def _prune(self, before_wall_s: float) -> None:
        try:
            await self._run(lambda: self._store.prune(before_wall_s))
        except (sqlite3.Error, OSError) as error:
            self._tell(f"old compliance lines cannot be deleted: {error}")

    async def _run(self, job: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, job)

    def _tell(self, trouble: str) -> None:
        if trouble != self._trouble:
            self._trouble = trouble
            self._submit(SourceChanged(self._clock.stamp(), SOURCE, not trouble, trouble or "compliance is being recorded"))


def csv_text(lines: Iterable[Line], header: bool = True) -> str:
    """Lines as CSV: UTC times, powers in W, empty = not known. A text that a spreadsheet would take for a formula is marked as text."""
    sheet = io.StringIO()
    writer = csv.writer(sheet, lineterminator="\r\n")
    if header:
        writer.writerow(["number", "time_utc", *(field.name for field in fields(Line)[2:])])
    for line in lines:
        values = [_plain(value) for value in astuple(line)[2:]]
        writer.writerow([line.number, datetime.fromtimestamp(line.wall_s, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"), *values])
    return sheet.getvalue()


def _plain(value: str | float | None) -> str:
    if isinstance(value, str):
        return f"'{value}" if value[:1] in ("=", "+", "-", "@", "\t", "\r") else value
    return "" if value is None else f"{value:.1f}"


def _opened(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(path, check_same_thread=False)
    try:
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("PRAGMA synchronous=FULL")
        db.executescript(_SCHEMA)
        if db.execute("PRAGMA quick_check").fetchone()[0] != "ok":
            raise sqlite3.DatabaseError("the check of the file found faults")
    except sqlite3.Error:
        db.close()
        raise
    return db


def _row(line: RecordCompliance) -> tuple[int, str, str, str, str, float | None, float | None, str]:
    limit_w, measured_w = _number(line.limit_w), _number(line.measured_w)
    return _ms(line.wall_s), line.source, line.direction.value, line.circuit, line.event, limit_w, measured_w, line.detail[:400]


def _number(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _ms(wall_s: float) -> int:
    return round(min(max(wall_s, 0.0), 253_402_300_799.0) * 1000)
