"""The closed loop in real time: a real process, 64 bays at 52 stations over WebSockets, meters over Modbus, the physics of a depot.

F69 with it: the process is stopped (SIGSTOP) while the fuse is full of cars, and the building rises to its worst. Setpoints
live for 20 s here and cars react quickly, so that a minute is enough; ``make test-real-time`` takes its time and has every temper.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from controller.sim.physics.depot import make_depot
from controller.sim.physics.report import BUDGET_S
from controller.sim.physics.scenes import quiet
from controller.sim.physics.tempers import BOXES
from controller.sim.physics.world import World
from tests.support.real_time import RealDepot, real_control
from tests.support.yard import until

pytestmark = pytest.mark.system

SEED = 1
LIFE_S = 20.0
COME_WITHIN_S = 2.0
FULL_PART = 0.85
"""The worst moment: the fuse is full of cars."""
CARS_FOLLOW_S = 9.0
QUICK = {"setpoint_life_s": LIFE_S, "setpoint_renew_s": 8, "offline_hold_s": 20, "ramp_up_a_per_s": 20}


class Watch:
    """What was seen, by seconds since the start."""

    def __init__(self) -> None:
        self.above: dict[float, list[str]] = {}
        self.over: dict[float, list[str]] = {}

    def __call__(self, since_s: float, world: World) -> None:
        floor = {(station.id, evse.id): evse.fallback_a for station in world.config.stations for evse in station.evses}
        evses = [(name, evse) for name, station in world.stations.items() for evse in station.evses.values()]
        self.above[since_s] = [f"{name}/{evse.spec.id}" for name, evse in evses if evse.offer_a > floor[name, evse.spec.id] + 0.01]
        tree = world.tree
        self.over[since_s] = [one.circuit for one, amps in zip(tree.breakers, tree.amps, strict=True) if max(amps) > one.fuse_a + 0.01]


def within(seen: dict[float, list[str]], start_s: float, end_s: float) -> dict[float, list[str]]:
    """What was seen between two moments, where it was anything."""
    return {since_s: names for since_s, names in seen.items() if start_s < since_s < end_s and names}


def longest_s(seen: dict[float, list[str]], from_s: float) -> float:
    """The longest time without a break that something was seen."""
    longest = began = 0.0
    for since_s in sorted(since_s for since_s in seen if since_s > from_s):
        began = (began or since_s) if seen[since_s] else 0.0
        longest = max(longest, since_s - began if began else 0.0)
    return longest


async def test_f69_the_real_process_is_stopped_at_the_worst_moment(tmp_path: Path) -> None:
    depot = make_depot(SEED, tempered=False, control=real_control(**QUICK))
    watch = Watch()
    async with RealDepot(tmp_path, quiet(depot), SEED, COME_WITHIN_S) as real:
        real.look = watch
        stations, fuse_a = real.world.stations.values(), real.world.config.grid.fuse_a
        await until(lambda: max(real.world.tree.amps[-1]) > FULL_PART * fuse_a, 40)
        filled_a = max(real.world.tree.amps[-1])
        real.freeze()
        frozen_s = real.since_s
        dead_s = frozen_s + LIFE_S + BOXES[0].apply_s + 1.0  # the world is looked at five times a second
        await until(lambda: real.since_s > dead_s + CARS_FOLLOW_S + 1.5, 60)
        real.go_on()
        back_s = real.since_s
        await until(lambda: sum(station.connected for station in stations) == len(stations), 30)
        await until(lambda: len(next(reversed(watch.above.values()))) > 5, 40)
        await until(lambda: real.since_s > back_s + 10.0, 20)
        report = real.report(frozen=True)
        slowest_s = real.slowest_s

    over_s = report.phases[0].over_s
    print(f"filled to {filled_a:.0f} A, frozen at {frozen_s:.1f} s, over the fuse for {over_s:.1f} s, slowest step {slowest_s:.2f} s")
    assert within(watch.over, frozen_s, dead_s), "nobody cuts while the controller stands still"
    assert within(watch.above, dead_s, back_s) == {}, "every station is at its floor"
    assert within(watch.over, dead_s + CARS_FOLLOW_S, back_s) == {}, "no fuse is above its limit afterwards"
    assert longest_s(watch.over, back_s) <= BUDGET_S, "control comes back safely"
    assert report.breaches() == []
