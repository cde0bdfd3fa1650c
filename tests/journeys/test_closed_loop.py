"""The loop is closed: 64 bays on three levels of circuits, cars and boxes of every temper, the real engine, virtual seconds.

The hardest half hour there is (every bay hungry at once, motors starting all the time) and F69: the controller is frozen
when all draw what they may and the building rises to its worst. The month is ``make test-30-days``.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from controller.config import Config
from controller.facts import Stamp
from controller.io.chargers import load_chargers
from controller.paths import config_dir
from controller.sim.physics.depot import Depot, make_depot
from controller.sim.physics.report import BUDGET_S, Identity, Report, report_of
from controller.sim.physics.runner import ClosedLoop, Freeze, Run, drive
from controller.sim.physics.scenes import busy, hungry, quiet, worst_rise
from controller.sim.physics.tempers import CARS

MONDAY_NOON = 20_619 * 86_400.0 + 12 * 3600.0
SEED = 1
COME_WITHIN_S = 240.0
FREEZE_S, FROZEN_S, AFTER_S = 480, 300, 240
CARS_FOLLOW_S = 12.0
"""The slowest car that counts: nine seconds to notice, then its ramp; one car that falls slower than that is one of sixty."""


Look = Callable[[Stamp, ClosedLoop], None]


def run(depot: Depot, seconds: float, freezes: tuple[Freeze, ...] = (), look: Look | None = None, thin: bool = False) -> ClosedLoop:
    config = Config.model_validate(depot.data)
    fleet = hungry(depot, SEED, MONDAY_NOON, COME_WITHIN_S, 24 * 3600.0)
    models = load_chargers(config_dir() / "chargers")
    return drive(Run(depot, config, models, SEED, MONDAY_NOON, seconds, freezes, "none", thin, fleet), look)


def judged(loop: ClosedLoop, frozen: bool = False) -> Report:
    return report_of(loop.world, Identity(SEED, loop.run.days, frozen), [(tell.severity.value, tell.text) for tell in loop.told], 0.0)


# -- the hardest half hour ----------------------------------------------------------------------------


@cache
def half_hour() -> tuple[ClosedLoop, Report]:
    loop = run(busy(make_depot(SEED)), 1800.0)
    return loop, judged(loop)


def test_no_fuse_is_above_1_13_for_longer_than_the_budget_and_none_can_have_tripped() -> None:
    loop, report = half_hour()
    assert report.breaches() == []
    assert report.motor_starts > 50
    grid = [row for row in report.phases if row.circuit == "grid"]
    assert min(row.peak_a for row in grid) > 0.95 * grid[0].fuse_a, "the fuse was really filled"
    assert {item.stay.temper.name for item in loop.world.parked.values()} == {temper.name for temper in CARS}


def test_everybody_who_can_be_helped_charges_in_turn() -> None:
    loop, report = half_hour()
    turn_s = loop.config.control.turn_s
    assert report.longest_wait.seconds <= 3 * turn_s, report.longest_wait
    got_kwh = sum(item.car.charged_wh for item in loop.world.parked.values()) / 1000.0
    assert got_kwh > 40.0


def test_the_flash_of_the_boxes_lives_on() -> None:
    """What outlives a session is written a few times, not at every change."""
    loop, report = half_hour()
    assert report.writes["TxDefaultProfile"] < 10 * report.stations
    assert sum(report.writes.values()) < 4.5 * 30 * len(loop.run.depot.evses), "renewals included, at most that many a minute"


def test_leaving_out_seconds_in_which_nothing_moves_changes_nothing_that_counts() -> None:
    """What the month does to be done in an hour: the same ten minutes, with and without, beside ordinary loads."""
    thin, every = (judged(run(make_depot(SEED), 600.0, thin=one)) for one in (True, False))
    for one, other in zip(thin.phases, every.phases, strict=True):
        assert abs(one.over_s - other.over_s) <= 15.0
        assert abs(one.longest_113_s - other.longest_113_s) <= 1.0
        assert abs(one.peak_thermal - other.peak_thermal) <= 0.05
    assert thin.motor_starts == every.motor_starts
    assert sum(thin.writes.values()) > 0.85 * sum(every.writes.values())
    assert thin.breaches() == every.breaches() == []


# -- F69 -------------------------------------------------------------------------------------------------


class Watch:
    """What is seen second by second around the freeze."""

    def __init__(self, config: Config) -> None:
        self.floor = {(station.id, evse.id): evse.fallback_a for station in config.stations for evse in station.evses}
        self.above: dict[float, list[str]] = {}
        self.over: dict[float, list[str]] = {}
        self.hot: dict[float, list[str]] = {}

    def __call__(self, at: Stamp, loop: ClosedLoop) -> None:
        since_s = at.wall_s - MONDAY_NOON - FREEZE_S
        stations = [station for station in loop.world.stations.values() if not station.faults.ignores_profiles]
        evses = [(station.spec.id, evse) for station in stations for evse in station.evses.values()]
        self.above[since_s] = [f"{name}/{evse.spec.id}" for name, evse in evses if evse.offer_a > self.floor[name, evse.spec.id] + 0.01]
        tree = loop.world.tree
        rows = [(one.circuit, max(amps) / one.fuse_a) for one, amps in zip(tree.breakers, tree.amps, strict=True)]
        self.over[since_s] = [name for name, part in rows if part > 1.0001]
        self.hot[since_s] = [name for name, part in rows if part > 1.13]


def test_f69_frozen_at_the_worst_moment_the_stations_fall_to_their_floor_and_control_comes_back() -> None:
    depot = quiet(make_depot(SEED), worst_rise(MONDAY_NOON + FREEZE_S))
    watch = Watch(Config.model_validate(depot.data))
    loop = run(depot, FREEZE_S + FROZEN_S + AFTER_S, (Freeze(FREEZE_S, FROZEN_S),), watch)
    life_s = loop.config.control.setpoint_life_s
    apply_s = max(station.temper.apply_s for station in loop.world.stations.values())
    assert life_s == 120.0
    assert len(watch.above[-1.0]) > 20, "the worst moment: the fuse is full of cars"
    assert "grid" in watch.over[60.0], "nobody cuts while the controller stands still"

    dead_s = life_s + apply_s
    late = {since_s: names for since_s, names in watch.above.items() if dead_s < since_s < FROZEN_S and names}
    assert late == {}, "every station is at its floor"
    over = {since_s: names for since_s, names in watch.over.items() if dead_s + CARS_FOLLOW_S < since_s < FROZEN_S and names}
    assert over == {}, "no fuse is above its limit afterwards"

    back = [since_s for since_s, names in watch.above.items() if since_s > FROZEN_S and len(names) > 5]
    assert back
    assert back[0] < FROZEN_S + 120.0, "control is back"
    hot_s = sum(bool(names) for since_s, names in watch.hot.items() if since_s > FROZEN_S)
    over_s = sum(bool(names) for since_s, names in watch.over.items() if since_s > FROZEN_S + 30.0)
    assert hot_s <= BUDGET_S, "and comes back safely, though some boxes have forgotten their floor when they dial again"
    assert over_s < 0.1 * AFTER_S
    assert judged(loop, frozen=True).breaches() == []
