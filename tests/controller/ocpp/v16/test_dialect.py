"""Our own CALLs validate against the OCA schemas and say what we mean; the rest of the contract."""

from typing import Any

import pytest

from controller.ocpp.dialect import Setpoint
from controller.ocpp.registry import dialect_for, dialects
from controller.ocpp.schedule import ProfileError
from tests.support.schemas import check_request, check_response

V16 = "ocpp1.6"
DIALECT = dialects()[V16]


def setpoint(transaction_id: str | None = "17", limit_a: float = 15.97) -> Setpoint:
    return Setpoint(2, 900_000_005, 1, limit_a, 3, 1_790_000_000.0, 1_790_000_180.0, transaction_id)


def profile_of(given: Setpoint) -> dict[str, Any]:
    action, payload = DIALECT.set_profile(given)
    check_request(action, payload, V16)
    assert (action, payload["connectorId"]) == ("SetChargingProfile", 2)
    found: dict[str, Any] = payload["csChargingProfiles"]
    return found


def test_the_registry_finds_the_version_by_its_folder() -> None:
    assert dialect_for(V16) is DIALECT
    assert (DIALECT.subprotocol, DIALECT.version) == (V16, "1.6")


def test_a_setpoint_is_a_tx_profile_of_finite_life_rounded_down() -> None:
    profile = profile_of(setpoint())
    assert profile["chargingSchedule"] == {
        "chargingRateUnit": "A",
        "startSchedule": "2026-09-21T14:13:20.000Z",
        "duration": 180,
        "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 15.9, "numberPhases": 3}],
    }
    assert (profile["chargingProfilePurpose"], profile["transactionId"], profile["stackLevel"]) == ("TxProfile", 17, 1)


@pytest.mark.parametrize("transaction_id", [None, "", "-1", "0", "0f7e-uuid"])
def test_without_an_integer_id_it_is_a_default_above_the_floor(transaction_id: str | None) -> None:  # B28
    profile = profile_of(setpoint(transaction_id))
    assert profile["chargingProfilePurpose"] == "TxDefaultProfile"
    assert "transactionId" not in profile
    assert profile["stackLevel"] > 0


@pytest.mark.parametrize(("limit_a", "written"), [(0.0, 0.0), (6.0, 6.0), (16.1, 16.1), (16.3, 16.3), (15.99, 15.9), (31.999999, 31.9)])
def test_limits_are_multiples_of_a_tenth_never_above_what_was_meant(limit_a: float, written: float) -> None:
    (period,) = profile_of(setpoint(limit_a=limit_a))["chargingSchedule"]["chargingSchedulePeriod"]
    assert period["limit"] == written


def test_the_floor_has_no_end() -> None:
    action, payload = DIALECT.set_floor(1, 900_000_002, 6.0, 1)
    check_request(action, payload, V16)
    profile = payload["csChargingProfiles"]
    assert (profile["chargingProfilePurpose"], profile["stackLevel"]) == ("TxDefaultProfile", 0)
    assert not {"duration", "startSchedule"} & set(profile["chargingSchedule"])
    assert profile["chargingSchedule"]["chargingSchedulePeriod"][0]["numberPhases"] == 1


def test_the_other_calls_validate() -> None:
    for action, payload in (
        *DIALECT.clear_foreign(1, True),
        *DIALECT.clear_foreign(1, False),
        DIALECT.read_back(1, 300),
        DIALECT.set_available(1, False),
        DIALECT.set_available(1, True),
        DIALECT.stop_transaction("17"),
    ):
        check_request(action, payload, V16)


def test_foreign_profiles_are_cleared_where_they_could_stand() -> None:
    assert [(payload["connectorId"], payload["chargingProfilePurpose"]) for _, payload in DIALECT.clear_foreign(2, True)] == [
        (2, "TxDefaultProfile"),
        (0, "TxDefaultProfile"),
    ]
    assert [(payload["connectorId"], payload["chargingProfilePurpose"]) for _, payload in DIALECT.clear_foreign(2, False)] == [(2, "TxProfile")]


@pytest.mark.parametrize(
    ("schedule", "limit_a"),
    [
        ({"chargingRateUnit": "A", "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 6.0}]}, 6.0),
        ({"chargingRateUnit": "A", "chargingSchedulePeriod": [{"startPeriod": 0, "limit": "6.0"}]}, 6.0),
        ({"chargingRateUnit": "W", "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 11040.0}]}, 16.0),
        ({"chargingRateUnit": "W", "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 3680.0, "numberPhases": 1}]}, 16.0),
        ({"chargingRateUnit": "A", "chargingSchedulePeriod": []}, None),
        ({"chargingRateUnit": "A", "chargingSchedulePeriod": [{"startPeriod": 0, "limit": -1}]}, None),
        ({"chargingRateUnit": "A", "chargingSchedulePeriod": 5}, None),
        (None, None),
    ],
)
def test_read_back_takes_what_stations_report(schedule: object, limit_a: float | None) -> None:  # 16.9
    answer = {"status": "Accepted", "connectorId": 1, "scheduleStart": "2026-11-21T16:00:00Z", "chargingSchedule": schedule}
    assert DIALECT.read_back_limit(answer, 230.0) == limit_a
    assert DIALECT.read_back_limit({**answer, "status": "Rejected"}, 230.0) is None


def test_an_accepted_read_back_may_leave_its_schedule_away() -> None:
    check_response("GetCompositeSchedule", {"status": "Accepted"}, V16)
    assert DIALECT.read_back_limit({"status": "Accepted"}, 230.0) is None


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        ({"status": "Accepted"}, (True, "Accepted")),
        ({"status": "Scheduled"}, (True, "Scheduled")),
        ({"status": "Rejected"}, (False, "Rejected")),
        ({"status": "NotSupported"}, (False, "NotSupported")),
        ({}, (False, "None")),
    ],
)
def test_answers_to_our_calls(payload: dict[str, Any], expected: tuple[bool, str]) -> None:
    assert DIALECT.accepted(payload) == expected


def test_status_keys() -> None:
    assert [DIALECT.status_key({"connectorId": value}) for value in (2, 0, -1, "2", True, None)] == [(2, 1), *[(0, 0)] * 5]


@pytest.mark.parametrize(
    ("status", "said"), [("Accepted", "Accepted"), ("Pending", "Pending"), ("Rejected", "Rejected"), ("Odd", "Rejected"), (None, "Rejected")]
)
def test_boot_answers(status: Any, said: str) -> None:
    assert DIALECT.boot_status({"status": status}) == said


def test_what_1_6_has_no_word_for() -> None:
    assert DIALECT.queue_status({}, {"1"}, {"1"}, True) == {}
    assert DIALECT.report_profiles({}, []) == []
    assert DIALECT.own_profile_call("SetChargingProfile", {}) is None
    assert DIALECT.remote_start_id({"connectorId": 2}) == 0


def test_remote_starts() -> None:
    assert DIALECT.starts_remotely("RemoteStartTransaction")
    assert not DIALECT.starts_remotely("RequestStartTransaction")
    assert DIALECT.started_transaction({"status": "Accepted"}) == ""
    assert DIALECT.started_transaction({"status": "Rejected"}) is None


def test_error_codes_that_mean_the_action_is_unknown() -> None:
    assert [DIALECT.unknown_action(code) for code in ("NotImplemented", "NotSupported", "GenericError")] == [True, True, False]


def test_a_refused_profile_is_rejected_without_a_reason() -> None:
    answer = DIALECT.rejected_profile(ProfileError("DuplicateProfile", "twice"))
    for action in ("SetChargingProfile", "RemoteStartTransaction", "GetCompositeSchedule"):
        check_response(action, answer, V16)
