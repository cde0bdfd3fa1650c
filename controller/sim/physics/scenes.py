"""Hard hours: every bay taken by a hungry car at once, and a building that rises when it hurts most."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from random import Random

from controller.sim.car import CarSpec
from controller.sim.physics.depot import BUILDING, GRID, GRID_OTHER_A, Depot
from controller.sim.physics.fleet import Stay
from controller.sim.physics.loads import LoadSpec, MotorSpec, Rise
from controller.sim.physics.tempers import CARS, CarTemper, car_named

QUIET_A = 20.0
BUSY_MOTORS = tuple(replace(motor, pause_s=motor.pause_s / 8.0, runs_s=min(60.0, motor.runs_s), from_h=0.0, to_h=24.0) for motor in BUILDING.motors)


def hungry(depot: Depot, seed: int, start_wall_s: float, within_s: float, stay_s: float, tempers: Sequence[str] = ()) -> list[Stay]:
    """A car for every bay, by chance within so many seconds of the start, that wants more than it can get."""
    random = Random(f"hungry {seed}")
    deck = [car_named(name) for name in tempers] or list(CARS)
    found = []
    for number, (station_id, evse_id) in enumerate(depot.evses):
        temper = deck[number % len(deck)] if number < 2 * len(deck) else random.choices(deck, [one.share for one in deck])[0]
        found.append(Stay(station_id, evse_id, temper, _car(f"hungry-{number}", temper, start_wall_s + random.uniform(1.0, within_s), stay_s)))
    return sorted(found, key=lambda stay: stay.spec.arrival_wall_s)


def _car(name: str, temper: CarTemper, arrival_wall_s: float, stay_s: float) -> CarSpec:
    return CarSpec(
        name,
        arrival_wall_s,
        arrival_wall_s + stay_s,
        90_000.0,
        110_000.0,
        0.05,
        len(temper.wired),
        temper.max_current_a,
        temper.taper_soc,
        reaction_s=temper.reaction_s,
        ramp_a_per_s=temper.ramp_a_per_s,
        announces=True,
    )


def worst_rise(at_wall_s: float, within_s: float = 25.0) -> Rise:
    """The building goes from quiet to its worst."""
    return Rise(at_wall_s, 0.9 * GRID_OTHER_A - QUIET_A, within_s)


def quiet(depot: Depot, rise: Rise | None = None) -> Depot:
    """The depot with a building that is quiet, and perhaps rises at a moment. No sun, no battery, no motors."""
    base = ((0.0, QUIET_A), (24.0, QUIET_A))
    building = LoadSpec(GRID, base, noise_a=1.0, weekend_part=1.0, most_a=GRID_OTHER_A, rise=rise)
    return replace(depot, loads=(building,), pv_peak_w=0.0, battery_wh=0.0)


def busy(depot: Depot, base_a: float = 45.0, motors: Sequence[MotorSpec] = BUSY_MOTORS) -> Depot:
    """The depot with a building at the same level all day, and motors that start eight times as often."""
    building = LoadSpec(GRID, ((0.0, base_a), (24.0, base_a)), noise_a=2.5, motors=tuple(motors), weekend_part=1.0, most_a=GRID_OTHER_A)
    return replace(depot, loads=(building, *depot.loads[1:]))
