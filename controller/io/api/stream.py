"""The page's feed: the picture of the site as server-sent events, everything once, then what changed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from aiohttp import web
from aiohttp_sse import sse_response

from controller.io.api.models import ApiError
from controller.io.api.picture import Feed
from controller.io.shell import Clock
from controller.snapshot import Snapshot

log = logging.getLogger(__name__)

MAX_STREAMS = 64
QUIET_S = 5.0
"""Without a change the stream tells the time this often, so that a page can tell silence from a lost link."""
PING_S = 15.0
SEND_TIMEOUT_S = 20.0


class Stream:
    """Handler of the stream. period_s: time between two pictures; stopping: set when the server ends. open: pages that listen now."""

    def __init__(self, clock: Clock, snapshot: Callable[[], Snapshot], period_s: float, stopping: asyncio.Event) -> None:
        self._clock, self._period_s, self._stopping = clock, period_s, stopping
        self._feed = Feed(snapshot, period_s)
        self.open = 0

    def routes(self) -> list[web.RouteDef]:
        """The route of this file."""
        return [web.get("/api/v1/stream", self._answer, allow_head=False)]

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        if self.open >= MAX_STREAMS:
            raise ApiError(503, f"{MAX_STREAMS} pages are open already; close one.", headers={"Retry-After": "5"})
        self.open += 1
        stream: web.StreamResponse = web.Response()  # for a page that is gone before its stream begins
        try:
            async with sse_response(request, ping_interval=PING_S, send_timeout=SEND_TIMEOUT_S) as stream:
                await self._feed_stream(request, stream)
        except (ConnectionResetError, TimeoutError):
            log.debug("a page went away")
        finally:
            self.open -= 1
        return stream

    async def _feed_stream(self, request: web.Request, stream: Any) -> None:
        """Everything once, then what changed; at the latest every ``QUIET_S`` a sign of life."""
        feed = self._feed
        feed.look(self._clock.stamp().mono_s)
        await stream.send(feed.full(), id=str(feed.number), event="state", retry=1000)
        seen, last_event, spoke_mono_s = feed.number, feed.last_event(), self._clock.stamp().mono_s
        while stream.is_connected() and request.transport is not None and not await self._stopped_within(self._period_s):
            now_mono_s = self._clock.stamp().mono_s
            feed.look(now_mono_s)
            changes = feed.changes(seen, last_event)
            if changes is not None:
                seen, last_event, spoke_mono_s = feed.number, feed.last_event(), now_mono_s
                await stream.send(changes, id=str(seen), event="change")
            elif now_mono_s - spoke_mono_s >= QUIET_S:
                spoke_mono_s = now_mono_s
                await stream.send(feed.time(), event="time")

    async def _stopped_within(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        except TimeoutError:
            return False
        return True
