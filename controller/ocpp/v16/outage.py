"""Which queued 1.6 messages may be left out when there are too many."""

from __future__ import annotations

from typing import Final

from controller.ocpp.dialect import Payload

_PERIODIC: Final = ("Sample.Periodic", "Sample.Clock")


def thinnable(action: str, payload: Payload) -> bool:
    """MeterValues with nothing but samples taken by the clock (16 7.33); Sample.Periodic is the default."""
    values = payload.get("meterValue")
    if action != "MeterValues" or not isinstance(values, list) or not all(isinstance(value, dict) for value in values):
        return False
    lists = [value.get("sampledValue") for value in values]
    if not all(isinstance(samples, list) for samples in lists):
        return False
    samples = [sample for samples in lists if isinstance(samples, list) for sample in samples]
    return all(isinstance(sample, dict) and sample.get("context", "Sample.Periodic") in _PERIODIC for sample in samples)
