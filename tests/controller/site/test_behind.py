"""Boxes that cannot be brought down in time: the others make room for what they may still be obeying, soon."""

from __future__ import annotations

from controller.config import Config
from controller.facts import EvseKey, LimitUnit, SetpointAnswered, StationOffline, StationOnline
from controller.orders import Inject, InstallFloor
from controller.site.site import Site
from controller.site.stations.charger import ChargerModel
from tests.support.site_story import Story, depot

ONE, TWO = EvseKey("CP1", 1), EvseKey("CP2", 1)


def pair(**parts: object) -> Story:
    """Two cars that fill a metered fuse."""
    story = Story(depot(2, fuse_a=64.0, worst_other_load_a=40.0, **parts))  # type: ignore[arg-type]
    story.start()
    for key in (ONE, TWO):
        story.plug(key)
    story.run(90)
    assert sum(story.drawn_a.values()) > 46.0
    return story


def over_s(story: Story, seconds: int, building_a: float) -> int:
    """How many of these seconds are above the fuse."""
    over = 0
    for _ in range(seconds):
        story.step(building_a)
        over += story.metered_a(building_a)[0] > 64.0 + 0.5
    return over


def test_a_box_that_does_not_answer_a_cut_counts_with_what_it_may_be_obeying_after_seconds() -> None:
    """Its answer is lost for good after half a minute; the fuse does not wait so long for it."""
    story = pair()
    story.mute.add(ONE)
    drew_a = story.drawn_a[ONE]
    assert over_s(story, 60, building_a=30.0) <= 15
    assert story.drawn_a[ONE] == drew_a, "it was never reached"
    assert story.drawn_a[TWO] <= 64.0 - 30.0 - drew_a


def test_when_it_answers_again_everybody_gets_his_share() -> None:
    story = pair()
    story.mute.add(ONE)
    story.run(20, building_a=30.0)
    story.mute.clear()
    story.run(200, building_a=30.0)
    assert min(story.drawn_a.values()) >= 15.0


class Limited(Story):
    """CP1 wants to be left alone for a minute after each setpoint."""

    wrote_s = -1e9

    def _inject(self, order: Inject) -> None:
        left_s = 60.0 - (self.now - self.wrote_s)
        if order.evse == ONE and left_s > 0:
            self.do(SetpointAnswered(self.at(), order.evse, order.number, False, "RateLimitExceeded", retry_after_s=left_s))
            return
        if order.evse == ONE:
            self.wrote_s = self.now
        super()._inject(order)


def test_a_cut_that_must_wait_for_a_rate_limit_is_made_room_for_by_the_others() -> None:
    models = {"generic": ChargerModel("generic", apply_s=2.0, purposes=("TxDefaultProfile",), other_unit=False)}
    story = Limited(depot(2, fuse_a=64.0, worst_other_load_a=40.0), models)
    story.start()
    for key in (ONE, TWO):
        story.plug(key)
    story.run(100)
    story.wrote_s = story.now
    assert sum(story.drawn_a.values()) > 46.0
    assert over_s(story, 55, building_a=34.0) <= 15


def test_a_setpoint_in_a_lost_station_counts_as_long_as_its_clock_may_be_behind() -> None:
    """A schedule is written to begin a minute early, so a clock that is behind by so much ends it so much later."""
    story = pair()
    now = story.now
    accepted = story.site.actuator.channels[ONE].accepted
    assert accepted is not None
    story.do(StationOffline(story.at(), "CP1"))
    channel = story.site.actuator.channels[ONE]
    booked = story.site.actuator.booked_offline_a
    ends_s = accepted.ends_mono_s
    assert booked(channel, ends_s + 59.0) == accepted.limit_a
    assert booked(channel, max(ends_s, now + 120.0) + 61.0) == 6.0


def test_a_station_that_refused_its_floor_counts_with_its_maximum_while_it_is_away() -> None:
    """Nothing holds it there: no setpoint outlives its end, and there is no floor below."""
    story = Story(depot(2, fuse_a=64.0))
    story.refusing.add(ONE)
    story.start()
    story.do(StationOffline(story.at(), "CP1"))
    story.run(400)
    assert story.site.frozen is not None
    assert story.site.frozen.booked_a[ONE] == 32.0
    story.refusing.clear()
    story.do(StationOnline(story.at(), "CP1", "2.0.1"))
    story.run(5)
    story.do(StationOffline(story.at(), "CP1"))
    story.run(400)
    assert story.site.frozen.booked_a[ONE] == 6.0


def test_on_a_circuit_without_a_meter_a_cut_car_counts_with_what_it_told_last_until_it_tells_more() -> None:
    """A box that samples once a minute: the others wait for its word before they take what was its."""
    story = Story(depot(2, fuse_a=40.0, worst_other_load_a=0.0, metered=False, control={"turn_s": 60}))
    story.start()
    story.plug(ONE)
    story.run(60, building_a=None)
    assert story.drawn_a[ONE] == 32.0
    story.stubborn.add(ONE)
    story.plug(TWO)
    for _ in range(40):
        story.step(building_a=None, report=False)
        assert sum(story.drawn_a.values()) <= 40.0
    story.stubborn.clear()
    story.drawn_a[ONE] = story.limits_a[ONE]
    story.run(60, building_a=None)
    assert min(story.drawn_a.values()) >= 18.0


def test_a_booked_car_that_draws_more_than_told_is_not_raised_by_that() -> None:
    models = {"generic": ChargerModel("generic", apply_s=2.0, step_a=0.1, overdraw_part=0.05)}
    config: Config = depot(2, fuse_a=64.0, worst_other_load_a=40.0)
    story = Story(config, models, Site(config, models))
    story.start()
    for key in (ONE, TWO):
        story.plug(key)
    story.run(90)
    story.mute.add(ONE)
    story.limit(30.0, unit=LimitUnit.A, valid_for_s=1000.0)
    before = len(story.injected(ONE))
    story.run(25)
    assert all(limit_a <= 16.0 for _, limit_a in story.injected(ONE)[before:])


def test_floors_and_clearings_are_writes_too() -> None:
    story = Story(depot(1))
    story.start()
    wrote = story.site.actuator.writes_today("CP1", story.at().wall_s)
    assert wrote == len(story.of(InstallFloor)) == 1
