"""Message ids for CALLs that are ours.

They must never meet an id of the station or of the CSMS, on any connection, ever (P4 4.1.4,
6.4). So they look like UUIDs and come from a hash over a seed that is fresh at each start (drawn
in io/clock, the only home of randomness) and a counter: the engine stays deterministic.
"""

from __future__ import annotations

import hashlib
from typing import Final


class IdSource:
    """Endless ids in UUID form, 36 characters, distinct per seed."""

    def __init__(self, seed: str) -> None:
        self._seed = seed
        self._count = 0

    def fresh(self, *, translated: bool = False) -> str:
        """The next id. translated: it shows in the id that the CALL says what somebody else said, in other words (``is_translated``)."""
        self._count += 1
        digest = hashlib.sha256(f"{self._seed}:{self._count}".encode()).hexdigest()
        # Version 8 (custom) and the RFC 9562 variant bits, so that strict parsers accept it.
        variant = TRANSLATED if translated else "a"
        return f"{digest[:8]}-{digest[8:12]}-8{digest[13:16]}-{variant}{digest[17:20]}-{digest[20:32]}"


TRANSLATED: Final = "b"
"""Both letters are of the RFC's variant; a peer cannot tell anything from it, the tap can."""


def is_translated(message_id: str) -> bool:
    """Whether ``fresh`` made this id for a CALL that says what somebody else said. An id of somebody else's may look the same."""
    return len(message_id) == 36 and message_id[14] == "8" and message_id[19] == TRANSLATED


def jitter(key: str, attempt: int) -> float:
    """A number in [0, 1) that differs per station and attempt: spreads reconnects without randomness."""
    digest = hashlib.sha256(f"{key}:{attempt}".encode()).digest()
    return int.from_bytes(digest[:4], "big") / 2**32
