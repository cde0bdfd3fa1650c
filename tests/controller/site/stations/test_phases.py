"""Phases a car loads: learned late, unlearned at once, never fewer than seen."""

from __future__ import annotations

import pytest

from controller.site.stations.phases import LEARN_AFTER_S, LEARN_FEWER_AFTER_S, UNSEEN, PhaseUse, complete, loaded, observed

WIRED = (0, 1, 2)
ROTATED = (1, 2, 0)


def seen(*steps: tuple[float, tuple[float | None, ...]], wired: tuple[int, ...] = WIRED, told_all: bool = True, use: PhaseUse = UNSEEN) -> PhaseUse:
    """What is known after (when, current by site phase) one after the other."""
    for now, amps in steps:
        use = observed(use, wired, amps, told_all, now)
    return use


def phases(use: PhaseUse, told: int | None = None, wired: tuple[int, ...] = WIRED, switched: int | None = None, switching: bool = False) -> object:
    return loaded(wired, use, told, switched, switching)


@pytest.mark.parametrize(
    ("amps", "expected"),
    [
        ((16.0, 0.0, 0.0), (0,)),
        ((0.0, 16.0, 0.2), (1,)),
        ((16.0, 16.0, 0.0), (0, 1)),
        ((0.0, 16.0, 16.0), (1, 2)),
        ((16.0, 16.0, 16.0), (0, 1, 2)),
        ((-16.0, 0.0, 0.0), (0,)),
    ],
)
def test_a_pattern_is_believed_after_a_while(amps: tuple[float, ...], expected: tuple[int, ...]) -> None:
    assert phases(seen((0.0, amps), (LEARN_AFTER_S - 0.1, amps))) == WIRED
    assert phases(seen((0.0, amps), (LEARN_AFTER_S, amps))) == expected


def test_a_32_a_profile_on_three_phases_for_a_one_phase_car_counts_as_one_phase_once_seen() -> None:
    """Trap 13: a 1.6 charger tells no number of phases."""
    assert phases(UNSEEN) == WIRED
    assert phases(seen((0.0, (32.0, 0.1, 0.0)), (60.0, (32.0, 0.0, 0.1)))) == (0,)


def test_a_car_that_takes_up_phases_late_counts_with_all_at_once() -> None:
    one = seen((0.0, (16.0, 0.0, 0.0)), (10.0, (16.0, 0.0, 0.0)))
    assert phases(one) == (0,)
    assert phases(seen((11.0, (16.0, 16.0, 16.0)), use=one)) == WIRED


def test_a_car_that_once_used_three_phases_is_not_soon_believed_to_use_one() -> None:
    three = seen((0.0, (16.0, 16.0, 16.0)), (10.0, (16.0, 16.0, 16.0)))
    less = seen((20.0, (10.0, 0.0, 0.0)), (20.0 + LEARN_FEWER_AFTER_S - 1, (10.0, 0.0, 0.0)), use=three)
    assert phases(less) == WIRED
    assert phases(seen((20.0 + LEARN_FEWER_AFTER_S, (10.0, 0.0, 0.0)), use=less)) == (0,)


def test_noise_and_pauses_teach_nothing() -> None:
    noisy = seen(*[(float(now), (16.0, 0.8, 0.0)) for now in range(0, 100, 10)])
    assert phases(noisy) == WIRED
    one = seen((0.0, (16.0, 0.0, 0.0)), (10.0, (16.0, 0.0, 0.0)))
    assert phases(seen((20.0, (0.0, 0.0, 0.0)), (30.0, (0.3, 0.2, 0.4)), use=one)) == (0,)


def test_a_changing_pattern_starts_its_time_again() -> None:
    flapping = seen(*[(4.0 * step, (16.0, 0.0, 0.0) if step % 2 else (0.0, 16.0, 0.0)) for step in range(10)])
    assert phases(flapping) == WIRED


def test_what_was_not_measured_is_no_proof() -> None:
    silent = seen((0.0, (16.0, 0.0, 0.0)), (100.0, (16.0, 0.0, 0.0)), told_all=False)
    assert phases(silent) == WIRED


@pytest.mark.parametrize(
    ("told_a", "wired", "power_w", "expected"),
    [
        ((16.0, 0.0, 0.0), 3, None, True),
        ((16.0, None, None), 3, None, False),
        ((16.0, None, None), 3, 3680.0, True),
        ((16.0, None, None), 3, 11_040.0, False),
        ((16.0, None, None), 1, None, True),
        ((None, None, None), 3, 3680.0, False),
        ((16.0, 16.0, None), 3, 7360.0, True),
    ],
)
def test_power_may_speak_for_the_phases_a_station_does_not_measure(
    told_a: tuple[float | None, ...], wired: int, power_w: float | None, expected: bool
) -> None:
    assert complete(told_a, wired, power_w, 230.0) is expected


def test_a_told_number_counts_from_the_first_phase_unless_currents_show_another() -> None:
    assert phases(UNSEEN, told=1) == (0,)
    assert phases(UNSEEN, told=1, wired=ROTATED) == (1,)
    assert phases(UNSEEN, told=2, wired=ROTATED) == (1, 2)
    assert phases(seen((0.0, (0.0, 16.0, 0.0))), told=1) == WIRED
    assert phases(seen((0.0, (0.0, 16.0, 0.0)), (9.0, (0.0, 16.0, 0.0))), told=1) == (1,)


def test_a_switched_charger_counts_with_its_phase_until_currents_show_another() -> None:
    assert phases(UNSEEN, switched=1, switching=True) == WIRED
    assert phases(UNSEEN, switched=1) == (1,)
    assert phases(seen((0.0, (0.0, 16.0, 0.0))), switched=1) == (1,)
    assert phases(seen((0.0, (16.0, 16.0, 16.0))), switched=1) == WIRED


def test_nothing_new_is_the_same_object() -> None:
    known = seen((0.0, (16.0, 16.0, 16.0)), (10.0, (16.0, 16.0, 16.0)))
    assert observed(known, WIRED, (15.0, 15.0, 15.5), True, 11.0) is known
