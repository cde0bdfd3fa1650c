"""DER alarms of all chargers as those of one station (R05): there is one level of alarm, and each change of it is told once.

The first charger in alarm starts it, another type or fault takes it over (R05.FR.03) without an end of the first (FR.04), and the last
one to be well again ends it (FR.02). The depot itself is in alarm while it holds cars below their schedule for a DER control (FR.01).
"""

from __future__ import annotations

from typing import Any, Final

from controller.ocpp.hub import Memory
from controller.ocpp.times import timestamp

Payload = dict[str, Any]

KEY: Final = "der:alarms"
OWN: Final = ""
"""The depot itself among those in alarm."""
AWAY_S: Final = 900.0
"""A charger in alarm that has been away for so long gives nothing back as part of this depot [s]."""
Cause = tuple[str, str]
"""(controlType, gridEventFault or "")."""


class DerAlarms:
    """Who is in alarm, and what the CSMS was told."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self._away_since: dict[str, float] = {}

    def heard(self, who: str, cause: Cause, ended: bool, wall_s: float, extra: str = "") -> list[Payload]:
        """A charger's NotifyDERAlarm, or one of our own; the NotifyDERAlarm requests that follow for the CSMS."""
        told, causes = self._state()
        causes.pop(who, None)
        if not ended:
            causes[who] = cause
            following: Cause | None = cause
        else:
            following = told if told in causes.values() else next(reversed(causes.values()), None)
        self._keep(following, causes)
        if following == told:
            return []
        if following is None:
            return [_notice(told or cause, wall_s, extra, ended=True)]
        return [_notice(following, wall_s, "" if ended else extra)]

    def absent(self, who: str, away: bool, mono_s: float, wall_s: float) -> list[Payload]:
        """Whether a charger is away: an alarm of one that stays away is over for this depot."""
        _, causes = self._state()
        if not away or who not in causes:
            self._away_since.pop(who, None)
            return []
        if mono_s - self._away_since.setdefault(who, mono_s) < AWAY_S:
            return []
        self._away_since.pop(who, None)
        return self.heard(who, causes[who], True, wall_s, "charger is away")

    def who(self) -> tuple[str, ...]:
        """Everybody in alarm."""
        return tuple(self._state()[1])

    def _state(self) -> tuple[Cause | None, dict[str, Cause]]:
        kept = self._memory.get(KEY) or {}
        told = kept.get("told")
        return ((told[0], told[1]) if told else None), {who: (cause[0], cause[1]) for who, cause in (kept.get("causes") or {}).items()}

    def _keep(self, told: Cause | None, causes: dict[str, Cause]) -> None:
        kept = {"told": list(told) if told else None, "causes": {who: list(cause) for who, cause in causes.items()}}
        self._memory.put(KEY, kept if told or causes else None)


def _notice(cause: Cause, wall_s: float, extra: str, ended: bool = False) -> Payload:
    notice: Payload = {"controlType": cause[0], "timestamp": timestamp(wall_s)}
    if cause[1]:
        notice["gridEventFault"] = cause[1]
    if ended:
        notice["alarmEnded"] = True
    if extra:
        notice["extraInfo"] = extra[:200]
    return notice
