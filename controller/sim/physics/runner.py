"""A depot in virtual time: the world of this package tied to the very engine of the field, second by second.

One step is a second of the world, one poll of every meter, whatever the stations say, and one beat of the control
loop. Plans are made by ``optimizer.rules`` in the place of the solver unless told otherwise: a month has thousands.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from controller.config import Config
from controller.facts import EvseKey, NeedStated, Stamp
from controller.sim.books import CsmsBooks
from controller.sim.loop import EngineLoop
from controller.sim.physics.depot import Depot
from controller.sim.physics.fleet import Stay
from controller.sim.physics.world import World
from controller.site.charger import ChargerModel
from optimizer.problem import Plan, Problem
from optimizer.rules import ProblemError, allocate
from optimizer.solve import SolveError, SolveReason

HEARTBEAT_S = 900
FORGET_EVERY_S = 3600.0
REBOOT_S = 45.0
PING_LOST_S = 40.0
STATED_EVERY_S = 5.0
MONO_START_S = 1000.0


@dataclass(frozen=True, slots=True)
class Freeze:
    """SIGSTOP at a moment, for a while; both from the start of the run [s]."""

    at_s: float
    for_s: float


@dataclass(frozen=True, slots=True)
class Run:
    """What to run. seconds: virtual. freezes: when the controller stands still. solver: the real one instead of rules."""

    depot: Depot
    config: Config
    models: Mapping[str, ChargerModel]
    seed: int
    start_wall_s: float
    seconds: float
    freezes: tuple[Freeze, ...] = ()
    solver: bool = False
    fleet: list[Stay] | None = field(default=None, repr=False)

    @property
    def days(self) -> float:
        """Length in days."""
        return self.seconds / 86_400.0


Look = Callable[[Stamp, "ClosedLoop"], None]


class ClosedLoop(EngineLoop):
    """World and engine. Drive it with ``begin`` and ``step``, once a second."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.world = World(run.depot, run.config, run.seed, run.start_wall_s, run.days, run.fleet)
        late = {name: temper.answers_after_s for name, temper in run.depot.boxes.items()}
        super().__init__(run.config, run.models, self.world.stations, CsmsBooks(heartbeat_s=HEARTBEAT_S), late, f"physics-{run.seed}")
        self.frozen_since_mono_s = 0.0
        self.world.account.why = self._why
        self._rebooted: set[str] = set()
        self._stated: set[str] = set()
        self._forget_mono_s = 0.0

    def begin(self, at: Stamp) -> None:
        """The controller starts and every station finds it (F12)."""
        self.start(at)
        for station_id in self.stations:
            self.connect(at, station_id)

    def step(self, at: Stamp) -> None:
        """One second of everybody."""
        world = self.world
        world.advance(at)
        for station_id, what in world.mishaps:
            self._mishap(at, station_id, what)
        for station_id, station in world.stations.items():
            if not station.connected:
                self._dial(at, station_id)
            texts = station.tick(at)
            if texts or station.wants_close:
                self.said(at, station_id, texts)
        if self.frozen:
            self._pings_unanswered(at)
        else:
            for meter_id in world.tree.meters:
                self.read(at, world.tree.reading(meter_id))
        self.tick(at)
        self._look_after(at)

    def freeze_at(self, at: Stamp) -> None:
        """SIGSTOP now."""
        self.frozen_since_mono_s = at.mono_s
        self.freeze()

    def _why(self, place: tuple[str, int]) -> str:
        """The controller's own words for what holds an EVSE back."""
        grant = self.engine.site.grants.get(EvseKey(*place))
        return "no grant" if grant is None else grant.reason

    def _look_after(self, at: Stamp) -> None:
        for station_id in list(self._rebooted):
            if self.world.stations[station_id].accepted:
                self.world.plug_in_again(at, station_id)
                self._rebooted.discard(station_id)
        if at.mono_s % STATED_EVERY_S < 1.0:
            self._state_needs(at)
        if at.mono_s >= self._forget_mono_s:
            self._forget_mono_s = at.mono_s + FORGET_EVERY_S
            self.books.forget()
            for station in self.stations.values():
                station.confirmed.clear()

    def _state_needs(self, at: Stamp) -> None:
        """What the fleet says through the API for cars whose stations have no words for it."""
        for (station_id, evse_id), item in self.world.parked.items():
            station, spec = self.world.stations[station_id], item.stay.spec
            transaction = station.evses[evse_id].transaction
            mute = spec.announces and not station.voice.tells_needs and spec.name not in self._stated
            if mute and transaction is not None and transaction.numbered:
                self._stated.add(spec.name)
                self.submit(NeedStated(at, EvseKey(station_id, evse_id), item.car.missing_wh, spec.departure_wall_s, "fleet"))

    def _mishap(self, at: Stamp, station_id: str, what: str) -> None:
        station = self.world.stations[station_id]
        if what == "reboots":
            self.world.power_cut(at, station_id)
            station.lost_until_mono_s = at.mono_s + REBOOT_S
            self._rebooted.add(station_id)
        elif station.connected:
            station.lose_link(at)
            self.hang_up(at, station_id, "cable pulled")

    def _dial(self, at: Stamp, station_id: str) -> None:
        if not self.frozen and at.mono_s >= self.world.stations[station_id].lost_until_mono_s:
            self.connect(at, station_id)

    def _pings_unanswered(self, at: Stamp) -> None:
        """A station hangs up on a controller that answers no ping; the kernel tells that later."""
        if at.mono_s - self.frozen_since_mono_s >= PING_LOST_S:
            for station_id, station in self.stations.items():
                if station.connected:
                    self.hang_up(at, station_id, "no answer to pings")

    def plan(self, problem: Problem) -> Plan:
        """By rules, or the solver."""
        if self.run.solver:
            return super().plan(problem)
        try:
            return allocate(problem)
        except ProblemError as error:
            raise SolveError(SolveReason.BAD_PROBLEM, str(error)) from error


def stamp_of(run: Run, second: float) -> Stamp:
    """The moment so many seconds after the start."""
    return Stamp(MONO_START_S + second, run.start_wall_s + second)


def drive(run: Run, look: Look | None = None, progress: Callable[[float, float], None] | None = None) -> ClosedLoop:
    """Run it from end to end. look: called after each second. progress: (share done, seconds it took)."""
    loop, began_s = ClosedLoop(run), time.monotonic()
    loop.begin(stamp_of(run, 0.0))
    freezes = {int(one.at_s): True for one in run.freezes} | {int(one.at_s + one.for_s): False for one in run.freezes}
    for second in range(1, int(run.seconds) + 1):
        at = stamp_of(run, second)
        if second in freezes:
            loop.freeze_at(at) if freezes[second] else loop.go_on(at)
        loop.step(at)
        if look is not None:
            look(at, loop)
        if progress is not None and second % 600 == 0:
            progress(second / run.seconds, time.monotonic() - began_s)
    loop.world.account.close_day(loop.world.stations)
    return loop
