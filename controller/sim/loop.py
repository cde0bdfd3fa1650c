"""The very engine of the field tied to simulated stations, a CSMS and meters in memory: no socket, no real second.

Stands in for the shells only; everything that decides anything is the product's own code. A station may take its time
to answer. The controller can be frozen (SIGSTOP): frames and closed sockets wait for it like in the buffers of the
kernel, ticks and polls do not happen, and when it goes on everything is there at once.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import replace

from controller.config import Config
from controller.engine import Engine
from controller.facts import (
    Fact,
    MeterRead,
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
from controller.orders import CloseStation, CloseUpstream, DialUpstream, Order, Persist, SendStation, SendUpstream, SolvePlan, SteerDevice, Tell
from controller.sim.books import CsmsBooks
from controller.sim.station import SimStation
from controller.site.stations.charger import ChargerModel
from meters.reading import Reading
from optimizer.failure import SolveError
from optimizer.live import Live
from optimizer.problem import Plan, Problem

SOLVE_DEADLINE_S = 10.0


class EngineLoop:
    """Engine, stations and CSMS in memory. answers_after_s: by station, how long it takes over what it says [s]."""

    def __init__(
        self,
        config: Config,
        models: Mapping[str, ChargerModel],
        stations: Mapping[str, SimStation],
        books: CsmsBooks | None = None,
        answers_after_s: Mapping[str, float] | None = None,
        seed: str = "virtual-day",
    ) -> None:
        self.config = config
        self.stations = stations
        self.engine = Engine(config, seed, models)
        self.live = Live(verify=False)  # the planner verifies what comes back
        self.books = books or CsmsBooks()
        self.told: list[Tell] = []
        self.plans = 0
        self.failed_plans = 0
        self.frozen = False
        self._rows = 0
        self._generations: dict[str, int] = {}
        self._todo: deque[Fact] = deque()
        self._waiting: deque[Fact] = deque()
        self._late = {name: deque[tuple[float, str]]() for name, after_s in (answers_after_s or {}).items() if after_s > 0.0}
        self._after_s = answers_after_s or {}

    # -- what happens to the controller ----------------------------------------------------------------

    def start(self, at: Stamp) -> None:
        """The controller starts with an empty disk; a solver is there."""
        self.submit(Restored(at, {}, {}))
        self.submit(SourceChanged(at, "solver", True, "in process"))

    def tick(self, at: Stamp) -> None:
        """One beat of the control loop, and what slow stations have thought of meanwhile."""
        self.deliver(at)
        self.beat(at)

    def beat(self, at: Stamp) -> None:
        """One beat of the control loop."""
        if not self.frozen:
            self.submit(TimePassed(at))

    def read(self, at: Stamp, reading: Reading) -> None:
        """A meter was polled."""
        if not self.frozen:
            self.submit(MeterRead(at, reading))

    def freeze(self) -> None:
        """SIGSTOP."""
        self.frozen = True

    def go_on(self, at: Stamp) -> None:
        """SIGCONT: what has piled up is read now."""
        self.frozen = False
        waiting, self._waiting = self._waiting, deque()
        for fact in waiting:
            self.submit(replace(fact, at=at))

    def connect(self, at: Stamp, station_id: str) -> None:
        """A station dials."""
        generation = self._generations[station_id] = self._generations.get(station_id, 0) + 1
        station = self.stations[station_id]
        self.submit(StationConnected(at, station_id, generation, station.spec.subprotocol, "127.0.0.1"))
        self.said(at, station_id, station.opened(at))

    def said(self, at: Stamp, station_id: str, texts: list[str]) -> None:
        """What a station has to say, in order; now or when it has thought about it."""
        late = self._late.get(station_id)
        for text in texts:
            if late is not None:
                late.append((at.mono_s + self._after_s[station_id], text))
            else:
                self.submit(StationFrame(at, station_id, self._generations[station_id], text))
        if self.stations[station_id].wants_close:
            self.hang_up(at, station_id, "reset")

    def hang_up(self, at: Stamp, station_id: str, reason: str) -> None:
        """A station's socket closes, whoever closed it."""
        station = self.stations[station_id]
        station.closed(at)
        station.wants_close = False
        if station_id in self._late:
            self._late[station_id].clear()
        self.submit(StationClosed(at, station_id, self._generations[station_id], reason))

    def submit(self, fact: Fact) -> None:
        """Hand in a fact and everything that follows from it, in order and without recursion."""
        if self.frozen:
            self._waiting.append(fact)
            return
        self._todo.append(fact)
        if len(self._todo) > 1:
            return
        while self._todo:
            for order in self.engine.handle(self._todo[0]):
                self._carry(self._todo[0].at, order)
            self._todo.popleft()

    def deliver(self, at: Stamp) -> None:
        """Bring what slow stations have thought of by now."""
        for station_id, late in self._late.items():
            while late and late[0][0] <= at.mono_s:
                self.submit(StationFrame(at, station_id, self._generations[station_id], late.popleft()[1]))

    # -- what the controller orders ----------------------------------------------------------------------

    def _carry(self, at: Stamp, order: Order) -> None:
        match order:
            case SendStation(station_id, generation, text):
                if generation == self._generations.get(station_id) and self.stations[station_id].connected:
                    self.said(at, station_id, self.stations[station_id].handle_frame(at, text))
            case CloseStation(station_id, generation, _, reason):
                if generation == self._generations.get(station_id):
                    self.hang_up(at, station_id, reason)
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
            case SteerDevice():
                self.steered(at, order)

    def steered(self, at: Stamp, order: SteerDevice) -> None:
        """A command for an inverter, the battery or a relay; a site without them ignores it."""

    def _persist(self, at: Stamp, order: Persist) -> Fact:
        rows = tuple(replace(row, number=self._rows + index + 1) for index, row in enumerate(order.rows))
        self._rows += len(rows)
        return Persisted(at, order.token, rows)

    def _solve(self, at: Stamp, order: SolvePlan) -> Fact:
        try:
            plan = self.plan(order.problem)
        except SolveError as error:
            self.failed_plans += 1
            return PlanFailed(at, str(error), order.problem.created_wall_s)
        self.plans += 1
        return PlanSolved(at, plan)

    def plan(self, problem: Problem) -> Plan:
        """The solver, in this process, its model kept alive as in the child. Raises SolveError."""
        return self.live.solve(problem, SOLVE_DEADLINE_S)
