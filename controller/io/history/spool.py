"""The queue of history points on disk: bounded, oldest out first, whole again after a crash.

One row per line of line protocol. SQLite in WAL mode: what was added survives a kill of this program,
a power cut may take the last moments along. A line leaves it only when the server has it, when the
server will never take it (``quarantine``), or when the bound is reached (counted, fault F84).
"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import NamedTuple

from controller.io.history.sqlite_file import open_store, set_aside

BATCH_LINES = 1000
ROW_BYTES = 16  # what SQLite keeps per row beside the text, rounded up
MAX_QUARANTINE = 1000

_SCHEMA = """
CREATE TABLE IF NOT EXISTS spool(number INTEGER PRIMARY KEY AUTOINCREMENT, line TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS quarantine(number INTEGER PRIMARY KEY AUTOINCREMENT, line TEXT NOT NULL, reason TEXT NOT NULL);
"""


class Row(NamedTuple):
    """One line waiting in the spool."""

    number: int
    line: str


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
            set_aside(self._path)
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
            over = self._prefix(self.oldest(BATCH_LINES), self.bytes - self._max_bytes)
            self.dropped += self.remove(over)

    def oldest(self, count: int) -> list[Row]:
        """The next lines to send."""
        rows = self._opened().execute("SELECT number, line FROM spool ORDER BY number LIMIT ?", (count,))
        return [Row(number, line) for number, line in rows]

    def newest(self) -> Row | None:
        """The line that came last."""
        row = self._opened().execute("SELECT number, line FROM spool ORDER BY number DESC LIMIT 1").fetchone()
        return None if row is None else Row(*row)

    def remove(self, rows: list[Row]) -> int:
        """Forget lines that lie next to each other, as ``oldest`` gives them; how many of them were still there."""
        if not rows:
            return 0
        db, span = self._opened(), (rows[0].number, rows[-1].number)
        with db:
            gone = db.execute("DELETE FROM spool WHERE number BETWEEN ? AND ? RETURNING LENGTH(CAST(line AS BLOB))", span).fetchall()
        self.rows -= len(gone)
        self.bytes -= sum(size + ROW_BYTES for (size,) in gone)
        return len(gone)

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


def _cost(line: str) -> int:
    return len(line.encode()) + ROW_BYTES
