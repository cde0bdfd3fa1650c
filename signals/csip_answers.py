"""Responses to DERControls: which code, whether it is wanted, and that each is sent once.

2030.5 10.10 and table 27. The ledger is plain data that its keeper writes to the disk: a response is in it before it is sent, marked as tried
right before, and leaves it when the server has taken it. So a crash at any moment leaves none behind of which nobody knows that it may be there.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

from signals.csip_schedule import Reply

RECEIVED, STARTED, COMPLETED, CANCELLED, SUPERSEDED, PARTLY, OTHER_PROGRAM = 1, 2, 3, 6, 7, 8, 14
REJECTIONS: Final = frozenset({252, 253, 254})
CODES: Final[dict[str, int]] = {
    "received": RECEIVED,
    "started": STARTED,
    "completed": COMPLETED,
    "superseded": SUPERSEDED,
    "cancelled": CANCELLED,
    "rejected": 253,
    "partial": PARTLY,
}
"""What the site says -> response code. opt-out and opt-in (4, 5) are a person's choice, which nobody is offered here."""
ENDS: Final = REJECTIONS | {COMPLETED, CANCELLED, SUPERSEDED, PARTLY, OTHER_PROGRAM}
KEEP_S: Final = 7 * 86_400.0
GIVE_UP_S: Final = 86_400.0
MOST_EVENTS: Final = 2000
MOST_WAITING: Final = 500
_RECEIPT, _SPECIFIC, _CUSTOMER = 1, 2, 4


def code(what: str, reply: Reply, others: Iterable[Reply] = ()) -> int | None:
    """The response code for what the site did, None = nothing is said. others: of all events, to see which one took over."""
    number = CODES.get(what)
    if number == CANCELLED and reply.superseded:
        return SUPERSEDED
    if number == COMPLETED and reply.partly:
        return PARTLY
    if number == SUPERSEDED and not reply.superseded and not any(_takes_over(one, reply) for one in others):
        return OTHER_PROGRAM
    return number


def _takes_over(one: Reply, reply: Reply) -> bool:
    """Whether one is a later event of the same program at the same time."""
    later = one.program == reply.program and one.created_s > reply.created_s
    return later and one.start_s < reply.end_s and reply.start_s < one.end_s


def wanted(number: int, required: int) -> bool:
    """Whether responseRequired asks for this code. Bits: 0 receipt, 1 what is done, 2 what a person decides."""
    if number == RECEIVED:
        return bool(required & _RECEIPT)
    if number in REJECTIONS:
        return bool(required & (_RECEIPT | _SPECIFIC))
    return bool(required & (_SPECIFIC | _CUSTOMER if number == PARTLY else _SPECIFIC))


@dataclass(frozen=True, slots=True)
class Waiting:
    """A response that is to be sent. server_s: when it came about, in the server's time. at_s: by our wall clock. tried: the server may have it."""

    mrid: str
    code: int
    reply_to: str
    server_s: int
    at_s: float
    tried: bool = False


class Ledger:
    """What has been answered and what waits. Mutable; ``text`` is all of it."""

    def __init__(self) -> None:
        self._highest = 0
        self._said: dict[str, tuple[float, tuple[int, ...]]] = {}
        self._waiting: list[Waiting] = []

    def offer(self, mrid: str, number: int, reply: Reply, server_s: float, at_s: float) -> bool:
        """Put a response in line, if it is wanted and new; nothing follows an end but another end of it never. True = the ledger changed."""
        said = self._said.get(mrid, (at_s, ()))[1]
        if number in said or any(one in ENDS for one in said):
            return False
        self._said[mrid] = (at_s, (*said, number))
        if reply.reply_to is not None and wanted(number, reply.required):
            self._waiting = [*self._waiting, Waiting(mrid, number, reply.reply_to, int(server_s), at_s)][-MOST_WAITING:]
        return True

    def number(self, server_s: float) -> int:
        """A version for an event that is new or has changed: higher than any before, over restarts, and though this ledger was lost."""
        self._highest = max(self._highest + 1, int(server_s))
        return self._highest

    def next(self) -> Waiting | None:
        """The oldest that waits."""
        return self._waiting[0] if self._waiting else None

    def tried(self, waiting: Waiting, tried: bool) -> Waiting:
        """Before it is sent, and, with False, when the server certainly has not taken it."""
        changed = replace(waiting, tried=tried)
        self._waiting = [changed if one == waiting else one for one in self._waiting]
        return changed

    def done(self, waiting: Waiting) -> None:
        """The server has taken it, or never will."""
        self._waiting = [one for one in self._waiting if one != waiting]

    def known(self) -> frozenset[str]:
        """Events that something has been said about."""
        return frozenset(self._said)

    def tidy(self, at_s: float, alive: frozenset[str]) -> bool:
        """Forget what is long over. alive: events the server still lists. True = something was forgotten."""
        before = len(self._said), len(self._waiting)
        self._waiting = [one for one in self._waiting if abs(at_s - one.at_s) < GIVE_UP_S]
        old = sorted((mrid for mrid in self._said if mrid not in alive), key=lambda mrid: self._said[mrid][0])
        spare = len(self._said) - MOST_EVENTS
        for number, mrid in enumerate(old):
            if number < spare or abs(at_s - self._said[mrid][0]) > KEEP_S:
                del self._said[mrid]
        return before != (len(self._said), len(self._waiting))

    def text(self) -> str:
        """All of it as JSON."""
        said = {mrid: [at_s, *codes] for mrid, (at_s, codes) in self._said.items()}
        return json.dumps({"highest": self._highest, "said": said, "waiting": [asdict(one) for one in self._waiting]}, separators=(",", ":"))

    @classmethod
    def of(cls, text: str) -> Ledger:
        """Read it back. Raises ValueError for what is no ledger."""
        ledger = cls()
        try:
            content = json.loads(text)
            ledger._highest = int(content["highest"])
            ledger._said = {str(mrid): (float(entry[0]), tuple(int(one) for one in entry[1:])) for mrid, entry in content["said"].items()}
            ledger._waiting = [_waiting(one) for one in content["waiting"]]
        except (KeyError, TypeError, IndexError, AttributeError, ValueError, OverflowError, RecursionError) as error:
            raise ValueError(f"this is no ledger of responses: {error}") from None
        return ledger


def _waiting(entry: Mapping[str, Any]) -> Waiting:
    numbers = int(entry["code"]), str(entry["reply_to"]), int(entry["server_s"]), float(entry["at_s"])
    return Waiting(str(entry["mrid"]), *numbers, bool(entry.get("tried")))
