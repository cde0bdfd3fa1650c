"""The guard: excess to cut in one call."""

from __future__ import annotations

import pytest

from controller.facts import EvseKey
from controller.orders import Inject
from controller.site.guard import Excess, excesses
from tests.support.site_story import Story, depot

CP1 = EvseKey("CP1", 1)


@pytest.mark.parametrize(
    ("measured", "limit", "phases"), [((63.0, 64.0, 62.0), 63.0, [1]), ((63.0, 63.0, 63.0), 63.0, []), ((9.0, 9.0, 9.0), 0.0, [0, 1, 2])]
)
def test_excess_is_above_the_limit_without_margin(measured: tuple[float, float, float], limit: float, phases: list[int]) -> None:
    found = excesses("grid", measured, limit)
    assert [one.phase for one in found] == phases
    assert all(one == Excess("grid", one.phase, measured[one.phase], limit) for one in found)


def test_one_reading_over_the_fuse_lowers_setpoints_in_the_same_call_without_solver_or_plan() -> None:
    told = Story(depot(3))
    told.start()
    for number in range(3):
        told.plug(f"CP{number + 1}")
    told.run(20)
    before = {key: told.site.actuator.channels[key].present_a(told.now) for key in told.drawn_a}
    told.now += 1
    orders = [order for order in told.site.handle(told.reading(told.metered_a(35.0))) if isinstance(order, Inject)]
    assert {order.evse for order in orders} == set(before)
    assert all(order.urgent and order.limit_a < before[order.evse] and "fuse L" in order.reason for order in orders)
    assert sum(order.limit_a for order in orders) <= 63 - 35


def test_only_the_phase_in_trouble_is_cut() -> None:
    told = Story(depot(2, evse={"phases": ["L1"]}))
    second = told.config.stations[1].model_copy(update={"evses": (told.config.stations[1].evses[0].model_copy(update={"phases": ("L2",)}),)})
    told = Story(told.config.model_copy(update={"stations": (told.config.stations[0], second)}))
    told.start()
    told.plug("CP1")
    told.plug("CP2")
    told.run(20)
    told.now += 1
    amps = told.metered_a(10.0)
    orders = [order for order in told.site.handle(told.reading((amps[0] + 40, amps[1], amps[2]))) if isinstance(order, Inject)]
    assert [order.evse for order in orders] == [CP1]


def test_the_same_excess_is_not_cut_twice_while_cars_react() -> None:
    told = Story(depot(1))
    told.reaction_s = 4.0
    told.start()
    told.plug("CP1")
    told.run(20)
    for _ in range(3):
        told.now += 1
        told.do(told.reading(told.metered_a(39.9)))
    lowered = [limit_a for _, limit_a in told.injected(CP1)][-2:]
    assert lowered == [32.0, 22.0]


def test_after_an_excess_nothing_rises_for_a_while() -> None:
    told = Story(depot(1))
    told.start()
    told.plug("CP1")
    told.run(20)
    told.run(5, 44.9)
    assert told.site.actuator.channels[CP1].present_a(told.now) == 17.0
    cut_at = told.now - 4
    told.run(30)
    up = next(when for when, limit_a in told.injected(CP1) if when > cut_at and limit_a > 17.0)
    assert up - cut_at >= 10
