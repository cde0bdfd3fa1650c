"""The hub: the words two legs of different versions meet in, and how a translation is told.

A hub message is an action and a payload in the words of OCPP 2.1, the superset (decision 0024). Each version
brings two ``Side`` classes: one that shows a station of its version to the hub, one that shows a CSMS of its version.
N versions need N mappings. Between the two sides of a leg the hub is direct (pair face), or the depot face sits
there and turns N stations into one.

One message often means several on the other side, and an answer that must wait for theirs: a 1.6 start becomes a
TransactionEvent and its answer needs a number that is on disk; GetBaseReport becomes GetConfiguration and then several
NotifyReports. So a translation is a *conversation*: a generator that yields steps and returns the answer. It is pure:
whoever runs it (``link.talks``) sends, waits, stores.

    def reset(self, message: Message) -> Conversation:
        answer = yield Ask("Reset", {"type": "Soft"}, to=WIRE)
        return answer if isinstance(answer, Failed) else Said({"status": answer.payload["status"]})

Nothing is dropped in silence: what a version cannot say is answered with its own status for that, or ``Failed``.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from controller.facts import Fact, Stamp

Payload = dict[str, Any]

HUB: Final = "hub"
"""To the other side, in hub words."""
WIRE: Final = "wire"
"""To this side's own peer, in its own version's words."""


# -- messages ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Message:
    """A CALL, or a SEND (2.1) if ``unanswered``. In hub words unless it is said to be a wire message."""

    action: str
    payload: Payload
    unanswered: bool = False


@dataclass(frozen=True, slots=True)
class Said:
    """A CALLRESULT."""

    payload: Payload


@dataclass(frozen=True, slots=True)
class Failed:
    """A CALLERROR, or no answer in time. code: an RPC error code in 2.x spelling; description: what happened, for people, at most 255."""

    code: str
    description: str = ""


Reply = Said | Failed
NO_ANSWER: Final = Failed("GenericError", "no answer in time")
"""What an ``Ask`` is resumed with when its peer stays silent or goes away."""


# -- steps of a conversation --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Ask:
    """Send a CALL; the conversation goes on with its ``Reply``. to: HUB, WIRE, or in the depot face the id of a station."""

    action: str
    payload: Payload
    to: str = HUB


@dataclass(frozen=True, slots=True)
class AskAll:
    """Send several CALLs at the same time, to different peers; goes on with Said({}) when all have replied, or after ``within_s``.

    replies: filled by the runner, replies[i] to asks[i]; NO_ANSWER for what has not come by then (a later one is nobody's).
    """

    asks: tuple[Ask, ...]
    within_s: float = 20.0
    replies: list[Reply] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Post:
    """Send a CALL whose answer nobody needs; the conversation goes on at once. unanswered: a SEND (2.1)."""

    action: str
    payload: Payload
    to: str = HUB
    unanswered: bool = False


@dataclass(frozen=True, slots=True)
class Keep:
    """Everything changed in the memories must be on disk before the conversation goes on. It ends with Failed if the disk refuses."""


@dataclass(frozen=True, slots=True)
class Rest:
    """Go on after so many seconds (monotonic; whole seconds are enough)."""

    for_s: float


@dataclass(frozen=True, slots=True)
class Emit:
    """Give a fact or an order (``controller.orders``) to the engine, e.g. an entry of the event log; goes on at once."""

    outcome: Any


Step = Ask | AskAll | Post | Keep | Rest | Emit
Conversation = Generator[Step, "Reply | None", Reply]
"""Yields steps; an Ask (and an AskAll) is resumed with a Reply, all others with None; returns the answer to what began it."""


def answered(reply: Reply) -> Conversation:
    """A conversation that needs no step: its answer is known."""
    return reply
    yield  # pragma: no cover - makes it a generator


# -- memory -----------------------------------------------------------------------------------------------------


class Memory:
    """What one side must not forget: key -> JSON value. ``changes`` is what ``Keep`` writes; the runner knows where."""

    __slots__ = ("_changed", "_data")

    def __init__(self, data: Mapping[str, Any] | None = None) -> None:
        self._data: dict[str, Any] = dict(data or {})
        self._changed: set[str] = set()

    def get(self, key: str, default: Any = None) -> Any:
        """The value; treat it as frozen: only ``put`` is noticed."""
        return self._data.get(key, default)

    def put(self, key: str, value: Any) -> None:
        """Remember; None forgets. An equal value is no change."""
        if self._data.get(key) == value:
            return
        if value is None:
            self._data.pop(key, None)
        else:
            self._data[key] = value
        self._changed.add(key)

    def starting(self, prefix: str) -> Iterator[tuple[str, Any]]:
        """(key, value) of all keys that begin so: first what the disk held, in no order that means anything, then in the order they were put."""
        return iter([(key, value) for key, value in self._data.items() if key.startswith(prefix)])

    def load(self, data: Mapping[str, Any]) -> None:
        """What the journal held; replaces everything and changes nothing."""
        self._data, self._changed = dict(data), set()

    @property
    def changed(self) -> bool:
        """Whether something waits to be written."""
        return bool(self._changed)

    def changes(self) -> dict[str, Any]:
        """Key -> new value, None = deleted, since the last call."""
        found = {key: self._data.get(key) for key in sorted(self._changed)}
        self._changed = set()
        return found


# -- sides ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class EvseShape:
    """An EVSE as the hub sees it: its number, 1..n; connectors: how many; phases: of its supply, 1..3; max_current_a per phase."""

    evse_id: int
    connectors: int = 1
    phases: int = 3
    max_current_a: float = 32.0


@dataclass(frozen=True, slots=True)
class Wording:
    """What the site chooses where versions leave a choice. token_type: 2.x type of a 1.6 idTag that does not look like a card
    (ISO14443 is recognised by 8, 14 or 20 hex digits); anonymous_tag: idTag of a NoAuthorization start towards 1.6."""

    token_type: str = "Local"
    anonymous_tag: str = "ANONYMOUS"


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a side may use. All callables are pure for the engine.

    name: the station's id, or the depot's identity. evses: what the station (for a CSMS's side: the station it is shown)
    has now, in hub numbers. memory: this side's own; shared: of the whole site (written by the same ``Keep``). fresh: a new id in UUID form.
    number: a new positive integer < 2**31, never used before at this site (written by the next ``Keep``). now: the clocks.
    fit: see ``shapes.Shapes.fit``: (version, action, is it an answer, payload) -> the payload without what that version does not know
    and cut to its lengths. queued: of a station's side: how many of its messages wait on our disk, or are on their way to it.
    """

    name: str
    evses: Callable[[], tuple[EvseShape, ...]]
    memory: Memory
    shared: Memory
    fresh: Callable[[], str]
    number: Callable[[], int]
    now: Callable[[], Stamp]
    fit: Callable[[str, str, bool, Payload], Payload]
    voltage_v: float = 230.0
    wording: Wording = field(default_factory=Wording)
    queued: Callable[[], int] = lambda: 0


class Side(Protocol):
    """One version on one leg. A station's side: WIRE is the station, HUB the CSMS; a CSMS's side: the other way round.

    Payloads given to it are schema-valid as far as their sender kept to its version; it must not raise on anything (a defect ends the
    conversation with Failed). Whatever it sends is checked against the schemas before it leaves.
    """

    def said(self, message: Message) -> Conversation:
        """The peer on the wire has sent a CALL (its own words). Returns the answer in the same words."""

    def asked(self, message: Message) -> Conversation:
        """The other side asks the peer something (hub words). Returns the answer in hub words."""

    def opened(self) -> list[Conversation]:
        """The wire is open (for a station's side: the station is connected); conversations of its own, answers ignored."""

    def closed(self) -> list[Conversation]:
        """The wire is gone; every Ask to it has been or will be resumed with Failed."""

    def tick(self) -> list[Conversation]:
        """A second has passed."""


SideMaker = Callable[[Surroundings], Side]


@dataclass(frozen=True, slots=True)
class Sides:
    """The two sides of a version, as its folder offers them under the name SIDES (``registry.sides_for``)."""

    subprotocol: str
    station: SideMaker
    csms: SideMaker


Outcome = Fact | Any
