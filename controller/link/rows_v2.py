"""The policy rows of OCPP 2.0.1 and 2.1, see ``policy``. 2.1 has all of 2.0.1 and some more."""

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
    # The station's stack of profiles belongs to Yardmaster (OCPP-NOTES 5.6); in overlay mode they pass, see ``link.overlay``.
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

STATION_21: Final[dict[str, Row]] = {
    **STATION_201,
    # A battery out of the cabinet is property that somebody has to pay for or bring back (S01-S03).
    "BatterySwap": KEPT,
    # Money taken at the station's own terminal: the CSMS's only proof of payment (C20, C21).
    "NotifySettlement": KEPT,
    # What the grid code asks the operator to be able to show: faults, and which control ran when (R04).
    "NotifyDERAlarm": KEPT,
    "NotifyDERStartStop": KEPT,
    # The driver's own choice of a priority that may cost more (K22).
    "NotifyPriorityCharging": KEPT,
    # Parts of an answer to a CSMS that is gone and will ask again.
    "ReportDERControl": ANSWERED,
    # Matter only now. A held Close could meet a stream of the same number opened since, so it is only answered (N11, N12).
    "OpenPeriodicEventStream": ANSWERED,
    "ClosePeriodicEventStream": ANSWERED,
    "GetCertificateChainStatus": ANSWERED,
    "VatNumberValidation": ANSWERED,
    # A SEND: nobody answers it, and yesterday's high-rate values are worth no disk; dropped unless relayed (N13).
    "NotifyPeriodicEventStream": THROUGH,
    # The profile it asks about was never sent down: Yardmaster holds it, and asks the CSMS itself (K28). In overlay mode it goes up.
    "PullDynamicScheduleUpdate": OURS,
}

CSMS_21: Final[dict[str, Row]] = {
    **CSMS_201,
    # Both change a profile that Yardmaster holds in the station's stead (K21, K28).
    "UpdateDynamicSchedule": OURS,
    "UsePriorityCharging": OURS,
    # The inverter's grid code: it may lower power, never raise a charging limit (R04).
    "SetDERControl": THROUGH,
    "GetDERControl": THROUGH,
    "ClearDERControl": THROUGH,
    # Acts only on a LocalFrequency profile, and those are kept here (Q08).
    "AFRRSignal": THROUGH,
    # Which energy transfer the driver has paid for; what flows then is still limited by profiles (Q01, Q02).
    "NotifyAllowedEnergyTransfer": THROUGH,
    "RequestBatterySwap": THROUGH,
    "NotifyWebPaymentStarted": THROUGH,
    "SetDefaultTariff": THROUGH,
    "GetTariffs": THROUGH,
    "ClearTariffs": THROUGH,
    "ChangeTransactionTariff": THROUGH,
    "AdjustPeriodicEventStream": THROUGH,
    "GetPeriodicEventStream": THROUGH,
}
