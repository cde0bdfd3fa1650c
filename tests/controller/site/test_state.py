"""The picture: phase rotation, learned phases, counters, needs, replays."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest

from controller.facts import (
    ChargingState,
    DriverKnown,
    EvseKey,
    EvseMeasured,
    EvseStatus,
    LimitStep,
    NeedsAnnounced,
    NeedStated,
    SessionChanged,
    Stamp,
    UpstreamWished,
)
from controller.site import state
from controller.site.state import EvseState, Session, layout_of
from controller.site.stations.appetite import HUNGRY, Appetite
from controller.site.stations.phases import PhaseUse
from tests.support.site_story import depot

KEY = EvseKey("CP1", 1)
V = 230.0


def at(now: float = 0.0) -> Stamp:
    return Stamp(now, 1_780_000_000.0 + now)


def evse(phases: tuple[str, ...] = ("L1", "L2", "L3"), session: bool = True) -> EvseState:
    layout = layout_of(depot(1, evse={"phases": list(phases)}), {})
    made = EvseState(layout.places[KEY])
    return state.session_changed(made, SessionChanged(at(), KEY, "tx", ChargingState.CHARGING, started=True)) if session else made


def told(now: float = 0.0, current: tuple[float | None, ...] = (None, None, None), **more: float) -> EvseMeasured:
    return EvseMeasured(at(now), KEY, current, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("phases", "current", "expected"),
    [
        (("L1", "L2", "L3"), (10.0, 11.0, 12.0), (10.0, 11.0, 12.0)),
        (("L2", "L3", "L1"), (10.0, 11.0, 12.0), (12.0, 10.0, 11.0)),
        (("L3",), (10.0, None, None), (None, None, 10.0)),
        (("L1", "L2", "L3"), (10.0, None, None), (10.0, 0.0, 0.0)),
        (("L1", "L2", "L3"), (float("nan"), 5.0, 5.0), (0.0, 5.0, 5.0)),
    ],
)
def test_station_phases_become_site_phases(phases: tuple[str, ...], current: tuple[float, ...], expected: tuple[float, ...]) -> None:
    assert state.measured(evse(phases), told(current=current), V, 32.0).current_a == expected


def test_power_alone_is_spread_over_the_phases_in_use() -> None:
    assert state.measured(evse(), told(power_w=6900.0), V, 32.0).current_a == (10.0, 10.0, 10.0)
    assert state.measured(evse(("L2",)), told(power_w=2300.0), V, 32.0).current_a == (None, 10.0, None)


def test_nothing_told_changes_nothing_known() -> None:
    before = state.measured(evse(), told(current=(6.0, 6.0, 6.0)), V, 32.0)
    assert state.measured(before, told(5.0, energy_wh=1.0), V, 32.0).current_a == (6.0, 6.0, 6.0)


def everything_known() -> EvseState:
    """No field as it was born."""
    said, who = NeedsAnnounced(at(), KEY, 1.0, 2.0), DriverKnown(at(), KEY, "tx", 1)
    schedule = (LimitStep(0.0, 1.0),)
    session = Session("tx", 1.0, 2.0, ChargingState.CHARGING, 2, 100.0, 50.0, 5000.0, 9000.0, "car", 20.0, said, who, 1.0, 7.0, 2.0, schedule)
    steps = (LimitStep(0.0, 10.0),)
    place = evse().place
    use, appetite = PhaseUse((0,), 8.0, (0, 1), (0, 1)), Appetite(9.0, 9.0, 1.0)
    left_a, told_a = (1.0, None, 2.0), (1.0, 2.0, 3.0)
    return EvseState(
        place, EvseStatus.OCCUPIED, session, told_a, 4.0, 150.0, 6.0, 7.0, use, appetite, steps, "why", left_a, 10.0, 1, True, True, True
    )


def test_a_reading_touches_only_what_it_tells() -> None:
    known = everything_known()
    assert [one.name for one in fields(known) if getattr(known, one.name) == one.default] == []
    assert known.session is not None
    assert [one.name for one in fields(known.session) if getattr(known.session, one.name) == one.default] == []
    assert state.measured(known, told(20.0), V, 32.0) == known
    assert state.measured(known, told(20.0, energy_wh=150.0), V, 32.0) == known
    counted = replace(known.session, charged_wh=80.0)
    assert state.measured(known, told(20.0, energy_wh=180.0), V, 32.0) == replace(known, energy_wh=180.0, session=counted)
    assert state.measured(known, told(20.0, soc_percent=70.0), V, 32.0) == replace(known, soc_percent=70.0)
    assert state.measured(known, told(20.0, power_w=0.0), V, 32.0).session is known.session
    drawing = state.measured(known, told(20.0, (16.0, 16.0, 16.0)), V, 16.0)
    seen = {"current_a": (16.0, 16.0, 16.0), "power_w": 48.0 * V, "measured_mono_s": 20.0, "appetite": HUNGRY}
    assert drawing == replace(known, **seen, phase_use=PhaseUse((0, 1, 2), 20.0, (), (0, 1, 2)))


def test_a_one_phase_car_is_learned_after_a_while_and_unlearned_at_once() -> None:
    car = evse()
    for now in range(5):
        car = state.measured(car, told(float(now), (16.0, 0.0, 0.1)), V, 32.0)
        assert car.phases == (0, 1, 2)
    car = state.measured(car, told(6.0, (16.0, 0.0, 0.1)), V, 32.0)
    assert car.phases == (0,)
    car = state.measured(car, told(7.0, (0.0, 0.0, 0.0)), V, 32.0)
    assert car.phases == (0,), "a pause proves nothing"
    car = state.measured(car, told(8.0, (16.0, 16.0, 16.0)), V, 32.0)
    assert car.phases == (0, 1, 2)


def test_a_little_current_on_a_phase_is_not_proof_that_it_is_unused() -> None:
    car = evse()
    for now in range(20):
        car = state.measured(car, told(float(now), (16.0, 0.8, 0.8)), V, 32.0)
    assert car.phases == (0, 1, 2)


def test_the_station_may_tell_how_many_phases_are_used() -> None:
    fact = SessionChanged(at(1), KEY, "tx", ChargingState.CHARGING, phase_count=1)
    assert state.session_changed(evse(("L2", "L3", "L1")), fact).phases == (1,)
    assert state.session_changed(evse(), replace(fact, phase_count=9)).phases == (0, 1, 2)


def test_a_replayed_event_does_not_touch_the_picture() -> None:
    before = evse()
    assert state.session_changed(before, SessionChanged(at(9), KEY, "old", None, ended=True, live=False)) is before
    assert state.session_changed(before, SessionChanged(at(9), KEY, "old", None, ended=True)).session is not None


def test_energy_of_a_session_survives_a_counter_that_starts_over() -> None:
    car = state.measured(evse(session=False), told(energy_wh=50_000.0), V, 0.0)
    car = state.session_changed(car, SessionChanged(at(1), KEY, "tx", None, started=True))
    seen = []
    for energy_wh in (50_000.0, 52_000.0, 100.0, 600.0):
        car = state.measured(car, told(2.0, energy_wh=energy_wh), V, 32.0)
        seen.append(car.session.charged_wh if car.session else None)
    assert seen == [0.0, 2000.0, 2000.0, 2500.0]


def test_a_person_beats_the_car_and_what_was_charged_counts_down() -> None:
    car = state.measured(evse(), told(energy_wh=1000.0), V, 32.0)
    car = state.need_announced(car, NeedsAnnounced(at(), KEY, 30_000.0, 1_780_010_000.0, max_current_a=20.0))
    car = state.need_stated(car, NeedStated(at(), KEY, 10_000.0, None, "api"))
    car = state.need_announced(car, NeedsAnnounced(at(), KEY, 50_000.0, None))
    car = state.measured(car, told(1.0, energy_wh=4000.0), V, 32.0)
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


def test_a_phase_that_was_not_measured_is_not_learned_to_be_free() -> None:
    car = evse()
    for now in (0.0, 60.0, 120.0):
        car = state.measured(car, told(now, (16.0, None, None)), V, 32.0)
    assert car.phases == (0, 1, 2)
    for now in (180.0, 240.0):
        car = state.measured(car, told(now, (16.0, None, None), power_w=3700.0), V, 32.0)
    assert car.phases == (0,)


def test_a_wish_holds_from_its_step_to_the_next() -> None:
    steps = (LimitStep(10.0, 16.0), LimitStep(20.0, None), LimitStep(30.0, 8.0))
    wished = state.wished(evse(), UpstreamWished(at(), KEY, steps, "upstream profile 17"))
    assert [wished.wish_now(wall_s) for wall_s in (5.0, 10.0, 19.9, 20.0, 99.0)] == [None, 16.0, 16.0, None, 8.0]


def test_a_restart_does_not_forget_a_promise_to_a_driver() -> None:
    car = state.need_stated(state.measured(evse(), told(energy_wh=1000.0), V, 32.0), NeedStated(at(), KEY, 10_000.0, 1_780_009_999.0, "api"))
    assert car.session is not None
    memory = state.session_memory(car.session)
    fresh = evse().session
    assert fresh is not None
    again = replace(evse(), session=state.session_recalled(fresh, memory, at(60)))
    again = state.measured(again, told(61.0, energy_wh=3000.0), V, 32.0)
    assert again.session is not None
    assert (again.session.charged_wh, again.session.need_wh, again.session.departure_wall_s) == (2000.0, 8000.0, 1_780_009_999.0)
    assert state.session_recalled(replace(fresh, transaction_id="other"), memory, at()).target_wh is None


def test_a_one_phase_site_uses_only_its_phase() -> None:
    layout = layout_of(depot(1, grid={"phases": 1}), {})
    assert layout.places[KEY].phases == (0,)


def test_circuits_come_parents_first_and_know_what_hangs_below() -> None:
    config = depot(1, circuits=1)
    deep = config.circuits[0].model_copy(update={"id": "cabinet", "parent": "hall0"})
    station = config.stations[0].model_copy(update={"circuit": "cabinet"})
    layout = layout_of(config.model_copy(update={"circuits": (deep, config.circuits[0]), "stations": (station,)}), {})
    assert list(layout.circuits) == ["grid", "hall0", "cabinet"]
    assert layout.places[KEY].path == ("cabinet", "hall0", "grid")
    assert all(layout.below[name] == (KEY,) for name in layout.circuits)
    with pytest.raises(ValueError, match="without a way to the grid: cabinet"):
        layout_of(config.model_copy(update={"circuits": (deep,), "stations": ()}), {})
