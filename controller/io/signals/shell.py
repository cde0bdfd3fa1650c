"""Shell: the sources of limits from outside, one driver each."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

from controller.config import Config
from controller.config_signals import SignalConfig
from controller.io.bus import Buses
from controller.io.endings import Endings
from controller.io.shell import Clock, Submit, Topics
from controller.io.signals.driver import Driver, Notified, Surroundings
from controller.io.tasks import end, keep
from controller.orders import AnswerEvent, AnswerSignal, Order, TellSource

log = logging.getLogger(__name__)

Build = Callable[[SignalConfig, Surroundings], Driver]
MODULES = {
    "mqtt": "stated",
    "api": "stated",
    "eebus": "eebus",
    "contacts": "contacts",
    "openadr3": "openadr3",
    "openadr2": "openadr2",
    "ieee2030_5": "ieee2030_5",
}
"""Type of an entry -> module here with ``build(entry, surroundings)``; imported when needed, as some bring heavy packages."""


class SignalsShell:
    """Keeps the drivers. topics: given by the app before the start, None without a broker."""

    orders: tuple[type[Order], ...] = (AnswerSignal, AnswerEvent, TellSource)

    def __init__(self, config: Config, clock: Clock, submit: Submit, buses: Buses | None = None) -> None:
        self._config, self._clock, self._submit, self._buses = config, clock, submit, buses or Buses()
        self.topics: Topics | None = None
        self._drivers: dict[str, Driver] = {}
        self._tasks: list[asyncio.Task[None]] = []

    def carry(self, order: Order) -> None:
        """Hand an answer to its driver."""
        if isinstance(order, AnswerSignal | AnswerEvent | TellSource) and (driver := self._drivers.get(order.source)) is not None:
            driver.answered(order)

    async def start(self) -> None:
        """Build the drivers and let them work. Raises StartError where an entry cannot work at all (a certificate that cannot be read)."""
        surroundings = Surroundings(self._config, self._clock, self._submit, self.topics, self._buses)
        for entry in self._config.signals:
            build: Build = import_module(f"controller.io.signals.{MODULES[entry.type]}").build
            driver = self._drivers[entry.id] = build(entry, surroundings)
            self._tasks.append(keep(driver.run, f"signal {entry.id}"))
        shown = {entry.id: path for entry in self._config.signals if isinstance(path := getattr(entry, "cert_file", None), Path)}
        if shown:
            self._tasks.append(keep(Endings(shown, self._clock, self._submit).watch, "ends of certificates"))

    async def stop(self) -> None:
        """End the drivers."""
        await end(self._tasks)
        await asyncio.gather(*(driver.close() for driver in self._drivers.values()), return_exceptions=True)

    async def notified(self, source_id: str, body: bytes) -> tuple[int, str] | None:
        """A request of a source came over our API; None = no such source, or it takes none."""
        driver = self._drivers.get(source_id)
        return await driver.notified(body) if isinstance(driver, Notified) else None

    def key_of(self, source_id: str) -> str | None:
        """What the server of a source has to show when it calls us; None = it does not call."""
        key = getattr(self._drivers.get(source_id), "callback_token", None)
        return key if isinstance(key, str) and key else None
