"""What a simulated day cost and how hard it pulled at the fuse: measured at the simulated meter, never planned.

Energy is priced slot by slot at the grid connection; the demand charge is the highest quarter-hour mean
of the day, charged for the day's share of the billing period.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from controller.config import Config, PriceWindow, TariffConfig
from controller.facts import PhaseAmps
from controller.sim.car import VOLTAGE_V
from controller.sim.scenario import DAY_S, hour_of
from controller.sim.site import Plugged

QUARTER_S = 900.0
CURVE_EVERY_S = 120.0


@dataclass(frozen=True, slots=True)
class Sample:
    """One point of a curve. grid_w: import positive; worst_a: highest phase current of the grid connection."""

    wall_s: float
    grid_w: float
    ev_w: float
    worst_a: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """A strategy's day. Money in the tariff's currency."""

    name: str
    energy_cost: float
    demand_cost: float
    peak_w: float
    worst_a: float
    fuse_a: float
    over_fuse_s: float
    delivered_wh: float
    wanted_wh: float
    short: tuple[str, ...]
    curve: tuple[Sample, ...]
    given_wh: float = 0.0
    wear_cost: float = 0.0

    @property
    def cost(self) -> float:
        """Energy and demand, and the wear of car batteries by what they gave back."""
        return self.energy_cost + self.demand_cost + self.wear_cost

    @property
    def delivered_percent(self) -> float:
        """Share of the wanted energy that was delivered [%]."""
        return 100.0 * self.delivered_wh / self.wanted_wh if self.wanted_wh else 100.0


@dataclass(slots=True)
class Account:
    """Adds up a day, step by step."""

    config: Config
    name: str
    energy_cost: float = 0.0
    worst_a: float = 0.0
    over_fuse_s: float = 0.0
    curve: list[Sample] = field(default_factory=list)
    _quarters_wh: dict[int, float] = field(default_factory=dict)

    def add(self, wall_s: float, passed_s: float, grid_a: PhaseAmps, ev_a: PhaseAmps) -> None:
        """``passed_s`` seconds, ending at ``wall_s``, with these currents at the grid connection and of the cars."""
        grid_w = sum(grid_a) * VOLTAGE_V
        energy_wh = grid_w * passed_s / 3600.0
        tariff = self.config.tariff
        self.energy_cost += energy_wh / 1000.0 * (buy_price(tariff, wall_s - passed_s) if grid_w > 0 else sell_price(tariff, wall_s - passed_s))
        quarter = int((wall_s - passed_s) // QUARTER_S)
        self._quarters_wh[quarter] = self._quarters_wh.get(quarter, 0.0) + energy_wh
        worst_a = max(abs(current_a) for current_a in grid_a)
        self.worst_a = max(self.worst_a, worst_a)
        self.over_fuse_s += passed_s if worst_a > self.config.grid.fuse_a else 0.0
        if not self.curve or wall_s - self.curve[-1].wall_s >= CURVE_EVERY_S:
            self.curve.append(Sample(wall_s, grid_w, sum(ev_a) * VOLTAGE_V, worst_a))

    def close(self, gone: Iterable[Plugged], stored_more_wh: float) -> Outcome:
        """The day's result. stored_more_wh: what the battery holds more than in the morning, credited at the mean price."""
        plugged = list(gone)
        cars = [item.car for item in plugged]
        tariff = self.config.tariff
        peak_w = max(self._quarters_wh.values(), default=0.0) * 3600.0 / QUARTER_S
        return Outcome(
            self.name,
            self.energy_cost - stored_more_wh / 1000.0 * mean_price(tariff),
            demand_cost(tariff, peak_w),
            peak_w,
            self.worst_a,
            self.config.grid.fuse_a,
            self.over_fuse_s,
            sum(car.target_wh - car.missing_wh for car in cars),
            sum(car.target_wh for car in cars),
            tuple(f"{car.spec.name} {car.missing_wh / 1000:.1f} kWh" for car in cars if car.missing_wh > 0.02 * car.target_wh),
            tuple(self.curve),
            sum(car.given_wh for car in cars),
            sum(item.car.given_wh / 1000.0 * wear_per_kwh(self.config, item) for item in plugged),
        )


def wear_per_kwh(config: Config, item: Plugged) -> float:
    """What a kWh given back at this EVSE costs the car's battery [currency/kWh]."""
    places = {(station.id, evse.id): evse.v2g for station in config.stations for evse in station.evses}
    allowed = places.get((item.arrival.station_id, item.arrival.evse_id))
    return allowed.wear_per_kwh if allowed is not None else 0.0


def buy_price(tariff: TariffConfig, wall_s: float) -> float:
    """Price of bought energy at a moment [currency/kWh]; the simulated site keeps UTC."""
    return _price_at(tariff.buy, wall_s)


def _price_at(told: Iterable[PriceWindow], wall_s: float) -> float:
    hour = hour_of(wall_s)
    windows = sorted((_hour(window.start), window.price_per_kwh) for window in told)
    return next((price for start, price in reversed(windows) if start <= hour), windows[-1][1])


def sell_price(tariff: TariffConfig, wall_s: float) -> float:
    """Price paid for energy fed in at a moment [currency/kWh]; negative = it costs."""
    return _price_at(tariff.sell, wall_s) if tariff.sell else tariff.sell_per_kwh


def mean_price(tariff: TariffConfig) -> float:
    """Mean of the day's prices [currency/kWh]."""
    return sum(buy_price(tariff, 60.0 * minute) for minute in range(0, 1440, 15)) / 96.0


def demand_cost(tariff: TariffConfig, peak_w: float) -> float:
    """The day's share of the demand charge."""
    return tariff.demand_per_kw * peak_w / 1000.0 * DAY_S / (tariff.demand_window_days * DAY_S)


def _hour(text: str) -> float:
    hours, minutes = text.split(":")
    return int(hours) + int(minutes) / 60.0
