"""2.1 profiles: what is understood is read, what is not evaluated is refused with the reason of the specification."""

from copy import deepcopy
from typing import Any

import pytest

from controller.ocpp.registry import dialects
from controller.ocpp.schedule import ProfileError
from tests.support.schemas import check_request, check_response

DIALECT = dialects()["ocpp2.1"]


def request(profile: dict[str, Any] | None = None, schedule: dict[str, Any] | None = None, period: dict[str, Any] | None = None) -> dict[str, Any]:
    one = {"startPeriod": 0, "limit": 16.0, "numberPhases": 3, **(period or {})}
    whole = {"id": 5, "chargingRateUnit": "A", "startSchedule": "2026-11-21T16:00:00Z", "chargingSchedulePeriod": [one], **(schedule or {})}
    head = {"id": 7, "stackLevel": 1, "chargingProfilePurpose": "TxProfile", "chargingProfileKind": "Absolute", "transactionId": "t-1"}
    return {"evseId": 1, "chargingProfile": {**head, "chargingSchedule": [whole], **(profile or {})}}


def reason(payload: dict[str, Any]) -> str:
    check_request("SetChargingProfile", payload, "v21")
    with pytest.raises(ProfileError) as caught:
        DIALECT.read_set_profile(payload)
    check_response("SetChargingProfile", DIALECT.rejected_profile(caught.value), "v21")
    return caught.value.reason_code


@pytest.mark.parametrize(
    ("profile", "code"),
    [
        ({"chargingProfilePurpose": "PriorityCharging"}, "UnsupportedPurpose"),  # K01.FR.120
        ({"chargingProfilePurpose": "LocalGeneration"}, "UnsupportedPurpose"),
        ({"chargingProfileKind": "Dynamic"}, "UnsupportedKind"),  # K01.FR.121
        ({"dynUpdateInterval": 60}, "InvalidProfile"),  # K01.FR.122
        ({"dynUpdateTime": "2026-11-21T16:00:00Z"}, "InvalidProfile"),
        ({"maxOfflineDuration": 0}, "InvalidProfile"),
        ({"invalidAfterOfflineDuration": True}, "InvalidProfile"),
    ],
)
def test_profiles_of_a_kind_that_is_not_evaluated(profile: dict[str, Any], code: str) -> None:
    assert reason(request(profile)) == code


@pytest.mark.parametrize(
    "schedule",
    [{"useLocalTime": True}, {"randomizedDelay": 600}, {"limitAtSoC": {"soc": 80, "limit": 6.0}}],  # K01.FR.123-125
)
def test_schedules_that_are_not_evaluated(schedule: dict[str, Any]) -> None:
    assert reason(request(schedule=schedule)) == "InvalidSchedule"


@pytest.mark.parametrize(
    ("period", "code"),
    [
        *(({"operationMode": mode}, "InvalidOperationMode") for mode in ("CentralSetpoint", "LocalFrequency", "ExternalLimits", "Idle")),
        ({"limit_L2": 10.0}, "PhaseConflict"),
        ({"limit_L3": 0}, "PhaseConflict"),
        ({"setpoint": 0}, "InvalidSchedule"),
        ({"dischargeLimit": -5000}, "InvalidSchedule"),
        ({"setpointReactive": 100}, "InvalidSchedule"),
        ({"v2xBaseline": 0}, "InvalidSchedule"),
        ({"v2xFreqWattCurve": [{"frequency": 50.0, "power": 0.0}]}, "InvalidSchedule"),
        ({"evseSleep": True}, "InvalidSchedule"),  # K01.FR.126
        ({"preconditioningRequest": True}, "InvalidSchedule"),
        ({"numberPhases": 0}, "InvalidSchedule"),
    ],
)
def test_periods_that_are_not_evaluated(period: dict[str, Any], code: str) -> None:  # traps 23, 25
    assert reason(request(period=period)) == code
    later = request()
    later["chargingProfile"]["chargingSchedule"][0]["chargingSchedulePeriod"].append({"startPeriod": 60, "limit": 6.0, **period})
    assert reason(later) == code


def test_a_limit_is_optional_in_the_schema_but_not_without_another_mode() -> None:
    payload = request()
    del payload["chargingProfile"]["chargingSchedule"][0]["chargingSchedulePeriod"][0]["limit"]
    assert reason(payload) == "InvalidSchedule"


def test_new_fields_that_ask_for_nothing_are_taken() -> None:
    payload = request(
        {"invalidAfterOfflineDuration": False},
        {"useLocalTime": False, "randomizedDelay": 0},
        {"operationMode": "ChargingOnly", "evseSleep": False, "preconditioningRequest": False},
    )
    check_request("SetChargingProfile", payload, "v21")
    evse_id, profile = DIALECT.read_set_profile(payload)
    assert (evse_id, profile.schedules[0].periods[0].limit) == (1, 16.0)


def test_prices_limit_nothing_and_come_back_in_the_report() -> None:
    prices = {
        "powerTolerance": 500.0,
        "signatureId": 1,
        "digestValue": "abc",
        "priceLevelSchedule": {
            "timeAnchor": "2026-11-21T16:00:00Z",
            "priceScheduleId": 1,
            "numberOfPriceLevels": 2,
            "priceLevelScheduleEntries": [{"duration": 3600, "priceLevel": 1}],
        },
    }
    payload = request({"priceScheduleSignature": "sig"}, prices)
    placed = DIALECT.read_set_profile(payload)
    (report,) = DIALECT.report_profiles({"requestId": 1}, [placed])
    check_request("ReportChargingProfiles", report, "v21")
    shown = report["chargingProfile"][0]
    assert shown["priceScheduleSignature"] == "sig"
    assert {key: shown["chargingSchedule"][0][key] for key in prices} == prices


def test_the_fields_of_a_remote_start_are_judged_alike() -> None:  # K05
    start = request({"chargingProfileKind": "Dynamic"})
    with pytest.raises(ProfileError, match="UnsupportedKind"):
        DIALECT.read_set_profile(start, in_start=True)
    relative = request({"chargingProfileKind": "Relative", "transactionId": None})
    del relative["chargingProfile"]["chargingSchedule"][0]["startSchedule"]
    assert DIALECT.read_set_profile(relative, in_start=True)[1].transaction_id is None


ODD_SCHEDULES = {"evseId": 1, "chargingProfile": {"chargingSchedule": [3, {"chargingSchedulePeriod": "x"}]}}


@pytest.mark.parametrize("odd", [{}, {"chargingProfile": 3}, ODD_SCHEDULES])
def test_what_cannot_be_read_is_refused_and_nothing_else(odd: dict[str, Any]) -> None:
    with pytest.raises(ProfileError):
        DIALECT.read_set_profile(deepcopy(odd))


def test_criteria_of_new_purposes_select_nothing_as_none_are_kept() -> None:
    for purpose in ("PriorityCharging", "LocalGeneration"):
        criteria = DIALECT.read_criteria("ClearChargingProfile", {"chargingProfileCriteria": {"chargingProfilePurpose": purpose}})
        assert criteria.evse_id == -1
