"""What a cold reader found of the CSMS's profiles: each transcript was a defect once, named in one line."""

from __future__ import annotations

import json
from typing import Any

import pytest

from controller.facts import EvseKey, PersistFailed, Restored, SetpointAnswered, Stamp, TimePassed, UpstreamWished
from controller.ocpp.times import timestamp
from controller.orders import Inject, InstallFloor, Persist, Strategy
from tests.support.playbook import START_WALL_S, config
from tests.support.schemas import check_request, check_response
from tests.support.talk import V16, V21, V201, VERSIONS, Talk

EVSE = EvseKey("CP1", 1)
every_version = pytest.mark.parametrize("version", VERSIONS)
two_x = pytest.mark.parametrize("version", [V201, V21])


def charging(version: str = V21, evses: int = 1, overlay: bool = False, **more: Any) -> Talk:
    return Talk(config(evses=evses, **more), version=version, overlay=overlay).charging()


def ask(play: Talk, action: str, payload: dict[str, Any]) -> dict[str, Any]:
    """A CALL of the CSMS that is answered here."""
    play.csms(2, f"q-{action}", action, payload)
    assert play.sent_down == []
    (answer,) = [frame for frame in map(json.loads, play.sent_up) if frame[:2] == [3, f"q-{action}"]]
    check_response(action, answer[2], play.version)
    found: dict[str, Any] = answer[2]
    return found


def composite(play: Talk, evse_id: int = 1, unit: str = "A", seconds: int = 60) -> list[dict[str, Any]]:
    where = "connectorId" if play.is_16 else "evseId"
    answer = ask(play, "GetCompositeSchedule", {where: evse_id, "duration": seconds, "chargingRateUnit": unit})
    assert answer["status"] == "Accepted"
    periods: list[dict[str, Any]] = answer["chargingSchedule" if play.is_16 else "schedule"]["chargingSchedulePeriod"]
    return periods


def wished(play: Talk, evse_id: int = 1) -> list[float | None]:
    return [fact.steps[0].limit_a for fact in play.facts(UpstreamWished) if fact.evse.evse_id == evse_id]


def clear_id(play: Talk, profile_id: int) -> dict[str, Any]:
    return {"id" if play.is_16 else "chargingProfileId": profile_id}


def station_max(version: str, limit: Any, stack: int = 0, **more: Any) -> dict[str, Any]:
    """A maximum of the CSMS for the whole station."""
    schedule = {"chargingRateUnit": "A", "startSchedule": "2026-01-01T00:00:00Z", "chargingSchedulePeriod": [{"startPeriod": 0, "limit": limit}]}
    profile = {"stackLevel": stack, "chargingProfileKind": "Absolute", **more}
    if version == V16:
        profile |= {"chargingProfileId": 7, "chargingProfilePurpose": "ChargePointMaxProfile", "chargingSchedule": schedule}
        return {"connectorId": 0, "csChargingProfiles": profile}
    profile |= {"id": 7, "chargingSchedule": [{"id": 1, **schedule}]}
    return {"evseId": 0, "chargingProfile": {"chargingProfilePurpose": "ChargingStationMaxProfile", **profile}}


# -- the disk refuses ---------------------------------------------------------------------------------------


@every_version
def test_what_the_disk_refused_is_taken_back_from_the_site_too(version: str) -> None:
    """A Clear was on its way to the disk when the wish was told anew; then the disk said no: the limit is back, and so must the wish be."""
    play = charging(version)
    play.csms(2, "set", "SetChargingProfile", play.set_profile(5, 9.0))
    assert wished(play) == [9.0]
    play.disk = None
    play.csms(2, "clear", "ClearChargingProfile", clear_id(play, 5))
    (order,) = play.unwritten
    play.wait(901)
    assert wished(play) == [None]
    play.feed(PersistFailed(play.at, order.token, "disk full"))
    assert play.up()[0] == 4
    assert wished(play) == [9.0]


@two_x
def test_a_profile_of_a_transaction_that_ended_meanwhile_does_not_come_back(version: str) -> None:
    play = charging(version)
    play.csms(2, "a", "SetChargingProfile", play.set_profile(4, 9.0, purpose="TxProfile", transactionId="tx-1"))
    play.disk = None
    play.csms(2, "b", "SetChargingProfile", play.set_profile(4, 12.0, purpose="TxProfile", transactionId="tx-1"))
    (order,) = [one for one in play.unwritten if ("profiles", "CP1") in one.remember]
    play.disk = True
    play.finish()
    play.feed(PersistFailed(play.at, order.token, "disk full"))
    assert len(play.links.sessions["CP1"].profiles.view) == 0


# -- what has ended by itself --------------------------------------------------------------------------------


@two_x
def test_a_profile_past_its_end_is_no_duplicate(version: str) -> None:
    """K01.FR.06 forbids what overlaps; past its validTo a profile is not there any more (K01.FR.37), looked at or not."""
    play = charging(version)
    ask(play, "SetChargingProfile", play.set_profile(5, 9.0, validTo=timestamp(play.at.wall_s + 60)))
    assert ask(play, "SetChargingProfile", play.set_profile(6, 12.0))["statusInfo"]["reasonCode"] == "DuplicateProfile"
    play.wait(61)
    assert ask(play, "SetChargingProfile", play.set_profile(6, 12.0))["status"] == "Accepted"
    assert composite(play)[0]["limit"] <= 12.0


# -- clocks ----------------------------------------------------------------------------------------------------


@every_version
def test_without_the_time_no_profile_is_thrown_away(version: str) -> None:
    """A clock that may be decades off must not decide that a limit is over for good (F78)."""
    play = charging(version)
    ask(play, "SetChargingProfile", play.set_profile(5, 9.0, validTo=timestamp(play.at.wall_s + 86_400)))
    lost = Stamp(play.mono_s, play.at.wall_s + 10 * 366 * 86_400.0, 1.0, False)
    session = play.links.sessions["CP1"]
    session.profiles.upstream_is(lost, False, session.transactions)
    session.profiles.upstream_is(lost, True, session.transactions)
    payload = play.set_profile(6, 12.0, stack=3)
    frame = json.dumps([2, "x", "SetChargingProfile", payload])
    session.csms_frame(lost, play.upstream_generation, frame)
    assert sorted(profile.profile_id for _, profile in (session.profiles.view.find(5), session.profiles.view.find(6)) if profile) == [5, 6]


def moved(play: Talk, seconds: float) -> Stamp:
    """The next second, by a wall clock that was set meanwhile."""
    play.mono_s += 1.0
    return Stamp(play.mono_s, START_WALL_S + play.mono_s + seconds)


def test_the_watchdog_of_a_dynamic_profile_does_not_run_out_by_a_clock_that_was_set() -> None:
    """K28.FR.13: so long after its last update, by any clock (F77)."""
    play = charging()
    payload = play.set_profile(5, 9.0, chargingProfileKind="Dynamic", purpose="TxProfile", transactionId="tx-1")
    payload["chargingProfile"]["chargingSchedule"][0]["duration"] = 300
    ask(play, "SetChargingProfile", payload)
    play.wait(60)
    play.feed(TimePassed(moved(play, 3600.0)))
    assert wished(play) in ([], [9.0])
    (profile,) = [profile for _, profile in [play.links.sessions["CP1"].profiles.view.find(5) or (0, None)]]
    assert profile is not None
    assert profile.updated_wall_s == pytest.approx(START_WALL_S + play.mono_s + 3600.0 - 61.0, abs=1.0)
    assert play.memories[("profiles", "CP1")]["profiles"][0]["profile"]["updated_wall_s"] == profile.updated_wall_s


def test_a_csms_that_is_away_is_not_away_longer_because_the_clock_was_set() -> None:
    """K01.FR.101: maxOfflineDuration is a span, not a date (F77)."""
    play = charging()
    ask(play, "SetChargingProfile", play.set_profile(5, 9.0, maxOfflineDuration=600, invalidAfterOfflineDuration=True))
    play.close()
    play.wait(60)
    play.feed(TimePassed(moved(play, 3600.0)))
    session = play.links.sessions["CP1"]
    assert session.profiles.view.find(5) is not None
    assert session.profiles.truth.away_since_wall_s == pytest.approx(START_WALL_S + play.mono_s + 3600.0 - 61.0, abs=1.0)


# -- restarts ---------------------------------------------------------------------------------------------------


@every_version
def test_damaged_transactions_do_not_cost_the_profiles(version: str) -> None:
    play = charging(version)
    ask(play, "SetChargingProfile", play.set_profile(5, 9.0))
    memories = {**play.memories, ("link", "CP1"): {"version": version, "transactions": [1, 2]}}
    other = Talk(play.config, seed="later", version=version)
    other.feed(Restored(other.at, memories, {}))
    assert any("cannot be read" in text for text in other.told())
    other.wait(1)
    assert wished(other) == [9.0]


@every_version
def test_killed_between_set_and_its_answer_either_nothing_or_all_of_it_is_there(version: str) -> None:
    for written in (False, True):
        play = charging(version)
        ask(play, "SetChargingProfile", play.set_profile(5, 9.0))
        play.disk = None
        play.csms(2, "set", "SetChargingProfile", play.set_profile(5, 12.0))
        assert play.sent_up == []
        (order,) = [one for one in play.unwritten if isinstance(one, Persist)]
        if written:
            play.write(order)
        after = play.restarted()
        after.wait(1)
        assert wished(after) == [12.0 if written else 9.0]  # type: ignore[arg-type]


# -- the whole station in watts -----------------------------------------------------------------------------------


@every_version
def test_the_composite_of_a_one_phase_station_counts_one_phase(version: str) -> None:
    """K08: EVSE 0 is what the station draws from the grid: 10 A x 230 V on its one phase, not on three."""
    site = config()
    evse = site.stations[0].evses[0].model_copy(update={"phases": ("L2",)})
    site = site.model_copy(update={"stations": (site.stations[0].model_copy(update={"evses": (evse,)}),)})
    play = Talk(site, version=version).charging()
    ask(play, "SetChargingProfile", play.set_profile(5, 10.0))
    assert composite(play, 1, "W")[0]["limit"] == 2300.0
    assert composite(play, 0, "W")[0]["limit"] == 2300.0
    assert composite(play, 0, "A")[0]["limit"] == 10.0


@two_x
def test_the_composite_of_two_one_phase_evses_counts_what_each_can_draw(version: str) -> None:
    """10 A and 10 A on a phase each are 4600 W; a maximum of 3680 W for the station is one of 3680 W."""
    site = config(evses=2)
    evses = tuple(evse.model_copy(update={"phases": (phase,)}) for evse, phase in zip(site.stations[0].evses, ("L1", "L2"), strict=True))
    site = site.model_copy(update={"stations": (site.stations[0].model_copy(update={"evses": evses}),)})
    play = Talk(site, version=version).charging()
    ask(play, "SetChargingProfile", {**play.set_profile(5, 10.0), "evseId": 0})
    assert composite(play, 0, "W")[0]["limit"] == 4600.0
    payload = station_max(version, 3680.0)
    payload["chargingProfile"]["chargingSchedule"][0]["chargingRateUnit"] = "W"
    ask(play, "SetChargingProfile", payload)
    assert composite(play, 0, "W")[0]["limit"] == 3680.0


# -- overlay: ours is the station's maximum, and nothing else --------------------------------------------------------


@every_version
@pytest.mark.parametrize("spoilt", [{"limit": -1}, {"limit": "32"}, {"stack": 900_000}])
def test_a_maximum_that_cannot_be_read_does_not_pass_above_ours(version: str, spoilt: dict[str, Any]) -> None:
    """A station may read what we cannot, and at a higher stack level it would lift our maximum (F25)."""
    play = charging(version, overlay=True)
    answer = ask(play, "SetChargingProfile", station_max(version, spoilt.get("limit", 32.0), spoilt.get("stack", 9)))
    assert answer["status"] == "Rejected"


@every_version
def test_nor_does_one_in_a_remote_start(version: str) -> None:  # K05, 16 5.11: only a TxProfile may come so
    play = charging(version, overlay=True)
    payload = station_max(version, 32.0, 9)
    if version == V16:
        action, start = "RemoteStartTransaction", {"idTag": "AABBCC", "connectorId": 1, "chargingProfile": payload["csChargingProfiles"]}
    else:
        token = {"idToken": "AABBCC", "type": "ISO14443"}
        action = "RequestStartTransaction"
        start = {"idToken": token, "remoteStartId": 1, "evseId": 1, "chargingProfile": payload["chargingProfile"]}
    assert ask(play, action, start)["status"] == "Rejected"


def test_local_generation_does_not_pass_it_would_add_to_our_maximum() -> None:
    """SC.01: what is generated comes on top of the lowest limit; how much that is here, the site knows (K27)."""
    play = charging(overlay=True)
    payload = {**play.set_profile(5, 100.0, purpose="LocalGeneration"), "evseId": 0}
    payload["chargingProfile"]["chargingProfileKind"] = "Absolute"
    payload["chargingProfile"]["chargingSchedule"][0]["startSchedule"] = "2026-01-01T00:00:00Z"
    assert ask(play, "SetChargingProfile", payload)["status"] == "Accepted"
    assert [profile.profile_id for _, profile in [play.links.sessions["CP1"].profiles.view.find(5) or (0, None)] if profile] == [5]
    assert ask(play, "UpdateDynamicSchedule", {"chargingProfileId": 5, "scheduleUpdate": {"limit": 50.0}})["status"] == "Rejected"


@two_x
def test_a_clear_that_names_nothing_does_not_pass(version: str) -> None:
    """K10 wants an id or criteria; a lenient station would clear all, our maximum too."""
    play = charging(version, overlay=True)
    assert ask(play, "ClearChargingProfile", {})["status"] == "Unknown"


@every_version
@pytest.mark.parametrize("purpose", ["tx", "tx_default"])
def test_in_overlay_mode_nothing_but_the_maximum_is_written_and_nothing_of_the_csms_cleared(version: str, purpose: str) -> None:
    play = charging(version, overlay=True)
    for order in (
        Inject(EVSE, 1, 10.0, 3, 120.0, "plan", strategy=Strategy(purpose=purpose)),
        InstallFloor(EVSE, 2, 6.0, 3, Strategy(purpose=purpose)),
    ):
        play.carry(order)
        assert play.sent_down == []
        (answer,) = play.facts(SetpointAnswered)
        assert (answer.accepted, answer.lost) == (False, False)
        assert "overlay" in answer.reason


@every_version
def test_in_overlay_mode_only_maxima_are_cleared_when_the_station_says_duplicate(version: str) -> None:
    play = charging(version, overlay=True)
    play.carry(InstallFloor(EVSE, 1, 6.0, 3, Strategy(purpose="station_max", stack_level=0)))
    call = play.down()
    answer = {"status": "Rejected"} if version == V16 else {"status": "Rejected", "statusInfo": {"reasonCode": "DuplicateProfile"}}
    play.station(3, call[1], answer)
    play.carry(InstallFloor(EVSE, 2, 6.0, 3, Strategy(purpose="station_max", stack_level=0)))
    seen: list[Any] = []
    for _ in range(8):
        sent = [frame for frame in map(json.loads, play.sent_down) if frame[0] == 2]
        seen += sent
        for frame in sent:
            play.station(3, frame[1], {"status": "Unknown" if frame[2] == "ClearChargingProfile" else "Accepted"})
    cleared = [frame[3] for frame in seen if frame[2] == "ClearChargingProfile"]
    words = {(one.get("chargingProfileCriteria") or one)["chargingProfilePurpose"] for one in cleared}
    assert words <= {"ChargePointMaxProfile", "ChargingStationMaxProfile", "LocalGeneration"}


# -- what a car said of its phases ------------------------------------------------------------------------------------


def needs(play: Talk, mode: str, **parameters: Any) -> None:
    """NotifyEVChargingNeeds of the car at EVSE 1, and the CSMS's answer."""
    payload = {"evseId": 1, "chargingNeeds": {"requestedEnergyTransfer": mode, **parameters}}
    check_request("NotifyEVChargingNeeds", payload, play.version)
    play.station(2, "needs", "NotifyEVChargingNeeds", payload)
    play.csms(3, "needs", {"status": "Accepted"})


def in_tx(play: Talk, **period: Any) -> dict[str, Any]:
    payload = play.set_profile(5, 9.0, purpose="TxProfile", transactionId="tx-1")
    payload["chargingProfile"]["chargingSchedule"][0]["chargingSchedulePeriod"][0].update(period)
    return payload


def test_limits_of_single_phases_are_for_cars_that_told_theirs() -> None:
    """K01.FR.142/144, V2X.10: with values of L2 in the car's needs, not without; after a restart as before; the next car tells anew."""
    play = charging()
    split = in_tx(play, limit_L2=8.0, limit_L3=7.0)
    assert ask(play, "SetChargingProfile", split)["statusInfo"]["reasonCode"] == "PhaseConflict"
    needs(play, "AC_BPT", v2xChargingParameters={"maxChargePower": 3000, "maxChargePower_L2": 3000, "maxChargePower_L3": 3000})
    assert ask(play, "SetChargingProfile", split)["status"] == "Accepted"
    after = play.restarted()
    after.connect()
    assert ask(after, "SetChargingProfile", split)["status"] == "Accepted"
    after.finish()
    after.transaction = "tx-2"
    after.begin("again")
    other = in_tx(after, limit_L2=8.0)
    other["chargingProfile"]["transactionId"] = "tx-2"
    assert ask(after, "SetChargingProfile", other)["statusInfo"]["reasonCode"] == "PhaseConflict"


def test_an_update_cannot_bring_them_in_either() -> None:
    play = charging()
    dynamic = in_tx(play)
    dynamic["chargingProfile"]["chargingProfileKind"] = "Dynamic"
    ask(play, "SetChargingProfile", dynamic)
    update = {"chargingProfileId": 5, "scheduleUpdate": {"limit": 9.0, "limit_L2": 8.0}}
    assert ask(play, "UpdateDynamicSchedule", update)["statusInfo"]["reasonCode"] == "PhaseConflict"


@two_x
def test_a_dc_car_has_no_phases(version: str) -> None:
    """K01.FR.44/54: NoPhaseForDC, unless the EVSE controls the phases of its input."""
    play = charging(version)
    assert ask(play, "SetChargingProfile", in_tx(play, numberPhases=3))["status"] == "Accepted"
    needs(play, "DC", dcChargingParameters={"evMaxCurrent": 200, "evMaxVoltage": 500})
    assert ask(play, "SetChargingProfile", in_tx(play, numberPhases=3))["statusInfo"]["reasonCode"] == "NoPhaseForDC"
    assert ask(play, "SetChargingProfile", in_tx(play))["status"] == "Accepted"
    play.csms(2, "get", "GetVariables", {"getVariableData": [DC_INPUT]})
    answer = {**DC_INPUT, "attributeStatus": "Accepted", "attributeValue": "true"}
    play.station(3, "get", {"getVariableResult": [answer]})
    assert ask(play, "SetChargingProfile", in_tx(play, numberPhases=3))["status"] == "Accepted"


@two_x
def test_an_evse_that_refused_our_phases_refuses_the_csms_s(version: str) -> None:
    play = charging(version)
    call = play.inject()
    play.station(3, call[1], {"status": "Rejected", "statusInfo": {"reasonCode": "NoPhaseForDC"}})
    assert ask(play, "SetChargingProfile", in_tx(play, numberPhases=1))["statusInfo"]["reasonCode"] == "NoPhaseForDC"


DC_INPUT = {"component": {"name": "EVSE", "evse": {"id": 1}}, "variable": {"name": "DCInputPhaseControl"}}


def test_in_overlay_mode_values_for_a_maximum_that_stays_here_stay_here_and_are_pulled() -> None:
    """K28: the station has never seen this profile; K28.FR.10: so we ask for its values."""
    play = charging(overlay=True)
    payload = station_max(V21, 20.0, chargingProfileKind="Dynamic", dynUpdateInterval=10)
    del payload["chargingProfile"]["chargingSchedule"][0]["startSchedule"]
    assert ask(play, "SetChargingProfile", payload)["status"] == "Accepted"
    assert ask(play, "UpdateDynamicSchedule", {"chargingProfileId": 7, "scheduleUpdate": {"limit": 10.0}})["status"] == "Accepted"
    assert wished(play, 0) == [10.0]
    play.wait(11)
    (pull,) = [frame for frame in map(json.loads, play.sent_up) if frame[0] == 2]
    assert pull[2:] == ["PullDynamicScheduleUpdate", {"chargingProfileId": 7}]
    play.csms(3, pull[1], {"status": "Accepted", "scheduleUpdate": {"limit": 9.0}})
    assert wished(play, 0) == [9.0]


@every_version
def test_what_was_refused_is_not_on_disk_by_way_of_a_later_one(version: str) -> None:
    """Two Sets were on their way; the first could not be written, the second was, and held the first as well."""
    play = charging(version)
    play.disk = None
    play.csms(2, "a", "SetChargingProfile", play.set_profile(5, 9.0))
    play.csms(2, "b", "SetChargingProfile", play.set_profile(6, 12.0, stack=1))
    first, second = play.unwritten
    play.feed(PersistFailed(play.at, first.token, "disk full"))
    play.feed(play.write(second))
    play.disk = True
    play.wait(1)
    assert [entry["profile"]["profile_id"] for entry in play.memories[("profiles", "CP1")]["profiles"]] == [6]


@every_version
def test_in_overlay_mode_a_profile_of_an_evse_nobody_knows_is_not_booked(version: str) -> None:
    play = charging(version, overlay=True)
    payload = {**play.set_profile(5, 9.0), "connectorId" if version == V16 else "evseId": 3}
    play.csms(2, "set", "SetChargingProfile", payload)
    play.station(3, "set", {"status": "Accepted"})
    assert play.up() == [3, "set", {"status": "Accepted"}]
    assert len(play.links.sessions["CP1"].profiles.view) == 0


def heavy(play: Talk, profile_id: int) -> dict[str, Any]:
    """A profile of 1024 periods for every EVSE, anew each day."""
    payload = play.set_profile(profile_id, 16.0, stack=profile_id, chargingProfileKind="Recurring", recurrencyKind="Daily")
    periods = [{"startPeriod": 80 * count, "limit": 6.0 + count % 20} for count in range(1024)]
    schedule = payload["csChargingProfiles"]["chargingSchedule"] if play.is_16 else payload["chargingProfile"]["chargingSchedule"][0]
    schedule.update({"startSchedule": "2026-01-01T00:00:00Z", "chargingSchedulePeriod": periods})
    return {**payload, "connectorId" if play.is_16 else "evseId": 0}


@every_version
def test_f24_a_flood_of_long_profiles_is_written_one_by_one(version: str) -> None:
    """Each Set writes its own 1024 periods as JSON, not those of all before it again; the store is the same object by object."""
    play = charging(version)
    for profile_id in range(1, 9):
        assert ask(play, "SetChargingProfile", heavy(play, profile_id))["status"] == "Accepted"
    view = play.links.sessions["CP1"].profiles.view
    before = view.dump()
    assert ask(play, "SetChargingProfile", heavy(play, 9))["status"] == "Rejected"  # 8192 periods are the most
    assert all(one is other for one, other in zip(before, view.dump(), strict=True))


@every_version
def test_f24_a_week_of_long_profiles_is_looked_at_as_far_as_an_answer_goes(version: str) -> None:
    play = charging(version, evses=2)
    for profile_id in range(1, 9):
        ask(play, "SetChargingProfile", heavy(play, profile_id))
    where = "connectorId" if version == V16 else "evseId"
    answer = ask(play, "GetCompositeSchedule", {where: 1, "duration": 604_800})
    schedule = answer["chargingSchedule" if version == V16 else "schedule"]
    assert len(schedule["chargingSchedulePeriod"]) == 1024
    assert 80_000 < schedule["duration"] <= 86_400
    assert schedule["chargingSchedulePeriod"][-1]["startPeriod"] < schedule["duration"]
