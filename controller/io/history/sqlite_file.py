"""Opens the SQLite files whose loss costs pictures and not money: history and its spool; and sets damaged ones aside.

The journal opens its own: there every commit is an fsync, here a crash may take the
last moments along. Space of deleted rows is given back in steps (``give_back``): a file that could not do so is
rewritten once, while it is small; a large one keeps its size and fills what is free in it.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Final

INCREMENTAL: Final = 2
REWRITTEN_MOST_BYTES: Final = 32 * 2**20
"""Rewriting a file of this size took 0.3 s on a busy disk (2026-11); a start waits for it, once."""
WAL_MOST_BYTES: Final = 16 * 2**20
FREE_PART, FREE_LEAST_PAGES = 0.1, 2048
"""So much of a file may be free: what is deleted today is written again tomorrow, and giving it back would be work for nothing."""
STEP_PAGES: Final = 256
"""One step of giving back, 1 MB: 3 ms, 15 ms at most (2026-11, busy disk)."""


def open_store(path: Path, schema: str) -> sqlite3.Connection:
    """A connection in WAL mode with ``schema`` applied. Raises sqlite3.Error; nothing stays open then."""
    db = sqlite3.connect(path)
    try:
        db.execute("PRAGMA auto_vacuum=INCREMENTAL")  # counts for a new file, and for one that is rewritten
        db.execute("PRAGMA journal_mode=WAL")
        db.execute(f"PRAGMA journal_size_limit={WAL_MOST_BYTES}")
        db.execute("PRAGMA synchronous=NORMAL")
        db.executescript(schema)
        _rewrite_small(db, path)
    except sqlite3.Error:
        db.close()
        raise
    return db


def _rewrite_small(db: sqlite3.Connection, path: Path) -> None:
    """A file of an earlier version learns to give space back, if that takes no time. A full disk leaves it as it was."""
    if _number(db, "auto_vacuum") == INCREMENTAL or path.stat().st_size > REWRITTEN_MOST_BYTES:
        return
    try:
        db.execute("VACUUM")
    except sqlite3.OperationalError:
        return


def give_back(db: sqlite3.Connection) -> bool:
    """Do one step, if more is free than may be; True = there was something to do. Raises sqlite3.Error."""
    free, pages = _number(db, "freelist_count"), _number(db, "page_count")
    over = free - max(FREE_LEAST_PAGES, int(FREE_PART * pages))
    if over <= 0 or _number(db, "auto_vacuum") != INCREMENTAL:
        return False
    db.executescript(f"PRAGMA main.incremental_vacuum({min(over, STEP_PAGES)})")  # execute() would end behind the first page
    return True


def _number(db: sqlite3.Connection, name: str) -> int:
    return int(db.execute(f"PRAGMA main.{name}").fetchone()[0])


def set_aside(path: Path) -> Path:
    """Give a damaged file another name, so that a new one can be begun; what SQLite kept beside it goes. Raises OSError."""
    number = 1
    while (aside := path.with_name(f"{path.name}.damaged-{number}")).exists():
        number += 1
    path.rename(aside)
    for tail in ("-wal", "-shm"):
        path.with_name(path.name + tail).unlink(missing_ok=True)
    return aside
