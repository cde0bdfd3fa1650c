"""A limit on the sum of controllable loads, held by what is measured; and watts as amps at the voltage there is."""

from __future__ import annotations

import math

import pytest

from controller.facts import LimitUnit
from controller.site.grid.measured import Measured
from controller.site.grid.measures import Measures
from controller.site.grid.trims import LEAST, Trims


def run(trims: Trims, seconds: int, limit_w: float, found_w: float, start: float = 0.0) -> float:
    for second in range(seconds):
        trims.look({"grid": limit_w}, {"grid": Measured(found_w, 0.0, start + second)}, start + second)
    return trims.of("grid", limit_w)


def test_a_new_limit_has_time_to_be_followed() -> None:
    assert run(Trims(), 30, 4200.0, 22_000.0) == 4200.0


def test_a_small_lasting_excess_is_taken_off_in_proportion() -> None:
    given_w = run(Trims(), 36, 10_000.0, 10_300.0)
    assert given_w == pytest.approx(10_000.0 / 1.03)


def test_a_great_one_is_somebody_who_does_not_follow() -> None:
    assert run(Trims(), 400, 10_000.0, 20_000.0) == pytest.approx(LEAST * 10_000.0)


def test_it_comes_back_slowly_and_ends_with_the_limit() -> None:
    trims = Trims()
    run(trims, 36, 10_000.0, 10_300.0)
    assert run(trims, 20, 10_000.0, 9000.0, 41.0) < 9900.0
    assert run(trims, 200, 10_000.0, 9000.0, 61.0) == 10_000.0
    run(trims, 36, 10_000.0, 10_300.0, 300.0)
    assert trims.of("grid", 10_000.0) < 10_000.0
    trims.look({}, {}, 400.0)
    assert trims.of("grid", 10_000.0) == 10_000.0


def test_what_was_read_before_a_step_could_be_followed_says_nothing_about_it() -> None:
    trims, read_s = Trims(), 0.0
    for second in range(120):  # a station that tells each minute, and follows at once
        read_s = float(second) if second in (0, 60) else read_s
        found_w = 22_000.0 if read_s == 0.0 else 10_000.0
        trims.look({"grid": 10_000.0}, {"grid": Measured(found_w, 0.0, read_s)}, float(second))
    assert trims.of("grid", 10_000.0) == 10_000.0


def test_what_is_measured_in_part_gives_nothing_back() -> None:
    trims = Trims()
    held_w = run(trims, 60, 10_000.0, 10_300.0)
    for second in range(600):
        trims.look({"grid": 10_000.0}, {"grid": Measured(5000.0, math.inf, 60.0 + second)}, 60.0 + second)
    assert trims.of("grid", 10_000.0) == held_w


def test_the_meters_own_error_is_none() -> None:
    assert run(Trims(), 300, 10_000.0, 10_015.0) == 10_000.0


def test_watts_are_divided_by_the_highest_voltage() -> None:
    measures = Measures(230.0, 3)
    assert measures.amps(6900.0) == pytest.approx(10.0)
    measures.seen((231.0, 250.0, 229.0))
    assert measures.amps(7500.0) == pytest.approx(10.0)
    measures.seen((248.0, 248.5, 247.0))  # noise: nothing moves
    assert measures.voltage_v == 250.0
    measures.seen((220.0, 221.0, 219.0))  # never below the nominal one
    assert measures.voltage_v == 230.0
    measures.seen((400.0, None, float("nan")))  # no voltage of this net
    assert measures.voltage_v == 230.0


def test_a_meter_without_voltages_tells_them_by_power_and_currents() -> None:
    measures = Measures(230.0, 3)
    measures.seen((None, None, None), 24_000.0, (32.0, 32.0, 32.0))
    assert measures.voltage_v == 250.0
    assert measures.amps(16.0, LimitUnit.A) == 16.0
    assert measures.watts(10.0, LimitUnit.A) == 6900.0
