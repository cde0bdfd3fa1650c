"""A driver of a source between a real site and a broker of three lines, for the JSON that sources send."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from controller.config_signals import SignalConfig
from controller.facts import Direction, Fact, Persisted
from controller.io.clock import VirtualClock
from controller.io.signals.driver import Driver, Surroundings
from controller.orders import AnswerSignal, Order, Persist, Publish, RecordCompliance, Tell, TellSource
from controller.site.site import Site
from tests.support.site_story import WALL_S, depot

Take = Callable[[str, bytes, bool], None]


class Broker:
    """What a broker does for one process: hands messages to who listens to just this topic, remembers what was said."""

    def __init__(self) -> None:
        self.takers: dict[str, Take] = {}
        self.said: list[tuple[str, Any, bool]] = []

    def listen(self, topic: str, take: Take) -> None:
        self.takers[topic] = take

    def say(self, topic: str, payload: str, retain: bool = False) -> None:
        self.said.append((topic, json.loads(payload), retain))


class Wire:
    """One source of the site file, its driver, and the site behind it. facts: everything the driver submitted."""

    def __init__(self, entry: dict[str, Any], build: Callable[[SignalConfig, Surroundings], Driver]) -> None:
        self.config = depot(1, signals=[{"id": "dso", **entry}])
        self.site, self.broker, self.clock = Site(self.config, {}), Broker(), VirtualClock(WALL_S)
        self.facts: list[Fact] = []
        self.orders: list[Order] = []
        self.driver = build(self.config.signals[0], Surroundings(self.config, self.clock, self.submit, self.broker))

    def submit(self, fact: Fact) -> None:
        self.facts.append(fact)
        orders = self.site.handle(fact)
        self.orders += orders
        for order in orders:
            if isinstance(order, Persist) and order.token:
                self.submit(Persisted(self.clock.stamp(), order.token))
            if isinstance(order, AnswerSignal | TellSource):
                self.driver.answered(order)

    def send(self, topic: str, payload: Any, retained: bool = False) -> None:
        """A message arrives."""
        raw = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        self.broker.takers[topic](topic, raw, retained)

    def said(self, tail: str) -> list[Any]:
        """What was said on topics that end so."""
        return [payload for topic, payload, _ in self.broker.said if topic.endswith(tail)]

    def of(self, kind: type[Order]) -> list[Any]:
        return [order for order in self.orders if isinstance(order, kind)]

    @property
    def signal(self) -> Any:
        return self.site.limits.signals["dso"]

    def holds_w(self, way: str = "consumption") -> float | None:
        """The limit in force of a direction."""
        watts: float | None = self.signal.value_w(Direction(way), self.clock.stamp().mono_s)
        return watts


__all__ = ["Broker", "Publish", "RecordCompliance", "Tell", "Wire"]
