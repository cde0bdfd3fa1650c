"""Jumps and standing still, judged by one meter's own words (F41, B42)."""

from __future__ import annotations

from meters.reading import Quality, Reading
from meters.steadiness import Steadiness


def reading(*amps: float, power_w: float | None = None, quality: Quality = Quality.GOOD) -> Reading:
    first, second, third = amps
    return Reading("m", quality, current_a=(first, second, third), power_w=power_w)


def qualities(watch: Steadiness, values: list[float], step_s: float = 1.0) -> list[str]:
    return [watch.look(reading(amps, 1.0, 1.0), number * step_s).quality.value for number, amps in enumerate(values)]


def test_a_spike_is_not_believed_and_the_readings_after_it_are() -> None:
    assert qualities(Steadiness(20.0, None), [10, 12, 150, 13, 12]) == ["good", "good", "bad", "good", "good"]


def test_a_jump_that_stays_is_believed_at_the_third_reading() -> None:
    assert qualities(Steadiness(20.0, None), [10, 60, 62, 61, 60]) == ["good", "bad", "bad", "good", "good"]


def test_a_drop_waits_too_as_it_would_free_room() -> None:
    assert qualities(Steadiness(20.0, None), [60, 5, 6, 5]) == ["good", "bad", "bad", "good"]


def test_noise_of_wild_values_is_never_confirmed() -> None:
    assert qualities(Steadiness(20.0, None), [10, 100, 300, 100, 300, 100]) == ["good"] + ["bad"] * 5


def test_after_a_silence_nothing_is_compared() -> None:
    watch = Steadiness(20.0, None)
    watch.look(reading(1, 1, 1), 0.0)
    assert watch.look(reading(60, 60, 60), 16.0).quality is Quality.GOOD


def test_the_jump_is_told_with_phase_and_numbers() -> None:
    watch = Steadiness(20.0, None)
    watch.look(reading(1, 2, 3), 0.0)
    assert watch.look(reading(1, 50, 3), 1.0).reason.startswith("L2 jumped from 2 to 50 A, more than 20 A at once")


def test_currents_are_worked_out_from_powers_where_there_are_none() -> None:
    watch = Steadiness(20.0, None, 230.0)
    watch.look(Reading("m", Quality.GOOD, phase_power_w=(0.0, 0.0, 0.0)), 0.0)
    assert watch.look(Reading("m", Quality.GOOD, phase_power_w=(4830.0, 0.0, 0.0)), 1.0).quality is Quality.BAD


def test_f41_values_that_never_change_are_not_believed_after_a_while_and_again_when_a_digit_moves() -> None:
    watch = Steadiness(None, 60.0)
    assert [watch.look(reading(5, 5, 5), 10.0 * n).quality.value for n in range(8)] == ["good"] * 6 + ["bad"] * 2
    assert watch.look(reading(5, 5, 5, power_w=1.0), 80.0).quality is Quality.GOOD


def test_a_bad_reading_passes_with_its_own_reason_and_is_not_remembered() -> None:
    watch = Steadiness(20.0, None)
    watch.look(reading(1, 1, 1), 0.0)
    assert watch.look(reading(500, 1, 1, quality=Quality.BAD), 1.0).reason == ""
    assert watch.look(reading(2, 1, 1), 2.0).quality is Quality.GOOD
