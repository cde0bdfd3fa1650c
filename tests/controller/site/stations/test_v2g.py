"""Who has to agree before a car gives back, and how much."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from controller.config import EvseConfig, V2gConfig
from controller.facts import EvseKey, EvseMeasured, FeaturesLearned, LimitStep, NeedsAnnounced, SessionChanged, Stamp
from controller.site import state
from controller.site.layout import Place
from controller.site.measuring import measured
from controller.site.session_memory import session_memory, session_recalled
from controller.site.state import EvseState
from controller.site.stations.charger import GENERIC
from controller.site.stations.v2g import may_discharge_w, may_idle, soc_percent, store_of

KEY = EvseKey("CP1", 1)
AT = Stamp(100.0, 1_700_000_000.0)
FEATURES = FeaturesLearned(AT, "CP1", modes=("ChargingOnly", "CentralSetpoint", "Idle"), v2x=(1,))
NEEDS = NeedsAnnounced(AT, KEY, 10_000.0, None, max_discharge_w=8_000.0, capacity_wh=60_000.0, soc_percent=70.0, bidirectional=True)


def car(needs: NeedsAnnounced | None = NEEDS, allowed: V2gConfig | None = None, percent: float | None = 70.0) -> EvseState:
    config = EvseConfig(id=1, max_current_a=16, v2g=allowed or V2gConfig(max_discharge_w=7_000.0, reserve_percent=40.0))
    evse = EvseState(Place(KEY, config, GENERIC, "grid", ("grid",), (0, 1, 2)))
    evse = state.session_changed(evse, SessionChanged(AT, KEY, "t1", None, started=True))
    if needs is not None:
        evse = state.need_announced(evse, needs)
    return measured(evse, EvseMeasured(AT, KEY, (0.0, 0.0, 0.0), 0.0, 0.0, percent), 230.0, 16.0)


def watts(evse: EvseState, features: FeaturesLearned | None = FEATURES, wall_s: float | None = None) -> float:
    return may_discharge_w(evse, features, wall_s)[0]


def test_all_agree() -> None:
    assert may_discharge_w(car(), FEATURES) == (7_000.0, "the EVSE's v2g limit")
    assert watts(car(replace(NEEDS, max_discharge_w=3_000.0))) == 3_000.0


@pytest.mark.parametrize(
    ("evse", "features", "words"),
    [
        (car(), None, "announced no V2X"),
        (car(), replace(FEATURES, modes=("ChargingOnly",)), "announced no V2X"),
        (car(), replace(FEATURES, v2x=(2,)), "announced no V2X"),
        (car(None), FEATURES, "did not offer"),
        (car(replace(NEEDS, bidirectional=False)), FEATURES, "did not offer"),
        (car(replace(NEEDS, max_discharge_w=None)), FEATURES, "did not offer"),
        (car(replace(NEEDS, soc_percent=None), percent=None), FEATURES, "not known"),
        (car(percent=41.0), FEATURES, "reserve of 40 %"),
        (car(replace(NEEDS, min_v2x_wh=500.0)), FEATURES, "cycled"),
    ],
)
def test_one_that_does_not_agree_is_enough(evse: EvseState, features: FeaturesLearned | None, words: str) -> None:
    amount, why = may_discharge_w(evse, features)
    assert amount == 0.0
    assert words in why


def test_nothing_without_the_owner() -> None:
    evse = car()
    place = replace(evse.place, config=EvseConfig(id=1, max_current_a=16))
    assert watts(replace(evse, place=place)) == 0.0


@pytest.mark.parametrize(
    ("step", "despite", "expected_w"),
    [
        (LimitStep(0.0, None), False, 7_000.0),  # no profile of the CSMS
        (LimitStep(0.0, 16.0), False, 0.0),  # ChargingOnly
        (LimitStep(0.0, 16.0), True, 7_000.0),
        (LimitStep(0.0, 16.0, discharge_a=-5.0), False, 5.0 * 230 * 3),
        (LimitStep(0.0, 16.0, discharge_a=-5.0, phase_count=1), False, 5.0 * 230),
        (LimitStep(0.0, 16.0, discharge_a=0.0), True, 0.0),
        (LimitStep(0.0, None, setpoint_a=-4.0), False, 4.0 * 230 * 3),
        (LimitStep(0.0, None, setpoint_a=4.0), True, 0.0),
    ],
)
def test_the_csms_bounds_and_forbids(step: LimitStep, despite: bool, expected_w: float) -> None:
    allowed = V2gConfig(max_discharge_w=7_000.0, reserve_percent=40.0, despite_profiles=despite)
    evse = replace(car(allowed=allowed), wish=(step,), wish_reason="upstream profile 7")
    assert watts(evse, wall_s=AT.wall_s) == pytest.approx(expected_w)


def test_a_car_at_the_edge_of_its_reserve_does_not_flap() -> None:
    giving = measured(car(percent=41.0), EvseMeasured(AT, KEY, (-5.0, -5.0, -5.0), -3_450.0, 0.0, 41.0), 230.0, 16.0)
    assert watts(car(percent=41.0)) == 0.0
    assert watts(giving) > 0.0
    assert watts(measured(giving, EvseMeasured(AT, KEY, (-5.0, -5.0, -5.0), -3_450.0, 0.0, 40.0), 230.0, 16.0)) == 0.0


def test_energy_given_back_is_wanted_again_and_lowers_the_state_of_charge() -> None:
    evse = car(percent=None)
    assert evse.session is not None
    assert evse.session.need_wh == 10_000.0
    evse = measured(evse, EvseMeasured(AT, KEY, (-5.0, -5.0, -5.0), -3_600.0, 0.0), 230.0, 16.0)
    later = Stamp(AT.mono_s + 100.0, AT.wall_s + 100.0)
    evse = measured(evse, EvseMeasured(later, KEY, (0.0, 0.0, 0.0), 0.0, 0.0), 230.0, 16.0)
    assert evse.session is not None
    assert evse.session.given_wh == pytest.approx(100.0)
    # 100 Wh at the charger left 100 / 0.9 Wh less in the cells; to put them back takes 100 / 0.9 / 0.9 Wh at the charger.
    assert evse.session.need_wh == pytest.approx(10_000.0 + 100.0 / 0.81)
    assert soc_percent(evse) == pytest.approx(70.0 - 100.0 * 100.0 / 0.9 / 60_000.0)


def test_the_store_for_the_plan_keeps_the_higher_of_both_reserves() -> None:
    store = store_of(car(), FEATURES, AT.wall_s, 230.0)
    assert store is not None
    assert (store.capacity_wh, store.soc_wh, store.reserve_wh, store.max_discharge_w) == (60_000.0, 42_000.0, 24_000.0, 7_000.0)
    own = store_of(car(replace(NEEDS, min_v2x_wh=-6_000.0)), FEATURES, AT.wall_s, 230.0)
    assert own is not None
    assert own.reserve_wh == 36_000.0
    assert store_of(car(replace(NEEDS, capacity_wh=None)), FEATURES, AT.wall_s, 230.0) is None


def test_idle_only_where_announced() -> None:
    assert may_idle(car(), FEATURES)
    assert not may_idle(car(), replace(FEATURES, modes=("CentralSetpoint",)))
    assert not may_idle(car(), None)


def given_wh(evse: EvseState) -> float:
    assert evse.session is not None
    return evse.session.given_wh


def later(evse: EvseState, seconds: float, power_w: float | None = None, register_wh: float | None = None) -> EvseState:
    at = Stamp(AT.mono_s + seconds, AT.wall_s + seconds)
    return measured(evse, EvseMeasured(at, KEY, power_w=power_w, energy_wh=0.0, given_wh=register_wh), 230.0, 0.0)


def test_a_message_without_a_power_counts_nothing_twice() -> None:
    evse = later(car(), 0.0, -3_600.0)
    for seconds in (5.0, 10.0, 15.0):
        evse = later(evse, seconds)
    assert given_wh(later(evse, 20.0, -3_600.0)) == pytest.approx(20.0)


def test_the_export_register_counts_exactly_and_may_start_anew() -> None:
    evse = later(later(car(), 0.0, -9_000.0, register_wh=5_000.0), 60.0, -9_000.0, register_wh=5_040.0)
    assert given_wh(evse) == pytest.approx(40.0)
    evse = later(evse, 120.0, -9_000.0)
    assert given_wh(evse) == pytest.approx(40.0), "the next register tells it"
    evse = later(later(evse, 180.0, register_wh=3.0), 240.0, register_wh=63.0)
    assert given_wh(evse) == pytest.approx(100.0)


def test_a_register_that_speaks_late_goes_on_from_what_was_counted() -> None:
    evse = later(later(car(), 0.0, -3_600.0), 30.0, -3_600.0, register_wh=700.0)
    assert given_wh(evse) == pytest.approx(30.0)
    evse = later(evse, 40.0, register_wh=710.0)
    assert given_wh(evse) == pytest.approx(40.0)


def test_an_ac_car_tells_no_capacity_but_what_it_has_room_for() -> None:
    """Q01: v2xChargingParameters have evMaxEnergyRequest and no capacity; 18 kWh of room at 70 % are a battery of 60 kWh."""
    needs = replace(NEEDS, capacity_wh=None, soc_percent=None, max_wh=18_000.0)
    store = store_of(car(needs), FEATURES, AT.wall_s, 230.0)
    assert store is not None
    assert (store.capacity_wh, store.soc_wh, store.reserve_wh) == pytest.approx((60_000.0, 42_000.0, 24_000.0))
    assert store_of(car(needs, percent=None), FEATURES, AT.wall_s, 230.0) is None
    assert store_of(car(needs, percent=96.0), FEATURES, AT.wall_s, 230.0) is None, "the last percents say too little about the whole"


def test_a_restart_forgets_neither_the_offer_nor_what_was_given() -> None:
    before = later(car(), 0.0, -3_600.0)
    before = later(before, 100.0, 0.0)
    assert before.session is not None
    memory = json.loads(json.dumps(session_memory(before.session)))
    fresh = state.session_changed(EvseState(before.place), SessionChanged(AT, KEY, "t1", None, started=True))
    assert fresh.session is not None
    after = replace(fresh, session=session_recalled(fresh.session, memory, AT, KEY))
    assert after.session is not None
    assert after.session.need_wh == pytest.approx(before.session.need_wh)
    assert soc_percent(after) == pytest.approx(70.0 - 100.0 * 100.0 / 0.9 / 60_000.0)
    assert watts(after) == 7_000.0
    for odd in ("bad", 7, {"max_discharge_w": "much"}, {"max_discharge_w": float("nan")}):
        other = replace(fresh, session=session_recalled(fresh.session, {**memory, "announced": odd}, AT, KEY))
        assert watts(other) == 0.0
