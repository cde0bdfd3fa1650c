"""Carries orders and facts between the sessions and the faces their CSMSs see them through (``faces``).

A relayed frame never comes here. Everything else a session returns does: its upstream orders go to its face, and what the face returns
for a session (facts of its virtual leg) goes to that, round and round until only orders for shells and facts for others are left. All in
the order in which they were found. A step that raises costs what would have followed from it, and nobody else (``contained``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, Final

from controller.config import Config, StationConfig, UpstreamConfig
from controller.facts import Fact, Persisted, PersistFailed, Stamp, UpstreamClosed, UpstreamFrame, UpstreamOpened
from controller.link.bridge import Bridge
from controller.link.contained import contained
from controller.link.faces import DialNow, Face, Means, UpstreamFact
from controller.link.ids import IdSource
from controller.link.keeper import Keeper
from controller.link.session import Outcome, Session
from controller.ocpp.shapes import Shapes
from controller.orders import AnnounceSite, CloseUpstream, DialUpstream, SendUpstream
from controller.snapshot import FaceView

MOST_STEPS: Final = 10_000
"""Between sessions and faces in one go: more is a defect, and what is left then is dropped rather than the whole site held up."""


class Junction:
    """sessions: all of the site. tokens: numbers of Persist orders whose answers come to ``stored``. enter: told before a session is called."""

    def __init__(
        self,
        config: Config,
        shapes: Shapes,
        ids: IdSource,
        tokens: Callable[[], int],
        sessions: Mapping[str, Session],
        enter: Callable[[Session], None],
    ) -> None:
        self._config = config
        self._sessions = sessions
        self._enter = enter
        self._keeper = Keeper(tokens)
        self._means = Means(config, shapes, ids, self._keeper, lambda station_id, offered: sessions[station_id].serves(offered), self._queued)
        self._bridges: dict[tuple[str, str], Bridge] = {}
        self._depots: dict[str, Face] = {}
        self._faces: dict[str, Face] = {}
        for upstream in config.upstreams:
            if upstream.role == "primary" and upstream.face == "depot":
                self._depots[self._identity(upstream)] = _depot_face(upstream, self._means)
        for station in config.stations:
            self.assign(self._means.at, station, config.upstream_of(station.id))

    # -- which face a station has -------------------------------------------------------------------------

    def assign(self, at: Stamp, station: StationConfig, upstream: UpstreamConfig | None) -> list[Outcome]:
        """From now on the station's session goes up through the face of this upstream; it has been released from the one before."""
        face = self._face_of(station, upstream) if upstream is not None else None
        if face is None:
            return []
        self._faces[station.id] = face
        listed: Callable[[dict[str, Any]], dict[str, Any] | None] | None = getattr(face, "listed", None)  # of a depot
        if listed is not None:
            self._sessions[station.id].drivers.depot = listed
        self._means.at = at
        admitted = face.admit(at, station)
        online = self._sessions[station.id].generation is not None
        return self.of_face(at, [*admitted, *(face.present(at, station.id, True) if online else [])])

    def expect(self, at: Stamp, upstream: UpstreamConfig, stations: list[StationConfig]) -> list[Outcome]:
        """These stations shall have this upstream as soon as they are free; a depot gives their EVSEs numbers now."""
        expect: Callable[[Stamp, list[StationConfig]], list[Outcome]] | None = None
        if upstream.face == "depot":
            expect = getattr(self._depots[self._identity(upstream)], "expect", None)
        self._means.at = at
        return self.of_face(at, expect(at, stations)) if expect is not None else []

    def release(self, at: Stamp, station_id: str) -> list[Outcome]:
        """The station leaves its face; its session has closed its leg."""
        face = self._faces.pop(station_id, None)
        if face is None:
            return []
        self._sessions[station_id].drivers.depot = lambda token: None
        self._means.at = at
        return self.of_face(at, [*face.present(at, station_id, False), *face.release(at, station_id)])

    def _face_of(self, station: StationConfig, upstream: UpstreamConfig) -> Face | None:
        if upstream.face == "depot":
            return self._depots[self._identity(upstream)]
        if not upstream.translate:
            return None
        key = (station.id, upstream.id)
        if key not in self._bridges:
            self._bridges[key] = Bridge(station, upstream, self._means, self._sessions[station.id].may_change)
        return self._bridges[key]

    def _identity(self, upstream: UpstreamConfig) -> str:
        return upstream.identity or self._config.site.id

    def _translates(self, station_id: str) -> bool:
        face = self._faces.get(station_id)
        return face.translating if isinstance(face, Bridge) else face is not None

    def _queued(self, station_id: str, transaction_id: str) -> int:
        """See ``Means``. A 1.6 station's transaction has another id above than below: any message that waits may be of it."""
        if not station_id:
            return sum(self._sessions[known].up.queued for known, face in self._faces.items() if not isinstance(face, Bridge))
        session = self._sessions.get(station_id)
        if session is None:
            return 0
        if not transaction_id or session.version == "ocpp1.6":
            return session.up.queued
        return int(session.up.outbox.has(transaction_id))

    def _all(self) -> Iterable[Face]:
        return (*self._bridges.values(), *self._depots.values())

    # -- both ways ---------------------------------------------------------------------------------------------

    def of_session(self, at: Stamp, outcomes: list[Outcome]) -> list[Outcome]:
        """What a session has returned: without what is its face's business, and with what follows from that."""
        return self._settle(at, outcomes, of_face=False)

    def of_face(self, at: Stamp, outcomes: list[Outcome]) -> list[Outcome]:
        """What a face has returned, likewise."""
        return self._settle(at, outcomes, of_face=True)

    def _settle(self, at: Stamp, outcomes: list[Outcome], of_face: bool) -> list[Outcome]:
        self._means.at = at
        settled: list[Outcome] = []
        todo = [(outcome, of_face) for outcome in reversed(outcomes)]
        for _ in range(MOST_STEPS):
            if not todo:
                break
            outcome, from_face = todo.pop()
            found = self._to_session(at, outcome) if from_face else self._to_face(at, outcome)
            if found is None:
                settled.append(outcome)
            else:
                todo += [(item, not from_face) for item in reversed(found)]
        return settled

    def _to_face(self, at: Stamp, outcome: Outcome) -> list[Outcome] | None:
        if not isinstance(outcome, (SendUpstream, DialUpstream, CloseUpstream)) or outcome.mirror_id:
            return None
        face = self._faces.get(outcome.station_id)
        return contained(outcome.station_id, lambda: face.take(at, outcome)) if face is not None else None

    def _to_session(self, at: Stamp, outcome: Outcome) -> list[Outcome] | None:
        if not isinstance(outcome, (UpstreamOpened, UpstreamFrame, UpstreamClosed, DialNow)):
            return None
        session = self._sessions.get(outcome.station_id)
        if session is None:
            return []
        self._enter(session)
        return contained(outcome.station_id, lambda: self._heard(at, session, outcome))

    def _heard(self, at: Stamp, session: Session, outcome: UpstreamFact | DialNow) -> list[Outcome]:
        match outcome:
            case UpstreamFrame():
                return session.csms_frame(at, outcome.generation, outcome.text)
            case UpstreamOpened():
                session.virtual = self._translates(outcome.station_id)
                return session.opened(at, outcome.generation, outcome.version)
            case UpstreamClosed():
                return session.closed(at, outcome.generation, outcome.reason, outcome.no_common_version, outcome.version_in_doubt)
            case DialNow():
                return session.dial_now(at)

    # -- facts -----------------------------------------------------------------------------------------------------

    def socket(self, fact: UpstreamFact) -> list[Outcome] | None:
        """A fact of a primary's socket; None: no face has to do with it, it is its station's own."""
        face = self._depots.get(fact.station_id) or self._faces.get(fact.station_id)
        if face is None:
            return None
        if face in self._depots.values() and fact.station_id not in self._depots:
            return []  # of a socket from before the station's CSMS was another one
        self._means.at = fact.at
        match fact:
            case UpstreamFrame():
                outcomes = face.frame(fact.at, fact)
            case UpstreamOpened():
                outcomes = face.opened(fact.at, fact)
            case UpstreamClosed():
                outcomes = face.closed(fact.at, fact)
        return self.of_face(fact.at, outcomes)

    def present(self, at: Stamp, station_id: str, online: bool) -> list[Outcome]:
        """A station has connected, or is gone; its session knows."""
        face = self._faces.get(station_id)
        if face is None:
            return []
        self._means.at = at
        return self.of_face(at, face.present(at, station_id, online))

    def _each(self, at: Stamp, faces: Iterable[Face], step: Callable[[Face], list[Outcome]]) -> list[Outcome]:
        self._means.at = at
        outcomes: list[Outcome] = []
        for face in faces:
            outcomes += self.of_face(at, contained(face.identity, partial(step, face)))
        return outcomes

    def tick(self, at: Stamp) -> list[Outcome]:
        """A second has passed; the sessions know."""
        return self._each(at, self._all(), lambda face: face.tick(at))

    def hear(self, at: Stamp, fact: Fact) -> list[Outcome]:
        """A fact of no station, for the depot faces."""
        return self._each(at, self._depots.values(), lambda face: face.hear(at, fact))

    def announce(self, at: Stamp, order: AnnounceSite) -> list[Outcome]:
        """The site's values, for the depot faces."""
        return self._each(at, self._depots.values(), lambda face: face.announce(at, order))

    def restore(self, at: Stamp, memories: Mapping[tuple[str, str], Any]) -> list[Outcome]:
        """What the journal held; the sessions have theirs."""
        self._keeper.restore(memories)
        return self._each(at, self._all(), lambda face: face.restore(at))

    def stored(self, fact: Persisted | PersistFailed) -> list[Outcome]:
        """The journal has answered one of our tokens."""
        self._means.at = fact.at
        done = self._keeper.persisted if isinstance(fact, Persisted) else self._keeper.persist_failed
        return self.of_face(fact.at, done(fact.at, fact.token))

    def view(self) -> tuple[FaceView, ...]:
        """Depot faces, and the pairs that are translated now."""
        return tuple(face.view() for face in (*self._depots.values(), *(bridge for bridge in self._bridges.values() if bridge.translating)))


def _depot_face(upstream: UpstreamConfig, means: Means) -> Face:
    from controller.link.depot.face import DepotFace  # most sites have none, and it is large

    return DepotFace(upstream, means)
