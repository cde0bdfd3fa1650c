"""The part of the HTTP API that shows messages: the tap, the queue for the CSMS, what was given up.

Messages name people's id tokens, so these calls need the same right as changing ones, reading too (``rules``):
the bearer token, or a loopback address where none is configured. Passwords and keys are not shown to anybody.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable
from typing import Any, Protocol

from aiohttp import web
from aiohttp_sse import sse_response
from pydantic import Field

from controller import __version__
from controller.config import Config
from controller.facts import MaintenanceOpened, OutboxRow, ParkedReturned
from controller.io.api.models import ApiError, Body, Number, checked, read_json, read_query
from controller.io.api.picture import to_json
from controller.io.api.queue import Page, QueueReader
from controller.io.journal.rows import JournalError
from controller.io.links.tap import Listener, Tap, Want
from controller.io.shell import Clock, Submit

log = logging.getLogger(__name__)

PRIVATE_PATHS = ("/api/v1/tap", "/api/v1/queue", "/api/v1/parked", "/api/v1/commissioning")
"""Whatever begins so needs the right to change things even for reading."""

TRANSCRIPT_FORMAT = 1
MAX_TAPS = 16
MAX_PAGE = 1000
MAX_RETURNED = 10_000
MAX_MAINTENANCE_MIN = 24 * 60.0
WAIT_S = 0.25
PING_S = 15.0
SEND_TIMEOUT_S = 20.0
BATCH = 200
"""Records sent before others get their turn on the loop."""


class TapQuery(Body):
    """What to listen to."""

    station: str | None = Field(default=None, max_length=64, description="Only this station, or the depot of this identity.")
    action: str | None = Field(
        default=None,
        max_length=500,
        pattern=r"^[A-Za-z0-9_\-]+(,[A-Za-z0-9_\-]+)*$",
        description="Only these actions and the answers to them, a comma between two.",
    )
    direction: str | None = Field(default=None, pattern="^(up|down)$", description="up: from the station towards the CSMS; down: the other way.")
    leg: str | None = Field(default=None, max_length=80, pattern=r"^(station|csms|mirror:.+)$", description="station, csms or mirror:<id>.")


class QueueQuery(Body):
    """Which page of the stations' queues."""

    after: str = Field(default="", max_length=64, description="Only stations behind this one: next of the page before.")
    limit: int = Field(default=100, ge=1, le=MAX_PAGE, description="At most so many.")


class RowsQuery(Body):
    """Which page of rows."""

    after: int = Field(default=0, ge=0, le=2**62, description="Only rows with a higher number: next of the page before.")
    limit: int = Field(default=100, ge=1, le=MAX_PAGE, description="At most so many.")


class ParkedQuery(RowsQuery):
    """Which page of the messages that were given up."""

    station: str | None = Field(default=None, max_length=64, description="Only this station's.")


class ExportQuery(Body):
    """Which of the messages that were given up."""

    station: str | None = Field(default=None, max_length=64, description="Only this station's.")


class ReturnBody(Body):
    """Which messages that were given up shall be sent again. numbers, or all of a station, or both."""

    numbers: tuple[int, ...] | None = Field(default=None, min_length=1, max_length=MAX_RETURNED, description="Their numbers; default: all.")
    station: str | None = Field(default=None, max_length=64, description="Only this station's; default: all stations.")


class MaintenanceBody(Body):
    """How long a CSMS may move the station away from Yardmaster."""

    minutes: Number = Field(strict=True, ge=0, le=MAX_MAINTENANCE_MIN, description="Minutes from now; 0 ends an open window.")


class Stream(Protocol):
    """A started answer with server-sent events."""

    def is_connected(self) -> bool:
        """Whether the peer still listens."""
        ...

    async def send(self, data: str, *, id: str | None = None, event: str | None = None, retry: int | None = None) -> None:
        """One event."""
        ...


class Traffic:
    """Handlers of these calls. tap: how to reach the tap, None before the app gave one. stopping: set when the server ends."""

    def __init__(self, config: Config, clock: Clock, submit: Submit, tap: Callable[[], Tap | None], stopping: asyncio.Event) -> None:
        self._config = config
        self._clock = clock
        self._submit = submit
        self._tap = tap
        self._stopping = stopping
        self._queue = QueueReader(config.data_dir)
        self._taps = 0
        self._depots = {config.identity_of(upstream) for upstream in config.upstreams if upstream.face == "depot"}

    def routes(self) -> list[web.RouteDef]:
        """Everything served here."""
        return [
            web.get("/api/v1/tap", self.tap, allow_head=False),
            web.get("/api/v1/queue", self.queue),
            web.get("/api/v1/queue/{station}", self.station_queue),
            web.get("/api/v1/parked", self.parked),
            web.get("/api/v1/parked/export", self.export, allow_head=False),
            web.post("/api/v1/parked/requeue", self.requeue),
            web.post("/api/v1/stations/{station}/maintenance", self.maintenance),
        ]

    # -- tap ----------------------------------------------------------------------------------------

    async def tap(self, request: web.Request) -> web.StreamResponse:
        """Live frames as server-sent events: ``start``, then ``seen`` and ``lost``."""
        query = read_query(request, TapQuery)
        if query.station not in self._depots:
            self._known(query.station)
        tap = self._tap()
        if tap is None:
            raise ApiError(503, "This controller has no tap.")
        if self._taps >= MAX_TAPS:
            raise ApiError(503, f"{MAX_TAPS} taps are open already; close one.", headers={"Retry-After": "5"})
        actions = frozenset(query.action.lower().split(",")) if query.action else frozenset()
        listener = tap.open(Want(query.station, actions, query.direction, query.leg))
        self._taps += 1
        stream: web.StreamResponse = web.Response()
        try:
            async with sse_response(request, ping_interval=PING_S, send_timeout=SEND_TIMEOUT_S) as stream:
                await stream.send(to_json(self._start(tap, query.station)), event="start")
                await self._pour(request, stream, listener)
        except (ConnectionResetError, TimeoutError):
            log.debug("a tap went away")
        finally:
            self._taps -= 1
            tap.close(listener)
        return stream

    def _start(self, tap: Tap, station_id: str | None) -> dict[str, Any]:
        """What a transcript begins with."""
        stamp = self._clock.stamp()
        return {
            "transcript": TRANSCRIPT_FORMAT,
            "site": self._config.site.id,
            "yardmaster": __version__,
            "wall_s": stamp.wall_s,
            "mono_s": stamp.mono_s,
            "wall_speed": stamp.wall_speed,
            "stations": [state for state in tap.state() if station_id in (None, state["station"])],
        }

    async def _pour(self, request: web.Request, stream: Stream, listener: Listener) -> None:
        while stream.is_connected() and request.transport is not None and not self._stopping.is_set():
            if not await listener.wait(WAIT_S):
                continue
            lost, texts = listener.take()
            if lost:
                await stream.send(to_json({"lost": lost}), event="lost")
            for number, text in enumerate(texts, 1):
                await stream.send(text, event="seen")
                if number % BATCH == 0:
                    await asyncio.sleep(0)

    # -- queue --------------------------------------------------------------------------------------

    async def queue(self, request: web.Request) -> web.Response:
        """What waits, per station."""
        query = read_query(request, QueueQuery)
        return _page("stations", await self._read(lambda: self._queue.stations(query.after, query.limit)))

    async def station_queue(self, request: web.Request) -> web.Response:
        """What waits of one station, per transaction."""
        station_id = request.match_info["station"]
        self._known(station_id)
        query = read_query(request, RowsQuery)
        page = await self._read(lambda: self._queue.transactions(station_id, query.after, query.limit))
        return _page("transactions", page, station_id=station_id)

    async def parked(self, request: web.Request) -> web.Response:
        """Messages that were given up."""
        query = read_query(request, ParkedQuery)
        self._known(query.station)
        return _page("messages", await self._read(lambda: self._queue.parked(query.station or "", query.after, query.limit)))

    async def export(self, request: web.Request) -> web.StreamResponse:
        """All messages that were given up, one JSON object a line."""
        query = read_query(request, ExportQuery)
        self._known(query.station)
        first = await self._read(lambda: self._queue.parked(query.station or "", 0, MAX_PAGE))
        headers = {"Content-Type": "application/x-ndjson", "Content-Disposition": 'attachment; filename="parked.jsonl"'}
        response = web.StreamResponse(headers=headers)
        await response.prepare(request)
        async for page in self._pages(first, query.station or ""):
            await response.write("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in page.rows).encode())
        await response.write_eof()
        return response

    async def _pages(self, page: Page, station_id: str) -> AsyncIterator[Page]:
        yield page
        while page.next is not None:
            after = int(page.next)
            page = await self._read(lambda after=after: self._queue.parked(station_id, after, MAX_PAGE))  # type: ignore[misc]
            yield page

    async def requeue(self, request: web.Request) -> web.Response:
        """Messages that were given up go up again."""
        body = checked(ReturnBody, await read_json(request))
        self._known(body.station)
        rows = await self._read(lambda: self._chosen(body))
        missing = sorted(set(body.numbers or ()) - {row.number for row in rows})
        if missing:
            raise ApiError.of_field(404, "numbers", f"no message given up has the number {missing[0]}; nothing was changed")
        stamp = self._clock.stamp()
        for station_id in dict.fromkeys(row.station_id for row in rows):
            self._submit(ParkedReturned(stamp, station_id, tuple(row for row in rows if row.station_id == station_id)))
        return web.json_response(text=to_json({"requeued": len(rows), "more": len(rows) >= MAX_RETURNED}), status=202)

    def _chosen(self, body: ReturnBody) -> tuple[OutboxRow, ...]:
        wanted = None if body.numbers is None else set(body.numbers)
        rows: list[OutboxRow] = []
        for row in self._queue.all_parked(body.station or ""):
            if wanted is None or row["number"] in wanted:
                rows.append(OutboxRow(parked=True, **row))
            if len(rows) >= MAX_RETURNED:
                break
        return tuple(rows)

    async def _read(self, read: Callable[[], Any]) -> Any:
        try:
            return await asyncio.to_thread(read)
        except JournalError as error:
            log.warning("the queue cannot be read: %s", error)
            raise ApiError(503, "The journal cannot be read now; messages are kept all the same.", headers={"Retry-After": "10"}) from None

    # -- maintenance --------------------------------------------------------------------------------

    async def maintenance(self, request: web.Request) -> web.Response:
        """Let a CSMS move a station for a while."""
        station_id = request.match_info["station"]
        self._known(station_id)
        body = checked(MaintenanceBody, await read_json(request))
        stamp = self._clock.stamp()
        self._submit(MaintenanceOpened(stamp, station_id, 60.0 * body.minutes))
        ends_wall_s = stamp.wall_in(60.0 * body.minutes) if body.minutes else None
        return web.json_response(text=to_json({"station_id": station_id, "minutes": body.minutes, "ends_wall_s": ends_wall_s}), status=202)

    def _known(self, station_id: str | None) -> None:
        if station_id is not None and self._config.station(station_id) is None:
            raise ApiError.of_field(404, "station", "is not in this site's configuration")


def is_private(request: web.Request) -> bool:
    """Whether a call shows messages. Asks what was routed, not how the path was written."""
    resource = request.match_info.route.resource
    return resource is not None and resource.canonical.startswith(PRIVATE_PATHS)


def _page(name: str, page: Page, **more: Any) -> web.Response:
    return web.json_response(text=to_json({**more, name: page.rows, "next": page.next}))
