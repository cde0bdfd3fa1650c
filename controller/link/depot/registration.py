"""Whether the CSMS knows the depot: its BootNotification, the answer to it, and when to ask again (B01-B04).

    unknown --boot--> asked --Accepted--> accepted
                        \\-- Pending, Rejected, no answer --> waits --time--> asked

The depot boots when it has started, when the CSMS speaks another version than before or says that it does not know it; after an
outage of the link alone it does not (B04).
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Final

from controller.facts import Stamp
from controller.ocpp.hub import Memory, Reply, Said
from controller.ocpp.times import wall_time

REASON_KEY: Final = "boot_reason"
"""Of the memory: the reason for the next boot, left by who caused it (a Reset of the CSMS); none = PowerUp."""
BEAT_KEY: Final = "heartbeat_s"
"""Of the memory: the interval of the heartbeat [s]; SetVariables writes it too."""
RETRY_S: Final = 30.0
LONGEST_S: Final = 86_400.0
"""An interval beyond a day is a mistake."""
SHORTEST_BEAT_S: Final = 10.0
CLOCK_OFF_S: Final = 60.0
"""A difference to the CSMS's clock that a person should know of."""


class State(StrEnum):
    """How the CSMS regards the depot."""

    UNKNOWN = "unknown"
    ASKED = "asked"
    PENDING = "Pending"
    REJECTED = "Rejected"
    ACCEPTED = "Accepted"


class Registration:
    """Of one depot at one CSMS. memory: of the face. interval_s: of the heartbeat, 0 = none."""

    def __init__(self, memory: Memory) -> None:
        self.state = State.UNKNOWN
        self._memory = memory
        self._version = ""
        self._was_accepted = False
        self._due_mono_s = float("-inf")
        self._reason = ""
        self._clock_told = False
        self._wanted = False

    @property
    def interval_s(self) -> float:
        """As the CSMS said in its last answer to a boot, or by SetVariables since (OCPPCommCtrlr.HeartbeatInterval)."""
        kept = self._memory.get(BEAT_KEY)
        return float(kept) if isinstance(kept, int | float) else 0.0

    @property
    def reason(self) -> str:
        """Of the next BootNotification."""
        kept = self._memory.get(REASON_KEY)
        return self._reason or (kept if isinstance(kept, str) else "") or "PowerUp"

    def connected(self, version: str) -> bool:
        """The socket is open. Whether the CSMS knows the depot already, from before the link was lost."""
        known = self._was_accepted and version == self._version
        if not known and self._was_accepted:
            self._reason = "Unknown"  # the CSMS has changed, the depot has not started
        self._version = version
        self.state = State.ACCEPTED if known else State.UNKNOWN
        return known

    def lost(self) -> None:
        """The socket is gone."""
        self.state = State.UNKNOWN
        self._due_mono_s = float("inf")

    def again(self, reason: str) -> None:
        """A boot is wanted within a second, whatever the CSMS has said before; nothing changes while one is under way."""
        if self.state is not State.ASKED:
            self._reason, self._wanted = reason, True

    def asked(self) -> None:
        """The boot goes up."""
        self._wanted = False
        self.state, self._due_mono_s = State.ASKED, float("inf")

    def answered(self, at: Stamp, reply: Reply) -> State:
        """The CSMS's answer; no usable one counts as none."""
        status = reply.payload.get("status") if isinstance(reply, Said) else None
        interval = reply.payload.get("interval") if isinstance(reply, Said) else None
        told_s = _seconds(interval)
        if status == "Accepted":
            self.state, self._was_accepted, self._reason = State.ACCEPTED, True, ""
            self._memory.put(REASON_KEY, None)
            self._memory.put(BEAT_KEY, max(SHORTEST_BEAT_S, told_s) if told_s is not None else 0.0)
            return self.state
        self.state = State(status) if status in (State.PENDING, State.REJECTED) else State.UNKNOWN
        self._was_accepted = self._was_accepted and self.state is State.UNKNOWN
        self._due_mono_s = at.mono_s + (told_s if told_s is not None and self.state is not State.UNKNOWN else RETRY_S)
        return self.state

    def wait_s(self, at: Stamp) -> float:
        """Until the next boot [s]."""
        return max(0.0, self._due_mono_s - at.mono_s)

    def boot_due(self, at: Stamp) -> bool:
        """Whether to boot now."""
        if self._wanted:
            return self.state is not State.ASKED
        return self.state in (State.UNKNOWN, State.PENDING, State.REJECTED) and at.mono_s >= self._due_mono_s

    def clock_off(self, at: Stamp, reply: Reply) -> str:
        """What a person should know about the clocks, once; "" = nothing."""
        told: Any = reply.payload.get("currentTime") if isinstance(reply, Said) else None
        wall_s = wall_time(told)
        if wall_s is None or abs(wall_s - at.wall_s) < CLOCK_OFF_S:
            self._clock_told = self._clock_told and wall_s is None
            return ""
        if self._clock_told or not at.wall_trusted:
            return ""
        self._clock_told = True
        return f"the clock of the CSMS differs from ours by {wall_s - at.wall_s:+.0f} s - one of the two is wrong; check the time servers"


def _seconds(interval: Any) -> float | None:
    """An interval as the CSMS names it [s]; None if it leaves it to us (0), or is none."""
    named = isinstance(interval, int | float) and not isinstance(interval, bool) and 0 < interval <= LONGEST_S
    return float(interval) if named else None
