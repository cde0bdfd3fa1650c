"""The picture as a problem: edges of the grid, windows of the demand charge, tapers, minimums, discharge of the CSMS, CO2, battery reserve."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from controller.config import Config
from controller.facts import EvseKey, EvseMeasured, LimitStep, NeedsAnnounced, UpstreamWished
from controller.orders import Persist
from controller.site.plans.posing import build_problem
from controller.site.plans.tariffs import Books, books_of
from optimizer.check import check
from optimizer.live import Live
from optimizer.prices import PriceBook, Season
from optimizer.problem import Problem
from optimizer.terms import defects
from optimizer.told import Told
from tests.support.site_story import Story, depot

CP1, CP2 = EvseKey("CP1", 1), EvseKey("CP2", 1)
TWO_PRICES = {"buy": [{"start": "00:00", "price_per_kwh": 0.2}, {"start": "06:10", "price_per_kwh": 0.4}]}


def story(count: int = 2, **parts: object) -> Story:
    told = Story(depot(count, **parts))  # type: ignore[arg-type]
    told.start()
    for number in range(count):
        told.plug(f"CP{number + 1}")
    return told


def posed(told: Story, seconds: int = 8, building_a: float = 10.0) -> Problem:
    told.run(seconds, building_a)
    problem = told.problems()[-1]
    assert isinstance(problem, Problem)
    assert defects(problem) == ()
    return problem


def starts(problem: Problem) -> set[float]:
    return {slot.start_wall_s for slot in problem.slots}


def announce(told: Story, **parts: object) -> None:
    told.do(NeedsAnnounced(told.at(), CP1, 10_000.0, told.at().wall_s + 4 * 3600.0, **parts))  # type: ignore[arg-type]


class TestGridOfTime:
    def test_prices_limits_and_schedules_are_edges(self) -> None:
        told = story(tariff=TWO_PRICES)
        now = told.at().wall_s
        told.limit(20.0, valid_for_s=20_040)
        told.do(UpstreamWished(told.at(), CP1, (LimitStep(now, 10.0), LimitStep(now + 9_000, None)), "profile"))
        problem = posed(told)
        ends = told.site.limits.in_force(told.now)[0].ends_wall_s
        assert ends is not None
        assert -(-ends // 60) * 60 in starts(problem)
        assert (now + 9_000) // 60 * 60 in starts(problem)
        change = next(start for start in starts(problem) if datetime.fromtimestamp(start, UTC).strftime("%H:%M") == "06:10")
        place = [slot.start_wall_s for slot in problem.slots].index(change)
        assert (problem.buy_per_kwh[place - 1], problem.buy_per_kwh[place]) == (0.2, 0.4)

    def test_within_a_quarter_hour_the_grid_stays(self) -> None:
        told = story(tariff=TWO_PRICES)
        told.wall_jump_s = 20.0 - told.at().wall_s % 900.0 + 900.0
        told.limit(20.0, valid_for_s=7_000)
        first, second = posed(told), posed(told, 61)
        assert second.slots[1:] == first.slots[1:]
        assert second.slots[0].duration_s < first.slots[0].duration_s

    def test_a_thousand_different_schedules_do_not_cut_the_day_to_pieces(self) -> None:
        told = story(1)
        now = told.at().wall_s
        steps = tuple(LimitStep(now + 61.0 * number, 6.0 + number % 20) for number in range(500))
        told.do(UpstreamWished(told.at(), CP1, steps, "profile"))
        assert len(posed(told).slots) <= 46 + 17


class TestMoney:
    def test_the_running_demand_window_is_told(self) -> None:
        told = story(tariff={"demand_per_kw": 12, "demand_minutes": 30})
        problem = posed(told, 120)
        assert problem.demand_window_s == 1800.0
        assert problem.window_import_wh > 0.0
        assert problem.demand_per_kw == pytest.approx(0.4, rel=1e-3)

    def test_co2_and_a_priced_shortfall(self) -> None:
        problem = posed(story(tariff={"co2_per_kg": 0.1, "co2_kg_per_kwh": [0.4], "missing_per_kwh": 2.5}))
        assert (problem.co2_per_kg, set(problem.co2_kg_per_kwh), problem.shortfall_per_kwh) == (0.1, {0.4}, 2.5)
        plain = posed(story())
        assert (plain.co2_per_kg, plain.co2_kg_per_kwh, plain.shortfall_per_kwh) == (0.0, (), None)

    def test_seasons_and_selling_by_time_of_day(self) -> None:
        tariff = {
            "seasons": [{"first_day": "06-01", "last_day": "09-30", "weekdays": ["mon", "fri"], "buy": [{"start": "12:00", "price_per_kwh": 0.9}]}],
            "sell": [{"start": "00:00", "price_per_kwh": 0.02}, {"start": "10:00", "price_per_kwh": 0.08}],
        }
        books = books_of(depot(1, tariff=tariff).tariff, "UTC")
        friday, saturday, winter = (datetime(2026, *day, 13, tzinfo=UTC).timestamp() for day in ((6, 5), (6, 6), (12, 4)))
        assert [books.buy.at(moment) for moment in (friday, saturday, winter)] == [0.9, 0.3, 0.3]
        assert books.sell.at(friday) == 0.08

    def test_announced_prices_come_before_the_site_files(self) -> None:
        told = story()
        hour_s = told.at().wall_s // 3600 * 3600
        series = Told(((hour_s, hour_s + 3600.0, -0.05),))
        told.site.planner.books = Books(PriceBook((Season(((0, 0.3),)),), "UTC", series), PriceBook((Season(((0, 0.0),)),)))
        assert posed(told).buy_per_kwh[0] == -0.05


class TestCars:
    def test_a_car_that_tells_its_state_tapers(self) -> None:
        told = story(1)
        announce(told, capacity_wh=50_000.0, soc_percent=60.0)
        (ev,) = posed(told).evs
        assert (ev.capacity_wh, ev.soc_wh) == (50_000.0, 30_000.0)
        assert ev.acceptance[:2] == ((0.0, ev.max_power_w), (42_500.0, ev.max_power_w))
        assert ev.acceptance[2] == pytest.approx((50_000.0, 0.1 * ev.max_power_w))

    @pytest.mark.parametrize("case", ["draws more", "needs more than fits", "owner says no", "says nothing"])
    def test_a_taper_that_cannot_be_right_is_left_out(self, case: str) -> None:
        told = story(1, evse={"taper_from_percent": 100 if case == "owner says no" else 80})
        told.run(8)
        soc = {"draws more": 97.0, "needs more than fits": 90.0}.get(case, 60.0)
        told.do(NeedsAnnounced(told.at(), CP1, 1_000.0 if case == "draws more" else 10_000.0, None, capacity_wh=50_000.0, soc_percent=soc))
        if case == "says nothing":
            told.do(NeedsAnnounced(told.at(), CP1, 10_000.0, None))
        if case == "draws more":
            told.do(EvseMeasured(told.at(), CP1, (25.0, 25.0, 25.0), power_w=17_250.0))
        (ev,) = build_problem(told.config, told.site.layout, told.site.on_plans.inputs(told.at()), told.at()).evs
        assert ev.acceptance == ()

    def test_the_cars_own_minimum_comes_first(self) -> None:
        told = story(1)
        announce(told, min_wh=4_500.0)
        (ev,) = posed(told).evs
        assert ev.minimum_wh == pytest.approx(5_000.0, rel=0.02)

    def test_a_plan_for_all_of_it_passes_the_check(self) -> None:
        told = story(2, tariff={**TWO_PRICES, "demand_per_kw": 12, "co2_per_kg": 0.1, "co2_kg_per_kwh": [0.4]}, grid={"max_unbalance_a": 16})
        announce(told, capacity_wh=50_000.0, soc_percent=70.0, min_wh=2_000.0)
        problem = posed(told)
        assert problem.nodes[0].max_unbalance_a == 16.0
        assert check(problem, Live().solve(problem, 30.0), 0.05) == ()


class TestDays:
    def taught(self, spread_w: float) -> Story:
        told = story(1, forecast={"base_load_w": [3_000.0] * 24})
        usual = told.site.days.load
        assert usual is not None
        first = datetime.fromtimestamp(told.at().wall_s, UTC).date() - timedelta(days=30)
        for number in range(28):
            usual.recall((first + timedelta(days=number)).isoformat(), [9_000.0 + spread_w * (number % 10 - 4.5)] * 96)
        return told

    def test_learnt_days_win_over_the_site_file(self) -> None:
        problem = posed(self.taught(0.0))
        assert sum(problem.nodes[0].other_load_a[-1]) * 230.0 == pytest.approx(9_000.0, rel=0.01)

    def test_room_is_left_for_a_worse_day_but_not_for_this_minute(self) -> None:
        problem = posed(self.taught(500.0))
        margin = problem.nodes[0].margin_a
        assert len(margin) == len(problem.slots)
        assert margin[0] < 0.1 * margin[-1]
        assert 2.0 < margin[-1] < 6.0
        assert posed(self.taught(0.0)).nodes[0].margin_a[-1] == 0.0

    def test_off_means_the_site_file(self) -> None:
        told = story(1, forecast={"base_load_w": [3_000.0] * 24, "load": "off"})
        problem = posed(told)
        assert told.site.days.load is None
        assert problem.nodes[0].margin_a == ()
        assert sum(problem.nodes[0].other_load_a[-1]) * 230.0 == pytest.approx(3_000.0, rel=0.01)

    def test_days_are_remembered_on_disk(self) -> None:
        told = story(1)
        told.wall_jump_s = 890.0 - told.at().wall_s % 900.0
        told.run(1_900)
        kept = {key: value for order in told.of(Persist) for key, value in order.remember.items() if key[0] == "usual"}
        assert any(name.startswith("load ") for _, name in kept)


def test_the_batterys_reserve() -> None:
    battery = {"capacity_wh": 100_000, "max_charge_w": 50_000, "max_discharge_w": 50_000, "meter": "store", "reserve_percent": 25}
    told = story(1, battery=battery, meters=[{"id": "store", "role": "battery", "source": {"type": "mqtt", "topic": "store"}}])
    told.do(told.reading((0.0, 0.0, 0.0), meter="store", power_w=0.0, soc_percent=40.0))
    store = posed(told, 61).battery
    assert store is not None
    assert store.reserve_wh == 25_000.0


def test_a_site_file_of_before_means_what_it_meant() -> None:
    config = depot(1)
    assert isinstance(config, Config)
    books = books_of(config.tariff, "UTC")
    assert books.buy == PriceBook((Season(((0, 0.30),)),), "UTC")
    assert replace(books.sell, timezone="UTC").at(0.0) == 0.07


def in_the_first_hour_wh(told: Story) -> float:
    """What the plan for the present problem charges within an hour [Wh]."""
    problem = posed(told)
    plan = Live().solve(problem, 30.0)
    end_s = problem.slots[0].start_wall_s + 3600.0
    early = [number for number, slot in enumerate(problem.slots) if slot.start_wall_s + slot.duration_s <= end_s]
    return sum(series[number] * problem.slots[number].hours for series in plan.ev_power_w.values() for number in early)


def test_energy_first_waits_for_no_price() -> None:
    prices = (("00:00", 0.1), ("12:00", 0.4), ("22:00", 0.1))
    cheaper_soon = {"buy": [{"start": start, "price_per_kwh": price} for start, price in prices]}
    waits, hurries = (story(tariff=cheaper_soon, control={"energy_first": first}) for first in (False, True))
    now_h = datetime.fromtimestamp(waits.at().wall_s, UTC).hour
    assert 12 <= now_h < 21  # a dear hour: else the comparison means nothing
    assert in_the_first_hour_wh(hurries) > 1000.0 + in_the_first_hour_wh(waits)
