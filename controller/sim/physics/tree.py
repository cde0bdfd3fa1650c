"""The tree of circuits: what flows where, what each breaker goes through, what each meter shows."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from controller.config import ROOT_CIRCUIT, Config
from controller.facts import PhaseAmps
from controller.sim.car import VOLTAGE_V
from controller.sim.physics.breaker import Breaker
from controller.sim.physics.loads import Load, extra_a, pieces
from controller.sim.site import MeterValues, Register
from meters.reading import Quality, Reading

WINDOW_S = 0.2
"""A meter shows the mean of this long [s]."""
FLICKER = 0.002
"""The voltage is never still, hence no current is; nothing is nothing all the same."""


class Tree:
    """All circuits of a site. ``amps``: by circuit and phase at the end of the last step, inrush apart."""

    def __init__(self, config: Config, loads: Sequence[Load]) -> None:
        parents = {circuit.id: circuit.parent for circuit in config.circuits}
        fuses = {ROOT_CIRCUIT: config.grid.fuse_a, **{circuit.id: circuit.fuse_a for circuit in config.circuits}}
        self.names = sorted(fuses, key=lambda name: -_depth(name, parents))  # leaves first, the grid last
        self._index = {name: number for number, name in enumerate(self.names)}
        self._parent = [self._index[parents[name]] if name in parents else -1 for name in self.names]
        self.breakers = [Breaker(name, fuses[name]) for name in self.names]
        self.amps = [[0.0, 0.0, 0.0] for _ in self.names]
        self._loads = list(loads)
        self._own = [(load, self._index[load.spec.circuit]) for load in loads]
        self._station = {station.id: self._index[station.circuit] for station in config.stations}
        self._end_wall_s = 0.0
        meters = {config.grid.meter: ROOT_CIRCUIT, **{circuit.meter: circuit.id for circuit in config.circuits}}
        self.meters = {meter.id: self._index[meters[meter.id]] for meter in config.meters if meter.id in meters}
        self._registers = {meter_id: Register() for meter_id in self.meters}

    def step(self, wall_s: float, seconds: float, stations: Iterable[tuple[str, PhaseAmps]], grid_a: float) -> None:
        """``seconds`` up to ``wall_s``. stations: their currents. grid_a: what else the grid feeds, on each phase [A]."""
        self._sum(stations, grid_a)
        self._end_wall_s = wall_s
        busy = [load for load in self._loads if load.peaks]
        if not busy:
            for breaker, amps in zip(self.breakers, self.amps, strict=True):
                breaker.step(amps, seconds, wall_s)
            return
        for length, extra in pieces(wall_s - seconds, wall_s, busy):
            on_top = self._up(extra)
            for breaker, amps, more in zip(self.breakers, self.amps, on_top, strict=True):
                breaker.step([amps[0] + more[0], amps[1] + more[1], amps[2] + more[2]], length, wall_s)

    def _sum(self, stations: Iterable[tuple[str, PhaseAmps]], grid_a: float) -> None:
        amps = self.amps = [[0.0, 0.0, 0.0] for _ in self.names]
        for station_id, (first, second, third) in stations:
            row = amps[self._station[station_id]]
            row[0] += first
            row[1] += second
            row[2] += third
        for load, index in self._own:
            self._add(amps[index], load.amps)
        amps[-1][0] += grid_a
        amps[-1][1] += grid_a
        amps[-1][2] += grid_a
        for row, parent in zip(amps, self._parent, strict=True):
            if parent >= 0:
                self._add(amps[parent], row)

    @staticmethod
    def _add(row: list[float], more: Sequence[float]) -> None:
        row[0] += more[0]
        row[1] += more[1]
        row[2] += more[2]

    def _up(self, extra: dict[str, list[float]]) -> list[list[float]]:
        """Inrush of circuits seen on every circuit above."""
        rows = [[0.0, 0.0, 0.0] for _ in self.names]
        for name, amps in extra.items():
            self._add(rows[self._index[name]], amps)
        for row, parent in zip(rows, self._parent, strict=True):
            if parent >= 0:
                self._add(rows[parent], row)
        return rows

    # -- what meters show ------------------------------------------------------------------------------

    def shown(self, meter_id: str) -> list[float]:
        """Currents of a meter now: the mean of the last window, rounded as meters do [A]."""
        index = self.meters[meter_id]
        amps = self.amps[index]
        if any(load.peaks for load in self._loads):
            end = self._end_wall_s
            more = self._up(extra_a(self._loads, end - WINDOW_S / 2.0))[index]
            amps = [amps[phase] + more[phase] for phase in (0, 1, 2)]
        flicker = 1.0 + FLICKER * math.sin(self._end_wall_s * 2.4 + index)
        return [round(one * flicker, 2) for one in amps]

    def count(self, seconds: float) -> None:
        """Let the registers of the meters run."""
        for meter_id, register in self._registers.items():
            register.add(sum(self.amps[self.meters[meter_id]]) * VOLTAGE_V, seconds)

    def values(self, meter_id: str) -> MeterValues:
        """Everything a meter shows, as the Modbus server wants it."""
        first, second, third = self.shown(meter_id)
        register = self._registers[meter_id]
        return MeterValues((first, second, third), register.import_wh, register.export_wh)

    def reading(self, meter_id: str) -> Reading:
        """Everything a meter shows, as the engine gets it."""
        first, second, third = self.shown(meter_id)
        register = self._registers[meter_id]
        power_w = (first + second + third) * VOLTAGE_V
        return Reading(
            meter_id,
            Quality.GOOD,
            (first, second, third),
            power_w=power_w,
            energy_import_wh=register.import_wh,
            energy_export_wh=register.export_wh,
        )


def _depth(name: str, parents: dict[str, str]) -> int:
    depth = 0
    while name in parents:
        name, depth = parents[name], depth + 1
    return depth
