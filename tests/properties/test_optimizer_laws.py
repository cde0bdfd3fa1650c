"""Laws of planning, on random sites (``tests/support/random_sites.py``).

1. Every plan of the solver and of the rules passes the independent check; nothing is ever infeasible.
2. The optimum equals that of a formulation written twice, on arrays (``tests/support/plain_lp.py``).
3. The solver's plan never costs more than the plan by rules.
4. HiGHS and CBC find the same objective.
5. A looser limit never costs more.
6. Another currency, or the same site in other units of size, has the same plan.
7. One solve gives what solving stage by stage gives: safety, minimum, energy, then money.
8. A living model that is rewritten, lets cars in and out and moves on in time finds what a fresh one finds.
"""

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from optimizer.check import check
from optimizer.live import Live
from optimizer.model import CYCLING
from optimizer.problem import Ev, Node, Plan, PlanStatus, Problem
from optimizer.rules import allocate, earliest_deadline_first
from optimizer.solve import solve
from tests.support.examples import examples
from tests.support.plain_lp import formulate, optimum
from tests.support.random_sites import problems, sound_problems


def law(full: int) -> settings:
    """So many examples in all, slow ones too."""
    return settings(max_examples=examples(full), deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


def objective(problem: Problem) -> float:
    """What the solver's plan weighs in all [currency]."""
    found = solve(problem, 30.0, "highs").objective
    assert found is not None
    return found


@law(40)
@given(problems())
def test_every_plan_of_the_solver_passes_the_check(problem: Problem) -> None:
    plan = solve(problem, 30.0, "highs")
    assert plan.status is PlanStatus.PROVED
    assert check(problem, plan) == ()


@law(40)
@given(problems())
def test_every_plan_by_rules_passes_the_check(problem: Problem) -> None:
    assert check(problem, allocate(problem)) == ()
    assert check(problem, earliest_deadline_first(problem)) == ()


@law(30)
@given(problems())
def test_rules_give_nothing_to_cars_that_are_only_expected(problem: Problem) -> None:
    plan = allocate(problem)
    assert all(not any(plan.ev_power_w[ev.ev_id]) for ev in problem.evs if ev.expected)


@law(40)
@given(sound_problems())
def test_the_optimum_equals_the_independent_formulation(problem: Problem) -> None:
    assert objective(problem) == pytest.approx(optimum(formulate(problem)).total, rel=1e-6, abs=1e-6)


@law(40)
@given(sound_problems())
def test_preferences_cost_next_to_nothing(problem: Problem) -> None:
    """What counts without them is never worse than the best of a program without preferences by more than they are worth themselves."""
    with_them, without = optimum(formulate(problem)), optimum(formulate(problem, preferences=False))
    counted = with_them.money + with_them.penalties
    likes = abs(with_them.preferences) + abs(optimum(formulate(problem)).preferences)
    assert without.total <= counted + 1e-6 + 1e-7 * abs(counted)
    assert counted <= without.total + most_preferences(problem) + likes + 1e-6


def most_preferences(problem: Problem) -> float:
    """No plan can be worth more than this by preferences alone [currency]: all energies of the horizon, in parts of the largest price."""
    hours = sum(slot.hours for slot in problem.slots)
    most_kw = sum(max(ev.max_power_w, ev.max_discharge_w) for ev in problem.evs) / 1000.0
    rest_kw = max(problem.pv_w) / 1000.0 + (10.0 if problem.battery else 0.0)
    largest = max(map(abs, (*problem.buy_per_kwh, *problem.sell_per_kwh))) + 0.4 * problem.co2_per_kg
    return 2.0 * CYCLING * largest * hours * (most_kw + rest_kw + 30.0)


@law(40)
@given(problems())
def test_the_solver_is_never_dearer_than_the_rules(problem: Problem) -> None:
    plan, ruled = solve(problem, 30.0, "highs"), allocate(problem)
    if any(row.kind not in ("shortfall", "minimum") for row in (*plan.slacks, *ruled.slacks)) or any(problem.co2_kg_per_kwh):
        return  # relieving an overload, a wish or a reserve is worth money to the solver, the rules cannot
    solved, by_rules = (one.cost + sum(slack.cost for slack in one.slacks) for one in (plan, ruled))
    assert solved <= by_rules + most_preferences(problem) + 1e-4 + 0.1 * sum(slack.cost for slack in ruled.slacks)


@law(25)
@given(problems())
def test_both_solvers_agree(problem: Problem) -> None:
    first, second = solve(problem, 30.0, "highs"), solve(problem, 30.0, "cbc")
    assert check(problem, second) == ()
    assert first.objective == pytest.approx(second.objective, rel=1e-6, abs=1e-5)


# -- monotone -----------------------------------------------------------------------------------------


@law(40)
@given(sound_problems(), st.sampled_from(["wires", "totals", "import", "export", "cars", "margin", "unbalance", "peak"]))
def test_a_looser_limit_never_costs_more(problem: Problem, what: str) -> None:
    problem = replace(problem, reserve_w=(), shortfall_per_kwh=2.0)  # prices of promises must not move with what is loosened
    tight, loose = objective(problem), objective(loosened(problem, what))
    assert loose <= tight + 1e-6 + 1e-6 * abs(tight)


def loosened(problem: Problem, what: str) -> Problem:
    """The same site with more of something."""
    if what == "import":
        return replace(problem, import_limit_w=tuple(1.3 * limit for limit in problem.import_limit_w))
    if what == "export":
        return replace(problem, export_limit_w=tuple(500.0 + limit for limit in problem.export_limit_w))
    if what == "cars":
        return replace(problem, evs=tuple(replace(ev, departure_wall_s=ev.departure_wall_s + 900.0, minimum_wh=0.0) for ev in problem.evs))
    if what == "peak":
        return replace(problem, window_import_wh=0.0)
    return replace(problem, nodes=tuple(looser_node(node, what) for node in problem.nodes))


def looser_node(node: Node, what: str) -> Node:
    """The same node with more of something."""
    if what == "margin":
        return replace(node, margin_a=())
    if what == "unbalance":
        return replace(node, max_unbalance_a=None if node.max_unbalance_a is None else node.max_unbalance_a + 3.0)
    if what == "totals":
        return replace(node, slot_total_w=tuple(watts + 1500.0 for watts in node.slot_total_w))
    return replace(node, limit_a=tuple(limit + 5.0 for limit in node.limit_a), slot_limit_a=tuple(limit + 5.0 for limit in node.slot_limit_a))  # type: ignore[arg-type]


# -- units ----------------------------------------------------------------------------------------------


@law(40)
@given(sound_problems(), st.sampled_from([0.25, 8.0, 64.0]))
def test_another_currency_has_the_same_plan(problem: Problem, factor: float) -> None:
    """Powers of two: prices of promises are rounded up to them."""
    plan, dear = solve(problem, 30.0, "highs"), solve(in_currency(problem, factor), 30.0, "highs")
    assert plan.objective is not None
    assert dear.objective == pytest.approx(factor * plan.objective, rel=1e-6, abs=1e-6 * factor)
    assert dear.cost == pytest.approx(factor * plan.cost, rel=1e-5, abs=1e-5 * factor)


def in_currency(problem: Problem, factor: float) -> Problem:
    """The same money in another currency."""

    def dear(values: tuple[float, ...]) -> tuple[float, ...]:
        return tuple(factor * value for value in values)

    evs = tuple(replace(ev, wear_per_kwh=factor * ev.wear_per_kwh, wait_per_kwh=dear(ev.wait_per_kwh)) for ev in problem.evs)
    battery = problem.battery
    own = problem.shortfall_per_kwh
    return replace(
        problem,
        evs=evs,
        buy_per_kwh=dear(problem.buy_per_kwh),
        sell_per_kwh=dear(problem.sell_per_kwh),
        demand_per_kw=factor * problem.demand_per_kw,
        battery=battery and replace(battery, wear_per_kwh=factor * battery.wear_per_kwh),
        shortfall_per_kwh=None if own is None else factor * own,
        co2_per_kg=factor * problem.co2_per_kg,
        reserve_per_kwh=factor * problem.reserve_per_kwh,
        setpoint_per_kwh=factor * problem.setpoint_per_kwh,
    )


@law(40)
@given(sound_problems(), st.sampled_from([1e-2, 30.0]))
def test_a_site_of_another_size_has_the_same_plan(problem: Problem, factor: float) -> None:
    """All powers, currents and energies times a factor: a doll's house, or a harbour."""
    plan, big = solve(problem, 30.0, "highs"), solve(of_size(problem, factor), 30.0, "highs")
    assert plan.objective is not None
    assert big.objective == pytest.approx(factor * plan.objective, rel=1e-5, abs=1e-5 * factor)
    assert big.cost == pytest.approx(factor * plan.cost, rel=1e-4, abs=1e-4 * factor)


def of_size(problem: Problem, factor: float) -> Problem:
    """Everything but voltage, times and prices times a factor."""

    def big(values: tuple[float, ...]) -> tuple[float, ...]:
        return tuple(factor * value for value in values)

    def node(one: Node) -> Node:
        rule = one.max_unbalance_a
        loads = tuple(big(load) for load in one.other_load_a)
        limits = {"limit_a": big(one.limit_a), "slot_limit_a": big(one.slot_limit_a), "slot_total_w": big(one.slot_total_w)}
        return replace(one, **limits, other_load_a=loads, margin_a=big(one.margin_a), max_unbalance_a=rule and factor * rule)  # type: ignore[arg-type]

    def car(ev: Ev) -> Ev:
        names = ("energy_need_wh", "min_power_w", "max_power_w", "max_discharge_w", "present_power_w", "minimum_wh")
        names += ("capacity_wh", "soc_wh", "reserve_wh")
        series = {"max_slot_power_w": big(ev.max_slot_power_w), "max_slot_discharge_w": big(ev.max_slot_discharge_w)}
        curve = tuple((factor * energy, factor * power) for energy, power in ev.acceptance)
        return replace(ev, acceptance=curve, **series, **{name: factor * getattr(ev, name) for name in names})  # type: ignore[arg-type]

    store = problem.battery
    amounts = ("capacity_wh", "soc_wh", "min_soc_wh", "max_charge_w", "max_discharge_w", "reserve_wh")
    return replace(
        problem,
        nodes=tuple(map(node, problem.nodes)),
        evs=tuple(map(car, problem.evs)),
        pv_w=big(problem.pv_w),
        import_limit_w=big(problem.import_limit_w),
        export_limit_w=big(problem.export_limit_w),
        peak_so_far_w=factor * problem.peak_so_far_w,
        battery=store and replace(store, **{name: factor * getattr(store, name) for name in amounts}),  # type: ignore[arg-type]
        window_import_wh=factor * problem.window_import_wh,
        reserve_w=big(problem.reserve_w),
        grid_setpoint_w=tuple(None if value is None else factor * value for value in problem.grid_setpoint_w),
    )


# -- the order of the stages --------------------------------------------------------------------------------


@law(40)
@given(sound_problems())
def test_one_solve_equals_solving_stage_by_stage(problem: Problem) -> None:
    """Energy first: the missing minimum is the least possible, then the missing energy, by priority."""
    problem = replace(problem, shortfall_per_kwh=None, evs=tuple(replace(ev, priority=0) for ev in problem.evs))
    plan = solve(problem, 30.0, "highs")
    freely = replace(problem, buy_per_kwh=(0.001,) * len(problem.slots), sell_per_kwh=(0.0,) * len(problem.slots), demand_per_kw=0.0)
    freely = replace(freely, co2_per_kg=0.0, battery=problem.battery and replace(problem.battery, wear_per_kwh=0.0))
    freely = replace(freely, evs=tuple(replace(ev, wear_per_kwh=0.0) for ev in problem.evs), shortfall_per_kwh=100.0)
    best = solve(freely, 30.0, "highs")
    for kind in ("unbalance", "minimum"):
        assert amount(plan, kind) <= amount(best, kind) + 1e-3
    if not amount(best, "minimum") and not amount(best, "unbalance"):
        assert sum(plan.shortfall_wh.values()) <= sum(best.shortfall_wh.values()) + 1.0


def amount(plan: Plan, kind: str) -> float:
    """By how much a rule is broken in all."""
    return sum(slack.cost / slack.price if slack.price else 0.0 for slack in plan.slacks if slack.kind == kind)


# -- the living model -----------------------------------------------------------------------------------------


@law(25)
@given(sound_problems(), st.data())
def test_a_living_model_finds_what_a_fresh_formulation_finds(problem: Problem, data: st.DataObject) -> None:
    """With the prices of promises and the urgencies that it has kept: those may lag behind."""
    live = Live("highs")
    for _ in range(4):
        plan, model = live.solve(problem, 30.0), live._model
        assert model is not None
        assert check(problem, plan) == ()
        fresh = optimum(formulate(problem, known=model.weights, urgency=model.urgency))
        assert plan.objective == pytest.approx(fresh.total, rel=1e-6, abs=1e-6)
        problem = changed(problem, data)


def changed(problem: Problem, data: st.DataObject) -> Problem:
    """A moment later: other needs and loads, a car gone, a car come, a shorter first slot."""
    what = data.draw(st.sampled_from(["needs", "loads", "gone", "come", "time"]))
    if what == "needs":
        return replace(problem, evs=tuple(replace(ev, energy_need_wh=0.7 * ev.energy_need_wh, present_power_w=1500.0) for ev in problem.evs))
    if what == "loads":
        return replace(problem, nodes=tuple(replace(node, other_load_a=tuple((1.5, 0.5, 1.0) for _ in problem.slots)) for node in problem.nodes))
    if what == "gone":
        return replace(problem, evs=problem.evs[1:])
    if what == "come" and problem.evs:
        name = next(f"new{number}" for number in range(99) if f"new{number}" not in {ev.ev_id for ev in problem.evs})
        return replace(problem, evs=(*problem.evs, replace(problem.evs[0], ev_id=name, max_power_w=5000.0)))
    first = problem.slots[0]
    later = replace(first, start_wall_s=first.start_wall_s + first.duration_s / 3.0, duration_s=first.duration_s * 2.0 / 3.0)
    return replace(problem, slots=(later, *problem.slots[1:]), created_wall_s=later.start_wall_s)
