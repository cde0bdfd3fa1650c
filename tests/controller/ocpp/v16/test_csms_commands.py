"""What a 1.6 CSMS asks for, in hub words, and the answers back. Expected values by hand from OCPP-NOTES 12.1, 12.7, 12.8."""

from __future__ import annotations

from typing import Any

import pytest

from controller.ocpp.hub import Failed, Message, Said
from controller.ocpp.v16.csms_side import CsmsSide16
from tests.support.talking import NOON, Talking

OK = {"status": "Accepted"}
MISSING = Failed("NotImplemented", "not here")
PLUG = {"evseId": 1, "connectorId": 1}
LIST = {"versionNumber": 2, "updateType": "Full"}


def talking(**hub: Any) -> Talking:
    return Talking(CsmsSide16, hub=hub, wire={"StatusNotification": {}})


TABLE: list[Any] = [
    # (1.6 action, request, hub action, hub request, hub answer, 1.6 answer)
    ("Reset", {"type": "Soft"}, "Reset", {"type": "Immediate"}, OK, OK),
    ("Reset", {"type": "Hard"}, "Reset", {"type": "Immediate"}, {"status": "Scheduled"}, OK),
    ("Reset", {"type": "Hard"}, "Reset", {"type": "Immediate"}, {"status": "Rejected"}, {"status": "Rejected"}),
    (
        *("ChangeAvailability", {"connectorId": 0, "type": "Inoperative"}),
        *("ChangeAvailability", {"operationalStatus": "Inoperative"}, {"status": "Scheduled"}, {"status": "Scheduled"}),
    ),
    (
        *("ChangeAvailability", {"connectorId": 2, "type": "Operative"}),
        *("ChangeAvailability", {"operationalStatus": "Operative", "evse": {"id": 2}}, OK, OK),
    ),
    ("UnlockConnector", {"connectorId": 1}, "UnlockConnector", PLUG, {"status": "UnknownConnector"}, {"status": "NotSupported"}),
    ("UnlockConnector", {"connectorId": 1}, "UnlockConnector", PLUG, {"status": "UnlockFailed"}, {"status": "UnlockFailed"}),
    ("UnlockConnector", {"connectorId": 1}, "UnlockConnector", PLUG, MISSING, {"status": "NotSupported"}),
    (
        *("ReserveNow", {"connectorId": 0, "expiryDate": NOON, "idTag": "A", "parentIdTag": "G", "reservationId": 3}, "ReserveNow"),
        {"id": 3, "expiryDateTime": NOON, "idToken": {"idToken": "A", "type": "Local"}, "groupIdToken": {"idToken": "G", "type": "Local"}},
        *({"status": "Occupied"}, {"status": "Occupied"}),
    ),
    (
        *("ReserveNow", {"connectorId": 2, "expiryDate": NOON, "idTag": "04A1B2C3", "reservationId": 0}, "ReserveNow"),
        {"id": 0, "expiryDateTime": NOON, "evseId": 2, "idToken": {"idToken": "04A1B2C3", "type": "ISO14443"}},
        *(OK, OK),
    ),
    ("CancelReservation", {"reservationId": 3}, "CancelReservation", {"reservationId": 3}, {"status": "Rejected"}, {"status": "Rejected"}),
    ("ClearCache", {}, "ClearCache", {}, OK, OK),
    ("GetLocalListVersion", {}, "GetLocalListVersion", {}, {"versionNumber": 0}, {"listVersion": 0}),
    ("GetLocalListVersion", {}, "GetLocalListVersion", {}, {"versionNumber": 7}, {"listVersion": 7}),
    ("GetLocalListVersion", {}, "GetLocalListVersion", {}, MISSING, {"listVersion": -1}),
    (
        *("SendLocalList", {"listVersion": 2, "updateType": "Full"}, "SendLocalList", LIST),
        *({"status": "VersionMismatch"}, {"status": "VersionMismatch"}),
    ),
    ("SendLocalList", {"listVersion": 2, "updateType": "Full"}, "SendLocalList", LIST, MISSING, {"status": "NotSupported"}),
    (
        *("TriggerMessage", {"requestedMessage": "StatusNotification", "connectorId": 2}, "TriggerMessage"),
        {"requestedMessage": "StatusNotification", "evse": {"id": 2, "connectorId": 1}},
        *(OK, OK),
    ),
    (
        *("TriggerMessage", {"requestedMessage": "MeterValues", "connectorId": 2}, "TriggerMessage"),
        *({"requestedMessage": "MeterValues", "evse": {"id": 2}}, {"status": "Rejected"}, {"status": "Rejected"}),
    ),
    ("TriggerMessage", {"requestedMessage": "Heartbeat"}, "TriggerMessage", {"requestedMessage": "Heartbeat"}, MISSING, {"status": "NotImplemented"}),
    (
        *("TriggerMessage", {"requestedMessage": "DiagnosticsStatusNotification"}, "TriggerMessage"),
        *({"requestedMessage": "LogStatusNotification"}, OK, OK),
    ),
    (
        *("ExtendedTriggerMessage", {"requestedMessage": "SignChargePointCertificate"}, "TriggerMessage"),
        *({"requestedMessage": "SignChargingStationCertificate"}, OK, OK),
    ),
]


@pytest.mark.parametrize(("action", "request_16", "hub_action", "request_hub", "answer_hub", "answer_16"), TABLE)
def test_one_to_one(action: str, request_16: Any, hub_action: str, request_hub: Any, answer_hub: Any, answer_16: Any) -> None:
    talk = talking(**{hub_action: answer_hub})
    assert talk.said(action, request_16) == Said(answer_16)
    assert talk.sent() == [(hub_action, request_hub)]


@pytest.mark.parametrize(
    ("action", "request_16", "answer"),
    [
        ("RemoteStartTransaction", {"idTag": "A", "connectorId": 9}, {"status": "Rejected"}),
        ("RemoteStopTransaction", {"transactionId": 9}, {"status": "Rejected"}),
        ("ChangeAvailability", {"connectorId": 9, "type": "Operative"}, {"status": "Rejected"}),
        ("UnlockConnector", {"connectorId": 0}, {"status": "NotSupported"}),
        ("ReserveNow", {"connectorId": 9, "expiryDate": NOON, "idTag": "A", "reservationId": 1}, {"status": "Rejected"}),
        ("ReserveNow", {"connectorId": 1, "expiryDate": NOON, "idTag": "A", "reservationId": -1}, {"status": "Rejected"}),
        ("CancelReservation", {"reservationId": -1}, {"status": "Rejected"}),
        ("SendLocalList", {"listVersion": 0, "updateType": "Full"}, {"status": "Failed"}),
        ("TriggerMessage", {"requestedMessage": "MeterValues", "connectorId": 9}, {"status": "Rejected"}),
    ],
)
def test_what_the_station_need_not_be_asked(action: str, request_16: Any, answer: Any) -> None:
    talk = talking()
    assert talk.said(action, request_16) == Said(answer)
    assert talk.sent() == []


def test_a_station_that_does_not_answer_is_an_error_and_no_status() -> None:
    talk = Talking(CsmsSide16)
    assert isinstance(talk.said("Reset", {"type": "Soft"}), Failed)


def test_a_remote_start_without_connector() -> None:
    """The station chooses; with one EVSE there is nothing to choose."""
    talk = talking(RequestStartTransaction=OK)
    talk.said("RemoteStartTransaction", {"idTag": "A"})
    assert "evseId" not in talk.sent("hub")[0][1]
    talk.evses = talk.evses[:1]
    talk.said("RemoteStartTransaction", {"idTag": "A"})
    assert talk.sent("hub")[0][1]["evseId"] == 1


def test_a_local_list() -> None:
    """An entry without idTagInfo removes; in a full list it means nothing."""
    entries = [{"idTag": "04A1B2C3", "idTagInfo": {"status": "Accepted", "expiryDate": NOON}}, {"idTag": "GONE"}]
    talk = talking(SendLocalList=OK)
    one = {"idToken": {"idToken": "04A1B2C3", "type": "ISO14443"}, "idTokenInfo": {"status": "Accepted", "cacheExpiryDateTime": NOON}}
    for kind, expected in (("Full", [one]), ("Differential", [one, {"idToken": {"idToken": "GONE", "type": "Local"}}])):
        assert talk.said("SendLocalList", {"listVersion": 4, "updateType": kind, "localAuthorizationList": entries}) == Said(OK)
        assert talk.sent() == [("SendLocalList", {"versionNumber": 4, "updateType": kind, "localAuthorizationList": expected})]


def test_an_unlock_ends_what_runs_first() -> None:
    """16 5.18 against F05.FR.02: the 2.x station refuses while an authorised transaction runs."""
    talk = talking(RequestStopTransaction=OK)
    talk.wire |= {"StartTransaction": {"transactionId": 5, "idTagInfo": OK}, "StopTransaction": {}}
    card = {"idToken": "A", "type": "Local"}
    info = {"transactionId": "t-1"}
    base = {"timestamp": NOON, "transactionInfo": info}
    talk.asked("TransactionEvent", {**base, "eventType": "Started", "seqNo": 0, "triggerReason": "Authorized", "evse": {"id": 1}, "idToken": card})
    answers = iter(["OngoingAuthorizedTransaction", "OngoingAuthorizedTransaction", "Unlocked"])
    talk.hub["UnlockConnector"] = lambda request: {"status": next(answers)}
    talk.sent()
    assert talk.said("UnlockConnector", {"connectorId": 1}) == Said({"status": "Unlocked"})
    assert [action for action, _ in talk.sent()] == ["UnlockConnector", "RequestStopTransaction", "UnlockConnector", "UnlockConnector"]
    end = {**base, "eventType": "Ended", "seqNo": 1, "triggerReason": "RemoteStop", "transactionInfo": {**info, "stoppedReason": "Remote"}}
    talk.asked("TransactionEvent", end)
    assert dict(talk.sent("wire"))["StopTransaction"]["reason"] == "UnlockCommand"


def test_an_unlock_waits_only_so_long() -> None:
    talk = talking(UnlockConnector={"status": "OngoingAuthorizedTransaction"}, RequestStopTransaction=OK)
    assert talk.said("UnlockConnector", {"connectorId": 1}) == Said({"status": "UnlockFailed"})


def test_all_statuses_at_once() -> None:
    """1.6 may ask for all of them; 2.x cannot, but each is known."""
    talk = talking()
    talk.opened()
    talk.asked("StatusNotification", {"timestamp": NOON, "connectorStatus": "Occupied", "evseId": 2, "connectorId": 1})
    talk.sent()
    assert talk.said("TriggerMessage", {"requestedMessage": "StatusNotification"}) == Said(OK)
    talk.seconds(1)
    assert [(sent["connectorId"], sent["status"]) for _, sent in talk.sent()] == [(0, "Available"), (1, "Available"), (2, "Preparing")]


def test_an_action_nobody_knows() -> None:
    talk = talking()
    reply = talk.run(talk.side.said(Message("FlyToTheMoon", {})))
    assert isinstance(reply, Failed)
    assert reply.code == "NotImplemented"
