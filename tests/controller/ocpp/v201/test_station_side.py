"""A 2.0.1 station under the hub's words (OCPP-NOTES 12.12). The CSMS speaks 2.1, as the hub does.

Expected values are derived by hand from the difference of the schemas of 2.0.1 and 2.1 and the requirements named.
"""

from __future__ import annotations

from typing import Any

import pytest

from controller.ocpp.hub import Failed, Message, Said
from controller.ocpp.v201 import words
from tests.support.schemas import actions
from tests.support.two_versions import (
    LONG_URL,
    OCSP,
    TIME,
    display,
    old_station,
    only_sent,
    profile,
    reservation,
    status,
)


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
        ("PublishFirmware", {"location": LONG_URL, "checksum": "c", "requestId": 1}, "Rejected"),
        ("SetDisplayMessage", {"message": display("UTF8", "Hi", state="Suspended")}, "NotSupportedState"),
        ("SetDisplayMessage", {"message": display("QRCODE", "Hi")}, "NotSupportedMessageFormat"),
        ("SetDisplayMessage", {"message": display("HTML", "x" * 513)}, "Rejected"),
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


@pytest.mark.parametrize(
    ("action", "payload", "sent"),
    [
        ("SetDisplayMessage", {"message": display("UTF8", "x" * 600)}, {"message": display("UTF8", "x" * 512)}),
        (
            "GetInstalledCertificateIds",
            {"certificateType": ["OEMRootCertificate", "V2GRootCertificate"]},
            {"certificateType": ["V2GRootCertificate"]},
        ),
        ("ReserveNow", reservation(connectorType="sNACS"), reservation(connectorType="Unknown")),
        ("ReserveNow", reservation(connectorType="cCCS2"), reservation(connectorType="cCCS2")),
        ("ReserveNow", reservation(), reservation()),
        ("SendLocalList", {"versionNumber": 3, "updateType": "Full"}, {"versionNumber": 3, "updateType": "Full"}),
        (
            "GetChargingProfiles",
            {"requestId": 1, "chargingProfile": {"chargingLimitSource": ["Fleet", "EMS"]}},
            {"requestId": 1, "chargingProfile": {"chargingLimitSource": ["EMS"]}},
        ),
    ],
)
def test_what_a_201_station_can_be_asked_goes_on(action: str, payload: dict[str, Any], sent: dict[str, Any]) -> None:
    pair = old_station(Said({"status": "Accepted"}))
    assert status(pair.says("csms", Message(action, payload))) == "Accepted"
    assert only_sent(pair) == sent


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
            {"ocspRequestData": {**OCSP, "responderURL": "u"}},
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
