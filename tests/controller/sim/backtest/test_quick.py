"""The quick backtest on a small garage made by rule: what is metered, what is billed, what every policy must keep."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from controller.sim.backtest.bound import bound, whole_problem
from controller.sim.backtest.quick import Car, Guest, World, bill, on_steps, run
from controller.sim.backtest.quick_policies import ORDERS, Planner, Rule, Uncontrolled, past_of, price_changes, ready_by, rest_of, within
from optimizer.past import PastSession
from optimizer.problem import Node, Slot

DAY_S = 86_400.0
MONDAY_S = 4 * DAY_S
"""1970-01-05 UTC."""
VOLTS = 230.0
POWER_W = 6900.0


def car(number: int, day: int, hour: float, stay_h: float, kwh: float, phase: int = 0, **more: object) -> Car:
    begin_s = MONDAY_S + day * DAY_S + hour * 3600.0
    base = Car(f"{day}-{number}", f"e{number}", "hall", (phase,), begin_s, begin_s + stay_h * 3600.0, kwh * 1000.0, POWER_W, 6 * VOLTS)
    return replace(base, **more)  # type: ignore[arg-type]


def cars(days: int = 2) -> list[Car]:
    """Each day four cars on two phases, and one that is in a hurry at noon."""
    found = []
    for day in range(days):
        found += [car(number, day, 7.5 + number / 4, 9.0, 14.0, number % 2) for number in range(4)]
        found.append(car(9, day, 12.0, 2.0, 11.0))
    return found


def world(fleet: list[Car] | None = None, days: int = 2, demand: float = 3.0, limit_a: float = 40.0) -> World:
    quarters = 96 * (days + 2)
    hour = np.arange(quarters) / 4.0 % 24
    base = np.where((hour >= 8) & (hour < 18), 20_000.0, 5_000.0)
    buy = np.where((hour >= 12) & (hour < 18), 0.30, 0.10)
    nodes = (Node("site", None, (400.0,) * 3), Node("hall", "site", (limit_a,) * 3))
    start_s, end_s = MONDAY_S, MONDAY_S + days * DAY_S
    laid = on_steps(cars(days) if fleet is None else fleet, start_s, end_s)
    zeros = np.zeros(quarters)
    return World("yard", "UTC", "EUR", VOLTS, nodes, laid, start_s, end_s, base, zeros, buy, zeros, demand)


def past(weeks: int = 3) -> list[PastSession]:
    """The same cars in the weeks before."""
    week = [past_of(Guest(replace(one), charged_wh=one.wanted_wh)) for one in cars(5)]
    shifts = [7 * DAY_S * number for number in range(1, weeks + 1)]
    return [
        replace(one, arrival_wall_s=one.arrival_wall_s - shift, departure_wall_s=one.departure_wall_s - shift) for shift in shifts for one in week
    ]


# -- laying cars on steps ----------------------------------------------------------------------------


def test_stays_are_rounded_to_steps_and_wishes_to_what_they_allow() -> None:
    late = car(1, 0, 8.01, 0.5, 99.0)
    (laid,) = on_steps([late], MONDAY_S, MONDAY_S + DAY_S)
    assert laid.arrival_wall_s == MONDAY_S + 8 * 3600.0
    assert laid.departure_wall_s - laid.arrival_wall_s == 1800.0
    assert laid.wanted_wh == pytest.approx(POWER_W / 2)


def test_cars_outside_and_cars_that_want_nothing_are_left_out() -> None:
    fleet = [car(1, -1, 8.0, 4.0, 5.0), car(2, 1, 8.0, 4.0, 5.0), car(3, 0, 8.0, 4.0, 0.0)]
    assert on_steps(fleet, MONDAY_S, MONDAY_S + DAY_S) == ()


def test_two_cars_never_share_an_evse() -> None:
    first, second = on_steps([car(1, 0, 8.0, 1.04, 5.0), car(1, 0, 9.035, 1.0, 5.0, id="x")], MONDAY_S, MONDAY_S + DAY_S)
    assert first.departure_wall_s <= second.arrival_wall_s


def test_a_series_is_averaged_over_slots_and_goes_on_at_its_end() -> None:
    one = world(days=1)
    slots = [Slot(MONDAY_S + 7.5 * 3600, 3600.0), Slot(one.end_wall_s + 5 * DAY_S, 900.0)]
    assert one.over(one.base_w, slots).tolist() == [12_500.0, 5_000.0]


# -- metering and money ------------------------------------------------------------------------------


def test_uncontrolled_charging_is_metered_and_billed() -> None:
    one = world([car(1, 0, 8.0, 9.0, 13.8)], days=1)
    told = run(one, Uncontrolled())
    assert told.delivered_percent == pytest.approx(100.0)
    assert told.ev_cost == pytest.approx(13.8 * 0.10 + 3.0 * 6.9)
    assert told.peak_w == pytest.approx(26_900.0)
    assert told.worst["hall/L1"] == pytest.approx(30.0 / 40.0)
    assert told.over_limit_s == {}
    assert sum(quarter.ev_w for quarter in told.curve) / 4 == pytest.approx(13_800.0)


def test_uncontrolled_charging_breaks_limits_and_that_is_told() -> None:
    told = run(world(), Uncontrolled())
    assert told.over_limit_s["hall/L1"] > 0.0
    assert told.worst["hall/L1"] > 1.0


def test_energy_sold_earns_the_sell_price() -> None:
    one = world([], days=1)
    energy, demand, peak_w = bill(replace(one, sell_per_kwh=np.full(288, 0.05)), np.full(96, -1000.0))
    assert energy == pytest.approx(-24 * 0.05)
    assert (demand, peak_w) == (0.0, 0.0)


def test_a_car_that_gives_back_keeps_its_books_by_its_battery() -> None:
    able = car(1, 0, 8.0, 8.0, 10.0, max_discharge_w=5000.0, capacity_wh=50_000.0, soc_wh=20_000.0, reserve_wh=10_000.0, efficiency=0.9)
    guest = Guest(able, charged_wh=10_000.0, given_wh=8_100.0)
    assert guest.got_wh == pytest.approx(0.0)
    assert guest.soc_wh == pytest.approx(20_000.0)
    assert guest.room_wh == pytest.approx(30_000.0 / 0.9)


# -- policies ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", list(ORDERS))
def test_rules_keep_every_limit(name: str) -> None:
    told = run(world(), Rule(name))
    assert told.over_limit_s == {}
    assert told.worst["hall/L1"] == pytest.approx(1.0)
    assert told.delivered_percent > 90.0


def test_least_laxity_serves_the_one_in_a_hurry() -> None:
    one = world([car(1, 0, 8.0, 9.0, 30.0), car(9, 0, 9.0, 2.0, 11.0, id="0-9")], limit_a=30.0)
    missing = {session.id: session.missing_wh for session in run(one, Rule("least laxity")).sessions}
    assert missing["0-9"] < 100.0
    assert {session.id: session.missing_wh for session in run(one, Rule("first come")).sessions}["0-9"] > 1000.0


def test_nobody_is_cheaper_than_the_bound_and_ours_is_near() -> None:
    one = world()
    best, ours, plain = bound(one), run(one, Planner(past=past())), run(one, Rule("least laxity"))
    assert best.delivered_percent == pytest.approx(100.0)
    assert ours.delivered_percent > 99.9
    assert best.ev_cost <= ours.ev_cost + 1e-6
    assert ours.ev_cost < 1.10 * best.ev_cost < plain.ev_cost
    assert ours.over_limit_s == {}


def test_a_plan_without_past_still_delivers_within_limits() -> None:
    told = run(world(), Planner())
    assert told.delivered_percent > 98.0
    assert told.over_limit_s == {}


def test_the_rehearsed_peak_is_not_exceeded_when_the_past_comes_again() -> None:
    one = world(days=5)
    assert run(one, Planner(past=past())).peak_w <= 1.03 * bound(one).peak_w


def test_rounded_currents_are_whole_amps_or_nothing() -> None:
    seen: set[float] = set()

    class Watched(Planner):
        def powers(self, moment: object) -> dict[str, float]:
            given = dict(super().powers(moment))  # type: ignore[arg-type]
            seen.update(round(watts / VOLTS, 6) for watts in given.values())
            return given

    told = run(world(days=1), Watched(past=past(), rounded=True, replan_s=300.0))
    assert {amps for amps in seen if amps and (amps < 6 or amps != int(amps))} == set()
    assert told.delivered_percent > 99.0
    assert told.over_limit_s == {}


def test_drivers_who_say_nothing_are_served_from_habit() -> None:
    told = run(world(), Planner(past=past(), stated=True))
    assert told.delivered_percent > 97.0


def test_in_a_hurry_nothing_waits() -> None:
    one = world([car(1, 0, 12.0, 9.0, 6.9)], days=1)
    quarters = [quarter for quarter in run(one, Planner(hurry=True)).curve if quarter.ev_w > 1.0]
    assert quarters[0].wall_s == MONDAY_S + 12 * 3600.0
    assert len(quarters) == 4


# -- what the planner is told --------------------------------------------------------------------------


def test_a_car_is_ready_a_little_early_where_it_has_the_time() -> None:
    guest = Guest(car(1, 0, 8.0, 1.0, 6.9))
    assert ready_by(guest, guest.car.arrival_wall_s) == guest.car.departure_wall_s
    easy = Guest(car(1, 0, 8.0, 4.0, 6.9))
    assert ready_by(easy, easy.car.arrival_wall_s) == easy.car.departure_wall_s - 600.0


def test_beyond_the_horizon_only_what_cannot_follow_is_needed() -> None:
    ev = whole_problem(world([car(1, 0, 20.0, 4.0, 20.0)], days=1)).evs[0]
    assert within(ev, ev.departure_wall_s) == ev
    assert within(ev, ev.departure_wall_s - 3600.0).energy_need_wh == pytest.approx(20_000.0 - POWER_W)


def test_price_changes_are_edges_of_the_grid() -> None:
    one = world()
    assert [(edge - MONDAY_S) / 3600 for edge in price_changes(one, MONDAY_S)] == [12.0, 18.0]


def test_unknown_weather_is_taken_as_that_of_today() -> None:
    from controller.sim.backtest.quick import Moment

    one = world(days=3)
    one.base_w[96:192] = 99_000.0
    moment = Moment(one, MONDAY_S, {}, 1_000.0, 0.0)
    assert max(load[0] for load in rest_of(moment, "day").nodes[0].other_load_a) < 99_000.0 / 3 / VOLTS
    assert max(load[0] for load in rest_of(moment, "period").nodes[0].other_load_a) == pytest.approx(99_000.0 / 3 / VOLTS)


def test_the_bound_falls_with_more_room() -> None:
    tight, wide = bound(world(limit_a=32.0)), bound(world(limit_a=60.0))
    assert wide.ev_cost <= tight.ev_cost + 1e-9
