"""What a CSMS and the grid want of all chargers together: limits, setpoints and bounds on giving back, in virtual time."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from controller.facts import EvseKey, GridControlled, LimitStep, SessionChanged, SiteWished, Stamp, StationOffline, StationOnline
from controller.orders import AnnounceSite, Inject, Publish, Tell
from controller.site.grid.der import GridWishes
from controller.site.layout import layout_of
from controller.site.telling.why import explain
from optimizer.check import check
from optimizer.rules import allocate
from optimizer.solve import solve
from optimizer.terms import defects
from tests.support.giving_story import FACE, SITE, W_PER_A, GivingStory, giving_depot
from tests.support.site_story import QUICK, WALL_S, Story, depot

AT = Stamp(1000.0, WALL_S)
SLACK_W = 1.0


def givers(count: int = 3, asked_w: float = -8_000.0, **parts: object) -> GivingStory:
    """Cars whose CSMS lets each give back 8 kW."""
    story = GivingStory(count, **parts)  # type: ignore[arg-type]
    story.park()
    for key in story.keys:
        story.ask(key, asked_w)
    story.run(30)
    return story


# -- the grid's bound on giving back ------------------------------------------------------------------------------


def test_to_nothing_and_back() -> None:
    """24 kW flow out; LimitMaxDischarge 0 ends that within the cars' reaction time, and lifting it brings it back."""
    story = givers()
    assert story.flow[-1] == pytest.approx(-24_000.0)
    orders = story.control(0.0)
    told = {order.evse for order in orders if isinstance(order, Inject)}
    assert told == set(story.keys)  # in the same call, no tick between
    story.run(3)
    assert story.flow[-1] >= -SLACK_W
    begin = len(story.flow)
    story.run(120)
    assert min(story.flow[begin:]) >= -SLACK_W
    story.control(None)
    story.run(30)
    assert story.flow[-1] == pytest.approx(-24_000.0)


@pytest.mark.parametrize("most_w", [20_000.0, 9_999.0, 5_000.0, 300.0])
def test_never_more_than_the_bound_and_as_much_as_it_lets(most_w: float) -> None:
    story = givers()
    story.control(most_w)
    story.run(3)
    begin = len(story.flow)
    story.run(90)
    assert min(story.flow[begin:]) >= -most_w - SLACK_W
    assert story.flow[-1] <= -0.7 * most_w + 690.0 or most_w < 1_000.0


def test_the_sum_holds_while_cars_change_places() -> None:
    """One car is told to stop and another to begin in the same second: the second one waits until the first one is seen to have stopped."""
    story = givers(2, -11_000.0)
    story.ask(story.keys[1], 0.0)
    story.run(30)
    story.control(11_000.0)
    story.run(20)
    begin = len(story.flow)
    story.reaction_s = 6.0
    story.ask(story.keys[0], 0.0)
    story.run(1)
    story.reaction_s = 1.0
    story.ask(story.keys[1], -11_000.0)
    story.run(60)
    assert min(story.flow[begin:]) >= -11_000.0 - SLACK_W
    assert story.flow[-1] == pytest.approx(-11_000.0)


def test_the_sum_holds_while_one_gives_less_and_another_more() -> None:
    story = givers(2, -8_000.0)
    story.ask(story.keys[1], -3_000.0)
    story.run(30)
    story.control(11_000.0)
    story.run(20)
    begin = len(story.flow)
    story.reaction_s = 6.0
    story.ask(story.keys[0], -3_000.0)
    story.run(1)
    story.reaction_s = 1.0
    story.ask(story.keys[1], -8_000.0)
    story.run(60)
    assert min(story.flow[begin:]) >= -11_000.0 - SLACK_W
    assert story.flow[-1] == pytest.approx(-11_000.0)


def test_a_limit_and_a_bound_hold_side_by_side() -> None:
    """One car charges within 10 A, two give back within 5 kW."""
    story = GivingStory(2, plain=1)
    story.park()
    for key in story.givers:
        story.ask(key, -8_000.0)
    story.wish(LimitStep(story.at().wall_s, 10.0))
    story.control(5_000.0)
    story.run(60)
    assert sum(story.drawn_a[key] for key in story.givers) * W_PER_A == pytest.approx(-5_000.0)
    assert story.drawn_a[story.keys[2]] == pytest.approx(10.0)
    story.control(None)
    story.run(30)
    assert sum(story.drawn_a[key] for key in story.givers) * W_PER_A == pytest.approx(-16_000.0)


def test_the_lower_of_control_and_schedule_counts() -> None:
    config = giving_depot(1, fuse_a=250.0)
    wishes = GridWishes(config, layout_of(config, QUICK))
    wishes.wished(SiteWished(AT, FACE, (LimitStep(WALL_S, None, discharge_a=-10.0),), "CSMS"))
    wishes.controlled(GridControlled(AT, FACE, SITE, 5_000.0, None, "DER LimitMaxDischarge 1"))
    assert [(wish.discharge_w, wish.discharge_reason) for wish in wishes.now(WALL_S)] == [(5_000.0, "DER LimitMaxDischarge 1")]
    wishes.controlled(GridControlled(AT, FACE, SITE, 8_000.0, None, "DER LimitMaxDischarge 2"))
    assert [(wish.discharge_w, wish.discharge_reason) for wish in wishes.now(WALL_S)] == [(6_900.0, "CSMS")]


def test_an_evse_bounded_by_itself_gives_no_more() -> None:
    story = givers()
    story.control(3_000.0, story.keys[0])
    story.run(20)
    assert story.drawn_a[story.keys[0]] * W_PER_A == pytest.approx(-3_000.0)
    assert story.drawn_a[story.keys[1]] * W_PER_A == pytest.approx(-8_000.0)


def test_charging_needs_no_permission_to_give() -> None:
    story = GivingStory(1, plain=1)
    story.park()
    story.control(0.0)
    story.run(60)
    assert story.drawn_a[story.keys[1]] == pytest.approx(32.0)


def test_why_names_the_control() -> None:
    story = givers()
    story.control(0.0)
    story.run(5)
    assert explain(story.site, story.keys[0], story.at()).reason == "DER LimitMaxDischarge 17"
    assert story.told("DER LimitMaxDischarge 17 - cars give back 0 W at most")


def test_what_is_no_number_lets_nothing_flow() -> None:
    story = givers()
    story.control(math.nan)
    story.run(5)
    assert story.flow[-1] >= -SLACK_W


def test_the_plan_keeps_the_bound_in_every_slot() -> None:
    story = givers()
    story.control(5_000.0)
    story.control(1_000.0, story.keys[0])
    story.run(10)
    problem = story.problems()[-1]
    assert defects(problem) == ()
    most_w = [sum(ev.max_slot_discharge_w[slot] for ev in problem.evs if ev.max_discharge_w) for slot in range(len(problem.slots))]
    assert max(most_w) <= 5_000.0 + SLACK_W
    assert max(problem.evs[0].max_slot_discharge_w) <= 1_000.0


def test_an_export_bound_of_the_connection_reaches_arbiter_and_plan() -> None:
    """2.1 kW of building take 2 kW; 1 kW may be fed in."""
    story = givers(2, -8_000.0)
    story.do(GridControlled(story.at(), FACE, SITE, None, 1_000.0, "DER LimitMaxDischarge 3"))
    story.run(30, building_a=3.0)
    margin_w = 3 * 230.0 * story.config.grid.margin_a
    assert -story.flow[-1] <= 3 * 3.0 * 230.0 + 1_000.0 + SLACK_W
    assert -story.flow[-1] >= 3 * 3.0 * 230.0 + 1_000.0 - margin_w - 2 * W_PER_A
    assert set(story.problems()[-1].export_limit_w) == {1_000.0}


# -- the CSMS's limit for all chargers ----------------------------------------------------------------------------------


def test_the_sum_of_all_chargers_stays_below_the_limit_and_a_step_later() -> None:
    story = GivingStory(0, plain=3)
    story.park()
    story.run(60)
    assert sum(story.drawn_a.values()) == pytest.approx(96.0)
    story.wish(LimitStep(story.at().wall_s, 30.0), LimitStep(story.at().wall_s + 60.0, 18.0))
    story.run(5)
    assert sum(story.drawn_a.values()) == pytest.approx(30.0)
    assert explain(story.site, story.keys[0], story.at()).reason == "CSMS limit for the site (profile 17)"
    assert "CSMS limit for the site" in explain(story.site, story.keys[0], story.at()).sentence
    story.run(60)
    assert sum(story.drawn_a.values()) == pytest.approx(18.0)
    story.wish()
    story.run(60)
    assert sum(story.drawn_a.values()) == pytest.approx(96.0)


def test_it_never_raises() -> None:
    story = GivingStory(0, plain=3, fuse_a=63.0)
    story.park()
    story.wish(LimitStep(story.at().wall_s, 500.0))
    story.run(60)
    assert sum(story.drawn_a.values()) + 10.0 <= 63.0


def test_a_clock_that_is_set_back_lifts_nothing() -> None:
    """The link tells its steps anew after a jump; until it has, the first one holds."""
    story = GivingStory(1, plain=2)
    story.park()
    story.wish(LimitStep(story.at().wall_s, 20.0, discharge_a=0.0), LimitStep(story.at().wall_s + 600, 0.0))
    story.run(20)
    story.wall_jump_s = -3600.0
    begin = len(story.flow)
    story.run(30)
    assert 6.0 * W_PER_A <= max(story.flow[begin:]) <= 20.0 * W_PER_A + SLACK_W


def test_a_charger_that_is_away_counts_with_what_it_may_draw() -> None:
    story = GivingStory(0, plain=3)
    story.park()
    story.wish(LimitStep(story.at().wall_s, 36.0))
    story.run(60)
    story.do(StationOffline(story.at(), "CP1"))
    story.run(30)
    away_a = story.site.frozen.booked_a[story.keys[0]]  # type: ignore[union-attr]
    assert away_a >= 6.0
    assert story.drawn_a[story.keys[1]] + story.drawn_a[story.keys[2]] + away_a <= 36.0 + 1e-6


def test_chargers_of_another_csms_are_not_bound() -> None:
    config = giving_depot(2, fuse_a=250.0)
    data = config.model_dump(mode="json")
    data["upstreams"].append({"id": "other", "url": "ws://127.0.0.1:2/ocpp"})
    data["stations"][0]["upstream"], data["stations"][1]["upstream"] = "csms", "other"
    config = type(config).model_validate(data)
    wishes = GridWishes(config, layout_of(config, QUICK))
    wishes.wished(SiteWished(AT, FACE, (LimitStep(WALL_S, 10.0),), "x"))
    assert [wish.stations for wish in wishes.now(WALL_S)] == [frozenset({"CP1"})]
    wishes.wished(SiteWished(AT, "nobody", (LimitStep(WALL_S, 5.0),), "y"))
    assert {tuple(sorted(wish.stations)) for wish in wishes.now(WALL_S)} == {("CP1",), ("CP1", "CP2")}  # unknown: the safer side


def test_a_charger_that_is_away_takes_its_part_of_the_planned_limit() -> None:
    """Four chargers below two halls, 24 A for all of them; one is away and keeps 6 A, which are counted once at the connection."""
    story = GivingStory(0, plain=4, circuits=2)
    story.park()
    story.wish(LimitStep(story.at().wall_s, 24.0))
    story.do(StationOffline(story.at(), "CP1"))
    story.run(400)
    problem = story.problems()[-1]
    away_a = story.site.frozen.booked_a[story.keys[0]]  # type: ignore[union-attr]
    load_a = [sum(node.other_load_a[0][phase] for node in problem.nodes if node.other_load_a) for phase in (0, 1, 2)]
    assert load_a == pytest.approx([10.0 + away_a] * 3, abs=0.5)
    plan = allocate(problem)
    assert check(problem, plan, 0.05) == ()
    most_w = max(sum(series[slot] for series in plan.ev_power_w.values()) for slot in range(len(problem.slots)))
    assert (24.0 - away_a - 1.0) * W_PER_A <= most_w <= (24.0 - away_a) * W_PER_A + SLACK_W


@pytest.mark.parametrize("circuits", [0, 2])
def test_the_plan_knows_the_limit(circuits: int) -> None:
    """A node of its own carries the cars alone; what a plan puts there stays within the limit, and the building is counted once."""
    story = GivingStory(0, plain=4, circuits=circuits)
    story.park()
    story.wish(LimitStep(story.at().wall_s, 20.0))
    story.run(8)
    problem = story.problems()[-1]
    assert defects(problem) == ()
    names = [node.node_id for node in problem.nodes]
    assert f"CSMS limit {FACE}" in names
    load_a = [sum(node.other_load_a[0][phase] for node in problem.nodes if node.other_load_a) for phase in (0, 1, 2)]
    assert load_a == pytest.approx([10.0] * 3, abs=0.5)
    for plan in (solve(problem, 10.0), allocate(problem)):
        assert check(problem, plan, 0.05) == ()
        assert max(sum(series[slot] for series in plan.ev_power_w.values()) for slot in range(len(problem.slots))) <= 20.0 * W_PER_A + SLACK_W


# -- a setpoint for all cars together ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("setpoint_w", [-24_000.0, -5_000.0, -600.0, 0.0])
def test_cars_give_back_what_is_asked_of_them_together(setpoint_w: float) -> None:
    story = GivingStory(3)
    story.park()
    story.wish_w(setpoint_w)
    story.run(20)
    assert story.flow[-1] == pytest.approx(setpoint_w, abs=10.0)


@pytest.mark.parametrize("setpoint_w", [40_000.0, 21_000.0, 9_000.0])
def test_cars_take_what_is_asked_of_them_together(setpoint_w: float) -> None:
    """Whole amperes on three phases: within 690 W below it, never above."""
    story = GivingStory(3)
    story.park()
    story.wish_w(setpoint_w)
    story.run(60)
    assert setpoint_w - W_PER_A - SLACK_W <= story.flow[-1] <= setpoint_w + SLACK_W


def test_the_setpoint_is_followed_within_seconds() -> None:
    story = GivingStory(3)
    story.park()
    story.wish_w(-20_000.0)
    story.run(20)
    story.wish_w(-6_000.0)
    story.run(3)
    assert story.flow[-1] == pytest.approx(-6_000.0, abs=10.0)


def test_fuses_hold_first_and_others_take_over() -> None:
    """Hall 0 carries 15 A: what its two cars cannot take the others do."""
    story = GivingStory(4, circuits=2, circuit_fuse_a=63.0)
    story.site.layout.circuits["hall0"] = replace(story.site.layout.circuits["hall0"], fuse_a=15.0)  # type: ignore[index]
    story.park()
    story.wish_w(40.0 * W_PER_A)
    story.run(60)
    hall = [key for key in story.keys if story.site.layout.places[key].circuit == "hall0"]
    assert sum(story.drawn_a[key] for key in hall) <= 15.0
    assert sum(story.drawn_a.values()) >= 38.0


def test_the_grids_bound_beats_the_csmss_setpoint_and_is_an_alarm() -> None:
    story = GivingStory(3)
    story.park()
    story.wish_w(-24_000.0)
    story.control(4_000.0)
    story.run(30)
    assert story.flow[-1] == pytest.approx(-4_000.0, abs=10.0)
    assert story.of(AnnounceSite)[-1].alarms == ("LimitMaxDischarge",)
    story.control(None)
    story.run(12)
    assert story.of(AnnounceSite)[-1].alarms == ()


def test_a_car_without_charge_does_not_give_and_the_others_do() -> None:
    story = GivingStory(3)
    story.park(story.keys[0], soc_percent=15.0)
    story.park(*story.keys[1:])
    story.wish_w(-15_000.0)
    story.run(20)
    assert story.drawn_a[story.keys[0]] >= 0.0
    assert story.flow[-1] == pytest.approx(-15_000.0, abs=10.0)


def test_others_give_what_a_car_that_is_bounded_by_itself_may_not() -> None:
    story = GivingStory(3)
    story.park()
    story.control(1_000.0, story.keys[0])
    story.wish_w(-9_000.0)
    story.run(20)
    assert [story.drawn_a[key] * W_PER_A for key in story.keys] == pytest.approx([-1_000.0, -4_000.0, -4_000.0])


def test_with_a_silent_meter_nothing_is_given_back_whatever_the_csms_wants() -> None:
    story = GivingStory(3)
    story.park()
    story.wish_w(-9_000.0)
    story.run(20)
    story.run(20, None)
    begin = len(story.flow)
    story.wish_w(-24_000.0)
    story.run(60, None)
    assert min(story.flow[begin:]) >= -SLACK_W
    story.run(30)
    assert story.flow[-1] == pytest.approx(-24_000.0)


def test_a_car_that_comes_while_a_setpoint_holds_takes_its_part_from_the_first_word_on() -> None:
    """It was booked a moment before, as nobody commanded it: that is no reason to let it charge with all it can for a second."""
    story = GivingStory(3)
    story.park(*story.keys[:2])
    story.wish_w(-9_000.0)
    story.run(20)
    begin = len(story.flow)
    story.plug(story.keys[2], current_a=0.0)
    story.run(10)
    assert max(story.flow[begin:]) == pytest.approx(-9_000.0)


def test_a_station_that_goes_while_its_car_gives_back_counts_with_that_and_begins_again_within_the_setpoint() -> None:
    story = GivingStory(3)
    story.park()
    story.wish_w(-9_000.0)
    story.run(20)
    begin = len(story.flow)
    story.do(StationOffline(story.at(), "CP2"))
    story.run(10)  # the car goes on with what it was told last
    assert min(story.flow[begin:]) == pytest.approx(-9_000.0)
    story.do(StationOnline(story.at(), "CP2", "2.1"))
    story.run(10)
    assert (min(story.flow[begin:]), max(story.flow[begin:])) == (pytest.approx(-9_000.0), pytest.approx(-9_000.0))


def test_the_plan_is_asked_for_the_setpoint() -> None:
    """-9 kW of cars beside 6.9 kW of building are -2.1 kW at the grid, for the hour it is asked for."""
    story = GivingStory(3)
    story.park()
    begin_s = story.at().wall_s
    steps = (LimitStep(begin_s, None, setpoint_a=-9_000.0 / W_PER_A, mode="CentralSetpoint"), LimitStep(begin_s + 3_600.0, None))
    story.wish(*steps, reason="CSMS setpoint for the site (profile 5)")
    story.run(12)
    problem = story.problems()[-1]
    assert defects(problem) == ()
    assert problem.grid_setpoint_w[0] == pytest.approx(-9_000.0 + 30.0 * 230.0, abs=150.0)
    assert problem.grid_setpoint_w[-1] is None
    plan = solve(problem, 10.0)
    assert check(problem, plan, 0.05) == ()
    assert sum(series[0] for series in plan.ev_power_w.values()) == pytest.approx(-9_000.0, abs=200.0)


# -- what the CSMS is told -----------------------------------------------------------------------------------------------------


def test_the_site_is_announced_each_ten_seconds_and_when_its_limit_changes() -> None:
    story = GivingStory(1)
    story.run(40)
    before = story.of(AnnounceSite)
    assert 4 <= len(before) <= 6
    assert (before[-1].limit_a, before[-1].limit_source, before[-1].limit_notified) == (250.0, "fuse", "")
    assert before[-1].phase_current_a == pytest.approx((10.0, 10.0, 10.0), abs=0.01)
    story.limit(80.0, source="mqtt:so")
    story.run(1)
    last = story.of(AnnounceSite)[-1]
    assert (len(story.of(AnnounceSite)), last.limit_a, last.limit_source, last.limit_notified) == (len(before) + 1, 80.0, "mqtt:so", "SO")
    story.wish(LimitStep(story.at().wall_s, 30.0))
    story.run(1)
    last = story.of(AnnounceSite)[-1]
    assert (last.limit_a, last.limit_source, last.limit_notified) == (30.0, "csms", "")


def test_a_session_that_ends_gives_its_part_to_the_others() -> None:
    story = givers(2, -11_000.0)
    story.control(11_000.0)
    story.run(30)
    assert story.flow[-1] == pytest.approx(-11_000.0, abs=700.0)
    session = story.site.evses[story.keys[0]].session
    assert session is not None
    story.drawn_a.pop(story.keys[0])
    story.do(SessionChanged(story.at(), story.keys[0], session.transaction_id, None, ended=True))
    begin = len(story.flow)
    story.run(200)
    assert min(story.flow[begin:]) >= -11_000.0 - SLACK_W
    assert story.flow[-1] == pytest.approx(-11_000.0, abs=10.0)


def test_no_face_no_news() -> None:
    story = Story(depot(1))
    story.start()
    story.run(30)
    assert story.of(AnnounceSite) == []
    assert EvseKey("CP1", 1) in story.site.evses


def test_the_limit_for_all_is_shown_and_published_with_who_says_so_and_its_next_step() -> None:
    story = givers(1)
    now_s = story.at().wall_s
    orders = story.wish(LimitStep(now_s - 1.0, 20.0), LimitStep(now_s + 600.0, 12.0))
    (state,) = [order for order in orders if isinstance(order, Publish) and order.topic == "limit/state"]
    shown = {"limit_a": 20.0, "reason": "CSMS limit for the site (profile 17)", "ends_wall_s": now_s + 600.0}
    assert state.payload["csms"] == {FACE: shown}
    assert any(isinstance(order, Tell) and order.text.endswith("holds now: 20 A per phase for all its chargers") for order in orders)
    story.control(5_000.0)
    limits = {(one.source, one.circuit): (one.value, one.unit) for one in story.site.view(story.at()).limits}
    assert limits[("CSMS limit for the site (profile 17)", FACE)] == (20.0, "A")
    assert limits[("DER LimitMaxDischarge 17", FACE)] == (5_000.0, "W")
    story.wish()
    assert not [one for one in story.site.view(story.at()).limits if one.unit == "A" and one.circuit == FACE]
