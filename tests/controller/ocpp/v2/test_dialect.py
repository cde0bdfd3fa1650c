"""Our own CALLs validate against the OCA schemas and say what we mean."""

import pytest

from controller.ocpp.dialect import Setpoint
from controller.ocpp.registry import dialect_for, dialects
from tests.support.schemas import check_request

DIALECT = dialects()["ocpp2.0.1"]


def setpoint(transaction_id: str | None = "t-1", limit_a: float = 15.97) -> Setpoint:
    return Setpoint(2, 900_000_005, 1, limit_a, 3, 1_790_000_000.0, 1_790_000_180.0, transaction_id)


def test_the_registry_finds_the_version_by_its_folder() -> None:
    assert dialect_for("ocpp2.0.1") is DIALECT
    assert dialect_for("ocpp1.2") is None


def test_a_setpoint_is_a_tx_profile_of_finite_life_rounded_down() -> None:
    action, payload = DIALECT.set_profile(setpoint())
    check_request(action, payload)
    schedule = payload["chargingProfile"]["chargingSchedule"][0]
    assert schedule["duration"] == 180
    assert schedule["chargingSchedulePeriod"] == [{"startPeriod": 0, "limit": 15.9, "numberPhases": 3}]
    assert payload["chargingProfile"]["chargingProfilePurpose"] == "TxProfile"


def test_without_a_transaction_it_is_a_default_above_the_floor() -> None:
    action, payload = DIALECT.set_profile(setpoint(None))
    check_request(action, payload)
    assert payload["chargingProfile"]["chargingProfilePurpose"] == "TxDefaultProfile"
    assert payload["chargingProfile"]["stackLevel"] > 0


def test_the_floor_has_no_end() -> None:
    action, payload = DIALECT.set_floor(1, 900_000_002, 6.0, 1)
    check_request(action, payload)
    assert payload["chargingProfile"]["stackLevel"] == 0
    assert "duration" not in payload["chargingProfile"]["chargingSchedule"][0]


def test_the_other_calls_validate() -> None:
    for action, payload in (
        *DIALECT.clear_foreign(1, True),
        *DIALECT.clear_foreign(1, False),
        DIALECT.read_back(1, 300),
        DIALECT.set_available(1, False),
    ):
        check_request(action, payload)


@pytest.mark.parametrize(
    ("schedule", "limit_a"),
    [
        ({"chargingRateUnit": "A", "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 6.0}]}, 6.0),
        ({"chargingRateUnit": "W", "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 11040.0}]}, 16.0),
        ({"chargingRateUnit": "W", "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 3680.0, "numberPhases": 1}]}, 16.0),
        ({"chargingRateUnit": "A", "chargingSchedulePeriod": []}, None),
        ({"chargingRateUnit": "A", "chargingSchedulePeriod": [{"startPeriod": 0, "limit": -1}]}, None),
        (None, None),
    ],
)
def test_read_back_takes_what_stations_report(schedule: object, limit_a: float | None) -> None:
    assert DIALECT.read_back_limit({"status": "Accepted", "schedule": schedule}, 230.0) == limit_a


def test_a_rejected_read_back_is_no_limit() -> None:
    assert DIALECT.read_back_limit({"status": "Rejected"}, 230.0) is None


def test_boot_words() -> None:
    assert [DIALECT.boot_status({"status": s}) for s in ("Accepted", "Pending", "Rejected", "odd")] == ["Accepted", "Pending", "Rejected", "Rejected"]
    assert DIALECT.boot_status({}) == "Rejected"


def test_what_waited_is_marked_offline() -> None:
    assert DIALECT.mark_offline("TransactionEvent", {"seqNo": 1}) == {"seqNo": 1, "offline": True}
    assert DIALECT.mark_offline("MeterValues", {"evseId": 1}) == {"evseId": 1}
