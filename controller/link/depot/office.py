"""What the parts of the depot face share: who is there, under which number, and what the site measures.

The face is cut by idea into parts. A part says which messages it answers, of the CSMS and of stations, and each answer is a
conversation in hub words (``ocpp.hub``): ``Ask(..., to=HUB)`` asks the CSMS, ``Ask(..., to=station_id)`` a station, with that station's own
EVSE numbers. The face finds the part by action, renumbers nothing by itself, and runs the conversations.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from controller.config import Config, DepotConfig, StationConfig, UpstreamConfig
from controller.facts import Fact, Stamp
from controller.link.depot.numbering import Numbering
from controller.link.depot.transactions import Transactions
from controller.ocpp.hub import Conversation, Memory, Message, Said, answered
from controller.ocpp.shapes import Shapes
from controller.orders import AnnounceSite

Payload = dict[str, Any]
FromCsms = Callable[[Message], Conversation]
FromStation = Callable[[str, Message], Conversation]
"""(station id, message) -> conversation."""


@dataclass(slots=True)
class Card:
    """What the face knows of one station. Written by ``depot.boot``, ``depot.states`` and ``depot.sessions`` only.

    linked: its virtual leg is open, it can be asked. online: connected. version: subprotocol. boot: the chargingStation
    block of its BootNotification in hub words. states: (its evse id, connector id) -> connectorStatus in hub words. transactions: its evse
    id -> the depot's transactionId.
    configured: False = it is no longer in the site file.
    """

    station_id: str
    config: StationConfig | None
    linked: bool = False
    online: bool = False
    version: str = ""
    boot: Payload = field(default_factory=dict)
    states: dict[tuple[int, int], str] = field(default_factory=dict)
    transactions: dict[int, str] = field(default_factory=dict)

    @property
    def configured(self) -> bool:
        """Whether the site file still has it."""
        return self.config is not None


@dataclass(slots=True)
class Office:
    """The desk all parts sit at. memory: of the whole face, keys begin with the part's name ("der:", "model:" ...).

    site: the site's values as announced last, None = not yet. number, fresh, now: as in ``hub.Surroundings``.
    csms_version: subprotocol of the open upstream leg, "" = away. waiting: (station id, its own transactionId), "" = any ->
    messages kept here that the CSMS has not taken yet. transactions: whose transactionId is whose; the face translates them in every message.
    """

    identity: str
    config: Config
    upstream: UpstreamConfig
    memory: Memory
    numbering: Numbering
    shapes: Shapes
    fresh: Callable[[], str]
    number: Callable[[], int]
    now: Callable[[], Stamp]
    cards: dict[str, Card] = field(default_factory=dict)
    site: AnnounceSite | None = None
    csms_version: str = ""
    accepted: bool = False
    afterwards: list[Conversation] = field(default_factory=list)
    """What follows the answer to a command of the CSMS; the face runs it as soon as the answer has gone, as part of that command."""
    boot_wanted: str = ""
    """Reason (BootReasonEnumType) with which the depot shall send its BootNotification once more; the face does and empties it."""
    own_signed: FromCsms | None = None
    """Answers CertificateSigned for the depot's own key; None = the operator cares for its certificate."""
    shows_certificate: bool = False
    """Whether the CSMS sees a certificate of ours that it can sign anew."""
    redial: str = ""
    """Why the connection to the CSMS shall be made anew as soon as nothing is under way; the face does and empties it."""
    shows: dict[tuple[str, str], Callable[[], str]] = field(default_factory=dict)
    """What a part knows for the depot's own device model, read only: (component, variable) -> its value as text, "" = not shown. Parts
    enter theirs."""
    says: dict[str, Callable[[], Conversation]] = field(default_factory=dict)
    """What the depot itself can be triggered to send (TriggerMessage): name of the message -> conversation that sends it as things
    are now. Parts enter theirs."""
    file_protocols: Callable[[str], str] = lambda station_id: ""
    """(station id) -> how a charger transfers files (FileTransferProtocols), "" = it has not said; the device model enters it."""
    say_state: Callable[[tuple[int, int]], Conversation] = lambda place: answered(Said({}))
    """Tells the CSMS the state of (the depot's EVSE number, connector) as it is now; the part that owns the states enters it."""
    waiting: Callable[[str, str], int] = lambda station_id, transaction_id: 0
    transactions: Transactions = field(init=False)

    def __post_init__(self) -> None:
        self.transactions = Transactions(self.memory, self.fresh)

    @property
    def policy(self) -> DepotConfig:
        """The configured policies."""
        return self.upstream.depot

    def linked(self) -> tuple[Card, ...]:
        """Stations that can be asked now, in the order of the site file."""
        return tuple(card for card in self.cards.values() if card.linked)

    def place(self, number: int) -> tuple[Card, int] | None:
        """(card, the station's own EVSE number) behind a number of the depot; None if there is none."""
        evse = self.numbering.at(number)
        card = self.cards.get(evse.station_id) if evse is not None else None
        return (card, evse.evse_id) if card is not None and evse is not None else None


class Part(Protocol):
    """One idea of the depot face."""

    def of_csms(self) -> Mapping[str, FromCsms]:
        """Action of the CSMS -> who answers it."""

    def of_station(self) -> Mapping[str, FromStation]:
        """Action of a station -> who answers it."""

    def opened(self) -> list[Conversation]:
        """The CSMS has accepted the depot's BootNotification on a new connection."""

    def station_changed(self, card: Card) -> list[Conversation]:
        """A station's card changed: linked, online, states or boot."""

    def tick(self) -> list[Conversation]:
        """A second has passed."""

    def told(self, fact: Fact) -> list[Conversation]:
        """FileFetched, FileServed or FilesCollected has come; a part knows its own by ``job``, which begins with the part's name."""


class Quiet:
    """A part that has nothing to say by itself; parts derive from it and override what they need."""

    def of_csms(self) -> Mapping[str, FromCsms]:
        """None."""
        return {}

    def of_station(self) -> Mapping[str, FromStation]:
        """None."""
        return {}

    def opened(self) -> list[Conversation]:
        """Nothing."""
        return []

    def station_changed(self, card: Card) -> list[Conversation]:
        """Nothing."""
        return []

    def tick(self) -> list[Conversation]:
        """Nothing."""
        return []

    def told(self, fact: Fact) -> list[Conversation]:
        """Nothing."""
        return []
