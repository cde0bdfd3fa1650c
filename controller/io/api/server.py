"""Shell: the web page and the HTTP API.

Serves the picture of the site (``Snapshot``) as JSON, as a stream of server-sent events and as
Prometheus text, serves the page's own files, and turns the two changing calls into facts. Decides
nothing about energy: a limit handed in here is a fact like one from MQTT. No request, however wrong,
ends in anything but a 4xx with a sentence (B33-B35); who may call is in ``rules``.
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from aiohttp import web
from aiohttp_sse import sse_response

from controller.config import Config
from controller.facts import EvseKey, NeedStated
from controller.io.api import metrics, openapi, pages
from controller.io.api import rules as api_rules
from controller.io.api.callbacks import Callbacks, Called, is_callback
from controller.io.api.commissioning import Trials
from controller.io.api.explain import Explain
from controller.io.api.faces import Faces
from controller.io.api.limits import FleetLimits
from controller.io.api.models import (
    MAX_BODY_BYTES,
    MAX_POINTS,
    ApiError,
    EventsQuery,
    HistoryQuery,
    NeedBody,
    checked,
    read_json,
    read_query,
)
from controller.io.api.picture import Feed, to_json
from controller.io.api.signals import Notify, Record, Signals
from controller.io.api.traffic import Traffic, is_private
from controller.io.api.why import Reasons
from controller.io.links.door import quiet_log
from controller.io.links.tap import Tap
from controller.io.shell import Clock, Submit, Trace, Why, listen_error
from controller.orders import AnswerLimit, Order
from controller.snapshot import Snapshot

if TYPE_CHECKING:
    from controller.io.history.store import Series

log = logging.getLogger(__name__)

MAX_STREAMS = 64
KEEPALIVE_S = 75.0  # an idle connection is closed after this time; aiohttp's own choice is an hour
QUIET_S = 5.0  # without a change the stream tells the time this often, so that a page can tell silence from a lost link
PING_S = 15.0
SEND_TIMEOUT_S = 20.0
SHUTDOWN_S = 1.0
HISTORY_SPAN_S = 3600.0
SESSIONS_SPAN_S = 30 * 86_400.0
SESSION_MEASUREMENT = "session"

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class History(Protocol):
    """Where the points of the past are read from."""

    async def query(
        self, measurement: str, tags: Mapping[str, str], since_wall_s: float, until_wall_s: float, max_points: int = 500
    ) -> list[Series]:
        """One series per field and set of tags, points (wall_s, value) in ascending time."""
        ...


class ApiShell:
    """The HTTP server of the page and the API.

    submit takes the facts of changing calls. tap: set by the app before the start. snapshot gives the picture now. history may be None:
    then history and sessions are empty. period_s: time between two pictures on a stream.
    """

    orders: tuple[type[Order], ...] = (AnswerLimit,)

    def __init__(
        self,
        config: Config,
        clock: Clock,
        submit: Submit,
        snapshot: Callable[[], Snapshot],
        history: History | None = None,
        *,
        period_s: float = 1.0,
    ) -> None:
        self._config = config
        self._clock = clock
        self._submit = submit
        self._snapshot = snapshot
        self._history = history
        self._period_s = period_s
        self._feed = Feed(snapshot, period_s)
        self._limits = FleetLimits(config, clock, submit)
        self._streams = 0
        self._stopping = asyncio.Event()
        self._token: str | None = None
        self._no_token = ""
        self._files: dict[str, pages.StoredFile] = {}
        self._runner: web.AppRunner | None = None
        self.tap: Tap | None = None
        self.trace: Trace | None = None
        self.why: Why | None = None
        self.called: Called | None = None  # set by the app: servers that we asked to call us
        self.notify: Notify | None = None  # set by the app: statements of sources go to their drivers
        self.record: Record | None = None
        self._trials = Trials(config, clock, submit, lambda: self.trace)
        self._traffic = Traffic(config, clock, submit, lambda: self.tap, self._stopping)
        self.port = 0

    def carry(self, order: Order) -> None:
        """Answers for requests that wait; the page itself reads the snapshot."""
        if isinstance(order, AnswerLimit):
            self._limits.answered(order)

    async def start(self) -> None:
        """Listen on ``api.host:api.port``. Raises StartError in one sentence if that cannot be done."""
        api = self._config.api
        self._stopping.clear()
        self._token, self._no_token = self._read_token()
        if self._no_token:
            log.warning("%s Until then nothing can be changed through the API.", self._no_token)
        self._files = await asyncio.to_thread(self._load_files)
        self._runner = web.AppRunner(self.build(), access_log=None, logger=quiet_log, shutdown_timeout=SHUTDOWN_S, keepalive_timeout=KEEPALIVE_S)
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, api.host, api.port).start()
        except OSError as error:
            await self.stop()
            raise listen_error(error, api.host, api.port, "api") from None
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """End all streams and close the port, within 2 s."""
        self._stopping.set()
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()

    def build(self) -> web.Application:
        """The aiohttp application with all routes."""
        app = web.Application(client_max_size=MAX_BODY_BYTES, middlewares=[self._guard])
        app.on_response_prepare.append(api_rules.add_headers)
        for path in self._files:
            app.router.add_get(path, self._file)
        add = app.router.add_get
        add("/api/v1/state", self._state)
        add("/api/v1/events", self._events)
        add("/api/v1/history", self._points)
        add("/api/v1/sessions", self._sessions)
        add("/api/v1/stream", self._stream, allow_head=False)
        add("/api/v1/health", self._health)
        add("/api/v1/openapi.json", self._document)
        add("/metrics", self._metrics)
        app.router.add_routes(self._limits.routes())
        app.router.add_post("/api/v1/evses/{station}/{evse}/need", self._state_need)
        app.router.add_routes(Reasons(self._known_evse, lambda: self.why).routes())
        app.router.add_routes(Explain(self._snapshot).routes())
        app.router.add_routes(Faces(self._config, self._clock, self._submit, self._snapshot).routes())
        app.router.add_routes(Callbacks(lambda: self.called).routes())
        app.router.add_routes(Signals(self._config, self._clock, self._snapshot, lambda: self.notify, lambda: self.record).routes())
        app.router.add_routes(self._traffic.routes())
        app.router.add_routes(self._trials.routes())
        return app

    # -- start-up ---------------------------------------------------------------------------

    def _read_token(self) -> tuple[str | None, str]:
        """(token, why there is none although one is configured). A missing secret locks its own door only (F83)."""
        api = self._config.api
        if api.token is not None:
            return api.token.get_secret_value(), ""
        if api.token_file is None:
            return None, ""
        try:
            token = api.token_file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            return None, f"api.token_file {api.token_file} cannot be read ({error.__class__.__name__}); check the path and its permissions."
        if not token:
            return None, f"api.token_file {api.token_file} is empty; write the token into it, or remove api.token_file from site.yaml."
        return token, ""

    def _load_files(self) -> dict[str, pages.StoredFile]:
        files = pages.page_files()
        plotly = pages.plotly_file()
        if plotly is None:
            log.warning("the plotly package carries no chart library: the page shows numbers without charts")
            return files
        return files | {pages.PLOTLY_PATH: plotly}

    # -- every request ----------------------------------------------------------------------

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Check the rights, and turn everything that goes wrong into a JSON answer."""
        try:
            api_rules.check_host(request, self._config.api.host)
            if request.method not in ("GET", "HEAD", "OPTIONS") or is_private(request):
                api_rules.check_origin(request)
            if (request.method not in ("GET", "HEAD", "OPTIONS") or is_private(request)) and not is_callback(request):
                if self._no_token:
                    raise ApiError(403, f"Changing calls and those that show messages are off: {self._no_token}")
                api_rules.check_token(request, self._token, self._config.api.host)
            return await handler(request)
        except ApiError as error:
            return error.response()
        except web.HTTPMethodNotAllowed as error:
            allowed = ", ".join(sorted(error.allowed_methods))
            return ApiError(405, f"{request.method} is not possible here; use {allowed}.", headers={"Allow": allowed}).response()
        except web.HTTPException as error:
            return ApiError(
                error.status, "There is nothing under this address." if error.status == 404 else error.reason
            ).response()
        except (ConnectionResetError, asyncio.CancelledError):
            raise
        except Exception:
            # A bug of ours must not leave as a traceback, nor end the server.
            log.exception("a request to %s failed", request.path)
            return ApiError(
                500, "The controller made a mistake answering this; it is in the log. Control of the site goes on."
            ).response()

    async def _file(self, request: web.Request) -> web.Response:
        resource = request.match_info.route.resource
        return self._files[resource.canonical if resource else "/"].answer(request)

    # -- reading calls ----------------------------------------------------------------------

    async def _state(self, request: web.Request) -> web.Response:
        return _json(self._snapshot())

    async def _events(self, request: web.Request) -> web.Response:
        query = read_query(request, EventsQuery)
        return _json({"events": [event for event in self._snapshot().events if event.number > query.after]})

    async def _points(self, request: web.Request) -> web.Response:
        query = read_query(request, HistoryQuery, tags=True)
        series = await self._query(query, HISTORY_SPAN_S)
        return _json({"measurement": query.measurement, "series": [dataclasses.asdict(line) for line in series]})

    async def _sessions(self, request: web.Request) -> web.Response:
        query = read_query(request, HistoryQuery, tags=True, fixed={"measurement": SESSION_MEASUREMENT, "max_points": MAX_POINTS})
        return _json({"sessions": _rows(await self._query(query, SESSIONS_SPAN_S))})

    async def _query(self, query: HistoryQuery, span_s: float) -> list[Series]:
        """Nothing without a history. Raises ApiError: 422 for a window that ends before it begins, 503 when the history cannot be read."""
        until_wall_s = self._clock.stamp().wall_s if query.until is None else query.until
        since_wall_s = max(0.0, until_wall_s - span_s) if query.since is None else query.since
        if since_wall_s > until_wall_s:
            raise ApiError.of_field(422, "since", "is later than until")
        if self._history is None:
            return []
        try:
            return await self._history.query(query.measurement, query.tags, since_wall_s, until_wall_s, query.max_points)
        except Exception as error:
            # The store is another program's or a disk's business: whatever it raises, the API stays up and says so.
            log.warning("the history cannot be read: %s", error)
            raise ApiError(
                503, "The history cannot be read now; points are still being collected.", headers={"Retry-After": "10"}
            ) from None

    async def _health(self, request: web.Request) -> web.Response:
        picture = self._snapshot()
        troubles = [
            f"{source.name}: {source.health}" + (f" ({source.detail})" if source.detail else "")
            for source in picture.site.sources
            if source.health in ("late", "lost")
        ]
        status = {"normal": "ok", "degraded": "degraded"}.get(picture.site.mode, "failing")
        body = {
            "status": status,
            "mode": picture.site.mode,
            "reason": picture.site.mode_reason,
            "version": picture.version,
            "troubles": troubles,
        }
        return _json(body, status=503 if status == "failing" else 200)

    async def _document(self, request: web.Request) -> web.Response:
        return _json(openapi.document(self._snapshot().version))

    async def _metrics(self, request: web.Request) -> web.Response:
        return web.Response(
            body=metrics.prometheus_text(self._snapshot(), metrics.spool_of(self._history)).encode(), headers={"Content-Type": metrics.CONTENT_TYPE}
        )

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        if self._streams >= MAX_STREAMS:
            raise ApiError(503, f"{MAX_STREAMS} pages are open already; close one.", headers={"Retry-After": "5"})
        self._streams += 1
        stream: web.StreamResponse = web.Response()  # for a page that is gone before its stream begins
        try:
            async with sse_response(request, ping_interval=PING_S, send_timeout=SEND_TIMEOUT_S) as stream:
                await self._feed_stream(request, stream)
        except (ConnectionResetError, TimeoutError):
            log.debug("a page went away")
        finally:
            self._streams -= 1
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

    # -- changing calls ---------------------------------------------------------------------

    async def _state_need(self, request: web.Request) -> web.Response:
        key = self._known_evse(request.match_info["station"], request.match_info["evse"])
        body = checked(NeedBody, await read_json(request))
        stamp = self._clock.stamp()
        if body.departure is not None and stamp.wall_trusted and body.departure <= stamp.wall_s:
            raise ApiError.of_field(422, "departure", "lies in the past")
        running = self._running(key)
        if running is None:
            raise ApiError.of_field(409, "evse", "has no charging session now; state the need when the car is plugged in")
        if body.transaction_id not in (None, running):
            raise ApiError.of_field(409, "transaction_id", "is not the session running at this EVSE now")
        self._submit(NeedStated(stamp, key, body.energy_wh, body.departure, "api"))
        return _json(
            {
                "station_id": key.station_id,
                "evse_id": key.evse_id,
                "energy_wh": body.energy_wh,
                "departure_wall_s": body.departure,
            },
            status=202,
        )

    def _known_evse(self, station_id: str, evse_text: str) -> EvseKey:
        station = self._config.station(station_id)
        evse_id = next((evse.id for evse in station.evses if str(evse.id) == evse_text), None) if station else None
        if evse_id is None:
            raise ApiError.of_field(404, "evse" if station else "station", "is not in this site's configuration")
        return EvseKey(station_id, evse_id)

    def _running(self, key: EvseKey) -> str | None:
        evses = self._snapshot().site.evses
        return next((evse.transaction_id for evse in evses if (evse.station_id, evse.evse_id) == key), None)


def _json(value: Any, status: int = 200) -> web.Response:
    return web.json_response(text=to_json(value), status=status)


def _rows(series: Iterable[Series]) -> list[dict[str, Any]]:
    """Series of several fields as rows: one per set of tags and moment, oldest first."""
    rows: dict[tuple[float, tuple[tuple[str, str], ...]], dict[str, Any]] = {}
    for line in series:
        for wall_s, value in line.points:
            key = (wall_s, tuple(sorted(line.tags.items())))
            rows.setdefault(key, {"wall_s": wall_s, "tags": line.tags, "fields": {}})["fields"][line.field] = value
    return [rows[key] for key in sorted(rows)]
