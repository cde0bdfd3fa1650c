"""Floors: the dead man goes into a station before anything else, and it is known to be there before anything rises.

A station without profiles is unlimited, so its floor is written at first contact and after every reconnect, read
back where the model allows, and written again until it is there (F08, F12). A model that forgets its default gets it
anew before it may rise. Functions on a ``Channel``; ``answers`` of stations come through the actuator.
"""

from __future__ import annotations

import math
from typing import Final, Protocol

from controller.config import ControlConfig
from controller.facts import FloorConfirmed
from controller.orders import InstallFloor, Order, ReadBack
from controller.site.stations.channel import Channel, Floor
from controller.site.stations.writes import WriteBook

TRIES: Final = 3
"""Floors refused in a row after which an EVSE without a live setpoint counts as uncontrollable, at least."""
RETRY_S: Final = (1.0, 2.0, 5.0)
"""Wait before the next try after the first, second, third refusal [s]."""
RETRY_LOST_S: Final = 60.0
"""Wait between tries with an uncontrollable EVSE [s]."""
PROBE_S: Final = 10.0
"""So long after a try was due and nobody tried, the floor is written to see whether an EVSE takes commands again [s]."""
ANSWER_S: Final = 45.0
"""A command without any answer for this long counts as lost [s] (the link gives up at 30 s)."""
READ_BACK_S: Final = 10.0
"""Wait before reading the floor back again [s]."""
FRESH_S: Final = 300.0
"""A floor that a model may forget is believed in for this long before a rise [s]."""
PUT_OFF_S: Final = 300.0
"""A station may ask for time with its floor this long before it counts as one that takes no setpoints [s]; also the longest wait at once."""


class Numbers(Protocol):
    """Gives every order of the actuator a number of its own."""

    def __call__(self) -> int: ...


class Floors:
    """Writes and judges floors. Keeps nothing but the source of numbers."""

    def __init__(self, number: Numbers, control: ControlConfig, writes: WriteBook) -> None:
        self._number, self._control, self._writes = number, control, writes

    def write(self, channel: Channel, now: float) -> Order:
        """The floor, from nothing: until it is confirmed nothing rises."""
        channel.floor, channel.floor_number = Floor.WRITING, self._number()
        channel.refresh_number = 0
        return self._install(channel, channel.floor_number, now)

    def refresh(self, channel: Channel, now: float) -> Order | None:
        """The floor again before a rise, where the model may have forgotten it; None while that is not due, or on its way."""
        due = not channel.place.model.keeps_default and now - channel.floor_written_mono_s > FRESH_S
        if not due or channel.refresh_number:
            return None
        channel.refresh_number = self._number()
        return self._install(channel, channel.refresh_number, now)

    def _install(self, channel: Channel, number: int, now: float) -> Order:
        place = channel.place
        channel.floor_retry_mono_s = now + ANSWER_S
        self._writes.wrote(place.key.station_id, place.model, now)
        strategy = channel.floor_ways[channel.floor_at % len(channel.floor_ways)]
        return InstallFloor(place.key, number, place.fallback_a, len(place.phases), strategy)

    def _read(self, channel: Channel, now: float) -> Order:
        channel.floor = Floor.READING
        channel.floor_retry_mono_s = now + ANSWER_S
        # What a station merely showed before (``settling_a``) is nothing to be content with: it would confirm itself.
        left_a = channel.left_a if now < channel.left_until_mono_s else 0.0
        outstanding_a = [sent.limit_a for sent in channel.outstanding.values()]
        return ReadBack(channel.place.key, max(channel.place.fallback_a, channel.known_a(now), left_a, *outstanding_a))

    def answered(self, channel: Channel, accepted: bool, lost: bool, reason: str, now: float, retry_after_s: float | None = None) -> list[Order]:
        """The station answered ``write``. retry_after_s: it wants to be left alone for so long (K01.FR.56-59)."""
        if not accepted and retry_after_s is not None:
            self._put_off(channel, reason, retry_after_s, now)
            return []
        if not accepted:
            return self._refused(channel, lost, reason, now)
        channel.rejections, channel.floor_rejections, channel.losses = 0, 0, 0
        channel.put_off_since_mono_s = math.inf
        if channel.put_off:
            channel.put_off = channel.uncontrollable = False
        channel.floor_written_mono_s, channel.floor_refused = now, False
        if not channel.place.model.reads_back:
            channel.floor, channel.uncontrollable = Floor.CONFIRMED, False
            return []
        return [self._read(channel, now)]

    def _put_off(self, channel: Channel, reason: str, retry_after_s: float, now: float) -> None:
        """It asks for time: no refusal. Until it has taken a floor for the first time it counts with its maximum."""
        channel.last_reason = reason
        channel.floor, channel.floor_retry_mono_s = Floor.FAILED, now + min(max(RETRY_S[0], retry_after_s), PUT_OFF_S)
        channel.put_off_since_mono_s = min(channel.put_off_since_mono_s, now)
        had_one = channel.floor_written_mono_s > -math.inf and channel.place.model.keeps_default
        if not had_one and channel.live(now) is None and not channel.uncontrollable:
            channel.uncontrollable, channel.put_off = True, True

    def refreshed(self, channel: Channel, accepted: bool, reason: str, now: float, retry_after_s: float | None = None) -> None:
        """The station answered ``refresh``. Refused: the floor is in doubt again."""
        channel.refresh_number = 0
        if accepted:
            channel.floor_written_mono_s = now
        else:
            wait_s = RETRY_S[0] if retry_after_s is None else min(max(RETRY_S[0], retry_after_s), PUT_OFF_S)
            channel.floor, channel.floor_retry_mono_s, channel.last_reason = Floor.FAILED, now + wait_s, reason

    def _refused(self, channel: Channel, lost: bool, reason: str, now: float) -> list[Order]:
        """Setpoints go on meanwhile: who refuses only the floor can still be cut, and is out of control only without one."""
        channel.last_reason = reason
        channel.floor_rejections += 1
        channel.floor, channel.floor_retry_mono_s = Floor.FAILED, now + wait_s(channel.floor_rejections)
        if channel.floor_rejections >= max(TRIES, len(channel.floor_ways)) and channel.live(now) is None:
            channel.uncontrollable = True
        if lost:
            return []
        channel.floor_refused = True
        channel.floor_at = (channel.floor_at + 1) % len(channel.floor_ways)
        return [self.write(channel, now)] if channel.floor_rejections < len(channel.floor_ways) else []

    def read(self, channel: Channel, fact: FloorConfirmed) -> None:
        """The composite schedule came back. Not as expected: written again after a while."""
        now = fact.at.mono_s
        channel.floor = Floor.CONFIRMED if fact.ok else Floor.FAILED
        channel.floor_retry_mono_s = now + READ_BACK_S
        if fact.ok:
            channel.rejections, channel.uncontrollable = 0, False
        elif fact.limit_a is not None and fact.limit_a > channel.ceiling_a(now, None, -math.inf):
            # Most likely a setpoint of our own from before a restart (F67): it counts until it must have ended.
            channel.settling_a = min(fact.limit_a, channel.place.config.max_current_a)
            channel.settling_until_mono_s = now + self._control.setpoint_life_s
            channel.lowered_mono_s = now

    def tick(self, channel: Channel, now: float) -> list[Order]:
        """What is due: a floor that is not there yet, or a look whether an idle EVSE takes commands again."""
        if channel.refresh_number and now >= channel.floor_retry_mono_s:
            self.refreshed(channel, False, "no answer", now)
        if now - channel.put_off_since_mono_s >= PUT_OFF_S:
            channel.put_off = False
        if channel.floor is not Floor.CONFIRMED:
            return [self.write(channel, now)] if now >= channel.floor_retry_mono_s else []
        if channel.uncontrollable and channel.answered and now >= channel.retry_mono_s + PROBE_S:
            # Without a car no setpoint asks it again, and its maximum would be kept free for ever.
            channel.retry_mono_s = now + RETRY_LOST_S
            return [self.write(channel, now)]
        return []


def wait_s(rejections: int) -> float:
    """Wait before the next try after so many rejections in a row [s]."""
    return RETRY_LOST_S if rejections >= TRIES else RETRY_S[rejections - 1]
