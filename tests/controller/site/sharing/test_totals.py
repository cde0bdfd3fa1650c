"""A limit in watts in a closed loop: one row for all phases together, beside the fuse of each."""

from __future__ import annotations

from typing import Any

import pytest

from controller.config import Config
from controller.facts import EvseKey, LimitStep, LimitUnit, SiteWished
from controller.orders import Inject
from controller.site.sharing.rows import drawing
from controller.site.telling.why import explain
from controller.snapshot import WhyView
from tests.support.signal_story import SignalStory, entry
from tests.support.site_story import WALL_S, Story, depot

WATTS = LimitUnit.W
VOLTS = 230.0
ROTATIONS = (("L1", "L2", "L3"), ("L2", "L3", "L1"), ("L3", "L1", "L2"))


def key(number: int) -> EvseKey:
    return EvseKey(f"CP{number}", 1)


def turned(count: int, **parts: Any) -> Config:
    """Stations whose first phase is L1, L2, L3 in turn."""
    data = depot(count, **parts).model_dump(mode="python", exclude_unset=True)
    for number, station in enumerate(data["stations"]):
        station["evses"] = [{**station["evses"][0], "phases": ROTATIONS[number % 3]}]
    return Config.model_validate(data)


class Total(Story):
    """Cars on one phase or three; what each phase and all of them carry, second by second. others_a: besides the cars."""

    def __init__(self, config: Config, others_a: tuple[float, float, float] = (9.5, 9.5, 9.5)) -> None:
        super().__init__(config)
        self.others_a = others_a
        self.seen_a: list[tuple[float, float, float]] = []

    def metered_a(self, building_a: float) -> tuple[float, float, float]:
        cars_a = super().metered_a(0.0)
        first, second, third = (own + cars for own, cars in zip(self.others_a, cars_a, strict=True))
        return first, second, third

    def step(self, building_a: float | None = 10.0, report: bool = True) -> None:
        super().step(building_a, report)
        self.seen_a.append(self.metered_a(0.0))

    def plugged(self, *wired: int) -> Total:
        """One car per figure, on so many phases."""
        self.start()
        for number, phases in enumerate(wired, 1):
            if phases == 1:
                self.one_phase.add(key(number))
            self.plug(key(number))
        self.run(90)
        return self

    def drawn_w(self) -> float:
        """What the phases that draw take now."""
        return VOLTS * sum(max(0.0, amps) for amps in self.seen_a[-1])

    def held(self, seconds: int, total_w: float, fuse_a: float) -> None:
        """Nothing above the limit in watts or a fuse in all of that time."""
        for amps in self.seen_a[-seconds:]:
            assert VOLTS * sum(max(0.0, one) for one in amps) <= total_w + 1.0
            assert max(amps) <= fuse_a


def test_cars_on_one_phase_use_the_limit_up_to_their_fuse() -> None:
    """20 kW less 6.6 kW of the building are 58 A; the fuse of 63 A leaves 52 A on L1. A third of 20 kW would leave 19 A there."""
    story = Total(depot(4, fuse_a=63.0)).plugged(1, 1, 1, 1)
    story.limit(20_000.0, WATTS)
    story.run(120)
    story.held(110, 20_000.0, 63.0)
    assert sum(story.drawn_a.values()) == 52.0


def test_the_limit_itself_holds_where_the_fuse_is_wide() -> None:
    """20 kW are 86.9 A at 230 V; 28.5 A flow besides; six cars on one phase share 58 A of L1, in whole amperes."""
    story = Total(depot(6, fuse_a=125.0)).plugged(1, 1, 1, 1, 1, 1)
    story.limit(20_000.0, WATTS)
    story.run(120)
    story.held(110, 20_000.0, 125.0)
    assert sum(story.drawn_a.values()) == 58.0


@pytest.mark.parametrize("wired", [(3, 1, 1, 3), (3, 3, 3, 3), (1, 1, 3, 1)])
def test_a_building_that_rises_is_made_room_for_at_once(wired: tuple[int, ...]) -> None:
    """The reading that shows the sum above the limit brings the lower setpoints in the same call, though no phase is full."""
    story = Total(turned(4, fuse_a=125.0)).plugged(*wired)
    story.limit(30_000.0, WATTS)
    story.run(120)
    story.others_a = (22.0, 8.0, 20.0)
    orders = story.do(story.reading(story.metered_a(0.0)))
    cuts = [order for order in orders if isinstance(order, Inject)]
    assert cuts
    told_a = story.drawn_a | {order.evse: order.limit_a for order in cuts}
    phases = {one: len(story.site.evses[one].phases) for one in told_a}
    assert 50.0 * VOLTS + sum(VOLTS * amps * phases[one] for one, amps in told_a.items()) <= 30_000.0
    assert all(order.limit_a < story.drawn_a[order.evse] for order in cuts)
    story.run(30)
    story.held(20, 30_000.0, 125.0)


def test_an_excess_of_the_sum_is_told_as_one() -> None:
    story = Total(depot(2, fuse_a=63.0)).plugged(3, 3)
    story.stubborn |= {key(1), key(2)}
    story.limit(15_000.0, WATTS)
    story.run(10)
    assert any("grid over all phases measured" in text for text in story.told("limit 65 A"))


def test_a_limit_in_amps_stays_one_of_each_phase_beside_it() -> None:
    story = Total(depot(3, fuse_a=63.0)).plugged(1, 1, 1)
    story.limit(20.0, LimitUnit.A, source="api")
    story.limit(20_000.0, WATTS)
    story.run(120)
    assert sum(story.drawn_a.values()) == 10.0  # 20 A on L1 less 9.5 A of the building; 58 A of the total are not touched
    story.limit(8_300.0, WATTS)  # 36 A, of which 7.5 A are left: the lower of both holds
    story.run(60)
    assert sum(story.drawn_a.values()) == 7.0


def test_what_one_phase_feeds_in_makes_room_there_only() -> None:
    """8 kW are 34.8 A. L1 feeds 20 A in, L2 and L3 draw 4 A each: 26 A are left beside L1, which has its 20 A in addition."""
    sunny = turned(3, fuse_a=63.0, forecast={"pv_w": [5000.0] * 24})
    story = Total(sunny, (-20.0, 4.0, 4.0)).plugged(1, 1, 1)
    story.limit(8_000.0, WATTS)
    story.run(150)
    story.held(120, 8_000.0, 63.0)
    first, second, third = story.seen_a[-1]
    assert second + third <= 34.8
    assert max(0.0, first) + second + third >= 33.0  # used, to the last whole ampere
    assert story.drawn_a[key(1)] >= 20.0


def test_a_car_whose_phases_nobody_knows_counts_with_all_of_them() -> None:
    story = Total(depot(2, fuse_a=63.0))
    story.start()
    story.limit(16_100.0, WATTS)  # 70 A less 28.5 A of the building
    story.one_phase |= {key(1), key(2)}
    story.plug(key(1))
    story.plug(key(2))
    for _ in range(4):
        story.step(report=False)
    assert all(len(story.site.evses[key(number)].phases) == 3 for number in (1, 2))
    assert sum(grant.limit_a for grant in story.site.grants.values()) * 3 <= 41.5
    story.run(90)
    assert sum(story.drawn_a.values()) == 41.0


def test_a_circuit_below_has_a_total_of_its_own() -> None:
    story = Total(depot(3, fuse_a=125.0, circuits=2)).plugged(1, 1, 1)
    hall = story.site.layout.places[key(1)].circuit
    assert hall != "grid"
    inside = [one for one in story.site.evses if story.site.layout.places[one].circuit == hall]
    story.limit(4_000.0, WATTS, circuit=hall)
    story.run(120)
    assert 12.0 <= sum(story.drawn_a[one] for one in inside) <= 17.0  # 17.4 A; a third of it would carry nobody
    outside = [one for one in story.site.evses if one not in inside]
    assert all(story.drawn_a[one] == 32.0 for one in outside)


def test_why_only_so_much_is_told_in_kilowatts() -> None:
    story = Total(depot(6, fuse_a=125.0)).plugged(1, 1, 1, 1, 1, 1)
    story.limit(20_000.0, WATTS)
    story.run(120)
    found: WhyView = explain(story.site, key(1), story.at())
    row = next(row for row in found.rows if row.w_per_a is not None)
    assert (row.what, row.phase, row.w_per_a) == ("fleet limit (mqtt)", "L1+L2+L3", 230.0)
    assert row.carries_a * 230.0 == pytest.approx(20_000.0)
    assert row.carries_a == pytest.approx(row.other_a + row.margin_a + row.booked_a + row.others_a + row.own_a + row.left_a)
    assert row.binds
    assert "fleet limit (mqtt) allows 20.0 kW and is full (6.6 kW other load, " in found.sentence
    assert "kW other cars, 0.0 kW kept free)" in found.sentence


def test_the_page_shows_no_phase_limited_to_a_third() -> None:
    story = Total(depot(4, fuse_a=63.0)).plugged(1, 1, 1, 1)
    story.limit(20_000.0, WATTS)
    story.run(60)
    view = story.site.view(story.at())
    assert view.circuits[0].limit_a == (63.0, 63.0, 63.0)
    limit = next(one for one in view.limits if one.source == "mqtt")
    assert (limit.value, limit.unit) == (20_000.0, "W")
    said = story.published("limit/state")[-1]["circuits"]["grid"]
    assert (said["source"], said["total_w"]) == ("mqtt", 20_000.0)


def test_a_site_of_one_phase_is_limited_there() -> None:
    story = Story(depot(2, grid={"phases": 1}, fuse_a=63.0, evse={"phases": ["L1"]}))
    story.one_phase |= {key(1), key(2)}
    story.start()
    story.plug(key(1))
    story.plug(key(2))
    story.run(60, 9.5)
    story.limit(6_900.0, WATTS)
    story.run(60, 9.5)
    assert sum(story.drawn_a.values()) == 20.0  # 30 A less 9.5 A
    assert story.site.frozen is not None
    assert not any(row.phases for row in story.site.frozen.rows)


def test_all_controllable_loads_together_whatever_their_phases() -> None:
    """The building does not count; the cars' sum has all of 16.8 kW but the last ampere."""
    story = SignalStory(entry("eebus", binds="controllable", failsafe_w="section_14a", failsafe_production_w=None), count=4, fuse_a=160.0)
    story.start()
    for number in (1, 2, 3, 4):
        story.one_phase.add(key(number))
        story.plug(key(number))
    story.beat()
    story.say(16_800.0)
    for _ in range(90):
        story.beat()
        story.step(30.0)
    used_w = VOLTS * sum(story.drawn_a.values())
    assert 16_800.0 - VOLTS < used_w <= 16_800.0


def test_a_csms_total_for_all_its_chargers_is_one_row() -> None:
    story = Total(depot(4, fuse_a=125.0)).plugged(1, 1, 1, 1)
    amps = 13_800.0 / (3 * VOLTS)
    story.do(SiteWished(story.at(), "test", (LimitStep(WALL_S, amps, total=True),), "CSMS limit for the site (profile 7)"))
    story.run(60)
    assert sum(story.drawn_a.values()) == 60.0
    assert story.told("CSMS limit for the site (profile 7) holds now: 13.8 kW for all its chargers")
    story.do(SiteWished(story.at(), "test", (LimitStep(WALL_S, amps),), "CSMS limit for the site (profile 8)"))
    story.run(60)
    assert sum(story.drawn_a.values()) == 20.0


@pytest.mark.parametrize(
    ("other_a", "rows"),
    [
        ((5.0, 5.0, 5.0), [(0, 1, 2)]),
        ((-5.0, 5.0, 5.0), [(0, 1, 2), (1, 2)]),
        ((-5.0, -5.0, 5.0), [(0, 1, 2), (1, 2), (0, 2), (2,)]),
        ((-5.0, -5.0, -5.0), [(0, 1, 2), (1, 2), (0, 2), (0, 1), (2,), (1,), (0,)]),
    ],
)
def test_beside_the_sum_of_all_phases_stands_one_without_each_that_feeds_in(
    other_a: tuple[float, float, float], rows: list[tuple[int, ...]]
) -> None:
    assert drawing((0, 1, 2), other_a) == rows
