"""A meter value: phase rotation, learned phases, counters."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest

from controller.facts import ChargingState, DriverKnown, EvseStatus, LimitStep, NeedsAnnounced, SessionChanged
from controller.site import state
from controller.site.measuring import measured
from controller.site.state import EvseState, Session
from controller.site.stations.appetite import HUNGRY, Appetite
from controller.site.stations.phases import PhaseUse
from tests.support.one_evse import KEY, at, evse, told

V = 230.0


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
    assert measured(evse(phases), told(current=current), V, 32.0).current_a == expected


def test_power_alone_is_spread_over_the_phases_in_use() -> None:
    assert measured(evse(), told(power_w=6900.0), V, 32.0).current_a == (10.0, 10.0, 10.0)
    assert measured(evse(("L2",)), told(power_w=2300.0), V, 32.0).current_a == (None, 10.0, None)


def test_nothing_told_changes_nothing_known() -> None:
    before = measured(evse(), told(current=(6.0, 6.0, 6.0)), V, 32.0)
    assert measured(before, told(5.0, energy_wh=1.0), V, 32.0).current_a == (6.0, 6.0, 6.0)


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
    assert measured(known, told(20.0), V, 32.0) == known
    assert measured(known, told(20.0, energy_wh=150.0), V, 32.0) == known
    counted = replace(known.session, charged_wh=80.0)
    assert measured(known, told(20.0, energy_wh=180.0), V, 32.0) == replace(known, energy_wh=180.0, session=counted)
    assert measured(known, told(20.0, soc_percent=70.0), V, 32.0) == replace(known, soc_percent=70.0)
    assert measured(known, told(20.0, power_w=0.0), V, 32.0).session is known.session
    drawing = measured(known, told(20.0, (16.0, 16.0, 16.0)), V, 16.0)
    seen = {"current_a": (16.0, 16.0, 16.0), "power_w": 48.0 * V, "measured_mono_s": 20.0, "appetite": HUNGRY}
    assert drawing == replace(known, **seen, phase_use=PhaseUse((0, 1, 2), 20.0, (), (0, 1, 2)))


def test_a_one_phase_car_is_learned_after_a_while_and_unlearned_at_once() -> None:
    car = evse()
    for now in range(5):
        car = measured(car, told(float(now), (16.0, 0.0, 0.1)), V, 32.0)
        assert car.phases == (0, 1, 2)
    car = measured(car, told(6.0, (16.0, 0.0, 0.1)), V, 32.0)
    assert car.phases == (0,)
    car = measured(car, told(7.0, (0.0, 0.0, 0.0)), V, 32.0)
    assert car.phases == (0,), "a pause proves nothing"
    car = measured(car, told(8.0, (16.0, 16.0, 16.0)), V, 32.0)
    assert car.phases == (0, 1, 2)


def test_a_little_current_on_a_phase_is_not_proof_that_it_is_unused() -> None:
    car = evse()
    for now in range(20):
        car = measured(car, told(float(now), (16.0, 0.8, 0.8)), V, 32.0)
    assert car.phases == (0, 1, 2)


def test_the_station_may_tell_how_many_phases_are_used() -> None:
    fact = SessionChanged(at(1), KEY, "tx", ChargingState.CHARGING, phase_count=1)
    assert state.session_changed(evse(("L2", "L3", "L1")), fact).phases == (1,)
    assert state.session_changed(evse(), replace(fact, phase_count=9)).phases == (0, 1, 2)


def test_energy_of_a_session_survives_a_counter_that_starts_over() -> None:
    car = measured(evse(session=False), told(energy_wh=50_000.0), V, 0.0)
    car = state.session_changed(car, SessionChanged(at(1), KEY, "tx", None, started=True))
    seen = []
    for energy_wh in (50_000.0, 52_000.0, 100.0, 600.0):
        car = measured(car, told(2.0, energy_wh=energy_wh), V, 32.0)
        seen.append(car.session.charged_wh if car.session else None)
    assert seen == [0.0, 2000.0, 2000.0, 2500.0]


def test_a_phase_that_was_not_measured_is_not_learned_to_be_free() -> None:
    car = evse()
    for now in (0.0, 60.0, 120.0):
        car = measured(car, told(now, (16.0, None, None)), V, 32.0)
    assert car.phases == (0, 1, 2)
    for now in (180.0, 240.0):
        car = measured(car, told(now, (16.0, None, None), power_w=3700.0), V, 32.0)
    assert car.phases == (0,)
