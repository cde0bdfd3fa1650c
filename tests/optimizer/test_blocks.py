"""A site solved by feeder: near the joint optimum, always inside every limit, whatever the feeders look like and whoever is killed."""

import os
import resource
import select
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from optimizer import blocks
from optimizer.blocks import planned, solve_in_blocks
from optimizer.check import check
from optimizer.crew import Crew
from optimizer.failure import SolveError, SolveReason
from optimizer.live import Live
from optimizer.problem import Node, Plan, PlanStatus, Problem
from optimizer.solve import solve
from tests.support.feeders import COUNT, site

FOREVER_S = 1e9
HOME = Path(__file__).resolve().parents[2]


def worth(plan: Plan) -> float:
    assert plan.objective is not None
    return plan.objective


def held(problem: Problem, plan: Plan) -> Plan:
    """The joint optimum, after everything that must be true of a plan by blocks."""
    joint = solve(problem, FOREVER_S)
    assert check(problem, plan) == ()
    assert (plan.status, joint.status) == (PlanStatus.FEASIBLE, PlanStatus.PROVED)
    assert plan.gap is not None
    assert worth(plan) * (1.0 - plan.gap) <= worth(joint) * (1.0 + 1e-6), "the bound is above the optimum"
    assert worth(plan) >= worth(joint) * (1.0 - 1e-6), "better than the best: something is not counted"
    return joint


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize(
    ("limit_a", "feeder_a"), [(1e3, 1e3), (160.0, 1e3), (1e3, 45.0), (120.0, 60.0)], ids=["slack", "scarce site", "scarce feeders", "both"]
)
def test_near_the_joint_optimum(limit_a: float, feeder_a: float, workers: int) -> None:
    problem = site([12, 15, 10, 8], limit_a, feeder_a)
    plan = solve_in_blocks(problem, FOREVER_S, workers)
    joint = held(problem, plan)
    assert worth(plan) <= worth(joint) * 1.01


@pytest.mark.parametrize("seed", range(3))
def test_other_sites(seed: int) -> None:
    problem = site([9, 14, 11], 130.0, 70.0, seed=seed + 10)
    plan = solve_in_blocks(problem, FOREVER_S, 1)
    assert worth(plan) <= worth(held(problem, plan)) * 1.01


@pytest.mark.parametrize("where", ["above the cuts", "at the cuts", "both"])
def test_limits_in_watts_hold_wherever_a_site_is_cut(where: str) -> None:
    """Above the cuts they are the master's, at a cut they are the block's own."""
    problem = site([12, 15, 10], 150.0)
    above = [node for node in problem.nodes if node.parent is None]
    cuts = [node for node in problem.nodes if node.parent is not None and node.parent == above[0].node_id]
    count = len(problem.slots)
    totals = {above[0].node_id: 50_000.0} if where != "at the cuts" else {}
    totals |= {node.node_id: 18_000.0 for node in cuts} if where != "above the cuts" else {}
    nodes = tuple(replace(node, slot_total_w=(totals[node.node_id],) * count) if node.node_id in totals else node for node in problem.nodes)
    problem = replace(problem, nodes=nodes)
    plan = solve_in_blocks(problem, FOREVER_S, 1)
    assert worth(plan) <= worth(held(problem, plan)) * 1.01


def test_an_empty_feeder_is_no_block() -> None:
    problem = site([15, 0, 20], 140.0)
    held(problem, solve_in_blocks(problem, FOREVER_S, 1))


def test_one_huge_feeder_is_cut_below(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("optimizer.cuts.cut_nodes.__defaults__", (15,))
    problem = site([40, 6], 140.0, 100.0)
    held(problem, solve_in_blocks(problem, FOREVER_S, 1))


def test_a_site_without_feeders_is_solved_in_one_piece() -> None:
    problem = site([20], 140.0)
    plan = solve_in_blocks(problem, FOREVER_S, 1)
    assert plan.status is PlanStatus.PROVED
    assert worth(plan) == pytest.approx(worth(solve(problem, FOREVER_S)))


def test_an_overload_inside_a_block_and_at_its_head() -> None:
    problem = site([12, 10, 9], 300.0)
    loads = {"panel0a": ((170.0, 20.0, 5.0),) * COUNT, "feeder1": ((0.0, 0.0, 1100.0),) + ((0.0, 0.0, 0.0),) * (COUNT - 1)}
    nodes = tuple(replace(node, other_load_a=loads.get(node.node_id, node.other_load_a)) for node in problem.nodes)
    loaded = replace(problem, nodes=nodes)
    plan = solve_in_blocks(loaded, FOREVER_S, 1)
    assert plan.overload_a == pytest.approx({"panel0a/L1": 20.0, "feeder1/L3": 100.0, "grid/L3": 797.3}, abs=1.0)
    held(loaded, plan)


def test_everything_a_site_can_have_at_once() -> None:
    problem = site([10, 12, 9], 150.0, 80.0)
    nodes = tuple(replace(node, margin_a=(5.0,) * COUNT, max_unbalance_a=25.0) for node in problem.nodes)
    now_w = [2000.0 if number % 3 else 0.0 for number in range(len(problem.evs))]
    evs = tuple(replace(ev, minimum_wh=0.3 * ev.energy_need_wh, present_power_w=watts) for ev, watts in zip(problem.evs, now_w, strict=True))
    full = replace(
        problem,
        nodes=nodes,
        evs=evs,
        import_limit_w=(80e3,) * COUNT,
        export_limit_w=(5e3,) * COUNT,
        reserve_w=(0.0, 0.0, 5e3, 5e3, 0.0, 0.0, 0.0, 0.0),
        grid_setpoint_w=(None, None, None, None, 20e3, None, None, None),
        co2_kg_per_kwh=(0.3,) * COUNT,
        co2_per_kg=0.1,
        demand_window_s=7200.0,
    )
    plan = solve_in_blocks(full, FOREVER_S, 1)
    assert worth(plan) <= worth(held(full, plan)) * 1.01


def test_cars_above_the_cuts_are_the_masters() -> None:
    problem = site([10, 12, 9], 140.0)
    moved = replace(problem, evs=tuple(replace(ev, node_id="grid") if number % 5 == 0 else ev for number, ev in enumerate(problem.evs)))
    held(moved, solve_in_blocks(moved, FOREVER_S, 1))


def test_deeper_trees() -> None:
    problem = site([10, 12, 9], 140.0)
    hall = Node("hall", "grid", (100.0,) * 3)
    nodes = (*(replace(node, parent="hall") if node.node_id in ("feeder0", "feeder1") else node for node in problem.nodes), hall)
    nested = replace(problem, nodes=nodes)
    held(nested, solve_in_blocks(nested, FOREVER_S, 1))


# -- what goes wrong ----------------------------------------------------------------------------------


def test_without_time_the_plan_is_by_rules() -> None:
    problem = site([10, 12, 9], 140.0)
    plan = solve_in_blocks(problem, 0.0, 1)
    assert (plan.status, plan.solver) == (PlanStatus.RULES, "rules")
    assert check(problem, plan) == ()


def test_a_bad_problem_is_named() -> None:
    with pytest.raises(SolveError) as caught:
        solve_in_blocks(site([3, 3], voltage_v=0.0), FOREVER_S, 1)
    assert caught.value.reason is SolveReason.BAD_PROBLEM


@pytest.mark.parametrize("noticed", [False, True], ids=["while we talk to it", "before we talk to it"])
def test_a_killed_helper_costs_no_plan(noticed: bool) -> None:
    problem = site([12, 15, 10, 8], 140.0)
    with Crew(2) as crew:
        killed = crew.processes()
        for pid in killed:
            os.kill(pid, signal.SIGKILL)
            if noticed:
                os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        plan = planned(problem, crew, FOREVER_S)
        assert crew.lost == 1
        again = planned(problem, crew, FOREVER_S)
        assert crew.lost == 1
        assert len(crew.processes()) == 1  # the next plan began with a whole crew
        assert crew.processes() != killed
    assert plan is not None
    assert again is not None
    held(problem, plan)
    assert worth(again) == pytest.approx(worth(plan), rel=1e-6)


def test_a_stopped_helper_is_given_up_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """A helper that says nothing: the round ends, its blocks move in with us, and what is found is sound."""
    monkeypatch.setattr("optimizer.crew.GRACE_S", 0.0)
    monkeypatch.setattr("optimizer.blocks.START_PART", 0.0)
    problem = site([12, 15, 10, 8], 140.0)
    with Crew(2) as crew:
        for pid in crew.processes():
            os.kill(pid, signal.SIGSTOP)
        plan = planned(problem, crew, FOREVER_S)
        assert crew.lost == 1
    assert plan is not None
    held(problem, plan)


def test_no_helper_outlives_its_crew() -> None:
    with Crew(3) as crew:
        pids = crew.processes()
        assert len(pids) == 2
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_under_a_cap_of_memory_and_when_we_are_killed() -> None:
    """As in the controller's child: helpers inherit the cap, and die with whoever started them."""
    program = (
        "import sys; from optimizer.crew import Crew; from optimizer.blocks import planned; from tests.support.feeders import site\n"
        "crew = Crew(2); plan = planned(site([12, 15, 10], 140.0), crew, 1e9)\n"
        "print(plan and plan.status, crew.lost, *crew.processes(), flush=True); sys.stdin.read()"
    )
    cap = 2048 * 1024 * 1024
    with subprocess.Popen(
        (sys.executable, "-c", program),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=HOME,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (cap, cap)),
    ) as child:
        assert child.stdout is not None
        status, lost, helper = child.stdout.readline().split()
        assert (status, lost) == ("feasible", "0")
        watched = os.pidfd_open(int(helper))
        child.kill()
        child.wait()
    ended, _, _ = select.select([watched], [], [], 30.0)
    os.close(watched)
    assert ended, "the helper still lives"


# -- the living model -----------------------------------------------------------------------------------


def test_a_very_big_site_is_solved_by_feeder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("optimizer.live.MOST_CARS", 30)
    problem, live = site([12, 15, 10], 140.0), Live(workers=1)
    plan = live.solve(problem, FOREVER_S)
    held(problem, plan)
    small = site([12, 8], 140.0)
    assert live.solve(small, FOREVER_S).status is PlanStatus.PROVED
    with pytest.raises(SolveError) as caught:
        live.solve(problem, 0.0)
    assert caught.value.reason is SolveReason.DEADLINE


def test_blocks_need_highs() -> None:
    assert blocks.available()
