"""From picture to problem and from plan to ceilings. Faults F59-F61 are in tests/faults."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest

from controller.facts import ChargingState, EvseKey, EvseMeasured, LimitStep, NeedStated, PlanSolved, SessionChanged, StationOffline, UpstreamWished
from controller.site.plans.cars import SOON_S, ready_by
from optimizer.check import check
from optimizer.problem import Plan, PlanStatus, Problem
from optimizer.rules import allocate
from optimizer.terms import defects
from tests.support.site_story import WALL_S, Story, depot

CP1, CP2 = EvseKey("CP1", 1), EvseKey("CP2", 1)


def depot_story(count: int = 2, **parts: object) -> Story:
    told = Story(depot(count, **parts))  # type: ignore[arg-type]
    told.start()
    for number in range(count):
        told.plug(f"CP{number + 1}")
    return told


def asked(told: Story, seconds: int = 8, building_a: float = 10.0) -> Problem:
    told.run(seconds, building_a)
    problem = told.problems()[-1]
    assert isinstance(problem, Problem)
    assert defects(problem) == ()
    return problem


def plan_of(problem: Problem, watts: dict[str, float]) -> Plan:
    """A plan with these powers in every slot, needs or not; used where no check is asked for."""
    plan = allocate(problem)
    powers = {name: (watts.get(name, 0.0),) * len(problem.slots) for name in plan.ev_power_w}
    more_w = [sum(powers[name][slot] - series[slot] for name, series in plan.ev_power_w.items()) for slot in range(len(problem.slots))]
    grid_w = tuple(grid + more for grid, more in zip(plan.grid_power_w, more_w, strict=True))
    return replace(plan, status=PlanStatus.PROVED, ev_power_w=powers, grid_power_w=grid_w)


def test_the_problem_knows_tree_cars_and_building() -> None:
    told = depot_story(2, circuits=1, circuit_fuse_a=40.0)
    told.do(NeedStated(told.at(), CP1, 12_000.0, told.at().wall_s + 7200, "api"))
    problem = asked(told)
    grid, hall = problem.nodes
    assert (grid.node_id, grid.parent, grid.limit_a) == ("grid", None, (62.0, 62.0, 62.0))
    assert (hall.node_id, hall.parent, hall.limit_a) == ("hall0", "grid", (39.0, 39.0, 39.0))
    assert grid.other_load_a[0] == pytest.approx((10.0, 10.0, 10.0), abs=0.1)
    first, second = problem.evs
    assert (first.ev_id, first.node_id, first.phases, first.energy_need_wh) == ("CP1/1", "hall0", (0, 1, 2), 12_000.0)
    assert first.departure_wall_s == pytest.approx(WALL_S + 1004 + 7200)
    assert (first.min_power_w, first.max_power_w) == (6 * 690, 32 * 690)
    assert second.energy_need_wh == told.config.forecast.session_energy_wh
    assert 86_400 <= sum(slot.duration_s for slot in problem.slots) <= 86_400 + 900 + 3600
    assert check(problem, allocate(problem)) == ()


def test_time_limits_bind_only_the_slots_before_their_end() -> None:
    told = depot_story(1)
    told.limit(20.0, valid_for_s=3600)
    problem = asked(told)
    end = told.site.limits.in_force(told.now)[0].ends_wall_s
    assert end is not None
    for slot, amps in zip(problem.slots, problem.nodes[0].slot_limit_a, strict=True):
        assert (amps == 20.0) == (slot.start_wall_s < end)


def test_upstream_schedules_become_bounds_per_slot_and_a_station_sum_a_node() -> None:
    told = depot_story(2)
    now = told.at().wall_s
    told.do(UpstreamWished(told.at(), CP1, (LimitStep(now, 10.0), LimitStep(now + 7200, None)), "upstream profile 1"))
    told.do(UpstreamWished(told.at(), EvseKey("CP2", 0), (LimitStep(now, 12.0),), "upstream profile 2"))
    problem = asked(told)
    bounds = problem.evs[0].max_slot_power_w
    assert bounds[0] == 10 * 690
    assert bounds[-1] == 32 * 690
    node = problem.nodes[-1]
    assert (node.node_id, node.parent, set(node.slot_limit_a)) == ("station CP2", "grid", {12.0})
    assert problem.evs[1].node_id == "station CP2"


def test_what_cannot_be_commanded_is_load_of_the_plan() -> None:
    told = depot_story(2)
    told.run(10)
    told.do(StationOffline(told.at(), "CP2"))
    problem = asked(told, 61)
    assert [ev.ev_id for ev in problem.evs] == ["CP1/1"]
    assert problem.nodes[0].other_load_a[0][0] > 10.0


@pytest.mark.parametrize(
    ("charged_wh", "state", "need_wh"),
    [(5_000.0, ChargingState.CHARGING, 15_000.0), (25_000.0, ChargingState.CHARGING, 2_000.0), (25_000.0, ChargingState.SUSPENDED_EV, 0.0)],
)
def test_a_silent_session_is_assumed_and_never_cut_off_by_the_assumption(charged_wh: float, state: ChargingState, need_wh: float) -> None:
    told = depot_story(1)
    told.do(EvseMeasured(told.at(), CP1, energy_wh=100.0))
    told.do(EvseMeasured(told.at(), CP1, energy_wh=100.0 + charged_wh))
    session = told.site.evses[CP1].session
    assert session is not None
    told.do(SessionChanged(told.at(), CP1, session.transaction_id, state))
    assert asked(told).evs[0].energy_need_wh == need_wh


def test_a_car_that_overstays_is_still_planned() -> None:
    told = depot_story(1)
    told.do(NeedStated(told.at(), CP1, 5_000.0, told.at().wall_s - 60, "api"))
    problem = asked(told)
    assert problem.evs[0].departure_wall_s == ready_by(problem.created_wall_s + SOON_S, problem.created_wall_s)


def test_a_car_is_planned_to_be_ready_before_it_leaves() -> None:
    assert ready_by(100_000.0, 0.0) == 100_000.0 - 1800.0
    assert ready_by(1000.0, 0.0) == 850.0
    assert ready_by(500.0, 1000.0) == 500.0


def test_a_battery_is_planned_only_when_its_charge_is_known() -> None:
    battery = {"battery": {"capacity_wh": 100_000, "max_charge_w": 50_000, "max_discharge_w": 50_000, "meter": "store"}}
    meters = [{"id": "store", "role": "battery", "source": {"type": "mqtt", "topic": "store"}}]
    told = Story(depot(1, meters=meters, **battery))
    told.start()
    told.plug(CP1)
    assert asked(told).battery is None
    told.do(told.reading((0.0, 0.0, 0.0), meter="store", power_w=0.0, soc_percent=40.0))
    told.plug(CP1)
    store = asked(told, 61).battery
    assert store is not None
    assert store.soc_wh == 40_000.0


def test_pv_is_taken_out_of_the_building_and_forecast_by_itself() -> None:
    meters = [{"id": "roof", "role": "pv", "source": {"type": "mqtt", "topic": "roof"}}]
    told = Story(depot(1, meters=meters))
    told.start()
    told.do(told.reading((0.0, 0.0, 0.0), meter="roof", power_w=-6900.0))
    told.plug(CP1)
    problem = asked(told, 8, building_a=5.0)
    assert problem.pv_w[0] == pytest.approx(6900.0, rel=0.2)
    assert problem.nodes[0].other_load_a[0][0] == pytest.approx(15.0, abs=0.2)


@pytest.mark.parametrize(
    ("watts", "limit_a", "reason"),
    [
        (22_080.0, 32.0, "charger maximum"),
        (10 * 690.0, 10.0, "plan"),
        (9.4 * 690.0, 9.0, "plan"),
        (4.0 * 690.0, 6.0, "plan"),
        (0.0, 0.0, "plan: charges later"),
        (-5000.0, 0.0, "plan: gives back later"),
    ],
)
def test_a_plan_is_a_ceiling_in_amps(watts: float, limit_a: float, reason: str) -> None:
    told = depot_story(1)
    problem = asked(told)
    told.site.planner._take(plan_of(problem, {"CP1/1": watts}), problem, told.at())
    told.run(10)
    grant = told.site.grants[CP1]
    assert (grant.limit_a, grant.reason) == (limit_a, reason)


def test_a_mean_below_the_minimum_becomes_the_minimum_for_a_part_of_the_time() -> None:
    told = depot_story(1)
    problem = asked(told)
    told.site.planner._take(plan_of(problem, {"CP1/1": 2 * 690.0}), problem, told.at())
    told.run(3)
    limits = []
    for _ in range(800):
        told.run(1)
        limits.append(told.site.grants[CP1].limit_a)
    assert set(limits) == {0.0, 6.0}
    assert sum(limits) / len(limits) == pytest.approx(2.0, abs=1.0)
    assert sum(before != after for before, after in pairwise(limits)) <= 6, "contactors do not chatter"


def test_what_rounding_withheld_is_reckoned_for_the_time_it_really_stood() -> None:
    told = depot_story(1)
    problem = asked(told)
    plan = plan_of(problem, {"CP1/1": 9.5 * 690.0})
    told.site.planner._take(plan, problem, told.at())
    told.run(30)
    told.site.planner._take(replace(plan, solver="another"), problem, told.at())
    told.run(2)
    assert told.site.planner._rounding.owed_wh["CP1/1"] == pytest.approx(0.5 * 690.0 * 30.0 / 3600.0, rel=0.1)


def test_a_plan_never_raises_above_the_fuse() -> None:
    told = depot_story(2)
    problem = asked(told)
    told.site.planner._take(plan_of(problem, {"CP1/1": 22_080.0, "CP2/1": 22_080.0}), problem, told.at())
    told.run(20, building_a=30.0)
    assert max(told.metered_a(30.0)) <= 63.0


def test_a_car_the_plan_does_not_know_gets_its_fair_share() -> None:
    told = Story(depot(2))
    told.start()
    told.plug(CP1)
    problem = asked(told)
    told.site.planner._take(plan_of(problem, {"CP1/1": 0.0}), problem, told.at())
    told.plug(CP2)
    told.run(3)
    assert told.site.grants[CP2].limit_a >= 20.0


def test_a_good_plan_is_verified_shown_and_followed() -> None:
    told = depot_story(2)
    problem = asked(told)
    told.do(PlanSolved(told.at(), replace(allocate(problem), status=PlanStatus.PROVED, solver="highs")))
    view = told.site.view(told.at()).plan
    assert view is not None
    assert (view.status, view.solver, set(view.evse_power_w)) == ("proved", "highs", {"CP1/1", "CP2/1"})
    assert len(view.start_wall_s) == len(view.ev_power_w) == len(view.buy_per_kwh) == len(problem.slots)
    assert not told.told("plan")


def test_a_car_that_has_what_it_needs_is_shown_as_finished_and_one_that_waits_for_the_plan_as_paused() -> None:
    told = depot_story(2)
    told.do(NeedStated(told.at(), CP1, 0.0, None, "api"))
    problem = asked(told)
    told.site.planner._take(plan_of(problem, {"CP2/1": 0.0}), problem, told.at())
    told.run(20)
    shown = {evse.id: (evse.state, evse.reason) for evse in told.site.view(told.at()).evses}
    assert shown == {"CP1/1": ("finished", "plan: need reached"), "CP2/1": ("paused", "plan: charges later")}


def test_events_ask_for_plans_but_not_more_often_than_every_two_seconds() -> None:
    told = depot_story(1)
    told.run(10)
    before = len(told.problems())
    for number in range(20):
        told.do(NeedStated(told.at(), CP1, 1000.0 + number, None, "api"))
        told.step()
    assert 9 <= len(told.problems()) - before <= 11


def test_a_new_slot_waits_a_moment_for_its_own_plan() -> None:
    told = depot_story(1)
    told.wall_jump_s = 880.0 - (told.at().wall_s % 900.0)  # 20 s before the quarter
    problem = asked(told)
    plan = replace(plan_of(problem, {"CP1/1": 0.0}), ev_power_w={"CP1/1": (0.0, *(22_080.0 for _ in problem.slots[1:]))})
    told.site.planner._take(plan, problem, told.at())
    before = len(told.problems())
    left_s = int(problem.slots[1].start_wall_s - told.at().wall_s)
    told.run(left_s + 6)
    assert len(told.problems()) > before, "the new slot asks for its plan"
    assert told.site.grants[CP1].limit_a == 0.0, "what the old plan says about it does not switch a car on for seconds"
    told.run(20)
    assert told.site.grants[CP1].limit_a == 32.0, "but without a new one it holds"


def test_a_step_of_the_csms_that_begins_asks_for_a_new_plan() -> None:
    told = depot_story(1, control={"plan_every_s": 3600})
    told.run(20)
    now_s = told.at().wall_s
    told.do(UpstreamWished(told.at(), CP1, (LimitStep(now_s, 10.0), LimitStep(now_s + 60.0, 32.0)), "upstream profile 4"))
    told.run(40)
    before = len(told.problems())
    told.run(30)
    assert len(told.problems()) == before + 1
    first = told.problems()[-1].evs[0]
    assert first.max_slot_power_w[0] == pytest.approx(32.0 * 230.0 * 3)
