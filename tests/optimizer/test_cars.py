"""Acceptance curves as a program can hold them."""

from __future__ import annotations

import math

import pytest

from optimizer.cars import Curve, curve_of, usable_battery
from optimizer.problem import Ev
from tests.support.plans import battery, car, problem


def told(*points: tuple[float, float], soc_wh: float = 1000.0, capacity_wh: float = 10_000.0) -> Ev:
    return car(acceptance=points, soc_wh=soc_wh, capacity_wh=capacity_wh)


def test_a_concave_curve_becomes_a_cap_and_its_falling_lines() -> None:
    curve = curve_of(told((2000.0, 4000.0), (5000.0, 4000.0), (8000.0, 2500.0), (10_000.0, 500.0)))
    assert curve == Curve(4000.0, ((6500.0, -0.5), (10_500.0, -1.0)))


def test_beyond_the_last_point_the_last_power_lasts() -> None:
    assert curve_of(told((2000.0, 4000.0), (5000.0, 1000.0), soc_wh=6000.0)) == Curve(1000.0, ())


@pytest.mark.parametrize(
    "points",
    [((0.0, 4000.0), (5000.0, 1000.0), (9000.0, 900.0)), ((0.0, 900.0), (5000.0, 2000.0)), ((5000.0, 2000.0), (5000.0, 900.0), (9000.0, 900.0))],
)
def test_a_curve_no_program_can_hold_is_held_by_its_lowest_power(points: tuple[tuple[float, float], ...]) -> None:
    assert curve_of(told(*points)) == Curve(900.0, ())


@pytest.mark.parametrize("nonsense", [{"capacity_wh": 0.0}, {"soc_wh": -1.0}, {"soc_wh": math.nan}, {"capacity_wh": math.inf}])
def test_a_curve_without_believable_numbers_is_none(nonsense: dict[str, float]) -> None:
    assert curve_of(told((0.0, 4000.0), (5000.0, 1000.0), **nonsense)) == Curve(math.inf, ())


def test_the_batterys_reserve_fits_into_it() -> None:
    found = usable_battery(problem([0.3], battery=battery(reserve_wh=90_000.0)))
    assert found is not None
    assert found.reserve_wh == 10_000.0
