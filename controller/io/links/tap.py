"""The tap: everything that goes over the wires, for those who look, as it happens.

The one place every frame passes is ``App``: it hands each fact with its orders to ``see`` while somebody listens, and
does nothing else while nobody does. Each listener has a bounded queue: one that is slower than the traffic loses the
oldest records and is told how many; the controller never waits for it. What a record holds is in ``tap_reading``;
secrets have been taken out before a record gets here (A01.FR.09).
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from controller.config import Config
from controller.facts import Fact
from controller.io.api.picture import to_json
from controller.io.links.tap_reading import CSMS, LINK_KINDS, STATION, Reader, Seen, Wires
from controller.orders import Order
from controller.snapshot import FaceView, LinkView

log = logging.getLogger(__name__)

MAX_WAITING = 5000
MAX_WAITING_CHARS = 4 * 1024 * 1024
"""What a listener may leave unread."""


@dataclass(frozen=True, slots=True)
class Want:
    """What a listener wants to see; None or empty = everything. actions: lower case."""

    station_id: str | None = None
    actions: frozenset[str] = frozenset()
    way: str | None = None
    leg: str | None = None

    def takes(self, seen: Seen) -> bool:
        """Whether a record is wanted. Changes of a connection belong to no action and no way."""
        if self.station_id is not None and seen.station_id != self.station_id:
            return False
        if self.leg is not None and seen.leg != self.leg:
            return False
        if seen.kind in LINK_KINDS:
            return not self.actions
        return (not self.actions or seen.action.lower() in self.actions) and self.way in (None, seen.way)


class Listener:
    """One who looks. ``take`` gives what came since, as JSON texts."""

    def __init__(self, want: Want, max_waiting: int = MAX_WAITING, max_chars: int = MAX_WAITING_CHARS) -> None:
        self.want = want
        self._max_waiting = max_waiting
        self._max_chars = max_chars
        self._waiting: deque[str] = deque()
        self._chars = 0
        self._lost = 0
        self._wake = asyncio.Event()

    def put(self, text: str) -> None:
        """One more record; the oldest go if there are too many."""
        self._waiting.append(text)
        self._chars += len(text)
        while len(self._waiting) > self._max_waiting or (self._chars > self._max_chars and len(self._waiting) > 1):
            self._chars -= len(self._waiting.popleft())
            self._lost += 1
        self._wake.set()

    def take(self) -> tuple[int, list[str]]:
        """(how many records were lost before these, the records), oldest first."""
        lost, texts = self._lost, list(self._waiting)
        self._lost = self._chars = 0
        self._waiting.clear()
        self._wake.clear()
        return lost, texts

    async def wait(self, seconds: float) -> bool:
        """Whether something came within ``seconds``."""
        try:
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            return False
        return True


class Tap:
    """Hands records to listeners. links: the stations' links now (``Links.view``); faces: depots and translated pairs (``Links.faces``);
    translated: (station id) -> whether its CSMS is told now in other words.

    listening: whether anybody looks; while it is False nobody need call ``see``.
    """

    def __init__(
        self,
        config: Config,
        links: Callable[[], Iterable[LinkView]],
        faces: Callable[[], Iterable[FaceView]] = tuple,
        translated: Callable[[str], bool] = lambda station_id: False,
    ) -> None:
        self._max_bytes = config.listen.max_frame_bytes
        self._depots = frozenset(config.identity_of(upstream) for upstream in config.upstreams if upstream.face == "depot")
        self._links = links
        self._faces = faces
        self._translated = translated
        self._listeners: list[Listener] = []
        self._reader: Reader | None = None
        self._complained = False
        self.listening = False

    def see(self, fact: Fact, orders: Sequence[Order]) -> None:
        """One step of the engine. Never raises: whoever only looks must not disturb what is looked at."""
        if self._reader is None:
            return
        try:
            for seen in self._reader.read(fact, orders):
                self._hand_out(seen)
        except Exception:
            if not self._complained:
                self._complained = True
                log.exception("the tap failed on a %s; please report it", type(fact).__name__)

    def _hand_out(self, seen: Seen) -> None:
        takers = [listener for listener in self._listeners if listener.want.takes(seen)]
        if takers:
            text = to_json(seen.as_json())
            for listener in takers:
                listener.put(text)

    def open(self, want: Want) -> Listener:
        """Begin to listen; end with ``close``."""
        listener = Listener(want)
        if self._reader is None:
            self._reader = Reader(self._wires(), self._max_bytes)
        self._listeners.append(listener)
        self.listening = True
        return listener

    def _wires(self) -> Wires:
        versions = {(link.station_id, STATION): link.version for link in self._links()}
        versions |= {(face.identity, CSMS): face.version for face in self._faces() if face.version}
        return Wires(versions, self._depots, self._translated)

    def close(self, listener: Listener) -> None:
        """End to listen. With the last listener all memory of the traffic goes."""
        if listener in self._listeners:
            self._listeners.remove(listener)
        if not self._listeners:
            self.listening = False
            self._reader = None

    def state(self) -> list[dict[str, Any]]:
        """The links now, as a transcript begins with: station, version, online, upstream (open, away, none); csms_version where the CSMS is told in
        other words, as a depot's is."""
        states: list[dict[str, Any]] = [
            {"station": link.station_id, "version": link.version, "online": link.online, "upstream": link.upstream} for link in self._links()
        ]
        spoken = {face.identity: face for face in self._faces() if face.version}
        for state in states:
            face = spoken.pop(state["station"], None)
            state |= {"csms_version": face.version} if face is not None else {}
        depots = [face for face in spoken.values() if face.identity in self._depots]
        return states + [
            {"station": face.identity, "version": "", "online": False, "upstream": face.state, "csms_version": face.version} for face in depots
        ]


@runtime_checkable
class TapUser(Protocol):
    """A shell that wants the tap; the app gives it one before the start."""

    tap: Tap | None
