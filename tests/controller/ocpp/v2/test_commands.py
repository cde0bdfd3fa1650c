"""Our own CALLs to 2.x stations: each validates against the OCA schemas, and every strategy says what it means.

Expected payloads are written from K01-K10 by hand. 1790000000 s is 2026-09-21T14:13:20Z.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from controller.facts import Stamp
from controller.ocpp.dialect import Setpoint
from controller.ocpp.registry import dialects
from controller.orders import Strategy
from tests.support.schemas import check_request, check_response

BOTH = ("ocpp2.0.1", "ocpp2.1")
AT = Stamp(10.0, 1_790_000_000.0)
PLAIN = Setpoint(2, 900_000_005, 1, 15.97, 3, 1_790_000_000.0, 1_790_000_180.0, "t-1")
DEFAULT = Strategy("tx_default")
MAX = Strategy("station_max", stack_level=3)
FLOOR = Setpoint(2, 900_000_004, 0, 6.0, 3, 0.0, 0.0, None, Strategy("tx_default", stack_level=0))


def sent(version: str, setpoint: Setpoint) -> dict[str, Any]:
    action, payload = dialects()[version].set_profile(setpoint)
    assert action == "SetChargingProfile"
    check_request(action, payload, version)
    return payload


def schedule_of(payload: dict[str, Any]) -> dict[str, Any]:
    (schedule,) = payload["chargingProfile"]["chargingSchedule"]
    return dict(schedule)


def period_of(payload: dict[str, Any]) -> dict[str, Any]:
    (period,) = schedule_of(payload)["chargingSchedulePeriod"]
    return dict(period)


@pytest.mark.parametrize("version", BOTH)
def test_a_setpoint_is_a_tx_profile_of_finite_life_rounded_down(version: str) -> None:
    assert sent(version, PLAIN) == {
        "evseId": 2,
        "chargingProfile": {
            "id": 900_000_005,
            "stackLevel": 1,
            "chargingProfilePurpose": "TxProfile",
            "chargingProfileKind": "Absolute",
            "transactionId": "t-1",
            "chargingSchedule": [
                {
                    "id": 900_000_005,
                    "startSchedule": "2026-09-21T14:13:20.000Z",
                    "duration": 180,
                    "chargingRateUnit": "A",
                    "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 15.9, "numberPhases": 3}],
                }
            ],
        },
    }


@pytest.mark.parametrize("version", BOTH)
@pytest.mark.parametrize("setpoint", [replace(PLAIN, transaction_id=None), replace(PLAIN, strategy=DEFAULT)])
def test_a_default_names_no_transaction(version: str, setpoint: Setpoint) -> None:  # K01.FR.03: only a TxProfile has one
    profile = sent(version, setpoint)["chargingProfile"]
    assert profile["chargingProfilePurpose"] == "TxDefaultProfile"
    assert "transactionId" not in profile
    assert dialects()[version].purpose(setpoint) == "tx_default"


@pytest.mark.parametrize("version", BOTH)
@pytest.mark.parametrize("relative", [False, True])
def test_the_maximum_of_a_station_is_at_evse_0_and_never_relative(version: str, relative: bool) -> None:  # K04.FR.03, K01.FR.38
    payload = sent(version, replace(PLAIN, stack_level=3, strategy=replace(MAX, relative=relative)))
    profile = payload["chargingProfile"]
    assert (payload["evseId"], profile["chargingProfilePurpose"], profile["stackLevel"]) == (0, "ChargingStationMaxProfile", 3)
    assert (profile["chargingProfileKind"], schedule_of(payload)["startSchedule"]) == ("Absolute", "2026-09-21T14:13:20.000Z")


@pytest.mark.parametrize("version", BOTH)
def test_a_relative_one_has_no_date(version: str) -> None:  # K01.FR.41
    payload = sent(version, replace(PLAIN, strategy=Strategy(relative=True)))
    assert payload["chargingProfile"]["chargingProfileKind"] == "Relative"
    assert "startSchedule" not in schedule_of(payload)
    assert schedule_of(payload)["duration"] == 180


# In W a limit is that of all phases together at nominal voltage: 15.97 A x 230 V x 3 = 11019.3 W, x 1 = 3673.1 W (K01.FR.50).
@pytest.mark.parametrize("version", BOTH)
@pytest.mark.parametrize(("phases", "limit_w"), [(3, 11_019.3), (1, 3673.1)])
def test_watts_are_those_of_all_phases(version: str, phases: int, limit_w: float) -> None:
    payload = sent(version, replace(PLAIN, phase_count=phases, strategy=Strategy(unit="W")))
    assert schedule_of(payload)["chargingRateUnit"] == "W"
    assert period_of(payload) == {"startPeriod": 0, "limit": limit_w, "numberPhases": phases}


@pytest.mark.parametrize("version", BOTH)
@pytest.mark.parametrize(("limit_a", "written"), [(0.0, 0.0), (6.0, 6.0), (16.1, 16.1), (16.3, 16.3), (15.99, 15.9), (31.999999, 31.9)])
def test_limits_are_never_above_what_was_meant(version: str, limit_a: float, written: float) -> None:
    assert period_of(sent(version, replace(PLAIN, limit_a=limit_a)))["limit"] == written


@pytest.mark.parametrize("version", BOTH)
def test_a_phase_is_chosen_only_with_one_phase(version: str) -> None:  # K01.FR.19
    assert period_of(sent(version, replace(PLAIN, phase_count=1, phase_to_use=2)))["phaseToUse"] == 2
    assert "phaseToUse" not in period_of(sent(version, replace(PLAIN, phase_count=3, phase_to_use=2)))


@pytest.mark.parametrize("version", BOTH)
def test_a_dc_evse_that_wants_no_phases_gets_none(version: str) -> None:  # K01.FR.44
    assert period_of(sent(version, replace(PLAIN, name_phases=False))) == {"startPeriod": 0, "limit": 15.9}


@pytest.mark.parametrize("version", BOTH)
def test_a_floor_has_no_end(version: str) -> None:  # K03, K07
    action, payload = dialects()[version].set_floor(FLOOR)
    check_request(action, payload, version)
    profile = payload["chargingProfile"]
    assert (profile["chargingProfilePurpose"], profile["chargingProfileKind"], profile["stackLevel"]) == ("TxDefaultProfile", "Relative", 0)
    assert not {"duration", "startSchedule"} & set(schedule_of(payload))
    assert period_of(payload) == {"startPeriod": 0, "limit": 6.0, "numberPhases": 3}


@pytest.mark.parametrize("version", BOTH)
def test_a_floor_of_the_whole_station_began_long_ago(version: str) -> None:  # K01.FR.38, K01.FR.40
    action, payload = dialects()[version].set_floor(replace(FLOOR, strategy=Strategy("station_max", unit="W")))
    check_request(action, payload, version)
    assert (payload["evseId"], payload["chargingProfile"]["chargingProfileKind"]) == (0, "Absolute")
    assert schedule_of(payload)["startSchedule"] == "2000-01-01T00:00:00.000Z"
    assert "duration" not in schedule_of(payload)
    assert period_of(payload)["limit"] == 4140.0  # 6 A x 230 V x 3


@pytest.mark.parametrize("version", BOTH)
def test_the_other_calls_validate(version: str) -> None:
    words = dialects()[version]
    calls = [
        words.clear_own(900_000_005),
        words.read_back(1, 300, "W"),
        words.ask_status(2),
        words.set_available(2, False),
        words.set_available(2, True),
    ]
    for action, payload in calls:
        check_request(action, payload, version)
    assert calls[0] == ("ClearChargingProfile", {"chargingProfileId": 900_000_005})
    assert calls[1] == ("GetCompositeSchedule", {"evseId": 1, "duration": 300, "chargingRateUnit": "W"})
    assert calls[2] == ("TriggerMessage", {"requestedMessage": "StatusNotification", "evse": {"id": 2, "connectorId": 1}})
    assert calls[3] == ("ChangeAvailability", {"operationalStatus": "Inoperative", "evse": {"id": 2}})


def cleared(version: str, floor: bool, strategy: Strategy) -> list[tuple[int, str, int | None]]:
    found = []
    for action, payload in dialects()[version].clear_foreign(2, floor, strategy):
        check_request(action, payload, version)
        criteria = payload["chargingProfileCriteria"]
        found.append((criteria["evseId"], criteria["chargingProfilePurpose"], criteria.get("stackLevel")))
    return found


@pytest.mark.parametrize("version", BOTH)
def test_what_stands_in_the_way_of_a_setpoint_is_cleared_and_nothing_else(version: str) -> None:
    assert cleared(version, False, Strategy()) == [(2, "TxProfile", None)]
    assert cleared(version, False, DEFAULT) == [(2, "TxDefaultProfile", 1), (0, "TxDefaultProfile", 1)], "our floor lies below"
    assert cleared(version, False, MAX) == [(0, "ChargingStationMaxProfile", 3)]


def test_what_stands_in_the_way_of_a_floor_is_cleared_at_evse_and_station() -> None:  # K01.FR.53
    assert cleared("ocpp2.0.1", True, DEFAULT) == [(2, "TxDefaultProfile", None), (0, "TxDefaultProfile", None)]
    assert cleared("ocpp2.0.1", True, MAX) == [(0, "ChargingStationMaxProfile", None)]


@pytest.mark.parametrize("version", BOTH)
@pytest.mark.parametrize(("status", "gone"), [("Accepted", True), ("Unknown", True), ("odd", False), (None, False)])
def test_a_profile_nobody_knows_is_not_there(version: str, status: object, gone: bool) -> None:
    assert dialects()[version].cleared({"status": status}) is gone


@pytest.mark.parametrize(
    ("info", "seconds"),
    [
        ({"reasonCode": "RateLimitExceeded", "additionalInfo": "12 seconds before retry"}, 12.0),
        ({"reasonCode": "ratelimitexceeded", "additionalInfo": "retry in 2.5s please"}, 2.5),
        ({"reasonCode": "RateLimitExceeded", "additionalInfo": "0 seconds before retry"}, 1.0),
        ({"reasonCode": "RateLimitExceeded", "additionalInfo": "999999999 seconds before retry"}, 86_400.0),
        ({"reasonCode": "RateLimitExceeded", "additionalInfo": "later"}, 60.0),
        ({"reasonCode": "RateLimitExceeded"}, 60.0),
        ({"reasonCode": "InternalError", "additionalInfo": "12 seconds before retry"}, None),
        ({}, None),
        ("12", None),
        (None, None),
    ],
)
def test_a_station_that_was_written_too_often_says_when_again(info: object, seconds: float | None) -> None:  # K01.FR.56-59
    assert dialects()["ocpp2.0.1"].retry_after_s({"status": "Rejected", "statusInfo": info}) == seconds


def test_availability_may_have_to_wait() -> None:  # G03
    words = dialects()["ocpp2.0.1"]
    assert [words.scheduled({"status": status}) for status in ("Scheduled", "Accepted", "Rejected")] == [True, False, False]


@pytest.mark.parametrize(
    ("schedule", "limit_a"),
    [
        ({"chargingRateUnit": "A", "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 6.0}]}, 6.0),
        ({"chargingRateUnit": "W", "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 11040.0}]}, 16.0),
        ({"chargingRateUnit": "W", "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 3680.0, "numberPhases": 1}]}, 16.0),
        ({"chargingRateUnit": "A", "chargingSchedulePeriod": [{"startPeriod": 0, "limit": -1}]}, None),
    ],
)
def test_read_back_takes_what_stations_report(schedule: dict[str, Any], limit_a: float | None) -> None:
    answer = {"status": "Accepted", "schedule": {"evseId": 1, "duration": 300, "scheduleStart": "2026-09-21T14:13:20Z", **schedule}}
    check_response("GetCompositeSchedule", answer, "ocpp2.0.1")
    (step,) = dialects()["ocpp2.0.1"].read_back_steps(answer, AT, 300.0, 230.0)
    assert (step.start_wall_s, step.limit_a) == (AT.wall_s, limit_a)


@pytest.mark.parametrize(
    "answer", [{"status": "Rejected"}, {"status": "Accepted"}, {"status": "Accepted", "schedule": {"chargingSchedulePeriod": []}}, {}]
)
def test_a_read_back_without_a_schedule_says_nothing(answer: dict[str, Any]) -> None:  # 16.9
    assert dialects()["ocpp2.0.1"].read_back_steps(answer, AT, 300.0, 230.0) == ()


def test_2_0_1_asks_for_nothing_and_updates_nothing() -> None:
    words = dialects()["ocpp2.0.1"]
    assert (words.has_modes, words.ask_features((1,), 100), words.update_profile(PLAIN)) == (False, [], None)
