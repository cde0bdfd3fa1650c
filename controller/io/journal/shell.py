"""Shell: the journal, the only thing a restart must not forget.

One writer thread with group commit: it takes everything that is queued, commits it in one
transaction and reports once per batch. There is no gathering window; the fsync that runs is
the window. ``Persisted`` is submitted only after the fsync. A failed write is reported as
``PersistFailed`` and never retried as if it had worked: the database is opened anew, checked,
and cleared of what the failed commit may have left (F73, F74).

Two programs on one data folder would damage each other: a lock file keeps the second out.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import logging
import os
import queue
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, TextIO

from controller.config import Config
from controller.facts import Fact, OutboxRow, Persisted, PersistFailed, Restored, RowsLoaded, SourceChanged
from controller.io.journal.rows import JournalError, parked_rows, texts
from controller.io.journal.store import RESERVE_BYTES, Batch, Content, JournalStore
from controller.io.shell import Clock, StartError, Submit
from controller.orders import ForgetRows, LoadRows, Order, Persist, UpdateRow

log = logging.getLogger(__name__)

SOURCE, DISK = "journal", "disk"
LOCK_NAME = "lock"
MAX_BATCH = 1000
REFILL_EVERY_S = 60.0
STOP_S = 2.0
OURS_S = 20.0
"""After a reload the folder may still be locked by our own life before, whose last write hangs on a slow disk: it is waited for so long [s]."""

_leaving: dict[Path, threading.Event] = {}
"""Data folders that a life of this process was told to leave, and what is set when it has."""


@dataclass(frozen=True, slots=True)
class _Task:
    """One order on its way to the writer. token 0: nobody waits for it."""

    batch: Batch
    token: int = 0


class JournalShell:
    """The writer. reserve_bytes: space set free when the disk is full. max_bytes: bound of the file, None = the disk's."""

    orders: tuple[type[Order], ...] = (Persist, ForgetRows, UpdateRow, LoadRows)

    def __init__(self, config: Config, clock: Clock, submit: Submit, *, reserve_bytes: int = RESERVE_BYTES, max_bytes: int | None = None) -> None:
        self._folder = config.data_dir
        self._clock = clock
        self._submit = submit
        self._reserve_bytes = reserve_bytes
        self._max_bytes = max_bytes
        self._queue: queue.SimpleQueue[_Task | None] = queue.SimpleQueue()
        self._reads: queue.SimpleQueue[LoadRows | None] = queue.SimpleQueue()
        self._late: Batch | None = None
        self._store: JournalStore | None = None
        self._lock: IO[str] | None = None
        self._threads: list[threading.Thread] = []
        self._left = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._content = Content({}, {})
        self._healthy = self._has_room = True
        self._refill_mono_s = 0.0

    # -- the shape of every shell ---------------------------------------------------------------

    def carry(self, order: Persist | ForgetRows | UpdateRow | LoadRows) -> None:
        """Queue one order for the writer or the reader."""
        match order:
            case Persist():
                self._persist(order)
            case ForgetRows():
                self._queue.put(_Task(Batch(forget=order.numbers)))
            case UpdateRow():
                self._queue.put(_Task(Batch(updates=((order.number, order.attempts, order.parked),))))
            case LoadRows():
                self._reads.put(order)

    async def start(self) -> None:
        """Lock the folder, open and check the file, start the writer. Raises StartError."""
        self._loop = asyncio.get_running_loop()
        self._lock = await self._locked()
        try:
            await asyncio.to_thread(self._open)
        except BaseException:
            self._unlock()
            raise
        for name, target in (("journal", self._write_for_ever), ("journal reader", self._read_for_ever)):
            self._threads.append(threading.Thread(target=target, name=name, daemon=True))
            self._threads[-1].start()

    async def _locked(self) -> IO[str]:
        """The lock of the folder; our own life before this one may still be writing."""
        if (left := _leaving.get(self._folder)) is not None:
            await asyncio.to_thread(left.wait, OURS_S)
        return lock_folder(self._folder)

    async def stop(self) -> None:
        """Write what is queued, close, unlock. A writer that hangs keeps the lock until it is done: two would damage the file."""
        if self._threads:
            _leaving[self._folder] = self._left
        self._queue.put(None)
        self._reads.put(None)
        while self._threads:
            thread = self._threads.pop(0)
            await asyncio.to_thread(thread.join, STOP_S)
            if thread.is_alive():
                log.error("the %s did not finish within %g s; what was acknowledged is on disk", thread.name, STOP_S)

    def load(self) -> Restored:
        """What the journal held at start-up, as the first fact for the engine. Handed out once: it may be large."""
        content, self._content = self._content, Content({}, {})
        return Restored(self._clock.stamp(), content.memories, content.outbox)

    # -- opening ------------------------------------------------------------------------------------

    def _open(self) -> None:
        stamp = self._clock.stamp()
        text = datetime.fromtimestamp(stamp.wall_s, UTC).strftime("%Y%m%dT%H%M%SZ")
        try:
            self._store = JournalStore(self._folder, text, self._reserve_bytes, self._max_bytes)
            self._content = self._store.read()
        except JournalError as error:
            raise StartError(f"the journal in {self._folder} cannot be used: {error}; check the disk") from None
        notes = list(self._store.notes)
        if self._content.damaged:
            notes.append(f"{self._content.damaged} damaged entries were put aside in its table 'damaged'")
        if notes:
            self._healthy = False
            self._hand_in(SourceChanged(stamp, SOURCE, False, "; ".join(notes)))
        self._hand_in(*self._room(self._store))

    def _unlock(self) -> None:
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    # -- the writer thread --------------------------------------------------------------------------

    def _write_for_ever(self) -> None:
        assert self._store is not None
        running = True
        try:
            while running:
                tasks, running = self._next_tasks()
                if tasks:
                    self._hand_in(*self._write(self._store, tasks))
                self._keep_house(self._store)
            self._store.close()
        finally:
            self._unlock()
            self._left.set()

    def _keep_house(self, store: JournalStore) -> None:
        """What can wait. Whatever fails here must not end the thread: without it nothing is ever acknowledged again."""
        try:
            self._hand_in(*self._room(store))
            if self._queue.empty():
                store.tidy()
                self._refill(store)
        except Exception:
            log.exception("the journal's housekeeping failed; writing goes on")

    def _next_tasks(self) -> tuple[list[_Task], bool]:
        """Everything queued, at most MAX_BATCH; False at the end of all work."""
        tasks: list[_Task] = []
        task = self._queue.get()
        while task is not None:
            tasks.append(task)
            if len(tasks) >= MAX_BATCH or self._queue.empty():
                return tasks, True
            task = self._queue.get()
        return tasks, False

    def _write(self, store: JournalStore, tasks: list[_Task]) -> list[Fact]:
        late = [self._late] if self._late is not None else []
        try:
            if not self._healthy:
                store.reopen()
            stored = store.write([*late, *(task.batch for task in tasks)])
        except JournalError as error:
            # Nobody waits for these, and doing them later does no harm: kept for the next write.
            self._late = _merged([*late, *(task.batch for task in tasks if not task.token)])
            return [*self._turn(False, f"{error}; nothing new is acknowledged until it works again"), *self._failed(tasks, str(error))]
        except Exception as error:
            return self._one_by_one(store, tasks, error)
        self._late = None
        return [*self._turn(True, "writes again"), *self._done(tasks, stored[len(late) :])]

    def _one_by_one(self, store: JournalStore, tasks: list[_Task], error: Exception) -> list[Fact]:
        """Something in the batch cannot be stored at all: only that one fails, not its neighbours (P7)."""
        if len(tasks) == 1:
            self._late = None
            log.error("the journal cannot store an order (%s: %s)", type(error).__name__, error)
            return self._failed(tasks, f"not storable: {type(error).__name__}")
        return [fact for task in tasks for fact in self._write(store, [task])]

    def _turn(self, healthy: bool, detail: str) -> list[Fact]:
        if healthy == self._healthy:
            return []
        self._healthy = healthy
        return [SourceChanged(self._clock.stamp(), SOURCE, healthy, detail)]

    def _done(self, tasks: list[_Task], stored: list[tuple[OutboxRow, ...]]) -> list[Fact]:
        stamp = self._clock.stamp()
        return [Persisted(stamp, task.token, rows) for task, rows in zip(tasks, stored, strict=True) if task.token]

    def _failed(self, tasks: list[_Task], reason: str) -> list[Fact]:
        stamp = self._clock.stamp()
        return [PersistFailed(stamp, task.token, reason) for task in tasks if task.token]

    def _room(self, store: JournalStore) -> list[Fact]:
        """Report once when the reserve is used up or back."""
        if store.has_reserve == self._has_room:
            return []
        self._has_room = store.has_reserve
        size = f"{self._reserve_bytes / 2**20:g} MiB"
        detail = f"the reserve of {size} is back" if self._has_room else f"the disk is full: the journal's reserve of {size} is gone; free some space"
        return [SourceChanged(self._clock.stamp(), DISK, self._has_room, detail)]

    def _refill(self, store: JournalStore) -> None:
        now_mono_s = self._clock.stamp().mono_s
        if now_mono_s - self._refill_mono_s >= REFILL_EVERY_S:
            self._refill_mono_s = now_mono_s
            store.refill_reserve()

    # -- the reader thread --------------------------------------------------------------------------

    def _read_for_ever(self) -> None:
        order = self._reads.get()
        while order is not None:
            try:
                self._hand_in(RowsLoaded(self._clock.stamp(), order.station_id, texts(self._folder, order.numbers), order.numbers))
            except JournalError as error:
                # No answer: a file that cannot be read now proves nothing about its rows. They are asked for again.
                log.error("queued messages of %s could not be read (%s); tried again later", order.station_id, error)
            except Exception:
                log.exception("queued messages of %s could not be read; tried again later", order.station_id)
            order = self._reads.get()

    # -- between the threads ------------------------------------------------------------------------

    def _persist(self, order: Persist) -> None:
        try:
            remember = tuple((space, key, None if value is None else json.dumps(value)) for (space, key), value in order.remember.items())
        except (TypeError, ValueError) as error:
            log.exception("a value could not be written as JSON; nothing of this order is stored")
            if order.token:
                self._submit(PersistFailed(self._clock.stamp(), order.token, f"not storable: {error}"))
            return
        self._queue.put(_Task(Batch(rows=order.rows, remember=remember), order.token))

    def _hand_in(self, *facts: Fact) -> None:
        """Submit from the writer thread, in one step of the loop."""
        if facts and self._loop is not None and not self._loop.is_closed():
            try:
                self._loop.call_soon_threadsafe(self._submit_all, facts)
            except RuntimeError:  # the loop closed between the question and the call: nobody is left to tell
                log.warning("the journal finished after the program had ended")

    def _submit_all(self, facts: Iterable[Fact]) -> None:
        for fact in facts:
            self._submit(fact)


def _merged(batches: Iterable[Batch]) -> Batch:
    """One batch that does the same, each memory and each row once: a disk may fail for days."""
    remember: dict[tuple[str, str], str | None] = {}
    updates: dict[int, tuple[int, bool]] = {}
    forget: dict[int, None] = {}
    rows: list[OutboxRow] = []
    for batch in batches:
        rows += batch.rows
        remember.update({(space, key): value for space, key, value in batch.remember})
        forget.update(dict.fromkeys(batch.forget))
        updates.update({number: (attempts, parked) for number, attempts, parked in batch.updates})
    return Batch(
        tuple(rows),
        tuple((space, key, value) for (space, key), value in remember.items()),
        tuple(forget),
        tuple((number, attempts, parked) for number, (attempts, parked) in updates.items()),
    )


def lock_folder(folder: Path) -> IO[str]:
    """Keep a second program out of the data folder for as long as the returned file is open. Raises StartError."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = (folder / LOCK_NAME).open("a+", encoding="ascii")
    except OSError as error:
        raise StartError(f"the data folder {folder} cannot be used ({error.strerror}); create it or change data_dir") from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.seek(0)
        owner = lock.read(16).strip() or "?"
        lock.close()
        raise StartError(f"another Yardmaster (process {owner}) uses the data folder {folder}; stop it or change data_dir") from None
    lock.seek(0)
    lock.truncate()
    lock.write(f"{os.getpid()}\n")
    lock.flush()
    return lock


def export_parked(folder: Path, out: TextIO) -> int:
    """Write the messages that were given up as JSON lines; returns how many. Raises JournalError."""
    count = 0
    for row in parked_rows(folder):
        out.write(json.dumps(row, ensure_ascii=False) + "\n")
        count += 1
    return count
