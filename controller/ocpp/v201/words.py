"""Words of 2.1 that 2.0.1 does not have, and what they become there (OCPP-NOTES 12.12, from the schemas of both)."""

from __future__ import annotations

from typing import Any, Final

VERSION: Final = "ocpp2.0.1"

ACTIONS: Final = frozenset(
    (
        *("Authorize", "BootNotification", "CancelReservation", "CertificateSigned", "ChangeAvailability", "ClearCache"),
        *("ClearChargingProfile", "ClearDisplayMessage", "ClearVariableMonitoring", "ClearedChargingLimit", "CostUpdated"),
        *("CustomerInformation", "DataTransfer", "DeleteCertificate", "FirmwareStatusNotification", "Get15118EVCertificate"),
        *("GetBaseReport", "GetCertificateStatus", "GetChargingProfiles", "GetCompositeSchedule", "GetDisplayMessages"),
        *("GetInstalledCertificateIds", "GetLocalListVersion", "GetLog", "GetMonitoringReport", "GetReport", "GetTransactionStatus"),
        *("GetVariables", "Heartbeat", "InstallCertificate", "LogStatusNotification", "MeterValues", "NotifyChargingLimit"),
        *("NotifyCustomerInformation", "NotifyDisplayMessages", "NotifyEVChargingNeeds", "NotifyEVChargingSchedule", "NotifyEvent"),
        *("NotifyMonitoringReport", "NotifyReport", "PublishFirmware", "PublishFirmwareStatusNotification", "ReportChargingProfiles"),
        *("RequestStartTransaction", "RequestStopTransaction", "ReservationStatusUpdate", "ReserveNow", "Reset"),
        *("SecurityEventNotification", "SendLocalList", "SetChargingProfile", "SetDisplayMessage", "SetMonitoringBase"),
        *("SetMonitoringLevel", "SetNetworkProfile", "SetVariableMonitoring", "SetVariables", "SignCertificate"),
        *("StatusNotification", "TransactionEvent", "TriggerMessage", "UnlockConnector", "UnpublishFirmware", "UpdateFirmware"),
    )
)

# -- free text of 2.1 that is an enumeration in 2.0.1 ----------------------------------------------------------

TOKEN_TYPES: Final = ("Central", "eMAID", "ISO14443", "ISO15693", "KeyCode", "Local", "MacAddress", "NoAuthorization")
OTHER_TOKEN_TYPE: Final = "Central"
LIMIT_SOURCES: Final = ("EMS", "Other", "SO", "CSO")
OTHER_LIMIT_SOURCE: Final = "Other"
CONNECTOR_TYPES: Final = (
    *("cCCS1", "cCCS2", "cG105", "cTesla", "cType1", "cType2", "s309-1P-16A", "s309-1P-32A", "s309-3P-16A", "s309-3P-32A", "sBS1361"),
    *("sCEE-7-7", "sType2", "sType3", "Other1PhMax16A", "Other1PhOver16A", "Other3Ph", "Pan", "wInductive", "wResonant", "Undetermined", "Unknown"),
)
UNKNOWN_CONNECTOR: Final = "Unknown"


def limit_source(value: Any) -> str:
    """chargingLimitSource in 2.0.1."""
    return value if value in LIMIT_SOURCES else OTHER_LIMIT_SOURCE


def connector_type(value: Any) -> str:
    """connectorType in 2.0.1."""
    return value if value in CONNECTOR_TYPES else UNKNOWN_CONNECTOR


# -- enumerations that 2.1 widened ---------------------------------------------------------------------------------

TRIGGER_REASONS: Final = {
    "CostLimitReached": "EnergyLimitReached",
    "SoCLimitReached": "EnergyLimitReached",
    "OperationModeChanged": "ChargingRateChanged",
    "TxResumed": "ChargingStateChanged",
    "TariffNotAccepted": "Deauthorized",
    "LimitSet": "Trigger",
    "RunningCost": "Trigger",
    "TariffChanged": "Trigger",
}
"""triggerReason: the word whose meaning is nearest; Trigger where 2.0.1 has no such moment at all."""
STOPPED_REASONS: Final = {"ReqEnergyTransferRejected": "Other"}
RESERVATION_UPDATES: Final = {"NoTransaction": "Removed"}
"""Used, but no transaction began: gone from the station either way."""

PURPOSES_OF_21: Final = ("PriorityCharging", "LocalGeneration")
KINDS_OF_21: Final = ("Dynamic",)
DISPLAY_STATES_OF_21: Final = ("Suspended", "Discharging")
MONITORS_OF_21: Final = {"TargetDelta": "Delta", "TargetDeltaRelative": "Delta"}
"""Monitor types, and the nearest of 2.0.1 where a type only has to be named."""
MEASURANDS: Final = frozenset(
    (
        *("Current.Export", "Current.Import", "Current.Offered"),
        *("Energy.Active.Export.Register", "Energy.Active.Import.Register", "Energy.Reactive.Export.Register", "Energy.Reactive.Import.Register"),
        *("Energy.Active.Export.Interval", "Energy.Active.Import.Interval", "Energy.Active.Net", "Energy.Reactive.Export.Interval"),
        *("Energy.Reactive.Import.Interval", "Energy.Reactive.Net", "Energy.Apparent.Net", "Energy.Apparent.Import", "Energy.Apparent.Export"),
        *("Frequency", "Power.Active.Export", "Power.Active.Import", "Power.Factor", "Power.Offered", "Power.Reactive.Export"),
        *("Power.Reactive.Import", "SoC", "Voltage"),
    )
)
"""Of 2.0.1. A reading of another measurand is left out: without its name it would be taken for the energy register."""
UPSTREAM: Final = "Upstream"
"""Location of 2.1: a meter of the grid connection, not of the EVSE; left out likewise."""

# -- lengths -------------------------------------------------------------------------------------------------------

MAX_TOKEN_CHARS: Final = 36
MAX_CERTIFICATE_CHARS: Final = 5500
MAX_OCSP_CHARS: Final = 5500
MAX_EXI_REQUEST_CHARS: Final = 5600
MAX_EXI_ANSWER_CHARS: Final = 7500
MAX_URL_CHARS: Final = 512
MAX_VALUE_CHARS: Final = 1000
MAX_SIGNED_CHARS: Final = 2500
MAX_DISPLAY_CHARS: Final = 512
