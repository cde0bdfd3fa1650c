"""Transcripts of POST /api/v1/commissioning that try to do harm: to lift a setpoint, starve others, keep a station out, outlive the test."""

from __future__ import annotations

from typing import Any

import pytest

from controller.facts import Deed, EvseKey, EvseMeasured, FloorConfirmed, Probe, SetpointAnswered, StationOffline, StationOnline, TrialAsked
from controller.orders import ClearSetpoint, HoldOffStation, Inject, InstallFloor, Order, Wake
from controller.site.stations.charger import ChargerModel
from controller.site.stations.narrowing import EASE_S, MAX_HELD_S
from controller.site.stations.oversight import Oversight
from tests.support.site_story import QUICK, Story, depot

ONE, TWO = EvseKey("CP1", 1), EvseKey("CP2", 1)
GREEDY = {"generic": ChargerModel(name="generic", apply_s=2.0, overdraw_part=0.05)}


def story(count: int = 2, models: dict[str, ChargerModel] | None = None, **parts: Any) -> Story:
    told = Story(depot(count, **parts), models or QUICK)
    told.start()
    for number in range(count):
        told.plug(f"CP{number + 1}")
    told.run(60)
    return told


def ask(told: Story, limit_a: float | None, for_s: float = 20.0, **more: Any) -> list[Order]:
    return told.do(TrialAsked(told.at(), more.pop("evse", ONE), limit_a, for_s, more.pop("session", "me"), **more))


def keep_asking(told: Story, limit_a: float | None, seconds: int, **more: Any) -> None:
    for _ in range(seconds):
        ask(told, limit_a, **more)
        told.step()


def probes(told: Story) -> list[Inject]:
    return [order for order in told.of(Inject) if order.number < 0]


# -- above what the arbiter allows ----------------------------------------------------------------------------


def test_a_probe_is_told_no_more_than_the_setpoint_where_cars_draw_more_than_told() -> None:
    """5 % overdraw: 10 A that count are 9.5 A told. A probe of 10 A would draw 10.5 A."""
    told = story(models=GREEDY)
    keep_asking(told, 10.0, 15)
    ask(told, 10.0, probe=Probe(32.0, 30.0, "tx_default"))
    told.run(2)
    assert [order.limit_a for order in probes(told)] == [pytest.approx(told.limits_a[ONE])]
    assert told.limits_a[ONE] * 1.05 <= told.site.actuator.channels[ONE].present_a(told.now) + 1e-6


def test_a_probe_in_watts_is_for_the_phases_in_use() -> None:
    """10 A on three phases are 6900 W, and a car on one of them would draw 30 A of them."""
    told = story()
    told.one_phase.add(ONE)
    told.run(60)
    keep_asking(told, 10.0, 15)
    ask(told, 10.0, probe=Probe(10.0, 30.0, unit="W"))
    told.run(2)
    assert [order.phase_count for order in probes(told)] == [1]


def test_a_probe_waits_for_a_cut_that_is_on_its_way() -> None:
    """In the lane a newer setpoint takes the place of one that was not sent yet: a probe must not push out a cut."""
    told = story()
    keep_asking(told, 16.0, 15)
    told.mute.add(ONE)
    told.limit(22.0)
    ask(told, 16.0, probe=Probe(16.0, 30.0, "tx_default"))
    told.run(2)
    assert probes(told) == []
    told.mute.clear()
    sent = [order for order in told.of(Inject) if order.evse == ONE][-1]
    told.do(SetpointAnswered(told.at(), ONE, sent.number, True))
    told.run(2)
    assert [order.limit_a <= sent.limit_a for order in probes(told)] == [True]


def test_the_test_gets_no_more_than_a_station_whose_values_are_not_believed() -> None:
    told = story()
    told.site.proof.claims._caps[ONE] = 9.0
    keep_asking(told, 32.0, 10)
    assert told.site.grants[ONE].limit_a <= 9.0


def test_a_probe_never_takes_the_place_of_the_floor() -> None:
    """Same purpose and stack level: the floor would be gone, and after the probe's end nothing would hold the station."""
    told = story()
    keep_asking(told, 10.0, 10)
    for purpose in ("tx_default", "station_max"):
        ask(told, 10.0, probe=Probe(10.0, 30.0, purpose, stack_level=0))
        told.run(2)
    assert len(probes(told)) == 2
    assert all(order.strategy.stack_level > 0 for order in probes(told))


def test_a_probe_that_would_begin_anew_with_every_session_is_not_written() -> None:
    """A relative default never ends: each car of the next years would begin with it."""
    told = story()
    keep_asking(told, 10.0, 10)
    ask(told, 10.0, probe=Probe(10.0, 30.0, "tx_default", relative=True))
    told.run(2)
    assert all(not order.strategy.relative for order in probes(told))


def test_a_probe_lives_no_longer_than_a_setpoint() -> None:
    """After a restart the site counts with what a station shows for as long as a setpoint may live."""
    told = story(control={"setpoint_life_s": 30, "setpoint_renew_s": 10})
    keep_asking(told, 10.0, 10)
    ask(told, 10.0, probe=Probe(10.0, 300.0, "tx_default"))
    told.run(2)
    assert [order.life_s for order in probes(told)] == [30.0]


def test_a_probe_counts_while_it_may_be_obeyed() -> None:
    """A box that does not replace by id keeps a probe of a higher stack level beside the next setpoint."""
    told = story()
    keep_asking(told, 16.0, 15)
    ask(told, 16.0, probe=Probe(16.0, 60.0, stack_level=5))
    told.run(1)
    told.limit(26.0)
    told.run(10)
    channel = told.site.actuator.channels[ONE]
    assert channel.ceiling_a(told.now, None, 0.0) >= 16.0


def test_nothing_is_cleared_while_the_floor_is_in_doubt() -> None:
    """Without setpoint and without floor a station is unlimited."""
    told = story()
    keep_asking(told, 8.0, 15)
    told.site.actuator.channels[ONE].floor = type(told.site.actuator.channels[ONE].floor).FAILED
    assert not any(isinstance(order, ClearSetpoint) for order in ask(told, 8.0, deed=Deed.CLEAR))


def test_what_a_probe_left_is_taken_out_when_its_car_goes() -> None:
    """A default of 16 A would be the next car's first limit; the site counts with the floor of 6 A."""
    told = story()
    keep_asking(told, 16.0, 15)
    ask(told, 16.0, probe=Probe(16.0, 60.0, "tx_default"))
    told.run(1)
    told.orders.clear()
    told.unplug(ONE)
    assert [order.evse for order in told.of(ClearSetpoint)] == [ONE]


def test_no_probe_without_a_car() -> None:
    """It would become a default of the station."""
    told = Story(depot(1))
    told.start()
    ask(told, 6.0, probe=Probe(6.0, 60.0, relative=True))
    told.run(3)
    assert probes(told) == []


# -- what others lose ----------------------------------------------------------------------------------------------


def test_a_car_that_waits_gets_its_minimum_during_a_test() -> None:
    """The building frees room for the second car; however long somebody tests the first, the second is not kept at nothing."""
    told = story(fuse_a=40.0)
    told.run(40, building_a=30.0)
    (waits,) = [key for key in (ONE, TWO) if told.limits_a[key] == 0.0]
    (charges,) = {ONE, TWO} - {waits}
    for _ in range(60):
        ask(told, 6.0, evse=charges)
        told.step(10.0)
    assert told.limits_a[waits] == 6.0


def test_others_may_rise_again_after_a_while_of_being_held() -> None:
    told = story()
    told.run(40, building_a=45.0)
    held_a = told.limits_a[TWO]
    assert 6.0 <= held_a < 10.0
    since_s = 0
    while told.limits_a[TWO] <= held_a and since_s < MAX_HELD_S + EASE_S:
        ask(told, 6.0)
        told.step()
        since_s += 1
    assert MAX_HELD_S - 5 <= since_s <= MAX_HELD_S + EASE_S / 2
    for _ in range(int(EASE_S)):
        ask(told, 6.0)
        told.step()
    assert told.limits_a[TWO] >= 15.0  # its share by rules; nobody plans in a story


def test_a_new_session_name_does_not_begin_the_holding_anew() -> None:
    told = story()
    told.run(40, building_a=45.0)
    held_a = told.limits_a[TWO]
    assert 6.0 <= held_a < 10.0
    for second in range(int(MAX_HELD_S + EASE_S)):
        if second % 100 == 99:
            ask(told, None, for_s=0.0, session=f"me{second // 100}")
        ask(told, 6.0, session=f"me{(second + 1) // 100}")
        told.step()
    assert told.limits_a[TWO] > held_a


def test_a_box_that_ignores_its_limit_is_pursued_all_the_same_after_a_while() -> None:
    told = story(metered=False, worst_other_load_a=5.0)
    told.stubborn.add(ONE)
    keep_asking(told, 6.0, 200)
    assert ONE in told.site.escalation.disobeying


# -- what outlives the test -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["ended", "silent", "other evse"])
def test_a_station_is_let_in_again_when_its_test_ends(how: str) -> None:
    told = story()
    ask(told, 10.0, deed=Deed.HOLD_OFF, hold_s=7200.0)
    told.do(StationOffline(told.at(), "CP1"))
    if how == "ended":
        ask(told, None, for_s=0.0)
    elif how == "other evse":
        ask(told, None, evse=TWO)
    else:
        told.run(25)
    held = [(order.station_id, order.for_s) for order in told.of(HoldOffStation)]
    assert held[-1] == ("CP1", 0.0)


def test_another_tester_after_a_silent_one_begins_with_a_clean_table() -> None:
    told = story()
    keep_asking(told, 8.0, 10)
    told.now += 30.0  # no tick yet
    told.orders.clear()
    ask(told, 8.0, evse=TWO, session="another")
    assert told.told("commissioning of CP1/1 has ended")
    told.step()
    assert told.injected(ONE)


def test_asking_twice_to_look_first_loses_no_floor() -> None:
    told = story()
    ask(told, None, deed=Deed.LOOK_FIRST)
    told.do(StationOffline(told.at(), "CP1"))
    told.unconfirmed.add(ONE)
    told.do(StationOnline(told.at(), "CP1", "2.0.1"))
    told.orders.clear()
    ask(told, None, deed=Deed.LOOK_FIRST)
    assert [order.evse for order in told.of(InstallFloor)] == [ONE]


def test_a_restart_ends_every_test() -> None:
    told = story()
    keep_asking(told, 6.0, 5)
    again = Story(told.config, QUICK)
    again.start()
    again.plug(ONE)
    again.run(60)
    assert again.limits_a[ONE] > 6.0
    assert again.site.commissioning.trial is None


# -- what the test itself needs ----------------------------------------------------------------------------------------------


def test_our_own_wake_stays_quiet_while_waking_is_measured() -> None:
    """A car that sleeps after a pause is woken after 45 s by the site; during a test only by the test."""
    told = story()
    keep_asking(told, 10.0, 30)
    keep_asking(told, 0.0, 20)
    told.wants_a[ONE] = 0.0  # it sleeps
    keep_asking(told, 10.0, 120)
    assert told.of(Wake) == []
    told.run(120)
    assert len(told.of(Wake)) > 0


def test_a_level_is_told_exactly_where_cars_draw_more_than_told() -> None:
    """After the measured model was copied the step test is run again: 10 A must be 10 A told, and 10.5 A counted."""
    told = story(models=GREEDY)
    for level_a in (10.0, 7.0, 8.3):
        keep_asking(told, level_a, 40)
        assert told.limits_a[ONE] == pytest.approx(level_a)
        assert told.site.grants[ONE].limit_a == pytest.approx(level_a * 1.05, abs=1e-3)
        assert told.site.commissioning.view(told.at(), told.site.grants)["trial"]["granted_a"] == pytest.approx(level_a)


def test_oversight_and_floor_facts_of_a_test_reach_nobody_else() -> None:
    told = story()
    assert isinstance(told.site.oversight, Oversight)
    before = told.site.actuator.channels[ONE].floor
    told.do(FloorConfirmed(told.at(), ONE, 32.0, False, "", -2))
    told.do(EvseMeasured(told.at(), ONE, (6.0, 6.0, 6.0)))
    assert told.site.actuator.channels[ONE].floor is before
