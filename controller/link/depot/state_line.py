"""States of a long job that wait for the CSMS: on disk, told one after the other, each until it is answered."""

from __future__ import annotations

from typing import Any, Final

from controller.link.depot.office import Office
from controller.ocpp.hub import HUB, NO_ANSWER, Ask, Conversation, Keep, Said

Payload = dict[str, Any]
MOST_WAITING: Final = 100
"""States kept; a CSMS that is away for so many jobs hears the newest."""


class StateLine:
    """The line of one kind of notice. action: the CALL that tells one; key: where the depot's memory keeps them."""

    def __init__(self, office: Office, action: str, key: str) -> None:
        self._office = office
        self._action = action
        self._key = key
        self._telling = False

    def add(self, payload: Payload) -> None:
        """One more, behind the others; on disk with the next ``Keep``."""
        self._office.memory.put(self._key, [*self._waiting(), payload][-MOST_WAITING:])

    def tick(self) -> list[Conversation]:
        """A second has passed: tell the next one, if the CSMS is there and has answered the last."""
        if not self._office.accepted or self._telling or not self._waiting():
            return []
        self._telling = True
        return [self._tell()]

    def _tell(self) -> Conversation:
        try:
            reply = yield Ask(self._action, self._waiting()[0], to=HUB)
            if reply == NO_ANSWER:
                return NO_ANSWER
            self._office.memory.put(self._key, self._waiting()[1:] or None)
            yield Keep()
            return Said({})
        finally:
            self._telling = False

    def _waiting(self) -> list[Payload]:
        found: list[Payload] = self._office.memory.get(self._key, [])
        return found
