"""What the hub is told of a 1.6 station's transactions, on disk: which integer is which transactionId, and which message is which seqNo.

A transaction message may be given again - after a restart, or because nobody answered - and must then be the very same hub message. So
an id and a number are written down under the message's content before they go up (traps 8, 9, 26).
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Final

from controller.ocpp.hub import Memory, Payload, Surroundings
from controller.ocpp.times import wall_time

ENDED_KEPT: Final = 40
"""So many ended transactions are remembered for late and repeated messages."""
RECENT: Final = 16
"""So many messages of a transaction are recognised when they come again; only the last can be unanswered."""
_PREFIX: Final = "tx:"


@dataclass(slots=True)
class Transaction:
    """number: the station's id; uuid: the hub's; evse_id: 0 = not known. next_seq: seqNo of the next event. began: what the message that began
    it was. started: its Started event; told: the CSMS has answered it. state: chargingState told last. begin_wh, register_wh: registers.
    recent: [content, seqNo] of the last messages. opened: False = it runs no more; over: its end was heard. born: rises from one to the next.
    waiting: seqNo of the station's message that the CSMS has not answered yet, -1 = none; one at most, the session gives them in order.
    stopped: when, if its stop told no time that can be read."""

    number: int
    uuid: str
    evse_id: int
    began: str
    started: Payload = field(default_factory=dict)
    next_seq: int = 1
    told: bool = False
    state: str = ""
    begin_wh: float | None = None
    register_wh: float | None = None
    recent: list[list[Any]] = field(default_factory=list)
    opened: bool = True
    over: bool = False
    born: int = 0
    waiting: int = -1
    stopped: str = ""

    @property
    def began_wall_s(self) -> float:
        """When it began, in Unix seconds."""
        return wall_time(self.started.get("timestamp")) or 0.0


_FIELDS: Final = {item.name for item in fields(Transaction)}


class Book:
    """All transactions of one station the hub has heard of. memory: keys "tx:<number>" and "owed:<number>:<seqNo>"."""

    def __init__(self, surroundings: Surroundings) -> None:
        self._memory: Memory = surroundings.memory
        self._around = surroundings

    # -- finding -----------------------------------------------------------------------------------------------

    def all(self) -> list[Transaction]:
        """Every one that is remembered, in the order they became known: the disk gives them back in another one."""
        found = [Transaction(**{key: value for key, value in data.items() if key in _FIELDS}) for _, data in self._memory.starting(_PREFIX)]
        return sorted(found, key=_born)

    def running(self, evse_id: int = 0) -> list[Transaction]:
        """Those that have not ended; evse_id 0: anywhere."""
        return [one for one in self.all() if one.opened and evse_id in (0, one.evse_id)]

    def of_number(self, number: int) -> Transaction | None:
        """The one the station calls so."""
        data = self._memory.get(f"{_PREFIX}{number}")
        return Transaction(**{key: value for key, value in data.items() if key in _FIELDS}) if data is not None else None

    def of_uuid(self, uuid: Any) -> Transaction | None:
        """The one the hub calls so."""
        return next((one for one in self.all() if one.uuid == uuid), None)

    def began_with(self, content: str) -> Transaction | None:
        """The one that a message of this content began."""
        return next((one for one in self.all() if one.began == content), None)

    # -- writing -----------------------------------------------------------------------------------------------

    def begin(self, content: str, evse_id: int, number: int = 0) -> Transaction:
        """A new one. number: the station's own id for it, 0 = give one."""
        while number <= 0 or self._memory.get(f"{_PREFIX}{number}") is not None:
            number = self._around.number()
        born = 1 + max((one.born for one in self.all()), default=0)
        made = Transaction(number, self._around.fresh(), evse_id, content, born=born)
        self.save(made)
        return made

    def save(self, transaction: Transaction) -> None:
        """Remember what changed; on disk with the next ``Keep``."""
        self._memory.put(f"{_PREFIX}{transaction.number}", asdict(transaction))

    def numbered(self, transaction: Transaction, content: str) -> int:
        """seqNo of a message of this content: the one it had, or the next. It waits for its answer from now on."""
        found = self.had(transaction, content)
        if found is not None:
            transaction.waiting = found
            self.save(transaction)
            return found
        number = transaction.waiting = transaction.next_seq
        transaction.next_seq += 1
        transaction.recent = [*transaction.recent, [content, number]][-RECENT:]
        self.save(transaction)
        return number

    def had(self, transaction: Transaction, content: str) -> int | None:
        """seqNo of a message that came before; None for a new one."""
        return next((int(number) for key, number in transaction.recent if key == content), None)

    def answered(self, transaction: Transaction, seq_no: int) -> None:
        """The CSMS has the station's message of this number."""
        current = self.of_number(transaction.number)
        if current is not None and current.waiting == seq_no:
            current.waiting = -1
            self.save(current)

    def close(self, transaction: Transaction) -> None:
        """It has ended; the oldest of those that do not run are forgotten."""
        transaction.over = True
        self.supersede(transaction)

    def supersede(self, transaction: Transaction) -> None:
        """It runs no more, as another has begun in its place; its end was not heard, and may come yet."""
        transaction.opened = False
        self.save(transaction)
        ended = [one for one in self.all() if not one.opened and not self.owed(one)]
        for one in ended[:-ENDED_KEPT]:
            self._memory.put(f"{_PREFIX}{one.number}", None)

    # -- events of our own that nobody has answered yet ------------------------------------------------------------

    def owe(self, transaction: Transaction, seq_no: int, event: Payload) -> None:
        """An event that no message of the station carries, so that no outbox keeps it."""
        self._memory.put(f"owed:{transaction.number}:{seq_no}", event)

    def owed(self, transaction: Transaction) -> list[tuple[int, Payload]]:
        """(seqNo, event), ascending."""
        prefix = f"owed:{transaction.number}:"
        return sorted((int(key[len(prefix) :]), event) for key, event in self._memory.starting(prefix))

    def paid(self, transaction: Transaction, seq_no: int) -> None:
        """The CSMS has answered it."""
        self._memory.put(f"owed:{transaction.number}:{seq_no}", None)


def _born(one: Transaction) -> int:
    return one.born


def content_of(action: str, payload: Payload) -> str:
    """What makes a message the same message when it comes again. Hashed: an idTag is nobody's business on disk."""
    names = {
        "StartTransaction": ("connectorId", "idTag", "timestamp", "meterStart"),
        "StopTransaction": ("transactionId", "timestamp", "meterStop"),
    }.get(action)
    content: Any = payload if names is None else [payload.get(name) for name in names]
    text = json.dumps([action, content], sort_keys=True, default=str)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]
