"""Transaction ids that differ between a station and its CSMS (OCPP 1.6, traps 7 and 8).

In 1.6 the CSMS chooses the id of a transaction in its answer to the start. While it is away the
station gets a local id instead, and keeps it: when the CSMS has heard of the start and named its
own id, both are mapped for as long as anybody may speak of the transaction. Local ids come from a
range of their own, so an id tells by itself whether it is local: an id of the CSMS out of that
range never reaches a station (it gets a local one for it), and a local id without a mapping is a
transaction whose start never reached the CSMS, which is told as -1 (16E 3.18).

Ids are text here, as in ``TransactionEvent``. In 2.x the station chooses and nothing is ever mapped.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final

from controller.facts import Stamp

FIRST_LOCAL: Final = 2_140_000_000
"""Local ids fit in 32 bits with sign, and stay above counters and above Unix seconds until 2037."""
LAST_LOCAL: Final = 2**31 - 1
NOBODY: Final = "-1"
"""A transaction whose start never reached the CSMS (16E 3.18)."""
EPOCH_WALL_S: Final = 1_767_225_600.0  # 2026-01-01
CLOCK_STEP_S: Final = 600.0
ENDED_KEPT: Final = 32
"""Ended transactions that late messages and profiles may still name."""
KEPT: Final = 128


@dataclass(frozen=True, slots=True)
class Mapped:
    """A transaction with two ids. key: of its start message (F15)."""

    local: str
    csms: str
    key: str
    ended: bool = False


class TransactionIds:
    """The local ids of one station and what the CSMS calls them."""

    __slots__ = ("_last", "_mapped")

    def __init__(self) -> None:
        self._last = 0
        self._mapped: dict[str, Mapped] = {}

    def __len__(self) -> int:
        return len(self._mapped)

    def fresh(self, at: Stamp) -> str:
        """A local id this station has never had. ``memory`` must be on disk before the station hears it.

        It follows the clock as well as the last one, so that ids stay new even if the journal is lost.
        """
        steps = int((at.wall_s - EPOCH_WALL_S) // CLOCK_STEP_S) if at.wall_trusted else 0
        self._last = max(self._last + 1, FIRST_LOCAL + min(max(steps, 0), (LAST_LOCAL - FIRST_LOCAL) // 2))
        if self._last > LAST_LOCAL:
            self._last = FIRST_LOCAL
        return str(self._last)

    def reserved(self, transaction_id: str) -> bool:
        """Whether an id of the CSMS lies in the local range: the station must not get it."""
        return FIRST_LOCAL <= _number(transaction_id) <= LAST_LOCAL

    def _is_local(self, transaction_id: str) -> bool:
        return self._last > 0 and FIRST_LOCAL <= _number(transaction_id) <= self._last

    def settle(self, local: str, csms: str, key: str) -> None:
        """The CSMS has named its id for a local one."""
        self._mapped.pop(local, None)
        self._mapped[local] = Mapped(local, csms, key)

    def taken(self, csms: str) -> bool:
        """Whether a local id goes by this id of the CSMS, which has just given it to another transaction.

        A CSMS whose counter began anew gives its ids a second time, some give the same to everybody. The word
        of an ended transaction is forgotten then; while the other goes on, the new one needs a local id too.
        """
        for known in self._called(csms):
            if known.ended:
                self._forget(known)
        return bool(self._called(csms))

    def _called(self, csms: str) -> list[Mapped]:
        return [known for known in self._mapped.values() if known.csms == csms]

    def key_of(self, local: str) -> str:
        """Key of the start of a mapped transaction; "" if it is not mapped."""
        known = self._mapped.get(local)
        return known.key if known is not None else ""

    def starts(self) -> list[tuple[str, str]]:
        """(key of its start, local id) of the mapped transactions that go on."""
        return [(known.key, known.local) for known in self._mapped.values() if not known.ended]

    def to_csms(self, transaction_id: str) -> str:
        """What the CSMS calls a transaction of the station. Its own word for most, -1 where it never heard of the start."""
        known = self._mapped.get(transaction_id)
        if known is not None:
            return known.csms
        return NOBODY if self._is_local(transaction_id) else transaction_id

    def to_station(self, transaction_id: str) -> str:
        """What the station calls a transaction of the CSMS, of several the newest that goes on; -1 where the number means another one there."""
        called = self._called(transaction_id)
        if called:
            return next((known for known in reversed(called) if not known.ended), called[-1]).local
        return NOBODY if self._is_local(transaction_id) else transaction_id

    def ended(self, local: str, busy: Callable[[str], bool]) -> bool:
        """The CSMS has heard of the end; False if the transaction is not mapped. busy: whether messages of one still wait."""
        known = self._mapped.get(local)
        if known is None or known.ended:
            return False
        self._mapped[local] = replace(known, ended=True)
        self.trim(busy)
        return True

    def trim(self, busy: Callable[[str], bool]) -> None:
        """Forget what nobody will name again: the oldest ended ones, and beyond KEPT also those never heard of again."""
        idle = [known for known in self._mapped.values() if not busy(known.local)]
        ended = [known for known in idle if known.ended]
        for known in ended[: max(0, len(ended) - ENDED_KEPT)]:
            self._forget(known)
        for known in idle:
            if len(self._mapped) <= KEPT:
                break
            self._forget(known)

    def _forget(self, known: Mapped) -> None:
        self._mapped.pop(known.local, None)

    # -- on disk ----------------------------------------------------------------------------------

    def memory(self) -> dict[str, Any]:
        """What a restart must not forget, as JSON."""
        return {"last": self._last, "mapped": [[known.local, known.csms, known.key, known.ended] for known in self._mapped.values()]}

    def load(self, memory: Any) -> None:
        """What ``memory`` gave; raises KeyError, TypeError or ValueError for anything else."""
        last = int(memory["last"])
        entries = [Mapped(str(local), str(csms), str(key), bool(ended)) for local, csms, key, ended in memory["mapped"]]
        self._last = last if FIRST_LOCAL <= last <= LAST_LOCAL else 0
        self._mapped = {known.local: known for known in entries}


def _number(transaction_id: str) -> int:
    return int(transaction_id) if transaction_id.isascii() and transaction_id.isdigit() and len(transaction_id) <= 10 else -1
