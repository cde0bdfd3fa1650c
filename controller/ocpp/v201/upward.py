"""Messages of 2.0.1 as 2.1 wants them (OCPP-NOTES 12.12): one new field, tighter ranges."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from controller.ocpp.hub import Payload, Reply
from controller.ocpp.v2.passing import items, no, real, tidy

Upward = Callable[[Payload], "Payload | Reply"]


def with_monitor_kinds(payload: Payload, own: list[int]) -> Payload:
    """NotifyMonitoringReport with eventNotificationType. own: ids of the monitors that the CSMS has set itself; others came with the station."""
    if "monitor" not in payload:
        return payload
    monitors = []
    for monitor in items(payload, "monitor"):
        made = [{**item, "eventNotificationType": _kind(item, own)} for item in items(monitor, "variableMonitoring")]
        monitors.append({**monitor, "variableMonitoring": made})
    return {**payload, "monitor": monitors}


def _kind(monitor: Payload, own: list[int]) -> str:
    return "CustomMonitor" if monitor.get("id") in own else "PreconfiguredMonitor"


def _start(payload: Payload) -> Payload | Reply:
    """EVSE 0 cannot be started (F01), and 2.1 has no word for asking it."""
    evse_id = payload.get("evseId")
    if real(evse_id) and evse_id is not None and evse_id < 1:
        return no("Rejected", "ValueTooLow", "a transaction needs an EVSE of 1 or above")
    return payload


UPWARD: Final[dict[str, Upward]] = {"TransactionEvent": tidy, "RequestStartTransaction": _start}
"""Requests that need more than ``fit``."""
