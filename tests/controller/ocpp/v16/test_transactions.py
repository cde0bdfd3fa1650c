"""Transactions whose id the CSMS chooses: bookkeeping, keys of repeats, ids in messages."""

from typing import Any

import pytest

from controller.ocpp.dialect import TransactionEvent
from controller.ocpp.registry import dialects
from tests.support.schemas import check_request

V16 = "ocpp1.6"
DIALECT = dialects()[V16]
START = {"connectorId": 2, "idTag": "AABB", "meterStart": 1200, "timestamp": "2026-11-21T16:00:00Z"}
STOP = {"transactionId": 17, "idTag": "AABB", "meterStop": 9000, "timestamp": "2026-11-21T17:00:00Z", "reason": "Local"}
SAMPLE = {"timestamp": "2026-11-21T16:30:00Z", "sampledValue": [{"value": "16.0", "measurand": "Current.Import", "unit": "A"}]}
VALUES = {"connectorId": 2, "transactionId": 17, "meterValue": [SAMPLE]}


def event(action: str, payload: dict[str, Any]) -> TransactionEvent:
    found = DIALECT.transaction_event(action, payload)
    assert found is not None
    return found


def test_a_start_has_no_id_before_its_answer() -> None:
    check_request("StartTransaction", START, V16)
    found = event("StartTransaction", START)
    assert (found.transaction_id, found.evse_id, found.started, found.ended, found.remote_start_id) == ("", 2, True, False, None)
    assert found.key
    named = event("StartTransaction", {**START, "transactionId": 17})
    assert (named.transaction_id, named.key) == ("17", found.key)


def test_a_stop_names_its_transaction_but_no_connector() -> None:
    check_request("StopTransaction", STOP, V16)
    found = event("StopTransaction", STOP)
    assert (found.transaction_id, found.evse_id, found.started, found.ended) == ("17", 0, False, True)


def test_meter_values_belong_to_a_transaction_only_if_they_say_so() -> None:
    check_request("MeterValues", VALUES, V16)
    found = event("MeterValues", VALUES)
    assert (found.transaction_id, found.evse_id, found.started, found.ended) == ("17", 2, False, False)
    assert DIALECT.transaction_event("MeterValues", {"connectorId": 2, "meterValue": [SAMPLE]}) is None


@pytest.mark.parametrize(
    "action", ["Authorize", "StatusNotification", "BootNotification", "DataTransfer", "TransactionEvent", "RemoteStopTransaction"]
)
def test_other_messages_are_no_transaction(action: str) -> None:
    assert DIALECT.transaction_event(action, {**START, **STOP}) is None


@pytest.mark.parametrize(
    ("value", "text"),
    [(17, "17"), (-1, "-1"), (0, "0"), ("17", "17"), (" 17 ", "17"), ("-1", "-1"), (17.0, "17"), (2**31, "2147483648")],
)
def test_ids_from_the_wire(value: Any, text: str) -> None:  # B28
    assert event("StopTransaction", {**STOP, "transactionId": value}).transaction_id == text


@pytest.mark.parametrize("value", [None, True, 17.5, "", "abc", "17a", "1_7", "１７", [17], {"id": 17}, 10**20, float("nan"), float("inf"), "9" * 30])
def test_what_is_no_id_names_no_transaction(value: Any) -> None:  # B28
    assert DIALECT.transaction_event("StopTransaction", {**STOP, "transactionId": value}) is None
    assert DIALECT.started_by_answer("StartTransaction", START, {"transactionId": value}) is None
    assert DIALECT.transaction_of_command("RemoteStopTransaction", {"transactionId": value}) is None


# -- keys of repeats (F15) ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("action", "payload"), [("StartTransaction", START), ("StopTransaction", STOP), ("MeterValues", VALUES)])
def test_a_repeat_has_the_same_key_whatever_the_order_of_its_fields(action: str, payload: dict[str, Any]) -> None:
    assert event(action, payload).key == event(action, dict(reversed(payload.items()))).key != ""


@pytest.mark.parametrize(
    ("action", "one", "other"),
    [
        *(
            ("StartTransaction", START, {**START, **change})
            for change in ({"connectorId": 1}, {"idTag": "X"}, {"meterStart": 1}, {"timestamp": "2026-11-21T16:00:01Z"})
        ),
        *(
            ("StopTransaction", STOP, {**STOP, **change})
            for change in ({"transactionId": 18}, {"meterStop": 1}, {"timestamp": "2026-11-21T17:00:01Z"})
        ),
        ("MeterValues", VALUES, {**VALUES, "transactionId": 18}),
        ("MeterValues", VALUES, {**VALUES, "meterValue": [{**SAMPLE, "sampledValue": [{"value": "16.1"}]}]}),
    ],
)
def test_another_message_has_another_key(action: str, one: dict[str, Any], other: dict[str, Any]) -> None:
    assert event(action, one).key != event(action, other).key


def test_a_start_and_a_stop_without_time_cannot_be_told_apart_from_repeats() -> None:
    assert event("StartTransaction", {**START, "timestamp": "yesterday"}).key == ""
    assert event("StopTransaction", {key: value for key, value in STOP.items() if key != "timestamp"}).key == ""


def test_keys_name_nobody() -> None:
    assert "AABB" not in event("StartTransaction", START).key


# -- ids in messages -------------------------------------------------------------------------------------------


def test_the_answer_to_a_start_names_the_transaction() -> None:
    answer = {"transactionId": 4711, "idTagInfo": {"status": "Accepted"}}
    assert DIALECT.started_by_answer("StartTransaction", START, answer) == "4711"
    assert DIALECT.started_by_answer("StartTransaction", START, {**answer, "transactionId": -1}) == "-1"
    assert DIALECT.started_by_answer("StopTransaction", STOP, answer) is None
    assert DIALECT.started_by_answer("StartTransaction", START, {"idTagInfo": {"status": "Accepted"}}) is None


PROFILE = {
    "chargingProfileId": 1,
    "transactionId": 17,
    "stackLevel": 0,
    "chargingProfilePurpose": "TxProfile",
    "chargingProfileKind": "Relative",
    "chargingSchedule": {"chargingRateUnit": "A", "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 16.0}]},
}


@pytest.mark.parametrize(
    ("action", "payload"),
    [
        ("StopTransaction", STOP),
        ("MeterValues", VALUES),
        ("RemoteStopTransaction", {"transactionId": 17}),
        ("SetChargingProfile", {"connectorId": 2, "csChargingProfiles": PROFILE}),
    ],
)
def test_another_id_takes_the_place_of_the_named_one(action: str, payload: dict[str, Any]) -> None:
    changed = DIALECT.with_transaction(action, payload, "2140000001")
    check_request(action, changed, V16)
    assert DIALECT.transaction_of_command(action, changed) == "2140000001"
    assert DIALECT.transaction_of_command(action, payload) == "17"
    assert DIALECT.with_transaction(action, changed, "17") == payload


@pytest.mark.parametrize(
    ("action", "payload"),
    [
        ("MeterValues", {"connectorId": 2, "meterValue": [SAMPLE]}),
        ("SetChargingProfile", {"connectorId": 2, "csChargingProfiles": {key: value for key, value in PROFILE.items() if key != "transactionId"}}),
        ("Reset", {"type": "Soft"}),
        ("SetChargingProfile", {"connectorId": 2, "csChargingProfiles": 5}),
    ],
)
def test_a_message_that_names_none_stays_as_it_is(action: str, payload: dict[str, Any]) -> None:
    assert DIALECT.with_transaction(action, payload, "5") == payload
    assert DIALECT.transaction_of_command(action, payload) is None


def test_an_id_of_another_version_never_gets_on_the_wire() -> None:
    assert DIALECT.with_transaction("StopTransaction", STOP, "0f7e-uuid") == STOP
    assert DIALECT.stop_transaction("0f7e-uuid") == ("RemoteStopTransaction", {"transactionId": -1})
    with pytest.raises(ValueError, match="invalid literal"):
        DIALECT.assign_transaction({}, "0f7e-uuid")


def test_a_transaction_is_ended_by_its_integer() -> None:
    action, payload = DIALECT.stop_transaction("17")
    assert (action, payload) == ("RemoteStopTransaction", {"transactionId": 17})
    check_request(action, payload, V16)


def test_nothing_marks_a_message_as_late() -> None:
    assert DIALECT.mark_offline("StartTransaction", START) is START
