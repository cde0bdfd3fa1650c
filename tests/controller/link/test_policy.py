"""The policy tables against the specification: no action without a row, none in the wrong direction, every verb possible.

Who sends what is written down here from the use cases of the specifications (1.6: chapters 4 and 5 and the security
whitepaper; 2.x: part 2, A to S), not taken from the tables.
"""

import pytest

from controller.facts import Stamp
from controller.link.policy import CSMS, STATION, Row, Upstream, Verb, from_csms, from_station
from controller.ocpp.registry import dialects
from tests.support.schemas import SEND_ONLY, actions, example_request

V16, V201, V21 = "ocpp1.6", "ocpp2.0.1", "ocpp2.1"
BOTH_WAYS = {"DataTransfer"}


def words(text: str) -> frozenset[str]:
    return frozenset(text.split())


STATION_SENDS = {
    V16: words(
        """Authorize BootNotification DataTransfer DiagnosticsStatusNotification FirmwareStatusNotification Heartbeat
        MeterValues StartTransaction StatusNotification StopTransaction
        LogStatusNotification SecurityEventNotification SignCertificate SignedFirmwareStatusNotification"""
    ),
    V201: words(
        """SignCertificate SecurityEventNotification BootNotification NotifyReport Authorize TransactionEvent
        StatusNotification Heartbeat ReservationStatusUpdate MeterValues NotifyChargingLimit ClearedChargingLimit
        ReportChargingProfiles NotifyEVChargingNeeds NotifyEVChargingSchedule FirmwareStatusNotification
        PublishFirmwareStatusNotification Get15118EVCertificate GetCertificateStatus LogStatusNotification
        NotifyMonitoringReport NotifyEvent NotifyCustomerInformation NotifyDisplayMessages DataTransfer"""
    ),
}
# 2.1: settlement and VAT (C18-C22), priority (K22), dynamic pull (K28), certificate chain (M07), streams (N11-N15),
# DER (R04, R05), battery (S01-S03).
STATION_SENDS[V21] = STATION_SENDS[V201] | words(
    """NotifySettlement VatNumberValidation NotifyPriorityCharging PullDynamicScheduleUpdate GetCertificateChainStatus
    OpenPeriodicEventStream ClosePeriodicEventStream NotifyPeriodicEventStream ReportDERControl NotifyDERAlarm
    NotifyDERStartStop BatterySwap"""
)
CSMS_SENDS = {
    V16: words(
        """CancelReservation ChangeAvailability ChangeConfiguration ClearCache ClearChargingProfile DataTransfer
        GetCompositeSchedule GetConfiguration GetDiagnostics GetLocalListVersion RemoteStartTransaction
        RemoteStopTransaction ReserveNow Reset SendLocalList SetChargingProfile TriggerMessage UnlockConnector UpdateFirmware
        CertificateSigned DeleteCertificate ExtendedTriggerMessage GetInstalledCertificateIds GetLog InstallCertificate
        SignedUpdateFirmware"""
    ),
    V201: words(
        """CertificateSigned SetVariables GetVariables GetBaseReport GetReport SetNetworkProfile Reset ClearCache
        SendLocalList GetLocalListVersion GetTransactionStatus RequestStartTransaction RequestStopTransaction
        UnlockConnector TriggerMessage ChangeAvailability ReserveNow CancelReservation CostUpdated SetChargingProfile
        GetCompositeSchedule GetChargingProfiles ClearChargingProfile UpdateFirmware PublishFirmware UnpublishFirmware
        GetInstalledCertificateIds DeleteCertificate InstallCertificate GetLog GetMonitoringReport SetMonitoringBase
        SetVariableMonitoring SetMonitoringLevel ClearVariableMonitoring CustomerInformation SetDisplayMessage
        GetDisplayMessages ClearDisplayMessage DataTransfer"""
    ),
}
# 2.1: QR payment (C25), tariffs (I07-I11), priority (K21), dynamic push (K28), streams (N12, N14), V2X (Q02, Q08),
# DER (R04), battery (S02).
CSMS_SENDS[V21] = CSMS_SENDS[V201] | words(
    """NotifyWebPaymentStarted SetDefaultTariff GetTariffs ClearTariffs ChangeTransactionTariff UsePriorityCharging
    UpdateDynamicSchedule GetPeriodicEventStream AdjustPeriodicEventStream NotifyAllowedEnergyTransfer AFRRSignal
    SetDERControl GetDERControl ClearDERControl RequestBatterySwap"""
)
VERSIONS = sorted(dialects())


def test_the_lists_above_are_all_of_the_schemas() -> None:
    assert {version: len(actions(version)) for version in STATION_SENDS} == {V16: 39, V201: 64, V21: 91}
    for version in STATION_SENDS:
        assert STATION_SENDS[version] | CSMS_SENDS[version] == actions(version)
        assert STATION_SENDS[version] & CSMS_SENDS[version] == BOTH_WAYS


@pytest.mark.parametrize("version", VERSIONS)
def test_no_action_lacks_a_row_and_none_stands_in_the_wrong_direction(version: str) -> None:
    assert set(STATION[version]) == STATION_SENDS[version]
    assert set(CSMS[version]) == CSMS_SENDS[version]


def test_every_version_that_is_spoken_has_its_tables() -> None:
    assert set(STATION) == set(CSMS) == set(VERSIONS)


@pytest.mark.parametrize("version", VERSIONS)
def test_verbs_fit_the_direction_and_the_state(version: str) -> None:
    for row in STATION[version].values():
        assert row.open in (Verb.RELAY, Verb.INTERCEPT)  # a station's message is never refused while the CSMS is there
        assert row.none is not Verb.HOLD  # there is nobody to hold it for
        assert Verb.RELAY not in (row.away, row.none)
    for row in CSMS[version].values():
        assert Verb.HOLD not in (row.open, row.away, row.none)
        assert Verb.ANSWER not in (row.open, row.away, row.none)


@pytest.mark.parametrize(("version", "action"), [(version, action) for version in VERSIONS for action in sorted(STATION[version])])
def test_what_is_held_or_answered_has_an_answer(version: str, action: str) -> None:
    if action in SEND_ONLY:
        assert STATION[version][action].verb(Upstream.AWAY) is Verb.REFUSE
        return
    dialect, request = dialects()[version], example_request(action, version)
    assert dialect.answer(Stamp(1.0, 1_790_000_000.0), action, request, lambda token: None) is not None


@pytest.mark.parametrize(
    ("version", "action"),
    [
        *((version, action) for version in (V201, V21) for action in ("TransactionEvent", "MeterValues", "SecurityEventNotification", "NotifyEvent")),
        *((version, "ReservationStatusUpdate") for version in (V201, V21)),
        *((V21, action) for action in ("BatterySwap", "NotifySettlement", "NotifyDERAlarm", "NotifyDERStartStop", "NotifyPriorityCharging")),
    ],
)
def test_what_costs_money_or_evidence_is_held_while_the_csms_is_away(version: str, action: str) -> None:
    assert [from_station(version, action, state) for state in Upstream] == [Verb.RELAY, Verb.HOLD, Verb.ANSWER]


PROFILE_CALLS = ("SetChargingProfile", "ClearChargingProfile", "GetChargingProfiles", "GetCompositeSchedule")


@pytest.mark.parametrize(("version", "action"), [*((v, a) for v in (V201, V21) for a in PROFILE_CALLS), (V21, "UpdateDynamicSchedule")])
def test_profiles_of_the_csms_never_reach_the_station(version: str, action: str) -> None:
    assert from_csms(version, action) is Verb.INTERCEPT


def test_calls_about_one_profile_are_all_ours_and_have_an_answer() -> None:  # K21, K28
    dialect = dialects()[V21]
    for table in (STATION[V21], CSMS[V21]):
        for action in table:
            own = dialect.own_profile_call(action, example_request(action, V21))
            assert own is None or table[action] == Row(Verb.INTERCEPT, Verb.INTERCEPT, Verb.INTERCEPT)
    assert from_station(V21, "PullDynamicScheduleUpdate", Upstream.OPEN) is Verb.INTERCEPT
    assert from_csms(V21, "UsePriorityCharging") is Verb.INTERCEPT


def test_a_send_goes_up_or_nowhere() -> None:  # N15.FR.07
    assert [from_station(V21, "NotifyPeriodicEventStream", state) for state in Upstream] == [Verb.RELAY, Verb.REFUSE, Verb.REFUSE]


@pytest.mark.parametrize("version", VERSIONS)
def test_unknown_and_signed_actions_pass_while_the_csms_is_there(version: str) -> None:
    assert from_station(version, "NotifyReport-Signed", Upstream.OPEN) is Verb.RELAY
    assert from_station(version, "NotifyReport-Signed", Upstream.AWAY) is Verb.REFUSE
    assert from_csms(version, "VendorThing") is Verb.RELAY


@pytest.mark.parametrize("version", [V201, V21])
def test_the_station_cannot_be_moved_past_us(version: str) -> None:  # F27
    assert from_csms(version, "SetNetworkProfile") is Verb.REFUSE
