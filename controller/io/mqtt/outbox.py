"""What waits for the broker: the newest state per retained topic, and other messages for at most an hour (F51)."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import NamedTuple

QUEUE_AGE_S = 3600.0
QUEUE_LENGTH = 5000


class Message(NamedTuple):
    """One message on its way out."""

    topic: str
    payload: str
    retain: bool
    at_s: float


class Outbox:
    """What waits for the broker: the newest state per retained topic, and other messages for at most an hour (F51)."""

    def __init__(self) -> None:
        self.state: dict[str, Message] = {}
        self._waiting: deque[Message] = deque(maxlen=QUEUE_LENGTH)

    def put(self, message: Message) -> None:
        """Keep a message until it can be sent. Retained ones replace their predecessor and stay for reconnects."""
        if message.retain:
            self.state[message.topic] = message
        else:
            self._waiting.append(message)

    def put_back(self, messages: Iterable[Message]) -> None:
        """Keep messages whose arrival nobody confirmed; they are older than what waits."""
        self._waiting = deque([*messages, *self._waiting], maxlen=QUEUE_LENGTH)

    def take_waiting(self, now_s: float) -> list[Message]:
        """The messages that are still worth sending, oldest first; they leave the outbox."""
        fresh = [message for message in self._waiting if now_s - message.at_s <= QUEUE_AGE_S]
        self._waiting.clear()
        return fresh

    def __len__(self) -> int:
        return len(self._waiting)
