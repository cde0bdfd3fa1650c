"""The chain of limits at one moment, and profiles in other circumstances."""

from dataclasses import replace

import pytest

from controller.facts import LimitStep
from controller.ocpp.schedule import (
    DAY_S,
    Kind,
    Mode,
    Period,
    PerPhase,
    Profile,
    Purpose,
    Recurrency,
    Schedule,
    composite,
    explain_at,
    invalid_for_good,
    leading_at,
    on_phases,
    without_calendar,
)

NOW = 1_790_000_000.0
V = 230.0


def profile(number: int, purpose: Purpose, *periods: Period, unit: str = "A", stack: int = 0, min_rate: float | None = None) -> Profile:
    return Profile(number, stack, purpose, Kind.RELATIVE, (Schedule(1, unit, periods, min_rate=min_rate),))


MAX = profile(1, Purpose.STATION_MAX, Period(0, 20))
DEFAULT = profile(2, Purpose.TX_DEFAULT, Period(0, 6))
TX = profile(3, Purpose.TX, Period(0, 32), min_rate=8)
PRIORITY = profile(4, Purpose.PRIORITY, Period(0, 25))
SUN = profile(5, Purpose.LOCAL_GENERATION, Period(0, 3))
ALL = (MAX, DEFAULT, TX, PRIORITY, SUN)


def chain(*profiles: Profile, priority_active: bool = False) -> list[tuple[Purpose, float | None, bool, bool]]:
    layers = explain_at(profiles, NOW, NOW, V, priority_active=priority_active)
    return [(layer.purpose, layer.said.limit_a, layer.counts, layer.binding) for layer in layers]


def test_the_chain_lists_each_purpose_and_names_the_one_that_binds() -> None:
    assert chain(*ALL) == [
        (Purpose.STATION_MAX, 20, True, True),
        (Purpose.TX_DEFAULT, 6, False, False),
        (Purpose.TX, 32, True, False),
        (Purpose.PRIORITY, 25, False, False),
        (Purpose.LOCAL_GENERATION, 3, True, False),
    ]
    assert chain(*ALL, priority_active=True)[2:4] == [(Purpose.TX, 32, False, False), (Purpose.PRIORITY, 25, True, False)]
    assert chain(DEFAULT, PRIORITY) == [(Purpose.TX_DEFAULT, 6, True, True), (Purpose.PRIORITY, 25, False, False)]
    assert chain() == []


def test_the_chain_knows_the_leader_of_a_purpose_and_its_hint() -> None:  # K01.FR.21
    in_watts = replace(profile(9, Purpose.TX, Period(0, 6900), unit="W", stack=1, min_rate=2760))
    (layer,) = explain_at([TX, in_watts], NOW, NOW, V)
    assert (layer.profile, layer.said.limit_a, layer.min_rate_a) == (in_watts, 10, 4)
    assert explain_at([TX], NOW, NOW, V)[0].min_rate_a == 8


def test_a_mode_without_a_limit_leads_when_nothing_limits() -> None:
    outside = profile(7, Purpose.TX, Period(0, None, mode=Mode.EXTERNAL_LIMITS))
    assert leading_at([outside, DEFAULT], NOW, NOW, V) == outside
    assert leading_at([outside, MAX], NOW, NOW, V) == MAX
    assert leading_at([], NOW, NOW, V) is None


def test_profiles_that_can_be_forgotten() -> None:  # K01.FR.103
    ended = replace(TX, valid_to_wall_s=NOW)
    assert invalid_for_good(ended, NOW, None)
    assert not invalid_for_good(ended, NOW - 1, None)
    lost = replace(TX, max_offline_s=600.0, ends_offline=True)
    assert invalid_for_good(lost, NOW, NOW - 600)
    assert not invalid_for_good(lost, NOW, NOW - 599)
    assert not invalid_for_good(lost, NOW, None)
    assert not invalid_for_good(replace(lost, ends_offline=False), NOW, NOW - 9000)  # comes back when the CSMS does: K01.FR.102


def test_without_a_date_the_lowest_limit_holds_always() -> None:  # F78
    daily = replace(
        profile(1, Purpose.TX_DEFAULT, Period(0, 9000), Period(60, 6900, 1), Period(90, 5000), unit="W"),
        kind=Kind.RECURRING,
        recurrency=Recurrency.DAILY,
    )
    found = without_calendar(daily, V)
    assert composite([found], 0, DAY_S, None, V) == (LimitStep(0, 5000 / 3 / V),)
    assert without_calendar(TX, V) is TX
    assert without_calendar(replace(TX, kind=Kind.DYNAMIC), V).kind is Kind.DYNAMIC
    local = replace(TX, kind=Kind.ABSOLUTE, schedules=(replace(TX.schedules[0], start_local_s=NOW, duration_s=60),))
    assert composite([without_calendar(local, V)], 0, DAY_S, None, V) == (LimitStep(0, 32),)


@pytest.mark.parametrize(
    ("periods", "limit_a"),
    [
        ((Period(0, 16), Period(60, None, mode=Mode.CENTRAL_SETPOINT, setpoint=PerPhase(15))), 5),  # a sum of 15 A
        ((Period(0, 16), Period(60, None, mode=Mode.CENTRAL_SETPOINT, setpoint=PerPhase(-15))), 0),
        ((Period(0, 16), Period(60, None, mode=Mode.IDLE)), 0),
        ((Period(0, 16), Period(60, None, mode=Mode.EXTERNAL_LIMITS)), 16),
        ((Period(60, None, mode=Mode.EXTERNAL_LIMITS, discharge=PerPhase(-9)),), None),
    ],
)
def test_without_a_date_nothing_is_discharged(periods: tuple[Period, ...], limit_a: float | None) -> None:
    dated = replace(profile(1, Purpose.TX, *periods), valid_to_wall_s=NOW)
    (step,) = composite([without_calendar(dated, V)], 0, DAY_S, None, V)
    assert (step.limit_a, step.discharge_a, step.setpoint_a) == (limit_a, None, None)


def test_watts_flow_over_the_phases_there_are() -> None:  # trap 12
    watts = profile(1, Purpose.TX, Period(0, 6900), unit="W")
    assert composite([on_phases(watts, 1)], NOW, NOW + 60, NOW, V)[0].limit_a == 30
    assert on_phases(watts, 3) is watts


def test_a_clock_that_stepped_back_does_not_take_a_dynamic_limit_away() -> None:  # F77
    dynamic = replace(TX, kind=Kind.DYNAMIC, updated_wall_s=NOW + 3600, schedules=(replace(TX.schedules[0], duration_s=300),))
    assert [step.limit_a for step in composite([dynamic], NOW, NOW + 600, NOW, V)] == [32, None]


def test_the_delays_of_a_schedule_spread_over_transactions() -> None:  # K01.FR.93
    late = replace(DEFAULT, schedules=(Schedule(1, "A", (Period(0, 6), Period(60, 32)), randomized_delay_s=600),))
    starts = [composite([late], NOW, NOW + 900, NOW, V, delay_seed=f"CP1/t-{number}")[1].start_wall_s - NOW - 60 for number in range(200)]
    assert min(starts) >= 0
    assert max(starts) <= 600
    assert len(set(starts)) > 100
    assert 240 < sum(starts) / len(starts) < 360


def test_a_delayed_period_that_comes_too_late_is_left_out() -> None:  # K01.FR.97, with the periods of the erratum's example
    periods = tuple(Period(start, start / 300) for start in (0, 300, 600, 900))
    crowded = replace(DEFAULT, schedules=(Schedule(1, "A", periods, 1500, randomized_delay_s=900),))
    seen = set()
    for number in range(60):
        steps = composite([crowded], NOW, NOW + 3000, NOW, V, delay_seed=f"CP1/t-{number}")
        starts = [step.start_wall_s - NOW for step in steps]
        assert starts == sorted(set(starts))
        assert (starts[0], starts[-1], steps[-1].limit_a) == (0, 1500, None)
        limits = [step.limit_a for step in steps[:-1] if step.limit_a is not None]
        assert limits == sorted(limits)
        seen.add(tuple(limits))
    assert {(0, 1, 2, 3), (0, 2, 3), (0, 3)} <= seen


def test_idle_is_nothing_in_and_nothing_out_also_in_the_sun() -> None:  # Q10, K27
    idle = profile(7, Purpose.TX, Period(0, None, mode=Mode.IDLE))
    assert composite([idle, MAX, SUN], NOW, NOW + 60, NOW, V) == (LimitStep(NOW, 0, 0, mode="Idle"),)


def test_the_mode_is_that_of_the_transaction() -> None:  # SC.01: an external constraint only bounds it
    outside = profile(7, Purpose.EXTERNAL, Period(0, 10, mode=Mode.EXTERNAL_SETPOINT, setpoint=PerPhase(3), discharge=PerPhase(-6)))
    central = profile(8, Purpose.TX, Period(0, None, mode=Mode.CENTRAL_SETPOINT, setpoint=PerPhase(-30)))
    assert composite([outside, central], NOW, NOW + 60, NOW, V) == (LimitStep(NOW, 10, -2, -2, mode="CentralSetpoint"),)
    assert composite([outside, TX], NOW, NOW + 60, NOW, V) == (LimitStep(NOW, 10, -2, 1, mode="ExternalSetpoint"),)


def test_a_limit_in_watts_stays_a_sum_where_it_is_asked_for_and_nobody_limits_a_phase() -> None:
    """9.2 kW on three phases are 13.33 A each; said for one phase, or beside a limit in amps, it is one of each phase."""
    watts = profile(1, Purpose.STATION_MAX, Period(0, 9200), unit="W")
    one = profile(1, Purpose.STATION_MAX, Period(0, 3680, 1), unit="W")
    amps = profile(2, Purpose.EXTERNAL, Period(0, 32))
    for profiles, totals, found in (((watts,), True, True), ((watts,), False, False), ((one,), True, False), ((watts, amps), True, False)):
        (step,) = composite(profiles, NOW, NOW + DAY_S, None, V, totals=totals)
        assert step.limit_a == pytest.approx(16.0 if profiles[0] is one else 40.0 / 3.0)
        assert step.total is found
