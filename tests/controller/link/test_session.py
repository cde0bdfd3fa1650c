"""One station, one CSMS, Yardmaster between: transcripts of what goes where."""

import json

from controller.facts import EvseKey, SessionChanged, SetpointAnswered, StationOffline, StationOnline, UpstreamWished
from controller.ocpp.times import timestamp
from controller.orders import CloseStation, CloseUpstream, DialUpstream, Inject, InstallFloor, Persist
from tests.support.playbook import BOOT, BOOT_16, TOKEN, Playbook, config, event
from tests.support.schemas import check_response

ACCEPTED = {"status": "Accepted", "interval": 300, "currentTime": "2026-11-21T16:00:00Z"}
PROFILE = {
    "id": 17,
    "stackLevel": 3,
    "chargingProfilePurpose": "TxDefaultProfile",
    "chargingProfileKind": "Relative",
    "chargingSchedule": [{"id": 1, "chargingRateUnit": "A", "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 10.0, "numberPhases": 3}]}],
}


def booted() -> Playbook:
    play = Playbook()
    play.connect()
    play.station(2, "boot", "BootNotification", BOOT)
    play.csms(3, "boot", ACCEPTED)
    return play


def charging() -> Playbook:
    play = booted()
    play.station(2, "start", "TransactionEvent", event("Started", 0, idToken=TOKEN))
    play.csms(3, "start", {"idTokenInfo": {"status": "Accepted"}})
    return play


def inject(number: int = 1, limit_a: float = 16.0, urgent: bool = False) -> Inject:
    return Inject(EvseKey("CP1", 1), number, limit_a, 3, 120.0, "plan", urgent)


# -- relay -------------------------------------------------------------------------------------------


def test_frames_pass_byte_for_byte_with_their_ids() -> None:
    play = Playbook()
    play.connect()
    odd = '[2, "id with  spaces",  "DataTransfer", {"vendorId":"x","data":{"n":31.884057998657227,"e":"\\u00e9"}} ]'
    play.station(odd)
    assert play.sent_up == [odd]
    back = '[3,  "id with  spaces", {"status":"Accepted" , "data":[1,2.50]}]'
    play.csms(back)
    assert play.sent_down == [back]


def test_csms_calls_pass_and_their_answers_return() -> None:
    play = booted()
    call = '[2,"c-1","Reset",{ "type":"OnIdle"}]'
    play.csms(call)
    assert play.sent_down == [call]
    answer = '[3,"c-1", {"status":"Scheduled"}]'
    play.station(answer)
    assert play.sent_up == [answer]


def test_a_call_error_of_the_station_passes_unchanged_even_with_an_unknown_code() -> None:
    play = booted()
    play.csms(2, "c-1", "Reset", {"type": "OnIdle"})
    error = '[4,"c-1","FormationViolation","' + "x" * 600 + '",{}]'
    play.station(error)
    assert play.sent_up == [error]


def test_the_first_frames_wait_for_the_dial_and_then_go_up() -> None:
    play = Playbook()
    play.connect(csms=None)
    dials = play.facts(DialUpstream)
    assert [dial.offered for dial in dials] == [("ocpp2.0.1",)]
    play.station(2, "boot", "BootNotification", BOOT)
    assert play.sent_up == []
    play.open()
    assert play.up()[:3] == [2, "boot", "BootNotification"]


def test_one_call_in_flight_upwards_even_when_the_station_pipelines() -> None:
    play = booted()
    play.station(2, "h1", "Heartbeat", {})
    assert len(play.sent_up) == 1
    play.station(2, "h2", "Heartbeat", {})
    assert play.sent_up == []
    play.csms(3, "h1", {"currentTime": "2026-11-21T16:00:00Z"})
    assert play.up()[1] == "h2"
    assert play.down()[1] == "h1"


def test_the_same_call_again_gets_the_same_answer_without_effect() -> None:  # F15
    play = charging()
    play.station(2, "start", "TransactionEvent", event("Started", 0, idToken=TOKEN))
    assert play.down() == [3, "start", {"idTokenInfo": {"status": "Accepted"}}]
    assert play.sent_up == []
    assert play.facts(SessionChanged) == []


def test_broken_messages_get_the_protocol_s_error_and_harm_nobody() -> None:
    play = booted()
    play.station("{not json")
    answer = play.down()
    assert answer[:2] == [4, "-1"]
    assert play.sent_up == []
    play.station(2, "h1", "Heartbeat", {})
    assert play.up()[1] == "h1"


def test_a_flood_of_broken_messages_ends_the_connection() -> None:
    play = booted()
    for _ in range(61):
        play.station("[")
    assert [close.code for close in play.closes() if isinstance(close, CloseStation)] == [1008]


def test_an_answer_to_nothing_is_dropped() -> None:  # F07
    play = booted()
    play.station(3, "never-asked", {})
    play.csms(3, "never-asked", {})
    assert play.sent_up == play.sent_down == []


def test_the_station_leaving_closes_its_upstream_leg() -> None:  # F01
    play = booted()
    play.hang_up()
    assert [type(close) for close in play.closes()] == [CloseUpstream]
    assert play.facts(StationOffline)


def test_a_stale_close_does_not_touch_the_new_connection() -> None:  # F10
    play = booted()
    old = play.generation
    play.connect()
    play.generation, new = old, play.generation
    play.hang_up()
    play.generation = new
    play.station(2, "h1", "Heartbeat", {})
    assert play.up()[1] == "h1"


# -- boot and online -----------------------------------------------------------------------------------


def test_online_after_an_accepted_boot_and_again_after_a_reboot() -> None:  # F08
    play = Playbook()
    play.connect()
    play.station(2, "boot", "BootNotification", BOOT)
    assert play.facts(StationOnline) == []
    play.csms(3, "boot", ACCEPTED)
    assert len(play.facts(StationOnline)) == 1
    play.station(2, "boot2", "BootNotification", BOOT)
    assert len(play.facts(StationOffline)) == 1
    play.csms(3, "boot2", ACCEPTED)
    assert len(play.facts(StationOnline)) == 1


def test_pending_stations_are_controlled_rejected_ones_cannot_be() -> None:  # F32
    for status, online in (("Pending", 1), ("Rejected", 0)):
        play = Playbook()
        play.connect()
        play.station(2, "boot", "BootNotification", BOOT)
        play.csms(3, "boot", {**ACCEPTED, "status": status})
        assert len(play.facts(StationOnline)) == online
        play.wait(20)
        assert play.facts(StationOnline) == []


def test_a_station_that_reconnects_without_boot_is_online_by_its_first_message_or_after_a_while() -> None:
    play = Playbook()
    play.connect()
    play.station(2, "h1", "Heartbeat", {})
    assert len(play.facts(StationOnline)) == 1
    silent = Playbook()
    silent.connect()
    silent.wait(6)
    assert len(silent.facts(StationOnline)) == 1


# -- our own calls ----------------------------------------------------------------------------------------


def test_answers_to_our_own_calls_never_leak_upstream() -> None:
    play = charging()
    play.carry(inject(7))
    call = play.down()
    assert call[0] == 2
    assert call[2] == "SetChargingProfile"
    assert call[3]["chargingProfile"]["transactionId"] == "tx-1"
    play.station(3, call[1], {"status": "Accepted"})
    assert play.sent_up == []
    (answered,) = play.facts(SetpointAnswered)
    assert (answered.number, answered.accepted) == (7, True)


def test_a_cut_waits_for_the_csms_call_in_flight_and_goes_before_the_next_a_rise_does_not() -> None:
    play = charging()
    play.csms(2, "c-1", "Reset", {"type": "OnIdle"})
    play.csms(2, "c-2", "ClearCache", {})
    play.carry(inject(urgent=True))
    assert play.sent_down == []
    play.station(3, "c-1", {"status": "Scheduled"})
    assert play.down()[2] == "SetChargingProfile"
    play.station(3, play.down()[1], {"status": "Accepted"})
    assert play.down()[1] == "c-2"
    play.csms(2, "c-3", "ClearCache", {})
    play.carry(inject(2))
    play.station(3, "c-2", {"status": "Accepted"})
    assert play.down()[1] == "c-3"


def test_only_the_newest_of_two_waiting_setpoints_goes_out() -> None:
    play = charging()
    play.csms(2, "c-1", "Reset", {"type": "OnIdle"})
    play.carry(inject(1, 16.0))
    play.carry(inject(2, 8.0))
    assert [(a.number, a.accepted) for a in play.facts(SetpointAnswered)] == [(1, False)]
    play.station(3, "c-1", {"status": "Scheduled"})
    assert play.down()[3]["chargingProfile"]["chargingSchedule"][0]["chargingSchedulePeriod"][0]["limit"] == 8.0


def test_a_station_that_never_answers_frees_the_lane_and_the_csms_gets_an_error() -> None:  # F05
    play = charging()
    play.csms(2, "c-1", "Reset", {"type": "OnIdle"})
    play.carry(inject(3))
    play.wait(31)
    assert json.loads(play.sent_up[0])[:3] == [4, "c-1", "GenericError"]
    assert json.loads(play.sent_down[0])[2] == "SetChargingProfile"
    play.station(3, "c-1", {"status": "Accepted"})
    assert play.sent_up == []  # F06
    play.wait(31)
    assert [(a.number, a.accepted) for a in play.facts(SetpointAnswered)] == [(3, False)]


def test_our_setpoint_ends_by_itself_and_leaves_the_floor() -> None:
    play = charging()
    play.carry(InstallFloor(EvseKey("CP1", 1), 1, 6.0, 3))
    floor = play.down()[3]
    assert floor["chargingProfile"]["chargingProfilePurpose"] == "TxDefaultProfile"
    assert "duration" not in floor["chargingProfile"]["chargingSchedule"][0]
    play.station(3, play.down()[1], {"status": "Accepted"})
    play.carry(inject())
    schedule = play.down()[3]["chargingProfile"]["chargingSchedule"][0]
    assert schedule["duration"] == 180
    assert schedule["startSchedule"] == timestamp(play.at.wall_s - 60.0)


# -- profiles of the CSMS ------------------------------------------------------------------------------------


def test_a_profile_of_the_csms_is_stored_then_answered_and_never_reaches_the_station() -> None:
    play = booted()
    play.disk = None
    play.csms(2, "p-1", "SetChargingProfile", {"evseId": 1, "chargingProfile": PROFILE})
    assert play.sent_up == play.sent_down == []
    (order,) = play.unwritten
    play.disk = True
    play.feed(play.write(order))
    assert play.up() == [3, "p-1", {"status": "Accepted"}]
    assert play.sent_down == []
    (wished,) = [w for w in play.facts(UpstreamWished) if w.evse.evse_id == 1]
    assert wished.steps[0].limit_a == 10.0
    assert "17" in wished.reason


def test_a_profile_the_disk_refuses_is_refused() -> None:
    play = booted()
    play.disk = False
    play.csms(2, "p-1", "SetChargingProfile", {"evseId": 1, "chargingProfile": PROFILE})
    assert play.up()[:3] == [4, "p-1", "InternalError"]


def test_a_profile_for_an_unknown_evse_is_rejected_with_a_reason() -> None:
    play = booted()
    play.csms(2, "p-1", "SetChargingProfile", {"evseId": 9, "chargingProfile": PROFILE})
    answer = play.up()
    assert answer[2]["status"] == "Rejected"
    assert answer[2]["statusInfo"]["reasonCode"]


def test_the_composite_tells_the_lower_of_wish_and_command() -> None:  # F25
    play = charging()
    play.csms(2, "p-1", "SetChargingProfile", {"evseId": 1, "chargingProfile": PROFILE})
    play.carry(inject(1, 7.0))
    play.station(3, play.down()[1], {"status": "Accepted"})
    play.csms(2, "g-1", "GetCompositeSchedule", {"evseId": 1, "duration": 600, "chargingRateUnit": "A"})
    answer = play.up()[2]
    assert answer["status"] == "Accepted"
    assert answer["schedule"]["chargingSchedulePeriod"][0]["limit"] == 7.0
    play.carry(inject(2, 32.0))
    play.station(3, play.down()[1], {"status": "Accepted"})
    play.csms(2, "g-2", "GetCompositeSchedule", {"evseId": 1, "duration": 600, "chargingRateUnit": "A"})
    assert play.up()[2]["schedule"]["chargingSchedulePeriod"][0]["limit"] == 10.0


def test_profiles_are_reported_and_cleared_from_the_same_store() -> None:
    play = booted()
    play.csms(2, "p-1", "SetChargingProfile", {"evseId": 1, "chargingProfile": PROFILE})
    play.csms(2, "g-1", "GetChargingProfiles", {"requestId": 5, "chargingProfile": {}})
    answer, report = (json.loads(text) for text in play.sent_up)
    assert answer == [3, "g-1", {"status": "Accepted"}]
    assert report[2] == "ReportChargingProfiles"
    assert report[3]["requestId"] == 5
    assert report[3]["chargingProfile"] == [PROFILE]
    play.csms(3, report[1], {})
    assert play.sent_down == []
    play.csms(2, "x-1", "ClearChargingProfile", {"chargingProfileId": 17})
    assert play.up()[2] == {"status": "Accepted"}
    play.csms(2, "x-2", "ClearChargingProfile", {"chargingProfileId": 17})
    assert play.up()[2] == {"status": "Unknown"}
    play.csms(2, "g-2", "GetChargingProfiles", {"requestId": 6, "chargingProfile": {}})
    assert play.up()[2] == {"status": "NoProfiles"}


def test_profiles_survive_a_restart() -> None:
    play = booted()
    play.csms(2, "p-1", "SetChargingProfile", {"evseId": 1, "chargingProfile": PROFILE})
    play = play.restarted()
    play.connect()
    play.csms(2, "g-1", "GetChargingProfiles", {"requestId": 5, "chargingProfile": {}})
    assert json.loads(play.sent_up[0])[2] == {"status": "Accepted"}


def test_a_profile_in_a_remote_start_is_kept_here_and_the_start_goes_on() -> None:  # K05
    play = booted()
    profile = {**PROFILE, "chargingProfilePurpose": "TxProfile"}
    request = {"evseId": 1, "remoteStartId": 3, "idToken": TOKEN, "chargingProfile": profile}
    play.csms(2, "r-1", "RequestStartTransaction", request)
    assert play.down() == [2, "r-1", "RequestStartTransaction", {"evseId": 1, "remoteStartId": 3, "idToken": TOKEN}]
    play.station(3, "r-1", {"status": "Accepted"})
    assert play.up()[1] == "r-1"
    play.station(2, "s-1", "TransactionEvent", event("Started", 0))
    (wished,) = [w for w in play.facts(UpstreamWished) if w.evse.evse_id == 1]
    assert wished.steps[0].limit_a == 10.0


def test_a_remote_start_without_profile_passes_byte_for_byte() -> None:
    play = booted()
    text = '[2,"r-1","RequestStartTransaction",{"remoteStartId":3, "idToken":{"idToken":"A","type":"Central"}}]'
    play.csms(text)
    assert play.sent_down == [text]


def test_commands_that_would_move_the_station_past_us_are_refused() -> None:  # F27
    play = booted()
    play.csms(2, "n-1", "SetNetworkProfile", {"configurationSlot": 1, "connectionData": {}})
    assert play.up()[2]["status"] == "Rejected"
    risky = [{"attributeValue": "x", "component": {"name": "SecurityCtrlr"}, "variable": {"name": "Identity"}}]
    play.csms(2, "v-1", "SetVariables", {"setVariableData": risky})
    assert play.up()[2]["setVariableResult"][0]["attributeStatus"] == "Rejected"
    assert play.sent_down == []
    fine = [{"attributeValue": "60", "component": {"name": "OCPPCommCtrlr"}, "variable": {"name": "HeartbeatInterval"}}]
    play.csms(2, "v-2", "SetVariables", {"setVariableData": fine})
    assert play.down()[1] == "v-2"


# -- the CSMS is away ---------------------------------------------------------------------------------------------


def test_a_transaction_message_is_on_disk_before_its_answer() -> None:  # P1
    play = charging()
    play.close()
    play.disk = None
    play.station(2, "u-1", "TransactionEvent", event("Updated", 1))
    assert play.sent_down == []
    (order,) = play.unwritten
    play.station(2, "u-1", "TransactionEvent", event("Updated", 1))
    assert play.sent_down == []
    assert len(play.unwritten) == 1
    play.feed(play.write(order))
    assert play.down() == [3, "u-1", {}]


def test_a_full_disk_closes_the_socket_instead_of_lying() -> None:  # F73
    play = charging()
    play.close()
    play.disk = False
    play.station(2, "u-1", "TransactionEvent", event("Updated", 1))
    assert play.sent_down == []
    assert [close.code for close in play.closes() if isinstance(close, CloseStation)] == [1013]
    assert any("disk" in text for text in play.told())


def test_the_queue_goes_up_in_order_marked_offline_with_fresh_ids() -> None:  # F19
    play = charging()
    play.close()
    for seq in (1, 2):
        play.station(2, f"u-{seq}", "TransactionEvent", event("Updated", seq))
        assert play.down() == [3, f"u-{seq}", {}]
    play.station(2, "end", "TransactionEvent", event("Ended", 3))
    assert len(play.rows) == 3
    play.wait(5)
    play.open()
    seen = []
    while play.sent_up:
        _, message_id, action, payload = play.up()
        assert action == "TransactionEvent"
        assert payload["offline"] is True
        assert not message_id.startswith("u-")
        seen.append(payload["seqNo"])
        play.csms(3, message_id, {})
        if not play.sent_up:
            play.wait(1)
    assert seen == [1, 2, 3]
    assert play.rows == {}


def test_live_messages_of_a_transaction_queue_behind_what_waits_others_do_not() -> None:
    play = charging()
    play.close()
    play.station(2, "u-1", "TransactionEvent", event("Updated", 1))
    play.wait(5)
    play.open()
    replay = play.up()
    play.station(2, "u-2", "TransactionEvent", event("Updated", 2))
    assert play.down() == [3, "u-2", {}]
    play.station(2, "h-1", "Heartbeat", {})
    assert play.sent_up == []
    play.csms(3, replay[1], {})
    assert play.up()[1] == "h-1"
    play.csms(3, "h-1", {"currentTime": "2026-11-21T16:00:00Z"})
    assert play.up()[3]["seqNo"] == 2


def test_what_was_on_its_way_when_the_csms_left_is_kept() -> None:
    play = charging()
    play.station(2, "u-1", "TransactionEvent", event("Updated", 1))
    assert len(play.sent_up) == 1
    play.close()
    assert play.down() == [3, "u-1", {}]
    assert len(play.rows) == 1


def test_a_slow_csms_does_not_let_the_station_wait_and_its_late_answer_counts() -> None:  # F21
    play = charging()
    play.station(2, "u-1", "TransactionEvent", event("Updated", 1))
    play.wait(31)
    assert [3, "u-1", {}] in [json.loads(text) for text in play.sent_down]
    # The replay is on its way already; its answer settles the row, the late one to the original does not double it.
    play.csms(3, "u-1", {})
    assert len(play.rows) <= 1


def test_refused_three_times_a_message_is_parked_and_the_next_one_goes() -> None:  # F22
    play = charging()
    play.close()
    play.station(2, "u-1", "TransactionEvent", event("Updated", 1))
    play.station(2, "u-2", "TransactionEvent", event("Updated", 2))
    play.wait(5)
    play.open()
    for attempt in (1, 2, 3):
        assert play.up()[3]["seqNo"] == 1
        play.csms(4, play.up()[1], "InternalError", "", {})
        assert any("export-parked" in text for text in play.told()) is (attempt == 3)
        play.wait_until_up(100)
    assert play.up()[3]["seqNo"] == 2
    assert play.links.view()[0].parked == 1


def test_kill_and_restart_lose_nothing_acknowledged() -> None:  # F67
    play = charging()
    play.close()
    play.station(2, "u-1", "TransactionEvent", event("Updated", 1))
    play = play.restarted()
    play.connect()
    _, _, action, payload = play.up()
    assert (action, payload["seqNo"], payload["offline"]) == ("TransactionEvent", 1, True)
    play.csms(3, play.up()[1], {})
    play.station(2, "u-2", "TransactionEvent", event("Updated", 2))
    known = play.facts(SessionChanged)  # told from memory when the station came, and again by the station
    assert [(one.evse, one.live, one.ended) for one in known] == [(EvseKey("CP1", 1), True, False)] * 2


def test_a_boot_during_the_outage_is_accepted_here_and_told_first_on_return() -> None:
    play = Playbook()
    play.connect(csms=False)
    play.station(2, "boot", "BootNotification", BOOT)
    answer = play.down()
    assert answer[:2] == [3, "boot"]
    assert answer[2]["status"] == "Accepted"
    assert play.facts(StationOnline)
    play.station(2, "st", "StatusNotification", {"timestamp": "2026-11-21T16:00:00Z", "connectorStatus": "Occupied", "evseId": 1, "connectorId": 1})
    play.station(2, "start", "TransactionEvent", event("Started", 0))
    play.wait(5)
    play.open()
    boot = play.up()
    assert boot[2:] == ["BootNotification", BOOT]
    play.csms(3, boot[1], {**ACCEPTED, "status": "Pending"})
    assert play.sent_up == []
    play.wait(299)
    assert play.sent_up == [], "not before the interval it has named (F32)"
    play.wait(2)
    boot = play.up()
    assert boot[2] == "BootNotification"
    play.csms(3, boot[1], ACCEPTED)
    status = play.up()
    assert status[2] == "StatusNotification"
    assert status[3]["connectorStatus"] == "Occupied"
    play.csms(3, status[1], {})
    assert play.up()[3]["eventType"] == "Started"


def test_without_a_trusted_clock_a_boot_is_pending_but_the_station_is_controlled() -> None:  # F78
    from controller.facts import Stamp, StationFrame

    play = Playbook()
    play.connect(csms=False)
    at = Stamp(play.mono_s, 1000.0, wall_trusted=False)
    play.feed(StationFrame(at, "CP1", play.generation, json.dumps([2, "boot", "BootNotification", BOOT])))
    assert play.down()[2]["status"] == "Pending"
    assert play.facts(StationOnline)


def test_known_drivers_start_during_the_outage_unknown_ones_do_not() -> None:
    play = booted()
    play.station(2, "a-1", "Authorize", {"idToken": TOKEN})
    play.csms(3, "a-1", {"idTokenInfo": {"status": "Accepted"}})
    play.close()
    play.station(2, "a-2", "Authorize", {"idToken": TOKEN})
    assert play.down()[2] == {"idTokenInfo": {"status": "Accepted"}}
    play.station(2, "a-3", "Authorize", {"idToken": {"idToken": "STRANGER", "type": "ISO14443"}})
    assert play.down()[2] == {"idTokenInfo": {"status": "Unknown"}}


def test_transaction_status_tells_of_our_queue() -> None:  # E14, trap 10
    play = charging()
    play.csms(2, "t-1", "GetTransactionStatus", {"transactionId": "tx-1"})
    assert play.down()[1] == "t-1"
    play.station(3, "t-1", {"ongoingIndicator": True, "messagesInQueue": False})
    play.close()
    play.station(2, "u-1", "TransactionEvent", event("Updated", 1))
    play.wait(5)
    play.open()
    play.csms(2, "t-2", "GetTransactionStatus", {"transactionId": "tx-1"})
    assert play.up() == [3, "t-2", {"ongoingIndicator": True, "messagesInQueue": True}]


def test_transparent_outage_mode_lets_the_station_queue_itself() -> None:
    play = Playbook(config(outage="transparent"))
    play.connect()
    play.close()
    assert [close.code for close in play.closes() if isinstance(close, CloseStation)] == [1001]


def test_without_any_csms_everything_is_answered_here() -> None:
    play = Playbook(config(upstream=False))
    play.connect(csms=None)
    for message_id, action, payload in (
        ("b", "BootNotification", BOOT),
        ("a", "Authorize", {"idToken": TOKEN}),
        ("t", "TransactionEvent", event("Started", 0, idToken=TOKEN)),
    ):
        play.station(2, message_id, action, payload)
        assert play.down()[:2] == [3, message_id]
        assert not [o for o in play.facts(Persist) if o.rows]
    assert play.links.view()[0].upstream == "none"


def test_a_station_that_never_returns_does_not_keep_its_transactions_from_the_csms() -> None:
    play = charging()
    play.close()
    play.station(2, "u-1", "TransactionEvent", event("Updated", 1))
    play.hang_up()
    play.wait(62)
    assert play.facts(DialUpstream)
    play.open()
    assert play.up()[3]["seqNo"] == 1
    play.csms(3, play.up()[1], {})
    play.wait(2)
    assert [type(close) for close in play.closes()] == [CloseUpstream]


# -- 2.1: messages without an answer -------------------------------------------------------------------------------

SEND = '[6,"s-1","NotifyPeriodicEventStream",{"id":1,"pending":0,"basetime":"2026-11-21T16:00:00Z","data":[{"t":0,"v":"1"}]}]'


def booted_21() -> Playbook:
    play = Playbook(version="ocpp2.1")
    play.connect()
    play.station(2, "boot", "BootNotification", BOOT)
    play.csms(3, "boot", ACCEPTED)
    return play


def test_a_send_passes_while_the_csms_is_there_and_is_dropped_otherwise() -> None:  # trap 3, N13
    play = booted_21()
    play.station(SEND)
    assert play.sent_up == [SEND]
    play.station(2, "h", "Heartbeat", {})
    play.station(SEND)
    assert play.sent_up == [SEND], "a CALL in flight does not hold it"
    play.close()
    play.station(SEND)
    assert (play.sent_up, play.sent_down) == ([], [])
    assert play.rows == {}
    early = Playbook(version="ocpp2.1")
    early.connect(csms=None)
    early.station(SEND)
    early.open()
    assert early.sent_up == []


def test_below_2_1_no_such_message_goes_anywhere() -> None:  # trap 3
    play = booted()
    play.station(SEND)
    assert play.sent_up == []
    assert play.down()[:3] == [4, "s-1", "MessageTypeNotSupported"]
    play.station('[5,"boot","FormatViolation","",{}]')
    play.csms('[5,"boot","FormatViolation","",{}]')
    assert (play.sent_up, play.sent_down) == ([], [])


def test_a_call_result_error_reaches_only_who_gave_that_answer() -> None:
    play = booted_21()
    about_boot = '[5,"boot","FormatViolation","cannot be read",{}]'
    play.station(about_boot)
    assert play.sent_up == [about_boot], "the CSMS gave that answer"
    play.station('[5,"never","FormatViolation","",{}]')
    assert play.sent_up == []
    play.csms(2, "c", "ClearCache", {})
    play.station(3, "c", {"status": "Accepted"})
    about_c = '[5,"c","FormatViolation","",{}]'
    play.csms(about_c)
    assert play.sent_down == [about_c], "the station gave that answer"
    play.csms(2, "g", "GetCompositeSchedule", {"evseId": 1, "duration": 60})
    play.csms('[5,"g","FormatViolation","",{}]')
    assert play.sent_down == [], "we gave that answer"
    play.close()
    play.station(2, "s", "StatusNotification", {"timestamp": "2026-11-21T16:00:00Z", "connectorStatus": "Occupied", "evseId": 1, "connectorId": 1})
    play.wait(5)
    play.station('[5,"s","FormatViolation","",{}]')
    assert play.sent_up == []


def test_a_question_about_a_profile_that_is_kept_here_is_answered_here() -> None:  # K28
    play = booted_21()
    play.station(2, "p", "PullDynamicScheduleUpdate", {"chargingProfileId": 7})
    assert play.down()[:2] == [3, "p"]
    check_response("PullDynamicScheduleUpdate", play.down()[2], "v21")
    assert play.sent_up == []


# -- 1.6 --------------------------------------------------------------------------------------------------------------


def test_1_6_frames_pass_byte_for_byte_with_the_security_whitepaper_and_unknown_actions() -> None:
    play = Playbook(version="ocpp1.6")
    play.connect()
    for number, action in enumerate(("BootNotification", "SecurityEventNotification", "FooSigned", "DataTransfer")):
        text = f'[2,  "u{number}", "{action}", {{"x": 1.50}}]'
        play.station(text)
        assert play.sent_up == [text]
        play.csms(f'[3,"u{number}",{{ }}]')
    for number, action in enumerate(("SignedUpdateFirmware", "ExtendedTriggerMessage", "BarSigned")):
        text = f'[2,  "d{number}", "{action}", {{"x": 1.50}}]'
        play.csms(text)
        assert play.sent_down == [text]
        play.station(f'[4,"d{number}","NotSupported","",{{}}]')
        assert play.sent_up == [f'[4,"d{number}","NotSupported","",{{}}]']


def test_1_6_error_codes_are_spelled_as_1_6_spells_them() -> None:
    play = Playbook(version="ocpp1.6")
    play.connect()
    play.station(2, "x", "Heartbeat", 5)
    assert play.down()[:3] == [4, "x", "FormationViolation"]
    play.csms(2, "y", "Reset", 5)
    assert play.up()[:3] == [4, "y", "FormationViolation"]


def test_a_1_6_boot_in_an_outage_is_accepted_here_and_told_first_on_return() -> None:
    play = Playbook(version="ocpp1.6")
    play.connect(csms=False)
    play.station(2, "b", "BootNotification", BOOT_16)
    assert play.down()[2]["status"] == "Accepted"
    check_response("BootNotification", play.down()[2], "v16")
    assert play.facts(StationOnline)
    play.wait(5)
    play.open()
    assert play.up()[2:] == ["BootNotification", BOOT_16]
