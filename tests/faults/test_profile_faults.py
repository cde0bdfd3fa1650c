"""Bad profiles (B20-B27) and absurd ones (F24, F25) at the link, in every version, by number; nothing of them reaches the station.

Each bad profile must leave the one in force as it was, and tell its sender why where the version has words for it. The reason
codes are those of the appendix of 2.x.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from controller.facts import EvseKey, UpstreamWished
from controller.orders import AnnounceLimit
from tests.support.playbook import config
from tests.support.schemas import check_request, check_response
from tests.support.talk import SCHEMAS, V16, V21, V201, VERSIONS, Talk

every_version = pytest.mark.parametrize("version", VERSIONS)
two_x = pytest.mark.parametrize("version", [V201, V21])
Spoil = Callable[[dict[str, Any]], None]


def charging(version: str, **upstream: Any) -> Talk:
    return Talk(config(**upstream), version=version).charging()


def parts(payload: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """(profile, schedule, first period) of a SetChargingProfile of any version."""
    profile = payload.get("chargingProfile", payload.get("csChargingProfiles"))
    assert isinstance(profile, dict)
    schedule = profile["chargingSchedule"]
    schedule = schedule[0] if isinstance(schedule, list) else schedule
    return profile, schedule, schedule["chargingSchedulePeriod"][0]


def composite_a(play: Talk) -> float:
    play.csms(2, "g", "GetCompositeSchedule", {"connectorId" if play.version == V16 else "evseId": 1, "duration": 60, "chargingRateUnit": "A"})
    schedule = play.up()[2]["chargingSchedule" if play.version == V16 else "schedule"]
    found: float = schedule["chargingSchedulePeriod"][0]["limit"]
    return found


def refused(version: str, spoil: Spoil, reason: str = "", **more: Any) -> None:
    """With 9 A in force, the spoilt profile is Rejected, with this reason in 2.x, and 9 A stay in force."""
    play = charging(version)
    play.csms(2, "good", "SetChargingProfile", play.set_profile(1, 9.0))
    payload = play.set_profile(2, 16.0, stack=1, **more)
    spoil(payload)
    play.csms(2, "bad", "SetChargingProfile", payload)
    assert play.sent_down == []
    assert play.facts(UpstreamWished) == []
    answer = play.up()[2]
    check_response("SetChargingProfile", answer, SCHEMAS[version])
    assert answer["status"] == "Rejected"
    if version != V16 and reason:
        assert answer["statusInfo"]["reasonCode"] == reason
    assert composite_a(play) == 9.0


def in_period(**values: Any) -> Spoil:
    return lambda payload: parts(payload)[2].update(values)


def in_schedule(**values: Any) -> Spoil:
    return lambda payload: parts(payload)[1].update(values)


def in_profile(**values: Any) -> Spoil:
    return lambda payload: parts(payload)[0].update(values)


@every_version
@pytest.mark.parametrize("starts", [[0, 60, 30], [0, 0], [30, 60], [-1, 0], []])
def test_b20_periods_out_of_order(version: str, starts: list[int]) -> None:  # K01.FR.31/35
    refused(version, in_schedule(chargingSchedulePeriod=[{"startPeriod": start, "limit": 16.0} for start in starts]), "InvalidSchedule")


@every_version
@pytest.mark.parametrize("limit", [-1, -0.1, 1e10, "16", None, True, [16]])
def test_b21_limits_that_cannot_be(version: str, limit: Any) -> None:
    refused(version, in_period(limit=limit), "InvalidSchedule")


@every_version
@pytest.mark.parametrize("unit", ["kW", "a", "", None, 5])
def test_b21_units_that_nobody_knows(version: str, unit: Any) -> None:  # K01.FR.26
    refused(version, in_schedule(chargingRateUnit=unit), "UnsupportedRateUnit")


@every_version
@pytest.mark.parametrize("phases", [0, 4, -3, 2.5, "3"])
def test_b22_numbers_of_phases_that_cannot_be(version: str, phases: Any) -> None:
    refused(version, in_period(numberPhases=phases))


@two_x
@pytest.mark.parametrize("values", [{"numberPhases": 3, "phaseToUse": 1}, {"phaseToUse": 2}, {"numberPhases": 1, "phaseToUse": 4}])
def test_b22_a_phase_to_use_that_cannot_be(version: str, values: dict[str, Any]) -> None:  # K01.FR.19
    refused(version, in_period(**values))


@every_version
@pytest.mark.parametrize("duration", [0, -60, "an hour", True])
def test_b23_durations_that_cannot_be(version: str, duration: Any) -> None:
    refused(version, in_schedule(duration=duration), "InvalidSchedule")


@two_x
@pytest.mark.parametrize("start", [None, "soon", "0000-00-00T00:00:00Z", 5])
def test_b24_an_absolute_schedule_without_a_start_that_can_be_read(version: str, start: Any) -> None:  # K01.FR.40
    def spoil(payload: dict[str, Any]) -> None:
        parts(payload)[0]["chargingProfileKind"] = "Absolute"
        parts(payload)[1].update({} if start is None else {"startSchedule": start})

    refused(version, spoil)


@every_version
def test_b24_a_start_long_ago_or_far_away_is_obeyed_as_it_is(version: str) -> None:
    """Neither is wrong: what began in 1971 holds on, what begins in 2099 says nothing yet."""
    for start, limit in (("1971-01-01T00:00:00Z", 9.0), ("2099-01-01T00:00:00Z", 999_999.0)):
        play = charging(version)
        payload = play.set_profile(1, 9.0)
        parts(payload)[0]["chargingProfileKind"] = "Absolute"
        parts(payload)[1]["startSchedule"] = start
        play.csms(2, "p", "SetChargingProfile", payload)
        assert play.up()[2]["status"] == "Accepted"
        assert composite_a(play) == limit


@every_version
@pytest.mark.parametrize("stack", [-1, 10**9, 1.5, "1", None])
def test_b25_stack_levels_that_cannot_be(version: str, stack: Any) -> None:
    refused(version, in_profile(stackLevel=stack), "InvalidStackLevel")


@every_version
@pytest.mark.parametrize("number", [2**40, "7", None, 0.5])
def test_b25_profile_ids_that_cannot_be(version: str, number: Any) -> None:
    refused(version, in_profile(**{"chargingProfileId" if version == V16 else "id": number}))


@every_version
def test_b25_an_id_of_our_own_range_harms_nobody(version: str) -> None:
    """The CSMS's profiles never meet ours at the station."""
    play = charging(version)
    play.csms(2, "p", "SetChargingProfile", play.set_profile(900_000_003, 9.0))
    assert play.up()[2]["status"] == "Accepted"
    play.inject(8.0)
    assert composite_a(play) <= 9.0


@every_version
def test_b26_a_tx_profile_of_another_transaction(version: str) -> None:  # K01.FR.33
    refused(version, lambda payload: None, "TxNotFound", purpose="TxProfile", transactionId=99 if version == V16 else "somebody-s")


@two_x
def test_b26_a_tx_profile_without_transaction(version: str) -> None:  # K01.FR.03
    refused(version, lambda payload: None, "MissingParam", purpose="TxProfile")


@every_version
@pytest.mark.parametrize("evse_id", [9, -1, 2**40, "1", None])
def test_b27_places_that_do_not_exist(version: str, evse_id: Any) -> None:
    refused(version, lambda payload: payload.update({"connectorId" if version == V16 else "evseId": evse_id}))


@every_version
def test_b27_purposes_at_the_wrong_place(version: str) -> None:  # K01.FR.16, K04.FR.03
    place = "connectorId" if version == V16 else "evseId"
    transaction: Any = charging(version).transaction
    refused(version, lambda payload: payload.update({place: 0}), purpose="TxProfile", transactionId=transaction)
    maximum = "ChargePointMaxProfile" if version == V16 else "ChargingStationMaxProfile"
    refused(version, lambda payload: None, purpose=maximum)


@every_version
@pytest.mark.parametrize("purpose", ["ChargingStationExternalConstraints", "Everything", None, 5])
def test_b27_purposes_that_are_not_the_csms_s(version: str, purpose: Any) -> None:  # K01.FR.22
    refused(version, in_profile(chargingProfilePurpose=purpose))


# -- absurd ones -----------------------------------------------------------------------------------------------


def test_f24_a_flood_of_updates_costs_nothing_and_the_last_one_holds() -> None:
    play = charging(V21)
    play.csms(2, "p", "SetChargingProfile", play.set_profile(1, 16.0, chargingProfileKind="Dynamic"))
    assert play.up()[2]["status"] == "Accepted"
    for number in range(1000):
        limit = number % 32 if number % 3 else 1e12  # a third of them absurd
        play.csms(2, f"u-{number}", "UpdateDynamicSchedule", {"chargingProfileId": 1, "scheduleUpdate": {"limit": limit}})
        assert play.up()[2]["status"] == ("Accepted" if number % 3 else "Rejected")
        assert play.sent_down == []
    assert composite_a(play) == 998 % 32
    assert len(play.memories[("profiles", "CP1")]["profiles"]) == 1


@every_version
def test_f24_huge_endless_and_far_stacked_profiles_are_limits_and_no_commands(version: str) -> None:
    play = charging(version)
    for number, (limit, stack) in enumerate(((1e9, 65_535), (999_999.0, 5), (6.0, 0)), start=1):
        play.csms(2, f"p-{number}", "SetChargingProfile", play.set_profile(number, limit, stack=stack))
        assert play.up()[2]["status"] == "Accepted"
        assert play.sent_down == []
    play.station(3, play.inject(8.0)[1], {"status": "Accepted"})
    assert composite_a(play) == 8.0, "what the site commands is what flows, whatever the CSMS allows"


@two_x
def test_f25_the_csms_is_told_that_less_flows_than_it_allows(version: str) -> None:  # K14.FR.02
    play = charging(version, notify_schedules=True)
    play.csms(2, "p", "SetChargingProfile", play.set_profile(1, 500.0))
    assert play.up()[2]["status"] == "Accepted"
    play.carry(AnnounceLimit(EvseKey("CP1", 1), 12.0, "EMS", "main fuse"))
    (call,) = [json.loads(text) for text in play.sent_up]
    check_request("NotifyChargingLimit", call[3], SCHEMAS[version])
    assert call[3]["chargingSchedule"][0]["chargingSchedulePeriod"][0]["limit"] == 12.0


@two_x
def test_trap_15_a_default_for_all_and_one_for_an_evse_at_one_stack_level(version: str) -> None:  # K01.FR.52/53
    play = charging(version)
    play.csms(2, "all", "SetChargingProfile", play.set_profile(1, 16.0) | {"evseId": 0})
    play.csms(2, "one", "SetChargingProfile", play.set_profile(2, 8.0))
    assert play.up()[2]["statusInfo"]["reasonCode"] == "DuplicateProfile"
    assert composite_a(play) == 16.0


def test_trap_20_a_limit_that_trembles_all_day_is_told_now_and_then() -> None:
    play = charging(V21, limit_significance_percent=0)
    told = 0
    for second in range(600):
        play.carry(AnnounceLimit(EvseKey("CP1", 1), 10.0 + second % 7, "EMS", "main fuse"))
        told += _answered(play)
        play.wait(1)
        told += _answered(play)
    assert 10 <= told <= 61, "once in ten seconds at most"


def test_trap_21_a_grid_limit_that_ends_is_cleared_once_whatever_happens_meanwhile() -> None:
    play = charging(V21)
    play.carry(AnnounceLimit(EvseKey("CP1", 1), 6.0, "SO", "grid operator", critical=True))
    assert _answered(play) == 1
    play.close()
    play.carry(AnnounceLimit(EvseKey("CP1", 1), None, "SO", "grid operator"))
    play.wait(120)
    play.comes_back()
    cleared = 0
    for _ in range(300):
        play.wait(1)
        cleared += sum("ClearedChargingLimit" in text for text in play.sent_up)
        _answered(play)
    assert cleared == 1


def _answered(play: Talk) -> int:
    """Answer what the CSMS was told in the last step; how much that was."""
    frames = [json.loads(text) for text in play.sent_up]
    calls = [frame for frame in frames if frame[0] == 2]
    for frame in calls:
        play.csms(3, frame[1], {})
    return len(calls)
