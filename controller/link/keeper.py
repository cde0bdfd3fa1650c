"""All memories of the faces and how they get to disk: one place for the whole site.

A side or a part of the depot face remembers in a ``Memory`` (``ocpp.hub``); ``keep`` writes whatever has changed in any of them, in
one transaction, and goes on when it is on disk. A conversation whose words somebody else has just sent to the disk waits
for that writing: it must not go on before them. What the disk refused is written again with the next ``keep``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

from controller.facts import Fact, Stamp
from controller.link.contained import contained
from controller.ocpp.hub import Failed, Memory, Reply, Said
from controller.orders import Order, Persist, Severity, Tell

Outcome = Order | Fact
Then = Callable[[Stamp, Reply], list[Outcome]]
SPACE: Final = "hub:"
"""Journal spaces of the faces begin so; the name of the memory follows."""
NOT_KEPT: Final = Failed("InternalError", "this cannot be stored now")


class Keeper:
    """tokens: numbers of ``Persist`` orders whose answer comes to ``persisted`` or ``persist_failed``."""

    def __init__(self, tokens: Callable[[], int]) -> None:
        self._tokens = tokens
        self._memories: dict[str, Memory] = {}
        self._waiting: dict[int, list[Then]] = {}
        self._writing: dict[int, set[tuple[str, str]]] = {}
        self._unwritten: set[tuple[str, str]] = set()
        self._full = False

    @property
    def behind(self) -> bool:
        """Whether the disk has refused something that is in memory: whoever finds it there must not take it for kept."""
        return bool(self._unwritten)

    def memory(self, name: str) -> Memory:
        """The memory of this name: always the same object, filled by ``restore``."""
        return self._memories.setdefault(name, Memory())

    def restore(self, memories: Mapping[tuple[str, str], Any]) -> None:
        """What the journal held (``Restored.memories``); before anything else happens."""
        found: dict[str, dict[str, Any]] = {}
        for (space, key), value in memories.items():
            if space.startswith(SPACE):
                found.setdefault(space.removeprefix(SPACE), {})[key] = value
        for name, data in found.items():
            self.memory(name).load(data)

    def keep(self, at: Stamp, then: Then) -> list[Outcome]:
        """Everything that has changed in any memory goes to disk; ``then`` gets Said({}) when it is there, Failed if it is not."""
        changes = {(name, key) for name, memory in self._memories.items() if memory.changed for key in memory.changes()} | self._unwritten
        if not changes:
            if not self._waiting:
                return then(at, Said({}))
            self._waiting[max(self._waiting)].append(then)
            return []
        token = self._tokens()
        self._unwritten = set()
        self._waiting[token], self._writing[token] = [then], changes
        return [Persist(token, remember={(SPACE + name, key): self._memories[name].get(key) for name, key in sorted(changes)})]

    def persisted(self, at: Stamp, token: int) -> list[Outcome]:
        """The journal has written ``token``."""
        self._writing.pop(token, None)
        self._full = False
        return self._told(at, token, Said({}))

    def persist_failed(self, at: Stamp, token: int) -> list[Outcome]:
        """The journal could not write ``token``: its changes are tried again with the next ones."""
        self._unwritten |= self._writing.pop(token, set())
        outcomes = self._told(at, token, NOT_KEPT)
        if not self._full:
            self._full = True
            text = "translations cannot be stored (disk full or broken?) - what depends on them is refused until the disk takes them again"
            outcomes.append(Tell(Severity.ALARM, "site", text))
        return outcomes

    def _told(self, at: Stamp, token: int, reply: Reply) -> list[Outcome]:
        """All that waited for ``token`` hear of it, whatever one of them makes of it."""
        return [outcome for then in self._waiting.pop(token, []) for outcome in contained("site", partial(then, at, reply))]
