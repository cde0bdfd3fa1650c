"""The energy site as a whole in virtual time, second by second: the very engine, cars, roof, battery, two limits - and devices that misbehave.

The world is random by a seed: weather, building, prices, tempers of the devices, limits, faults. Judged each second are the breakers of all
circuits, the bounds of feeding in and of drawing, and the battery's state of charge.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

from controller.config import PHASE_INDEX, Config
from controller.engine import Engine
from controller.facts import Direction, Fact, LimitStated, MeterFailed, Persisted, Restored, SourceChanged, Stamp
from controller.orders import Persist, SteerDevice
from controller.sim.car import VOLTAGE_V
from controller.sim.devices import BATTERY, Temper
from controller.sim.physics.breaker import Breaker
from controller.sim.scenario import DEMO_MIDNIGHT_WALL_S, ENERGY, Scenario
from controller.sim.virtual import VirtualDay
from controller.site.stations.charger import ChargerModel
from optimizer.problem import Plan, Problem
from optimizer.solve import SolveError, SolveReason

FAULTS = (
    "grid meter silent", "battery meter silent", "pv meter silent", "battery silent", "battery refuses", "battery deaf", "battery drops",
    "another master", "inverter silent", "inverter refuses", "inverter deaf", "soc unknown", "killed", "forgets", "wall clock jumps",
)  # fmt: skip
UNRULY = frozenset(
    {"battery meter silent", "battery silent", "battery refuses", "battery deaf", "another master", "soc unknown", "killed", "forgets"}
)
"""With these it need not do what the law says, or the law does not know what it does."""
FAULT_LINGERS_S = 75.0
"""A command of before lives on so long, or it is given free and told anew."""
NEAR_W = 300.0
"""A bound is over when it is passed by more than this: half a percent of the roof [W]."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """One fault. from_s, to_s: of the run."""

    what: str
    from_s: float
    to_s: float
    who: str = ""
    value: float = 0.0


@dataclass
class Seen:
    """What was judged. over_*: seconds over the bound in one go, by the second at which it began; the limit holds since ``since``."""

    hour: list[float] = field(default_factory=list)
    grid_w: list[float] = field(default_factory=list)
    battery_w: list[float] = field(default_factory=list)
    made_w: list[float] = field(default_factory=list)
    ev_w: list[float] = field(default_factory=list)
    soc: list[float] = field(default_factory=list)
    export_runs: list[tuple[float, float, float]] = field(default_factory=list)
    import_runs: list[tuple[float, float, float]] = field(default_factory=list)
    below_reserve_wh: float = 0.0
    below_least_wh: float = 0.0
    below_why_wh: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))


@dataclass(slots=True)
class Run:
    """Seconds in a row over a bound, and the worst of them [W]."""

    began_s: float = 0.0
    length_s: float = 0.0
    worst_w: float = 0.0

    def step(self, now: float, over_w: float, runs: list[tuple[float, float, float]]) -> None:
        """A second with so much over the bound."""
        if over_w > NEAR_W:
            self.began_s = now if not self.length_s else self.began_s
            self.length_s += 1.0
            self.worst_w = max(self.worst_w, over_w)
        elif self.length_s:
            runs.append((self.began_s, self.length_s, self.worst_w))
            self.length_s = self.worst_w = 0.0


def weather(random: Random) -> Scenario:
    """The energy day under another sky, with another building and other cars."""
    peak_w = random.uniform(30_000.0, 72_000.0)
    hours = [number / 12.0 for number in range(66, 247)]
    pv = [(hour, peak_w * max(0.0, math.sin((hour - 5.5) / 15.0 * math.pi)) * random.choice((1, 1, 1, 0.9, 0.35))) for hour in hours]
    building = [(hour / 4.0, random.uniform(4_000.0, 26_000.0)) for hour in range(97)]
    steps = [point for hour, watts in building for point in ((hour, watts), (hour + 0.24, watts))]
    visits = tuple(replace(visit, need_wh=visit.need_wh * random.uniform(0.6, 1.3)) for visit in ENERGY.visits)
    return replace(ENERGY, pv=tuple(pv), building=tuple(steps), visits=visits)


def prices(config: Config, random: Random) -> Config:
    """Other prices, some below zero."""
    buy = tuple(one.model_copy(update={"price_per_kwh": random.uniform(-0.05, 0.45)}) for one in config.tariff.buy)
    sell = tuple(one.model_copy(update={"price_per_kwh": random.uniform(-0.1, 0.12)}) for one in config.tariff.sell)
    return config.model_copy(update={"tariff": config.tariff.model_copy(update={"buy": buy, "sell": sell})})


def tempers(config: Config, random: Random) -> dict[str, Temper]:
    """How each device is: most by the book, some slow, some odd."""
    names = [BATTERY, *(one.id for one in config.inverters)]
    reacts, ramps, twice = (1.0, 2.0, 4.0, 8.0), (0.0, 2.0, 5.0), (0.0, 0.0, 3.0)
    return {name: Temper(random.choice(reacts), random.choice(ramps), twice_s=random.choice(twice)) for name in names}


def troubles(random: Random, seconds: float, each_s: float, config: Config) -> list[Trouble]:
    """One fault each so often on average."""
    found, now = [], random.expovariate(1.0 / each_s)
    while now < seconds:
        what, who = random.choice(FAULTS), random.choice([one.id for one in config.inverters] or [""])
        found.append(Trouble(what, now, now + random.uniform(10.0, 400.0), who, random.uniform(-30_000.0, 30_000.0)))
        now += random.expovariate(1.0 / each_s)
    return found


class EnergyWorld(VirtualDay):
    """Drive it with ``run``. limits: what two sources say, by second of the run: (direction, watts or None)."""

    def __init__(
        self,
        config: Config,
        scenario: Scenario,
        begin_h: float,
        models: Mapping[str, ChargerModel],
        *,
        tempers: Mapping[str, Temper] | None = None,
        troubles: list[Trouble] | None = None,
        limits: Mapping[int, tuple[Direction, float | None]] | None = None,
        plan: bool = True,
    ) -> None:
        self.start_wall_s = DEMO_MIDNIGHT_WALL_S + 3600.0 * begin_h
        super().__init__(config, scenario, self.start_wall_s, models)
        self._models, self._plan = models, plan
        self.devices.tempers.update(tempers or {})
        self.troubles, self.limits = troubles or [], dict(limits or {})
        self.breakers = {"grid": Breaker("grid", config.grid.fuse_a), **{one.id: Breaker(one.id, one.fuse_a) for one in config.circuits}}
        self.seen, self.disk = Seen(), dict[tuple[str, str], Any]()
        self.bound_w: dict[Direction, float | None] = dict.fromkeys(Direction)
        self._runs = {way: Run() for way in Direction}
        self._second, self._wall_off_s, self._dead = 0.0, 0.0, False
        self.counts: Counter[str] = Counter()

    # -- time ----------------------------------------------------------------------------------------------

    def run(self, seconds: float, meanwhile: Callable[[EnergyWorld, Stamp], None] | None = None) -> EnergyWorld:
        """Let so many seconds pass."""
        for _ in range(round(seconds)):
            at = Stamp(1000.0 + self._second, self.start_wall_s + self._second)
            if self._second == 0.0:
                self.begin(at)
            self._second += 1.0
            if meanwhile is not None:
                meanwhile(self, at)
            self._make_trouble(at)
            self._say_limits(at)
            self.step(at)
            self._judge(at)
        return self

    def tick(self, at: Stamp) -> None:
        """A dead controller does nothing."""
        if not self._dead:
            super().tick(at)

    def connect(self, at: Stamp, station_id: str) -> None:
        """Nobody answers while the controller is dead."""
        if not self._dead:
            super().connect(at, station_id)

    def read(self, at: Stamp, reading: Any) -> None:
        """A meter that is silent fails; the state of charge may be missing."""
        kinds = self._kinds(at)
        if self._dead:
            return
        if f"{reading.meter_id} meter silent" in kinds:
            self.submit(MeterFailed(at, reading.meter_id, "no answer"))
            return
        super().read(at, replace(reading, soc_percent=None) if "soc unknown" in kinds else reading)

    def submit(self, fact: Fact) -> None:
        """Nothing reaches a dead controller; its wall clock may be wrong."""
        if not self._dead:
            super().submit(replace(fact, at=replace(fact.at, wall_s=fact.at.wall_s + self._wall_off_s)) if self._wall_off_s else fact)

    def _kinds(self, at: Stamp) -> set[str]:
        return {one.what for one in self._now()}

    def _now(self) -> list[Trouble]:
        return [one for one in self.troubles if one.from_s <= self._second < one.to_s]

    def _make_trouble(self, at: Stamp) -> None:
        now, devices = self._now(), self.devices
        by: dict[str, set[str]] = defaultdict(set)
        for one in now:
            by[one.what].add(one.who)
        battery = {BATTERY}
        devices.silent = by["inverter silent"] | (battery if "battery silent" in by else set())
        devices.refuses = by["inverter refuses"] | (battery if "battery refuses" in by else set())
        devices.deaf = by["inverter deaf"] | (battery if "battery deaf" in by else set())
        devices.dropped = battery if "battery drops" in by else set()
        devices.others = {BATTERY: next(one.value for one in now if one.what == "another master")} if "another master" in by else {}
        devices.hides_soc = "soc unknown" in by
        if "forgets" in by:
            devices.forget()
        self._wall_off_s = 900.0 if "wall clock jumps" in by else 0.0
        if ("killed" in by) != self._dead:
            self._die(at) if not self._dead else self._rise(at)

    def _die(self, at: Stamp) -> None:
        """kill -9: sockets close, nothing else is said to anybody."""
        self._dead = True
        self._todo.clear()
        for station in self.stations.values():
            if station.connected:
                station.closed(at)
                station.wants_close = False
        self.counts["killed"] += 1

    def _rise(self, at: Stamp) -> None:
        self._dead = False
        self.engine = Engine(self.config, f"again-{self._second}", self._models)
        self.submit(Restored(at, dict(self.disk), {}))
        self.submit(SourceChanged(at, "solver", True, "in process"))
        for direction, watts in self.bound_w.items():
            if watts is not None:
                self._state(at, direction, watts)

    def _persist(self, at: Stamp, order: Persist) -> Fact:
        self.disk |= order.remember
        self.disk = {key: value for key, value in self.disk.items() if value is not None}
        fact = super()._persist(at, order)
        assert isinstance(fact, Persisted)
        return fact

    def steered(self, at: Stamp, order: SteerDevice) -> None:
        """Count commands."""
        self.counts[order.device] += 1
        super().steered(at, order)

    def plan(self, problem: Problem) -> Plan:
        """Without any plan the arbiter fills every fuse: harder on them."""
        if not self._plan:
            raise SolveError(SolveReason.NO_SOLVER, "nobody plans here")
        return super().plan(problem)

    # -- limits ----------------------------------------------------------------------------------------------

    def _say_limits(self, at: Stamp) -> None:
        said = self.limits.get(round(self._second))
        if said is not None:
            self.bound_w[said[0]] = said[1]
            self._state(at, *said)

    def _state(self, at: Stamp, direction: Direction, watts: float | None) -> None:
        source = "operator" if direction is Direction.CONSUMPTION else "roofs"
        self.submit(LimitStated(at, source, direction, watts))

    # -- the judge ---------------------------------------------------------------------------------------------

    def currents_a(self) -> dict[str, list[float]]:
        """What flows through each circuit, per phase [A]."""
        found = {name: [0.0, 0.0, 0.0] for name in self.breakers}
        for station in self.config.stations:
            amps = self.stations[station.id].site_current_a()
            if station.circuit != "grid":
                found[station.circuit] = [had + more for had, more in zip(found[station.circuit], amps, strict=True)]
        found["grid"] = [abs(amps) for amps in self.site.physics.grid.current_a]
        return found

    def _judge(self, at: Stamp) -> None:
        physics, seen = self.site.physics, self.seen
        for name, amps in self.currents_a().items():
            self.breakers[name].step(amps, 1.0, at.wall_s)
        grid_w = physics.grid.power_w
        most_out_w = min(watts for watts in (self.config.grid.max_export_w, self.bound_w[Direction.PRODUCTION], 1e9) if watts is not None)
        most_in_w = self.bound_w[Direction.CONSUMPTION]
        self._runs[Direction.PRODUCTION].step(self._second, -grid_w - most_out_w, seen.export_runs)
        self._runs[Direction.CONSUMPTION].step(self._second, grid_w - (1e9 if most_in_w is None else most_in_w), seen.import_runs)
        seen.hour.append(self._second / 3600.0)
        seen.grid_w.append(grid_w)
        seen.battery_w.append(physics.battery.power_w)
        seen.made_w.append(-physics.pv.power_w)
        seen.ev_w.append(sum(self.site.ev_current_a()) * VOLTAGE_V)
        soc = physics.battery.soc_percent or 0.0
        seen.soc.append(soc)
        store = self.config.battery
        if store is not None and physics.battery.power_w < -NEAR_W:
            given_wh = -physics.battery.power_w / 3600.0
            if soc < store.reserve_percent - 0.05:
                seen.below_reserve_wh += given_wh
                seen.below_why_wh[self._why()] += given_wh
            seen.below_least_wh += given_wh if soc < store.min_soc_percent - 0.05 else 0.0

    def _why(self) -> str:
        """Why the battery gives from its reserve: something does not obey or is not known, a circuit or limit is over, or neither."""
        faults = {one.what for one in self.troubles if one.from_s <= self._second < one.to_s + FAULT_LINGERS_S} & UNRULY
        if faults:
            return f"fault: {' and '.join(sorted(faults))}"
        reason = self.engine.site.devices.lines[BATTERY].reason
        return "relief of a fuse or limit" if reason == "fuse or limit: measured" else f"told so: {reason}"

    def thermal(self) -> float:
        """The warmest pole of all: 1.0 could have tripped."""
        return max(phase.peak_thermal for breaker in self.breakers.values() for phase in breaker.phases)

    def turns(self, series: list[float], least_w: float) -> int:
        """How often a series changes its direction by more than ``least_w``."""
        found, last, way = 0, series[0], 0
        for value in series[1:]:
            if abs(value - last) >= least_w:
                now = 1 if value > last else -1
                found += now != way
                way, last = now, value
        return found


__all__ = ["PHASE_INDEX", "EnergyWorld", "Seen", "Trouble", "prices", "tempers", "troubles", "weather"]
