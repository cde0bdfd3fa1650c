"""A whole depot in a closed loop: whatever happens in it, the fuses hold and nobody is forgotten.

The world is a few honest lines: stations keep an accepted setpoint for its life and then their floor,
cars follow a little later, meters add up what flows. Hypothesis writes the story: cars come and go,
the building jumps, stations vanish, fall silent or refuse, meters go quiet, limits and wishes come.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from controller.config import Config
from controller.facts import (
    ChargingState,
    EvseKey,
    EvseMeasured,
    EvseStatus,
    EvseStatusChanged,
    Fact,
    FloorConfirmed,
    LimitReceived,
    LimitStep,
    LimitUnit,
    MeterRead,
    SessionChanged,
    SetpointAnswered,
    Stamp,
    StationOffline,
    StationOnline,
    TimePassed,
    UpstreamWished,
)
from controller.orders import Inject, InstallFloor, Order, ReadBack
from controller.site.layout import PHASES
from controller.site.site import Site
from controller.site.stations.charger import ChargerModel
from meters.reading import Quality, Reading
from tests.support.examples import examples

WALL_S = 1_780_000_000.0
REACTION_S = 5
TRIES_S = 10
"""A station is asked three times, or given this long to follow, before the others make room for it [s]."""
MODELS = {
    "generic": ChargerModel("generic", apply_s=2.0),
    "slow": ChargerModel("slow", apply_s=12.0, reads_back=False),
    "tenth": ChargerModel("tenth", apply_s=2.0, step_a=0.1),
}
PHASE_SETS = (("L1", "L2", "L3"), ("L2", "L3", "L1"), ("L3", "L1", "L2"), ("L1",), ("L2",), ("L3",), ("L3", "L1"))


@dataclass
class Car:
    """A plugged-in car: how many of the EVSE's phases it uses and the most it takes."""

    phases: int
    wants_a: float
    transaction_id: str
    drawn_a: float = 0.0


@dataclass
class Box:
    """One EVSE as the world knows it: what it truly obeys."""

    key: EvseKey
    max_a: float
    floor_a: float | None = None
    limit_a: float = 0.0
    ends_s: float = -math.inf
    history: list[float] = field(default_factory=list)
    car: Car | None = None

    def offer_a(self, now: float, unplanned_a: float) -> float:
        """What the plug offers: the setpoint while it lives, the floor after, everything when nothing is installed."""
        amps = self.limit_a if now < self.ends_s else self.floor_a if self.floor_a is not None else unplanned_a
        return min(self.max_a, amps)


class World:
    """Depot and controller tied together, second by second."""

    def __init__(self, config: Config, seconds_between_reports: int) -> None:
        self.config, self.site = config, Site(config, MODELS)
        self.layout = self.site.layout
        self.now = 1000.0
        self.boxes = {key: Box(key, place.config.max_current_a) for key, place in self.layout.places.items()}
        self.online: set[str] = set()
        self.mute: set[str] = set()
        self.refusing: set[str] = set()
        self.trouble_s = {station.id: -math.inf for station in config.stations}
        self.silent: set[str] = set()
        self.quiet_s = dict.fromkeys(self.layout.circuits, -math.inf)
        self.other_a: dict[str, list[float]] = {name: [0.0, 0.0, 0.0] for name in self.layout.circuits}
        self.between = seconds_between_reports
        self.over_s: dict[tuple[str, int], int] = {}
        self._number = 0

    def at(self) -> Stamp:
        return Stamp(self.now, WALL_S + self.now)

    # -- what the controller is told and what it orders ----------------------------------------------------

    def tell(self, fact: Fact) -> None:
        for order in self.site.handle(fact):
            self.carry(order)

    def carry(self, order: Order) -> None:
        if not isinstance(order, Inject | InstallFloor | ReadBack):
            return
        station, box = order.evse.station_id, self.boxes[order.evse]
        if station not in self.online:
            if not isinstance(order, ReadBack):
                self.tell(SetpointAnswered(self.at(), order.evse, order.number, False, "station is not connected"))
        elif isinstance(order, ReadBack):
            shown_a = box.offer_a(self.now, box.max_a)
            self.tell(FloorConfirmed(self.at(), order.evse, shown_a, shown_a <= order.expected_a + 0.1, number=order.number))
        elif station in self.refusing:
            self.tell(SetpointAnswered(self.at(), order.evse, order.number, False, "Rejected"))
        else:
            self.obey(box, order)
            if station not in self.mute:  # a mute one obeys, but its answers are lost
                self.tell(SetpointAnswered(self.at(), order.evse, order.number, True))

    def obey(self, box: Box, order: Inject | InstallFloor) -> None:
        if isinstance(order, InstallFloor):
            box.floor_a = order.limit_a
        elif box.car is not None:
            assert order.limit_a == 0.0 or order.limit_a >= self.layout.places[box.key].min_a - 1e-6
            box.limit_a, box.ends_s = order.limit_a, self.now + order.life_s

    # -- what happens ------------------------------------------------------------------------------------------

    def connect(self, station: str) -> None:
        if station not in self.online:
            self.online.add(station)
            self.tell(StationOnline(self.at(), station, "2.0.1"))
            for box in self.of(station):
                if box.car is not None:
                    self.tell(SessionChanged(self.at(), box.key, box.car.transaction_id, None))

    def disconnect(self, station: str) -> None:
        if station in self.online:
            self.online.discard(station)
            self.tell(StationOffline(self.at(), station))

    def of(self, station: str) -> Iterable[Box]:
        return [box for key, box in self.boxes.items() if key.station_id == station]

    def plug(self, key: EvseKey, phases: int, wants_a: float) -> None:
        box = self.boxes[key]
        if box.car is None and key.station_id in self.online and box.floor_a is not None:
            box.car = Car(phases, wants_a, f"tx-{key}-{self.now:g}")
            box.history.clear()
            self.tell(EvseStatusChanged(self.at(), key, EvseStatus.OCCUPIED))
            self.tell(SessionChanged(self.at(), key, box.car.transaction_id, ChargingState.EV_CONNECTED, started=True))

    def unplug(self, key: EvseKey) -> None:
        box = self.boxes[key]
        if box.car is not None and key.station_id in self.online:
            gone, box.car, box.ends_s = box.car, None, -math.inf
            self.tell(EvseStatusChanged(self.at(), key, EvseStatus.AVAILABLE))
            self.tell(SessionChanged(self.at(), key, gone.transaction_id, None, ended=True))

    # -- physics ------------------------------------------------------------------------------------------------

    def used(self, key: EvseKey) -> tuple[int, ...]:
        car = self.boxes[key].car
        return self.layout.places[key].phases[: car.phases] if car is not None else ()

    def flow(self) -> None:
        """Stations apply late, cars react late: the longest both may take."""
        for key, box in self.boxes.items():
            if box.car is None:
                continue
            box.history.append(box.offer_a(self.now, box.max_a))
            late = int(self.layout.places[key].model.apply_s) + REACTION_S
            now_a, then_a = box.history[-1], box.history[max(0, len(box.history) - 1 - late)]
            # Up at once, down as late as allowed: the worst for a fuse.
            offer_a = max(box.history[-1 - late :]) if now_a < then_a or now_a < max(box.history[-1 - late :]) else now_a
            box.car.drawn_a = min(offer_a, box.car.wants_a) if offer_a >= 6.0 else 0.0
            del box.history[: -2 - late]

    def carried_a(self, circuit: str, phase: int, keys: Iterable[EvseKey] | None = None) -> float:
        """Everything on a circuit, or only these cars with the other load."""
        total = sum(self.other_a[name][phase] for name in self.layout.circuits if circuit in self.path(name))
        chosen = self.layout.below[circuit] if keys is None else keys
        return total + sum(box.car.drawn_a for key in chosen if (box := self.boxes[key]).car is not None and phase in self.used(key))

    def path(self, name: str) -> tuple[str, ...]:
        names, step = [], name
        while step is not None:  # type: ignore[redundant-expr]
            names.append(step)
            step = self.layout.circuits[step].parent  # type: ignore[assignment]
        return tuple(names)

    def step(self) -> None:
        self.now += 1.0
        self.flow()
        second = int(self.now)
        for number, (key, box) in enumerate(self.boxes.items()):
            if key.station_id in self.online and box.car is not None and (second + number) % self.between == 0:
                own = [box.car.drawn_a if index < box.car.phases else 0.0 for index in range(3)]
                self.tell(EvseMeasured(self.at(), key, (own[0], own[1], own[2])))
        for name, circuit in self.layout.circuits.items():
            if circuit.meter is not None and circuit.meter not in self.silent:
                self._number += 1
                amps = [self.carried_a(name, phase) + 1e-4 * (self._number % 7) for phase in PHASES]
                self.tell(MeterRead(self.at(), Reading(circuit.meter, Quality.GOOD, current_a=(amps[0], amps[1], amps[2]))))
        self.tell(TimePassed(self.at()))
        self.look()

    # -- the law ----------------------------------------------------------------------------------------------------

    def look(self) -> None:
        for station in self.trouble_s:
            if station not in self.online or station in self.mute or station in self.refusing:
                self.trouble_s[station] = self.now
        for name, circuit in self.layout.circuits.items():
            if any(self.layout.circuits[above].meter in self.silent for above in self.path(name)):
                self.quiet_s[name] = self.now
            for phase in PHASES:
                self.judge(name, circuit.fuse_a, phase)

    def judge(self, name: str, fuse_a: float, phase: int) -> None:
        # What nobody could have commanded lately is no fault of the controller's: a setpoint lives two minutes.
        beyond = [key for key in self.layout.below[name] if self.now - self.trouble_s[key.station_id] < 180.0]
        over = self.carried_a(name, phase) > fuse_a + 0.5 and self.carried_a(name, phase, beyond) <= fuse_a
        self.over_s[name, phase] = self.over_s.get((name, phase), 0) + 1 if over else 0
        slowest_s = max(place.model.apply_s for place in self.layout.places.values())
        budget_s = slowest_s + REACTION_S + 3
        if self.now - self.quiet_s[name] < 60.0:
            budget_s += self.config.control.meter_lost_s
        if self.now - max(self.trouble_s.values()) < 60.0:
            budget_s += TRIES_S
        cars = {str(key): self.boxes[key].car for key in self.layout.below[name]}
        assert self.over_s[name, phase] <= budget_s, f"{name} L{phase + 1} over {fuse_a} A for {self.over_s[name, phase]} s at {self.now}: {cars}"

    def stuck(self) -> list[EvseKey]:
        """Cars that get less than they could although nothing in the world is in their way."""
        found = []
        for key, box in self.boxes.items():
            if box.car is None:
                continue
            place, drawn_a = self.layout.places[key], box.car.drawn_a
            if drawn_a >= min(box.max_a, box.car.wants_a) - 2.0:
                continue
            tight = []
            for name in place.path:
                circuit, load = self.layout.circuits[name], self.site.meters.loads(self.now)[name]
                for phase in self.site.evses[key].phases:
                    other_a = load.other_a[phase]
                    loading = [k for k in self.layout.below[name] if self.boxes[k].car is not None and phase in self.site.evses[k].phases]
                    cars_a = sum(self.site.actuator.channels[k].present_a(self.now) for k in loading)
                    free_a = circuit.fuse_a - load.margin_a - other_a - cars_a
                    tight.append(free_a < (place.min_a if drawn_a == 0.0 else 2.5))
            if not any(tight):
                found.append(key)
        return found


# -- stories ------------------------------------------------------------------------------------------------------------


@st.composite
def depots(draw: st.DrawFn) -> Config:
    """A depot whose fallbacks fit by arithmetic, as ``check`` demands."""
    meters: list[dict[str, Any]] = []

    def meter(name: str, role: str) -> dict[str, Any]:
        meters.append({"id": name, "role": role, "source": {"type": "modbus", "host": "meter", "map": "any"}})
        return {"meter": name}

    names = ["grid", *draw(st.sampled_from([(), ("a",), ("a", "b"), ("a", "b", "c")]))]
    parents = {"a": "grid", "b": draw(st.sampled_from(["grid", "a"])), "c": "b"}
    stations = []
    for number in range(draw(st.integers(1, 5))):
        evses = []
        for evse_id in range(1, draw(st.integers(1, 2)) + 1):
            most_a = draw(st.sampled_from([16.0, 32.0, 32.0, 125.0]))
            phases = draw(st.sampled_from(PHASE_SETS))
            fallback_a = draw(st.sampled_from([0.0, 6.0, 6.0]))
            evses.append({"id": evse_id, "phases": phases, "max_current_a": most_a, "fallback_a": fallback_a, "priority": draw(st.integers(0, 1))})
        model = draw(st.sampled_from(["generic", "generic", "slow", "tenth"]))
        stations.append({"id": f"CP{number}", "circuit": draw(st.sampled_from(names)), "model": model, "evses": evses})
    floors = dict.fromkeys(names, 0.0)
    for station in stations:
        step: str | None = station["circuit"]
        while step is not None:
            floors[step] += sum(evse["fallback_a"] for evse in station["evses"])
            step = parents.get(step)
    worst = {name: draw(st.sampled_from([0.0, 5.0, 20.0])) for name in names[1:]}
    fuses = {name: floors[name] + sum(worst.values()) + draw(st.sampled_from([2.0, 8.0, 30.0, 90.0])) for name in names}
    circuits = []
    for name in names[1:]:
        metered = meter(name, "circuit") if draw(st.booleans()) else {}
        circuits.append({"id": name, "parent": parents[name], "fuse_a": fuses[name], "worst_other_load_a": worst[name], **metered})
    own_a = draw(st.sampled_from([0.0, 10.0, 40.0])) + sum(worst.values())
    grid = {"fuse_a": fuses["grid"] + own_a, "worst_other_load_a": own_a, **(meter("grid", "grid") if draw(st.booleans()) else {})}
    control = {"solver_deadline_s": 600, "setpoint_life_s": 60, "setpoint_renew_s": 25, "offline_hold_s": 60}
    return Config.model_validate(
        {"site": {"id": "world"}, "grid": grid, "circuits": circuits, "stations": stations, "meters": meters, "control": control}
    )


EVENTS = ("plug", "plug", "plug", "unplug", "building", "building", "offline", "online", "mute", "refuse", "well", "silent", "speak", "limit", "wish")
STORY = st.lists(st.tuples(st.sampled_from(EVENTS), st.integers(0, 9), st.integers(0, 100), st.integers(1, 25)), min_size=5, max_size=30)


def happen(world: World, what: str, which: int, much: int) -> None:
    """One event of a story."""
    keys, stations = list(world.boxes), list(world.trouble_s)
    key, station = keys[which % len(keys)], stations[which % len(stations)]
    names = list(world.layout.circuits)
    circuit = names[which % len(names)]
    meters = list(world.layout.metered)
    if what == "plug":
        world.plug(key, 1 + much % len(world.layout.places[key].phases), (32.0, 16.0, 10.0, 125.0)[much % 4])
    elif what == "unplug":
        world.unplug(key)
    elif what == "building":
        most_a = world.layout.circuits[circuit].worst_other_load_a
        if circuit == "grid":  # the grid's worst load counts the circuits' too
            most_a -= sum(one.worst_other_load_a for one in world.layout.circuits.values() if one.id != "grid")
        world.other_a[circuit] = [most_a * ((much + 37 * phase) % 101) / 100.0 for phase in PHASES]
    elif what == "offline":
        world.disconnect(station)
    elif what == "online":
        world.connect(station)
    elif what == "mute":
        world.mute.add(station)
    elif what == "refuse":
        world.refusing.add(station)
    elif what == "well":
        world.mute.discard(station)
        world.refusing.discard(station)
    elif what == "silent" and meters:
        world.silent.add(meters[which % len(meters)])
    elif what == "speak":
        world.silent.clear()
    elif what == "limit":
        value = None if much > 90 else float(much)
        world.tell(LimitReceived(world.at(), ("mqtt", "api")[which % 2], circuit, value, LimitUnit.A, 5.0 + much))
    elif what == "wish":
        steps = () if much > 80 else (LimitStep(WALL_S + world.now, float(much % 40)), LimitStep(WALL_S + world.now + 30, None))
        place = EvseKey(key.station_id, 0) if which % 3 == 0 else key
        world.tell(UpstreamWished(world.at(), place, steps, "upstream profile 7"))


def play(config: Config, story: list[tuple[str, int, int, int]], between: int) -> World:
    world = World(config, between)
    for station in world.trouble_s:
        world.connect(station)
    for _ in range(5):
        world.step()
    for what, which, much, seconds in story:
        happen(world, what, which, much)
        for _ in range(seconds):
            world.step()
    return world


@given(depots(), STORY, st.sampled_from([1, 5, 30]))
@settings(max_examples=examples(40), deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
def test_no_fuse_is_ever_over_for_longer_than_the_budget_and_nobody_is_stuck_in_the_end(
    config: Config, story: list[tuple[str, int, int, int]], between: int
) -> None:
    world = play(config, story, between)
    world.mute.clear()
    world.refusing.clear()
    world.silent.clear()
    for station in world.trouble_s:
        world.connect(station)
    for _ in range(200):
        world.step()
    # Those that take turns change places, at the latest when a turn of 300 s is over; who never moves is stuck.
    still = set(world.stuck())
    for _ in range(360):
        if not still:
            break
        world.step()
        still &= set(world.stuck())
    assert not still, {key: (world.boxes[key], world.site.grants.get(key)) for key in still}
