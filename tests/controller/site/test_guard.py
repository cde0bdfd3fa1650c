"""The guard: excess to cut in one call, and patience with a station that does not follow."""

from __future__ import annotations

from dataclasses import replace

import pytest

from controller.facts import EvseKey
from controller.orders import Inject
from controller.site.actuate import Channel, Sent
from controller.site.guard import Escalation, Excess, Step, excesses
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


# -- escalation ------------------------------------------------------------------------------------------


def disobedient(apply_s: float = 2.0) -> Channel:
    place = Story(depot(1)).site.layout.places[CP1]
    channel = Channel(replace(place, model=replace(place.model, apply_s=apply_s)), online=True)
    channel.accepted = Sent(1, 6.0, "fuse L1", 0.0, 1e9)
    channel.lowered_mono_s = 0.0
    return channel


def steps(channel: Channel, until: int, drawn_a: float = 16.0) -> dict[int, tuple[Step, ...]]:
    escalation = Escalation()
    found = {now: escalation.look(channel, drawn_a, now - 0.5, False, float(now)) for now in range(1, until)}
    return {now: due for now, due in found.items() if due}


def test_resend_pause_block_alarm_at_their_times() -> None:
    assert steps(disobedient(), 80) == {10: (Step.RESENT,), 20: (Step.PAUSED,), 40: (Step.BLOCKED,), 60: (Step.ALARMED,)}


def test_a_slow_charger_gets_its_time() -> None:
    assert min(steps(disobedient(apply_s=30.0), 80)) == 36


@pytest.mark.parametrize("drawn_a", [0.0, 6.0, 6.9])
def test_a_car_at_its_setpoint_is_left_alone(drawn_a: float) -> None:
    assert steps(disobedient(), 80, drawn_a) == {}


def test_coming_back_is_noticed_and_starts_over() -> None:
    escalation, channel = Escalation(), disobedient()
    for now in range(1, 25):
        escalation.look(channel, 16.0, now - 0.5, False, float(now))
    assert escalation.paused == {CP1}
    assert escalation.look(channel, 6.0, 25.0, False, 25.0) is None
    assert not escalation.disobeying
    assert escalation.look(channel, 6.0, 26.0, False, 26.0) == ()


def test_a_station_that_tells_nothing_since_its_cut_is_pursued_only_while_the_fuse_is_over() -> None:
    escalation, channel = Escalation(), disobedient()
    for now in range(1, 30):
        escalation.look(channel, 16.0, -1.0, False, float(now))
    assert not escalation.pursuits
    for now in range(30, 42):
        escalation.look(channel, 16.0, -1.0, True, float(now))
    assert escalation.disobeying == {CP1}


def test_a_value_from_before_the_car_could_react_is_no_disobedience() -> None:
    # Stations that sample once a minute: the only value after the cut is a second old when the cut came.
    escalation, channel = Escalation(), disobedient()
    assert [escalation.look(channel, 16.0, 1.0, False, float(now)) for now in range(2, 60)] == [()] * 58
    assert escalation.look(channel, 16.0, 61.0, False, 61.5) == (Step.RESENT,)
