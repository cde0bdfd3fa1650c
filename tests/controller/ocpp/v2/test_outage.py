"""What gets the link through an outage: thinning, repeats, drivers, lists (E12, E13, D01)."""

from typing import Any

import pytest

from controller.ocpp.dialect import ListUpdate, RetryRules
from controller.ocpp.registry import dialects
from tests.support.schemas import check_request

DIALECT = dialects()["ocpp2.0.1"]
D21 = dialects()["ocpp2.1"]


def event(kind: str = "Updated", trigger: str = "MeterValuePeriodic", **more: Any) -> dict[str, Any]:
    info = {"transactionId": "t-1", "chargingState": "Charging", **more.pop("info", {})}
    sample = {"value": 1.0, "context": more.pop("context", "Sample.Periodic")}
    values = [{"timestamp": "2026-11-21T16:00:00Z", "sampledValue": [sample]}]
    whole = {"eventType": kind, "triggerReason": trigger, "seqNo": 3, "timestamp": "2026-11-21T16:00:00Z", "transactionInfo": info}
    return {**whole, "meterValue": values, **more}


@pytest.mark.parametrize("trigger", ["MeterValuePeriodic", "MeterValueClock"])
def test_a_periodic_reading_may_go_when_there_are_too_many(trigger: str) -> None:  # E12.FR.04
    assert DIALECT.thinnable("TransactionEvent", event(trigger=trigger))
    assert DIALECT.thinnable("MeterValues", {"evseId": 1, "meterValue": event()["meterValue"]})


@pytest.mark.parametrize(
    "payload",
    [
        event("Started"),
        event("Ended"),
        event(trigger="ChargingStateChanged"),
        event(trigger="CostLimitReached"),
        event(trigger="LimitSet"),
        event(idToken={"idToken": "A", "type": "Central"}),
        event(reservationId=4),
        event(info={"remoteStartId": 7}),
        event(info={"transactionLimit": {"maxCost": 3.0}}),
        event(context="Transaction.Begin"),
        event(context="Interruption.End"),
        {},
    ],
)
def test_never_first_last_state_limit_or_what_is_said_once(payload: dict[str, Any]) -> None:  # E12.FR.05, trap 9
    assert not D21.thinnable("TransactionEvent", payload)


def test_periodic_events_of_a_monitor_may_go_but_no_alarm_among_them() -> None:  # N08
    periodic, alert = {"eventId": 1, "trigger": "Periodic"}, {"eventId": 2, "trigger": "Alerting"}
    assert DIALECT.thinnable("NotifyEvent", {"eventData": [periodic, periodic]})
    for events in ([periodic, alert], [], [{**periodic, "cleared": True}], None):
        assert not DIALECT.thinnable("NotifyEvent", {"eventData": events})


def test_other_messages_are_never_thinned() -> None:
    assert not DIALECT.thinnable("SecurityEventNotification", {})
    assert not DIALECT.thinnable("MeterValues", {"meterValue": event(context="Transaction.End")["meterValue"]})


def test_the_key_is_the_same_for_a_repeat_and_another_for_the_next_event() -> None:  # F15
    def key(payload: dict[str, Any]) -> str:
        found = DIALECT.transaction_event("TransactionEvent", payload)
        assert found is not None
        return found.key

    first = event()
    assert key(first) == key({**first, "offline": True})
    for other in ({**first, "seqNo": 4}, {**first, "eventType": "Ended"}, {**first, "timestamp": "2026-11-21T16:01:00Z"}):
        assert key(other) != key(first)
    assert key({name: value for name, value in first.items() if name != "seqNo"}) == ""


# -- E13 ---------------------------------------------------------------------------------------------


def rule(variable: str, value: str, instance: str = "TransactionEvent", **more: Any) -> dict[str, Any]:
    return {"component": {"name": "OCPPCommCtrlr"}, "variable": {"name": variable, "instance": instance}, "attributeValue": value, **more}


def told(*items: dict[str, Any]) -> RetryRules | None:
    return DIALECT.retry_rules("GetVariables", {}, {"getVariableResult": [{"attributeStatus": "Accepted", **item} for item in items]})


def test_retry_rules_as_read_from_the_station() -> None:
    assert told(rule("MessageAttempts", "5"), rule("MessageAttemptInterval", "60")) == RetryRules(5, 60.0)
    assert told(rule("MessageAttempts", "5")) == RetryRules(5, None)
    assert told(rule("messageattempts", "4", "TRANSACTIONEVENT")) == RetryRules(4, None)


@pytest.mark.parametrize(
    "item",
    [
        rule("MessageAttempts", "0"),
        rule("MessageAttempts", "many"),
        rule("MessageAttemptInterval", "-1"),
        rule("MessageAttempts", "5", "BootNotification"),
        rule("MessageAttempts", "5", attributeType="MaxSet"),
        rule("HeartbeatInterval", "5"),
    ],
)
def test_what_is_no_retry_rule_changes_none(item: dict[str, Any]) -> None:
    assert told(item) is None


def test_retry_rules_set_by_the_csms_count_once_the_station_took_them() -> None:
    request = {"setVariableData": [rule("MessageAttempts", "7"), rule("MessageAttemptInterval", "20")]}
    results = [{**rule("MessageAttempts", ""), "attributeStatus": "Accepted"}, {**rule("MessageAttemptInterval", ""), "attributeStatus": "Rejected"}]
    assert DIALECT.retry_rules("SetVariables", request, {"setVariableResult": results}) == RetryRules(7, None)
    assert DIALECT.retry_rules("SetVariables", request, {}) is None


def test_retry_rules_in_reports_and_events() -> None:
    item = rule("MessageAttempts", "")
    report = {"reportData": [{**item, "variableAttribute": [{"type": "MaxSet", "value": "9"}, {"value": "6"}]}]}
    assert DIALECT.retry_rules("NotifyReport", report, {}) == RetryRules(6, None)
    assert DIALECT.retry_rules("NotifyEvent", {"eventData": [{**item, "actualValue": "8"}]}, {}) == RetryRules(8, None)
    assert DIALECT.retry_rules("Heartbeat", {}, {}) is None


# -- drivers -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("status", "out"), [("Accepted", False), ("Invalid", True), ("Blocked", True), ("ConcurrentTx", True), (None, False)])
def test_a_driver_the_csms_does_not_accept_on_replay(status: str | None, out: bool) -> None:  # E05
    request = event("Started", "Authorized", idToken={"idToken": "A", "type": "Central"})
    assert DIALECT.deauthorised("TransactionEvent", request, {"idTokenInfo": {"status": status}}) is out
    assert not DIALECT.deauthorised("Authorize", request, {"idTokenInfo": {"status": status}})


def test_accepted_elsewhere_is_not_accepted_here() -> None:  # C01.FR.21
    request = event("Started", "Authorized", evse={"id": 2})
    assert DIALECT.deauthorised("TransactionEvent", request, {"idTokenInfo": {"status": "Accepted", "evseId": [1, 3]}})
    assert not DIALECT.deauthorised("TransactionEvent", request, {"idTokenInfo": {"status": "Accepted", "evseId": [2]}})


def test_who_ends_a_transaction_need_not_be_allowed_to_charge() -> None:
    for request in (event("Ended", "StopAuthorized"), event("Updated", "StopAuthorized")):
        assert not DIALECT.deauthorised("TransactionEvent", request, {"idTokenInfo": {"status": "Invalid"}})
    assert not DIALECT.deauthorised("TransactionEvent", event(), {})


def test_the_call_that_ends_a_transaction_validates() -> None:
    for version in ("ocpp2.0.1", "ocpp2.1"):
        action, payload = dialects()[version].stop_transaction("t-1")
        check_request(action, payload, version)
        assert DIALECT.transaction_of_command(action, payload) == "t-1"


def test_a_transaction_is_found_and_replaced_where_a_message_names_one() -> None:
    for action, payload in (
        ("TransactionEvent", event()),
        ("SetChargingProfile", {"evseId": 1, "chargingProfile": {"id": 3, "transactionId": "t-1"}}),
        ("SetDisplayMessage", {"message": {"id": 1, "transactionId": "t-1"}}),
        ("CostUpdated", {"totalCost": 1.0, "transactionId": "t-1"}),
    ):
        assert DIALECT.transaction_of_command(action, payload) == "t-1"
        other = DIALECT.with_transaction(action, payload, "t-2")
        assert DIALECT.transaction_of_command(action, other) == "t-2"
        assert DIALECT.with_transaction(action, other, "t-1") == payload
    assert DIALECT.transaction_of_command("Reset", {"type": "OnIdle"}) is None
    assert DIALECT.with_transaction("Reset", {"type": "OnIdle"}, "t-2") == {"type": "OnIdle"}


def test_the_station_names_its_own_transactions() -> None:  # E01.FR.08
    assert DIALECT.started_by_answer("TransactionEvent", event("Started"), {}) is None
    assert DIALECT.assign_transaction({"totalCost": 1.0}, "t-9") == {"totalCost": 1.0}


# -- local list ------------------------------------------------------------------------------------------

CARD, OTHER = {"idToken": "AABB", "type": "ISO14443"}, {"idToken": "CCDD", "type": "ISO14443"}
INFO = {"status": "Accepted"}


def sent(kind: str = "Full", version: Any = 4, entries: Any = None, status: str = "Accepted") -> ListUpdate | None:
    listed = [{"idToken": CARD, "idTokenInfo": INFO}, {"idToken": OTHER}] if entries is None else entries
    request = {"versionNumber": version, "updateType": kind, "localAuthorizationList": listed}
    return DIALECT.list_update("SendLocalList", request, {"status": status})


def test_a_full_list_replaces_and_a_differential_one_removes() -> None:
    assert sent() == ListUpdate(4, True, ((CARD, INFO),))
    assert sent("Differential") == ListUpdate(4, False, ((CARD, INFO), (OTHER, None)))
    empty = DIALECT.list_update("SendLocalList", {"versionNumber": 5, "updateType": "Full"}, {"status": "Accepted"})
    assert empty == ListUpdate(5, True, ())


def test_a_list_that_was_not_taken_or_has_no_number_changes_nothing() -> None:
    for status in ("Failed", "VersionMismatch"):
        assert sent(status=status) is None
    for version in (0, -1, True, "4", None):
        assert sent(version=version) is None
    assert sent("Whole") is None
    assert sent(entries=["odd", {"idToken": 3}]) == ListUpdate(4, True, ())
    assert DIALECT.list_update("SetVariables", {}, {"status": "Accepted"}) is None


def test_the_version_a_station_tells() -> None:  # D02
    assert DIALECT.list_version("GetLocalListVersion", {"versionNumber": 0}) == 0
    assert DIALECT.list_version("GetLocalListVersion", {"versionNumber": "4"}) is None
    assert DIALECT.list_version("GetLocalListVersion", {}) is None
    assert DIALECT.list_version("Reset", {"versionNumber": 4}) is None
