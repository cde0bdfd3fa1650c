"""The whole depot as a world: time passes, cars come and go, boxes have mishaps, breakers keep account.

It knows no controller: whoever drives it carries frames and readings to one, in virtual time or over sockets.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace

from controller.config import PHASE_INDEX, Config
from controller.facts import PhaseAmps, Stamp
from controller.sim.car import VOLTAGE_V
from controller.sim.evse import EvseSpec
from controller.sim.physics.account import Account
from controller.sim.physics.boxes import TemperedStation
from controller.sim.physics.cars import TemperedCar
from controller.sim.physics.depot import Depot
from controller.sim.physics.fleet import Stay, stays
from controller.sim.physics.loads import Load, Rise, Storage, Sun, even_a
from controller.sim.physics.tree import Tree
from controller.sim.station import StationSpec
from controller.sim.voice import Ending


@dataclass(slots=True)
class Parked:
    """A car that stands at an EVSE."""

    stay: Stay
    car: TemperedCar


class World:
    """Stations, cars, building and breakers. ``mishaps``: what happened to boxes in the last step: (station, what)."""

    def __init__(self, depot: Depot, config: Config, seed: int, start_wall_s: float, days: float, fleet: list[Stay] | None = None) -> None:
        self.config, self.depot = config, depot
        self.stations = {station.id: _station(depot, config, station.id, seed) for station in config.stations}
        self.loads = [Load(spec, f"{seed}/load", start_wall_s) for spec in depot.loads]
        self.sun = Sun(depot.pv_peak_w, str(seed), start_wall_s)
        self.storage = Storage(depot.battery_wh, depot.battery_w, depot.shave_above_w)
        self.tree = Tree(config, self.loads)
        self.account = Account(config)
        self.parked: dict[tuple[str, int], Parked] = {}
        self.mishaps: list[tuple[str, str]] = []
        self._coming = deque(stays(depot.evses, seed, start_wall_s, days) if fleet is None else fleet)
        self._last: Stamp | None = None

    def expect(self, fleet: list[Stay]) -> None:
        """These cars come, and no others."""
        self._coming = deque(fleet)

    def rise(self, circuit: str, rise: Rise) -> None:
        """From now on the other load of a circuit rises like that."""
        for load in self.loads:
            if load.spec.circuit == circuit:
                load.spec = replace(load.spec, rise=rise)

    def advance(self, at: Stamp) -> None:
        """Bring the world to a moment."""
        seconds = at.wall_s - self._last.wall_s if self._last else 0.0
        self._last = at
        self._departures(at)
        self._arrivals(at)
        for station in self.stations.values():
            station.advance(at)
        self._electricity(at.wall_s, seconds)
        self.mishaps = [(name, what) for name, station in self.stations.items() if (what := station.mishap(at))]
        self.account.look(at, seconds, self.parked, self.stations)

    def power_cut(self, at: Stamp, station_id: str) -> None:
        """A box reboots: its sessions end, the cars stay and ask again."""
        station = self.stations[station_id]
        station.reboot(at, Ending.POWER_LOST)
        for evse in station.evses.values():
            if evse.car is not None:
                evse.served = False

    def plug_in_again(self, at: Stamp, station_id: str) -> None:
        """After a reboot the box finds its cars still there and begins new sessions."""
        station = self.stations[station_id]
        for evse in station.evses.values():
            if evse.car is not None and evse.transaction is None:
                station.begin(at, evse, {"idToken": f"SIM-{evse.car.spec.name}"[:36], "type": "ISO14443"})

    def _electricity(self, wall_s: float, seconds: float) -> None:
        for load in self.loads:
            load.step(wall_s, seconds)
        self.sun.step(wall_s, seconds)
        currents = [(name, amps) for name, station in self.stations.items() if any(amps := station.site_current_a())]
        self.storage.step(self._grid_w(currents), seconds)
        self.tree.step(wall_s, seconds, currents, even_a(self.storage.power_w - self.sun.power_w))
        self.tree.count(seconds)

    def _grid_w(self, currents: list[tuple[str, PhaseAmps]]) -> float:
        amps = sum(sum(row) for _, row in currents) + sum(sum(load.amps) for load in self.loads)
        return amps * VOLTAGE_V - self.sun.power_w

    def _arrivals(self, at: Stamp) -> None:
        while self._coming and self._coming[0].spec.arrival_wall_s <= at.wall_s:
            stay = self._coming.popleft()
            station, place = self.stations[stay.station_id], (stay.station_id, stay.evse_id)
            if place in self.parked:
                continue
            phases = len(station.evses[stay.evse_id].spec.site_phases)
            car = TemperedCar(stay.spec, stay.temper, phases)
            station.plug_in(at, stay.evse_id, stay.spec, car)
            self.parked[place] = Parked(stay, car)

    def _departures(self, at: Stamp) -> None:
        for place, item in list(self.parked.items()):
            if item.stay.spec.departure_wall_s <= at.wall_s:
                self.stations[place[0]].unplug(at, place[1])
                del self.parked[place]
                self.account.left(place, item.stay.temper.name, item.car, at)


def _station(depot: Depot, config: Config, station_id: str, seed: int) -> TemperedStation:
    station, temper = config.station(station_id), depot.boxes[station_id]
    assert station is not None
    evses = tuple(
        EvseSpec(evse.id, tuple(PHASE_INDEX[phase] for phase in evse.phases), evse.max_current_a, temper.quantum_a) for evse in station.evses
    )
    spec = StationSpec(
        station_id, evses, serial=f"SIM-{station_id}", sample_s=temper.sample_s, boots_on_reconnect=False, version=depot.speaks[station_id]
    )
    return TemperedStation(spec, temper, seed)
