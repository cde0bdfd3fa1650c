"""The only place that knows every part: builds them, starts them in order, stops them in reverse.

    journal -> solver, history -> page and API, MQTT, Modbus -> upstream -> stations -> system

What the journal held is the engine's first fact. Facts that arrive while the parts start wait
in the inbox behind it. From then on ``submit`` is the engine's only door: facts are handled one
after the other, and every order goes to the shell that carries its type.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from controller.config import Config
from controller.engine import Engine
from controller.facts import EvseKey, Fact, TimePassed
from controller.io.clock import fresh_seed
from controller.io.journal.shell import JournalShell
from controller.io.links.stations import StationsShell
from controller.io.links.tap import Tap, TapUser
from controller.io.links.upstream import UpstreamShell
from controller.io.shell import Clock, Shell, StartError, Submit, Topics, TopicUser, TraceUser, WhyUser
from controller.io.system import SystemShell, on_stop_signal
from controller.io.tasks import end, keep
from controller.orders import (
    AnswerEvent,
    AnswerLimit,
    AnswerSignal,
    Order,
    Publish,
    RecordCompliance,
    RecordPoint,
    Severity,
    SolvePlan,
    Tell,
    TellSource,
)
from controller.snapshot import Snapshot, WhyView

log = logging.getLogger("yardmaster")

STOP_S = 2.5
JOURNAL_STOP_S = 1.0
"""Of STOP_S, kept for the journal, which stops last: what is queued for it must reach the disk."""

OPTIONAL: frozenset[type[Order]] = frozenset(
    {Publish, RecordPoint, RecordCompliance, SolvePlan, AnswerSignal, AnswerLimit, AnswerEvent, TellSource}
)
"""Orders for neighbours a site may lack (no broker is legal): without one they end here."""

TELEMETRY: frozenset[type[Order]] = frozenset({Publish, RecordPoint})
"""Orders that are dropped while memory is nearly used up (F71); what they tell is told again soon."""

_LEVELS = {Severity.INFO: logging.INFO, Severity.WARNING: logging.WARNING, Severity.ALARM: logging.ERROR}


@dataclass(frozen=True, slots=True)
class Part:
    """A shell and the name it has in log lines."""

    name: str
    shell: Shell


BuildParts = Callable[[Config, Clock, Submit, Callable[[], Snapshot]], Sequence[Part]]


class App:
    """One running controller.

    seed: fixes all ids and jitters, for tests; None draws a fresh one. build: makes the
    neighbours beside journal, upstream, stations and system, in start order.
    """

    def __init__(self, config: Config, clock: Clock, *, seed: str | None = None, build: BuildParts | None = None) -> None:
        self._config = config
        self._clock = clock
        self.engine = build_engine(config, seed or fresh_seed())
        self.journal = JournalShell(config, clock, self.submit)
        self.upstream = UpstreamShell(config, clock, self.submit)
        self.stations = StationsShell(config, clock, self.submit)
        self.system = SystemShell(config, clock, self.submit)
        neighbours = (build or build_neighbours)(config, clock, self.submit, self.snapshot)
        self.parts: tuple[Part, ...] = (
            Part("journal", self.journal),
            *neighbours,
            Part("upstream", self.upstream),
            Part("stations", self.stations),
            Part("system", self.system),
        )
        self.tap = Tap(config, lambda: self.engine.links.view(), lambda: self.engine.links.faces(), lambda name: self.engine.links.translates(name))
        broker = next((part.shell for part in self.parts if isinstance(part.shell, Topics)), None)
        for part in self.parts:
            if isinstance(part.shell, TopicUser):
                part.shell.topics = broker
            if isinstance(part.shell, TapUser):
                part.shell.tap = self.tap
            if isinstance(part.shell, TraceUser):
                part.shell.trace = self._trace
            if isinstance(part.shell, WhyUser):
                part.shell.why = self._why
        self._carriers: dict[type, Shell] = {kind: part.shell for part in self.parts for kind in part.shell.orders}
        self._inbox: deque[Fact] = deque()
        self._open = False  # facts wait until every part runs
        self._busy = False
        self._thread = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._started: list[Part] = []
        self._ticking: asyncio.Task[None] | None = None
        self._stop_wanted = asyncio.Event()
        self._complained: set[tuple[str, str]] = set()

    def snapshot(self) -> Snapshot:
        """The picture of the site now."""
        return self.engine.snapshot(self._clock.stamp())

    def _trace(self, after: int) -> dict[str, Any]:
        """The trace of commissioning behind a number."""
        site = self.engine.site
        return site.commissioning.view(self._clock.stamp(), site.grants, after)

    def _why(self, key: EvseKey) -> WhyView | None:
        """The chain of limits behind a setpoint."""
        return self.engine.why(key, self._clock.stamp())

    def port_of(self, name: str) -> int:
        """The TCP port a part named "stations" or "api" listens on; 0 if it does not listen."""
        return next((int(getattr(part.shell, "port", 0)) for part in self.parts if part.name == name), 0)

    # -- life -----------------------------------------------------------------------------------

    async def start(self) -> None:
        """Start every part, then let facts in. Raises StartError; whatever had started is stopped again."""
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()
        try:
            for part in self.parts:
                self._started.append(part)
                await self._start(part)
        except BaseException:
            await self.stop()
            raise
        self._open = True
        self._drain()
        self._ticking = keep(self._tick, "control loop")
        self.system.ready()
        listen, api = self._config.listen, self._config.api
        if self.stations.port:
            log.info("stations connect to ws://%s:%d%s/<identity>", reachable(listen.host), self.stations.port, listen.path.rstrip("/"))
        if listen.tls is not None:
            host, port = reachable(listen.tls.host or listen.host), self.stations.tls_port
            log.info("stations connect to wss://%s:%d%s/<identity>", host, port, listen.path.rstrip("/"))
        if self.port_of("api"):
            log.info("the page is at http://%s:%d/", reachable(api.host), self.port_of("api"))

    async def run_until_stopped(self) -> None:
        """Start, run until SIGINT, SIGTERM or ``request_stop``, stop. Raises StartError."""
        restore = on_stop_signal(self.request_stop)
        try:
            await self.start()
            await self._stop_wanted.wait()
        finally:
            await self.stop()
            restore()
        log.info("stopped")

    def request_stop(self) -> None:
        """End ``run_until_stopped``."""
        self.system.again = False
        self._stop_wanted.set()

    def request_restart(self) -> None:
        """The same, and the process begins a new life afterwards, unless it is told to stop before or meanwhile."""
        if self._stop_wanted.is_set():
            return
        self.system.again = True
        self._stop_wanted.set()

    @property
    def restarts(self) -> bool:
        """Whether ``request_restart`` came, and no ``request_stop``."""
        return self.system.again

    @property
    def told_to_stop(self) -> bool:
        """Whether ``request_stop`` came."""
        return self._stop_wanted.is_set() and not self.system.again

    async def stop(self) -> None:
        """Stop what was started, in reverse, in less than three seconds."""
        self.system.stopping()
        if self._ticking is not None:
            await end([self._ticking])
            self._ticking = None
        loop = asyncio.get_running_loop()
        deadline_s = loop.time() + STOP_S
        while self._started:
            part = self._started.pop()
            kept_s = 0.0 if part.shell is self.journal else JOURNAL_STOP_S
            await self._stop(part, max(0.1, deadline_s - kept_s - loop.time()))
        self._open = False

    async def _start(self, part: Part) -> None:
        try:
            await part.shell.start()
        except StartError:
            raise
        except OSError as error:
            raise StartError(f"{part.name} cannot start: {error.strerror or error}") from error
        except Exception as error:
            log.exception("%s cannot start", part.name)
            raise StartError(
                f"{part.name} cannot start because of a defect ({type(error).__name__}); please report it with the lines above"
            ) from error
        if part.shell is self.journal:
            self._inbox.appendleft(self.journal.load())

    async def _stop(self, part: Part, within_s: float) -> None:
        task = asyncio.get_running_loop().create_task(part.shell.stop(), name=f"stop {part.name}")
        done, _ = await asyncio.wait([task], timeout=within_s)
        if not done:
            log.error("%s did not stop within %.1f s and is left behind", part.name, within_s)
            task.cancel()
        elif (error := task.exception()) is not None:
            log.error("%s failed while stopping", part.name, exc_info=error)

    async def _tick(self) -> None:
        """Submit TimePassed on a fixed beat. A beat that was missed is skipped, not made up for."""
        loop = asyncio.get_running_loop()
        tick_s = self._config.control.tick_s
        due_s = loop.time()
        while True:
            self.submit(TimePassed(self._clock.stamp()))
            self.system.beat()
            self.stations.crowded = self.system.tight
            due_s += tick_s
            late_s = loop.time() - due_s
            if late_s > 0:
                due_s += tick_s * (late_s // tick_s + 1)
            await asyncio.sleep(due_s - loop.time())

    # -- facts and orders -----------------------------------------------------------------------

    def submit(self, fact: Fact) -> None:
        """Hand a fact to the engine and its orders to the shells. Callable from anywhere, even while it runs."""
        if threading.get_ident() != self._thread and self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop has closed: nobody is left to tell
                self._loop.call_soon_threadsafe(self.submit, fact)
            return
        self._inbox.append(fact)
        if self._open:
            self._drain()

    def _drain(self) -> None:
        if self._busy:
            return
        self._busy = True
        try:
            while self._inbox:
                fact = self._inbox.popleft()
                orders = self._handle(fact)
                if self.tap.listening:
                    self.tap.see(fact, orders)
                for order in orders:
                    self._carry(order)
        finally:
            self._busy = False

    def _handle(self, fact: Fact) -> list[Order]:
        try:
            return self.engine.handle(fact)
        except Exception as error:  # a defect must not stop the loop that keeps the fuse
            self._complain(f"the engine failed on {type(fact).__name__}", error)
            return []

    def _carry(self, order: Order) -> None:
        if isinstance(order, Tell):
            log.log(_LEVELS[order.severity], "%s: %s", order.subject, order.text)
            return
        shell = self._carriers.get(type(order))
        if shell is None:
            if type(order) not in OPTIONAL:
                self._complain(f"nobody carries {type(order).__name__}", LookupError("no such shell"))
            return
        if self.system.tight and type(order) in TELEMETRY:
            return
        try:
            shell.carry(order)
        except Exception as error:
            self._complain(f"{type(shell).__name__} failed on {type(order).__name__}", error)

    def _complain(self, what: str, error: Exception) -> None:
        """Log a defect with its traceback the first time, not a thousand times a second."""
        key = (what, repr(error))
        if key not in self._complained and len(self._complained) < 1000:
            self._complained.add(key)
            log.error("internal error, please report it: %s", what, exc_info=error)


def reachable(host: str) -> str:
    """A listening address as a person would dial it: nobody can dial 0.0.0.0."""
    if host in ("", "0.0.0.0", "::"):
        return socket.gethostname() or "<this machine>"
    return f"[{host}]" if ":" in host else host


def build_engine(config: Config, seed: str) -> Engine:
    """The engine with the charger models that ship with the program. Raises StartError."""
    from controller.io.chargers import ChargerFileError, load_chargers
    from controller.io.schemas import shapes
    from controller.paths import config_dir

    try:
        return Engine(config, seed, load_chargers(config_dir() / "chargers"), shapes())
    except ChargerFileError as error:
        raise StartError(f"a charger model cannot be used: {error}") from None


def build_neighbours(config: Config, clock: Clock, submit: Submit, snapshot: Callable[[], Snapshot]) -> tuple[Part, ...]:
    """Solver, history, page, MQTT and Modbus, in start order. Raises StartError.

    Imported here: each brings a heavy package that no other verb needs.
    """
    from controller.io.api.callbacks import Called
    from controller.io.api.server import ApiShell
    from controller.io.compliance import ComplianceShell
    from controller.io.feeds.shell import FeedsShell
    from controller.io.field.bus import Buses
    from controller.io.field.devices import DevicesShell
    from controller.io.field.http_meters import HttpMetersShell
    from controller.io.field.modbus import ModbusShell
    from controller.io.field.modbus_server import ModbusServerShell
    from controller.io.field.sunspec import SunSpecShell
    from controller.io.files.shell import FilesShell
    from controller.io.history.shell import HistoryShell
    from controller.io.mqtt.shell import MqttShell
    from controller.io.signals.shell import SignalsShell
    from controller.io.solver import SolverShell
    from controller.paths import config_dir
    from meters.template import TemplateError

    history = HistoryShell(config, clock, submit)
    buses = Buses()
    try:
        modbus = ModbusShell(config, clock, submit, config_dir() / "meters", buses)
    except TemplateError as error:
        raise StartError(f"a register map cannot be used: {error}") from None
    broker = MqttShell(config, clock, submit) if config.mqtt is not None else None
    mqtt = (Part("mqtt", broker),) if broker is not None else ()
    asked = any(meter.source.type == "http" for meter in config.meters)
    http_meters = (Part("http meters", HttpMetersShell(config, clock, submit)),) if asked else ()
    discovered = any(meter.source.type == "sunspec" for meter in config.meters)
    sunspec = (Part("sunspec", SunSpecShell(config, clock, submit, buses)),) if discovered else ()
    offered = (Part("modbus server", ModbusServerShell(config, snapshot)),) if config.modbus_server is not None else ()
    depot = any(upstream.face == "depot" for upstream in config.upstreams)
    files = (Part("files", FilesShell(config, clock, submit, snapshot)),) if depot else ()
    sources = SignalsShell(config, clock, submit, buses)
    signals = (Part("signals", sources),) if config.signals else ()
    api = ApiShell(config, clock, submit, snapshot, history)
    compliance = api.record = ComplianceShell(config, clock, submit)
    api.notify = sources.notified
    api.ignored = (lambda: broker.ignored) if broker is not None else None
    api.called = Called(sources.key_of, sources.notified)
    commanded = bool(config.inverters or config.relays or (config.battery is not None and config.battery.command is not None))
    devices = (Part("devices", DevicesShell(config, clock, submit, config_dir() / "meters", buses)),) if commanded else ()
    foretold = bool(config.forecast.pv_plants or config.feeds())
    feeds = (Part("feeds", FeedsShell(config, clock, submit)),) if foretold else ()
    return (
        Part("solver", SolverShell(config, clock, submit)),
        Part("history", history),
        Part("compliance", compliance),
        Part("api", api),
        *mqtt,
        Part("modbus", modbus),
        *sunspec,
        *devices,
        *offered,
        *http_meters,
        *signals,
        *feeds,
        *files,
    )
