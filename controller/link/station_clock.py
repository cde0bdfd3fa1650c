"""How far a station's clock is from ours, learnt from the times in its own messages.

A profile with dates acts by the station's clock. Stations set it by Heartbeat and BootNotification, which a CSMS answers and not
we, and many drift or ignore it. A message may have waited for hours, so one time alone proves nothing: two that came ``PROOF_S``
apart and show the same distance do, for a clock goes on and a waiting message does not. Until then the times heard only say how
far it may be. Serves K01.FR.40 (dated profiles), B01.FR.02, G02.FR.02 (time of the CSMS).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from controller.facts import Stamp
from controller.orders import Order, Severity, Tell

PROOF_S: Final = 20.0
"""Two times that lie so far apart and agree prove a distance [monotonic s]."""
CLOSE_S: Final = 5.0
"""They agree when their distances differ by less [s]: delays on the way, and whole seconds."""
APART_S: Final = 10.0
"""Less than this is no difference [s]; the slack of each profile bears it."""
LARGE_S: Final = 60.0
"""From here on people are told [s]."""
KEPT: Final = 8
KEPT_S: Final = 900.0
"""An older distance counts no more once there is a newer one: somebody may have set the clock [monotonic s]."""
EVERY_S: Final = 5.0
"""More often nothing is learnt, so that what is kept spans the time of a proof [monotonic s]."""


@dataclass(frozen=True, slots=True)
class _Heard:
    """One time: when it came, and what the station's clock showed at our monotonic zero by it. That stays when our wall clock is set (F77)."""

    mono_s: float
    zero_wall_s: float
    reading: bool


class StationClock:
    """One station's clock. All distances are station minus ours [wall s]: above 0 the station is ahead."""

    __slots__ = ("_heard", "_proved", "_station_id", "_told", "_wrong")

    def __init__(self, station_id: str = "") -> None:
        self._station_id = station_id
        self._heard: tuple[_Heard, ...] = ()
        self._proved: float | None = None
        self._wrong: float | None = None
        self._told = False

    def ahead_s(self, at: Stamp) -> float:
        """What is proved, 0.0 if nothing is; and 0.0 if a profile dated by it was seen not to act."""
        if self._proved is None or (self._wrong is not None and abs(self._proved - self._wrong) < APART_S * at.wall_speed):
            return 0.0
        found = _ahead(self._proved, at)
        return found if abs(found) >= APART_S * at.wall_speed else 0.0

    def span_s(self, at: Stamp) -> tuple[float, float]:
        """All it may be, from its messages and from the guess that it is right: (lowest <= 0, highest >= 0)."""
        zeros = [one.zero_wall_s for one in self._heard] + ([self._proved] if self._proved is not None else [])
        found = [0.0, *(_ahead(zero, at) for zero in zeros)]
        return min(found), max(found)

    def listens(self, at: Stamp) -> bool:
        """Whether another time would say anything new."""
        return not self._heard or at.mono_s - self._heard[-1].mono_s >= EVERY_S

    def heard(self, at: Stamp, told_wall_s: float, reading: bool = False) -> list[Order]:
        """The station said what time it is, or was when it wrote the message. reading: of a meter. What people should know of it."""
        new = _Heard(at.mono_s, told_wall_s - at.mono_s * at.wall_speed, reading)
        if self._proves(new, at):
            self._proved = new.zero_wall_s
        self._heard = (*(one for one in self._heard[1 - KEPT :] if new.mono_s - one.mono_s <= KEPT_S), new)
        return self._news(at)

    def _proves(self, new: _Heard, at: Stamp) -> bool:
        certain = not new.reading or _ahead(new.zero_wall_s, at) > -APART_S * at.wall_speed
        others = [one for one in self._heard if new.mono_s - one.mono_s >= PROOF_S and (certain or not one.reading)]
        return any(abs(new.zero_wall_s - one.zero_wall_s) <= CLOSE_S * at.wall_speed for one in others)

    def doubt(self) -> None:
        """The station has started anew and may have set its clock: nothing is proved until it speaks again."""
        self._proved = self._wrong = None

    def misled(self) -> None:
        """The station shows that a profile dated by this clock does not act: what it writes is not what it goes by."""
        self._wrong = self._proved

    def _news(self, at: Stamp) -> list[Order]:
        """Once when it is far off, once when it is right again. While ours is in doubt nobody is blamed."""
        if not at.wall_trusted or self._proved is None:
            return []
        ahead_s, large_s = _ahead(self._proved, at), LARGE_S * at.wall_speed
        if not self._told and abs(ahead_s) >= large_s:
            self._told = True
            return [Tell(Severity.WARNING, self._station_id, _words(ahead_s))]
        if self._told and abs(ahead_s) < large_s / 2:
            self._told = False
            return [Tell(Severity.INFO, self._station_id, "the station's clock is right again")]
        return []


def _ahead(zero_wall_s: float, at: Stamp) -> float:
    return zero_wall_s + at.mono_s * at.wall_speed - at.wall_s


def _words(ahead_s: float) -> str:
    way = "ahead of" if ahead_s > 0 else "behind"
    return (
        f"the station's clock is {_span(abs(ahead_s))} {way} ours - limits are dated by its clock, and pauses live longer; "
        "check the time its CSMS gives it, its time zone, and the time of this machine"
    )


def _span(seconds: float) -> str:
    """A span for people."""
    minutes = round(seconds / 60)
    if minutes < 120:
        return f"{minutes} min"
    return f"{round(minutes / 60)} h" if minutes < 2880 else f"{round(minutes / 1440)} days"
