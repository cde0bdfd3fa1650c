"""The whole controller on a virtual day: the same engine as in the field, no socket, no real second.

Stands in for the shells only: stations and CSMS answer in memory, the journal is a counter, the
solver is called in the same process, meters are read without a wire. Everything that decides
anything is the product's own code.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import replace

from controller.config import Config
from controller.engine import Engine
from controller.facts import (
    EvseKey,
    Fact,
    MeterRead,
    NeedStated,
    Persisted,
    PlanFailed,
    PlanSolved,
    Restored,
    SourceChanged,
    Stamp,
    StationClosed,
    StationConnected,
    StationFrame,
    TimePassed,
    UpstreamClosed,
    UpstreamFrame,
    UpstreamOpened,
)
from controller.orders import CloseStation, CloseUpstream, DialUpstream, Order, Persist, SendStation, SendUpstream, SolvePlan, Tell
from controller.sim.account import Account, Outcome
from controller.sim.books import CsmsBooks
from controller.sim.scenario import Scenario
from controller.sim.site import MeterValues, SimSite
from controller.sim.strategies import STEP_S, Progress, moments
from controller.site.charger import ChargerModel
from meters.reading import Quality, Reading
from optimizer.solve import SolveError, solve

SAMPLE_S = 15.0
SOLVE_DEADLINE_S = 10.0


class VirtualDay:
    """Engine, stations and CSMS tied together in virtual time. ``books`` and ``told`` are there to look at."""

    def __init__(self, config: Config, scenario: Scenario, start_wall_s: float, models: Mapping[str, ChargerModel]) -> None:
        self.config = config
        self.site = SimSite(config, scenario, start_wall_s, sample_s=SAMPLE_S)
        self.engine = Engine(config, "virtual-day", models)
        self.books = CsmsBooks()
        self.told: list[Tell] = []
        self.plans = 0
        self.failed_plans = 0
        self._rows = 0
        self._generations: dict[str, int] = {}
        self._todo: deque[Fact] = deque()

    def begin(self, at: Stamp) -> None:
        """Start the controller and plug in every station's network cable."""
        self._submit(Restored(at, {}, {}))
        self._submit(SourceChanged(at, "solver", True, "in process"))
        for station_id in self.site.stations:
            self._connect(at, station_id)

    def step(self, at: Stamp) -> None:
        """One step of the world, then one turn of the control loop."""
        self.site.advance(at)
        for station_id, station in self.site.stations.items():
            if not station.connected:
                self._connect(at, station_id)
            self._from_station(at, station_id, station.tick(at))
        for item in self.site.unspoken():  # what the fleet says through the API in the field
            self.site.stated(item)
            evse = EvseKey(item.arrival.station_id, item.arrival.evse_id)
            self._submit(NeedStated(at, evse, item.car.missing_wh, item.car.spec.departure_wall_s, "fleet"))
        for reading in self._readings():
            self._submit(MeterRead(at, reading))
        self._submit(TimePassed(at))

    def _readings(self) -> list[Reading]:
        physics = self.site.physics
        by_role = {"grid": physics.grid, "pv": physics.pv, "battery": physics.battery_meter}
        return [_reading(meter.id, by_role[meter.role]) for meter in self.config.meters if meter.role in by_role]

    def _connect(self, at: Stamp, station_id: str) -> None:
        generation = self._generations[station_id] = self._generations.get(station_id, 0) + 1
        subprotocol = self.site.stations[station_id].spec.subprotocol
        self._submit(StationConnected(at, station_id, generation, subprotocol, "127.0.0.1"))
        self._from_station(at, station_id, self.site.stations[station_id].opened(at))

    def _from_station(self, at: Stamp, station_id: str, texts: list[str]) -> None:
        for text in texts:
            self._submit(StationFrame(at, station_id, self._generations[station_id], text))
        if self.site.stations[station_id].wants_close:
            self._close(at, station_id, "reset")

    def _close(self, at: Stamp, station_id: str, reason: str) -> None:
        self.site.stations[station_id].closed(at)
        self.site.stations[station_id].wants_close = False
        self._submit(StationClosed(at, station_id, self._generations[station_id], reason))

    def _submit(self, fact: Fact) -> None:
        """Hand in a fact and everything that follows from it, in order and without recursion."""
        self._todo.append(fact)
        if len(self._todo) > 1:
            return
        while self._todo:
            for order in self.engine.handle(self._todo[0]):
                self._carry(self._todo[0].at, order)
            self._todo.popleft()

    def _carry(self, at: Stamp, order: Order) -> None:
        match order:
            case SendStation(station_id, generation, text):
                if generation == self._generations.get(station_id) and self.site.stations[station_id].connected:
                    self._from_station(at, station_id, self.site.stations[station_id].handle_frame(at, text))
            case CloseStation(station_id, generation, _, reason):
                if generation == self._generations.get(station_id):
                    self._close(at, station_id, reason)
            case DialUpstream(station_id, generation, _, offered):
                self.books.speaks(station_id, offered[0])
                self._todo.append(UpstreamOpened(at, station_id, generation, offered[0]))
            case SendUpstream(station_id, generation, text):
                self._todo.extend(UpstreamFrame(at, station_id, generation, answer) for answer in self.books.handle(station_id, at, text))
            case CloseUpstream(station_id, generation, reason):
                self._todo.append(UpstreamClosed(at, station_id, generation, reason))
            case Persist():
                self._todo.append(self._persist(at, order))
            case SolvePlan():
                self._todo.append(self._solve(at, order))
            case Tell():
                self.told.append(order)

    def _persist(self, at: Stamp, order: Persist) -> Fact:
        rows = tuple(replace(row, number=self._rows + index + 1) for index, row in enumerate(order.rows))
        self._rows += len(rows)
        return Persisted(at, order.token, rows)

    def _solve(self, at: Stamp, order: SolvePlan) -> Fact:
        try:
            plan = solve(order.problem, SOLVE_DEADLINE_S)
        except SolveError as error:
            self.failed_plans += 1
            return PlanFailed(at, str(error))
        self.plans += 1
        return PlanSolved(at, plan)


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
