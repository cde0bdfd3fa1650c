"""2.1 profiles that change in place: updates judged like profiles, pulls, priority."""

from typing import Any

import pytest

from controller.ocpp.dialect import PriorityWord, Setpoint
from controller.ocpp.registry import dialects
from controller.ocpp.schedule import Profile, ProfileError
from controller.orders import Strategy
from tests.support.schemas import check_request, check_response

DIALECT = dialects()["ocpp2.1"]
NOW = 1_790_000_000.0


def dynamic(purpose: str = "TxProfile", **period: Any) -> Profile:
    periods = [{"startPeriod": 0, **(period or {"limit": 10.0})}]
    raw = {
        "id": 7,
        "stackLevel": 0,
        "chargingProfilePurpose": purpose,
        "chargingProfileKind": "Dynamic",
        "chargingSchedule": [{"id": 1, "chargingRateUnit": "W", "chargingSchedulePeriod": periods}],
    }
    raw |= {"transactionId": "tx-1"} if purpose == "TxProfile" else {}
    check_request("SetChargingProfile", {"evseId": 1, "chargingProfile": raw}, "v21")
    found: Profile = DIALECT.read_set_profile({"evseId": 1, "chargingProfile": raw})[1]
    return found


def update(profile: Profile, **values: float) -> Profile:
    payload = {"chargingProfileId": 7, "scheduleUpdate": values}
    check_request("UpdateDynamicSchedule", payload, "v21")
    profile_id, found = DIALECT.read_update(payload)
    assert profile_id == 7
    return DIALECT.updated_profile(profile, 1, found, NOW)


def test_new_values_replace_those_they_name_and_the_time_is_kept() -> None:  # K28.FR.06, FR.09
    profile = update(dynamic(operationMode="CentralSetpoint", setpoint=2000.0, limit=5000.0), setpoint=-0.0, limit=4000.0)
    (period,) = profile.schedules[0].periods
    assert period.setpoint is not None
    assert (period.limit, period.setpoint.total, profile.updated_wall_s, profile.transaction_id) == (4000.0, 0.0, NOW, "tx-1")
    assert update(profile, setpoint=1000.0).schedules[0].periods[0].limit == 4000.0


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"setpoint": 1.0}, "InvalidSchedule"),  # ChargingOnly
        ({"dischargeLimit": -1.0}, "InvalidSchedule"),
        ({"limit": -1.0}, "InvalidSchedule"),
    ],
)
def test_an_update_cannot_do_what_a_profile_could_not(values: dict[str, float], reason: str) -> None:  # K28.FR.03
    with pytest.raises(ProfileError) as caught:
        update(dynamic(), **values)
    assert caught.value.reason_code == reason


def test_a_setpoint_stays_within_its_limits() -> None:  # V2X.05, trap 25
    profile = dynamic(operationMode="CentralSetpoint", setpoint=0.0, limit=5000.0, dischargeLimit=-3000.0)
    for odd in ({"setpoint": 5001.0}, {"setpoint": -3001.0}, {"limit": -1.0}):
        with pytest.raises(ProfileError) as caught:
            update(profile, **odd)
        assert caught.value.reason_code == "InvalidSchedule"
    with pytest.raises(ProfileError):  # a positive discharge limit, which the schema forbids as well
        DIALECT.updated_profile(profile, 1, {"dischargeLimit": 10.0}, NOW)
    assert update(profile, setpoint=-3000.0).schedules[0].periods[0].setpoint is not None


@pytest.mark.parametrize(
    "payload", [{}, {"chargingProfileId": "7"}, {"chargingProfileId": 7, "scheduleUpdate": {"price": 3}}, {"chargingProfileId": 7}]
)
def test_an_update_needs_a_profile_and_values(payload: dict[str, Any]) -> None:
    with pytest.raises(ProfileError):
        DIALECT.read_update(payload)


def test_pulls() -> None:  # K28.FR.08, FR.10, FR.12
    call = DIALECT.pull_update(7)
    assert call is not None
    check_request(*call, "v21")
    assert DIALECT.pulled_values({"status": "Accepted", "scheduleUpdate": {"limit": 3.0, "customData": {}}}) == {"limit": 3.0}
    for odd in ({"status": "Rejected"}, {"status": "Accepted"}, {"status": "Accepted", "scheduleUpdate": {}}, {}):
        assert DIALECT.pulled_values(odd) is None
    ours = Setpoint(1, 900_000_003, 1, 9.0, 3, NOW, NOW + 60, "tx-1", strategy=Strategy(dynamic=True))
    for setpoint in (None, ours):
        check_response("PullDynamicScheduleUpdate", DIALECT.pull_answer(setpoint), "v21")
    assert DIALECT.pull_answer(ours) == {"status": "Accepted", "scheduleUpdate": {"limit": 9.0}}
    assert DIALECT.pull_answer(None)["status"] == "Rejected"


def test_priority() -> None:  # K21, K22
    for status in ("Accepted", "Rejected", "NoProfile"):
        check_response("UsePriorityCharging", DIALECT.priority_answer(status), "v21")
    assert DIALECT.priority_word("UsePriorityCharging", {"transactionId": "t", "activate": True}) == PriorityWord("t", True)
    assert DIALECT.priority_word("NotifyPriorityCharging", {"transactionId": "t", "activated": False}) == PriorityWord("t", False)
    for odd in ({}, {"transactionId": 5, "activate": True}, {"transactionId": "t", "activate": 1}):
        assert DIALECT.priority_word("UsePriorityCharging", odd) is None
    assert DIALECT.priority_word("Heartbeat", {"transactionId": "t", "activate": True}) is None
    notice = DIALECT.priority_notice(PriorityWord("t", True))
    assert notice is not None
    check_request(*notice, "v21")


@pytest.mark.parametrize("version", ["ocpp1.6", "ocpp2.0.1"])
def test_older_versions_know_none_of_it(version: str) -> None:
    old = dialects()[version]
    with pytest.raises(ProfileError):
        old.read_update({"chargingProfileId": 7, "scheduleUpdate": {"limit": 1.0}})
    with pytest.raises(ProfileError):
        old.updated_profile(dynamic(), 1, {"limit": 1.0}, NOW)
    assert old.pull_update(7) is None
    assert old.pulled_values({"status": "Accepted", "scheduleUpdate": {"limit": 1.0}}) is None
    assert old.priority_word("UsePriorityCharging", {"transactionId": "t", "activate": True}) is None
    assert old.priority_notice(PriorityWord("t", True)) is None
