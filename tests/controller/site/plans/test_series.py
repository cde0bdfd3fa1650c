"""Announced prices and forecasts: laid over the tariff, kept over a restart, planned with; negative prices, gaps, both nights of the clock change."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.config import Config
from controller.facts import Restored, SeriesKind, SeriesTold, Stamp
from controller.orders import Order, Persist, RecordPoint, Severity, Tell
from controller.site.plans.posing_edges import NEAR_S, price_edges
from controller.site.plans.series import KEPT_PAST_S, MODEL, MOST_SOURCES, SPACE, SeriesRoom, origin_of
from optimizer.check import check
from optimizer.live import Live
from optimizer.problem import Problem
from tests.support.site_story import WALL_S, Story, depot

HOUR, QUARTER, DAY = 3600.0, 900.0, 86_400.0
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC).timestamp()
FEED = {"type": "http", "url": "http://127.0.0.1:9/"}
BUY = SeriesKind.BUY


def stamp(wall_s: float = NOON, mono_s: float = 1000.0) -> Stamp:
    return Stamp(mono_s, wall_s)


def config(tariff: dict[str, Any] | None = None, **parts: Any) -> Config:
    market = {"market": {"feed": FEED, "plus_per_kwh": 0.1, "plus_percent": 20}}
    return depot(1, tariff={"buy": [{"start": "00:00", "price_per_kwh": 0.5}], **market, **(tariff or {})}, **parts)


def origin(of: Config, key: str = "market") -> str:
    return origin_of(of.feeds()[key])


def told(of: Config, slots: Any, kind: SeriesKind = BUY, key: str = "market", at: Stamp | None = None, **more: Any) -> SeriesTold:
    return SeriesTold(at or stamp(), kind, f"feed {key}", tuple(slots), origin(of, key), **more)


def hours(*values: float, start: float = NOON) -> list[tuple[float, float, float]]:
    return [(start + index * HOUR, start + (index + 1) * HOUR, value) for index, value in enumerate(values)]


def memories(orders: list[Order]) -> dict[tuple[str, str], Any]:
    return {key: value for order in orders if isinstance(order, Persist) for key, value in order.remember.items()}


class TestPrices:
    def test_the_market_holds_and_the_tariff_in_its_gaps(self) -> None:  # B45
        """(0.10 + 0.1) x 1.2 = 0.24, (-0.30 + 0.1) x 1.2 = -0.24."""
        site = config()
        room = SeriesRoom(site)
        assert room.books is None
        room.told(told(site, [*hours(0.10, -0.30), *hours(0.10, start=NOON + 3 * HOUR)]))
        assert room.books is not None
        prices = [room.books.buy.at(NOON + offset * HOUR) for offset in (-0.1, 0.5, 1.5, 2.5, 3.5, 4.5)]
        assert prices == pytest.approx([0.5, 0.24, -0.24, 0.5, 0.24, 0.5])

    def test_a_gap_ahead_is_said_once_with_its_times_and_what_holds_there(self) -> None:  # B45
        """12:00 to 13:00 UTC and 15:00 to 16:00 are told; in Berlin the hole is from 14:00 to 16:00."""
        site = config(site={"id": "test", "timezone": "Europe/Berlin"})
        room, holed = SeriesRoom(site), [*hours(0.10), *hours(0.10, start=NOON + 3 * HOUR)]
        (tell,) = [order for order in room.told(told(site, holed)) if isinstance(order, Tell)]
        said = "prices of the market have a gap from 2026-11-20 14:00 to 2026-11-20 16:00, local time - the prices of tariff.buy hold there"
        assert said in tell.text
        assert tell.severity is Severity.WARNING
        again = room.told(told(site, [*holed, *hours(0.2, start=NOON + 4 * HOUR)]))  # the same hole, one hour more behind it
        assert not [order for order in again if isinstance(order, Tell)]
        filled = room.told(told(site, hours(0.1, 0.1, 0.1)))
        assert not [order for order in filled if isinstance(order, Tell)]
        (other,) = [order for order in room.told(told(site, hours(0.1, start=NOON + 9 * HOUR))) if isinstance(order, Tell)]
        assert "from 2026-11-20 18:00 to 2026-11-20 22:00" in other.text

    def test_a_price_event_that_covers_some_hours_only_has_no_gap(self) -> None:
        site = config(signals=[{"id": "vtn", "type": "openadr3", "url": "http://vtn", "ven_name": "yard"}])
        event = SeriesTold(stamp(), BUY, "vtn", (*hours(0.1), *hours(0.3, start=NOON + 5 * HOUR)))
        assert not [order for order in SeriesRoom(site).told(event) if isinstance(order, Tell)]

    def test_a_later_word_replaces_what_it_covers_and_nothing_else(self) -> None:
        site = config()
        room = SeriesRoom(site)
        room.told(told(site, hours(0.1, 0.2, 0.3)))
        room.told(told(site, hours(0.9, start=NOON + HOUR)))
        assert room.books is not None
        assert [room.books.buy.at(NOON + offset * HOUR) for offset in (0.5, 1.5, 2.5)] == pytest.approx([0.24, 1.2, 0.48])

    def test_a_signal_holds_before_the_feed_and_without_its_plus(self) -> None:
        site = config(signals=[{"type": "openadr3", "id": "vtn", "url": "http://127.0.0.1:9/", "ven_name": "depot"}])
        room = SeriesRoom(site)
        room.told(SeriesTold(stamp(), BUY, "vtn", tuple(hours(0.77, start=NOON + HOUR))))
        room.told(told(site, hours(0.1, 0.1, 0.1)))
        assert room.books is not None
        assert [room.books.buy.at(NOON + offset * HOUR) for offset in (0.5, 1.5, 2.5)] == pytest.approx([0.24, 0.77, 0.24])
        room.told(SeriesTold(stamp(), BUY, "vtn", (), whole=True))
        assert room.books.buy.at(NOON + 1.5 * HOUR) == pytest.approx(0.24), "a cancelled event is withdrawn"

    def test_what_is_withdrawn_goes_from_now_on_and_what_is_over_stays_what_it_was(self) -> None:
        site = config(signals=[{"type": "openadr3", "id": "vtn", "url": "http://127.0.0.1:9/", "ven_name": "depot"}])
        room = SeriesRoom(site)
        before_s = stamp().wall_s - HOUR
        room.told(SeriesTold(stamp(), BUY, "vtn", tuple(hours(0.77, 0.88, start=before_s - HOUR / 2))))
        room.told(SeriesTold(stamp(), BUY, "vtn", (), whole=True))
        assert room.books is not None
        prices = [room.books.buy.at(before_s + offset_s) for offset_s in (0.0, HOUR - 60.0, HOUR + 60.0)]
        assert prices == pytest.approx([0.77, 0.88, 0.5]), "energy was bought at it"

    def test_a_source_that_never_told_anything_withdraws_nothing(self) -> None:
        site = config(signals=[{"type": "openadr3", "id": "vtn", "url": "http://127.0.0.1:9/", "ven_name": "depot"}])
        room = SeriesRoom(site)
        assert room.told(SeriesTold(stamp(), BUY, "vtn", (), whole=True)) == []
        assert "vtn" not in {view.source for view in room.view(stamp())}

    def test_exported_energy_has_a_market_of_its_own(self) -> None:
        site = config({"sell_market": {"feed": FEED, "plus_per_kwh": -0.01}, "sell_per_kwh": 0.07})
        room = SeriesRoom(site)
        room.told(told(site, hours(0.05, -0.2), SeriesKind.SELL, "sell_market"))
        assert room.books is not None
        assert [room.books.sell.at(NOON + offset * HOUR) for offset in (0.5, 1.5, 2.5)] == pytest.approx([0.04, -0.21, 0.07])
        assert room.books.buy.at(NOON) == 0.5

    @pytest.mark.parametrize(
        ("kind", "slots"),
        [
            (BUY, [(NOON, NOON + HOUR, math.nan)]),
            (BUY, [(NOON, NOON, 0.1)]),
            (BUY, [(0.0, 60.0, 0.1)]),
            (SeriesKind.PV, [(NOON, NOON + HOUR, -1.0)]),
            (SeriesKind.CO2, hours(0.4, -0.1)),
        ],
    )
    def test_what_makes_no_sense_is_refused_whole_and_told(self, kind: SeriesKind, slots: Any) -> None:
        site = config()
        room = SeriesRoom(site)
        room.told(told(site, hours(0.1)))
        (word,) = room.told(told(site, slots, kind))
        assert isinstance(word, Tell)
        assert "stays in force" in word.text
        assert room.books is not None
        assert room.books.buy.at(NOON) == pytest.approx(0.24)

    @given(st.lists(st.tuples(st.integers(-8, 30), st.integers(1, 6), st.floats(-1, 1)), max_size=12))
    def test_every_moment_costs_what_was_told_last_or_what_the_tariff_says(self, words: list[tuple[int, int, float]]) -> None:
        site = config()
        room = SeriesRoom(site)
        for start, length, value in words:
            room.told(told(site, [(NOON + start * QUARTER, NOON + (start + length) * QUARTER, value)]))
        for step in range(-8, 40):
            covering = [value for start, length, value in words if start <= step < start + length]
            expected = (covering[-1] + 0.1) * 1.2 if covering else 0.5
            price = room.books.buy.at(NOON + (step + 0.5) * QUARTER) if room.books is not None else 0.5
            assert price == pytest.approx(expected)


class TestMemory:
    def test_a_restart_without_the_cloud_still_has_the_prices(self) -> None:
        site = config()
        kept = memories(SeriesRoom(site).told(told(site, hours(0.1, 0.2))))
        again = SeriesRoom(site)
        for (space, name), memory in kept.items():
            assert space == SPACE
            again.recall(name, memory, stamp())
        assert again.books is not None
        assert [again.books.buy.at(NOON + offset * HOUR) for offset in (0.5, 1.5)] == pytest.approx([0.24, 0.36])
        assert again.tick(stamp()) != [], "the price of the running quarter hour goes to history"

    def test_another_bidding_zone_takes_nothing_back(self) -> None:
        site = config()
        kept = memories(SeriesRoom(site).told(told(site, hours(0.1))))
        moved = config({"market": {"feed": {**FEED, "url": "http://127.0.0.1:9/elsewhere"}}})
        room = SeriesRoom(moved)
        for (_, name), memory in kept.items():
            room.recall(name, memory, stamp())
        assert room.books is None
        assert memories(room.tick(stamp())) == {(SPACE, "buy feed market"): None}, "and it leaves the disk"

    def test_a_new_password_or_beat_changes_nothing(self) -> None:
        one = config({"market": {"feed": {**FEED, "token": "old"}}})
        other = config({"market": {"feed": {**FEED, "token": "new", "every_s": 60}}})
        assert origin(one) == origin(other)
        assert "old" not in origin(one)

    @pytest.mark.parametrize(
        "memory",
        [
            None,
            7,
            [],
            {},
            {"origin": "", "slots": 5},
            {"origin": 3, "slots": []},
            {"origin": "x", "slots": [[1, 2]]},
            {"origin": "x", "slots": [["a", {}, None]]},
        ],
    )
    @pytest.mark.parametrize("name", ["buy feed market", "", "buy", "gold feed market"])
    def test_f75_rubbish_is_nothing(self, name: str, memory: Any) -> None:
        room = SeriesRoom(config())
        room.recall(name, memory, stamp())
        assert room.books is None

    def test_the_same_again_is_not_written_again(self) -> None:
        site = config()
        room = SeriesRoom(site)
        assert memories(room.told(told(site, hours(0.1, 0.2))))
        assert room.told(told(site, hours(0.1, 0.2), at=stamp(NOON + 600))) == []
        assert room.told(told(site, hours(0.2, start=NOON + HOUR), at=stamp(NOON + 900))) == []

    def test_it_is_bounded(self) -> None:
        site = config()
        room = SeriesRoom(site)
        room.told(told(site, hours(0.1)))
        later = stamp(NOON + KEPT_PAST_S + 2 * HOUR)
        kept = memories(room.told(told(site, hours(0.3, start=later.wall_s), at=later)))
        assert len(kept[SPACE, "buy feed market"]["slots"]) == 1, "what is long over goes"
        gone: dict[Any, Any] = {}
        for number in range(MOST_SOURCES + 3):
            gone |= memories(room.told(SeriesTold(stamp(later.wall_s + number), BUY, f"vtn-{number}", tuple(hours(0.3, start=later.wall_s)))))
        assert sum(value is None for value in gone.values()) == 4, "with the feed there were so many more than kept"

    def test_more_than_is_kept_from_everybody_harms_nobody(self) -> None:
        site = config()
        room = SeriesRoom(site)
        minutes = [(NOON + index * 60.0, NOON + (index + 1) * 60.0, index / 1e5) for index in range(19_000)]
        for number in range(MOST_SOURCES + 1):
            room.told(SeriesTold(stamp(), BUY, f"vtn-{number}", tuple(minutes)))
        assert room.books is not None
        assert room.books.buy.at(NOON + 90.0) == pytest.approx(1e-5)
        assert room.books.buy.at(NOON + 19_000 * 60.0 - 1.0) == 0.5, "so far ahead nothing is kept of so many"
        later = [(start + 2e6, end + 2e6, value) for start, end, value in minutes]
        (word,) = room.told(SeriesTold(stamp(), BUY, "vtn-0", (*minutes, *later)))
        assert isinstance(word, Tell)

    def test_the_clear_sky_is_computed_anew_and_not_kept(self) -> None:
        site = config(forecast={"pv_plants": [{"latitude": 52, "longitude": 13, "peak_w": 1000}]})
        room = SeriesRoom(site)
        slots = tuple(hours(100.0))
        assert room.told(SeriesTold(stamp(), SeriesKind.CLEAR_SKY, MODEL, slots, origin_of(site.forecast.pv_plants))) == []
        assert room.foreseen.sky is not None


class TestWords:
    def test_missing_prices_are_told_once_and_their_return_too(self) -> None:
        site = config()
        room = SeriesRoom(site)
        words: list[Tell] = []
        for second in range(0, 7200, 60):
            if second == 3600:
                room.told(told(site, hours(0.1, start=NOON + 3000), at=stamp(NOON + second, 1000.0 + second)))
            words += [order for order in room.tick(stamp(NOON + second, 1000.0 + second)) if isinstance(order, Tell)]
        assert [word.severity.value for word in words] == ["warning", "info", "warning"]
        assert "tariff.buy" in words[0].text

    def test_the_price_goes_to_history_each_quarter_hour(self) -> None:
        site = config({"co2_feed": FEED, "co2_per_kg": 0.1})
        room = SeriesRoom(site)
        room.told(told(site, hours(0.1)))
        room.told(told(site, hours(0.4), SeriesKind.CO2, "co2_feed"))
        points = [order for second in range(0, 2700, 10) for order in room.tick(stamp(NOON + second)) if isinstance(order, RecordPoint)]
        assert [point.wall_s - NOON for point in points] == [0.0, 900.0, 1800.0]
        assert points[0].fields == pytest.approx({"buy_per_kwh": 0.24, "sell_per_kwh": 0.07, "co2_kg_per_kwh": 0.4})

    def test_the_page_sees_what_is_known_and_what_is_missing(self) -> None:
        site = config({"sell_market": {"feed": FEED}}, forecast={"load_feed": FEED})
        room = SeriesRoom(site)
        room.told(told(site, hours(0.1, 0.2)))
        seen = {(view.kind, view.source): view for view in room.view(stamp())}
        assert seen["buy", "feed market"].until_wall_s == NOON + 2 * HOUR
        assert seen["buy", "feed market"].value_now == 0.1
        assert "nothing told yet" in seen["sell", "feed sell_market"].trouble
        assert "nothing told yet" in seen["load", "feed load_feed"].trouble
        late = {view.kind: view for view in room.view(stamp(NOON + DAY))}
        assert "ended" in late["buy"].trouble
        assert late["buy"].until_wall_s is None


# -- in the site --------------------------------------------------------------------------------------------


def story(slots: Any = (), **parts: Any) -> Story:
    site = config(**parts)
    one = Story(site)
    one.start()
    one.plug("CP1")
    if slots:
        one.do(told(site, slots, at=one.at()))
    return one


def posed(one: Story, seconds: int = 8) -> Problem:
    one.run(seconds)
    problem = one.problems()[-1]
    assert isinstance(problem, Problem)
    return problem


class TestPlanning:
    def test_prices_come_into_the_next_problem_and_onto_the_page(self) -> None:
        begin = math.ceil(WALL_S / HOUR) * HOUR
        one = story(hours(0.1, -0.3, start=begin))
        problem = posed(one)
        prices = {slot.start_wall_s: price for slot, price in zip(problem.slots, problem.buy_per_kwh, strict=True)}
        assert prices[begin] == pytest.approx(0.24)
        assert prices[begin + HOUR] == pytest.approx(-0.24)
        assert prices[begin + 2 * HOUR] == 0.5
        assert [view.kind for view in one.site.view(one.at()).series] == ["buy"]

    def test_a_negative_price_is_charged_at(self) -> None:
        """Two hours from now a kWh earns 0.24: all that the car needs is planned for then."""
        begin = math.ceil(WALL_S / HOUR) * HOUR + 2 * HOUR
        one = story([*hours(0.1, 0.1, start=begin - 2 * HOUR), *hours(-0.3, start=begin), *hours(0.1, 0.1, start=begin + HOUR)])
        problem = posed(one)
        plan = Live().solve(problem, 20.0)
        assert check(problem, plan) == ()
        (ev,) = problem.evs
        charged = [(slot.start_wall_s, watts * slot.hours) for slot, watts in zip(plan.slots, plan.ev_power_w[ev.ev_id], strict=True)]
        paid_wh = sum(wh for start, wh in charged if begin <= start < begin + HOUR)
        assert paid_wh > 15_000
        assert paid_wh == pytest.approx(sum(wh for _, wh in charged), rel=0.01)

    def test_selling_below_zero_throws_sun_away(self) -> None:
        """With nobody to take it, production that costs money to sell is curtailed; with a car there, it is charged."""
        begin = math.ceil(WALL_S / HOUR) * HOUR
        site = config({"sell_market": {"feed": FEED}}, forecast={"pv_w": [30_000.0] * 24, "load": "off"})
        one = Story(site)
        one.start()
        one.do(told(site, hours(*[0.1] * 26, start=begin - HOUR), at=one.at()))
        one.do(told(site, hours(*[-0.2] * 26, start=begin - HOUR), SeriesKind.SELL, "sell_market", one.at()))
        problem = posed(one, 70)
        plan = Live().solve(problem, 20.0)
        assert check(problem, plan) == ()
        assert set(problem.sell_per_kwh) == {-0.2}
        assert min(plan.grid_power_w) >= -1.0

    def test_a_restored_series_is_planned_with(self) -> None:
        begin = math.ceil(WALL_S / HOUR) * HOUR
        first = story()
        kept = memories(first.do(told(first.config, hours(0.1, start=begin), at=first.at())))
        again = Story(first.config)
        again.do(Restored(again.at(), {key: value for key, value in kept.items() if key[0] == SPACE}, ()))
        again.start()
        again.plug("CP1")
        problem = posed(again)
        assert pytest.approx(0.24) in problem.buy_per_kwh

    @pytest.mark.parametrize(("midnight", "hours_of_day"), [("2026-10-24T22:00:00", 25), ("2026-03-28T23:00:00", 23)])
    def test_both_nights_of_the_clock_change(self, midnight: str, hours_of_day: int) -> None:
        """Each quarter hour of the local day has its own price, doubled or lost by nobody."""
        begin = datetime.fromisoformat(midnight).replace(tzinfo=UTC).timestamp()
        quarters = [(begin + index * QUARTER, begin + (index + 1) * QUARTER, index / 1000) for index in range(hours_of_day * 4)]
        base = {"tariff": {"market": {"feed": FEED}}, "site": {"id": "test", "timezone": "Europe/Berlin"}}
        site = Config.model_validate({**depot(1).model_dump(mode="json", exclude_unset=True), **base})
        room = SeriesRoom(site)
        room.told(told(site, quarters, at=stamp(begin)))
        assert room.books is not None
        segments = room.books.buy.segments(begin, begin + hours_of_day * HOUR)
        assert segments == [(start, value) for start, _, value in quarters]

    def test_quarter_hours_far_away_do_not_make_a_plan_slow(self) -> None:
        site = config()
        room = SeriesRoom(site)
        room.told(told(site, [(NOON + index * QUARTER, NOON + (index + 1) * QUARTER, (index * 37 % 100) / 1000) for index in range(140)]))
        assert room.books is not None
        edges = price_edges(room.books.buy, NOON + 400.0)
        assert sum(edge < NOON + NEAR_S for edge in edges) == 31
        assert sum(edge >= NOON + NEAR_S for edge in edges) == 24
        later = price_edges(room.books.buy, NOON + 800.0)
        assert set(edges) == set(later), "within a quarter hour the grid stays"


class TestForecasts:
    def test_co2_of_a_feed_and_the_mean_where_it_has_none(self) -> None:
        begin = math.ceil(WALL_S / HOUR) * HOUR
        site = config({"co2_feed": FEED, "co2_per_kg": 0.2})
        one = Story(site)
        one.start()
        one.plug("CP1")
        one.do(told(site, hours(0.1, 0.5, start=begin), SeriesKind.CO2, "co2_feed", one.at()))
        problem = posed(one)
        found = {slot.start_wall_s: value for slot, value in zip(problem.slots, problem.co2_kg_per_kwh, strict=True)}
        assert (problem.co2_per_kg, found[begin], found[begin + HOUR]) == (0.2, 0.1, 0.5)
        assert found[begin + 2 * HOUR] == pytest.approx(0.3)

    def test_a_load_and_a_pv_feed_hold_before_what_is_learnt_and_begin_at_now(self) -> None:
        begin = math.ceil(WALL_S / HOUR) * HOUR
        pv_meter = {"id": "sun", "role": "pv", "source": {"type": "mqtt", "topic": "sun"}}
        site = config({}, forecast={"pv_feed": FEED, "load_feed": FEED, "pv_w": [500.0] * 24}, meters=[pv_meter], mqtt={"host": "127.0.0.1"})
        one = Story(site)
        one.start()
        one.plug("CP1")
        one.do(told(site, hours(*[9000.0] * 6, start=begin - HOUR), SeriesKind.PV, "pv_feed", one.at()))
        one.do(told(site, hours(*[20_000.0] * 6, start=begin - HOUR), SeriesKind.LOAD, "load_feed", one.at()))
        problem = posed(one)
        late = [index for index, slot in enumerate(problem.slots) if begin + 2 * HOUR <= slot.start_wall_s < begin + 4 * HOUR]
        assert {round(problem.pv_w[index]) for index in late} == {9000}
        root = next(node for node in problem.nodes if node.parent is None)
        assert {round(sum(root.other_load_a[index]) * problem.voltage_v) for index in late} == {20_000}
        after = [index for index, slot in enumerate(problem.slots) if slot.start_wall_s >= begin + 8 * HOUR]
        assert {round(problem.pv_w[index]) for index in after} == {500}
