"""What counts as a loss when a translated recording is compared with its replay."""

from __future__ import annotations

import json
from typing import Any

import pytest

from controller.tools.compare_translated import translations


def record(action: str, payload: dict[str, Any], station: str = "CP1") -> dict[str, Any]:
    text = json.dumps([2, "m", action, payload])
    return {"station": station, "leg": "csms", "way": "up", "kind": "CALL", "action": action, "did": "translated", "text": text}


def stop(wh: int, time: str = "2026-11-21T10:00:00Z", **more: Any) -> dict[str, Any]:
    return record("StopTransaction", {"transactionId": 7, "meterStop": wh, "timestamp": time, **more})


def event(kind: str, wh: int) -> dict[str, Any]:
    readings = [{"timestamp": "x", "sampledValue": [{"value": wh}, {"value": 230, "measurand": "Voltage"}]}]
    return record("TransactionEvent", {"eventType": kind, "meterValue": readings})


@pytest.mark.parametrize(
    ("then", "now", "bad"),
    [
        ([stop(1500)], [stop(1500, reason="Local")], [False]),
        ([stop(1500)], [stop(0)], [True]),
        ([stop(1500), stop(1600)], [stop(1600, reason="Local"), stop(1500, reason="Local")], [False, False]),
        ([stop(1500)], [], [True]),
        ([event("Ended", 1500)], [event("Ended", 1500)], []),
        ([event("Ended", 1500)], [event("Ended", 1501)], [True]),
        ([event("Ended", 1500)], [event("Updated", 1500)], [True]),
        ([record("StatusNotification", {"status": "Available"})], [], [False]),
        ([record("Authorize", {"idTag": "A"})], [record("Authorize", {"idTag": "B"})], [False]),
        ([record("Authorize", {"idTag": "A"})], [], [True]),
    ],
)
def test_other_energy_is_a_loss_and_other_words_are_told(then: list[Any], now: list[Any], bad: list[bool]) -> None:
    assert [one.bad for one in translations(then, now).lost] == bad
