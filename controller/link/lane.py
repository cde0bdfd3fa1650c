"""One direction of one link: who may speak next.

OCPP allows one CALL in flight per direction and connection (P4 4.1.1). Towards a station there
are two masters, the CSMS and Yardmaster; towards the CSMS there are two as well, the station and
the outbox. A lane queues their CALLs by priority and lets one go at a time. It never changes a
text. Answers are not its business: they pass at once.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from controller.ocpp.ledger import Entry, Ledger, Owner


class Priority(IntEnum):
    """Order of service: a lower number goes first."""

    SAFETY = 0
    RELAYED = 1
    HOUSEKEEPING = 2


@dataclass(frozen=True, slots=True)
class Waiting:
    """A CALL that waits for its turn. note: what the owner wants to remember until the answer."""

    message_id: str
    action: str
    text: str
    owner: Owner
    priority: Priority
    queued_mono_s: float
    note: Any = None


class Lane:
    """Queue and ledger of one direction. timeout_s: how long an answer may take."""

    def __init__(self, timeout_s: float, max_waiting: int = 64) -> None:
        self.timeout_s = timeout_s
        self.max_waiting = max_waiting
        self.ledger = Ledger()
        self._queues: dict[Priority, deque[Waiting]] = {priority: deque() for priority in Priority}
        self._relayed_first = False

    def __len__(self) -> int:
        return sum(len(queue) for queue in self._queues.values())

    def offer(self, item: Waiting) -> bool:
        """Queue a CALL. False when its id waits already, or when it is relayed and the queue is full (the caller answers it)."""
        if item.owner is Owner.PEER and len(self) >= self.max_waiting:
            return False
        if any(other.message_id == item.message_id for other in self.waiting()):
            return False
        self._queues[item.priority].append(item)
        return True

    def waiting(self) -> list[Waiting]:
        """Everything not sent yet, in order of service."""
        return [item for priority in Priority for item in self._queues[priority]]

    def unanswered(self) -> list[Waiting]:
        """Everything in flight or waiting."""
        return [entry.note for entry in self.ledger.entries()] + self.waiting()

    def withdraw(self, keep: Any) -> list[Waiting]:
        """Take out and return every waiting item for which ``keep(item)`` is False."""
        gone = [item for item in self.waiting() if not keep(item)]
        for priority in Priority:
            self._queues[priority] = deque(item for item in self._queues[priority] if keep(item))
        return gone

    def take(self, now_mono_s: float) -> Waiting | None:
        """The CALL to send now, booked in the ledger; None while one is in flight or nothing waits."""
        if self.ledger.pending:
            return None
        for priority in self._order():
            if self._queues[priority]:
                item = self._queues[priority].popleft()
                deadline = now_mono_s + self.timeout_s
                self.ledger.book(Entry(item.message_id, item.owner, item.action, now_mono_s, deadline, item))
                return item
        return None

    def _order(self) -> tuple[Priority, ...]:
        # A peer that is silent to our CALLs must not keep everybody else's waiting for ever (F05).
        first, self._relayed_first = self._relayed_first, False
        return (Priority.RELAYED, Priority.SAFETY, Priority.HOUSEKEEPING) if first else tuple(Priority)

    def settle(self, message_id: str) -> Waiting | None:
        """The CALL an answer belongs to, no longer in flight; None if it was not ours to wait for."""
        entry = self.ledger.settle(message_id)
        return entry.note if entry is not None else None

    def late(self, message_id: str) -> Waiting | None:
        """The CALL a late answer belongs to (its deadline had passed), once."""
        entry = self.ledger.late(message_id)
        return entry.note if entry is not None else None

    def overdue(self, now_mono_s: float) -> list[Waiting]:
        """CALLs in flight whose deadline has passed; they are in flight no longer."""
        items = [entry.note for entry in self.ledger.overdue(now_mono_s)]
        self._relayed_first = self._relayed_first or any(item.owner is Owner.OURS for item in items)
        return items

    def drain(self) -> list[Waiting]:
        """The link is gone: everything in flight and waiting, in that order."""
        items = [entry.note for entry in self.ledger.drain()] + self.waiting()
        for queue in self._queues.values():
            queue.clear()
        return items
