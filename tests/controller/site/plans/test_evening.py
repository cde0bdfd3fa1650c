"""The rest of a demand window is spent evenly; whoever needs a whole slot on or off keeps it; limits and prices are edges."""

from __future__ import annotations

from dataclasses import replace

import pytest

from controller.site.plans.evening import evened, rest_of_window
from optimizer.check import check
from optimizer.live import Live
from optimizer.problem import Ev, Node, Plan, PlanStatus, Problem, Slot

START = 900.0 * 2_000_000
SLOTS = (Slot(START + 60, 240.0), Slot(START + 300, 300.0), Slot(START + 600, 300.0), Slot(START + 900, 900.0))


def problem(**parts: object) -> Problem:
    evs = tuple(Ev(f"e{number}", "grid", (0, 1, 2), START, START + 7200.0, 5_000.0, 4140.0, 22_080.0) for number in range(2))
    whole = Problem(START + 60, SLOTS, 230.0, (Node("grid", None, (63.0, 63.0, 63.0)),), evs, (0.3,) * 4, (0.1,) * 4, (0.0,) * 4, demand_per_kw=1.0)
    return replace(whole, **parts)  # type: ignore[arg-type]


def plan(first: tuple[float, ...], second: tuple[float, ...]) -> Plan:
    grid = tuple(map(sum, zip(first, second, strict=True)))
    return Plan(START + 60, SLOTS, {"e0": first, "e1": second}, grid, PlanStatus.PROVED, 0.0, 0.0)


def test_the_energy_until_the_end_of_the_window_is_spread_over_it() -> None:
    even = evened(problem(), plan((20_000.0, 10_000.0, 0.0, 7.0), (6_000.0, 6_000.0, 6_000.0, 8.0)), 0)
    assert even.ev_power_w["e0"][0] == pytest.approx((20_000 * 240 + 10_000 * 300) / 840)
    assert even.ev_power_w["e1"][0] == pytest.approx(6_000.0)
    assert even.grid_power_w[0] == pytest.approx(sum(series[0] for series in even.ev_power_w.values()))
    assert even.ev_power_w["e0"][1:] == (10_000.0, 0.0, 7.0)


def test_a_mean_below_the_minimum_stays_a_slot_on_and_a_slot_off() -> None:
    even = evened(problem(), plan((6_000.0, 0.0, 0.0, 0.0), (9_000.0, 6_000.0, 6_000.0, 0.0)), 0)
    assert even.ev_power_w["e0"][0] == 6_000.0
    assert even.grid_power_w[0] == pytest.approx(sum(series[0] for series in even.ev_power_w.values()))


def test_a_car_that_leaves_within_the_window_gets_its_energy_before() -> None:
    early = problem(evs=(replace(problem().evs[0], departure_wall_s=START + 300.0), problem().evs[1]))
    assert evened(early, plan((20_000.0, 0.0, 0.0, 0.0), (0.0,) * 4), 0).ev_power_w["e0"][0] == 20_000.0


@pytest.mark.parametrize(
    "parts",
    [
        {"buy_per_kwh": (0.3, 0.4, 0.4, 0.4)},
        {"import_limit_w": (9e3, 1e4, 1e4, 1e4)},
        {"nodes": (Node("grid", None, (63.0, 63.0, 63.0), (10.0, 20.0, 20.0, 20.0)),)},
    ],
)
def test_a_change_of_price_or_limit_ends_it(parts: dict[str, object]) -> None:
    assert rest_of_window(problem(**parts), plan((0.0,) * 4, (0.0,) * 4), 0) == [0]


def test_the_next_window_is_another_one() -> None:
    powers = plan((0.0,) * 4, (0.0,) * 4)
    assert rest_of_window(problem(), powers, 0) == [0, 1, 2]
    assert rest_of_window(problem(), powers, 1) == [1, 2]
    assert rest_of_window(problem(), powers, 3) == [3]
    assert evened(problem(), powers, 3) is powers


def test_an_evened_first_slot_of_a_real_plan_stays_within_every_limit() -> None:
    posed = problem(nodes=(Node("grid", None, (40.0, 40.0, 40.0)),), peak_so_far_w=15_000.0)
    real = Live().solve(posed, 30.0)
    even = evened(posed, real, 0)
    amps = sum(series[0] for series in even.ev_power_w.values()) / 690.0
    assert amps <= 40.0 + 1e-6
    assert check(posed, real) == ()
