"""Laws of setpoints, on random sites and plans: what ``to_amps`` says, real chargers accept and every wire carries.

1. Every current is 0, the minimum, or a step between minimum and maximum; never above what the car may take; expected cars get none.
2. No phase, wire, limit in watts, import or export limit and no unbalance rule is broken that other loads did not break, and those are
   not made worse.
3. Beyond the plan's import only what raises no peak, or a car's last step.
4. What is owed is bounded, and a mean inside the gap is met over time.
"""

from dataclasses import replace
from random import Random

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from optimizer.amps import DEBT_S, Rounded, Steps, to_amps
from optimizer.check_desk import Desk
from optimizer.check_soft import mean_import_w
from optimizer.problem import EXPECTED, Battery, Ev, Node, Plan, Problem, Slot
from optimizer.rules import allocate
from optimizer.solve import solve
from tests.support import plans
from tests.support.examples import examples
from tests.support.plans import VOLTS, car, grid
from tests.support.random_sites import START_S

law = settings(max_examples=examples(200), deadline=None, suppress_health_check=[HealthCheck.too_slow])
cases = st.integers(0, 10**9).map(lambda seed: case(Random(seed)))
"""Seeds rather than strategies: every example is another crowded site, few are small."""


def case(dice: Random) -> tuple[Problem, Plan, dict[str, Steps], Rounded]:
    """A crowded site, a plan by the solver or by somebody who knows no limits, and what comes of it for chargers and debts of any kind."""
    problem = site(dice)
    plan = solve(problem, 30.0, "highs") if dice.random() < 0.2 else reckless(problem, dice)
    known = {ev.ev_id: Steps(dice.choice([6.0, 6.0, 8.0]), dice.choice([16.0, 32.0]), dice.choice([1.0, 1.0, 0.1, 0.0, 2.0])) for ev in problem.evs}
    for ev in problem.evs:
        if dice.random() < 0.1:
            del known[ev.ev_id]
    owed = {ev.ev_id: dice.choice([0.0, 0.0, 150.0, -150.0, 5000.0]) for ev in problem.evs}
    return problem, plan, known, to_amps(problem, plan, known, owed, [ev.ev_id for ev in problem.evs if dice.random() < 0.5])


def site(dice: Random) -> Problem:
    """Up to nine hungry cars on up to four nodes, some of them overloaded by others."""
    count = dice.randint(1, 4)
    first_s = dice.choice([60.0, 300.0])
    slots = (Slot(START_S, first_s), Slot(START_S + first_s, 600.0))
    battery = Battery(9000.0, 5000.0, 0.0, 4000.0, 4000.0) if dice.random() < 0.3 else None
    return Problem(
        START_S, slots, 230.0, tuple(node(dice, index) for index in range(count)),
        tuple(hungry(dice, index, count) for index in range(dice.randint(1, 9))), (0.3, dice.choice([0.2, 0.3, 0.4])), (0.05, 0.05),
        (dice.choice([0.0, 0.0, 9000.0]),) * 2,
        import_limit_w=dice.choice([(), (8000.0, 8000.0), (20_000.0, 20_000.0)]), export_limit_w=dice.choice([(), (0.0, 0.0), (5000.0, 5000.0)]),
        demand_per_kw=dice.choice([0.0, 8.0]), peak_so_far_w=dice.choice([0.0, 9000.0]), battery=battery,
    )  # fmt: skip


def node(dice: Random, index: int) -> Node:
    """A node with loads of its own."""
    limit_a = dice.choice([40.0, 63.0]) if index == 0 else dice.choice([16.0, 25.0, 40.0])
    load = tuple(dice.choice([0.0, dice.uniform(0.0, 6.0), dice.uniform(-5.0, 45.0)]) for _ in range(3))
    margin = dice.choice([(), (3.0, 3.0), (8.0, 0.0)])
    parent = None if index == 0 else f"n{dice.randrange(index)}"
    total = dice.choice([(), (), (4000.0, 4000.0), (12_000.0, 12_000.0)])
    rule = dice.choice([None, None, 10.0, 20.0])
    return Node(f"n{index}", parent, (limit_a,) * 3, (), (load,) * 2, margin, rule, total, dice.random() < 0.3)  # type: ignore[arg-type]


def hungry(dice: Random, index: int, nodes: int) -> Ev:
    """A car that is there; a third of them may give back."""
    two_way, expected = dice.random() < 0.35, dice.random() < 0.05
    return Ev(
        f"{EXPECTED if expected else ''}ev{index}", f"n{dice.randrange(nodes)}", dice.choice([(0,), (1,), (2,), (0, 1), (0, 1, 2)]),
        START_S - 60.0, START_S + dice.choice([100.0, 900.0, 9000.0]), dice.choice([100.0, 3000.0, 20_000.0]), 1380.0,
        dice.choice([3680.0, 7360.0, 22_000.0]), priority=dice.choice([0, 0, 1]), max_slot_power_w=dice.choice([(), (2000.0, 2000.0)]),
        max_discharge_w=dice.choice([3680.0, 11_000.0]) if two_way else 0.0, capacity_wh=40_000.0, soc_wh=20_000.0, reserve_wh=8000.0,
        max_slot_discharge_w=dice.choice([(), (5000.0, 0.0)]) if two_way else (), expected=expected,
    )  # fmt: skip


def reckless(problem: Problem, dice: Random) -> Plan:
    """Cars charge and give back as they like, and nobody says so at the meter: setpoints must be safe whatever the plan is."""
    plan = allocate(problem)
    charge, give = [0.0, 700.0, 1700.0, 3000.0, 11_000.0], [-700.0, -1700.0, -3000.0, -11_000.0]
    now_w = {ev.ev_id: dice.choice([*charge, *give]) if ev.max_discharge_w > 0.0 else dice.choice(charge) for ev in problem.evs}
    rest_w = tuple(with_setpoints(problem, plan, {}).exchange_w.tolist())
    unseen = replace(plan, grid_power_w=rest_w, peak_w=mean_import_w(Desk(problem, replace(plan, grid_power_w=rest_w), 0.01)))
    return replace(unseen, ev_power_w={name: (watts, *plan.ev_power_w[name][1:]) for name, watts in now_w.items()})


def with_setpoints(problem: Problem, plan: Plan, setpoint_a: dict[str, float]) -> Desk:
    """The first slot as it will be: the verifier's own arithmetic on these currents."""
    series = {}
    for ev in problem.evs:
        watts = setpoint_a.get(ev.ev_id, 0.0) * problem.voltage_v * len(ev.phases)
        series[ev.ev_id] = (watts, *plan.ev_power_w[ev.ev_id][1:])
    return Desk(problem, replace(plan, ev_power_w=series), 0.01)


@law
@given(cases)
def test_chargers_accept_every_current(drawn: tuple[Problem, Plan, dict[str, Steps], Rounded]) -> None:
    problem, _, known, found = drawn
    assert set(found.setpoint_a) == {ev.ev_id for ev in problem.evs if ev.ev_id in known and not ev.expected}
    for ev in problem.evs:
        amps = abs(found.setpoint_a.get(ev.ev_id, 0.0))
        if amps == 0.0:
            continue
        one, per_a = known[ev.ev_id], problem.voltage_v * len(ev.phases)
        assert one.min_a - 1e-9 <= amps <= one.max_a + 1e-9
        assert one.step_a == 0.0 or amps == one.min_a or abs(amps / one.step_a - round(amps / one.step_a)) < 1e-6
        most_w = ev.max_power_w if found.setpoint_a[ev.ev_id] > 0.0 else ev.max_discharge_w
        series = ev.max_slot_power_w if found.setpoint_a[ev.ev_id] > 0.0 else ev.max_slot_discharge_w
        assert amps * per_a <= min([most_w, *series[:1]]) + 1e-6 * per_a
        assert ev.arrival_wall_s < problem.slots[0].start_wall_s + problem.slots[0].duration_s


@law
@given(cases)
def test_no_wire_carries_more_than_it_may(drawn: tuple[Problem, Plan, dict[str, Steps], Rounded]) -> None:
    problem, plan, _, found = drawn
    rest, desk = (with_setpoints(problem, plan, amps) for amps in ({}, found.setpoint_a))
    idle, flow, limit = rest.flow_a[:, :, 0], desk.flow_a[:, :, 0], desk.limit_a[:, :, 0]
    margin = np.array([max(0.0, node.margin_a[0]) if node.margin_a else 0.0 for node in problem.nodes])[:, None]
    assert (flow <= np.maximum(np.maximum(0.0, limit - margin), idle) + 1e-6).all()
    assert (-flow <= np.maximum(limit, -idle) + 1e-6).all()
    grid_w, idle_w = float(desk.exchange_w[0]), float(rest.exchange_w[0])
    if problem.import_limit_w:
        assert grid_w <= max(0.0, problem.import_limit_w[0], idle_w) + 1e-3
    if problem.export_limit_w:
        assert -grid_w <= max(0.0, problem.export_limit_w[0], -idle_w) + 1e-3
    for index, node in enumerate(problem.nodes):
        if node.slot_total_w:
            charging_w = max(0.0, float(desk.battery_w[0])) if node.battery_counts and node.parent is not None else 0.0
            most_a = max(0.0, (node.slot_total_w[0] - charging_w) / problem.voltage_v)
            assert flow[index].sum() <= max(most_a, idle[index].sum()) + 1e-6
        if node.max_unbalance_a is not None:
            assert np.ptp(flow[index]) <= max(node.max_unbalance_a, np.ptp(idle[index])) + 1e-6


@law
@given(cases)
def test_the_peak_is_not_raised(drawn: tuple[Problem, Plan, dict[str, Steps], Rounded]) -> None:
    """A car that is done in this slot stops by itself; a car in the gap may have now what the rest of its demand window holds for it."""
    problem, plan, known, found = drawn
    desk, idle = with_setpoints(problem, plan, found.setpoint_a), with_setpoints(problem, plan, {})
    free_w, first = 0.0, problem.slots[0]
    for ev in problem.evs:
        watts = max(0.0, found.setpoint_a.get(ev.ev_id, 0.0)) * problem.voltage_v * len(ev.phases)
        planned_w, there = plan.ev_power_w[ev.ev_id][0], min(1.0, (ev.departure_wall_s - first.start_wall_s) / first.duration_s)
        mean_w = min(watts * there, ev.energy_need_wh / first.hours)
        gap = planned_w > 0.0 and ev.ev_id in known and found.setpoint_a.get(ev.ev_id) == known[ev.ev_id].min_a
        last = ev.energy_need_wh <= 1.002 * planned_w * first.hours
        free_w += watts if last else watts - mean_w + (max(0.0, mean_w - planned_w) if gap else 0.0)
    least_w = max(plan.grid_power_w[0], float(idle.exchange_w[0]))
    if problem.demand_per_kw > 0.0:
        assert window_mean_w(problem, plan, float(desk.exchange_w[0]) - free_w) <= max(
            plan.peak_w, problem.peak_so_far_w, window_mean_w(problem, plan, least_w)
        ) + 1e-3


def window_mean_w(problem: Problem, plan: Plan, first_w: float) -> float:
    """Highest mean import of a demand window if the first slot imports this."""
    return mean_import_w(Desk(problem, replace(plan, grid_power_w=(first_w, *plan.grid_power_w[1:])), 0.01))


@law
@given(cases)
def test_debts_are_bounded_and_only_with_a_plan(drawn: tuple[Problem, Plan, dict[str, Steps], Rounded]) -> None:
    problem, plan, known, found = drawn
    for ev in problem.evs:
        owed_wh = found.owed_wh.get(ev.ev_id, 0.0)
        per_a = problem.voltage_v * len(ev.phases)
        if owed_wh:
            most_a = max(known[ev.ev_id].min_a, min(known[ev.ev_id].max_a, max(ev.max_power_w, ev.max_discharge_w) / per_a))
            assert abs(owed_wh) <= most_a * per_a * DEBT_S / 3600.0 + 1e-6
            assert plan.ev_power_w[ev.ev_id][0]


@pytest.mark.parametrize("mean_a", [0.7, 2.0, 3.0, 4.5, 5.5])
@pytest.mark.parametrize("held_s", [60.0, 300.0])
def test_a_mean_inside_the_gap_is_met_over_time_without_chatter(mean_a: float, held_s: float) -> None:
    lone = plans.problem([0.3, 0.3], car(max_power_w=16 * VOLTS, need_wh=9000.0), nodes=[grid()])
    begin_s = lone.slots[0].start_wall_s
    lone = replace(lone, slots=(Slot(begin_s, 300.0), Slot(begin_s + 300.0, 3600.0)))
    plan = replace(allocate(lone), ev_power_w={"ev": (mean_a * VOLTS,) * 2}, grid_power_w=(mean_a * VOLTS,) * 2)
    owed: dict[str, float] = {}
    charging: list[str] = []
    given_a, switched, cycles = 0.0, 0, round(4 * 3600.0 / held_s)
    for _ in range(cycles):
        found = to_amps(lone, plan, {"ev": Steps(6.0, 16.0)}, owed, charging, held_s=held_s)
        now = found.setpoint_a["ev"]
        assert now in (0.0, 6.0)
        switched += (now > 0.0) != bool(charging)
        owed, charging, given_a = found.owed_wh, ["ev"] if now else [], given_a + now
    assert given_a / cycles == pytest.approx(mean_a, abs=0.2)
    assert switched <= 4 * 12
