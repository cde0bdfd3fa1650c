"""The building: seeded, bounded, and with motors whose inrush is shorter than a second."""

from __future__ import annotations

import pytest

from controller.sim.physics.depot import BUILDING, GRID_OTHER_A
from controller.sim.physics.loads import Load, LoadSpec, MotorSpec, Storage, Sun, extra_a, pieces

MONDAY = 20_619 * 86_400.0
MOTOR = MotorSpec("saw", 10.0, phases=(0, 2), inrush=6.0, inrush_s=0.5, runs_s=60.0, pause_s=30.0)
STEADY = LoadSpec("grid", ((0.0, 20.0), (24.0, 20.0)), noise_a=0.0, motors=(MOTOR,), weekend_part=1.0)


def course(spec: LoadSpec, seed: str, seconds: int, start: float = MONDAY) -> list[tuple[float, ...]]:
    subject, found = Load(spec, seed, start), []
    for second in range(1, seconds + 1):
        subject.step(start + second, 1.0)
        found.append(tuple(subject.amps))
    return found


def test_the_same_seed_is_the_same_day_and_another_is_not() -> None:
    assert course(BUILDING, "1", 500) == course(BUILDING, "1", 500) != course(BUILDING, "2", 500)


def test_the_building_never_exceeds_what_the_installer_stated() -> None:
    amps = [one for row in course(BUILDING, "3", 20_000, MONDAY + 8 * 3600) for one in row]
    assert min(amps) > 0.0
    assert 90.0 < max(amps) <= GRID_OTHER_A


def test_a_weekend_is_quieter() -> None:
    spec = LoadSpec("grid", ((0.0, 40.0), (24.0, 40.0)), noise_a=0.0)
    assert course(spec, "1", 5)[-1] == (40.0, 40.0, 40.0)
    assert course(spec, "1", 5, MONDAY + 5 * 86_400.0)[-1] == pytest.approx((22.0, 22.0, 22.0))


def first_start(spec: LoadSpec) -> tuple[Load, float]:
    """A load and the end of the step in which its motor has just started."""
    subject, wall_s = Load(spec, "1", MONDAY), MONDAY
    while not subject.peaks:
        wall_s += 1.0
        subject.step(wall_s, 1.0)
    return subject, wall_s


def test_a_motor_draws_its_inrush_for_half_a_second_and_then_its_running_current() -> None:
    subject, wall_s = first_start(STEADY)
    begin, end, extra = subject.peaks[0]
    assert end - begin == pytest.approx(0.5)
    assert extra == [50.0, 0.0, 50.0]
    assert subject.amps == [30.0, 20.0, 30.0]
    assert extra_a([subject], begin + 0.1) == {"grid": [50.0, 0.0, 50.0]}
    assert extra_a([subject], end + 0.1) == {}
    inrush_s = 0.0
    for step in range(2):  # the inrush may reach into the next second
        inrush_s += sum(length for length, more in pieces(wall_s - 1.0 + step, wall_s + step, [subject]) if more)
    assert inrush_s == pytest.approx(0.5)


def test_pieces_fill_the_step_whatever_its_length() -> None:
    subject, wall_s = first_start(STEADY)
    for length in (0.2, 1.0, 3.0):
        assert sum(seconds for seconds, _ in pieces(wall_s - length, wall_s, [subject])) == pytest.approx(length)


def test_an_inrush_is_forgotten_when_it_is_over() -> None:
    subject, wall_s = first_start(STEADY)
    subject.step(wall_s + 1.0, 1.0)
    subject.step(wall_s + 2.0, 1.0)
    assert subject.peaks == []


def test_the_sun_shines_by_day_with_clouds() -> None:
    subject, seen = Sun(40_000.0, "1", MONDAY), []
    for minute in range(24 * 60):
        subject.step(MONDAY + 60.0 * minute, 60.0)
        seen.append(subject.power_w)
    assert max(seen[: 5 * 60]) == 0.0
    assert 30_000.0 < max(seen) <= 40_000.0
    assert min(seen[12 * 60 : 13 * 60]) < 0.9 * max(seen)


def test_the_battery_shaves_takes_surplus_and_never_leaves_its_bounds() -> None:
    subject = Storage(10_000.0, 5_000.0, 20_000.0)
    subject.step(23_000.0, 1.0)
    assert subject.power_w == -3_000.0
    subject.step(-2_000.0, 1.0)
    assert subject.power_w == 2_000.0
    for _ in range(20_000):
        subject.step(60_000.0, 1.0)
    assert subject.stored_wh == pytest.approx(1_000.0, abs=2.0)
    for _ in range(20_000):
        subject.step(-60_000.0, 1.0)
    assert subject.stored_wh <= 10_000.0
