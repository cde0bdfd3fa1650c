"""The rows of the journal's file: how they are written, and how one tells whether they are sound.

Every row bears a CRC, so that a flipped bit is found even where SQLite's own structure is still
sound. Reading for a person, or for the text of a row whose turn has come, happens beside the
writer, on a connection of its own (WAL): it delays nobody.
"""

from __future__ import annotations

import json
import sqlite3
import sys
import zlib
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, Final

from controller.facts import OutboxRow

FILE_NAME: Final = "journal.sqlite3"
SCHEMA_VERSION: Final = 2

_TABLES_1: Final = """
CREATE TABLE outbox (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    station_id TEXT NOT NULL, transaction_id TEXT NOT NULL, action TEXT NOT NULL, text TEXT NOT NULL,
    stored_wall_s REAL NOT NULL, attempts INTEGER NOT NULL, parked INTEGER NOT NULL, crc INTEGER NOT NULL
);
CREATE TABLE memory (space TEXT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL, crc INTEGER NOT NULL, PRIMARY KEY (space, key)) WITHOUT ROWID;
CREATE TABLE damaged (number INTEGER, what TEXT NOT NULL, content TEXT NOT NULL);
"""
MIGRATIONS: Final = (
    _TABLES_1,
    # Until then only OCPP 2.0.1 was spoken.
    """
ALTER TABLE outbox ADD COLUMN version TEXT NOT NULL DEFAULT 'ocpp2.0.1';
ALTER TABLE outbox ADD COLUMN key TEXT NOT NULL DEFAULT '';
ALTER TABLE outbox ADD COLUMN values_of TEXT NOT NULL DEFAULT '';
""",
)
"""What brings a file from each schema number to the next one."""

COLUMNS: Final = "number, station_id, transaction_id, action, text, stored_wall_s, attempts, parked, crc, version, key, values_of"
_COLUMNS_1: Final = "number, station_id, transaction_id, action, text, stored_wall_s, attempts, parked, crc, 'ocpp2.0.1', '', ''"
READ_AT_ONCE: Final = 500  # of the 999 values an SQLite statement may have

UNREADABLE: Final = (sqlite3.Error, UnicodeDecodeError)
"""What reading a damaged file raises; sqlite3 quotes damaged names in its messages, undecoded."""


class JournalError(Exception):
    """The journal cannot write or read. reason: one of full, failed, corrupt."""

    def __init__(self, reason: str, text: str) -> None:
        super().__init__(text)
        self.reason = reason


def values(row: OutboxRow) -> tuple[Any, ...]:
    """A row as it is inserted, in the order of COLUMNS without its number."""
    words = (row.station_id, row.transaction_id, row.action, row.text, row.stored_wall_s)
    later = (row.version, row.key, row.values_of)
    return (*words, row.attempts, row.parked, crc_of(*_words(*words, *later)), *later)


def sound_rows(
    db: sqlite3.Connection, where: str = "", filling: tuple[Any, ...] = (-1,), columns: str = COLUMNS, texts_each: int | None = None
) -> Iterator[OutboxRow | tuple[Any, ...]]:
    """Rows in the order of their numbers, damaged ones as they were read.

    filling: for the ``?`` of ``where``, then the most rows, -1 = all. texts_each: how many of each
    station come with their text, None = all.
    """
    with_text: dict[str, int] = {}
    for entry in db.execute(f"SELECT {columns} FROM outbox {where} ORDER BY number LIMIT ?", filling):
        if not _is_sound(entry):
            yield entry
            continue
        wanted = texts_each is None
        if texts_each is not None and not entry[7]:
            with_text[entry[1]] = with_text.get(entry[1], 0) + 1
            wanted = with_text[entry[1]] <= texts_each
        yield _row(entry, wanted)


def _is_sound(entry: tuple[Any, ...]) -> bool:
    """Whether types and CRC are right. attempts and parked change later and are not in the CRC."""
    _, station_id, transaction_id, action, text, stored_wall_s, _, _, crc, version, key, values_of = entry
    types = type(station_id), type(transaction_id), type(action), type(text), type(version), type(key), type(values_of), type(stored_wall_s)
    return types == _TYPES and crc_of(*_words(station_id, transaction_id, action, text, stored_wall_s, version, key, values_of)) == crc


_TYPES: Final = (str, str, str, str, str, str, str, float)


def _row(entry: tuple[Any, ...], with_text: bool) -> OutboxRow:
    number, station_id, transaction_id, action, text, stored_wall_s, attempts, parked, _, version, key, values_of = entry
    intern = sys.intern  # many rows share these words: one object each instead of one per row
    return OutboxRow(
        number,
        intern(station_id),
        intern(transaction_id),
        intern(action),
        text if with_text else "",
        stored_wall_s,
        attempts if isinstance(attempts, int) else 0,
        bool(parked),
        intern(version),
        key,
        intern(values_of),
    )


def _words(station_id: str, transaction_id: str, action: str, text: str, stored_wall_s: float, *later: str) -> tuple[str, ...]:
    """What the CRC of a row is over; rows of schema 1 bear one without the later columns."""
    words = (station_id, transaction_id, action, text, repr(stored_wall_s))
    return words if later == _LATER_1 else (*words, *later)


_LATER_1: Final = ("ocpp2.0.1", "", "")


def crc_of(*words: str) -> int:
    """CRC of some texts."""
    return zlib.crc32("\0".join(words).encode("utf-8", "surrogatepass"))


def sound_memories(db: sqlite3.Connection) -> tuple[dict[tuple[str, str], Any], list[tuple[Any, ...]]]:
    """Memories by (space, key), and damaged ones as they were read."""
    sound: dict[tuple[str, str], Any] = {}
    bad: list[tuple[Any, ...]] = []
    for entry in db.execute("SELECT space, key, value, crc FROM memory"):
        space, key, value, crc = entry
        if all(isinstance(word, str) for word in entry[:3]) and crc_of(space, key, value) == crc:
            sound[(space, key)] = json.loads(value)
        else:
            bad.append(entry)
    return sound, bad


def salvage(path: Path) -> tuple[list[OutboxRow], dict[tuple[str, str], Any]]:
    """What can still be read from a corrupt file, of this schema or an older one, until SQLite gives up."""
    rows: dict[int, OutboxRow] = {}
    memories: dict[tuple[str, str], Any] = {}
    with suppress(*UNREADABLE), closing(sqlite3.connect(path)) as db:
        db.text_factory = lenient_text
        for columns in (COLUMNS, _COLUMNS_1):
            with suppress(*UNREADABLE):
                for row in sound_rows(db, columns=columns):
                    if isinstance(row, OutboxRow):
                        rows.setdefault(row.number, row)
        with suppress(*UNREADABLE):
            memories, _ = sound_memories(db)
    return [rows[number] for number in sorted(rows)], memories


def lenient_text(raw: bytes) -> str:
    """Text of a damaged file may not be UTF-8; its CRC finds it out, so it need not stop the reading."""
    return raw.decode("utf-8", "replace")


# -- beside the writer ---------------------------------------------------------------------------------


def texts(folder: Path, numbers: tuple[int, ...]) -> tuple[OutboxRow, ...]:
    """The sound ones of these rows, in this order. Raises JournalError if the file cannot be read."""
    found: dict[int, OutboxRow] = {}
    with _beside(folder) as db:
        try:
            for start in range(0, len(numbers), READ_AT_ONCE):
                some = numbers[start : start + READ_AT_ONCE]
                marks = ", ".join("?" * len(some))
                rows = sound_rows(db, f"WHERE number IN ({marks})", (*some, -1))
                found.update({row.number: row for row in rows if isinstance(row, OutboxRow)})
        except sqlite3.Error as error:
            raise journal_error(error) from error
    return tuple(found[number] for number in numbers if number in found)


def parked_rows(folder: Path, station_id: str = "", after: int = 0, limit: int = -1) -> Iterator[dict[str, Any]]:
    """The messages given up on, oldest first, as plain dicts. Reads beside a running controller.

    station_id: "" = of all stations. after, limit: a page of them, by number; -1 = all.
    Raises JournalError if there is no journal or it cannot be read.
    """
    where = "WHERE parked = 1 AND number > ? AND (? = '' OR station_id = ?)"
    with _beside(folder) as db:
        try:
            columns = COLUMNS if _schema(db) > 1 else _COLUMNS_1  # nobody may have run this version here yet
            rows = list(sound_rows(db, where, (after, station_id, station_id, limit), columns))
        except sqlite3.Error as error:
            raise journal_error(error) from error
    for row in rows:
        if isinstance(row, OutboxRow):
            yield {
                "number": row.number,
                "station_id": row.station_id,
                "transaction_id": row.transaction_id,
                "action": row.action,
                "stored_wall_s": row.stored_wall_s,
                "attempts": row.attempts,
                "version": row.version,
                "text": row.text,
            }


def memories_of(folder: Path) -> dict[tuple[str, str], Any]:
    """The sound memories, (space, key) -> value. Reads beside a running controller. Raises JournalError."""
    with _beside(folder) as db:
        try:
            return sound_memories(db)[0]
        except sqlite3.Error as error:
            raise journal_error(error) from error


def _schema(db: sqlite3.Connection) -> int:
    return int(db.execute("PRAGMA user_version").fetchone()[0])


def _beside(folder: Path) -> closing[sqlite3.Connection]:
    path = folder / FILE_NAME
    if not path.is_file():
        raise JournalError("failed", f"there is no journal in {folder}")
    try:
        db = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=2.0)
    except sqlite3.Error as error:
        raise journal_error(error) from error
    db.text_factory = lenient_text
    return closing(db)


def is_full(error: sqlite3.Error) -> bool:
    """Whether the disk has no room."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_FULL


def journal_error(error: sqlite3.Error) -> JournalError:
    """The same in our words."""
    if is_full(error):
        return JournalError("full", "the disk is full")
    if isinstance(error, sqlite3.DatabaseError) and not isinstance(error, sqlite3.OperationalError):
        return JournalError("corrupt", f"the journal is damaged ({error})")
    return JournalError("failed", f"the disk does not take writes ({error})")
