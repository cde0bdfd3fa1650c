"""The traps of OCPP that local controllers fall into, by number: transcripts in every version they concern (TRAPS.md)."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest

from controller.config import Config
from controller.facts import EvseMeasured, FloorConfirmed, SetpointAnswered, UpstreamWished
from controller.orders import CloseStation, Inject, InstallFloor
from controller.site.layout import layout_of
from controller.site.sharing.arbiter import Grant
from controller.site.stations.actuate import Actuator
from tests.support.playbook import config
from tests.support.schemas import check_request, check_response
from tests.support.site_story import QUICK, Story, depot
from tests.support.talk import EVSE, SCHEMAS, V16, V21, V201, VERSIONS, Talk
from tests.support.v2g_world import V2gWorld
from tests.support.v2g_world import site as yard

every_version = pytest.mark.parametrize("version", VERSIONS)
two_x = pytest.mark.parametrize("version", [V201, V21])
below_21 = pytest.mark.parametrize("version", [V16, V201])


def charging(version: str, site: Config | None = None) -> Talk:
    return Talk(site or config(), version=version).charging()


def one_phase() -> Config:
    data = config().model_dump(mode="json", exclude_unset=True)
    data["stations"][0]["evses"][0]["phases"] = ["L1"]
    return Config.model_validate(data)


# -- framing, ids --------------------------------------------------------------------------------------------


@every_version
def test_trap_1_an_answer_goes_to_who_asked_even_under_the_same_id(version: str) -> None:
    play = charging(version)
    ours = play.inject(number=3)[1]
    play.csms(2, ours, "ClearCache", {})
    assert play.up()[:2] == [4, ours], "its id is in use: refused, and the station never sees two"
    play.csms(2, "theirs", "ClearCache", {})
    play.station(3, ours, {"status": "Accepted"})
    assert play.sent_up == []
    assert [one.number for one in play.facts(SetpointAnswered)] == [3]
    play.station(3, "theirs", {"status": "Rejected"})
    assert play.up() == [3, "theirs", {"status": "Rejected"}]
    assert play.facts(SetpointAnswered) == []


@every_version
def test_trap_1_the_same_id_in_both_directions_is_two_calls(version: str) -> None:
    play = charging(version)
    play.csms(2, "7", "ClearCache", {})
    play.station(2, "7", "Heartbeat", {})
    assert play.up()[:3] == [2, "7", "Heartbeat"]
    play.csms(3, "7", {"currentTime": play.now})
    assert play.down() == [3, "7", {"currentTime": play.now}]
    play.station(3, "7", {"status": "Accepted"})
    assert play.up() == [3, "7", {"status": "Accepted"}]


@every_version
def test_trap_2_a_command_and_a_setpoint_are_never_in_flight_together(version: str) -> None:
    play = charging(version)
    play.csms(2, "c-1", "ClearCache", {})
    assert play.down()[1] == "c-1"
    assert play.inject(urgent=True) == []
    play.csms(2, "c-2", "ClearCache", {})
    assert play.sent_down == []
    play.station(3, "c-1", {"status": "Accepted"})
    assert play.down()[2] == "SetChargingProfile", "what protects the fuse goes first, but only when the line is free"
    play.station(3, play.down()[1], {"status": "Accepted"})
    assert play.down()[1] == "c-2"


@below_21
def test_trap_3_send_and_call_result_error_reach_nobody_below_2_1(version: str) -> None:
    play = charging(version)
    for frame in ([6, "s", "NotifyPeriodicEventStream", {"id": 1}], [5, "begin", "InternalError", "", {}]):
        play.station(*frame)
        assert play.sent_up == []
        assert all(json.loads(text)[0] == 4 for text in play.sent_down)
        play.csms(*frame)
        assert play.sent_down == []
        assert all(json.loads(text)[0] == 4 for text in play.sent_up)


# -- outages ---------------------------------------------------------------------------------------------------


@every_version
def test_trap_7_with_the_csms_gone_the_socket_stays_and_a_start_is_answered_at_once(version: str) -> None:
    play = Talk(version=version).known()
    play.close()
    assert not any(isinstance(one, CloseStation) for one in play.outcomes)
    play.disk = None
    play.begin("s")
    assert play.sent_down == [], "the disk first"
    (order,) = play.unwritten
    play.feed(play.write(order))
    answer = play.down()
    assert answer[:2] == [3, "s"]
    check_response("StartTransaction" if version == V16 else "TransactionEvent", answer[2], SCHEMAS[version])


@every_version
@pytest.mark.parametrize("told", [False, True], ids=["its answer was lost", "it had its answer"])
def test_trap_8_a_restart_between_a_start_and_its_answer_keeps_one_id_and_never_says_minus_one(version: str, told: bool) -> None:
    play = Talk(version=version).known()
    play.close()
    play.disk = None
    play.begin("s", timestamp="2026-11-21T16:00:00Z")
    answered = play.write(play.unwritten[0])
    if told:
        play.feed(answered)
        play._named()
    first = play.transaction
    play = play.restarted()
    play.connect(csms=False)
    play.begin("s-again", timestamp="2026-11-21T16:00:00Z")
    assert not told or play.transaction == first
    assert len(play.rows) == 1
    play.read("m", 5)
    play.finish()
    play.given = 4711
    play.comes_back()
    calls = play.drain()
    assert len(calls) == 3
    if version == V16:
        assert [call[3].get("transactionId") for call in calls] == [None, 4711, 4711]
    else:
        assert {call[3]["transactionInfo"]["transactionId"] for call in calls} == {"tx-1"}


@every_version
def test_trap_9_live_events_wait_behind_the_queue_of_their_transaction_and_say_that_they_waited(version: str) -> None:
    play = charging(version)
    play.close()
    play.read("m-1", 1)
    play.read("m-2", 2)
    play.wait(1)
    play.comes_back()
    play.finish("end")  # live again, but the queue is not through
    assert [frame[1] for frame in map(json.loads, play.sent_down)] == ["end"]
    calls = play.drain(None) if play.sent_up else _after(play)
    said = [json.dumps(call[3]) for call in calls]
    assert ['"value"' in text for text in said] == [True, True, False], "both readings, then the end"
    if version != V16:
        assert [call[3].get("offline") for call in calls[:2]] == [True, True]
    assert play.rows == {}


def _after(play: Talk) -> list[list[Any]]:
    """The call that has been in flight, and all that follow."""
    pending = play.links.sessions["CP1"].up.lane.ledger.entries()
    first = [json.loads(entry.note.text) for entry in pending]
    for call in first:
        play.csms(3, call[1], play.yes(call))
    return first + play.drain()


@two_x
def test_trap_10_a_transaction_that_is_queued_here_is_not_asked_of_the_station(version: str) -> None:
    play = charging(version)
    play.close()
    play.read("m-1")
    play.wait(1)
    play.comes_back()
    play.csms(2, "q", "GetTransactionStatus", {"transactionId": play.transaction})
    assert play.sent_down == []
    assert play.up()[2] == {"ongoingIndicator": True, "messagesInQueue": True}
    play.wait(60)
    _after(play)
    play.csms(2, "q2", "GetTransactionStatus", {"transactionId": play.transaction})
    assert play.down()[2] == "GetTransactionStatus", "with nothing queued here the station knows best"


# -- values and profiles ----------------------------------------------------------------------------------------


@every_version
def test_trap_11_place_0_is_the_station_and_numbers_may_be_texts(version: str) -> None:
    play = charging(version)
    place = "connectorId" if version == V16 else "evseId"
    for value in ("10", 10):
        sample = {"value": value, "measurand": "Current.Import", **({"unit": "A"} if version == V16 else {})}
        for number in (0, 1):
            payload = {place: number, "meterValue": [{"timestamp": play.now, "sampledValue": [sample]}]}
            play.station(2, f"m-{number}-{value!r}", "MeterValues", payload)
            assert [fact.phase_current_a[0] for fact in play.facts(EvseMeasured)] == [10.0] * number
            play.csms(3, f"m-{number}-{value!r}", {})


@every_version
def test_trap_12_watts_of_a_one_phase_evse_flow_over_one_phase(version: str) -> None:
    play = charging(version, one_phase())
    payload = play.set_profile(1, 3680.0)
    profile = payload["csChargingProfiles" if version == V16 else "chargingProfile"]
    schedule = profile["chargingSchedule"] if version == V16 else profile["chargingSchedule"][0]
    schedule["chargingRateUnit"] = "W"  # and no numberPhases: a reader may assume three
    play.csms(2, "p", "SetChargingProfile", payload)
    assert play.up()[2]["status"] == "Accepted"
    assert [step.limit_a for fact in play.facts(UpstreamWished) if fact.evse == EVSE for step in fact.steps] == [16.0]


@every_version
@pytest.mark.parametrize("phases", [1, 3])
def test_trap_12_our_own_profiles_always_say_how_many_phases_they_mean(version: str, phases: int) -> None:
    play = charging(version)
    play.carry(InstallFloor(EVSE, 1, 6.0, phases))
    floor = play.down()
    assert play.profile_of(floor)["schedule"]["chargingSchedulePeriod"][0]["numberPhases"] == phases
    check_request("SetChargingProfile", floor[3], SCHEMAS[version])


def test_trap_13_a_car_on_one_phase_is_not_counted_on_three() -> None:
    told = Story(depot(2))
    told.start()
    told.one_phase.add(EVSE)
    told.plug(EVSE)
    told.run(40)
    assert told.site.evses[EVSE].phases == (0,)
    assert told.metered_a(10.0)[1] == 10.0


@every_version
def test_trap_14_a_profile_of_the_csms_at_a_higher_stack_does_not_lift_our_limit(version: str) -> None:
    play = charging(version)
    play.station(3, play.inject(8.0)[1], {"status": "Accepted"})
    play.csms(2, "p", "SetChargingProfile", play.set_profile(1, 32.0, stack=5, purpose="TxProfile", transactionId=play.transaction))
    assert play.up()[2]["status"] == "Accepted"
    assert play.sent_down == [], "it is kept here: the station's stack of profiles is ours alone"
    assert play.links.sessions["CP1"].down.commanded_a(1, play.at) == 8.0


@every_version
def test_trap_15_a_station_full_of_profiles_of_others_is_cleared_before_our_floor(version: str) -> None:
    play = charging(version)
    play.carry(InstallFloor(EVSE, 1, 6.0, 3))
    refused = {"status": "Rejected", **({} if version == V16 else {"statusInfo": {"reasonCode": "DuplicateProfile"}})}
    play.station(3, play.down()[1], refused)
    assert [one.accepted for one in play.facts(SetpointAnswered)] == [False], "the site tries again"
    if version != V16:  # 1.6 replaces a profile of the same stack and purpose by itself
        cleared = play.down()
        assert cleared[2] == "ClearChargingProfile"
        assert cleared[3]["chargingProfileCriteria"]["chargingProfilePurpose"] == "TxDefaultProfile"


@every_version
def test_trap_16_no_profile_of_ours_above_the_floor_lives_on_when_we_die(version: str) -> None:
    play = charging(version)
    schedule = play.profile_of(play.inject(32.0))["schedule"]
    assert 0 < schedule["duration"] <= 120 + 60
    assert "startSchedule" in schedule
    assert play.profile_of(_floor(play))["schedule"].get("duration") is None, "only the floor has no end"


def _floor(play: Talk) -> list[Any]:
    play.station(3, "none", {})
    for entry in play.links.sessions["CP1"].down.lane.ledger.entries():
        play.station(3, entry.message_id, {"status": "Accepted"})
    play.carry(InstallFloor(EVSE, 2, 6.0, 3))
    return list(play.down())


def test_trap_18_a_profile_is_written_when_it_changes_or_must_be_renewed_and_a_rate_limit_is_heeded() -> None:
    site = depot(1)
    made = Actuator(layout_of(site, QUICK), site.control)
    story = Story(site)
    asked_to_wait_s = 300.0

    def written(reason: str, seconds: int, begin_s: float) -> list[float]:
        times = []
        for second in range(seconds):
            story.now = begin_s + second
            for order in made.setpoint(Grant(EVSE, 16.0, "plan"), story.at()):
                assert isinstance(order, Inject)
                times.append(begin_s + second)
                wait_s = asked_to_wait_s if reason else None
                made.answered(SetpointAnswered(story.at(), EVSE, order.number, not reason, reason, retry_after_s=wait_s))
        return times

    story.now = 0.0
    (floor,) = made.online("CP1", 0.0)
    assert isinstance(floor, InstallFloor)
    made.answered(SetpointAnswered(story.at(), EVSE, floor.number, True))
    made.floor_read(FloorConfirmed(story.at(), EVSE, 6.0, True))
    assert len(written("", 600, 1.0)) <= 13, "every 50 s, not every 10 s"
    refused = written("Rejected RateLimitExceeded", 600, 700.0)
    assert all(later - earlier >= asked_to_wait_s for earlier, later in pairwise(refused)), "as long as the station asked for"
    assert refused


def test_trap_19_a_paused_car_is_woken_with_at_least_6_a() -> None:
    told = Story(depot(4, fuse_a=32.0, worst_other_load_a=5.0, evse={"fallback_a": 0}))
    told.start()
    keys = [told.plug(f"CP{number + 1}") for number in range(4)]
    told.run(400, 15.0)
    limits = {key: [limit for _, limit in told.injected(key)] for key in keys}
    assert any(0.0 in values for values in limits.values()), "somebody had to wait"
    assert all(limit == 0.0 or limit >= 6.0 for values in limits.values() for limit in values)
    woken = [values for values in limits.values() if 0.0 in values and any(limit >= 6.0 for limit in values[values.index(0.0) :])]
    assert woken


@two_x
@pytest.mark.parametrize("csms", ["away", "none"])
def test_trap_22_needs_of_a_car_are_never_rejected_by_us(version: str, csms: str) -> None:
    play = Talk(config(upstream=csms == "away"), version=version)
    play.connect(csms=False if csms == "away" else None)
    play.boot()
    needs = {"evseId": 1, "chargingNeeds": {"requestedEnergyTransfer": "AC_three_phase"}}
    play.station(2, "n", "NotifyEVChargingNeeds", needs)
    answer = play.down()
    check_response("NotifyEVChargingNeeds", answer[2], SCHEMAS[version])
    assert answer[2]["status"] in ("Accepted", "NoChargingProfile")


@pytest.mark.parametrize("period", [{"dischargeLimit": 5.0}, {"dischargeLimit": -5.0, "setpoint": -9.0, "limit": 16.0}])
def test_trap_23_25_a_profile_that_could_discharge_is_refused_as_long_as_nobody_bounds_it(period: dict[str, Any]) -> None:
    play = charging(V21)
    payload = play.set_profile(1, 16.0)
    payload["chargingProfile"]["chargingSchedule"][0]["chargingSchedulePeriod"][0] |= {"operationMode": "CentralSetpoint", **period}
    play.csms(2, "p", "SetChargingProfile", payload)
    answer = play.up()[2]
    assert answer["status"] == "Rejected"
    assert answer["statusInfo"]["reasonCode"]
    assert play.sent_down == []


def test_trap_23_what_a_csms_lets_be_discharged_bounds_our_setpoint_for_a_max_profile_cannot() -> None:
    """K01.FR.111: a MaxProfile has no dischargeLimit. So ours in the Tx layer says how much, inside that of the CSMS."""
    world = V2gWorld(yard(), 5.9)
    world.run(20)
    world.park(12.0)
    world.until(6.1)
    assert world.gives_w > 6000.0
    world.csms("SetChargingProfile", world.profile({"operationMode": "ExternalSetpoint", "limit": 11_000.0, "dischargeLimit": -2500.0}))
    before = len(world.profiles), len(world.updates)
    world.run(300)
    later = [update["scheduleUpdate"] for _, update in world.updates[before[1] :]]
    later += [body["chargingProfile"]["chargingSchedule"][0]["chargingSchedulePeriod"][0] for _, body in world.profiles[before[0] :]]
    assert later
    assert all(-2500.0 <= said["setpoint"] < 0.0 for said in later)
    assert 2000.0 < world.gives_w <= 2500.0


def test_trap_25_nothing_of_ours_has_a_discharge_limit_or_a_setpoint_of_the_wrong_sign() -> None:
    """Q03.FR.02: a setpoint stands alone. Out of the car is negative: a car that shall give back is never told to charge."""
    world = V2gWorld(yard(), 5.9)
    world.run(20)
    world.park(12.0)
    world.until(6.5)
    said = [period for _, period in world.periods()] + [update["scheduleUpdate"] for _, update in world.updates]
    setpoints = [one["setpoint"] for one in said if "setpoint" in one]
    assert setpoints
    assert max(setpoints) < 0.0
    assert not any("dischargeLimit" in one for one in said)
    assert not any("limit" in one for one in said if "setpoint" in one)


@pytest.mark.parametrize("unit", ["Celcius", "Celsius"])
def test_trap_29_both_spellings_pass_and_neither_hides_the_current_beside_it(unit: str) -> None:
    play = charging(V16)
    samples = [{"value": "41", "measurand": "Temperature", "unit": unit}, {"value": "9", "measurand": "Current.Import", "unit": "A"}]
    text = json.dumps([2, "t", "MeterValues", {"connectorId": 1, "meterValue": [{"timestamp": play.now, "sampledValue": samples}]}])
    play.station(text)
    assert play.sent_up == [text]
    assert [fact.phase_current_a[0] for fact in play.facts(EvseMeasured)] == [9.0]


@pytest.mark.parametrize("code", ["OccurenceConstraintViolation", "OccurrenceConstraintViolation", "FormationViolation", "FormatViolation"])
@every_version
def test_trap_29_error_codes_pass_in_any_spelling(version: str, code: str) -> None:
    play = charging(version)
    play.csms(2, "c", "ClearCache", {})
    text = json.dumps([4, "c", code, "", {}])
    play.station(text)
    assert play.sent_up == [text]
