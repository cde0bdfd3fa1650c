"""What may stand between a station's session and the CSMS's socket, and what all of these share.

Every session believes that it talks to a CSMS of its station's own version. Its upstream orders go to the *face* its station
has, and the face gives it ``UpstreamOpened``, ``UpstreamFrame`` and ``UpstreamClosed`` facts back, with the session's own generation:

    session --DialUpstream, SendUpstream, CloseUpstream--> face --the same orders, of its own sockets--> shell
    session <--UpstreamOpened, UpstreamFrame, UpstreamClosed-- face <--the same facts, of its own sockets-- shell

    pair: ``bridge.Bridge``, one per station: passes everything on, or translates. depot: ``depot.face.DepotFace``, one per CSMS.

``links`` carries both ways: a fact that a face returns and that names a station of the site goes to its session; anything else leaves.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from controller.config import Config, StationConfig
from controller.facts import Fact, Stamp, UpstreamClosed, UpstreamFrame, UpstreamOpened
from controller.link.ids import IdSource
from controller.link.keeper import Keeper
from controller.ocpp.hub import EvseShape, Surroundings, Wording
from controller.ocpp.shapes import Shapes
from controller.orders import AnnounceSite, CloseUpstream, DialUpstream, Order, SendUpstream
from controller.snapshot import FaceView

Outcome = Order | Fact
UpstreamOrder = DialUpstream | SendUpstream | CloseUpstream
UpstreamFact = UpstreamOpened | UpstreamFrame | UpstreamClosed
Serving = Callable[[str, tuple[str, ...]], str]
"""(station id, what its session's dial offers) -> the version its virtual leg has to open with: what the station speaks,
or the highest of what it offers while its handshake waits."""

SHARED = "site"
"""Name of the memory all sides share."""


@dataclass(frozen=True, slots=True)
class DialNow(Fact):
    """Of a face, for the session of a station: a dial would succeed now. ``links`` lets it dial without its usual wait."""

    station_id: str


class Means:
    """What every face and leg may use. now(): the clocks of what is being handled. number(): a positive integer < 2**31, never used before
    at this site (kept with the next ``keeper.keep``). serves: see ``Serving``. queued: (station id, its own transactionId), "" = any ->
    messages of that on disk or on their way to it; no station id = of all stations of the site that have a face."""

    def __init__(
        self, config: Config, shapes: Shapes, ids: IdSource, keeper: Keeper, serves: Serving, queued: Callable[[str, str], int] | None = None
    ) -> None:
        self.config = config
        self.shapes = shapes
        self.ids = ids
        self.keeper = keeper
        self.serves = serves
        self.queued = queued or (lambda station_id, transaction_id: 0)
        self.shared = keeper.memory(SHARED)
        self.at = Stamp(0.0, 0.0)
        self._sockets = 0

    def now(self) -> Stamp:
        """The clocks now."""
        return self.at

    def socket(self) -> int:
        """The generation of a socket that a face opens under a station's id: negative, so that it is none of the session's, and never used twice."""
        self._sockets -= 1
        return self._sockets

    def number(self) -> int:
        """The next integer; rises over restarts as long as somebody keeps it before it is used."""
        last = self.shared.get("number", 0)
        number = (last if isinstance(last, int) and 0 <= last < 2**31 - 1 else 0) + 1
        self.shared.put("number", number)
        return number

    def surroundings(self, name: str, memory: str, evses: Callable[[], tuple[EvseShape, ...]], wording: Wording | None = None) -> Surroundings:
        """For one side. name: the station's id or the depot's identity; memory: name of the side's own memory."""
        return Surroundings(
            name,
            evses,
            self.keeper.memory(memory),
            self.shared,
            self.ids.fresh,
            self.number,
            self.now,
            self.shapes.fit,
            self.config.grid.voltage_v,
            wording or Wording(),
            lambda: self.queued(name, ""),
        )


class Face(Protocol):
    """See the module. All methods return outcomes; none may raise on anything a peer sends. What must be on disk goes through ``Means.keeper``.

    identity: what its sockets are dialled as, and its name in the event log.
    """

    identity: str

    def take(self, at: Stamp, order: UpstreamOrder) -> list[Outcome]:
        """An upstream order of a session (mirror legs never come here). A DialUpstream must be answered sooner or later with
        UpstreamOpened or UpstreamClosed of its generation."""

    def opened(self, at: Stamp, fact: UpstreamOpened) -> list[Outcome]:
        """A socket of the face is open."""

    def frame(self, at: Stamp, fact: UpstreamFrame) -> list[Outcome]:
        """A text came on a socket of the face."""

    def closed(self, at: Stamp, fact: UpstreamClosed) -> list[Outcome]:
        """A socket of the face is closed, or a dial failed. Facts of older generations change nothing."""

    def admit(self, at: Stamp, station: StationConfig) -> list[Outcome]:
        """The station's session goes up through this face from now on; again for one that does already."""

    def release(self, at: Stamp, station_id: str) -> list[Outcome]:
        """It does not any more; its leg is closed."""

    def present(self, at: Stamp, station_id: str, online: bool) -> list[Outcome]:
        """A station of the face has connected (after its session knows), or is gone."""

    def tick(self, at: Stamp) -> list[Outcome]:
        """A second has passed."""

    def restore(self, at: Stamp) -> list[Outcome]:
        """The keeper's memories are filled: begin."""

    def announce(self, at: Stamp, order: AnnounceSite) -> list[Outcome]:
        """The site's values."""

    def hear(self, at: Stamp, fact: Fact) -> list[Outcome]:
        """Any other fact that may concern a face: FileFetched, FileServed, FilesCollected."""

    def view(self) -> FaceView:
        """What the page shows."""


def memory_of(kind: str, *names: Any) -> str:
    """Name of a memory: what it is for and whose, e.g. "leg:CP1:ocpp1.6"."""
    return ":".join((kind, *map(str, names)))
