"""Messages on which a CSMS's socket ends again and again: each lets others go first after the next opening, so that it is not all
that CSMS ever hears. It keeps its place on disk, and gets its turn."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any, Final

from controller.ocpp import rpc
from controller.ocpp.hub import Message, Payload

SUSPECT_S: Final = 30.0
"""A message on which sockets have ended twice in a row lets others go first for so long; twice that after the third time, and so on [s]."""
MOST_SUSPECT_S: Final = 300.0
NEVER_SUSPECT: Final = ("BootNotification", "Heartbeat")
KEPT: Final = 32


class Suspects:
    """Of one CSMS."""

    def __init__(self) -> None:
        self._deaths: OrderedDict[str, int] = OrderedDict()

    def died_of(self, message: Message) -> None:
        """The socket ended while the CSMS had this message to answer."""
        if message.action in NEVER_SUSPECT:
            return
        content = words_of(message.action, message.payload)
        self._deaths[content] = self._deaths.pop(content, 0) + 1
        while len(self._deaths) > KEPT:
            self._deaths.popitem(last=False)

    def answered(self, message: Message) -> None:
        """The CSMS lives with it."""
        if self._deaths:
            self._deaths.pop(words_of(message.action, message.payload), None)

    def waits_s(self, message: Message) -> float:
        """How long after the opening the message lets others go first, 0 = not at all."""
        deaths = self._deaths.get(words_of(message.action, message.payload), 0) if self._deaths else 0
        return min(SUSPECT_S * (deaths - 1), MOST_SUSPECT_S) if deaths > 1 else 0.0


def words_of(action: str, payload: Payload) -> str:
    """What makes a message the same when it comes again, then perhaps marked as told late."""
    plain: dict[str, Any] = {name: value for name, value in payload.items() if name != "offline"}
    return rpc.call_text("", action, plain)
