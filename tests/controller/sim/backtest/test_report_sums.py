"""The report's arithmetic against sums made by hand."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest

from controller.sim.backtest.outcome import Backtest, PolicyOutcome, Quarter, SessionOutcome
from controller.sim.backtest.report_sums import (
    Band,
    bands,
    bought,
    days,
    difference,
    duration,
    flows,
    is_short,
    longest_over,
    near,
    shares,
    shorts,
    weeks,
    worst_days,
)
from tests.support.garage_month import BEGIN_WALL_S, STEP_H, month

BERLIN = ZoneInfo("Europe/Berlin")


def quarter(number: int, grid_w: float, buy: float = 0.2, **changes: object) -> Quarter:
    made = Quarter(BEGIN_WALL_S + 900.0 * number, grid_w, 0.0, grid_w, 0.0, 0.0, buy, 0.05)
    return replace(made, **changes)  # type: ignore[arg-type]


def outcome(*curve: Quarter, sessions: tuple[SessionOutcome, ...] = (), energy: float = 0.0, demand: float = 0.0, wear: float = 0.0) -> PolicyOutcome:
    return PolicyOutcome("ours", energy, demand, wear, 0.0, max((one.grid_w for one in curve), default=0.0), sessions, curve)


def stay(number: str = "a", wanted: float = 10_000.0, delivered: float = 10_000.0, **changes: object) -> SessionOutcome:
    return replace(SessionOutcome(number, "P/1", BEGIN_WALL_S, BEGIN_WALL_S + 7200.0, wanted, delivered), **changes)  # type: ignore[arg-type]


def test_a_tariff_with_few_prices_has_its_own_bands() -> None:
    curve = [quarter(0, 1.0, 0.4), quarter(1, 1.0, 0.1), quarter(2, 1.0, 0.4)]
    assert bands(curve) == [Band(0.1, 0.1), Band(0.4, 0.4)]


def test_an_hourly_price_is_cut_in_quarters_of_the_time_and_below_zero() -> None:
    curve = [quarter(number, 1.0, (number - 10) / 100.0) for number in range(50)]
    found = bands(curve)
    assert found[0] == Band(-0.1, -0.01)
    assert [band.low for band in found[1:]] == [0.0, 0.1, 0.2, 0.3]
    assert found[-1].high == 0.39
    assert all(one.high < after.low for one, after in pairwise(found))


def test_flat_and_missing_prices_have_one_band_or_none() -> None:
    assert bands([]) == []
    assert bands([quarter(0, 1.0), quarter(1, 1.0)]) == [Band(0.2, 0.2)]
    assert bought([], []) == []


def test_energy_and_money_by_band() -> None:
    curve = [quarter(0, 4000.0, 0.1, ev_w=3000.0), quarter(1, 8000.0, 0.4), quarter(2, -2000.0, 0.4, ev_w=500.0)]
    cheap, dear = bought(curve, bands(curve))
    assert (cheap.bought_wh, cheap.paid, cheap.ev_wh) == pytest.approx((1000.0, 0.1, 750.0))
    assert (dear.bought_wh, dear.paid, dear.ev_wh) == pytest.approx((2000.0, 0.8, 125.0))


def test_flows_keep_what_is_bought_sold_and_used_apart() -> None:
    one = flows([quarter(0, 4000.0, pv_w=1000.0), quarter(1, -2000.0, pv_w=5000.0)])
    assert (one.bought_wh, one.paid, one.sold_wh, one.earned) == pytest.approx((1000.0, 0.2, 500.0, 0.025))
    assert (one.pv_wh, one.pv_used_wh) == pytest.approx((1500.0, 1000.0))
    assert one.mean_price == pytest.approx(0.2)
    assert flows([]).mean_price == 0.0


@pytest.mark.parametrize("billed", [0.5, 0.5 + 0.3])
def test_the_steps_between_two_bills_sum_to_their_difference(billed: float) -> None:
    before = outcome(quarter(0, 4000.0, 0.4), quarter(1, 0.0, 0.1), energy=0.4, demand=5.0)
    after = outcome(quarter(0, 0.0, 0.4), quarter(1, 5000.0, 0.1), energy=billed, demand=6.0, wear=0.1)
    steps = {step.name: step.money for step in difference(before, after)}
    assert sum(steps.values()) == pytest.approx(after.cost - before.cost)
    assert steps["Bought more or less"] == pytest.approx(0.25 * 0.4)
    assert steps["Bought in other hours"] == pytest.approx(0.125 - 0.4 - 0.1)
    assert steps["Demand charge"] == 1.0


def test_days_are_calendar_days_with_the_lost_hour_of_march() -> None:
    found = days(month().policies[0].curve, BERLIN)
    assert len(found) == 31
    assert len(found[date(2019, 3, 31)].quarters) == 92
    assert sum(len(day.quarters) for day in found.values()) == 31 * 96 - 4


def test_sums_of_days_and_weeks_are_those_of_the_curve() -> None:
    curve = month().policies[0].curve
    by_day = days(curve, BERLIN)
    by_week = weeks(by_day)
    assert sorted(by_week)[0] == date(2019, 2, 25)  # the Monday before 1 March
    for found in (by_day, by_week):
        assert sum(day.ev_wh for day in found.values()) == pytest.approx(sum(one.ev_w for one in curve) * STEP_H)
        assert max(day.peak_w for day in found.values()) == pytest.approx(max(one.grid_w for one in curve))
    whole = sum(day.energy_cost for day in by_day.values())
    assert whole == pytest.approx(month().policies[0].energy_cost)


def test_the_worst_days_are_the_highest_first() -> None:
    found = days([quarter(0, 5.0), quarter(96, 9.0), quarter(192, 7.0), quarter(288, 1.0)], BERLIN)
    assert worst_days(found) == [date(2019, 3, 2), date(2019, 3, 3), date(2019, 3, 1)]


# -- service ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("delivered", "short"), [(10_000.0, False), (9_905.0, False), (9_899.0, True), (12_000.0, False), (0.0, True)])
def test_crumbs_are_not_short(delivered: float, short: bool) -> None:
    assert is_short(stay(delivered=delivered)) is short


def test_a_car_that_wanted_nothing_is_never_short() -> None:
    nothing = stay(wanted=0.0, delivered=0.0)
    assert not is_short(nothing)
    assert shares(outcome(sessions=(nothing,))) == [1, 0, 0, 0, 0]


def test_shares_count_every_car_once() -> None:
    stays = tuple(stay(str(got), delivered=got * 100.0) for got in (100, 97, 90, 60, 10, 0))
    assert shares(outcome(sessions=stays)) == [1, 1, 1, 1, 2]


FULL = {"hall": 0.99, "other": 0.99}


@pytest.mark.parametrize(
    ("changes", "free_got", "loads", "reason"),
    [
        ({}, 4000.0, {}, "stay"),
        ({"stated_departure_wall_s": BEGIN_WALL_S + 10_800.0}, 10_000.0, FULL, "left"),
        ({"stated_wh": 4000.0}, 10_000.0, FULL, "asked"),
        ({}, 10_000.0, FULL, "limit"),
        ({}, 10_000.0, {"hall": 0.9, "other": 1.2}, "choice"),  # another circuit's trouble
        ({"stated_wh": 9000.0, "stated_departure_wall_s": BEGIN_WALL_S + 7200.0}, 10_000.0, {"hall": 0.1}, "choice"),
    ],
)
def test_who_was_short_and_why(changes: dict[str, object], free_got: float, loads: dict[str, float], reason: str) -> None:
    short = stay(delivered=4000.0, **changes)
    curve = tuple(quarter(number, 0.0, loads=loads) for number in range(8))
    ours, free = outcome(*curve, sessions=(short,)), outcome(*curve, sessions=(stay(delivered=free_got),))
    backtest = Backtest("x", 0.0, 1.0, "UTC", "EUR", "full", (ours,), {"hall": 1.0}, evse_circuits={"P/1": ("hall",)})
    assert [one.reason for one in shorts(ours, free, backtest)] == [reason]


def test_what_nobody_acted_upon_is_no_reason() -> None:
    short = stay(delivered=4000.0, stated_wh=4000.0, stated_departure_wall_s=BEGIN_WALL_S + 10_800.0)
    ours = outcome(quarter(0, 0.0, loads={"hall": 0.5}), sessions=(short,))
    backtest = Backtest("x", 0.0, 1.0, "UTC", "EUR", "full", (ours,), {"hall": 1.0}, drivers="truth")
    assert shorts(ours, None, backtest)[0].reason == "choice"
    assert shorts(replace(ours, curve=()), None, backtest)[0].reason == "unknown"


def test_a_full_circuit_is_told_with_its_hours() -> None:
    curve = tuple(quarter(number, 0.0, loads={"hall": 1.0 if number < 4 else 0.5}) for number in range(8))
    ours = outcome(*curve, sessions=(stay(delivered=4000.0),))
    backtest = Backtest("x", 0.0, 1.0, "UTC", "EUR", "full", (ours,), {"hall": 1.0})
    assert shorts(ours, None, backtest)[0].words == "hall was full for 1.0 of 2.0 h"


def test_the_most_missing_stand_first() -> None:
    ours = outcome(sessions=(stay("a", delivered=8000.0), stay("b", delivered=1000.0), stay("c")))
    backtest = Backtest("x", 0.0, 1.0, "UTC", "EUR", "full", (ours,), {})
    assert [one.session.id for one in shorts(ours, None, backtest)] == ["b", "a"]


# -- circuits and curves ------------------------------------------------------------------------------------------


def test_how_long_a_circuit_was_how_full() -> None:
    curve = tuple(quarter(number, 0.0, loads={"hall": load}) for number, load in enumerate((0.5, 0.8, 0.95, 1.1)))
    ours = replace(outcome(*curve), over_limit_s={"hall": 40.0}, worst={"hall": 1.3})
    one, unknown = near(ours, ["hall", "nowhere"])
    assert (one.over_80_s, one.over_95_s, one.above_s, one.worst) == (2700.0, 1800.0, 40.0, 1.3)
    assert (unknown.over_80_s, unknown.worst) == (0.0, 0.0)


def test_phases_counted_apart_are_one_circuit() -> None:
    ours = replace(outcome(), over_limit_s={"hall/L1": 10.0, "hall/L3": 40.0, "yard": 5.0}, worst={"hall/L1": 1.1, "hall/L2": 0.4})
    assert longest_over(ours) == ("hall", 40.0)
    assert longest_over(outcome()) == ("", 0.0)
    assert [(one.above_s, one.worst) for one in near(ours, ["hall", "yard"])] == [(40.0, 1.1), (5.0, 0.0)]


def test_a_duration_curve_falls_and_keeps_both_ends() -> None:
    values = [float((number * 7919) % 3001) for number in range(3000)]
    points = duration(values)
    assert points[0] == (0.0, max(values))
    assert points[-1] == (1.0, min(values))
    assert len(points) <= 242
    assert all(first[0] < after[0] and first[1] >= after[1] for first, after in pairwise(points))


@pytest.mark.parametrize(("values", "expected"), [([], []), ([3.0], [(0.0, 3.0), (1.0, 3.0)]), ([1.0, 2.0], [(0.0, 2.0), (1.0, 1.0)])])
def test_short_duration_curves(values: list[float], expected: list[tuple[float, float]]) -> None:
    assert duration(values) == expected
