"""Bounds of what a car draws: told, offered, cut, unused, given back."""

from __future__ import annotations

from dataclasses import replace

import pytest

from controller.facts import EvseKey, EvseMeasured, StationOffline
from controller.site.meters.draws import draw_of, giving_w
from controller.site.meters.otherload import Draw
from controller.site.stations.channel import Sent, Wanted
from tests.support.pictures import Picture
from tests.support.site_story import Story, depot

KEY = EvseKey("CP1", 1)


def bounds(site: Picture, booked_a: float | None = None) -> Draw:
    return draw_of(site.evses[KEY], site.channel("CP1"), booked_a, site.now)


def car(drawn_a: float, limit_a: float) -> Picture:
    site = Picture(depot(1))
    site.car("CP1", (drawn_a,) * 3, limit_a=limit_a)
    return site


def test_between_what_it_told_and_what_it_was_offered() -> None:
    assert bounds(car(10.0, 16.0)) == Draw((10.0,) * 3, (16.0,) * 3)


def test_only_the_phases_it_loads_are_offered() -> None:
    site = Picture(depot(1))
    site.car("CP1", (0.0, 10.0, 0.0), (1,), limit_a=16.0)
    assert bounds(site) == Draw((0.0, 10.0, 0.0), (0.0, 16.0, 0.0))


def test_who_leaves_its_offer_unused_is_taken_to_draw_little_more() -> None:
    site = car(10.0, 32.0)
    unused = replace(site.evses[KEY].appetite, unused_since_mono_s=site.now - 31.0)
    site.evses[KEY] = replace(site.evses[KEY], appetite=unused)
    assert bounds(site).high_a == (13.0,) * 3


def test_a_station_that_tells_nothing_may_draw_all_or_nothing() -> None:
    site = Picture(depot(1))
    site.car("CP1", limit_a=16.0)
    assert bounds(site) == Draw((0.0,) * 3, (16.0,) * 3)
    assert bounds(site, booked_a=32.0).high_a == (32.0,) * 3


def giving(told_a: float | None) -> Picture:
    site = Picture(depot(1))
    site.car("CP1", (told_a,) * 3 if told_a is not None else None, limit_a=0.0)
    channel = site.channel("CP1")
    wanted = Wanted(0.0, 0.0, "plan", 3, setpoint_w=-6900.0)
    channel.sent = channel.accepted = Sent(2, 0.0, "plan", site.now - 30, site.now + 90, wanted=wanted)
    return site


@pytest.mark.parametrize("told_a", [None, 0.0, -4.0])
def test_a_car_that_may_be_giving_back_is_taken_to_give_all_it_was_told(told_a: float | None) -> None:
    """Else the building would look smaller than it is, and others would charge with what the car gives (6900 W are 10 A)."""
    assert bounds(giving(told_a)).low_a == (-10.0,) * 3


def test_the_other_load_is_not_made_smaller_by_what_is_given_back() -> None:
    draw = bounds(giving(-10.0))
    assert (draw.low_a, draw.high_a) == ((-10.0,) * 3, (-10.0,) * 3), "it says that it gives: the building is what the meter shows and 10 A"


def test_before_it_says_so_nobody_knows_whether_it_gives_already() -> None:
    site = giving(-4.0)
    site.channel("CP1").given_changed_mono_s = site.now - 1.0
    draw = bounds(site)
    assert (draw.low_a, draw.high_a) == ((-10.0,) * 3, (0.0,) * 3)


def test_the_deepest_setpoint_on_its_way_counts() -> None:
    site = giving(0.0)
    channel = site.channel("CP1")
    channel.outstanding[3] = Sent(3, 0.0, "plan", site.now, site.now + 120, wanted=Wanted(0.0, 0.0, "plan", 3, setpoint_w=-9000.0))
    assert giving_w(channel) == 9000.0
    assert giving_w(Picture(depot(1)).channel("CP1")) == 0.0


def test_the_car_of_a_station_that_has_just_gone_does_not_become_building_load() -> None:
    """The meter speaks between the loss and the next decision: the neighbour must not be paused for a car that counts already."""
    told, other = Story(depot(2)), EvseKey("CP2", 1)
    told.start()
    told.plug(KEY)
    told.plug(other)
    told.run(60)
    before_a = told.limits_a[other]
    told.do(StationOffline(told.at(), "CP1"))
    for _ in range(5):
        told.step(report=False)
        told.do(EvseMeasured(told.at(), other, (told.drawn_a[other],) * 3))
    assert told.limits_a[other] == before_a
    assert max(told.site.meters.loads(told.now)["grid"].other_a) < 11.0
