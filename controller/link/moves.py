"""Which CSMS each station has, and its change to another one while the site runs.

The wished one is ``stations[].upstream`` of the site file, or what the operator has said since (``FaceWished``), which is kept
on disk until the site file names another. A station changes when it neither charges nor holds messages for the CSMS it has: a transaction
ends where it began, and nothing is lost or told twice. The same holds over a restart with a changed site file. Only a CSMS that is no longer in
the site file is left at once, queue and all, with an alarm.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from controller.config import Config, StationConfig, UpstreamConfig
from controller.facts import FaceWished, Fact, Stamp
from controller.link.junction import Junction
from controller.link.session import Session
from controller.orders import Order, Persist, Severity, Tell
from controller.snapshot import MoveView

Outcome = Order | Fact
SPACE: Final = "face"


class Moves:
    """sessions: all of the site. junction: None = nothing can be translated, then there are no faces to assign."""

    def __init__(self, config: Config, sessions: Mapping[str, Session], junction: Junction | None) -> None:
        self._config = config
        self._sessions = sessions
        self._junction = junction
        self._primaries = {upstream.id: upstream for upstream in config.upstreams if upstream.role == "primary"}
        self._wished: dict[str, str] = {}
        self._pending: set[str] = set()

    # -- what is wished -------------------------------------------------------------------------------------

    def wished(self, station: StationConfig) -> UpstreamConfig | None:
        """The CSMS the station shall have."""
        override = self._wished.get(station.id)
        return self._primaries[override] if override is not None else self._config.upstream_of(station.id)

    def wish(self, at: Stamp, fact: FaceWished) -> list[Outcome]:
        """The operator's word for one station, or for all."""
        stations = [station for station in self._config.stations if fact.station_id in ("", station.id)]
        if not stations or (fact.upstream_id and fact.upstream_id not in self._primaries):
            text = f"no station or no primary CSMS of that name ({fact.station_id or 'all'} to {fact.upstream_id}) - nothing was changed"
            return [Tell(Severity.WARNING, fact.station_id or "site", text)]
        memories: dict[tuple[str, str], Any] = {}
        for station in stations:
            if fact.upstream_id:
                self._wished[station.id] = fact.upstream_id
            else:
                self._wished.pop(station.id, None)
            kept = {"wished": fact.upstream_id, "configured": self._configured(station)} if fact.upstream_id else None
            memories[(SPACE, station.id)] = kept
            self._look(station)
        expected = self._junction.expect(at, self._primaries[fact.upstream_id], stations) if self._junction is not None and fact.upstream_id else []
        return [Persist(0, remember=memories), *expected, *self.tick(at)]

    def _configured(self, station: StationConfig) -> str:
        upstream = self._config.upstream_of(station.id)
        return upstream.id if upstream is not None else ""

    def _look(self, station: StationConfig) -> None:
        wished = self.wished(station)
        if self._sessions[station.id].upstream_id == (wished.id if wished is not None else ""):
            self._pending.discard(station.id)
        else:
            self._pending.add(station.id)

    # -- the journal ---------------------------------------------------------------------------------------------

    def restore(self, at: Stamp, memories: Mapping[tuple[str, str], Any], queued: Mapping[str, int]) -> list[Outcome]:
        """Before the sessions have what the journal held: each gets the CSMS it had if anything binds it to that. queued: messages on disk."""
        outcomes: list[Outcome] = []
        for station in self._config.stations:
            known = memories.get((SPACE, station.id))
            if isinstance(known, dict) and known.get("wished") in self._primaries and known.get("configured") == self._configured(station):
                self._wished[station.id] = str(known["wished"])
            outcomes += self._resume(at, station, memories.get(("link", station.id)), queued.get(station.id, 0))
        return [*outcomes, *self._removed(memories, queued)]

    def _removed(self, memories: Mapping[tuple[str, str], Any], queued: Mapping[str, int]) -> list[Outcome]:
        """Stations that left the site file in the middle of something. What is on disk stays there; nobody sends it."""
        known = {station.id for station in self._config.stations}
        links = {key: link for (space, key), link in memories.items() if space == "link" and isinstance(link, dict)}
        told: list[Outcome] = []
        for station_id in sorted((links.keys() | queued.keys()) - known):
            waiting = [f"{queued[station_id]} messages to its CSMS wait on disk"] if queued.get(station_id) else []
            waiting += ["a transaction is open there"] if links.get(station_id, {}).get("transactions") else []
            if waiting:
                text = f"is not in the site file any more, but {' and '.join(waiting)}: kept, and not sent; nobody counts what its cars draw"
                told.append(Tell(Severity.WARNING, station_id, f"{text} - put it back until both are done"))
        return told

    def _resume(self, at: Stamp, station: StationConfig, link: Any, queued: int) -> list[Outcome]:
        wished = self.wished(station)
        wished_id = wished.id if wished is not None else ""
        had, bound = _had(link, wished_id), bool(queued or (isinstance(link, dict) and link.get("transactions")))
        session = self._sessions[station.id]
        if had == wished_id or not bound:
            outcomes = self._assign(at, station, session, wished) if session.upstream_id != wished_id else []
            return [*outcomes, *([_another_face(station, wished_id)] if bound and _turned(link, wished) else [])]
        if had and had not in self._primaries:
            text = f"its CSMS {had} is no longer in the site file, but {queued} messages wait for it: they go to {wished_id or 'nobody'} now"
            outcomes = self._assign(at, station, session, wished) if session.upstream_id != wished_id else []
            return [Tell(Severity.ALARM, station.id, text), *outcomes]
        outcomes = self._assign(at, station, session, self._primaries.get(had)) if session.upstream_id != had else []
        self._pending.add(station.id)
        text = f"stays with CSMS {had or 'none'} until its transactions are ended and its queue is empty, then changes to {wished_id or 'none'}"
        return [*outcomes, Tell(Severity.INFO, station.id, text)]

    # -- the change --------------------------------------------------------------------------------------------------

    def tick(self, at: Stamp) -> list[Outcome]:
        """A second has passed: whoever is free changes."""
        outcomes: list[Outcome] = []
        for station in self._config.stations if self._pending else ():
            session = self._sessions[station.id]
            if station.id in self._pending and session.is_idle:
                self._pending.discard(station.id)
                outcomes += self._change(at, station, session)
        return outcomes

    def _change(self, at: Stamp, station: StationConfig, session: Session) -> list[Outcome]:
        wished, had = self.wished(station), session.upstream_id
        text = f"changes from CSMS {had or 'none'} to {wished.id if wished is not None else 'none'}"
        changed = self._assign(at, station, session, wished)
        joined = session.join(at)
        return [Tell(Severity.INFO, station.id, text), *changed, *(self._junction.of_session(at, joined) if self._junction is not None else joined)]

    def _assign(self, at: Stamp, station: StationConfig, session: Session, upstream: UpstreamConfig | None) -> list[Outcome]:
        """The old face takes leave of the session, the new one gets it."""
        junction = self._junction
        if junction is None:
            return [*session.leave(at), *session.rewire(upstream)]
        left = [*junction.of_session(at, session.leave(at)), *junction.release(at, station.id)]
        return [*left, *session.rewire(upstream), *junction.assign(at, station, upstream)]

    def view(self) -> tuple[MoveView, ...]:
        """Who has which CSMS, who shall have which, and what it waits for."""
        return tuple(self._view(station) for station in self._config.stations)

    def _view(self, station: StationConfig) -> MoveView:
        session, wished = self._sessions[station.id], self.wished(station)
        reasons = []
        if station.id in self._pending:
            reasons += ["a charging session runs"] if session.transactions else []
            reasons += [f"{session.up.queued} messages wait for the CSMS it has"] if session.up.queued else []
        override = station.id in self._wished
        return MoveView(station.id, session.upstream_id, wished.id if wished is not None else "", override, ", ".join(reasons))


def _turned(link: Any, wished: UpstreamConfig | None) -> bool:
    """Whether the same CSMS saw the station through another face before the restart."""
    before = link.get("depot") if isinstance(link, dict) else None
    return wished is not None and isinstance(before, bool) and before != (wished.face == "depot")


def _another_face(station: StationConfig, upstream_id: str) -> Tell:
    text = (
        f"CSMS {upstream_id} sees it through another face than before, and it charges, or messages wait: what began under the old face "
        "goes up under the new one, where the CSMS may not know it - next time give the new face an upstream of its own and change over to that"
    )
    return Tell(Severity.ALARM, station.id, text)


def _had(link: Any, default: str) -> str:
    """The CSMS a station had before the restart, as far as its memory says."""
    if not isinstance(link, dict):
        return default
    had = link.get("upstream")
    if isinstance(had, str):
        return had
    agreed = link.get("agreed")
    return next(iter(agreed), default) if isinstance(agreed, dict) else default
