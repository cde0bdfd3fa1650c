"""What careless 2.x stations say, made sayable."""

from __future__ import annotations

from typing import Any

import pytest

from controller.io.schemas import read_schema
from controller.ocpp.v2.mending import BOOT_REASONS, TRIGGER_REASONS, mended, readable, timeless

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


@pytest.mark.parametrize("time", ["2026-11-21T15:00Z", "2026-11-21T15:00:60Z", "2026-11-21 15:00:00+0100"])
def test_a_time_that_can_be_read_somehow_is_not_now(time: str) -> None:
    said = {"triggerReason": "Trigger", "timestamp": time}
    assert mended("TransactionEvent", said, NOW) == said


def test_an_event_without_a_time_happened_when_its_last_reading_was_taken() -> None:
    readings = [{"timestamp": time, "sampledValue": []} for time in ("2026-11-21T15:00:00+02:00", "2026-11-21T14:00:00Z", "x")]
    said = {"triggerReason": "Trigger", "timestamp": "yesterday", "meterValue": readings}
    found = mended("TransactionEvent", said, NOW)
    assert found["timestamp"] == "2026-11-21T14:00:00Z"
    assert [entry["timestamp"] for entry in found["meterValue"]] == ["2026-11-21T15:00:00+02:00", "2026-11-21T14:00:00Z", "2026-11-21T14:00:00Z"]
    assert not timeless("TransactionEvent", said)
    assert timeless("TransactionEvent", {"timestamp": 7, "meterValue": [{"timestamp": "x"}]})
    assert not timeless("StatusNotification", {"timestamp": 7})


def test_readings_outside_transactions_without_a_time_are_left_out() -> None:
    sent = {"meterValue": [{"timestamp": "x", "sampledValue": [{"value": 1}]}, entry({"value": 2})]}
    assert readable("MeterValues", sent, sent) == {"meterValue": [entry({"value": 2})]}


@pytest.mark.parametrize("measure", [{"unit": "kWh"}, {"unitOfMeasure": "kWh"}, {"unitOfMeasure": {"unit": "kWh"}}])
def test_a_unit_as_16_writes_it_is_a_unit(measure: dict[str, Any]) -> None:
    found = mended("MeterValues", {"meterValue": [entry({"value": 5, **measure})]}, NOW)
    assert found["meterValue"][0]["sampledValue"][0]["unitOfMeasure"] == {"unit": "kWh"}


@pytest.mark.parametrize(
    ("was", "fitted"),
    [
        ({"value": 5, "unitOfMeasure": {"unit": "kWh"}}, {"value": 5}),
        ({"value": 5, "multiplier": 3}, {"value": 5}),
        ({"value": 5, "unitOfMeasure": {"unit": "Wh", "multiplier": 2.5}}, {"value": 5, "unitOfMeasure": {"unit": "Wh", "multiplier": 2}}),
        ({"value": 5, "unitOfMeasure": ["kWh"]}, {"value": 5, "unitOfMeasure": ["kWh"]}),
        ({"value": 5, "unitOfMeasure": {"unit": "k" * 21}}, {"value": 5, "unitOfMeasure": {"unit": "k" * 20}}),
    ],
)
def test_a_sample_that_would_become_a_thousand_times_less_goes(was: dict[str, Any], fitted: dict[str, Any]) -> None:
    assert "meterValue" not in readable("TransactionEvent", {"meterValue": [entry(was)]}, {"meterValue": [entry(fitted)]})


def test_a_power_of_ten_in_a_text_is_the_same() -> None:
    was, fitted = {"value": 5, "unitOfMeasure": {"multiplier": "3"}}, {"value": 5, "unitOfMeasure": {"multiplier": 3}}
    assert readable("TransactionEvent", {"meterValue": [entry(was)]}, {"meterValue": [entry(fitted)]}) == {"meterValue": [entry(fitted)]}
