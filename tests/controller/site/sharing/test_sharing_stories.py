"""Sharing in a closed loop: turns, priorities, unused offers and the balance of the phases over minutes."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from controller.config import Config
from controller.facts import DriverKnown, EvseKey, EvseMeasured, FeaturesLearned, LimitStep, NeedsAnnounced, StationOnline, UpstreamWished
from controller.orders import Inject
from tests.support.site_story import WALL_S, Story, depot

ROTATIONS = (("L1", "L2", "L3"), ("L2", "L3", "L1"), ("L3", "L1", "L2"))


def rotated(count: int, **parts: Any) -> Config:
    """Stations whose first phase is L1, L2, L3 in turn."""
    data = depot(count, **parts).model_dump(mode="python", exclude_unset=True)
    for number, station in enumerate(data["stations"]):
        station["evses"] = [{**station["evses"][0], "phases": ROTATIONS[number % 3]}]
    return Config.model_validate(data)


def key(number: int) -> EvseKey:
    return EvseKey(f"CP{number}", 1)


def charging(told: Story, seconds: int) -> list[set[int]]:
    """Who draws, second by second."""
    seen = []
    for _ in range(seconds):
        told.step()
        seen.append({int(one.station_id[2:]) for one, amps in told.drawn_a.items() if amps >= 6.0})
    return seen


def test_turns_last_as_long_as_configured_and_everybody_gets_one() -> None:
    """18 A less 1 A and 10 A of building leave one minimum; three cars, turns of 60 s."""
    told = Story(depot(3, fuse_a=18.0, worst_other_load_a=10.0, evse={"fallback_a": 0}, control={"turn_s": 60}))
    told.start()
    for number in (1, 2, 3):
        told.plug(key(number))
    seen = charging(told, 550)  # then the story's plan takes over
    served = {number: sum(number in one for one in seen) for number in (1, 2, 3)}
    assert all(len(one) <= 1 for one in seen)
    assert min(served.values()) >= 160
    switches = sum(before != after for before, after in pairwise(seen))
    assert switches <= 2 * 550 / 60 + 2


def test_a_driver_of_higher_priority_takes_the_only_place_and_priority_charging_beats_it() -> None:
    told = Story(depot(3, fuse_a=18.0, worst_other_load_a=10.0, evse={"fallback_a": 0}))
    told.start()
    for number in (1, 2, 3):
        told.plug(key(number))
    told.run(30)
    session = told.site.evses[key(2)].session
    assert session is not None
    told.do(DriverKnown(told.at(), key(2), session.transaction_id, 4, group="vans"))
    told.run(40)
    assert charging(told, 1) == [{2}]
    told.do(UpstreamWished(told.at(), key(3), (), "", prioritised=True))
    told.run(40)
    assert charging(told, 1) == [{3}]


def test_an_unused_offer_goes_to_others_and_comes_back_when_it_is_used() -> None:
    """53 A less 1 A and 10 A leave 42 A for two; one car takes only 8 A at first."""
    told = Story(depot(2, fuse_a=53.0, worst_other_load_a=40.0, control={"unused_after_s": 20}))
    told.start()
    told.plug(key(1), wants_a=8.0)
    told.plug(key(2))
    told.run(90)
    assert (told.drawn_a[key(1)], told.drawn_a[key(2)]) == (8.0, 31.0)
    told.wants_a[key(1)] = 32.0
    told.run(120)
    assert (told.drawn_a[key(1)], told.drawn_a[key(2)]) == (21.0, 20.0)


def test_one_phase_cars_never_unbalance_the_grid_for_more_than_a_moment() -> None:
    """Six cars on one phase each come and go; after a car has left the others have the time a cut takes."""
    told = Story(rotated(6, fuse_a=100.0, grid={"max_unbalance_a": 16}))
    told.start()
    over = 0
    present: set[int] = set()
    for minute, number in enumerate((1, 4, 2, 3, 1, 5, 6, 2, 4, 3, 5, 6)):
        if number in present:
            told.unplug(key(number))
            present.discard(number)
        else:
            told.one_phase.add(told.plug(key(number)))
            present.add(number)
        for second in range(60):
            told.step()
            flows = told.metered_a(0.0)
            too_much = max(flows) - min(flows) > 16.0 + 1e-6
            over += too_much
            assert not (too_much and second > 8), (minute, second, flows)
    assert over < 60


def test_an_unbalance_limit_lets_everybody_charge() -> None:
    """Three on the same phase, room for two minimums: they take turns."""
    config = depot(3, fuse_a=100.0, grid={"max_unbalance_a": 13}, evse={"phases": ["L1"], "fallback_a": 0}, control={"turn_s": 60})
    told = Story(config)
    told.start()
    for number in (1, 2, 3):
        told.one_phase.add(told.plug(key(number)))
    seen = charging(told, 550)
    assert all(len(one) <= 2 for one in seen)
    assert all(sum(number in one for one in seen) >= 300 for number in (1, 2, 3))


# -- giving back ---------------------------------------------------------------------------------------------


class GivingStory(Story):
    """CP1's car gives back what it is told to; ``sulking``: it stops at once and tells nobody."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.given_a: dict[EvseKey, float] = {}
        self.sulking = False

    def _inject(self, order: Inject) -> None:
        if order.setpoint_w is not None:
            self.given_a[order.evse] = -order.setpoint_w / 690.0
        else:
            self.given_a.pop(order.evse, None)
        super()._inject(order)

    def flow_a(self, one: EvseKey) -> float:
        """What flows per phase, negative = given back."""
        given_a = 0.0 if self.sulking else self.given_a.get(one, 0.0)
        return self.drawn_a[one] - given_a

    def metered_a(self, building_a: float) -> tuple[float, float, float]:
        total_a = building_a + sum(self.flow_a(one) for one in self.drawn_a)
        return total_a, total_a, total_a

    def report(self) -> None:
        for one in self.drawn_a:
            amps = self.flow_a(one) if not self.sulking else self.drawn_a[one] - self.given_a.get(one, 0.0)
            self.do(EvseMeasured(self.at(), one, (amps,) * 3, power_w=690.0 * amps, soc_percent=80.0))


def bidirectional(**grid: Any) -> GivingStory:
    """CP1 may give back 11 kW; CP2 charges. The CSMS wants 10 A back from CP1."""
    config = depot(2, fuse_a=32.0, worst_other_load_a=15.0, evse={"v2g": {"max_discharge_w": 11_000}}, grid=grid)
    told = GivingStory(config)
    told.do(FeaturesLearned(told.at(), "CP1", modes=("CentralSetpoint",), v2x=(1,)))
    told.start()
    told.do(StationOnline(told.at(), "CP1", "2.1"))
    for number in (1, 2):
        told.plug(key(number))
    told.do(NeedsAnnounced(told.at(), key(1), None, None, max_discharge_w=11_000.0, bidirectional=True))
    step = LimitStep(WALL_S, 0.0, discharge_a=-16.0, setpoint_a=-10.0, mode="CentralSetpoint")
    told.do(UpstreamWished(told.at(), key(1), (step,), "upstream profile 4"))
    return told


def test_what_a_car_gives_back_is_nobodys_room_even_when_it_stops_at_once() -> None:
    told = bidirectional()
    told.run(60)
    assert round(told.given_a[key(1)], 3) == 10.0
    assert 20.0 <= told.drawn_a[key(2)] <= 21.0, "32 A less 1 A kept free and 10 A of building: what is given back counts for nothing"
    told.sulking = True
    told.run(30)
    assert max(told.metered_a(10.0)) <= 32.0


def test_a_site_that_must_not_feed_in_never_does() -> None:
    """Only the building takes it: what is measured to flow besides the cars, less what is kept free."""
    told = bidirectional(max_export_w=0.0)
    told.unplug(key(2))
    for building_a in (10.0, 3.0, 8.0):
        told.run(20, building_a)
        assert min(told.metered_a(building_a)) >= 0.0
        assert told.given_a[key(1)] > 0.5 * (building_a - 1.0)


def test_nothing_is_given_back_while_the_meter_is_silent() -> None:
    told = bidirectional()
    told.run(30)
    assert key(1) in told.given_a
    told.run(15, building_a=None)
    assert key(1) not in told.given_a
