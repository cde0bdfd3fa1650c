"""What is measured where a limit binds, as its sender counts it: import of a circuit, the controllable loads below it, or feed-in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from controller.config import ROOT_CIRCUIT
from controller.config_signals import SignalModel
from controller.facts import Direction
from controller.site.freshness import Health

if TYPE_CHECKING:
    from controller.site.site import Site


@dataclass(frozen=True, slots=True)
class Flows:
    """One moment. Powers [W], import and charging positive; None = nobody measures it. cars_w: the EVSEs below each circuit.

    commanded: the battery is ours to charge, so that it counts among the controllable loads (of the whole site).
    """

    circuits_w: Mapping[str, float | None]
    circuits_a: Mapping[str, float | None]
    cars_w: Mapping[str, float]
    pv_w: float | None = None
    battery_w: float | None = None
    soc_percent: float | None = None
    energy_import_wh: float | None = None
    energy_export_wh: float | None = None
    voltages_v: tuple[float | None, ...] = ()
    currents_a: tuple[float, ...] = ()
    commanded: bool = False

    @property
    def voltage_v(self) -> float | None:
        """Mean voltage at the grid connection."""
        told = [volts for volts in self.voltages_v if volts is not None]
        return sum(told) / len(told) if told else None

    @property
    def grid_w(self) -> float | None:
        """Power at the grid connection."""
        return self.circuits_w.get(ROOT_CIRCUIT)

    def circuit_w(self, circuit: str) -> float | None:
        """Import through a circuit, >= 0."""
        watts = self.circuits_w.get(circuit)
        return None if watts is None else max(0.0, watts)

    def circuit_a(self, circuit: str) -> float | None:
        """Highest current of a circuit's phases, >= 0 [A]."""
        amps = self.circuits_a.get(circuit)
        return None if amps is None else max(0.0, amps)

    def charging_w(self, circuit: str = ROOT_CIRCUIT) -> float:
        """What the commanded battery charges with; it hangs on the grid connection."""
        return max(0.0, self.battery_w or 0.0) if self.commanded and circuit == ROOT_CIRCUIT else 0.0

    def controllable_w(self, circuit: str = ROOT_CIRCUIT) -> float:
        """Chargers below a circuit and the battery's charging, >= 0."""
        return max(0.0, self.cars_w.get(circuit, 0.0)) + self.charging_w(circuit)

    def at(self, entry: SignalModel, way: Direction) -> float | None:
        """What counts against a limit of this source."""
        if way is Direction.PRODUCTION:
            return None if self.grid_w is None else max(0.0, -self.grid_w)
        return self.controllable_w(entry.circuit) if entry.binds == "controllable" else self.circuit_w(entry.circuit)


def flows_of(site: Site) -> Flows:
    """The measurements of this moment."""
    meters, layout = site.meters, site.layout
    watts: dict[str, float | None] = {}
    amps: dict[str, float | None] = {}
    for name, circuit in layout.circuits.items():
        watch = meters.watches.get(circuit.meter or "")
        believed = watch is not None and watch.health is not Health.LOST and watch.last is not None
        currents_a = watch.currents_a if watch is not None and believed else None
        told_w = watch.last.power_w if watch is not None and watch.last is not None and believed else None
        watts[name] = told_w if told_w is not None or currents_a is None else sum(currents_a) * layout.voltage_v
        amps[name] = max(currents_a) if currents_a is not None else None
    cars_w = {name: sum(site.evses[key].power_w or 0.0 for key in keys) for name, keys in layout.below.items()}
    root = meters.watches.get(layout.circuits[ROOT_CIRCUIT].meter or "")
    last = root.last if root is not None and root.health is not Health.LOST else None
    battery = site.config.battery
    return Flows(
        watts,
        amps,
        cars_w,
        meters.side_power_w("pv"),
        meters.side_power_w("battery"),
        meters.soc_percent(),
        last.energy_import_wh if last is not None else None,
        last.energy_export_wh if last is not None else None,
        last.voltage_v[: layout.phase_count] if last is not None else (),
        root.currents_a or () if root is not None and last is not None else (),
        battery is not None and battery.command is not None,
    )
