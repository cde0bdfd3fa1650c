"""Plans by rules: who is served first, inside which limits, and what happens without any."""

import math

import pytest

from optimizer.check import check
from optimizer.problem import Node, PlanStatus
from optimizer.rules import ProblemError, allocate, curve_w, earliest_deadline_first, uncontrolled
from tests.support.plans import HOUR_S, START_S, car, ev_kw, grid, kw, load, problem


def test_the_car_with_least_time_to_spare_goes_first() -> None:
    """b leaves later, but needs so much that it has less time to spare; in the last hour it is a's turn."""
    first = car("a", need_wh=2000.0, departure_wall_s=START_S + 3 * HOUR_S)
    second = car("b", need_wh=12_000.0, departure_wall_s=START_S + 4 * HOUR_S)
    site = problem([0.3] * 4, first, second, nodes=[grid(20.0)])
    by_laxity, by_deadline = allocate(site), earliest_deadline_first(site)
    assert (ev_kw(by_laxity, "a"), ev_kw(by_laxity, "b")) == ([0, 0, 2, 0], [4, 4, 2, 2])
    assert (ev_kw(by_deadline, "a"), ev_kw(by_deadline, "b")) == ([2, 0, 0, 0], [2, 4, 4, 2])
    assert check(site, by_laxity) == check(site, by_deadline) == ()
    assert by_laxity.status is PlanStatus.RULES


def test_priority_comes_before_laxity() -> None:
    urgent, chosen = car("a", departure_wall_s=START_S + HOUR_S), car("b", priority=1)
    plan = allocate(problem([0.3], urgent, chosen, nodes=[grid(20.0)]))
    assert (ev_kw(plan, "a"), ev_kw(plan, "b")) == ([0], [4])
    assert plan.shortfall_wh == {"a": 4000.0}


def test_every_limit_of_the_tree_holds() -> None:
    nodes = [grid((30.0, 30.0, 10.0)), Node("hall", "grid", (25.0,) * 3, slot_limit_a=(25.0, 12.0), other_load_a=load(5.0, 0.0))]
    cars = [car("one", node_id="hall", need_wh=9000.0), car("three", node_id="hall", phases=(0, 1, 2), max_power_w=12_000.0, need_wh=9000.0)]
    site = problem([0.3, 0.3], *cars, nodes=nodes, import_limit_w=(5600.0, 9000.0))
    plan = allocate(site)
    assert check(site, plan) == ()
    assert kw(plan.grid_power_w)[0] == 5.0


def test_less_than_the_least_power_is_not_given() -> None:
    cars = car("a", departure_wall_s=START_S + HOUR_S), car("b", min_power_w=1200.0)
    plan = allocate(problem([0.3], *cars, nodes=[grid(25.0)]))
    assert (ev_kw(plan, "a"), ev_kw(plan, "b")) == ([4], [0])


def test_an_overload_by_others_is_reported_and_not_made_worse() -> None:
    site = problem([0.3], car(), car("l2", phases=(1,)), nodes=[grid(63.0, other_load_a=load(70.0))])
    plan = allocate(site)
    assert (ev_kw(plan), ev_kw(plan, "l2")) == ([0], [4])
    assert plan.overload_a == {"grid/L1": pytest.approx(7.0)}
    assert check(site, plan) == ()


def test_pv_makes_room_and_only_what_nobody_takes_is_thrown_away() -> None:
    """2 kW may leave, so the fuse of 10 A sees 3.33 A per phase flowing out: L1 has room for 13.33 A."""
    site = problem([0.3, 0.3], car(), nodes=[grid(10.0)], pv_w=[6000.0, 9000.0], export_limit_w=(2000.0,) * 2)
    plan = allocate(site)
    assert ev_kw(plan) == [2.667, 1.333]
    assert kw(plan.pv_curtailed_w) == [1.333, 5.667]
    assert check(site, plan) == ()


def test_uncontrolled_takes_all_at_once_and_says_what_it_overloads() -> None:
    plan = uncontrolled(problem([0.3, 0.1], car("a", need_wh=6000.0), car("b", arrival_wall_s=START_S + HOUR_S), nodes=[grid(30.0)]))
    assert (ev_kw(plan, "a"), ev_kw(plan, "b")) == ([4, 2], [0, 4])
    assert plan.overload_a == {}
    both = uncontrolled(problem([0.3], car("a"), car("b"), nodes=[grid(30.0)], import_limit_w=(5000.0,)))
    assert both.overload_a == {"grid/L1": pytest.approx(10.0), "import": pytest.approx(15.0)}
    assert both.peak_w == 8000.0


@pytest.mark.parametrize("make", [allocate, earliest_deadline_first, uncontrolled])
def test_a_contradicting_problem_is_refused_by_name(make: object) -> None:
    with pytest.raises(ProblemError, match="voltage"):
        make(problem([0.3], voltage_v=math.nan))  # type: ignore[operator]


def test_what_a_car_must_have_comes_before_anybodys_wish() -> None:
    """b has all day, but must have 3 kWh: it gets them before a, who has no minute to spare; 1 kW that is left is too little for a."""
    cars = car("a", need_wh=8000.0, departure_wall_s=START_S + 2 * HOUR_S), car("b", need_wh=9000.0, minimum_wh=3000.0)
    plan = allocate(problem([0.3] * 4, *cars, nodes=[grid(20.0)]))
    assert (ev_kw(plan, "b"), ev_kw(plan, "a")[:2]) == ([4, 0, 4, 1], [0, 4])
    assert {slack.kind for slack in plan.slacks} == {"shortfall"}


def test_a_car_is_not_offered_more_than_its_own_curve() -> None:
    """From 8 kWh on: 3.2 kW in the first hour (see test_check); the second begins at 11.2: x = 2.4 - x/4, held at 2 kW from 12 kWh on."""
    ev = car(need_wh=9000.0, capacity_wh=20_000.0, soc_wh=8000.0, acceptance=((8000.0, 4000.0), (12_000.0, 2000.0)))
    site = problem([0.3, 0.3], ev)
    plan = allocate(site)
    assert ev_kw(plan) == [3.2, 2.0]
    assert check(site, plan) == ()


def test_margins_reserves_and_the_unbalance_rule_leave_room_free() -> None:
    for nodes, more, kilowatts in (
        ([grid(20.0, margin_a=(5.0,))], {}, 3),
        ([grid(63.0, max_unbalance_a=10.0)], {}, 2),
        ([grid(63.0)], {"import_limit_w": (6000.0,), "reserve_w": (2500.0,)}, 3.5),
    ):
        site = problem([0.3], car(), nodes=nodes, **more)
        plan = allocate(site)
        assert ev_kw(plan) == [kilowatts]
        assert check(site, plan) == ()


def test_cars_on_other_phases_make_room_below_an_unbalance_rule() -> None:
    cars = [car(f"l{phase + 1}", phases=(phase,), departure_wall_s=START_S + (3 + phase) * HOUR_S) for phase in (0, 1, 2)]
    plan = allocate(problem([0.3], *cars, nodes=[grid(63.0, max_unbalance_a=10.0)]))
    assert [ev_kw(plan, ev.ev_id) for ev in cars] == [[4], [4], [4]]


def test_a_car_that_is_only_expected_gets_nothing() -> None:
    plan = allocate(problem([0.3], car(), car("expected:1", expected=True), nodes=[grid(20.0)]))
    assert (ev_kw(plan), ev_kw(plan, "expected:1")) == ([4], [0])


def test_a_curve_told_in_the_wrong_order_is_read_in_the_safer_way() -> None:
    assert curve_w(((9000.0, 9000.0), (0.0, 1000.0)), 10.0) == 1000.0
    assert curve_w(((0.0, 9000.0), (9000.0, 1000.0)), 4500.0) == 5000.0
