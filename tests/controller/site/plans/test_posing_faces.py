"""What a limit of all controllable loads leaves to the battery in a plan."""

from __future__ import annotations

import dataclasses

import pytest

from controller.facts import LimitStep
from controller.site.grid.der import FaceSteps
from controller.site.plans.cars import Wishes
from controller.site.plans.posing_faces import beside_cars
from controller.site.state import layout_of
from optimizer.problem import Problem
from tests.support.plans import HOUR_S, START_S, battery, car, problem
from tests.support.site_story import QUICK, depot

HERE = frozenset({"CP1"})


def posed(*limits: LimitStep, with_battery: bool = True) -> Problem:
    """Four hours. A car needs 8 kWh in the first two, another 12 kWh in all; 3 x 230 V in the layout, 200 V in the problem."""
    short, long = START_S + 2 * HOUR_S, START_S + 4 * HOUR_S
    cars = (car("CP1/1", need_wh=8000.0, departure_wall_s=short), car("CP2/1", need_wh=12_000.0, departure_wall_s=long))
    given = problem([0.1] * 4, *cars, battery=dataclasses.replace(battery(), max_charge_w=20_000.0))
    face = FaceSteps("limit (dso)", HERE, limits, None, with_battery=with_battery)
    return beside_cars(given, (face,), layout_of(depot(2), QUICK), Wishes(given.slots))


def test_cars_come_first_by_what_they_need_on_the_mean_of_their_stay() -> None:
    found = posed(LimitStep(START_S, 15.0), LimitStep(START_S + 3 * HOUR_S, None)).battery
    assert found is not None
    assert found.max_slot_charge_w == pytest.approx((2000.0, 2000.0, 6000.0, 20_000.0))  # 9 kW less 4 + 3 kW, then less 3 kW, then no limit


def test_less_than_the_cars_need_leaves_nothing() -> None:
    found = posed(LimitStep(START_S, 5.0)).battery
    assert found is not None
    assert found.max_slot_charge_w == (0.0, 0.0, 0.0, 0.0)


def test_without_such_a_limit_nothing_changes() -> None:
    for free in (posed(LimitStep(START_S, None)), posed(LimitStep(START_S, 5.0), with_battery=False)):
        assert free.battery is not None
        assert free.battery.max_slot_charge_w == ()
