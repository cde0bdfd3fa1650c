"""Synthetic step tests: a charger that goes down and up, meters that see it as wired, noise, slowness."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

Entry = dict[str, Any]
STATION, EVSE = "CP1", 1


@dataclass(frozen=True)
class World:
    """rotation[own] = site phase of the charger's own phase; car_a: part of the limit each own phase draws.

    gain: per site phase, what the meter shows per A (-1 = turned, 10 = scale). noise_a: of the building, uniform.
    drift_a: the building rises by so much from begin to end. motor: (second, A) of one start that stays.
    """

    rotation: tuple[int, int, int] = (0, 1, 2)
    car_a: tuple[float, float, float] = (1.0, 1.0, 1.0)
    gain: tuple[float, float, float] = (1.0, 1.0, 1.0)
    noise_a: float = 0.3
    drift_a: float = 0.0
    motor: tuple[float, float] | None = None
    apply_s: float = 2.0
    meter_s: float = 1.0
    sample_s: float = 1.0
    tells: bool = True
    overdraw: float = 0.0
    seed: int = 1


def entries(world: World, levels: Sequence[float], hold_s: float = 20.0, meters: Sequence[str] = ("grid",)) -> list[Entry]:
    """The trace of a test that holds each level for ``hold_s``."""
    chance = random.Random(world.seed)
    found: list[Entry] = []
    for number, level_a in enumerate(levels):
        found.append(_entry(number * hold_s, "sent", station=STATION, evse=EVSE, order=number + 1, limit_a=level_a, life_s=120.0))
        found.append(_entry(number * hold_s + 0.1, "answered", station=STATION, evse=EVSE, order=number + 1, accepted=True, reason=""))
    end_s = len(levels) * hold_s
    drawn = _drawn(world, levels, hold_s)
    for name in meters:
        found += [_metered(world, name, now_s, end_s, drawn, chance) for now_s in _every(world.meter_s, end_s)]
    if world.tells:
        for now_s in _every(world.sample_s, end_s):
            amps = [round(drawn(now_s) * part, 2) for part in world.car_a]
            found.append(_entry(now_s, "station", station=STATION, evse=EVSE, current_a=amps))
    found.sort(key=lambda entry: float(entry["mono_s"]))
    return [{"number": number + 1, **entry} for number, entry in enumerate(found)]


def _entry(mono_s: float, kind: str, **more: Any) -> Entry:
    return {"mono_s": mono_s, "wall_s": 1_780_000_000.0 + mono_s, "kind": kind, **more}


def _every(period_s: float, end_s: float) -> list[float]:
    return [0.3 + number * period_s for number in range(int((end_s - 0.3) / period_s) + 1)]


def _drawn(world: World, levels: Sequence[float], hold_s: float) -> Callable[[float], float]:
    def drawn(now_s: float) -> float:
        number = int((now_s - world.apply_s) // hold_s)
        level_a = levels[min(max(number, 0), len(levels) - 1)] if now_s >= world.apply_s else levels[0]
        return level_a * (1.0 + world.overdraw)

    return drawn


def _metered(world: World, name: str, now_s: float, end_s: float, drawn: Callable[[float], float], chance: random.Random) -> Entry:
    amps = [0.0, 0.0, 0.0]
    for own, phase in enumerate(world.rotation):
        amps[phase] += drawn(now_s) * world.car_a[own]
    shown: list[float] = []
    for phase in range(3):
        house_a = 12.0 + world.drift_a * now_s / end_s + chance.uniform(-world.noise_a, world.noise_a)
        if world.motor is not None and now_s >= world.motor[0]:
            house_a += world.motor[1]
        shown.append(world.gain[phase] * (house_a + amps[phase]))
    watts = [230.0 * value for value in shown]
    # As many meters do: the current has no sign, the power has.
    return _entry(now_s, "meter", name=name, quality="good", reason="", current_a=[abs(a) for a in shown], phase_power_w=watts, power_w=sum(watts))
