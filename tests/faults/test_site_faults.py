"""The site's part of the fault catalogue (RELIABILITY section 8), by number, in virtual time."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from controller.facts import (
    EvseKey,
    FloorConfirmed,
    LimitStep,
    LimitUnit,
    MeterFailed,
    PlanFailed,
    PlanSolved,
    Restored,
    SourceChanged,
    StationOffline,
    StationOnline,
    UpstreamWished,
)
from controller.orders import Inject, InstallFloor, Order, Persist, SetAvailable, Tell
from controller.site.site import Site
from meters.reading import Quality
from optimizer.problem import Plan, PlanStatus, Problem
from optimizer.rules import allocate
from tests.support.site_story import Story, depot

CP1, CP2, CP3 = EvseKey("CP1", 1), EvseKey("CP2", 1), EvseKey("CP3", 1)


def charging(count: int = 2, building_a: float = 10.0, **parts: object) -> Story:
    """A depot whose cars have settled."""
    told = Story(depot(count, **parts))  # type: ignore[arg-type]
    told.start()
    for number in range(count):
        told.plug(f"CP{number + 1}")
    told.run(20, building_a)
    return told


def setpoint_a(told: Story, key: EvseKey) -> float:
    return told.site.actuator.channels[key].present_a(told.now)


# -- stations -------------------------------------------------------------------------------------------


def test_f01_a_lost_stations_setpoint_stays_booked_then_its_fallback() -> None:
    told = charging(2)
    assert setpoint_a(told, CP1) == 26.0
    told.do(StationOffline(told.at(), "CP1"))
    told.run(60)
    assert setpoint_a(told, CP2) <= 26.0
    told.drawn_a[CP1] = 6.0  # its setpoint has ended: the dead man holds it at its floor
    told.run(160, report=False)  # and its clock may be a minute behind
    assert setpoint_a(told, CP2) == 32.0


def test_f03_a_station_that_accepts_and_ignores_is_escalated_and_the_others_make_room() -> None:
    told = charging(3, building_a=10.0)
    told.stubborn.add(CP1)
    before = told.drawn_a[CP1]
    told.run(1, 30.0)
    cut_at = told.now
    over = 0
    for _ in range(75):
        told.step(30.0)
        over += max(told.metered_a(30.0)) > 63.0
    kinds = told.told("draws")
    assert [word for word in ("sent again", "told to pause", "made unavailable", "call service") if any(word in text for text in kinds)] == [
        "sent again",
        "told to pause",
        "made unavailable",
        "call service",
    ]
    assert told.blocked() == [CP1]
    zero = [when for when, limit_a in told.injected(CP1) if limit_a == 0.0]
    assert 18 <= zero[0] - cut_at <= 30
    assert told.drawn_a[CP1] == before
    assert over <= 60
    told.unplug(CP1)
    assert [order.operative for order in told.of(SetAvailable)] == [False, True]


@pytest.mark.parametrize("how", ["refusing", "mute"])
def test_f04_f05_a_station_that_rejects_or_never_answers_counts_with_its_maximum(how: str) -> None:
    told = Story(depot(2))
    told.start()
    getattr(told, how).add(CP1)
    told.plug(CP1)
    told.plug(CP2)
    told.run(200)
    assert told.site.actuator.channels[CP1].uncontrollable
    assert setpoint_a(told, CP2) <= 63 - 1 - 10 - 32
    assert len(told.told("takes no setpoints")) == 1
    assert told.site.view(told.at()).evses[0].reason == "not under control"
    getattr(told, how).discard(CP1)
    told.run(130)
    assert not told.site.actuator.channels[CP1].uncontrollable
    assert setpoint_a(told, CP1) > 20


def test_f03_a_silent_station_is_judged_by_the_meter_of_its_own_circuit() -> None:
    own = {"id": "bay", "fuse_a": 40.0, "meter": "bay"}
    meter = {"id": "bay", "role": "circuit", "source": {"type": "modbus", "host": "bay", "map": "any"}}
    config = depot(1, meters=[meter])
    station = config.stations[0].model_copy(update={"circuit": "bay"})
    data = config.model_dump(mode="python")
    told = Story(type(config).model_validate({**data, "circuits": [own], "stations": [station.model_dump(mode="python")]}))
    told.start()
    told.plug(CP1)

    def seconds(count: int) -> None:
        for _ in range(count):
            told.do(told.reading((told.drawn_a[CP1],) * 3, meter="bay"))
            told.step(10.0, report=False)

    seconds(20)
    assert told.drawn_a[CP1] > 20.0
    told.stubborn.add(CP1)
    told.limit(16.0 + 1.0)
    seconds(80)
    assert told.blocked() == [CP1]
    assert told.told("call service")


def test_f03_an_evse_is_operative_again_when_it_obeyed_for_a_minute() -> None:
    told = charging(3, building_a=10.0)
    told.stubborn.add(CP1)
    told.run(60, 30.0)
    assert told.blocked() == [CP1]
    told.stubborn.clear()
    told.drawn_a[CP1] = 0.0
    told.run(70, 30.0)
    assert [order.operative for order in told.of(SetAvailable)] == [False, True]
    assert len(told.told("is available again: it follows its setpoint again")) == 1


def test_f03_what_was_made_unavailable_is_freed_after_a_restart() -> None:
    told = charging(3, building_a=10.0)
    told.stubborn.add(CP1)
    told.run(60, 30.0)
    again = Story(told.config)
    again.do(Restored(again.at(), kept_by([order for _, order in told.orders]), {}))
    again.start()
    assert [order.operative for order in again.of(SetAvailable)] == [True], "its car is gone"
    assert ("blocked", "CP1/1") not in kept_by([order for _, order in [*told.orders, *again.orders]])


def test_f03_a_car_5_percent_above_its_setpoint_is_learned_not_pursued() -> None:
    told = charging(2)
    for _ in range(60):
        told.now += 1
        told.settle()
        for key in (CP1, CP2):
            sent = told.limits_a[key]
            told.drawn_a[key] = min(sent * 1.05, 32.0)
        told.report()
        told.do(told.reading(told.metered_a(20.0)))
        told.do(told.tick())
    assert not told.site.escalation.pursuits
    assert told.site.actuator.channels[CP1].overdraw_part == pytest.approx(0.05, abs=0.005)
    assert len(told.told("5 % more than told")) == 2
    assert max(told.metered_a(20.0)) <= 63.0


@pytest.mark.parametrize("takes", [("tx", "W"), ("tx_default", "A"), ("tx_default", "W")])
def test_f04_the_next_strategy_of_the_model_is_found_and_kept_over_a_restart(takes: tuple[str, str]) -> None:
    told = Story(depot(2))
    told.takes[CP1] = {takes}
    told.start()
    told.plug(CP1)
    told.run(30)
    assert not told.told("takes no setpoints")
    assert told.drawn_a[CP1] == 32.0
    before = len(told.of(Inject))
    again = Story(told.config)
    again.takes[CP1] = {takes}
    again.do(Restored(again.at(), kept_by([order for _, order in told.orders]), {}))
    again.start()
    again.plug(CP1)
    again.run(5)
    assert {(order.strategy.purpose, order.strategy.unit) for order in again.of(Inject)} == {takes}
    assert before > 0


def test_f04_only_when_everything_is_refused_its_maximum_is_kept_free_and_a_probe_a_minute_finds_it_again() -> None:
    told = Story(depot(2))
    told.start()
    told.refusing.add(CP1)
    told.plug(CP1)
    told.plug(CP2)
    told.run(10)
    ways = [(order.strategy.purpose, order.strategy.unit) for order in told.of(Inject) if order.evse == CP1]
    assert ways == [("tx", "A"), ("tx", "W"), ("tx_default", "A"), ("tx_default", "W")] * 2
    assert setpoint_a(told, CP2) <= 63 - 1 - 10 - 32
    told.run(240)
    assert len([1 for order in told.of(Inject) if order.evse == CP1]) <= 8 + 4 * 4
    assert len(told.told("takes no setpoints")) == 1
    told.refusing.clear()
    told.run(75)
    assert len(told.told("takes setpoints again")) == 1


def test_f05_one_retry_with_a_new_number_and_the_others_go_on() -> None:
    told = Story(depot(2))
    told.start()
    told.mute.add(CP1)
    told.plug(CP1)
    told.plug(CP2)
    told.run(60)
    began = told.now - 60
    early = [order for when, order in told.orders if isinstance(order, Inject) and order.evse == CP1 and when - began < 40]
    late = [order for when, order in told.orders if isinstance(order, Inject) and order.evse == CP1 and when - began >= 40]
    assert len(late) == 1, "one retry, 45 s after the first"
    assert late[0].strategy == early[-1].strategy
    assert late[0].number > early[-1].number
    assert not told.site.actuator.channels[CP1].uncontrollable
    assert setpoint_a(told, CP2) > 6.0


def test_f34_a_partition_books_the_offline_share_until_the_floor_and_confirms_before_raising() -> None:
    told = charging(2)
    had_a = setpoint_a(told, CP1)
    told.do(StationOffline(told.at(), "CP1"))
    lost_at = told.now
    while told.now < lost_at + 119:
        told.step(10.0, report=False)
        assert setpoint_a(told, CP2) + had_a <= 63.0 - 10.0 - 1.0
    told.drawn_a[CP1] = 6.0  # the dead man in the station
    told.run(30, report=False)
    told.unconfirmed.add(CP1)
    told.do(StationOnline(told.at(), "CP1", "2.0.1"))
    assert told.of(InstallFloor)[-1].evse == CP1
    told.run(20)
    assert setpoint_a(told, CP1) == 6.0
    told.unconfirmed.clear()
    told.do(FloorConfirmed(told.at(), CP1, 6.0, True))
    told.run(20)
    assert setpoint_a(told, CP1) > 20.0


def test_f08_f12_no_setpoint_above_fallback_until_the_floor_is_confirmed() -> None:
    told = Story(depot(40, fuse_a=400.0, evse={"fallback_a": 6}))
    told.unconfirmed |= set(told.site.evses)
    told.start()
    floors = told.of(InstallFloor)
    assert len(floors) == 40
    assert {order.limit_a for order in floors} == {6.0}
    for number in range(40):
        told.plug(f"CP{number + 1}")
    told.run(10)
    assert {order.limit_a for order in told.of(Inject)} <= {6.0}
    told.unconfirmed.clear()
    told.do(FloorConfirmed(told.at(), CP1, 6.0, True))
    told.run(3)
    assert setpoint_a(told, CP1) > 6.0
    assert {setpoint_a(told, key) for key in told.site.evses if key != CP1} == {6.0}
    told.do(StationOnline(told.at(), "CP1", "2.0.1"))
    assert told.of(InstallFloor)[-1].evse == CP1


def test_f12_a_floor_that_reads_back_wrong_is_written_again_and_told_once() -> None:
    told = Story(depot(1))
    told.unconfirmed.add(CP1)
    told.start()
    for _ in range(3):
        told.do(FloorConfirmed(told.at(), CP1, 32.0, False, "station reports 32.0 A"))
        told.run(12)
    assert len(told.told("did not confirm its fallback")) == 1
    assert len(told.of(InstallFloor)) >= 3


# -- meters ----------------------------------------------------------------------------------------------


def test_f40_a_silent_grid_meter_degrades_at_3_s_falls_back_at_10_s_and_returns_after_3_good_readings() -> None:
    told = charging(2)
    modes = []
    for _ in range(14):
        told.step(None)
        modes.append(told.site.mode.mode.value)
    assert modes[:2] == ["normal"] * 2
    assert "degraded" in modes[2:9]
    assert modes[10] == "failsafe"
    assert {setpoint_a(told, CP1), setpoint_a(told, CP2)} == {6.0}
    assert told.site.grants[CP1].reason == "meter grid silent - fallback"
    assert len(told.told("meter grid silent for")) == 1
    told.run(2)
    assert told.site.mode.mode.value == "failsafe"
    told.run(1)
    assert told.site.mode.mode.value == "normal"
    told.run(20)
    assert setpoint_a(told, CP1) > 20
    assert len(told.told("answers again")) == 1


def test_f40_a_late_meter_costs_a_margin_that_grows_with_its_age() -> None:
    told = charging(2)
    seen = []
    for _ in range(9):
        told.step(None)
        seen.append(setpoint_a(told, CP1) + setpoint_a(told, CP2))
    assert seen[1] == seen[2] > seen[5] > seen[8]


def test_f40_in_degraded_mode_nobody_new_gets_more_than_the_minimum() -> None:
    told = charging(2, building_a=0.0)
    told.unplug(CP2)
    told.run(4, None)
    assert told.site.mode.mode.value == "degraded"
    told.plug(CP2)
    told.run(2, None)
    assert setpoint_a(told, CP2) == 6.0


def test_f41_a_value_that_stays_to_the_last_digit_while_cars_change_is_silence() -> None:
    told = charging(2)
    frozen = told.reading(told.metered_a(10.0))
    told.wants_a[CP1] = told.drawn_a[CP1] = 12.0
    told.report()
    for second in range(45):
        told.now += 1
        told.settle()
        told.report()
        told.do(replace(frozen, at=told.at()))
        told.do(told.tick())
        if second >= 8:  # a change right when the meter came to rest might still be on its way in the stations' words
            told.drawn_a[CP2] = min(told.drawn_a[CP2], 15.0)
    assert told.site.mode.mode.value == "failsafe"
    assert "stuck" in told.site.mode.reason
    told.run(4)
    assert told.site.mode.mode.value == "normal"


def test_f41_a_steady_value_with_steady_cars_is_believed() -> None:
    told = charging(2)
    frozen = told.reading(told.metered_a(10.0))
    for _ in range(60):
        told.now += 1
        told.report()
        told.do(replace(frozen, at=told.at()))
        told.do(told.tick())
    assert told.site.mode.mode.value == "normal"


@pytest.mark.parametrize("rubbish", [math.nan, math.inf, None])
def test_f42_rubbish_is_never_smoothed_in_and_counts_as_silence(rubbish: float | None) -> None:
    told = charging(2)
    believed = told.site.meters.grid_current_a()
    for _ in range(11):
        told.step(None)
        quality = Quality.BAD if rubbish is None else Quality.GOOD
        told.do(told.reading((1.0, 1.0, 1.0 if rubbish is None else rubbish), quality, reason="nan pattern"))
        watch = told.site.meters.watches["grid"]
        assert watch.currents_a == believed
    assert told.site.mode.mode.value == "failsafe"
    assert told.told("3 in a row") or told.told("in a row")


def test_f45_a_meter_below_the_stations_own_sum_is_not_believed() -> None:
    told = charging(2)
    for _ in range(25):
        told.now += 1
        told.settle()
        told.report()
        low = [amps / 10 for amps in told.metered_a(10.0)]
        told.do(told.reading((low[0], low[1], low[2])))
        told.do(told.tick())
    assert told.site.mode.mode.value == "failsafe"
    assert "less than the stations report" in told.site.mode.reason


def test_f50_failed_polls_are_silence_with_their_reason() -> None:
    told = charging(1)
    for _ in range(12):
        told.step(None)
        told.do(MeterFailed(told.at(), "grid", "timeout"))
    assert "timeout" in told.told("meter grid silent")[0]


# -- limits -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("source", ["mqtt", "mqtt:fleet"])
def test_f51_f56_limits_outlive_the_broker_to_their_end_then_the_failsafe_until_a_new_limit(source: str) -> None:
    told = charging(2, limits={"failsafe_a": 24})
    told.limit(30.0, valid_for_s=60, source=source)
    told.do(SourceChanged(told.at(), "mqtt", False, "connection lost"))
    told.run(50)
    assert max(told.metered_a(10.0)) <= 30.0
    told.run(30)
    assert max(told.metered_a(10.0)) <= 24.0
    assert told.site.view(told.at()).limits[1].limit_a == 24.0
    told.do(SourceChanged(told.at(), "mqtt", True, ""))
    told.run(20)
    assert max(told.metered_a(10.0)) <= 24.0, "the broker alone is no new limit"
    told.limit(40.0, source=source)
    told.run(30)
    assert 30.0 < max(told.metered_a(10.0)) <= 40.0
    assert len(told.told("broker lost and the last limit has ended")) == 1


def test_f51_without_a_lost_broker_a_limit_simply_ends() -> None:
    told = charging(2, limits={"failsafe_a": 24})
    told.limit(30.0, valid_for_s=30)
    told.run(60)
    assert max(told.metered_a(10.0)) > 50.0


def test_f52_duplicates_and_late_comers_change_nothing() -> None:
    told = charging(2)
    told.limit(30.0, sequence=7)
    told.run(10)
    told.orders.clear()
    told.limit(30.0, sequence=7)
    told.limit(60.0, sequence=6)
    told.run(5)
    assert max(told.metered_a(10.0)) <= 30.0
    assert [one["sequence"] for one in told.published("limit/refused")] == [7, 6]
    assert len(told.told("refused")) == 1
    now = told.at().wall_s
    told.limit(25.0, circuit="grid", source="api", issued_wall_s=now)
    told.limit(28.0, circuit="grid", source="api", issued_wall_s=now - 5)
    told.run(5)
    assert max(told.metered_a(10.0)) <= 25.0


@pytest.mark.parametrize(
    ("issued_ago_s", "said"), [(None, "must say when it was issued"), (7 * 86_400.0, "already ended"), (-3600.0, "issued in the future")]
)
def test_f53_a_retained_limit_of_last_week_is_refused(issued_ago_s: float | None, said: str) -> None:
    told = charging(1)
    issued = None if issued_ago_s is None else told.at().wall_s - issued_ago_s
    told.limit(10.0, retained=True, issued_wall_s=issued)
    assert said in told.published("limit/refused")[0]["reason"]
    assert not told.site.limits.in_force(told.now)


def test_f53_a_retained_limit_still_in_time_holds_for_what_is_left() -> None:
    told = charging(1)
    told.limit(16.5, valid_for_s=600, retained=True, issued_wall_s=told.at().wall_s - 540)
    told.run(30)
    assert setpoint_a(told, CP1) == 6.0
    told.run(60)
    assert setpoint_a(told, CP1) == 32.0


def test_f54_no_limit_outlives_the_longest_life() -> None:
    told = charging(1, limits={"max_valid_for_s": 60})
    told.limit(20.0, valid_for_s=1e9)
    limit = told.site.limits.in_force(told.now)[0]
    assert limit.ends_mono_s == told.now + 60
    told.run(90)
    assert not told.site.limits.in_force(told.now)


@pytest.mark.parametrize(
    ("value", "unit", "circuit", "said"),
    [
        (-1.0, LimitUnit.A, "grid", "0 or more"),
        (math.nan, LimitUnit.A, "grid", "0 or more"),
        (1e9, LimitUnit.W, "grid", "check the unit"),
        (1e9, LimitUnit.A, "grid", "check the unit"),
        (20.0, LimitUnit.A, "cellar", "unknown circuit"),
    ],
)
def test_f55_nonsense_is_refused_with_a_reason_and_the_old_limit_stays(value: float, unit: LimitUnit, circuit: str, said: str) -> None:
    told = charging(1)
    told.limit(20.0)
    told.limit(value, unit, circuit=circuit)
    assert said in told.published("limit/refused")[0]["reason"]
    assert [limit.value for limit in told.site.limits.in_force(told.now)] == [20.0]


def test_f55_a_limit_of_zero_is_obeyed_within_the_same_second() -> None:
    told = charging(2)
    orders = told.limit(0.0)
    assert {order.limit_a for order in orders if isinstance(order, Inject)} == {0.0}
    assert all(order.urgent for order in orders if isinstance(order, Inject))


def test_f57_the_smallest_of_contradictory_limits_wins_and_names_its_source() -> None:
    told = charging(2)
    told.limit(30.0, source="mqtt")
    told.limit(60.0, source="api")
    told.limit(11_040.0, LimitUnit.W, source="vpp")
    told.run(10)
    assert max(told.metered_a(10.0)) <= 16.0
    binding = [one.source for one in told.site.view(told.at()).limits if one.binding]
    assert binding == ["vpp"]
    told.limit(None, source="vpp")
    told.run(30)
    assert 20.0 < max(told.metered_a(10.0)) <= 30.0


def test_limits_survive_a_restart_with_their_end() -> None:
    told = charging(1)
    orders = told.limit(20.0, valid_for_s=100, sequence=3)
    kept = {key: value for order in orders if isinstance(order, Persist) for key, value in order.remember.items()}
    again = Story(told.config, site=Site(told.config, {}))
    again.now = told.now + 40
    again.do(Restored(again.at(), kept, {}))
    limit = again.site.limits.in_force(again.now)[0]
    assert limit.limit_a == 20.0
    assert limit.ends_mono_s == pytest.approx(again.now + 60)
    again.limit(50.0, sequence=2)
    assert again.site.limits.smallest(again.now)["grid"].limit_a == 20.0


# -- solver and plan ------------------------------------------------------------------------------------------


def answered(problem: Problem, watts: float) -> Plan:
    """A plan made of the rules' one with another power for every car: wrong in its sums."""
    plan = allocate(problem)
    return replace(plan, status=PlanStatus.PROVED, ev_power_w={name: (watts,) * len(problem.slots) for name in plan.ev_power_w})


def good(problem: Problem) -> Plan:
    return replace(allocate(problem), status=PlanStatus.PROVED, solver="test")


def test_f59_without_a_plan_the_rules_share_and_the_site_goes_on() -> None:
    told = charging(2)
    told.do(PlanFailed(told.at(), "infeasible: node grid L1"))
    assert told.site.planner.plan is not None
    assert told.site.planner.plan.status is PlanStatus.RULES
    assert "infeasible: node grid L1" in told.told("no new plan")[0]
    told.run(10)
    assert max(told.metered_a(10.0)) <= 63.0
    told.do(PlanSolved(told.at(), good(told.problems()[-1])))
    assert told.told("plans are solved again")


def test_f60_the_last_good_plan_is_kept_for_a_while_then_rules() -> None:
    told = charging(2, control={"plan_max_age_s": 120})
    told.do(PlanSolved(told.at(), good(told.problems()[-1])))
    told.do(PlanFailed(told.at(), "killed after 10 s"))
    assert told.site.planner.plan is not None
    assert told.site.planner.plan.status is PlanStatus.PROVED
    told.run(150)
    assert told.site.planner.plan.status is PlanStatus.RULES
    assert len(told.told("no new plan")) == 1


def test_f60_a_solver_that_says_nothing_is_a_failed_solver() -> None:
    told = charging(1, control={"solver_deadline_s": 10})
    told.run(70)
    assert told.told("no answer from the solver")
    assert told.site.view(told.at()).sources[-1].health == "lost"


def test_f61_a_wrong_plan_is_refused_counted_and_never_on_the_wire() -> None:
    told = charging(2)
    told.limit(20.0)
    told.run(6)
    told.do(PlanSolved(told.at(), answered(told.problems()[-1], 22_000.0)))
    assert told.site.planner.refused == 1
    assert told.told("the plan was wrong")
    told.run(10)
    assert max(told.metered_a(10.0)) <= 20.0


def test_f61_a_plan_for_a_problem_we_never_posed_is_ignored() -> None:
    told = charging(1)
    problem = told.problems()[-1]
    told.do(PlanSolved(told.at(), replace(good(problem), created_wall_s=1.0)))
    assert told.site.planner.plan is None


def test_every_event_is_told_once() -> None:
    told = charging(2)
    told.run(30, None)
    texts = [order.text for _, order in told.orders if isinstance(order, Tell)]
    assert len(texts) == len(set(texts))


# -- found by reading cold ---------------------------------------------------------------------------------------


def kept_by(orders: list[Order]) -> dict[tuple[str, str], object]:
    """What the journal holds after these orders."""
    memories: dict[tuple[str, str], object] = {}
    for order in orders:
        if isinstance(order, Persist):
            memories |= order.remember
    return {key: value for key, value in memories.items() if value is not None}


def test_f56_the_failsafe_of_a_lost_broker_survives_a_restart_until_a_new_limit() -> None:
    told = charging(2, limits={"failsafe_a": 24})
    told.limit(30.0, valid_for_s=20)
    told.do(SourceChanged(told.at(), "mqtt", False, "connection lost"))
    told.run(30)
    again = Story(told.config)
    again.now = told.now + 5
    again.do(Restored(again.at(), kept_by([order for _, order in told.orders]), {}))
    again.start()
    for name in ("CP1", "CP2"):
        again.plug(name)
    again.run(40)
    assert max(again.metered_a(10.0)) <= 24.0
    again.limit(50.0)
    again.run(40)
    assert max(again.metered_a(10.0)) > 40.0
    assert ("failsafe", "mqtt") not in kept_by([order for _, order in again.orders])


def test_f60_a_solver_that_says_nothing_is_noticed_also_where_plans_are_asked_for_faster_than_its_deadline() -> None:
    told = charging(1, control={"solver_deadline_s": 10, "plan_every_s": 5})
    told.run(30)
    assert told.told("no answer from the solver")


def test_f77_a_wall_clock_that_jumps_back_does_not_shut_new_plans_out() -> None:
    told = charging(2)
    told.do(PlanSolved(told.at(), good(told.problems()[-1])))
    told.wall_jump_s = -7200.0
    told.run(70)
    told.do(PlanSolved(told.at(), good(told.problems()[-1])))
    assert told.site.planner.usable(told.at())
    plan = told.site.planner.plan
    assert plan is not None
    assert plan.created_wall_s == told.problems()[-1].created_wall_s


def test_f61_a_plan_for_an_older_picture_does_not_replace_a_newer_one() -> None:
    told = charging(2)
    told.run(130)
    older, newer = told.problems()[-2:]
    told.do(PlanSolved(told.at(), good(newer)))
    told.do(PlanSolved(told.at(), good(older)))
    assert told.site.planner.problem is newer


def test_f75_rubbish_in_the_journal_costs_only_itself() -> None:
    told = Story(depot(1))
    rubbish = {("limit", "mqtt:grid"): {"value": "x"}, ("peak", "grid"): {"peak_w": "high"}, ("session", "CP1/1"): {"transaction_id": 7}}
    good_one = {("limit", "api:grid"): {"value": 20.0, "unit": "A", "ends_wall_s": told.at().wall_s + 60}}
    told.do(Restored(told.at(), {**rubbish, **good_one}, {}))
    assert told.site.limits.smallest(told.now)["grid"].limit_a == 20.0


def test_an_idle_evse_that_once_refused_does_not_keep_its_maximum_from_the_others_for_ever() -> None:
    told = charging(2)
    told.refusing.add(CP2)
    told.limit(30.0, valid_for_s=30)
    told.run(20)
    told.unplug(CP2)
    told.refusing.clear()
    told.run(120)
    assert told.drawn_a[CP1] == 32.0


def test_a_limit_binds_only_where_it_really_holds_somebody_back() -> None:
    told = charging(1)
    told.limit(60.0)
    told.run(20)
    assert [one.source for one in told.site.view(told.at()).limits if one.binding] == []
    told.limit(30.0, source="api")
    told.run(30)
    assert [one.source for one in told.site.view(told.at()).limits if one.binding] == ["api"]


def test_a_limit_for_the_sum_of_a_station_is_shown() -> None:
    told = charging(1)
    told.do(UpstreamWished(told.at(), EvseKey("CP1", 0), (LimitStep(told.at().wall_s, 10.0),), "upstream profile 7"))
    told.run(20)
    shown = [(one.source, one.circuit, one.limit_a, one.binding) for one in told.site.view(told.at()).limits if one.circuit == "CP1"]
    assert shown == [("upstream profile 7", "CP1", 10.0, True)]


def test_the_card_of_a_lost_station_tells_what_is_kept_free_for_it() -> None:
    told = charging(1)
    told.run(20)
    told.do(StationOffline(told.at(), "CP1"))
    card = told.site.view(told.at()).evses[0]
    assert (card.state, card.limit_a, card.reason) == ("offline", 32.0, "station offline - 32 A kept free for it")
    told.run(190)
    card = told.site.view(told.at()).evses[0]
    assert (card.limit_a, card.ends_wall_s, card.reason) == (6.0, None, "station offline - 6 A kept free for it")
