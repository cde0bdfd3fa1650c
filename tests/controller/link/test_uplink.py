"""The way up through outages: OCPP 1.6 transaction ids, repeats, retries, thinning, flow control, bounds."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest

from controller.facts import SessionChanged
from controller.link.outbox import PAGE
from controller.link.transaction_ids import FIRST_LOCAL, LAST_LOCAL
from controller.link.uplink import OUTAGE_SPACE
from controller.ocpp.dialect import RetryRules
from controller.orders import CloseUpstream, DialUpstream, ForgetRows, Persist, UpdateRow
from tests.support.playbook import BOOT, BOOT_16, TOKEN, Playbook, config, event, start_16, stop_16, values_16

ACCEPTED = {"status": "Accepted", "interval": 300, "currentTime": "2026-11-21T16:00:00Z"}
ALLOWED = {"idTagInfo": {"status": "Accepted"}}
TIME = "2026-11-21T16:00:00Z"


def booted(**more: Any) -> Playbook:
    """A 1.6 station with its CSMS."""
    play = Playbook(config(**more), version="ocpp1.6")
    play.connect()
    play.station(2, "boot", "BootNotification", BOOT_16)
    play.csms(3, "boot", ACCEPTED)
    play.station(2, "auth", "Authorize", {"idTag": "AABBCC"})
    play.csms(3, "auth", ALLOWED)
    return play


def away(play: Playbook | None = None, **more: Any) -> Playbook:
    play = play or booted(**more)
    play.close()
    return play


def back(play: Playbook) -> None:
    """The CSMS comes back as soon as it is dialled."""
    for _ in range(200):
        if play.links.sessions["CP1"].up.link.state.value == "dialling":  # type: ignore[union-attr]
            play.open()
            return
        play.wait(1)
    raise AssertionError("nobody dialled")


def up(play: Playbook) -> list[Any]:
    """The next CALL to the CSMS; time passes until there is one."""
    for _ in range(120):
        calls = [frame for frame in map(json.loads, play.sent_up) if frame[0] == 2]
        if calls:
            return calls[0]
        play.wait(1)
    raise AssertionError("nothing goes up")


def started_away(play: Playbook, message_id: str = "start", **more: Any) -> int:
    """A transaction begins while the CSMS is away; returns the id the station got."""
    play.station(2, message_id, "StartTransaction", start_16(**more))
    answer = play.down()
    assert answer[:2] == [3, message_id]
    assert answer[2]["idTagInfo"]["status"] == "Accepted"
    number = answer[2]["transactionId"]
    assert FIRST_LOCAL <= number <= LAST_LOCAL
    return int(number)


def drain(play: Playbook, start_id: int = 4711) -> list[list[Any]]:
    """Answer everything that goes up, starts with rising ids; returns the CALLs."""
    seen: list[list[Any]] = []
    idle = 0
    while idle < 3:
        calls = [frame for frame in map(json.loads, play.sent_up) if frame[0] == 2]
        if not calls:
            idle += 1
            play.wait(1)
            continue
        idle = 0
        (call,) = calls
        seen.append(call)
        answer: dict[str, Any] = {}
        if call[2] == "StartTransaction":
            answer = {**ALLOWED, "transactionId": start_id}
            start_id += 1
        if call[2] == "BootNotification":
            answer = ACCEPTED
        play.csms(3, call[1], answer)
    return seen


# -- 1.6 transaction ids, traps 7 and 8 -------------------------------------------------------------------


def test_trap_7_a_start_is_answered_with_an_id_that_is_on_disk() -> None:
    play = away()
    play.disk = None
    play.station(2, "start", "StartTransaction", start_16())
    assert play.sent_down == []
    (order,) = play.unwritten
    assert [row.action for row in order.rows] == ["StartTransaction"]
    assert order.remember[(OUTAGE_SPACE, "CP1")]["ids"]["last"] == int(order.rows[0].transaction_id)
    play.feed(play.write(order))
    assert play.down()[2] == {**ALLOWED, "transactionId": int(order.rows[0].transaction_id)}


def test_two_starts_on_their_way_to_disk_get_different_ids() -> None:
    play = away()
    play.disk = None
    play.station(2, "a", "StartTransaction", start_16(connector_id=1))
    play.station(2, "b", "StartTransaction", start_16(connector_id=2))
    first, second = (order.rows[0].transaction_id for order in play.unwritten)
    assert first != second


def test_everything_of_a_transaction_goes_up_under_the_id_of_the_csms() -> None:
    play = away()
    local = started_away(play)
    play.station(2, "m", "MeterValues", values_16(local))
    play.station(2, "stop", "StopTransaction", stop_16(local))
    assert play.down()[:2] == [3, "stop"]
    back(play)
    seen = drain(play)
    assert [(frame[2], frame[3].get("transactionId")) for frame in seen] == [
        ("StartTransaction", None),
        ("MeterValues", 4711),
        ("StopTransaction", 4711),
    ]
    assert play.rows == {}


def test_the_id_of_the_csms_is_on_disk_before_the_start_leaves_it() -> None:
    play = away()
    local = started_away(play)
    back(play)
    play.csms(3, up(play)[1], {**ALLOWED, "transactionId": 4711})
    orders = [order for order in play.outcomes if isinstance(order, Persist | ForgetRows)]
    assert isinstance(orders[0], Persist)
    assert isinstance(orders[-1], ForgetRows)
    assert [str(local), "4711"] == orders[0].remember[(OUTAGE_SPACE, "CP1")]["ids"]["mapped"][0][:2]


def test_a_session_that_goes_on_after_the_outage_is_told_live_under_the_id_of_the_csms() -> None:
    play = away()
    local = started_away(play)
    back(play)
    drain(play)
    play.station(2, "m", "MeterValues", values_16(local))
    assert play.up() == [2, "m", "MeterValues", {**values_16(local), "transactionId": 4711}]
    play.csms(3, "m", {})
    assert play.down() == [3, "m", {}]
    play.station(2, "stop", "StopTransaction", stop_16(local))
    assert play.up()[3]["transactionId"] == 4711


def test_commands_of_the_csms_reach_the_transaction_they_mean() -> None:
    play = away()
    local = started_away(play)
    back(play)
    drain(play)
    play.csms(2, "c", "RemoteStopTransaction", {"transactionId": 4711})
    assert play.down() == [2, "c", "RemoteStopTransaction", {"transactionId": local}]
    play.station(3, "c", {"status": "Accepted"})
    assert play.up() == [3, "c", {"status": "Accepted"}]
    play.csms(2, "d", "RemoteStopTransaction", {"transactionId": local})  # a number of ours, but not the CSMS's
    assert play.down()[3] == {"transactionId": -1}


def test_without_any_mapping_nothing_is_written_anew() -> None:
    play = booted()
    start = '[2,"s","StartTransaction",{"connectorId":1, "idTag":"AABBCC","meterStart":0,"timestamp":"2026-11-21T16:00:00Z"}]'
    play.station(start)
    assert play.sent_up == [start]
    answer = '[3,"s",{"transactionId":77 ,"idTagInfo":{"status":"Accepted"}}]'
    play.csms(answer)
    assert play.sent_down == [answer]
    for text in (
        '[2,"m","MeterValues",{"connectorId":1,"transactionId":77, "meterValue":[]}]',
        '[2,"x","StopTransaction",{"transactionId":77 ,"meterStop":5,"timestamp":"2026-11-21T17:00:00Z"}]',
    ):
        play.station(text)
        assert play.sent_up == [text]
        play.csms(f'[3,"{text[4]}",{{}}]')
    command = '[2,"c","RemoteStopTransaction",{"transactionId" : 77}]'
    play.csms(command)
    assert play.sent_down == [command]


def test_trap_8_a_restart_in_the_middle_keeps_the_ids() -> None:
    play = away()
    local = started_away(play)
    play.station(2, "m1", "MeterValues", values_16(local, "1"))
    play = play.restarted()
    play.connect(csms=False)
    play.station(2, "m2", "MeterValues", values_16(local, "2"))
    other = started_away(play, "start2", connector_id=2)
    assert other > local
    back(play)
    first = up(play)
    assert first[2] == "StartTransaction"
    play.csms(3, first[1], {**ALLOWED, "transactionId": 4711})
    play = play.restarted()
    play.connect()
    assert [(frame[2], frame[3].get("transactionId")) for frame in drain(play, 4712)] == [
        ("MeterValues", 4711),
        ("MeterValues", 4711),
        ("StartTransaction", None),
    ]
    play.station(2, "m3", "MeterValues", values_16(other, "3"))
    assert play.up()[3]["transactionId"] == 4712


def test_a_start_that_is_given_up_lets_its_transaction_go_up_with_minus_one() -> None:  # 16E 3.18
    play = away()
    local = started_away(play)
    play.station(2, "m", "MeterValues", values_16(local))
    back(play)
    for _ in range(3):
        call = up(play)
        assert call[2] == "StartTransaction"
        play.csms(4, call[1], "InternalError", "", {})
    assert [row.parked for row in play.rows.values()] == [True, False]
    call = up(play)
    assert (call[2], call[3]["transactionId"]) == ("MeterValues", -1)
    play.csms(3, call[1], {})
    play.station(2, "stop", "StopTransaction", stop_16(local))
    assert play.up()[3]["transactionId"] == -1


def test_a_csms_id_out_of_our_range_is_replaced_and_the_answer_waits_for_the_disk() -> None:
    play = booted()
    play.station(2, "s", "StartTransaction", start_16())
    play.disk = None
    play.csms(3, "s", {**ALLOWED, "transactionId": FIRST_LOCAL + 5})
    assert play.sent_down == []
    (order,) = play.unwritten
    play.disk = True
    play.feed(play.write(order))
    local = play.down()[2]["transactionId"]
    assert local != FIRST_LOCAL + 5
    play.station(2, "m", "MeterValues", values_16(local))
    assert play.up()[3]["transactionId"] == FIRST_LOCAL + 5
    play.csms(3, "m", {})
    play.csms(2, "c", "RemoteStopTransaction", {"transactionId": FIRST_LOCAL + 5})
    assert play.down()[3] == {"transactionId": local}


@pytest.mark.parametrize("number", [0, -1, 7])
def test_b28_odd_ids_of_a_csms_are_mapped_like_any_other(number: int) -> None:
    play = away()
    local = started_away(play)
    back(play)
    play.csms(3, up(play)[1], {**ALLOWED, "transactionId": number})
    play.station(2, "m", "MeterValues", values_16(local))
    assert play.up()[3]["transactionId"] == number


def test_b28_a_start_answered_without_an_id_is_told_and_goes_on_with_minus_one() -> None:
    play = away()
    local = started_away(play)
    back(play)
    play.csms(3, up(play)[1], {**ALLOWED, "transactionId": "none"})
    assert any("without naming a transaction id" in text for text in play.told())
    play.station(2, "m", "MeterValues", values_16(local))
    assert play.up()[3]["transactionId"] == -1


def test_a_site_without_csms_gives_its_own_ids() -> None:
    play = Playbook(config(upstream=False), version="ocpp1.6")
    play.connect(csms=None)
    play.station(2, "boot", "BootNotification", BOOT_16)
    first = started_away(play)
    play.station(2, "x", "StopTransaction", stop_16(first))
    play = play.restarted()
    play.connect(csms=None)
    assert started_away(play, "again", time="2026-11-21T18:00:00Z") > first
    assert play.rows == {}


def test_the_session_hears_of_a_transaction_when_its_id_is_known() -> None:
    play = booted()
    play.station(2, "s", "StartTransaction", start_16())
    assert play.facts(SessionChanged) == []
    play.csms(3, "s", {**ALLOWED, "transactionId": 77})
    assert [(one.transaction_id, one.started) for one in play.facts(SessionChanged)] == [("77", True)]
    play.station(2, "x", "StopTransaction", stop_16(77))
    play.csms(3, "x", {})
    play.close()
    local = started_away(play, "t", time="2026-11-21T18:00:00Z")
    assert str(local) in [one.transaction_id for one in play.facts(SessionChanged)]


# -- the CSMS is slow ---------------------------------------------------------------------------------------


def test_f21_the_late_answer_to_a_start_settles_it_and_names_it() -> None:
    play = booted()
    play.station(2, "s", "StartTransaction", start_16())
    play.wait(31)
    answers = [json.loads(text) for text in play.sent_down]
    local = answers[0][2]["transactionId"]
    assert local >= FIRST_LOCAL
    assert play.sent_up == [], "the CSMS has it and gets time to answer"
    play.csms(3, "s", {**ALLOWED, "transactionId": 4711})
    assert play.rows == {}
    assert play.sent_down == []
    play.station(2, "m", "MeterValues", values_16(local))
    assert play.up()[3]["transactionId"] == 4711


def test_f21_a_late_answer_that_beats_the_disk_counts_too() -> None:
    play = booted()
    play.station(2, "s", "StartTransaction", start_16())
    play.disk = None
    play.wait(31)
    play.csms(3, "s", {**ALLOWED, "transactionId": 4711})
    (order,) = [one for one in play.unwritten if one.rows]
    play.disk = True
    play.feed(play.write(order))
    assert play.rows == {}
    local = play.down()[2]["transactionId"]
    play.station(2, "m", "MeterValues", values_16(local))
    assert play.up()[3]["transactionId"] == 4711


def test_only_the_first_answer_to_a_start_counts() -> None:
    play = booted()
    play.station(2, "s", "StartTransaction", start_16())
    play.wait(31)
    local = json.loads(play.sent_down[0])[2]["transactionId"]
    again = up(play)
    assert again[2] == "StartTransaction"
    play.csms(3, "s", {**ALLOWED, "transactionId": 1})
    play.csms(3, again[1], {**ALLOWED, "transactionId": 2})
    play.station(2, "m", "MeterValues", values_16(local))
    assert play.up()[3]["transactionId"] == 1


# -- repeats, F15 ---------------------------------------------------------------------------------------------


def test_f15_a_start_repeated_under_another_id_is_one_transaction() -> None:
    play = away()
    local = started_away(play)
    play.station(2, "again", "StartTransaction", start_16())
    assert play.down() == [3, "again", {**ALLOWED, "transactionId": local}]
    play.hang_up()
    play.connect(csms=False)
    play.station(2, "1", "StartTransaction", start_16())
    assert play.down()[2]["transactionId"] == local
    assert len(play.rows) == 1


@pytest.mark.parametrize("settled", [False, True])
def test_f15_a_start_repeated_after_our_restart_is_one_transaction(settled: bool) -> None:
    play = away()
    local = started_away(play)
    if settled:
        back(play)
        drain(play)
    play = play.restarted()
    play.connect(csms=settled)
    play.station(2, "again", "StartTransaction", start_16())
    assert [frame[2].get("transactionId") for frame in map(json.loads, play.sent_down)] == [local]
    assert len(play.rows) == (0 if settled else 1)


def test_f15_a_start_repeated_while_the_disk_writes_is_answered_under_both_ids() -> None:
    play = away()
    play.disk = None
    play.station(2, "a", "StartTransaction", start_16())
    play.station(2, "b", "StartTransaction", start_16())
    (order,) = play.unwritten
    play.feed(play.write(order))
    answers = [json.loads(text) for text in play.sent_down]
    assert [answer[1] for answer in answers] == ["a", "b"]
    assert answers[0][2] == answers[1][2]


def test_f15_a_start_repeated_while_the_csms_thinks_goes_up_once() -> None:
    play = booted()
    play.station(2, "a", "StartTransaction", start_16())
    play.station(2, "b", "StartTransaction", start_16())
    play.csms(3, "a", {**ALLOWED, "transactionId": 5})
    assert [json.loads(text) for text in play.sent_down] == [[3, name, {**ALLOWED, "transactionId": 5}] for name in ("a", "b")]
    assert play.sent_up == []
    play.station(2, "c", "StartTransaction", start_16())
    assert play.down() == [3, "c", {**ALLOWED, "transactionId": 5}]
    assert play.sent_up == []


def test_an_equal_start_after_the_end_is_the_next_one() -> None:
    """A station without a clock and a meter: every start looks the same."""
    play = booted()
    for number in (5, 6):
        play.station(2, f"s{number}", "StartTransaction", start_16())
        play.csms(3, f"s{number}", {**ALLOWED, "transactionId": number})
        assert play.down()[2]["transactionId"] == number
        play.station(2, f"x{number}", "StopTransaction", stop_16(number, time=f"2026-11-21T17:0{number}:00Z"))
        play.csms(3, f"x{number}", {})


def test_f15_other_messages_repeated_while_queued_make_no_second_row() -> None:
    play = away()
    local = started_away(play)
    for name in ("m1", "m2"):
        play.station(2, name, "MeterValues", values_16(local))
        assert play.down() == [3, name, {}]
    play.station(2, "x1", "StopTransaction", stop_16(local))
    play.station(2, "x2", "StopTransaction", stop_16(local))
    assert [row.action for row in play.rows.values()] == ["StartTransaction", "MeterValues", "StopTransaction"]


def test_readings_the_csms_answers_itself_all_go_up_even_if_they_are_equal() -> None:
    play = booted()
    for name in ("m1", "m2", "m3"):
        play.station(2, name, "MeterValues", values_16(77))
        assert play.up()[1] == name
        play.csms(3, name, {})


# -- retries ----------------------------------------------------------------------------------------------------


def refused(play: Playbook, code: str = "InternalError", description: str = "") -> float:
    """Refuse the next CALL; the moment it went up."""
    call = up(play)
    at_mono_s = play.mono_s
    play.csms(4, call[1], code, description, {})
    return at_mono_s


def test_attempts_and_waits_come_from_the_configuration() -> None:  # F22
    play = away(message_attempts=4, message_retry_s=10)
    started_away(play)
    back(play)
    moments = [refused(play) for _ in range(4)]
    assert [round(later - sooner) for sooner, later in pairwise(moments)] == [10, 20, 30]
    assert [row.parked for row in play.rows.values()] == [True]
    assert any("export-parked" in text for text in play.told())


def test_the_station_s_own_rules_win_and_survive_a_restart() -> None:
    play = away()
    uplink = play.links.sessions["CP1"].up
    (order,) = uplink.learn_rules(RetryRules(2, 60.0))
    assert isinstance(order, Persist)
    play.write(order)
    assert uplink.learn_rules(RetryRules(2, None)) == []
    started_away(play)
    play = play.restarted()
    play.connect()
    moments = [refused(play), refused(play)]
    assert round(moments[1] - moments[0]) == 60
    assert play.links.view()[0].parked == 1


def test_a_csms_that_is_busy_with_a_call_we_gave_up_does_not_count() -> None:  # 16.6
    play = away()
    started_away(play)
    back(play)
    for _ in range(6):
        refused(play, "RpcFrameworkError", "Call already in progress")
    assert [order for order in play.outcomes if isinstance(order, UpdateRow)] == []
    assert play.links.view()[0].parked == 0


def test_an_error_without_an_id_is_about_the_call_in_flight() -> None:  # 16.5
    play = booted()
    play.station(2, "h", "Heartbeat", {})
    play.csms(4, "-1", "FormationViolation", "what", {})
    assert play.down()[:3] == [4, "h", "FormationViolation"]
    play.csms(4, "-1", "FormationViolation", "what", {})
    assert play.sent_down == play.sent_up == []


# -- who may charge -----------------------------------------------------------------------------------------------


def test_a_driver_the_csms_does_not_accept_is_stopped_when_it_hears_of_him() -> None:
    play = away()
    local = started_away(play)
    back(play)
    play.csms(3, up(play)[1], {"idTagInfo": {"status": "Blocked"}, "transactionId": 4711})
    assert play.down()[2:] == ["RemoteStopTransaction", {"transactionId": local}]
    assert any("does not accept the driver" in text for text in play.told())
    play.station(3, play.down()[1], {"status": "Accepted"})
    assert play.sent_up == [], "the answer to our own call stays here"


@pytest.mark.parametrize(("stop", "ended"), [(False, False), (True, True)])
def test_a_driver_is_not_stopped_twice_nor_against_the_configuration(stop: bool, ended: bool) -> None:
    play = away(stop_invalid=stop)
    local = started_away(play)
    if ended:
        play.station(2, "x", "StopTransaction", stop_16(local))
    back(play)
    play.csms(3, up(play)[1], {"idTagInfo": {"status": "Blocked"}, "transactionId": 4711})
    assert play.sent_down == []


def test_a_live_start_with_a_blocked_driver_is_the_station_s_business() -> None:
    play = booted()
    play.station(2, "s", "StartTransaction", start_16())
    play.csms(3, "s", {"idTagInfo": {"status": "Blocked"}, "transactionId": 5})
    assert len(play.sent_down) == 1


# -- a long outage -------------------------------------------------------------------------------------------------


def test_readings_beyond_the_bound_are_thinned_first_and_last_stay() -> None:  # E12.FR.04
    play = away(queued_values=20)
    local = started_away(play)
    told: list[str] = []
    for number in range(100):
        play.station(2, f"m{number}", "MeterValues", values_16(local, str(number)))
        told += play.told()
    play.station(2, "x", "StopTransaction", stop_16(local))
    assert len(play.rows) <= 2 + 20
    assert len([text for text in told if "every second one" in text]) == 1
    back(play)
    told = play.told()
    seen = drain(play)
    assert (seen[0][2], seen[-1][2]) == ("StartTransaction", "StopTransaction")
    readings = [int(frame[3]["meterValue"][0]["sampledValue"][0]["value"]) for frame in seen[1:-1]]
    assert readings == sorted(readings)
    assert (readings[0], readings[-1]) == (0, 99)
    assert any(f"{100 - len(readings)} periodic meter values were left out" in text for text in told)


def test_readings_without_a_transaction_are_one_group_per_evse() -> None:
    play = away(queued_values=10, evses=2)
    for number in range(12):
        play.station(2, f"a{number}", "MeterValues", values_16(None, str(number), connector_id=1))
        play.station(2, f"b{number}", "MeterValues", values_16(None, str(number), connector_id=2))
    groups = [row.values_of for row in play.rows.values()]
    assert {name: groups.count(name) for name in groups} == {"evse 1": 7, "evse 2": 7}


def test_only_the_head_of_a_long_queue_is_in_memory_and_all_of_it_arrives() -> None:
    play = away(queued_values=5000)
    local = started_away(play)
    for number in range(5 * PAGE):
        play.station(2, f"m{number}", "MeterValues", values_16(local, str(number)))
    outbox = play.links.sessions["CP1"].up.outbox
    assert (len(outbox), len(outbox._texts)) == (5 * PAGE + 1, PAGE)
    play = play.restarted()
    outbox = play.links.sessions["CP1"].up.outbox
    assert len(outbox._texts) == PAGE
    play.connect()
    seen = drain(play)
    assert [int(frame[3]["meterValue"][0]["sampledValue"][0]["value"]) for frame in seen[1:]] == list(range(5 * PAGE))


def test_a_message_damaged_on_disk_is_set_aside_and_the_next_one_goes() -> None:
    play = away(queued_values=5000)
    local = started_away(play)
    for number in range(2 * PAGE):
        play.station(2, f"m{number}", "MeterValues", values_16(local, str(number)))
    play.rows.pop(PAGE + 5)
    back(play)
    told: list[str] = []
    count = 0
    for _ in range(3 * PAGE):
        call = up(play)
        count += 1
        play.csms(3, call[1], {**ALLOWED, "transactionId": 1} if call[2] == "StartTransaction" else {})
        told += play.told()
        if not len(play.links.sessions["CP1"].up.outbox):
            break
    assert count == 2 * PAGE
    assert [text for text in told if "damaged on disk" in text]


def test_what_was_written_in_another_version_waits_for_a_leg_that_speaks_it() -> None:
    play = away()
    started_away(play)
    play.hang_up()
    play.version = "ocpp2.0.1"
    play.connect()
    play.station(2, "boot", "BootNotification", BOOT)
    play.csms(3, "boot", ACCEPTED)
    play.wait(10)
    assert len(play.rows) == 1
    play.hang_up()
    play.wait(62)
    (dial,) = play.facts(DialUpstream)
    assert dial.offered == ("ocpp1.6",)
    play.open("ocpp1.6")
    assert up(play)[2] == "StartTransaction"
    play.csms(3, up(play)[1], {**ALLOWED, "transactionId": 1})
    play.wait(2)
    assert [type(close) for close in play.closes()] == [CloseUpstream]


# -- bounds -------------------------------------------------------------------------------------------------------------


def test_f13_a_flood_behind_a_stalled_csms_is_bounded_and_answered() -> None:
    play = booted()
    values = values_16(77, "5" * 800)
    refusals = 0
    for number in range(1000):
        play.station(2, f"f{number}", "MeterValues", {**values, "n": number})
        refusals += sum(text.startswith("[4,") for text in play.sent_down)
    lane = play.links.sessions["CP1"].up.lane
    assert len(lane.unanswered()) <= 65
    assert sum(len(item.text) for item in lane.unanswered()) <= 40 * 1024
    assert all(item.note._shed for item in lane.waiting())
    assert refusals == 1000 - len(lane.unanswered())


def test_what_had_to_wait_is_complete_when_its_turn_comes() -> None:
    play = booted()
    play.station(2, "h", "Heartbeat", {})
    play.station(2, "a", "Authorize", {"idTag": "NEWONE"})
    play.csms(3, "h", {"currentTime": TIME})
    play.csms(3, "a", ALLOWED)
    play.close()
    play.station(2, "b", "Authorize", {"idTag": "NEWONE"})
    assert play.down()[2] == ALLOWED


def test_f23_a_thousand_reconnects_leave_nothing_behind() -> None:
    play = booted()
    up_side = play.links.sessions["CP1"].up

    def sizes() -> tuple[int, ...]:
        ids = up_side._replay.ids
        return (
            len(up_side.outbox),
            len(up_side.outbox._texts),
            len(up_side.outbox._slots),
            len(up_side.lane),
            len(up_side.lane.unanswered()),
            len(up_side._answers.held),
            len(up_side._settling._late_rows),
            len(up_side._owed),
            len(ids),
            len(up_side._answers.repeats),
        )

    seen: list[tuple[int, ...]] = []
    for number in range(1000):
        play.close("gone")
        minute, hour = number % 60, number // 60
        moment = f"2026-11-{21 + hour // 24:02}T{hour % 24:02}:{minute:02}:00Z"
        local = started_away(play, f"s{number}", time=moment)
        play.station(2, f"x{number}", "StopTransaction", stop_16(local, time=moment))
        back(play)
        call = up(play)
        play.csms(3, call[1], {**ALLOWED, "transactionId": number + 1})
        play.csms(3, up(play)[1], {})
        seen.append(sizes())
    assert play.rows == {}
    assert max(map(sum, seen[100:])) <= max(map(sum, seen[:100]))


@pytest.mark.parametrize("evse_id", [1, 2])
def test_f22_a_refused_2x_event_does_not_hold_up_other_evses(evse_id: int) -> None:
    """The next session of its own waits until it is taken or given up (decision 0008)."""
    play = Playbook(config(evses=2))
    play.connect()
    play.station(2, "boot", "BootNotification", BOOT)
    play.csms(3, "boot", ACCEPTED)
    play.close()
    play.station(2, "a", "TransactionEvent", event("Started", 0, "tx-a", idToken=TOKEN))
    play.station(2, "b", "TransactionEvent", event("Started", 0, "tx-b", idToken=TOKEN, evse={"id": evse_id, "connectorId": 1}))
    back(play)
    for attempt in (1, 2, 3):
        first = up(play)
        assert first[3]["transactionInfo"]["transactionId"] == "tx-a"
        play.csms(4, first[1], "InternalError", "", {})
        if evse_id == 2 or attempt == 3:
            break
        assert play.sent_up == []
        play.wait(30 * attempt)
    assert up(play)[3]["transactionInfo"]["transactionId"] == "tx-b"


def test_texts_are_asked_for_again_if_the_disk_does_not_answer() -> None:
    play = away(queued_values=5000)
    local = started_away(play)
    for number in range(2 * PAGE):
        play.station(2, f"m{number}", "MeterValues", values_16(local, str(number)))
    up_side = play.links.sessions["CP1"].up
    for _ in range(PAGE):
        row = up_side.outbox.next(play.mono_s)
        assert row is not None
        up_side.outbox.done(row.number)
    assert up_side.outbox.next(play.mono_s) is None
    assert len(up_side.outbox.to_load(play.mono_s)) == PAGE
    assert up_side.outbox.to_load(play.mono_s + 5.0) == ()
    assert len(up_side.outbox.to_load(play.mono_s + 31.0)) == PAGE
