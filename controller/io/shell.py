"""What every shell looks like, and the one error that ends a start.

A shell turns sockets, files and timers into facts, and carries orders out. It decides nothing
about energy or OCPP. ``app`` builds shells, starts them in order and stops them in reverse.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

from controller.facts import EvseKey, Fact, Stamp
from controller.snapshot import WhyView

Submit = Callable[[Fact], None]
"""Hands a fact to the engine. Never blocks, never raises, may be called from any thread."""


class StartError(Exception):
    """The program cannot start. The text is one sentence for a person: what is wrong, what to do."""


class Clock(Protocol):
    """What a shell needs from a clock; ``controller.io.clock`` has a real and a virtual one."""

    def stamp(self) -> Stamp:
        """Both clocks, read now."""


Trace = Callable[[int], dict[str, Any]]
"""The running test of commissioning and its trace behind a number, plain data."""


@runtime_checkable
class TraceUser(Protocol):
    """A shell that wants the trace; the app gives it one before the start."""

    trace: Trace | None


Why = Callable[[EvseKey], WhyView | None]
"""The chain of limits behind an EVSE's setpoint now; None for an EVSE the site does not have."""


@runtime_checkable
class WhyUser(Protocol):
    """A shell that explains setpoints; the app gives it the way to ask before the start."""

    why: Why | None


@runtime_checkable
class Topics(Protocol):
    """The site's MQTT broker, for shells that have topics of their own there."""

    def listen(self, topic: str, take: Callable[[str, bytes, bool], None]) -> None:
        """Hand every message on a topic to ``take`` (topic, payload, retained), on the event loop; also before the start. topic may hold + and #."""

    def say(self, topic: str, payload: str, retain: bool = False) -> None:
        """Publish as soon as the broker is there; of retained ones the newest, of others at most an hour's worth."""


@runtime_checkable
class TopicUser(Protocol):
    """A shell with topics of its own; the app gives it the broker before the start, None without one."""

    topics: Topics | None


class Shell(Protocol):
    """One connection to the outside world.

    orders: the order types this shell carries out; no two shells share one.
    """

    orders: tuple[type, ...]

    def carry(self, order: Any) -> None:
        """Carry out one order of a type in ``orders``. Never blocks; failures come back as facts."""

    async def start(self) -> None:
        """Begin to work. A neighbour that is away is no error; raises StartError when starting makes no sense."""

    async def stop(self) -> None:
        """End cleanly within a second. May be called after a failed start and more than once."""


def listen_error(error: OSError, host: str, port: int, key: str) -> StartError:
    """The sentence for a server that cannot listen. key: the section of site.yaml, e.g. "api"."""
    if error.errno == errno.EADDRINUSE:
        return StartError(f"port {port} is in use by another program; stop it or change {key}.port")
    if error.errno == errno.EACCES:
        return StartError(f"no permission to listen on port {port}; choose {key}.port above 1023")
    return StartError(f"cannot listen on {host} port {port} ({error.strerror or error}); check {key}.host and {key}.port")
