"""The time a station writes into its own messages: what its clock showed when it wrote them, in any version.

Only messages that tell of this moment: of what was kept offline the start of the event is told, not of the sending, and what a station
marks as such is left out. What waited without a mark is older than it says; ``link.station_clock`` bears that.
"""

from __future__ import annotations

from typing import Any, Final

from controller.ocpp.times import wall_time

_FIELDS: Final = {
    "StatusNotification": "timestamp",
    "TransactionEvent": "timestamp",
    "StartTransaction": "timestamp",
    "StopTransaction": "timestamp",
    "NotifyEvent": "generatedAt",
    "NotifyReport": "generatedAt",
    "NotifyMonitoringReport": "generatedAt",
}


def told_wall_s(action: str, payload: dict[str, Any]) -> float | None:
    """The station's time in one of its CALLs [Unix s]; None if it tells none, or none of now."""
    if action == "MeterValues":
        return _last_reading(payload.get("meterValue"))
    field = _FIELDS.get(action)
    if field is None or payload.get("offline") is True:
        return None
    return wall_time(payload.get(field))


def _last_reading(values: Any) -> float | None:
    last = values[-1] if isinstance(values, list) and values else None
    return wall_time(last.get("timestamp")) if isinstance(last, dict) else None
