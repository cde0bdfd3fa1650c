"""Probes: a setpoint written past the actuator in one certain manner, to see whether a box obeys it (commissioning).

It must never be more than what its station may obey anyway, live longer than a usual setpoint, take the place of the floor,
overtake a setpoint on its way, or stay for the next car. While it lives it counts, for a box may keep it beside
the next setpoint.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from controller.facts import EvseKey, Probe
from controller.orders import ClearSetpoint, Inject, Order, Strategy
from controller.site.state import EvseState
from controller.site.stations.actuate import Actuator
from controller.site.stations.channel import CLOCK_SLACK_S, Channel
from controller.site.stations.strategies import STATION_MAX, TX

WHY: Final = "commissioning test"


@dataclass(frozen=True, slots=True)
class Untried:
    """A probe that was not written, and why."""

    evse: EvseKey
    number: int
    limit_a: float
    strategy: Strategy
    reason: str


class Probes:
    """At most one waits. life_s: longest life [s]. number: gives every command a (negative) number."""

    def __init__(self, evses: Mapping[EvseKey, EvseState], actuator: Actuator, life_s: float, number: Callable[[], int]) -> None:
        self._evses, self._actuator, self._life_s, self._number = evses, actuator, life_s, number
        self._waits: tuple[EvseKey, Probe] | None = None
        self._station_max: set[EvseKey] = set()

    def ask(self, key: EvseKey, probe: Probe) -> None:
        """Write this one as soon as nothing is on its way to the station."""
        self._waits = key, probe

    def due(self, now: float) -> tuple[list[Order], Untried | None]:
        """The probe that waits, if its time has come, or why it is not written."""
        if self._waits is None:
            return [], None
        key, probe = self._waits
        channel = self._actuator.channels[key]
        strategy = self._strategy(channel, probe)
        why = self._impossible(key, channel, strategy)
        if not why and (not channel.answered or channel.clearing):
            return [], None  # in the lane it would take the place of a setpoint that was not sent yet, perhaps a cut
        self._waits = None
        if why:
            return [], Untried(key, self._number(), probe.limit_a, strategy, why)
        return [self._write(key, channel, probe, strategy, now)], None

    def _impossible(self, key: EvseKey, channel: Channel, strategy: Strategy) -> str:
        """Why this probe is not written; "" if it may be."""
        if not channel.online:
            return "not tried: the station is not connected"
        if self._evses[key].session is None:
            return "not tried: no car is charging here"  # it would become a default
        if self._actuator.trunks.line(key.station_id) is not None:
            return "not tried: this station is held as a whole"
        if any(wanted is not None and wanted.giving for wanted in (channel.wanted, channel.sent.wanted if channel.sent is not None else None)):
            return "not tried: the car gives back"
        neighbours = any(evse.session is not None for other, evse in self._evses.items() if other != key and other.station_id == key.station_id)
        return "not tried: another car charges at this station" if strategy.purpose == STATION_MAX and neighbours else ""

    @staticmethod
    def _strategy(channel: Channel, probe: Probe) -> Strategy:
        """As asked, but never on the floor's own level, and relative only where it ends with its car."""
        floor = max(way.stack_level for way in channel.floor_ways)
        stack_level = probe.stack_level if probe.purpose == TX else max(probe.stack_level, floor + 1)
        return Strategy(probe.purpose, probe.unit, probe.relative and probe.purpose == TX, stack_level, probe.dynamic)

    def _write(self, key: EvseKey, channel: Channel, probe: Probe, strategy: Strategy, now: float) -> Order:
        sent = channel.sent if channel.sent is not None and now < channel.sent.ends_mono_s else None
        most_a = sent.told_a if sent is not None else channel.place.fallback_a
        if channel.wanted is not None:
            most_a = min(most_a, channel.wanted.told_a)
        limit_a, life_s = min(probe.limit_a, most_a), min(probe.life_s, self._life_s)
        wanted = sent.wanted if sent is not None else None
        count = wanted.phase_count if wanted is not None else len(channel.place.phases)
        if strategy.unit == "W":
            count = min(count, len(self._evses[key].phases) or count)  # watts for three phases would be three times the amps on one
        self._count(key, channel, strategy, limit_a * (1.0 + channel.overdraw_part), now, life_s)
        phase_to_use = wanted.phase_to_use if wanted is not None else None
        return Inject(key, self._number(), limit_a, count, life_s, WHY, strategy=strategy, phase_to_use=phase_to_use)

    def _count(self, key: EvseKey, channel: Channel, strategy: Strategy, amps: float, now: float, life_s: float) -> None:
        """It may be obeyed until it ends, whatever is written meanwhile."""
        channel.probed = True
        channel.left_a = max(amps, channel.left_a if now < channel.left_until_mono_s else 0.0)
        channel.left_until_mono_s = max(channel.left_until_mono_s, now + life_s + CLOCK_SLACK_S)
        if strategy.purpose == STATION_MAX and not _held_by_station_max(channel):
            self._station_max.add(key)

    # -- out again ---------------------------------------------------------------------------------------------

    def clear(self, key: EvseKey, now: float) -> list[Order]:
        """Take out what was written last; nothing where more would hold afterwards than may, or nobody knows what."""
        if key in self._station_max:
            return self.end(key)
        channel = self._actuator.channels[key]
        sent = channel.sent if channel.sent is not None and now < channel.sent.ends_mono_s else None
        told_a = min(one.told_a for one in (sent, channel.wanted) if one is not None) if sent is not None else channel.place.fallback_a
        certain = channel.online and channel.confirmed and channel.answered and not channel.clearing
        if not certain or self._actuator.trunks.line(key.station_id) is not None or channel.place.fallback_a > told_a:
            return []  # the floor that would hold then is in doubt, or above what it may have now
        return [self._clear(key, "")]

    def end(self, key: EvseKey) -> list[Order]:
        """The test is over: its station-max profile goes, everything else is replaced by the next setpoint."""
        self._waits = None
        found = key in self._station_max
        self._station_max.discard(key)
        return [self._clear(key, STATION_MAX)] if found else []

    def _clear(self, key: EvseKey, purpose: str) -> Order:
        return ClearSetpoint(key, self._number(), purpose)


def _held_by_station_max(channel: Channel) -> bool:
    """Whether the usual setpoints are station-max profiles, and replace the probe by themselves."""
    return any(sent is not None and sent.strategy.purpose == STATION_MAX for sent in (channel.sent, channel.accepted))
