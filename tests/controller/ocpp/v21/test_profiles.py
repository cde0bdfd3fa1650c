"""2.1 profiles: read whole, reported as they came, refused with the reason of the specification. Combinations: tests/conformance."""

import json
from copy import deepcopy
from dataclasses import replace
from typing import Any

import pytest

from controller.facts import LimitStep, Stamp
from controller.ocpp.dialect import CompositeRequest, ProfileCriteria
from controller.ocpp.registry import dialects
from controller.ocpp.schedule import (
    Kind,
    LimitAtSoC,
    Mode,
    Period,
    PerPhase,
    Profile,
    ProfileError,
    Purpose,
    profile_from_json,
    profile_to_json,
)
from tests.support.schemas import check_request, check_response

DIALECT = dialects()["ocpp2.1"]
NOW = 1_790_000_000.0


def without_none(value: Any) -> Any:
    """A payload in which None means: not there."""
    if isinstance(value, dict):
        return {key: without_none(found) for key, found in value.items() if found is not None}
    return [without_none(found) for found in value] if isinstance(value, list) else value


def request(profile: dict[str, Any] | None = None, schedule: dict[str, Any] | None = None, period: dict[str, Any] | None = None) -> dict[str, Any]:
    one = {"startPeriod": 0, "limit": 16.0, "numberPhases": 3, **(period or {})}
    whole = {"id": 5, "chargingRateUnit": "A", "startSchedule": "2026-11-21T16:00:00Z", "chargingSchedulePeriod": [one], **(schedule or {})}
    head = {"id": 7, "stackLevel": 1, "chargingProfilePurpose": "TxProfile", "chargingProfileKind": "Absolute", "transactionId": "t-1"}
    return {"evseId": 1, "chargingProfile": {**head, "chargingSchedule": [whole], **(profile or {})}}


def reason(payload: dict[str, Any]) -> str:
    payload = without_none(payload)
    check_request("SetChargingProfile", payload, "v21")
    with pytest.raises(ProfileError) as caught:
        DIALECT.read_set_profile(payload)
    check_response("SetChargingProfile", DIALECT.rejected_profile(caught.value), "v21")
    return caught.value.reason_code


W = {"chargingRateUnit": "W"}


def only(**values: Any) -> dict[str, Any]:
    """A period without the usual limit and phases."""
    return {"limit": None, "numberPhases": None, **values}


def read(payload: dict[str, Any]) -> Profile:
    check_request("SetChargingProfile", payload, "v21")
    return DIALECT.read_set_profile(payload)[1]


@pytest.mark.parametrize(
    ("profile", "code"),
    [
        ({"dynUpdateInterval": 60}, "InvalidProfile"),  # K01.FR.122
        ({"dynUpdateTime": "2026-11-21T16:00:00Z"}, "InvalidProfile"),
        ({"maxOfflineDuration": -1}, "InvalidProfile"),
        ({"chargingProfilePurpose": "ChargingStationExternalConstraints", "transactionId": None}, "InvalidProfile"),  # K01.FR.22
        ({"chargingProfilePurpose": "ChargingStationMaxProfile", "transactionId": None}, "InvalidValue"),  # K04.FR.03: at EVSE 1
    ],
)
def test_profiles_a_station_refuses(profile: dict[str, Any], code: str) -> None:
    assert reason(request(profile)) == code


@pytest.mark.parametrize(
    ("purpose", "schedule"),
    [
        ("PriorityCharging", {"duration": 3600}),  # K01.FR.70
        ("PriorityCharging", {"randomizedDelay": 600}),  # K01.FR.95
        ("LocalGeneration", {"randomizedDelay": 600}),
    ],
)
def test_schedules_a_purpose_does_not_allow(purpose: str, schedule: dict[str, Any]) -> None:
    assert reason(request({"chargingProfilePurpose": purpose, "transactionId": None}, schedule)) == "InvalidSchedule"


@pytest.mark.parametrize(
    "schedule",
    [
        {"limitAtSoC": {"soc": 80, "limit": -6.0}},
        {"chargingSchedulePeriod": [{"startPeriod": 0, "limit": 6.0}, {"startPeriod": 0, "limit": 7.0}]},
        {"chargingSchedulePeriod": [{"startPeriod": 60, "limit": 6.0}]},
    ],
)
def test_schedules_a_station_refuses(schedule: dict[str, Any]) -> None:
    assert reason(request(schedule=schedule)) == "InvalidSchedule"


@pytest.mark.parametrize(
    ("schedule", "key"),
    [
        ({"randomizedDelay": "soon"}, "randomizedDelay"),
        ({"randomizedDelay": -1}, "randomizedDelay"),
        ({"useLocalTime": "yes"}, "useLocalTime"),
        ({"limitAtSoC": 80}, "limitAtSoC"),
        ({"limitAtSoC": {"soc": 101, "limit": 6.0}}, "soc"),
        ({"limitAtSoC": {"soc": 80}}, "limit"),
    ],
)
def test_fields_the_schema_forbids_are_refused_by_name(schedule: dict[str, Any], key: str) -> None:
    with pytest.raises(ProfileError, match=key) as caught:
        DIALECT.read_set_profile(request(schedule=schedule))
    assert caught.value.reason_code == "InvalidSchedule"


@pytest.mark.parametrize(
    ("period", "code"),
    [
        # What nobody can do here.
        ({"operationMode": "LocalFrequency", "limit": None, "v2xBaseline": 0.0}, "InvalidOperationMode"),  # K01.FR.115
        ({"v2xBaseline": 0}, "InvalidSchedule"),
        ({"v2xFreqWattCurve": [{"frequency": 50.0, "power": 0.0}]}, "InvalidSchedule"),
        (only(operationMode="Idle", evseSleep=True), "InvalidSchedule"),  # K01.FR.126
        (only(operationMode="Idle", preconditioningRequest=True), "InvalidSchedule"),
        ({"evseSleep": True}, "InvalidSchedule"),
        (only(operationMode="CentralSetpoint", setpoint=0.0, setpointReactive=100.0), "InvalidSchedule"),
        (only(operationMode="CentralSetpoint", setpoint=10.0, setpoint_L2=-10.0), "InvalidSchedule"),
        # What a mode needs and what it does not have.
        ({"setpoint": 0}, "InvalidSchedule"),
        ({"dischargeLimit": -5000}, "InvalidSchedule"),
        ({"setpointReactive": 100}, "InvalidSchedule"),
        (only(operationMode="CentralSetpoint"), "InvalidSchedule"),
        (only(operationMode="CentralFrequency", limit=16.0), "InvalidSchedule"),
        (only(operationMode="CentralFrequency", setpoint=1.0, setpointReactive=0.0), "InvalidSchedule"),
        (only(operationMode="ExternalSetpoint", setpoint=1.0), "InvalidSchedule"),
        (only(operationMode="ExternalLimits", limit=1.0), "InvalidSchedule"),
        (only(operationMode="LocalLoadBalancing", setpoint=1.0), "InvalidSchedule"),
        (only(operationMode="Idle", limit=6.0), "InvalidSchedule"),
        # Limits of single phases.
        ({"limit": None, "limit_L2": 10.0}, "PhaseConflict"),  # K01.FR.146
        (only(operationMode="CentralSetpoint", setpoint_L2=10.0), "PhaseConflict"),  # V2X.07
        (only(operationMode="ExternalSetpoint", dischargeLimit_L3=-10.0), "PhaseConflict"),
        # A setpoint within its own limits, V2X.05.
        (only(operationMode="CentralSetpoint", setpoint=8000.0, limit=5000.0), "InvalidSchedule"),
        (only(operationMode="CentralSetpoint", setpoint=-5000.0, dischargeLimit=-3000.0), "InvalidSchedule"),
        (only(operationMode="CentralSetpoint", setpoint=10.0, setpoint_L2=20.0, limit=15.0), "InvalidSchedule"),
        # Phases.
        ({"numberPhases": 0}, "InvalidSchedule"),
        ({"numberPhases": 2, "phaseToUse": 1}, "InvalidSchedule"),  # K01.FR.19
    ],
)
def test_periods_a_station_refuses(period: dict[str, Any], code: str) -> None:  # traps 23, 25
    assert reason(without_none(request(schedule=W, period=period))) == code
    later = request(schedule=W)
    whole = later["chargingProfile"]["chargingSchedule"][0]["chargingSchedulePeriod"]
    whole.append({"startPeriod": 60, "limit": 6.0, "numberPhases": 3, **period})
    assert reason(without_none(later)) == code


@pytest.mark.parametrize("key", ["dischargeLimit", "dischargeLimit_L2", "dischargeLimit_L3"])
def test_a_discharge_limit_above_zero_is_refused(key: str) -> None:  # trap 25; the schema forbids it as well
    period = only(operationMode="ExternalSetpoint") | {"dischargeLimit": -10.0, key: 10.0}
    with pytest.raises(ProfileError, match="InvalidSchedule"):
        DIALECT.read_set_profile(without_none(request(schedule=W, period=period)))


@pytest.mark.parametrize(
    ("purpose", "mode", "allowed"),
    [
        ("ChargingStationMaxProfile", "ExternalLimits", False),  # K01.FR.111
        ("ChargingStationMaxProfile", "CentralSetpoint", False),
        ("PriorityCharging", "Idle", False),
        ("LocalGeneration", "ExternalLimits", True),  # K01.FR.113
        ("LocalGeneration", "LocalLoadBalancing", False),
        ("TxDefaultProfile", "CentralSetpoint", True),
        ("TxDefaultProfile", "LocalLoadBalancing", True),
    ],
)
def test_modes_by_purpose(purpose: str, mode: str, allowed: bool) -> None:
    values = {"setpoint": 0.0} if mode == "CentralSetpoint" else {}
    payload = without_none(request({"chargingProfilePurpose": purpose, "transactionId": None}, W, only(operationMode=mode, **values)))
    payload["evseId"] = 0 if purpose == "ChargingStationMaxProfile" else 1
    if allowed:
        assert read(payload).schedules[0].periods[0].mode == mode
    else:
        assert reason(payload) == "InvalidOperationMode"  # K01.FR.114


@pytest.mark.parametrize("values", [{"limit": 10.0, "limit_L2": 8.0}, {"operationMode": "CentralSetpoint", "setpoint": 1.0, "setpoint_L2": 1.0}])
def test_only_a_tx_profile_has_values_of_single_phases(values: dict[str, Any]) -> None:  # K01.FR.143/144, V2X.09/10
    default = request({"chargingProfilePurpose": "TxDefaultProfile", "transactionId": None}, W, only(**values))
    assert reason(without_none(default)) == "PhaseConflict"
    assert read(without_none(request(schedule=W, period=only(**values)))).schedules[0].periods[0].phase_count == 3


@pytest.mark.parametrize("schedules", [1, 2])
def test_a_dynamic_profile_has_one_period(schedules: int) -> None:  # K28.FR.01
    payload = request({"chargingProfileKind": "Dynamic"})
    (schedule,) = payload["chargingProfile"]["chargingSchedule"]
    if schedules == 1:
        schedule["chargingSchedulePeriod"].append({"startPeriod": 60, "limit": 6.0})
    else:
        payload["chargingProfile"]["chargingSchedule"].append(schedule)
    assert reason(payload) == "InvalidSchedule"


def test_a_profile_with_everything_is_read_and_reported_as_it_came() -> None:
    payload = request(
        {
            "chargingProfileKind": "Recurring",
            "recurrencyKind": "Daily",
            "maxOfflineDuration": 900,
            "invalidAfterOfflineDuration": True,
            "validTo": "2027-01-01T00:00:00.000Z",
            "customData": {"vendorId": "x"},
        },
        {
            "chargingRateUnit": "W",
            "useLocalTime": True,
            "randomizedDelay": 600,
            "limitAtSoC": {"soc": 80, "limit": 3000.0},
            "startSchedule": "2026-11-21T22:00:00.000Z",
            "duration": 3600,
            "minChargingRate": 1400.0,
            "chargingSchedulePeriod": [
                {"startPeriod": 0, "limit": 4000.0, "limit_L2": 3000.0, "limit_L3": 0.0, "numberPhases": 3},
                {
                    "startPeriod": 60,
                    "operationMode": "CentralSetpoint",
                    "setpoint": -9000.0,
                    "dischargeLimit": -9500.0,
                    "customData": {"vendorId": "y"},
                },
                {"startPeriod": 90, "operationMode": "ExternalLimits"},
                {"startPeriod": 120, "operationMode": "Idle", "numberPhases": 1, "phaseToUse": 2},
            ],
        },
    )
    profile = read(payload)
    (schedule,) = profile.schedules
    assert (profile.max_offline_s, profile.ends_offline, profile.update_interval_s) == (900, True, None)
    assert (schedule.start_wall_s, schedule.start_local_s, schedule.randomized_delay_s) == (None, 1_795_298_400.0, 600)
    assert schedule.limit_at_soc == LimitAtSoC(80, 3000)
    assert schedule.periods == (
        Period(0, 4000, 3, limit_l2=3000, limit_l3=0),
        Period(60, None, 3, mode=Mode.CENTRAL_SETPOINT, setpoint=PerPhase(-9000), discharge=PerPhase(-9500)),
        Period(90, None, 3, mode=Mode.EXTERNAL_LIMITS),
        Period(120, None, 1, 2, mode=Mode.IDLE),
    )
    (report,) = DIALECT.report_profiles({"requestId": 1}, [(1, profile)])
    check_request("ReportChargingProfiles", report, "v21")
    assert report["chargingProfile"] == [payload["chargingProfile"]]
    assert profile_from_json(json.loads(json.dumps(profile_to_json(profile)))) == profile


def test_a_dynamic_profile_reports_when_it_was_updated() -> None:  # K28.FR.05
    profile = read(
        request({"chargingProfileKind": "Dynamic", "dynUpdateInterval": 60}, {"startSchedule": "2026-11-21T16:00:00.000Z", "duration": 300})
    )
    assert (profile.kind, profile.update_interval_s, profile.updated_wall_s) == (Kind.DYNAMIC, 60, None)
    (report,) = DIALECT.report_profiles({"requestId": 1}, [(1, replace(profile, updated_wall_s=1_795_298_400.0))])
    check_request("ReportChargingProfiles", report, "v21")
    assert report["chargingProfile"][0]["dynUpdateTime"] == "2026-11-21T22:00:00.000Z"
    assert report["chargingProfile"][0]["dynUpdateInterval"] == 60


def test_phases_that_were_not_told_are_not_reported() -> None:  # K01.FR.44: a DC EVSE has none
    payload = without_none(request(period=only(limit=16.0)))
    (report,) = DIALECT.report_profiles({"requestId": 1}, [(1, read(payload))])
    assert "numberPhases" not in report["chargingProfile"][0]["chargingSchedule"][0]["chargingSchedulePeriod"][0]


def test_custom_data_that_is_none_is_not_reported() -> None:
    payload = request({"customData": {"x": 1}})
    (report,) = DIALECT.report_profiles({"requestId": 1}, [DIALECT.read_set_profile(payload)])
    check_request("ReportChargingProfiles", report, "v21")


def composite(*steps: LimitStep, unit: str = "W", phase_count: int = 3) -> list[dict[str, Any]]:
    payload = DIALECT.write_composite(CompositeRequest(1, 3600, unit), Stamp(0, NOW), steps, 230.0, phase_count)
    check_response("GetCompositeSchedule", payload, "v21")
    found: list[dict[str, Any]] = payload["schedule"]["chargingSchedulePeriod"]
    return found


def test_a_composite_says_modes_setpoints_and_discharge_limits() -> None:  # K08.FR.08
    steps = (
        LimitStep(NOW, 16.0),
        LimitStep(NOW + 60, 16.0, -10.0, -5.05, mode="CentralSetpoint"),
        LimitStep(NOW + 120, None, setpoint_a=4.0, mode="CentralFrequency"),
        LimitStep(NOW + 180, 0.0, 0.0, mode="Idle"),
        LimitStep(NOW + 240, 20.0, phase_count=1, phase_to_use=3),
        LimitStep(NOW + 300, 10.0, mode="ExternalLimits"),
    )
    assert composite(*steps) == [
        {"startPeriod": 0, "limit": 11_040.0, "numberPhases": 3},
        {"startPeriod": 60, "limit": 11_040.0, "operationMode": "CentralSetpoint", "dischargeLimit": -6900.0, "setpoint": -3484.5, "numberPhases": 3},
        {"startPeriod": 120, "numberPhases": 3, "operationMode": "CentralFrequency", "setpoint": 2760.0},
        {"startPeriod": 180, "numberPhases": 3, "operationMode": "Idle"},
        {"startPeriod": 240, "limit": 4600.0, "numberPhases": 1, "phaseToUse": 3},
        {"startPeriod": 300, "numberPhases": 3, "operationMode": "ExternalLimits", "limit": 6900.0},
    ]
    (in_amps,) = composite(LimitStep(NOW, None, -10.0, -5.05, mode="CentralSetpoint"), unit="A")
    assert in_amps == {"startPeriod": 0, "numberPhases": 3, "operationMode": "CentralSetpoint", "dischargeLimit": -30.0, "setpoint": -15.1}


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
    start = request({"transactionId": None}, period={"setpoint": 1.0})
    with pytest.raises(ProfileError, match="InvalidSchedule"):
        DIALECT.read_set_profile(start, in_start=True)
    relative = request({"chargingProfileKind": "Relative", "transactionId": None})
    del relative["chargingProfile"]["chargingSchedule"][0]["startSchedule"]
    assert DIALECT.read_set_profile(relative, in_start=True)[1].transaction_id is None


ODD_SCHEDULES = {"evseId": 1, "chargingProfile": {"chargingSchedule": [3, {"chargingSchedulePeriod": "x"}]}}


@pytest.mark.parametrize("odd", [{}, {"chargingProfile": 3}, ODD_SCHEDULES])
def test_what_cannot_be_read_is_refused_and_nothing_else(odd: dict[str, Any]) -> None:
    with pytest.raises(ProfileError):
        DIALECT.read_set_profile(deepcopy(odd))


@pytest.mark.parametrize(("word", "purpose"), [("PriorityCharging", Purpose.PRIORITY), ("LocalGeneration", Purpose.LOCAL_GENERATION)])
def test_criteria_know_the_new_purposes(word: str, purpose: Purpose) -> None:
    clear = {"chargingProfileCriteria": {"chargingProfilePurpose": word}}
    get = {"requestId": 1, "chargingProfile": {"chargingProfilePurpose": word}}
    assert DIALECT.read_criteria("ClearChargingProfile", clear) == ProfileCriteria(purpose=purpose)
    assert DIALECT.read_criteria("GetChargingProfiles", get) == ProfileCriteria(purpose=purpose)
    assert dialects()["ocpp2.0.1"].read_criteria("GetChargingProfiles", get).evse_id == -1
