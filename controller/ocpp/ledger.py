"""Calls in flight in one direction on one link: who owns each id, and until when it may be answered.

On a station's link the local controller is a third sender beside station and CSMS: the answer to
its own calls must not leak upstream, the answer to a CSMS call must go up unchanged (Part 4, 6.4).
So each id is booked with its owner before it is sent, and settled exactly once. What ran past its
deadline is remembered for a while, so that a late answer is known as such instead of being taken
for somebody else's. Deadlines are monotonic seconds.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Owner(StrEnum):
    """Whose call it is: relayed for the peer on the other leg, or made by Yardmaster itself."""

    PEER = "peer"
    OURS = "ours"


@dataclass(frozen=True, slots=True)
class Entry:
    """One call in flight. opened_mono_s, deadline_mono_s: monotonic [s]. note: the caller's own, never read here."""

    message_id: str
    owner: Owner
    action: str
    opened_mono_s: float
    deadline_mono_s: float
    note: Any = None


class Ledger:
    """Pending and overdue calls of one direction. memory: how many overdue ones are kept; the oldest leave first."""

    __slots__ = ("_memory", "_overdue", "_pending")

    def __init__(self, memory: int = 256) -> None:
        self._memory = memory
        self._pending: dict[str, Entry] = {}
        self._overdue: OrderedDict[str, Entry] = OrderedDict()

    def book(self, entry: Entry) -> bool:
        """Take a call into the ledger; False, and nothing changed, if its id is pending already."""
        if entry.message_id in self._pending:
            return False
        self._overdue.pop(entry.message_id, None)
        self._pending[entry.message_id] = entry
        return True

    def settle(self, message_id: str) -> Entry | None:
        """The pending call that an answer belongs to, now answered; None if no such call is pending."""
        return self._pending.pop(message_id, None)

    def overdue(self, now_mono_s: float) -> tuple[Entry, ...]:
        """Calls whose deadline has come, oldest first; each is returned once and remembered as overdue."""
        entries = tuple(entry for entry in self._pending.values() if entry.deadline_mono_s <= now_mono_s)
        for entry in entries:
            del self._pending[entry.message_id]
            self._overdue[entry.message_id] = entry
            if len(self._overdue) > self._memory:
                self._overdue.popitem(last=False)
        return entries

    def late(self, message_id: str) -> Entry | None:
        """The overdue call that a late answer belongs to, now answered; None if there is none."""
        return self._overdue.pop(message_id, None)

    def drain(self) -> tuple[Entry, ...]:
        """The link is gone: all pending calls, oldest first, removed. They will never be answered."""
        entries = tuple(self._pending.values())
        self._pending.clear()
        return entries

    def entries(self) -> tuple[Entry, ...]:
        """Calls in flight, oldest first."""
        return tuple(self._pending.values())

    def is_pending(self, message_id: str) -> bool:
        """Whether a call with this id is in flight."""
        return message_id in self._pending

    @property
    def pending(self) -> int:
        """Calls in flight."""
        return len(self._pending)
