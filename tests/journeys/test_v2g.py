"""A car gives back (Q01-Q04, Q10): from cable to cable in virtual time, with the real engine and solver, a simulated 2.1 station and its CSMS.

Energy costs 0.18 per kWh, from six to eight 0.41; wear is 0.08. A kWh given back at the charger saves 0.41 and costs 0.18 / 0.9 / 0.9 + 0.08
= 0.30, so it pays from six to eight and at no other time. See ``tests.support.v2g_world``.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest

from controller.orders import Severity
from controller.site.meters.draws import REACTION_S
from tests.support.v2g_world import STEP_S, V2X_MODES, Y1, V2gWorld, site

RESERVE = 0.40
APPLY_S, RAMP_S = 5.0, 15.0
"""The generic charger's time to apply, and how long the simulated car takes to get from all it gives to all it draws."""


def alarms(world: V2gWorld) -> list[str]:
    return [tell.text for tell in world.told if tell.severity is Severity.ALARM]


def powers(world: V2gWorld, begin_h: float, end_h: float) -> list[float]:
    """Power of the car at Y1 [W], charging positive."""
    return [power_w for hour, power_w, _ in world.flow if begin_h <= hour < end_h]


def giving(soc: float = 0.8, v2g: dict[str, Any] | None = None, grid: dict[str, Any] | None = None, **park: Any) -> V2gWorld:
    """Seven minutes past six: a car gives back what it can."""
    world = V2gWorld(site(v2g, grid), 5.9)
    world.run(20)
    world.park(12.0, soc, **park)
    world.until(6.12)
    return world


# -- the whole story ------------------------------------------------------------------------------------------


@cache
def night() -> V2gWorld:
    """A car comes at four, half full, and wants 15 kWh until eleven."""
    world = V2gWorld(site(), 4.0)
    world.run(20)
    world.park(11.0, 0.5, 15_000.0)
    world.until(10.9)
    return world


def test_it_charges_at_the_night_price_gives_back_at_the_peak_and_has_its_energy_when_it_leaves() -> None:
    world = night()
    assert min(powers(world, 4.0, 5.98)) >= 0.0
    assert sum(powers(world, 4.1, 5.0)) > 0.0
    peak = powers(world, 6.05, 7.98)
    assert sum(peak) / len(peak) == pytest.approx(-7000.0, rel=0.02), "all it can, all the time"
    assert min(powers(world, 8.02, 10.9)) >= 0.0
    assert world.car.given_wh > 13_000.0
    assert world.car.missing_wh < 0.02 * 15_000.0
    assert world.car.soc == pytest.approx(0.73, abs=0.01), "half of 60 kWh, and 15 kWh at the charger with the car's own losses"


def test_what_the_grid_sees_is_what_the_car_gives() -> None:
    world = night()
    grid_w = [690.0 * amps for hour, _, amps in world.flow if 6.05 <= hour < 7.98]
    assert sum(grid_w) / len(grid_w) == pytest.approx(12_000.0 - 7000.0, rel=0.05)


def test_the_account_of_the_session_is_that_of_the_car() -> None:
    world = night()
    session = world.engine.site.evses[Y1].session
    assert session is not None
    assert session.given_wh == pytest.approx(world.car.given_wh, rel=0.01)
    assert session.charged_wh == pytest.approx(world.car.charged_wh, rel=0.01)


def test_every_v2x_profile_is_a_tx_profile_in_watts_with_a_setpoint_an_end_and_nothing_else() -> None:
    """Q03.FR.02: no limit and no dischargeLimit beside a setpoint. K28.FR.13: the duration of a Dynamic profile is its watchdog."""
    world = night()
    given = [(profile, period) for profile, period in world.periods() if period.get("operationMode") == "CentralSetpoint"]
    assert given
    transaction = world.stations["Y1"].evses[1].transaction
    assert transaction is not None
    for profile, period in given:
        schedule = profile["chargingSchedule"][0]
        assert (profile["chargingProfilePurpose"], schedule["chargingRateUnit"]) == ("TxProfile", "W")
        assert profile["transactionId"] == transaction.session.transaction_id
        assert 0 < schedule["duration"] <= 180
        assert period.keys() == {"startPeriod", "operationMode", "setpoint", "numberPhases"}
        assert -7000.0 <= period["setpoint"] < 0.0


def test_the_floor_stays_a_charging_fallback_and_the_session_ends_clean() -> None:
    world = night()
    store = world.stations["Y1"].profiles
    assert store.evse_limit_a(1, world.at.wall_s + 3600.0, None) == 6.0
    offer = store.offer(1, world.at.wall_s + 3600.0, None)
    assert offer is not None
    assert (offer.mode, offer.setpoint_a) == ("ChargingOnly", None)
    world.stations["Y1"].unplug(world.at, 1)
    world.run(60)
    assert world.engine.site.evses[Y1].session is None
    assert [book for book in world.books.transactions.values() if not book.complete] == []
    assert [item for item in store.select(1, {}) if item.purpose == "TxProfile"] == []
    assert alarms(world) == []


def test_its_csms_hears_of_every_change_of_mode() -> None:
    """K01.FR.110; relayed, not made by us."""
    world = night()
    events = [event for book in world.books.transactions.values() for event in book.events.values()]
    modes = [event["transactionInfo"]["operationMode"] for event in events if event["triggerReason"] == "OperationModeChanged"]
    assert [mode for mode in modes if mode != "Idle"][:2] == ["CentralSetpoint", "ChargingOnly"]


def test_a_station_that_hears_nothing_more_falls_back_by_itself() -> None:
    """The watchdog: what is in the station ends within its duration, and the car charges at the floor."""
    world = giving()
    assert world.gives_w > 6000.0
    world.frozen = True
    world.run(200)
    assert world.gives_w == 0.0
    assert world.car.current_a == pytest.approx(6.0)


# -- reserves ----------------------------------------------------------------------------------------------


def test_it_gives_no_more_than_its_reserve_leaves() -> None:
    world = giving(0.45, need_wh=6000.0)
    world.until(7.9)
    assert world.car.given_wh > 1500.0
    assert world.car.soc >= RESERVE - 0.002, "a message every ten seconds, 7 kW of 60 kWh"
    assert world.car.soc <= RESERVE + 0.03
    world.until(11.9)
    assert world.car.missing_wh < 100.0


def test_the_cars_own_least_state_beats_a_lower_reserve() -> None:
    world = giving(0.66, least_soc=0.60, need_wh=6000.0)
    world.until(7.9)
    assert world.car.soc >= 0.60 - 0.002
    assert world.car.given_wh > 2000.0


def test_it_does_not_give_what_does_not_pay() -> None:
    world = giving(v2g={"wear_per_kwh": 0.25})
    world.until(7.0)
    assert world.car.given_wh == 0.0
    assert "CentralSetpoint" not in world.modes()


# -- who has to agree --------------------------------------------------------------------------------------


def test_a_station_that_announced_nothing_never_gets_a_v2x_profile() -> None:
    world = V2gWorld(site(), 5.9, v2x=False)
    world.run(20)
    world.park(9.5, need_wh=6000.0)
    world.until(9.0)
    assert not set(V2X_MODES) & set(world.modes())
    assert all("setpoint" not in update["scheduleUpdate"] for _, update in world.updates)
    assert world.car.given_wh == 0.0
    assert world.car.missing_wh < 100.0, "and it charges like any other"


def test_a_car_that_did_not_offer_is_not_asked() -> None:
    world = giving(max_discharge_w=0.0)
    world.until(6.5)
    assert not set(V2X_MODES) & set(world.modes())


def test_nothing_before_the_car_has_said_what_it_needs() -> None:
    world = giving()
    frames = [frame for frame in world.books.frames if frame.station_id == "Y1" and "NotifyEVChargingNeeds" in frame.text]
    first = next(hour for hour, body in world.profiles if body["chargingProfile"]["chargingSchedule"][0]["chargingSchedulePeriod"][0].get("setpoint"))
    assert frames[0].wall_s < world.start_wall_s + (first - 5.9) * 3600.0


def test_a_station_that_refuses_goes_back_to_plain_charging_and_it_is_told_once() -> None:
    world = V2gWorld(site(), 5.9)
    world.run(20)
    world.stations["Y1"].profiles.modes = ("ChargingOnly",)  # it has announced more than it can do
    world.park(12.0, need_wh=6000.0)
    world.until(6.5)
    plan = world.engine.site.planner.plan
    assert plan is not None
    assert min(plan.ev_power_w["Y1/1"]) >= 0.0, "no plan counts on it any more"
    world.until(9.0)
    assert len(world.told_of("refused a V2X setpoint")) == 1
    assert 1 <= sum(mode in V2X_MODES for mode in world.modes()) <= 3, "either way once, and never again in this session"
    assert world.car.given_wh == 0.0
    assert world.car.missing_wh < 100.0
    assert alarms(world) == []


def test_a_station_that_only_refuses_to_idle_still_gives_back() -> None:
    """Its CSMS wants the car to idle for a while (Q10); a limit of 0 A does instead."""
    world = giving()
    world.stations["Y1"].profiles.modes = ("ChargingOnly", "CentralSetpoint")
    assert world.csms("SetChargingProfile", world.profile({"operationMode": "Idle"}))["status"] == "Accepted"
    world.run(60)
    assert world.car.current_a == 0.0
    assert world.modes().count("Idle") == 1
    world.csms("ClearChargingProfile", {"chargingProfileId": 7})
    world.run(120)
    assert world.gives_w > 6000.0
    assert world.told_of("refused a V2X setpoint") == []


def test_a_car_that_shall_idle_idles() -> None:
    world = giving()
    world.csms("SetChargingProfile", world.profile({"operationMode": "Idle"}))
    world.run(60)
    assert world.car.current_a == 0.0
    assert world.modes()[-1] == "Idle"
    assert world.periods()[-1][1].keys() == {"startPeriod", "operationMode", "numberPhases"}


# -- the CSMS ---------------------------------------------------------------------------------------------


def test_the_csms_bounds_what_is_given_back() -> None:
    """Trap 23: a MaxProfile cannot (K01.FR.111), so the dischargeLimit of its TxProfile is kept by our setpoint."""
    world = giving()
    assert world.gives_w > 6000.0
    answer = world.csms("SetChargingProfile", world.profile({"operationMode": "ExternalSetpoint", "limit": 11_000.0, "dischargeLimit": -3000.0}))
    assert answer["status"] == "Accepted"
    world.run(APPLY_S + REACTION_S + RAMP_S)
    assert 2000.0 < world.gives_w <= 3000.0
    world.until(6.5)
    assert 2000.0 < world.gives_w <= 3000.0


def test_a_profile_of_the_csms_that_only_charges_forbids_it() -> None:
    world = giving()
    assert world.csms("SetChargingProfile", world.profile({"limit": 11_000.0}))["status"] == "Accepted"
    world.run(APPLY_S + REACTION_S + RAMP_S)
    assert world.gives_w == 0.0
    world.csms("ClearChargingProfile", {"chargingProfileId": 7})
    world.run(120)
    assert world.gives_w > 6000.0


def test_unless_the_owner_allows_it_despite_such_profiles() -> None:
    world = giving(v2g={"despite_profiles": True})
    assert world.csms("SetChargingProfile", world.profile({"limit": 11_000.0}))["status"] == "Accepted"
    world.run(120)
    assert world.gives_w > 6000.0


def test_a_setpoint_of_the_csms_is_obeyed_and_bounded_by_the_owner() -> None:
    world = giving(v2g={"max_discharge_w": 4000.0})
    body = {"operationMode": "CentralSetpoint", "limit": 11_000.0, "dischargeLimit": -6000.0, "setpoint": -2000.0}
    assert world.csms("SetChargingProfile", world.profile(body))["status"] == "Accepted"
    world.run(60)
    assert world.gives_w == pytest.approx(2000.0, rel=0.05)
    assert world.csms("SetChargingProfile", world.profile({**body, "setpoint": -6000.0}))["status"] == "Accepted"
    world.run(60)
    assert world.gives_w == pytest.approx(4000.0, rel=0.05)


# -- the fuse, the meter, the grid ---------------------------------------------------------------------------


def test_without_its_meter_the_site_gives_nothing_back() -> None:
    world = giving()
    world.metered = False
    lost_s = world.config.control.meter_lost_s
    world.run(lost_s + APPLY_S + REACTION_S + 2 * STEP_S)
    assert world.gives_w == 0.0
    world.run(60)
    assert 0.0 <= world.car.current_a <= 6.0, "its fallback is a ceiling"
    world.metered = True
    world.run(120)
    assert world.gives_w > 6000.0


@pytest.mark.parametrize("rises", [False, True])
def test_a_car_that_stops_from_one_moment_to_the_next_lifts_no_fuse(rises: bool) -> None:
    """Charging never counts on what is given back, also where the building has grown meanwhile."""
    world = giving(grid={"fuse_a": 40, "margin_a": 1})
    world.park_plain()
    world.run(150)
    if rises:
        world.building_w += 3000.0
        world.run(120)
    assert world.gives_w > 6000.0
    assert world.stations["CP2"].evses[1].power_w > 5000.0, "somebody charges"
    sulker: Any = world.car
    sulker.sulks = True
    before = len(world.flow)
    world.run(120)
    assert world.gives_w == 0.0
    assert max(amps for _, _, amps in world.flow[before:]) <= 40.0
    assert not world.told_of("over its limit")


def test_a_circuit_over_its_fuse_is_not_made_worse_by_giving_less() -> None:
    world = giving(grid={"fuse_a": 40, "margin_a": 1})
    world.building_w = 40.5 * 690.0 + 7000.0
    before = len(world.flow)
    world.run(60)
    assert max(amps for _, _, amps in world.flow[before:]) <= 41.0, "a little over the fuse, and it stays at that"
    assert world.gives_w > 6000.0


@pytest.mark.parametrize("building_w", [3000.0, 6000.0])
def test_a_site_that_must_not_feed_in_gives_only_what_it_uses_itself(building_w: float) -> None:
    world = V2gWorld(site(grid={"max_export_w": 0.0}), 5.9)
    world.building_w = building_w
    world.run(20)
    world.park(12.0)
    world.until(7.0)
    assert min(amps for _, _, amps in world.flow) >= 0.0
    assert 0.3 * building_w < world.gives_w < building_w
    written = len(world.profiles) + len(world.updates)
    assert written < 200, "an hour of renewals, and no profile for every flicker of the meter"
