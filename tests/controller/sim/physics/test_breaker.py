"""The account of a breaker, against figures worked out by hand."""

from __future__ import annotations

import math

import pytest

from controller.sim.physics.breaker import RATED, THERMAL_S, Breaker


def test_below_the_fuse_only_the_peak_is_noted() -> None:
    subject = Breaker("grid", 100.0)
    subject.step([80.0, 100.0, 20.0], 1.0, 1.0)
    first, second, third = subject.phases
    assert (first.peak_a, second.peak_a, third.peak_a) == (80.0, 100.0, 20.0)
    assert all(one.over_s == one.worst_as == 0.0 for one in subject.phases)


def test_times_and_ampere_seconds_of_two_excesses() -> None:
    subject = Breaker("grid", 100.0)
    course = [(110.0, 5.0), (90.0, 10.0), (120.0, 3.0), (150.0, 2.0), (100.0, 1.0)]
    wall_s = 0.0
    for amps, seconds in course:
        wall_s += seconds
        subject.step([amps, 0.0, 0.0], seconds, wall_s)
    one = subject.phases[0]
    assert one.over_s == 10.0
    assert one.longest_s == 5.0
    assert one.over_113_s == one.longest_113_s == 5.0
    assert one.over_145_s == 2.0
    assert one.worst_as == 20.0 * 3 + 50.0 * 2
    assert one.worst_at_wall_s == 20.0
    assert subject.phases[1].over_s == 0.0


def test_a_dip_below_1_13_breaks_the_longest_time() -> None:
    subject = Breaker("grid", 100.0)
    for amps in (120.0, 120.0, 112.0, 120.0):
        subject.step([amps, 0.0, 0.0], 4.0, 0.0)
    assert subject.phases[0].longest_113_s == 8.0
    assert subject.phases[0].longest_s == 16.0


def test_the_state_of_1_13_for_ever_is_one_and_of_rated_current_is_where_it_begins() -> None:
    subject = Breaker("grid", 100.0)
    assert subject.phases[0].thermal == pytest.approx(1.0 / 1.13**2)
    subject.step([113.0, 100.0, 0.0], 100 * THERMAL_S, 0.0)
    assert subject.phases[0].peak_thermal == pytest.approx(1.0)
    assert subject.phases[1].peak_thermal == RATED


def test_one_and_a_half_times_the_fuse_for_a_minute_may_trip_and_cools_again() -> None:
    subject = Breaker("grid", 100.0)
    subject.step([150.0, 0.0, 0.0], 60.0, 0.0)
    goal = (1.5 / 1.13) ** 2
    assert subject.phases[0].thermal == pytest.approx(goal + (RATED - goal) * math.exp(-0.5))
    assert subject.phases[0].peak_thermal > 1.0
    subject.step([50.0, 0.0, 0.0], 20 * THERMAL_S, 0.0)
    assert subject.phases[0].calm
