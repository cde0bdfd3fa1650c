"""Answers about limits wait here until the disk has what they acknowledge (house rule 15).

The limit itself holds at once; only the word "taken" waits. A memory that the disk refuses is handed to it once more without asking for an
answer, and counts as not kept until a later writing of the same memory has succeeded: until then every statement about it is answered with
what is true, that it holds now and a restart would not know it. So is one that the disk keeps waiting for ``LATE_S``.

The numbers of its ``Persist`` orders are negative: those of ``link`` are positive, and neither half takes the other's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Final

from controller.facts import Persisted, PersistFailed, Stamp
from controller.orders import Order, Persist

Key = tuple[str, str]
"""(space, key) of a memory of the journal."""
MOST_UNDER_WAY: Final = 512
"""With so many memories on their way to a disk that says nothing, no new sender begins one more."""
LATE_S: Final = 4.0
"""A disk that takes longer is told of as one that fails [s]: a bridge denies its box's write after 5 s without an answer."""
NOT_KEPT: Final = "it holds now, but is not on disk: a restart would not know it - look at the disk of the controller, then state it again"
"""The reason of an answer about a limit that is obeyed and not kept."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What is said when the disk has it, and what is said when it does not take it."""

    kept: tuple[Order, ...]
    not_kept: tuple[Order, ...]


@dataclass(slots=True)
class _Writing:
    """One order under way, and who waits for it."""

    key: Key
    waiting: list[tuple[float, Answer]] = field(default_factory=list)


class Keeping:
    """Memories of limits on their way to the disk. Mutable; nothing here knows what they mean."""

    def __init__(self) -> None:
        self._tokens = count(-1, -1)
        self._sent: dict[Key, Any] = {}
        self._newest: dict[Key, int] = {}
        self._unsure: set[Key] = set()
        self._writing: dict[int, _Writing] = {}

    def remember(self, memories: Mapping[Key, Any]) -> list[Order]:
        """Write what the disk does not have; each memory by itself, so that one cannot fail another."""
        return [self._write(key, memory) for key, memory in memories.items() if key in self._unsure or self._sent.get(key, self) != memory]

    def forget(self, keys: Iterable[Key]) -> list[Order]:
        """Nobody will state anything under these any more: out of the journal, and out of here as soon as it is."""
        return [self._write(key, None) for key in keys]

    @property
    def crowded(self) -> bool:
        """Whether the disk has been silent while so many senders spoke that new ones must wait: they name themselves."""
        return len(self._newest) >= MOST_UNDER_WAY

    def _write(self, key: Key, memory: Any) -> Order:
        token, older = next(self._tokens), self._newest.get(key)
        if older is not None and not self._writing[older].waiting:
            del self._writing[older]  # nobody asks for it any more, and the newer one says it all
        self._sent[key], self._newest[key], self._writing[token] = memory, token, _Writing(key)
        self._unsure.discard(key)
        return Persist(token, remember={key: memory})

    def waits(self, key: Key) -> bool:
        """Whether an answer under this key waits for the disk."""
        token = self._newest.get(key)
        return token is not None and bool(self._writing[token].waiting)

    def answer(self, key: Key, answer: Answer, at: Stamp) -> list[Order]:
        """Now, if the disk has all that was remembered under this key; else when it has."""
        token = self._newest.get(key)
        if token is None:
            return list(answer.not_kept if key in self._unsure else answer.kept)
        self._writing[token].waiting.append((at.mono_s, answer))
        return []

    def stored(self, fact: Persisted | PersistFailed) -> list[Order]:
        """The journal has answered; a number of somebody else's is none of ours."""
        writing = self._writing.pop(fact.token, None)
        if writing is None:
            return []
        kept, key = isinstance(fact, Persisted), writing.key
        orders = _said(writing.waiting, kept)
        if self._newest.get(key) != fact.token:
            return orders  # a newer memory is on its way and says all that this one did
        del self._newest[key]
        memory = self._sent.pop(key) if self._sent[key] is None else self._sent[key]
        if kept:
            return orders
        if memory is not None:
            self._unsure.add(key)
        return [*orders, Persist(0, remember={key: memory})]

    def look(self, at: Stamp) -> list[Order]:
        """Whoever has waited too long is told so; the writing goes on."""
        orders: list[Order] = []
        for token, writing in list(self._writing.items()):
            late = [one for one in writing.waiting if at.mono_s - one[0] >= LATE_S]
            writing.waiting = writing.waiting[len(late) :]
            orders += _said(late, kept=False)
            if late and not writing.waiting and self._newest.get(writing.key) != token:
                del self._writing[token]
        return orders


def _said(waiting: Iterable[tuple[float, Answer]], kept: bool) -> list[Order]:
    return [order for _, answer in waiting for order in (answer.kept if kept else answer.not_kept)]
