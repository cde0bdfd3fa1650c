"""What a limit costs: asked by solving the same time with another limit, told in money, energy and plain words."""

from dataclasses import replace

import pytest

from optimizer.explain import LimitWorth, bound_h, dearest, loosened, paid, sentences, what_limits_cost
from optimizer.live import Live
from optimizer.problem import Node, Plan, Problem, ShadowPrice
from tests.support.plans import START_S, battery, car, grid, problem, v2g_car

FOREVER_S = 1e9


def asked(site: Problem, **how: object) -> tuple[LimitWorth, ...]:
    live = Live()
    return what_limits_cost(site, live.solve(site, FOREVER_S), lambda other: live.solve(other, FOREVER_S), **how)  # type: ignore[arg-type]


def test_a_wire_that_keeps_cars_out_of_the_cheap_hour() -> None:
    """8 kWh wanted, 0.10 in the first hour, 0.30 in the second; the wire takes 4 kW (20 A), so half of it costs 0.20 more."""
    site = problem([0.1, 0.3], car("a"), car("b"), nodes=(grid(), Node("yard", "grid", (20.0, 63.0, 63.0))), demand_per_kw=0.0)
    site = replace(site, evs=tuple(replace(ev, node_id="yard") for ev in site.evs))
    (only,) = asked(site)
    assert (only.where, only.unit, only.more) == ("yard", "A", 10.0)
    assert only.cost == pytest.approx(4 * 0.2)
    assert only.saved_by_more == pytest.approx(2 * 0.2)
    assert (only.cost_kwh, only.gained_kwh) == pytest.approx((0.0, 0.0), abs=1e-6)
    assert only.bound_h >= 1.0
    assert list(sentences([only], "EUR", 7.0)) == ["yard cost 0.80 EUR in a week; 10 A more would save 0.40 EUR."]


def test_a_wire_that_keeps_energy_back() -> None:
    """The need of 8 kWh meets 4 kWh: what is missing is told apart from money, which rises when it is delivered."""
    site = problem([0.1], car("a"), car("b"), nodes=(grid((20.0, 63.0, 63.0)),))
    (only,) = asked(site)
    assert (only.where, only.cost_kwh, only.gained_kwh) == ("grid", pytest.approx(4.0), pytest.approx(2.0))
    assert (only.cost, only.saved_by_more) == (pytest.approx(-0.4), pytest.approx(-0.2))
    told = list(sentences([only], "EUR", 1.0, names=lambda node_id: f"Circuit {node_id}"))
    assert told == ["Circuit grid kept back 4.0 kWh in a day; 10 A more would deliver 2.0 kWh more for 0.20 EUR."]


def test_import_export_and_peak() -> None:
    cars = [car(need_wh=4000.0), car("b", need_wh=4000.0)]
    (by_import,) = asked(problem([0.1, 0.3], *cars, import_limit_w=(4000.0, 60_000.0)), more_kw=1.0)
    assert (by_import.where, by_import.unit) == ("import", "kW")
    assert (by_import.cost, by_import.saved_by_more) == (pytest.approx(0.8), pytest.approx(0.2))
    (by_export,) = asked(problem([0.3, 0.3], sell=0.1, pv_w=(9000.0, 0.0), export_limit_w=(4000.0, 4000.0)), more_kw=1.0)
    assert (by_export.where, by_export.cost, by_export.saved_by_more) == ("export", pytest.approx(0.5), pytest.approx(0.1))
    (by_peak,) = asked(problem([0.1, 0.1], *cars, demand_per_kw=1.0), more_kw=1.0)
    assert (by_peak.where, by_peak.cost, by_peak.saved_by_more) == ("peak", pytest.approx(4.0), pytest.approx(1.0))


def test_limits_that_never_bind_are_not_asked_about() -> None:
    solved: list[Problem] = []
    site = problem([0.1, 0.3], car(), nodes=(grid(),))
    live = Live()

    def solve(other: Problem) -> Plan:
        solved.append(other)
        return live.solve(other, FOREVER_S)

    assert what_limits_cost(site, live.solve(site, FOREVER_S), solve) == ()
    assert solved == []


def test_the_dearest_first_and_no_more_than_asked_for() -> None:
    nodes = (grid(), *(Node(name, "grid", (amps, 63.0, 63.0)) for name, amps in (("a", 10.0), ("b", 15.0), ("c", 18.0))))
    site = problem([0.1, 0.4], *(car(name, node_id=name) for name in "abc"), nodes=nodes)
    said: list[tuple[int, int, str]] = []
    found = asked(site, most=2, progress=lambda *what: said.append(what))
    assert len(found) == 2
    assert {one.where for one in found} <= {"a", "b", "c"}
    assert (said[0][:2], said[-1]) == ((0, 2), (2, 2, ""))


def test_what_is_looser_never_costs_more_in_all() -> None:
    site = problem([0.2, 0.1, 0.3], car("a"), v2g_car(), battery=battery(), nodes=(grid((25.0, 63.0, 63.0)),), demand_per_kw=0.2, sell=0.05)
    live = Live()
    plans = [live.solve(each, FOREVER_S) for each in (site, loosened(site, "grid", 5.0), loosened(site, "grid", None))]
    worth = [plan.objective for plan in plans if plan.objective is not None]
    assert len(worth) == 3
    assert worth[0] + 1e-6 >= worth[1] >= worth[2] - 1e-6


def test_phases_of_a_circuit_count_together() -> None:
    shadow = (ShadowPrice("a", 0, 0.2, ()), ShadowPrice("b", None, 0.3, ()), ShadowPrice("a", 1, 0.2, ()), ShadowPrice("c", 0, 1e-5, ()))
    assert dearest(shadow) == ["a", "b"]


def test_hours_bound_on_any_phase() -> None:
    site = problem([0.1, 0.1, 0.1])
    plan = replace(Live().solve(site, FOREVER_S), shadow=(ShadowPrice("a", 0, 1.0, (1.0, 0.0, 0.0)), ShadowPrice("a", 1, 1.0, (1.0, 0.0, 1.0))))
    assert bound_h(plan, "a") == 2.0


def test_wear_is_paid_too() -> None:
    site = problem([0.1, 0.9], v2g_car(departure_wall_s=START_S + 7200.0), sell=0.5)
    plan = Live().solve(site, FOREVER_S)
    given_kwh = sum(-watts for watts in plan.ev_power_w["v2g"] if watts < 0) / 1000.0
    assert given_kwh > 0
    assert paid(site, plan) == pytest.approx(plan.cost + 0.05 * given_kwh)


def test_a_phase_that_is_not_there_stays_away_and_an_unknown_limit_is_named() -> None:
    site = problem([0.1], nodes=(grid((16.0, 0.0, 0.0), slot_limit_a=(10.0,)),))
    (node,) = loosened(site, "grid", 6.0).nodes
    assert (node.limit_a, node.slot_limit_a) == ((22.0, 0.0, 0.0), (16.0,))
    with pytest.raises(ValueError, match="there is no limit 'attic'"):
        loosened(site, "attic", None)
