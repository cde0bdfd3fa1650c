"""A 2.0.1 CSMS above the hub's words (OCPP-NOTES 12.12). The station speaks 2.1, as the hub does.

Expected values are derived by hand from the difference of the schemas of 2.0.1 and 2.1 and the requirements named.
"""

from __future__ import annotations

from typing import Any

import pytest

from controller.ocpp.hub import EvseShape, Failed, Message, Said
from controller.ocpp.v201 import csms_side, station_side
from controller.orders import Tell
from tests.support.schemas import actions
from tests.support.two_versions import (
    LONG_URL,
    NO_LIMIT,
    OCSP,
    TIME,
    display,
    event,
    limited,
    old_csms,
    old_station,
    only_sent,
    profile,
    readings,
    status,
)

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
        ("GetCertificateStatus", {"ocspRequestData": {**OCSP, "responderURL": LONG_URL}}, "Failed"),
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


def listed_monitor(kind: str) -> dict[str, Any]:
    return {"id": 1, "transaction": False, "value": 1, "type": kind, "severity": 5}


def monitored(*kinds: str) -> dict[str, Any]:
    return {"component": {"name": "A"}, "variable": {"name": "B"}, "variableMonitoring": [listed_monitor(kind) for kind in kinds]}


def with_kinds(data: dict[str, Any]) -> dict[str, Any]:
    return {**data, "variableMonitoring": [{**item, "eventNotificationType": "CustomMonitor"} for item in data["variableMonitoring"]]}


HEADER = {"requestId": 1, "seqNo": 0, "generatedAt": TIME}
PUBLISHED = {"status": "Published", "requestId": 1}
NOTHING = {"chargingSchedulePeriod": [{"startPeriod": 0}]}
REPORT = {"requestId": 1, "chargingLimitSource": "CSO", "evseId": 1}


@pytest.mark.parametrize(
    ("action", "given", "told"),
    [
        (
            "NotifyMonitoringReport",
            {**HEADER, "monitor": [with_kinds(monitored("TargetDelta", "Delta")), with_kinds(monitored("TargetDelta"))]},
            {**HEADER, "monitor": [monitored("Delta")]},
        ),
        ("NotifyMonitoringReport", {**HEADER, "monitor": [with_kinds(monitored("TargetDelta"))]}, HEADER),
        ("NotifyMonitoringReport", HEADER, HEADER),
        (
            "NotifyDisplayMessages",
            {"requestId": 1, "messageInfo": [display("QRCODE", "plain"), display("HTML", "x" * 513)]},
            {"requestId": 1, "messageInfo": [display("UTF8", "plain")]},
        ),
        ("NotifyDisplayMessages", {"requestId": 1, "messageInfo": [display("HTML", "x" * 513)]}, {"requestId": 1}),
        ("NotifyDisplayMessages", {"requestId": 1}, {"requestId": 1}),
        ("PublishFirmwareStatusNotification", {**PUBLISHED, "location": [LONG_URL, "http://a"]}, {**PUBLISHED, "location": ["http://a"]}),
        ("PublishFirmwareStatusNotification", {**PUBLISHED, "location": [LONG_URL]}, PUBLISHED),
        ("PublishFirmwareStatusNotification", PUBLISHED, PUBLISHED),
        (
            "ReservationStatusUpdate",
            {"reservationId": 1, "reservationUpdateStatus": "NoTransaction"},
            {"reservationId": 1, "reservationUpdateStatus": "Removed"},
        ),
        (
            "ReportChargingProfiles",
            {**REPORT, "chargingProfile": [profile(), profile(chargingProfileKind="Dynamic"), profile(schedule=NOTHING)]},
            {**REPORT, "chargingProfile": [profile()]},
        ),
        ("NotifyChargingLimit", limited({"startPeriod": 0, "limit": 5}), limited({"startPeriod": 0, "limit": 5})),
        ("NotifyChargingLimit", limited({"startPeriod": 0, "operationMode": "LocalFrequency"}), {"chargingLimit": {"chargingLimitSource": "SO"}}),
    ],
)
def test_what_a_201_csms_can_be_told_goes_on(action: str, given: dict[str, Any], told: dict[str, Any]) -> None:
    pair = old_csms()
    assert pair.says("station", Message(action, given)) == Said({})
    assert only_sent(pair) == told


def test_profiles_of_21_only_are_not_reported() -> None:
    pair = old_csms()
    unknown = {**REPORT, "chargingProfile": [profile(chargingProfilePurpose="PriorityCharging")]}
    assert pair.says("station", Message("ReportChargingProfiles", unknown)) == Said({})
    assert pair.sent == []


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
