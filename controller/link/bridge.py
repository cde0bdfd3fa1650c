"""The pair face of one station: passes everything on, or translates where the CSMS does not speak the station's version.

    dial --as the session wants it--> open: bytes pass untouched, the bridge is out of the way
         \\-- no common version --> dial with the other versions, nearest first --> open: Leg <-> hub <-> Trunk

One dial of the session may so become several of ours, one after the other. Ours have negative generations: what comes on them
never reaches the session as it is. What was agreed is kept on disk per station and upstream, so that the next
dial is right at once; the station's own version is tried again every hour at most, when a dial is due anyway. Where the site file says what
the CSMS speaks (``upstreams.versions``) nothing else is tried. The order of the others: the nearest above, then the nearest below. A 2.x
station loses least on the other 2.x; a 1.6 station has no use for what 2.1 adds, and more CSMSs are well tested with 2.0.1.
Serves traps 3, 4, F29; OCPP-NOTES 3.4 (b) and (c).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from controller.config import StationConfig, UpstreamConfig
from controller.facts import Fact, Stamp, UpstreamClosed, UpstreamFrame, UpstreamOpened
from controller.link.faces import Means, UpstreamOrder, memory_of
from controller.link.leg import Leg
from controller.link.talks import Then
from controller.link.trunk import Hooks, Trunk
from controller.ocpp.hub import EvseShape, Message, Surroundings, Wording
from controller.ocpp.registry import sides_for
from controller.orders import AnnounceSite, CloseUpstream, DialUpstream, Order, SendUpstream, Severity, Tell
from controller.snapshot import FaceView

Outcome = Order | Fact
OWN_AGAIN_S: Final = 3600.0
"""While a leg is translated, the station's own version is offered to the CSMS again no more often than this [s]."""
NEAREST: Final = {
    "ocpp2.1": ("ocpp2.0.1", "ocpp1.6"),
    "ocpp2.0.1": ("ocpp2.1", "ocpp1.6"),
    "ocpp1.6": ("ocpp2.0.1", "ocpp2.1"),
}
"""A station's version -> what a CSMS may speak instead, best first."""
AGREED: Final = "agreed"
MayChange = Callable[[Stamp, tuple[str, ...]], bool]
"""(at, what a dial has offered) -> whether the session would rather have the station connect again with another version that it has offered."""


@dataclass(frozen=True, slots=True)
class _Dial:
    """One dial of the session. offers: what is still to be tried, in order. generation: of our own dial, 0 = the session's is under way."""

    order: DialUpstream
    offers: tuple[tuple[str, ...], ...] = ()
    generation: int = 0


class Bridge:
    """One station's. station_id also names its sockets. may_change: see ``MayChange``."""

    def __init__(self, station: StationConfig, upstream: UpstreamConfig, means: Means, may_change: MayChange) -> None:
        self.station_id = self.identity = station.id
        self.translating = False
        """Whether the open leg goes through the hub; only then frames come here."""
        self._station = station
        self._upstream = upstream
        self._means = means
        self._may_change = may_change
        self._memory = means.keeper.memory(memory_of("bridge", station.id, upstream.id))
        self._dial: _Dial | None = None
        self._own_mono_s = float("-inf")
        hooks = Hooks(self._send, self._hang_up, self._to_station, means.keeper.keep, self._surroundings)
        self._trunk = Trunk(station.id, means.shapes, means.ids, hooks, upstream.call_timeout_s)
        self._wording = Wording(upstream.depot.token_type, upstream.depot.anonymous_tag)
        self._leg = Leg(station, means, self._trunk.ask, self._wording)

    # -- the session's orders ---------------------------------------------------------------------------------

    def take(self, at: Stamp, order: UpstreamOrder) -> list[Outcome]:
        """An order of the session: passed on as it is, or done by the translation."""
        match order:
            case DialUpstream():
                return self._begin(at, order)
            case SendUpstream():
                return self._leg.said(at, order) if self.translating else [order]
            case CloseUpstream():
                return self._end(at, order)

    def _begin(self, at: Stamp, order: DialUpstream) -> list[Outcome]:
        outcomes = self._drop(at, "dialled anew")
        offers = tuple(offer for offer in self._offers(at, order.offered) if offer)
        if not offers:
            self._dial = None
            return [*outcomes, order]
        return [*outcomes, *self._try(at, _Dial(order, offers))]

    def _offers(self, at: Stamp, offered: tuple[str, ...]) -> tuple[tuple[str, ...], ...]:
        """What this dial shall try, one after the other; an offer that the station can speak itself is not translated."""
        spoken = self._upstream.versions
        if spoken is not None:
            own: tuple[str, ...] = tuple(version for version in spoken if version in offered)
            spare = tuple(version for version in self._others(offered) if version in spoken)
            return (own, spare)
        known = self._memory.get(AGREED)
        others = self._others(offered)
        if known not in others:
            return (offered, others)
        rest = tuple(version for version in others if version != known)
        if at.mono_s - self._own_mono_s >= OWN_AGAIN_S:
            return (offered, (known, *rest))
        return ((known,), offered, rest)

    def _others(self, offered: tuple[str, ...]) -> tuple[str, ...]:
        own = self._means.serves(self.station_id, offered)
        if sides_for(own) is None:
            return ()
        return tuple(version for version in NEAREST.get(own, ()) if version not in offered and sides_for(version) is not None)

    def _try(self, at: Stamp, dial: _Dial) -> list[Outcome]:
        """Dial with the next offer: under the session's own generation where it is its own."""
        offer, rest = dial.offers[0], dial.offers[1:]
        if offer[0] in dial.order.offered:
            self._own_mono_s = at.mono_s
            self._dial = _Dial(dial.order, rest)
            return [dial.order if offer == dial.order.offered else replace(dial.order, offered=offer)]
        generation = self._means.socket()
        self._dial = _Dial(dial.order, rest, generation)
        return [replace(dial.order, generation=generation, offered=offer)]

    def _end(self, at: Stamp, order: CloseUpstream) -> list[Outcome]:
        dial = self._dial
        if dial is None or order.generation != dial.order.generation:
            return [order]
        if dial.generation:
            return self._drop(at, order.reason)
        self._dial = None
        return [order]

    def _drop(self, at: Stamp, reason: str) -> list[Outcome]:
        """End our own socket, if there is one. The session knows already: it hears nothing."""
        dial = self._dial
        if dial is None or not dial.generation:
            return []
        self.translating = False
        closing = CloseUpstream(self.station_id, dial.generation, reason)
        self._dial = None
        return [closing, *self._leg.hung_up(at), *self._trunk.closed(at)]

    # -- facts of our sockets, and of the session's own ----------------------------------------------------------------

    def opened(self, at: Stamp, fact: UpstreamOpened) -> list[Outcome]:
        """A dial has succeeded; what the session's own brings goes on to it."""
        dial = self._dial
        if fact.generation >= 0:
            if dial is None or dial.generation or fact.generation != dial.order.generation:
                return [fact]
            self._dial = None
            return [fact, *self._agreed(at, None)]
        if dial is None or fact.generation != dial.generation or self.translating:
            return []
        own = self._means.serves(self.station_id, dial.order.offered)
        if sides_for(fact.version) is None or fact.version == own:
            return self._wrong_choice(at, dial, fact)
        self.translating = True
        agreed = self._agreed(at, fact.version)
        text = f"the CSMS speaks {fact.version}, the station {own}: what they say is translated"
        told = [Tell(Severity.INFO, self.station_id, text)] if agreed else []
        return [*agreed, *told, *self._trunk.opened(at, fact.version), *self._leg.open(at, dial.order.generation, own)]

    def _wrong_choice(self, at: Stamp, dial: _Dial, fact: UpstreamOpened) -> list[Outcome]:
        """The station has meanwhile been given what the CSMS chose: the next dial brings them together."""
        self._dial = None
        return [
            CloseUpstream(self.station_id, fact.generation, f"the station speaks {fact.version} itself"),
            UpstreamClosed(at, self.station_id, dial.order.generation, f"the CSMS chose {fact.version}, which the station speaks now too"),
        ]

    def frame(self, at: Stamp, fact: UpstreamFrame) -> list[Outcome]:
        """A text of the CSMS on the socket of a translated leg."""
        dial = self._dial
        if dial is None or fact.generation != dial.generation or not self.translating:
            return []
        return self._trunk.frame(at, fact.text)

    def closed(self, at: Stamp, fact: UpstreamClosed) -> list[Outcome]:
        """A socket is closed or a dial failed; if only for its versions, the next offer is tried."""
        dial = self._dial
        ours = fact.generation < 0
        if dial is None or fact.generation != (dial.generation if dial.generation else dial.order.generation):
            return [] if ours else [fact]
        if self.translating:
            return self._lost(at, dial, fact.reason)
        if dial.offers and (fact.no_common_version or fact.version_in_doubt) and (ours or not self._may_change(at, dial.order.offered)):
            return self._try(at, dial)
        self._dial = None
        return [replace(fact, generation=dial.order.generation)]

    def _lost(self, at: Stamp, dial: _Dial, reason: str) -> list[Outcome]:
        """The CSMS of a translated leg is gone. The session hears it first: what then fails below is no answer of the CSMS."""
        self.translating, self._dial = False, None
        return [*self._leg.shut(at, reason), *self._trunk.closed(at)]

    def _agreed(self, at: Stamp, version: str | None) -> list[Outcome]:
        """Remember what was agreed, None = the station's own. No outcomes when that is no news."""
        if self._memory.get(AGREED) == version:
            return []
        self._memory.put(AGREED, version)
        return self._means.keeper.keep(at, lambda at, reply: [])

    # -- the trunk's hooks -------------------------------------------------------------------------------------------------

    def _send(self, at: Stamp, text: str) -> list[Outcome]:
        return [SendUpstream(self.station_id, self._dial.generation, text)] if self._dial is not None else []

    def _hang_up(self, at: Stamp, reason: str) -> list[Outcome]:
        dial = self._dial
        if dial is None or not self.translating:
            return []
        return [CloseUpstream(self.station_id, dial.generation, reason), *self._lost(at, dial, reason)]

    def _to_station(self, at: Stamp, message: Message, then: Then) -> list[Outcome]:
        return self._leg.ask(at, message, then)

    def _surroundings(self, version: str) -> Surroundings:
        evses = tuple(EvseShape(evse.id, 1, len(evse.phases), evse.max_current_a) for evse in self._station.evses)
        memory = memory_of("trunk", self.station_id, self._upstream.id, version)
        return self._means.surroundings(self.station_id, memory, lambda: evses, self._wording)

    # -- the rest of a face ----------------------------------------------------------------------------------------------------

    def admit(self, at: Stamp, station: StationConfig) -> list[Outcome]:
        """It has been made for this station."""
        return []

    def release(self, at: Stamp, station_id: str) -> list[Outcome]:
        """The session has closed its leg."""
        return self._drop(at, "the station has another CSMS now")

    def present(self, at: Stamp, station_id: str, online: bool) -> list[Outcome]:
        """The station is connected, or gone."""
        return self._leg.present(at, online)

    def tick(self, at: Stamp) -> list[Outcome]:
        """A second has passed."""
        if not self.translating:
            return []
        return [*self._trunk.tick(at), *self._leg.tick(at)]

    def restore(self, at: Stamp) -> list[Outcome]:
        """A start of ours is no reason to ask the CSMS again for what it did not speak before."""
        if self._memory.get(AGREED) is not None:
            self._own_mono_s = at.mono_s
        return []

    def announce(self, at: Stamp, order: AnnounceSite) -> list[Outcome]:
        """The site is not this face's business."""
        return []

    def hear(self, at: Stamp, fact: Fact) -> list[Outcome]:
        """Nor is this."""
        return []

    def view(self) -> FaceView:
        """What the page shows."""
        state = "open" if self.translating else "dialling" if self._dial is not None and self._dial.generation else "away"
        queued = sum(self._trunk.waiting.values())
        return FaceView(self._upstream.id, "pair", self.station_id, state, self._trunk.version, queued)

