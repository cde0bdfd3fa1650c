"""The nights of 23 and 25 hours, F79: plan, prices and energy, from the site file's local times to the checked plan."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest

from controller.facts import EvseKey, NeedsAnnounced
from optimizer.check import check
from optimizer.live import Live
from optimizer.problem import Plan, Problem
from tests.support.site_story import WALL_S, Story, depot

BERLIN = ZoneInfo("Europe/Berlin")
CHEAP, DEAR = 0.10, 0.30
TARIFF = {"buy": [{"start": "00:00", "price_per_kwh": DEAR}, {"start": "01:00", "price_per_kwh": CHEAP}, {"start": "05:00", "price_per_kwh": DEAR}]}
NEED_WH = 12_000.0
EVENING, MORNING = (20, 7), (7, 0)
NIGHTS = [((2026, 3, 28), (2026, 3, 29), 3.0, 9.0), ((2026, 10, 24), (2026, 10, 25), 5.0, 11.0), ((2026, 6, 10), (2026, 6, 11), 4.0, 10.0)]
"""(evening, morning, hours between 01:00 and 05:00, hours between 21:00 and 07:00): spring, autumn, and a night like any other."""
nights = pytest.mark.parametrize(("evening", "morning", "cheap_h", "night_h"), NIGHTS, ids=["23 h", "25 h", "24 h"])
Day = tuple[int, int, int]


def local_s(day: Day, hour: int, minute: int = 0) -> float:
    return datetime(*day, hour, minute, tzinfo=BERLIN).astimezone(UTC).timestamp()


def posed(evening: Day, morning: Day) -> Problem:
    """What a site in Berlin asks its solver on that evening for a car that leaves at seven."""
    told = Story(depot(1, tariff=TARIFF, site={"id": "test", "timezone": "Europe/Berlin"}))
    told.wall_jump_s = local_s(evening, *EVENING) - WALL_S - told.now
    told.start()
    told.plug("CP1")
    told.do(NeedsAnnounced(told.at(), EvseKey("CP1", 1), NEED_WH, local_s(morning, *MORNING)))
    told.run(8, 10.0)
    problem = told.problems()[-1]
    assert isinstance(problem, Problem)
    return problem


def solved(problem: Problem) -> Plan:
    plan = Live(workers=1).solve(problem, 60.0)
    assert check(problem, plan) == ()
    return plan


@nights
def test_f79_no_slot_is_lost_or_doubled_and_each_has_its_own_price(evening: Day, morning: Day, cheap_h: float, night_h: float) -> None:
    problem = posed(evening, morning)
    assert all(sooner.start_wall_s + sooner.duration_s == later.start_wall_s for sooner, later in pairwise(problem.slots))
    night = [slot for slot in problem.slots if local_s(evening, 21) <= slot.start_wall_s < local_s(morning, *MORNING)]
    assert sum(slot.duration_s for slot in night) == night_h * 3600.0
    cheap = [slot for slot, price in zip(problem.slots, problem.buy_per_kwh, strict=True) if price == CHEAP and slot in night]
    assert sum(slot.duration_s for slot in cheap) == cheap_h * 3600.0
    assert {price for slot, price in zip(problem.slots, problem.buy_per_kwh, strict=True) if slot in night} == {CHEAP, DEAR}, "and none in between"
    clock = [datetime.fromtimestamp(slot.start_wall_s, BERLIN) for slot in cheap]
    assert (clock[0].hour, clock[0].minute) == (1, 0)
    assert all(1 <= moment.hour < 5 for moment in clock)


@nights
def test_f79_a_car_is_full_in_the_morning_by_the_cheap_hours_there_are(evening: Day, morning: Day, cheap_h: float, night_h: float) -> None:
    problem = posed(evening, morning)
    (car,) = problem.evs
    assert local_s(morning, 6) < car.departure_wall_s <= local_s(morning, *MORNING), "with some time to spare"
    plan = solved(problem)
    (powers_w,) = plan.ev_power_w.values()
    energy_wh = [power_w * slot.duration_s / 3600.0 for power_w, slot in zip(powers_w, problem.slots, strict=True)]
    assert sum(energy_wh) == pytest.approx(car.energy_need_wh, rel=1e-3)
    cheap_wh = sum(wh for wh, price in zip(energy_wh, problem.buy_per_kwh, strict=True) if price == CHEAP)
    assert cheap_wh == pytest.approx(car.energy_need_wh, rel=1e-3), "three hours are enough for this car"
    assert {slot.start_wall_s for slot, wh in zip(problem.slots, energy_wh, strict=True) if wh > 1.0} <= {
        slot.start_wall_s for slot in problem.slots if local_s(morning, 1) <= slot.start_wall_s < local_s(morning, 5)
    }
