"""The sessions' virtual legs at a depot face: who is linked, who waits for the CSMS.

A leg is open while the CSMS knows the depot and the station's session has dialled. A session that dials in an outage hears once that the
CSMS is away; its next dial waits here and succeeds in the moment the CSMS is back, so nobody waits for a turn.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from controller.config import StationConfig, UpstreamConfig
from controller.facts import Fact, Stamp, UpstreamClosed
from controller.link.depot.office import Card, Office
from controller.link.faces import DialNow, Means, UpstreamOrder
from controller.link.leg import Leg
from controller.link.talks import Then
from controller.ocpp.hub import Failed, Message, Wording
from controller.orders import CloseUpstream, DialUpstream, Order, SendUpstream

Outcome = Order | Fact
Upward = Callable[[Stamp, str, Message, Then], "list[Outcome]"]
"""(at, station id, its hub message, then)."""
Changed = Callable[[Stamp, Card], "list[Outcome]"]


@dataclass(slots=True)
class _Desk:
    """One station's. dial: one that waits for the CSMS. heard: whether the session knows that it is away. seen: its card as the parts know it."""

    leg: Leg
    dial: DialUpstream | None = None
    since_mono_s: float = 0.0
    heard: bool = False
    seen: tuple[object, ...] = ()


class Desks:
    """upward: where the stations' messages go. changed: told when a station's card is another one. office: its cards are kept up to date here."""

    def __init__(self, means: Means, upstream: UpstreamConfig, upward: Upward, changed: Changed) -> None:
        self.office: Office | None = None
        self._means = means
        self._upstream = upstream
        self._wording = Wording(upstream.depot.token_type, upstream.depot.anonymous_tag)
        self._upward = upward
        self._changed = changed
        self._desks: dict[str, _Desk] = {}

    def add(self, stations: Iterable[StationConfig]) -> None:
        """Stations that are seen through this face; those that are here already stay as they are."""
        for station in stations:
            if station.id not in self._desks:
                self._desks[station.id] = _Desk(Leg(station, self._means, self._up(station.id), self._wording))

    def _up(self, station_id: str) -> Callable[[Stamp, Message, Then], list[Outcome]]:
        return lambda at, message, then: self._upward(at, station_id, message, then)

    def _of(self, station_id: str) -> _Desk | None:
        """The desk of a station; one whose site file names another CSMS by now is served here until its sessions have ended."""
        station = self._means.config.station(station_id)
        if station_id not in self._desks and station is not None:
            self.add((station,))
            self._card(station_id, station).config = station
        return self._desks.get(station_id)

    def _card(self, station_id: str, station: StationConfig | None = None) -> Card:
        assert self.office is not None
        return self.office.cards.setdefault(station_id, Card(station_id, station))

    # -- orders of sessions ------------------------------------------------------------------------------------

    def take(self, at: Stamp, order: UpstreamOrder, *, known: bool, soon: bool, away: str) -> list[Outcome]:
        """An order of a session. known: the CSMS knows the depot; soon: that may be decided in a moment; away: why not, for people."""
        desk = self._of(order.station_id)
        if desk is None:
            return []
        match order:
            case DialUpstream():
                return self._dialled(at, desk, order, known=known, soon=soon, away=away)
            case SendUpstream():
                return [*desk.leg.said(at, order), *self.news(at, order.station_id)]
            case CloseUpstream():
                desk.dial, desk.heard = None, False
                outcomes = desk.leg.hung_up(at) if order.generation == desk.leg.generation else []
                return [*outcomes, *self.news(at, order.station_id)]

    def _dialled(self, at: Stamp, desk: _Desk, order: DialUpstream, *, known: bool, soon: bool, away: str) -> list[Outcome]:
        if known:
            return self._open(at, desk, order)
        desk.dial, desk.since_mono_s = order, at.mono_s
        return [] if desk.heard or soon else self._refuse(at, desk, away)

    def _refuse(self, at: Stamp, desk: _Desk, away: str) -> list[Outcome]:
        """The session shall know that the CSMS is away; its next dial waits here until it is back."""
        dial, desk.dial, desk.heard = desk.dial, None, True
        assert dial is not None
        return [UpstreamClosed(at, dial.station_id, dial.generation, away)]

    def _open(self, at: Stamp, desk: _Desk, order: DialUpstream) -> list[Outcome]:
        desk.dial, desk.heard = None, False
        outcomes = desk.leg.open(at, order.generation, self._means.serves(order.station_id, order.offered))
        return [*outcomes, *self.news(at, order.station_id)]

    # -- what happens above ----------------------------------------------------------------------------------------

    def open_all(self, at: Stamp) -> list[Outcome]:
        """The CSMS knows the depot: every session that waits gets its leg, every other one dials now."""
        outcomes: list[Outcome] = []
        for station_id, desk in tuple(self._desks.items()):
            outcomes += [DialNow(at, station_id)] if desk.dial is None else self._open(at, desk, desk.dial)
        return outcomes

    def shut_all(self, at: Stamp, reason: str) -> list[Outcome]:
        """The CSMS takes nothing any more."""
        outcomes: list[Outcome] = []
        for station_id, desk in tuple(self._desks.items()):
            desk.heard = desk.heard or desk.leg.is_open
            outcomes += desk.leg.shut(at, reason)
            if desk.dial is not None and not desk.heard:
                outcomes += self._refuse(at, desk, reason)
            outcomes += self.news(at, station_id)
        return outcomes

    def tick(self, at: Stamp, away: str) -> list[Outcome]:
        """A second has passed: no handshake waits longer for the CSMS than it may."""
        outcomes: list[Outcome] = []
        for desk in tuple(self._desks.values()):
            outcomes += desk.leg.tick(at)
            if desk.dial is not None and not desk.heard and at.mono_s - desk.since_mono_s >= self._upstream.dial_first_s:
                outcomes += self._refuse(at, desk, away)
        return outcomes

    # -- stations ------------------------------------------------------------------------------------------------------

    def present(self, at: Stamp, station_id: str, online: bool) -> list[Outcome]:
        """A station has connected, or is gone."""
        desk = self._of(station_id)
        if desk is None:
            return []
        self._card(station_id).online = online
        return [*desk.leg.present(at, online), *self.news(at, station_id)]

    def release(self, at: Stamp, station_id: str) -> list[Outcome]:
        """A station is not seen through this face any more: to this CSMS it is one that the site file does not have."""
        desk = self._desks.get(station_id)
        if desk is None:
            return []
        outcomes = desk.leg.hung_up(at)
        card = self._card(station_id)
        card.config, card.online = None, False
        outcomes += self.news(at, station_id)
        del self._desks[station_id]
        return outcomes

    def ask(self, at: Stamp, station_id: str, message: Message, then: Then) -> list[Outcome]:
        """A CALL to a station, in hub words and its own numbers."""
        desk = self._desks.get(station_id)
        if desk is None:
            return then(at, Failed("GenericError", f"there is no charger {station_id}"))
        return desk.leg.ask(at, message, then)

    def news_of_all(self, at: Stamp) -> list[Outcome]:
        """What a part may have changed by itself."""
        return [outcome for station_id in tuple(self._desks) for outcome in self.news(at, station_id)]

    def news(self, at: Stamp, station_id: str) -> list[Outcome]:
        """Tell if a station's card is another one now."""
        card, desk = self._card(station_id), self._desks[station_id]
        card.linked = desk.leg.linked
        card.version = desk.leg.version or card.version
        seen = (card.configured, card.linked, card.online, card.version, tuple(card.states.items()), id(card.boot))
        if desk.seen == seen:
            return []
        desk.seen = seen
        return self._changed(at, card)
