"""The one door every reading of a meter comes through, whatever it was read with.

Here each meter's own rules over time are applied (largest step, stuck: ``quality`` in the site file),
and the meters that are worked out from others are fed. Behind the door come the rules that compare a
meter with the stations below it (``freshness``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from controller.config import Config
from controller.facts import EvseKey, MeterFailed, MeterRead, Stamp
from controller.site.meters.views import MeterTally
from controller.site.meters.virtual_meters import ChargerMeters, Found, VirtualMeters
from controller.site.state import EvseState
from controller.site.stations.channel import Channel
from meters.steadiness import Steadiness


class Readings:
    """Facts about meters in, facts the site takes out: the same one, judged, and what follows from it."""

    def __init__(self, config: Config) -> None:
        self._steady = {
            meter.id: Steadiness(meter.quality.max_step_a, meter.quality.stuck_after_s, config.grid.voltage_v)
            for meter in config.meters
            if meter.quality.max_step_a is not None or meter.quality.stuck_after_s is not None
        }
        self.tally = MeterTally()
        self._virtual = VirtualMeters(config)
        self._chargers = ChargerMeters(config)

    def read(self, fact: MeterRead) -> list[Found]:
        """A meter was read: the judged reading first, then the meters made of it."""
        fact = self._judged(fact)
        return self._counted([fact, *(self._judged(one) if isinstance(one, MeterRead) else one for one in self._virtual.seen(fact))])

    def failed(self, fact: MeterFailed) -> list[Found]:
        """A meter could not be read."""
        return self._counted([fact, *self._virtual.failed(fact)])

    def chargers(
        self, evses: Mapping[EvseKey, EvseState], channels: Mapping[EvseKey, Channel], at: Stamp, station_id: str | None = None
    ) -> list[Found]:
        """The meters that are the sum of stations, now: all, or those a station that has just spoken belongs to."""
        found: list[Found] = []
        for one in self._chargers.look(evses, channels, at, station_id):
            found += self.read(one) if isinstance(one, MeterRead) else self.failed(one)
        return found

    def _counted(self, found: list[Found]) -> list[Found]:
        for one in found:
            self.tally.take(one)
        return found

    def _judged(self, fact: MeterRead) -> MeterRead:
        steady = self._steady.get(fact.reading.meter_id)
        if steady is None:
            return fact
        return replace(fact, reading=steady.look(fact.reading, fact.at.mono_s - fact.age_s))
