"""Who may use a bus next: one at a time, device by device in turn, commands before polls.

A device that is asked ten times a second never keeps one that is asked once a second from its turn: of those that wait, the device that was
served longest ago comes first. A device that needs silence between two requests lets the others pass meanwhile. Urgent users (commands) come
before all others, in the order they came.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable
from dataclasses import dataclass

ReadyAt = Callable[[Hashable], float]
"""From when on a device may be asked again [s, clock of the loop]."""


@dataclass(slots=True, eq=False)
class Waiter:
    """Somebody in the queue. granted: done when it is their turn."""

    device: Hashable
    urgent: bool
    granted: asyncio.Future[None]


class FairQueue:
    """A lock with an order. ready_at: told by the bus, which knows the gaps its devices need."""

    def __init__(self, ready_at: ReadyAt) -> None:
        self._ready_at = ready_at
        self._waiting: list[Waiter] = []
        self._holder: Waiter | None = None
        self._served: dict[Hashable, int] = {}
        self._count = 0
        self._timer: asyncio.TimerHandle | None = None

    @property
    def waiting(self) -> int:
        """How many wait."""
        return len(self._waiting)

    async def take(self, device: Hashable, urgent: bool) -> Waiter:
        """Wait for a turn. Give the answer to ``give_back``, whatever happens. Cancelling while waiting is safe."""
        waiter = Waiter(device, urgent, asyncio.get_running_loop().create_future())
        self._waiting.append(waiter)
        self._next()
        try:
            await waiter.granted
        except BaseException:
            self._leave(waiter)
            raise
        return waiter

    def give_back(self, waiter: Waiter) -> None:
        """The turn is over."""
        if self._holder is waiter:
            self._holder = None
            self._next()

    def _leave(self, waiter: Waiter) -> None:
        if waiter in self._waiting:
            self._waiting.remove(waiter)
        self.give_back(waiter)

    def _next(self) -> None:
        """Hand the turn on, or come back when the first of those that wait may be asked."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._holder is not None or not self._waiting:
            return
        loop = asyncio.get_running_loop()
        waiting = [waiter for waiter in self._waiting if not waiter.granted.done()]  # a cancelled one leaves when its task runs next
        ready = [waiter for waiter in waiting if self._ready_at(waiter.device) <= loop.time()]
        if not ready:
            if waiting:
                self._timer = loop.call_at(min(self._ready_at(waiter.device) for waiter in waiting), self._next)
            return
        chosen = min(ready, key=self._rank)  # of equals the first in the list, the one that came first
        self._waiting.remove(chosen)
        self._holder = chosen
        self._count += 1
        self._served[chosen.device] = self._count
        chosen.granted.set_result(None)

    def _rank(self, waiter: Waiter) -> tuple[bool, int]:
        return (not waiter.urgent, 0 if waiter.urgent else self._served.get(waiter.device, 0))
