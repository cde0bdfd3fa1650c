"""Bounds of feed-in and generation in the plan: what is announced shapes it beforehand, what has an end ends, what has none stays."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from controller.facts import EventsTold, EvseKey, GridControlled, GridEvent, GridStep, NeedStated
from controller.site.grid.announced import Ahead, with_generation
from controller.site.grid.der import GridWishes
from optimizer.check import check
from optimizer.live import Live
from optimizer.problem import Plan, Problem
from optimizer.terms import defects
from tests.support.plans import HOUR_S, START_S, battery, car, problem
from tests.support.signal_story import FAILSAFE_PRODUCTION_W, PRODUCTION, SignalStory, entry

ROOF = {"id": "roof", "max_power_w": 20_000, "control": {"type": "mqtt", "command_topic": "x"}}
STORE = {"id": "store", "role": "battery", "source": {"type": "modbus", "host": "127.0.0.1", "map": "any"}}
BATTERY = {"capacity_wh": 20_000, "max_charge_w": 10_000, "max_discharge_w": 10_000, "efficiency_percent": 100, "wear_per_kwh": 0.0}
KEY = EvseKey("CP1", 1)
HOURS = 3600.0


def yard(*entries: dict[str, Any], soc_percent: float = 50.0, **parts: Any) -> SignalStory:
    """12 kW of sun all day, a building of 2 kW, energy sold at 0.08 and bought at 0.30, a battery of 20 kWh and one bay."""
    forecast = {"pv_w": [12_000.0] * 24, "base_load_w": [2000.0] * 24}
    tariff = {"buy": [{"start": "00:00", "price_per_kwh": 0.3}], "sell_per_kwh": 0.08}
    plant: dict[str, Any] = {"forecast": forecast, "tariff": tariff, "battery": BATTERY, "meters": [STORE], "inverters": [ROOF], "fuse_a": 100.0}
    story = SignalStory(*(entries or (entry("ieee2030_5", failsafe_w=None, failsafe_production_w=None),)), **plant | parts)
    story.start()
    story.do(story.reading((0.0, 0.0, 0.0), meter="store", power_w=0.0, soc_percent=soc_percent))
    return story


def posed(story: SignalStory, seconds: int = 70) -> Problem:
    for _ in range(seconds):
        story.step(3.0)
    found: Problem = story.problems()[-1]
    assert defects(found) == ()
    return found


def solved(found: Problem) -> Plan:
    plan = Live().solve(found, 30.0)
    assert check(found, plan, 0.05) == ()
    return plan


def announce(story: SignalStory, after_s: float, lasts_s: float, **event: Any) -> tuple[float, float]:
    """An event of the future; when it begins and ends [wall s]."""
    begin_s = story.at().wall_s + after_s
    story.do(EventsTold(story.at(), "dso", (GridEvent("noon", 1, begin_s, lasts_s, **event),)))
    return begin_s, begin_s + lasts_s


def within(found: Problem, span: tuple[float, float]) -> list[int]:
    begin_s, end_s = span[0] - 60.0, span[1] + 60.0
    return [number for number, slot in enumerate(found.slots) if begin_s <= slot.start_wall_s and slot.start_wall_s + slot.duration_s <= end_s]


def kwh(found: Problem, series: tuple[float, ...], slots: list[int]) -> float:
    return sum(series[number] * found.slots[number].hours for number in slots) / 1000.0


class TestFeedIn:
    def test_a_full_battery_makes_room_before_an_announced_bound_and_charges_within_it(self) -> None:
        """10 kW of surplus for two hours that nobody may feed in: the battery sells what it has before and takes 20 kWh for nothing."""
        story = yard(soc_percent=100.0)
        span = announce(story, 3 * HOURS, 2 * HOURS, production_w=0.0)
        found = posed(story)
        event = within(found, span)
        assert sum(found.slots[number].hours for number in event) == pytest.approx(2.0, abs=0.05)
        assert {found.export_limit_w[number] for number in event} == {0.0}
        assert found.export_limit_w[0] > 20_000.0
        plan = solved(found)
        before = [number for number, slot in enumerate(found.slots) if slot.start_wall_s < found.slots[event[0]].start_wall_s]
        assert kwh(found, plan.battery_power_w, before) < -15.0
        assert kwh(found, plan.battery_power_w, event) > 15.0
        assert min(plan.grid_power_w[number] for number in event) > -10.0

    def test_a_car_that_can_wait_charges_with_the_sun_nobody_may_feed_in(self) -> None:
        story = yard(battery=None, meters=[])
        story.plug(KEY)
        story.do(NeedStated(story.at(), KEY, 15_000.0, story.at().wall_s + 8 * HOURS, "api"))
        free = solved(before := posed(story))
        span = announce(story, 4 * HOURS, 2 * HOURS, production_w=0.0)
        plan = solved(found := posed(story))
        name = str(KEY)
        assert kwh(before, free.ev_power_w[name], within(before, span)) < 5.0
        assert kwh(found, plan.ev_power_w[name], within(found, span)) > 14.0

    def test_a_bound_that_ends_is_over_in_the_plan_too(self) -> None:
        story = yard(entry("mqtt", failsafe_w=None, failsafe_production_w=None))
        story.say(0.0, PRODUCTION, 1.5 * HOURS)
        found = posed(story, 10)
        ends_s = story.at().wall_s + 1.5 * HOURS
        bounded = [slot for slot, most_w in zip(found.slots, found.export_limit_w, strict=True) if most_w == 0.0]
        assert bounded[0] == found.slots[0]
        assert bounded[-1].start_wall_s + bounded[-1].duration_s == pytest.approx(ends_s, abs=60.0)

    def test_one_without_an_end_and_a_failsafe_stay_all_day(self) -> None:
        story = yard(entry("mqtt", failsafe_w=None))
        assert set(posed(story).export_limit_w) == {FAILSAFE_PRODUCTION_W}, "nothing was stated yet"
        story.say(300.0, PRODUCTION)
        assert set(posed(story).export_limit_w) == {300.0}


class TestGeneration:
    def test_an_announced_bound_of_generation_is_the_suns_first_and_then_the_batterys(self) -> None:
        story = yard()
        span = announce(story, 3 * HOURS, 2 * HOURS, generation_w=15_000.0)
        found = posed(story)
        event = within(found, span)
        assert found.battery is not None
        assert {found.pv_w[number] for number in event} == {12_000.0}
        assert {found.battery.max_slot_discharge_w[number] for number in event} == {3000.0}
        assert found.battery.max_slot_discharge_w[0] == 10_000.0
        solved(found)

    @pytest.mark.parametrize("event", [{"generation_w": 0.0}, {"connected": False}])
    def test_while_generation_is_off_there_is_no_sun_and_the_battery_gives_nothing(self, event: dict[str, Any]) -> None:
        """Two dear hours without sun: the building's 2 kW are bought, though the battery is half full."""
        story = yard()
        span = announce(story, 3 * HOURS, 2 * HOURS, **event)
        plan = solved(found := posed(story))
        numbers = within(found, span)
        assert {found.pv_w[number] for number in numbers} == {0.0}
        assert min(plan.battery_power_w[number] for number in numbers) >= -1.0
        assert kwh(found, plan.grid_power_w, numbers) >= 3.9
        assert found.pv_w[numbers[-1] + 1] == 12_000.0

    def test_without_a_trusted_clock_what_bounds_now_stays(self) -> None:
        story = yard()
        announce(story, 0.0, 600.0, generation_w=5000.0)
        story.step(3.0)
        doubtful = replace(story.at(), wall_trusted=False)
        (one,) = [ahead for ahead in story.site.limits.ahead(doubtful, 86_400.0) if ahead.generation_w is not None]
        assert (one.generation_w, one.end_wall_s) == (5000.0, float("inf"))

    def test_cars_give_nothing_back_under_it_and_sun_nobody_holds_down_stays(self) -> None:
        giver = replace(car("CP1/1"), max_discharge_w=4000.0, capacity_wh=50_000.0, soc_wh=30_000.0)
        given = problem([0.1] * 3, giver, pv_w=[9000.0] * 3, battery=battery(max_discharge_w=5000.0))
        ahead = (Ahead("dso", "grid", START_S + HOUR_S, START_S + 2 * HOUR_S, generation_w=6000.0),)
        held = with_generation(given, ahead, 0.0)
        assert held.pv_w == (9000.0, 6000.0, 9000.0)
        assert held.evs[0].max_slot_discharge_w == (4000.0, 0.0, 4000.0)
        assert held.battery is not None
        assert held.battery.max_slot_discharge_w == (5000.0, 0.0, 5000.0)
        fixed = with_generation(replace(given, pv_fixed=True), ahead, 0.0)
        assert fixed.pv_w == given.pv_w
        assert with_generation(given, (), 0.0) is given


class TestDerControls:
    def test_a_part_of_the_rated_output_is_each_kinds(self) -> None:
        given = problem([0.1] * 2, pv_w=[9000.0] * 2, battery=battery(max_discharge_w=5000.0))
        held = with_generation(given, (Ahead("csms", "grid", START_S, START_S + HOUR_S, part=0.4),), 20_000.0)
        assert held.pv_w == (8000.0, 9000.0)
        assert held.battery is not None
        assert held.battery.max_slot_discharge_w == (2000.0, 5000.0)

    def test_what_comes_later_is_told_to_the_plan_and_what_holds_now_ends_there(self) -> None:
        story = yard()
        wishes: GridWishes = story.site.grid_wishes
        now_s, site = story.at().wall_s, EvseKey("", 0)
        steps = (GridStep(now_s + HOURS), GridStep(now_s + 3 * HOURS, 0.0, 0.0, 0.0), GridStep(now_s + 4 * HOURS))
        story.do(GridControlled(story.at(), "test", site, 1000.0, 8000.0, "DER LimitMaxDischarge d1", 0.4, steps))
        story.do(GridControlled(story.at(), "test", KEY, 500.0, control="DER", coming=(GridStep(now_s + HOURS),)))
        assert wishes.giving() == {KEY: ((float("-inf"), now_s + HOURS, 500.0),)}
        (face,) = wishes.plans()
        assert [watts for _, _, watts in face.discharge] == [1000.0, 0.0]
        found = posed(story, 3)
        at = {round((slot.start_wall_s - now_s) / HOURS, 1): number for number, slot in enumerate(found.slots)}
        assert found.battery is not None
        for hour, export_w, pv_w, gives_w in ((3.0, 0.0, 0.0, 0.0), (4.0, None, 12_000.0, 10_000.0), (1.0, None, 12_000.0, 10_000.0)):
            number = at[hour]
            assert (found.pv_w[number], found.battery.max_slot_discharge_w[number]) == (pv_w, gives_w)
            assert (found.export_limit_w[number] == export_w) if export_w is not None else (found.export_limit_w[number] > 20_000.0)
        assert (found.export_limit_w[0], found.battery.max_slot_discharge_w[0]) == (8000.0, 4000.0)
        assert found.pv_w[0] <= 8000.0
        solved(found)

    def test_a_control_that_ends_with_nothing_behind_it_is_forgotten(self) -> None:
        story = yard()
        site = EvseKey("", 0)
        story.do(GridControlled(story.at(), "test", site, None, coming=(GridStep(story.at().wall_s + HOURS, 0.0, 0.0, 0.0),)))
        assert story.site.grid_wishes.ahead(story.at().wall_s) != ()
        story.do(GridControlled(story.at(), "test", site, None))
        assert story.site.grid_wishes.ahead(story.at().wall_s) == ()
