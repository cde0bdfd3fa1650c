"""Opens the SQLite files whose loss costs pictures and not money: history and its spool; and sets damaged ones aside.

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


def set_aside(path: Path) -> Path:
    """Give a damaged file another name, so that a new one can be begun; what SQLite kept beside it goes. Raises OSError."""
    number = 1
    while (aside := path.with_name(f"{path.name}.damaged-{number}")).exists():
        number += 1
    path.rename(aside)
    for tail in ("-wal", "-shm"):
        path.with_name(path.name + tail).unlink(missing_ok=True)
    return aside
