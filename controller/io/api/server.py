"""Shell: the web page and the HTTP API.

Serves the picture of the site (``Snapshot``) as JSON and as Prometheus text, serves the page's own files, and puts the parts of the
API together, a file each. Decides nothing about energy: a limit handed in here is a fact like one from MQTT. No request, however
wrong, ends in anything but a 4xx with a sentence (B33-B35); who may call is in ``rules``.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from aiohttp import web

from controller.config import Config
from controller.facts import EvseKey
from controller.io.api import metrics, openapi, pages
from controller.io.api import rules as api_rules
from controller.io.api.callbacks import Callbacks, Called, is_callback
from controller.io.api.commissioning import Trials
from controller.io.api.explain import Explain
from controller.io.api.faces import Faces
from controller.io.api.limits import FleetLimits
from controller.io.api.models import MAX_BODY_BYTES, ApiError, EventsQuery, read_query
from controller.io.api.needs import Needs
from controller.io.api.past import History, Past
from controller.io.api.picture import answer_json
from controller.io.api.signals import Notify, Record, Signals
from controller.io.api.stream import Stream
from controller.io.api.traffic import Traffic, is_private
from controller.io.api.why import Reasons
from controller.io.links.door import quiet_log
from controller.io.links.tap import Tap
from controller.io.shell import Clock, Submit, Trace, Why, listen_error
from controller.orders import AnswerLimit, Order
from controller.snapshot import Snapshot

log = logging.getLogger(__name__)

KEEPALIVE_S = 75.0  # an idle connection is closed after this time; aiohttp's own choice is an hour
SHUTDOWN_S = 1.0

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


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
        self._limits = FleetLimits(config, clock, submit)
        self._stopping = asyncio.Event()
        self._stream = Stream(clock, snapshot, period_s, self._stopping)
        self._token: str | None = None
        self._no_token = ""
        self._files: dict[str, pages.StoredFile | pages.LaterFile] = {}
        self._runner: web.AppRunner | None = None
        self.tap: Tap | None = None
        self.trace: Trace | None = None
        self.why: Why | None = None
        self.called: Called | None = None  # set by the app: servers that we asked to call us
        self.notify: Notify | None = None  # set by the app: statements of sources go to their drivers
        self.record: Record | None = None
        self.ignored: Callable[[], int] | None = None  # set by the app: messages of the broker that nobody asked for
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
        add("/api/v1/health", self._health)
        add("/api/v1/openapi.json", self._document)
        add("/metrics", self._metrics)
        app.router.add_routes(self._limits.routes())
        app.router.add_routes(Past(self._clock, lambda: self._history).routes())
        app.router.add_routes(self._stream.routes())
        app.router.add_routes(Needs(self._clock, self._submit, lambda: self._snapshot(), self._known_evse).routes())
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

    def _load_files(self) -> dict[str, pages.StoredFile | pages.LaterFile]:
        files: dict[str, pages.StoredFile | pages.LaterFile] = dict(pages.page_files())
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
        file = await self._files[resource.canonical if resource else "/"].stored()
        return file.answer(request)

    # -- reading calls ----------------------------------------------------------------------

    async def _state(self, request: web.Request) -> web.Response:
        return answer_json(self._snapshot())

    async def _events(self, request: web.Request) -> web.Response:
        query = read_query(request, EventsQuery)
        return answer_json({"events": [event for event in self._snapshot().events if event.number > query.after]})

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
        return answer_json(body, status=503 if status == "failing" else 200)

    async def _document(self, request: web.Request) -> web.Response:
        return answer_json(openapi.document(self._snapshot().version))

    async def _metrics(self, request: web.Request) -> web.Response:
        ignored = self.ignored() if self.ignored is not None else None
        text = metrics.prometheus_text(self._snapshot(), metrics.spool_of(self._history), ignored)
        return web.Response(body=text.encode(), headers={"Content-Type": metrics.CONTENT_TYPE})

    def _known_evse(self, station_id: str, evse_text: str) -> EvseKey:
        station = self._config.station(station_id)
        evse_id = next((evse.id for evse in station.evses if str(evse.id) == evse_text), None) if station else None
        if evse_id is None:
            raise ApiError.of_field(404, "evse" if station else "station", "is not in this site's configuration")
        return EvseKey(station_id, evse_id)
