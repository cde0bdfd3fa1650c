"""A channel: what one charger was told, what it accepted, and hence the most it may be drawing.

Plain state with a few questions; the actuator changes it. All currents per phase [A], ``now`` monotonic seconds.
Must never believe in a cut before the station accepted it and had time to apply it, nor forget a value that an
unanswered command may have put into the station.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from controller.orders import Strategy
from controller.site.layout import Place
from controller.site.sharing.arbiter import EPS, floor_to

FOLLOWED_A: Final = 0.5
"""Measured this little above the new setpoint means: it follows [A]."""
CLOCK_SLACK_S: Final = 60.0
"""A profile with dates may outlive its life by this, in a station whose clock is behind [s]; see ``link.downlink``."""
BEHIND_S: Final = 6.0
"""A box that has not taken a cut after this and its apply time counts with what it may be obeying [s]."""


ROUND_A: Final = 1e-4
"""A level of a test is told as it was asked for, whatever rounding left of it [A]."""

PLAIN: Final = Strategy()
PLAIN_FLOOR: Final = Strategy(purpose="tx_default", stack_level=0)


class Floor(StrEnum):
    """Where the dead man of an EVSE stands."""

    UNKNOWN = "unknown"
    WRITING = "writing"
    READING = "reading"
    CONFIRMED = "confirmed"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the arbiter wants in a station. limit_a: what it counts with. told_a: what the station is told, never more.

    setpoint_w: V2G, signed, in all; None = plain charging. idle: neither charge nor discharge. phase_to_use: 1..3.
    """

    limit_a: float
    told_a: float
    reason: str
    phase_count: int
    phase_to_use: int | None = None
    setpoint_w: float | None = None
    idle: bool = False

    @property
    def giving(self) -> bool:
        """Whether it takes a V2X operation mode."""
        return self.setpoint_w is not None or self.idle

    @property
    def given_w(self) -> float:
        """What shall be given back, in all [W], >= 0."""
        return max(0.0, -(self.setpoint_w or 0.0))


@dataclass(frozen=True, slots=True)
class Sent:
    """A setpoint on its way or in force. at_mono_s: sent, or accepted. ends_mono_s: back to the floor.

    limit_a: what it counts with. wanted: all of it; None only where nobody needs it.
    """

    number: int
    limit_a: float
    reason: str
    at_mono_s: float
    ends_mono_s: float
    strategy: Strategy = PLAIN
    wanted: Wanted | None = None
    urgent: bool = False

    @property
    def given_w(self) -> float:
        """What the car shall give back, in all [W], >= 0."""
        return self.wanted.given_w if self.wanted is not None else 0.0

    @property
    def told_a(self) -> float:
        """What the station was told [A]: less than what it counts with where cars draw more than told."""
        return self.wanted.told_a if self.wanted is not None else self.limit_a


@dataclass(slots=True)
class Tries:
    """The ways to one charger: which one is used, which were refused in this round.

    at: index into ways. waits: way -> time until which the station wants to be left alone with it (RateLimitExceeded).
    unsure: a refusal said something about the transaction, nothing about the way.
    """

    ways: tuple[Strategy, ...] = (PLAIN,)
    at: int = 0
    remembered: Strategy | None = None
    refused: set[Strategy] = field(default_factory=set)
    waits: dict[Strategy, float] = field(default_factory=dict)
    rounds: int = 0
    unsure: bool = False
    duplicate: bool = False

    @property
    def way(self) -> Strategy:
        """The one in use."""
        return self.ways[self.at]

    def become(self, ways: tuple[Strategy, ...]) -> None:
        """The list changed: the station said more about itself."""
        if ways != self.ways:
            self.ways = ways
            self.rewind()

    def rewind(self) -> None:
        """From the one that worked, else from the best."""
        self.at = self.ways.index(self.remembered) if self.remembered in self.ways else 0
        self.refused.clear()
        self.duplicate = False

    def choose(self, urgent: bool, now: float) -> Strategy | None:
        """The way for the next setpoint. One that shall wait is passed over for what is urgent; None = wait."""
        for step in range(len(self.ways) if urgent else 1):
            index = (self.at + step) % len(self.ways)
            way = self.ways[index]
            if way not in self.refused and now >= self.waits.get(way, -math.inf):
                self.at = index
                return way
        return None

    def refuse(self) -> bool:
        """A definite no to the one in use. False when that was the last one: a round is over."""
        self.refused.add(self.way)
        self.duplicate = False
        for step in range(1, len(self.ways)):
            index = (self.at + step) % len(self.ways)
            if self.ways[index] not in self.refused:
                self.at = index
                return True
        self.rounds += 1
        self.rewind()
        return False


@dataclass(slots=True)
class Channel:
    """The way to one EVSE, or to a whole station that can only be held as one.

    floor_refused: it said no to its floor and has none that we know of. put_off: it asked for time before it takes its floor, since
    put_off_since_mono_s (inf = it does not). behind_since_mono_s: since when it may be obeying more
    than is wanted, inf = it does not. doubts: purpose of a setpoint without an answer -> until when it may be in the station.

    Of commissioning: told_step_a: limits are told in these steps while it is tested [A]; probed: what a test wrote may be in the station.
    """

    place: Place
    online: bool = False
    version: str = ""
    floor: Floor = Floor.UNKNOWN
    floor_number: int = 0
    floor_ways: tuple[Strategy, ...] = (PLAIN_FLOOR,)
    floor_at: int = 0
    floor_retry_mono_s: float = 0.0
    floor_written_mono_s: float = -math.inf
    put_off_since_mono_s: float = math.inf
    put_off: bool = False
    refresh_number: int = 0
    tries: Tries = field(default_factory=Tries)
    giving_ways: tuple[Strategy, ...] = ()
    giving_at: int = 0
    giving_refused: bool = False
    idle_refused: bool = False
    given_changed_mono_s: float = -math.inf
    wanted: Wanted | None = None
    sent: Sent | None = None
    answered: bool = True
    asked_mono_s: float = -math.inf
    accepted: Sent | None = None
    outstanding: dict[int, Sent] = field(default_factory=dict)
    settling_a: float = 0.0
    settling_until_mono_s: float = -math.inf
    lowered_mono_s: float = -math.inf
    lowered_by_a: float = 0.0
    left_a: float = 0.0
    left_until_mono_s: float = -math.inf
    clear_number: int = 0
    clear_until_mono_s: float = -math.inf
    changed_mono_s: float = -math.inf
    risen_mono_s: float = -math.inf
    cut_mono_s: float = -math.inf
    rejections: int = 0
    losses: int = 0
    floor_rejections: int = 0
    retry_mono_s: float = -math.inf
    uncontrollable: bool = False
    last_reason: str = ""
    resend: bool = False
    looked_mono_s: float = -math.inf
    look_owed: bool = False  # a cut came too soon after the last look: the next setpoint's answer brings one
    first: bool = True
    misread: int = 0
    mis_stacks: bool = False
    overdraw_part: float = 0.0
    session_min_a: float = 0.0  # of the car in this session, 0 = not known (``tastes``)
    told_step_a: float | None = None
    probed: bool = False
    offline_since_mono_s: float | None = None
    held_a: float = 0.0
    floor_refused: bool = False
    behind_since_mono_s: float = math.inf
    doubts: dict[str, float] = field(default_factory=dict)

    @property
    def confirmed(self) -> bool:
        """Whether the floor is known to be in the station."""
        return self.floor is Floor.CONFIRMED

    @property
    def clearing(self) -> bool:
        """Whether a setpoint of ours is being taken out; nothing is written before the station said so."""
        return self.clear_number != 0

    def live(self, now: float) -> Sent | None:
        """The accepted setpoint while it lives."""
        return self.accepted if self.accepted is not None and now < self.accepted.ends_mono_s else None

    def present_a(self, now: float) -> float:
        """Setpoint in force or on its way [A]; the floor when there is none."""
        if self.sent is not None and now < self.sent.ends_mono_s:
            return self.sent.limit_a
        return self.place.fallback_a

    def known_a(self, now: float) -> float:
        """The limit the station has accepted and that has not ended, else its floor [A]."""
        accepted = self.accepted
        return accepted.limit_a if accepted is not None and now < accepted.ends_mono_s else self.place.fallback_a

    def ceiling_a(self, now: float, drawn_a: float | None, measured_mono_s: float) -> float:
        """The most the station may still be obeying [A]."""
        known_a = self.known_a(now)
        ceiling_a = known_a
        for sent in self.outstanding.values():
            ceiling_a = max(ceiling_a, sent.limit_a)
        if now < self.left_until_mono_s:
            ceiling_a = max(ceiling_a, self.left_a)
        accepted = self.accepted
        if accepted is not None and accepted.ends_mono_s <= now < accepted.ends_mono_s + self._outlives_s(accepted):
            # It has ended, but the fall to the floor takes its time, too, and the station's clock may be behind.
            fell = drawn_a is not None and measured_mono_s > accepted.ends_mono_s and drawn_a <= known_a + FOLLOWED_A
            if not fell:
                ceiling_a = max(ceiling_a, accepted.limit_a)
        if now < self.settling_until_mono_s:
            followed = drawn_a is not None and measured_mono_s > self.lowered_mono_s and drawn_a <= known_a + FOLLOWED_A
            if not followed:
                ceiling_a = max(ceiling_a, self.settling_a)
        return ceiling_a

    def _outlives_s(self, sent: Sent) -> float:
        """How long after its end a setpoint may still act [s]."""
        dated = not sent.strategy.relative and not sent.strategy.dynamic
        return self.place.model.apply_s + (CLOCK_SLACK_S if dated else 0.0)

    def want(self, wanted: Wanted, now: float) -> None:
        """Note what is wanted, and since when the station may be obeying more."""
        self.wanted = wanted
        live, calm_from_s = self.live(now), max(self.settling_until_mono_s, self.left_until_mono_s)
        if live is not None and live.limit_a <= wanted.limit_a and not self.outstanding and now >= calm_from_s:
            self.behind_since_mono_s = math.inf  # as nearly always
        elif self.ceiling_a(now, None, -math.inf) <= wanted.limit_a + FOLLOWED_A:
            self.behind_since_mono_s = math.inf
        elif self.behind_since_mono_s == math.inf:
            self.behind_since_mono_s = now

    def behind(self, now: float) -> bool:
        """Whether a cut has not been taken for so long that others must make room for what the station may be obeying."""
        return now - self.behind_since_mono_s > BEHIND_S + self.place.model.apply_s

    def rise_s(self, now: float) -> float:
        """Seconds since the setpoint last changed; infinite before the first one."""
        return math.inf if self.sent is None else now - self.changed_mono_s

    @property
    def min_a(self) -> float:
        """The smallest current that charges here, with what this car draws above it [A]."""
        return max(self.place.min_a, self.session_min_a) * (1.0 + self.overdraw_part)

    def told_a(self, limit_a: float) -> float:
        """What to tell the station so that the car draws no more than ``limit_a``; nothing between 0 and the minimum."""
        if limit_a <= EPS or self.overdraw_part <= 0.0:
            return limit_a
        told_a = limit_a / (1.0 + self.overdraw_part)
        if self.told_step_a is None:
            told_a = floor_to(told_a, self.place.model.step_a)
        else:
            told_a = floor_to(told_a + ROUND_A, self.told_step_a)
        return max(told_a, min(limit_a, self.place.min_a))

    def counted_a(self, limit_a: float, told_a: float) -> float:
        """What a told limit counts with [A]."""
        return max(limit_a, told_a * (1.0 + self.overdraw_part))

    def settle(self, amps: float, until_mono_s: float, now: float) -> None:
        """It may be obeying ``amps`` until then, unless a measurement from now on shows otherwise."""
        if now < self.settling_until_mono_s and self.settling_a > EPS:
            amps, until_mono_s = max(amps, self.settling_a), max(until_mono_s, self.settling_until_mono_s)
        self.settling_a, self.settling_until_mono_s, self.lowered_mono_s = amps, until_mono_s, now
