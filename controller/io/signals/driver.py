"""What every source of limits from outside looks like to the shell that keeps them.

A driver speaks one protocol for one entry of ``signals`` in the site file. It turns what it hears into facts (``LimitStated``,
``FailsafeStated``, ``EventsTold``, ``ContactsRead``, ``SignalBeat``, ``SeriesTold``; its own connection: ``SourceChanged`` with the entry's id)
and tells its neighbour what the site answered. It decides nothing: which limit holds, and until when, is ``site.limits``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from controller.config import Config
from controller.io.field.bus import Buses
from controller.io.shell import Clock, Submit, Topics
from controller.orders import AnswerEvent, AnswerSignal, TellSource


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a driver is given. topics: the site's MQTT broker, None = the site has none. buses: the Modbus lines, shared with meters and devices."""

    config: Config
    clock: Clock
    submit: Submit
    topics: Topics | None
    buses: Buses = field(default_factory=Buses)


class Driver(Protocol):
    """One source. source_id: of its entry in the site file."""

    source_id: str

    async def run(self) -> None:
        """Work until cancelled. A neighbour that is away is told as a fact and tried again, never raised."""

    async def close(self) -> None:
        """Let go of connections, within a second."""

    def answered(self, order: AnswerSignal | AnswerEvent | TellSource) -> None:
        """What the site says to this source. Never blocks, never raises; what cannot be sent now waits or is dropped by the driver's own rule."""


@runtime_checkable
class Notified(Protocol):
    """A driver whose neighbour can call us: over HTTP (``POST /api/v1/signals/<id>``, OpenADR 3 notifications)."""

    async def notified(self, body: bytes) -> tuple[int, str]:
        """A request came. Returns the HTTP status and a JSON text for the sender."""
