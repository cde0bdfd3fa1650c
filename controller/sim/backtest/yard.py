"""The physics of a backtest: simulated stations with the cars of a case, the building, the sun and the grid connection behind them.

Knows no controller. Time goes in steps of any length that no event falls into: ``next_event`` tells when the next one is. What a car
tells may differ from what it does (``Case.drivers``); when it leaves, and what it takes, is always the recorded truth.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from controller.config import PHASE_INDEX, ROOT_CIRCUIT, Config, StationConfig
from controller.facts import PhaseAmps, Stamp
from controller.sim.backtest.account import Account, Flows
from controller.sim.backtest.case import CAR_EFFICIENCY, Case, Visit
from controller.sim.backtest.outcome import SessionOutcome
from controller.sim.car import VOLTAGE_V, Car, CarSpec
from controller.sim.evse import Evse, EvseSpec
from controller.sim.site import Register, SimBattery
from controller.sim.station import SimStation, StationSpec

LARGE_WH = 1_000_000.0
UNKNOWN_STAY_S = 7 * 86_400.0
BATTERY_SOC = 0.5
QUARTER_S = 900.0
SOON_S = 1.0
"""Two events nearer than this are one step apart [s]."""


@dataclass(slots=True)
class Guest:
    """A car that stands at an EVSE, or has left. told: its needs were stated."""

    visit: Visit
    car: Car
    told: bool = False


class Yard:
    """Drive it with ``advance``. gone: those that have left. grid_a: current per phase at the grid connection [A], without ripple; aside_a:
    the part of it per phase that is not cars."""

    def __init__(self, case: Case, config: Config, sample_s: float, version: str = "2.0.1") -> None:
        self.case, self.config = case, config
        self.stations = {one.id: SimStation(station_spec(one, sample_s, version), case.seed) for one in config.stations}
        self.evses: dict[str, Evse] = {f"{name}/{number}": evse for name, one in self.stations.items() for number, evse in one.evses.items()}
        self.guests: dict[str, Guest] = {}
        self.gone: list[Guest] = []
        self.battery = SimBattery(config.battery, BATTERY_SOC)
        self.account = Account(case, config)
        self.registers = {name: Register() for name in ("grid", "pv", "battery")}
        self.grid_a: PhaseAmps = (0.0, 0.0, 0.0)
        self.circuit_a: dict[str, PhaseAmps] = {}
        self.pv_w = self.aside_a = 0.0
        self._circuits = {station.id: station.circuit for station in config.stations}
        self._coming = deque(sorted(case.visits, key=lambda one: (one.arrival_wall_s, one.evse)))
        self._paths = {f"{station.id}/{evse.id}": tuple(path_of(config, station.circuit)) for station in config.stations for evse in station.evses}
        self._last: Stamp | None = None
        self._counted = dict.fromkeys(self.evses, 0.0)

    # -- time ----------------------------------------------------------------------------------------------

    def advance(self, at: Stamp) -> None:
        """Bring the yard to a moment: first what has flowed until then, then who leaves and who comes."""
        last, self._last = self._last, at
        for station in self.stations.values():
            station.advance(at)
        self._flow(last.wall_s if last is not None else at.wall_s, at.wall_s)
        self._departures(at)
        self._arrivals(at)

    def next_event(self, wall_s: float) -> float:
        """When the next thing happens by itself: a car comes, leaves or is full, a price or load changes, a quarter hour ends."""
        case = self.case
        moments = [math.floor(wall_s / QUARTER_S) * QUARTER_S + QUARTER_S, case.end_wall_s]
        moments += [series.next_edge(wall_s) for series in (case.base_w, case.pv_w, case.prices.buy, case.prices.sell)]
        if self._coming:
            moments.append(self._coming[0].arrival_wall_s)
        for guest in self.guests.values():
            moments.append(guest.visit.departure_wall_s)
            if guest.car.power_w > 0.0:
                moments.append(wall_s + guest.car.missing_wh * 3600.0 / guest.car.power_w)
        return max(wall_s + SOON_S, min(moments))

    @property
    def calm(self) -> bool:
        """Whether all cars go on as they do until somebody changes something."""
        return all(guest.car.settled for guest in self.guests.values())

    def config_circuit(self, place: str) -> str:
        """The circuit an EVSE ("station/evse") hangs on."""
        return self._circuits[place.rpartition("/")[0]]

    @property
    def revision(self) -> int:
        """Rises with every profile that a station takes or drops."""
        return sum(station.profiles.revision for station in self.stations.values())

    # -- what flows ------------------------------------------------------------------------------------------

    def _flow(self, start_s: float, end_s: float) -> None:
        seconds, case = end_s - start_s, self.case
        amps = self._amps()
        ev_w = self._ev_w(seconds) if seconds > 0 else 0.0
        base_w, self.pv_w = case.base_w.mean(start_s, end_s), case.pv_w.mean(start_s, end_s)
        battery_w = self.battery.step(base_w - self.pv_w + ev_w, seconds)
        aside_a = self.aside_a = (base_w - self.pv_w + battery_w) / VOLTAGE_V / 3.0
        first, second, third = amps[ROOT_CIRCUIT]
        self.grid_a = amps[ROOT_CIRCUIT] = (first + aside_a, second + aside_a, third + aside_a)
        self.circuit_a = amps
        if seconds <= 0:
            return
        flows = Flows(base_w - self.pv_w + battery_w + ev_w, ev_w, base_w, self.pv_w, battery_w)
        for name, power_w in (("grid", flows.grid_w), ("pv", -self.pv_w), ("battery", battery_w)):
            self.registers[name].add(power_w, seconds)
        self.account.add(start_s, end_s, flows, amps)

    def _ev_w(self, seconds: float) -> float:
        """Mean power of all cars over the last step, by the registers of their EVSEs [W]."""
        energy_wh = 0.0
        for name, evse in self.evses.items():
            now_wh = evse.register_wh - evse.given_register_wh
            if now_wh != self._counted[name]:
                energy_wh += now_wh - self._counted[name]
                self._counted[name] = now_wh
        return energy_wh * 3600.0 / seconds

    def _amps(self) -> dict[str, PhaseAmps]:
        """Current of the cars by circuit and site phase [A]."""
        sums = {circuit: [0.0, 0.0, 0.0] for circuit in self.account.limits_a}
        for name in self.guests:
            evse = self.evses[name]
            drawn = evse.site_current_a()
            if any(drawn):
                for circuit in self._paths[name]:
                    row = sums[circuit]
                    row[0] += drawn[0]
                    row[1] += drawn[1]
                    row[2] += drawn[2]
        return {circuit: (row[0], row[1], row[2]) for circuit, row in sums.items()}

    # -- cars ------------------------------------------------------------------------------------------------

    def _departures(self, at: Stamp) -> None:
        for place in [place for place, guest in self.guests.items() if guest.visit.departure_wall_s <= at.wall_s]:
            guest = self.guests.pop(place)
            key = guest.visit.key
            self.stations[key.station_id].unplug(at, key.evse_id)
            self.gone.append(guest)

    def _arrivals(self, at: Stamp) -> None:
        while self._coming and self._coming[0].arrival_wall_s <= at.wall_s:
            visit = self._coming.popleft()
            key = visit.key
            spec = car_spec(visit, self.case.drivers)
            self.guests[visit.evse] = Guest(visit, self.stations[key.station_id].plug_in(at, key.evse_id, spec))

    def untold(self) -> Iterator[Guest]:
        """Cars whose session has begun and whose needs nobody has stated yet."""
        for guest in self.guests.values():
            transaction = None if guest.told else self.evses[guest.visit.evse].transaction
            if transaction is not None and transaction.authorised:
                yield guest


def told_needs(visit: Visit, car: Car, drivers: str) -> tuple[float, float] | None:
    """(energy [Wh], departure) that is stated for a car, None = nobody says anything."""
    if drivers == "truth":
        return car.missing_wh, visit.departure_wall_s
    if visit.stated_wh is None or visit.stated_departure_wall_s is None:
        return None
    return visit.stated_wh, visit.stated_departure_wall_s


def session_outcome(guest: Guest) -> SessionOutcome:
    """What came of a stay. Of a car that gave back counts what it has now, against what it came with."""
    visit, car = guest.visit, guest.car
    return SessionOutcome(
        visit.id,
        visit.evse,
        visit.arrival_wall_s,
        visit.departure_wall_s,
        visit.wanted_wh,
        max(0.0, visit.wanted_wh - car.missing_wh) if car.given_wh else car.charged_wh,
        visit.stated_wh,
        visit.stated_departure_wall_s,
        car.given_wh,
    )


def car_spec(visit: Visit, drivers: str) -> CarSpec:
    """The car of a visit. Only one with a battery to give from speaks for itself, and says of its departure what its driver believes."""
    known = visit.capacity_wh is not None and visit.soc is not None
    leaves_s = visit.departure_wall_s
    if drivers == "stated":
        leaves_s = visit.stated_departure_wall_s or visit.arrival_wall_s + UNKNOWN_STAY_S
    return CarSpec(
        visit.user or visit.id[:30],
        visit.arrival_wall_s,
        leaves_s,
        visit.wanted_wh,
        (visit.capacity_wh or LARGE_WH) if known else LARGE_WH,
        (visit.soc or 0.0) if known else 0.0,
        len(visit.phases),
        visit.max_current_a,
        taper_soc=1.0,
        efficiency=CAR_EFFICIENCY,
        announces=visit.max_discharge_w > 0.0,
        max_discharge_w=visit.max_discharge_w,
    )


def station_spec(station: StationConfig, sample_s: float, version: str) -> StationSpec:
    """The simulated station that fits a configured one; where cars may give back it speaks 2.1."""
    evses = tuple(EvseSpec(evse.id, tuple(PHASE_INDEX[phase] for phase in evse.phases), evse.max_current_a) for evse in station.evses)
    gives = any(evse.v2g is not None for evse in station.evses)
    return StationSpec(station.id, evses, serial=f"SIM-{station.id}"[:25], sample_s=sample_s, version="2.1" if gives else version, v2x=gives)


def path_of(config: Config, circuit: str) -> Iterator[str]:
    """Circuits from this one up to the grid."""
    parents = {one.id: one.parent for one in config.circuits}
    step: str | None = circuit
    while step is not None:
        yield step
        step = parents.get(step)
