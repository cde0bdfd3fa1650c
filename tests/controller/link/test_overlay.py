"""Overlay mode: the CSMS's profiles pass byte for byte, cannot meet ours, and are booked when the station has taken them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from controller.facts import UpstreamWished
from controller.link.profile_view import OWN_PROFILE_IDS
from tests.support.playbook import BOOT, BOOT_16, TOKEN, Playbook, config, event, start_16
from tests.support.schemas import check_request, check_response

VERSIONS = ("ocpp1.6", "ocpp2.0.1", "ocpp2.1")
OURS = OWN_PROFILE_IDS.start + 3


def charging(version: str = "ocpp2.1") -> Playbook:
    play = Playbook(config(evses=2), version=version, overlay=True)
    play.connect()
    play.station(2, "b", "BootNotification", BOOT_16 if version == "ocpp1.6" else BOOT)
    play.csms(3, "b", {"status": "Accepted", "interval": 300, "currentTime": "2026-11-21T16:00:00Z"})
    if version == "ocpp1.6":
        play.station(2, "s", "StartTransaction", start_16())
        play.csms(3, "s", {"transactionId": 17, "idTagInfo": {"status": "Accepted"}})
    else:
        play.station(2, "s", "TransactionEvent", event("Started", 0))
        play.csms(3, "s", {})
    return play


def shape(
    version: str, evse_id: int, profile_id: int, limit: float, purpose: str = "TxDefaultProfile", stack: int = 0, **more: Any
) -> dict[str, Any]:
    periods = [{"startPeriod": 0, "limit": limit}]
    schedule: dict[str, Any] = {"chargingRateUnit": "A", "chargingSchedulePeriod": periods}
    rest = {"stackLevel": stack, "chargingProfilePurpose": purpose, "chargingProfileKind": "Relative", **more}
    if purpose.endswith("MaxProfile"):
        rest["chargingProfileKind"] = "Absolute"
        schedule["startSchedule"] = "2026-01-01T00:00:00Z"
    if version == "ocpp1.6":
        return {"connectorId": evse_id, "csChargingProfiles": {"chargingProfileId": profile_id, "chargingSchedule": schedule, **rest}}
    return {"evseId": evse_id, "chargingProfile": {"id": profile_id, "chargingSchedule": [{"id": 1, **schedule}], **rest}}


def passes(play: Playbook, action: str, payload: dict[str, Any], answer: dict[str, Any]) -> list[UpstreamWished]:
    """A CALL of the CSMS reaches the station as it came, and its answer the CSMS; the wishes that follow."""
    check_request(action, payload, play.version)
    text = json.dumps([2, "q", action, payload], indent=1)  # a shape of its own, to see that no byte changes
    play.csms(text)
    assert (play.sent_down, play.sent_up) == ([text], [])
    reply = json.dumps([3, "q", answer])
    play.station(reply)
    assert play.sent_up == [reply]
    found: list[UpstreamWished] = play.facts(UpstreamWished)
    return found


def refused(play: Playbook, action: str, payload: dict[str, Any]) -> dict[str, Any]:
    """The answer from here; nothing has reached the station."""
    play.csms(2, "q", action, payload)
    assert play.sent_down == []
    found: dict[str, Any] = play.up()[2]
    check_response(action, found, play.version)
    return found


def kept(play: Playbook) -> list[int]:
    return sorted(entry["profile"]["profile_id"] for entry in play.memories[("profiles", "CP1")]["profiles"])


@pytest.mark.parametrize("version", VERSIONS)
def test_a_profile_passes_and_is_booked_when_the_station_has_accepted_it(version: str) -> None:
    play = charging(version)
    assert passes(play, "SetChargingProfile", shape(version, 1, 5, 16.0), {"status": "Rejected"}) == []
    (wish,) = passes(play, "SetChargingProfile", shape(version, 1, 5, 16.0), {"status": "Accepted"})
    assert (wish.evse.evse_id, wish.steps[0].limit_a) == (1, 16.0)
    assert kept(play) == [5]
    play.csms(2, "x", "SetChargingProfile", shape(version, 1, 6, 8.0, stack=1))
    play.station(4, "x", "InternalError", "", {})
    assert kept(play) == [5]


@pytest.mark.parametrize("version", VERSIONS)
def test_what_the_station_has_cleared_is_cleared_here(version: str) -> None:
    play = charging(version)
    passes(play, "SetChargingProfile", shape(version, 1, 5, 16.0), {"status": "Accepted"})
    by_id = {"id": 5} if version == "ocpp1.6" else {"chargingProfileId": 5}
    assert passes(play, "ClearChargingProfile", by_id, {"status": "Unknown"}) == []
    (wish,) = passes(play, "ClearChargingProfile", by_id, {"status": "Accepted"})
    assert wish.steps[0].limit_a is None
    assert kept(play) == []


@pytest.mark.parametrize("version", VERSIONS)
def test_a_profile_with_one_of_our_ids_is_refused(version: str) -> None:
    play = charging(version)
    answer = refused(play, "SetChargingProfile", shape(version, 1, OURS, 32.0))
    assert answer["status"] == "Rejected"
    if version != "ocpp1.6":
        assert answer["statusInfo"]["reasonCode"] == "DuplicateProfile"
    odd = shape(version, 1, OURS, -5.0)  # which nobody here can read, but a lenient station might
    assert refused(play, "SetChargingProfile", odd)["status"] == "Rejected"
    by_id = {"id": OURS} if version == "ocpp1.6" else {"chargingProfileId": OURS}
    assert refused(play, "ClearChargingProfile", by_id) == {"status": "Unknown"}


@pytest.mark.parametrize("version", ["ocpp2.0.1", "ocpp2.1"])
def test_so_is_one_in_a_remote_start(version: str) -> None:
    play = charging(version)
    payload = shape(version, 1, OURS, 32.0, "TxProfile")
    request = {"evseId": 2, "idToken": TOKEN, "remoteStartId": 3, "chargingProfile": payload["chargingProfile"]}
    assert refused(play, "RequestStartTransaction", request)["status"] == "Rejected"


def test_the_profile_of_a_remote_start_passes_and_is_booked_with_its_transaction() -> None:
    play = charging()
    request = {"evseId": 2, "idToken": TOKEN, "remoteStartId": 3, "chargingProfile": shape("ocpp2.1", 2, 9, 12.0, "TxProfile")["chargingProfile"]}
    passes(play, "RequestStartTransaction", request, {"status": "Accepted"})
    more = {"transactionInfo": {"transactionId": "tx-2", "remoteStartId": 3}, "evse": {"id": 2}}
    play.station(2, "t", "TransactionEvent", event("Started", 0, **more))
    assert kept(play) == [9]


@pytest.mark.parametrize("version", VERSIONS)
def test_the_csms_s_maximum_stays_here_as_a_wish(version: str) -> None:
    play = charging(version)
    purpose = "ChargePointMaxProfile" if version == "ocpp1.6" else "ChargingStationMaxProfile"
    play.csms(2, "q", "SetChargingProfile", shape(version, 0, 5, 20.0, purpose))
    assert play.sent_down == []
    assert play.up()[2] == {"status": "Accepted"}
    assert [wish.steps[0].limit_a for wish in play.facts(UpstreamWished)] == [20.0, 20.0, 20.0]
    by_id = {"id": 5} if version == "ocpp1.6" else {"chargingProfileId": 5}
    play.csms(2, "c", "ClearChargingProfile", by_id)
    assert play.sent_down == []
    assert play.up()[2] == {"status": "Accepted"}


@pytest.mark.parametrize("version", VERSIONS)
def test_a_clear_of_everything_spares_our_maximum(version: str) -> None:
    """Relayed as it is, it would take the station's maximum along, and with it the fuse's only guard there."""
    play = charging(version)
    purpose = "ChargePointMaxProfile" if version == "ocpp1.6" else "ChargingStationMaxProfile"
    passes(play, "SetChargingProfile", shape(version, 1, 5, 16.0), {"status": "Accepted"})
    play.csms(2, "m", "SetChargingProfile", shape(version, 0, 6, 20.0, purpose))
    play.csms(2, "c", "ClearChargingProfile", {} if version == "ocpp1.6" else {"chargingProfileCriteria": {"evseId": 0}})
    assert play.sent_up == []
    purposes: list[str] = []
    while play.sent_down:
        (frame,) = [json.loads(text) for text in play.sent_down]
        check_request(frame[2], frame[3], version)
        criteria = frame[3] if version == "ocpp1.6" else frame[3]["chargingProfileCriteria"]
        assert criteria.get("evseId") == (None if version == "ocpp1.6" else 0)
        purposes.append(criteria["chargingProfilePurpose"])
        play.station(3, frame[1], {"status": "Accepted" if len(purposes) == 1 else "Unknown"})
    assert purposes == ["TxDefaultProfile", "TxProfile", *(["PriorityCharging"] if version == "ocpp2.1" else [])]
    assert play.up() == [3, "c", {"status": "Accepted"}]
    assert kept(play) == ([] if version == "ocpp1.6" else [5])  # 5 stands at EVSE 1, the criteria were EVSE 0


def test_a_clear_of_everything_that_finds_nothing_says_so() -> None:
    play = charging("ocpp1.6")
    play.csms(2, "c", "ClearChargingProfile", {})
    for _ in range(2):
        play.station(3, play.down()[1], {"status": "Unknown"})
    assert play.up() == [3, "c", {"status": "Unknown"}]


def test_a_clear_of_one_purpose_or_evse_passes() -> None:
    play = charging("ocpp2.0.1")
    passes(play, "ClearChargingProfile", {"chargingProfileCriteria": {"evseId": 1}}, {"status": "Unknown"})
    passes(play, "ClearChargingProfile", {"chargingProfileCriteria": {"chargingProfilePurpose": "TxProfile"}}, {"status": "Unknown"})
    assert refused(play, "ClearChargingProfile", {"chargingProfileCriteria": {"chargingProfilePurpose": "ChargingStationMaxProfile"}}) == {
        "status": "Unknown"
    }


def test_questions_pass() -> None:
    play = charging()
    composite = {"evseId": 1, "duration": 60}
    passes(play, "GetCompositeSchedule", composite, {"status": "Rejected"})
    passes(play, "GetChargingProfiles", {"requestId": 1, "chargingProfile": {}}, {"status": "NoProfiles"})


@pytest.mark.parametrize("more", [True, False])
def test_the_maximum_that_stays_here_is_reported_beside_those_of_the_station(more: bool) -> None:  # K09
    play = charging()
    play.csms(2, "m", "SetChargingProfile", shape("ocpp2.1", 0, 6, 20.0, "ChargingStationMaxProfile"))
    play.csms(2, "g", "GetChargingProfiles", {"requestId": 8, "chargingProfile": {}})
    play.station(3, play.down()[1], {"status": "Accepted" if more else "NoProfiles"})
    answer, report = [json.loads(text) for text in play.sent_up]
    assert answer == [3, "g", {"status": "Accepted"}]
    check_request("ReportChargingProfiles", report[3], "ocpp2.1")
    assert (report[3]["requestId"], report[3]["tbc"], report[3]["chargingProfile"][0]["id"]) == (8, more, 6)


def test_priority_and_updates_pass_and_are_booked() -> None:  # K21, K28
    play = charging()
    passes(play, "SetChargingProfile", shape("ocpp2.1", 0, 5, 32.0, "PriorityCharging"), {"status": "Accepted"})
    passes(play, "SetChargingProfile", shape("ocpp2.1", 1, 6, 8.0, chargingProfileKind="Dynamic"), {"status": "Accepted"})
    (wish,) = passes(play, "UsePriorityCharging", {"transactionId": "tx-1", "activate": True}, {"status": "Accepted"})
    assert (wish.steps[0].limit_a, wish.prioritised) == (32.0, True)
    passes(play, "UsePriorityCharging", {"transactionId": "tx-1", "activate": False}, {"status": "Accepted"})
    (wish,) = passes(play, "UpdateDynamicSchedule", {"chargingProfileId": 6, "scheduleUpdate": {"limit": 11.0}}, {"status": "Accepted"})
    assert wish.steps[0].limit_a == 11.0
    passes(play, "UpdateDynamicSchedule", {"chargingProfileId": 99, "scheduleUpdate": {"limit": 11.0}}, {"status": "Accepted"})


def test_a_station_asks_the_csms_for_its_values_and_nobody_else_does() -> None:  # K28.FR.10
    play = charging()
    passes(play, "SetChargingProfile", shape("ocpp2.1", 1, 6, 8.0, chargingProfileKind="Dynamic", dynUpdateInterval=5), {"status": "Accepted"})
    play.wait(60)
    assert play.sent_up == []
    text = json.dumps([2, "p", "PullDynamicScheduleUpdate", {"chargingProfileId": 6}])
    play.station(text)
    assert play.sent_up == [text]
    play.csms(3, "p", {"status": "Accepted", "scheduleUpdate": {"limit": 9.0}})
    assert play.down() == [3, "p", {"status": "Accepted", "scheduleUpdate": {"limit": 9.0}}]
    play.station(2, "o", "PullDynamicScheduleUpdate", {"chargingProfileId": OURS})
    assert (play.sent_up, play.down()[2]["status"]) == ([], "Rejected")
    play.close()
    play.station(2, "a", "PullDynamicScheduleUpdate", {"chargingProfileId": 6})
    assert play.down()[2]["status"] == "Rejected"


def test_what_is_booked_survives_a_restart() -> None:
    play = charging("ocpp1.6")
    passes(play, "SetChargingProfile", shape("ocpp1.6", 1, 5, 16.0), {"status": "Accepted"})
    again = play.restarted()
    assert 16.0 in [step.limit_a for wish in again.wait(1) if isinstance(wish, UpstreamWished) for step in wish.steps]
