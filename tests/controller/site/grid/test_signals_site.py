"""Limits from outside in the closed loop: what cars get, what is measured, recorded and told; the guard and the plan know them."""

from __future__ import annotations

from typing import Any

import pytest

from controller.facts import EventsTold, EvseKey, EvseMeasured, GridEvent, LimitStep, SiteWished
from controller.orders import AnnounceLimit, SteerDevice, TellSource
from controller.site.grid.limit_machine import State
from tests.support.signal_story import CONSUMPTION, PRODUCTION, SignalStory, entry

PV = {"inverters": [{"id": "roof", "max_power_w": 20_000, "control": {"type": "mqtt", "command_topic": "x"}}]}


def charging(*entries: dict[str, Any], cars: int = 3, **parts: Any) -> SignalStory:
    """Cars that charge, the source unlimited so far."""
    story = SignalStory(*entries, count=cars, fuse_a=100.0, **parts)
    story.start()
    for number in range(cars):
        story.plug(EvseKey(f"CP{number + 1}", 1))
    story.beat()
    story.say(None)
    story.say(None, PRODUCTION)
    story.run(60)
    return story


def cars_w(story: SignalStory) -> float:
    return 3 * 230.0 * sum(story.drawn_a.values())


def run(story: SignalStory, seconds: int, building_a: float = 10.0) -> None:
    """The source lives all the time."""
    for second in range(seconds):
        if second % 30 == 0:
            story.beat()
        story.step(building_a)


def test_a_limit_of_the_circuit_holds_building_and_cars() -> None:
    story = charging(entry("eebus"))
    assert cars_w(story) > 40_000
    story.say(20_000.0)
    run(story, 30)
    total_w = cars_w(story) + 3 * 230.0 * 10.0
    assert 15_000 < total_w <= 20_000
    assert story.record("received")[-1].limit_w == 20_000.0
    obeyed = story.record("obeyed")[-1]
    assert obeyed.measured_w is not None
    assert obeyed.measured_w <= 20_050.0
    assert len(story.record("measured")) >= 4
    assert not story.record("violated")


def test_a_limit_of_the_controllable_loads_lets_the_building_be() -> None:
    story = charging(entry("eebus", binds="controllable"))
    story.say(15_000.0)
    run(story, 40, building_a=50.0)  # 34.5 kW of building, far above the limit
    assert 11_000 < cars_w(story) <= 15_000
    assert story.site.view(story.at()).signals[0].binds
    reasons = {story.site.grants[key].reason for key in story.drawn_a}
    assert any("dso" in reason for reason in reasons)


def test_a_limit_of_one_circuit_lets_the_others_be() -> None:
    story = charging(entry("eebus", binds="controllable", circuit="hall0"), cars=4, circuits=2)
    story.say(8000.0)
    run(story, 40)
    halls = [sum(3 * 230.0 * story.drawn_a[EvseKey(f"CP{number}", 1)] for number in numbers) for numbers in ((1, 3), (2, 4))]
    assert 4000 < halls[0] <= 8000
    assert halls[1] > 30_000


def test_zero_watts_stop_every_car() -> None:
    story = charging(entry("mqtt", binds="controllable"))
    story.say(0.0)
    run(story, 30)
    assert cars_w(story) == 0.0


def test_the_network_operators_limit_is_announced_as_his() -> None:
    story = charging(entry("eebus"))
    story.say(12_000.0)
    assert {order.source for order in story.of(AnnounceLimit)[-3:]} == {"SO"}
    fleet = charging(entry("mqtt", operator=False))
    fleet.say(12_000.0)
    assert {order.source for order in fleet.of(AnnounceLimit)[-3:]} == {"EMS"}


def test_a_high_voltage_breaks_no_limit_in_watts() -> None:
    story = charging(entry("eebus"))
    story.do(story.reading(story.metered_a(10.0), voltage_v=(253.0, 253.0, 253.0)))
    story.say(20_000.0)
    for _ in range(40):
        story.now += 1.0
        story.settle()
        story.beat()
        story.report()
        amps = story.metered_a(10.0)
        story.do(story.reading(amps, voltage_v=(253.0, 253.0, 253.0), power_w=253.0 * sum(amps)))
        story.do(story.tick())
    assert 253.0 * sum(story.metered_a(10.0)) <= 20_000.0


def test_cars_that_take_more_than_told_are_held_by_what_is_measured() -> None:
    story = charging(entry("eebus", binds="controllable"))
    story.say(15_000.0)
    for second in range(240):
        if second % 30 == 0:
            story.beat()
        story.now += 1.0
        story.settle()
        for key, drawn_a in story.drawn_a.items():
            amps = drawn_a * 1.03  # too little to be noticed car by car
            story.do(EvseMeasured(story.at(), key, (amps, amps, amps), power_w=690.0 * amps))
        story.do(story.reading(tuple(10.0 + 1.03 * sum(story.drawn_a.values()) for _ in range(3))))  # type: ignore[arg-type]
        story.do(story.tick())
    assert 1.03 * cars_w(story) <= 15_000.0 * 1.003


def test_the_guard_knows_a_limit_at_the_next_reading() -> None:
    story = charging(entry("eebus"))
    story.say(20_000.0)
    run(story, 60)
    amps = story.metered_a(25.0)
    orders = story.do(story.reading(amps))  # 15 A more of building: over the limit, within this call
    assert any(type(order).__name__ == "Inject" for order in orders)


def test_failsafe_and_back_with_the_cars() -> None:
    story = charging(entry("eebus", failsafe_w="section_14a", binds="controllable"))
    before_w = cars_w(story)
    story.run(125)
    assert story.state() is State.FAILSAFE
    story.run(20)
    assert cars_w(story) <= 4200.0 + 2 * 0.75 * 4200.0
    assert any("its failsafe" in text for text in story.told())
    story.beat()
    story.say(None)
    run(story, 120)
    assert cars_w(story) == pytest.approx(before_w, rel=0.05)
    assert [line.event for line in story.record() if line.event in ("failsafe", "ended") and line.direction is CONSUMPTION][-2:] == [
        "failsafe",
        "ended",
    ]


def test_sources_are_told_what_is_measured() -> None:
    story = charging(entry("ieee2030_5", binds="controllable"))
    story.say(15_000.0)
    run(story, 30)
    told: TellSource = story.of(TellSource)[-1]
    assert (told.source, told.limit_w, told.state) == ("dso", 15_000.0, "failsafe" if story.state() is State.FAILSAFE else "limited")
    assert told.controllable_w == pytest.approx(cars_w(story), rel=0.01)
    assert told.power_w is not None


# -- feed-in -------------------------------------------------------------------------------------------------------------


def test_the_lowest_bound_of_feed_in_counts() -> None:
    story = charging(entry("eebus"), entry("mqtt", id="second"), **PV)
    story.say(None, PRODUCTION, source="second")
    assert story.site.export(story.at()) is None
    story.say(7000.0, PRODUCTION)
    story.say(5000.0, PRODUCTION, source="second")
    bound = story.site.export(story.at())
    assert bound is not None
    assert bound[0] == 5000.0
    assert "second" in bound[1]


def test_a_source_that_disconnects_generation_leaves_no_feed_in() -> None:
    story = charging(entry("ieee2030_5"), **PV)
    story.do(EventsTold(story.at(), "dso", (GridEvent("off", 1, story.at().wall_s, 600.0, connected=False),)))
    bound = story.site.export(story.at())
    assert bound is not None
    assert bound[0] == 0.0
    story.run(3)
    told = [order for order in story.of(SteerDevice) if order.device == "roof"]
    assert told[-1].power_w == 0.0  # what the site could use itself is not made either
    assert "generation disconnected (dso)" in story.site.limits.faces(story.now, story.site.layout)[-1].discharge_reason


# -- the plan ------------------------------------------------------------------------------------------------------------


def announced(story: SignalStory, **what: Any) -> Any:
    """The problem that is posed while an event of an hour is announced in two hours."""
    begin_s = (story.at().wall_s // 900 + 8) * 900
    story.do(EventsTold(story.at(), "dso", (GridEvent("peak", 1, begin_s, 3600.0, label="peak", **what),)))
    story.site.planner.ask()
    for _ in range(120):
        count = len(story.problems())
        story.beat()
        story.step()
        if len(story.problems()) > count:
            break
    problem = story.problems()[-1]
    inside = [number for number, slot in enumerate(problem.slots) if begin_s <= slot.start_wall_s < begin_s + 3600.0]
    outside = [
        number for number, slot in enumerate(problem.slots) if slot.start_wall_s + slot.duration_s <= begin_s or slot.start_wall_s >= begin_s + 3600.0
    ]
    assert inside
    assert outside
    return problem, inside, outside


def test_an_announced_limit_is_in_the_plan_before_it_begins() -> None:
    story = charging(entry("openadr3"), control={"solver_deadline_s": 1})
    problem, inside, outside = announced(story, consumption_w=6900.0)
    assert all(problem.import_limit_w[number] == pytest.approx(6900.0) for number in inside)
    assert all(problem.import_limit_w[number] > 70_000.0 for number in outside)
    assert not problem.nodes[0].slot_limit_a  # one figure for all phases together, none of each


def test_an_announced_limit_of_the_controllable_loads_is_a_node_of_their_sum() -> None:
    story = charging(entry("openadr3", binds="controllable"), control={"solver_deadline_s": 1})
    problem, inside, outside = announced(story, consumption_w=6900.0)
    middle = next(node for node in problem.nodes if node.node_id == "limit (dso)")
    assert all(middle.slot_total_w[number] == pytest.approx(6900.0) for number in inside)
    assert all(middle.slot_total_w[number] > 70_000.0 for number in outside)
    assert min(middle.slot_limit_a) >= 100.0
    assert not problem.nodes[0].slot_total_w


def test_a_setpoint_and_a_bound_of_feed_in_are_in_the_plan() -> None:
    story = charging(entry("ieee2030_5"), control={"solver_deadline_s": 1})
    problem, inside, outside = announced(story, setpoint_w=-3000.0, production_w=4000.0)
    assert all(problem.grid_setpoint_w[number] == -3000.0 and problem.export_limit_w[number] == 4000.0 for number in inside)
    assert all(problem.grid_setpoint_w[number] is None for number in outside)


def test_beside_the_limit_of_a_csms_both_hold() -> None:
    story = charging(entry("eebus", binds="controllable"))
    story.do(SiteWished(story.at(), "", (LimitStep(story.at().wall_s, 12.0),), "profile of the site"))
    story.say(20_000.0)
    run(story, 40)
    assert cars_w(story) <= 12.0 * 690.0
    story.say(5000.0)
    run(story, 40)
    assert cars_w(story) <= 5000.0
