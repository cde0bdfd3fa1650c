"""Responses on their way to the server: kept on the disk, sent one by one, each once (2030.5 10.10).

A second response of the same status about one event is never sent. What was tried and not confirmed (no answer, a crash behind the POST) is
looked for in the server's ResponseList: found = done, not found = sent again. A server that shows no such list gets it at most once.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import os
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from yarl import URL

from controller.io.signals.ieee2030_5_http import AstrayError, Http, ServerError
from controller.orders import AnswerEvent
from signals import csip_resources as resources
from signals.csip_answers import Ledger, Waiting, code
from signals.csip_documents import response
from signals.csip_identity import same_lfdi
from signals.csip_schedule import Reply, Schedule
from signals.csip_xml import XmlError

log = logging.getLogger(__name__)

MOST_EARLY: Final = 500
EARLY_S: Final = 3600.0
RETRY_S: Final = (5.0, 300.0)
FINAL: Final = frozenset({400, 404, 405, 409, 410, 413, 415, 422})
"""Refusals that another try would not change."""
LATER: Final = frozenset({0, 408, 425, 429, 502, 503, 504})
"""Of the list: it may be shown another time."""


class Answers:
    """What the site says of events becomes responses. path: where they outlive a restart. server_s: the server's time at a wall time."""

    def __init__(self, path: Path, lfdi: str, http: Http, server_s: Callable[[float], float]) -> None:
        self._path, self._lfdi, self._http, self._server_s = path, lfdi, http, server_s
        self._replies: Mapping[str, Reply] = {}
        self._early: list[AnswerEvent] = []
        self._news = asyncio.Event()
        self._unsaved = self._lost = False
        self._file, self._numbers = WholeFile(path), itertools.count()
        self._ledger = self._load()

    @property
    def known(self) -> frozenset[str]:
        """Events that something has been said about."""
        return self._ledger.known()

    def version(self, wall_s: float) -> int:
        """For an event that is new to this run or has changed: the site takes a lower one for an older word."""
        self._changed()
        return self._ledger.number(self._server_s(wall_s))

    def told(self, order: AnswerEvent) -> None:
        """The site says something. Before the first poll after a start nobody knows where to: it waits."""
        reply = self._replies.get(order.event_id)
        if reply is None:
            self._early = [*self._early, order][-MOST_EARLY:]
            return
        number = code(order.what, reply, self._replies.values())
        if number is not None:
            self._offer(order.event_id, number, reply, order.wall_s)

    def scheduled(self, schedule: Schedule, wall_s: float) -> None:
        """A whole poll: where answers go, and what is rejected at once."""
        self._replies = schedule.replies
        for mrid, number in schedule.rejected:
            self._offer(mrid, number, schedule.replies[mrid], wall_s)
        early, self._early = self._early, []
        for order in early:
            if abs(wall_s - order.wall_s) < EARLY_S or order.event_id in self._replies:
                self.told(order)
        if self._ledger.tidy(wall_s, frozenset(schedule.replies)):
            self._changed()

    def _offer(self, mrid: str, number: int, reply: Reply, wall_s: float) -> None:
        if self._ledger.offer(mrid, number, reply, self._server_s(wall_s), wall_s):
            self._changed()

    def _changed(self) -> None:
        self._unsaved = True
        self._news.set()

    async def run(self) -> None:
        """Send what waits, for ever."""
        pause_s = RETRY_S[0]
        while True:
            await self._save()
            waiting = self._ledger.next()
            if waiting is None:
                await self._news.wait()
                self._news.clear()
                continue
            try:
                done = await self._carried(waiting)
            except ServerError as error:
                await asyncio.sleep(error.retry_s or pause_s)
                pause_s = min(RETRY_S[1], 2 * pause_s)
                continue
            pause_s = RETRY_S[0]
            self._ledger.done(done)
            self._unsaved = True

    async def _carried(self, waiting: Waiting) -> Waiting:
        """See to it that the server has a response, or never will. Raises ServerError when it is to be tried again."""
        try:
            url = self._http.at(self._http.root, waiting.reply_to)
        except AstrayError as error:
            return self._given_up(waiting, error)
        if (waiting.tried or self._lost) and await self._settled(url, waiting):
            return waiting
        waiting = await self._mark(waiting, True)
        try:
            await self._http.send("POST", url, response(self._lfdi, waiting.mrid, waiting.code, waiting.server_s), once=True)
        except ServerError as error:
            if error.status in FINAL or isinstance(error, AstrayError):
                return self._given_up(waiting, error)
            if not error.arrived:
                await self._mark(waiting, False)
            raise
        return waiting

    def _given_up(self, waiting: Waiting, error: ServerError) -> Waiting:
        log.warning("response %d about the control %s was not taken: %s; it is not sent again", waiting.code, waiting.mrid, error)
        return waiting

    async def _settled(self, url: URL, waiting: Waiting) -> bool:
        """Whether one that may be there is, or must be taken for there. Raises ServerError when that cannot be told now."""
        there = await self._there(url, waiting)
        if there is None and waiting.tried:
            log.warning("response %d about the control %s was sent and not confirmed; it is not sent twice", waiting.code, waiting.mrid)
        return waiting.tried if there is None else there

    async def _mark(self, waiting: Waiting, tried: bool) -> Waiting:
        if waiting.tried == tried:
            return waiting
        changed = self._ledger.tried(waiting, tried)
        self._unsaved = True
        await self._save()
        return changed

    async def _there(self, url: URL, waiting: Waiting) -> bool | None:
        """Whether the server has this response; None = it shows no list. Raises ServerError when it may show it later."""
        try:
            listed = await self._http.pages(url, resources.responses)
        except XmlError:
            return None
        except ServerError as error:
            if error.status in LATER and not isinstance(error, AstrayError):
                raise
            return None
        return any(same_lfdi(one.lfdi, self._lfdi) and (one.subject, one.status) == (waiting.mrid, waiting.code) for one in listed.items)

    async def close(self) -> None:
        """Keep what was said last."""
        await self._save()

    # -- the disk ------------------------------------------------------------------------------------------

    def _load(self) -> Ledger:
        try:
            return Ledger.of(self._path.read_text("utf-8"))
        except FileNotFoundError:
            return Ledger()
        except (OSError, ValueError) as error:
            log.warning("the responses kept in %s cannot be read (%s); the server is asked which it has", self._path, error)
            self._lost = True
            return Ledger()

    async def _save(self) -> None:
        """Before anything is sent, and after. A disk that is full costs repeated responses after a restart, nothing else."""
        if not self._unsaved:
            return
        text = self._ledger.text()
        try:
            await asyncio.to_thread(self._file.write, text, next(self._numbers))
        except OSError as error:
            log.warning("the responses cannot be kept in %s (%s); after a restart some may be sent twice", self._path, error.strerror)
        self._unsaved = self._ledger.text() != text


class WholeFile:
    """Written whole or not at all, by one thread at a time; one that was overtaken by a newer text writes nothing."""

    def __init__(self, path: Path) -> None:
        self._path, self._lock, self._newest = path, threading.Lock(), -1

    def write(self, text: str, number: int) -> None:
        with self._lock:
            if number < self._newest:
                return
            self._path.parent.mkdir(parents=True, exist_ok=True)
            fresh = self._path.with_suffix(".new")
            with fresh.open("w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            os.replace(fresh, self._path)
            self._newest = number
