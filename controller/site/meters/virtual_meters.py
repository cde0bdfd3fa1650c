"""Meters nobody bought: sums, differences and shares of others, and what the chargers report taken together.

Fed from the readings of their parts, so they serve everywhere a meter does, with the same rules of
freshness. A virtual meter is as old as its oldest part, as good as its worst, and unknown as soon as one
part has said nothing usable for ``meter_lost_s``; it is not worked out from guesses. A part without a
phase (its ``phases`` leave it out) adds nothing there; one that should show a phase and does not
makes that phase unknown.

What sums of effective values cannot show: two currents of different power factor do not add up
exactly. A sum is never too low by that; a difference may be, so a fuse should have a real meter.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from controller.config import PHASE_INDEX, ChargersSource, Config, MeterConfig, VirtualSource
from controller.facts import EvseKey, MeterFailed, MeterRead, Stamp
from controller.site.layout import PHASES
from controller.site.meters.expected import expectation
from controller.site.state import UNKNOWN, EvseState
from controller.site.stations.channel import Channel
from meters.quality import Expectation, judge_reading
from meters.reading import PhaseTriple, Quality, Reading

Found = MeterRead | MeterFailed


@dataclass(frozen=True, slots=True)
class Part:
    """The last usable reading of a meter and when it was taken (monotonic) [s]."""

    reading: Reading
    taken_mono_s: float


@dataclass(frozen=True, slots=True)
class Recipe:
    """One virtual meter. plus, minus: meter ids; share: 0..1."""

    meter_id: str
    plus: tuple[str, ...]
    minus: tuple[str, ...]
    share: float
    expected: Expectation

    @property
    def parts(self) -> tuple[str, ...]:
        """All meters it is made of."""
        return *self.plus, *self.minus


class VirtualMeters:
    """All meters of the site that are worked out. Mutable; ``mono_s`` is monotonic seconds."""

    def __init__(self, config: Config) -> None:
        self._lost_s = config.control.meter_lost_s
        self._voltage_v = config.grid.voltage_v
        self._wired = {meter.id: frozenset(PHASE_INDEX[phase] for phase in meter.phases) for meter in config.meters}
        self._recipes = tuple(_in_order(config))
        self._known: dict[str, Part] = {}

    def seen(self, fact: MeterRead) -> list[Found]:
        """A part has spoken: the virtual meters that follow from it, those made of others after them."""
        if not self._recipes or fact.reading.quality is Quality.BAD:
            return []
        self._keep(fact)
        return self._follow(fact.reading.meter_id, fact.at)

    def failed(self, fact: MeterFailed) -> list[Found]:
        """A part failed: whoever cannot do without it any more says why."""
        part = self._known.get(fact.meter_id)
        if part is not None and fact.at.mono_s - part.taken_mono_s < self._lost_s:
            return []
        return [MeterFailed(fact.at, one.meter_id, f"{fact.meter_id}: {fact.reason}") for one in self._recipes if fact.meter_id in one.parts]

    def _keep(self, fact: MeterRead) -> None:
        self._known[fact.reading.meter_id] = Part(fact.reading, fact.at.mono_s - fact.age_s)

    def _follow(self, meter_id: str, at: Stamp) -> list[Found]:
        found: list[Found] = []
        moved = {meter_id}
        for recipe in self._recipes:
            if moved.isdisjoint(recipe.parts):
                continue
            one = self._work_out(recipe, at)
            found.append(one)
            if isinstance(one, MeterRead) and one.reading.quality is not Quality.BAD:
                self._keep(one)
                moved.add(recipe.meter_id)
        return found

    def _work_out(self, recipe: Recipe, at: Stamp) -> Found:
        parts: list[tuple[float, Part]] = []
        for factor, names in ((recipe.share, recipe.plus), (-recipe.share, recipe.minus)):
            for name in names:
                part = self._known.get(name)
                if part is None:
                    return MeterFailed(at, recipe.meter_id, f"{name} has not been read yet")
                if (silent_s := at.mono_s - part.taken_mono_s) >= self._lost_s:
                    return MeterFailed(at, recipe.meter_id, f"{name} has been silent for {silent_s:.0f} s")
                parts.append((factor, part))
        oldest_mono_s = min(part.taken_mono_s for _, part in parts)
        reading = self._combined(recipe, [(factor, part.reading) for factor, part in parts])
        return MeterRead(at, reading, max(0.0, at.mono_s - oldest_mono_s))

    def _combined(self, recipe: Recipe, parts: list[tuple[float, Reading]]) -> Reading:
        odd = next((one for _, one in parts if one.quality is not Quality.GOOD), None)
        alone = parts[0][1] if len(parts) == 1 and parts[0][0] > 0 else None
        reading = Reading(
            meter_id=recipe.meter_id,
            quality=Quality.GOOD,
            current_a=_triple(self._sum([(factor, self._amps(one, phase)) for factor, one in parts]) for phase in PHASES),
            phase_power_w=_triple(self._sum([(factor, self._watts(one, phase)) for factor, one in parts]) for phase in PHASES),
            voltage_v=_triple(_first(one.voltage_v[phase] for _, one in parts) for phase in PHASES),
            power_w=self._sum([(factor, one.power_w) for factor, one in parts]),
            frequency_hz=_first(one.frequency_hz for _, one in parts),
            energy_import_wh=_times(alone.energy_import_wh, recipe.share) if alone else None,  # registers of several do not add up to one
            energy_export_wh=_times(alone.energy_export_wh, recipe.share) if alone else None,
            soc_percent=alone.soc_percent if alone else None,
        )
        judged = judge_reading(reading, recipe.expected)
        if odd is not None and judged.quality is Quality.GOOD:
            return replace(judged, quality=Quality.SUSPECT, reason=f"{odd.meter_id}: {odd.reason}")
        return judged

    def _amps(self, reading: Reading, phase: int) -> float | None:
        """Current of a part on a site phase: measured, else from its power there; 0 where it is not connected."""
        if phase not in self._wired[reading.meter_id]:
            return 0.0
        if reading.current_a[phase] is not None:
            return reading.current_a[phase]
        watts = self._watts(reading, phase)
        return None if watts is None else watts / (reading.voltage_v[phase] or self._voltage_v)

    def _watts(self, reading: Reading, phase: int) -> float | None:
        wired = self._wired[reading.meter_id]
        if phase not in wired:
            return 0.0
        if reading.phase_power_w[phase] is None and len(wired) == 1:
            return reading.power_w
        return reading.phase_power_w[phase]

    @staticmethod
    def _sum(parts: Iterable[tuple[float, float | None]]) -> float | None:
        total = 0.0
        for factor, value in parts:
            if value is None or not math.isfinite(value):
                return None
            total += factor * value
        return total


class ChargerMeters:
    """Meters that are the sum of what some stations report. ``mono_s`` is monotonic seconds."""

    def __init__(self, config: Config) -> None:
        self._voltage_v, self._phases = config.grid.voltage_v, range(config.grid.phases)
        self._lost_s = config.control.meter_lost_s
        sources = [(meter, meter.source) for meter in config.meters if isinstance(meter.source, ChargersSource)]
        self._meters = tuple((meter.id, source, expectation(config, meter)) for meter, source in sources)

    def look(self, evses: Mapping[EvseKey, EvseState], channels: Mapping[EvseKey, Channel], at: Stamp, station_id: str | None = None) -> list[Found]:
        """All of them now, or those a station belongs to."""
        chosen = [one for one in self._meters if station_id is None or station_id in one[1].stations]
        return [self._read(meter_id, source, expected, evses, channels, at) for meter_id, source, expected in chosen]

    def _read(
        self,
        meter_id: str,
        source: ChargersSource,
        expected: Expectation,
        evses: Mapping[EvseKey, EvseState],
        channels: Mapping[EvseKey, Channel],
        at: Stamp,
    ) -> Found:
        amps = [source.other_load_a if phase in self._phases else 0.0 for phase in PHASES]
        watts, oldest_mono_s = source.other_load_a * self._voltage_v * len(self._phases), at.mono_s
        for key, evse in evses.items():
            if key.station_id not in source.stations:
                continue
            if not channels[key].online:
                return MeterFailed(at, meter_id, f"{key.station_id} is offline; what its cars draw is not known")
            if evse.session is None:
                continue
            silent_s = at.mono_s - evse.measured_mono_s
            if evse.current_a == UNKNOWN or silent_s >= self._lost_s:
                said = "has told nothing" if evse.current_a == UNKNOWN else f"has told nothing for {silent_s:.0f} s"
                return MeterFailed(at, meter_id, f"{key} {said} of what its car draws; let it send meter values more often")
            told = [evse.current_a[phase] or 0.0 for phase in PHASES]
            amps = [total + one for total, one in zip(amps, told, strict=True)]
            watts += evse.power_w if evse.power_w is not None else self._voltage_v * sum(told)
            oldest_mono_s = min(oldest_mono_s, evse.measured_mono_s)
        reading = Reading(meter_id, Quality.GOOD, current_a=_triple(amps), power_w=watts)
        return MeterRead(at, judge_reading(reading, replace(expected, wiring=(0, 1, 2), reversed=False)), at.mono_s - oldest_mono_s)


def _in_order(config: Config) -> Iterable[Recipe]:
    """Virtual meters, those that others are made of first. Circles (refused by the check of a site file) are left out."""
    waiting: list[tuple[MeterConfig, VirtualSource]] = [(meter, meter.source) for meter in config.meters if isinstance(meter.source, VirtualSource)]
    ready = {meter.id for meter in config.meters} - {meter.id for meter, _ in waiting}
    while found := [(meter, source) for meter, source in waiting if ready.issuperset(source.plus + source.minus)]:
        for meter, source in found:
            # Its parts are in site phases and in our sign already.
            expected = replace(expectation(config, meter), wiring=(0, 1, 2), reversed=False)
            yield Recipe(meter.id, source.plus, source.minus, source.share_percent / 100.0, expected)
            ready.add(meter.id)
        waiting = [one for one in waiting if one not in found]


def _triple(values: Iterable[float | None]) -> PhaseTriple:
    first, second, third = values
    return first, second, third


def _first(values: Iterable[float | None]) -> float | None:
    return next((value for value in values if value is not None), None)


def _times(value: float | None, factor: float) -> float | None:
    return None if value is None else value * factor
