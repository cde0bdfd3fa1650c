"""A depot in virtual time: the world of this package tied to the very engine of the field, second by second.

One step is a second of the world, one poll of every meter, whatever the stations say, and one beat of the control
loop. ``thin`` leaves out polls and beats while nothing moves: see ``Calm``. Plans are made by ``optimizer.rules`` in
the place of the solver, since a month has thousands; without any the arbiter alone fills every fuse, which is harder
on them.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from controller.config import Config
from controller.facts import EvseKey, NeedStated, Stamp
from controller.sim.books import CsmsBooks
from controller.sim.loop import EngineLoop
from controller.sim.physics.depot import Depot
from controller.sim.physics.fleet import Stay
from controller.sim.physics.tree import Tree
from controller.sim.physics.world import World
from controller.site.stations.charger import ChargerModel
from optimizer.problem import Plan, PlanStatus, Problem
from optimizer.rules import ProblemError, allocate
from optimizer.solve import SolveError, SolveReason

HEARTBEAT_S = 900
FORGET_EVERY_S = 3600.0
REBOOT_S = 45.0
PING_LOST_S = 40.0
STATED_EVERY_S = 5.0
NEVER_WALL_S = -1.0
LEFT_OUT_MOST = 1
MOVED_PART = 0.02
PLANS = ("rules", "solver", "none")
MONO_START_S = 1000.0


@dataclass(frozen=True, slots=True)
class Freeze:
    """SIGSTOP at a moment, for a while; both from the start of the run [s]."""

    at_s: float
    for_s: float


@dataclass(frozen=True, slots=True)
class Run:
    """What to run. seconds: virtual. freezes: when the controller stands still. plans: one of ``PLANS``. thin: see ``Calm``."""

    depot: Depot
    config: Config
    models: Mapping[str, ChargerModel]
    seed: int
    start_wall_s: float
    seconds: float
    freezes: tuple[Freeze, ...] = ()
    plans: str = "rules"
    thin: bool = False
    fleet: list[Stay] | None = field(default=None, repr=False)

    @property
    def days(self) -> float:
        """Length in days."""
        return self.seconds / 86_400.0


Look = Callable[[Stamp, "ClosedLoop"], None]


class Calm:
    """Whether meters and control loop may be left out in this second.

    The world, its breakers and every frame go on each second all the same. Left out is every second one at most, and only
    while no circuit is above its fuse, none has moved by more than a fiftieth of it since the controller last looked, and no
    motor has just started. So the controller never sees an excess or a jump later than it would have; what it does by
    itself (rises, renewals, turns) comes a second later at most.
    """

    def __init__(self, tree: Tree) -> None:
        self._fuses = [breaker.fuse_a for breaker in tree.breakers]
        self._seen = [(-math.inf,) * 3 for _ in self._fuses]
        self._left_out = 0

    def __call__(self, world: World) -> bool:
        """True: leave this second out."""
        if self._left_out < LEFT_OUT_MOST and self._nothing_moves(world):
            self._left_out += 1
            return True
        self._left_out = 0
        self._seen = [(row[0], row[1], row[2]) for row in world.tree.amps]
        return False

    def _nothing_moves(self, world: World) -> bool:
        if any(load.peaks for load in world.loads):
            return False
        for fuse_a, now, before in zip(self._fuses, world.tree.amps, self._seen, strict=True):
            if max(now) > fuse_a or any(abs(new - old) > MOVED_PART * fuse_a for new, old in zip(now, before, strict=True)):
                return False
        return True


class ClosedLoop(EngineLoop):
    """World and engine. Drive it with ``begin`` and ``step``, once a second."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.world = World(run.depot, run.config, run.seed, run.start_wall_s, run.days, run.fleet)
        late = {name: temper.answers_after_s for name, temper in run.depot.boxes.items()}
        super().__init__(run.config, run.models, self.world.stations, CsmsBooks(heartbeat_s=HEARTBEAT_S), late, f"physics-{run.seed}")
        self.frozen_since_mono_s = 0.0
        self.world.account.why = self._why
        self._calm = Calm(self.world.tree)
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
        elif not (self.run.thin and self._calm(world)):
            for meter_id in world.tree.meters:
                self.read(at, world.tree.reading(meter_id))
            self.beat(at)
        self.deliver(at)
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
        """By rules, by the solver, or a plan that came too late to be of use: then all is left to the arbiter."""
        if self.run.plans == "solver":
            return super().plan(problem)
        if self.run.plans == "none":
            return Plan(NEVER_WALL_S, (), {}, (), PlanStatus.FEASIBLE, 0.0, 0.0)
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
