"""Shell: the sources of limits from outside, one driver each."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Final

from controller.config import Config
from controller.config_signals import SignalConfig
from controller.facts import SourceChanged
from controller.io.endings import Endings
from controller.io.field.bus import Buses
from controller.io.shell import Clock, StartError, Submit, Topics
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

AGAIN_S: Final = 30.0


class SignalsShell:
    """Keeps the drivers. topics: given by the app before the start, None without a broker."""

    orders: tuple[type[Order], ...] = (AnswerSignal, AnswerEvent, TellSource)

    def __init__(self, config: Config, clock: Clock, submit: Submit, buses: Buses | None = None, again_s: float = AGAIN_S) -> None:
        """again_s: pause between two tries to begin with an entry that cannot work [s]."""
        self._again_s = again_s
        self._config, self._clock, self._submit, self._buses = config, clock, submit, buses or Buses()
        self.topics: Topics | None = None
        self._drivers: dict[str, Driver] = {}
        self._tasks: list[asyncio.Task[None]] = []

    def carry(self, order: Order) -> None:
        """Hand an answer to its driver."""
        if isinstance(order, AnswerSignal | AnswerEvent | TellSource) and (driver := self._drivers.get(order.source)) is not None:
            driver.answered(order)

    async def start(self) -> None:
        """Let the drivers work. An entry that cannot (a certificate that cannot be read, F83) is told, tried again, and stops nobody else."""
        surroundings = Surroundings(self._config, self._clock, self._submit, self.topics, self._buses)
        for entry in self._config.signals:
            if not self._begun(entry, surroundings):
                self._tasks.append(keep(partial(self._begin_later, entry, surroundings), f"start of signal {entry.id}"))
        shown = {entry.id: path for entry in self._config.signals if isinstance(path := getattr(entry, "cert_file", None), Path)}
        if shown:
            self._tasks.append(keep(Endings(shown, self._clock, self._submit).watch, "ends of certificates"))

    def _begun(self, entry: SignalConfig, surroundings: Surroundings) -> bool:
        build: Build = import_module(f"controller.io.signals.{MODULES[entry.type]}").build
        try:
            driver = build(entry, surroundings)
        except StartError as error:
            self._submit(SourceChanged(self._clock.stamp(), entry.id, False, str(error)))
            return False
        self._drivers[entry.id] = driver
        self._tasks.append(keep(driver.run, f"signal {entry.id}"))
        return True

    async def _begin_later(self, entry: SignalConfig, surroundings: Surroundings) -> None:
        """Until somebody has repaired it. Meanwhile the source is silent: its failsafe holds."""
        while True:
            await asyncio.sleep(self._again_s)
            if self._begun(entry, surroundings):
                return

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
