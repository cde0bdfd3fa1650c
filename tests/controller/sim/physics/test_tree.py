"""Currents add up towards the grid, phase by phase; meters show them; inrush reaches every breaker above it."""

from __future__ import annotations

from typing import Any

import pytest

from controller.config import Config
from controller.sim.physics.loads import Load, LoadSpec, MotorSpec
from controller.sim.physics.tree import Tree

WALL_S = 20_619 * 86_400.0
METER: dict[str, Any] = {"role": "circuit", "source": {"type": "mqtt", "topic": "x"}}
DATA: dict[str, Any] = {
    "site": {"id": "x"},
    "grid": {"fuse_a": 100, "worst_other_load_a": 40, "meter": "main"},
    "circuits": [{"id": "panel", "fuse_a": 50}, {"id": "feeder", "parent": "panel", "fuse_a": 32, "meter": "fm"}],
    "stations": [
        {"id": "A", "circuit": "feeder", "evses": [{"id": 1, "max_current_a": 32}]},
        {"id": "B", "circuit": "panel", "evses": [{"id": 1, "max_current_a": 32}]},
        {"id": "C", "evses": [{"id": 1, "max_current_a": 32}]},
    ],
    "meters": [{"id": "main", **METER, "role": "grid"}, {"id": "fm", **METER}],
}


def tree(*loads: Load) -> Tree:
    return Tree(Config.model_validate(DATA), loads)


def load(circuit: str, *motors: MotorSpec) -> Load:
    return Load(LoadSpec(circuit, ((0.0, 10.0), (24.0, 10.0)), noise_a=0.0, motors=motors, weekend_part=1.0), "1", WALL_S)


def by_name(subject: Tree) -> dict[str, list[float]]:
    return dict(zip(subject.names, subject.amps, strict=True))


def test_the_sum_of_everything_below() -> None:
    building = load("panel")
    subject = tree(building)
    building.step(WALL_S + 1.0, 1.0)
    subject.step(WALL_S + 1.0, 1.0, [("A", (16.0, 0.0, 0.0)), ("B", (6.0, 6.0, 6.0)), ("C", (0.0, 20.0, 0.0))], -2.0)
    assert by_name(subject) == {"feeder": [16.0, 0.0, 0.0], "panel": [32.0, 16.0, 16.0], "grid": [30.0, 34.0, 14.0]}


def test_meters_show_their_circuit_and_count_energy() -> None:
    subject = tree()
    for second in range(1, 3601):
        subject.step(WALL_S + second, 1.0, [("A", (10.0, 10.0, 10.0))], 0.0)
        subject.count(1.0)
    reading = subject.reading("fm")
    assert reading.current_a == pytest.approx((10.0, 10.0, 10.0), rel=0.003)
    assert reading.energy_import_wh == pytest.approx(3 * 10 * 230)
    assert subject.values("main").current_a == pytest.approx((10.0, 10.0, 10.0), rel=0.003)


def test_nothing_is_shown_as_nothing_and_a_current_never_stands_still() -> None:
    subject = tree()
    shown = set()
    for second in range(1, 10):
        subject.step(WALL_S + second, 1.0, [("A", (10.0, 0.0, 0.0))], 0.0)
        shown.add(tuple(subject.shown("fm")))
    assert len(shown) > 3
    assert {row[1] for row in shown} == {0.0}


def test_inrush_on_a_panel_is_seen_by_its_breaker_and_the_grids_but_not_below() -> None:
    motor = MotorSpec("m", 10.0, inrush=8.0, inrush_s=0.5, pause_s=20.0, runs_s=20.0)
    building = load("panel", motor)
    subject = tree(building)
    for second in range(1, 200):
        building.step(WALL_S + second, 1.0)
        subject.step(WALL_S + second, 1.0, [("A", (5.0, 5.0, 5.0))], 0.0)
    peaks = {breaker.circuit: breaker.phases[0].peak_a for breaker in subject.breakers}
    assert peaks == {"feeder": 5.0, "panel": 95.0, "grid": 95.0}
    starts = building.motors[0].starts
    over_s = next(breaker for breaker in subject.breakers if breaker.circuit == "panel").phases[0].over_s
    assert over_s == pytest.approx(0.5 * starts, abs=0.5)
    assert starts >= 2
