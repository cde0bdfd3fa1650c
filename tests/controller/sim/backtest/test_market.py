"""Day-ahead prices in virtual time: told when they are published, in the way of the field; nights of 23 and 25 hours; negative prices."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from controller.facts import SeriesKind, Stamp
from controller.sim.backtest.briefing import told_config
from controller.sim.backtest.jobs import OURS, Job, run_job
from controller.sim.backtest.loop import BacktestLoop
from controller.sim.backtest.market import Market
from controller.sim.backtest.series import Series, fixed, midnight
from controller.sim.backtest.setting import Setting
from controller.sim.backtest.timeline import stamp_of
from tests.controller.sim.backtest.kit import START_S, ZONE, setting

HOUR, QUARTER = 3600.0, 900.0


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> Setting:
    folder = tmp_path_factory.mktemp("market")
    rows = [f"{datetime.fromtimestamp(START_S + index * QUARTER, UTC):%Y-%m-%d %H:%M},{price(index):.2f}" for index in range(96 * 4)]
    (folder / "prices.csv").write_text("Datetime (UTC),Price (EUR/MWhe)\n" + "\n".join(rows) + "\n")
    return setting(folder, prices=str(folder / "prices.csv"), capacity_percent=60.0, v2g_share=0.0)


def price(index: int) -> float:
    """EUR/MWh: dear but for the two hours from 13:00 of each day, when energy is given away with money."""
    return -80.0 if 52 <= index % 96 < 60 else 300.0 + index % 4


def test_today_is_known_and_tomorrow_from_one_o_clock_on(day: Setting) -> None:
    assert day.case.prices.market
    market = Market(day.case, ZONE)
    known = {hour: [told for told in market.look(Stamp(hour * HOUR, START_S + hour * HOUR)) if told.kind is SeriesKind.BUY] for hour in range(20)}
    assert [hour for hour, told in known.items() if told] == [0, 13]
    assert (known[0][0].slots[0][0], known[0][0].slots[-1][1]) == (START_S, START_S + 24 * HOUR)
    assert (known[13][0].slots[0][0], known[13][0].slots[-1][1]) == (START_S + 24 * HOUR, START_S + 48 * HOUR)
    assert {value for *_, value in known[0][0].slots} >= {-0.08, 0.3}


@pytest.mark.parametrize(("date", "hours"), [("2026-10-25", 25), ("2026-03-29", 23)])
def test_the_nights_of_the_clock_change(day: Setting, date: str, hours: int) -> None:
    begin_s = midnight(datetime.fromisoformat(date).date(), ZoneInfo(ZONE))
    buy = Series(tuple(begin_s + index * HOUR for index in range(60)), tuple(float(index) for index in range(60)))
    case = replace(day.case, prices=replace(day.case.prices, buy=buy, sell=buy), start_wall_s=begin_s)
    told = next(iter(Market(case, ZONE).look(Stamp(0.0, begin_s))))
    assert [value for *_, value in told.slots] == [float(index) for index in range(hours)]
    assert told.slots[-1][1] == begin_s + hours * HOUR


def test_a_tariff_is_no_market(tmp_path: Path) -> None:
    plain = setting(tmp_path)
    assert not plain.case.prices.market
    assert list(Market(plain.case, ZONE).look(Stamp(0.0, START_S))) == []


def test_the_engine_plans_with_them_and_assumes_the_rest(day: Setting) -> None:
    config = told_config(day.case, day.case.config)
    loop = BacktestLoop(day.case, config, {})
    loop.begin(stamp_of(day.case, START_S))
    books = loop.engine.site.planner.books
    assert books is not None
    assert books.buy.at(START_S + 13.5 * HOUR) == pytest.approx(-0.08)
    assert books.buy.at(START_S + 37.5 * HOUR) == pytest.approx(day.case.prices.buy.mean(START_S, START_S + 24 * HOUR)), "not published yet"
    assert {view.kind for view in loop.engine.snapshot(stamp_of(day.case, START_S)).site.series} == {"buy", "sell"}


def test_cars_that_can_wait_charge_while_they_are_paid_for(day: Setting) -> None:
    """Against the same day at one price: more goes into the two hours below zero, and everybody still leaves full."""
    case = day.case.stretch(START_S + 7 * HOUR, START_S + 18 * HOUR)
    flat = replace(case, prices=replace(case.prices, buy=fixed(0.3), sell=fixed(0.0)))
    paid_wh = {}
    for name, one in (("market", case), ("flat", flat)):
        outcome = run_job(Job(0, 0, OURS, one), lambda _: None)
        assert outcome.delivered_percent > 99.0
        paid_wh[name] = sum(step.ev_w / 4 for step in outcome.curve if START_S + 13 * HOUR <= step.wall_s < START_S + 15 * HOUR)
    assert paid_wh["market"] > 1.3 * paid_wh["flat"]
