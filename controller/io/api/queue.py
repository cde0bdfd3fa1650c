"""What waits for the CSMS and what was given up, read from the journal's file beside the running controller.

Only reads; works as well when no controller runs. Everything comes in pages, for 72 h without a CSMS are many rows.
Blocking: call from a thread.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from controller.io.journal.rows import FILE_NAME, JournalError, parked_rows

Row = dict[str, Any]

_STATIONS = """
SELECT station_id, SUM(parked = 0), COUNT(DISTINCT CASE WHEN parked = 0 AND transaction_id <> '' THEN transaction_id END),
       MIN(CASE WHEN parked = 0 THEN stored_wall_s END), MAX(CASE WHEN parked = 0 THEN attempts END), SUM(parked)
FROM outbox WHERE station_id > ? GROUP BY station_id ORDER BY station_id LIMIT ?
"""
_TRANSACTIONS = """
SELECT MIN(number), transaction_id, COUNT(*), MIN(stored_wall_s), MAX(stored_wall_s), MAX(attempts)
FROM outbox WHERE parked = 0 AND station_id = ? GROUP BY transaction_id HAVING MIN(number) > ? ORDER BY MIN(number) LIMIT ?
"""
_PARKED = "SELECT number FROM outbox WHERE parked = 1 AND number > ? AND (? = '' OR station_id = ?) ORDER BY number LIMIT ?"


@dataclass(frozen=True, slots=True)
class Page:
    """Some rows, and where the next page begins (``after``); next None = these were the last."""

    rows: list[Row]
    next: str | int | None


class QueueReader:
    """Reads the journal in ``folder``. Every method raises JournalError when the file is there and cannot be read."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @property
    def exists(self) -> bool:
        """Whether there is a journal at all."""
        return (self._folder / FILE_NAME).is_file()

    def stations(self, after: str = "", limit: int = 100) -> Page:
        """Per station with something in its queue: queued, transactions, oldest_wall_s, attempts of the worst, parked."""
        names = ("station_id", "queued", "transactions", "oldest_wall_s", "attempts", "parked")
        with self._open() as db:
            rows = [dict(zip(names, entry, strict=True)) for entry in db.execute(_STATIONS, (after, limit + 1))] if db else []
        for row in rows:
            row["attempts"] = row["attempts"] or 0
        return _page(rows, limit, "station_id")

    def transactions(self, station_id: str, after: int = 0, limit: int = 100) -> Page:
        """The queue of one station by transaction, the one that came first at the head; "" = messages of no transaction."""
        names = ("first_number", "transaction_id", "queued", "oldest_wall_s", "newest_wall_s", "attempts")
        with self._open() as db:
            found = db.execute(_TRANSACTIONS, (station_id, after, limit + 1)) if db else ()
            rows = [dict(zip(names, entry, strict=True)) for entry in found]
        return _page(rows, limit, "first_number")

    def parked(self, station_id: str = "", after: int = 0, limit: int = 100) -> Page:
        """Messages that were given up, oldest first, with their text. station_id "": of all stations."""
        with self._open() as db:
            found = db.execute(_PARKED, (after, station_id, station_id, limit + 1)) if db else ()
            numbers = [int(entry[0]) for entry in found]
        rows = list(parked_rows(self._folder, station_id, after, limit)) if numbers else []
        # By the numbers on disk and not by the rows: damaged ones are left out of these, and end no page.
        return Page(rows, numbers[limit - 1] if len(numbers) > limit else None)

    def all_parked(self, station_id: str = "", page: int = 200) -> Iterator[Row]:
        """All of them, read page by page."""
        after: Any = 0
        while after is not None:
            found = self.parked(station_id, after, page)
            yield from found.rows
            after = found.next

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection | None]:
        path = self._folder / FILE_NAME
        if not path.is_file():
            yield None
            return
        try:
            with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=2.0)) as db:
                yield db
        except sqlite3.Error as error:
            raise JournalError("failed", f"the journal {path} cannot be read ({error})") from error


def _page(rows: list[Row], limit: int, key: str) -> Page:
    """rows: one more than the page may hold, if there are more."""
    return Page(rows, None) if len(rows) <= limit else Page(rows[:limit], rows[limit - 1][key])
