"""What a car asks for and what its driver is worth, as 2.x stations and CSMSs say it."""

from typing import Any

import pytest

from controller.facts import NeedsAnnounced, Stamp
from controller.ocpp.dialect import DriverWord
from controller.ocpp.registry import dialects
from controller.ocpp.schedule import Period
from tests.support.schemas import check_request

AT = Stamp(10.0, 1_790_000_000.0)
OLD, NEW = dialects()["ocpp2.0.1"], dialects()["ocpp2.1"]


def needs(dialect: Any, **charging: Any) -> NeedsAnnounced:
    payload = {"evseId": 2, "chargingNeeds": {"requestedEnergyTransfer": "AC_three_phase", **charging}}
    check_request("NotifyEVChargingNeeds", payload, dialect.subprotocol)
    (fact,) = dialect.observe(AT, "CP1", "NotifyEVChargingNeeds", payload)
    assert isinstance(fact, NeedsAnnounced)
    return fact


@pytest.mark.parametrize("dialect", [OLD, NEW])
def test_an_ac_car_of_iso_15118_2(dialect: Any) -> None:  # K15
    ac = {"energyAmount": 12_000, "evMinCurrent": 6, "evMaxCurrent": 16, "evMaxVoltage": 400}
    fact = needs(dialect, acChargingParameters=ac, departureTime="2026-11-21T18:00:00Z")
    assert (fact.evse.evse_id, fact.energy_wh, fact.min_current_a, fact.max_current_a) == (2, 12_000, 6, 16)
    assert (fact.transfer_mode, fact.dynamic_control, fact.bidirectional) == ("AC_three_phase", False, False)
    assert fact.departure_wall_s is not None


@pytest.mark.parametrize("dialect", [OLD, NEW])
def test_a_dc_car_tells_its_battery(dialect: Any) -> None:
    dc = {"evMaxCurrent": 300, "evMaxVoltage": 900, "evMaxPower": 150_000, "stateOfCharge": 30, "evEnergyCapacity": 80_000, "fullSoC": 90}
    fact = needs(dialect, requestedEnergyTransfer="DC", dcChargingParameters=dc)
    assert (fact.max_current_a, fact.max_power_w, fact.capacity_wh, fact.soc_percent) == (None, 150_000, 80_000, 30)
    assert fact.energy_wh == 48_000  # from 30 % to what it takes for full, 90 %, of 80 kWh
    said = needs(dialect, requestedEnergyTransfer="DC", dcChargingParameters={**dc, "energyAmount": 20_000})
    assert said.energy_wh == 20_000


V2X = {
    "minChargePower": 1400,
    "maxChargePower": 11_000,
    "minDischargePower": 1000,
    "maxDischargePower": 7000,
    "minChargeCurrent": 6,
    "maxChargeCurrent": 16,
    "evTargetEnergyRequest": 20_000,
    "evMinEnergyRequest": -5000,
    "evMaxEnergyRequest": 30_000,
    "evMinV2XEnergyRequest": -10_000,
    "evMaxV2XEnergyRequest": 15_000,
}


def test_a_car_of_iso_15118_20_that_can_give_back() -> None:  # Q01
    fact = needs(NEW, requestedEnergyTransfer="AC_BPT", controlMode="DynamicControl", v2xChargingParameters=V2X)
    assert (fact.energy_wh, fact.min_wh, fact.max_wh, fact.min_v2x_wh, fact.max_v2x_wh) == (20_000, -5000, 30_000, -10_000, 15_000)
    assert (fact.min_power_w, fact.max_power_w, fact.min_discharge_w, fact.max_discharge_w) == (1400, 11_000, 1000, 7000)
    assert (fact.min_current_a, fact.max_current_a) == (6, 16)
    assert (fact.bidirectional, fact.dynamic_control) == (True, True)


def test_powers_of_three_phases_add_up() -> None:
    fact = needs(NEW, v2xChargingParameters={"maxChargePower": 3000, "maxChargePower_L2": 2000, "maxChargePower_L3": 1000})
    assert fact.max_power_w == 6000


@pytest.mark.parametrize(
    ("asked", "offered", "gives"),
    [
        ("DC_BPT", [], True),
        ("AC_BPT_DER", [], True),
        ("AC_DER", ["AC_BPT"], False),  # it could, but did not ask for it in this session
        ("DC", ["DC_BPT"], False),
    ],
)
def test_who_gives_back_has_asked_for_it(asked: str, offered: list[str], gives: bool) -> None:
    more = {"availableEnergyTransfer": offered} if offered else {}
    assert needs(NEW, requestedEnergyTransfer=asked, controlMode="ScheduledControl", **more).bidirectional is gives


@pytest.mark.parametrize(
    "odd",
    [
        {"acChargingParameters": "much"},
        {"acChargingParameters": {"energyAmount": -5, "evMaxCurrent": 0, "evMinCurrent": "six"}},
        {"dcChargingParameters": {"energyAmount": 1e12, "stateOfCharge": 120, "evEnergyCapacity": -1}},
        {"v2xChargingParameters": {"evMinEnergyRequest": 9e9, "maxDischargePower": True}, "controlMode": 5, "departureTime": "soon"},
        {"requestedEnergyTransfer": 7, "availableEnergyTransfer": "BPT"},
    ],
)
def test_what_cannot_be_believed_is_not_said(odd: dict[str, Any]) -> None:  # B19
    (fact,) = NEW.observe(AT, "CP1", "NotifyEVChargingNeeds", {"evseId": 1, "chargingNeeds": odd})
    assert isinstance(fact, NeedsAnnounced)
    numbers = (fact.energy_wh, fact.max_current_a, fact.min_current_a, fact.soc_percent, fact.capacity_wh, fact.min_wh, fact.max_discharge_w)
    assert numbers == (None,) * 7
    assert (fact.bidirectional, fact.departure_wall_s) == (False, None)


# -- schedules of cars ---------------------------------------------------------------------------------------------


def test_a_schedule_of_a_car_begins_at_its_start_or_at_its_time_base() -> None:  # K15.FR.11
    schedule: dict[str, Any] = {"id": 1, "chargingRateUnit": "W", "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 4000.0, "numberPhases": 1}]}
    payload = {"timeBase": "2026-11-21T16:00:00Z", "evseId": 1, "chargingSchedule": schedule}
    check_request("NotifyEVChargingSchedule", payload, "v201")
    found = OLD.ev_schedule("NotifyEVChargingSchedule", payload)
    assert found is not None
    assert found.profile.schedules[0].start_wall_s == 1_795_276_800.0
    assert found.profile.schedules[0].periods == (Period(0.0, 4000.0, 1),)
    later = OLD.ev_schedule("NotifyEVChargingSchedule", {**payload, "chargingSchedule": {**schedule, "startSchedule": "2026-11-21T16:01:00Z"}})
    assert later is not None
    assert later.profile.schedules[0].start_wall_s == 1_795_276_860.0
    assert OLD.ev_schedule("NotifyEVChargingNeeds", payload) is None


def test_what_a_car_gives_back_takes_nothing() -> None:
    periods = [{"startPeriod": 0, "setpoint": -3000.0, "operationMode": "CentralSetpoint"}]
    payload = {
        "timeBase": "2026-11-21T16:00:00Z",
        "evseId": 1,
        "chargingSchedule": {"id": 1, "chargingRateUnit": "W", "chargingSchedulePeriod": periods},
    }
    check_request("NotifyEVChargingSchedule", payload, "v21")
    found = NEW.ev_schedule("NotifyEVChargingSchedule", payload)
    assert found is not None
    assert found.profile.schedules[0].periods[0].limit == 0.0


# -- drivers ----------------------------------------------------------------------------------------------------------


def test_the_priority_of_a_transaction_overrules_that_of_the_token() -> None:  # E01.FR.18
    request = {"transactionInfo": {"transactionId": "t"}}
    info = {"status": "Accepted", "chargingPriority": 2}
    assert OLD.driver_word("TransactionEvent", request, {"idTokenInfo": info}) == DriverWord("t", 2)
    assert OLD.driver_word("TransactionEvent", request, {"idTokenInfo": info, "chargingPriority": 9}) == DriverWord("t", 9, overrules=True)
    assert OLD.driver_word("TransactionEvent", request, {"chargingPriority": 99}) is None
    assert OLD.driver_word("TransactionEvent", {}, {"chargingPriority": 9}) is None
    assert OLD.driver_word("Authorize", request, {"idTokenInfo": info}) is None


def test_whoever_stops_a_transaction_is_not_its_driver() -> None:
    token = {"idToken": "AABB", "type": "ISO14443"}
    assert OLD.driver_token("TransactionEvent", {"eventType": "Started", "idToken": token}) == token
    assert OLD.driver_token("TransactionEvent", {"eventType": "Ended", "idToken": token}) is None
    assert OLD.driver_token("TransactionEvent", {"eventType": "Updated", "idToken": {"idToken": 5}}) is None
