"""Cars that stop below a current of their own."""

from __future__ import annotations

from controller.facts import EvseKey
from tests.support.site_story import Story, depot

CP1, CP2 = EvseKey("CP1", 1), EvseKey("CP2", 1)


class Picky(Story):
    """A story with a car that does not charge below a current of its own."""

    stops_below_a = 8.0

    def settle(self) -> None:
        super().settle()
        if CP1 in self.drawn_a:
            told_a = self.limits_a.get(CP1, 6.0)
            self.drawn_a[CP1] = 0.0 if told_a < self.stops_below_a else min(told_a, self.wants_a[CP1])


def picky(stops_below_a: float = 8.0) -> Picky:
    """Two cars at a fuse of 32 A. With 5 A of the building they have 13 A each, with 18 A 6 or 7 A each."""
    told = Picky(depot(2, fuse_a=32.0, worst_other_load_a=20.0))
    told.stops_below_a = stops_below_a
    told.start()
    told.plug(CP1)
    told.plug(CP2)
    told.run(60, 5.0)
    assert told.drawn_a[CP1] >= 10.0
    return told


def least(told: Story) -> float:
    return told.site.actuator.channels[CP1].session_min_a


def test_it_gets_what_it_needs_or_nothing() -> None:
    told = picky()
    told.run(400, 16.0)
    assert least(told) == 8.0
    assert told.drawn_a[CP1] == 0.0 or told.drawn_a[CP1] >= 8.0
    charged = 0
    for _ in range(1200):
        told.step(16.0)
        charged += told.drawn_a[CP1] >= 8.0
        assert told.metered_a(16.0)[0] <= 32.0
    assert charged > 300, "it takes its turn now"


def test_ten_amps_are_learned_in_two_steps() -> None:
    told = picky(10.0)
    told.run(1200, 16.0)
    assert least(told) == 10.0


def test_a_car_that_stops_for_good_is_not_learned_from() -> None:
    told = picky(8.0)
    told.wants_a[CP1] = 0.0
    told.run(600, 16.0)
    told.run(900, 5.0)
    assert least(told) == 0.0


def test_an_obedient_car_is_left_alone() -> None:
    told = picky(6.0)
    told.run(600, 16.0)
    assert least(told) == 0.0


def test_it_is_forgotten_with_the_session() -> None:
    told = picky()
    told.run(400, 16.0)
    told.unplug(CP1)
    assert least(told) == 0.0
