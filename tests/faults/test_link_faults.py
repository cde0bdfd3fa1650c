"""Faults of the catalogue that touch messages, by number: transcripts in every version they concern."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import pytest

from controller.facts import (
    Fact,
    SessionChanged,
    SetpointAnswered,
    Stamp,
    StationClosed,
    StationConnected,
    StationFrame,
    StationOffline,
    StationOnline,
    UpstreamFrame,
    UpstreamOpened,
    UpstreamWished,
)
from controller.ocpp.times import timestamp, wall_time
from controller.orders import CloseStation, CloseUpstream, ForgetRows, Order, SendStation, Severity, Tell, UpdateRow
from tests.support.playbook import config, event, stop_16
from tests.support.schemas import check_response
from tests.support.talk import ACCEPTED, EVSE, SCHEMAS, V16, V21, V201, VERSIONS, Talk

every_version = pytest.mark.parametrize("version", VERSIONS)
two_x = pytest.mark.parametrize("version", [V201, V21])


def charging(version: str, **upstream: Any) -> Talk:
    return Talk(config(**upstream), version=version).charging()


def alarms(play: Talk) -> list[str]:
    return [one.text for one in play.outcomes if isinstance(one, Tell) and one.severity is Severity.ALARM]


def sent_down(play: Talk) -> list[list[Any]]:
    return [json.loads(text) for text in play.sent_down]


# -- the station -----------------------------------------------------------------------------------------


@every_version
def test_f01_a_station_that_leaves_takes_its_leg_with_it_and_keeps_its_transaction(version: str) -> None:
    play = charging(version)
    play.hang_up()
    assert [type(close) for close in play.closes()] == [CloseUpstream]
    assert play.facts(StationOffline)
    assert [fact.ended for fact in play.facts(SessionChanged)] == []
    play.connect()
    play.station(2, "h", "Heartbeat", {})
    assert [(one.transaction_id, one.ended) for one in play.facts(SessionChanged)] == [(str(play.transaction), False)]


@every_version
def test_f05_a_call_of_ours_without_answer_fails_after_30_s_and_the_next_try_has_another_id(version: str) -> None:
    play = charging(version)
    first = play.inject(number=1)
    play.wait(5)
    play.csms(2, "c-1", "ClearCache", {})
    assert play.sent_down == []
    play.wait(25)
    assert [(one.number, one.accepted, one.reason) for one in play.facts(SetpointAnswered)] == [(1, False, "no answer in time")]
    assert [frame[1] for frame in sent_down(play)] == ["c-1"], "the CSMS's command does not wait any longer"
    play.station(3, "c-1", {"status": "Accepted"})
    again = play.inject(number=2)
    assert again[2] == first[2]
    assert again[1] != first[1]


@every_version
def test_f06_a_late_answer_is_news_for_us_and_nothing_for_the_csms(version: str) -> None:
    play = charging(version)
    ours = play.inject(number=1)
    play.wait(31)
    play.station(3, ours[1], {"status": "Accepted"})
    assert [(one.number, one.accepted) for one in play.facts(SetpointAnswered)] == [(1, True)]
    play.csms(2, "c-1", "ClearCache", {})
    play.wait(31)
    assert play.up()[:3] == [4, "c-1", "GenericError"]
    play.station(3, "c-1", {"status": "Accepted"})
    assert play.sent_up == []


@every_version
def test_f07_answers_to_nothing_are_dropped_and_ten_in_a_minute_are_a_security_event(version: str) -> None:
    play = charging(version)
    play.mono_s = 1200.0
    for number in range(1, 25):
        play.station(*([3, f"x-{number}", {}] if number % 2 else [4, f"x-{number}", "GenericError", "", {}]))
        assert play.sent_up == play.sent_down == []
        assert [text.split(":")[0] for text in alarms(play)] == (["security event"] if number == 10 else [])
    play.mono_s += 60.0
    for number in range(9):
        play.station(3, f"y-{number}", {})
        assert alarms(play) == []
    play.station(2, "h", "Heartbeat", {})
    assert play.up()[1] == "h", "the station itself goes on"


@every_version
def test_f08_after_a_reboot_in_mid_charge_nothing_counts_as_installed_and_the_session_goes_on(version: str) -> None:
    play = charging(version)
    play.station(3, play.inject(20.0)[1], {"status": "Accepted"})
    assert play.links.sessions["CP1"].down.commanded_a(1, play.at) == 20.0
    play.hang_up()
    play.connect()
    play.boot("again")
    assert play.up()[1] == "again"
    assert play.links.sessions["CP1"].down.commanded_a(1, play.at) is None
    play.csms(3, "again", ACCEPTED)
    assert len(play.facts(StationOnline)) == 1
    assert [(one.transaction_id, one.ended) for one in play.facts(SessionChanged)] == [(str(play.transaction), False)]


@every_version
def test_f10_the_late_end_of_an_old_connection_does_not_touch_the_new(version: str) -> None:
    play = charging(version)
    old = play.generation
    play.connect()
    play.feed(StationClosed(play.at, "CP1", old, "gone"))
    assert play.outcomes == []
    play.station(2, "h", "Heartbeat", {})
    assert play.up()[1] == "h"


@dataclass
class Neighbour:
    """A second station, CP2, of the same CSMS."""

    play: Talk
    said: list[list[Any]] = field(default_factory=list)

    @classmethod
    def of(cls, version: str) -> Neighbour:
        data = config().model_dump(mode="json", exclude_unset=True)
        data["stations"].append({**data["stations"][0], "id": "CP2"})
        play = Talk(type(config()).model_validate(data), version=version).charging()
        play.feed(StationConnected(play.at, "CP2", 1, version, "127.0.0.1", "/ocpp/CP2"))
        play.feed(UpstreamOpened(play.at, "CP2", 1, version))
        return cls(play)

    def says(self, *frame: Any) -> None:
        self.play.feed(StationFrame(self.play.at, "CP2", 1, json.dumps(list(frame))))

    def hears(self) -> list[list[Any]]:
        return [json.loads(one.text) for one in self.play.outcomes if isinstance(one, SendStation) and one.station_id == "CP2"]


@pytest.mark.parametrize("csms", ["there", "away"])
def test_f14_a_1_6_station_cannot_end_the_transaction_of_another_one(csms: str) -> None:
    thief = Neighbour.of(V16)
    play = thief.play
    if csms == "away":
        play.close()
    thief.says(2, "steal", "StopTransaction", {**stop_16(play.transaction), "idTag": "THIEF"})
    assert play.sent_up == []
    assert thief.hears() == [[3, "steal", {"idTagInfo": {"status": "Invalid"}}]]
    check_response("StopTransaction", thief.hears()[0][2], SCHEMAS[V16])
    assert [text.split(":")[0] for text in alarms(play)] == ["security event"]
    assert play.links.sessions["CP1"].running.ids() == {str(play.transaction)}
    (kept,) = play.rows.values()
    assert (kept.station_id, kept.parked) == ("CP2", True), "kept aside, for a person to judge"
    thief.says(2, "again", "StopTransaction", {**stop_16(play.transaction), "idTag": "THIEF"})
    assert thief.hears()[0][:2] == [3, "again"]
    assert len(play.rows) == 1


def test_f14_a_number_that_the_csms_gave_to_two_stations_belongs_to_both() -> None:
    other = Neighbour.of(V16)
    play = other.play
    other.says(2, "s", "StartTransaction", {"connectorId": 1, "idTag": "B", "meterStart": 0, "timestamp": play.now})
    answer = {"transactionId": play.transaction, "idTagInfo": {"status": "Accepted"}}
    play.feed(UpstreamFrame(play.at, "CP2", 1, json.dumps([3, "s", answer])))
    other.says(2, "e", "StopTransaction", stop_16(play.transaction))
    assert play.up()[1] == "e"


@two_x
def test_f14_a_2_x_transaction_told_by_another_station_is_an_alarm_and_changes_nothing_here(version: str) -> None:
    # Its id is the station's own: upstream it counts on the leg of who says it, and for that one only.
    thief = Neighbour.of(version)
    thief.says(2, "steal", "TransactionEvent", event("Ended", 3, thief.play.transaction))
    assert alarms(thief.play)
    assert thief.play.links.sessions["CP1"].running.ids() == {"tx-1"}


@every_version
@pytest.mark.parametrize("csms", ["there", "away"])
def test_f15_the_same_start_twice_is_one_session_with_the_same_answer(version: str, csms: str) -> None:
    play = Talk(version=version).known()
    if csms == "away":
        play.close()
    play.begin("s-1")
    if csms == "there":
        play.take()
    first = play.down()
    rows = dict(play.rows)
    play.begin("s-1")
    assert play.down() == first
    play.begin("s-2")
    assert play.down() == [3, "s-2", first[2]]
    assert play.rows == rows
    assert play.sent_up == []
    assert len(play.links.sessions["CP1"].transactions) == 1


@every_version
def test_f16_old_events_after_a_reconnect_go_up_in_order_and_change_nothing_live(version: str) -> None:
    play = charging(version)
    play.hang_up()
    play.wait(3600)
    play.connect()
    old = timestamp(play.at.wall_s - 1800.0)
    late: dict[str, Any] = {"timestamp": old} if version != V16 else {}
    for number in range(1, 4):
        if version == V16:
            value = {"timestamp": old, "sampledValue": [{"value": str(number), "context": "Sample.Periodic"}]}
            play.read(f"m-{number}", meterValue=[value])
        else:
            play.read(f"m-{number}", seqNo=number, offline=True, **late)
        assert [fact.live for fact in play.facts(SessionChanged) if not fact.started and number > 1] in ([False], [])
        assert play.up()[1] == f"m-{number}"
        play.csms(3, f"m-{number}", {})
    play.read("m-4")
    assert any(fact.live for fact in play.facts(SessionChanged))


@every_version
def test_f17_a_counter_that_runs_backwards_passes_unchanged(version: str) -> None:
    play = charging(version)
    for number, register in enumerate((5000, 4000, 9_000_000)):
        play.read(f"m-{number}", register)
        (text,) = play.sent_up
        assert str(register) in text
        play.csms(3, f"m-{number}", {})


@every_version
def test_f18_a_station_whose_clock_is_years_off_is_relayed_unchanged_and_still_known(version: str) -> None:
    play = Talk(version=version).known()
    play.begin("old", timestamp="1999-01-01T00:00:00Z")
    (text,) = play.sent_up
    assert json.loads(text)[3]["timestamp"] == "1999-01-01T00:00:00Z"
    play.take()
    assert list(play.links.sessions["CP1"].transactions) == [1]
    play.close()
    play.boot("again")
    assert wall_time(play.down()[2]["currentTime"]) == pytest.approx(play.at.wall_s, abs=0.01), "our boot answer brings our time"


# -- the CSMS ----------------------------------------------------------------------------------------------


@every_version
def test_f19_what_is_said_in_an_outage_goes_up_later_in_order_at_5_a_second(version: str) -> None:
    play = charging(version)
    play.close()
    for number in range(20):
        play.read(f"m-{number}", number)
        assert play.down()[:2] == [3, f"m-{number}"]
    play.finish()
    play.wait(1)
    play.comes_back()
    began_s = play.mono_s
    calls = play.drain()
    assert [json.dumps(call[3]).count('"value"') for call in calls] == [1] * 20 + [0]
    told = [call[3]["meterValue"][0]["sampledValue"][0]["value"] for call in calls[:-1]]
    assert [int(value) for value in told] == list(range(20))
    assert play.mono_s - began_s >= 20 / 5 - 1
    assert play.rows == {}


@every_version
def test_f21_a_slow_csms_does_not_keep_the_station_waiting_and_hears_nothing_twice(version: str) -> None:
    play = charging(version)
    play.read("m-1")
    assert play.up()[1] == "m-1"
    answered = [frame for _ in range(35) for frame in _down_in_a_second(play) if frame[0] != 2]
    assert answered == [[3, "m-1", {}]], "from here, before the station gives up"
    play.csms(3, "m-1", {})
    assert play.sent_down == []
    assert play.rows == {}
    assert play.drain() == []


def _down_in_a_second(play: Talk) -> list[list[Any]]:
    play.wait(1)
    return sent_down(play)


@every_version
def test_f22_a_message_refused_three_times_is_kept_aside_and_the_next_one_goes(version: str) -> None:
    play = charging(version)
    play.close()
    play.read("m-1", 1)
    play.read("m-2", 2)
    play.wait(1)
    play.comes_back()
    tried_s: list[float] = []
    for attempt in (1, 2, 3):
        play.wait_until_up(200)
        tried_s.append(play.mono_s)
        assert "1" in json.dumps(play.up()[3]["meterValue"])
        play.csms(4, play.up()[1], "InternalError", "no", {})
        assert [order.parked for order in play.outcomes if isinstance(order, UpdateRow)] == [attempt == 3]
    assert tried_s[1] - tried_s[0] == pytest.approx(30, abs=2)
    assert tried_s[2] - tried_s[1] == pytest.approx(60, abs=2)
    assert alarms(play)
    play.wait_until_up(10)
    play.take()
    assert [row.parked for row in play.rows.values()] == [True]
    assert play.links.view()[0].parked == 1


@every_version
def test_f23_a_csms_that_comes_and_goes_all_day_costs_no_memory_and_no_message(version: str) -> None:
    play = charging(version)
    for number in range(60):
        play.close()
        play.read(f"u-{number}", number)
        assert play.down() == [3, f"u-{number}", {}]
        play.wait(1)
        play.comes_back()
        assert str(number) in json.dumps(play.up()[3])
        play.csms(3, play.up()[1], {})
    session = play.links.sessions["CP1"]
    assert (play.rows, len(session.up.outbox), len(session.up.lane)) == ({}, 0, 0)
    assert play.facts(StationOnline) == []


@every_version
def test_f24_of_a_flood_of_profiles_a_hundred_are_kept_and_the_rest_is_rejected(version: str) -> None:
    play = charging(version)
    verdicts = []
    for number in range(120):
        play.csms(2, f"p-{number}", "SetChargingProfile", play.set_profile(number + 1, 16.0, stack=number))
        assert play.sent_down == []
        verdicts.append(play.up()[2]["status"])
    assert verdicts == ["Accepted"] * 100 + ["Rejected"] * 20
    play.csms(2, "absurd", "SetChargingProfile", play.set_profile(1, 1e12, stack=0))
    assert play.up()[2]["status"] == "Rejected"


@every_version
def test_f25_more_than_the_fuse_is_accepted_as_the_csms_s_limit_and_the_lower_one_is_told(version: str) -> None:
    play = charging(version)
    play.csms(2, "p", "SetChargingProfile", play.set_profile(1, 500.0))
    assert play.up()[2]["status"] == "Accepted"
    assert [step.limit_a for fact in play.facts(UpstreamWished) if fact.evse == EVSE for step in fact.steps] == [500.0]
    play.station(3, play.inject(12.0)[1], {"status": "Accepted"})
    play.csms(2, "g", "GetCompositeSchedule", {"connectorId" if version == V16 else "evseId": 1, "duration": 60, "chargingRateUnit": "A"})
    schedule = play.up()[2]["chargingSchedule" if version == V16 else "schedule"]
    assert schedule["chargingSchedulePeriod"][0]["limit"] == 12.0


@every_version
def test_f26_crossing_calls_of_csms_and_controller_stay_one_at_a_time(version: str) -> None:
    play = charging(version)
    ours = play.inject()[1]
    play.csms(2, "c-1", "ClearCache", {})
    assert play.sent_down == []
    play.station(2, "h", "Heartbeat", {})  # the other direction is free
    assert play.up()[1] == "h"
    play.station(3, ours, {"status": "Accepted"})
    assert play.down()[1] == "c-1"


@every_version
def test_f28_an_id_the_csms_uses_twice_is_answered_once_and_refused_the_second_time(version: str) -> None:
    play = charging(version)
    play.csms(2, "c-1", "ClearCache", {})
    assert play.down()[1] == "c-1"
    for waiting in ("c-1", "c-2", "c-2"):
        play.csms(2, waiting, "ClearCache", {})
    assert play.up()[:2] == [4, "c-2"]
    assert play.sent_down == []
    play.station(3, "c-1", {"status": "Accepted"})
    assert play.up() == [3, "c-1", {"status": "Accepted"}]
    assert play.down()[1] == "c-2"
    play.station(3, "c-2", {"status": "Accepted"})
    assert play.sent_down == []


@every_version
def test_f28_an_id_of_ours_that_the_csms_uses_too_is_refused_and_its_answer_does_not_leak(version: str) -> None:
    play = charging(version)
    ours = play.inject(number=5)[1]
    play.csms(2, ours, "ClearCache", {})
    assert play.up()[:2] == [4, ours]
    play.station(3, ours, {"status": "Accepted"})
    assert play.sent_up == []
    assert [one.number for one in play.facts(SetpointAnswered)] == [5]


@every_version
def test_f31_a_storm_of_commands_is_queued_up_to_a_bound_and_refused_beyond(version: str) -> None:
    play = charging(version)
    refused = 0
    for number in range(200):
        play.csms(2, f"c-{number}", "ClearCache", {})
        refused += sum(text.startswith("[4,") for text in play.sent_up)
    assert refused == 200 - 1 - 64
    answered = 1
    play.station(3, "c-0", {"status": "Accepted"})
    while play.sent_down:
        answered += 1
        play.station(3, play.down()[1], {"status": "Accepted"})
    assert answered == 65


@every_version
@pytest.mark.parametrize("status", ["Pending", "Rejected"])
def test_f32_a_station_kept_waiting_for_hours_is_controlled_as_its_version_allows(version: str, status: str) -> None:
    play = Talk(version=version)
    play.connect()
    for hour in range(6):
        play.boot(f"b-{hour}")
        assert play.up()[1] == f"b-{hour}", "each try is the CSMS's to answer"
        play.csms(3, f"b-{hour}", {**ACCEPTED, "status": status, "interval": 3600})
        assert play.down()[2]["status"] == status
        assert len(play.facts(StationOnline)) == (status == "Pending")
        play.wait(3600)
        assert play.sent_up == []
        asked = version == "ocpp2.1" and status == "Pending"
        assert [frame[2] for frame in sent_down(play)] == (["GetVariables"] if asked else []), "what it can do, and nothing else"
    if status == "Pending":
        assert play.inject()[2] == "SetChargingProfile"
        play.csms(2, "c", "GetLocalListVersion", {})
        assert play.sent_up == play.sent_down == []  # after ours


@every_version
@pytest.mark.parametrize("status", ["Pending", "Rejected"])
def test_f32_a_boot_told_after_an_outage_is_repeated_when_the_csms_says_and_the_queue_waits(version: str, status: str) -> None:
    play = Talk(version=version).known()
    play.close()
    play.boot("away")
    assert play.down()[2]["status"] == "Accepted"
    play.begin()
    play.wait(1)
    play.comes_back()
    for _ in range(4):
        assert play.up()[2] == "BootNotification"
        play.csms(3, play.up()[1], {**ACCEPTED, "status": status, "interval": 900})
        assert play.sent_up == []
        play.wait(890)
        assert play.sent_up == [], "not before its interval, and nothing else before the boot is accepted"
        play.wait_until_up(20)
    play.read("m", 5)
    assert play.down()[:2] == [3, "m"], "local control goes on"
    assert play.sent_up == []
    play.wait_until_up(900)
    assert play.drain()[0][2] == "BootNotification"
    assert play.rows == {}


# -- load, disk, clock ---------------------------------------------------------------------------------------


@every_version
def test_f63_json_nested_a_hundred_thousand_deep_is_one_error_and_nothing_more(version: str) -> None:
    play = charging(version)
    play.station('[2,"deep","DataTransfer",{"vendorId":"x","data":' + "[" * 100_000 + "]" * 100_000 + "}]")
    assert play.down()[0] == 4
    assert play.sent_up == []
    play.station(2, "h", "Heartbeat", {})
    assert play.up()[1] == "h"


@every_version
def test_f73_what_the_disk_does_not_take_is_not_acknowledged_and_comes_again(version: str) -> None:
    play = charging(version)
    play.close()
    play.disk = False
    play.read("m-1", 1)
    assert play.sent_down == []
    assert [close.code for close in play.closes() if isinstance(close, CloseStation)] == [1013]
    play.hang_up()
    play.disk = True
    play.connect(csms=False)
    play.sequence -= 1
    play.read("m-1b", 1)
    assert play.down()[:2] == [3, "m-1b"]
    assert len(play.rows) == 1
    assert not any(isinstance(one, ForgetRows) for one in play.outcomes)


class Jumping(Talk):
    """A wall clock that may jump, or not be known."""

    jump_s = 0.0
    trusted = True

    @property
    def at(self) -> Stamp:
        now = super().at
        return Stamp(now.mono_s, now.wall_s + self.jump_s, 1.0, self.trusted)


def _wish_a(told: list[Order | Fact], play: Jumping, before: float | None) -> float | None:
    """What the site takes for the CSMS's limit now, after these facts."""
    limit = before
    for fact in told:
        if isinstance(fact, UpstreamWished) and fact.evse == EVSE:
            limit = None
            for step in fact.steps:
                limit = step.limit_a if step.start_wall_s <= play.at.wall_s else limit
    return limit


@every_version
@pytest.mark.parametrize("jump_s", [-3600.0, 3600.0, -315_000_000.0, 315_000_000.0])
def test_f77_after_a_jump_of_the_wall_clock_the_csms_s_limit_is_told_anew_within_5_s(version: str, jump_s: float) -> None:
    play = Jumping(version=version)
    play.charging()
    play.csms(2, "p", "SetChargingProfile", play.set_profile(1, 9.0))
    assert play.up()[2]["status"] == "Accepted"
    play.wait(100)
    play.jump_s = jump_s
    told = play.wait(5)
    assert _wish_a(told, play, None) == 9.0
    ours = play.inject()
    play.wait(29)
    assert play.facts(SetpointAnswered) == [], "a timer is not a calendar"
    play.wait(2)
    assert [one.accepted for one in play.facts(SetpointAnswered)] == [False]
    assert ours[2] == "SetChargingProfile"


@every_version
def test_f78_without_a_known_time_boots_are_pending_and_the_station_is_controlled(version: str) -> None:
    play = Jumping(version=version)
    play.trusted, play.jump_s = False, -1_790_000_000.0
    play.connect(csms=False)
    play.boot()
    answer = play.down()[2]
    assert (answer["status"], answer["interval"]) == ("Pending", 10)
    check_response("BootNotification", answer, SCHEMAS[version])
    assert play.facts(StationOnline)
    assert play.inject()[2] == "SetChargingProfile"
    play.trusted, play.jump_s = True, 0.0
    play.boot("again")
    answer = play.down()[2]
    assert answer["status"] == "Accepted"
    assert wall_time(answer["currentTime"]) == pytest.approx(play.at.wall_s, abs=0.01)


@every_version
def test_f78_without_a_known_time_the_lowest_limit_of_a_calendar_holds(version: str) -> None:
    play = Jumping(version=version)
    play.charging()
    payload = play.set_profile(1, 20.0, chargingProfileKind="Absolute")
    profile = payload["csChargingProfiles" if version == V16 else "chargingProfile"]
    schedule = profile["chargingSchedule"] if version == V16 else profile["chargingSchedule"][0]
    schedule["startSchedule"] = timestamp(play.at.wall_s + 7200.0)
    schedule["chargingSchedulePeriod"].append({"startPeriod": 3600, "limit": 7.0})
    play.csms(2, "p", "SetChargingProfile", payload)
    assert play.up()[2]["status"] == "Accepted"
    assert _wish_a(list(play.outcomes), play, None) is None, "it begins in two hours"
    play.wait(1)
    play.trusted, play.jump_s = False, -1_790_000_000.0
    assert _wish_a(play.wait(5), play, None) == 7.0, "nobody knows the date: taken as active"
    play.trusted, play.jump_s = True, 0.0
    told = play.wait(5)
    assert any(isinstance(fact, UpstreamWished) and fact.evse == EVSE for fact in told)
    assert _wish_a(told, play, 7.0) is None


@every_version
def test_f67_a_restart_between_two_messages_loses_and_doubles_nothing(version: str) -> None:
    play = charging(version)
    play.close()
    play.read("m-1", 1)
    play.mono_s -= 5.0
    play = play.restarted()
    play.connect(csms=False)
    play.sequence -= 1
    play.read("m-1-again", 1)  # its answer may have been lost with us: the same words again
    assert play.down()[:2] == [3, "m-1-again"]
    play.finish()
    play.wait(1)
    play.comes_back()
    calls = play.drain()
    assert [call[2] for call in calls] == (["MeterValues", "StopTransaction"] if version == V16 else ["TransactionEvent"] * 2)
