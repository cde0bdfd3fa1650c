"""Shell: history of measurements and decisions, for the page and for outside tools.

Always keeps an SQLite file of its own (``store``; WAL, synchronous=NORMAL, written in batches by one
thread): it answers the page's questions even where history goes to InfluxDB, then for a week.
With InfluxDB configured every point also goes through ``influx`` (spool on disk, sender).

History is a guest: whatever fails here - disk full, file damaged, server down - is reported
once and never reaches control (faults F73, F75, F84).
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from controller.config import Config, EmbeddedHistory, InfluxHistory
from controller.facts import SourceChanged
from controller.io.history.store import HistoryStore, Series
from controller.io.history.thinning import Level
from controller.io.shell import Clock, Submit
from controller.io.tasks import end, keep
from controller.orders import Order, RecordPoint

if TYPE_CHECKING:
    from controller.io.history.influx import Counts, InfluxForwarder

T = TypeVar("T")

SOURCE = "history"
FLUSH_S = 1.0
TIDY_EVERY_S = 1800.0
"""What is recent goes to its place, old points become coarser, and of those that are too old the oldest day goes: a clock that is wrong for an
hour costs two days at the far end, not the whole history."""
FINE_STEP_S, COARSE_STEP_S = 300, 900
MAX_WAITING = 50_000  # points in memory while the disk does not take them
PAGE_RETENTION_DAYS = 7.0
LATEST_WALL_S = 253_402_300_799.0  # 9999-12-31; a point beyond it has no time at all


class HistoryShell:
    """Takes points, answers questions about them."""

    orders: tuple[type[Order], ...] = (RecordPoint,)

    def __init__(self, config: Config, clock: Clock, submit: Submit, flush_s: float = FLUSH_S) -> None:
        """flush_s: how long points are gathered before they are written [s]."""
        self._clock = clock
        self._submit = submit
        self._flush_s = flush_s
        self._retention_days = config.history.retention_days if isinstance(config.history, EmbeddedHistory) else PAGE_RETENTION_DAYS
        self._levels = levels_of(config)
        self._store = HistoryStore(config.data_dir / "history.sqlite3")
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="history")
        self._waiting: deque[RecordPoint] = deque(maxlen=MAX_WAITING)
        self._undated: deque[tuple[float, RecordPoint]] = deque(maxlen=MAX_WAITING)
        """Of a box that has lost its time (F78): they get it when the clock is set."""
        self._trouble: dict[str, str | None] = {"file": None}
        self._told: str | None = None
        self._stopped = False
        self._forwarder = self._build_forwarder(config)
        self._tasks: list[asyncio.Task[None]] = []

    def carry(self, order: Order) -> None:
        """Keep a point for the next batch; the oldest go when the disk does not take them."""
        if not isinstance(order, RecordPoint) or not 0 <= order.wall_s <= LATEST_WALL_S:
            return
        at = self._clock.stamp()
        if not at.wall_trusted:
            self._undated.append((at.mono_s, order))
            return
        while self._undated:
            mono_s, point = self._undated.popleft()
            self._keep(replace(point, wall_s=at.wall_in(mono_s - at.mono_s)))
        self._keep(order)

    def _keep(self, point: RecordPoint) -> None:
        self._waiting.append(point)
        if self._forwarder is not None:
            self._forwarder.put(point)

    async def start(self) -> None:
        """Open the file and begin writing. A disk or server that refuses is reported and no reason to fail."""
        try:
            damage = await self._run(self._store.open)
        except (sqlite3.Error, OSError) as error:
            damage = f"history cannot be recorded: {error}; control is not affected"
        if damage:
            self._tell("file", damage)
        if self._forwarder is not None:
            await self._forwarder.start()
        self._tasks = [keep(self._write_on, "history writer"), keep(self._tidy_on, "history tidying")]

    async def stop(self) -> None:
        """Write what is left and close."""
        await end(self._tasks)
        self._tasks = []
        if self._stopped:
            return
        self._stopped = True
        await self._flush()
        if self._forwarder is not None:
            await self._forwarder.stop()
        await self._run(self._store.close)
        self._thread.shutdown(wait=False)

    @property
    def spool(self) -> Counts | None:
        """What became of the points for the server; None where history goes to no server."""
        return self._forwarder.counts if self._forwarder is not None else None

    async def query(self, measurement: str, tags: Mapping[str, str], since_wall_s: float, until_wall_s: float, max_points: int = 500) -> list[Series]:
        """Points for the page, see ``HistoryStore.query``. Raises sqlite3.Error, OSError when the file cannot be read."""
        return await self._run(lambda: self._store.query(measurement, tags, since_wall_s, until_wall_s, max_points))

    async def _write_on(self) -> None:
        while True:
            await asyncio.sleep(self._flush_s)
            await self._flush()

    async def _flush(self) -> None:
        batch = [self._waiting.popleft() for _ in range(len(self._waiting))]
        if not batch:
            return
        try:
            await self._run(lambda: self._store.write(batch))
        except (sqlite3.Error, OSError) as error:
            room = MAX_WAITING - len(self._waiting)
            self._waiting.extendleft(reversed(batch[max(0, len(batch) - room) :]))
            self._tell("file", f"history cannot be written: {error}; control is not affected, free some disk space")
            return
        self._tell("file", "")

    async def _tidy_on(self) -> None:
        """Keep the file in order, a few series at a time; questions and new points get in between."""
        while True:
            try:
                await self._settle()
                if self._clock.stamp().wall_trusted:
                    await self._prune()
                    for level in self._levels:
                        await self._thin_level(level)
                    while await self._run(self._store.give_back):
                        pass
            except (sqlite3.Error, OSError) as error:
                self._tell("file", f"the history file cannot be tidied: {error}")
            await asyncio.sleep(TIDY_EVERY_S)

    async def _settle(self) -> None:
        for part in await self._run(self._store.unsettled):
            await self._run(partial(self._store.settle, part))
        await self._run(self._store.settled)

    async def _prune(self) -> None:
        oldest_wall_s = self._wall_s() - self._retention_days * 86_400
        for part in await self._run(partial(self._store.old, oldest_wall_s)):
            await self._run(partial(self._store.prune, part))
        await self._run(self._store.pruned)

    async def _thin_level(self, level: Level) -> None:
        while day := await self._run(lambda: self._store.todo(level, self._wall_s())):
            for part in day:
                await self._run(partial(self._store.thin, part))
            await self._run(partial(self._store.done, level, day[0].until_ms))

    async def _run(self, job: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, job)

    def _tell(self, part: str, trouble: str) -> None:
        """Report changes of the whole: healthy when every part is known to be."""
        self._trouble[part] = trouble
        worst = next((text for text in self._trouble.values() if text), "")
        unknown = not worst and None in self._trouble.values()
        if unknown or worst == self._told:
            return
        self._told = worst
        self._submit(SourceChanged(self._clock.stamp(), SOURCE, not worst, worst or "history is being recorded"))

    def _build_forwarder(self, config: Config) -> InfluxForwarder | None:
        if not isinstance(config.history, InfluxHistory):
            return None
        from controller.io.history.influx import InfluxForwarder  # its library takes long to import and most sites do not need it

        self._trouble["server"] = None
        spool = config.data_dir / "spool.sqlite3"
        return InfluxForwarder(config.history, spool, lambda trouble: self._tell("server", trouble), self._flush_s, self._wall_s)

    def _wall_s(self) -> float:
        return self._clock.stamp().wall_s


def levels_of(config: Config) -> tuple[Level, ...]:
    """How old points become coarser; a week's worth for the page (InfluxDB has the rest) stays as it is."""
    history = config.history
    if not isinstance(history, EmbeddedHistory):
        return ()
    return Level(FINE_STEP_S, history.fine_days), Level(COARSE_STEP_S, max(history.fine_days, history.coarse_days))
