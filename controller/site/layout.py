"""Where everything hangs: the circuits, and the EVSEs on them with the site phases that feed them.

What the configuration says, and never changes. A station counts its own L1..L3; ``EvseConfig.phases`` says which *site* phase feeds each.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from controller.config import PHASE_INDEX, ROOT_CIRCUIT, Config, EvseConfig
from controller.facts import EvseKey
from controller.site.stations.charger import ChargerModel, model_named

PHASES = (0, 1, 2)
PHASE_NAMES = ("L1", "L2", "L3")


@dataclass(frozen=True, slots=True)
class Place:
    """Where one EVSE hangs. path: circuit ids from its own up to the grid. phases: site phases."""

    key: EvseKey
    config: EvseConfig
    model: ChargerModel
    circuit: str
    path: tuple[str, ...]
    phases: tuple[int, ...]

    @property
    def min_a(self) -> float:
        """Smallest current that charges [A]: the car's or the box's, whichever is higher."""
        return max(self.config.min_current_a, self.model.min_current_a if self.config.min_current_a else 0.0)

    @property
    def fallback_a(self) -> float:
        """Current of the floor [A]."""
        return self.config.fallback_a


@dataclass(frozen=True, slots=True)
class Circuit:
    """One fuse. parent None = the grid connection. phases: how many conductors it has."""

    id: str
    parent: str | None
    fuse_a: float
    worst_other_load_a: float
    meter: str | None


@dataclass(frozen=True, slots=True)
class Layout:
    """The fixed part of the site. circuits: parents before children, the grid first."""

    circuits: Mapping[str, Circuit]
    places: Mapping[EvseKey, Place]
    by_station: Mapping[str, tuple[EvseKey, ...]]
    below: Mapping[str, tuple[EvseKey, ...]]
    voltage_v: float
    phase_count: int
    metered: Mapping[str, str] = field(default_factory=dict)
    """meter id -> circuit id."""
    max_unbalance_a: float | None = None
    """Largest difference between two phases at the grid connection caused by charging [A]."""
    max_export_w: float | None = None
    """Most the whole site may feed in [W]; None = as much as its fuses carry."""


def layout_of(config: Config, models: Mapping[str, ChargerModel]) -> Layout:
    """The fixed part of the site from its configuration (already checked: no cycles, no strangers)."""
    circuits = _circuits(config)
    places = {place.key: place for place in _places(config, models, circuits)}
    stations = {station.id: tuple(EvseKey(station.id, evse.id) for evse in station.evses) for station in config.stations}
    below = {name: tuple(place.key for place in places.values() if name in place.path) for name in circuits}
    metered = {circuit.meter: circuit.id for circuit in circuits.values() if circuit.meter is not None}
    grid = config.grid
    unbalance_a = grid.max_unbalance_a if grid.phases == 3 else None
    return Layout(circuits, places, stations, below, grid.voltage_v, grid.phases, metered, unbalance_a, grid.max_export_w)


def _circuits(config: Config) -> dict[str, Circuit]:
    """Circuits with parents before children."""
    grid = config.grid
    found = {ROOT_CIRCUIT: Circuit(ROOT_CIRCUIT, None, grid.fuse_a, grid.worst_other_load_a, grid.meter)}
    waiting = list(config.circuits)
    while waiting:
        ready = [one for one in waiting if one.parent in found]
        if not ready:
            raise ValueError(f"circuits without a way to the grid: {', '.join(one.id for one in waiting)}")
        for one in ready:
            found[one.id] = Circuit(one.id, one.parent, one.fuse_a, one.worst_other_load_a, one.meter)
        waiting = [one for one in waiting if one.id not in found]
    return found


def _places(config: Config, models: Mapping[str, ChargerModel], circuits: Mapping[str, Circuit]) -> Iterable[Place]:
    for station in config.stations:
        path = tuple(path_of(circuits, station.circuit))
        model = model_named(models, station.model)
        for evse in station.evses:
            phases = tuple(PHASE_INDEX[name] for name in evse.phases if PHASE_INDEX[name] < config.grid.phases)
            yield Place(EvseKey(station.id, evse.id), evse, model, station.circuit, path, phases or (0,))


def path_of(circuits: Mapping[str, Circuit], circuit_id: str) -> Iterable[str]:
    """Circuit ids from this one up to the grid."""
    step: str | None = circuit_id
    while step is not None:
        yield step
        step = circuits[step].parent
