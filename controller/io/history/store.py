"""The SQLite file of the history: points by series and time, in a form that spares the disk it lies on.

A point belongs beside the others of its series, or a question would read the whole file. Put there at once, each batch would touch as many
pages as there are series: a depot of 60 chargers wrote 15 GB a day for 51 MB of points (measured 2026-11). So a batch is appended to
``recent`` (a page or two, safe from a kill of this program), a copy in memory answers questions, and every half hour ``settle`` moves all of
it to its place: 0.9 GB a day. A file of an earlier version gets the new table when it is opened.

Whatever takes long is cut into steps, so that questions and new points get in between.
"""

from __future__ import annotations

import json
import math
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from controller.io.history.sqlite_file import give_back, open_store, set_aside
from controller.io.history.thinning import EVENTS, Level, Slice, counts_up, done, thin, todo
from controller.io.history.thinning import SCHEMA as THINNING_SCHEMA
from controller.orders import RecordPoint

SETTLE_SERIES: Final = 20
PRUNE_EVENTS: Final = 200
DAY_MS: Final = 86_400_000

_SCHEMA = """
CREATE TABLE IF NOT EXISTS series(id INTEGER PRIMARY KEY, measurement TEXT NOT NULL, tags TEXT NOT NULL, field TEXT NOT NULL,
                                  UNIQUE(measurement, tags, field));
CREATE TABLE IF NOT EXISTS points(series INTEGER NOT NULL, wall_ms INTEGER NOT NULL, value REAL NOT NULL,
                                  PRIMARY KEY(series, wall_ms)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS recent(number INTEGER PRIMARY KEY, series INTEGER NOT NULL, wall_ms INTEGER NOT NULL, value REAL NOT NULL);
""" + THINNING_SCHEMA
_FRESH = """
ATTACH ':memory:' AS fresh;
CREATE TABLE fresh.points(series INTEGER NOT NULL, wall_ms INTEGER NOT NULL, value REAL NOT NULL, PRIMARY KEY(series, wall_ms)) WITHOUT ROWID;
INSERT OR REPLACE INTO fresh.points SELECT series, wall_ms, value FROM recent ORDER BY number;
"""
_KEEP = "INSERT INTO recent(series, wall_ms, value) VALUES(?, ?, ?)"
_KEEP_FRESH = "INSERT OR REPLACE INTO fresh.points VALUES(?, ?, ?)"
_SETTLE = "INSERT OR REPLACE INTO main.points SELECT series, wall_ms, value FROM fresh.points WHERE series BETWEEN ? AND ?"
_SPAN = "series = :series AND wall_ms >= :since AND wall_ms <= :until"
_BOTH = f"(SELECT wall_ms, value FROM main.points WHERE {_SPAN} UNION ALL SELECT wall_ms, value FROM fresh.points WHERE {_SPAN})"
_COUNT = f"SELECT COUNT(*) FROM {_BOTH}"
_SELECT = f"SELECT :since + (wall_ms - :since) / :bucket * :bucket AS at, AVG(value) FROM {_BOTH} GROUP BY at ORDER BY at"
_SELECT_LAST = f"SELECT :since + (wall_ms - :since) / :bucket * :bucket AS at, value, MAX(wall_ms) FROM {_BOTH} GROUP BY at ORDER BY at"
_OLD = """
SELECT id, measurement, (SELECT MIN(wall_ms) FROM main.points WHERE series = id) AS first FROM series WHERE first < ?
"""
_EMPTY = """
DELETE FROM series WHERE NOT EXISTS (SELECT 1 FROM main.points WHERE series = id) AND NOT EXISTS (SELECT 1 FROM fresh.points WHERE series = id)
"""


@dataclass(frozen=True, slots=True)
class Series:
    """One field of one measurement over time. points: (wall_s, value), ascending; the unit is in the field's name."""

    tags: dict[str, str]
    field: str
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class Old:
    """One step of deleting: points of these series before a moment."""

    series: tuple[int, ...]
    before_ms: int


class HistoryStore:
    """The SQLite file. Every method runs on one thread; raises sqlite3.Error or OSError."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._db: sqlite3.Connection | None = None
        self._ids: dict[tuple[str, str, str], int] = {}
        self._settling = 0

    def open(self) -> str:
        """Open or create the file. A damaged one is set aside; the returned sentence says so, "" if all is well."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._db = self._connected()
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError):
                raise
            aside = set_aside(self._path)
            self._db = self._connected()
            return f"the history file was damaged ({error}); it was set aside as {aside.name}, recording goes on in a new one"
        return ""

    def _connected(self) -> sqlite3.Connection:
        db = open_store(self._path, _SCHEMA)
        try:
            db.executescript(_FRESH)
        except sqlite3.Error:
            db.close()
            raise
        return db

    def close(self) -> None:
        """Close the file."""
        if self._db is not None:
            self._db.close()
            self._db = None

    # -- new points ----------------------------------------------------------------------------------------

    def write(self, points: Sequence[RecordPoint]) -> None:
        """Store a batch in one transaction. The same series and millisecond again replaces the value."""
        db = self._opened()
        try:
            with db:
                rows = [row for point in points for row in self._rows(db, point)]
                db.executemany(_KEEP, rows)
                db.executemany(_KEEP_FRESH, rows)
        except sqlite3.Error:
            self._ids.clear()  # ids given in a transaction that was rolled back
            raise

    def unsettled(self) -> list[tuple[int, int]]:
        """The steps that move what is recent to its place: first and last series of each. Then comes ``settled``."""
        db = self._opened()
        self._settling = db.execute("SELECT COALESCE(MAX(number), 0) FROM recent").fetchone()[0]
        numbers = [number for (number,) in db.execute("SELECT DISTINCT series FROM fresh.points ORDER BY series")]
        return [(some[0], some[-1]) for some in _parts(numbers, SETTLE_SERIES)]

    def settle(self, part: tuple[int, int]) -> None:
        """Do one step. A kill in between costs nothing: what is still in ``recent`` is settled again."""
        db = self._opened()
        with db:
            db.execute(_SETTLE, part)
            db.execute("DELETE FROM fresh.points WHERE series BETWEEN ? AND ?", part)

    def settled(self) -> None:
        """All steps are done."""
        db = self._opened()
        with db:
            db.execute("DELETE FROM recent WHERE number <= ?", (self._settling,))

    # -- old points ------------------------------------------------------------------------------------------

    def old(self, before_wall_s: float) -> list[Old]:
        """The steps that delete the oldest day of what is older; [] if nothing is."""
        before_ms = _ms(before_wall_s)
        found = self._opened().execute(_OLD, (before_ms,)).fetchall()
        if not found:
            return []
        end_ms = min(before_ms, (min(first for _, _, first in found) // DAY_MS + 1) * DAY_MS)
        mine = [(number, measurement in EVENTS) for number, measurement, first in found if first < end_ms]
        events = [number for number, event in mine if event]
        return [Old((number,), end_ms) for number, event in mine if not event] + [Old(some, end_ms) for some in _parts(events, PRUNE_EVENTS)]

    def prune(self, part: Old) -> None:
        """Do one step."""
        db = self._opened()
        with db:
            db.executemany("DELETE FROM points WHERE series = ? AND wall_ms < ?", [(number, part.before_ms) for number in part.series])

    def pruned(self) -> None:
        """Forget series of which nothing is left."""
        db = self._opened()
        with db:
            db.execute(_EMPTY)
        self._ids.clear()

    def give_back(self) -> bool:
        """Do one step of giving the space of deleted points back to the disk; False = there is nothing to do."""
        return give_back(self._opened())

    def todo(self, level: Level, now_wall_s: float) -> list[Slice]:
        """The next day's work of a level, [] if nothing is due. What is recent is to be settled before."""
        return todo(self._opened(), level, _ms(now_wall_s))

    def thin(self, part: Slice) -> int:
        """Do one step of it; how many points became fewer."""
        return thin(self._opened(), part)

    def done(self, level: Level, until_ms: int) -> None:
        """A day's work of a level is done."""
        done(self._opened(), level, until_ms)

    # -- questions ---------------------------------------------------------------------------------------------

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
        span = {"since": since_ms, "until": until_ms}
        most = max(db.execute(_COUNT, {**span, "series": number}).fetchone()[0] for number, _ in fields)
        bucket = 1 if most <= budget else math.ceil((until_ms - since_ms + 1) / budget)
        for number, field in fields:
            rows = db.execute(_SELECT_LAST if counts_up(field) else _SELECT, {**span, "bucket": bucket, "series": number})
            points = tuple((row[0] / 1000, row[1]) for row in rows)
            if points:
                yield Series(tags, field, points)

    # -- the file ----------------------------------------------------------------------------------------------

    def _opened(self) -> sqlite3.Connection:
        if self._db is None:
            self.open()
        if self._db is None:
            raise sqlite3.OperationalError("the history file is not open")
        return self._db

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


def _parts(numbers: Sequence[int], size: int) -> Iterator[tuple[int, ...]]:
    return (tuple(numbers[begin : begin + size]) for begin in range(0, len(numbers), size))


def _ms(wall_s: float) -> int:
    return round(wall_s * 1000)
