"""The part of the HTTP API that reads the past: series of one measurement, and finished charging sessions."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from aiohttp import web

from controller.io.api.models import MAX_POINTS, ApiError, HistoryQuery, read_query
from controller.io.api.picture import answer_json
from controller.io.shell import Clock

if TYPE_CHECKING:
    from controller.io.history.store import Series

log = logging.getLogger(__name__)

HISTORY_SPAN_S = 3600.0
SESSIONS_SPAN_S = 30 * 86_400.0
SESSION_MEASUREMENT = "session"


class History(Protocol):
    """Where the points of the past are read from."""

    async def query(
        self, measurement: str, tags: Mapping[str, str], since_wall_s: float, until_wall_s: float, max_points: int = 500
    ) -> list[Series]:
        """One series per field and set of tags, points (wall_s, value) in ascending time."""
        ...


class Past:
    """Handlers of these calls. history: None = nothing is kept."""

    def __init__(self, clock: Clock, history: Callable[[], History | None]) -> None:
        self._clock, self._history = clock, history

    def routes(self) -> list[web.RouteDef]:
        """The routes of this file."""
        return [web.get("/api/v1/history", self._points), web.get("/api/v1/sessions", self._sessions)]

    async def _points(self, request: web.Request) -> web.Response:
        query = read_query(request, HistoryQuery, tags=True)
        series = await self._query(query, HISTORY_SPAN_S)
        return answer_json({"measurement": query.measurement, "series": [dataclasses.asdict(line) for line in series]})

    async def _sessions(self, request: web.Request) -> web.Response:
        query = read_query(request, HistoryQuery, tags=True, fixed={"measurement": SESSION_MEASUREMENT, "max_points": MAX_POINTS})
        return answer_json({"sessions": _rows(await self._query(query, SESSIONS_SPAN_S))})

    async def _query(self, query: HistoryQuery, span_s: float) -> list[Series]:
        """Nothing without a history. Raises ApiError: 422 for a window that ends before it begins, 503 when the history cannot be read."""
        until_wall_s = self._clock.stamp().wall_s if query.until is None else query.until
        since_wall_s = max(0.0, until_wall_s - span_s) if query.since is None else query.since
        if since_wall_s > until_wall_s:
            raise ApiError.of_field(422, "since", "is later than until")
        history = self._history()
        if history is None:
            return []
        try:
            return await history.query(query.measurement, query.tags, since_wall_s, until_wall_s, query.max_points)
        except Exception as error:
            # The store is another program's or a disk's business: whatever it raises, the API stays up and says so.
            log.warning("the history cannot be read: %s", error)
            raise ApiError(
                503, "The history cannot be read now; points are still being collected.", headers={"Retry-After": "10"}
            ) from None


def _rows(series: Iterable[Series]) -> list[dict[str, Any]]:
    """Series of several fields as rows: one per set of tags and moment, oldest first."""
    rows: dict[tuple[float, tuple[tuple[str, str], ...]], dict[str, Any]] = {}
    for line in series:
        for wall_s, value in line.points:
            key = (wall_s, tuple(sorted(line.tags.items())))
            rows.setdefault(key, {"wall_s": wall_s, "tags": line.tags, "fields": {}})["fields"][line.field] = value
    return [rows[key] for key in sorted(rows)]
