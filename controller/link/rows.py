"""The words of the policy table: what can be done with a message, by state of the upstream.

relay: the same text goes on, byte for byte. hold: on disk first, then answered here, sent up
later. answer: answered here from what we know. intercept: read, stored and answered here, never
reaches the other side as it is. refuse: answered here with the action's own "no".
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Verb(StrEnum):
    """What to do with a message."""

    RELAY = "relay"
    HOLD = "hold"
    ANSWER = "answer"
    INTERCEPT = "intercept"
    REFUSE = "refuse"


class Upstream(StrEnum):
    """State of a station's upstream as the policy sees it."""

    OPEN = "open"
    AWAY = "away"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Row:
    """Verbs of one action by upstream state."""

    open: Verb
    away: Verb
    none: Verb

    def verb(self, upstream: Upstream) -> Verb:
        """The verb for a state."""
        if upstream is Upstream.OPEN:
            return self.open
        return self.away if upstream is Upstream.AWAY else self.none


ANSWERED: Final = Row(Verb.RELAY, Verb.ANSWER, Verb.ANSWER)
"""Matters only now: relayed, else answered here."""
KEPT: Final = Row(Verb.RELAY, Verb.HOLD, Verb.ANSWER)
"""Costs money or evidence if it is lost: relayed, else kept on disk."""
OURS: Final = Row(Verb.INTERCEPT, Verb.INTERCEPT, Verb.INTERCEPT)
"""Yardmaster's own business."""
NEVER: Final = Row(Verb.REFUSE, Verb.REFUSE, Verb.REFUSE)
"""Would move the station past the fuse guard."""
THROUGH: Final = Row(Verb.RELAY, Verb.REFUSE, Verb.REFUSE)
"""Goes to the other side or nowhere."""
