"""Which queued messages may be left out when there are too many."""

from typing import Any

import pytest

from controller.ocpp.registry import dialects
from tests.support.schemas import check_request

V16 = "ocpp1.6"
DIALECT = dialects()[V16]


def values(*contexts: str | None) -> dict[str, Any]:
    samples = [{"value": "1"} | ({"context": context} if context else {}) for context in contexts]
    return {"connectorId": 1, "transactionId": 17, "meterValue": [{"timestamp": "2026-11-21T16:00:00Z", "sampledValue": [one]} for one in samples]}


@pytest.mark.parametrize(
    ("contexts", "thin"),
    [
        ((None,), True),
        (("Sample.Periodic", "Sample.Clock", None), True),
        (("Sample.Periodic", "Transaction.Begin"), False),
        (("Transaction.End",), False),
        (("Trigger",), False),
        (("Interruption.Begin",), False),
        (("Other",), False),
    ],
)
def test_only_readings_taken_by_the_clock(contexts: tuple[str | None, ...], thin: bool) -> None:  # E12.FR.04
    check_request("MeterValues", values(*contexts), V16)
    assert DIALECT.thinnable("MeterValues", values(*contexts)) is thin


@pytest.mark.parametrize("action", ["StartTransaction", "StopTransaction", "StatusNotification", "SecurityEventNotification"])
def test_no_other_message(action: str) -> None:
    assert not DIALECT.thinnable(action, values(None))


@pytest.mark.parametrize("odd", [{}, {"meterValue": 5}, {"meterValue": [5]}, {"meterValue": [{}]}, {"meterValue": [{"sampledValue": [5]}]}])
def test_what_cannot_be_read_is_kept(odd: dict[str, Any]) -> None:
    assert not DIALECT.thinnable("MeterValues", odd)
