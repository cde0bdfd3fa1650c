"""What profiles add up to: stories. The tables: tests/conformance/test_combinations*; the laws: tests/properties/test_profile_laws.py."""

from dataclasses import replace

import pytest

from controller.facts import LimitStep
from controller.ocpp.schedule import (
    DAY_S,
    MAX_WINDOW_S,
    WEEK_S,
    Kind,
    Period,
    Profile,
    Purpose,
    Recurrency,
    Schedule,
    composite,
    leading_at,
    limit_a_at,
)

NOW = 1_790_000_000.0
V = 230.0


def profile(
    *periods: tuple[float, float],
    profile_id: int = 1,
    stack: int = 0,
    purpose: Purpose = Purpose.TX_DEFAULT,
    kind: Kind = Kind.RELATIVE,
    start_wall_s: float | None = None,
    duration_s: float | None = None,
    unit: str = "A",
    recurrency: Recurrency | None = None,
) -> Profile:
    schedule = Schedule(1, unit, tuple(Period(start_s, limit) for start_s, limit in periods), duration_s, start_wall_s)
    return Profile(profile_id, stack, purpose, kind, (schedule,), recurrency=recurrency)


def absolute(*periods: tuple[float, float], start_wall_s: float = NOW, duration_s: float | None = None) -> Profile:
    return profile(*periods, kind=Kind.ABSOLUTE, start_wall_s=start_wall_s, duration_s=duration_s)


def steps(*profiles: Profile, session_start_wall_s: float | None = NOW, horizon_s: float = DAY_S) -> list[tuple[float, float | None]]:
    result = composite(profiles, NOW, NOW + horizon_s, session_start_wall_s, V)
    return [(step.start_wall_s - NOW, step.limit_a) for step in result]


def test_nothing_set_means_no_limit() -> None:
    assert composite([], NOW, NOW + DAY_S, None, V) == (LimitStep(NOW, None),)
    assert leading_at([], NOW, None, V) is None


def test_periods_follow_each_other_and_the_last_one_holds() -> None:
    assert steps(absolute((0, 16), (600, 8), (1200, 32))) == [(0, 16), (600, 8), (1200, 32)]


def test_duration_cuts_even_a_period() -> None:  # K01.FR.11/12
    assert steps(absolute((0, 16), (600, 8), duration_s=900)) == [(0, 16), (600, 8), (900, None)]
    assert steps(absolute((0, 16), (600, 8), duration_s=300)) == [(0, 16), (300, None)]


def test_a_schedule_that_began_earlier_is_entered_in_the_middle_and_a_later_one_waits() -> None:
    assert steps(absolute((0, 16), (600, 8), start_wall_s=NOW - 100)) == [(0, 16), (500, 8)]
    assert steps(absolute((0, 16), start_wall_s=NOW + 50)) == [(0, None), (50, 16)]


def test_valid_from_is_inside_valid_to_is_outside() -> None:  # K01.FR.36/37
    bounded = replace(profile((0, 10)), valid_from_wall_s=NOW + 10, valid_to_wall_s=NOW + 20)
    assert steps(bounded) == [(0, None), (10, 10), (20, None)]
    assert limit_a_at(bounded, NOW + 9.999, NOW, V) is None
    assert limit_a_at(bounded, NOW + 10, NOW, V) == 10
    assert limit_a_at(bounded, NOW + 20, NOW, V) is None


def test_relative_counts_from_the_session_also_when_set_later() -> None:  # K01.FR.42
    assert steps(profile((0, 10), (600, 6)), session_start_wall_s=NOW - 200) == [(0, 10), (400, 6)]


def test_relative_without_a_session_counts_from_now() -> None:
    assert steps(profile((0, 10), (600, 6)), session_start_wall_s=None) == [(0, 10), (600, 6)]


def test_daily_starts_again_each_day_with_a_gap_after_its_duration() -> None:
    hour = 3600.0
    daily = profile((0, 10), kind=Kind.RECURRING, start_wall_s=NOW - 10 * DAY_S + hour, duration_s=hour, recurrency=Recurrency.DAILY)
    expected = [(0, None), (hour, 10), (2 * hour, None), (DAY_S + hour, 10), (DAY_S + 2 * hour, None)]
    assert steps(daily, horizon_s=2 * DAY_S) == expected


def test_weekly_starts_again_each_week_and_not_before_its_first() -> None:
    weekly = profile((0, 10), (60, 20), kind=Kind.RECURRING, start_wall_s=NOW + 100, recurrency=Recurrency.WEEKLY)
    assert limit_a_at(weekly, NOW + 99, NOW, V) is None
    assert limit_a_at(weekly, NOW + 100, NOW, V) == 10
    assert limit_a_at(weekly, NOW + 100 + WEEK_S - 1, NOW, V) == 20
    assert limit_a_at(weekly, NOW + 100 + WEEK_S, NOW, V) == 10


@pytest.mark.parametrize(("phases", "amps"), [(3, 16.0), (2, 24.0), (1, 48.0)])
def test_watts_become_amps_by_nominal_voltage_and_phases(phases: int, amps: float) -> None:  # K01.FR.49-51
    schedule = Schedule(1, "W", (Period(0, 16 * 3 * 230.0, phases),))
    assert limit_a_at(replace(profile((0, 1)), schedules=(schedule,)), NOW, NOW, V) == pytest.approx(amps)


def test_amps_are_per_phase_whatever_the_phases() -> None:
    schedule = Schedule(1, "A", (Period(0, 32, 1),))
    assert limit_a_at(replace(profile((0, 1)), schedules=(schedule,)), NOW, NOW, V) == 32


def test_the_highest_stack_wins_outright_even_if_it_allows_more() -> None:
    low, high = profile((0, 6)), profile((0, 32), profile_id=2, stack=3)
    assert steps(low, high) == [(0, 32)]
    assert leading_at([low, high], NOW, NOW, V) == high


def test_when_the_top_runs_out_the_next_level_takes_over() -> None:  # K02.FR.08
    assert steps(profile((0, 6)), profile((0, 32), profile_id=2, stack=1, duration_s=120)) == [(0, 32), (120, 6)]


def test_a_tx_profile_stands_in_for_the_default_and_gives_back_to_it() -> None:
    tx = profile((0, 20), profile_id=2, purpose=Purpose.TX, duration_s=300)
    assert steps(profile((0, 6), stack=9), tx) == [(0, 20), (300, 6)]


def test_across_purposes_the_lowest_counts() -> None:  # SC.01, K08.FR.04
    maximum = profile((0, 12), (100, 25), profile_id=3, purpose=Purpose.STATION_MAX, kind=Kind.ABSOLUTE, start_wall_s=NOW)
    external = profile((0, 14), profile_id=4, purpose=Purpose.EXTERNAL)
    tx = profile((0, 20), profile_id=2, purpose=Purpose.TX)
    assert steps(maximum, tx) == [(0, 12), (100, 20)]
    assert steps(maximum, tx, external) == [(0, 12), (100, 14)]
    assert leading_at([maximum, tx, external], NOW + 100, NOW, V) == external


def test_several_schedules_count_with_their_lowest() -> None:
    first, second = profile((0, 10)).schedules[0], profile((0, 20), (60, 5)).schedules[0]
    assert steps(replace(profile((0, 1)), schedules=(first, second))) == [(0, 10), (60, 5)]


def test_a_composite_never_looks_further_than_a_week() -> None:
    daily = profile((0, 10), (60, 20), kind=Kind.RECURRING, start_wall_s=NOW, recurrency=Recurrency.DAILY)
    result = composite([daily], NOW, NOW + 1e12, NOW, V)
    assert result[-1].start_wall_s < NOW + MAX_WINDOW_S
    assert len(result) == 14
