"""CALLs of a station on their way: what the link knows of each, up to its answer.

``Relay`` is a CALL that goes up live, ``Held`` one whose answer waits for the disk (P1). Both may
have to be answered more than once: a station that repeats a message before it has its answer
waits for one under each id (F15).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from controller.ocpp import rpc
from controller.ocpp.dialect import TransactionEvent

MAX_ALSO: Final = 8
"""Repeats of one message that are answered; later ones are not."""


@dataclass(frozen=True, slots=True)
class About:
    """What the link must know of a CALL. key: short name of its content, "" if it is no transaction message."""

    event: TransactionEvent | None = None
    key: str = ""

    @property
    def transaction_id(self) -> str:
        """As the station calls it; "" without one, and in a start of 1.6."""
        return self.event.transaction_id if self.event is not None else ""

    @property
    def begins(self) -> bool:
        """Whether it starts a transaction that has no id yet: the answer brings it (1.6)."""
        return self.event is not None and self.event.started and not self.event.transaction_id

    @property
    def starts(self) -> bool:
        """Whether it is the first message of its transaction."""
        return self.event is not None and self.event.started

    @property
    def ends(self) -> bool:
        """Whether it is the last message of its transaction."""
        return self.event is not None and self.event.ended


NOTHING: Final = About()


class Relay:
    """A CALL that waits to go up, or for its answer. also: ids under which it came again."""

    __slots__ = ("_call", "_shed", "about", "also")

    def __init__(self, call: rpc.Call, about: About) -> None:
        self._call = call
        self._shed = False
        self.about = about
        self.also: tuple[str, ...] = ()

    def shed(self) -> None:
        """It has to wait: keep the text only, the read payload takes several times its room."""
        self._call, self._shed = rpc.Call(self._call.message_id, self._call.action, {}, self._call.text), True

    def call(self, version: str) -> rpc.Call:
        """The CALL with its payload. version: subprotocol it came in."""
        if self._shed:
            frame = rpc.parse(self._call.text, version=version, max_bytes=len(self._call.text) * 4 + 4)
            assert isinstance(frame, rpc.Call)
            self._call, self._shed = frame, False
        return self._call

    def is_same(self, call: rpc.Call) -> bool:
        """Whether this is the same message under the same id."""
        return self._call.message_id == call.message_id and self._call.text == call.text

    def join(self, message_id: str) -> None:
        """It came again under another id."""
        if message_id not in (self._call.message_id, *self.also) and len(self.also) < MAX_ALSO:
            self.also = (*self.also, message_id)


@dataclass(slots=True)
class Held:
    """A CALL whose answer waits for the disk.

    waiting: (connection, message id) to answer. transaction_id: as the station will call it.
    relay: it went up before, and its answer may still come; taken: that answer, if it came first.
    """

    call: rpc.Call
    about: About
    answer_text: str
    transaction_id: str
    waiting: list[tuple[int | None, str]] = field(default_factory=list)
    relay: Relay | None = None
    taken: dict[str, Any] | None = None

    def is_same(self, call: rpc.Call, key: str) -> bool:
        """Whether a CALL is this one again."""
        if key:
            return key == self.about.key
        return self.call.message_id == call.message_id and self.call.text == call.text

    def join(self, generation: int | None, message_id: str) -> None:
        """It came again, on this connection or the next."""
        if (generation, message_id) not in self.waiting and len(self.waiting) <= MAX_ALSO:
            self.waiting.append((generation, message_id))


def addressed(text: str, message_id: str, version: str) -> str:
    """An answer under another id; the same text if it has that id already."""
    frame = rpc.parse(text, version=version, max_bytes=len(text) * 4 + 4)
    if frame.message_id == message_id:
        return text
    if isinstance(frame, rpc.Result):
        return rpc.result_text(message_id, frame.payload)
    assert isinstance(frame, rpc.Error)
    return rpc.error_text(message_id, frame.code, frame.description, frame.details, version=version)
