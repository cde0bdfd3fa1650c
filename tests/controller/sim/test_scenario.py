"""The demo day is a day that can happen."""

from __future__ import annotations

import itertools

import pytest

from controller.sim.scenario import DEMO, Deed, at_hour
from tests.controller.sim.kit import DAY


def test_no_bay_is_used_twice_at_a_time() -> None:
    arrivals = DEMO.arrivals(DAY, DAY + 3 * 86_400)
    by_bay = sorted(arrivals, key=lambda item: (item.station_id, item.evse_id, item.car.arrival_wall_s))
    for (_, _), stays in itertools.groupby(by_bay, key=lambda item: (item.station_id, item.evse_id)):
        for earlier, later in itertools.pairwise(stays):
            assert earlier.car.departure_wall_s < later.car.arrival_wall_s


def test_every_car_could_get_its_energy_if_it_were_alone() -> None:
    for visit in DEMO.visits:
        power_w = visit.max_current_a * 230.0 * visit.phases
        assert visit.need_wh <= 0.92 * power_w * (visit.departure_h - visit.arrival_h), visit.name


def test_who_was_there_before_the_start_finds_less_to_do() -> None:
    visit = next(item for item in DEMO.visits if item.name == "staff-1")
    arrivals = DEMO.arrivals(DAY + 3600 * 12.2, DAY + 3600 * 12.3)
    car = next(item.car for item in arrivals if item.car.name == "staff-1")
    assert car.need_wh == pytest.approx(visit.need_wh / 2, rel=0.01)
    assert car.arrival_wall_s == DAY + 3600 * 12.2


def test_the_story_ascends_comes_back_every_day_and_ends_what_it_begins() -> None:
    hours = [step.hour for step in DEMO.story]
    assert hours == sorted(hours)
    two_days = list(itertools.islice(DEMO.happenings(DAY + 3600 * DEMO.start_h), 2 * len(DEMO.story)))
    assert [when for when, _ in two_days] == sorted(when for when, _ in two_days)
    deeds = [step.deed for step in DEMO.story if step.deed in (Deed.CSMS_DOWN, Deed.CSMS_UP)]
    assert deeds == [Deed.CSMS_DOWN, Deed.CSMS_UP]


@pytest.mark.parametrize(("hour", "expected"), [(0, 10), (6, 10), (9, 25), (12, 40), (23, 40), (30, 10)])
def test_curves_are_linear_between_their_points(hour: float, expected: float) -> None:
    assert at_hour(((6, 10), (12, 40)), hour) == pytest.approx(expected)
