"""One meter: good, late, lost and back; and what is not believed. Stories F40-F45 are in tests/faults."""

from __future__ import annotations

import math

import pytest

from controller.config import ControlConfig
from controller.site.meters.freshness import Cars, Health, MeterWatch, phase_currents
from meters.reading import Quality, Reading

GOOD = Reading("grid", Quality.GOOD, current_a=(10.0, 11.0, 12.0))


def watch(seconds: int = 0) -> MeterWatch:
    made = MeterWatch("grid", ControlConfig())
    for now in range(seconds):
        made.read(GOOD, (10.0 + now, 11.0, 12.0), Cars(), float(now))
    return made


@pytest.mark.parametrize(
    ("reading", "phases", "expected"),
    [
        (GOOD, 3, (10.0, 11.0, 12.0)),
        (GOOD, 1, (10.0, 0.0, 0.0)),
        (Reading("g", Quality.SUSPECT, current_a=(10.0, 11.0, 12.0)), 3, (12.0, 12.0, 12.0)),
        # F43: odd because the power of a phase contradicts the direction of its current: then the current counts as load.
        (Reading("g", Quality.SUSPECT, (-20.0, -20.0, -20.0), (4600.0, 4600.0, 4600.0)), 3, (20.0, 20.0, 20.0)),
        (Reading("g", Quality.SUSPECT, (-30.0, -20.0, -10.0), power_w=13_800.0), 3, (30.0, 30.0, 30.0)),
        (Reading("g", Quality.SUSPECT, (-20.0, -20.0, -20.0), (-4600.0, -4600.0, -4600.0), power_w=-15_000.0), 3, (-20.0, -20.0, -20.0)),
        # F45: odd because the power needs more current than is told: then the power counts.
        (Reading("g", Quality.SUSPECT, (6.0, 6.0, 6.0), (13_800.0, 1380.0, 1380.0)), 3, (60.0, 60.0, 60.0)),
        (Reading("g", Quality.SUSPECT, (6.0, None, None), power_w=13_800.0), 1, (60.0, 0.0, 0.0)),
        (Reading("g", Quality.GOOD, phase_power_w=(2300.0, -2300.0, 0.0)), 3, (10.0, -10.0, 0.0)),
        (Reading("g", Quality.GOOD, phase_power_w=(2400.0, 0.0, 0.0), voltage_v=(240.0, None, None)), 3, (10.0, 0.0, 0.0)),
        (Reading("g", Quality.GOOD, power_w=2300.0), 1, (10.0, 0.0, 0.0)),
        (Reading("g", Quality.GOOD, power_w=2300.0), 3, None),
        (Reading("g", Quality.GOOD, current_a=(1.0, None, 1.0)), 3, None),
        (Reading("g", Quality.GOOD, current_a=(1.0, math.nan, 1.0)), 3, None),
    ],
)
def test_currents_of_a_reading(reading: Reading, phases: int, expected: tuple[float, ...] | None) -> None:
    assert phase_currents(reading, 230.0, phases) == expected


@pytest.mark.parametrize(
    ("age_s", "health", "part"),
    [(0, Health.GOOD, 0), (2.9, Health.GOOD, 0), (3, Health.LATE, 0), (7, Health.LATE, 0.2), (10, Health.LOST, 0.35)],
)
def test_health_and_margin_by_age(age_s: float, health: Health, part: float) -> None:
    made = watch(5)
    assert made.look(4.0 + age_s) is health
    assert made.margin_part(4.0 + age_s) == pytest.approx(part)


def test_three_good_readings_in_a_row_bring_a_lost_meter_back() -> None:
    made = watch()
    assert made.look(0.0) is Health.LOST
    for now, usable in ((1.0, True), (2.0, True), (3.0, False), (4.0, True), (5.0, True)):
        made.read(GOOD, (now, 1.0, 1.0) if usable else None, Cars(), now)
        assert made.look(now) is Health.LOST
    made.read(GOOD, (6.0, 1.0, 1.0), Cars(), 6.0)
    assert made.look(6.0) is Health.GOOD
    assert made.trouble == ""


def test_a_late_meter_is_good_again_with_its_next_reading() -> None:
    made = watch(5)
    assert made.look(8.0) is Health.LATE
    made.read(GOOD, (3.0, 3.0, 3.0), Cars(), 8.5)
    assert made.look(8.5) is Health.GOOD


def test_stuck_needs_thirty_seconds_and_cars_that_moved() -> None:
    for moved_a, believed in ((0.0, True), (2.0, True), (2.5, False)):
        made = watch(5)
        for now in range(5, 40):
            cars = (6.0 + (moved_a if now > 10 else 0.0), 6.0, 6.0)
            last = made.read(GOOD, (10.0, 11.0, 12.0), Cars((("CP1", float(now), cars),)), float(now))
        assert last is believed


def test_a_car_that_stops_is_no_proof_against_the_meter() -> None:
    made = watch(5)
    for now in range(5, 10):
        assert made.read(GOOD, (5.0 + now / 100, 1.0, 1.0), Cars(fresh_a=(16.0, 0.0, 0.0)), float(now))
    for now in range(10, 40):
        assert made.read(GOOD, (5.0 + now / 100, 1.0, 1.0), Cars(), float(now))


def test_a_meter_that_was_too_low_gets_a_new_chance_when_no_car_is_left_to_prove_it() -> None:
    made, drawing = watch(3), Cars(fresh_a=(30.0, 30.0, 30.0))
    for second in range(10):
        made.read(GOOD, (5.0 + second / 100, 5.0, 5.0), drawing, 10.0 + second)
    assert made.trouble.startswith("shows less than the stations report")
    believed = [made.read(GOOD, (5.0 + second / 100, 5.0, 5.0), Cars(), 20.0 + second) for second in range(400)]
    assert believed.index(True) in range(290, 300), "with a fallback of 0 A nobody would ever charge again"
    assert all(believed[300:])
