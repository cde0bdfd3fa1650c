"""Charging profiles that came with a remote start and wait for their transaction (K05, 16E 3.41)."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any, Final

from controller.facts import Stamp
from controller.ocpp.dialect import Payload, TransactionEvent

START_WAITS_S: Final = 600.0
"""How long a remote start's profile waits for its transaction [s]."""
STARTS_KEPT: Final = 8


@dataclass(frozen=True, slots=True)
class RemoteStart:
    """A profile that came with a remote start and waits for its transaction (K05). evse_id 0: any.

    payload: in the shape of SetChargingProfile. start_id: what its transaction will repeat; 0 in 1.6, which has no such id.
    """

    evse_id: int
    payload: Payload
    asked_wall_s: float
    accepted: bool = False
    start_id: int = 0


class Starts:
    """One station's, by the message id of the remote start."""

    __slots__ = ("_waiting",)

    def __init__(self) -> None:
        self._waiting: dict[str, RemoteStart] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def dump(self) -> dict[str, Any]:
        """As JSON."""
        return {str(key): asdict(start) for key, start in self._waiting.items()}

    def load(self, data: Any) -> None:
        """What ``dump`` gave. Raises KeyError, TypeError or ValueError for anything else."""
        for key, value in dict(data).items():
            start = RemoteStart(int(value["evse_id"]), value["payload"], float(value["asked_wall_s"]), bool(value["accepted"]))
            self._waiting[str(key)] = replace(start, start_id=int(value.get("start_id", 0)))

    def add(self, at: Stamp, key: str, start: RemoteStart) -> None:
        """One more; the oldest make room, and those that nobody has begun."""
        young = {key: kept for key, kept in self._waiting.items() if at.wall_s - kept.asked_wall_s < START_WAITS_S * at.wall_speed}
        while len(young) >= STARTS_KEPT:
            del young[next(iter(young))]
        self._waiting = {**young, key: start}

    def answered(self, key: str, accepted: bool) -> bool:
        """The station's answer; whether there is a profile that waits for its transaction."""
        start = self._waiting.pop(key, None)
        if start is None or not accepted:
            return False
        self._waiting[key] = replace(start, accepted=True)
        return True

    def of(self, evse_id: int, event: TransactionEvent) -> str | None:
        """The remote start whose transaction this event belongs to."""
        if event.remote_start_id is not None:
            return next((key for key, start in self._waiting.items() if start.start_id == event.remote_start_id), None)
        if not event.started:
            return None
        # 1.6 has no such id and some stations leave it out; then the start that was accepted for this place it must be.
        return next((key for key, start in self._waiting.items() if start.accepted and start.evse_id in (0, evse_id)), None)

    def take(self, key: str) -> RemoteStart:
        """It has its transaction."""
        return self._waiting.pop(key)
