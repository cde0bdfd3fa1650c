"""All stations' sessions: finds the one a fact or order is about, spreads dials, shares the cache.

A mistake in one session ends that session's step, never the others' (P7): the engine sees to it.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Any

from controller.config import Config
from controller.facts import (
    EvseKey,
    Fact,
    Persisted,
    PersistFailed,
    Restored,
    Stamp,
    StationClosed,
    StationConnected,
    StationFrame,
    TimePassed,
    UpstreamClosed,
    UpstreamFrame,
    UpstreamOpened,
)
from controller.link.auth_cache import SPACE as TOKEN_SPACE
from controller.link.auth_cache import AuthCache
from controller.link.ids import IdSource
from controller.link.profiles import SPACE as PROFILE_SPACE
from controller.link.session import Outcome, Session, Shared
from controller.link.uplink import BOOT_SPACE
from controller.orders import Inject, InstallFloor, Order, ReadBack, SetAvailable
from controller.snapshot import LinkView

DIALS_PER_SECOND = 10
"""New upstream connections per second: 300 stations after a power cut take 30 s (F12)."""

Internal = Inject | InstallFloor | ReadBack | SetAvailable


class Links:
    """The message half of the engine. seed: fresh per start, makes our message ids unique."""

    def __init__(self, config: Config, seed: str, read_time: Callable[[Any], float | None]) -> None:
        self.cache = AuthCache(read_time)
        tokens = count(1)
        self._owners: dict[int, str] = {}
        self._current = ""
        self._dials = (0, 0)

        def token() -> int:
            number = next(tokens)
            self._owners[number] = self._current
            return number

        shared = Shared(IdSource(seed), token, self.cache, config.grid.voltage_v, config.listen.max_frame_bytes, self._may_dial, self._stranger_of)
        self.sessions = {station.id: Session(station, config.upstream_of(station.id), shared) for station in config.stations}

    def handle(self, fact: Fact) -> list[Outcome]:
        """Facts of stations, upstream and storage; others give nothing."""
        if isinstance(fact, TimePassed):
            return self._tick(fact)
        if isinstance(fact, Persisted | PersistFailed):
            return self._stored(fact)
        if isinstance(fact, Restored):
            return self._restore(fact)
        if isinstance(fact, StationConnected | StationFrame | StationClosed | UpstreamOpened | UpstreamFrame | UpstreamClosed):
            session = self.sessions.get(fact.station_id)
            if session is None:
                return []
            self._current = session.station_id
            return self._session(session, fact)
        return []

    def _session(self, session: Session, fact: Fact) -> list[Outcome]:
        match fact:
            case StationFrame():
                return session.station_frame(fact.at, fact.generation, fact.text)
            case UpstreamFrame():
                return session.csms_frame(fact.at, fact.generation, fact.text)
            case StationConnected():
                return session.connected(fact.at, fact.generation, fact.version, fact.remote_address, fact.url_tail)
            case StationClosed():
                return session.disconnected(fact.at, fact.generation, fact.reason)
            case UpstreamOpened():
                return session.opened(fact.at, fact.generation, fact.version)
            case UpstreamClosed():
                return session.closed(fact.at, fact.generation, fact.reason)
        return []

    def _tick(self, fact: TimePassed) -> list[Outcome]:
        outcomes: list[Outcome] = []
        for session in self.sessions.values():
            self._current = session.station_id
            outcomes += session.tick(fact.at)
        return outcomes

    def _stranger_of(self, station_id: str, transaction_id: str) -> str:
        """Another station at which this transaction runs (F14), "" if none."""
        for other in self.sessions.values():
            if other.station_id != station_id and any(t.transaction_id == transaction_id for t in other.transactions.values()):
                return other.station_id
        return ""

    def _may_dial(self, at: Stamp) -> bool:
        second = int(at.mono_s)
        count_in_second = self._dials[1] if self._dials[0] == second else 0
        if count_in_second >= DIALS_PER_SECOND:
            return False
        self._dials = (second, count_in_second + 1)
        return True

    def _stored(self, fact: Persisted | PersistFailed) -> list[Outcome]:
        session = self.sessions.get(self._owners.pop(fact.token, ""))
        if session is None:
            return []
        self._current = session.station_id
        if isinstance(fact, Persisted):
            return session.persisted(fact.at, fact.token, fact.rows)
        return session.persist_failed(fact.at, fact.token)

    def _restore(self, fact: Restored) -> list[Outcome]:
        outcomes: list[Outcome] = []
        for (space, key), value in fact.memories.items():
            if space == TOKEN_SPACE:
                self.cache.load(key, value)
        for station_id, session in self.sessions.items():
            link = fact.memories.get(("link", station_id))
            profiles = fact.memories.get((PROFILE_SPACE, station_id))
            boot = fact.memories.get((BOOT_SPACE, station_id))
            outcomes += session.restore(fact.at, fact.outbox.get(station_id, ()), link, profiles, boot)
        return outcomes

    def carry(self, order: Order, at: Stamp) -> list[Outcome]:
        """One of the site's internal orders."""
        if not isinstance(order, Internal):
            return []
        evse: EvseKey = order.evse
        session = self.sessions.get(evse.station_id)
        if session is None:
            return []
        self._current = session.station_id
        return session.carry(order, evse, at)

    def view(self) -> tuple[LinkView, ...]:
        """What the page shows."""
        return tuple(session.view() for session in self.sessions.values())
