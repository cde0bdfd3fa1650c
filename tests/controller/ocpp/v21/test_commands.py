"""Our own CALLs that only 2.1 has, judged by the OCA schemas. Expected payloads are written from K28, Q03, Q04 and Q10 by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from controller.ocpp.dialect import Setpoint
from controller.ocpp.registry import dialects
from controller.orders import Strategy
from tests.support.schemas import check_request

V21 = "ocpp2.1"
DIALECT = dialects()[V21]
DYNAMIC = Strategy(dynamic=True)
PLAIN = Setpoint(1, 900_000_003, 1, 15.97, 3, 1_790_000_000.0, 1_790_000_120.0, "t-1")


def profile(setpoint: Setpoint) -> dict[str, Any]:
    action, payload = DIALECT.set_profile(setpoint)
    check_request(action, payload, V21)
    found: dict[str, Any] = payload["chargingProfile"]
    return found


def schedule(setpoint: Setpoint) -> dict[str, Any]:
    (found,) = profile(setpoint)["chargingSchedule"]
    return dict(found)


def test_a_dynamic_profile_has_one_period_a_watchdog_and_no_date() -> None:  # K28.FR.13-15: the duration counts from the last update
    setpoint = replace(PLAIN, strategy=DYNAMIC)
    assert profile(setpoint)["chargingProfileKind"] == "Dynamic"
    assert "dynUpdateInterval" not in profile(setpoint), "updates are pushed"
    assert schedule(setpoint) == {
        "id": 900_000_003,
        "duration": 120,
        "chargingRateUnit": "A",
        "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 15.9, "numberPhases": 3}],
    }


@pytest.mark.parametrize(
    ("setpoint", "update"),
    [
        (replace(PLAIN, strategy=DYNAMIC), {"limit": 15.9}),
        (replace(PLAIN, strategy=replace(DYNAMIC, unit="W")), {"limit": 11_019.3}),
        (replace(PLAIN, strategy=DYNAMIC, setpoint_w=-4500.07), {"setpoint": -4500.0}),
        (replace(PLAIN, strategy=DYNAMIC, setpoint_w=4500.07), {"setpoint": 4500.0}),
    ],
)
def test_an_update_changes_the_value_alone(setpoint: Setpoint, update: dict[str, float]) -> None:  # K28.FR.06
    call = DIALECT.update_profile(setpoint)
    assert call == ("UpdateDynamicSchedule", {"chargingProfileId": 900_000_003, "scheduleUpdate": update})
    check_request(*call, V21)


def test_what_is_not_dynamic_cannot_be_updated() -> None:
    assert DIALECT.update_profile(PLAIN) is None
    assert DIALECT.update_profile(replace(PLAIN, strategy=DYNAMIC, idle=True)) is None


@pytest.mark.parametrize(("longest_s", "written"), [(120.0, 120), (0.0, 0), (59.6, 60)])
def test_a_profile_ends_when_the_station_is_alone(longest_s: float, written: int) -> None:  # K01.FR.101-103
    found = profile(replace(PLAIN, strategy=Strategy(max_offline_s=longest_s)))
    assert (found["maxOfflineDuration"], found["invalidAfterOfflineDuration"]) == (written, True)


def test_without_a_word_about_it_nothing_is_said_of_being_offline() -> None:
    assert not {"maxOfflineDuration", "invalidAfterOfflineDuration"} & set(profile(PLAIN))


# Neither limit nor dischargeLimit: the table of operation modes allows them, Q03.FR.02 forbids them.
@pytest.mark.parametrize(("power_w", "written"), [(-7200.0, -7200.0), (-7200.09, -7200.0), (0.0, 0.0), (3000.09, 3000.0)])
@pytest.mark.parametrize("strategy", [Strategy(), Strategy(unit="W"), DYNAMIC])
def test_a_v2x_setpoint_is_in_w_with_a_setpoint_and_no_limits(power_w: float, written: float, strategy: Strategy) -> None:  # Q03, Q04
    setpoint = replace(PLAIN, setpoint_w=power_w, strategy=strategy)
    assert profile(setpoint)["chargingProfilePurpose"] == "TxProfile"
    assert schedule(setpoint)["chargingRateUnit"] == "W"
    (period,) = schedule(setpoint)["chargingSchedulePeriod"]
    assert period == {"startPeriod": 0, "operationMode": "CentralSetpoint", "setpoint": written, "numberPhases": 3}


def test_idle_says_only_that() -> None:  # Q10
    setpoint = replace(PLAIN, idle=True)
    (period,) = schedule(setpoint)["chargingSchedulePeriod"]
    assert period == {"startPeriod": 0, "operationMode": "Idle", "numberPhases": 3}
    assert schedule(setpoint)["duration"] == 120


def cleared(strategy: Strategy) -> set[tuple[int, str]]:
    calls = DIALECT.clear_foreign(2, True, strategy)
    for action, payload in calls:
        check_request(action, payload, V21)
    criteria = [payload["chargingProfileCriteria"] for _, payload in calls]
    return {(one["evseId"], one["chargingProfilePurpose"]) for one in criteria}


def test_what_could_lift_our_limit_goes_before_our_floor() -> None:  # SC.01
    purposes = ("TxDefaultProfile", "PriorityCharging", "LocalGeneration")
    assert cleared(Strategy("tx_default")) == {(place, purpose) for place in (0, 2) for purpose in purposes}
    whole = {(0, "ChargingStationMaxProfile"), (0, "LocalGeneration"), (2, "LocalGeneration")}
    assert cleared(Strategy("station_max")) == whole, "the station's maximum bounds PriorityCharging itself"


def test_features_are_asked_in_one_call_or_in_several() -> None:
    ((action, payload),) = DIALECT.ask_features((1, 2), 500)
    check_request(action, payload, V21)
    assert action == "GetVariables"
    asked = payload["getVariableData"]
    assert {"component": {"name": "V2XChargingCtrlr", "evse": {"id": 2}}, "variable": {"name": "SupportedOperationModes"}} in asked
    smart = {(one["variable"]["name"], one["variable"].get("instance")) for one in asked if one["component"]["name"] == "SmartChargingCtrlr"}
    assert {("SupportsFeature", "DynamicProfiles"), ("SupportsDynamicProfiles", None), ("RateUnit", None)} <= smart, "both spellings (5.8)"
    parts = DIALECT.ask_features((1, 2), 4)
    assert [item for _, part in parts for item in part["getVariableData"]] == asked
    assert max(len(part["getVariableData"]) for _, part in parts) == 4
