"""The journal's file: an SQLite database whose commits survive a power cut.

WAL with synchronous=FULL: measured with a power-cut test, FULL lost nothing in 12 cuts, NORMAL
128 to 521 acknowledged rows per cut; a kill -9 test cannot tell the two apart. Every row bears a
CRC, so that a flipped bit is found even where SQLite's own structure is still sound.

Blocking and single-threaded; ``journal.JournalShell`` runs it on its writer thread. Serves
promises P1 and P2, faults F67, F68, F73 to F76.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from controller.facts import OutboxRow
from controller.io.journal.rows import (
    COLUMNS,
    FILE_NAME,
    MIGRATIONS,
    SCHEMA_VERSION,
    UNREADABLE,
    JournalError,
    crc_of,
    is_full,
    journal_error,
    lenient_text,
    parked_rows,
    salvage,
    sound_memories,
    sound_rows,
    values,
)
from controller.io.secret_files import keep_private
from controller.io.shell import StartError

__all__ = ["FILE_NAME", "RESERVE_BYTES", "RESERVE_NAME", "SCHEMA_VERSION", "Batch", "Content", "JournalError", "JournalStore", "parked_rows"]

RESERVE_NAME = "journal.reserve"
RESERVE_BYTES = 16 * 1024 * 1024
PLAUSIBLE_VERSION = 999  # beyond it the number itself is damaged
PAGE_BYTES = 4096
CHECKPOINT_EVERY = 200  # commits; done when nothing waits, so that a checkpoint delays nobody
TEXTS_AT_START = 16
"""Messages of each station that come with their text at start-up; the others are read when their turn is near."""


@dataclass(frozen=True, slots=True)
class Batch:
    """What goes to disk in one transaction. remember: value as JSON text, None deletes."""

    rows: tuple[OutboxRow, ...] = ()
    remember: tuple[tuple[str, str, str | None], ...] = ()
    forget: tuple[int, ...] = ()
    updates: tuple[tuple[int, int, bool], ...] = ()


@dataclass(frozen=True, slots=True)
class Content:
    """Everything in the journal that is sound, and how many rows were not. Only the first rows of each station have a text."""

    memories: dict[tuple[str, str], Any]
    outbox: dict[str, tuple[OutboxRow, ...]]
    damaged: int = 0


class JournalStore:
    """The open database. ``notes``: sentences about what had to be repaired while opening.

    Raises StartError if the file was written by a newer program, JournalError if it cannot be
    written. A corrupt file is set aside under ``stamp_text`` and what is sound in it is carried over.
    """

    def __init__(self, folder: Path, stamp_text: str, reserve_bytes: int = RESERVE_BYTES, max_bytes: int | None = None) -> None:
        self.path = folder / FILE_NAME
        self.notes: list[str] = []
        self._stamp_text = stamp_text
        self._reserve = folder / RESERVE_NAME
        self._reserve_bytes = reserve_bytes
        self._max_bytes = max_bytes
        self._commits = 0
        self._db = self._open()
        self._newest = self._newest_number()
        self.refill_reserve()

    def write(self, batches: Iterable[Batch]) -> list[tuple[OutboxRow, ...]]:
        """Commit all batches in one transaction; per batch its rows with their numbers.

        Raises JournalError; then nothing of it is on disk. When the disk is full the reserve
        is given up and the write tried once more; other errors are never retried here.
        """
        batches = list(batches)
        try:
            return self._transact(batches)
        except sqlite3.Error as error:
            if not is_full(error) or not self._give_up_reserve():
                raise journal_error(error) from error
        try:
            return self._transact(batches)
        except sqlite3.Error as error:
            raise journal_error(error) from error

    def reopen(self) -> None:
        """After a failed write: open anew, check, and take out what a failed commit may have left.

        A commit that reported failure may still be in the log. Its sender was told "not stored"
        and will send again, so it must not be there. Raises JournalError.
        """
        with suppress(sqlite3.Error):
            self._db.close()
        try:
            self._db = self._connect()
            _quick_check(self._db)
            with self._transaction():
                self._db.execute("DELETE FROM outbox WHERE number > ?", (self._newest,))
        except sqlite3.Error as error:
            raise journal_error(error) from error

    def read(self) -> Content:
        """All sound rows. Unsound ones are moved to the table ``damaged``, for a person to look at."""
        try:
            return self._read()
        except UNREADABLE as error:
            self._db.close()
            self._db = self._start_anew(str(error))
            return self._read()

    def tidy(self) -> None:
        """Fold the write-ahead log into the database if it has grown. Call when nothing waits."""
        if self._commits >= CHECKPOINT_EVERY:
            self._commits = 0
            with suppress(sqlite3.Error):
                self._db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()

    @property
    def has_reserve(self) -> bool:
        """Whether the space kept for a full disk is still there."""
        return self._reserve.exists()

    def refill_reserve(self) -> bool:
        """Put the reserve back if the disk has room again; False if it has not."""
        if self._reserve.exists():
            return True
        try:
            if _free_bytes(self._reserve.parent) < 2 * self._reserve_bytes:
                return False
            _allocate(self._reserve, self._reserve_bytes)
        except OSError:
            with suppress(OSError):
                self._reserve.unlink()
            return False
        return True

    def close(self) -> None:
        """Fold the log in and close."""
        with suppress(sqlite3.Error):
            self._db.close()

    # -- inside --------------------------------------------------------------------------------

    def _transact(self, batches: list[Batch]) -> list[tuple[OutboxRow, ...]]:
        forget = [(number,) for batch in batches for number in batch.forget]
        with self._transaction():
            # First of all: on a full disk this makes the room the rest needs.
            self._db.executemany("DELETE FROM outbox WHERE number = ?", forget)
            stored = [self._apply(batch) for batch in batches]
        self._commits += 1
        self._newest = max([self._newest, *(row.number for rows in stored for row in rows)])
        return stored

    def _transaction(self) -> _Transaction:
        return _Transaction(self._db)

    def _apply(self, batch: Batch) -> tuple[OutboxRow, ...]:
        db = self._db
        stored = tuple(self._insert(row) for row in batch.rows)
        for space, key, value in batch.remember:
            if value is None:
                db.execute("DELETE FROM memory WHERE space = ? AND key = ?", (space, key))
            else:
                db.execute("INSERT OR REPLACE INTO memory VALUES (?, ?, ?, ?)", (space, key, value, crc_of(space, key, value)))
        changes = [(attempts, parked, number) for number, attempts, parked in batch.updates]
        db.executemany("UPDATE outbox SET attempts = ?, parked = ? WHERE number = ?", changes)
        return stored

    def _insert(self, row: OutboxRow) -> OutboxRow:
        cursor = self._db.execute(f"INSERT INTO outbox ({COLUMNS}) VALUES (NULL, {', '.join('?' * 11)})", values(row))
        return replace(row, number=cursor.lastrowid or 0)

    def _read(self) -> Content:
        outbox: dict[str, list[OutboxRow]] = {}
        bad_rows: list[tuple[Any, ...]] = []
        for row in sound_rows(self._db, texts_each=TEXTS_AT_START):
            if isinstance(row, OutboxRow):
                outbox.setdefault(row.station_id, []).append(row)
            else:
                bad_rows.append(row)
        memories, bad_memories = sound_memories(self._db)
        if bad_rows or bad_memories:
            self._put_aside(bad_rows, bad_memories, memories)
        return Content(memories, {station_id: tuple(queue) for station_id, queue in outbox.items()}, len(bad_rows) + len(bad_memories))

    def _open(self) -> sqlite3.Connection:
        try:
            return self._connect_checked()
        except UNREADABLE as error:
            if _is_surroundings(error, self.path):
                raise StartError(f"the journal {self.path} cannot be opened ({error}); check the disk and the permissions of data_dir") from None
            return self._start_anew(str(error))

    def _connect_checked(self) -> sqlite3.Connection:
        db = self._connect()
        try:
            _quick_check(db)
            self._migrate(db)
            _check_tables(db)
            db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")  # a real write: the file may be readable only
        except BaseException:
            db.close()
            raise
        return db

    def _connect(self) -> sqlite3.Connection:
        if not keep_private(self.path):
            self.notes.append(f"others can read {self.path}, which holds passwords of stations; make it private with: chmod 600 {self.path}")
        db = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False, timeout=2.0)
        db.text_factory = lenient_text
        try:
            db.execute("PRAGMA journal_mode = WAL").fetchall()
            db.execute("PRAGMA synchronous = FULL")
            db.execute("PRAGMA cell_size_check = ON")
            if self._max_bytes is not None:
                db.execute(f"PRAGMA max_page_count = {max(1, self._max_bytes // PAGE_BYTES)}").fetchall()
        except BaseException:
            db.close()
            raise
        return db

    def _migrate(self, db: sqlite3.Connection) -> None:
        """Bring the file to SCHEMA_VERSION in one transaction; user_version 0 is an empty file."""
        version = int(db.execute("PRAGMA user_version").fetchone()[0])
        if not 0 <= version <= PLAUSIBLE_VERSION:
            raise sqlite3.DatabaseError(f"schema number {version}")
        if version > SCHEMA_VERSION:
            raise StartError(
                f"the journal {self.path} was written by a newer Yardmaster (schema {version}, this one knows {SCHEMA_VERSION}); "
                "install the newer version again, or move the file away if its queued messages are not needed"
            )
        if version < SCHEMA_VERSION:
            with _Transaction(db):
                for step in MIGRATIONS[version:]:
                    for statement in step.split(";\n"):
                        db.execute(statement)
                db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")

    def _start_anew(self, why: str) -> sqlite3.Connection:
        """The file is corrupt (F75): set it aside, begin an empty one, carry over what can still be read."""
        aside = self.path.with_name(f"journal.corrupt-{self._stamp_text}.sqlite3")
        for suffix in ("", "-wal", "-shm"):
            with suppress(FileNotFoundError):
                os.replace(f"{self.path}{suffix}", f"{aside}{suffix}")
        db = self._connect_checked()
        self._db = db
        try:
            saved = f"{self._carry_over(aside)} entries were carried over"
        except sqlite3.Error as error:
            saved = f"nothing could be carried over ({error})"
        self.notes.append(f"the journal was corrupt ({why}); it was set aside as {aside.name}, a new one was begun, {saved}")
        return db

    def _carry_over(self, aside: Path) -> int:
        rows, memories = salvage(aside)
        remember = tuple((space, key, json.dumps(value)) for (space, key), value in memories.items())
        with self._transaction():
            self._apply(Batch(rows=tuple(rows), remember=remember))
        return len(rows) + len(memories)

    def _put_aside(self, rows: list[tuple[Any, ...]], memories: list[tuple[Any, ...]], sound: dict[tuple[str, str], Any]) -> None:
        """Move unsound entries away. A damaged key cannot be addressed, so the sound memories are written anew."""
        keep = tuple((space, key, json.dumps(value)) for (space, key), value in sound.items())
        with self._transaction():
            self._db.executemany("INSERT INTO damaged VALUES (?, 'outbox', ?)", [(row[0], repr(row)) for row in rows])
            self._db.executemany("INSERT INTO damaged VALUES (NULL, 'memory', ?)", [(repr(memory),) for memory in memories])
            self._db.executemany("DELETE FROM outbox WHERE number = ?", [(row[0],) for row in rows])
            if memories:
                self._db.execute("DELETE FROM memory")
                self._apply(Batch(remember=keep))

    def _newest_number(self) -> int:
        found = self._db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'outbox'").fetchone()
        return int(found[0]) if found else 0

    def _give_up_reserve(self) -> bool:
        try:
            self._reserve.unlink()
        except OSError:
            return False
        return True


class _Transaction:
    """BEGIN ... COMMIT, or ROLLBACK when anything fails, the COMMIT included."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def __enter__(self) -> None:
        self._db.execute("BEGIN IMMEDIATE")

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            try:
                self._db.execute("COMMIT")
            except BaseException:
                self._roll_back()
                raise
        else:
            self._roll_back()

    def _roll_back(self) -> None:
        with suppress(sqlite3.Error):
            self._db.execute("ROLLBACK")


def _quick_check(db: sqlite3.Connection) -> None:
    """Raises sqlite3.DatabaseError if the structure of the file is damaged."""
    found = db.execute("PRAGMA quick_check(1)").fetchone()
    if found is None or found[0] != "ok":
        raise sqlite3.DatabaseError(f"quick_check: {found[0] if found else 'no answer'}")


def _check_tables(db: sqlite3.Connection) -> None:
    """Raises sqlite3.OperationalError if a table or a column has lost its name."""
    for query in (f"SELECT {COLUMNS} FROM outbox", "SELECT space, key, value, crc FROM memory", "SELECT number, what, content FROM damaged"):
        db.execute(query + " LIMIT 0")


def _is_surroundings(error: Exception, path: Path) -> bool:
    """Whether the disk or its permissions are to blame, and not the content of the file."""
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF
    if code == sqlite3.SQLITE_READONLY:
        return not os.access(path, os.W_OK)  # a damaged header also makes SQLite treat a file as read-only
    return code in (
        sqlite3.SQLITE_AUTH,
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_PERM,
    )


def _free_bytes(folder: Path) -> int:
    room = os.statvfs(folder)
    return room.f_bavail * room.f_frsize


def _allocate(path: Path, size_bytes: int) -> None:
    """A file with real blocks behind it; raises OSError if there is no room."""
    descriptor = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600)
    try:
        os.posix_fallocate(descriptor, 0, size_bytes)
    finally:
        os.close(descriptor)
