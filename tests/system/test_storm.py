"""Power cuts between any two steps, a CSMS that hangs up, hangs and refuses, a disk that refuses: each session once, in whatever words.

Short storms; ``python -m tests.support.storm --rounds 20 --strength 4`` makes longer ones. The account is tested first: it must be able to find what
it looks for (traps 7 to 10, 26; E01: seqNo, P1, P2).
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.one_station import V16, V21, V201
from tests.support.storm import Csms2, Csms16, storm, weather_of

START = {"connectorId": 2, "idTag": "AABBCCDD", "meterStart": 100, "timestamp": "2026-11-21T16:00:00Z"}


def event(seq: int, value: float, offline: bool = False) -> dict[str, object]:
    kind = "Updated" if seq else "Started"
    sample = {"value": value, "context": "Sample.Periodic", "measurand": "Energy.Active.Import.Register"}
    payload: dict[str, object] = {"eventType": kind, "timestamp": "2026-11-21T16:00:00Z", "triggerReason": "Trigger", "seqNo": seq}
    payload |= {"transactionInfo": {"transactionId": "t"}, "meterValue": [{"timestamp": "2026-11-21T16:00:00Z", "sampledValue": [sample]}]}
    return {**payload, **({"evse": {"id": 1}} if not seq else {}), **({"offline": True} if offline else {})}


def test_the_account_sees_a_message_that_comes_again_changed() -> None:
    csms = Csms2(V21)
    for number, payload in enumerate((event(0, 1.0), event(1, 2.0), event(1, 2.0, offline=True))):
        csms.answer([2, f"{number}", "TransactionEvent", payload])
    assert (csms.wrong, csms.repeats) == ([], 1)
    csms.answer([2, "x", "TransactionEvent", event(1, 3.0)])
    assert len(csms.wrong) == 1


def test_the_account_of_1_6_sees_values_of_nobody_and_after_the_end() -> None:
    csms = Csms16(V16, knows_again=True)
    answers = [json.loads(csms.answer([2, f"{number}", "StartTransaction", START]) or "") for number in range(2)]
    assert answers[0][2]["transactionId"] == answers[1][2]["transactionId"] == 1
    values = {"connectorId": 2, "meterValue": [{"timestamp": "2026-11-21T16:00:00Z", "sampledValue": [{"value": "150"}]}]}
    csms.answer([2, "v", "MeterValues", {**values, "transactionId": 1}])
    csms.answer([2, "s", "StopTransaction", {"transactionId": 1, "meterStop": 150, "timestamp": "2026-11-21T16:01:00Z"}])
    assert csms.wrong == []
    csms.answer([2, "w", "MeterValues", {**values, "transactionId": 7}])
    later = {"connectorId": 2, "transactionId": 1, "meterValue": [{"timestamp": "2026-11-21T16:02:00Z", "sampledValue": [{"value": "151"}]}]}
    csms.answer([2, "l", "MeterValues", later])
    assert len(csms.wrong) == 2


@pytest.mark.parametrize("version", [V16, V201, V21])
@pytest.mark.parametrize("face", ["depot", "pair"])
def test_every_session_arrives_once_through_a_storm(tmp_path: Path, face: str, version: str) -> None:
    outcome = storm(tmp_path, stations=3, hours=1.5, face=face, version=version, seed=102, weather=weather_of(4))
    assert outcome.wrong == []
    assert outcome.sessions >= 4
    assert outcome.damage.cuts > 3
    assert outcome.damage.hang_ups > 3
