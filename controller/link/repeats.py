"""Messages a station sends again although it has its answer, or would have it soon (F15).

A transaction message is known by its content: stations repeat it under a fresh id after a timeout
or a reconnect, and a second StartTransaction would be a second session (MicroOcpp #171, steve
#1294). Any other message that is kept on disk is known by id and text, for a minute: after that
an equal id is a reused one (16.4). Only answers that were no errors count; after an error a repeat is what
the protocol asks for.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from controller.ocpp import rpc

REPEAT_S: Final = 60.0
KEPT: Final = 32


@dataclass(frozen=True, slots=True)
class Known:
    """What a message was answered with. answer_text None: before our restart, to be answered anew.

    transaction_id: as the station calls it. text_hash: of the message's text, good in this process only.
    """

    message_id: str
    text_hash: int
    answer_text: str | None
    transaction_id: str
    begins: bool
    at_mono_s: float


class Repeats:
    """The last answers of one station, of each kind KEPT at most."""

    __slots__ = ("_by_id", "_by_key")

    def __init__(self) -> None:
        self._by_id: dict[str, Known] = {}
        self._by_key: dict[str, Known] = {}

    def __len__(self) -> int:
        return len(self._by_id) + len(self._by_key)

    def connected(self) -> None:
        """A new connection: ids may begin anew, contents do not."""
        self._by_id.clear()

    def of_key(self, key: str) -> Known | None:
        """The answer to a transaction message with this content."""
        return self._by_key.get(key) if key else None

    def of_id(self, call: rpc.Call, now_mono_s: float) -> Known | None:
        """The answer to another message with this id and text, if it was given lately."""
        known = self._by_id.get(call.message_id)
        if known is None or now_mono_s - known.at_mono_s > REPEAT_S or known.text_hash != hash(call.text):
            return None
        return known

    def keep(self, call: rpc.Call, key: str, answer_text: str, now_mono_s: float, transaction_id: str = "", begins: bool = False) -> None:
        """A message has its answer. key "": known by its id."""
        known = Known(call.message_id, hash(call.text), answer_text, transaction_id, begins, now_mono_s)
        _put(self._by_key if key else self._by_id, key or call.message_id, known)

    def restore(self, messages: Iterable[tuple[str, str]]) -> None:
        """(key, transaction) of messages that were acknowledged before our restart."""
        for key, transaction_id in messages:
            if key:
                _put(self._by_key, key, Known("", 0, None, transaction_id, True, 0.0))

    def ended(self, transaction_id: str) -> None:
        """A start cannot be repeated after the end: an equal one is the next (a station without clock and meter)."""
        gone = [key for key, known in self._by_key.items() if known.begins and known.transaction_id == transaction_id]
        for key in gone:
            del self._by_key[key]


def key_of(action: str, content: str) -> str:
    """What a row remembers of a message's key, 16 characters; "" stays ""."""
    return hashlib.blake2b(f"{action} {content}".encode("utf-8", "surrogatepass"), digest_size=8).hexdigest() if content else ""


def _put(where: dict[str, Known], name: str, known: Known) -> None:
    where.pop(name, None)
    where[name] = known
    if len(where) > KEPT:
        del where[next(iter(where))]
