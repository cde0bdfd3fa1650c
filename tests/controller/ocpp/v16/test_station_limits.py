"""Charging profiles of a 2.1 CSMS for a 1.6 station (OCPP-NOTES 12.11, traps 12, 15)."""

from __future__ import annotations

from typing import Any

import pytest

from controller.ocpp.hub import Failed, Said
from controller.ocpp.v16.station_limits import round_down, round_up
from controller.ocpp.v16.station_side import StationSide16
from tests.support.talking import NOON, Talking

UUID = "00000000-0000-4000-8000-000000000001"
START = {"connectorId": 1, "idTag": "A", "meterStart": 0, "timestamp": NOON}


def talking(**wire: Any) -> Talking:
    """A connected station. wire: its answers."""
    answers = {"SetChargingProfile": {"status": "Accepted"}, "ClearChargingProfile": {"status": "Accepted"}, **wire}
    made = Talking(StationSide16, wire=answers, hub={key: {} for key in ("TransactionEvent", "ReportChargingProfiles")})
    made.opened()
    return made


def profile(number: int = 1, limit: Any = 16, period: Any = None, schedule: Any = None, **more: Any) -> dict[str, Any]:
    """A TxDefaultProfile of one period in A."""
    periods = [{"startPeriod": 0, **({"limit": limit} if limit is not None else {}), **(period or {})}]
    planned = {"id": 1, "chargingRateUnit": "A", "chargingSchedulePeriod": periods, **(schedule or {})}
    purpose = {"chargingProfilePurpose": "TxDefaultProfile", "chargingProfileKind": "Relative"}
    return {"id": number, "stackLevel": 0, **purpose, "chargingSchedule": [planned], **more}


def ask(peer: Talking, made: dict[str, Any], evse_id: int = 1) -> Any:
    """(status, reasonCode) of the answer to a SetChargingProfile."""
    reply = peer.asked("SetChargingProfile", {"evseId": evse_id, "chargingProfile": made})
    assert isinstance(reply, Said)
    return reply.payload["status"], reply.payload.get("statusInfo", {}).get("reasonCode")


def sent_schedule(made: dict[str, Any]) -> dict[str, Any]:
    """The schedule the station gets."""
    peer = talking()
    assert ask(peer, made) == ("Accepted", None)
    found: dict[str, Any] = peer.sent("wire")[-1][1]["csChargingProfiles"]["chargingSchedule"]
    return found


# -- what goes through --------------------------------------------------------------------------------------


def test_a_whole_profile() -> None:
    peer = talking()
    recurring = profile(
        7,
        chargingProfilePurpose="ChargingStationMaxProfile",
        chargingProfileKind="Recurring",
        recurrencyKind="Daily",
        validFrom="2026-11-21T13:00:00+01:00",
        validTo="2026-12-01T00:00:00Z",
        schedule={"startSchedule": NOON, "duration": 3600, "minChargingRate": 6.01, "chargingRateUnit": "W"},
        period={"limit": 22000.06, "numberPhases": 3},
    )
    assert ask(peer, recurring, 0) == ("Accepted", None)
    expected = {
        "chargingProfileId": 7,
        "stackLevel": 0,
        "chargingProfilePurpose": "ChargePointMaxProfile",
        "chargingProfileKind": "Recurring",
        "recurrencyKind": "Daily",
        "validFrom": NOON,
        "validTo": "2026-12-01T00:00:00.000Z",
        "chargingSchedule": {
            "startSchedule": NOON,
            "duration": 3600,
            "chargingRateUnit": "W",
            "minChargingRate": 6.1,
            "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 22000.0, "numberPhases": 3}],
        },
    }
    assert peer.sent() == [("SetChargingProfile", {"connectorId": 0, "csChargingProfiles": expected})]


@pytest.mark.parametrize(("limit", "said"), [(16, 16.0), (10.19, 10.1), (10.1, 10.1), (0.09, 0.0), (31.884057998657227, 31.8), (-0.05, -0.1)])
def test_limits_are_never_raised(limit: float, said: float) -> None:
    assert sent_schedule(profile(limit=limit))["chargingSchedulePeriod"][0]["limit"] == said
    assert round_down(limit) == said


def test_the_least_rate_is_never_lowered() -> None:
    assert [round_up(value) for value in (6, 6.01, 6.1)] == [6.0, 6.1, 6.1]


def test_the_lowest_phase_counts_for_all() -> None:
    """K01.FR.147; in W a 1.6 limit is the sum over the phases (trap 12)."""
    split = {"limit_L2": 12, "limit_L3": 10}
    assert sent_schedule(profile(period=split))["chargingSchedulePeriod"][0]["limit"] == 10.0
    watts = profile(limit=3000, period={"limit_L2": 2000, "limit_L3": 2500}, schedule={"chargingRateUnit": "W"})
    assert sent_schedule(watts)["chargingSchedulePeriod"][0]["limit"] == 6000.0


def test_a_limit_from_some_state_of_charge_on_counts_always() -> None:
    assert sent_schedule(profile(schedule={"limitAtSoC": {"soc": 80, "limit": 6}}))["chargingSchedulePeriod"][0]["limit"] == 6.0
    assert sent_schedule(profile(limit=5, schedule={"limitAtSoC": {"soc": 80, "limit": 6}}))["chargingSchedulePeriod"][0]["limit"] == 5.0


def test_idle_is_no_current() -> None:
    assert sent_schedule(profile(limit=None, period={"operationMode": "Idle"}))["chargingSchedulePeriod"] == [{"startPeriod": 0, "limit": 0.0}]


def test_a_random_delay_is_drawn_once() -> None:
    periods = [{"startPeriod": 0, "limit": 16}, {"startPeriod": 600, "limit": 8}]
    made = profile(schedule={"chargingSchedulePeriod": periods, "randomizedDelay": 300})
    first, second = sent_schedule(made), sent_schedule(made)
    assert first == second
    begins = [period["startPeriod"] for period in first["chargingSchedulePeriod"]]
    assert begins[0] == 0
    assert 600 <= begins[1] <= 900


def test_a_transaction_is_named_by_its_number() -> None:
    peer = talking()
    peer.said("StartTransaction", START)
    peer.log.clear()
    made = profile(chargingProfilePurpose="TxProfile", transactionId=UUID)
    assert ask(peer, made, 2) == ("Rejected", "TxNotFound")
    assert ask(peer, made, 1) == ("Accepted", None)
    assert peer.sent()[0][1]["csChargingProfiles"]["transactionId"] == 1001
    assert ask(peer, profile(2, chargingProfilePurpose="TxProfile", transactionId="other")) == ("Rejected", "TxNotFound")


# -- what 1.6 cannot say ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"chargingProfilePurpose": "PriorityCharging"}, "UnsupportedPurpose"),
        ({"chargingProfilePurpose": "LocalGeneration"}, "UnsupportedPurpose"),
        ({"chargingProfilePurpose": "ChargingStationExternalConstraints"}, "UnsupportedPurpose"),
        ({"chargingProfileKind": "Dynamic"}, "UnsupportedKind"),
        ({"maxOfflineDuration": 600}, "UnsupportedParam"),
        ({"schedule": {"useLocalTime": True}}, "UnsupportedParam"),
        ({"period": {"setpoint": 4000, "operationMode": "CentralSetpoint"}}, "UnsupportedParam"),
        ({"period": {"dischargeLimit": -4000}}, "UnsupportedParam"),
        ({"period": {"operationMode": "ExternalLimits"}}, "UnsupportedParam"),
        ({"limit": None}, "InvalidSchedule"),
    ],
)
def test_what_cannot_be_said_is_refused_with_its_reason(more: dict[str, Any], reason: str) -> None:
    peer = talking()
    assert ask(peer, profile(**more)) == ("Rejected", reason)
    assert peer.sent() == []


@pytest.mark.parametrize("answer", [{"status": "NotSupported"}, Failed("NotImplemented")])
def test_a_station_without_smart_charging(answer: Any) -> None:
    assert ask(talking(SetChargingProfile=answer), profile()) == ("Rejected", "UnsupportedRequest")


# -- what is there --------------------------------------------------------------------------------------------


def test_a_duplicate_is_refused_as_in_2x() -> None:
    """1.6 would replace it in silence; EVSE 0 is everywhere (trap 15)."""
    peer = talking()
    assert ask(peer, profile(1)) == ("Accepted", None)
    assert ask(peer, profile(1)) == ("Accepted", None)
    peer = peer.again()
    assert ask(peer, profile(2)) == ("Rejected", "DuplicateProfile")
    assert ask(peer, profile(2), 0) == ("Rejected", "DuplicateProfile")
    assert ask(peer, profile(2), 2) == ("Accepted", None)
    assert ask(peer, profile(3, stackLevel=1)) == ("Accepted", None)


def test_profiles_that_never_meet_are_no_duplicates() -> None:
    peer = talking()
    assert ask(peer, profile(1, validTo="2026-11-22T00:00:00Z")) == ("Accepted", None)
    assert ask(peer, profile(2, validFrom="2026-11-22T00:00:00Z")) == ("Accepted", None)


@pytest.mark.parametrize(
    "clear",
    [
        {"chargingProfileId": 1},
        {"chargingProfileCriteria": {"evseId": 1}},
        {"chargingProfileCriteria": {"chargingProfilePurpose": "TxDefaultProfile", "stackLevel": 0}},
        {},
    ],
)
def test_a_cleared_profile_is_gone(clear: dict[str, Any]) -> None:
    peer = talking()
    ask(peer, profile(1))
    assert peer.asked("ClearChargingProfile", clear) == Said({"status": "Accepted"})
    assert ask(peer, profile(2)) == ("Accepted", None)


def test_clearing_in_words_of_1_6() -> None:
    peer = talking(ClearChargingProfile={"status": "Unknown"})
    criteria = {"evseId": 0, "chargingProfilePurpose": "ChargingStationMaxProfile", "stackLevel": 3}
    assert peer.asked("ClearChargingProfile", {"chargingProfileCriteria": criteria}) == Said({"status": "Unknown"})
    assert peer.sent() == [("ClearChargingProfile", {"connectorId": 0, "chargingProfilePurpose": "ChargePointMaxProfile", "stackLevel": 3})]
    only_2x = {"chargingProfilePurpose": "LocalGeneration"}
    assert peer.asked("ClearChargingProfile", {"chargingProfileCriteria": only_2x}) == Said({"status": "Unknown"})
    assert peer.sent() == []


def test_the_profile_of_a_transaction_ends_with_it() -> None:
    peer = talking()
    peer.said("StartTransaction", START)
    ask(peer, profile(chargingProfilePurpose="TxProfile", transactionId=UUID))
    wanted = {"requestId": 4, "chargingProfile": {"chargingProfilePurpose": "TxProfile"}}
    assert peer.asked("GetChargingProfiles", wanted) == Said({"status": "Accepted"})
    peer.said("StopTransaction", {"transactionId": 1001, "meterStop": 1, "timestamp": NOON})
    assert peer.asked("GetChargingProfiles", wanted) == Said({"status": "NoProfiles"})


def test_profiles_are_reported_in_pages() -> None:
    peer = talking()
    for number in range(1, 7):
        ask(peer, profile(number, stackLevel=number))
    ask(peer, profile(9), 2)
    peer.log.clear()
    assert peer.asked("GetChargingProfiles", {"requestId": 4, "chargingProfile": {}}) == Said({"status": "Accepted"})
    peer.seconds(1)
    told = [payload for action, payload in peer.sent("hub")]
    assert [(one["evseId"], [each["id"] for each in one["chargingProfile"]], one.get("tbc", False)) for one in told] == [
        (1, [1, 2, 3, 4], True),
        (1, [5, 6], True),
        (2, [9], False),
    ]
    assert {(one["requestId"], one["chargingLimitSource"]) for one in told} == {(4, "CSO")}
    assert peer.asked("GetChargingProfiles", {"requestId": 5, "evseId": 2, "chargingProfile": {"chargingProfileId": [1]}}) == Said(
        {"status": "NoProfiles"}
    )


# -- composite schedule --------------------------------------------------------------------------------------------


def test_a_composite_schedule() -> None:
    answer = {
        "status": "Accepted",
        "connectorId": 1,
        "scheduleStart": NOON,
        "chargingSchedule": {
            "duration": 600,
            "chargingRateUnit": "A",
            "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 16.0, "numberPhases": 3}],
        },
    }
    peer = talking(GetCompositeSchedule=answer)
    reply = peer.asked("GetCompositeSchedule", {"evseId": 1, "duration": 600, "chargingRateUnit": "A"})
    periods = [{"startPeriod": 0, "limit": 16.0, "numberPhases": 3}]
    schedule = {"evseId": 1, "duration": 600, "scheduleStart": NOON, "chargingRateUnit": "A", "chargingSchedulePeriod": periods}
    assert reply == Said({"status": "Accepted", "schedule": schedule})
    assert peer.sent() == [("GetCompositeSchedule", {"connectorId": 1, "duration": 600, "chargingRateUnit": "A"})]


@pytest.mark.parametrize("answer", [{"status": "Rejected"}, {"status": "Accepted"}, Failed("NotSupported")])
def test_no_composite_schedule(answer: Any) -> None:
    """16.9: accepted without a schedule is seen in the field."""
    reply = talking(GetCompositeSchedule=answer).asked("GetCompositeSchedule", {"evseId": 1, "duration": 600})
    assert isinstance(reply, Said)
    assert reply.payload["status"] == "Rejected"
