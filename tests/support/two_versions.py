"""A 2.0.1 station under a 2.1 CSMS, and the other way round: who is asked what, for the tests of ``ocpp/v201``'s sides."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from controller.ocpp.hub import Reply, Said
from controller.ocpp.registry import sides_for
from tests.support.pair import Pair

TIME = "2026-11-21T16:00:00Z"
LONG_TOKEN = "DE-ABC-" + "C0FFEE" * 10
LONG_URL = "https://files.example/" + "x" * 500
Answer = Reply | Callable[[str], Reply]


def joined(station: str, csms: str, answer: Answer) -> Pair:
    found, above = sides_for(station), sides_for(csms)
    assert found is not None
    assert above is not None
    return Pair(found, above, lambda version, action: answer(action) if callable(answer) else answer)


def old_station(answer: Answer = Said({})) -> Pair:  # noqa: B008 - frozen
    """A 2.0.1 station under a 2.1 CSMS."""
    return joined("ocpp2.0.1", "ocpp2.1", answer)


def old_csms(answer: Answer = Said({})) -> Pair:  # noqa: B008 - frozen
    """A 2.1 station under a 2.0.1 CSMS."""
    return joined("ocpp2.1", "ocpp2.0.1", answer)


def only_sent(pair: Pair) -> dict[str, Any]:
    assert pair.complaints == []
    assert len(pair.sent) == 1
    return pair.sent[0].payload


def status(reply: Reply) -> str:
    assert isinstance(reply, Said)
    return str(reply.payload["status"])


def profile(*, schedule: dict[str, Any] | None = None, period: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    made = {"id": 1, "chargingRateUnit": "A", "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 16.36, **(period or {})}], **(schedule or {})}
    kind = {"chargingProfilePurpose": "TxDefaultProfile", "chargingProfileKind": "Absolute"}
    return {"id": 7, "stackLevel": 0, **kind, "chargingSchedule": [made], **more}


def display(form: str, content: str, **more: Any) -> dict[str, Any]:
    return {"id": 1, "priority": "NormalCycle", "message": {"format": form, "content": content}, **more}


def reservation(**more: Any) -> dict[str, Any]:
    return {"id": 1, "expiryDateTime": TIME, "idToken": {"idToken": "A", "type": "Central"}, **more}


def limited(*periods: dict[str, Any]) -> dict[str, Any]:
    schedule = {"id": 1, "chargingRateUnit": "A", "chargingSchedulePeriod": list(periods)}
    return {"chargingLimit": {"chargingLimitSource": "SO"}, "chargingSchedule": [schedule]}


OCSP = {"hashAlgorithm": "SHA256", "issuerNameHash": "a", "issuerKeyHash": "b", "serialNumber": "c"}
NO_LIMIT = profile(period={"limit": None})["chargingSchedule"][0]


def event(**more: Any) -> dict[str, Any]:
    base = {"eventType": "Updated", "timestamp": TIME, "triggerReason": "MeterValuePeriodic", "seqNo": 3}
    return {**base, "transactionInfo": {"transactionId": "T1"}, **more}


def readings(*samples: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"timestamp": TIME, "sampledValue": list(samples)}]
