"""Stations and CSMSs as they are found in the field, of different versions, with the whole engine between them (OCPP-NOTES 12, 16).

Expected values are from the tables of OCPP-NOTES 12, written down by hand. ``Translated`` judges every frame by the schemas of its version.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.translated import Translated

OK = {"status": "Accepted"}
LONG = "long-token-of-an-app-0123456789"
Payload = dict[str, Any]


def moment(minute: int) -> str:
    return f"2026-09-21T14:{minute:02d}:00Z"


# -- a 1.6 station on a 2.x CSMS ------------------------------------------------------------------------------------------


def newer(csms: str, **more: Any) -> Translated:
    """The CSMS accepts everybody; the station takes every limit."""
    w = Translated("ocpp1.6", csms, **more)
    w.at_csms["TransactionEvent"] = lambda event: {"idTokenInfo": OK} if "idToken" in event else {}
    w.at_station["Reset"] = w.at_station["RemoteStopTransaction"] = lambda request: OK
    return w


def start(connector: int = 1, tag: str = "04A1B2C3", minute: int = 30) -> Payload:
    return {"connectorId": connector, "idTag": tag, "meterStart": 1000, "timestamp": moment(minute)}


def values(minute: int, text: str = "2.5", **more: Any) -> Payload:
    entry = {"timestamp": moment(minute), "sampledValue": [{"value": text, "unit": "kWh"}]}
    return {"connectorId": 1, "meterValue": [entry], **more}


def told(w: Translated) -> list[tuple[str, str, int]]:
    """(eventType, triggerReason, seqNo) of the TransactionEvents since the last CALL began."""
    return [(event["eventType"], event["triggerReason"], event["seqNo"]) for event in w.heard_by_csms("TransactionEvent")]


@pytest.mark.parametrize("csms", ["ocpp2.0.1", "ocpp2.1"])
def test_a_session_of_a_station_that_names_no_transaction(csms: str) -> None:
    w = newer(csms)
    answer = w.station_says("StartTransaction", start())  # before any StatusNotification
    assert answer is not None
    assert answer[2]["idTagInfo"] == OK
    number = answer[2]["transactionId"]
    assert number > 0
    assert told(w) == [("Started", "Authorized", 0)]
    found = []
    for minute, more in ((31, {}), (32, {"transactionId": -1}), (33, {"transactionId": 0}), (34, {"transactionId": number})):
        w.station_says("MeterValues", values(minute, **more))
        found += told(w)
    assert found == [("Updated", "MeterValuePeriodic", seq) for seq in (1, 2, 3, 4)]
    w.station_says("StopTransaction", {"transactionId": number, "meterStop": 2600, "timestamp": moment(35)})
    (ended,) = w.heard_by_csms("TransactionEvent")
    assert (ended["eventType"], ended["seqNo"], ended["transactionInfo"]["stoppedReason"]) == ("Ended", 5, "Local")
    assert "idToken" not in ended
    w.station_says("MeterValues", values(36, transactionId=number))  # late: no Updated after an Ended
    assert [payload["evseId"] for payload in w.heard_by_csms("MeterValues")] == [1]
    assert told(w) == []
    assert w.faults == []


@pytest.mark.parametrize("csms", ["ocpp2.0.1", "ocpp2.1"])
@pytest.mark.parametrize(("word", "said"), [("Blocked", "Blocked"), ("Unknown", "Invalid"), ("NoCredit", "Blocked"), ("Expired", "Expired")])
def test_what_the_csms_says_of_a_driver_comes_with_the_start(csms: str, word: str, said: str) -> None:
    w = newer(csms)
    w.at_csms["TransactionEvent"] = lambda event: {"idTokenInfo": {"status": word}} if "idToken" in event else {}
    answer = w.station_says("StartTransaction", start())
    assert answer is not None
    assert answer[2]["idTagInfo"] == {"status": said}


@pytest.mark.parametrize("csms", ["ocpp2.0.1", "ocpp2.1"])
def test_a_driver_who_is_refused_too_late_is_stopped(csms: str) -> None:
    """12.5: the CSMS's no comes after the station was told yes here."""
    w = newer(csms, stop_invalid=True)
    w.at_csms["Authorize"] = lambda request: {"idTokenInfo": OK}
    w.station_says("Authorize", {"idTag": "04A1B2C3"})
    w.at_csms["TransactionEvent"] = lambda event: None
    answer = w.station_says("StartTransaction", start())
    assert answer is not None
    assert answer[2]["idTagInfo"]["status"] == "Accepted"
    first = w.heard_by_csms("TransactionEvent")[0]
    w.at_csms["TransactionEvent"] = lambda event: {"idTokenInfo": {"status": "Blocked"}} if "idToken" in event else {}
    w.seconds(200)
    again = w.heard_by_csms("TransactionEvent")[-1]
    assert {**again, "offline": None} == {**first, "offline": None}  # the very same event, once more
    assert w.heard_by_station("RemoteStopTransaction") == [{"transactionId": answer[2]["transactionId"]}]


@pytest.mark.parametrize("csms", ["ocpp2.0.1", "ocpp2.1"])
def test_a_remote_start_that_is_never_followed_leaves_nothing_behind(csms: str) -> None:
    w = newer(csms)
    remote = {"remoteStartId": 77, "idToken": {"idToken": LONG, "type": "eMAID"}, "evseId": 1}
    w.at_station["RemoteStartTransaction"] = lambda request: OK
    answer = w.csms_says("RequestStartTransaction", remote)
    assert answer is not None
    assert answer[2] == OK
    (asked,) = w.heard_by_station("RemoteStartTransaction")
    assert len(asked["idTag"]) == 20
    w.seconds(700)
    w.station_says("StartTransaction", start(tag=asked["idTag"], minute=45))
    (started,) = w.heard_by_csms("TransactionEvent")
    assert started["idToken"]["idToken"] == LONG
    assert "remoteStartId" not in started["transactionInfo"]


@pytest.mark.parametrize("csms", ["ocpp2.0.1", "ocpp2.1"])
def test_on_idle_waits_for_the_driver(csms: str) -> None:
    """Trap 27."""
    w = newer(csms)
    for connector in (1, 2, 3):
        w.station_says("StatusNotification", {"connectorId": connector, "errorCode": "NoError", "status": "Available"})
    answer = w.station_says("StartTransaction", start())
    assert answer is not None
    w.station_says("StatusNotification", {"connectorId": 1, "errorCode": "NoError", "status": "Charging"})
    scheduled = w.csms_says("Reset", {"type": "OnIdle"})
    assert scheduled is not None
    assert scheduled[2]["status"] == "Scheduled"
    w.seconds(120)
    assert w.heard_by_station("Reset") == []
    w.station_says("StopTransaction", {"transactionId": answer[2]["transactionId"], "meterStop": 2600, "timestamp": moment(35)})
    w.station_says("StatusNotification", {"connectorId": 1, "errorCode": "NoError", "status": "Finishing"})
    w.seconds(5)
    assert w.heard_by_station("Reset") == [{"type": "Soft"}]


@pytest.mark.parametrize("csms", ["ocpp2.0.1", "ocpp2.1"])
def test_a_queue_of_ours_is_told(csms: str) -> None:
    """Trap 10: the CSMS refuses an event; while it waits for its next try the transaction has messages in a queue."""
    w = newer(csms)
    answer = w.station_says("StartTransaction", start())
    assert answer is not None
    hub_id = w.heard_by_csms("TransactionEvent")[0]["transactionInfo"]["transactionId"]
    quiet = w.csms_says("GetTransactionStatus", {"transactionId": hub_id})
    assert quiet is not None
    assert quiet[2] == {"ongoingIndicator": True, "messagesInQueue": False}
    w.at_csms["TransactionEvent"] = lambda event: None
    w.station_says("MeterValues", values(31, transactionId=answer[2]["transactionId"]))
    w.seconds(2)
    busy = w.csms_says("GetTransactionStatus", {"transactionId": hub_id})
    assert busy is not None
    assert busy[2] == {"ongoingIndicator": True, "messagesInQueue": True}


# -- a 2.x station on a 1.6 CSMS --------------------------------------------------------------------------------------------


def older(station: str, **more: Any) -> Translated:
    """The CSMS numbers transactions from 501 on."""
    w = Translated(station, "ocpp1.6", **more)
    numbers = iter(range(501, 600))
    w.at_csms["StartTransaction"] = lambda request: {"idTagInfo": OK, "transactionId": next(numbers)}
    w.at_csms["StopTransaction"] = lambda request: {}
    return w


def event(kind: str, seq: int, trigger: str, minute: int, hub_id: str = "tx-1", evse: int = 0, tag: str = "", **info: Any) -> Payload:
    made: Payload = {"eventType": kind, "seqNo": seq, "triggerReason": trigger, "timestamp": moment(minute)}
    made["transactionInfo"] = {"transactionId": hub_id, **info}
    return made | ({"evse": {"id": evse, "connectorId": 1}} if evse else {}) | ({"idToken": {"idToken": tag, "type": "Central"}} if tag else {})


def said(w: Translated, *actions: str) -> list[Any]:
    """What the CSMS has heard of these since the last CALL began: statuses as (connectorId, status), the rest as it is."""
    found = [(action, payload) for action, payload in w.to_csms if action in actions]
    return [(payload["connectorId"], payload["status"]) if action == "StatusNotification" else payload for action, payload in found]


@pytest.mark.parametrize("station", ["ocpp2.0.1", "ocpp2.1"])
def test_the_statuses_of_a_session_are_those_of_a_1_6_station(station: str) -> None:
    w = older(station)
    shown: list[Any] = []

    def say(action: str, payload: Payload) -> None:
        w.station_says(action, payload)
        shown.extend(said(w, "StatusNotification"))

    def status(word: str) -> None:
        say("StatusNotification", {"timestamp": moment(30), "connectorStatus": word, "evseId": 1, "connectorId": 1})

    status("Available")
    status("Occupied")
    say("TransactionEvent", event("Started", 0, "CablePluggedIn", 31, evse=1, chargingState="EVConnected"))
    say("TransactionEvent", event("Updated", 1, "Authorized", 32, tag="CARD", chargingState="EVConnected"))
    for seq, state in enumerate(("Charging", "SuspendedEV", "Charging", "SuspendedEVSE"), start=2):
        say("TransactionEvent", event("Updated", seq, "ChargingStateChanged", 32 + seq, chargingState=state))
    say("TransactionEvent", event("Ended", 6, "StopAuthorized", 40, tag="CARD", chargingState="EVConnected", stoppedReason="Local"))
    status("Available")
    words = ["Available", "Preparing", "Charging", "SuspendedEV", "Charging", "SuspendedEVSE", "Finishing", "Available"]
    assert shown == [(1, word) for word in words]
    assert w.faults == []


@pytest.mark.parametrize("station", ["ocpp2.0.1", "ocpp2.1"])
def test_a_stop_that_the_csms_cannot_process_is_kept_and_said_again(station: str) -> None:
    """16.11: one CSMS answers a StopTransaction without idTag with silence or an error: the record stays."""
    w = older(station)
    w.station_says("TransactionEvent", event("Started", 0, "Authorized", 31, evse=1, tag="CARD", chargingState="Charging"))
    w.at_csms["StopTransaction"] = lambda request: None
    w.station_says("TransactionEvent", event("Ended", 1, "EVCommunicationLost", 33, stoppedReason="EVDisconnected"), patience_s=1)
    (stop,) = said(w, "StopTransaction")
    w.at_csms["StopTransaction"] = lambda request: {}
    w.to_csms.clear()
    w.seconds(200)
    assert said(w, "StopTransaction") == [stop]
    assert stop["reason"] == "EVDisconnected"


@pytest.mark.parametrize("station", ["ocpp2.0.1", "ocpp2.1"])
@pytest.mark.parametrize("number", [0, -1, 7])
def test_two_transactions_of_one_number_are_never_mixed_up(station: str, number: int) -> None:
    """16E 3.54: a CSMS that gives everybody the same id."""
    w = older(station)
    w.at_csms["StartTransaction"] = lambda request: {"idTagInfo": OK, "transactionId": number}
    w.at_station["RequestStopTransaction"] = lambda request: OK
    for evse in (1, 2):
        w.station_says("TransactionEvent", event("Started", 0, "Authorized", 31, f"tx-{evse}", evse, f"CARD{evse}", chargingState="Charging"))
    answer = w.csms_says("RemoteStopTransaction", {"transactionId": number})
    assert answer is not None
    newest = [{"transactionId": "tx-2"}] if number > 0 else []
    assert w.heard_by_station("RequestStopTransaction") == newest
    assert answer[2]["status"] == ("Accepted" if newest else "Rejected")
    for evse in (1, 2):
        w.station_says("TransactionEvent", event("Ended", 1, "StopAuthorized", 33, f"tx-{evse}", tag=f"CARD{evse}", stoppedReason="Local"))
        (stop,) = said(w, "StopTransaction")
        assert (stop["transactionId"], stop["idTag"]) == (number, f"CARD{evse}")


@pytest.mark.parametrize("station", ["ocpp2.0.1", "ocpp2.1"])
def test_a_transaction_that_ends_before_anybody_is_authorised_is_no_business_of_the_csms(station: str) -> None:
    w = older(station)
    w.station_says("TransactionEvent", event("Started", 0, "CablePluggedIn", 31, evse=1, chargingState="EVConnected"))
    w.station_says("TransactionEvent", event("Ended", 1, "EVCommunicationLost", 32, stoppedReason="EVDisconnected", chargingState="Idle"))
    w.seconds(5)
    assert said(w, "StartTransaction", "StopTransaction") == []


@pytest.mark.parametrize("station", ["ocpp2.0.1", "ocpp2.1"])
def test_a_long_token_is_one_card_in_the_start_the_list_and_the_stop(station: str) -> None:
    """Trap 28."""
    w = older(station)
    w.station_says("TransactionEvent", event("Started", 0, "Authorized", 31, evse=1, tag=LONG, chargingState="Charging"))
    (began,) = said(w, "StartTransaction")
    assert len(began["idTag"]) == 20
    entry = {"idTag": began["idTag"], "idTagInfo": OK}
    w.at_station["SendLocalList"] = lambda request: OK
    w.csms_says("SendLocalList", {"listVersion": 3, "updateType": "Full", "localAuthorizationList": [entry]})
    (listed,) = w.heard_by_station("SendLocalList")
    assert listed["localAuthorizationList"][0]["idToken"] == {"idToken": LONG, "type": "Central"}
    w.station_says("TransactionEvent", event("Ended", 1, "StopAuthorized", 33, tag=LONG, stoppedReason="Local"))
    assert said(w, "StopTransaction")[0]["idTag"] == began["idTag"]
