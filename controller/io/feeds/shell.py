"""Shell: feeds of prices, CO2 and forecasts, one task each.

A look at a feed ends in a ``SeriesTold`` (whatever it tells, new or not: ``site.series`` sees what changed and keeps it on disk) and in a
``SourceChanged`` when it begins or ceases to work. What was told stays in force, so a feed that is away costs nothing until its last price
has passed. ``timing`` says when it is asked, ``questions`` what, ``http`` how; ``sunlight`` keeps the clear sky of the PV
plants. Decides nothing about energy.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from dataclasses import replace
from stat import S_ISREG
from zoneinfo import ZoneInfo

import aiohttp

from controller.config import Config
from controller.config_prices import FileFeed, HttpFeed, MqttFeed, PriceFeed
from controller.facts import SeriesKind, SeriesTold, SourceChanged
from controller.io.feeds.http import CONNECT_S, DEADLINE_S, MOST_BYTES, AskError, Way, ask, trust_of
from controller.io.feeds.questions import DayAhead, WebFeed, judged, questions, read
from controller.io.feeds.sunlight import Sunlight
from controller.io.feeds.timing import Record, wait_s
from controller.io.shell import Clock, Submit, Topics
from controller.io.tasks import end, keep
from controller.orders import Order
from controller.site.plans.series import FEEDS, origin_of, source_of
from signals.prices.plain import decode_file, decode_payload
from signals.prices.slots import PriceError, Slots

log = logging.getLogger(__name__)

PRICES = (SeriesKind.BUY, SeriesKind.SELL)
CLOCK_S = 5.0
"""While nobody knows what time it is, no day can be asked for; looked again after this [s]."""
LEAST_WAIT_S = 1.0
AFRESH_S = 86_400.0
"""What has not changed is read again once a day: the site keeps a part of a long series only, and drops what cannot be used [wall s]."""
Sleep = Callable[[float], Awaitable[None]]


class _Told:
    """What one feed tells the site. key: of ``site.series.FEEDS``."""

    def __init__(self, key: str, feed: PriceFeed, config: Config, clock: Clock, submit: Submit) -> None:
        self.key, self.kind, self.source = key, FEEDS[key], source_of(key)
        self.config, self.clock = config, clock
        self._origin, self._submit = origin_of(feed), submit
        self._healthy: bool | None = None

    def series(self, slots: Slots) -> None:
        """A series came, judged as what it is. Raises PriceError."""
        sound = judged(slots, self.kind in PRICES, self.config.tariff.currency)
        rows = tuple((slot.start_wall_s, slot.end_wall_s, slot.value) for slot in sound)
        self._submit(SeriesTold(self.clock.stamp(), self.kind, self.source, rows, self._origin))

    def health(self, healthy: bool, detail: str) -> None:
        """Tell a change."""
        if healthy != self._healthy:
            self._healthy = healthy
            self._submit(SourceChanged(self.clock.stamp(), self.source, healthy, detail))


class FeedsShell:
    """The feeds of the site file. topics: given by the app before the start, None without a broker."""

    orders: tuple[type[Order], ...] = ()

    def __init__(self, config: Config, clock: Clock, submit: Submit, sleep: Sleep = asyncio.sleep, deadline_s: float = DEADLINE_S) -> None:
        """sleep, deadline_s: for tests, which wait for nothing."""
        self.topics: Topics | None = None
        self._config = config
        self._feeds = config.feeds()
        self._told = {key: _Told(key, feed, config, clock, submit) for key, feed in self._feeds.items()}
        self._sunlight = Sunlight(config, clock, submit) if config.forecast.pv_plants else None
        self._sleep, self._deadline_s = sleep, deadline_s
        self._tasks: list[asyncio.Task[None]] = []
        self._session: aiohttp.ClientSession | None = None

    def carry(self, order: Order) -> None:
        """Nothing is ordered of feeds."""

    async def start(self) -> None:
        """Begin to ask. A feed that is away, or whose token is missing, is told and tried again."""
        web = [key for key, feed in self._feeds.items() if isinstance(feed, WebFeed)]
        if web:
            self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None, connect=CONNECT_S), cookie_jar=aiohttp.DummyCookieJar())
        for key, feed in self._feeds.items():
            told = self._told[key]
            if isinstance(feed, MqttFeed):
                self._listen(feed, told)
            elif isinstance(feed, FileFeed):
                self._tasks.append(keep(_FileLooker(feed, told, self._sleep).run, told.source))
            elif self._session is not None:
                self._tasks.append(keep(_WebLooker(feed, told, self._sleep, Way(self._session, deadline_s=self._deadline_s)).run, told.source))
        if self._sunlight is not None:
            self._tasks.append(keep(self._sunlight.run, "clear sky"))

    async def stop(self) -> None:
        """End the tasks and let go of connections."""
        await end(self._tasks)
        self._tasks = []
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    # -- MQTT ------------------------------------------------------------------------------------------------

    def _listen(self, feed: MqttFeed, told: _Told) -> None:
        if self.topics is None:
            told.health(False, "the site has no MQTT broker; give mqtt")
            return

        def take(_topic: str, payload: bytes, _retained: bool) -> None:
            """Slots name their times, so a retained payload is as good as a fresh one."""
            if not payload:
                return
            try:
                told.series(decode_payload(payload, feed.scale, _zone(told.config)))
            except PriceError as error:
                told.health(False, f"its payload cannot be used: {error}; what it told before stays")
            else:
                told.health(True, f"tells on {feed.topic}")

        self.topics.listen(feed.topic, take)


class _Looker:
    """Looks at one feed again and again."""

    def __init__(self, feed: FileFeed | WebFeed, told: _Told, sleep: Sleep) -> None:
        self._every_s, self._told, self._sleep = feed.every_s, told, sleep
        self._day_ahead = isinstance(feed, DayAhead)
        self._record = Record()

    async def run(self) -> None:
        """Work until cancelled."""
        clock = self._told.clock
        while True:
            if not clock.stamp().wall_trusted:
                await self._sleep(CLOCK_S)
                continue
            await self._look()
            at = clock.stamp()
            next_s = wait_s(at.wall_s, self._every_s, self._record, self._day_ahead, random.random())
            await self._sleep(max(LEAST_WAIT_S, next_s / at.wall_speed))

    async def _look(self) -> None:
        try:
            slots = await self.slots()
            if slots is not None:
                self._told.series(slots)
        except (AskError, PriceError) as error:
            retry_after_s = error.retry_after_s if isinstance(error, AskError) else 0.0
            self._record = replace(self._record, failures=self._record.failures + 1, retry_after_s=retry_after_s)
            self._told.health(False, f"{error}; what it told before stays")
            return
        known_s = self._record.known_until_wall_s if slots is None else _until(slots, self._record.known_until_wall_s)
        self._record = Record(0, known_s)
        self._told.health(True, "answers")

    async def slots(self) -> Slots | None:
        """What the feed says now; None = the same as before. Raises AskError, PriceError."""
        raise NotImplementedError


class _FileLooker(_Looker):
    """A file: read again when it has changed, and once a day."""

    def __init__(self, feed: FileFeed, told: _Told, sleep: Sleep) -> None:
        super().__init__(feed, told, sleep)
        self._feed = feed
        self._seen: tuple[float, int, float] | None = None

    async def slots(self) -> Slots | None:
        """Raises AskError, PriceError."""
        return await asyncio.to_thread(self._read, self._told.clock.stamp().wall_s // AFRESH_S)

    def _read(self, day: float) -> Slots | None:
        path, zone = self._feed.path, _zone(self._told.config)
        try:
            stat = path.stat()
            if not S_ISREG(stat.st_mode):
                raise AskError(f"{path} is no plain file")
            seen = (stat.st_mtime, stat.st_size, day)
            if seen == self._seen:
                return None
            with path.open("rb") as file:
                body = file.read(MOST_BYTES + 1)
        except OSError as error:
            raise AskError(f"cannot read {path}: {error.strerror or type(error).__name__}") from None
        if len(body) > MOST_BYTES:
            raise AskError(f"{path} has more than {MOST_BYTES} bytes")
        slots = decode_file(body, self._feed.scale, zone, currency=self._told.config.tariff.currency)
        self._seen = seen
        return slots


class _WebLooker(_Looker):
    """A server."""

    def __init__(self, feed: WebFeed, told: _Told, sleep: Sleep, way: Way) -> None:
        super().__init__(feed, told, sleep)
        self._feed: WebFeed = feed
        self._way = way
        self._marks: dict[tuple[str, ...], dict[str, str]] = {}
        self._day = 0.0

    async def slots(self) -> Slots | None:
        """Raises AskError, PriceError."""
        config, now_s = self._told.config, self._told.clock.stamp().wall_s
        try:
            way = replace(self._way, trust=trust_of(self._feed.ca_file) if isinstance(self._feed, HttpFeed) else None)
        except OSError as error:
            raise AskError(f"ca_file cannot be used: {error.strerror or type(error).__name__}") from None
        if now_s // AFRESH_S != self._day:
            self._day, self._marks = now_s // AFRESH_S, {}
        bodies: list[bytes] = []
        asked: dict[tuple[str, ...], dict[str, str]] = {}
        failed: AskError | None = None
        for question in questions(self._feed, config.tariff.currency, now_s):
            key = (question.url, *sorted(question.params.values()))
            try:
                reply = await ask(way, question, self._marks.get(key, {}), now_s)
            except AskError as error:
                failed = error
                continue
            asked[key] = reply.marks
            if reply.body is not None:
                bodies.append(reply.body)
        slots = await asyncio.to_thread(read, self._feed, bodies, config.tariff.currency, config.site.timezone) if bodies else None
        self._marks = asked  # only now: an answer that could not be read is asked for anew
        if failed is None:
            return slots
        if slots is not None:  # today has come, tomorrow has not: what there is holds
            self._told.series(slots)
        raise failed


def _until(slots: Slots, before_s: float | None) -> float | None:
    return max((slots[-1].end_wall_s if slots else 0.0), before_s or 0.0) or None


def _zone(config: Config) -> ZoneInfo:
    return ZoneInfo(config.site.timezone)
