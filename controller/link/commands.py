"""What a CSMS may ask of a station: the operator's allow and deny lists, and so many commands a minute (F31).

One policy per station and CSMS. It judges, counts and says it once a minute; the refusal itself, valid
for the action, is the session's. Rows of ``policy`` that protect the fuse stand above it: nothing here
can allow what they refuse.
"""

from __future__ import annotations

from collections import deque

from controller.config import CommandsConfig
from controller.facts import Stamp
from controller.orders import Severity, Tell

WINDOW_S = 60.0


class CommandPolicy:
    """Rules for one CSMS's CALLs to one station. mirror: a CSMS that may ask nothing unless it is named."""

    __slots__ = ("_allow", "_deny", "_per_minute", "_subject", "_times", "_told_mono_s", "_untold", "_who", "refused")

    def __init__(self, subject: str, upstream_id: str, config: CommandsConfig, mirror: bool = False) -> None:
        self._subject = subject
        self._who = f"mirror {upstream_id}" if mirror else "the CSMS"
        allow = config.allow if config.allow is not None or not mirror else ()
        self._allow = frozenset(allow) if allow is not None else None
        self._deny = frozenset(config.deny)
        self._per_minute = config.per_minute
        self._times: deque[float] | None = None
        self._told_mono_s = float("-inf")
        self._untold = 0
        self.refused = 0

    def names(self, action: str) -> bool:
        """Whether the lists permit an action at all."""
        return action not in self._deny and (self._allow is None or action in self._allow)

    def refusal(self, action: str, at: Stamp) -> str:
        """Why a CALL must be refused, in words for people; "" if it may pass, and then it counts for the minute."""
        if not self.names(action):
            return "is not allowed by upstreams.commands"
        if self._per_minute and not self._take(at.mono_s):
            return f"is more than {self._per_minute} commands a minute"
        return ""

    def _take(self, mono_s: float) -> bool:
        times = self._times = self._times if self._times is not None else deque()
        while times and mono_s - times[0] >= WINDOW_S:
            times.popleft()
        if len(times) >= self._per_minute:
            return False
        times.append(mono_s)
        return True

    def tell(self, action: str, reason: str, at: Stamp) -> list[Tell]:
        """One event a minute, with the number of commands refused since the last one."""
        self.refused += 1
        self._untold += 1
        if at.mono_s - self._told_mono_s < WINDOW_S:
            return []
        more = f", and {self._untold - 1} other commands since the last such message" if self._untold > 1 else ""
        self._told_mono_s, self._untold = at.mono_s, 0
        return [Tell(Severity.WARNING, self._subject, f"{action} from {self._who} refused: it {reason}{more}")]
