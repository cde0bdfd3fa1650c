"""2.0.1 stations under the hub's words and 2.0.1 CSMSs above them (OCPP-NOTES 12.12). The other end speaks 2.1, as the hub does.

Expected values are derived by hand from the difference of the schemas of 2.0.1 and 2.1 and the requirements named.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from controller.ocpp.hub import EvseShape, Failed, Memory, Message, Reply, Said
from controller.ocpp.registry import sides_for
from controller.ocpp.v201 import csms_side, station_side, words
from controller.ocpp.v201.tokens import KEPT, Tokens, alias
from controller.orders import Tell
from tests.support.pair import Pair
from tests.support.schemas import actions

TIME = "2026-11-21T16:00:00Z"
LONG_TOKEN = "DE-ABC-" + "C0FFEE" * 10
LONG_URL = "https://files.example/" + "x" * 500
Answer = Reply | Callable[[str], Reply]


def joined(station: str, csms: str, answer: Answer) -> Pair:
    found, above = sides_for(station), sides_for(csms)
    assert found is not None
    assert above is not None
    return Pair(found, above, lambda version, action: answer(action) if callable(answer) else answer)


def old_station(answer: Answer = Said({})) -> Pair:  # noqa: B008 - frozen
    """A 2.0.1 station under a 2.1 CSMS."""
    return joined("ocpp2.0.1", "ocpp2.1", answer)


def old_csms(answer: Answer = Said({})) -> Pair:  # noqa: B008 - frozen
    """A 2.1 station under a 2.0.1 CSMS."""
    return joined("ocpp2.1", "ocpp2.0.1", answer)


def only_sent(pair: Pair) -> dict[str, Any]:
    assert pair.complaints == []
    assert len(pair.sent) == 1
    return pair.sent[0].payload


def status(reply: Reply) -> str:
    assert isinstance(reply, Said)
    return str(reply.payload["status"])


def profile(*, schedule: dict[str, Any] | None = None, period: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    made = {"id": 1, "chargingRateUnit": "A", "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 16.36, **(period or {})}], **(schedule or {})}
    kind = {"chargingProfilePurpose": "TxDefaultProfile", "chargingProfileKind": "Absolute"}
    return {"id": 7, "stackLevel": 0, **kind, "chargingSchedule": [made], **more}


NO_LIMIT = profile(period={"limit": None})["chargingSchedule"][0]


def event(**more: Any) -> dict[str, Any]:
    base = {"eventType": "Updated", "timestamp": TIME, "triggerReason": "MeterValuePeriodic", "seqNo": 3}
    return {**base, "transactionInfo": {"transactionId": "T1"}, **more}


def readings(*samples: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"timestamp": TIME, "sampledValue": list(samples)}]


def test_all_actions_of_201_are_known() -> None:
    assert actions("v201") == words.ACTIONS


# -- a 2.0.1 station, asked by a 2.1 CSMS --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("action", "payload", "answer"),
    [
        ("SetDERControl", {"isDefault": True, "controlId": "c", "controlType": "VoltVar"}, "NotSupported"),
        ("GetDERControl", {"requestId": 1}, "NotSupported"),
        ("ClearDERControl", {"isDefault": True}, "NotSupported"),
        ("UsePriorityCharging", {"transactionId": "T1", "activate": True}, "Rejected"),
        ("UpdateDynamicSchedule", {"chargingProfileId": 1, "scheduleUpdate": {"limit": 6}}, "Rejected"),
        ("GetTariffs", {"evseId": 1}, "NoTariff"),
        ("AFRRSignal", {"timestamp": TIME, "signal": 1}, "Rejected"),
        ("NotifyAllowedEnergyTransfer", {"transactionId": "T1", "allowedEnergyTransfer": ["DC"]}, "Rejected"),
        ("RequestBatterySwap", {"idToken": {"idToken": "A", "type": "Central"}, "requestId": 1}, "Rejected"),
        ("AdjustPeriodicEventStream", {"id": 1, "params": {"interval": 5}}, "Rejected"),
        ("Reset", {"type": "ImmediateAndResume"}, "Rejected"),
        ("TriggerMessage", {"requestedMessage": "CustomTrigger", "customTrigger": "x"}, "NotImplemented"),
        ("GetLog", {"logType": "DataCollectorLog", "requestId": 1, "log": {"remoteLocation": "ftp://x"}}, "Rejected"),
        ("GetLog", {"logType": "SecurityLog", "requestId": 1, "log": {"remoteLocation": LONG_URL}}, "Rejected"),
        ("UpdateFirmware", {"requestId": 1, "firmware": {"location": LONG_URL, "retrieveDateTime": TIME}}, "Rejected"),
        ("InstallCertificate", {"certificateType": "OEMRootCertificate", "certificate": "c"}, "Rejected"),
        ("InstallCertificate", {"certificateType": "V2GRootCertificate", "certificate": "c" * 5501}, "Rejected"),
        ("CertificateSigned", {"certificateChain": "c", "certificateType": "V2G20Certificate"}, "Rejected"),
        ("GetInstalledCertificateIds", {"certificateType": ["OEMRootCertificate"]}, "NotFound"),
        ("GetDisplayMessages", {"requestId": 1, "state": "Suspended"}, "Unknown"),
        ("GetChargingProfiles", {"requestId": 1, "chargingProfile": {"chargingProfilePurpose": "PriorityCharging"}}, "NoProfiles"),
        ("GetChargingProfiles", {"requestId": 1, "chargingProfile": {"chargingLimitSource": ["Fleet"]}}, "NoProfiles"),
        ("ClearChargingProfile", {"chargingProfileCriteria": {"chargingProfilePurpose": "LocalGeneration"}}, "Unknown"),
    ],
)
def test_what_a_201_station_cannot_be_asked_is_answered_for_it(action: str, payload: dict[str, Any], answer: str) -> None:
    pair = old_station(Failed("InternalError", "must not be asked"))
    reply = pair.says("csms", Message(action, payload))
    assert status(reply) == answer
    assert pair.sent == []
    assert isinstance(reply, Said)
    assert reply.payload["statusInfo"]["reasonCode"]


def test_clear_tariffs_has_one_result_per_tariff() -> None:
    reply = old_station().says("csms", Message("ClearTariffs", {"tariffIds": ["a", "b"]}))
    assert isinstance(reply, Said)
    assert [(item["tariffId"], item["status"]) for item in reply.payload["clearTariffsResult"]] == [("a", "NoTariff"), ("b", "NoTariff")]


# A 2.0.1 station drops what it does not know, and would follow the rest: no limit at all, or one without its condition.
@pytest.mark.parametrize(
    ("made", "code"),
    [
        (profile(chargingProfileKind="Dynamic"), "UnsupportedKind"),
        (profile(chargingProfilePurpose="PriorityCharging"), "UnsupportedPurpose"),
        (profile(period={"operationMode": "CentralSetpoint", "setpoint": 5}), "InvalidOperationMode"),
        (profile(period={"limit_L2": 6}), "UnsupportedParam"),
        (profile(period={"dischargeLimit": -5}), "UnsupportedParam"),
        (profile(schedule={"limitAtSoC": {"soc": 80, "limit": 6}}), "UnsupportedParam"),
        (profile(schedule={"useLocalTime": True}), "UnsupportedParam"),
        (profile(schedule={"randomizedDelay": 60}), "UnsupportedParam"),
        (profile(maxOfflineDuration=60), "UnsupportedParam"),
        (profile(schedule={"chargingSchedulePeriod": [{"startPeriod": 0}]}), "InvalidSchedule"),
    ],
)
@pytest.mark.parametrize("action", ["SetChargingProfile", "RequestStartTransaction"])
def test_a_profile_a_201_station_would_follow_in_half_is_rejected(made: dict[str, Any], code: str, action: str) -> None:
    start = {"evseId": 1, "remoteStartId": 1, "idToken": {"idToken": "A", "type": "Central"}, "chargingProfile": made}
    pair = old_station()
    reply = pair.says("csms", Message(action, start if action == "RequestStartTransaction" else {"evseId": 1, "chargingProfile": made}))
    assert status(reply) == "Rejected"
    assert isinstance(reply, Said)
    assert reply.payload["statusInfo"]["reasonCode"] == code
    assert pair.sent == []


def test_limits_are_rounded_down_and_words_without_weight_left_out() -> None:
    harmless = {"useLocalTime": False, "randomizedDelay": 0, "powerTolerance": 1.0, "minChargingRate": 6.01}
    pair = old_station(Said({"status": "Accepted"}))
    made = profile(schedule=harmless, period={"operationMode": "ChargingOnly"})
    assert status(pair.says("csms", Message("SetChargingProfile", {"evseId": 1, "chargingProfile": made}))) == "Accepted"
    schedule = only_sent(pair)["chargingProfile"]["chargingSchedule"][0]
    assert schedule == {"id": 1, "chargingRateUnit": "A", "minChargingRate": 6.1, "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 16.3}]}


def variable(name: str, value: str) -> dict[str, Any]:
    return {"component": {"name": "A"}, "variable": {"name": name}, "attributeValue": value}


def test_variables_are_set_item_by_item_in_the_order_of_the_request() -> None:
    told = Said({"setVariableResult": [{"attributeStatus": "RebootRequired", "component": {"name": "A"}, "variable": {"name": "short"}}]})
    pair = old_station(told)
    reply = pair.says("csms", Message("SetVariables", {"setVariableData": [variable("long", "x" * 1001), variable("short", "1")]}))
    assert only_sent(pair) == {"setVariableData": [variable("short", "1")]}
    assert isinstance(reply, Said)
    results = [(item["variable"]["name"], item["attributeStatus"]) for item in reply.payload["setVariableResult"]]
    assert results == [("long", "Rejected"), ("short", "RebootRequired")]
    alone = old_station(told)
    alone.says("csms", Message("SetVariables", {"setVariableData": [variable("long", "x" * 1001)]}))
    assert alone.sent == []


def monitor(kind: str, **more: Any) -> dict[str, Any]:
    return {"component": {"name": "A"}, "variable": {"name": "B"}, "type": kind, "severity": 5, "value": 1, **more}


def test_monitors_of_21_are_unsupported_and_the_others_are_the_csms_s_own() -> None:
    result = {"component": {"name": "A"}, "variable": {"name": "B"}, "type": "Delta", "severity": 5}
    pair = old_station(Said({"setMonitoringResult": [{"id": 42, "status": "Accepted", **result}]}))
    reply = pair.says("csms", Message("SetVariableMonitoring", {"setMonitoringData": [monitor("TargetDelta"), monitor("Delta")]}))
    assert isinstance(reply, Said)
    assert [item["status"] for item in reply.payload["setMonitoringResult"]] == ["UnsupportedMonitorType", "Accepted"]
    # N02: 2.1 wants to know where a monitor comes from; only 42 was set by the CSMS.
    listed = [{"id": number, "transaction": False, "value": 1, "type": "Delta", "severity": 5} for number in (42, 43)]
    report = {"requestId": 1, "seqNo": 0, "generatedAt": TIME}
    data = [{"component": {"name": "A"}, "variable": {"name": "B"}, "variableMonitoring": listed}]
    pair.says("station", Message("NotifyMonitoringReport", {**report, "monitor": data}))
    told = pair.sent[-1].payload["monitor"][0]["variableMonitoring"]
    assert [(item["id"], item["eventNotificationType"]) for item in told] == [(42, "CustomMonitor"), (43, "PreconfiguredMonitor")]


def test_a_network_profile_names_the_version_201_has_a_word_for() -> None:
    data = {"ocppCsmsUrl": "wss://x", "messageTimeout": 30, "securityProfile": 2, "ocppInterface": "Wired0", "ocppTransport": "JSON"}
    pair = old_station(Said({"status": "Accepted"}))
    pair.says("csms", Message("SetNetworkProfile", {"configurationSlot": 1, "connectionData": {**data, "ocppVersion": "OCPP21"}}))
    assert only_sent(pair)["connectionData"] == {**data, "ocppVersion": "OCPP20"}
    for more in ({"ocppInterface": "Any"}, {"identity": "CP-2"}, {"basicAuthPassword": "x" * 20}, {"ocppCsmsUrl": LONG_URL}):
        asked = Message("SetNetworkProfile", {"configurationSlot": 1, "connectionData": {**data, **more}})
        assert status(old_station().says("csms", asked)) == "Rejected"


# -- what a 2.1 CSMS answers a 2.0.1 station -------------------------------------------------------------------------


def test_answers_are_told_without_what_201_does_not_know() -> None:
    info = {"status": "Accepted", "personalMessage": {"format": "QRCODE", "content": "https://pay.example"}}
    pair = old_station(Said({"idTokenInfo": info, "allowedEnergyTransfer": ["DC"]}))
    reply = pair.says("station", Message("Authorize", {"idToken": {"idToken": "A", "type": "Central"}}))
    assert reply == Said({"idTokenInfo": {"status": "Accepted", "personalMessage": {"format": "URI", "content": "https://pay.example"}}})


@pytest.mark.parametrize(
    ("action", "payload", "told", "answer"),
    [
        ("Get15118EVCertificate", {"iso15118SchemaVersion": "x", "action": "Install", "exiRequest": "e"}, {"exiResponse": "e" * 7501}, "Failed"),
        (
            "GetCertificateStatus",
            {"ocspRequestData": {"hashAlgorithm": "SHA256", "issuerNameHash": "a", "issuerKeyHash": "b", "serialNumber": "c", "responderURL": "u"}},
            {"ocspResult": "o" * 5501},
            "Failed",
        ),
    ],
)
def test_certificates_are_whole_or_not_there(action: str, payload: dict[str, Any], told: dict[str, Any], answer: str) -> None:
    reply = old_station(Said({"status": "Accepted", **told})).says("station", Message(action, payload))
    assert status(reply) == answer
    assert isinstance(reply, Said)
    assert not any(len(str(value)) > 5000 for value in reply.payload.values())


# -- tokens ---------------------------------------------------------------------------------------------------------------


def test_a_long_token_has_an_alias_both_ways_and_after_a_restart() -> None:  # trap 28
    pair = old_station(Said({"status": "Accepted"}))
    token = {"idToken": LONG_TOKEN, "type": "DirectPayment"}
    pair.says("csms", Message("RequestStartTransaction", {"evseId": 1, "remoteStartId": 1, "idToken": token}))
    shown = only_sent(pair)["idToken"]
    assert shown == {"idToken": alias(LONG_TOKEN), "type": "Central"}
    assert len(shown["idToken"]) <= 36
    again = old_station()
    again.shared.load(dict(pair.shared.starting("token")))
    again.says("station", Message("TransactionEvent", event(idToken={**shown, "idToken": shown["idToken"].lower()})))
    assert only_sent(again)["idToken"] == token


def test_a_short_token_of_another_type_comes_back_as_it_was() -> None:
    tokens = Tokens(Memory())
    vin = {"idToken": "WVWZZZ1JZXW000001", "type": "VIN"}
    assert tokens.plain({"idToken": vin}) == {"idToken": {**vin, "type": "Central"}}
    assert tokens.restored({"idToken": {**vin, "type": "Central"}}) == {"idToken": vin}
    assert tokens.restored({"idToken": {**vin, "type": "Local"}}) == {"idToken": {**vin, "type": "Local"}}
    # The same text is a plain Central token later: then it is that.
    tokens.plain({"idToken": {**vin, "type": "Central"}})
    assert tokens.restored({"idToken": {**vin, "type": "Central"}}) == {"idToken": {**vin, "type": "Central"}}


def test_aliases_disregard_case_and_the_oldest_are_forgotten() -> None:
    assert alias(LONG_TOKEN) == alias(LONG_TOKEN.lower())
    memory = Memory()
    tokens = Tokens(memory)
    for number in range(KEPT + 5):
        tokens.plain({"idToken": f"{number:040d}", "type": "Central"})
    assert len(list(memory.starting("token:"))) == KEPT
    assert tokens.restored({"idToken": alias(f"{KEPT:040d}"), "type": "Central"})["idToken"] == f"{KEPT:040d}"


def test_tokens_in_lists_and_answers_are_shown_too_and_vendors_are_left_alone() -> None:
    entry = {"idToken": {"idToken": LONG_TOKEN, "type": "eMAID"}, "idTokenInfo": {"status": "Accepted"}}
    pair = old_station(Said({"status": "Accepted"}))
    update = {"versionNumber": 1, "updateType": "Full", "localAuthorizationList": [entry]}
    pair.says("csms", Message("SendLocalList", update))
    assert only_sent(pair)["localAuthorizationList"][0]["idToken"]["idToken"] == alias(LONG_TOKEN)
    vendors = {"vendorId": "v", "data": {"idToken": LONG_TOKEN, "type": "X"}}
    other = old_station(Said({"status": "Accepted"}))
    other.says("csms", Message("DataTransfer", vendors))
    assert only_sent(other) == vendors


# -- a 2.1 station under a 2.0.1 CSMS -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("CostLimitReached", "EnergyLimitReached"),
        ("OperationModeChanged", "ChargingRateChanged"),
        ("TxResumed", "ChargingStateChanged"),
        ("RunningCost", "Trigger"),
        ("ChargingStateChanged", "ChargingStateChanged"),
    ],
)
def test_transaction_events_lose_only_what_201_does_not_know(given: str, told: str) -> None:
    info = {"transactionId": "T1", "stoppedReason": "ReqEnergyTransferRejected", "operationMode": "Idle", "tariffId": "t"}
    pair = old_csms()
    pair.says("station", Message("TransactionEvent", event(triggerReason=given, transactionInfo=info, evseSleep=True)))
    assert only_sent(pair) == event(triggerReason=told, transactionInfo={"transactionId": "T1", "stoppedReason": "Other"})


def signed(data: str) -> dict[str, Any]:
    return {"signedMeterData": data, "encodingMethod": "OCMF"}


def test_readings_of_21_are_left_out_and_a_signed_value_is_whole_or_gone() -> None:
    whole = {**signed("s" * 2500), "signingMethod": "", "publicKey": ""}
    samples = [
        {"value": 1.5, "measurand": "Energy.Active.Import.Register", "signedMeterValue": signed("s" * 2500)},
        {"value": 2.5, "signedMeterValue": signed("s" * 2501)},
        {"value": 7, "measurand": "Power.Active.Setpoint"},
        {"value": 8, "location": "Upstream"},
    ]
    pair = old_csms()
    pair.says("station", Message("TransactionEvent", event(meterValue=readings(*samples))))
    assert only_sent(pair)["meterValue"] == readings(
        {"value": 1.5, "measurand": "Energy.Active.Import.Register", "signedMeterValue": whole},
        {"value": 2.5},
    )
    pair.says("station", Message("TransactionEvent", event(meterValue=readings(*samples))))
    assert [outcome.severity for outcome in pair.emitted if isinstance(outcome, Tell)] == ["warning"]


def test_meter_values_of_which_nothing_is_left_are_answered_here() -> None:
    pair = old_csms()
    assert pair.says("station", Message("MeterValues", {"evseId": 1, "meterValue": readings({"value": 1, "location": "Upstream"})})) == Said({})
    assert pair.sent == []


def state_event(number: int, **more: Any) -> dict[str, Any]:
    base = {"eventId": number, "timestamp": TIME, "trigger": "Delta", "actualValue": "Occupied", "eventNotificationType": "HardWiredNotification"}
    place = {"name": "Connector", "evse": {"id": 2, "connectorId": 1}}
    return {**base, "component": place, "variable": {"name": "AvailabilityState"}, **more}


def test_the_state_of_a_connector_is_a_status_notification() -> None:  # G01
    other = state_event(2, component={"name": "ChargingStation"}, actualValue="Available")
    pair = old_csms()
    notice = {"generatedAt": TIME, "seqNo": 0, "eventData": [state_event(1), {**other, "severity": 4}]}
    assert pair.says("station", Message("NotifyEvent", notice)) == Said({})
    assert [(sent.action, sent.payload) for sent in pair.sent] == [
        ("StatusNotification", {"timestamp": TIME, "connectorStatus": "Occupied", "evseId": 2, "connectorId": 1}),
        ("NotifyEvent", {"generatedAt": TIME, "seqNo": 0, "eventData": [other]}),
    ]
    failing = old_csms(Failed("InternalError", "later"))
    assert failing.says("station", Message("NotifyEvent", notice)) == Failed("InternalError", "later")


def test_a_der_alarm_is_an_event() -> None:
    pair = old_csms()
    alarm = {"controlType": "HVMustTrip", "gridEventFault": "OverVoltage", "timestamp": TIME, "extraInfo": "L1"}
    assert pair.says("station", Message("NotifyDERAlarm", alarm)) == Said({})
    told = only_sent(pair)["eventData"][0]
    assert (told["trigger"], told["actualValue"], told["cleared"]) == ("Alerting", "true", False)
    assert (told["component"], told["variable"]) == ({"name": "ChargingStation"}, {"name": "Problem", "instance": "HVMustTrip"})
    assert (told["techCode"], told["techInfo"]) == ("OverVoltage", "L1")


@pytest.mark.parametrize(
    ("action", "payload", "answer"),
    [
        ("OpenPeriodicEventStream", {"constantStreamData": {"id": 1, "variableMonitoringId": 1, "params": {}}}, "Rejected"),
        ("PullDynamicScheduleUpdate", {"chargingProfileId": 1}, "Rejected"),
        ("VatNumberValidation", {"vatNumber": "DE1"}, "Rejected"),
        ("SignCertificate", {"csr": "c", "certificateType": "V2G20Certificate"}, "Rejected"),
        ("NotifyEVChargingSchedule", {"timeBase": TIME, "evseId": 1, "chargingSchedule": NO_LIMIT}, "Accepted"),
        ("Get15118EVCertificate", {"iso15118SchemaVersion": "x", "action": "Install", "exiRequest": "e" * 5601}, "Failed"),
    ],
)
def test_what_a_201_csms_cannot_be_told_is_answered_for_it(action: str, payload: dict[str, Any], answer: str) -> None:
    pair = old_csms(Failed("InternalError", "must not be asked"))
    assert status(pair.says("station", Message(action, payload))) == answer
    assert pair.sent == []


@pytest.mark.parametrize("action", ["NotifyDERStartStop", "NotifyPriorityCharging", "ReportDERControl", "ClosePeriodicEventStream"])
def test_notices_that_only_21_has_end_here(action: str) -> None:
    payloads: dict[str, dict[str, Any]] = {
        "NotifyDERStartStop": {"controlId": "c", "started": True, "timestamp": TIME},
        "NotifyPriorityCharging": {"transactionId": "T", "activated": True},
        "ReportDERControl": {"requestId": 1},
        "ClosePeriodicEventStream": {"id": 1},
    }
    pair = old_csms()
    assert pair.says("station", Message(action, payloads[action])) == Said({})
    assert pair.sent == []


def test_evidence_of_money_is_not_acknowledged() -> None:
    settled = {"pspRef": "p", "status": "Settled", "settlementAmount": 1.0, "settlementTime": TIME}
    reply = old_csms().says("station", Message("NotifySettlement", settled))
    assert isinstance(reply, Failed)
    assert reply.code == "NotSupported"


def test_a_send_is_never_sent_to_201() -> None:  # trap 3
    pair = old_csms()
    stream = {"id": 1, "pending": 0, "basetime": TIME, "data": [{"t": 0, "v": "1"}]}
    pair.says("station", Message("NotifyPeriodicEventStream", stream, unanswered=True))
    assert pair.sent == []


def test_the_request_id_of_a_signing_comes_back_to_the_station() -> None:  # A02, A03
    pair = old_csms(Said({"status": "Accepted"}))
    pair.says("station", Message("SignCertificate", {"csr": "c", "requestId": 77}))
    assert only_sent(pair) == {"csr": "c"}
    pair.says("csms", Message("CertificateSigned", {"certificateChain": "x"}))
    assert pair.sent[-1].payload == {"certificateChain": "x", "requestId": 77}


def needs(mode: str, **more: Any) -> dict[str, Any]:
    return {"evseId": 1, "chargingNeeds": {"requestedEnergyTransfer": mode, **more}, "timestamp": TIME}


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (needs("AC_BPT"), {"requestedEnergyTransfer": "AC_single_phase"}),
        (needs("DC_BPT"), {"requestedEnergyTransfer": "DC"}),
        (
            needs("AC_three_phase", acChargingParameters={"energyAmount": 10.2, "evMinCurrent": 5.1, "evMaxCurrent": 31.9, "evMaxVoltage": 400.5}),
            {
                "requestedEnergyTransfer": "AC_three_phase",
                "acChargingParameters": {"energyAmount": 11, "evMinCurrent": 6, "evMaxCurrent": 31, "evMaxVoltage": 400},
            },
        ),
        (
            needs("DC_BPT", v2xChargingParameters={"maxChargeCurrent": 200.7, "maxVoltage": 800, "maxChargePower": 100000, "maxDischargePower": 9}),
            {"requestedEnergyTransfer": "DC", "dcChargingParameters": {"evMaxCurrent": 200, "evMaxVoltage": 800, "evMaxPower": 100000}},
        ),
    ],
)
def test_needs_are_whole_numbers_on_the_car_s_safe_side(given: dict[str, Any], told: dict[str, Any]) -> None:
    pair = old_csms(Said({"status": "Accepted"}))
    pair.evses = (EvseShape(1, phases=1),)
    pair.says("station", Message("NotifyEVChargingNeeds", given))
    assert only_sent(pair) == {"evseId": 1, "chargingNeeds": told}


def test_rejected_needs_do_not_end_the_session_of_a_20_car() -> None:  # trap 22
    pair = old_csms(Said({"status": "Rejected"}))
    assert status(pair.says("station", Message("NotifyEVChargingNeeds", needs("DC", controlMode="ScheduledControl")))) == "NoChargingProfile"
    assert status(pair.says("station", Message("NotifyEVChargingNeeds", needs("DC")))) == "Rejected"
    # The other way 2.0.1 knows no NoChargingProfile (K15).
    up = old_station(Said({"status": "NoChargingProfile"}))
    asked = {"evseId": 1, "chargingNeeds": {"requestedEnergyTransfer": "DC"}}
    assert status(up.says("station", Message("NotifyEVChargingNeeds", asked))) == "Rejected"


def test_limits_are_told_with_a_source_of_201_and_more_power_is_no_limit() -> None:  # K12, K27
    pair = old_csms()
    pair.says("station", Message("NotifyChargingLimit", {"chargingLimit": {"chargingLimitSource": "Fleet", "isGridCritical": True}}))
    assert only_sent(pair) == {"chargingLimit": {"chargingLimitSource": "Other", "isGridCritical": True}}
    pair.says("station", Message("NotifyChargingLimit", {"chargingLimit": {"chargingLimitSource": "EMS", "isLocalGeneration": True}}))
    assert len(pair.sent) == 1


@pytest.mark.parametrize(
    ("unit", "period", "limit"),
    [
        ("W", {"limit": 1000, "limit_L2": 2000, "limit_L3": 500}, 3500),
        ("A", {"limit": 10, "limit_L2": 20}, 20),
        ("W", {"setpoint": -5000, "operationMode": "CentralSetpoint"}, 0),
        ("W", {"setpoint": 4000, "operationMode": "CentralSetpoint"}, 4000),
        ("W", {"operationMode": "Idle"}, 0),
    ],
)
def test_a_composite_schedule_says_the_most_that_may_flow(unit: str, period: dict[str, Any], limit: float) -> None:
    schedule = {"evseId": 1, "duration": 60, "scheduleStart": TIME, "chargingRateUnit": unit}
    told = {**schedule, "chargingSchedulePeriod": [{"startPeriod": 0, **period}]}
    pair = old_csms(Said({"status": "Accepted", "schedule": told}))
    reply = pair.says("csms", Message("GetCompositeSchedule", {"duration": 60, "evseId": 1}))
    assert reply == Said({"status": "Accepted", "schedule": {**schedule, "chargingSchedulePeriod": [{"startPeriod": 0, "limit": limit}]}})


def test_a_composite_schedule_without_any_limit_is_rejected() -> None:
    schedule = {"evseId": 1, "duration": 60, "scheduleStart": TIME, "chargingRateUnit": "W"}
    told = {**schedule, "chargingSchedulePeriod": [{"startPeriod": 0, "operationMode": "LocalFrequency"}]}
    reply = old_csms(Said({"status": "Accepted", "schedule": told})).says("csms", Message("GetCompositeSchedule", {"duration": 60, "evseId": 1}))
    assert status(reply) == "Rejected"


def test_a_contract_nobody_can_check_is_invalid() -> None:  # C07
    pair = old_csms(Said({"idTokenInfo": {"status": "Accepted"}}))
    asked = {"idToken": {"idToken": "A", "type": "eMAID"}, "certificate": "c" * 5501}
    assert pair.says("station", Message("Authorize", asked)) == Said({"idTokenInfo": {"status": "Invalid"}, "certificateStatus": "CertChainError"})
    assert pair.sent == []


def test_evse_0_is_not_started() -> None:  # F01
    pair = old_csms()
    asked = {"evseId": 0, "remoteStartId": 1, "idToken": {"idToken": "A", "type": "Central"}}
    assert status(pair.says("csms", Message("RequestStartTransaction", asked))) == "Rejected"


def test_every_refusal_is_listed() -> None:
    only_21 = actions("v21") - actions("v201")
    listed = set(station_side.REFUSED) | set(csms_side.REFUSED)
    assert only_21 <= listed
    assert listed <= actions("v21")
