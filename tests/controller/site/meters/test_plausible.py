"""The small watches of a meter: frozen, short, counting anew, failing more often, slow."""

from __future__ import annotations

import pytest

from controller.config import ControlConfig
from controller.site.meters.freshness import Cars, Health, MeterWatch
from controller.site.meters.plausible import ERRORS_HIGH, GAPS, LOW_COUNT, POLLS, Counter, Frozen, Polls, Restarted, Rhythm, Said, Short, digits
from meters.reading import Quality, Reading


def three(amps: float) -> tuple[float, float, float]:
    return amps, amps, amps


def said(*words: tuple[str, float, float]) -> list[Said]:
    """Last words: (EVSE, when, amps on each phase)."""
    return [(key, mono_s, three(amps)) for key, mono_s, amps in words]


@pytest.mark.parametrize(("moved_a", "expected"), [(0.0, False), (2.0, False), (2.1, True)])
def test_frozen_needs_its_time_and_cars_that_moved(moved_a: float, expected: bool) -> None:
    frozen = Frozen(30.0, 2.0)
    found = [frozen.look("same", said(("a", now, 6.0 if now < 10 else 6.0 + moved_a)), float(now)) for now in range(40)]
    assert found[:30] == [False] * 30
    assert found[39] is expected


def test_f41_a_word_that_comes_after_the_meter_has_settled_is_no_change() -> None:
    """The car stops at 0, the meter shows 0.00 from then on, and its station, which speaks each minute, says so at 45."""
    frozen = Frozen(30.0, 2.0)
    frozen.look("16.00", said(("a", -15.0, 16.0)), -1.0)
    for now in range(300):
        words = said(("a", -15.0, 16.0)) if now < 45 else said(("a", 45.0 + 60 * ((now - 45) // 60), 0.0))
        assert not frozen.look("0.00", words, float(now))


def test_f41_two_words_of_a_slow_station_prove_it_if_the_meter_stood_still_between() -> None:
    frozen = Frozen(30.0, 2.0)
    found = [frozen.look("20.00", said(("a", 60.0 * (now // 60), 16.0 if now < 120 else 6.0)), float(now)) for now in range(140)]
    assert found.index(True) in range(120, 130)


def test_f41_a_car_whose_current_another_takes_over_does_not_move_the_meter() -> None:
    """Whole amperes: one stops at 60, the other rises; its station tells so at 100, or never: then the first was right."""
    for tells, expected in ((True, False), (False, True)):
        frozen, found = Frozen(30.0, 2.0), False
        for now in range(200):
            other = ("b", 100.0, 16.0) if tells and now >= 100 else ("b", 40.0, 6.0)
            found = found or frozen.look("22", said(("a", now, 16.0 if now < 60 else 6.0), other if now >= 40 else ("b", 5.0, 6.0)), float(now))
        assert found is expected


def test_f41_after_we_stood_still_the_windows_begin_anew() -> None:
    """What the stations told meanwhile comes in a burst, old words first."""
    frozen = Frozen(30.0, 2.0)
    for now in range(10):
        frozen.look("0.00", said(("a", now, 0.0)), float(now))
    for now in range(50, 200):
        assert not frozen.look("0.00", said(("a", now, 16.0 if now < 60 else 0.0)), float(now))


def test_f41_the_verdict_stands_while_cars_fall_back_and_one_digit_ends_it() -> None:
    frozen = Frozen(30.0, 2.0)
    for now in range(60):
        stuck = frozen.look("same", said(("a", now, 16.0 if 10 < now < 40 else 6.0)), float(now))
    assert stuck, "cars that are back at their fallback do not make the meter right"
    assert not frozen.look("other", said(("a", 60, 6.0)), 60.0)


def test_f41_an_empty_circuit_gets_a_chance_to_prove_its_meter_right_and_ever_more_seldom() -> None:
    frozen = Frozen(30.0, 2.0)
    begun: list[int] = []
    for now in range(4000):
        before = frozen.probing
        frozen.look("0.00", said(("a", now, 16.0 if 10 < now < 40 else 0.0)), float(now))
        if frozen.probing and not before:
            begun.append(now)
    assert len(begun) == 3
    assert 2.5 < (begun[2] - begun[1]) / (begun[1] - begun[0]) * 1.5 < 3.0, "each time it waits twice as long"
    drawing = Frozen(30.0, 2.0)
    for now in range(1000):
        drawing.look("20.00", said(("a", now, 16.0 if now < 40 else 6.0)), float(now))
        assert not drawing.probing, "with a car that draws a living meter moves by itself"


def test_f45_a_car_that_stops_right_after_its_station_spoke_is_no_lack() -> None:
    """Each minute it says 16 A and pauses two seconds later."""
    short = Short()
    for now in range(1200):
        drawing, fresh = now % 60 < 2, now % 60 < 5
        assert not short.look(three(16.0 if drawing else 0.0), three(16.0 if fresh else 0.0), float(now))


def test_f45_after_we_stood_still_old_words_do_not_count() -> None:
    short = Short()
    for now in range(10):
        short.look(three(16.0), three(16.0), float(now))
    for now in range(50, 90):
        assert not short.look(three(0.0), three(16.0 if now < 65 else 0.0), float(now))


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
    assert scale.look(three(3.0), three(30.0), 8.0)
    assert not scale.uneven
    assert mixture.uneven
    for now in range(10, 20 + LOW_COUNT):
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


def test_cars_that_give_back_as_they_tell_are_no_wrong_scale() -> None:
    """164 A flow out: a tenth of it is no ampere more that the meter should show."""
    short = Short()
    assert not any(short.look((-164.0, -164.0, -164.0), (-174.0, -174.0, -174.0), float(second)) for second in range(60))
