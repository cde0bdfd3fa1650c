"""A clock for a shell under test, and what collects its facts and lets the test wait for one of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

from controller.facts import Fact, MeterFailed, MeterRead, Stamp
from meters.reading import Reading

F = TypeVar("F", bound=Fact)
PATIENCE_S = 10.0


class FactLog:
    """``submit`` goes to the shell. Waiting is bounded, so that a missing fact fails with what did come."""

    def __init__(self) -> None:
        self.facts: list[Fact] = []
        self._news = asyncio.Event()

    def submit(self, fact: Fact) -> None:
        """Take a fact in."""
        self.facts.append(fact)
        self._news.set()

    def of(self, kind: type[F]) -> list[F]:
        """All facts of a kind, oldest first."""
        return [fact for fact in self.facts if isinstance(fact, kind)]

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait until a condition about the facts holds."""
        try:
            async with asyncio.timeout(PATIENCE_S):
                while not condition():
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            came = "\n".join(repr(fact)[:300] for fact in self.facts[-30:])
            raise AssertionError(f"waited in vain; the last that came:\n{came}") from None

    async def next(self, kind: type[F], count: int = 1) -> F:
        """Wait for the ``count``-th fact of a kind."""
        await self.until(lambda: len(self.of(kind)) >= count)
        return self.of(kind)[count - 1]


class LoopClock:
    """The event loop's own time, for a shell under test; the wall's day is one of 2026."""

    def stamp(self) -> Stamp:
        """Now."""
        now = asyncio.get_running_loop().time()
        return Stamp(now, 1_780_000_000.0 + now)


class MeterLog(FactLog):
    """What a shell told of its meters."""

    @property
    def readings(self) -> list[Reading]:
        """Of all answers, oldest first."""
        return [fact.reading for fact in self.of(MeterRead)]

    @property
    def failures(self) -> list[str]:
        """The reasons of all failures, oldest first."""
        return [fact.reason for fact in self.of(MeterFailed)]
