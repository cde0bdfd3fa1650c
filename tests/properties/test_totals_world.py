"""Limits in watts in a closed loop: boxes of every temper, circuits in circuits, several sources, a building that feeds in on one phase.

The boxes, cars and meters are those of ``test_site_physics``; here the auditor reads the sum of the phases. What flows on a circuit, feed-in
on one phase making no room on another, stays below every total stated for it, and so does the sum of the chargers below a circuit whose
source binds the controllable loads, but for the time that a reading, a write, the slowest box and the slowest car take. The fuses hold
meanwhile as they do there. A story is made of one number, so that every failure can be played again.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from random import Random
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from controller.config import Config
from controller.facts import Direction, EvseKey, LimitReceived, LimitStated, LimitUnit
from controller.site.layout import PHASES
from tests.properties import test_site_physics as physics
from tests.support.examples import examples

VOLTAGE_V = 230.0
SLACK_A = 1.0
"""What a total may be exceeded by: the meters' own noise on three phases."""
BINDS = {"dso": "circuit", "loads": "controllable"}
LEVELS_W = (0.0, 1500.0, 3000.0, 4200.0, 4500.0, 7000.0, 11_000.0, 16_800.0, 25_000.0, 40_000.0)


def drawn(amps: Sequence[float]) -> float:
    """What counts against a total [A]."""
    return sum(max(0.0, one) for one in amps)


class World(physics.World):
    """The same depot, and what others state in watts. totals: (circuit, source) -> (most [W], until)."""

    def __init__(self, config: Config, chance: Random) -> None:
        super().__init__(config, chance)
        self.totals: dict[tuple[str, str], tuple[float, float]] = {}
        self.total_over_s: dict[tuple[str, str], int] = {}
        if config.grid.max_import_w is not None:
            self.totals["grid", "contract"] = (config.grid.max_import_w, math.inf)
        self.bound = {entry.id: (entry.circuit, entry.binds) for entry in config.signals}

    def state(self, circuit: str, source: str, watts: float | None, valid_for_s: float) -> None:
        """A fleet manager's limit."""
        self.tell(LimitReceived(self.at(), source, circuit, watts, LimitUnit.W, valid_for_s))
        self._note((circuit, source), watts, valid_for_s)

    def signal(self, source: str, watts: float | None, duration_s: float | None) -> None:
        """A source of ``signals`` speaks."""
        self.tell(LimitStated(self.at(), source, Direction.CONSUMPTION, watts, duration_s))
        self._note((self.bound[source][0], source), watts, math.inf if duration_s is None else duration_s)

    def _note(self, where: tuple[str, str], watts: float | None, valid_for_s: float) -> None:
        before = self.totals.pop(where, (math.inf, 0.0))[0]
        if watts is not None:
            self.totals[where] = (watts, self.now + valid_for_s)
            if watts < before:
                self.total_over_s[where] = 0

    def look(self) -> None:
        super().look()
        self.totals = {where: one for where, one in self.totals.items() if self.now < one[1] - 1.0}
        for (circuit, source), (watts, _) in self.totals.items():
            self.audit(circuit, source, watts / VOLTAGE_V + SLACK_A)

    def flows(self, circuit: str, source: str, keys: Sequence[EvseKey] | None = None) -> list[float]:
        """By phase [A]: all that flows on a circuit, or on what is bound there."""
        if self.bound.get(source, ("", ""))[1] != "controllable":
            return [self.carried_a(circuit, phase, keys) for phase in PHASES]
        cars = [self.plugs[key].car for key in (self.layout.below[circuit] if keys is None else keys)]
        return [sum(car.drawn_a[phase] for car in cars if car is not None) for phase in PHASES]

    def audit(self, circuit: str, source: str, most_a: float) -> None:
        below = self.layout.below[circuit]
        beyond = [key for key in below if self.excused(key)]
        over = drawn(self.flows(circuit, source)) > most_a and drawn(self.flows(circuit, source, beyond)) <= most_a - SLACK_A
        where = (circuit, source)
        self.total_over_s[where] = self.total_over_s.get(where, 0) + 1 if over else 0
        if self.total_over_s[where] > self.patience_s(circuit):
            cars = {str(key): (self.plugs[key].car, self.site.grants.get(key), self.site.evses[key].phases) for key in below}
            flows = self.flows(circuit, source)
            lasts = f"for {self.total_over_s[where]} s at {self.now}"
            raise AssertionError(f"{source} on {circuit}: {flows} A of {most_a:.1f} A {lasts}, beside cars {self.other_a}: {cars}")

    def patience_s(self, circuit: str) -> float:
        """How long what nobody could foresee may last [s]; the terms of ``physics.World.weigh``."""
        below = self.layout.below[circuit]
        slowest_s = max((place.model.apply_s for place in self.layout.places.values()), default=0.0)
        late_s = 3 * max(temper.late_s for temper in self.tempers.values())  # the first two ways may be refused, each as late
        found_s = physics.ASK_S + slowest_s + physics.REACTION_S + late_s + 1
        found_s += self.config.control.meter_lost_s if self.now - self.quiet_s[circuit] < 60.0 else 0.0
        found_s += physics.TRIES_S if any(self.now - self.trouble_s[key.station_id] < physics.TROUBLE_S for key in below) else 0.0
        found_s += 25.0 if any(self.now - self.stubborn_s[key] < 90.0 for key in below) else 0.0
        refuses_s = max((self.tempers[key.station_id].min_write_s for key in below), default=0.0)  # it says no for so long, whatever it is told
        return found_s + (refuses_s + physics.TRIES_S if refuses_s else 0.0)


def depot(chance: Random) -> Config:
    """A depot of ``test_site_physics`` with a contract and two sources, on any circuit."""
    raw: dict[str, Any] = physics.depot(chance).model_dump(mode="json", exclude_unset=True)
    circuits = ["grid", *(one["id"] for one in raw.get("circuits", ()))]
    if chance.random() < 0.3:
        raw["grid"]["max_import_w"] = chance.choice([11_000.0, 20_000.0, 43_000.0])
    raw["signals"] = [
        {"id": name, "type": "api", "heartbeat_s": 0, "circuit": chance.choice(circuits), "binds": binds} for name, binds in BINDS.items()
    ]
    return Config.model_validate(raw)


def happen(world: World, chance: Random) -> None:
    """Anything of before, or a word in watts, or the sun."""
    what = chance.choice(["usual", "usual", "plug", "plug", "watts", "watts", "signal", "sun"])
    circuits = list(world.layout.circuits)
    if what == "watts":
        watts = None if chance.random() < 0.1 else chance.choice(LEVELS_W)
        world.state(chance.choice(circuits), chance.choice(["mqtt", "api", "other"]), watts, 20.0 + chance.randint(0, 200))
    elif what == "signal":
        watts = None if chance.random() < 0.1 else chance.choice(LEVELS_W)
        world.signal(chance.choice(list(BINDS)), watts, chance.choice([None, 60.0, 300.0]))
    elif what == "plug":
        key = chance.choice(list(world.plugs))
        world.plug(key, chance.randint(1, len(world.layout.places[key].phases)), 63.0, False)
    elif what == "sun":
        circuit = chance.choice(circuits)
        world.other_a[circuit] = [amps if chance.random() < 0.5 else -chance.choice([1.0, 8.0, 30.0]) for amps in world.other_a[circuit]]
    else:
        usual(world, chance)


def usual(world: World, chance: Random) -> None:
    before = dict(world.totals)
    physics.happen(world, chance)
    # One limit per source and circuit: one in amperes takes the place of one in watts.
    for circuit, source in before:
        held = [one for one in world.site.limits.stated(world.now) if (one.circuit, one.source) == (circuit, source)]
        if source in ("mqtt", "api", "other") and (not held or held[0].unit is not LimitUnit.W):
            world.totals.pop((circuit, source), None)


def play(seed: int) -> World:
    """One story, then quiet with what was stated last."""
    chance = Random(seed)
    world = World(depot(chance), chance)
    for station in world.trouble_s:
        world.connect(station)
    for _ in range(8):
        world.step()
    for key in world.plugs:
        if chance.random() < 0.6:
            world.plug(key, chance.choice([1, len(world.layout.places[key].phases)]), 63.0, False)
    for source in BINDS:
        world.signal(source, chance.choice(LEVELS_W), None)
    for _ in range(chance.randint(5, 30)):
        happen(world, chance)
        for _ in range(chance.randint(1, 25)):
            world.step()
    physics.calm(world)
    return world


@given(st.integers(0, 2**32))
@settings(max_examples=examples(25), deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_no_total_and_no_fuse_is_over_for_longer_than_it_takes_to_follow(seed: int) -> None:
    play(seed)
