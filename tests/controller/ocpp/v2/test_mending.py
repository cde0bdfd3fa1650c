"""What careless 2.x stations say, made sayable."""

from __future__ import annotations

from typing import Any

import pytest

from controller.io.schemas import read_schema
from controller.ocpp.v2.mending import BOOT_REASONS, TRIGGER_REASONS, mended, readable

NOW = "2026-11-21T16:00:00.000Z"
TIME = "2026-11-21T15:00:00Z"


def enum_of(action: str, name: str) -> set[str]:
    schema = read_schema("ocpp2.1", action, False)
    assert schema is not None
    return set(schema["definitions"][name]["enum"])


def test_the_words_are_those_of_the_schemas() -> None:
    assert enum_of("TransactionEvent", "TriggerReasonEnumType") == TRIGGER_REASONS
    assert enum_of("BootNotification", "BootReasonEnumType") == BOOT_REASONS


@pytest.mark.parametrize(
    ("action", "said", "meant"),
    [
        ("TransactionEvent", {"triggerReason": "VendorReason", "timestamp": TIME}, {"triggerReason": "Trigger", "timestamp": TIME}),
        ("TransactionEvent", {"triggerReason": "EVDetected", "timestamp": TIME}, {"triggerReason": "EVDetected", "timestamp": TIME}),
        ("TransactionEvent", {"triggerReason": "EVDetected"}, {"triggerReason": "EVDetected", "timestamp": NOW}),
        ("TransactionEvent", {"triggerReason": 7, "timestamp": TIME}, {"triggerReason": 7, "timestamp": TIME}),
        ("BootNotification", {"reason": "Brownout"}, {"reason": "Unknown"}),
        ("BootNotification", {}, {}),
        ("StatusNotification", {"connectorStatus": "Charging", "timestamp": ""}, {"connectorStatus": "Occupied", "timestamp": NOW}),
        ("StatusNotification", {"connectorStatus": "Faulted", "timestamp": TIME}, {"connectorStatus": "Faulted", "timestamp": TIME}),
        ("NotifyReport", {"reason": "x"}, {"reason": "x"}),
    ],
)
def test_required_words_that_nobody_knows(action: str, said: dict[str, Any], meant: dict[str, Any]) -> None:
    assert mended(action, said, NOW) == meant


def entry(*samples: Any) -> dict[str, Any]:
    return {"timestamp": TIME, "sampledValue": list(samples)}


def test_a_sample_whose_meaning_is_lost_goes_as_a_whole() -> None:
    sent = {"meterValue": [entry({"value": 5, "measurand": "Foo"}, {"value": 3, "measurand": "Voltage"}, {"value": 4, "phase": "L9"})]}
    fitted = {"meterValue": [entry({"value": 5}, {"value": 3, "measurand": "Voltage"}, {"value": 4})]}
    assert readable("MeterValues", sent, fitted) == {"meterValue": [entry({"value": 3, "measurand": "Voltage"})]}


def test_what_is_empty_goes_and_where_nothing_is_left_so_does_the_list() -> None:
    sent = {"seqNo": 1, "meterValue": [entry(), entry({"value": 7}), "junk", {"timestamp": TIME}]}
    assert readable("TransactionEvent", sent, sent) == {"seqNo": 1, "meterValue": [entry({"value": 7})]}
    empty = {"seqNo": 1, "meterValue": [entry({"value": "seven"})]}
    assert readable("TransactionEvent", empty, empty) == {"seqNo": 1}
    assert readable("TransactionEvent", {"seqNo": 1}, {"seqNo": 1}) == {"seqNo": 1}
    assert readable("Heartbeat", {"meterValue": []}, {"meterValue": []}) == {"meterValue": []}
