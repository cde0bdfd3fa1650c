"""Who sends what: the direction of every action of OCPP 1.6, 2.0.1 and 2.1, read from the specifications.

Sources: OCPP 1.6 edition 2, chapter 4 (station to central system) and 5 (back), the security whitepaper
edition 3 for its eleven messages; Part 2 of 2.0.1 edition 3 and of 2.1 edition 1, the message sequences of
the use cases A to S. Nothing here is taken from ``controller``: the tests compare the two.

UP: station -> CSMS. DOWN: CSMS -> station. DataTransfer goes both ways. SEND: a message without answer.
"""

from __future__ import annotations

from typing import Final

UP: Final = "up"
DOWN: Final = "down"


def words(text: str) -> list[str]:
    """The words of a text."""
    return text.split()


UP_16: Final = words("""
Authorize BootNotification DataTransfer DiagnosticsStatusNotification FirmwareStatusNotification Heartbeat
LogStatusNotification MeterValues SecurityEventNotification SignCertificate SignedFirmwareStatusNotification
StartTransaction StatusNotification StopTransaction
""")

DOWN_16: Final = words("""
CancelReservation CertificateSigned ChangeAvailability ChangeConfiguration ClearCache ClearChargingProfile DataTransfer
DeleteCertificate ExtendedTriggerMessage GetCompositeSchedule GetConfiguration GetDiagnostics
GetInstalledCertificateIds GetLocalListVersion GetLog InstallCertificate RemoteStartTransaction RemoteStopTransaction
ReserveNow Reset SendLocalList SetChargingProfile SignedUpdateFirmware TriggerMessage UnlockConnector UpdateFirmware
""")

UP_201: Final = words("""
Authorize BootNotification ClearedChargingLimit DataTransfer FirmwareStatusNotification Get15118EVCertificate
GetCertificateStatus Heartbeat LogStatusNotification MeterValues NotifyChargingLimit NotifyCustomerInformation
NotifyDisplayMessages NotifyEVChargingNeeds NotifyEVChargingSchedule NotifyEvent NotifyMonitoringReport NotifyReport
PublishFirmwareStatusNotification ReportChargingProfiles ReservationStatusUpdate SecurityEventNotification
SignCertificate StatusNotification TransactionEvent
""")

DOWN_201: Final = words("""
CancelReservation CertificateSigned ChangeAvailability ClearCache ClearChargingProfile ClearDisplayMessage
ClearVariableMonitoring CostUpdated CustomerInformation DataTransfer DeleteCertificate GetBaseReport
GetChargingProfiles GetCompositeSchedule GetDisplayMessages GetInstalledCertificateIds GetLocalListVersion GetLog
GetMonitoringReport GetReport GetTransactionStatus GetVariables InstallCertificate PublishFirmware
RequestStartTransaction RequestStopTransaction ReserveNow Reset SendLocalList SetChargingProfile SetDisplayMessage
SetMonitoringBase SetMonitoringLevel SetNetworkProfile SetVariableMonitoring SetVariables TriggerMessage
UnlockConnector UnpublishFirmware UpdateFirmware
""")

UP_21: Final = [
    *UP_201,
    *words("""
BatterySwap ClosePeriodicEventStream GetCertificateChainStatus NotifyDERAlarm NotifyDERStartStop
NotifyPriorityCharging NotifySettlement OpenPeriodicEventStream PullDynamicScheduleUpdate ReportDERControl
VatNumberValidation
"""),
]

SEND_21: Final = ["NotifyPeriodicEventStream"]
"""Station -> CSMS, never answered (21 N, FR.07)."""

DOWN_21: Final = [
    *DOWN_201,
    *words("""
AFRRSignal AdjustPeriodicEventStream ChangeTransactionTariff ClearDERControl ClearTariffs GetDERControl
GetPeriodicEventStream GetTariffs NotifyAllowedEnergyTransfer NotifyWebPaymentStarted RequestBatterySwap
SetDERControl SetDefaultTariff UpdateDynamicSchedule UsePriorityCharging
"""),
]

CALLS: Final[dict[str, dict[str, list[str]]]] = {
    "ocpp1.6": {UP: UP_16, DOWN: DOWN_16},
    "ocpp2.0.1": {UP: UP_201, DOWN: DOWN_201},
    "ocpp2.1": {UP: UP_21, DOWN: DOWN_21},
}
"""Subprotocol -> direction -> actions that are CALLs."""

SENDS: Final[dict[str, list[str]]] = {"ocpp1.6": [], "ocpp2.0.1": [], "ocpp2.1": SEND_21}
"""Subprotocol -> actions that are SENDs, all upwards."""

PROFILES: Final = {"SetChargingProfile", "ClearChargingProfile", "GetChargingProfiles", "GetCompositeSchedule"}
"""The station's stack of charging profiles belongs to the site: these end at Yardmaster (OCPP-NOTES 5.6)."""

ENDS_HERE: Final[dict[str, dict[str, set[str]]]] = {
    "ocpp1.6": {UP: set(), DOWN: PROFILES - {"GetChargingProfiles"}},
    "ocpp2.0.1": {UP: set(), DOWN: PROFILES | {"SetNetworkProfile"}},
    "ocpp2.1": {
        UP: {"PullDynamicScheduleUpdate"},
        DOWN: PROFILES | {"SetNetworkProfile", "UpdateDynamicSchedule", "UsePriorityCharging"},
    },
}
"""Never reaches the other side, whatever it says; answered by Yardmaster. SetNetworkProfile: F27. The 2.1 ones
speak of a single profile, which is not kept at the station (K21, K28)."""

LOOKED_AT: Final[dict[str, dict[str, set[str]]]] = {
    "ocpp1.6": {UP: set(), DOWN: {"RemoteStartTransaction", "RemoteStopTransaction", "ChangeConfiguration"}},
    "ocpp2.0.1": {UP: set(), DOWN: {"RequestStartTransaction", "SetVariables", "GetTransactionStatus"}},
    "ocpp2.1": {UP: set(), DOWN: {"RequestStartTransaction", "SetVariables", "GetTransactionStatus"}},
}
"""Read by Yardmaster and relayed like all others unless the content says otherwise: a remote start with a charging
profile (K05), a stop that names a transaction the station knows by another id (1.6), a setting that would move the
station (F27), a status while messages wait here (E14)."""

COMMON_CODES: Final = words("""
NotImplemented NotSupported InternalError ProtocolError SecurityError PropertyConstraintViolation
TypeConstraintViolation GenericError
""")
CODES_2X: Final = {
    *COMMON_CODES,
    *words("FormatViolation MessageTypeNotSupported OccurrenceConstraintViolation RpcFrameworkError"),
}

CODES: Final[dict[str, set[str]]] = {
    "ocpp1.6": {*COMMON_CODES, "FormationViolation", "OccurenceConstraintViolation"},
    "ocpp2.0.1": CODES_2X,
    "ocpp2.1": CODES_2X,
}
"""The RPC error codes of each version, spelt as on the wire (OCPP-NOTES 1.4)."""
