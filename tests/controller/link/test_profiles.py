"""The CSMS's profiles in every version as transcripts: judged, kept, answered, reported, wished - one truth (K01-K28)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from controller.facts import EvseKey, LimitStep, ScheduleAnnounced, UpstreamWished
from controller.ocpp.times import timestamp
from controller.orders import Inject, Persist, SendStation, Strategy
from tests.support.playbook import BOOT, BOOT_16, TOKEN, Playbook, config, event, start_16, stop_16
from tests.support.schemas import check_request, check_response

ACCEPTED = {"status": "Accepted", "interval": 300, "currentTime": "2026-11-21T16:00:00Z"}
VERSIONS = ("ocpp1.6", "ocpp2.0.1", "ocpp2.1")


def booted(version: str = "ocpp2.1", evses: int = 2, **upstream: Any) -> Playbook:
    play = Playbook(config(evses=evses, **upstream), version=version)
    play.connect()
    play.station(2, "boot", "BootNotification", BOOT_16 if version == "ocpp1.6" else BOOT)
    play.csms(3, "boot", ACCEPTED)
    return play


def charging(version: str = "ocpp2.1", **upstream: Any) -> Playbook:
    """A transaction runs at EVSE 1: "tx-1", in 1.6 17."""
    play = booted(version, **upstream)
    if version == "ocpp1.6":
        play.station(2, "start", "StartTransaction", start_16())
        play.csms(3, "start", {"transactionId": 17, "idTagInfo": {"status": "Accepted"}})
    else:
        play.station(2, "start", "TransactionEvent", event("Started", 0))
        play.csms(3, "start", {})
    return play


def profile(
    profile_id: int, limit: float = 10.0, purpose: str = "TxDefaultProfile", *, unit: str = "A", stack: int = 0, **more: Any
) -> dict[str, Any]:
    """A 2.x profile of one period without end. more: fields of the profile, or of its schedule or period by name."""
    period = {"startPeriod": 0, "limit": limit, **more.pop("period", {})}
    schedule = {"id": 1, "chargingRateUnit": unit, "chargingSchedulePeriod": [period], **more.pop("schedule", {})}
    made: dict[str, Any] = {
        "id": profile_id,
        "stackLevel": stack,
        "chargingProfilePurpose": purpose,
        "chargingProfileKind": "Relative",
        "chargingSchedule": [schedule],
        **more,
    }
    if purpose == "ChargingStationMaxProfile":
        made["chargingProfileKind"] = more.get("chargingProfileKind", "Absolute")
        schedule.setdefault("startSchedule", "2026-01-01T00:00:00Z")
    return made


def profile_16(profile_id: int, limit: float = 10.0, purpose: str = "TxDefaultProfile", stack: int = 0, **more: Any) -> dict[str, Any]:
    schedule = {"chargingRateUnit": "A", "chargingSchedulePeriod": [{"startPeriod": 0, "limit": limit}], **more.pop("schedule", {})}
    return {
        "chargingProfileId": profile_id,
        "stackLevel": stack,
        "chargingProfilePurpose": purpose,
        "chargingProfileKind": "Relative",
        "chargingSchedule": schedule,
        **more,
    }


def ask(play: Playbook, action: str, payload: dict[str, Any]) -> dict[str, Any]:
    """A CALL of the CSMS that is answered here: valid request, valid answer, nothing goes down."""
    check_request(action, payload, play.version)
    play.csms(2, f"q-{action}", action, payload)
    assert play.sent_down == []
    frames = [json.loads(text) for text in play.sent_up]
    (answer,) = [frame for frame in frames if frame[:2] == [3, f"q-{action}"]]
    check_response(action, answer[2], play.version)
    found: dict[str, Any] = answer[2]
    return found


def put(play: Playbook, evse_id: int, made: dict[str, Any]) -> str:
    """SetChargingProfile; its status."""
    shape = {"connectorId": evse_id, "csChargingProfiles": made} if play.version == "ocpp1.6" else {"evseId": evse_id, "chargingProfile": made}
    return str(ask(play, "SetChargingProfile", shape)["status"])


def why(play: Playbook, evse_id: int, made: dict[str, Any]) -> str:
    """Reason code of a SetChargingProfile that is rejected."""
    before = play.links.sessions["CP1"].profiles.view.dump()
    answer = ask(play, "SetChargingProfile", {"evseId": evse_id, "chargingProfile": made})
    assert answer["status"] == "Rejected"
    assert play.links.sessions["CP1"].profiles.view.dump() == before
    return str(answer["statusInfo"]["reasonCode"])


def wish(play: Playbook, evse_id: int = 1) -> UpstreamWished:
    """The last wish of an EVSE in the last step."""
    found: UpstreamWished = [fact for fact in play.facts(UpstreamWished) if fact.evse.evse_id == evse_id][-1]
    return found


def limit_now(play: Playbook, evse_id: int = 1, duration_s: int = 60) -> float:
    """The composite's first limit [A]."""
    place = "connectorId" if play.version == "ocpp1.6" else "evseId"
    answer = ask(play, "GetCompositeSchedule", {place: evse_id, "duration": duration_s, "chargingRateUnit": "A"})
    schedule = answer["chargingSchedule" if play.version == "ocpp1.6" else "schedule"]
    found: float = schedule["chargingSchedulePeriod"][0]["limit"]
    return found


def ours_up(play: Playbook, action: str) -> list[list[Any]]:
    """CALLs of ours with this action that went up in the last step, valid by their schema."""
    frames = [json.loads(text) for text in play.sent_up]
    found = [frame for frame in frames if frame[0] == 2 and frame[2] == action]
    for frame in found:
        check_request(action, frame[3], play.version)
    return found


# -- every version: set, composite, clear, restart --------------------------------------------------------------


@pytest.mark.parametrize("version", VERSIONS)
def test_a_profile_is_kept_here_tells_the_site_and_the_composite_and_survives_a_restart(version: str) -> None:  # K01, K08, K10
    play = booted(version)
    made = profile_16(5) if version == "ocpp1.6" else profile(5)
    assert put(play, 0, made) == "Accepted"
    assert [wish(play, evse_id).steps[0].limit_a for evse_id in (1, 2)] == [10.0, 10.0]
    assert limit_now(play) == 10.0
    again = play.restarted()
    again.connect()
    again.wait(1)
    assert [wish(again).steps[0].limit_a, limit_now(again)] == [10.0, 10.0]
    criteria = {"id": 5} if version == "ocpp1.6" else {"chargingProfileId": 5}
    assert ask(again, "ClearChargingProfile", criteria)["status"] == "Accepted"
    assert wish(again).steps == (LimitStep(again.at.wall_s, None),)
    assert limit_now(again) == 999_999.0
    assert ask(again, "ClearChargingProfile", criteria)["status"] == "Unknown"


@pytest.mark.parametrize("version", VERSIONS)
def test_nothing_is_accepted_before_it_is_on_disk(version: str) -> None:
    play = booted(version)
    play.disk = False
    shape = {"connectorId": 1, "csChargingProfiles": profile_16(5)} if version == "ocpp1.6" else {"evseId": 1, "chargingProfile": profile(5)}
    play.csms(2, "p", "SetChargingProfile", shape)
    assert play.up()[0] == 4
    play.disk = True
    assert limit_now(play) == 999_999.0


@pytest.mark.parametrize("version", VERSIONS)
def test_clearing_a_default_acts_on_the_running_transaction(version: str) -> None:  # K01.FR.32, K10.FR.07, 16E 3.8
    play = charging(version)
    make = profile_16 if version == "ocpp1.6" else profile
    assert put(play, 1, make(5, 8.0)) == "Accepted"
    assert put(play, 1, make(6, 16.0, stack=1)) == "Accepted"
    assert wish(play).steps[0].limit_a == 16.0
    ask(play, "ClearChargingProfile", {"id": 6} if version == "ocpp1.6" else {"chargingProfileId": 6})
    assert wish(play).steps[0].limit_a == 8.0


@pytest.mark.parametrize("version", VERSIONS)
def test_a_tx_profile_needs_its_transaction_and_dies_with_it(version: str) -> None:  # K01.FR.33, 16 3.13.1
    play = booted(version)
    tx = profile_16(5, 9.0, "TxProfile") if version == "ocpp1.6" else profile(5, 9.0, "TxProfile", transactionId="tx-1")
    assert put(play, 1, tx) == "Rejected"
    play = charging(version)
    assert put(play, 1, tx) == "Accepted"
    assert limit_now(play) == 9.0
    if version == "ocpp1.6":
        play.station(2, "stop", "StopTransaction", stop_16(17))
    else:
        play.station(2, "stop", "TransactionEvent", event("Ended", 1))
    assert wish(play).steps[0].limit_a is None
    assert limit_now(play) == 999_999.0


def test_a_replaced_default_in_1_6_is_gone_without_a_word() -> None:  # 16 5.16.3
    play = booted("ocpp1.6")
    assert put(play, 1, profile_16(5, 16.0)) == put(play, 1, profile_16(6, 8.0)) == "Accepted"
    assert ask(play, "ClearChargingProfile", {"id": 5})["status"] == "Unknown"
    assert limit_now(play) == 8.0


# -- reasons (B20-B27) ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["ocpp2.0.1", "ocpp2.1"])
def test_duplicates_are_rejected_in_2_x(version: str) -> None:  # K01.FR.06, K01.FR.39, K01.FR.52/53 (trap 15)
    play = charging(version)
    assert put(play, 1, profile(1)) == put(play, 1, profile(2, purpose="TxProfile", transactionId="tx-1")) == "Accepted"
    assert why(play, 1, profile(3)) == "DuplicateProfile"
    assert why(play, 0, profile(4)) == "DuplicateProfile"
    assert why(play, 1, profile(5, purpose="TxProfile", transactionId="tx-1")) == "DuplicateProfile"
    assert put(play, 1, profile(1, 7.0, stack=2)) == "Accepted"  # K01.FR.05: the same id replaces


def test_2_1_purposes_are_unknown_to_2_0_1() -> None:
    play = booted("ocpp2.0.1")
    shape = {"evseId": 1, "chargingProfile": profile(1, purpose="PriorityCharging")}
    play.csms(2, "p", "SetChargingProfile", shape)
    assert play.up()[2]["status"] == "Rejected"


def test_at_most_a_hundred_profiles() -> None:  # F24
    play = booted(evses=1)
    assert {put(play, 1, profile(number, stack=number)) for number in range(100)} == {"Accepted"}
    assert why(play, 1, profile(100, stack=100)) == "OutOfStorage"
    assert put(play, 1, profile(99, 7.0, stack=99)) == "Accepted"


# -- Get and Report (K09) ---------------------------------------------------------------------------------------------


def test_what_is_reported_is_what_was_set_in_all_its_new_fields() -> None:
    play = booted()
    made = profile(3, schedule={"startSchedule": "2026-11-21T16:00:00.000Z", "useLocalTime": True, "randomizedDelay": 60})
    made |= {"chargingProfileKind": "Absolute", "maxOfflineDuration": 900}
    assert put(play, 1, made) == "Accepted"
    assert ask(play, "GetChargingProfiles", {"requestId": 4, "evseId": 1, "chargingProfile": {}})["status"] == "Accepted"
    (report,) = ours_up(play, "ReportChargingProfiles")
    assert report[3]["requestId"] == 4
    (told,) = report[3]["chargingProfile"]
    assert {key: told[key] for key in ("id", "maxOfflineDuration")} == {"id": 3, "maxOfflineDuration": 900}
    assert told["chargingSchedule"][0]["useLocalTime"] is True
    assert told["chargingSchedule"][0]["randomizedDelay"] == 60
    assert ask(play, "GetChargingProfiles", {"requestId": 5, "evseId": 0, "chargingProfile": {}})["status"] == "NoProfiles"


# -- priority (K21, K22) -----------------------------------------------------------------------------------------------


def use_priority(play: Playbook, activate: bool = True, transaction_id: str = "tx-1") -> str:
    return str(ask(play, "UsePriorityCharging", {"transactionId": transaction_id, "activate": activate})["status"])


def test_priority_needs_a_transaction_and_a_profile() -> None:  # K21.FR.01-04
    play = charging()
    assert use_priority(play) == "NoProfile"
    assert use_priority(play, transaction_id="tx-9") == "Rejected"
    assert put(play, 2, profile(1, 32.0, "PriorityCharging")) == "Accepted"
    assert use_priority(play) == "NoProfile"  # of another EVSE


def test_priority_lifts_the_transaction_and_is_told_to_site_and_csms_until_it_ends() -> None:  # K21, SC.01
    play = charging()
    put(play, 0, profile(1, 32.0, "PriorityCharging"))
    put(play, 1, profile(2, 8.0))
    assert limit_now(play) == 8.0
    assert use_priority(play) == "Accepted"
    (notice,) = ours_up(play, "NotifyPriorityCharging")
    assert notice[3] == {"transactionId": "tx-1", "activated": True}
    play.csms(3, notice[1], {})
    told = play.links.sessions["CP1"].profiles
    assert limit_now(play) == 32.0
    again = play.restarted()
    again.connect()
    assert limit_now(again) == 32.0
    assert use_priority(play) == "Accepted"
    assert ours_up(play, "NotifyPriorityCharging") == []  # no news
    assert use_priority(play, activate=False) == "Accepted"
    assert (wish(play).steps[0].limit_a, wish(play).prioritised) == (8.0, False)
    assert told.view.has_priority(1)


def test_priority_is_not_accepted_before_it_is_on_disk() -> None:
    play = charging()
    put(play, 0, profile(1, 32.0, "PriorityCharging"))
    put(play, 1, profile(2, 8.0))
    play.disk = False
    play.csms(2, "u", "UsePriorityCharging", {"transactionId": "tx-1", "activate": True})
    assert play.up()[0] == 4
    play.disk = True
    assert limit_now(play) == 8.0


def test_a_driver_who_presses_the_button_is_heard_here_and_above() -> None:  # K22
    play = charging()
    put(play, 1, profile(1, 32.0, "PriorityCharging"))
    put(play, 1, profile(2, 8.0))
    text = json.dumps([2, "n", "NotifyPriorityCharging", {"transactionId": "tx-1", "activated": True}])
    play.station(text)
    assert play.sent_up == [text]
    assert (wish(play).steps[0].limit_a, wish(play).prioritised) == (32.0, True)
    play.csms(3, "n", {})
    play.station(2, "e", "TransactionEvent", event("Ended", 1))
    play.csms(3, "e", {})
    play.station(2, "s", "TransactionEvent", event("Started", 0, transaction_id="tx-2"))
    assert limit_now(play) == 8.0  # the next driver has not pressed it


# -- Dynamic profiles (K28) ------------------------------------------------------------------------------------------------


def dynamic(profile_id: int = 7, limit: float = 10.0, interval_s: int | None = None, duration_s: int | None = None, **more: Any) -> dict[str, Any]:
    schedule = {} if duration_s is None else {"duration": duration_s}
    pull = {} if interval_s is None else {"dynUpdateInterval": interval_s}
    return profile(profile_id, limit, chargingProfileKind="Dynamic", schedule=schedule, **pull, **more)


def update(play: Playbook, profile_id: int = 7, **values: float) -> dict[str, Any]:
    return ask(play, "UpdateDynamicSchedule", {"chargingProfileId": profile_id, "scheduleUpdate": values})


def test_a_dynamic_profile_takes_updates_and_reports_them() -> None:  # K28.FR.06, FR.09
    play = charging()
    assert put(play, 1, dynamic()) == "Accepted"
    assert update(play, limit=13.0) == {"status": "Accepted"}
    assert wish(play).steps[0].limit_a == 13.0
    again = play.restarted()
    again.connect()
    assert limit_now(again) == 13.0
    ask(play, "GetChargingProfiles", {"requestId": 1, "evseId": 1, "chargingProfile": {}})
    (report,) = ours_up(play, "ReportChargingProfiles")
    told = report[3]["chargingProfile"][0]
    assert told["chargingSchedule"][0]["chargingSchedulePeriod"][0]["limit"] == 13.0
    assert "dynUpdateTime" in told


@pytest.mark.parametrize(
    ("profile_id", "values", "reason"),
    [
        (8, {"limit": 9.0}, "InvalidProfile"),  # K28.FR.11: unknown
        (9, {"limit": 9.0}, "InvalidProfile"),  # not Dynamic
        (7, {}, "InvalidSchedule"),  # K28.FR.03
        (7, {"setpoint": 9.0}, "InvalidSchedule"),  # ChargingOnly has none
        (7, {"limit": -1.0}, "InvalidSchedule"),
        (7, {"limit": 9.0, "limit_L2": 8.0}, "PhaseConflict"),  # K01.FR.143: only in a TxProfile
    ],
)
def test_an_update_is_judged_like_a_profile(profile_id: int, values: dict[str, float], reason: str) -> None:
    play = charging()
    put(play, 1, dynamic())
    put(play, 1, profile(9, stack=4, purpose="PriorityCharging"))
    answer = update(play, profile_id, **values)
    assert (answer["status"], answer["statusInfo"]["reasonCode"]) == ("Rejected", reason)
    assert limit_now(play) == 10.0


def test_an_update_is_not_accepted_before_it_is_on_disk() -> None:
    play = charging()
    put(play, 1, dynamic())
    play.disk = False
    play.csms(2, "u", "UpdateDynamicSchedule", {"chargingProfileId": 7, "scheduleUpdate": {"limit": 13.0}})
    assert play.up()[0] == 4
    play.disk = True
    assert limit_now(play) == 10.0


def test_without_updates_a_dynamic_profile_ends_after_its_duration_and_begins_again_with_the_next() -> None:  # K28.FR.13/14
    play = charging()
    put(play, 1, profile(1, 6.0))
    assert put(play, 1, dynamic(duration_s=60, stack=3)) == "Accepted"
    assert [(round(step.start_wall_s - play.at.wall_s), step.limit_a) for step in wish(play).steps] == [(0, 10.0), (60, 6.0)]
    play.wait(61)
    assert limit_now(play) == 6.0
    update(play, limit=12.0)
    assert limit_now(play) == 12.0


def test_a_dynamic_profile_is_pulled_at_its_interval() -> None:  # K28.FR.08, FR.10
    play = charging()
    put(play, 1, dynamic(interval_s=30))
    play.wait(29)
    assert ours_up(play, "PullDynamicScheduleUpdate") == []
    play.wait(2)
    (call,) = ours_up(play, "PullDynamicScheduleUpdate")
    assert call[3] == {"chargingProfileId": 7}
    play.csms(3, call[1], {"status": "Accepted", "scheduleUpdate": {"limit": 14.0}})
    assert wish(play).steps[0].limit_a == 14.0
    assert [order for order in play.outcomes if isinstance(order, Persist)]
    play.wait(29)
    assert ours_up(play, "PullDynamicScheduleUpdate") == []
    play.wait(2)
    assert len(ours_up(play, "PullDynamicScheduleUpdate")) == 1


@pytest.mark.parametrize("answer", [{"status": "Rejected"}, {"status": "Accepted", "scheduleUpdate": {"limit": -3.0}}, {"status": "Accepted"}])
def test_an_answer_without_good_values_changes_nothing_and_is_asked_for_again(answer: dict[str, Any]) -> None:
    play = charging()
    put(play, 1, dynamic(interval_s=30))
    play.wait(31)
    (call,) = ours_up(play, "PullDynamicScheduleUpdate")
    play.csms(3, call[1], answer)
    assert play.facts(UpstreamWished) == []
    play.wait(31)
    assert len(ours_up(play, "PullDynamicScheduleUpdate")) == 1


def test_a_csms_that_does_not_know_the_question_is_not_asked_again() -> None:
    play = charging()
    put(play, 1, dynamic(interval_s=10))
    play.wait(11)
    (call,) = ours_up(play, "PullDynamicScheduleUpdate")
    play.csms(4, call[1], "NotImplemented", "", {})
    play.wait(60)
    assert ours_up(play, "PullDynamicScheduleUpdate") == []


def test_an_absent_csms_is_not_asked_and_the_watchdog_ends_the_profile() -> None:  # K28.FR.13
    play = charging()
    put(play, 1, profile(1, 6.0))
    put(play, 1, dynamic(interval_s=30, duration_s=60, stack=3))
    play.close()
    play.wait(90)
    assert play.sent_up == []
    assert play.rows == {}
    play.open()
    play.wait(1)
    (call,) = ours_up(play, "PullDynamicScheduleUpdate")
    assert limit_now(play) == 6.0
    play.csms(3, call[1], {"status": "Accepted", "scheduleUpdate": {"limit": 11.0}})
    assert limit_now(play) == 11.0


def test_a_station_that_asks_about_a_profile_of_somebody_hears_no() -> None:  # K28.FR.12
    play = charging()
    put(play, 1, dynamic())
    play.station(2, "p", "PullDynamicScheduleUpdate", {"chargingProfileId": 7})
    assert play.sent_up == []
    assert play.down()[2]["status"] == "Rejected"
    check_response("PullDynamicScheduleUpdate", play.down()[2], "v21")


# -- the CSMS away (K01.FR.101-103) ---------------------------------------------------------------------------------------------


def test_a_profile_may_end_while_the_csms_is_away_and_come_back_with_it() -> None:
    play = charging()
    put(play, 1, profile(1, 6.0))
    put(play, 1, profile(2, 20.0, stack=1, maxOfflineDuration=300))
    put(play, 1, profile(3, 25.0, stack=2, maxOfflineDuration=120, invalidAfterOfflineDuration=True))
    play.close()
    assert [(round(step.start_wall_s - play.at.wall_s), step.limit_a) for step in wish(play).steps] == [(0, 25.0), (120, 20.0), (300, 6.0)]
    play.wait(200)
    play.open()
    assert [step.limit_a for step in wish(play).steps] == [20.0]
    assert ask(play, "ClearChargingProfile", {"chargingProfileId": 3})["status"] == "Unknown"


def test_a_restart_during_an_outage_does_not_begin_it_anew() -> None:
    play = charging()
    put(play, 1, profile(2, 20.0, maxOfflineDuration=300))
    play.close()
    play.wait(200)
    again = play.restarted()
    again.wait(1)
    assert round(wish(again).steps[1].start_wall_s - again.at.wall_s) == 300 - 206


# -- profiles that come with a start (K05) ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", VERSIONS)
def test_a_profile_in_a_remote_start_holds_for_its_transaction(version: str) -> None:
    play = booted(version)
    if version == "ocpp1.6":
        request = {"connectorId": 1, "idTag": "AABBCC", "chargingProfile": profile_16(5, 9.0, "TxProfile")}
        action, rest = "RemoteStartTransaction", {"connectorId": 1, "idTag": "AABBCC"}
    else:
        rest = {"evseId": 1, "idToken": TOKEN, "remoteStartId": 3}
        action, request = "RequestStartTransaction", {**rest, "chargingProfile": profile(5, 9.0, "TxProfile")}
    check_request(action, request, version)
    play.csms(2, "r", action, request)
    assert play.down()[3] == rest
    play.station(3, "r", {"status": "Accepted"})
    if version == "ocpp1.6":
        play.station(2, "start", "StartTransaction", start_16())
        play.csms(3, "start", {"transactionId": 17, "idTagInfo": {"status": "Accepted"}})
    else:
        play.station(2, "t", "TransactionEvent", event("Started", 0, transactionInfo={"transactionId": "tx-1", "remoteStartId": 3}))
    assert limit_now(play) == 9.0


def test_a_dynamic_profile_in_a_remote_start_can_be_updated() -> None:
    play = booted()
    play.csms(2, "r", "RequestStartTransaction", {"evseId": 1, "idToken": TOKEN, "remoteStartId": 3, "chargingProfile": dynamic(purpose="TxProfile")})
    play.station(3, "r", {"status": "Accepted"})
    play.station(2, "t", "TransactionEvent", event("Started", 0, transactionInfo={"transactionId": "tx-1", "remoteStartId": 3}))
    play.csms(3, "t", {})
    assert update(play, limit=12.0) == {"status": "Accepted"}
    assert limit_now(play) == 12.0


# -- limits the station tells of (K11-K13), what cars will take (K15-K17) -------------------------------------------------------------


@pytest.mark.parametrize("version", ["ocpp2.0.1", "ocpp2.1"])
def test_a_limit_of_the_station_passes_and_caps_the_wish_until_it_is_cleared(version: str) -> None:
    play = charging(version)
    put(play, 1, profile(1, 16.0))
    schedule = {"id": 1, "chargingRateUnit": "A", "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 10.0}]}
    told = {"chargingLimit": {"chargingLimitSource": "SO"}, "evseId": 1, "chargingSchedule": [schedule]}
    check_request("NotifyChargingLimit", told, version)
    text = json.dumps([2, "n", "NotifyChargingLimit", told])
    play.station(text)
    assert play.sent_up == [text]
    assert wish(play).steps[0].limit_a == 10.0
    play.csms(3, "n", {})
    assert limit_now(play) == 10.0
    assert ask(play, "ClearChargingProfile", {"chargingProfileCriteria": {"evseId": 1}})["status"] == "Accepted"
    assert limit_now(play) == 10.0
    play.station(2, "c", "ClearedChargingLimit", {"chargingLimitSource": "SO", "evseId": 1})
    assert wish(play).steps[0].limit_a is None


ONE_AMP = [{"id": 1, "chargingRateUnit": "A", "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 1}]}]


@pytest.mark.parametrize(
    "told",
    [
        {"chargingLimit": {"chargingLimitSource": "SO"}, "evseId": 1},  # names no limit
        {"chargingLimit": {"chargingLimitSource": "CSO"}, "chargingSchedule": ONE_AMP},  # the CSMS's own, come back
        {"chargingLimit": "SO", "chargingSchedule": "all"},
        {"chargingLimit": {"chargingLimitSource": "EMS"}, "chargingSchedule": [{"chargingRateUnit": "A", "chargingSchedulePeriod": [{}]}]},
        {"chargingLimit": {"chargingLimitSource": "EMS", "isLocalGeneration": True}, "chargingSchedule": ONE_AMP},  # K27: adds, limits nothing
    ],
)
def test_what_names_no_limit_of_others_limits_nothing(told: dict[str, Any]) -> None:
    play = charging()
    play.station(2, "n", "NotifyChargingLimit", told)
    assert play.facts(UpstreamWished) == []
    assert len(play.sent_up) == 1


def schedule_of_a_car(unit: str = "A", limit: float = 7.0, **more: Any) -> dict[str, Any]:
    periods = [{"startPeriod": 0, "limit": limit, "numberPhases": 3}, {"startPeriod": 600, "limit": 0.0}]
    schedule = {"id": 1, "startSchedule": "2026-09-21T14:30:00Z", "chargingRateUnit": unit, "chargingSchedulePeriod": periods, "duration": 1200}
    return {"timeBase": "2026-09-21T14:30:00Z", "evseId": 1, "chargingSchedule": schedule | more}


@pytest.mark.parametrize("version", ["ocpp2.0.1", "ocpp2.1"])
def test_what_a_car_will_take_is_told_and_lowers_the_composite(version: str) -> None:  # K15.FR.11, SC.04
    play = charging(version)
    put(play, 1, profile(1, 16.0))
    start = {"startSchedule": timestamp(play.at.wall_s)}
    told = schedule_of_a_car("W", 4830.0, **start)  # 4830 W over 3 x 230 V = 7 A
    check_request("NotifyEVChargingSchedule", told, version)
    play.station(2, "s", "NotifyEVChargingSchedule", told)
    assert len(play.sent_up) == 1
    (fact,) = play.facts(ScheduleAnnounced)
    assert fact.evse == EvseKey("CP1", 1)
    assert [(round(step.start_wall_s - play.at.wall_s), step.limit_a) for step in fact.steps] == [(0, 7.0), (600, 0.0), (1200, None)]
    play.csms(3, "s", {"status": "Accepted"})
    assert limit_now(play) == 7.0
    play.station(2, "e", "TransactionEvent", event("Ended", 1))
    assert [fact.steps for fact in play.facts(ScheduleAnnounced)] == [()]


@pytest.mark.parametrize(
    "odd",
    [
        {"chargingRateUnit": "VA"},
        {"chargingSchedulePeriod": "none"},
        {"chargingSchedulePeriod": []},
        {"chargingSchedulePeriod": [{"startPeriod": 60, "limit": 7.0}, {"startPeriod": 0, "limit": 7.0}]},
        {"chargingSchedulePeriod": [{"startPeriod": 0}]},
    ],
)
def test_a_schedule_that_cannot_be_read_says_nothing(odd: dict[str, Any]) -> None:
    play = charging()
    play.station(2, "s", "NotifyEVChargingSchedule", schedule_of_a_car(**odd))
    assert play.facts(ScheduleAnnounced) == []
    assert len(play.sent_up) == 1


# -- ISO 15118 while the CSMS is away (trap 22) ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("version", "status"), [("ocpp2.0.1", "Accepted"), ("ocpp2.1", "NoChargingProfile")])
def test_needs_are_never_answered_so_that_a_session_ends(version: str, status: str) -> None:
    play = charging(version)
    play.close()
    needs = {"evseId": 1, "chargingNeeds": {"requestedEnergyTransfer": "AC_three_phase"}}
    play.station(2, "n", "NotifyEVChargingNeeds", needs)
    assert play.down()[2] == {"status": status}
    check_response("NotifyEVChargingNeeds", play.down()[2], version)


@pytest.mark.parametrize("version", ["ocpp2.0.1", "ocpp2.1"])
def test_a_no_of_the_csms_itself_passes(version: str) -> None:
    play = charging(version)
    play.station(2, "n", "NotifyEVChargingNeeds", {"evseId": 1, "chargingNeeds": {"requestedEnergyTransfer": "DC"}})
    text = json.dumps([3, "n", {"status": "Rejected"}])
    play.csms(text)
    assert [order.text for order in play.outcomes if isinstance(order, SendStation)] == [text]


def test_a_station_that_asks_about_a_dynamic_profile_of_ours_hears_its_value() -> None:  # K28.FR.08
    play = charging()
    strategy = Strategy(dynamic=True)
    play.carry(Inject(EvseKey("CP1", 1), 1, 9.0, 3, 120.0, "fuse", strategy=strategy))
    while play.sent_down:
        frame = json.loads(play.sent_down[0])
        ours = frame if frame[2] == "SetChargingProfile" else None
        play.station(3, frame[1], {"status": "Accepted"})
    assert ours is not None
    question = {"chargingProfileId": ours[3]["chargingProfile"]["id"]}
    play.station(2, "p", "PullDynamicScheduleUpdate", question)
    assert play.down()[2] == {"status": "Accepted", "scheduleUpdate": {"limit": 9.0}}
    play.wait(200)
    play.station(2, "q", "PullDynamicScheduleUpdate", question)
    assert [json.loads(text)[2]["status"] for text in play.sent_down if json.loads(text)[0] == 3] == ["Rejected"]
