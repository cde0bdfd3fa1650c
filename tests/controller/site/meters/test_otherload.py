"""The other load is neither fooled by a car that moves nor blind to a building that does."""

from __future__ import annotations

import math

from controller.site.guard import total_of
from controller.site.meters.otherload import NOTHING, Draw, OtherLoad, blame_other, estimate


def three(amps: float) -> tuple[float, float, float]:
    return amps, amps, amps


def car(low: float, high: float) -> Draw:
    return Draw(three(low), three(high))


def test_exact_when_the_car_has_told() -> None:
    assert estimate(three(46), [car(16, 16)], three(5)) == three(30)


def test_the_first_estimate_is_the_careful_one() -> None:
    assert estimate(three(46), [car(0, 16)], None) == three(46)
    assert estimate(three(20), [NOTHING], None) == three(20)


def test_a_car_that_follows_its_rise_is_not_building_load() -> None:
    assert estimate(three(46), [car(6, 16)], three(30)) == three(30)


def test_a_car_that_has_not_followed_its_cut_yet_is_not_building_load() -> None:
    assert estimate(three(46), [car(6, 16)], three(30)) == three(30)
    assert estimate(three(36), [car(6, 16)], three(30)) == three(30)


def test_a_building_that_rises_beyond_what_cars_can_explain_is_seen_at_once() -> None:
    assert estimate(three(56), [car(6, 16)], three(30)) == three(40)


def test_a_building_that_falls_is_believed_only_as_far_as_it_is_sure() -> None:
    assert estimate(three(26), [car(6, 16)], three(30)) == three(20)


def test_phases_are_apart() -> None:
    assert estimate((46, 30, 30), [Draw((16, 0, 0), (16, 0, 0))], None) == (30, 30, 30)


def test_above_a_limit_the_jump_is_blamed_on_the_building() -> None:
    raised = blame_other((79.0, 50.0, 64.0), (59.0, 40.0, 70.0), three(10), 63.0)
    assert raised == (30.0, 10.0, 10.0)
    assert estimate(three(79), [car(49, 55)], three(30)) == three(30)


def loads(*metered_a: float, limit_a: float = 50.0) -> OtherLoad:
    """Readings a second apart, beside a car that may draw up to 16 A."""
    other = OtherLoad()
    for second, amps in enumerate(metered_a):
        other.read(three(amps), [car(6, 16)], limit_a, float(second))
    return other


def test_what_one_reading_alone_has_shown_may_be_the_start_of_a_motor() -> None:
    assert loads(40, 40, 65).passing_a(2.0) == three(25)
    assert loads(40, 40, 65).passing_a(3.6) == three(0), "and is believed when no other reading denies it"


def test_two_readings_above_the_limit_are_a_load_that_stays() -> None:
    assert loads(40, 40, 65, 55).passing_a(3.0) == three(0)


def test_an_excess_that_no_breaker_bears_is_believed_at_once() -> None:
    assert loads(40, 40, 73).passing_a(2.0) == three(0)


def test_after_the_start_of_a_motor_nobody_is_paused_while_the_cars_follow_their_cut() -> None:
    other = loads(40, 40, 65, 40)
    assert other.now_a is not None
    assert other.now_a[0] > 24.0, "the careful estimate"
    assert other.now_a[0] - other.passing_a(3.0)[0] <= 34.0


def test_a_reading_older_than_what_the_station_says_since_is_no_building_that_came_up() -> None:
    """A virtual meter speaks again when its second part does; by then a car has followed its cut and told so."""
    other = OtherLoad()
    other.read(three(40), [car(32, 32)], 50.0, 0.0)
    other.read(three(65), [car(32, 32)], 50.0, 1.0, 0.5)
    assert other.read(three(65), [car(20, 20)], 50.0, 1.5, 0.5) == three(33), "at 1.0 s the car still drew 32 A"
    assert other.read(three(53), [car(20, 20)], 50.0, 2.0, 0.5) == three(33)
    assert other.read(three(65), [car(20, 20)], 50.0, 3.0) == three(45), "a new reading says that it is the building"


def test_above_a_total_the_building_is_blamed_for_the_jump_on_every_phase() -> None:
    """No phase is above its own 50 A. Three phases of 34 A are above 100 A: each jump of 4 A counts as the building's at once."""
    for total_a, found in ((math.inf, three(24)), (100.0, three(28))):
        other = OtherLoad()
        for second, amps in enumerate((30.0, 34.0)):
            other.read(three(amps), [car(0 if second else 6, 16 if second else 6)], 50.0, float(second), total_a=total_a)
        assert other.now_a == found


def test_two_readings_above_a_total_are_a_load_that_stays() -> None:
    other = OtherLoad()
    for second, amps in enumerate((30.0, 30.0, 36.0, 35.0)):
        other.read(three(amps), [car(6, 16)], 50.0, float(second), total_a=100.0)
    assert other.passing_a(3.0) == three(0)


def test_feed_in_on_one_phase_takes_nothing_off_a_total() -> None:
    assert total_of((-20.0, 30.0, 10.0)) == 40.0
