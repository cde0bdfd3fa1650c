"""Cars that sleep after a pause (trap 19)."""

from __future__ import annotations

from controller.facts import EvseKey
from controller.orders import Wake
from controller.site.stations.charger import ChargerModel
from tests.support.site_story import Story, depot

CP1 = EvseKey("CP1", 1)


def paused_and_offered(resume: str = "status", drew: bool = True) -> Story:
    told = Story(depot(1), models={"generic": ChargerModel("generic", apply_s=2.0, resume=resume)})
    told.start()
    told.plug(CP1, current_a=None if drew else 0.0, wants_a=32.0 if drew else 0.0)
    told.run(20)
    told.limit(12.0, valid_for_s=30.0)
    told.run(20)
    assert told.site.actuator.channels[CP1].known_a(told.now) == 0.0
    told.wants_a[CP1] = 0.0  # asleep
    told.run(20)
    assert told.site.actuator.channels[CP1].known_a(told.now) >= 6.0
    return told


def wakes(told: Story) -> list[tuple[float, str]]:
    return [(when, order.trick) for when, order in told.orders if isinstance(order, Wake)]


def test_a_sleeping_car_is_woken_twice_and_no_more() -> None:
    told = paused_and_offered()
    offered_at = next(when for when, limit_a in reversed(told.injected(CP1)) if limit_a >= 6.0)
    told.run(400)
    found = wakes(told)
    assert [trick for _, trick in found] == ["status", "status"]
    assert 30.0 <= found[0][0] - offered_at <= 70.0
    assert found[1][0] - found[0][0] >= 60.0


def test_the_trick_is_the_models() -> None:
    told = paused_and_offered("availability")
    told.run(60)
    assert [trick for _, trick in wakes(told)] == ["availability"]
    silent = paused_and_offered("none")
    silent.run(200)
    assert wakes(silent) == []


def test_a_car_that_wakes_up_by_itself_is_left_alone() -> None:
    told = paused_and_offered()
    told.wants_a[CP1] = told.drawn_a[CP1] = 16.0
    told.run(200)
    assert wakes(told) == []


def test_a_car_that_never_drew_is_not_woken() -> None:
    told = paused_and_offered(drew=False)
    told.run(200)
    assert wakes(told) == []


def test_without_a_pause_nobody_is_woken_and_a_new_session_starts_over() -> None:
    told = Story(depot(1))
    told.start()
    told.plug(CP1)
    told.run(20)
    told.wants_a[CP1] = told.drawn_a[CP1] = 0.0  # full
    told.run(200)
    assert wakes(told) == []


def test_the_waking_offer_is_never_below_the_minimum() -> None:
    told = paused_and_offered()
    told.run(100)
    assert all(limit_a == 0.0 or limit_a >= 6.0 for _, limit_a in told.injected(CP1))
