"""The words of OCPP 1.6 and of the hub (2.1) side by side, both ways: pure tables, used by both sides of 1.6 (OCPP-NOTES 12).

"Up" reads 1.6 and writes hub words, "down" the other way. Drivers' cards are in ``aliases``, meter values in ``readings``. Words
that are the same in both versions have no table. Spellings of older stations are understood, never written (trap 29).
"""

from __future__ import annotations

from typing import Any, Final

from controller.ocpp.hub import Payload
from controller.ocpp.times import timestamp, wall_time

# -- connectors (12.3) --------------------------------------------------------------------------------------------

CONNECTOR_STATUS_UP: Final = {
    "Available": "Available",
    # 1.6 cannot tell card first from cable first; whoever is there, nobody else can begin (16 4.9).
    **dict.fromkeys(("Preparing", "Charging", "SuspendedEV", "SuspendedEVSE", "Finishing"), "Occupied"),
    **{word: word for word in ("Reserved", "Unavailable", "Faulted")},
    "Occupied": "Occupied",  # of 1.5, still heard
}
"""status of a StatusNotification -> connectorStatus."""
CHARGING_STATE_UP: Final = {
    "Preparing": "EVConnected",
    "Finishing": "EVConnected",
    **{word: word for word in ("Charging", "SuspendedEV", "SuspendedEVSE")},
}
"""status -> chargingState of the transaction that runs there; the others say nothing of it."""
_CHARGING: Final = ("Charging", "SuspendedEV", "SuspendedEVSE")


def status_down(connector_status: str, charging_state: str = "", *, charged: bool = False, ended: bool = False) -> str:
    """status of a StatusNotification. charging_state: of the authorised transaction there, "" = none; charged: it has delivered energy
    before; ended: a transaction ended there and the cable is still in."""
    if connector_status != "Occupied":
        return connector_status if connector_status in CONNECTOR_STATUS_UP else "Unavailable"
    if charging_state in _CHARGING:
        return charging_state
    if charging_state == "EVConnected" and charged:
        return "SuspendedEVSE"
    return "Finishing" if ended and not charging_state else "Preparing"


# -- faults (12.3) -------------------------------------------------------------------------------------------------

ERROR_COMPONENTS: Final = {
    "ConnectorLockFailure": "ConnectorPlugRetentionLock",
    "EVCommunicationError": "CPPWMController",
    "GroundFailure": "RCD",
    "HighTemperature": "TemperatureSensor",
    **dict.fromkeys(("InternalError", "ResetFailure", "LocalListConflict"), "Controller"),
    "OverCurrentFailure": "OverCurrentProtection",
    **dict.fromkeys(("OverVoltage", "UnderVoltage"), "ElectricalFeed"),
    "PowerMeterFailure": "FiscalMetering",
    "PowerSwitchFailure": "PowerContactor",
    "ReaderFailure": "TokenReader",
    "WeakSignal": "DataLink",
    "OtherError": "ChargingStation",
}
"""errorCode -> component with the variable Problem; NoError has none."""
NO_ERROR: Final = "NoError"
_ERROR_BY_COMPONENT: Final = {component: code for code, component in reversed(ERROR_COMPONENTS.items())}


def error_component(code: str) -> str:
    """Component of an errorCode; one we do not know is the station's."""
    return ERROR_COMPONENTS.get(code, "ChargingStation")


def error_tech(payload: Payload) -> Payload:
    """techCode and techInfo of a StatusNotification with an error; ``error_parts`` reads them back."""
    code = str(payload.get("errorCode", ""))
    told = [code, *(str(payload[name]) for name in ("info", "vendorId") if payload.get(name))]
    return {"techCode": str(payload.get("vendorErrorCode") or code)[:50], "techInfo": "; ".join(told)[:500]}


def error_parts(event: Payload) -> Payload:
    """errorCode, info and vendorErrorCode of an eventData entry about a Problem; NoError when it is over."""
    if event.get("cleared") is True or str(event.get("actualValue", "")).lower() in ("false", "0"):
        return {"errorCode": NO_ERROR}
    tech, _, info = str(event.get("techInfo", "")).partition("; ")
    component = event.get("component")
    name = component.get("name") if isinstance(component, dict) else ""
    known = tech in ERROR_COMPONENTS
    code = tech if known else _ERROR_BY_COMPONENT.get(str(name), "OtherError")
    told = {"info": (info if known else str(event.get("techInfo", "")))[:50], "vendorErrorCode": str(event.get("techCode", ""))[:50]}
    return {"errorCode": code, **{key: value for key, value in told.items() if value and value != code}}


# -- the end of a transaction (12.6) -----------------------------------------------------------------------------------

STOP_UP: Final = {
    "Local": ("Local", "StopAuthorized"),
    "Remote": ("Remote", "RemoteStop"),
    "EVDisconnected": ("EVDisconnected", "EVCommunicationLost"),
    "DeAuthorized": ("DeAuthorized", "Deauthorized"),
    "EmergencyStop": ("EmergencyStop", "AbnormalCondition"),
    "PowerLoss": ("PowerLoss", "AbnormalCondition"),
    "Reboot": ("Reboot", "AbnormalCondition"),
    "HardReset": ("ImmediateReset", "ResetCommand"),
    "SoftReset": ("ImmediateReset", "ResetCommand"),
    "UnlockCommand": ("Other", "UnlockCommand"),
    "Other": ("Other", "AbnormalCondition"),
}
"""reason -> (stoppedReason, triggerReason of the Ended event)."""
_STOP_DOWN: Final = {
    **{word: word for word in ("Remote", "EVDisconnected", "DeAuthorized", "EmergencyStop", "PowerLoss", "Reboot", "Other")},
    **dict.fromkeys(("Local", "MasterPass", "LocalOutOfCredit"), "Local"),
    "ImmediateReset": "HardReset",
}


def stop_up(reason: Any) -> tuple[str, str]:
    """(stoppedReason, triggerReason); no reason means Local (16 6.49), one we do not know means Other."""
    return STOP_UP["Local"] if reason is None else STOP_UP.get(str(reason), STOP_UP["Other"])


def stop_down(stopped_reason: Any, trigger_reason: Any = "") -> str:
    """reason of a StopTransaction; stoppedReason may be left out only for Local (E06.FR.08)."""
    if stopped_reason in (None, "Other") and trigger_reason == "UnlockCommand":
        return "UnlockCommand"
    return "Local" if stopped_reason is None else _STOP_DOWN.get(str(stopped_reason), "Other")


READING_TRIGGERS: Final = {"Sample.Clock": "MeterValueClock", "Trigger": "Trigger"}
"""context of a reading -> triggerReason of the Updated event; any other is MeterValuePeriodic (12.5)."""

# -- drivers (12.4) ------------------------------------------------------------------------------------------------------

TOKEN_STATUS_DOWN: Final = {**{word: word for word in ("Accepted", "Blocked", "Expired", "Invalid", "ConcurrentTx")}, "NoCredit": "Blocked"}
"""status of an idTokenInfo -> that of an idTagInfo; any other word of 2.x (Unknown, NotAtThisLocation ...) is Invalid."""
RESERVATION_STATUSES: Final = ("Accepted", "Faulted", "Occupied", "Rejected", "Unavailable")

# -- firmware, logs, certificates (12.10) ----------------------------------------------------------------------------------

FIRMWARE_STATUSES_16: Final = ("Downloaded", "DownloadFailed", "Downloading", "Idle", "InstallationFailed", "Installing", "Installed")
"""Of the unsigned FirmwareStatusNotification; the signed one has all words of 2.x."""
FIRMWARE_DOWN: Final = {
    **{word: word for word in FIRMWARE_STATUSES_16},
    **dict.fromkeys(("DownloadScheduled", "DownloadPaused"), "Downloading"),
    "SignatureVerified": "Downloaded",
    **dict.fromkeys(("InstallScheduled", "InstallRebooting"), "Installing"),
    **dict.fromkeys(("InstallVerificationFailed", "InvalidSignature"), "InstallationFailed"),
}
"""status of a FirmwareStatusNotification -> that of the unsigned one."""
DIAGNOSTICS_UP: Final = {"Idle": "Idle", "Uploading": "Uploading", "Uploaded": "Uploaded", "UploadFailed": "UploadFailure"}
"""status of a DiagnosticsStatusNotification -> that of a LogStatusNotification."""
DIAGNOSTICS_DOWN: Final = {
    "Idle": "Idle",
    "Uploading": "Uploading",
    "Uploaded": "Uploaded",
    **dict.fromkeys(("UploadFailure", "BadMessage", "NotSupportedOperation", "PermissionDenied", "AcceptedCanceled"), "UploadFailed"),
}
LOG_DOWN: Final = {
    **{word: word for word in ("BadMessage", "Idle", "NotSupportedOperation", "PermissionDenied", "Uploaded", "UploadFailure", "Uploading")},
    "AcceptedCanceled": "UploadFailure",
}
"""status of a LogStatusNotification -> that of the whitepaper's."""
CERTIFICATE_UP: Final = {"CentralSystemRootCertificate": "CSMSRootCertificate", "ManufacturerRootCertificate": "ManufacturerRootCertificate"}
CERTIFICATE_DOWN: Final = {new: old for old, new in CERTIFICATE_UP.items()}
"""certificateType of a root; V2G, MO and OEM roots have no word in 1.6."""

_SECURITY_EVENTS: Final = {
    "FailedToAuthenticateAtCentralSystem": "FailedToAuthenticateAtCsms",
    "CentralSystemFailedToAuthenticate": "CsmsFailedToAuthenticate",
    "InvalidCentralSystemCertificate": "InvalidCsmsCertificate",
}
_SECURITY_EVENTS_BACK: Final = {new.lower(): old for old, new in _SECURITY_EVENTS.items()}
_LOOSE: Final = {old.lower(): new for old, new in _SECURITY_EVENTS.items()}


def security_event_up(kind: str) -> str:
    """type of a SecurityEventNotification; ...Authentication... is understood too, other names pass."""
    return _LOOSE.get(kind.strip().lower().replace("authentication", "authenticate"), kind)


def security_event_down(kind: str) -> str:
    """As 1.6 spells it; other names pass."""
    return _SECURITY_EVENTS_BACK.get(kind.strip().lower(), kind)


# -- commands (12.7, 12.8) ----------------------------------------------------------------------------------------------------

RESET_UP: Final = {"Hard": "Immediate", "Soft": "Immediate"}
"""type of a 1.6 Reset: both end what runs and reboot (16E 3.36). The other way is a conversation, see ``station_resets``."""
TRIGGER_UP: Final = {
    **{word: word for word in ("BootNotification", "Heartbeat", "MeterValues", "StatusNotification")},
    **{word: word for word in ("FirmwareStatusNotification", "LogStatusNotification")},
    "DiagnosticsStatusNotification": "LogStatusNotification",
    "SignChargePointCertificate": "SignChargingStationCertificate",
}
"""requestedMessage of a TriggerMessage or ExtendedTriggerMessage -> that of 2.x."""
TRIGGER_DOWN: Final = {
    **{word: word for word in ("BootNotification", "Heartbeat", "MeterValues", "StatusNotification", "FirmwareStatusNotification")},
    "LogStatusNotification": "DiagnosticsStatusNotification",
}
EXTENDED_TRIGGER_DOWN: Final = {"LogStatusNotification": "LogStatusNotification", "SignChargingStationCertificate": "SignChargePointCertificate"}
"""What needs the whitepaper's ExtendedTriggerMessage; a station without it may know TRIGGER_DOWN's word."""

PURPOSE_DOWN: Final = {
    "ChargingStationMaxProfile": "ChargePointMaxProfile",
    "TxDefaultProfile": "TxDefaultProfile",
    "TxProfile": "TxProfile",
}
PURPOSE_UP: Final = {old: new for new, old in PURPOSE_DOWN.items()}
"""chargingProfilePurpose; 1.6 knows these three."""

# -- errors -------------------------------------------------------------------------------------------------------------------

_ERROR_UP: Final = {
    "FormationViolation": "FormatViolation",
    "OccurenceConstraintViolation": "OccurrenceConstraintViolation",
    "RPCFrameworkError": "RpcFrameworkError",
}
_ERROR_DOWN: Final = {
    "FormatViolation": "FormationViolation",
    "OccurrenceConstraintViolation": "OccurenceConstraintViolation",
    "MessageTypeNotSupported": "NotSupported",
    "RpcFrameworkError": "GenericError",
}


def error_up(code: str) -> str:
    """An RPC error code in 2.x spelling; others pass (16.7)."""
    return _ERROR_UP.get(code, code)


def error_down(code: str) -> str:
    """An RPC error code in 1.6 spelling; others pass."""
    return _ERROR_DOWN.get(code, code)


# -- small things -------------------------------------------------------------------------------------------------------------


def moment(value: Any, fallback_wall_s: float) -> str:
    """A timestamp fit to be sent: in UTC with milliseconds; one that cannot be read becomes ``fallback_wall_s`` (16.8)."""
    wall_s = wall_time(value)
    return timestamp(fallback_wall_s if wall_s is None else wall_s)


def whole(value: Any) -> int | None:
    """An integer, also from its text or a float without fraction; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
        return int(value) if isinstance(value, int) else int(number) if number == int(number) else None
    except (ValueError, OverflowError):
        return None


def without_none(payload: Payload) -> Payload:
    """The payload without the fields that are None."""
    return {key: value for key, value in payload.items() if value is not None}
