"""Transactions of the hub as a 1.6 CSMS hears them, told as stories. Expected values by hand from OCPP-NOTES 4.2, 12.5, 12.6."""

from __future__ import annotations

from typing import Any

import pytest

from controller.ocpp.hub import NO_ANSWER, EvseShape, Failed, Said
from controller.ocpp.v16.csms_side import CsmsSide16
from tests.support.talking import Talking

ACCEPTED = {"status": "Accepted"}
CARD = {"idToken": "04A1B2C3", "type": "ISO14443"}
OTHER = {"idToken": "0badcafe", "type": "ISO14443"}
SIGNED = {"signedMeterData": "OCMF|{}", "signingMethod": "", "encodingMethod": "OCMF", "publicKey": ""}
UUID = "7c1f2f3a-9d64-4f43-8f0e-000000000001"


def at(minute: int) -> str:
    return f"2026-11-21T12:{minute:02d}:00.000Z"


def csms(first: int = 77, info: dict[str, Any] | None = None) -> Talking:
    """A CSMS that numbers transactions from ``first`` on."""
    numbers = iter(range(first, first + 1000))
    talk = Talking(CsmsSide16)
    talk.wire = {
        "StartTransaction": lambda request: {"transactionId": next(numbers), "idTagInfo": info or ACCEPTED},
        "StopTransaction": {},
        "StatusNotification": {},
        "MeterValues": {},
        "Authorize": {"idTagInfo": ACCEPTED},
    }
    return talk


def reading(minute: int, value: float, context: str = "Sample.Periodic", unit: str = "Wh", **more: Any) -> dict[str, Any]:
    sample = {"value": value, "context": context, "measurand": "Energy.Active.Import.Register", "unitOfMeasure": {"unit": unit}}
    return {"timestamp": at(minute), "sampledValue": [{**sample, **more}]}


def event(kind: str, seq: int, trigger: str, minute: int = 0, **more: Any) -> dict[str, Any]:
    info = {"transactionId": more.pop("tid", UUID)}
    for name in ("chargingState", "stoppedReason", "remoteStartId"):
        if name in more:
            info[name] = more.pop(name)
    values = {"meterValue": more.pop("values")} if "values" in more else {}
    return {"eventType": kind, "seqNo": seq, "triggerReason": trigger, "timestamp": at(minute), "transactionInfo": info, **values, **more}


def started(**more: Any) -> dict[str, Any]:
    """Card first: authorised with its first event, register 1000.4 Wh."""
    values = [reading(0, 1000.4, "Transaction.Begin")]
    return event("Started", 0, "Authorized", evse={"id": 1, "connectorId": 1}, idToken=CARD, chargingState="EVConnected", values=values, **more)


def without_statuses(talk: Talking) -> list[tuple[str, dict[str, Any]]]:
    return [(action, payload) for action, payload in talk.sent("wire") if action != "StatusNotification"]


# -- the plain story -----------------------------------------------------------------------------------------------


def test_a_transaction_from_card_to_unplugged() -> None:
    talk = csms()
    occupied = {"timestamp": at(0), "connectorStatus": "Occupied", "evseId": 1, "connectorId": 1}
    talk.asked("StatusNotification", occupied)
    assert talk.asked("TransactionEvent", started()) == Said({"idTokenInfo": ACCEPTED})
    assert talk.asked("TransactionEvent", event("Updated", 1, "ChargingStateChanged", 1, chargingState="Charging")) == Said({})
    power = {"value": 7.4, "measurand": "Power.Active.Import", "unitOfMeasure": {"unit": "kW"}, "context": "Sample.Periodic"}
    talk.asked("TransactionEvent", event("Updated", 2, "MeterValuePeriodic", 2, values=[{"timestamp": at(2), "sampledValue": [power]}]))
    end = [reading(30, 5000.6, "Transaction.End")]
    stop = event("Ended", 3, "StopAuthorized", 30, stoppedReason="Local", idToken=CARD, values=end)
    assert talk.asked("TransactionEvent", stop) == Said({"idTokenInfo": ACCEPTED})
    talk.asked("StatusNotification", {**occupied, "connectorStatus": "Available", "timestamp": at(31)})

    def told(minute: int, word: str) -> tuple[str, dict[str, Any]]:
        return "StatusNotification", {"connectorId": 1, "errorCode": "NoError", "status": word, "timestamp": at(minute)}

    sample = {"value": "7.4", "measurand": "Power.Active.Import", "unit": "kW", "context": "Sample.Periodic"}
    last = {"value": "5000.6", "measurand": "Energy.Active.Import.Register", "unit": "Wh", "context": "Transaction.End"}
    assert talk.sent("wire") == [
        told(0, "Preparing"),
        ("StartTransaction", {"connectorId": 1, "idTag": "04A1B2C3", "meterStart": 1000, "timestamp": at(0)}),
        told(1, "Charging"),
        ("MeterValues", {"connectorId": 1, "transactionId": 77, "meterValue": [{"timestamp": at(2), "sampledValue": [sample]}]}),
        (
            "StopTransaction",
            {
                "transactionId": 77,
                "idTag": "04A1B2C3",
                "meterStop": 5001,
                "timestamp": at(30),
                "reason": "Local",
                # 5000.6 Wh is more than meterStop could say.
                "transactionData": [{"timestamp": at(30), "sampledValue": [last]}],
            },
        ),
        told(30, "Finishing"),
        told(31, "Available"),
    ]


@pytest.mark.parametrize(
    ("state", "word"),
    [("Charging", "Charging"), ("SuspendedEV", "SuspendedEV"), ("SuspendedEVSE", "SuspendedEVSE")],
)
def test_charging_states_are_statuses(state: str, word: str) -> None:
    talk = csms()
    talk.asked("TransactionEvent", started())
    talk.sent()
    talk.asked("TransactionEvent", event("Updated", 1, "ChargingStateChanged", 1, chargingState=state))
    [(_, sent)] = talk.sent()
    assert (sent["connectorId"], sent["status"]) == (1, word)


@pytest.mark.parametrize(
    ("stopped", "trigger", "reason"),
    [
        # OCPP-NOTES 12.6, the down column.
        ("Local", "StopAuthorized", "Local"),
        (None, "StopAuthorized", "Local"),
        ("Remote", "RemoteStop", "Remote"),
        ("EVDisconnected", "EVCommunicationLost", "EVDisconnected"),
        ("DeAuthorized", "Deauthorized", "DeAuthorized"),
        ("EmergencyStop", "AbnormalCondition", "EmergencyStop"),
        ("PowerLoss", "AbnormalCondition", "PowerLoss"),
        ("Reboot", "AbnormalCondition", "Reboot"),
        ("ImmediateReset", "ResetCommand", "HardReset"),
        ("Other", "UnlockCommand", "UnlockCommand"),
        ("MasterPass", "StopAuthorized", "Local"),
        ("LocalOutOfCredit", "StopAuthorized", "Local"),
        *((word, "AbnormalCondition", "Other") for word in ("EnergyLimitReached", "TimeLimitReached", "SOCLimitReached", "Timeout", "GroundFault")),
        *((word, "AbnormalCondition", "Other") for word in ("OvercurrentFault", "PowerQuality", "StoppedByEV", "Other", "ReqEnergyTransferRejected")),
    ],
)
def test_reasons_to_stop(stopped: str | None, trigger: str, reason: str) -> None:
    talk = csms()
    talk.asked("TransactionEvent", started())
    talk.sent()
    why = {} if stopped is None else {"stoppedReason": stopped}
    talk.asked("TransactionEvent", event("Ended", 1, trigger, 9, values=[reading(9, 2000, "Transaction.End")], **why))
    # 2000 Wh is all in meterStop: no transactionData.
    assert without_statuses(talk) == [("StopTransaction", {"transactionId": 77, "meterStop": 2000, "timestamp": at(9), "reason": reason})]


# -- authorised later, or never ---------------------------------------------------------------------------------------


def test_cable_first_is_held_until_somebody_is_authorised() -> None:
    """12.5: StartTransaction with the first idToken, meterStart from what was read before; the held event survives a crash."""
    talk = csms()
    begin = [reading(0, 1.5, "Transaction.Begin", unit="kWh")]
    plugged = event("Started", 0, "CablePluggedIn", evse={"id": 2}, chargingState="EVConnected", values=begin)
    assert talk.asked("TransactionEvent", plugged) == Said({})
    assert [action for action, _ in talk.sent() if action == "StartTransaction"] == []
    later = talk.again()
    assert later.asked("TransactionEvent", event("Updated", 1, "Authorized", 1, idToken=CARD)) == Said({"idTokenInfo": ACCEPTED})
    assert without_statuses(later) == [("StartTransaction", {"connectorId": 2, "idTag": "04A1B2C3", "meterStart": 1500, "timestamp": at(1)})]


def test_a_signed_reading_of_a_held_start_goes_with_the_transaction() -> None:
    blob = 'OCMF|{"FV":"1.0"}|{"SD":"30aF=="}'
    signed = {"signedMeterData": blob, "signingMethod": "", "encodingMethod": "OCMF", "publicKey": ""}
    talk = csms()
    begin = [reading(0, 900, "Transaction.Begin", signedMeterValue=signed)]
    talk.asked("TransactionEvent", event("Started", 0, "CablePluggedIn", evse={"id": 1}, values=begin))
    assert without_statuses(talk) == []
    later = talk.again()
    later.asked("TransactionEvent", event("Updated", 1, "Authorized", 1, idToken=CARD))
    (_, start), (_, values) = without_statuses(later)
    assert start["meterStart"] == 900
    assert values["transactionId"] == 77
    assert [sample["value"] for sample in values["meterValue"][0]["sampledValue"]] == ["900", blob]
    later.asked("TransactionEvent", event("Updated", 2, "MeterValuePeriodic", 2, values=[reading(2, 950)]))
    assert [sample["value"] for sample in without_statuses(later)[0][1]["meterValue"][0]["sampledValue"]] == ["950"]


def test_what_was_held_is_not_lost_when_its_values_find_no_csms() -> None:
    """The start has its answer, the readings that waited for it have not: they are in the MeterValues that follow, after a crash too."""
    held = [reading(0, 1500.0, "Transaction.Begin", signedMeterValue=SIGNED)]
    for crash in (False, True):
        talk = csms()
        talk.asked("TransactionEvent", event("Started", 0, "CablePluggedIn", evse={"id": 2}, values=held))
        talk.wire["MeterValues"] = NO_ANSWER
        authorised = event("Updated", 1, "Authorized", 1, idToken=CARD)
        assert talk.asked("TransactionEvent", authorised) == NO_ANSWER
        talk.sent()
        talk.wire["MeterValues"] = {}
        talk = talk.again() if crash else talk
        assert talk.asked("TransactionEvent", authorised) == Said({"idTokenInfo": ACCEPTED})
        ((action, payload),) = without_statuses(talk)
        assert (action, payload["transactionId"]) == ("MeterValues", 77)
        assert [sample["value"] for sample in payload["meterValue"][0]["sampledValue"]] == ["1500", "OCMF|{}"]
        talk.asked("TransactionEvent", event("Updated", 2, "MeterValuePeriodic", 2, values=[reading(2, 1600.0)]))
        ((_, payload),) = without_statuses(talk)
        assert len(payload["meterValue"]) == 1, "told once"


def test_what_was_held_goes_up_too_if_only_the_last_event_names_the_driver() -> None:
    talk = csms()
    held = [reading(0, 1500.0, "Transaction.Begin", signedMeterValue=SIGNED)]
    talk.asked("TransactionEvent", event("Started", 0, "CablePluggedIn", evse={"id": 2}, values=held))
    talk.asked("TransactionEvent", event("Ended", 1, "StopAuthorized", 1, idToken=CARD, stoppedReason="Local"))
    assert [action for action, _ in without_statuses(talk)] == ["StartTransaction", "MeterValues", "StopTransaction"]


def test_readings_are_told_once_though_the_word_on_another_card_fails_to_come() -> None:
    talk = csms()
    talk.asked("TransactionEvent", started())
    talk.wire["Authorize"] = NO_ANSWER
    other = event("Updated", 1, "StopAuthorized", 5, idToken=OTHER, values=[reading(5, 1200.0)])
    assert talk.asked("TransactionEvent", other) == NO_ANSWER
    talk.wire["Authorize"] = {"idTagInfo": ACCEPTED}
    assert talk.asked("TransactionEvent", other) == Said({"idTokenInfo": ACCEPTED})
    assert [action for action, _ in without_statuses(talk)] == ["StartTransaction", "Authorize", "Authorize", "MeterValues"]


def test_a_cable_without_a_driver_is_nothing_to_1_6() -> None:
    talk = csms()
    talk.asked("TransactionEvent", event("Started", 0, "CablePluggedIn", evse={"id": 1}, chargingState="EVConnected"))
    assert talk.asked("TransactionEvent", event("Ended", 1, "EVDeparted", 3, stoppedReason="EVDisconnected")) == Said({})
    assert without_statuses(talk) == []


def test_a_driver_who_is_refused_is_told_in_the_answer() -> None:
    talk = csms(info={"status": "Blocked", "parentIdTag": "G"})
    reply = talk.asked("TransactionEvent", started())
    assert reply == Said({"idTokenInfo": {"status": "Blocked", "groupIdToken": {"idToken": "G", "type": "Local"}}})


def test_a_remote_start_is_known_again() -> None:
    """An event that names only the remoteStartId belongs to the idTag of the RemoteStartTransaction."""
    talk = csms()
    talk.hub["RequestStartTransaction"] = {"status": "Accepted"}
    assert talk.said("RemoteStartTransaction", {"connectorId": 1, "idTag": "ROAMER"}) == Said({"status": "Accepted"})
    [(_, request)] = talk.sent("hub")
    assert request == {"idToken": {"idToken": "ROAMER", "type": "Central"}, "evseId": 1, "remoteStartId": 1001}
    later = talk.again()
    later.asked("TransactionEvent", event("Started", 0, "RemoteStart", evse={"id": 1}, remoteStartId=1001, values=[reading(0, 10)]))
    sent = without_statuses(later)
    assert sent[0] == ("StartTransaction", {"connectorId": 1, "idTag": "ROAMER", "meterStart": 10, "timestamp": at(0)})


def test_a_reservation_is_used_up() -> None:
    talk = csms()
    talk.asked("TransactionEvent", started(reservationId=5))
    assert without_statuses(talk)[0][1]["reservationId"] == 5


def test_another_card_that_ends_it_is_asked_about_and_named() -> None:
    talk = csms()
    talk.wire["Authorize"] = {"idTagInfo": {"status": "Accepted", "parentIdTag": "G"}}
    talk.asked("TransactionEvent", started())
    reply = talk.asked("TransactionEvent", event("Updated", 1, "StopAuthorized", 5, idToken=OTHER))
    assert reply == Said({"idTokenInfo": {"status": "Accepted", "groupIdToken": {"idToken": "G", "type": "Local"}}})
    talk.sent()
    talk.asked("TransactionEvent", event("Ended", 2, "EVCommunicationLost", 6, stoppedReason="Local", values=[reading(6, 1100)]))
    assert without_statuses(talk)[0][1]["idTag"] == "0badcafe"


# -- nothing twice, nothing lost ---------------------------------------------------------------------------------------------


def test_an_event_that_comes_again_after_a_crash_starts_nothing_twice() -> None:
    """Trap 8: the number is on disk before the answer, so whoever asks again gets it from there."""
    talk = csms()
    talk.asked("TransactionEvent", started())
    later = talk.again()
    assert later.asked("TransactionEvent", started()) == Said({"idTokenInfo": ACCEPTED})
    assert without_statuses(later) == []
    later.asked("TransactionEvent", event("Ended", 1, "EVCommunicationLost", 9, stoppedReason="EVDisconnected", values=[reading(9, 1200)]))
    assert without_statuses(later)[0][1]["transactionId"] == 77
    last = later.again()
    end = event("Ended", 1, "EVCommunicationLost", 9, stoppedReason="EVDisconnected", values=[reading(9, 1200)])
    assert last.asked("TransactionEvent", {**end, "offline": True}) == Said({})
    assert without_statuses(last) == []


def test_without_an_answer_the_same_start_goes_again() -> None:
    talk = csms()
    start = talk.wire.pop("StartTransaction")
    assert talk.asked("TransactionEvent", started()) == NO_ANSWER
    first = without_statuses(talk)
    talk.wire["StartTransaction"] = start
    assert talk.asked("TransactionEvent", started()) == Said({"idTokenInfo": ACCEPTED})
    assert without_statuses(talk) == first


def test_a_disk_that_refuses_is_no_yes() -> None:
    talk = csms()
    talk.disk_fails = True
    assert isinstance(talk.asked("TransactionEvent", started()), Failed)


def test_values_that_failed_do_not_start_again() -> None:
    """The start is done, only the values are sent again."""
    talk = csms()
    talk.wire["MeterValues"] = Failed("InternalError")
    soc = {"timestamp": at(0), "sampledValue": [{"value": 40, "measurand": "SoC", "location": "EV"}]}
    begin = event("Started", 0, "Authorized", evse={"id": 1}, idToken=CARD, values=[reading(0, 5, "Transaction.Begin"), soc])
    assert talk.asked("TransactionEvent", begin) == Failed("InternalError")
    talk.wire["MeterValues"] = {}
    assert isinstance(talk.asked("TransactionEvent", begin), Said)
    assert [action for action, _ in without_statuses(talk)] == ["StartTransaction", "MeterValues", "MeterValues"]


def test_old_events_keep_their_times_and_only_the_last_state_is_told() -> None:
    """16 4.9: StatusNotification is no history."""
    talk = csms()
    talk.opened()
    talk.asked("TransactionEvent", started(offline=True))
    talk.asked("TransactionEvent", event("Updated", 1, "ChargingStateChanged", 1, chargingState="Charging", offline=True))
    talk.asked("TransactionEvent", event("Updated", 2, "ChargingStateChanged", 2, chargingState="SuspendedEV", offline=True))
    sent = talk.sent()
    assert [(action, payload["timestamp"]) for action, payload in sent] == [("StartTransaction", at(0))]
    talk.seconds(2)
    assert [(action, payload["status"]) for action, payload in talk.sent()] == [("StatusNotification", "SuspendedEV")]


# -- ids -------------------------------------------------------------------------------------------------------------------------


def test_the_csms_stops_by_its_own_number() -> None:
    talk = csms()
    talk.hub["RequestStopTransaction"] = {"status": "Accepted"}
    talk.asked("TransactionEvent", started())
    talk.sent()
    assert talk.again().said("RemoteStopTransaction", {"transactionId": 77}) == Said({"status": "Accepted"})
    assert talk.log == []
    assert talk.said("RemoteStopTransaction", {"transactionId": 78}) == Said({"status": "Rejected"})
    assert talk.said("RemoteStopTransaction", {"transactionId": 77}) == Said({"status": "Accepted"})
    assert talk.sent("hub") == [("RequestStopTransaction", {"transactionId": UUID})]
    talk.asked("TransactionEvent", event("Ended", 1, "RemoteStop", 9, stoppedReason="Remote"))
    assert talk.said("RemoteStopTransaction", {"transactionId": 77}) == Said({"status": "Rejected"})


@pytest.mark.parametrize("number", [0, -1, 5])
def test_a_csms_that_gives_everybody_the_same_number(number: int) -> None:
    """12.5: our own map is keyed by arrival; a number that is none stops nobody while it is two people's (16E 3.54)."""
    talk = csms()
    talk.wire["StartTransaction"] = {"transactionId": number, "idTagInfo": ACCEPTED}
    talk.hub["RequestStopTransaction"] = {"status": "Accepted"}
    talk.asked("TransactionEvent", started())
    talk.asked("TransactionEvent", {**started(tid="second"), "evse": {"id": 2}, "idToken": OTHER})
    talk.sent()
    reply = talk.said("RemoteStopTransaction", {"transactionId": number})
    assert reply == Said({"status": "Accepted" if number > 0 else "Rejected"})
    if number > 0:  # the later one has taken the number
        assert talk.sent("hub") == [("RequestStopTransaction", {"transactionId": "second"})]
    talk.asked("TransactionEvent", event("Ended", 1, "EVCommunicationLost", 5, stoppedReason="EVDisconnected", values=[reading(5, 1300)]))
    stop = dict(without_statuses(talk))["StopTransaction"]
    assert (stop["transactionId"], stop["meterStop"]) == (number, 1300)
    # The other one is still running, and alone now.
    assert talk.said("RemoteStopTransaction", {"transactionId": number}) == Said({"status": "Accepted"})
    assert talk.sent("hub") == [("RequestStopTransaction", {"transactionId": "second"})]


# -- energy ----------------------------------------------------------------------------------------------------------------------


def test_without_a_register_at_the_start_the_last_one_of_the_connector_counts() -> None:
    talk = csms()
    talk.asked("TransactionEvent", started())
    talk.asked("TransactionEvent", event("Ended", 1, "EVCommunicationLost", 9, stoppedReason="EVDisconnected", values=[reading(9, 1700)]))
    talk.sent()
    talk.asked("TransactionEvent", event("Started", 0, "Authorized", 10, tid="next", evse={"id": 1}, idToken=CARD))
    assert without_statuses(talk)[0][1]["meterStart"] == 1700


def test_a_driver_never_pays_for_a_whole_register() -> None:
    """No register before: meterStart 0, and meterStop from the first one seen."""
    talk = csms()
    talk.asked("TransactionEvent", event("Started", 0, "Authorized", evse={"id": 1}, idToken=CARD))
    talk.asked("TransactionEvent", event("Updated", 1, "MeterValuePeriodic", 1, values=[reading(1, 812_000)]))
    talk.asked("TransactionEvent", event("Ended", 2, "EVCommunicationLost", 9, stoppedReason="EVDisconnected", values=[reading(9, 817_500)]))
    sent = without_statuses(talk)
    assert sent[0][1]["meterStart"] == 0
    assert sent[-1][1]["meterStop"] == 5500


def test_a_signed_register_passes_letter_for_letter() -> None:
    """Calibration law: never re-encoded, never left out for being in meterStop already."""
    blob = 'OCMF|{"FV":"1.0","RD":[{"RV":2.0,"RU":"kWh"}]}|{"SD":"30aF=="}'
    signed = {"signedMeterData": blob, "signingMethod": "", "encodingMethod": "OCMF", "publicKey": ""}
    talk = csms()
    talk.asked("TransactionEvent", started())
    talk.sent()
    end = [reading(9, 2000, "Transaction.End", signedMeterValue=signed)]
    talk.asked("TransactionEvent", event("Ended", 1, "EVCommunicationLost", 9, stoppedReason="EVDisconnected", values=end))
    samples = without_statuses(talk)[0][1]["transactionData"][0]["sampledValue"]
    assert [sample["value"] for sample in samples if sample.get("format") == "SignedData"] == [blob]


def test_a_transaction_nobody_has_seen_begin_is_not_invented() -> None:
    talk = csms()
    assert talk.asked("TransactionEvent", event("Updated", 7, "MeterValuePeriodic", 1, evse={"id": 1}, values=[reading(1, 10)])) == Said({})
    [(action, sent)] = without_statuses(talk)
    assert action == "MeterValues"
    assert "transactionId" not in sent
    assert len(talk.emitted) == 1  # one warning
    assert talk.asked("TransactionEvent", event("Ended", 8, "EVCommunicationLost", 2, stoppedReason="EVDisconnected")) == Said({})
    assert without_statuses(talk) == []


# -- values outside ------------------------------------------------------------------------------------------------------------------


def test_values_outside_transactions() -> None:
    """Trap 11: evseId 0 is connector 0; 1.6 writes values as text."""
    talk = csms()
    talk.asked("MeterValues", {"evseId": 0, "meterValue": [reading(0, 12.5, "Sample.Clock", unit="kWh")]})
    sample = {"value": "12.5", "context": "Sample.Clock", "measurand": "Energy.Active.Import.Register", "unit": "kWh"}
    assert talk.sent() == [("MeterValues", {"connectorId": 0, "meterValue": [{"timestamp": at(0), "sampledValue": [sample]}]})]


def test_values_1_6_has_no_word_for_are_not_sent() -> None:
    talk = csms()
    offered = {"value": 11000, "measurand": "Power.Import.Offered"}
    assert talk.asked("MeterValues", {"evseId": 1, "meterValue": [{"timestamp": at(0), "sampledValue": [offered]}]}) == Said({})
    assert talk.sent() == []


def test_two_connectors_of_one_evse() -> None:
    talk = csms()
    talk.evses = (EvseShape(1, connectors=2),)
    talk.asked("TransactionEvent", {**started(), "evse": {"id": 1, "connectorId": 2}})
    assert without_statuses(talk)[0][1]["connectorId"] == 2


def test_an_evse_that_is_not_named_is_the_only_one() -> None:
    talk = csms()
    talk.evses = (EvseShape(1),)
    talk.asked("TransactionEvent", event("Started", 0, "Authorized", idToken=CARD, values=[reading(0, 1)]))
    assert without_statuses(talk)[0][1]["connectorId"] == 1


def test_ended_ones_are_forgotten_in_the_end() -> None:
    talk = csms()
    for count in range(80):
        talk.asked("TransactionEvent", started(tid=f"t{count}"))
        talk.asked("TransactionEvent", event("Ended", 1, "EVCommunicationLost", 9, tid=f"t{count}", stoppedReason="EVDisconnected"))
    assert len(list(talk.memory.starting("tx:"))) == 64
    assert not list(talk.memory.starting("number:"))


def test_the_driver_who_stops_before_he_unplugs_is_named_in_the_stop() -> None:
    talk = csms()
    talk.asked("TransactionEvent", started())
    talk.asked("TransactionEvent", event("Updated", 1, "StopAuthorized", 5, idToken=CARD, chargingState="EVConnected"))
    talk.asked("TransactionEvent", event("Ended", 2, "EVCommunicationLost", 6, stoppedReason="Local", values=[reading(6, 2000, "Transaction.End")]))
    (stop,) = [payload for action, payload in talk.sent("wire") if action == "StopTransaction"]
    assert stop["idTag"] == CARD["idToken"]


def test_a_driver_who_goes_on_after_all_has_not_stopped_it() -> None:
    talk = csms()
    talk.asked("TransactionEvent", started())
    talk.asked("TransactionEvent", event("Updated", 1, "StopAuthorized", 5, idToken=CARD, chargingState="EVConnected"))
    talk.asked("TransactionEvent", event("Updated", 2, "Authorized", 6, idToken=CARD, chargingState="Charging"))
    talk.asked("TransactionEvent", event("Ended", 3, "EVCommunicationLost", 9, stoppedReason="EVDisconnected"))
    (stop,) = [payload for action, payload in talk.sent("wire") if action == "StopTransaction"]
    assert "idTag" not in stop


def test_who_comes_after_a_connector_was_free_is_a_new_driver() -> None:
    """Some tell that the connector is free before they tell that the transaction has ended: the next Occupied is no Finishing."""
    talk = csms()

    def status(word: str) -> None:
        talk.asked("StatusNotification", {"timestamp": at(0), "connectorStatus": word, "evseId": 1, "connectorId": 1})

    status("Occupied")
    talk.asked("TransactionEvent", started())
    status("Available")
    talk.asked("TransactionEvent", event("Ended", 1, "EVCommunicationLost", 5, stoppedReason="Local"))
    talk.log.clear()
    status("Occupied")
    assert [payload["status"] for _, payload in talk.sent("wire")] == ["Preparing"]


def test_a_station_that_never_ends_its_transactions_fills_no_memory() -> None:
    talk = csms()
    for count in range(300):
        talk.asked("TransactionEvent", {**started(), "transactionInfo": {"transactionId": f"tx-{count}", "chargingState": "Charging"}})
    assert len([key for key, _ in talk.memory.starting("tx:")]) <= 70
    assert len([key for key, _ in talk.memory.starting("number:")]) <= 70
    talk.asked("TransactionEvent", event("Ended", 1, "StopAuthorized", 5, tid="tx-299", stoppedReason="Local"))
    assert talk.sent("wire")[-1][1].get("transactionId", 376) == 376
