"""Laws of planning, on random sites: crooked trees, unbalanced and overloaded phases, negative prices, V2G with
nonsense numbers, feed-in by other loads, limits of 0, stays outside the horizon.

1. Every plan of the solver and of the rules passes the independent check; nothing is ever infeasible.
2. The solver's plan never costs more than the plan by rules, shortfalls priced (tie-breaks have a bounded price).
3. HiGHS and CBC find the same objective.
4. No plan charges a car more than the rules of its stay allow, and rules never add to an overload (part of 1).
"""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from optimizer.check import check
from optimizer.model import CHANGE, CURTAILING, CYCLING, EARLY, SELL_GAP, URGENT
from optimizer.problem import Battery, Ev, Node, Plan, PlanStatus, Problem, Slot
from optimizer.rules import allocate, earliest_deadline_first
from optimizer.solve import solve
from optimizer.terms import need_wh, price_scale, shortfall_price

START_S = 1_700_000_100.0
VOLTS = 230.0

amps = st.floats(-40, 70).map(lambda value: round(value, 2))
limits = st.sampled_from([0.0, 6.0, 16.0, 25.0, 32.0, 63.0])
prices = st.floats(-0.2, 0.6).map(lambda value: round(value, 3))
phase_sets = st.sampled_from([(0,), (1,), (2,), (0, 1), (0, 1, 2), (2, 0, 1)])


@st.composite
def slot_rows(draw: st.DrawFn) -> tuple[Slot, ...]:
    lengths = [draw(st.sampled_from([1.0, 300.0, 900.0])), *draw(st.lists(st.sampled_from([900.0, 3600.0]), min_size=1, max_size=5))]
    starts = [START_S + sum(lengths[:index]) for index in range(len(lengths))]
    return tuple(Slot(start, length) for start, length in zip(starts, lengths, strict=True))


@st.composite
def trees(draw: st.DrawFn, count: int) -> tuple[Node, ...]:
    nodes = []
    for index in range(draw(st.integers(1, 4))):
        parent = None if index == 0 else f"n{draw(st.integers(0, index - 1))}"
        loads = draw(st.one_of(st.just(()), st.tuples(*[st.tuples(amps, amps, amps)] * count)))
        ceiling = draw(st.one_of(st.just(()), st.tuples(*[limits] * count)))
        copper = draw(st.one_of(st.tuples(limits, limits, limits), limits.map(lambda limit: (limit, limit, limit))))
        nodes.append(Node(f"n{index}", parent, copper, ceiling, loads))
    return tuple(nodes)


@st.composite
def cars(draw: st.DrawFn, index: int, nodes: int, count: int) -> Ev:
    arrival_s = START_S + draw(st.sampled_from([-3600.0, 0.0, 700.0, 2000.0]))
    stay_s = draw(st.sampled_from([-100.0, 0.0, 450.0, 1800.0, 5000.0, float("inf")]))
    two_way = draw(st.booleans())
    return Ev(
        ev_id=f"ev{index}",
        node_id=f"n{draw(st.integers(0, nodes - 1))}",
        phases=draw(phase_sets),
        arrival_wall_s=arrival_s,
        departure_wall_s=arrival_s + stay_s,
        energy_need_wh=draw(st.sampled_from([-5.0, 0.0, 300.0, 2500.0, 20_000.0])),
        min_power_w=1380.0,
        max_power_w=draw(st.sampled_from([0.0, 1380.0, 3680.0, 11_040.0])),
        efficiency=draw(st.sampled_from([1.0, 0.9, 0.0])),
        priority=draw(st.integers(-9, 9)),
        max_slot_power_w=draw(st.one_of(st.just(()), st.tuples(*[st.sampled_from([0.0, 2000.0, 20_000.0])] * count))),
        max_discharge_w=draw(st.sampled_from([0.0, 3000.0, 11_000.0])) if two_way else 0.0,
        capacity_wh=draw(st.sampled_from([0.0, 5000.0, 40_000.0])) if two_way else 0.0,
        soc_wh=draw(st.sampled_from([-1.0, 0.0, 4000.0, 39_000.0, float("nan")])) if two_way else 0.0,
        reserve_wh=draw(st.sampled_from([0.0, 3000.0, 41_000.0])) if two_way else 0.0,
        wear_per_kwh=draw(st.sampled_from([0.0, 0.08])) if two_way else 0.0,
        present_power_w=draw(st.sampled_from([0.0, 3680.0, -3000.0])),
    )


batteries = st.builds(
    Battery,
    capacity_wh=st.sampled_from([0.0, 4000.0, 20_000.0]),
    soc_wh=st.sampled_from([-100.0, 0.0, 2000.0, 30_000.0]),
    min_soc_wh=st.sampled_from([0.0, 1000.0, 50_000.0]),
    max_charge_w=st.sampled_from([0.0, 5000.0]),
    max_discharge_w=st.sampled_from([0.0, 5000.0]),
    efficiency_one_way=st.sampled_from([0.8, 0.96, 1.0]),
    wear_per_kwh=st.sampled_from([0.0, 0.03]),
)


@st.composite
def problems(draw: st.DrawFn) -> Problem:
    slots = draw(slot_rows())
    count = len(slots)
    nodes = draw(trees(count))
    series = st.tuples(*[prices] * count)
    watts = st.sampled_from([0.0, 1000.0, 15_000.0, 60_000.0])
    site_limits = st.one_of(st.just(()), st.tuples(*[watts] * count))
    return Problem(
        created_wall_s=START_S,
        slots=slots,
        voltage_v=VOLTS,
        nodes=nodes,
        evs=tuple(draw(cars(index, len(nodes), count)) for index in range(draw(st.integers(0, 5)))),
        buy_per_kwh=draw(series),
        sell_per_kwh=draw(series),
        pv_w=draw(st.tuples(*[watts] * count)),
        import_limit_w=draw(site_limits),
        export_limit_w=draw(site_limits),
        demand_per_kw=draw(st.sampled_from([0.0, 0.3, 8.0])),
        peak_so_far_w=draw(st.sampled_from([0.0, 9000.0])),
        battery=draw(st.one_of(st.none(), batteries)),
        shortfall_per_kwh=draw(st.sampled_from([1.0, 10.0])),
    )


law = settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


def priced_shortfall(problem: Problem, plan: Plan) -> float:
    """What the missing energy is worth [currency]."""
    return sum(shortfall_price(problem, ev) * plan.shortfall_wh.get(ev.ev_id, 0.0) / 1000.0 for ev in problem.evs)


def preferences_at_most(problem: Problem, plan: Plan) -> float:
    """Most money the tie-breaks may cost against this plan [currency], from the weights the model documents."""
    charged_kwh = sum(max(0.0, watts) * slot.hours for row in plan.ev_power_w.values() for watts, slot in zip(row, problem.slots, strict=True)) / 1000
    moved_kwh = sum(abs(plan.ev_power_w[ev.ev_id][0] - ev.present_power_w) for ev in problem.evs) * problem.slots[0].hours / 1000
    thrown_kwh = sum(watts * slot.hours for watts, slot in zip(plan.pv_curtailed_w, problem.slots, strict=True)) / 1000
    sold_kwh = sum(max(0.0, -watts) * slot.hours for watts, slot in zip(plan.grid_power_w, problem.slots, strict=True)) / 1000
    weighed = (EARLY + URGENT) * charged_kwh + CHANGE * moved_kwh + CURTAILING * thrown_kwh + SELL_GAP * sold_kwh
    return price_scale(problem) * weighed


@law
@given(problems())
def test_every_plan_of_the_solver_passes_the_check(problem: Problem) -> None:
    plan = solve(problem, 30.0, "highs")
    assert plan.status is PlanStatus.PROVED
    assert check(problem, plan) == ()


@law
@given(problems())
def test_every_plan_by_rules_passes_the_check(problem: Problem) -> None:
    assert check(problem, allocate(problem)) == ()
    assert check(problem, earliest_deadline_first(problem)) == ()


@law
@given(problems())
def test_the_solver_is_never_dearer_than_the_rules(problem: Problem) -> None:
    plan, ruled = solve(problem, 30.0, "highs"), allocate(problem)
    if plan.overload_a or ruled.overload_a:
        return  # relieving an overload is worth money to the solver, the rules cannot
    solved_total, ruled_total = plan.cost + priced_shortfall(problem, plan), ruled.cost + priced_shortfall(problem, ruled)
    assert solved_total <= ruled_total + preferences_at_most(problem, ruled) + 1e-4 + 1e-6 * abs(ruled_total)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(problems())
def test_both_solvers_agree(problem: Problem) -> None:
    first, second = solve(problem, 30.0, "highs"), solve(problem, 30.0, "cbc")
    assert check(problem, second) == ()
    totals = [plan.cost + priced_shortfall(problem, plan) for plan in (first, second)]
    assert totals[0] == pytest.approx(totals[1], rel=1e-6, abs=CYCLING * sum(need_wh(ev) for ev in problem.evs) / 1000 + 1e-4)
