"""What else draws in a depot: building with a day's shape and noise, motors that start hard, sun with clouds, battery.

Everything is seeded and a function of its own past only. Currents by site phase, consumption positive. A motor
draws several times its running current for less than a second: ``step`` tells such seconds in pieces.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from random import Random

from controller.sim.car import VOLTAGE_V
from controller.sim.scenario import Curve, at_hour, hour_of

NOISE_S = 40.0
CLOUD_RAMP_S = 25.0
DAY_S = 86_400.0


@dataclass(frozen=True, slots=True)
class MotorSpec:
    """A motor on three phases, or one. running_a per phase. inrush: times the running current, for inrush_s < 1 s."""

    name: str
    running_a: float
    phases: tuple[int, ...] = (0, 1, 2)
    inrush: float = 5.0
    inrush_s: float = 0.6
    runs_s: float = 240.0
    pause_s: float = 900.0
    from_h: float = 0.0
    to_h: float = 24.0


class Motor:
    """One motor through time. ``inrush`` is true for a piece of a second right after its start."""

    def __init__(self, spec: MotorSpec, random: Random, start_wall_s: float) -> None:
        self.spec = spec
        self.running = False
        self.starts = 0
        self._random = random
        self.next_wall_s = start_wall_s + random.expovariate(1.0 / spec.pause_s)

    def turn(self) -> None:
        """Its next moment has come: it starts, or stops."""
        spec = self.spec
        wanted = spec.from_h <= hour_of(self.next_wall_s) < spec.to_h
        self.running = not self.running and wanted
        self.starts += self.running
        mean_s = spec.runs_s if self.running else spec.pause_s
        self.next_wall_s += max(5.0, self._random.gauss(mean_s, 0.3 * mean_s) if self.running else self._random.expovariate(1.0 / mean_s))


@dataclass(frozen=True, slots=True)
class Rise:
    """A load that comes on at a moment and stays: more_a per phase, reached after ``within_s``."""

    at_wall_s: float
    more_a: float
    within_s: float = 25.0

    def amps(self, wall_s: float) -> float:
        """What it draws [A]."""
        return self.more_a * max(0.0, min(1.0, (wall_s - self.at_wall_s) / self.within_s))


@dataclass(frozen=True, slots=True)
class LoadSpec:
    """Other load of one circuit. base: per phase over the hours [A]. most_a: never above this, motors' inrush apart."""

    circuit: str
    base: Curve
    shares: tuple[float, float, float] = (1.0, 1.0, 1.0)
    noise_a: float = 1.5
    weekend_part: float = 0.55
    motors: tuple[MotorSpec, ...] = ()
    most_a: float = math.inf
    rise: Rise | None = None


class Load:
    """One circuit's other load. ``amps``: now by phase, without inrush. ``peaks``: (from, to, extra by phase) of each inrush."""

    def __init__(self, spec: LoadSpec, seed: str, start_wall_s: float) -> None:
        self.spec = spec
        self.random = Random(f"{seed}/{spec.circuit}/{math.floor(start_wall_s)}")
        self.motors = [Motor(one, self.random, start_wall_s) for one in spec.motors]
        self.amps = [0.0, 0.0, 0.0]
        self.peaks: list[tuple[float, float, list[float]]] = []
        self._noise = [0.0, 0.0, 0.0]
        self._running = [0.0, 0.0, 0.0]
        self._base_a, self._base_until_wall_s = 0.0, -math.inf

    def step(self, wall_s: float, seconds: float) -> None:
        """The ``seconds`` up to ``wall_s``."""
        if wall_s >= self._base_until_wall_s:
            self._new_base(wall_s)
        if self.peaks:
            self.peaks = [peak for peak in self.peaks if peak[1] > wall_s - seconds]
        for motor in self.motors:
            if motor.next_wall_s <= wall_s:
                self._turn(motor, wall_s)
        keep = math.exp(-seconds / NOISE_S)
        width_a = self.spec.noise_a * math.sqrt(max(0.0, 1.0 - keep * keep))
        gauss, noise, running, shares, most_a = self.random.gauss, self._noise, self._running, self.spec.shares, self.spec.most_a
        for phase in (0, 1, 2):
            noise[phase] = keep * noise[phase] + gauss(0.0, width_a)
            self.amps[phase] = min(most_a, max(0.3, self._base_a * shares[phase] + noise[phase] + running[phase]))

    def _new_base(self, wall_s: float) -> None:
        weekend = math.floor(wall_s / DAY_S + 3) % 7 >= 5
        self._base_a = at_hour(self.spec.base, hour_of(wall_s)) * (self.spec.weekend_part if weekend else 1.0)
        self._base_until_wall_s = wall_s + 10.0
        if self.spec.rise is not None:
            self._base_a += self.spec.rise.amps(wall_s)
            self._base_until_wall_s = wall_s

    def _turn(self, motor: Motor, wall_s: float) -> None:
        while motor.next_wall_s <= wall_s:
            was, began_wall_s = motor.running, motor.next_wall_s
            motor.turn()
            spec = motor.spec
            sign = motor.running - was
            for phase in spec.phases:
                self._running[phase] += sign * spec.running_a
            if sign > 0:
                extra_a = [spec.running_a * (spec.inrush - 1.0) if phase in spec.phases else 0.0 for phase in (0, 1, 2)]
                self.peaks.append((began_wall_s, began_wall_s + spec.inrush_s, extra_a))


class Sun:
    """PV on three phases: a curve over the day, and clouds that come and go within seconds. ``power_w`` >= 0."""

    def __init__(self, peak_w: float, seed: str, start_wall_s: float) -> None:
        self.power_w = 0.0
        self._peak_w = peak_w
        self._random = Random(f"{seed}/sun/{math.floor(start_wall_s)}")
        self._clear, self._goal, self._next_wall_s = 1.0, 1.0, start_wall_s

    def step(self, wall_s: float, seconds: float) -> None:
        """The ``seconds`` up to ``wall_s``."""
        if wall_s >= self._next_wall_s:
            self._goal = self._random.choice((1.0, 0.95, 0.6, 0.2))
            self._next_wall_s = wall_s + self._random.uniform(60.0, 1500.0)
        self._clear += (self._goal - self._clear) * min(1.0, seconds / CLOUD_RAMP_S)
        height = math.sin(math.pi * (hour_of(wall_s) - 6.0) / 13.0) if 6.0 < hour_of(wall_s) < 19.0 else 0.0
        self.power_w = self._peak_w * max(0.0, height) * self._clear


class Storage:
    """A battery that takes surplus and shaves what is above a threshold; nobody here commands it. Charging positive."""

    def __init__(self, capacity_wh: float, most_w: float, shave_above_w: float, soc: float = 0.5) -> None:
        self.capacity_wh, self.stored_wh, self.power_w = capacity_wh, soc * capacity_wh, 0.0
        self._most_w, self._shave_above_w = most_w, shave_above_w

    def step(self, grid_w: float, seconds: float) -> None:
        """``grid_w``: what would flow in from the grid without it [W]."""
        if self.capacity_wh <= 0.0:
            return
        wanted_w = -grid_w if grid_w < 0.0 else -max(0.0, grid_w - self._shave_above_w)
        if grid_w < 0.5 * self._shave_above_w and wanted_w == 0.0 and self.stored_wh < 0.5 * self.capacity_wh:
            wanted_w = 0.2 * self._most_w
        room_w = (self.capacity_wh - self.stored_wh) * 3600.0 / max(1.0, seconds)
        left_w = (self.stored_wh - 0.1 * self.capacity_wh) * 3600.0 / max(1.0, seconds)
        self.power_w = max(-self._most_w, -max(0.0, left_w), min(self._most_w, room_w, wanted_w))
        self.stored_wh += self.power_w * seconds / 3600.0 * (0.96 if self.power_w > 0 else 1.04)


def even_a(power_w: float) -> float:
    """Current per phase of a symmetric power [A]."""
    return power_w / VOLTAGE_V / 3.0


Piece = tuple[float, dict[str, list[float]]]
"""Seconds, and the extra amps by circuit and phase in them."""


def pieces(start_wall_s: float, end_wall_s: float, loads: Sequence[Load]) -> list[Piece]:
    """A stretch with motors starting, cut where an inrush begins or ends."""
    edges = {edge for load in loads for peak in load.peaks for edge in peak[:2] if start_wall_s < edge < end_wall_s}
    cuts = [start_wall_s, *sorted(edges), end_wall_s]
    return [(end - start, extra_a(loads, (start + end) / 2.0)) for start, end in pairwise(cuts)]


def extra_a(loads: Sequence[Load], wall_s: float) -> dict[str, list[float]]:
    """Inrush at a moment, by circuit and phase [A]."""
    found: dict[str, list[float]] = {}
    for load in loads:
        now = [amps for start, end, amps in load.peaks if start <= wall_s < end]
        if now:
            found[load.spec.circuit] = [sum(row[phase] for row in now) for phase in (0, 1, 2)]
    return found
