"""The small watches of a meter: frozen, short, counting anew, failing more often, slow."""

from __future__ import annotations

import pytest

from controller.config import ControlConfig
from controller.site.freshness import Cars, Health, MeterWatch
from controller.site.plausible import ERRORS_HIGH, GAPS, LOW_COUNT, POLLS, Counter, Frozen, Polls, Restarted, Rhythm, Short, digits
from meters.reading import Quality, Reading


def three(amps: float) -> tuple[float, float, float]:
    return amps, amps, amps


@pytest.mark.parametrize(("moved_a", "expected"), [(0.0, False), (2.0, False), (2.1, True)])
def test_frozen_needs_its_time_and_cars_that_moved(moved_a: float, expected: bool) -> None:
    frozen = Frozen(30.0, 2.0)
    found = [frozen.look("same", three(6.0 if now < 10 else 6.0 + moved_a), float(now)) for now in range(40)]
    assert found[:30] == [False] * 30
    assert found[39] is expected


def test_any_digit_that_moves_is_a_sign_of_life() -> None:
    still = Reading("grid", Quality.GOOD, three(20.0), power_w=13_800.0, frequency_hz=50.0, energy_import_wh=5.0)
    for living in (
        Reading("grid", Quality.GOOD, three(20.0), power_w=13_801.0, frequency_hz=50.0, energy_import_wh=5.0),
        Reading("grid", Quality.GOOD, three(20.0), power_w=13_800.0, frequency_hz=50.01, energy_import_wh=5.0),
        Reading("grid", Quality.GOOD, three(20.0), power_w=13_800.0, frequency_hz=50.0, energy_import_wh=6.0),
        Reading("grid", Quality.GOOD, three(20.0), (1.0, None, None), power_w=13_800.0, frequency_hz=50.0, energy_import_wh=5.0),
    ):
        assert digits(living, three(20.0)) != digits(still, three(20.0))


def test_a_sum_that_is_short_is_a_wrong_scale_a_single_phase_is_a_mixture() -> None:
    scale, mixture = Short(), Short()
    for now in range(LOW_COUNT):
        assert not scale.look(three(3.0), three(30.0), float(now)) or now == LOW_COUNT - 1
        assert not mixture.look((5.0, 55.0, 30.0), three(30.0), float(now))
    assert scale.look(three(3.0), three(30.0), 9.0)
    assert not scale.uneven
    assert mixture.uneven
    for now in range(10, 10 + LOW_COUNT):
        mixture.look(three(35.0), three(30.0), float(now))
    assert not mixture.uneven


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (5000.0, 5001.0, None),
        (5000.0, 4999.5, None),
        (5000.0, 0.0, Restarted("import", 5000.0, 0.0)),
        (None, 0.0, None),
        (5000.0, None, None),
    ],
)
def test_f48_only_a_counter_that_fell_has_begun_anew(before: float | None, after: float | None, expected: Restarted | None) -> None:
    counter = Counter()
    assert counter.look(Reading("grid", Quality.GOOD, energy_import_wh=before)) is None
    assert counter.look(Reading("grid", Quality.GOOD, energy_import_wh=after)) == expected


def test_f48_the_export_counter_counts_too_and_a_gap_is_bridged() -> None:
    counter = Counter()
    for reading in (Reading("g", Quality.GOOD, energy_export_wh=70.0), Reading("g", Quality.GOOD)):
        assert counter.look(reading) is None
    assert counter.look(Reading("g", Quality.GOOD, energy_export_wh=1.0)) == Restarted("export", 70.0, 1.0)


def test_f49_the_rate_needs_many_polls_and_has_a_hysteresis() -> None:
    polls = Polls()
    for _ in range(20):
        polls.add(True)
    assert not polls.bad, "too few to say"
    for number in range(2 * POLLS):
        polls.add(number % 5 == 0)
    assert polls.bad
    assert polls.part == pytest.approx(0.2)
    for number in range(2 * POLLS):
        polls.add(number % 10 == 0)
    assert polls.part < ERRORS_HIGH
    assert polls.bad, "still above the lower bound"
    for _ in range(POLLS):
        polls.add(False)
    assert not polls.bad


def test_f50_one_long_silence_is_no_rhythm_many_are() -> None:
    rhythm = Rhythm()
    for _ in range(GAPS - 1):
        rhythm.add(1.0)
    rhythm.add(8.0)
    assert rhythm.usual_s == 1.0
    for _ in range(GAPS):
        rhythm.add(5.0)
    assert rhythm.usual_s == 5.0


def test_f50_the_margin_of_a_slow_meter_is_steady_and_never_shrinks_with_age() -> None:
    watch = MeterWatch("grid", ControlConfig())
    for number in range(8):
        watch.read(Reading("grid", Quality.GOOD), three(number), Cars(), 5.0 * number)
    assert watch.slow
    parts = [watch.margin_part(35.0 + tenth / 10) for tenth in range(300)]
    assert parts == sorted(parts)
    assert parts[:50] == pytest.approx([0.1] * 50)
    assert parts[-1] == 1.0
    assert watch.look(39.0) is Health.LATE


def test_a_distrusted_meter_is_silence_and_an_unsorted_one_counts_with_its_worst_phase() -> None:
    watch = MeterWatch("grid", ControlConfig())
    for now in range(4):
        assert watch.read(Reading("grid", Quality.GOOD), (1.0 + now, 2.0, 3.0), Cars(), float(now))
    watch.mixed = "L3 shows nothing of the cars on it"
    watch.read(Reading("grid", Quality.GOOD), (1.0, 20.0, 3.0), Cars(), 5.0)
    assert watch.currents_a == three(20.0)
    watch.distrust = "L1 counts backwards"
    for now in range(6, 20):
        assert not watch.read(Reading("grid", Quality.GOOD), (1.0 + now, 2.0, 3.0), Cars(), float(now))
    assert watch.look(20.0) is Health.LOST
    assert "L1 counts backwards" in watch.trouble
