"""2.1: what it says in its own words, and what its cars tell."""

from typing import Any

import pytest

from controller.facts import EvseMeasured, NeedsAnnounced, Stamp
from controller.ocpp.registry import dialects
from tests.support.schemas import check_response, example_request

DIALECT = dialects()["ocpp2.1"]
AT = Stamp(10.0, 1_790_000_000.0)


def unknown(token: dict[str, Any]) -> None:
    return None


def test_2_0_1_knows_none_of_this() -> None:
    old = dialects()["ocpp2.0.1"]
    assert (old.version, DIALECT.version) == ("2.0.1", "2.1")
    for action in ("PullDynamicScheduleUpdate", "UsePriorityCharging", "UpdateDynamicSchedule"):
        assert old.own_profile_call(action, {}) is None
        assert old.refuse(action, {}) is None
        assert old.answer(AT, action, {}, unknown) is None


@pytest.mark.parametrize(
    ("action", "payload", "status"),
    [
        ("UsePriorityCharging", {"transactionId": "t", "activate": True}, "NoProfile"),  # K21.FR.01
        ("UsePriorityCharging", {"transactionId": "t", "activate": False}, "Accepted"),  # K21.FR.06
        ("UpdateDynamicSchedule", {"chargingProfileId": 4, "scheduleUpdate": {"limit": 9.0}}, "Rejected"),  # K28.FR.11
        ("PullDynamicScheduleUpdate", {"chargingProfileId": 4}, "Rejected"),  # K28.FR.12
    ],
)
def test_calls_about_profiles_that_are_not_kept(action: str, payload: dict[str, Any], status: str) -> None:
    answer = DIALECT.own_profile_call(action, payload)
    assert answer is not None
    check_response(action, answer, "v21")
    assert answer["status"] == status
    assert DIALECT.own_profile_call("SetChargingProfile", {}) is None


def test_a_pull_is_answered_by_us_with_and_without_a_csms() -> None:
    answer = DIALECT.answer(AT, "PullDynamicScheduleUpdate", {"chargingProfileId": 4}, unknown)
    assert answer is not None
    assert answer["status"] == "Rejected"


def test_a_payment_the_terminal_has_taken_is_accepted_but_asked_for_in_advance_it_is_not_ours_to_give() -> None:  # C18.FR.03/04
    token = {"idToken": "psp-1", "type": "DirectPayment"}
    event = {**example_request("TransactionEvent", "v21"), "idToken": token}
    assert DIALECT.answer(AT, "TransactionEvent", event, unknown) == {"idTokenInfo": {"status": "Accepted"}}
    assert DIALECT.answer(AT, "Authorize", {"idToken": token}, unknown) == {"idTokenInfo": {"status": "Unknown"}}
    card = {**event, "idToken": {"idToken": "A", "type": "ISO14443"}}
    assert DIALECT.answer(AT, "TransactionEvent", card, unknown) == {"idTokenInfo": {"status": "Unknown"}}


def test_each_certificate_asked_about_gets_its_own_failed() -> None:  # M07
    asked = example_request("GetCertificateChainStatus", "v21", full=True)
    answer = DIALECT.answer(AT, "GetCertificateChainStatus", asked, unknown)
    assert answer is not None
    check_response("GetCertificateChainStatus", answer, "v21")
    assert [item["certificateHashData"] for item in answer["certificateStatus"]] == [
        item["certificateHashData"] for item in asked["certificateStatusRequests"]
    ]
    assert {item["status"] for item in answer["certificateStatus"]} == {"Failed"}


def test_a_vat_number_is_not_confirmed_in_the_csms_s_name() -> None:  # C18
    answer = DIALECT.answer(AT, "VatNumberValidation", {"vatNumber": "NL123", "evseId": 2}, unknown)
    assert answer is not None
    assert (answer["vatNumber"], answer["evseId"], answer["status"]) == ("NL123", 2, "Rejected")


# -- cars -----------------------------------------------------------------------------------------------


def needs(**charging: Any) -> NeedsAnnounced:
    payload = {"evseId": 1, "chargingNeeds": {"requestedEnergyTransfer": "AC_BPT", "departureTime": "2026-11-21T18:00:00Z", **charging}}
    (fact,) = DIALECT.observe(AT, "CS1", "NotifyEVChargingNeeds", payload)
    assert isinstance(fact, NeedsAnnounced)
    return fact


def test_needs_of_a_v2x_car() -> None:
    fact = needs(v2xChargingParameters={"evTargetEnergyRequest": 30_000.5, "maxChargeCurrent": 32, "maxDischargePower": 11_000})
    assert (fact.energy_wh, fact.max_current_a, fact.max_discharge_w) == (30_000.5, 32.0, 11_000.0)
    assert fact.departure_wall_s is not None


def test_discharge_of_three_phases_adds_up_whatever_its_sign() -> None:
    v2x = {"maxDischargePower": -3000, "maxDischargePower_L2": -2000, "maxDischargePower_L3": -1000}
    assert needs(v2xChargingParameters=v2x).max_discharge_w == 6000.0


def test_the_battery_current_of_a_dc_car_is_no_current_of_the_grid() -> None:
    fact = needs(requestedEnergyTransfer="DC_BPT", v2xChargingParameters={"maxChargeCurrent": 400, "evTargetEnergyRequest": -1})
    assert (fact.max_current_a, fact.energy_wh) == (None, None)


def test_the_fields_of_2_0_1_win_and_odd_ones_say_nothing() -> None:
    v2x = {"evTargetEnergyRequest": 1, "maxChargeCurrent": 6}
    fact = needs(acChargingParameters={"energyAmount": 8000, "evMaxCurrent": 16}, v2xChargingParameters=v2x)
    assert (fact.energy_wh, fact.max_current_a) == (8000.0, 16.0)
    for odd in ("text", None, {"evTargetEnergyRequest": "much", "maxDischargePower": []}):
        fact = needs(v2xChargingParameters=odd)
        assert (fact.energy_wh, fact.max_current_a, fact.max_discharge_w) == (None, None, None)
    assert DIALECT.observe(AT, "CS1", "NotifyEVChargingNeeds", {"evseId": 1, "chargingNeeds": "x"}) == []


def test_a_reading_of_the_site_s_own_meter_is_no_reading_of_the_evse() -> None:
    upstream = {"value": 40.0, "measurand": "Current.Import", "phase": "L1", "location": "Upstream"}
    own = {"value": 9.0, "measurand": "Current.Import", "phase": "L1"}
    payload = {"evseId": 1, "meterValue": [{"timestamp": "2026-11-21T16:00:00Z", "sampledValue": [own, upstream]}]}
    (fact,) = DIALECT.observe(AT, "CS1", "MeterValues", payload)
    assert isinstance(fact, EvseMeasured)
    assert fact.phase_current_a == (9.0, None, None)
