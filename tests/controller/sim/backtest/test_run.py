"""A garage day under every policy: what is booked is what the cars took, limits hold, the same seed gives the same result."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from controller.io.chargers import load_chargers
from controller.paths import config_dir
from controller.sim.backtest.account import base_account
from controller.sim.backtest.briefing import memories, told_config
from controller.sim.backtest.case import Case
from controller.sim.backtest.jobs import BOUND, OURS, OURS_V2G, UNCONTROLLED, Job, run_job
from controller.sim.backtest.loop import BacktestLoop
from controller.sim.backtest.outcome import PolicyOutcome
from controller.sim.backtest.policies import SHARES
from controller.sim.backtest.series import Series, fixed
from controller.sim.backtest.setting import Setting
from controller.sim.backtest.timeline import stamp_of, travel
from tests.controller.sim.backtest.kit import START_S, setting

HOUR = 3600.0
Outcomes = dict[str, PolicyOutcome]


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> Setting:
    """From seven in the morning till six in the evening: nobody is there before and after."""
    whole = setting(tmp_path_factory.mktemp("day"), capacity_percent=60.0, v2g_share=1.0)
    assert whole.v2g is not None
    begin_s, end_s = START_S + 7 * HOUR, START_S + 18 * HOUR
    return Setting(whole.case.stretch(begin_s, end_s), whole.v2g.stretch(begin_s, end_s))


@pytest.fixture(scope="module")
def outcomes(day: Setting) -> Outcomes:
    assert day.v2g is not None
    names = dict.fromkeys((UNCONTROLLED, *SHARES, OURS, BOUND), day.case) | {OURS_V2G: day.v2g}
    return {name: run_job(Job(0, 0, name, case), lambda _: None) for name, case in names.items()}


def test_every_policy_serves_every_session(day: Setting, outcomes: Outcomes) -> None:
    for outcome in outcomes.values():
        assert {session.id for session in outcome.sessions} == {visit.id for visit in day.case.visits}
        assert outcome.wanted_wh == pytest.approx(sum(visit.wanted_wh for visit in day.case.visits), rel=0.01)


def test_uncontrolled_charging_delivers_all_and_breaks_the_limits(outcomes: Outcomes) -> None:
    wild = outcomes[UNCONTROLLED]
    assert wild.delivered_percent == pytest.approx(100.0, abs=0.05)
    assert wild.over_limit_s["garage"] > 600.0
    assert wild.worst["garage"] > 1.3


@pytest.mark.parametrize("name", [*SHARES, OURS, OURS_V2G])
def test_no_controlled_policy_ever_exceeds_a_limit(name: str, outcomes: Outcomes) -> None:
    assert outcomes[name].over_limit_s == {}
    assert max(outcomes[name].worst.values()) <= 1.0


@pytest.mark.parametrize("name", [UNCONTROLLED, *SHARES, OURS, OURS_V2G])
def test_what_is_booked_is_what_the_cars_took(name: str, outcomes: Outcomes) -> None:
    outcome = outcomes[name]
    booked_wh = sum(quarter.ev_w for quarter in outcome.curve) * 0.25
    lost_wh = sum(session.given_wh * (1 / 0.92**2 - 1) for session in outcome.sessions)  # on the way to the battery and back
    assert booked_wh == pytest.approx(outcome.delivered_wh + lost_wh, abs=2.0)
    for quarter in outcome.curve:
        assert quarter.grid_w == pytest.approx(quarter.base_w - quarter.pv_w + quarter.battery_w + quarter.ev_w)


@pytest.mark.parametrize("name", [UNCONTROLLED, *SHARES, OURS, OURS_V2G])
def test_costs_are_those_of_the_curve(name: str, day: Setting, outcomes: Outcomes) -> None:
    outcome, case = outcomes[name], day.case
    energy = sum(quarter.grid_w / 4000.0 * quarter.buy_per_kwh for quarter in outcome.curve)
    exports = 1e-4 if name == OURS_V2G else 1e-6  # for moments that the quarter hour's mean does not show
    assert outcome.energy_cost == pytest.approx(energy, rel=exports)
    assert outcome.peak_w == pytest.approx(max(quarter.grid_w for quarter in outcome.curve))
    part = 15.0 * 11.0 / 24.0 / 30.0  # of the month's demand charge
    assert outcome.demand_cost == pytest.approx(outcome.peak_w / 1000.0 * part)
    assert outcome.base_cost == pytest.approx(base_account(case).energy_cost + 12.0 * part)


def test_ours_is_cheaper_than_every_rule_and_not_cheaper_than_foresight(outcomes: Outcomes) -> None:
    ours, bound = outcomes[OURS], outcomes[BOUND]
    assert ours.delivered_percent > 99.5
    assert all(ours.cost < outcomes[name].cost for name in (*SHARES, UNCONTROLLED))
    assert bound.cost <= ours.cost + 0.01 * abs(ours.cost)
    assert bound.delivered_percent == pytest.approx(100.0, abs=0.01)


def test_cars_that_can_give_back_do_so_where_it_pays_and_still_get_theirs(outcomes: Outcomes) -> None:
    giving = outcomes[OURS_V2G]
    given_wh = sum(session.given_wh for session in giving.sessions)
    assert given_wh > 50.0
    assert giving.cost < 1.02 * outcomes[OURS].cost
    assert giving.wear_cost == pytest.approx(0.08 * given_wh / 1000.0)
    assert giving.delivered_percent > 98.0


def test_the_same_seed_gives_the_same_day(day: Setting) -> None:
    short = day.case.stretch(START_S + 7 * HOUR, START_S + 9 * HOUR)
    one, again = (run_job(Job(0, 0, OURS, short), lambda _: None) for _ in range(2))
    assert len(one.sessions) == 5
    assert replace(again, seconds=0.0) == replace(one, seconds=0.0)


# -- how it goes through time ----------------------------------------------------------------------------------------


def travelled(case: Case) -> tuple[BacktestLoop, list[float]]:
    loop = BacktestLoop(case, told_config(case, case.config), load_chargers(config_dir() / "chargers"))
    moments: list[float] = []
    loop.begin(stamp_of(case, case.start_wall_s))

    def step(at: object) -> None:
        moments.append(at.wall_s)  # type: ignore[attr-defined]
        loop.step(at)  # type: ignore[arg-type]

    travel(case, loop.yard, step, lambda _: None)
    return loop, moments


def morning(case: Case) -> Case:
    """The first car alone, until nine."""
    return replace(case, visits=case.visits[:1], start_wall_s=START_S + 7 * HOUR, end_wall_s=START_S + 9 * HOUR)


def test_no_step_crosses_an_arrival_a_price_or_a_quarter_hour_and_calm_steps_are_long(day: Setting) -> None:
    case = morning(day.case)
    _, moments = travelled(case)
    assert moments == sorted(moments)
    assert moments[-1] == case.end_wall_s
    for needed in (case.visits[0].arrival_wall_s, START_S + 8 * HOUR, *(START_S + 7 * HOUR + 900.0 * step for step in range(1, 9))):
        assert needed in moments
    gaps = [later - sooner for sooner, later in pairwise(moments)]
    assert max(gaps) <= 60.0
    assert len(moments) < 2 * 3600 / 20


def test_the_controller_hears_what_drivers_say_and_its_journal(day: Setting) -> None:
    for drivers, hours in (("truth", 12.0), ("stated", 11.5)):
        loop, _ = travelled(replace(morning(day.case), drivers=drivers))
        [session] = [evse.session for evse in loop.engine.site.evses.values() if evse.session is not None]
        assert session.departure_wall_s == START_S + hours * HOUR
        assert session.need_source


def test_a_silent_driver_says_nothing(day: Setting) -> None:
    silent = replace(day.case.visits[0], stated_wh=None, stated_departure_wall_s=None)
    loop, _ = travelled(replace(morning(day.case), drivers="stated", visits=(silent,)))
    [session] = [evse.session for evse in loop.engine.site.evses.values() if evse.session is not None]
    assert session.need_source == ""
    assert session.departure_wall_s is None


def test_the_journal_holds_past_sessions_and_usual_days(day: Setting) -> None:
    case = day.case
    day_s = 86_400.0
    before = [replace(one, arrival_wall_s=one.arrival_wall_s - day_s, departure_wall_s=one.departure_wall_s - day_s) for one in case.visits]
    later = replace(case, visits=(*before, *case.visits), start_wall_s=case.start_wall_s - day_s).stretch(case.start_wall_s, case.end_wall_s)
    found = memories(later, later.config)
    assert sum(space == "past" for space, _ in found) == len(case.visits)
    assert sum(space == "usual" and key.startswith("load") for space, key in found) == 29, "four weeks and the day the first of them began in"


def test_prices_of_each_day_are_told_as_in_the_field(day: Setting) -> None:
    buy = Series(tuple(START_S + HOUR * hour for hour in range(-24, 96)), tuple(float(hour % 31) for hour in range(-24, 96)))
    case = replace(day.case, prices=replace(day.case.prices, buy=buy, sell=fixed(0.5)))
    config = told_config(case, case.config)
    first = config.tariff.seasons[0]
    assert first.first_day == first.last_day == "06-03"
    assert [window.price_per_kwh for window in first.buy] == [float(hour % 31) for hour in range(24)]
    assert config.tariff.sell_per_kwh == 0.5


def test_a_month_of_a_rule_tells_its_progress(day: Setting) -> None:
    parts: list[float] = []
    tell: Callable[[float], None] = parts.append
    run_job(Job(0, 0, "edf", day.case), tell)
    assert parts == sorted(parts)
    assert parts[-1] == 1.0
    assert 20 < len(parts) <= 501


def test_a_driver_who_knows_nothing_better_is_believed_only_by_the_rules(tmp_path: Path) -> None:
    case = setting(tmp_path, drivers="stated").case
    outcome = run_job(Job(0, 0, "edf", case), lambda _: None)
    assert outcome.over_limit_s == {}
    assert any("what drivers stated" in note for note in case.notes)
