"""What a careless 2.x station says, made sayable: no transaction and no boot is lost over a word nobody knows.

``fit`` leaves out what a schema does not know. That is wrong for a sample: without its measurand it would be taken for the energy
register, without its phase for the sum, so it goes as a whole. And it does not help where a word is required: there the word
that says "something else" stands in.
"""

from __future__ import annotations

from typing import Any, Final

from controller.ocpp.hub import Payload
from controller.ocpp.times import wall_time

NAMING: Final = ("measurand", "phase", "location")
"""What a sample means; it is left out if one of these cannot be said."""
TRIGGER_REASONS: Final = frozenset(
    (
        *("AbnormalCondition", "Authorized", "CablePluggedIn", "ChargingRateChanged", "ChargingStateChanged", "CostLimitReached", "Deauthorized"),
        *("EnergyLimitReached", "EVCommunicationLost", "EVConnectTimeout", "EVDeparted", "EVDetected", "LimitSet", "MeterValueClock"),
        *("MeterValuePeriodic", "OperationModeChanged", "RemoteStart", "RemoteStop", "ResetCommand", "RunningCost", "SignedDataReceived"),
        *("SoCLimitReached", "StopAuthorized", "TariffChanged", "TariffNotAccepted", "TimeLimitReached", "Trigger", "TxResumed", "UnlockCommand"),
    )
)
BOOT_REASONS: Final = frozenset(
    (
        *("ApplicationReset", "FirmwareUpdate", "LocalReset", "PowerUp", "RemoteReset", "ScheduledReset", "Triggered", "Unknown", "Watchdog"),
    )
)
OLD_STATES: Final = dict.fromkeys(("Preparing", "Charging", "SuspendedEV", "SuspendedEVSE", "Finishing"), "Occupied")
"""Words of 1.6 that some 2.x stations still say."""
READ: Final = ("TransactionEvent", "MeterValues")


def mended(action: str, payload: Payload, now: str) -> Payload:
    """A station's CALL before it is fitted. now: RFC 3339, where its own time cannot be read."""
    match action:
        case "TransactionEvent":
            return _worded(_timed(payload, now), "triggerReason", TRIGGER_REASONS, "Trigger")
        case "BootNotification":
            return _worded(payload, "reason", BOOT_REASONS, "Unknown")
        case "StatusNotification":
            said = payload.get("connectorStatus")
            known = isinstance(said, str) and said in OLD_STATES
            return _timed({**payload, "connectorStatus": OLD_STATES[str(said)]} if known else payload, now)
        case "SecurityEventNotification":
            return _timed(payload, now)
    return payload


def _timed(payload: Payload, now: str) -> Payload:
    return payload if wall_time(payload.get("timestamp")) is not None else {**payload, "timestamp": now}


def _worded(payload: Payload, key: str, known: frozenset[str], otherwise: str) -> Payload:
    said = payload.get(key)
    return {**payload, key: otherwise} if isinstance(said, str) and said not in known else payload


def readable(action: str, sent: Payload, fitted: Payload) -> Payload:
    """The fitted payload less the samples whose meaning was lost, and less what is empty then; meterValue is missing where nothing is left."""
    if action not in READ or not isinstance(fitted.get("meterValue"), list):
        return fitted
    before = sent.get("meterValue")
    kept = [entry for pair in zip(_list(before), fitted["meterValue"], strict=False) if (entry := _whole(*pair)) is not None]
    return {**fitted, "meterValue": kept} if kept else {key: value for key, value in fitted.items() if key != "meterValue"}


def _whole(before: Any, fitted: Any) -> Any:
    """A meter value with the samples that still mean what they did; None = there is none."""
    if not isinstance(before, dict) or not isinstance(fitted, dict):
        return None
    pairs = zip(_list(before.get("sampledValue")), _list(fitted.get("sampledValue")), strict=False)
    samples = [sample for was, sample in pairs if isinstance(was, dict) and isinstance(sample, dict) and _means_the_same(was, sample)]
    return {**fitted, "sampledValue": samples} if samples else None


def _means_the_same(was: Payload, sample: Payload) -> bool:
    value = sample.get("value")
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and all(was.get(name) is None or name in sample for name in NAMING)


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
