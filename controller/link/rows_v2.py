"""The policy rows of OCPP 2.0.1 and 2.1, see ``policy``."""

from __future__ import annotations

from typing import Final

from controller.link.rows import ANSWERED, KEPT, NEVER, OURS, THROUGH, Row

STATION_201: Final[dict[str, Row]] = {
    # What costs money or evidence if it is lost waits on disk.
    "TransactionEvent": KEPT,
    "MeterValues": KEPT,
    "SecurityEventNotification": KEPT,
    "ReservationStatusUpdate": KEPT,
    "FirmwareStatusNotification": KEPT,
    "LogStatusNotification": KEPT,
    "NotifyEvent": KEPT,
    # What only matters now is answered; the current state is told when the CSMS is back.
    "Authorize": ANSWERED,
    "BootNotification": ANSWERED,
    "Heartbeat": ANSWERED,
    "StatusNotification": ANSWERED,
    "NotifyEVChargingNeeds": ANSWERED,
    "NotifyEVChargingSchedule": ANSWERED,
    "NotifyChargingLimit": ANSWERED,
    "ClearedChargingLimit": ANSWERED,
    "NotifyCustomerInformation": ANSWERED,
    "NotifyDisplayMessages": ANSWERED,
    "NotifyMonitoringReport": ANSWERED,
    "NotifyReport": ANSWERED,
    "PublishFirmwareStatusNotification": ANSWERED,
    "ReportChargingProfiles": ANSWERED,
    "DataTransfer": ANSWERED,
    "Get15118EVCertificate": ANSWERED,
    "GetCertificateStatus": ANSWERED,
    "SignCertificate": ANSWERED,
}

CSMS_201: Final[dict[str, Row]] = {
    # The station's stack of profiles belongs to Yardmaster (OCPP-NOTES 5.6).
    "SetChargingProfile": OURS,
    "ClearChargingProfile": OURS,
    "GetChargingProfiles": OURS,
    "GetCompositeSchedule": OURS,
    # Answered from both queues (E14, trap 10); the session relays it when nothing is queued.
    "GetTransactionStatus": OURS,
    # Carries a charging profile that must not reach the station (K05); the rest goes on.
    "RequestStartTransaction": OURS,
    # Would move the station past the fuse guard (F27).
    "SetNetworkProfile": NEVER,
    # Read for the variables that would do the same; otherwise goes on.
    "SetVariables": OURS,
    "CancelReservation": THROUGH,
    "CertificateSigned": THROUGH,
    "ChangeAvailability": THROUGH,
    "ClearCache": THROUGH,
    "ClearDisplayMessage": THROUGH,
    "ClearVariableMonitoring": THROUGH,
    "CostUpdated": THROUGH,
    "CustomerInformation": THROUGH,
    "DataTransfer": THROUGH,
    "DeleteCertificate": THROUGH,
    "GetBaseReport": THROUGH,
    "GetDisplayMessages": THROUGH,
    "GetInstalledCertificateIds": THROUGH,
    "GetLocalListVersion": THROUGH,
    "GetLog": THROUGH,
    "GetMonitoringReport": THROUGH,
    "GetReport": THROUGH,
    "GetVariables": THROUGH,
    "InstallCertificate": THROUGH,
    "PublishFirmware": THROUGH,
    "RequestStopTransaction": THROUGH,
    "ReserveNow": THROUGH,
    "Reset": THROUGH,
    "SendLocalList": THROUGH,
    "SetDisplayMessage": THROUGH,
    "SetMonitoringBase": THROUGH,
    "SetMonitoringLevel": THROUGH,
    "SetVariableMonitoring": THROUGH,
    "TriggerMessage": THROUGH,
    "UnlockConnector": THROUGH,
    "UnpublishFirmware": THROUGH,
    "UpdateFirmware": THROUGH,
}
