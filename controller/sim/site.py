"""The physics of a simulated site: cars, building, sun, battery and the grid connection behind them.

Nothing here knows a limit or a controller. Currents are by site phase, import and charging positive.
The battery minds its own business: it takes surplus and shaves what the site imports above a
threshold, unless somebody commands it (``follow``); likewise the inverters (``sun``).
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from controller.config import PHASE_INDEX, BatteryConfig, Config, StationConfig
from controller.facts import PhaseAmps, Stamp
from controller.sim.car import VOLTAGE_V, Car
from controller.sim.evse import EvseSpec
from controller.sim.scenario import Arrival, Scenario, at_hour, hour_of
from controller.sim.station import SimStation, StationSpec

NOTHING: PhaseAmps = (0.0, 0.0, 0.0)
Follow = Callable[[float], float]
"""From what a device would do by itself [W] to what it does under its commands."""
SHAVE_ABOVE_W = 35_000.0
LOOK_AHEAD_S = 40 * 86_400.0


@dataclass(frozen=True, slots=True)
class MeterValues:
    """What a meter of the site shows: currents per phase [A], sum of power [W], registers [Wh]."""

    current_a: PhaseAmps
    import_wh: float = 0.0
    export_wh: float = 0.0
    soc_percent: float | None = None

    @property
    def power_w(self) -> float:
        """Sum of the phases [W]."""
        return sum(self.current_a) * VOLTAGE_V


class Register:
    """Import and export registers of one meter [Wh]."""

    def __init__(self) -> None:
        self.import_wh = 0.0
        self.export_wh = 0.0

    def add(self, power_w: float, wall_s: float) -> None:
        """Count a power [W] that lasted ``wall_s`` seconds."""
        energy_wh = power_w * wall_s / 3600.0
        self.import_wh += max(0.0, energy_wh)
        self.export_wh += max(0.0, -energy_wh)


class SimBattery:
    """A battery that takes surplus and shaves peaks. ``power_w``: charging positive."""

    def __init__(self, config: BatteryConfig | None, soc: float = 0.5) -> None:
        self._config = config
        self.stored_wh = soc * config.capacity_wh if config else 0.0
        self.power_w = 0.0
        self.follow: Follow | None = None

    @property
    def soc_percent(self) -> float | None:
        """State of charge [%], None without a battery."""
        return 100.0 * self.stored_wh / self._config.capacity_wh if self._config else None

    def step(self, others_w: float, wall_s: float) -> float:
        """Power for a moment in which everything else draws ``others_w`` from the grid."""
        config = self._config
        if config is None:
            return 0.0
        wanted = -others_w if others_w < 0 else min(0.0, SHAVE_ABOVE_W - others_w)
        wanted = self.follow(wanted) if self.follow is not None else wanted
        hours = max(wall_s, 1.0) / 3600.0
        one_way = (config.efficiency_percent / 100.0) ** 0.5
        room_w = (config.capacity_wh - self.stored_wh) / one_way / hours
        left_w = max(0.0, self.stored_wh - config.min_soc_percent / 100.0 * config.capacity_wh) * one_way / hours
        self.power_w = max(-min(config.max_discharge_w, left_w), min(config.max_charge_w, room_w, wanted))
        self.stored_wh += (self.power_w * one_way if self.power_w > 0 else self.power_w / one_way) * wall_s / 3600.0
        return self.power_w


class SitePhysics:
    """Building, PV, battery and grid for any EV load."""

    def __init__(self, config: Config, scenario: Scenario, start_wall_s: float) -> None:
        self.battery = SimBattery(config.battery, at_hour(scenario.battery_soc, hour_of(start_wall_s)))
        self._scenario = scenario
        self.sun: Follow | None = None
        self._registers = {name: Register() for name in ("grid", "pv", "battery")}
        self.grid = self.pv = self.battery_meter = MeterValues(NOTHING)

    def step(self, wall_s: float, passed_s: float, ev_current_a: PhaseAmps) -> None:
        """The moment ``wall_s``, after ``passed_s`` wall seconds with these EV currents."""
        hour = hour_of(wall_s)
        building_w, pv_w = self._scenario.building_w(hour), self._scenario.pv_w(hour)
        pv_w = self.sun(pv_w) if self.sun is not None else pv_w
        others_w = building_w - pv_w + sum(ev_current_a) * VOLTAGE_V
        battery_w = self.battery.step(others_w, passed_s)
        shares = self._scenario.building_shares
        grid_a = [
            (building_w * share + (battery_w - pv_w) / 3.0) / VOLTAGE_V + ev_a + _ripple_a(wall_s, phase)
            for phase, (share, ev_a) in enumerate(zip(shares, ev_current_a, strict=True))
        ]
        self.grid = self._meter("grid", (grid_a[0], grid_a[1], grid_a[2]), passed_s)
        self.pv = self._meter("pv", _even(-pv_w), passed_s)
        self.battery_meter = self._meter("battery", _even(battery_w), passed_s, self.battery.soc_percent)

    def _meter(self, name: str, current_a: PhaseAmps, passed_s: float, soc_percent: float | None = None) -> MeterValues:
        register = self._registers[name]
        register.add(sum(current_a) * VOLTAGE_V, passed_s)
        return MeterValues(current_a, register.import_wh, register.export_wh, soc_percent)


def _ripple_a(wall_s: float, phase: int) -> float:
    """Small loads that come and go: no real meter shows the same number twice."""
    return 0.2 * math.sin(wall_s / 7.3 + 2.1 * phase) + 0.1 * math.sin(wall_s / 1.7 + phase)


def _even(power_w: float) -> PhaseAmps:
    third = power_w / VOLTAGE_V / 3.0
    return third, third, third


@dataclass(frozen=True, slots=True)
class Plugged:
    """A car that stands at an EVSE."""

    arrival: Arrival
    car: Car


class SimSite:
    """Simulated stations with their cars, tied to the physics. Drive it with ``advance``."""

    def __init__(self, config: Config, scenario: Scenario, start_wall_s: float, seed: int = 1, sample_s: float = 10.0) -> None:
        self.physics = SitePhysics(config, scenario, start_wall_s)
        self.stations = {station.id: SimStation(station_spec(station, sample_s, scenario), seed) for station in config.stations}
        self.plugged: list[Plugged] = []
        self.gone: list[Plugged] = []
        self._coming: deque[Arrival] = deque(
            arrival for arrival in scenario.arrivals(start_wall_s, start_wall_s + LOOK_AHEAD_S) if arrival.station_id in self.stations
        )
        self._last: Stamp | None = None
        self._stated: set[str] = set()

    def advance(self, at: Stamp) -> list[str]:
        """Bring the site to a moment; what people would notice, as sentences."""
        told = [*self._departures(at), *self._arrivals(at)]
        for station in self.stations.values():
            station.advance(at)
        passed_s = at.wall_s - self._last.wall_s if self._last else 0.0
        self._last = at
        self.physics.step(at.wall_s, passed_s, self.ev_current_a())
        return told

    def ev_current_a(self) -> PhaseAmps:
        """Sum of all cars by site phase [A]."""
        return add_phases(station.site_current_a() for station in self.stations.values())

    def unspoken(self) -> list[Plugged]:
        """Cars whose needs the fleet knows but their station has no words for (1.6), once their session has its number."""
        return [item for item in self.plugged if _place(item.arrival) not in self._stated and self._speechless(item)]

    def _speechless(self, item: Plugged) -> bool:
        station = self.stations[item.arrival.station_id]
        transaction = station.evses[item.arrival.evse_id].transaction
        return item.car.spec.announces and not station.voice.tells_needs and transaction is not None and transaction.numbered

    def stated(self, item: Plugged) -> None:
        """The fleet has told what this car needs."""
        self._stated.add(_place(item.arrival))

    def _departures(self, at: Stamp) -> list[str]:
        leaving = [item for item in self.plugged if item.car.spec.departure_wall_s <= at.wall_s]
        for item in leaving:
            self.stations[item.arrival.station_id].unplug(at, item.arrival.evse_id)
            self.plugged.remove(item)
            self._stated.discard(_place(item.arrival))
            self.gone.append(item)
        return [_farewell(item) for item in leaving]

    def _arrivals(self, at: Stamp) -> list[str]:
        told = []
        while self._coming and self._coming[0].car.arrival_wall_s <= at.wall_s:
            arrival = self._coming.popleft()
            car = self.stations[arrival.station_id].plug_in(at, arrival.evse_id, arrival.car)
            self.plugged.append(Plugged(arrival, car))
            told.append(f"{arrival.car.name} arrives at {_place(arrival)} and wants {car.target_wh / 1000:.0f} kWh")
        return told


def station_spec(station: StationConfig, sample_s: float, scenario: Scenario) -> StationSpec:
    """The simulated station that fits a configured one, with the version it has in this scenario."""
    evses = tuple(EvseSpec(evse.id, tuple(PHASE_INDEX[phase] for phase in evse.phases), evse.max_current_a) for evse in station.evses)
    version, v2x = scenario.speaks.get(station.id, "2.0.1"), any(evse.v2g is not None for evse in station.evses)
    return StationSpec(station.id, evses, serial=f"SIM-{station.id}"[:25], sample_s=sample_s, version=version, v2x=v2x)


def add_phases(parts: Iterable[PhaseAmps]) -> PhaseAmps:
    """Sum by phase."""
    rows = list(parts)
    return sum(row[0] for row in rows), sum(row[1] for row in rows), sum(row[2] for row in rows)


def _place(arrival: Arrival) -> str:
    return f"{arrival.station_id}/{arrival.evse_id}"


def _farewell(item: Plugged) -> str:
    short = "" if item.car.full else f", {item.car.missing_wh / 1000:.1f} kWh short"
    return f"{item.car.spec.name} leaves {_place(item.arrival)} with {item.car.charged_wh / 1000:.1f} kWh{short}"
