"""What the parts of a 1.6 station's side share: its surroundings, its cards, its transactions, what it said last."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, Final

from controller.ocpp.hub import HUB, NO_ANSWER, Ask, Conversation, Failed, Keep, Payload, Reply, Step, Surroundings
from controller.ocpp.times import timestamp, wall_time
from controller.ocpp.v16.aliases import Aliases
from controller.ocpp.v16.station_book import Book
from controller.ocpp.v16.words import error_up, without_none

LATE_S: Final = 60.0
"""A message older than this was not sent when it was written: 1.6 has no word for it, so the hub hears offline = true."""
IN_USE: Final = ("Charging", "SuspendedEV", "SuspendedEVSE")
FREE: Final = ("Available", "Reserved")
FIRMWARE_STAGE: Final = "installing"
"""Memory: how far an update is, in one of these three words."""
INSTALLING: Final = "installing"
INSTALLED: Final = "installed"
BOOTED: Final = "booted"
UNKNOWN_ACTION: Final = ("NotImplemented", "NotSupported")
Answer = Generator[Step, "Reply | None", Reply]
"""Steps inside a conversation that end with a reply."""
Silent = Generator[Step, "Reply | None", None]
"""Steps inside a conversation that give no answer."""


class StationState:
    """See the module. statuses: connector -> status word heard since the wire opened; older: connectors whose word is from before what runs
    there began; later: conversations of our own for the next tick."""

    def __init__(self, surroundings: Surroundings) -> None:
        self.around = surroundings
        self.memory = surroundings.memory
        self.aliases = Aliases(surroundings.shared, surroundings.wording)
        self.book = Book(surroundings)
        self.statuses: dict[int, str] = {}
        self.older: set[int] = set()
        self.later: list[Conversation] = []
        self.opened_wall_s: float | None = None
        self.opened_mono_s = 0.0
        self.is_open = False

    # -- time ------------------------------------------------------------------------------------------------

    @property
    def now(self) -> str:
        """The time as a timestamp."""
        return timestamp(self.around.now().wall_s)

    def late(self, moment: Any) -> bool:
        """Whether a moment told by the station lies so far back that its message waited. Nobody knows while our own clock is not right."""
        at, wall_s = self.around.now(), wall_time(moment)
        if wall_s is None or not at.wall_trusted:
            return False
        before = self.opened_wall_s is not None and wall_s < self.opened_wall_s - at.wall_speed
        return before or at.wall_s - wall_s > LATE_S * at.wall_speed

    # -- disk ------------------------------------------------------------------------------------------------

    def keep(self) -> Silent:
        """What changed must be on disk before the conversation goes on; also what another has changed and is still being written."""
        yield Keep()

    # -- the station -------------------------------------------------------------------------------------------

    @property
    def evse_ids(self) -> tuple[int, ...]:
        """Its EVSEs, which are its connectors."""
        return tuple(evse.evse_id for evse in self.around.evses())

    def is_whole(self, evse_id: Any) -> bool:
        """Whether an EVSE is all there is of the station, or none is named."""
        return evse_id in (None, 0) or self.evse_ids == (evse_id,)

    def status(self, connector: int) -> str:
        """Its last status word, "" = never heard."""
        return str(self.statuses.get(connector) or self.memory.get(f"status:{connector}", ""))

    def busy(self, evse_id: int = 0) -> bool:
        """Whether a transaction runs there; evse_id 0: anywhere. Where the station itself says that the connector is free, none does."""
        return not all(self.is_free(one.evse_id) for one in self.book.running(evse_id))

    def is_free(self, connector: int) -> bool:
        """Whether the station has said that nobody charges there, after what runs there by our book began: some tell of a start only later."""
        return connector not in self.older and self.statuses.get(connector) in FREE

    def began(self, connector: int, when: str) -> None:
        """A transaction has begun there."""
        if not self.late(when):
            self.older.add(connector)

    def stage(self, connector: int, status: str) -> None:
        """The station has told a status. Written with whatever is written next: it tells it anew when it comes back."""
        self.statuses[connector] = status
        self.older.discard(connector)
        self.memory.put(f"status:{connector}", status)

    def knows(self, action: str) -> bool:
        """Whether the station has not yet said that it does not know an action."""
        return self.memory.get(f"unknown:{action}") is None

    def unknown(self, action: str) -> None:
        """The station has said that it does not know an action."""
        self.memory.put(f"unknown:{action}", True)

    def reborn(self) -> None:
        """The station has booted: it may have learnt something."""
        for key, _ in self.memory.starting("unknown:"):
            self.memory.put(key, None)


# -- questions ------------------------------------------------------------------------------------------------------


def ask(action: str, payload: Payload, to: str = HUB) -> Answer:
    """Ask, and the reply."""
    reply = yield Ask(action, payload, to)
    return NO_ANSWER if reply is None else reply


# -- answers in hub words -----------------------------------------------------------------------------------------


def no(reason: str, text: str = "", status: str = "Rejected") -> Payload:
    """A refusal with its reason. reason: a reasonCode of at most 20 characters; text: for people."""
    return {"status": status, "statusInfo": without_none({"reasonCode": reason[:20], "additionalInfo": text or None})}


def hub_error(failed: Failed) -> Failed:
    """A station's CALLERROR in the hub's spelling."""
    return Failed(error_up(failed.code), failed.description)


def is_unknown(reply: Reply | None) -> bool:
    """Whether a station has said that it does not know what it was asked."""
    return isinstance(reply, Failed) and reply.code in UNKNOWN_ACTION


def may_not_know(reply: Reply | None) -> bool:
    """Whether an error may mean that a station does not know what it was asked: some say so with any code (16.7). Silence is GenericError."""
    return isinstance(reply, Failed) and reply.code != NO_ANSWER.code
