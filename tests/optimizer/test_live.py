"""The living model: which way each next problem goes, that every way finds the same optimum, and that no trouble outlives a cold start."""

from __future__ import annotations

from dataclasses import replace

import pytest

from optimizer.check import check
from optimizer.explain import loosened
from optimizer.failure import SolveError, SolveReason
from optimizer.highs import LiveHighs, Verdict
from optimizer.live import Live
from optimizer.model import Model
from optimizer.problem import Plan, PlanStatus, Problem
from optimizer.solve import solve
from tests.support.fleet import KINDS, NOW_WALL_S, fleet, noisy

SITE = fleet("tight", 20)


def later(seconds: float, kind: str = "tight", bays: int = 20) -> Problem:
    return fleet(kind, bays, now_wall_s=NOW_WALL_S + seconds)


def right(problem: Problem, live: Live, plan: Plan) -> None:
    """The plan keeps everything, is the optimum of the living program, and as good as one made from nothing but for preferences."""
    assert check(problem, plan) == ()
    assert plan.status is PlanStatus.PROVED
    assert live._model is not None
    engine = LiveHighs(60.0)
    assert engine.cold(live._model.lp) is Verdict.PROVED
    assert plan.objective == pytest.approx(engine.objective * live._model.scale, rel=1e-9)
    afresh = solve(problem, 60.0)
    assert plan.objective == pytest.approx(afresh.objective, rel=1e-5)  # lateness counts from when the model was built
    assert plan.cost == pytest.approx(afresh.cost, rel=1e-3, abs=0.05)


@pytest.mark.parametrize("kind", KINDS)
def test_other_numbers_go_hot_and_end_at_the_same_optimum(kind: str) -> None:
    live = Live()
    live.solve(fleet(kind, 20), 60.0)
    for number in range(1, 6):
        problem = noisy(later(20.0 * number, kind), number)
        plan = live.solve(problem, 60.0)
        assert (plan.way, live.why) == ("hot", "")
        right(problem, live, plan)


def test_hot_until_the_quarter_hour_ends_then_rebuilt() -> None:
    live, ways = Live(), []
    for seconds in range(0, 1000, 60):  # slots of the running quarter hour end on the way; it ends after 840 s
        problem = later(float(seconds))
        plan = live.solve(problem, 60.0)
        ways.append(plan.way)
        assert check(problem, plan) == ()
    assert ways == ["rebuilt", *["hot"] * 13, "rebuilt", "hot", "hot"]


def test_cars_that_come_and_leave_are_let_in_and_out() -> None:
    live = Live()
    live.solve(SITE, 60.0)
    here = list(SITE.evs)
    for number in range(8):
        here = [*here[1:], replace(here[0], ev_id=f"guest{number}", energy_need_wh=9000.0 + 500.0 * number)]
        problem = replace(SITE, evs=tuple(here))
        plan = live.solve(problem, 60.0)
        assert plan.way == "admitted"
        assert set(plan.ev_power_w) == {ev.ev_id for ev in here}
        right(problem, live, plan)


def test_an_arriving_v2g_car_costs_a_few_steps_only() -> None:
    """Its columns want to rest at their upper bounds; put at the lower ones they cost 632 steps here, and 5000 among 500 cars."""
    site = fleet("tight", 60)
    place = next(place for place, ev in enumerate(site.evs) if ev.max_discharge_w > 0.0)
    live = Live()
    live.solve(replace(site, evs=site.evs[:place] + site.evs[place + 1 :]), 60.0)
    assert live.solve(site, 60.0).way == "admitted"
    assert live._highs._highs.getInfo().simplex_iteration_count < 300


def test_an_empty_site_fills_and_empties() -> None:
    live, empty = Live(), replace(SITE, evs=())
    assert live.solve(empty, 60.0).way == "rebuilt"
    assert live.solve(SITE, 60.0).way == "admitted"
    assert live.solve(empty, 60.0).ev_power_w == {}


@pytest.mark.parametrize(
    ("other", "why"),
    [
        (replace(SITE, buy_per_kwh=tuple(price + 0.1 for price in SITE.buy_per_kwh)), "prices"),
        (replace(SITE, battery=None), "parts"),
        (replace(SITE, nodes=(*SITE.nodes, replace(SITE.nodes[-1], node_id="new"))), "tree"),
        (later(900.0), "grid of time"),
    ],
)
def test_another_structure_is_rebuilt_and_the_reason_is_told(other: Problem, why: str) -> None:
    live = Live()
    live.solve(SITE, 60.0)
    plan = live.solve(other, 60.0)
    assert plan.way == "rebuilt"
    assert why in live.why
    right(other, live, plan)
    assert live.solve(other, 60.0).way == "hot"


def test_a_bad_problem_leaves_the_living_model_alone() -> None:
    live = Live()
    live.solve(SITE, 60.0)
    with pytest.raises(SolveError) as caught:
        live.solve(replace(SITE, voltage_v=0.0), 60.0)
    assert caught.value.reason is SolveReason.BAD_PROBLEM
    assert live.solve(SITE, 60.0).way == "hot"


def test_no_time_is_told_and_the_next_problem_is_planned() -> None:
    live = Live()
    live.solve(SITE, 60.0)
    with pytest.raises(SolveError) as caught:
        live.solve(later(20.0), 0.0)
    assert caught.value.reason is SolveReason.DEADLINE
    right(later(20.0), live, live.solve(later(20.0), 60.0))


class Broken:
    """A solver library in trouble: raises whatever is asked of it."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def __getattr__(self, name: str) -> object:
        raise self._error


@pytest.mark.parametrize("error", [RuntimeError("lost its mind"), MemoryError("bad_alloc"), KeyError(7), OSError("disk full")])
def test_after_any_error_of_the_living_solver_a_cold_start_answers(error: Exception) -> None:
    live = Live()
    live.solve(SITE, 60.0)
    live._highs._highs = Broken(error)
    plan = live.solve(later(20.0), 60.0)
    assert plan.way == "rebuilt"
    assert str(error) in live.why
    right(later(20.0), live, plan)
    assert live.solve(later(40.0), 60.0).way == "hot"


def test_cbc_plans_without_a_living_model() -> None:
    live = Live("cbc")
    small = fleet("depot", 4)
    plans = [live.solve(small, 60.0) for _ in range(2)]
    assert [(plan.solver, plan.way) for plan in plans] == [("cbc", "rebuilt")] * 2
    assert check(small, plans[1]) == ()
    assert plans[0].objective == pytest.approx(solve(small, 60.0).objective, rel=1e-6)
    assert {price.where for price in plans[0].shadow} == {price.where for price in solve(small, 60.0).shadow}


def test_an_unknown_solver_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(ValueError, match="use one of"):
        Live("gurobi")


def test_what_nobody_can_use_any_more_costs_what_it_would_in_a_new_program() -> None:
    """An overloaded wire after its last car has left, a car whose last slot is over: no part of the objective, hot or afresh."""
    overloaded = tuple(replace(node, other_load_a=((60.0, 60.0, 60.0),) * len(SITE.slots)) if node.parent else node for node in SITE.nodes)
    site = replace(SITE, nodes=overloaded)
    there, minutes = site.evs[1], later(120.0)
    leaving = replace(there, departure_wall_s=NOW_WALL_S + 60.0)
    for afterwards in (
        replace(site, evs=tuple(ev for ev in site.evs if ev.node_id != there.node_id)),
        replace(minutes, evs=tuple(leaving if ev.ev_id == there.ev_id else ev for ev in minutes.evs)),
    ):
        live = Live()
        live.solve(site if afterwards.slots == site.slots else SITE, 60.0)
        assert live.solve(afterwards, 60.0).way in ("hot", "admitted")
        assert live.solve(afterwards, 60.0).objective == pytest.approx(solve(afterwards, 60.0).objective, rel=1e-5)


def test_a_reserve_that_nobody_asks_for_any_more_is_no_reason_to_start_anew() -> None:
    live = Live()
    live.solve(replace(SITE, reserve_w=(5000.0,) * len(SITE.slots)), 60.0)
    plan = live.solve(SITE, 60.0)
    assert (plan.way, live.why) == ("hot", "")
    assert plan.objective == pytest.approx(solve(SITE, 60.0).objective, rel=1e-5)


def test_an_unfilled_battery_reserve_counts_from_now_on() -> None:
    assert SITE.battery is not None
    empty = replace(SITE.battery, soc_wh=SITE.battery.min_soc_wh, reserve_wh=SITE.battery.min_soc_wh + 5000.0)
    live = Live()
    live.solve(replace(SITE, battery=empty), 60.0)
    for seconds in (200.0, 500.0):  # slots end on the way
        problem = replace(later(seconds), battery=empty)
        plan = live.solve(problem, 60.0)
        assert plan.way == "hot"
        assert plan.cost == pytest.approx(solve(problem, 60.0).cost, abs=0.01)
        assert plan.objective == pytest.approx(solve(problem, 60.0).objective, rel=2e-3)


def limited(problem: Problem, totals_w: tuple[float, float], counts: bool = True) -> Problem:
    """A limit in watts on the grid connection and on a circuit below it, and a battery that may give less in every slot."""
    count, below = len(problem.slots), problem.nodes[1].node_id
    by_node = {problem.nodes[0].node_id: totals_w[0], below: totals_w[1]}
    nodes = tuple(
        replace(node, slot_total_w=(by_node[node.node_id],) * count, battery_counts=counts) if node.node_id in by_node else node
        for node in problem.nodes
    )
    assert problem.battery is not None
    bounded = replace(problem.battery, max_slot_discharge_w=(0.5 * problem.battery.max_discharge_w,) * count)
    return replace(problem, nodes=nodes, battery=bounded)


def test_limits_in_watts_and_bounds_of_slots_live_on_while_slots_end() -> None:
    live, ways = Live(), []
    for number, seconds in enumerate((0.0, 200.0, 500.0, 700.0)):
        problem = limited(later(seconds), (60_000.0 - 4000.0 * number, 9000.0 + 1000.0 * number))
        plan = live.solve(problem, 60.0)
        ways.append(plan.way)
        right(problem, live, plan)
    assert ways == ["rebuilt", "hot", "hot", "hot"]


def test_a_limit_in_watts_that_comes_or_goes_is_another_tree() -> None:
    live = Live()
    live.solve(SITE, 60.0)
    for problem in (limited(SITE, (50_000.0, 9000.0)), limited(SITE, (50_000.0, 9000.0), counts=False), SITE):
        assert live.solve(problem, 60.0).way == "rebuilt"
        assert live.why == "another feeder tree"


def test_what_a_limit_in_watts_costs_stands_with_its_node() -> None:
    """An ampere more on each phase of a node with a total saves what its price says, on a small step."""
    problem = limited(SITE, (1e6, 4000.0))
    plan = solve(problem, 60.0)
    where = problem.nodes[1].node_id
    prices = [price for price in plan.shadow if price.where == where]
    assert prices
    assert plan.objective is not None
    eased = solve(loosened(problem, where, 0.05), 60.0).objective
    assert eased is not None
    assert sum(price.per_unit for price in prices) * 0.05 == pytest.approx(plan.objective - eased, rel=0.05)


class Refused(Live):
    """Every plan of a program in which batteries may give is refused."""

    def _answer(self, model: Model, problem: Problem, verdict: Verdict, name: str, way: str) -> Plan:
        if not model.one_way:
            raise SolveError(SolveReason.WRONG_ANSWER, "energy is missing")
        return super()._answer(model, problem, verdict, name, way)


def test_a_refused_plan_is_made_again_without_batteries_that_give() -> None:
    live = Refused("highs")
    plan = live.solve(SITE, 60.0)
    assert check(SITE, plan) == ()
    assert min(min(watts) for watts in plan.ev_power_w.values()) >= 0.0
    assert min(plan.battery_power_w) >= 0.0
    assert plan.status is PlanStatus.FEASIBLE
    assert "energy is missing" in live.why
    assert live.solve(SITE, 60.0).way == "rebuilt"
