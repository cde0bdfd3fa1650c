"""Who comes and goes: night vans, staff by day and visitors, thirty days and more. Seeded by day and EVSE.

A stay depends on its day and its bay alone, so that a run that begins in the middle of the month meets the same cars.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from random import Random

from controller.sim.car import CarSpec
from controller.sim.physics.tempers import CARS, CarTemper, car_named

DAY_S = 86_400.0
HOUR_S = 3600.0
WEEKEND_PART = 0.4
CAPACITIES_WH = (60_000.0, 77_000.0, 90_000.0, 110_000.0)


@dataclass(frozen=True, slots=True)
class Stay:
    """One visit of one car at one EVSE."""

    station_id: str
    evse_id: int
    temper: CarTemper
    spec: CarSpec


@dataclass(frozen=True, slots=True)
class Shift:
    """A kind of visit: how likely on a day, when it comes and goes [h], what it needs [kWh]."""

    name: str
    chance: float
    comes_h: tuple[float, float]
    leaves_h: tuple[float, float]
    needs_kwh: tuple[float, float]


SHIFTS = (
    Shift("staff", 0.45, (7.6, 9.4), (14.5, 15.9), (6.0, 22.0)),
    Shift("van", 0.85, (16.2, 19.5), (29.2, 31.0), (25.0, 65.0)),
)


def stays(evses: Sequence[tuple[str, int]], seed: int, start_wall_s: float, days: float, tempers: Sequence[str] = ()) -> list[Stay]:
    """Every stay that touches the time from ``start_wall_s`` on, by arrival; cars that came before find less left to do."""
    first_day = int(start_wall_s // DAY_S) - 1
    end_wall_s = start_wall_s + days * DAY_S
    chosen = [car_named(name) for name in tempers] or list(CARS)
    found = [
        stay
        for day in range(first_day, int(end_wall_s // DAY_S) + 1)
        for station_id, evse_id in evses
        for stay in _of_day(station_id, evse_id, seed, day, chosen)
    ]
    here = [_from(stay, start_wall_s) for stay in found if stay.spec.departure_wall_s > start_wall_s and stay.spec.arrival_wall_s < end_wall_s]
    return sorted(here, key=lambda stay: stay.spec.arrival_wall_s)


def _of_day(station_id: str, evse_id: int, seed: int, day: int, tempers: Sequence[CarTemper]) -> Iterator[Stay]:
    random = Random(f"{seed}/{day}/{station_id}/{evse_id}")
    weekend = (day + 3) % 7 >= 5
    for shift in SHIFTS:
        here = random.random() < shift.chance * (WEEKEND_PART if weekend else 1.0)
        temper = random.choices(tempers, [one.share for one in tempers])[0]
        capacity_wh, soc = random.choice(CAPACITIES_WH), random.uniform(0.1, 0.55)
        spec = CarSpec(
            f"{shift.name}-{day % 1000}-{station_id}-{evse_id}",
            day * DAY_S + HOUR_S * random.uniform(*shift.comes_h),
            day * DAY_S + HOUR_S * random.uniform(*shift.leaves_h),
            1000.0 * random.uniform(*shift.needs_kwh),
            capacity_wh,
            soc,
            len(temper.wired),
            temper.max_current_a,
            temper.taper_soc,
            reaction_s=temper.reaction_s,
            ramp_a_per_s=temper.ramp_a_per_s,
            announces=random.random() < 0.5,
        )
        if here:
            yield Stay(station_id, evse_id, temper, spec)


def _from(stay: Stay, start_wall_s: float) -> Stay:
    spec = stay.spec
    if spec.arrival_wall_s >= start_wall_s:
        return stay
    done = (start_wall_s - spec.arrival_wall_s) / (spec.departure_wall_s - spec.arrival_wall_s)
    gained = done * spec.need_wh * spec.efficiency / spec.capacity_wh
    return replace(stay, spec=replace(spec, arrival_wall_s=start_wall_s, need_wh=(1.0 - done) * spec.need_wh, soc=min(0.95, spec.soc + gained)))
