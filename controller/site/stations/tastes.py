"""Tastes: cars that stop below a current of their own, learned for one session.

The standard lets a car charge from 6 A, but some stop below 8 or 10 A. While a fuse is tight such a car would hold an offer it
never takes, for hours. Two signs are needed: it drew, was lowered to an offer between its charger's minimum and 8 A, and stopped;
and it began again when it was offered more, for which its minimum is raised on trial. Bounded; forgotten with the session, and as
soon as it takes a small offer after all. Raises what is given at once or not at all, never more than fits.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from controller.facts import EvseKey
from controller.site.sharing.arbiter import EPS
from controller.site.state import EvseState
from controller.site.stations.channel import Channel
from controller.site.stations.phases import DRAWING_A

LEVELS: Final = (8.0, 10.0)
"""Minimum currents that are tried, one after the other [A]; the last is the highest that is learned."""
TAKEN_S: Final = 5.0
"""A current counts from so long after the station applied a changed offer [s]."""
STOPPED_S: Final = 20.0
"""A car that drew and was lowered to a small offer has stopped for it when it draws nothing so long after that [s]."""
REFUSED_S: Final = 90.0
"""An offer counts as not taken from so long after that [s]; some cars need a minute to begin."""
NOT_AGAIN_S: Final = 1800.0
"""A trial that did not help is not repeated for this long [s]."""


@dataclass(slots=True)
class Taste:
    """One session. drew: at the offer before this one. trial: its minimum is raised to see whether that helps.

    band: between which levels its offer lies, since band_mono_s; inside of one an ampere up or down changes nothing for such a car.
    """

    drew: bool = False
    trial: bool = False
    sure: bool = False
    band: int = -1
    band_mono_s: float = -math.inf
    seen_mono_s: float = -math.inf
    not_before_mono_s: float = -math.inf


class Tastes:
    """Learns into ``Channel.session_min_a``. ``look`` once a second per EVSE with a session."""

    def __init__(self) -> None:
        self._of: dict[EvseKey, Taste] = {}

    def look(self, channel: Channel, evse: EvseState, now: float) -> None:
        """Take a new measurement in."""
        taste = self._of.setdefault(channel.place.key, Taste())
        told_a = _told_a(channel, now)
        band = -1 if told_a is None else sum(told_a >= level_a - EPS for level_a in (channel.place.min_a, *LEVELS))
        if band >= 0 and band != taste.band:
            taste.band, taste.band_mono_s = band, now
        if told_a is None or evse.doubted or evse.drawn_a is None or evse.measured_mono_s <= taste.seen_mono_s:
            return
        if told_a < channel.place.min_a - EPS:
            taste.drew = False  # after a pause there are many reasons not to begin
            return
        settled_s = evse.measured_mono_s - taste.band_mono_s - channel.place.model.apply_s
        if evse.drawn_a > DRAWING_A:
            if settled_s >= TAKEN_S:
                taste.seen_mono_s = evse.measured_mono_s
                self._takes(channel, taste, told_a)
        elif settled_s >= (STOPPED_S if taste.drew and band == 1 else REFUSED_S):
            taste.seen_mono_s = evse.measured_mono_s
            self._refuses(channel, taste, told_a, now)

    @staticmethod
    def _takes(channel: Channel, taste: Taste, told_a: float) -> None:
        taste.drew = True
        if told_a < max(LEVELS[0], channel.session_min_a) - EPS:
            channel.session_min_a, taste.trial, taste.sure = 0.0, False, False
        elif taste.trial:
            taste.trial, taste.sure = False, True

    @staticmethod
    def _refuses(channel: Channel, taste: Taste, told_a: float, now: float) -> None:
        drew, taste.drew = taste.drew, False
        if told_a < LEVELS[0] - EPS:
            if drew and not taste.trial and not taste.sure and now >= taste.not_before_mono_s:
                channel.session_min_a, taste.trial = LEVELS[0], True
            return
        if not taste.trial:
            return
        higher = [level_a for level_a in LEVELS if level_a > told_a + EPS]
        if higher:
            channel.session_min_a = higher[0]
        else:
            channel.session_min_a, taste.trial, taste.not_before_mono_s = 0.0, False, now + NOT_AGAIN_S

    def forget(self, channel: Channel) -> None:
        """The session is over."""
        self._of.pop(channel.place.key, None)
        channel.session_min_a = 0.0


def _told_a(channel: Channel, now: float) -> float | None:
    """What the station has been told and holds [A]; None while that is in doubt."""
    if not channel.online or not channel.answered or channel.accepted is None:
        return None
    live = channel.live(now)
    if live is not None:
        return live.told_a
    return channel.place.fallback_a if channel.confirmed else None
