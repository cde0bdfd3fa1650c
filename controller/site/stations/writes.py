"""The write budget: profiles wear flash out, so a station gets no more of them in a day than its model stands.

A token bucket per station. Cuts are always written at once, and so is everything below the floor: they are what
protects a fuse. Rises and renewals need a token. When none is left they stop: the setpoint in the station ends by
itself and the floor holds, which costs no write and keeps the dead man. They begin again when the bucket is half
full, so that a car is not moved up and down every two minutes. Counts are by UTC day (trap 18).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from controller.site.stations.charger import ChargerModel

DAY_S: Final = 86_400.0
BUCKET_PART: Final = 0.25
"""So much of a day's writes may come in a burst."""
REOPEN_PART: Final = 0.5
"""An empty bucket is used again when so much of it is full."""
STRETCHED_PART: Final = 0.75
"""A station with a budget gets its renewals after so much of a setpoint's life instead of at the usual time."""


UNKNOWN_DAY: Final = -1
"""Nobody has looked at a clock yet."""


@dataclass(slots=True)
class Ledger:
    """One station's writes. day: UTC day number of the count. tokens as of at_mono_s."""

    per_day: int
    tokens: float = 0.0
    at_mono_s: float = 0.0
    closed: bool = False
    day: int = UNKNOWN_DAY
    today: int = 0
    started: bool = False

    @property
    def room(self) -> float:
        """Most tokens the bucket holds."""
        return max(10.0, self.per_day * BUCKET_PART)

    def fill(self, now: float) -> None:
        """Tokens come with time."""
        if not self.started:
            self.started, self.tokens, self.at_mono_s = True, self.room, now
        self.tokens = min(self.room, self.tokens + max(0.0, now - self.at_mono_s) * self.per_day / DAY_S)
        self.at_mono_s = now
        if self.tokens < 1.0:
            self.closed = True
        elif self.tokens >= self.room * REOPEN_PART:
            self.closed = False


class WriteBook:
    """All stations' writes. ``now`` is monotonic, ``wall_s`` only finds the day."""

    def __init__(self) -> None:
        self._stations: dict[str, Ledger] = {}
        self._ahead_s: float | None = None

    def _ledger(self, station_id: str, model: ChargerModel) -> Ledger:
        ledger = self._stations.get(station_id)
        if ledger is None or ledger.per_day != model.writes_per_day:
            ledger = self._stations[station_id] = Ledger(model.writes_per_day)
        return ledger

    def may(self, station_id: str, model: ChargerModel, now: float) -> bool:
        """Whether a rise or a renewal may be written now."""
        if model.writes_per_day <= 0:
            return True
        ledger = self._ledger(station_id, model)
        ledger.fill(now)
        return not ledger.closed

    def clock(self, now: float, wall_s: float) -> None:
        """What time it is: writes are counted by the day of people."""
        self._ahead_s = wall_s - now

    def wrote(self, station_id: str, model: ChargerModel, now: float) -> None:
        """A profile went out. Cuts may overdraw the bucket; rises wait the longer for it, a day's worth at most."""
        ledger = self._ledger(station_id, model)
        day = int((now + self._ahead_s) // DAY_S) if self._ahead_s is not None else UNKNOWN_DAY
        if day != ledger.day:
            # What was written before the first look at a clock counts for the first day.
            ledger.day, ledger.today = day, ledger.today if ledger.day == UNKNOWN_DAY else 0
        ledger.today += 1
        if ledger.per_day > 0:
            ledger.fill(now)
            ledger.tokens = max(-float(ledger.per_day), ledger.tokens - 1.0)

    def writes_today(self, station_id: str, wall_s: float) -> int:
        """Profiles written to a station on the UTC day of ``wall_s``."""
        ledger = self._stations.get(station_id)
        return ledger.today if ledger is not None and ledger.day in (UNKNOWN_DAY, int(wall_s // DAY_S)) else 0

    @staticmethod
    def renew_s(model: ChargerModel, renew_s: float, life_s: float) -> float:
        """Age at which a setpoint is renewed [s]: stretched where writes are rare, always inside its life."""
        return renew_s if model.writes_per_day <= 0 else max(renew_s, min(STRETCHED_PART * life_s, life_s - 5.0))
