"""Preferences: each car its own, the same all the time, and in their order; waste never pays."""

from __future__ import annotations

import dataclasses

import pytest

from optimizer.highs import LiveHighs
from optimizer.model import build
from optimizer.objective import CHANGE, CYCLING, EARLY, URGENT, lateness, urgency_of, wear_cost
from optimizer.problem import Slot
from optimizer.weights import weights
from tests.support.plans import HOUR_S, START_S, car, hours, problem, v2g_car


class TestUrgency:
    def test_is_each_cars_own_and_within_its_range(self) -> None:
        found = [urgency_of(car(f"ev{index}"), START_S) for index in range(500)]
        assert len(set(found)) == 500
        assert all(0.0 <= value <= 1.0 for value in found)

    def test_follows_the_time_to_spare(self) -> None:
        pressed, relaxed = car(departure_wall_s=START_S + HOUR_S), car(departure_wall_s=START_S + 20 * HOUR_S)
        assert urgency_of(pressed, START_S) > urgency_of(relaxed, START_S) > urgency_of(car(max_power_w=0.0), START_S) >= 0.0

    def test_stays_with_the_car_while_it_stays(self) -> None:
        first = problem([0.3, 0.2], car("a"), car("b"))
        later = dataclasses.replace(first, evs=(car("a", departure_wall_s=START_S + 2 * HOUR_S, need_wh=9000.0), car("c")))
        model = build(later, build(first).urgency)
        assert model.urgency["a"] == build(first).urgency["a"]
        assert set(model.urgency) == {"a", "c"}


class TestOrder:
    def test_starting_now_is_cheaper_than_starting_later_and_keeping_is_cheapest(self) -> None:
        model = build(problem([0.3] * 3, car()))
        place, cost = model.cars["ev"], model.program.cost
        now, later, last = cost[place.charge : place.charge + 3]
        assert cost[place.keep] < now < later < last

    def test_swapping_two_cars_never_pays(self) -> None:
        assert 2 * CHANGE >= URGENT

    def test_preferences_stay_far_below_the_price_of_energy(self) -> None:
        assert EARLY + URGENT + 2 * CHANGE < 0.01

    def test_a_shrinking_first_slot_changes_no_lateness(self) -> None:
        slots = hours(4)
        assert lateness(slots) == lateness((Slot(START_S + 600.0, 3000.0), *slots[1:]))


class TestWear:
    def test_is_never_nothing(self) -> None:
        assert wear_cost(0.0, 1.0, weights(problem([0.3]))) == CYCLING

    def test_is_what_the_car_says(self) -> None:
        assert wear_cost(0.06, 0.9, weights(problem([0.3]))) == pytest.approx(0.2)

    def test_is_above_what_wasted_energy_earns_at_negative_prices(self) -> None:
        known = weights(problem([0.3, -0.3]))
        assert wear_cost(0.0, 0.9, known) * known.scale > 0.3 * (1 / 0.81 - 1)

    def test_so_a_store_is_not_burnt_down_to_be_filled_again(self) -> None:
        """Full at the start; the second hour pays for import, the first takes nothing back. Only losses could make room."""
        full = v2g_car(soc_wh=20_000.0, efficiency=0.8, wear_per_kwh=0.0)
        model = build(problem([0.1, -0.9], full, export_limit_w=(0.0, 0.0)))
        engine, place = LiveHighs(), model.cars["v2g"]
        engine.cold(model.lp)
        assert engine.values[place.give : place.give + 2].tolist() == [pytest.approx(0.0, abs=1e-9)] * 2
