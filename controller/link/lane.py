"""One direction of one link: who may speak next.

OCPP allows one CALL in flight per direction and connection (P4 4.1.1). Towards a station there
are two masters, the CSMS and Yardmaster; towards the CSMS there are two as well, the station and
the outbox. A lane queues their CALLs by priority and lets one go at a time. It never changes a
text. Answers are not its business: they pass at once. What a peer may let wait is bounded in number
and in size, so that one that does not listen costs little.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final

from controller.ocpp.ledger import Entry, Ledger, Owner

MAX_WAITING: Final = 64
MAX_WAITING_BYTES: Final = 40 * 1024
"""Of relayed CALLs that wait; a single one may be larger. Measured: 60 KiB of memory in all behind a CSMS that stalls."""
CALL_BYTES: Final = 512
"""What a waiting CALL takes beside its text."""
LATE_KEPT: Final = 16


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
    """Queue and ledger of one direction. timeout_s: how long an answer may take.

    own_patience_s: a CALL of ours that has waited so long takes turns with the peer's, whatever their priorities (F26).
    """

    __slots__ = ("_bytes", "_items", "_own_last", "_own_patience_s", "_relayed_first", "ledger", "max_waiting", "timeout_s")

    def __init__(self, timeout_s: float, max_waiting: int = MAX_WAITING, own_patience_s: float = math.inf) -> None:
        self.timeout_s = timeout_s
        self._own_patience_s = own_patience_s
        self.max_waiting = max_waiting
        self.ledger = Ledger(memory=LATE_KEPT)
        self._items: list[Waiting] = []  # in order of service
        self._bytes = 0
        self._relayed_first = False
        self._own_last = False

    def __len__(self) -> int:
        return len(self._items)

    @property
    def busy(self) -> bool:
        """Whether anything is in flight or waits."""
        return bool(self._items) or self.ledger.pending > 0

    def offer(self, item: Waiting) -> bool:
        """Queue a CALL. False when its id waits already, or when it is relayed and the queue is full (the caller answers it)."""
        if item.owner is Owner.PEER and self._full(item):
            return False
        if self._items and any(other.message_id == item.message_id for other in self._items):
            return False
        place = len(self._items)
        while place and self._items[place - 1].priority > item.priority:
            place -= 1
        self._items.insert(place, item)
        self._bytes += _size(item)
        return True

    def go(self, item: Waiting) -> bool:
        """Book a CALL as sent now, as ``offer`` and ``take`` would if nothing else is there; False, and nothing changed, if anything is."""
        if self._items or self.ledger.pending:
            return False
        self._relayed_first = False
        self._own_last = item.owner is Owner.OURS
        now_mono_s = item.queued_mono_s
        self.ledger.book(Entry(item.message_id, item.owner, item.action, now_mono_s, now_mono_s + self.timeout_s, item))
        return True

    def _full(self, item: Waiting) -> bool:
        if not self._items:
            return False
        return len(self._items) >= self.max_waiting or self._bytes + _size(item) > MAX_WAITING_BYTES

    def waiting(self) -> list[Waiting]:
        """Everything not sent yet, in order of service."""
        return list(self._items)

    def unanswered(self) -> list[Waiting]:
        """Everything in flight or waiting."""
        return [entry.note for entry in self.ledger.entries()] + self._items

    def withdraw(self, keep: Callable[[Waiting], bool]) -> list[Waiting]:
        """Take out and return every waiting item for which ``keep(item)`` is False."""
        if not self._items:
            return []
        gone = [item for item in self._items if not keep(item)]
        if gone:
            self._set([item for item in self._items if keep(item)])
        return gone

    def _set(self, items: list[Waiting]) -> None:
        self._items = items
        self._bytes = sum(map(_size, items))

    def take(self, now_mono_s: float) -> Waiting | None:
        """The CALL to send now, booked in the ledger; None while one is in flight or nothing waits."""
        if not self._items or self.ledger.pending:
            return None
        item = self._items.pop(self._place(now_mono_s))
        self._bytes -= _size(item)
        self._own_last = item.owner is Owner.OURS
        self.ledger.book(Entry(item.message_id, item.owner, item.action, now_mono_s, now_mono_s + self.timeout_s, item))
        return item

    def _place(self, now_mono_s: float) -> int:
        # A peer that is silent to our CALLs must not keep everybody else's waiting for ever (F05).
        first, self._relayed_first = self._relayed_first, False
        if first:
            relayed = (place for place, item in enumerate(self._items) if item.priority is Priority.RELAYED)
            return next(relayed, 0)
        if self._own_last or self._items[0].priority is Priority.SAFETY:
            return 0
        # A peer with many CALLs must not keep ours waiting: they take turns with its.
        since_mono_s = now_mono_s - self._own_patience_s
        return next((place for place, item in enumerate(self._items) if item.owner is Owner.OURS and item.queued_mono_s <= since_mono_s), 0)

    def settle(self, message_id: str) -> Waiting | None:
        """The CALL an answer belongs to, no longer in flight; None if it was not ours to wait for."""
        entry = self.ledger.settle(message_id)
        return entry.note if entry is not None else None

    def settle_only(self) -> Waiting | None:
        """The one CALL in flight, for an error that cannot say what it answers (id "-1", 16.5); None if there is none."""
        entries = self.ledger.entries()
        return self.settle(entries[0].message_id) if len(entries) == 1 else None

    def late(self, message_id: str) -> Waiting | None:
        """The CALL a late answer belongs to (its deadline had passed), once."""
        entry = self.ledger.late(message_id)
        return entry.note if entry is not None else None

    def overdue(self, now_mono_s: float) -> list[Waiting]:
        """CALLs in flight whose deadline has passed; they are in flight no longer."""
        if not self.ledger.pending:
            return []
        items = [entry.note for entry in self.ledger.overdue(now_mono_s)]
        self._relayed_first = self._relayed_first or any(item.owner is Owner.OURS for item in items)
        return items

    def drain(self) -> list[Waiting]:
        """The link is gone: everything in flight and waiting, in that order."""
        items = [entry.note for entry in self.ledger.drain()] + self._items
        self._set([])
        return items


def _size(item: Waiting) -> int:
    return len(item.text) + CALL_BYTES
