"""Shell: history of measurements and decisions, for the page and for outside tools.

Always keeps an SQLite file of its own (WAL, synchronous=NORMAL, written in batches by one
thread): it answers the page's questions even where history goes to InfluxDB, then for a week.
With InfluxDB configured every point also goes through ``influx`` (spool on disk, sender).

History is a guest: whatever fails here - disk full, file damaged, server down - is reported
once and never reaches control (faults F73, F75, F84).
"""

from __future__ import annotations

import asyncio
import json
import math
import sqlite3
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from controller.config import Config, EmbeddedHistory, InfluxHistory
from controller.facts import SourceChanged
from controller.io.history_thinning import SCHEMA as THINNING_SCHEMA
from controller.io.history_thinning import Level, Slice, counts_up, done, thin, todo
from controller.io.shell import Clock, Submit
from controller.io.sqlite_file import open_store
from controller.io.tasks import end, keep
from controller.orders import Order, RecordPoint

if TYPE_CHECKING:
    from controller.io.influx import Counts, InfluxForwarder

T = TypeVar("T")

SOURCE = "history"
FLUSH_S = 1.0
PRUNE_EVERY = 3600  # flushes
THIN_EVERY_S = 1800.0
FINE_STEP_S, COARSE_STEP_S = 300, 900
MAX_WAITING = 50_000  # points in memory while the disk does not take them
PAGE_RETENTION_DAYS = 7.0
LATEST_WALL_S = 253_402_300_799.0  # 9999-12-31; a point beyond it has no time at all

_SCHEMA = """
CREATE TABLE IF NOT EXISTS series(id INTEGER PRIMARY KEY, measurement TEXT NOT NULL, tags TEXT NOT NULL, field TEXT NOT NULL,
                                  UNIQUE(measurement, tags, field));
CREATE TABLE IF NOT EXISTS points(series INTEGER NOT NULL, wall_ms INTEGER NOT NULL, value REAL NOT NULL,
                                  PRIMARY KEY(series, wall_ms)) WITHOUT ROWID;
""" + THINNING_SCHEMA
_COUNT = "SELECT COUNT(*) FROM points WHERE series = ? AND wall_ms >= ? AND wall_ms <= ?"
_SELECT = """
SELECT :since + (wall_ms - :since) / :bucket * :bucket AS at, AVG(value) FROM points
WHERE series = :series AND wall_ms >= :since AND wall_ms <= :until GROUP BY at ORDER BY at
"""
_SELECT_LAST = """
SELECT :since + (wall_ms - :since) / :bucket * :bucket AS at, value, MAX(wall_ms) FROM points
WHERE series = :series AND wall_ms >= :since AND wall_ms <= :until GROUP BY at ORDER BY at
"""


@dataclass(frozen=True, slots=True)
class Series:
    """One field of one measurement over time. points: (wall_s, value), ascending; the unit is in the field's name."""

    tags: dict[str, str]
    field: str
    points: tuple[tuple[float, float], ...]


class HistoryStore:
    """The SQLite file. Every method runs on one thread; raises sqlite3.Error or OSError."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._db: sqlite3.Connection | None = None
        self._ids: dict[tuple[str, str, str], int] = {}

    def open(self) -> str:
        """Open or create the file. A damaged one is set aside; the returned sentence says so, "" if all is well."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._db = open_store(self._path, _SCHEMA)
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError):
                raise
            aside = self._set_aside()
            self._db = open_store(self._path, _SCHEMA)
            return f"the history file was damaged ({error}); it was set aside as {aside.name}, recording goes on in a new one"
        return ""

    def write(self, points: list[RecordPoint]) -> None:
        """Store a batch in one transaction. The same series and millisecond again replaces the value."""
        db = self._opened()
        try:
            with db:
                db.executemany("INSERT OR REPLACE INTO points VALUES(?, ?, ?)", [row for point in points for row in self._rows(db, point)])
        except sqlite3.Error:
            self._ids.clear()  # ids given in a transaction that was rolled back
            raise

    def prune(self, before_wall_s: float) -> None:
        """Delete everything older, and series of which nothing is left."""
        db = self._opened()
        with db:
            for (number,) in db.execute("SELECT id FROM series").fetchall():
                db.execute("DELETE FROM points WHERE series = ? AND wall_ms < ?", (number, _ms(before_wall_s)))
            db.execute("DELETE FROM series WHERE NOT EXISTS (SELECT 1 FROM points WHERE points.series = series.id)")
        self._ids.clear()

    def todo(self, level: Level, now_wall_s: float) -> list[Slice]:
        """The next day's work of a level, [] if nothing is due."""
        return todo(self._opened(), level, _ms(now_wall_s))

    def thin(self, part: Slice) -> int:
        """Do one step of it; how many points became fewer."""
        return thin(self._opened(), part)

    def done(self, level: Level, until_ms: int) -> None:
        """A day's work of a level is done."""
        done(self._opened(), level, until_ms)

    def query(self, measurement: str, tags: Mapping[str, str], since_wall_s: float, until_wall_s: float, max_points: int) -> list[Series]:
        """Series of a measurement with all the given tags. All fields of one set of tags share their times.

        Sets of tags share max_points. More are thinned to means over equal stretches of time (counters: to their last
        value there); fewer are given as they are.
        """
        db = self._opened()
        groups = self._groups(db, measurement, tags)
        budget = max(1, max_points // max(1, len(groups)))
        span_ms = _ms(since_wall_s), _ms(until_wall_s)
        return [series for text, fields in groups.items() for series in self._group(db, json.loads(text), fields, span_ms, budget)]

    @staticmethod
    def _groups(db: sqlite3.Connection, measurement: str, tags: Mapping[str, str]) -> dict[str, list[tuple[int, str]]]:
        """Tags as JSON -> (series, field) of everything that carries the wanted tags."""
        groups: dict[str, list[tuple[int, str]]] = {}
        for number, text, field in db.execute("SELECT id, tags, field FROM series WHERE measurement = ? ORDER BY id", (measurement,)):
            if tags.items() <= json.loads(text).items():
                groups.setdefault(text, []).append((number, field))
        return groups

    @staticmethod
    def _group(
        db: sqlite3.Connection, tags: dict[str, str], fields: list[tuple[int, str]], span_ms: tuple[int, int], budget: int
    ) -> Iterator[Series]:
        since_ms, until_ms = span_ms
        counts = [db.execute(_COUNT, (number, since_ms, until_ms)).fetchone()[0] for number, _ in fields]
        bucket = 1 if max(counts) <= budget else math.ceil((until_ms - since_ms + 1) / budget)
        for number, field in fields:
            where = {"bucket": bucket, "series": number, "since": since_ms, "until": until_ms}
            rows = db.execute(_SELECT_LAST if counts_up(field) else _SELECT, where)
            points = tuple((row[0] / 1000, row[1]) for row in rows)
            if points:
                yield Series(tags, field, points)

    def close(self) -> None:
        """Close the file."""
        if self._db is not None:
            self._db.close()
            self._db = None

    def _opened(self) -> sqlite3.Connection:
        if self._db is None:
            self.open()
        if self._db is None:
            raise sqlite3.OperationalError("the history file is not open")
        return self._db

    def _set_aside(self) -> Path:
        number = 1
        while (aside := self._path.with_name(f"{self._path.name}.damaged-{number}")).exists():
            number += 1
        self._path.rename(aside)
        for tail in ("-wal", "-shm"):
            self._path.with_name(self._path.name + tail).unlink(missing_ok=True)
        return aside

    def _rows(self, db: sqlite3.Connection, point: RecordPoint) -> list[tuple[int, int, float]]:
        tags = json.dumps(point.tags, sort_keys=True)
        finite = [(name, value) for name, value in point.fields.items() if math.isfinite(value)]
        return [(self._series(db, point.measurement, tags, name), _ms(point.wall_s), float(value)) for name, value in finite]

    def _series(self, db: sqlite3.Connection, measurement: str, tags: str, field: str) -> int:
        key = (measurement, tags, field)
        if key not in self._ids:
            db.execute("INSERT OR IGNORE INTO series(measurement, tags, field) VALUES(?, ?, ?)", key)
            found = db.execute("SELECT id FROM series WHERE measurement = ? AND tags = ? AND field = ?", key).fetchone()
            self._ids[key] = int(found[0])
        return self._ids[key]


class HistoryShell:
    """Takes points, answers questions about them."""

    orders: tuple[type[Order], ...] = (RecordPoint,)

    def __init__(self, config: Config, clock: Clock, submit: Submit, flush_s: float = FLUSH_S) -> None:
        """flush_s: how long points are gathered before they are written [s]."""
        self._clock = clock
        self._submit = submit
        self._flush_s = flush_s
        self._retention_days = config.history.retention_days if isinstance(config.history, EmbeddedHistory) else PAGE_RETENTION_DAYS
        self._levels = levels_of(config)
        self._store = HistoryStore(config.data_dir / "history.sqlite3")
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="history")
        self._waiting: deque[RecordPoint] = deque(maxlen=MAX_WAITING)
        self._trouble: dict[str, str | None] = {"file": None}
        self._told: str | None = None
        self._stopped = False
        self._forwarder = self._build_forwarder(config)
        self._tasks: list[asyncio.Task[None]] = []

    def carry(self, order: Order) -> None:
        """Keep a point for the next batch; the oldest go when the disk does not take them."""
        if isinstance(order, RecordPoint) and 0 <= order.wall_s <= LATEST_WALL_S:
            self._waiting.append(order)
            if self._forwarder is not None:
                self._forwarder.put(order)

    async def start(self) -> None:
        """Open the file and begin writing. A disk or server that refuses is reported and no reason to fail."""
        try:
            damage = await self._run(self._store.open)
        except (sqlite3.Error, OSError) as error:
            damage = f"history cannot be recorded: {error}; control is not affected"
        if damage:
            self._tell("file", damage)
        if self._forwarder is not None:
            await self._forwarder.start()
        self._tasks = [keep(self._write_on, "history writer"), keep(self._thin_on, "history thinning")]

    async def stop(self) -> None:
        """Write what is left and close."""
        await end(self._tasks)
        self._tasks = []
        if self._stopped:
            return
        self._stopped = True
        await self._flush()
        if self._forwarder is not None:
            await self._forwarder.stop()
        await self._run(self._store.close)
        self._thread.shutdown(wait=False)

    @property
    def spool(self) -> Counts | None:
        """What became of the points for the server; None where history goes to no server."""
        return self._forwarder.counts if self._forwarder is not None else None

    async def query(self, measurement: str, tags: Mapping[str, str], since_wall_s: float, until_wall_s: float, max_points: int = 500) -> list[Series]:
        """Points for the page, see ``HistoryStore.query``. Raises sqlite3.Error, OSError when the file cannot be read."""
        return await self._run(lambda: self._store.query(measurement, tags, since_wall_s, until_wall_s, max_points))

    async def _write_on(self) -> None:
        count = 0
        while True:
            await asyncio.sleep(self._flush_s)
            await self._flush()
            if count % PRUNE_EVERY == 0:
                await self._prune()
            count += 1

    async def _flush(self) -> None:
        batch = [self._waiting.popleft() for _ in range(len(self._waiting))]
        if not batch:
            return
        try:
            await self._run(lambda: self._store.write(batch))
        except (sqlite3.Error, OSError) as error:
            room = MAX_WAITING - len(self._waiting)
            self._waiting.extendleft(reversed(batch[max(0, len(batch) - room) :]))
            self._tell("file", f"history cannot be written: {error}; control is not affected, free some disk space")
            return
        self._tell("file", "")

    async def _prune(self) -> None:
        oldest_wall_s = self._clock.stamp().wall_s - self._retention_days * 86_400
        try:
            await self._run(lambda: self._store.prune(oldest_wall_s))
        except (sqlite3.Error, OSError) as error:
            self._tell("file", f"old history cannot be deleted: {error}")

    async def _thin_on(self) -> None:
        """Make old points coarser, one series and day at a time; questions and new points get in between."""
        while True:
            try:
                for level in self._levels:
                    await self._thin_level(level)
            except (sqlite3.Error, OSError) as error:
                self._tell("file", f"old history cannot be made coarser: {error}")
            await asyncio.sleep(THIN_EVERY_S)

    async def _thin_level(self, level: Level) -> None:
        while day := await self._run(lambda: self._store.todo(level, self._wall_s())):
            for part in day:
                await self._run(partial(self._store.thin, part))
            await self._run(partial(self._store.done, level, day[0].until_ms))

    async def _run(self, job: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, job)

    def _tell(self, part: str, trouble: str) -> None:
        """Report changes of the whole: healthy when every part is known to be."""
        self._trouble[part] = trouble
        worst = next((text for text in self._trouble.values() if text), "")
        unknown = not worst and None in self._trouble.values()
        if unknown or worst == self._told:
            return
        self._told = worst
        self._submit(SourceChanged(self._clock.stamp(), SOURCE, not worst, worst or "history is being recorded"))

    def _build_forwarder(self, config: Config) -> InfluxForwarder | None:
        if not isinstance(config.history, InfluxHistory):
            return None
        from controller.io.influx import InfluxForwarder  # its library takes long to import and most sites do not need it

        self._trouble["server"] = None
        spool = config.data_dir / "spool.sqlite3"
        return InfluxForwarder(config.history, spool, lambda trouble: self._tell("server", trouble), self._flush_s, self._wall_s)

    def _wall_s(self) -> float:
        return self._clock.stamp().wall_s


def levels_of(config: Config) -> tuple[Level, ...]:
    """How old points become coarser; a week's worth for the page (InfluxDB has the rest) stays as it is."""
    history = config.history
    if not isinstance(history, EmbeddedHistory):
        return ()
    return Level(FINE_STEP_S, history.fine_days), Level(COARSE_STEP_S, max(history.fine_days, history.coarse_days))


def _ms(wall_s: float) -> int:
    return round(wall_s * 1000)
