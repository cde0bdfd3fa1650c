"""What a careless 2.x station says, made sayable: no transaction and no boot is lost over a word nobody knows.

``fit`` leaves out what a schema does not know. That is wrong for a sample: without its measurand it would be taken for the energy
register, without its phase for the sum, without its unit for Wh, so it goes as a whole. And it does not help where a word is required: there
the word that says "something else" stands in.

A unit written as 1.6 writes it means what it says. A time that nobody can read is that of the readings beside it, else that of the moment the
event was first read: ``Passing`` remembers it on disk, so that an event that is told again is the same event.
"""

from __future__ import annotations

from typing import Any, Final

from controller.ocpp.fitting import plain_number, rfc_3339
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


def timeless(action: str, payload: Payload) -> bool:
    """Whether it is a TransactionEvent without any time that can be read: then money hangs on the moment we first read it."""
    return action == "TransactionEvent" and rfc_3339(payload.get("timestamp")) is None and _last_reading(payload) is None


def mended(action: str, payload: Payload, now: str) -> Payload:
    """A station's CALL before it is fitted. now: RFC 3339, where its own time cannot be read."""
    match action:
        case "TransactionEvent":
            timed = _measured(_timed(payload, _last_reading(payload) or now))
            return _worded(_entries_timed(timed), "triggerReason", TRIGGER_REASONS, "Trigger")
        case "BootNotification":
            return _worded(payload, "reason", BOOT_REASONS, "Unknown")
        case "StatusNotification":
            said = payload.get("connectorStatus")
            known = isinstance(said, str) and said in OLD_STATES
            return _timed({**payload, "connectorStatus": OLD_STATES[str(said)]} if known else payload, now)
        case "SecurityEventNotification":
            return _timed(payload, now)
        case "MeterValues":
            return _measured(payload)
    return payload


def _timed(payload: Payload, now: str) -> Payload:
    return payload if rfc_3339(payload.get("timestamp")) is not None else {**payload, "timestamp": now}


def _entries_timed(event: Payload) -> Payload:
    """Readings without a time of their own have that of their event."""
    if not isinstance(event.get("meterValue"), list):
        return event
    return {**event, "meterValue": [_timed(entry, event["timestamp"]) if isinstance(entry, dict) else entry for entry in event["meterValue"]]}


def _last_reading(event: Payload) -> str | None:
    """The latest time of its readings."""
    told = [rfc_3339(entry.get("timestamp")) for entry in _list(event.get("meterValue")) if isinstance(entry, dict)]
    return max((time for time in told if time is not None), key=lambda time: wall_time(time) or 0.0, default=None)


def _measured(payload: Payload) -> Payload:
    """Units as 1.6 writes them, where 2.x wants them."""
    if not isinstance(payload.get("meterValue"), list):
        return payload
    return {**payload, "meterValue": [_entry_measured(entry) for entry in payload["meterValue"]]}


def _entry_measured(entry: Any) -> Any:
    if not isinstance(entry, dict) or not isinstance(entry.get("sampledValue"), list):
        return entry
    return {**entry, "sampledValue": [_with_unit(sample) for sample in entry["sampledValue"]]}


def _with_unit(sample: Any) -> Any:
    if not isinstance(sample, dict):
        return sample
    said = sample.get("unitOfMeasure", sample.get("unit"))
    return {**sample, "unitOfMeasure": {"unit": said}} if isinstance(said, str) else sample


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
    """A meter value with the samples that still mean what they did; None = there is none, or nobody knows when it was."""
    if not isinstance(before, dict) or not isinstance(fitted, dict) or wall_time(fitted.get("timestamp")) is None:
        return None
    pairs = zip(_list(before.get("sampledValue")), _list(fitted.get("sampledValue")), strict=False)
    samples = [sample for was, sample in pairs if isinstance(was, dict) and isinstance(sample, dict) and _means_the_same(was, sample)]
    return {**fitted, "sampledValue": samples} if samples else None


def _means_the_same(was: Payload, sample: Payload) -> bool:
    value, scale = sample.get("value"), _scale(was)
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and scale is not None and scale == _scale(sample) and all(was.get(name) is None or name in sample for name in NAMING)


def _scale(sample: Payload) -> tuple[Any, Any] | None:
    """(unit, power of ten); None if it cannot be told. A multiplier that stands where it does not belong may be meant or not."""
    said = sample.get("unitOfMeasure")
    if sample.get("multiplier") is not None or not isinstance(said, dict | None):
        return None
    unit, multiplier = (said or {}).get("unit"), plain_number((said or {}).get("multiplier"))
    return unit, 0 if multiplier is None else multiplier


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
