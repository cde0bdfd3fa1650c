"""Cars obey the pilot: 6 A rule, reaction, ramp, fullness, and energy on the wall clock."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.sim.car import VOLTAGE_V, Car
from tests.controller.sim.kit import car


def run(subject: Car, offer_a: float, seconds: float, speed: float = 1.0) -> float:
    return sum(subject.step(offer_a, 1.0, speed) for _ in range(int(seconds)))


@pytest.mark.parametrize(
    ("offer_a", "expected_a"),
    [(0.0, 0.0), (5.9, 0.0), (6.0, 6.0), (10.5, 10.5), (16.0, 16.0), (32.0, 16.0)],
)
def test_settles_at_the_offer_between_6_a_and_its_own_maximum(offer_a: float, expected_a: float) -> None:
    subject = Car(car(max_current_a=16.0))
    run(subject, offer_a, 30)
    assert subject.current_a == pytest.approx(expected_a)


def test_reacts_only_after_its_reaction_time_and_then_ramps() -> None:
    subject = Car(car(reaction_s=5.0, ramp_a_per_s=2.0))
    run(subject, 16.0, 4)
    assert subject.current_a == 0.0
    run(subject, 16.0, 2)
    assert 0.0 < subject.current_a <= 4.0
    run(subject, 16.0, 10)
    assert subject.current_a == pytest.approx(16.0)


def test_a_lower_offer_is_followed_late_too() -> None:
    subject = Car(car(reaction_s=5.0))
    run(subject, 16.0, 30)
    run(subject, 6.0, 4)
    assert subject.current_a == pytest.approx(16.0)
    run(subject, 6.0, 8)
    assert subject.current_a == pytest.approx(6.0)


def test_energy_follows_the_wall_clock_while_reaction_follows_the_control_clock() -> None:
    slow, fast = Car(car()), Car(car())
    run(slow, 16.0, 60)
    run(fast, 16.0, 60, speed=60.0)
    assert fast.current_a == pytest.approx(slow.current_a)
    assert fast.charged_wh == pytest.approx(60 * slow.charged_wh)


def test_tapers_above_its_knee_and_stops_when_it_has_enough() -> None:
    subject = Car(car(soc=0.9, taper_soc=0.8, need_wh=60_000.0))
    run(subject, 16.0, 30)
    assert 6.0 < subject.current_a < 9.0  # halfway between knee and full
    run(subject, 16.0, 4000, speed=60.0)
    assert subject.full
    assert subject.current_a == 0.0
    assert subject.soc == pytest.approx(1.0, abs=0.01)


def test_one_phase_car_at_a_three_phase_evse_uses_one_phase() -> None:
    subject = Car(car(phases=1), evse_phases=3)
    run(subject, 16.0, 30)
    assert subject.power_w == pytest.approx(16.0 * VOLTAGE_V)


@given(st.lists(st.floats(min_value=0.0, max_value=40.0), min_size=1, max_size=30), st.floats(min_value=0.2, max_value=10.0))
def test_never_more_than_ever_offered_nor_more_energy_than_wanted(offers_a: list[float], step_s: float) -> None:
    subject = Car(car(need_wh=500.0))
    for offer_a in offers_a:
        subject.step(offer_a, step_s, 60.0 * step_s)
        assert 0.0 <= subject.current_a <= max(offers_a)
    assert subject.charged_wh <= subject.target_wh + 1e-6


# -- giving back ------------------------------------------------------------------------------------------


def test_a_car_that_can_gives_back_what_is_asked_up_to_its_most() -> None:
    subject = Car(car(soc=0.8, max_discharge_w=6900.0))
    run(subject, -4.0, 30)
    assert subject.current_a == pytest.approx(-4.0)
    run(subject, -16.0, 30)
    assert subject.current_a == pytest.approx(-10.0)
    run(subject, 0.0, 30)
    assert subject.current_a == 0.0


def test_any_other_car_pauses() -> None:
    subject = Car(car(soc=0.8))
    run(subject, -10.0, 60)
    assert (subject.current_a, subject.given_wh) == (0.0, 0.0)


def test_what_it_gave_it_wants_again_with_the_losses() -> None:
    subject = Car(car(soc=0.8, need_wh=2000.0, max_discharge_w=6900.0, reaction_s=0.0, ramp_a_per_s=100.0))
    run(subject, -10.0, 3600)
    assert subject.given_wh == pytest.approx(6900.0, rel=0.01)
    assert subject.missing_wh == pytest.approx(2000.0 + subject.given_wh / 0.92**2)
    assert subject.soc == pytest.approx(0.8 - subject.given_wh / 0.92 / 60_000.0)
    assert not subject.full


def test_it_stops_at_its_least_state_of_charge() -> None:
    subject = Car(car(soc=0.52, least_soc=0.5, max_discharge_w=6900.0, reaction_s=0.0))
    run(subject, -10.0, 3600)
    assert subject.soc == pytest.approx(0.5, abs=0.001)
    assert subject.current_a == 0.0
