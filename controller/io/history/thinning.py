"""Makes old history coarser: five minutes, then a quarter of an hour, in small steps between which questions are answered.

Means for what flows, the last value for what counts up (registers, ``*_wh``): a mean of a counter is no
counter. Points move to the beginning of their stretch, in the same table, so a file of an earlier version
needs no migration but the note how far each level has come. Doing a stretch twice changes nothing. Events
(a session's summary) are kept as they are.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from typing import Final

SLICE_MS: Final = 86_400_000
"""One step thins one series over one day: some ten thousand points, a few milliseconds."""
EVENTS: Final = frozenset({"session", "compliance"})
SCHEMA: Final = "CREATE TABLE IF NOT EXISTS thinned(level INTEGER PRIMARY KEY, until_ms INTEGER NOT NULL);"

_MEAN = """
SELECT wall_ms / :step * :step AS at, AVG(value) FROM points
WHERE series = :series AND wall_ms >= :since AND wall_ms < :until GROUP BY at
"""
_LAST = """
SELECT wall_ms / :step * :step AS at, value, MAX(wall_ms) FROM points
WHERE series = :series AND wall_ms >= :since AND wall_ms < :until GROUP BY at
"""


@dataclass(frozen=True, slots=True)
class Level:
    """Points older than ``after_days`` are kept one per ``step_s``."""

    step_s: int
    after_days: float


@dataclass(frozen=True, slots=True)
class Slice:
    """One step of work: a series over one day."""

    level: Level
    series: int
    counts_up: bool
    since_ms: int
    until_ms: int


def counts_up(field: str) -> bool:
    """Whether a field is a counter: its last value of a stretch is kept."""
    return field.endswith(("_wh", "_kwh", "_total", "_count"))


def todo(db: sqlite3.Connection, level: Level, now_ms: int) -> list[Slice]:
    """The next whole day that holds points old enough for a level, as slices; [] if there is none."""
    end_ms = (now_ms - round(level.after_days * 86_400_000)) // SLICE_MS * SLICE_MS
    row = db.execute("SELECT until_ms FROM thinned WHERE level = ?", (level.step_s,)).fetchone()
    since_ms = int(row[0]) if row is not None and row[0] <= end_ms else 0  # further than now: the clock was wrong, or the site file changed
    series = db.execute("SELECT id, measurement, field FROM series ORDER BY id").fetchall()
    flowing = [(number, field) for number, measurement, field in series if measurement not in EVENTS]
    firsts = [first for number, _ in flowing if (first := _first(db, number, since_ms, end_ms)) is not None]
    if not firsts:
        return []
    begin_ms = min(firsts) // SLICE_MS * SLICE_MS
    return [Slice(level, number, counts_up(field), begin_ms, begin_ms + SLICE_MS) for number, field in flowing]


def thin(db: sqlite3.Connection, part: Slice) -> int:
    """Do one slice in one transaction. Returns how many points became fewer."""
    step_ms = part.level.step_s * 1000
    where = {"step": step_ms, "series": part.series, "since": part.since_ms, "until": part.until_ms}
    rows = db.execute(_LAST if part.counts_up else _MEAN, where).fetchall()
    if not rows:
        return 0
    with db:
        before = db.execute("DELETE FROM points WHERE series = :series AND wall_ms >= :since AND wall_ms < :until", where).rowcount
        db.executemany("INSERT INTO points VALUES(?, ?, ?)", [(part.series, row[0], row[1]) for row in rows])
    return before - len(rows)


def done(db: sqlite3.Connection, level: Level, until_ms: int) -> None:
    """Note how far a level has come."""
    with db:
        db.execute("INSERT OR REPLACE INTO thinned VALUES(?, ?)", (level.step_s, until_ms))


def _first(db: sqlite3.Connection, series: int, since_ms: int, until_ms: int) -> int | None:
    """Its first point in a span; a clock that once stood at 1970 costs no walk through fifty empty years."""
    row = db.execute("SELECT MIN(wall_ms) FROM points WHERE series = ? AND wall_ms >= ? AND wall_ms < ?", (series, since_ms, until_ms)).fetchone()
    return None if row[0] is None else int(row[0])
