"""Laws of setpoints, on random sites and plans: what ``to_amps`` says, real chargers accept and every wire carries.

1. Every current is 0, the minimum, or a step between minimum and maximum; never above what the car may take; expected cars get none.
2. No phase, wire, import or export limit and no unbalance rule is broken that other loads did not break, and those are not made worse.
3. Beyond the plan's import only what raises no peak, or a car's last step.
4. What is owed is bounded, and a mean inside the gap is met over time.
"""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from optimizer.amps import DEBT_S, Rounded, Steps, to_amps
from optimizer.check_desk import Desk
from optimizer.problem import Plan, Problem
from optimizer.room import paid_import_w
from optimizer.rules import allocate
from optimizer.solve import solve
from tests.support import plans
from tests.support.plans import VOLTS, car, grid
from tests.support.random_sites import problems, sound_problems

law = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
steps = st.builds(Steps, st.sampled_from([6.0, 6.0, 8.0]), st.sampled_from([16.0, 32.0]), st.sampled_from([1.0, 1.0, 0.1, 0.0, 2.0]))
sites = st.one_of(problems(), sound_problems())


def rounded(problem: Problem, data: st.DataObject) -> tuple[Plan, dict[str, Steps], Rounded]:
    """A plan, by the solver or by rules, and what comes of it for chargers and debts of any kind."""
    plan = solve(problem, 30.0, "highs") if data.draw(st.booleans()) else allocate(problem)
    given_steps = {ev.ev_id: data.draw(steps) for ev in problem.evs if data.draw(st.integers(0, 5))}
    owed = {ev.ev_id: data.draw(st.sampled_from([0.0, 150.0, -150.0, 5000.0])) for ev in problem.evs}
    charging = [ev.ev_id for ev in problem.evs if data.draw(st.booleans())]
    return plan, given_steps, to_amps(problem, plan, given_steps, owed, charging)


def with_setpoints(problem: Problem, plan: Plan, setpoint_a: dict[str, float]) -> Desk:
    """The first slot as it will be: the verifier's own arithmetic on these currents."""
    series = {}
    for ev in problem.evs:
        watts = setpoint_a.get(ev.ev_id, 0.0) * problem.voltage_v * len(ev.phases)
        series[ev.ev_id] = (watts, *plan.ev_power_w[ev.ev_id][1:])
    return Desk(problem, replace(plan, ev_power_w=series), 0.01)


@law
@given(sites, st.data())
def test_chargers_accept_every_current(problem: Problem, data: st.DataObject) -> None:
    _, known, found = rounded(problem, data)
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
@given(sites, st.data())
def test_no_wire_carries_more_than_it_may(problem: Problem, data: st.DataObject) -> None:
    plan, _, found = rounded(problem, data)
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
        if node.max_unbalance_a is not None:
            assert np.ptp(flow[index]) <= max(node.max_unbalance_a, np.ptp(idle[index])) + 1e-6


@law
@given(sites, st.data())
def test_the_peak_is_not_raised(problem: Problem, data: st.DataObject) -> None:
    """A car that is done in this slot stops by itself; a car in the gap may have now what the rest of its demand window holds for it."""
    plan, known, found = rounded(problem, data)
    desk, idle = with_setpoints(problem, plan, found.setpoint_a), with_setpoints(problem, plan, {})
    free_w = 0.0
    for ev in problem.evs:
        amps, per_a = found.setpoint_a.get(ev.ev_id, 0.0), problem.voltage_v * len(ev.phases)
        planned_w = plan.ev_power_w[ev.ev_id][0]
        last = ev.energy_need_wh <= 1.01 * planned_w * problem.slots[0].hours
        gap = planned_w > 0.0 and ev.ev_id in known and amps == known[ev.ev_id].min_a
        free_w += max(0.0, amps * per_a - planned_w) if last or gap else 0.0
    allowed_w = max(plan.grid_power_w[0], paid_import_w(problem, plan, 0), float(idle.exchange_w[0]))
    assert float(desk.exchange_w[0]) <= allowed_w + free_w + 1e-3


@law
@given(sites, st.data())
def test_debts_are_bounded_and_only_with_a_plan(problem: Problem, data: st.DataObject) -> None:
    plan, known, found = rounded(problem, data)
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
    site = plans.problem([0.3, 0.3], car(max_power_w=16 * VOLTS, need_wh=9000.0), nodes=[grid()])
    site = replace(site, slots=(replace(site.slots[0], duration_s=300.0), replace(site.slots[1], start_wall_s=site.slots[0].start_wall_s + 300.0)))
    plan = replace(allocate(site), slots=site.slots, ev_power_w={"ev": (mean_a * VOLTS,) * 2}, grid_power_w=(mean_a * VOLTS,) * 2)
    owed: dict[str, float] = {}
    charging: list[str] = []
    given_a, switched, cycles = 0.0, 0, round(4 * 3600.0 / held_s)
    for _ in range(cycles):
        found = to_amps(site, plan, {"ev": Steps(6.0, 16.0)}, owed, charging, held_s=held_s)
        now = found.setpoint_a["ev"]
        assert now in (0.0, 6.0)
        switched += (now > 0.0) != bool(charging)
        owed, charging, given_a = found.owed_wh, ["ev"] if now else [], given_a + now
    assert given_a / cycles == pytest.approx(mean_a, abs=0.2)
    assert switched <= 4 * 12
