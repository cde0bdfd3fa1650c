"""Transactions of a 1.6 station as a 2.1 CSMS sees them (OCPP-NOTES 12.5, 12.6). Expected events are written down by hand."""

from __future__ import annotations

from typing import Any

import pytest

from controller.ocpp.hub import NO_ANSWER, Failed, Keep, Message, Said
from controller.ocpp.v16.station_side import StationSide16
from tests.support.talking import NOON, Talking

CARD = {"idToken": "04A1B2C3", "type": "ISO14443"}
START = {"connectorId": 1, "idTag": "04A1B2C3", "meterStart": 1000, "timestamp": NOON}
UUID = "00000000-0000-4000-8000-000000000001"
HUB = {
    "TransactionEvent": lambda event: {"idTokenInfo": {"status": "Accepted"}} if "idToken" in event else {},
    **{key: {} for key in ("StatusNotification", "MeterValues", "NotifyEvent", "SecurityEventNotification")},
    "Authorize": {"idTokenInfo": {"status": "Accepted"}},
}


def talking(**hub: Any) -> Talking:
    """A connected station and a friendly CSMS. hub: other answers."""
    made = Talking(StationSide16, hub={**HUB, **hub})
    made.opened()
    return made


def charging(**hub: Any) -> Talking:
    """With a transaction at connector 1 that the CSMS knows."""
    made = talking(**hub)
    made.said("StartTransaction", START)
    made.log.clear()
    return made


def values(text: str, at: str = "2026-11-21T12:00:10.000Z", **more: Any) -> dict[str, Any]:
    """MeterValues of transaction 1001."""
    return {"connectorId": 1, "transactionId": 1001, "meterValue": [{"timestamp": at, "sampledValue": [{"value": text, **more}]}]}


def stop(**more: Any) -> dict[str, Any]:
    """StopTransaction of 1001."""
    return {"transactionId": 1001, "meterStop": 9000, "timestamp": "2026-11-21T12:00:30Z", **more}


def events(peer: Talking) -> list[dict[str, Any]]:
    """The TransactionEvents since the last look."""
    return [payload for action, payload in peer.sent("hub") if action == "TransactionEvent"]


# -- one session -----------------------------------------------------------------------------------------


def test_a_start_is_a_started_event_and_its_answer_names_our_number() -> None:
    peer = talking()
    assert peer.said("StartTransaction", START) == Said({"transactionId": 1001, "idTagInfo": {"status": "Accepted"}})
    sample = {"value": 1000.0, "context": "Transaction.Begin", "measurand": "Energy.Active.Import.Register", "unitOfMeasure": {"unit": "Wh"}}
    assert events(peer) == [
        {
            "eventType": "Started",
            "timestamp": NOON,
            "triggerReason": "Authorized",
            "seqNo": 0,
            "transactionInfo": {"transactionId": UUID, "chargingState": "EVConnected"},
            "evse": {"id": 1, "connectorId": 1},
            "idToken": CARD,
            "meterValue": [{"timestamp": NOON, "sampledValue": [sample]}],
        }
    ]


def test_the_id_is_on_disk_before_anything_goes_up() -> None:
    peer = talking()
    peer.disk_fails = True
    assert isinstance(peer.said("StartTransaction", START), Failed)
    assert peer.sent() == []


def test_readings_states_and_the_stop_count_on() -> None:
    peer = charging()
    peer.said("MeterValues", values("1100", context="Sample.Periodic"))
    peer.said("MeterValues", values("1200", "2026-11-21T12:00:15Z", context="Sample.Clock"))
    peer.said("StatusNotification", {"connectorId": 1, "status": "Charging", "errorCode": "NoError", "timestamp": "2026-11-21T12:00:20Z"})
    peer.said("MeterValues", values("1300", "2026-11-21T12:00:25Z", context="Trigger"))
    peer.said("StopTransaction", stop(reason="Remote"))
    told = events(peer)
    assert [(event["eventType"], event["seqNo"], event["triggerReason"]) for event in told] == [
        ("Updated", 1, "MeterValuePeriodic"),
        ("Updated", 2, "MeterValueClock"),
        ("Updated", 3, "ChargingStateChanged"),
        ("Updated", 4, "Trigger"),
        ("Ended", 5, "RemoteStop"),
    ]
    assert {event["transactionInfo"]["transactionId"] for event in told} == {UUID}
    assert told[2]["transactionInfo"]["chargingState"] == "Charging"
    assert told[2]["timestamp"] == "2026-11-21T12:00:20.000Z"
    assert told[4]["transactionInfo"]["stoppedReason"] == "Remote"
    (final,) = told[4]["meterValue"]
    assert (final["sampledValue"][0]["value"], final["sampledValue"][0]["context"]) == (9000.0, "Transaction.End")
    assert not any("evse" in event or "idToken" in event for event in told)


def test_who_stops_is_told_and_what_the_csms_says_of_him_comes_back() -> None:
    peer = charging()
    peer.hub["TransactionEvent"] = {"idTokenInfo": {"status": "NoCredit"}}
    assert peer.said("StopTransaction", stop(idTag="04a1b2c3")) == Said({"idTagInfo": {"status": "Blocked"}})
    (ended,) = events(peer)
    assert ended["idToken"] == {"idToken": "04a1b2c3", "type": "ISO14443"}
    assert (ended["transactionInfo"]["stoppedReason"], ended["triggerReason"]) == ("Local", "StopAuthorized")


def test_transaction_data_goes_with_the_end() -> None:
    peer = charging()
    signed = {"value": "QUJD", "format": "SignedData", "context": "Transaction.Begin"}
    raw = {"value": "8000", "context": "Transaction.End"}
    data = [{"timestamp": "2026-11-21T12:00:30Z", "sampledValue": [signed, raw]}]
    peer.said("StopTransaction", stop(transactionData=data))
    (ended,) = events(peer)
    (entry,) = ended["meterValue"]  # the station's own final reading is there: none is made of meterStop
    assert [(sample["value"], sample["context"]) for sample in entry["sampledValue"]] == [(8000.0, "Transaction.End"), (1000.0, "Transaction.Begin")]
    assert entry["sampledValue"][1]["signedMeterValue"]["signedMeterData"] == "QUJD"


@pytest.mark.parametrize(
    ("status", "said"),
    [("Accepted", "Accepted"), ("NoCredit", "Blocked"), ("Unknown", "Invalid"), ("ConcurrentTx", "ConcurrentTx"), ("NotAtThisTime", "Invalid")],
)
def test_what_the_csms_says_of_the_driver_is_in_the_answer(status: str, said: str) -> None:
    peer = talking(TransactionEvent={"idTokenInfo": {"status": status}})
    assert peer.said("StartTransaction", START) == Said({"transactionId": 1001, "idTagInfo": {"status": said}})


def test_a_driver_may_not_charge_where_his_token_is_not_for() -> None:
    peer = talking(TransactionEvent={"idTokenInfo": {"status": "Accepted", "evseId": [2]}})
    reply = peer.said("StartTransaction", START)
    assert isinstance(reply, Said)
    assert reply.payload["idTagInfo"] == {"status": "Invalid"}


def test_a_csms_that_says_nothing_of_the_driver_does_not_object() -> None:
    assert talking(TransactionEvent={}).said("StartTransaction", START) == Said({"transactionId": 1001, "idTagInfo": {"status": "Accepted"}})


# -- the same message again: traps 8, 9 -----------------------------------------------------------------------


def test_a_message_that_comes_again_is_the_very_same_event() -> None:
    peer = charging()
    story = [("MeterValues", values("1100")), ("MeterValues", values("1200", "2026-11-21T12:00:20Z")), ("StopTransaction", stop())]
    numbers = []
    for action, payload in story:
        peer.said(action, payload)
        (once,) = events(peer)
        peer = peer.again()
        peer.said(action, payload)
        assert events(peer) == [once]
        numbers.append(once["seqNo"])
    assert numbers == [1, 2, 3]


@pytest.mark.parametrize("answer", [NO_ANSWER, Failed("InternalError", "no")])
def test_a_start_that_was_not_answered_begins_once(answer: Failed) -> None:
    peer = talking(TransactionEvent=answer)
    assert peer.said("StartTransaction", START) == answer
    before = events(peer)
    peer = peer.again()
    peer.hub["TransactionEvent"] = {}
    assert peer.said("StartTransaction", START) == Said({"transactionId": 1001, "idTagInfo": {"status": "Accepted"}})
    assert events(peer) == before


def test_another_start_is_another_transaction() -> None:
    peer = charging()
    peer.said("StopTransaction", stop())
    reply = peer.said("StartTransaction", {**START, "timestamp": "2026-11-21T12:05:00Z"})
    assert reply == Said({"transactionId": 1002, "idTagInfo": {"status": "Accepted"}})
    assert events(peer)[-1]["transactionInfo"]["transactionId"] != UUID


def test_a_connector_has_one_transaction() -> None:
    """The stop of the one before was lost at the station; should it come yet, it still ends the right one."""
    peer = charging()
    peer.said("StartTransaction", {**START, "timestamp": "2026-11-21T12:05:00Z"})
    assert peer.asked("GetTransactionStatus", {"transactionId": UUID}) == Said({"ongoingIndicator": False, "messagesInQueue": False})
    peer.log.clear()
    peer.said("StatusNotification", {"connectorId": 1, "status": "Charging", "errorCode": "NoError", "timestamp": "2026-11-21T12:05:10Z"})
    (event,) = events(peer)
    assert event["transactionInfo"]["transactionId"] != UUID
    peer.said("StopTransaction", stop())
    (event,) = events(peer)
    assert (event["eventType"], event["transactionInfo"]["transactionId"]) == ("Ended", UUID)


# -- offline ------------------------------------------------------------------------------------------------------


def test_a_message_from_before_the_connection_is_offline() -> None:
    peer = charging()
    peer.seconds(30)
    peer.closed()
    peer.seconds(20)
    peer.opened()
    peer.said("MeterValues", values("1100", "2026-11-21T12:00:40Z"))  # written while the wire was down
    peer.said("MeterValues", values("1200", "2026-11-21T12:00:50Z"))
    assert [event.get("offline", False) for event in events(peer)] == [True, False]


def test_a_message_older_than_a_minute_is_offline() -> None:
    peer = charging()
    peer.seconds(100)
    peer.said("MeterValues", values("1100", "2026-11-21T12:00:39Z"))
    peer.said("MeterValues", values("1200", "2026-11-21T12:00:41Z"))
    assert [event.get("offline", False) for event in events(peer)] == [True, False]


def test_a_state_of_now_does_not_overtake_a_replay() -> None:
    """Trap 9: the stop of the old transaction may still be in the station's queue."""
    peer = charging()
    peer.seconds(60)
    peer.opened()
    peer.said("StatusNotification", {"connectorId": 1, "status": "Charging", "errorCode": "NoError"})
    assert events(peer) == []
    peer.said("StopTransaction", stop())
    peer.seconds(30)
    assert [event["eventType"] for event in events(peer)] == ["Ended"]


def test_a_state_that_still_holds_after_the_replay_is_told() -> None:
    peer = charging()
    peer.seconds(60)
    peer.opened()
    peer.said("StatusNotification", {"connectorId": 1, "status": "SuspendedEV", "errorCode": "NoError", "timestamp": "2026-11-21T12:01:00Z"})
    peer.seconds(30)
    (event,) = events(peer)
    assert (event["triggerReason"], event["transactionInfo"]["chargingState"]) == ("ChargingStateChanged", "SuspendedEV")


# -- events of our own that nobody answers ---------------------------------------------------------------------------


def test_a_state_nobody_heard_goes_first_next_time() -> None:
    peer = charging()
    peer.hub["TransactionEvent"] = NO_ANSWER
    peer.said("StatusNotification", {"connectorId": 1, "status": "Charging", "errorCode": "NoError", "timestamp": "2026-11-21T12:00:05Z"})
    peer.log.clear()
    peer = peer.again()
    peer.hub["TransactionEvent"] = {}
    peer.said("MeterValues", values("1100"))
    peer.said("StopTransaction", stop())
    assert [(event["seqNo"], event["triggerReason"]) for event in events(peer)] == [
        (1, "ChargingStateChanged"),
        (2, "MeterValuePeriodic"),
        (3, "StopAuthorized"),
    ]


def test_while_nobody_answers_nothing_overtakes() -> None:
    peer = charging()
    peer.hub["TransactionEvent"] = NO_ANSWER
    peer.said("StatusNotification", {"connectorId": 1, "status": "Charging", "errorCode": "NoError", "timestamp": "2026-11-21T12:00:05Z"})
    peer.log.clear()
    assert peer.said("MeterValues", values("1100")) == NO_ANSWER
    assert [event["seqNo"] for event in events(peer)] == [1]


def test_a_csms_that_refuses_an_event_stops_nothing() -> None:
    def refuses(event: dict[str, Any]) -> Any:
        return Failed("InternalError") if event["triggerReason"] == "ChargingStateChanged" else {}

    peer = charging(TransactionEvent=refuses)
    peer.said("StatusNotification", {"connectorId": 1, "status": "Charging", "errorCode": "NoError", "timestamp": "2026-11-21T12:00:05Z"})
    for count in range(4):
        assert peer.said("MeterValues", values(str(1100 + count), f"2026-11-21T12:00:1{count}Z")) == Said({})
    assert [event["seqNo"] for event in events(peer)] == [1, 1, 1, 2, 3, 4, 5], "tried again, given up, and overtaken by nothing"


def test_what_comes_late_of_a_session_is_its_own_though_the_next_has_begun() -> None:
    """Its end has not come yet: it waits in a queue, as these readings did."""
    peer = charging()
    peer.said("StartTransaction", {**START, "timestamp": "2026-11-21T12:05:00Z"})
    peer.log.clear()
    peer.said("MeterValues", values("1100"))
    peer.said("StopTransaction", stop())
    peer.said("MeterValues", values("1200", "2026-11-21T12:00:20.000Z"))
    assert [(event["eventType"], event["transactionInfo"]["transactionId"]) for event in events(peer)] == [("Updated", UUID), ("Ended", UUID)]


def test_an_event_of_our_own_goes_up_behind_a_message_that_still_waits_for_its_answer() -> None:
    """The session keeps the message and gives it again: what happened since has higher numbers and must not be told first (E01: seqNo)."""
    peer = charging()
    peer.hub["TransactionEvent"] = NO_ANSWER
    peer.said("MeterValues", values("1100"))
    peer.hub["TransactionEvent"] = {}
    peer.said("StatusNotification", {"connectorId": 1, "status": "SuspendedEV", "errorCode": "NoError", "timestamp": "2026-11-21T12:00:11Z"})
    peer.said("StatusNotification", {"connectorId": 1, "status": "Charging", "errorCode": "NoError", "timestamp": "2026-11-21T12:00:12Z"})
    peer.seconds(20)
    assert [event["seqNo"] for event in events(peer)] == [1]
    peer = peer.again()  # and nothing of this depends on our memory
    peer.opened()
    peer.seconds(20)
    assert peer.said("MeterValues", values("1100")) == Said({})
    peer.seconds(1)
    assert [(event["seqNo"], event["triggerReason"]) for event in events(peer)] == [
        (1, "MeterValuePeriodic"),
        (2, "ChargingStateChanged"),
        (3, "ChargingStateChanged"),
    ]


# -- why it begins ---------------------------------------------------------------------------------------------------


def test_cable_first_is_authorized_and_card_first_is_plugged_in() -> None:
    preparing = {"connectorId": 1, "status": "Preparing", "errorCode": "NoError"}
    for order, trigger in ((("cable", "card"), "Authorized"), (("card", "cable"), "CablePluggedIn")):
        peer = talking()
        for what in order:
            peer.seconds(1)
            if what == "cable":
                peer.said("StatusNotification", preparing)
            else:
                peer.said("Authorize", {"idTag": "04A1B2C3"})
        peer.said("StartTransaction", START)
        assert events(peer)[-1]["triggerReason"] == trigger


def test_a_remote_start_is_named_once() -> None:
    peer = talking()
    peer.wire["RemoteStartTransaction"] = {"status": "Accepted"}
    token = {"idToken": "VISITOR", "type": "Central"}
    assert peer.asked("RequestStartTransaction", {"evseId": 1, "idToken": token, "remoteStartId": 77}) == Said({"status": "Accepted"})
    assert peer.sent("wire") == [("RemoteStartTransaction", {"idTag": "VISITOR", "connectorId": 1})]
    peer = peer.again()  # also after a restart
    peer.said("StartTransaction", {**START, "idTag": "visitor"})
    (event,) = events(peer)
    assert (event["triggerReason"], event["transactionInfo"]["remoteStartId"], event["idToken"]) == ("RemoteStart", 77, token)
    peer.said("StopTransaction", stop())
    peer.said("StartTransaction", {**START, "idTag": "VISITOR", "timestamp": "2026-11-21T12:03:00Z"})
    assert "remoteStartId" not in events(peer)[-1]["transactionInfo"]


@pytest.mark.parametrize("answer", [{"status": "Rejected"}, Failed("InternalError")])
def test_a_remote_start_that_is_refused_is_forgotten(answer: Any) -> None:
    peer = talking()
    peer.wire["RemoteStartTransaction"] = answer
    peer.asked("RequestStartTransaction", {"evseId": 1, "idToken": CARD, "remoteStartId": 77})
    peer.said("StartTransaction", START)
    assert events(peer)[-1]["triggerReason"] == "Authorized"


def test_a_remote_start_that_timed_out_is_no_cause() -> None:
    peer = talking()
    peer.wire["RemoteStartTransaction"] = {"status": "Accepted"}
    peer.asked("RequestStartTransaction", {"evseId": 1, "idToken": CARD, "remoteStartId": 77})
    peer.wall_s += 700
    peer.said("StartTransaction", {**START, "timestamp": "2026-11-21T12:11:40Z"})
    assert events(peer)[-1]["triggerReason"] == "Authorized"


def test_a_reservation_is_named() -> None:
    peer = talking()
    peer.said("StartTransaction", {**START, "reservationId": 5})
    assert events(peer)[-1]["reservationId"] == 5


def test_a_start_that_comes_again_while_the_disk_still_writes_it_waits_for_the_disk_too() -> None:
    """Its id is in memory, and in memory only: power may fail before it is anywhere else."""
    peer = talking()
    first = peer.side.said(Message("StartTransaction", START))
    assert isinstance(next(first), Keep)
    peer.memory.changes()  # the disk has them, and is not done
    peer.shared.changes()
    assert isinstance(next(peer.side.said(Message("StartTransaction", START))), Keep)


# -- what is forgotten ----------------------------------------------------------------------------------------------------


def test_after_a_restart_the_oldest_are_forgotten_first_and_not_what_just_ended() -> None:
    peer = talking()
    peer.kept["numbers"]["last"] = 959
    for number in range(960, 1000):
        when = f"2026-11-21T11:{number - 960:02d}"
        peer.said("StartTransaction", {**START, "timestamp": f"{when}:00Z"})
        peer.said("StopTransaction", {"transactionId": number, "meterStop": 2000, "timestamp": f"{when}:30Z"})
    peer.said("StartTransaction", START)
    peer = peer.again()  # "1000" stands before "960" on the disk
    peer.opened()
    peer.log.clear()
    peer.said("StopTransaction", stop(transactionId=1000))
    peer = peer.again()  # the CSMS has heard the end, the station has not heard that it has
    peer.opened()
    peer.said("StopTransaction", stop(transactionId=1000))
    told = events(peer)
    assert [(event["eventType"], event["seqNo"]) for event in told] == [("Ended", 1)], "not the start of another session"


# -- transactions nobody knows (16E 3.18) --------------------------------------------------------------------------------


def test_minus_one_is_what_runs_there() -> None:
    peer = charging()
    peer.said("MeterValues", {**values("1100"), "transactionId": -1})
    peer.said("StopTransaction", stop(transactionId=-1))
    assert [(event["eventType"], event["seqNo"], event["transactionInfo"]["transactionId"]) for event in events(peer)] == [
        ("Updated", 1, UUID),
        ("Ended", 2, UUID),
    ]


def test_a_stop_of_nothing_known_begins_and_ends_at_once() -> None:
    peer = talking()
    peer.said("StopTransaction", stop(transactionId=-1, idTag="04A1B2C3"))
    peer.said("StopTransaction", stop(transactionId=-1, idTag="04A1B2C3"))
    told = events(peer)
    assert [(event["eventType"], event["seqNo"], event["offline"]) for event in told] == [
        ("Started", 0, True),
        ("Ended", 1, True),
        ("Ended", 1, True),
    ]
    assert len({event["transactionInfo"]["transactionId"] for event in told}) == 1
    assert told[0]["idToken"] == CARD


def test_readings_of_an_unknown_transaction_begin_it() -> None:
    peer = talking()
    peer.said("MeterValues", {**values("1100"), "transactionId": 17})
    peer.said("MeterValues", {**values("1200", "2026-11-21T12:00:20Z"), "transactionId": 17})
    peer.said("StopTransaction", stop(transactionId=17))
    told = events(peer)
    assert [(event["eventType"], event["seqNo"]) for event in told] == [("Started", 0), ("Updated", 1), ("Updated", 2), ("Ended", 3)]
    assert told[0]["evse"] == {"id": 1, "connectorId": 1}


def test_readings_outside_a_transaction_are_meter_values() -> None:
    peer = charging()
    outside = {key: value for key, value in values("5", measurand="Voltage").items() if key != "transactionId"}
    peer.said("MeterValues", {**outside, "connectorId": 0})
    peer.said("StopTransaction", stop())
    peer.log.clear()
    peer.said("MeterValues", values("9100", "2026-11-21T12:01:00Z"))  # after the end: no Updated follows an Ended (trap 9)
    assert [action for action, _ in peer.sent("hub")] == ["MeterValues"]


def test_readings_of_the_station_have_evse_0() -> None:
    peer = talking()
    outside = {key: value for key, value in values("230", measurand="Voltage").items() if key != "transactionId"}
    peer.said("MeterValues", {**outside, "connectorId": 0})
    ((action, payload),) = peer.sent("hub")
    assert (action, payload["evseId"], payload["meterValue"][0]["sampledValue"][0]["value"]) == ("MeterValues", 0, 230.0)


def test_readings_of_which_nothing_is_left_are_answered_and_cost_no_number() -> None:
    peer = charging()
    assert peer.said("MeterValues", values("14.4kW")) == Said({})
    assert peer.sent("hub") == []
    peer.said("MeterValues", values("1100"))
    assert events(peer)[0]["seqNo"] == 1


def test_two_connectors_have_two_transactions() -> None:
    peer = charging()
    peer.said("StartTransaction", {**START, "connectorId": 2})
    peer.said("MeterValues", {**values("1100"), "connectorId": 2, "transactionId": 1002})
    peer.said("MeterValues", values("1200"))
    told = events(peer)
    assert [event["seqNo"] for event in told] == [0, 1, 1]
    assert told[1]["transactionInfo"]["transactionId"] == told[0]["transactionInfo"]["transactionId"] != UUID
    assert told[2]["transactionInfo"]["transactionId"] == UUID


# -- the CSMS asks --------------------------------------------------------------------------------------------------


def test_a_remote_stop_finds_the_number() -> None:
    peer = charging()
    peer.wire["RemoteStopTransaction"] = {"status": "Accepted"}
    assert peer.asked("RequestStopTransaction", {"transactionId": UUID}) == Said({"status": "Accepted"})
    assert peer.sent("wire") == [("RemoteStopTransaction", {"transactionId": 1001})]
    reply = peer.asked("RequestStopTransaction", {"transactionId": "nobody's"})
    assert isinstance(reply, Said)
    assert reply.payload["status"] == "Rejected"


def test_the_state_of_a_transaction() -> None:
    peer = charging()
    assert peer.asked("GetTransactionStatus", {"transactionId": UUID}) == Said({"ongoingIndicator": True, "messagesInQueue": False})
    peer.hub["TransactionEvent"] = NO_ANSWER
    peer.said("StatusNotification", {"connectorId": 1, "status": "Charging", "errorCode": "NoError"})
    assert peer.asked("GetTransactionStatus", {}) == Said({"messagesInQueue": True})
    peer.hub["TransactionEvent"] = {}
    peer.said("StopTransaction", stop())
    assert peer.asked("GetTransactionStatus", {"transactionId": UUID}) == Said({"ongoingIndicator": False, "messagesInQueue": False})


def test_a_transaction_event_can_be_triggered() -> None:
    peer = charging()
    peer.wire["TriggerMessage"] = {"status": "Accepted"}
    assert peer.asked("TriggerMessage", {"requestedMessage": "TransactionEvent", "evse": {"id": 1}}) == Said({"status": "Accepted"})
    peer.seconds(1)
    sent = peer.sent()
    assert [action for action, _ in sent] == ["TransactionEvent", "TriggerMessage"]
    assert (sent[0][1]["triggerReason"], sent[0][1]["seqNo"]) == ("Trigger", 1)
    assert sent[1][1] == {"requestedMessage": "MeterValues", "connectorId": 1}
