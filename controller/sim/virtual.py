"""The whole controller on a virtual day: the same engine as in the field, no socket, no real second.

``loop`` ties the engine to the stations and the CSMS; here are the site of a scenario and its meters.
"""

from __future__ import annotations

from collections.abc import Mapping

from controller.config import Config
from controller.facts import EvseKey, NeedStated, Stamp
from controller.orders import SteerDevice
from controller.sim.account import Account, Outcome
from controller.sim.devices import SimDevices
from controller.sim.loop import EngineLoop
from controller.sim.operator import VirtualOperator
from controller.sim.scenario import Scenario
from controller.sim.site import MeterValues, SimSite
from controller.sim.strategies import STEP_S, Progress, moments
from controller.site.stations.charger import ChargerModel
from meters.reading import Quality, Reading

SAMPLE_S = 15.0


class VirtualDay(EngineLoop):
    """Engine, stations and CSMS tied together in virtual time. ``books`` and ``told`` are there to look at."""

    def __init__(self, config: Config, scenario: Scenario, start_wall_s: float, models: Mapping[str, ChargerModel]) -> None:
        self.site = SimSite(config, scenario, start_wall_s, sample_s=SAMPLE_S)
        super().__init__(config, models, self.site.stations)
        self.devices = SimDevices(config, self.site.physics)
        self.operator = VirtualOperator(config, scenario, start_wall_s)

    def begin(self, at: Stamp) -> None:
        """Start the controller and plug in every station's network cable."""
        self.start(at)
        for station_id in self.site.stations:
            self.connect(at, station_id)

    def step(self, at: Stamp) -> None:
        """One step of the world, then one turn of the control loop."""
        self.devices.advance(at)
        self.site.advance(at)
        for station_id, station in self.site.stations.items():
            if not station.connected:
                self.connect(at, station_id)
            self.said(at, station_id, station.tick(at))
        for item in self.site.unspoken():  # what the fleet says through the API in the field
            self.site.stated(item)
            evse = EvseKey(item.arrival.station_id, item.arrival.evse_id)
            self.submit(NeedStated(at, evse, item.car.missing_wh, item.car.spec.departure_wall_s, "fleet"))
        for reading in self._readings():
            self.read(at, reading)
        for fact in (*self.operator.facts(at), *self.devices.facts(at)):
            self.submit(fact)
        self.tick(at)

    def steered(self, at: Stamp, order: SteerDevice) -> None:
        """The simulated devices take the command."""
        self.devices.take(at, order)

    def _readings(self) -> list[Reading]:
        physics = self.site.physics
        by_role = {"grid": physics.grid, "pv": physics.pv, "battery": physics.battery_meter}
        return [_reading(meter.id, by_role[meter.role]) for meter in self.config.meters if meter.role in by_role]


def _reading(meter_id: str, values: MeterValues) -> Reading:
    return Reading(
        meter_id,
        Quality.GOOD,
        current_a=values.current_a,
        power_w=values.power_w,
        energy_import_wh=values.import_wh,
        energy_export_wh=values.export_wh,
        soc_percent=values.soc_percent,
    )


def run_yardmaster(
    name: str,
    config: Config,
    scenario: Scenario,
    start_wall_s: float,
    hours: float,
    models: Mapping[str, ChargerModel],
    progress: Progress,
) -> tuple[Outcome, VirtualDay]:
    """A day under Yardmaster's control."""
    day = VirtualDay(config, scenario, start_wall_s, models)
    account, stored_wh = Account(config, name), day.site.physics.battery.stored_wh
    for index, at in enumerate(moments(start_wall_s, hours)):
        if index == 0:
            day.begin(at)
        day.step(at)
        if index:
            account.add(at.wall_s, STEP_S, day.site.physics.grid.current_a, day.site.ev_current_a())
        if at.wall_s % 60 == 0:
            progress((at.wall_s - start_wall_s) / (hours * 3600.0))
    return account.close(day.site.gone, day.site.physics.battery.stored_wh - stored_wh), day
