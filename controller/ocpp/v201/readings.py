"""Meter values of 2.1 in 2.0.1 (OCPP-NOTES 12.10, 12.12)."""

from __future__ import annotations

from typing import Any

from controller.ocpp.hub import Payload
from controller.ocpp.v2.passing import inner, items, longer
from controller.ocpp.v201.words import MAX_SIGNED_CHARS, MEASURANDS, UPSTREAM


def plain_readings(payload: Payload, key: str = "meterValue") -> tuple[list[Payload], bool]:
    """(what 2.0.1 can say of the meter values under a key, whether a signed value had to go).

    Left out: measurands of 2.1, readings of the grid connection, meter values that are empty then. A signed value is letter for
    letter the same or not there at all; its number stays.
    """
    told, unsigned = [], False
    for meter_value in items(payload, key):
        samples = [sample for sample in items(meter_value, "sampledValue") if _sayable(sample)]
        unsigned = unsigned or any(_too_long(sample) for sample in samples)
        if samples:
            told.append({**meter_value, "sampledValue": [_plain(sample) for sample in samples]})
    return told, unsigned


def _sayable(sample: Payload) -> bool:
    measurand: Any = sample.get("measurand")
    return (measurand is None or measurand in MEASURANDS) and sample.get("location") != UPSTREAM


def _too_long(sample: Payload) -> bool:
    return longer(inner(sample, "signedMeterValue").get("signedMeterData"), MAX_SIGNED_CHARS)


def _plain(sample: Payload) -> Payload:
    if not isinstance(sample.get("signedMeterValue"), dict):
        return sample
    if _too_long(sample):
        return {key: value for key, value in sample.items() if key != "signedMeterValue"}
    # Both are required in 2.0.1 and optional in 2.1: an empty text says that nothing was said.
    return {**sample, "signedMeterValue": {"signingMethod": "", "publicKey": "", **sample["signedMeterValue"]}}
