"""Our own CALLs to 1.6 stations: each validates against the OCA schemas, and every strategy says what it means."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from controller.facts import Stamp
from controller.ocpp.dialect import Setpoint
from controller.ocpp.registry import dialects
from controller.orders import Strategy
from tests.support.schemas import check_request, check_response

V16 = "ocpp1.6"
DIALECT = dialects()[V16]
AT = Stamp(10.0, 1_790_000_000.0)
PLAIN = Setpoint(2, 900_000_005, 1, 15.97, 3, 1_790_000_000.0, 1_790_000_180.0, "17")
DEFAULT = Strategy("tx_default")
MAX = Strategy("station_max", stack_level=3)


def sent(given: Setpoint) -> dict[str, Any]:
    action, payload = DIALECT.set_profile(given)
    assert action == "SetChargingProfile"
    check_request(action, payload, V16)
    return payload


def profile_of(given: Setpoint) -> dict[str, Any]:
    found: dict[str, Any] = sent(given)["csChargingProfiles"]
    return found


def period_of(given: Setpoint) -> dict[str, Any]:
    (period,) = profile_of(given)["chargingSchedule"]["chargingSchedulePeriod"]
    return dict(period)


def test_a_setpoint_is_a_tx_profile_of_finite_life_rounded_down() -> None:
    assert sent(PLAIN) == {
        "connectorId": 2,
        "csChargingProfiles": {
            "chargingProfileId": 900_000_005,
            "stackLevel": 1,
            "chargingProfilePurpose": "TxProfile",
            "chargingProfileKind": "Absolute",
            "transactionId": 17,
            "chargingSchedule": {
                "chargingRateUnit": "A",
                "startSchedule": "2026-09-21T14:13:20.000Z",
                "duration": 180,
                "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 15.9, "numberPhases": 3}],
            },
        },
    }


@pytest.mark.parametrize("transaction_id", [None, "", "-1", "0", "0f7e-uuid"])
def test_without_an_integer_id_it_is_a_default_above_the_floor(transaction_id: str | None) -> None:  # B28
    given = replace(PLAIN, transaction_id=transaction_id)
    profile = profile_of(given)
    assert profile["chargingProfilePurpose"] == "TxDefaultProfile"
    assert "transactionId" not in profile
    assert profile["stackLevel"] > 0
    assert DIALECT.purpose(given) == "tx_default"


def test_a_default_of_the_site_s_choice_names_no_transaction() -> None:
    profile = profile_of(replace(PLAIN, strategy=DEFAULT))
    assert profile["chargingProfilePurpose"] == "TxDefaultProfile"
    assert "transactionId" not in profile


@pytest.mark.parametrize("relative", [False, True])
def test_the_maximum_of_a_station_is_at_connector_0_and_has_a_date(relative: bool) -> None:  # 16 3.13.1
    payload = sent(replace(PLAIN, stack_level=3, strategy=replace(MAX, relative=relative)))
    profile = payload["csChargingProfiles"]
    assert (payload["connectorId"], profile["chargingProfilePurpose"], profile["stackLevel"]) == (0, "ChargePointMaxProfile", 3)
    assert (profile["chargingProfileKind"], "startSchedule" in profile["chargingSchedule"]) == ("Absolute", True)


def test_a_relative_one_has_no_date() -> None:
    profile = profile_of(replace(PLAIN, strategy=Strategy(relative=True)))
    assert (profile["chargingProfileKind"], "startSchedule" in profile["chargingSchedule"]) == ("Relative", False)
    assert profile["chargingSchedule"]["duration"] == 180


def test_watts_are_those_of_all_phases() -> None:  # 15.97 A x 230 V x 3 = 11019.3 W
    given = replace(PLAIN, strategy=Strategy(unit="W"))
    assert profile_of(given)["chargingSchedule"]["chargingRateUnit"] == "W"
    assert period_of(given)["limit"] == 11_019.3


@pytest.mark.parametrize(("limit_a", "written"), [(0.0, 0.0), (6.0, 6.0), (16.1, 16.1), (16.3, 16.3), (15.99, 15.9), (31.999999, 31.9)])
def test_limits_are_multiples_of_a_tenth_never_above_what_was_meant(limit_a: float, written: float) -> None:
    assert period_of(replace(PLAIN, limit_a=limit_a))["limit"] == written


def test_1_6_cannot_choose_a_phase() -> None:
    assert period_of(replace(PLAIN, phase_count=1, phase_to_use=2)) == {"startPeriod": 0, "limit": 15.9, "numberPhases": 1}


@pytest.mark.parametrize(
    ("strategy", "place", "purpose", "began"),
    [(DEFAULT, 1, "TxDefaultProfile", False), (Strategy("station_max"), 0, "ChargePointMaxProfile", True)],
)
def test_a_floor_has_no_end(strategy: Strategy, place: int, purpose: str, began: bool) -> None:
    action, payload = DIALECT.set_floor(Setpoint(1, 900_000_002, 0, 6.0, 1, 0.0, 0.0, None, strategy))
    check_request(action, payload, V16)
    profile = payload["csChargingProfiles"]
    assert (payload["connectorId"], profile["chargingProfilePurpose"], profile["stackLevel"]) == (place, purpose, 0)
    assert "duration" not in profile["chargingSchedule"]
    assert ("startSchedule" in profile["chargingSchedule"], profile["chargingProfileKind"] == "Absolute") == (began, began)
    assert profile["chargingSchedule"]["chargingSchedulePeriod"][0]["numberPhases"] == 1


def test_the_other_calls_validate() -> None:
    calls = [
        DIALECT.clear_own(900_000_005),
        DIALECT.read_back(1, 300, "W"),
        DIALECT.ask_status(2),
        DIALECT.set_available(1, False),
        DIALECT.set_available(1, True),
        DIALECT.stop_transaction("17"),
    ]
    for action, payload in calls:
        check_request(action, payload, V16)
    assert calls[0] == ("ClearChargingProfile", {"id": 900_000_005})
    assert calls[2] == ("TriggerMessage", {"requestedMessage": "StatusNotification", "connectorId": 2})


@pytest.mark.parametrize(
    ("floor", "strategy", "expected"),
    [
        (True, DEFAULT, [(2, "TxDefaultProfile", None), (0, "TxDefaultProfile", None)]),
        (True, MAX, [(0, "ChargePointMaxProfile", None)]),
        (False, Strategy(), [(2, "TxProfile", None)]),
        (False, DEFAULT, [(2, "TxDefaultProfile", 1), (0, "TxDefaultProfile", 1)]),
        (False, MAX, [(0, "ChargePointMaxProfile", 3)]),
    ],
)
def test_foreign_profiles_are_cleared_where_they_could_stand(floor: bool, strategy: Strategy, expected: list[tuple[int, str, int | None]]) -> None:
    calls = DIALECT.clear_foreign(2, floor, strategy)
    for action, payload in calls:
        check_request(action, payload, V16)
    assert [(one["connectorId"], one["chargingProfilePurpose"], one.get("stackLevel")) for _, one in calls] == expected


@pytest.mark.parametrize(
    ("schedule", "limits"),
    [
        ({"chargingRateUnit": "A", "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 6.0}]}, [6.0]),
        ({"chargingRateUnit": "A", "chargingSchedulePeriod": [{"startPeriod": 0, "limit": "6.0"}]}, [6.0]),
        ({"chargingRateUnit": "W", "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 11040.0}]}, [16.0]),
        ({"chargingRateUnit": "W", "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 3680.0, "numberPhases": 1}]}, [16.0]),
        ({"chargingRateUnit": "A", "chargingSchedulePeriod": []}, []),
        ({"chargingRateUnit": "A", "chargingSchedulePeriod": [{"startPeriod": 0, "limit": -1}]}, [None]),
        ({"chargingRateUnit": "A", "chargingSchedulePeriod": 5}, []),
        (None, []),
    ],
)
def test_read_back_takes_what_stations_report(schedule: object, limits: list[float | None]) -> None:  # 16.9
    answer = {"status": "Accepted", "connectorId": 1, "scheduleStart": "2026-09-21T14:13:20Z", "chargingSchedule": schedule}
    assert [step.limit_a for step in DIALECT.read_back_steps(answer, AT, 300.0, 230.0)] == limits
    assert DIALECT.read_back_steps({**answer, "status": "Rejected"}, AT, 300.0, 230.0) == ()


def test_an_accepted_read_back_may_leave_its_schedule_away() -> None:
    check_response("GetCompositeSchedule", {"status": "Accepted"}, V16)
    assert DIALECT.read_back_steps({"status": "Accepted"}, AT, 300.0, 230.0) == ()


def test_what_1_6_does_not_know() -> None:
    assert (DIALECT.has_modes, DIALECT.update_profile(PLAIN), DIALECT.ask_features((1,), 100)) == (False, None, [])
    assert DIALECT.retry_after_s({"status": "Rejected", "statusInfo": {"reasonCode": "RateLimitExceeded"}}) is None
    assert [DIALECT.scheduled({"status": status}) for status in ("Scheduled", "Accepted")] == [True, False]
    assert [DIALECT.cleared({"status": status}) for status in ("Accepted", "Unknown", "Rejected")] == [True, True, False]
