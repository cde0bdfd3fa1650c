"""What a backtest cost and how hard it pulled at every circuit, measured at the simulated meters, step by step.

Energy is priced at the grid connection, each step at the price of its moment (steps end where prices change). The demand charge is the
highest mean import of a quarter hour (or as long as the tariff says) of the whole stretch, charged for its share of the billing period.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise

from controller.config import ROOT_CIRCUIT, Config
from controller.facts import PhaseAmps
from controller.sim.backtest.case import Case
from controller.sim.backtest.outcome import CURVE_STEP_S, Quarter
from controller.sim.site import SimBattery

OVER_PART = 1e-6
BASE_STEP_S = 300.0


@dataclass(frozen=True, slots=True)
class Flows:
    """Mean powers of a step [W]; import, consumption and charging positive, pv_w >= 0."""

    grid_w: float
    ev_w: float
    base_w: float
    pv_w: float
    battery_w: float


@dataclass(slots=True)
class Sums:
    """One quarter hour so far: energies [Wh], seconds, highest load of each circuit."""

    energies: list[float] = field(default_factory=lambda: [0.0] * 5)
    seconds: float = 0.0
    loads: dict[str, float] = field(default_factory=dict)


class Account:
    """Adds up. limits_a: circuit -> limit per phase [A], the grid first. ev_wh: what all cars took, what they gave back taken off."""

    def __init__(self, case: Case, config: Config) -> None:
        self._prices = case.prices
        self._demand_per_kw, self._window_s = case.demand_per_kw, case.prices.window_s
        self.limits_a = {ROOT_CIRCUIT: config.grid.fuse_a} | {circuit.id: circuit.fuse_a for circuit in config.circuits}
        self.energy_cost = 0.0
        self.ev_wh = 0.0
        self.over_limit_s = dict.fromkeys(self.limits_a, 0.0)
        self.worst = dict.fromkeys(self.limits_a, 0.0)
        self._quarters: dict[int, Sums] = {}

    def add(self, start_s: float, end_s: float, flows: Flows, amps: Mapping[str, PhaseAmps]) -> None:
        """A step from start to end with these mean powers, and these currents in the end."""
        seconds = end_s - start_s
        kwh = flows.grid_w * seconds / 3.6e6
        self.energy_cost += kwh * (self._prices.buy if kwh > 0 else self._prices.sell).mean(start_s, end_s)
        self.ev_wh += flows.ev_w * seconds / 3600.0
        sums = self._quarters.setdefault(math.floor((start_s + seconds / 2.0) / CURVE_STEP_S), Sums())
        sums.seconds += seconds
        for index, power_w in enumerate((flows.grid_w, flows.ev_w, flows.base_w, flows.pv_w, flows.battery_w)):
            sums.energies[index] += power_w * seconds / 3600.0
        for circuit, row in amps.items():
            self._load(circuit, max(abs(row[0]), abs(row[1]), abs(row[2])) / self.limits_a[circuit], seconds, sums)

    def _load(self, circuit: str, load: float, seconds: float, sums: Sums) -> None:
        if load > sums.loads.get(circuit, -1.0):
            sums.loads[circuit] = load
            self.worst[circuit] = max(self.worst[circuit], load)
        if load > 1.0 + OVER_PART:
            self.over_limit_s[circuit] += seconds

    @property
    def peak_w(self) -> float:
        """Highest mean import of a window of the demand charge [W]."""
        windows: dict[int, float] = {}
        for number, sums in self._quarters.items():
            window = math.floor(number * CURVE_STEP_S / self._window_s)
            windows[window] = windows.get(window, 0.0) + sums.energies[0]
        return max(windows.values(), default=0.0) * 3600.0 / self._window_s

    @property
    def demand_cost(self) -> float:
        """This stretch's share of the demand charge."""
        return max(0.0, self.peak_w) / 1000.0 * self._demand_per_kw

    def curve(self) -> tuple[Quarter, ...]:
        """Quarter hours in order."""
        return tuple(self._quarter(number, sums) for number, sums in sorted(self._quarters.items()) if sums.seconds > 0)

    def _quarter(self, number: int, sums: Sums) -> Quarter:
        start_s = number * CURVE_STEP_S
        grid_w, ev_w, base_w, pv_w, battery_w = (energy * 3600.0 / sums.seconds for energy in sums.energies)
        buy, sell = self._prices.buy.mean(start_s, start_s + CURVE_STEP_S), self._prices.sell.mean(start_s, start_s + CURVE_STEP_S)
        return Quarter(start_s, grid_w, ev_w, base_w, pv_w, battery_w, buy, sell, {name: round(load, 4) for name, load in sums.loads.items()})


def base_account(case: Case, soc: float = 0.5) -> Account:
    """The same site without any car."""
    account, battery = Account(case, case.config), SimBattery(case.config.battery, soc)
    for start_s, end_s in pairwise(_moments(case)):
        base_w, pv_w = case.base_w.mean(start_s, end_s), case.pv_w.mean(start_s, end_s)
        battery_w = battery.step(base_w - pv_w, end_s - start_s)
        account.add(start_s, end_s, Flows(base_w - pv_w + battery_w, 0.0, base_w, pv_w, battery_w), {})
    return account


def _moments(case: Case) -> list[float]:
    """Every five minutes, and wherever a series changes."""
    start_s, end_s = case.start_wall_s, case.end_wall_s
    found = {start_s, end_s}
    for series in (case.prices.buy, case.prices.sell, case.base_w, case.pv_w):
        found.update(series.edges(start_s, end_s))
    first = math.floor(start_s / BASE_STEP_S) + 1
    found.update(step * BASE_STEP_S for step in range(first, math.ceil(end_s / BASE_STEP_S)))
    return sorted(found)
