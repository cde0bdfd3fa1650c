"""Cars that are alike are planned as one: the optimum stays the same, and every one of them gets a plan it can follow."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optimizer.check import check
from optimizer.problem import Ev, Plan, Problem, SlackKind
from optimizer.solve import solve
from optimizer.twins import merge, split
from tests.support.examples import examples
from tests.support.plans import START_S, car, ev_kw, grid, problem, v2g_car

FOREVER_S = 1e9
TIES = 2e-3
"""Preferences (urgency, few changes) are per car, so they differ a little; money, energy and limits do not."""

NEEDS_WH = st.sampled_from([1500.0, 4000.0, 9000.0])


def both(whole: Problem) -> tuple[Plan, Plan]:
    """The plan car by car, and by twins."""
    merged, groups = merge(whole)
    plan = split(whole, solve(merged, FOREVER_S), groups)
    assert check(whole, plan) == ()
    assert list(plan.ev_power_w) == [ev.ev_id for ev in whole.evs]
    return solve(whole, FOREVER_S), plan


def fleet(count: int, one: Ev) -> tuple[Ev, ...]:
    return tuple(replace(one, ev_id=f"{one.ev_id}{number}") for number in range(count))


def test_nobody_alike_changes_nothing() -> None:
    site = problem([0.1, 0.2], car("a"), car("b", need_wh=5000.0))
    assert merge(site) == (site, {})


def test_only_the_name_may_differ() -> None:
    merged, groups = merge(problem([0.1], car("a"), car("b"), car("c", priority=1), car("d", present_power_w=1.0)))
    assert [ev.ev_id for ev in merged.evs] == ["a", "c", "d"]
    assert [ev.ev_id for ev in groups["a"]] == ["a", "b"]
    assert merged.evs[0].energy_need_wh == 8000.0
    assert merged.evs[0].max_power_w == 8000.0


def test_cars_that_are_there_may_be_left_alone() -> None:
    later = car("x", arrival_wall_s=START_S + 3600.0)
    site = problem([0.1, 0.1], *fleet(2, car("here")), *fleet(2, later), *fleet(2, car("expected:", expected=True)))
    merged, groups = merge(site, present=False)
    assert [ev.ev_id for ev in merged.evs] == ["here0", "here1", "x0", "expected:0"]
    assert {name: len(twins) for name, twins in groups.items()} == {"x0": 2, "expected:0": 2}


@settings(max_examples=examples(25), deadline=None)
@given(
    prices=st.lists(st.sampled_from([0.05, 0.1, 0.2, 0.4]), min_size=3, max_size=5),
    groups=st.lists(st.tuples(st.integers(1, 4), NEEDS_WH, st.booleans(), st.integers(1, 5)), min_size=1, max_size=3),
    limit_a=st.sampled_from([8.0, 25.0, 63.0]),
)
def test_the_optimum_is_the_same(prices: list[float], groups: list[tuple[int, float, bool, int]], limit_a: float) -> None:
    evs: list[Ev] = []
    for name, (count, need_wh, two_way, stay_h) in enumerate(groups):
        one = v2g_car(f"{name}-", need_wh=need_wh / 2.0) if two_way else car(f"{name}-", need_wh=need_wh, minimum_wh=need_wh / 4.0)
        evs += fleet(count, replace(one, departure_wall_s=START_S + stay_h * 3600.0))
    site = problem(prices, *evs, nodes=(grid((limit_a,) * 3),), demand_per_kw=0.3, sell=0.04)
    alone, together = both(site)
    assert sum(together.shortfall_wh.values()) == pytest.approx(sum(alone.shortfall_wh.values()), abs=1.0)
    assert together.cost == pytest.approx(alone.cost, rel=TIES, abs=TIES)


def test_in_the_running_slot_few_charge_fully_instead_of_all_a_little() -> None:
    site = problem([0.1, 0.3, 0.1], *fleet(5, car(need_wh=4000.0)), nodes=(grid((40.0, 63.0, 63.0)),))
    _, plan = both(site)
    now = sorted(round(ev_kw(plan, ev.ev_id)[0], 3) for ev in site.evs)
    assert now[0] == 0.0
    assert all(power == 0.0 or power >= 1.2 for power in now)
    assert sum(now) == pytest.approx(8.0)


def test_a_rest_below_the_least_power_is_shared_by_two() -> None:
    site = problem([0.1, 0.3, 0.1], *fleet(3, car(need_wh=4000.0)), nodes=(grid((22.0, 63.0, 63.0)),))
    _, plan = both(site)
    assert sorted(ev_kw(plan, ev.ev_id)[0] for ev in site.evs) == pytest.approx([0.0, 2.2, 2.2])


def test_expected_cars_and_two_way_cars_get_the_mean() -> None:
    for one in (car("expected:", expected=True), v2g_car(need_wh=3000.0)):
        _, plan = both(problem([0.1, 0.3, 0.1], *fleet(3, one), nodes=(grid((22.0, 63.0, 63.0)),)))
        assert len({tuple(watts) for watts in plan.ev_power_w.values()}) == 1


def test_shortfalls_and_slacks_are_shared() -> None:
    site = problem([0.1], *fleet(4, car(need_wh=4000.0, minimum_wh=3000.0)), nodes=(grid((40.0, 63.0, 63.0)),))
    alone, plan = both(site)
    assert plan.shortfall_wh == pytest.approx({ev.ev_id: 2000.0 for ev in site.evs})
    for kind in (SlackKind.SHORTFALL, SlackKind.MINIMUM):
        told = [slack for slack in plan.slacks if slack.kind is kind]
        assert {slack.where for slack in told} == {ev.ev_id for ev in site.evs}
        assert sum(slack.cost for slack in told) == pytest.approx(sum(slack.cost for slack in alone.slacks if slack.kind is kind), rel=1e-6)


def test_a_bound_of_one_slot_is_everybodys() -> None:
    one = car(need_wh=6000.0, max_slot_power_w=(4000.0, 1000.0, 4000.0))
    alone, together = both(problem([0.3, 0.1, 0.2], *fleet(3, one)))
    assert together.cost == pytest.approx(alone.cost, rel=TIES)


def test_a_curve_scales_with_the_cars() -> None:
    one = car(need_wh=12_000.0, capacity_wh=20_000.0, soc_wh=8000.0, acceptance=((0.0, 4000.0), (14_000.0, 4000.0), (20_000.0, 500.0)))
    alone, together = both(problem([0.3, 0.1, 0.1, 0.2, 0.4], *fleet(3, one)))
    assert together.cost == pytest.approx(alone.cost, rel=TIES)
    assert together.shortfall_wh == pytest.approx(alone.shortfall_wh, abs=1.0)
