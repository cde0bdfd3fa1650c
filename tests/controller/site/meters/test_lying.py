"""A station's values against what is possible, against themselves and against the meter. Stories are in tests/faults/test_meter_faults.py."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.config import V2gConfig
from controller.facts import EvseKey, EvseMeasured, PhaseAmps, Stamp
from controller.orders import Severity, Tell
from controller.site.layout import Place
from controller.site.meters.lying import MESSAGES, STEPS, STEPS_CLEAR, Claims, without_currents
from controller.site.meters.proof import _held_a
from controller.site.meters.steps import Step
from controller.site.sharing.inputs import Target
from controller.site.state import UNKNOWN, EvseState
from tests.support.site_story import Story, depot

CP1 = EvseKey("CP1", 1)
PLACE = Story(depot(1)).site.layout.places[CP1]
GATE = (4.0, 4.0, 4.0)


def message(
    amps: tuple[float | None, float | None, float | None], power_w: float | None = None, energy_wh: float | None = None, at_s: float = 1.0
) -> EvseMeasured:
    return EvseMeasured(Stamp(at_s, at_s), CP1, amps, power_w, energy_wh, soc_percent=50.0)


def three(amps: float) -> PhaseAmps:
    return amps, amps, amps


def hear(claims: Claims, count: int, fact: EvseMeasured, place: Place = PLACE) -> EvseMeasured:
    for _ in range(count):
        fact_out = claims.believed(fact, EvseState(place), 16.0, 16.0)
    return fact_out


def texts(claims: Claims) -> list[str]:
    return [order.text for order in claims.drain() if isinstance(order, Tell)]


@pytest.mark.parametrize(
    "fact",
    [
        message(three(16.0), 11_040.0, 100.0),
        message(three(0.0), 0.0),
        message((16.0, 0.0, 0.0), 3680.0),
        message((16.0, None, None), 11_040.0),
        message((16.0, 16.0, 16.0)),
        message(three(-0.4), -200.0),
        message(UNKNOWN, 11_040.0),
        message(three(40.0), 27_600.0),
        message((125.0 / 4, 0.0, 0.0), 25_000.0),
        message(three(math.nan), math.nan),
    ],
)
def test_what_a_charger_may_tell_passes_untouched(fact: EvseMeasured) -> None:
    claims = Claims()
    assert hear(claims, 10, fact) is fact
    assert not texts(claims)


def test_milliamperes_are_kept_out_from_the_first_message_on() -> None:
    claims = Claims()
    assert hear(claims, 1, message(three(16_000.0), 11_040.0)).phase_current_a == UNKNOWN
    assert claims.flagged(CP1)
    assert "look for milliamperes" in texts(claims)[0]


def test_energy_and_charge_go_on() -> None:
    kept = hear(Claims(), 5, message(three(16_000.0), 11_040.0, 1234.0))
    assert (kept.energy_wh, kept.soc_percent, kept.power_w) == (1234.0, 50.0, None)


def test_a_wrong_sign_needs_three_messages_and_as_many_right_ones_to_be_over() -> None:
    claims = Claims()
    hear(claims, MESSAGES - 1, message(three(-16.0), -11_040.0))
    assert not claims.flagged(CP1)
    hear(claims, 1, message(three(-16.0), -11_040.0))
    assert claims.flagged(CP1)
    hear(claims, MESSAGES - 1, message(three(16.0), 11_040.0))
    assert claims.flagged(CP1)
    assert hear(claims, 2, message(three(16.0), 11_040.0)).phase_current_a == three(16.0)
    assert [text for text in texts(claims) if "negative" in text or "agree again" in text] != []


def test_power_alone_that_is_negative_is_a_wrong_sign_too() -> None:
    claims = Claims()
    hear(claims, MESSAGES, message(UNKNOWN, -7000.0))
    assert claims.flagged(CP1)


def test_who_may_give_back_may_be_negative() -> None:
    giving = replace(PLACE, config=PLACE.config.model_copy(update={"v2g": V2gConfig(max_discharge_w=11_000)}))
    claims = Claims()
    hear(claims, 10, message(three(-16.0), -11_040.0), giving)
    assert not claims.flagged(CP1)


def test_a_wrong_power_costs_the_power_only() -> None:
    claims = Claims()
    kept = hear(claims, MESSAGES, message(three(16.0), 11.04))
    assert (kept.phase_current_a, kept.power_w) == (three(16.0), None)
    assert not claims.flagged(CP1)
    assert claims.cap(CP1) == math.inf
    (told,) = claims.drain()
    assert isinstance(told, Tell)
    assert told.severity is Severity.WARNING


def stuck(claims: Claims, setpoints: tuple[float, float], energy_wh: float | None = 5.0, amps: float = 16.0) -> bool:
    for now in range(100):
        claims.believed(message(three(amps), None, energy_wh, float(now)), EvseState(PLACE), 16.0, setpoints[now > 20])
    return claims.flagged(CP1)


def test_stuck_is_what_does_not_move_although_its_setpoint_did_and_current_flows() -> None:
    assert stuck(Claims(), (16.0, 10.0))
    assert not stuck(Claims(), (16.0, 14.0)), "too small a change"
    assert not stuck(Claims(), (16.0, 10.0), energy_wh=None), "without a counter a constant current may be true"
    assert not stuck(Claims(), (16.0, 10.0), amps=0.0), "a car that draws nothing"


# -- against the meter ------------------------------------------------------------------------------------


def step(told: PhaseAmps, metered: PhaseAmps, commanded_a: float = 0.0) -> Step:
    return Step((CP1,), told, metered, commanded_a, GATE)


def show(claims: Claims, count: int, one: Step, trusted: bool = True) -> None:
    for _ in range(count):
        claims.step(one, 16.0, PLACE, trusted)


@pytest.mark.parametrize(
    ("one", "said"),
    [
        (step(three(0.0), three(20.0), 20.0), "something else than the meter shows"),
        (step(three(0.0), three(-20.0), -20.0), "something else than the meter shows"),
        (step(three(-20.0), three(0.0), -20.0), "something else than the meter shows"),
        (step((20.0, 0.0, 0.0), (0.0, 20.0, 0.0)), "write phases: [L2, L3, L1]"),
        (step((0.0, 20.0, 0.0), (20.0, 0.0, 0.0)), "write phases: [L3, L1, L2]"),
    ],
)
def test_three_steps_alone_on_the_meter_take_a_stations_voice_and_two_right_ones_give_it_back(one: Step, said: str) -> None:
    claims = Claims()
    show(claims, STEPS - 1, one)
    assert not claims.flagged(CP1)
    show(claims, 1, one)
    assert claims.flagged(CP1)
    assert said in texts(claims)[0]
    show(claims, STEPS_CLEAR, step(three(20.0), three(20.0)))
    assert not claims.flagged(CP1)
    assert texts(claims) == ["the values of CP1/1 agree again and are used"]


def test_small_right_steps_do_not_acquit_of_large_wrong_ones() -> None:
    claims = Claims()
    for _ in range(STEPS):
        show(claims, 1, step(three(0.0), three(20.0), 20.0))
        show(claims, 1, step(three(-6.0), three(-6.0), -6.0))
    assert claims.flagged(CP1)


@pytest.mark.parametrize(
    "one",
    [
        step(three(20.0), three(20.0), 20.0),
        step(three(3.0), three(-3.0), 3.0),
        step(three(0.0), three(0.0), 20.0),
        step(three(0.0), three(20.0), 0.0),
        step(three(0.0), three(-20.0), 20.0),
        step(three(10.0), three(-12.0), 10.0),
    ],
)
def test_what_the_building_may_have_done_is_no_lie(one: Step) -> None:
    claims = Claims()
    show(claims, 10, one)
    assert not claims.flagged(CP1)


def test_a_meter_that_is_not_trusted_speaks_against_nobody_and_one_found_wrong_takes_it_back() -> None:
    claims = Claims()
    show(claims, 10, step(three(0.0), three(20.0), 20.0), trusted=False)
    assert not claims.flagged(CP1)
    show(claims, STEPS, step(three(0.0), three(20.0), 20.0))
    assert claims.flagged(CP1)
    claims.meter_was_wrong((CP1,))
    assert not claims.flagged(CP1)


# -- consequences --------------------------------------------------------------------------------------------


@given(st.floats(0, 32), st.one_of(st.none(), st.floats(0, 32)))
def test_law_a_flagged_station_never_gets_more_than_before(setpoint_a: float, planned_a: float | None) -> None:
    claims = Claims()
    claims.believed(message(three(1000.0)), EvseState(PLACE), setpoint_a, setpoint_a)
    targets = {} if planned_a is None else {CP1: Target(planned_a, "plan")}
    capped = claims.capped(targets)[CP1]
    assert capped.limit_a == min(setpoint_a, 32.0 if planned_a is None else planned_a)
    claims.session_over(CP1)
    assert claims.cap(CP1) == math.inf, "the next car is not to suffer for it"
    assert claims.flagged(CP1)


def test_a_doubted_evse_counts_on_all_its_phases_until_it_is_believed() -> None:
    state = replace(EvseState(PLACE), current_a=three(6.0), power_w=4140.0)
    doubted = without_currents(state)
    assert (doubted.current_a, doubted.power_w, doubted.phases) == (UNKNOWN, None, (0, 1, 2))


def test_a_car_that_waits_when_its_station_is_accused_may_still_charge_with_the_minimum() -> None:
    """A slow box was accused while it stood at 0 A and got "no more than now" for 399 minutes."""
    assert _held_a(PLACE, 0.0) == max(PLACE.min_a, PLACE.fallback_a)
    assert _held_a(PLACE, 20.0) == 20.0
