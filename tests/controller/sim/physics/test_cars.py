"""Every temper does what its sentence says."""

from __future__ import annotations

from dataclasses import replace

import pytest

from controller.sim.car import CarSpec
from controller.sim.physics.cars import TemperedCar
from controller.sim.physics.tempers import BOXES, CARS, car_named


def car(name: str, evse_phases: int = 3, **more: float) -> TemperedCar:
    temper = car_named(name)
    spec = CarSpec("car", 0.0, 9e9, 60_000.0, 80_000.0, 0.2, len(temper.wired), temper.max_current_a, temper.taper_soc, reaction_s=temper.reaction_s)
    return TemperedCar(replace(spec, **more), temper, evse_phases)


def run(subject: TemperedCar, offer_a: float, seconds: int) -> list[float]:
    """Current after each second."""
    found = []
    for _ in range(seconds):
        subject.step(offer_a, 1.0, 1.0)
        found.append(subject.current_a)
    return found


def settled(subject: TemperedCar, offer_a: float) -> float:
    return run(subject, offer_a, 120)[-1]


def test_there_are_more_than_ten_kinds_of_each_and_no_two_alike() -> None:
    assert len({temper.name for temper in CARS}) == len(CARS) >= 10
    assert len({temper.name for temper in BOXES}) == len(BOXES) >= 10


@pytest.mark.parametrize(("name", "offer_a", "draws_a"), [
    ("obedient", 10.0, 10.0),
    ("obedient", 32.0, 16.0),
    ("strong", 32.0, 32.0),
    ("stops below 8 A", 7.0, 0.0),
    ("stops below 8 A", 8.0, 8.0),
    ("draws 5 % more", 10.0, 10.5),
    ("ignores limits", 6.0, 16.0),
    ("ignores limits", 0.0, 0.0),
    ("obedient", 5.9, 0.0),
])  # fmt: skip
def test_what_it_draws_in_the_end(name: str, offer_a: float, draws_a: float) -> None:
    assert settled(car(name), offer_a) == pytest.approx(draws_a)


@pytest.mark.parametrize(("name", "wired"), [("one phase", (0,)), ("one phase on L2", (1,)), ("two phases", (0, 1)), ("obedient", (0, 1, 2))])
def test_which_phases_it_uses(name: str, wired: tuple[int, ...]) -> None:
    assert car(name).wired == wired
    assert car(name).phases == len(wired)


def test_a_car_wired_on_l2_charges_on_l1_of_a_socket_with_one_phase() -> None:
    assert car("one phase on L2", evse_phases=1).wired == (0,)


def test_the_late_one_needs_nine_seconds_to_notice() -> None:
    subject = car("late")
    settled(subject, 16.0)
    after = run(subject, 6.0, 12)
    assert after[:8] == [16.0] * 8
    assert after[11] < 16.0


def test_the_slow_one_takes_half_a_minute_from_16_to_6_ampere() -> None:
    subject = car("ramps slowly")
    settled(subject, 16.0)
    after = run(subject, 6.0, 40)
    assert sum(amps > 6.01 for amps in after) in range(24, 32)


def test_the_sleeper_wakes_by_a_nudge_only() -> None:
    subject = car("sleeper")
    settled(subject, 16.0)
    run(subject, 0.0, 320)
    assert settled(subject, 16.0) == 0.0
    subject.wake()
    assert settled(subject, 16.0) == 16.0


def test_a_short_pause_puts_nobody_to_sleep() -> None:
    subject = car("sleeper")
    settled(subject, 16.0)
    run(subject, 0.0, 200)
    assert settled(subject, 16.0) == 16.0


def test_who_resumes_late_takes_a_minute() -> None:
    subject = car("resumes late")
    run(subject, 0.0, 20)
    after = run(subject, 16.0, 90)
    assert after[59] == 0.0
    assert after[80] == 16.0


def test_who_tapers_early_draws_less_from_half_full_on() -> None:
    early, usual = car("tapers early", soc=0.75), car("obedient", soc=0.75)
    assert settled(early, 16.0) == pytest.approx(16.0 * 0.25 / 0.5, rel=0.05)
    assert settled(usual, 16.0) == 16.0


def test_a_full_car_stops_and_energy_is_counted() -> None:
    subject = car("obedient", need_wh=300.0)
    run(subject, 16.0, 200)
    assert subject.full
    assert subject.current_a == 0.0
    assert subject.charged_wh == pytest.approx(300.0, abs=5.0)


def test_resting_between_changes_changes_nothing() -> None:
    """The short cut for a steady car gives the same energy as a car that is computed each second."""
    quick, slow = car("obedient"), car("obedient")
    for _ in range(600):
        quick.step(10.0, 1.0, 1.0)
        slow._steady = False
        slow.step(10.0, 1.0, 1.0)
    assert quick.charged_wh == pytest.approx(slow.charged_wh)
    assert quick.current_a == slow.current_a == 10.0
