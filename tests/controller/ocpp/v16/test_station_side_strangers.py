"""1.6 stations as they are found in the field, shown to a 2.x CSMS (OCPP-NOTES 12.1 to 12.10, 16)."""

from __future__ import annotations

from typing import Any

import pytest

from controller.ocpp.hub import NO_ANSWER, EvseShape, Failed, Message, Said
from controller.ocpp.v16.station_side import StationSide16
from controller.orders import Tell
from tests.support.talking import NOON, Talking

START = {"connectorId": 1, "idTag": "04A1B2C3", "meterStart": 1000, "timestamp": NOON}
BOOT = {"chargePointVendor": "V", "chargePointModel": "M"}
ACCEPTED = {"status": "Accepted"}


def talking(evses: int = 2, wire: dict[str, Any] | None = None, **hub: Any) -> Talking:
    """A connected station; hub: how the CSMS answers where it is not friendly."""
    kind = {
        "BootNotification": {"status": "Accepted", "currentTime": NOON, "interval": 300},
        "TransactionEvent": {},
        **{action: {} for action in ("StatusNotification", "NotifyEvent", "MeterValues", "FirmwareStatusNotification")},
        "Authorize": {"idTokenInfo": ACCEPTED},
    }
    made = Talking(StationSide16, evses=tuple(EvseShape(number + 1) for number in range(evses)), wire=wire or {}, hub={**kind, **hub})
    made.opened()
    return made


def charging(**more: Any) -> Talking:
    """Transaction 1001 runs at connector 1."""
    peer = talking(**more)
    peer.said("StartTransaction", START)
    peer.log.clear()
    return peer


def reading(second: int, energy_wh: Any = "1100", connector: int = 1, **more: Any) -> dict[str, Any]:
    """MeterValues without a transactionId unless ``more`` has one."""
    entry = {"timestamp": f"2026-11-21T12:00:{second:02d}Z", "sampledValue": [{"value": energy_wh}]}
    return {"connectorId": connector, "meterValue": [entry], **more}


def status(peer: Talking, word: str, at: str = NOON, **more: Any) -> Any:
    return peer.said("StatusNotification", {"connectorId": 1, "status": word, "errorCode": "NoError", "timestamp": at, **more})


def sent(peer: Talking) -> list[tuple[str, Any]]:
    """(action, eventType and seqNo of a transaction's event, else evseId) of what went to the hub."""
    return [
        (action, (told["eventType"], told["seqNo"]) if action == "TransactionEvent" else told.get("evseId")) for action, told in peer.sent("hub")
    ]


# -- readings that name no transaction, or a number that is none (12.5, 16E 3.54) -----------------------------------------


@pytest.mark.parametrize("more", [{}, {"transactionId": 0}, {"transactionId": -1}])
def test_readings_during_a_transaction_belong_to_it_whatever_they_name(more: dict[str, Any]) -> None:
    peer = charging()
    assert peer.said("MeterValues", reading(10, **more)) == Said({})
    assert peer.said("MeterValues", reading(10, **more)) == Said({})  # again: the very same event
    peer.said("MeterValues", reading(20, "1200", **more))
    assert sent(peer) == [("TransactionEvent", ("Updated", 1)), ("TransactionEvent", ("Updated", 1)), ("TransactionEvent", ("Updated", 2))]


@pytest.mark.parametrize("more", [{}, {"transactionId": 0}, {"transactionId": -1}])
def test_readings_of_a_free_connector_begin_nothing(more: dict[str, Any]) -> None:
    peer = charging()
    status(peer, "Available")
    peer.log.clear()
    peer.said("MeterValues", reading(10, connector=2, **more))  # nothing runs there
    peer.said("MeterValues", reading(10, connector=1, **more))  # its stop was lost: the station says it is free
    assert sent(peer) == [("MeterValues", 2), ("MeterValues", 1)]


def test_readings_from_before_the_transaction_are_not_its() -> None:
    peer = talking()
    peer.said("StartTransaction", {**START, "timestamp": "2026-11-21T12:00:30Z"})
    peer.log.clear()
    peer.said("MeterValues", reading(29))
    peer.said("MeterValues", reading(30))
    assert sent(peer) == [("MeterValues", 1), ("TransactionEvent", ("Updated", 1))]


def test_the_main_meter_is_never_a_transaction() -> None:
    peer = charging(evses=1)
    peer.said("MeterValues", reading(10, connector=0))
    assert sent(peer) == [("MeterValues", 0)]


def test_readings_after_the_stop_are_nobodys() -> None:
    peer = charging()
    peer.said("StopTransaction", {"transactionId": 1001, "meterStop": 1500, "timestamp": "2026-11-21T12:00:30Z"})
    peer.log.clear()
    peer.said("MeterValues", reading(40, transactionId=1001))
    peer.said("MeterValues", reading(41))
    assert sent(peer) == [("MeterValues", 1), ("MeterValues", 1)]


# -- times (16.8) -----------------------------------------------------------------------------------------------------------


def test_a_status_of_the_same_second_counts_whatever_fractions_are_written() -> None:
    peer = talking()
    peer.said("StartTransaction", {**START, "timestamp": "2026-11-21T12:00:00.500Z"})
    peer.log.clear()
    status(peer, "Charging", "2026-11-21T12:00:00Z")
    assert [told["transactionInfo"]["chargingState"] for action, told in peer.sent("hub") if action == "TransactionEvent"] == ["Charging"]


@pytest.mark.parametrize("moment", ["2026-11-21T12:00:10", "2026-11-21T12:00:10.000000+00:00", "2026-11-21T13:00:10+01:00", "2026-11-21 12:00:10Z"])
def test_times_without_zone_or_with_any_fraction_are_read(moment: str) -> None:
    peer = talking()
    message = {"connectorId": 2, "meterValue": [{"timestamp": moment, "sampledValue": [{"value": "31.884057998657227"}]}]}
    peer.run(peer.side.said(Message("MeterValues", message)))
    ((_, told),) = peer.sent("hub")
    assert told["meterValue"][0]["timestamp"] == "2026-11-21T12:00:10.000Z"
    assert told["meterValue"][0]["sampledValue"][0]["value"] == 31.884057998657227


# -- who may charge where (12.4) ---------------------------------------------------------------------------------------------


def test_a_station_with_one_connector_hears_at_once_that_a_card_is_for_another_place() -> None:
    elsewhere = {"idTokenInfo": {"status": "Accepted", "evseId": [7]}}
    peer = talking(evses=1, Authorize=elsewhere)
    assert peer.said("Authorize", {"idTag": "A"}) == Said({"idTagInfo": {"status": "Invalid"}})
    several = talking(evses=2, Authorize=elsewhere)
    assert several.said("Authorize", {"idTag": "A"}) == Said({"idTagInfo": ACCEPTED})  # the start will tell


# -- why it boots (12.2) -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("story", "reasons"),
    [
        (["Downloading", "Downloaded", "Installing", "Installed", "boot", "boot"], ["FirmwareUpdate", "PowerUp"]),
        (["Installing", "boot", "Installed", "boot"], ["FirmwareUpdate", "PowerUp"]),
        (["Installed", "boot", "boot"], ["FirmwareUpdate", "PowerUp"]),
        (["Installing", "InstallationFailed", "boot"], ["PowerUp"]),
        (["Installing", "boot", "InstallationFailed", "Installing", "boot", "Installed", "boot"], ["FirmwareUpdate", "FirmwareUpdate", "PowerUp"]),
    ],
)
def test_one_boot_belongs_to_an_update(story: list[str], reasons: list[str]) -> None:
    peer = talking()
    for step in story:
        _ = peer.said("BootNotification", BOOT) if step == "boot" else peer.said("FirmwareStatusNotification", {"status": step})
    assert [told["reason"] for action, told in peer.sent("hub") if action == "BootNotification"] == reasons


# -- errors (12.3) -------------------------------------------------------------------------------------------------------------


def test_an_error_nobody_heard_of_is_told_with_the_next_status() -> None:
    answers: list[Any] = [NO_ANSWER, {}]
    peer = talking(NotifyEvent=lambda event: answers.pop(0))
    status(peer, "Faulted", errorCode="GroundFailure")
    status(peer, "Faulted", errorCode="GroundFailure")
    status(peer, "Faulted", errorCode="GroundFailure")
    told = [event["eventData"][0] for action, event in peer.sent("hub") if action == "NotifyEvent"]
    assert [(event["component"]["name"], event["actualValue"]) for event in told] == [("RCD", "true"), ("RCD", "true")]


# -- settings (12.9) ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", ["PropertyConstraintViolation", "OccurenceConstraintViolation", "InternalError"])
def test_a_station_that_takes_few_keys_at_a_time_is_asked_for_fewer(code: str) -> None:
    def get(request: dict[str, Any]) -> Any:
        if len(request["key"]) > 2:
            return Failed(code)
        return {"configurationKey": [{"key": key, "readonly": False, "value": "7"} for key in request["key"]]}

    peer = talking(wire={"GetConfiguration": get})
    names = [("OCPPCommCtrlr", "HeartbeatInterval"), ("OCPPCommCtrlr", "ResetRetries"), ("TxCtrlr", "EVConnectionTimeOut")]
    names += [("SampledDataCtrlr", "TxUpdatedInterval"), ("OCPPCommCtrlr", "WebSocketPingInterval")]
    reply = peer.asked("GetVariables", {"getVariableData": [{"component": {"name": c}, "variable": {"name": v}} for c, v in names]})
    assert isinstance(reply, Said)
    assert [item["attributeValue"] for item in reply.payload["getVariableResult"]] == ["7"] * 5


def test_a_station_that_refuses_every_question_ends_it() -> None:
    peer = talking(wire={"GetConfiguration": Failed("InternalError")})
    item = {"component": {"name": "OCPPCommCtrlr"}, "variable": {"name": "HeartbeatInterval"}}
    assert peer.asked("GetVariables", {"getVariableData": [item]}) == Failed("InternalError")


# -- reset when idle (12.7, trap 27) ---------------------------------------------------------------------------------------------


def _idle_reset(answers: list[Any]) -> Talking:
    """OnIdle was asked while transaction 1001 ran, which has ended now."""
    peer = charging(evses=1, wire={"Reset": lambda request: answers.pop(0) if answers else ACCEPTED})
    status(peer, "Charging")
    assert peer.asked("Reset", {"type": "OnIdle"}) == Said({"status": "Scheduled"})
    peer.seconds(20)
    assert peer.sent("wire") == []
    peer.said("StopTransaction", {"transactionId": 1001, "meterStop": 1500, "timestamp": "2026-11-21T12:00:30Z"})
    status(peer, "Available")
    peer.log.clear()
    return peer


def _resets(peer: Talking) -> list[str]:
    return [told["type"] for action, told in peer.sent("wire") if action == "Reset"]


def test_a_promised_reset_is_tried_again() -> None:
    peer = _idle_reset([{"status": "Rejected"}, {"status": "Rejected"}])
    peer.seconds(2)
    assert _resets(peer) == ["Soft", "Hard"]
    peer.seconds(55)
    assert _resets(peer) == []
    peer.seconds(10)
    assert _resets(peer) == ["Soft"]
    peer.said("BootNotification", BOOT)
    assert peer.sent("hub")[-1][1]["reason"] == "ScheduledReset"
    peer.seconds(400)
    assert _resets(peer) == []


def test_a_promised_reset_survives_a_crash_between_question_and_answer() -> None:
    peer = _idle_reset([NO_ANSWER] * 2)
    peer.seconds(1)
    after = peer.again()
    after.opened()
    status(after, "Available")
    after.seconds(20)
    assert "Soft" in _resets(after)


def test_a_reset_that_is_always_refused_is_given_up_and_told() -> None:
    peer = _idle_reset([{"status": "Rejected"}] * 20)
    peer.seconds(600)
    assert _resets(peer) == ["Soft", "Hard"] * 3
    assert [type(one) for one in peer.emitted] == [Tell]


# -- the queue (E14, trap 10) ------------------------------------------------------------------------------------------------------


def test_a_transaction_whose_messages_wait_here_says_so() -> None:
    peer = charging()
    uuid = "00000000-0000-4000-8000-000000000001"
    peer.queued = 1
    assert peer.asked("GetTransactionStatus", {"transactionId": uuid}) == Said({"ongoingIndicator": True, "messagesInQueue": True})
    assert peer.asked("GetTransactionStatus", {}) == Said({"messagesInQueue": True})
    assert peer.asked("GetTransactionStatus", {"transactionId": "nobody"}) == Said({"ongoingIndicator": False, "messagesInQueue": False})
    peer.queued = 0
    assert peer.asked("GetTransactionStatus", {}) == Said({"messagesInQueue": False})


# -- clocks (16.8) -----------------------------------------------------------------------------------------------------------------


def test_a_status_without_a_time_is_of_now_however_fast_the_station_s_clock_is() -> None:
    peer = talking()
    peer.said("StartTransaction", {**START, "timestamp": "2026-11-21T12:05:00Z"})
    peer.log.clear()
    peer.said("StatusNotification", {"connectorId": 1, "status": "Charging", "errorCode": "NoError"})
    assert [told["transactionInfo"]["chargingState"] for action, told in peer.sent("hub") if action == "TransactionEvent"] == ["Charging"]


def test_a_status_from_before_the_transaction_is_not_its_state() -> None:
    peer = talking()
    peer.said("StartTransaction", {**START, "timestamp": "2026-11-21T12:05:00Z"})
    peer.log.clear()
    status(peer, "SuspendedEV", "2026-11-21T12:04:00Z")
    assert [action for action, _ in peer.sent("hub")] == ["StatusNotification"]


# -- a number that is not ours (12.5) ------------------------------------------------------------------------------------------------


def test_a_station_with_a_number_of_its_own_speaks_of_what_runs_there() -> None:
    peer = charging()
    peer.said("MeterValues", reading(10, transactionId=4711))
    peer.said("StopTransaction", {"transactionId": 4711, "meterStop": 1500, "timestamp": "2026-11-21T12:00:30Z"})
    peer.said("StopTransaction", {"transactionId": 4711, "meterStop": 1500, "timestamp": "2026-11-21T12:00:30Z"})  # again
    assert sent(peer) == [("TransactionEvent", ("Updated", 1)), ("TransactionEvent", ("Ended", 2)), ("TransactionEvent", ("Ended", 2))]


def test_a_stop_from_before_what_runs_there_is_another_transaction() -> None:
    peer = charging(evses=1)
    peer.said("StopTransaction", {"transactionId": 4711, "meterStop": 900, "timestamp": "2026-11-21T11:59:00Z"})
    assert sent(peer) == [("TransactionEvent", ("Started", 0)), ("TransactionEvent", ("Ended", 1))]
    uuid = "00000000-0000-4000-8000-000000000001"
    assert peer.asked("GetTransactionStatus", {"transactionId": uuid}) == Said({"ongoingIndicator": True, "messagesInQueue": False})


def test_with_several_running_an_unknown_stop_ends_none_of_them() -> None:
    peer = charging()
    peer.said("StartTransaction", {**START, "connectorId": 2})
    peer.log.clear()
    peer.said("StopTransaction", {"transactionId": 4711, "meterStop": 900, "timestamp": "2026-11-21T12:05:00Z"})
    assert sent(peer) == [("TransactionEvent", ("Started", 0)), ("TransactionEvent", ("Ended", 1))]


def test_a_station_that_never_stops_fills_no_memory() -> None:
    peer = talking()
    for minute in range(59):
        for second in (0, 20, 40):
            peer.said("StartTransaction", {**START, "timestamp": f"2026-11-21T12:{minute:02d}:{second:02d}Z"})
    assert len([key for key, _ in peer.memory.starting("tx:")]) <= 45


def test_a_connector_that_cannot_be_is_told_and_not_remembered() -> None:
    peer = talking()
    for connector in (2**31 - 1, 5000):
        assert peer.said("StatusNotification", {"connectorId": connector, "status": "Available", "errorCode": "NoError"}) == Said({})
    assert sent(peer) == [("StatusNotification", 2**31 - 1), ("StatusNotification", 5000)]
    assert [key for key, _ in peer.memory.starting("status:")] == []


# -- the whitepaper, loosely refused (16.7) --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", ["NotImplemented", "NotSupported", "InternalError", "FormationViolation", "VendorMadeThisUp"])
def test_a_station_that_knows_no_whitepaper_says_so_with_any_error(code: str) -> None:
    wire = {"GetLog": Failed(code), "GetDiagnostics": {"fileName": "d.zip"}, "ExtendedTriggerMessage": Failed(code), "TriggerMessage": ACCEPTED}
    peer = talking(wire=wire)
    log = {"logType": "DiagnosticsLog", "requestId": 7, "log": {"remoteLocation": "ftp://there/"}}
    assert peer.asked("GetLog", log) == Said({"status": "Accepted", "filename": "d.zip"})
    assert peer.asked("TriggerMessage", {"requestedMessage": "LogStatusNotification"}) == Said(ACCEPTED)
    assert [action for action, _ in peer.sent("wire")] == ["GetLog", "GetDiagnostics", "ExtendedTriggerMessage", "TriggerMessage"]


def test_a_station_that_is_silent_is_not_asked_in_another_way() -> None:
    peer = talking(wire={"GetDiagnostics": {"fileName": "d.zip"}})
    log = {"logType": "DiagnosticsLog", "requestId": 7, "log": {"remoteLocation": "ftp://there/"}}
    assert peer.asked("GetLog", log) == NO_ANSWER
    assert [action for action, _ in peer.sent("wire")] == ["GetLog"]


def test_a_remote_start_whose_answer_was_lost_is_named_when_it_begins() -> None:
    peer = talking(wire={"RemoteStartTransaction": NO_ANSWER})
    remote = {"evseId": 1, "idToken": {"idToken": "04A1B2C3", "type": "ISO14443"}, "remoteStartId": 77}
    assert peer.asked("RequestStartTransaction", remote) == NO_ANSWER
    peer.said("StartTransaction", START)
    (started,) = [told for action, told in peer.sent("hub") if action == "TransactionEvent"]
    assert (started["triggerReason"], started["transactionInfo"]["remoteStartId"]) == ("RemoteStart", 77)
