"""Which id of a recording became which in its replay."""

from __future__ import annotations

import json
from typing import Any

from controller.tools.counterparts import Aliases, Counterparts, same_but_ids, with_id

THEN, NOW = "0f8fad5b-d9cb-469f-a165-70867728950e", "7c9e6679-7425-40de-944b-e07fc1f90ae7"


def record(kind: str, way: str, frame: list[Any], did: str, leg: str = "csms", action: str = "") -> dict[str, Any]:
    return {"station": "CP1", "leg": leg, "way": way, "kind": kind, "action": action, "did": did, "text": json.dumps(frame)}


def test_ids_that_yardmaster_gave_are_learnt_and_put_into_what_peers_say() -> None:
    aliases = Aliases()
    aliases.learn({"transactionInfo": {"transactionId": THEN}, "seqNo": 1}, {"transactionInfo": {"transactionId": NOW}, "seqNo": 1})
    aliases.learn({"transactionId": 7}, {"transactionId": 70})
    said = [2, "m", "RequestStopTransaction", {"transactionId": THEN, "list": [THEN, 7], "requestId": 7}]
    assert json.loads(aliases.apply(json.dumps(said)))[3] == {"transactionId": NOW, "list": [NOW, 7], "requestId": 7}
    assert json.loads(aliases.apply('[2,"m","StopTransaction",{"transactionId":7,"meterStop":7}]'))[3] == {"transactionId": 70, "meterStop": 7}


def test_a_frame_without_such_an_id_stays_letter_for_letter() -> None:
    aliases = Aliases()
    text = '[2, "m",  "Heartbeat", {}]'
    assert aliases.apply(text) == text
    aliases.learn({"transactionId": 7}, {"transactionId": 70})
    assert aliases.apply(text) == text
    assert aliases.apply("not json") == "not json"


def test_values_are_never_taken_for_ids() -> None:
    aliases = Aliases()
    aliases.learn({"meterStart": 7, "connectorId": 1, "status": "Accepted"}, {"meterStart": 70, "connectorId": 2, "status": "Rejected"})
    assert aliases.apply('[3,"m",{"meterStart":7,"connectorId":1}]') == '[3,"m",{"meterStart":7,"connectorId":1}]'


def test_the_same_content_is_matched_before_the_same_action() -> None:
    calls = [[2, "a", "StatusNotification", {"evseId": 1}], [2, "b", "StatusNotification", {"evseId": 2}]]
    there = Counterparts([record("CALL", "up", call, "translated", action="StatusNotification") for call in calls])
    assert there.match("CP1", "csms", ["StatusNotification", {"evseId": 2}]) == ("b", calls[1][2:])
    assert there.match("CP1", "csms", ["StatusNotification", {"evseId": 9}]) == ("a", calls[0][2:])
    assert there.match("CP1", "csms", ["StatusNotification", {"evseId": 1}]) is None


def test_answers_of_ours_are_found_by_the_peers_own_id() -> None:
    there = Counterparts([record("RESULT", "down", [3, "m", {"transactionId": 7}], "translated", leg="station", action="StartTransaction")])
    assert there.answer("CP1", "station", "m") == [{"transactionId": 7}]
    assert there.answer("CP1", "station", "m") is None


def test_payloads_are_compared_but_for_ids() -> None:
    one, other = {"transactionId": 1, "x": [THEN], "y": 5}, {"transactionId": 2, "x": [NOW], "y": 5}
    assert same_but_ids(one) == same_but_ids(other)
    assert same_but_ids(one) != same_but_ids({**other, "y": 6})


def test_an_answer_gets_the_id_it_is_waited_for_under() -> None:
    assert with_id('[3, "m", {}]', "m") == '[3, "m", {}]'
    assert with_id('[3,"m",{"a":1}]', "n") == '[3,"n",{"a":1}]'
