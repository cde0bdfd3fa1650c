"""The picture: needs, wishes, replays."""

from __future__ import annotations

from dataclasses import replace

from controller.facts import DriverKnown, LimitStep, NeedsAnnounced, NeedStated, SessionChanged, UpstreamWished
from controller.site import state
from controller.site.measuring import measured
from tests.support.one_evse import KEY, at, evse, told

V = 230.0


def test_a_replayed_event_does_not_touch_the_picture() -> None:
    before = evse()
    assert state.session_changed(before, SessionChanged(at(9), KEY, "old", None, ended=True, live=False)) is before
    assert state.session_changed(before, SessionChanged(at(9), KEY, "old", None, ended=True)).session is not None


def test_a_person_beats_the_car_and_what_was_charged_counts_down() -> None:
    car = measured(evse(), told(energy_wh=1000.0), V, 32.0)
    car = state.need_announced(car, NeedsAnnounced(at(), KEY, 30_000.0, 1_780_010_000.0, max_current_a=20.0))
    car = state.need_stated(car, NeedStated(at(), KEY, 10_000.0, None, "api"))
    car = state.need_announced(car, NeedsAnnounced(at(), KEY, 50_000.0, None))
    car = measured(car, told(1.0, energy_wh=4000.0), V, 32.0)
    session = car.session
    assert session is not None
    assert (session.need_wh, session.departure_wall_s, session.car_max_a) == (7000.0, 1_780_010_000.0, 20.0)


def test_what_a_group_usually_needs_counts_until_the_car_says_something() -> None:
    who = DriverKnown(at(), KEY, "tx", 3, departure_wall_s=1_780_030_000.0, energy_wh=20_000.0, group="vans")
    car = state.driver_known(evse(), who)
    assert car.session is not None
    assert (car.session.need_wh, car.session.departure_wall_s, car.session.driver) == (20_000.0, 1_780_030_000.0, who)
    car = state.need_announced(car, NeedsAnnounced(at(), KEY, 9_000.0, None))
    assert car.session is not None
    assert (car.session.need_wh, car.session.departure_wall_s) == (9_000.0, 1_780_030_000.0)
    late = state.driver_known(car, replace(who, energy_wh=1.0))
    assert late.session is not None
    assert late.session.need_wh == 9_000.0
    assert state.driver_known(car, replace(who, transaction_id="older")) is car


def test_priority_charging_is_known_and_ends() -> None:
    car = state.wished(evse(), UpstreamWished(at(), KEY, (), "", prioritised=True))
    assert car.prioritised
    assert not state.wished(car, UpstreamWished(at(), KEY, (), "")).prioritised


def test_what_is_no_number_in_a_wish_counts_as_nothing() -> None:
    nan = float("nan")
    steps = (LimitStep(0.0, nan, discharge_a=nan, setpoint_a=nan), LimitStep(1.0, 5.0))
    assert state.wished(evse(), UpstreamWished(at(), KEY, steps, "")).wish == (LimitStep(0.0, 0.0, 0.0, 0.0), LimitStep(1.0, 5.0))


def test_a_wish_holds_from_its_step_to_the_next() -> None:
    steps = (LimitStep(10.0, 16.0), LimitStep(20.0, None), LimitStep(30.0, 8.0))
    wished = state.wished(evse(), UpstreamWished(at(), KEY, steps, "upstream profile 17"))
    assert [wished.wish_now(wall_s) for wall_s in (5.0, 10.0, 19.9, 20.0, 99.0)] == [None, 16.0, 16.0, None, 8.0]
