"""What is measured where a limit binds, as its sender counts it: import of a circuit, the controllable loads below it, or feed-in.

The sum of the controllable loads comes from the stations themselves. One that does not tell makes it a sum in part (``Measured.more_w``): what
nobody measures is never counted as nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from controller.config import ROOT_CIRCUIT
from controller.config_signals import SignalModel
from controller.facts import ChargingState, Direction, EvseKey
from controller.site.meters.draws import REACTION_S
from controller.site.meters.freshness import Health

if TYPE_CHECKING:
    from controller.site.site import Site

FRESH_S: Final = 10.0
"""What a station measured no longer ago is what flows now [s]."""
STALE_S: Final = 120.0
"""What a station measured longer ago says nothing about now [s]."""
RESTS: Final = (ChargingState.SUSPENDED_EV, ChargingState.SUSPENDED_EVSE)


@dataclass(frozen=True, slots=True)
class Measured:
    """A measured power [W]. more_w: the most that may flow besides, unmeasured, inf = nobody can say. read_mono_s: when its oldest part was read."""

    power_w: float = 0.0
    more_w: float = 0.0
    read_mono_s: float = math.inf

    @property
    def whole_w(self) -> float | None:
        """The power where all of it is measured."""
        return self.power_w if self.more_w == 0.0 else None


NOBODY: Final = Measured(0.0, math.inf)


def together(parts: Iterable[Measured]) -> Measured:
    """The sum of some parts."""
    found = list(parts)
    oldest = min((one.read_mono_s for one in found), default=math.inf)
    return Measured(sum(one.power_w for one in found), sum(one.more_w for one in found), oldest)


@dataclass(frozen=True, slots=True)
class Flows:
    """One moment. Powers [W], import and charging positive; None = nobody measures it. cars: the EVSEs below each circuit.

    commanded: the battery is ours to charge, so that it counts among the controllable loads (of the whole site).
    """

    circuits_w: Mapping[str, float | None]
    circuits_a: Mapping[str, float | None]
    cars: Mapping[str, Measured]
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

    def controllable(self, circuit: str = ROOT_CIRCUIT) -> Measured:
        """Chargers below a circuit and the battery's charging, >= 0."""
        cars = self.cars.get(circuit, Measured())
        unseen = self.commanded and circuit == ROOT_CIRCUIT and self.battery_w is None
        more_w = math.inf if unseen else cars.more_w
        return Measured(max(0.0, cars.power_w) + self.charging_w(circuit), more_w, cars.read_mono_s)

    def generation(self) -> Measured:
        """What PV and the battery give, wherever it goes."""
        if self.pv_w is None:
            return NOBODY
        return Measured(max(0.0, -self.pv_w) + max(0.0, -(self.battery_w or 0.0)), math.inf if self.commanded and self.battery_w is None else 0.0)

    def at(self, entry: SignalModel, way: Direction) -> Measured:
        """What counts against a limit of this source."""
        if way is Direction.PRODUCTION:
            return metered(None if self.grid_w is None else max(0.0, -self.grid_w))
        return self.controllable(entry.circuit) if entry.binds == "controllable" else metered(self.circuit_w(entry.circuit))


def metered(watts: float | None) -> Measured:
    """What a meter of ours says; it is believed only while it is fresh."""
    return NOBODY if watts is None else Measured(watts)


def flows_of(site: Site, now: float) -> Flows:
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
    each = {key: _car(site, key, now) for key in site.evses}
    cars = {name: together(each[key] for key in keys) for name, keys in layout.below.items()}
    root = meters.watches.get(layout.circuits[ROOT_CIRCUIT].meter or "")
    last = root.last if root is not None and root.health is not Health.LOST else None
    battery = site.config.battery
    return Flows(
        watts,
        amps,
        cars,
        meters.side_power_w("pv"),
        site.devices.battery_w(meters.side_power_w("battery"), now),
        site.devices.soc_percent(meters.soc_percent()),
        last.energy_import_wh if last is not None else None,
        last.energy_export_wh if last is not None else None,
        last.voltage_v[: layout.phase_count] if last is not None else (),
        root.currents_a or () if root is not None and last is not None else (),
        battery is not None and battery.command is not None,
    )


def _car(site: Site, key: EvseKey, now: float) -> Measured:
    """One EVSE. A station that is away may draw what is booked for it; one that has told nothing lately, anything."""
    evse, channel = site.evses[key], site.actuator.channels[key]
    told_w = evse.power_w or 0.0
    if not channel.online:
        per_a = site.layout.voltage_v * len(evse.place.phases)
        return Measured(0.0, site.actuator.booked_offline_a(channel, now) * per_a)
    if evse.session is None:
        return Measured()
    if evse.doubted:
        return NOBODY
    rests = evse.session.charging_state in RESTS or channel.ceiling_a(now, None, -math.inf) <= 0.0
    age_s, followed_s = now - evse.measured_mono_s, channel.lowered_mono_s + evse.place.model.apply_s + REACTION_S
    if FRESH_S < age_s <= STALE_S and evse.measured_mono_s < followed_s:
        return Measured(0.0, max(0.0, told_w), evse.measured_mono_s)  # read before it could follow its last cut
    if age_s <= STALE_S:
        return Measured(told_w, 0.0, math.inf if rests and told_w == 0.0 else evse.measured_mono_s)
    return Measured() if rests and evse.power_w == 0.0 else NOBODY
