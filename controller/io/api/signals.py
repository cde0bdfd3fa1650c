"""The part of the HTTP API about limits from outside: their sources, statements over HTTP, and the compliance record."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Awaitable, Callable
from typing import Protocol

from aiohttp import web
from pydantic import Field

from controller.config import Config
from controller.io.api.models import MAX_BODY_BYTES, ApiError, Body, Moment, read_query
from controller.io.api.picture import to_json
from controller.io.compliance import Line, csv_text
from controller.io.shell import Clock
from controller.snapshot import Snapshot

log = logging.getLogger(__name__)

PATH, RECORD, RECORD_CSV = "/api/v1/signals", "/api/v1/compliance", "/api/v1/compliance.csv"
SPAN_S = 7 * 86_400.0
MOST_LINES = 5000
BLOCK = 2000

CHANGES = "Only so many of the newest lines, without those that only say what was measured; not in the CSV."

Notify = Callable[[str, bytes], Awaitable[tuple[int, str] | None]]


class Record(Protocol):
    """Where the compliance record is read from."""

    async def query(self, source: str | None, since_wall_s: float, until_wall_s: float, after: int = 0, most: int = 1000) -> list[Line]:
        """Lines, oldest first."""
        ...

    async def changes(self, source: str | None, since_wall_s: float, until_wall_s: float, most: int) -> list[Line]:
        """The newest lines, oldest first, without those that only say what was measured."""
        ...


class ComplianceQuery(Body):
    """Which lines of the record."""

    source: str | None = Field(default=None, max_length=80, description="Only of this source.")
    since: Moment | None = Field(default=None, description="First moment; default: a week before until.")
    until: Moment | None = Field(default=None, description="Last moment; default: now.")
    after: int = Field(default=0, ge=0, le=2**53, description="Only lines with a higher number.")
    changes: int | None = Field(default=None, ge=1, le=500, description=CHANGES)


class Signals:
    """Handlers of these calls. notify, record: None before the app gave one, or where the site has none."""

    def __init__(
        self,
        config: Config,
        clock: Clock,
        snapshot: Callable[[], Snapshot],
        notify: Callable[[], Notify | None],
        record: Callable[[], Record | None],
    ) -> None:
        self._clock, self._snapshot, self._notify, self._record = clock, snapshot, notify, record
        self._kinds = {entry.id: entry.type for entry in config.signals}

    def routes(self) -> list[web.RouteDef]:
        """The routes of this file."""
        return [
            web.get(PATH, self._list),
            web.post(f"{PATH}/{{source}}", self._state),
            web.get(RECORD, self._lines),
            web.get(RECORD_CSV, self._csv, allow_head=False),
        ]

    async def _list(self, request: web.Request) -> web.Response:
        signals = [dataclasses.asdict(signal) for signal in self._snapshot().site.signals]
        return web.json_response(text=to_json({"signals": signals}))

    async def _state(self, request: web.Request) -> web.Response:
        """A statement of a source. Its body is read by the source's own driver."""
        source = request.match_info["source"]
        if source not in self._kinds:
            raise ApiError.of_field(404, "source", f"is not a signal of this site, which has: {', '.join(sorted(self._kinds)) or 'none'}")
        if self._kinds[source] == "api" and request.content_type != "application/json":
            raise ApiError(415, "Content-Type must be application/json.")
        try:
            body = await request.read()
        except web.HTTPRequestEntityTooLarge:
            raise ApiError(413, f"The body is larger than {MAX_BODY_BYTES} bytes.") from None
        except web.RequestPayloadError:
            raise ApiError(400, "The body is not what Content-Encoding or Transfer-Encoding say it is.") from None
        notify = self._notify()
        if notify is None:
            raise ApiError(503, "The controller is not ready for signals yet.", headers={"Retry-After": "2"})
        answer = await notify(source, body)
        if answer is None:
            raise ApiError.of_field(409, "source", f"is of type {self._kinds[source]} and takes no statements over HTTP")
        return web.json_response(text=answer[1] or "{}", status=answer[0])

    # -- the record ------------------------------------------------------------------------------------------

    async def _lines(self, request: web.Request) -> web.Response:
        query = read_query(request, ComplianceQuery)
        lines = await self._read(query, query.after, MOST_LINES, query.changes)
        return web.json_response(text=to_json({"lines": [dataclasses.asdict(line) for line in lines], "more": len(lines) == MOST_LINES}))

    async def _csv(self, request: web.Request) -> web.StreamResponse:
        """The whole stretch, in blocks: a year must not fill the memory."""
        query = read_query(request, ComplianceQuery)
        lines = await self._read(query, query.after, BLOCK)
        response = web.StreamResponse(
            headers={"Content-Type": "text/csv; charset=utf-8", "Content-Disposition": 'attachment; filename="compliance.csv"'}
        )
        await response.prepare(request)
        await response.write(csv_text(lines).encode())
        while len(lines) == BLOCK:
            lines = await self._read(query, lines[-1].number, BLOCK)
            await response.write(csv_text(lines, header=False).encode())
        await response.write_eof()
        return response

    async def _read(self, query: ComplianceQuery, after: int, most: int, changes: int | None = None) -> list[Line]:
        until_s = self._clock.stamp().wall_s if query.until is None else query.until
        since_s = max(0.0, until_s - SPAN_S) if query.since is None else query.since
        if since_s > until_s:
            raise ApiError.of_field(422, "since", "is later than until")
        record = self._record()
        if record is None:
            return []
        try:
            if changes is not None:
                return await record.changes(query.source, since_s, until_s, changes)
            return await record.query(query.source, since_s, until_s, after, most)
        except Exception as error:
            log.warning("the compliance record cannot be read: %s", error)
            raise ApiError(503, "The compliance record cannot be read now; lines are still being collected.", headers={"Retry-After": "10"}) from None
