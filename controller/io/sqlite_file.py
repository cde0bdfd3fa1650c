"""Opens the SQLite files whose loss costs pictures and not money: history and its spool.

The journal opens its own: there every commit is an fsync, here a crash may take the
last moments along.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path


def open_store(path: Path, schema: str) -> sqlite3.Connection:
    """A connection in WAL mode with ``schema`` applied. Raises sqlite3.Error; nothing stays open then."""
    db = sqlite3.connect(path)
    try:
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("PRAGMA synchronous=NORMAL")
        db.executescript(schema)
    except sqlite3.Error:
        db.close()
        raise
    return db
