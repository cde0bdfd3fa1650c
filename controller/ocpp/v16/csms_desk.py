"""What the parts of the 1.6 CSMS's side share: the surroundings, cards, connector numbers, and the steps they all take."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any, Final

from controller.ocpp.hub import WIRE, Ask, Conversation, Emit, Failed, Keep, Memory, Message, Payload, Reply, Said, Step, Surroundings
from controller.ocpp.times import timestamp, wall_time
from controller.ocpp.v16.aliases import Aliases
from controller.ocpp.v16.csms_places import Places
from controller.orders import Severity, Tell

VERSION: Final = "ocpp1.6"
Handler = Callable[[Message], Conversation]
Talk = Generator[Step, "Reply | None", Reply]
UNKNOWN: Final = ("NotSupported", "NotImplemented")
"""What a station answers to an action it does not have."""


class Desk:
    """One CSMS of 1.6. accepted: its answer to the last BootNotification; until it said no it counts as yes, as after our own restart."""

    def __init__(self, around: Surroundings) -> None:
        self.around = around
        self.aliases = Aliases(around.shared, around.wording)
        self.places = Places(around)
        self.is_open = False
        self.accepted = True

    @property
    def memory(self) -> Memory:
        """This side's own."""
        return self.around.memory

    def time(self, value: Any = None) -> str:
        """A timestamp for the wire; now where there is none to be read (16.8)."""
        wall_s = wall_time(value)
        return timestamp(self.around.now().wall_s if wall_s is None else wall_s)

    def changed(self) -> bool:
        """Whether something is to be kept before it shows."""
        return self.around.shared.changed or self.memory.changed

    def tag(self, id_token: Any) -> Talk:
        """idTag of an idToken as Said({"idTag"}); its alias is on disk before anybody sees it (trap 28)."""
        found = self.aliases.tag(id_token)
        yield Keep()  # also for what another conversation has changed and is still being written
        return Said({"idTag": found})

    def call(self, action: str, payload: Payload) -> Ask:
        """A CALL to the CSMS, cut to what 1.6 knows."""
        return Ask(action, self.around.fit(VERSION, action, False, payload), to=WIRE)

    def warn(self, text: str) -> Emit:
        """A line of the event log."""
        return Emit(Tell(Severity.WARNING, self.around.name, text))


def answer_of(reply: Reply | None) -> Reply:
    """What an Ask was resumed with; never None."""
    return Failed("GenericError", "no answer") if reply is None else reply


def heard(reply: Reply) -> Reply:
    """The station's answer to a message of its own: {}. A CSMS that does not know the message will not know it next time either, so
    the station need not say it again."""
    return reply if isinstance(reply, Failed) and reply.code not in UNKNOWN else Said({})


def status_of(reply: Reply | None) -> str:
    """The status in an answer; "" if there is none."""
    status = reply.payload.get("status") if isinstance(reply, Said) else None
    return status if isinstance(status, str) else ""


def table(value: Any) -> Payload:
    """An object of a payload; {} for anything else."""
    return value if isinstance(value, dict) else {}


def tables(value: Any) -> list[Payload]:
    """The objects in a list of a payload."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def text(value: Any) -> str:
    """A text of a payload; "" for anything else."""
    return value if isinstance(value, str) else ""
