"""Actuate: setpoints become orders, and answers become knowledge of what a station obeys.

Per EVSE one ``Channel``: is its floor confirmed, what was sent, what was accepted, until when, and
hence the most it may be drawing (``ceiling_a``). A setpoint is sent when it changes or is due for
renewal, lower ones at once and urgent, higher ones only after the last answer. The floor goes in
first (dead man: a station without profiles is unlimited). Serves F03 (with guard), F04/F05
(rejected or unanswered: three tries, then the EVSE counts with its maximum), F08, F12, F34.

Must never: raise a setpoint above the fallback on a station whose floor is not confirmed; believe
in a cut before the station accepted it and had time to apply it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from controller.config import ControlConfig
from controller.facts import EvseKey, FloorConfirmed, SetpointAnswered, SetpointInForce, Stamp
from controller.orders import Inject, InstallFloor, Order, ReadBack
from controller.site.arbiter import EPS
from controller.site.state import Layout, Place

TRIES = 3
"""Rejections in a row after which an EVSE counts as uncontrollable."""
RETRY_S = (1.0, 2.0, 5.0)
"""Wait before the next try after the first, second, third rejection [s]."""
RETRY_LOST_S = 60.0
"""Wait between tries with an uncontrollable EVSE [s]."""
PROBE_S = 10.0
"""So long after a try was due and nobody tried, the floor is written to see whether an EVSE takes commands again [s]."""
ANSWER_S = 45.0
"""A command without any answer for this long counts as rejected [s] (the link gives up at 30 s)."""
READ_BACK_S = 10.0
"""Wait before reading the floor back again [s]."""
FOLLOWED_A = 0.5
"""Measured this little above the new setpoint means: it follows [A]."""


class Floor(StrEnum):
    """Where the dead man of an EVSE stands."""

    UNKNOWN = "unknown"
    WRITING = "writing"
    READING = "reading"
    CONFIRMED = "confirmed"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Sent:
    """A setpoint on its way or in force. at_mono_s: sent, or accepted. ends_mono_s: back to the floor."""

    number: int
    limit_a: float
    reason: str
    at_mono_s: float
    ends_mono_s: float


@dataclass(slots=True)
class Channel:
    """The way to one EVSE. ``now`` arguments are monotonic seconds."""

    place: Place
    online: bool = False
    floor: Floor = Floor.UNKNOWN
    floor_number: int = 0
    floor_retry_mono_s: float = 0.0
    sent: Sent | None = None
    answered: bool = True
    asked_mono_s: float = -math.inf
    accepted: Sent | None = None
    outstanding: dict[int, float] = field(default_factory=dict)
    settling_a: float = 0.0
    settling_until_mono_s: float = -math.inf
    lowered_mono_s: float = -math.inf
    changed_mono_s: float = -math.inf
    rejections: int = 0
    floor_rejections: int = 0
    retry_mono_s: float = -math.inf
    uncontrollable: bool = False
    last_reason: str = ""
    resend: bool = False
    offline_since_mono_s: float | None = None
    held_a: float = 0.0

    @property
    def confirmed(self) -> bool:
        """Whether the floor is known to be in the station."""
        return self.floor is Floor.CONFIRMED

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
        ceiling_a = max(known_a, max(self.outstanding.values(), default=0.0))
        if now < self.settling_until_mono_s:
            followed = drawn_a is not None and measured_mono_s > self.lowered_mono_s and drawn_a <= known_a + FOLLOWED_A
            if not followed:
                ceiling_a = max(ceiling_a, self.settling_a)
        return ceiling_a

    def rise_s(self, now: float) -> float:
        """Seconds since the setpoint last changed; infinite before the first one."""
        return math.inf if self.sent is None else now - self.changed_mono_s


class Actuator:
    """All channels. Returns orders; numbers them so that answers find their way back."""

    def __init__(self, layout: Layout, control: ControlConfig) -> None:
        self.channels: dict[EvseKey, Channel] = {key: Channel(place) for key, place in layout.places.items()}
        self._by_station: Mapping[str, tuple[EvseKey, ...]] = layout.by_station
        self._control = control
        self._number = 0

    def _next_number(self) -> int:
        self._number += 1
        return self._number

    # -- stations come and go --------------------------------------------------------------------

    def online(self, station_id: str, now: float) -> list[Order]:
        """A station may be commanded: its floor goes in before anything else (F08, F12)."""
        orders: list[Order] = []
        for key in self._by_station.get(station_id, ()):
            channel = self.channels[key]
            channel.online, channel.offline_since_mono_s = True, None
            channel.rejections, channel.uncontrollable, channel.retry_mono_s = 0, False, -math.inf
            channel.floor_rejections = 0
            channel.outstanding.clear()
            channel.sent, channel.answered = None, True
            orders.append(self._write_floor(channel, now))
        return orders

    def offline(self, station_id: str, now: float) -> None:
        """A station is gone; what it may be obeying stays booked for a while (F01)."""
        for key in self._by_station.get(station_id, ()):
            channel = self.channels[key]
            if not channel.online:
                continue
            channel.held_a = channel.ceiling_a(now, None, -math.inf)
            if channel.held_a > channel.known_a(now):
                # A rise whose answer went down with the link may be in force all the same, also after it is back.
                channel.settling_a, channel.settling_until_mono_s = channel.held_a, now + self._control.setpoint_life_s
                channel.lowered_mono_s = now
            channel.online, channel.offline_since_mono_s = False, now
            channel.floor = Floor.UNKNOWN
            channel.outstanding.clear()
            channel.sent, channel.answered = None, True

    def booked_offline_a(self, channel: Channel, now: float) -> float:
        """What an offline EVSE may be drawing [A]: the last setpoint for a while and while it lives, then its floor."""
        since, floor_a = channel.offline_since_mono_s, channel.place.fallback_a
        if since is None:
            return floor_a
        held_a = channel.held_a if now - since < self._control.offline_hold_s else 0.0
        return max(held_a, channel.ceiling_a(now, None, -math.inf), floor_a)

    def session_ended(self, key: EvseKey) -> None:
        """A setpoint dies with its transaction: the floor holds again."""
        channel = self.channels[key]
        channel.sent, channel.accepted, channel.answered = None, None, True
        channel.outstanding.clear()
        channel.settling_until_mono_s = -math.inf
        if not channel.uncontrollable:
            channel.rejections = 0

    # -- the floor -------------------------------------------------------------------------------

    def _write_floor(self, channel: Channel, now: float) -> Order:
        place = channel.place
        channel.floor, channel.floor_number = Floor.WRITING, self._next_number()
        channel.floor_retry_mono_s = now + ANSWER_S
        return InstallFloor(place.key, channel.floor_number, place.fallback_a, len(place.phases))

    def _read_floor(self, channel: Channel, now: float) -> Order:
        channel.floor = Floor.READING
        channel.floor_retry_mono_s = now + ANSWER_S
        # What a station merely showed before (``settling_a``) is nothing to be content with: it would confirm itself.
        highest_a = max(channel.place.fallback_a, channel.known_a(now), *channel.outstanding.values())
        return ReadBack(channel.place.key, highest_a)

    def _floor_answered(self, channel: Channel, accepted: bool, reason: str, now: float) -> list[Order]:
        if not accepted:
            self._floor_refused(channel, reason, now)
            return []
        channel.rejections, channel.floor_rejections = 0, 0
        if not channel.place.model.reads_back:
            channel.floor, channel.uncontrollable = Floor.CONFIRMED, False
            return []
        return [self._read_floor(channel, now)]

    def _floor_refused(self, channel: Channel, reason: str, now: float) -> None:
        """Setpoints go on meanwhile: who refuses only the floor can still be cut, and is out of control only without one."""
        channel.last_reason = reason
        channel.floor_rejections += 1
        channel.floor, channel.floor_retry_mono_s = Floor.FAILED, now + _wait_s(channel.floor_rejections)
        if channel.floor_rejections >= TRIES and (channel.accepted is None or now >= channel.accepted.ends_mono_s):
            channel.uncontrollable = True

    def floor_read(self, fact: FloorConfirmed) -> None:
        """The composite schedule came back. Not as expected: written again after a while."""
        channel = self.channels.get(fact.evse)
        if channel is None or not channel.online:
            return
        channel.floor = Floor.CONFIRMED if fact.ok else Floor.FAILED
        channel.floor_retry_mono_s = fact.at.mono_s + READ_BACK_S
        if fact.ok:
            channel.rejections, channel.uncontrollable = 0, False
        elif fact.limit_a is not None and fact.limit_a > channel.ceiling_a(fact.at.mono_s, None, -math.inf):
            # Most likely a setpoint of our own from before a restart (F67): it counts until it must have ended.
            channel.settling_a = min(fact.limit_a, channel.place.config.max_current_a)
            channel.settling_until_mono_s = fact.at.mono_s + self._control.setpoint_life_s
            channel.lowered_mono_s = fact.at.mono_s

    # -- answers -----------------------------------------------------------------------------------

    def answered(self, fact: SetpointAnswered) -> list[Order]:
        """A station answered a setpoint or a floor."""
        channel, now = self.channels.get(fact.evse), fact.at.mono_s
        if channel is None:
            return []
        if fact.number == channel.floor_number and channel.floor is Floor.WRITING:
            return self._floor_answered(channel, fact.accepted, fact.reason, now)
        limit_a = channel.outstanding.pop(fact.number, None)
        if limit_a is None:
            return []
        if fact.accepted:
            self._accepted(channel, fact.number, limit_a, now)
        elif channel.sent is not None and channel.sent.number == fact.number:
            self._rejected(channel, limit_a, fact.reason, now)
        return []

    def _rejected(self, channel: Channel, limit_a: float, reason: str, now: float) -> None:
        """Not accepted, or no answer: it may be in force all the same, so its value stays booked."""
        channel.last_reason = reason
        if limit_a > channel.known_a(now):
            channel.settling_a, channel.settling_until_mono_s = limit_a, now + self._control.setpoint_life_s
            channel.lowered_mono_s = now
        channel.sent, channel.answered = channel.accepted, True
        self._count_rejection(channel, now)

    def _accepted(self, channel: Channel, number: int, limit_a: float, now: float) -> None:
        # A station carries out one after the other: this one has taken the place of all before it.
        older_a = [channel.outstanding.pop(older) for older in list(channel.outstanding) if older < number]
        before_a = max(channel.known_a(now), *older_a, 0.0)
        if limit_a < before_a - EPS:
            still_settling = now < channel.settling_until_mono_s
            channel.settling_a = max(before_a, channel.settling_a) if still_settling else before_a
            channel.settling_until_mono_s = now + channel.place.model.apply_s
            channel.lowered_mono_s = now
        reason = channel.sent.reason if channel.sent is not None else ""
        channel.accepted = Sent(number, limit_a, reason, now, now + self._control.setpoint_life_s)
        channel.rejections, channel.uncontrollable = 0, False
        if channel.floor is Floor.FAILED:
            # The new setpoint has taken the place of what was in the way of the floor: look again.
            channel.floor_retry_mono_s = now
        if channel.sent is not None and channel.sent.number == number:
            channel.answered = True

    def _count_rejection(self, channel: Channel, now: float) -> None:
        channel.rejections += 1
        if channel.rejections >= TRIES:
            channel.uncontrollable = True
        channel.retry_mono_s = now + (RETRY_LOST_S if channel.uncontrollable else _wait_s(channel.rejections))

    # -- time and setpoints ------------------------------------------------------------------------

    def tick(self, now: float) -> list[Order]:
        """Let time pass: floors are retried, answers that never came count as rejections."""
        orders: list[Order] = []
        for channel in self.channels.values():
            if not channel.online:
                continue
            if channel.sent is not None and not channel.answered and now - channel.asked_mono_s > ANSWER_S:
                highest_a = max(channel.outstanding.values(), default=0.0)
                channel.outstanding.clear()
                self._rejected(channel, highest_a, "no answer", now)
            if channel.floor is not Floor.CONFIRMED and now >= channel.floor_retry_mono_s:
                orders.append(self._write_floor(channel, now))
            elif channel.uncontrollable and channel.floor is Floor.CONFIRMED and now >= channel.retry_mono_s + PROBE_S:
                # Without a car no setpoint asks it again, and its maximum would be kept free for ever.
                channel.retry_mono_s = now + RETRY_LOST_S
                orders.append(self._write_floor(channel, now))
        return orders

    def setpoint(self, key: EvseKey, limit_a: float, reason: str, phase_count: int, at: Stamp) -> Order | None:
        """Bring a setpoint to an EVSE with a session, if it is new or due. limit_a: per phase [A]."""
        channel, now = self.channels[key], at.mono_s
        if not channel.online or now < channel.retry_mono_s or channel.floor in (Floor.UNKNOWN, Floor.WRITING):
            return None
        if not self._due(channel, limit_a, now):
            return None
        lower = limit_a < max(channel.present_a(now), channel.ceiling_a(now, None, -math.inf)) - EPS
        if channel.sent is None or abs(limit_a - channel.sent.limit_a) > EPS:
            channel.changed_mono_s = now
        if channel.answered:
            channel.asked_mono_s = now
        number = self._next_number()
        channel.sent = Sent(number, limit_a, reason, now, now + self._control.setpoint_life_s)
        channel.answered, channel.resend = False, False
        channel.outstanding[number] = limit_a
        return Inject(key, number, limit_a, phase_count, self._control.setpoint_life_s, reason, urgent=lower)

    def _due(self, channel: Channel, limit_a: float, now: float) -> bool:
        sent = channel.sent
        if sent is None or now >= sent.ends_mono_s or channel.resend:
            return True
        if limit_a < sent.limit_a - EPS:
            return True
        if not channel.answered:
            return False
        return limit_a > sent.limit_a + EPS or now - sent.at_mono_s >= self._control.setpoint_renew_s

    def in_force(self, key: EvseKey, at: Stamp) -> SetpointInForce | None:
        """The accepted setpoint of an EVSE now, None when only its floor holds."""
        accepted = self.channels[key].accepted
        if accepted is None or at.mono_s >= accepted.ends_mono_s:
            return None
        until = at.wall_in(accepted.ends_mono_s - at.mono_s)
        return SetpointInForce(accepted.limit_a, until, accepted.reason, len(self.channels[key].place.phases))


def _wait_s(rejections: int) -> float:
    """Wait before the next try after so many rejections in a row [s]."""
    return RETRY_LOST_S if rejections >= TRIES else RETRY_S[rejections - 1]
