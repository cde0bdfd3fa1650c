"""A station and a CSMS of 2.1 look to the hub as they are."""

from __future__ import annotations

from typing import Any

import pytest

from controller.ocpp.hub import Failed, Message, Reply, Said, Sides
from controller.ocpp.registry import sides_for
from tests.support.pair import Pair

TIME = "2026-11-21T16:00:00Z"


def pair(answer: Reply) -> Pair:
    found = sides_for("ocpp2.1")
    assert isinstance(found, Sides)
    return Pair(found, found, lambda version, action: answer)


def event(**more: Any) -> dict[str, Any]:
    base = {"eventType": "Updated", "timestamp": TIME, "triggerReason": "MeterValuePeriodic", "seqNo": 3}
    return {**base, "transactionInfo": {"transactionId": "T1"}, **more}


def test_a_send_goes_on_as_a_send_and_nobody_answers() -> None:
    stream = {"id": 1, "pending": 0, "basetime": TIME, "data": [{"t": 0, "v": "1"}]}
    both = pair(Failed("InternalError", "must not be asked"))
    assert both.says("station", Message("NotifyPeriodicEventStream", stream, unanswered=True)) == Said({})
    assert [(sent.action, sent.payload, sent.unanswered) for sent in both.sent] == [("NotifyPeriodicEventStream", stream, True)]


def test_actions_of_21_pass_both_ways() -> None:
    both = pair(Said({"status": "NotSupported"}))
    control = {"isDefault": True, "controlId": "a", "controlType": "GetDERControl", "x": 1}
    assert both.says("csms", Message("GetDERControl", {"requestId": 7, **control})) == Said({"status": "NotSupported"})
    assert both.sent[0].action == "GetDERControl"
    assert both.sent[0].end == "station"


def test_a_careless_station_is_put_right_and_loses_nothing() -> None:
    """Trap 11: the value as a text; a time without a zone; null; a field nobody knows; phases that cannot be."""
    both = pair(Said({}))
    values = [{"timestamp": "2026-11-21T16:00:00", "sampledValue": [{"value": "16.3", "phase": None, "x": 1}]}]
    assert both.says("station", Message("TransactionEvent", event(meterValue=values, numberOfPhasesUsed=9, reservationId=-1))) == Said({})
    assert both.sent[0].payload == event(meterValue=[{"timestamp": TIME, "sampledValue": [{"value": 16.3}]}])


def test_a_failure_comes_back_with_its_code_and_always_with_words() -> None:
    heartbeat = Message("Heartbeat", {})
    assert pair(Failed("SecurityError", "no")).says("station", heartbeat) == Failed("SecurityError", "no")
    silent = pair(Failed("GenericError")).says("station", heartbeat)
    assert isinstance(silent, Failed)
    assert silent.code == "GenericError"
    assert silent.description


@pytest.mark.parametrize("action", ["Reset", "MadeUp"])
def test_what_is_no_message_is_refused_and_not_sent(action: str) -> None:
    both = pair(Said({}))
    reply = both.says("csms", Message(action, {"type": 5}))
    assert isinstance(reply, Failed)
    assert both.sent == []
