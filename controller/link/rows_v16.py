"""The policy rows of OCPP 1.6 with the security whitepaper, see ``policy``."""

from __future__ import annotations

from typing import Final

from controller.link.rows import ANSWERED, KEPT, OURS, THROUGH, Row

STATION_16: Final[dict[str, Row]] = {
    # What costs money or evidence if it is lost waits on disk.
    "StartTransaction": KEPT,
    "StopTransaction": KEPT,
    "MeterValues": KEPT,
    "SecurityEventNotification": KEPT,
    "DiagnosticsStatusNotification": KEPT,
    "FirmwareStatusNotification": KEPT,
    "LogStatusNotification": KEPT,
    "SignedFirmwareStatusNotification": KEPT,
    # What only matters now is answered; the current state is told when the CSMS is back (16 4.9).
    "Authorize": ANSWERED,
    "BootNotification": ANSWERED,
    "Heartbeat": ANSWERED,
    "StatusNotification": ANSWERED,
    "DataTransfer": ANSWERED,
    "SignCertificate": ANSWERED,
}

CSMS_16: Final[dict[str, Row]] = {
    # The station's stack of profiles belongs to Yardmaster (OCPP-NOTES 5.6).
    "SetChargingProfile": OURS,
    "ClearChargingProfile": OURS,
    "GetCompositeSchedule": OURS,
    # May carry a charging profile that must not reach the station (16E 3.41); the rest goes on.
    "RemoteStartTransaction": OURS,
    # Read for keys that would move the station past the fuse guard (F27); otherwise goes on.
    "ChangeConfiguration": OURS,
    # The station may know the transaction under another id than the CSMS (trap 8); otherwise goes on.
    "RemoteStopTransaction": OURS,
    "CancelReservation": THROUGH,
    "CertificateSigned": THROUGH,
    "ChangeAvailability": THROUGH,
    "ClearCache": THROUGH,
    "DataTransfer": THROUGH,
    "DeleteCertificate": THROUGH,
    "ExtendedTriggerMessage": THROUGH,
    "GetConfiguration": THROUGH,
    "GetDiagnostics": THROUGH,
    "GetInstalledCertificateIds": THROUGH,
    "GetLocalListVersion": THROUGH,
    "GetLog": THROUGH,
    "InstallCertificate": THROUGH,
    "ReserveNow": THROUGH,
    "Reset": THROUGH,
    "SendLocalList": THROUGH,
    "SignedUpdateFirmware": THROUGH,
    "TriggerMessage": THROUGH,
    "UnlockConnector": THROUGH,
    "UpdateFirmware": THROUGH,
}
