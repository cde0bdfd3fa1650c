"""All stations' sessions: finds the one a fact or order is about, spreads dials, shares the cache.

Where a station's CSMS sees it through a *face* (``faces``), upstream orders of its session go there instead of to the shell, and
facts a face returns for a session go to that: here both find their way. A relayed frame never comes near a face.

A mistake in one session ends that session's step, never the others' (P7): the engine sees to it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import count
from typing import Any

from controller.config import Config
from controller.facts import (
    EvseKey,
    FaceWished,
    Fact,
    FileFetched,
    FilesCollected,
    FileServed,
    MaintenanceOpened,
    OwnCertificateInstalled,
    OwnCertificateSeen,
    ParkedReturned,
    Persisted,
    PersistFailed,
    Restored,
    RowsLoaded,
    SigningRequestMade,
    Stamp,
    StationArrived,
    StationClosed,
    StationConnected,
    StationFrame,
    StationLeft,
    TimePassed,
    UpstreamClosed,
    UpstreamFrame,
    UpstreamOpened,
)
from controller.link.auth_cache import SPACE as TOKEN_SPACE
from controller.link.auth_cache import AuthCache
from controller.link.contained import contained
from controller.link.credentials import SPACE as CREDENTIAL_SPACE
from controller.link.driver import KEY as USERS_KEY
from controller.link.driver import SPACE as DRIVER_SPACE
from controller.link.driver import Groups, Users
from controller.link.features import SPACE as FEATURE_SPACE
from controller.link.ids import IdSource
from controller.link.junction import Junction
from controller.link.limit_news import SPACE as NEWS_SPACE
from controller.link.local_list import SPACE as LIST_SPACE
from controller.link.local_list import SiteList
from controller.link.moves import Moves
from controller.link.profiles import SPACE as PROFILE_SPACE
from controller.link.session import DialSpread, Outcome, Session, Shared
from controller.link.uplink import BOOT_SPACE, OUTAGE_SPACE, STATUS_SPACE
from controller.ocpp.shapes import Shapes
from controller.orders import (
    AnnounceLimit,
    AnnounceSite,
    ClearSetpoint,
    ForgetDrivers,
    Inject,
    InstallFloor,
    Order,
    Persist,
    ReadBack,
    SetAvailable,
    Wake,
)
from controller.snapshot import FaceView, LinkView, WhyProfile

DIALS_PER_SECOND = 10
"""New upstream connections per second, at least."""
DIAL_ALL_S = 30.0
"""All stations' upstream connections begin within this time after a power cut (F12)."""

FACES = "\0faces"
"""Owner of the tokens with which the faces keep their memories; no station is called so."""
HEARD = (FileFetched, FileServed, FilesCollected, SigningRequestMade, OwnCertificateInstalled, OwnCertificateSeen)
"""Facts of no station that concern faces."""

Internal = Inject | InstallFloor | ReadBack | SetAvailable | ClearSetpoint | Wake | AnnounceLimit


class Links:
    """The message half of the engine. seed: fresh per start, makes our message ids unique. overlay: see ``session.Shared``.

    shapes: None = nothing can be translated, and a depot face has no stations.
    """

    def __init__(
        self,
        config: Config,
        seed: str,
        read_time: Callable[[Any], float | None],
        overlay: frozenset[str] = frozenset(),
        shapes: Shapes | None = None,
    ) -> None:
        self.cache = AuthCache(read_time)
        tokens = count(1)
        self._owners: dict[int, str] = {}
        self._current = ""

        def token() -> int:
            number = next(tokens)
            self._owners[number] = self._current
            return number

        per_second = max(DIALS_PER_SECOND, len(config.stations) / DIAL_ALL_S)
        shared = Shared(
            IdSource(seed),
            token,
            self.cache,
            config.authorization,
            SiteList(config.authorization),
            config.grid.voltage_v,
            config.listen.max_frame_bytes,
            DialSpread(per_second),
            DialSpread(per_second),
            {},
            Groups(config.authorization, config.site.timezone),
            Users(seed),
            overlay,
        )
        self._users = shared.users
        self.sessions = {
            station.id: Session(station, config.upstream_of(station.id), shared, config.mirrors_of(station.id)) for station in config.stations
        }

        def face_token() -> int:
            number = next(tokens)
            self._owners[number] = FACES
            return number

        self.junction = Junction(config, shapes, shared.ids, face_token, self.sessions, self._enter) if shapes is not None else None
        self.moves = Moves(config, self.sessions, self.junction)

    def _enter(self, session: Session) -> None:
        self._current = session.station_id

    def handle(self, fact: Fact) -> list[Outcome]:
        """Facts of stations, upstream and storage; others give nothing."""
        if isinstance(fact, StationFrame):  # by far the most come first
            session = self.sessions.get(fact.station_id)
            if session is None:
                return []
            self._current = fact.station_id
            outcomes = session.station_frame(fact.at, fact.generation, fact.text)
            return self._settled(fact.at, outcomes) if session.virtual else outcomes
        if isinstance(fact, UpstreamFrame) and not fact.mirror_id and fact.generation >= 0:
            session = self.sessions.get(fact.station_id)
            if session is not None and not session.virtual:
                self._current = fact.station_id
                return session.csms_frame(fact.at, fact.generation, fact.text)
        if isinstance(fact, (UpstreamFrame, UpstreamOpened, UpstreamClosed)) and not fact.mirror_id and self.junction is not None:
            found = self.junction.socket(fact)
            if found is not None:
                return found
        return self._by_kind(fact)

    def _settled(self, at: Stamp, outcomes: list[Outcome]) -> list[Outcome]:
        """What a session has returned, when its upstream orders have been to its face."""
        return self.junction.of_session(at, outcomes) if self.junction is not None else outcomes

    def _by_kind(self, fact: Fact) -> list[Outcome]:
        if isinstance(fact, TimePassed):
            return self._tick(fact)
        if isinstance(fact, (Persisted, PersistFailed)):
            return self._stored(fact)
        if isinstance(fact, Restored):
            return self._restore(fact)
        if isinstance(fact, FaceWished):
            return self.moves.wish(fact.at, fact)
        if isinstance(fact, HEARD):
            return self.junction.hear(fact.at, fact) if self.junction is not None else []
        session = self.sessions.get(getattr(fact, "station_id", ""))
        if session is None:
            return []
        self._current = session.station_id
        if isinstance(fact, (UpstreamFrame, UpstreamOpened, UpstreamClosed)) and fact.mirror_id:
            return self._mirror(session, fact)
        before = session.generation
        outcomes = self._settled(fact.at, self._station(session, fact))
        return outcomes if session.generation == before else [*outcomes, *self._present(fact.at, session, before)]

    def _present(self, at: Stamp, session: Session, before: int | None) -> list[Outcome]:
        """The station's connection is another one than before."""
        if self.junction is None:
            return []
        gone = self.junction.present(at, session.station_id, False) if before is not None else []
        return [*gone, *(self.junction.present(at, session.station_id, True) if session.generation is not None else [])]

    def profile_chain(self, station_id: str, evse_id: int, at: Stamp) -> tuple[WhyProfile, ...]:
        """The CSMS's profiles that count for an EVSE now; () for a station this site does not have."""
        session = self.sessions.get(station_id)
        return session.profiles.chain(at, evse_id, session.transactions) if session is not None else ()

    def _station(self, session: Session, fact: Fact) -> list[Outcome]:
        match fact:
            case StationArrived():
                return session.arrived(fact.at, fact.ticket, fact.offered, fact.url_tail)
            case StationLeft():
                return session.left(fact.ticket)
            case StationConnected():
                return session.connected(fact.at, fact.generation, fact.version, fact.remote_address, fact.url_tail, fact.secret)
            case StationClosed():
                return session.disconnected(fact.at, fact.generation, fact.reason)
            case ParkedReturned():
                return session.up.returned(fact.at, fact.rows)
            case RowsLoaded():
                return session.loaded(fact.at, fact.rows, fact.asked)
            case UpstreamOpened():
                return session.opened(fact.at, fact.generation, fact.version)
            case UpstreamClosed():
                return session.closed(fact.at, fact.generation, fact.reason, fact.no_common_version, fact.version_in_doubt)
            case MaintenanceOpened():
                return session.maintenance(fact.at, fact.for_s)
        return []

    @staticmethod
    def _mirror(session: Session, fact: UpstreamOpened | UpstreamFrame | UpstreamClosed) -> list[Outcome]:
        mirror = session.mirror(fact.mirror_id)
        if mirror is None:
            return []
        match fact:
            case UpstreamFrame():
                return session.mirror_frame(fact.at, mirror, fact.generation, fact.text)
            case UpstreamOpened():
                return mirror.opened(fact.at, fact.generation, fact.version)
            case UpstreamClosed():
                return mirror.closed(fact.at, fact.generation, fact.reason, fact.no_common_version)

    def _tick(self, fact: TimePassed) -> list[Outcome]:
        outcomes: list[Outcome] = []
        for session in self.sessions.values():
            self._current = session.station_id
            outcomes += contained(session.station_id, partial(session.tick, fact.at))
        settled = [*self._settled(fact.at, outcomes), *contained("site", partial(self.moves.tick, fact.at))]
        return settled if self.junction is None else [*settled, *self.junction.tick(fact.at)]

    def _stored(self, fact: Persisted | PersistFailed) -> list[Outcome]:
        owner = self._owners.pop(fact.token, "")
        if owner == FACES and self.junction is not None:
            return self.junction.stored(fact)
        session = self.sessions.get(owner)
        if session is None:
            return []
        self._current = session.station_id
        if isinstance(fact, Persisted):
            return self._settled(fact.at, session.persisted(fact.at, fact.token, fact.rows))
        return self._settled(fact.at, session.persist_failed(fact.at, fact.token))

    def _restore(self, fact: Restored) -> list[Outcome]:
        outcomes: list[Outcome] = []
        self._users.load(fact.memories.get(USERS_KEY))
        for (space, key), value in fact.memories.items():
            if space == TOKEN_SPACE:
                self.cache.load(key, value)
        queued = {station_id: sum(not row.parked for row in rows) for station_id, rows in fact.outbox.items()}
        outcomes += self.moves.restore(fact.at, fact.memories, queued)
        for session in self.sessions.values():
            outcomes += contained(session.station_id, partial(self._restore_one, session, fact))
        if self.junction is None:
            return outcomes
        # Memories first: an order of a session must not meet a face that remembers nothing.
        restored = self.junction.restore(fact.at, fact.memories)
        return [*self.junction.of_session(fact.at, outcomes), *restored]

    def _restore_one(self, session: Session, fact: Restored) -> list[Outcome]:
        station_id, memories = session.station_id, fact.memories
        self._current = station_id
        session.features.load(memories.get((FEATURE_SPACE, station_id)))
        session.who.load(memories.get((DRIVER_SPACE, station_id)))
        session.limit_news.load(memories.get((NEWS_SPACE, station_id)))
        return session.restore(
            fact.at,
            fact.outbox.get(station_id, ()),
            memories.get(("link", station_id)),
            memories.get((PROFILE_SPACE, station_id)),
            memories.get((BOOT_SPACE, station_id)),
            memories.get((OUTAGE_SPACE, station_id)),
            memories.get((CREDENTIAL_SPACE, station_id)),
            memories.get((LIST_SPACE, station_id)),
            memories.get((STATUS_SPACE, station_id)),
        )

    def carry(self, order: Order, at: Stamp) -> list[Outcome]:
        """One of the site's internal orders."""
        if isinstance(order, AnnounceSite):
            return self.junction.announce(at, order) if self.junction is not None else []
        if isinstance(order, ForgetDrivers):
            return [Persist(0, remember=self.cache.clear())]
        if not isinstance(order, Internal):
            return []
        evse: EvseKey = order.evse
        session = self.sessions.get(evse.station_id)
        if session is None:
            return []
        self._current = session.station_id
        return self._settled(at, session.carry(order, evse, at))

    def view(self) -> tuple[LinkView, ...]:
        """What the page shows."""
        return tuple(session.view() for session in self.sessions.values())

    def translates(self, station_id: str) -> bool:
        """Whether what a station says goes to its CSMS now, and in other words: of another version, or as part of a depot."""
        session = self.sessions.get(station_id)
        return session is not None and session.virtual and session.up.link is not None and session.up.link.is_open

    def faces(self) -> tuple[FaceView, ...]:
        """The sockets of faces: depots, and pairs that are translated now."""
        return self.junction.view() if self.junction is not None else ()
