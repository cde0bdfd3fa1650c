"""A backtest under Yardmaster: the very engine of the field on the simulated stations of a yard, in virtual time.

The engine hears of time, meters and stations as in the field; what it remembers of earlier sessions comes back from its journal, and
what drivers say through its API. Stations tell their values every two minutes, and whenever a current changes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from time import process_time

from controller.config import Config
from controller.facts import NeedStated, PhaseAmps, Restored, SourceChanged, Stamp
from controller.orders import Severity, Tell
from controller.sim.backtest.briefing import Foretold, memories, told_config
from controller.sim.backtest.case import Case
from controller.sim.backtest.market import Market
from controller.sim.backtest.outcome import PolicyOutcome
from controller.sim.backtest.timeline import Progress, outcome, stamp_of, travel
from controller.sim.backtest.yard import Guest, Yard, told_needs
from controller.sim.books import CsmsBooks
from controller.sim.car import VOLTAGE_V
from controller.sim.loop import EngineLoop
from controller.site.stations.charger import ChargerModel
from meters.reading import Quality, Reading

SAMPLE_S = 120.0
HEARTBEAT_S = 3600
SHOWN_ALARMS = 5


class BacktestLoop(EngineLoop):
    """Engine and yard tied together."""

    def __init__(self, case: Case, config: Config, models: Mapping[str, ChargerModel]) -> None:
        self.case = case
        self.yard = Yard(case, config, SAMPLE_S)
        super().__init__(config, models, self.yard.stations, CsmsBooks(heartbeat_s=HEARTBEAT_S), None, f"backtest-{case.seed}")
        if case.weather == "known":
            days, timezone = self.engine.site.days, config.site.timezone
            days.load, days.sun = Foretold(case.base_w, timezone), Foretold(case.pv_w, timezone)
        self._market = Market(case, config.site.timezone)
        self._meters = {meter.role: meter.id for meter in config.meters}
        self._circuit_meters = {circuit.meter: circuit.id for circuit in config.circuits if circuit.meter is not None}

    def begin(self, at: Stamp) -> None:
        """Start the controller with what it remembers, and plug in every station's network cable."""
        self.submit(Restored(at, memories(self.case, self.config), {}))
        self.submit(SourceChanged(at, "solver", True, "in process"))
        self.yard.advance(at)
        for station_id in self.stations:
            self.connect(at, station_id)
        for station in self.stations.values():
            station.settings[station.voice.heartbeat] = str(HEARTBEAT_S)  # nothing is learnt from most of its messages
        self._turn(at)

    def step(self, at: Stamp) -> None:
        """What has flowed until now, what stations say, what meters show, one beat of the control loop."""
        self.yard.advance(at)
        self._turn(at)

    def _turn(self, at: Stamp) -> None:
        for told in self._market.look(at):
            self.submit(told)
        for station_id, station in self.stations.items():
            if not station.connected:
                self.connect(at, station_id)
            texts = station.tick(at)
            if texts or station.wants_close:
                self.said(at, station_id, texts)
        for guest in list(self.yard.untold()):
            self._state(guest, at)
        for reading in self._readings(at):
            self.read(at, reading)
        self.beat(at)

    def _state(self, guest: Guest, at: Stamp) -> None:
        """What a driver or fleet says through the API."""
        guest.told = True
        told = told_needs(guest.visit, guest.car, self.case.drivers)
        if told is not None:
            self.submit(NeedStated(at, guest.visit.key, told[0], told[1], "driver"))

    def _readings(self, at: Stamp) -> list[Reading]:
        yard, found = self.yard, []
        for role, amps in (("grid", yard.grid_a), ("pv", _even(-yard.pv_w)), ("battery", _even(yard.battery.power_w))):
            if role in self._meters:
                register = yard.registers[role]
                shown = _rippled(amps, at.wall_s) if role == "grid" else amps
                soc = yard.battery.soc_percent if role == "battery" else None
                found.append(_reading(self._meters[role], shown, register.import_wh, register.export_wh, soc))
        for meter_id, circuit in self._circuit_meters.items():
            found.append(_reading(meter_id, _rippled(yard.circuit_a[circuit], at.wall_s)))
        return found


def _reading(meter_id: str, amps: PhaseAmps, import_wh: float | None = None, export_wh: float | None = None, soc: float | None = None) -> Reading:
    return Reading(
        meter_id,
        Quality.GOOD,
        current_a=amps,
        power_w=sum(amps) * VOLTAGE_V,
        energy_import_wh=import_wh,
        energy_export_wh=export_wh,
        soc_percent=soc,
    )


def _even(power_w: float) -> PhaseAmps:
    third = power_w / VOLTAGE_V / 3.0
    return third, third, third


def _rippled(amps: PhaseAmps, wall_s: float) -> PhaseAmps:
    """Small loads that come and go: no real meter shows the same number twice. Nobody is charged for them."""
    one, two, three = (amps[phase] + 0.05 * math.sin(wall_s / 7.3 + 2.1 * phase) for phase in (0, 1, 2))
    return one, two, three


def run_ours(case: Case, config: Config, models: Mapping[str, ChargerModel], name: str, progress: Progress) -> PolicyOutcome:
    """The whole time under Yardmaster."""
    began_s = process_time()
    loop = BacktestLoop(case, told_config(case, config), models)
    loop.begin(stamp_of(case, case.start_wall_s))
    travel(case, loop.yard, loop.step, progress)
    notes = [*_alarmed([tell for tell in loop.told if tell.severity is Severity.ALARM]), f"{loop.plans} plans solved, {loop.failed_plans} failed"]
    return outcome(case, loop.yard, name, began_s, tuple(notes))


def _alarmed(alarms: list[Tell]) -> list[str]:
    shown = [f"alarm: {tell.text}" for tell in alarms[:SHOWN_ALARMS]]
    return [*shown, f"{len(alarms) - SHOWN_ALARMS} more alarms"] if len(alarms) > SHOWN_ALARMS else shown
