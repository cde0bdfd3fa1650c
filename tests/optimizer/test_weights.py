"""Prices of promises keep their order, follow the unit of money, and do not tremble; demand windows."""

from __future__ import annotations

import dataclasses

import pytest

from optimizer.weights import base_shortfall_price, demand_windows, minimum_price, shortfall_price, weights
from tests.support.plans import battery, car, hours, problem, v2g_car


class TestWeights:
    def test_are_ordered(self) -> None:
        site = problem([0.3, -0.1], car(), v2g_car(), demand_per_kw=10.0, battery=battery(reserve_wh=1000.0))
        known = weights(site)
        assert known.overload > known.unbalance > known.minimum > known.energy > known.battery_reserve > known.scale
        assert minimum_price(known, site, car(priority=-5)) > shortfall_price(site, car(priority=2), known.energy)

    def test_follow_the_unit_of_money(self) -> None:
        euros, cents = problem([0.3, 0.1], car()), problem([38.4, 12.8], car())
        assert base_shortfall_price(cents) == pytest.approx(128 * base_shortfall_price(euros))

    def test_stay_the_same_while_the_demand_charge_runs_out(self) -> None:
        prices = {base_shortfall_price(problem([0.3], demand_per_kw=0.8 - day * 0.01)) for day in range(10)}
        assert len(prices) == 1

    def test_a_given_price_is_taken_as_it_is(self) -> None:
        assert base_shortfall_price(problem([0.3], shortfall_per_kwh=0.31)) == 0.31
        assert shortfall_price(problem([0.3], shortfall_per_kwh=0.31), car(shortfall_per_kwh=2.0, priority=1)) == pytest.approx(2.4)


class TestDemandWindows:
    def test_fine_slots_share_a_window_and_long_ones_hold_several(self) -> None:
        site = problem([0.3, 0.3], slots=hours(2))
        assert [(window.hours, window.parts, window.running) for window in demand_windows(site)] == [
            (0.25, ((0, 0.25),), True),
            (1.0, ((0, 1.0),), False),
            (1.0, ((1, 1.0),), False),
        ]

    def test_a_long_window_averages_its_slots(self) -> None:
        site = dataclasses.replace(problem([0.3] * 3, slots=hours(3)), demand_window_s=7200.0)
        assert [window.parts for window in demand_windows(site)] == [((0, 1.0),), ((1, 1.0), (2, 1.0))]
