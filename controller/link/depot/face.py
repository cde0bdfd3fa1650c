"""The depot face: the whole site as one station of its CSMS, over one socket, whatever the chargers speak.

    session of a charger <--virtual leg--> Leg --hub--> part --hub--> Trunk <--socket--> CSMS

It dials under the depot's identity, boots (B01, B02), beats, and gives each hub message to the part that knows its action; what a part
asks goes to the CSMS in its turn, or to a charger. A charger's virtual leg is open while the CSMS knows the depot and the charger is
there; otherwise its session does what it does while any CSMS is away: it answers, and keeps on disk what must not be lost. So
an outage of the one socket is an outage of every charger's own, and the queues are theirs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from controller import __version__
from controller.config import StationConfig, UpstreamConfig
from controller.facts import EvseKey, Fact, Stamp, UpstreamClosed, UpstreamFrame, UpstreamOpened
from controller.link.depot.boot import depot_boot
from controller.link.depot.crew import Crew
from controller.link.depot.desks import Desks
from controller.link.depot.numbering import Numbering
from controller.link.depot.office import Card, Office
from controller.link.depot.picture import evse_shapes, number_views
from controller.link.depot.registration import Registration, State
from controller.link.faces import Means, UpstreamOrder, memory_of
from controller.link.talks import Talks, Then, begun
from controller.link.trunk import Hooks, Trunk
from controller.link.upstream import State as LinkState
from controller.link.upstream import UpstreamLink
from controller.ocpp.hub import HUB, NO_ANSWER, Ask, Conversation, Failed, Message, Post, Reply, Said, Surroundings, Wording
from controller.ocpp.registry import sides_for
from controller.orders import AnnounceSite, CloseUpstream, DialUpstream, Order, SendUpstream, Severity, Tell
from controller.snapshot import FaceView

Outcome = Order | Fact
VERSIONS: Final = ("ocpp2.1", "ocpp2.0.1", "ocpp1.6")
"""Offered to a CSMS of which the site file does not say what it speaks, best first."""
REASONS_KEPT: Final = 8
"""Refusals that are told once each during one outage."""
REDIAL_S: Final = 30.0
STARTS: Final = ("RequestStartTransaction", "RequestStopTransaction")
"""Answered Rejected while the CSMS has not accepted the depot (B02.FR.05)."""


class DepotFace:
    """One CSMS that sees one large station. Implements ``faces.Face``."""

    translating: bool = True

    def __init__(self, upstream: UpstreamConfig, means: Means) -> None:
        config = means.config
        self.identity = upstream.identity or config.site.id
        self._upstream = upstream
        self._means = means
        self._memory = means.keeper.memory(memory_of("depot", upstream.id))
        self._link = UpstreamLink(self.identity, upstream.reconnect_min_s, upstream.reconnect_max_s)
        self._stations = {station.id: station for station in config.stations if config.upstream_of(station.id) == upstream}
        hooks = Hooks(self._send, self._hang_up, self._from_csms, means.keeper.keep, self._surroundings)
        self.trunk = Trunk(self.identity, means.shapes, means.ids, hooks, upstream.call_timeout_s)
        self._desks = Desks(means, upstream, self._from_station, self._changed)
        self._desks.add(self._stations.values())
        self._talks = Talks(self.identity)
        self._registration = Registration(self._memory)
        self._sent_mono_s = 0.0
        self._told: set[str] = set()
        self._barred = False
        self._broken = ""
        self._unnumbered = False
        self._redial_mono_s = float("inf")
        self._furnish()

    def _furnish(self) -> None:
        """Office and parts, from what the memory holds."""
        means = self._means
        numbering = Numbering(self._memory)
        try:
            # Those that shall come here but still have another CSMS, too: numbers follow the site file, not who is free first.
            coming = (one for one in means.config.stations if one.id in self._stations or means.config.upstream_of(one.id) == self._upstream)
            numbering.settle(EvseKey(station.id, evse.id) for station in coming for evse in station.evses)
            self._broken = ""
        except (TypeError, ValueError):
            # Numbering anew would give old numbers to other EVSEs: better not to speak at all.
            self._broken = "the EVSE numbers of this depot cannot be read from the disk"
        self.office = Office(
            self.identity, means.config, self._upstream, self._memory, numbering, means.shapes, means.ids.fresh, means.number, means.now
        )
        self.office.waiting = self._waiting
        self.office.says["Heartbeat"] = self._beat
        cards = [Card(id, station) for id, station in self._stations.items()]
        gone = dict.fromkeys(evse.station_id for _, evse in numbering.all() if evse.station_id not in self._stations)
        self.office.cards = {card.station_id: card for card in [*cards, *(Card(id, None) for id in gone)]}
        self._desks.office = self.office
        self._crew = Crew(self.office)

    def _waiting(self, station_id: str, transaction_id: str) -> int:
        queued = self._means.queued(station_id, transaction_id)
        if not station_id:
            return queued + sum(self.trunk.turns.chains().values())
        return queued + (self.trunk.turns.chained(self.office.transactions.of_depot(station_id, transaction_id)) if transaction_id else 0)

    # -- the sessions' orders ---------------------------------------------------------------------------------

    def take(self, at: Stamp, order: UpstreamOrder) -> list[Outcome]:
        """An upstream order of a session."""
        soon = not self._broken and (self._link.first or self._registration.state is State.ASKED)
        return self._desks.take(at, order, known=self.office.accepted, soon=soon, away=self._away)

    @property
    def _away(self) -> str:
        """Why the CSMS cannot be reached, for people."""
        return self._broken or self._link.last_reason or "the CSMS is away"

    def admit(self, at: Stamp, station: StationConfig) -> list[Outcome]:
        """A station is seen through this face from now on (``link.moves``); EVSEs that are new here get the next numbers."""
        if station.id in self._stations or self._broken:
            return []
        self._stations[station.id] = station
        self._desks.add((station,))
        self.office.cards.setdefault(station.id, Card(station.id, station)).config = station
        self.office.numbering.settle(EvseKey(station.id, evse.id) for evse in station.evses)
        return self._means.keeper.keep(at, _nobody)

    def expect(self, at: Stamp, stations: list[StationConfig]) -> list[Outcome]:
        """They will come here, each when it is free: their EVSEs get their numbers now, in the order of the site file."""
        if self._broken:
            return []
        self.office.numbering.settle(EvseKey(station.id, evse.id) for station in stations for evse in station.evses)
        outcomes: list[Outcome] = []
        for station in stations:
            if station.id not in self.office.cards:
                self.office.cards[station.id] = Card(station.id, None)
                outcomes += self._changed(at, self.office.cards[station.id])  # the CSMS hears of EVSEs that are Unavailable
        return [*self._means.keeper.keep(at, _nobody), *outcomes]

    def release(self, at: Stamp, station_id: str) -> list[Outcome]:
        """It is not any more: its numbers stay its own, and their connectors Unavailable."""
        self._stations.pop(station_id, None)
        return self._desks.release(at, station_id)

    def present(self, at: Stamp, station_id: str, online: bool) -> list[Outcome]:
        """A station has connected, or is gone."""
        return self._desks.present(at, station_id, online)

    def _changed(self, at: Stamp, card: Card) -> list[Outcome]:
        """A station's card is another one now: the parts hear it."""
        return self._spawn(at, self._crew.changed(card))

    def _spawn(self, at: Stamp, talks: list[Conversation]) -> list[Outcome]:
        return self._talks.spawn(at, talks, _Port(self, False)) if talks else []

    # -- the CSMS's socket ---------------------------------------------------------------------------------------

    def opened(self, at: Stamp, fact: UpstreamOpened) -> list[Outcome]:
        """The socket is open."""
        if not self._link.opened(fact.generation, at.mono_s):
            return []
        if sides_for(fact.version) is None:
            return self._hang_up(at, f"{fact.version or 'no version'} was chosen, which is not spoken here")
        known = self._registration.connected(fact.version)
        self.office.csms_version = fact.version
        told = Tell(Severity.INFO, self.identity, f"the CSMS is there and speaks {fact.version}")
        outcomes: list[Outcome] = [told, *self.trunk.opened(at, fact.version)]
        return [*outcomes, *(self._accept(at) if known else self._boot(at))]

    def frame(self, at: Stamp, fact: UpstreamFrame) -> list[Outcome]:
        """A text of the CSMS."""
        return self.trunk.frame(at, fact.text) if fact.generation == self._link.generation else []

    def closed(self, at: Stamp, fact: UpstreamClosed) -> list[Outcome]:
        """The socket is closed, or a dial failed."""
        was_open = self._link.is_open
        reason = fact.reason
        if fact.no_common_version:
            reason = f"{reason} - upstreams.versions says what is offered"
        if not self._link.closed(fact.generation, at.mono_s, reason):
            return []
        return self._lost(at, reason, was_open, fact.refused)

    def _hang_up(self, at: Stamp, reason: str) -> list[Outcome]:
        generation = self._link.generation
        if not self._link.closed(generation, at.mono_s, reason):
            return []
        return [CloseUpstream(self.identity, generation, reason), *self._lost(at, reason, was_open=True, refused=False)]

    def _lost(self, at: Stamp, reason: str, was_open: bool, refused: bool) -> list[Outcome]:
        outcomes: list[Outcome] = []
        self._told = set() if was_open or len(self._told) >= REASONS_KEPT else self._told
        # Whoever puts the password right must hear that now the identity is wrong.
        if was_open or self._link.failures == 1 or (refused and reason not in self._told):
            self._told.add(reason)
            text = f"CSMS is away ({reason}) - charging goes on, messages are kept on disk"
            outcomes.append(Tell(Severity.WARNING, self.identity, text))
        self.office.csms_version = ""
        self._registration.lost()
        return [*outcomes, *self._suspend(at, reason), *self.trunk.closed(at)]

    def tick(self, at: Stamp) -> list[Outcome]:
        """A second has passed."""
        if self._broken:
            return []
        outcomes = self._means.keeper.keep(at, self._numbered) if self._unnumbered else []
        outcomes += [*self._dial(at), *self._desks.tick(at, self._away)]
        outcomes += [*self._talks.tick(at), *self.trunk.tick(at), *self._registered(at)]
        outcomes += self._redialled(at)
        outcomes += self._spawn(at, self._crew.tick())
        outcomes += self._desks.news_of_all(at)
        return [*outcomes, *(self._means.keeper.keep(at, _nobody) if self._memory.changed else [])]

    def _redialled(self, at: Stamp) -> list[Outcome]:
        """A part wants the connection made anew: as soon as nothing is under way, within half a minute in any case."""
        if not self.office.redial or not self._link.is_open:
            self.office.redial = ""
            return []
        self._redial_mono_s = min(self._redial_mono_s, at.mono_s + REDIAL_S)
        if not self.trunk.idle and at.mono_s < self._redial_mono_s:
            return []
        reason, self.office.redial, self._redial_mono_s = self.office.redial, "", float("inf")
        return self._hang_up(at, reason)

    def _dial(self, at: Stamp) -> list[Outcome]:
        if not self._link.due(at.mono_s):
            return []
        offered = tuple(version for version in self._upstream.versions or VERSIONS if sides_for(version) is not None)
        return [DialUpstream(self.identity, self._link.dial(), self._upstream.id, offered)] if offered else []

    # -- boot and heartbeat ------------------------------------------------------------------------------------------

    def _registered(self, at: Stamp) -> list[Outcome]:
        """What is due for the CSMS to know the depot: a boot, a heartbeat."""
        if not self.trunk.is_open:
            return []
        if self.office.boot_wanted:
            self._registration.again(self.office.boot_wanted)
            self.office.boot_wanted = ""
        if self._registration.boot_due(at):
            return self._boot(at)
        interval_s = self._registration.interval_s
        if self.office.accepted and interval_s and at.mono_s - self._sent_mono_s >= interval_s:
            return self.trunk.ask(at, Message("Heartbeat", {}), self._time_told, key=("Heartbeat",))  # one waits, however slow the CSMS is
        return []

    def _boot(self, at: Stamp) -> list[Outcome]:
        payload = depot_boot(self.office, __version__, self._registration.reason)
        self._registration.asked()
        return self.trunk.ask(at, Message("BootNotification", payload), self._booted)

    def _booted(self, at: Stamp, reply: Reply) -> list[Outcome]:
        state = self._registration.answered(at, reply)
        outcomes = self._time_told(at, reply)
        if state is State.ACCEPTED:
            if self._barred:
                self._barred = False
                outcomes.append(Tell(Severity.INFO, self.identity, "the CSMS has accepted this depot"))
            return [*outcomes, *self._accept(at)]
        if state is State.REJECTED or state is State.PENDING:
            self._barred = True
            hint = "; its operator may have to add a station of this identity" if state is State.REJECTED else ""
            text = f"the CSMS has not accepted this depot yet ({state}) - asked again in {self._registration.wait_s(at):.0f} s{hint}"
            outcomes.append(Tell(Severity.WARNING, self.identity, text))
            outcomes += self._suspend(at, f"the CSMS answers the depot's boot with {state}")
        return outcomes

    def _suspend(self, at: Stamp, reason: str) -> list[Outcome]:
        """From now on the CSMS takes nothing of the chargers, though the socket stays open. Their sessions hear it first."""
        self.office.accepted = False
        return self._desks.shut_all(at, reason)

    def _accept(self, at: Stamp) -> list[Outcome]:
        """The CSMS knows the depot; also after a boot in between (a Reset, a CSMS that forgot), when it wants all states again (B01.FR.05)."""
        self.office.accepted = True
        outcomes = self._spawn(at, self._crew.opened())
        return [*outcomes, *self._desks.open_all(at)]

    def _time_told(self, at: Stamp, reply: Reply) -> list[Outcome]:
        text = self._registration.clock_off(at, reply)
        return [Tell(Severity.WARNING, self.identity, text)] if text else []

    # -- messages ---------------------------------------------------------------------------------------------------------

    def _from_csms(self, at: Stamp, message: Message, then: Then) -> list[Outcome]:
        """The CSMS asks the depot something, in hub words."""
        if self._registration.state is State.REJECTED:
            return then(at, Failed("SecurityError", "this depot has been rejected"))
        if not self.office.accepted and message.action in STARTS:
            return then(at, Said({"status": "Rejected", "statusInfo": {"reasonCode": "NotAccepted"}}))
        handler = self._crew.of_csms.get(message.action)
        if handler is None:
            return then(at, Failed("NotImplemented", f"{message.action} is not known here"))
        return self._talks.begin(at, begun(handler, message), _Port(self, True), lambda now, reply: [*then(now, reply), *self._follow(now)])

    def _follow(self, at: Stamp) -> list[Outcome]:
        """What an answered command has left to do (``Office.afterwards``)."""
        talks, self.office.afterwards = self.office.afterwards, []
        return self._talks.spawn(at, talks, _Port(self, True)) if talks else []

    def _beat(self) -> Conversation:
        return (yield Ask("Heartbeat", {})) or Said({})

    def _from_station(self, at: Stamp, station_id: str, message: Message, then: Then) -> list[Outcome]:
        """A charger says something, in hub words."""
        handler = self._crew.of_station.get(message.action)
        if handler is None:
            return then(at, Failed("NotImplemented", f"{message.action} is not known here"))
        if message.action != "TransactionEvent":
            message = Message(message.action, self.office.transactions.up(station_id, message.payload), message.unanswered)
        return self._talks.begin(at, begun(handler, station_id, message), _Port(self, False), then)

    def to_csms(self, at: Stamp, message: Message, then: Then, *, commanded: bool) -> list[Outcome]:
        """A part asks the CSMS. commanded: the CSMS has asked for it, so it may go up while the boot is Pending (B02.FR.02)."""
        if not self.office.accepted and not (commanded and self._registration.state is State.PENDING):
            return then(at, NO_ANSWER)

        def heard(now: Stamp, reply: Reply) -> list[Outcome]:
            unknown = isinstance(reply, Failed) and reply.code == "SecurityError" and self.office.accepted
            if unknown:
                self._registration.again("Unknown")  # the CSMS has forgotten the depot, or never knew it: it boots anew (B02.FR.09)
            return then(now, NO_ANSWER if unknown else reply)

        return self.trunk.ask(at, message, heard)

    def to_station(self, at: Stamp, station_id: str, message: Message, then: Then) -> list[Outcome]:
        """A part asks a charger."""
        message = Message(message.action, self.office.transactions.down(message.payload), message.unanswered)
        return self._desks.ask(at, station_id, message, then)

    def keep(self, at: Stamp, then: Then) -> list[Outcome]:
        """A part waits for the disk."""
        return self._means.keeper.keep(at, then)

    # -- what the trunk needs -------------------------------------------------------------------------------------------------

    def _send(self, at: Stamp, text: str) -> list[Outcome]:
        self._sent_mono_s = at.mono_s
        return [SendUpstream(self.identity, self._link.generation, text)]

    def _surroundings(self, version: str) -> Surroundings:
        wording = Wording(self._upstream.depot.token_type, self._upstream.depot.anonymous_tag)
        return self._means.surroundings(self.identity, memory_of("trunk", self._upstream.id, version), lambda: evse_shapes(self.office), wording)

    # -- the rest of a face ------------------------------------------------------------------------------------------------------

    def restore(self, at: Stamp) -> list[Outcome]:
        """The memories are filled: begin."""
        self._furnish()
        self._registration = Registration(self._memory)
        if self._broken:
            text = f"{self._broken} - the CSMS is not told anything so that no EVSE gets another's number; restore a backup of the journal"
            return [Tell(Severity.ALARM, self.identity, text)]
        return self._means.keeper.keep(at, self._numbered)

    def _numbered(self, at: Stamp, reply: Reply) -> list[Outcome]:
        """The EVSE numbers are on disk, or not: a number that the CSMS has heard must not be another EVSE's after a power cut."""
        self._unnumbered = isinstance(reply, Failed)
        if not self._unnumbered:
            self._link.want()
        return []

    def announce(self, at: Stamp, order: AnnounceSite) -> list[Outcome]:
        """The site's values."""
        self.office.site = order
        return []

    def hear(self, at: Stamp, fact: Fact) -> list[Outcome]:
        """Files that were fetched, served or collected."""
        return self._spawn(at, self._crew.told(fact))

    def listed(self, token: dict[str, Any]) -> dict[str, Any] | None:
        """idTokenInfo on the depot's own local list, None for a driver who is not on it."""
        return self._crew.listed(token)

    def view(self) -> FaceView:
        """What the page shows."""
        state = "open" if self._link.is_open else "dialling" if self._link.state is LinkState.DIALLING else "away"
        waiting = self.trunk.waiting
        ranks = tuple((rank.name.lower(), count) for rank, count in waiting.items())
        return FaceView(
            self._upstream.id,
            "depot",
            self.identity,
            state,
            self.trunk.version,
            sum(waiting.values()),
            self.office.accepted,
            ranks,
            number_views(self.office, self._crew.states),
            self._trouble,
        )

    @property
    def _trouble(self) -> str:
        """Why nothing goes up, for people; "" = all is well."""
        if self._broken or not self._link.is_open:
            return self._broken or self._link.last_reason
        words = {State.PENDING: "it lets the depot wait (Pending)", State.REJECTED: f"it does not take a station {self.identity} (Rejected)"}
        return words.get(self._registration.state, "")


@dataclass(frozen=True, slots=True)
class _Port:
    """Where the steps of a part's conversation go."""

    face: DepotFace
    commanded: bool

    def ask(self, at: Stamp, step: Ask, then: Then) -> list[Outcome]:
        """To the CSMS, or to a charger."""
        message = Message(step.action, step.payload)
        return self.face.to_csms(at, message, then, commanded=self.commanded) if step.to == HUB else self.face.to_station(at, step.to, message, then)

    def post(self, at: Stamp, step: Post) -> list[Outcome]:
        """The same; nobody waits for an answer."""
        message = Message(step.action, step.payload, step.unanswered)
        if step.to == HUB:
            return self.face.to_csms(at, message, _nobody, commanded=self.commanded)
        return self.face.to_station(at, step.to, message, _nobody)

    def keep(self, at: Stamp, then: Then) -> list[Outcome]:
        """What has changed goes to disk."""
        return self.face.keep(at, then)


def _nobody(at: Stamp, reply: Reply) -> list[Outcome]:
    return []
