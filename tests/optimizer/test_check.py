"""The verifier sees every kind of broken plan: a sound plan is spoilt in one aspect at a time (F61)."""

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest

from optimizer.check import Violation, check
from optimizer.problem import Ev, Node, Plan, Problem, SlackKind
from optimizer.solve import solve
from tests.support.plans import HOUR_S, START_S, battery, car, grid, hours, load, problem, v2g_car

SITE = problem(
    [0.3, 0.1, 0.2, 0.4],
    car("ev", need_wh=6000.0, node_id="hall", departure_wall_s=START_S + 3 * HOUR_S),
    car("capped", need_wh=2000.0, phases=(1,), max_slot_power_w=(4000.0, 1000.0, 1000.0, 0.0)),
    v2g_car(),
    nodes=[grid(40.0, other_load_a=load(10.0, 5.0, 5.0, 20.0)), Node("hall", "grid", (20.0, 20.0, 20.0))],
    sell=0.05,
    pv_w=[0.0, 900.0, 3000.0, 0.0],
    import_limit_w=(9000.0,) * 4,
    export_limit_w=(2000.0,) * 4,
    demand_per_kw=0.1,
    battery=battery(soc_wh=1000.0),
)
PLAN = solve(SITE, 30.0)


def at(values: tuple[float, ...], slot: int, value: float) -> tuple[float, ...]:
    return (*values[:slot], value, *values[slot + 1 :])


def with_car(plan: Plan, ev_id: str, *powers_w: float) -> Plan:
    return dataclasses.replace(plan, ev_power_w={**plan.ev_power_w, ev_id: tuple(powers_w)})


def names(violations: tuple[Violation, ...]) -> set[tuple[str, str]]:
    return {(violation.name, violation.where) for violation in violations}


def changed(**fields: Any) -> Callable[[Plan], Plan]:
    return lambda plan: dataclasses.replace(plan, **fields)


def test_the_sound_plan_has_no_violation() -> None:
    assert check(SITE, PLAN) == ()


@pytest.mark.parametrize(("counts", "broken"), [(False, ()), (True, (("node_total", "hall"),))])
def test_a_limit_in_watts_counts_the_charging_battery_where_it_says_so(counts: bool, broken: tuple[tuple[str, str], ...]) -> None:
    hall = Node("hall", "grid", (50.0, 50.0, 50.0), slot_total_w=(5000.0,), battery_counts=counts)
    site = problem([0.1], car("ev", need_wh=4000.0, node_id="hall"), nodes=[grid(), hall], battery=battery())
    plan = solve(dataclasses.replace(site, nodes=(grid(), dataclasses.replace(hall, slot_total_w=()))), 30.0)
    more = 2000.0 - plan.battery_power_w[0]
    grid_w = plan.grid_power_w[0] + more
    charged = dataclasses.replace(plan, battery_power_w=(2000.0,), grid_power_w=(grid_w,), peak_w=grid_w, cost=0.1 * grid_w / 1000.0)
    assert names(check(site, charged)) == set(broken)


def test_a_limit_in_watts_that_others_break_alone_is_forgiven_only_without_a_part_of_ours() -> None:
    hall = Node("hall", "grid", (50.0, 50.0, 50.0), other_load_a=((10.0, 10.0, 10.0),), slot_total_w=(5000.0,))
    site = problem([0.1], car("ev", need_wh=4000.0, node_id="hall"), nodes=[grid(), hall])
    plan = solve(site, 30.0)
    assert check(site, plan) == ()
    assert plan.ev_power_w["ev"] == pytest.approx((0.0,))
    assert plan.shortfall_wh["ev"] == pytest.approx(4000.0)
    free = dataclasses.replace(site, nodes=(grid(), dataclasses.replace(hall, slot_total_w=())))
    assert names(check(site, solve(free, 30.0))) == {("node_total", "hall")}


@pytest.mark.parametrize(
    ("spoil", "name", "where"),
    [
        (lambda plan: with_car(plan, "ev", 2000.0, 4000.0, 0.0, 500.0), "window", "ev"),
        (lambda plan: with_car(plan, "ev", 0.0, 6000.0, 0.0, 0.0), "power_bound", "ev"),
        (lambda plan: with_car(plan, "capped", 0.0, 2000.0, 0.0, 0.0), "power_bound", "capped"),
        (lambda plan: with_car(plan, "ev", -1000.0, 4000.0, 3000.0, 0.0), "discharge_not_allowed", "ev"),
        (lambda plan: with_car(plan, "v2g", -5000.0, 4000.0, 1000.0, 0.0), "discharge_bound", "v2g"),
        (lambda plan: with_car(plan, "v2g", -4000.0, -3000.0, 4000.0, 3000.0), "reserve", "v2g"),
        (lambda plan: with_car(plan, "v2g", 4000.0, 4000.0, 4000.0, -2000.0), "soc", "v2g"),
        (lambda plan: with_car(plan, "v2g", -1000.0, 0.0, 0.0, 0.0), "energy", "v2g"),
        (lambda plan: with_car(plan, "ev", 0.0, 4000.0, 1000.0, 0.0), "energy", "ev"),
        (lambda plan: with_car(plan, "ev", 0.0, 4000.0, 3000.0, 0.0), "energy", "ev"),
        (changed(shortfall_wh={"ev": 1000.0}), "energy", "ev"),
        (lambda plan: with_car(plan, "v2g", 0.0, 0.0, 4000.0, -4000.0), "balance", "site"),
        (lambda plan: dataclasses.replace(plan, grid_power_w=at(plan.grid_power_w, 1, 0.0)), "balance", "site"),
        (lambda plan: dataclasses.replace(plan, pv_curtailed_w=at(plan.pv_curtailed_w, 1, 950.0)), "curtailment", "site"),
        (lambda plan: dataclasses.replace(plan, pv_curtailed_w=at(plan.pv_curtailed_w, 0, -50.0)), "curtailment", "site"),
        (changed(battery_power_w=(5100.0, 0.0, 0.0, -5000.0)), "battery_power", "battery"),
        (changed(battery_power_w=(-2000.0, 2000.0, 0.0, 0.0)), "battery_soc", "battery"),
        (changed(battery_power_w=(5000.0, 5000.0, 0.0, 0.0)), "battery_soc", "battery"),
        (changed(battery_power_w=(-900.0, 0.0, 0.0, 0.0)), "battery_end", "battery"),
        (lambda plan: dataclasses.replace(plan, cost=plan.cost - 0.1), "cost", "site"),
        (lambda plan: dataclasses.replace(plan, peak_w=plan.peak_w - 100.0), "peak", "site"),
        (lambda plan: dataclasses.replace(plan, slots=plan.slots[1:]), "slots", "site"),
        (lambda plan: dataclasses.replace(plan, ev_power_w={"ev": plan.ev_power_w["ev"]}), "missing_car", "v2g"),
        (lambda plan: with_car(plan, "stranger", 0.0, 0.0, 0.0, 0.0), "unknown_car", "stranger"),
        (lambda plan: with_car(plan, "ev", 0.0, 4000.0, 2000.0), "length", "ev"),
        (lambda plan: with_car(plan, "ev", 0.0, 4000.0, float("nan"), 0.0), "not_finite", "ev"),
        (changed(cost=float("inf")), "not_finite", "cost"),
    ],
)
def test_a_spoilt_plan_is_named(spoil: Callable[[Plan], Plan], name: str, where: str) -> None:
    assert (name, where) in names(check(SITE, spoil(PLAN)))


def overfull(*evs: Ev, **changes: Any) -> tuple[Problem, Plan]:
    """A plan made without limits, and the same site with them."""
    free = problem([0.3], *evs, **changes)
    return free, solve(free, 30.0)


@pytest.mark.parametrize("shape", ["a feeder", "a slot limit", "the root"])
def test_a_limit_that_the_plan_did_not_know_is_a_violation(shape: str) -> None:
    free = problem([0.3], car(node_id="hall"), nodes=[grid(), Node("hall", "grid", (63.0,) * 3)])
    tighter = {
        "a feeder": (grid(), Node("hall", "grid", (19.0,) * 3)),
        "a slot limit": (grid(), Node("hall", "grid", (63.0,) * 3, slot_limit_a=(19.0,))),
        "the root": (grid(19.0), Node("hall", "grid", (63.0,) * 3)),
    }[shape]
    found = check(dataclasses.replace(free, nodes=tighter), solve(free, 30.0))
    assert names(found) == {("node_limit", "grid/L1" if shape == "the root" else "hall/L1")}
    assert [(violation.slot, round(violation.amount, 3)) for violation in found] == [(0, 1.0)]


def test_import_and_export_limits_are_checked() -> None:
    charging, feeding = problem([0.3], car()), problem([0.3], sell=0.1, pv_w=[5000.0])
    assert names(check(dataclasses.replace(charging, import_limit_w=(3000.0,)), solve(charging, 30.0))) == {("import_limit", "site")}
    assert names(check(dataclasses.replace(feeding, export_limit_w=(3000.0,)), solve(feeding, 30.0))) == {("export_limit", "site")}


class TestOverload:
    OVER = problem([0.3], car(need_wh=1000.0), nodes=[grid(63.0, other_load_a=load(70.0))])

    def test_is_forgiven_when_admitted_and_not_ours(self) -> None:
        assert check(self.OVER, solve(self.OVER, 30.0)) == ()

    def test_is_a_violation_when_concealed_or_belittled(self) -> None:
        plan = solve(self.OVER, 30.0)
        for claim in ({}, {"grid/L1": 6.0}, {"grid/L2": 7.0}):
            assert ("node_limit", "grid/L1") in names(check(self.OVER, dataclasses.replace(plan, overload_a=claim)))

    def test_is_a_violation_when_a_car_adds_to_it_even_if_admitted(self) -> None:
        plan = solve(self.OVER, 30.0)
        worse = dataclasses.replace(with_car(plan, "ev", 1000.0), grid_power_w=(15_000.0,), overload_a={"grid/L1": 12.0}, shortfall_wh={})
        assert ("node_limit", "grid/L1") in names(check(self.OVER, worse))

    def test_is_a_violation_when_the_battery_adds_to_it(self) -> None:
        site = dataclasses.replace(self.OVER, battery=battery())
        plan = solve(site, 30.0)
        worse = dataclasses.replace(plan, battery_power_w=(600.0,), overload_a={"grid/L1": 8.0})
        assert ("node_limit", "grid/L1") in names(check(site, worse))


def test_the_tolerance_is_the_callers() -> None:
    nudged = with_car(PLAN, "ev", *(watts + 1.5 for watts in PLAN.ev_power_w["ev"][:3]), 0.0)
    assert check(SITE, nudged, tolerance=0.1) == ()
    assert check(SITE, nudged, tolerance=0.001) != ()


# -- the car's own curve, bounds per slot, peak windows, CO2 ---------------------------------------------


def test_the_acceptance_curve_holds_at_the_middle_of_a_slot() -> None:
    """4 kW at 8 kWh, 2 kW at 12 kWh: from 8 kWh on, x kW for an hour ends at 8 + x, the middle is 8 + x/2, so x = 4 - x/4 = 3.2."""
    ev = car(need_wh=3200.0, capacity_wh=20_000.0, soc_wh=8000.0, acceptance=((8000.0, 4000.0), (12_000.0, 2000.0)))
    site = problem([0.3, 0.3], ev)
    plan = solve(site, 30.0)
    at_most = dataclasses.replace(with_car(plan, "ev", 3200.0, 0.0), grid_power_w=(3200.0, 0.0), peak_w=3200.0, cost=0.96, shortfall_wh={}, slacks=())
    more = dataclasses.replace(with_car(plan, "ev", 3300.0, -100.0), grid_power_w=(3300.0, 0.0))
    assert check(site, at_most) == ()
    assert ("acceptance", "ev") in names(check(site, more))


def test_discharge_bounds_may_differ_by_slot() -> None:
    site = problem([0.3, 0.3], v2g_car(max_slot_discharge_w=(1000.0, 4000.0)))
    assert ("discharge_bound", "v2g") in names(check(site, with_car(solve(site, 30.0), "v2g", -2000.0, 2000.0)))


def test_the_peak_is_the_mean_of_a_window_with_what_it_imported_before() -> None:
    """The running hour has imported 1 kWh; its last quarter hour draws 4 kW, that is 1 kWh more: 2 kW in the mean."""
    quarter = dataclasses.replace(hours(1)[0], start_wall_s=START_S + 2700.0, duration_s=900.0)
    ev = car(need_wh=1000.0, departure_wall_s=START_S + HOUR_S)
    site = problem([0.3], ev, demand_window_s=3600.0, window_import_wh=1000.0, demand_per_kw=1.0)
    site = dataclasses.replace(site, slots=(quarter,), created_wall_s=quarter.start_wall_s)
    plan = solve(site, 30.0)
    assert plan.peak_w == pytest.approx(2000.0)
    assert check(site, plan) == ()
    assert names(check(site, dataclasses.replace(plan, peak_w=4000.0))) == {("peak", "site")}
    assert ("cost", "site") in names(check(site, dataclasses.replace(plan, cost=plan.cost + 1.0)))


def test_co2_follows_from_the_import() -> None:
    site = problem([0.3, 0.3], car(), co2_kg_per_kwh=(0.5, 0.2))
    plan = solve(site, 30.0)
    assert check(site, plan) == ()
    assert names(check(site, dataclasses.replace(plan, co2_kg=plan.co2_kg + 0.1))) == {("co2", "site")}


# -- soft rules are admitted -------------------------------------------------------------------------------


UNEVEN = grid(63.0, max_unbalance_a=10.0, other_load_a=load(15.0, 15.0))
SOFT = {
    "unbalance": problem([0.3, 0.3], car(need_wh=0.0), nodes=[UNEVEN]),
    "minimum": problem([0.3], car(need_wh=6000.0, minimum_wh=5000.0)),
    "shortfall": problem([0.3], car(need_wh=6000.0)),
    "battery_reserve": problem([0.3, 0.3], battery=battery(soc_wh=1000.0, reserve_wh=8000.0)),
    "event_reserve": problem([0.3], car(), nodes=[grid(63.0, other_load_a=load(20.0))], import_limit_w=(5000.0,), reserve_w=(3000.0,)),
    "setpoint": problem([0.3], grid_setpoint_w=(3000.0,)),
    "overload": problem([0.3], nodes=[grid(10.0, other_load_a=load(15.0))]),
    "import": problem([0.3], nodes=[grid(63.0, other_load_a=load(15.0))], import_limit_w=(1000.0,)),
    "export": problem([0.3], nodes=[grid(63.0, other_load_a=load(-15.0))], export_limit_w=(1000.0,)),
}


@pytest.mark.parametrize("kind", SOFT)
def test_a_broken_soft_rule_is_admitted_in_the_right_amount(kind: str) -> None:
    site, plan = SOFT[kind], solve(SOFT[kind], 30.0)
    (admitted,) = [slack for slack in plan.slacks if slack.kind == kind]
    others = tuple(slack for slack in plan.slacks if slack is not admitted)
    assert check(site, plan) == ()
    for told in ((), (dataclasses.replace(admitted, amount=0.8 * admitted.amount),), (dataclasses.replace(admitted, amount=1.2 * admitted.amount),)):
        assert names(check(site, dataclasses.replace(plan, slacks=(*others, *told)))) == {(f"slack_{kind}", admitted.where)}


def test_a_rule_that_is_kept_must_not_be_called_broken() -> None:
    plan = solve(SOFT["shortfall"], 30.0)
    invented = dataclasses.replace(plan.slacks[0], where="grid", kind=SlackKind.UNBALANCE, amount=5.0, unit="A")
    found = check(SOFT["shortfall"], dataclasses.replace(plan, slacks=(*plan.slacks, invented)))
    assert names(found) == {("slack_unbalance", "grid")}


def test_a_margin_alone_is_no_promise() -> None:
    site = problem([0.3], car(), nodes=[grid(25.0)])
    assert check(dataclasses.replace(site, nodes=(grid(25.0, margin_a=(10.0,)),)), solve(site, 30.0)) == ()
