"""Turns: who is served when not everybody can have the minimum, for how long, and who comes next.

A turn lasts ``turn_s``; then whoever waited goes first. Who was paused for lack of room rests a moment,
longer each time its turn was cut short: contactors wear and cars give up. Priority decides
first, hurry next, waiting time last; two rules see that nobody waits for ever: within a priority who waited two
turns goes before those whose turn still lasts, and across priorities one car at a time is lifted
for a turn after ``STARVING_TURNS``. Only a session with explicit priority (K21/K22) stays above a lifted one.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from controller.facts import ChargingState, EvseKey
from controller.site.sharing.arbiter import EPS, WAITING, Grant, Rank
from controller.site.state import EvseState

REST_S = 20.0
"""A car that was paused for lack of room stays paused this long: contactors wear [s]."""
MOST_RESTS = 16.0
"""The rest doubles with each turn cut short, up to this many times ``REST_S``."""
SHORT_PART = 0.5
"""A turn that lasted less than this part of ``turn_s`` was cut short."""
AGED_TURNS = 2.0
"""Who waited this many turns goes before those whose turn still lasts."""
STARVING_TURNS = 6.0
"""Who waited this many turns is served for one, whatever the priorities."""
LIFT_EVERY_TURNS = 4.0
"""One car is lifted per this many turns, so that priority still means something."""
PRIORITISED = 100
"""Added to the priority of a session under PriorityCharging (K21/K22): above everything a configuration can say."""
HURRY_S = 3600.0
"""A car that can wait for less than this is in a hurry [s]."""


@dataclass(frozen=True, slots=True)
class Turn:
    """Since when an EVSE with a session is served, or waits. rest_until_mono_s: its rest is over; why: what it was paused for.

    strikes: how many turns in a row were cut short for lack of room.
    """

    served: bool
    since_mono_s: float
    rest_until_mono_s: float = -math.inf
    why: str = ""
    strikes: int = 0


class Turns:
    """All turns of the site. Mutable; ``now`` is monotonic seconds."""

    def __init__(self, turn_s: float) -> None:
        self.turn_s = turn_s
        self.of: dict[EvseKey, Turn] = {}
        self.lifted: EvseKey | None = None
        self._lift_mono_s = -math.inf

    def take(self, grants: Iterable[Grant], now: float) -> None:
        """Remember who is served and who waits after a decision."""
        for grant in grants:
            turn = self.of.get(grant.key)
            served = grant.limit_a > EPS or grant.setpoint_w is not None
            if served:
                if turn is None or not turn.served:
                    self.of[grant.key] = Turn(True, now, strikes=turn.strikes if turn is not None else 0)
            elif grant.waiting and (turn is None or turn.served):
                self.of[grant.key] = self._paused(turn, grant.reason.removeprefix(WAITING), now)
            elif not grant.waiting and turn is not None and turn.served:
                del self.of[grant.key]
        self._lift(now)

    def _paused(self, turn: Turn | None, why: str, now: float) -> Turn:
        """It waits now; if it was charging, it rests first."""
        if turn is None:
            return Turn(False, now, now, why)
        strikes = turn.strikes + 1 if now - turn.since_mono_s < SHORT_PART * self.turn_s else 0
        rest_s = min(REST_S * 2.0 ** max(0, strikes - 1), REST_S * MOST_RESTS, self.turn_s)
        return Turn(False, now, now + rest_s, why, strikes)

    def forget(self, key: EvseKey) -> None:
        """The session is over."""
        self.of.pop(key, None)

    def _lift(self, now: float) -> None:
        """Keep the lift for the turn of who has it, at most for two; then the next one who starves gets it, after a while."""
        if self.lifted is not None and not self._lift_over(self.lifted, now):
            return
        self.lifted = None
        if now - self._lift_mono_s < (1.0 + LIFT_EVERY_TURNS) * self.turn_s:
            return
        waited_s = STARVING_TURNS * self.turn_s
        starving = [(turn.since_mono_s, key) for key, turn in self.of.items() if not turn.served and now - turn.since_mono_s >= waited_s]
        if starving:
            self.lifted, self._lift_mono_s = min(starving)[1], now

    def _lift_over(self, key: EvseKey, now: float) -> bool:
        turn = self.of.get(key)
        if turn is None or now - self._lift_mono_s >= 2.0 * self.turn_s:
            return True
        return turn.served and now - turn.since_mono_s >= self.turn_s


def rank(evse: EvseState, turn: Turn | None, now: float, turn_s: float) -> Rank:
    """Where an EVSE stands in the queue of its priority."""
    session = evse.session
    if session is not None and session.charging_state is ChargingState.SUSPENDED_EV:
        return Rank.RESTING
    if turn is None:
        return Rank.WAITING
    lasts_s = now - turn.since_mono_s
    if turn.served:
        return Rank.SERVED if lasts_s < turn_s else Rank.YIELDING
    return Rank.AGED if lasts_s >= AGED_TURNS * turn_s else Rank.WAITING


def priority(evse: EvseState) -> int:
    """The EVSE's own, the driver's, and PriorityCharging on top of both."""
    driver = evse.session.driver if evse.session is not None else None
    said = evse.place.config.priority + ((driver.priority or 0) if driver is not None else 0)
    return said + PRIORITISED if evse.prioritised else said


def in_hurry(evse: EvseState, wall_s: float, most_w: float) -> bool:
    """Whether a car must charge at nearly full power now to have what it needs when it leaves. most_w: what it can take [W]."""
    session = evse.session
    if session is None or session.departure_wall_s is None or most_w <= 0:
        return False
    left_s, need_wh = session.departure_wall_s - wall_s, session.need_wh
    if need_wh is None or need_wh <= 0 or left_s <= 0:
        return False
    return left_s - 3600.0 * need_wh / most_w < HURRY_S


def waiting_circuits(turns: Mapping[EvseKey, Turn], evses: Mapping[EvseKey, EvseState]) -> set[str]:
    """Circuits above an EVSE that waits for room."""
    return {name for key, turn in turns.items() if not turn.served for name in evses[key].place.path}
