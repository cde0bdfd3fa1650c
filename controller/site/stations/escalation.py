"""Escalation: a station that accepts a cut and does not follow is pursued, step by step (F03, RELIABILITY 7).

Sent again at 10 s, paused at 20 s, made unavailable at 40 s, an alarm for a person at 60 s. Judged by what the
station says it draws, or by the meter of a circuit it has to itself. A car gets the time its station needs to apply
a cut, its own 5 s (IEC 61851-1), and more after a large one; one that comes down slowly is left to it. A few percent
too much are learned instead (``overdraw``). A station that obeys again for a minute gets its EVSE back once.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from controller.facts import EvseKey
from controller.site.meters.draws import REACTION_S
from controller.site.stations.channel import Channel
from controller.site.stations.overdraw import MOST

JUST_CUT_S: Final = 90.0
"""A car found too high within this time of its cut has not followed since the cut [s]."""
TOLERANCE_A: Final = 1.0
"""A car may draw this much above its setpoint, or the part that ``overdraw`` learns, before it counts as not following [A]."""
CAR_RAMP_A_PER_S: Final = 5.0
"""Cars come down at least so fast [A/s]; half of them do it in one step."""
FALLING_A: Final = 1.0
"""A current that fell by this much since the last look is on its way [A]."""
OBEYS_S: Final = 60.0
"""An EVSE that was made unavailable must keep to its setpoint for so long before it is operative again [s]."""
UNTOLD_S: Final = 90.0
"""A station that tells no current for this long while a fuse above it is over is not excused by that [s]."""
SLOW_ANSWER_S: Final = 10.0
"""A setpoint without an answer for this long makes an older measurement count [s]; many boxes take some seconds."""
MOST_PAUSE_S: Final = 900.0
"""A car that does not follow again and again is paused for this long at most, each time twice as long as before [s]."""


class Step(IntEnum):
    """How far the escalation has gone."""

    WATCHED = 0
    RESENT = 1
    PAUSED = 2
    BLOCKED = 3
    ALARMED = 4


STEP_AFTER_S: Final = {Step.RESENT: 10.0, Step.PAUSED: 20.0, Step.BLOCKED: 40.0, Step.ALARMED: 60.0}


@dataclass(slots=True)
class Pursuit:
    """One EVSE that draws more than it accepted: since when, what was done, what it drew least, since when it obeys."""

    since_mono_s: float
    step: Step = Step.WATCHED
    least_a: float = 0.0
    obeys_since_mono_s: float | None = None
    step_mono_s: float = 0.0
    """When the last step was taken, or its current last fell: what was measured before that says nothing against it."""


class Escalation:
    """All pursuits. ``look`` returns the steps that are due now."""

    def __init__(self) -> None:
        self.pursuits: dict[EvseKey, Pursuit] = {}
        self.blocked: set[EvseKey] = set()
        self._freed: set[EvseKey] = set()
        self._pauses: dict[EvseKey, int] = {}

    @property
    def disobeying(self) -> frozenset[EvseKey]:
        """EVSEs that had their time to follow and did not: they count with what they draw."""
        return frozenset(key for key, pursuit in self.pursuits.items() if pursuit.step >= Step.RESENT)

    @property
    def paused(self) -> frozenset[EvseKey]:
        """EVSEs told to stop altogether."""
        return frozenset(key for key, pursuit in self.pursuits.items() if pursuit.step >= Step.PAUSED)

    def look(self, channel: Channel, drawn_a: float | None, measured_mono_s: float, over: bool, now: float) -> tuple[Step, ...] | None:
        """Steps now due for one EVSE; None when it has just come back to obeying.

        drawn_a: what it last told, or what its own circuit's meter shows [A]. over: a circuit above it is over its
        limit, which speaks against a station that tells nothing since its cut.
        """
        key = channel.place.key
        pursuit = self.pursuits.get(key)
        # What was measured before the car could react says nothing about its obedience: cars at stations
        # that sample once a minute would be paused for nothing. The circuit's own meter still speaks.
        believed_after = channel.lowered_mono_s + (self._patience_s(channel) if pursuit is None else 0.0)
        if not self._too_much(channel, drawn_a, measured_mono_s, believed_after, over, now):
            return self._obeys(key, pursuit, now) if pursuit is not None else ()
        if pursuit is None:
            pursuit = self.pursuits[key] = Pursuit(self._since(channel, now), least_a=drawn_a or 0.0)
        pursuit.obeys_since_mono_s = None
        if drawn_a is not None and drawn_a <= pursuit.least_a - FALLING_A:
            pursuit.least_a, pursuit.step_mono_s = drawn_a, now
            if pursuit.step is Step.WATCHED:
                pursuit.since_mono_s = max(pursuit.since_mono_s, now - self._patience_s(channel))
                return ()
        return self._due(pursuit, channel, self._proven(pursuit, channel, measured_mono_s, over, now), now)

    def _proven(self, pursuit: Pursuit, channel: Channel, measured_mono_s: float, over: bool, now: float) -> bool:
        """Whether it was seen to ignore the last step too: measured since, or silent for long beside a fuse that is over."""
        reacted_mono_s = max(pursuit.step_mono_s, channel.lowered_mono_s) + channel.place.model.apply_s + REACTION_S
        return measured_mono_s > reacted_mono_s or (over and now - max(measured_mono_s, pursuit.step_mono_s) >= UNTOLD_S)

    @staticmethod
    def _patience_s(channel: Channel) -> float:
        """How long after a cut a car may still be above it [s]."""
        return channel.place.model.apply_s + REACTION_S + max(0.0, channel.lowered_by_a) / CAR_RAMP_A_PER_S

    def _since(self, channel: Channel, now: float) -> float:
        """The clock runs from the cut, but a first finding that comes late begins with the first step."""
        waited_s = now - channel.lowered_mono_s
        first_s = max(STEP_AFTER_S[Step.RESENT], self._patience_s(channel))
        return now - (min(waited_s, first_s) if waited_s <= JUST_CUT_S else 0.0)

    def _obeys(self, key: EvseKey, pursuit: Pursuit, now: float) -> tuple[Step, ...] | None:
        """It keeps to its setpoint. Whom we made unavailable has to show it for a while; that it draws nothing proves little."""
        if pursuit.step >= Step.PAUSED:
            if pursuit.obeys_since_mono_s is None:
                pursuit.obeys_since_mono_s = now
            pursuit.since_mono_s = max(pursuit.since_mono_s, now - STEP_AFTER_S[pursuit.step])  # what it does next is new
            if (key in self.blocked and key in self._freed) or now - pursuit.obeys_since_mono_s < self._shown_s(key):
                return ()
            self._pauses[key] = self._pauses.get(key, 0) + 1
        del self.pursuits[key]
        return None if pursuit.step >= Step.RESENT else ()

    def _shown_s(self, key: EvseKey) -> float:
        """How long it must keep to its setpoint [s]. A car that knows only on and off would be switched each minute, at each time for longer."""
        again_s = OBEYS_S * (2.0 ** self._pauses.get(key, 0) - 1.0)
        return min(MOST_PAUSE_S, max(again_s, OBEYS_S if key in self.blocked else 0.0))

    def free(self, key: EvseKey) -> bool:
        """After ``look`` said None: True if the EVSE had been made unavailable and may be freed, once in a session."""
        if key not in self.blocked:
            return False
        self.blocked.discard(key)
        self._freed.add(key)
        return True

    def _too_much(self, channel: Channel, drawn_a: float | None, measured_mono_s: float, believed_after: float, over: bool, now: float) -> bool:
        if not channel.online or channel.accepted is None or drawn_a is None:
            return False
        limit_a = channel.known_a(now)
        unanswered = not channel.answered and now - channel.asked_mono_s > SLOW_ANSWER_S
        if measured_mono_s <= believed_after and not unanswered:
            return over and drawn_a > limit_a + TOLERANCE_A
        # What has been learned to be drawn above the told limit is in it already: a quarter above that in all, not once more.
        more_part = max(0.0, (1.0 + MOST) / (1.0 + channel.overdraw_part) - 1.0)
        return drawn_a > limit_a + max(TOLERANCE_A, more_part * limit_a)

    def _due(self, pursuit: Pursuit, channel: Channel, proven: bool, now: float) -> tuple[Step, ...]:
        late_s = max(0.0, self._patience_s(channel) - STEP_AFTER_S[Step.RESENT])
        due = tuple(step for step, after_s in STEP_AFTER_S.items() if pursuit.step < step and now - pursuit.since_mono_s >= after_s + late_s)
        if not proven:
            due = tuple(step for step in due if step <= Step.PAUSED)  # to take an EVSE out of use takes more than an old value
        if due:
            pursuit.step, pursuit.step_mono_s = due[-1], now
        return due

    def forget(self, key: EvseKey) -> bool:
        """The session is over. True if the EVSE had been made unavailable and may be freed."""
        self.pursuits.pop(key, None)
        self._pauses.pop(key, None)
        self._freed.discard(key)
        if key in self.blocked:
            self.blocked.discard(key)
            return True
        return False
